/* Whole files and temporary ones, on the simulated system: errors in the
 * middle, crashes, FIFOs and cancels.  tests/system/test_fs_data.c has the
 * rest. */

#include "support/fs_data_fixture.h"

/* Leaves reads of small files to threads. */
static void no_cached_opens(void)
{
    sim_device("/d/a")->cached_open_error = -EAGAIN;
}

static ssize_t read_whole(const char *path, size_t size_max, void **ret_data)
{
    *ret_data = NULL;
    return aloop_await(aloop_fs_read_file(t.loop, path, size_max, ret_data));
}

static ssize_t write_whole(const char *path, const void *data, size_t size)
{
    return aloop_await(aloop_fs_write_file(t.loop, path, data, size, 0640));
}

/* Runs the loop until `future` has used the reactor for some time. */
static void wait_in_reactor(aloop_future *future)
{
    aloop_await(aloop_sleep(t.loop, 10 * MS));
    assert_false(aloop_future_is_settled(future));
}

static aloop_file *open_fifo(int flags)
{
    aloop_file *file = NULL;

    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/d/f", flags, 0, &file)), 0);
    return file;
}

/* Reading. */

static void a_file_is_read_with_a_zero_behind_it(void **state)
{
    void *data;

    (void) state;
    assert_int_equal(read_whole("/d/a", 100, &data), 3);
    assert_string_equal(data, "abc");
    assert_int_equal((uintptr_t) data % 64, 0);
    aloop_data_free(t.loop, data);
    aloop_data_free(t.loop, NULL);
}

/* Short counts need more calls of the system. */
static void a_file_is_read_by_one_job(void **state)
{
    static char big[300000];
    unsigned notifies, opens;
    void *data;

    (void) state;
    no_cached_opens();
    sim_file_put("/d/big", big, sizeof big);
    assert_int_equal(read_whole("/d/a", 100, &data), 3);
    aloop_data_free(t.loop, data);
    notifies = sim_calls("aloop__sys_condition_notify");
    opens = sim_calls("aloop__sys_openat");
    sim_options()->short_file_percent = 50;

    assert_int_equal(read_whole("/d/big", sizeof big, &data), sizeof big);

    assert_int_equal(sim_calls("aloop__sys_condition_notify"), notifies + 1);
    assert_int_equal(sim_calls("aloop__sys_openat"), opens + 1);
    aloop_data_free(t.loop, data);
}

static void an_empty_file_gives_data_that_are_empty(void **state)
{
    void *data;

    (void) state;
    sim_file_put("/d/e", "", 0);
    assert_int_equal(read_whole("/d/e", 0, &data), 0);
    assert_string_equal(data, "");
    assert_int_equal(read_whole("/d/e", SIZE_MAX, &data), 0);
    assert_string_equal(data, "");
}

static void a_file_of_one_byte_more_than_allowed_is_efbig(void **state)
{
    void *data;

    (void) state;
    assert_int_equal(read_whole("/d/a", 3, &data), 3);
    assert_int_equal(read_whole("/d/a", 2, &data), ALOOP_EFBIG);
    assert_null(data);
    assert_int_equal(read_whole("/d/a", 0, &data), ALOOP_EFBIG);
    assert_int_equal(sim_calls("aloop__sys_read"), 1); /* The first file's. */
}

static void short_counts_do_not_end_a_file(void **state)
{
    void *data;

    (void) state;
    sim_file_put("/d/n", new_data, NEW_SIZE);
    sim_options()->short_file_percent = 100;
    assert_int_equal(read_whole("/d/n", SIZE_MAX, &data), NEW_SIZE);
    assert_memory_equal(data, new_data, NEW_SIZE);
    assert_int_equal(write_whole("/d/w", new_data, NEW_SIZE), NEW_SIZE);
    assert_int_equal(sim_file_get("/d/w", NULL, 0), NEW_SIZE);
}

/* Has a thread look at the size of /d/a, and then gives the file another
 * one. */
