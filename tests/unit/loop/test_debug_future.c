/* Futures of loops with options.debug: each wrong use of a future is reported,
 * and freed objects are not reused for a while. */

#include "support/debug_fixture.h"

#include "loop/quarantine.h"
#include "loop/state.h"
#include "os/tools.h"

static void a_second_await_reports_the_task_and_where_it_was_spawned(
    void **state)
{
    aloop_future *task = aloop_spawn(t.loop, returns_3, NULL);

    (void) state;
    assert_int_equal(aloop_await(task), 3);
    assert_int_equal(aloop_await(task), ALOOP_EINVAL);
    assert_mistake("aloop_await() outside the loop: task returns_3 (",
                   "test_debug_future.c:", "aloop_future_ref()");
}

static void the_copied_name_of_a_task_is_reported_after_its_end(void **state)
{
    char name[] = "called late";
    aloop_future *task =
        aloop_spawn_with(t.loop, returns_3, NULL, .name = name);

    (void) state;
    assert_int_equal(aloop_await(task), 3);
    memset(name, '-', sizeof name - 1);
    aloop_future_unref(task);
    assert_mistake("aloop_future_unref()", "task called late (", "ref()");
}

static int use_cancel(aloop_future *future)
{
    return aloop_cancel(future);
}

static int use_unref(aloop_future *future)
{
    aloop_future_unref(future);
    return ALOOP_EINVAL;
}

static int use_detach(aloop_future *future)
{
    aloop_detach(future);
    return ALOOP_EINVAL;
}

static int use_ref(aloop_future *future)
{
    assert_ptr_equal(aloop_future_ref(future), future);
    return ALOOP_EINVAL;
}

static int use_status(aloop_future *future)
{
    return (int) aloop_future_status(future);
}

static int use_settled(aloop_future *future)
{
    return aloop_future_is_settled(future) ? ALOOP_EINVAL : 0;
}

static int use_resolve(aloop_future *future)
{
    return aloop_future_resolve(future, 0);
}

static int use_then(aloop_future *future)
{
    return aloop_then(future, note_status, NULL);
}

static int use_unthen(aloop_future *future)
{
    return aloop_unthen(future, note_status, NULL);
}

static int use_timeout(aloop_future *future)
{
    return (int) aloop_await(aloop_timeout(future, MS));
}

static int use_gather(aloop_future *future)
{
    return (int) aloop_await(aloop_gather_array(t.loop, 1, &future));
}

static int use_race(aloop_future *future)
{
    return (int) aloop_await(aloop_race_array(t.loop, 1, &future, NULL));
}

static int use_name(aloop_future *future)
{
    return aloop_task_name(future) == NULL ? ALOOP_EINVAL : 0;
}

static const struct {
    int (*use)(aloop_future *future);
    const char *function;
} uses[] = {{use_cancel, "aloop_cancel() "},
            {use_unref, "aloop_future_unref() "},
            {use_detach, "aloop_detach() "},
            {use_ref, "aloop_future_ref() "},
            {use_status, "aloop_future_status() "},
            {use_settled, "aloop_future_is_settled() "},
            {use_resolve, "aloop_future_resolve() "},
            {use_then, "aloop_then() "},
            {use_unthen, "aloop_unthen() "},
            {use_timeout, "aloop_timeout() "},
            {use_gather, "aloop_gather_array() "},
            {use_race, "aloop_race_array() "},
            {use_name, "aloop_task_name() "}};

static void no_function_uses_a_future_without_a_reference(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        aloop_future *future = aloop_future_new(t.loop);

        assert_int_equal(aloop_future_resolve(future, 0), 0);
        assert_int_equal(aloop_await(future), 0);
        assert_int_equal(uses[i].use(future), ALOOP_EINVAL);
        assert_mistake(uses[i].function, ": promise was used after",
                       "give away each reference once");
    }
    assert_int_equal(t.noted, 0);
}

static void a_detached_future_cannot_be_awaited(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, MS);

    (void) state;
    aloop_detach(sleep);
    assert_int_equal(aloop_await(sleep), ALOOP_EINVAL);
    assert_mistake("aloop_await()", ": sleep was used after", "ref()");
}

static void two_tasks_cannot_await_with_one_reference(void **state)
{
    aloop_future *sleep = aloop_sleep(t.loop, MS);
    aloop_future *first = aloop_spawn(t.loop, awaits_arg, sleep);
    aloop_future *second = aloop_spawn(t.loop, awaits_arg, sleep);

    (void) state;
    assert_int_equal(aloop_await(second), ALOOP_EINVAL);
    assert_int_equal(aloop_await(first), 0);
    assert_mistake("aloop_await() in task awaits_arg (",
                   ": sleep is already waited for", "aloop_future_ref()");
}

static void releasing_the_reference_of_a_waiting_task_is_reported(void **state)
{
    aloop_future *promise = aloop_future_new(t.loop);
    aloop_future *task = aloop_spawn(t.loop, awaits_arg, promise);

    (void) state;
    aloop_future_ref(promise);
    aloop_step(t.loop, 0);
    aloop_future_resolve(promise, 5);
    aloop_future_unref(promise);
    aloop_future_unref(promise); /* The reference of the task. */
    assert_int_equal(aloop_await(task), ALOOP_EINVAL);
    assert_mistake("aloop_await() in task awaits_arg (", ": promise was used",
                   "ref()");
}

