/* Channels: bounded queues of items, between any number of senders and
 * receivers.
 *
 * Items have one size and are copied.  Waiters are served first in, first out,
 * without exception: an item goes directly to the receiver that has waited
 * longest.
 *
 * Waiting does not keep the loop alive by itself (a task that waits does).
 * If nothing else is left to wait for, aloop_run() returns, and an
 * aloop_await() outside of tasks returns ALOOP_EDEADLK. */

#ifndef ALOOP_CHANNEL_H
#define ALOOP_CHANNEL_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Makes a channel for up to `capacity` items of `item_size` bytes.
 *
 * With a capacity of 0 each send waits until a receiver has taken its item.
 * Items that are dropped with the channel are only bytes to the library: what
 * they point to stays the application's.
 *
 * Returns: the channel, or NULL if out of memory, `loop` is NULL or `item_size`
 *          is 0.
 * Memory:  the memory of all items is allocated here.  The library owns the
 *          channel, until aloop_channel_free() or aloop_free().
 */
ALOOP_API aloop_channel *aloop_channel_new(aloop *loop, size_t item_size,
                                           size_t capacity);

/**
 * Closes a channel, drops the items in it, and frees it.
 *
 * Pending sends and receives settle with ALOOP_ECLOSED.  NULL is allowed.
 */
ALOOP_API void aloop_channel_free(aloop_channel *channel);

/**
 * Sends a copy of *item, waiting while the channel is full.
 *
 * A send that is cancelled while it waits has sent nothing.
 *
 * Status:  0.
 * Errors:  ALOOP_ECLOSED: the channel was closed, and the item not sent;
 *          ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_ENOMEM: out of memory, and the item was not sent.
 * Memory:  borrows *item until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_channel_send(aloop_channel *channel,
                                           const void *item);

/**
 * Receives an item into *ret_item, waiting while the channel is empty.
 *
 *     a cancel                        effect
 *     before an item was received     nothing is received
 *     after an item was received      none: the status is 0, also that of an
 *                                     await, and the item is in *ret_item
 *
 * An item is lost if the future was settled with it and is dropped unread.
 *
 * Status:  0.
 * Errors:  ALOOP_ECLOSED: the channel is closed, and no items are left;
 *          ALOOP_EINVAL: an argument is NULL;
 *          ALOOP_ENOMEM: out of memory, and nothing was received.
 * Memory:  borrows *ret_item until the future settles.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_channel_receive(aloop_channel *channel,
                                              void *ret_item);

/**
 * Sends a copy of *item without waiting.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAGAIN: the channel is full, or has a capacity of 0 and no
 *          receiver waits;
 *          ALOOP_ECLOSED: the channel is closed;
 *          ALOOP_EINVAL: an argument is NULL.
 */
ALOOP_API int aloop_channel_try_send(aloop_channel *channel, const void *item);

/**
 * Receives an item into *ret_item without waiting.
 *
 * Returns: 0.
 * Errors:  ALOOP_EAGAIN: the channel is empty, and no send waits;
 *          ALOOP_ECLOSED: the channel is closed, and no items are left;
 *          ALOOP_EINVAL: an argument is NULL.
 */
ALOOP_API int aloop_channel_try_receive(aloop_channel *channel, void *ret_item);

/**
 * Closes a channel for new items.
 *
 * Sends and receives that wait settle with ALOOP_ECLOSED.  Items that are in
 * the channel can still be received.  A second call has no effect.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `channel` is NULL.
 */
ALOOP_API int aloop_channel_close(aloop_channel *channel);

/** Returns whether a channel was closed; true for NULL. */
ALOOP_API bool aloop_channel_is_closed(const aloop_channel *channel);

/**
 * Returns how many items are in a channel; 0 for NULL.
 *
 * Items of sends that wait do not count.
 */
ALOOP_API size_t aloop_channel_count(const aloop_channel *channel);

/** Returns how many items a channel can hold; 0 for NULL. */
ALOOP_API size_t aloop_channel_capacity(const aloop_channel *channel);

ALOOP_END

#endif
