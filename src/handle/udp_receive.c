/* Receiving datagrams.
 *
 *     system --> batch buffer --> on_datagram
 *                             --> udp->held, if there is no reader
 *            --> buffer of the pending operation
 *
 * One call receives several datagrams, and there may be more of them than the
 * reader wants: an operation wants one, which the system writes to its buffer,
 * and a callback may stop the socket.  The rest is held for the next reader,
 * and nothing is received meanwhile, so that the order is kept.
 *
 * The number of datagrams that a call asks for adapts to the load, because each
 * of them costs time to prepare.  While they come one by one, a call asks for
 * one, and the next event reports whether there are more.  Now and then it asks
 * for two, to find out whether the load has grown.
 *
 * An error of receiving is usually that of a datagram that was sent earlier.
 * It is reported once, and receiving continues.  If only errors are received,
 * receiving is suspended for a while, so that the loop does not spin. */

#include <string.h>

#include "handle/address.h"
#include "handle/udp.h"
#include "loop/buffers.h"
#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/debug.h"
#include "loop/host.h"
#include "os/reactor.h"

enum {
    BURST_FIRST = 2,
    LONE_MAX = 4,      /* Calls for one datagram in a row. */
    RECEIVES_MAX = 64, /* Datagrams of one socket in one turn. */
    FAILED_MAX = 8     /* Consecutive errors before a suspension. */
};
static const int64_t suspension_ns = ALOOP_MS(100);

_Static_assert((int) BATCH_MAX == SYS_RECEIVES_MAX &&
                   (int) BATCH_STRIDE >= SYS_DATAGRAM_ROOM &&
                   (int) RECEIVE_SIZE >= SYS_DATAGRAM_ROOM,
               "every datagram fits");

/* The future of a receive. */
struct aloop__udp_receive {
    aloop_future future;
    struct aloop__node node; /* In udp->receives, or in no list. */
    aloop_udp *udp;
    void *buffer;
    size_t size;
    aloop_address *ret_from;
};

/* The reader. */

static bool wants_call(const aloop_udp *udp)
{
    return udp->on_datagram != NULL && aloop__handle_is_active(&udp->handle) &&
           !udp->handle.loop->is_dying;
}

static bool has_reader(const aloop_udp *udp)
{
    return udp->receiving != NULL || wants_call(udp);
}

/* The callback may do anything with the socket, and may fork. */
static void call_on_datagram(aloop_udp *udp, const void *data, ssize_t size,
                             const aloop_address *from)
{
    aloop__calling(udp->handle.loop);
    udp->on_datagram(udp, data, size, from, udp->arg);
    aloop__called(udp->handle.loop, "the callback of a UDP socket");
}

static void settle_receive(aloop_udp *udp, ssize_t status)
{
    struct aloop__udp_receive *op = udp->receiving;

    udp->receiving = NULL;
    aloop__future_settle(&op->future, status);
}

/* Gives a datagram to the operation, which ends it.  The bytes may be in its
 * buffer already. */
static void fill_receive(aloop_udp *udp, const void *data, size_t size,
                         const aloop_address *from)
{
    const struct aloop__udp_receive *op = udp->receiving;

    if (size > op->size) {
        settle_receive(udp, ALOOP_EMSGSIZE);
        return;
    }
    if (size > 0 && data != op->buffer)
        memcpy(op->buffer, data, size);
    if (op->ret_from != NULL)
        *op->ret_from = *from;
    settle_receive(udp, (ssize_t) size);
}

/* Gives an error to the reader. */
static void give_error(aloop_udp *udp, int error)
{
    static const aloop_address none = {0};

    if (wants_call(udp))
        call_on_datagram(udp, NULL, error, &none);
    else if (udp->receiving != NULL)
        settle_receive(udp, error);
}

static void deliver_later(aloop_udp *udp)
{
    if (list_is_empty(&udp->deliver.node))
        aloop__ready_push(udp->handle.loop, &udp->deliver);
}

/* The system keeps an error until a call takes it.  Here a send has taken it,
 * so that it is kept in the same way. */
void aloop__udp_pass_error(aloop_udp *udp, int error)
{
    if (udp->receiving != NULL) {
        settle_receive(udp, error);
        return;
    }
    udp->error = error;
    if (wants_call(udp))
        deliver_later(udp);
}

