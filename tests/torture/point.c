/* Runs one point: sets the world up, makes a call fail, and checks what is left
 * when the scenario has ended. */

#define _GNU_SOURCE

#include "point.h"

#include <stdio.h>
#include <unistd.h>

enum { WAKES_SLACK = 2000, UNHANDLED_MAX = 1000 };

#define LIST(...) \
    { \
        __VA_ARGS__ \
    }

const struct point_call point_calls[POINT_CALLS] = {
    [POINT_MEMORY] = {"memory", {-ENOMEM}, {0}},
#define FAILS(function, lasting, passing) \
    [POINT_##function] = {"aloop__" #function, LIST lasting, LIST passing},
#include "support/sys_calls.def"
};

/* The only run of this process. */
static struct {
    const struct point *point;
    unsigned allocations;
    unsigned unhandled;
    int report;   /* Descriptor for failure messages; 0: standard error. */
    bool is_over; /* The library must not call back any more. */
} run;

void torture_fail(const char *what)
{
    dprintf(run.report > 0 ? run.report : STDERR_FILENO, "torture: %s\n", what);
    _exit(1);
}

void torture_report_to(int fd)
{
    run.report = fd;
}

void torture_called(struct torture_watch *watch)
{
    torture_expect(!run.is_over, "a callback after aloop_free()");
    torture_expect(!watch->is_closed, watch->what);
    watch->calls++;
    torture_expect(watch->calls_max == 0 || watch->calls <= watch->calls_max,
                   watch->what);
}

bool torture_is_rehearsal(void)
{
    return run.point->nth == 0;
}

bool point_memory_fails(void)
{
    const struct point *point = run.point;
    unsigned n = ++run.allocations;

    if (point->nth == 0 || point->call != POINT_MEMORY)
        return false;
    return n == point->nth || (point->kind == KIND_FROM && n > point->nth);
}

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    torture_expect(!run.is_over && arg == &run,
                   "an error is reported after aloop_free()");
    torture_expect(error < 0 && what != NULL,
                   "a success is reported as an error");
    torture_expect(++run.unhandled < UNHANDLED_MAX,
                   "too many errors are reported");
}

static void make_world(enum point_world world)
{
    static const char *const both[] = {"::1", "127.0.0.1", NULL};
    static const char *const many[] = {"fd00::9", "10.0.0.9", "10.0.0.8",
                                       "127.0.0.1", NULL};
    struct sim_options *options;

    sim_reset(world + 1);
    if (world >= WORLD_CHAOS)
        sim_chaos();
    options = sim_options();
    if (world == WORLD_SHORT) {
        options->split_percent = 50;
        options->short_send_percent = 70;
        options->short_recv_percent = 70;
        options->short_file_percent = 70;
        options->miss_percent = 50;
        options->connect_now_percent = 50;
        options->has_wake_pair = true;
    }
    if (world == WORLD_TIGHT) {
        options->buffer_size = 2048;
        options->early_percent = 30;
        options->spurious_percent = 30;
        options->has_no_ipv6 = true;
    }
    sim_host("localhost", both);
    sim_host("many", many);
    sim_host_error("unknown", ALOOP_EHOSTNOTFOUND);
    sim_blackhole("fd00::9");
    sim_unreachable("10.0.0.9");
}

/* Installs faults in calls that the simulation counts. */
static void make_faults(const struct point *point)
{
    const char *name;

    if (point->nth == 0 || point->call == POINT_MEMORY)
        return;
    name = point_calls[point->call].name;
    if (point->kind == KIND_FROM)
        sim_fail_from(name, point->nth, point->error);
    else
        sim_fail(name, point->nth, point->error);
    for (unsigned i = 1; point->kind == KIND_BURST && i < POINT_BURST; i++)
        sim_fail(name, point->nth + i, point->error);
}

static void take_counts(struct point_counts *counts)
{
    for (size_t i = 0; i < POINT_CALLS; i++)
        counts->calls[i] = i == POINT_MEMORY ? run.allocations
                                             : sim_calls(point_calls[i].name);
    counts->wakes = sim_wakes();
}

static ssize_t run_scenario(const struct point_scenario *scenario)
{
    aloop_options options = {.size = sizeof options,
                             .resize = point_resize,
                             .on_unhandled = on_unhandled,
                             .on_unhandled_arg = &run};
    aloop *loop;
    ssize_t status;

#ifdef WITH_PROGRAMS
    if (scenario->run == NULL)
        return torture_program(scenario->name);
#endif
    if (scenario->has_own_loop)
        return scenario->run(NULL);
    loop = aloop_new(&options);
    if (loop == NULL)
        return ALOOP_ENOMEM;
    status = scenario->run(loop);
    torture_expect(aloop_free(loop) == 0, "aloop_free() failed");
    return status;
}

void point_run(const struct point *point, struct point_counts *counts)
{
    int64_t start_ns;
    ssize_t status;
    char text[64];

    run.point = point;
    point_use_memory(point->world == WORLD_PLAIN);
    make_world(point->world);
    make_faults(point);
    start_ns = aloop__sys_clock_ns();
    status = run_scenario(point->scenario);
    run.is_over = true;
    sim_threads_finish(); /* Abandoned threads end here. */
    if (point->nth == 0) {
        snprintf(text, sizeof text, "fails without a fault: %s",
                 aloop_error_name(status));
        torture_expect(status >= 0, text);
        take_counts(counts);
    }
    point_check_memory();
    torture_expect(sim_harms() == 0, "a child changed its parent");
    torture_expect(sim_mess()[0] == '\0' || point_leaves_memory(), sim_mess());
    torture_expect(sim_wakes() < 2 * counts->wakes + WAKES_SLACK, "spins");
    torture_expect(aloop__sys_clock_ns() - start_ns < ALOOP_SEC(600),
                   "takes ten virtual minutes");
    sim_end();
}
