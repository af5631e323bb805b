/* The queue of bytes to send; see struct aloop__piece.
 *
 *     sender->pieces:  [owned] [write] [owned] [lent]
 *                       ^ sent from here        ^ appended here
 *
 * The bytes leave in the order of the calls, whatever the kinds of their
 * pieces.  Small puts are copied into one piece after the other; each is filled
 * before the next one is created.  Bytes that on_data puts directly out of the
 * receive buffer are lent: they are sent from there when on_data returns, and
 * only the bytes that the kernel did not accept are copied.  A PIECE_WRITE is
 * part of its operation, and refers to memory of the caller.  Nothing is added
 * to a PIECE_FDS, because its bytes are a message of their own.
 *
 * This file counts replies, which are the bytes that on_data has put.  Its
 * callers count sender->queued.  stream_write.c and sender.c call it. */

#include "stream/splice.h"
#include "stream/stream.h"

#include <string.h>

#include "loop/buffers.h"
#include "os/sys.h"

enum { LEND_MIN = 2048 }; /* Copying less costs no more than lending. */

/* The buffers of owned pieces have different sizes and are reused by all
 * streams of the loop (buffers.c); a lent piece has no bytes of its own. */
void aloop__piece_free(struct aloop__sender *sender, struct aloop__piece *piece)
{
    aloop *loop = sender->stream->handle.loop;

    list_remove(&piece->node);
    if (piece->kind == PIECE_FDS)
        aloop__piece_close_fds(piece);
    if (piece->kind == PIECE_OWNED)
        aloop__buffer_put(loop, piece, sizeof *piece + piece->room);
    else if (piece->kind == PIECE_LENT)
        aloop__slab_put(&loop->slab, piece, sizeof *piece);
    else if (piece->kind == PIECE_SPLICED)
        aloop__splice_free_piece(loop, piece);
}

/* Returns how many bytes fit into the last piece.  Sending moves `data` forward
 * in it, and the room in front of `data` is not used again. */
static size_t room_left(const struct aloop__sender *sender)
{
    struct aloop__piece *piece =
        CONTAINER_OF(sender->pieces.prev, struct aloop__piece, node);
    const char *bytes = (const char *) (piece + 1);

    if (list_is_empty(&sender->pieces) || piece->kind != PIECE_OWNED)
        return 0;
    return piece->room - (size_t) (piece->data + piece->size - bytes);
}

/* Counts bytes that were added to the piece, and whether they are a reply.
 * Bytes that other code puts on the same stream never pause its on_data; see
 * aloop_stream_start(). */
static void count_put(struct aloop__sender *sender, struct aloop__piece *piece,
                      size_t size)
{
    piece->size += size;
    if (!aloop__stream_is_dispatching(sender->stream))
        return;
    piece->replies += size;
    sender->replies += size;
}

/* Copies bytes into the last piece, which has room for them. */
static void append_bytes(struct aloop__sender *sender, const char *data,
                         size_t size)
{
    struct aloop__piece *piece =
        CONTAINER_OF(sender->pieces.prev, struct aloop__piece, node);
    char *bytes = (char *) (piece + 1);

    if (size == 0)
        return;
    memcpy(bytes + (piece->room - room_left(sender)), data, size);
    count_put(sender, piece, size);
}

/* Returns an empty owned piece with room for `size` bytes or more: the buffer
 * may be larger, and all of it is used.  Returns NULL if out of memory. */
static struct aloop__piece *new_piece(aloop *loop, size_t size)
{
    size_t whole = sizeof(struct aloop__piece) + size;
    struct aloop__piece *piece = aloop__buffer_get(loop, &whole);

    if (piece == NULL)
        return NULL;
    list_init(&piece->node);
    piece->data = (char *) (piece + 1);
    piece->size = 0;
    piece->replies = 0;
    piece->room = whole - sizeof *piece;
    piece->kind = PIECE_OWNED;
    return piece;
}

/* Returns whether the bytes are part of those that on_data was called with.
 * They can be lent, because they are sent before anything else is received. */
static bool is_lendable(const struct aloop__sender *sender, const char *data,
                        size_t size)
{
    return size >= LEND_MIN && aloop__stream_is_dispatching(sender->stream) &&
           aloop__is_received(sender->stream->handle.loop, data, size);
}

/* Queues the bytes without a copy.  Returns false if that is not possible; out
 * of memory is no failure here, because the caller then copies. */
static bool lend(struct aloop__sender *sender, const char *data, size_t size)
{
    struct aloop__piece *piece;

    if (!is_lendable(sender, data, size))
        return false;
    piece = aloop__slab_get(&sender->stream->handle.loop->slab, sizeof *piece);
    if (piece == NULL)
        return false;
    list_init(&piece->node);
    piece->data = data;
    piece->kind = PIECE_LENT;
    count_put(sender, piece, size);
    list_push(&sender->pieces, &piece->node);
    sender->has_lent = true;
    return true;
}

/* Returns a piece with a copy of the bytes, which is not queued yet. */
static struct aloop__piece *copy_bytes(aloop *loop, const char *data,
                                       size_t size, size_t replies)
{
    struct aloop__piece *piece = new_piece(loop, size);

    if (piece == NULL)
        return NULL;
    memcpy(piece + 1, data, size);
    piece->size = size;
    piece->replies = replies;
    return piece;
}

