/* The jobs of a stream whose descriptor the reactor cannot watch, and what they
 * have read.
 *
 * There is one job at a time, which owns the buffer until it is done or taken
 * back.  carrier_unwatched.c decides when a job is needed.
 *
 *     on the loop's thread                on a thread of the pool
 *     read, write: submit_transfer() ---> unwatched_work()
 *     unwatched_done()               <---
 *       a read: keep_result(), until a reader has taken all
 *       a write: has_written, until carrier_unwatched.c has reported it
 *
 * The thread reads `fd`, `size` and `is_write` and writes `status` and the
 * buffer.  The loop changes none of them while `is_working`, so that no lock is
 * needed beyond that of the pool.  The state outlives its stream if a thread is
 * still at work; it is freed, and the descriptor closed, when the job is
 * done. */

#include <string.h>

#include "loop/host.h"
#include "os/sys_file.h"
#include "stream/unwatched.h"

/* While a job runs nothing is queued, because its end does that.  Otherwise the
 * loop would spin for the time of a slow read. */
void aloop__unwatched_queue(struct aloop__unwatched *u)
{
    if (!u->is_working && list_is_empty(&u->due.node) &&
        (u->stream->io.armed != 0 || u->has_written))
        aloop__ready_push(u->loop, &u->due);
}

/* All of it: the bytes count as sent already, so that nothing could be done
 * with a short count.  A write of 0 bytes would repeat without an end. */
static ssize_t write_buffer(const struct aloop__unwatched *u)
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
    struct aloop__unwatched *u =
        CONTAINER_OF(job, struct aloop__unwatched, job);

    u->status = u->is_write ? write_buffer(u)
                            : aloop__sys_read(u->fd, u->buffer, u->size);
}

/* `buffer` is NULL afterwards, so that a second call has no effect: a result
 * takes the buffer of its job over. */
static void drop_buffer(aloop *loop, char **buffer, size_t room)
{
    if (*buffer != NULL)
        aloop__buffer_put(loop, *buffer, room);
    *buffer = NULL;
}

static void drop_result(struct aloop__unwatched *u)
{
    u->has_result = false;
    u->start = u->end = 0;
    drop_buffer(u->loop, &u->input, u->input_room);
}

void aloop__unwatched_free(struct aloop__unwatched *u)
{
    drop_buffer(u->loop, &u->buffer, u->room);
    drop_result(u);
    if (u->left_fd >= 0)
        aloop__sys_close(u->left_fd);
    aloop__alloc_free(&u->loop->alloc, u, sizeof *u);
}

/* Makes the buffer of the job the result, so that nothing is copied.  An error
 * or the end is a result without bytes, which the next reader takes. */
static void keep_result(struct aloop__unwatched *u, ssize_t status)
{
    u->has_result = true;
    u->result = status < 0 ? status : 0;
    u->input = u->buffer;
    u->input_room = u->room;
    u->end = status > 0 ? (size_t) status : 0;
    u->buffer = NULL;
}

/* After a write the position does not follow these bytes any more, and the
 * parent of a forked child has the same ones. */
void aloop__unwatched_give_back(struct aloop__unwatched *u)
{
    size_t size = u->unread + u->end - u->start;

    if (size > 0 && !u->is_behind && !u->is_device)
        (void) aloop__sys_seek(u->fd, -(int64_t) size, SYS_SEEK_CURRENT);
    u->unread = 0;
    drop_result(u);
}

/* Returns the status of the job.  A failure to start a thread is no EAGAIN of
 * the descriptor, after which the call would be repeated. */
static ssize_t status_of(const struct aloop__unwatched *u, int error)
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
    struct aloop__unwatched *u =
        CONTAINER_OF(job, struct aloop__unwatched, job);
    ssize_t status = status_of(u, error);

    u->is_working = false;
    u->has_written = u->is_write;
    if (u->is_write && status < 0)
        u->write_error = (short) status;
    else if (!u->is_write && error != ALOOP_ECANCELED)
        keep_result(u, status);
    drop_buffer(u->loop, &u->buffer, u->room);
    if (u->stream != NULL) {
        aloop__unwatched_queue(u);
        return;
    }
    if (u->left_fd >= 0)
        aloop__unwatched_give_back(u);
    aloop__unwatched_free(u);
}

/* Gives the buffer to a thread.  Files have a lane of their own in the pool: a
 * slow disk does not delay look-ups of names.  A pool that cannot be made is no
 * EAGAIN of the descriptor, either. */
static int submit_transfer(struct aloop__unwatched *u, bool is_write,
                           size_t size)
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
    return error == ALOOP_EAGAIN ? ALOOP_ENOMEM : error;
}

/* The buffers of the loop are reused, so that a long file costs one of them. */
static int make_buffer(struct aloop__unwatched *u, size_t size)
{
    u->room = size;
    u->buffer = aloop__buffer_get(u->loop, &u->room);
    return u->buffer == NULL ? ALOOP_ENOMEM : 0;
}

/* The thread reads no more than the reader has asked for: what it reads too
 * much would move the position, which other programs may share. */
int aloop__unwatched_read(struct aloop__unwatched *u, size_t size)
{
    int error = make_buffer(u, size);

    return error < 0 ? error : submit_transfer(u, false, size);
}

/* Copied, because the core frees the pieces as soon as they count as sent.
 * What does not fit is sent after the job.  After the write the position is
 * that of the written bytes, and nothing is given back (`is_behind`). */
ssize_t aloop__unwatched_write(struct aloop__unwatched *u,
                               const struct sys_piece *pieces, size_t count)
{
    size_t size = 0;
    int error;

    for (size_t i = 0; i < count && size < UNWATCHED_SIZE; i++)
        size += pieces[i].size < UNWATCHED_SIZE ? pieces[i].size
                                                : UNWATCHED_SIZE;
    if (size > UNWATCHED_SIZE)
        size = UNWATCHED_SIZE;
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

ssize_t aloop__unwatched_take_result(struct aloop__unwatched *u, void *buffer,
                                     size_t size)
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

/* A job that a thread has begun cannot be stopped; unwatched_done() follows. */
void aloop__unwatched_take_back(struct aloop__unwatched *u)
{
    if (!u->is_working || !aloop__pool_take_back(u->loop, &u->job))
        return;
    u->is_working = false;
    drop_buffer(u->loop, &u->buffer, u->room);
}
