/* Chains of pipes and pairs that carry texts.
 *
 * A chain has one or more links, each a pipe or a pair, which forwards join.  A
 * text flows from its left end to its right one, and in some chains of pairs
 * another one flows back.  The ends are written, drained, shut down, read in
 * each way, started, stopped, detached and adopted again at random.  Bytes are
 * put back, futures are cancelled, and links are added while bytes flow.
 *
 * Each byte arrives once and in order.  A reader that gets the end has all
 * bytes, unless some call has reported an error. */

#include "flow.h"

#include <string.h>

#include "os/sys.h"

enum { CHAINS_MAX = 4 };

static struct {
    struct chain *chains[CHAINS_MAX];
    size_t count, left;
    aloop_timer *heart;
} w;

/* Ends of chains. */

void end_close(struct end *end, bool is_orderly)
{
    if (end->stream != NULL && is_orderly)
        aloop_stream_close(end->stream);
    else if (end->stream != NULL)
        aloop_stream_abort(end->stream);
    end->stream = NULL;
    if (end->fd >= 0)
        CHECK(aloop__sys_close(end->fd) == 0 || may_break());
    end->fd = -1;
    aloop_data_free(run.loop, end->rest);
    end->rest = NULL;
}

/* A close ends a read, and nothing is called for that any more. */
void chain_close(struct chain *chain)
{
    if (chain->is_over)
        return;
    chain->is_over = true;
    for (size_t i = 0; i < 2 * chain->links; i++)
        end_close(&chain->ends[i], chance(60));
    for (size_t i = 0; i < chain->flow_count; i++) {
        struct flow *flow = &chain->flows[i];

        if (flow->reading == NULL)
            continue;
        CHECK(!is_pending(flow->reading));
        unfollow(&flow->reader);
        aloop_future_unref(flow->reading);
        flow->reading = NULL;
    }
    w.left--;
}

void chain_fail(struct flow *flow)
{
    struct chain *chain = flow->chain;

    flow->errors++;
    CHECK(may_fail(chain));
    chain->is_harmed = true;
    if (is_two_way(chain) || chain->flows[0].is_end)
        chain_close(chain);
    else
        for (size_t i = 0; i + 1 < 2 * chain->links; i++)
            end_close(&chain->ends[i], false);
}

/* Detaching and adopting. */

/* Returns whether an end has a reason to refuse a detach. */
static bool is_busy(struct chain *chain, const struct end *end)
{
    for (size_t i = 0; i < chain->flow_count; i++) {
        struct flow *flow = &chain->flows[i];

        if (writing_end(flow) == end &&
            (is_pending(flow->writing) || is_pending(flow->draining) ||
             (flow->is_shut && !flow->has_shut)))
            return true;
        if (reading_end(flow) == end && is_pending(flow->reading))
            return true;
    }
    return aloop_stream_queued(end->stream) > 0 || chain->is_inside;
}

/* Takes a callback from an end that is no stream any more. */
static void forget_start(struct chain *chain, const struct end *end)
{
    for (size_t i = 0; i < chain->flow_count; i++) {
        if (reading_end(&chain->flows[i]) == end)
            chain->flows[i].is_started = false;
        if (writing_end(&chain->flows[i]) == end)
            chain->flows[i].is_drain_checked = false;
    }
}

static void adopt(struct chain *chain, struct end *end)
{
    int result = aloop_stream_open(run.loop, end->fd, &end->stream);

    if (result == 0) {
        end->fd = -1;
        end->low = 16 * 1024;
        end->high = 64 * 1024;
        return;
    }
    CHECK(may_fail(chain));
    end->stream = NULL;
    if (result == ALOOP_ENOMEM || chance(50))
        return; /* It is tried again. */
    chain->is_harmed = true;
    chain_close(chain);
}

static void return_rest(struct end *end)
{
    int result = aloop_stream_unread(end->stream, end->rest, end->rest_size);

    CHECK(result == 0 || run.weather == STARVED);
    if (result < 0)
        return;
    aloop_data_free(run.loop, end->rest);
    end->rest = NULL;
}

/* The next call that writes reports a put that has failed; a detach does not.
 * Returns whether the end has sent all that was written. */
static bool has_sent_all(struct chain *chain, const struct end *end)
{
    for (size_t i = 0; i < chain->flow_count; i++) {
        struct flow *flow = &chain->flows[i];
        aloop_future *drain;
        ssize_t status;

        if (writing_end(flow) != end)
            continue;
        /* A write that was cancelled may have broken the stream, which the next
         * one of its descriptor would not know. */
        if (flow->writing != NULL || flow->sent < flow->sent_max)
            return false;
        if (!may_break())
            continue;
        drain = aloop_stream_drain(end->stream);
        status = aloop_future_status(drain);
        aloop_future_unref(drain);
        if (status < 0 && status != ALOOP_PENDING && status != ALOOP_ENOMEM)
            chain_fail(flow);
        if (status < 0)
            return false;
    }
    return true;
}

