/* Shared by the unit tests: a new simulated world and a loop in it for each
 * test, and a check for leaks after it. */

#ifndef FIXTURE_H
#define FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aloop.h"
#include "simulator/sim.h"

#define MS ALOOP_MS(1)

/* Counts and results of a test; zeroed before each test. */
static struct {
    aloop *loop;
    int calls;     /* Number of callbacks. */
    int order[64]; /* Arguments of note(), in order. */
    int noted;
    int unhandled; /* Unhandled errors: number and the last one. */
    int unhandled_error;
    char unhandled_what[160];
    int mistakes; /* Reports of ALOOP_EMISUSE: number and text. */
    char mistake[400];
} t;

static inline void note(int what)
{
    if (t.noted < 64)
        t.order[t.noted++] = what;
}

#define assert_noted(...) \
    do { \
        const int expected_[] = {__VA_ARGS__}; \
        assert_int_equal(t.noted, (int) (sizeof expected_ / sizeof(int))); \
        assert_memory_equal(t.order, expected_, sizeof expected_); \
    } while (0)

static inline void on_unhandled(aloop *loop, int error, const char *what,
                                void *arg)
{
    bool is_mistake = error == ALOOP_EMISUSE;
    char *seen_what = is_mistake ? t.mistake : t.unhandled_what;
    size_t size = is_mistake ? sizeof t.mistake : sizeof t.unhandled_what;
    size_t i = 0;

    (void) loop;
    (void) arg;
    t.mistakes += is_mistake;
    t.unhandled += !is_mistake;
    if (!is_mistake)
        t.unhandled_error = error;
    for (; i + 1 < size && what[i] != '\0'; i++)
        seen_what[i] = what[i];
    seen_what[i] = '\0';
}

static inline int set_up(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};

    (void) state;
    for (size_t i = 0; i < sizeof t; i++)
        ((char *) &t)[i] = 0;
    sim_reset(1);
    t.loop = aloop_new(&options);
    return t.loop == NULL ? -1 : 0;
}

static inline int tear_down(void **state)
{
    (void) state;
    aloop_free(t.loop);
    assert_string_equal(sim_mess(), "");
    sim_end();
    return 0;
}

/* The argument that note_call() and note_timer() pass to note(). */
static inline void *as_arg(int what)
{
    return (void *) (intptr_t) what;
}

/* Callbacks that several tests use. */

static inline void note_call(aloop *loop, void *arg)
{
    (void) loop;
    t.calls++;
    note((int) (intptr_t) arg);
}

static inline void count_call(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    t.calls++;
}

static inline void stop_now(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
}

static inline void count_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    t.calls++;
}

static inline void ignore_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
}

static inline void note_timer(aloop_timer *timer, void *arg)
{
    (void) timer;
    note((int) (intptr_t) arg);
}

static inline void note_status(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    (void) arg;
    note((int) status);
}

/* Tasks that several tests use. */

static inline ssize_t awaits_arg(aloop *loop, void *arg)
{
    (void) loop;
    return aloop_await(arg);
}

static inline ssize_t returns_zero(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

/* Notes 9 and returns the status that `arg` points to. */
static inline ssize_t just_return(aloop *loop, void *arg)
{
    (void) loop;
    note(9);
    return *(const ssize_t *) arg;
}

/* Ends 10 ms after it was cancelled; *arg is true while it runs. */
static inline ssize_t ends_after_10_ms(aloop *loop, void *arg)
{
    bool *is_running = arg;
    ssize_t status;

    *is_running = true;
    status = aloop_await(aloop_sleep(loop, ALOOP_SEC(10)));
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 10 * MS));
    aloop_shield_end();
    *is_running = false;
    return status;
}

/* Stops the loop, and needs 5 ms to end when the stop cancels it. */
static inline ssize_t stops_and_cleans_up(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
    if (aloop_await(aloop_sleep(loop, ALOOP_SEC(1))) != ALOOP_ECANCELED)
        return -1;
    aloop_shield_begin();
    aloop_await(aloop_sleep(loop, 5 * MS));
    aloop_shield_end();
    return 7;
}

/* Loops. */

static inline aloop_timer *start_timer(int64_t delay_ns, int what)
{
    aloop_timer *timer = NULL;

    aloop_timer_start(t.loop, delay_ns, 0, note_timer, as_arg(what), &timer);
    return timer;
}

static inline void turns(int count)
{
    while (count-- > 0)
        aloop_step(t.loop, 0);
}

/* Makes a loop in addition to t.loop. */
static inline aloop *other_loop(void)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};
    aloop *loop = aloop_new(&options);

    assert_non_null(loop);
    return loop;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
