/* A chat room over TCP, and a guide to servers that are made of tasks.
 *
 *     usage: chat [-p PORT] [-H HOST] [-n CLIENTS]
 *
 *     -p PORT     port to listen on; 0 is any free port (default: 7777)
 *     -H HOST     numeric address to listen on (default: 127.0.0.1)
 *     -n CLIENTS  largest number of clients (default: 100)
 *
 * Try it with two terminals and "ncat 127.0.0.1 7777".  The first line of a
 * client is its name.  Each further line is sent to all other clients.  A
 * client that does not read is dropped, so that it costs a fixed amount of
 * memory.  SIGINT or SIGTERM ends the server with exit status 0.
 *
 * The guide has six steps, in the order of the code.  Each of them answers a
 * question that every server has to answer.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum {
    NAME_SIZE = 24,
    LINE_SIZE = 1024,
    TEXT_SIZE = LINE_SIZE + 64,
    QUEUE_LOW = 64 * 1024, /* Bytes that may wait for a client. */
    QUEUE_HIGH = 256 * 1024
};

/* Step 1: who owns what?
 *
 * Each client has a task, and the task owns everything that belongs to the
 * client: this struct is a local variable of its function, so that it exists
 * exactly as long as the function runs, and needs neither malloc() nor free().
 * A task is an ordinary function on its own stack; local variables survive an
 * await.  Other tasks may put bytes on the stream, but only its owner closes
 * it, because the pointer is invalid from then on.
 *
 * All tasks run on one thread, and another task runs only while this one is in
 * an await.  Therefore the list of clients needs no lock. */
struct client {
    aloop_stream *stream;
    aloop_future *task;   /* That owns this client; borrowed. */
    bool is_slow;         /* It is being dropped. */
    char name[NAME_SIZE]; /* Empty until the client has sent it. */
    struct client *next;
    struct client **link; /* The pointer to this client. */
};

static struct chat {
    const char *host;
    const char *port;
    uint64_t clients_max;
    aloop_server *server;
    struct client *first; /* The list of clients that have a name. */
} chat = {.host = "127.0.0.1", .port = "7777", .clients_max = 100};

static void enter(struct client *client)
{
    client->next = chat.first;
    client->link = &chat.first;
    if (client->next != NULL)
        client->next->link = &client->next;
    chat.first = client;
}

static void leave(struct client *client)
{
    *client->link = client->next;
    if (client->next != NULL)
        client->next->link = client->link;
}

/* Step 2: what if a client reads more slowly than the others write?
 *
 * aloop_stream_put() copies the bytes, queues them, and never waits.  It
 * returns 1 when more than the high-water mark of bytes are queued, and an
 * error if the connection is broken.  There are three ways to react to 1:
 *
 *     wait with aloop_stream_drain()    right for a server that sends a file to
 *                                       one client; here one slow client would
 *                                       stop the whole room
 *     continue                          the queue grows until memory is
 *                                       exhausted
 *     drop the client                   right where late bytes are useless
 *
 * A task is a future, and aloop_cancel() is the way to end it: its await
 * returns ALOOP_ECANCELED, and it cleans up by itself (step 5). */
static void send_to(struct client *client, const char *text, size_t size)
{
    if (client->is_slow || aloop_stream_put(client->stream, text, size) == 0)
        return;
    client->is_slow = true;
    aloop_cancel(client->task);
}

/* Sends a line to all clients except one, or to all if that is NULL. */
static void send_to_all(const struct client *except, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (struct client *client = chat.first; client != NULL;
         client = client->next)
        if (client != except && size > 0)
            send_to(client, text, (size_t) size);
}

