/* Names of files on the real system. */

#define _GNU_SOURCE

#include "support/folder_fixture.h"

#include <errno.h>
#include <sys/resource.h>

/* NUMBERS is the number of descriptors that a removal may use. */
enum {
    LONG_PATH = 1 << 20,
    DEPTH = 900,
    NUMBERS = 20,
    USER = 9999,
    GROUP = 8888
};

static char deep_name[] = "deep";

/* Makes a tree that is deeper than any path can name. */
static void make_deep(void)
{
    int parent = open(d.folder, O_RDONLY | O_DIRECTORY);

    for (int i = 0; i < DEPTH; i++) {
        int fd;

        assert_return_code(mkdirat(parent, deep_name, 0700), errno);
        fd = openat(parent, deep_name, O_RDONLY | O_DIRECTORY);
        assert_return_code(fd, errno);
        close(parent);
        parent = fd;
    }
    assert_return_code(symlinkat("/", parent, "root"), errno);
    close(parent);
}

/* Leaves so many numbers for descriptors.  Returns the previous limit. */
static struct rlimit limit_descriptors(rlim_t count)
{
    struct rlimit before, limit;
    int lowest = open("/", O_RDONLY);

    assert_return_code(lowest, errno);
    close(lowest);
    assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
    limit = before;
    limit.rlim_cur = (rlim_t) lowest + count;
    assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
    return before;
}

static void a_tree_of_any_depth_needs_few_descriptors(void **state)
{
    struct rlimit before;
    ssize_t removed;

    (void) state;
    make_deep();
    before = limit_descriptors(NUMBERS);
    removed = aloop_await(aloop_fs_remove_all(d.loop, in_folder("deep")));
    assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
    assert_int_equal(removed, DEPTH + 1);
}

static void a_tree_deeper_than_any_path_is_removed(void **state)
{
    (void) state;
    make_deep();
    assert_int_equal(
        aloop_await(aloop_fs_remove_all(d.loop, in_folder("deep"))), DEPTH + 1);
    assert_int_equal(access(in_folder("deep"), F_OK), -1);
}

static void a_link_at_the_end_of_the_path_is_removed_itself(void **state)
{
    (void) state;
    assert_return_code(symlink("/", in_folder("link")), errno);
    assert_int_equal(
        aloop_await(aloop_fs_remove_all(d.loop, in_folder("link/"))), 1);
}

static void each_call_does_what_its_name_promises(void **state)
{
    char a[600], b[600], text[600];
    aloop_stat stat = {0}, link_stat = {0};
    aloop_statvfs statvfs = {0};

    (void) state;
    snprintf(a, sizeof a, "%s", in_folder("x/y"));
    snprintf(b, sizeof b, "%s", in_folder("x/b"));
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(d.loop, a, 0755)), 2);
    assert_int_equal(aloop_await(aloop_fs_rename(d.loop, a, b)), 0);
    assert_int_equal(aloop_await(aloop_fs_symlink(d.loop, "b", a)), 0);
    assert_int_equal(aloop_await(aloop_fs_stat(d.loop, a, &stat)), 0);
    assert_int_equal(aloop_await(aloop_fs_lstat(d.loop, a, &link_stat)), 0);
    assert_int_equal(stat.type, ALOOP_FILE_DIRECTORY);
    assert_int_equal(link_stat.type, ALOOP_FILE_LINK);
    assert_int_equal(
        aloop_await(aloop_fs_readlink(d.loop, a, text, sizeof text)), 1);
    assert_string_equal(text, "b");
    assert_true(aloop_await(aloop_fs_realpath(d.loop, a, text, sizeof text)) >
                0);
    assert_string_equal(strrchr(text, '/'), "/b");
    assert_int_equal(aloop_await(aloop_fs_statvfs(d.loop, a, &statvfs)), 0);
    assert_true(statvfs.size > 0 && statvfs.name_max > 0);
    assert_int_equal(aloop_await(aloop_fs_access(d.loop, b, R_OK | X_OK)), 0);
    assert_int_equal(aloop_await(aloop_fs_rmdir(d.loop, b)), 0);
    assert_int_equal(aloop_await(aloop_fs_stat(d.loop, a, &stat)),
                     ALOOP_ENOENT);
    assert_int_equal(aloop_await(aloop_fs_unlink(d.loop, a)), 0);
    assert_int_equal(aloop_await(aloop_fs_rmdir(d.loop, in_folder("x"))), 0);
}

