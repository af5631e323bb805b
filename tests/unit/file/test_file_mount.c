/* File systems whose type is found without a thread, on the simulated
 * system. */

#include "support/device_fixture.h"

/* Returns whether the read had settled when the function returned. */
static bool reads_now(const char *path)
{
    void *data = NULL;
    aloop_future *read = aloop_fs_read_file(t.loop, path, 100, &data);
    bool is_now = aloop_future_is_settled(read);

    assert_int_equal(aloop_await(read), 10);
    assert_string_equal(data, "0123456789");
    aloop_data_free(t.loop, data);
    return is_now;
}

static void the_first_open_of_a_local_file_needs_no_thread(void **state)
{
    aloop_file *file = NULL;
    char text[16] = "";

    (void) state;
    aloop_detach(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file));
    assert_non_null(file);
    assert_int_equal(aloop_await(aloop_file_read(file, text, 10)), 10);
    assert_string_equal(text, "0123456789");
    assert_true(opens_now("/a", O_RDONLY));
    assert_true(reads_now("/a"));
    assert_int_equal(sim_calls("aloop__sys_mount_is_local"), 1);
    aloop_file_close(file);
    aloop_step(t.loop, 0);
    assert_int_equal(sim_calls("aloop__sys_openat"), 0);
}

static void the_first_whole_local_file_needs_no_thread(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        assert_true(reads_now("/a"));
    assert_true(opens_now("/a", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_mount_is_local"), 1);
    assert_int_equal(sim_calls("aloop__sys_openat"), 0);
}

static void what_may_have_an_effect_is_left_to_the_pool(void **state)
{
    (void) state;
    sim_file_fifo("/fifo");
    assert_false(opens_now("/a", O_RDWR));
    assert_false(opens_now("/a", O_RDONLY | O_CREAT));
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 0);
    assert_false(opens_now("/fifo", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
    assert_int_equal(sim_calls("aloop__sys_mount_is_local"), 0);
}

/* A type without a local disk is that of FUSE, for example. */
static void files_of_other_mounts_are_opened_by_the_pool(void **state)
{
    (void) state;
    sim_mount("/m")->cached_read_error = -EOPNOTSUPP;
    sim_file_put("/m/a", "0123456789", 10);
    assert_true(opens_now("/a", O_RDONLY));
    for (int i = 0; i < 3; i++) {
        assert_false(opens_now("/m/a", O_RDONLY));
        assert_false(reads_now("/m/a"));
    }
    assert_int_equal(sim_calls("aloop__sys_mount_is_local"), 1 + 1);
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 1);
}

static void a_loop_without_local_files_looks_once(void **state)
{
    (void) state;
    sim_device("/")->is_local = false;
    sim_device("/")->cached_read_error = -EOPNOTSUPP;
    for (int i = 0; i < 3; i++) {
        assert_false(opens_now("/a", O_RDONLY));
        assert_false(reads_now("/a"));
    }
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 1);
    assert_int_equal(sim_calls("aloop__sys_mount_is_local"), 1);
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
}

static void a_step_that_is_refused_leaves_the_file_to_the_pool(void **state)
{
    static const struct {
        const char *call;
        int error;
    } steps[] = {
        {"aloop__sys_look_up_cached", -EAGAIN},
        {"aloop__sys_look_up_cached", -ENOSYS},
        {"aloop__sys_look_up_cached", -EPERM},
        {"aloop__sys_fstat_cached", -ENOSYS},
        {"aloop__sys_mount_is_local", -ENOSYS},
        {"aloop__sys_mount_is_local", -EPERM},
        {"aloop__sys_mount_is_local", -ENOENT},
        {"aloop__sys_open_cached", -EAGAIN},
    };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        unsigned before;

        if (i > 0)
            assert_int_equal(tear_down_device(state) + set_up_local(state), 0);
        before = sim_descriptors_open();
        sim_fail(steps[i].call, 1, steps[i].error);
        assert_false(opens_now("/a", O_RDONLY));
        assert_int_equal(sim_descriptors_open(), before);
        assert_true(sim_calls("aloop__sys_mount_is_local") <= 1);
    }
}

static void without_the_number_of_the_mount_the_pool_is_needed_once(
    void **state)
{
    (void) state;
    sim_device("/")->mount = 0;
    assert_false(opens_now("/a", O_RDONLY));
    assert_true(opens_now("/a", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_mount_is_local"), 0);
}

/* A filter of calls, for example. */
static void a_local_file_that_refuses_cached_reads_is_read_by_a_thread(
    void **state)
{
    (void) state;
    sim_device("/")->cached_read_error = -EPERM;
    assert_false(reads_now("/a"));
    assert_false(reads_now("/a"));
}

/* Closing on the loop's thread. */

static unsigned threads_started(void)
{
    return sim_calls("aloop__sys_thread_start");
}

static void files_that_are_only_read_start_no_thread(void **state)
{
    unsigned before = sim_descriptors_open(), threads = threads_started();

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_true(opens_now("/a", O_RDONLY));
    assert_int_equal(threads_started(), threads);
    assert_int_equal(sim_descriptors_open(), before);
}

static void leave_alone(void)
{
}

/* The first close after a truncation may write to the disk. */
static void have_data_to_write(void)
{
    assert_int_equal(
        aloop_await(aloop_fs_write_file(t.loop, "/a", "01", 2, 0600)), 2);
}

static void remove_name(void)
{
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/a")), 0);
}

static void grow(void)
{
    static char data[(1 << 20) + 1];

    sim_file_put("/a", data, sizeof data);
}

static void a_close_that_may_wait_is_left_to_the_pool(void **state)
{
    static const struct {
        void (*change)(void);
        const char *call;
        int error;
    } cases[] = {
        {have_data_to_write, NULL, 0},
        {remove_name, NULL, 0},
        {grow, NULL, 0},
        {leave_alone, "aloop__sys_is_written", -ENOSYS},
        {leave_alone, "aloop__sys_is_written", -EPERM},
        {leave_alone, "aloop__sys_fstat_cached", -ENOMEM},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        aloop_file *file = NULL;
        unsigned before;

        if (i > 0)
            assert_int_equal(tear_down_device(state) + set_up_local(state), 0);
        before = sim_descriptors_open();
        assert_int_equal(
            aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)), 0);
        cases[i].change();
        if (cases[i].call != NULL)
            sim_fail(cases[i].call, 1, cases[i].error);
        aloop_file_close(file);
        assert_int_equal(sim_descriptors_open(), before + 1);
        aloop_run(t.loop);
        assert_int_equal(sim_descriptors_open(), before);
    }
}

