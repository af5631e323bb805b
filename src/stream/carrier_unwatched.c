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

#include "os/reactor.h"
#include "os/sys_file.h"
#include "os/sys_stdio.h"
#include "stream/unwatched.h"

static struct aloop__unwatched *unwatched_of(const aloop_stream *stream)
{
    return stream->sender->carried;
}

/* A flush follows each write of a thread: it sends what was refused meanwhile,
 * and settles a shutdown that waits for the thread.  The stream may end in
 * here. */
static void after_writing(struct aloop__unwatched *u)
{
    aloop_stream *stream = u->stream;

    u->has_written = false;
    if (u->write_error != 0)
        aloop__stream_fail_writing(stream, u->write_error);
    aloop__stream_flush(stream);
}

/* ready->run.  The state is freed if the stream has ended meanwhile.  In a
 * forked child nothing happens before it uses the stream. */
static void unwatched_due(struct aloop__ready *ready)
{
    struct aloop__unwatched *u =
        CONTAINER_OF(ready, struct aloop__unwatched, due);
    aloop_stream *stream = u->stream;

    if (stream->io.fd < 0 || !aloop__stream_is_ours(stream))
        return;
    if (u->has_written)
        after_writing(u);
    if (stream->io.fd >= 0 && stream->io.armed != 0)
        stream->io.on_ready(&stream->io, stream->io.armed);
    if (stream->io.fd >= 0 && aloop__stream_is_ours(stream))
        aloop__unwatched_queue(u);
}

/* A file never hangs up.  The stream is queued without a test of readiness: a
 * call that is not possible now gives its work to a thread, whose end queues
 * the stream again. */
static int unwatched_watch(aloop_stream *stream, unsigned bits)
{
    struct aloop__unwatched *u = unwatched_of(stream);

    stream->io.armed = (uint8_t) (bits & ~(unsigned) REACTOR_HANGUP);
    if (aloop__stream_is_ours(stream))
        aloop__unwatched_queue(u);
    return 0;
}

/* A read that does not block is tried first.  EAGAIN means that the bytes are
 * not in the page cache now; any other error that the call is never possible,
 * so that it is not tried again (`is_uncached`).  A thread finds out what is
 * wrong with the file itself, and its error is the one that counts. */
static ssize_t file_receive(aloop_stream *stream, void *buffer, size_t size)
{
    struct aloop__unwatched *u = unwatched_of(stream);
    ssize_t n = ALOOP_EAGAIN;
    int error;

    if (u->is_working)
        return ALOOP_EAGAIN;
    if (u->has_result)
        return aloop__unwatched_take_result(u, buffer, size);
    if (size > UNWATCHED_SIZE)
        size = UNWATCHED_SIZE;
    if (!u->is_uncached)
        n = aloop__sys_read_now(u->fd, buffer, size);
    u->is_behind = false;
    if (n >= 0)
        return n;
    if (n != ALOOP_EAGAIN)
        u->is_uncached = true;
    error = aloop__unwatched_read(u, size);
    return error < 0 ? error : ALOOP_EAGAIN;
}

/* Writes to a device without blocking.  Returns ALOOP_EAGAIN if that is
 * impossible. */
static ssize_t write_directly(struct aloop__unwatched *u,
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

static ssize_t file_send_pieces(aloop_stream *stream,
                                const struct sys_piece *pieces, size_t count)
{
    struct aloop__unwatched *u = unwatched_of(stream);
    ssize_t n;

    if (u->write_error != 0)
        return u->write_error;
    if (u->is_working)
        return ALOOP_EAGAIN;
    n = write_directly(u, pieces, count);
    if (n != ALOOP_EAGAIN)
        return n;
    return aloop__unwatched_write(u, pieces, count);
}

static ssize_t file_send(aloop_stream *stream, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};

    return file_send_pieces(stream, &piece, 1);
}

/* EAGAIN: the flush after the job calls again.  A shutdown must not succeed
 * before the job, whose error it reports. */
static int file_shut(aloop_stream *stream)
{
    const struct aloop__unwatched *u = unwatched_of(stream);

    return u->is_working && u->is_write ? ALOOP_EAGAIN : u->write_error;
}

/* Called only if something else has failed without a number. */
static int file_error(aloop_stream *stream)
{
    (void) stream;
    return ALOOP_EIO;
}

/* Bytes that a thread has begun to write cannot be dropped any more. */
static int file_reset(aloop_stream *stream)
{
    aloop__unwatched_take_back(unwatched_of(stream));
    return 0;
}

/* There is no state if there was no memory for it.  A forked child shares the
 * position with its parent, whose stream has read the same bytes. */
static void unwatched_close(aloop_stream *stream, int fd)
{
    struct aloop__unwatched *u = stream->sender != NULL ? unwatched_of(stream)
                                                        : NULL;
    bool is_ours = aloop__stream_is_ours(stream);

    if (u == NULL) {
        if (fd >= 0)
            aloop__sys_close(fd);
        return;
    }
    stream->sender->carried = NULL;
    list_remove(&u->due.node);
    if (is_ours && !u->is_write)
        aloop__unwatched_take_back(u);
    if (is_ours && !aloop__stream_is_lost(stream))
        aloop__unwatched_give_back(u);
    u->left_fd = fd;
    u->stream = NULL;
    if (!u->is_working)
        aloop__unwatched_free(u);
}

/* Only counts, because a thread may still use the position.  The close, which
 * follows, moves the position back by `size` more bytes. */
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
    .is_shut_later = true,
};

size_t aloop__unwatched_left(const aloop_stream *stream, const char **ret_data)
{
    const struct aloop__unwatched *u;

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

/* Gives a stream this carrier with its state, or releases the stream.
 * `is_unwatched` keeps a forked child from adding the descriptor to its
 * reactor, which would refuse it. */
static int add_state(aloop_stream *stream, bool is_device)
{
    aloop *loop = stream->handle.loop;
    struct aloop__sender *sender = aloop__sender_get(stream);
    struct aloop__unwatched *u = NULL;

    if (sender != NULL)
        u = aloop__alloc_new(&loop->alloc, sizeof *u);
    if (u == NULL) {
        (void) aloop__stream_release(stream);
        return ALOOP_ENOMEM;
    }
    sender->is_kept = true;
    *u = (struct aloop__unwatched){.loop = loop,
                                   .stream = stream,
                                   .fd = stream->io.fd,
                                   .left_fd = -1,
                                   .is_device = is_device,
                                   .is_uncached = loop->devices.is_off,
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
