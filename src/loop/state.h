/* struct aloop, and what it is made of.  No functions but the shortest.
 *
 * The lists of a loop.  Every object is in at most one list of its kind at a
 * time, by the one node that it has for that.
 *
 * Items of work (struct aloop__ready), whoever embeds them:
 *
 *   ready      runs in the next turn.  Everything that has work to do adds to
 *              its end: settled futures add their waiters, aloop_defer() its
 *              calls, streams their deferred reads.  An item is taken back by
 *              removing it.
 *   batch      what this turn has still to run.  The turn moves all of `ready`
 *              there as it begins, and takes the items one by one.
 *   flushing   streams with bytes to send, added by the first write since the
 *              last flush, removed by the flush and by the close of a stream.
 *
 *   While a future is pending, an item may be among its waiters instead.
 *
 * Handles:
 *
 *   handles    from aloop__handle_new() to the close.
 *   closed     from aloop__handle_closed() to the end of the turn, which frees
 *              them.
 *
 * Futures, by their node `pending`:
 *
 *   pending    from the making of a future until it settles or is cancelled.
 *   spared     as a loop comes to its end: pending ones that something waits
 *              for which will cancel them.
 *   asked      those that aloop__future_cancel() is about to ask to end, in the
 *              order of asking.  Empty, except inside of that function.
 *   cancelled  from their ops->cancel until they settle.
 *   kept       settled ones with owners.  Compositions move a member that has
 *              a grant from here to a list of their own.
 *   unread     settled ones without owners whose error nothing has handled.
 *              The end of the turn reports and frees them.  Reports of other
 *              errors (struct aloop__report) wait in the same list, in order.
 *   doomed     those to be freed, while another one is being freed: this keeps
 *              the recursion flat.  Empty, except inside aloop__future_free().
 *
 * Others: `signals` has the watches of this loop (signal.c), `wake_hooks` what
 * a wake-up calls (wake.c). */

#ifndef ALOOP_LOOP_STATE_H
#define ALOOP_LOOP_STATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "aloop/base.h"
#include "aloop/error.h"
#include "aloop/loop.h"
#include "base/alloc.h"
#include "base/list.h"
#include "base/slab.h"
#include "loop/timed.h"
#include "os/fault.h"
#include "os/sys.h"

/* For functions that are called so rarely that the way around the call is to
 * be the short one: what finds mistakes in debug loops, above all. */
#define COLD __attribute__((cold))
/* For parts that are kept out of the functions that call them: those then save
 * no registers for what they seldom do. */
#define NOINLINE __attribute__((noinline))

/* Something to be called in the next turn.  In at most one list at a time: the
 * ready queue, the batch of this turn, or the waiters of a future. */
struct aloop__ready {
    struct aloop__node node;
    void (*run)(struct aloop__ready *ready);
};

/* A descriptor that the loop watches; see io.c. */
struct aloop__io {
    int fd;              /* -1: not open. */
    uint32_t generation; /* Differs from any earlier use of the same fd. */
    unsigned process;    /* That it belongs to, or IO_ANY_PROCESS. */
    uint16_t armed;      /* REACTOR_* that the reactor watches now. */
    short error;         /* The first error of the connection that an event
                          * brought or a call failed with; 0: none.  The socket
                          * may not report it a second time. */
    void (*on_ready)(struct aloop__io *io, unsigned bits);
};

/* As a process: a forked child shares what it is at with its parent. */
#define IO_ANY_PROCESS 0

/* What a wake-up calls on the loop's thread, for a part of the library that has
 * results from other threads or from signal handlers. */
struct aloop__wake_hook {
    struct aloop__node node; /* In loop->wake_hooks. */
    void (*run)(struct aloop__wake_hook *hook);
};

enum { BUFFER_CLASSES = 11 };

struct aloop__debug;
struct aloop__quarantine;
struct aloop__reactor;
struct aloop__stacks;
struct aloop__context;
struct aloop__task;
struct aloop__pool;
struct aloop__reports;
struct aloop__post;

struct aloop {
    struct aloop__alloc alloc;
    aloop_options options; /* With every default filled in. */
    struct aloop__slab slab;
    struct aloop__debug *debug; /* NULL: without options.debug, */
    struct aloop__quarantine *quarantine; /* and so is this. */
    struct aloop__reactor *reactor;

