/* Wake-ups of a waiting loop from other threads and signal handlers.
 *
 * The first caller that finds the flag `is_waking` clear writes to the wake-up
 * descriptor, so that a burst costs one system call.  The loop drains the
 * descriptor, clears the flag, and only then looks for the cause of the
 * wake-up.  In any other order a wake-up between these steps could be lost.
 *
 * With epoll and an eventfd, each write is an event of its own.  The loop then
 * need not read the descriptor, whose counter never becomes full. */

#include "loop/wake.h"

#include <assert.h>

#include "loop/io.h"
#include "os/reactor.h"
#include "os/sys.h"

/* Does nothing in a forked child before aloop_after_fork(), because the channel
 * is the parent's.  A thread that ended between the two steps would leave the
 * flag set, and no other thread could wake the loop.  Therefore
 * pthread_cancel() must not end it in the second one. */
void aloop_wake(aloop *loop)
{
    if (loop == NULL || aloop__is_foreign(loop) ||
        atomic_exchange(&loop->is_waking, true))
        return;
    aloop__sys_wake_signal(loop->wake_fds[1]);
}

/* The event of a wake-up that was under way may not have been dispatched, and
 * epoll does not report it again. */
void aloop__wake_repeat(aloop *loop)
{
    atomic_store(&loop->is_waking, false);
    aloop_wake(loop);
}

void aloop__wake_hook_add(aloop *loop, struct aloop__wake_hook *hook)
{
    list_remove(&hook->node);
    list_push(&loop->wake_hooks, &hook->node);
}

void aloop__wake_hook_remove(struct aloop__wake_hook *hook)
{
    list_remove(&hook->node);
}

static void run_hook(const aloop *loop, struct aloop__node *node)
{
    struct aloop__wake_hook *hook =
        CONTAINER_OF(node, struct aloop__wake_hook, node);

    if (!aloop__is_foreign(loop)) /* An earlier hook may have forked. */
        hook->run(hook);
}

/* A hook may call the application, which may add or remove hooks.  A single
 * hook, the usual case, needs no second list. */
static NOINLINE void run_hooks(aloop *loop)
{
    __attribute__((cleanup(list_round_end))) struct list_round round;
    struct aloop__node *node;

    list_round_begin(&round, &loop->wake_hooks);
    while ((node = list_pop(&round.rest)) != NULL) {
        list_push(&loop->wake_hooks, node);
        run_hook(loop, node);
    }
}

void aloop__wake_hooks_run(aloop *loop)
{
    struct aloop__node *node = loop->wake_hooks.next;

    assert(!list_is_empty(&loop->wake_hooks)); /* That of the posts remains. */
    if (node == loop->wake_hooks.prev)
        run_hook(loop, node);
    else
        run_hooks(loop);
}

/* Returns whether each wake-up is reported once.  A pipe, which has two
 * descriptors, becomes full unless it is read. */
static bool has_edges(const aloop *loop)
{
    return aloop__reactor_has_edges && loop->wake_fds[0] == loop->wake_fds[1];
}

static void wake_received(struct aloop__io *io, unsigned bits)
{
    aloop *loop = CONTAINER_OF(io, aloop, wake_io);

    (void) bits;
    if (io->fd < 0) /* A child has closed it; aloop__wake_renew() is next. */
        return;
    if (!has_edges(loop))
        aloop__sys_wake_drain(loop->wake_fds[0]);
    atomic_store(&loop->is_waking, false);
    aloop__wake_hooks_run(loop);
}

static int watch_wake(aloop *loop)
{
    int error =
        aloop__io_open(loop, &loop->wake_io, loop->wake_fds[0], wake_received);

    loop->wake_io.process = IO_ANY_PROCESS;
    if (error == 0)
        error = aloop__io_arm(loop, &loop->wake_io,
                              has_edges(loop) ? REACTOR_READ | REACTOR_EDGE
                                              : REACTOR_READ);
    return error;
}

int aloop__wake_open(aloop *loop)
{
    int error = aloop__sys_wake_open(loop->wake_fds);

    if (error < 0) {
        loop->wake_fds[0] = loop->wake_fds[1] = -1;
        return error;
    }
    return watch_wake(loop);
}

void aloop__wake_close(aloop *loop)
{
    aloop__io_close(loop, &loop->wake_io);
    if (loop->wake_fds[0] >= 0)
        aloop__sys_wake_close(loop->wake_fds);
}

/* A wake-up that was under way was sent to the old channel.  The next turn
 * looks for its cause without it.  If the old channel was closed outside the
 * loop's control, its numbers may belong to other descriptors. */
int aloop__wake_renew(aloop *loop)
{
    int fds[2];
    int error = aloop__sys_wake_open(fds);

    if (error < 0)
        return error;
    if (aloop__io_close(loop, &loop->wake_io) >= 0)
        aloop__sys_wake_close(loop->wake_fds);
    loop->wake_fds[0] = fds[0];
    loop->wake_fds[1] = fds[1];
    atomic_store(&loop->is_waking, false);
    atomic_store(&loop->was_signalled, false);
    return watch_wake(loop);
}
