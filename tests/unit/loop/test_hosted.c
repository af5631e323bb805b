/* Steps inside a host: how long they continue, and what they cost.  The costs
 * are the waits of the reactor and the settings of the alarm. */

#include "support/fixture.h"

#include "os/sys.h"
#include "os/sys_stream.h"

enum { TURNS_MAX = 16 }; /* Of a step. */

static int fd; /* What the host watches. */
static unsigned waits, alarms;

static int set_up_hosted(void **state)
{
    int error = set_up(state);

    sim_options()->delay_min_ns = sim_options()->delay_max_ns = 0;
    fd = error == 0 ? aloop_fd(t.loop) : -1;
    return fd < 0;
}

static void begin_costs(void)
{
    waits = sim_wakes();
    alarms = sim_calls("aloop__reactor_alarm");
}

/* Checks the costs since begin_costs(). */
static void assert_costs(unsigned waits_now, unsigned alarms_now)
{
    assert_int_equal(sim_wakes() - waits, waits_now);
    assert_int_equal(sim_calls("aloop__reactor_alarm") - alarms, alarms_now);
}

/* Defers itself as often as `arg` demands. */
static void defer_again(aloop *loop, void *arg)
{
    int left = (int) (intptr_t) arg;

    t.calls++;
    if (left > 1)
        aloop_defer(loop, defer_again, as_arg(left - 1));
}

static void a_step_continues_while_there_is_work(void **state)
{
    (void) state;
    aloop_defer(t.loop, defer_again, as_arg(10));
    begin_costs();

    assert_int_equal(aloop_step(t.loop, 0), 0);

    assert_int_equal(t.calls, 10);
    assert_costs(2, 1); /* The first turn waits, and the last one. */
    assert_false(sim_fd_readable(fd));
}

static void without_a_host_a_step_is_one_turn(void **state)
{
    aloop *loop = other_loop();

    (void) state;
    aloop_defer(loop, defer_again, as_arg(10));

    assert_int_equal(aloop_step(loop, 0), 1);

    assert_int_equal(t.calls, 1);
    aloop_free(loop);
}

static void work_without_an_end_leaves_the_host_its_turn(void **state)
{
    (void) state;
    aloop_defer(t.loop, defer_again, as_arg(1000));

    assert_int_equal(aloop_step(t.loop, 0), 1);
    assert_int_equal(t.calls, TURNS_MAX);
    assert_true(sim_fd_readable(fd));
    begin_costs();
    assert_int_equal(aloop_step(t.loop, 0), 1);

    assert_int_equal(t.calls, 2 * TURNS_MAX);
    assert_costs(1, 0); /* The alarm is due already. */
}

static void restart(aloop_timer *timer, void *arg)
{
    (void) arg;
    t.calls++;
    aloop_timer_restart(timer, 0);
}

static void a_timer_without_a_delay_leaves_the_host_its_turn(void **state)
{
    aloop_timer *timer;

    (void) state;
    aloop_timer_start(t.loop, 0, 0, restart, NULL, &timer);

    assert_int_equal(aloop_step(t.loop, 0), 1);

    assert_int_equal(t.calls, TURNS_MAX);
    assert_true(sim_fd_readable(fd));
}

static void take_long(aloop *loop, void *arg)
{
    (void) arg;
    t.calls++;
    sim_advance(ALOOP_US(60));
    aloop_defer(loop, take_long, NULL);
}

static void a_step_ends_when_it_has_taken_long(void **state)
{
    (void) state;
    aloop_defer(t.loop, take_long, NULL);

    assert_int_equal(aloop_step(t.loop, 0), 1);

    assert_int_equal(t.calls, 2);
    assert_true(sim_fd_readable(fd));
}

static void stop_and_defer(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
    aloop_defer(loop, note_call, as_arg(1));
}

static void a_stop_ends_the_step_after_its_turn(void **state)
{
    (void) state;
    aloop_defer(t.loop, stop_and_defer, NULL);

    assert_int_equal(aloop_step(t.loop, 0), 1);
    assert_int_equal(t.calls, 0);
    assert_true(sim_fd_readable(fd));
    assert_int_equal(aloop_step(t.loop, 0), 0);

    assert_noted(1);
}

static void post_to_itself(aloop *loop, void *arg)
{
    (void) arg;
    aloop_post(loop, note_call, as_arg(1));
}

static void a_post_during_a_step_runs_in_it(void **state)
{
    (void) state;
    aloop_defer(t.loop, post_to_itself, NULL);

    assert_int_equal(aloop_step(t.loop, 0), 0);

    assert_noted(1);
    assert_false(sim_fd_readable(fd));
}

/* Streams. */

static aloop_stream *client, *server;

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    t.calls += stream == client;
    if (size > 0)
        aloop_stream_put(stream, data, (size_t) size);
}

/* A message goes back and forth between two streams of the loop. */
static void exchange_in_loop(void)
{
    assert_int_equal(aloop_stream_pair(t.loop, &client, &server), 0);
    aloop_stream_start(server, on_data, NULL);
    aloop_stream_start(client, on_data, NULL);
    aloop_stream_put(client, "x", 1);
}

