/* Descriptors of the application: polls, and waits for readiness.
 *
 * Both share their descriptor with any other watchers (loop/io.h), with
 * REACTOR_HANGUP always among the events, so that a hang-up is not an error.
 *
 * Some descriptors cannot be watched because they are always ready: the reactor
 * refuses them with -EPERM.  A poll of such a descriptor is a deadline that has
 * passed, which is due in each turn.  An item of the ready queue would keep the
 * loop alive even if the poll is not referenced. */

#include "aloop/poll.h"

#include <assert.h>

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/host.h"
#include "loop/io.h"
#include "loop/report.h"
#include "os/reactor.h"

/* The public bits are those of the reactor. */
static_assert((int) ALOOP_POLL_READABLE == (int) REACTOR_READ &&
                  (int) ALOOP_POLL_WRITABLE == (int) REACTOR_WRITE &&
                  (int) ALOOP_POLL_PRIORITY == (int) REACTOR_PRIORITY &&
                  (int) ALOOP_POLL_HANGUP == (int) REACTOR_HANGUP &&
                  (int) ALOOP_POLL_ERROR == (int) REACTOR_ERROR,
              "equal bits");

enum {
    BOTH_WAYS = ALOOP_POLL_READABLE | ALOOP_POLL_WRITABLE,
    UNASKED = ALOOP_POLL_HANGUP | ALOOP_POLL_ERROR,
    ALL_EVENTS = BOTH_WAYS | ALOOP_POLL_PRIORITY | UNASKED
};

struct aloop_poll {
    struct aloop__handle handle;
    struct aloop__io_shared shared;
    struct aloop__timed timed; /* Set while it is ready without the reactor. */
    int fd;                    /* `shared` loses it if it is replaced. */
    unsigned events;           /* The watched ones. */
    bool is_always_ready;      /* The reactor has refused the descriptor. */
    aloop_poll_cb on_ready;
    void *arg;
};

/* Returns whether the application has passed bits that are no events. */
static bool has_other_bits(unsigned events)
{
    return (events & ~(unsigned) ALL_EVENTS) != 0;
}

/* Returns what the reactor has to watch.  Errors are always reported, and no
 * bit requests them. */
static unsigned reactor_bits(unsigned events)
{
    unsigned bits = events & ~(unsigned) ALOOP_POLL_ERROR;

    return events == 0 ? 0 : bits | REACTOR_HANGUP;
}

/* Returns what is reported of an event to a watcher of `events`.  After an
 * error or a hang-up neither a read nor a write blocks, so that both count as
 * ready. */
static unsigned reported_part(unsigned events, unsigned bits)
{
    if ((bits & UNASKED) != 0)
        bits |= events & BOTH_WAYS;
    return bits & (events | UNASKED);
}

/* The callback may change, close or add polls of any descriptor; a walk through
 * the watchers of a descriptor expects that (loop/io.c). */
static void call_on_ready(aloop_poll *poll, unsigned events)
{
    aloop *loop = poll->handle.loop;

    if (!aloop__may_call(loop))
        return;
    poll->on_ready(poll, events, poll->arg);
    aloop__called(loop, "the callback of a poll");
}

/* Makes an always ready poll due in the next turn, if it watches what is ready.
 * floor_ns is a time that has passed, and needs no system call. */
static int set_due(aloop_poll *poll, unsigned events)
{
    aloop *loop = poll->handle.loop;

    if ((events & BOTH_WAYS) != 0)
        return aloop__timed_set(loop, &poll->timed, loop->floor_ns);
    aloop__timed_clear(loop, &poll->timed);
    return 0;
}

/* Ends a poll without a call of the application. */
static void stop_watching(aloop_poll *poll)
{
    poll->events = 0;
    aloop__handle_set_active(&poll->handle, false);
}

/* Returns false if the poll has ended, out of memory.  The hook is notified,
 * because no call of the application can return the error. */
