/* Files beside a real filter of system calls, as containers and services have:
 * whatever it refuses, each operation gives the same result. */

#define _GNU_SOURCE /* For mkdtemp() and syscall(). */

#include "support/folder_fixture.h"

#include <errno.h>

#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

#if defined __linux__

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

/* Calls that a kernel may not have, or that a filter may not know. */
static const struct call {
    const char *name;
    int number;
} calls[] = {
    {"openat2", 437},
    {"cachestat", 451},
    {"statmount", 457},
    {"process_madvise", 440},
    {"epoll_pwait2", 441},
    {"preadv2", SYS_preadv2},
    {"pwritev2", SYS_pwritev2},
    {"statx", SYS_statx},
    {"copy_file_range", SYS_copy_file_range},
    {"getrandom", SYS_getrandom},
    {"eventfd2", SYS_eventfd2},
    {"splice", SYS_splice},
    {"madvise", SYS_madvise},
#if !WITH_ASAN /* It asks for the stack of each thread with this call. */
    {"sched_getaffinity", SYS_sched_getaffinity},
#endif
};

enum { CALLS = sizeof calls / sizeof calls[0] };

static const struct call threads = {"clone3", 435};

/* Makes the kernel refuse `count` calls with `error`.  Returns false if it has
 * no filters. */
static bool refuse(const struct call *refused, size_t count, int error)
{
    struct sock_filter steps[CALLS + 3];
    struct sock_fprog filter = {.filter = steps};
    unsigned short size = 0;

    steps[size++] = (struct sock_filter) BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++)
        steps[size++] = (struct sock_filter) BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned) refused[i].number,
            (unsigned char) (count - i), 0);
    steps[size++] =
        (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    steps[size++] = (struct sock_filter) BPF_STMT(
        BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error);
    filter.len = size;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (syscall(refused[i].number, -1, 0, 0, 0, 0, 0) != -1 ||
            errno != error)
            return false;
    return true;
}

#endif

/* What each operation gives. */

enum { SIZE = 10, BIG_SIZE = 3 << 20, TASKS = 100 };
static const char digits[] = "0123456789";
static char big[BIG_SIZE], big_found[BIG_SIZE];

static ssize_t done(aloop_future *future)
{
    return aloop_await(future);
}

static void use_open_file(const char *path)
{
    char text[SIZE + 1] = "", more[4] = "";
    struct iovec parts[] = {{text, 4}, {more, 3}};
    aloop_file *file = NULL;
    aloop_stat stat;

    for (int i = 0; i < 3; i++) {
        CHECK(done(aloop_file_open(d.loop, path, O_RDONLY, 0, &file)) == 0);
        CHECK(done(aloop_file_read(file, text, 4)) == 4);
        CHECK(done(aloop_file_read(file, text + 4, SIZE)) == 6);
        CHECK(strcmp(text, digits) == 0);
        CHECK(done(aloop_file_read(file, text, 1)) == 0);
        CHECK(done(aloop_file_readv_at(file, parts, 2, 2)) == 7);
        CHECK(memcmp(text, "2345", 4) == 0 && strcmp(more, "678") == 0);
        aloop_file_close(file);
        wait_for_threads();
    }
    CHECK(done(aloop_file_open(d.loop, path, O_RDWR, 0, &file)) == 0);
    CHECK(done(aloop_file_seek_end(file, 0)) == 0);
    CHECK(done(aloop_file_write(file, "abc", 3)) == 3);
    CHECK(done(aloop_file_writev_at(file, parts, 2, 0)) == 7);
    CHECK(done(aloop_file_read_at(file, text, SIZE, 5)) == 8);
    CHECK(memcmp(text, "78789abc", 8) == 0);
    CHECK(done(aloop_file_truncate(file, SIZE)) == 0);
    CHECK(done(aloop_file_datasync(file)) == 0);
    CHECK(done(aloop_file_stat(file, &stat)) == 0 && stat.size == SIZE);
    aloop_file_close(file);
}

static void use_whole_files(const char *path)
{
    char target[600];
    void *data = NULL;

    snprintf(target, sizeof target, "%s.copy", path);
    CHECK(done(aloop_fs_write_file(d.loop, path, digits, SIZE, 0640)) == SIZE);
    for (int i = 0; i < 40; i++) {
        CHECK(done(aloop_fs_read_file(d.loop, path, SIZE, &data)) == SIZE);
        CHECK(strcmp(data, digits) == 0);
        aloop_data_free(d.loop, data);
    }
    CHECK(done(aloop_fs_read_file(d.loop, path, SIZE - 1, &data)) ==
          ALOOP_EFBIG);
    CHECK(done(aloop_fs_read_file(d.loop, d.folder, SIZE, &data)) ==
          ALOOP_EISDIR);
#if defined __linux__
    CHECK(done(aloop_fs_read_file(d.loop, "/proc/self/status", 1 << 20,
                                  &data)) > 0);
    CHECK(strstr(data, "Seccomp:") != NULL);
    aloop_data_free(d.loop, data);
#endif
    CHECK(done(aloop_fs_replace_file(d.loop, target, big, BIG_SIZE, 0600)) ==
          BIG_SIZE);
    CHECK(unlink(target) == 0);
    CHECK(done(aloop_fs_copy(d.loop, path, target, NULL)) == SIZE);
    CHECK(done(aloop_fs_read_file(d.loop, target, SIZE, &data)) == SIZE);
    CHECK(strcmp(data, digits) == 0);
    aloop_data_free(d.loop, data);
    CHECK(unlink(target) == 0);
}

