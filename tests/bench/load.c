/* Echo: a number of connections, each with a number of messages in flight, over
 * TCP or Unix sockets.
 *
 * The rows OVER_FILTER compare libaloop with itself: the plain echo is in the
 * column of the echo by hand, and that through a filter in libaloop's. */

#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1000, FLIGHT_MAX = 16 * 1024 };

static const int64_t slice_ns = 40000000, quick_slice_ns = 15000000;

struct echo {
    const char *work;
    int connections;
    size_t size; /* Size of a message. */
    int in_flight;
    bool is_framed;
    enum aim aim;
    double limit;
    enum family family;
};

struct load {
    const struct echo *echo;
    struct server server;
    int fds[CONNECTIONS_MAX];
};

/* Makes the data to send: as many messages as are in flight, each with its
 * length. */
static void fill(const struct echo *echo, char *bytes)
{
    size_t size = echo->size * (size_t) echo->in_flight;

    memset(bytes, 'x', size);
    for (size_t i = 0; i < size && echo->is_framed; i += echo->size) {
        bytes[i] = (char) (echo->size >> 8);
        bytes[i + 1] = (char) (echo->size & 255);
    }
}

/* Sends on every connection, then receives the answers.  It receives the
 * answer on the last connection first, so that the server has answered on all
 * of them. */
static void exchange(struct load *load, const char *bytes)
{
    const struct echo *echo = load->echo;
    size_t size = echo->size * (size_t) echo->in_flight;
    char answer[FLIGHT_MAX];

    for (int i = 0; i < echo->connections; i++)
        client_send(load->fds[i], bytes, size);
    for (int i = echo->connections; i-- > 0;) {
        client_receive(load->fds[i], answer, size);
        if (memcmp(answer, bytes, size) != 0) {
            fprintf(stderr, "aloop_bench: wrong answer\n");
            exit(1);
        }
    }
}

/* Exchanges messages for `ns`.  Returns their number. */
static double exchange_for(struct load *load, const char *bytes, int64_t ns)
{
    int64_t end_ns = wall_ns() + ns;
    double messages = 0;

    do {
        exchange(load, bytes);
        messages += load->echo->connections * load->echo->in_flight;
    } while (wall_ns() < end_ns);
    return messages;
}

static bool takes_part(const struct bench *bench, const struct echo *echo,
                       enum peer peer)
{
    if (echo->family == OVER_TCP)
        return server_echoes(bench, peer);
    return server_exists(bench, peer) &&
           (peer != UV || echo->family != OVER_FILTER);
}

static void load_open(struct load *load, const struct echo *echo,
                      enum peer peer, const char *bytes)
{
    enum family family = echo->family;

    if (family == OVER_FILTER && peer == HAND) {
        peer = ALOOP;
        family = OVER_TCP;
    }
    load->echo = echo;
    server_start(&load->server, peer, family, echo->is_framed, NULL);
    for (int i = 0; i < echo->connections; i++)
        load->fds[i] = client_connect(&load->server);
    exchange_for(load, bytes, 5000000);
}

static void load_close(struct load *load)
{
    for (int i = 0; i < load->echo->connections; i++)
        close(load->fds[i]);
    server_stop(&load->server);
}

/* Runs one more round, for a value that is counted and not timed. */
static void count(struct load *load, enum peer peer, const char *bytes,
                  enum counter counter, struct row *row)
{
    double before = server_counted(&load->server, counter);
    double messages = exchange_for(load, bytes, 5000000);
    double after = server_counted(&load->server, counter);

    if (before >= 0 && after > before)
        row_add(row, peer, (after - before) / messages);
}

static struct load loads[PEERS];

static void take_turns(struct bench *bench, const struct echo *echo,
                       const char *bytes, struct row *row)
{
    int64_t ns = bench->is_quick ? quick_slice_ns : slice_ns;

    for (int i = 0; i < bench->rounds; i++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(i, turn);
            struct load *load = &loads[peer];
            int64_t before_ns;
            double messages;

            if (!takes_part(bench, echo, peer))
                continue;
            /* Replaces data of the previous peer in the caches. */
            exchange(load, bytes);
            before_ns = server_cpu_ns(&load->server);
            messages = exchange_for(load, bytes, ns);
            row_add(row, peer,
                    (double) (server_cpu_ns(&load->server) - before_ns) /
                        messages);
        }
    }
}

/* Prints the limits of the first release, in addition to the aims. */
static void print_bar(const struct echo *echo, const struct row *row)
{
    double less = row_ratio(row, UV, ALOOP);
    double ratio = row_ratio(row, ALOOP, HAND);

    if (!echo->is_framed)
        printf("%-38s %s\n", "  bar: <= 1.10 of by hand",
               ratio <= 1.10 ? "met" : "MISSED");
    else if (less >= 0)
        printf("%-38s %s (%.1f)\n", "  bar: libuv costs >= 5 times as much",
               less >= 5 ? "met" : "MISSED", less);
}

