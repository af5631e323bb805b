/* Streams in the state machine: connections, and callbacks with data. */

#include "machine_stream.h"

#include <string.h>

struct streams s;

void streams_begin(void)
{
    s.end_count = s.io_count = s.tasks = 0;
    s.listener = NULL;
    s.connected = s.accepted = NULL;
    s.acceptor = NULL;
    s.current = NULL;
    filters_begin();
    pairs_begin();
}

struct end *any_end(void)
{
    struct end *end;

    if (s.end_count == 0)
        return NULL;
    end = &s.ends[any_below(s.end_count)];
    return end->stream == NULL ? NULL : end;
}

struct end *peer_of(const struct end *end)
{
    return &s.ends[(size_t) (end - s.ends) ^ 1];
}

size_t any_size(void)
{
    static const size_t sizes[] = {1, 2, 5, 64, 200, 1000, 2500, SIZE_LARGEST};

    return sizes[any_below(sizeof sizes / sizeof sizes[0])];
}

/* Each piece begins with its number, so that gaps are detected. */
static unsigned char byte_of(unsigned piece, size_t at)
{
    return (unsigned char) (at == 0 ? piece : piece * 31 + at * 7 + at / 256);
}

unsigned new_piece(struct end *end, char *buffer, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = (char) byte_of(end->piece_count, i);
    end->pieces[end->piece_count] = (struct piece){size, WHOLE};
    return end->piece_count++;
}

/* Skips pieces that were cancelled.  `first` is the next byte received, or
 * -1. */
static void skip(struct end *writer, int first)
{
    while (writer->got_bytes == 0 && writer->got < writer->piece_count) {
        struct piece *piece = &writer->pieces[writer->got];
        bool is_other = first != byte_of(writer->got, 0);

        if (piece->size > 0 &&
            (piece->fate == WHOLE || (piece->fate == PERHAPS && !is_other)))
            return;
        piece->fate = GONE;
        writer->got++;
    }
}

void check_bytes(struct end *end, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    struct end *writer = source_of(peer_of(end));

    for (size_t i = 0; i < size; i++) {
        skip(writer, bytes[i]);
        FUZZ_CHECK(writer->got < writer->piece_count);
        FUZZ_CHECK(bytes[i] == byte_of(writer->got, writer->got_bytes));
        if (++writer->got_bytes == writer->pieces[writer->got].size) {
            writer->got++;
            writer->got_bytes = 0;
        }
    }
}

void take_back(const struct end *end, size_t count)
{
    struct end *writer = source_of(peer_of(end));

    for (; count > 0; count--) {
        if (writer->got_bytes == 0) {
            do
                FUZZ_CHECK(writer->got-- > 0);
            while (writer->pieces[writer->got].fate == GONE);
            writer->got_bytes = writer->pieces[writer->got].size;
        }
        writer->got_bytes--;
    }
}

/* A Unix socket and a pipe have no reset.  Their peer gets the end of the
 * stream after an abort, too, and after a close that lost bytes. */
static bool is_lossy(const struct end *writer)
{
    return writer->is_cut || (writer->has_no_reset && writer->is_closed);
}

static bool may_have_lost(const struct end *writer)
{
    bool is_lost = is_lossy(writer);

    while (!is_lost && writer->fed_by != NULL) {
        writer = peer_of(writer->fed_by);
        is_lost = is_lossy(writer);
    }
    return is_lost;
}

/* Checks an end of stream without an error: everything has arrived. */
void check_eof(const struct end *end)
{
    struct end *writer = source_of(peer_of(end));

    if (has_failed_pipe(peer_of(end)) || may_have_lost(peer_of(end)))
        return;
    skip(writer, -1);
    FUZZ_CHECK(writer->got == writer->piece_count);
}

bool is_breakage(ssize_t error)
{
    return error == ALOOP_ECONNRESET || error == ALOOP_EPIPE ||
           error == ALOOP_ETIMEDOUT || error == ALOOP_ECONNREFUSED ||
           error == ALOOP_ENOTCONN || /* Shut down after a reset. */
           is_filter_error(error);
}

/* Acts that are allowed anywhere. */
static void act_on_stream(void)
{
    if (w.acts == 0 || w.is_freeing)
        return;
    w.acts--;
    stream_acts[fuzz_byte(&w.input) % stream_act_count].run();
}

