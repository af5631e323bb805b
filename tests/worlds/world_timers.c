/* Timers compared with a model, which records for each timer whether it is set,
 * when it is due, and in which order it was started.  Callbacks close, restart,
 * stop and start timers, including their own.
 *
 * Each expiry is checked: the timer is set and open, it is due on the loop's
 * clock, no timer set before this turn is due earlier, and the expiry is exact
 * to the nanosecond if the clock does not jump.
 *
 * Some runs also have a crowd of up to 1000 timers, which make the queue large.
 * They are started, moved and stopped at random before the first turn, and
 * expire in order.  They have no periods, and all deadlines of the crowd are
 * whole milliseconds, because a run has a limited number of turns: among so
 * many timers, random acts would rarely end one that has a period of a few
 * nanoseconds. */

#include "world.h"

#include <string.h>

enum { TIMERS = 12, EXPIRIES_MAX = 300, CROWD_MAX = 1000, CROWD_MS = 50 };

static struct timer {
    aloop_timer *timer; /* NULL: not open. */
    int64_t when_ns;
    int64_t period_ns;
    uint64_t order; /* Position among all starts. */
    unsigned turn;  /* Turn of its start. */
    bool is_set;
    unsigned life; /* Number of this opening, also in the callback's arg. */
} timers[TIMERS];

/* The argument of a callback, which must belong to the present opening. */
struct expiry {
    size_t index;
    unsigned life;
};

static uint64_t starts;
static unsigned expiries, expiries_max;

static void on_expire(aloop_timer *timer, void *arg);

static void set_model(struct timer *model, int64_t delay_ns)
{
    model->when_ns = aloop_now(run.loop) + delay_ns;
    model->order = starts++;
    model->turn = run.turns;
    model->is_set = true;
}

static void close_timer(size_t i)
{
    aloop_timer_close(timers[i].timer);
    timers[i].timer = NULL;
    timers[i].is_set = false;
}

static void open_timer(size_t i)
{
    struct expiry *expiry = keep(sizeof *expiry);
    struct timer *model = &timers[i];
    int64_t delay_ns = any_delay_ns(ALOOP_SEC(600));
    int64_t period_ns = chance(30) ? 1 + any_delay_ns(ALOOP_SEC(60)) : 0;

    close_timer(i);
    *expiry = (struct expiry){i, ++model->life};
    if (chance(20)) { /* It is stopped, until it is started again. */
        model->period_ns = 0;
        model->timer = aloop_timer_new(run.loop, on_expire, expiry);
        CHECK(model->timer != NULL || run.weather == STARVED);
        return;
    }
    if (aloop_timer_start(run.loop, delay_ns, period_ns, on_expire, expiry,
                          &model->timer) < 0) {
        CHECK(run.weather == STARVED && model->timer == NULL);
        return;
    }
    set_model(model, delay_ns);
    model->period_ns = period_ns;
}

static void stop_timer(size_t i)
{
    if (timers[i].timer == NULL)
        return;
    CHECK(aloop_timer_stop(timers[i].timer) == 0);
    timers[i].is_set = false;
}

static void restart_timer(size_t i)
{
    struct timer *model = &timers[i];
    int64_t delay_ns = any_delay_ns(ALOOP_SEC(600));
    int result;

    if (model->timer == NULL)
        return;
    result = chance(50) ? aloop_timer_restart(model->timer, delay_ns)
                        : aloop_timer_restart_at(
                              model->timer, aloop_now(run.loop) + delay_ns);
    if (result == 0)
        set_model(model, delay_ns);
    else {
        CHECK(run.weather == STARVED);
        close_timer(i);
    }
}

static void change_period(size_t i)
{
    int64_t period_ns = chance(50) ? 1 + any_delay_ns(ALOOP_SEC(60)) : 0;

    if (timers[i].timer == NULL)
        return;
    CHECK(aloop_timer_set_period(timers[i].timer, period_ns) == 0);
    timers[i].period_ns = period_ns;
}

static void act_randomly(void)
{
    static void (*const acts[])(size_t i) = {
        open_timer,    close_timer, restart_timer,
        restart_timer, stop_timer,  change_period,
    };

    acts[sim_random(sizeof acts / sizeof acts[0])]((size_t) sim_random(TIMERS));
}

static size_t count_set(void)
{
    size_t set = 0;

    for (size_t i = 0; i < TIMERS; i++) {
        const struct timer *model = &timers[i];

        CHECK(aloop_timer_is_active(model->timer) == model->is_set);
        set += model->is_set;
    }
    return set;
}

/* If all timers are stopped, starts some again.  A loop without anything to
 * wait for would wait indefinitely. */
static void restart_if_all_stopped(void)
{
    while (count_set() == 0)
        act_randomly();
}

