/* The carrier of descriptors that the reactor cannot watch: regular files, and
 * devices whose drivers have no poll.
 *
 * A call that may block is a job on a thread of the pool.  Only a call that the
 * system promises not to block is made directly:
 *
 *     a regular file   reads of what the page cache has
 *     a device         reads and writes, if its driver knows the flag for that.
 *                      Those of /dev/null and /dev/zero do.  Those of tapes,
 *                      printers, buses and random generators (/dev/hwrng) do
 *                      not, and their calls block.
 *
 * Readiness is made up here.  `watch` records the events in io->armed, and as
 * long as there are some and no thread is at work the stream is in the ready
 * queue, so that io->on_ready() is called in each turn, as level-triggered
 * events would do it.
 *
 * The position of a file belongs to its description, which other programs may
 * share.  Therefore reads and writes use it in the order in which they are
 * made, with one job at a time, and a job reads no more than was asked for.
 * What it has read and no reader has taken goes back: the position returns to
 * the first of these bytes.
 *
 * Bytes to write are copied for the job, and count as sent then.  If the job
 * fails, writing fails with its error.  A shutdown waits for the job. */

#include <string.h>

#include "loop/host.h"
#include "loop/pool.h"
#include "os/reactor.h"
#include "os/sys_file.h"
#include "os/sys_stdio.h"
#include "stream/unwatched.h"

enum { TRANSFER_SIZE = 64 * 1024 };

