/* Datagrams: senders and receivers in one process, as in the benchmark
 * udp_pummel of libuv. */

#include "datagrams.h"

enum { DATAGRAMS = 8000, QUICK_DATAGRAMS = 4000 };

static datagrams_peer *const peers[PEERS] = {
    [HAND] = datagrams_hand,
    [ALOOP] = datagrams_aloop,
#ifdef BENCH_UV
    [UV] = datagrams_uv,
#endif
};

struct load {
    datagrams_peer *peer;
    struct datagrams datagrams;
};

static void run_load(const void *arg, double *results)
{
    const struct load *load = arg;
    struct datagrams warm_up = load->datagrams;
    int64_t begin_ns;

    warm_up.count /= 10;
    load->peer(&warm_up);
    begin_ns = cpu_ns();
    load->peer(&load->datagrams);
    results[0] = (double) (cpu_ns() - begin_ns) /
                 (double) load->datagrams.count;
}

static void measure(struct bench *bench, const char *work, int senders,
                    int receivers)
{
    struct row row = {.work = work, .aim = AIM_UV, .limit = 1};
    size_t count = bench->is_quick ? QUICK_DATAGRAMS : DATAGRAMS;

    if (!is_wanted(bench, work))
        return;
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            struct load load = {peers[peer], {senders, receivers, count}};
            double result;

            if (load.peer != NULL && in_child(run_load, &load, &result, 1))
                row_add(&row, peer, result);
        }
    }
    row_print(bench, &row);
}

void bench_datagrams(struct bench *bench)
{
    measure(bench, "datagram, 1 sender, 1 receiver", 1, 1);
    measure(bench, "datagram, 100 senders, 1 receiver", 100, 1);
    measure(bench, "datagram, 1 sender, 100 receivers", 1, 100);
    measure(bench, "datagram, 100 senders, 100 receivers", 100, 100);
}
