/* Runs every scenario, with each of its allocations and calls failing.
 *
 *     usage: torture [--every K] [--seconds S] [--least N] [--jobs J]
 *                    [SCENARIO[@WORLD]]
 *            torture [--seconds S] SCENARIO@WORLD KIND CALL NTH ERROR
 *
 * The first form runs all points, or each K-th, and prints how many there were
 * and how many failed.  The second form runs one point in this process, for
 * debuggers.  A point may take S seconds (10) of real time.  Fewer points than
 * N are a failure.  J processes (1) share the scenarios; the choice of points
 * does not depend on J. */

#define _GNU_SOURCE

#include "point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/patient.h"

static const struct point_scenario scenarios[] = {
    {"timers", torture_timers, false, 0},
    {"then", torture_then, false, 0},
    {"tasks", torture_tasks, false, 0},
    {"on_stack", torture_on_stack, false, 0},
    {"cancel", torture_cancel, false, 0},
    {"scopes", torture_scopes, false, 0},
#ifdef WITH_WRAPS
    {"main", torture_main, true, 0},
#endif
    {"connect", torture_connect, false, 0},
    {"names", torture_names, false, 0},
    {"look_ups", torture_look_ups, false, 0},
    {"slow_names", torture_slow_names, false, 0},
    {"unix", torture_unix, false, 0},
    {"tty", torture_tty, false, 0},
    {"stdio", torture_stdio, false, 0},
    {"serve", torture_serve, false, 0},
    {"options", torture_options, false, 0},
    {"adopt", torture_adopt, false, 0},
    {"pairs", torture_pairs, false, 0},
    {"filter", torture_filter, false, 0},
    {"listen", torture_listen, false, 0},
    {"echo", torture_echo, false, 0},
    {"reads", torture_reads, false, 0},
    {"writes", torture_writes, false, 0},
    {"pipe", torture_pipe, false, 0},
    {"splice", torture_splice, false, 0},
    {"signals", torture_signals, false, 0},
    {"polls", torture_polls, false, 0},
    {"udp", torture_udp, false, 0},
    {"posts", torture_posts, false, 0},
    {"files", torture_files, false, 0},
    {"open_files", torture_open_files, false, 0},
    {"fifo", torture_fifo, false, 0},
    {"whole", torture_whole, false, 0},
    {"later", torture_later, false, 4},
    {"whole_fifo", torture_whole_fifo, false, 0},
    {"temporary", torture_temporary, false, 0},
    {"paths", torture_paths, false, 0},
    {"attributes", torture_attributes, false, 0},
    {"offsets", torture_offsets, false, 0},
    {"dirs", torture_dirs, false, 0},
    {"copies", torture_copies, false, 0},
    {"embed", torture_embed, false, 0},
    {"bridge", torture_bridge, false, 0},
    {"fork", torture_fork, false, 0},
    {"group", torture_group, false, 0},
    {"channel", torture_channel, false, 0},
    {"sync", torture_sync, false, 0},
    {"kept", torture_kept, false, 0},
    {"work", torture_work, false, 0},
#ifdef WITH_PROGRAMS
    {"program_gather", NULL, true, 0},
    {"program_chain", NULL, true, 0},
    {"program_deadline", NULL, true, 0},
    {"program_ask", NULL, true, 0},
    {"program_embed", NULL, true, 0},
    {"program_echo", NULL, true, 2},
    {"program_fetch", NULL, true, 2},
    {"example_gather", NULL, true, 0},
    {"example_chain", NULL, true, 0},
    {"example_resolve", NULL, true, 0},
    {"example_scrape", NULL, true, 32},
    {"example_scrape_urls", NULL, true, 2},
    {"example_scrape_saved", NULL, true, 4},
    {"example_http_get", NULL, true, 4},
    {"example_scrape_interrupted", NULL, true, 32},
    {"example_chain_interrupted", NULL, true, 0},
    {"example_echo_server", NULL, true, 2},
    {"example_chat", NULL, true, 2},
    {"example_http_server", NULL, true, 2},
    {"example_http_server_slow", NULL, true, 2},
    {"example_http_server_full", NULL, true, 2},
    {"example_http_server_left", NULL, true, 2},
    {"example_http_server_file", NULL, true, 2},
    {"example_proxy", NULL, true, 2},
    {"example_echo_client", NULL, true, 2},
    {"example_echo_words", NULL, true, 0},
#endif
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0], JOBS_MAX = 64 };

static const char *const world_names[] = {"plain", "short", "tight", "chaos",
                                          "chaos2"};
static const char *const kind_names[] = {"once", "burst", "from"};

/* State shared by all processes of one run. */
struct shared {
    atomic_ulong run, failed;
    atomic_size_t next; /* Index of the next scenario and world. */
    struct point_counts counts[JOBS_MAX]; /* One for each job. */
};

