/* A TLS server that sends back what it receives.
 *
 *     usage: tls_server [-H HOST] [-t SECONDS] PORT CHAIN_FILE KEY_FILE
 *
 *     -H HOST     numeric address to listen on (default: 127.0.0.1)
 *     -t SECONDS  time limit for each handshake (default: 10)
 *
 * PORT is the port to listen on; 0 is any free port.  CHAIN_FILE has the
 * certificate of the server, followed by those that lead to a trusted one, and
 * KEY_FILE its private key, both as PEM.  To try it:
 *
 *     openssl req -x509 -newkey rsa -nodes -subj /CN=localhost \
 *         -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
 *     tls_server 4433 cert.pem key.pem
 *     openssl s_client -connect localhost:4433 -CAfile cert.pem
 *
 * A failure of a connection is printed.  SIGINT or SIGTERM ends the program
 * with exit status 0: it gives open connections a second to end.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "bridges/tls.h"
#include "support/options.h"
#include "support/process.h"

enum { CONNECTIONS_MAX = 500, ADDRESS_SIZE = 96 };

/* What the command line sets. */
static struct {
    const char *host;
    const char *port;
    int64_t limit_ns;
} settings = {.host = "127.0.0.1", .limit_ns = ALOOP_SEC(10)};

/* Sends back what arrives, and ends when the client has ended. */
static ssize_t serve(aloop *loop, aloop_stream *stream, void *arg)
{
    SSL_CTX *context = arg;
    char name[ADDRESS_SIZE], bytes[16384];
    SSL *ssl;
    ssize_t n = aloop_stream_peer(stream, name, sizeof name);

    (void) loop;
    if (n >= 0)
        n = aloop_await(aloop_timeout(tls_start(stream, context, NULL, &ssl),
                                      settings.limit_ns));
    else
        ssl = NULL;
    if (n == 0)
        while ((n = aloop_await(
                    aloop_stream_read(stream, bytes, sizeof bytes))) > 0) {
            n = aloop_await(aloop_stream_write(stream, bytes, (size_t) n));
            if (n < 0)
                break;
        }
    if (n < 0 && n != ALOOP_ECANCELED)
        fprintf(stderr, "tls_server: %s: %s\n", ssl == NULL ? "a client" : name,
                tls_error(ssl, n));
    aloop_stream_close(stream);
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = CONNECTIONS_MAX};
    aloop_future *ended;
    aloop_server *server;
    ssize_t status = aloop_tcp_serve(loop, settings.host, settings.port, serve,
                                     arg, &options, &server);

    if (status < 0) {
        fprintf(stderr, "tls_server: cannot listen on %s port %s: %s\n",
                settings.host, settings.port, aloop_strerror((int) status));
        return 1;
    }
    ended = aloop_race(loop, aloop_signal_wait(loop, SIGINT),
                       aloop_signal_wait(loop, SIGTERM));
    printf("listening on %s port %d\n", settings.host,
           aloop_listener_port(aloop_server_listener(server)));
    if (process_flush() != 0)
        aloop_cancel(ended);
    status = aloop_await(ended);
    aloop_await(aloop_server_stop(server, ALOOP_SEC(1)));
    return status < 0 ? status : 0; /* A success is the signal's number. */
}

/* Returns NULL after printing why. */
static SSL_CTX *new_context(const char *chain_file, const char *key_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    const char *file = chain_file;
    bool is_done = context != NULL &&
                   SSL_CTX_use_certificate_chain_file(context, chain_file) == 1;

    if (is_done) {
        file = key_file;
        is_done = SSL_CTX_use_PrivateKey_file(context, key_file,
                                              SSL_FILETYPE_PEM) == 1;
    }
    if (is_done)
        return context;
    fprintf(stderr, "tls_server: %s: not %s\n", file,
            file == chain_file ? "a certificate (PEM)"
                               : "the key of the certificate (PEM)");
    SSL_CTX_free(context);
    return NULL;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: tls_server [-H HOST] [-t SECONDS] PORT CHAIN_FILE KEY_FILE\n"
        "  -H HOST     numeric address to listen on (default: 127.0.0.1)\n"
        "  -t SECONDS  time limit for each handshake (default: 10)\n"
        "  PORT        port to listen on; 0 is any free port\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    uint64_t port;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "H:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'H')
            settings.host = optarg;
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &settings.limit_ns);
    }
    if (is_valid && !is_help && argc - optind == 3)
        is_valid = option_number("PORT", argv[optind], 0, 65535, &port);
    if (is_help || !is_valid || argc - optind != 3) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    settings.port = argv[optind];
    return 0;
}

int main(int argc, char **argv)
{
    ssize_t status = parse_options(argc, argv);
    SSL_CTX *context;

    if (status != 0)
        return process_end("tls_server", status < 0 ? 0 : status);
    context = new_context(argv[optind + 1], argv[optind + 2]);
    if (context == NULL)
        return 1;
    status = aloop_main(amain, context);
    SSL_CTX_free(context);
    return process_end("tls_server", status);
}
