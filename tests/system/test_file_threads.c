/* The threads for files on the real system: whose memory they use, and which
 * file systems need them. */

#define _GNU_SOURCE /* For unshare() and syscall(). */

#include "support/folder_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

#if defined __linux__
#include <linux/fuse.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

/* Memory. */

static struct {
    pthread_t owner;
    unsigned calls;
    unsigned strange; /* From other threads. */
} memory;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void) context;
    if (pthread_equal(pthread_self(), memory.owner))
        memory.calls++;
    else
        memory.strange++; /* Only one thread has to do this. */
    return aloop__alloc_default.resize(NULL, old, old_size, new_size);
}

static ssize_t use_memory(void *arg)
{
    void *block = malloc(1000);

    (void) arg;
    free(block);
    return block != NULL ? 0 : ALOOP_ENOMEM;
}

/* Does what needs memory while a thread works: files whose size is unknown,
 * names, copies, trees and look-ups. */
static void use_all_lanes(void)
{
    char from[600], to[600], text[600] = "";
    aloop_dir_entry *entries = NULL;
    aloop_address *addresses = NULL;
    void *data = NULL;

    snprintf(from, sizeof from, "%s/from", d.folder);
    snprintf(to, sizeof to, "%s/to", d.folder);
    assert_true(
        aloop_await(aloop_fs_write_file(d.loop, from, text, 500, 0600)) == 500);
    assert_true(aloop_await(aloop_fs_replace_file(d.loop, from, text, 600,
                                                  0600)) == 600);
    assert_int_equal(aloop_await(aloop_fs_copy(d.loop, from, to, NULL)), 600);
    (void) aloop_await(
        aloop_fs_read_file(d.loop, "/proc/self/maps", 1 << 24, &data));
    aloop_data_free(d.loop, data);
    assert_int_equal(
        aloop_await(aloop_fs_scan(d.loop, d.folder, 100, &entries)), 2);
    aloop_data_free(d.loop, entries);
    assert_true(aloop_await(aloop_fs_realpath(d.loop, d.folder, text,
                                              sizeof text)) > 0);
    snprintf(text, sizeof text, "%s/tree/a/b", d.folder);
    assert_true(aloop_await(aloop_fs_mkdir_all(d.loop, text, 0700)) >= 0);
    snprintf(text, sizeof text, "%s/tree", d.folder);
    assert_true(aloop_await(aloop_fs_remove_all(d.loop, text)) >= 0);
    (void) aloop_await(
        aloop_resolve(d.loop, "localhost", "80", ALOOP_FAMILY_ANY, &addresses));
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(aloop_work(d.loop, use_memory, NULL)), 0);
}

static void threads_use_no_memory_of_the_loop(void **state)
{
    aloop_options options = {.size = sizeof options, .resize = resize};

    (void) state;
    memory.owner = pthread_self();
    memory.calls = memory.strange = 0;
    reopen_loop(&options);
    use_all_lanes();
    assert_int_equal(aloop_free(d.loop), 0);
    assert_true(memory.calls > 0);
    assert_int_equal(memory.strange, 0);
    open_loop(NULL);
}

#if defined __linux__

/* File systems. */

enum { TMPFS = 0x01021994, CACHESTAT = 451, OPENAT2 = 437, SIZE = 10 };
enum { STATMOUNT = 457, EXT4 = 0xef53 };

static bool is_settled(aloop_future *future, ssize_t expected)
{
    bool was_settled = aloop_future_is_settled(future);

    assert_int_equal(aloop_await(future), expected);
    return was_settled;
}

/* Returns whether the kernel has the calls, and a tmpfs for them. */
static bool has_tmpfs(const char *folder)
{
    struct statfs found;

    return statfs(folder, &found) == 0 && found.f_type == TMPFS &&
           syscall(CACHESTAT, -1, NULL, NULL, 0) < 0 && errno == EBADF &&
           syscall(OPENAT2, -1, "x", NULL, 0) < 0 && errno == EINVAL;
}

