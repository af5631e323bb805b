/* Shared by the tests of stacks: a pool of stacks with an allocator that counts
 * and can fail, and overflows of a stack in a child process. */

#ifndef STACK_FIXTURE_H
#define STACK_FIXTURE_H

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
    size_t live;     /* Bytes that are allocated. */
    long calls_left; /* Allocations until one fails; < 0: none fails. */
    struct aloop__stacks *stacks;
    struct aloop__stack *stack; /* An array, for tests that need many stacks. */
    bool is_without_light_guards; /* The trial of light guards fails. */
    size_t guards[2];             /* Number made by mprotect(), and light. */
} f;

#ifdef WITH_WRAPS

bool __real_aloop__sys_pages_have_light_guards(void);
bool __wrap_aloop__sys_pages_have_light_guards(void);
int __real_aloop__sys_pages_guard(void *pages, size_t size, bool is_light);
int __wrap_aloop__sys_pages_guard(void *pages, size_t size, bool is_light);

bool __wrap_aloop__sys_pages_have_light_guards(void)
{
    return !f.is_without_light_guards &&
           __real_aloop__sys_pages_have_light_guards();
}

int __wrap_aloop__sys_pages_guard(void *pages, size_t size, bool is_light)
{
    int error = __real_aloop__sys_pages_guard(pages, size, is_light);

    f.guards[is_light] += error == 0;
    return error;
}

#endif

static inline void *counted_resize(void *context, void *old, size_t old_size,
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

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.alloc.resize = counted_resize;
    f.calls_left = -1;
    return aloop__stacks_open(&f.alloc, 0, &f.stacks);
}

static inline int set_up_without_light_guards(void **state)
{
    int r = set_up(state);

    aloop__stacks_close(f.stacks);
    f.is_without_light_guards = true;
    return r < 0 ? r : aloop__stacks_open(&f.alloc, 0, &f.stacks);
}

static inline int tear_down(void **state)
{
    (void) state;
    aloop__stacks_close(f.stacks);
    free(f.stack);
    return f.live == 0 ? 0 : -1;
}

/* Returns whether a tool makes each stack expensive, so that a test should use
 * fewer of them. */
static inline bool is_slow(void)
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

static inline void get_many(size_t count)
{
    f.stack = calloc(count, sizeof *f.stack);
    assert_non_null(f.stack);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(aloop__stack_get(f.stacks, 0, &f.stack[i]), 0);
}

static inline void put_many(size_t count)
{
    for (size_t i = 0; i < count; i++)
        aloop__stack_put(f.stacks, &f.stack[i]);
}

/* Returns the byte where the first frame of a task would be. */
static inline char *top(const struct aloop__stack *stack)
{
    return (char *) stack->low + stack->size - 1;
}

/* Returns whether the kernel fails to read each page of the guard. */
static inline bool is_guarded(const struct aloop__stack *stack, size_t size)
{
    const char *low = stack->low;
    bool is_readable = false;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    for (size_t at = 1; at <= size && !is_readable;
         at += aloop__sys_page_size())
        is_readable = write(fds[1], low - at, 1) >= 0 || errno != EFAULT;
    (void) close(fds[0]);
    (void) close(fds[1]);
    return !is_readable;
}

/* Contexts of child_dies(). */
static struct aloop__context child, thread;

/* Exceeds the depth of any stack here.  The limit exists because compilers warn
 * about recursion that never ends. */
static volatile int steps_left = 1 << 20;

__attribute__((noinline, unused)) static void overrun_in_small_steps(void *arg)
{
    volatile char frame[256];

    frame[0] = frame[255] = 1;
    if (steps_left-- > 0)
        overrun_in_small_steps(arg);
    frame[0] = frame[255];
}

/* Returns whether a process ends when `overrun` runs on a stack. */
static inline bool child_dies(void (*overrun)(void *arg))
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_HEAVY(name) \
    { \
#name " (mprotect)", name, set_up_without_light_guards, tear_down, \
            NULL \
    }

#endif
