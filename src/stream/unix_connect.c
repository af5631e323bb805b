/* Connecting to Unix sockets.
 *
 * A connect is complete, or has failed, when the call returns.  The exception
 * is a listener whose backlog is full: the system then reports EAGAIN, and no
 * event reports when there is room again.  Therefore a timer tries again, each
 * time with a new socket, so that nothing is shared with a forked child. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aloop/unix.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/timed.h"
#include "os/sys.h"
#include "stream/stream.h"

enum { UNIX_NAME_SIZE = 128 }; /* More than a path of a socket can have. */

/* The interval doubles from the first to the second.  A server that is only
 * busy has room again soon, and one that hangs should cost little. */
static const int64_t retry_min_ns = ALOOP_MS(1), retry_max_ns = ALOOP_MS(50);

/* The future of aloop_unix_connect(). */
struct unix_connect {
    aloop_future future;
    aloop_stream **ret_stream; /* Written only by a success. */
    struct aloop__timed timed; /* Due at the next attempt. */
    int64_t retry_ns;          /* From this attempt to the next one. */
    struct sys_address address;
};

/* ops->cancel: settles immediately.  Between two attempts there is a timer and
 * no descriptor, so that nothing else has to end. */
static void unix_connect_cancel(aloop_future *future)
{
    struct unix_connect *connect =
        CONTAINER_OF(future, struct unix_connect, future);

    aloop__timed_clear(future->loop, &connect->timed);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

/* ops->describe: "connect to PATH".  The text is valid until the next call on
 * this thread. */
static const char *unix_connect_describe(const aloop_future *future)
{
    static _Thread_local char text[UNIX_NAME_SIZE + 16];
    const struct unix_connect *connect =
        CONTAINER_OF(future, struct unix_connect, future);
    char name[UNIX_NAME_SIZE] = "?";

    aloop__sys_address_format(&connect->address, name, sizeof name);
    snprintf(text, sizeof text, "connect to %s", name);
    return text;
}

static const struct aloop__future_ops unix_connect_ops = {
    .name = "connect",
    .size = sizeof(struct unix_connect),
    .cancel = unix_connect_cancel,
    .describe = unix_connect_describe,
    .is_live = true,
};

/* Returns the descriptor of a connection, or an error; ALOOP_EAGAIN means that
 * another attempt may succeed.
 *
 * The socket does not block.  For a full backlog a system reports EAGAIN or
 * EINPROGRESS.  The socket is closed in both cases, so that the next attempt is
 * the same on all systems. */
static int connect_once(const struct sys_address *address)
{
    int fd = aloop__sys_tcp_socket(SYS_UNIX);
    int error;

    if (fd < 0)
        return fd;
    error = aloop__sys_connect(fd, address);
    if (error == 0)
        return fd;
    aloop__sys_close(fd);
    return error == -EINPROGRESS ? ALOOP_EAGAIN : error;
}

/* Makes an attempt.  Settles the future, or starts the timer for the next one.
 * There is no limit of attempts, because a full backlog is no error: with TCP,
 * too, only a timeout of the application ends the wait.  Without memory for the
 * timer the future fails. */
static void try_connect(struct unix_connect *connect)
{
    aloop *loop = connect->future.loop;
    int fd = connect_once(&connect->address);
    int error = fd;

    if (fd == ALOOP_EAGAIN) {
        error =
            aloop__timed_set(loop, &connect->timed,
                             aloop__after(aloop__now(loop), connect->retry_ns));
        connect->retry_ns *= 2;
        if (connect->retry_ns > retry_max_ns)
            connect->retry_ns = retry_max_ns;
        if (error == 0)
            return;
    }
    if (fd >= 0) {
        aloop_stream *stream;

        error = aloop__stream_new(loop, fd, &aloop__carrier_unix, &stream);
        if (error == 0)
            *connect->ret_stream = stream;
    }
    aloop__future_settle(&connect->future, error);
}

/* timed->fire */
static void unix_connect_due(struct aloop__timed *timed)
{
    try_connect(CONTAINER_OF(timed, struct unix_connect, timed));
}

/* The first attempt is made in here, because it is usually the only one.  Then
 * the future has settled before it is returned.  The path is converted before
 * the future is made, so that a path that is too long needs no operation. */
aloop_future *aloop_unix_connect(aloop *loop, const char *path,
                                 aloop_stream **ret_stream)
{
    int error = aloop__check_loop(loop, __func__);
    struct unix_connect *connect;
    struct sys_address address;

    if (error < 0)
        return aloop__future_refused(error);
    if (path == NULL || ret_stream == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    error = aloop__sys_unix_address(path, &address);
    if (error < 0)
        return aloop__future_failed(loop, error);
    connect = aloop__future_new(loop, &unix_connect_ops);
    if (connect == NULL)
        return NULL;
    connect->ret_stream = ret_stream;
    connect->address = address;
    connect->retry_ns = retry_min_ns;
    aloop__timed_init(&connect->timed, unix_connect_due);
    try_connect(connect);
    return &connect->future;
}

/* SO_PEERCRED answers for sockets of any family, with numbers that mean nothing
 * for TCP.  Therefore the family is checked first.  The results are stored only
 * after the last call that may fail. */
int aloop_unix_peer(const aloop_stream *stream, int64_t *ret_process,
                    uint32_t *ret_user, uint32_t *ret_group)
{
    int error = aloop__check_handle(stream, __func__);
    struct sys_address local;
    struct sys_unix_peer peer = {0};

    if (error < 0)
        return error;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    error = aloop__sys_local_address(stream->io.fd, &local);
    if (error < 0)
        return error;
    if (aloop__sys_address_family(&local) != SYS_UNIX)
        return ALOOP_EINVAL;
    error = aloop__sys_unix_peer(stream->io.fd, &peer);
    if (error < 0)
        return error;
    if (ret_process != NULL)
        *ret_process = peer.process;
    if (ret_user != NULL)
        *ret_user = peer.user;
    if (ret_group != NULL)
        *ret_group = peer.group;
    return 0;
}
