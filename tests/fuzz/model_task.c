/* The tasks of the model: how awaits end.  Cancellation and expired deadlines
 * are states.  They end the present await and every later one that would have
 * to wait, unless it is shielded.  The status of a settled future is delivered
 * nevertheless. */

#include "model.h"

enum { STREAK_MAX = 64 };

static struct m_task *task_of(int id)
{
    FUZZ_CHECK(model_at(id)->kind == M_TASK);
    return &model_at(id)->task;
}

static struct m_work resume(int task)
{
    return (struct m_work){M_RESUME, task, 0};
}

int model_spawn(void)
{
    int id = model_new(M_TASK);

    model_queue(resume(id));
    return id;
}

/* Returns the reason for which awaits end early now, or 0. */
static int reason(int id)
{
    const struct m_task *task = task_of(id);

    if (task->shields > 0)
        return 0;
    if (task->was_cancelled)
        return ALOOP_ECANCELED;
    return task->passed > 0 ? ALOOP_ETIMEDOUT : 0;
}

/* Ends the present await if there is a reason: together with its future if the
 * await is the only owner, or alone otherwise. */
void model_interrupt(int task_id)
{
    struct m_task *task = task_of(task_id);
    int future = task->awaiting;

    if (reason(task_id) == 0 || future < 0 || task->interrupt != 0 ||
        !model_pending(future))
        return;
    if (model_is_ours(future)) {
        if (!model_at(future)->is_cancelling || task->was_cancelled)
            task->interrupt = reason(task_id);
        model_cancel(future);
        return;
    }
    task->interrupt = reason(task_id);
    model_unwait(future, resume(task_id));
    task->awaiting = M_NULL;
    task->has_dropped = true;
    model_queue(resume(task_id));
}

ssize_t model_outcome(int id, int interrupt)
{
    ssize_t status = model_peek(id);

    if (status == ALOOP_ECANCELED)
        status = interrupt != 0 ? interrupt : ALOOP_EABORTED;
    model_take(id);
    return status;
}

/* Refuses an await.  The error of the future counts as handled, because `error`
 * already reports a failure. */
ssize_t model_refuse(int id, ssize_t error)
{
    if (model_peek(id) < 0 && !model_pending(id))
        model_at(id)->is_seen = true;
    model_unref(id);
    return error;
}

static bool any_leads_to(const int *ids, int count, int task, bool *was_seen);

/* Returns whether a follower of `lead` waits for `task`, or is it. */
static bool a_follower_leads_to(int lead, int task, bool *was_seen)
{
    for (int i = 0; i < m.future_count; i++)
        if (!m.futures[i].is_gone && m.futures[i].lead == lead &&
            any_leads_to(&i, 1, task, was_seen))
            return true;
    return false;
}

/* Returns whether a member that `id` waits for waits for `task`. */
static bool a_member_leads_to(int id, int task, bool *was_seen)
{
    const struct m_line *members;

    if (model_at(id)->kind != M_WAIT || model_at(id)->line < 0)
        return false; /* Or it has ended, and is pending for its followers. */
    members = &m.objects[model_at(id)->line].members;
    return any_leads_to(members->futures, members->count, task, was_seen);
}

/* Returns whether one of `ids` waits for `task`, through tasks, composites and
 * groups. */
static bool any_leads_to(const int *ids, int count, int task, bool *was_seen)
{
    for (int i = 0; i < count; i++) {
        const struct m_future *it;
        int id = ids[i];

        if (id < 0 || !model_pending(id) || was_seen[id])
            continue;
        if (id == task)
            return true;
        was_seen[id] = true;
        it = model_at(id);
        if ((it->followers > 0 && a_follower_leads_to(id, task, was_seen)) ||
            any_leads_to(&it->task.awaiting, 1, task, was_seen) ||
            any_leads_to(it->whole.members, it->whole.count, task, was_seen) ||
            a_member_leads_to(id, task, was_seen))
            return true;
    }
    return false;
}

static bool leads_to(int future, int task)
{
    bool was_seen[M_FUTURES] = {false};

    return any_leads_to(&future, 1, task, was_seen);
}

static void wait_once(int id, int future)
{
    struct m_task *task = task_of(id);

    task->is_waiting = true;
    task->streak = 0;
    model_wait(future, resume(id));
    task->awaiting = future;
    task->awaited = future;
    model_interrupt(id);
}

bool model_await(int task_id, int future, ssize_t *ret_status)
{
    struct m_task *task = task_of(task_id);

    if (future < 0) {
        *ret_status = model_peek(future);
        return true;
    }
    if (leads_to(future, task_id)) {
        *ret_status = model_refuse(future, ALOOP_EDEADLK);
        return true;
    }
    if (!model_pending(future) && ++task->streak < STREAK_MAX) {
        *ret_status = model_outcome(future, 0);
        return true;
    }
    wait_once(task_id, future);
    return false;
}

void model_yield(int task_id)
{
    task_of(task_id)->is_waiting = task_of(task_id)->is_yielding = true;
    task_of(task_id)->streak = 0;
    model_queue(resume(task_id));
}

