/* The slab allocator for small objects, and how it returns memory. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/slab.h"

enum { MANY = 10000, HUGE_MANY = 80000, ROUNDS = 40000 };

static struct {
    struct aloop__slab slab;
    size_t bytes[2];   /* [1]: in use by chunks; [0]: by the rest. */
    unsigned calls[2]; /* Number of allocations, same index. */
    size_t largest;    /* Size of the largest allocation. */
    unsigned fails_in; /* The nth allocation from now fails; 0: none. */
    bool has_no_huge;  /* Huge chunks fail. */
} f;

static void *resize(void *context, void *old, size_t old_size, size_t size)
{
    size_t kind = (size_t) (uintptr_t) context;

    if (size > 0 && f.fails_in > 0 && --f.fails_in == 0)
        return NULL;
    if (kind == 1 && size == CHUNK_SIZE_HUGE && f.has_no_huge)
        return NULL;
    f.bytes[kind] += size - old_size;
    f.calls[kind] += size > 0;
    f.largest = size > f.largest ? size : f.largest;
    if (kind == 1 && size == CHUNK_SIZE_HUGE)
        return aligned_alloc(size, size);
    if (size > 0)
        return realloc(old, size);
    free(old);
    return NULL;
}

static const struct aloop__alloc plain = {resize, (void *) 0};
static const struct aloop__alloc for_chunks = {resize, (void *) 1};

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    aloop__slab_open(&f.slab, &plain, &for_chunks);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    aloop__slab_close(&f.slab);
    assert_true(f.bytes[0] == 0 && f.bytes[1] == 0);
    return 0;
}

/* Skips the test if there are no chunks: under a sanitizer the slab makes one
 * allocation per object. */
static void skip_unless_shared(void)
{
    void *object = aloop__slab_get(&f.slab, 40);
    bool is_shared = f.calls[1] == 1;

    aloop__slab_put(&f.slab, object, 40);
    if (!is_shared)
        skip();
}

static void end_window(void)
{
    aloop__slab_end_window(&f.slab);
    while (aloop__slab_trim(&f.slab))
        continue;
}

static size_t size_of(size_t i)
{
    return 1 + i * 37 % SLAB_MAX;
}

static void get_many(void **objects)
{
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = aloop__slab_get(&f.slab, size_of(i));
        assert_non_null(objects[i]);
    }
}

static void put_many(void **objects, size_t start, size_t step)
{
    for (size_t i = start; i < MANY; i += step)
        aloop__slab_put(&f.slab, objects[i], size_of(i));
}

static void memory_of_a_burst_is_freed_after_an_idle_window(void **state)
{
    static void *objects[MANY];
    size_t peak;

    (void) state;
    skip_unless_shared();
    assert_false(aloop__slab_has_spare(&f.slab));
    get_many(objects);
    assert_false(aloop__slab_has_spare(&f.slab));
    put_many(objects, 0, 1);
    peak = f.bytes[1];
    assert_true(aloop__slab_has_spare(&f.slab));
    end_window();
    assert_true(f.bytes[1] == peak);
    end_window();
    assert_true(f.bytes[0] + f.bytes[1] < peak / 8);
    assert_false(aloop__slab_has_spare(&f.slab));
}

static void one_step_of_trimming_is_small(void **state)
{
    static void *objects[MANY];
    int steps = 0;

    (void) state;
    skip_unless_shared();
    get_many(objects);
    put_many(objects, 0, 1);
    aloop__slab_end_window(&f.slab);
    aloop__slab_end_window(&f.slab);
    while (aloop__slab_trim(&f.slab))
        steps++;
    assert_true(steps > MANY / 200);
}

static void trimming_keeps_objects_in_use_and_reuses_their_chunks(void **state)
{
    static void *objects[MANY];
    size_t after;

    (void) state;
    skip_unless_shared();
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = aloop__slab_get(&f.slab, 100);
        memset(objects[i], (int) (i & 0xff), 100);
    }
    for (size_t i = 0; i < MANY; i++)
        if (i % 500 != 0)
            aloop__slab_put(&f.slab, objects[i], 100);
    end_window();
    end_window();
    after = f.bytes[1];
    assert_true(after <= (MANY / 500 + 3) * 16384);
    assert_false(aloop__slab_has_spare(&f.slab));
    for (size_t i = 0; i < MANY; i++)
        if (i % 500 == 0)
            for (size_t j = 0; j < 100; j++)
                assert_int_equal(((unsigned char *) objects[i])[j], i & 0xff);
    for (size_t i = 1; i <= MANY / 500; i++)
        objects[i] = aloop__slab_get(&f.slab, 100);
    assert_true(f.bytes[1] == after);
    for (size_t i = 0; i < MANY; i += 500)
        aloop__slab_put(&f.slab, objects[i], 100);
    for (size_t i = 1; i <= MANY / 500; i++)
        aloop__slab_put(&f.slab, objects[i], 100);
}

static void memory_used_in_each_window_is_kept(void **state)
{
    static void *objects[MANY];
    unsigned calls;

    (void) state;
    skip_unless_shared();
    get_many(objects);
    put_many(objects, 0, 1);
    calls = f.calls[1];
    for (int window = 0; window < 5; window++) {
        end_window();
        get_many(objects);
        put_many(objects, 0, 1);
    }
    assert_int_equal(f.calls[1], calls);
}