    /* Work: see turn.c for the order. */
    struct aloop__node ready;    /* For the next turn. */
    struct aloop__node batch;    /* What this turn still has to run. */
    struct aloop__node flushing; /* Streams with bytes to send, of struct
                                  * aloop__ready as well. */
    struct aloop__timers timers;
    size_t live;                 /* What keeps aloop_run() going. */
    size_t holds;                /* The user's, part of live. */
    size_t lingering;            /* Closed streams that still send. */
    bool running;                /* Inside a turn. */
    bool stopping;               /* aloop_stop() was called in this turn, */
    bool stops_next;             /* or before the next aloop_run(). */
    bool is_stepping;            /* Inside aloop_step(), */
    bool has_called;             /* which has called the application back. */
    bool dying;                  /* Inside aloop_free(). */
    bool ending;                 /* All futures are being cancelled, because
                                  * the loop comes to its end. */
    size_t task_ends;            /* How many tasks have ended so far. */
    bool embedded;               /* aloop_fd() was asked for. */
    unsigned skipped;            /* Turns since the reactor was asked. */
    int64_t waited_ns;           /* When the reactor was last asked. */
    int64_t floor_ns;            /* The clock never goes below. */
    uintptr_t thread;            /* That runs it; of use while `running`. */
    int64_t trim_ns;             /* When trim.c gives memory back, or
                                  * INT64_MAX; on the system's clock. */
    bool is_trimming;            /* It is in the middle of that. */

    /* The process that it belongs to, and what the present one reads here: the
     * same, except in a forked child before aloop_after_fork(). */
    unsigned process;
    const atomic_uint *process_mark;

    /* Everything that exists. */
    struct aloop__node handles;
    struct aloop__node closed;  /* Handles to be freed at the turn's end. */
    struct aloop__node pending; /* Futures that have not settled, */
    struct aloop__node asked;   /* those that are being cancelled, */
    struct aloop__node cancelled; /* those that were, */
    struct aloop__node spared;  /* and, as the loop comes to its end, those
                                 * that are left to what waits for them. */
    bool is_cancelling;         /* Inside ops->cancel of one of them. */
    struct aloop__node doomed;  /* Futures that are to be freed, */
    bool is_destroying;         /* inside ops->fini of one of them. */
    struct aloop__node unread;  /* Failed ones that nobody holds any more, and
                                 * other reports, for the turn's end. */
    struct aloop__node kept;    /* Settled ones that are held, and not only by
                                 * those that waited for them. */
    struct aloop__reports *reports;

    /* Descriptors, by number. */
    struct aloop__io **ios;
    size_t io_count;
    uint32_t generation;   /* The last one given out. */
    bool io_closed;        /* Or one disarmed, since the reactor was asked. */
    bool is_renewal_due;   /* The last aloop__io_renew() has failed. */
    char *receive_buffer;  /* RECEIVE_SIZE bytes, made when first needed. */
    struct {
        struct aloop__free_buffer *first;   /* Given back in this window, */
        struct aloop__free_buffer *idle;    /* before it began, */
        struct aloop__free_buffer *surplus; /* and longer ago: to be freed. */
        unsigned count;                     /* Of all these. */
    } buffers[BUFFER_CLASSES]; /* Unused ones; see buffers.c. */
    size_t buffer_bytes;       /* Of all that are unused. */

    /* Other threads and signal handlers.  Flags are atomic_uint, not
     * atomic_bool: riscv64 has no sub-word atomic exchange without
     * libatomic. */
    int wake_fds[2];
    struct aloop__io wake_io;
    atomic_uint waking;                   /* A wake-up is on its way. */
    _Atomic(struct aloop__post *) posts;  /* Last in, first out. */
    struct aloop__post *taken;            /* And what is to run, oldest first:
                                           * NULL between turns, except in a
                                           * child that a post has forked. */
    atomic_uint signalled;                /* A signal was received. */
    struct aloop__node wake_hooks;        /* Of struct aloop__wake_hook. */
    struct aloop__wake_hook post_hook;
    struct aloop__wake_hook signal_hook;  /* signal.c's, */
    struct aloop__node signals;           /* and the watches of this loop. */

    struct aloop__pool *resolver; /* NULL until first needed. */

    /* Tasks; task.c. */
    struct aloop__stacks *stacks; /* NULL until first needed. */
    struct aloop__task *current;  /* The task that runs, or NULL. */
    struct aloop__context *context; /* Of the loop itself; task.c makes it. */
    void (*fini_tasks)(aloop *loop);
    struct aloop__fault_stack fault_stack; /* Of a loop with options.debug. */
    bool is_watching_faults;
};

/* Whether the loop belongs to another process: the caller is a forked child
 * that has not called aloop_after_fork(), or whose call has failed. */
static inline bool aloop__is_foreign(const aloop *loop)
{
    return loop->process !=
           atomic_load_explicit(loop->process_mark, memory_order_relaxed);
}

#endif
