/* The seam, continued: descriptors that streams can use, whatever they are.
 * The rules of sys.h hold. */

#ifndef ALOOP_OS_SYS_STREAM_H
#define ALOOP_OS_SYS_STREAM_H

#include "os/sys.h"

/* sys_stream.c */

enum sys_kind {
    SYS_KIND_OTHER, /* A directory, an event descriptor, a datagram socket... */
    SYS_KIND_SOCKET,
    SYS_KIND_LISTENER,
    SYS_KIND_PIPE, /* Also a FIFO with a name. */
    SYS_KIND_FILE, /* A regular one. */
    SYS_KIND_TERMINAL,
    SYS_KIND_DEVICE
};

/* What is known about a descriptor. */
struct sys_descriptor {
    enum sys_kind kind;
    bool can_read;
    bool can_write;
    bool is_blocking;
};

/* Returns -EBADF if `fd` is not open.  A stream socket raises no SIGPIPE from
 * now on, if send() has no flag for that. */
int aloop__sys_examine(int fd, struct sys_descriptor *ret);
/* Opens two stream sockets that are connected to each other. */
int aloop__sys_socket_pair(int fds[2]);
/* Opens a pipe from fds[1] to fds[0]. */
int aloop__sys_pipe(int fds[2]);
/* Writes to a pipe that does not block.  Never raises SIGPIPE. */
ssize_t aloop__sys_pipe_write(int fd, const struct sys_piece *pieces,
                              size_t count);

/* Moves bytes that were received into a pipe, without waiting.  Returns 0 at
 * the end, and -EAGAIN if there is nothing or the pipe is full.  A system that
 * cannot do that returns an error of is_refusal(). */
ssize_t aloop__sys_splice_in(int fd, int pipe_end, size_t size);
/* Sends bytes out of a pipe.  Never raises SIGPIPE. */
ssize_t aloop__sys_splice_out(int pipe_end, int fd, size_t size);
/* Gives a pipe more room, if the system allows it. */
void aloop__sys_pipe_grow(int fd, size_t size);

/* Descriptors in messages of Unix sockets.  Linux takes 253 in one message. */
enum { SYS_FDS_MAX = 253 };

/* Returns a duplicate, which is close-on-exec. */
int aloop__sys_duplicate(int fd);
/* Sends bytes with up to SYS_FDS_MAX descriptors, which stay the caller's.
 * `size` must not be 0.  If it sends only a part of the bytes, it has sent the
 * descriptors. */
ssize_t aloop__sys_send_fds(int fd, const void *data, size_t size,
                            const int *fds, size_t count);

/* Received descriptors. */
struct sys_fds {
    size_t count;
    int error; /* Why more of them were lost, or 0. */
    int fds[SYS_FDS_MAX];
};

/* Receives bytes, and the descriptors of at most one message.  Their numbers
 * are close-on-exec and belong to the caller.  If it returns 0 or less there
 * are none. */
ssize_t aloop__sys_recv_fds(int fd, void *buffer, size_t size,
                            struct sys_fds *ret);

#endif
