/* Signal actions, the number of signals received, and the lock that handlers
 * share with the loops.
 *
 * Nothing here runs unless the application watches a signal.  `kept_actions`
 * and `signal_callback` are written only by functions that the caller
 * serialises. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "os/tools.h"

/* The previous actions, by signal number. */
static struct {
    struct sigaction before;
    bool is_ours;
} kept_actions[SYS_SIGNAL_MAX + 1];

static void (*_Atomic signal_callback)(int number);
static sigset_t mask_before; /* Of the holder; guarded by the lock. */

/* The handler of all signals that are watched.  It preserves errno, because it
 * may interrupt any code.  A vforked child counts nothing, because the memory
 * is its parent's. */
static void signal_caught(int number)
{
    struct sys_process *process = aloop__sys_process();
    void (*handler)(int number) = atomic_load(&signal_callback);
    int error = errno;

    if (!aloop__sys_process_is_borrowed(process)) {
        atomic_fetch_add(&process->received[number], 1);
        handler(number);
    }
    errno = error;
}

/* Returns whether `action` is the one that aloop__sys_signal_catch() sets. */
static bool is_caught(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) == 0 &&
           action->sa_handler == signal_caught;
}

/* All signals are blocked in the handler, because handlers take the lock. */
int aloop__sys_signal_catch(int number, void (*handler)(int number))
{
    struct sigaction action = {0}, before;

    if (number < 1 || number > SYS_SIGNAL_MAX)
        return -EINVAL;
    atomic_store(&signal_callback, handler);
    action.sa_handler = signal_caught;
    action.sa_flags = SA_RESTART | (tools_allow_onstack() ? SA_ONSTACK : 0);
    sigfillset(&action.sa_mask);
    if (sigaction(number, &action, &before) < 0)
        return -errno;
    if (!is_caught(&before))
        kept_actions[number].before = before;
    kept_actions[number].is_ours = true;
    return 0;
}

/* The application may have set another action since; that one stays. */
void aloop__sys_signal_restore(int number)
{
    struct sigaction now;

    if (number < 1 || number > SYS_SIGNAL_MAX || !kept_actions[number].is_ours)
        return;
    if (sigaction(number, NULL, &now) == 0 && is_caught(&now))
        (void) sigaction(number, &kept_actions[number].before, NULL);
    kept_actions[number].is_ours = false;
}

/* Returns whether the process ignores the signal. */
static bool is_ignored(int number)
{
    struct sigaction now;

    return sigaction(number, NULL, &now) == 0 &&
           (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
}

int aloop__sys_signal_interrupts(int ret_numbers[SYS_INTERRUPTS])
{
    static const int numbers[SYS_INTERRUPTS] = {SIGINT, SIGTERM};
    int count = 0;

    for (int i = 0; i < SYS_INTERRUPTS; i++)
        if (!is_ignored(numbers[i]))
            ret_numbers[count++] = numbers[i];
    return count;
}

unsigned aloop__sys_signal_received(int number)
{
    return atomic_load(&aloop__sys_process()->received[number]);
}

/* Takes the lock if it is free.  Returns whether the caller has it.  It
 * contains the pid of its holder.  If the page was not cleared, a forked child
 * recognises by that pid that the holder is a thread of its parent, and takes
 * the lock over. */
static bool take_lock(void)
{
    atomic_int *lock = &aloop__sys_process()->signal_lock;
    int self = (int) getpid(), holder = 0;

    if (atomic_compare_exchange_strong(lock, &holder, self))
        return true;
    return holder != self &&
           atomic_compare_exchange_strong(lock, &holder, self);
}

/* `mask_before` is written by the holder alone. */
void aloop__sys_signal_lock(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!take_lock())
        sched_yield();
    mask_before = before;
}

/* The mask is copied before the lock is free, because the next holder writes
 * it. */
void aloop__sys_signal_unlock(void)
{
    sigset_t before = mask_before;

    atomic_store(&aloop__sys_process()->signal_lock, 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void aloop__sys_signal_lock_in_handler(void)
{
    while (!take_lock())
        continue; /* This is short: the holder runs with its signals blocked. */
}

void aloop__sys_signal_unlock_in_handler(void)
{
    atomic_store(&aloop__sys_process()->signal_lock, 0);
}
