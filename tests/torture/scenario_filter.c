/* Torture: filters.  One with a handshake has another one on top of it that
 * takes single bytes; another one fails in the middle; and handshakes end early
 * by a close and by a deadline.
 *
 * Every context is closed once, before the close of its stream returns. */

#include "support/filter_fixture.h"
#include "torture.h"

enum { FILTERED_BYTES = 700, FILTERS_MAX = 8 };

static struct noted {
    struct passing_filter passing; /* The first member: its functions. */
    bool has_sent, has_shaken;
    size_t fails_after; /* Bytes that it reads; 0: never. */
    unsigned closes;
} filters[FILTERS_MAX];

static unsigned filter_count;

static struct noted *new_filter(size_t room, size_t step)
{
    struct noted *filter = &filters[filter_count++];

    torture_expect(filter_count <= FILTERS_MAX, "too many filters");
    filter->passing.in.room = filter->passing.out.room = room;
    filter->passing.in.step = filter->passing.out.step = step;
    return filter;
}

/* Sends a byte, and expects one. */
static int shake(void *context)
{
    struct noted *filter = context;
    char byte;

    torture_expect(!filter->has_shaken, "a handshake after its end");
    if (!filter->has_sent)
        passing_give(&filter->passing.out, "h", 1);
    filter->has_sent = true;
    if (passing_take(&filter->passing.in, &byte, 1) != 1)
        return filter->passing.in.has_ended ? ALOOP_ECONNRESET : ALOOP_EAGAIN;
    filter->has_shaken = true;
    return byte == 'h' ? 0 : ALOOP_EPROTO;
}

static ssize_t read_and_fail(void *context, void *data, size_t size)
{
    struct noted *filter = context;
    ssize_t n;

    if (filter->fails_after == 0)
        return ALOOP_EPROTO;
    if (size > filter->fails_after)
        size = filter->fails_after;
    n = passing_take(&filter->passing.in, data, size);
    if (n > 0)
        filter->fails_after -= (size_t) n;
    return n;
}

static void note_close(void *context)
{
    struct noted *filter = context;

    torture_expect(++filter->closes == 1, "a context is closed twice");
}

static ssize_t filter_with(aloop_stream *stream, bool is_shaking,
                           struct noted *context)
{
    aloop_filter filter = passing_filter;

    filter.close = note_close;
    if (is_shaking)
        filter.handshake = shake;
    return torture_await(aloop_stream_filter(stream, &filter, context), 5);
}

static void expect_all_closed(void)
{
    for (unsigned i = 0; i < filter_count; i++)
        torture_expect(filters[i].closes == 1, "a context is not closed");
}

/* Puts a stack of filters on each end. */
static ssize_t make_stacks(aloop_stream *pair[2])
{
    aloop_filter filter = passing_filter;
    aloop_future *first;
    ssize_t error = 0;

    filter.handshake = shake;
    filter.close = note_close;
    first = aloop_stream_filter(pair[0], &filter, new_filter(64, 64));
    torture_keep(&error, filter_with(pair[1], true, new_filter(4096, 4096)));
    torture_keep(&error, torture_await(first, 5));
    if (error == 0)
        error = filter_with(pair[0], false, new_filter(100, 1));
    if (error == 0)
        error = filter_with(pair[1], false, new_filter(4096, 4096));
    return error;
}

/* Sends the text in one direction, by a put and a write. */
static ssize_t send_filtered(aloop_stream *from, aloop_stream *to)
{
    static char out[FILTERED_BYTES], in[FILTERED_BYTES];
    aloop_future *write;
    ssize_t error, n;

    torture_fill(out, 0, sizeof out);
    memset(in, 0, sizeof in);
    error = aloop_stream_put(from, out, 200);
    if (error < 0)
        return error;
    write = aloop_stream_write(from, out + 200, sizeof out - 200);
    n = torture_await(aloop_stream_read_exactly(to, in, sizeof in), 5);
    torture_expect(n < 0 || torture_matches(in, 0, sizeof in),
                   "wrong bytes arrive");
    torture_keep(&error, n);
    torture_keep(&error, torture_await(write, 5));
    return error;
}

