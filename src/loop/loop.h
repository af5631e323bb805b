/* The loop's inside: what every other part hangs on to. */

#ifndef ALOOP_LOOP_LOOP_H
#define ALOOP_LOOP_LOOP_H

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

/* Something to be called in the next turn.  In at most one list at a time: the
 * ready queue, the batch of this turn, or the waiters of a future. */
struct aloop__ready {
    struct aloop__node node;
    void (*run)(struct aloop__ready *ready);
};

/* What a handle is to the loop; each kind embeds one.
 *
 *          activate          close                 the turn ends
 *     IDLE <-------> ACTIVE -------> CLOSED (in loop->closed) ----> freed
 *       +------------------------------^                              */
struct aloop__handle {
    struct aloop__node node; /* In loop->handles, or in loop->closed. */
    aloop *loop;
    const struct aloop__handle_ops *ops;
    bool active;     /* Counted in loop->live if also referenced. */
    bool referenced; /* True at first. */
    bool closed;
};

/* What differs between kinds of handle. */
struct aloop__handle_ops {
    const char *name; /* "timer"; for reports. */
    size_t size;                                /* Of the whole object. */
    void (*close)(struct aloop__handle *handle); /* As the user's close. */
    /* In a forked child: what concerns the parent is forgotten.  Or NULL. */
    void (*fork)(struct aloop__handle *handle);
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

/* A call from another thread. */
struct aloop__post {
    struct aloop__post *next;
    aloop_fn fn;
    void *arg;
};

enum { BUFFER_CLASSES = 11 };

struct aloop__debug;
struct aloop__reactor;
struct aloop__stacks;
struct aloop__context;
struct aloop__task;
struct aloop__pool;
struct aloop__reports;

struct aloop {
    struct aloop__alloc alloc;
    aloop_options options; /* With every default filled in. */
    struct aloop__slab slab;
    struct aloop__debug *debug; /* NULL: without options.debug. */
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
        struct aloop__free_buffer *first;
        unsigned count;
    } buffers[BUFFER_CLASSES]; /* Unused ones; see buffers.c. */

    /* Other threads and signal handlers.  What is exchanged is a word even if
     * it is a truth: on riscv64 an exchange of less takes a library. */
    int wake_fds[2];
    struct aloop__io wake_io;
    atomic_uint waking;                   /* A wake-up is on its way. */
    _Atomic(struct aloop__post *) posts;  /* Last in, first out. */
    atomic_uint signalled;                /* A signal handler left something. */
    void (*on_signalled)(aloop *loop);
    struct aloop__node signals;           /* Signal watches of this loop. */

    struct aloop__pool *resolver; /* NULL until first needed. */

    /* Tasks; task.c. */
    struct aloop__stacks *stacks; /* NULL until first needed. */
    struct aloop__task *current;  /* The task that runs, or NULL. */
    struct aloop__context *context; /* Of the loop itself; task.c makes it. */
    void (*fini_tasks)(aloop *loop);
    struct aloop__fault_stack fault_stack; /* Of a loop with options.debug. */
    bool is_watching_faults;
};

enum { RECEIVE_SIZE = 64 * 1024, EVENTS_MAX = 256 };

/* loop.c */

/* Whether aloop_new() would take these options. */
bool aloop__options_are_valid(const aloop_options *given);

/* The clock, never going back. */
int64_t aloop__now(aloop *loop);
/* now + delay_ns, saturating at the end of time; a negative delay is none. */
int64_t aloop__after(int64_t now_ns, int64_t delay_ns);
/* From now to when_ns, saturating; 0 if that has passed. */
int64_t aloop__until(int64_t now_ns, int64_t when_ns);
/* What the loop has to do has changed while a host may be waiting. */
void aloop__touch(aloop *loop);
/* aloop__timed_start and aloop__timed_stop, and the host is told. */
int aloop__timed_set(aloop *loop, struct aloop__timed *timed,
                     int64_t when_ns);
void aloop__timed_clear(aloop *loop, struct aloop__timed *timed);
/* The loop whose turn runs on this thread, or NULL. */
aloop *aloop__running(void);

/* report.c */

/* Queues a report for the application's hook.  `what` is copied.  Needs no
 * memory: what does not fit is counted. */
void aloop__unhandled(aloop *loop, int error, const char *what);

/* Whether the loop belongs to another process: the caller is a forked child
 * that has not called aloop_after_fork(), or whose call has failed. */
