/* Soak: a loop under mixed load for as long as asked, which must not need more
 * memory or descriptors at its end than it did when it was warm.
 *
 *     usage: soak [SECONDS]
 *
 * Everything that the load sends, waits for or counts is checked.  Once a
 * second the load rests, and what the process then needs is noted.  Prints all
 * samples, the slopes of their second half, and fails where one is above its
 * bar, or where a byte or descriptor is left at the end.  Less than a minute
 * has no slopes that mean anything, and none is printed.  Ends cleanly, with
 * 130, on SIGINT.  Default: 60 seconds. */

#define _POSIX_C_SOURCE 200809L

#include "soak.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/patient.h"

enum { STUCK_S = 60, EXIT_INTERRUPTED = 130 };

struct soak soak;

static const char *const kind_names[SOAK_KINDS] = {
    "connections", "messages", "look-ups", "timers", "tasks",
    "items",       "posts",    "signals",  "loops"};

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

bool soak_goes_on(void)
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
    fprintf(stderr, "soak: nobody looked at %s of %s\n",
            aloop_error_name(error), what);
    CHECK(error == 0);
}

/* Only what a handler may call. */
static void on_stuck(int number)
{
    static const char text[] = "soak: stuck\n";

    (void) number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

static void on_interrupt(aloop_signal *watch, int number, void *arg)
{
    (void) number;
    (void) arg;
    aloop_signal_close(watch); /* A second one ends it at once. */
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
    printf("\rsoak: %.0f of %.0f s, %llu operations ", elapsed_s(),
           run.seconds, (unsigned long long) operations);
    fflush(stdout);
}

static void pass(int64_t delay_ns)
{
    CHECK(aloop_await(aloop_sleep(soak.loop, delay_ns)) == 0);
}

/* Until nothing is under way.  Closed streams may still be sending what the
 * peer was slow to take, and are waited for a little. */
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

static void go_on(void)
{
    soak.is_resting = false;
    soak_threads_go();
    CHECK(aloop_event_set(soak.go) == 0);
}

/* The samples of the first tenth tell of the warming up only. */
static void conduct(void)
{
    int64_t pause_ns = ALOOP_SEC(run.seconds < 20 ? run.seconds / 20 : 1);
    double warm_s = run.seconds / 10;

    run.start_ns = aloop_now(soak.loop);
    go_on();
    while (elapsed_s() < run.seconds && !run.is_interrupted) {
        alarm((unsigned) patient_limit(STUCK_S));
        pass(pause_ns);
        rest();
        if (elapsed_s() >= warm_s)
            soak_sample(aloop_now(soak.loop) - run.start_ns);
        show_progress();
        go_on();
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
    soak_tasks_start(group);
    soak_sync_start(group);
    soak_timers_start();
    soak_threads_start();
    conduct();
    soak.is_over = true;
    CHECK(aloop_event_set(soak.go) == 0);
    CHECK(aloop_await(aloop_group_wait(group)) == 0);
    soak_threads_end();
    soak_timers_end();
    soak_net_end();
    if (!run.is_interrupted)
        aloop_signal_close(interrupt);
    aloop_event_free(soak.go);
    aloop_group_free(group);
    run.seconds = elapsed_s();
    CHECK(aloop_run(soak.loop) == 0); /* Nothing is left to wait for. */
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
    bool is_right;

    run.seconds = argc > 1 ? strtod(argv[1], NULL) : 60;
    if (argc > 2 || !(run.seconds > 0 && run.seconds < 1e6)) {
        fputs("usage: soak [SECONDS]\n", stderr);
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
    if (!is_right)
        fputs("soak grows\n", stderr);
    return !is_right;
}
