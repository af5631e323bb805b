/* The queue of deadlines by itself: objects that are paused, moved and started
 * again, and the order in which they fire. */

#include <stdlib.h>
#include <string.h>

#include "support/fixture.h"
#include "loop/timed.h"

enum { COUNT = 10000, SETTLED_TOGETHER = 256 };

static struct aloop__timers timers;
static struct aloop__timed objects[COUNT];

static void fire(struct aloop__timed *timed)
{
    note((int) (timed - objects));
}

static int set_up_queue(void **state)
{
    int error = set_up(state);

    aloop__timers_open(&timers, &aloop__alloc_default);
    for (int i = 0; i < COUNT; i++)
        aloop__timed_init(&objects[i], fire);
    return error;
}

static int tear_down_queue(void **state)
{
    aloop__timers_close(&timers);
    return tear_down(state);
}

static void start(int i, int64_t when_ns)
{
    assert_int_equal(aloop__timed_start(&timers, &objects[i], when_ns), 0);
}

static void fire_until(int64_t now_ns)
{
    aloop__timers_take(&timers, now_ns);
    while (!list_is_empty(&timers.due))
        aloop__timers_fire(&timers);
}

static void a_paused_object_does_not_fire(void **state)
{
    (void) state;
    start(1, 10);
    start(2, 20);
    aloop__timed_pause(&objects[1]);
    aloop__timed_pause(&objects[1]);
    assert_int_equal(aloop__timers_next(&timers), 20);
    fire_until(30);
    assert_noted(2);
    assert_int_equal(aloop__timers_next(&timers), INT64_MAX);
}

static void a_paused_object_starts_again_at_any_time(void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++)
        start(i, 10 + i);
    for (int i = 0; i < 4; i++)
        aloop__timed_pause(&objects[i]);
    start(3, 5);  /* Earlier than its entry. */
    start(1, 30); /* Later. */
    start(0, 10); /* At the same time. */
    assert_int_equal(aloop__timers_next(&timers), 5);
    fire_until(29);
    assert_noted(3, 0);
    fire_until(30);
    assert_noted(3, 0, 1);
    start(2, 31); /* Its entry has been removed. */
    fire_until(31);
    assert_noted(3, 0, 1, 2);
}

static void a_postponed_object_starts_again_at_an_earlier_time(void **state)
{
    (void) state;
    start(1, 10);
    start(2, 25);
    start(1, 30);
    fire_until(15); /* This corrects its entry. */
    start(1, 20);
    fire_until(20);
    assert_noted(1);
}

static void equal_deadlines_fire_in_the_order_of_the_last_starts(void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++)
        start(i, 10);
    aloop__timed_pause(&objects[0]);
    aloop__timed_pause(&objects[2]);
    start(2, 10);
    start(0, 10);
    fire_until(10);
    assert_noted(1, 3, 2, 0);
}

static void a_paused_object_can_be_freed_after_a_stop(void **state)
{
    struct aloop__timed *object = malloc(sizeof *object);

    (void) state;
    assert_non_null(object);
    aloop__timed_init(object, fire);
    start(1, 5);
    assert_int_equal(aloop__timed_start(&timers, object, 7), 0);
    start(2, 9);
    aloop__timed_pause(object);
    aloop__timed_stop(&timers, object);
    free(object);
    fire_until(10);
    assert_noted(1, 2);
}

static void pause_two(struct aloop__timed *timed)
{
    fire(timed);
    aloop__timed_pause(&objects[2]);
}

static void start_three(struct aloop__timed *timed)
{
    fire(timed);
    start(3, 50);
}

static void an_object_that_is_due_can_be_paused_and_started(void **state)
{
    (void) state;
    aloop__timed_init(&objects[0], pause_two);
    aloop__timed_init(&objects[1], start_three);
    for (int i = 0; i < 4; i++)
        start(i, i);
    fire_until(10);
    assert_noted(0, 1);
    assert_int_equal(aloop__timers_next(&timers), 50);
    fire_until(50);
    assert_noted(0, 1, 3);
}

/* Otherwise one turn would be late by the time that all of them take. */
static void one_call_corrects_256_entries_at_most(void **state)
{
    int calls = 1;

    (void) state;
    for (int i = 0; i < COUNT; i++)
        start(i, i);
    for (int i = 0; i < COUNT - 1; i++)
        aloop__timed_pause(&objects[i]);
    assert_int_equal(timers.count, COUNT);
    for (size_t left = COUNT;
         aloop__timers_next(&timers) != COUNT - 1 && calls < COUNT; calls++) {
        assert_int_equal(left - timers.count, SETTLED_TOGETHER);
        left = timers.count;
    }
    assert_int_equal(calls, (COUNT - 1) / SETTLED_TOGETHER + 1);
    assert_int_equal(timers.count, 1);
}

