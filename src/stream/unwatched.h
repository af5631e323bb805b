/* Streams of descriptors that the reactor cannot watch; see
 * carrier_unwatched.c. */

#ifndef ALOOP_STREAM_UNWATCHED_H
#define ALOOP_STREAM_UNWATCHED_H

#include "loop/pool.h"
#include "os/sys_stream.h"
#include "stream/stream.h"

enum { UNWATCHED_SIZE = 64 * 1024 }; /* The most that one job transfers. */

/* The state of a stream with this carrier.  It outlives the stream while a
 * thread has the job. */
struct aloop__unwatched {
    aloop *loop;
    aloop_stream *stream; /* NULL after its end. */
    int fd;               /* The number while the stream has it. */
    int left_fd;          /* After the end, the one to close, or -1. */
    struct aloop__ready due;

    struct aloop__job job;
    bool is_working;  /* The pool has the job. */
    bool is_write;    /* It writes. */
    bool has_written; /* A job that has written has ended since. */
    bool is_uncached; /* Calls that do not block are refused. */
    bool is_device;   /* It has no position that a close could restore. */
    bool is_behind;   /* After a write or a fork, until the next read. */
    short write_error;
    char *buffer;      /* Of the job, of `room` bytes. */
    size_t room, size; /* `size` bytes are transferred. */
    ssize_t status;

    /* The result of the last job that has read, until it was taken: bytes
     * [start, end), or the end or an error. */
    bool has_result;
    ssize_t result;
    char *input;
    size_t input_room, start, end;
    size_t unread; /* Bytes before these, which a closed stream had. */
};

/* carrier_unwatched.c */

/* Creates a stream of a regular file.  `fd` stays the caller's on failure. */
int aloop__file_stream_open(aloop *loop, int fd, aloop_stream **ret);
/* Creates a stream of a device that is no terminal.  Its carrier is `watched`
 * if the reactor can watch it. */
int aloop__device_open(aloop *loop, int fd,
                       const struct aloop__carrier *watched,
                       aloop_stream **ret);
/* Returns how many bytes a thread has read of a device and no reader has taken,
 * and stores where they are.  Those of a file go back to it. */
size_t aloop__unwatched_left(const aloop_stream *stream, const char **ret_data);
/* Returns whether a thread uses the descriptor of the stream. */
bool aloop__unwatched_is_working(const aloop_stream *stream);

/* unwatched_job.c */

/* Queues the stream, if something waits for an event that no job will cause. */
void aloop__unwatched_queue(struct aloop__unwatched *u);
/* Has a thread read up to `size` bytes, which then are the result.  No job and
 * no result may exist. */
int aloop__unwatched_read(struct aloop__unwatched *u, size_t size);
/* Copies what fits into one buffer, and has a thread write it.  Returns the
 * number of bytes, or an error.  No job may exist. */
ssize_t aloop__unwatched_write(struct aloop__unwatched *u,
                               const struct sys_piece *pieces, size_t count);
/* Moves bytes of the result to the reader.  Returns their number or, if there
 * are none, the end or the error. */
ssize_t aloop__unwatched_take_result(struct aloop__unwatched *u, void *buffer,
                                     size_t size);
/* Moves the position back to the first byte that no reader has taken. */
void aloop__unwatched_give_back(struct aloop__unwatched *u);
/* Drops the job if no thread has begun it. */
void aloop__unwatched_take_back(struct aloop__unwatched *u);
/* Frees the state of a stream that has ended, and closes the descriptor. */
void aloop__unwatched_free(struct aloop__unwatched *u);

/* Returns whether the descriptor was closed outside the loop's control.  Its
 * number may belong to another descriptor now, which must not be closed. */
static inline bool aloop__stream_is_lost(const aloop_stream *stream)
{
    return stream->read_error == ALOOP_EBADF ||
           stream->write_error == ALOOP_EBADF;
}

#endif