static void end_streams(void)
{
    aloop_stream_abort(client);
    aloop_stream_abort(server);
    client = server = NULL;
}

static void streams_of_one_loop_exchange_within_a_step(void **state)
{
    (void) state;
    exchange_in_loop();
    assert_true(sim_poll(fd, 0));
    begin_costs();

    assert_int_equal(aloop_step(t.loop, 0), 1);

    assert_int_equal(t.calls, TURNS_MAX / 2);
    assert_costs(TURNS_MAX, 1);
    begin_costs();
    for (int i = 0; i < 10; i++) {
        assert_true(sim_poll(fd, 0));
        assert_int_equal(aloop_step(t.loop, 0), 1);
    }
    assert_int_equal(t.calls, 11 * TURNS_MAX / 2);
    assert_costs(10 * TURNS_MAX, 0);
    end_streams();
}

/* A stream whose other end is outside of the loop. */
static int open_server(void)
{
    int fds[2];

    assert_int_equal(sim_pair(fds), 0);
    assert_int_equal(aloop_stream_open(t.loop, fds[0], &server), 0);
    aloop_stream_start(server, on_data, NULL);
    assert_int_equal(aloop_step(t.loop, 0), 1);
    assert_false(sim_fd_readable(fd));
    return fds[1];
}

/* The host waits and steps until a message is answered. */
static void exchange_outside(int other)
{
    char byte;

    assert_int_equal(aloop__sys_send(other, "x", 1), 1);
    assert_true(sim_poll(fd, 0));
    assert_int_equal(aloop_step(t.loop, 0), 1);
    sim_pass(0);
    assert_int_equal(aloop__sys_recv(other, &byte, 1), 1);
    assert_false(sim_fd_readable(fd));
}

static void a_stream_to_the_outside_costs_one_wait_for_each_step(void **state)
{
    int other;

    (void) state;
    other = open_server();
    begin_costs();

    for (int i = 0; i < 34; i++)
        exchange_outside(other);

    assert_costs(34 + 4, 0); /* The step looks again now and then. */
    end_streams();
    aloop__sys_close(other);
}

/* The alarm. */

static void a_timer_that_stays_sets_no_alarm_again(void **state)
{
    aloop_timer *timer;
    int other;

    (void) state;
    other = open_server();
    timer = start_timer(10 * MS, 1);
    begin_costs();

    for (int i = 0; i < 10; i++)
        exchange_outside(other);

    assert_int_equal(sim_calls("aloop__reactor_alarm") - alarms, 0);
    assert_false(sim_poll(fd, 9 * MS));
    assert_true(sim_poll(fd, MS));
    assert_int_equal(aloop_step(t.loop, 0), 1);
    assert_noted(1);
    assert_false(sim_fd_readable(fd));
    aloop_timer_close(timer);
    end_streams();
    aloop__sys_close(other);
}

static aloop_timer *timers[3];

static void restart_all(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    for (int i = 0; i < 3; i++)
        aloop_timer_restart(timers[i], (3 - i) * MS);
}

static void timers_that_change_in_a_step_set_the_alarm_once(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        timers[i] = start_timer(ALOOP_SEC(1), i);
    aloop_defer(t.loop, restart_all, NULL);
    begin_costs();

    assert_int_equal(aloop_step(t.loop, 0), 1);

    assert_costs(1, 1);
    assert_false(sim_poll(fd, MS - 1));
    assert_true(sim_poll(fd, 1));
    for (int i = 0; i < 3; i++)
        aloop_timer_close(timers[i]);
}

static void a_run_sets_the_alarm_when_it_ends(void **state)
{
    aloop_timer *timer = start_timer(10 * MS, 2);

    (void) state;
    for (int i = 1; i <= 5; i++)
        aloop_detach(aloop_sleep(t.loop, i * MS));
    aloop_timer_unref(timer);
    begin_costs();

    assert_int_equal(aloop_run(t.loop), 0);

    assert_int_equal(sim_calls("aloop__reactor_alarm") - alarms, 1);
    assert_false(sim_poll(fd, 5 * MS - 1));
    assert_true(sim_poll(fd, 1));
    aloop_timer_close(timer);
}

static void a_step_that_waits_sets_the_alarm_when_it_ends(void **state)
{
    (void) state;
    aloop_detach(aloop_sleep(t.loop, MS));
    aloop_then(aloop_timeout(aloop_sleep(t.loop, ALOOP_SEC(1)), 2 * MS),
               note_status, NULL);
    begin_costs();

    assert_int_equal(aloop_step(t.loop, 5 * MS), 1);
    assert_int_equal(aloop_step(t.loop, 5 * MS), 0);

    assert_noted(ALOOP_ETIMEDOUT);
    assert_int_equal(sim_calls("aloop__reactor_alarm") - alarms, 2);
    assert_false(sim_poll(fd, ALOOP_SEC(2)));
}

