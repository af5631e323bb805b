/* One send of the writing half, and what it changes in the queue of pieces.
 *
 * The queue is sent by a carrier: that of the stream, or, for the bytes of
 * filters, the carrier below them.  This file changes only the pieces, their
 * counts and the futures of writes; sender.c does what follows from that. */

#include "loop/future.h"
#include "os/sys.h"
#include "stream/splice.h"
#include "stream/stream.h"

static struct aloop__write *write_of(struct aloop__piece *piece)
{
    return CONTAINER_OF(piece, struct aloop__write, piece);
}

/* Ends the first piece, which was sent, and settles its write operation.
 * Settling may free the operation, which contains the piece. */
static void finish_piece(struct aloop__sender *sender,
                         struct aloop__piece *piece)
{
    struct aloop__write *write = write_of(piece);
    bool is_write = piece->kind == PIECE_WRITE;

    aloop__piece_free(sender, piece);
    if (is_write && sender->wire != NULL)
        sender->stream->carrier->taken(sender->stream, write);
    else if (is_write)
        aloop__future_settle(&write->future, (ssize_t) write->size);
}

/* The queue must not be empty. */
static struct aloop__piece *first_piece(const struct aloop__sender *sender)
{
    return CONTAINER_OF(sender->pieces.next, struct aloop__piece, node);
}

/* Removes sent bytes from the front of a piece.  Replies count as sent first,
 * so that bytes of other code cannot keep on_data paused. */
static void count_sent(struct aloop__sender *sender, struct aloop__piece *piece,
                       size_t size)
{
    size_t replies = piece->replies < size ? piece->replies : size;

    if (piece->data != NULL)
        piece->data += size;
    piece->size -= size;
    piece->replies -= replies;
    sender->replies -= replies;
}

/* Returns whether the first piece is an empty one.  A write that filters have
 * taken waits as such behind the bytes that it became. */
static bool is_marked(const struct aloop__sender *sender)
{
    return !list_is_empty(&sender->pieces) && first_piece(sender)->size == 0;
}

/* A write settles as soon as its last byte was accepted, even if the send ended
 * within a later piece. */
void aloop__sender_advance(struct aloop__sender *sender, size_t sent)
{
    sender->queued -= sent;
    while (sent > 0 || is_marked(sender)) {
        struct aloop__piece *piece = first_piece(sender);
        size_t size = piece->size < sent ? piece->size : sent;

        count_sent(sender, piece, size);
        sent -= size;
        if (piece->size == 0)
            finish_piece(sender, piece);
    }
}

/* Sends a piece that is not gathered with others.  If a part of its bytes is
 * left, it is sent later, without descriptors. */
static ssize_t send_alone(aloop_stream *stream,
                          const struct aloop__carrier *carrier,
                          struct aloop__piece *piece)
{
    ssize_t n;

    if (piece->kind == PIECE_SPLICED)
        return aloop__splice_send(stream, piece);
    n = carrier->send_fds(stream, piece->data, piece->size,
                          aloop__piece_passed(piece));
    if (n > 0)
        aloop__piece_close_fds(piece);
    return n;
}

/* Gathers pieces up to the first that must be sent alone: descriptors arrive
 * with the first byte of their message, and spliced bytes are in a pipe.  A
 * queue of one piece, the usual case, takes the cheaper call.  *ret_asked lets
 * the caller see a short send, after which the system would only report
 * EAGAIN. */
ssize_t aloop__sender_send(const struct aloop__sender *sender,
                           const struct aloop__carrier *carrier,
                           size_t *ret_asked)
{
    aloop_stream *stream = sender->stream;
    struct sys_piece pieces[SYS_PIECES_MAX];
    struct aloop__node *node = sender->pieces.next;
    size_t count = 0, asked = 0;

    for (; node != &sender->pieces && count < SYS_PIECES_MAX;
         node = node->next) {
        struct aloop__piece *piece =
            CONTAINER_OF(node, struct aloop__piece, node);

        if (piece->kind >= PIECE_FDS && count == 0) {
            *ret_asked = piece->size;
            return send_alone(stream, carrier, piece);
        }
        if (piece->kind >= PIECE_FDS)
            break;
        pieces[count++] = (struct sys_piece){piece->data, piece->size};
        asked += piece->size;
    }
    *ret_asked = asked;
    if (count == 1)
        return carrier->send(stream, pieces[0].data, pieces[0].size);
    return carrier->send_pieces(stream, pieces, count);
}

/* The first piece is read again in each round, because settling a write may
 * free it.  Bytes of a write are not lost in silence: its future has the error.
 * The counts become 0 at the end, so that nothing that runs in between may rely
 * on them; settling calls nothing, and a write that is freed has left the
 * queue. */
bool aloop__sender_drop(struct aloop__sender *sender, int error)
{
    bool has_lost = false;

    while (!list_is_empty(&sender->pieces)) {
        struct aloop__piece *piece = first_piece(sender);
        bool is_write = piece->kind == PIECE_WRITE;

        has_lost = has_lost || !is_write;
        aloop__piece_free(sender, piece);
        if (is_write)
            aloop__future_settle(&write_of(piece)->future, error);
    }
    sender->queued = 0;
    sender->replies = 0;
    return has_lost;
}
