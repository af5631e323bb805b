/* A text that flows through a chain of streams: what is done at the end that
 * writes it and at the end that reads it, in the world of channels. */

#ifndef FLOW_H
#define FLOW_H

#include "world.h"

enum {
    LINKS_MAX = 3,
    ENDS_MAX = 2 * LINKS_MAX,
    BUFFER_MAX = 4000,
    BACK_MAX = 300,  /* Bytes of an unread. */
    SPLICED = 450000 /* Enough for a splice. */
};

/* One end of a link. */
struct end {
    aloop_stream *stream; /* NULL: it is closed or detached. */
    int fd;               /* Detached; else -1. */
    void *rest;           /* What the detach returned, or NULL. */
    size_t rest_size;
    size_t low, high;
};

struct flow {
    struct chain *chain;
    unsigned id;
    char *text;
    size_t total;
    size_t sent;     /* Bytes given to the writing end. */
    size_t sent_max; /* Those of cancelled writes included. */
    size_t got;
    /* References to what is pending. */
    aloop_future *writing, *draining, *shutting, *reading;
    size_t write_size;
    bool is_drain_checked; /* Nothing was written since the drain. */
    bool is_shut, is_closed;
    bool has_shut;           /* A shutdown has succeeded. */
    bool is_started, is_end; /* The reading end. */
    unsigned errors;         /* Reported ones. */
    struct reader {
        struct flow *flow;
    } reader; /* What reads are followed with. */
    int way;  /* Of the pending read. */
    size_t room;
    char buffer[BUFFER_MAX];
};

struct joint {
    struct flow *flow;
    size_t from, to; /* Indices of ends. */
    size_t offset;   /* Bytes that were received before it began. */
    aloop_future *future;
    bool is_resumed; /* It was cancelled and begun again. */
    bool is_over;
};

struct chain {
    struct end ends[ENDS_MAX];
    size_t links;
    struct joint joints[2 * LINKS_MAX];
    size_t joint_count;
    struct flow flows[2]; /* Rightwards, and leftwards. */
    size_t flow_count;
    bool is_harmed; /* Something was aborted. */
    bool is_over;
    bool is_inside; /* In a callback of one of its streams. */
    unsigned harm_percent;
};

/* world_channels.c */

/* Does something at random to the chain, which may close it. */
void chain_act(struct chain *chain);
void chain_close(struct chain *chain);
/* A part of the chain has failed.  What was sent may still arrive. */
void chain_fail(struct flow *flow);
void end_close(struct end *end, bool is_orderly);

/* flow.c */

struct end *last_end(struct chain *chain);
struct end *writing_end(struct flow *flow);
struct end *reading_end(struct flow *flow);

static inline bool is_two_way(const struct chain *chain)
{
    return chain->flow_count == 2;
}

/* Returns whether an error is no surprise. */
static inline bool may_fail(const struct chain *chain)
{
    return may_break() || chain->is_harmed;
}

static inline bool is_pending(aloop_future *future)
{
    return future != NULL && !aloop_future_is_settled(future);
}

/* Nothing has to be done about a future of the flow any more. */
static inline bool is_ignored(const struct flow *flow)
{
    return run.is_freeing || flow->chain->is_over;
}

/* Without memory there is no future, and nothing has changed. */
bool is_made(const aloop_future *future);
/* Drops a reference, and returns the status, or `status` if the operation could
 * not be followed. */
ssize_t take_status(aloop_future **future, ssize_t status);
/* Returns whether the end may come before all bytes. */
bool may_be_cut(const struct flow *flow);
/* Takes what a read that has settled has read. */
void finish_read(struct flow *flow, ssize_t status);

void act_write(struct flow *flow);
void act_drain(struct flow *flow);
void act_marks(struct flow *flow); /* Changes the water marks. */
void act_read(struct flow *flow);
void act_start(struct flow *flow);
void act_stop(struct flow *flow);
void act_unread(struct flow *flow);

#endif
