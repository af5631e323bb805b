/* Deferred calls of libevent are events that are made active by hand.  Its
 * wake-ups from threads need a library of their own. */

#define _GNU_SOURCE /* Needed by event2/event.h. */

#include "turns.h"

#include <stdlib.h>

#include <event2/event.h>
#include <event2/event_struct.h>

static size_t calls_made;

static void on_call(evutil_socket_t fd, short events, void *arg)
{
    size_t *calls = arg;

    (void) fd;
    (void) events;
    ++*calls;
}

static void peer_defer(size_t count, size_t batch)
{
    struct event *events = malloc(batch * sizeof *events);
    struct event_base *base = event_base_new();

    fail_if(events == NULL || base == NULL, "making a loop");
    for (size_t i = 0; i < batch; i++)
        event_assign(&events[i], base, -1, 0, on_call, &calls_made);
    for (size_t done = 0; done < count; done += batch) {
        for (size_t i = 0; i < batch; i++)
            event_active(&events[i], EV_TIMEOUT, 0);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    event_base_free(base);
    free(events);
}

const struct turns_peer turns_event = {.defer = peer_defer};
