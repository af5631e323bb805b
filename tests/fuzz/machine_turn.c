/* Acts on the loop itself: turns, runs, time, deferred calls and posts. */

#include "machine.h"

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/quarantine.h"
#include "loop/turn.h"

enum { STEPS_MAX = 100 }; /* Steps in which streams should end. */

/* Checks the descriptor for a host: is it readable if a turn has work? */
static void check_host(void)
{
    bool is_due = model_has_work() || m.is_woken || m.has_closed ||
                  model_next_ns() <= m.now_ns ||
                  w.loop->trim_ns <=
                      aloop__sys_clock_ns(); /* Memory is to be freed. */

    if (w.host_fd >= 0 && m.is_exact && !w.is_inside)
        FUZZ_CHECK(sim_fd_readable(w.host_fd) == is_due);
}

static void turn(int64_t wait_ns)
{
    int result;

    check_host();
    w.wakes = sim_wakes();
    m.is_stepping = m.is_exact && wait_ns != 0;
    m.is_hosted = m.is_exact && wait_ns == 0 && w.loop->is_embedded;
    m.hosted_turns = 1;
    m.begin_ns = m.now_ns;
    m.has_called = false;
    model_turn_begin(wait_ns);
    if (m.is_exact) {
        result = aloop_step(w.loop, wait_ns);
    } else { /* The number of turns in a step is not known then. */
        w.loop->thread = aloop__sys_thread_self();
        result = aloop__turn(w.loop, wait_ns, false);
    }
    if (result == 0)
        result = aloop_alive(w.loop);
    FUZZ_CHECK(model_next().kind == M_NOTHING);
    if (m.is_exact)
        FUZZ_CHECK(result ==
                   (m.is_stuck ? ALOOP_EDEADLK : (int) model_alive()));
    else
        FUZZ_CHECK(result == 1 || (result == 0 && !model_alive()));
    m.is_stepping = m.is_hosted = false;
    check_time();
    check_host();
}

static void step(void)
{
    int64_t wait_ns = any_bit() ? -1 : any_delay_ns();

    if (wait_ns == INT64_MAX)
        wait_ns = -1; /* The simulated world ends before. */
    if (wait_ns < 0 && !m.is_exact)
        wait_ns = ALOOP_SEC(1); /* There may be no event. */
    say("step %lld", (long long) wait_ns);
    if (w.is_inside)
        FUZZ_CHECK(aloop_step(w.loop, wait_ns) == ALOOP_EBUSY);
    else
        turn(wait_ns);
}

static void run(void)
{
    int result;

    say("run");
    if (w.is_inside) {
        FUZZ_CHECK(aloop_run(w.loop) == ALOOP_EBUSY);
        FUZZ_CHECK(aloop_free(w.loop) == ALOOP_EBUSY);
        return;
    }
    if (m.is_woken || !m.is_exact)
        return; /* The model does not know in which turn events arrive. */
    model_run_begin(M_NULL);
    result = aloop_run(w.loop);
    FUZZ_CHECK(model_next().kind == M_NOTHING);
    FUZZ_CHECK(result == model_run_end());
    check_time();
}

static void stop(void)
{
    say("stop");
    aloop_stop(w.loop);
    if (w.is_inside || w.task >= 0)
        m.is_stopping = true;
    else
        m.is_stopping_next = true;
}

/* Simulates a callback that takes that long. */
static void advance(void)
{
    static const int64_t steps_ns[] = {1,   2,    5,     10,
                                       100, 1000, 21000, ALOOP_SEC(1)};
    int64_t ns = steps_ns[any_below(sizeof steps_ns / sizeof steps_ns[0])];

    say("advance by %lld", (long long) ns);
    sim_advance(ns);
    m.now_ns += ns;
}

static void on_defer(aloop *loop, void *arg)
{
    int number = *(int *) arg;

    see(M_SEE_DEFER, number);
    FUZZ_CHECK(loop == w.loop);
    w.is_inside = true;
    say("deferred call %d", number);
    act_some();
    w.is_inside = false;
}