static struct {
    const char *program;
    unsigned every;
    unsigned seconds;
    unsigned least;
    unsigned jobs;
    bool is_named; /* One scenario was named: run all its points. */
    unsigned long seen, run, failed; /* Of the present scenario. */
    struct point_counts *counts;     /* Written by a rehearsal. */
    struct shared *shared;
} torture = {.every = 1, .seconds = 10, .least = 1, .jobs = 1};

/* Returns the name of an error, or its number if it has no name here. */
static const char *error_text(int error)
{
    static char text[32];
    const char *name = aloop_error_name(error);

    if (strcmp(name, "EUNKNOWN") != 0)
        return name;
    snprintf(text, sizeof text, "%d", error);
    return text;
}

static void print_replay(const struct point *point)
{
    printf("replay: %s %s@%s", torture.program, point->scenario->name,
           world_names[point->world]);
    if (point->nth > 0)
        printf(" %s %s %u %s", kind_names[point->kind],
               point_calls[point->call].name, point->nth,
               error_text(point->error));
    printf("\n");
}

static bool has_passed(const struct point *point, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        printf("torture: %s\n", WTERMSIG(status) == SIGALRM
                                    ? "hangs"
                                    : strsignal(WTERMSIG(status)));
    print_replay(point);
    fflush(stdout);
    return false;
}

/* Runs a point in a child process.  Returns whether it passed. */
static bool try_point(const struct point *point)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child < 0) {
        perror("torture: fork");
        exit(1);
    }
    if (child == 0) {
        alarm(torture.seconds);
        point_run(point, torture.counts);
        _exit(0);
    }
    if (patient_waitpid(child, &status, 0) != child)
        status = -1;
    return has_passed(point, status);
}

/* Chooses one in `every` points.  A hash decides, because a fixed interval
 * would choose points of only one kind. */
static bool is_chosen(const struct point *point)
{
    uint32_t mixed = (uint32_t) torture.seen++ * UINT32_C(2654435761);
    unsigned every = torture.every;

    if (point->scenario->every > 0 && !torture.is_named)
        every *= point->scenario->every;
    return (mixed >> 8) % every == 0;
}

static void count_point(const struct point *point)
{
    if (!is_chosen(point))
        return;
    torture.run++;
    torture.failed += !try_point(point);
}

static void torture_error(struct point *point, unsigned calls,
                          enum point_kind again)
{
    for (point->nth = 1; point->nth <= calls; point->nth++) {
        point->kind = KIND_ONCE;
        count_point(point);
        point->kind = again;
        count_point(point);
    }
}

static void torture_call(struct point *point, unsigned calls)
{
    const struct point_call *call = &point_calls[point->call];

    for (size_t i = 0; i < POINT_ERRORS_MAX && call->lasting[i] != 0; i++) {
        point->error = call->lasting[i];
        torture_error(point, calls, KIND_FROM);
    }
    for (size_t i = 0; i < POINT_ERRORS_MAX && call->passing[i] != 0; i++) {
        point->error = call->passing[i];
        torture_error(point, calls, KIND_BURST);
    }
}

static void torture_scenario(const struct point_scenario *scenario,
                             enum point_world world)
{
    struct point point = {.scenario = scenario, .world = world};

    memset(torture.counts, 0, sizeof *torture.counts);
    if (!try_point(&point)) {
        torture.failed++;
        return;
    }
    for (size_t i = 0; i < POINT_CALLS; i++) {
        point.call = i;
        torture_call(&point, torture.counts->calls[i]);
    }
    printf("%s@%s: %lu points, %u allocations, %u waits\n", scenario->name,
           world_names[world], torture.run, torture.counts->calls[POINT_MEMORY],
           torture.counts->wakes);
    fflush(stdout);
}

/* Returns whether `text` names this scenario in this world. */
static bool matches_name(const char *text, size_t scenario, size_t world)
{
    size_t length = strcspn(text, "@");
    const char *name = scenarios[scenario].name;

    if (strlen(name) != length || memcmp(name, text, length) != 0)
        return false;
    return text[length] == '\0' ||
           strcmp(text + length + 1, world_names[world]) == 0;
}

static bool is_name(const char *text)
{
    for (size_t i = 0; i < SCENARIOS * WORLDS; i++)
        if (matches_name(text, i / WORLDS, i % WORLDS))
            return true;
    return false;
}

/* Runs scenarios in worlds, one after the other, until none is left. */
static void run_job(const char *which)
{
    struct shared *shared = torture.shared;
    size_t i;

    while ((i = atomic_fetch_add(&shared->next, 1)) < SCENARIOS * WORLDS) {
        if (which != NULL && !matches_name(which, i / WORLDS, i % WORLDS))
            continue;
        /* A sample takes different points of each scenario. */
        torture.seen = i * 1000;
        torture.run = 1;
        torture.failed = 0;
        torture_scenario(&scenarios[i / WORLDS],
                         (enum point_world)(i % WORLDS));
        atomic_fetch_add(&shared->run, torture.run);
        atomic_fetch_add(&shared->failed, torture.failed);
    }
}

