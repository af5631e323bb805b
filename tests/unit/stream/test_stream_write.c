/* Tests of writing to streams: order, gathered and partial sends, and
 * cancelling. */

#include "support/stream_fixture.h"

#include <string.h>

#include "os/tools.h"

static unsigned sends(void)
{
    return sim_calls("aloop__sys_send") + sim_calls("aloop__sys_sendv");
}

static void puts_and_writes_arrive_in_order(void **state)
{
    aloop_stream *stream = connected();
    char borrowed[] = "two ";
    aloop_future *write;

    (void) state;
    assert_int_equal(aloop_stream_put(stream, "one ", 4), 0);
    write = aloop_stream_write(stream, borrowed, 4);
    assert_int_equal(aloop_stream_put(stream, "three ", 6), 0);
    assert_int_equal(aloop_stream_put(stream, "four", 4), 0);
    assert_int_equal(aloop_stream_queued(stream), 18);

    assert_int_equal(aloop_await(write), 4);
    assert_received("one two three four");
    assert_int_equal(aloop_stream_queued(stream), 0);
    aloop_stream_close(stream);
}

static void a_put_copies_its_bytes_immediately(void **state)
{
    aloop_stream *stream = connected();
    char text[] = "before";

    (void) state;
    aloop_stream_put(stream, text, 6);
    memcpy(text, "after!", 6);

    assert_received("before");
    aloop_stream_close(stream);
}

static void an_empty_write_settles_immediately(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write = aloop_stream_write(stream, NULL, 0);
    unsigned before = sends();

    (void) state;
    assert_int_equal(aloop_future_status(write), 0);
    aloop_future_unref(write);
    assert_int_equal(aloop_stream_put(stream, NULL, 0), 0);
    run_for(MS);

    assert_int_equal(sends(), before);
    aloop_stream_close(stream);
}

static void put_many(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    (void) data;
    (void) size;
    (void) arg;
    for (int i = 0; i < 500; i++)
        aloop_stream_put(stream, "0123456789", 10);
    t.order[0] = (int) sends();
    t.calls++;
}

static void puts_of_a_callback_are_sent_in_one_call_when_it_returns(
    void **state)
{
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    aloop_stream_start(stream, put_many, NULL);
    sim_peer_send(c.peer, "go", 2);
    while (t.calls == 0)
        aloop_step(t.loop, MS);

    assert_int_equal(t.order[0], before); /* Not inside the callback. */
    assert_int_equal(sends(), before + 1);
    receive_all();
    assert_int_equal(c.in_size, 5000);
    aloop_stream_close(stream);
}

static char reply[100000];

/* Writes a small or a large reply.  `arg` is where its future is to be. */
static void write_reply(aloop_stream *stream, const void *data, ssize_t size,
                        void *arg)
{
    aloop_future **ret_write = arg;

    if (size > 0)
        *ret_write = aloop_stream_write(
            stream, reply, *(const char *) data == 's' ? 5 : sizeof reply);
    t.order[0] = (int) sends();
    t.calls++;
}

static void a_write_of_a_callback_is_sent_when_it_returns(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write = NULL;
    unsigned before = sends();

    (void) state;
    aloop_stream_start(stream, write_reply, &write);
    memcpy(reply, "hello", 5);
    sim_peer_send(c.peer, "small", 5);
    while (t.calls == 0)
        aloop_step(t.loop, MS);

    assert_int_equal(t.order[0], before); /* Not inside the callback. */
    assert_int_equal(sends(), before + 1);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_int_equal(aloop_await(write), 5);
    assert_received("hello");
    aloop_stream_close(stream);
}

