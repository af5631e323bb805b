/* The composites of the model: gather and similar functions, timeouts, groups.
 * Each settles only after all that it waits for has ended. */

#include "model.h"

static struct m_whole *whole_of(int id)
{
    return &model_at(id)->whole;
}

/* Converts ECANCELED of a member, which would report a cancel of the composite
 * itself. */
static ssize_t as_own(int id, ssize_t status)
{
    return status == ALOOP_ECANCELED && !model_at(id)->is_cancelling
               ? ALOOP_EABORTED
               : status;
}

void model_members_cancel(int whole_id)
{
    struct m_whole *whole = whole_of(whole_id);

    for (int i = 0; i < whole->count; i++)
        if (!whole->has_ended[i])
            model_cancel(whole->members[i]);
}

int model_compose(enum m_kind kind, int count, const int *members)
{
    int id;

    if (count == 0)
        return model_done(kind >= M_ANY ? ALOOP_EINVAL : 0);
    id = model_new(kind);
    whole_of(id)->count = whole_of(id)->left = count;
    for (int i = 0; i < count; i++)
        whole_of(id)->members[i] = members[i];
    for (int i = 0; i < count; i++) {
        struct m_work work = {M_MEMBER, id, i};

        if (members[i] < 0)
            model_queue(work);
        else
            model_wait(members[i], work);
    }
    return id;
}

static void note(int id, int place, ssize_t status)
{
    static const bool is_success_decisive[] = {false, false, true, true};
    static const bool is_failure_decisive[] = {true, false, false, true};
    struct m_whole *whole = whole_of(id);
    int rule = (int) model_at(id)->kind - M_GATHER;

    whole->statuses[place] = status;
    whole->has_lost = whole->has_lost || status == ALOOP_ECANCELED;
    if (whole->is_decided)
        return;
    if (status < 0 ? is_failure_decisive[rule] : is_success_decisive[rule]) {
        whole->is_decided = true;
        whole->outcome = as_own(id, status);
        whole->winner = place;
        model_members_cancel(id);
    } else if (rule == M_SETTLED - M_GATHER) {
        whole->outcome += status >= 0;
    } else if (rule == M_ANY - M_GATHER && whole->outcome == 0) {
        whole->outcome = as_own(id, status);
    }
}

/* A composite owns the grant of a member until the grant is taken or
 * dropped. */
static void keep(int id, int member)
{
    struct m_whole *whole = whole_of(id);

    if (model_at(member)->is_grant && !model_at(member)->is_kept) {
        model_at(member)->is_kept = true;
        whole->grants[whole->grant_count++] = member;
    } else {
        model_unref(member);
    }
}

void model_grants_drop(int id, bool is_taken)
{
    struct m_whole *whole = whole_of(id);

    for (int i = 0; i < whole->grant_count; i++) {
        struct m_future *member = model_at(whole->grants[i]);

        member->is_kept = false;
        member->is_taken = member->is_taken || is_taken;
        model_unref(whole->grants[i]);
    }
    whole->grant_count = 0;
}

void model_whole_gone(int id)
{
    const struct m_future *future = model_at(id);

    model_grants_drop(id, future->is_taken && (future->status >= 0 ||
                                               future->kind == M_SETTLED));
}

void model_member(int whole_id, int place)
{
    struct m_whole *whole = whole_of(whole_id);
    bool is_settled_kind = model_at(whole_id)->kind == M_SETTLED;
    bool is_late = whole->is_decided;
    int member = whole->members[place];

    whole->has_ended[place] = true;
    whole->left--;
    note(whole_id, place, model_peek(member));
    whole->members[place] = M_NULL;
    if (member >= 0)
        model_consume(member);
    if (member >= 0 && is_late)
        model_unref(member);
    else if (member >= 0)
        keep(whole_id, member);
    if (whole->left > 0)
        return;
    if (is_settled_kind && model_at(whole_id)->is_cancelling && whole->has_lost)
        whole->outcome = ALOOP_ECANCELED;
    if (!is_settled_kind && whole->outcome < 0)
        model_grants_drop(whole_id, false);
    model_at(whole_id)->is_grant = whole->grant_count > 0;
    model_settle(whole_id, whole->outcome);
}

/* Ties `id` to `lead` if possible.  Returns the lead. */
static int tie(int id, int lead)
{
    if (lead < 0) {
        model_at(id)->is_lead = true;
        return id;
    }
    if (id == lead || model_at(id)->lead >= 0) {
        model_unref(id);
        return lead;
    }
    model_consume(id);
    model_at(id)->lead = lead;
    model_at(lead)->followers++;
    return lead;
}

