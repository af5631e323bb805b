/* A server for datagrams and its clients, on a network that loses, duplicates
 * and reorders.
 *
 * A client asks a question until its reply has arrived, on a socket that is
 * connected or not, and compares each reply with the text that belongs to its
 * number.  A datagram arrives whole, from the address that it was sent to, or
 * not at all.  The server answers by puts or by sends, and sometimes stops and
 * starts again.  While many replies wait to be sent it drops more of them, or
 * they would arrive too late for all clients. */

#include "world.h"

#include <string.h>

enum { CLIENTS_MAX = 6, ROUNDS_MAX = 8, SIZE_MAX_TEXT = 3000, TRIES_MAX = 400 };

enum { QUEUED_MAX = 16 * 1024 };

struct client {
    unsigned id;
    aloop_udp *udp;
    size_t room; /* Of the buffer of a receive. */
};

static struct {
    aloop_udp *server;
    aloop_address address;
    unsigned left;           /* Clients that have not ended. */
    unsigned asked, replied; /* Rounds. */
    bool is_sending;         /* The server sends instead of putting. */
} w;

/* Datagrams begin with the number of their text. */
static size_t fill(unsigned char *bytes, unsigned id, size_t size)
{
    bytes[0] = (unsigned char) id;
    text_fill(id, 0, bytes + 1, size);
    return size + 1;
}

static void check_text(const unsigned char *bytes, size_t size)
{
    CHECK(size > 0 && text_matches(bytes[0], 0, bytes + 1, size - 1));
}

static bool may_fail(void)
{
    return may_break() || run.is_freeing;
}

static void on_reply_sent(struct follow *follow, ssize_t status)
{
    (void) follow;
    CHECK(status >= 0 || may_fail() || w.server == NULL);
}

static void reply(aloop_udp *udp, const unsigned char *bytes, size_t size,
                  const aloop_address *to)
{
    unsigned char *copy;

    if (aloop_udp_queued(udp) > QUEUED_MAX)
        return;
    if (!w.is_sending) {
        CHECK(aloop_udp_put(udp, bytes, size, to) >= 0 || may_fail());
        return;
    }
    copy = keep(size);
    memcpy(copy, bytes, size);
    follow(aloop_udp_send(udp, copy, size, to), on_reply_sent, copy);
}

/* Empty datagrams are not questions. */
static void on_question(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    (void) arg;
    CHECK(!run.is_over && udp == w.server);
    CHECK(size >= 0 || may_break());
    if (size <= 0)
        return;
    check_text(data, (size_t) size);
    reply(udp, data, (size_t) size, from);
    if (chance(5)) {
        aloop_udp_stop(udp);
        if (aloop_udp_start(udp, on_question, NULL) < 0)
            CHECK(may_break());
    }
}

static void ask(struct client *client, const unsigned char *bytes, size_t size)
{
    const aloop_address *to =
        client->id % 2 == 0 ? NULL : &w.address; /* Even ones are connected. */

    for (size_t i = between(1, 3); i > 0; i--)
        CHECK(aloop_udp_put(client->udp, bytes, size, to) >= 0 || may_fail());
    if (chance(20))
        CHECK(aloop_udp_put(client->udp, NULL, 0, to) >= 0 || may_fail());
    if (chance(20) && aloop_await(aloop_udp_drain(client->udp)) < 0)
        CHECK(may_fail());
}

/* Receives until the reply arrives or the time is over.  Others are replies to
 * earlier questions, and may be larger than the buffer. */
