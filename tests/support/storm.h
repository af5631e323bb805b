/* Signals in quick succession, for tests of calls that they interrupt, and a
 * check whether a signal is blocked. */

#ifndef STORM_H
#define STORM_H

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>

/* Number of signals received so far. */
static atomic_int signals;

static inline void on_signal(int number)
{
    (void) number;
    atomic_fetch_add(&signals, 1);
}

/* Sends a signal every `us` microseconds, with a handler that does not restart
 * calls.  0 stops the signals. */
static inline void storm(int us)
{
    struct sigaction action = {.sa_handler = us > 0 ? on_signal : SIG_IGN};
    struct itimerval timer = {
        .it_interval = {.tv_usec = us},
        .it_value = {.tv_usec = us},
    };

    sigemptyset(&action.sa_mask);
    if (us > 0)
        sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    if (us == 0)
        sigaction(SIGALRM, &action, NULL);
}

/* Waits for so many signals that a blocking call has been interrupted. */
static inline void await_signals(void)
{
    int before = atomic_load(&signals);

    while (atomic_load(&signals) < before + 5)
        poll(NULL, 0, 1);
}

static inline bool is_blocked(int number)
{
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, number) == 1;
}

#endif
