/* Listeners of descriptors that the application has, such as those that a
 * service manager passes.
 *
 * Who closes the descriptor depends on the start: after an error it is still
 * the application's, and after a success the listener closes it.  Both kinds
 * have `is_adopted` for this.
 *
 * The path of a Unix socket is never removed: the program that has made it, and
 * not this one, knows whether others still use it. */

#include <errno.h>

#include "loop/debug.h"
#include "os/sys.h"
#include "stream/listener.h"
#include "stream/stream.h"

static int adopted_open(aloop_listener *listener, const void *place);

static const struct aloop__listener_kind adopted_tcp_kind = {
    .open = adopted_open,
    .carrier = &aloop__carrier_socket,
    .is_adopted = true,
};

static const struct aloop__listener_kind adopted_unix_kind = {
    .open = adopted_open,
    .carrier = &aloop__carrier_unix,
    .is_adopted = true,
};

/* kind->open: the family of the socket selects the kind.  The listener begins
 * as one of TCP, because the family is known only here.
 *
 * aloop__sys_listen_adopt() comes first: it refuses a socket that does not
 * listen before anything of it is changed. */
static int adopted_open(aloop_listener *listener, const void *place)
{
    int fd = *(const int *) place;
    int error = aloop__sys_listen_adopt(fd);
    struct sys_address address;
    enum sys_family family;

    if (error == 0)
        error = aloop__sys_local_address(fd, &address);
    if (error < 0)
        return error == -ENOTSOCK ? ALOOP_ENOTSUP : error;
    family = aloop__sys_address_family(&address);
    if (family == SYS_UNIX)
        listener->kind = &adopted_unix_kind;
    else if (family == SYS_INET || family == SYS_INET6)
        /* If this fails, connections are only slower. */
        aloop__sys_no_delay(fd, true);
    else
        return ALOOP_ENOTSUP;
    return fd;
}

/* A negative number would look like an error of kind->open, and is refused
 * before. */
int aloop_listener_adopt(aloop *loop, int fd, aloop_listener_cb on_stream,
                         void *arg, aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return error;
    if (ret_listener == NULL)
        return ALOOP_EINVAL;
    if (fd < 0)
        return ALOOP_EBADF;
    return aloop__listener_start(loop, &adopted_tcp_kind, &fd, on_stream, arg,
                                 ret_listener);
}
