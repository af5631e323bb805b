/* Signal dispositions, and the lock that handlers share with the loops.
 *
 * Nothing here runs unless somebody watches a signal.  `kept` is written only
 * by the two functions that the caller serialises. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

/* What was there before us, by signal number. */
static struct {
    struct sigaction before;
    bool is_ours;
} kept[SYS_SIGNAL_MAX + 1];

/* The process that has it, 0: nobody.  A forked child may find that of its
 * parent there: the thread that had it does not exist here. */
static atomic_int lock;
static sigset_t mask_before; /* The lock holder's; guarded by the lock. */

int sys_signal_catch(int number, void (*handler)(int number))
{
    struct sigaction action = {0}, before;

    if (number < 1 || number > SYS_SIGNAL_MAX)
        return -EINVAL;
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    if (sigaction(number, &action, &before) < 0)
        return -errno;
    if (!kept[number].is_ours) {
        kept[number].before = before;
        kept[number].is_ours = true;
    }
    return 0;
}

void sys_signal_restore(int number)
{
    if (number < 1 || number > SYS_SIGNAL_MAX || !kept[number].is_ours)
        return;
    (void) sigaction(number, &kept[number].before, NULL);
    kept[number].is_ours = false;
}

static bool is_ignored(int number)
{
    struct sigaction now;

    return sigaction(number, NULL, &now) == 0 &&
           (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
}

int sys_signal_interrupts(int ret_numbers[SYS_INTERRUPTS])
{
    static const int numbers[SYS_INTERRUPTS] = {SIGINT, SIGTERM};
    int count = 0;

    for (int i = 0; i < SYS_INTERRUPTS; i++)
        if (!is_ignored(numbers[i]))
            ret_numbers[count++] = numbers[i];
    return count;
}

static bool take_lock(void)
{
    int self = (int) getpid(), holder = 0;

    if (atomic_compare_exchange_strong(&lock, &holder, self))
        return true;
    return holder != self &&
           atomic_compare_exchange_strong(&lock, &holder, self);
}

void sys_signal_lock(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!take_lock())
        sched_yield();
    mask_before = before;
}

void sys_signal_unlock(void)
{
    sigset_t before = mask_before;

    atomic_store(&lock, 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sys_signal_lock_in_handler(void)
{
    while (!take_lock())
        continue; /* Short: the holder runs with its signals blocked. */
}

void sys_signal_unlock_in_handler(void)
{
    atomic_store(&lock, 0);
}
