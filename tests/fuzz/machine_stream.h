/* Streams in the state machine: what the model does not know.
 *
 * When bytes arrive is the simulated network's affair, so that nothing here has
 * an exact time.  What is claimed instead: each direction of a connection
 * brings what was written, in order, without a gap, to the end that was told;
 * each future settles once; nothing is called after a close; and memory that
 * was lent is touched by nobody once its future has settled.
 *
 * From the first connection on the model knows of only a part of the loop: runs
 * are stepped, and where a callback comes between the model's own it acts on
 * streams alone. */

#ifndef MACHINE_STREAM_H
#define MACHINE_STREAM_H

#include "machine.h"

enum { ENDS_MAX = 6, PIECES_MAX = 48, IOS_MAX = 96, SIZE_LARGEST = 3000 };

/* What became of something written. */
enum fate { WHOLE, GONE, PERHAPS };

struct piece {
    size_t size;
    enum fate fate;
};

/* One end of a connection; its peer is the one beside it. */
struct end {
    aloop_stream *stream; /* NULL: not there yet, or closed. */
    bool is_closed;
    bool is_started;      /* on_data may come. */
    bool is_over;         /* It heard of the end, or of an error. */
    bool has_reader;      /* A task reads. */
    bool is_shut;         /* Or will be. */
    struct io *pipe;      /* Out of it, ever; or NULL. */
    struct end *fed_by;   /* Where a pipe into it began; or NULL. */
    struct piece pieces[PIECES_MAX]; /* All that it wrote. */
    unsigned piece_count;
    unsigned got;         /* Pieces that the peer has. */
    size_t got_bytes;     /* Of the next one. */
};

enum io_kind { IO_READ, IO_WRITE, IO_WAIT, IO_CONNECT, IO_PIPE };

/* An operation that is followed to its end. */
struct io {
    enum io_kind kind;
    struct end *end;
    aloop_future *future; /* A reference, until it has ended. */
    char *buffer;         /* Lent to it, until it has settled. */
    size_t size;
    unsigned piece;       /* A write's. */
    bool is_exact;        /* Reads `size` bytes or fails. */
    bool is_checked;      /* What it read was looked at. */
    bool has_ended;
    ssize_t status;       /* If it has. */
};

struct streams {
    struct end ends[ENDS_MAX];
    unsigned end_count; /* Two for each connection that was begun. */
    struct io ios[IOS_MAX];
    unsigned io_count;
    aloop_listener *listener;
    aloop_stream *connected;
    unsigned tasks;
};

extern struct streams s;

/* machine_stream.c */
struct end *any_end(void); /* Open, or NULL. */
struct end *peer_of(const struct end *end);
/* The peer of `end`, or where its pipes begin, wrote what has come to it. */
void check_bytes(struct end *end, const void *data, size_t size);
void check_eof(const struct end *end);
unsigned new_piece(struct end *end, char *buffer, size_t size);
size_t any_size(void);
bool is_breakage(ssize_t error);
void stream_act_some(void);

/* machine_io.c */
void collect(const struct end *end); /* Reads that have settled. */
bool is_pending(const struct io *io);
bool is_reading(const struct end *end);
struct io *new_io(enum io_kind kind, struct end *end);
void follow(struct io *io, aloop_future *future);
/* `end` was just closed: no read of it is called back. */
void drop_reads(const struct end *end);
void act_read(void);
void act_write(void);
void act_wait(void);
void act_cancel(void);
void act_task(void);

/* machine_pipe.c */
bool is_piped(const struct end *end); /* Now, out of it. */
bool is_spent(const struct end *end); /* It was. */
struct end *source_of(struct end *writer); /* Who has written its bytes. */
bool has_failed_pipe(const struct end *writer);
void check_pipe(const struct io *io, ssize_t status);

#endif
