/* The two ends of a flow.  The chain records each call that fails; a write that
 * was cancelled is repeated, and so is a read that has lost nothing. */

#include "flow.h"

#include <string.h>

struct end *last_end(struct chain *chain)
{
    return &chain->ends[2 * chain->links - 1];
}

struct end *writing_end(struct flow *flow)
{
    struct chain *chain = flow->chain;

    return flow == &chain->flows[0] ? &chain->ends[0] : last_end(chain);
}

struct end *reading_end(struct flow *flow)
{
    struct chain *chain = flow->chain;

    return flow == &chain->flows[0] ? last_end(chain) : &chain->ends[0];
}

ssize_t take_status(aloop_future **future, ssize_t status)
{
    ssize_t own = aloop_future_status(*future);

    if (*future != NULL && own != ALOOP_PENDING)
        status = own;
    aloop_future_unref(*future);
    *future = NULL;
    return status;
}

bool is_made(const aloop_future *future)
{
    CHECK(future != NULL || run.weather == STARVED);
    return future != NULL;
}

/* The writing end. */

/* What a cancelled write has not sent is written again.  If it has sent a part,
 * the next write fails. */
static void on_written(struct follow *follow, ssize_t status)
{
    struct flow *flow = follow->arg;

    if (run.is_freeing)
        return;
    status = take_status(&flow->writing, status);
    if (is_ignored(flow) || flow->is_closed)
        return;
    if (status == ALOOP_ECANCELED ||
        (status == ALOOP_ENOMEM && run.weather == STARVED))
        flow->sent -= flow->write_size;
    else if (status < 0)
        chain_fail(flow);
    else
        CHECK((size_t) status == flow->write_size);
}

static void on_drained(struct follow *follow, ssize_t status)
{
    struct flow *flow = follow->arg;
    struct end *end = writing_end(flow);

    if (run.is_freeing)
        return;
    status = take_status(&flow->draining, status);
    if (is_ignored(flow) || flow->is_closed || status == ALOOP_ECANCELED ||
        status == ALOOP_ENOMEM)
        return;
    if (status < 0)
        chain_fail(flow);
    else if (flow->is_drain_checked && end->stream != NULL)
        CHECK(aloop_stream_queued(end->stream) <= end->low);
}

static void on_shut(struct follow *follow, ssize_t status)
{
    struct flow *flow = follow->arg;

    if (run.is_freeing)
        return;
    status = take_status(&flow->shutting, status);
    flow->has_shut = status == 0;
    if (is_ignored(flow) || flow->is_closed || status == ALOOP_ECANCELED)
        return;
    if (status == ALOOP_ENOMEM && run.weather == STARVED && chance(70))
        flow->is_shut = false; /* It is tried again. */
    else if (status < 0)
        chain_fail(flow);
}

static void write_end_of(struct flow *flow)
{
    struct end *end = writing_end(flow);

    if (!is_two_way(flow->chain) && flow->draining == NULL && chance(30)) {
        flow->is_closed = flow->is_shut = true;
        end_close(end, true);
        return;
    }
    flow->shutting = aloop_stream_shutdown(end->stream);
    flow->is_shut = is_made(flow->shutting);
    if (flow->is_shut)
        follow(aloop_future_ref(flow->shutting), on_shut, flow);
}

static void put_some(struct flow *flow, size_t size)
{
    struct end *end = writing_end(flow);
    int result = aloop_stream_put(end->stream, flow->text + flow->sent, size);

    if (result == ALOOP_ENOMEM && run.weather == STARVED && chance(70))
        return; /* It may also be the error of an earlier send. */
    if (result < 0) {
        chain_fail(flow);
        return;
    }
    flow->sent += size;
    if (flow->sent > flow->sent_max)
        flow->sent_max = flow->sent;
    CHECK(result == (aloop_stream_queued(end->stream) > end->high));
}

void act_write(struct flow *flow)
{
    struct end *end = writing_end(flow);
    size_t left = flow->total - flow->sent, size;

    if (end->stream == NULL || flow->writing != NULL || flow->is_shut)
        return;
    flow->is_drain_checked = false;
    if (left == 0) {
        write_end_of(flow);
        return;
    }
    size = between(1, flow->total == SPLICED || chance(10) ? 60000 : 3000);
    size = size < left ? size : left;
    if (chance(60)) {
        put_some(flow, size);
        return;
    }
    flow->write_size = size;
    flow->writing =
        aloop_stream_write(end->stream, flow->text + flow->sent, size);
    if (!is_made(flow->writing))
        return;
    flow->sent += size;
    if (flow->sent > flow->sent_max)
        flow->sent_max = flow->sent;
    follow(aloop_future_ref(flow->writing), on_written, flow);
}

void act_drain(struct flow *flow)
{
    struct end *end = writing_end(flow);

    if (end->stream == NULL || flow->draining != NULL)
        return;
    flow->draining = aloop_stream_drain(end->stream);
    flow->is_drain_checked = true;
    if (is_made(flow->draining))
        follow(aloop_future_ref(flow->draining), on_drained, flow);
}

void act_marks(struct flow *flow)
{
    struct end *end = writing_end(flow);
    size_t high = between(1, chance(50) ? 200 : 20000);
    size_t low = between(0, high - 1);

    if (end->stream == NULL)
        return;
    flow->is_drain_checked = false;
    if (aloop_stream_set_watermarks(end->stream, low, high) < 0) {
        CHECK(run.weather == STARVED);
        return;
    }
    end->low = low;
    end->high = high;
}

