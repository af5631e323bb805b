/* A main context of GLib inside libaloop.
 *
 * A round of GLib is prepare, query, poll, check and dispatch.  The prepare of
 * the loop does the last three for the previous wait, and then the first two
 * for the next one.
 *
 * The polls of the loop only end its wait; what is ready is looked up by GLib's
 * own poll, so that GLib gets exactly the events that it expects.  They are
 * made for one wait.  A source may close its descriptor at any time, and open
 * another one with the same number, which a kept poll would not watch. */

#include "glib_inside.h"

#include <stdlib.h>

#define RETRY_NS ALOOP_MS(10)

struct glib_inside {
    aloop *loop;
    GMainContext *context;
    aloop_prepare *prepare;

    /* The answer of the last query, valid if `is_asked`. */
    bool is_asked;
    gint priority;
    GPollFD *fds;
    gint count, room; /* Of `fds` and `polls`. */
    aloop_poll **polls;
    gint poll_count;

    bool is_running; /* Functions of GLib are being called. */
    bool is_stopped; /* One of them has called glib_inside_stop(). */
};

static void inside_ready(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
}

static bool grow(glib_inside *inside, gint room)
{
    size_t count = (size_t) room;
    GPollFD *fds = realloc(inside->fds, count * sizeof *fds);
    aloop_poll **polls = realloc(inside->polls, count * sizeof *polls);

    if (fds != NULL)
        inside->fds = fds;
    if (polls != NULL)
        inside->polls = polls;
    if (fds == NULL || polls == NULL)
        return false;
    inside->room = room;
    return true;
}

static unsigned events_of(const GPollFD *fd)
{
    return ALOOP_POLL_HANGUP |
           ((fd->events & G_IO_IN) != 0 ? ALOOP_POLL_READABLE : 0u) |
           ((fd->events & G_IO_OUT) != 0 ? ALOOP_POLL_WRITABLE : 0u) |
           ((fd->events & G_IO_PRI) != 0 ? ALOOP_POLL_PRIORITY : 0u);
}

static void close_polls(glib_inside *inside)
{
    while (inside->poll_count > 0)
        aloop_poll_close(inside->polls[--inside->poll_count]);
}

/* Returns whether all descriptors are watched. */
static bool start_polls(glib_inside *inside)
{
    bool is_whole = true;

    for (gint i = 0; i < inside->count; i++) {
        aloop_poll **poll = &inside->polls[inside->poll_count];

        if (aloop_poll_start(inside->loop, inside->fds[i].fd,
                             events_of(&inside->fds[i]), inside_ready, NULL,
                             poll) < 0)
            is_whole = false;
        else
            inside->poll_count++;
    }
    return is_whole;
}

/* The second half of a round, after a wait.  Returns whether sources have
 * run. */
static bool dispatch(glib_inside *inside)
{
    guint count = (guint) inside->count;

    inside->is_asked = false;
    g_main_context_get_poll_func(inside->context)(inside->fds, count, 0);
    if (!g_main_context_check(inside->context, inside->priority, inside->fds,
                              inside->count))
        return false;
    g_main_context_dispatch(inside->context);
    return true;
}

/* The first half.  Returns the limit of the wait. */
static int64_t ask(glib_inside *inside)
{
    gint timeout_ms, needed;
    bool is_whole = true;

    g_main_context_prepare(inside->context, &inside->priority);
    do
        needed = g_main_context_query(inside->context, inside->priority,
                                      &timeout_ms, inside->fds, inside->room);
    while (needed > inside->room && (is_whole = grow(inside, needed)));
    inside->count = needed < inside->room ? needed : inside->room;
    inside->is_asked = true;
    if (timeout_ms != 0 && !start_polls(inside))
        is_whole = false;
    if (timeout_ms >= 0 && (is_whole || ALOOP_MS(timeout_ms) < RETRY_NS))
        return ALOOP_MS(timeout_ms);
    return is_whole ? -1 : RETRY_NS;
}

static void release(glib_inside *inside)
{
    close_polls(inside);
    aloop_prepare_close(inside->prepare);
    g_main_context_release(inside->context);
    g_main_context_unref(inside->context);
    free(inside->fds);
    free(inside->polls);
    free(inside);
}

/* After sources have run, the loop does not sleep: a prepare that was called
 * before this one may depend on what they have done. */
static int64_t inside_prepare(aloop_prepare *prepare, void *arg)
{
    glib_inside *inside = arg;
    int64_t limit_ns = 0;

    (void) prepare;
    close_polls(inside);
    inside->is_running = true;
    if (!inside->is_asked || !dispatch(inside))
        limit_ns = ask(inside);
    inside->is_running = false;
    if (inside->is_stopped)
        release(inside);
    return limit_ns;
}

int glib_inside_start(aloop *loop, GMainContext *context,
                      glib_inside **ret_inside)
{
    glib_inside *inside;
    int error;

    if (ret_inside == NULL)
        return ALOOP_EINVAL;
    if (!g_main_context_acquire(context))
        return ALOOP_EBUSY;
    inside = calloc(1, sizeof *inside);
    if (inside == NULL) {
        g_main_context_release(context);
        return ALOOP_ENOMEM;
    }
    inside->loop = loop;
    inside->context = g_main_context_ref(
        context != NULL ? context : g_main_context_default());
    error = aloop_prepare_start(loop, inside_prepare, inside, &inside->prepare);
    if (error < 0) {
        release(inside);
        return error;
    }
    aloop_prepare_ref(inside->prepare);
    *ret_inside = inside;
    return 0;
}

void glib_inside_stop(glib_inside *inside)
{
    if (inside != NULL && inside->is_running)
        inside->is_stopped = true;
    else if (inside != NULL)
        release(inside);
}
