/* Opening and reading files on the loop's own thread, on the simulated system.
 * A thread has to open the first file of each device, whose type is not known;
 * the loop looks at the first file of all. */

#include "support/device_fixture.h"

#include <stdio.h>

static void a_known_device_needs_no_thread_to_open_a_file(void **state)
{
    aloop_file *file = NULL;
    aloop_future *open;
    char text[16] = "";

    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    open = aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file);
    assert_int_equal(aloop_future_status(open), 0);
    aloop_future_unref(open);
    assert_int_equal(sim_calls("aloop__sys_openat"), 1);
    assert_int_equal(aloop_await(aloop_file_read(file, text, 4)), 4);
    assert_string_equal(text, "0123");
    assert_int_equal(aloop_file_position(file), 4);
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
    aloop_file_close(file);
}

static void only_reading_opens_without_a_thread(void **state)
{
    static const int flags[] = {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT,
                                O_RDONLY | O_APPEND, O_RDWR | O_TRUNC};

    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        assert_false(opens_now("/a", flags[i]));
    assert_true(opens_now("/a", O_RDONLY | O_NONBLOCK));
}

static void what_is_no_regular_file_is_not_opened_without_a_thread(void **state)
{
    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    sim_file_fifo("/fifo");
    assert_false(opens_now("/fifo", O_RDONLY));
    assert_false(opens_now("/", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 3);
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
}

static void each_device_has_to_be_known(void **state)
{
    (void) state;
    sim_mount("/m");
    sim_file_put("/m/a", "text", 4);
    assert_false(opens_now("/a", O_RDONLY));
    assert_false(opens_now("/m/a", O_RDONLY));
    assert_true(opens_now("/m/a", O_RDONLY));
    assert_true(opens_now("/a", O_RDONLY));
}

static void a_device_that_refuses_cached_reads_is_never_known(void **state)
{
    (void) state;
    sim_mount("/m")->cached_read_error = -EOPNOTSUPP;
    sim_file_put("/m/a", "text", 4);
    assert_false(opens_now("/a", O_RDONLY));
    for (int i = 0; i < 3; i++)
        assert_false(opens_now("/m/a", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 1 + 1);
    assert_true(opens_now("/a", O_RDONLY));
}

static void a_device_is_asked_for_cached_reads_until_it_is_known(void **state)
{
    (void) state;
    assert_false(opens_now("/a", O_WRONLY));
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 0);
    for (int i = 0; i < 3; i++) {
        assert_false(opens_now("/a", O_RDWR));
        assert_int_equal(sim_calls("aloop__sys_pread_cached"), 1);
    }
}

static void devices_beyond_the_limit_are_left_to_the_pool(void **state)
{
    char path[16];

    (void) state;
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof path, "/m%d", i);
        sim_mount(path);
        snprintf(path, sizeof path, "/m%d/a", i);
        sim_file_put(path, "text", 4);
        assert_false(opens_now(path, O_RDONLY));
        assert_int_equal(opens_now(path, O_RDONLY), i < 8);
    }
}

static void a_system_that_refuses_is_asked_once(void **state)
{
    static const int errors[] = {-EPERM, -ENOSYS};

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (i > 0)
            assert_int_equal(tear_down_device(state) + set_up_device(state), 0);
        sim_device("/a")->cached_open_error = errors[i];
        for (int j = 0; j < 4; j++)
            assert_false(opens_now("/a", O_RDONLY));
        assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 1);
    }
}

static void errors_are_those_of_the_pool(void **state)
{
    aloop_file *file = NULL;

    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/b", O_RDONLY, 0, &file)),
        ALOOP_ENOENT);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, NULL, O_RDONLY, 0, &file)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, NULL)),
        ALOOP_EINVAL);
    sim_fail("aloop__sys_open_cached", 1, -EMFILE);
    sim_fail("aloop__sys_openat", 1, -EMFILE);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)),
        ALOOP_EMFILE);
    assert_null(file);
    assert_true(opens_now("/a", O_RDONLY));
}