static void the_rest_of_a_write_of_a_callback_is_sent_later(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write = NULL;

    (void) state;
    for (size_t i = 0; i < sizeof reply; i++)
        reply[i] = (char) (i * 7 + i / 251);
    aloop_stream_start(stream, write_reply, &write);
    send_text("large");
    assert_false(aloop_future_is_settled(write));
    while (!aloop_future_is_settled(write))
        receive_all();

    assert_int_equal(aloop_await(write), sizeof reply);
    receive_all();
    assert_int_equal(c.in_size, sizeof reply);
    assert_memory_equal(c.in, reply, sizeof reply);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

static void a_send_that_fails_ends_the_write_of_a_callback(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write = NULL;

    (void) state;
    aloop_stream_start(stream, write_reply, &write);
    sim_fail("aloop__sys_send", 1, ALOOP_ECONNRESET);
    send_text("small");

    assert_int_equal(aloop_await(write), ALOOP_ECONNRESET);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

static void (*after_write)(aloop_stream *stream);

/* Writes a small or a large reply, and calls `after_write`. */
static void write_and_go_on(aloop_stream *stream, const void *data,
                            ssize_t size, void *arg)
{
    (void) arg;
    if (size <= 0)
        return;
    aloop_detach(aloop_stream_write(
        stream, reply, *(const char *) data == 's' ? 5 : sizeof reply / 2));
    after_write(stream);
}

static void drain_and_note(aloop_stream *stream)
{
    aloop_then(aloop_stream_drain(stream), note_status, NULL);
}

static void a_drain_of_a_callback_waits_for_its_write(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    after_write = drain_and_note;
    aloop_stream_start(stream, write_and_go_on, NULL);
    send_text("large");

    assert_noted(0);
    receive_all();
    assert_int_equal(c.in_size, sizeof reply / 2);
    aloop_stream_close(stream);
}

static void shut(aloop_stream *stream)
{
    aloop_detach(aloop_stream_shutdown(stream));
}

/* Has on_data write, and then end the stream.  Returns the stream. */
static aloop_stream *write_and_end(void (*end)(aloop_stream *stream))
{
    aloop_stream *stream = connected();

    memcpy(reply, "hello", 5);
    after_write = end;
    aloop_stream_start(stream, write_and_go_on, NULL);
    send_text("small");

    assert_received("hello");
    assert_true(sim_peer_eof(c.peer));
    return stream;
}

static void a_shutdown_of_a_callback_follows_its_write(void **state)
{
    (void) state;
    aloop_stream_close(write_and_end(shut));
}

static void a_close_of_a_callback_follows_its_write(void **state)
{
    (void) state;
    (void) write_and_end(aloop_stream_close);
    sim_peer_close(c.peer);
}

static void stop(aloop_stream *stream)
{
    aloop_stream_stop(stream);
}

static void a_write_of_a_callback_keeps_no_loop_alive(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    after_write = stop;
    aloop_stream_start(stream, write_and_go_on, NULL);
    send_text("small");

    assert_int_equal(aloop_run(t.loop), 0);
    assert_false(sim_deadlocked());
    aloop_stream_close(stream);
}

static void fork_now(aloop_stream *stream)
{
    (void) stream;
    sim_fork();
}

static void a_write_before_a_fork_is_left_to_the_parent(void **state)
{
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    after_write = fork_now;
    aloop_stream_start(stream, write_and_go_on, NULL);
    sim_peer_send(c.peer, "small", 5);
    while (aloop_step(t.loop, MS) >= 0 && t.calls < 5)
        t.calls++;

    assert_int_equal(sends(), before);
    assert_int_equal(sim_harms(), 0);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    aloop_stream_close(stream);
}

static void write_in_deferred_call(aloop *loop, void *arg)
{
    (void) loop;
    for (int i = 0; i < 60; i++)
        aloop_stream_put(arg, "0123456789", 10);
    aloop_detach(aloop_stream_write(arg, "tail", 4));
    aloop_stream_put(arg, "!", 1);
    note((int) sends());
}

static void puts_of_other_code_are_sent_in_one_call_within_the_turn(
    void **state)
{
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    aloop_defer(t.loop, write_in_deferred_call, stream);
    aloop_step(t.loop, 0);

    assert_noted((int) before);
    assert_int_equal(sends(), before + 1);
    receive_all();
    assert_int_equal(c.in_size, 605);
    assert_memory_equal(c.in + 590, "0123456789tail!", 15);
    aloop_stream_close(stream);
}

static void put_into(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    (void) stream;
    aloop_stream_put(arg, data, (size_t) size);
}

static void puts_in_another_streams_callback_are_sent_within_the_turn(
    void **state)
{
    aloop_stream *from = connected(), *to = connected();
    unsigned before;

    (void) state;
    aloop_stream_start(from, put_into, to);
    sim_peer_send(c.other_peer, "x", 1);
    sim_pass(MS);
    before = sends();
    aloop_step(t.loop, 0);

    assert_int_equal(sends(), before + 1);
    aloop_stream_close(from);
    aloop_stream_close(to);
}

static void write_into(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    aloop_detach(aloop_stream_write(arg, "written", 7));
}

/* The callback of the second stream runs while its flush is queued. */
static void a_write_of_another_callback_is_sent_once(void **state)
{
    aloop_stream *from = connected(), *to = connected();
    unsigned before;

    (void) state;
    aloop_stream_start(from, write_into, to);
    aloop_stream_start(to, ignore, NULL);
    sim_peer_send(c.other_peer, "x", 1);
    sim_peer_send(c.peer, "y", 1);
    sim_pass(MS);
    before = sends();
    aloop_step(t.loop, 0);

    assert_int_equal(t.calls, 1);
    assert_int_equal(sends(), before + 1);
    assert_received("written");
    aloop_stream_put(to, "!", 1);
    assert_received("written!");
    aloop_stream_close(from);
    aloop_stream_close(to);
}

static void sending_is_bounded_in_each_turn(void **state)
{
    static char byte[20000];
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    for (size_t i = 0; i < sizeof byte; i++)
        aloop_detach(aloop_stream_write(stream, byte + i, 1));
    aloop_step(t.loop, 0);
    assert_in_range(sends() - before, 1, 16);

    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 0);
    aloop_stream_close(stream);
}

/* Failure class 22: the rest of a partial send is dropped. */
static void short_sends_lose_and_repeat_nothing(void **state)
{
    static char big[100000];
    aloop_stream *stream = connected();
    aloop_future *write;

    (void) state;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char) (i * 11 + i / 253);
    sim_options()->short_send_percent = 100;
    sim_options()->spurious_percent = 30;
    aloop_stream_put(stream, big, 10);
    write = aloop_stream_write(stream, big + 10, sizeof big - 20);
    aloop_stream_put(stream, big + sizeof big - 10, 10);
    for (int i = 0; i < 20000 && c.in_size < sizeof big; i++) {
        run_for(MS);
        receive(SIZE_MAX);
    }

    assert_int_equal(aloop_future_status(write), (ssize_t) sizeof big - 20);
    aloop_future_unref(write);
    assert_int_equal(c.in_size, sizeof big);
    assert_memory_equal(c.in, big, sizeof big);
    aloop_stream_close(stream);
}

