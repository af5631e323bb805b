/* Tests that compositions and waits still wait for their members if there is no
 * memory for them. */

#include "support/memory_fixture.h"

static struct {
    int running; /* Number of tasks of slow(). */
} s;

static int set_up_scarce(void **state)
{
    s.running = 0;
    return set_up_memory(state);
}

#define SCARCE(name) \
    cmocka_unit_test_setup_teardown(name, set_up_scarce, tear_down_memory)

/* Needs 10 ms to end after a cancel, and writes through its argument at the
 * end. */
static ssize_t slow(aloop *loop, void *arg)
{
    int *cell = arg;

    s.running++;
    aloop_await(aloop_sleep(loop, ALOOP_SEC(100)));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 10 * MS));
    aloop_shield_end();
    ++*cell;
    s.running--;
    return 5;
}

enum { COUNT = 3 };

static void spawn_all(int *cells, aloop_future **futures)
{
    for (int i = 0; i < COUNT; i++) {
        cells[i] = 0;
        futures[i] = aloop_spawn(t.loop, slow, &cells[i]);
    }
}

/* Makes a gather without memory.  Memory is available again afterwards. */
static aloop_future *starved_gather(size_t count, aloop_future **futures)
{
    aloop_future *gather;

    memory.is_out = true;
    gather = aloop_gather_array(t.loop, count, futures);
    memory.is_out = false;
    return gather;
}

static void assert_all_have_ended(const int *cells)
{
    assert_int_equal(s.running, 0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(cells[i], 1);
}

static ssize_t composes(aloop *loop, void *arg)
{
    aloop_future *futures[COUNT], *whole = NULL;
    int way = (int) (intptr_t) arg, cells[COUNT];
    size_t winner = 9;
    ssize_t statuses[COUNT] = {1, 1, 1}, status;

    spawn_all(cells, futures);
    if (way % 2 == 1)
        aloop_yield(loop); /* Starts the tasks. */
    memory.is_out = true;
    if (way / 2 == 0)
        whole = aloop_gather_array(loop, COUNT, futures);
    else if (way / 2 == 1)
        whole = aloop_any_array(loop, COUNT, futures, &winner);
    else if (way / 2 == 2)
        whole = aloop_race_array(loop, COUNT, futures, &winner);
    else
        whole = aloop_gather_settled(loop, COUNT, futures, statuses);
    memory.is_out = false;
    assert_non_null(whole);
    assert_false(aloop_future_is_settled(whole));
    status = aloop_await(whole);
    assert_all_have_ended(cells);
    assert_int_equal(winner, 9);
    assert_int_equal(statuses[0], 1);
    return status;
}

static void a_composition_without_memory_fails_after_its_members(void **state)
{
    (void) state;
    for (int way = 0; way < 8; way++)
        assert_int_equal(
            aloop_await(aloop_spawn(t.loop, composes, (void *) (intptr_t) way)),
            ALOOP_ENOMEM);
    assert_int_equal(t.unhandled, 0);
}

static ssize_t gathers_in_deadline(aloop *loop, void *arg)
{
    aloop_future *futures[COUNT];
    int cells[COUNT];
    aloop_deadline *deadline;
    ssize_t status;

    (void) arg;
    spawn_all(cells, futures);
    aloop_yield(loop);
    deadline = aloop_deadline_begin(loop, MS);
    status = aloop_await(starved_gather(COUNT, futures));
    assert_all_have_ended(cells);
    aloop_deadline_end(deadline);
    return status;
}

static void a_deadline_does_not_end_the_wait_for_the_members(void **state)
{
    (void) state;
    assert_int_equal(
        aloop_await(aloop_spawn(t.loop, gathers_in_deadline, NULL)),
        ALOOP_ENOMEM);
}

static void compositions_without_memory_nest(void **state)
{
    aloop_future *futures[2][COUNT], *whole[2];
    int cells[2][COUNT];

    (void) state;
    for (int i = 0; i < 2; i++) {
        spawn_all(cells[i], futures[i]);
        whole[i] = i == 0 ? starved_gather(COUNT, futures[i])
                          : aloop_gather_array(t.loop, COUNT, futures[i]);
    }
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_await(starved_gather(2, whole)), ALOOP_ENOMEM);
    assert_all_have_ended(cells[0]);
    assert_all_have_ended(cells[1]);
}

static void a_gather_of_one_without_memory_waits_for_it(void **state)
{
    int cell = 0;
    aloop_future *task = aloop_spawn(t.loop, slow, &cell);

    (void) state;
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_await(starved_gather(1, &task)), ALOOP_ENOMEM);
    assert_int_equal(cell, 1);
}

