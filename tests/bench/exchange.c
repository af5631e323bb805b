/* An echo service and its clients in one process: CPU time for each message,
 * and the memory of an idle connection. */

#define _GNU_SOURCE /* For mallinfo2() and kill(). */

#include "exchange.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IDLE = 4096 };

static const int64_t slice_ns = 8000000, quick_slice_ns = 4000000;

static const struct exchange_row {
    const char *work;
    int connections;
    size_t size;
    int in_flight;
    bool is_framed;
    enum exchange_way way;
    double limit; /* Of the ratio; 0: no aim. */
} rows[] = {
    {"turn 64 B, 1 connection", 1, 64, 1, false, BY_CALLBACK, 1.02},
    {"turn 64 B, 64 connections", 64, 64, 1, false, BY_CALLBACK, 1.01},
    {"turn 64 B, 1000 connections", 1000, 64, 1, false, BY_CALLBACK, 1.01},
    {"turn 1 KiB, 64 connections", 64, 1024, 1, false, BY_CALLBACK, 1.01},
    {"turn 16 KiB, 64 connections", 64, 16384, 1, false, BY_CALLBACK, 1.01},
    {"turn 64 KiB, 16 connections", 16, 65536, 1, false, BY_CALLBACK, 1.01},
    {"turn 64 B, framed, 16 in flight", 64, 64, 16, true, BY_CALLBACK, 1.01},
    {"turn 1 KiB, framed, 16 in flight", 64, 1024, 16, true, BY_CALLBACK, 1},
    {"turn 64 B, 64 c., awaited writes", 64, 64, 1, false, BY_WRITE, 0},
    {"turn 1 KiB, 64 c., awaited writes", 64, 1024, 1, false, BY_WRITE, 0},
    {"turn 16 KiB, 64 c., awaited writes", 64, 16384, 1, false, BY_WRITE, 0},
    {"turn 64 KiB, 16 c., awaited writes", 16, 65536, 1, false, BY_WRITE, 0},
    {"turn 64 B, 1 connection, tasks", 1, 64, 1, false, BY_TASK, 0},
    {"turn 64 B, 64 connections, tasks", 64, 64, 1, false, BY_TASK, 0},
    {"turn 64 B, 1000 connections, tasks", 1000, 64, 1, false, BY_TASK, 0},
    {"turn 1 KiB, 64 connections, tasks", 64, 1024, 1, false, BY_TASK, 0},
    {"turn 16 KiB, 64 connections, tasks", 64, 16384, 1, false, BY_TASK, 0},
    {"turn 64 KiB, 16 connections, tasks", 16, 65536, 1, false, BY_TASK, 0},
    {"turn 64 B, framed, 16 in flight, tasks", 64, 64, 16, true, BY_TASK, 0},
    {"turn 1 KiB, framed, 16 in fl., tasks", 64, 1024, 16, true, BY_TASK, 0},
};

/* Returns the CPU time of a message. */
static double measure_slice(const struct exchange_load *load, int64_t ns)
{
    int64_t begin_ns, now_ns;
    double messages = 0;

    exchange_once(load); /* Replaces the data of other peers in the caches. */
    begin_ns = cpu_ns();
    do {
        exchange_once(load);
        messages += load->connections * load->in_flight;
        now_ns = cpu_ns();
    } while (now_ns - begin_ns < ns);
    return (double) (now_ns - begin_ns) / messages;
}

/* By hand there is no other way than the callback. */
static bool begin(struct exchange_load *load, enum peer peer,
                  const struct exchange_row *of)
{
    *load = (struct exchange_load){.peer = exchange_peer_of(peer),
                                   .connections = of->connections,
                                   .size = of->size,
                                   .in_flight = of->in_flight,
                                   .is_framed = of->is_framed};
    return load->peer != NULL &&
           exchange_begin(load, peer == HAND ? BY_CALLBACK : of->way);
}

static void run(struct bench *bench, const struct exchange_row *of)
{
    struct row row = {.work = of->work,
                      .aim = of->limit > 0 ? AIM_RATIO : AIM_NONE,
                      .limit = of->limit};
    int64_t ns = bench->is_quick ? quick_slice_ns : slice_ns;
    struct exchange_load loads[PEERS];
    bool is_present[PEERS];

    if (!is_wanted(bench, of->work))
        return;
    for (enum peer peer = HAND; peer < PEERS; peer++)
        is_present[peer] = begin(&loads[peer], peer, of);
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);

            if (is_present[peer])
                row_add(&row, peer, measure_slice(&loads[peer], ns));
        }
    }
    for (enum peer peer = HAND; peer < PEERS; peer++)
        if (is_present[peer])
            exchange_end(&loads[peer]);
    row_print(bench, &row);
}

/* The clients of idle connections are in another process, because some peers
 * have arrays with an entry for each descriptor. */
static pid_t connect_all(int port)
{
    pid_t pid = fork();

    fail_if(pid < 0, "fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < IDLE; i++)
        exchange_connect(port);
    for (;;)
        pause();
}

static double allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return (double) info.uordblks + (double) info.hblkhd;
}

static void measure_idle(const void *arg, double *results)
{
    const struct exchange_peer *peer = arg;
    int port = peer->open((struct exchange_kind){.is_counted = true});
    double before;
    pid_t pid;

    peer->turn();
    before = allocated();
    pid = connect_all(port);
    while (exchange_open < IDLE)
        peer->turn();
    results[0] = (allocated() - before) / IDLE;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void run_idle(struct bench *bench)
{
    struct row row = {.work = "idle connection, 48 bytes of a user in it",
                      .aim = AIM_VALUE,
                      .limit = 180};
    struct rlimit limit;

    if (!is_wanted(bench, row.work))
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < IDLE + 64) {
        printf("%-38s skipped: it needs %d descriptors\n", row.work, IDLE + 64);
        return;
    }
    for (enum peer peer = HAND; peer < PEERS; peer++) {
        double result;

        if (exchange_peer_of(peer) != NULL &&
            in_child(measure_idle, exchange_peer_of(peer), &result, 1))
            row_add(&row, peer, result);
    }
    row_print(bench, &row);
}

void bench_exchange(struct bench *bench)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run(bench, &rows[i]);
    run_idle(bench);
}
