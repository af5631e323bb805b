/* Whole files on the real system. */

#define _GNU_SOURCE /* For mkdtemp() and unshare(). */

#include "support/open_file_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

#if defined __linux__
#include <sys/mount.h>
#endif

enum { BIG = 300001, FIFOS = 6, OTHER_USER = 12345 };

static char big[BIG];

static ssize_t read_whole(const char *path, size_t size_max, void **ret_data)
{
    *ret_data = NULL;
    return aloop_await(aloop_fs_read_file(d.loop, path, size_max, ret_data));
}

static ssize_t write_whole(const char *path, const void *data, size_t size)
{
    return aloop_await(aloop_fs_write_file(d.loop, path, data, size, 0640));
}

static ssize_t replace_whole(const char *path, const void *data, size_t size)
{
    return aloop_await(aloop_fs_replace_file(d.loop, path, data, size, 0640));
}

/* Starts to read a FIFO in the folder, which is created. */
static aloop_future *read_fifo(const char *name, void **ret_data)
{
    assert_int_equal(mkfifo(in_folder(name), 0600), 0);
    return aloop_fs_read_file(d.loop, d.path, BIG, ret_data);
}

static void a_file_is_read_up_to_the_size_that_is_allowed(void **state)
{
    void *data;

    (void) state;
    memset(big, 'x', BIG);
    put_file("a", big, BIG);
    assert_int_equal(read_whole(in_folder("a"), BIG, &data), BIG);
    assert_memory_equal(data, big, BIG);
    assert_int_equal(((char *) data)[BIG], 0);
    assert_int_equal((uintptr_t) data % 64, 0);
    assert_int_equal(read_whole(in_folder("a"), BIG - 1, &data), ALOOP_EFBIG);
    assert_null(data);
}

/* The first data stay for aloop_free(). */
static void files_that_claim_to_be_empty_are_read_completely(void **state)
{
    const char *names[] = {"/proc/self/status", "/proc/self/smaps"};
    void *data;

    (void) state;
    if (access(names[1], R_OK) < 0)
        skip();
    assert_true(read_whole(names[0], SIZE_MAX, &data) > 0);
    assert_non_null(strstr(data, "Name:"));
    for (int i = 0; i < 2; i++) {
        ssize_t size = read_whole(names[i], SIZE_MAX, &data);

        assert_true(size > 0);
        assert_int_equal(strlen(data), size);
        assert_int_equal(((char *) data)[size - 1], '\n');
        aloop_data_free(d.loop, data);
    }
    assert_int_equal(read_whole(names[0], 10, &data), ALOOP_EFBIG);
}

static void a_read_reports_why_it_failed(void **state)
{
    size_t size = 1 << 20;
    char *path = malloc(size);
    void *data;

    (void) state;
    assert_non_null(path);
    memset(path, '/', size - 1);
    path[size - 1] = '\0';
    put_file("a", "", 0);
    assert_int_equal(read_whole(d.folder, BIG, &data), ALOOP_EISDIR);
    assert_int_equal(read_whole(in_folder("no"), BIG, &data), ALOOP_ENOENT);
    assert_int_equal(read_whole(in_folder("a/b"), BIG, &data), ALOOP_ENOTDIR);
    assert_int_equal(read_whole(path, BIG, &data), ALOOP_ENAMETOOLONG);
    path[5000] = '\0';
    assert_int_equal(write_whole(path, "", 0), ALOOP_ENAMETOOLONG);
    assert_int_equal(replace_whole(path, "", 0), ALOOP_ENAMETOOLONG);
    free(path);
}

static void files_need_permissions(void **state)
{
    void *data;

    (void) state;
    if (geteuid() == 0)
        skip(); /* Root has them all. */
    put_file("a", "", 0);
    assert_int_equal(chmod(in_folder("a"), 0), 0);
    assert_int_equal(read_whole(d.path, BIG, &data), ALOOP_EACCES);
    assert_int_equal(write_whole(d.path, "", 0), ALOOP_EACCES);
}

static void fifos_without_a_writer_occupy_no_thread(void **state)
{
    aloop_future *reads[FIFOS];
    void *data[FIFOS] = {NULL}, *other;
    char name[] = "0";

    (void) state;
    put_file("a", "abc", 3);
    for (int i = 0; i < FIFOS; i++, name[0]++)
        reads[i] = read_fifo(name, &data[i]);
    wait_for_threads();
    assert_int_equal(read_whole(in_folder("a"), BIG, &other), 3);
    for (int i = 0; i < FIFOS; i++) {
        aloop_cancel(reads[i]);
        assert_true(aloop_future_is_settled(reads[i]));
        assert_int_equal(aloop_await(reads[i]), ALOOP_EABORTED);
        assert_null(data[i]);
    }
}