struct unwatched {
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

static struct unwatched *unwatched_of(const aloop_stream *stream)
{
    return stream->sender->carried;
}

/* Queues the stream, if something waits for an event that no job will cause. */
static void queue_due(struct unwatched *u)
{
    if (!u->is_working && list_empty(&u->due.node) &&
        (u->stream->io.armed != 0 || u->has_written))
        aloop__ready_push(u->loop, &u->due);
}

/* The stream may end in here. */
static void after_writing(struct unwatched *u)
{
    aloop_stream *stream = u->stream;

    u->has_written = false;
    if (u->write_error != 0)
        aloop__stream_fail_writing(stream, u->write_error);
    aloop__stream_flush(stream);
}

/* ready->run.  The state is gone if the stream has ended meanwhile.  In a
 * forked child nothing happens before it uses the stream. */
static void unwatched_due(struct aloop__ready *ready)
{
    struct unwatched *u = CONTAINER_OF(ready, struct unwatched, due);
    aloop_stream *stream = u->stream;

    if (stream->io.fd < 0 || !aloop__stream_is_ours(stream))
        return;
    if (u->has_written)
        after_writing(u);
    if (stream->io.fd >= 0 && stream->io.armed != 0)
        stream->io.on_ready(&stream->io, stream->io.armed);
    if (stream->io.fd >= 0 && aloop__stream_is_ours(stream))
        queue_due(u);
}

/* A file never hangs up. */
static int unwatched_watch(aloop_stream *stream, unsigned bits)
{
    struct unwatched *u = unwatched_of(stream);

    stream->io.armed = (uint16_t) (bits & ~(unsigned) REACTOR_HANGUP);
    if (aloop__stream_is_ours(stream))
        queue_due(u);
    return 0;
}

static ssize_t write_buffer(const struct unwatched *u)
{
    size_t done = 0;

    while (done < u->size) {
        struct sys_piece piece = {u->buffer + done, u->size - done};
        ssize_t n = aloop__sys_writev(u->fd, &piece, 1);

        if (n <= 0)
            return n < 0 ? n : ALOOP_EIO;
        done += (size_t) n;
    }
    return (ssize_t) done;
}

/* job->work, on a thread. */
static void unwatched_work(struct aloop__job *job)
{
    struct unwatched *u = CONTAINER_OF(job, struct unwatched, job);

    u->status = u->is_write ? write_buffer(u)
                            : aloop__sys_read(u->fd, u->buffer, u->size);
}

static void drop_buffer(aloop *loop, char **buffer, size_t room)
{
    if (*buffer != NULL)
        aloop__buffer_put(loop, *buffer, room);
    *buffer = NULL;
}

static void drop_result(struct unwatched *u)
{
    u->has_result = false;
    u->start = u->end = 0;
    drop_buffer(u->loop, &u->input, u->input_room);
}

/* Frees the state of a stream that has ended, and closes the descriptor. */
static void free_unwatched(struct unwatched *u)
{
    drop_buffer(u->loop, &u->buffer, u->room);
    drop_result(u);
    if (u->left_fd >= 0)
        aloop__sys_close(u->left_fd);
    aloop__alloc_free(&u->loop->alloc, u, sizeof *u);
}

/* Makes the buffer of the job the result. */
static void keep_result(struct unwatched *u, ssize_t status)
{
    u->has_result = true;
    u->result = status < 0 ? status : 0;
    u->input = u->buffer;
    u->input_room = u->room;
    u->end = status > 0 ? (size_t) status : 0;
    u->buffer = NULL;
}

/* Moves the position back to the first byte that no reader has taken.  After a
 * write it does not follow these bytes any more, and the parent of a forked
 * child has the same ones. */
static void give_result_back(struct unwatched *u)
{
    size_t size = u->unread + u->end - u->start;

    if (size > 0 && !u->is_behind && !u->is_device)
        (void) aloop__sys_seek(u->fd, -(int64_t) size, SYS_SEEK_CURRENT);
    u->unread = 0;
    drop_result(u);
}

/* Returns the status of the job.  A failure to start a thread is no EAGAIN of
 * the descriptor, after which the call would be repeated. */
static ssize_t status_of(const struct unwatched *u, int error)
{
    if (error == 0)
        error = u->status < 0 ? (int) u->status : 0;
    if (error == ALOOP_EAGAIN)
        return ALOOP_ENOMEM;
    return error < 0 ? error : u->status;
}

/* job->done.  A job that was cancelled has read nothing: the loop ends, or this
 * is a forked child, which reads itself. */
static void unwatched_done(struct aloop__job *job, int error)
{
    struct unwatched *u = CONTAINER_OF(job, struct unwatched, job);
    ssize_t status = status_of(u, error);

    u->is_working = false;
    u->has_written = u->is_write;
    if (u->is_write && status < 0)
        u->write_error = (short) status;
    else if (!u->is_write && error != ALOOP_ECANCELED)
        keep_result(u, status);
    drop_buffer(u->loop, &u->buffer, u->room);
    if (u->stream != NULL) {
        queue_due(u);
        return;
    }
    if (u->left_fd >= 0)
        give_result_back(u);
    free_unwatched(u);
}

/* Gives the buffer to a thread. */
static int submit_transfer(struct unwatched *u, bool is_write, size_t size)
{
    int error;

    u->is_write = is_write;
    u->size = size;
    u->job.work = unwatched_work;
    u->job.done = unwatched_done;
    error = aloop__pool_submit(u->loop, LANE_FILE, &u->job);
    u->is_working = error == 0;
    if (error < 0)
        drop_buffer(u->loop, &u->buffer, u->room);
    return error;
}

static int make_buffer(struct unwatched *u, size_t size)
{
    u->room = size;
    u->buffer = aloop__buffer_get(u->loop, &u->room);
    return u->buffer == NULL ? ALOOP_ENOMEM : 0;
}

static ssize_t take_result(struct unwatched *u, void *buffer, size_t size)
{
    ssize_t result = u->result;

    if (size > u->end - u->start)
        size = u->end - u->start;
    if (size > 0)
        memcpy(buffer, u->input + u->start, size);
    u->start += size;
    if (u->start == u->end)
        drop_result(u);
    return size > 0 ? (ssize_t) size : result;
}

static ssize_t file_receive(aloop_stream *stream, void *buffer, size_t size)
{
    struct unwatched *u = unwatched_of(stream);
    ssize_t n = ALOOP_EAGAIN;
    int error;

    if (u->is_working)
        return ALOOP_EAGAIN;
    if (u->has_result)
        return take_result(u, buffer, size);
    if (size > TRANSFER_SIZE)
        size = TRANSFER_SIZE;
    if (!u->is_uncached)
        n = aloop__sys_read_now(u->fd, buffer, size);
    u->is_behind = false;
    if (n >= 0)
        return n;
    if (n != ALOOP_EAGAIN)
        u->is_uncached = true;
    error = make_buffer(u, size);
    if (error == 0)
        error = submit_transfer(u, false, size);
    return error < 0 ? error : ALOOP_EAGAIN;
}

/* Writes to a device without blocking.  Returns ALOOP_EAGAIN if that is
 * impossible. */
static ssize_t write_directly(struct unwatched *u,
                              const struct sys_piece *pieces, size_t count)
{
    ssize_t n;

    if (!u->is_device || u->is_uncached)
        return ALOOP_EAGAIN;
    n = aloop__sys_write_now(u->fd, pieces, count);
    if (n != ALOOP_EOPNOTSUPP)
        return n;
    u->is_uncached = true;
    return ALOOP_EAGAIN;
}

/* Accepts what fits into one buffer. */
static ssize_t file_send_pieces(aloop_stream *stream,
                                const struct sys_piece *pieces, size_t count)
{
    struct unwatched *u = unwatched_of(stream);
    ssize_t n;
    size_t size = 0;
    int error;

    if (u->write_error != 0)
        return u->write_error;
    if (u->is_working)
        return ALOOP_EAGAIN;
    n = write_directly(u, pieces, count);
    if (n != ALOOP_EAGAIN)
        return n;
    for (size_t i = 0; i < count && size < TRANSFER_SIZE; i++)
        size += pieces[i].size < TRANSFER_SIZE ? pieces[i].size : TRANSFER_SIZE;
    if (size > TRANSFER_SIZE)
        size = TRANSFER_SIZE;
    error = make_buffer(u, size);
    if (error < 0)
        return error;
    for (size_t i = 0, at = 0; at < size; i++) {
        size_t part = pieces[i].size < size - at ? pieces[i].size : size - at;

        memcpy(u->buffer + at, pieces[i].data, part);
        at += part;
    }
    u->is_behind = true;
    error = submit_transfer(u, true, size);
    return error < 0 ? error : (ssize_t) size;
}

static ssize_t file_send(aloop_stream *stream, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};