/* Replaces a lent piece by an owned one, in the same place.  Returns false if
 * out of memory.  A part of the lent bytes may have been sent already.
 * sender->replies does not change, because the new piece has the same ones. */
static bool own_piece(struct aloop__sender *sender, struct aloop__piece *lent)
{
    struct aloop__piece *piece = copy_bytes(
        sender->stream->handle.loop, lent->data, lent->size, lent->replies);

    if (piece == NULL)
        return false;
    list_push(&lent->node, &piece->node); /* In front of the lent one. */
    aloop__piece_free(sender, lent);
    return true;
}

/* Returns the room of the next piece, for `size` bytes.  Usually it has room
 * for more bytes.  If the last piece cannot be extended because it is not
 * owned, there may be many such pieces, so that each has only the room it
 * needs. */
static size_t next_room(const struct aloop__sender *sender, size_t size)
{
    size_t small = BUFFER_SMALL - sizeof(struct aloop__piece);
    const struct aloop__piece *last =
        CONTAINER_OF(sender->pieces.prev, struct aloop__piece, node);

    if (!list_is_empty(&sender->pieces) && last->kind != PIECE_OWNED)
        return size;
    return size < small ? small : size;
}

/* All memory is allocated before the first byte is copied, so that a failure
 * queues nothing.  A put that is larger than the room of the last piece is
 * divided, unless most of it would be in the next one: pieces of 16 KiB then
 * stay whole, and a filter makes one record of each. */
int aloop__pieces_put(struct aloop__sender *sender, const char *data,
                      size_t size)
{
    size_t room = room_left(sender);
    size_t left = room < size / 2 ? 0 : room;
    size_t first = size < left ? size : left;
    struct aloop__piece *piece = NULL;

    if (lend(sender, data, size))
        return 0;
    if (size > left) {
        piece = new_piece(sender->stream->handle.loop,
                          next_room(sender, size - left));
        if (piece == NULL)
            return ALOOP_ENOMEM;
    }
    append_bytes(sender, data, first);
    if (piece != NULL) {
        list_push(&sender->pieces, &piece->node);
        append_bytes(sender, data + first, size - first);
    }
    return 0;
}

/* Descriptors. */

/* Called when the descriptors were sent, and then the kernel has references of
 * its own, or when the piece is freed.  The rest of the bytes is sent like any
 * others, and may be gathered with them. */
void aloop__piece_close_fds(struct aloop__piece *piece)
{
    struct aloop__passed *passed = aloop__piece_passed(piece);

    if (passed->is_delayed)
        aloop__timed_clear(passed->sender->stream->handle.loop, &passed->retry);
    for (size_t i = 0; i < passed->count; i++)
        aloop__sys_close(passed->fds[i]);
    piece->kind = PIECE_OWNED;
}

/* All in one buffer, so that queueing it later cannot fail:
 *
 *     piece | padding | struct aloop__passed, numbers | bytes
 *                                                       ^ piece->data */
struct aloop__piece *aloop__pieces_new_fds(aloop *loop, const char *data,
                                           size_t size, const int *fds,
                                           size_t count)
{
    size_t fds_size = sizeof(struct aloop__passed) + count * sizeof *fds;
    size_t start = PIECE_PASSED - sizeof(struct aloop__piece);
    struct aloop__piece *piece = new_piece(loop, start + fds_size + size);
    struct aloop__passed *passed;

    if (piece == NULL)
        return NULL;
    passed = aloop__piece_passed(piece);
    *passed = (struct aloop__passed){.count = count};
    memcpy(passed->fds, fds, count * sizeof *fds);
    memcpy((char *) passed + fds_size, data, size);
    piece->data = (char *) passed + fds_size;
    piece->size = size;
    piece->kind = PIECE_FDS;
    return piece;
}

void aloop__pieces_drop_fds(aloop *loop, struct aloop__piece *piece)
{
    list_remove(&piece->node);
    aloop__buffer_put(loop, piece, sizeof *piece + piece->room);
}

/* count_put() adds the size, so that the piece is empty before. */
void aloop__pieces_queue_fds(struct aloop__sender *sender,
                             struct aloop__piece *piece)
{
    size_t size = piece->size;

    piece->size = 0;
    aloop__piece_passed(piece)->sender = sender;
    count_put(sender, piece, size);
    list_push(&sender->pieces, &piece->node);
}

/* For bytes that on_data lent to a stream without a writing half.  Lent bytes
 * are always replies. */
int aloop__pieces_copy_reply(struct aloop__sender *sender, const char *data,
                             size_t size)
{
    struct aloop__piece *piece =
        copy_bytes(sender->stream->handle.loop, data, size, size);

    if (piece == NULL)
        return ALOOP_ENOMEM;
    sender->replies += size;
    list_push(&sender->pieces, &piece->node);
    return 0;
}

/* After a failure, lent pieces are left in the queue.  The caller then drops
 * them all, or the next call copies them, before the receive buffer is used
 * again. */
bool aloop__pieces_own(struct aloop__sender *sender)
{
    struct aloop__node *node = sender->pieces.next;
    bool is_owned = true;

    while (node != &sender->pieces && is_owned) {
        struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);

        node = node->next;
        if (piece->kind == PIECE_LENT)
            is_owned = own_piece(sender, piece);
    }
    sender->has_lent = !is_owned;
    return is_owned;
}
