/* Work from other threads, and the wake-up that goes with it.
 *
 * Posting threads push onto a lock-free stack; the first to find the flag clear
 * writes to the wake-up descriptor, so a burst costs one system call.  The loop
 * drains the descriptor, clears the flag, and only then takes the stack: in any
 * other order a post between the steps could sleep through.
 *
 * A thread may be held up between its push and its write.  The loop does not
 * sleep while the stack has something on it, so each turn takes the stack
 * before its wait too, without the descriptor and the flag: the write is still
 * to come, and only costs a wait that ends early. */

#include "loop/loop.h"

#include "loop/debug.h"
#include "loop/pool.h"
#include "os/reactor.h"
#include "os/sys.h"

/* A deferred call, in the ready queue. */
struct call {
    struct aloop__ready ready;
    aloop *loop;
    aloop_fn fn;
    void *arg;
};

static void run_call(struct aloop__ready *ready)
{
    struct call *call = CONTAINER_OF(ready, struct call, ready);
    struct call copy = *call;

    aloop__slab_put(&copy.loop->slab, call, sizeof *call);
    aloop__calling(copy.loop);
    copy.fn(copy.loop, copy.arg);
    aloop__called(copy.loop, "a function of aloop_defer()");
}

int aloop_defer(aloop *loop, aloop_fn fn, void *arg)
{
    struct call *call;

    int error = aloop__check_loop(loop, __func__);

    if (error < 0)
        return error;
    if (fn == NULL)
        return ALOOP_EINVAL;
    call = aloop__slab_take(&loop->slab, sizeof *call);
    if (call == NULL)
        return ALOOP_ENOMEM;
    list_init(&call->ready.node);
    call->ready.run = run_call;
    call->loop = loop;
    call->fn = fn;
    call->arg = arg;
    aloop__ready_push(loop, &call->ready);
    return 0;
}

/* In a forked child, until aloop_after_fork(), the channel is the parent's. */
void aloop_wake(aloop *loop)
{
    if (loop != NULL && !aloop__is_foreign(loop) &&
        !atomic_exchange(&loop->waking, true))
        sys_wake_signal(loop->wake_fds[1]);
}

int aloop_post(aloop *loop, aloop_fn fn, void *arg)
{
    struct aloop__post *post;

    if (loop == NULL || fn == NULL)
        return ALOOP_EINVAL;
    post = aloop__alloc_new(&loop->alloc, sizeof *post);
    if (post == NULL)
        return ALOOP_ENOMEM;
    post->fn = fn;
    post->arg = arg;
    post->next = atomic_load(&loop->posts);
    while (!atomic_compare_exchange_weak(&loop->posts, &post->next, post))
        ;
    aloop_wake(loop);
    return 0;
}

/* All that was posted, oldest first. */
static struct aloop__post *take(aloop *loop)
{
    struct aloop__post *post = atomic_exchange(&loop->posts, NULL);
    struct aloop__post *oldest = NULL;

    while (post != NULL) {
        struct aloop__post *next = post->next;

        post->next = oldest;
        oldest = post;
        post = next;
    }
    return oldest;
}

static void run_posts(aloop *loop, struct aloop__post *post)
{
    while (post != NULL) {
        struct aloop__post copy = *post;

        aloop__alloc_free(&loop->alloc, post, sizeof *post);
        aloop__calling(loop);
        copy.fn(loop, copy.arg);
        aloop__called(loop, "a function of aloop_post()");
        post = copy.next;
    }
}

void aloop__posts_run(aloop *loop)
{
    if (atomic_exchange(&loop->signalled, false) &&
        loop->on_signalled != NULL)
        loop->on_signalled(loop);
    run_posts(loop, take(loop));
}

static void on_wake(struct aloop__io *io, unsigned bits)
{
    aloop *loop = CONTAINER_OF(io, aloop, wake_io);

    (void) bits;
    sys_wake_drain(loop->wake_fds[0]);
    atomic_store(&loop->waking, false);
    if (loop->resolver != NULL)
        aloop__pool_collect(loop->resolver);
    aloop__posts_run(loop);
}

static int watch_wake(aloop *loop)
{
    int error = aloop__io_open(loop, &loop->wake_io, loop->wake_fds[0],
                               on_wake);

    loop->wake_io.process = IO_ANY_PROCESS;
    if (error == 0)
        error = aloop__io_arm(loop, &loop->wake_io, REACTOR_READ);
    return error;
}

int aloop__wake_open(aloop *loop)
{
    int error = sys_wake_open(loop->wake_fds);

    if (error < 0) {
        loop->wake_fds[0] = loop->wake_fds[1] = -1;
        return error;
    }
    return watch_wake(loop);
}

void aloop__wake_close(aloop *loop)
{
    struct aloop__post *post = take(loop);

    while (post != NULL) {
        struct aloop__post *next = post->next;

        aloop__alloc_free(&loop->alloc, post, sizeof *post);
        post = next;
    }
    aloop__io_close(loop, &loop->wake_io);
    if (loop->wake_fds[0] >= 0)
        sys_wake_close(loop->wake_fds);
}

/* What was on its way was sent into the old channel; what it was about is found
 * by the next turn without it. */
int aloop__wake_renew(aloop *loop)
{
    int fds[2];
    int error = sys_wake_open(fds);

    if (error < 0)
        return error;
    aloop__io_close(loop, &loop->wake_io);
    sys_wake_close(loop->wake_fds);
    loop->wake_fds[0] = fds[0];
    loop->wake_fds[1] = fds[1];
    atomic_store(&loop->waking, false);
    atomic_store(&loop->signalled, false);
    return watch_wake(loop);
}
