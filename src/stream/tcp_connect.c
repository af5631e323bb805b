/* Connecting by TCP: name resolution, then a race of attempts (RFC 8305).
 *
 * The addresses are tried in the resolver's order, alternating between the
 * families.  A new attempt starts 250 ms after the last one, or as soon as one
 * fails.  The first one to succeed ends the others. */

#include <stdio.h>
#include <string.h>

#include "aloop/tcp.h"
#include "handle/resolve.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/host.h"
#include "loop/io.h"
#include "loop/timed.h"
#include "os/reactor.h"
#include "stream/stream.h"

enum { PEER_SIZE = 288 }; /* The longest name and a port. */
static const int64_t attempt_delay_ns = ALOOP_MS(250); /* RFC 8305, 5. */

struct connect {
    aloop_future future;
    aloop_stream **ret_stream;
    /* NULL unless the name is being resolved. */
    struct aloop__resolve *resolve;
    struct sys_address *addresses; /* An allocated copy. */
    size_t count;
    size_t next;                 /* Index of the next address to try. */
    struct aloop__node attempts; /* Pending attempts. */
    struct aloop__timed timed;   /* Due when the next attempt starts. */
    int last_error;
    char *peer; /* "host:port", for reports; NULL if out of memory. */
    size_t peer_room;
};

struct attempt {
    struct aloop__node node;
    struct aloop__io io;
    struct connect *connect;
    size_t index;     /* Of its address. */
    unsigned process; /* The process that started it. */
};

/* Closes the attempt's descriptor, if it still has one. */
static void free_attempt(struct attempt *attempt)
{
    aloop *loop = attempt->connect->future.loop;
    int fd = aloop__io_close(loop, &attempt->io);

    if (fd >= 0)
        aloop__sys_close(fd);
    list_remove(&attempt->node);
    aloop__slab_put(&loop->slab, attempt, sizeof *attempt);
}

/* Ends everything that is pending. */
static void stop_connect(struct connect *connect)
{
    aloop__timed_stop(&connect->future.loop->timers, &connect->timed);
    if (connect->resolve != NULL)
        aloop__resolve_cancel(connect->resolve);
    connect->resolve = NULL;
    while (!list_empty(&connect->attempts))
        free_attempt(
            CONTAINER_OF(connect->attempts.next, struct attempt, node));
}

/* Frees the addresses and settles.  The application may keep a settled future
 * for a long time. */
static void settle_connect(struct connect *connect, int status)
{
    aloop__alloc_free(&connect->future.loop->alloc, connect->addresses,
                      connect->count * sizeof *connect->addresses);
    connect->addresses = NULL;
    aloop__future_settle(&connect->future, status);
}

static void connect_cancel(aloop_future *future)
{
    struct connect *connect = CONTAINER_OF(future, struct connect, future);

    stop_connect(connect);
    settle_connect(connect, ALOOP_ECANCELED);
}

static void connect_fini(aloop_future *future)
{
    struct connect *connect = CONTAINER_OF(future, struct connect, future);

    aloop__slab_put(&future->loop->slab, connect->peer, connect->peer_room);
}

static const char *connect_describe(const aloop_future *future)
{
    static _Thread_local char text[PEER_SIZE + 16];
    const struct connect *connect =
        CONTAINER_OF(future, struct connect, future);

    snprintf(text, sizeof text, "connect to %s",
             connect->peer != NULL ? connect->peer : "?");
    return text;
}

/* Keeps a text for reports.  A failure is ignored, because nothing else needs
 * the text. */
static void remember_peer(struct connect *connect, const char *host,
                          const char *port)
{
    const char *open = strchr(host, ':') != NULL ? "[" : "";
    size_t room = strlen(host) + strlen(port) + 2 * strlen(open) + 2;

    connect->peer_room = room < PEER_SIZE ? room : PEER_SIZE;
    connect->peer =
        aloop__slab_take(&connect->future.loop->slab, connect->peer_room);
    if (connect->peer != NULL)
        snprintf(connect->peer, connect->peer_room, "%s%s%s:%s", open, host,
                 *open != '\0' ? "]" : "", port);
}

