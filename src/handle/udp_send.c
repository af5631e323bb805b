/* Sending datagrams.
 *
 * What is put or sent is queued, and leaves when the turn ends, many datagrams
 * with one call.  Each datagram has one of five fates:
 *
 *     the system takes it      its operation settles
 *     EAGAIN                   it waits until the descriptor is writable
 *     ENOBUFS, ENOMEM          it waits for a timer: no event would follow
 *     EBADF                    the descriptor is lost, and all fail
 *     any other error          it is dropped, and the next one is tried
 *
 * On a connected socket the error may be that of an earlier datagram, which the
 * system reports to whatever call comes next, without doing it.  Therefore the
 * datagram is tried a second time.  If the second try has another result, the
 * first error belongs to the earlier datagram, and goes to the reader. */

#include <limits.h>

#include "handle/address.h"
#include "handle/udp.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "loop/report.h"
#include "os/reactor.h"

enum {
    BATCHES_MAX = 8, /* Calls of one socket in one flush, for fairness. */
    COST = 64,       /* Of a datagram in the queue, besides its bytes. */
    QUEUE_LOW = 64 * 1024,
    QUEUE_HIGH = 256 * 1024,
    SIZE_MAX_INET = 65507,
    SIZE_MAX_INET6 = 65527
};
static const int64_t delay_min_ns = ALOOP_MS(1), delay_max_ns = ALOOP_MS(50);

/* The future of a send.  The bytes are the caller's. */
struct aloop__udp_send {
    aloop_future future;
    aloop_udp *udp;
    struct aloop__datagram datagram;
};

/* The future of a drain. */
struct aloop__udp_drain {
    aloop_future future;
    struct aloop__node node; /* In udp->drains. */
};

/* Only for a datagram with `is_send`. */
static struct aloop__udp_send *send_of(struct aloop__datagram *datagram)
{
    return CONTAINER_OF(datagram, struct aloop__udp_send, datagram);
}

/* The queue. */

/* Keeps the loop alive while datagrams are queued, and settles the drains that
 * wait for fewer.  Called after every change of the queue. */
static void queue_changed(aloop_udp *udp)
{
    bool is_sending = !list_is_empty(&udp->queue);
    struct aloop__node *node;

    udp->handle.loop->live += is_sending;
    udp->handle.loop->live -= udp->is_sending;
    udp->is_sending = is_sending;
    while (udp->queued <= QUEUE_LOW && (node = list_pop(&udp->drains)) != NULL)
        aloop__future_settle(
            &CONTAINER_OF(node, struct aloop__udp_drain, node)->future, 0);
}

/* The queue must not be empty. */
static struct aloop__datagram *first_datagram(const aloop_udp *udp)
{
    return CONTAINER_OF(udp->queue.next, struct aloop__datagram, node);
}

static void take_from_queue(aloop_udp *udp, struct aloop__datagram *datagram)
{
    list_remove(&datagram->node);
    udp->queued -= datagram->size + COST;
}

/* Removes the first datagram.  Its operation settles, with its size if `error`
 * is 0. */
static void finish_first(aloop_udp *udp, int error)
{
    struct aloop__datagram *datagram = first_datagram(udp);

    take_from_queue(udp, datagram);
    if (datagram->is_send)
        aloop__future_settle(&send_of(datagram)->future,
                             error < 0 ? error : (ssize_t) datagram->size);
    else
        aloop__datagram_free(udp, datagram);
}

/* Drops the first datagram.  Errors of puts are reported once until a datagram
 * was sent again. */
static void fail_first(aloop_udp *udp, int error)
{
    if (!first_datagram(udp)->is_send && !udp->has_reported) {
        aloop__unhandled(udp->handle.loop, error, "udp put");
        udp->has_reported = true;
    }
    finish_first(udp, error);
}

