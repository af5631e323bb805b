/* Operations that the application makes, seen by their users and makers. */

#include "support/memory_fixture.h"

/* A maker: what it knows of its work. */
static struct maker {
    aloop_future *operation; /* NULL after it was settled. */
    int cancels;
    int settled;           /* The result of the last settle. */
    bool is_settled_later; /* Not in on_cancel. */
    ssize_t status;        /* That on_cancel settles with. */
} maker;

static void settle(ssize_t status)
{
    maker.settled = aloop_operation_settle(maker.operation, status);
    maker.operation = NULL;
}

static void on_cancel(aloop_future *operation, void *arg)
{
    assert_ptr_equal(operation, maker.operation);
    assert_ptr_equal(arg, &maker);
    maker.cancels++;
    if (!maker.is_settled_later)
        settle(maker.status);
}

/* Makes the operation that `maker` is about. */
static aloop_future *make(void)
{
    maker = (struct maker){.settled = -1, .status = ALOOP_ECANCELED};
    maker.operation = aloop_operation_new(t.loop, on_cancel, &maker);
    assert_non_null(maker.operation);
    return maker.operation;
}

static void settle_7(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    settle(7);
}

static void on_work_done(aloop_timer *timer, void *arg)
{
    (void) arg;
    aloop_timer_close(timer);
    if (maker.operation != NULL)
        settle(7);
}

static void work_until(int64_t delay_ns)
{
    aloop_timer *timer;

    aloop_timer_start(t.loop, delay_ns, 0, on_work_done, NULL, &timer);
}

static void an_operation_settles_with_the_status_of_its_maker(void **state)
{
    (void) state;
    make();
    work_until(5 * MS);
    assert_int_equal(aloop_await(maker.operation), 7);
    assert_int_equal(maker.settled, 0);
    assert_int_equal(maker.cancels, 0);
}

static void settling_runs_nothing_inline(void **state)
{
    (void) state;
    aloop_then(make(), note_status, NULL);
    settle(3);
    assert_int_equal(t.noted, 0);
    aloop_run(t.loop);
    assert_noted(3);
}

static void a_pending_operation_keeps_the_loop_alive(void **state)
{
    aloop_future *operation = make();

    (void) state;
    assert_true(aloop_alive(t.loop));
    settle(0);
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_future_status(operation), 0);
    aloop_future_unref(operation);
}

static void a_cancel_asks_the_maker_once_inside_the_call(void **state)
{
    aloop_future *operation = make();

    (void) state;
    maker.is_settled_later = true;
    assert_int_equal(aloop_cancel(operation), 1);
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(aloop_cancel(operation), 1);
    turns(3);
    assert_int_equal(maker.cancels, 1);
    assert_false(aloop_future_is_settled(operation));
    settle(ALOOP_ECANCELED);
    assert_int_equal(aloop_cancel(operation), 0);
    assert_int_equal(aloop_future_status(operation), ALOOP_ECANCELED);
    aloop_future_unref(operation);
}

static void dropping_the_last_reference_asks_the_maker(void **state)
{
    aloop_future *operation = make();

    (void) state;
    aloop_future_ref(operation);
    aloop_future_unref(operation);
    assert_int_equal(maker.cancels, 0);
    aloop_future_unref(operation);
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(maker.settled, 0);
    assert_false(aloop_alive(t.loop));
}

static void a_dropped_operation_is_valid_until_it_is_settled(void **state)
{
    (void) state;
    make();
    maker.is_settled_later = true;
    aloop_future_unref(maker.operation);
    assert_true(aloop_alive(t.loop));
    assert_false(aloop_future_is_settled(maker.operation));
    assert_int_equal(aloop_cancel(maker.operation), 1);
    work_until(5 * MS);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(maker.settled, 0);
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(t.unhandled, 0);
}

static void a_detached_operation_continues_without_an_owner(void **state)
{
    (void) state;
    make();
    aloop_detach(maker.operation);
    work_until(5 * MS);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(maker.cancels, 0);
    assert_int_equal(maker.settled, 0);
}

static void an_error_that_no_code_reads_is_reported(void **state)
{
    (void) state;
    make();
    aloop_detach(maker.operation);
    settle(ALOOP_EPIPE);
    turns(1);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);

    make();
    maker.status = ALOOP_ECONNRESET; /* The clean-up has failed. */
    aloop_future_unref(maker.operation);
    turns(1);
    assert_int_equal(t.unhandled, 2);
    assert_int_equal(t.unhandled_error, ALOOP_ECONNRESET);

    make();
    aloop_future_unref(maker.operation);
    turns(1);
    assert_int_equal(t.unhandled, 2);
}

