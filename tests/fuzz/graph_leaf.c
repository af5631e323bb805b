/* The expected end of a single sleep, promise or task. */

#include "graph.h"

static struct graph_end sleep_end(const struct graph_node *node,
                                  int64_t start_ns, int64_t cancel_ns)
{
    int64_t at_ns = start_ns + node->delay_ns;
    ssize_t status = node->kind == GRAPH_SLEEP ? 0 : node->status;
    struct graph_end end = graph_ended(at_ns, status);

    if (cancel_ns < at_ns)
        end = graph_ended(graph_later(cancel_ns, start_ns), ALOOP_ECANCELED);
    end.is_loose = cancel_ns == at_ns;
    return end;
}

static struct graph_end task_end(const struct graph_node *node,
                                 int64_t start_ns, int64_t cancel_ns)
{
    bool is_immediate = node->script >= SCRIPT_RETURN;
    int64_t at_ns = start_ns + (is_immediate ? 0 : node->delay_ns);
    int64_t limit_ns = start_ns + node->more_ns;
    int64_t noticed_ns = graph_later(cancel_ns, start_ns);
    struct graph_end end = graph_ended(at_ns, node->status);

    if (node->script == SCRIPT_LIMIT && limit_ns < at_ns)
        end = graph_ended(limit_ns, ALOOP_ETIMEDOUT);
    if (cancel_ns == end.at_ns ||
        (node->script == SCRIPT_LIMIT && limit_ns == at_ns)) {
        end.is_loose = true;
        return end;
    }
    if (cancel_ns > end.at_ns || is_immediate || node->script == SCRIPT_SHIELD)
        return end;
    if (node->script == SCRIPT_TIDY)
        return graph_ended(noticed_ns + node->more_ns, node->other_status);
    if (node->script == SCRIPT_IGNORE)
        return graph_ended(noticed_ns, node->status);
    return graph_ended(noticed_ns, ALOOP_ECANCELED);
}

struct graph_end graph_leaf(const struct graph_node *node, int64_t start_ns,
                            int64_t cancel_ns)
{
    struct graph_end end = graph_ended(start_ns, node->status);

    switch (node->kind) {
    case GRAPH_SLEEP:
    case GRAPH_PROMISE:
        return sleep_end(node, start_ns, cancel_ns);
    case GRAPH_TASK:
        return task_end(node, start_ns, cancel_ns);
    case GRAPH_ORPHAN:
        end.status = ALOOP_EDEADLK;
        break;
    case GRAPH_NOTHING:
        end.status = ALOOP_ENOMEM;
        break;
    default:
        break;
    }
    end.is_instant = true;
    end.is_loose = cancel_ns <= start_ns && end.status == ALOOP_ECANCELED;
    return end;
}
