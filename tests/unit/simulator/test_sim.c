/* The simulated operating system itself: time, descriptors, readiness, threads,
 * signals, faults.  test_sim_net.c tests its network. */

#include "support/sim_fixture.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "aloop/error.h"

static void record_call(void *arg)
{
    (void) arg;
    f.ran++;
    f.ran_ns = aloop__sys_clock_ns();
    f.self = aloop__sys_thread_self();
}

static void time_advances_only_in_a_wait_and_to_its_end(void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();

    (void) state;
    assert_int_equal(aloop__sys_clock_ns(), start_ns);
    assert_int_equal(wait_ns(0), 0);
    assert_int_equal(aloop__sys_clock_ns(), start_ns);

    assert_int_equal(wait_ns(5 * SECOND), 0);

    assert_int_equal(aloop__sys_clock_ns(), start_ns + 5 * SECOND);
    assert_int_equal(sim_wakes(), 2);
}

static void a_jump_of_the_clock_does_not_move_events(void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();

    (void) state;
    sim_at(SECOND, record_call, NULL);
    sim_jump(-60 * SECOND);
    assert_int_equal(aloop__sys_clock_ns(), start_ns - 60 * SECOND);

    wait_ns(2 * SECOND);

    assert_int_equal(f.ran_ns, start_ns - 59 * SECOND);
    assert_int_equal(aloop__sys_clock_ns(), start_ns - 58 * SECOND);
}

static void events_during_a_busy_callback_happen_in_the_next_wait(void **state)
{
    (void) state;
    sim_at(SECOND, record_call, NULL);

    sim_advance(3 * SECOND);
    assert_int_equal(f.ran, 0);
    wait_ns(0);

    assert_int_equal(f.ran, 1);
    assert_int_not_equal(f.self, aloop__sys_thread_self());
}

static void a_wait_that_cannot_end_is_refused(void **state)
{
    (void) state;
    sim_at(SECOND, record_call, NULL);

    assert_int_equal(wait_ns(-1), -EDEADLK);

    assert_int_equal(f.ran, 1);
    assert_true(sim_deadlocked());
    assert_string_equal(sim_mess(), "1 open descriptors, 1 deadlocks");
}

static void descriptors_are_reused_lowest_first_and_run_out(void **state)
{
    int a = aloop__sys_tcp_socket(SYS_INET),
        b = aloop__sys_tcp_socket(SYS_INET);

    (void) state;
    aloop__sys_close(a);
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), a);
    sim_descriptors_max(sim_descriptors_open());
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), -EMFILE);
    assert_int_equal(aloop__sys_close(b), 0);
    assert_int_equal(aloop__sys_close(b), -EBADF);
    assert_int_equal(aloop__sys_no_delay(b, true), -EBADF);
    assert_int_equal(aloop__sys_no_delay(sim_file(), true), -ENOTSOCK);
    assert_int_equal(sim_bad_closes(), 1);
    assert_int_equal(sim_bad_uses(), 1);
}

static void a_description_kept_open_is_reported_until_a_renewal(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(sim_pair(fds), 0);
    watch(fds[0], REACTOR_READ);
    sim_keep_open(fds[0]);
    aloop__sys_close(fds[0]);
    assert_int_equal(aloop__reactor_set(f.reactor, fds[0], 8, 0, REACTOR_READ),
                     -EBADF);
    unwatch(fds[0]);
    aloop__sys_send(fds[1], "a", 1);
    assert_int_equal(wait_ns(SECOND), 1);
    assert_int_equal(aloop__event_fd(&f.events[0]), fds[0]);
    assert_int_equal(aloop__event_generation(&f.events[0]), 7);
    assert_int_equal(aloop__event_bits(&f.events[0]), REACTOR_READ);
    assert_int_equal(sim_descriptors_open(), 2);
    assert_false(sim_fd_readable(fds[1]));

    assert_int_equal(aloop__reactor_renew(f.reactor), 0);

    assert_int_equal(wait_ns(SECOND), 0);
}

