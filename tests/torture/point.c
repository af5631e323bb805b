/* Runs one point: sets the world up, lets something fail, and looks at what is
 * left when the scenario has ended. */

#define _GNU_SOURCE

#include "point.h"

#include <stdio.h>
#include <unistd.h>

enum { WAKES_SLACK = 2000, UNHANDLED_MAX = 1000 };

const struct point_call point_calls[] = {
    [CALL_MEMORY] = {"memory", {-ENOMEM}, {0}},
    [CALL_PAGES] = {"aloop__sys_pages_map", {-ENOMEM}, {0}},
    [CALL_GUARD] = {"aloop__sys_pages_guard", {-ENOMEM}, {0}},
    {"aloop__reactor_open", {-EMFILE, -ENFILE, -ENOMEM}, {0}},
    {"aloop__reactor_set", {-ENOMEM, -ENOSPC, -EPERM}, {0}},
    {"aloop__reactor_wait", {-ENOMEM}, {0}},
    {"aloop__reactor_fd", {-EMFILE, -ENOMEM}, {0}},
    {"aloop__reactor_alarm", {0}, {-ENOMEM}},
    {"aloop__reactor_renew", {-EMFILE, -ENOMEM}, {0}},
    {"aloop__sys_wake_open", {-EMFILE, -ENFILE, -ENOMEM}, {0}},
    {"aloop__sys_close", {-EINTR, -EIO}, {0}},
    {"aloop__sys_tcp_socket",
     {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EAFNOSUPPORT},
     {0}},
    {"aloop__sys_reuse_address", {-ENOBUFS, -EINVAL, -EPERM}, {0}},
    {"aloop__sys_no_delay", {-EINVAL, -ENOBUFS, -EPERM}, {0}},
    {"aloop__sys_reset_on_close", {-EINVAL}, {0}},
    {"aloop__sys_bind", {-EADDRINUSE, -EACCES, -EADDRNOTAVAIL}, {0}},
    {"aloop__sys_listen", {-EADDRINUSE}, {0}},
    {"aloop__sys_accept",
     {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -ECONNABORTED, -EPROTO, -EPERM},
     {-EAGAIN}},
    {"aloop__sys_connect",
     {-ECONNREFUSED, -ENETUNREACH, -EADDRNOTAVAIL, -EAGAIN, -ETIMEDOUT,
      -ENOBUFS},
     {0}},
    {"aloop__sys_socket_error",
     {-ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH},
     {0}},
    {"aloop__sys_local_address", {-ENOBUFS, -EINVAL}, {0}},
    {"aloop__sys_peer_address", {-ENOTCONN, -ENOBUFS}, {0}},
    {"aloop__sys_recv",
     {-ECONNRESET, -ETIMEDOUT, -ENOMEM, -ENOBUFS, -EHOSTUNREACH},
     {-EAGAIN}},
    {"aloop__sys_send",
     {-EPIPE, -ECONNRESET, -ENOBUFS, -ENOMEM, -ETIMEDOUT},
     {-EAGAIN}},
    {"aloop__sys_sendv", {-EPIPE, -ECONNRESET, -ENOBUFS, -ENOMEM}, {-EAGAIN}},
    {"aloop__sys_shutdown_write", {-ENOTCONN, -ENOBUFS}, {0}},
    {"aloop__sys_resolve",
     {ALOOP_EHOSTNOTFOUND, ALOOP_EAGAINDNS, ALOOP_ERESOLVE, -ENOMEM},
     {0}},
    {"aloop__sys_thread_start", {-EAGAIN, -ENOMEM}, {0}},
    {"aloop__sys_monitor_open", {-ENOMEM, -EAGAIN}, {0}},
    {"aloop__sys_signal_catch", {-EINVAL}, {0}},
    {"aloop__sys_complain", {0}, {-EAGAIN, -EBADF}},
};

const size_t point_calls_count = sizeof point_calls / sizeof point_calls[0];

/* This process's one run. */
static struct {
    const struct point *point;
    unsigned calls[CALLS_OWN];
    unsigned unhandled;
    int report; /* Where to say what failed; 0: standard error. */
    bool is_over; /* Nothing of the library may call any more. */
} run;

void torture_fail(const char *what)
{
    dprintf(run.report > 0 ? run.report : STDERR_FILENO, "torture: %s\n",
            what);
    _exit(1);
}

void torture_report_to(int fd)
{
    run.report = fd;
}

void torture_called(struct torture_watch *watch)
{
    torture_expect(!run.is_over, "a callback after aloop_free()");
    torture_expect(!watch->closed, watch->what);
    watch->calls++;
    torture_expect(watch->calls_max == 0 || watch->calls <= watch->calls_max,
                   watch->what);
}

bool torture_is_rehearsal(void)
{
    return run.point->nth == 0;
}

bool point_fails(enum point_own call)
{
    const struct point *point = run.point;
    unsigned n = ++run.calls[call];

    if (point->nth == 0 || point->call != (size_t) call)
        return false;
    return n == point->nth || (point->kind == KIND_FROM && n > point->nth);
}

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    torture_expect(!run.is_over && arg == &run, "a late unhandled error");
    torture_expect(error < 0 && what != NULL, "an unhandled success");
    torture_expect(++run.unhandled < UNHANDLED_MAX, "reported for ever");
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
        options->connect_now_percent = 50;
        options->wake_pair = true;
    }
    if (world == WORLD_TIGHT) {
        options->buffer_size = 2048;
        options->early_percent = 30;
        options->spurious_percent = 30;
        options->no_ipv6 = true;
    }
    sim_host("localhost", both);
    sim_host("many", many);
    sim_host_error("nobody", ALOOP_EHOSTNOTFOUND);
    sim_blackhole("fd00::9");
    sim_unreachable("10.0.0.9");
}

/* The calls that the simulation counts. */
static void make_faults(const struct point *point)
{
    const char *name = point_calls[point->call].name;

    if (point->nth == 0 || point->call < CALLS_OWN)
        return;
    if (point->kind == KIND_FROM)
        sim_fail_from(name, point->nth, point->error);
    else
        sim_fail(name, point->nth, point->error);
    for (unsigned i = 1; point->kind == KIND_BURST && i < POINT_BURST; i++)
        sim_fail(name, point->nth + i, point->error);
}

static void take_counts(struct point_counts *counts)
{
    for (size_t i = 0; i < point_calls_count; i++)
        counts->calls[i] =
            i < CALLS_OWN ? run.calls[i] : sim_calls(point_calls[i].name);
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
    if (scenario->makes_loop)
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
    sim_threads_finish(); /* Those that were left behind. */
    if (point->nth == 0) {
        snprintf(text, sizeof text, "fails without a fault: %s",
                 aloop_error_name(status));
        torture_expect(status >= 0, text);
        take_counts(counts);
    }
    point_check_memory();
    torture_expect(sim_harms() == 0, "a child changed what is its parent's");
    torture_expect(sim_mess()[0] == '\0' || point_leaves_memory(),
                   sim_mess());
    torture_expect(sim_wakes() < 2 * counts->wakes + WAKES_SLACK, "spins");
    torture_expect(aloop__sys_clock_ns() - start_ns < ALOOP_SEC(600),
                   "takes ten minutes");
    sim_end();
}
