/* Open files on the simulated system: short counts, errors in the middle, and
 * cancels while a thread works.  tests/system/test_file.c has the rest. */

#define _GNU_SOURCE /* For O_DIRECT. */

#include "support/memory_fixture.h"
#include "support/file_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "os/sys_file.h"

#ifndef O_DIRECT /* Some systems have no such flag. */
#define O_DIRECT 0
#endif

enum { OPERATIONS = 400, SLOTS = 16 };

static int file_set_up(void **state)
{
    int error = set_up(state);

    sim_file_put("/a", "0123456789", 10);
    return error;
}

static void no_cached_reads(void)
{
    sim_device("/a")->cached_read_error = -EOPNOTSUPP;
}

static aloop_file *open_a(int flags)
{
    aloop_file *file = NULL;

    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", flags, 0600, &file)), 0);
    return file;
}

static void expect_a(const char *text)
{
    char found[64] = "";

    assert_int_equal(sim_file_get("/a", found, sizeof found), strlen(text));
    assert_string_equal(found, text);
}

static void an_open_that_runs_delivers_the_file_although_it_is_cancelled(
    void **state)
{
    aloop_file *file = NULL;
    aloop_future *open;

    (void) state;
    slow_down();
    open = aloop_file_open(t.loop, "/b", O_WRONLY | O_CREAT, 0600, &file);
    begin();
    aloop_cancel(open);
    assert_null(file);
    assert_int_equal(aloop_await(open), 0);
    assert_non_null(file);
    aloop_file_close(file);
}

static void a_path_is_freed_although_the_settled_open_is_kept(void **state)
{
    aloop_file *file = NULL;
    aloop_future *open;

    (void) state;
    aloop_free(t.loop);
    t.loop = memory_loop(0);
    open = aloop_file_open(t.loop, "/a", O_RDONLY, 0, &file);
    while (!aloop_future_is_settled(open))
        turns(1);
    assert_int_equal(aloop_future_status(open), 0);
    aloop_free(t.loop); /* `open` still has an owner. */
    t.loop = NULL;
    assert_int_equal(memory.bytes, 0);
}

static void an_open_that_has_not_begun_creates_nothing_when_cancelled(
    void **state)
{
    aloop_file *file = NULL;
    aloop_future *open =
        aloop_file_open(t.loop, "/b", O_WRONLY | O_CREAT, 0600, &file);

    (void) state;
    aloop_cancel(open);
    assert_int_equal(aloop_future_status(open), ALOOP_ECANCELED);
    aloop_future_unref(open);
    aloop_run(t.loop);
    assert_null(file);
    assert_int_equal(sim_file_get("/b", NULL, 0), -ENOENT);
}

static void a_file_is_closed_if_its_open_was_dropped(void **state)
{
    unsigned before;
    aloop_file *file = NULL;

    (void) state;
    aloop_file_close(open_a(O_RDONLY));
    aloop_run(t.loop);
    before = sim_descriptors_open();
    slow_down();
    aloop_future *open = aloop_file_open(t.loop, "/a", O_RDWR, 0, &file);
    begin();
    aloop_future_unref(open);
    aloop_run(t.loop);
    assert_null(file);
    assert_int_equal(sim_descriptors_open(), before);
}

static void a_file_with_a_lease_is_opened_by_waiting_for_it(void **state)
{
    (void) state;
    sim_fail("aloop__sys_openat", 1, -EAGAIN);
    aloop_file_close(open_a(O_RDONLY));
    assert_int_equal(sim_calls("aloop__sys_openat"), 2);
}

static void short_counts_are_continued(void **state)
{
    static char sent[9000], received[9000];
    struct iovec pieces[3] = {{received, 100},
                              {received + 100, 4000},
                              {received + 4100, 4900}};
    aloop_file *file = open_a(O_RDWR);

    (void) state;
    sim_options()->short_file_percent = 100;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i + i / 256);
    assert_int_equal(aloop_await(aloop_file_write(file, sent, sizeof sent)),
                     sizeof sent);
    no_cached_reads();
    assert_int_equal(
        aloop_await(aloop_file_read_at(file, received, sizeof received, 0)),
        sizeof received);
    assert_memory_equal(sent, received, sizeof sent);
    memset(received, 0, sizeof received);
    assert_int_equal(aloop_await(aloop_file_readv_at(file, pieces, 3, 0)),
                     sizeof received);
    assert_memory_equal(sent, received, sizeof sent);
    aloop_file_close(file);
}