static aloop_future *read_while_changing(void **ret_data, size_t size)
{
    aloop_future *read;

    slow_down();
    read = aloop_fs_read_file(t.loop, "/d/a", NEW_SIZE, ret_data);
    while (sim_calls("aloop__sys_fstat") == 0)
        aloop_await(aloop_sleep(t.loop, MS));
    assert_int_equal(sim_calls("aloop__sys_read"), 0);
    sim_options()->file_delay_max_ns = 0;
    assert_int_equal(write_whole("/d/a", new_data, size), size);
    return read;
}

static void a_file_that_grows_is_read_as_far_as_it_goes(void **state)
{
    void *data = NULL;

    (void) state;
    assert_int_equal(aloop_await(read_while_changing(&data, NEW_SIZE)),
                     NEW_SIZE);
    assert_memory_equal(data, new_data, NEW_SIZE);
    assert_int_equal((uintptr_t) data % 64, 0);
}

static void a_file_that_shrinks_is_read_as_far_as_it_goes(void **state)
{
    void *data = NULL;

    (void) state;
    sim_file_put("/d/a", old_data, OLD_SIZE);
    assert_int_equal(aloop_await(read_while_changing(&data, 1)), 1);
    assert_string_equal(data, "n");
}

static void errors_of_a_read_leave_nothing_behind(void **state)
{
    static const char *const calls[] = {"aloop__sys_openat", "aloop__sys_fstat",
                                        "aloop__sys_read"};
    void *data;

    (void) state;
    no_cached_opens();
    read_whole("/d/a", 100, &data);
    unsigned before = sim_descriptors_open();
    for (int i = 0; i < 3; i++) {
        sim_fail(calls[i], 1, -EIO);
        assert_int_equal(read_whole("/d/a", 100, &data), ALOOP_EIO);
        assert_null(data);
    }
    sim_fail("aloop__sys_preadv", 1, -EIO); /* It looks for one byte more. */
    assert_int_equal(read_whole("/d/a", 1, &data), ALOOP_EIO);
    assert_int_equal(read_whole("/d", 100, &data), ALOOP_EISDIR);
    assert_int_equal(read_whole("/d/no", 100, &data), ALOOP_ENOENT);
    assert_int_equal(read_whole("", 100, &data), ALOOP_ENOENT);
    assert_int_equal(sim_descriptors_open(), before);
}

static void a_lease_is_waited_for(void **state)
{
    void *data;

    (void) state;
    no_cached_opens();
    sim_fail("aloop__sys_openat", 1, -EAGAIN);
    assert_int_equal(read_whole("/d/a", 100, &data), 3);
    sim_fail("aloop__sys_openat", 1, -EAGAIN);
    sim_fail("aloop__sys_openat", 2, -EAGAIN);
    assert_int_equal(read_whole("/d/a", 100, &data), ALOOP_EAGAIN);
    assert_null(data);
}

/* The reactor refuses to watch a regular file. */
static void a_file_that_is_never_ready_is_an_error(void **state)
{
    void *data;

    (void) state;
    no_cached_opens();
    sim_fail("aloop__sys_read", 1, -EAGAIN);
    assert_int_equal(read_whole("/d/a", 100, &data), 3);
    sim_fail_from("aloop__sys_read", 1, -EAGAIN);
    assert_int_equal(read_whole("/d/a", 100, &data), ALOOP_EAGAIN);
    sim_forgive();
    sim_fail_from("aloop__sys_pwritev", 1, -EAGAIN);
    assert_int_equal(write_whole("/d/a", "x", 1), ALOOP_EAGAIN);
    sim_forgive();
}

static void a_read_that_has_not_begun_is_taken_back(void **state)
{
    void *data = NULL;
    aloop_future *read = aloop_fs_read_file(t.loop, "/d/a", 10, &data);

    (void) state;
    aloop_cancel(read);
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    assert_null(data);
    assert_int_equal(sim_calls("aloop__sys_openat"), 0);
}

static void a_read_that_runs_ends_before_the_next_piece_when_cancelled(
    void **state)
{
    void *data = NULL;
    aloop_future *read;

    (void) state;
    slow_down();
    read = aloop_fs_read_file(t.loop, "/d/a", 10, &data);
    begin();
    aloop_cancel(read);
    assert_false(aloop_future_is_settled(read));
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    assert_null(data);
    assert_int_equal(sim_calls("aloop__sys_read"), 0);
}