/* Handles a callback that the model does not cover.  After the wait of a
 * turn, the model expects no more events of its own; before it, it may expect
 * some. */
void stream_act_some(void)
{
    bool is_dispatch = !w.is_freeing && sim_wakes() > w.wakes;

    if (is_dispatch) {
        FUZZ_CHECK(model_in_dispatch());
        check_time();
    }
    for (unsigned i = fuzz_byte(&w.input) % 5; i > 0; i--) {
        if (is_dispatch)
            act();
        else
            act_on_stream();
    }
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct end *end = arg;

    FUZZ_CHECK(!w.is_over && end->stream == stream);
    FUZZ_CHECK(end->is_started && !end->is_over);
    w.is_inside = true;
    say("end %d gets %zd bytes", (int) (end - s.ends), size);
    collect(end);
    if (size > 0)
        check_bytes(end, data, (size_t) size);
    else if (size == 0)
        check_eof(end);
    else
        FUZZ_CHECK(is_breakage(size));
    end->is_over = size <= 0;
    s.current = end;
    s.current_data = data;
    s.current_size = size > 0 ? (size_t) size : 0;
    stream_act_some();
    s.current = NULL;
    w.is_inside = false;
}

/* Connections. */

void close_end(struct end *end, bool is_abort)
{
    say("%s end %d", is_abort ? "abort" : "close", (int) (end - s.ends));
    filters_closing(end);
    if (is_abort)
        aloop_stream_abort(end->stream);
    else
        aloop_stream_close(end->stream);
    filters_closed(end);
    drop_reads(end);
    end->stream = NULL;
    end->is_closed = true;
    m.has_closed = true;
}

static void add_end(unsigned which, aloop_stream *stream)
{
    struct end *end = &s.ends[s.end_count - 2 + which];

    FUZZ_CHECK(stream != NULL && end->stream == NULL && !end->is_closed);
    end->stream = stream;
    say("end %d is there", (int) (end - s.ends));
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    FUZZ_CHECK(!w.is_over && s.listener == listener);
    w.is_inside = true;
    add_end(0, stream);
    stream_act_some();
    w.is_inside = false;
}

void stream_connected(ssize_t status)
{
    FUZZ_CHECK(w.is_freeing || status == 0 || is_breakage(status));
    if (status == 0)
        add_end(1, s.connected);
    else
        s.ends[s.end_count - 1].is_closed = true;
}

void stream_accepted(ssize_t status)
{
    FUZZ_CHECK(w.is_freeing || status == 0 || status == ALOOP_ECANCELED);
    if (status == 0)
        add_end(0, s.accepted);
    else
        s.ends[s.end_count - 2].is_closed = true;
}

static bool is_settled(const struct end *end)
{
    return end->stream != NULL || end->is_closed;
}

bool can_connect(void)
{
    const struct end *ends = &s.ends[s.end_count];

    return !m.is_running && !m.is_hosted && s.end_count < ENDS_MAX &&
           (s.end_count == 0 ||
            (is_settled(&ends[-1]) && is_settled(&ends[-2])));
}

/* Both ends are futures: an accept, and a connect to a Unix socket. */
static void act_visit(void)
{
    struct end *ends = &s.ends[s.end_count];
    bool is_connect_first = any_bit();
    struct io *io, *accept;

    if (!can_connect() || s.io_count + 2 > IOS_MAX)
        return;
    m.is_exact = false;
    if (s.acceptor == NULL)
        FUZZ_CHECK(aloop_unix_listen(w.loop, "@machine", NULL, NULL,
                                     &s.acceptor) == 0);
    io = new_io(IO_CONNECT, ends);
    accept = new_io(IO_ACCEPT, ends);
    say("visit");
    memset(ends, 0, 2 * sizeof *ends);
    for (int i = 0; i < 2; i++)
        ends[i].has_no_reset = ends[i].can_pass_fds = true;
    s.end_count += 2;
    if (is_connect_first)
        follow(io, aloop_unix_connect(w.loop, "@machine", &s.connected));
    follow(accept, aloop_listener_accept(s.acceptor, &s.accepted));
    if (!is_connect_first)
        follow(io, aloop_unix_connect(w.loop, "@machine", &s.connected));
}

