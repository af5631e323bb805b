/* Grants: successes that give the application something, such as a permit.
 *
 * A composition keeps those of its members until it is known whether the
 * application takes its own status.  If not, each of them is given back. */

#include "loop/future.h"

/* A member whose grant another composition keeps already stays in the list of
 * that one, which decides about it. */
void aloop__grants_keep(struct aloop__node *grants, aloop_future *member)
{
    if (!member->is_grant || member->is_granted) {
        aloop__future_drop(member);
        return;
    }
    member->is_granted = true;
    list_remove(&member->node); /* From loop->kept. */
    list_push(grants, &member->node);
}

/* ops->fini of the member gives its grant back, unless it was taken. */
void aloop__grants_drop(struct aloop__node *grants, bool is_taken)
{
    struct aloop__node *node;

    while ((node = list_pop(grants)) != NULL) {
        aloop_future *member = CONTAINER_OF(node, aloop_future, node);

        member->is_taken = member->is_taken || is_taken;
        member->is_granted = false;
        /* Other owners can still take it. */
        if (member->refs > 1)
            list_push(&member->loop->kept, node);
        aloop__future_unref(member);
    }
}
