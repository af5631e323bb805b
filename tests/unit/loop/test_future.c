/* Futures: promises, continuations, references, unhandled errors. */

#include "support/fixture.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static void on_settled(aloop_future *future, ssize_t status, void *arg)
{
    assert_true(aloop_future_is_settled(future));
    t.calls++;
    note((int) (intptr_t) arg);
    note((int) status);
}

static void a_new_promise_is_pending(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_false(aloop_future_is_settled(promise));
    assert_int_equal(aloop_future_status(promise), ALOOP_PENDING);
    assert_int_equal(aloop_cancel(promise), 1);
    assert_int_equal(aloop_future_status(promise), ALOOP_ECANCELED);
    aloop_future_unref(promise);
}

static void a_promise_settles_once(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_int_equal(aloop_future_resolve(promise, 7), 0);
    assert_int_equal(aloop_future_resolve(promise, 8), ALOOP_EALREADY);
    assert_int_equal(aloop_cancel(promise), 0);
    assert_int_equal(aloop_future_status(promise), 7);
    aloop_future_unref(promise);
}

static void settling_runs_no_continuation_inside_the_call(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_int_equal(
        aloop_then(aloop_future_ref(promise), on_settled, as_arg(1)), 0);
    aloop_future_resolve(promise, 5);
    assert_int_equal(t.calls, 0);
    aloop_step(t.loop, 0);
    assert_noted(1, 5);
    aloop_future_unref(promise);
}

static void continuations_run_in_the_order_of_registration(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    for (int i = 1; i <= 3; i++)
        aloop_then(aloop_future_ref(promise), on_settled, as_arg(i));
    aloop_future_resolve(promise, 0);
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(4));
    aloop_run(t.loop);
    assert_noted(1, 0, 2, 0, 3, 0, 4, 0);
    aloop_future_unref(promise);
}

static void then_on_a_settled_future_runs_in_the_next_turn(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_then(aloop_future_new_settled(t.loop, 3), on_settled, as_arg(1)),
        0);
    assert_int_equal(t.calls, 0);
    assert_true(aloop_alive(t.loop));
    aloop_step(t.loop, 0);
    assert_noted(1, 3);
}

static void then_owns_the_reference_it_was_given(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_then(aloop_sleep(t.loop, ALOOP_MS(1)), on_settled, as_arg(1)), 0);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(1, 0);
}

static void dropping_the_last_reference_cancels_an_operation(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));

    (void) state;
    assert_true(aloop_alive(t.loop));
    aloop_future_ref(sleep);
    aloop_future_unref(sleep);
    assert_true(aloop_alive(t.loop));
    aloop_future_unref(sleep);
    assert_false(aloop_alive(t.loop));
}

static void a_detached_operation_finishes_alone(void **state)
{
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_detach(aloop_sleep(t.loop, ALOOP_SEC(1)));
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) - begin == ALOOP_SEC(1));
}

static void a_cancelled_operation_settles_with_ecanceled(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));

    (void) state;
    assert_int_equal(aloop_cancel(sleep), 1);
    assert_int_equal(aloop_future_status(sleep), ALOOP_ECANCELED);
    assert_int_equal(aloop_cancel(sleep), 0);
    aloop_future_unref(sleep);
    assert_int_equal(t.unhandled, 0);
}

static void an_unhandled_error_is_reported_once(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    assert_int_equal(t.unhandled, 0); /* The hook runs in a turn. */
    assert_true(aloop_alive(t.loop));
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_EPIPE);
    assert_string_equal(t.unhandled_what, "promise");
}

static void a_handled_error_is_not_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_future_resolve(promise, ALOOP_EPIPE);
    assert_int_equal(aloop_future_status(promise), ALOOP_EPIPE);
    aloop_future_unref(promise);
    promise = aloop_future_new(t.loop);
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 0);
}

static void fail_again(aloop *loop, int error, const char *what, void *arg)
{
    aloop_future *promise = aloop_future_new(loop);

    (void) what;
    (void) arg;
    t.unhandled++;
    aloop_future_resolve(promise, error);
    aloop_future_unref(promise);
}

