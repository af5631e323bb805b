/* Tests of writes that a task awaits: they are sent in the await. */

#include "support/stream_fixture.h"

#include <string.h>

static unsigned sends(void)
{
    return sim_calls("aloop__sys_send") + sim_calls("aloop__sys_sendv");
}

/* Runs a task until it has ended, and returns its result. */
static ssize_t run(aloop_task_fn fn, aloop_stream *stream)
{
    return aloop_await(aloop_spawn(t.loop, fn, stream));
}

static ssize_t writes_before_a_deferred_call(aloop *loop, void *arg)
{
    assert_int_equal(aloop_defer(loop, count_call, NULL), 0);
    assert_int_equal(aloop_await(aloop_stream_write(arg, "bytes", 5)), 5);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_stream_queued(arg), 0);
    return aloop_yield(loop);
}

static void an_awaited_write_needs_no_turn(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(run(writes_before_a_deferred_call, stream), 0);

    assert_received("bytes");
    aloop_stream_close(stream);
}

static ssize_t writes_a_hundred_times(aloop *loop, void *arg)
{
    int at_call = 0;

    assert_int_equal(aloop_defer(loop, count_call, NULL), 0);
    for (int i = 1; i <= 100; i++) {
        assert_int_equal(aloop_await(aloop_stream_write(arg, "x", 1)), 1);
        if (t.calls > 0 && at_call == 0)
            at_call = i;
    }
    return at_call;
}

static void a_task_that_only_writes_gives_way_after_a_few_sends(void **state)
{
    aloop_stream *stream = connected();
    ssize_t at_call;

    (void) state;
    at_call = run(writes_a_hundred_times, stream);

    assert_in_range(at_call, 2, 8);
    receive_all();
    assert_int_equal(c.in_size, 100);
    aloop_stream_close(stream);
}

static ssize_t writes_twice(aloop *loop, void *arg)
{
    aloop_future *first = aloop_stream_write(arg, "one ", 4);

    (void) loop;
    assert_int_equal(aloop_await(aloop_stream_write(arg, "two ", 4)), 4);
    assert_int_equal(aloop_await(first), 4);
    assert_int_equal(aloop_stream_put(arg, "three ", 6), 0);
    return aloop_await(aloop_stream_write(arg, "four", 4));
}

static void bytes_that_are_queued_leave_together_with_an_awaited_write(
    void **state)
{
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    assert_int_equal(run(writes_twice, stream), 4);

    assert_int_equal(sends() - before, 2);
    assert_received("one two three four");
    aloop_stream_close(stream);
}

static ssize_t awaits_the_first_of_two(aloop *loop, void *arg)
{
    aloop_future *first = aloop_stream_write(arg, "one ", 4);
    aloop_future *second = aloop_stream_write(arg, "two", 3);

    (void) loop;
    assert_int_equal(aloop_await(first), 4);
    return aloop_await(second);
}

static void a_write_behind_an_awaited_one_leaves_together_with_it(void **state)
{
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    assert_int_equal(run(awaits_the_first_of_two, stream), 3);

    assert_int_equal(sends() - before, 1);
    assert_received("one two");
    aloop_stream_close(stream);
}

static ssize_t gathers_two(aloop *loop, void *arg)
{
    aloop_future *first = aloop_stream_write(arg, "one ", 4);
    aloop_future *second = aloop_stream_write(arg, "two", 3);

    return aloop_await(aloop_gather(loop, first, second));
}

static void writes_of_a_gather_leave_together(void **state)
{
    aloop_stream *stream = connected();
    unsigned before = sends();

    (void) state;
    assert_int_equal(run(gathers_two, stream), 0);

    assert_int_equal(sends() - before, 1);
    assert_received("one two");
    aloop_stream_close(stream);
}

static ssize_t writes_cancelled(aloop *loop, void *arg)
{
    (void) loop;
    aloop_cancel(aloop_current_task());
    return aloop_await(aloop_stream_write(arg, "bytes", 5));
}

static void a_cancelled_task_sends_nothing(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *task = aloop_spawn(t.loop, writes_cancelled, stream);

    (void) state;
    run_for(MS);

    assert_int_equal(aloop_future_status(task), ALOOP_ECANCELED);
    aloop_future_unref(task);
    assert_received("");
    assert_int_equal(aloop_stream_put(stream, "later", 5), 0);
    assert_received("later");
    aloop_stream_close(stream);
}

