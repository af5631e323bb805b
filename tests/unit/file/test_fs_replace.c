/* Replacing whole files, on the simulated system: also what a crash leaves. */

#include "support/fs_data_fixture.h"

static void a_replaced_file_keeps_its_owner_and_mode(void **state)
{
    aloop_stat stat;

    (void) state;
    aloop_await(aloop_fs_chown(t.loop, "/d/a", 3, 4));
    aloop_await(aloop_fs_chmod(t.loop, "/d/a", 04711));
    assert_int_equal(replace_whole("/d/a", "new", 3), 3);
    expect_content("/d/a", "new");
    stat = stat_of("/d/a");
    assert_int_equal(stat.mode, 04711);
    assert_int_equal(stat.user, 3);
    assert_int_equal(stat.group, 4);
    assert_int_equal(sim_file_count("/d"), 1);
}

static void a_new_file_gets_the_mode(void **state)
{
    (void) state;
    assert_int_equal(replace_whole("/d/n", "new", 3), 3);
    expect_content("/d/n", "new");
    assert_int_equal(stat_of("/d/n").mode, 0640);
    assert_int_equal(replace_whole("n", "in the working directory", 24), 24);
    assert_int_equal(replace_whole("/n", "in the root", 11), 11);
    expect_content("/n", "in the root");
}

static void an_owner_that_cannot_be_kept_gives_others_no_rights(void **state)
{
    (void) state;
    aloop_await(aloop_fs_chown(t.loop, "/d/a", 3, 4));
    aloop_await(aloop_fs_chmod(t.loop, "/d/a", 06764));
    sim_fail("aloop__sys_fchown", 1, -EPERM);
    assert_int_equal(replace_whole("/d/a", "x", 1), 1);
    assert_int_equal(stat_of("/d/a").mode, 0764);
    assert_int_equal(stat_of("/d/a").group, 4);
    aloop_await(aloop_fs_chmod(t.loop, "/d/a", 06764));
    sim_fail("aloop__sys_fchown", 1, -EPERM);
    sim_fail("aloop__sys_fchown", 2, -EPERM);
    assert_int_equal(replace_whole("/d/a", "y", 1), 1);
    assert_int_equal(stat_of("/d/a").mode, 0744);
}

static void a_link_stays_and_its_file_is_replaced(void **state)
{
    aloop_stat stat;

    (void) state;
    aloop_await(aloop_fs_symlink(t.loop, "d/a", "/l"));
    aloop_await(aloop_fs_link(t.loop, "/d/a", "/d/hard"));
    assert_int_equal(replace_whole("/l", "new", 3), 3);
    expect_content("/d/a", "new");
    expect_content("/d/hard", "abc");
    assert_int_equal(aloop_await(aloop_fs_lstat(t.loop, "/l", &stat)), 0);
    assert_int_equal(stat.type, ALOOP_FILE_LINK);
    aloop_await(aloop_fs_symlink(t.loop, "none", "/d/broken"));
    assert_int_equal(replace_whole("/d/broken", "x", 1), ALOOP_ENOENT);
}

static void only_regular_files_are_replaced(void **state)
{
    (void) state;
    sim_file_fifo("/d/f");
    assert_int_equal(replace_whole("/d/f", "x", 1), ALOOP_EINVAL);
    assert_int_equal(replace_whole("/d", "x", 1), ALOOP_EISDIR);
    assert_int_equal(replace_whole("/d/", "x", 1), ALOOP_EISDIR);
    assert_int_equal(replace_whole("/d/.", "x", 1), ALOOP_EISDIR);
    assert_int_equal(replace_whole("/", "x", 1), ALOOP_EISDIR);
    assert_int_equal(replace_whole("/d/new/", "x", 1), ALOOP_EISDIR);
    assert_int_equal(replace_whole("/d/a/", "x", 1), ALOOP_ENOTDIR);
    assert_int_equal(replace_whole("/d/no/x", "x", 1), ALOOP_ENOENT);
    assert_int_equal(replace_whole("", "x", 1), ALOOP_ENOENT);
    assert_int_equal(sim_file_count("/d"), 2);
    assert_int_equal(sim_calls("aloop__sys_random"), 0);
}