static void a_hook_that_causes_errors_is_called_once_per_turn(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = fail_again};
    aloop *loop = aloop_new(&options);

    (void) state;
    fail_again(loop, ALOOP_EPIPE, NULL, NULL);
    t.unhandled = 0;
    for (int i = 1; i <= 3; i++) {
        aloop_step(loop, 0);
        assert_int_equal(t.unhandled, i);
    }
    aloop_free(loop);
}

static void the_error_of_a_detached_future_is_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_future_ref(promise);
    aloop_detach(promise);
    aloop_future_resolve(promise, ALOOP_EPIPE);
    aloop_future_unref(promise);
    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 1);
}

static void a_null_future_has_the_status_enomem(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(NULL), ALOOP_ENOMEM);
    assert_int_equal(aloop_future_status(NULL), ALOOP_ENOMEM);
    assert_true(aloop_future_is_settled(NULL));
    assert_int_equal(aloop_then(NULL, on_settled, NULL), ALOOP_ENOMEM);
    assert_int_equal(aloop_cancel(NULL), 0);
    assert_null(aloop_future_ref(NULL));
    aloop_future_unref(NULL);
    aloop_detach(NULL);
    assert_null(aloop_timeout(NULL, 1));
    assert_int_equal(aloop_future_resolve(NULL, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 0);
}

static void misuse_gives_a_failed_future(void **state)
{
    aloop_future *future = aloop_future_new(NULL);

    (void) state;
    assert_int_equal(aloop_future_status(future), ALOOP_EINVAL);
    assert_ptr_equal(aloop_future_ref(future), future);
    aloop_future_unref(future);
    aloop_detach(future);
    assert_int_equal(aloop_cancel(future), 0);
    assert_int_equal(aloop_then(future, on_settled, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_await(future), ALOOP_EINVAL);
    assert_int_equal(aloop_future_status(
                         aloop_future_new_settled(t.loop, ALOOP_PENDING)) < 0,
                     1);
    assert_int_equal(aloop_then(aloop_future_new(t.loop), NULL, NULL),
                     ALOOP_EINVAL);
}

static void only_promises_can_be_resolved(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, 1);
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_int_equal(aloop_future_resolve(sleep, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_future_resolve(promise, ALOOP_PENDING),
                     ALOOP_EINVAL);
    aloop_future_unref(sleep);
    aloop_future_unref(promise);
}

static void a_pending_promise_does_not_keep_the_loop_alive(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_run(t.loop), 0);
    aloop_future_unref(promise);
}

/* No owner is left that could settle the promise, so its waiters must be
 * notified. */
static void a_promise_without_an_owner_fails(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    assert_false(aloop_future_is_settled(promise));
    aloop_future_unref(promise);
    aloop_run(t.loop);
    assert_noted(1, ALOOP_ECANCELED); /* The last owner has dropped it. */

    aloop_then(aloop_future_new(t.loop), on_settled, as_arg(2));
    aloop_run(t.loop);
    assert_noted(1, ALOOP_ECANCELED, 2, ALOOP_EDEADLK);
}

/* Owners and observers. */

static void dropping_the_last_owner_cancels_an_observed_operation(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));

    (void) state;
    aloop_then(aloop_future_ref(sleep), on_settled, as_arg(1));
    aloop_then(aloop_future_ref(sleep), on_settled, as_arg(2));
    aloop_future_unref(sleep);
    aloop_step(t.loop, 0);
    assert_noted(1, ALOOP_ECANCELED, 2, ALOOP_ECANCELED);
    assert_false(aloop_alive(t.loop));
}

static void an_operation_that_only_continuations_refer_to_continues(
    void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));

    (void) state;
    aloop_then(aloop_future_ref(sleep), on_settled, as_arg(1));
    aloop_then(sleep, on_settled, as_arg(2));
    aloop_run(t.loop);
    assert_noted(1, 0, 2, 0);
}