static const struct aloop__future_ops connect_ops = {
    .name = "connect",
    .size = sizeof(struct connect),
    .cancel = connect_cancel,
    .fini = connect_fini,
    .describe = connect_describe,
    .is_live = true,
};

/* Ends the race: `fd` has connected. */
static void succeed(struct connect *connect, int fd)
{
    aloop_stream *stream;
    int error;

    stop_connect(connect);
    error = aloop__stream_new(connect->future.loop, fd, &aloop__carrier_socket,
                              &stream);
    if (error == 0)
        *connect->ret_stream = stream;
    settle_connect(connect, error);
}

static void attempt_ready(struct aloop__io *io, unsigned bits);

/* Watches an attempt that is not complete yet. */
static int watch_attempt(struct connect *connect, int fd)
{
    aloop *loop = connect->future.loop;
    struct attempt *attempt = aloop__slab_get(&loop->slab, sizeof *attempt);
    int error;

    if (attempt == NULL)
        return ALOOP_ENOMEM;
    list_init(&attempt->node);
    attempt->connect = connect;
    attempt->index = connect->next - 1;
    attempt->io.fd = -1;
    attempt->process = loop->process;
    error = aloop__io_open(loop, &attempt->io, fd, attempt_ready);
    attempt->io.process = IO_ANY_PROCESS; /* A child must start it again. */
    if (error == 0)
        error = aloop__io_arm(loop, &attempt->io, REACTOR_WRITE);
    if (error == 0) {
        list_push(&connect->attempts, &attempt->node);
        return 0;
    }
    aloop__io_close(loop, &attempt->io); /* The caller closes `fd`. */
    aloop__slab_put(&loop->slab, attempt, sizeof *attempt);
    return error;
}

/* Returns 0 if `fd`, which has no pending error, is connected to another
 * socket.  The error may have been consumed before, so that its absence proves
 * nothing.  TCP can also connect a socket to itself, if both ends have the same
 * port (RFC 9293, 3.5, simultaneous open).  Such a connection is reset, so that
 * it does not occupy the port. */
static int check_peer(int fd)
{
    struct sys_address peer, local;
    int error = aloop__sys_peer_address(fd, &peer);

    if (error == 0)
        error = aloop__sys_local_address(fd, &local);
    else if (error == ALOOP_ENOTCONN || error == ALOOP_EINVAL)
        error = ALOOP_ECONNREFUSED; /* Nothing reports the real reason. */
    if (error == 0 && aloop__sys_address_same(&peer, &local)) {
        aloop__sys_reset_on_close(fd);
        error = ALOOP_ECONNREFUSED;
    }
    return error;
}

/* Starts an attempt.  Returns 1 if it has connected, 0 if it is pending, or an
 * error.  *ret_fd is open only after 1 or 0. */
static int try_address(struct connect *connect,
                       const struct sys_address *address, int *ret_fd)
{
    int fd = aloop__sys_tcp_socket(aloop__sys_address_family(address));
    int error, state = 1;

    if (fd < 0)
        return fd;
    *ret_fd = fd;
    aloop__sys_no_delay(
        fd, true); /* If this fails, the connection is only slower. */
    error = aloop__sys_connect(fd, address);
    if (error == 0) {
        error = check_peer(fd);
    } else if (error == -EINPROGRESS) {
        error = watch_attempt(connect, fd);
        state = 0;
    }
    if (error == 0)
        return state;
    aloop__sys_close(fd);
    return error;
}

/* Tries addresses until one does not fail immediately.  Settles if none is left
 * and no attempt is pending. */
static void try_next(struct connect *connect)
{
    aloop *loop = connect->future.loop;
    int error = -1;
    int fd;

    aloop__timed_clear(loop, &connect->timed);
    while (error < 0 && connect->next < connect->count) {
        error = try_address(connect, &connect->addresses[connect->next++], &fd);
        if (error < 0)
            connect->last_error = error;
    }
    if (error == 1) {
        succeed(connect, fd);
    } else if (list_empty(&connect->attempts)) {
        stop_connect(connect);
        settle_connect(connect, connect->last_error);
    } else if (connect->next < connect->count) {
        /* If out of memory for the timer, the next attempt starts when one
         * fails. */
        aloop__timed_set(loop, &connect->timed,
                         aloop__after(aloop__now(loop), attempt_delay_ns));
    }
}

