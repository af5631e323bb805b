/* Reports of unhandled errors: when they are delivered, what the default report
 * writes, and that lost ones are counted. */

#include "loop/report.h"
#include "support/stream_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replaces the loop of the fixture by one with the default report. */
static void use_default(void)
{
    aloop_free(t.loop);
    t.loop = aloop_new(NULL);
    assert_non_null(t.loop);
}

static void fail_often(int count)
{
    for (int i = 0; i < count; i++)
        aloop_future_unref(aloop_future_new_settled(t.loop, ALOOP_EPERM));
}

static int lines(void)
{
    int count = 0;

    for (const char *at = sim_stderr(); *at != '\0'; at++)
        count += *at == '\n';
    return count;
}

/* The time of a report. */

static aloop_timer *periodic;

static void close_periodic(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    (void) arg;
    assert_int_equal(error, ALOOP_ENOMEM);
    assert_non_null(strstr(what, "periodic timer"));
    aloop_timer_close(periodic);
    t.unhandled++;
}

static void on_tick(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    assert_int_equal(t.unhandled, 0); /* Otherwise the timer is closed. */
    t.calls++;
}

/* Takes the entry that the periodic timer has left in the full queue. */
static void fill_queue(aloop_timer *timer, void *arg)
{
    aloop_timer *other;

    memory.is_growth_off = true;
    while (aloop_timer_start(arg, ALOOP_SEC(9), 0, ignore_timer, NULL,
                             &other) == 0)
        ;
    aloop_timer_close(timer);
}

static void a_hook_runs_at_the_end_of_a_turn_and_may_close_handles(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .resize = memory_resize,
                             .on_unhandled = close_periodic};
    aloop_timer *timer;

    (void) state;
    memory.is_growth_off = memory.is_out = false;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    for (int i = 0; i < 62; i++)
        aloop_timer_start(t.loop, ALOOP_SEC(9), 0, ignore_timer, NULL, &timer);
    aloop_timer_start(t.loop, 0, 0, fill_queue, t.loop, &timer);
    aloop_timer_start(t.loop, 0, MS, on_tick, NULL, &periodic);
    aloop_step(t.loop, 0);
    memory.is_growth_off = false;
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.calls, 1);
    aloop_step(t.loop, 2 * MS);
    assert_int_equal(t.calls, 1);
}

static void fail_again(aloop *loop, int error, const char *what, void *arg)
{
    (void) error;
    (void) what;
    (void) arg;
    if (++t.calls < 3)
        aloop_future_unref(aloop_future_new_settled(loop, ALOOP_EPERM));
}

static void errors_that_a_hook_causes_are_reported_in_the_next_turn(
    void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = fail_again};

    (void) state;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    fail_often(1);
    assert_int_equal(t.calls, 0);
    for (int i = 1; i <= 3; i++) {
        aloop_step(t.loop, 0);
        assert_int_equal(t.calls, i);
    }
}

static void a_pending_report_makes_the_descriptor_readable(void **state)
{
    int fd = aloop_fd(t.loop);

    (void) state;
    assert_false(sim_poll(fd, 0));
    aloop__unhandled(t.loop, ALOOP_EPERM, "something");
    assert_true(sim_poll(fd, 0));
    aloop_step(t.loop, 0);
    assert_int_equal(t.unhandled, 1);
    assert_string_equal(t.unhandled_what, "something");
    assert_false(sim_poll(fd, 0));
}

/* Reports out of memory, and many reports. */

static void reports_need_no_memory_and_lost_ones_are_counted(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .resize = memory_resize,
                             .on_unhandled = on_unhandled};

    (void) state;
    memory.is_out = false;
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    for (int round = 0; round < 2; round++) {
        t.unhandled = 0;
        memory.is_out = true;
        for (int i = 0; i < 20; i++)
            aloop__unhandled(t.loop, ALOOP_EPERM, "something");
        memory.is_out = false;
        aloop_step(t.loop, 0);
        assert_int_equal(t.unhandled, 17);
        assert_int_equal(t.unhandled_error, ALOOP_ENOBUFS);
        assert_string_equal(t.unhandled_what, "reporting 4 more errors");
    }
}

