/* Unix sockets: their carriers, and the descriptors that are passed with
 * bytes.
 *
 *     put_fds --duplicates--> pieces --messages--> peer
 *                               \--- too many in flight: again by a timer
 *     peer --> fds_receive() --> ring of numbers --> take_fd
 *
 * A stream whose application accepts none has a carrier that receives without
 * them, so that the kernel closes them.  The ring is the state of the other
 * carrier.  It has room for as many as the application accepts.
 *
 * A descriptor has exactly one owner at any time, who closes it:
 *
 *     the application        what it passes to put_fds, and what it has taken
 *     `copies` of put_fds    duplicates that are in no piece yet
 *     a piece                duplicates that were not sent yet
 *     the kernel             what was sent and not received
 *     the ring               what was received and not taken
 *
 * Duplicates are necessary because a put returns before anything is sent, and
 * the application may then close its own. */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "aloop/stream_fds.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/timed.h"
#include "os/sys_stream.h"
#include "stream/stream.h"

enum { RING_MAX = 65536 };
/* The delays double from the first to the second: short ones for a limit that
 * is exceeded briefly, and not much load for one that stays exceeded. */
static const int64_t pass_again_min_ns = ALOOP_MS(1),
                     pass_again_max_ns = ALOOP_MS(50);

/* Received descriptors, the oldest one at `first`.  Its memory is bounded by
 * what the application accepts, never by what the peer sends. */
struct ring {
    size_t room;
    size_t first;
    size_t count;
    int lost; /* Why others were lost, or 0. */
    int fds[];
};

/* Returns NULL if the stream accepts no descriptors, or has filters. */
static struct ring *ring_of(const aloop_stream *stream)
{
    return stream->carrier == &aloop__carrier_fds ? stream->sender->carried
                                                  : NULL;
}

static size_t ring_size(size_t room)
{
    return sizeof(struct ring) + room * sizeof(int);
}

/* The ring must not be empty. */
static int take_first(struct ring *ring)
{
    int fd = ring->fds[ring->first];

    ring->first = (ring->first + 1) % ring->room;
    ring->count--;
    return fd;
}

/* Closes the descriptor if the ring is full, or NULL.  Those that wait already
 * are kept, because their messages came first. */
static void keep_fd(struct ring *ring, int fd)
{
    if (ring == NULL || ring->count == ring->room) {
        aloop__sys_close(fd);
        return;
    }
    ring->fds[(ring->first + ring->count) % ring->room] = fd;
    ring->count++;
}

bool aloop__fds_are_left(const aloop_stream *stream)
{
    const struct ring *ring = ring_of(stream);

    return ring != NULL && ring->count > 0;
}

/* The carrier. */

/* Filters also receive with this.  Then there is no ring, because the carrier
 * of the stream is another one.  A loss is noted once: take_fd() reports it
 * after the descriptors that arrived before, and how many there were is not
 * known. */
static ssize_t fds_receive(aloop_stream *stream, void *buffer, size_t size)
{
    struct ring *ring = ring_of(stream);
    struct sys_fds received;
    ssize_t n = aloop__sys_recv_fds(stream->io.fd, buffer, size, &received);

    if (n < 0)
        return n;
    for (size_t i = 0; i < received.count; i++)
        keep_fd(ring, received.fds[i]);
    if (ring != NULL && received.error != 0)
        ring->lost = received.error;
    return n;
}

/* timed->fire.  The piece is still the first of the queue: only a flush could
 * send it, and fds_send() has refused each one until now. */
static void passed_due(struct aloop__timed *timed)
{
    struct aloop__passed *passed =
        CONTAINER_OF(timed, struct aloop__passed, retry);

    passed->is_delayed = false;
    aloop__sender_flush_later(passed->sender);
}

/* Begins to wait.  The timer belongs to the piece, and ends with it, so that
 * nothing is left if the stream is closed meanwhile.  An error is one of memory
 * for the timer; without a timer the piece would never be sent. */
