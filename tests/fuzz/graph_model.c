/* The expected ends of a graph of futures, computed from the contracts alone.
 *
 * The end of a node with a single user depends on two times: when it starts and
 * when it is cancelled.  It is therefore a function of these, and the end of a
 * composite is a function of the ends of its members: first without a cancel,
 * then with the time at which the composite cancels them.  A node with several
 * users is cancelled by the first of them.  This time is found by iteration:
 * each round adds the earliest cancel that the round before has found.
 *
 * If independent events happen at the same time, the result is not defined.
 * Such an end is loose, and so are the ends that depend on it. */

#include "graph.h"

enum { MEMOS = 8 };

static struct {
    const struct graph *graph;
    int64_t cancelled_ns[GRAPH_NODES]; /* Shared nodes: cancels known so far. */
    int64_t wanted_ns[GRAPH_NODES];    /* Cancels found in this round. */
    bool is_loose[GRAPH_NODES]; /* Depends on loose events above the node. */
    bool has_loosened;          /* A node was marked loose in this round. */
    struct graph_end *ends;
    /* Results of this round, so that they are not computed again for each level
     * above. */
    struct memo {
        int64_t start_ns, cancel_ns;
        struct graph_end end;
    } memos[GRAPH_NODES][MEMOS];
    unsigned memo_counts[GRAPH_NODES];
} m;

static struct graph_end solve(size_t index, int64_t start_ns, int64_t cancel_ns,
                              bool is_final);

/* Returns whether the node has an owner other than a single user. */
static bool is_held(size_t index)
{
    return m.graph->nodes[index].is_observed || m.graph->nodes[index].uses > 1;
}

static struct graph_end await_end(const struct graph_node *node,
                                  int64_t start_ns, int64_t cancel_ns,
                                  bool is_final)
{
    size_t member = node->members[0];
    bool is_passed_on = !is_held(member);
    struct graph_end end = solve(
        member, start_ns, is_passed_on ? cancel_ns : GRAPH_NEVER, is_final);
    bool is_cancelled = cancel_ns < end.at_ns ||
                        (is_passed_on && cancel_ns == end.at_ns);

    end.index = GRAPH_MEMBERS;
    end.is_instant = false;
    if ((!is_passed_on && cancel_ns == end.at_ns) || end.is_vague)
        end.is_loose = true;
    if (is_cancelled && !is_passed_on) { /* The await drops its reference. */
        end.at_ns = graph_later(cancel_ns, start_ns);
        end.status = ALOOP_ECANCELED;
    } else if (end.status == ALOOP_ECANCELED && !is_cancelled) {
        end.status = ALOOP_EABORTED;
    }
    return end;
}

/* Returns the status of an await: ECANCELED only for the own cancel, EABORTED
 * for another one. */
static ssize_t as_outcome(const struct graph_end *end, int64_t cancel_ns)
{
    return end->status == ALOOP_ECANCELED && cancel_ns > end->at_ns
               ? ALOOP_EABORTED
               : end->status;
}

/* Returns when an owner other than the single user cancels the node, as far as
 * known. */
static int64_t others_ns(size_t index)
{
    const struct graph_node *node = &m.graph->nodes[index];
    int64_t when_ns = node->uses > 1 ? m.cancelled_ns[index] : GRAPH_NEVER;

    if (node->cancel_ns == GRAPH_NEVER)
        return when_ns;
    return graph_earlier(when_ns, graph_later(node->cancel_ns, 0));
}

static struct graph_end timeout_end(const struct graph_node *node,
                                    int64_t start_ns, int64_t cancel_ns,
                                    bool is_final)
{
    int64_t limit_ns = start_ns + node->delay_ns;
    int64_t ours_ns = graph_earlier(cancel_ns, limit_ns);
    int64_t theirs_ns = others_ns(node->members[0]);
    struct graph_end end = solve(node->members[0], start_ns, ours_ns, is_final);

    end.index = GRAPH_MEMBERS;
    end.is_instant = false;
    if (limit_ns == cancel_ns || end.is_vague)
        end.is_loose = true;
    if (end.status != ALOOP_ECANCELED)
        return end;
    if (theirs_ns == ours_ns) /* The known cancel may be the own one. */
        end.is_loose = true;
    if (theirs_ns < ours_ns && cancel_ns == end.at_ns)
        end.is_loose = true;
    if (theirs_ns < ours_ns || ours_ns > end.at_ns)
        end.status = as_outcome(&end, cancel_ns);
    else if (limit_ns < cancel_ns)
        end.status = ALOOP_ETIMEDOUT;
    return end;
}

/* A node that had settled from the start precedes one that settles
 * immediately. */
