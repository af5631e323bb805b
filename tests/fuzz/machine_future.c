/* Acts on futures, and on futures that wait for several others. */

#include "machine.h"

static void promise(void)
{
    aloop_future *future;

    say("promise");
    arm();
    future = aloop_future_new(w.loop);
    if (is_made(future, disarm()))
        keep(future, model_new(M_PROMISE));
}

static ssize_t any_status(void)
{
    static const ssize_t statuses[] = {
        0,
        1,
        7,
        -5,
        ALOOP_ECANCELED,
        ALOOP_PENDING,
        ALOOP_EABORTED,
        ALOOP_ETIMEDOUT,
    };

    return statuses[any_below(sizeof statuses / sizeof statuses[0])];
}

static void done(void)
{
    ssize_t status = any_status();
    aloop_future *future;

    say("done with %zd", status);
    arm();
    future = aloop_future_new_settled(w.loop, status);
    if (is_made(future, disarm()))
        keep(future, model_done(status));
}

static void sleep_for(void)
{
    int64_t delay_ns = any_delay_ns();
    aloop_future *future;

    say("sleep %lld", (long long) delay_ns);
    arm();
    future = aloop_sleep(w.loop, delay_ns);
    if (is_made(future, disarm()))
        keep(future, model_sleep(model_after(delay_ns)));
}

static void sleep_until(void)
{
    int64_t when_ns = any_bit() ? m.now_ns + 10 : any_delay_ns();
    aloop_future *future;

    say("sleep until %lld", (long long) when_ns);
    arm();
    future = aloop_sleep_until(w.loop, when_ns);
    if (is_made(future, disarm()))
        keep(future, model_sleep(when_ns));
}

static void resolve(void)
{
    struct ref ref = borrow();
    ssize_t status = any_status();

    say("resolve #%d with %zd", ref.id, status);
    FUZZ_CHECK(aloop_future_resolve(ref.future, status) ==
               model_resolve(ref.id, status));
}

static void cancel(void)
{
    struct ref ref = borrow();

    say("cancel #%d", ref.id);
    FUZZ_CHECK(aloop_cancel(ref.future) == model_cancel(ref.id));
}

static void refer(void)
{
    struct ref ref = borrow();

    say("ref #%d", ref.id);
    FUZZ_CHECK(aloop_future_ref(ref.future) == ref.future);
    model_ref(ref.id);
    keep(ref.future, ref.id);
}

static void unref(void)
{
    struct ref ref = give();

    say("unref #%d", ref.id);
    give_back(ref);
}

static void detach(void)
{
    struct ref ref = give();

    say("detach #%d", ref.id);
    aloop_detach(ref.future);
    model_detach(ref.id);
}

/* Compares the results of a future with the model: items, statuses and
 * winners. */
static void check_results(int id)
{
    const struct m_whole *whole;

    if (id < 0)
        return;
    whole = &model_at(id)->whole;
    if (model_at(id)->kind == M_RECEIVE)
        FUZZ_CHECK(w.items[id] ==
                   (model_peek(id) == 0 ? model_at(id)->item : -1));
    if (model_at(id)->kind == M_SETTLED)
        for (int i = 0; i < whole->count; i++)
            FUZZ_CHECK(w.statuses[id][i] == whole->statuses[i]);
    if (model_at(id)->kind == M_ANY || model_at(id)->kind == M_RACE)
        FUZZ_CHECK(w.winners[id] == (size_t) whole->winner);
}

static void look(void)
{
    struct ref ref = borrow();

    FUZZ_CHECK(aloop_future_is_settled(ref.future) == !model_pending(ref.id));
    if (any_bit()) {
        say("status of #%d", ref.id);
        FUZZ_CHECK(aloop_future_status(ref.future) == model_status(ref.id));
    }
    if (!model_pending(ref.id))
        check_results(ref.id);
}

static void on_settled(aloop_future *future, ssize_t status, void *arg)
{
    struct call *call = arg;
    struct m_sight sight = see(M_SEE_CALL, call->id);

    FUZZ_CHECK(!call->has_run && aloop_future_is_settled(future));
    call->has_run = true;
    if (w.is_freeing)
        return;
    w.is_inside = true;
    say("continuation %d of #%d: %zd", call->id, m.calls[call->id], status);
    FUZZ_CHECK(status == sight.status);
    check_results(m.calls[call->id]);
    act_some();
    model_called(call->id);
    w.is_inside = false;
}

