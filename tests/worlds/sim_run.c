/* Runs worlds from seeds: sim_run SEEDS [--from N] [--world NAME].
 *
 * A child process runs them one after the other, and stores its progress in
 * memory shared with the parent.  If a check, an assertion, a sanitizer or the
 * time limit ends the child, its present run has failed, and a new child
 * continues with the next run.  A single seed of a single world runs without a
 * child, for debuggers. */

#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"
#include "support/patient.h"

enum {
    SECONDS_MAX = 60, /* Real seconds for one run. */
    TWICE = 50        /* One run in this many is repeated and compared. */
};

static const struct world *const worlds[] = {
    &world_echo,    &world_chat,  &world_proxy,     &world_ends,
    &world_timers,  &world_tree,  &world_states,    &world_sync,
    &world_files,   &world_work,  &world_datagrams, &world_serve,
    &world_filters, &world_paths, &world_channels,  &world_signals,
    &world_passing, &world_names, &world_terminals,
};

enum { WORLDS = sizeof worlds / sizeof worlds[0] };

/* The progress of the child, shared with the parent. */
struct place {
    uint64_t next;     /* Next run, counted over all seeds and worlds. */
    int64_t ns;        /* Virtual time so far. */
    unsigned compared; /* Runs that were repeated. */
};

/* Arguments of the command line. */
static struct {
    uint64_t seeds;
    uint64_t from;
    const struct world *world; /* NULL: all. */
} asked = {.from = 1};

static _Noreturn void print_usage(void)
{
    fprintf(stderr, "usage: sim_run SEEDS [--from N] [--world NAME]\n"
                    "worlds:");
    for (size_t i = 0; i < WORLDS; i++)
        fprintf(stderr, " %s", worlds[i]->name);
    fprintf(stderr, "\n");
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0')
        print_usage();
    return value;
}

static void find_world(const char *name)
{
    for (size_t i = 0; i < WORLDS; i++)
        if (strcmp(worlds[i]->name, name) == 0)
            asked.world = worlds[i];
    if (asked.world == NULL)
        print_usage();
}

static void parse(int count, char **words)
{
    if (count < 2 || count % 2 != 0)
        print_usage();
    asked.seeds = number(words[1]);
    for (int i = 2; i < count; i += 2) {
        if (strcmp(words[i], "--from") == 0)
            asked.from = number(words[i + 1]);
        else if (strcmp(words[i], "--world") == 0)
            find_world(words[i + 1]);
        else
            print_usage();
    }
    if (asked.seeds == 0)
        print_usage();
}

/* Runs are numbered by seed, and within a seed by world. */

static uint64_t runs_of_seed(void)
{
    return asked.world != NULL ? 1 : WORLDS;
}

static uint64_t seed_of(uint64_t at)
{
    return asked.from + at / runs_of_seed();
}

static const struct world *world_of(uint64_t at)
{
    return asked.world != NULL ? asked.world : worlds[at % WORLDS];
}

static void run_one(struct place *place, uint64_t at)
{
    uint64_t hash;
    int64_t again_ns = 0;

    alarm((unsigned) patient_limit(SECONDS_MAX));
    hash = world_run(world_of(at), seed_of(at), &place->ns);
    if (seed_of(at) % TWICE == 1) {
        CHECK(world_run(world_of(at), seed_of(at), &again_ns) == hash);
        place->compared++;
    }
    alarm(0);
}

static void run_from(struct place *place, uint64_t end)
{
    for (; place->next < end; place->next++)
        run_one(place, place->next);
}

/* Runs the remaining runs in a child.  Returns false if the child died. */
static bool run_in_child(struct place *place, uint64_t end)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        run_from(place, end);
        exit(0); /* exit(), because leak checkers run on exit. */
    }
    if (child < 0 || patient_waitpid(child, &status, 0) != child) {
        perror("sim_run");
        exit(2);
    }
    if (place->next == end && status != 0) {
        printf("failed after its last run\n");
        exit(1);
    }
    return status == 0;
}

static uint64_t run_all(struct place *place, uint64_t end)
{
    uint64_t failed = 0;

    while (place->next < end) {
        if (run_in_child(place, end))
            continue;
        failed++;
        printf("failed: sim_run 1 --from %" PRIu64 " --world %s\n",
               seed_of(place->next), world_of(place->next)->name);
        place->next++;
    }
    return failed;
}

int main(int count, char **words)
{
    struct place *place = mmap(NULL, sizeof *place, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANON, -1, 0);
    uint64_t end, failed = 0;

    if (place == MAP_FAILED)
        return 2;
    parse(count, words);
    end = asked.seeds * runs_of_seed();
    if (end == 1)
        run_from(place, end);
    else
        failed = run_all(place, end);
    printf("sim: %" PRIu64 " seeds, %" PRId64 " virtual hours, %" PRIu64
           " failed\n",
           asked.seeds, place->ns / ALOOP_SEC(3600), failed);
    return failed == 0 ? 0 : 1;
}