/* A common future leads only if no other one can; the last of these leads. */
int model_tie(int count, const int *members)
{
    int lead = M_NULL, commons[M_MEMBERS], common_count = 0;

    for (int i = 0; i < count; i++)
        if (members[i] >= 0)
            model_cancel(members[i]);
    for (int i = 0; i < count; i++) {
        int id = members[i];

        if (id < 0 || !model_pending(id) || !model_is_ours(id))
            model_unref(id);
        else if (model_at(id)->is_common)
            commons[common_count++] = id;
        else
            lead = tie(id, lead);
    }
    for (int i = common_count; i > 0; i--)
        lead = tie(commons[i - 1], lead);
    return lead;
}

/* Timeouts. */

int model_timeout(int target, int64_t when_ns)
{
    int id;

    if (target < 0)
        return target;
    id = model_new(M_TIMEOUT);
    whole_of(id)->members[0] = target;
    whole_of(id)->count = 1;
    model_at(id)->timed = model_timed(M_LIMITING, id);
    model_set(model_at(id)->timed, when_ns);
    model_wait(target, (struct m_work){M_LIMIT, id, 0});
    return id;
}

/* A limit that passes after a cancel of the target has no effect. */
void model_end_limited(int timeout_id, ssize_t reason)
{
    int target = whole_of(timeout_id)->members[0];

    if (!model_at(target)->is_cancelling && model_cancel(target) == 1)
        whole_of(timeout_id)->reason = reason;
}

void model_limit(int timeout_id)
{
    struct m_whole *whole = whole_of(timeout_id);
    ssize_t status = model_peek(whole->members[0]);

    model_consume(whole->members[0]);
    keep(timeout_id, whole->members[0]);
    model_at(timeout_id)->is_grant = whole->grant_count > 0;
    whole->members[0] = M_NULL;
    model_clear(model_at(timeout_id)->timed);
    if (status == ALOOP_ECANCELED)
        status = whole->reason != 0 ? whole->reason
                                    : as_own(timeout_id, status);
    model_settle(timeout_id, status);
}

/* Groups. */

static void end_all(struct m_object *group)
{
    if (group->is_ending)
        return;
    group->is_ending = true;
    for (int i = 0; i < group->members.count; i++)
        model_cancel(group->members.futures[i]);
}

static ssize_t outcome(struct m_object *group)
{
    if (group->error < 0)
        model_consume(group->failed);
    if (group->error < 0)
        return group->error;
    return group->has_lost ? ALOOP_ECANCELED : 0;
}

int model_group_spawn(int group_id)
{
    struct m_object *group = &m.objects[group_id];
    int task;

    if (group->is_ending)
        return M_NULL;
    task = model_spawn();
    model_line_push(&group->members, task);
    model_wait(task, (struct m_work){M_JOINED, group_id, task});
    return task;
}

int model_group_wait(int group_id)
{
    struct m_object *group = &m.objects[group_id];
    int wait = model_new(M_WAIT);

    if (group->members.count == 0) {
        model_settle(wait, outcome(group));
        return wait;
    }
    model_at(wait)->line = group_id;
    model_line_push(&group->line, wait);
    return wait;
}

int model_group_share(int group_id)
{
    int first = m.objects[group_id].line.futures[0];

    FUZZ_CHECK(m.objects[group_id].line.count > 0);
    model_at(first)->is_common = true;
    model_ref(first);
    return first;
}

void model_group_cancel(int group_id)
{
    m.objects[group_id].was_cancelled = true;
    end_all(&m.objects[group_id]);
}

void model_group_free(int group_id)
{
    struct m_object *group = &m.objects[group_id];

    model_group_cancel(group_id);
    group->is_freed = true;
    if (group->members.count == 0)
        model_unref(group->failed);
}

static void note_task(struct m_object *group, int task)
{
    ssize_t status = model_peek(task);

    if (status >= 0)
        return;
    if (status == ALOOP_ECANCELED && model_at(task)->is_cancelling) {
        group->has_lost = group->has_lost || group->was_cancelled;
    } else if (group->failed < 0) {
        group->error = status == ALOOP_ECANCELED ? ALOOP_EABORTED : status;
        group->failed = task;
        model_ref(task);
        end_all(group);
    }
}

/* A member has ended.  The group handles its error, unless the task has another
 * owner. */
void model_joined(int group_id, int task)
{
    struct m_object *group = &m.objects[group_id];

    model_line_remove(&group->members, task);
    note_task(group, task);
    if (task != group->failed || model_at(task)->refs > 2)
        model_consume(task);
    else
        model_at(task)->is_seen = false;
    model_unref(task);
    if (group->members.count > 0)
        return;
    if (group->line.count > 0)
        model_line_settle(&group->line, outcome(group));
    if (group->is_freed)
        model_unref(group->failed);
}