/* The reading end. */

static void consume(struct flow *flow, const void *data, size_t size)
{
    CHECK(flow->got + size <= flow->sent_max);
    CHECK(text_matches(flow->id, flow->got, data, size));
    flow->got += size;
}

bool may_be_cut(const struct flow *flow)
{
    ssize_t status = aloop_future_status(flow->shutting);

    if (flow->chain->is_harmed || flow->errors > 0)
        return true;
    if (flow->has_shut || (flow->shutting != NULL && status == 0))
        return false;
    return may_break();
}

static void end_reading(struct flow *flow, ssize_t status)
{
    struct chain *chain = flow->chain;

    flow->is_end = true;
    flow->is_started = false;
    flow->errors += status < 0;
    CHECK(status == 0 || may_fail(chain));
    CHECK(may_be_cut(flow) || (flow->got == flow->sent && flow->is_shut));
    if (chain->flows[0].is_end &&
        (!is_two_way(chain) || chain->flows[1].is_end))
        chain_close(chain);
}

enum { SOME, EXACTLY, UNTIL, TO_END, WAYS };

static const char delimiter = 'x';

static void check_read(struct flow *flow, size_t size)
{
    const char *found = memchr(flow->buffer, delimiter, size);

    CHECK(size <= flow->room);
    if (flow->way == EXACTLY)
        CHECK(size == flow->room);
    if (flow->way == UNTIL)
        CHECK(found == flow->buffer + size - 1);
    consume(flow, flow->buffer, size);
}

/* These failures lose no bytes, so that the next read gets them. */
static bool may_read_again(ssize_t status)
{
    return status == ALOOP_ECANCELED || status == ALOOP_EOF ||
           status == ALOOP_EMSGSIZE;
}

/* Without memory to follow a read it is dropped, which cancels it. */
void finish_read(struct flow *flow, ssize_t status)
{
    if (is_pending(flow->reading))
        status = ALOOP_ECANCELED;
    status = take_status(&flow->reading, status);
    if (status > 0)
        check_read(flow, (size_t) status);
    else if (!may_read_again(status) && (status < 0 || flow->way == SOME))
        end_reading(flow, status);
}

static void on_read(struct follow *follow, ssize_t status)
{
    struct flow *flow = ((struct reader *) follow->arg)->flow;

    CHECK(!flow->chain->is_over || run.is_freeing);
    if (run.is_freeing)
        return;
    finish_read(flow, status);
    if (chance(30))
        chain_act(flow->chain);
}

void act_read(struct flow *flow)
{
    struct end *end = reading_end(flow);
    aloop_future *future;

    if (end->stream == NULL || end->rest != NULL || flow->reading != NULL ||
        flow->is_started || flow->is_end)
        return;
    flow->room =
        between(1, flow->total < SPLICED && chance(50) ? 50 : BUFFER_MAX);
    flow->way = chance(60) ? SOME : (int) sim_random(WAYS);
    if (flow->way == EXACTLY)
        future =
            aloop_stream_read_exactly(end->stream, flow->buffer, flow->room);
    else if (flow->way == UNTIL)
        future = aloop_stream_read_until(end->stream, flow->buffer, flow->room,
                                         &delimiter, 1);
    else if (flow->way == TO_END)
        future =
            aloop_stream_read_to_end(end->stream, flow->buffer, flow->room);
    else
        future = aloop_stream_read(end->stream, flow->buffer, flow->room);
    flow->reading = future;
    if (is_made(future))
        follow(aloop_future_ref(future), on_read, &flow->reader);
}

static void put_back(struct flow *flow)
{
    struct end *end = reading_end(flow);
    size_t size = flow->got < BACK_MAX ? flow->got : BACK_MAX;

    if (size == 0)
        return;
    size = between(1, size);
    if (aloop_stream_unread(end->stream, flow->text + flow->got - size, size) ==
        0)
        flow->got -= size;
    else
        CHECK(run.weather == STARVED);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct flow *flow = arg;

    CHECK(!run.is_over && !flow->chain->is_over && flow->is_started);
    CHECK(stream == reading_end(flow)->stream && !flow->chain->is_inside);
    flow->chain->is_inside = true;
    if (size > 0) {
        consume(flow, data, (size_t) size);
        if (chance(20))
            put_back(flow);
        if (chance(20))
            chain_act(flow->chain);
    } else
        end_reading(flow, size);
    flow->chain->is_inside = false;
}

void act_start(struct flow *flow)
{
    struct end *end = reading_end(flow);
    int result;

    if (end->stream == NULL || end->rest != NULL || flow->reading != NULL ||
        flow->is_end)
        return;
    result = aloop_stream_start(end->stream, on_data, flow);
    CHECK(result == 0 || may_break());
    flow->is_started = flow->is_started || result == 0;
}

void act_stop(struct flow *flow)
{
    struct end *end = reading_end(flow);

    if (end->stream == NULL || !flow->is_started)
        return;
    CHECK(aloop_stream_stop(end->stream) == 0);
    flow->is_started = false;
}

void act_unread(struct flow *flow)
{
    struct end *end = reading_end(flow);

    if (end->stream != NULL && end->rest == NULL && flow->reading == NULL &&
        !flow->is_end)
        put_back(flow);
}