static void members_that_are_cancelled_immediately_need_no_wait(void **state)
{
    aloop_future *futures[] = {aloop_sleep(t.loop, MS), NULL,
                               aloop_future_new(t.loop)};

    (void) state;
    assert_null(starved_gather(3, futures));
    assert_false(aloop_alive(t.loop));
    assert_int_equal(t.unhandled, 0);
}

static void a_member_with_another_owner_is_not_cancelled(void **state)
{
    aloop_future *futures[COUNT + 2];
    int cells[COUNT];

    (void) state;
    spawn_all(cells, futures);
    /* The gather gets this one twice and is its only owner. */
    futures[3] = aloop_future_ref(futures[0]);
    futures[4] = aloop_future_ref(futures[1]); /* The test keeps this one. */
    aloop_step(t.loop, 0);
    assert_int_equal(aloop_await(starved_gather(COUNT + 1, futures)),
                     ALOOP_ENOMEM);
    assert_int_equal(cells[0], 1);
    assert_int_equal(cells[2], 1);
    assert_int_equal(aloop_await(futures[4]), 5);
}

static void a_composition_without_memory_can_be_dropped(void **state)
{
    aloop_future *futures[COUNT];
    int cells[COUNT];

    (void) state;
    spawn_all(cells, futures);
    aloop_step(t.loop, 0);
    aloop_future_unref(starved_gather(COUNT, futures));
    aloop_run(t.loop);
    assert_all_have_ended(cells);
}

static void a_composition_without_memory_ends_with_the_loop(void **state)
{
    aloop_future *futures[COUNT];
    static int cells[COUNT];

    (void) state;
    spawn_all(cells, futures);
    aloop_step(t.loop, 0);
    assert_non_null(starved_gather(COUNT, futures));
    aloop_free(t.loop);
    t.loop = NULL;
    assert_all_have_ended(cells);
}

static aloop_future *lead;

static ssize_t awaits_lead(aloop *loop, void *arg)
{
    int cell = 0;
    aloop_future *futures[2];

    if (arg != NULL) { /* This is the follower. */
        aloop_await(aloop_sleep(loop, ALOOP_SEC(100)));
        aloop_shield_begin();
        note((int) aloop_await(aloop_future_ref(lead)));
        aloop_shield_end();
        return 0;
    }
    futures[0] = aloop_spawn(loop, slow, &cell);
    futures[1] = aloop_spawn(loop, awaits_lead, loop);
    aloop_yield(loop);
    lead = starved_gather(2, futures);
    return aloop_await(lead);
}

static void a_member_cannot_await_its_composition_without_memory(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_spawn(t.loop, awaits_lead, NULL)),
                     ALOOP_ENOMEM);
    assert_noted(ALOOP_EDEADLK);
}

