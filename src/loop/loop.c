/* Creation and destruction of a loop, its adoption after a fork, and its simple
 * public functions.
 *
 * This is the top of src/loop: it knows all parts of a loop, and none of them
 * knows this file.  The parts begin in the order of aloop_new().  aloop_free()
 * ends them in four steps, each of which may rely on what the later ones still
 * have:
 *
 *     end_futures()        runs turns, in which tasks clean up and end
 *     reports              the last calls of the application
 *     end_loop()           closes and frees objects, without further turns
 *     destroy_loop()       frees the memory of the loop itself
 *
 * In a forked child that has not adopted the loop, the first two are left
 * out. */

#include "aloop/fork.h"
#include "loop/buffers.h"
#include "loop/clock.h"
#include "loop/data.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "loop/live.h"
#include "loop/loop_options.h"
#include "loop/pool.h"
#include "loop/post.h"
#include "loop/quarantine.h"
#include "loop/report.h"
#include "loop/timed.h"
#include "loop/turn.h"
#include "loop/wake.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "os/unwind.h"

enum {
    STALLED_TURNS_MAX = 10000, /* Turns of aloop_free() without progress. */
    FREE_TURNS_MAX = 100000    /* Turns in which only tasks end. */
};

/* Allocates and frees whole pages.  malloc() would keep most of its memory
 * while anything that was allocated later is in use. */
static void *resize_pages(void *context, void *old, size_t old_size,
                          size_t size)
{
    (void) context;
    if (size == CHUNK_SIZE_HUGE)
        return aloop__sys_pages_map_huge(size);
    if (size > 0)
        return aloop__sys_pages_map(size);
    aloop__sys_pages_unmap(old, old_size);
    return NULL;
}

static const struct aloop__alloc page_alloc = {resize_pages, NULL};

static void init_lists(aloop *loop)
{
    list_init(&loop->ready);
    list_init(&loop->batch);
    list_init(&loop->flushing);
    list_init(&loop->handles);
    list_init(&loop->closed);
    list_init(&loop->pending);
    list_init(&loop->asked);
    list_init(&loop->cancelled);
    list_init(&loop->notify);
    list_init(&loop->exempt);
    list_init(&loop->doomed);
    list_init(&loop->unreported);
    list_init(&loop->kept);
    list_init(&loop->datas);
    list_init(&loop->postponed);
    list_init(&loop->postponed_due.node);
    list_init(&loop->prepares);
    list_init(&loop->signals);
    list_init(&loop->wake_hooks);
    list_init(&loop->signal_hook.node);
}

/* Frees a loop without objects, also one that aloop_new() could not complete:
 * each part accepts that it was not opened.  The wake-up needs the reactor,
 * which watches it.  The slab comes after all parts that return memory to
 * it. */
static void destroy_loop(aloop *loop)
{
    struct aloop__alloc alloc = loop->alloc;

    aloop__posts_close(loop);
    aloop__wake_close(loop);
    if (loop->reactor != NULL)
        aloop__reactor_close(loop->reactor);
    aloop__timers_close(&loop->timers);
    aloop__buffers_close(loop);
    aloop__datas_free(loop);
    aloop__future_free_hit(loop);
    aloop__debug_close(loop);
    aloop__reports_close(loop);
    aloop__slab_close(&loop->slab);
    aloop__alloc_free_aligned(&alloc, loop->receive_buffer,
                              RECEIVE_SIZE + CORK_SIZE);
    aloop__alloc_free_aligned(&alloc, loop->batch_buffer, BATCH_SIZE);
    aloop__alloc_free(&alloc, loop->ios,
                      loop->io_count * sizeof(struct aloop__io *));
    aloop__alloc_free(&alloc, loop, sizeof *loop);
}