static void a_failed_replacement_leaves_the_old_file_alone(void **state)
{
    static const char *const calls[] = {
        "aloop__sys_random",   "aloop__sys_fstat", "aloop__sys_fchmod",
        "aloop__sys_pwritev",  "aloop__sys_fsync", "aloop__sys_close",
        "aloop__sys_renameat",
    };
    unsigned before;

    (void) state;
    replace_whole("/d/a", "abc", 3);
    aloop_await(aloop_fs_chmod(t.loop, "/d/a", 0604));
    before = sim_descriptors_open();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        sim_fail(calls[i], 1, -EIO);
        assert_int_equal(replace_whole("/d/a", "xyz", 3), ALOOP_EIO);
        expect_content("/d/a", "abc");
        assert_int_equal(sim_file_count("/d"), 1);
    }
    sim_fail("aloop__sys_statat", 2, -EIO);
    assert_int_equal(replace_whole("/d/a", "xyz", 3), ALOOP_EIO);
    sim_fail_from("aloop__sys_openat", 2, -EEXIST);
    assert_int_equal(replace_whole("/d/a", "xyz", 3), ALOOP_EEXIST);
    sim_forgive();
    expect_content("/d/a", "abc");
    assert_int_equal(sim_descriptors_open(), before);
}

static void directories_that_cannot_be_synced_need_it_not(void **state)
{
    (void) state;
    sim_fail("aloop__sys_fsync", 2, -EINVAL);
    assert_int_equal(replace_whole("/d/a", "1", 1), 1);
    sim_fail("aloop__sys_fsync", 2, -EOPNOTSUPP);
    assert_int_equal(replace_whole("/d/a", "2", 1), 1);
    sim_fail("aloop__sys_fsync", 2, -EIO);
    assert_int_equal(replace_whole("/d/a", "3", 1), ALOOP_EIO);
    expect_content("/d/a", "3");
}

static void a_replacement_is_cancelled_until_the_rename(void **state)
{
    static const char *const calls[] = {"aloop__sys_openat", "aloop__sys_fsync",
                                        "aloop__sys_renameat"};

    (void) state;
    sim_file_put("/d/a", "abc", 3);
    for (int i = 0; i < 3; i++) {
        unsigned before = sim_calls(calls[i]);
        aloop_future *replace;

        slow_down();
        replace = aloop_fs_replace_file(t.loop, "/d/a", "xyz", 3, 0);
        while (sim_calls(calls[i]) == before)
            aloop_await(aloop_sleep(t.loop, MS));
        aloop_cancel(replace);
        assert_int_equal(aloop_await(replace), i < 2 ? ALOOP_EABORTED : 3);
        expect_content("/d/a", i < 2 ? "abc" : "xyz");
        assert_int_equal(sim_file_count("/d"), 1);
    }
}

static void long_names_are_cut_between_characters(void **state)
{
    char path[256] = "/d/", left[8];

    (void) state;
    for (int i = 0; i < 60; i++)
        memcpy(path + 3 + 2 * i, "\xc3\xa4", 3);
    assert_int_equal(replace_whole(path, "x", 1), 1);
    expect_content(path, "x");
    memset(path + 3, 'x', 99); /* Now the limit is inside of a character. */
    memcpy(path + 102, "\xc3\xa4", 3);
    assert_int_equal(replace_whole(path, "y", 1), 1);
    assert_int_equal(sim_file_get(path, left, sizeof left), 1);
}

/* Restarts the world, and the loop in it, with another seed. */
static void restart(uint64_t seed)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};

    aloop_free(t.loop);
    sim_end();
    sim_reset(seed);
    t.loop = aloop_new(&options);
    assert_non_null(t.loop);
    sim_file_put("/d/a", old_data, OLD_SIZE);
}