static void a_fifo_is_read_and_written_to_its_end(void **state)
{
    void *data = NULL;
    aloop_future *read = read_fifo("f", &data);

    (void) state;
    wait_for_threads();
    for (int i = 0; i < BIG; i++)
        big[i] = (char) (i + i / 256);
    assert_int_equal(write_whole(in_folder("f"), big, BIG), BIG);
    assert_int_equal(aloop_await(read), BIG);
    assert_memory_equal(data, big, BIG);
    assert_int_equal((uintptr_t) data % 64, 0);
    assert_int_equal(write_whole(in_folder("f"), big, 1), ALOOP_ENXIO);
}

static void a_reader_that_leaves_ends_a_write_without_a_signal(void **state)
{
    aloop_file *reader;
    aloop_future *write;

    (void) state;
    assert_int_equal(mkfifo(in_folder("f"), 0600), 0);
    reader = open_here("f", O_RDONLY);
    write = aloop_fs_write_file(d.loop, in_folder("f"), big, BIG, 0);
    wait_for_threads();
    aloop_file_close(reader);
    assert_int_equal(aloop_await(write), ALOOP_EPIPE);
}

static void a_terminal_is_read_until_the_cancel(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    void *data = NULL;
    aloop_future *read;

    (void) state;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    read = aloop_fs_read_file(d.loop, ptsname(master), BIG, &data);
    wait_for_threads();
    assert_int_equal(patient_write(master, "line\n", 5), 5);
    wait_for_threads();
    assert_false(aloop_future_is_settled(read));
    aloop_cancel(read);
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    assert_null(data);
    close(master);
}

static void devices_are_read_and_written(void **state)
{
    void *data;

    (void) state;
    assert_int_equal(read_whole("/dev/null", BIG, &data), 0);
    assert_int_equal(read_whole("/dev/zero", BIG, &data), ALOOP_EFBIG);
    assert_int_equal(write_whole("/dev/null", big, BIG), BIG);
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(write_whole("/dev/full", big, BIG), ALOOP_ENOSPC);
    assert_int_equal(replace_whole("/dev/null", big, 1), ALOOP_EINVAL);
}

static void a_file_is_written_as_a_whole(void **state)
{
    struct stat stat_buffer;

    (void) state;
    umask(022);
    assert_int_equal(write_whole(in_folder("a"), big, BIG), BIG);
    expect_file("a", big, BIG);
    assert_int_equal(stat(in_folder("a"), &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0640);
    assert_int_equal(write_whole(in_folder("a"), "x", 1), 1);
    expect_file("a", "x", 1);
}

static void a_replacement_keeps_mode_links_and_hard_links(void **state)
{
    char other[600];
    struct stat stat_buffer;

    (void) state;
    put_file("a", "old", 3);
    assert_int_equal(chmod(in_folder("a"), 0751), 0);
    snprintf(other, sizeof other, "%s/hard", d.folder);
    assert_int_equal(link(in_folder("a"), other), 0);
    assert_int_equal(symlink("a", in_folder("l")), 0);
    assert_int_equal(replace_whole(in_folder("l"), big, BIG), BIG);
    expect_file("a", big, BIG);
    expect_file("hard", "old", 3);
    assert_int_equal(lstat(in_folder("l"), &stat_buffer), 0);
    assert_true(S_ISLNK(stat_buffer.st_mode));
    assert_int_equal(stat(in_folder("a"), &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0751);
    assert_int_equal(stat_buffer.st_uid, geteuid());
}

/* Creates a file in the folder as a user who is not root.  Returns a negative
 * number if that is not possible. */
static int create_as_user(const char *name)
{
    bool is_root = geteuid() == 0;

    if (is_root && (chown(d.folder, OTHER_USER, (gid_t) -1) < 0 ||
                    seteuid(OTHER_USER) < 0))
        return -1;
    return close(open(in_folder(name), O_WRONLY | O_CREAT, 0600));
}

/* A write by another user than root clears them.  The child has no threads
 * before it changes its user. */
static void a_replacement_keeps_the_set_id_bits(void **state)
{
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        struct stat stat_buffer;
        uid_t user = geteuid();

        CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
        if (create_as_user("a") < 0)
            _exit(CHILD_SKIPS);
        d.loop = aloop_new(NULL);
        CHECK(chmod(in_folder("a"), 04751) == 0);
        CHECK(replace_whole(in_folder("a"), big, BIG) == BIG);
        CHECK(stat(in_folder("a"), &stat_buffer) == 0);
        CHECK((stat_buffer.st_mode & 07777) == 04751);
        CHECK(aloop_free(d.loop) == 0);
        CHECK(seteuid(user) == 0); /* For coverage data. */
        _exit(0);
    }
    if (!has_child_succeeded(child))
        skip();
}

static void the_limit_of_file_sizes_is_an_error(void **state)
{
    pid_t child;

    (void) state;
    put_file("b", "old", 3);
    child = fork();
    if (child == 0) {
        struct rlimit before, limit;

        CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
        d.loop = aloop_new(NULL);
        signal(SIGXFSZ, SIG_DFL);
        CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
        limit = (struct rlimit){5, before.rlim_max};
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHECK(write_whole(in_folder("a"), "0123456789", 10) == ALOOP_EFBIG);
        CHECK(replace_whole(in_folder("b"), "0123456789", 10) == ALOOP_EFBIG);
        CHECK(aloop_free(d.loop) == 0);
        CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0); /* For coverage data. */
        _exit(0);
    }
    assert_child_succeeded(child);
    expect_file("a", "01234", 5);
    expect_file("b", "old", 3); /* Without a temporary file; see tear_down. */
}

