/* Functions that other threads post.
 *
 *     aloop_post()  --> loop->posts (newest first, lock-free) --> wake-up
 *     take()        --> loop->post_batch (oldest first) --> run_posts()
 *
 * Posting threads push onto a lock-free stack.  The thread that finds it empty
 * then wakes the loop (wake.c), which takes all.  That thread may be delayed
 * between its push and its wake-up; therefore each turn also takes the stack
 * before its wait.
 *
 * Posts are parts of blocks, which are memory of the loop's allocator.  That
 * must therefore be thread-safe; the slab is not.  Threads take the posts of
 * one block, loop->open_posts, in turn.  The loop frees a block, or keeps it
 * for later posts, when all posts of it have run.  Only the thread that has set
 * the flag loop->is_post_taken uses the blocks.  A thread that finds it set
 * does not wait, but allocates a post of its own.  In a forked child it may
 * still be set by a thread that does not exist there.  The child then never
 * uses or frees the blocks of that moment, which may be half changed. */

#include "loop/post.h"

#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/wake.h"
#include "os/reactor.h"
#include "os/sys.h"
#include "os/unwind.h"

enum {
    BLOCK_POSTS = 16,
    SPARE_MAX = 64, /* At most so many unused blocks are kept. */
};

/* A function that was posted. */
struct aloop__post {
    struct aloop__post *next;
    aloop_fn fn;
    void *arg;
    struct aloop__post_block *block; /* NULL: it has memory of its own. */
};

/* The loop alone changes `left`.  Everything else is changed only while
 * loop->is_post_taken is set. */
struct aloop__post_block {
    struct aloop__post_block *next;
    unsigned used; /* Posts that were taken. */
    struct aloop__post posts[BLOCK_POSTS];
    unsigned left; /* Posts that have not run, unused ones included. */
};

static bool try_take(aloop *loop)
{
    return !atomic_exchange_explicit(&loop->is_post_taken, true,
                                     memory_order_acquire);
}

static void let_go(aloop *loop)
{
    atomic_store_explicit(&loop->is_post_taken, false, memory_order_release);
}

/* Returns an unused block, or NULL if out of memory.  The allocator of the
 * application may be a point at which pthread_cancel() ends the thread, which
 * must not happen while loop->is_post_taken is set. */
static NOINLINE struct aloop__post_block *open_block(aloop *loop)
{
    struct aloop__post_block *block = loop->spare_posts;

    if (block != NULL) {
        loop->spare_posts = block->next;
        loop->spare_count--;
    } else {
        int cancellation = aloop__cancel_disable();

        block = aloop__alloc_new(&loop->alloc, sizeof *block);
        aloop__cancel_restore(cancellation);
        if (block == NULL)
            return NULL;
    }
    block->used = 0;
    block->left = BLOCK_POSTS;
    loop->open_posts = block;
    return block;
}

/* Returns a post of the open block, or NULL if out of memory. */
static struct aloop__post *next_of_block(aloop *loop)
{
    struct aloop__post_block *block = loop->open_posts;
    struct aloop__post *post;

    if (block == NULL)
        block = open_block(loop);
    if (block == NULL)
        return NULL;
    post = &block->posts[block->used++];
    post->block = block;
    if (block->used == BLOCK_POSTS)
        loop->open_posts = NULL;
    return post;
}

/* Runs on any thread.  Returns a post without contents, or NULL if out of
 * memory. */
static struct aloop__post *post_new(aloop *loop)
{
    struct aloop__post *post;

    if (try_take(loop)) {
        post = next_of_block(loop);
        let_go(loop);
        return post;
    }
    post = aloop__alloc_new(&loop->alloc, sizeof *post);
    if (post != NULL)
        post->block = NULL;
    return post;
}

/* Keeps a block of which all posts have run, or frees it. */
static NOINLINE void block_end(aloop *loop, struct aloop__post_block *block)
{
    if (try_take(loop)) {
        if (loop->spare_count < SPARE_MAX) {
            block->next = loop->spare_posts;
            loop->spare_posts = block;
            loop->spare_count++;
            block = NULL;
        }
        let_go(loop);
    }
    aloop__alloc_free(&loop->alloc, block, sizeof *block);
}

/* Runs on the loop's thread when a post is not needed any more. */
static void post_end(aloop *loop, struct aloop__post *post)
{
    if (post->block == NULL)
        aloop__alloc_free(&loop->alloc, post, sizeof *post);
    else if (--post->block->left == 0)
        block_end(loop, post->block);
}

/* Pushes a post onto those of other calls, or returns false if there are none.
 * The loop is not touched after the push, because the post may have ended it.
 * The call that found the stack empty wakes the loop. */
static bool try_push(aloop *loop, struct aloop__post *post)
{
    post->next = atomic_load_explicit(&loop->posts, memory_order_relaxed);
    while (post->next != NULL)
        if (atomic_compare_exchange_weak(&loop->posts, &post->next, post))
            return true;
    return false;
}

/* Pushes a post, and wakes the loop if the stack was empty.  `posting` is
 * counted around the push and the wake-up, so that aloop_free() can wait until
 * no thread is between them.  The post is not read after the push, because it
 * may have run, and its memory may have been freed. */
static NOINLINE void push_and_wake(aloop *loop, struct aloop__post *post)
{
    struct aloop__post *next = NULL;

    atomic_fetch_add(&loop->posting, 1);
    do
        post->next = next;
    while (!atomic_compare_exchange_weak(&loop->posts, &next, post));
    if (next == NULL)
        aloop_wake(loop);
    atomic_fetch_sub(&loop->posting, 1);
}

/* Runs on any thread. */
int aloop_post(aloop *loop, aloop_fn fn, void *arg)
{
    struct aloop__post *post;

    if (loop == NULL || fn == NULL)
        return ALOOP_EINVAL;
    post = post_new(loop);
    if (post == NULL)
        return ALOOP_ENOMEM;
    post->fn = fn;
    post->arg = arg;
    if (!try_push(loop, post))
        push_and_wake(loop, post);
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
        post_end(loop, post);
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

void aloop__posts_fork(aloop *loop)
{
    atomic_store(&loop->posting, 0);
    if (!try_take(loop)) {
        loop->open_posts = loop->spare_posts = NULL;
        loop->spare_count = 0;
    }
    let_go(loop);
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
    while ((post = loop->post_batch) != NULL) {
        loop->post_batch = post->next;
        post_end(loop, post);
    }
    if (!try_take(loop))
        return; /* Only in a forked child. */
    aloop__alloc_free(&loop->alloc, loop->open_posts, sizeof *loop->open_posts);
    while (loop->spare_posts != NULL) {
        struct aloop__post_block *block = loop->spare_posts;

        loop->spare_posts = block->next;
        aloop__alloc_free(&loop->alloc, block, sizeof *block);
    }
}
