/* Loops with options.debug.  Each mistake of the application has no effect, and
 * is reported once, with a name and a place. */

#include "support/debug_fixture.h"

#include <stdio.h>

#include "aloop/channel.h"
#include "os/tools.h"
#include "task/retired.h"

/* Handles. */

static void note_int(aloop_timer *timer, void *arg)
{
    (void) timer;
    note(*(int *) arg);
}

static void use_timer(aloop_timer *timer)
{
    assert_int_equal(aloop_timer_restart(timer, MS), ALOOP_EINVAL);
    assert_int_equal(aloop_timer_restart_at(timer, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_timer_set_period(timer, MS), ALOOP_EINVAL);
    assert_int_equal(aloop_timer_stop(timer), ALOOP_EINVAL);
    assert_false(aloop_timer_is_active(timer));
    assert_int_equal(aloop_timer_due_ns(timer), -1);
    aloop_timer_ref(timer);
    aloop_timer_unref(timer);
    aloop_timer_close(timer);
}

/* Checks that `count` functions were reported, each of them once. */
static void assert_mistakes(int count, const char *subject)
{
    aloop_step(t.loop, 0);
    assert_int_equal(t.mistakes, count);
    assert_non_null(strstr(t.mistake, subject));
    assert_non_null(strstr(t.mistake, "set the pointer to NULL"));
    t.mistakes = 0;
}

static void a_closed_timer_does_nothing_in_its_turn_and_later(void **state)
{
    aloop_timer *timer;
    int number = 1;

    (void) state;
    aloop_timer_start(t.loop, MS, 0, note_int, &number, &timer);
    aloop_timer_close(timer);
    use_timer(timer);
    assert_mistakes(9, ": timer was used after it was closed");
    use_timer(timer);    /* It is freed by now. */
    assert_no_mistake(); /* They have been reported. */
    assert_int_equal(t.noted, 0);
}

static int wait_for(aloop_future *future)
{
    return (int) aloop_await(future);
}

static void a_closed_stream_does_nothing(void **state)
{
    aloop_stream *stream = connected();
    char bytes[4];

    (void) state;
    aloop_stream_close(stream);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EINVAL);
        assert_int_equal(aloop_stream_start(stream, note_size, NULL),
                         ALOOP_EINVAL);
        assert_int_equal(aloop_stream_stop(stream), ALOOP_EINVAL);
        assert_int_equal(aloop_stream_fd(stream), ALOOP_EINVAL);
        assert_int_equal(aloop_stream_peer(stream, bytes, 4), ALOOP_EINVAL);
        assert_int_equal(aloop_stream_local(stream, bytes, 4), ALOOP_EINVAL);
        assert_int_equal(aloop_stream_queued(stream), 0);
        assert_int_equal(aloop_stream_set_watermarks(stream, 1, 2),
                         ALOOP_EINVAL);
        assert_int_equal(aloop_stream_set_auto_pause(stream, 0), ALOOP_EINVAL);
        assert_int_equal(aloop_tcp_set_nodelay(stream, true), ALOOP_EINVAL);
        aloop_stream_ref(stream);
        aloop_stream_unref(stream);
        aloop_stream_abort(stream);
        aloop_stream_close(stream);
        assert_int_equal(wait_for(aloop_stream_read(stream, bytes, 4)),
                         ALOOP_EINVAL);
        assert_int_equal(
            wait_for(aloop_stream_read_until(stream, bytes, 4, "x", 1)),
            ALOOP_EINVAL);
        assert_int_equal(wait_for(aloop_stream_write(stream, "x", 1)),
                         ALOOP_EINVAL);
        assert_int_equal(wait_for(aloop_stream_drain(stream)), ALOOP_EINVAL);
        assert_int_equal(wait_for(aloop_stream_shutdown(stream)), ALOOP_EINVAL);
        assert_int_equal(wait_for(aloop_stream_forward(stream, stream)),
                         ALOOP_EINVAL);
        assert_mistakes(i == 0 ? 20 : 0, i == 0 ? ": tcp stream was used" : "");
    }
    assert_int_equal(t.noted, 0);
}

static void ignore_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) number;
    (void) arg;
}

