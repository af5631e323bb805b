/* Channels.
 *
 * Items are stored in a ring.  A transfer that is possible takes effect
 * immediately, so that
 *
 *   - while a receiver waits, the ring is empty and no sender waits;
 *   - while a sender waits, the ring is full.
 *
 * Therefore a new sender that finds room, or a new receiver that finds an item,
 * overtakes no waiter.  The item of a waiting sender stays in the memory that
 * the sender has lent.
 *
 * No item is lost or doubled by a cancel: a transfer settles in the same call
 * in which its item is copied, and after that it can no longer be cancelled.
 * Before that nothing was copied, and it only leaves its queue. */

#include "aloop/channel.h"

#include <string.h>

#include "loop/debug.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/wait_queue.h"

/* Each item is in exactly one place: in the ring, in the memory that a waiting
 * sender has lent, or in that of a receiver that was served. */
struct aloop_channel {
    /* Never active: a channel does not keep the loop alive.  It is a handle so
     * that aloop_free() frees the ring. */
    struct aloop__handle handle;
    struct aloop__wait_queue senders;
    struct aloop__wait_queue receivers;
    char *ring; /* NULL if the capacity is 0. */
    size_t item_size;
    size_t capacity;
    size_t first; /* Index of the oldest item. */
    size_t count;
    bool is_closed;
};

/* The future of a send or a receive. */
struct transfer {
    struct aloop__waiter waiter;
    const void *item; /* Of a sender; borrowed. */
    void *ret_item;   /* Of a receiver; borrowed. */
};

static const struct aloop__future_ops send_ops = {
    .name = "channel send",
    .size = sizeof(struct transfer),
    .cancel = aloop__waiter_cancel,
};

static const struct aloop__future_ops receive_ops = {
    .name = "channel receive",
    .size = sizeof(struct transfer),
    .cancel = aloop__waiter_cancel,
};

/* Returns the transfer that has waited longest, or NULL. */
static struct transfer *first_of(struct aloop__wait_queue *queue)
{
    struct aloop__waiter *waiter = aloop__wait_queue_first(queue);

    return waiter == NULL ? NULL
                          : CONTAINER_OF(waiter, struct transfer, waiter);
}

/* Closes the channel.  Waiting transfers fail; items in the ring stay, for
 * receivers that come later.  A second call finds empty queues.  The order does
 * not matter, because only one of the queues has waiters. */
static void shut_channel(aloop_channel *channel)
{
    channel->is_closed = true;
    aloop__wait_queue_settle(&channel->senders, ALOOP_ECLOSED);
    aloop__wait_queue_settle(&channel->receivers, ALOOP_ECLOSED);
}

/* ops->close, and aloop_channel_free().  The futures of transfers that have
 * settled may outlive the channel; they have no pointer to it. */
