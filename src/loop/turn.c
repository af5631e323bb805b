/* One turn of the loop.
 *
 * The phases of a turn, in order; most of them are functions below:
 *
 *   1. take_batch   the work that was queued before the turn began becomes
 *                   this turn's batch
 *   2. run_timers   deadlines that have passed, earliest first
 *   3. run_batch    the batch, first in, first out
 *   4. posts        posts of other threads, and signals, whose wake-up may be
 *                   late
 *   5. flush        sends from the streams that have been written to
 *   6. prepares     calls of the application that may limit the wait
 *   7. wait         until a descriptor is ready, a deadline, a limit of a
 *                   prepare, or a wake-up; memory that was not used for a while
 *                   is freed meanwhile
 *   8. dispatch     descriptors that became ready, which includes posts and
 *                   signals; a stream whose own callback wrote to it sends
 *                   when that callback returns
 *   9. flush        sends from the streams that other callbacks wrote to
 *  10. reports      errors that no code has handled
 *  11. free         handles that were closed
 *
 * Work that any phase queues runs in the next turn, so that no chain of
 * callbacks can keep a turn from reaching the wait.  If there is such work, the
 * turn does not sleep.  If phases 4 to 11 would do nothing, and may leave out
 * the wait, the next turn begins right after phase 3; see skip.c.
 *
 * A callback may fork.  In the child it is the last callback of the turn,
 * unless it calls aloop_after_fork().  The rest of the turn's work stays
 * queued. */

#include "loop/turn.h"

#include "aloop/task.h"

#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "loop/live.h"
#include "loop/prepare.h"
#include "loop/report.h"
#include "loop/running.h"
#include "loop/skip.h"
#include "loop/timed.h"
#include "loop/trim.h"
#include "loop/wake.h"
#include "os/reactor.h"
#include "os/unwind.h"

enum {
    EVENTS_MAX = 256,
    STEP_TURNS_MAX = 256 /* Turns of a step that call nothing. */
};

/* Limits of a step inside a host, which has to wait for its own descriptors,
 * too.  Each further turn saves two waits, about 10 us. */
enum { HOSTED_TURNS_MAX = 16 };
static const int64_t hosted_ns = 100000;

enum { VAIN_LOOKS_MAX = 2, LOOKS_LEFT_OUT = 16 }; /* See plan_look(). */

/* The batch is empty, unless the last turn ended in the middle. */
static void take_batch(aloop *loop)
{
    list_append(&loop->batch, &loop->ready);
}

/* Due timers are taken first and fired afterwards; see aloop__timers_take().
 * The clock was read before. */
static void run_timers(aloop *loop)
{
    if (aloop__timers_may_be_due(&loop->timers, loop->floor_ns))
        aloop__timers_take(&loop->timers, loop->floor_ns);
    while (!list_is_empty(&loop->timers.due) && !aloop__is_foreign(loop))
        aloop__timers_fire(&loop->timers);
}

/* An item is removed before it runs, because it may free what contains it, and
 * may be queued again. */
static void run_batch(aloop *loop)
{
    while (!list_is_empty(&loop->batch) && !aloop__is_foreign(loop)) {
        struct aloop__ready *ready =
            CONTAINER_OF(loop->batch.next, struct aloop__ready, node);

        list_remove(&ready->node);
        ready->run(ready);
    }
    /* A callback has forked.  The rest goes before the next turn's work. */
    if (!list_is_empty(&loop->batch)) {
        list_append(&loop->batch, &loop->ready);
        list_append(&loop->ready, &loop->batch);
    }
}

static NOINLINE void flush_all(aloop *loop)
{
    __attribute__((cleanup(list_round_end))) struct list_round round;
    struct aloop__node *node;

    list_round_begin(&round, &loop->flushing);
    while ((node = list_pop(&round.rest)) != NULL) {
        struct aloop__ready *ready =
            CONTAINER_OF(node, struct aloop__ready, node);

        ready->run(ready);
    }
}

