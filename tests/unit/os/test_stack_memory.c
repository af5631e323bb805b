/* The memory of the pool of task stacks: what runs out, what is trimmed, and
 * what locked memory costs. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include "support/stack_fixture.h"

static void large_stacks_leave_no_memory_behind(void **state)
{
    struct aloop__stack one, two;
    size_t live = 0;

    (void) state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(aloop__stack_get(f.stacks, 1024 * KIB, &one), 0);
        assert_int_equal(aloop__stack_get(f.stacks, 1024 * KIB, &two), 0);
        aloop__stack_put(f.stacks, &one);
        aloop__stack_put(f.stacks, &two);
        if (i == 0)
            live = f.live;
    }

    assert_int_equal(f.live, live);
}

static void closing_also_frees_stacks_in_use(void **state)
{
    struct aloop__stack large;

    (void) state;
    get_many(100);
    assert_int_equal(aloop__stack_get(f.stacks, 1024 * KIB, &large), 0);
    *top(&large) = 1;

    aloop__stacks_close(f.stacks);
    assert_int_equal(f.live, 0);
    assert_int_equal(aloop__stacks_open(&f.alloc, 0, &f.stacks), 0);
}

static void running_out_of_memory_is_an_error_and_leaks_nothing(void **state)
{
    long failures = 0;
    int r = -1;

    (void) state;
    for (long calls = 0; r < 0; calls++) {
        size_t live = f.live;
        struct aloop__stacks *stacks = NULL;
        struct aloop__stack stack;

        f.calls_left = calls;
        r = aloop__stacks_open(&f.alloc, 0, &stacks);
        for (int i = 0; r == 0 && i < 400; i++)
            r = aloop__stack_get(stacks, 0, &stack);
        f.calls_left = -1;
        if (r < 0)
            assert_int_equal(r, -ENOMEM);
        failures += r < 0;
        /* A request that failed can be repeated. */
        if (stacks != NULL) {
            assert_int_equal(aloop__stack_get(stacks, 0, &stack), 0);
            *top(&stack) = 1;
            aloop__stack_put(stacks, &stack);
            aloop__stacks_close(stacks);
        }
        assert_int_equal(f.live, live);
    }
    assert_true(failures > 5);
}

static void running_out_of_address_space_is_an_error(void **state)
{
    size_t most = SIZE_MAX / 16, too_much = SIZE_MAX - 100;
    struct aloop__stacks *stacks;
    struct aloop__stack stack;

    (void) state;
    if (sizeof(void *) < 8)
        skip();
    assert_int_equal(aloop__stack_get(f.stacks, most, &stack), -ENOMEM);
    assert_int_equal(aloop__stack_get(f.stacks, too_much, &stack), -ENOMEM);
    assert_int_equal(aloop__stacks_open(&f.alloc, too_much, &stacks), -ENOMEM);
    assert_int_equal(aloop__stacks_open(&f.alloc, most, &stacks), 0);
    assert_int_equal(aloop__stack_get(stacks, 0, &stack), -ENOMEM);
    assert_int_equal(aloop__stack_get(stacks, 0, &stack), -ENOMEM);

    aloop__stacks_close(stacks);
    assert_int_equal(aloop__stack_get(f.stacks, 0, &stack), 0);
}

#if defined(__linux__)

static bool is_resident(const struct aloop__stack *stack)
{
    size_t size = aloop__sys_page_size();
    unsigned char resident = 0;
    char *page = top(stack);

    page -= (uintptr_t) page % size;
    return mincore(page, size, &resident) == 0 && (resident & 1) != 0;
}

static size_t count_resident(size_t count)
{
    size_t resident = 0;

    for (size_t i = 0; i < count; i++)
        resident += is_resident(&f.stack[i]);
    return resident;
}

