/* Conversations through filters, over TCP and over pairs.
 *
 * Both ends of a conversation put filters on, the first of them with a
 * handshake, and send each other a text in pieces of random sizes.  Some
 * filters fail in the middle, and some tasks are cancelled.  The text arrives
 * in order; unless something fails, it arrives whole, followed by the end.
 * Every context of a filter is closed once. */

#include "world.h"

#include <stdio.h>
#include <string.h>

#include "support/filter_fixture.h"

enum { TALKS_MAX = 6, FILTERED_MAX = 20000, CHUNK_MAX = 3000 };

struct talk {
    unsigned id;
    bool is_pair, may_fail;
    aloop_listener *listener;
    aloop_stream *streams[2]; /* Those of a pair, until their tasks begin. */
    size_t sizes[2];          /* Of what each end sends. */
    struct side {
        struct talk *talk;
        unsigned which;
        aloop_stream *stream;
    } sides[2];
};

struct shaking {
    struct passing_filter passing; /* The first member: its functions. */
    bool has_sent;
    size_t reads_left; /* Then it fails; SIZE_MAX: never. */
};

static struct {
    unsigned left;
    unsigned opened, closed; /* Contexts. */
} w;

/* No end waits indefinitely, because the other one may have been cancelled. */
static ssize_t wait_for(aloop_future *future)
{
    return aloop_await(aloop_timeout(future, ALOOP_SEC(200)));
}

/* The filters. */

static int shake(void *context)
{
    struct shaking *f = context;
    char byte;

    if (!f->has_sent)
        passing_give(&f->passing.out, "h", 1);
    f->has_sent = true;
    if (passing_take(&f->passing.in, &byte, 1) != 1)
        return f->passing.in.has_ended ? ALOOP_ECONNRESET : ALOOP_EAGAIN;
    CHECK(byte == 'h');
    return 0;
}

static ssize_t read_some(void *context, void *data, size_t size)
{
    struct shaking *f = context;

    if (f->reads_left == 0)
        return ALOOP_EPROTO;
    if (f->reads_left != SIZE_MAX)
        f->reads_left--;
    return passing_take(&f->passing.in, data, size);
}

static void close_context(void *context)
{
    CHECK(++w.closed <= w.opened);
    free(context);
}

static ssize_t put_filter(struct side *side, bool is_first)
{
    static const size_t amounts[] = {PASSING_ROOM, PASSING_ROOM, 700, 40, 1};
    aloop_filter filter = passing_filter;
    struct shaking *f = calloc(1, sizeof *f);
    size_t room = amounts[between(0, 3)];

    if (f == NULL)
        return ALOOP_ENOMEM;
    f->passing.in.room = f->passing.out.room = room;
    f->passing.in.step = amounts[between(0, 4)];
    f->passing.out.step = amounts[between(0, 4)];
    f->reads_left = SIZE_MAX;
    if (side->talk->may_fail && chance(30))
        f->reads_left = between(0, 30);
    if (f->reads_left != SIZE_MAX || chance(50))
        filter.is_idle = NULL; /* An error is not nothing. */
    if (chance(50))
        filter.lend = passing_lend;
    filter.close = close_context;
    filter.read = read_some;
    if (is_first)
        filter.handshake = shake;
    w.opened++;
    return wait_for(aloop_stream_filter(side->stream, &filter, f));
}

/* The ends. */

static ssize_t write_text(aloop *loop, void *arg)
{
    struct side *side = arg;
    unsigned id = 2 * side->talk->id + side->which;
    size_t size = side->talk->sizes[side->which], at = 0;
    char bytes[CHUNK_MAX];
    ssize_t result = 0;

    while (at < size && result >= 0) {
        size_t n = between(1, CHUNK_MAX);

        n = n < size - at ? n : size - at;
        text_fill(id, at, bytes, n);
        result = chance(50)
                     ? wait_for(aloop_stream_write(side->stream, bytes, n))
                     : (ssize_t) aloop_stream_put(side->stream, bytes, n);
        if (result >= 0 && chance(20))
            CHECK(aloop_stream_filter_wake(side->stream) == 0);
        if (result == 1)
            result = wait_for(aloop_stream_drain(side->stream));
        if (result >= 0 && chance(10))
            result = aloop_await(aloop_sleep(loop, any_delay_ns(ALOOP_MS(50))));
        at += n;
    }
    return result < 0 ? result : wait_for(aloop_stream_shutdown(side->stream));
}