/* Only one round, because sending may call back and so add streams again. */
static void flush(aloop *loop)
{
    if (!list_is_empty(&loop->flushing))
        flush_all(loop);
}

/* Returns whether the turn may wait at all.
 *
 * aloop_run() waits while the loop is alive.  aloop_step() waits until it has
 * called the application, for at most the time that its caller allows, and also
 * for unreferenced handles.  If only another thread could end the wait, it does
 * not wait without a limit.  The end of aloop_main() waits only for futures. */
static bool may_wait(aloop *loop, int64_t max_wait_ns)
{
    bool is_alive = loop->live > 0 || loop->lingering > 0;

    if (max_wait_ns == 0 || loop->is_stopping || aloop__has_work(loop))
        return false;
    if (loop->is_finishing)
        return loop->called == 0 && aloop__futures_are_pending(loop);
    if (!loop->is_stepping)
        return is_alive;
    return loop->called == 0 &&
           (is_alive || max_wait_ns > 0 || aloop__handles_are_active(loop));
}

/* Returns how long the wait may last. */
static int64_t time_left(aloop *loop, int64_t max_wait_ns)
{
    int64_t when_ns, left_ns;

    if (!may_wait(loop, max_wait_ns))
        return 0;
    if (!aloop__timers_can_pass(&loop->timers))
        return max_wait_ns;
    when_ns = aloop__deadline_next(loop);
    if (when_ns == INT64_MAX)
        return max_wait_ns;
    left_ns = aloop__until(aloop__now(loop), when_ns);
    return max_wait_ns < 0 || left_ns < max_wait_ns ? left_ns : max_wait_ns;
}

/* Returns whether an event is of another descriptor than that of the loop's
 * wake-ups. */
static inline bool has_peers(const aloop *loop,
                             const struct aloop__event *events, int count)
{
    return count > 1 ||
           (count == 1 && aloop__event_fd(&events[0]) != loop->wake_fds[0]);
}

/* A function of its own, because its large array would be in the frame of
 * run_turn(). */
static int wait_and_dispatch(aloop *loop, int64_t max_wait_ns, bool is_lazy)
{
    struct aloop__event events[EVENTS_MAX];
    int64_t left_ns;
    int count;

    if (!list_is_empty(&loop->prepares))
        max_wait_ns = aloop__prepares_run(loop, max_wait_ns);
    if (aloop__is_foreign_by_pid(loop)) /* A callback has forked. */
        return ALOOP_EPERM;
    if (loop->is_renewal_due) /* It may find work for the next turn. */
        aloop__io_renew(loop);
    left_ns = time_left(loop, max_wait_ns);
    loop->has_closed_io = loop->has_new_io = false;
    count = aloop__trim_wait(loop, left_ns, events, EVENTS_MAX);
    loop->has_events = count > 0;
    if (has_peers(loop, events, count))
        loop->quiet_waits = 0;
    else if (loop->quiet_waits < QUIET_WAITS)
        loop->quiet_waits++;
    if (is_lazy) {
        loop->skipped = 0;
        loop->is_brisk = false; /* The wait may have been long. */
        loop->waited_ns = loop->floor_ns;
    }
    if (aloop__reactor_has_errors)
        aloop__io_keep_errors(loop, events, count);
    for (int i = 0; i < count; i++)
        aloop__io_dispatch(loop, &events[i]);
    return count < 0 ? count : 0;
}

/* The application is called here, at a place where nothing else is under
 * way. */
static void deliver_reports(aloop *loop)
{
    if (loop->debug != NULL)
        aloop__debug_deliver(loop);
    if (aloop__reports_are_due(loop))
        aloop__reports_deliver(loop);
}

/* A turn that is running, and the state to restore when it ends. */
struct turn {
    aloop *loop;
    aloop *outer;
    bool is_over;
};

