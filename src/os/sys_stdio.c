/* The real system: descriptors that are shared with other programs.
 *
 * O_NONBLOCK belongs to the open file, which a shell, the programs that it
 * starts and often all three standard descriptors share.  A program that sets
 * it makes the reads of the others fail.  Linux has flags for one call instead.
 * Elsewhere poll() is asked before the call. */

#define _GNU_SOURCE /* For syscall(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "os/flagged.h"
#include "os/refusal.h"
#include "os/sigpipe.h"
#include "os/sys_file.h"
#include "os/sys_stream.h"

/* Calls with flags. */

enum {
    FLAG_NOWAIT = 8,      /* RWF_NOWAIT */
    FLAG_NOSIGNAL = 0x100 /* RWF_NOSIGNAL, of Linux 6.18. */
};

#ifdef __linux__

/* The position of the file is used if the offset is -1. */
static ssize_t write_flagged(int fd, const struct sys_piece *pieces,
                             size_t count, int flags)
{
    struct iovec vectors[SYS_PIECES_MAX];
    size_t room = SYS_TRANSFER_MAX;
    size_t taken = 0;
    long result;

    for (; taken < count && taken < SYS_PIECES_MAX && room > 0; taken++) {
        size_t size = pieces[taken].size < room ? pieces[taken].size : room;

        vectors[taken] = (struct iovec){(void *) pieces[taken].data, size};
        room -= size;
    }
    do {
        result = syscall(SYS_pwritev2, fd, vectors, (long) taken, -1L, -1L,
                         (long) flags);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

ssize_t aloop__sys_read_now(int fd, void *buffer, size_t size)
{
    struct iovec vector = {buffer,
                           size < SYS_TRANSFER_MAX ? size : SYS_TRANSFER_MAX};
    long count;

    do {
        count =
            syscall(SYS_preadv2, fd, &vector, 1L, -1L, -1L, (long) FLAG_NOWAIT);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return is_refusal(errno) ? -EOPNOTSUPP : -errno;
    return count;
}

#else

static ssize_t write_flagged(int fd, const struct sys_piece *pieces,
                             size_t count, int flags)
{
    (void) fd;
    (void) pieces;
    (void) count;
    (void) flags;
    return -EOPNOTSUPP;
}

ssize_t aloop__sys_read_now(int fd, void *buffer, size_t size)
{
    (void) fd;
    (void) buffer;
    (void) size;
    return -EOPNOTSUPP;
}

#endif

/* Writes with SIGPIPE blocked for this thread. */
static ssize_t write_masked(int fd, const struct sys_piece *pieces,
                            size_t count, int flags)
{
    struct sigpipe sigpipe;
    ssize_t result;

    if (flags == 0) /* This is older than pwritev2(), and does the same. */
        return aloop__sys_writev(fd, pieces, count);
    aloop__sigpipe_block(&sigpipe, 0);
    result = write_flagged(fd, pieces, count, flags);
    aloop__sigpipe_unblock(&sigpipe, result);
    return result;
}

/* The flag against SIGPIPE costs nothing, while blocking the signal doubles the
 * time of a small write.  A refusal may have been caused by the other flags, so
 * that this one is given up only if the write is not refused without it. */
ssize_t aloop__write_silently(int fd, const struct sys_piece *pieces,
                              size_t count, int flags)
{
    static atomic_uint has_no_flag;
    ssize_t result;

    if (atomic_load_explicit(&has_no_flag, memory_order_relaxed) == 0) {
        result = write_flagged(fd, pieces, count, flags | FLAG_NOSIGNAL);
        if (result >= 0 || !is_refusal((int) -result))
            return result;
    }
    result = write_masked(fd, pieces, count, flags);
    if (result >= 0 || !is_refusal((int) -result))
        atomic_store_explicit(&has_no_flag, 1, memory_order_relaxed);
    return result;
}

ssize_t aloop__sys_write_now(int fd, const struct sys_piece *pieces,
                             size_t count)
{
    ssize_t result = aloop__write_silently(fd, pieces, count, FLAG_NOWAIT);

    return result < 0 && is_refusal((int) -result) ? -EOPNOTSUPP : result;
}

/* Calls after poll(). */

/* Errors and hang-ups count as ready, so that the call reports them. */
static bool is_ready_now(int fd, short events)
{
    return aloop__sys_poll(&(struct pollfd){.fd = fd, .events = events}, 1, 0) >
           0;
}

ssize_t aloop__sys_read_polled(int fd, void *buffer, size_t size)
{
    return is_ready_now(fd, POLLIN) ? aloop__sys_read(fd, buffer, size)
                                    : -EAGAIN;
}

/* A pipe that is ready has room for PIPE_BUF bytes. */
ssize_t aloop__sys_write_polled(int fd, const struct sys_piece *pieces,
                                size_t count)
{
    struct sys_piece first[SYS_PIECES_MAX];
    size_t room = PIPE_BUF, taken = 0;

    for (; taken < count && taken < SYS_PIECES_MAX && room > 0; taken++) {
        size_t size = pieces[taken].size < room ? pieces[taken].size : room;

        first[taken] = (struct sys_piece){pieces[taken].data, size};
        room -= size;
    }
    return is_ready_now(fd, POLLOUT) ? aloop__sys_pipe_write(fd, first, taken)
                                     : -EAGAIN;
}

/* On Linux a descriptor can be opened by its number.  Elsewhere that only makes
 * a duplicate. */
int aloop__sys_reopen(int fd)
{
#ifdef __linux__
    int access = fcntl(fd, F_GETFL);
    char name[32];

    if (access < 0)
        return -errno;
    (void) snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return aloop__sys_openat(SYS_CWD, name, (access & O_ACCMODE) | O_NONBLOCK,
                             0);
#else
    return fcntl(fd, F_GETFL) < 0 ? -errno : -ENOTSUP;
#endif
}
