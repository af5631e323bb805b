/* A chat server, which sends each message to all other members.  A member that
 * reads too slowly is dropped, in the middle of another member's callback.
 *
 * Each client receives the messages of every other one in order, unaltered, and
 * without gaps as long as the listener is open.  A client that was not dropped
 * has received all its messages in the end. */

#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 7, MESSAGES_MAX = 12, TEXT_MAX = 240, SLOW_MAX = 3 };

struct message {
    unsigned char from; /* Number of the client, from 1. */
    unsigned char size; /* Of the text. */
    unsigned char number;
    unsigned char text[TEXT_MAX];
};

static const size_t HEAD = offsetof(struct message, text);

/* The server's end of a connection. */
struct member {
    aloop_stream *stream;   /* NULL: closed. */
    struct message message; /* Received part of the next message. */
    size_t got;
    unsigned char id; /* 0: no message yet. */
};

struct client {
    unsigned char id;
    unsigned messages;
    int64_t pause_ns;
    aloop_stream *stream;
    int next[CLIENTS_MAX + 1]; /* Next number expected from each; -1: any. */
    unsigned received;
    bool has_sent;  /* Has sent all its messages. */
    bool has_ended; /* Has received everything up to the end. */
};

static struct {
    aloop_listener *listener;
    char port[8];
    struct member members[CLIENTS_MAX + SLOW_MAX];
    size_t members_count;
    struct client *clients[CLIENTS_MAX];
    size_t clients_count;
    unsigned queued_to[CLIENTS_MAX + 1]; /* Messages queued to each client. */
    unsigned tasks_left;
    unsigned senders_left;
    unsigned received_count; /* Messages that the server received. */
    unsigned expected_count; /* Messages that the server should receive. */
    unsigned dropped;
} w;

/* The server: callbacks. */

static void drop(struct member *member, bool is_orderly)
{
    aloop_stream *stream = member->stream;

    CHECK(stream != NULL);
    member->stream = NULL;
    if (is_orderly)
        aloop_stream_close(stream);
    else
        aloop_stream_abort(stream);
}

static void broadcast(const struct member *from)
{
    const struct message *message = &from->message;

    w.received_count++;
    for (size_t i = 0; i < w.members_count; i++) {
        struct member *member = &w.members[i];
        int result;

        if (member == from || member->stream == NULL)
            continue;
        result =
            aloop_stream_put(member->stream, message, HEAD + message->size);
        CHECK(result >= 0 || may_break() || run.is_quiet);
        if (result == 0 && member->id != 0)
            w.queued_to[member->id]++;
        if (result == 0)
            continue;
        w.dropped++;
        drop(member, false);
    }
}

/* Adds bytes to the present message.  Returns how many it used. */
static size_t take(struct member *member, const char *data, size_t size)
{
    size_t want = member->got < HEAD ? HEAD : HEAD + member->message.size;
    size_t part = want - member->got < size ? want - member->got : size;

    memcpy((char *) &member->message + member->got, data, part);
    member->got += part;
    return part;
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct member *member = arg;
    const char *bytes = data;

    CHECK(!run.is_over && member->stream == stream);
    CHECK(size >= 0 || may_break());
    if (size <= 0)
        drop(member, size == 0);
    while (size > 0) {
        size_t part = take(member, bytes, (size_t) size);

        bytes += part;
        size -= (ssize_t) part;
        if (member->got < HEAD || member->got < HEAD + member->message.size)
            continue;
        CHECK(text_matches(member->message.from, member->message.number,
                           member->message.text, member->message.size));
        CHECK(member->id == 0 || member->id == member->message.from);
        member->id = member->message.from;
        member->got = 0;
        broadcast(member);
    }
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct member *member = &w.members[w.members_count];

    (void) arg;
    CHECK(!run.is_over && listener == w.listener);
    if (w.members_count == CLIENTS_MAX + SLOW_MAX ||
        aloop_stream_start(stream, on_data, member) < 0) {
        aloop_stream_abort(stream);
        return;
    }
    set_watermarks(stream, 500, 4000);
    w.members_count++;
    member->stream = stream;
}

/* A client: one task that sends, one that receives. */

static ssize_t send_messages(aloop *loop, void *arg)
{
    struct client *client = arg;
    ssize_t result = 0;

    for (unsigned i = 0; i < client->messages && result >= 0; i++) {
        struct message message = {.from = client->id,
                                  .size = (unsigned char) between(1, TEXT_MAX),
                                  .number = (unsigned char) i};

        text_fill(client->id, i, message.text, message.size);
        result = aloop_await(
            aloop_stream_write(client->stream, &message, HEAD + message.size));
        if (result >= 0)
            result = aloop_await(aloop_sleep(loop, client->pause_ns));
    }
    return result;
}