static void closed_listeners_signals_and_channels_do_nothing(void **state)
{
    aloop_channel *channel = aloop_channel_new(t.loop, 1, 1);
    aloop_listener *listener;
    aloop_signal *watch;
    char item = 0;

    (void) state;
    aloop_tcp_listen(t.loop, NULL, "80", close_accepted, NULL, &listener);
    aloop_signal_start(t.loop, 2, ignore_signal, NULL, &watch);
    aloop_listener_close(listener);
    assert_int_equal(aloop_listener_port(listener), ALOOP_EINVAL);
    assert_int_equal(aloop_listener_fd(listener), ALOOP_EINVAL);
    aloop_listener_ref(listener);
    aloop_listener_unref(listener);
    aloop_listener_close(listener);
    assert_mistakes(5, ": listener was used");
    aloop_signal_close(watch);
    aloop_signal_ref(watch);
    aloop_signal_unref(watch);
    aloop_signal_close(watch);
    assert_mistakes(3, ": signal watch was used");
    aloop_channel_free(channel);
    assert_int_equal(aloop_channel_try_send(channel, &item), ALOOP_EINVAL);
    assert_int_equal(aloop_channel_try_receive(channel, &item), ALOOP_EINVAL);
    assert_int_equal(wait_for(aloop_channel_send(channel, &item)),
                     ALOOP_EINVAL);
    assert_int_equal(wait_for(aloop_channel_receive(channel, &item)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_channel_close(channel), ALOOP_EINVAL);
    assert_true(aloop_channel_is_closed(channel));
    assert_int_equal(aloop_channel_count(channel), 0);
    assert_int_equal(aloop_channel_capacity(channel), 0);
    aloop_channel_free(channel);
    assert_mistakes(9, ": channel was used");
}

static ssize_t reads_from_null(aloop *loop, void *arg)
{
    char byte;

    (void) loop;
    (void) arg;
    return aloop_await(aloop_stream_read(NULL, &byte, 1));
}

static void a_null_stream_is_reported_with_a_hint_to_the_status(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, reads_from_null, NULL)),
                     ALOOP_EINVAL);
    assert_mistake("aloop_stream_read() in task reads_from_null (",
                   "the argument is NULL", "check the status");
}

/* Calls that wait where waiting is impossible. */

static void await_in_callback(aloop *loop, void *arg)
{
    (void) arg;
    note((int) aloop_await(aloop_sleep(loop, MS)));
}

static void an_await_in_a_callback_is_reported_with_alternatives(void **state)
{
    (void) state;
    aloop_defer(t.loop, await_in_callback, NULL);
    aloop_defer(t.loop, await_in_callback, NULL);
    assert_mistake("aloop_await() in a callback: sleep", "cannot wait",
                   "use aloop_then() instead, or spawn a task");
    assert_noted(ALOOP_EDEADLK, ALOOP_EDEADLK);
    assert_non_null(strstr(aloop_strerror(ALOOP_EDEADLK), "aloop_then()"));
}

static void await_task_in_callback(aloop *loop, void *arg)
{
    (void) arg;
    note((int) aloop_await(aloop_spawn(loop, returns_3, NULL)));
    note((int) aloop_yield(loop));
}

static void a_yield_in_a_callback_is_reported_separately(void **state)
{
    (void) state;
    aloop_defer(t.loop, await_task_in_callback, NULL);
    aloop_step(t.loop, 0);
    assert_int_equal(t.mistakes, 2); /* The dropped task is not reported. */
    assert_non_null(strstr(t.mistake, "aloop_yield() in a callback"));
    assert_non_null(strstr(t.mistake, "aloop_defer()"));
    assert_noted(ALOOP_EDEADLK, ALOOP_EDEADLK);
}

static ssize_t awaits_itself(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return aloop_await(aloop_future_ref(aloop_current_task()));
}

static void a_task_that_awaits_itself_is_reported(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, awaits_itself, NULL)),
                     ALOOP_EDEADLK);
    assert_mistake("aloop_await() in task awaits_itself (",
                   ": task awaits_itself (", "neither");
}

static void an_await_of_a_future_of_another_loop_is_reported(void **state)
{
    aloop *other = new_loop(true);
    aloop_future *task =
        aloop_spawn(t.loop, awaits_arg, aloop_sleep(other, MS));

    (void) state;
    assert_int_equal(aloop_await(task), ALOOP_EINVAL);
    aloop_step(other, 0);
    assert_mistake("aloop_await() in task awaits_arg (",
                   ": sleep belongs to another loop", "aloop_post()");
    aloop_free(other);
}

/* Tasks that are dropped, and calls that block the loop. */

static void a_task_that_ends_because_it_was_dropped_is_reported(void **state)
{
    (void) state;
    aloop_future_unref(aloop_spawn(t.loop, sleeps_for_a_second, NULL));
    assert_mistake("aloop_future_unref() ", ": task sleeps_for_a_second (",
                   "use aloop_detach()");
}

