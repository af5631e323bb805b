/* A TLS client: connects standard input and output to a server, like nc.
 *
 *     usage: tls_client [-kv] [-C FILE] [-t SECONDS] HOST PORT
 *
 *     -k          accept every certificate
 *     -v          print version and cipher to standard error
 *     -C FILE     trust the certificates in FILE (PEM), not those of the system
 *     -t SECONDS  time limit for connecting and for the handshake (default: 10)
 *
 * The end of standard input ends only this direction (close_notify).  The
 * program ends when the server ends.  The exit status is 0 then, and 1 if the
 * server was not trusted, or cut the connection off.  SIGINT or SIGTERM ends it
 * with exit status 130.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>
#include <stdio.h>
#include <unistd.h>

#include "bridges/tls.h"
#include "support/options.h"
#include "support/process.h"

/* What the command line sets. */
static struct {
    const char *host;
    const char *port;
    const char *ca_file;
    int64_t limit_ns;
    bool is_unverified;
    bool is_verbose;
} settings = {.limit_ns = ALOOP_SEC(10)};

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "tls_client: %s port %s: %s: %s\n", settings.host,
            settings.port, what, why);
}

/* Moves bytes in both directions until the server ends. */
static ssize_t exchange(aloop *loop, aloop_stream *stream)
{
    aloop_stream *in = NULL, *out = NULL;
    aloop_future *up;
    ssize_t status = aloop_stdio_open(loop, STDIN_FILENO, &in);

    if (status == 0)
        status = aloop_stdio_open(loop, STDOUT_FILENO, &out);
    if (status == 0) {
        up = aloop_stream_forward(in, stream);
        status = aloop_await(aloop_stream_forward(stream, out));
        /* The loop reports a failure whose status is not read. */
        if (aloop_future_is_settled(up) && aloop_future_status(up) < 0 &&
            status >= 0)
            status = aloop_future_status(up);
        aloop_future_unref(up);
    }
    aloop_stream_close(in);
    aloop_stream_close(out);
    return status;
}

/* Returns the exit status, or an error of which nothing was printed. */
static ssize_t talk(aloop *loop, aloop_stream *stream, SSL_CTX *context)
{
    tls_client client = {.host = settings.host,
                         .is_unverified = settings.is_unverified};
    SSL *ssl;
    const char *what = "TLS";
    ssize_t status = aloop_await(aloop_timeout(
        tls_start(stream, context, &client, &ssl), settings.limit_ns));

    if (status == 0 && settings.is_verbose)
        fprintf(stderr, "%s, %s\n", SSL_get_version(ssl),
                SSL_get_cipher_name(ssl));
    if (status == 0) {
        what = "connection";
        status = exchange(loop, stream);
    }
    if (status == ALOOP_ECANCELED)
        return status;
    if (status < 0)
        complain(what, tls_error(ssl, status));
    return status < 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    aloop_stream *stream;
    ssize_t status = aloop_await(aloop_timeout(
        aloop_tcp_connect(loop, settings.host, settings.port, &stream),
        settings.limit_ns));

    if (status < 0 && status != ALOOP_ECANCELED)
        complain("connect", aloop_strerror((int) status));
    if (status < 0)
        return status == ALOOP_ECANCELED ? status : 1;
    status = talk(loop, stream, arg);
    aloop_stream_close(stream);
    return status;
}

/* Returns NULL after printing why. */
static SSL_CTX *new_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int is_done = context == NULL ? 0
                  : settings.ca_file == NULL
                      ? SSL_CTX_set_default_verify_paths(context)
                      : SSL_CTX_load_verify_file(context, settings.ca_file);

    if (is_done)
        return context;
    fprintf(stderr, "tls_client: cannot read the certificates in %s\n",
            settings.ca_file == NULL ? "the system" : settings.ca_file);
    SSL_CTX_free(context);
    return NULL;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: tls_client [-kv] [-C FILE] [-t SECONDS] HOST PORT\n"
        "  -k          accept every certificate\n"
        "  -v          print version and cipher to standard error\n"
        "  -C FILE     trust the certificates in FILE (PEM), not those of the"
        " system\n"
        "  -t SECONDS  time limit for connecting and for the handshake"
        " (default: 10)\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "kvC:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'k')
            settings.is_unverified = true;
        else if (option == 'v')
            settings.is_verbose = true;
        else if (option == 'C')
            settings.ca_file = optarg;
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &settings.limit_ns);
    }
    if (is_help || !is_valid || argc - optind != 2) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    settings.host = argv[optind];
    settings.port = argv[optind + 1];
    return 0;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv);
    SSL_CTX *context;

    if (status != 0)
        return process_end("tls_client", status < 0 ? 0 : status);
    context = new_context();
    if (context == NULL)
        return 1;
    status = aloop_main_with(amain, context, &options);
    SSL_CTX_free(context);
    return process_end("tls_client", status);
}