static void act_move(struct flow *flow)
{
    struct chain *chain = flow->chain;
    struct end *end = chance(50) ? writing_end(flow) : reading_end(flow);
    bool is_busy_now;
    int fd;

    if (end->fd >= 0)
        adopt(chain, end);
    if (chain->is_over || end->stream == NULL)
        return;
    if (end->rest != NULL) {
        return_rest(end);
        return;
    }
    if (chance(70) || !has_sent_all(chain, end))
        return;
    is_busy_now = is_busy(chain, end);
    fd = aloop_stream_detach(end->stream, &end->rest, &end->rest_size);
    if (fd == ALOOP_EBUSY) {
        CHECK(is_busy_now);
        return;
    }
    CHECK(fd >= 0 || (fd == ALOOP_EBADF && (flow->is_shut || may_break())) ||
          (fd == ALOOP_ENOMEM && may_break()));
    if (fd < 0)
        return;
    end->fd = fd;
    end->stream = NULL;
    forget_start(chain, end);
}

/* Links. */

static void join(struct joint *joint);

static void on_joined(struct follow *follow, ssize_t status)
{
    struct joint *joint = follow->arg;
    struct flow *flow = joint->flow;

    if (run.is_freeing)
        return;
    status = take_status(&joint->future, status);
    if (is_ignored(flow))
        return;
    if (status == ALOOP_ECANCELED) {
        joint->is_resumed = true; /* By a later act. */
        return;
    }
    joint->is_over = true;
    /* It may have been cancelled after it had begun to shut its target down. */
    if (status == ALOOP_EPIPE && joint->is_resumed && flow->is_shut)
        return;
    if (status < 0)
        chain_fail(flow);
    else if (!joint->is_resumed)
        CHECK((size_t) status + joint->offset == flow->sent ||
              may_be_cut(flow));
}

static void join(struct joint *joint)
{
    struct chain *chain = joint->flow->chain;
    aloop_stream *from = chain->ends[joint->from].stream;
    aloop_stream *to = chain->ends[joint->to].stream;

    if (from == NULL || to == NULL || joint->future != NULL || joint->is_over)
        return;
    joint->future = aloop_stream_forward(from, to);
    if (!is_made(joint->future))
        joint->is_resumed = true;
    else
        follow(aloop_future_ref(joint->future), on_joined, joint);
}

static int open_link(struct chain *chain, bool is_pair)
{
    struct end *ends = &chain->ends[2 * chain->links];
    aloop_stream *read_end = NULL, *write_end = NULL;
    int result = is_pair ? aloop_stream_pair(run.loop, &write_end, &read_end)
                         : aloop_pipe_open(run.loop, &read_end, &write_end);

    CHECK(result == 0 || may_break());
    if (result < 0)
        return result;
    ends[0] = (struct end){write_end, -1, NULL, 0, 16 * 1024, 64 * 1024};
    ends[1] = (struct end){read_end, -1, NULL, 0, 16 * 1024, 64 * 1024};
    chain->links++;
    return 0;
}

static struct joint *new_joint(struct flow *flow, size_t from, size_t to)
{
    struct joint *joint = &flow->chain->joints[flow->chain->joint_count++];

    *joint = (struct joint){.flow = flow,
                            .from = from,
                            .to = to,
                            .offset = flow->got};
    return joint;
}

/* Adds a link at the right end, if nothing uses that. */
static void act_extend(struct flow *flow)
{
    struct chain *chain = flow->chain;
    struct flow *back = is_two_way(chain) ? &chain->flows[1] : NULL;
    struct flow *there = &chain->flows[0];
    struct end *end = last_end(chain);
    size_t at = 2 * chain->links;
    struct joint *joints[2] = {NULL, NULL};

    if (chain->links == LINKS_MAX || end->stream == NULL || end->rest != NULL ||
        there->reading != NULL || there->is_started || there->is_end ||
        chance(60))
        return;
    if (back != NULL && (back->writing != NULL || back->draining != NULL ||
                         back->is_shut || back->sent != back->sent_max))
        return;
    if (open_link(chain, back != NULL || chance(50)) < 0)
        return;
    joints[0] = new_joint(there, at - 1, at);
    if (back != NULL) {
        joints[1] = new_joint(back, at, at - 1);
        joints[1]->offset = 0;
        joints[1]->is_resumed = true; /* It has not all bytes. */
    }
    for (size_t i = 0; i < 2 && joints[i] != NULL && !chain->is_over; i++)
        join(joints[i]);
}

