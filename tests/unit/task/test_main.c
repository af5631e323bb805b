/* Tests of aloop_main() and aloop_main_with(): options, interrupts, and the end
 * of the program. */

#include "support/memory_fixture.h"

#include <fcntl.h>
#include <signal.h>

static struct {
    ssize_t status;    /* Status of the task's await. */
    bool is_caught[2]; /* After that await: SIGINT and SIGTERM. */
} seen;

static const aloop_options interruptible = {.size = sizeof interruptible,
                                            .cancel_on_interrupt = true};

static void interrupt(void *arg)
{
    sim_raise(*(int *) arg);
}

/* `arg` points to a signal that arrives after 1 ms, or is NULL. */
static ssize_t sleeps_for_2_ms(aloop *loop, void *arg)
{
    if (arg != NULL)
        sim_at(ALOOP_MS(1), interrupt, arg);
    seen.status = aloop_await(aloop_sleep(loop, ALOOP_MS(2)));
    seen.is_caught[0] = sim_signal_caught(SIGINT);
    seen.is_caught[1] = sim_signal_caught(SIGTERM);
    return seen.status < 0 ? seen.status : 7;
}

static void an_interrupt_cancels_the_root_task_and_the_next_is_not_caught(
    void **state)
{
    int numbers[] = {SIGINT, SIGTERM};

    (void) state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            aloop_main_with(sleeps_for_2_ms, &numbers[i], &interruptible),
            ALOOP_ECANCELED);
        assert_int_equal(seen.status, ALOOP_ECANCELED);
        assert_false(seen.is_caught[0] || seen.is_caught[1]);
    }
}

static ssize_t is_interrupted_before_its_first_await(aloop *loop, void *arg)
{
    assert_true(sim_raise(*(int *) arg));
    assert_false(sim_raise(SIGINT) || sim_raise(SIGTERM));
    seen.status = aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    return seen.status;
}

static void a_second_interrupt_is_not_caught_even_before_the_loop_runs(
    void **state)
{
    int numbers[] = {SIGINT, SIGTERM};

    (void) state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_main_with(is_interrupted_before_its_first_await,
                                         &numbers[i], &interruptible),
                         ALOOP_ECANCELED);
}

/* Leaves a close that no thread has begun, so that the end of the program
 * cancels it.  Nothing is left to wait for then, but the watches of signals. */
static ssize_t closes_a_file_last(aloop *loop, void *arg)
{
    aloop_file *file;
    ssize_t status = aloop_await(
        aloop_file_open(loop, "/a", O_WRONLY | O_CREAT, 0600, &file));

    (void) arg;
    if (status == 0)
        aloop_file_close(file);
    return status < 0 ? status : 7;
}

static void a_program_ends_although_its_last_close_is_cancelled(void **state)
{
    (void) state;
    assert_int_equal(aloop_main_with(closes_a_file_last, NULL, &interruptible),
                     7);
}

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) arg;
    note(number);
}

static ssize_t has_its_own_watch(aloop *loop, void *arg)
{
    aloop_signal *own;

    (void) arg;
    assert_int_equal(aloop_signal_start(loop, SIGINT, on_signal, NULL, &own),
                     0);
    assert_true(sim_raise(SIGINT) && sim_raise(SIGINT));
    seen.status = aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    aloop_yield(loop);
    aloop_signal_close(own);
    return seen.status;
}

static void another_watch_of_the_signal_continues(void **state)
{
    (void) state;
    assert_int_equal(aloop_main_with(has_its_own_watch, NULL, &interruptible),
                     ALOOP_ECANCELED);
    assert_noted(SIGINT, SIGINT);
}

static void without_an_interrupt_the_signals_are_caught_until_the_end(
    void **state)
{
    (void) state;
    assert_int_equal(aloop_main_with(sleeps_for_2_ms, NULL, &interruptible), 7);
    assert_true(seen.is_caught[0] && seen.is_caught[1]);
    assert_false(sim_signal_caught(SIGINT) || sim_signal_caught(SIGTERM));
}

static ssize_t never_ends(aloop *loop, void *arg)
{
    (void) arg;
    seen.status = aloop_await(aloop_sleep(loop, ALOOP_SEC(100)));
    aloop_shield_begin();
    return aloop_await(aloop_sleep(loop, ALOOP_MS(5)));
}

static ssize_t leaves_a_task(aloop *loop, void *arg)
{
    aloop_detach(aloop_spawn(loop, never_ends, NULL));
    sim_at(ALOOP_MS(1), interrupt, arg);
    aloop_yield(loop);
    return 3;
}

static void an_interrupt_after_the_root_task_has_ended_changes_nothing(
    void **state)
{
    int number = SIGINT;

    (void) state;
    assert_int_equal(aloop_main_with(leaves_a_task, &number, &interruptible),
                     3);
    assert_int_equal(seen.status, ALOOP_ECANCELED);
}