/* The loop uses one future for reads that are awaited immediately. */

static aloop_future *read_one(aloop_file *file, char *ret, int64_t offset)
{
    aloop_future *read = aloop_file_read_at(file, ret, 1, offset);

    assert_int_equal(aloop_future_status(read), 1);
    return read;
}

static void on_read(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    *(ssize_t *) arg = status;
}

static ssize_t read_in_a_task(aloop *loop, void *arg)
{
    char bytes[3];
    ssize_t seen = 0;
    aloop_future *kept, *read;

    (void) loop;
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(read_one(arg, bytes, i)), 1);
    kept = aloop_future_ref(read_one(arg, bytes, 0));
    assert_int_equal(aloop_await(kept), 1);
    read = read_one(arg, bytes + 1, 1);
    assert_ptr_not_equal(read, kept);
    assert_int_equal(aloop_future_status(kept), 1);
    aloop_future_unref(kept);
    assert_int_equal(aloop_await(read), 1);
    read = read_one(arg, bytes + 2, 2);
    assert_int_equal(aloop_then(read, on_read, &seen), 0);
    assert_int_equal(aloop_await(read_one(arg, bytes, 3)), 1);
    assert_int_equal(bytes[0], '3');
    aloop_yield(loop);
    assert_int_equal(seen, 1);
    return aloop_await(aloop_gather(loop, read_one(arg, bytes, 1),
                                    read_one(arg, bytes + 1, 2)));
}

static void reads_that_are_held_have_futures_of_their_own(void **state)
{
    aloop_file *file = NULL;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)), 0);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, read_in_a_task, file)), 0);
    aloop_file_close(file);
}

static void a_read_that_is_held_at_the_end_is_reported(void **state)
{
    aloop_file *file = NULL;
    char byte;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)), 0);
    (void) read_one(file, &byte, 0);
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    assert_int_equal(t.unhandled, 2);
    t.unhandled = 0;
}

/* The option against all of it. */

static void reopen_with_threads(void)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled,
                             .must_use_file_threads = true};

    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    assert_non_null(t.loop);
}

static void expect_content(aloop_file *file)
{
    char text[16] = "";

    assert_int_equal(aloop_await(aloop_file_read_at(file, text, 10, 0)), 10);
    assert_int_equal(aloop_await(aloop_file_read(file, text, 10)), 10);
    assert_string_equal(text, "0123456789");
}

static int open_descriptor(void)
{
    aloop_file *file = NULL;

    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)), 0);
    return aloop_file_detach(file);
}

static void a_loop_that_must_use_threads_reads_no_file_itself(void **state)
{
    static const char *const calls[] = {
        "aloop__sys_look_up_cached",   "aloop__sys_open_cached",
        "aloop__sys_open_near_cached", "aloop__sys_mount_is_local",
        "aloop__sys_pread_cached",     "aloop__sys_pread_memory",
        "aloop__sys_is_written",       "aloop__sys_read_now",
    };
    aloop_file *file = NULL;
    aloop_stream *stream = NULL;
    char text[16] = "";

    (void) state;
    reopen_with_threads();
    for (int i = 0; i < 3; i++) {
        assert_false(opens_now("/a", O_RDONLY));
        assert_false(reads_now("/a"));
    }
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)), 0);
    expect_content(file);
    aloop_file_close(file);
    assert_int_equal(aloop_file_adopt(t.loop, open_descriptor(), &file), 0);
    expect_content(file);
    aloop_file_close(file);
    assert_int_equal(aloop_stream_open(t.loop, open_descriptor(), &stream), 0);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 10)), 10);
    assert_string_equal(text, "0123456789");
    aloop_stream_close(stream);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        assert_int_equal(sim_calls(calls[i]), 0);
}

#undef TEST
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_local, tear_down_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_open_of_a_local_file_needs_no_thread),
        TEST(the_first_whole_local_file_needs_no_thread),
        TEST(what_may_have_an_effect_is_left_to_the_pool),
        TEST(files_of_other_mounts_are_opened_by_the_pool),
        TEST(a_loop_without_local_files_looks_once),
        TEST(a_step_that_is_refused_leaves_the_file_to_the_pool),
        TEST(without_the_number_of_the_mount_the_pool_is_needed_once),
        TEST(files_that_are_only_read_start_no_thread),
        TEST(a_close_that_may_wait_is_left_to_the_pool),
        TEST(a_local_file_that_refuses_cached_reads_is_read_by_a_thread),
        TEST(a_loop_that_must_use_threads_reads_no_file_itself),
        TEST(reads_that_are_held_have_futures_of_their_own),
        TEST(a_read_that_is_held_at_the_end_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
