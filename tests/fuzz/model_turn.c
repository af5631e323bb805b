/* Time in the model: queues, deadlines, and the order of a turn. */

#include "model.h"

#include <string.h>

/* Limits of the step of a host: its turns, and the time until the last one
 * begins. */
enum { HOSTED_TURNS_MAX = 16, HOSTED_NS = 100000 };

void model_queue(struct m_work work)
{
    FUZZ_CHECK(m.ready.end < M_WORK);
    m.ready.work[m.ready.end++] = work;
}

static bool unqueue_from(struct m_queue *queue, struct m_work work)
{
    int kept = queue->first;

    for (int i = queue->first; i < queue->end; i++)
        if (queue->work[i].what != work.what || queue->work[i].who != work.who)
            queue->work[kept++] = queue->work[i];
    if (kept == queue->end)
        return false;
    queue->end = kept;
    return true;
}

void model_unqueue(struct m_work work)
{
    FUZZ_CHECK(unqueue_from(&m.ready, work) || unqueue_from(&m.batch, work));
}

static bool is_in(const struct m_queue *queue, struct m_work work)
{
    for (int i = queue->first; i < queue->end; i++)
        if (queue->work[i].what == work.what && queue->work[i].who == work.who)
            return true;
    return false;
}

bool model_is_queued(struct m_work work)
{
    return is_in(&m.ready, work) || is_in(&m.batch, work);
}

static bool has_call(const struct m_queue *queue, int id)
{
    for (int i = queue->first; i < queue->end; i++)
        if (queue->work[i].what == M_CALL && m.calls[queue->work[i].who] == id)
            return true;
    return false;
}

bool model_has_call(int id)
{
    return has_call(&m.ready, id) || has_call(&m.batch, id);
}

void model_post(int who)
{
    m.posts[m.post_end++] = who;
    m.is_woken = true;
}

bool model_has_work(void)
{
    return m.ready.first < m.ready.end || m.unread.count > 0 ||
           m.posts_taken < m.post_end;
}

bool model_alive(void)
{
    if (m.live > 0 || m.holds > 0 || model_has_work())
        return true;
    for (int i = 0; i < m.timed_count; i++) {
        const struct m_timed *timed = &m.timeds[i];

        if (timed->kind == M_TIMER && !timed->is_unreferenced &&
            (timed->is_set || timed->is_due))
            return true;
    }
    return false;
}

/* Deadlines. */

int model_timed(enum m_timed_kind kind, int who)
{
    FUZZ_CHECK(m.timed_count < M_TIMEDS);
    m.timeds[m.timed_count] = (struct m_timed){.kind = kind, .who = who};
    return m.timed_count++;
}

void model_clear(int timed)
{
    m.timeds[timed].is_set = m.timeds[timed].is_due = false;
}

void model_set(int timed, int64_t when_ns)
{
    model_clear(timed);
    m.timeds[timed].is_set = true;
    m.timeds[timed].when_ns = when_ns;
    m.timeds[timed].order = ++m.starts;
}

int64_t model_after(int64_t delay_ns)
{
    if (delay_ns <= 0)
        return m.now_ns;
    return delay_ns > INT64_MAX - m.now_ns ? INT64_MAX : m.now_ns + delay_ns;
}

int64_t model_due_ns(int timed)
{
    const struct m_timed *it = &m.timeds[timed];

    if (!it->is_set && !it->is_due)
        return -1;
    return it->when_ns <= m.now_ns ? 0 : it->when_ns - m.now_ns;
}

int model_sleep(int64_t when_ns)
{
    int id = model_new(M_SLEEP);

    model_at(id)->timed = model_timed(M_SLEEPING, id);
    model_set(model_at(id)->timed, when_ns);
    return id;
}

int64_t model_next_ns(void)
{
    int64_t next_ns = INT64_MAX;

    for (int i = 0; i < m.timed_count; i++)
        if (m.timeds[i].is_set && m.timeds[i].when_ns < next_ns)
            next_ns = m.timeds[i].when_ns;
    return next_ns;
}

/* Returns the first of the entries that are due, or -1. */
static int first_due(void)
{
    int first = -1;

    for (int i = 0; i < m.timed_count; i++) {
        const struct m_timed *timed = &m.timeds[i];

        if (timed->is_due &&
            (first < 0 || timed->when_ns < m.timeds[first].when_ns ||
             (timed->when_ns == m.timeds[first].when_ns &&
              timed->order < m.timeds[first].order)))
            first = i;
    }
    return first;
}

/* Restarts a periodic timer at the first point of its grid that has not
 * passed. */
static void restart(int i)
{
    struct m_timed *timed = &m.timeds[i];
    uint64_t late_ns = (uint64_t) m.now_ns - (uint64_t) timed->when_ns;
    uint64_t period_ns = (uint64_t) timed->period_ns;

    if (timed->period_ns > 0)
        model_set(i, model_after((int64_t) (period_ns - late_ns % period_ns)));
}