static void the_position_shows_what_was_written_before_an_error(void **state)
{
    static const char data[10000];
    aloop_file *file = open_a(O_RDWR);
    int64_t position;

    (void) state;
    sim_device("/a")->size_max = 8192;
    assert_int_equal(aloop_await(aloop_file_write(file, data, sizeof data)),
                     ALOOP_ENOSPC);
    position = aloop_file_position(file);
    assert_true(position >= 4096 && position <= 8192);
    assert_int_equal(sim_file_get("/a", NULL, 0), position);
    aloop_file_close(file);
}

static void an_append_that_fails_leaves_the_position_at_its_end(void **state)
{
    static const char data[10000];
    aloop_file *file = open_a(O_WRONLY | O_APPEND);

    (void) state;
    sim_device("/a")->size_max = 8192;
    assert_int_equal(aloop_await(aloop_file_write(file, data, sizeof data)),
                     ALOOP_ENOSPC);
    assert_int_equal(aloop_file_position(file), sim_file_get("/a", NULL, 0));
    aloop_file_close(file);
}

static void a_move_to_the_end_that_fails_moves_nothing(void **state)
{
    aloop_file *file = open_a(O_RDONLY);
    aloop_future *seek;

    (void) state;
    assert_int_equal(aloop_file_seek(file, 2, SEEK_SET), 2);
    sim_fail("aloop__sys_fstat", 1, -EIO);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, 0)), ALOOP_EIO);
    seek = aloop_file_seek_end(file, 0);
    aloop_cancel(seek);
    assert_int_equal(aloop_await(seek), ALOOP_EABORTED);
    assert_int_equal(aloop_file_position(file), 2);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, 0)), 0);
    assert_int_equal(aloop_file_position(file), 10);
    aloop_file_close(file);
}

static void a_read_that_fails_moves_nothing(void **state)
{
    static char buffer[64];
    aloop_file *file = open_a(O_RDONLY);

    (void) state;
    no_cached_reads();
    sim_options()->short_file_percent = 100;
    sim_fail("aloop__sys_preadv", 2, -EIO);
    assert_int_equal(aloop_await(aloop_file_read(file, buffer, sizeof buffer)),
                     ALOOP_EIO);
    assert_int_equal(aloop_file_position(file), 0);
    aloop_file_close(file);
}

static void a_read_that_runs_settles_with_its_status_when_cancelled(
    void **state)
{
    aloop_file *file = open_a(O_RDONLY);
    char text[16] = "";
    aloop_future *read;

    (void) state;
    no_cached_reads();
    slow_down();
    read = aloop_file_read(file, text, 4);
    begin();
    aloop_cancel(read);
    assert_false(aloop_future_is_settled(read));
    assert_int_equal(aloop_await(read), 4);
    assert_string_equal(text, "0123");
    assert_int_equal(aloop_file_position(file), 4);
    aloop_file_close(file);
}

static void a_large_write_ends_between_two_pieces_when_cancelled(void **state)
{
    static char data[20 << 20];
    aloop_file *file = open_a(O_WRONLY);
    aloop_future *write;

    (void) state;
    slow_down();
    write = aloop_file_write(file, data, sizeof data);
    begin();
    aloop_cancel(write);
    assert_false(aloop_future_is_settled(write));
    assert_int_equal(aloop_await(write), ALOOP_EABORTED);
    assert_int_equal(aloop_file_position(file), 8 << 20);
    aloop_file_close(file);
}