static void trimming_frees_pages_and_keeps_guards(void **state)
{
    size_t size = aloop__sys_page_size();
    char *pages = aloop__sys_pages_map(2 * size);
    struct aloop__stack last = {pages + size, size, NULL};
    int fds[2];

    (void) state;
    assert_non_null(pages);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(aloop__sys_pages_guard(pages, size, false), 0);
    *top(&last) = 1;
    bool was_resident = is_resident(&last);
    aloop__sys_pages_trim(pages, 2 * size);

    assert_true(was_resident);
    assert_false(is_resident(&last));
    assert_int_equal(*top(&last), 0);
    assert_int_equal(write(fds[1], pages, 1), -1);
    assert_int_equal(errno, EFAULT);
    (void) close(fds[0]);
    (void) close(fds[1]);
    aloop__sys_pages_unmap(pages, 2 * size);
}

/* Ends a window of time, and returns how many stacks were trimmed. */
static size_t end_window(void)
{
    size_t steps = 0;

    aloop__stacks_end_window(f.stacks);
    while (aloop__stacks_trim(f.stacks))
        steps++;
    return steps;
}

static void get_touched(size_t count)
{
    get_many(count);
    for (size_t i = 0; i < count; i++)
        *top(&f.stack[i]) = (char) i;
}

static void stacks_that_stay_free_are_trimmed(void **state)
{
    enum { COUNT = 1024 };

    (void) state;
    get_touched(COUNT);
    put_many(COUNT);
    assert_int_equal(count_resident(COUNT), COUNT);
    assert_true(aloop__stacks_have_spare(f.stacks));
    assert_int_equal(end_window(), 0); /* They were in use in this window. */
    assert_int_equal(end_window(), COUNT - KEPT);

    assert_true(count_resident(COUNT) <= KEPT);
    assert_false(aloop__stacks_have_spare(f.stacks));
    free(f.stack);
    get_touched(COUNT);
    put_many(COUNT);
}

static void a_trimmed_stack_can_be_used_again(void **state)
{
    enum { COUNT = 256 };

    (void) state;
    get_touched(COUNT);
    for (int i = 0; i < COUNT; i++)
        if (i % 64 != 0) /* One in use keeps its slab. */
            aloop__stack_put(f.stacks, &f.stack[i]);
    (void) end_window();
    (void) end_window();
    assert_int_equal(count_resident(COUNT), COUNT / 64 + KEPT);
    for (int i = 0; i < COUNT; i++)
        if (i % 64 != 0)
            assert_int_equal(aloop__stack_get(f.stacks, 0, &f.stack[i]), 0);

    for (int i = 0; i < COUNT; i++)
        *top(&f.stack[i]) = (char) i;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(*top(&f.stack[i]), (char) i);
    put_many(COUNT);
    assert_true(child_dies(overrun_in_small_steps)); /* The guard is there. */
}

/* A task that runs for a long time keeps its own stack, but not the free stacks
 * of the same slab. */
static void a_stack_in_use_does_not_keep_its_free_neighbours(void **state)
{
    enum { COUNT = 1024 };

    (void) state;
    get_touched(COUNT);
    for (int i = 0; i < COUNT; i++)
        if (i % 64 != 7)
            aloop__stack_put(f.stacks, &f.stack[i]);
    (void) end_window();
    (void) end_window();

    assert_int_equal(count_resident(COUNT), COUNT / 64 + KEPT);
    for (int i = 7; i < COUNT; i += 64) {
        assert_int_equal(*top(&f.stack[i]), (char) i);
        aloop__stack_put(f.stacks, &f.stack[i]);
    }
}

/* The mappings and the records of the stacks are freed, too. */
static void little_memory_remains_after_a_burst(void **state)
{
    size_t count = is_slow() ? 500 : 10000, live;

    (void) state;
    if (sizeof(void *) < 8 || aloop__sys_pages_are_scarce())
        skip();
    get_touched(100);
    put_many(100);
    (void) end_window();
    (void) end_window();
    live = f.live;
    free(f.stack);
    get_touched(count);
    put_many(count);
    (void) end_window();
    (void) end_window();

    assert_true(count_resident(count) <= KEPT);
    assert_true(f.live <= live + 4096);
}

static size_t largest_free;