static void attributes_reach_the_file_system(void **state)
{
    char a[600];
    struct stat stat;

    (void) state;
    snprintf(a, sizeof a, "%s", in_folder("a"));
    close(open(a, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(aloop_await(aloop_fs_link(d.loop, a, in_folder("b"))), 0);
    assert_int_equal(aloop_await(aloop_fs_chmod(d.loop, a, 0640)), 0);
    assert_int_equal(aloop_await(aloop_fs_truncate(d.loop, a, 1 << 20)), 0);
    assert_int_equal(aloop_await(aloop_fs_utimens(d.loop, a, ALOOP_TIME_KEEP,
                                                  ALOOP_SEC(3) + 7)),
                     0);
    assert_int_equal(
        aloop_await(aloop_fs_chown(d.loop, a, UINT32_MAX, UINT32_MAX)), 0);
    assert_return_code(lstat(in_folder("b"), &stat), errno);
    assert_int_equal(stat.st_uid, geteuid());
    assert_int_equal(stat.st_mode & 07777, 0640);
    assert_int_equal(stat.st_size, 1 << 20);
    assert_int_equal(stat.st_mtime, 3);
    assert_int_equal(stat.st_nlink, 2);
}

static void root_gives_a_file_another_owner_and_group(void **state)
{
    struct stat stat;

    (void) state;
    if (geteuid() != 0)
        skip();
    put_file("a", "", 0);
    assert_int_equal(
        aloop_await(aloop_fs_chown(d.loop, in_folder("a"), USER, GROUP)), 0);
    assert_int_equal(
        aloop_await(aloop_fs_chown(d.loop, d.path, UINT32_MAX, GROUP + 1)), 0);
    assert_return_code(lstat(d.path, &stat), errno);
    assert_int_equal(stat.st_uid, USER);
    assert_int_equal(stat.st_gid, GROUP + 1);
}

/* Directories, FIFOs, long paths and parts that are not directories. */
static void each_kind_of_bad_path_has_its_error(void **state)
{
    static char path[LONG_PATH];
    char a[600];
    aloop_stat stat;

    (void) state;
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(aloop_await(aloop_fs_stat(d.loop, path, &stat)),
                     ALOOP_ENAMETOOLONG);
    path[4000] = '\0';
    assert_int_equal(aloop_await(aloop_fs_stat(d.loop, path, &stat)),
                     ALOOP_ENAMETOOLONG);
    assert_int_equal(aloop_await(aloop_fs_stat(d.loop, "", &stat)),
                     ALOOP_ENOENT);
    snprintf(a, sizeof a, "%s", in_folder("fifo"));
    assert_return_code(mkfifo(a, 0600), errno);
    assert_int_equal(aloop_await(aloop_fs_truncate(d.loop, a, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_fs_stat(d.loop, in_folder("fifo/a"), &stat)),
        ALOOP_ENOTDIR);
    assert_int_equal(aloop_await(aloop_fs_rmdir(d.loop, a)), ALOOP_ENOTDIR);
    assert_int_equal(aloop_await(aloop_fs_unlink(d.loop, d.folder)),
                     ALOOP_EISDIR);
    assert_int_equal(aloop_await(aloop_fs_remove_all(d.loop, a)), 1);
}

static void paths_are_copied(void **state)
{
    char a[600], b[600];
    aloop_future *future;

    (void) state;
    snprintf(a, sizeof a, "%s", in_folder("a"));
    snprintf(b, sizeof b, "%s", in_folder("b"));
    future = aloop_fs_mkdir(d.loop, a, 0700);
    memset(a, 'x', sizeof a - 1);
    assert_int_equal(aloop_await(future), 0);
    snprintf(a, sizeof a, "%s", in_folder("a"));
    future = aloop_fs_rename(d.loop, a, b);
    memset(a, 'x', sizeof a - 1);
    memset(b, 'x', sizeof b - 1);
    assert_int_equal(aloop_await(future), 0);
    assert_int_equal(aloop_await(aloop_fs_rmdir(d.loop, in_folder("b"))), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tree_deeper_than_any_path_is_removed),
        TEST(a_tree_of_any_depth_needs_few_descriptors),
        TEST(a_link_at_the_end_of_the_path_is_removed_itself),
        TEST(each_call_does_what_its_name_promises),
        TEST(attributes_reach_the_file_system),
        TEST(root_gives_a_file_another_owner_and_group),
        TEST(each_kind_of_bad_path_has_its_error),
        TEST(paths_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
