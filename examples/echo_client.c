/* A TCP echo client: sends messages, reads them back, and counts them.
 *
 *     usage: echo_client [-t SECONDS] [-c COUNT] [-s SIZE] HOST PORT [WORD...]
 *
 *     -t SECONDS  time limit for connecting and for each answer (default: 5)
 *     -c COUNT    number of generated messages (default: 1000)
 *     -s SIZE     size of each in bytes (default: 64)
 *
 * Sends each WORD as a line and prints the answer.  Without a WORD, it sends
 * COUNT generated messages.  Each message is sent after the answer to the
 * previous one was received, and each answer is compared byte for byte.  SIGINT
 * or SIGTERM ends the program, after the line with the counts, with exit status
 * 130.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

struct client {
    const char *host;
    const char *port;
    char **words;
    uint64_t count; /* Of messages to send, or of words. */
    size_t size;    /* Bytes of the longest message. */
    int64_t deadline_ns;
    char *sent;     /* Memory for one message. */
    char *received; /* Memory for one message. */
    uint64_t done;  /* Messages that were received back. */
    uint64_t bytes; /* Bytes of these messages. */
    int64_t duration_ns;
    bool is_wrong; /* An answer differs from its message. */
};

/* Writes message `index` to client->sent and returns its size. */
static size_t make_message(struct client *client, uint64_t index)
{
    uint64_t state = index * 2 + 1;

    if (client->words != NULL) {
        size_t size = strlen(client->words[index]);

        memcpy(client->sent, client->words[index], size);
        client->sent[size] = '\n';
        return size + 1;
    }
    for (size_t i = 0; i < client->size; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        client->sent[i] = (char) ('!' + (state >> 33) % 94);
    }
    client->sent[client->size - 1] = '\n';
    return client->size;
}

/* Sends one message and receives the answer.  It does both simultaneously,
 * because a large message may fill the buffers of the system and of the peer,
 * which sends while it receives. */
static ssize_t round_trip(aloop *loop, struct client *client,
                          aloop_stream *stream, size_t size)
{
    ssize_t status = aloop_await(aloop_gather(
        loop, aloop_stream_write(stream, client->sent, size),
        aloop_stream_read_exactly(stream, client->received, size)));

    if (status < 0)
        return status;
    client->is_wrong = memcmp(client->sent, client->received, size) != 0;
    if (client->words != NULL)
        fwrite(client->received, 1, size, stdout);
    return 0;
}

static ssize_t talk(aloop *loop, struct client *client, aloop_stream *stream,
                    aloop_deadline *deadline)
{
    int64_t start_ns = aloop_now(loop);
    ssize_t status = 0;

    while (client->done < client->count) {
        size_t size = make_message(client, client->done);

        aloop_deadline_restart(deadline, client->deadline_ns);
        status = round_trip(loop, client, stream, size);
        if (status < 0 || client->is_wrong)
            break;
        client->done++;
        client->bytes += size;
    }
    client->duration_ns = aloop_now(loop) - start_ns;
    return status;
}

static ssize_t amain(aloop *loop, void *arg)
{
    struct client *client = arg;
    aloop_stream *stream;
    aloop_deadline *deadline = aloop_deadline_begin(loop, client->deadline_ns);
    ssize_t status;

    if (deadline == NULL)
        return ALOOP_ENOMEM;
    status = aloop_await(
        aloop_tcp_connect(loop, client->host, client->port, &stream));
    if (status == 0) {
        status = talk(loop, client, stream, deadline);
        aloop_stream_close(stream);
    }
    aloop_deadline_end(deadline);
    return status;
}

/* Returns the exit status. */
static int run(struct client *client)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = aloop_main_with(amain, client, &options);
    double seconds = (double) client->duration_ns / 1e9;

    if (client->done > 0)
        printf("%llu messages, %llu bytes: %.0f round trips per second\n",
               (unsigned long long) client->done,
               (unsigned long long) client->bytes,
               seconds > 0 ? (double) client->done / seconds : 0.0);
    if (status < 0 && status != ALOOP_ECANCELED)
        fprintf(stderr, "echo_client: %s port %s: %s\n", client->host,
                client->port,
                status == ALOOP_EOF      ? "the server closed the connection"
                : status == ALOOP_EINVAL ? "no such host or port"
                                         : aloop_strerror(status));
    else if (client->is_wrong)
        fprintf(stderr, "echo_client: the answer to message %llu differs\n",
                (unsigned long long) client->done + 1);
    return process_end("echo_client", status == ALOOP_ECANCELED
                                          ? status
                                          : status < 0 || client->is_wrong);
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv, struct client *client)
{
    static const char usage[] =
        "usage: echo_client [-t SECONDS] [-c COUNT] [-s SIZE] HOST PORT"
        " [WORD...]\n"
        "  -t SECONDS  time limit for connecting and for each answer (default:"
        " 5)\n"
        "  -c COUNT    number of generated messages (default: 1000)\n"
        "  -s SIZE     size of each in bytes (default: 64)\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    uint64_t size = 64;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "t:c:s:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else
            is_valid =
                option == 't'
                    ? option_seconds("-t", optarg, &client->deadline_ns)
                : option == 'c'
                    ? option_number("-c", optarg, 1, 1000000000, &client->count)
                : option == 's'
                    ? option_number("-s", optarg, 1, 64 * 1024 * 1024, &size)
                    : false;
    }
    if (is_help || !is_valid || argc - optind < 2) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    client->size = (size_t) size;
    client->host = argv[optind];
    client->port = argv[optind + 1];
    if (argc - optind > 2) {
        client->words = argv + optind + 2;
        client->count = (uint64_t) (argc - optind - 2);
        client->size = 1;
        for (uint64_t i = 0; i < client->count; i++)
            if (strlen(client->words[i]) + 1 > client->size)
                client->size = strlen(client->words[i]) + 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct client client = {.count = 1000, .deadline_ns = ALOOP_SEC(5)};
    int status = parse_options(argc, argv, &client);

    if (status != 0)
        return process_end("echo_client", status < 0 ? 0 : status);
    client.sent = malloc(client.size);
    client.received = malloc(client.size);
    if (client.sent != NULL && client.received != NULL) {
        status = run(&client);
    } else {
        fprintf(stderr, "echo_client: %s\n", aloop_strerror(ALOOP_ENOMEM));
        status = 1;
    }
    free(client.sent);
    free(client.received);
    return status;
}