static void a_name_that_was_replaced_meanwhile_is_left_to_the_pool(void **state)
{
    unsigned before;

    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    before = sim_descriptors_open();
    sim_fail("aloop__sys_fstat_cached", 2, -EIO); /* What was opened. */
    assert_false(opens_now("/a", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 1);
    assert_int_equal(sim_calls("aloop__sys_openat"), 2);
    assert_int_equal(sim_descriptors_open(), before);
}

static void opens_without_a_thread_have_a_limit_in_each_turn(void **state)
{
    enum { OPENS = 40, LIMIT = 32 };
    aloop_file *files[OPENS] = {NULL};
    aloop_future *opens[OPENS];
    size_t count = 0;

    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    aloop_step(t.loop, 0);
    for (size_t i = 0; i < OPENS; i++) {
        opens[i] = aloop_file_open(t.loop, "/a", O_RDONLY, 0, &files[i]);
        count += aloop_future_is_settled(opens[i]);
    }
    assert_int_equal(count, LIMIT);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, OPENS, opens)), 0);
    for (size_t i = 0; i < OPENS; i++)
        aloop_file_close(files[i]);
}

static void an_open_without_memory_leaves_no_descriptor(void **state)
{
    enum { OPENS = 400, IN_A_TURN = 20 };
    static aloop_file *files[OPENS];
    unsigned before, count = 0;
    aloop_future *open = NULL;

    (void) state;
    assert_false(opens_now("/a", O_RDONLY));
    before = sim_descriptors_open();
    memory.is_out = true;
    do {
        if (count % IN_A_TURN == 0)
            aloop_step(t.loop, 0);
        open = aloop_file_open(t.loop, "/a", O_RDONLY, 0, &files[count]);
        if (open != NULL)
            assert_int_equal(aloop_await(open), 0);
    } while (open != NULL && ++count < OPENS);
    memory.is_out = false;
    assert_null(open);
    for (unsigned i = 0; i < count; i++)
        aloop_file_close(files[i]);
    aloop_run(t.loop);
    assert_int_equal(sim_descriptors_open(), before);
}

/* Whole files. */

/* Returns whether the file was read when the function returned.  Expects its
 * content. */
static bool reads_now(const char *path, const char *content)
{
    void *data = NULL;
    aloop_future *read = aloop_fs_read_file(t.loop, path, 70000, &data);
    bool is_now = aloop_future_is_settled(read);
    size_t size = strlen(content);

    assert_int_equal(aloop_await(read), size);
    assert_string_equal(data, content);
    assert_int_equal((uintptr_t) data % 64, 0);
    aloop_data_free(t.loop, data);
    return is_now;
}

static void a_known_device_needs_no_thread_to_read_a_file(void **state)
{
    unsigned before = sim_descriptors_open();

    (void) state;
    sim_file_put("/e", "", 0);
    assert_false(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
    assert_true(reads_now("/e", ""));
    assert_true(opens_now("/a", O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_openat"), 1);
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 3);
    aloop_step(t.loop, 0);
    assert_int_equal(sim_descriptors_open(), before);
}

static void a_path_is_looked_up_before_its_first_read_only(void **state)
{
    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    for (int i = 0; i < 4; i++)
        assert_true(reads_now("/a", "0123456789"));
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 3);
    sim_fail("aloop__sys_open_near_cached", 1, -EAGAIN);
    assert_true(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 4);
}

/* "a" is in the working directory.  Its mount is looked for each time. */
static void a_relative_path_is_looked_up_before_its_first_read_only(
    void **state)
{
    (void) state;
    assert_false(reads_now("a", "0123456789"));
    for (int i = 0; i < 4; i++)
        assert_true(reads_now("a", "0123456789"));
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 2);
    assert_int_equal(sim_calls("aloop__sys_open_near_cached"), 3);
    sim_device("a")->mount += 100; /* As after a chdir(). */
    assert_false(reads_now("a", "0123456789"));
    assert_int_equal(sim_calls("aloop__sys_open_near_cached"), 3);
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 1);
}

static void a_path_with_a_mount_on_its_way_is_looked_up_each_time(void **state)
{
    (void) state;
    sim_mount("/m");
    sim_file_put("/m/a", "text", 4);
    assert_false(reads_now("/m/a", "text"));
    for (int i = 0; i < 3; i++)
        assert_true(reads_now("/m/a", "text"));
    assert_int_equal(sim_calls("aloop__sys_open_near_cached"), 0);
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 1 + 3 + 1);
}

