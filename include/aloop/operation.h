/* Operations that the application makes.
 *
 * They turn the work of another library, such as a transfer or a query, into a
 * future: tasks await it, gathers and timeouts take it, and deadlines and
 * cancels end it, as they do with the operations of this library.
 *
 * Two parties use an operation.  The user owns the reference that
 * aloop_operation_new() returns, and treats it as any future.  The maker begins
 * the work and settles the operation when the work has ended.  The maker's
 * pointer is the same one but counts as no reference, so that the operation is
 * cancelled when the user drops it.
 *
 *     static void page_ended(struct page *page, ssize_t status)
 *     {
 *         aloop_operation_settle(page->operation, status);
 *     }
 *
 *     static void page_cancel(aloop_future *operation, void *arg)
 *     {
 *         stop(arg);
 *         aloop_operation_settle(operation, ALOOP_ECANCELED);
 *     }
 *
 *     aloop_future *fetch_page(aloop *loop, struct page *page)
 *     {
 *         page->operation = aloop_operation_new(loop, page_cancel, page);
 *         if (page->operation != NULL)
 *             begin(page);
 *         return page->operation;
 *     }
 *
 * The maker settles an operation only when nothing uses the memory of its user
 * any more, because this memory may be on the stack of a task.
 *
 * A promise, see aloop_future_new(), is a future without work: its maker owns a
 * reference, and is not notified when no other code wants the status. */

#ifndef ALOOP_OPERATION_H
#define ALOOP_OPERATION_H

#include "aloop/base.h"
#include "aloop/future.h"

ALOOP_BEGIN

/**
 * Requests that the maker ends the work of an operation.
 *
 * The maker settles `operation` here, or later when the work has ended.  Work
 * that completes nevertheless settles it with its own status.
 *
 * Context: a callback: it cannot await, run or free the loop, also inside a
 *          task.  See aloop_operation_new() for where it is called.
 */
typedef void (*aloop_operation_cb)(aloop_future *operation, void *arg);

/**
 * Makes an operation, which is pending until aloop_operation_settle().
 *
 * A pending operation keeps the loop alive, whether it has owners or not:
 *
 *     event before it is settled      effect
 *     cancelled, by aloop_cancel()    `on_cancel` is called, once
 *     or by what waits for it
 *     dropped by its last owner       `on_cancel` is called, once
 *     dropped by its last owner       none: it continues without an owner
 *     after aloop_detach()
 *     aloop_free()                    `on_cancel` is called, once, and turns
 *                                     run as for tasks; see below
 *     aloop_free() in a forked        no code runs; it is freed without a
 *     child                           status
 *
 * In each case it stays pending, and the maker's pointer valid, until the maker
 * settles it.  If `on_cancel` is NULL, a cancel or a drop has no other effect:
 * what has cancelled the operation waits for its end.
 *
 * `on_cancel` is called inside aloop_cancel(), aloop_future_unref() or
 * aloop_unthen(), if such a call by the application cancels the operation,
 * directly or as what a task or composition waits for.  In all other cases, and
 * if that call is made by an `on_cancel`, it is called in the next turn.  After
 * the operation was settled it is not called any more.
 *
 * Handles do not call back inside aloop_free(), so `on_cancel` should settle
 * the operation there itself, or with aloop_defer() or aloop_post().  An
 * operation that is still pending after 10,000 turns is freed without a status,
 * and so is the stack of a task that awaits it.
 *
 * Returns: the operation, or NULL if out of memory.  The maker then begins no
 *          work, because the user does not wait for its end.
 * Status:  what the maker gives to aloop_operation_settle().
 * Errors:  ALOOP_EINVAL: `loop` is NULL.
 * Memory:  the caller owns the one reference, and gives it to the user.  `arg`
 *          stays valid until the operation is settled.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_operation_new(aloop *loop,
                                            aloop_operation_cb on_cancel,
                                            void *arg);

/**
 * Settles an operation with `status`.
 *
 * Nothing runs inside this call.  Continuations and waiting tasks run in the
 * next turn, in the order in which they registered.
 *
 *     `status`           effect
 *     0 or more          success
 *     ALOOP_ECANCELED    as if the library had cancelled it: an await returns
 *                        ALOOP_ECANCELED or ALOOP_ETIMEDOUT if the task or its
 *                        deadline is the reason, and ALOOP_EABORTED otherwise
 *     another error      is reported to on_unhandled if no code reads it, also
 *                        that of a cancelled operation
 *
 * The call ends the maker's use of the pointer.  To call it again is a mistake
 * that debug loops report, and other loops can recognise only while the
 * operation has an owner.
 *
 * Returns: 0.
 * Errors:  ALOOP_EALREADY: the operation was settled already;
 *          ALOOP_EINVAL: `operation` is NULL or not made by
 *          aloop_operation_new(), or `status` is ALOOP_PENDING.
 * Memory:  no reference is dropped.  The pointer becomes invalid, unless the
 *          caller is also an owner.
 */
ALOOP_API int aloop_operation_settle(aloop_future *operation, ssize_t status);

ALOOP_END

#endif