static int take_error(aloop_udp *udp)
{
    int error = udp->error;

    udp->error = 0;
    return error;
}

/* Held datagrams. */

/* If out of memory, the datagram is lost, as it may be anywhere else. */
static void hold(aloop_udp *udp, const void *data, size_t size,
                 const aloop_address *from)
{
    struct aloop__datagram *datagram =
        aloop__datagram_new(udp, data, size, from);

    if (datagram != NULL)
        list_push(&udp->held, &datagram->node);
}

/* Gives the first held datagram to the reader.  There must be one. */
static void give_held(aloop_udp *udp)
{
    struct aloop__datagram *datagram =
        CONTAINER_OF(udp->held.next, struct aloop__datagram, node);

    list_remove(&datagram->node);
    if (wants_call(udp))
        call_on_datagram(udp, datagram->data, (ssize_t) datagram->size,
                         &datagram->address);
    else
        fill_receive(udp, datagram->data, datagram->size, &datagram->address);
    aloop__datagram_free(udp, datagram);
}

/* Ends the callback of a socket whose descriptor is lost, after its last
 * call. */
static void end_lost(aloop_udp *udp)
{
    if (udp->on_datagram == NULL)
        return;
    give_error(udp, ALOOP_EBADF);
    udp->on_datagram = NULL;
    aloop__handle_set_active(&udp->handle, false);
}

/* Watches for datagrams.  A reader that begins ends a suspension early. */
static int begin_reading(aloop_udp *udp)
{
    return aloop__udp_want(udp, REACTOR_READ);
}

/* After a part of the held datagrams: the rest follows in the next turn.  After
 * all: an event that occurred meanwhile has ended the interest in more. */
static void continue_receiving(aloop_udp *udp)
{
    int error;

    if (!wants_call(udp))
        return;
    if (!list_is_empty(&udp->held)) {
        deliver_later(udp);
        return;
    }
    error = begin_reading(udp);
    if (error < 0)
        give_error(udp, error);
}

/* ready->run of udp->deliver. */
static void udp_deliver(struct aloop__ready *ready)
{
    aloop_udp *udp = CONTAINER_OF(ready, aloop_udp, deliver);

    for (int i = 0; i < RECEIVES_MAX && !list_is_empty(&udp->held) &&
                    has_reader(udp) && !aloop__is_foreign(udp->handle.loop);
         i++)
        give_held(udp);
    if (udp->is_lost)
        end_lost(udp);
    else if (udp->error != 0 && has_reader(udp) &&
             !aloop__is_foreign(udp->handle.loop))
        give_error(udp, take_error(udp));
    if (!udp->is_lost && aloop__io_is_ours(udp->handle.loop, &udp->io))
        continue_receiving(udp);
}

/* Receiving. */

/* Nothing is held when the first datagram of a batch is given, and from the
 * first one that is held on there is no reader, so that the order is kept.
 *
 * The callback may have closed the socket or forked.  In the child the rest is
 * dropped, because the parent has it, too.  A connected socket still has the
 * datagrams of others that arrived before the connect. */
static void give(aloop_udp *udp, const void *data, size_t size,
                 const aloop_address *from)
{
    if (aloop__handle_is_ended(&udp->handle) ||
        !aloop__io_is_ours(udp->handle.loop, &udp->io))
        return;
    if (aloop__udp_is_connected(udp) && !aloop_address_equal(from, &udp->peer))
        return;
    if (!has_reader(udp))
        hold(udp, data, size, from);
    else if (wants_call(udp))
        call_on_datagram(udp, data, (ssize_t) size, from);
    else
        fill_receive(udp, data, size, from);
}

/* Gives all datagrams that are joined in a buffer.  Returns their number.  A
 * truncated one counts as larger than its buffer, which is that of the
 * operation. */
static unsigned give_all(aloop_udp *udp, const struct sys_receive *receive)
{
    aloop_address from = aloop__address_unmapped(&receive->from);
    size_t size = receive->size + receive->is_truncated;
    size_t step = receive->segment > 0 ? receive->segment : size;
    const char *data = receive->buffer; /* May be NULL if `size` is 0. */
    unsigned count = 1;

    for (; size > step; size -= step, data += step, count++)
        give(udp, data, step, &from);
    give(udp, data, size, &from);
    return count;
}

