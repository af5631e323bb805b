/* The pipe of a forward; see splice.c. */

#ifndef ALOOP_STREAM_SPLICE_H
#define ALOOP_STREAM_SPLICE_H

#include "stream/stream.h"

struct aloop__splice;

/* Opens a pipe, or returns NULL. */
struct aloop__splice *aloop__splice_open(aloop *loop);
/* Drops the reference of a forward. */
void aloop__splice_drop(aloop *loop, struct aloop__splice *splice);
/* Receives into the pipe, and appends a piece, which the caller counts.
 * Returns its size, or the result of aloop__sys_splice_in(). */
ssize_t aloop__splice_receive(struct aloop__splice *splice,
                              const aloop_stream *from,
                              struct aloop__sender *sender);
/* Sends a PIECE_SPLICED, as `send` of a carrier does. */
ssize_t aloop__splice_send(const aloop_stream *stream,
                           struct aloop__piece *piece);
/* Frees a PIECE_SPLICED that is in no queue. */
void aloop__splice_free_piece(aloop *loop, struct aloop__piece *piece);

#endif
