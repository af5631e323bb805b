/* Deferred calls.  Several share one item of the ready queue, so that the tests
 * queue more than one item has room for. */

#include "support/memory_fixture.h"

enum { MANY = 70 };

static void a_deferred_call_that_was_taken_back_does_not_run(void **state)
{
    (void) state;
    for (int i = 1; i <= 3; i++)
        aloop_defer(t.loop, note_call, as_arg(i));
    assert_int_equal(aloop_defer_cancel(t.loop, note_call, as_arg(2)), 1);
    assert_int_equal(aloop_defer_cancel(t.loop, note_call, as_arg(2)), 0);
    assert_int_equal(aloop_defer_cancel(t.loop, count_call, as_arg(1)), 0);
    aloop_run(t.loop);
    assert_noted(1, 3);
    assert_int_equal(aloop_defer_cancel(t.loop, note_call, as_arg(1)), 0);
}

static void equal_deferred_calls_are_taken_back_oldest_first(void **state)
{
    (void) state;
    aloop_defer(t.loop, note_call, as_arg(1));
    aloop_defer(t.loop, note_call, as_arg(2));
    aloop_defer(t.loop, note_call, as_arg(1));
    assert_int_equal(aloop_defer_cancel(t.loop, note_call, as_arg(1)), 1);
    aloop_run(t.loop);
    assert_noted(2, 1);
}

/* Takes back the call with `arg`, and defers two more. */
static void take_back(aloop *loop, void *arg)
{
    aloop_defer(loop, note_call, as_arg(7));
    aloop_defer(loop, note_call, arg);
    assert_int_equal(aloop_defer_cancel(loop, note_call, arg), 1);
    note(8);
}

static void a_call_of_the_present_turn_is_taken_back_first(void **state)
{
    (void) state;
    aloop_defer(t.loop, take_back, as_arg(1));
    aloop_defer(t.loop, note_call, as_arg(1));
    aloop_defer(t.loop, note_call, as_arg(2));
    aloop_step(t.loop, 0);
    assert_noted(8, 2);
    aloop_run(t.loop);
    assert_noted(8, 2, 7, 1);
}

static void nothing_else_that_is_queued_is_taken_back(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);

    (void) state;
    aloop_then(aloop_future_ref(promise), note_status, NULL);
    aloop_future_resolve(promise, 5);
    aloop_future_unref(promise);
    aloop_post(t.loop, note_call, as_arg(6));
    assert_int_equal(aloop_defer_cancel(t.loop, note_call, as_arg(6)), 0);
    aloop_run(t.loop);
    assert_noted(5, 6);
}

static void a_loop_whose_last_call_was_taken_back_has_nothing_to_do(
    void **state)
{
    int fd = aloop_fd(t.loop);

    (void) state;
    aloop_defer(t.loop, note_call, NULL);
    assert_true(sim_fd_readable(fd));
    assert_true(aloop_alive(t.loop));
    assert_int_equal(aloop_defer_cancel(t.loop, note_call, NULL), 1);
    assert_false(sim_fd_readable(fd));
    assert_false(aloop_alive(t.loop));
    assert_int_equal(aloop_defer_cancel(NULL, note_call, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_defer_cancel(t.loop, NULL, NULL), ALOOP_EINVAL);
}

/* The numbers that the calls of number_call() have recorded. */
static int numbers[MANY + 1];
static int number_count;

static void number_call(aloop *loop, void *arg)
{
    (void) loop;
    assert_true(number_count <= MANY);
    numbers[number_count++] = (int) (intptr_t) arg;
}

static void defer_many(void)
{
    number_count = 0;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(aloop_defer(t.loop, number_call, as_arg(i)), 0);
}

/* Expects that all calls ran in order but those of `from` to `to`. */
static void assert_all_but(int from, int to)
{
    int at = 0;

    for (int i = 0; i < MANY; i++)
        if (i < from || i > to)
            assert_int_equal(numbers[at++], i);
    assert_int_equal(number_count, at);
}

static void many_deferred_calls_run_in_order(void **state)
{
    (void) state;
    defer_many();
    aloop_step(t.loop, 0);
    assert_all_but(MANY, MANY);
    assert_false(aloop_alive(t.loop));
}

static void deferred_calls_and_other_work_run_in_the_order_of_queuing(
    void **state)
{
    (void) state;
    for (int i = 0; i < 6; i += 3) {
        aloop_defer(t.loop, note_call, as_arg(i));
        aloop_defer(t.loop, note_call, as_arg(i + 1));
        aloop_then(aloop_future_new_settled(t.loop, i + 2), note_status, NULL);
    }
    aloop_step(t.loop, 0);
    assert_noted(0, 1, 2, 3, 4, 5);
}

static void what_a_deferred_call_defers_runs_in_the_next_turn(void **state)
{
    (void) state;
    aloop_defer(t.loop, take_back, as_arg(1));
    aloop_defer(t.loop, note_call, as_arg(1));
    aloop_defer(t.loop, take_back, as_arg(2));
    aloop_defer(t.loop, note_call, as_arg(2));
    aloop_step(t.loop, 0);
    assert_noted(8, 8);
    aloop_step(t.loop, 0);
    assert_noted(8, 8, 7, 1, 7, 2);
}

static void a_call_is_taken_back_from_each_place(void **state)
{
    (void) state;
    for (int i = 0; i < MANY; i++) {
        defer_many();
        assert_int_equal(aloop_defer_cancel(t.loop, number_call, as_arg(i)), 1);
        aloop_step(t.loop, 0);
        assert_all_but(i, i);
    }
}

static void nothing_is_left_when_all_calls_were_taken_back(void **state)
{
    (void) state;
    for (int is_reverse = 0; is_reverse < 2; is_reverse++) {
        defer_many();
        for (int i = 0; i < MANY; i++) {
            int taken = is_reverse ? MANY - 1 - i : i;

            assert_true(aloop_alive(t.loop));
            assert_int_equal(
                aloop_defer_cancel(t.loop, number_call, as_arg(taken)), 1);
        }
        assert_false(aloop_alive(t.loop));
        aloop_step(t.loop, 0);
        assert_int_equal(number_count, 0);
    }
}

/* The calls that take_back_range() takes back. */
static struct {
    int from;
    int to;
} range;

static void take_back_range(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = range.from; i <= range.to; i++)
        assert_int_equal(aloop_defer_cancel(loop, number_call, as_arg(i)), 1);
    /* These use the memory of what was taken back. */
    for (int i = 0; i < MANY; i++)
        aloop_defer(loop, count_call, NULL);
}

