/* Streams that send to peers outside the program, while the loop may end at any
 * time.  Each peer knows how much it should receive.  It reads at random times,
 * and some stop reading after a while.  If a peer sees an orderly end, it has
 * received everything that was given to the stream.  Streams may still be open
 * at the end, for aloop_free() to close. */

#include "world.h"

#include <string.h>

enum { LINKS_MAX = 6, BODY_MAX = 80000, PIECE_MAX = 9000, TAKES_MAX = 60 };

struct link {
    aloop_stream *stream; /* NULL: not connected yet, or closed. */
    unsigned id;
    size_t total;
    size_t sent; /* Bytes given to the stream. */
    char *text;  /* All bytes; writes borrow them. */
    int listener;
    int peer; /* -1: not accepted yet. */
    size_t got;
    unsigned takes; /* Remaining reads of the peer. */
    bool is_closed;
    bool has_reset; /* The peer has dropped what it had not read. */
    unsigned write_percent, wait_percent;
};

static struct {
    struct link *links[LINKS_MAX];
    unsigned count;
    unsigned open;
} w;

static void close_link(struct link *link, bool is_orderly)
{
    if (is_orderly)
        aloop_stream_close(link->stream);
    else
        aloop_stream_abort(link->stream);
    link->stream = NULL;
    link->is_closed = true;
    if (--w.open == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void on_shut(struct follow *follow, ssize_t status)
{
    struct link *link = follow->arg;

    if (link->stream != NULL && !run.is_freeing)
        close_link(link, status == 0 || chance(50));
}

static void send_more(struct link *link);

static void on_sent(struct follow *follow, ssize_t status)
{
    struct link *link = follow->arg;

    if (link->stream == NULL || run.is_freeing)
        return;
    CHECK(status >= 0 || may_break());
    if (status < 0)
        close_link(link, false);
    else
        send_more(link);
}

/* Sends some bytes: copied or borrowed, awaited or not.  Returns whether to
 * continue. */
static bool send_some(struct link *link)
{
    size_t left = link->total - link->sent;
    size_t size = between(1, left < PIECE_MAX ? left : PIECE_MAX);
    const char *bytes = link->text + link->sent;
    aloop_future *wait = NULL;
    ssize_t result;

    if (chance(link->write_percent)) {
        wait = aloop_stream_write(link->stream, bytes, size);
        result = aloop_future_status(wait);
    } else {
        result = aloop_stream_put(link->stream, bytes, size);
        if (result >= 0 && chance(link->wait_percent))
            wait = aloop_stream_drain(link->stream);
    }
    link->sent += size;
    if (result < 0 && result != ALOOP_PENDING) {
        CHECK(may_break());
        aloop_future_unref(wait);
        close_link(link, false);
    } else if (wait != NULL && chance(link->wait_percent))
        follow(wait, on_sent, link);
    else {
        aloop_detach(wait);
        return true;
    }
    return false;
}

static void send_more(struct link *link)
{
    while (link->sent < link->total)
        if (!send_some(link))
            return;
    if (chance(50))
        follow(aloop_stream_shutdown(link->stream), on_shut, link);
    else
        close_link(link, true);
}

static void on_connected(struct follow *follow, ssize_t status)
{
    struct link *link = follow->arg;

    CHECK(status == 0 || may_break() || run.is_freeing);
    if (run.is_freeing)
        return;
    if (status == 0)
        send_more(link);
    else
        close_link(link, false);
}

/* Peers outside the program. */

static void take(struct link *link, size_t most)
{
    static char bytes[BODY_MAX];
    ssize_t n;

    if (link->peer < 0)
        link->peer = sim_accept(link->listener);
    if (link->peer < 0)
        return;
    n = sim_peer_receive(link->peer, bytes, most);
    if (n <= 0)
        return;
    CHECK(link->got + (size_t) n <= link->total);
    CHECK(text_matches(link->id, link->got, bytes, (size_t) n));
    link->got += (size_t) n;
}

/* After its last read, the peer ignores a stream that is closed, and may reset
 * one that is open. */
static void take_some(void *arg)
{
    struct link *link = arg;
    bool has_enough = link->takes == 0;

    take(link, between(1, BODY_MAX));
    link->takes -= !has_enough;
    if (link->is_closed && has_enough)
        return;
    if (has_enough && link->peer >= 0 && may_break() && chance(30)) {
        sim_peer_reset(link->peer);
        link->has_reset = true;
    } else
        sim_at(any_delay_ns(ALOOP_SEC(1)), take_some, link);
}

static void start_link(unsigned id)
{
    struct link *link = keep(sizeof *link);
    char port[] = "100";

    link->id = id;
    link->total = between(1, chance(50) ? 500 : BODY_MAX);
    link->text = keep(link->total);
    text_fill(id, 0, link->text, link->total);
    port[2] = (char) ('0' + id);
    link->listener = sim_listen("127.0.0.1", (uint16_t) (100 + id), 1);
    CHECK(link->listener >= 0);
    link->peer = -1;
    link->write_percent = chance(50) ? 0 : 40;
    link->wait_percent = chance(50) ? 0 : 50;
    link->takes = (unsigned) between(1, TAKES_MAX);
    sim_at(any_delay_ns(ALOOP_SEC(1)), take_some, link);
    w.links[w.count++] = link;
    w.open++;
    follow(aloop_tcp_connect(run.loop, "127.0.0.1", port, &link->stream),
           on_connected, link);
}

static void start(void)
{
    unsigned count = (unsigned) between(1, LINKS_MAX);

    memset(&w, 0, sizeof w);
    for (unsigned id = 0; id < count; id++)
        start_link(id);
}

static bool is_done(void)
{
    return w.open == 0;
}

static void close_world(void)
{
}

/* Sent data still arrives after the loop is freed. */
static void check_peers(void)
{
    for (unsigned i = 0; i < w.count; i++) {
        struct link *link = w.links[i];
        size_t before;

        do {
            before = link->got;
            sim_pass(ALOOP_SEC(1));
            take(link, BODY_MAX);
        } while (link->got > before);
        if (link->peer >= 0 && !link->has_reset && sim_peer_eof(link->peer))
            CHECK(link->got == link->sent);
    }
}

const struct world world_ends = {"ends",      start, is_done,
                                 close_world, NULL,  check_peers};
