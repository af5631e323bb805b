/* Timers of libev, which are floating-point seconds. */

#include "timers.h"

#include <stdlib.h>

#include <ev.h>

static struct ev_loop *loop;
static ev_timer *timers;
static size_t timer_count, fired;
static int64_t start_ns, early_ns;
static const int64_t *wanted_ns;

static void on_expire(struct ev_loop *of, ev_timer *timer, int events)
{
    (void) of;
    (void) events;
    note_early(++fired, wanted_ns[timer - timers], start_ns, &early_ns);
}

static void peer_open(size_t count)
{
    timers = calloc(count, sizeof *timers);
    loop = ev_loop_new(EVBACKEND_EPOLL);
    fail_if(timers == NULL || loop == NULL, "making a loop");
    timer_count = count;
    ev_now_update(loop);
    start_ns = wall_ns();
}

static void start(size_t i, int64_t when_ns)
{
    ev_timer_init(&timers[i], on_expire, (double) when_ns / 1e9, 0);
    ev_timer_start(loop, &timers[i]);
}

static void peer_start(const int64_t *when_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        start(i, when_ns[i]);
}

static void peer_stop(const uint32_t *order)
{
    for (size_t i = 0; i < timer_count; i++)
        ev_timer_stop(loop, &timers[order[i]]);
}

static void peer_move(const int64_t *when_ns, const uint32_t *order,
                      int64_t push_ns)
{
    for (size_t i = 0; i < timer_count; i++) {
        timers[order[i]].repeat = (double) (when_ns[order[i]] + push_ns) / 1e9;
        ev_timer_again(loop, &timers[order[i]]);
    }
}

static int64_t peer_fire(const int64_t *when_ns)
{
    wanted_ns = when_ns;
    early_ns = INT64_MIN;
    ev_run(loop, 0);
    return early_ns;
}

static void peer_make(size_t times)
{
    for (size_t i = 0; i < times; i++) {
        ev_timer *timer = malloc(sizeof *timer);

        fail_if(timer == NULL, "malloc");
        ev_timer_init(timer, on_expire, 3600, 0);
        ev_now_update(loop); /* Otherwise it counts from the last turn. */
        ev_timer_start(loop, timer);
        ev_timer_stop(loop, timer);
        free(timer);
    }
}

const struct timers_peer timers_ev = {peer_open, peer_start, peer_stop,
                                      peer_move, peer_fire,  peer_make};