static void every_failed_future_is_reported(void **state)
{
    (void) state;
    fail_often(1000);
    aloop_step(t.loop, 0);
    assert_int_equal(t.unhandled, 1000);
}

/* The default report. */

static void the_default_writes_ten_lines_a_second_and_then_a_count(void **state)
{
    (void) state;
    use_default();
    fail_often(30);
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 10);
    sim_advance(999 * MS);
    fail_often(1);
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 10);
    sim_advance(MS);
    fail_often(20);
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 20);
    assert_non_null(strstr(sim_stderr(), "aloop: 21 more errors\n"));
}

static void the_count_is_written_by_a_later_turn_or_at_the_end(void **state)
{
    (void) state;
    use_default();
    fail_often(12);
    aloop_step(t.loop, 0);
    sim_advance(ALOOP_SEC(1));
    assert_int_equal(lines(), 10);
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 11);
    assert_non_null(strstr(sim_stderr(), "aloop: 2 more errors\n"));
    fail_often(12);
    aloop_step(t.loop, 0);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(lines(), 21);
    assert_non_null(strstr(sim_stderr(), "aloop: 3 more errors\n"));
}

static void a_line_that_cannot_be_written_is_counted(void **state)
{
    (void) state;
    use_default();
    sim_fail("aloop__sys_stderr_write", 2, ALOOP_EAGAIN);
    fail_often(3);
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 2);
    sim_fail("aloop__sys_stderr_write", 1, ALOOP_EAGAIN);
    sim_advance(ALOOP_SEC(1));
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 2);
    sim_advance(ALOOP_SEC(1));
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 3);
    assert_non_null(strstr(sim_stderr(), "aloop: 1 more error\n"));
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return ALOOP_ECONNRESET;
}

static void a_name_cannot_insert_a_new_line(void **state)
{
    (void) state;
    use_default();
    aloop_detach(aloop_spawn_with(t.loop, fails, NULL, .name = "a\nb\x1b[31m"));
    aloop_run(t.loop);
    assert_int_equal(lines(), 1);
    assert_non_null(strstr(sim_stderr(), "aloop: task a?b?[31m ("));
}

static void a_long_name_is_truncated(void **state)
{
    char name[1000];

    (void) state;
    use_default();
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    aloop__unhandled(t.loop, ALOOP_EPERM, name);
    aloop_step(t.loop, 0);
    assert_int_equal(lines(), 1);
    assert_non_null(strstr(sim_stderr(), "x failed: operation not "
                                         "permitted\n"));
}

/* The text of a report. */

static void never_accepts(aloop_listener *listener, aloop_stream *stream,
                          void *arg)
{
    (void) listener;
    (void) arg;
    aloop_stream_abort(stream);
}

static void a_report_of_a_listener_names_its_address(void **state)
{
    aloop_listener *listener;
    int peer;

    (void) state;
    assert_int_equal(
        aloop_tcp_listen(t.loop, "::1", "9", never_accepts, NULL, &listener),
        0);
    peer = sim_connect_to("::1", 9);
    sim_fail("aloop__sys_accept", 1, ALOOP_EMFILE);
    aloop_step(t.loop, MS);
    assert_int_equal(t.unhandled, 1);
    assert_string_equal(t.unhandled_what, "accept on [::1]:9");
    aloop_listener_close(listener);
    sim_peer_close(peer);
}

static void a_report_of_a_connect_names_host_and_port(void **state)
{
    aloop_stream *stream;

    (void) state;
    aloop_detach(aloop_tcp_connect(t.loop, "127.0.0.1", "9", &stream));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled_error, ALOOP_ECONNREFUSED);
    assert_string_equal(t.unhandled_what, "connect to 127.0.0.1:9");
    aloop_detach(aloop_tcp_connect(t.loop, "::1", "http", &stream));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 2);
    assert_string_equal(t.unhandled_what, "connect to [::1]:http");
}