static void then(void)
{
    struct ref ref = give();
    struct call *call = &w.calls[m.call_count];
    int result, id;
    bool has_failed;

    if (ref.id < 0 && (w.is_inside || w.task >= 0))
        return; /* The model knows no continuations without a future. */
    say("then #%d: continuation %d", ref.id, m.call_count);
    *call = (struct call){m.call_count, ref.future, ref.id < 0};
    arm();
    result = aloop_then(ref.future, on_settled, call);
    has_failed = disarm();
    if (result == ALOOP_ENOMEM && ref.id >= 0) {
        FUZZ_CHECK(has_failed);
        model_unref(ref.id);
        return;
    }
    FUZZ_CHECK(result == model_then(ref.id, &id));
}

/* Removes any continuation that has not run, even if it is not the first. */
static void unthen(void)
{
    struct call *call;
    int id;

    if (m.call_count == 0)
        return;
    call = &w.calls[any_below((unsigned) m.call_count)];
    if (call->has_run)
        return; /* Its future may be freed. */
    id = m.calls[call->id];
    say("unthen of #%d: continuation %d", id, call->id);
    FUZZ_CHECK(aloop_unthen(call->future, on_settled, NULL) == 0);
    FUZZ_CHECK(aloop_unthen(call->future, on_settled, call) == 1);
    call->has_run = true;
    model_unthen(call->id);
}

/* Futures that wait for several others. */

static aloop_future *make_whole(enum m_kind kind, size_t count,
                                aloop_future **futures)
{
    int id = m.future_count;

    if (kind == M_GATHER)
        return aloop_gather_array(w.loop, count, futures);
    if (kind == M_SETTLED)
        return aloop_gather_settled(w.loop, count, futures, w.statuses[id]);
    if (kind == M_ANY)
        return aloop_any_array(w.loop, count, futures, &w.winners[id]);
    return aloop_race_array(w.loop, count, futures, &w.winners[id]);
}

static void compose(void)
{
    static const char *const names[] = {"gather", "settled", "any", "race"};
    unsigned byte = fuzz_byte(&w.input);
    enum m_kind kind = (enum m_kind)(M_GATHER + byte % 4);
    size_t count = byte / 4 % (M_MEMBERS + 1);
    aloop_future *futures[M_MEMBERS], *future;
    int members[M_MEMBERS], id;

    w.winners[m.future_count] = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct ref ref = give();

        futures[i] = ref.future;
        members[i] = ref.id;
    }
    say("%s of %zu: #%d #%d #%d #%d", names[byte % 4], count,
        count > 0 ? members[0] : M_NULL, count > 1 ? members[1] : M_NULL,
        count > 2 ? members[2] : M_NULL, count > 3 ? members[3] : M_NULL);
    arm();
    future = make_whole(kind, count, futures);
    if (!disarm()) {
        keep(future, model_compose(kind, (int) count, members));
        return;
    }
    id = model_tie((int) count, members);
    FUZZ_CHECK((future == NULL) == (id < 0));
    if (future != NULL)
        keep(future, id);
}

static void limit(void)
{
    struct ref ref = give();
    int64_t delay_ns = any_delay_ns();
    aloop_future *future;

    say("timeout of #%d: %lld", ref.id, (long long) delay_ns);
    arm();
    future = aloop_timeout(ref.future, delay_ns);
    if (!disarm()) {
        keep(future, model_timeout(ref.id, model_after(delay_ns)));
        return;
    }
    FUZZ_CHECK(future == ref.future); /* It is cancelled instead. */
    model_cancel(ref.id);
    keep(future, ref.id);
}

const struct act future_acts[] = {
    {"promise", promise}, {"promise", promise}, {"done", done},
    {"sleep", sleep_for}, {"sleep", sleep_for}, {"sleep until", sleep_until},
    {"resolve", resolve}, {"resolve", resolve}, {"cancel", cancel},
    {"cancel", cancel},   {"ref", refer},       {"unref", unref},
    {"detach", detach},   {"look", look},       {"then", then},
    {"unthen", unthen},   {"compose", compose}, {"compose", compose},
    {"timeout", limit},
};

const size_t future_act_count = sizeof future_acts / sizeof future_acts[0];