static void channel_close(struct aloop__handle *handle)
{
    aloop_channel *channel = CONTAINER_OF(handle, aloop_channel, handle);

    shut_channel(channel);
    aloop__alloc_free(&handle->loop->alloc, channel->ring,
                      channel->capacity * channel->item_size);
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops channel_ops = {
    .name = "channel",
    .size = sizeof(aloop_channel),
    .close = channel_close,
};

aloop_channel *aloop_channel_new(aloop *loop, size_t item_size, size_t capacity)
{
    aloop_channel *channel;
    char *ring = NULL;

    if (aloop__check_loop(loop, __func__) < 0 || item_size == 0 ||
        capacity > SIZE_MAX / item_size)
        return NULL;
    /* The ring is apart from the handle, whose size is fixed by channel_ops. */
    if (capacity > 0) {
        ring = aloop__alloc_new(&loop->alloc, capacity * item_size);
        if (ring == NULL)
            return NULL;
    }
    channel = aloop__handle_new(loop, &channel_ops);
    if (channel == NULL) {
        aloop__alloc_free(&loop->alloc, ring, capacity * item_size);
        return NULL;
    }
    aloop__wait_queue_init(&channel->senders, loop);
    aloop__wait_queue_init(&channel->receivers, loop);
    channel->ring = ring;
    channel->item_size = item_size;
    channel->capacity = capacity;
    return channel;
}

void aloop_channel_free(aloop_channel *channel)
{
    if (channel == NULL || aloop__check_handle(channel, __func__) < 0)
        return;
    channel_close(&channel->handle);
}

/* Returns the place of the item `i` behind the oldest one.  A sum that is
 * larger than the capacity is never computed, because it may overflow. */
static char *ring_place(aloop_channel *channel, size_t i)
{
    size_t left = channel->capacity - channel->first;
    size_t index = i < left ? channel->first + i : i - left;

    return channel->ring + index * channel->item_size;
}

/* Appends an item.  The ring has room for it. */
static void ring_put(aloop_channel *channel, const void *item)
{
    memcpy(ring_place(channel, channel->count), item, channel->item_size);
    channel->count++;
}

/* Removes the oldest item.  There is one. */
static void ring_get(aloop_channel *channel, void *ret_item)
{
    memcpy(ret_item, ring_place(channel, 0), channel->item_size);
    channel->count--;
    channel->first++;
    if (channel->first == channel->capacity)
        channel->first = 0;
}

/* Sends without waiting.  aloop_channel_send() begins with this, too. */
int aloop_channel_try_send(aloop_channel *channel, const void *item)
{
    int error = aloop__check_handle(channel, __func__);
    struct transfer *receiver;

    if (error < 0 || item == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    if (channel->is_closed)
        return ALOOP_ECLOSED;
    receiver = first_of(&channel->receivers);
    /* While a receiver waits the ring is empty, so that the item can go to the
     * receiver directly without overtaking another one. */
    if (receiver != NULL) {
        memcpy(receiver->ret_item, item, channel->item_size);
        aloop__waiter_settle(&receiver->waiter, 0);
        return 0;
    }
    if (channel->count == channel->capacity)
        return ALOOP_EAGAIN;
    ring_put(channel, item);
    return 0;
}

/* Receives without waiting.  A closed channel still gives its items. */
int aloop_channel_try_receive(aloop_channel *channel, void *ret_item)
{
    int error = aloop__check_handle(channel, __func__);
    struct transfer *sender;

    if (error < 0 || ret_item == NULL)
        return error < 0 ? error : ALOOP_EINVAL;
    sender = first_of(&channel->senders);
    /* The oldest item is in the ring, if there are any.  The sender that has
     * waited longest then moves into the place that is free now, behind all
     * others.  Without a ring, its item is the oldest one.  The sender settles
     * only after its item was copied, because its memory is only lent. */
    if (channel->count > 0) {
        ring_get(channel, ret_item);
        if (sender != NULL)
            ring_put(channel, sender->item);
    } else if (sender != NULL) {
        memcpy(ret_item, sender->item, channel->item_size);
    } else {
        return channel->is_closed ? ALOOP_ECLOSED : ALOOP_EAGAIN;
    }
    if (sender != NULL)
        aloop__waiter_settle(&sender->waiter, 0);
    return 0;
}

/* The item stays the caller's until the future has settled. */
aloop_future *aloop_channel_send(aloop_channel *channel, const void *item)
{
    int result = aloop__check_handle(channel, __func__);
    struct transfer *transfer;

    if (result < 0)
        return aloop__future_refused(result);
    /* This is done first, so that no item is sent without a future to report
     * it.  A future that was settled immediately is the same object: the caller
     * cannot distinguish the two cases, and an await of it does not switch. */
    transfer = aloop__waiter_new(channel->handle.loop, &send_ops);
    if (transfer == NULL)
        return NULL;
    transfer->item = item;
    result = aloop_channel_try_send(channel, item);
    if (result == ALOOP_EAGAIN)
        aloop__wait_queue_push(&channel->senders, &transfer->waiter);
    else
        aloop__future_settle(&transfer->waiter.future, result);
    return &transfer->waiter.future;
}

/* `ret_item` is written when the transfer takes effect, before the future
 * settles.  A receive that is cancelled has left the queue, and takes no
 * item. */
aloop_future *aloop_channel_receive(aloop_channel *channel, void *ret_item)
{
    int result = aloop__check_handle(channel, __func__);
    struct transfer *transfer;

    if (result < 0)
        return aloop__future_refused(result);
    transfer = aloop__waiter_new(channel->handle.loop, &receive_ops);
    if (transfer == NULL)
        return NULL;
    transfer->ret_item = ret_item;
    result = aloop_channel_try_receive(channel, ret_item);
    if (result == ALOOP_EAGAIN)
        aloop__wait_queue_push(&channel->receivers, &transfer->waiter);
    else
        aloop__future_settle(&transfer->waiter.future, result);
    return &transfer->waiter.future;
}

int aloop_channel_close(aloop_channel *channel)
{
    int error = aloop__check_handle(channel, __func__);

    if (error < 0)
        return error;
    shut_channel(channel);
    return 0;
}

bool aloop_channel_is_closed(const aloop_channel *channel)
{
    return aloop__check_handle(channel, __func__) < 0 || channel->is_closed;
}

size_t aloop_channel_count(const aloop_channel *channel)
{
    /* Items of waiting senders do not count: they are not the channel's yet. */
    return aloop__check_handle(channel, __func__) < 0 ? 0 : channel->count;
}

size_t aloop_channel_capacity(const aloop_channel *channel)
{
    return aloop__check_handle(channel, __func__) < 0 ? 0 : channel->capacity;
}