static void on_sent(struct follow *follow, ssize_t status)
{
    struct client *client = follow->arg;

    CHECK(status >= 0 || may_break() || run.is_freeing || w.dropped > 0);
    if (client->has_sent)
        return;
    client->has_sent = true;
    if (--w.senders_left == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void receive_message(struct client *client,
                            const struct message *message)
{
    int *next = &client->next[message->from];

    CHECK(message->from >= 1 && message->from <= w.clients_count);
    CHECK(message->from != client->id);
    CHECK(*next == -1 || *next == message->number);
    *next = message->number + 1;
    CHECK(text_matches(message->from, message->number, message->text,
                       message->size));
    client->received++;
}

static ssize_t receive_messages(aloop *loop, void *arg)
{
    struct client *client = arg;
    struct message message;
    ssize_t result = 1;

    (void) loop;
    while (result > 0) {
        result = aloop_await(
            aloop_stream_read_exactly(client->stream, &message, HEAD));
        if (result > 0)
            result = aloop_await(aloop_stream_read_exactly(
                client->stream, message.text, message.size));
        if (result > 0)
            receive_message(client, &message);
    }
    client->has_ended = result == ALOOP_EOF;
    return 0;
}

static ssize_t run_client(aloop *loop, void *arg)
{
    struct client *client = arg;
    ssize_t result = aloop_await(
        aloop_tcp_connect(loop, "127.0.0.1", w.port, &client->stream));

    CHECK(result == 0 || may_break() || run.is_freeing);
    if (result == 0) {
        aloop_future *tasks[] = {aloop_spawn(loop, send_messages, client),
                                 aloop_spawn(loop, receive_messages, client)};

        follow(aloop_future_ref(tasks[0]), on_sent, client);
        aloop_await(aloop_gather_settled(loop, 2, tasks, NULL));
    }
    aloop_stream_close(client->stream);
    client->stream = NULL; /* Out of memory, these tasks may still run. */
    return 0;
}

static void on_task_end(struct follow *follow, ssize_t status)
{
    CHECK(status == 0 || run.weather == STARVED);
    on_sent(follow, 0); /* The task may not have run. */
    if (--w.tasks_left == 0)
        aloop_wake(run.loop);
}

/* A client outside the program, which connects and reads little or nothing. */
static void connect_slow_reader(void *arg)
{
    char bytes[100];
    int peer = sim_connect((uint16_t) atoi(w.port));

    (void) arg;
    if (peer >= 0 && chance(50))
        sim_peer_receive(peer, bytes, sizeof bytes);
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    CHECK(aloop_tcp_listen(run.loop, "127.0.0.1", "0", on_stream, NULL,
                           &w.listener) == 0);
    snprintf(w.port, sizeof w.port, "%d", aloop_listener_port(w.listener));
    w.clients_count = between(2, CLIENTS_MAX);
    w.tasks_left = w.senders_left = (unsigned) w.clients_count;
    for (size_t i = 0; i < w.clients_count; i++) {
        struct client *client = keep(sizeof *client);

        client->id = (unsigned char) (i + 1);
        client->messages = (unsigned) between(1, MESSAGES_MAX);
        client->pause_ns = any_delay_ns(ALOOP_SEC(60));
        memset(client->next, -1, sizeof client->next);
        w.expected_count += client->messages;
        w.clients[i] = client;
        follow(aloop_spawn(run.loop, run_client, client), on_task_end, client);
    }
    for (size_t i = (size_t) sim_random(SLOW_MAX + 1); i > 0; i--)
        sim_at(any_delay_ns(ALOOP_SEC(1)), connect_slow_reader, NULL);
}

/* Once all messages were sent, the server sends its queues and ends. */
static bool is_done(void)
{
    bool has_all = w.received_count == w.expected_count || w.dropped > 0 ||
                   may_break();

    CHECK(w.received_count <= w.expected_count);
    return w.tasks_left == 0 || (w.senders_left == 0 && has_all);
}

static void on_shut(struct follow *follow, ssize_t status)
{
    struct member *member = follow->arg;

    if (member->stream != NULL && status < 0)
        drop(member, false);
}

/* Clients receive the end and close; then the server closes.  If it closed
 * earlier, later data of a client would cause a reset. */
static void close_world(void)
{
    aloop_listener_close(w.listener);
    for (size_t i = 0; i < w.members_count; i++) {
        struct member *member = &w.members[i];

        if (member->stream != NULL && member->id == 0)
            drop(member, false);
        else if (member->stream != NULL)
            follow(aloop_stream_shutdown(member->stream), on_shut, member);
    }
}

/* Messages sent to a client before its first own message are not counted. */
static void check(void)
{
    for (size_t i = 0; i < w.clients_count; i++) {
        const struct client *client = w.clients[i];

        CHECK(!client->has_ended || may_break() ||
              client->received >= w.queued_to[client->id]);
        CHECK(client->has_ended || may_break() || w.dropped > 0);
    }
}

const struct world world_chat = {"chat",      start, is_done,
                                 close_world, check, NULL};