static void a_burst_during_a_trim_reuses_the_untrimmed_objects(void **state)
{
    static void *objects[MANY];
    unsigned calls;

    (void) state;
    skip_unless_shared();
    get_many(objects);
    put_many(objects, 0, 1);
    calls = f.calls[1];
    aloop__slab_end_window(&f.slab);
    aloop__slab_end_window(&f.slab);
    assert_true(aloop__slab_trim(&f.slab));
    /* It does not affect the trim that is in progress. */
    aloop__slab_end_window(&f.slab);
    get_many(objects);
    assert_true(f.calls[1] <= calls + 2);
    put_many(objects, 0, 1);
}

/* Fills each object with a pattern and checks the pattern before it puts the
 * object back. */
static void objects_never_overlap_while_the_slab_is_trimmed(void **state)
{
    static unsigned char *objects[500];
    uint32_t random = 1;

    (void) state;
    for (int round = 0; round < ROUNDS; round++) {
        size_t i = (random = random * 1664525 + 1013904223) >> 8;
        size_t size = size_of(i % 500), limit = 100;
        unsigned char **object = &objects[i % 500];

        limit += (size_t) (round % 7) * 60;
        if (*object != NULL) {
            for (size_t j = 0; j < size; j++)
                assert_int_equal((*object)[j], i % 500 % 251);
            aloop__slab_put(&f.slab, *object, size);
            *object = NULL;
        } else if (i % 500 < limit) {
            *object = aloop__slab_take(&f.slab, size);
            memset(*object, (int) (i % 500 % 251), size);
        }
        if (round % 50 == 0)
            (void) aloop__slab_trim(&f.slab);
        if (round % 400 == 0)
            aloop__slab_end_window(&f.slab);
    }
    for (size_t i = 0; i < 500; i++)
        if (objects[i] != NULL)
            aloop__slab_put(&f.slab, objects[i], size_of(i));
    assert_true(f.slab.used == 0);
}

/* They are found again by their addresses, which trimming needs. */
static void many_objects_of_one_class_are_in_huge_chunks(void **state)
{
    static unsigned char *objects[HUGE_MANY];
    unsigned calls;

    (void) state;
    skip_unless_shared();
    for (size_t i = 0; i < HUGE_MANY; i++) {
        objects[i] = aloop__slab_get(&f.slab, 128);
        assert_non_null(objects[i]);
        memset(objects[i], (int) (i % 251), 128);
    }
    assert_int_equal(f.largest, CHUNK_SIZE_HUGE);
    assert_true(f.bytes[1] < 128 * HUGE_MANY + CHUNK_SIZE_HUGE);
    calls = f.calls[1];
    aloop__slab_put(&f.slab, aloop__slab_get(&f.slab, 500), 500);
    assert_int_equal(f.calls[1], calls + 1);
    assert_true(f.bytes[1] < 128 * HUGE_MANY + CHUNK_SIZE_HUGE + 65536);
    for (size_t i = 0; i < HUGE_MANY; i++) {
        for (size_t j = 0; j < 128; j++)
            assert_int_equal(objects[i][j], i % 251);
        aloop__slab_put(&f.slab, objects[i], 128);
    }
    end_window();
    end_window();
    assert_true(f.bytes[1] < 65536);
}

static void a_slab_with_one_allocator_has_no_huge_chunks(void **state)
{
    struct aloop__slab slab;
    void *object = NULL;

    (void) state;
    skip_unless_shared();
    aloop__slab_open(&slab, &plain, &plain);
    for (size_t i = 0; i < HUGE_MANY; i++) {
        object = aloop__slab_get(&slab, 128);
        assert_non_null(object);
    }
    assert_true(f.largest < 65536 * 2);
    aloop__slab_close(&slab);
}

/* They would need 4 MiB of address space for a moment. */
static void objects_are_in_smaller_chunks_if_no_huge_one_fits(void **state)
{
    static void *objects[HUGE_MANY];

    (void) state;
    skip_unless_shared();
    f.has_no_huge = true;
    for (size_t i = 0; i < HUGE_MANY; i++) {
        objects[i] = aloop__slab_get(&f.slab, 128);
        assert_non_null(objects[i]);
    }
    for (size_t i = 0; i < HUGE_MANY; i++)
        aloop__slab_put(&f.slab, objects[i], 128);
    end_window();
    end_window();
    assert_true(f.bytes[1] < 65536);
}

static void out_of_memory_returns_null_and_loses_nothing(void **state)
{
    static void *objects[MANY];

    (void) state;
    for (unsigned nth = 1; nth <= 3; nth++) {
        size_t failures = 0;

        for (size_t i = 0; i < MANY; i++) {
            f.fails_in = nth;
            objects[i] = aloop__slab_get(&f.slab, size_of(i));
            failures += objects[i] == NULL;
        }
        f.fails_in = 0;
        assert_true(nth > 1 || failures > 0);
        put_many(objects, 0, 1);
        assert_true(f.slab.used == 0);
        aloop__slab_end_window(&f.slab);
        aloop__slab_end_window(&f.slab);
        do
            f.fails_in = 1; /* The map cannot shrink. */
        while (aloop__slab_trim(&f.slab));
        f.fails_in = 0;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_of_a_burst_is_freed_after_an_idle_window),
        TEST(one_step_of_trimming_is_small),
        TEST(trimming_keeps_objects_in_use_and_reuses_their_chunks),
        TEST(memory_used_in_each_window_is_kept),
        TEST(a_burst_during_a_trim_reuses_the_untrimmed_objects),
        TEST(objects_never_overlap_while_the_slab_is_trimmed),
        TEST(many_objects_of_one_class_are_in_huge_chunks),
        TEST(a_slab_with_one_allocator_has_no_huge_chunks),
        TEST(objects_are_in_smaller_chunks_if_no_huge_one_fits),
        TEST(out_of_memory_returns_null_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
