/* Short connections: connect, exchange a byte, close. */

#include "server.h"

#include <unistd.h>

enum { BATCH_MAX = 64 };

static const int64_t slice_ns = 30000000, quick_slice_ns = 15000000;

/* Connects in batches: with a large one, several connections are waiting in the
 * server. */
static double churn_for(struct server *server, int batch, int64_t ns)
{
    int64_t end_ns = wall_ns() + ns;
    double connections = 0;
    int fds[BATCH_MAX];
    char byte;

    do {
        for (int i = 0; i < batch; i++) {
            fds[i] = client_connect(server);
            client_send(fds[i], "x", 1);
        }
        for (int i = batch; i-- > 0;) {
            client_receive(fds[i], &byte, 1);
            close(fds[i]);
        }
        connections += batch;
    } while (wall_ns() < end_ns);
    return connections;
}

static void count(struct server *server, int batch, enum peer peer,
                  struct row *row)
{
    double before = server_counted(server, SYSTEM_CALLS);
    double connections = churn_for(server, batch, 5000000);
    double after = server_counted(server, SYSTEM_CALLS);

    if (before >= 0 && after > before)
        row_add(row, peer, (after - before) / connections);
}

static void run(struct bench *bench, const char *work, int batch)
{
    struct row row = {.work = work, .aim = AIM_RATIO, .limit = 1.05};
    struct row calls = {.work = "  system calls per connection", .digits = 2};
    int64_t ns = bench->is_quick ? quick_slice_ns : slice_ns;
    struct server servers[PEERS];

    if (!is_wanted(bench, row.work))
        return;
    for (enum peer peer = HAND; peer < PEERS; peer++) {
        if (!server_echoes(bench, peer))
            continue;
        server_start(&servers[peer], peer, OVER_TCP, false, NULL);
        churn_for(&servers[peer], batch, 5000000);
        count(&servers[peer], batch, peer, &calls);
    }
    for (int i = 0; i < bench->rounds; i++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(i, turn);
            int64_t before_ns;
            double connections;

            if (!server_echoes(bench, peer))
                continue;
            before_ns = server_cpu_ns(&servers[peer]);
            connections = churn_for(&servers[peer], batch, ns);
            row_add(&row, peer,
                    (double) (server_cpu_ns(&servers[peer]) - before_ns) /
                        connections);
        }
    }
    for (enum peer peer = HAND; peer < PEERS; peer++)
        if (server_echoes(bench, peer))
            server_stop(&servers[peer]);
    row_print(bench, &row);
    if (calls.count[ALOOP] > 0)
        row_print(bench, &calls);
}

void bench_churn(struct bench *bench)
{
    run(bench, "connect, one byte, close", BATCH_MAX);
    run(bench, "connect, one byte, close; one by one", 1);
}