static void connect_due(struct aloop__timed *timed)
{
    try_next(CONTAINER_OF(timed, struct connect, timed));
}

/* In a forked child, the outcome of the attempt belongs to the parent.  The
 * child tries the same addresses again. */
static void start_over(struct attempt *attempt)
{
    struct connect *connect = attempt->connect;

    if (attempt->index < connect->next)
        connect->next = attempt->index;
    free_attempt(attempt);
    try_next(connect);
}

static void attempt_ready(struct aloop__io *io, unsigned bits)
{
    struct attempt *attempt = CONTAINER_OF(io, struct attempt, io);
    struct connect *connect = attempt->connect;
    int error;

    (void) bits;
    if (attempt->process != connect->future.loop->process) {
        start_over(attempt);
        return;
    }
    error = io->fd < 0 ? ALOOP_EBADF : aloop__sys_socket_error(io->fd);
    if (error == 0)
        error = io->error;
    if (error == 0)
        error = check_peer(io->fd);
    if (error == 0) {
        int fd = aloop__io_close(connect->future.loop, io);

        free_attempt(attempt);
        succeed(connect, fd);
        return;
    }
    connect->last_error = error;
    free_attempt(attempt);
    try_next(connect);
}

/* Returns the first index from `i` on whose family is, or is not, `family`;
 * `count` if there is none. */
static size_t find_family(const struct sys_address *addresses, size_t i,
                          size_t count, enum sys_family family, bool is_of_it)
{
    for (; i < count; i++)
        if ((aloop__sys_address_family(&addresses[i]) == family) == is_of_it)
            break;
    return i;
}

/* Sorts the addresses so that families alternate, beginning with the first
 * one's. */
static void interleave(struct sys_address *sorted,
                       const struct sys_address *addresses, size_t count)
{
    enum sys_family family = aloop__sys_address_family(&addresses[0]);
    size_t at[2] = {0, find_family(addresses, 0, count, family, false)};
    unsigned turn = 0;

    for (size_t i = 0; i < count; i++) {
        if (at[turn] == count)
            turn = 1 - turn;
        sorted[i] = addresses[at[turn]];
        at[turn] =
            find_family(addresses, at[turn] + 1, count, family, turn == 0);
        turn = 1 - turn;
    }
}

/* Starts the attempts with a copy of the addresses. */
static void begin_attempts(struct connect *connect,
                           const struct sys_address *addresses, size_t count)
{
    connect->addresses = aloop__alloc_new(&connect->future.loop->alloc,
                                          count * sizeof *addresses);
    if (connect->addresses == NULL) {
        settle_connect(connect, ALOOP_ENOMEM);
        return;
    }
    connect->count = count;
    interleave(connect->addresses, addresses, count);
    try_next(connect);
}

static void connect_resolved(void *arg, const struct sys_address *addresses,
                             int count)
{
    struct connect *connect = arg;

    connect->resolve = NULL;
    if (count < 0)
        settle_connect(connect, count);
    else
        begin_attempts(connect, addresses, (size_t) count);
}

aloop_future *aloop_tcp_connect(aloop *loop, const char *host, const char *port,
                                aloop_stream **ret_stream)
{
    struct sys_address address;
    int error = aloop__check_loop(loop, __func__);
    struct connect *connect;

    if (error < 0)
        return aloop__future_refused(error);
    if (host == NULL || port == NULL || ret_stream == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    connect = aloop__future_new(loop, &connect_ops);
    if (connect == NULL)
        return NULL;
    connect->ret_stream = ret_stream;
    remember_peer(connect, host, port);
    list_init(&connect->attempts);
    aloop__timed_init(&connect->timed, connect_due);
    if (aloop__sys_address_parse(host, port, &address) == 0) {
        begin_attempts(connect, &address, 1);
        return &connect->future;
    }
    error = aloop__resolve_start(loop, host, port, SYS_FAMILY_NONE,
                                 connect_resolved, connect, &connect->resolve);
    if (error < 0)
        settle_connect(connect, error);
    return &connect->future;
}