/* What was read from a FIFO cannot be read again. */
static void a_read_of_a_fifo_that_runs_delivers_its_bytes_when_cancelled(
    void **state)
{
    aloop_file *reader = NULL, *writer = NULL;
    aloop_future *read;
    char text[8] = "";

    (void) state;
    sim_file_fifo("/fifo");
    aloop_await(aloop_file_open(t.loop, "/fifo", O_RDONLY, 0, &reader));
    aloop_await(aloop_file_open(t.loop, "/fifo", O_WRONLY, 0, &writer));
    assert_int_equal(aloop_await(aloop_file_write(writer, "abc", 3)), 3);
    slow_down();
    read = aloop_file_read(reader, text, sizeof text);
    while (sim_calls("aloop__sys_read") == 0) {
        turns(1);
        sim_pass(1);
    }
    aloop_cancel(read);
    assert_int_equal(aloop_await(read), 3);
    assert_string_equal(text, "abc");
    aloop_file_close(reader);
    aloop_file_close(writer);
}

static void a_close_lets_what_runs_end_first(void **state)
{
    aloop_file *file = open_a(O_RDWR);
    char text[16] = "";
    aloop_future *ops[3];

    (void) state;
    no_cached_reads();
    slow_down();
    ops[0] = aloop_file_write(file, "ab", 2);
    begin();
    ops[1] = aloop_file_read(file, text, 4);
    ops[2] = aloop_file_sync(file);
    aloop_file_close(file);
    assert_false(aloop_future_is_settled(ops[0]));
    assert_int_equal(aloop_future_status(ops[1]), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(ops[2]), ALOOP_ECANCELED);
    aloop_future_unref(ops[1]);
    aloop_future_unref(ops[2]);
    assert_int_equal(aloop_await(ops[0]), 2);
    aloop_run(t.loop);
    expect_a("ab23456789");
    assert_int_equal(sim_calls("aloop__sys_close"), 1);
}

static void a_close_that_a_signal_interrupts_has_succeeded(void **state)
{
    static const int errors[] = {-EINTR, -EINPROGRESS};

    (void) state;
    for (int i = 0; i < 2; i++) {
        aloop_file *file = open_a(O_RDONLY);

        sim_fail("aloop__sys_close", 1, errors[i]);
        aloop_file_close(file);
        aloop_run(t.loop);
        assert_int_equal(sim_faults_pending(), 0);
    }
    turns(2);
    assert_int_equal(t.unhandled, 0);
}

static void an_error_of_a_close_is_reported(void **state)
{
    aloop_file *file = open_a(O_RDONLY);

    (void) state;
    sim_fail("aloop__sys_close", 1, -EDQUOT);
    aloop_file_close(file);
    aloop_run(t.loop);
    turns(1);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EDQUOT);
    assert_string_equal(t.unhandled_what, "file close");
}

static void an_error_of_a_close_at_the_end_of_the_loop_is_reported(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};
    aloop_file *file = open_a(O_RDONLY);

    (void) state;
    sim_fail("aloop__sys_close", 1, -EIO);
    aloop_file_close(file);
    aloop_free(t.loop);
    assert_int_equal(t.unhandled_error, ALOOP_EIO);
    t.loop = aloop_new(&options);
}

static void an_error_of_a_file_that_aloop_free_closes_is_reported(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};

    (void) state;
    open_a(O_RDONLY);
    sim_fail("aloop__sys_close", 1, -EIO);
    aloop_free(t.loop);
    assert_int_equal(t.unhandled_error, ALOOP_EIO);
    t.loop = aloop_new(&options);
}

static void a_forked_child_that_frees_the_loop_reports_nothing(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};

    (void) state;
    open_a(O_RDONLY);
    sim_fork();
    sim_fail("aloop__sys_close", 1, -EIO);
    assert_int_equal(aloop_free(t.loop), 0);
    assert_int_equal(t.unhandled, 0);
    t.loop = aloop_new(&options);
}

