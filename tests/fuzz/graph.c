/* Graphs of futures: nested, shared, and cancelled while they run.  Each must
 * end as its contract requires, at the expected time, exactly once, and with
 * all that it waited for ended.
 *
 * The input selects a failing allocation and a plan (graph_plan.c).
 * graph_model.c computes the expected ends.  If an allocation fails, only rules
 * that always hold are checked. */

#include "graph.h"

enum { STEPS_MAX = 20000 };

static struct {
    struct fuzz_world world;
    struct graph graph;
    int64_t start_ns;
    unsigned running; /* Task functions that run. */
    bool is_held;     /* The loop is held while actions are planned. */
} w;

static int64_t now_ns(void)
{
    return aloop_now(w.world.loop) - w.start_ns;
}

static ssize_t nap(int64_t ns)
{
    return aloop_await(aloop_sleep(w.world.loop, ns));
}

static ssize_t nap_shielded(int64_t ns)
{
    ssize_t status;

    FUZZ_CHECK(aloop_shield_begin() == 0);
    status = nap(ns);
    FUZZ_CHECK(aloop_shield_end() == 0);
    return status;
}

static ssize_t nap_limited(const struct graph_node *node)
{
    aloop_deadline *deadline =
        aloop_deadline_begin(w.world.loop, node->more_ns);
    ssize_t status = nap(node->delay_ns);
    int has_passed = aloop_deadline_end(deadline);

    FUZZ_CHECK(w.world.has_failed || has_passed >= 0);
    FUZZ_CHECK(status != ALOOP_ETIMEDOUT || has_passed == 1);
    return status < 0 ? status : node->status;
}

static ssize_t follow_script(const struct graph_node *node)
{
    ssize_t status;

    if (node->script == SCRIPT_YIELD)
        aloop_yield(w.world.loop);
    if (node->script >= SCRIPT_RETURN)
        return node->status;
    if (node->script == SCRIPT_LIMIT)
        return nap_limited(node);
    status = node->script == SCRIPT_SHIELD ? nap_shielded(node->delay_ns)
                                           : nap(node->delay_ns);
    FUZZ_CHECK(w.world.has_failed || status == 0 ||
               (status == ALOOP_ECANCELED && aloop_is_cancelled()));
    if (status == 0 || node->script == SCRIPT_IGNORE ||
        node->script == SCRIPT_SHIELD)
        return node->status;
    if (node->script == SCRIPT_TIDY) {
        nap_shielded(node->more_ns);
        return node->other_status;
    }
    if (node->script == SCRIPT_AGAIN)
        return nap(ALOOP_SEC(1));
    return status;
}

static ssize_t run_task(aloop *loop, void *arg)
{
    struct graph_node *node = *(struct graph_node **) arg;
    aloop_future *awaited = node->awaited;
    ssize_t status;

    FUZZ_CHECK(loop == w.world.loop && node->started++ == 0);
    w.running++;
    node->awaited = NULL;
    status = node->kind == GRAPH_AWAIT ? aloop_await(awaited)
                                       : follow_script(node);
    w.running--;
    node->stopped++;
    return status;
}

static bool is_composite(const struct graph_node *node)
{
    return node->kind >= GRAPH_TIMEOUT;
}

/* Checks that nothing still runs that a settled node waited for.  A composition
 * without memory does not wait for members that have other owners. */
static void check_members(const struct graph_node *node)
{
    for (size_t i = 0; i < node->count && is_composite(node); i++) {
        const struct graph_node *member = &w.graph.nodes[node->members[i]];

        if (w.world.has_failed && node->end.status == ALOOP_ENOMEM &&
            member->is_observed)
            continue;
        FUZZ_CHECK(member->started == member->stopped);
        FUZZ_CHECK(aloop_future_is_settled(member->future));
    }
}

static void on_end(aloop_future *future, ssize_t status, void *arg)
{
    struct graph_node *node = arg;

    FUZZ_CHECK(node->ends++ == 0 && future == node->future);
    FUZZ_CHECK(aloop_future_is_settled(future));
    FUZZ_CHECK(aloop_future_status(future) == status);
    FUZZ_CHECK(node->started == node->stopped);
    node->end.at_ns = now_ns();
    node->end.status = status;
    check_members(node);
}

/* Returns a reference for a user of the node: the own one, unless it is needed
 * later. */
static aloop_future *give(struct graph_node *node)
{
    aloop_future *future = node->future;

    if (node->is_observed)
        return aloop_future_ref(future);
    node->future = NULL;
    return future;
}