static void files_of_tmpfs_are_read_without_a_thread(void **state)
{
    char path[] = "/dev/shm/aloop.XXXXXX", bytes[SIZE];
    aloop_file *file = NULL;
    int fd = has_tmpfs("/dev/shm") ? mkstemp(path) : -1;

    (void) state;
    if (fd < 0)
        skip();
    assert_int_equal(patient_write(fd, "0123456789", SIZE), SIZE);
    close(fd);
    assert_false(
        is_settled(aloop_file_open(d.loop, path, O_RDONLY, 0, &file), 0));
    assert_true(is_settled(aloop_file_read(file, bytes, SIZE), SIZE));
    aloop_file_close(file);
    assert_true(
        is_settled(aloop_file_open(d.loop, path, O_RDONLY, 0, &file), 0));
    assert_true(is_settled(aloop_file_read_at(file, bytes, SIZE, 4), 6));
    assert_memory_equal(bytes, "456789", 6);
    assert_true(is_settled(aloop_file_read_at(file, bytes, SIZE, 10), 0));
    aloop_file_close(file);
    assert_int_equal(unlink(path), 0);
    wait_for_threads();
}

static unsigned count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned count = 0;

    while (tasks != NULL && readdir(tasks) != NULL)
        count++;
    if (tasks != NULL)
        closedir(tasks);
    return count;
}

static void write_to_disk(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void read_opened(const char *path)
{
    aloop_file *file = NULL;
    char bytes[SIZE];

    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, path, O_RDONLY, 0, &file)), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(aloop_await(aloop_file_read_at(file, bytes, SIZE, 0)),
                         SIZE);
    aloop_file_close(file);
}

/* Also those that a turn has no room for. */
static void read_whole_files(const char *path)
{
    aloop_future *reads[100];
    void *data[100];

    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 100; j++)
            reads[j] = aloop_fs_read_file(d.loop, path, SIZE, &data[j]);
        for (int j = 0; j < 100; j++) {
            assert_int_equal(aloop_await(reads[j]), SIZE);
            aloop_data_free(d.loop, data[j]);
        }
    }
}

/* The kernel may refuse an open of a cached name now and then.  A file is
 * closed without a thread when its data are on the disk. */
static void expect_no_thread(void (*use)(const char *path))
{
    char path[600];
    struct statfs found;
    unsigned before = count_threads(), after = before + 1;

    snprintf(path, sizeof path, "%s/a", d.folder);
    assert_int_equal(aloop_await(aloop_fs_write_file(d.loop, path, "0123456789",
                                                     SIZE, 0600)),
                     SIZE);
    write_to_disk(path);
    if (statfs(d.folder, &found) < 0 || found.f_type != EXT4 ||
        (syscall(STATMOUNT, NULL, NULL, 0, 0) < 0 && errno != EFAULT))
        skip();
    for (int i = 0; i < 100 && after > before; i++) {
        reopen_loop(NULL);
        before = count_threads();
        use(path);
        aloop_run(d.loop);
        after = count_threads();
        wait_for_threads();
    }
    assert_int_equal(after, before);
}

static void the_first_file_of_a_local_disk_needs_no_thread(void **state)
{
    (void) state;
    expect_no_thread(read_opened);
}

static void whole_files_of_a_local_disk_need_no_thread(void **state)
{
    (void) state;
    expect_no_thread(read_whole_files);
}

/* The first close after the truncation writes to the disk: 21 ms were seen for
 * 64 MiB.  A thread that was started is counted until the loop ends. */
static void a_reader_of_a_file_that_is_being_written_is_closed_by_a_thread(
    void **state)
{
    unsigned before, after;
    aloop_file *file = NULL;
    char path[600];
    int fd;

    (void) state;
    snprintf(path, sizeof path, "%s/a", d.folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "0123456789", SIZE, 0), SIZE);
    reopen_loop(NULL);
    before = count_threads();
    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, path, O_RDONLY, 0, &file)), 0);
    aloop_file_close(file);
    aloop_run(d.loop);
    after = count_threads();
    close(fd);
    assert_int_equal(after, before + 1);
}

/* The thread may not be idle yet when the loop has another operation. */
static void operations_one_after_the_other_need_one_thread(void **state)
{
    unsigned before = count_threads();
    aloop_stat stat;

    (void) state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(aloop_await(aloop_fs_stat(d.loop, d.folder, &stat)),
                         0);
    assert_int_equal(count_threads(), before > 0 ? before + 1 : 0);
}

