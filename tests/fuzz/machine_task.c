/* Acts on tasks, and the bodies of tasks, which act, await and return. */

#include "machine.h"

enum { SCOPES_MAX = 3 };

/* State on the stack of a body. */
struct scope {
    aloop_deadline *deadline;
    int id;
};

static struct {
    struct scope scopes[SCOPES_MAX];
    int count;
} scopes[M_FUTURES];

/* The task was resumed.  Checks that the model expects it, and returns the
 * result of its await. */
static ssize_t resumed(int id)
{
    struct m_sight sight = see(M_SEE_TASK, id);

    w.task = id;
    w.is_inside = true;
    return sight.status;
}

ssize_t body(aloop *loop, void *arg)
{
    static const ssize_t results[] = {
        0, 1, 9, -5, ALOOP_ECANCELED, ALOOP_PENDING, ALOOP_EABORTED, -7,
    };
    int id = *(int *) arg;
    ssize_t result;

    resumed(id);
    FUZZ_CHECK(loop == w.loop && !w.has_body_run[id]);
    w.has_body_run[id] = true;
    w.bodies++;
    say("begins");
    scopes[id].count = 0;
    for (unsigned i = fuzz_byte(&w.input) % 8; i > 0; i--)
        act();
    w.bodies--;
    result = results[any_below(sizeof results / sizeof results[0])];
    say("returns %zd", result);
    if (!w.is_freeing)
        model_end(id, result);
    w.task = M_NULL;
    w.is_inside = false;
    return result;
}

static void spawn(void)
{
    int *arg = &w.tasks[m.future_count];
    aloop_future *task;

    *arg = m.future_count;
    w.has_body_run[*arg] = false;
    say("spawn");
    arm();
    task = aloop_spawn(w.loop, body, arg);
    if (is_made(task, disarm()))
        keep(task, model_spawn());
}

/* Another flow continues, and must not take this state for its own. */
static void leave(void)
{
    w.task = M_NULL;
    w.is_inside = false;
}

static ssize_t await_in_task(struct ref ref)
{
    int id = w.task;
    unsigned sights = w.sights;
    ssize_t expected, status;
    bool is_at_once = model_await(id, ref.id, &expected);

    say("await #%d%s", ref.id, is_at_once ? ", which has settled" : "");
    if (!is_at_once)
        leave();
    status = aloop_await(ref.future);
    if (!is_at_once)
        expected = resumed(id);
    else
        FUZZ_CHECK(w.sights == sights);
    say("  returns %zd", status);
    FUZZ_CHECK(w.is_freeing || status == expected);
    return status;
}

/* A callback cannot wait. */
static ssize_t await_in_callback(struct ref ref)
{
    ssize_t status = aloop_await(ref.future);

    say("await #%d in a callback", ref.id);
    FUZZ_CHECK(status == (ref.id < 0 ? model_peek(ref.id) : ALOOP_EDEADLK));
    if (ref.id >= 0)
        model_refuse(ref.id, 0);
    return status;
}

static ssize_t await_outside(struct ref ref)
{
    ssize_t status, expected = model_peek(ref.id);

    say("await #%d outside", ref.id);
    if (ref.id >= 0)
        model_run_begin(ref.id);
    status = aloop_await(ref.future);
    if (ref.id >= 0) {
        FUZZ_CHECK(model_next().kind == M_NOTHING);
        expected = model_run_end();
    }
    say("  returns %zd", status);
    FUZZ_CHECK(status == expected);
    check_time();
    return status;
}

ssize_t await_ref(struct ref ref)
{
    if (w.task >= 0)
        return await_in_task(ref);
    if (w.is_inside)
        return await_in_callback(ref);
    if (m.is_exact && !m.is_woken)
        return await_outside(ref);
    give_back(ref);
    return ALOOP_EAGAIN; /* The time of a wake-up is not known. */
}

static void await(void)
{
    await_ref(give());
}

static void yield(void)
{
    int id = w.task;
    ssize_t status;

    if (id < 0)
        return;
    say("yield");
    model_yield(id);
    leave();
    status = aloop_yield(w.loop);
    FUZZ_CHECK(status == resumed(id) || w.is_freeing);
}

static void shield(void)
{
    bool is_end = any_bit();
    int expected = ALOOP_EINVAL;

    say("shield %s", is_end ? "end" : "begin");
    if (w.task >= 0) {
        struct m_task *task = &model_at(w.task)->task;

        expected = is_end && task->shields == 0 ? ALOOP_EINVAL : 0;
        task->shields += expected < 0 ? 0 : is_end ? -1 : 1;
    }
    FUZZ_CHECK((is_end ? aloop_shield_end() : aloop_shield_begin()) ==
               expected);
}