static void act_join(struct flow *flow)
{
    struct chain *chain = flow->chain;

    for (size_t i = 0; i < chain->joint_count && !chain->is_over; i++)
        if (chain->joints[i].is_resumed)
            join(&chain->joints[i]);
}

static void act_cancel(struct flow *flow)
{
    struct chain *chain = flow->chain;
    aloop_future *const futures[] = {
        flow->writing, flow->draining, flow->shutting, flow->reading,
        chain->joint_count > 0
            ? chain->joints[sim_random(chain->joint_count)].future
            : NULL};
    aloop_future *future =
        futures[sim_random(sizeof futures / sizeof futures[0])];

    if (!is_pending(future) || chance(50))
        return;
    /* A write that was cancelled may have broken the chain. */
    if (future == flow->writing)
        chain->is_harmed = true;
    CHECK(aloop_cancel(future));
}

static void act_harm(struct flow *flow)
{
    struct chain *chain = flow->chain;
    struct end *end = &chain->ends[sim_random(2 * chain->links)];

    if (!chance(chain->harm_percent))
        return;
    chain->is_harmed = true;
    if (chance(20) || end == reading_end(flow) || is_two_way(chain))
        chain_close(chain);
    else
        chain_fail(flow);
}

void chain_act(struct chain *chain)
{
    static void (*const acts[])(struct flow * flow) = {
        act_write, act_write,  act_write, act_read,   act_read,  act_read,
        act_start, act_stop,   act_drain, act_marks,  act_move,  act_move,
        act_join,  act_extend, act_harm,  act_cancel, act_unread};

    if (!chain->is_over)
        acts[sim_random(sizeof acts / sizeof acts[0])](
            &chain->flows[sim_random(chain->flow_count)]);
}

/* The world. */

static void on_heart(aloop_timer *timer, void *arg)
{
    static const struct fault faults[] = {
        {"aloop__sys_pipe", -EMFILE},
        {"aloop__sys_socket_pair", -ENFILE},
        {"aloop__sys_examine", -EIO},
        {"aloop__sys_pipe_write", -EIO},
        {"aloop__sys_pipe_write", -EAGAIN},
        {"aloop__sys_read", -EIO},
        {"aloop__sys_read", -EAGAIN},
        {"aloop__sys_splice_in", -ENOMEM},
        {"aloop__sys_splice_out", -EPIPE},
        {"aloop__sys_file_set_blocking", -EBADF},
    };

    (void) timer;
    (void) arg;
    inject(faults, sizeof faults / sizeof faults[0]);
    for (size_t i = 0; i < w.count; i++)
        for (size_t k = between(1, 4); k > 0; k--)
            chain_act(w.chains[i]);
}

static void start_flow(struct chain *chain, unsigned id)
{
    struct flow *flow = &chain->flows[chain->flow_count++];

    flow->chain = chain;
    flow->reader.flow = flow;
    flow->id = id;
    flow->total = chance(20) ? between(0, 3) : between(0, 20000);
    if (sim_options()->buffer_size > 50000 && chance(10))
        flow->total = SPLICED;
    flow->text = keep(flow->total + 1);
    text_fill(id, 0, flow->text, flow->total);
}

static void start_chain(unsigned id)
{
    struct chain *chain = keep(sizeof *chain);
    bool has_two = chance(40);

    w.chains[w.count++] = chain;
    chain->harm_percent = chance(20) ? 2 : 0;
    start_flow(chain, id);
    if (has_two)
        start_flow(chain, CHAINS_MAX + id);
    if (open_link(chain, has_two || chance(50)) < 0)
        chain->is_over = true;
    else
        w.left++;
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    for (unsigned i = (unsigned) between(1, CHAINS_MAX); i > 0; i--)
        start_chain(i);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(10, 2000)), on_heart,
                            NULL, &w.heart) == 0);
}

static bool is_done(void)
{
    if (w.left > 0)
        return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    for (size_t i = 0; i < w.count; i++)
        chain_close(w.chains[i]);
}

/* What the program holds itself. */
static void outlive(void)
{
    for (size_t i = 0; i < w.count; i++)
        for (size_t k = 0; k < ENDS_MAX; k++)
            if (w.chains[i]->ends[k].fd > 0)
                (void) aloop__sys_close(w.chains[i]->ends[k].fd);
}

const struct world world_channels = {"channels",  start, is_done,
                                     close_world, NULL,  outlive};
