/* Streams of descriptors that exist, pairs and pipes, and the way back from a
 * stream to its descriptor.
 *
 * A descriptor that exists belongs to the caller until a function succeeds, and
 * may be shared with other processes, so that a failure must leave it as it
 * was.  What has to be undone is therefore done last, or undone:
 *
 *     examine      reads flags, and changes nothing
 *     carrier      chosen by what the descriptor is
 *     blocking     changed for all who share the open file; set back on failure
 *     stream       owns the descriptor from here on
 *     directions   decided by how the descriptor was opened; cannot fail */

#include "aloop/stream_open.h"

#include <string.h>

#include "loop/data.h"
#include "loop/debug.h"
#include "os/sys_file.h"
#include "os/sys_stream.h"
#include "stream/input.h"
#include "stream/stream.h"
#include "stream/terminal.h"
#include "stream/unwatched.h"

/* A direction for which the descriptor is not open counts as ended.  So no
 * function needs a case of its own for it: reading finds the end, and writing
 * the error of a pipe without a reader. */
void aloop__stream_set_directions(aloop_stream *stream, bool can_read,
                                  bool can_write)
{
    stream->has_ended = !can_read;
    stream->write_error = (short) (can_write ? 0 : ALOOP_EPIPE);
}

/* Finds the carrier for a descriptor.
 *
 * A socket must be connected, which the call for the address of the peer finds
 * out: sending would otherwise fail later, as if the peer had closed.  Some
 * systems report EINVAL for a socket that was shut down.  The family is that of
 * the local address, because the peer of a Unix socket may have no name. */
static int choose_carrier(int fd, const struct sys_descriptor *what,
                          const struct aloop__carrier **ret)
{
    static const struct aloop__carrier *const carriers[] = {
        [SYS_KIND_SOCKET] = &aloop__carrier_socket,
        [SYS_KIND_PIPE] = &aloop__carrier_pipe,
        [SYS_KIND_DEVICE] = NULL, /* The last one. */
    };
    struct sys_address address;
    int error;

    *ret = carriers[what->kind];
    if (*ret == NULL)
        return ALOOP_ENOTSUP;
    if (what->kind != SYS_KIND_SOCKET)
        return 0;
    error = aloop__sys_peer_address(fd, &address);
    if (error == 0)
        error = aloop__sys_local_address(fd, &address);
    if (error == 0 && aloop__sys_address_family(&address) == SYS_UNIX)
        *ret = &aloop__carrier_unix;
    return error == ALOOP_EINVAL ? ALOOP_ENOTCONN : error;
}

/* Makes a stream of a descriptor that can be made non-blocking.  That is done
 * first, because the carrier may be used as soon as there is a stream. */
static int open_nonblocking(aloop *loop, int fd,
                            const struct sys_descriptor *what,
                            aloop_stream **ret)
{
    const struct aloop__carrier *carrier = NULL;
    int error = choose_carrier(fd, what, &carrier);

    if (error == 0 && what->is_blocking)
        error = aloop__sys_file_set_blocking(fd, false);
    if (error < 0)
        return error;
    error = aloop__stream_make(loop, fd, carrier, ret);
    if (error < 0 && what->is_blocking)
        aloop__sys_file_set_blocking(fd, true);
    return error;
}

/* The flags of a terminal are not changed, because the shell that has started
 * the program would find its own input non-blocking afterwards.  The terminal
 * is opened again instead, which makes an open file with flags of its own. */
static int open_terminal(aloop *loop, int fd, const struct sys_descriptor *what,
                         aloop_stream **ret)
{
    return aloop__terminal_open(loop, fd, what->is_blocking, ret);
}

/* Files have no readiness: a reactor reports them as always ready, or refuses
 * them.  Whether they block is not asked, because threads use them. */
static int open_file(aloop *loop, int fd, const struct sys_descriptor *what,
                     aloop_stream **ret)
{
    (void) what;
    return aloop__file_stream_open(loop, fd, ret);
}

/* A device that the reactor cannot watch is used by threads.  Their calls have
 * to wait, because no event shows when EAGAIN would end. */
