/* struct aloop, and the types that it consists of.  The only functions here are
 * inline functions of a line or two.
 *
 * The lists of a loop.  Every object has one node per kind of list, and is in
 * at most one list of each kind at a time.
 *
 * Items of work (struct aloop__ready), which other objects embed:
 *
 *   ready      runs in the next turn.  All work is added to its end: settled
 *              futures add their waiters, aloop_defer() its calls, streams
 *              their deferred reads.  Removing an item revokes it.
 *   batch      what this turn still has to run.  The turn begins by moving all
 *              of `ready` there, and takes the items one by one.
 *   flushing   streams with bytes to send, and the pool if it was given jobs.
 *              The first write or job since the last flush adds them; the flush
 *              and the close of a stream remove them.
 *
 *   While a future is pending, an item may be among its waiters instead.
 *
 * Handles:
 *
 *   handles    from aloop__handle_new() to the close.
 *   closed     from aloop__handle_closed() to the end of the turn, which frees
 *              them.
 *
 * Futures:
 *
 *   pending    from the creation of a future until it settles or is cancelled.
 *   exempt     at the loop's end: pending futures that are left to a waiter,
 *              which will cancel them.
 *   asked      those that aloop__future_cancel() is about to cancel, in the
 *              order of the calls.  Empty outside of that function.
 *   cancelled  from the call of ops->cancel until they settle.
 *   notify     by another node: cancelled operations of the application whose
 *              maker was not notified yet.  They are in `ready`, too.
 *   kept       settled futures with owners.  A composition moves a member that
 *              has a grant from here to a list of its own.
 *   unreported settled futures without owners whose error no code has handled.
 *              The end of the turn reports and frees them.  Reports of other
 *              errors (struct aloop__report) wait in the same list, in order.
 *   doomed     futures to be freed after the one that is being freed, which
 *              avoids recursion.  Empty outside of aloop__future_free().
 *
 * Others: `prepares` has what is called before each wait (prepare.c), `signals`
 * the watches of this loop (signal.c), `wake_hooks` the functions that a
 * wake-up calls (wake.c), and `postponed` the operations on files that a later
 * turn begins (file/file_turn.c). */

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

/* For functions that are rarely called, above all the checks of debug loops.
 * The compiler then makes the path without the call the short one. */
#define COLD __attribute__((cold))
/* For rare parts of a function that are kept separate, so that their caller
 * saves no registers for them. */
#define NOINLINE __attribute__((noinline))

/* A function to be called in the next turn.  An item is in at most one list at
 * a time: the ready queue, the batch of this turn, or the waiters of a
 * future. */
struct aloop__ready {
    struct aloop__node node;
    void (*run)(struct aloop__ready *ready);
};

/* A watcher of a descriptor; see io.c. */
struct aloop__io {
    int fd;           /* -1 if not open. */
    unsigned process; /* The descriptor's, or IO_ANY_PROCESS. */
    /* That of the events.  All watchers of a descriptor have the same one,
     * which differs from that of any earlier use of the number. */
    uint32_t generation;
    /* The first error of the connection, from an event or from a failed call,
     * or 0.  It is kept because the socket may report it only once. */
    short error;
    uint8_t armed;      /* REACTOR_* that it watches now. */
    bool is_shared : 1; /* It is part of a struct aloop__io_shared. */
    /* The reactor cannot watch the descriptor.  The owner records in `armed`
     * what it wants, and calls on_ready itself. */
    bool is_unwatched : 1;
    void (*on_ready)(struct aloop__io *io, unsigned bits);
};

/* The process of descriptors that every process may watch. */
#define IO_ANY_PROCESS 0

/* A function that a wake-up calls on the loop's thread, for a part of the
 * library that receives results from other threads or signal handlers. */
struct aloop__wake_hook {
    struct aloop__node node; /* In loop->wake_hooks. */
    void (*run)(struct aloop__wake_hook *hook);
};

enum { BUFFER_CLASSES = 11 };

/* Bits of loop->called: the step has called the application, and it has done so
 * since the last call of the prepares. */
enum { CALLED = 1, CALLED_LATE = 2 };

enum { DEVICES_MAX = 8, KNOWN_PATHS = 32 };

/* The file systems whose files are opened on the loop's thread; see
 * file/file_device.c. */
struct aloop__devices {
    uint64_t ids[DEVICES_MAX]; /* Numbers of mounts or of devices. */
    uint64_t root;             /* That of the root directory; 0: not known. */
    /* The number of the last device that refuses reads that do not wait, 0:
     * none.  A later device with the number has only slower reads. */
    uint64_t refusing;
    /* The last mount whose type was asked for; 0: none. */
    uint64_t strange;
    uint8_t count;
    uint8_t in_memory; /* Bit N is set if ids[N] keeps its files in memory. */
    bool is_off;       /* options.must_use_file_threads */
    bool is_refused;   /* The system has no such call, or forbids it. */
    bool has_looked;   /* The loop's thread has looked at a file. */
    /* After a whole file that was not in the cache, how many of them are not
     * tried, and how many of these are left; see file/fs_cached.c. */
    uint8_t backoff;
    uint8_t skips;
};

