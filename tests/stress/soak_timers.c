/* Thousands of timers, which are started, moved, stopped and closed at random.
 * None may fire early, or after it was stopped or closed. */

#include "soak.h"

enum { TIMERS = 3000, MOVES = 100 };

static struct slot {
    aloop_timer *timer; /* NULL: closed. */
    int64_t due_ns;     /* Earliest expiry; INT64_MAX: stopped. */
    int64_t period_ns;
} slots[TIMERS];

static aloop_timer *driver;

static void on_timer(aloop_timer *timer, void *arg)
{
    struct slot *slot = arg;

    CHECK(timer == slot->timer);
    CHECK(aloop_now(soak.loop) >= slot->due_ns);
    slot->due_ns = slot->period_ns > 0 ? slot->due_ns + slot->period_ns
                                       : INT64_MAX;
    soak.counts[SOAK_TIMERS]++;
}

static int64_t some_delay_ns(void)
{
    return (int64_t) soak_random(UINT64_C(1000000) << soak_random(8));
}

static void start(struct slot *slot)
{
    int64_t delay_ns = some_delay_ns();

    slot->period_ns = soak_random(4) == 0 ? ALOOP_MS(20) + some_delay_ns() : 0;
    slot->due_ns = aloop_now(soak.loop) + delay_ns;
    CHECK(aloop_timer_start(soak.loop, delay_ns, slot->period_ns, on_timer,
                            slot, &slot->timer) == 0);
}

static void again(struct slot *slot)
{
    int64_t delay_ns = some_delay_ns();

    slot->due_ns = aloop_now(soak.loop) + delay_ns;
    CHECK(aloop_timer_restart(slot->timer, delay_ns) == 0);
}

static void set(struct slot *slot)
{
    slot->due_ns = aloop_now(soak.loop) + some_delay_ns();
    CHECK(aloop_timer_restart_at(slot->timer, slot->due_ns) == 0);
}

static void stop(struct slot *slot)
{
    CHECK(aloop_timer_stop(slot->timer) == 0);
    CHECK(!aloop_timer_is_active(slot->timer));
    slot->due_ns = INT64_MAX;
}

static void end(struct slot *slot)
{
    aloop_timer_close(slot->timer);
    slot->timer = NULL;
    slot->due_ns = INT64_MAX;
}

static void (*const moves[])(struct slot *slot) = {again, again, set, stop,
                                                   end};

static void on_driver(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    for (int i = 0; i < MOVES && !soak.is_resting; i++) {
        struct slot *slot = &slots[soak_random(TIMERS)];

        if (slot->timer == NULL)
            start(slot);
        else
            moves[soak_random(sizeof moves / sizeof moves[0])](slot);
        soak.counts[SOAK_TIMERS]++;
    }
}

void soak_timers_start(void)
{
    CHECK(aloop_timer_start(soak.loop, 0, ALOOP_MS(2), on_driver, NULL,
                            &driver) == 0);
    for (int i = 0; i < TIMERS; i++)
        start(&slots[i]);
}

void soak_timers_end(void)
{
    for (int i = 0; i < TIMERS; i++)
        end(&slots[i]);
    aloop_timer_close(driver);
}
