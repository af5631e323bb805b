/* Streams in the state machine: reads, writes and waits, in callbacks and in
 * tasks. */

#include "machine_stream.h"

bool is_pending(const struct io *io)
{
    return !io->has_ended && io->future != NULL &&
           !aloop_future_is_settled(io->future);
}

bool is_reading(const struct end *end)
{
    for (unsigned i = 0; i < s.io_count; i++)
        if (s.ios[i].end == end && s.ios[i].kind == IO_READ &&
            is_pending(&s.ios[i]))
            return true;
    return false;
}

struct io *new_io(enum io_kind kind, struct end *end)
{
    struct io *io = &s.ios[s.io_count];

    if (s.io_count == IOS_MAX)
        return NULL;
    s.io_count++;
    *io = (struct io){.kind = kind, .end = end};
    return io;
}

static char *lend(size_t size)
{
    char *buffer = malloc(size);

    if (buffer == NULL)
        abort();
    return buffer;
}

static void check_read(struct end *end, const char *buffer, size_t size,
                       bool is_exact, ssize_t status)
{
    if (status > 0) {
        FUZZ_CHECK(is_exact ? (size_t) status == size
                            : (size_t) status <= size);
        check_bytes(end, buffer, (size_t) status);
    } else if (status == 0 || status == ALOOP_EOF) {
        FUZZ_CHECK(is_exact == (status == ALOOP_EOF));
        if (status == 0)
            check_eof(end);
    } else {
        FUZZ_CHECK(status == ALOOP_ECANCELED || status == ALOOP_EABORTED ||
                   status == ALOOP_EBUSY || is_breakage(status));
    }
}

static void check_io(struct io *io)
{
    ssize_t status = aloop_future_status(io->future);

    io->is_checked = true;
    if (io->kind == IO_READ)
        check_read(io->end, io->buffer, io->size, io->is_exact, status);
}

/* Handles settled reads in the order of their starts, in which they also
 * settle. */
void collect(const struct end *end)
{
    for (unsigned i = 0; i < s.io_count; i++) {
        struct io *io = &s.ios[i];

        if (io->end == end && io->kind == IO_READ && !io->has_ended &&
            !io->is_checked && io->future != NULL && !is_pending(io))
            check_io(io);
    }
}

/* Writes of one end are executed in order. */
static void check_write(const struct io *io, ssize_t status)
{
    if (status < 0) {
        FUZZ_CHECK(status == ALOOP_ECANCELED || is_breakage(status));
        if (io->end->pieces[io->piece].fate == WHOLE)
            io->end->pieces[io->piece].fate = PERHAPS;
        return;
    }
    FUZZ_CHECK((size_t) status == io->size);
    for (const struct io *earlier = s.ios; earlier < io; earlier++)
        FUZZ_CHECK(earlier->kind != IO_WRITE || earlier->end != io->end ||
                   earlier->has_ended);
}

static void on_io(aloop_future *future, ssize_t status, void *arg)
{
    struct io *io = arg;

    FUZZ_CHECK(!w.is_over && !io->has_ended && io->future == future);
    w.is_inside = true;
    say("operation %d ends with %zd", (int) (io - s.ios), status);
    if (io->kind == IO_READ)
        collect(io->end);
    if (!io->is_checked)
        check_io(io);
    io->has_ended = true;
    io->status = status;
    if (io->kind == IO_PIPE)
        check_pipe(io, status);
    if (io->kind == IO_FILTER)
        check_filter(io, status);
    if (io->kind == IO_WRITE)
        check_write(io, status);
    else if (io->kind == IO_WAIT)
        FUZZ_CHECK(status == 0 || status == ALOOP_ECANCELED ||
                   is_breakage(status));
    else if (io->kind == IO_CONNECT)
        stream_connected(status);
    else if (io->kind == IO_ACCEPT)
        stream_accepted(status);
    free(io->buffer);
    aloop_future_unref(io->future);
    io->future = NULL;
    stream_act_some();
    w.is_inside = false;
}

void follow(struct io *io, aloop_future *future)
{
    FUZZ_CHECK(future != NULL);
    say("  is operation %d", (int) (io - s.ios));
    io->future = aloop_future_ref(future);
    FUZZ_CHECK(aloop_then(future, on_io, io) == 0);
}

void end_io(struct io *io)
{
    FUZZ_CHECK(!is_pending(io));
    io->has_ended = true;
    free(io->buffer);
    aloop_future_unref(io->future);
    io->future = NULL;
}

void drop_reads(const struct end *end)
{
    collect(end);
    for (unsigned i = 0; i < s.io_count; i++) {
        struct io *io = &s.ios[i];

        if (io->end != end || io->kind != IO_READ || io->has_ended ||
            io->future == NULL)
            continue;
        end_io(io);
    }
}

void act_read(void)
{
    struct end *end = any_end();
    size_t size = any_size();
    bool is_busy, is_exact = any_bit();
    aloop_future *future;
    struct io *io;

    if (end == NULL || end->has_reader || is_spent(end) ||
        (io = new_io(IO_READ, end)) == NULL)
        return;
    collect(end);
    is_busy = end->is_started || is_reading(end) || is_piped(end);
    if (end == s.current)
        s.current_size = 0; /* It may receive later bytes. */
    io->size = size;
    io->is_exact = is_exact;
    io->buffer = lend(size);
    say("read %s%zu at end %d", is_exact ? "exactly " : "", size,
        (int) (end - s.ends));
    future = is_exact ? aloop_stream_read_exactly(end->stream, io->buffer, size)
                      : aloop_stream_read(end->stream, io->buffer, size);
    follow(io, future);
    FUZZ_CHECK(is_busy == (aloop_future_status(io->future) == ALOOP_EBUSY));
}

