/* TCP listeners.
 *
 * The number of connections accepted per event adapts to the load.  The limit
 * doubles while more are pending, and falls to the number that was available
 * when there are no more.  Thus a low load causes no accept() that only returns
 * EAGAIN, and a burst is still accepted quickly. */

#include <string.h>

#include <stdio.h>

#include "aloop/tcp.h"
#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "loop/report.h"
#include "loop/timed.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "stream/stream.h"

enum { BACKLOG = 4096, BURST_MAX = 64, FAILURES_MAX = 8, ADDRESS_SIZE = 128 };
static const int64_t back_off_ns = ALOOP_MS(100);

struct aloop_listener {
    struct aloop__handle handle;
    struct aloop__io io;
    struct aloop__timed retry; /* Due when accepting is resumed. */
    unsigned burst;            /* Limit of accepts for the next event. */
    unsigned failures;         /* Consecutive accepts that failed. */
    /* The present series of failures was reported. */
    bool has_reported;
    struct sys_address address; /* Its local address, for reports. */
    aloop_listener_cb on_stream;
    void *arg;
};

static void listener_close(struct aloop__handle *handle)
{
    aloop_listener *listener = CONTAINER_OF(handle, aloop_listener, handle);
    int fd = aloop__io_close(handle->loop, &listener->io);

    aloop__timed_clear(handle->loop, &listener->retry);
    if (fd >= 0)
        aloop__sys_close(fd);
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops listener_ops = {
    .name = "listener",
    .size = sizeof(aloop_listener),
    .close = listener_close,
};

/* Reports an error, with the address of the listener. */
static void report_listener(const aloop_listener *listener, int error,
                            const char *what)
{
    char text[ADDRESS_SIZE] = "?", whole[ADDRESS_SIZE + 16];

    aloop__sys_address_format(&listener->address, text, sizeof text);
    snprintf(whole, sizeof whole, "%s on %s", what, text);
    aloop__unhandled(listener->handle.loop, error, whole);
}

/* Suspends accepting for a while.  The reason of the failure lasts, and the
 * pending connection would cause events again and again. */
static void suspend_accepting(aloop_listener *listener, int error)
{
    aloop *loop = listener->handle.loop;
    int64_t when_ns = aloop__after(aloop__now(loop), back_off_ns);

    aloop__io_arm(loop, &listener->io, 0);
    if (aloop__timed_set(loop, &listener->retry, when_ns) < 0)
        aloop__io_arm(loop, &listener->io, REACTOR_READ);
    if (!listener->has_reported)
        report_listener(listener, error, "accept");
    listener->has_reported = true;
}

/* Resumes accepting. */
static void listener_retry(struct aloop__timed *timed)
{
    aloop_listener *listener = CONTAINER_OF(timed, aloop_listener, retry);
    aloop *loop = listener->handle.loop;
    int error = aloop__io_arm(loop, &listener->io, REACTOR_READ);

    /* Keeps its place in the timer queue, so that the next suspension needs no
     * memory. */
    aloop__timed_set(loop, timed, INT64_MAX);
    if (error < 0)
        suspend_accepting(listener, error);
}

/* Returns whether the next accept would fail as well. */
static bool is_shortage(int error)
{
    return error == ALOOP_EMFILE || error == ALOOP_ENFILE ||
           error == ALOOP_ENOBUFS || error == ALOOP_ENOMEM;
}

/* Decides about a failed accept.  Most errors concern one connection, which is
 * gone (see accept(2)); 0 is returned then, and the next one is tried.  After
 * several failures in a row this is no longer assumed, and the error is
 * returned. */
static int judge(aloop_listener *listener, int error)
{
    if (error == ALOOP_EAGAIN)
        return error;
    if (listener->failures < FAILURES_MAX)
        listener->failures++;
    if (listener->failures == FAILURES_MAX || is_shortage(error))
        return error;
    return 0;
}

/* Accepts one connection.  Returns 0, or the reason why none can be accepted
 * now. */
static int accept_one(aloop_listener *listener)
{
    aloop *loop = listener->handle.loop;
    aloop_stream *stream;
    int fd = aloop__sys_accept(listener->io.fd);
    int error = fd;

    if (fd >= 0)
        error = aloop__stream_new(loop, fd, &aloop__carrier_socket, &stream);
    if (error < 0)
        return judge(listener, error);
    listener->failures = 0;
    listener->has_reported = false;
    aloop__calling(loop);
    listener->on_stream(listener, stream, listener->arg);
    aloop__called(loop, "the callback of a listener");
    return 0;
}

static void listener_ready(struct aloop__io *io, unsigned bits)
{
    aloop_listener *listener = CONTAINER_OF(io, aloop_listener, io);
    unsigned accepted = 0;
    int error = 0;

    (void) bits;
    if (listener->handle.loop->is_dying)
        return;
    if (io->fd < 0) { /* It was closed outside the loop's control. */
        aloop__handle_set_active(&listener->handle, false);
        aloop__timed_clear(listener->handle.loop, &listener->retry);
        report_listener(listener, ALOOP_EBADF, "listener");
        return;
    }
    /* A callback may fork; the child then accepts no more. */
    while (accepted < listener->burst && error == 0 && io->armed != 0 &&
           !aloop__is_foreign(listener->handle.loop)) {
        error = accept_one(listener);
        accepted += error == 0;
    }
    if (aloop__handle_is_ended(&listener->handle))
        return;
    if (error == 0 && listener->burst < BURST_MAX)
        listener->burst *= 2;
    else if (error < 0)
        listener->burst = accepted > 0 ? accepted : 1;
    if (error < 0 && error != ALOOP_EAGAIN)
        suspend_accepting(listener, error);
}

static int open_socket(const struct sys_address *address)
{
    enum sys_family family = aloop__sys_address_family(address);
    int fd = aloop__sys_tcp_socket(family);
    int error;

    if (fd < 0)
        return fd;
    /* Both are optional.  If an address is still held, bind() reports it.
     * Accepted sockets inherit the second one. */
    aloop__sys_reuse_address(fd, family);
    aloop__sys_no_delay(fd, true);
    error = aloop__sys_bind(fd, address);
    if (error == 0)
        error = aloop__sys_listen(fd, BACKLOG);
    if (error == 0)
        return fd;
    aloop__sys_close(fd);
    return error;
}

/* Returns whether the text, which is not numeric, may be the name of a host or
 * a service.  Such a name is no mistake, but resolving it could block. */
static bool is_name(const char *text)
{
    static const char all[] = "-_.0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const size_t letters = 13; /* Index of the first letter. */

    return text[strspn(text, all)] == '\0' &&
           strpbrk(text, &all[letters]) != NULL;
}

/* Returns whether the name is "localhost" or ends with ".localhost".  These
 * mean the loopback interface (RFC 6761, 6.3) and need no resolution. */
static bool is_localhost(const char *host)
{
    static const char name[] = "localhost";
    size_t size = strlen(host), wanted = sizeof name - 1;

    if (size > 0 && host[size - 1] == '.')
        size--;
    if (size < wanted || (size > wanted && host[size - wanted - 1] != '.'))
        return false;
    for (size_t i = 0; i < wanted; i++) {
        char c = host[size - wanted + i];

        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != name[i])
            return false;
    }
    return true;
}

