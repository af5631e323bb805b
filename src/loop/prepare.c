/* Calls before each wait, which may limit it.
 *
 * A call may stop and start items, its own included.  Therefore the round keeps
 * its position in the loop.  An item that was started in the same round has no
 * limit yet.  Its `when_ns` keeps the turn from sleeping, and the next turn
 * calls it.  Without this rule, items that start each other could keep a round
 * from ending.
 *
 * An embedded loop waits in its host, and no turn comes before that wait.  If
 * callbacks have run since the items were called, their limits may have become
 * wrong.  The loop then has something to do, and one more turn calls the
 * items. */

#include "loop/prepare.h"

#include "loop/clock.h"

void aloop__prepare_start(aloop *loop, struct aloop__prepare *prepare,
                          void (*call)(struct aloop__prepare *prepare))
{
    list_init(&prepare->node);
    prepare->round = loop->prepare_round;
    prepare->when_ns = INT64_MIN;
    prepare->call = call;
    list_push(&loop->prepares, &prepare->node);
}

void aloop__prepare_stop(aloop *loop, struct aloop__prepare *prepare)
{
    if (loop->prepare_at == &prepare->node)
        loop->prepare_at = prepare->node.next;
    list_remove(&prepare->node);
}

int64_t aloop__prepares_next(const aloop *loop)
{
    const struct aloop__node *node = loop->prepares.next;
    int64_t when_ns = INT64_MAX;

    if ((loop->called & CALLED_LATE) != 0)
        return INT64_MIN;
    for (; node != &loop->prepares; node = node->next) {
        const struct aloop__prepare *prepare =
            CONTAINER_OF(node, const struct aloop__prepare, node);

        if (prepare->when_ns < when_ns)
            when_ns = prepare->when_ns;
    }
    return when_ns;
}

static void call_all(aloop *loop)
{
    loop->prepare_round++;
    loop->prepare_at = loop->prepares.next;
    while (loop->prepare_at != &loop->prepares && !aloop__is_foreign(loop)) {
        struct aloop__prepare *prepare =
            CONTAINER_OF(loop->prepare_at, struct aloop__prepare, node);

        loop->prepare_at = loop->prepare_at->next;
        if (prepare->round != loop->prepare_round)
            prepare->call(prepare);
    }
    loop->called &= CALLED;
}

int64_t aloop__prepares_run(aloop *loop, int64_t max_wait_ns)
{
    const struct aloop__node *last = loop->pending.prev;
    int64_t when_ns, left_ns;

    if (loop->is_dying)
        return max_wait_ns;
    call_all(loop);
    /* The end of aloop_main() has to cancel a new future before it waits. */
    if (loop->is_finishing && loop->pending.prev != last)
        return 0;
    when_ns = aloop__prepares_next(loop);
    if (when_ns == INT64_MAX)
        return max_wait_ns;
    left_ns = aloop__until(aloop__now(loop), when_ns);
    return max_wait_ns < 0 || left_ns < max_wait_ns ? left_ns : max_wait_ns;
}