static int delay_passed(aloop *loop, struct aloop__passed *passed)
{
    int error;

    if (passed->retry_ns == 0) {
        aloop__timed_init(&passed->retry, passed_due);
        passed->retry_ns = pass_again_min_ns;
    }
    error = aloop__timed_set(loop, &passed->retry,
                             aloop__after(aloop__now(loop), passed->retry_ns));
    passed->is_delayed = error == 0;
    if (passed->retry_ns < pass_again_max_ns)
        passed->retry_ns *= 2;
    return error;
}

/* Linux limits the descriptors of one user that were sent and not received.
 * Other processes may use up that limit, so that exceeding it is no error of
 * the stream, and no event shows when it is over.  While `is_delayed` the
 * sender does not watch for output, because the socket would accept bytes and
 * cause events without a pause; a flush for another reason ends here. */
static ssize_t fds_send(aloop_stream *stream, const void *data, size_t size,
                        struct aloop__passed *passed)
{
    int error;
    ssize_t n;

    if (passed->is_delayed)
        return ALOOP_EAGAIN;
    n = aloop__sys_send_fds(stream->io.fd, data, size, passed->fds,
                            passed->count);
    if (n != -ETOOMANYREFS)
        return n;
    error = delay_passed(stream->handle.loop, passed);
    return error < 0 ? error : ALOOP_EAGAIN;
}

/* Gives the stream another ring, or none, and moves what fits into it.  The
 * carrier and the ring change together: ring_of() concludes from the carrier
 * that there is one. */
static void replace_ring(aloop_stream *stream, struct ring *ring)
{
    struct ring *old = ring_of(stream);

    while (old != NULL && old->count > 0)
        keep_fd(ring, take_first(old));
    if (old != NULL && ring != NULL)
        ring->lost = old->lost;
    if (old != NULL)
        aloop__alloc_free(&stream->handle.loop->alloc, old,
                          ring_size(old->room));
    stream->sender->carried = ring;
    stream->carrier = ring != NULL ? &aloop__carrier_fds : &aloop__carrier_unix;
}

static void fds_close(aloop_stream *stream, int fd)
{
    /* No one can take the descriptors that are left: they are closed. */
    replace_ring(stream, NULL);
    if (fd >= 0)
        aloop__sys_close(fd);
}

/* The two tables differ in `receive` and `close`, and in `has_splice`: bytes
 * that are moved inside the kernel lose the descriptors that they came with. */
const struct aloop__carrier aloop__carrier_unix = {
    .name = "unix",
    .receive = aloop__socket_receive,
    .send = aloop__socket_send,
    .send_pieces = aloop__socket_send_pieces,
    .send_fds = fds_send,
    .watch = aloop__carrier_watch,
    .shut = aloop__socket_shut,
    .error = aloop__socket_error,
    .reset = aloop__socket_reset,
    .close = aloop__socket_close,
    .is_unread_dropped = true,
    .has_splice = true,
};

const struct aloop__carrier aloop__carrier_fds = {
    .name = "unix",
    .receive = fds_receive,
    .send = aloop__socket_send,
    .send_pieces = aloop__socket_send_pieces,
    .send_fds = fds_send,
    .watch = aloop__carrier_watch,
    .shut = aloop__socket_shut,
    .error = aloop__socket_error,
    .reset = aloop__socket_reset,
    .close = fds_close,
    .is_unread_dropped = true,
};

/* The public functions. */

int aloop_stream_set_fds_max(aloop_stream *stream, size_t count_max)
{
    int error = aloop__check_handle(stream, __func__);
    struct aloop__sender *sender;
    struct ring *ring = NULL;

    if (error < 0 || count_max > RING_MAX)
        return error < 0 ? error : ALOOP_EINVAL;
    if (stream->carrier->send_fds == NULL)
        return ALOOP_ENOTSUP;
    sender = aloop__sender_get(stream);
    if (sender != NULL && count_max > 0)
        ring =
            aloop__alloc_new(&stream->handle.loop->alloc, ring_size(count_max));
    if (sender == NULL || (count_max > 0 && ring == NULL))
        return ALOOP_ENOMEM;
    if (ring != NULL)
        *ring = (struct ring){.room = count_max};
    /* The ring is found through the sender, which must not be freed when it has
     * nothing to send. */
    sender->is_kept = true;
    replace_ring(stream, ring);
    return 0;
}