#if defined __linux__
enum { MAY_MOUNT = 1 };

/* Mounts a small file system, if this process may. */
static bool mount_small(const char *path)
{
    return (unshare(CLONE_NEWNS) == 0 ||
            unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=65536") == 0;
}
#else
enum { MAY_MOUNT = 0 };

static bool mount_small(const char *path)
{
    (void) path;
    return false;
}
#endif

static void a_full_disk_leaves_the_old_file(void **state)
{
    enum { NO_MOUNT = 77 };
    pid_t child;
    int status;

    (void) state;
    child = MAY_MOUNT ? fork() : -1;
    if (child == 0) {
        void *data;

        if (!mount_small(d.folder))
            _exit(NO_MOUNT);
        CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
        d.loop = aloop_new(NULL);
        CHECK(write_whole(in_folder("a"), "old", 3) == 3);
        CHECK(replace_whole(in_folder("a"), big, BIG) == ALOOP_ENOSPC);
        CHECK(read_whole(in_folder("a"), BIG, &data) == 3);
        CHECK(memcmp(data, "old", 4) == 0);
        CHECK(write_whole(in_folder("b"), big, BIG) == ALOOP_ENOSPC);
        CHECK(unlink(in_folder("a")) == 0 && unlink(in_folder("b")) == 0);
        CHECK(rmdir(d.folder) < 0 && errno == EBUSY); /* It is mounted. */
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    if (child < 0)
        skip();
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_MOUNT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_forked_child_continues_a_read_of_a_fifo(void **state)
{
    void *data = NULL;
    aloop_future *read;
    aloop_file *writer;
    pid_t child;

    (void) state;
    if (!HAS_THREADS_AFTER_FORK || patient_runs_on_qemu())
        skip();
    read = read_fifo("f", &data);
    wait_for_threads();
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(d.loop) == 0);
        writer = open_here("f", O_WRONLY);
        CHECK(aloop_await(aloop_file_write(writer, "child", 5)) == 5);
        aloop_file_close(writer);
        CHECK(aloop_await(read) == 5);
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
    assert_int_equal(aloop_await(read), 0);
}

static void a_child_that_does_not_adopt_the_loop_frees_its_copies(void **state)
{
    void *data[2] = {NULL};
    aloop_future *read;
    pid_t child;

    (void) state;
    put_file("a", "abc", 3);
    assert_int_equal(read_whole(in_folder("a"), 3, &data[0]), 3);
    read = read_fifo("f", &data[1]);
    wait_for_threads();
    child = fork();
    if (child == 0) {
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
    aloop_cancel(read);
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    assert_string_equal(data[0], "abc");
}

static void temporary_files_and_directories_are_private(void **state)
{
    char names[2][300];
    aloop_file *file = NULL;
    struct stat stat_buffer;

    (void) state;
    for (int i = 0; i < 2; i++)
        snprintf(names[i], sizeof names[i], "%s/t.XXXXXX", d.folder);
    assert_int_equal(aloop_await(aloop_fs_mkstemp(d.loop, names[0], &file)), 0);
    assert_int_equal(aloop_await(aloop_file_write(file, "abc", 3)), 3);
    assert_int_equal(fcntl(aloop_file_fd(file), F_GETFD), FD_CLOEXEC);
    aloop_file_close(file);
    assert_int_equal(stat(names[0], &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0600);
    assert_int_equal(aloop_await(aloop_fs_mkdtemp(d.loop, names[1])), 0);
    assert_int_equal(stat(names[1], &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0700);
    assert_int_equal(rmdir(names[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_read_up_to_the_size_that_is_allowed),
        TEST(files_that_claim_to_be_empty_are_read_completely),
        TEST(a_read_reports_why_it_failed),
        TEST(files_need_permissions),
        TEST(fifos_without_a_writer_occupy_no_thread),
        TEST(a_fifo_is_read_and_written_to_its_end),
        TEST(a_reader_that_leaves_ends_a_write_without_a_signal),
        TEST(a_terminal_is_read_until_the_cancel),
        TEST(devices_are_read_and_written),
        TEST(a_file_is_written_as_a_whole),
        TEST(a_replacement_keeps_mode_links_and_hard_links),
        TEST(a_replacement_keeps_the_set_id_bits),
        TEST(the_limit_of_file_sizes_is_an_error),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(a_forked_child_continues_a_read_of_a_fifo),
        TEST(a_child_that_does_not_adopt_the_loop_frees_its_copies),
        TEST(temporary_files_and_directories_are_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
