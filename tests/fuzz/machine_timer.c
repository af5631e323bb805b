/* Acts on timers. */

#include "machine.h"

static void close_timer(unsigned slot)
{
    struct timer *note = w.timers[slot];

    w.timers[slot] = NULL;
    if (note == NULL)
        return;
    say("close timer %d", note->id);
    aloop_timer_close(note->timer);
    note->timer = NULL;
    model_clear(note->id);
    m.timeds[note->id].is_closed = true;
    m.has_closed = true;
}

void close_timers(void)
{
    for (unsigned i = 0; i < TIMERS; i++)
        close_timer(i);
}

static void on_timer(aloop_timer *timer, void *arg)
{
    struct timer *note = arg;

    see(M_SEE_TIMER, note->id);
    FUZZ_CHECK(note->timer == timer); /* It is not closed. */
    if (w.is_freeing)
        return;
    w.is_inside = true;
    say("timer %d", note->id);
    if (w.sights > SIGHTS_MAX)
        close_timers();
    act_some();
    w.is_inside = false;
}

static void start(void)
{
    unsigned slot = any_below(TIMERS);
    int64_t delay_ns = any_delay_ns();
    int64_t period_ns = any_bit() ? any_delay_ns() : 0;
    struct timer *note = &w.timer_notes[m.timed_count];
    aloop_timer *timer = NULL;
    int result;
    bool has_failed;

    close_timer(slot);
    *note = (struct timer){NULL, m.timed_count};
    say("start timer %d: %lld, every %lld", note->id, (long long) delay_ns,
        (long long) period_ns);
    arm();
    result =
        aloop_timer_start(w.loop, delay_ns, period_ns, on_timer, note, &timer);
    has_failed = disarm();
    if (result < 0) {
        FUZZ_CHECK(timer == NULL);
        w.host_fd = -1; /* A timer may have been made, and closed. */
        FUZZ_CHECK(period_ns < 0 ? result == ALOOP_EINVAL
                                 : has_failed && result == ALOOP_ENOMEM);
        return;
    }
    FUZZ_CHECK(period_ns >= 0);
    note->timer = timer;
    w.timers[slot] = note;
    model_timed(M_TIMER, M_NULL);
    m.timeds[note->id].period_ns = period_ns;
    model_set(note->id, model_after(delay_ns));
}

/* Makes a timer that is stopped. */
void act_new_timer(void)
{
    unsigned slot = any_below(TIMERS);
    struct timer *note = &w.timer_notes[m.timed_count];

    close_timer(slot);
    *note = (struct timer){NULL, m.timed_count};
    say("make timer %d", note->id);
    arm();
    note->timer = aloop_timer_new(w.loop, on_timer, note);
    if (disarm() && note->timer == NULL)
        return;
    FUZZ_CHECK(note->timer != NULL);
    w.timers[slot] = note;
    model_timed(M_TIMER, M_NULL);
}

/* Returns the timer of a slot, which may be NULL, and its number in the model,
 * or -1. */
static aloop_timer *any_timer(int *ret_id)
{
    struct timer *note = w.timers[any_below(TIMERS)];

    *ret_id = note == NULL ? -1 : note->id;
    return note == NULL ? NULL : note->timer;
}

static void changed(int id, int result, bool has_failed, int64_t when_ns)
{
    if (id < 0) {
        FUZZ_CHECK(result == ALOOP_EINVAL);
        return;
    }
    FUZZ_CHECK(result == 0 || (has_failed && result == ALOOP_ENOMEM));
    if (result == 0)
        model_set(id, when_ns);
}

static void again(void)
{
    int id, result;
    aloop_timer *timer = any_timer(&id);
    int64_t delay_ns = any_delay_ns();

    say("timer %d again: %lld", id, (long long) delay_ns);
    arm();
    result = aloop_timer_restart(timer, delay_ns);
    changed(id, result, disarm(), model_after(delay_ns));
}

static void set(void)
{
    int id, result;
    aloop_timer *timer = any_timer(&id);
    int64_t when_ns = any_bit() ? m.now_ns + 10 : any_delay_ns();

    say("timer %d set: %lld", id, (long long) when_ns);
    arm();
    result = aloop_timer_restart_at(timer, when_ns);
    changed(id, result, disarm(), when_ns);
}

static void set_period(void)
{
    int id, result;
    aloop_timer *timer = any_timer(&id);
    int64_t period_ns = any_delay_ns();

    say("timer %d: period %lld", id, (long long) period_ns);
    result = aloop_timer_set_period(timer, period_ns);
    FUZZ_CHECK(result == (id < 0 || period_ns < 0 ? ALOOP_EINVAL : 0));
    if (result == 0)
        m.timeds[id].period_ns = period_ns;
}

static void stop(void)
{
    int id;
    aloop_timer *timer = any_timer(&id);

    say("stop timer %d", id);
    FUZZ_CHECK(aloop_timer_stop(timer) == (id < 0 ? ALOOP_EINVAL : 0));
    if (id >= 0)
        model_clear(id);
}

static void close_any(void)
{
    close_timer(any_below(TIMERS));
}

static void refer(void)
{
    int id;
    aloop_timer *timer = any_timer(&id);
    bool is_unref = any_bit();

    say("%s timer %d", is_unref ? "unref" : "ref", id);
    if (is_unref)
        aloop_timer_unref(timer);
    else
        aloop_timer_ref(timer);
    if (id >= 0)
        m.timeds[id].is_unreferenced = is_unref;
}

static void look(void)
{
    int id;
    aloop_timer *timer = any_timer(&id);
    int64_t due_ns = id < 0 ? -1 : model_due_ns(id);

    FUZZ_CHECK(aloop_timer_is_active(timer) == (due_ns >= 0));
    FUZZ_CHECK(aloop_timer_due_ns(timer) == due_ns);
}

const struct act timer_acts[] = {
    {"start", start},
    {"start", start},
    {"again", again},
    {"set", set},
    {"set period", set_period},
    {"stop", stop},
    {"close", close_any},
    {"ref", refer},
    {"look", look},
};

const size_t timer_act_count = sizeof timer_acts / sizeof timer_acts[0];