static void act_connect(void)
{
    struct end *ends = &s.ends[s.end_count];
    struct io *io;

    if (!can_connect())
        return;
    m.is_exact = false;
    if (s.listener == NULL)
        FUZZ_CHECK(aloop_tcp_listen(w.loop, "127.0.0.1", "4000", on_stream,
                                    NULL, &s.listener) == 0);
    io = new_io(IO_CONNECT, ends);
    if (io == NULL)
        return;
    say("connect");
    memset(ends, 0, 2 * sizeof *ends);
    s.end_count += 2;
    follow(io, aloop_tcp_connect(w.loop, "127.0.0.1", "4000", &s.connected));
}

static void act_start(void)
{
    struct end *end = any_end();
    int result;

    if (end == NULL || end->has_reader || is_spent(end))
        return;
    collect(end);
    result = aloop_stream_start(end->stream, on_data, end);
    say("start end %d: %d", (int) (end - s.ends), result);
    FUZZ_CHECK(result == (is_reading(end) || is_piped(end) ? ALOOP_EBUSY : 0));
    if (result == 0) {
        end->is_started = true;
        end->is_over = false; /* The end is reported again. */
    }
}

static void act_stop(void)
{
    struct end *end = any_end();

    if (end == NULL || end->pipe != NULL)
        return;
    say("stop end %d", (int) (end - s.ends));
    FUZZ_CHECK(aloop_stream_stop(end->stream) == 0);
    end->is_started = end->is_over = false;
}

static void act_put(void)
{
    struct end *end = any_end();
    char buffer[SIZE_LARGEST];
    size_t size = any_size();
    int result;

    if (end == NULL || end->piece_count == PIECES_MAX || end->fed_by != NULL)
        return;
    new_piece(end, buffer, size);
    arm();
    result = aloop_stream_put(end->stream, buffer, size);
    if (disarm())
        FUZZ_CHECK(result == ALOOP_ENOMEM || result >= 0);
    else
        FUZZ_CHECK(result == 0 || result == 1 || is_breakage(result));
    say("put %zu bytes at end %d: %d", size, (int) (end - s.ends), result);
    if (result < 0)
        end->piece_count--;
    else
        FUZZ_CHECK(aloop_stream_queued(end->stream) >= size);
}

static void act_close(void)
{
    struct end *end = any_end();

    if (end != NULL)
        close_end(end, any_bit());
}

static void act_water(void)
{
    struct end *end = any_end();
    size_t high = any_size();

    if (end == NULL)
        return;
    say("water of end %d: %zu", (int) (end - s.ends), high);
    FUZZ_CHECK(aloop_stream_set_watermarks(end->stream, high / 2, high) == 0);
}

/* Lets a later call of the system fail. */
static void act_break(void)
{
    static const struct {
        const char *name;
        int error;
    } faults[] = {{"aloop__sys_recv", -ECONNRESET},
                  {"aloop__sys_send", -EPIPE},
                  {"aloop__sys_sendv", -ECONNRESET},
                  {"aloop__sys_send", -EAGAIN},
                  {"aloop__sys_recv", -EAGAIN}};
    unsigned i = any_below(sizeof faults / sizeof faults[0]);

    if (s.end_count == 0 || sim_faults_pending() > 2)
        return;
    say("%s will fail", faults[i].name);
    sim_fail(faults[i].name, 1 + any_below(2), faults[i].error);
}

void streams_close(void)
{
    if (s.listener != NULL)
        aloop_listener_close(s.listener);
    s.listener = NULL;
    if (s.acceptor != NULL)
        aloop_listener_close(s.acceptor);
    s.acceptor = NULL;
    for (unsigned i = 0; i < s.end_count; i++)
        if (s.ends[i].stream != NULL)
            close_end(&s.ends[i], false);
}

const struct act stream_acts[] = {
    {"connect", act_connect},  {"start", act_start}, {"start", act_start},
    {"stop", act_stop},        {"put", act_put},     {"put", act_put},
    {"read", act_read},        {"read", act_read},   {"write", act_write},
    {"write", act_write},      {"wait", act_wait},   {"cancel", act_cancel},
    {"task", act_task},        {"close", act_close}, {"water", act_water},
    {"break", act_break},      {"visit", act_visit}, {"filter", act_filter},
    {"wake", act_filter_wake},
};

const size_t stream_act_count = sizeof stream_acts / sizeof stream_acts[0];
