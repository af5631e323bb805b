/* Polls, prepares and signals in the state machine; see machine_outside.h. */

#include "machine_outside.h"

#include <signal.h>

static void on_poll(aloop_poll *poll, unsigned events, void *arg)
{
    unsigned i = (unsigned) ((aloop_poll **) arg - o.polls);
    char byte;

    FUZZ_CHECK(!w.is_over && o.polls[i] == poll);
    FUZZ_CHECK(events != 0 && (events & ~o.watched[i]) == 0);
    say("poll %u: %u", i, events);
    if ((events & ALOOP_POLL_READABLE) != 0)
        (void) !aloop__sys_recv(o.fds[0], &byte, 1);
    outside_act_some();
}

void act_poll(void)
{
    unsigned i = any_below(POLLS_MAX), events = any_below(4);

    if (!enter())
        return;
    say("poll %u for %u", i, events);
    o.watched[i] = events;
    if (o.polls[i] == NULL)
        FUZZ_CHECK(aloop_poll_start(w.loop, o.fds[0], events, on_poll,
                                    &o.polls[i], &o.polls[i]) == 0);
    else
        FUZZ_CHECK(aloop_poll_set_events(o.polls[i], events) == 0);
}

static void close_poll(unsigned i)
{
    m.has_closed = m.has_closed || o.polls[i] != NULL;
    aloop_poll_close(o.polls[i]);
    o.polls[i] = NULL;
}

void act_close_poll(void)
{
    unsigned i = any_below(POLLS_MAX);

    say("close poll %u", i);
    close_poll(i);
}

void act_poll_wait(void)
{
    struct out *out;

    if (!enter() || (out = new_out(POLL_WAIT)) == NULL)
        return;
    say("wait for the poll");
    follow_out(out, aloop_poll_wait(w.loop, o.fds[0], 1 + any_below(3)));
}

void act_send(void)
{
    if (!enter())
        return;
    say("send to the poll");
    (void) !aloop__sys_send(o.fds[1], "x", 1);
}

/* Polls and prepares are called in the same way whether or not they keep the
 * loop alive. */
void act_refer(void)
{
    aloop_poll *poll = o.polls[any_below(POLLS_MAX)];
    aloop_prepare *prepare = o.prepares[any_below(PREPARES_MAX)];
    bool is_unref = any_bit();

    say("%s a poll and a prepare", is_unref ? "unref" : "ref");
    if (poll != NULL) {
        FUZZ_CHECK(aloop_poll_fd(poll) == o.fds[0]);
        (is_unref ? aloop_poll_unref : aloop_poll_ref)(poll);
    }
    if (prepare != NULL)
        (is_unref ? aloop_prepare_unref : aloop_prepare_ref)(prepare);
}

/* Prepares. */

static int64_t on_prepare(aloop_prepare *prepare, void *arg)
{
    unsigned i = (unsigned) ((aloop_prepare **) arg - o.prepares);

    FUZZ_CHECK(!w.is_over && o.prepares[i] == prepare);
    say("prepare %u", i);
    w.is_inside = true;
    if (any_bit())
        act_outside();
    w.is_inside = false;
    return any_delay_ns();
}

static void close_prepare(unsigned i)
{
    m.has_closed = m.has_closed || o.prepares[i] != NULL;
    aloop_prepare_close(o.prepares[i]);
    o.prepares[i] = NULL;
}

void act_prepare(void)
{
    unsigned i = any_below(PREPARES_MAX);

    if (!enter())
        return;
    say("%s prepare %u", o.prepares[i] == NULL ? "start" : "close", i);
    if (o.prepares[i] != NULL)
        close_prepare(i);
    else
        FUZZ_CHECK(aloop_prepare_start(w.loop, on_prepare, &o.prepares[i],
                                       &o.prepares[i]) == 0);
}

/* Signals. */

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    (void) arg;
    FUZZ_CHECK(!w.is_over && o.signal == watch && number == SIGUSR1);
    FUZZ_CHECK(++o.signalled <= o.raised);
    say("signal");
    outside_act_some();
}

static void close_signal(void)
{
    m.has_closed = m.has_closed || o.signal != NULL;
    aloop_signal_close(o.signal);
    o.signal = NULL;
}

void act_signal(void)
{
    if (!enter())
        return;
    say("%s the signal", o.signal == NULL ? "watch" : "do not watch");
    if (o.signal != NULL)
        close_signal();
    else
        FUZZ_CHECK(aloop_signal_start(w.loop, SIGUSR1, on_signal, NULL,
                                      &o.signal) == 0);
}

void act_raise(void)
{
    bool is_caught = o.signal != NULL;

    if (!enter())
        return;
    say("raise the signal");
    o.raised++;
    for (unsigned i = 0; i < o.out_count; i++)
        if (o.outs[i].kind == SIGNAL_WAIT && !o.outs[i].is_settled &&
            is_out_pending(&o.outs[i]))
            is_caught = o.outs[i].is_settled = true;
    FUZZ_CHECK(sim_raise(SIGUSR1) == is_caught);
}

/* The first signal ends it, even before the loop runs. */
void act_signal_wait(void)
{
    struct out *out;

    if (!enter() || (out = new_out(SIGNAL_WAIT)) == NULL)
        return;
    say("wait for the signal");
    follow_out(out, aloop_signal_wait(w.loop, SIGUSR1));
}

void close_watches(void)
{
    for (unsigned i = 0; i < POLLS_MAX; i++)
        close_poll(i);
    for (unsigned i = 0; i < PREPARES_MAX; i++)
        close_prepare(i);
    close_signal();
}
