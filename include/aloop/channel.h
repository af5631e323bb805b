/* Channels: bounded queues of items, between any number of senders and
 * receivers.
 *
 * Items have one size and are copied.  Whoever waits is served first come,
 * first served, and nobody overtakes: an item goes straight to the receiver
 * that has waited longest.
 *
 * Waiting does not keep the loop alive by itself (a task that waits does).
 * With nothing else left to wait for, aloop_run() returns, and an aloop_await()
 * outside of tasks says ALOOP_EDEADLK. */

#ifndef ALOOP_CHANNEL_H
#define ALOOP_CHANNEL_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * A channel that holds up to `capacity` items of `item_size` bytes.  With a
 * capacity of 0 each send waits until a receiver has taken its item.
 *
 * Memory:  all that its items need, allocated now; the library owns it, until
 *          aloop_channel_free() or aloop_free().  NULL when there is not so
 *          much, when `loop` is NULL or `item_size` is 0; the calls below take
 *          that and say ALOOP_EINVAL.
 */
ALOOP_API aloop_channel *aloop_channel_new(aloop *loop, size_t item_size,
                                           size_t capacity);

/**
 * Closes the channel, drops the items in it, and gives its memory back.  NULL
 * is allowed.
 */
ALOOP_API void aloop_channel_free(aloop_channel *channel);

/**
 * Sends a copy of *item, which is borrowed until the future settles.  Waits
 * while the channel is full.  Cancelled in time, nothing has been sent.
 *
 * Status:  0; ALOOP_ECLOSED: it was closed, and the item not sent;
 *          ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_channel_send(aloop_channel *channel,
                                           const void *item);

/**
 * Receives an item into *ret_item, which is borrowed until the future settles.
 * Waits while the channel is empty.  Cancelled in time, nothing has been
 * received.  A cancellation that comes after the item does not undo it: the
 * future's status stays 0, and an await gives that.  The item is then in
 * *ret_item only, so a future that settled and is dropped unread has lost it.
 *
 * Status:  0; ALOOP_ECLOSED: it is closed, and has no items left;
 *          ALOOP_EINVAL, ALOOP_ENOMEM.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_channel_receive(aloop_channel *channel,
                                              void *ret_item);

/**
 * Sends without waiting.
 *
 * Errors:  ALOOP_EAGAIN: it would have to wait; ALOOP_ECLOSED, ALOOP_EINVAL.
 */
ALOOP_API int aloop_channel_try_send(aloop_channel *channel, const void *item);

/**
 * Receives without waiting.
 *
 * Errors:  ALOOP_EAGAIN: it would have to wait; ALOOP_ECLOSED: it is closed,
 *          and has no items left; ALOOP_EINVAL.
 */
ALOOP_API int aloop_channel_try_receive(aloop_channel *channel,
                                        void *ret_item);

/**
 * Lets no more items in.  Sends that wait settle with ALOOP_ECLOSED, receives
 * that wait too; items that are in the channel can still be received.
 * Idempotent.
 *
 * Errors:  ALOOP_EINVAL for NULL.
 */
ALOOP_API int aloop_channel_close(aloop_channel *channel);

/** Whether it was closed; true for NULL. */
ALOOP_API bool aloop_channel_is_closed(const aloop_channel *channel);

/** How many items are in it; those of sends that wait do not count. */
ALOOP_API size_t aloop_channel_count(const aloop_channel *channel);

/** How many it can hold; 0 for NULL. */
ALOOP_API size_t aloop_channel_capacity(const aloop_channel *channel);

ALOOP_END

#endif
