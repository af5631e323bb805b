/* The pipe of a forward, through which bytes move without being copied.
 *
 *     socket --splice--> pipe --splice--> socket
 *
 * What is in the pipe is queued as pieces of the stream that it goes to, so
 * that it keeps its place among other pieces, counts for water marks, and is
 * sent after a close.  All pieces of a pipe are in one queue, and have the
 * order of the bytes in the pipe.
 *
 * The forward and the pieces are the users of a pipe.  The last one closes
 * it. */

#include "os/sys.h"
#include "os/sys_stream.h"
#include "stream/splice.h"

/* Also the most that one turn receives.  The system may keep a pipe smaller. */
enum { SPLICE_PIPE_SIZE = 256 * 1024 };

struct aloop__splice {
    int fds[2];
    unsigned users;
    unsigned process; /* A forked child shares the pipe with its parent. */
};

/* A PIECE_SPLICED. */
struct spliced {
    struct aloop__piece piece;
    struct aloop__splice *splice;
};

static struct spliced *spliced_of(struct aloop__piece *piece)
{
    return CONTAINER_OF(piece, struct spliced, piece);
}

struct aloop__splice *aloop__splice_open(aloop *loop)
{
    struct aloop__splice *splice = aloop__slab_get(&loop->slab, sizeof *splice);
    int fds[2];

    if (splice == NULL)
        return NULL;
    if (aloop__sys_pipe(fds) < 0) {
        aloop__slab_put(&loop->slab, splice, sizeof *splice);
        return NULL;
    }
    aloop__sys_pipe_grow(fds[1], SPLICE_PIPE_SIZE);
    *splice = (struct aloop__splice){.fds = {fds[0], fds[1]},
                                     .users = 1,
                                     .process = loop->process};
    return splice;
}

void aloop__splice_drop(aloop *loop, struct aloop__splice *splice)
{
    if (--splice->users > 0)
        return;
    aloop__sys_close(splice->fds[0]);
    aloop__sys_close(splice->fds[1]);
    aloop__slab_put(&loop->slab, splice, sizeof *splice);
}

/* Returns the last piece of the queue if it is one of this pipe, or a new one.
 * Returns NULL if out of memory. */
static struct spliced *last_piece(struct aloop__sender *sender,
                                  struct aloop__splice *splice)
{
    struct aloop__piece *last =
        CONTAINER_OF(sender->pieces.prev, struct aloop__piece, node);
    struct spliced *spliced;

    if (!list_is_empty(&sender->pieces) && last->kind == PIECE_SPLICED &&
        spliced_of(last)->splice == splice)
        return spliced_of(last);
    spliced =
        aloop__slab_get(&sender->stream->handle.loop->slab, sizeof *spliced);
    if (spliced == NULL)
        return NULL;
    *spliced = (struct spliced){.piece.kind = PIECE_SPLICED, .splice = splice};
    list_init(&spliced->piece.node);
    splice->users++;
    return spliced;
}

/* The piece exists before anything is received: bytes in the pipe without a
 * piece would never be sent, and those behind them would take their place.  A
 * child that adopted a stream would take bytes of its parent out of the
 * pipe. */
ssize_t aloop__splice_receive(struct aloop__splice *splice,
                              const aloop_stream *from,
                              struct aloop__sender *sender)
{
    struct spliced *spliced;
    ssize_t n;

    if (splice->process != sender->stream->handle.loop->process)
        return ALOOP_ENOTSUP;
    spliced = last_piece(sender, splice);
    if (spliced == NULL)
        return ALOOP_ENOMEM;
    n = aloop__sys_splice_in(from->io.fd, splice->fds[1], SPLICE_PIPE_SIZE);
    if (n > 0) {
        spliced->piece.size += (size_t) n;
        if (list_is_empty(&spliced->piece.node))
            list_push(&sender->pieces, &spliced->piece.node);
    } else if (list_is_empty(&spliced->piece.node)) {
        aloop__splice_free_piece(sender->stream->handle.loop, &spliced->piece);
    }
    return n;
}

ssize_t aloop__splice_send(const aloop_stream *stream,
                           struct aloop__piece *piece)
{
    return aloop__sys_splice_out(spliced_of(piece)->splice->fds[0],
                                 stream->io.fd, piece->size);
}

/* Bytes of a piece that was not sent stay in the pipe, in front of those of
 * other pieces.  Nothing is sent after that, because all pieces of a queue are
 * freed together. */
void aloop__splice_free_piece(aloop *loop, struct aloop__piece *piece)
{
    struct spliced *spliced = spliced_of(piece);

    aloop__splice_drop(loop, spliced->splice);
    aloop__slab_put(&loop->slab, spliced, sizeof *spliced);
}