/* One end is shut down, answered, and closed; both wait for each other. */
static ssize_t end_filtered(aloop *loop, aloop_stream *pair[2])
{
    static char text[8];
    aloop_future *shutdown = aloop_stream_shutdown(pair[0]);
    ssize_t error = torture_await(aloop_stream_read(pair[1], text, 8), 5);

    torture_expect(error <= 0, "bytes that were not sent arrive");
    torture_keep(&error, torture_await(shutdown, 5));
    torture_keep(&error, aloop_stream_put(pair[1], "reply", 5));
    aloop_stream_close(pair[1]);
    if (error == 0)
        torture_keep(
            &error,
            torture_await(aloop_stream_read_exactly(pair[0], text, 5), 5));
    torture_expect(error < 0 || memcmp(text, "reply", 5) == 0,
                   "the reply is wrong");
    aloop_stream_close(pair[0]);
    torture_keep(&error, torture_pass(loop, 10 * MS));
    return error;
}

static ssize_t use_stacks(aloop *loop)
{
    aloop_stream *pair[2];
    ssize_t error = aloop_stream_pair(loop, &pair[0], &pair[1]);

    if (error < 0)
        return error;
    error = make_stacks(pair);
    if (error == 0)
        error = send_filtered(pair[0], pair[1]);
    torture_keep(&error, aloop_stream_filter_wake(pair[0]));
    if (error == 0)
        error = send_filtered(pair[1], pair[0]);
    if (error == 0)
        return end_filtered(loop, pair);
    aloop_stream_close(pair[0]);
    aloop_stream_abort(pair[1]);
    return error;
}

/* What it gave before its failure is delivered, in order. */
static ssize_t use_failing(aloop *loop)
{
    static char text[60];
    aloop_filter filter = passing_filter;
    struct noted *context = new_filter(64, 64);
    aloop_stream *pair[2];
    ssize_t error = aloop_stream_pair(loop, &pair[0], &pair[1]), n = 0;
    size_t got = 0;

    if (error < 0) {
        filter_count--;
        return error;
    }
    context->fails_after = 50;
    filter.read = read_and_fail;
    filter.close = note_close;
    torture_fill(text, 0, sizeof text);
    torture_keep(&error,
                 aloop_await(aloop_stream_filter(pair[0], &filter, context)));
    torture_keep(&error, aloop_stream_put(pair[1], text, sizeof text));
    memset(text, 0, sizeof text);
    while (error == 0 && got < sizeof text &&
           (n = torture_await(
                aloop_stream_read(pair[0], text + got, sizeof text - got), 5)) >
               0)
        got += (size_t) n;
    torture_expect(got <= 50 && torture_matches(text, 0, got),
                   "wrong bytes arrive");
    torture_keep(&error, n == ALOOP_EPROTO ? 0 : n);
    if (n == ALOOP_EPROTO)
        torture_expect(got == 50 &&
                           aloop_stream_put(pair[0], "x", 1) == ALOOP_EPROTO,
                       "the failure of a filter is lost");
    aloop_stream_close(pair[0]);
    aloop_stream_close(pair[1]);
    return error;
}

/* The other end does not take part in the handshake. */
static ssize_t end_handshakes(aloop *loop)
{
    aloop_filter filter = passing_filter;
    aloop_stream *pair[2];
    aloop_future *shaken;
    ssize_t error = aloop_stream_pair(loop, &pair[0], &pair[1]), status;

    if (error < 0)
        return error;
    filter.handshake = shake;
    filter.close = note_close;
    status = filter_with(pair[0], true, new_filter(64, 64));
    torture_expect(status < 0, "a handshake without the peer succeeds");
    torture_keep(&error, status == ALOOP_ETIMEDOUT ? 0 : status);
    shaken = aloop_stream_filter(pair[1], &filter, new_filter(64, 64));
    aloop_stream_close(pair[1]);
    status = aloop_await(shaken);
    torture_expect(status < 0 || filters[filter_count - 1].has_shaken,
                   "a handshake without the peer succeeds");
    aloop_stream_close(pair[0]);
    return error;
}

ssize_t torture_filter(aloop *loop)
{
    ssize_t error = use_stacks(loop);

    torture_keep(&error, use_failing(loop));
    torture_keep(&error, end_handshakes(loop));
    expect_all_closed();
    torture_keep(&error, torture_pass(loop, 100 * MS));
    return error;
}
