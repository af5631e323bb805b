/* A WebSocket client for standard input and output.
 *
 *     usage: websocket_client [-b] [-m BYTES] [-t SECONDS] URL
 *
 *     -b          send binary messages; otherwise they are text, which has to
 *                 be UTF-8
 *     -m BYTES    largest message that is received (default: 1048576)
 *     -t SECONDS  time limit for connecting, and for answers of a server that
 *                 is silent (default: 20)
 *
 * Each line of standard input is sent as a message, and each message that is
 * received is printed as a line.  At the end of the input the client closes,
 * and prints what arrives before the server has closed, too.
 *
 * Try it: websocket_client ws://127.0.0.1:8080/, with websocket_echo
 *
 * The exit status is 0, 1 after an error or a close with an error, 2 for wrong
 * usage, and 130 after Ctrl-C. */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/options.h"
#include "support/plain_text.h"
#include "support/process.h"
#include "support/websocket_connect.h"

enum { INPUT_SIZE = 16 * 1024 };

/* What the command line sets. */
static struct {
    const char *url;
    bool is_binary;
    struct websocket_options options;
} settings = {.options = {.message_max = (uint64_t) 1024 * 1024,
                          .ping_ns = ALOOP_SEC(20),
                          .answer_ns = ALOOP_SEC(20)}};

/* Sends what was read; each line is a message, also an incomplete one at the
 * end.  Returns 0 or an error. */
static int send_lines(struct websocket_stream *socket, const char *data,
                      size_t size)
{
    int result = 0;

    while (size > 0 && result == 0) {
        const char *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t) (end - data) : size;

        result = websocket_send(socket, !settings.is_binary, data, length,
                                end != NULL);
        length += end != NULL;
        data += length;
        size -= length;
    }
    return result;
}

/* Sends what `in` gives.  Returns 0 at its end, or an error. */
static ssize_t send_stream(struct websocket_stream *socket, aloop_stream *in)
{
    char data[INPUT_SIZE];
    ssize_t n;
    int sent = 0;

    do {
        n = aloop_await(aloop_stream_read(in, data, sizeof data));
        if (n > 0)
            sent = send_lines(socket, data, (size_t) n);
    } while (n > 0 && sent == 0);
    if (n == 0 && socket->is_sending)
        sent = websocket_send(socket, !settings.is_binary, "", 0, true);
    return n < 0 ? n : sent;
}

/* Sends standard input, and closes at its end.  If the connection has failed,
 * the other task reports it. */
static ssize_t send_input(aloop *loop, void *arg)
{
    struct websocket_stream *socket = arg;
    aloop_stream *in = NULL;
    ssize_t status = aloop_stdio_open(loop, STDIN_FILENO, &in);

    if (status == 0)
        status = send_stream(socket, in);
    aloop_stream_close(in);
    if (status < 0 && !socket->is_broken && !aloop_is_cancelled())
        fprintf(stderr, "websocket_client: cannot read standard input: %s\n",
                aloop_strerror(status));
    return aloop_is_cancelled() ? 0
                                : websocket_close(socket, WEBSOCKET_NORMAL, "");
}

/* Prints messages until the connection ends. */
static ssize_t print_messages(struct websocket_stream *socket)
{
    struct websocket_event part;
    ssize_t status;

    while ((status = websocket_receive(socket, &part)) > 0) {
        fwrite(part.data, 1, part.size, stdout);
        if (part.is_last) {
            putchar('\n');
            fflush(stdout);
        }
    }
    return status;
}

/* Prints why a connection has ended.  Returns the exit status. */
static ssize_t report(const struct websocket_stream *socket, ssize_t status)
{
    bool is_normal = socket->code == WEBSOCKET_NORMAL ||
                     socket->code == WEBSOCKET_GOING_AWAY ||
                     socket->code == WEBSOCKET_NO_CODE;

    if (status == 0 && is_normal)
        return 0;
    if (status == 0) {
        fprintf(stderr, "websocket_client: the server has closed: %d ",
                socket->code);
        print_plain(stderr, socket->reason, socket->reason_size);
        putc('\n', stderr);
    } else if (status == ALOOP_EPROTO) {
        fprintf(stderr, "websocket_client: closed with %d\n", socket->code);
    } else {
        fprintf(stderr, "websocket_client: %s\n", aloop_strerror(status));
    }
    return 1;
}

static ssize_t amain(aloop *loop, void *arg)
{
    static struct websocket_client client;
    aloop_future *input;
    ssize_t status =
        websocket_connect(loop, settings.url, &settings.options, &client);

    (void) arg;
    if (status == ALOOP_ECANCELED)
        return status;
    if (status < 0) {
        fprintf(stderr, "websocket_client: %s: %s\n", settings.url, client.why);
        return 1;
    }
    input = aloop_spawn(loop, send_input, &client.socket);
    status = print_messages(&client.socket);
    aloop_cancel(input); /* Unless it has ended. */
    (void) aloop_await(input);
    (void) websocket_disconnect(&client, status, 0, "");
    return status == ALOOP_ECANCELED ? status : report(&client.socket, status);
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: websocket_client [-b] [-m BYTES] [-t SECONDS] URL\n"
        "  -b          send binary messages, not text\n"
        "  -m BYTES    largest message that is received (default: 1048576)\n"
        "  -t SECONDS  time limit for connecting and for answers (default:"
        " 20)\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "bm:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'b')
            settings.is_binary = true;
        else if (option == 'm')
            is_valid = option_number("-m", optarg, 1, UINT64_C(1) << 40,
                                     &settings.options.message_max);
        else
            is_valid =
                option == 't' &&
                option_seconds("-t", optarg, &settings.options.answer_ns);
    }
    if (is_help || !is_valid || argc - optind != 1) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    settings.url = argv[optind];
    return 0;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("websocket_client", status < 0 ? 0 : status);
    return process_end("websocket_client",
                       aloop_main_with(amain, NULL, &options));
}