static void *note_free(void *context, void *old, size_t old_size, size_t size)
{
    if (old_size > size && old_size - size > largest_free)
        largest_free = old_size - size;
    return counted_resize(context, old, old_size, size);
}

/* To free several MiB would take longer than a step may. */
static void the_record_of_many_stacks_is_freed_in_small_steps(void **state)
{
    size_t count = 40000, live;

    (void) state;
    if (is_slow() || sizeof(void *) < 8 || aloop__sys_pages_are_scarce())
        skip();
    get_many(1);
    put_many(1);
    live = f.live;
    free(f.stack);
    get_many(count);
    put_many(count);
    f.alloc.resize = note_free;
    largest_free = 0;
    (void) end_window();
    (void) end_window();

    assert_in_range(largest_free, 1, 64 * KIB);
    assert_true(f.live <= live + count / 4);
}

/* An allocator need not be able to shrink memory. */
static void *refuse_shrink(void *context, void *old, size_t old_size,
                           size_t size)
{
    if (size > 0 && size < old_size)
        return NULL;
    return counted_resize(context, old, old_size, size);
}

static void the_record_of_many_stacks_is_freed_if_it_cannot_shrink(void **state)
{
    size_t count = 20000, live;

    (void) state;
    if (is_slow() || sizeof(void *) < 8 || aloop__sys_pages_are_scarce())
        skip();
    get_many(count);
    put_many(count);
    live = f.live;
    f.alloc.resize = refuse_shrink;
    (void) end_window();
    (void) end_window();

    assert_true(f.live < live / 4);
}

static void stacks_in_use_are_not_trimmed(void **state)
{
    enum { COUNT = 1024 };

    (void) state;
    get_touched(COUNT);
    for (int i = 0; i < COUNT; i += 2)
        aloop__stack_put(f.stacks, &f.stack[i]);
    (void) end_window();
    (void) end_window();

    for (int i = 1; i < COUNT; i += 2) {
        assert_int_equal(*top(&f.stack[i]), (char) i);
        aloop__stack_put(f.stacks, &f.stack[i]);
    }
}

static void stacks_taken_during_a_trim_are_not_trimmed(void **state)
{
    enum { COUNT = 200, HALF = 100 };

    (void) state;
    get_touched(COUNT);
    put_many(COUNT);
    aloop__stacks_end_window(f.stacks);
    aloop__stacks_end_window(f.stacks);
    assert_true(aloop__stacks_trim(f.stacks));
    free(f.stack);
    get_touched(COUNT);
    for (int i = HALF; i < COUNT; i++)
        aloop__stack_put(f.stacks, &f.stack[i]);

    assert_false(aloop__stacks_trim(f.stacks));
    assert_int_equal(count_resident(COUNT), COUNT);
    for (int i = 0; i < HALF; i++)
        assert_int_equal(*top(&f.stack[i]), (char) i);
}

static void stacks_used_in_each_window_are_kept(void **state)
{
    enum { COUNT = 1024 };

    (void) state;
    get_touched(COUNT);
    put_many(COUNT);
    (void) end_window();
    for (int window = 0; window < (is_slow() ? 10 : 100); window++) {
        for (int i = 0; i < COUNT; i++)
            (void) aloop__stack_get(f.stacks, 0, &f.stack[i]);
        put_many(COUNT);
        assert_int_equal(end_window(), 0);
    }

    assert_int_equal(count_resident(COUNT), COUNT);
}

/* Returns a field of /proc/self/status, in KiB. */
static size_t status_kib(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    size_t value = 0;
    char line[128];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name), NULL, 10);
    (void) fclose(file);
    return value;
}

/* Runs `run` in a child, because its limits and memory locks must not affect
 * other tests.  Returns the exit status. */