static void work_that_completes_in_spite_of_a_cancel_has_succeeded(void **state)
{
    aloop_future *operation = make();

    (void) state;
    maker.status = 12;
    aloop_cancel(operation);
    assert_int_equal(aloop_await(operation), 12);
}

static void a_cancel_of_an_operation_without_on_cancel_waits(void **state)
{
    aloop_future *operation = make();

    (void) state;
    maker.operation = aloop_operation_new(t.loop, NULL, NULL);
    assert_int_equal(aloop_cancel(maker.operation), 1);
    assert_false(aloop_future_is_settled(maker.operation));
    work_until(5 * MS);
    assert_int_equal(aloop_await(aloop_timeout(maker.operation, MS)), 7);
    aloop_operation_settle(operation, 0);
    aloop_future_unref(operation);

    maker.operation = aloop_operation_new(t.loop, NULL, NULL);
    aloop_future_unref(maker.operation);
    turns(2);
    settle(0);
    assert_int_equal(maker.settled, 0);
}

static void an_operation_is_settled_once(void **state)
{
    aloop_future *operation = make();

    (void) state;
    settle(1);
    assert_int_equal(aloop_operation_settle(operation, 2), ALOOP_EALREADY);
    assert_int_equal(aloop_await(operation), 1);
}

static void only_operations_are_settled(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop), *operation = make();

    (void) state;
    assert_int_equal(aloop_operation_settle(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_operation_settle(promise, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_future_resolve(operation, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_operation_settle(operation, ALOOP_PENDING),
                     ALOOP_EINVAL);
    aloop_future_unref(promise);
    aloop_future_unref(operation);
    operation = aloop_operation_new(NULL, on_cancel, NULL);
    assert_int_equal(aloop_operation_settle(operation, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_await(operation), ALOOP_EINVAL);
}

static void an_operation_without_memory_is_null(void **state)
{
    int count = 0;

    (void) state;
    memory.is_out = true;
    while (count < 1000 && aloop_operation_new(t.loop, NULL, NULL) != NULL)
        count++;
    assert_true(count < 1000);
    memory.is_out = false;
}

/* What waits for an operation. */

static void a_timeout_ends_when_the_maker_has_settled(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    make();
    assert_int_equal(aloop_await(aloop_timeout(maker.operation, 3 * MS)),
                     ALOOP_ETIMEDOUT);
    assert_true(aloop_now(t.loop) - begin == 3 * MS);
    assert_int_equal(maker.cancels, 1);

    make();
    maker.is_settled_later = true;
    work_until(10 * MS);
    assert_int_equal(aloop_await(aloop_timeout(maker.operation, 3 * MS)), 7);
    assert_true(aloop_now(t.loop) - begin == 13 * MS);
    assert_int_equal(maker.cancels, 1);
}

/* Lends a variable on its stack to the maker. */
static ssize_t lends_its_stack(aloop *loop, void *arg)
{
    int **lent = arg, local = 1;
    ssize_t status;

    (void) loop;
    *lent = &local;
    status = aloop_await(make());
    *lent = NULL;
    return status + local;
}

static void use_lent(aloop_timer *timer, void *arg)
{
    int **lent = arg;

    aloop_timer_close(timer);
    assert_non_null(*lent);
    **lent = 0;
    settle(ALOOP_ECANCELED);
}

static void a_cancelled_task_waits_for_the_maker(void **state)
{
    static int *lent;
    aloop_future *task = aloop_spawn(t.loop, lends_its_stack, &lent);
    aloop_timer *timer;

    (void) state;
    turns(1);
    maker.is_settled_later = true;
    assert_int_equal(aloop_cancel(task), 1);
    assert_int_equal(maker.cancels, 1);
    aloop_timer_start(t.loop, 5 * MS, 0, use_lent, &lent, &timer);
    aloop_run(t.loop);
    assert_null(lent);
    assert_int_equal(aloop_future_status(task), ALOOP_ECANCELED);
    aloop_future_unref(task);
}

static ssize_t waits_within_a_deadline(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, 3 * MS);
    ssize_t status = aloop_await(make());

    (void) arg;
    note(aloop_deadline_end(deadline));
    return status;
}

static void a_deadline_ends_an_operation(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, waits_within_a_deadline, NULL)),
        ALOOP_ETIMEDOUT);
    assert_noted(1);
    assert_int_equal(maker.cancels, 1);
}

static void an_operation_that_others_cancel_is_aborted(void **state)
{
    aloop_future *operation = make();

    (void) state;
    aloop_cancel(operation);
    assert_int_equal(aloop_await(operation), ALOOP_EABORTED);
    operation = make();
    settle(ALOOP_ECANCELED);
    assert_int_equal(aloop_await(operation), ALOOP_EABORTED);
}