static void data_that_no_caller_wants_are_freed(void **state)
{
    void *data = NULL;
    aloop_future *read;

    (void) state;
    slow_down();
    read = aloop_fs_read_file(t.loop, "/d/a", 10, &data);
    begin();
    aloop_future_unref(read);
    aloop_run(t.loop);
    assert_null(data);
}

/* FIFOs. */

static void a_fifo_is_read_until_its_last_writer_has_closed_it(void **state)
{
    void *data = NULL;
    aloop_future *read;
    aloop_file *writer;

    (void) state;
    sim_file_fifo("/d/f");
    read = aloop_fs_read_file(t.loop, "/d/f", 100, &data);
    wait_in_reactor(read);
    writer = open_fifo(O_WRONLY);
    assert_int_equal(aloop_await(aloop_file_write(writer, "ab", 2)), 2);
    wait_in_reactor(read);
    assert_int_equal(aloop_await(aloop_file_write(writer, "cd", 2)), 2);
    wait_in_reactor(read);
    aloop_file_close(writer);
    assert_int_equal(aloop_await(read), 4);
    assert_string_equal(data, "abcd");
}

static void a_fifo_of_more_bytes_than_allowed_is_efbig(void **state)
{
    void *data = NULL;
    aloop_future *read;
    aloop_file *writer;

    (void) state;
    sim_file_fifo("/d/f");
    read = aloop_fs_read_file(t.loop, "/d/f", 1000, &data);
    wait_in_reactor(read);
    writer = open_fifo(O_WRONLY);
    aloop_detach(aloop_file_write(writer, old_data, 1001));
    assert_int_equal(aloop_await(read), ALOOP_EFBIG);
    assert_null(data);
    aloop_file_close(writer);
}

static void a_read_of_a_fifo_that_waits_is_cancelled_immediately(void **state)
{
    void *data = NULL;
    aloop_future *read;
    unsigned before;

    (void) state;
    sim_file_fifo("/d/f");
    read_whole("/d/a", 10, &data);
    before = sim_descriptors_open();
    data = NULL;
    read = aloop_fs_read_file(t.loop, "/d/f", 100, &data);
    wait_in_reactor(read);
    aloop_cancel(read);
    assert_true(aloop_future_is_settled(read));
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    aloop_run(t.loop);
    assert_null(data);
    assert_int_equal(sim_descriptors_open(), before);
}

static void a_cancel_while_a_thread_opens_a_fifo_ends_the_read(void **state)
{
    void *data = NULL;
    aloop_future *read;

    (void) state;
    sim_file_fifo("/d/f");
    slow_down();
    read = aloop_fs_read_file(t.loop, "/d/f", 100, &data);
    begin();
    aloop_cancel(read);
    assert_false(aloop_future_is_settled(read));
    assert_int_equal(aloop_await(read), ALOOP_EABORTED);
    aloop_run(t.loop);
}

static void aloop_free_ends_a_read_of_a_fifo_and_frees_data(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};
    static void *data[2];

    (void) state;
    sim_file_fifo("/d/f");
    read_whole("/d/a", 10, &data[0]);
    aloop_detach(aloop_fs_read_file(t.loop, "/d/f", 100, &data[1]));
    aloop_await(aloop_sleep(t.loop, 10 * MS));
    slow_down();
    aloop_detach(aloop_fs_read_file(t.loop, "/d/a", 100, &data[1]));
    begin();
    assert_int_equal(aloop_free(t.loop), 0);
    assert_string_equal(sim_mess(), "");
    t.loop = aloop_new(&options);
}

static void errors_of_watching_end_the_operation(void **state)
{
    void *data;

    (void) state;
    sim_file_fifo("/d/f");
    read_whole("/d/a", 10, &data);
    sim_fail("aloop__reactor_set", 1, -ENOSPC);
    assert_int_equal(read_whole("/d/f", 10, &data), ALOOP_ENOSPC);
    assert_null(data);
    sim_fail("aloop__reactor_set", 1, -EPERM);
    assert_int_equal(read_whole("/d/f", 10, &data), 0);
}