/* A hole, and data behind it. */
static void use_copy_of_hole(const char *path)
{
    aloop_copy_options options = {.size = sizeof options, .is_replacing = true};
    char target[600];
    aloop_stat from, to;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    snprintf(target, sizeof target, "%s.copy", path);
    CHECK(fd >= 0 && pwrite(fd, big, 100000, BIG_SIZE - 100000) == 100000);
    CHECK(done(aloop_fs_copy(d.loop, path, target, &options)) == BIG_SIZE);
    CHECK(done(aloop_fs_stat(d.loop, path, &from)) == 0);
    CHECK(done(aloop_fs_stat(d.loop, target, &to)) == 0);
    CHECK(from.size == BIG_SIZE && to.size == BIG_SIZE);
    close(fd);
    fd = open(target, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, big_found, BIG_SIZE, 0) == BIG_SIZE);
    CHECK(big_found[0] == 0 &&
          memcmp(big_found + BIG_SIZE - 100000, big, 100000) == 0);
    close(fd);
    CHECK(unlink(target) == 0 && unlink(path) == 0);
}

static void use_names(void)
{
    char path[600], other[600], text[600];
    aloop_dir_entry *entries = NULL;
    aloop_file *file = NULL;
    aloop_statvfs system;
    aloop_stat stat;

    snprintf(path, sizeof path, "%s/tree/b/c", d.folder);
    CHECK(done(aloop_fs_mkdir_all(d.loop, path, 0700)) == 3);
    snprintf(other, sizeof other, "%s/tree/link", d.folder);
    CHECK(done(aloop_fs_symlink(d.loop, "b/c", other)) == 0);
    CHECK(done(aloop_fs_readlink(d.loop, other, text, sizeof text)) == 3);
    CHECK(done(aloop_fs_realpath(d.loop, other, text, sizeof text)) > 0);
    CHECK(strstr(text, "/tree/b/c") != NULL);
    CHECK(done(aloop_fs_lstat(d.loop, other, &stat)) == 0);
    CHECK(stat.type == ALOOP_FILE_LINK);
    CHECK(done(aloop_fs_utimens(d.loop, path, ALOOP_SEC(5), ALOOP_SEC(6))) ==
          0);
    CHECK(done(aloop_fs_chmod(d.loop, path, 0750)) == 0);
    CHECK(done(aloop_fs_stat(d.loop, path, &stat)) == 0);
    CHECK(stat.mode == 0750 && stat.modified_ns == ALOOP_SEC(6));
    CHECK(done(aloop_fs_statvfs(d.loop, path, &system)) == 0);
    CHECK(done(aloop_fs_access(d.loop, path, R_OK)) == 0);
    snprintf(text, sizeof text, "%s/tree/XXXXXX", d.folder);
    CHECK(done(aloop_fs_mkstemp(d.loop, text, &file)) == 0);
    aloop_file_close(file);
    CHECK(done(aloop_fs_rename(d.loop, text, other)) == 0);
    snprintf(path, sizeof path, "%s/tree", d.folder);
    CHECK(done(aloop_fs_scan(d.loop, path, 10, &entries)) == 2);
    CHECK(strcmp(entries[0].name, "b") == 0);
    aloop_data_free(d.loop, entries);
    CHECK(done(aloop_fs_remove_all(d.loop, path)) >= 0);
    CHECK(access(path, F_OK) < 0);
}

/* Bytes of a file and of a pipe, as streams. */
static void use_streams(const char *path)
{
    aloop_stream *stream = NULL, *from = NULL, *to = NULL;
    char text[SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0 && aloop_stream_open(d.loop, fd, &stream) == 0);
    CHECK(done(aloop_stream_read_exactly(stream, text, SIZE)) == SIZE);
    CHECK(memcmp(text, digits, SIZE) == 0);
    aloop_stream_close(stream);
    CHECK(aloop_pipe_open(d.loop, &from, &to) == 0);
    CHECK(done(aloop_stream_write(to, digits, SIZE)) == SIZE);
    CHECK(done(aloop_stream_read_exactly(from, text, SIZE)) == SIZE);
    CHECK(memcmp(text, digits, SIZE) == 0);
    aloop_stream_close(from);
    CHECK(done(aloop_stream_write(to, digits, SIZE)) == ALOOP_EPIPE);
    aloop_stream_close(to);
}