/* Expires an entry.  Returns whether the application sees it. */
static bool passes(int i)
{
    struct m_timed *timed = &m.timeds[i];

    timed->is_due = false;
    switch (timed->kind) {
    case M_TIMER:
        restart(i);
        return true;
    case M_SLEEPING:
        model_settle(timed->who, 0);
        return false;
    case M_LIMITING:
        model_end_limited(timed->who, ALOOP_ETIMEDOUT);
        return false;
    default:
        model_deadline_passes(i);
        return false;
    }
}

/* Does a piece of work.  Returns whether the application sees it. */
static bool do_work(struct m_work work, struct m_sight *ret)
{
    switch (work.what) {
    case M_CALL:
        m.futures[m.calls[work.who]].is_taken = true;
        *ret = (struct m_sight){M_SEE_CALL, work.who,
                                model_peek(m.calls[work.who])};
        return true;
    case M_DEFER:
        *ret = (struct m_sight){M_SEE_DEFER, work.who, 0};
        return true;
    case M_RESUME:
        /* Called, if only inside a function of the library. */
        m.has_called = true;
        *ret = (struct m_sight){M_SEE_TASK, work.who, 0};
        return model_resume(work.who, &ret->status);
    case M_MEMBER:
        model_member(work.who, work.place);
        return false;
    case M_JOINED:
        model_joined(work.who, work.place);
        return false;
    case M_LIMIT:
        model_limit(work.who);
        return false;
    default:
        return false;
    }
}

/* The phases of a turn. */

void model_turn_begin(int64_t max_wait_ns)
{
    m.max_wait_ns = max_wait_ns;
    m.is_stuck = m.is_stopping = false;
    FUZZ_CHECK(m.batch.first == m.batch.end);
    memcpy(m.batch.work, m.ready.work,
           (size_t) m.ready.end * sizeof m.ready.work[0]);
    m.batch.first = 0;
    m.batch.end = m.ready.end;
    m.ready.end = 0;
    for (int i = 0; i < m.timed_count; i++) {
        struct m_timed *timed = &m.timeds[i];

        if (timed->is_set && timed->when_ns <= m.now_ns) {
            timed->is_set = false;
            timed->is_due = true;
        }
    }
    m.phase = M_BATCH;
}

static struct m_sight batch(void)
{
    struct m_sight sight = {M_NOTHING, 0, 0};
    int due;

    while ((due = first_due()) >= 0)
        if (passes(due))
            return (struct m_sight){M_SEE_TIMER, due, 0};
    while (m.batch.first < m.batch.end)
        if (do_work(m.batch.work[m.batch.first++], &sight))
            return sight;
    return (struct m_sight){M_NOTHING, 0, 0};
}

static struct m_sight dispatch(void)
{
    if (m.post_first == m.posts_taken)
        return (struct m_sight){M_NOTHING, 0, 0};
    return (struct m_sight){M_SEE_POST, m.posts[m.post_first++], 0};
}

static struct m_sight report(void)
{
    struct m_sight sight = {M_NOTHING, 0, 0};

    if (m.reporting.count == 0)
        return sight;
    sight.kind = M_SEE_REPORT;
    sight.who = m.reporting.futures[0];
    sight.status = model_peek(sight.who);
    model_line_remove(&m.reporting, sight.who);
    model_whole_gone(sight.who);
    m.futures[sight.who].is_gone = true;
    return sight;
}

static bool has_timer(void)
{
    for (int i = 0; i < m.timed_count; i++)
        if (m.timeds[i].kind == M_TIMER && m.timeds[i].is_set)
            return true;
    return false;
}

/* Returns whether the turn may wait.  A step waits as requested, unless no
 * event could end the wait. */
static bool may_wait(void)
{
    if (m.max_wait_ns == 0 || m.is_stopping || model_has_work() ||
        (m.is_exact && m.is_woken))
        return false;
    if (!m.is_stepping)
        return !m.is_exact || model_alive();
    return !m.has_called && (model_alive() || m.max_wait_ns > 0 || has_timer());
}

/* Returns the length of the wait; INT64_MAX is unlimited. */
static int64_t wait_ns(void)
{
    int64_t next_ns = model_next_ns(), left_ns;

    if (!may_wait())
        return 0;
    if (next_ns == INT64_MAX)
        return m.max_wait_ns < 0 ? INT64_MAX : m.max_wait_ns;
    left_ns = next_ns <= m.now_ns ? 0 : next_ns - m.now_ns;
    return m.max_wait_ns < 0 || left_ns < m.max_wait_ns ? left_ns
                                                        : m.max_wait_ns;
}