    return file_send_pieces(stream, &piece, 1);
}

/* EAGAIN: the flush after the job calls again. */
static int file_shut(aloop_stream *stream)
{
    const struct unwatched *u = unwatched_of(stream);

    return u->is_working && u->is_write ? ALOOP_EAGAIN : u->write_error;
}

static int file_error(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_EIO;
}

/* Drops the job if no thread has begun it. */
static void take_job_back(struct unwatched *u)
{
    if (!u->is_working || !aloop__pool_take_back(u->loop, &u->job))
        return;
    u->is_working = false;
    drop_buffer(u->loop, &u->buffer, u->room);
}

static int file_reset(aloop_stream *stream)
{
    take_job_back(unwatched_of(stream));
    return 0;
}

/* There is no state if there was no memory for it.  A forked child shares the
 * position with its parent, whose stream has read the same bytes. */
static void unwatched_close(aloop_stream *stream, int fd)
{
    struct unwatched *u = stream->sender != NULL ? unwatched_of(stream) : NULL;
    bool is_ours = aloop__stream_is_ours(stream);

    if (u == NULL) {
        if (fd >= 0)
            aloop__sys_close(fd);
        return;
    }
    stream->sender->carried = NULL;
    list_remove(&u->due.node);
    if (is_ours && !u->is_write)
        take_job_back(u);
    if (is_ours && !aloop__stream_is_lost(stream))
        give_result_back(u);
    u->left_fd = fd;
    u->stream = NULL;
    if (!u->is_working)
        free_unwatched(u);
}

/* The close, which follows, moves the position back by `size` more bytes. */
static void file_give_back(aloop_stream *stream, size_t size)
{
    unwatched_of(stream)->unread = size;
}

/* The bytes of a file that the stream has received are left to the parent. */
static void file_stream_fork(aloop_stream *stream)
{
    unwatched_of(stream)->is_behind = true;
}

const struct aloop__carrier aloop__carrier_file = {
    .name = "file",
    .receive = file_receive,
    .send = file_send,
    .send_pieces = file_send_pieces,
    .watch = unwatched_watch,
    .shut = file_shut,
    .error = file_error,
    .reset = file_reset,
    .close = unwatched_close,
    .give_back = file_give_back,
    .fork = file_stream_fork,
    .shuts_later = true,
};

size_t aloop__unwatched_left(const aloop_stream *stream, const char **ret_data)
{
    const struct unwatched *u;

    if (stream->carrier != &aloop__carrier_file)
        return 0;
    u = unwatched_of(stream);
    if (!u->is_device || u->start == u->end)
        return 0;
    *ret_data = u->input + u->start;
    return u->end - u->start;
}

bool aloop__unwatched_is_working(const aloop_stream *stream)
{
    return stream->carrier == &aloop__carrier_file &&
           unwatched_of(stream)->is_working;
}

/* Gives a stream this carrier with its state, or releases the stream. */
static int add_state(aloop_stream *stream, bool is_device)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = aloop__sender_get(stream);
    struct unwatched *u = NULL;

    if (sender != NULL)
        u = aloop__alloc_new(&loop->alloc, sizeof *u);
    if (u == NULL) {
        (void) aloop__stream_release(stream);
        return ALOOP_ENOMEM;
    }
    sender->is_kept = true;
    *u = (struct unwatched){.loop = loop,
                            .stream = stream,
                            .fd = stream->io.fd,
                            .left_fd = -1,
                            .is_device = is_device,
                            .due.run = unwatched_due};
    list_init(&u->due.node);
    sender->carried = u;
    stream->carrier = &aloop__carrier_file;
    stream->io.is_unwatched = true;
    return 0;
}

int aloop__file_stream_open(aloop *loop, int fd, aloop_stream **ret)
{
    int error = aloop__stream_make(loop, fd, &aloop__carrier_file, ret);

    return error < 0 ? error : add_state(*ret, false);
}

/* Returns ALOOP_EPERM if the reactor cannot watch the stream.  Some systems
 * refuse a device with EINVAL. */
static int try_to_watch(aloop_stream *stream)
{
    int error = aloop__carrier_watch(stream, REACTOR_READ);

    if (error == 0)
        error = aloop__carrier_watch(stream, 0);
    return error == ALOOP_EINVAL ? ALOOP_EPERM : error;
}

int aloop__device_open(aloop *loop, int fd,
                       const struct aloop__carrier *watched, aloop_stream **ret)
{
    int error = aloop__stream_make(loop, fd, watched, ret);

    if (error < 0)
        return error;
    error = try_to_watch(*ret);
    if (error == ALOOP_EPERM)
        return add_state(*ret, true);
    if (error < 0)
        (void) aloop__stream_release(*ret);
    return error;
}