static void signals_are_caught_only_if_the_option_is_set(void **state)
{
    aloop_options plain = {.size = sizeof plain};

    (void) state;
    assert_int_equal(aloop_main_with(sleeps_for_2_ms, NULL, &plain), 7);
    assert_false(seen.is_caught[0] || seen.is_caught[1]);
    assert_int_equal(aloop_main_with(sleeps_for_2_ms, NULL, NULL), 7);
    assert_false(seen.is_caught[0] || seen.is_caught[1]);
}

static void a_signal_that_cannot_be_caught_keeps_main_from_running(void **state)
{
    (void) state;
    seen.status = 1;
    for (unsigned nth = 1; nth <= 2; nth++) {
        sim_fail("aloop__sys_signal_catch", nth, -EINVAL);
        assert_int_equal(aloop_main_with(sleeps_for_2_ms, NULL, &interruptible),
                         ALOOP_EINVAL);
    }
    assert_int_equal(seen.status, 1);
    assert_false(sim_signal_caught(SIGINT) || sim_signal_caught(SIGTERM));
}

static ssize_t runs_main_with(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_main_with(sleeps_for_2_ms, arg, &interruptible);
}

static void main_returns_the_error_of_a_failed_wait(void **state)
{
    (void) state;
    sim_fail("aloop__reactor_wait", 1, ALOOP_EBADF);
    assert_int_equal(aloop_main(sleeps_for_2_ms, NULL), ALOOP_EBADF);
    assert_int_equal(seen.status, ALOOP_ECANCELED);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_options small = {.size = 1};
    aloop_options cut = {.size = offsetof(aloop_options, resize) + 1};

    (void) state;
    assert_int_equal(aloop_main_with(NULL, NULL, &interruptible), ALOOP_EINVAL);
    assert_int_equal(aloop_main_with(sleeps_for_2_ms, NULL, &small),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_main_with(sleeps_for_2_ms, NULL, &cut),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, runs_main_with, NULL)),
                     ALOOP_EDEADLK);
}

static aloop_future *kept;

static ssize_t is_awaited_by_another(aloop *loop, void *arg)
{
    (void) arg;
    seen.status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));
    aloop_future_unref(kept);
    return 0;
}

static ssize_t awaits_kept_future(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return aloop_await(aloop_future_ref(kept)) == ALOOP_ECANCELED ? 0 : 1;
}

static ssize_t leaves_two_tasks(aloop *loop, void *arg)
{
    (void) arg;
    kept = aloop_spawn(loop, is_awaited_by_another, NULL);
    aloop_detach(aloop_spawn(loop, awaits_kept_future, NULL));
    return aloop_yield(loop);
}

static void at_the_end_of_main_a_task_is_cancelled_after_its_waiter(
    void **state)
{
    (void) state;
    assert_int_equal(aloop_main(leaves_two_tasks, NULL), 0);
    assert_int_equal(seen.status, ALOOP_ECANCELED);
}

/* The cancelled task drops its reference to the sleep, which is cancelled
 * next. */
static ssize_t leaves_members_that_share(aloop *loop, void *arg)
{
    aloop_future *task;

    kept = aloop_sleep(loop, ALOOP_SEC(1000));
    task = aloop_spawn(loop, awaits_kept_future, NULL);
    aloop_yield(loop);
    *(int64_t *) arg = aloop_now(loop);
    aloop_detach(aloop_gather(loop, task, kept));
    return 0;
}

static void members_that_wait_for_each_other_are_cancelled_without_a_wait(
    void **state)
{
    int64_t start_ns;

    (void) state;
    assert_int_equal(aloop_main(leaves_members_that_share, &start_ns), 0);
    assert_true(aloop_now(t.loop) == start_ns);
}

static ssize_t leave_a_sleep(aloop *loop, void *arg)
{
    aloop_future *sleep = aloop_sleep(loop, ALOOP_SEC(60));

    (void) arg;
    assert_int_equal(aloop_then(sleep, note_status, NULL), 0);
    return 7;
}

static void main_does_not_wait_for_a_future_with_only_a_continuation(
    void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();

    (void) state;
    assert_int_equal(aloop_main(leave_a_sleep, NULL), 7);

    assert_noted(ALOOP_ECANCELED);
    assert_true(aloop__sys_clock_ns() - start_ns < ALOOP_SEC(60));
}

/* An operation, and the turns since it was cancelled. */
struct late {
    aloop_future *operation; /* NULL when it is settled. */
    int turns;
};

static void late_cancel(aloop_future *operation, void *arg)
{
    (void) operation;
    ((struct late *) arg)->turns = 1;
}

