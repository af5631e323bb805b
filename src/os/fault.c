/* Memory faults; see fault.h.
 *
 * The handlers belong to the process, so that all loops with this option share
 * them: the first loop installs them and the last one restores what was there
 * before.  What runs in the handler is async-signal-safe: it takes no lock. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "os/sys.h"

enum { STACK_SIZE_LEAST = 64 * 1024 };

/* An access to a guard raises SIGSEGV on Linux and SIGBUS on some other
 * systems. */
static struct {
    const int number;
    struct sigaction before;
} fault_signals[] = {{SIGSEGV, {.sa_flags = 0}}, {SIGBUS, {.sa_flags = 0}}};

enum { SIGNALS = sizeof fault_signals / sizeof fault_signals[0] };

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned fault_watches; /* Guarded by fault_lock. */
/* Atomic, because handlers must not take fault_lock. */
static _Atomic(aloop__fault_fn) reporter;

static struct sigaction *before_of(int number)
{
    return &fault_signals[number == fault_signals[0].number ? 0 : 1].before;
}

/* Returns whether the action is a default and no handler. */
static bool is_plain(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) == 0 &&
           (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN);
}

/* Asks the library whether it can explain the fault. */
static void report_fault(const void *address)
{
    aloop__fault_fn report = atomic_load(&reporter);

    if (report != NULL)
        report(address);
}

/* Has the effect that the signal would have had without this file. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction *before = before_of(number);

    if (is_plain(before)) {
        if (before->sa_handler == SIG_IGN && info->si_code <= 0)
            return;
        /* The fault, or the signal that was sent, is raised again. */
        (void) sigaction(number, before, NULL);
        if (info->si_code <= 0)
            (void) pthread_kill(pthread_self(), number);
    } else if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(number, info, context);
    } else {
        before->sa_handler(number);
    }
}

/* The handler.  si_code is positive for a fault of this thread; otherwise
 * another process or thread has sent the signal (sigaction(2)). */
static void fault_caught(int number, siginfo_t *info, void *context)
{
    int error = errno;

    if (info->si_code > 0)
        report_fault(info->si_addr);
    errno = error;
    pass_on(number, info, context);
}

/* Installs the handler.  Its mask is that of the previous handler, which may
 * rely on it. */
static int catch (int number, struct sigaction *before)
{
    struct sigaction action;

    if (sigaction(number, NULL, before) < 0)
        return -errno;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = fault_caught;
    action.sa_mask = before->sa_mask;
    action.sa_flags = (before->sa_flags & (SA_NODEFER | SA_RESTART)) |
                      SA_SIGINFO | SA_ONSTACK;
    return sigaction(number, &action, NULL) < 0 ? -errno : 0;
}

/* Restores the previous action, unless the application has set another one
 * since. */
static void restore(int number, const struct sigaction *before)
{
    struct sigaction now;

    if (sigaction(number, NULL, &now) == 0 &&
        (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == fault_caught)
        (void) sigaction(number, before, NULL);
}

/* After a failure no handler of the library is left installed. */
int aloop__fault_watch(aloop__fault_fn report)
{
    int error = 0, i = 0;

    pthread_mutex_lock(&fault_lock);
    if (fault_watches == 0) {
        while (i < SIGNALS && error == 0) {
            error = catch (fault_signals[i].number, &fault_signals[i].before);
            i += error == 0;
        }
        while (error < 0 && i-- > 0)
            restore(fault_signals[i].number, &fault_signals[i].before);
    }
    if (error == 0) {
        atomic_store(&reporter, report);
        fault_watches++;
    }
    pthread_mutex_unlock(&fault_lock);
    return error;
}

void aloop__fault_unwatch(void)
{
    pthread_mutex_lock(&fault_lock);
    if (--fault_watches == 0)
        for (int i = 0; i < SIGNALS; i++)
            restore(fault_signals[i].number, &fault_signals[i].before);
    pthread_mutex_unlock(&fault_lock);
}

/* Restores the action that was there before, and unblocks the signal, because a
 * blocked one would only stay pending. */
void aloop__fault_raise(const void *address)
{
    struct sigaction now;
    sigset_t fault;

    report_fault(address);
    if (sigaction(SIGSEGV, NULL, &now) == 0 &&
        (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == fault_caught)
        (void) sigaction(SIGSEGV, before_of(SIGSEGV), NULL);
    sigemptyset(&fault);
    sigaddset(&fault, SIGSEGV);
    (void) pthread_sigmask(SIG_UNBLOCK, &fault, NULL);
    (void) pthread_kill(pthread_self(), SIGSEGV);
}

void aloop__fault_stack_open(struct aloop__fault_stack *stack)
{
    stack->size = STACK_SIZE_LEAST;
#if defined(_SC_SIGSTKSZ)
    long size = sysconf(_SC_SIGSTKSZ); /* The constant is too small for AMX. */

    if (size > STACK_SIZE_LEAST)
        stack->size = (size_t) size;
#endif
    stack->pages = aloop__sys_pages_map(stack->size);
}

void aloop__fault_stack_close(struct aloop__fault_stack *stack)
{
    if (stack->pages != NULL)
        aloop__sys_pages_unmap(stack->pages, stack->size);
    stack->pages = NULL;
}

/* A turn begins on this thread.  A stack that the application has set is
 * respected. */
void aloop__fault_stack_enter(struct aloop__fault_stack *stack)
{
    stack_t own, now;

    if (stack->pages == NULL || sigaltstack(NULL, &now) < 0 ||
        (now.ss_flags & SS_DISABLE) == 0)
        return;
    memset(&own, 0, sizeof own);
    own.ss_sp = stack->pages;
    own.ss_size = stack->size;
    stack->is_set = sigaltstack(&own, NULL) == 0;
}

/* A turn ends.  The next one may run on another thread, with the same stack. */
void aloop__fault_stack_leave(struct aloop__fault_stack *stack)
{
    stack_t none, now;

    if (!stack->is_set)
        return;
    stack->is_set = false;
    if (sigaltstack(NULL, &now) < 0 || now.ss_sp != stack->pages)
        return; /* A callback has set another one. */
    memset(&none, 0, sizeof none);
    none.ss_flags = SS_DISABLE;
    none.ss_size = stack->size; /* macOS checks it even here. */
    (void) sigaltstack(&none, NULL);
}
