/* Torture: small whole programs, run again and again on the simulated system,
 * each time with another allocation or call failing.
 *
 * A scenario is such a program.  Whatever fails, it ends by itself, with an
 * error or a success; it goes on after an error where a program could, so that
 * what comes after a failure is seen too.  What its tasks and callbacks touch
 * is static: each run has a process of its own. */

#ifndef TORTURE_H
#define TORTURE_H

#include "aloop.h"
#include "simulator/sim.h"

#define MS ALOOP_MS(1)

/* Ends the run as failed, saying `what`. */
_Noreturn void torture_fail(const char *what);

static inline void torture_expect(bool is_right, const char *what)
{
    if (!is_right)
        torture_fail(what);
}

/* What is known of a callback: whose it is, and whether it may run. */
struct torture_watch {
    const char *what;
    unsigned calls;
    unsigned calls_max; /* 0: no limit. */
    bool closed;        /* No more calls from now on. */
};

void torture_called(struct torture_watch *watch);
/* What failed is said there from now on. */
void torture_report_to(int fd);
/* Whether this is the first, fault-free run of a scenario. */
bool torture_is_rehearsal(void);
/* What the scenario made is left to aloop_free(). */
void torture_leave_objects(void);
/* What was allocated may be left, too: a program that does not clean up. */
void torture_leave_memory(void);
/* Remembers the first error. */
void torture_keep(ssize_t *error, ssize_t status);
/* Awaits `future`, for no longer than `seconds` of the world's time. */
ssize_t torture_await(aloop_future *future, int64_t seconds);
/* Lets time pass; what goes on goes on. */
ssize_t torture_pass(aloop *loop, int64_t delay_ns);
/* Connects to a peer on a port of its own.  NULL: *ret_peer holds the error. */
aloop_stream *torture_stream(aloop *loop, int *ret_peer);
/* Byte i of what every stream of bytes here consists of. */
unsigned char torture_byte(size_t i);
void torture_fill(void *bytes, size_t first, size_t size);
/* Whether they are the bytes from `first` on. */
bool torture_matches(const void *bytes, size_t first, size_t size);

typedef ssize_t (*torture_fn)(aloop *loop);

/* A whole program by its name; scenario_programs.c. */
ssize_t torture_program(const char *name);

/* The scenarios; one that makes its own loop is given NULL. */
ssize_t torture_timers(aloop *loop);
ssize_t torture_then(aloop *loop);
ssize_t torture_tasks(aloop *loop);
ssize_t torture_on_stack(aloop *loop);
ssize_t torture_cancel(aloop *loop);
ssize_t torture_scopes(aloop *loop);
ssize_t torture_main(aloop *loop);
ssize_t torture_connect(aloop *loop);
ssize_t torture_names(aloop *loop);
ssize_t torture_slow_names(aloop *loop);
ssize_t torture_listen(aloop *loop);
ssize_t torture_echo(aloop *loop);
ssize_t torture_reads(aloop *loop);
ssize_t torture_writes(aloop *loop);
ssize_t torture_pipe(aloop *loop);
ssize_t torture_signals(aloop *loop);
ssize_t torture_posts(aloop *loop);
ssize_t torture_embed(aloop *loop);
ssize_t torture_fork(aloop *loop);
ssize_t torture_group(aloop *loop);
ssize_t torture_channel(aloop *loop);
ssize_t torture_sync(aloop *loop);
ssize_t torture_kept(aloop *loop);

#endif