/* The thread becomes the one that runs the loop. */
static void turn_begin(struct turn *turn)
{
    aloop *loop = turn->loop;

    loop->is_running = true;
    loop->is_stopping = false;
    loop->cached_bytes = 0;
    turn->outer = aloop__running_set(loop);
    if (loop->debug != NULL)
        aloop__debug_enter(loop);
    if (loop->is_watching_faults)
        aloop__fault_stack_enter(&loop->fault_stack);
}

/* Also runs when a callback unwinds the turn: with an exception, which ends the
 * program, or by pthread_exit().  After pthread_exit() another thread can still
 * free the loop. */
static void turn_end(struct turn *turn)
{
    aloop *loop = turn->loop;

    if (!turn->is_over) {
        aloop__unwind_stop();
        aloop__leave(loop);
        loop->io_walks = NULL; /* They were on the stack of the thread. */
        if (loop->dispatching != NULL)
            loop->dispatching->ops->unwound(loop->dispatching);
        loop->dispatching = NULL;
        aloop__wake_repeat(loop);
    }
    if (loop->is_watching_faults)
        aloop__fault_stack_leave(&loop->fault_stack);
    aloop__running_set(turn->outer);
    loop->is_running = false;
}

/* A function of its own, because most turns of a server have only events. */
static NOINLINE void run_queued(aloop *loop)
{
    if (aloop__timers_can_pass(&loop->timers))
        (void) aloop__now(loop);
    do {
        take_batch(loop);
        run_timers(loop);
        run_batch(loop);
    } while (loop->is_lazy && !aloop__is_foreign(loop) &&
             aloop__turn_is_quiet(loop) && aloop__skip_try(loop));
}

/* turn_end() is a cleanup, because a callback of the application may leave the
 * turn without returning. */
static int run_turn(aloop *loop, int64_t max_wait_ns, bool is_lazy)
{
    __attribute__((cleanup(turn_end))) struct turn turn = {.loop = loop};
    int error = 0;

    turn_begin(&turn);
    /* A step counts turns, and a debug loop measures each.  Where only a system
     * call distinguishes a forked child from its parent, each turn makes it. */
    loop->is_lazy = is_lazy && !loop->is_stepping && loop->debug == NULL &&
                    loop->is_marked;
    if (!list_is_empty(&loop->ready) || !list_is_empty(&loop->batch) ||
        aloop__timers_can_pass(&loop->timers) ||
        !list_is_empty(&loop->timers.due))
        run_queued(loop);
    if (aloop__has_posts(loop))
        aloop__wake_hooks_run(loop);
    flush(loop);
    if (!is_lazy || !aloop__skip_try(loop))
        error = wait_and_dispatch(loop, max_wait_ns, is_lazy);
    flush(loop);
    deliver_reports(loop);
    if (!list_is_empty(&loop->closed))
        aloop__handles_free_closed(loop);
    turn.is_over = true;
    return error;
}

int aloop__turn(aloop *loop, int64_t max_wait_ns, bool is_lazy)
{
    if (aloop__is_foreign_by_pid(loop))
        return ALOOP_EPERM;
    return run_turn(loop, max_wait_ns, is_lazy);
}

/* Returns whether a turn without a wait would have something to do now. */
static bool is_due(aloop *loop)
{
    return !list_is_empty(&loop->ready) ||
           aloop__timers_next(&loop->timers) <= aloop__now(loop);
}

/* Decides whether a step inside a host looks for events once more, after it has
 * called those who waited for some, and counts the look or its omission.  What
 * they did may have caused the next events, as between two streams of the same
 * loop, and the look is cheaper than a return to the host.  If the last looks
 * found nothing, most are left out. */
static bool plan_look(aloop *loop)
{
    if (!loop->has_events)
        return false;
    if (loop->vain_looks < VAIN_LOOKS_MAX)
        return true;
    return ++loop->vain_looks == VAIN_LOOKS_MAX + LOOKS_LEFT_OUT;
}