static void run(struct bench *bench, const struct echo *echo)
{
    struct row time = {.work = echo->work,
                       .aim = echo->aim,
                       .limit = echo->limit,
                       .digits = 0};
    struct row calls = {.work = "  system calls per message", .digits = 3};
    struct row instructions = {
        .work = "  user instructions per message",
        .aim = echo->is_framed || echo->family == OVER_FILTER ? AIM_NONE
                                                              : AIM_VALUE,
        .limit = 200};
    char bytes[FLIGHT_MAX];

    if (!is_wanted(bench, echo->work))
        return;
    fill(echo, bytes);
    for (enum peer peer = HAND; peer < PEERS; peer++)
        if (takes_part(bench, echo, peer))
            load_open(&loads[peer], echo, peer, bytes);
    take_turns(bench, echo, bytes, &time);
    for (enum peer peer = HAND; peer < PEERS; peer++) {
        if (!takes_part(bench, echo, peer))
            continue;
        count(&loads[peer], peer, bytes, SYSTEM_CALLS, &calls);
        count(&loads[peer], peer, bytes, INSTRUCTIONS, &instructions);
        load_close(&loads[peer]);
    }
    row_print(bench, &time);
    if (echo->family != OVER_FILTER)
        print_bar(echo, &time);
    if (calls.count[ALOOP] > 0)
        row_print(bench, &calls);
    if (instructions.count[ALOOP] > 0)
        row_print(bench, &instructions);
    bench->has_counters = bench->has_counters || calls.count[ALOOP] > 0;
}

/* Measures the memory of the server for an idle connection. */
static void run_idle(struct bench *bench)
{
    static const struct echo echo = {.connections = CONNECTIONS_MAX,
                                     .size = 1,
                                     .in_flight = 1};
    struct row row = {.work = "idle connection, bytes of user memory",
                      .aim = AIM_VALUE,
                      .limit = 200};

    if (!is_wanted(bench, row.work))
        return;
    for (enum peer peer = HAND; peer < PEERS; peer++) {
        struct load *load = &loads[peer];
        struct echo one = echo;
        int64_t before;

        if (!server_exists(bench, peer))
            continue;
        one.connections = 1;
        load_open(load, &one, peer, "x");
        before = atomic_load(&load->server.report->user_bytes);
        for (int i = 1; i < CONNECTIONS_MAX; i++)
            load->fds[i] = client_connect(&load->server);
        load->echo = &echo;
        exchange(load, "x");
        row_add(
            &row, peer,
            (double) (atomic_load(&load->server.report->user_bytes) - before) /
                (CONNECTIONS_MAX - 1));
        load_close(load);
    }
    row_print(bench, &row);
}

void bench_echo(struct bench *bench)
{
    static const struct echo echoes[] = {
        {"echo 64 B, 1 connection", 1, 64, 1, false, AIM_RATIO, 1.03, OVER_TCP},
        {"echo 64 B, 1 Unix socket", 1, 64, 1, false, AIM_RATIO, 1.03,
         OVER_UNIX},
        {"echo 64 B, 64 connections", 64, 64, 1, false, AIM_RATIO, 1.03,
         OVER_TCP},
        {"echo 64 B, 64 Unix sockets", 64, 64, 1, false, AIM_RATIO, 1.03,
         OVER_UNIX},
        {"echo 64 B, 1000 connections", 1000, 64, 1, false, AIM_RATIO, 1.03,
         OVER_TCP},
        {"echo 64 B, 1 conn., 16 in flight", 1, 64, 16, true, AIM_RATIO, 1.15,
         OVER_TCP},
        {"echo 64 B, 64 conn., 16 in flight", 64, 64, 16, true, AIM_RATIO, 1.15,
         OVER_TCP},
        {"echo 64 B, 64 Unix s., 16 in flight", 64, 64, 16, true, AIM_RATIO,
         1.15, OVER_UNIX},
        {"echo 64 B, 1000 conn., 16 in flight", 1000, 64, 16, true, AIM_RATIO,
         1.15, OVER_TCP},
        {"echo 16 KiB, 64 connections", 64, 16 * 1024, 1, false, AIM_RATIO,
         1.05, OVER_TCP},
        {"echo 16 KiB, 64 Unix sockets", 64, 16 * 1024, 1, false, AIM_RATIO,
         1.05, OVER_UNIX},
        {"echo 64 B, 64 conn., plain and filter", 64, 64, 1, false, AIM_RATIO,
         1.05, OVER_FILTER},
        {"echo 16 KiB, 64 c., plain and filter", 64, 16 * 1024, 1, false,
         AIM_RATIO, 1.3, OVER_FILTER},
    };

    for (size_t i = 0; i < sizeof echoes / sizeof *echoes; i++)
        run(bench, &echoes[i]);
    run_idle(bench);
}
