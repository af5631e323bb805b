/* Directories on the simulated system: batches, errors in the middle, cancels
 * and closes while a thread works, and forks.  tests/system/test_dir.c has the
 * rest. */

#include "support/file_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILES = 10, LONG_PATH = 5000 };

/* A directory with the files "0" to "9". */
static int dir_set_up(void **state)
{
    int error = set_up(state);
    char path[16];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/d/%d", FILES - 1 - i);
        sim_file_put(path, "x", 1);
    }
    return error;
}

static aloop_dir *open_dir(const char *path)
{
    aloop_dir *dir = NULL;

    assert_int_equal(aloop_await(aloop_dir_open(t.loop, path, &dir)), 0);
    assert_non_null(dir);
    return dir;
}

/* Notes which of the files the names are. */
static void note_names(const aloop_dir_entry *entries, ssize_t count,
                       unsigned *seen)
{
    for (ssize_t i = 0; i < count; i++) {
        assert_int_equal(strlen(entries[i].name), 1);
        assert_int_equal(entries[i].type, ALOOP_FILE_REGULAR);
        assert_true(entries[i].inode > 0);
        assert_int_equal(*seen & 1u << (entries[i].name[0] - '0'), 0);
        *seen |= 1u << (entries[i].name[0] - '0');
    }
}

/* Reads to the end.  Returns a bit for each file. */
static unsigned read_rest(aloop_dir *dir)
{
    aloop_dir_entry entries[3];
    unsigned seen = 0;
    ssize_t count;

    while ((count = aloop_await(aloop_dir_read(dir, entries, 3))) > 0)
        note_names(entries, count, &seen);
    assert_int_equal(count, 0);
    return seen;
}

static void batches_give_every_name_once(void **state)
{
    aloop_dir *dir = open_dir("/d");
    aloop_dir_entry entries[4];

    (void) state;
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, 4)), 4);
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, 4)), 4);
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, 4)), 2);
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, 4)), 0);
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, 4)), 0);
    aloop_dir_close(dir);
    dir = open_dir("/d");
    assert_int_equal(read_rest(dir), (1 << FILES) - 1);
    aloop_dir_close(dir);
    aloop_dir_close(NULL);
}

static void an_empty_directory_ends_immediately(void **state)
{
    aloop_dir *dir = open_dir("/tmp");

    (void) state;
    assert_int_equal(read_rest(dir), 0);
    aloop_dir_close(dir);
}

/* Returns the type of the only name in /x. */
static aloop_file_type type_in_x(void)
{
    aloop_dir *dir = open_dir("/x");
    aloop_dir_entry entry;

    assert_int_equal(aloop_await(aloop_dir_read(dir, &entry, 1)), 1);
    assert_string_equal(entry.name, "n");
    aloop_dir_close(dir);
    return entry.type;
}

static void types_are_found_where_the_directory_has_none(void **state)
{
    (void) state;
    sim_file_mkdir("/x/n");
    assert_int_equal(type_in_x(), ALOOP_FILE_DIRECTORY);
    assert_int_equal(sim_calls("aloop__sys_statat"), 0);
    sim_device("/x")->has_no_types = true;
    assert_int_equal(type_in_x(), ALOOP_FILE_DIRECTORY);
    assert_int_equal(sim_calls("aloop__sys_statat"), 1);
    sim_fail("aloop__sys_statat", 1, -ENOENT);
    assert_int_equal(type_in_x(), ALOOP_FILE_UNKNOWN);
}

static void names_before_an_error_are_returned_first(void **state)
{
    aloop_dir *dir = open_dir("/d");
    aloop_dir_entry entries[FILES] = {{.name = "untouched"}};

    (void) state;
    sim_fail("aloop__sys_dir_read", 4, -EIO);
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, FILES)), 3);
    entries[0].name = "untouched";
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_await(aloop_dir_read(dir, entries, FILES)),
                         ALOOP_EIO);
    assert_string_equal(entries[0].name, "untouched");
    assert_int_equal(sim_calls("aloop__sys_dir_read"), 4);
    aloop_dir_close(dir);
}