static void a_closed_description_is_not_reported(void **state)
{
    int fds[2];

    (void) state;
    sim_pair(fds);
    watch(fds[0], REACTOR_READ | REACTOR_WRITE);
    assert_int_equal(wait_ns(0), 1);
    aloop__sys_close(fds[0]);
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), fds[0]);

    assert_int_equal(wait_ns(0), 0);
    watch(fds[0], REACTOR_READ);
    assert_int_equal(
        aloop__reactor_set(f.reactor, sim_file(), 1, 0, REACTOR_READ), -EPERM);
}

static void events_that_do_not_fit_are_reported_by_later_waits(void **state)
{
    int fds[4];
    unsigned seen = 0;

    (void) state;
    sim_pair(fds);
    sim_pair(fds + 2);
    for (int i = 0; i < 4; i++)
        watch(fds[i], REACTOR_WRITE);

    for (int i = 0; i < 4; i++) {
        assert_int_equal(aloop__reactor_wait(f.reactor, 0, f.events, 1), 1);
        seen |= 1u << aloop__event_fd(&f.events[0]);
    }

    assert_int_equal(seen, 15u << fds[0]);
}

static void a_wake_up_is_readable_until_drained(void **state)
{
    int one[2], two[2];

    (void) state;
    assert_int_equal(aloop__sys_wake_open(one), 0);
    assert_int_equal(one[0], one[1]);
    sim_options()->has_wake_pair = true;
    assert_int_equal(aloop__sys_wake_open(two), 0);
    assert_int_not_equal(two[0], two[1]);

    aloop__sys_wake_signal(two[1]);
    aloop__sys_wake_signal(two[1]);
    assert_true(sim_fd_readable(two[0]));
    assert_false(sim_fd_readable(one[0]));
    aloop__sys_wake_drain(two[0]);
    assert_false(sim_fd_readable(two[0]));
    aloop__sys_wake_close(one);
    aloop__sys_wake_close(two);
    assert_int_equal(sim_descriptors_open(), 1);
}

static void a_host_is_notified_of_events_and_of_the_alarm(void **state)
{
    int host = aloop__reactor_fd(f.reactor), fds[2];
    int64_t start_ns = aloop__sys_clock_ns();

    (void) state;
    assert_int_equal(aloop__reactor_fd(f.reactor), host);
    sim_pair(fds);
    watch(fds[0], REACTOR_READ);
    aloop__reactor_alarm(f.reactor, aloop__sys_clock_ns() + SECOND);
    assert_false(sim_poll(host, SECOND / 2));
    assert_true(sim_poll(host, -1));
    assert_int_equal(aloop__sys_clock_ns(), start_ns + SECOND);
    assert_int_equal(wait_ns(0), 0);
    aloop__reactor_alarm(f.reactor, INT64_MAX);
    assert_false(sim_fd_readable(host));

    aloop__sys_send(fds[1], "a", 1);
    assert_true(sim_poll(host, -1));
    assert_int_equal(wait_ns(0), 1);
    unwatch(fds[0]);
    assert_false(sim_poll(host, -1));
    assert_true(sim_deadlocked());
}

static void an_address_may_name_the_one_interface(void **state)
{
    struct sys_address address;
    char text[96];

    (void) state;
    assert_int_equal(aloop__sys_address_parse("fe80::1%lo", "80", &address), 0);
    aloop__sys_address_format(&address, text, sizeof text);
    assert_string_equal(text, "[fe80::1%1]:80");
    assert_int_equal(aloop__sys_address_parse("fe80::1%7", "80", &address), 0);
    aloop__sys_address_format(&address, text, sizeof text);
    assert_string_equal(text, "[fe80::1%7]:80");
    assert_int_equal(aloop__sys_address_parse("fe80::1%none", "80", &address),
                     -EINVAL);
    assert_int_equal(aloop__sys_address_parse("fe80::1%0", "80", &address),
                     -EINVAL);
}