static ssize_t ends(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

static aloop_future *composition_of_one_ms(int way, aloop_group *group)
{
    switch (way) {
    case 0:
        return aloop_gather(t.loop, aloop_sleep(t.loop, MS));
    case 1:
        return aloop_timeout(aloop_sleep(t.loop, MS), MS);
    case 2:
        return aloop_map(t.loop, ends, &s, 1, 1, 1);
    default:
        assert_int_equal(aloop_group_spawn(group, ends, NULL), 0);
        return aloop_group_wait(group);
    }
}

static void a_lead_that_waits_only_for_its_followers_can_be_awaited(
    void **state)
{
    (void) state;
    for (int way = 0; way < 4; way++) {
        int cell = 0;
        aloop_group *group = aloop_group_new(t.loop);
        aloop_future *futures[] = {composition_of_one_ms(way, group),
                                   aloop_spawn(t.loop, slow, &cell)};
        aloop_future *first, *task;

        aloop_step(t.loop, 0);
        first = starved_gather(2, futures);
        assert_ptr_equal(first, futures[0]);
        for (int i = 0; i < 3; i++)
            aloop_step(t.loop, 0);
        assert_false(aloop_future_is_settled(first));
        task = aloop_spawn(t.loop, awaits_arg, first);
        assert_int_equal(aloop_await(aloop_gather(t.loop, task)), ALOOP_ENOMEM);
        assert_int_equal(cell, 1);
        aloop_group_free(group);
    }
}

/* Groups. */

enum { WAITS = 300 };

static aloop_group *group_of_one(int *cell)
{
    aloop_group *group = aloop_group_new(t.loop);

    assert_int_equal(aloop_group_spawn(group, slow, cell), 0);
    aloop_step(t.loop, 0);
    return group;
}

static void a_group_can_be_awaited_without_memory(void **state)
{
    int cell = 0;
    aloop_group *group = group_of_one(&cell);
    aloop_future *all[WAITS];

    (void) state;
    memory.is_out = true;
    for (int i = 0; i < WAITS; i++) {
        all[i] = aloop_group_wait(group);
        assert_non_null(all[i]);
    }
    memory.is_out = false;
    aloop_group_cancel(group);
    for (int i = 0; i < WAITS; i++)
        assert_int_equal(aloop_await(all[i]), 0);
    assert_int_equal(cell, 1);
    aloop_group_free(group);
}

static aloop_future *waits[WAITS];

/* Without memory, the last waits are references to one future. */
static void wait_often(aloop_group *group)
{
    memory.is_out = true;
    for (int i = 0; i < WAITS; i++)
        waits[i] = aloop_group_wait(group);
    memory.is_out = false;
}

static void drop_waits(int count)
{
    for (int i = 0; i < count; i++)
        aloop_future_unref(waits[i]);
}

static void a_wait_without_memory_can_be_composed_many_times(void **state)
{
    int cells[3] = {0};
    aloop_group *group = group_of_one(&cells[2]);
    aloop_future *wholes[2];

    (void) state;
    wait_often(group);
    for (int i = 0; i < 2; i++) {
        aloop_future *futures[] = {waits[WAITS - 1 - 2 * i],
                                   waits[WAITS - 2 - 2 * i],
                                   aloop_spawn(t.loop, slow, &cells[i])};

        wholes[i] = starved_gather(3, futures);
        assert_ptr_equal(wholes[i], futures[2]);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_await(wholes[i]), ALOOP_ENOMEM);
    assert_int_equal(cells[2], 1);
    drop_waits(WAITS - 4);
    aloop_group_free(group);
}

static ssize_t awaits_the_wait(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return aloop_await(waits[WAITS - 1]);
}

static void a_wait_without_memory_is_no_lead_of_a_task_that_awaits_it(
    void **state)
{
    int cell = 0;
    aloop_group *group = group_of_one(&cell);
    aloop_future *futures[] = {NULL,
                               aloop_spawn(t.loop, awaits_the_wait, NULL)};

    (void) state;
    wait_often(group);
    aloop_step(t.loop, 0);
    futures[0] = waits[WAITS - 2];
    assert_int_equal(aloop_await(starved_gather(2, futures)), ALOOP_ENOMEM);
    assert_int_equal(cell, 1);
    drop_waits(WAITS - 2);
    aloop_group_free(group);
}

static ssize_t waits_until(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, MS);
    ssize_t status = aloop_await(waits[WAITS - 1]);

    assert_int_equal(*(int *) arg, 1);
    aloop_deadline_end(deadline);
    return status;
}

static void a_deadline_on_one_of_many_waits_ends_the_group_first(void **state)
{
    int cell = 0;
    aloop_group *group = group_of_one(&cell);
    aloop_future *task = aloop_spawn(t.loop, waits_until, &cell);

    (void) state;
    wait_often(group);
    aloop_await(task);
    assert_int_equal(cell, 1);
    drop_waits(WAITS - 1);
    aloop_group_free(group);
}

static void a_spawn_into_a_group_fails_without_memory_for_a_wait(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    int cell = 0, spawned = 0;

    (void) state;
    memory.is_out = true;
    while (spawned < WAITS &&
           aloop_group_spawn(group, slow, &cell) != ALOOP_ENOMEM)
        spawned++;
    memory.is_out = false;
    assert_int_equal(aloop_group_spawn(group, slow, &cell), 0);
    aloop_group_cancel(group);
    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);
    assert_int_equal(cell, spawned + 1);
    aloop_group_free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCARCE(a_composition_without_memory_fails_after_its_members),
        SCARCE(a_deadline_does_not_end_the_wait_for_the_members),
        SCARCE(compositions_without_memory_nest),
        SCARCE(a_gather_of_one_without_memory_waits_for_it),
        SCARCE(members_that_are_cancelled_immediately_need_no_wait),
        SCARCE(a_member_with_another_owner_is_not_cancelled),
        SCARCE(a_composition_without_memory_can_be_dropped),
        SCARCE(a_composition_without_memory_ends_with_the_loop),
        SCARCE(a_member_cannot_await_its_composition_without_memory),
        SCARCE(a_lead_that_waits_only_for_its_followers_can_be_awaited),
        SCARCE(a_group_can_be_awaited_without_memory),
        SCARCE(a_wait_without_memory_can_be_composed_many_times),
        SCARCE(a_wait_without_memory_is_no_lead_of_a_task_that_awaits_it),
        SCARCE(a_deadline_on_one_of_many_waits_ends_the_group_first),
        SCARCE(a_spawn_into_a_group_fails_without_memory_for_a_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
