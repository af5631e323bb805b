/* Reads of files, by hand with open(), fstat(), pread() and close().  The file
 * is in the working directory, whose file system decides what is possible
 * without a thread. */

#define _GNU_SOURCE

#include "files.h"

#include <aloop.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* So many reads that the start and the end of a loop, about 0.4 ms, take less
 * than 4 % of the time of a slice. */
enum { READS = 100000, WHOLE_READS = 20000, COLD_READS = 500 };

/* The kernel does not read ahead for reads that are so far from each other. */
enum { COLD_STEP = 64 << 10 };

static void hand_read(const struct reads *reads)
{
    int fd = open(reads->path, O_RDONLY | O_CLOEXEC);

    for (size_t i = 0; i < reads->count; i++)
        fail_if(pread(fd, reads->buffer, READ_SIZE, read_offset(reads, i)) !=
                    READ_SIZE,
                "pread");
    close(fd);
}

static void *wait_for_end(void *arg)
{
    char byte;

    fail_if(read(*(const int *) arg, &byte, 1) != 0, "read");
    return NULL;
}

/* The kernel needs more time for a call with a descriptor in a process that has
 * several threads, as a process with a pool has. */
static void hand_read_beside_thread(const struct reads *reads)
{
    pthread_t thread;
    int fds[2];

    fail_if(pipe(fds) < 0, "pipe");
    fail_if(pthread_create(&thread, NULL, wait_for_end, &fds[0]) != 0,
            "pthread_create");
    hand_read(reads);
    close(fds[1]);
    pthread_join(thread, NULL);
    close(fds[0]);
}

static void hand_whole(const struct reads *reads)
{
    for (size_t i = 0; i < reads->count; i++) {
        int fd = open(reads->path, O_RDONLY | O_CLOEXEC);
        struct stat found;

        fail_if(fstat(fd, &found) < 0 || found.st_size != READ_SIZE, "fstat");
        fail_if(pread(fd, reads->buffer, READ_SIZE, 0) != READ_SIZE, "pread");
        close(fd);
    }
}

static ssize_t do_reads(aloop *loop, void *arg)
{
    const struct reads *reads = arg;
    aloop_file *file;

    fail_if(
        aloop_await(aloop_file_open(loop, reads->path, O_RDONLY, 0, &file)) < 0,
        "open");
    for (size_t i = 0; i < reads->count; i++)
        fail_if(aloop_await(aloop_file_read_at(file, reads->buffer, READ_SIZE,
                                               read_offset(reads, i))) !=
                    READ_SIZE,
                "read");
    aloop_file_close(file);
    return 0;
}

static void aloop_read(const struct reads *reads)
{
    struct reads copy = *reads;

    fail_if(aloop_main(do_reads, &copy) < 0, "reads");
}

static ssize_t do_whole_reads(aloop *loop, void *arg)
{
    const struct reads *reads = arg;
    void *data;

    for (size_t i = 0; i < reads->count; i++) {
        fail_if(aloop_await(aloop_fs_read_file(loop, reads->path, READ_SIZE,
                                               &data)) != READ_SIZE,
                "read");
        aloop_data_free(loop, data);
    }
    return 0;
}

static void aloop_whole(const struct reads *reads)
{
    struct reads copy = *reads;

    fail_if(aloop_main(do_whole_reads, &copy) < 0, "reads");
}

/* A row of the table. */
struct kind {
    const char *text; /* The file system is added. */
    enum aim aim;
    double limit;
    bool is_job_on_overlay; /* A thread reads there, and there is no aim. */
    double limit_refused;   /* Where the kernel refuses reads of its cache. */
    size_t count;           /* Of reads in a slice. */
    size_t step; /* From one read to the next; 0: the file is cached. */
    files_peer peers[PEERS];
};