/* In the turn after that of the cancel, replaces the operation by a sleep. */
static int64_t replace_late(aloop_prepare *prepare, void *arg)
{
    struct late *late = arg;

    (void) prepare;
    if (late->turns == 0 || late->turns++ != 2)
        return -1;
    aloop_detach(aloop_sleep(aloop_current(), ALOOP_SEC(60)));
    assert_int_equal(aloop_operation_settle(late->operation, 0), 0);
    late->operation = NULL;
    return -1;
}

static ssize_t leave_a_prepare(aloop *loop, void *arg)
{
    struct late *late = arg;
    aloop_prepare *prepare;

    late->operation = aloop_operation_new(loop, late_cancel, late);
    aloop_detach(late->operation);
    return aloop_prepare_start(loop, replace_late, late, &prepare);
}

static void main_does_not_wait_for_a_future_that_a_prepare_has_made(
    void **state)
{
    int64_t start_ns = aloop__sys_clock_ns();
    struct late late = {NULL, 0};

    (void) state;
    assert_int_equal(aloop_main(leave_a_prepare, &late), 0);

    assert_null(late.operation);
    assert_true(aloop__sys_clock_ns() - start_ns < ALOOP_SEC(60));
}

static ssize_t stops_the_program(aloop *loop, void *arg)
{
    *(ssize_t *) arg = stops_and_cleans_up(loop, NULL);
    return 9;
}

static void a_stop_cancels_the_root_task(void **state)
{
    ssize_t status = 0;

    (void) state;
    assert_int_equal(aloop_main(stops_the_program, &status), 9);
    assert_int_equal(status, 7);
}

struct clean_up {
    ssize_t statuses[4];
    int64_t begin_ns, end_ns;
};

static ssize_t sleeps_and_returns_four(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_sleep(loop, MS));

    (void) arg;
    return status < 0 ? status : 4;
}

static ssize_t cleans_up_in_a_shield(aloop *loop, void *arg)
{
    struct clean_up *clean_up = arg;
    ssize_t *statuses = clean_up->statuses;

    clean_up->begin_ns = aloop_now(loop);
    statuses[0] = aloop_await(aloop_sleep(loop, ALOOP_SEC(9)));
    aloop_shield_begin();
    statuses[1] = aloop_await(aloop_sleep(loop, 5 * MS));
    statuses[2] = aloop_await(
        aloop_gather(loop, aloop_sleep(loop, 3 * MS),
                     aloop_timeout(aloop_sleep(loop, 2 * MS), ALOOP_SEC(1))));
    statuses[3] = aloop_await(aloop_spawn(loop, sleeps_and_returns_four, NULL));
    aloop_shield_end();
    clean_up->end_ns = aloop_now(loop);
    return 0;
}

static ssize_t leaves_a_clean_up(aloop *loop, void *arg)
{
    aloop_detach(aloop_spawn(loop, cleans_up_in_a_shield, arg));
    aloop_yield(loop);
    return 3;
}

static void main_waits_for_a_shielded_clean_up(void **state)
{
    struct clean_up clean_up = {{1, 1, 1, 1}, 0, 0};

    (void) state;
    assert_int_equal(aloop_main(leaves_a_clean_up, &clean_up), 3);

    assert_int_equal(clean_up.statuses[0], ALOOP_ECANCELED);
    assert_int_equal(clean_up.statuses[1], 0);
    assert_int_equal(clean_up.statuses[2], 0);
    assert_int_equal(clean_up.statuses[3], 4);
    assert_true(clean_up.end_ns - clean_up.begin_ns == 9 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_interrupt_cancels_the_root_task_and_the_next_is_not_caught),
        TEST(a_second_interrupt_is_not_caught_even_before_the_loop_runs),
        TEST(a_program_ends_although_its_last_close_is_cancelled),
        TEST(another_watch_of_the_signal_continues),
        TEST(without_an_interrupt_the_signals_are_caught_until_the_end),
        TEST(an_interrupt_after_the_root_task_has_ended_changes_nothing),
        TEST(signals_are_caught_only_if_the_option_is_set),
        TEST(a_signal_that_cannot_be_caught_keeps_main_from_running),
        TEST(main_returns_the_error_of_a_failed_wait),
        TEST(at_the_end_of_main_a_task_is_cancelled_after_its_waiter),
        TEST(members_that_wait_for_each_other_are_cancelled_without_a_wait),
        TEST(invalid_arguments_are_refused),
        TEST(main_does_not_wait_for_a_future_with_only_a_continuation),
        TEST(main_does_not_wait_for_a_future_that_a_prepare_has_made),
        TEST(a_stop_cancels_the_root_task),
        MEMORY_TEST(main_waits_for_a_shielded_clean_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