static void a_fifo_is_written_as_far_as_its_reader_goes(void **state)
{
    static char data[100000], found[100000];
    size_t done = 0;
    aloop_future *write;
    aloop_file *reader;

    (void) state;
    sim_file_fifo("/d/f");
    assert_int_equal(write_whole("/d/f", data, 1), ALOOP_ENXIO);
    reader = open_fifo(O_RDONLY);
    memset(data, 'x', sizeof data);
    write = aloop_fs_write_file(t.loop, "/d/f", data, sizeof data, 0);
    wait_in_reactor(write);
    while (done < sizeof data) {
        ssize_t count = aloop_await(
            aloop_file_read(reader, found + done, sizeof found - done));

        assert_true(count > 0);
        done += (size_t) count;
    }
    assert_int_equal(aloop_await(write), sizeof data);
    assert_memory_equal(found, data, sizeof data);
    write = aloop_fs_write_file(t.loop, "/d/f", data, sizeof data, 0);
    wait_in_reactor(write);
    aloop_file_close(reader);
    assert_int_equal(aloop_await(write), ALOOP_EPIPE);
}

/* Writing. */

static void a_file_is_created_or_emptied_and_written(void **state)
{
    (void) state;
    assert_int_equal(write_whole("/d/n", "new", 3), 3);
    expect_content("/d/n", "new");
    assert_int_equal(stat_of("/d/n").mode, 0640);
    assert_int_equal(write_whole("/d/a", "x", 1), 1);
    expect_content("/d/a", "x");
    assert_int_equal(write_whole("/d/a", NULL, 0), 0);
    expect_content("/d/a", "");
}

static void a_file_that_has_no_offsets_is_written(void **state)
{
    (void) state;
    sim_fail("aloop__sys_pwritev", 1, -ESPIPE);
    assert_int_equal(write_whole("/d/a", "xyz", 3), 3);
    expect_content("/d/a", "xyz");
    sim_options()->short_file_percent = 100;
    sim_fail("aloop__sys_pwritev", 2, -ESPIPE);
    assert_int_equal(write_whole("/d/a", "xyz", 3), ALOOP_ESPIPE);
}

static void errors_of_a_write_leave_a_part(void **state)
{
    struct sim_device *device = sim_mount("/m");

    (void) state;
    device->size_max = 8192;
    assert_int_equal(write_whole("/m/a", new_data, NEW_SIZE), ALOOP_ENOSPC);
    assert_int_equal(sim_file_get("/m/a", NULL, 0), 8192);
    sim_file_size_max(5);
    assert_int_equal(write_whole("/d/a", "0123456", 7), ALOOP_EFBIG);
    expect_content("/d/a", "01234");
    sim_file_size_max(-1);
    sim_fail("aloop__sys_fstat", 1, -EIO);
    assert_int_equal(write_whole("/d/a", "x", 1), ALOOP_EIO);
    assert_int_equal(write_whole("/d", "x", 1), ALOOP_EISDIR);
    assert_int_equal(write_whole("/d/no/x", "x", 1), ALOOP_ENOENT);
}

static void an_error_of_the_close_is_that_of_the_write(void **state)
{
    (void) state;
    sim_fail("aloop__sys_close", 1, -EDQUOT);
    assert_int_equal(write_whole("/d/a", "x", 1), ALOOP_EDQUOT);
    sim_fail("aloop__sys_close", 1, -EINPROGRESS);
    assert_int_equal(write_whole("/d/a", "x", 1), 1);
}

static void a_large_write_ends_between_two_pieces_when_cancelled(void **state)
{
    static char data[20 << 20];
    aloop_future *write;

    (void) state;
    slow_down();
    write = aloop_fs_write_file(t.loop, "/d/w", data, sizeof data, 0600);
    while (sim_calls("aloop__sys_pwritev") == 0)
        aloop_await(aloop_sleep(t.loop, MS));
    aloop_cancel(write);
    assert_false(aloop_future_is_settled(write));
    assert_int_equal(aloop_await(write), ALOOP_EABORTED);
    assert_int_equal(sim_file_get("/d/w", NULL, 0) % (8 << 20), 0);
    assert_true(sim_file_get("/d/w", NULL, 0) < (ssize_t) sizeof data);
}

