/* Writes that raise no SIGPIPE, by calls that have no flag against it. */

#ifndef ALOOP_OS_SIGPIPE_H
#define ALOOP_OS_SIGPIPE_H

#include <stdbool.h>
#include <sys/types.h>

/* The state between aloop__sigpipe_block() and aloop__sigpipe_unblock(). */
struct sigpipe {
    /* The mask of the thread: a sigset_t, stored as bytes because this header
     * compiles without POSIX, as all others do. */
    _Alignas(8) unsigned char before[128];
    bool was_pending;
};

/* Blocks SIGPIPE on this thread, and one more signal unless `other` is 0. */
void aloop__sigpipe_block(struct sigpipe *sigpipe, int other);
/* Restores the mask.  If the write in between has returned -EPIPE, the SIGPIPE
 * that it has raised is consumed. */
void aloop__sigpipe_unblock(const struct sigpipe *sigpipe, ssize_t result);

/* Sets whether a write raises no SIGPIPE, where that is a flag of the file:
 * macOS and NetBSD raise SIGPIPE for the whole process, so that blocking it on
 * one thread is not enough.  Returns the previous value. */
int aloop__sigpipe_set_in_file(int fd, int is_quiet);

#endif