static void begin_deadline(void)
{
    int64_t delay_ns = any_delay_ns();
    aloop_deadline *deadline;
    struct scope *scope;
    bool has_failed;

    if (w.task >= 0 && scopes[w.task].count == SCOPES_MAX)
        return;
    say("deadline %lld", (long long) delay_ns);
    arm();
    deadline = aloop_deadline_begin(w.loop, delay_ns);
    has_failed = disarm();
    FUZZ_CHECK((deadline == NULL) == (has_failed || w.task < 0));
    if (deadline == NULL)
        return;
    scope = &scopes[w.task].scopes[scopes[w.task].count++];
    scope->deadline = deadline;
    scope->id = model_deadline(w.task, model_after(delay_ns));
}

static void move_deadline(void)
{
    int64_t delay_ns = any_delay_ns();
    struct scope *scope;
    int result;

    if (w.task < 0 || scopes[w.task].count == 0)
        return;
    scope = &scopes[w.task].scopes[any_below((unsigned) scopes[w.task].count)];
    say("move deadline: %lld", (long long) delay_ns);
    arm();
    result = aloop_deadline_restart(scope->deadline, delay_ns);
    if (!disarm())
        FUZZ_CHECK(result == 0);
    if (result == 0)
        model_deadline_set(scope->id, model_after(delay_ns));
}

static void end_deadline(void)
{
    struct scope *scope;

    if (w.task < 0 || scopes[w.task].count == 0)
        return;
    scope = &scopes[w.task].scopes[--scopes[w.task].count];
    say("end deadline");
    if (scopes[w.task].count > 0) /* Not the innermost. */
        FUZZ_CHECK(aloop_deadline_end(scopes[w.task].scopes[0].deadline) ==
                   ALOOP_EINVAL);
    FUZZ_CHECK(aloop_deadline_end(scope->deadline) ==
               model_deadline_end(scope->id));
}

/* Combinations of acts that are rare by chance. */

static void nap(void)
{
    int64_t delay_ns = any_delay_ns();
    struct ref ref;

    if (w.task < 0 || w.is_freeing || !model_has_room())
        return; /* Many tasks may be about to sleep. */
    say("sleep %lld and await it", (long long) delay_ns);
    ref.future = aloop_sleep(w.loop, delay_ns);
    ref.id = model_sleep(model_after(delay_ns));
    await_ref(ref);
}

static void stay_in_scope(void)
{
    begin_deadline();
    nap();
    act();
    if (!w.is_freeing)
        end_deadline();
    nap();
}

static void stay_shielded(void)
{
    if (w.task < 0 || w.is_freeing)
        return;
    say("shield begin");
    FUZZ_CHECK(aloop_shield_begin() == 0);
    model_at(w.task)->task.shields++;
    nap();
    act();
    nap();
}

/* So many awaits that one of them yields. */
static void await_often(void)
{
    struct ref ref = borrow();
    unsigned count = any_below(100);

    if (w.task < 0 || ref.id < 0 || model_pending(ref.id))
        return;
    /* Keep a reference, because others may drop theirs during a yield. */
    FUZZ_CHECK(aloop_future_ref(ref.future) == ref.future);
    model_ref(ref.id);
    for (unsigned i = 0; i < count && !w.is_freeing; i++) {
        aloop_future_ref(ref.future);
        model_ref(ref.id);
        await_ref(ref);
    }
    give_back(ref);
}

/* Checks what a task can query about itself. */
static void look(void)
{
    aloop_future *task = aloop_current_task();

    FUZZ_CHECK((task != NULL) == (w.task >= 0));
    FUZZ_CHECK(aloop_current() == (w.is_inside ? w.loop : NULL));
    FUZZ_CHECK(aloop_is_cancelled() ==
               (w.task >= 0 && model_at(w.task)->task.was_cancelled));
    if (w.task < 0)
        return;
    FUZZ_CHECK(!aloop_future_is_settled(task));
    say("refs itself");
    aloop_future_ref(task);
    model_ref(w.task);
    keep(task, w.task);
}

const struct act task_acts[] = {
    {"spawn", spawn},
    {"spawn", spawn},
    {"spawn", spawn},
    {"await", await},
    {"await", await},
    {"await", await},
    {"await", await},
    {"yield", yield},
    {"shield", shield},
    {"begin deadline", begin_deadline},
    {"move deadline", move_deadline},
    {"end deadline", end_deadline},
    {"look", look},
};

const size_t task_act_count = sizeof task_acts / sizeof task_acts[0];

const struct act scope_acts[] = {
    {"nap", nap},
    {"stay in scope", stay_in_scope},
    {"stay shielded", stay_shielded},
    {"await often", await_often},
};

const size_t scope_act_count = sizeof scope_acts / sizeof scope_acts[0];
