/* The real system: bytes that move through a pipe without being copied. */

#define _GNU_SOURCE /* For splice(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "os/sigpipe.h"

#ifdef __linux__

/* SPLICE_F_NONBLOCK concerns the pipe only.  The descriptors at the other end
 * are non-blocking themselves. */
static ssize_t splice_now(int from, int to, size_t size)
{
    ssize_t moved;

    do {
        moved = splice(from, NULL, to, NULL, size,
                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    } while (moved < 0 && errno == EINTR);
    return moved < 0 ? -errno : moved;
}

ssize_t aloop__sys_splice_in(int fd, int pipe_end, size_t size)
{
    return splice_now(fd, pipe_end, size);
}

/* splice() has no flag against SIGPIPE, which it also raises for sockets. */
ssize_t aloop__sys_splice_out(int pipe_end, int fd, size_t size)
{
    struct sigpipe sigpipe;
    ssize_t moved;

    aloop__sigpipe_block(&sigpipe, 0);
    moved = splice_now(pipe_end, fd, size);
    aloop__sigpipe_unblock(&sigpipe, moved);
    return moved;
}

/* A failure leaves the pipe as it is: the system limits the pages of one user,
 * and a smaller pipe only needs more calls. */
void aloop__sys_pipe_grow(int fd, size_t size)
{
    (void) fcntl(fd, F_SETPIPE_SZ, (int) size);
}

#else /* The forward copies, after the first call has failed. */

ssize_t aloop__sys_splice_in(int fd, int pipe_end, size_t size)
{
    (void) fd;
    (void) pipe_end;
    (void) size;
    return -ENOTSUP;
}

ssize_t aloop__sys_splice_out(int pipe_end, int fd, size_t size)
{
    (void) fd;
    (void) pipe_end;
    (void) size;
    return -ENOTSUP;
}

void aloop__sys_pipe_grow(int fd, size_t size)
{
    (void) fd;
    (void) size;
}

#endif