static void a_yield_outside_updates_the_descriptor(void **state)
{
    (void) state;
    aloop_defer(t.loop, defer_again, as_arg(2));

    assert_int_equal(aloop_yield(t.loop), 0);
    assert_int_equal(t.calls, 1);
    assert_true(sim_fd_readable(fd));
    assert_int_equal(aloop_yield(t.loop), 0);

    assert_int_equal(t.calls, 2);
    assert_false(sim_fd_readable(fd));
}

static void an_alarm_that_failed_is_set_by_the_next_step(void **state)
{
    aloop_timer *timer;

    (void) state;
    sim_fail("aloop__reactor_alarm", 1, ALOOP_ENOMEM);
    timer = start_timer(MS, 1);
    assert_false(sim_poll(fd, 2 * MS)); /* Nothing can wake the host. */
    assert_int_equal(aloop_step(t.loop, 0), 0);

    assert_noted(1);
    aloop_timer_restart(timer, MS);
    assert_true(sim_poll(fd, MS));
    aloop_timer_close(timer);
}

/* A clock of the application, which does not move by itself. */

static int64_t clock_ns;

static int64_t own_clock(void *context)
{
    (void) context;
    return clock_ns;
}

static void a_clock_that_stands_still_is_asked_again(void **state)
{
    aloop_options options = {.size = sizeof options, .clock_ns = own_clock};
    aloop *loop = aloop_new(&options);
    aloop_timer *timer;
    int own_fd = aloop_fd(loop);

    (void) state;
    aloop_timer_start(loop, MS, 0, note_timer, as_arg(1), &timer);

    for (int i = 0; i < 3; i++) {
        assert_false(sim_poll(own_fd, MS - 1));
        assert_true(sim_poll(own_fd, 1));
        assert_int_equal(aloop_step(loop, 0), 1);
        assert_int_equal(t.noted, 0);
    }
    clock_ns += MS;
    aloop_wake(loop);
    assert_true(sim_poll(own_fd, 0));
    assert_int_equal(aloop_step(loop, 0), 0);

    assert_noted(1);
    assert_false(sim_fd_readable(own_fd));
    aloop_free(loop);
}

/* Prepares. */

static int64_t count_prepare(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    note(9);
    return 4 * MS;
}

static void a_prepare_is_called_again_in_the_step_of_a_callback(void **state)
{
    aloop_prepare *prepare;
    int other;

    (void) state;
    other = open_server();
    aloop_prepare_start(t.loop, count_prepare, NULL, &prepare);
    assert_int_equal(aloop_step(t.loop, 0), 1);
    t.noted = 0;

    exchange_outside(other);

    assert_noted(9, 9);
    assert_false(sim_poll(fd, 4 * MS - 1));
    assert_true(sim_poll(fd, 1));
    aloop_prepare_close(prepare);
    end_streams();
    aloop__sys_close(other);
}

static int64_t no_wait(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    t.calls++;
    return 0;
}

static void a_prepare_without_a_wait_leaves_the_host_its_turn(void **state)
{
    aloop_prepare *prepare;

    (void) state;
    aloop_prepare_start(t.loop, no_wait, NULL, &prepare);

    assert_int_equal(aloop_step(t.loop, 0), 0);

    assert_int_equal(t.calls, TURNS_MAX);
    assert_true(sim_fd_readable(fd));
    aloop_prepare_close(prepare);
}

static void unreferenced_handles_run_and_do_not_keep_alive(void **state)
{
    aloop_timer *timer = start_timer(MS, 1);

    (void) state;
    aloop_timer_unref(timer);

    assert_true(sim_poll(fd, MS));
    assert_int_equal(aloop_step(t.loop, 0), 0);

    assert_noted(1);
    assert_false(sim_fd_readable(fd));
    aloop_timer_close(timer);
}

#define HOSTED(name) \
    cmocka_unit_test_setup_teardown(name, set_up_hosted, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOSTED(a_step_continues_while_there_is_work),
        HOSTED(without_a_host_a_step_is_one_turn),
        HOSTED(work_without_an_end_leaves_the_host_its_turn),
        HOSTED(a_timer_without_a_delay_leaves_the_host_its_turn),
        HOSTED(a_step_ends_when_it_has_taken_long),
        HOSTED(a_stop_ends_the_step_after_its_turn),
        HOSTED(a_post_during_a_step_runs_in_it),
        HOSTED(streams_of_one_loop_exchange_within_a_step),
        HOSTED(a_stream_to_the_outside_costs_one_wait_for_each_step),
        HOSTED(a_timer_that_stays_sets_no_alarm_again),
        HOSTED(timers_that_change_in_a_step_set_the_alarm_once),
        HOSTED(a_run_sets_the_alarm_when_it_ends),
        HOSTED(a_step_that_waits_sets_the_alarm_when_it_ends),
        HOSTED(a_yield_outside_updates_the_descriptor),
        HOSTED(an_alarm_that_failed_is_set_by_the_next_step),
        HOSTED(a_clock_that_stands_still_is_asked_again),
        HOSTED(a_prepare_is_called_again_in_the_step_of_a_callback),
        HOSTED(a_prepare_without_a_wait_leaves_the_host_its_turn),
        HOSTED(unreferenced_handles_run_and_do_not_keep_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
