/* Streams in the state machine, which the model does not cover.
 *
 * The simulated network decides when bytes arrive, so times are not checked
 * here.  These rules are checked instead: each direction of a connection
 * delivers what was written, in order and without gaps, up to the reported end;
 * each future settles once; no callback runs after a close; and the library
 * does not use borrowed memory after its future has settled.
 *
 * From the first connection on, the model knows only a part of the loop.  Runs
 * are then stepped, and a callback of a stream between events of the model acts
 * on streams only. */

#ifndef MACHINE_STREAM_H
#define MACHINE_STREAM_H

#include "machine.h"

enum { ENDS_MAX = 6, PIECES_MAX = 48, IOS_MAX = 96, SIZE_LARGEST = 3000 };

/* The outcome of a write. */
enum fate { WHOLE, GONE, PERHAPS };

struct piece {
    size_t size;
    enum fate fate;
};

/* One end of a connection; its peer is next to it in the array. */
struct end {
    aloop_stream *stream; /* NULL: not connected yet, or closed. */
    bool is_closed;
    bool has_no_reset;     /* A Unix socket or a pipe. */
    bool can_pass_fds;     /* A Unix socket. */
    bool has_fds;          /* It may have descriptors that were not taken. */
    bool is_cut;           /* Its descriptor was closed without a stream. */
    unsigned filter_count; /* Filters that it has. */
    bool is_started;       /* on_data may be called. */
    bool is_over;          /* Received the end or an error. */
    bool has_reader;       /* A task reads. */
    bool is_shut;          /* Or will be. */
    struct io *pipe;       /* Pipe out of it, at any time; or NULL. */
    struct end *fed_by;    /* Source of the pipe into it; or NULL. */
    struct piece pieces[PIECES_MAX]; /* All that it wrote. */
    unsigned piece_count;
    unsigned got;     /* Pieces that the peer has received. */
    size_t got_bytes; /* Received of the next piece. */
};

enum io_kind {
    IO_READ,
    IO_WRITE,
    IO_WAIT,
    IO_CONNECT,
    IO_ACCEPT,
    IO_PIPE,
    IO_FILTER
};

/* An operation that is followed until it ends. */
struct io {
    enum io_kind kind;
    struct end *end;
    aloop_future *future; /* A reference, until it has ended. */
    char *buffer;         /* Lent to it, until it has settled. */
    size_t size;
    unsigned piece;  /* Of a write; the number of a filter. */
    bool is_exact;   /* Reads `size` bytes or fails. */
    bool is_checked; /* The data read was checked. */
    bool is_shaking; /* A handshake was pending before the close. */
    bool has_ended;
    ssize_t status; /* Valid if it has ended. */
};

struct streams {
    struct end ends[ENDS_MAX];
    unsigned end_count; /* Two for each connection. */
    struct io ios[IOS_MAX];
    unsigned io_count;
    aloop_listener *listener;
    aloop_stream *connected;
    aloop_listener *acceptor; /* Accepts by futures. */
    aloop_stream *accepted;
    struct end *current;      /* Whose on_data runs, or NULL. */
    const char *current_data; /* What it was given, and not put back. */
    size_t current_size;
    unsigned tasks;
};

extern struct streams s;

/* machine_stream.c */
struct end *any_end(void); /* Open, or NULL. */
struct end *peer_of(const struct end *end);
/* Checks that the peer of `end`, or the source of its pipes, wrote `data`. */
void check_bytes(struct end *end, const void *data, size_t size);
void check_eof(const struct end *end);
unsigned new_piece(struct end *end, char *buffer, size_t size);
size_t any_size(void);
bool is_breakage(ssize_t error);
/* Returns whether a new pair of ends may be added now. */
bool can_connect(void);
/* The last `count` bytes that `end` received are put back. */
void take_back(const struct end *end, size_t count);
void close_end(struct end *end, bool is_abort);
void stream_act_some(void);

/* machine_io.c */
void collect(const struct end *end); /* Handles reads that have settled. */
bool is_pending(const struct io *io);
bool is_reading(const struct end *end);
struct io *new_io(enum io_kind kind, struct end *end);
void follow(struct io *io, aloop_future *future);
/* Ends an operation that has settled. */
void end_io(struct io *io);
/* `end` was closed: its pending reads are not reported. */
void drop_reads(const struct end *end);
void act_read(void);
void act_write(void);
void act_wait(void);
void act_cancel(void);
void act_task(void);

/* machine_pipe.c */
bool is_piped(const struct end *end);      /* Out of it, at present. */
bool is_spent(const struct end *end);      /* It was, earlier. */
struct end *source_of(struct end *writer); /* The end that wrote its bytes. */
bool has_failed_pipe(const struct end *writer);
void check_pipe(const struct io *io, ssize_t status);

/* machine_pair.c */
void pairs_begin(void);
/* Puts back a part of what a reader has received, or nothing. */
void unread_some(struct end *end, const void *data, size_t size);

/* machine_filter.c */
void filters_begin(void);
void filters_check(void); /* After everything was freed. */
/* Before and after a close: every context must be closed. */
void filters_closing(const struct end *end);
void filters_closed(const struct end *end);
void check_filter(const struct io *io, ssize_t status);
/* A cancel of a handshake breaks its stream. */
void filter_cancelled(void);
bool is_filter_error(ssize_t error);
void act_filter(void);
void act_filter_wake(void);

#endif
