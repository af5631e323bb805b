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
    TASK_RUNNING, /* loop->current. */
    TASK_WAITING, /* In aloop_await or aloop_yield. */
    TASK_ENDED    /* The function has returned `result`. */
};

struct aloop__task {
    aloop_future future;
    /* Resumes the task.  Its node is queued, or among the waiters of the
     * awaited future. */
    struct aloop__awaiter awaiter;
    struct aloop__tie tie;
    struct aloop__context context;
    struct aloop__stack stack;
    aloop_task_fn fn;
    void *arg;
    char *name;        /* A copy, or the caller's literal. */
    const char *where; /* "file.c:12", a literal. */
    size_t name_room;  /* Bytes of the copy; 0: not a copy. */
    size_t stack_size; /* Bytes; 0: the default of the loop. */
    ssize_t result;
    enum aloop__task_state state;
    bool is_cancelled;
    unsigned shields; /* Shields that have not ended. */
    unsigned streak;  /* Consecutive awaits that did not suspend. */
    int interrupt;    /* Why the present await ends early, or 0. */
    /* The present await ends although its future is still pending. */
    bool is_leaving;
    struct aloop__node deadlines; /* Scopes, innermost last. */
    unsigned passed;   /* The number of scopes whose deadline passed. */
    unsigned passings; /* The last number given; reset when `passed` is 0. */
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