static void invalid_arguments_give_a_failed_future(void **state)
{
    char name[8] = "XXXXX", path[5001];
    aloop_file *file = NULL;
    void *data = NULL;

    (void) state;
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(aloop_await(aloop_fs_read_file(t.loop, "/d/a", 1, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_read_file(NULL, "/d/a", 1, &data)),
                     ALOOP_EINVAL);
    assert_int_equal(read_whole(NULL, 1, &data), ALOOP_EINVAL);
    assert_int_equal(read_whole(path, 1, &data), ALOOP_ENAMETOOLONG);
    assert_int_equal(write_whole("/d/a", NULL, 1), ALOOP_EINVAL);
    assert_int_equal(write_whole("/d/a", "", SIZE_MAX), ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_fs_write_file(t.loop, "/d/a", "", 0, 010000)),
        ALOOP_EINVAL);
    assert_int_equal(replace_whole(NULL, "", 0), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_mkdtemp(t.loop, NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_mkdtemp(t.loop, name)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_mkdtemp(NULL, name)), ALOOP_EINVAL);
    memcpy(name, "aXXXXXX", 8);
    assert_int_equal(aloop_await(aloop_fs_mkstemp(t.loop, name, NULL)),
                     ALOOP_EINVAL);
    name[6] = 'x';
    assert_int_equal(aloop_await(aloop_fs_mkstemp(t.loop, name, &file)),
                     ALOOP_EINVAL);
    expect_content("/d/a", "abc");
}

/* Temporary files. */

static void mkdtemp_makes_a_directory_with_a_unique_name(void **state)
{
    char names[2][16] = {"/d/t.XXXXXX", "/d/t.XXXXXX"};

    (void) state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_await(aloop_fs_mkdtemp(t.loop, names[i])), 0);
        assert_int_equal(stat_of(names[i]).type, ALOOP_FILE_DIRECTORY);
        assert_int_equal(stat_of(names[i]).mode, 0700);
    }
    assert_string_not_equal(names[0], names[1]);
}

static void mkstemp_opens_a_file_with_a_unique_name(void **state)
{
    char name[] = "/d/t.XXXXXX", text[8] = "";
    aloop_file *file = NULL;

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_mkstemp(t.loop, name, &file)), 0);
    assert_int_equal(stat_of(name).mode, 0600);
    assert_int_equal(aloop_await(aloop_file_write(file, "abc", 3)), 3);
    assert_int_equal(aloop_await(aloop_file_read_at(file, text, 8, 0)), 3);
    aloop_file_close(file);
    expect_content(name, "abc");
}

static void a_name_that_is_taken_is_tried_again(void **state)
{
    char name[] = "/d/t.XXXXXX";
    aloop_file *file = NULL;

    (void) state;
    sim_fail("aloop__sys_openat", 1, -EEXIST);
    assert_int_equal(aloop_await(aloop_fs_mkstemp(t.loop, name, &file)), 0);
    aloop_file_close(file);
    memcpy(name, "/d/t.XXXXXX", sizeof name);
    file = NULL;
    sim_fail_from("aloop__sys_openat", 1, -EEXIST);
    assert_int_equal(aloop_await(aloop_fs_mkstemp(t.loop, name, &file)),
                     ALOOP_EEXIST);
    sim_forgive();
    assert_null(file);
    assert_string_equal(name, "/d/t.XXXXXX");
    sim_fail("aloop__sys_random", 1, -EIO);
    assert_int_equal(aloop_await(aloop_fs_mkdtemp(t.loop, name)), ALOOP_EIO);
}

static void what_was_created_is_delivered_although_it_is_cancelled(void **state)
{
    char name[] = "/d/t.XXXXXX";
    aloop_file *file = NULL;
    aloop_future *make;

    (void) state;
    slow_down();
    make = aloop_fs_mkstemp(t.loop, name, &file);
    begin();
    aloop_cancel(make);
    assert_int_equal(aloop_await(make), 0);
    assert_non_null(file);
    assert_int_equal(stat_of(name).size, 0);
    aloop_file_close(file);
}