static void a_task_that_was_cancelled_before_may_be_dropped(void **state)
{
    aloop_future *task = aloop_spawn(t.loop, sleeps_for_a_second, NULL);

    (void) state;
    aloop_cancel(task);
    aloop_future_unref(task);
    aloop_future_unref(aloop_sleep(t.loop, MS));
    aloop_detach(aloop_spawn(t.loop, returns_3, NULL));
    assert_no_mistake();
}

static void hold(aloop *loop, void *arg)
{
    (void) loop;
    sim_advance(*(int64_t *) arg);
}

static ssize_t holds(aloop *loop, void *arg)
{
    hold(loop, arg);
    return 0;
}

static void hold_in_timer(aloop_timer *timer, void *arg)
{
    sim_advance(*(int64_t *) arg);
    aloop_timer_close(timer);
}

static void hold_in_then(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) status;
    sim_advance(*(int64_t *) arg);
}

static void a_call_that_blocks_the_loop_is_reported_by_its_name(void **state)
{
    int64_t long_ns = ALOOP_SEC(1);
    aloop_timer *timer;

    (void) state;
    aloop_detach(aloop_spawn(t.loop, holds, &long_ns));
    assert_mistake("task holds (", "has blocked the loop", "block");
    aloop_defer(t.loop, hold, &long_ns);
    assert_mistake("aloop_defer()", "has blocked the loop", "block");
    aloop_post(t.loop, hold, &long_ns);
    assert_mistake("aloop_post()", "has blocked the loop", "block");
    aloop_timer_start(t.loop, 0, 0, hold_in_timer, &long_ns, &timer);
    assert_mistake("the callback of a timer", "has blocked", "block");
    aloop_then(aloop_future_new_settled(t.loop, 0), hold_in_then, &long_ns);
    assert_mistake("a continuation", "has blocked the loop", "block");
    aloop_defer(t.loop, hold, &long_ns);
    assert_no_mistake(); /* It has been reported. */
}

static void a_short_callback_is_not_reported(void **state)
{
    int64_t short_ns = ALOOP_MS(90);

    (void) state;
    aloop_defer(t.loop, hold, &short_ns);
    aloop_defer(t.loop, hold, &short_ns);
    assert_no_mistake();
}

static ssize_t leaves_a_pointer(aloop *loop, void *arg)
{
    volatile char text[16] = "local";

    (void) loop;
    *(uintptr_t *) arg = (uintptr_t) text;
    return 0;
}

/* If there is memory, an access faults; see test_overrun. */
static void out_of_memory_the_stack_of_an_ended_task_is_overwritten(
    void **state)
{
    uintptr_t place = 0;

    (void) state;
    if (WITH_ASAN)
        skip(); /* ASan would report the access. */
    assert_int_equal(aloop_await(aloop_spawn(t.loop, leaves_a_pointer, &place)),
                     0);
    aloop__retired_close(t.loop);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, leaves_a_pointer, &place)),
                     0);
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        skip();
#endif
    assert_int_equal(*(volatile unsigned char *) place, 0xdb);
}

/* Threads. */

static struct {
    aloop_timer *timer;
    aloop_future *future;
} shared;

static void note_deferred(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    note(7);
}

static void use_from_outside(void *arg)
{
    aloop *loop = t.loop;
    aloop_timer *timer = NULL;

    (void) arg;
    assert_int_equal(aloop_defer(loop, await_in_callback, NULL), ALOOP_EPERM);
    assert_int_equal(aloop_run(loop), ALOOP_EPERM);
    assert_int_equal(aloop_step(loop, 0), ALOOP_EPERM);
    assert_int_equal(aloop_free(loop), ALOOP_EPERM);
    assert_int_equal(aloop_timer_restart(shared.timer, 0), ALOOP_EPERM);
    assert_int_equal(aloop_cancel(shared.future), ALOOP_EPERM);
    assert_int_equal(aloop_await(shared.future), ALOOP_EPERM);
    assert_int_equal(aloop_future_status(aloop_spawn(loop, returns_3, NULL)),
                     ALOOP_EPERM);
    assert_int_equal(aloop_future_status(aloop_sleep(loop, 0)), ALOOP_EPERM);
    assert_int_equal(aloop_future_status(aloop_fs_stat(loop, "/", NULL)),
                     ALOOP_EPERM);
    assert_int_equal(aloop_future_status(aloop_fs_copy(
                         loop, "/a", "/b", &(aloop_copy_options){.size = 1})),
                     ALOOP_EPERM);
    assert_int_equal(aloop_timer_start(loop, 0, 0, note_int, NULL, &timer),
                     ALOOP_EPERM);
    assert_null(aloop_channel_new(loop, 1, 1));
    assert_int_equal(aloop_now(loop), 0);
    assert_false(aloop_alive(loop));
    aloop_stop(loop);
    aloop_future_unref(shared.future);
    assert_int_equal(aloop_post(loop, note_deferred, NULL), 0);
    aloop_wake(loop);
}