/* What can fail comes last, so that destroy_loop() finds initialised lists. */
aloop *aloop_new(const aloop_options *options)
{
    aloop_options chosen;
    struct aloop__alloc alloc;
    aloop *loop;
    int error;

    if (!aloop__loop_options_take(&chosen, options))
        return NULL;
    alloc.resize = chosen.resize;
    alloc.context = chosen.resize_context;
    loop = aloop__alloc_zero(&alloc, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->alloc = alloc;
    loop->options = chosen;
    loop->devices.is_off = chosen.must_use_file_threads;
    loop->has_own_clock = !aloop__options_use_system_clock(&chosen);
    loop->floor_ns = INT64_MIN;
    loop->quiet_waits = QUIET_WAITS;
    loop->trim_ns = INT64_MAX;
    loop->process = aloop__sys_process_adopt(0);
    loop->process_mark = aloop__sys_process_mark();
    loop->is_marked = aloop__sys_process_is_marked();
    loop->wake_fds[0] = loop->wake_fds[1] = -1;
    loop->wake_io.fd = -1;
    init_lists(loop);
    aloop__posts_open(loop);
    aloop__slab_open(&loop->slab, &loop->alloc,
                     alloc.resize == aloop__alloc_default.resize
                         ? &page_alloc
                         : &loop->alloc);
    aloop__timers_open(&loop->timers, &loop->alloc);
    /* This comes first; see aloop__sys_stderr_look(). */
    error = aloop__reports_open(loop);
    if (error == 0 && chosen.debug)
        error = aloop__debug_open(loop);
    if (error == 0)
        error = aloop__reactor_open(&loop->alloc, &loop->reactor);
    if (error == 0)
        error = aloop__wake_open(loop);
    loop->waited_ns = aloop__now(loop);
    if (error == 0)
        return loop;
    destroy_loop(loop);
    return NULL;
}

/* Cancels all futures until none is pending.  Operations end immediately.
 * Tasks run, and may start new ones, which are cancelled in turn.  There is
 * progress when fewer objects are left than ever before, or when a task has
 * ended.  A second limit counts the turns in which only tasks end, because
 * tasks that start others endlessly must not keep this running.  A turn waits
 * while threads are using memory of the application. */
static void end_futures(aloop *loop)
{
    size_t least = SIZE_MAX, ends = loop->task_ends;
    int stalled_turns = 0, turns = 0;

    loop->is_dying = true;
    if (loop->debug != NULL)
        aloop__quarantine_drain(loop);
    do {
        aloop__futures_cancel_all(loop, true);
        if (!aloop__pool_is_working(loop))
            aloop__turn(loop, 0, false);
        else if (aloop__turn(loop, -1, false) == 0)
            stalled_turns = 0;
        else if (!aloop__is_foreign_by_pid(loop))
            aloop__pool_close(loop); /* It waits without the reactor. */
        if (loop->slab.used < least)
            stalled_turns = turns = 0;
        else if (loop->task_ends != ends)
            stalled_turns = 0;
        if (loop->slab.used < least)
            least = loop->slab.used;
        ends = loop->task_ends;
    } while (!aloop__is_foreign_by_pid(loop) &&
             (aloop__futures_are_pending(loop) ||
              !list_is_empty(&loop->ready) || aloop__pool_is_working(loop)) &&
             ++stalled_turns < STALLED_TURNS_MAX && ++turns < FREE_TURNS_MAX);
    if (!aloop__is_foreign_by_pid(loop))
        aloop__futures_cancel_all(loop, true);
}

/* Frees all objects.  The pool comes first, because its threads may use
 * descriptors of handles.  Reports and futures are in the same list, from which
 * the reports must be removed before it is treated as a list of futures.  The
 * stacks of tasks are closed after the futures, which give theirs back. */
static void end_loop(aloop *loop)
{
    aloop__pool_close(loop);
    aloop__handles_close_all(loop);
    aloop__handles_free_closed(loop);
    aloop__reports_drop(loop);
    aloop__futures_fini(loop);
    if (loop->fini_tasks != NULL)
        loop->fini_tasks(loop);
    destroy_loop(loop);
}

/* Frees a loop in a process that it does not belong to.  Runs no code of the
 * application, and frees only the copies that a forked child has.  A vforked
 * child has no copies. */
static int free_foreign(aloop *loop)
{
    if (aloop__sys_process_adopt(loop->process) == 0)
        return ALOOP_EPERM;
    loop->is_dying = true;
    aloop__pool_forget(loop);
    aloop__futures_cancel_all(loop, true); /* Frees what the futures own. */
    end_loop(loop);
    return 0;
}

/* A turn can fork, or run the last post, whose thread may still be inside
 * aloop_post().  Therefore the process is checked again after each step that
 * calls the application, and the posting threads are awaited. */
int aloop_free(aloop *loop)
{
    bool is_foreign;
    int cancellation;

    if (loop == NULL)
        return 0;
    is_foreign = aloop__sys_process_id() != loop->process;
    if (aloop__check_loop(loop, __func__) < 0)
        return ALOOP_EPERM;
    if (loop->is_running)
        return ALOOP_EBUSY;
    if (is_foreign)
        return free_foreign(loop);
    cancellation = aloop__cancel_disable();
    loop->thread = aloop__sys_thread_self();
    end_futures(loop);
    if (!aloop__is_foreign_by_pid(loop)) {
        aloop__handles_close_fallible(loop);
        aloop__reports_finish(loop);
    }
    if (aloop__is_foreign_by_pid(loop)) { /* A task or the hook has forked. */
        (void) free_foreign(loop);
    } else {
        aloop__posts_settle(loop);
        end_loop(loop);
    }
    aloop__cancel_restore(cancellation);
    return 0;
}

int64_t aloop_now(aloop *loop)
{
    return aloop__check_loop(loop, __func__) < 0 ? 0 : aloop__now(loop);
}

bool aloop_alive(aloop *loop)
{
    return aloop__check_loop(loop, __func__) == 0 && aloop__is_alive(loop);
}

/* Outside of a turn it is noted for the next run, which then returns
 * immediately. */
void aloop_stop(aloop *loop)
{
    if (aloop__check_loop(loop, __func__) < 0)
        return;
    if (loop->is_running)
        loop->is_stopping = true;
    else
        loop->was_stopped = true;
}

/* A hold counts like an active handle.  `holds` keeps the application from
 * releasing more than it has held. */
void aloop_hold(aloop *loop)
{
    if (aloop__check_loop(loop, __func__) < 0)
        return;
    loop->holds++;
    loop->live++;
}

void aloop_release(aloop *loop)
{
    if (aloop__check_loop(loop, __func__) < 0 || loop->holds == 0)
        return;
    loop->holds--;
    loop->live--;
}

/* From this call on, every change of the loop's work updates the alarm; see
 * host.c. */
int aloop_fd(aloop *loop)
{
    int fd = aloop__check_loop(loop, __func__);

    if (fd < 0)
        return fd;
    fd = aloop__reactor_fd(loop->reactor);
    if (fd >= 0 && !loop->is_embedded) {
        loop->is_embedded = true;
        aloop__host_update(loop);
    }
    return fd;
}

/* Makes the loop belong to this process, and to the parent again if something
 * fails.  After a failure the application can only try again or free the loop.
 *
 * The flag `is_waking` is set meanwhile, so that no wake-up writes to the
 * channel, which still is the parent's. */
static int renew(aloop *loop, unsigned process)
{
    unsigned parent = loop->process;
    int error;

    /* Signal handlers must not wake the parent; the child has no other
     * threads. */
    atomic_store(&loop->is_waking, true);
    aloop__posts_fork(loop);
    loop->process = process;
    error = aloop__io_renew(loop);
    if (error == 0)
        error = aloop__wake_renew(loop);
    if (error < 0)
        loop->process = parent;
    else if (!loop->is_running) /* Otherwise this turn runs them. */
        aloop__posts_requeue(loop);
    return error;
}

/* The parent's threads and its queued bytes do not exist for the child: jobs
 * end, and closed streams that still send are ended without sending.
 * Everything else is adopted, or later taken over by its first use
 * (aloop__io_adopt()). */
int aloop_after_fork(aloop *loop)
{
    unsigned process;
    int error;

    if (loop == NULL)
        return ALOOP_EINVAL;
    process = aloop__sys_process_adopt(loop->process);
    if (process == loop->process)
        return 0; /* There was no fork. */
    if (process == 0)
        return ALOOP_EPERM; /* This is a vforked child. */
    if (loop->is_running && loop->thread != aloop__sys_thread_self())
        return ALOOP_EBUSY;
    aloop__pool_forget(loop);
    error = renew(loop, process);
    if (error < 0)
        return error;
    aloop__handles_close_lingering(loop); /* The parent sends instead. */
    aloop__handles_fork(loop);
    if (!loop->is_running)
        aloop__leave(loop);
    if (loop->is_embedded)
        aloop__host_update(loop);
    return 0;
}

const char *aloop_reactor(void)
{
    return aloop__reactor_name;
}