static void a_running_call_takes_back_any_that_follow(void **state)
{
    (void) state;
    for (range.from = 0; range.from < MANY; range.from++)
        for (range.to = range.from; range.to < MANY; range.to += 23) {
            t.calls = 0;
            aloop_defer(t.loop, take_back_range, NULL);
            defer_many();
            aloop_step(t.loop, 0);
            assert_all_but(range.from, range.to);
            assert_int_equal(t.calls, 0);
            aloop_step(t.loop, 0);
            assert_int_equal(t.calls, MANY);
        }
}

static void a_call_that_was_refused_for_lack_of_memory_changes_nothing(
    void **state)
{
    int count = 0;

    (void) state;
    number_count = 0;
    memory.is_out = true;
    while (count < MANY && aloop_defer(t.loop, number_call, as_arg(count)) == 0)
        count++;
    memory.is_out = false;
    for (int i = count; i < MANY; i++)
        assert_int_equal(aloop_defer(t.loop, number_call, as_arg(i)), 0);
    aloop_step(t.loop, 0);
    assert_all_but(MANY, MANY);
}

static void a_first_call_may_be_refused_for_lack_of_memory(void **state)
{
    (void) state;
    memory.is_out = true;
    assert_int_equal(aloop_defer(t.loop, number_call, NULL), ALOOP_ENOMEM);
    assert_false(aloop_alive(t.loop));
}

static void queued_calls_run_before_their_loop_is_freed(void **state)
{
    (void) state;
    defer_many();
    free_counted_loop();
    assert_all_but(MANY, MANY);
}

static void defer_many_again(aloop *loop, void *arg)
{
    t.calls++;
    for (int i = 0; i < MANY; i++)
        aloop_defer(loop, i == 0 ? defer_many_again : count_call, arg);
}

static void calls_that_defer_others_endlessly_are_freed_with_the_loop(
    void **state)
{
    (void) state;
    defer_many_again(t.loop, NULL);
    free_counted_loop();
    assert_true(t.calls > MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deferred_call_that_was_taken_back_does_not_run),
        TEST(equal_deferred_calls_are_taken_back_oldest_first),
        TEST(a_call_of_the_present_turn_is_taken_back_first),
        TEST(nothing_else_that_is_queued_is_taken_back),
        TEST(a_loop_whose_last_call_was_taken_back_has_nothing_to_do),
        TEST(many_deferred_calls_run_in_order),
        TEST(deferred_calls_and_other_work_run_in_the_order_of_queuing),
        TEST(what_a_deferred_call_defers_runs_in_the_next_turn),
        TEST(a_call_is_taken_back_from_each_place),
        TEST(nothing_is_left_when_all_calls_were_taken_back),
        TEST(a_running_call_takes_back_any_that_follow),
        MEMORY_TEST(a_call_that_was_refused_for_lack_of_memory_changes_nothing),
        MEMORY_TEST(a_first_call_may_be_refused_for_lack_of_memory),
        MEMORY_TEST(queued_calls_run_before_their_loop_is_freed),
        MEMORY_TEST(calls_that_defer_others_endlessly_are_freed_with_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