/* The file system of a known path waits for a server now. */
static void a_known_path_leads_to_no_other_device(void **state)
{
    (void) state;
    sim_file_put("/d/a", "text", 4);
    assert_false(reads_now("/d/a", "text"));
    for (int i = 0; i < 2; i++)
        assert_true(reads_now("/d/a", "text"));
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/d/a")), 0);
    sim_mount("/d")->cached_read_error = -EOPNOTSUPP;
    sim_file_put("/d/a", "text", 4);
    for (int i = 0; i < 2; i++)
        assert_false(reads_now("/d/a", "text"));
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 1);
}

/* Each step fails once.  Those from the third on have a descriptor, which the
 * thread uses. */
static void a_thread_continues_where_a_step_has_failed(void **state)
{
    static const struct {
        const char *call;
        unsigned nth;
        int error;
        unsigned opens; /* By the thread. */
    } steps[] = {
        {"aloop__sys_look_up_cached", 1, -EAGAIN, 1},
        {"aloop__sys_fstat_cached", 1, -EIO, 1},
        {"aloop__sys_open_cached", 1, -EAGAIN, 1},
        {"aloop__sys_fstat_cached", 2, -EIO, 0},
        {"aloop__sys_pread_cached", 1, -EAGAIN, 0},
        {"aloop__sys_pread_cached", 1, -EIO, 0},
    };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        unsigned before, opens;

        if (i > 0)
            assert_int_equal(tear_down_device(state) + set_up_device(state), 0);
        assert_false(reads_now("/a", "0123456789"));
        before = sim_descriptors_open();
        opens = sim_calls("aloop__sys_openat");
        sim_fail(steps[i].call, steps[i].nth, steps[i].error);
        assert_false(reads_now("/a", "0123456789"));
        assert_int_equal(sim_calls("aloop__sys_openat") - opens,
                         steps[i].opens);
        assert_int_equal(sim_descriptors_open(), before);
    }
}

static void a_thread_reads_all_of_a_file_that_is_cached_in_part(void **state)
{
    static char content[9001];
    aloop_file *file = NULL;
    char byte;

    (void) state;
    memset(content, 'x', sizeof content - 1);
    sim_file_put("/a", content, sizeof content - 1);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file)), 0);
    sim_file_evict("/a");
    assert_int_equal(aloop_await(aloop_file_read_at(file, &byte, 1, 0)), 1);
    aloop_await(aloop_sleep(t.loop, MS)); /* The first block is read. */
    aloop_file_close(file);
    assert_false(reads_now("/a", content));
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 4);
}

static void a_file_that_changes_meanwhile_is_read_to_its_end(void **state)
{
    static const int changes[] = {-10, -4, 4};
    unsigned before;

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    before = sim_descriptors_open();
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        sim_device("/a")->cached_size_error = changes[i];
        assert_int_equal(reads_now("/a", "0123456789"), changes[i] > 0);
        assert_int_equal(sim_descriptors_open(), before);
    }
}

static void files_that_are_not_cached_back_off(void **state)
{
    static const unsigned tries[] = {2, 2, 3, 3, 3, 4};

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        sim_file_evict("/a");
        assert_false(reads_now("/a", "0123456789"));
        assert_int_equal(sim_calls("aloop__sys_pread_cached"), tries[i]);
    }
    for (int i = 0; i < 4; i++)
        assert_false(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
    sim_file_evict("/a");
    assert_false(reads_now("/a", "0123456789"));
    assert_false(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
}

static void whole_files_without_a_thread_have_a_limit_of_size(void **state)
{
    static char content[65537];

    (void) state;
    memset(content, 'x', sizeof content - 1);
    sim_file_put("/b", content, 65536);
    assert_false(reads_now("/a", "0123456789"));
    assert_false(reads_now("/b", content));
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
    content[65535] = '\0';
    sim_file_put("/b", content, 65535);
    assert_true(reads_now("/b", content));
}

static void whole_files_without_a_thread_have_a_limit_in_each_turn(void **state)
{
    enum { READS = 8 };
    static char content[60001];
    aloop_future *reads[READS];
    void *data[READS];
    size_t count = 0;

    (void) state;
    memset(content, 'x', sizeof content - 1);
    sim_file_put("/b", content, 60000);
    assert_false(reads_now("/b", content));
    aloop_step(t.loop, 0);
    for (size_t i = 0; i < READS; i++) {
        reads[i] = aloop_fs_read_file(t.loop, "/b", 60000, &data[i]);
        count += aloop_future_is_settled(reads[i]);
    }
    assert_int_equal(count, 3);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, READS, reads)), 0);
    for (size_t i = 0; i < READS; i++)
        aloop_data_free(t.loop, data[i]);
}

