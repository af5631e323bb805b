/* Operations on names of files, on the simulated system. */

#include "support/file_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/sys_file.h"

/* STAYS_OPEN is the number of directories that a removal keeps open. */
enum { LONG_PATH = 5000, NAMES = 30, DEPTH = 40, STAYS_OPEN = 16 };

static int fs_set_up(void **state)
{
    int error = set_up(state);

    sim_file_put("/d/a", "abc", 3);
    return error;
}

static void stat_describes_a_file(void **state)
{
    aloop_stat stat = {0};

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, "/d/a", &stat)), 0);
    assert_int_equal(stat.type, ALOOP_FILE_REGULAR);
    assert_int_equal(stat.size, 3);
}

static void stat_leaves_the_result_untouched_on_failure(void **state)
{
    aloop_stat stat = {.size = 77};

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, "/d/none", &stat)),
                     ALOOP_ENOENT);
    assert_int_equal(stat.size, 77);
}

static void lstat_describes_the_link_itself(void **state)
{
    aloop_stat link = {0}, file = {0};

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_symlink(t.loop, "a", "/d/l")), 0);
    assert_int_equal(aloop_await(aloop_fs_lstat(t.loop, "/d/l", &link)), 0);
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, "/d/l", &file)), 0);
    assert_int_equal(link.type, ALOOP_FILE_LINK);
    assert_int_equal(file.type, ALOOP_FILE_REGULAR);
}

static void unlink_of_a_directory_is_eisdir_on_every_system(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/d")), ALOOP_EISDIR);
    sim_fail("aloop__sys_unlinkat", 1, -EPERM);
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/d")), ALOOP_EISDIR);
    sim_fail("aloop__sys_unlinkat", 1, -EPERM);
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/d/a")), ALOOP_EPERM);
}

static void names_are_changed_and_removed(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_fs_rename(t.loop, "/d/a", "/d/b")), 0);
    assert_int_equal(aloop_await(aloop_fs_link(t.loop, "/d/b", "/d/c")), 0);
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/d/b")), 0);
    assert_int_equal(sim_file_get("/d/c", NULL, 0), 3);
    assert_int_equal(sim_file_count("/d"), 1);
}

static void readlink_and_realpath_need_room_for_the_zero(void **state)
{
    char text[8] = "";

    (void) state;
    aloop_await(aloop_fs_symlink(t.loop, "/d/a", "/l"));
    assert_int_equal(aloop_await(aloop_fs_readlink(t.loop, "/l", text, 4)),
                     ALOOP_ENOSPC);
    assert_string_equal(text, "");
    assert_int_equal(aloop_await(aloop_fs_readlink(t.loop, "/l", text, 5)), 4);
    assert_string_equal(text, "/d/a");
    assert_int_equal(aloop_await(aloop_fs_realpath(t.loop, "/l", text, 4)),
                     ALOOP_ENOSPC);
    assert_int_equal(aloop_await(aloop_fs_realpath(t.loop, "/l", text, 5)), 4);
}

static void mkdir_all_makes_what_is_missing(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_fs_mkdir_all(t.loop, "/d/x//y/z/", 0755)), 3);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/x/y", 0755)),
                     0);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/a", 0755)),
                     ALOOP_EEXIST);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/a/b", 0755)),
                     ALOOP_ENOTDIR);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "", 0755)),
                     ALOOP_ENOENT);
}

/* Each mkdir() finds a directory that has been removed when it is looked at. */
static void mkdir_all_reports_that_a_directory_was_removed(void **state)
{
    (void) state;
    sim_fail("aloop__sys_mkdirat", 1, -EEXIST);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/x", 0755)),
                     ALOOP_ENOENT);
    sim_fail("aloop__sys_mkdirat", 3, -EEXIST);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/x/y", 0755)),
                     ALOOP_ENOENT);
    /* The second look finds it. */
    sim_fail("aloop__sys_statat", 1, -ENOENT);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d", 0755)),
                     ALOOP_ENOENT);
}

static void mkdir_all_reports_that_a_link_is_in_the_way(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_fs_symlink(t.loop, "/none", "/d/l")), 0);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/l", 0755)),
                     ALOOP_EEXIST);
    assert_int_equal(aloop_await(aloop_fs_mkdir_all(t.loop, "/d/l/x", 0755)),
                     ALOOP_ENOTDIR);
}

