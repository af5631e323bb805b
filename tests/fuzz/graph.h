/* Graphs of futures: types shared by the plan, the model and the execution. */

#ifndef FUZZ_GRAPH_H
#define FUZZ_GRAPH_H

#include "fuzz_world.h"

enum graph_kind {
    GRAPH_SLEEP,
    GRAPH_PROMISE, /* Resolved after `delay_ns` with `status`. */
    GRAPH_ORPHAN,  /* A promise that only waiters hold. */
    GRAPH_DONE,
    GRAPH_NOTHING, /* NULL. */
    GRAPH_TASK,    /* Runs a script. */
    GRAPH_AWAIT,   /* A task that awaits its one member. */
    GRAPH_TIMEOUT,
    GRAPH_GATHER,
    GRAPH_SETTLED,
    GRAPH_ANY,
    GRAPH_RACE,
    GRAPH_MAP,   /* A map of tasks that have no other users. */
    GRAPH_GROUP, /* A wait for a group of such tasks. */
    GRAPH_KINDS
};

/* What a task does in its sleep of `delay_ns`, and when it is cancelled. */
enum graph_script {
    SCRIPT_OBEY,   /* Ends when it is cancelled. */
    SCRIPT_SHIELD, /* Is shielded from the cancel. */
    SCRIPT_TIDY,   /* Sleeps for `more_ns`, ends with `other_status`. */
    SCRIPT_IGNORE, /* Ends as if it had not been cancelled. */
    SCRIPT_AGAIN,  /* Tries to sleep again. */
    SCRIPT_LIMIT,  /* Also has a deadline of `more_ns`. */
    SCRIPT_RETURN, /* Returns without a sleep. */
    SCRIPT_YIELD,
    SCRIPTS
};

enum {
    GRAPH_NODES = 48,
    GRAPH_MEMBERS = 4,
    GRAPH_DEPTH = 5,
    GRAPH_STATUSES = 8
};

static const int64_t GRAPH_NEVER = INT64_MAX;

/* The expected end of a node. */
struct graph_end {
    int64_t at_ns; /* Since the start of the graph. */
    ssize_t status;
    size_t index;    /* Of the winner; GRAPH_MEMBERS: unknown, or none. */
    bool is_loose;   /* The order is undefined: nothing is certain. */
    bool is_vague;   /* Only `at_ns` is not certain. */
    bool is_instant; /* Had settled before a node could wait for it. */
};

struct graph_node {
    /* The plan. */
    enum graph_kind kind;
    enum graph_script script;
    int64_t delay_ns, more_ns;
    ssize_t status, other_status;
    size_t members[GRAPH_MEMBERS], count;
    size_t limit; /* Limit of a map. */
    size_t depth;
    unsigned uses; /* Number of uses by other nodes. */
    bool is_inner; /* Belongs to a map or group. */
    /* Observed until it settles, and kept until the graph has ended. */
    bool is_observed;
    int64_t cancel_ns; /* When it is cancelled: never, or -1: immediately. */
    bool is_dropped;   /* Is cancelled by dropping the only reference. */

    /* The execution. */
    aloop_future *future;  /* Own reference, or NULL. */
    aloop_future *promise; /* Another reference, until it is resolved. */
    aloop_future *awaited; /* The member that the task will await. */
    aloop_group *group;
    unsigned started, stopped; /* Of the task's function. */
    unsigned ends;             /* Calls of the observer. */
    struct graph_end end;
    ssize_t statuses[GRAPH_MEMBERS];
    size_t winner;
};

struct graph {
    struct graph_node nodes[GRAPH_NODES];
    size_t count;
    size_t roots; /* Number of roots, which are the nodes without uses. */
};

static inline int64_t graph_earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static inline int64_t graph_later(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

static inline struct graph_end graph_ended(int64_t at_ns, ssize_t status)
{
    return (struct graph_end){
        .at_ns = at_ns,
        .status = status,
        .index = GRAPH_MEMBERS,
    };
}

/* Statuses with which nodes of a plan may end. */
extern const ssize_t graph_statuses[GRAPH_STATUSES];

/* Makes a plan from the bytes of the input. */
void graph_plan(struct fuzz_input *input, struct graph *ret);

/* Returns the end of a node without members, or of one task of a map or group,
 * that starts and is cancelled at the given times. */
struct graph_end graph_leaf(const struct graph_node *node, int64_t start_ns,
                            int64_t cancel_ns);

/* Computes the end of each node. ends[i] belongs to nodes[i], and is not valid
 * for inner nodes. */
void graph_solve(const struct graph *graph, struct graph_end *ends);

#endif