static void the_losers_of_a_composition_are_cancelled(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_gather(
            t.loop, aloop_future_new_settled(t.loop, ALOOP_EPIPE), make())),
        ALOOP_EPIPE);
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(aloop_await(aloop_race(
                         t.loop, aloop_future_new_settled(t.loop, 4), make())),
                     4);
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(
        aloop_await(aloop_any(t.loop, make(), aloop_sleep(t.loop, MS))), 0);
    assert_int_equal(maker.cancels, 1);
}

/* The gather has no memory.  The caller still waits for the operation. */
static void a_composition_out_of_memory_waits_for_the_maker(void **state)
{
    aloop_future *members[2] = {make(), aloop_sleep(t.loop, MS)};
    aloop_future *gather;

    (void) state;
    maker.is_settled_later = true;
    while (aloop_operation_new(t.loop, NULL, NULL) != NULL)
        memory.is_out = true;
    gather = aloop_gather_array(t.loop, 2, members);
    memory.is_out = false;
    assert_false(aloop_future_is_settled(gather));
    turns(2);
    assert_int_equal(maker.cancels, 1);
    assert_false(aloop_future_is_settled(gather));
    settle(ALOOP_ECANCELED);
    assert_int_equal(aloop_await(gather), ALOOP_ENOMEM);
}

/* Nested calls, and what on_cancel must not do. */

static aloop_future *inner;

static void note_cancel(aloop_future *operation, void *arg)
{
    note((int) (intptr_t) arg);
    aloop_operation_settle(operation, ALOOP_ECANCELED);
}

static void cancel_inner(aloop_future *operation, void *arg)
{
    note_cancel(operation, arg);
    aloop_cancel(inner);
    note(9);
}

static void a_cancel_by_a_maker_takes_effect_in_the_next_turn(void **state)
{
    aloop_future *outer = aloop_operation_new(t.loop, cancel_inner, as_arg(1));

    (void) state;
    inner = aloop_operation_new(t.loop, note_cancel, as_arg(2));
    aloop_cancel(outer);
    assert_noted(1, 9);
    turns(1);
    assert_noted(1, 9, 2);
    aloop_future_unref(outer);
    aloop_future_unref(inner);
}

static void settle_inner(aloop_future *operation, void *arg)
{
    note_cancel(operation, arg);
    assert_int_equal(aloop_operation_settle(inner, 5), 0);
}

static void a_maker_that_has_settled_is_not_notified(void **state)
{
    aloop_future *outer = aloop_operation_new(t.loop, settle_inner, as_arg(1));
    aloop_future *gather;

    (void) state;
    inner = aloop_operation_new(t.loop, note_cancel, as_arg(2));
    gather = aloop_gather(t.loop, outer, aloop_future_ref(inner));
    aloop_cancel(gather);
    assert_noted(1);
    turns(2);
    assert_noted(1);
    assert_int_equal(aloop_future_status(inner), 5);
    aloop_future_unref(inner);
    aloop_future_unref(gather);
}

static ssize_t awaits_in_on_cancel(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, MS));
}

static void do_what_is_refused(aloop_future *operation, void *arg)
{
    assert_ptr_equal(aloop_current(), t.loop);
    assert_null(aloop_current_task());
    assert_int_equal(aloop_run(t.loop), ALOOP_EBUSY);
    assert_int_equal(aloop_step(t.loop, 0), ALOOP_EBUSY);
    assert_int_equal(aloop_free(t.loop), ALOOP_EBUSY);
    assert_int_equal(awaits_in_on_cancel(t.loop, NULL), ALOOP_EDEADLK);
    note_cancel(operation, arg);
}

static ssize_t drops_an_operation(aloop *loop, void *arg)
{
    aloop_future_unref(
        aloop_operation_new(loop, do_what_is_refused, as_arg(2)));
    (void) arg;
    return aloop_await(aloop_sleep(loop, MS));
}

static void a_maker_can_neither_run_the_loop_nor_await(void **state)
{
    (void) state;
    aloop_future_unref(
        aloop_operation_new(t.loop, do_what_is_refused, as_arg(1)));
    assert_noted(1);
    assert_null(aloop_current());
    assert_int_equal(aloop_await(aloop_spawn(t.loop, drops_an_operation, NULL)),
                     0);
    assert_noted(1, 2);
}

static void stop_the_loop(aloop_future *operation, void *arg)
{
    note_cancel(operation, arg);
    aloop_stop(t.loop);
}

