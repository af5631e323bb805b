/* Making and freeing a loop, and the small questions one can ask it. */

#include "loop/loop.h"

#include "aloop/fork.h"
#include "base/options.h"
#include "loop/buffers.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/pool.h"
#include "loop/report.h"
#include "loop/trim.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "os/unwind.h"

enum {
    RESOLVER_THREADS = 4,
    IDLE_TURNS_MAX = 10000,  /* Of aloop_free(), without progress. */
    FREE_TURNS_MAX = 100000 /* In which tasks end, but others begin. */
};

static int64_t system_clock(void *context)
{
    (void) context;
    return sys_clock_ns();
}

static const struct options_field option_fields[] = {
    OPTIONS_FIELD(aloop_options, size),
    OPTIONS_FIELD(aloop_options, resize),
    OPTIONS_FIELD(aloop_options, resize_context),
    OPTIONS_FIELD(aloop_options, clock_ns),
    OPTIONS_FIELD(aloop_options, clock_context),
    OPTIONS_FIELD(aloop_options, stack_size),
    OPTIONS_FIELD(aloop_options, resolver_threads),
    OPTIONS_FIELD(aloop_options, on_unhandled),
    OPTIONS_FIELD(aloop_options, on_unhandled_arg),
    OPTIONS_FIELD(aloop_options, debug),
    OPTIONS_FIELD(aloop_options, cancel_on_interrupt),
};
OPTIONS_LAST(aloop_options, cancel_on_interrupt);

#if defined(NDEBUG)
enum { DEBUG_BUILD = false };
#else
enum { DEBUG_BUILD = true };
#endif

static const struct options_kind option_kind = {
    sizeof(aloop_options), option_fields,
    sizeof option_fields / sizeof option_fields[0]};

bool aloop__options_are_valid(const aloop_options *given)
{
    aloop_options options;

    return aloop__options_take(&option_kind, given, &options);
}

/* What the caller gave, on top of the defaults; false if it makes no sense. */
static bool take_options(aloop_options *options, const aloop_options *given)
{
    if (!aloop__options_take(&option_kind, given, options))
        return false;
    if (options->resize == NULL) {
        options->resize = aloop__alloc_default.resize;
        options->resize_context = NULL;
    }
    if (options->clock_ns == NULL)
        options->clock_ns = system_clock;
    if (options->on_unhandled == NULL)
        options->on_unhandled = aloop__report_by_default;
    if (options->resolver_threads == 0)
        options->resolver_threads = RESOLVER_THREADS;
    options->debug = options->debug || DEBUG_BUILD;
    return true;
}

/* Allocates and frees, and that pages: malloc would keep most of them as long
 * as something that was allocated later is in use. */
static void *resize_pages(void *context, void *old, size_t old_size,
                          size_t size)
{
    (void) context;
    if (size > 0)
        return sys_pages_map(size);
    sys_pages_unmap(old, old_size);
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
    list_init(&loop->spared);
    list_init(&loop->doomed);
    list_init(&loop->unread);
    list_init(&loop->kept);
    list_init(&loop->signals);
}

static void release(aloop *loop)
{
    struct aloop__alloc alloc = loop->alloc;

    aloop__wake_close(loop);
    if (loop->reactor != NULL)
        aloop__reactor_close(loop->reactor);
    aloop__timers_close(&loop->timers);
    aloop__buffers_close(loop);
    aloop__debug_close(loop);
    aloop__reports_close(loop);
    aloop__slab_close(&loop->slab);
    aloop__alloc_free(&alloc, loop->receive_buffer, RECEIVE_SIZE);
    aloop__alloc_free(&alloc, loop->ios,
                      loop->io_count * sizeof(struct aloop__io *));
    aloop__alloc_free(&alloc, loop, sizeof *loop);
}

