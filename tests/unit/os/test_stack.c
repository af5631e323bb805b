/* The pool of task stacks. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "os/context.h"
#include "os/stack.h"
#include "os/sys.h"
#include "os/tools.h"
#include "support/patient.h"

enum { KIB = 1024, KEPT = 16, MPROTECT_MAX = 8192 };

static struct {
    struct aloop__alloc alloc;
    size_t live;       /* Bytes that are allocated. */
    long calls_left;   /* Allocations until one fails; < 0: none fails. */
    struct aloop__stacks *stacks;
    struct aloop__stack *stack; /* An array, for tests that need many stacks. */
} f;

static void *counted_resize(void *context, void *old, size_t old_size,
                            size_t size)
{
    (void) context;
    if (size > 0 && f.calls_left == 0)
        return NULL;
    if (size > 0 && f.calls_left > 0)
        f.calls_left--;
    void *memory = size > 0 ? realloc(old, size) : NULL;
    if (size == 0)
        free(old);
    f.live += size - old_size;
    return memory;
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.alloc.resize = counted_resize;
    f.calls_left = -1;
    aloop__sys_pages_light_guards(true);
    return aloop__stacks_open(&f.alloc, 0, &f.stacks);
}

static int set_up_without_light_guards(void **state)
{
    int r = set_up(state);

    aloop__stacks_close(f.stacks);
    aloop__sys_pages_light_guards(false);
    return r < 0 ? r : aloop__stacks_open(&f.alloc, 0, &f.stacks);
}

static int tear_down(void **state)
{
    (void) state;
    aloop__stacks_close(f.stacks);
    free(f.stack);
    aloop__sys_pages_light_guards(true);
    return f.live == 0 ? 0 : -1;
}

/* Returns whether a tool makes each stack expensive, so that a test should use
 * fewer of them. */
static bool is_slow(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        return true;
#endif
#if defined UNDER_QEMU
    return true; /* QEMU also has limits and locks of its own. */
#else
    return WITH_ASAN || WITH_TSAN;
#endif
}

static void get_many(size_t count)
{
    f.stack = calloc(count, sizeof *f.stack);
    assert_non_null(f.stack);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(aloop__stack_get(f.stacks, 0, &f.stack[i]), 0);
}

static void put_many(size_t count)
{
    for (size_t i = 0; i < count; i++)
        aloop__stack_put(f.stacks, &f.stack[i]);
}

/* Returns the byte where the first frame of a task would be. */
static char *top(const struct aloop__stack *stack)
{
    return (char *) stack->low + stack->size - 1;
}

static void all_of_a_stack_is_usable(void **state)
{
    struct aloop__stack stack;

    (void) state;
    assert_int_equal(aloop__stack_get(f.stacks, 0, &stack), 0);
    memset(stack.low, 1, stack.size);

    assert_true(stack.size >= 32 * KIB);
    assert_int_equal(aloop__stacks_used(f.stacks), 1);
    aloop__stack_put(f.stacks, &stack);
    assert_int_equal(aloop__stacks_used(f.stacks), 0);
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
    assert_int_equal(aloop__stacks_used(f.stacks), 0);
}

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
            assert_true(top(&f.stack[i]) < (char *) f.stack[j].low
                        || top(&f.stack[j]) < (char *) f.stack[i].low);
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
    assert_int_equal(aloop__stacks_used(f.stacks), COUNT);
}

static void neighbours_begin_on_different_cache_lines(void **state)
{
    (void) state;
    get_many(2);

    assert_int_not_equal((uintptr_t) top(&f.stack[0]) % 4096,
                         (uintptr_t) top(&f.stack[1]) % 4096);
    put_many(2);
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

    assert_int_equal(aloop__stacks_used(f.stacks), 0);
    aloop__stacks_close(stacks);
    assert_int_equal(aloop__stack_get(f.stacks, 0, &stack), 0);
}

/* An overflow of a stack is tested in a child process. */

static struct aloop__context child, thread;

/* Exceeds the depth of any stack here.  The limit exists because compilers warn
 * about recursion that never ends. */
static volatile int steps_left = 1 << 20;

__attribute__((noinline)) static void overrun_in_small_steps(void *arg)
{
    volatile char frame[256];

    frame[0] = frame[255] = 1;
    if (steps_left-- > 0)
        overrun_in_small_steps(arg);
    frame[0] = frame[255];
}

/* Imitates a frame of 64 KiB at the end of the stack.  Only the far end of the
 * frame is accessed, by a function that is called there. */
static void overrun_in_one_step(void *arg)
{
    const struct aloop__stack *stack = arg;
    uintptr_t address = (uintptr_t) stack->low - 64 * KIB - 16 * KIB;

    *(volatile char *) address = 1;
}