static inline bool aloop__is_foreign(const aloop *loop)
{
    return loop->process !=
           atomic_load_explicit(loop->process_mark, memory_order_relaxed);
}

/* debug.c: the time is taken. */
void aloop__debug_calling(aloop *loop);

/* Notes that the application is about to be called back. */
static inline void aloop__calling(aloop *loop)
{
    loop->has_called = true;
    if (loop->debug != NULL)
        aloop__debug_calling(loop);
}

/* Whether a callback of a handle may run now, which is then noted.  None does
 * inside aloop_free(): what its `arg` points to may be gone. */
static inline bool aloop__may_call(aloop *loop)
{
    aloop__calling(loop);
    return !loop->dying;
}

static inline void aloop__ready_push(aloop *loop, struct aloop__ready *ready)
{
    list_push(&loop->ready, &ready->node);
    if (loop->embedded)
        aloop__touch(loop);
}

/* turn.c */

/* One turn, with a wait of at most max_wait_ns (< 0: for ever).  `lazy` allows
 * it to leave the reactor alone while there is other work, for a while. */
int aloop__turn(aloop *loop, int64_t max_wait_ns, bool lazy);
bool aloop__has_work(aloop *loop); /* Something for the next turn, now. */

/* handle.c */

/* A zeroed handle of ops->size bytes, referenced, idle; or NULL. */
void *aloop__handle_new(aloop *loop, const struct aloop__handle_ops *ops);
void aloop__handle_set_active(struct aloop__handle *handle, bool active);
void aloop__handle_set_referenced(struct aloop__handle *handle,
                                  bool referenced);
/* Idle, out of loop->handles, freed when the turn ends. */
void aloop__handle_closed(struct aloop__handle *handle);
void aloop__handles_free_closed(aloop *loop);
void aloop__handles_close_all(aloop *loop);
bool aloop__handles_active(const aloop *loop); /* Any, referenced or not. */
/* Those that are closed and still have something to do. */
void aloop__handles_close_lingering(aloop *loop);
/* In a forked child: see aloop__handle_ops.fork. */
void aloop__handles_fork(aloop *loop);

/* io.c */

/* Takes `fd` under watch, of nothing yet.  ALOOP_ENOMEM. */
int aloop__io_open(aloop *loop, struct aloop__io *io, int fd,
                   void (*on_ready)(struct aloop__io *io, unsigned bits));
/* Watches exactly `bits` (REACTOR_READ | REACTOR_WRITE). */
int aloop__io_arm(aloop *loop, struct aloop__io *io, unsigned bits);
/* Stops watching; returns the descriptor, still open, or -1. */
int aloop__io_close(aloop *loop, struct aloop__io *io);
/* A call on the descriptor has failed with `error`, or its event brought one:
 * keeps the first that ends the connection.  Returns what to report, which is
 * that one in the place of those that follow. */
int aloop__io_failed(struct aloop__io *io, int error);
struct aloop__event;
/* The reactor may have taken the errors that it reports: before any callback
 * can use the descriptors, they are kept. */
void aloop__io_keep_errors(aloop *loop, const struct aloop__event *events,
                           int count);
/* Calls back for what the reactor reported. */
void aloop__io_dispatch(aloop *loop, const struct aloop__event *event);
/* After fork, or when the reactor reports what cannot be removed. */
int aloop__io_renew(aloop *loop);
/* Whether what is at the descriptor belongs to this process. */
static inline bool aloop__io_is_ours(const aloop *loop,
                                     const struct aloop__io *io)
{
    return (io->process == loop->process || io->process == IO_ANY_PROCESS) &&
           !aloop__is_foreign(loop);
}

/* Before the application uses the descriptor: a forked child takes over what
 * was its parent's, and watches it.  ALOOP_EPERM if the loop is foreign, or is
 * being freed and so has no use for it; what watching failed with. */
int aloop__io_claim(aloop *loop, struct aloop__io *io);

/* post.c */

int aloop__wake_open(aloop *loop);
void aloop__wake_close(aloop *loop); /* Queued posts are dropped. */
int aloop__wake_renew(aloop *loop);  /* After fork: a channel of its own. */
/* Calls back for the signals that were received, and runs what was posted. */
void aloop__posts_run(aloop *loop);

/* A buffer of RECEIVE_SIZE bytes that whoever is being dispatched may use;
 * NULL when there is no memory. */
char *aloop__receive_buffer(aloop *loop);

#endif