static void one_read_at_a_time_is_allowed(void **state)
{
    aloop_dir *dir = open_dir("/d");
    aloop_dir_entry entries[FILES];
    aloop_future *read = aloop_dir_read(dir, entries, FILES);

    (void) state;
    assert_int_equal(aloop_await(aloop_dir_read(dir, entries, 1)), ALOOP_EBUSY);
    assert_int_equal(aloop_await(read), FILES);
    aloop_dir_close(dir);
}

static void a_cancelled_read_loses_no_name(void **state)
{
    aloop_dir *dir = open_dir("/d");
    aloop_dir_entry entries[FILES];
    aloop_future *read;
    unsigned seen = 0;
    ssize_t count;

    (void) state;
    read = aloop_dir_read(dir, entries, FILES); /* No thread begins it. */
    aloop_cancel(read);
    assert_int_equal(aloop_future_status(read), ALOOP_ECANCELED);
    aloop_future_unref(read);
    slow_down();
    read = aloop_dir_read(dir, entries, FILES);
    begin();
    aloop_cancel(read);
    assert_false(aloop_future_is_settled(read));
    count = aloop_await(read);
    assert_int_equal(count, 1);
    note_names(entries, count, &seen);
    assert_int_equal(seen | read_rest(dir), (1 << FILES) - 1);
    aloop_dir_close(dir);
}

static void a_read_that_a_close_overtakes_is_cancelled(void **state)
{
    unsigned before = sim_descriptors_open();
    aloop_dir_entry entry = {.name = "untouched"};
    aloop_future *read;

    (void) state;
    for (int has_begun = 0; has_begun < 2; has_begun++) {
        aloop_dir *dir = open_dir("/d");

        slow_down();
        read = aloop_dir_read(dir, &entry, 1);
        if (has_begun)
            begin();
        aloop_dir_close(dir);
        assert_int_equal(aloop_future_is_settled(read), !has_begun);
        assert_true(sim_descriptors_open() > before);
        assert_int_equal(aloop_await(read), ALOOP_EABORTED);
        assert_string_equal(entry.name, "untouched");
    }
    aloop_run(t.loop);
    assert_int_equal(sim_calls("aloop__sys_dir_close"), 2);
}

static void a_dropped_open_closes_the_directory(void **state)
{
    aloop_dir *dir = NULL;
    aloop_future *open;
    unsigned opens;

    (void) state;
    slow_down();
    for (int has_begun = 0; has_begun < 2; has_begun++) {
        open = aloop_dir_open(t.loop, "/d", &dir);
        if (has_begun)
            begin();
        aloop_future_unref(open);
        aloop_run(t.loop);
        assert_null(dir);
    }
    opens = sim_calls("aloop__sys_dir_open");
    assert_int_equal(opens, 1);
    assert_int_equal(sim_calls("aloop__sys_dir_close"), opens);
}

static void a_cancelled_open_that_has_succeeded_gives_the_directory(
    void **state)
{
    aloop_dir *dir = NULL;
    aloop_future *open;

    (void) state;
    slow_down();
    open = aloop_dir_open(t.loop, "/d", &dir);
    begin();
    aloop_cancel(open);
    assert_int_equal(aloop_await(open), 0);
    assert_non_null(dir);
    aloop_dir_close(dir);
}

/* aloop_free() in each state.  The fixture checks that nothing is left. */
static void the_end_of_the_loop_closes_directories(void **state)
{
    static aloop_dir_entry entry;
    static aloop_dir *dir;
    static aloop_dir_entry *entries;

    (void) state;
    open_dir("/d");
    aloop_detach(aloop_dir_read(open_dir("/d"), &entry, 1));
    aloop_detach(aloop_dir_open(t.loop, "/d", &dir));
    slow_down();
    begin();
    aloop_detach(aloop_dir_read(open_dir("/d"), &entry, 1));
    aloop_detach(aloop_fs_scan(t.loop, "/d", FILES, &entries));
    begin();
    aloop_dir_close(open_dir("/d"));
    aloop_detach(aloop_dir_read(open_dir("/d"), &entry, 1));
    aloop_detach(aloop_dir_open(t.loop, "/d", &dir));
    aloop_detach(aloop_fs_scan(t.loop, "/d", FILES, &entries));
}