static pid_t start_job(const char *which, unsigned number)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child != 0)
        return child;
    torture.counts = &torture.shared->counts[number];
    run_job(which);
    fflush(stdout);
    _exit(0);
}

/* Starts the other jobs, and runs points in this process as well.  It runs all
 * of them if no job can be started. */
static void run_jobs(const char *which)
{
    pid_t children[JOBS_MAX];
    int status;

    for (unsigned i = 1; i < torture.jobs; i++)
        children[i] = start_job(which, i);
    run_job(which);
    for (unsigned i = 1; i < torture.jobs; i++)
        if (children[i] > 0 &&
            (patient_waitpid(children[i], &status, 0) != children[i] ||
             status != 0)) {
            printf("torture: job %u failed\n", i);
            atomic_fetch_add(&torture.shared->failed, 1);
        }
}

static int run_all(const char *which)
{
    unsigned long run, failed;

    run_jobs(which);
    run = atomic_load(&torture.shared->run);
    failed = atomic_load(&torture.shared->failed);
    printf("torture: %lu points, %lu failed [bar: %u points, 0 failed]\n", run,
           failed, torture.least);
    return failed == 0 && run >= torture.least ? 0 : 1;
}

static int fail_usage(const char *what)
{
    fprintf(stderr,
            "torture: unknown argument: %s\n"
            "usage: torture [--every K] [--seconds S] [--least N] [--jobs J]\n"
            "               [SCENARIO[@WORLD]]\n"
            "       torture [--seconds S] SCENARIO@WORLD KIND CALL NTH ERROR\n",
            what);
    return 2;
}

static bool find_error(struct point *point, const char *text)
{
    for (size_t i = 0; i < 2 * POINT_ERRORS_MAX; i++) {
        const struct point_call *call = &point_calls[point->call];

        point->error = i < POINT_ERRORS_MAX
                           ? call->lasting[i]
                           : call->passing[i - POINT_ERRORS_MAX];
        if (point->error != 0 && strcmp(error_text(point->error), text) == 0)
            return true;
    }
    return false;
}

/* Runs the point named by SCENARIO@WORLD KIND CALL NTH ERROR. */
static int replay(char **words)
{
    struct point point = {.kind = KINDS, .call = POINT_CALLS};

    for (size_t i = 0; i < SCENARIOS * WORLDS; i++)
        if (matches_name(words[0], i / WORLDS, i % WORLDS)) {
            point.scenario = &scenarios[i / WORLDS];
            point.world = (enum point_world)(i % WORLDS);
        }
    if (point.scenario == NULL)
        return fail_usage(words[0]);
    /* The rehearsal gives the limits. */
    if (!try_point(&point))
        return 1;
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kind_names[i], words[1]) == 0)
            point.kind = (enum point_kind) i;
    for (size_t i = 0; i < POINT_CALLS; i++)
        if (strcmp(point_calls[i].name, words[2]) == 0)
            point.call = i;
    point.nth = (unsigned) strtoul(words[3], NULL, 10);
    if (point.kind == KINDS || point.call == POINT_CALLS || point.nth == 0 ||
        !find_error(&point, words[4]))
        return fail_usage("KIND, CALL, NTH or ERROR");
    alarm(torture.seconds);
    point_run(&point, torture.counts);
    printf("torture: passed\n");
    return 0;
}

/* Returns the number of words that were options. */
static int take_options(int count, char **words)
{
    int i = 1;

    while (i + 1 < count && words[i][0] == '-') {
        unsigned value = (unsigned) strtoul(words[i + 1], NULL, 10);

        if (strcmp(words[i], "--every") == 0 && value > 0)
            torture.every = value;
        else if (strcmp(words[i], "--seconds") == 0 && value > 0)
            torture.seconds = value;
        else if (strcmp(words[i], "--least") == 0)
            torture.least = value;
        else if (strcmp(words[i], "--jobs") == 0 && value > 0)
            torture.jobs = value < JOBS_MAX ? value : JOBS_MAX;
        else
            break;
        i += 2;
    }
    return i;
}

int main(int argc, char **argv)
{
    int first = take_options(argc, argv);

    torture.program = argv[0];
    torture.shared = mmap(NULL, sizeof *torture.shared, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (torture.shared == MAP_FAILED)
        return 2;
    torture.counts = &torture.shared->counts[0];
    if (argc - first == 5)
        return replay(argv + first);
    if (argc - first > 1 || (argc > first && argv[first][0] == '-'))
        return fail_usage(argv[argc - 1]);
    if (argc > first && !is_name(argv[first]))
        return fail_usage(argv[first]);
    torture.is_named = argc > first;
    return run_all(argc > first ? argv[first] : NULL);
}