void aloop__udp_drop_queue(aloop_udp *udp, int error)
{
    while (!list_is_empty(&udp->queue))
        finish_first(udp, error);
    udp->first_error = 0;
    queue_changed(udp);
}

/* Sending. */

/* Sends as many datagrams as one call takes.  Returns how many the system has
 * taken, from the first on, or an error of the first. */
static int send_batch(aloop_udp *udp)
{
    struct sys_datagram datagrams[SYS_DATAGRAMS_MAX];
    struct aloop__node *node = udp->queue.next;
    size_t count = 0;

    for (; node != &udp->queue && count < SYS_DATAGRAMS_MAX;
         node = node->next) {
        const struct aloop__datagram *datagram =
            CONTAINER_OF(node, struct aloop__datagram, node);
        bool has_address = datagram->address.family != ALOOP_FAMILY_NONE;

        datagrams[count++] = (struct sys_datagram){
            .to = has_address ? &datagram->address : NULL,
            .data = datagram->data,
            .size = datagram->size,
        };
    }
    return aloop__sys_udp_send(&udp->sys, datagrams, count);
}

static bool is_full(int error)
{
    return error == ALOOP_ENOBUFS || error == ALOOP_ENOMEM;
}

/* The error of the first try was not that of the first datagram. */
static void blame_earlier(aloop_udp *udp)
{
    int error = udp->first_error;

    udp->first_error = 0;
    if (error < 0)
        aloop__udp_pass_error(udp, error);
}

/* Decides about the first datagram after an error.  Returns whether the queue
 * has to wait. */
static bool judge_send(aloop_udp *udp, int error)
{
    if (error == ALOOP_EAGAIN || error == ALOOP_EBADF || is_full(error))
        return true;
    if (aloop__udp_is_connected(udp) && udp->first_error == 0) {
        udp->first_error = error;
        return false;
    }
    if (udp->first_error != error)
        blame_earlier(udp);
    udp->first_error = 0;
    fail_first(udp, error);
    return false;
}

/* Sends until the queue is empty or has to wait.  Returns why it has to wait,
 * or 0.  Each call removes a datagram, or is followed by one that does. */
static int send_batches(aloop_udp *udp, unsigned calls_max)
{
    while (calls_max-- > 0 && !list_is_empty(&udp->queue)) {
        int sent = send_batch(udp);

        if (sent == ALOOP_EBADF)
            udp->is_lost = true;
        if (sent < 0 && judge_send(udp, sent))
            return sent;
        if (sent > 0) {
            blame_earlier(udp);
            udp->has_reported = false;
            udp->delay_ns = delay_min_ns;
        }
        while (sent-- > 0)
            finish_first(udp, 0);
    }
    return list_is_empty(&udp->queue) ? 0 : ALOOP_EAGAIN;
}

/* Tries again after a while, which becomes longer each time.  Without memory
 * for the timer it waits as for EAGAIN, which may be often. */
static int suspend_sending(aloop_udp *udp)
{
    aloop *loop = udp->handle.loop;
    int error = aloop__timed_set(loop, &udp->retry,
                                 aloop__after(aloop__now(loop), udp->delay_ns));

    if (error < 0)
        return aloop__udp_want(udp, REACTOR_WRITE);
    udp->is_suspended = true;
    udp->delay_ns *= 2;
    if (udp->delay_ns > delay_max_ns)
        udp->delay_ns = delay_max_ns;
    aloop__udp_unwant(udp, REACTOR_WRITE);
    return 0;
}

/* The descriptor was closed outside the loop's control. */
static void sending_lost(aloop_udp *udp)
{
    fail_first(udp, ALOOP_EBADF); /* Reports it, if that is a put. */
    aloop__udp_pass_error(udp, ALOOP_EBADF);
}

/* A queue that is left is continued later: when the descriptor is writable, or
 * when the timer of the retry fires. */
