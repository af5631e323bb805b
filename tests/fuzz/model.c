/* The futures of the model: pending, then settled once; counted, handled,
 * released. */

#include "model.h"

#include <string.h>

struct model m;

/* Resets only what is used, because clearing the whole model takes long. */
void model_reset(int64_t now_ns)
{
    m.now_ns = now_ns;
    m.phase = M_OUT;
    m.is_exact = true;
    m.is_running = m.is_stopping = m.is_woken = m.has_closed = false;
    m.is_stepping = m.is_stopping_next = false;
    m.outside = M_NULL;
    m.holds = m.live = 0;
    m.ready.first = m.ready.end = 0;
    m.batch.first = m.batch.end = 0;
    m.post_first = m.post_end = m.posts_taken = 0;
    m.unread.count = m.reporting.count = 0;
    m.future_count = m.timed_count = m.call_count = m.object_count = 0;
    m.starts = m.passings = 0;
}

bool model_has_room(void)
{
    return m.now_ns < INT64_MAX / 2 && m.future_count < M_FUTURES - M_ROOM &&
           m.timed_count < M_TIMEDS - M_ROOM &&
           m.call_count < M_CALLS - M_ROOM && m.post_end < M_CALLS - M_ROOM &&
           m.object_count < M_OBJECTS - 1;
}

struct m_future *model_at(int id)
{
    FUZZ_CHECK(id >= 0 && id < m.future_count && !m.futures[id].is_gone);
    return &m.futures[id];
}

ssize_t model_peek(int id)
{
    if (id < 0)
        return id == M_NULL ? ALOOP_ENOMEM : ALOOP_EINVAL;
    return model_at(id)->status;
}

bool model_pending(int id)
{
    return model_peek(id) == ALOOP_PENDING;
}

static bool is_live(enum m_kind kind)
{
    return kind == M_SLEEP || kind == M_TASK || kind == M_TIMEOUT;
}

int model_new(enum m_kind kind)
{
    struct m_future *future = &m.futures[m.future_count];

    FUZZ_CHECK(m.future_count < M_FUTURES);
    memset(future, 0, sizeof *future);
    future->kind = kind;
    future->status = ALOOP_PENDING;
    future->refs = 1;
    future->timed = future->line = future->giver = future->lead = -1;
    future->task.awaiting = future->task.permit = M_NULL;
    future->whole.winner = -1;
    m.live += is_live(kind);
    return m.future_count++;
}

int model_done(ssize_t status)
{
    int id = model_new(M_DONE);

    m.futures[id].status = status == ALOOP_PENDING ? ALOOP_EINVAL : status;
    return id;
}

/* A settled future has no owners any more.  An error that was not handled is
 * reported when the turn ends. */
static void release_settled(int id)
{
    struct m_future *future = model_at(id);
    bool was_asked_for = future->is_cancelling &&
                         future->status == ALOOP_ECANCELED;

    if (future->status < 0 && !future->is_seen && !was_asked_for) {
        model_line_push(&m.unread, id);
        return;
    }
    model_whole_gone(id);
    model_permit_gone(id);
    future->is_gone = true;
}

static void settle(int id, ssize_t status)
{
    struct m_future *future = model_at(id);

    FUZZ_CHECK(future->status == ALOOP_PENDING && status != ALOOP_PENDING);
    future->status = status;
    m.live -= is_live(future->kind);
    for (int i = 0; i < future->waiter_count; i++)
        model_queue(future->waiters[i]);
    future->waiter_count = 0;
    if (future->refs == 0)
        release_settled(id);
}

void model_settle(int id, ssize_t status)
{
    struct m_future *future = model_at(id);
    int lead = future->lead;

    if (future->is_lead) {
        future->has_ended = true;
        status = ALOOP_ENOMEM;
    }
    if (future->followers > 0)
        return;
    settle(id, status);
    if (lead < 0)
        return;
    model_unref(id);
    if (--model_at(lead)->followers == 0 && model_at(lead)->has_ended)
        model_settle(lead, ALOOP_ENOMEM);
}

int model_resolve(int id, ssize_t status)
{
    if (id < 0 || model_at(id)->kind != M_PROMISE || status == ALOOP_PENDING)
        return ALOOP_EINVAL;
    if (!model_pending(id))
        return ALOOP_EALREADY;
    model_settle(id, status);
    return 0;
}

/* A promise that only waiters hold can no longer be resolved, and settles with
 * EDEADLK. */