/* Points the receives at buffers.  Returns how many there are: one if there is
 * no memory for more, or none.  The buffer of the operation is used first,
 * unless the system may put several datagrams into it. */
static unsigned prepare_batch(aloop_udp *udp, struct sys_receive *receives)
{
    aloop *loop = udp->handle.loop;
    unsigned count = udp->burst;
    char *buffer = aloop__batch_buffer(loop);

    if (buffer == NULL) {
        count = 1;
        buffer = aloop__receive_buffer(loop);
    }
    for (unsigned i = 0; i < count && buffer != NULL; i++) {
        receives[i].buffer = buffer + (size_t) i * BATCH_STRIDE;
        receives[i].room = SYS_DATAGRAM_ROOM;
    }
    if (udp->receiving == NULL || udp->is_receive_joined)
        return buffer != NULL ? count : 0;
    receives[0].buffer = udp->receiving->buffer;
    receives[0].room = udp->receiving->size < SYS_DATAGRAM_ROOM
                           ? udp->receiving->size
                           : SYS_DATAGRAM_ROOM;
    return count;
}

/* The next call asks for more if this one was given all that it has asked for,
 * which means little if that was one. */
static void adapt_burst(aloop_udp *udp, unsigned asked, unsigned received)
{
    if (received < asked)
        udp->burst = received > 0 ? received : 1;
    else if (asked > 1 || ++udp->lone >= LONE_MAX)
        udp->burst = udp->burst * 2 < BATCH_MAX ? udp->burst * 2 : BATCH_MAX;
    if (udp->burst > 1)
        udp->lone = 0;
}

/* Suspends receiving if there were only errors for some time.  Without memory
 * for the timer the events continue. */
static void receive_failed(aloop_udp *udp, int error)
{
    aloop *loop = udp->handle.loop;

    if (error == ALOOP_EBADF) {
        udp->is_lost = true; /* udp_ready() does the rest. */
        return;
    }
    if (++udp->failures >= FAILED_MAX &&
        aloop__timed_set(loop, &udp->resume,
                         aloop__after(aloop__now(loop), suspension_ns)) == 0)
        aloop__udp_unwant(udp, REACTOR_READ);
    give_error(udp, error);
}

/* Receives once.  Returns the number of datagrams, or 0 if there are probably
 * no more. */
static unsigned receive_batch(aloop_udp *udp)
{
    struct sys_receive receives[SYS_RECEIVES_MAX];
    unsigned asked = prepare_batch(udp, receives), total = 0;
    int received = ALOOP_ENOMEM;

    if (asked > 0)
        received = aloop__sys_udp_receive(&udp->sys, receives, asked);
    if (received == ALOOP_EAGAIN)
        adapt_burst(udp, asked, 0);
    else if (received < 0)
        receive_failed(udp, received);
    if (received < 0)
        return 0;
    udp->failures = 0;
    adapt_burst(udp, asked, (unsigned) received);
    for (int i = 0; i < received; i++)
        total += give_all(udp, &receives[i]);
    return asked > 1 && (unsigned) received == asked ? total : 0;
}

/* Interest in reading is kept without a reader until an event shows that it is
 * useless, because there will probably be a reader soon. */
void aloop__udp_readable(aloop_udp *udp)
{
    unsigned total = 0, count;

    if (!has_reader(udp) || !list_is_empty(&udp->held)) {
        aloop__udp_unwant(udp, REACTOR_READ);
        return;
    }
    do {
        count = receive_batch(udp);
        total += count;
    } while (count > 0 && total < RECEIVES_MAX && has_reader(udp) &&
             list_is_empty(&udp->held) &&
             aloop__io_is_ours(udp->handle.loop, &udp->io));
}

/* timed->fire of udp->resume. */
static void udp_resume(struct aloop__timed *timed)
{
    aloop_udp *udp = CONTAINER_OF(timed, aloop_udp, resume);
    int error = has_reader(udp) ? begin_reading(udp) : 0;

    if (error < 0)
        give_error(udp, error);
}