static bool keep_due(aloop_poll *poll)
{
    int error = 0;

    if (!poll->handle.loop->is_dying) /* It would end each wait. */
        error = set_due(poll, poll->events);
    if (error < 0) {
        stop_watching(poll);
        aloop__unhandled(poll->handle.loop, error, "poll");
    }
    return error == 0;
}

/* timed->fire of an always ready poll.  It is set again first, because the
 * callback may change the events or close the poll. */
static void poll_due(struct aloop__timed *timed)
{
    aloop_poll *poll = CONTAINER_OF(timed, aloop_poll, timed);

    if (keep_due(poll))
        call_on_ready(poll, poll->events & BOTH_WAYS);
}

/* The descriptor is lost if the number belongs to another one.  The application
 * is not called: it would use the number, and so the wrong descriptor.  Nothing
 * is lost if the set of the reactor is renewed and a descriptor that is always
 * ready is found; all others are watched again as well. */
static void poll_ready(struct aloop__io *io, unsigned bits)
{
    aloop_poll *poll = CONTAINER_OF(
        CONTAINER_OF(io, struct aloop__io_shared, io), aloop_poll, shared);

    if (io->fd >= 0 && poll->handle.loop->is_dying) {
        aloop__io_arm(poll->handle.loop, io, 0); /* It would end each wait. */
    } else if (io->fd >= 0) {
        call_on_ready(poll, reported_part(poll->events, bits));
    } else if (bits == REACTOR_ERROR) {
        stop_watching(poll);
    } else {
        poll->is_always_ready = true;
        (void) keep_due(poll);
    }
}