static void what_was_created_is_removed_if_it_was_dropped(void **state)
{
    char names[2][16] = {"/d/t.XXXXXX", "/d/t.XXXXXX"};
    aloop_file *file = NULL;
    aloop_future *makes[2];
    unsigned before;

    (void) state;
    stat_of("/d/a");
    before = sim_descriptors_open();
    slow_down();
    makes[0] = aloop_fs_mkstemp(t.loop, names[0], &file);
    makes[1] = aloop_fs_mkdtemp(t.loop, names[1]);
    begin();
    aloop_future_unref(makes[0]);
    aloop_future_unref(makes[1]);
    aloop_run(t.loop);
    assert_int_equal(sim_file_count("/d"), 1);
    assert_null(file);
    assert_string_equal(names[0], "/d/t.XXXXXX");
    assert_int_equal(sim_descriptors_open(), before);
    assert_int_equal(sim_calls("aloop__sys_unlinkat"), 1);
    assert_int_equal(sim_calls("aloop__sys_rmdirat"), 1);
}

static void a_creation_that_has_not_begun_is_taken_back(void **state)
{
    char names[2][16] = {"/d/t.XXXXXX", "/d/t.XXXXXX"};
    aloop_file *file = NULL;

    (void) state;
    aloop_future_unref(aloop_fs_mkstemp(t.loop, names[0], &file));
    aloop_future_unref(aloop_fs_mkdtemp(t.loop, names[1]));
    aloop_run(t.loop);
    assert_int_equal(sim_file_count("/d"), 1);
    assert_int_equal(sim_calls("aloop__sys_random"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(a_file_is_read_with_a_zero_behind_it),
        DATA_TEST(a_file_is_read_by_one_job),
        DATA_TEST(an_empty_file_gives_data_that_are_empty),
        DATA_TEST(a_file_of_one_byte_more_than_allowed_is_efbig),
        DATA_TEST(short_counts_do_not_end_a_file),
        DATA_TEST(a_file_that_grows_is_read_as_far_as_it_goes),
        DATA_TEST(a_file_that_shrinks_is_read_as_far_as_it_goes),
        DATA_TEST(errors_of_a_read_leave_nothing_behind),
        DATA_TEST(a_lease_is_waited_for),
        DATA_TEST(a_file_that_is_never_ready_is_an_error),
        DATA_TEST(a_read_that_has_not_begun_is_taken_back),
        DATA_TEST(a_read_that_runs_ends_before_the_next_piece_when_cancelled),
        DATA_TEST(data_that_no_caller_wants_are_freed),
        DATA_TEST(a_fifo_is_read_until_its_last_writer_has_closed_it),
        DATA_TEST(a_fifo_of_more_bytes_than_allowed_is_efbig),
        DATA_TEST(a_read_of_a_fifo_that_waits_is_cancelled_immediately),
        DATA_TEST(a_cancel_while_a_thread_opens_a_fifo_ends_the_read),
        DATA_TEST(aloop_free_ends_a_read_of_a_fifo_and_frees_data),
        DATA_TEST(errors_of_watching_end_the_operation),
        DATA_TEST(a_fifo_is_written_as_far_as_its_reader_goes),
        DATA_TEST(a_file_is_created_or_emptied_and_written),
        DATA_TEST(a_file_that_has_no_offsets_is_written),
        DATA_TEST(errors_of_a_write_leave_a_part),
        DATA_TEST(an_error_of_the_close_is_that_of_the_write),
        DATA_TEST(a_large_write_ends_between_two_pieces_when_cancelled),
        DATA_TEST(invalid_arguments_give_a_failed_future),
        DATA_TEST(mkdtemp_makes_a_directory_with_a_unique_name),
        DATA_TEST(mkstemp_opens_a_file_with_a_unique_name),
        DATA_TEST(a_name_that_is_taken_is_tried_again),
        DATA_TEST(what_was_created_is_delivered_although_it_is_cancelled),
        DATA_TEST(what_was_created_is_removed_if_it_was_dropped),
        DATA_TEST(a_creation_that_has_not_begun_is_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
