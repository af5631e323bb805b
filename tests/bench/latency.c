/* The distribution of an echo's latency at half of the load that the server by
 * hand can bear with this client: alone, with idle connections, with reads of a
 * cached file, and with timers.
 *
 * The client has a processor of its own.  It sends messages at fixed times,
 * whether or not earlier ones were answered, and the latency counts from the
 * time at which a message was to be sent.  Otherwise a server that stalls would
 * delay the messages that would show it. */

#define _GNU_SOURCE /* For setting SO_RCVTIMEO with a timeval. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"
#include "server.h"

enum { CONNECTIONS = 64, IDLE = 10000, ROUNDS_LATENCY = 5, QUICK_ROUNDS = 3 };

/* The histogram has STEPS buckets for each power of two: a value is exact to
 * 1.6 %. */
enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS, BUCKETS = 40 * STEPS };

static const int64_t warm_ns = 50000000, slice_ns = 500000000;

struct setting {
    const char *name;
    bool has_idle;
    bool has_reads;
    bool has_timers;
};

struct client {
    const struct server *server;
    const struct setting *setting;
    double rate; /* Messages per second; 0: as many as possible. */
    int epoll_fd;
    int fds[CONNECTIONS];
    int64_t due_ns[CONNECTIONS]; /* Of the message in flight. */
    /* A ring of the connections that have none. */
    int idle[CONNECTIONS];
    unsigned first, idle_count;
    long counts[BUCKETS];
    long answers;
    int64_t max_ns;
};

static size_t bucket_of(int64_t ns)
{
    uint64_t value = ns < 1 ? 1 : (uint64_t) ns;
    int bits = 63 - __builtin_clzll(value);
    size_t bucket;

    if (bits <= STEP_BITS)
        return (size_t) value;
    bucket = (size_t) (bits - STEP_BITS + 1) * STEPS +
             (size_t) (value >> (bits - STEP_BITS)) - STEPS;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* Returns the least value of a bucket. */
static double value_of(size_t bucket)
{
    size_t power = bucket / STEPS;

    if (power < 2)
        return (double) bucket;
    return (double) ((uint64_t) (bucket % STEPS + STEPS) << (power - 1));
}

/* Returns the latency that `part` of the answers did not exceed, in us. */
static double quantile(const struct client *client, double part)
{
    long left = (long) ((double) client->answers * (1 - part));
    size_t bucket = BUCKETS;

    while (bucket > 0 && left >= 0)
        left -= client->counts[--bucket];
    return value_of(bucket) / 1000;
}

static void client_open(struct client *client)
{
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    fail_if(client->epoll_fd < 0, "epoll_create1");
    for (int i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = i};

        client->fds[i] = client_connect(client->server);
        client->idle[i] = i;
        fail_if(epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->fds[i],
                          &event) < 0,
                "epoll_ctl");
    }
    client->idle_count = CONNECTIONS;
    for (int i = 0; i < IDLE && client->setting->has_idle; i++)
        (void) client_connect(client->server); /* The end closes it. */
}

static void send_next(struct client *client, int64_t due_ns)
{
    static const char message[MESSAGE_SIZE];
    int i = client->idle[client->first++ % CONNECTIONS];

    client->idle_count--;
    client->due_ns[i] = due_ns;
    client_send(client->fds[i], message, sizeof message);
}

static void receive_one(struct client *client, int i, bool is_counted)
{
    char answer[MESSAGE_SIZE];
    int64_t ns;

    client_receive(client->fds[i], answer, sizeof answer);
    client->idle[(client->first + client->idle_count++) % CONNECTIONS] = i;
    if (!is_counted)
        return;
    ns = wall_ns() - client->due_ns[i];
    client->counts[bucket_of(ns)]++;
    client->answers++;
    if (ns > client->max_ns)
        client->max_ns = ns;
}