void act_write(void)
{
    struct end *end = any_end();
    size_t size = any_size();
    struct io *io;

    if (end == NULL || end->piece_count == PIECES_MAX || end->fed_by != NULL ||
        (io = new_io(IO_WRITE, end)) == NULL)
        return;
    io->size = size;
    io->buffer = lend(size);
    io->piece = new_piece(end, io->buffer, size);
    say("write %zu at end %d", size, (int) (end - s.ends));
    follow(io, aloop_stream_write(end->stream, io->buffer, size));
    if (aloop_future_is_settled(io->future))
        end->pieces[io->piece].fate = GONE; /* Refused. */
}

void act_wait(void)
{
    struct end *end = any_end();
    bool is_shutdown = any_below(4) == 1;
    struct io *io;

    if (end == NULL || (is_shutdown && end->fed_by != NULL) ||
        (io = new_io(IO_WAIT, end)) == NULL)
        return;
    say("%s end %d", is_shutdown ? "shut down" : "drain", (int) (end - s.ends));
    end->is_shut = end->is_shut || is_shutdown;
    follow(io, is_shutdown ? aloop_stream_shutdown(end->stream)
                           : aloop_stream_drain(end->stream));
}

/* Cancels a read or a write.  A write is removed, or sent in part; nothing can
 * be written after that. */
void act_cancel(void)
{
    struct io *io;
    bool was_pending;

    if (s.io_count == 0)
        return;
    io = &s.ios[s.io_count - 1 - any_below(s.io_count)];
    if (io->has_ended || io->kind == IO_CONNECT || io->kind == IO_ACCEPT)
        return;
    was_pending = is_pending(io);
    say("cancel operation %d", (int) (io - s.ios));
    if (io->kind == IO_FILTER && was_pending)
        filter_cancelled();
    FUZZ_CHECK(aloop_cancel(io->future) == was_pending);
    FUZZ_CHECK(!is_pending(io));
    if (io->kind != IO_WRITE || !was_pending)
        return;
    FUZZ_CHECK(aloop_future_status(io->future) == ALOOP_ECANCELED);
    io->end->pieces[io->piece].fate =
        io->end->stream != NULL &&
                aloop_stream_put(io->end->stream, NULL, 0) != ALOOP_EPIPE
            ? GONE
            : PERHAPS;
}

/* Tasks that read and write.  Their buffers are their own again when the await
 * ends. */

static ssize_t await_io(aloop_future *future)
{
    ssize_t status;

    w.is_inside = false;
    status = aloop_await(future);
    w.is_inside = true;
    return status;
}

static void read_in_task(struct end *end)
{
    size_t size = any_size();
    bool is_exact = any_bit();
    char *buffer;
    ssize_t status;

    if (end->has_reader || end->is_started || is_reading(end) ||
        end->pipe != NULL)
        return;
    collect(end);
    end->has_reader = true;
    buffer = lend(size);
    status = await_io(is_exact
                          ? aloop_stream_read_exactly(end->stream, buffer, size)
                          : aloop_stream_read(end->stream, buffer, size));
    end->has_reader = false;
    check_read(end, buffer, size, is_exact, status);
    if (status > 0 && end->stream != NULL)
        unread_some(end, buffer, (size_t) status);
    free(buffer);
}

static void write_in_task(struct end *end)
{
    size_t size = any_size();
    char *buffer;
    unsigned piece;
    aloop_future *write;
    ssize_t status;

    if (end->piece_count == PIECES_MAX || end->fed_by != NULL)
        return;
    buffer = lend(size);
    piece = new_piece(end, buffer, size);
    write = aloop_stream_write(end->stream, buffer, size);
    /* It was refused, or a timeout may cancel it before this task resumes. */
    end->pieces[piece].fate = aloop_future_is_settled(write) ? GONE : PERHAPS;
    status = await_io(aloop_timeout(write, ALOOP_SEC(1)));
    FUZZ_CHECK(status == (ssize_t) size || status == ALOOP_ECANCELED ||
               status == ALOOP_EABORTED || is_breakage(status));
    FUZZ_CHECK(status < 0 || end->pieces[piece].fate == PERHAPS);
    if (status >= 0)
        end->pieces[piece].fate = WHOLE;
    free(buffer);
}

static ssize_t task(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    s.tasks++;
    w.is_inside = true;
    for (unsigned i = 1 + any_below(4); i > 0 && !w.is_freeing; i--) {
        struct end *end = any_end();

        if (end == NULL)
            continue;
        say("a task at end %d", (int) (end - s.ends));
        if (any_bit())
            read_in_task(end);
        else
            write_in_task(end);
    }
    s.tasks--;
    w.is_inside = false;
    return 0;
}

void act_task(void)
{
    if (s.end_count == 0)
        return;
    say("a task for streams");
    aloop_detach(aloop_spawn(w.loop, task, NULL));
}

void streams_check(void)
{
    FUZZ_CHECK(s.tasks == 0);
    for (unsigned i = 0; i < s.io_count; i++)
        FUZZ_CHECK(s.ios[i].has_ended);
    filters_check();
}