struct aloop__debug;
struct aloop__io_walk;
struct aloop__quarantine;
struct aloop__reactor;
struct aloop__retired;
struct aloop__stacks;
struct aloop__switching;
struct aloop__task;
struct aloop__pool;
struct aloop__reports;
struct aloop__post;
struct aloop__post_block;

/* See loop->quiet_waits. */
enum { QUIET_WAITS = 16 };

struct aloop {
    struct aloop__alloc alloc;
    aloop_options options; /* All defaults are filled in. */
    struct aloop__slab slab;
    struct aloop__debug *debug;           /* NULL without options.debug. */
    struct aloop__quarantine *quarantine; /* NULL without it, too. */
    struct aloop__reactor *reactor;

    /* Work: see turn.c for the order. */
    struct aloop__node ready; /* For the next turn. */
    struct aloop__node batch; /* What this turn still has to run. */
    /* Streams with bytes to send, and the pool. */
    struct aloop__node flushing;
    struct aloop__timers timers;
    size_t live;      /* Objects that keep aloop_run() alive. */
    size_t holds;     /* The application's, a part of `live`. */
    size_t lingering; /* Closed streams that still send. */
    bool is_running;  /* Inside a turn. */
    bool is_stopping; /* aloop_stop() was called in this turn. */
    bool was_stopped; /* It was called outside of a turn. */
    bool is_stepping; /* Inside aloop_step(). */
    /* The root task of aloop_main() has ended, and its futures are ending. */
    bool is_finishing;
    uint8_t called; /* CALLED and CALLED_LATE, if the step has called. */
    bool is_dying;  /* Inside aloop_free(). */
    /* All futures are being cancelled, because the loop ends. */
    bool is_ending;
    size_t task_ends; /* Number of tasks that have ended so far. */
    bool is_embedded; /* aloop_fd() was called. */
    bool has_events;  /* The last wait has returned events. */
    /* So many waits have returned no event, but for wake-ups, since one has; at
     * most QUIET_WAITS. */
    uint8_t quiet_waits;
    /* Looks of hosted steps that have found nothing, and that were left out
     * since then; see turn.c. */
    uint8_t vain_looks;
    unsigned skipped; /* Turns since the reactor was last asked. */
    /* The item with which the last of these turns began that was counted.  NULL
     * after aloop__turn_was_counted(); it is only compared. */
    const struct aloop__node *counted;
    /* The last turns were so short that not each has to read the clock. */
    bool is_brisk;
    bool is_lazy;                /* The turn may be left after its batch. */
    bool has_own_clock;          /* The application supplies it. */
    const aloop_future *awaited; /* By run_until_settled() of await.c. */
    int64_t waited_ns;           /* When the reactor was last asked. */
    int64_t floor_ns;            /* Lower bound of the loop's clock. */
    uintptr_t thread;            /* Runs the loop; valid in a turn. */
    /* The items of prepare.c, in the order of their starts; the next one that
     * this round calls; and the number of the round. */
    struct aloop__node prepares;
    struct aloop__node *prepare_at;
    uint32_t prepare_round;
    /* When trim.c acts next, on the system's clock, or INT64_MAX. */
    int64_t trim_ns;
    bool is_trimming; /* Trimming has begun and is not finished. */

    /* The number of the process that owns the loop, and a pointer to the number
     * of the present process.  They are equal, except in a forked child before
     * aloop_after_fork(). */
    unsigned process;
    bool is_marked; /* The system sets the number of a forked child to 0. */
    const atomic_uint *process_mark;

    /* All objects of the loop, in the lists that are described above. */
    struct aloop__node handles;
    struct aloop__node closed;    /* Handles to be freed at the turn's end. */
    struct aloop__node pending;   /* Not settled, not cancelled. */
    struct aloop__node asked;     /* Futures about to be cancelled. */
    struct aloop__node cancelled; /* Cancelled futures. */
    /* Futures that are left to their waiters, at the loop's end. */
    struct aloop__node exempt;
    bool is_cancelling;        /* Inside cancel_asked() of future.c. */
    struct aloop__node notify; /* Operations whose on_cancel is to be called. */
    bool is_notifying;         /* Inside aloop__operations_call(). */
    struct aloop__node doomed; /* Futures that are about to be freed. */
    bool is_destroying;        /* Inside free_in_order() of future.c. */
    /* Failed futures without references, and other reports, until the end of
     * the turn. */
    struct aloop__node unreported;
    /* Settled futures that have references besides those of their waiters. */
    struct aloop__node kept;
    struct aloop__node datas; /* Of struct aloop__data that were given. */
    struct aloop__reports *reports;