/* Appends directories to a path, with a file in the deepest of them. */
static void put_deep(char *path, int depth)
{
    char *end = path + strlen(path);

    for (int i = 0; i < depth; i++, end += strlen("/deep"))
        memcpy(end, "/deep", sizeof "/deep");
    memcpy(end, "/file", sizeof "/file");
    sim_file_put(path, "x", 1);
}

static void remove_all_removes_a_tree_of_any_depth(void **state)
{
    char path[3000] = "/t";

    (void) state;
    put_deep(path, 2 * DEPTH);
    sim_file_put("/t/other/file", "x", 1);
    aloop_await(aloop_fs_symlink(t.loop, "/d", "/t/link"));
    assert_true(aloop_await(aloop_fs_remove_all(t.loop, "/t/")) > 80);
    assert_int_equal(sim_file_get("/t", NULL, 0), -ENOENT);
    assert_int_equal(sim_file_get("/d/a", NULL, 0), 3);
}

static void remove_all_refuses_paths_that_would_be_a_mistake(void **state)
{
    static const char *const paths[] = {"/", ".", "..", "d/..", "/d/./", "//"};

    (void) state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, paths[i])),
                         ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d/none")),
                     ALOOP_ENOENT);
}

static void remove_all_stays_on_one_file_system(void **state)
{
    (void) state;
    sim_mount("/d/mount");
    sim_file_put("/d/mount/kept", "x", 1);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d")),
                     ALOOP_EBUSY);
    /* Another process may mount it after the attempt to remove it. */
    sim_fail("aloop__sys_rmdirat", 1, -ENOTEMPTY);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d")),
                     ALOOP_EBUSY);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(sim_file_get("/d/mount/kept", NULL, 0), 1);
}

/* Makes calls on threads last, so that a test can act meanwhile. */
static void slow_down_a_little(void)
{
    sim_options()->file_delay_max_ns = MS;
}

static void a_cancel_ends_a_removal_between_two_names(void **state)
{
    aloop_future *removal;
    char path[16];

    (void) state;
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof path, "/t/%d", i);
        sim_file_put(path, "x", 1);
    }
    slow_down_a_little();
    removal = aloop_fs_remove_all(t.loop, "/t");
    aloop_await(aloop_sleep(t.loop, 20 * MS));
    aloop_cancel(removal);
    assert_int_equal(aloop_await(removal), ALOOP_EABORTED);
    assert_in_range(sim_file_count("/t"), 1, NAMES - 1);
}

static void remove_all_needs_no_types(void **state)
{
    (void) state;
    sim_device("/d")->has_no_types = true;
    sim_file_put("/d/x/y/z", "x", 1);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d")), 5);
    assert_int_equal(sim_file_get("/d", NULL, 0), -ENOENT);
}

static void remove_all_reports_what_stopped_it(void **state)
{
    (void) state;
    sim_file_put("/d/x/y", "x", 1);
    sim_fail("aloop__sys_dir_read", 1, -EIO);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d")), ALOOP_EIO);
    sim_fail("aloop__sys_rmdirat", 1, -EBUSY);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d")),
                     ALOOP_EBUSY);
    sim_fail("aloop__sys_unlinkat", 1, -EPERM);
    sim_file_put("/f", "x", 1);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/f")),
                     ALOOP_EPERM);
    sim_file_put("/d/x/y", "x", 1);
    sim_fail("aloop__sys_unlinkat", 2, -EACCES);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/d")),
                     ALOOP_EACCES);
}

/* Directories near the root are closed, and entered again through "..". */
static void a_directory_that_was_moved_ends_a_removal(void **state)
{
    char path[300] = "/t";
    aloop_future *removal;

    (void) state;
    put_deep(path, DEPTH);
    slow_down_a_little();
    removal = aloop_fs_remove_all(t.loop, "/t");
    while (sim_calls("aloop__sys_unlinkat") < 2)
        aloop_await(aloop_sleep(t.loop, MS));
    path[strlen("/t") + (DEPTH - STAYS_OPEN + 1) * strlen("/deep")] = '\0';
    assert_int_equal(aloop_await(aloop_fs_rename(t.loop, path, "/d/moved")), 0);
    assert_int_equal(aloop_await(removal), ALOOP_EBUSY);
    assert_int_equal(sim_file_get("/d/a", NULL, 0), 3);
}