static aloop_future *build_map(struct graph_node *node)
{
    static struct graph_node *items[GRAPH_NODES];
    struct graph_node **first = &items[node->count == 0 ? 0 : node->members[0]];

    for (size_t i = 0; i < node->count; i++)
        items[node->members[i]] = &w.graph.nodes[node->members[i]];
    return aloop_map(w.world.loop, run_task, first, node->count, sizeof *first,
                     node->limit);
}

static struct graph_node *itself[GRAPH_NODES];

static aloop_future *build_group(struct graph_node *node)
{
    node->group = aloop_group_new(w.world.loop);
    for (size_t i = 0; i < node->count; i++) {
        size_t index = node->members[i];

        itself[index] = &w.graph.nodes[index];
        aloop_group_spawn(node->group, run_task, &itself[index]);
    }
    return aloop_group_wait(node->group);
}

static aloop_future *build_task(struct graph_node *node)
{
    size_t index = (size_t) (node - w.graph.nodes);

    itself[index] = node;
    if (node->kind == GRAPH_AWAIT)
        node->awaited = give(&w.graph.nodes[node->members[0]]);
    return aloop_spawn(w.world.loop, run_task, &itself[index]);
}

static aloop_future *build_array(struct graph_node *node)
{
    aloop_future *futures[GRAPH_MEMBERS];
    aloop *loop = w.world.loop;
    size_t count = node->count;

    for (size_t i = 0; i < count; i++)
        futures[i] = give(&w.graph.nodes[node->members[i]]);
    switch (node->kind) {
    case GRAPH_TIMEOUT:
        return aloop_timeout(futures[0], node->delay_ns);
    case GRAPH_GATHER:
        return aloop_gather_array(loop, count, futures);
    case GRAPH_SETTLED:
        return aloop_gather_settled(loop, count, futures, node->statuses);
    case GRAPH_ANY:
        return aloop_any_array(loop, count, futures, &node->winner);
    default:
        return aloop_race_array(loop, count, futures, &node->winner);
    }
}

static aloop_future *build(struct graph_node *node)
{
    switch (node->kind) {
    case GRAPH_SLEEP:
        return aloop_sleep(w.world.loop, node->delay_ns);
    case GRAPH_PROMISE:
    case GRAPH_ORPHAN:
        return aloop_future_new(w.world.loop);
    case GRAPH_DONE:
        return aloop_future_new_settled(w.world.loop, node->status);
    case GRAPH_NOTHING:
        return NULL;
    case GRAPH_TASK:
    case GRAPH_AWAIT:
        return build_task(node);
    case GRAPH_MAP:
        return build_map(node);
    case GRAPH_GROUP:
        return build_group(node);
    default:
        return build_array(node);
    }
}

static void build_all(void)
{
    for (size_t i = 0; i < w.graph.count; i++) {
        struct graph_node *node = &w.graph.nodes[i];

        if (node->is_inner)
            continue;
        node->future = build(node);
        FUZZ_CHECK(node->future != NULL || node->kind == GRAPH_NOTHING ||
                   w.world.has_failed);
        if (node->kind == GRAPH_PROMISE)
            node->promise = aloop_future_ref(node->future);
        if (node->is_observed && node->future != NULL &&
            aloop_then(aloop_future_ref(node->future), on_end, node) < 0)
            FUZZ_CHECK(w.world.has_failed);
    }
}

/* Returns when the next action on a node is due, or never. */
static int64_t due_ns(const struct graph_node *node)
{
    int64_t when_ns = node->cancel_ns;

    if (node->promise != NULL && node->delay_ns < when_ns)
        when_ns = node->delay_ns;
    return when_ns;
}

static void act_on(struct graph_node *node, int64_t present_ns)
{
    if (node->promise != NULL && node->delay_ns <= present_ns) {
        int error = aloop_future_resolve(node->promise, node->status);

        FUZZ_CHECK(error == 0 || error == ALOOP_EALREADY);
        aloop_future_unref(node->promise);
        node->promise = NULL;
    }
    if (node->cancel_ns > present_ns)
        return;
    node->cancel_ns = GRAPH_NEVER;
    if (node->is_dropped) {
        aloop_future_unref(node->future);
        node->future = NULL;
    } else {
        aloop_cancel(node->future);
    }
}

static bool is_over(const struct graph_node *node)
{
    return due_ns(node) == GRAPH_NEVER &&
           aloop_future_is_settled(node->future) &&
           node->started == node->stopped;
}