static void wait(void)
{
    int64_t ns = wait_ns();

    m.phase = M_DISPATCH;
    m.is_stuck = ns == INT64_MAX;
    if (!m.is_stuck)
        m.now_ns += ns;
    m.posts_taken = m.post_end;
    m.is_woken = false;
}

static struct m_sight reach_dispatch(void)
{
    struct m_sight sight = {M_NOTHING, 0, 0};

    if (m.phase == M_BATCH) {
        sight = batch();
        if (sight.kind != M_NOTHING)
            return sight;
        m.phase = M_POSTS;
        m.posts_taken = m.post_end;
    }
    if (m.phase == M_POSTS) {
        sight = dispatch();
        if (sight.kind == M_NOTHING)
            wait();
    }
    return sight;
}

bool model_in_dispatch(void)
{
    return reach_dispatch().kind == M_NOTHING && m.phase == M_DISPATCH;
}

void model_late_post(void)
{
    if (!m.is_exact && m.phase == M_DISPATCH && m.post_first == m.posts_taken &&
        m.post_first < m.post_end)
        m.posts_taken++;
}

/* Returns whether a step without a callback so far runs another turn. */
static bool continues_step(void)
{
    return !m.is_stuck && !m.has_called && !m.is_stopping &&
           (m.ready.first < m.ready.end || model_next_ns() <= m.now_ns);
}

/* Returns whether the step of a host runs another turn.  Turns that only look
 * for events are left out, because none is left. */
static bool continues_hosted(void)
{
    return !m.is_stopping && m.hosted_turns < HOSTED_TURNS_MAX &&
           m.now_ns - m.begin_ns < HOSTED_NS &&
           (model_has_work() || model_next_ns() <= m.now_ns);
}

/* Lets a stop interrupt an await outside of tasks. */
static void interrupt(void)
{
    m.is_stopping = false;
    if (m.interrupt != 0)
        return;
    m.interrupt = ALOOP_ECANCELED;
    m.has_left = !model_is_ours(m.outside);
    if (!m.has_left)
        model_cancel(m.outside);
}

/* Begins the next turn of a run or a step.  Returns false if there is none. */
static bool begin_next_turn(void)
{
    if (m.phase != M_OUT)
        m.has_closed = false;
    m.phase = M_OUT;
    if (m.is_stepping && continues_step()) {
        model_turn_begin(0);
        return true;
    }
    if (m.is_hosted && continues_hosted()) {
        m.hosted_turns++;
        model_turn_begin(0);
        return true;
    }
    if (m.is_running && m.outside != M_NULL && m.is_stopping)
        interrupt();
    if (!m.is_running || m.is_stuck || m.has_left || !model_alive())
        return false;
    if (m.outside == M_NULL ? m.is_stopping : !model_pending(m.outside))
        return false;
    model_turn_begin(-1);
    return true;
}

struct m_sight model_next(void)
{
    do {
        struct m_sight sight = reach_dispatch();

        if (sight.kind == M_NOTHING && m.phase == M_DISPATCH) {
            sight = dispatch();
            if (sight.kind == M_NOTHING) {
                m.phase = M_REPORTING;
                m.reporting = m.unread;
                m.unread.count = 0;
            }
        }
        if (sight.kind == M_NOTHING)
            sight = report();
        if (sight.kind != M_NOTHING) {
            m.has_called = true;
            return sight;
        }
    } while (begin_next_turn());
    return (struct m_sight){M_NOTHING, 0, 0};
}

void model_run_begin(int outside)
{
    m.is_running = true;
    m.is_stuck = m.is_stopping = m.has_left = false;
    m.interrupt = 0;
    if (outside == M_NULL) {
        m.is_stopping = m.is_stopping_next;
        m.is_stopping_next = false;
    }
    m.outside = outside;
    if (outside >= 0)
        model_wait(outside, (struct m_work){M_OUTSIDE, 0, 0});
}

/* Removes the work of the await outside from a queue. */
static void drop_outside(struct m_queue *queue)
{
    int kept = queue->first;

    for (int i = queue->first; i < queue->end; i++)
        if (queue->work[i].what != M_OUTSIDE)
            queue->work[kept++] = queue->work[i];
    queue->end = kept;
}

ssize_t model_run_end(void)
{
    int id = m.outside;
    ssize_t result = m.is_stuck ? ALOOP_EDEADLK : m.is_stopping;

    m.is_running = false;
    m.outside = M_NULL;
    if (id == M_NULL)
        return result;
    model_unwait(id, (struct m_work){M_OUTSIDE, 0, 0});
    drop_outside(&m.ready);
    if (!model_pending(id))
        return model_outcome(id, m.interrupt);
    return model_refuse(id, m.has_left && !m.is_stuck ? m.interrupt
                                                      : ALOOP_EDEADLK);
}