/* On some systems a directory that was removed has no "..". */
static void a_directory_above_that_was_removed_ends_a_removal(void **state)
{
    char path[300] = "/t";

    (void) state;
    put_deep(path, DEPTH);
    sim_fail("aloop__sys_openat", DEPTH + 2, -ENOENT);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/t")),
                     ALOOP_EBUSY);
    sim_fail("aloop__sys_openat", DEPTH - STAYS_OPEN + 3, -EMFILE);
    assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/t")),
                     ALOOP_EMFILE);
}

/* The faults stand for another process that removes or replaces a directory
 * between two calls. */
static void names_that_change_during_a_removal_are_no_error(void **state)
{
    static const struct {
        const char *call;
        unsigned nth;
        int error;
    } faults[] = {
        {"aloop__sys_openat", 2, -ENOENT},
        {"aloop__sys_openat", 2, -ENOTDIR},
        {"aloop__sys_openat", 2, -ELOOP},
        {"aloop__sys_unlinkat", 2, -EISDIR},
        {"aloop__sys_rmdirat", 2, -ENOTDIR},
    };

    (void) state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sim_file_put("/t/x/y", "x", 1);
        sim_fail(faults[i].call, faults[i].nth, faults[i].error);
        assert_int_equal(aloop_await(aloop_fs_remove_all(t.loop, "/t")), 3);
        assert_int_equal(sim_file_get("/t", NULL, 0), -ENOENT);
    }
}

/* Replaces /t/x by a link to /d, after `steps` steps of a removal of /t, as
 * another process may.  Returns whether the removal had ended by then. */
static bool remove_and_replace(int steps)
{
    aloop_future *removal;
    bool has_ended;

    sim_file_put("/t/x/y/a", "x", 1);
    sim_file_put("/t/x/z", "x", 1);
    removal = aloop_fs_remove_all(t.loop, "/t");
    for (int i = 0; i < steps && !aloop_future_is_settled(removal); i++)
        aloop_await(aloop_sleep(t.loop, MS / 4));
    has_ended = aloop_future_is_settled(removal);
    if (aloop__sys_renameat(SYS_CWD, "/t/x", SYS_CWD, "/moved") == 0)
        aloop__sys_symlinkat("/d", SYS_CWD, "/t/x");
    aloop_detach(removal);
    aloop_run(t.loop);
    aloop_detach(aloop_fs_remove_all(t.loop, "/moved"));
    aloop_detach(aloop_fs_remove_all(t.loop, "/t"));
    aloop_run(t.loop);
    return has_ended;
}

static void a_link_that_replaces_a_directory_is_not_followed(void **state)
{
    int steps = 0;

    (void) state;
    slow_down_a_little();
    while (!remove_and_replace(steps)) {
        assert_int_equal(sim_file_get("/d/a", NULL, 0), 3);
        steps++;
    }
    assert_true(steps > 10);
}

static void attributes_are_set_and_read_back(void **state)
{
    aloop_stat stat;

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_chmod(t.loop, "/d/a", 04751)), 0);
    assert_int_equal(aloop_await(aloop_fs_utimens(t.loop, "/d/a", -5, 7)), 0);
    assert_int_equal(
        aloop_await(aloop_fs_utimens(t.loop, "/d/a", ALOOP_TIME_KEEP, 8)), 0);
    assert_int_equal(aloop_await(aloop_fs_truncate(t.loop, "/d/a", 5)), 0);
    aloop_await(aloop_fs_stat(t.loop, "/d/a", &stat));
    assert_int_equal(stat.mode, 04751);
    assert_int_equal(stat.accessed_ns, -5);
    assert_int_equal(stat.size, 5);
    assert_int_equal(aloop_await(aloop_fs_chown(t.loop, "/d/a", 3, 4)), 0);
    assert_int_equal(aloop_await(aloop_fs_chown(t.loop, "/d/a", UINT32_MAX, 5)),
                     0);
    aloop_await(aloop_fs_stat(t.loop, "/d/a", &stat));
    assert_int_equal(stat.user, 3);
    assert_int_equal(stat.group, 5);
    assert_int_equal(aloop_await(aloop_fs_truncate(t.loop, "/d", 0)),
                     ALOOP_EISDIR);
}