static void a_stop_by_a_maker_ends_the_run(void **state)
{
    (void) state;
    work_until(MS);
    aloop_future_unref(aloop_operation_new(t.loop, stop_the_loop, as_arg(1)));
    assert_int_equal(aloop_run(t.loop), 1); /* It applied to this run. */
    aloop_then(
        aloop_timeout(aloop_operation_new(t.loop, stop_the_loop, as_arg(2)), 0),
        note_status, NULL);
    assert_int_equal(aloop_run(t.loop), 1);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1, 2, ALOOP_ETIMEDOUT);
}

static void a_continuation_that_is_removed_can_end_an_operation(void **state)
{
    (void) state;
    aloop_then(make(), note_status, NULL);
    assert_int_equal(aloop_unthen(maker.operation, note_status, NULL), 1);
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(t.noted, 0);
}

static void a_host_is_woken_for_a_cancel_by_the_library(void **state)
{
    int fd = aloop_fd(t.loop);
    aloop_future *task;

    (void) state;
    aloop_future_unref(make());
    assert_false(sim_fd_readable(fd)); /* The maker was notified already. */
    task = aloop_timeout(make(), MS);
    assert_true(sim_poll(fd, -1));
    while (maker.cancels == 0 && sim_fd_readable(fd))
        aloop_step(t.loop, 0);
    assert_int_equal(maker.cancels, 1);
    aloop_detach(task);
}

/* The end of a loop. */

static void the_end_of_the_loop_asks_the_makers(void **state)
{
    (void) state;
    make();
    aloop_detach(maker.operation);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(maker.settled, 0);
}

static void settle_in_the_next_turn(aloop_future *operation, void *arg)
{
    (void) operation;
    (void) arg;
    maker.cancels++;
    aloop_defer(t.loop, settle_7, NULL);
}

static void a_maker_may_settle_in_a_later_turn_of_the_end(void **state)
{
    static int *lent;
    aloop_future *task = aloop_spawn(t.loop, lends_its_stack, &lent);

    (void) state;
    turns(1);
    maker.is_settled_later = true;
    aloop_detach(task);
    maker.cancels = 0;
    aloop_then(aloop_operation_new(t.loop, settle_in_the_next_turn, NULL),
               note_status, NULL);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(maker.cancels, 2);
    assert_int_equal(maker.settled, 0);
    assert_null(lent); /* The task has ended. */
}

static void an_operation_that_is_never_settled_leaves_no_memory(void **state)
{
    (void) state;
    make();
    maker.is_settled_later = true;
    aloop_detach(maker.operation);
    aloop_then(aloop_operation_new(t.loop, NULL, NULL), note_status, NULL);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(maker.cancels, 1);
    assert_int_equal(memory.bytes, 0);
}

static void a_forked_child_asks_no_maker(void **state)
{
    (void) state;
    make();
    sim_fork();
    aloop_cancel(maker.operation);
    assert_int_equal(maker.cancels, 0);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    turns(1);
    assert_int_equal(maker.cancels, 1);

    aloop_detach(make());
    sim_fork();
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(maker.cancels, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_operation_settles_with_the_status_of_its_maker),
        TEST(settling_runs_nothing_inline),
        TEST(a_pending_operation_keeps_the_loop_alive),
        TEST(a_cancel_asks_the_maker_once_inside_the_call),
        TEST(dropping_the_last_reference_asks_the_maker),
        TEST(a_dropped_operation_is_valid_until_it_is_settled),
        TEST(a_detached_operation_continues_without_an_owner),
        TEST(an_error_that_no_code_reads_is_reported),
        TEST(work_that_completes_in_spite_of_a_cancel_has_succeeded),
        TEST(a_cancel_of_an_operation_without_on_cancel_waits),
        TEST(an_operation_is_settled_once),
        TEST(only_operations_are_settled),
        MEMORY_TEST(an_operation_without_memory_is_null),
        TEST(a_timeout_ends_when_the_maker_has_settled),
        TEST(a_cancelled_task_waits_for_the_maker),
        TEST(a_deadline_ends_an_operation),
        TEST(an_operation_that_others_cancel_is_aborted),
        TEST(the_losers_of_a_composition_are_cancelled),
        MEMORY_TEST(a_composition_out_of_memory_waits_for_the_maker),
        TEST(a_cancel_by_a_maker_takes_effect_in_the_next_turn),
        TEST(a_maker_that_has_settled_is_not_notified),
        TEST(a_maker_can_neither_run_the_loop_nor_await),
        TEST(a_stop_by_a_maker_ends_the_run),
        TEST(a_continuation_that_is_removed_can_end_an_operation),
        TEST(a_host_is_woken_for_a_cancel_by_the_library),
        TEST(the_end_of_the_loop_asks_the_makers),
        TEST(a_maker_may_settle_in_a_later_turn_of_the_end),
        MEMORY_TEST(an_operation_that_is_never_settled_leaves_no_memory),
        TEST(a_forked_child_asks_no_maker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
