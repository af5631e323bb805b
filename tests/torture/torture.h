/* Torture: small whole programs, which run repeatedly on the simulated system,
 * each time with another allocation or call failing.
 *
 * A scenario is such a program.  Whatever fails, it ends by itself, with an
 * error or a success.  It continues after an error where a program could, so
 * that the code after a failure is tested, too.  Objects that its tasks and
 * callbacks use are static, because each run has a process of its own. */

#ifndef TORTURE_H
#define TORTURE_H

#include "aloop.h"
#include "simulator/sim.h"

#define MS ALOOP_MS(1)

/* Ends the run as failed, and prints `what`. */
_Noreturn void torture_fail(const char *what);

static inline void torture_expect(bool is_right, const char *what)
{
    if (!is_right)
        torture_fail(what);
}

/* A callback that is checked: its owner, and whether it may run. */
struct torture_watch {
    const char *what;
    unsigned calls;
    unsigned calls_max; /* 0: no limit. */
    bool is_closed;     /* No more calls are allowed. */
};

void torture_called(struct torture_watch *watch);
/* Prints failures to `fd` from now on. */
void torture_report_to(int fd);
/* Returns whether this is the first run of a scenario, without faults. */
bool torture_is_rehearsal(void);
/* Allows objects of the scenario to be left to aloop_free(). */
void torture_leave_objects(void);
/* Allows memory to be left, too, in a program that does not clean up. */
void torture_leave_memory(void);
/* Stores `status` in *error if it is the first error. */
void torture_keep(ssize_t *error, ssize_t status);
/* Awaits `future`, for `seconds` of virtual time at most. */
ssize_t torture_await(aloop_future *future, int64_t seconds);
/* Lets virtual time pass. */
ssize_t torture_pass(aloop *loop, int64_t delay_ns);
/* Connects to a peer on a port of its own.  Returns NULL on failure, with the
 * error in *ret_peer. */
aloop_stream *torture_stream(aloop *loop, int *ret_peer);
/* Returns byte `i` of the text that every stream of bytes consists of here. */
unsigned char torture_byte(size_t i);
void torture_fill(void *bytes, size_t first, size_t size);
/* Returns whether `bytes` are those of the text from `first` on. */
bool torture_matches(const void *bytes, size_t first, size_t size);

typedef ssize_t (*torture_fn)(aloop *loop);

/* Runs a whole program by its name (scenario_programs.c). */
ssize_t torture_program(const char *name);

/* The scenarios.  A scenario that makes its own loop is given NULL. */
ssize_t torture_timers(aloop *loop);
ssize_t torture_then(aloop *loop);
ssize_t torture_tasks(aloop *loop);
ssize_t torture_on_stack(aloop *loop);
ssize_t torture_cancel(aloop *loop);
ssize_t torture_scopes(aloop *loop);
ssize_t torture_main(aloop *loop);
ssize_t torture_connect(aloop *loop);
ssize_t torture_names(aloop *loop);
ssize_t torture_look_ups(aloop *loop);
ssize_t torture_slow_names(aloop *loop);
ssize_t torture_listen(aloop *loop);
ssize_t torture_unix(aloop *loop);
ssize_t torture_tty(aloop *loop);
ssize_t torture_stdio(aloop *loop);
ssize_t torture_serve(aloop *loop);
ssize_t torture_options(aloop *loop);
ssize_t torture_adopt(aloop *loop);
ssize_t torture_pairs(aloop *loop);
ssize_t torture_filter(aloop *loop);
ssize_t torture_echo(aloop *loop);
ssize_t torture_reads(aloop *loop);
ssize_t torture_writes(aloop *loop);
ssize_t torture_pipe(aloop *loop);
ssize_t torture_splice(aloop *loop);
ssize_t torture_signals(aloop *loop);
ssize_t torture_polls(aloop *loop);
ssize_t torture_udp(aloop *loop);
ssize_t torture_posts(aloop *loop);
ssize_t torture_files(aloop *loop);
ssize_t torture_open_files(aloop *loop);
ssize_t torture_fifo(aloop *loop);
ssize_t torture_whole(aloop *loop);
ssize_t torture_later(aloop *loop);
ssize_t torture_whole_fifo(aloop *loop);
ssize_t torture_temporary(aloop *loop);
ssize_t torture_paths(aloop *loop);
ssize_t torture_attributes(aloop *loop);
ssize_t torture_offsets(aloop *loop);
ssize_t torture_dirs(aloop *loop);
ssize_t torture_copies(aloop *loop);
ssize_t torture_embed(aloop *loop);
ssize_t torture_bridge(aloop *loop);
ssize_t torture_fork(aloop *loop);
ssize_t torture_group(aloop *loop);
ssize_t torture_channel(aloop *loop);
ssize_t torture_sync(aloop *loop);
ssize_t torture_kept(aloop *loop);
ssize_t torture_work(aloop *loop);

#endif