/* The operation writes into this function's stack until it has ended. */
static ssize_t observes_and_awaits(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, ALOOP_MS(5));
    aloop_channel *channel = arg;
    int item = 0;
    aloop_future *receive = aloop_channel_receive(channel, &item);
    ssize_t status;

    aloop_then(aloop_future_ref(receive), on_settled, as_arg(1));
    status = aloop_await(receive);
    aloop_deadline_end(deadline);
    assert_int_equal(item, 0);
    return status;
}

static void an_await_that_times_out_cancels_an_observed_operation(void **state)
{
    aloop_channel *channel = aloop_channel_new(t.loop, sizeof(int), 1);
    int item = 7;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, observes_and_awaits, channel)),
        ALOOP_ETIMEDOUT);
    aloop_channel_try_send(channel, &item);
    /* No operation has received it. */
    assert_int_equal(aloop_channel_count(channel), 1);
    aloop_run(t.loop);
    assert_noted(1, ALOOP_ECANCELED);
    aloop_channel_free(channel);
}

static void a_continuation_can_be_removed(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    for (int i = 1; i <= 4; i++)
        aloop_then(aloop_future_ref(promise), on_settled, as_arg(i));
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(2)), 1);
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(2)), 0);
    aloop_future_resolve(promise, 0);
    /* A continuation that is due, but was not called yet, can also be
     * removed. */
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(4)), 1);
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(1)), 1);
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(5));
    aloop_run(t.loop);
    assert_noted(3, 0, 5, 0);
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(3)), 0);
    aloop_future_unref(promise);
}

static void removing_one_of_two_equal_continuations_leaves_one(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(1)), 1);
    aloop_future_resolve(promise, 3);
    aloop_future_unref(promise);
    aloop_run(t.loop);
    assert_noted(1, 3);
}

static void removing_the_last_continuation_cancels_the_operation(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, ALOOP_SEC(1));

    (void) state;
    aloop_then(aloop_future_ref(sleep), on_settled, as_arg(1));
    aloop_then(sleep, on_settled, as_arg(2));
    assert_int_equal(aloop_unthen(sleep, on_settled, as_arg(1)), 1);
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_unthen(sleep, on_settled, as_arg(2)), 1);
    assert_false(aloop_alive(t.loop));
    aloop_run(t.loop);
    assert_int_equal(t.noted, 0);
}

/* Returns a promise that has failed.  With 0 a continuation was attached before
 * the failure, with 1 after it. */
static aloop_future *failed_with_a_continuation(int i)
{
    aloop_future *promise = aloop_future_new(t.loop);

    if (i == 0)
        aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    aloop_future_resolve(promise, ALOOP_EBUSY);
    if (i == 1)
        aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    return promise;
}

static void an_error_whose_continuation_was_removed_is_reported(void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        aloop_future *promise = failed_with_a_continuation(i);

        assert_int_equal(aloop_unthen(promise, on_settled, as_arg(1)), 1);
        aloop_future_unref(promise);
        aloop_step(t.loop, 0);

        assert_int_equal(t.unhandled, i + 1);
        assert_int_equal(t.unhandled_error, ALOOP_EBUSY);
    }
    assert_int_equal(t.noted, 0);
}

static void removing_a_continuation_does_not_report_a_handled_error(
    void **state)
{
    aloop_future *promise;

    (void) state;
    promise = failed_with_a_continuation(0);
    assert_int_equal(aloop_future_status(promise), ALOOP_EBUSY);
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(1)), 1);
    aloop_future_unref(promise);

    promise = failed_with_a_continuation(0); /* Another continuation remains. */
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(2));
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(1)), 1);
    aloop_future_unref(promise);

    /* A gather has handled the error. */
    promise = failed_with_a_continuation(2);
    assert_int_equal(
        aloop_await(aloop_gather(t.loop, aloop_future_ref(promise))),
        ALOOP_EBUSY);
    aloop_then(aloop_future_ref(promise), on_settled, as_arg(1));
    assert_int_equal(aloop_unthen(promise, on_settled, as_arg(1)), 1);
    aloop_future_unref(promise);

    aloop_run(t.loop);
    assert_int_equal(t.unhandled, 0);
    assert_noted(2, ALOOP_EBUSY);
}