static void the_size_of_a_whole_file_is_limited_by_the_caller(void **state)
{
    void *data = NULL;

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    assert_int_equal(aloop_await(aloop_fs_read_file(t.loop, "/a", 9, &data)),
                     ALOOP_EFBIG);
    assert_null(data);
    assert_int_equal(aloop_await(aloop_fs_read_file(t.loop, "/a", 10, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_fs_read_file(t.loop, "/a", 10, &data)),
                     10);
    aloop_data_free(t.loop, data);
}

static void files_of_an_unknown_device_are_read_by_a_thread(void **state)
{
    (void) state;
    sim_mount("/m")->cached_read_error = -EOPNOTSUPP;
    sim_file_put("/m/a", "text", 4);
    assert_false(reads_now("/a", "0123456789"));
    for (int i = 0; i < 3; i++)
        assert_false(reads_now("/m/a", "text"));
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
    sim_device("/a")->cached_open_error = -EPERM;
    for (int i = 0; i < 3; i++)
        assert_false(reads_now("/a", "0123456789"));
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 5);
}

/* Files in memory, as those of tmpfs. */

static struct sim_device *mount_memory(void)
{
    struct sim_device *device = sim_mount("/m");

    device->cached_read_error = -EOPNOTSUPP;
    device->is_in_memory = true;
    sim_file_put("/m/a", "0123456789", 10);
    return device;
}

static void files_in_memory_need_no_thread(void **state)
{
    aloop_file *file = NULL;
    char text[8] = "";

    (void) state;
    mount_memory();
    assert_false(reads_now("/m/a", "0123456789"));
    assert_true(reads_now("/m/a", "0123456789"));
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/m/a", O_RDONLY, 0, &file)), 0);
    assert_int_equal(aloop_await(aloop_file_read(file, text, 4)), 4);
    assert_int_equal(aloop_await(aloop_file_read(file, text + 4, 3)), 3);
    assert_string_equal(text, "0123456");
    aloop_file_close(file);
    aloop_run(t.loop);
    assert_int_equal(sim_calls("aloop__sys_openat"), 1);
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 0);
    assert_true(reads_now("/m/a", "0123456789"));
}

static void each_device_is_read_in_its_own_way(void **state)
{
    (void) state;
    mount_memory();
    assert_false(reads_now("/m/a", "0123456789"));
    assert_false(reads_now("/a", "0123456789"));
    for (int i = 0; i < 3; i++) {
        assert_true(reads_now("/a", "0123456789"));
        assert_true(reads_now("/m/a", "0123456789"));
    }
    assert_int_equal(sim_calls("aloop__sys_openat"), 2);
}

static void what_is_in_the_swap_area_is_read_by_a_thread(void **state)
{
    aloop_file *file = NULL;
    char text[4];

    (void) state;
    mount_memory();
    assert_false(reads_now("/m/a", "0123456789"));
    sim_file_evict("/m/a");
    assert_false(reads_now("/m/a", "0123456789"));
    sim_file_evict("/m/a");
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/m/a", O_RDONLY, 0, &file)), 0);
    assert_int_equal(aloop_await(aloop_file_read(file, text, 4)), 4);
    assert_int_equal(sim_calls("aloop__sys_preadv"), 1);
    aloop_file_close(file);
}

