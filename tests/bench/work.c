/* Functions on other threads: the way there and back, one at a time and many at
 * a time. */

#include "work.h"

enum { JOBS = 20000, BATCH = 32 };

static const work_peer *const peers[PEERS] = {
    [HAND] = &work_hand,
    [ALOOP] = &work_aloop,
#ifdef BENCH_UV
    [UV] = &work_uv,
#endif
};

struct load {
    const work_peer *peer;
    size_t batch;
};

/* The first functions start the threads. */
static void run_load(const void *arg, double *results)
{
    const struct load *load = arg;
    int64_t begin_ns = cpu_ns();

    (*load->peer)(JOBS, load->batch);
    results[0] = (double) (cpu_ns() - begin_ns) / JOBS;
}

static void measure(struct bench *bench, const char *work, size_t batch)
{
    struct row row = {.work = work, .aim = AIM_UV, .limit = 1};

    if (!is_wanted(bench, work))
        return;
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            struct load load = {peers[peer], batch};
            double result;

            if (load.peer != NULL && in_child(run_load, &load, &result, 1))
                row_add(&row, peer, result);
        }
    }
    row_print(bench, &row);
}

void bench_work(struct bench *bench)
{
    measure(bench, "function on a thread, one at a time", 1);
    measure(bench, "function on a thread, 32 at a time", BATCH);
}
