/* Waits for signals and watches of signals, which are cancelled, dropped and
 * closed at random, while callbacks, turns and other threads raise signals.
 * Some runs fork in the middle and continue as the child.
 *
 * Each watch is called back once for each signal that was raised while it was
 * open, and a wait ends with the first one.  A signal is caught only as long as
 * something waits for it or watches it. */

#include "world.h"

#include <signal.h>
#include <string.h>

#include "os/sys.h"

enum { NUMBERS = 3, WATCHES = 5, WAITS = 8, RAISES_MAX = 60, DEPTH_MAX = 3 };

static const int numbers[NUMBERS] = {SIGINT, SIGTERM, SIGFPE};

struct watch {
    int number;
    aloop_signal *signal; /* NULL: it is closed. */
    unsigned due, called;
    int64_t raised_ns; /* When the last one was raised. */
};

struct wait {
    int number;
    aloop_future *future; /* NULL: this place is free. */
    bool is_open;         /* The next signal ends it. */
    bool is_raised;
    bool was_early; /* By a child that had not adopted the loop. */
    bool was_asked; /* It was cancelled. */
    int64_t raised_ns;
};

static struct {
    struct watch watches[WATCHES];
    struct wait waits[WAITS];
    aloop_timer *heart;
    unsigned raised, wanted;
    unsigned coming; /* By other threads. */
    unsigned depth;  /* Of acts in callbacks. */
    bool may_fork;
    bool is_foreign; /* A child that has not adopted the loop. */
} w;

static void act(void);

static int64_t now_ns(void)
{
    return aloop__sys_clock_ns() - run.jumped_ns;
}

static int any_number(void)
{
    return numbers[sim_random(NUMBERS)];
}

/* Checks that the signal is caught if something needs it, and only then. */
static void check_caught(int number)
{
    bool is_needed = false, may_be = false;

    for (size_t i = 0; i < WATCHES; i++)
        if (w.watches[i].signal != NULL && w.watches[i].number == number)
            is_needed = true;
    for (size_t i = 0; i < WAITS; i++) {
        const struct wait *wait = &w.waits[i];

        if (wait->future == NULL || wait->number != number || !wait->is_open)
            continue;
        if (wait->was_early)
            may_be = true; /* It ends in a turn. */
        else
            is_needed = true;
    }
    CHECK(sim_signal_caught(number) == is_needed ||
          (may_be && sim_signal_caught(number)));
}

static void raise_one(void)
{
    int number = any_number();

    check_caught(number);
    for (size_t i = 0; i < WATCHES; i++) {
        struct watch *watch = &w.watches[i];

        if (watch->signal == NULL || watch->number != number)
            continue;
        watch->due++;
        watch->raised_ns = now_ns();
    }
    for (size_t i = 0; i < WAITS; i++) {
        struct wait *wait = &w.waits[i];

        if (wait->future == NULL || wait->number != number || !wait->is_open)
            continue;
        wait->is_raised = true;
        wait->was_early = w.is_foreign;
        wait->is_open = w.is_foreign;
        wait->raised_ns = now_ns();
    }
    w.raised++;
    (void) sim_raise(number);
    if (!w.is_foreign)
        check_caught(number);
}

/* Watches. */

static void on_signal(aloop_signal *signal, int number, void *arg)
{
    struct watch *watch = arg;

    CHECK(!run.is_over && !w.is_foreign);
    CHECK(watch->signal == signal && watch->number == number);
    CHECK(watch->called < watch->due);
    watch->called++;
    if (chance(20))
        act();
}

static void act_watch(void)
{
    struct watch *watch = &w.watches[sim_random(WATCHES)];
    int result;

    if (watch->signal != NULL)
        return;
    *watch = (struct watch){.number = any_number()};
    result = aloop_signal_start(run.loop, watch->number, on_signal, watch,
                                &watch->signal);
    CHECK(result == 0 || (result == ALOOP_EINVAL && may_break()) ||
          (result == ALOOP_ENOMEM && run.weather == STARVED));
    if (result < 0)
        watch->signal = NULL;
    check_caught(watch->number);
}

static void act_close(void)
{
    struct watch *watch = &w.watches[sim_random(WATCHES)];

    aloop_signal_close(watch->signal);
    watch->signal = NULL;
    if (watch->number != 0)
        check_caught(watch->number);
}

/* Waits. */

static void end_wait(struct wait *wait)
{
    ssize_t status = aloop_future_status(wait->future);

    if (status == wait->number)
        CHECK(wait->is_raised);
    else if (status == ALOOP_EINVAL || status == ALOOP_ENOMEM)
        CHECK(may_break() && !wait->is_raised);
    else
        CHECK(status == ALOOP_ECANCELED && wait->was_asked);
    aloop_future_unref(wait->future);
    wait->future = NULL;
}

static void end_waits(void)
{
    for (size_t i = 0; i < WAITS; i++)
        if (w.waits[i].future != NULL &&
            aloop_future_is_settled(w.waits[i].future))
            end_wait(&w.waits[i]);
}