/* Only its process number shows that it is one. */
static void a_child_that_is_not_marked_cannot_use_files(void **state)
{
    aloop_file *file, *other;
    char byte;

    (void) state;
    aloop_free(t.loop);
    sim_unmark();
    t.loop = aloop_new(NULL);
    file = open_a(O_RDWR);
    sim_fork();

    assert_int_equal(aloop_await(aloop_file_read(file, &byte, 1)), ALOOP_EPERM);
    assert_int_equal(aloop_await(aloop_file_write(file, "x", 1)), ALOOP_EPERM);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &other)),
        ALOOP_EPERM);
    assert_int_equal(aloop_file_detach(file), ALOOP_EPERM);

    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_await(aloop_file_read(file, &byte, 1)), 1);
    aloop_file_close(file);
}

static void operations_fail_where_no_thread_can_be_started(void **state)
{
    aloop_file *file = NULL;

    (void) state;
    sim_fail_from("aloop__sys_thread_start", 1, -EAGAIN);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/b", O_CREAT, 0600, &file)),
        ALOOP_EAGAIN);
    assert_null(file);
    assert_int_equal(sim_file_get("/b", NULL, 0), -ENOENT);
}

static void a_file_is_closed_where_no_thread_can_be_started(void **state)
{
    unsigned before = sim_descriptors_open();
    aloop_file *file;
    int fd = aloop__sys_openat(SYS_CWD, "/a", O_RDONLY, 0);

    (void) state;
    assert_int_equal(aloop_file_adopt(t.loop, fd, &file), 0);
    sim_fail_from("aloop__sys_thread_start", 1, -EAGAIN);
    aloop_file_close(file);
    aloop_run(t.loop);
    assert_int_equal(sim_descriptors_open(), before);
}

/* As /dev/kmsg does, whose reads wait for the next message. */
static void a_device_that_refuses_seeks_has_no_position(void **state)
{
    aloop_file *file;

    (void) state;
    sim_fail("aloop__sys_seek", 1, -EINVAL);
    file = open_a(O_RDONLY);
    assert_int_equal(aloop_file_position(file), ALOOP_ESPIPE);
    aloop_file_close(file);
}

/* The fast path. */

/* The number of cached reads, without the one by which the open of the first
 * file finds out that they are possible. */
static unsigned cached_reads(void)
{
    return sim_calls("aloop__sys_pread_cached") - 1;
}

static void a_cached_read_makes_one_call(void **state)
{
    aloop_file *file = open_a(O_RDONLY);
    char text[16] = "";
    aloop_future *read = aloop_file_read(file, text, 4);

    (void) state;
    assert_int_equal(aloop_future_status(read), 4);
    assert_string_equal(text, "0123");
    aloop_future_unref(read);
    assert_int_equal(cached_reads(), 1);
    aloop_file_close(file);
}

static void cached_reads_have_a_limit_in_each_turn(void **state)
{
    enum { SIZE = 64 * 1024, READS = 6, LIMIT = 4 };
    static char data[SIZE], buffers[READS][SIZE];
    aloop_future *reads[READS];
    aloop_file *file;
    size_t count = 0;

    (void) state;
    sim_file_put("/a", data, SIZE);
    file = open_a(O_RDONLY);
    aloop_step(t.loop, 0);
    for (size_t i = 0; i < READS; i++) {
        reads[i] = aloop_file_read_at(file, buffers[i], SIZE, 0);
        count += aloop_future_is_settled(reads[i]);
    }
    assert_int_equal(count, LIMIT);
    assert_int_equal(aloop_await(aloop_gather_array(t.loop, READS, reads)), 0);
    aloop_file_close(file);
}

static void cached_reads_of_several_buffers_need_no_thread(void **state)
{
    aloop_file *file = open_a(O_RDONLY);
    char text[2][4] = {"", ""};
    struct iovec buffers[] = {{text[0], 3}, {text[1], 3}};
    aloop_future *read = aloop_file_readv_at(file, buffers, 2, 1);

    (void) state;
    assert_int_equal(aloop_future_status(read), 6);
    assert_string_equal(text[0], "123");
    assert_string_equal(text[1], "456");
    aloop_future_unref(read);
    read = aloop_file_readv(file, buffers, 2);
    assert_int_equal(aloop_future_status(read), 6);
    assert_string_equal(text[0], "012");
    aloop_future_unref(read);
    assert_int_equal(aloop_file_position(file), 6);
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
    aloop_file_close(file);
}

