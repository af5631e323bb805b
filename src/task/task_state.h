/* struct aloop__task, which all files of this folder share. */

#ifndef ALOOP_TASK_TASK_STATE_H
#define ALOOP_TASK_TASK_STATE_H

#include "aloop/task.h"
#include "loop/future.h"
#include "loop/running.h"
#include "os/context.h"
#include "os/stack.h"

enum aloop__task_state {
    TASK_NEW,     /* No stack yet; its ready node is queued. */
    TASK_BEGUN,   /* loop->current, and has never waited. */
    TASK_RUNNING, /* loop->current. */
    TASK_WAITING, /* In aloop_await or aloop_yield. */
    TASK_ENDED    /* The function has returned `result`. */
};

/* aloop_spawn_at() initialises each member but the context and the result. */
struct aloop__task {
    /* A switch accesses only the second cache line: `sp` of the context is its
     * last word. */
    aloop_future future;
    /* Resumes the task.  Its node is queued, or among the waiters of the
     * awaited future. */
    struct aloop__awaiter awaiter;
    uint8_t state; /* An enum aloop__task_state. */
    bool is_cancelled;
    /* The present await ends although its future is still pending. */
    bool is_leaving;
    uint8_t streak; /* Consecutive awaits that did not suspend. */
    int interrupt;  /* Why the present await ends early, or 0. */
    struct aloop__context context;
    struct aloop__stack stack;
    struct aloop__node deadlines; /* Scopes, innermost last. */
    size_t stack_size;            /* Bytes; 0: the default of the loop. */
    ssize_t result;
    unsigned shields;  /* Shields that have not ended. */
    unsigned passed;   /* The number of scopes whose deadline passed. */
    unsigned passings; /* The last number given; reset when `passed` is 0. */
    uint8_t name_room; /* Bytes of the copy; 0: not a copy. */
    aloop_task_fn fn;
    void *arg;
    char *name;        /* A copy, or the caller's literal. */
    const char *where; /* "file.c:12", a literal. */
    struct aloop__tie tie;
};

static inline struct aloop__task *aloop__task_of(const aloop_future *future)
{
    return CONTAINER_OF(future, struct aloop__task, future);
}

/* The task that runs on the calling thread, or NULL. */
static inline struct aloop__task *aloop__task_current(void)
{
    aloop *loop = aloop__running();

    return loop == NULL ? NULL : loop->current;
}

#endif
