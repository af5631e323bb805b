/* TLS over TCP with both ends in one process: by hand with SSL_set_fd() on
 * sockets that do not block, and through the bridge examples/bridges/tls.h. */

#define _GNU_SOURCE

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridges/tls.h"
#include "support/certificates.h"

enum { MIB = 1024 * 1024, BUFFER_SIZE = 64 * 1024, WRITES = 5 };

/* What a peer has to do. */
struct transfer {
    size_t piece;     /* Bytes of each write of the application. */
    size_t total;     /* A multiple of it. */
    bool is_borrowed; /* By aloop_stream_write(), not copied by a put. */
};

struct ends {
    SSL_CTX *client_context, *server_context;
    int client, server;
};

static char out[BUFFER_SIZE], in[BUFFER_SIZE];

/* Connects two sockets over TCP. */
static void make_ends(struct ends *ends)
{
    struct certificate own = make_certificate("peer", "DNS:peer", 9, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    ends->client_context = SSL_CTX_new(TLS_client_method());
    ends->server_context = SSL_CTX_new(TLS_server_method());
    trust(ends->client_context, &own);
    present(ends->server_context, &own);
    free_certificate(&own);
    ends->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fail_if(bind(listener, (struct sockaddr *) &address, size) < 0 ||
                listen(listener, 1) < 0 ||
                getsockname(listener, (struct sockaddr *) &address, &size) <
                    0 ||
                connect(ends->client, (struct sockaddr *) &address, size) < 0,
            "connect");
    ends->server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    fail_if(ends->server < 0 || fcntl(ends->client, F_SETFL, O_NONBLOCK) < 0 ||
                fcntl(ends->server, F_SETFL, O_NONBLOCK) < 0,
            "accept");
    setsockopt(ends->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(ends->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
}

/* By hand. */

static bool would_block(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);

    fail_if(error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE,
            "TLS");
    return true;
}

static double hand_move(const struct ends *ends, const struct transfer *work)
{
    SSL *client = SSL_new(ends->client_context);
    SSL *server = SSL_new(ends->server_context);
    size_t sent = 0, got = 0;
    int64_t begin_ns;
    int n = 0, m = 0;

    SSL_set_fd(client, ends->client);
    SSL_set_fd(server, ends->server);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    while (n != 1 || m != 1) {
        if (n != 1 && (n = SSL_do_handshake(client)) != 1)
            would_block(client, n);
        if (m != 1 && (m = SSL_do_handshake(server)) != 1)
            would_block(server, m);
    }
    begin_ns = cpu_ns();
    while (got < work->total) {
        while (sent < work->total) {
            n = SSL_write(client, out, (int) work->piece);
            if (n <= 0 && would_block(client, n))
                break;
            sent += (size_t) n;
        }
        while ((n = SSL_read(server, in, sizeof in)) > 0)
            got += (size_t) n;
        would_block(server, n);
    }
    begin_ns = cpu_ns() - begin_ns;
    SSL_free(client);
    SSL_free(server);
    return (double) begin_ns;
}

/* With libaloop. */

struct run {
    const struct ends *ends;
    const struct transfer *work;
    double took_ns;
};

static ssize_t put_pieces(aloop *loop, void *arg)
{
    aloop_stream *stream = ((void **) arg)[0];
    const struct transfer *work = ((void **) arg)[1];

    (void) loop;
    for (size_t sent = 0; sent < work->total; sent += work->piece) {
        int result = aloop_stream_put(stream, out, work->piece);

        fail_if(result < 0, "put");
        if (result > 0)
            fail_if(aloop_await(aloop_stream_drain(stream)) < 0, "drain");
    }
    return 0;
}

/* Like SSL_write() by hand, writes do not copy the pieces before they are
 * encrypted.  Some are pending at a time. */
static ssize_t write_pieces(aloop *loop, void *arg)
{
    aloop_stream *stream = ((void **) arg)[0];
    const struct transfer *work = ((void **) arg)[1];
    aloop_future *writes[WRITES];
    size_t count = work->total / work->piece;

    (void) loop;
    for (size_t i = 0; i < count + WRITES; i++) {
        if (i >= WRITES)
            fail_if(aloop_await(writes[i % WRITES]) < 0, "write");
        if (i < count)
            writes[i % WRITES] = aloop_stream_write(stream, out, work->piece);
    }
    return 0;
}

static ssize_t do_move(aloop *loop, void *arg)
{
    struct run *run = arg;
    tls_client settings = {.host = "peer"};
    aloop_stream *client, *server = NULL;
    SSL *ssl[2];
    void *sender[2];
    aloop_future *sent;
    size_t got = 0;
    int64_t begin_ns;

    fail_if(aloop_stream_open(loop, run->ends->client, &client) < 0 ||
                aloop_stream_open(loop, run->ends->server, &server) < 0,
            "open");
    fail_if(
        aloop_await(aloop_gather(
            loop, tls_start(client, run->ends->client_context, &settings, ssl),
            tls_start(server, run->ends->server_context, NULL, ssl + 1))) < 0,
        "handshake");
    begin_ns = cpu_ns();
    sender[0] = client;
    sender[1] = (void *) run->work;
    sent = aloop_spawn(loop, run->work->is_borrowed ? write_pieces : put_pieces,
                       sender);
    while (got < run->work->total) {
        ssize_t n = aloop_await(aloop_stream_read(server, in, sizeof in));

        fail_if(n <= 0, "read");
        got += (size_t) n;
    }
    fail_if(aloop_await(sent) < 0, "send");
    run->took_ns = (double) (cpu_ns() - begin_ns);
    aloop_stream_abort(client);
    aloop_stream_abort(server);
    return 0;
}

static double aloop_move(const struct ends *ends, const struct transfer *work)
{
    struct run run = {ends, work, 0};

    fail_if(aloop_main(do_move, &run) < 0, "transfer");
    return run.took_ns;
}

/* The rows. */

struct tls_load {
    enum peer peer;
    struct transfer work;
};

static void run_load(const void *arg, double *results)
{
    const struct tls_load *load = arg;
    struct ends ends;
    double took_ns;

    make_ends(&ends);
    took_ns = load->peer == HAND ? hand_move(&ends, &load->work)
                                 : aloop_move(&ends, &load->work);
    results[0] = took_ns / 1000 / ((double) load->work.total / MIB);
}

static void measure(struct bench *bench, const char *name, struct transfer work)
{
    struct row row = {.work = name, .aim = AIM_RATIO, .limit = 1};

    if (!is_wanted(bench, name))
        return;
    for (int round = 0; round < bench->rounds; round++)
        for (int turn = 0; turn < PEERS; turn++) {
            struct tls_load load = {peer_at(round, turn), work};
            double result;

            if (load.peer < UV && in_child(run_load, &load, &result, 1))
                row_add(&row, load.peer, result);
        }
    row_print(bench, &row);
}

void bench_tls(struct bench *bench)
{
    measure(bench, "TLS, pieces of 64 B, us per MiB",
            (struct transfer){64, MIB, false});
    measure(bench, "TLS, pieces of 16 KiB, us per MiB",
            (struct transfer){16384, 16 * MIB, false});
    measure(bench, "TLS, writes of 16 KiB, us per MiB",
            (struct transfer){16384, 16 * MIB, true});
}
