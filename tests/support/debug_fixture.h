/* Shared by the tests of debug loops: a loop with options.debug for each test,
 * and checks of its reports. */

#ifndef DEBUG_FIXTURE_H
#define DEBUG_FIXTURE_H

#include "support/stream_fixture.h"

static inline aloop *new_loop(bool has_hook)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = has_hook ? on_unhandled : NULL,
                             .debug = true};

    return aloop_new(&options);
}

static inline int set_up_debug(void **state)
{
    if (set_up(state) < 0)
        return -1;
    aloop_free(t.loop);
    t.loop = new_loop(true);
    return t.loop == NULL ? -1 : 0;
}

#define DEBUG_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_debug, tear_down)

/* Checks that exactly one new mistake was reported, and that the report
 * contains these words. */
static inline void assert_mistake(const char *function, const char *subject,
                                  const char *advice)
{
    aloop_step(t.loop, 0);
    assert_int_equal(t.mistakes, 1);
    assert_non_null(strstr(t.mistake, function));
    assert_non_null(strstr(t.mistake, subject));
    assert_non_null(strstr(t.mistake, advice));
    t.mistakes = 0;
}

static inline void assert_no_mistake(void)
{
    aloop_step(t.loop, 0);
    assert_int_equal(t.mistakes, 0);
}

static inline ssize_t returns_3(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 3;
}

static inline ssize_t sleeps_for_a_second(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
}

#endif