int aloop_stream_take_fd(aloop_stream *stream)
{
    int error = aloop__check_handle(stream, __func__);
    struct ring *ring;

    if (error < 0)
        return error;
    if (stream->carrier->send_fds == NULL)
        return ALOOP_ENOTSUP;
    ring = ring_of(stream);
    /* What has arrived comes before the report that something was lost. */
    if (ring != NULL && ring->count > 0)
        return take_first(ring);
    if (ring == NULL || ring->lost == 0)
        return ALOOP_EAGAIN;
    error = ring->lost;
    ring->lost = 0;
    return error;
}

/* Replaces descriptors by duplicates.  After an error those that were made are
 * closed. */
static int duplicate_all(int *copies, const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        copies[i] = aloop__sys_duplicate(fds[i]);
        if (copies[i] < 0) {
            int error = copies[i];

            while (i-- > 0)
                aloop__sys_close(copies[i]);
            return error;
        }
    }
    return 0;
}

/* Makes the pieces of a call: one byte with the most descriptors of a message,
 * as often as necessary, and the rest.  Returns false if out of memory; then
 * the descriptors stay the caller's.  put_fds has checked that each message has
 * a byte.
 *
 * They are made in a list of their own, so that a failure leaves the queue as
 * it was: the application must never have sent a part of its descriptors. */
static bool make_pieces(aloop *loop, struct aloop__node *made, const char *data,
                        size_t size, const int *fds, size_t count)
{
    while (count > 0) {
        bool is_last = count <= SYS_FDS_MAX;
        size_t part = is_last ? count : SYS_FDS_MAX;
        size_t bytes = is_last ? size : 1;
        struct aloop__piece *piece =
            aloop__pieces_new_fds(loop, data, bytes, fds, part);

        if (piece == NULL)
            break;
        list_push(made, &piece->node);
        data += bytes;
        size -= bytes;
        fds += part;
        count -= part;
    }
    while (count > 0 && !list_is_empty(made))
        aloop__pieces_drop_fds(
            loop, CONTAINER_OF(made->next, struct aloop__piece, node));
    return count == 0;
}

/* Queues pieces with duplicates of the descriptors, which it makes in
 * `copies`.  Nothing can fail once the first piece is queued. */
static int queue_fds(aloop_stream *stream, const char *data, size_t size,
                     const int *fds, size_t count, int *copies)
{
    struct aloop__node made;
    int error = duplicate_all(copies, fds, count);

    if (error < 0)
        return error;
    list_init(&made);
    if (!make_pieces(stream->handle.loop, &made, data, size, copies, count)) {
        for (size_t i = 0; i < count; i++)
            aloop__sys_close(copies[i]);
        return ALOOP_ENOMEM;
    }
    while (!list_is_empty(&made)) {
        struct aloop__node *first = made.next;

        list_remove(first);
        aloop__pieces_queue_fds(stream->sender,
                                CONTAINER_OF(first, struct aloop__piece, node));
    }
    return 0;
}

int aloop_stream_put_fds(aloop_stream *stream, const void *data, size_t size,
                         const int *fds, size_t count)
{
    int error = aloop__check_handle(stream, __func__);
    const struct aloop__alloc *alloc;
    int *copies;

    if (error < 0)
        return error;
    if (data == NULL || fds == NULL || size == 0 || size > PTRDIFF_MAX / 2 ||
        count == 0 || count > INT_MAX || (count - 1) / SYS_FDS_MAX >= size)
        return ALOOP_EINVAL;
    if (stream->carrier->send_fds == NULL)
        return ALOOP_ENOTSUP;
    /* It makes the sender, and copies lent bytes, which come first. */
    error = aloop__stream_prepare_writing(stream);
    if (error < 0)
        return error;
    alloc = &stream->handle.loop->alloc;
    copies = aloop__alloc_new(alloc, count * sizeof *copies);
    if (copies == NULL)
        return ALOOP_ENOMEM;
    error = queue_fds(stream, data, size, fds, count, copies);
    aloop__alloc_free(alloc, copies, count * sizeof *copies);
    if (error < 0)
        return error;
    aloop__sender_queued_more(stream->sender, size);
    return stream->sender->queued > stream->sender->high;
}
