/* Signals as handles.
 *
 * The process has one list of watches per signal number, guarded by a spin
 * lock.  The handler takes that lock too.  All signals are blocked while any
 * other code holds it, so that a handler never waits for its own thread.  The
 * handler runs after a signal was counted and wakes the loops that watch it.
 * Each loop calls back as often as the count has increased since the last time.
 *
 * The count begins again at 0 in a forked child, so that signals received by
 * its parent are not reported there.  A handler in a child does not touch a
 * loop that still belongs to the parent; aloop_after_fork() checks the count
 * instead. */

#include "handle/signal.h"
#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/handle.h"
#include "loop/wake.h"
#include "os/sys.h"

enum { BUDGET = 64 }; /* Callbacks of one watch in one turn. */

struct aloop_signal {
    struct aloop__handle handle;
    /* In loop->signals; used by the loop's thread only. */
    struct aloop__node node;
    struct aloop__node shared; /* In signal_watches[number]; under the lock. */
    int number;
    /* The other watch of a pair, or NULL; see aloop__signal_pair().  Under the
     * lock. */
    aloop_signal *partner;
    /* The value of aloop__sys_signal_received() up to which callbacks were
     * made, and its value when the watch ended.  Later signals do not count. */
    unsigned seen;
    unsigned last;
    atomic_uint is_ended; /* No longer in signal_watches. */
    aloop_signal_cb on_signal;
    void *arg;
};

/* All watches of the process, by signal number.  A list that was never used is
 * a zeroed node. */
static struct aloop__node signal_watches[SYS_SIGNAL_MAX + 1];

/* Removes the watch from its list.  Called inside the lock. */
static void end_watch(aloop_signal *watch)
{
    if (list_is_empty(&watch->shared))
        return;
    list_remove(&watch->shared);
    watch->last = aloop__sys_signal_received(watch->number);
    atomic_store(&watch->is_ended, true);
    if (list_is_empty(&signal_watches[watch->number]))
        aloop__sys_signal_restore(watch->number);
}

/* The handler of a signal: wakes the loops of its watches, and ends pairs. */
static void signal_delivered(int number)
{
    struct aloop__node *list = &signal_watches[number];
    struct aloop__node *node, *next;

    aloop__sys_signal_lock_in_handler();
    for (node = list->next; node != NULL && node != list; node = next) {
        aloop_signal *watch = CONTAINER_OF(node, aloop_signal, shared);
        aloop *loop = watch->handle.loop;

        next = node->next;
        if (aloop__is_foreign(loop))
            continue;
        if (watch->partner != NULL) {
            end_watch(watch->partner);
            end_watch(watch);
        }
        atomic_store(&loop->was_signalled, true);
        aloop_wake(loop);
    }
    aloop__sys_signal_unlock_in_handler();
}

/* Adds a watch to its list.  The handler is installed for each watch, because
 * the application may have installed another one meanwhile.  It is removed with
 * the last watch of a number.  Both are done inside the lock, which serialises
 * them. */
static int enlist(aloop_signal *watch)
{
    struct aloop__node *list = &signal_watches[watch->number];
    int error;

    aloop__sys_signal_lock();
    if (list->next == NULL)
        list_init(list);
    error = aloop__sys_signal_catch(watch->number, signal_delivered);
    if (error == 0) {
        watch->seen = aloop__sys_signal_received(watch->number);
        list_push(list, &watch->shared);
    }
    aloop__sys_signal_unlock();
    return error;
}

/* Removes the watch from its list and from its pair. */
static void delist(aloop_signal *watch)
{
    aloop__sys_signal_lock();
    end_watch(watch);
    if (watch->partner != NULL)
        watch->partner->partner = watch->partner;
    watch->partner = NULL;
    aloop__sys_signal_unlock();
}

void aloop__signal_pair(aloop_signal *watch, aloop_signal *other)
{
    aloop__sys_signal_lock();
    watch->partner = other;
    other->partner = watch;
    aloop__sys_signal_unlock();
}

