/* Shared by the tests that run out of memory: an allocator that counts and can
 * fail, and loops that use it. */

#ifndef MEMORY_FIXTURE_H
#define MEMORY_FIXTURE_H

#include "base/alloc.h"
#include "support/fixture.h"

static struct {
    size_t bytes;   /* Allocated at present. */
    size_t peak;    /* The maximum of `bytes`. */
    unsigned calls; /* Number of requests for memory. */
    /* The number of the request that fails, from 1; 0: none. */
    unsigned fails_at;
    unsigned fails_from; /* The first of those that all fail; 0: none. */
    bool is_out;         /* Every request for more memory fails. */
    bool is_growth_off;  /* Requests that enlarge an allocation fail. */
} memory;

static inline void *memory_resize(void *context, void *old, size_t old_size,
                                  size_t new_size)
{
    bool is_refused = memory.is_out || (memory.is_growth_off && old != NULL);
    void *result;

    (void) context;
    if (new_size > 0 && ++memory.calls == memory.fails_at)
        return NULL;
    if (new_size > 0 && memory.fails_from != 0 &&
        memory.calls >= memory.fails_from)
        return NULL;
    if (new_size > old_size && is_refused)
        return NULL;
    result = aloop__alloc_default.resize(NULL, old, old_size, new_size);
    if (new_size == 0 || result != NULL)
        memory.bytes += new_size - old_size;
    if (memory.bytes > memory.peak)
        memory.peak = memory.bytes;
    return result;
}

/* Resets the counts and makes a loop that uses this allocator.  Returns NULL if
 * the request `fails_at` is part of aloop_new(). */
static inline aloop *memory_loop(unsigned fails_at)
{
    aloop_options options = {.size = sizeof options,
                             .resize = memory_resize,
                             .on_unhandled = on_unhandled};

    memory.bytes = memory.peak = 0;
    memory.calls = 0;
    memory.fails_at = fails_at;
    memory.fails_from = 0;
    memory.is_out = false;
    memory.is_growth_off = false;
    return aloop_new(&options);
}

static inline int set_up_memory(void **state)
{
    if (set_up(state) != 0)
        return -1;
    aloop_free(t.loop);
    t.loop = memory_loop(0);
    return t.loop == NULL ? -1 : 0;
}

static inline int tear_down_memory(void **state)
{
    int result = tear_down(state);

    assert_int_equal(memory.bytes, 0);
    return result;
}

#define MEMORY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_memory, tear_down_memory)

/* Frees the test's loop with everything that is pending in it. */
static inline void free_counted_loop(void)
{
    size_t left;

    assert_true(memory.bytes > 0);
    assert_int_equal(aloop_free(t.loop), 0);
    t.loop = NULL;
    left = memory.bytes;
    memory.bytes = 0; /* The tear-down must not report it again. */
    assert_int_equal(left, 0);
    assert_string_equal(sim_mess(), "");
}

/* Starts timers until there is no memory for another deadline. */
static inline void use_up_deadlines(void)
{
    aloop_timer *timer;
    int error = 0;

    memory.is_growth_off = true;
    for (int i = 0; i < 10000 && error == 0; i++)
        error = aloop_timer_start(t.loop, ALOOP_SEC(3600), 0, ignore_timer,
                                  NULL, &timer);
    assert_int_equal(error, ALOOP_ENOMEM);
}

#endif