static void use_adopted(const char *path)
{
    aloop_file *file = NULL;
    char text[SIZE];
    int fds[2];

    CHECK(pipe(fds) == 0 && patient_write(fds[1], digits, SIZE) == SIZE);
    CHECK(aloop_file_adopt(d.loop, fds[0], &file) == 0);
    CHECK(aloop_file_position(file) == ALOOP_ESPIPE);
    CHECK(done(aloop_file_read(file, text, SIZE)) == SIZE);
    aloop_file_close(file);
    close(fds[1]);
    fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(aloop_file_adopt(d.loop, fds[0], &file) == 0);
    CHECK(done(aloop_file_read(file, text, SIZE)) == SIZE);
    CHECK(aloop_file_position(file) == SIZE);
    aloop_file_close(file);
}

#if defined __linux__
/* Accepts seeks, but has no position. */
static void use_adopted_timer(void)
{
    const struct itimerspec soon = {.it_value.tv_nsec = 1};
    aloop_file *file = NULL;
    uint64_t count = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    CHECK(fd >= 0 && timerfd_settime(fd, 0, &soon, NULL) == 0);
    CHECK(aloop_file_adopt(d.loop, fd, &file) == 0);
    CHECK(aloop_file_position(file) == ALOOP_ESPIPE);
    CHECK(done(aloop_file_read(file, &count, sizeof count)) == sizeof count);
    CHECK(count == 1);
    aloop_file_close(file);
}
#endif

static ssize_t sleep_a_little(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, 1000));
}

static void use_tasks(void)
{
    aloop_future *tasks[TASKS];

    for (int i = 0; i < TASKS; i++)
        tasks[i] = aloop_spawn(d.loop, sleep_a_little, NULL);
    CHECK(done(aloop_gather_array(d.loop, TASKS, tasks)) == 0);
}

static void use_all(void)
{
    int descriptors = count_descriptors();
    char path[600];

    d.loop = aloop_new(NULL);
    CHECK(d.loop != NULL && aloop_fd(d.loop) >= 0);
    memset(big, 'b', sizeof big);
    snprintf(path, sizeof path, "%s/a", d.folder);
    use_whole_files(path);
    use_open_file(path);
    CHECK(done(aloop_fs_write_file(d.loop, path, digits, SIZE, 0640)) == SIZE);
    use_streams(path);
    use_adopted(path);
#if defined __linux__
    use_adopted_timer();
#endif
    use_copy_of_hole(path);
    use_names();
    use_tasks();
    CHECK(aloop_free(d.loop) == 0);
    CHECK(count_descriptors() == descriptors);
}

static void everything_works_without_a_filter(void **state)
{
    (void) state;
    assert_int_equal(aloop_free(d.loop), 0);
    use_all();
    open_loop(NULL);
}

#if defined __linux__

/* Calls `use` in a child, beside a filter. */
static void use_refused(const struct call *refused, size_t count, int error,
                        void (*use)(void))
{
    pid_t child;

    if (!HAS_THREADS_AFTER_FORK || patient_runs_on_valgrind())
        skip();
    child = fork();
    if (child == 0) {
        alarm((unsigned) patient_limit(60));
        CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
        if (!refuse(refused, count, error))
            _exit(CHILD_SKIPS);
        use();
        _exit(0);
    }
    if (!has_child_succeeded(child))
        skip();
}

static void a_filter_that_refuses_a_call_changes_no_result(void **state)
{
    static const int errors[] = {EPERM, ENOSYS};

    (void) state;
    for (size_t i = 0; i < CALLS; i++)
        for (size_t j = 0; j < sizeof errors / sizeof errors[0]; j++) {
            print_message("%s, %s\n", calls[i].name, strerror(errors[j]));
            use_refused(&calls[i], 1, errors[j], use_all);
        }
}

/* A C library that knows clone3() uses another call after ENOSYS only. */
static void use_without_threads(void)
{
    char path[600];
    ssize_t status;

    d.loop = aloop_new(NULL);
    snprintf(path, sizeof path, "%s/a", d.folder);
    for (int i = 0; i < 3; i++) {
        status = done(aloop_fs_write_file(d.loop, path, digits, SIZE, 0600));
        CHECK(status == ALOOP_EPERM || status == SIZE);
    }
    CHECK(done(aloop_sleep(d.loop, 1000)) == 0);
    CHECK(aloop_free(d.loop) == 0);
}

static void a_filter_that_refuses_threads_ends_each_operation(void **state)
{
    (void) state;
    use_refused(&threads, 1, ENOSYS, use_all);
    use_refused(&threads, 1, EPERM, use_without_threads);
}

static void a_filter_that_refuses_all_of_them_changes_no_result(void **state)
{
    (void) state;
    use_refused(calls, CALLS, EPERM, use_all);
    use_refused(calls, CALLS, ENOSYS, use_all);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_works_without_a_filter),
#if defined __linux__
        TEST(a_filter_that_refuses_a_call_changes_no_result),
        TEST(a_filter_that_refuses_all_of_them_changes_no_result),
        TEST(a_filter_that_refuses_threads_ends_each_operation),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
