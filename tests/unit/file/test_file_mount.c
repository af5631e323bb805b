/* File systems whose type is found without a thread, on the simulated
 * system. */

#include "support/memory_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/sys_file.h"
#include "simulator/sim_file.h"

static int mount_set_up(void **state)
{
    int error = set_up_memory(state);

    sim_device("/")->is_local = true;
    sim_file_put("/a", "0123456789", 10);
    return error;
}

static int mount_tear_down(void **state)
{
    unsigned calls = sim_file_blocking_calls();
    int error = tear_down_memory(state);

    assert_int_equal(calls, 0);
    return error;
}

/* Return whether the future was settled when the function returned. */

static bool opens_now(const char *path, int flags)
{
    aloop_file *file = NULL;
    aloop_future *open = aloop_file_open(t.loop, path, flags, 0600, &file);
    bool is_now = aloop_future_is_settled(open);

    assert_int_equal(aloop_await(open), 0);
    aloop_file_close(file);
    aloop_run(t.loop);
    return is_now;
}

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
            assert_int_equal(mount_tear_down(state) + mount_set_up(state), 0);
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

#undef TEST
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mount_set_up, mount_tear_down)

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
        TEST(a_local_file_that_refuses_cached_reads_is_read_by_a_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