/* A file with a lease refuses to be opened without waiting. */
static void truncate_waits_for_a_lease_and_refuses_fifos(void **state)
{
    (void) state;
    sim_fail("aloop__sys_openat", 1, -EAGAIN);
    assert_int_equal(aloop_await(aloop_fs_truncate(t.loop, "/d/a", 1)), 0);
    assert_int_equal(sim_file_get("/d/a", NULL, 0), 1);
    sim_file_fifo("/d/f");
    assert_int_equal(aloop_await(aloop_fs_truncate(t.loop, "/d/f", 1)),
                     ALOOP_EINVAL);
}

static void directories_are_made_and_removed_one_by_one(void **state)
{
    aloop_statvfs statvfs = {0};

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_mkdir(t.loop, "/d/n", 0700)), 0);
    assert_int_equal(aloop_await(aloop_fs_mkdir(t.loop, "/d/n", 0700)),
                     ALOOP_EEXIST);
    assert_int_equal(aloop_await(aloop_fs_rmdir(t.loop, "/d")),
                     ALOOP_ENOTEMPTY);
    sim_fail("aloop__sys_rmdirat", 1, -EEXIST);
    assert_int_equal(aloop_await(aloop_fs_rmdir(t.loop, "/d")),
                     ALOOP_ENOTEMPTY);
    assert_int_equal(aloop_await(aloop_fs_rmdir(t.loop, "/d/n")), 0);
    assert_int_equal(aloop_await(aloop_fs_access(t.loop, "/d/n", F_OK)),
                     ALOOP_ENOENT);
    assert_int_equal(aloop_await(aloop_fs_statvfs(t.loop, "/d", &statvfs)), 0);
    assert_true(statvfs.block_size > 0);
}

static void invalid_arguments_give_a_failed_future(void **state)
{
    aloop_stat stat;
    char path[LONG_PATH + 1];

    (void) state;
    memset(path, 'x', LONG_PATH);
    path[LONG_PATH] = '\0';
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, NULL, &stat)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, "/d", NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_unlink(NULL, "/d")), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_truncate(t.loop, "/d/a", -1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_access(t.loop, "/d/a", 64)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, path, &stat)),
                     ALOOP_ENAMETOOLONG);
}

static void an_operation_that_has_not_begun_is_taken_back(void **state)
{
    aloop_future *unlink = aloop_fs_unlink(t.loop, "/d/a");

    (void) state;
    aloop_cancel(unlink);
    assert_int_equal(aloop_await(unlink), ALOOP_EABORTED);
    assert_int_equal(sim_file_get("/d/a", NULL, 0), 3);
}

#define FS_TEST(name) \
    cmocka_unit_test_setup_teardown(name, fs_set_up, file_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FS_TEST(stat_describes_a_file),
        FS_TEST(stat_leaves_the_result_untouched_on_failure),
        FS_TEST(lstat_describes_the_link_itself),
        FS_TEST(unlink_of_a_directory_is_eisdir_on_every_system),
        FS_TEST(names_are_changed_and_removed),
        FS_TEST(readlink_and_realpath_need_room_for_the_zero),
        FS_TEST(mkdir_all_makes_what_is_missing),
        FS_TEST(mkdir_all_reports_that_a_directory_was_removed),
        FS_TEST(mkdir_all_reports_that_a_link_is_in_the_way),
        FS_TEST(remove_all_removes_a_tree_of_any_depth),
        FS_TEST(remove_all_refuses_paths_that_would_be_a_mistake),
        FS_TEST(remove_all_stays_on_one_file_system),
        FS_TEST(a_cancel_ends_a_removal_between_two_names),
        FS_TEST(remove_all_needs_no_types),
        FS_TEST(remove_all_reports_what_stopped_it),
        FS_TEST(a_directory_that_was_moved_ends_a_removal),
        FS_TEST(a_directory_above_that_was_removed_ends_a_removal),
        FS_TEST(names_that_change_during_a_removal_are_no_error),
        cmocka_unit_test_setup_teardown(
            a_link_that_replaces_a_directory_is_not_followed, fs_set_up,
            tear_down), /* The test itself renames the directory. */
        FS_TEST(attributes_are_set_and_read_back),
        FS_TEST(truncate_waits_for_a_lease_and_refuses_fifos),
        FS_TEST(directories_are_made_and_removed_one_by_one),
        FS_TEST(invalid_arguments_give_a_failed_future),
        FS_TEST(an_operation_that_has_not_begun_is_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