static void check_promise(int id)
{
    struct m_future *future = model_at(id);

    if (future->kind == M_PROMISE && model_pending(id) && future->refs > 0 &&
        future->refs == future->waiting)
        model_settle(id, ALOOP_EDEADLK);
}

static void end(int id)
{
    struct m_future *future = model_at(id);

    switch (future->kind) {
    case M_TASK:
        future->task.was_cancelled = true;
        model_interrupt(id);
        break;
    case M_GATHER:
    case M_SETTLED:
    case M_ANY:
    case M_RACE:
        model_members_cancel(id);
        break;
    case M_TIMEOUT:
        model_end_limited(id, ALOOP_ECANCELED);
        break;
    case M_RELOCK: /* The wait ends with the mutex in any case. */
        break;
    case M_WAIT:
        model_group_cancel(future->line);
        break;
    case M_SLEEP:
        model_clear(future->timed);
        model_settle(id, ALOOP_ECANCELED);
        break;
    default:
        model_leave(id);
    }
}

int model_cancel(int id)
{
    if (!model_pending(id))
        return 0;
    if (!model_at(id)->is_cancelling) {
        model_at(id)->is_cancelling = true;
        end(id);
    }
    return 1;
}

void model_ref(int id)
{
    if (id >= 0)
        model_at(id)->refs++;
}

bool model_is_ours(int id)
{
    const struct m_future *future = model_at(id);

    return (future->refs - future->observers == 1 || future->is_common) &&
           !future->is_detached;
}

static void release(int id)
{
    struct m_future *future = model_at(id);

    future->refs--;
    if (future->refs > 0)
        check_promise(id);
    else if (!model_pending(id))
        release_settled(id);
}

/* Drops a reference of an observer. */
static void unobserve(int id)
{
    if (model_at(id)->refs == 1 && !model_at(id)->is_detached)
        model_cancel(id);
    model_at(id)->observers--;
    release(id);
}

void model_unref(int id)
{
    struct m_future *future;

    if (id < 0)
        return;
    future = model_at(id);
    FUZZ_CHECK(future->refs > future->observers);
    if (model_is_ours(id))
        model_cancel(id);
    release(id);
}

void model_detach(int id)
{
    if (id >= 0)
        model_at(id)->is_detached = true;
    model_unref(id);
}

ssize_t model_status(int id)
{
    if (id >= 0 && !model_pending(id))
        model_at(id)->is_seen = model_at(id)->is_taken = true;
    return model_peek(id);
}

void model_wait(int id, struct m_work work)
{
    struct m_future *future = model_at(id);

    future->is_seen = true;
    if (!model_pending(id)) {
        model_queue(work);
        return;
    }
    FUZZ_CHECK(future->waiter_count < M_WAITERS);
    future->waiters[future->waiter_count++] = work;
    future->waiting++;
    check_promise(id);
}

void model_unwait(int id, struct m_work work)
{
    struct m_future *future = model_at(id);
    int kept = 0;

    if (!model_pending(id))
        return;
    for (int i = 0; i < future->waiter_count; i++)
        if (future->waiters[i].what != work.what ||
            future->waiters[i].who != work.who)
            future->waiters[kept++] = future->waiters[i];
    FUZZ_CHECK(kept == future->waiter_count - 1);
    future->waiter_count = kept;
    if (--future->waiting == 0)
        future->is_seen = false; /* There is no waiter left to handle it. */
}

ssize_t model_take(int id)
{
    ssize_t status = model_peek(id);

    if (id >= 0) {
        model_at(id)->is_seen = model_at(id)->is_taken = true;
        model_unref(id);
    }
    return status;
}

void model_consume(int id)
{
    model_at(id)->is_seen = model_at(id)->is_consumed = true;
}

int model_then(int id, int *ret_call)
{
    if (id < 0)
        return (int) model_peek(id);
    FUZZ_CHECK(m.call_count < M_CALLS);
    m.calls[m.call_count] = id;
    *ret_call = m.call_count;
    model_at(id)->observers++;
    model_wait(id, (struct m_work){M_CALL, m.call_count++, 0});
    return 0;
}

void model_called(int call)
{
    unobserve(m.calls[call]);
}

void model_unthen(int call)
{
    struct m_work work = {M_CALL, call, 0};
    int id = m.calls[call];

    if (model_pending(id))
        model_unwait(id, work);
    else
        model_unqueue(work);
    if (!model_pending(id) && !model_has_call(id) && !model_at(id)->is_taken &&
        !model_at(id)->is_consumed)
        model_at(id)->is_seen = false; /* It is reported then. */
    unobserve(id);
}
