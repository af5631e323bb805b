/* Functions that other threads post.
 *
 *     aloop_post()  --> loop->posts (newest first, lock-free) --> wake-up
 *     take()        --> loop->post_batch (oldest first) --> run_posts()
 *
 * Posting threads push onto a lock-free stack and then wake the loop (wake.c).
 * The loop does not sleep while the stack has entries.  A thread may be delayed
 * between its push and its wake-up; therefore each turn also takes the stack
 * before its wait.
 *
 * A post is memory of the loop's allocator, which must therefore be
 * thread-safe; the slab is not. */

#include "loop/post.h"

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/wake.h"
#include "os/reactor.h"
#include "os/sys.h"

/* A function that was posted. */
struct aloop__post {
    struct aloop__post *next;
    aloop_fn fn;
    void *arg;
};

/* Runs on any thread.  `posting` is counted around the whole access to the
 * loop, so that aloop_free() can wait until no thread is inside. */
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
    atomic_fetch_add(&loop->posting, 1);
    post->next = atomic_load(&loop->posts);
    while (!atomic_compare_exchange_weak(&loop->posts, &post->next, post))
        ;
    /* The exchange comes before this look in the order of all threads, so that
     * a wake-up that is still under way finds the post. */
    if (!atomic_load(&loop->is_waking))
        aloop_wake(loop);
    atomic_fetch_sub(&loop->posting, 1);
    return 0;
}

/* A post can run before its aloop_post() has woken the loop, and it can end the
 * loop. */
void aloop__posts_settle(aloop *loop)
{
    while (atomic_load(&loop->posting) > 0)
        aloop__sys_thread_yield();
}

/* Moves all posts to the end of loop->post_batch, oldest first. */
static void take(aloop *loop)
{
    struct aloop__post *post = atomic_exchange(&loop->posts, NULL);
    struct aloop__post *oldest = NULL, **end = &loop->post_batch;

    while (post != NULL) {
        struct aloop__post *next = post->next;

        post->next = oldest;
        oldest = post;
        post = next;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = oldest;
}

/* A post is removed from the batch before it runs: it may fork, and the child
 * must not run it again.  Posts that follow it stay in the batch for the
 * child. */
static void run_posts(aloop *loop)
{
    while (loop->post_batch != NULL && !aloop__is_foreign(loop)) {
        struct aloop__post *post = loop->post_batch;
        struct aloop__post copy = *post;

        loop->post_batch = copy.next;
        aloop__alloc_free(&loop->alloc, post, sizeof *post);
        aloop__calling(loop);
        copy.fn(loop, copy.arg);
        aloop__called(loop, "a function of aloop_post()");
    }
}

/* The wake hook of the posts. */
static void posts_woken(struct aloop__wake_hook *hook)
{
    aloop *loop = CONTAINER_OF(hook, aloop, post_hook);

    if (aloop__is_foreign(loop))
        return;
    take(loop);
    run_posts(loop);
}

/* Pushes the batch back, oldest first, so that take() restores the order. */
void aloop__posts_requeue(aloop *loop)
{
    take(loop);
    while (loop->post_batch != NULL) {
        struct aloop__post *post = loop->post_batch;

        loop->post_batch = post->next;
        post->next = atomic_load(&loop->posts);
        atomic_store(&loop->posts, post);
    }
}

void aloop__posts_open(aloop *loop)
{
    list_init(&loop->post_hook.node);
    loop->post_hook.run = posts_woken;
    aloop__wake_hook_add(loop, &loop->post_hook);
}

/* Their functions never run; only the memory is freed. */
void aloop__posts_close(aloop *loop)
{
    struct aloop__post *post;

    take(loop);
    post = loop->post_batch;
    while (post != NULL) {
        struct aloop__post *next = post->next;

        aloop__alloc_free(&loop->alloc, post, sizeof *post);
        post = next;
    }
}