/* Expects the old or the new content.  Returns whether it is the new one. */
static bool is_new_content(void)
{
    static char found[NEW_SIZE + 1];
    ssize_t size = sim_file_get("/d/a", found, sizeof found);

    if (size == OLD_SIZE)
        assert_memory_equal(found, old_data, OLD_SIZE);
    else
        assert_memory_equal(found, new_data, NEW_SIZE);
    assert_true(size == OLD_SIZE || size == NEW_SIZE);
    return size == NEW_SIZE;
}

/* Lets the machine stop after `count` calls.  Returns whether it did. */
static bool replace_and_crash(unsigned count, uint64_t seed)
{
    ssize_t status;
    bool has_stopped;

    restart(seed);
    sim_file_stop_after(count);
    status = replace_whole("/d/a", new_data, NEW_SIZE);
    has_stopped = sim_file_has_stopped();
    assert_int_equal(status, status < 0 ? ALOOP_EIO : NEW_SIZE);
    assert_true(status >= 0 || has_stopped);
    sim_file_crash();
    assert_true(is_new_content() || status < 0);
    assert_in_range(sim_file_count("/d"), 1, status < 0 ? 2 : 1);
    return has_stopped;
}

static void a_crash_leaves_the_old_or_the_new_content(void **state)
{
    unsigned count = 0, seed;
    bool has_stopped = true;

    (void) state;
    for (; has_stopped; count++)
        for (seed = 1; seed <= SEEDS; seed++)
            has_stopped = replace_and_crash(count, seed);
    /* Open, owner and mode, two pieces of data, sync, rename, sync. */
    assert_in_range(count, 6, 12);
}

/* Returns the only other name in the directory of /d/a. */
static struct sys_dir_entry other_name(void)
{
    struct sys_dir_entry entry = {.name = "a"};
    struct sys_dir *dir;
    int fd = aloop__sys_open_directory(SYS_CWD, "/d", true);

    assert_int_equal(aloop__sys_dir_open(fd, &dir), 0);
    while (strcmp(entry.name, "a") == 0)
        assert_int_equal(aloop__sys_dir_read(dir, &entry), 1);
    aloop__sys_dir_close(dir);
    return entry;
}

static void what_a_crash_leaves_has_a_name_that_shows_its_origin(void **state)
{
    struct sys_dir_entry entry;

    (void) state;
    sim_fail("aloop__sys_renameat", 1, -EIO);
    sim_fail("aloop__sys_unlinkat", 1, -EIO);
    assert_int_equal(replace_whole("/d/a", "x", 1), ALOOP_EIO);
    assert_int_equal(sim_file_count("/d"), 2);
    entry = other_name();
    assert_int_equal(strlen(entry.name), strlen(".a.01234567.tmp"));
    assert_memory_equal(entry.name, ".a.", 3);
    assert_int_equal(strspn(entry.name + 3, "0123456789abcdef"), 8);
    assert_string_equal(entry.name + 11, ".tmp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(a_replaced_file_keeps_its_owner_and_mode),
        DATA_TEST(a_new_file_gets_the_mode),
        DATA_TEST(an_owner_that_cannot_be_kept_gives_others_no_rights),
        DATA_TEST(a_link_stays_and_its_file_is_replaced),
        DATA_TEST(only_regular_files_are_replaced),
        DATA_TEST(a_failed_replacement_leaves_the_old_file_alone),
        DATA_TEST(directories_that_cannot_be_synced_need_it_not),
        DATA_TEST(a_replacement_is_cancelled_until_the_rename),
        DATA_TEST(long_names_are_cut_between_characters),
        DATA_TEST(a_crash_leaves_the_old_or_the_new_content),
        cmocka_unit_test_setup_teardown(
            what_a_crash_leaves_has_a_name_that_shows_its_origin, data_set_up,
            tear_down), /* The test itself reads the directory. */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