static bool comes_before(const struct graph_end *a, const struct graph_end *b)
{
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns;
    return a->is_instant && !b->is_instant;
}

/* Returns the first end whose status `counts`, or `count` if there is none.
 * Two nodes at the same time are a tie, unless they had settled from the start.
 * A tie with different statuses is loose. */
static size_t first_of(const struct graph_node *node,
                       const struct graph_end *ends, size_t count,
                       bool (*counts)(ssize_t status), bool *ret_is_tie,
                       bool *ret_is_loose)
{
    size_t first = count;

    *ret_is_tie = false;
    for (size_t i = 0; i < count; i++) {
        if (!counts(ends[i].status) ||
            (first < count && node->members[i] == node->members[first]))
            continue;
        if (first == count || comes_before(&ends[i], &ends[first])) {
            first = i;
            *ret_is_tie = false;
        } else if (ends[i].at_ns == ends[first].at_ns &&
                   !ends[first].is_instant) {
            *ret_is_tie = true;
            if (ends[i].status != ends[first].status)
                *ret_is_loose = true;
        }
    }
    return first;
}

static bool any_status(ssize_t status)
{
    return status != ALOOP_PENDING;
}

static bool is_error(ssize_t status)
{
    return status < 0;
}

static bool is_success(ssize_t status)
{
    return status >= 0;
}

static bool solve_members(const struct graph_node *node, int64_t start_ns,
                          int64_t cancel_ns, bool is_final,
                          struct graph_end *ret)
{
    bool is_loose = false;

    for (size_t i = 0; i < node->count; i++) {
        ret[i] = solve(node->members[i], start_ns, cancel_ns, is_final);
        is_loose = is_loose || ret[i].is_loose || ret[i].is_vague;
    }
    return is_loose;
}

/* Computes the members again after `first` has decided: those that have not
 * ended by then are cancelled.  In a tie the order is not defined, so the first
 * one may be cancelled, too. */
static void stop_members(const struct graph_node *node, int64_t start_ns,
                         int64_t cancel_ns, size_t first, bool is_tie,
                         bool is_final, struct graph_end *ends)
{
    int64_t stop_ns = first < node->count ? ends[first].at_ns : GRAPH_NEVER;

    for (size_t i = 0; i < node->count; i++) {
        bool is_decisive = first < node->count && !is_tie &&
                           node->members[i] == node->members[first];
        bool is_late = !is_decisive && ends[i].at_ns >= stop_ns;

        ends[i] = solve(node->members[i], start_ns,
                        is_late ? graph_earlier(cancel_ns, stop_ns) : cancel_ns,
                        is_final);
    }
}

/* A composite ends when all its members have ended. */
static void end_with(const struct graph_end *ends, size_t count,
                     struct graph_end *ret)
{
    for (size_t i = 0; i < count; i++) {
        ret->at_ns = graph_later(ret->at_ns, ends[i].at_ns);
        if (ends[i].is_loose || ends[i].is_vague)
            ret->is_vague = true;
    }
}

static struct graph_end settled_end(const struct graph_node *node,
                                    int64_t start_ns, int64_t cancel_ns,
                                    bool is_final)
{
    struct graph_end ends[GRAPH_MEMBERS];
    struct graph_end end = graph_ended(start_ns, 0);
    bool has_lost = false;

    end.is_loose = solve_members(node, start_ns, cancel_ns, is_final, ends);
    end_with(ends, node->count, &end);
    for (size_t i = 0; i < node->count; i++) {
        end.status += ends[i].status >= 0;
        has_lost = has_lost || ends[i].status == ALOOP_ECANCELED;
    }
    if (cancel_ns <= end.at_ns && has_lost)
        end.status = ALOOP_ECANCELED;
    return end;
}

/* If it is not certain whether the members are cancelled, their ends are
 * loose. */
static void loosen(const struct graph_node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        size_t member = node->members[i];

        if (!m.is_loose[member])
            m.has_loosened = true;
        m.is_loose[member] = true;
        loosen(&m.graph->nodes[member]);
    }
}