static ssize_t fails_if_odd(aloop *loop, void *item)
{
    (void) loop;
    return *(int *) item % 2 != 0 ? ALOOP_EPERM : 0;
}

static void a_report_of_a_map_names_the_item(void **state)
{
    static int items[] = {2, 4, 6, 7, 8};

    (void) state;
    aloop_detach(aloop_map(t.loop, fails_if_odd, items, 5, sizeof items[0], 2));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled_error, ALOOP_EPERM);
    assert_string_equal(t.unhandled_what, "map, item 3 of 5,");
}

static void a_report_of_a_composition_names_its_function(void **state)
{
    aloop_future *members[] = {aloop_future_new_settled(t.loop, ALOOP_EPERM)};

    (void) state;
    aloop_detach(aloop_gather_array(t.loop, 1, members));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled_error, ALOOP_EPERM);
    assert_string_equal(t.unhandled_what, "gather");

    members[0] = aloop_future_new_settled(t.loop, ALOOP_EPERM);
    aloop_detach(aloop_race_array(t.loop, 1, members, NULL));
    aloop_run(t.loop);
    assert_string_equal(t.unhandled_what, "race");

    members[0] = aloop_future_new_settled(t.loop, ALOOP_EPERM);
    aloop_detach(aloop_any_array(t.loop, 1, members, NULL));
    aloop_run(t.loop);
    assert_string_equal(t.unhandled_what, "any");
}

/* The report is one line with a newline, even if the name of the place is
 * long. */
static void a_report_with_a_long_place_is_truncated(void **state)
{
    char where[400];
    ssize_t result = -EIO;
    aloop *loop = aloop_new(NULL);
    size_t length;

    (void) state;
    memset(where, 'w', sizeof where - 1);
    where[sizeof where - 1] = '\0';
    aloop_detach(
        aloop_spawn_at(loop, just_return, &result, NULL, "name", where));

    assert_int_equal(aloop_run(loop), 0);
    assert_int_equal(aloop_free(loop), 0);

    length = strlen(sim_stderr());
    assert_true(length > 100 && length < sizeof where);
    assert_ptr_equal(strchr(sim_stderr(), '\n'), sim_stderr() + length - 1);
}

static void the_hook_runs_at_the_end_of_a_turn_and_not_in_a_call(void **state)
{
    aloop_future *drain;
    aloop_stream *stream;
    int peer;

    (void) state;
    sim_buffer_size(1024);
    stream = connected_to(&peer);
    overfill(stream);
    drain = aloop_stream_drain(stream);
    aloop_detach(drain);
    aloop_stream_abort(stream);
    assert_int_equal(t.unhandled, 0);
    aloop_step(t.loop, 0);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ECANCELED);

    aloop_future_unref(aloop_future_new_settled(t.loop, ALOOP_EPIPE));
    assert_int_equal(t.unhandled, 1);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.unhandled, 2);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hook_runs_at_the_end_of_a_turn_and_may_close_handles),
        TEST(errors_that_a_hook_causes_are_reported_in_the_next_turn),
        TEST(a_pending_report_makes_the_descriptor_readable),
        TEST(reports_need_no_memory_and_lost_ones_are_counted),
        TEST(every_failed_future_is_reported),
        TEST(the_default_writes_ten_lines_a_second_and_then_a_count),
        TEST(the_count_is_written_by_a_later_turn_or_at_the_end),
        TEST(a_line_that_cannot_be_written_is_counted),
        TEST(a_name_cannot_insert_a_new_line),
        TEST(a_long_name_is_truncated),
        TEST(a_report_of_a_listener_names_its_address),
        TEST(a_report_of_a_connect_names_host_and_port),
        TEST(a_report_of_a_map_names_the_item),
        TEST(a_report_of_a_composition_names_its_function),
        TEST(a_report_with_a_long_place_is_truncated),
        TEST(the_hook_runs_at_the_end_of_a_turn_and_not_in_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
