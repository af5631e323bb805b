/* Files that are in the page cache of the real system: they are opened and read
 * without a thread. */

#define _GNU_SOURCE /* For mkdtemp(). */

#include "support/open_file_fixture.h"

#include "os/sys_file.h"

enum { TRIES = 100 };

/* Returns whether the file system of the folder supports it. */
static bool has_cached_reads(void)
{
    aloop_file *file;
    aloop_future *read;
    char text[4];
    bool is_settled;

    put_file("probe", "abcd", 4);
    file = open_here("probe", O_RDONLY);
    read = aloop_file_read(file, text, 4);
    is_settled = aloop_future_is_settled(read);
    assert_int_equal(aloop_await(read), 4);
    aloop_file_close(file);
    return is_settled;
}

static void cached_reads_settle_without_a_thread(void **state)
{
    static char data[100000], buffer[sizeof data];
    struct iovec pieces[] = {{buffer, 3}, {NULL, 0}, {buffer + 3, 90}};
    aloop_file *file;
    aloop_future *read;

    (void) state;
    if (!has_cached_reads())
        skip();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char) (i / 100);
    put_file("a", data, sizeof data);
    file = open_here("a", O_RDONLY);
    jam_files();
    read = aloop_file_read(file, buffer, 4096);
    assert_int_equal(aloop_future_status(read), 4096);
    assert_memory_equal(buffer, data, 4096);
    aloop_future_unref(read);
    assert_int_equal(aloop_file_position(file), 4096);
    read = aloop_file_read_at(file, buffer, 65536, sizeof data - 10);
    assert_int_equal(aloop_future_status(read), 10);
    aloop_future_unref(read);
    read = aloop_file_readv(file, pieces, 3);
    assert_int_equal(aloop_future_status(read), 93);
    assert_memory_equal(buffer, data + 4096, 93);
    aloop_future_unref(read);
    read = aloop_file_read(file, buffer, 65537);
    assert_false(aloop_future_is_settled(read));
    free_files();
    assert_int_equal(aloop_await(read), 65537);
    aloop_file_close(file);
}

/* Returns whether the system can also open files of the folder without waiting.
 * It may refuse that now and then, for example while another process mounts a
 * file system; the tests try it again. */
static bool has_cached_opens(void)
{
    int fd = -1;

    if (!has_cached_reads())
        return false;
    for (int i = 0; i < TRIES && fd < 0; i++)
        fd = aloop__sys_open_cached(in_folder("probe"), O_RDONLY);
    return fd >= 0 && close(fd) == 0;
}

static void a_file_of_a_known_file_system_is_opened_without_a_thread(
    void **state)
{
    aloop_file *file = NULL;
    char text[8] = "";
    int fd;

    (void) state;
    if (!has_cached_opens())
        skip();
    jam_files();
    for (int i = 0; i < TRIES && file == NULL; i++)
        aloop_future_unref(
            aloop_file_open(d.loop, in_folder("probe"), O_RDONLY, 0, &file));
    assert_non_null(file);
    free_files();
    assert_int_equal(aloop_await(aloop_file_read(file, text, 8)), 4);
    assert_string_equal(text, "abcd");
    fd = aloop_file_detach(file);
    assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDONLY);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 4);
    close(fd);
}

static void a_small_file_of_a_known_file_system_is_read_without_a_thread(
    void **state)
{
    void *data = NULL;
    aloop_future *read;

    (void) state;
    if (!has_cached_opens())
        skip();
    jam_files();
    for (int i = 0; i < TRIES && data == NULL; i++)
        aloop_future_unref(
            aloop_fs_read_file(d.loop, in_folder("probe"), 4, &data));
    assert_non_null(data);
    assert_string_equal(data, "abcd");
    aloop_data_free(d.loop, data);
    read = aloop_fs_read_file(d.loop, in_folder("probe"), 3, &data);
    assert_false(aloop_future_is_settled(read));
    free_files();
    assert_int_equal(aloop_await(read), ALOOP_EFBIG);
}

static void cached_reads_have_a_limit_in_each_turn(void **state)
{
    static char data[65536], buffers[8][sizeof data];
    aloop_file *file;
    int settled = 0;

    (void) state;
    if (!has_cached_reads())
        skip();
    put_file("a", data, sizeof data);
    file = open_here("a", O_RDONLY);
    aloop_step(d.loop, 0);
    for (int i = 0; i < 8; i++) {
        aloop_future *read =
            aloop_file_read_at(file, buffers[i], sizeof data, 0);

        settled += aloop_future_is_settled(read);
        aloop_detach(read);
    }
    assert_int_equal(settled, 4);
    assert_int_equal(aloop_run(d.loop), 0);
    aloop_file_close(file);
}

/* A task that reads what is cached, until its read fails. */
static ssize_t read_on(aloop *loop, void *arg)
{
    char byte;
    ssize_t status = 1;

    (void) loop;
    while (status >= 0)
        status = aloop_await(aloop_file_read_at(arg, &byte, 1, 0));
    return status;
}

static void a_cancel_ends_a_task_that_reads_what_is_cached(void **state)
{
    aloop_file *file;
    aloop_future *task;

    (void) state;
    put_file("a", "abcd", 4);
    file = open_here("a", O_RDONLY);
    task = aloop_spawn(d.loop, read_on, file);
    for (int i = 0; i < 10; i++)
        aloop_step(d.loop, 0);
    aloop_cancel(task);
    assert_int_equal(aloop_await(task), ALOOP_EABORTED);
    aloop_file_close(file);
}

static ssize_t read_with_deadline(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, 0);
    ssize_t status = read_on(loop, arg);

    aloop_deadline_end(deadline);
    return status == ALOOP_ETIMEDOUT ? 0 : status;
}

static void a_deadline_ends_a_task_that_reads_what_is_cached(void **state)
{
    aloop_file *file;

    (void) state;
    put_file("a", "abcd", 4);
    file = open_here("a", O_RDONLY);
    assert_int_equal(aloop_await(aloop_spawn(d.loop, read_with_deadline, file)),
                     0);
    aloop_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cached_reads_settle_without_a_thread),
        TEST(a_file_of_a_known_file_system_is_opened_without_a_thread),
        TEST(a_small_file_of_a_known_file_system_is_read_without_a_thread),
        TEST(cached_reads_have_a_limit_in_each_turn),
        TEST(a_cancel_ends_a_task_that_reads_what_is_cached),
        TEST(a_deadline_ends_a_task_that_reads_what_is_cached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
