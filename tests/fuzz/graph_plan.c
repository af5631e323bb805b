/* The plan of a graph, made from bytes: trees with shared parts. */

#include "graph.h"

enum { ROOTS_MAX = 4 };

const ssize_t graph_statuses[GRAPH_STATUSES] = {
    0, 1, 7, -5, -32, ALOOP_ECANCELED, ALOOP_ETIMEDOUT, ALOOP_EABORTED,
};

static struct graph *graph; /* The graph that is being made. */
static int64_t drawn;       /* Number of delays so far. */

static ssize_t any_status(struct fuzz_input *input)
{
    return graph_statuses[fuzz_below(input, GRAPH_STATUSES)];
}

/* Delays in a plan are distinct, so that simultaneous events are rare. */
static int64_t any_delay_ns(struct fuzz_input *input)
{
    return ALOOP_MS(fuzz_byte(input)) + ALOOP_US((int64_t) graph->count + 1) +
           drawn++;
}

static bool has_members(enum graph_kind kind)
{
    return kind >= GRAPH_AWAIT;
}

static struct graph_node *new_node(enum graph_kind kind, size_t *ret_index)
{
    struct graph_node *node = &graph->nodes[graph->count];

    *ret_index = graph->count++;
    memset(node, 0, sizeof *node);
    node->kind = kind;
    node->cancel_ns = GRAPH_NEVER;
    node->winner = GRAPH_MEMBERS;
    return node;
}

static void plan_delays(struct fuzz_input *input, struct graph_node *node)
{
    node->delay_ns = any_delay_ns(input);
    node->status = any_status(input);
    if (node->kind != GRAPH_TASK)
        return;
    node->script = (enum graph_script)(fuzz_below(input, 14) % SCRIPTS);
    if (node->script == SCRIPT_TIDY || node->script == SCRIPT_LIMIT)
        node->more_ns = any_delay_ns(input) + 500;
    if (node->script == SCRIPT_TIDY)
        node->other_status = any_status(input);
}

/* Makes a task of a map or group. */
static size_t plan_inner(struct fuzz_input *input)
{
    size_t index;
    struct graph_node *node = new_node(GRAPH_TASK, &index);

    node->is_inner = true;
    node->uses = 1;
    plan_delays(input, node);
    return index;
}

static size_t plan_node(struct fuzz_input *input, size_t depth);

/* Finds an existing node that may have another user. */
static bool find_shared(struct fuzz_input *input, size_t depth,
                        size_t *ret_index)
{
    struct graph_node *node;

    if (graph->count == 0)
        return false;
    *ret_index = fuzz_byte(input) % graph->count;
    node = &graph->nodes[*ret_index];
    if (node->is_inner || node->kind == GRAPH_ORPHAN ||
        node->kind == GRAPH_NOTHING || node->depth > depth || node->is_dropped)
        return false;
    node->is_observed = true;
    return true;
}

static size_t plan_members(struct fuzz_input *input, enum graph_kind kind,
                           size_t depth, size_t *ret_members)
{
    bool is_inner = kind == GRAPH_MAP || kind == GRAPH_GROUP;
    size_t count = kind <= GRAPH_TIMEOUT ? 1
                                         : fuzz_below(input, GRAPH_MEMBERS + 1);
    size_t i = 0;

    for (; i < count && graph->count + GRAPH_DEPTH < GRAPH_NODES; i++) {
        if (is_inner) {
            ret_members[i] = plan_inner(input);
        } else {
            ret_members[i] = plan_node(input, depth - 1);
            graph->nodes[ret_members[i]].uses++;
        }
    }
    return i;
}

static void plan_end(struct fuzz_input *input, struct graph_node *node)
{
    unsigned fate = fuzz_byte(input);

    if (node->kind == GRAPH_ORPHAN || node->kind == GRAPH_NOTHING)
        return;
    node->is_observed = fate % 2 == 0;
    if (node->is_observed && fate % 8 == 2)
        node->cancel_ns = any_delay_ns(input) + 250;
    if (node->is_observed && fate % 64 == 4)
        node->cancel_ns = -1;
}

/* Nodes that end immediately are rare, because their order is often
 * undefined. */
static enum graph_kind choose_kind(unsigned choice, size_t depth)
{
    static const enum graph_kind kinds[] = {
        GRAPH_SLEEP,   GRAPH_TASK,    GRAPH_PROMISE, GRAPH_TASK,
        GRAPH_SLEEP,   GRAPH_PROMISE, GRAPH_TASK,    GRAPH_TASK,
        GRAPH_SLEEP,   GRAPH_PROMISE, GRAPH_DONE,    GRAPH_NOTHING,
        GRAPH_GATHER,  GRAPH_ANY,     GRAPH_RACE,    GRAPH_SETTLED,
        GRAPH_AWAIT,   GRAPH_TIMEOUT, GRAPH_MAP,     GRAPH_GROUP,
        GRAPH_TIMEOUT, GRAPH_AWAIT,   GRAPH_GATHER,  GRAPH_RACE,
        GRAPH_ANY,     GRAPH_GATHER,  GRAPH_RACE,    GRAPH_ORPHAN,
        GRAPH_GATHER,  GRAPH_ANY,     GRAPH_RACE,    GRAPH_SETTLED,
    };

    if (depth == 0 || graph->count + 2 * GRAPH_DEPTH >= GRAPH_NODES)
        return kinds[choice % 12];
    return kinds[choice % 32];
}

static size_t plan_node(struct fuzz_input *input, size_t depth)
{
    unsigned choice = fuzz_byte(input);
    enum graph_kind kind = choose_kind(choice, depth);
    size_t members[GRAPH_MEMBERS], count = 0, index;
    struct graph_node *node;

    if (choice >= 200 && find_shared(input, depth, &index))
        return index;
    if (has_members(kind))
        count = plan_members(input, kind, depth, members);
    if (kind <= GRAPH_TIMEOUT && has_members(kind) && count == 0)
        kind = GRAPH_DONE;
    if (kind == GRAPH_TIMEOUT && graph->nodes[members[0]].kind == GRAPH_NOTHING)
        kind = GRAPH_GATHER; /* A timeout of NULL is NULL. */
    node = new_node(kind, &index);
    node->depth = depth;
    node->count = count;
    memcpy(node->members, members, count * sizeof members[0]);
    if (!has_members(kind) || kind == GRAPH_TIMEOUT)
        plan_delays(input, node);
    if (kind == GRAPH_MAP)
        node->limit = fuzz_below(input, 4);
    plan_end(input, node);
    return index;
}

void graph_plan(struct fuzz_input *input, struct graph *ret)
{
    graph = ret;
    memset(graph, 0, sizeof *graph);
    drawn = 0;
    graph->roots = 1 + fuzz_below(input, ROOTS_MAX);
    for (size_t i = 0; i < graph->roots; i++) {
        struct graph_node *root;

        if (graph->count + 2 * GRAPH_DEPTH >= GRAPH_NODES)
            return;
        root = &graph->nodes[plan_node(input, GRAPH_DEPTH)];
        if (root->kind == GRAPH_ORPHAN) /* The graph holds a reference. */
            root->kind = GRAPH_DONE;
        if (root->uses > 0 || root->is_observed || root->kind == GRAPH_NOTHING)
            continue;
        root->is_dropped = true;
        root->cancel_ns = any_delay_ns(input) + 250;
    }
}
