/* The pool of task stacks: sizes, order and guards. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include "support/stack_fixture.h"

static void all_of_a_stack_is_usable(void **state)
{
    struct aloop__stack stack;

    (void) state;
    assert_int_equal(aloop__stack_get(f.stacks, 0, &stack), 0);
    memset(stack.low, 1, stack.size);

    assert_true(stack.size >= 32 * KIB);
    aloop__stack_put(f.stacks, &stack);
}

static void the_default_size_is_at_least_the_requested_one(void **state)
{
    static const size_t asked[] = {1, 32 * KIB, 100 * KIB, 2048 * KIB};

    (void) state;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct aloop__stacks *stacks;
        struct aloop__stack one, two;

        assert_int_equal(aloop__stacks_open(&f.alloc, asked[i], &stacks), 0);
        assert_int_equal(aloop__stack_get(stacks, 0, &one), 0);
        assert_int_equal(aloop__stack_get(stacks, asked[i], &two), 0);
        assert_true(one.size >= asked[i] && one.size >= 32 * KIB);
        assert_true(two.size >= asked[i] && two.size >= 32 * KIB);
        aloop__stacks_close(stacks);
    }
}

static void a_larger_stack_can_be_requested(void **state)
{
    size_t size = 5000 * KIB;
    struct aloop__stack large, other;

    (void) state;
    assert_int_equal(aloop__stack_get(f.stacks, size, &large), 0);
    assert_int_equal(aloop__stack_get(f.stacks, 0, &other), 0);
    memset(large.low, 1, large.size);

    assert_true(large.size >= size);
    assert_true(other.size < size);
    aloop__stack_put(f.stacks, &large);
    aloop__stack_put(f.stacks, &other);
}

static void stacks_never_overlap(void **state)
{
    enum { COUNT = 300 };

    (void) state;
    get_many(COUNT);
    for (int i = 0; i < COUNT; i++) {
        *(int *) f.stack[i].low = i;
        *top(&f.stack[i]) = (char) i;
    }

    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(*(int *) f.stack[i].low, i);
        assert_int_equal(*top(&f.stack[i]), (char) i);
        for (int j = 0; j < i; j++)
            assert_true(top(&f.stack[i]) < (char *) f.stack[j].low ||
                        top(&f.stack[j]) < (char *) f.stack[i].low);
    }
    put_many(COUNT);
}

static void the_stack_that_was_put_last_is_used_next(void **state)
{
    enum { COUNT = 200 };

    (void) state;
    get_many(COUNT);
    put_many(COUNT);

    for (int i = COUNT - 1; i >= 0; i--) {
        struct aloop__stack stack;

        assert_int_equal(aloop__stack_get(f.stacks, 0, &stack), 0);
        assert_ptr_equal(stack.low, f.stack[i].low);
        assert_int_equal(stack.size, f.stack[i].size);
    }
}

static void neighbours_begin_on_different_cache_lines(void **state)
{
    (void) state;
    get_many(2);

    assert_int_not_equal((uintptr_t) top(&f.stack[0]) % 4096,
                         (uintptr_t) top(&f.stack[1]) % 4096);
    put_many(2);
}

/* Imitates a frame of 64 KiB at the end of the stack.  Only the far end of the
 * frame is accessed, by a function that is called there. */
static void overrun_in_one_step(void *arg)
{
    const struct aloop__stack *stack = arg;
    uintptr_t address = (uintptr_t) stack->low - 64 * KIB - 16 * KIB;

    *(volatile char *) address = 1;
}

static void endless_recursion_hits_the_guard(void **state)
{
    (void) state;
    assert_true(child_dies(overrun_in_small_steps));
}

static void a_frame_of_64_kib_does_not_step_over_the_guard(void **state)
{
    (void) state;
    if (sizeof(void *) < 8 || aloop__sys_pages_are_scarce())
        skip();
    assert_true(child_dies(overrun_in_one_step));
}

static void a_dedicated_stack_has_a_guard(void **state)
{
    (void) state;
    aloop__stacks_close(f.stacks);
    assert_int_equal(aloop__stacks_open(&f.alloc, 32 * KIB, &f.stacks), 0);
    assert_true(child_dies(overrun_in_small_steps));
}

/* More than one slab: those after the first are prepared in groups. */
static void each_of_many_stacks_has_a_guard(void **state)
{
    enum { MANY = 200 };
    size_t size = sizeof(void *) < 8 || aloop__sys_pages_are_scarce()
                      ? 16 * KIB
                      : 96 * KIB;

    (void) state;
    get_many(MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(is_guarded(&f.stack[i], size));
        *(volatile char *) f.stack[i].low = 1; /* It is above the guard. */
    }
    put_many(MANY);
}

#ifdef WITH_WRAPS

static void without_light_guards_stacks_use_mprotect(void **state)
{
    (void) state;
    get_many(2);
    assert_int_equal(f.guards[true], 0);
    assert_int_equal(f.guards[false], 2);
}

static void the_number_of_mprotect_guards_is_limited(void **state)
{
    enum { COUNT = MPROTECT_MAX + 100 };

    (void) state;
    if (is_slow())
        skip();
    get_many(COUNT);
    *top(&f.stack[COUNT - 1]) = 1;

    assert_int_equal(f.guards[false], MPROTECT_MAX);
    aloop__stacks_close(f.stacks);
    assert_int_equal(aloop__stacks_open(&f.alloc, 0, &f.stacks), 0);
    assert_int_equal(aloop__stack_get(f.stacks, 0, &f.stack[0]), 0);
    assert_int_equal(f.guards[false], MPROTECT_MAX + 1);
}

#endif

static void a_hundred_thousand_stacks_can_be_in_use(void **state)
{
    size_t count = is_slow() ? 500 : 100000;

    (void) state;
    if (sizeof(void *) < 8 || aloop__sys_pages_are_scarce())
        skip();
    get_many(count);
    for (size_t i = 0; i < count; i++)
        *(volatile char *) top(&f.stack[i]) = (char) i;

    for (size_t i = 0; i < count; i++)
        assert_int_equal(*(volatile char *) top(&f.stack[i]), (char) i);
    put_many(count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_of_a_stack_is_usable),
        TEST(the_default_size_is_at_least_the_requested_one),
        TEST(a_larger_stack_can_be_requested),
        TEST(stacks_never_overlap),
        TEST(the_stack_that_was_put_last_is_used_next),
        TEST(neighbours_begin_on_different_cache_lines),
        TEST(endless_recursion_hits_the_guard),
        TEST(a_frame_of_64_kib_does_not_step_over_the_guard),
        TEST(a_dedicated_stack_has_a_guard),
        TEST(each_of_many_stacks_has_a_guard),
#ifdef WITH_WRAPS
        TEST_HEAVY(without_light_guards_stacks_use_mprotect),
        TEST_HEAVY(the_number_of_mprotect_guards_is_limited),
#endif
        TEST_HEAVY(endless_recursion_hits_the_guard),
        TEST_HEAVY(a_frame_of_64_kib_does_not_step_over_the_guard),
        TEST_HEAVY(stacks_never_overlap),
        TEST(a_hundred_thousand_stacks_can_be_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