/* Runs one turn, which lasts until the next planned action at most. */
static bool step(void)
{
    int64_t next_ns = GRAPH_NEVER, present_ns = now_ns();
    bool is_all_over = true;

    for (size_t i = 0; i < w.graph.count; i++) {
        struct graph_node *node = &w.graph.nodes[i];

        while (due_ns(node) <= present_ns)
            act_on(node, present_ns);
        if (due_ns(node) < next_ns)
            next_ns = due_ns(node);
        is_all_over = is_all_over && is_over(node);
    }
    if (is_all_over)
        return false;
    if (next_ns != GRAPH_NEVER) {
        aloop_step(w.world.loop, next_ns - present_ns);
        return true;
    }
    if (w.is_held)
        aloop_release(w.world.loop);
    w.is_held = false;
    return aloop_step(w.world.loop, -1) == 1;
}

static bool is_allowed(ssize_t status)
{
    static const ssize_t others[] = {ALOOP_EINVAL, ALOOP_ENOMEM, ALOOP_EDEADLK};

    for (size_t i = 0; i < GRAPH_STATUSES; i++)
        if (status == graph_statuses[i])
            return true;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (status == others[i])
            return true;
    return status >= 0 && status <= GRAPH_MEMBERS;
}

static void trace(const struct graph_node *node, const struct graph_end *end)
{
    static const char *const kinds[] = {
        "sleep",   "promise", "orphan",  "done", "nothing", "task", "await",
        "timeout", "gather",  "settled", "any",  "race",    "map",  "group",
    };

    if (!fuzz_traces())
        return;
    fprintf(stderr, "%2d %-8s(", (int) (node - w.graph.nodes),
            kinds[node->kind]);
    for (size_t i = 0; i < node->count; i++)
        fprintf(stderr, " %d", (int) node->members[i]);
    fprintf(stderr, " ) uses %u script %d %lld/%lld us status %d/%d limit %d:",
            node->uses, (int) node->script, (long long) node->delay_ns / 1000,
            (long long) node->more_ns / 1000, (int) node->status,
            (int) node->other_status, (int) node->limit);
    if (node->cancel_ns != GRAPH_NEVER)
        fprintf(stderr,
                " cancelled at %lld us:", (long long) node->cancel_ns / 1000);
    fprintf(stderr, " wanted %d at %lld us%s", (int) end->status,
            (long long) end->at_ns / 1000, end->is_loose ? " (loose)" : "");
    if (node->ends > 0)
        fprintf(stderr, ", got %d at %lld us", (int) node->end.status,
                (long long) node->end.at_ns / 1000);
    fprintf(stderr, "\n");
}

static void compare(const struct graph_node *node,
                    const struct graph_end *wanted)
{
    FUZZ_CHECK(node->ends == 1 || w.world.has_failed);
    if (node->ends == 0)
        return;
    FUZZ_CHECK(is_allowed(node->end.status));
    if (w.world.has_failed || wanted->is_loose)
        return;
    FUZZ_CHECK(node->end.status == wanted->status);
    FUZZ_CHECK(node->end.at_ns == wanted->at_ns || wanted->is_vague);
    if (wanted->index < GRAPH_MEMBERS)
        FUZZ_CHECK(node->winner == wanted->index);
}

static void compare_all(const struct graph_end *ends)
{
    for (size_t i = 0; i < w.graph.count; i++)
        if (!w.graph.nodes[i].is_inner)
            trace(&w.graph.nodes[i], &ends[i]);
    for (size_t i = 0; i < w.graph.count; i++)
        if (w.graph.nodes[i].is_observed)
            compare(&w.graph.nodes[i], &ends[i]);
}

static void release_all(void)
{
    for (size_t i = 0; i < w.graph.count; i++) {
        struct graph_node *node = &w.graph.nodes[i];

        aloop_future_unref(node->future);
        aloop_future_unref(node->promise);
        aloop_future_unref(node->awaited);
        aloop_group_free(node->group);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, data + size};
    unsigned starve = fuzz_byte(&input);
    static struct graph_end ends[GRAPH_NODES];

    memset(&w, 0, sizeof w);
    memset(ends, 0, sizeof ends);
    graph_plan(&input, &w.graph);
    graph_solve(&w.graph, ends);
    fuzz_world_open(&w.world, 0);
    w.start_ns = aloop_now(w.world.loop);
    fuzz_world_starve(&w.world, starve < 200 ? 0 : starve - 199);
    aloop_hold(w.world.loop); /* Actions are planned from here on. */
    w.is_held = true;
    build_all();
    for (int i = 0; i < STEPS_MAX && step(); i++)
        continue;
    if (w.is_held)
        aloop_release(w.world.loop);
    FUZZ_CHECK(aloop_run(w.world.loop) == 0);
    FUZZ_CHECK(w.running == 0 && !aloop_alive(w.world.loop));
    compare_all(ends);
    release_all();
    fuzz_world_close(&w.world);
    return 0;
}
