/* Soak test: a loop under mixed load for a given time, which must not need more
 * memory or descriptors at the end than after warming up.
 *
 *     usage: soak [SECONDS [OPERATIONS]]
 *
 * All results of the load are checked.  Once a second the load pauses, and the
 * resources that the process needs at rest are recorded.  Prints all samples
 * and the slopes of their second half.  Fails if a slope exceeds its bar, or if
 * memory or a descriptor is left at the end.  A soak of less than a minute has
 * no meaningful slopes, and none is printed.  On SIGINT it ends cleanly, with
 * 130.  Default: 60 seconds.
 *
 * Then it executes so many OPERATIONS on files, most of which are cancelled or
 * dropped at random, and fails if they leave a descriptor, a thread or memory.
 * Default: a million in ten minutes. */

#define _POSIX_C_SOURCE 200809L

#include "soak.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/patient.h"

enum {
    STUCK_S = 60,
    EXIT_INTERRUPTED = 130,
    OPERATIONS_PER_S = 1667 /* File operations, after the mixed load. */
};

struct soak soak;

static const char *const kind_names[SOAK_KINDS] = {
    "connections", "messages",        "look-ups",  "timers",
    "tasks",       "items",           "posts",     "signals",
    "loops",       "file operations", "datagrams",
};

static struct {
    double seconds;
    int64_t start_ns;
    bool is_interrupted;
    unsigned descriptors; /* At the last rest. */
} run;

uint64_t soak_random(uint64_t bound)
{
    return stress_random(&soak.random, bound);
}

bool soak_continues(void)
{
    while (soak.is_resting && !soak.is_over) {
        soak.busy--;
        CHECK(aloop_await(aloop_event_wait(soak.go)) == 0);
        soak.busy++;
    }
    return !soak.is_over;
}

void soak_spawn(aloop_group *group, aloop_task_fn fn, void *arg)
{
    CHECK(aloop_group_spawn(group, fn, arg) == 0);
    soak.busy++;
}

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    (void) arg;
    fprintf(stderr, "soak: unhandled error %s of %s\n", aloop_error_name(error),
            what);
    CHECK(error == 0);
}

/* Uses only functions that are safe in a handler. */
static void on_stuck(int number)
{
    static const char text[] = "soak: no progress\n";

    (void) number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

static void on_interrupt(aloop_signal *watch, int number, void *arg)
{
    (void) number;
    (void) arg;
    aloop_signal_close(watch); /* A second signal ends the process. */
    run.is_interrupted = true;
}

static double elapsed_s(void)
{
    return (double) (aloop_now(soak.loop) - run.start_ns) / 1e9;
}

static void show_progress(void)
{
    uint64_t operations = 0;

    if (!isatty(STDOUT_FILENO))
        return;
    for (int i = 0; i < SOAK_KINDS; i++)
        operations += soak.counts[i];
    printf("\rsoak: %.0f of %.0f s, %llu operations ", elapsed_s(), run.seconds,
           (unsigned long long) operations);
    fflush(stdout);
}

static void pass(int64_t delay_ns)
{
    CHECK(aloop_await(aloop_sleep(soak.loop, delay_ns)) == 0);
}

/* Waits until no operation is in progress.  Closed streams may still be sending
 * to a slow peer; the wait for these is short. */
static void rest(void)
{
    unsigned descriptors;

    soak.is_resting = true;
    CHECK(aloop_event_clear(soak.go) == 0);
    while (soak.busy > 0 || soak.served > 0 || soak.attached > 0 ||
           !soak_threads_rest())
        pass(ALOOP_MS(1));
    descriptors = stress_descriptors();
    for (int i = 0; i < 200 && descriptors > run.descriptors; i++) {
        pass(ALOOP_MS(1));
        descriptors = stress_descriptors();
    }
    run.descriptors = descriptors;
}

static void resume(void)
{
    soak.is_resting = false;
    soak_threads_resume();
    CHECK(aloop_event_set(soak.go) == 0);
}

/* Runs the load.  Samples of the first tenth are dropped, because they only
 * show the warming up. */
static void run_load(void)
{
    int64_t pause_ns = ALOOP_SEC(run.seconds < 20 ? run.seconds / 20 : 1);
    double warm_s = run.seconds / 10;

    run.start_ns = aloop_now(soak.loop);
    resume();
    while (elapsed_s() < run.seconds && !run.is_interrupted) {
        alarm((unsigned) patient_limit(STUCK_S));
        pass(pause_ns);
        rest();
        if (elapsed_s() >= warm_s)
            soak_sample(aloop_now(soak.loop) - run.start_ns);
        show_progress();
        resume();
    }
    rest();
    alarm((unsigned) patient_limit(STUCK_S));
}

static void soak_all(void)
{
    aloop_group *group = aloop_group_new(soak.loop);
    aloop_signal *interrupt;

    soak.go = aloop_event_new(soak.loop);
    soak.is_resting = true;
    CHECK(group != NULL && soak.go != NULL);
    CHECK(aloop_signal_start(soak.loop, SIGINT, on_interrupt, NULL,
                             &interrupt) == 0);
    soak_net_start(group);
    soak_udp_start(group);
    soak_tasks_start(group);
    soak_sync_start(group);
    soak_files_start(group);
    soak_timers_start();
    soak_threads_start();
    run_load();
    soak.is_over = true;
    CHECK(aloop_event_set(soak.go) == 0);
    CHECK(aloop_await(aloop_group_wait(group)) == 0);
    soak_threads_end();
    soak_timers_end();
    soak_net_end();
    soak_udp_end();
    soak_files_end();
    if (!run.is_interrupted)
        aloop_signal_close(interrupt);
    aloop_event_free(soak.go);
    aloop_group_free(group);
    run.seconds = elapsed_s();
    CHECK(aloop_run(soak.loop) == 0); /* No operation is left. */
}

static void print_counts(void)
{
    printf("%s  ", isatty(STDOUT_FILENO) ? "\n" : "");
    for (int i = 0; i < SOAK_KINDS; i++) {
        printf("%s%llu %s", i > 0 ? ", " : "",
               (unsigned long long) soak.counts[i], kind_names[i]);
        CHECK(soak.counts[i] > 0 || run.is_interrupted);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .resize = stress_resize,
                             .on_unhandled = on_unhandled};
    unsigned descriptors = stress_descriptors();
    uint64_t operations;
    bool is_right;

    run.seconds = argc > 1 ? strtod(argv[1], NULL) : 60;
    operations = argc > 2 ? strtoull(argv[2], NULL, 10)
                          : (uint64_t) (run.seconds * OPERATIONS_PER_S);
    if (argc > 3 || !(run.seconds > 0 && run.seconds < 1e6) ||
        operations == 0) {
        fputs("usage: soak [SECONDS [OPERATIONS]]\n", stderr);
        return 2;
    }
    signal(SIGALRM, on_stuck);
    soak.loop = aloop_new(&options);
    CHECK(soak.loop != NULL);
    soak_all();
    CHECK(aloop_free(soak.loop) == 0);
    print_counts();
    is_right = soak_samples_judge(run.seconds, !run.is_interrupted);
    fflush(stdout);
    CHECK(atomic_load(&stress_bytes) == 0);
    CHECK(stress_descriptors() == descriptors);
    if (run.is_interrupted)
        return EXIT_INTERRUPTED;
    alarm((unsigned) patient_limit(5 * STUCK_S));
    is_right = soak_files_alone(operations) && is_right;
    if (!is_right)
        fputs("soak grows\n", stderr);
    return !is_right;
}
