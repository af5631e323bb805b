/* Many tasks at once, and the program's whole life, on the real system. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "aloop.h"
#include "os/tools.h"

enum { MANY = 100000, ASAN = 20000, SLOW = 500, TSAN = 100 };

/* How many tasks to park: each costs a fiber under TSan, and time under
 * valgrind and ASan. */
static size_t how_many(void)
{
    size_t count = WITH_ASAN ? ASAN : MANY;

#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        count = SLOW;
#endif
    if (WITH_TSAN)
        count = TSAN;
    print_message("parking %zu tasks\n", count);
    return count;
}

/* Counts the bytes that are out. */
static void *counted_resize(void *context, void *old, size_t old_size,
                            size_t size)
{
    size_t *used = context;
    void *memory = NULL;

    if (size > 0)
        memory = realloc(old, size);
    else
        free(old);
    if (size == 0 || memory != NULL)
        *used += size - old_size;
    return memory;
}

struct counts {
    size_t parked;
    size_t cancelled;
    size_t resumed;
};

static ssize_t parks(aloop *loop, void *arg)
{
    struct counts *counts = arg;
    ssize_t status;

    counts->parked++;
    status = aloop_await(aloop_sleep(loop, ALOOP_SEC(3600)));
    if (status == ALOOP_ECANCELED)
        counts->cancelled++;
    return status;
}

static void a_hundred_thousand_parked_tasks_all_end_when_cancelled(
    void **state)
{
    size_t used = 0, count = how_many();
    aloop_options options = {.size = sizeof options,
                             .resize = counted_resize,
                             .resize_context = &used};
    aloop *loop = aloop_new(&options);
    aloop_future **tasks = calloc(count, sizeof(aloop_future *));
    struct counts counts = {0, 0, 0};
    aloop_future *all;

    (void) state;
    for (size_t i = 0; tasks != NULL && i < count; i++)
        tasks[i] = aloop_spawn(loop, parks, &counts);
    aloop_step(loop, 0);
    assert_int_equal(counts.parked, count);

    all = aloop_gather_settled(loop, count, tasks, NULL);
    aloop_cancel(all);
    assert_int_equal(aloop_await(all), ALOOP_EABORTED);
    assert_int_equal(counts.cancelled, count);
    assert_false(aloop_alive(loop));

    assert_int_equal(aloop_free(loop), 0);
    assert_int_equal(used, 0);
    free(tasks);
}

static ssize_t wakes(aloop *loop, void *arg)
{
    struct counts *counts = arg;

    if (aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0)
        counts->resumed++;
    return 0;
}

static void every_one_of_many_sleepers_wakes(void **state)
{
    size_t count = how_many();
    aloop *loop = aloop_new(NULL);
    struct counts counts = {0, 0, 0};

    (void) state;
    for (size_t i = 0; i < count; i++)
        aloop_detach(aloop_spawn(loop, wakes, &counts));
    assert_int_equal(aloop_run(loop), 0);
    assert_int_equal(counts.resumed, count);
    aloop_free(loop);
}

static ssize_t fails_with_epipe(aloop *loop, void *arg)
{
    (void) arg;
    aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    return ALOOP_EPIPE;
}

static void a_program_ends_with_what_its_task_returned(void **state)
{
    (void) state;
    assert_int_equal(aloop_main(fails_with_epipe, NULL), ALOOP_EPIPE);
}

static void a_sleep_is_never_shorter_than_asked(void **state)
{
    aloop *loop = aloop_new(NULL);

    (void) state;
    for (int64_t ns = 0; ns < ALOOP_MS(3); ns += 137001) {
        int64_t begin = aloop_now(loop);

        assert_int_equal(aloop_await(aloop_sleep(loop, ns)), 0);
        assert_true(aloop_now(loop) - begin >= ns);
    }
    aloop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_hundred_thousand_parked_tasks_all_end_when_cancelled),
        cmocka_unit_test(every_one_of_many_sleepers_wakes),
        cmocka_unit_test(a_program_ends_with_what_its_task_returned),
        cmocka_unit_test(a_sleep_is_never_shorter_than_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
