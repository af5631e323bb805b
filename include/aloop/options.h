/* What a loop is made with.
 *
 * The rule about `size` holds for every struct of options.  A program may have
 * been compiled with another version of this header than the library:
 *
 *     `size`                        effect
 *     the library's size            accepted
 *     smaller                       accepted; the fields beyond it are zero
 *     larger, unknown bytes zero    accepted
 *     larger, unknown bytes set     refused
 *     ends inside a field, or 0     refused
 */

#ifndef ALOOP_OPTIONS_H
#define ALOOP_OPTIONS_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Receives an error that no code handled.
 *
 * Such an error is that of a future that failed and whose status was never
 * read, of an accept that failed and will be tried again, or of a periodic
 * timer that could not be started again.  `what` names the origin: "task crawl
 * (main.c:12)", "connect to example.org:80", "accept on 0.0.0.0:80", "map, item
 * 3 of 9,".  An error that the callback causes is reported in the next turn.
 *
 * Reports need no memory.  If a turn has more of them than the loop can keep,
 * the last one has ALOOP_ENOBUFS and the number of the others.
 *
 * Memory:  `what` is valid until the callback returns.
 * Context: the end of a turn, never inside another call.  The callback may
 *          close, free and start anything.
 */
typedef void (*aloop_error_cb)(aloop *loop, int error, const char *what,
                               void *arg);

/**
 * Holds the options of a loop.
 *
 * Set `size` to sizeof(aloop_options) and the fields that are needed.  Zero in
 * any other field selects its default.
 *
 * Mistakes that `debug` detects are reported to `on_unhandled` as
 * ALOOP_EMISUSE.  The report names the function, the task that called it and
 * where that task was spawned, the object, and what to do instead.  Each
 * function, caller and name is reported once, and at most 32 reports are made.
 * The function then has no effect and returns ALOOP_EINVAL, or ALOOP_EPERM on
 * the wrong thread.  The mistakes are:
 *
 * - a call on another thread while the loop runs;
 * - a future that is used after its last reference was given away;
 * - a handle that is used after it was closed or freed, or is NULL;
 * - an await or a yield in a callback;
 * - an await of a future that itself waits for the task that awaits it;
 * - a task that ends because it was dropped without an aloop_cancel();
 * - a callback or a task that occupied the loop for 100 ms or more.
 *
 * With `debug`, memory that is freed is not reused immediately: this holds for
 * 256 objects, and for at most 64 KiB.  The stacks of the 32 tasks that ended
 * last are inaccessible.  The use of one of them, and a task that overruns its
 * stack, end the process with a line on standard error that names the task and
 * where it was spawned.  For this purpose a handler of SIGSEGV and SIGBUS is
 * installed, from the first task of such a loop until aloop_free() of the last
 * such loop.  The handler passes every other fault on to the handler that it
 * found.  Each thread that runs a turn meanwhile has an alternate signal stack:
 * its own, or one of the loop.
 *
 * See:     aloop_new(), aloop_main_with().
 */
typedef struct aloop_options {
    /* Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /* Allocator: as realloc(), with the same alignment, and is given the old
     * size.  With a new_size of 0 it frees and returns NULL.  Must be
     * thread-safe if aloop_post() is called on other threads.  `resize_context`
     * is its first argument.  Default: realloc() and free(), and whole pages
     * from the system for small objects. */
    void *(*resize)(void *context, void *old, size_t old_size, size_t new_size);
    void *resize_context;
    /* Clock: nanoseconds that never decrease (a decrease is ignored).  Any
     * value is allowed; sums and differences saturate.  Waits still use the
     * clock of the system.  `clock_context` is its argument.  Default: the
     * monotonic clock. */
    int64_t (*clock_ns)(void *context);
    void *clock_context;
    /* Usable bytes of a task's stack; smaller values are raised to 32 KiB.
     * Default: 192 KiB; 48 KiB where address space is scarce, see
     * aloop/task.h. */
    size_t stack_size;
    /* Threads for name look-ups, started on demand.  Threads whose look-up was
     * cancelled are not counted; together with these there are at most 64.
     * Default: 4. */
    unsigned resolver_threads;
    /* Receives errors that no code handled.  Default: writes a line on standard
     * error, at most ten lines a second, followed by the number of lines that
     * were omitted.  The default never blocks.  It writes only while descriptor
     * 2 is the file that it was when the loop was made, and nothing if it was
     * closed then or had been opened by the program itself (closed by exec, not
     * writable, an internet socket).  `on_unhandled_arg` is its last
     * argument. */
    aloop_error_cb on_unhandled;
    void *on_unhandled_arg;
    /* Detects mistakes, as described above; costs some speed and about 128 KiB.
     * Always true in a library that was built without NDEBUG. */
    bool debug;
    /* For aloop_main_with(): SIGINT and SIGTERM cancel the root task.  A loop
     * itself ignores this field. */
    bool cancel_on_interrupt;
    /* Threads for files and file systems, at most 64, started on demand.
     * Default: 4. */
    unsigned file_threads;
    /* Threads for aloop_work(), at most 1024, started on demand.  Default: the
     * number of processors on which the process may run. */
    unsigned work_threads;
    /* Nanoseconds by which timers, sleeps and deadlines may be late, so that
     * those that are due at nearly the same time share a wake-up.  They still
     * never expire early, and expire in order.  What is due when the loop would
     * begin to wait is not delayed.  With INT64_MAX, or a value that leads
     * beyond the range of the clock, they end no wait: they expire when
     * something else has ended it.  A negative value counts as 0.  Default: 0,
     * they expire as exactly as the clock allows. */
    int64_t timer_slack_ns;
    /* Uses a thread for each call that opens or reads a file, also of what is
     * cached; see aloop/file.h.  It is for programs whose opens and reads may
     * have to wait for another one that checks them (fanotify(7)), and for
     * filters of system calls that end the process.  Default: false. */
    bool must_use_file_threads;
} aloop_options;

ALOOP_END

#endif