static void note_look(aloop *loop)
{
    if (loop->has_events)
        loop->vain_looks = 0;
    else if (loop->vain_looks < VAIN_LOOKS_MAX)
        loop->vain_looks++;
    else
        loop->vain_looks = VAIN_LOOKS_MAX;
}

/* The step of a host, which does not wait.  The alarm is set once, at its
 * end. */
static NOINLINE int run_hosted(aloop *loop)
{
    int64_t begin_ns = aloop__now(loop);
    int error = aloop__turn(loop, 0, false);

    loop->skipped = 0;
    loop->waited_ns = begin_ns;
    for (int i = 1; i < HOSTED_TURNS_MAX && error == 0; i++) {
        bool is_look = false;

        if (loop->is_stopping ||
            (!aloop__host_is_due(loop) && !(is_look = plan_look(loop))) ||
            aloop__until(begin_ns, aloop__now(loop)) >= hosted_ns)
            break;
        error = aloop__turn(loop, 0, true);
        if (is_look)
            note_look(loop);
    }
    return error;
}

/* Runs turns until the application has been called, or nothing is due.  The
 * event that ended the wait may need a few turns for that: a deadline settles a
 * future, which resumes a task.  Work that queues itself, as that of a filter
 * with endless output does, would otherwise keep the step from returning. */
static NOINLINE int run_until_called(aloop *loop)
{
    int error = 0;

    for (int i = 0; i < STEP_TURNS_MAX && error == 0 && loop->called == 0 &&
                    !loop->is_stopping && is_due(loop);
         i++)
        error = aloop__turn(loop, 0, false);
    return error;
}

/* A wait until a deadline that is too early would end the step with nothing to
 * call.  Therefore the deadlines are corrected first, by turns that do not
 * wait.  If a signal has interrupted the wait, it is left to the next step,
 * which does not wait. */
static int run_with_wait(aloop *loop, int64_t max_wait_ns)
{
    int error = 0;

    while (error == 0 && loop->called == 0 &&
           !aloop__timers_correct(&loop->timers))
        error = aloop__turn(loop, 0, false);
    if (error == 0 && loop->called == 0)
        error = aloop__turn(loop, max_wait_ns, false);
    if (error == 0 && loop->called == 0)
        error = run_until_called(loop);
    return error;
}

/* The thread does not run the loop any more.  Its host may have to wait for
 * something else than before. */
static void leave_loop(aloop *loop)
{
    aloop__leave(loop);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

int aloop_step(aloop *loop, int64_t max_wait_ns)
{
    int error = aloop__check_loop(loop, __func__), cancellation;

    if (error < 0)
        return error;
    if (loop->is_running)
        return ALOOP_EBUSY;
    cancellation = aloop__cancel_disable();
    loop->thread = aloop__sys_thread_self();
    loop->is_stepping = true;
    loop->called = 0;
    if (max_wait_ns != 0)
        error = run_with_wait(loop, max_wait_ns);
    else if (loop->is_embedded)
        error = run_hosted(loop);
    else
        error = aloop__turn(loop, 0, false);
    loop->is_stepping = loop->is_stopping = false;
    leave_loop(loop);
    aloop__cancel_restore(cancellation);
    return error < 0 ? error : aloop__is_alive(loop);
}

int aloop_run(aloop *loop)
{
    int error = aloop__check_loop(loop, __func__), cancellation;
    bool is_stopped;

    if (error < 0)
        return error;
    if (loop->is_running)
        return ALOOP_EBUSY;
    cancellation = aloop__cancel_disable();
    loop->thread = aloop__sys_thread_self();
    loop->is_stopping = loop->was_stopped;
    loop->was_stopped = false;
    while (error == 0 && !loop->is_stopping && aloop__is_alive(loop))
        error = aloop__turn(loop, -1, true);
    is_stopped = loop->is_stopping;
    loop->is_stopping = false;
    leave_loop(loop);
    aloop__cancel_restore(cancellation);
    return error < 0 ? error : is_stopped;
}
