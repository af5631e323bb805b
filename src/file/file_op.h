/* File operations: futures whose work a thread of the pool does.
 *
 * All operations of aloop/file.h and aloop/fs.h are made of this.  Each kind is
 * a struct with a struct aloop__file_op as its first member, followed by the
 * parameters, and a const struct aloop__file_op_kind.  The life of one:
 *
 *     aloop__file_op_new()      allocates it and copies the paths
 *     aloop__file_op_submit()   hands it to the pool
 *     kind->work()              runs on a thread and returns the status
 *     kind->done()              runs on the loop's thread: writes results
 *     aloop__file_op_end()      settles the future
 *
 * A cancel of an operation that no thread has begun takes it back.  One that a
 * thread has begun settles with its own status; its work() may look at
 * aloop__file_op_is_cancelled() between two steps.
 *
 * work() uses the operation and the caller's buffers only.  It must not touch
 * the loop, its allocator or its slab.  What it needs is allocated before it
 * starts, or comes from aloop__alloc_default. */

#ifndef ALOOP_FILE_FILE_OP_H
#define ALOOP_FILE_FILE_OP_H

#include "loop/future.h"
#include "loop/pool.h"

struct aloop__file_op {
    aloop_future future;
    struct aloop__job job;
    struct aloop__node postponed; /* In loop->postponed, if is_postponed. */
    size_t turn_size;             /* What it then needs of a turn. */
    /* Of work(); an error if it did not run. */
    ssize_t status;
    const char *path;   /* Copies, or NULL.  They are one block. */
    const char *target; /* The second path of a kind that has two. */
    size_t paths_size;  /* Of the block. */
    /* The future was cancelled.  Written by the loop's thread. */
    atomic_uint is_cancelled;
    atomic_uint is_at_work; /* A thread is inside work(). */
    bool is_submitted;      /* The pool has the job. */
    bool is_postponed;
    bool has_no_parts; /* The paths and what the kind refers to were freed. */
};

/* The properties of one kind of operation. */
struct aloop__file_op_kind {
    struct aloop__future_ops ops; /* See FILE_OP_FUTURE. */
    int paths;                    /* Number of paths that it requires. */
    /* Does the work, on a thread.  Returns the status. */
    ssize_t (*work)(struct aloop__file_op *op);
    /* Called on the loop's thread when the pool has finished the job or refused
     * it.  op->status is the status, which is an error if work() did not run
     * (ALOOP_ECANCELED in a forked child).  May change it, and writes results
     * if aloop__file_op_is_wanted().  Returns true if the operation ends now
     * with op->status.  After false the kind submits it again, or ends it, now
     * or later.  NULL counts as true. */
    bool (*done)(struct aloop__file_op *op);
    /* Called in a turn after aloop__file_op_postpone(). */
    void (*again)(struct aloop__file_op *op);
    /* Called if the operation is cancelled while no thread works for it: it was
     * taken back from the pool, or it was never there.  Ends it, now or later.
     * NULL ends it with ALOOP_ECANCELED. */
    void (*cancel)(struct aloop__file_op *op);
    /* Frees what the kind's own members refer to, right before the future
     * settles, or when it is freed without a status.  May be NULL. */
    void (*fini)(struct aloop__file_op *op);
};

/* The initial value of kind->ops; `type` is the struct of the kind. */
#define FILE_OP_FUTURE(text, type) \
    { \
        .name = (text), .size = sizeof(type), .cancel = aloop__file_op_cancel, \
        .fini = aloop__file_op_fini, .is_live = true \
    }

/* For FILE_OP_FUTURE only. */
void aloop__file_op_cancel(aloop_future *future);
void aloop__file_op_fini(aloop_future *future);

/* Returns a new operation, whose members after struct aloop__file_op are zero.
 * `function` is the public function, for reports.  Copies the paths; those that
 * the kind does not require are NULL.  On failure it returns NULL, and
 * *ret_refused is what the public function returns: a future that has failed
 * with ALOOP_EINVAL, ALOOP_EPERM (in a forked child) or ALOOP_ENAMETOOLONG, or
 * NULL if out of memory. */
void *aloop__file_op_new(aloop *loop, const struct aloop__file_op_kind *kind,
                         const char *function, const char *path,
                         const char *target, aloop_future **ret_refused);
/* Hands the operation to the pool and returns its future.  If the pool refuses
 * it, done() is called with the error now. */
aloop_future *aloop__file_op_submit(struct aloop__file_op *op);
/* Does the same, but returns an error without calling done() if the pool
 * refuses the operation. */
int aloop__file_op_try_submit(struct aloop__file_op *op);
/* Like aloop__file_op_try_submit(), ahead of all others that wait. */
int aloop__file_op_submit_first(struct aloop__file_op *op);
/* file_turn.c: has kind->again called in a later turn, which may still read
 * `size` bytes then (file_budget.h).  The loop looks for events before that. */
void aloop__file_op_postpone(struct aloop__file_op *op, size_t size);
/* Takes the operation back from the pool, or from a later turn.  Returns false
 * if a thread has begun it. */
bool aloop__file_op_take_back(struct aloop__file_op *op);
/* Settles an operation that is not in the pool, after fini().  Does not call
 * done(). */
void aloop__file_op_end(struct aloop__file_op *op, ssize_t status);

static inline const struct aloop__file_op_kind *aloop__file_op_kind_of(
    const struct aloop__file_op *op)
{
    return (const struct aloop__file_op_kind *) (const void *) op->future.ops;
}

/* For work(). */
static inline bool aloop__file_op_is_cancelled(struct aloop__file_op *op)
{
    return atomic_load_explicit(&op->is_cancelled, memory_order_relaxed);
}

/* For done() and fini(): returns whether the process was forked while a thread
 * was inside work().  That thread is in the parent only, and the child has what
 * work() had changed until then. */
static inline bool aloop__file_op_is_lost(const struct aloop__file_op *op)
{
    return atomic_load_explicit(&op->is_at_work, memory_order_relaxed);
}

/* For done(): returns whether the caller's memory for results is valid and
 * results have a receiver.  If not, they are freed or closed instead. */
static inline bool aloop__file_op_is_wanted(const struct aloop__file_op *op)
{
    return op->future.refs > 0 || op->future.is_detached;
}

#endif