static bool child_dies(void (*overrun)(void *arg))
{
    struct aloop__stack below, stack;
    int status, quiet;
    pid_t pid;

    assert_int_equal(aloop__stack_get(f.stacks, 0, &below), 0);
    assert_int_equal(aloop__stack_get(f.stacks, 0, &stack), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        quiet = open("/dev/null", O_WRONLY);
        (void) dup2(quiet, STDOUT_FILENO);
        (void) dup2(quiet, STDERR_FILENO);
        (void) signal(SIGSEGV, SIG_DFL);
        (void) signal(SIGBUS, SIG_DFL);
        aloop__context_init_thread(&thread);
        aloop__context_init(&child, stack.low, stack.size, overrun, &stack);
        aloop__context_switch(&thread, &child);
        _exit(0);
    }
    assert_int_equal(patient_waitpid(pid, &status, 0), pid);
    /* Sanitizers report the overflow and exit with a status of their own. */
    return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

static void endless_recursion_hits_the_guard(void **state)
{
    (void) state;
    assert_true(child_dies(overrun_in_small_steps));
}

static void a_frame_of_64_kib_does_not_step_over_the_guard(void **state)
{
    (void) state;
    if (sizeof(void *) < 8 || aloop__sys_pages_scarce())
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

static void without_light_guards_stacks_use_mprotect(void **state)
{
    (void) state;
    assert_int_equal(aloop__stacks_guard(f.stacks), GUARD_MPROTECT);
}

static void the_number_of_mprotect_guards_is_limited(void **state)
{
    enum { COUNT = MPROTECT_MAX + 100 };

    (void) state;
    if (is_slow())
        skip();
    get_many(COUNT);
    *top(&f.stack[COUNT - 1]) = 1;

    assert_int_equal(aloop__stacks_guard(f.stacks), GUARD_NONE);
    aloop__stacks_close(f.stacks);
    assert_int_equal(aloop__stacks_open(&f.alloc, 0, &f.stacks), 0);
    assert_int_equal(aloop__stacks_guard(f.stacks), GUARD_MPROTECT);
}

static void a_hundred_thousand_stacks_can_be_in_use(void **state)
{
    size_t count = is_slow() ? 500 : 100000;

    (void) state;
    if (sizeof(void *) < 8 || aloop__sys_pages_scarce())
        skip();
    get_many(count);
    for (size_t i = 0; i < count; i++)
        *(volatile char *) top(&f.stack[i]) = (char) i;

    assert_int_equal(aloop__stacks_used(f.stacks), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(*(volatile char *) top(&f.stack[i]), (char) i);
    put_many(count);
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

static void discarding_frees_pages_and_keeps_guards(void **state)
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
    bool before = is_resident(&last);
    aloop__sys_pages_discard(pages, 2 * size);

    assert_true(before);
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
    assert_int_equal(aloop__stacks_used(f.stacks), COUNT);
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
    if (sizeof(void *) < 8 || aloop__sys_pages_scarce())
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
    for (int window = 0; window < 100; window++) {
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_HEAVY(name)                                                       \
    {#name " (mprotect)", name, set_up_without_light_guards, tear_down, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_of_a_stack_is_usable),
        TEST(the_default_size_is_at_least_the_requested_one),
        TEST(a_larger_stack_can_be_requested),
        TEST(large_stacks_leave_no_memory_behind),
        TEST(stacks_never_overlap),
        TEST(the_stack_that_was_put_last_is_used_next),
        TEST(neighbours_begin_on_different_cache_lines),
        TEST(closing_also_frees_stacks_in_use),
        TEST(running_out_of_memory_is_an_error_and_leaks_nothing),
        TEST(running_out_of_address_space_is_an_error),
        TEST(endless_recursion_hits_the_guard),
        TEST(a_frame_of_64_kib_does_not_step_over_the_guard),
        TEST(a_dedicated_stack_has_a_guard),
        TEST_HEAVY(without_light_guards_stacks_use_mprotect),
        TEST_HEAVY(endless_recursion_hits_the_guard),
        TEST_HEAVY(a_frame_of_64_kib_does_not_step_over_the_guard),
        TEST_HEAVY(stacks_never_overlap),
        TEST_HEAVY(the_number_of_mprotect_guards_is_limited),
        TEST(a_hundred_thousand_stacks_can_be_in_use),
#if defined(__linux__)
        TEST(discarding_frees_pages_and_keeps_guards),
        TEST(stacks_that_stay_free_are_trimmed),
        TEST_HEAVY(stacks_that_stay_free_are_trimmed),
        TEST(a_trimmed_stack_can_be_used_again),
        TEST(a_stack_in_use_does_not_keep_its_free_neighbours),
        TEST_HEAVY(a_stack_in_use_does_not_keep_its_free_neighbours),
        TEST(little_memory_remains_after_a_burst),
        TEST(stacks_in_use_are_not_trimmed),
        TEST(stacks_taken_during_a_trim_are_not_trimmed),
        TEST(stacks_used_in_each_window_are_kept),
        TEST(locked_memory_is_mapped_only_for_stacks_in_use),
        TEST(a_smaller_mapping_is_made_if_a_large_one_is_refused),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