/* Failure class 21: there are more pieces than one gathered send takes. */
static void five_thousand_borrowed_pieces_arrive_in_order(void **state)
{
    static char bytes[5000];
    aloop_stream *stream = connected();
    aloop_future *last = NULL;
    unsigned before = sends();

    (void) state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char) (i * 3 + i / 249);
        if (last != NULL)
            aloop_detach(last);
        last = aloop_stream_write(stream, bytes + i, 1);
    }
    assert_int_equal(aloop_stream_queued(stream), sizeof bytes);

    assert_int_equal(aloop_await(last), 1);
    receive_all();
    assert_int_equal(c.in_size, sizeof bytes);
    assert_memory_equal(c.in, bytes, sizeof bytes);
    assert_int_equal(sends() - before,
                     (sizeof bytes + SYS_PIECES_MAX - 1) / SYS_PIECES_MAX);
    aloop_stream_close(stream);
}

static void the_queue_grows_by_exactly_what_is_written(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *one, *two;

    (void) state;
    fill(stream);
    one = aloop_stream_write(stream, "12345", 5);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 5);
    two = aloop_stream_write(stream, "6", 1);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 6);
    assert_false(aloop_future_is_settled(one));

    receive(BUFFER);
    assert_int_equal(aloop_await(two), 1);
    assert_int_equal(aloop_await(one), 5);
    receive_all();
    assert_memory_equal(c.in + BUFFER, "123456", 6);
    aloop_stream_close(stream);
}

