/* Timers of libevent, which have a resolution of microseconds. */

#define _GNU_SOURCE /* Needed by event2/event.h. */

#include "timers.h"

#include <stdlib.h>

#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *base;
static struct event *timers;
static size_t timer_count, fired;
static int64_t start_ns, early_ns;
static const int64_t *wanted_ns;

static void on_expire(evutil_socket_t fd, short events, void *arg)
{
    struct event *timer = arg;

    (void) fd;
    (void) events;
    note_early(++fired, wanted_ns[timer - timers], start_ns, &early_ns);
}

static void peer_open(size_t count)
{
    timers = calloc(count, sizeof *timers);
    base = event_base_new();
    fail_if(timers == NULL || base == NULL, "making a loop");
    for (size_t i = 0; i < count; i++)
        event_assign(&timers[i], base, -1, 0, on_expire, &timers[i]);
    timer_count = count;
    start_ns = wall_ns();
}

static void start(size_t i, int64_t when_ns)
{
    struct timeval time = {.tv_sec = when_ns / 1000000000,
                           .tv_usec = (when_ns % 1000000000 + 999) / 1000};

    event_add(&timers[i], &time);
}

static void peer_start(const int64_t *when_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        start(i, when_ns[i]);
}

static void peer_stop(const uint32_t *order)
{
    for (size_t i = 0; i < timer_count; i++)
        event_del(&timers[order[i]]);
}

static void peer_move(const int64_t *when_ns, const uint32_t *order,
                      int64_t push_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        start(order[i], when_ns[order[i]] + push_ns);
}

static int64_t peer_fire(const int64_t *when_ns)
{
    wanted_ns = when_ns;
    early_ns = INT64_MIN;
    event_base_dispatch(base);
    return early_ns;
}

static void peer_make(size_t times)
{
    struct timeval hour = {.tv_sec = 3600};

    for (size_t i = 0; i < times; i++) {
        struct event *timer = event_new(base, -1, 0, on_expire, NULL);

        fail_if(timer == NULL, "event_new");
        event_add(timer, &hour);
        event_free(timer);
    }
}

const struct timers_peer timers_event = {peer_open, peer_start, peer_stop,
                                         peer_move, peer_fire,  peer_make};
