/* File operations that wait for a later turn.
 *
 * A turn may read and open so much on the loop's thread (file_budget.h).  What
 * a thread is not needed for waits for the next turn then, which takes about a
 * tenth of the time of a job.  It has not begun: a cancel takes it back.
 *
 * The operations wait in loop->postponed, in the order of their calls.  One
 * item of the ready queue begins as many of them as the turn may.  Others may
 * have used up what the turn may do before that item runs.  It is counted again
 * then, so that each turn begins at least one. */

#include "file/file_budget.h"
#include "file/file_op.h"
#include "loop/host.h"
#include "loop/skip.h"

static void begin_later(aloop *loop)
{
    aloop__ready_push(loop, &loop->postponed_due);
    aloop__skip_end(loop);
}

static struct aloop__file_op *next_postponed(const aloop *loop)
{
    return CONTAINER_OF(loop->postponed.next, struct aloop__file_op, postponed);
}

static bool may_begin_next(const aloop *loop)
{
    return !list_is_empty(&loop->postponed) &&
           aloop__file_is_within_turn(loop, next_postponed(loop)->turn_size);
}

/* loop->postponed_due.run */
static void begin_postponed(struct aloop__ready *ready)
{
    aloop *loop = CONTAINER_OF(ready, aloop, postponed_due);

    if (list_is_empty(&loop->postponed)) /* All of them were cancelled. */
        return;
    if (!may_begin_next(loop))
        loop->cached_bytes = 0;
    while (may_begin_next(loop)) {
        struct aloop__file_op *op = next_postponed(loop);

        list_remove(&op->postponed);
        op->is_postponed = false;
        aloop__file_op_kind_of(op)->again(op);
    }
    if (!list_is_empty(&loop->postponed) &&
        list_is_empty(&loop->postponed_due.node))
        begin_later(loop);
}

void aloop__file_op_postpone(struct aloop__file_op *op, size_t size)
{
    aloop *loop = op->future.loop;

    assert(size <= CACHED_TURN_MAX);
    op->turn_size = size;
    op->is_postponed = true;
    list_init(&op->postponed);
    list_push(&loop->postponed, &op->postponed);
    loop->postponed_due.run = begin_postponed;
    if (list_is_empty(&loop->postponed_due.node))
        begin_later(loop);
}