void aloop__udp_receive_init(aloop_udp *udp)
{
    udp->burst = BURST_FIRST;
    list_init(&udp->receives);
    list_init(&udp->held);
    list_init(&udp->deliver.node);
    udp->deliver.run = udp_deliver;
    aloop__timed_init(&udp->resume, udp_resume);
}

/* After the close, `arg` of the continuations may be invalid, so that none of
 * them may run. */
void aloop__udp_end_receiving(aloop_udp *udp)
{
    struct aloop__node *node;

    udp->on_datagram = NULL;
    while ((node = list_pop(&udp->receives)) != NULL)
        aloop__thens_drop(
            &CONTAINER_OF(node, struct aloop__udp_receive, node)->future);
    if (udp->receiving != NULL)
        aloop__future_cancel_checked(&udp->receiving->future);
    aloop__udp_drop_held(udp, NULL);
    list_remove(&udp->deliver.node);
    aloop__timed_clear(udp->handle.loop, &udp->resume);
}

/* The public functions. */

int aloop_udp_start(aloop_udp *udp, aloop_udp_cb on_datagram, void *arg)
{
    int error = aloop__check_handle(udp, __func__);

    if (error == 0 && on_datagram == NULL)
        error = ALOOP_EINVAL;
    if (error == 0)
        error = aloop__udp_use(udp);
    if (error == 0 && udp->receiving != NULL)
        error = ALOOP_EBUSY;
    if (error == 0)
        error = begin_reading(udp);
    if (error < 0)
        return error;
    udp->on_datagram = on_datagram;
    udp->arg = arg;
    aloop__handle_set_active(&udp->handle, true);
    if (!list_is_empty(&udp->held) || udp->error != 0)
        deliver_later(udp);
    return 0;
}

int aloop_udp_stop(aloop_udp *udp)
{
    int error = aloop__check_handle(udp, __func__);

    if (error < 0)
        return error;
    udp->on_datagram = NULL;
    aloop__handle_set_active(&udp->handle, false);
    return 0;
}

/* ops->cancel.  It settles immediately: the kernel has no pointer to the
 * buffer. */
static void udp_receive_cancel(aloop_future *future)
{
    settle_receive(CONTAINER_OF(future, struct aloop__udp_receive, future)->udp,
                   ALOOP_ECANCELED);
}

static void udp_receive_fini(aloop_future *future)
{
    list_remove(&CONTAINER_OF(future, struct aloop__udp_receive, future)->node);
}

static const struct aloop__future_ops udp_receive_ops = {
    .name = "udp receive",
    .size = sizeof(struct aloop__udp_receive),
    .cancel = udp_receive_cancel,
    .fini = udp_receive_fini,
    .is_live = true,
};

/* Returns why nothing can be received, or 0. */
static int refuse_receive(aloop_udp *udp, const void *buffer, size_t size)
{
    if ((buffer == NULL && size > 0) || size > PTRDIFF_MAX)
        return ALOOP_EINVAL;
    if (udp->receiving != NULL || udp->on_datagram != NULL)
        return ALOOP_EBUSY;
    return aloop__udp_use(udp);
}

/* Every future is in udp->receives, one that fails immediately, too, because a
 * close drops the continuations of all. */
aloop_future *aloop_udp_receive(aloop_udp *udp, void *buffer, size_t size,
                                aloop_address *ret_from)
{
    int error = aloop__check_handle(udp, __func__);
    struct aloop__udp_receive *op;

    if (error < 0)
        return aloop__future_refused(error);
    op = aloop__future_new(udp->handle.loop, &udp_receive_ops);
    if (op == NULL)
        return NULL;
    op->udp = udp;
    op->buffer = buffer;
    op->size = size;
    op->ret_from = ret_from;
    list_init(&op->node);
    list_push(&udp->receives, &op->node);
    error = refuse_receive(udp, buffer, size);
    if (error == 0) {
        udp->receiving = op;
        if (!list_is_empty(&udp->held))
            give_held(udp);
        else if (udp->error != 0)
            settle_receive(udp, take_error(udp));
        else
            error = begin_reading(udp);
    }
    if (error < 0 && udp->receiving == op)
        udp->receiving = NULL;
    if (error < 0)
        aloop__future_settle(&op->future, error);
    return &op->future;
}