/* The usual way of a write is taken once a write was freed. */
static void a_second_write_is_refused_after_a_shutdown(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *shutdown;

    (void) state;
    assert_int_equal(aloop_await(aloop_stream_write(stream, "first", 5)), 5);
    shutdown = aloop_stream_shutdown(stream);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "second", 6)),
                     ALOOP_EPIPE);

    assert_int_equal(aloop_await(shutdown), 0);
    assert_received("first");
    aloop_stream_close(stream);
}

/* Cancelling. */

static void a_write_cancelled_before_its_first_byte_is_not_sent(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write;

    (void) state;
    aloop_stream_put(stream, "one ", 4);
    write = aloop_stream_write(stream, "never ", 6);
    aloop_stream_put(stream, "two", 3);
    assert_int_equal(aloop_cancel(write), 1);
    assert_int_equal(aloop_future_status(write), ALOOP_ECANCELED);
    aloop_future_unref(write);
    assert_int_equal(aloop_stream_queued(stream), 7);

    assert_received("one two");
    aloop_stream_close(stream);
}

static void a_write_cancelled_after_its_first_byte_breaks_the_stream(
    void **state)
{
    static const char big[BUFFER + 10];
    aloop_stream *stream = connected();
    aloop_future *write = aloop_stream_write(stream, big, sizeof big);
    aloop_future *behind = aloop_stream_write(stream, "x", 1);

    (void) state;
    run_for(MS);
    aloop_future_unref(write); /* Cancels it: this is the last reference. */

    assert_int_equal(aloop_future_status(behind), ALOOP_EPIPE);
    aloop_future_unref(behind);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "x", 1)),
                     ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_drain(stream)), ALOOP_EPIPE);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), ALOOP_EPIPE);
    assert_int_equal(t.unhandled, 0);
    aloop_stream_close(stream);
}

/* Failure class 17: writability is watched although nothing is left to
 * write. */
static void a_stream_whose_pending_write_was_cancelled_does_not_spin(
    void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write;

    (void) state;
    fill(stream);
    write = aloop_stream_write(stream, "x", 1);
    run_for(MS); /* The connection is full: writability is watched. */
    aloop_future_unref(write);
    receive(BUFFER); /* The connection has room again. */

    assert_quiet_for_a_second();
    aloop_stream_put(stream, "still works", 11);
    receive_all();
    assert_int_equal(c.in_size, BUFFER + 11);
    aloop_stream_close(stream);
}