aloop *aloop_new(const aloop_options *given)
{
    aloop_options options;
    struct aloop__alloc alloc;
    aloop *loop;
    int error;

    if (!take_options(&options, given))
        return NULL;
    alloc.resize = options.resize;
    alloc.context = options.resize_context;
    loop = aloop__alloc_zero(&alloc, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->alloc = alloc;
    loop->options = options;
    loop->floor_ns = INT64_MIN;
    loop->trim_ns = INT64_MAX;
    loop->process = sys_process_adopt(0);
    loop->process_mark = sys_process_mark();
    loop->wake_fds[0] = loop->wake_fds[1] = -1;
    loop->wake_io.fd = -1;
    init_lists(loop);
    aloop__slab_open(&loop->slab, &loop->alloc,
                     alloc.resize == aloop__alloc_default.resize
                         ? &page_alloc
                         : &loop->alloc);
    aloop__timers_open(&loop->timers, &loop->alloc);
    error = aloop__reports_open(loop); /* First, see sys_stderr_look(). */
    if (error == 0 && options.debug)
        error = aloop__debug_open(loop);
    if (error == 0)
        error = aloop__reactor_open(&loop->alloc, &loop->reactor);
    if (error == 0)
        error = aloop__wake_open(loop);
    loop->waited_ns = aloop__now(loop);
    if (error == 0)
        return loop;
    release(loop);
    return NULL;
}

/* Cancels all there is until nothing is pending any more.  Operations end
 * immediately; tasks run, and may start new ones, which are cancelled in turn.
 * It is progress when fewer objects are left than ever before, and when a task
 * has ended; but tasks that start others endlessly must not keep it going. */
static void wind_up(aloop *loop)
{
    size_t least = SIZE_MAX, ends = loop->task_ends;
    int idle_turns = 0, turns = 0;

    loop->dying = true;
    if (loop->debug != NULL)
        aloop__debug_drain(loop);
    do {
        aloop__futures_cancel_all(loop, true);
        aloop__turn(loop, 0, false);
        if (loop->slab.used < least)
            idle_turns = turns = 0;
        else if (loop->task_ends != ends)
            idle_turns = 0;
        if (loop->slab.used < least)
            least = loop->slab.used;
        ends = loop->task_ends;
    } while ((aloop__futures_pending(loop) || !list_empty(&loop->ready)) &&
             ++idle_turns < IDLE_TURNS_MAX && ++turns < FREE_TURNS_MAX);
    aloop__futures_cancel_all(loop, true);
}

static void end(aloop *loop)
{
    aloop__handles_close_all(loop);
    aloop__handles_free_closed(loop);
    if (loop->resolver != NULL)
        aloop__pool_close(loop->resolver);
    aloop__futures_abandon(loop);
    if (loop->fini_tasks != NULL)
        loop->fini_tasks(loop);
    release(loop);
}

/* In a process that the loop does not belong to: runs nothing, and only frees
 * what a forked child has a copy of.  A vforked child has none. */
static int leave(aloop *loop)
{
    if (sys_process_adopt(loop->process) == 0)
        return ALOOP_EPERM;
    loop->dying = true;
    if (loop->resolver != NULL)
        aloop__pool_abandon(loop->resolver);
    loop->resolver = NULL;
    aloop__futures_cancel_all(loop, true); /* What they have is freed. */
    end(loop);
    return 0;
}

int aloop_free(aloop *loop)
{
    bool is_foreign;
    int cancellation;

    if (loop == NULL)
        return 0;
    is_foreign = sys_process_id() != loop->process;
    if (aloop__check_loop(loop, __func__) < 0)
        return ALOOP_EPERM;
    if (loop->running)
        return ALOOP_EBUSY;
    if (is_foreign)
        return leave(loop);
    cancellation = aloop__cancel_disable();
    loop->thread = sys_thread_self();
    wind_up(loop);
    aloop__reports_finish(loop);
    end(loop);
    aloop__cancel_restore(cancellation);
    return 0;
}

int64_t aloop__now(aloop *loop)
{
    int64_t now_ns = loop->options.clock_ns(loop->options.clock_context);

    if (now_ns > loop->floor_ns) /* The end of time itself never comes. */
        loop->floor_ns = now_ns < INT64_MAX ? now_ns : INT64_MAX - 1;
    return loop->floor_ns;
}

int64_t aloop__after(int64_t now_ns, int64_t delay_ns)
{
    if (delay_ns <= 0)
        return now_ns;
    return now_ns > INT64_MAX - delay_ns ? INT64_MAX : now_ns + delay_ns;
}

int64_t aloop__until(int64_t now_ns, int64_t when_ns)
{
    if (when_ns <= now_ns)
        return 0;
    if (now_ns < 0 && when_ns > INT64_MAX + now_ns)
        return INT64_MAX;
    return when_ns - now_ns;
}

int64_t aloop_now(aloop *loop)
{
    return aloop__check_loop(loop, __func__) < 0 ? 0 : aloop__now(loop);
}

bool aloop_alive(aloop *loop)
{
    return aloop__check_loop(loop, __func__) == 0 &&
           (loop->live > 0 || loop->lingering > 0 || aloop__has_work(loop));
}

void aloop_stop(aloop *loop)
{
    if (aloop__check_loop(loop, __func__) < 0)
        return;
    if (loop->running)
        loop->stopping = true;
    else
        loop->stops_next = true;
}

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

char *aloop__receive_buffer(aloop *loop)
{
    if (loop->receive_buffer == NULL)
        loop->receive_buffer = aloop__alloc_new(&loop->alloc, RECEIVE_SIZE);
    return loop->receive_buffer;
}

/* How long until a turn has something to do: 0 now, < 0 not by itself. */
static int64_t due_in(aloop *loop)
{
    int64_t when_ns, left_ns, trim_ns;

    if (aloop__has_work(loop) || !list_empty(&loop->closed))
        return 0;
    when_ns = aloop__timers_next(&loop->timers);
    left_ns = when_ns == INT64_MAX ? -1
                                   : aloop__until(aloop__now(loop), when_ns);
    trim_ns = aloop__trim_left(loop);
    return left_ns < 0 || (trim_ns >= 0 && trim_ns < left_ns) ? trim_ns
                                                               : left_ns;
}

void aloop__touch(aloop *loop)
{
    if (!loop->running && !aloop__is_foreign(loop))
        aloop__reactor_alarm(loop->reactor, due_in(loop));
}

int aloop__timed_set(aloop *loop, struct aloop__timed *timed, int64_t when_ns)
{
    int error = aloop__timed_start(&loop->timers, timed, when_ns);

    if (loop->embedded)
        aloop__touch(loop);
    return error;
}

void aloop__timed_clear(aloop *loop, struct aloop__timed *timed)
{
    aloop__timed_stop(&loop->timers, timed);
    if (loop->embedded)
        aloop__touch(loop);
}

int aloop_fd(aloop *loop)
{
    int fd = aloop__check_loop(loop, __func__);

    if (fd < 0)
        return fd;
    fd = aloop__reactor_fd(loop->reactor);
    if (fd >= 0 && !loop->embedded) {
        loop->embedded = true;
        aloop__touch(loop);
    }
    return fd;
}

/* The loop is this process's from the renewal on, and the parent's again if
 * something fails: then nothing can be done with it but to try again, or to
 * free it. */
static int renew(aloop *loop, unsigned process)
{
    unsigned parent = loop->process;
    int error;

    atomic_store(&loop->waking, true); /* No handler wakes the parent. */
    loop->process = process;
    error = aloop__io_renew(loop);
    if (error == 0)
        error = aloop__wake_renew(loop);
    if (error < 0)
        loop->process = parent;
    return error;
}

int aloop_after_fork(aloop *loop)
{
    unsigned process;
    int error;

    if (loop == NULL)
        return ALOOP_EINVAL;
    process = sys_process_adopt(loop->process);
    if (process == loop->process)
        return 0; /* Nothing was forked. */
    if (process == 0)
        return ALOOP_EPERM; /* A vforked child. */
    if (loop->running && loop->thread != sys_thread_self())
        return ALOOP_EBUSY;
    if (loop->resolver != NULL) {
        aloop__pool_abandon(loop->resolver);
        loop->resolver = NULL;
    }
    error = renew(loop, process);
    if (error < 0)
        return error;
    aloop__handles_close_lingering(loop); /* It is the parent that sends. */
    aloop__handles_fork(loop);
    if (!loop->running)
        aloop__leave(loop);
    if (loop->embedded)
        aloop__touch(loop);
    return 0;
}

const char *aloop_reactor(void)
{
    return aloop__reactor_name;
}
