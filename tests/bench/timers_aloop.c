/* Timers of libaloop. */

#include "timers.h"

#include <stdlib.h>

#include <aloop.h>

static aloop *loop;
static aloop_timer **timers;
static size_t timer_count, fired;
static int64_t start_ns, early_ns;
static const int64_t *wanted_ns;

static void on_expire(aloop_timer *timer, void *arg)
{
    aloop_timer **place = arg;

    (void) timer;
    note_early(++fired, wanted_ns[place - timers], start_ns, &early_ns);
}

static void peer_open(size_t count)
{
    loop = aloop_new(NULL);
    timers = calloc(count, sizeof *timers);
    fail_if(loop == NULL || timers == NULL, "making a loop");
    for (size_t i = 0; i < count; i++) {
        fail_if(aloop_timer_start(loop, ALOOP_SEC(3600), 0, on_expire,
                                  &timers[i], &timers[i]) < 0,
                "making a timer");
        aloop_timer_stop(timers[i]);
    }
    timer_count = count;
    start_ns = aloop_now(loop);
}

static void peer_start(const int64_t *when_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        aloop_timer_restart_at(timers[i], start_ns + when_ns[i]);
}

static void peer_stop(const uint32_t *order)
{
    for (size_t i = 0; i < timer_count; i++)
        aloop_timer_stop(timers[order[i]]);
}

static void peer_move(const int64_t *when_ns, const uint32_t *order,
                      int64_t push_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        aloop_timer_restart_at(timers[order[i]],
                               start_ns + when_ns[order[i]] + push_ns);
}

static int64_t peer_fire(const int64_t *when_ns)
{
    wanted_ns = when_ns;
    early_ns = INT64_MIN;
    aloop_run(loop);
    return early_ns;
}

static void peer_make(size_t times)
{
    aloop_timer *timer;

    for (size_t i = 0; i < times; i++) {
        aloop_timer_start(loop, ALOOP_SEC(3600), 0, on_expire, NULL, &timer);
        aloop_timer_close(timer);
        if (i % 64 == 63) /* Closed timers are freed when a turn ends. */
            aloop_step(loop, 0);
    }
}

const struct timers_peer timers_aloop = {peer_open, peer_start, peer_stop,
                                         peer_move, peer_fire,  peer_make};