static void act_wait(void)
{
    struct wait *wait = &w.waits[sim_random(WAITS)];

    if (wait->future != NULL)
        return;
    *wait = (struct wait){.number = any_number()};
    wait->future = aloop_signal_wait(run.loop, wait->number);
    CHECK(wait->future != NULL || run.weather == STARVED);
    wait->is_open = wait->future != NULL &&
                    !aloop_future_is_settled(wait->future);
    check_caught(wait->number);
}

static void act_cancel(void)
{
    struct wait *wait = &w.waits[sim_random(WAITS)];

    if (wait->future == NULL || aloop_future_is_settled(wait->future))
        return;
    wait->was_asked = true;
    wait->is_open = false;
    if (chance(50)) {
        CHECK(aloop_cancel(wait->future));
    } else {
        aloop_future_unref(wait->future);
        wait->future = NULL;
    }
    check_caught(wait->number);
}

/* Raising. */

static void act_raise(void)
{
    if (w.raised < w.wanted)
        raise_one();
}

static void raise_as_thread(void *arg)
{
    (void) arg;
    w.coming--;
    if (!run.is_over)
        raise_one();
}

static void act_raise_later(void)
{
    if (w.raised + w.coming >= w.wanted)
        return;
    w.coming++;
    sim_at(any_delay_ns(ALOOP_MS(20)), raise_as_thread, NULL);
}

/* The program continues as the child.  Watches are not called for what the
 * parent had received, but waits that had ended end in both. */
static void act_fork(void)
{
    if (!w.may_fork || w.depth > 1)
        return;
    w.may_fork = false;
    sim_fork();
    w.is_foreign = true;
    for (size_t i = 0; i < WATCHES; i++)
        w.watches[i].due = w.watches[i].called;
    for (size_t i = between(0, 3); i > 0; i--)
        act_raise();
    CHECK(aloop_after_fork(run.loop) == 0);
    w.is_foreign = false;
}

static void act(void)
{
    static void (*const acts[])(void) = {act_watch, act_close,       act_wait,
                                         act_wait,  act_wait,        act_cancel,
                                         act_raise, act_raise_later, act_fork};

    if (w.depth == DEPTH_MAX || run.is_freeing)
        return;
    w.depth++;
    acts[sim_random(sizeof acts / sizeof acts[0])]();
    w.depth--;
}

/* A signal ends the wait of the loop, so that nothing is late. */
static void check_times(void)
{
    int64_t ns = now_ns();

    if (may_break())
        return;
    for (size_t i = 0; i < WATCHES; i++) {
        const struct watch *watch = &w.watches[i];

        CHECK(watch->signal == NULL || watch->called == watch->due ||
              watch->raised_ns == ns);
    }
    for (size_t i = 0; i < WAITS; i++) {
        const struct wait *wait = &w.waits[i];

        CHECK(wait->future == NULL || !wait->is_raised ||
              wait->raised_ns == ns);
    }
}

static void on_heart(aloop_timer *timer, void *arg)
{
    static const struct fault faults[] = {{"aloop__sys_signal_catch", -EINVAL}};

    (void) timer;
    (void) arg;
    inject(faults, 1);
    end_waits();
    check_times();
    for (size_t i = between(1, 4); i > 0; i--)
        act();
}

/* The world. */

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.wanted = (unsigned) between(1, RAISES_MAX);
    w.may_fork = run.weather < STARVED && chance(30);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(10, 5000)), on_heart,
                            NULL, &w.heart) == 0);
}

static bool is_done(void)
{
    end_waits();
    if (w.raised < w.wanted || w.coming > 0)
        return false;
    for (size_t i = 0; i < WATCHES; i++)
        if (w.watches[i].signal != NULL &&
            w.watches[i].called < w.watches[i].due)
            return false;
    for (size_t i = 0; i < WAITS; i++)
        if (w.waits[i].future != NULL && w.waits[i].is_raised)
            return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    for (size_t i = 0; i < WATCHES; i++) {
        aloop_signal_close(w.watches[i].signal);
        w.watches[i].signal = NULL;
    }
    for (size_t i = 0; i < WAITS; i++) {
        if (w.waits[i].future == NULL)
            continue;
        w.waits[i].was_asked = true;
        w.waits[i].is_open = false;
        aloop_cancel(w.waits[i].future);
    }
    for (size_t i = 0; i < NUMBERS; i++)
        check_caught(numbers[i]);
}

static void check(void)
{
    end_waits();
    for (size_t i = 0; i < WAITS; i++)
        CHECK(w.waits[i].future == NULL);
    CHECK(sim_harms() == 0);
}

static void outlive(void)
{
    for (size_t i = 0; i < NUMBERS; i++)
        CHECK(!sim_signal_caught(numbers[i]));
}

const struct world world_signals = {"signals",   start, is_done,
                                    close_world, check, outlive};