static void addresses_are_exported_and_imported(void **state)
{
    static const char *const hosts[] = {"10.0.0.1", "fd00::1", "fe80::1%lo"};
    struct sys_address address, back;
    aloop_address value;

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(aloop__sys_address_parse(hosts[i], "80", &address), 0);
        assert_int_equal(aloop__sys_address_export(&address, &value), 0);
        assert_int_equal(value.port, 80);
        aloop__sys_address_import(&value, &back);
        assert_int_equal(back.size, address.size);
        assert_memory_equal(back.bytes, address.bytes, back.size);
    }
    address.size = 1;
    assert_int_equal(aloop__sys_address_export(&address, &value), -EINVAL);
    address = (struct sys_address){.size = sizeof address.bytes};
    assert_int_equal(aloop__sys_address_export(&address, &value),
                     -EAFNOSUPPORT);
}

static void host_names_resolve_as_the_test_defines(void **state)
{
    const char *const addresses[] = {"::1", "10.0.0.2", NULL};
    struct sys_address *found, address;
    char text[96];

    (void) state;
    sim_host("example.test", addresses);
    sim_host_error("later.test", ALOOP_EAGAINDNS);

    assert_int_equal(
        aloop__sys_resolve("example.test", "http", SYS_FAMILY_NONE, &found), 2);
    assert_true(aloop__sys_address_format(&found[1], text, sizeof text) > 0);
    assert_string_equal(text, "10.0.0.2:80");
    aloop__sys_resolve_free(found);
    assert_int_equal(
        aloop__sys_resolve("later.test", "1", SYS_FAMILY_NONE, &found),
        ALOOP_EAGAINDNS);
    assert_int_equal(
        aloop__sys_resolve("no.test", "1", SYS_FAMILY_NONE, &found),
        ALOOP_EHOSTNOTFOUND);
    assert_null(found);
    assert_int_equal(aloop__sys_address_parse("no.test", "1", &address),
                     -EINVAL);
    assert_int_equal(aloop__sys_address_parse("::1", "65536", &address),
                     -EINVAL);
}

static void work(void *arg)
{
    record_call(arg);
}

static void threads_run_before_time_advances(void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();
    struct sys_thread *first, *second;

    (void) state;
    assert_int_equal(aloop__sys_thread_start(work, NULL, 0, &first), 0);
    assert_int_equal(f.ran, 0);
    wait_ns(SECOND);
    assert_int_equal(f.ran, 1);
    assert_int_equal(f.ran_ns, start_ns);
    assert_int_not_equal(f.self, aloop__sys_thread_self());

    assert_int_equal(aloop__sys_thread_start(work, NULL, 0, &second), 0);
    aloop__sys_thread_join(second);
    assert_int_equal(f.ran, 2);
    assert_int_equal(sim_threads_open(), 1);
    aloop__sys_thread_join(first);
    assert_int_equal(f.ran, 2);
    assert_string_equal(sim_mess(), "1 open descriptors");
}

static void wait_on_condition(void *arg)
{
    int *result = arg;

    aloop__sys_mutex_lock(f.mutex);
    *result = aloop__sys_condition_wait(f.condition, f.mutex, SECOND);
    aloop__sys_mutex_unlock(f.mutex);
    f.ran_ns = aloop__sys_clock_ns();
    f.ran++;
}

static void open_locks(void)
{
    assert_int_equal(aloop__sys_mutex_open(&f.mutex), 0);
    assert_int_equal(aloop__sys_condition_open(&f.condition), 0);
}

static void close_locks(void)
{
    aloop__sys_condition_close(f.condition);
    aloop__sys_mutex_close(f.mutex);
}

static void a_wait_ends_by_a_notification_or_after_its_time(void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();
    struct sys_thread *threads[3];
    int results[3] = {1, 1, 1};

    (void) state;
    open_locks();
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop__sys_thread_start(wait_on_condition, &results[i],
                                                 0, &threads[i]),
                         0);
    wait_ns(SECOND / 2);
    assert_int_equal(f.ran, 0);
    aloop__sys_condition_notify(f.condition);
    wait_ns(0);
    assert_int_equal(f.ran, 1);
    assert_int_equal(results[0], 0);

    wait_ns(SECOND);
    assert_int_equal(f.ran, 3);
    assert_int_equal(f.ran_ns, start_ns + SECOND);
    assert_int_equal(results[1], -ETIMEDOUT);
    assert_int_equal(results[2], -ETIMEDOUT);
    aloop__sys_condition_notify_all(f.condition);
    for (int i = 0; i < 3; i++)
        aloop__sys_thread_join(threads[i]);
    close_locks();
    assert_int_equal(sim_bad_locks(), 0);
}