static void the_end_of_a_cached_file_is_found_without_a_thread(void **state)
{
    aloop_file *file = open_a(O_RDONLY);
    char text[16] = "";
    aloop_future *read = aloop_file_read(file, text, sizeof text);

    (void) state;
    assert_int_equal(aloop_future_status(read), 10);
    aloop_future_unref(read);
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
    aloop_file_close(file);
}

static void reads_that_miss_the_cache_back_off(void **state)
{
    static const unsigned tries[] = {1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4};
    aloop_file *file = open_a(O_RDONLY);
    char text[4];

    (void) state;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        sim_file_evict("/a");
        assert_int_equal(aloop_await(aloop_file_read_at(file, text, 4, 0)), 4);
        assert_int_equal(cached_reads(), tries[i]);
    }
    aloop_file_close(file);
}

static void a_hit_ends_the_back_off(void **state)
{
    aloop_file *file = open_a(O_RDONLY);
    char text[4];

    (void) state;
    for (int misses = 0; misses < 3; misses++) {
        sim_file_evict("/a");
        for (int i = 0; i < 4; i++) /* The second one is left to a thread. */
            assert_int_equal(aloop_await(aloop_file_read_at(file, text, 4, 0)),
                             4);
        assert_int_equal(cached_reads(), 3 * (misses + 1));
    }
    aloop_file_close(file);
}

static void a_file_system_that_refuses_is_asked_once(void **state)
{
    aloop_file *file;
    char text[4];

    (void) state;
    no_cached_reads();
    file = open_a(O_RDONLY);
    for (int i = 0; i < 4; i++)
        assert_int_equal(aloop_await(aloop_file_read_at(file, text, 4, 0)), 4);
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 1);
    aloop_file_close(file);
}

static void an_old_kernel_and_direct_files_are_not_asked(void **state)
{
    char text[4];

    (void) state;
    for (int i = O_DIRECT == 0; i < 2; i++) {
        aloop_file *file;

        sim_options()->has_old_kernel = i == 1;
        file = open_a(i == 0 ? O_RDONLY | O_DIRECT : O_RDONLY);
        assert_int_equal(aloop_await(aloop_file_read(file, text, 4)), 4);
        aloop_file_close(file);
    }
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 0);
}

static void a_partly_cached_read_is_finished_by_a_thread(void **state)
{
    static char data[8192], buffer[sizeof data];
    aloop_file *file;

    (void) state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char) (i / 100);
    sim_file_put("/a", data, sizeof data);
    file = open_a(O_RDONLY);
    sim_file_evict("/a");
    assert_int_equal(aloop_await(aloop_file_read_at(file, buffer, 10, 0)), 10);
    memset(buffer, 0, sizeof buffer);
    assert_int_equal(aloop_await(aloop_file_read_at(file, buffer, 10, 0)), 10);
    assert_int_equal(aloop_await(aloop_file_read(file, buffer, sizeof buffer)),
                     sizeof buffer);
    assert_memory_equal(buffer, data, sizeof data);
    assert_int_equal(aloop_file_position(file), sizeof data);
    aloop_file_close(file);
}

/* What random operations have in common. */

struct slot {
    aloop_future *op;
    char data[600];
};

static aloop_future *start_random(aloop_file *file, struct slot *slot)
{
    size_t size = (size_t) sim_random(sizeof slot->data);
    int64_t offset = (int64_t) sim_random(5000);

    switch (sim_random(7)) {
    case 0:
        return aloop_file_write(file, slot->data, size);
    case 1:
        return aloop_file_write_at(file, slot->data, size, offset);
    case 2:
        return aloop_file_read_at(file, slot->data, size, offset);
    case 3:
        return aloop_file_sync(file);
    case 4:
        return aloop_file_truncate(file, offset);
    default:
        return aloop_file_read(file, slot->data, size);
    }
}