static int in_child(int (*run)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run());
    assert_int_equal(patient_waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

enum { FINE, WRONG, IMPOSSIBLE = 77 };

/* Checks that `count` stacks lock no more memory than they can hold. */
static int lock_and_get(struct aloop__stacks *stacks, size_t count)
{
    struct aloop__stack stack[100] = {{0}};
    size_t locked = status_kib("VmLck:"), used;

    for (size_t i = 0; i < count; i++)
        if (aloop__stack_get(stacks, 0, &stack[i]) < 0)
            return WRONG;
    used = status_kib("VmLck:") - locked;
    for (size_t i = 0; i < count; i++)
        aloop__stack_put(stacks, &stack[i]);
    for (int i = 0; i < 2; i++)
        for (aloop__stacks_end_window(stacks); aloop__stacks_trim(stacks);)
            continue;
    if (used > count * (stack[0].size + 128 * KIB) / KIB)
        return WRONG;
    return status_kib("VmLck:") - locked <= used * KEPT / count ? FINE : WRONG;
}

static int lock_before(void)
{
    struct aloop__stacks *stacks;

    if (mlockall(MCL_FUTURE) != 0)
        return IMPOSSIBLE;
    return aloop__stacks_open(&f.alloc, 0, &stacks) == 0
               ? lock_and_get(stacks, 100)
               : WRONG;
}

static int lock_later(void)
{
    if (mlockall(MCL_FUTURE) != 0)
        return IMPOSSIBLE;
    return lock_and_get(f.stacks, 20);
}

/* Locks memory when the stacks of a first slab are all in use. */
static int lock_after_a_slab(void)
{
    struct aloop__stack stack;

    for (int i = 0; i < 64; i++)
        if (aloop__stack_get(f.stacks, 0, &stack) < 0)
            return WRONG;
    return lock_later();
}

static void locked_memory_is_mapped_only_for_stacks_in_use(void **state)
{
    int result;

    (void) state;
    if (is_slow())
        skip();
    result = in_child(lock_before);
    if (result == IMPOSSIBLE)
        skip();
    assert_int_equal(result, FINE);
    assert_int_equal(in_child(lock_later), FINE);
    assert_int_equal(in_child(lock_after_a_slab), FINE);
}

static int limit_later(void)
{
    size_t size = status_kib("VmSize:") * KIB + 2048 * KIB;
    struct rlimit limit = {size, size};
    struct aloop__stack stack;

    if (size == 2048 * KIB || setrlimit(RLIMIT_AS, &limit) != 0)
        return IMPOSSIBLE;
    for (int i = 0; i < 4; i++)
        if (aloop__stack_get(f.stacks, 0, &stack) < 0)
            return WRONG;
    while (aloop__stack_get(f.stacks, 0, &stack) == 0)
        *top(&stack) = 1;
    return FINE;
}

static void a_smaller_mapping_is_made_if_a_large_one_is_refused(void **state)
{
    int result;

    (void) state;
    if (is_slow())
        skip();
    result = in_child(limit_later);
    if (result == IMPOSSIBLE)
        skip();
    assert_int_equal(result, FINE);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(large_stacks_leave_no_memory_behind),
        TEST(closing_also_frees_stacks_in_use),
        TEST(running_out_of_memory_is_an_error_and_leaks_nothing),
        TEST(running_out_of_address_space_is_an_error),
#if defined(__linux__)
        TEST(trimming_frees_pages_and_keeps_guards),
        TEST(stacks_that_stay_free_are_trimmed),
        TEST_HEAVY(stacks_that_stay_free_are_trimmed),
        TEST(a_trimmed_stack_can_be_used_again),
        TEST(a_stack_in_use_does_not_keep_its_free_neighbours),
        TEST_HEAVY(a_stack_in_use_does_not_keep_its_free_neighbours),
        TEST(little_memory_remains_after_a_burst),
        TEST(the_record_of_many_stacks_is_freed_in_small_steps),
        TEST(the_record_of_many_stacks_is_freed_if_it_cannot_shrink),
        TEST(stacks_in_use_are_not_trimmed),
        TEST(stacks_taken_during_a_trim_are_not_trimmed),
        TEST(stacks_used_in_each_window_are_kept),
        TEST(locked_memory_is_mapped_only_for_stacks_in_use),
        TEST(a_smaller_mapping_is_made_if_a_large_one_is_refused),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