    /* Calls the streams that have ended and had no memory to be queued; see
     * stream/stream.c.  Its `run` is NULL until then. */
    struct aloop__ready stream_ends;

    /* The watchers of each descriptor, by its number: a list, or NULL. */
    struct aloop__io **ios;
    size_t io_count;
    uint32_t generation; /* The last one that was assigned. */
    bool has_closed_io;  /* A watch has ended since the last wait. */
    bool has_new_io;     /* A watcher that shares was added since then. */
    bool is_renewal_due; /* The last aloop__io_renew() has failed. */
    /* Of RECEIVE_SIZE and then CORK_SIZE bytes; allocated on first use. */
    char *receive_buffer;
    char *batch_buffer; /* Of BATCH_SIZE bytes; allocated on first use. */
    /* The handle of the stream whose on_data is running, or NULL. */
    struct aloop__handle *dispatching;
    /* Bytes of the receive buffer, or of the cork behind it, that the on_data
     * of a stream has put.  They are sent when it returns; see
     * aloop__stream_send_replies(). */
    size_t lent_size;
    const char *lent;
    /* How many bytes behind these on_data may put without further checks.  It
     * is not beside lent_size, because compilers would combine the changes of
     * both in a vector, which takes more instructions. */
    size_t lent_room;
    struct {
        struct aloop__free_buffer *first; /* Returned in this window. */
        struct aloop__free_buffer *aging; /* Returned before this window. */
        struct aloop__free_buffer *stale; /* Unused for a window. */
        unsigned count;                   /* Of all three lists. */
    } buffers[BUFFER_CLASSES];            /* Unused ones; see buffers.c. */
    size_t buffer_bytes;                  /* Total size of all unused ones. */
    struct aloop__io_walk *io_walks;      /* Under way; see io.c. */
    /* Number of waits after which watchers were added that share. */
    uint32_t io_joins;

    /* Other threads and signal handlers.  Flags are atomic_uint, not
     * atomic_bool: riscv64 has no sub-word atomic exchange without
     * libatomic. */
    int wake_fds[2];
    struct aloop__io wake_io;
    atomic_uint is_waking;               /* A wake-up is under way. */
    _Atomic(struct aloop__post *) posts; /* Last in, first out. */
    atomic_uint posting;                 /* Threads that push and wake. */
    /* Posts that were taken from `posts`, oldest first.  NULL between turns,
     * except in a child that was forked by a post. */
    struct aloop__post *post_batch;
    atomic_uint is_post_taken; /* A thread uses the next three; see post.c. */
    struct aloop__post_block *open_posts;
    struct aloop__post_block *spare_posts;
    unsigned spare_count;
    atomic_uint was_signalled;     /* A signal was received. */
    struct aloop__node wake_hooks; /* Of struct aloop__wake_hook. */
    struct aloop__wake_hook post_hook;
    struct aloop__wake_hook signal_hook; /* For signal.c. */
    struct aloop__node signals;          /* Of this loop; see signal.c. */

    struct aloop__pool *pool; /* NULL until it is first used. */
    aloop_future *hit;   /* See file/file_cached.c; NULL until it is used. */
    size_t cached_bytes; /* Of files, read from the page cache in this turn. */
    struct aloop__node postponed;      /* File operations; file/file_turn.c. */
    struct aloop__ready postponed_due; /* Begins them. */
    struct aloop__devices devices;
    /* Hashes of paths that file/fs_cached.c has read, and that
     * aloop__file_open_near() opens; 0: none. */
    uint64_t known_paths[KNOWN_PATHS];

    /* Tasks; task.c. */
    struct aloop__stacks *stacks;       /* NULL until they are first used. */
    struct aloop__task *current;        /* The task that is running, or NULL. */
    struct aloop__switching *switching; /* Of task/switch.c, or NULL. */
    void (*fini_tasks)(aloop *loop);
    /* Returns whether awaits of the task should end early. */
    bool (*is_interrupted)(const struct aloop__task *task);
    struct aloop__fault_stack fault_stack; /* Used with options.debug. */
    struct aloop__retired *retired;        /* Stacks of ended tasks, or NULL. */
    bool is_watching_faults;
    /* A task was cancelled, or a deadline has passed.  Until then, no await has
     * to end early. */
    bool was_interrupted;
};

/* Returns whether the loop belongs to another process.  This means that the
 * caller is a forked child that has not called aloop_after_fork(), or whose
 * call has failed. */
static inline bool aloop__is_foreign(const aloop *loop)
{
    return loop->process !=
           atomic_load_explicit(loop->process_mark, memory_order_relaxed);
}

/* The same, also where the system cannot mark a forked child.  There it costs a
 * system call.  It is called before a turn, and before anything that would
 * change the watches of the parent or wait for its threads. */
static inline bool aloop__is_foreign_by_pid(const aloop *loop)
{
    return aloop__is_foreign(loop) ||
           (!loop->is_marked && aloop__sys_process_id() != loop->process);
}

#endif