/* Returns 0 at the end of the text. */
static ssize_t read_text(struct side *side)
{
    unsigned id = 2 * side->talk->id + 1 - side->which;
    size_t size = side->talk->sizes[1 - side->which], at = 0;
    char bytes[CHUNK_MAX];
    ssize_t n = 1;

    while (n > 0) {
        n = wait_for(
            aloop_stream_read(side->stream, bytes, between(1, CHUNK_MAX)));
        if (n <= 0)
            break;
        CHECK(at + (size_t) n <= size &&
              text_matches(id, at, bytes, (size_t) n));
        at += (size_t) n;
    }
    CHECK(n < 0 || at == size || side->talk->is_pair);
    return n;
}

static ssize_t connect_side(aloop *loop, struct side *side)
{
    struct talk *talk = side->talk;
    char port[8];

    if (talk->is_pair) {
        side->stream = talk->streams[side->which];
        talk->streams[side->which] = NULL;
        return 0;
    }
    if (side->which == 0)
        return wait_for(aloop_listener_accept(talk->listener, &side->stream));
    snprintf(port, sizeof port, "%d", aloop_listener_port(talk->listener));
    return wait_for(aloop_tcp_connect(loop, "127.0.0.1", port, &side->stream));
}

static ssize_t converse(aloop *loop, void *arg)
{
    struct side *side = arg;
    ssize_t result = connect_side(loop, side), wrote;
    bool has_two = side->talk->id % 2 == 0;

    if (result >= 0)
        result = put_filter(side, true);
    if (result >= 0 && has_two)
        result = put_filter(side, false);
    if (result >= 0) {
        aloop_future *writer = aloop_spawn(loop, write_text, side);

        result = read_text(side);
        wrote = aloop_await(writer);
        result = result < 0 ? result : wrote;
    }
    if (!side->talk->may_fail && run.weather < BROKEN && !run.is_freeing)
        CHECK(result == 0);
    if (result < 0)
        aloop_stream_abort(side->stream);
    else
        aloop_stream_close(side->stream);
    return 0;
}

static void on_part_end(struct follow *follow, ssize_t status)
{
    (void) follow;
    (void) status;
    if (--w.left == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void start_side(struct talk *talk, unsigned which)
{
    struct side *side = &talk->sides[which];
    aloop_future *task;

    *side = (struct side){.talk = talk, .which = which};
    task = aloop_spawn(run.loop, converse, side);
    CHECK(task != NULL);
    if (talk->may_fail && chance(30))
        task = aloop_timeout(task, any_delay_ns(ALOOP_SEC(2)));
    w.left++;
    follow(task, on_part_end, NULL);
}

static struct talk *talks[TALKS_MAX];
static size_t talk_count;

static void start(void)
{
    memset(&w, 0, sizeof w);
    talk_count = between(1, TALKS_MAX);
    for (size_t i = 0; i < talk_count; i++) {
        struct talk *talk = keep(sizeof *talk);

        talks[i] = talk;
        talk->id = (unsigned) i + 1;
        talk->is_pair = chance(30);
        talk->may_fail = chance(50);
        for (int k = 0; k < 2; k++)
            talk->sizes[k] = chance(30) ? 0 : between(1, FILTERED_MAX);
        if (talk->is_pair)
            CHECK(aloop_stream_pair(run.loop, &talk->streams[0],
                                    &talk->streams[1]) == 0);
        else
            CHECK(aloop_tcp_listen(run.loop, "127.0.0.1", "0", NULL, NULL,
                                   &talk->listener) == 0);
        start_side(talk, 0);
        start_side(talk, 1);
    }
}

static bool is_done(void)
{
    return w.left == 0;
}

static void close_world(void)
{
    for (size_t i = 0; i < talk_count; i++) {
        if (talks[i]->listener != NULL)
            aloop_listener_close(talks[i]->listener);
        talks[i]->listener = NULL;
        for (int k = 0; k < 2; k++) {
            aloop_stream_close(talks[i]->streams[k]);
            talks[i]->streams[k] = NULL;
        }
    }
}

static void outlive(void)
{
    CHECK(w.closed == w.opened);
}

const struct world world_filters = {"filters",   start, is_done,
                                    close_world, NULL,  outlive};