/* A file system whose server is a process, which answers when it may. */

struct fuse_answer {
    struct fuse_out_header header;
    union {
        struct fuse_init_out init;
        struct fuse_entry_out entry;
        struct fuse_attr_out attributes;
        struct fuse_open_out open;
        char data[SIZE];
    } body;
};

static struct {
    int device;
    int asked[2];   /* The server writes a byte for each request. */
    int allowed[2]; /* And reads one before its answer. */
    int requests, held;
    bool is_held;
    bool is_known; /* The kernel may keep names and attributes. */
} f;

static struct fuse_attr attributes_of(uint64_t node)
{
    return (struct fuse_attr){.ino = node,
                              .size = node == 1 ? 0 : SIZE,
                              .mode = node == 1 ? S_IFDIR | 0755
                                                : S_IFREG | 0644,
                              .nlink = 1,
                              .blksize = 4096};
}

/* Returns the size of the body, or a negative error. */
static int answer_of(const struct fuse_in_header *in, struct fuse_answer *out)
{
    const struct fuse_read_in *read_in = (const void *) (in + 1);
    size_t offset;

    switch (in->opcode) {
    case FUSE_INIT:
        out->body.init = (struct fuse_init_out){.major = FUSE_KERNEL_VERSION,
                                                .minor = 31,
                                                .max_write = 4096};
        return sizeof out->body.init;
    case FUSE_LOOKUP:
        if (strcmp((const char *) (in + 1), "a") != 0)
            return -ENOENT;
        out->body.entry =
            (struct fuse_entry_out){.nodeid = 2,
                                    .entry_valid = f.is_known ? 3600 : 0,
                                    .attr_valid = f.is_known ? 3600 : 0,
                                    .attr = attributes_of(2)};
        return sizeof out->body.entry;
    case FUSE_GETATTR:
        out->body.attributes =
            (struct fuse_attr_out){.attr = attributes_of(in->nodeid)};
        return sizeof out->body.attributes;
    case FUSE_OPEN:
        return sizeof out->body.open;
    case FUSE_READ:
        offset = read_in->offset < SIZE ? read_in->offset : SIZE;
        memcpy(out->body.data, &"0123456789"[offset], SIZE - offset);
        return (int) (SIZE - offset);
    case FUSE_FLUSH:
    case FUSE_RELEASE:
        return 0;
    default:
        return -ENOSYS;
    }
}

/* Returns whether a call waits for the answer.  The kernel sends FUSE_RELEASE
 * some time after the close. */
static bool is_awaited(const struct fuse_in_header *in)
{
    return in->opcode != FUSE_INIT && in->opcode != FUSE_RELEASE;
}

static void serve(void)
{
    static _Alignas(8) char request[1 << 18];
    const struct fuse_in_header *in = (const void *) request;

    close(f.asked[0]);
    close(f.allowed[1]);
    while (patient_read(f.device, request, sizeof request) > 0) {
        struct fuse_answer out = {.header.unique = in->unique};
        int result = answer_of(in, &out);
        char byte = 0;

        if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
            in->opcode == FUSE_INTERRUPT)
            continue;
        if (is_awaited(in) && (patient_write(f.asked[1], &byte, 1) != 1 ||
                               patient_read(f.allowed[0], &byte, 1) != 1))
            _exit(1);
        out.header.error = result < 0 ? result : 0;
        out.header.len =
            (uint32_t) (sizeof out.header + (result > 0 ? (size_t) result : 0));
        CHECK(patient_write(f.device, &out, out.header.len) > 0 ||
              errno == ENOENT);
    }
    _exit(0);
}

static void allow(void)
{
    CHECK(patient_write(f.allowed[1], "", 1) == 1);
}

/* Only the loop lets the server answer: a call that blocked the loop would not
 * return. */
static void on_asked(aloop_poll *poll, unsigned events, void *arg)
{
    char byte;

    (void) poll;
    (void) events;
    (void) arg;
    CHECK(patient_read(f.asked[0], &byte, 1) == 1);
    f.requests++;
    if (f.is_held)
        f.held++;
    else
        allow();
}