/* Sends and receives without a wait, which would add its own latency. */
static void run(struct client *client)
{
    int64_t gap_ns = client->rate > 0 ? (int64_t) (1e9 / client->rate) : 0;
    int64_t begin_ns = wall_ns(), next_ns = begin_ns, now_ns = begin_ns;

    while (now_ns < begin_ns + warm_ns + slice_ns) {
        struct epoll_event events[CONNECTIONS];
        int count;

        for (; client->idle_count > 0 && next_ns <= now_ns; next_ns += gap_ns)
            send_next(client, gap_ns > 0 ? next_ns : now_ns);
        count = epoll_wait(client->epoll_fd, events, CONNECTIONS, 0);
        for (int i = 0; i < count; i++)
            receive_one(client, events[i].data.fd,
                        now_ns >= begin_ns + warm_ns);
        now_ns = wall_ns();
    }
}

enum { P50, P99, P999, MAX, RATE, FIGURES };

static void run_client(const void *arg, double *results)
{
    struct client *client = malloc(sizeof *client);

    fail_if(client == NULL, "malloc");
    *client = *(const struct client *) arg;
    use_other_processors();
    client_open(client);
    run(client);
    results[P50] = quantile(client, 0.5);
    results[P99] = quantile(client, 0.99);
    results[P999] = quantile(client, 0.999);
    results[MAX] = (double) client->max_ns / 1000;
    results[RATE] = (double) client->answers * 1e9 / (double) slice_ns;
}

/* Returns whether there are figures. */
static bool measure(enum peer peer, const struct setting *setting,
                    const char *path, double rate, double *results)
{
    struct server server;
    struct client client = {.server = &server,
                            .setting = setting,
                            .rate = rate};
    bool is_ok;

    if (setting->has_timers)
        server_start_with_timers(&server, peer);
    else
        server_start(&server, peer, OVER_TCP, false,
                     setting->has_reads ? path : NULL);
    is_ok = in_child(run_client, &client, results, FIGURES);
    server_stop(&server);
    return is_ok;
}

static void run_setting(struct bench *bench, const struct setting *setting,
                        const char *path, double rate)
{
    int rounds = bench->is_quick ? QUICK_ROUNDS : ROUNDS_LATENCY;
    double results[FIGURES];
    char name[48];
    struct row rows[] = {
        {.work = name, .digits = 1, .aim = AIM_UV, .limit = 1},
        {.work = "  p99", .digits = 1, .aim = AIM_UV, .limit = 1},
        {.work = "  p99.9", .digits = 1, .aim = AIM_UV, .limit = 1},
        {.work = "  maximum", .digits = 1},
    };

    snprintf(name, sizeof name, "latency%s: p50, us", setting->name);
    for (int i = 0; i < rounds; i++)
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(i, turn);

            if (!server_exists(bench, peer) ||
                !measure(peer, setting, path, rate, results))
                continue;
            for (int j = P50; j <= MAX; j++)
                row_add(&rows[j], peer, results[j]);
        }
    for (int j = P50; j <= MAX; j++)
        row_print(bench, &rows[j]);
}

void bench_latency(struct bench *bench)
{
    static const struct setting settings[] = {
        {.name = ", half load"},
        {.name = ", 10,000 idle", .has_idle = true},
        {.name = ", 1 GiB being read", .has_reads = true},
        {.name = ", 100,000 timers/s", .has_timers = true},
    };
    char path[] = "aloop_bench.XXXXXX";
    double results[FIGURES];

    if (!is_wanted(bench, "latency, half load"))
        return;
    if (!measure(HAND, &settings[0], NULL, 0, results)) {
        printf("%-38s FAILED\n", "latency");
        return;
    }
    printf("%-38s %9.0f messages/s on %d connections\n", "latency: half load",
           results[RATE] / 2, CONNECTIONS);
    make_file(path, (size_t) 1 << 30);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        run_setting(bench, &settings[i], path, results[RATE] / 2);
    unlink(path);
}