static void all_waiters_of_a_condition_can_be_notified(void **state)
{
    struct sys_thread *threads[2];
    int results[2] = {1, 1};

    (void) state;
    open_locks();
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop__sys_thread_start(wait_on_condition, &results[i],
                                                 0, &threads[i]),
                         0);
    wait_ns(0);
    aloop__sys_condition_notify_all(f.condition);
    for (int i = 0; i < 2; i++)
        aloop__sys_thread_join(threads[i]);
    assert_int_equal(results[0] + results[1], 0);
    close_locks();
}

static void wait_without_end(void *arg)
{
    aloop__sys_mutex_lock(f.mutex);
    (void) aloop__sys_condition_wait(f.condition, f.mutex, -1);
    aloop__sys_mutex_unlock(f.mutex);
    record_call(arg);
}

static void joining_a_thread_that_never_ends_is_a_deadlock(void **state)
{
    struct sys_thread *thread;

    (void) state;
    open_locks();
    assert_int_equal(
        aloop__sys_thread_start(wait_without_end, NULL, 0, &thread), 0);
    aloop__sys_thread_join(thread);
    assert_true(sim_deadlocked());
    assert_int_equal(f.ran, 0);
    close_locks();
}

static void the_main_flow_waits_while_threads_run(void **state)
{
    struct sys_thread *thread;

    (void) state;
    open_locks();
    aloop__sys_mutex_lock(f.mutex);
    assert_int_equal(aloop__sys_thread_start(work, NULL, 0, &thread), 0);
    assert_int_equal(aloop__sys_condition_wait(f.condition, f.mutex, -1), 0);
    assert_int_equal(f.ran, 1);
    assert_int_equal(aloop__sys_condition_wait(f.condition, f.mutex, -1),
                     -ECANCELED);
    aloop__sys_mutex_unlock(f.mutex);
    aloop__sys_thread_join(thread);
    close_locks();
}

static void unbalanced_locks_are_counted(void **state)
{
    (void) state;
    assert_int_equal(aloop__sys_mutex_open(&f.mutex), 0);
    aloop__sys_mutex_unlock(f.mutex);
    assert_int_equal(sim_bad_locks(), 1);
    aloop__sys_signal_lock_in_handler();
    assert_int_equal(sim_bad_locks(), 2);
    wait_ns(0);
    assert_int_equal(sim_bad_locks(), 3);
}

static void on_signal(int number)
{
    f.ran = number;
}

static void a_signal_waits_for_the_lock_and_ends_a_wait(void **state)
{
    (void) state;
    assert_false(sim_raise(SIGINT));
    assert_int_equal(aloop__sys_signal_catch(SIGKILL, on_signal), -EINVAL);
    assert_int_equal(aloop__sys_signal_catch(SIGINT, on_signal), 0);
    aloop__sys_signal_lock();
    assert_true(sim_raise(SIGINT));
    assert_int_equal(f.ran, 0);
    aloop__sys_signal_unlock();
    assert_int_equal(f.ran, SIGINT);

    aloop__sys_signal_restore(SIGINT);
    assert_false(sim_signal_caught(SIGINT));
}

static void raise_now(void *arg)
{
    (void) arg;
    sim_raise(SIGINT);
}

static void a_signal_ends_a_wait_early(void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();

    (void) state;
    aloop__sys_signal_catch(SIGINT, on_signal);
    sim_at(SECOND, raise_now, NULL);

    assert_int_equal(wait_ns(-1), 0);

    assert_int_equal(aloop__sys_clock_ns(), start_ns + SECOND);
}