/* Mounts in the folder are those of this process. */
static bool may_mount(void)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool mount_fuse(void)
{
    char options[100];

    f.device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=0,group_id=0", f.device);
    return f.device >= 0 &&
           mount("aloop", d.folder, "fuse", MS_NOSUID | MS_NODEV, options) == 0;
}

/* What was read before, where the slow server is now. */
enum before { NOTHING, FILE_OF_TMPFS, FILE_OF_FOLDER, FILE_OF_WORKING_FOLDER };

static void read_whole(const char *path)
{
    void *data;

    CHECK(aloop_await(aloop_fs_write_file(d.loop, path, "0123456789", SIZE,
                                          0600)) == SIZE);
    for (int i = 0; i < 3; i++) {
        CHECK(aloop_await(aloop_fs_read_file(d.loop, path, SIZE, &data)) ==
              SIZE);
        aloop_data_free(d.loop, data);
    }
    wait_for_threads();
}

/* The next file system without a disk gets the number of the device of the
 * tmpfs, unless another process is faster. */
static void use_before(enum before before, const char *path)
{
    if (before == FILE_OF_TMPFS)
        CHECK(mount("aloop", d.folder, "tmpfs", MS_NOSUID | MS_NODEV, "") == 0);
    if (before == FILE_OF_WORKING_FOLDER)
        CHECK(chdir(d.folder) == 0);
    if (before != NOTHING)
        read_whole(path);
    if (before == FILE_OF_TMPFS)
        CHECK(umount(d.folder) == 0);
}

/* Uses the file in each way, several times: what is known of it after the first
 * one must not make the loop call the server. */
static void use_slow_file(const char *path)
{
    char bytes[SIZE + 1] = "";
    aloop_file *file = NULL;
    aloop_stat stat;
    void *data;

    CHECK(aloop_await(aloop_file_open(d.loop, path, O_RDONLY, 0, &file)) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(aloop_await(aloop_file_read_at(file, bytes, SIZE, 0)) == SIZE);
        CHECK(strcmp(bytes, "0123456789") == 0);
        CHECK(aloop_await(aloop_file_stat(file, &stat)) == 0);
        CHECK(stat.size == SIZE);
    }
    CHECK(aloop_await(aloop_fs_stat(d.loop, path, &stat)) == 0);
    CHECK(aloop_await(aloop_fs_read_file(d.loop, path, 100, &data)) == SIZE);
    aloop_data_free(d.loop, data);
    aloop_file_close(file);
    wait_for_threads();
}

/* While the server is silent, timers fire, and a cancel waits for the
 * thread. */
static void wait_for_silent_server(const char *path)
{
    aloop_stat stat;
    aloop_future *look = aloop_fs_stat(d.loop, path, &stat);

    f.is_held = true;
    while (f.held == 0)
        CHECK(aloop_step(d.loop, -1) >= 0);
    aloop_cancel(look);
    for (int i = 0; i < 3; i++)
        CHECK(aloop_await(aloop_sleep(d.loop, ALOOP_MS(1))) == 0);
    CHECK(!aloop_future_is_settled(look));
    f.is_held = false;
    allow();
    CHECK(aloop_await(look) == 0);
    wait_for_threads();
}

static ssize_t enter_folder(void *arg)
{
    (void) arg;
    return chdir(d.folder);
}

