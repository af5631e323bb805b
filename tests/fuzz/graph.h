/* Graphs of futures: what the plan, the reference and the run share. */

#ifndef FUZZ_GRAPH_H
#define FUZZ_GRAPH_H

#include "fuzz_world.h"

enum graph_kind {
    GRAPH_SLEEP,
    GRAPH_PROMISE, /* Resolved after `delay_ns` with `status`. */
    GRAPH_ORPHAN,  /* A promise that only waiters hold. */
    GRAPH_DONE,
    GRAPH_NOTHING, /* NULL. */
    GRAPH_TASK,    /* Follows a script. */
    GRAPH_AWAIT,   /* A task that awaits its one member. */
    GRAPH_TIMEOUT,
    GRAPH_GATHER,
    GRAPH_SETTLED,
    GRAPH_ANY,
    GRAPH_RACE,
    GRAPH_MAP,   /* Of tasks that nobody else knows. */
    GRAPH_GROUP, /* The same; a wait for all of them. */
    GRAPH_KINDS
};

/* What a task does with its sleep of `delay_ns`, and when it is cancelled. */
enum graph_script {
    SCRIPT_OBEY,    /* Ends. */
    SCRIPT_SHIELD,  /* Does not notice. */
    SCRIPT_TIDY,    /* Sleeps for `more_ns`, ends with `other_status`. */
    SCRIPT_IGNORE,  /* Ends as if all were well. */
    SCRIPT_AGAIN,   /* Tries to sleep on. */
    SCRIPT_LIMIT,   /* Has a deadline of `more_ns`, too. */
    SCRIPT_AT_ONCE, /* Never sleeps. */
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

/* What becomes of a node. */
struct graph_end {
    int64_t at_ns;   /* Since the start of all. */
    ssize_t status;
    size_t index;    /* Of a winner; GRAPH_MEMBERS: not known, or none. */
    bool is_loose;   /* It is a matter of order: nothing is known for sure. */
    bool is_vague;   /* And `at_ns` alone is not. */
    bool is_instant; /* It had settled before anybody could wait for it. */
};

struct graph_node {
    /* The plan. */
    enum graph_kind kind;
    enum graph_script script;
    int64_t delay_ns, more_ns;
    ssize_t status, other_status;
    size_t members[GRAPH_MEMBERS], count;
    size_t limit;        /* Of a map. */
    size_t depth;
    unsigned uses;       /* By other nodes. */
    bool is_inner;       /* Belongs to a map or group. */
    bool is_observed;    /* Followed to its end, and held to the end of all. */
    int64_t cancel_ns;   /* When it is cancelled; never, or -1: at once. */
    bool is_dropped;     /* By dropping the only reference. */

    /* The run. */
    aloop_future *future;  /* Our reference, or NULL. */
    aloop_future *promise; /* Another, until it is resolved. */
    aloop_future *awaited; /* A member's, for the task to take. */
    aloop_group *group;
    unsigned started, stopped; /* Of the task's function. */
    unsigned ends;             /* Told to the observer. */
    struct graph_end end;
    ssize_t statuses[GRAPH_MEMBERS];
    size_t winner;
};

struct graph {
    struct graph_node nodes[GRAPH_NODES];
    size_t count;
    size_t roots; /* How many; they are those without uses. */
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
        .at_ns = at_ns, .status = status, .index = GRAPH_MEMBERS};
}

/* What nodes of a plan may end with by themselves. */
extern const ssize_t graph_statuses[GRAPH_STATUSES];

/* Makes a plan of the bytes. */
void graph_plan(struct fuzz_input *input, struct graph *ret);

/* What becomes of a node without members, or of one task of a map or group,
 * that starts and is cancelled then. */
struct graph_end graph_leaf(const struct graph_node *node, int64_t start_ns,
                            int64_t cancel_ns);

/* Works out what must become of each node; ends[i] belongs to nodes[i], and is
 * meaningless for what is inner. */
void graph_solve(const struct graph *graph, struct graph_end *ends);

#endif