static ssize_t fails(aloop *loop, void *arg)
{
    aloop_future **ret_task = arg;

    (void) loop;
    if (ret_task != NULL)
        *ret_task = aloop_future_ref(aloop_current_task());
    return ALOOP_EBUSY;
}

static void removing_a_continuation_does_not_report_a_groups_error(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    aloop_future *second = NULL;

    (void) state;
    assert_int_equal(aloop_group_spawn(group, fails, NULL), 0);
    assert_int_equal(aloop_group_spawn(group, fails, &second), 0);
    assert_int_equal(aloop_await(aloop_group_wait(group)), ALOOP_EBUSY);

    aloop_then(aloop_future_ref(second), on_settled, as_arg(1));
    assert_int_equal(aloop_unthen(second, on_settled, as_arg(1)), 1);
    aloop_future_unref(second);
    aloop_group_free(group);
    aloop_run(t.loop);

    assert_int_equal(t.unhandled, 0);
}

static void nothing_can_be_removed_from_an_invalid_future(void **state)
{
    (void) state;
    assert_int_equal(aloop_unthen(NULL, on_settled, NULL), 0);
    assert_int_equal(aloop_unthen(aloop_future_new(NULL), on_settled, NULL), 0);
}

static void removes_itself(aloop_future *future, ssize_t status, void *arg)
{
    (void) status;
    t.calls++;
    assert_int_equal(aloop_unthen(future, removes_itself, arg), 0);
}

static void a_running_continuation_cannot_be_removed(void **state)
{
    (void) state;
    aloop_then(aloop_future_new_settled(t.loop, 0), removes_itself, NULL);
    aloop_run(t.loop);
    assert_int_equal(t.calls, 1);
}

static void free_cancels_pending_futures_and_runs_continuations(void **state)
{
    (void) state;
    aloop_then(aloop_sleep(t.loop, ALOOP_SEC(9)), on_settled, as_arg(1));
    aloop_then(aloop_future_ref(aloop_future_new(t.loop)), on_settled,
               as_arg(2));
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    assert_noted(1, ALOOP_ECANCELED, 2, ALOOP_ECANCELED);
}

