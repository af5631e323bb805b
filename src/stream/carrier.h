/* Carriers: how a stream uses its descriptor. */

#ifndef ALOOP_STREAM_CARRIER_H
#define ALOOP_STREAM_CARRIER_H

#include "aloop/stream.h"

struct aloop__passed;
struct aloop__write;
struct sys_piece;

/* There is one const table for each kind of descriptor.  The functions return a
 * negated errno on failure.  All but `close` are called only while the stream
 * has its descriptor. */
struct aloop__carrier {
    const char *name; /* For reports: "tcp". */
    /* Returns 0 at the end of the stream, and ALOOP_EAGAIN if nothing can be
     * received now. */
    ssize_t (*receive)(aloop_stream *stream, void *buffer, size_t size);
    /* Return the number of bytes that were accepted, or ALOOP_EAGAIN. */
    ssize_t (*send)(aloop_stream *stream, const void *data, size_t size);
    ssize_t (*send_pieces)(aloop_stream *stream, const struct sys_piece *pieces,
                           size_t count);
    /* Sends bytes with descriptors, as aloop__sys_send_fds() does, or delays
     * them and returns ALOOP_EAGAIN.  NULL: the carrier cannot pass
     * descriptors. */
    ssize_t (*send_fds)(aloop_stream *stream, const void *data, size_t size,
                        struct aloop__passed *passed);
    /* Watches exactly `bits` and records them in stream->io.armed. */
    int (*watch)(aloop_stream *stream, unsigned bits);
    /* Ends writing.  ALOOP_EAGAIN, if `is_shut_later`: bytes are still being
     * written, and a flush of the stream will follow. */
    int (*shut)(aloop_stream *stream);
    int (*error)(aloop_stream *stream); /* Takes the pending error. */
    /* Makes the close drop queued bytes and notify the peer, if the kind of
     * descriptor allows it. */
    int (*reset)(aloop_stream *stream);
    /* Frees what the carrier has for the stream, and closes `fd`, which is no
     * longer watched.  `fd` is -1 if the stream has lost its descriptor. */
    void (*close)(aloop_stream *stream, int fd);
    /* Called by a close, with the number of bytes that were received and that
     * no reader has taken.  May be NULL. */
    void (*give_back)(aloop_stream *stream, size_t size);
    /* Called in a forked child, after the stream has left what it had queued to
     * the parent.  May be NULL. */
    void (*fork)(aloop_stream *stream);
    /* A close with unread bytes would reset the connection, so that they are
     * received and dropped before. */
    bool is_unread_dropped;
    bool is_shut_later;
    /* A forward may move bytes between descriptors of such carriers. */
    bool has_splice;
    /* It may have bytes that cause no event.  `watch` is called for each reader
     * that begins, even if input is watched. */
    bool has_input;
    /* Of the carrier of filters only.  A write has no more bytes to give; the
     * carrier settles it.  Writing has ended with an error. */
    void (*taken)(aloop_stream *stream, struct aloop__write *write);
    void (*failed)(aloop_stream *stream, int error);
};

/* carrier_*.c */
extern const struct aloop__carrier aloop__carrier_socket; /* TCP. */
/* A Unix socket, and one that accepts descriptors; see carrier_fds.c. */
extern const struct aloop__carrier aloop__carrier_unix;
extern const struct aloop__carrier aloop__carrier_fds;
extern const struct aloop__carrier aloop__carrier_pipe;
/* A device that the reactor can watch. */
extern const struct aloop__carrier aloop__carrier_device;
extern const struct aloop__carrier aloop__carrier_file; /* Unwatched. */
/* Terminals; see carrier_terminal.c. */
extern const struct aloop__carrier aloop__carrier_terminal;
extern const struct aloop__carrier aloop__carrier_shared_terminal;

/* Functions of aloop__carrier_socket, which Unix sockets share. */
ssize_t aloop__socket_receive(aloop_stream *stream, void *buffer, size_t size);
ssize_t aloop__socket_send(aloop_stream *stream, const void *data, size_t size);
ssize_t aloop__socket_send_pieces(aloop_stream *stream,
                                  const struct sys_piece *pieces, size_t count);
int aloop__socket_shut(aloop_stream *stream);
int aloop__socket_error(aloop_stream *stream);
int aloop__socket_reset(aloop_stream *stream);
void aloop__socket_close(aloop_stream *stream, int fd);

#endif