static const struct kind kinds[] = {
    {
        .text = "cached read of 4 KiB",
        .aim = AIM_RATIO,
        .limit = 1.3,
        .limit_refused = 3.5,
        .is_job_on_overlay = true,
        .count = READS,
        .peers =
            {
                [HAND] = hand_read,
                [ALOOP] = aloop_read,
#ifdef BENCH_UV
                [UV] = files_uv,
#endif
            },
    },
    {
        .text = "  by hand beside an idle thread",
        .aim = AIM_RATIO,
        .limit = 1.3,
        .limit_refused = 3.5,
        .is_job_on_overlay = true,
        .count = READS,
        .peers = {[HAND] = hand_read_beside_thread, [ALOOP] = aloop_read},
    },
    {
        .text = "cached file of 4 KiB",
        .aim = AIM_RATIO,
        .limit = 2,
        .limit_refused = 3.5,
        .count = WHOLE_READS,
        .peers =
            {
                [HAND] = hand_whole,
                [ALOOP] = aloop_whole,
#ifdef BENCH_UV
                [UV] = files_uv_whole,
#endif
            },
    },
    {
        .text = "cold read of 4 KiB",
        .aim = AIM_UV,
        .limit = 1,
        .count = COLD_READS,
        .step = COLD_STEP,
        .peers =
            {
                [HAND] = hand_read,
                [ALOOP] = aloop_read,
#ifdef BENCH_UV
                [UV] = files_uv,
#endif
            },
    },
};

struct load {
    files_peer peer;
    struct reads reads;
};

/* Removes the file from the page cache. */
static void make_cold(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    fail_if(fd < 0 || fsync(fd) < 0 ||
                posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0,
            "emptying the cache");
    close(fd);
}

static void run_load(const void *arg, double *results)
{
    static _Alignas(64) char buffer[READ_SIZE];
    struct load load = *(const struct load *) arg;
    int64_t begin_ns;

    load.reads.buffer = buffer;
    if (load.reads.step > 0)
        make_cold(load.reads.path);
    begin_ns = cpu_ns();
    load.peer(&load.reads);
    results[0] = (double) (cpu_ns() - begin_ns) / (double) load.reads.count;
}

const char *file_system(void)
{
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = {
        {0xef53, "ext4"},     {0x58465342, "xfs"},       {0x9123683e, "btrfs"},
        {0x1021994, "tmpfs"}, {0x794c7630, "overlayfs"},
    };
    struct statfs found;

    if (statfs(".", &found) == 0)
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if ((unsigned long) found.f_type == known[i].type)
                return known[i].name;
    return "another file system";
}

void make_file(char *path, size_t size)
{
    static const char data[READ_SIZE];
    int fd = mkstemp(path);

    fail_if(fd < 0, "mkstemp");
    for (size_t done = 0; done < size; done += sizeof data)
        fail_if(write(fd, data, sizeof data) != sizeof data, "write");
    fail_if(fsync(fd) < 0, "fsync"); /* A close finds nothing to write. */
    close(fd);
}

static void measure(struct bench *bench, const struct kind *kind,
                    struct row *row, const char *path)
{
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            struct load load = {kind->peers[peer],
                                {path, NULL, kind->count, kind->step}};
            double result;

            if (load.peer != NULL && in_child(run_load, &load, &result, 1))
                row_add(row, peer, result);
        }
    }
    row_print(bench, row);
}

static double limit_of(const struct kind *kind)
{
    const char *name = file_system();
    bool is_refused = strcmp(name, "tmpfs") == 0 ||
                      strcmp(name, "overlayfs") == 0;

    return is_refused && kind->limit_refused > 0 ? kind->limit_refused
                                                 : kind->limit;
}

static void bench_kind(struct bench *bench, const struct kind *kind)
{
    char path[] = "aloop_bench.XXXXXX", name[64];
    struct row row = {.work = name, .aim = kind->aim, .limit = limit_of(kind)};

    if (kind->is_job_on_overlay && strcmp(file_system(), "overlayfs") == 0)
        row.aim = AIM_NONE;
    snprintf(name, sizeof name, "%s, %s", kind->text, file_system());
    if (!is_wanted(bench, name))
        return;
    make_file(path, READ_SIZE + kind->count * kind->step);
    measure(bench, kind, &row, path);
    unlink(path);
}

void bench_files(struct bench *bench)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        bench_kind(bench, &kinds[i]);
}