static ssize_t refers_to_itself(aloop *loop, void *arg)
{
    aloop_future *self = aloop_current_task();

    (void) arg;
    aloop_future_unref(aloop_future_ref(self));
    aloop_cancel(self);
    note((int) aloop_await(aloop_sleep(loop, MS)));
    return 0;
}

static void a_detached_task_may_refer_to_itself(void **state)
{
    (void) state;
    aloop_detach(aloop_spawn(t.loop, refers_to_itself, NULL));
    aloop_run(t.loop);
    assert_noted(ALOOP_ECANCELED);
    assert_no_mistake();
}

static void freed_objects_are_not_reused_for_a_while(void **state)
{
    aloop_future *last = aloop_sleep(t.loop, 0);

    (void) state;
    assert_int_equal(aloop_await(last), 0);
    for (int i = 0; i < 100; i++) {
        aloop_future *sleep = aloop_sleep(t.loop, 0);

        assert_ptr_not_equal(sleep, last);
        assert_int_equal(aloop_await(sleep), 0);
    }
    assert_true(aloop__quarantine_drain(t.loop));
    assert_false(aloop__quarantine_drain(t.loop));
}

static void the_memory_of_kept_objects_is_bounded(void **state)
{
    size_t used;

    (void) state;
    for (int i = 0; i < 300; i++)
        assert_int_equal(aloop_await(aloop_sleep(t.loop, 0)), 0);
    used = t.loop->slab.used;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(aloop_await(aloop_sleep(t.loop, 0)), 0);
    assert_int_equal(t.loop->slab.used, used);
}

static void kept_objects_are_reused_if_there_is_no_other_memory(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .resize = memory_resize,
                             .debug = true};
    aloop_future *sleeps[300];

    (void) state;
    if (WITH_ASAN)
        skip(); /* Under ASan, freed objects return to malloc. */
    aloop_free(t.loop);
    t.loop = aloop_new(&options);
    for (int i = 0; i < 300; i++)
        assert_non_null(sleeps[i] = aloop_sleep(t.loop, MS));
    for (int i = 0; i < 300; i++)
        aloop_future_unref(sleeps[i]);
    memory.is_out = true;
    for (int i = 0; i < 300; i++)
        assert_non_null(sleeps[i] = aloop_sleep(t.loop, MS));
    memory.is_out = false;
    for (int i = 0; i < 300; i++)
        aloop_future_unref(sleeps[i]);
}

static void an_operation_that_is_settled_again_is_reported(void **state)
{
    aloop_future *operation = aloop_operation_new(t.loop, NULL, NULL);

    (void) state;
    aloop_operation_settle(operation, 0);
    assert_int_equal(aloop_operation_settle(operation, 0), ALOOP_EALREADY);
    assert_mistake("aloop_operation_settle() outside the loop: operation",
                   "was settled already", "once");
    aloop_future_unref(operation); /* The maker still has the pointer. */
    assert_int_equal(aloop_operation_settle(operation, 0), ALOOP_EINVAL);
    assert_mistake("aloop_operation_settle() ", ": operation", "was used");
}

/* The maker's pointer counts as no reference. */
static void a_maker_that_drops_its_pointer_is_reported(void **state)
{
    aloop_future *operation = aloop_operation_new(t.loop, NULL, NULL);
    aloop_future *task = aloop_spawn(t.loop, awaits_arg, operation);

    (void) state;
    turns(1);
    aloop_future_unref(operation);
    assert_mistake("aloop_future_unref() ", "already waited for", "ref()");
    aloop_operation_settle(operation, 6);
    assert_int_equal(aloop_await(task), 6);

    operation = aloop_operation_new(t.loop, NULL, NULL);
    aloop_future_unref(operation);
    aloop_detach(operation);
    assert_mistake("aloop_detach() ", "last reference was given away", "once");
    assert_int_equal(aloop_operation_settle(operation, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEBUG_TEST(a_second_await_reports_the_task_and_where_it_was_spawned),
        DEBUG_TEST(the_copied_name_of_a_task_is_reported_after_its_end),
        DEBUG_TEST(no_function_uses_a_future_without_a_reference),
        DEBUG_TEST(a_detached_future_cannot_be_awaited),
        DEBUG_TEST(two_tasks_cannot_await_with_one_reference),
        DEBUG_TEST(releasing_the_reference_of_a_waiting_task_is_reported),
        DEBUG_TEST(a_detached_task_may_refer_to_itself),
        DEBUG_TEST(an_operation_that_is_settled_again_is_reported),
        DEBUG_TEST(a_maker_that_drops_its_pointer_is_reported),
        DEBUG_TEST(freed_objects_are_not_reused_for_a_while),
        DEBUG_TEST(the_memory_of_kept_objects_is_bounded),
        DEBUG_TEST(kept_objects_are_reused_if_there_is_no_other_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