/* handle->close.  The descriptor stays open: it belongs to the application. */
static void poll_close(struct aloop__handle *handle)
{
    aloop_poll *poll = CONTAINER_OF(handle, aloop_poll, handle);

    aloop__timed_clear(handle->loop, &poll->timed);
    aloop__io_close(handle->loop, &poll->shared.io);
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops poll_ops = {
    .name = "poll",
    .size = sizeof(aloop_poll),
    .close = poll_close,
};

/* Watches exactly `events`.  Changes nothing if it fails, except that a refusal
 * by the reactor is remembered: the descriptor remains always ready. */
static int watch_events(aloop_poll *poll, unsigned events)
{
    aloop *loop = poll->handle.loop;
    int error = 0;

    if (!poll->is_always_ready)
        error = aloop__io_arm(loop, &poll->shared.io, reactor_bits(events));
    if (error == ALOOP_EPERM) {
        aloop__io_close(loop, &poll->shared.io);
        poll->is_always_ready = true;
        error = 0;
    }
    if (poll->is_always_ready)
        error = set_due(poll, events);
    if (error < 0)
        return error;
    poll->events = events;
    aloop__handle_set_active(&poll->handle, events != 0);
    return 0;
}

/* Joins the watchers of `fd`.  A child could only change the watches of its
 * parent until it has called aloop_after_fork().  Afterwards both watch. */
static int share_foreign(aloop *loop, struct aloop__io_shared *shared, int fd,
                         void (*on_ready)(struct aloop__io *io, unsigned bits))
{
    int error = ALOOP_EBADF;

    shared->io.fd = -1;
    if (aloop__is_foreign_by_pid(loop))
        return ALOOP_EPERM;
    if (fd >= 0)
        error = aloop__io_share(loop, shared, fd, on_ready);
    if (error == 0)
        shared->io.process = IO_ANY_PROCESS;
    return error;
}

/* Without events to watch it tries some, so that it reports the same errors. */
static int begin_watching(aloop_poll *poll, unsigned events)
{
    int error =
        share_foreign(poll->handle.loop, &poll->shared, poll->fd, poll_ready);

    if (error == 0 && events == 0)
        error = watch_events(poll, ALOOP_POLL_HANGUP);
    return error < 0 ? error : watch_events(poll, events);
}

int aloop_poll_start(aloop *loop, int fd, unsigned events,
                     aloop_poll_cb on_ready, void *arg, aloop_poll **ret_poll)
{
    int error = aloop__check_loop(loop, __func__);
    aloop_poll *poll;

    if (error < 0)
        return error;
    if (on_ready == NULL || ret_poll == NULL || has_other_bits(events))
        return ALOOP_EINVAL;
    poll = aloop__handle_new(loop, &poll_ops);
    if (poll == NULL)
        return ALOOP_ENOMEM;
    aloop__timed_init(&poll->timed, poll_due);
    poll->fd = fd;
    poll->on_ready = on_ready;
    poll->arg = arg;
    error = begin_watching(poll, events);
    if (error < 0)
        poll_close(&poll->handle);
    else
        *ret_poll = poll;
    return error;
}

/* Equal events need no call, also for a descriptor that was replaced. */
int aloop_poll_set_events(aloop_poll *poll, unsigned events)
{
    int error = aloop__check_handle(poll, __func__);

    if (error < 0)
        return error;
    if (has_other_bits(events))
        return ALOOP_EINVAL;
    return events == poll->events ? 0 : watch_events(poll, events);
}

int aloop_poll_fd(const aloop_poll *poll)
{
    int error = aloop__check_handle(poll, __func__);

    return error < 0 ? error : poll->fd;
}

void aloop_poll_ref(aloop_poll *poll)
{
    aloop__handle_reference((struct aloop__handle *) poll, true, __func__);
}

void aloop_poll_unref(aloop_poll *poll)
{
    aloop__handle_reference((struct aloop__handle *) poll, false, __func__);
}

void aloop_poll_close(aloop_poll *poll)
{
    if (poll != NULL && aloop__check_handle(poll, __func__) == 0)
        poll_close(&poll->handle);
}

/* Waiting once. */

/* The future of aloop_poll_wait().  It has a watcher of its own, so that any
 * number of waits and polls can watch one descriptor. */
struct poll_wait {
    aloop_future future;
    struct aloop__io_shared shared;
    unsigned events;
};

/* Ends the watch before the future settles, which may free it. */
static void settle_wait(struct poll_wait *wait, ssize_t status)
{
    aloop__io_close(wait->future.loop, &wait->shared.io);
    aloop__future_settle(&wait->future, status);
}

static void poll_wait_cancel(aloop_future *future)
{
    settle_wait(CONTAINER_OF(future, struct poll_wait, future),
                ALOOP_ECANCELED);
}

static const struct aloop__future_ops poll_wait_ops = {
    .name = "poll",
    .size = sizeof(struct poll_wait),
    .cancel = poll_wait_cancel,
    .is_live = true,
};

static void poll_wait_ready(struct aloop__io *io, unsigned bits)
{
    struct poll_wait *wait =
        CONTAINER_OF(CONTAINER_OF(io, struct aloop__io_shared, io),
                     struct poll_wait, shared);
    unsigned reported = reported_part(wait->events, bits);

    if (io->fd < 0 && bits == REACTOR_ERROR)
        settle_wait(wait, ALOOP_EBADF);
    else if (reported != 0)
        settle_wait(wait, (ssize_t) reported);
}

/* Events that a descriptor never has, because it is always ready, are awaited
 * until the cancel. */
aloop_future *aloop_poll_wait(aloop *loop, int fd, unsigned events)
{
    int error = aloop__check_loop(loop, __func__);
    struct poll_wait *wait;

    if (error == 0 && (events == 0 || has_other_bits(events)))
        error = ALOOP_EINVAL;
    if (error < 0)
        return aloop__future_refused(error);
    wait = aloop__future_new(loop, &poll_wait_ops);
    if (wait == NULL)
        return NULL;
    wait->events = events;
    error = share_foreign(loop, &wait->shared, fd, poll_wait_ready);
    if (error == 0)
        error = aloop__io_arm(loop, &wait->shared.io, reactor_bits(events));
    if (error == ALOOP_EPERM && wait->shared.io.fd >= 0) {
        error = (int) (events & BOTH_WAYS);
        aloop__io_close(loop, &wait->shared.io);
    }
    if (error != 0)
        settle_wait(wait, error);
    return &wait->future;
}