static void another_thread_calls(aloop *loop, void *arg)
{
    (void) loop;
    sim_as_thread(use_from_outside, arg);
}

static void other_threads_may_only_post_while_the_loop_runs(void **state)
{
    (void) state;
    shared.future = aloop_sleep(t.loop, ALOOP_SEC(1));
    aloop_timer_start(t.loop, ALOOP_SEC(5), 0, note_int, NULL, &shared.timer);
    aloop_timer_stop(shared.timer);
    aloop_defer(t.loop, another_thread_calls, NULL);
    aloop_defer(t.loop, note_deferred, NULL);
    assert_int_equal(aloop_await(shared.future), 0);
    assert_int_equal(t.mistakes, 17);
    assert_non_null(strstr(t.mistake, "on another thread: the loop runs"));
    assert_non_null(strstr(t.mistake, "use aloop_post()"));
    assert_noted(7, 7);
}

static void use_the_loop(void *arg)
{
    aloop_defer(t.loop, note_deferred, arg);
    assert_int_equal(aloop_run(t.loop), 0);
}

static void any_thread_may_use_a_loop_that_does_not_run(void **state)
{
    (void) state;
    use_the_loop(NULL);
    sim_as_thread(use_the_loop, NULL);
    use_the_loop(NULL);
    assert_noted(7, 7, 7);
    assert_no_mistake();
}

/* Reports. */

static void mistakes_beyond_a_limit_are_not_reported(void **state)
{
    char names[64][16];

    (void) state;
    for (int i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "number %d", i);
        aloop_future_unref(aloop_spawn_with(t.loop, sleeps_for_a_second, NULL,
                                            .name = names[i]));
        aloop_step(t.loop, 0);
    }
    assert_int_equal(t.mistakes, 32);
    assert_string_equal(t.mistake,
                        "there are more mistakes, which are not reported");
}

static void the_default_report_is_only_the_sentence(void **state)
{
    const char *line;

    (void) state;
    aloop_free(t.loop);
    t.loop = new_loop(false);
    aloop_defer(t.loop, await_in_callback, NULL);
    aloop_step(t.loop, 0);
    line = sim_stderr();
    assert_ptr_equal(strstr(line, "aloop: aloop_await() in a callback: "),
                     line);
    assert_null(strstr(line, "failed"));
    assert_string_equal(line + strlen(line) - 10, "awaits it\n");
}

static void a_mistake_before_the_end_is_reported_by_free(void **state)
{
    aloop_timer *timer;
    int number = 1;

    (void) state;
    aloop_timer_start(t.loop, MS, 0, note_int, &number, &timer);
    aloop_timer_close(timer);
    aloop_timer_close(timer);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(t.mistakes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEBUG_TEST(a_closed_timer_does_nothing_in_its_turn_and_later),
        DEBUG_TEST(a_closed_stream_does_nothing),
        DEBUG_TEST(closed_listeners_signals_and_channels_do_nothing),
        DEBUG_TEST(a_null_stream_is_reported_with_a_hint_to_the_status),
        DEBUG_TEST(an_await_in_a_callback_is_reported_with_alternatives),
        DEBUG_TEST(a_yield_in_a_callback_is_reported_separately),
        DEBUG_TEST(a_task_that_awaits_itself_is_reported),
        DEBUG_TEST(an_await_of_a_future_of_another_loop_is_reported),
        DEBUG_TEST(a_task_that_ends_because_it_was_dropped_is_reported),
        DEBUG_TEST(a_task_that_was_cancelled_before_may_be_dropped),
        DEBUG_TEST(a_call_that_blocks_the_loop_is_reported_by_its_name),
        DEBUG_TEST(a_short_callback_is_not_reported),
        DEBUG_TEST(out_of_memory_the_stack_of_an_ended_task_is_overwritten),
        DEBUG_TEST(other_threads_may_only_post_while_the_loop_runs),
        DEBUG_TEST(any_thread_may_use_a_loop_that_does_not_run),
        DEBUG_TEST(mistakes_beyond_a_limit_are_not_reported),
        DEBUG_TEST(the_default_report_is_only_the_sentence),
        DEBUG_TEST(a_mistake_before_the_end_is_reported_by_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