/* The top is too early then, and nothing may fire because of it. */
static void nothing_fires_because_of_entries_that_were_not_corrected(
    void **state)
{
    (void) state;
    for (int i = 0; i < COUNT; i++)
        start(i, 10);
    for (int i = 0; i < COUNT; i++)
        start(i, 20 + i);
    for (int i = 0; i < COUNT / SETTLED_TOGETHER + 1; i++)
        fire_until(19);
    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop__timers_next(&timers), 20);
    fire_until(21);
    assert_noted(0, 1);
}

static struct {
    int64_t last_ns;
    uint64_t last_order;
    int fired, misplaced;
} many;

static void fire_many(struct aloop__timed *timed)
{
    if (timed->when_ns < many.last_ns ||
        (timed->when_ns == many.last_ns && timed->order < many.last_order))
        many.misplaced++;
    many.last_ns = timed->when_ns;
    many.last_order = timed->order;
    many.fired++;
}

/* Each deadline is that of ten objects.  Some leave the middle of the heap, and
 * some move to an earlier or later time. */
static void many_objects_fire_by_their_deadlines_and_starts(void **state)
{
    enum { STOPPED = COUNT / 4, TIMES = COUNT / 10 };

    (void) state;
    memset(&many, 0, sizeof many);
    for (int i = 0; i < COUNT; i++) {
        aloop__timed_init(&objects[i], fire_many);
        start(i, i * 7919 % TIMES);
    }
    for (int i = 0; i < COUNT; i += 4)
        aloop__timed_stop(&timers, &objects[i]);
    for (int i = 1; i < COUNT; i += 4)
        start(i, i * 6007 % TIMES);
    for (int64_t now_ns = 0; now_ns < TIMES; now_ns += 97)
        fire_until(now_ns);
    fire_until(TIMES);
    assert_int_equal(many.fired, COUNT - STOPPED);
    assert_int_equal(many.misplaced, 0);
    assert_int_equal(aloop__timers_next(&timers), INT64_MAX);
}

static int64_t wanted_ns[COUNT]; /* -1: it must not fire. */

static void fire_wanted(struct aloop__timed *timed)
{
    int64_t *wanted = &wanted_ns[timed - objects];

    fire_many(timed);
    many.misplaced += timed->when_ns != *wanted;
    *wanted = -1;
}

static void start_wanted(int i, int64_t when_ns)
{
    wanted_ns[i] = when_ns;
    start(i, when_ns);
}

/* An entry of the heap moves up when earlier ones fire, and must be found again
 * by a stop and by a start at an earlier time. */
static void objects_are_stopped_and_moved_while_others_fire(void **state)
{
    enum { END = 1000, CHANGES = COUNT / 100 };
    uint64_t random = 1;

    (void) state;
    memset(&many, 0, sizeof many);
    for (int i = 0; i < COUNT; i++) {
        aloop__timed_init(&objects[i], fire_wanted);
        start_wanted(i, i * 7919 % END);
    }
    for (int now_ns = 0; now_ns <= 2 * END; now_ns++) {
        fire_until(now_ns);
        for (int n = 0; n < CHANGES && now_ns < END; n++) {
            int i;

            random = random * UINT64_C(6364136223846793005) + 1;
            i = (int) ((random >> 33) % COUNT);
            if (random >> 62 != 0) {
                start_wanted(i, now_ns + 1 + (int) (random >> 33) % END);
                continue;
            }
            aloop__timed_stop(&timers, &objects[i]);
            wanted_ns[i] = -1;
        }
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(wanted_ns[i], -1);
    assert_int_equal(many.misplaced, 0);
    assert_int_equal(timers.count, 0);
}

int main(void)
{
#define QUEUE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_queue, tear_down_queue)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(a_paused_object_does_not_fire),
        QUEUE_TEST(a_paused_object_starts_again_at_any_time),
        QUEUE_TEST(a_postponed_object_starts_again_at_an_earlier_time),
        QUEUE_TEST(equal_deadlines_fire_in_the_order_of_the_last_starts),
        QUEUE_TEST(a_paused_object_can_be_freed_after_a_stop),
        QUEUE_TEST(an_object_that_is_due_can_be_paused_and_started),
        QUEUE_TEST(one_call_corrects_256_entries_at_most),
        QUEUE_TEST(nothing_fires_because_of_entries_that_were_not_corrected),
        QUEUE_TEST(many_objects_fire_by_their_deadlines_and_starts),
        QUEUE_TEST(objects_are_stopped_and_moved_while_others_fire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
