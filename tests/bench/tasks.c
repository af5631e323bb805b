/* Tasks: spawned and joined, yielding, awaiting each other, and very many
 * simultaneously.  The other peers have no tasks; by hand, only the context
 * switch is measured. */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <aloop.h>

enum {
    CALLS = 200000,
    GROUP = 1000,
    CROWD = 10000,
    MANY = 1000000,
    QUICK_MANY = 100000
};

struct results {
    double join_ns;
    double gather_ns;
    double yield_ns;
    double crowd_ns; /* A yield among CROWD tasks. */
    double pong_ns;
};

static ssize_t nothing(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

static double join_each(aloop *loop)
{
    int64_t begin_ns = cpu_ns();

    for (int i = 0; i < CALLS; i++)
        aloop_await(aloop_spawn(loop, nothing, NULL));
    return (double) (cpu_ns() - begin_ns) / CALLS;
}

/* Does the same with many tasks at a time. */
static double join_group(aloop *loop)
{
    aloop_future *tasks[GROUP];
    int64_t begin_ns = cpu_ns();

    for (int i = 0; i < CALLS / GROUP; i++) {
        for (int j = 0; j < GROUP; j++)
            tasks[j] = aloop_spawn(loop, nothing, NULL);
        for (int j = 0; j < GROUP; j++)
            aloop_await(tasks[j]);
    }
    return (double) (cpu_ns() - begin_ns) / CALLS;
}

static ssize_t yield_often(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < CALLS / 10; i++)
        aloop_yield(loop);
    return 0;
}

static double yield_in_turn(aloop *loop)
{
    aloop_future *tasks[10];
    int64_t begin_ns = cpu_ns();

    for (int i = 0; i < 10; i++)
        tasks[i] = aloop_spawn(loop, yield_often, NULL);
    for (int i = 0; i < 10; i++)
        aloop_await(tasks[i]);
    return (double) (cpu_ns() - begin_ns) / CALLS;
}

static ssize_t yield_rarely(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < CALLS / CROWD; i++)
        aloop_yield(loop);
    return 0;
}

/* Their stacks do not fit into the caches.  The cost of spawning them is not
 * included. */
static double yield_in_crowd(aloop *loop)
{
    static aloop_future *tasks[CROWD];
    int64_t begin_ns;

    for (int i = 0; i < CROWD; i++)
        tasks[i] = aloop_spawn(loop, yield_rarely, NULL);
    aloop_yield(loop);
    begin_ns = cpu_ns();
    for (int i = 0; i < CROWD; i++)
        aloop_await(tasks[i]);
    return (double) (cpu_ns() - begin_ns) / CALLS;
}

/* Two tasks, each of which waits for a promise that the other one resolves. */
struct table {
    aloop_future *promises[2];
};

struct player {
    struct table *table;
    int own;
};

static ssize_t play(aloop *loop, void *arg)
{
    struct player *player = arg;
    aloop_future **own = &player->table->promises[player->own];
    aloop_future **other = &player->table->promises[1 - player->own];

    for (int i = 0; i < CALLS / 2; i++) {
        aloop_await(aloop_future_ref(*own));
        aloop_future_unref(*own);
        *own = aloop_future_new(loop);
        aloop_future_resolve(*other, 0);
    }
    return 0;
}

static double ping_pong(aloop *loop)
{
    struct table table = {{aloop_future_new(loop), aloop_future_new(loop)}};
    struct player players[2] = {{&table, 0}, {&table, 1}};
    aloop_future *tasks[2];
    int64_t begin_ns = cpu_ns();

    for (int i = 0; i < 2; i++)
        tasks[i] = aloop_spawn(loop, play, &players[i]);
    aloop_future_resolve(table.promises[0], 0);
    for (int i = 0; i < 2; i++)
        aloop_await(tasks[i]);
    for (int i = 0; i < 2; i++)
        aloop_future_unref(table.promises[i]);
    return (double) (cpu_ns() - begin_ns) / CALLS;
}

static ssize_t run_short(aloop *loop, void *arg)
{
    struct results *results = arg;

    join_group(loop); /* Warm up. */
    results->join_ns = join_each(loop);
    results->gather_ns = join_group(loop);
    results->yield_ns = yield_in_turn(loop);
    results->pong_ns = ping_pong(loop);
    results->crowd_ns = yield_in_crowd(loop);
    return 0;
}

static void measure_short(const void *arg, double *results)
{
    struct results got;

    (void) arg;
    aloop_main(run_short, &got);
    results[0] = got.join_ns;
    results[1] = got.gather_ns;
    results[2] = got.yield_ns;
    results[3] = got.pong_ns;
    results[4] = got.crowd_ns;
}

/* Returns the bytes of memory that this process has in use.  Page tables belong
 * to the kernel and are not included. */
