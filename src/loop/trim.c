/* Freeing memory that is kept for reuse.
 *
 * Stacks, small objects and buffers are kept after use, because this makes the
 * next ones cheap.  After a burst of work the loop keeps more than it needs.
 * Therefore time is divided into windows of half a second, and memory that was
 * not used for a whole window is freed when the window ends.  This is done in
 * slices with pauses between them.  Each slice is so short that no timer is
 * noticeably late, and the loop does its work in the pauses.  On a busy machine
 * short slices have another advantage: a scheduler lets a thread that computed
 * for longer wait for longer.
 *
 * Only a loop that keeps more than a small amount reads the clock for this:
 * loop->trim_ns is when it has to act next, or INT64_MAX.  A loop that waits is
 * woken for it, and a host then sees aloop_fd() readable.  Trimming neither
 * keeps the loop alive nor counts as work of a turn. */

#include "loop/trim.h"

#include "loop/buffers.h"
#include "loop/clock.h"
#include "loop/timed.h"
#include "os/reactor.h"
#include "os/stack.h"

static const int64_t window_ns = 500000000;
static const int64_t slice_ns = 100000;
static const int64_t pause_ns = 100000;

/* Limit for one slice.  It matters only if the clock stands still. */
enum { STEPS_MAX = 1000 };

static void stacks_end_window(aloop *loop)
{
    if (loop->stacks != NULL)
        aloop__stacks_end_window(loop->stacks);
}

static bool stacks_trim(aloop *loop)
{
    return loop->stacks != NULL && aloop__stacks_trim(loop->stacks);
}

static void slab_end_window(aloop *loop)
{
    aloop__slab_end_window(&loop->slab);
}

static bool slab_trim(aloop *loop)
{
    return aloop__slab_trim(&loop->slab);
}

static void timers_end_window(aloop *loop)
{
    aloop__timers_end_window(&loop->timers);
}

static bool timers_trim(aloop *loop)
{
    return aloop__timers_trim(&loop->timers);
}

/* One row for each part of the loop that keeps memory. */
static const struct {
    /* Ends a window and chooses the memory to be freed.  This must be fast. */
    void (*end_window)(aloop *loop);
    /* Frees one piece of that memory, within about 20 us.  Returns false if
     * none is left. */
    bool (*trim)(aloop *loop);
} trimmed[] = {{stacks_end_window, stacks_trim},
               {slab_end_window, slab_trim},
               {timers_end_window, timers_trim},
               {aloop__buffers_end_window, aloop__buffers_trim}};

enum { TRIMMED_COUNT = sizeof trimmed / sizeof trimmed[0] };

/* Frees memory until the given time.  Returns whether some is left to be
 * freed. */
static bool give_back(aloop *loop, int64_t until_ns)
{
    int part = 0;

    for (int i = 0; i < STEPS_MAX && part < TRIMMED_COUNT; i++) {
        if (!trimmed[part].trim(loop))
            part++;
        else if (aloop__sys_clock_ns() >= until_ns)
            break;
    }
    return part < TRIMMED_COUNT;
}

static void end_window(aloop *loop)
{
    for (int i = 0; i < TRIMMED_COUNT; i++)
        trimmed[i].end_window(loop);
}

static void act(aloop *loop)
{
    int64_t now_ns = aloop__sys_clock_ns();

    if (!loop->is_trimming)
        end_window(loop);
    loop->is_trimming = give_back(loop, now_ns + slice_ns);
    if (loop->is_trimming)
        loop->trim_ns = aloop__sys_clock_ns() + pause_ns;
    else
        loop->trim_ns = aloop__trim_has_spare(loop) ? now_ns + window_ns
                                                    : INT64_MAX;
}

int64_t aloop__trim_next(aloop *loop)
{
    if (loop->trim_ns == INT64_MAX && aloop__trim_has_spare(loop)) {
        /* This ends a window without a beginning, so that the first full window
         * can begin. */
        end_window(loop);
        loop->trim_ns = aloop__sys_clock_ns() + window_ns;
    }
    return loop->trim_ns;
}

/* Returns the time until there may be memory to free, or a negative number if
 * there is none. */
static int64_t trim_left(aloop *loop)
{
    int64_t next_ns = aloop__trim_next(loop);

    return next_ns == INT64_MAX ? -1
                                : aloop__until(aloop__sys_clock_ns(), next_ns);
}

int aloop__trim_wait_and_act(aloop *loop, int64_t timeout_ns,
                             struct aloop__event *events, int max)
{
    int64_t left_ns = trim_left(loop), end_ns = 0;

    if (left_ns >= 0 && timeout_ns > 0)
        end_ns = aloop__after(aloop__sys_clock_ns(), timeout_ns);
    for (;;) {
        int count;

        if (left_ns == 0) {
            act(loop);
            left_ns = trim_left(loop);
        }
        if (end_ns != 0)
            timeout_ns = aloop__until(aloop__sys_clock_ns(), end_ns);
        if (left_ns < 0 || (timeout_ns >= 0 && timeout_ns <= left_ns))
            return aloop__reactor_wait(loop->reactor, timeout_ns, events, max);
        count = aloop__reactor_wait(loop->reactor, left_ns, events, max);
        left_ns = trim_left(loop);
        if (count != 0 || left_ns > 0)
            return count; /* Early, because of a signal. */
    }
}