static void every_error_has_a_name_and_a_sentence(void **state)
{
    (void) state;
    assert_string_equal(aloop_strerror(ALOOP_ECONNREFUSED),
                        "connection refused");
    assert_string_equal(aloop_error_name(ALOOP_ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(aloop_error_name(ALOOP_EOF), "EOF");
    assert_string_equal(aloop_strerror(0), "success");
    assert_string_equal(aloop_strerror(17), "success");
    assert_string_equal(aloop_strerror(-99999), "unknown error");
    assert_string_equal(aloop_error_name(-99999), "EUNKNOWN");
    for (int error = ALOOP_EOF; error <= ALOOP_EMISUSE; error++)
        assert_string_not_equal(aloop_error_name(error), "EUNKNOWN");
    assert_string_equal(aloop_version(), "0.1.0");
}

static void a_status_of_any_size_has_a_name(void **state)
{
    (void) state;
    assert_string_equal(aloop_error_name(PTRDIFF_MAX), "OK");
    assert_string_equal(aloop_error_name(-PTRDIFF_MAX - 1), "EUNKNOWN");
#if PTRDIFF_MAX > INT_MAX
    /* Truncated to an int, this would be EPERM. */
    assert_string_equal(aloop_error_name(-((ssize_t) UINT_MAX + 1) - EPERM),
                        "EUNKNOWN");
#endif
}

/* Other systems and some processors have other numbers and gaps. */
static void every_errno_of_linux_has_a_name_and_a_sentence(void **state)
{
    (void) state;
    assert_string_equal(aloop_error_name(-ENOTEMPTY), "ENOTEMPTY");
    assert_string_equal(aloop_strerror(-ENOTEMPTY), "directory not empty");
#if defined(__linux__) && EHWPOISON == 133 && EDEADLOCK == EDEADLK
    for (int number = 1; number <= EHWPOISON; number++) {
        bool is_gap = number == 41 || number == 58;
        bool has_name = strcmp(aloop_error_name(-number), "EUNKNOWN") != 0;
        bool has_text = strcmp(aloop_strerror(-number), "unknown error") != 0;

        assert_int_equal(has_name, !is_gap);
        assert_int_equal(has_text, !is_gap);
    }
#else
    skip();
#endif
}

static void note_failed(aloop_future *future, ssize_t status, void *arg)
{
    assert_ptr_equal(future, arg);
    t.calls++;
    note((int) status);
}

static void attach_to_failed(aloop *loop, void *arg)
{
    aloop_future *misuse = aloop_sleep(NULL, 1);

    (void) loop;
    (void) arg;
    assert_int_equal(aloop_then(NULL, note_failed, NULL), 0);
    assert_int_equal(aloop_then(misuse, note_failed, misuse), 0);
    assert_int_equal(aloop_then(NULL, NULL, NULL), ALOOP_EINVAL);
    assert_int_equal(t.calls, 0); /* The callback never runs inside the call. */
}

static void a_continuation_of_an_invalid_future_gets_its_error(void **state)
{
    (void) state;
    assert_int_equal(aloop_then(NULL, note_failed, NULL), ALOOP_ENOMEM);
    assert_int_equal(aloop_then(aloop_sleep(NULL, 1), note_failed, NULL),
                     ALOOP_EINVAL);
    aloop_defer(t.loop, attach_to_failed, NULL);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(ALOOP_ENOMEM, ALOOP_EINVAL);
}

static void invalid_arguments_give_a_failed_future(void **state)
{
    ssize_t items[2] = {0, 0};

    (void) state;
    assert_int_equal(aloop_await(aloop_sleep(NULL, MS)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_sleep_until(NULL, 0)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_future_new_settled(NULL, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_future_new_settled(t.loop, ALOOP_PENDING)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_map(NULL, just_return, items, 2, sizeof *items, 0)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_map(t.loop, NULL, items, 2, sizeof *items, 0)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_map(t.loop, just_return, NULL, 2, 1, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_yield(NULL), ALOOP_EINVAL);
    assert_int_equal(t.noted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_promise_is_pending),
        TEST(a_promise_settles_once),
        TEST(settling_runs_no_continuation_inside_the_call),
        TEST(continuations_run_in_the_order_of_registration),
        TEST(then_on_a_settled_future_runs_in_the_next_turn),
        TEST(then_owns_the_reference_it_was_given),
        TEST(dropping_the_last_reference_cancels_an_operation),
        TEST(a_detached_operation_finishes_alone),
        TEST(a_cancelled_operation_settles_with_ecanceled),
        TEST(an_unhandled_error_is_reported_once),
        TEST(a_handled_error_is_not_reported),
        TEST(a_hook_that_causes_errors_is_called_once_per_turn),
        TEST(the_error_of_a_detached_future_is_reported),
        TEST(a_null_future_has_the_status_enomem),
        TEST(misuse_gives_a_failed_future),
        TEST(only_promises_can_be_resolved),
        TEST(a_pending_promise_does_not_keep_the_loop_alive),
        TEST(a_promise_without_an_owner_fails),
        TEST(dropping_the_last_owner_cancels_an_observed_operation),
        TEST(an_operation_that_only_continuations_refer_to_continues),
        TEST(an_await_that_times_out_cancels_an_observed_operation),
        TEST(a_continuation_can_be_removed),
        TEST(removing_one_of_two_equal_continuations_leaves_one),
        TEST(removing_the_last_continuation_cancels_the_operation),
        TEST(an_error_whose_continuation_was_removed_is_reported),
        TEST(removing_a_continuation_does_not_report_a_handled_error),
        TEST(removing_a_continuation_does_not_report_a_groups_error),
        TEST(nothing_can_be_removed_from_an_invalid_future),
        TEST(a_running_continuation_cannot_be_removed),
        TEST(free_cancels_pending_futures_and_runs_continuations),
        TEST(every_error_has_a_name_and_a_sentence),
        TEST(a_status_of_any_size_has_a_name),
        TEST(every_errno_of_linux_has_a_name_and_a_sentence),
        TEST(a_continuation_of_an_invalid_future_gets_its_error),
        TEST(invalid_arguments_give_a_failed_future),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
