/* Giving back memory that was kept for later.
 *
 * Stacks, small objects and buffers that were used once are kept, because the
 * next ones are then cheap.  After a burst that is more than the program needs.
 * So time is divided into windows of half a second, and what was not used for a
 * whole window is given back when the window ends: in slices, each so short
 * that no timer is noticeably late, with pauses between them, so that the loop
 * does its work in the meantime.
 *
 * Only a loop that keeps more than a little looks at the clock for this:
 * loop->trim_ns is when it has to act next, or INT64_MAX.  A loop that sleeps
 * is woken for it, and a host sees aloop_fd() readable then; but it neither
 * keeps the loop alive nor counts as something that a turn has done. */

#include "loop/trim.h"

#include "loop/buffers.h"
#include "loop/clock.h"
#include "loop/timed.h"
#include "os/reactor.h"
#include "os/stack.h"

static const int64_t window_ns = 500000000;
static const int64_t slice_ns = 250000;
static const int64_t pause_ns = 250000;

/* In one slice; matters only where the clock stands still. */
enum { STEPS_MAX = 1000 };

static bool stacks_have_spare(const aloop *loop)
{
    return loop->stacks != NULL && aloop__stacks_have_spare(loop->stacks);
}

static void stacks_end_window(aloop *loop)
{
    if (loop->stacks != NULL)
        aloop__stacks_end_window(loop->stacks);
}

static bool stacks_trim(aloop *loop)
{
    return loop->stacks != NULL && aloop__stacks_trim(loop->stacks);
}

static bool slab_has_spare(const aloop *loop)
{
    return aloop__slab_has_spare(&loop->slab);
}

static void slab_end_window(aloop *loop)
{
    aloop__slab_end_window(&loop->slab);
}

static bool slab_trim(aloop *loop)
{
    return aloop__slab_trim(&loop->slab);
}

static bool timers_have_spare(const aloop *loop)
{
    return aloop__timers_have_spare(&loop->timers);
}

static void timers_end_window(aloop *loop)
{
    aloop__timers_end_window(&loop->timers);
}

static bool timers_trim(aloop *loop)
{
    return aloop__timers_trim(&loop->timers);
}

/* One row for each part that keeps memory. */
static const struct {
    /* Whether it keeps more than a little.  Asked before each wait. */
    bool (*have_spare)(const aloop *loop);
    /* A window ends: decides what to give back, which takes no time. */
    void (*end_window)(aloop *loop);
    /* Gives back one piece of that, within some 20 us; false if there was none
     * left. */
    bool (*trim)(aloop *loop);
} parts[] = {{stacks_have_spare, stacks_end_window, stacks_trim},
             {slab_has_spare, slab_end_window, slab_trim},
             {timers_have_spare, timers_end_window, timers_trim},
             {aloop__buffers_have_spare, aloop__buffers_end_window,
              aloop__buffers_trim}};

enum { PARTS = sizeof parts / sizeof parts[0] };

static bool has_spare(const aloop *loop)
{
    for (int i = 0; i < PARTS; i++)
        if (parts[i].have_spare(loop))
            return true;
    return false;
}

/* Returns whether there is more to give back than it had time for. */
static bool give_back(aloop *loop, int64_t until_ns)
{
    int part = 0;

    for (int i = 0; i < STEPS_MAX && part < PARTS; i++) {
        if (!parts[part].trim(loop))
            part++;
        else if (aloop__sys_clock_ns() >= until_ns)
            break;
    }
    return part < PARTS;
}

static void end_window(aloop *loop)
{
    for (int i = 0; i < PARTS; i++)
        parts[i].end_window(loop);
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
        loop->trim_ns = has_spare(loop) ? now_ns + window_ns : INT64_MAX;
}

int64_t aloop__trim_left(aloop *loop)
{
    if (loop->trim_ns != INT64_MAX)
        return aloop__until(aloop__sys_clock_ns(), loop->trim_ns);
    if (!has_spare(loop))
        return -1;
    end_window(loop); /* The one without a beginning; the first one begins. */
    loop->trim_ns = aloop__sys_clock_ns() + window_ns;
    return window_ns;
}

int aloop__trim_wait(aloop *loop, int64_t timeout_ns,
                     struct aloop__event *events, int max)
{
    int64_t left_ns = aloop__trim_left(loop), end_ns = 0;

    if (left_ns >= 0 && timeout_ns > 0)
        end_ns = aloop__after(aloop__sys_clock_ns(), timeout_ns);
    for (;;) {
        int count;

        if (left_ns == 0) {
            act(loop);
            left_ns = aloop__trim_left(loop);
        }
        if (end_ns != 0)
            timeout_ns = aloop__until(aloop__sys_clock_ns(), end_ns);
        if (left_ns < 0 || (timeout_ns >= 0 && timeout_ns <= left_ns))
            return aloop__reactor_wait(loop->reactor, timeout_ns, events, max);
        count = aloop__reactor_wait(loop->reactor, left_ns, events, max);
        left_ns = aloop__trim_left(loop);
        if (count != 0 || left_ns > 0)
            return count; /* Less than asked for: a signal has ended it. */
    }
}
