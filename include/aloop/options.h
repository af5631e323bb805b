/* What a loop is made with.  The rule about `size` holds for every struct of
 * options. */

#ifndef ALOOP_OPTIONS_H
#define ALOOP_OPTIONS_H

#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Is called for an error that nobody handled: a future that failed and whose
 * status was never read, an accept that failed and will be tried again, a
 * periodic timer that could not be set again.  `what` names the origin ("task
 * crawl (main.c:12)", "connect to example.org:80", "accept on 0.0.0.0:80",
 * "map, item 3 of 9,"), valid during the call.  It runs as a turn ends, never
 * inside another call, and may close, free and start anything.  An error that
 * it causes itself is reported in the next turn.  Reports need no memory; a
 * turn with more of them than the loop can keep ends with one of ALOOP_ENOBUFS
 * that tells how many.
 */
typedef void (*aloop_error_cb)(aloop *loop, int error, const char *what,
                               void *arg);

/**
 * What a loop is made with.  Set `size` to sizeof(aloop_options) and what you
 * need; zero everywhere else means the default.  A program may have been
 * compiled with another version of this header than the library: a smaller
 * `size` leaves the fields beyond it at their defaults, and a larger one is
 * accepted if all bytes that the library does not know are zero.  A `size` that
 * ends inside a field is refused.  The same holds for every struct of options.
 */
typedef struct aloop_options {
    size_t size; /* Of this struct, as the caller knows it. */
    /* Memory: as realloc, with the old size told; new_size 0 frees and returns
     * NULL.  Must be thread-safe where aloop_post() is used from other threads.
     * Default: realloc and free, and whole pages of the system for small
     * objects. */
    void *(*resize)(void *context, void *old, size_t old_size,
                    size_t new_size);
    void *resize_context;
    /* Nanoseconds that never go backwards (steps back are clamped).  Any value
     * is allowed; sums and differences stop at the ends of the range.  Waits
     * use the system's clock all the same.  Default: the monotonic clock. */
    int64_t (*clock_ns)(void *context);
    void *clock_context;
    /* Usable bytes of a task's stack.  Default: 192 KiB; 48 KiB where address
     * space is scarce, see aloop/task.h. */
    size_t stack_size;
    /* Threads for name look-ups, started when first needed.  Those whose
     * look-up was cancelled do not count; with them there are at most 64.
     * Default: 4. */
    unsigned resolver_threads;
    /* Errors that nobody handled.  Default: a line on standard error; ten in a
     * second, and then how many more there were.  It never waits, and writes
     * only while descriptor 2 is what it was when the loop was made: nothing if
     * it was closed then, or had been opened by the program itself (closed by
     * exec, not writable, an internet socket). */
    aloop_error_cb on_unhandled;
    void *on_unhandled_arg;
    /* Looks for mistakes that otherwise pass unseen; costs some speed, and
     * about 128 KiB.  Always true in a library built without NDEBUG.  These are
     * reported to on_unhandled as ALOOP_EMISUSE, with a sentence that names the
     * function, the task that called it and where that was spawned, the object,
     * and what to do instead; once for each function, caller and name; 32 in
     * all.  The function has no effect then and returns ALOOP_EINVAL, or
     * ALOOP_EPERM on the wrong thread:
     *   - a call on another thread while the loop runs;
     *   - a future that is used after its last reference was given away;
     *   - a handle that is used after it was closed or freed; NULL as one;
     *   - an await or yield in a callback, and one that would never end;
     *   - a task that ends because it was dropped without an aloop_cancel();
     *   - a callback or task that held the loop for 100 ms or more.
     * What is freed is not handed out again for a while: 256 objects, at most
     * 64 KiB.  The stack of a task that has ended is overwritten.  A task that
     * overruns its stack then ends the process with a line on standard error:
     * which task, where it was spawned, how large its stack is.  For that, a
     * handler of SIGSEGV and SIGBUS is installed, from the first task of such
     * a loop until aloop_free() of the last one; it passes every fault on to
     * the handler that it found.  Each thread that runs a turn has an alternate
     * signal stack meanwhile, its own or the loop's. */
    bool debug;
    /* For aloop_main_with(), which see; a loop alone takes no notice of it. */
    bool cancel_on_interrupt;
} aloop_options;

ALOOP_END

#endif
