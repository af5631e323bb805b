/* The queue of bytes to send, and one send of it.  stream.h includes this. */

#ifndef ALOOP_STREAM_PIECES_H
#define ALOOP_STREAM_PIECES_H

#include "os/reactor.h"
#include "stream/stream.h"

/* pieces.c: the queue of bytes to send. */

/* Queues a copy of the bytes, or lends them.  ALOOP_ENOMEM: nothing was
 * queued. */
int aloop__pieces_put(struct aloop__sender *sender, const char *data,
                      size_t size);
/* Queues a copy of bytes that on_data has put. */
int aloop__pieces_copy_reply(struct aloop__sender *sender, const char *data,
                             size_t size);
/* Returns a piece that is not queued yet, or NULL if out of memory.  The
 * descriptors stay the caller's until it is queued. */
struct aloop__piece *aloop__pieces_new_fds(aloop *loop, const char *data,
                                           size_t size, const int *fds,
                                           size_t count);
/* Frees a piece that was not queued, without its descriptors. */
void aloop__pieces_drop_fds(aloop *loop, struct aloop__piece *piece);
void aloop__pieces_queue_fds(struct aloop__sender *sender,
                             struct aloop__piece *piece);
/* Where the descriptors of a piece begin, aligned for a struct
 * aloop__passed. */
enum {
    PIECE_PASSED = (sizeof(struct aloop__piece) + _Alignof(int64_t) - 1) /
                   _Alignof(int64_t) * _Alignof(int64_t)
};
static inline struct aloop__passed *aloop__piece_passed(
    struct aloop__piece *piece)
{
    return (struct aloop__passed *) (void *) ((char *) piece + PIECE_PASSED);
}

/* Returns whether a timer will flush: the stream may be writable, but the
 * system refuses the descriptors of the first piece. */
static inline bool aloop__sender_is_delayed(const struct aloop__sender *sender)
{
    struct aloop__piece *first =
        CONTAINER_OF(sender->pieces.next, struct aloop__piece, node);

    return !list_is_empty(&sender->pieces) && first->kind == PIECE_FDS &&
           aloop__piece_passed(first)->is_delayed;
}

/* Keeps the loop alive while bytes are queued.  Called after every change of
 * the queue. */
static inline void aloop__sender_set_sending(struct aloop__sender *sender)
{
    aloop *loop = sender->stream->handle.loop;
    bool is_sending = !list_is_empty(&sender->pieces);

    loop->live += is_sending;
    loop->live -= sender->is_sending;
    sender->is_sending = is_sending;
}

/* Schedules a flush after a change of the queue, unless one will follow anyway:
 * after on_data, when the kernel accepts more, or because it is scheduled
 * already. */
static inline void aloop__sender_flush_later(struct aloop__sender *sender)
{
    const aloop_stream *stream = sender->stream;
    aloop *loop = stream->handle.loop;

    aloop__sender_set_sending(sender);
    if (aloop__stream_is_dispatching(stream) ||
        (stream->io.armed & REACTOR_WRITE) != 0 ||
        !list_is_empty(&sender->flush.node))
        return;
    list_push(&loop->flushing, &sender->flush.node);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

/* Closes the descriptors of a PIECE_FDS, which becomes a PIECE_OWNED. */
void aloop__piece_close_fds(struct aloop__piece *piece);
/* Copies all lent pieces.  Returns false if out of memory. */
bool aloop__pieces_own(struct aloop__sender *sender);
/* Removes a piece from the queue and frees it, except that a PIECE_WRITE
 * belongs to its operation. */
void aloop__piece_free(struct aloop__sender *sender,
                       struct aloop__piece *piece);

/* send.c: one send. */

/* Sends pieces as one call of the carrier allows.  *ret_asked is the number of
 * bytes that it was given: if it accepts fewer, the next call would return
 * EAGAIN. */
ssize_t aloop__sender_send(const struct aloop__sender *sender,
                           const struct aloop__carrier *carrier,
                           size_t *ret_asked);
/* Removes `sent` bytes from the front of the queue. */
void aloop__sender_advance(struct aloop__sender *sender, size_t sent);
/* Drops all pieces and settles the writes among them.  Returns whether bytes of
 * a put were lost: no future reports those. */
bool aloop__sender_drop(struct aloop__sender *sender, int error);

#endif