static void a_system_that_does_not_answer_is_asked_for_each_file(void **state)
{
    static const int errors[] = {-ENOSYS, -EPERM, -EOPNOTSUPP};

    (void) state;
    mount_memory();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        sim_fail("aloop__sys_pread_memory", 1, errors[i]);
        assert_false(reads_now("/m/a", "0123456789"));
    }
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 0);
    assert_false(reads_now("/m/a", "0123456789"));
    sim_fail("aloop__sys_pread_memory", 1, -EPERM); /* The file of another. */
    assert_false(reads_now("/m/a", "0123456789"));
}

/* Another file system is mounted in the place of the first one, gets the number
 * of its device, and waits for a server. */
static void the_next_device_with_a_number_has_to_be_known(void **state)
{
    struct sim_device *device;

    (void) state;
    device = mount_memory();
    assert_false(reads_now("/m/a", "0123456789"));
    assert_true(reads_now("/m/a", "0123456789"));
    device->mount += 100;
    device->is_in_memory = false;
    for (int i = 0; i < 3; i++) {
        assert_false(reads_now("/m/a", "0123456789"));
        assert_false(opens_now("/m/a", O_RDONLY));
    }
    assert_int_equal(sim_calls("aloop__sys_pread_memory"), 2);
}

static void without_numbers_of_mounts_memory_is_left_to_the_pool(void **state)
{
    (void) state;
    mount_memory()->mount = 0;
    sim_device("/a")->mount = 0;
    for (int i = 0; i < 3; i++)
        assert_false(reads_now("/m/a", "0123456789"));
    assert_false(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
}

/* The open of the FIFO has released its writer, so that it must not be closed
 * before the writer has written. */
static void a_fifo_that_replaces_a_known_file_is_read_to_its_end(void **state)
{
    aloop_file *writer = NULL;
    aloop_future *read;
    void *data = NULL;

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/a")), 0);
    sim_file_fifo("/a");
    read = aloop_fs_read_file(t.loop, "/a", 100, &data);
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 1);
    assert_int_equal(sim_calls("aloop__sys_open_near_cached"), 1);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_WRONLY, 0, &writer)), 0);
    assert_int_equal(aloop_await(aloop_file_write(writer, "abc", 3)), 3);
    aloop_file_close(writer);
    assert_int_equal(aloop_await(read), 3);
    assert_string_equal(data, "abc");
    aloop_data_free(t.loop, data);
}

static void a_path_that_is_too_long_is_left_to_the_pool(void **state)
{
    static char path[10000];
    void *data = NULL;

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    memset(path, 'a', sizeof path - 1);
    assert_int_equal(aloop_await(aloop_fs_read_file(t.loop, path, 10, &data)),
                     ALOOP_ENAMETOOLONG);
}

/* Reads until that fails. */
static ssize_t read_again(aloop *loop, void *arg)
{
    ssize_t status = 0;
    void *data;

    (void) arg;
    while (status >= 0) {
        data = NULL;
        status = aloop_await(aloop_fs_read_file(loop, "/a", 100, &data));
        aloop_data_free(loop, data);
    }
    return status;
}

static void a_cancel_ends_a_task_that_reads_cached_files(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, read_again, NULL);

    (void) state;
    for (int i = 0; i < 10; i++)
        aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    assert_true(sim_calls("aloop__sys_open_cached") > 0);
}

static ssize_t open_after_cancel(aloop *loop, void *arg)
{
    ssize_t *ret_status = arg;
    aloop_file *file = NULL;

    assert_int_equal(aloop_await(aloop_sleep(loop, MS)), ALOOP_ECANCELED);
    *ret_status = aloop_await(aloop_file_open(loop, "/a", O_RDONLY, 0, &file));
    aloop_file_close(file);
    return 0;
}

static void a_cancelled_task_opens_no_file_that_is_cached(void **state)
{
    ssize_t status = 0;
    aloop_future *task;

    (void) state;
    assert_false(opens_now("/a", O_RDONLY)); /* The device is known now. */
    task = aloop_spawn(t.loop, open_after_cancel, &status);
    aloop_step(t.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), 0);

    assert_int_equal(status, ALOOP_ECANCELED);
}

static void a_read_that_is_dropped_leaves_no_descriptor(void **state)
{
    unsigned before;
    void *data = NULL;
    aloop_future *read;

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    before = sim_descriptors_open();
    sim_file_evict("/a");
    read = aloop_fs_read_file(t.loop, "/a", 100, &data);
    assert_int_equal(sim_descriptors_open(), before + 1);
    aloop_future_unref(read);
    aloop_run(t.loop);
    assert_int_equal(sim_descriptors_open(), before);
    assert_null(data);
}

