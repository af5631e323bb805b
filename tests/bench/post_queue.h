/* A lock-free queue of calls for peers whose threads can only wake a loop. */

#ifndef POST_QUEUE_H
#define POST_QUEUE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct post_queue {
    _Atomic(struct post *) newest;
};

/* Returns whether the queue was empty, so that the loop has to be woken. */
static inline _Bool post_push(struct post_queue *queue, void (*fn)(void *arg),
                              void *arg)
{
    struct post *post = malloc(sizeof *post);

    if (post == NULL)
        abort();
    post->fn = fn;
    post->arg = arg;
    post->next = atomic_load(&queue->newest);
    while (!atomic_compare_exchange_weak(&queue->newest, &post->next, post))
        continue;
    return post->next == NULL;
}

/* Calls and frees all, oldest first. */
static inline void post_run(struct post_queue *queue)
{
    struct post *post = atomic_exchange(&queue->newest, NULL), *oldest = NULL;

    while (post != NULL) {
        struct post *next = post->next;

        post->next = oldest;
        oldest = post;
        post = next;
    }
    while ((post = oldest) != NULL) {
        oldest = post->next;
        post->fn(post->arg);
        free(post);
    }
}

#endif