static void on_post(aloop *loop, void *arg)
{
    int number = *(int *) arg;

    model_late_post();
    see(M_SEE_POST, number);
    FUZZ_CHECK(loop == w.loop);
    w.is_inside = true;
    say("post %d", number);
    act_some();
    w.is_inside = false;
}

/* Returns a number for a future call, or NULL if there are none left. */
static int *new_number(void)
{
    int *number = &w.numbers[w.number_count];

    if (w.number_count == M_CALLS)
        return NULL;
    *number = (int) w.number_count++;
    return number;
}

static void defer(void)
{
    int *number = new_number();
    int result;

    if (number == NULL)
        return;
    say("defer %d", *number);
    arm();
    result = aloop_defer(w.loop, on_defer, number);
    if (disarm())
        FUZZ_CHECK(result == ALOOP_ENOMEM);
    else
        FUZZ_CHECK(result == 0);
    if (result == 0)
        model_queue((struct m_work){M_DEFER, *number, 0});
}

/* Each call has a number of its own, so that no other is taken back. */
static void revoke(void)
{
    struct m_work work = {M_DEFER, (int) any_below(w.number_count + 1), 0};
    bool is_queued = model_is_queued(work);

    say("take back deferred call %d", work.who);
    FUZZ_CHECK(aloop_defer_cancel(w.loop, on_defer, &w.numbers[work.who]) ==
               is_queued);
    if (is_queued)
        model_unqueue(work);
}

/* In a run, and in the step of a host, the loop decides in which turn the post
 * runs. */
static void post(void)
{
    int *number;
    int result;

    if (m.is_running || m.is_hosted || (number = new_number()) == NULL)
        return;
    say("post %d", *number);
    arm();
    result = aloop_post(w.loop, on_post, number);
    if (disarm())
        FUZZ_CHECK(result == ALOOP_ENOMEM);
    else
        FUZZ_CHECK(result == 0);
    if (result == 0)
        model_post(*number);
}

static void wake(void)
{
    if (m.is_running || m.is_hosted)
        return;
    say("wake");
    aloop_wake(w.loop);
    m.is_woken = true;
}

static void hold(void)
{
    bool is_release = any_bit();

    say("%s", is_release ? "release" : "hold");
    if (is_release)
        aloop_release(w.loop);
    else
        aloop_hold(w.loop);
    if (!is_release || m.holds > 0)
        m.holds += is_release ? -1 : 1;
}

/* If no object is left, checks that no memory is left. */
static void check_memory(void)
{
    for (int i = 0; i < m.future_count; i++)
        if (!m.futures[i].is_gone)
            return;
    if (aloop_alive(w.loop))
        return;
    turn(0); /* Frees closed handles. */
    if (w.loop->debug != NULL)
        aloop__quarantine_drain(w.loop);
    aloop__future_free_hit(w.loop);
    FUZZ_CHECK(w.loop->slab.used == 0);
}

void end_orderly(void)
{
    say("the end begins");
    w.acts = 0;
    while (w.ref_count > 0)
        give_back(w.refs[--w.ref_count]);
    close_timers();
    free_objects();
    while (m.holds > 0) {
        aloop_release(w.loop);
        m.holds--;
    }
    streams_close();
    outside_close();
    if (m.is_woken)
        turn(0);
    if (m.is_stopping_next)
        run(); /* Ends immediately. */
    run();
    streams_close(); /* A connection may have been accepted only now. */
    outside_close();
    for (int i = 0; i < STEPS_MAX && !m.is_exact && aloop_alive(w.loop); i++) {
        turn(ALOOP_SEC(1));
        streams_close();
        outside_close();
    }
    check_memory();
}

const struct act turn_acts[] = {
    {"step", step},   {"step", step},       {"step", step},
    {"step", step},   {"step", step},       {"run", run},
    {"stop", stop},   {"advance", advance}, {"advance", advance},
    {"defer", defer}, {"post", post},       {"wake", wake},
    {"hold", hold},
};

const size_t turn_act_count = sizeof turn_acts / sizeof turn_acts[0];

/* Behind all others, so that the acts of older inputs stay the same. */
const struct act late_acts[] = {
    {"revoke", revoke},
    {"new timer", act_new_timer},
};

const size_t late_act_count = sizeof late_acts / sizeof late_acts[0];