static void a_whole_file_without_memory_leaves_no_descriptor(void **state)
{
    enum { READS = 400, IN_A_TURN = 20 };
    static aloop_future *reads[READS];
    unsigned before, count = 0;
    aloop_future *read;
    void *data;

    (void) state;
    assert_false(reads_now("/a", "0123456789"));
    before = sim_descriptors_open();
    memory.is_out = true;
    do {
        if (count % IN_A_TURN == 0)
            aloop_step(t.loop, 0);
        data = NULL;
        read = aloop_fs_read_file(t.loop, "/a", 100, &data);
        reads[count] = read; /* It is kept until the memory is used up. */
    } while (read != NULL && ++count < READS);
    memory.is_out = false;
    assert_null(read);
    assert_null(data);
    assert_int_equal(sim_descriptors_open(), before);
    for (unsigned i = 0; i < count; i++)
        aloop_future_unref(reads[i]);
}

static void a_debug_loop_reads_cached_files_without_a_thread(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled,
                             .debug = true};

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    assert_non_null(t.loop);
    assert_false(reads_now("/a", "0123456789"));
    assert_true(reads_now("/a", "0123456789"));
    assert_true(opens_now("/a", O_RDONLY));
    assert_int_equal(t.mistakes, 0);
}

#undef TEST
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_device, tear_down_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_known_device_needs_no_thread_to_open_a_file),
        TEST(only_reading_opens_without_a_thread),
        TEST(what_is_no_regular_file_is_not_opened_without_a_thread),
        TEST(each_device_has_to_be_known),
        TEST(a_device_that_refuses_cached_reads_is_never_known),
        TEST(a_device_is_asked_for_cached_reads_until_it_is_known),
        TEST(devices_beyond_the_limit_are_left_to_the_pool),
        TEST(a_system_that_refuses_is_asked_once),
        TEST(errors_are_those_of_the_pool),
        TEST(a_name_that_was_replaced_meanwhile_is_left_to_the_pool),
        TEST(opens_without_a_thread_have_a_limit_in_each_turn),
        TEST(an_open_without_memory_leaves_no_descriptor),
        TEST(a_known_device_needs_no_thread_to_read_a_file),
        TEST(a_path_is_looked_up_before_its_first_read_only),
        TEST(a_relative_path_is_looked_up_before_its_first_read_only),
        TEST(a_path_with_a_mount_on_its_way_is_looked_up_each_time),
        TEST(a_known_path_leads_to_no_other_device),
        TEST(a_thread_continues_where_a_step_has_failed),
        TEST(a_thread_reads_all_of_a_file_that_is_cached_in_part),
        TEST(a_file_that_changes_meanwhile_is_read_to_its_end),
        TEST(files_that_are_not_cached_back_off),
        TEST(whole_files_without_a_thread_have_a_limit_of_size),
        TEST(whole_files_without_a_thread_have_a_limit_in_each_turn),
        TEST(the_size_of_a_whole_file_is_limited_by_the_caller),
        TEST(files_of_an_unknown_device_are_read_by_a_thread),
        TEST(files_in_memory_need_no_thread),
        TEST(each_device_is_read_in_its_own_way),
        TEST(what_is_in_the_swap_area_is_read_by_a_thread),
        TEST(a_system_that_does_not_answer_is_asked_for_each_file),
        TEST(the_next_device_with_a_number_has_to_be_known),
        TEST(without_numbers_of_mounts_memory_is_left_to_the_pool),
        TEST(a_fifo_that_replaces_a_known_file_is_read_to_its_end),
        TEST(a_path_that_is_too_long_is_left_to_the_pool),
        TEST(a_cancel_ends_a_task_that_reads_cached_files),
        TEST(a_cancelled_task_opens_no_file_that_is_cached),
        TEST(a_read_that_is_dropped_leaves_no_descriptor),
        TEST(a_whole_file_without_memory_leaves_no_descriptor),
        TEST(a_debug_loop_reads_cached_files_without_a_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