static bool is_expected(ssize_t status)
{
    return status >= 0 || status == ALOOP_ECANCELED || status == ALOOP_EIO;
}

/* Cancels, drops or awaits an operation. */
static void end_random(struct slot *slot)
{
    uint64_t way = sim_random(4);
    aloop_future *op = slot->op;

    slot->op = NULL;
    if (op == NULL)
        return;
    if (way < 2)
        aloop_cancel(op);
    while (!aloop_future_is_settled(op)) /* The buffer is in use until then. */
        aloop_step(t.loop, -1);
    assert_true(is_expected(aloop_future_status(op)));
    aloop_future_unref(op);
}

static void random_operations_leave_nothing_behind(void **state)
{
    static struct slot slots[SLOTS];

    (void) state;
    sim_chaos();
    sim_options()->file_delay_max_ns = ALOOP_US(100);
    for (int round = 0; round < 5; round++) {
        aloop_file *file = open_a(O_RDWR);

        for (int i = 0; i < OPERATIONS; i++) {
            struct slot *slot = &slots[sim_random(SLOTS)];

            end_random(slot);
            if (sim_random(20) == 0)
                sim_fail(NULL, (unsigned) sim_random(9) + 1, -EIO);
            slot->op = start_random(file, slot);
            if (sim_random(3) == 0)
                turns(1);
        }
        aloop_file_close(file);
        for (int i = 0; i < SLOTS; i++)
            end_random(&slots[i]);
        sim_forgive();
    }
    aloop_run(t.loop);
}

#undef TEST
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, file_set_up, file_tear_down)
/* For those that call on the loop's own thread. */
#define OTHER_TEST(name) \
    cmocka_unit_test_setup_teardown(name, file_set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_open_that_runs_delivers_the_file_although_it_is_cancelled),
        OTHER_TEST(a_path_is_freed_although_the_settled_open_is_kept),
        TEST(an_open_that_has_not_begun_creates_nothing_when_cancelled),
        TEST(a_file_is_closed_if_its_open_was_dropped),
        TEST(a_file_with_a_lease_is_opened_by_waiting_for_it),
        TEST(short_counts_are_continued),
        TEST(the_position_shows_what_was_written_before_an_error),
        TEST(an_append_that_fails_leaves_the_position_at_its_end),
        TEST(a_move_to_the_end_that_fails_moves_nothing),
        TEST(a_read_that_fails_moves_nothing),
        TEST(a_read_that_runs_settles_with_its_status_when_cancelled),
        TEST(a_large_write_ends_between_two_pieces_when_cancelled),
        TEST(a_read_of_a_fifo_that_runs_delivers_its_bytes_when_cancelled),
        TEST(a_close_lets_what_runs_end_first),
        TEST(a_close_that_a_signal_interrupts_has_succeeded),
        TEST(an_error_of_a_close_is_reported),
        TEST(an_error_of_a_close_at_the_end_of_the_loop_is_reported),
        OTHER_TEST(an_error_of_a_file_that_aloop_free_closes_is_reported),
        OTHER_TEST(a_forked_child_that_frees_the_loop_reports_nothing),
        OTHER_TEST(a_child_that_is_not_marked_cannot_use_files),
        TEST(operations_fail_where_no_thread_can_be_started),
        OTHER_TEST(a_file_is_closed_where_no_thread_can_be_started),
        OTHER_TEST(a_device_that_refuses_seeks_has_no_position),
        TEST(a_cached_read_makes_one_call),
        TEST(cached_reads_have_a_limit_in_each_turn),
        TEST(cached_reads_of_several_buffers_need_no_thread),
        TEST(the_end_of_a_cached_file_is_found_without_a_thread),
        TEST(reads_that_miss_the_cache_back_off),
        TEST(a_hit_ends_the_back_off),
        TEST(a_file_system_that_refuses_is_asked_once),
        TEST(an_old_kernel_and_direct_files_are_not_asked),
        TEST(a_partly_cached_read_is_finished_by_a_thread),
        TEST(random_operations_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