void aloop__udp_flush(aloop_udp *udp)
{
    int error = 0;

    list_remove(&udp->flush.node);
    if (udp->io.fd < 0 || !aloop__io_is_ours(udp->handle.loop, &udp->io))
        return;
    error = send_batches(udp, BATCHES_MAX);
    if (error == ALOOP_EBADF)
        sending_lost(udp);
    else if (error == 0)
        aloop__udp_unwant(udp, REACTOR_WRITE);
    else if (is_full(error))
        error = suspend_sending(udp);
    else
        error = aloop__udp_want(udp, REACTOR_WRITE);
    if (error < 0) /* Nothing would continue the queue. */
        aloop__udp_drop_queue(udp, error);
    queue_changed(udp);
}

/* ready->run of udp->flush. */
static void udp_flush_due(struct aloop__ready *ready)
{
    aloop__udp_flush(CONTAINER_OF(ready, aloop_udp, flush));
}

/* timed->fire of udp->retry. */
static void udp_retry(struct aloop__timed *timed)
{
    aloop_udp *udp = CONTAINER_OF(timed, aloop_udp, retry);

    udp->is_suspended = false;
    aloop__udp_flush(udp);
}

/* Nothing is scheduled if a flush follows anyway: when the descriptor is
 * writable, or when the timer fires. */
