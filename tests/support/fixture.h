/* What the unit tests share: a fresh simulated world and a loop in it for each
 * test, and, afterwards, the question whether anything was left behind. */

#ifndef FIXTURE_H
#define FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aloop.h"
#include "simulator/sim.h"

/* What a test may count and remember; zeroed before each. */
static struct {
    aloop *loop;
    int calls;         /* Of callbacks. */
    int order[64];     /* What they noted, in order. */
    int noted;
    int unhandled;     /* Errors nobody looked at: how many, the last. */
    int unhandled_error;
    char unhandled_what[160];
    int mistakes;      /* Reports of ALOOP_EMISUSE: how many, the last. */
    char mistake[400];
} t;

static inline void note(int what)
{
    if (t.noted < 64)
        t.order[t.noted++] = what;
}

#define assert_noted(...)                                           \
    do {                                                            \
        const int expected_[] = {__VA_ARGS__};                      \
        assert_int_equal(t.noted,                                   \
                         (int) (sizeof expected_ / sizeof(int)));   \
        assert_memory_equal(t.order, expected_, sizeof expected_);  \
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