static void a_stream_broken_by_a_cancelled_write_does_not_spin(void **state)
{
    static const char big[BUFFER + 10];
    aloop_stream *stream = connected();
    aloop_future *write = aloop_stream_write(stream, big, sizeof big);

    (void) state;
    run_for(MS);
    aloop_future_unref(write);
    receive(BUFFER);

    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

/* Memory. */

/* Returns how much memory the loop allocates for `count` puts of `size` bytes
 * that the peer does not receive.  With `has_writes`, a write of one byte
 * follows each put. */
static size_t memory_cost(size_t count, size_t size, bool has_writes)
{
    static const char some[BUFFER];
    aloop_stream *stream;
    size_t before;

    assert_true(renew(1));
    stream = connected();
    fill(stream);
    before = memory.bytes;
    for (size_t i = 0; i < count; i++) {
        assert_true(aloop_stream_put(stream, some, size) >= 0);
        if (has_writes)
            aloop_detach(aloop_stream_write(stream, some, 1));
    }
    run_for(MS);
    assert_true(aloop_stream_queued(stream) >= count * size);
    before = memory.bytes - before;
    aloop_stream_abort(stream);
    leave();
    return before;
}

static void queued_bytes_use_memory_in_proportion(void **state)
{
    static const size_t sizes[] = {1,    4000,  4050,  4096,  5000,
                                   8000, 12000, 20000, 40000, BUFFER - 100};

    (void) state;
    /* With ASan small objects are separate allocations, and some are kept. */
    if (WITH_ASAN)
        skip();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_true(memory_cost(1, sizes[i], false) <= 4096 + 3 * sizes[i] / 2);
    assert_true(memory_cost(1, 4050, false) <= 8192);
    assert_true(memory_cost(405, 10, false) <= 8192);
    assert_true(memory_cost(100, 4050, false) <= 150 * 4096);
}

/* The bound contains two chunks of 16 KiB of the slab, for the write
 * operations. */
static void small_puts_between_writes_use_little_memory(void **state)
{
    (void) state;
    assert_true(memory_cost(100, 10, true) <= 100 * 256 + 2 * 16384 + 4096);
}

/* Failure class 29: sizes are at the limits of their types. */
static void invalid_sizes_and_watermarks_are_refused(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_put(stream, "x", SIZE_MAX), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put(stream, "x", PTRDIFF_MAX), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put(stream, NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_write(stream, "x", SIZE_MAX)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_write(stream, NULL, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_watermarks(stream, 2, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_watermarks(stream, 1, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_set_watermarks(stream, 0, 0), 0);
    assert_int_equal(aloop_stream_set_watermarks(NULL, 0, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_put(NULL, "x", 1), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_write(NULL, "x", 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_drain(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_stream_shutdown(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_queued(NULL), 0);
    assert_int_equal(aloop_stream_queued(stream), 0);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(puts_and_writes_arrive_in_order),
        TEST(a_put_copies_its_bytes_immediately),
        TEST(an_empty_write_settles_immediately),
        TEST(puts_of_a_callback_are_sent_in_one_call_when_it_returns),
        TEST(a_write_of_a_callback_is_sent_when_it_returns),
        TEST(the_rest_of_a_write_of_a_callback_is_sent_later),
        PLAIN_TEST(a_send_that_fails_ends_the_write_of_a_callback),
        TEST(a_drain_of_a_callback_waits_for_its_write),
        WIRE_TEST(a_shutdown_of_a_callback_follows_its_write),
        PLAIN_TEST(a_close_of_a_callback_follows_its_write),
        TEST(a_write_of_a_callback_keeps_no_loop_alive),
        TEST(a_write_before_a_fork_is_left_to_the_parent),
        TEST(puts_of_other_code_are_sent_in_one_call_within_the_turn),
        TEST(puts_in_another_streams_callback_are_sent_within_the_turn),
        TEST(a_write_of_another_callback_is_sent_once),
        TEST(sending_is_bounded_in_each_turn),
        TEST(short_sends_lose_and_repeat_nothing),
        PLAIN_TEST(five_thousand_borrowed_pieces_arrive_in_order),
        WIRE_TEST(the_queue_grows_by_exactly_what_is_written),
        TEST(a_second_write_is_refused_after_a_shutdown),
        TEST(a_write_cancelled_before_its_first_byte_is_not_sent),
        TEST(a_write_cancelled_after_its_first_byte_breaks_the_stream),
        PLAIN_TEST(a_stream_whose_pending_write_was_cancelled_does_not_spin),
        TEST(a_stream_broken_by_a_cancelled_write_does_not_spin),
        PLAIN_TEST(queued_bytes_use_memory_in_proportion),
        TEST(small_puts_between_writes_use_little_memory),
        TEST(invalid_sizes_and_watermarks_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