static bool is_earlier(const struct timer *a, const struct timer *b)
{
    if (a->when_ns != b->when_ns)
        return a->when_ns < b->when_ns;
    return a->order < b->order;
}

static void check_order(const struct timer *fired)
{
    for (size_t i = 0; i < TIMERS; i++)
        CHECK(!timers[i].is_set || timers[i].turn == run.turns ||
              run.is_freeing || !is_earlier(&timers[i], fired));
}

static void on_expire(aloop_timer *timer, void *arg)
{
    const struct expiry *expiry = arg;
    struct timer *model = &timers[expiry->index];
    int64_t now_ns = aloop_now(run.loop);

    CHECK(!run.is_over);
    CHECK(model->timer == timer && model->life == expiry->life);
    CHECK(model->is_set && now_ns >= model->when_ns);
    CHECK(run.has_jumps || now_ns == model->when_ns);
    CHECK(model->turn != run.turns || run.is_freeing || run.host_fd >= 0);
    check_order(model);
    expiries++;
    if (model->period_ns > 0) {
        int64_t missed = (now_ns - model->when_ns) / model->period_ns;

        model->when_ns += (missed + 1) * model->period_ns;
        model->order = starts++;
        model->turn = run.turns;
    } else
        model->is_set = false;
    CHECK(aloop_timer_is_active(timer) == model->is_set);
    if (run.is_freeing)
        return;
    for (size_t n = (size_t) sim_random(4); n > 0; n--)
        act_randomly();
    restart_if_all_stopped();
}

/* The crowd. */

static struct one {
    aloop_timer *timer;
    int64_t when_ns;
    uint64_t order; /* Position among all starts. */
    bool is_set;
} crowd[CROWD_MAX];

static size_t crowd_count, crowd_set;
static const struct one *crowd_last; /* The last one that has expired. */

static void on_crowd(aloop_timer *timer, void *arg)
{
    struct one *one = arg;
    const struct one *last = crowd_last;

    CHECK(!run.is_over);
    CHECK(one->timer == timer && one->is_set);
    CHECK(aloop_now(run.loop) >= one->when_ns);
    CHECK(run.has_jumps || aloop_now(run.loop) == one->when_ns);
    CHECK(last == NULL || last->when_ns < one->when_ns ||
          (last->when_ns == one->when_ns && last->order < one->order));
    one->is_set = false;
    crowd_last = one;
    crowd_set--;
    CHECK(!aloop_timer_is_active(timer));
}

static void stop_one(struct one *one)
{
    CHECK(aloop_timer_stop(one->timer) == 0);
    crowd_set -= one->is_set;
    one->is_set = false;
}

static void move_one(struct one *one, int64_t begin_ns)
{
    one->when_ns = begin_ns + ALOOP_MS(sim_random(CROWD_MS));
    one->order = starts++;
    CHECK(aloop_timer_restart_at(one->timer, one->when_ns) == 0);
    crowd_set += !one->is_set;
    one->is_set = true;
}

/* Memory does not fail before the first turn. */
static void start_crowd(void)
{
    int64_t begin_ns = aloop_now(run.loop);

    memset(crowd, 0, sizeof crowd);
    crowd_set = 0;
    crowd_last = NULL;
    crowd_count = chance(20) ? between(1, CROWD_MAX) : 0;
    for (size_t i = 0; i < crowd_count; i++) {
        CHECK(aloop_timer_start(run.loop, 0, 0, on_crowd, &crowd[i],
                                &crowd[i].timer) == 0);
        crowd_set++;
        crowd[i].is_set = true;
        move_one(&crowd[i], begin_ns);
    }
    for (size_t i = 0; i < 5 * crowd_count; i++) {
        struct one *one = &crowd[sim_random(crowd_count)];

        if (chance(25))
            stop_one(one);
        else
            move_one(one, begin_ns);
    }
}

static void close_crowd(void)
{
    for (size_t i = 0; i < crowd_count; i++)
        aloop_timer_close(crowd[i].timer);
}

static void start(void)
{
    memset(timers, 0, sizeof timers);
    starts = 0;
    expiries = 0;
    expiries_max = 1 + (unsigned) sim_random(EXPIRIES_MAX);
    for (size_t i = 0; i < TIMERS; i++)
        open_timer(i);
    start_crowd();
}

static bool is_done(void)
{
    if (chance(5))
        act_randomly();
    restart_if_all_stopped();
    return expiries >= expiries_max && crowd_set == 0;
}

static void close_world(void)
{
    for (size_t i = 0; i < TIMERS; i++)
        close_timer(i);
    close_crowd();
}

const struct world world_timers = {"timers",    start, is_done,
                                   close_world, NULL,  NULL};