static int open_device(aloop *loop, int fd, const struct sys_descriptor *what,
                       aloop_stream **ret)
{
    int error = aloop__device_open(loop, fd, &aloop__carrier_device, ret);

    if (error < 0 || what->is_blocking == (*ret)->io.is_unwatched)
        return error;
    error = aloop__sys_file_set_blocking(fd, (*ret)->io.is_unwatched);
    /* The stream is taken back without its descriptor, which stays the
     * caller's as after every failure. */
    if (error < 0)
        (void) aloop__stream_release(*ret);
    return error;
}

/* One function for each kind that aloop__sys_examine() reports.  Those that are
 * no streams fail in choose_carrier(). */
static int open_by_kind(aloop *loop, int fd, const struct sys_descriptor *what,
                        aloop_stream **ret)
{
    static aloop__stream_open_fn *const opens[] = {
        [SYS_KIND_OTHER] = open_nonblocking,
        [SYS_KIND_SOCKET] = open_nonblocking,
        [SYS_KIND_LISTENER] = open_nonblocking,
        [SYS_KIND_PIPE] = open_nonblocking,
        [SYS_KIND_FILE] = open_file,
        [SYS_KIND_TERMINAL] = open_terminal,
        [SYS_KIND_DEVICE] = open_device,
    };

    return opens[what->kind](loop, fd, what, ret);
}

/* The directions are those of the open file.  A read of one that is open for
 * writing only would fail with EBADF, which the core would take for a
 * descriptor that was closed outside the loop's control. */
int aloop__stream_open_by(aloop *loop, int fd, aloop__stream_open_fn *open_as,
                          aloop_stream **ret_stream)
{
    struct sys_descriptor what;
    aloop_stream *stream = NULL;
    int error;

    if (ret_stream == NULL)
        return ALOOP_EINVAL;
    error = aloop__sys_examine(fd, &what);
    if (error == 0)
        error = open_as(loop, fd, &what, &stream);
    if (error < 0 || stream == NULL)
        return error;
    /* For aloop_stream_detach(), which restores it. */
    stream->has_blocked = what.is_blocking;
    aloop__stream_set_directions(stream, what.can_read, what.can_write);
    *ret_stream = stream;
    return 0;
}

int aloop_stream_open(aloop *loop, int fd, aloop_stream **ret_stream)
{
    int error = aloop__check_loop(loop, __func__);

    return error < 0
               ? error
               : aloop__stream_open_by(loop, fd, open_by_kind, ret_stream);
}

/* Makes streams of two new descriptors.  Closes both on failure: they are the
 * library's, and the caller has not seen them.  The first stream owns its
 * descriptor already when the second one fails. */
static int make_both(aloop *loop, const int fds[2],
                     const struct aloop__carrier *carrier,
                     aloop_stream *ret_streams[2])
{
    int error = aloop__stream_make(loop, fds[0], carrier, &ret_streams[0]);

    if (error < 0) {
        aloop__sys_close(fds[0]);
        aloop__sys_close(fds[1]);
        return error;
    }
    error = aloop__stream_make(loop, fds[1], carrier, &ret_streams[1]);
    if (error < 0) {
        aloop_stream_abort(ret_streams[0]);
        aloop__sys_close(fds[1]);
    }
    return error;
}

int aloop_stream_pair(aloop *loop, aloop_stream **ret_stream,
                      aloop_stream **ret_other)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_stream *streams[2];
    int fds[2];

    if (error < 0 || ret_stream == NULL || ret_other == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    error = aloop__sys_socket_pair(fds);
    if (error < 0)
        return error;
    /* Results are stored only after both exist, so that they stay untouched on
     * failure.  Any of the two may be closed first; they do not know each
     * other. */
    error = make_both(loop, fds, &aloop__carrier_unix, streams);
    if (error < 0)
        return error;
    *ret_stream = streams[0];
    *ret_other = streams[1];
    return 0;
}

