/* Timers of libuv, which have a resolution of milliseconds.  Delays are rounded
 * up, as a careful user would do. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "timers.h"

#include <stdlib.h>

#include <uv.h>

static uv_loop_t loop;
static uv_timer_t *timers;
static size_t timer_count, fired;
static int64_t start_ns, early_ns;
static const int64_t *wanted_ns;

static void on_expire(uv_timer_t *timer)
{
    note_early(++fired, wanted_ns[timer - timers], start_ns, &early_ns);
}

static void peer_open(size_t count)
{
    timers = calloc(count, sizeof *timers);
    fail_if(timers == NULL || uv_loop_init(&loop) < 0, "making a loop");
    for (size_t i = 0; i < count; i++)
        uv_timer_init(&loop, &timers[i]);
    timer_count = count;
    uv_update_time(&loop);
    start_ns = wall_ns();
}

static void start(size_t i, int64_t when_ns)
{
    uv_timer_start(&timers[i], on_expire,
                   (uint64_t) (when_ns + 999999) / 1000000, 0);
}

static void peer_start(const int64_t *when_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        start(i, when_ns[i]);
}

static void peer_stop(const uint32_t *order)
{
    for (size_t i = 0; i < timer_count; i++)
        uv_timer_stop(&timers[order[i]]);
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
    uv_run(&loop, UV_RUN_DEFAULT);
    return early_ns;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void peer_make(size_t times)
{
    for (size_t i = 0; i < times; i++) {
        uv_timer_t *timer = malloc(sizeof *timer);

        fail_if(timer == NULL, "malloc");
        uv_timer_init(&loop, timer);
        uv_timer_start(timer, on_expire, 3600000, 0);
        uv_close((uv_handle_t *) timer, on_closed);
        if (i % 64 == 63)
            uv_run(&loop, UV_RUN_NOWAIT);
    }
}

const struct timers_peer timers_uv = {peer_open, peer_start, peer_stop,
                                      peer_move, peer_fire,  peer_make};