/* Step 3: what if a client sends something unexpected?
 *
 * A line has a largest size, the size of the buffer.  A client that never sends
 * a line break gets ALOOP_EMSGSIZE, and does not fill the memory.  A last line
 * without a line break is ALOOP_EOF; its bytes are still in the stream.
 *
 * Control characters are replaced, because they could do anything to the
 * terminals of the other clients.  Those from 0x80 to 0x9f exist in UTF-8, as
 * 0xc2 and the byte, and some terminals obey the byte alone, too.  Inside of
 * other characters of UTF-8 such a byte is harmless.  Therefore every byte that
 * does not belong to a character is replaced.
 *
 * Returns how many bytes the printable character at the start of a text has, or
 * 0 if it does not begin with one. */
static size_t printable_size(const unsigned char *text, size_t size)
{
    size_t length = text[0] < 0x80                       ? 1
                    : text[0] >= 0xc2 && text[0] <= 0xdf ? 2
                    : text[0] >= 0xe0 && text[0] <= 0xef ? 3
                    : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                         : 0;

    if (length > size || text[0] < ' ' || text[0] == 0x7f ||
        (text[0] == 0xc2 && text[1] < 0xa0) || /* 0x80 to 0x9f. */
        (text[0] == 0xe0 && text[1] < 0xa0) || /* Overlong. */
        (text[0] == 0xf0 && text[1] < 0x90))
        return 0;
    for (size_t i = 1; i < length; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    return length;
}

static void replace_controls(char *line, size_t size)
{
    size_t at = 0;

    while (at < size) {
        size_t length = printable_size((unsigned char *) line + at, size - at);

        if (length == 0)
            line[at++] = '?';
        at += length;
    }
}

/* Stores the line without its line break, and returns its length. */
static ssize_t read_line(aloop_stream *stream, char line[LINE_SIZE])
{
    ssize_t size = aloop_await(
        aloop_stream_read_until(stream, line, LINE_SIZE - 1, "\n", 1));

    if (size == ALOOP_EOF) {
        size =
            aloop_await(aloop_stream_read_to_end(stream, line, LINE_SIZE - 1));
        if (size == 0)
            return ALOOP_EOF;
    }
    if (size < 0)
        return size;
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        size--;
    replace_controls(line, (size_t) size);
    line[size] = '\0';
    return size;
}

/* Step 4: what if a client sends nothing?
 *
 * aloop_timeout() limits any future.  When the time has passed, it cancels the
 * future and returns ALOOP_ETIMEDOUT.  For several awaits in a row, as here,
 * there is aloop_deadline_begin(). */
static ssize_t read_name(aloop *loop, struct client *client)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, ALOOP_SEC(60));
    char line[LINE_SIZE];
    ssize_t size;

    if (deadline == NULL)
        return ALOOP_ENOMEM;
    aloop_stream_put(client->stream, "Your name?\n", 11);
    do {
        size = read_line(client->stream, line);
    } while (size == 0);
    aloop_deadline_end(deadline);
    if (size > 0) {
        snprintf(client->name, sizeof client->name, "%.*s",
                 (int) sizeof client->name - 1, line);
        replace_controls(client->name, strlen(client->name));
    }
    return size;
}

/* What is put is sent when the turn of the loop ends.  Therefore the queue of a
 * client has to hold what all others can put in one turn, and each of them
 * yields after a line, so that it is one line.  Without the yield, a client
 * whose lines have all arrived already could fill the queues of clients that
 * are not slow. */
static ssize_t talk(aloop *loop, struct client *client)
{
    char line[LINE_SIZE];
    ssize_t size;

    send_to_all(client, "* %s has joined\n", client->name);
    while ((size = read_line(client->stream, line)) >= 0) {
        if (size > 0)
            send_to_all(client, "%s: %s\n", client->name, line);
        if (aloop_yield(loop) < 0)
            return ALOOP_ECANCELED;
    }
    return size;
}

/* Step 5: how does a connection end?
 *
 * All connections end here: the client has left, is too slow, has sent a line
 * that is too long, its connection is broken, or the server ends.
 *
 *     aloop_stream_close()    sends what is queued, for at most 30 s without
 *                             progress
 *     aloop_stream_abort()    drops what is queued, and resets the connection
 *
 * In a cancelled task, each await that would have to wait returns
 * ALOOP_ECANCELED.  Clean-up that has to wait is put between
 * aloop_shield_begin() and aloop_shield_end(), with a time limit. */