int aloop_pipe_open(aloop *loop, aloop_stream **ret_read_end,
                    aloop_stream **ret_write_end)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_stream *streams[2];
    int fds[2];

    if (error < 0 || ret_read_end == NULL || ret_write_end == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    error = aloop__sys_pipe(fds);
    if (error < 0)
        return error;
    error = make_both(loop, fds, &aloop__carrier_pipe, streams);
    if (error < 0)
        return error;
    /* No event arrives before the loop waits again, so that no end can be seen
     * with the direction that it does not have. */
    aloop__stream_set_directions(streams[0], true, false);
    aloop__stream_set_directions(streams[1], false, true);
    *ret_read_end = streams[0];
    *ret_write_end = streams[1];
    return 0;
}

/* Returns whether something is pending that needs the descriptor.  What on_data
 * has lent is queued when it returns, so that it is not sent yet either.
 * Filters have a state that only their stream can continue, and a thread that
 * uses the descriptor would use its number after it was reused. */
static bool is_in_use(const aloop_stream *stream)
{
    const aloop *loop = stream->handle.loop;

    return aloop__stream_is_busy(stream) || stream->is_reading ||
           stream->is_forwarded ||
           (stream->sender != NULL && stream->sender->forward_to != NULL) ||
           aloop__fds_are_left(stream) || aloop__stream_is_filtered(stream) ||
           aloop__unwatched_is_working(stream) ||
           (aloop__stream_is_dispatching(stream) && loop->lent_size > 0);
}

/* Copies the input, which the caller drops.  Returns ALOOP_ENOMEM.  Bytes that
 * were put back or not consumed are in front of those that a thread has read
 * ahead. */
static int give_input(aloop_stream *stream, void **ret_data, size_t *ret_size)
{
    size_t size = aloop__input_size(stream);
    const char *left = NULL;
    size_t left_size = aloop__unwatched_left(stream, &left);
    struct aloop__data *data;
    char *bytes;

    *ret_data = NULL;
    *ret_size = size + left_size;
    if (size + left_size == 0)
        return 0;
    data = aloop__data_new(size + left_size);
    if (data == NULL)
        return ALOOP_ENOMEM;
    bytes = aloop__data_bytes(data);
    if (size > 0)
        memcpy(bytes,
               stream->sender->input->bytes + stream->sender->input->start,
               size);
    if (left_size > 0)
        memcpy(bytes + size, left, left_size);
    *ret_data = aloop__data_give(stream->handle.loop, data);
    return 0;
}

int aloop_stream_detach(aloop_stream *stream, void **ret_data, size_t *ret_size)
{
    int error = aloop__check_handle(stream, __func__);
    bool has_blocked, was_changed;
    const char *left;
    size_t size;
    void *data;
    int fd;

    if (error < 0 || (ret_data == NULL) != (ret_size == NULL))
        return error < 0 ? error : ALOOP_EINVAL;
    if (is_in_use(stream) ||
        (ret_data == NULL &&
         (stream->has_input || aloop__unwatched_left(stream, &left) > 0)))
        return ALOOP_EBUSY;
    if (stream->io.fd < 0)
        return ALOOP_EBADF;
    if (stream->read_error == ALOOP_ENOMEM)
        return ALOOP_ENOMEM; /* What follows the gap is not the next byte. */
    if (stream->has_failed)
        return stream->write_error;
    /* This is the last step that can fail.  Until here the stream is as it was,
     * and the application can continue with it. */
    error = give_input(stream, &data, &size);
    if (error < 0)
        return error;
    if (ret_data != NULL) {
        *ret_data = data;
        *ret_size = size;
    }
    aloop__input_drop(stream);
    aloop__stream_forget_reads(stream);
    /* Read before the release, which frees the stream at the end of the turn.
     * A watched descriptor was made non-blocking, one that threads use was made
     * blocking: it has changed if it was the opposite. */
    has_blocked = stream->has_blocked;
    was_changed = has_blocked != stream->io.is_unwatched;
    fd = aloop__stream_release(stream);
    if (was_changed)
        aloop__sys_file_set_blocking(fd, has_blocked);
    return fd;
}
