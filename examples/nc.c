/* Connects standard input and output to a TCP or Unix socket.
 *
 *     usage: nc [-v] [-w SECONDS] HOST PORT
 *            nc [-v] [-w SECONDS] -U PATH
 *            nc -l [-kv] [-w SECONDS] [HOST] PORT
 *            nc -l [-kv] [-w SECONDS] -U PATH
 *
 *     -l          wait for a connection (default HOST: 127.0.0.1)
 *     -k          wait for the next one when it has ended
 *     -U          the path of a Unix socket; "@NAME" is an abstract one
 *     -w SECONDS  time limit for connecting, or for the wait of -l
 *     -v          print on standard error what happens
 *
 * Each direction is an aloop_stream_forward(), which stops reading while the
 * other side is slower.  The end of standard input ends the sending direction
 * of the socket, so that the peer can answer (half-close).  The end of the peer
 * ends the program, unless standard input still has something to send: a file
 * and a pipe are sent to their ends, but a terminal is not waited for.
 *
 * The exit status is 0, 1 after an error, 2 for wrong usage, and 130 after
 * Ctrl-C.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

static struct options {
    const char *host; /* Or NULL with -U. */
    const char *port; /* Or the path. */
    int64_t limit_ns; /* 0: none. */
    bool is_listening;
    bool is_kept; /* -k */
    bool is_verbose;
} options;

/* A connection, and the standard streams that it uses. */
struct talk {
    aloop_stream *socket;
    aloop_stream *in; /* NULL: standard input is closed. */
    aloop_stream *out;
    aloop_future *sending;
};

static ssize_t failed(const char *what, ssize_t error)
{
    if (error != ALOOP_ECANCELED)
        fprintf(stderr, "nc: %s: %s\n", what, aloop_strerror(error));
    return error;
}

/* From standard input to the socket.  If the peer refuses the bytes, the other
 * direction shows what it has sent before, and the reason. */
static ssize_t send_input(aloop *loop, void *arg)
{
    struct talk *talk = arg;
    ssize_t status;

    (void) loop;
    talk->sending = talk->in != NULL
                        ? aloop_stream_forward(talk->in, talk->socket)
                        : aloop_stream_shutdown(talk->socket);
    status = aloop_await(talk->sending);
    talk->sending = NULL;
    if (status == ALOOP_EABORTED || talk->in == NULL)
        return 0; /* The other direction has cancelled it. */
    if (status < 0 && aloop_stream_put(talk->socket, "", 0) == 0)
        return failed("cannot read standard input", status);
    return 0;
}

/* From the socket to standard output. */
static ssize_t receive_output(aloop *loop, void *arg)
{
    struct talk *talk = arg;
    ssize_t status = aloop_await(aloop_stream_forward(talk->socket, talk->out));

    (void) loop;
    if (status >= 0) {
        if (talk->sending != NULL && isatty(STDIN_FILENO))
            aloop_cancel(talk->sending);
        return 0;
    }
    return failed(aloop_stream_put(talk->out, "", 0) < 0
                      ? "cannot write standard output"
                      : "the connection has failed",
                  status);
}

/* Moves bytes in both directions until both have ended.  Closes the socket. */
static ssize_t converse(aloop *loop, aloop_stream *socket)
{
    struct talk talk = {.socket = socket};
    ssize_t status = aloop_stdio_open(loop, STDIN_FILENO, &talk.in);

    if (status < 0 && status != ALOOP_EBADF) {
        failed("cannot use standard input", status);
    } else {
        status = aloop_stdio_open(loop, STDOUT_FILENO, &talk.out);
        if (status < 0)
            failed("cannot use standard output", status);
    }
    if (status == 0)
        status =
            aloop_await(aloop_gather(loop, aloop_spawn(loop, send_input, &talk),
                                     aloop_spawn(loop, receive_output, &talk)));
    /* After a failure the peer must not take a part for the whole. */
    if (status < 0)
        aloop_stream_abort(socket);
    else
        aloop_stream_close(socket);
    aloop_stream_close(talk.in);
    aloop_stream_close(talk.out);
    return status;
}

static aloop_future *limited(aloop_future *future)
{
    return options.limit_ns > 0 ? aloop_timeout(future, options.limit_ns)
                                : future;
}