static void a_directory_is_closed_where_no_thread_can_be_started(void **state)
{
    aloop_options options = {.size = sizeof options, .file_threads = 1};
    unsigned before;
    aloop_dir *dir = NULL;

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    before = sim_descriptors_open();
    sim_fail_from("aloop__sys_thread_start", 1, -EAGAIN);
    assert_int_equal(aloop_await(aloop_dir_open(t.loop, "/d", &dir)),
                     ALOOP_EAGAIN);
    assert_null(dir);
    assert_int_equal(sim_descriptors_open(), before);
}

static void a_forked_child_can_only_close_a_directory(void **state)
{
    aloop_dir *idle = open_dir("/d"), *busy = open_dir("/d");
    aloop_dir_entry entry;
    aloop_future *read;

    (void) state;
    slow_down();
    read = aloop_dir_read(busy, &entry, 1);
    begin();
    sim_fork();
    assert_int_equal(aloop_await(aloop_dir_read(idle, &entry, 1)), ALOOP_EPERM);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    assert_int_equal(aloop_await(aloop_dir_read(idle, &entry, 1)), ALOOP_EPERM);
    assert_int_equal(aloop_await(aloop_dir_read(busy, &entry, 1)), ALOOP_EPERM);
    aloop_dir_close(idle);
    aloop_dir_close(busy);
    idle = open_dir("/d");
    assert_int_equal(read_rest(idle), (1 << FILES) - 1);
    aloop_dir_close(idle);
}

/* Scans. */

static void a_scan_sorts_the_names_by_their_bytes(void **state)
{
    static const char *const names[] = {"A", "B", "a", "a\xff", "aa", "\xc3"};
    aloop_dir_entry *entries = NULL;

    (void) state;
    sim_file_put("/s/a\xff", "", 0);
    sim_file_put("/s/aa", "", 0);
    sim_file_put("/s/\xc3", "", 0);
    sim_file_mkdir("/s/B");
    sim_file_fifo("/s/a");
    sim_file_put("/s/A", "", 0);
    sim_device("/s")->has_no_types = true;
    assert_int_equal(aloop_await(aloop_fs_scan(t.loop, "/s", 6, &entries)), 6);
    assert_string_equal(entries[3].name, "aa");
    assert_string_equal(entries[4].name, "a\xff");
    for (int i = 0; i < 6; i++)
        if (i != 3 && i != 4)
            assert_string_equal(entries[i].name, names[i]);
    assert_int_equal(entries[1].type, ALOOP_FILE_DIRECTORY);
    assert_int_equal(entries[2].type, ALOOP_FILE_FIFO);
    aloop_data_free(t.loop, entries);
}

static void a_scan_with_too_many_names_fails(void **state)
{
    aloop_dir_entry untouched, *entries = &untouched;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_fs_scan(t.loop, "/d", FILES - 1, &entries)),
        ALOOP_EFBIG);
    assert_ptr_equal(entries, &untouched);
    assert_int_equal(aloop_await(aloop_fs_scan(t.loop, "/tmp", 0, &entries)),
                     0);
    assert_ptr_not_equal(entries, &untouched);
    aloop_data_free(t.loop, entries);
}

static void a_scan_reports_an_error_in_the_middle(void **state)
{
    aloop_dir_entry *entries = NULL;

    (void) state;
    sim_fail("aloop__sys_dir_read", 4, -EIO);
    assert_int_equal(aloop_await(aloop_fs_scan(t.loop, "/d", FILES, &entries)),
                     ALOOP_EIO);
    assert_null(entries);
    assert_int_equal(sim_calls("aloop__sys_dir_close"), 1);
}

