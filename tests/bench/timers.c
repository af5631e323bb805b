/* Timers: started, stopped, moved, fired.  Each measurement runs in a process
 * of its own, so that memory is in the same state. */

#include "timers.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MANY = 1000000,
    FEW = 10000,
    MOVES = 50,
    MAKES = 100000,
    FIRING_ROUNDS = 3
};

static const int64_t second_ns = 1000000000;

static const struct timers_peer *const peers[PEERS] = {
    [HAND] = &timers_hand,   [ALOOP] = &timers_aloop,
#ifdef BENCH_UV
    [UV] = &timers_uv,
#endif
#ifdef BENCH_EV
    [EV] = &timers_ev,
#endif
#ifdef BENCH_EVENT
    [EVENT] = &timers_event,
#endif
};

/* Returns random times within one second from `from_ns` on. */
static int64_t *moments(size_t count, int64_t from_ns)
{
    int64_t *when_ns = malloc(count * sizeof *when_ns);
    uint32_t state = 1;

    fail_if(when_ns == NULL, "malloc");
    for (size_t i = 0; i < count; i++)
        when_ns[i] = from_ns + (int64_t) (random_next(&state) % 1000000000);
    return when_ns;
}

static uint32_t *shuffled(size_t count)
{
    uint32_t *order = malloc(count * sizeof *order);
    uint32_t state = 2;

    fail_if(order == NULL, "malloc");
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t) i;
    for (size_t i = count; i-- > 1;) {
        size_t j = random_next(&state) % (i + 1);
        uint32_t other = order[i];

        order[i] = order[j];
        order[j] = other;
    }
    return order;
}

static size_t live; /* The number of timers of start_and_stop(). */

static void start_and_stop(const void *arg, double *results)
{
    const struct timers_peer *peer = arg;
    int64_t *when_ns = moments(live, 1000 * second_ns);
    uint32_t *order = shuffled(live);
    int64_t start_ns = 0, stop_ns = 0;
    size_t count = 0;

    peer->open(live);
    peer->start(when_ns); /* Maps all the memory. */
    peer->stop(order);
    for (; count < MANY / 4 || count < live; count += live) {
        int64_t begin_ns = cpu_ns(), middle_ns;

        peer->start(when_ns);
        middle_ns = cpu_ns();
        peer->stop(order);
        start_ns += middle_ns - begin_ns;
        stop_ns += cpu_ns() - middle_ns;
    }
    results[0] = (double) start_ns / (double) count;
    results[1] = (double) stop_ns / (double) count;
}

static void move(const void *arg, double *results)
{
    const struct timers_peer *peer = arg;
    int64_t *when_ns = moments(FEW, 1000 * second_ns);
    uint32_t *order = shuffled(FEW);
    int64_t begin_ns;

    peer->open(FEW);
    peer->start(when_ns);
    peer->move(when_ns, order, second_ns);
    begin_ns = cpu_ns();
    for (int i = 0; i < MOVES; i++)
        peer->move(when_ns, order, (i + 2) * second_ns);
    results[0] = (double) (cpu_ns() - begin_ns) / (MOVES * FEW);
    begin_ns = cpu_ns();
    peer->make(MAKES);
    results[1] = (double) (cpu_ns() - begin_ns) / MAKES;
}

/* The times are far enough in the future that the slowest peer has started all
 * timers by then. */
static void fire(const void *arg, double *results)
{
    const struct timers_peer *peer = arg;
    int64_t *when_ns = moments(MANY, second_ns);
    int64_t begin_ns;

    peer->open(MANY);
    peer->start(when_ns);
    begin_ns = cpu_ns();
    results[1] = (double) peer->fire(when_ns);
    results[0] = (double) (cpu_ns() - begin_ns) / MANY;
    if (results[1] < 0)
        results[1] = 0;
}

/* Measures two rows with one kind of child. */
static void measure(struct bench *bench, int rounds,
                    void (*fn)(const void *arg, double *results),
                    struct row *first, struct row *second)
{
    if (!is_wanted(bench, first->work) && !is_wanted(bench, second->work))
        return;
    for (int i = 0; i < rounds; i++) {
        for (enum peer peer = HAND; peer < PEERS; peer++) {
            double results[2];

            if (peers[peer] == NULL || !in_child(fn, peers[peer], results, 2))
                continue;
            row_add(first, peer, results[0]);
            row_add(second, peer, results[1]);
        }
    }
    row_print(bench, first);
    row_print(bench, second);
}

/* Starting and stopping, for each number of timers. */
static void measure_live(struct bench *bench)
{
    static const struct {
        const char *start, *stop;
        size_t live;
        int rounds, quick_rounds;
        double stop_limit; /* 0: no aim. */
    } sizes[] = {
        {"timers, 1 k live: start", "timers, 1 k live: stop at random", 1000, 7,
         3, 10},
        {"timers, 10 k live: start", "timers, 10 k live: stop at random", 10000,
         7, 3, 10},
        {"timers, 100 k live: start", "timers, 100 k live: stop at random",
         100000, 7, 3, 40},
        {"timers, 1 M live: start", "timers, 1 M live: stop at random", MANY, 7,
         3, 85},
        {"timers, 4 M live: start", "timers, 4 M live: stop at random",
         4 * (size_t) MANY, 1, 0, 0},
    };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct row start = {.work = sizes[i].start,
                            .aim = AIM_VALUE,
                            .limit = sizes[i].live == MANY ? 12 : 16,
                            .digits = 1};
        struct row stop = {.work = sizes[i].stop,
                           .aim = sizes[i].stop_limit > 0 ? AIM_VALUE
                                                          : AIM_NONE,
                           .limit = sizes[i].stop_limit,
                           .digits = 1};
        int rounds = bench->is_quick ? sizes[i].quick_rounds : sizes[i].rounds;

        live = sizes[i].live;
        if (rounds > 0)
            measure(bench, rounds, start_and_stop, &start, &stop);
    }
}

void bench_timers(struct bench *bench)
{
    struct row again = {.work = "timers, 10 k live: re-arm",
                        .aim = AIM_VALUE,
                        .limit = 4,
                        .digits = 1};
    struct row make = {.work = "timers, 10 k live: make, start, free",
                       .digits = 1};
    struct row fired = {.work = "timers, 1 M firing within 1 s",
                        .aim = AIM_VALUE,
                        .limit = 380,
                        .digits = 1};
    struct row early = {.work = "  how early at the most, ns",
                        .aim = AIM_VALUE,
                        .limit = 0};

    measure_live(bench);
    measure(bench, bench->rounds, move, &again, &make);
    measure(bench, bench->is_quick ? 1 : FIRING_ROUNDS, fire, &fired, &early);
}
