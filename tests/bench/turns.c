/* Calls deferred to the next turn, and calls between two threads. */

#include "turns.h"

enum {
    DEFERRED = 2000000,
    BATCH = 1000,
    MANY = 1000000,
    ROUND_TRIPS = 10000,
    POSTS = 200000
};

static const struct turns_peer *const peers[PEERS] = {
    [HAND] = &turns_hand,   [ALOOP] = &turns_aloop,
#ifdef BENCH_UV
    [UV] = &turns_uv,
#endif
#ifdef BENCH_EV
    [EV] = &turns_ev,
#endif
#ifdef BENCH_EVENT
    [EVENT] = &turns_event,
#endif
};

static void defer(const void *arg, double *results)
{
    const struct turns_peer *peer = arg;
    int64_t begin_ns;

    peer->defer(DEFERRED / 10, BATCH);
    begin_ns = cpu_ns();
    peer->defer(DEFERRED, BATCH);
    results[0] = (double) (cpu_ns() - begin_ns) / DEFERRED;
}

/* All of them are queued simultaneously, in memory that is new. */
static void defer_many(const void *arg, double *results)
{
    const struct turns_peer *peer = arg;
    int64_t begin_ns = cpu_ns();

    peer->defer(MANY, MANY);
    results[0] = (double) (cpu_ns() - begin_ns) / MANY;
}

static void ping_pong(const void *arg, double *results)
{
    const struct turns_peer *peer = arg;
    int64_t begin_ns = cpu_ns();

    peer->ping_pong(ROUND_TRIPS);
    results[0] = (double) (cpu_ns() - begin_ns) / ROUND_TRIPS;
}

/* In real time, because each thread waits on a processor of its own. */
static void ping_pong_apart(const void *arg, double *results)
{
    const struct turns_peer *peer = arg;
    int64_t begin_ns;

    use_all_processors();
    begin_ns = wall_ns();
    peer->ping_pong(ROUND_TRIPS);
    results[0] = (double) (wall_ns() - begin_ns) / ROUND_TRIPS;
}

/* Of both threads. */
static void post(const void *arg, double *results)
{
    const struct turns_peer *peer = arg;
    int64_t begin_ns = cpu_ns();

    peer->post(POSTS);
    results[0] = (double) (cpu_ns() - begin_ns) / POSTS;
}

static bool has(const struct turns_peer *peer,
                void (*fn)(const void *arg, double *results))
{
    if (peer == NULL)
        return false;
    if (fn == post)
        return peer->post != NULL;
    return fn == defer || fn == defer_many ? peer->defer != NULL
                                           : peer->ping_pong != NULL;
}

static void measure(struct bench *bench, struct row *row,
                    void (*fn)(const void *arg, double *results))
{
    if (!is_wanted(bench, row->work))
        return;
    for (int i = 0; i < bench->rounds; i++) {
        for (enum peer peer = HAND; peer < PEERS; peer++) {
            double result;

            if (has(peers[peer], fn) && in_child(fn, peers[peer], &result, 1))
                row_add(row, peer, result);
        }
    }
    row_print(bench, row);
}

void bench_turns(struct bench *bench)
{
    struct row deferred = {.work = "deferred call, in batches of 1,000",
                           .aim = AIM_VALUE,
                           .limit = 6,
                           .digits = 1};
    struct row many = {.work = "deferred call, 1 M at a time",
                       .aim = AIM_VALUE,
                       .limit = 20,
                       .digits = 1};
    struct row trips = {.work = "ping-pong between two threads",
                        .aim = AIM_RATIO,
                        .limit = 1.15};
    struct row apart = {.work = "ping-pong on two processors, real time",
                        .aim = AIM_RATIO,
                        .limit = 1.02};
    struct row posts = {.work = "post to another thread, both threads",
                        .aim = AIM_VALUE,
                        .limit = 35,
                        .digits = 1};

    measure(bench, &deferred, defer);
    measure(bench, &many, defer_many);
    measure(bench, &trips, ping_pong);
    measure(bench, &apart, ping_pong_apart);
    measure(bench, &posts, post);
}