/* Gather, any, race: the first end that counts decides. */
static struct graph_end group_end(const struct graph_node *node,
                                  int64_t start_ns, int64_t cancel_ns,
                                  bool is_final)
{
    bool (*counts)(ssize_t) = node->kind == GRAPH_GATHER ? is_error
                              : node->kind == GRAPH_ANY  ? is_success
                                                         : any_status;
    struct graph_end ends[GRAPH_MEMBERS];
    struct graph_end end = graph_ended(start_ns, 0);
    bool is_loose, is_tie;
    size_t first;

    if (node->count == 0) {
        end.status = node->kind == GRAPH_GATHER ? 0 : ALOOP_EINVAL;
        return end;
    }
    is_loose = solve_members(node, start_ns, cancel_ns, false, ends);
    first = first_of(node, ends, node->count, counts, &is_tie, &is_loose);
    if (first < node->count) {
        end.status = as_outcome(&ends[first], cancel_ns);
        if (!is_tie && node->kind != GRAPH_GATHER)
            end.index = first;
    } else if (node->kind == GRAPH_ANY) {
        size_t error =
            first_of(node, ends, node->count, is_error, &is_tie, &is_loose);

        end.status = as_outcome(&ends[error], cancel_ns);
    }
    stop_members(node, start_ns, cancel_ns, first, is_tie, is_final, ends);
    end_with(ends, node->count, &end);
    end.is_loose = is_loose;
    if (is_loose && is_final)
        loosen(node);
    return end;
}

/* ECANCELED from a cancelled task is not a failure of its group. */
static struct graph_end tasks_end(const struct graph_node *node,
                                  int64_t start_ns, int64_t cancel_ns)
{
    struct graph_end ends[GRAPH_MEMBERS], failures[GRAPH_MEMBERS] = {{0}};
    struct graph_end end = graph_ended(start_ns, 0);
    bool is_loose, is_tie;
    size_t first;

    is_loose = solve_members(node, start_ns, cancel_ns, false, ends);
    for (size_t i = 0; i < node->count; i++) {
        failures[i] = ends[i];
        if (ends[i].status == ALOOP_ECANCELED && cancel_ns <= ends[i].at_ns) {
            failures[i].status = 0;
            end.status = ALOOP_ECANCELED;
        }
    }
    first = first_of(node, failures, node->count, is_error, &is_tie, &is_loose);
    if (first < node->count)
        end.status = as_outcome(&ends[first], cancel_ns);
    stop_members(node, start_ns, cancel_ns, first, is_tie, false, ends);
    end_with(ends, node->count, &end);
    end.is_loose = is_loose;
    return end;
}

static size_t ended_at(const struct graph_end *ends, size_t count,
                       int64_t at_ns)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += ends[i].at_ns == at_ns;
    return sum;
}

/* Returns when `count` + 1 of the ends have passed. */
static int64_t free_ns(const struct graph_end *ends, size_t begun, size_t count)
{
    int64_t sorted_ns[GRAPH_MEMBERS] = {0};

    for (size_t i = 0; i < begun; i++) {
        size_t at = i;

        for (; at > 0 && sorted_ns[at - 1] > ends[i].at_ns; at--)
            sorted_ns[at] = sorted_ns[at - 1];
        sorted_ns[at] = ends[i].at_ns;
    }
    return sorted_ns[count];
}

/* Tasks in succession, `limit` at a time. */
static struct graph_end map_end(const struct graph_node *node, int64_t start_ns,
                                int64_t cancel_ns)
{
    struct graph_end ends[GRAPH_MEMBERS] = {{0}};
    struct graph_end end = graph_ended(start_ns, 0);
    int64_t begun_ns[GRAPH_MEMBERS];
    int64_t stop_ns = cancel_ns; /* No item begins from then on. */
    size_t lanes = node->limit == 0 ? node->count : node->limit, begun = 0;
    bool is_tie, is_loose = false;
    size_t first;

    for (; begun < node->count; begun++) {
        int64_t when_ns = begun < lanes ? start_ns
                                        : free_ns(ends, begun, begun - lanes);

        first = first_of(node, ends, begun, is_error, &is_tie, &is_loose);
        if (first < begun)
            stop_ns = graph_earlier(cancel_ns, ends[first].at_ns);
        if (begun >= lanes && when_ns == stop_ns && stop_ns < cancel_ns &&
            ended_at(ends, begun, stop_ns) > 1)
            is_loose = true;
        if (begun >= lanes && when_ns >= stop_ns)
            break;
        begun_ns[begun] = when_ns;
        ends[begun] = solve(node->members[begun], when_ns, cancel_ns, false);
        is_loose = is_loose || ends[begun].is_loose;
    }
    first = first_of(node, ends, begun, is_error, &is_tie, &is_loose);
    if (first < begun)
        stop_ns = graph_earlier(cancel_ns, ends[first].at_ns);
    if (first < begun)
        end.status = as_outcome(&ends[first], cancel_ns);
    if (begun < node->count && cancel_ns <= stop_ns)
        end.status = ALOOP_ECANCELED; /* Some have not begun. */
    for (size_t i = 0; i < begun; i++)
        if ((i != first || is_tie) && ends[i].at_ns >= stop_ns)
            ends[i] = solve(node->members[i], begun_ns[i], stop_ns, false);
    end_with(ends, begun, &end);
    end.is_loose = is_loose;
    return end;
}