static ssize_t await_reply(struct client *client, const unsigned char *bytes,
                           size_t size)
{
    unsigned char in[SIZE_MAX_TEXT + 1];
    int64_t delay_ns = ALOOP_MS(1) + any_delay_ns(ALOOP_SEC(1));
    ssize_t got;

    do {
        aloop_address from = {0};

        got = aloop_await(
            aloop_timeout(aloop_udp_receive(client->udp, in, client->room,
                                            chance(50) ? &from : NULL),
                          delay_ns));
        CHECK(got >= 0 || got == ALOOP_ETIMEDOUT || may_fail());
        if (got < 0)
            return got;
        CHECK(from.family == ALOOP_FAMILY_NONE ||
              aloop_address_equal(&from, &w.address));
        check_text(in, (size_t) got);
    } while ((size_t) got != size || in[0] != bytes[0]);
    return got;
}

static bool is_answered(struct client *client, const unsigned char *bytes,
                        size_t size)
{
    for (int i = 0; i < TRIES_MAX && !run.is_freeing; i++) {
        ssize_t got;

        ask(client, bytes, size);
        got = await_reply(client, bytes, size);
        if (got >= 0 || got == ALOOP_ECANCELED)
            return got >= 0;
    }
    return false;
}

static ssize_t run_client(aloop *loop, void *arg)
{
    struct client *client = arg;
    unsigned char bytes[SIZE_MAX_TEXT + 1];
    size_t rounds = between(1, ROUNDS_MAX);

    if (aloop_udp_open(loop, "127.0.0.1", "0", &client->udp) < 0) {
        CHECK(may_fail());
        return 0;
    }
    if (client->id % 2 == 0 && aloop_udp_connect(client->udp, &w.address) < 0) {
        CHECK(may_fail());
        rounds = 0;
    }
    for (size_t i = 0; i < rounds; i++) {
        size_t size = fill(bytes, (unsigned) (client->id * 16 + i),
                           between(0, client->room - 1));

        w.asked++;
        w.replied += is_answered(client, bytes, size);
    }
    aloop_udp_close(client->udp);
    return 0;
}

static void on_client_end(struct follow *follow, ssize_t status)
{
    (void) follow;
    CHECK(status == 0 || may_fail());
    w.left--;
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.is_sending = chance(50);
    sim_options()->loss_percent = (unsigned) between(0, 40);
    sim_options()->duplicate_percent = (unsigned) between(0, 30);
    sim_options()->reorder_percent = (unsigned) between(0, 50);
    if (aloop_udp_open(run.loop, "127.0.0.1", "4000", &w.server) < 0 ||
        aloop_udp_start(w.server, on_question, NULL) < 0) {
        CHECK(may_break());
        return;
    }
    CHECK(aloop_address_parse("127.0.0.1:4000", &w.address) == 0);
    for (size_t i = between(1, CLIENTS_MAX); i > 0; i--) {
        struct client *client = keep(sizeof *client);

        client->id = (unsigned) i;
        client->room = between(1, SIZE_MAX_TEXT);
        w.left++;
        follow(aloop_spawn(run.loop, run_client, client), on_client_end,
               client);
    }
}

static bool is_done(void)
{
    return w.left == 0;
}

static void close_all(void)
{
    aloop_udp_close(w.server);
    w.server = NULL;
}

/* A socket that is started, alone. */
static void check_references(void)
{
    aloop_address local = {0};
    aloop_udp *udp;

    if (aloop_udp_open(run.loop, "127.0.0.1", "4000", &udp) < 0) {
        CHECK(may_break());
        return;
    }
    CHECK(aloop_udp_fd(udp) >= 0);
    if (aloop_udp_local(udp, &local) == 0)
        CHECK(aloop_address_equal(&local, &w.address));
    if (aloop_udp_start(udp, on_question, NULL) == 0)
        CHECK_REFERENCES(udp, aloop_udp_ref, aloop_udp_unref);
    aloop_udp_close(udp);
    CHECK(!aloop_alive(run.loop));
}

static void check(void)
{
    if (w.address.family != ALOOP_FAMILY_NONE)
        check_references();
    CHECK(w.replied == w.asked || may_break());
}

const struct world world_datagrams = {"datagrams", start, is_done,
                                      close_all,   check, NULL};
