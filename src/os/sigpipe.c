/* Writes that raise no SIGPIPE; see sigpipe.h.
 *
 * write() and writev() have no flag against it, unlike send().  Ignoring the
 * signal would change the process for the application.  Therefore it is blocked
 * on this thread during the write, and the one that the write has raised is
 * consumed while it is still blocked.  SIGPIPE is sent to the thread that
 * writes (signal(7)), where a handler of the application would otherwise
 * run. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sigpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

_Static_assert(sizeof(sigset_t) <= sizeof(((struct sigpipe *) 0)->before),
               "a mask fits");

/* Returns whether SIGPIPE is pending for the thread or for the process. */
static bool is_pending(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGPIPE);
}

void aloop__sigpipe_block(struct sigpipe *sigpipe, int other)
{
    sigset_t blocked, before;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    if (other != 0)
        sigaddset(&blocked, other);
    sigpipe->was_pending = is_pending();
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    memcpy(sigpipe->before, &before, sizeof before);
}

/* A signal that was pending before is not ours, and stays pending.  sigwait()
 * does not wait, because the signal is pending. */
void aloop__sigpipe_unblock(const struct sigpipe *sigpipe, ssize_t result)
{
    sigset_t broken_pipe, before;
    int number;

    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    if (result == -EPIPE && !sigpipe->was_pending && is_pending())
        sigwait(&broken_pipe, &number);
    memcpy(&before, sigpipe->before, sizeof before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The flag belongs to the open file, which other processes may share.  It is
 * restored after each write. */
int aloop__sigpipe_set_in_file(int fd, int is_quiet)
{
#ifdef F_SETNOSIGPIPE
    int before = fcntl(fd, F_GETNOSIGPIPE);

    if (before != is_quiet)
        (void) fcntl(fd, F_SETNOSIGPIPE, is_quiet);
    return before;
#else
    (void) fd;
    return is_quiet;
#endif
}
