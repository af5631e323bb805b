/* Bursts of datagrams, with and without the system's help for runs of equal
 * size. */

#include "runs.h"

enum { BURSTS = 1000, QUICK_BURSTS = 300 };

static runs_peer *const run_peers[PEERS] = {
    [HAND] = runs_hand,
    [ALOOP] = runs_aloop,
#ifdef BENCH_UV
    [UV] = runs_uv,
#endif
};

struct runs_load {
    runs_peer *peer;
    struct runs runs;
};

static void run_load(const void *arg, double *results)
{
    const struct runs_load *load = arg;
    struct runs warm_up = load->runs;
    int64_t begin_ns;

    warm_up.bursts /= 10;
    load->peer(&warm_up);
    begin_ns = cpu_ns();
    load->peer(&load->runs);
    results[0] = (double) (cpu_ns() - begin_ns) /
                 (double) (load->runs.bursts * BURST);
}

static void measure(struct bench *bench, const char *work, bool is_equal,
                    bool is_joined)
{
    struct row row = {.work = work, .aim = AIM_UV, .limit = 1};
    size_t count = bench->is_quick ? QUICK_BURSTS : BURSTS;

    if (!is_wanted(bench, work))
        return;
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            struct runs_load load = {run_peers[peer],
                                     {is_equal, is_joined, count}};
            double result;

            if (load.peer != NULL && in_child(run_load, &load, &result, 1))
                row_add(&row, peer, result);
        }
    }
    row_print(bench, &row);
}

void bench_runs(struct bench *bench)
{
    measure(bench, "datagram of 1.2 KB, 40 of any size", false, false);
    measure(bench, "datagram of 1.2 KB, 40 sent as one", true, false);
    measure(bench, "datagram of 1.2 KB, 40 received as one", true, true);
}