static void a_scan_that_runs_can_be_cancelled(void **state)
{
    aloop_dir_entry *entries = NULL;
    aloop_future *scan;

    (void) state;
    slow_down();
    scan = aloop_fs_scan(t.loop, "/d", FILES, &entries);
    begin();
    aloop_cancel(scan);
    assert_int_equal(aloop_await(scan), ALOOP_EABORTED);
    assert_null(entries);
    assert_int_equal(sim_calls("aloop__sys_dir_read"), 0);
}

static void a_scan_that_was_dropped_frees_its_result(void **state)
{
    static aloop_dir_entry *entries;
    aloop_future *scan;

    (void) state;
    slow_down();
    scan = aloop_fs_scan(t.loop, "/d", FILES, &entries);
    begin();
    aloop_future_unref(scan);
    aloop_run(t.loop);
    assert_null(entries);
}

static void a_forked_child_gets_no_scan(void **state)
{
    aloop_dir_entry *entries = NULL;
    aloop_future *scan;

    (void) state;
    slow_down();
    scan = aloop_fs_scan(t.loop, "/d", FILES, &entries);
    begin();
    while (sim_calls("aloop__sys_dir_read") < 3)
        sim_pass(MS);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_await(scan), ALOOP_EABORTED);
    assert_null(entries);
}

static void invalid_arguments_give_a_failed_future(void **state)
{
    aloop_dir *dir = open_dir("/d"), *none = NULL;
    aloop_dir_entry entry, *entries = NULL;
    char path[LONG_PATH + 1];

    (void) state;
    memset(path, 'x', LONG_PATH);
    path[LONG_PATH] = '\0';
    assert_int_equal(aloop_await(aloop_dir_open(NULL, "/d", &none)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_dir_open(t.loop, NULL, &none)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_dir_open(t.loop, "/d", NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_dir_open(t.loop, path, &none)),
                     ALOOP_ENAMETOOLONG);
    assert_int_equal(aloop_await(aloop_dir_open(t.loop, "/d/0", &none)),
                     ALOOP_ENOTDIR);
    assert_int_equal(aloop_await(aloop_dir_read(NULL, &entry, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_dir_read(dir, NULL, 1)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_dir_read(dir, &entry, 0)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_scan(NULL, "/d", 1, &entries)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_scan(t.loop, NULL, 1, &entries)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_scan(t.loop, "/d", 1, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_scan(t.loop, "/no", 1, &entries)),
                     ALOOP_ENOENT);
    assert_null(none);
    assert_null(entries);
    aloop_dir_close(dir);
}

#define DIR_TEST(name) \
    cmocka_unit_test_setup_teardown(name, dir_set_up, file_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIR_TEST(batches_give_every_name_once),
        DIR_TEST(an_empty_directory_ends_immediately),
        DIR_TEST(types_are_found_where_the_directory_has_none),
        DIR_TEST(names_before_an_error_are_returned_first),
        DIR_TEST(one_read_at_a_time_is_allowed),
        DIR_TEST(a_cancelled_read_loses_no_name),
        DIR_TEST(a_read_that_a_close_overtakes_is_cancelled),
        DIR_TEST(a_dropped_open_closes_the_directory),
        DIR_TEST(a_cancelled_open_that_has_succeeded_gives_the_directory),
        DIR_TEST(the_end_of_the_loop_closes_directories),
        DIR_TEST(a_directory_is_closed_where_no_thread_can_be_started),
        DIR_TEST(a_forked_child_can_only_close_a_directory),
        DIR_TEST(a_scan_sorts_the_names_by_their_bytes),
        DIR_TEST(a_scan_with_too_many_names_fails),
        DIR_TEST(a_scan_reports_an_error_in_the_middle),
        DIR_TEST(a_scan_that_runs_can_be_cancelled),
        DIR_TEST(a_scan_that_was_dropped_frees_its_result),
        DIR_TEST(a_forked_child_gets_no_scan),
        DIR_TEST(invalid_arguments_give_a_failed_future),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