/* Opens a listening socket.  Returns the descriptor or an error. */
static int open_at(const char *host, const char *port)
{
    struct sys_address address;
    int error = aloop__sys_address_parse(host, port, &address);

    if (error == 0)
        return open_socket(&address);
    if (is_name(port) || (host != NULL && is_name(host)))
        return ALOOP_ENOTNUMERIC;
    return error;
}

/* Clients of "localhost" try both families, clients of "127.0.0.1" only IPv4.
 * Therefore IPv4 is used, if the system has it. */
static int open_at_localhost(const char *port)
{
    int fd = open_at("127.0.0.1", port);

    if (fd == ALOOP_EAFNOSUPPORT || fd == ALOOP_EADDRNOTAVAIL)
        fd = open_at("::1", port);
    return fd;
}

int aloop_tcp_listen(aloop *loop, const char *host, const char *port,
                     aloop_listener_cb on_stream, void *arg,
                     aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_listener *listener;

    if (error < 0)
        return error;
    if (port == NULL || on_stream == NULL || ret_listener == NULL)
        return ALOOP_EINVAL;
    listener = aloop__handle_new(loop, &listener_ops);
    if (listener == NULL)
        return ALOOP_ENOMEM;
    listener->io.fd = -1;
    listener->burst = 1;
    listener->on_stream = on_stream;
    listener->arg = arg;
    aloop__timed_init(&listener->retry, listener_retry);
    error = host != NULL && is_localhost(host) ? open_at_localhost(port)
                                               : open_at(host, port);
    if (error >= 0) {
        int fd = error;

        error = aloop__io_open(loop, &listener->io, fd, listener_ready);
        listener->io.process = IO_ANY_PROCESS; /* Children accept too. */
        if (error < 0)
            aloop__sys_close(fd);
    }
    if (error == 0)
        error = aloop__timed_set(loop, &listener->retry, INT64_MAX);
    if (error == 0)
        error = aloop__io_arm(loop, &listener->io, REACTOR_READ);
    if (error < 0) {
        listener_close(&listener->handle);
        return error;
    }
    /* For reports, even after the descriptor was closed by other code. */
    aloop__sys_local_address(listener->io.fd, &listener->address);
    aloop__handle_set_active(&listener->handle, true);
    *ret_listener = listener;
    return 0;
}

int aloop_listener_port(const aloop_listener *listener)
{
    int error = aloop__check_handle(listener, __func__);
    struct sys_address address;

    if (error < 0)
        return error;
    if (listener->io.fd < 0)
        return ALOOP_EBADF;
    error = aloop__sys_local_address(listener->io.fd, &address);
    return error < 0 ? error : aloop__sys_address_port(&address);
}

int aloop_listener_fd(const aloop_listener *listener)
{
    int error = aloop__check_handle(listener, __func__);

    if (error < 0)
        return error;
    return listener->io.fd >= 0 ? listener->io.fd : ALOOP_EBADF;
}

void aloop_listener_ref(aloop_listener *listener)
{
    aloop__handle_reference((struct aloop__handle *) listener, true, __func__);
}

void aloop_listener_unref(aloop_listener *listener)
{
    aloop__handle_reference((struct aloop__handle *) listener, false, __func__);
}

void aloop_listener_close(aloop_listener *listener)
{
    if (listener != NULL && aloop__check_handle(listener, __func__) == 0)
        listener_close(&listener->handle);
}