static void say_goodbye(struct client *client, ssize_t status)
{
    const char *text = status == ALOOP_ECANCELED   ? "* the server ends\n"
                       : status == ALOOP_EMSGSIZE  ? "* the line is too long\n"
                       : status == ALOOP_ETIMEDOUT ? "* too slow\n"
                                                   : "";

    if (client->is_slow) {
        aloop_stream_abort(client->stream);
        return;
    }
    aloop_stream_put(client->stream, text, strlen(text));
    aloop_shield_begin();
    status = aloop_await(
        aloop_timeout(aloop_stream_shutdown(client->stream), ALOOP_SEC(1)));
    aloop_shield_end();
    if (status < 0)
        aloop_stream_abort(client->stream);
    else
        aloop_stream_close(client->stream);
}

/* The task of a client, which aloop_tcp_serve() starts.  It returns 0 in any
 * case: an error would be printed, and that a client has left is none. */
static ssize_t serve(aloop *loop, aloop_stream *stream, void *arg)
{
    struct client client = {.stream = stream, .task = aloop_current_task()};
    bool was_here = false;
    ssize_t status;

    (void) arg;
    if (aloop_server_count(chat.server) > chat.clients_max) {
        aloop_stream_put(stream, "* the room is full\n", 19);
        aloop_stream_close(stream);
        return 0;
    }
    aloop_stream_set_watermarks(client.stream, QUEUE_LOW, QUEUE_HIGH);
    status = read_name(loop, &client);
    if (status >= 0) {
        enter(&client);
        status = talk(loop, &client);
        leave(&client);
        was_here = client.is_slow || status != ALOOP_ECANCELED;
    }
    say_goodbye(&client, status);
    if (was_here) /* The next client finds room when it reads this. */
        send_to_all(NULL, "* %s has left\n", client.name);
    return 0;
}

/* Step 6: how does the server end?
 *
 * This task waits for a signal, which is caught from the call of
 * aloop_signal_wait() on, once: a second signal ends the program immediately.
 * aloop_server_stop() accepts no more clients, waits for the time that it is
 * given (none here), and then cancels the tasks of the clients and awaits
 * them. */
static ssize_t amain(aloop *loop, void *arg)
{
    aloop_future *ended;
    ssize_t status = aloop_tcp_serve(loop, chat.host, chat.port, serve, NULL,
                                     NULL, &chat.server);

    (void) arg;
    if (status < 0) {
        fprintf(stderr, "chat: cannot listen on %s port %s: %s\n", chat.host,
                chat.port, aloop_strerror(status));
        return 1;
    }
    ended = aloop_race(loop, aloop_signal_wait(loop, SIGINT),
                       aloop_signal_wait(loop, SIGTERM));
    printf("listening on %s port %d\n", chat.host,
           aloop_listener_port(aloop_server_listener(chat.server)));
    if (process_flush() != 0)
        aloop_cancel(ended);
    status = aloop_await(ended);
    aloop_await(aloop_server_stop(chat.server, 0));
    return status < 0 ? status : 0; /* A success is the signal's number. */
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: chat [-p PORT] [-H HOST] [-n CLIENTS]\n"
        "  -p PORT     port to listen on; 0 is any free port (default: 7777)\n"
        "  -H HOST     numeric address to listen on (default: 127.0.0.1)\n"
        "  -n CLIENTS  largest number of clients (default: 100)\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    uint64_t port;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "p:H:n:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'H')
            chat.host = optarg;
        else
            is_valid =
                option == 'p'
                    ? option_number("-p", chat.port = optarg, 0, 65535, &port)
                : option == 'n'
                    ? option_number("-n", optarg, 1, 100000, &chat.clients_max)
                    : false;
    }
    if (is_help || !is_valid || optind < argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("chat", status < 0 ? 0 : status);
    return process_end("chat", aloop_main(amain, NULL));
}
