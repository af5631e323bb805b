/* struct aloop__task, which the files of this layer share. */

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
    struct aloop__wait wait; /* Resumes it: queued, or among the waiters of
                              * what it awaits. */
    struct aloop__tie tie;
    struct aloop__context context;
    struct aloop__stack stack;
    aloop_task_fn fn;
    void *arg;
    char *name;        /* Ours if copied, else the caller's literal. */
    const char *where; /* "file.c:12", a literal. */
    size_t name_room;  /* Bytes of the copy; 0: not copied. */
    size_t stack_size; /* 0: the loop's. */
    ssize_t result;
    enum aloop__task_state state;
    bool cancelled;
    unsigned shields;   /* Begins without their ends. */
    unsigned streak;    /* Awaits in a row that did not have to wait. */
    aloop_future *awaiting;
    int interrupt;      /* Why the present await ends early; 0: it does not. */
    bool let_go;        /* And without waiting for `awaiting` to settle. */
    struct aloop__node deadlines; /* Scopes, innermost last. */
    unsigned passed;    /* Of them, how many have passed. */
    unsigned passings;  /* Counts up while any has; see deadline.c. */
};

static inline struct aloop__task *aloop__task_of(const aloop_future *future)
{
    return CONTAINER_OF(future, struct aloop__task, future);
}

/* The task that runs on this thread, or NULL. */
static inline struct aloop__task *aloop__task_current(void)
{
    aloop *loop = aloop__running();

    return loop == NULL ? NULL : loop->current;
}

#endif