/* Describes what the command line names, as "HOST port PORT" or a path. */
static void report(const char *what, ssize_t error)
{
    if (error == ALOOP_ECANCELED)
        return;
    fprintf(stderr, "nc: %s %s%s%s%s%s\n", what,
            options.host != NULL ? options.host : "",
            options.host != NULL ? " port " : "", options.port,
            error < 0 ? ": " : "",
            error == ALOOP_EINVAL && options.host != NULL
                ? "no such host or port"
            : error < 0 ? aloop_strerror(error)
                        : "");
}

static ssize_t connect_once(aloop *loop)
{
    aloop_stream *socket;
    aloop_future *connect =
        options.host != NULL
            ? aloop_tcp_connect(loop, options.host, options.port, &socket)
            : aloop_unix_connect(loop, options.port, &socket);
    ssize_t status = aloop_await(limited(connect));

    if (status < 0) {
        report("cannot connect to", status);
        return 1;
    }
    if (options.is_verbose)
        report("connected to", 0);
    return converse(loop, socket) < 0;
}

/* With -k the failure of a connection is no failure of the program. */
static ssize_t accept_some(aloop *loop, aloop_listener *listener)
{
    ssize_t status;

    do {
        aloop_stream *socket;

        status = aloop_await(limited(aloop_listener_accept(listener, &socket)));
        if (status < 0) {
            report("no connection on", status);
            break;
        }
        if (options.is_verbose)
            fputs("nc: connected\n", stderr);
        if (!options.is_kept) {
            aloop_listener_close(listener);
            listener = NULL;
        }
        status = converse(loop, socket);
    } while (options.is_kept && status != ALOOP_ECANCELED);
    aloop_listener_close(listener);
    return status < 0;
}

static ssize_t run(aloop *loop, void *arg)
{
    aloop_listener *listener;
    ssize_t status;

    (void) arg;
    if (!options.is_listening)
        return connect_once(loop);
    if (options.host != NULL)
        status = aloop_tcp_listen(loop, options.host, options.port, NULL, NULL,
                                  &listener);
    else
        status = aloop_unix_listen(loop, options.port, NULL, NULL, &listener);
    if (status < 0) {
        report("cannot listen on", status);
        return 1;
    }
    if (options.is_verbose && options.host != NULL)
        fprintf(stderr, "nc: listening on %s port %d\n", options.host,
                aloop_listener_port(listener));
    else if (options.is_verbose)
        report("listening on", 0);
    return accept_some(loop, listener);
}

/* The success of a signal is its number, and `run` returns 0 or 1. */
static ssize_t amain(aloop *loop, void *arg)
{
    ssize_t status = aloop_await(aloop_race(loop, aloop_spawn(loop, run, NULL),
                                            aloop_signal_wait(loop, SIGINT),
                                            aloop_signal_wait(loop, SIGTERM)));

    (void) arg;
    return status > 1 ? 128 + status : status;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: nc [-v] [-w SECONDS] HOST PORT\n"
        "       nc [-v] [-w SECONDS] -U PATH\n"
        "       nc -l [-kv] [-w SECONDS] [HOST] PORT\n"
        "       nc -l [-kv] [-w SECONDS] -U PATH\n"
        "  -l          wait for a connection (default HOST: 127.0.0.1)\n"
        "  -k          wait for the next one when it has ended\n"
        "  -U          the path of a Unix socket; \"@NAME\" is an abstract "
        "one\n"
        "  -w SECONDS  time limit for connecting, or for the wait of -l\n"
        "  -v          print on standard error what happens\n";
    bool is_valid = true, is_help = option_help(argc, argv), is_unix = false;
    int option, count;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "lkUw:vh")) != -1) {
        if (option == 'w')
            is_valid = option_seconds("-w", optarg, &options.limit_ns);
        is_help = is_help || option == 'h';
        is_valid = is_valid && option != '?';
        is_unix = is_unix || option == 'U';
        options.is_listening = options.is_listening || option == 'l';
        options.is_kept = options.is_kept || option == 'k';
        options.is_verbose = options.is_verbose || option == 'v';
    }
    count = argc - optind;
    is_valid = is_valid && (options.is_listening || !options.is_kept) &&
               (is_unix ? count == 1
                        : count == 2 || (count == 1 && options.is_listening));
    if (is_help || !is_valid) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    options.port = argv[argc - 1];
    if (!is_unix)
        options.host = count == 2 ? argv[optind] : "127.0.0.1";
    return 0;
}

int main(int argc, char **argv)
{
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("nc", status < 0 ? 0 : status);
    return process_end("nc", aloop_main(amain, NULL));
}
