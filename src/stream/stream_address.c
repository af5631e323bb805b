/* The addresses of the two ends of a stream.
 *
 * They are asked for in each call and not kept: few programs need them, and an
 * idle connection is to take little memory.  The price is that a system forgets
 * the address of the peer when the connection is broken. */

#include "handle/address.h"
#include "loop/debug.h"
#include "os/sys.h"
#include "stream/stream.h"

#include <errno.h>
#include <string.h>

enum { ADDRESS_TEXT_MAX = 128 };

/* A system has no address for a broken connection, and reports ENOTCONN or
 * EINVAL.  Returns the error of the connection instead:
 *
 *     an error was recorded                     that error
 *     both ends have closed the connection      the error as it is: no error
 *                                               has ended it
 *     otherwise                                 ECONNRESET: it was reset, and
 *                                               no read has received that yet
 *
 * SO_ERROR is not asked for: the system reports it once, and the next read
 * needs it.  Only sockets have addresses. */
static int address_error(const aloop_stream *stream, int error)
{
    bool is_gone = error == ALOOP_ENOTCONN || error == ALOOP_EINVAL;
    bool has_shut = stream->sender != NULL && stream->sender->has_shut;

    if (error == -ENOTSOCK)
        return ALOOP_EAFNOSUPPORT;
    if (is_gone && stream->io.error != 0)
        return stream->io.error;
    if (is_gone && !(has_shut && stream->has_ended))
        return ALOOP_ECONNRESET;
    return error;
}

typedef int ask_fn(int fd, struct sys_address *ret);

/* Stores the address that `ask` returns.  `target` is where the caller puts it,
 * and is checked here, before the system is asked: misuse gives the same error
 * whatever the state of the connection is. */
static int ask_address(const aloop_stream *stream, ask_fn *ask,
                       const void *target, const char *function,
                       struct sys_address *ret)
{
    int error = aloop__check_handle(stream, function);

    if (error < 0 || target == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    error = ask(stream->io.fd, ret);
    return error < 0 ? address_error(stream, error) : 0;
}

/* Writes the address that `ask` returns.  It is formatted into a buffer that is
 * large enough, so that a failure leaves `text` unchanged. */
static int address_text(const aloop_stream *stream, char *text, size_t size,
                        ask_fn *ask, const char *function)
{
    struct sys_address address;
    char whole[ADDRESS_TEXT_MAX];
    int length = ask_address(stream, ask, text, function, &address);

    if (length == 0)
        length = aloop__sys_address_format(&address, whole, sizeof whole);
    if (length >= 0 && (size_t) length >= size)
        return ALOOP_ENOSPC;
    if (length >= 0)
        memcpy(text, whole, (size_t) length + 1);
    return length;
}

int aloop_stream_peer(const aloop_stream *stream, char *text, size_t size)
{
    return address_text(stream, text, size, aloop__sys_peer_address, __func__);
}

int aloop_stream_local(const aloop_stream *stream, char *text, size_t size)
{
    return address_text(stream, text, size, aloop__sys_local_address, __func__);
}

static int address_value(const aloop_stream *stream, aloop_address *ret,
                         ask_fn *ask, const char *function)
{
    struct sys_address address;
    int error = ask_address(stream, ask, ret, function, &address);

    return error < 0 ? error : aloop__address_of_end(&address, ret);
}

int aloop_stream_peer_address(const aloop_stream *stream,
                              aloop_address *ret_address)
{
    return address_value(stream, ret_address, aloop__sys_peer_address,
                         __func__);
}

int aloop_stream_local_address(const aloop_stream *stream,
                               aloop_address *ret_address)
{
    return address_value(stream, ret_address, aloop__sys_local_address,
                         __func__);
}