static struct graph_end solve_kind(const struct graph_node *node,
                                   int64_t start_ns, int64_t cancel_ns,
                                   bool is_final)
{
    switch (node->kind) {
    case GRAPH_AWAIT:
        return await_end(node, start_ns, cancel_ns, is_final);
    case GRAPH_TIMEOUT:
        return timeout_end(node, start_ns, cancel_ns, is_final);
    case GRAPH_SETTLED:
        return settled_end(node, start_ns, cancel_ns, is_final);
    case GRAPH_GATHER:
    case GRAPH_ANY:
    case GRAPH_RACE:
        return group_end(node, start_ns, cancel_ns, is_final);
    case GRAPH_MAP:
        return map_end(node, start_ns, cancel_ns);
    case GRAPH_GROUP:
        return tasks_end(node, start_ns, cancel_ns);
    default:
        return graph_leaf(node, start_ns, cancel_ns);
    }
}

/* Returns whether the node or one of its members would have ended at the time
 * of the cancel without it. */
static bool is_chance(const struct graph_node *node, int64_t start_ns,
                      int64_t cancel_ns, int64_t end_ns)
{
    struct graph_end end;

    if (end_ns == cancel_ns) {
        end = solve_kind(node, start_ns, GRAPH_NEVER, false);
        if (end.at_ns == cancel_ns)
            return true;
    }
    if (node->kind == GRAPH_MAP || node->kind == GRAPH_GROUP ||
        cancel_ns == GRAPH_NEVER)
        return false;
    for (size_t i = 0; i < node->count; i++) {
        end = solve(node->members[i], start_ns, GRAPH_NEVER, false);
        if (end.at_ns == cancel_ns)
            return true;
    }
    return false;
}

static bool recall(size_t index, int64_t start_ns, int64_t cancel_ns,
                   struct graph_end *ret)
{
    for (unsigned i = 0; i < m.memo_counts[index] && i < MEMOS; i++) {
        const struct memo *memo = &m.memos[index][i];

        if (memo->start_ns == start_ns && memo->cancel_ns == cancel_ns) {
            *ret = memo->end;
            return true;
        }
    }
    return false;
}

static struct graph_end solve(size_t index, int64_t start_ns, int64_t cancel_ns,
                              bool is_final)
{
    const struct graph_node *node = &m.graph->nodes[index];
    struct graph_end end;

    if (node->cancel_ns != GRAPH_NEVER)
        cancel_ns = graph_earlier(cancel_ns, graph_later(node->cancel_ns, 0));
    if (node->uses > 1) {
        if (is_final)
            m.wanted_ns[index] = graph_earlier(m.wanted_ns[index], cancel_ns);
        cancel_ns = m.cancelled_ns[index];
    }
    if (!is_final && recall(index, start_ns, cancel_ns, &end))
        return end;
    end = solve_kind(node, start_ns, cancel_ns, is_final);
    if (node->kind >= GRAPH_GATHER && node->count == 0)
        end.is_instant = true;
    if (m.is_loose[index] || is_chance(node, start_ns, cancel_ns, end.at_ns))
        end.is_loose = true;
    m.memos[index][m.memo_counts[index]++ % MEMOS] =
        (struct memo){start_ns, cancel_ns, end};
    if (is_final)
        m.ends[index] = end;
    return end;
}

/* Adds the earliest new cancel of a shared node.  Returns false if there is
 * none. */
static bool learn(void)
{
    size_t earliest = GRAPH_NODES;

    for (size_t i = 0; i < m.graph->count; i++)
        if (m.wanted_ns[i] < m.cancelled_ns[i] &&
            (earliest == GRAPH_NODES || m.wanted_ns[i] < m.wanted_ns[earliest]))
            earliest = i;
    if (earliest == GRAPH_NODES)
        return m.has_loosened;
    m.cancelled_ns[earliest] = m.wanted_ns[earliest];
    return true;
}

void graph_solve(const struct graph *graph, struct graph_end *ends)
{
    m.graph = graph;
    m.ends = ends;
    for (size_t i = 0; i < GRAPH_NODES; i++) {
        m.cancelled_ns[i] = GRAPH_NEVER;
        m.is_loose[i] = false;
    }
    do {
        m.has_loosened = false;
        for (size_t i = 0; i < GRAPH_NODES; i++)
            m.wanted_ns[i] = GRAPH_NEVER;
        memset(m.memo_counts, 0, sizeof m.memo_counts);
        for (size_t i = 0; i < graph->count; i++)
            if (graph->nodes[i].uses == 0 && !graph->nodes[i].is_inner)
                solve(i, 0, GRAPH_NEVER, true);
    } while (learn());
}