static void the_nth_call_fails_once(void **state)
{
    (void) state;
    sim_fail("aloop__sys_tcp_socket", 2, -ENOBUFS);
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), 4);
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), -ENOBUFS);
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), 5);
    assert_int_equal(sim_calls("aloop__sys_tcp_socket"), 3);

    sim_fail(NULL, 1, -EIO);
    aloop__sys_clock_ns();
    assert_int_equal(sim_faults_pending(), 1);
    assert_int_equal(aloop__sys_close(4), -EIO);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(aloop__sys_tcp_socket(SYS_INET), 4);
}

static void lines_on_standard_error_are_recorded(void **state)
{
    struct sys_stderr file;

    (void) state;
    assert_string_equal(sim_stderr(), "");
    aloop__sys_stderr_look(&file);
    aloop__sys_stderr_write(&file, "one\n", 4);
    aloop__sys_stderr_write(&file, "two\n", 4);
    assert_string_equal(sim_stderr(), "one\ntwo\n");
}

enum { LOAD = 20000 };

/* Sends LOAD bytes through a world with random behaviour.  Returns the hash of
 * its trace. */
static uint64_t carry(uint64_t seed)
{
    static unsigned char sent[LOAD], received[LOAD];
    size_t out = 0, in = 0;
    int fds[2];

    aloop__reactor_close(f.reactor);
    sim_reset(seed);
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &f.reactor), 0);
    sim_chaos();
    sim_buffer_size(300);
    for (size_t i = 0; i < LOAD; i++)
        sent[i] = (unsigned char) (i * 7 + i / 256);
    sim_pair(fds);
    watch(fds[0], REACTOR_WRITE);
    watch(fds[1], REACTOR_READ);
    while (in < LOAD) {
        int count = wait_ns(-1);

        assert_true(count >= 0);
        for (int i = 0; i < count; i++) {
            bool is_sending = aloop__event_fd(&f.events[i]) == fds[0];
            ssize_t moved =
                is_sending ? aloop__sys_send(fds[0], sent + out, LOAD - out)
                           : aloop__sys_recv(fds[1], received + in, LOAD - in);

            assert_true(moved >= 0 || moved == -EAGAIN);
            if (moved > 0)
                *(is_sending ? &out : &in) += (size_t) moved;
        }
        if (out == LOAD)
            unwatch(fds[0]);
    }
    assert_memory_equal(sent, received, LOAD);
    return sim_trace_hash();
}

static void chaos_loses_nothing_and_is_repeatable(void **state)
{
    uint64_t first = carry(5);

    (void) state;
    assert_true(carry(5) == first);
    assert_true(carry(6) != first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(time_advances_only_in_a_wait_and_to_its_end),
        TEST(a_jump_of_the_clock_does_not_move_events),
        TEST(events_during_a_busy_callback_happen_in_the_next_wait),
        TEST(a_wait_that_cannot_end_is_refused),
        TEST(descriptors_are_reused_lowest_first_and_run_out),
        TEST(a_description_kept_open_is_reported_until_a_renewal),
        TEST(a_closed_description_is_not_reported),
        TEST(events_that_do_not_fit_are_reported_by_later_waits),
        TEST(a_wake_up_is_readable_until_drained),
        TEST(a_host_is_notified_of_events_and_of_the_alarm),
        TEST(an_address_may_name_the_one_interface),
        TEST(addresses_are_exported_and_imported),
        TEST(host_names_resolve_as_the_test_defines),
        TEST(threads_run_before_time_advances),
        TEST(a_wait_ends_by_a_notification_or_after_its_time),
        TEST(all_waiters_of_a_condition_can_be_notified),
        TEST(joining_a_thread_that_never_ends_is_a_deadlock),
        TEST(the_main_flow_waits_while_threads_run),
        TEST(unbalanced_locks_are_counted),
        TEST(a_signal_waits_for_the_lock_and_ends_a_wait),
        TEST(a_signal_ends_a_wait_early),
        TEST(the_nth_call_fails_once),
        TEST(lines_on_standard_error_are_recorded),
        TEST(chaos_loses_nothing_and_is_repeatable),
    };

    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
