/* Tests of what mutexes, semaphores, events, conditions and barriers have in
 * common. */

#include "support/sync_fixture.h"

static void freeing_an_object_of_any_kind_ends_its_waits(void **state)
{
    aloop_future *waits[3];

    (void) state;
    prepare(NULL, 0);
    waits[0] = aloop_semaphore_acquire(shared.semaphore, 1);
    waits[1] = aloop_event_wait(shared.event);
    waits[2] = aloop_barrier_wait(shared.barrier);

    aloop_semaphore_free(shared.semaphore);
    aloop_event_free(shared.event);
    aloop_barrier_free(shared.barrier);

    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(waits[i]), ALOOP_ECLOSED);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_semaphore *semaphore = aloop_semaphore_new(t.loop, 1);

    (void) state;
    assert_null(aloop_mutex_new(NULL));
    assert_null(aloop_semaphore_new(NULL, 1));
    assert_null(aloop_event_new(NULL));
    assert_null(aloop_condition_new(NULL));
    assert_null(aloop_barrier_new(NULL, 1));
    assert_null(aloop_barrier_new(t.loop, 0));
    assert_null(aloop_barrier_new(t.loop, SIZE_MAX));
    aloop_mutex_free(NULL);
    aloop_semaphore_free(NULL);
    aloop_event_free(NULL);
    aloop_condition_free(NULL);
    aloop_barrier_free(NULL);
    assert_int_equal(aloop_await(aloop_mutex_lock(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_mutex_try_lock(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_mutex_unlock(NULL), ALOOP_EINVAL);
    assert_false(aloop_mutex_is_locked(NULL));
    assert_int_equal(aloop_await(aloop_semaphore_acquire(NULL, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_semaphore_acquire(semaphore, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_try_acquire(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_try_acquire(semaphore, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_release(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_release(semaphore, 0), ALOOP_EINVAL);
    assert_int_equal(aloop_semaphore_count(NULL), 0);
    assert_int_equal(aloop_await(aloop_event_wait(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_event_set(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_event_clear(NULL), ALOOP_EINVAL);
    assert_false(aloop_event_is_set(NULL));
    assert_int_equal(aloop_condition_notify(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_condition_notify_all(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_barrier_wait(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_barrier_waiting(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(freeing_an_object_of_any_kind_ends_its_waits),
        TEST(invalid_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