static void run_child(enum before before)
{
    aloop_poll *poll;
    pid_t server;
    int status;
    char path[600] = "a";

    CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
    d.loop = aloop_new(NULL);
    if (!may_mount())
        _exit(CHILD_SKIPS);
    if (before != FILE_OF_WORKING_FOLDER)
        snprintf(path, sizeof path, "%s/a", d.folder);
    use_before(before, path);
    f.is_known = before != NOTHING;
    if (!mount_fuse())
        _exit(CHILD_SKIPS);
    CHECK(pipe(f.asked) == 0 && pipe(f.allowed) == 0);
    server = fork();
    if (server == 0)
        serve();
    alarm((unsigned) patient_limit(60)); /* If the loop is blocked. */
    close(f.device);
    CHECK(aloop_poll_start(d.loop, f.asked[0], ALOOP_POLL_READABLE, on_asked,
                           NULL, &poll) == 0);
    if (before == FILE_OF_WORKING_FOLDER)
        CHECK(aloop_await(aloop_work(d.loop, enter_folder, NULL)) == 0);
    for (int i = 0; i < 3; i++)
        use_slow_file(path);
    if (before == NOTHING) {
        wait_for_silent_server(path);
        CHECK(f.requests > 20);
    }
    CHECK(aloop_free(d.loop) == 0);
    CHECK(chdir("/") == 0 && umount2(d.folder, MNT_DETACH) == 0);
    CHECK(patient_waitpid(server, &status, 0) == server);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void use_slow_server(enum before before)
{
    pid_t child;

    /* valgrind lets no other thread run during an fstat(). */
    if (!HAS_THREADS_AFTER_FORK || patient_runs_on_valgrind())
        skip();
    child = fork();
    if (child == 0)
        run_child(before);
    if (!has_child_succeeded(child))
        skip();
}

static void a_slow_server_of_files_does_not_block_the_loop(void **state)
{
    (void) state;
    use_slow_server(NOTHING);
}

static void a_slow_server_in_the_place_of_tmpfs_does_not_either(void **state)
{
    (void) state;
    use_slow_server(FILE_OF_TMPFS);
}

static void a_slow_server_in_the_place_of_a_known_path_does_not(void **state)
{
    (void) state;
    use_slow_server(FILE_OF_FOLDER);
}

static void a_slow_server_of_the_new_working_folder_does_not(void **state)
{
    (void) state;
    use_slow_server(FILE_OF_WORKING_FOLDER);
}

/* A program that has to permit each open and read, which is the loop itself
 * here: a call that waited on the loop's thread would not return. */
static void on_checked(aloop_poll *poll, unsigned events, void *arg)
{
    struct fanotify_event_metadata seen[8], *one = seen;
    int group = *(int *) arg;
    ssize_t size = patient_read(group, seen, sizeof seen);

    (void) poll;
    (void) events;
    for (; FAN_EVENT_OK(one, size); one = FAN_EVENT_NEXT(one, size)) {
        struct fanotify_response answer = {.fd = one->fd,
                                           .response = FAN_ALLOW};

        CHECK(patient_write(group, &answer, sizeof answer) == sizeof answer);
        close(one->fd);
        f.requests++;
    }
}

static void run_checked_child(void)
{
    aloop_options options = {.size = sizeof options,
                             .must_use_file_threads = true};
    aloop_poll *poll;
    int group;
    char path[600];

    CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
    d.loop = aloop_new(&options);
    snprintf(path, sizeof path, "%s/a", d.folder);
    read_whole(path);
    group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
    if (group < 0 ||
        fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ACCESS_PERM,
                      AT_FDCWD, path) < 0)
        _exit(CHILD_SKIPS);
    alarm((unsigned) patient_limit(60)); /* If the loop is blocked. */
    CHECK(aloop_poll_start(d.loop, group, ALOOP_POLL_READABLE, on_checked,
                           &group, &poll) == 0);
    for (int i = 0; i < 3; i++)
        use_slow_file(path);
    CHECK(f.requests >= 3 * 4);
    CHECK(aloop_free(d.loop) == 0);
    close(group);
    _exit(0);
}

static void a_check_of_each_open_and_read_does_not_block_the_loop(void **state)
{
    pid_t child;

    (void) state;
    if (!HAS_THREADS_AFTER_FORK || patient_runs_on_valgrind())
        skip();
    child = fork();
    if (child == 0)
        run_checked_child();
    if (!has_child_succeeded(child))
        skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(threads_use_no_memory_of_the_loop),
#if defined __linux__
        TEST(files_of_tmpfs_are_read_without_a_thread),
        TEST(the_first_file_of_a_local_disk_needs_no_thread),
        TEST(whole_files_of_a_local_disk_need_no_thread),
        TEST(a_reader_of_a_file_that_is_being_written_is_closed_by_a_thread),
        TEST(operations_one_after_the_other_need_one_thread),
        TEST(a_slow_server_of_files_does_not_block_the_loop),
        TEST(a_slow_server_in_the_place_of_tmpfs_does_not_either),
        TEST(a_slow_server_in_the_place_of_a_known_path_does_not),
        TEST(a_slow_server_of_the_new_working_folder_does_not),
        TEST(a_check_of_each_open_and_read_does_not_block_the_loop),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