/* handle->close.  After delist() the handler has no pointer to the watch. */
static void signal_close(struct aloop__handle *handle)
{
    aloop_signal *watch = CONTAINER_OF(handle, aloop_signal, handle);

    delist(watch);
    list_remove(&watch->node);
    aloop__handle_closed(handle);
}

/* In a forked child, reports the signals that the child received since the
 * fork.  A watch that the handler had ended before reports its signal in both
 * processes, because no other one will reach it. */
static void signal_fork(struct aloop__handle *handle)
{
    aloop_signal *watch = CONTAINER_OF(handle, aloop_signal, handle);
    bool is_over = atomic_load(&watch->is_ended);

    if (!is_over)
        watch->seen = watch->last;
    if (is_over || aloop__sys_signal_received(watch->number) != 0)
        atomic_store(&handle->loop->was_signalled, true);
}

static const struct aloop__handle_ops signal_ops = {
    .name = "signal watch",
    .size = sizeof(aloop_signal),
    .close = signal_close,
    .fork = signal_fork,
};

/* Calls back for one watch.  Signals beyond the budget follow in the next turn.
 * The callback may close this watch.  It may also fork; the child then reports
 * none of the remaining signals. */
static void deliver_signal(aloop *loop, aloop_signal *watch)
{
    unsigned process = loop->process;
    unsigned count = atomic_load(&watch->is_ended)
                         ? watch->last
                         : aloop__sys_signal_received(watch->number);

    count -= watch->seen;
    if (count > BUDGET) {
        atomic_store(&loop->was_signalled, true);
        count = BUDGET;
    }
    watch->seen += count;
    while (count-- > 0 && !aloop__handle_is_ended(&watch->handle) &&
           loop->process == process && !aloop__is_foreign(loop) &&
           aloop__may_call(loop)) {
        watch->on_signal(watch, watch->number, watch->arg);
        aloop__called(loop, "the callback of a signal watch");
    }
}

/* Calls back for all watches.  A closed watch stays allocated until the end of
 * the turn, and closing it removes it from the round.  The rest of the round is
 * not empty at the end if a callback has forked. */
static void deliver_to_all(aloop *loop)
{
    __attribute__((cleanup(list_round_end))) struct list_round round;
    struct aloop__node *node;

    list_round_begin(&round, &loop->signals);
    while (!aloop__is_foreign(loop) && (node = list_pop(&round.rest)) != NULL) {
        list_push(&loop->signals, node);
        deliver_signal(loop, CONTAINER_OF(node, aloop_signal, node));
    }
}

static void signals_received(struct aloop__wake_hook *hook)
{
    aloop *loop = CONTAINER_OF(hook, aloop, signal_hook);

    if (atomic_exchange(&loop->was_signalled, false))
        deliver_to_all(loop);
}

int aloop_signal_start(aloop *loop, int number, aloop_signal_cb on_signal,
                       void *arg, aloop_signal **ret_signal)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_signal *watch;

    if (error < 0)
        return error;
    if (on_signal == NULL || ret_signal == NULL || number < 1 ||
        number > SYS_SIGNAL_MAX)
        return ALOOP_EINVAL;
    watch = aloop__handle_new(loop, &signal_ops);
    if (watch == NULL)
        return ALOOP_ENOMEM;
    list_init(&watch->node);
    list_init(&watch->shared);
    watch->number = number;
    watch->on_signal = on_signal;
    watch->arg = arg;
    error = enlist(watch);
    if (error < 0) {
        aloop__handle_closed(&watch->handle);
        return error;
    }
    list_push(&loop->signals, &watch->node);
    loop->signal_hook.run = signals_received;
    aloop__wake_hook_add(loop, &loop->signal_hook);
    aloop__handle_set_active(&watch->handle, true);
    *ret_signal = watch;
    return 0;
}

void aloop_signal_ref(aloop_signal *signal)
{
    aloop__handle_reference((struct aloop__handle *) signal, true, __func__);
}

void aloop_signal_unref(aloop_signal *signal)
{
    aloop__handle_reference((struct aloop__handle *) signal, false, __func__);
}

void aloop_signal_close(aloop_signal *signal)
{
    if (signal != NULL && aloop__check_handle(signal, __func__) == 0)
        signal_close(&signal->handle);
}
