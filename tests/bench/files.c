/* Reads of cached files, by hand with pread().  The file is in the working
 * directory, whose file system decides what is possible without a thread. */

#define _GNU_SOURCE

#include "files.h"

#include <aloop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { READS = 50000 };

static void hand_read(const char *path, void *buffer, size_t count)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    for (size_t i = 0; i < count; i++)
        fail_if(pread(fd, buffer, READ_SIZE, 0) != READ_SIZE, "pread");
    close(fd);
}

struct reads {
    const char *path;
    void *buffer;
    size_t count;
};

static ssize_t do_reads(aloop *loop, void *arg)
{
    const struct reads *reads = arg;
    aloop_file *file;

    fail_if(
        aloop_await(aloop_file_open(loop, reads->path, O_RDONLY, 0, &file)) < 0,
        "open");
    for (size_t i = 0; i < reads->count; i++)
        fail_if(aloop_await(aloop_file_read_at(file, reads->buffer, READ_SIZE,
                                               0)) != READ_SIZE,
                "read");
    aloop_file_close(file);
    return 0;
}

static void aloop_read(const char *path, void *buffer, size_t count)
{
    struct reads reads = {path, buffer, count};

    fail_if(aloop_main(do_reads, &reads) < 0, "reads");
}

static const files_peer peers[PEERS] = {
    [HAND] = hand_read,
    [ALOOP] = aloop_read,
#ifdef BENCH_UV
    [UV] = files_uv,
#endif
};

struct load {
    files_peer peer;
    const char *path;
};

static void run_load(const void *arg, double *results)
{
    static _Alignas(64) char buffer[READ_SIZE];
    const struct load *load = arg;
    int64_t begin_ns = cpu_ns();

    load->peer(load->path, buffer, READS);
    results[0] = (double) (cpu_ns() - begin_ns) / READS;
}

static const char *file_system(void)
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

static void measure(struct bench *bench, struct row *row, const char *path)
{
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            struct load load = {peers[peer], path};
            double result;

            if (load.peer != NULL && in_child(run_load, &load, &result, 1))
                row_add(row, peer, result);
        }
    }
    row_print(bench, row);
}

void bench_files(struct bench *bench)
{
    static const char data[READ_SIZE];
    char path[] = "aloop_bench.XXXXXX", name[64];
    struct row row = {.work = name, .aim = AIM_RATIO, .limit = 1.3};
    int fd;

    snprintf(name, sizeof name, "cached read of 4 KiB, %s", file_system());
    if (!is_wanted(bench, name))
        return;
    fd = mkstemp(path);
    fail_if(fd < 0 || write(fd, data, sizeof data) != READ_SIZE, "a file");
    close(fd);
    measure(bench, &row, path);
    unlink(path);
}
