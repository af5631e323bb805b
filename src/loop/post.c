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
 * thread-safe; the slab is not.  Posts that have run are given back to the
 * posting threads as a chain, loop->spare_posts.  A thread takes the whole
 * chain and leaves what follows the first post of it, so that no thread looks
 * into a chain that another one may take. */

#include "loop/post.h"

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/wake.h"
#include "os/reactor.h"
#include "os/sys.h"

/* At most so many are kept that have run, and twice as many together with those
 * in loop->spare_posts. */
enum { KEPT_MAX = 1024 };

/* A function that was posted. */
struct aloop__post {
    struct aloop__post *next;
    aloop_fn fn;
    void *arg;
};

static void free_posts(aloop *loop, struct aloop__post *post)
{
    while (post != NULL) {
        struct aloop__post *next = post->next;

        aloop__alloc_free(&loop->alloc, post, sizeof *post);
        post = next;
    }
}

/* Leaves unused posts to the next thread.  They replace those that another
 * thread has left meanwhile. */
static void leave_spare(aloop *loop, struct aloop__post *posts)
{
    free_posts(loop, atomic_exchange(&loop->spare_posts, posts));
}

/* Runs on any thread.  Returns a post without contents, or NULL if out of
 * memory. */
static struct aloop__post *post_new(aloop *loop)
{
    struct aloop__post *post = NULL;

    if (atomic_load_explicit(&loop->spare_posts, memory_order_relaxed) != NULL)
        post = atomic_exchange(&loop->spare_posts, NULL);
    if (post == NULL)
        return aloop__alloc_new(&loop->alloc, sizeof *post);
    if (post->next != NULL)
        leave_spare(loop, post->next);
    return post;
}

/* Runs on any thread.  `posting` is counted around the whole access to the
 * loop, so that aloop_free() can wait until no thread is inside. */
int aloop_post(aloop *loop, aloop_fn fn, void *arg)
{
    struct aloop__post *post;

    if (loop == NULL || fn == NULL)
        return ALOOP_EINVAL;
    atomic_fetch_add(&loop->posting, 1);
    post = post_new(loop);
    if (post == NULL) {
        atomic_fetch_sub(&loop->posting, 1);
        return ALOOP_ENOMEM;
    }
    post->fn = fn;
    post->arg = arg;
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

/* Keeps a post that is not needed any more, or frees it. */
static void keep(aloop *loop, struct aloop__post *post)
{
    if (loop->kept_count == KEPT_MAX) {
        aloop__alloc_free(&loop->alloc, post, sizeof *post);
        return;
    }
    post->next = loop->kept_posts;
    loop->kept_posts = post;
    loop->kept_count++;
}

/* Gives the kept posts back to the posting threads, if these have none. */
static void give_kept(aloop *loop)
{
    if (loop->kept_posts == NULL ||
        atomic_load_explicit(&loop->spare_posts, memory_order_relaxed) != NULL)
        return;
    leave_spare(loop, loop->kept_posts);
    loop->kept_posts = NULL;
    loop->kept_count = 0;
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
        keep(loop, post);
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
    give_kept(loop);
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
    take(loop);
    free_posts(loop, loop->post_batch);
    free_posts(loop, loop->kept_posts);
    free_posts(loop, atomic_load(&loop->spare_posts));
}