static double resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;

    fail_if(file == NULL, "opening /proc/self/statm");
    fail_if(fscanf(file, "%*d %ld", &pages) != 1, "reading statm");
    fclose(file);
    return (double) pages * (double) sysconf(_SC_PAGESIZE);
}

/* Returns the bytes of the page tables of this process. */
static double page_tables(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long kib = -1;

    fail_if(file == NULL, "opening /proc/self/status");
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmPTE:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    fclose(file);
    return (double) kib * 1024;
}

struct crowd {
    size_t count;
    size_t parked;
    aloop_future *promise; /* Awaited by all tasks. */
    aloop_future **tasks;
    double *results;
};

static ssize_t park(aloop *loop, void *arg)
{
    struct crowd *crowd = arg;

    (void) loop;
    crowd->parked++;
    return aloop_await(aloop_future_ref(crowd->promise));
}

static ssize_t run_crowd(aloop *loop, void *arg)
{
    struct crowd *crowd = arg;
    double before = resident(), tables = page_tables();
    int64_t begin_ns = cpu_ns();

    crowd->promise = aloop_future_new(loop);
    for (size_t i = 0; i < crowd->count; i++)
        crowd->tasks[i] = aloop_spawn(loop, park, crowd);
    while (crowd->parked < crowd->count && aloop_yield(loop) == 0)
        continue;
    crowd->results[0] = (double) (cpu_ns() - begin_ns) / (double) crowd->count;
    crowd->results[1] = (resident() - before) / (double) crowd->count;
    crowd->results[2] = (page_tables() - tables) / (double) crowd->count;
    begin_ns = cpu_ns();
    for (size_t i = 0; i < crowd->count; i++)
        aloop_cancel(crowd->tasks[i]);
    for (size_t i = 0; i < crowd->count; i++)
        if (aloop_await(crowd->tasks[i]) != ALOOP_EABORTED)
            return -1;
    aloop_future_unref(crowd->promise);
    crowd->results[3] = (double) (cpu_ns() - begin_ns) / (double) crowd->count;
    return 0;
}

static void measure_crowd(const void *arg, double *results)
{
    struct crowd crowd = {.count = *(const size_t *) arg, .results = results};

    crowd.tasks = malloc(crowd.count * sizeof *crowd.tasks);
    fail_if(crowd.tasks == NULL, "malloc");
    memset(crowd.tasks, 1, crowd.count * sizeof *crowd.tasks);
    if (aloop_main(run_crowd, &crowd) != 0)
        _exit(1);
}

static void bench_crowd(struct bench *bench)
{
    size_t count = bench->is_quick ? QUICK_MANY : MANY;
    char name[4][48];
    struct row rows[4] = {{.work = name[0]},
                          {.work = name[1], .aim = AIM_VALUE, .limit = 4300},
                          {.work = name[2], .aim = AIM_VALUE, .limit = 130},
                          {.work = name[3]}};
    double results[4];
    long pages = sysconf(_SC_AVPHYS_PAGES);

    snprintf(name[0], sizeof name[0], "%zu k tasks: spawn and park",
             count / 1000);
    snprintf(name[1], sizeof name[1], "%zu k tasks parked: bytes each",
             count / 1000);
    snprintf(name[2], sizeof name[2], "%zu k tasks: page tables each",
             count / 1000);
    snprintf(name[3], sizeof name[3], "%zu k tasks: cancel and join",
             count / 1000);
    if (!is_wanted(bench, name[0]))
        return;
    if ((double) pages * (double) sysconf(_SC_PAGESIZE) < 7e3 * (double) count)
        printf("%-38s skipped: not enough memory\n", name[0]);
    else if (!in_child(measure_crowd, &count, results, 4))
        printf("%-38s FAILED\n", name[0]);
    else
        for (int i = 0; i < 4; i++) {
            row_add(&rows[i], ALOOP, results[i]);
            row_print(bench, &rows[i]);
        }
}

void bench_tasks(struct bench *bench)
{
    struct row rows[5] = {
        {.work = "task: spawn, run, join; one at a time",
         .digits = 1,
         .aim = AIM_VALUE,
         .limit = 60},
        {.work = "task: spawn, run, join; 1,000 at a time",
         .digits = 1,
         .aim = AIM_VALUE,
         .limit = 60},
        {.work = "task: yield", .digits = 1},
        {.work = "task: await a promise, ping-pong", .digits = 1},
        {.work = "task: yield among 10 k",
         .digits = 1,
         .aim = AIM_VALUE,
         .limit = 50},
    };
    double results[5];

    if (is_wanted(bench, rows[0].work) || is_wanted(bench, rows[2].work)) {
        for (int i = 0; i < bench->rounds; i++) {
            if (!in_child(measure_short, NULL, results, 5))
                continue;
            for (int j = 0; j < 5; j++)
                row_add(&rows[j], ALOOP, results[j]);
        }
        for (int j = 0; j < 5; j++)
            row_print(bench, &rows[j]);
    }
    bench_crowd(bench);
}