static char much[3 * BUFFER];

static ssize_t writes_much(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_await(aloop_stream_write(arg, much, sizeof much));
}

static void what_the_system_does_not_take_is_sent_later(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *task = aloop_spawn(t.loop, writes_much, stream);

    (void) state;
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = (char) (i * 7 + i / 251);
    run_for(MS);
    assert_false(aloop_future_is_settled(task));
    assert_quiet_for_a_second();
    while (!aloop_future_is_settled(task))
        receive_all();

    assert_int_equal(aloop_await(task), sizeof much);
    receive_all();
    assert_int_equal(c.in_size, sizeof much);
    assert_memory_equal(c.in, much, sizeof much);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

static void a_send_that_fails_ends_the_await(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    sim_fail("aloop__sys_send", 1, ALOOP_ECONNRESET);
    assert_int_equal(run(writes_much, stream), ALOOP_ECONNRESET);

    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ECONNRESET);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

static ssize_t shuts_without_waiting(aloop *loop, void *arg)
{
    aloop_future *write = aloop_stream_write(arg, "last", 4);

    (void) loop;
    aloop_future_unref(aloop_stream_shutdown(arg));
    return aloop_await(write);
}

static void a_shutdown_without_an_owner_follows_an_awaited_write(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(run(shuts_without_waiting, stream), 4);

    assert_received("last");
    run_for(MS);
    assert_true(sim_peer_eof(c.peer));
    aloop_stream_close(stream);
}

/* Other users of a write that a task awaits. */

static ssize_t awaits_a_write_with_others(aloop *loop, void *arg)
{
    aloop_future *write = aloop_stream_write(arg, "bytes", 5);

    (void) loop;
    assert_int_equal(aloop_then(aloop_future_ref(write), note_status, NULL), 0);
    assert_int_equal(aloop_then(aloop_future_ref(write), note_status, arg), 0);
    aloop_future_ref(write);
    assert_int_equal(aloop_unthen(write, note_status, arg), 1);
    assert_int_equal(aloop_await(write), 5);
    assert_int_equal(aloop_future_status(write), 5);
    return aloop_await(write);
}

static void others_learn_of_a_write_that_was_sent_in_the_await(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(run(awaits_a_write_with_others, stream), 5);
    run_for(MS);
    assert_noted(5);
    assert_received("bytes");
    aloop_stream_close(stream);
}

static ssize_t writes_too_late(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, MS);
    aloop_future *first = aloop_stream_write(arg, "first", 5);

    assert_int_equal(aloop_await(first), 5);
    assert_int_equal(aloop_await(aloop_sleep(loop, 2 * MS)), ALOOP_ETIMEDOUT);
    first = aloop_stream_write(arg, "second", 6);
    assert_int_equal(aloop_cancel(first), 1);
    assert_int_equal(aloop_await(first), ALOOP_EABORTED);
    assert_int_equal(aloop_await(aloop_stream_write(arg, "", 0)), 0);
    assert_int_equal(aloop_await(aloop_stream_write(arg, "third", 5)),
                     ALOOP_ETIMEDOUT);
    assert_int_equal(aloop_deadline_end(deadline), 1);
    return aloop_await(aloop_stream_write(arg, "fourth", 6));
}

static void writes_after_a_deadline_or_a_cancel_send_nothing(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(run(writes_too_late, stream), 6);
    assert_received("firstfourth");
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_awaited_write_needs_no_turn),
        TEST(a_task_that_only_writes_gives_way_after_a_few_sends),
        TEST(bytes_that_are_queued_leave_together_with_an_awaited_write),
        TEST(a_write_behind_an_awaited_one_leaves_together_with_it),
        TEST(writes_of_a_gather_leave_together),
        TEST(a_cancelled_task_sends_nothing),
        TEST(what_the_system_does_not_take_is_sent_later),
        TEST(a_send_that_fails_ends_the_await),
        TEST(others_learn_of_a_write_that_was_sent_in_the_await),
        TEST(writes_after_a_deadline_or_a_cancel_send_nothing),
        TEST(a_shutdown_without_an_owner_follows_an_awaited_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