/* Handles the queued work of an await.  Returns whether the await is over. */
static bool finish_await(int id, ssize_t *ret_status)
{
    struct m_task *task = task_of(id);
    int future = task->awaited, interrupt = task->interrupt;

    task->is_waiting = false;
    task->awaiting = M_NULL;
    if (task->has_dropped && model_pending(future) && model_is_ours(future) &&
        !leads_to(future, id)) {
        /* The other owners have dropped it as well. */
        task->has_dropped = false;
        model_cancel(future);
        wait_once(id, future);
        return false;
    }
    task->interrupt = 0;
    if (!task->has_dropped) {
        *ret_status = model_outcome(future, interrupt);
        return true;
    }
    task->has_dropped = false;
    model_unref(future);
    *ret_status = interrupt;
    return true;
}

/* The first half of a wait for a condition is over.  Locks the mutex again. */
static bool relock(int id, ssize_t *ret_status)
{
    struct m_task *task = task_of(id);
    int permit = task->permit, mutex = model_at(permit)->giver;

    task->notified = *ret_status;
    task->is_relocking = true;
    if (mutex < 0) {
        task->permit = M_NULL;
        model_at(permit)->refs = 0;
        model_settle(permit, 0);
        *ret_status = ALOOP_ECLOSED;
        return true;
    }
    model_unlink(permit);
    model_at(permit)->line = mutex;
    model_line_push(&m.objects[mutex].line, permit);
    model_serve(mutex);
    return model_await(id, permit, ret_status);
}

/* Returns whether both halves of the wait for a condition are over. */
static bool finish_condition(int id, ssize_t *ret_status)
{
    struct m_task *task = task_of(id);

    if (!task->is_relocking && !relock(id, ret_status))
        return false;
    task->permit = M_NULL;
    if (*ret_status >= 0)
        *ret_status = task->notified;
    return true;
}

bool model_resume(int task_id, ssize_t *ret_status)
{
    struct m_task *task = task_of(task_id);

    *ret_status = 0;
    if (!task->has_started) {
        task->has_started = true;
        return true;
    }
    FUZZ_CHECK(task->is_waiting && !task->has_ended);
    if (task->is_yielding) {
        task->is_waiting = task->is_yielding = false;
        *ret_status = reason(task_id);
        return true;
    }
    if (!finish_await(task_id, ret_status))
        return false;
    return task->permit == M_NULL || finish_condition(task_id, ret_status);
}

bool model_condition_wait(int task_id, int condition, int mutex,
                          ssize_t *ret_status)
{
    struct m_task *task = task_of(task_id);
    int permit, waiter;

    if (m.objects[mutex].count > 0) {
        *ret_status = ALOOP_EPERM;
        return true;
    }
    permit = model_new(M_RELOCK);
    waiter = model_new(M_PLAIN);
    model_at(permit)->permits = 1;
    model_link(permit, mutex);
    model_at(waiter)->line = condition;
    model_line_push(&m.objects[condition].line, waiter);
    model_give(mutex, 1);
    task->permit = permit;
    task->is_relocking = false;
    if (!model_await(task_id, waiter, ret_status))
        return false;
    return finish_condition(task_id, ret_status);
}

/* Deadlines. */

static void clear_passed(int deadline)
{
    struct m_timed *timed = &m.timeds[deadline];

    task_of(timed->who)->passed -= timed->passed_as > 0;
    timed->passed_as = 0;
}

void model_deadline_passes(int deadline)
{
    struct m_timed *timed = &m.timeds[deadline];

    if (task_of(timed->who)->was_cancelled)
        return;
    task_of(timed->who)->passed++;
    timed->passed_as = ++m.passings;
    model_interrupt(timed->who);
}

int model_deadline(int task, int64_t when_ns)
{
    int deadline = model_timed(M_DEADLINE, task);

    model_set(deadline, when_ns);
    return deadline;
}

void model_deadline_set(int deadline, int64_t when_ns)
{
    model_set(deadline, when_ns);
    clear_passed(deadline);
}

/* Returns whether this deadline has passed, and no outer one before. */
int model_deadline_end(int deadline)
{
    unsigned passed_as = m.timeds[deadline].passed_as;
    bool is_first = passed_as > 0;

    for (int i = 0; i < deadline; i++)
        if (m.timeds[i].kind == M_DEADLINE && !m.timeds[i].is_closed &&
            m.timeds[i].who == m.timeds[deadline].who &&
            m.timeds[i].passed_as > 0 && m.timeds[i].passed_as < passed_as)
            is_first = false;
    clear_passed(deadline);
    model_clear(deadline);
    m.timeds[deadline].is_closed = true;
    return is_first;
}

void model_end(int task_id, ssize_t status)
{
    for (int i = 0; i < m.timed_count; i++)
        if (m.timeds[i].kind == M_DEADLINE && m.timeds[i].who == task_id &&
            !m.timeds[i].is_closed)
            model_deadline_end(i);
    task_of(task_id)->has_ended = true;
    model_settle(task_id, status == ALOOP_PENDING ? ALOOP_EINVAL : status);
}