static void flush_udp_later(aloop_udp *udp)
{
    aloop *loop = udp->handle.loop;

    queue_changed(udp);
    if (udp->is_suspended || (udp->io.armed & REACTOR_WRITE) != 0 ||
        !list_is_empty(&udp->flush.node))
        return;
    list_push(&loop->flushing, &udp->flush.node);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

void aloop__udp_send_init(aloop_udp *udp)
{
    list_init(&udp->flush.node);
    udp->flush.run = udp_flush_due;
    list_init(&udp->queue);
    list_init(&udp->drains);
    aloop__timed_init(&udp->retry, udp_retry);
    udp->delay_ns = delay_min_ns;
}

/* Drains are cancelled before the queue becomes empty, which would be a success
 * for them. */
void aloop__udp_end_sending(aloop_udp *udp)
{
    struct aloop__node *node;

    if (!udp->is_lost && udp->io.fd >= 0 &&
        aloop__io_is_ours(udp->handle.loop, &udp->io))
        send_batches(udp, UINT_MAX);
    while ((node = list_pop(&udp->drains)) != NULL)
        aloop__future_settle(
            &CONTAINER_OF(node, struct aloop__udp_drain, node)->future,
            ALOOP_ECANCELED);
    aloop__udp_drop_queue(udp, ALOOP_ECANCELED);
    list_remove(&udp->flush.node);
    aloop__timed_clear(udp->handle.loop, &udp->retry);
}

/* The public functions. */

/* Returns why a datagram can never be sent, or 0. */
static int refuse_datagram(const aloop_udp *udp, size_t size,
                           const aloop_address *to)
{
    const aloop_address *end = to != NULL ? to : &udp->peer;

    if (aloop__udp_is_connected(udp) && to != NULL)
        return ALOOP_EISCONN;
    if (!aloop__udp_is_connected(udp) && to == NULL)
        return ALOOP_EDESTADDRREQ;
    if (aloop_address_family(end) == ALOOP_FAMILY_NONE ||
        aloop_address_port(end) == 0)
        return ALOOP_EINVAL;
    if (!aloop__udp_has_family(udp, end))
        return ALOOP_EAFNOSUPPORT;
    if (size > (size_t) (end->family == ALOOP_FAMILY_IPV6 ? SIZE_MAX_INET6
                                                          : SIZE_MAX_INET))
        return ALOOP_EMSGSIZE;
    return 0;
}

/* Prepares a datagram to be queued.  Writes its address to *ret_to, of no
 * family on a connected socket. */
static int prepare_datagram(aloop_udp *udp, const void *data, size_t size,
                            const aloop_address *to, aloop_address *ret_to)
{
    int error;

    *ret_to = (aloop_address){0};
    if (data == NULL && size > 0)
        return ALOOP_EINVAL;
    if (to != NULL) {
        *ret_to = aloop__address_unmapped(to);
        to = ret_to;
    }
    error = refuse_datagram(udp, size, to);
    if (to != NULL && udp->sys.is_inet6)
        *ret_to = aloop__address_mapped(ret_to);
    return error < 0 ? error : aloop__udp_use(udp);
}

/* The cost of a datagram includes its object, so that a queue of empty ones is
 * limited, too. */
static void add_to_queue(aloop_udp *udp, struct aloop__datagram *datagram)
{
    list_push(&udp->queue, &datagram->node);
    udp->queued += datagram->size + COST;
    flush_udp_later(udp);
}

int aloop_udp_put(aloop_udp *udp, const void *data, size_t size,
                  const aloop_address *to)
{
    int error = aloop__check_handle(udp, __func__);
    struct aloop__datagram *datagram;
    aloop_address address;

    if (error == 0)
        error = prepare_datagram(udp, data, size, to, &address);
    if (error < 0)
        return error;
    datagram = aloop__datagram_new(udp, data, size, &address);
    if (datagram == NULL)
        return ALOOP_ENOMEM;
    add_to_queue(udp, datagram);
    return udp->queued > QUEUE_HIGH;
}

/* ops->cancel of a send. */
static void udp_send_cancel(aloop_future *future)
{
    struct aloop__udp_send *op =
        CONTAINER_OF(future, struct aloop__udp_send, future);
    aloop_udp *udp = op->udp;

    if (first_datagram(udp) == &op->datagram)
        blame_earlier(udp);
    take_from_queue(udp, &op->datagram);
    aloop__future_settle(future, ALOOP_ECANCELED);
    flush_udp_later(udp);
}

/* It is not live: udp->is_sending counts for the whole queue. */
static const struct aloop__future_ops udp_send_ops = {
    .name = "udp send",
    .size = sizeof(struct aloop__udp_send),
    .cancel = udp_send_cancel,
};

aloop_future *aloop_udp_send(aloop_udp *udp, const void *data, size_t size,
                             const aloop_address *to)
{
    int error = aloop__check_handle(udp, __func__);
    struct aloop__udp_send *op;
    aloop_address address;

    if (error < 0)
        return aloop__future_refused(error);
    error = prepare_datagram(udp, data, size, to, &address);
    if (error < 0)
        return aloop__future_failed(udp->handle.loop, error);
    op = aloop__future_new(udp->handle.loop, &udp_send_ops);
    if (op == NULL)
        return NULL;
    op->udp = udp;
    op->datagram.address = address;
    op->datagram.data = data;
    op->datagram.size = size;
    op->datagram.is_send = true;
    list_init(&op->datagram.node);
    add_to_queue(udp, &op->datagram);
    return &op->future;
}

/* ops->cancel of a drain.  The queue stays. */
static void udp_drain_cancel(aloop_future *future)
{
    list_remove(&CONTAINER_OF(future, struct aloop__udp_drain, future)->node);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

static const struct aloop__future_ops udp_drain_ops = {
    .name = "udp drain",
    .size = sizeof(struct aloop__udp_drain),
    .cancel = udp_drain_cancel,
};

aloop_future *aloop_udp_drain(aloop_udp *udp)
{
    int error = aloop__check_handle(udp, __func__);
    struct aloop__udp_drain *op;

    if (error < 0)
        return aloop__future_refused(error);
    op = aloop__future_new(udp->handle.loop, &udp_drain_ops);
    if (op == NULL)
        return NULL;
    list_init(&op->node);
    list_push(&udp->drains, &op->node);
    queue_changed(udp); /* It may have nothing to wait for. */
    return &op->future;
}

size_t aloop_udp_queued(const aloop_udp *udp)
{
    return aloop__check_handle(udp, __func__) < 0 ? 0 : udp->queued;
}
