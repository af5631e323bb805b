/* The life cycle that is common to all handles; see struct aloop__handle.
 *
 * The loop owns every handle: it is in loop->handles until its close, and in
 * loop->closed until the end of the turn.  Until then its memory stays valid,
 * because the code that called the closing callback may still look at the
 * state.
 *
 * Every change of a state or a reference passes through set_state() or the same
 * two statements, so that loop->live is the number of active referenced handles
 * plus what other parts add to it. */

#include "loop/handle.h"

#include <stdio.h>

#include "loop/debug.h"
#include "loop/host.h"
#include "loop/quarantine.h"

/* Returns whether the handle keeps the loop alive. */
static bool keeps_alive(const struct aloop__handle *handle)
{
    return aloop__handle_is_active(handle) && handle->is_referenced;
}

void *aloop__handle_new(aloop *loop, const struct aloop__handle_ops *ops)
{
    struct aloop__handle *handle;

    handle = aloop__object_new(loop, ops->size);
    if (handle == NULL)
        return NULL;
    aloop__handle_begin(handle, loop, ops);
    return handle;
}

static void set_state(struct aloop__handle *handle,
                      enum aloop__handle_state state)
{
    handle->loop->live -= keeps_alive(handle);
    handle->state = (uint8_t) state;
    handle->loop->live += keeps_alive(handle);
}

void aloop__handle_closing(struct aloop__handle *handle)
{
    set_state(handle, HANDLE_CLOSING);
}

/* The check comes first: a public function calls this with what it was
 * given. */
void aloop__handle_reference(struct aloop__handle *handle, bool is_referenced,
                             const char *function)
{
    if (handle == NULL || aloop__check_handle(handle, function) < 0)
        return;
    handle->loop->live -= keeps_alive(handle);
    handle->is_referenced = is_referenced;
    handle->loop->live += keeps_alive(handle);
}

void aloop__handle_closed(struct aloop__handle *handle)
{
    set_state(handle, HANDLE_CLOSED);
    list_remove(&handle->node);
    list_push(&handle->loop->closed, &handle->node);
    if (handle->loop->is_embedded)
        aloop__host_update(handle->loop);
}

/* Frees a handle of a debug loop.  Its name is copied first, because ops->fini
 * may free what the name consists of. */
COLD NOINLINE static void free_and_name(struct aloop__handle *handle)
{
    char name[80];

    snprintf(name, sizeof name, "%s", aloop__handle_name(handle));
    if (handle->ops->fini != NULL)
        handle->ops->fini(handle);
    aloop__quarantine_put(handle->loop, handle, handle->ops->size, name);
}

/* Called at the end of each turn, when no callback of any handle is running,
 * and by the end of the loop. */
void aloop__handles_free_closed(aloop *loop)
{
    struct aloop__node *node;

    while ((node = list_pop(&loop->closed)) != NULL) {
        struct aloop__handle *handle =
            CONTAINER_OF(node, struct aloop__handle, node);

        if (loop->debug != NULL) {
            free_and_name(handle);
            continue;
        }
        if (handle->ops->fini != NULL)
            handle->ops->fini(handle);
        aloop__slab_put(&loop->slab, handle, handle->ops->size);
    }
}

static bool is_in(const struct aloop__node *list,
                  const struct aloop__handle *handle)
{
    const struct aloop__node *node = list->next;

    while (node != list && node != &handle->node)
        node = node->next;
    return node != list;
}

/* Only a report of a debug loop needs it. */
bool aloop__handles_have(const aloop *loop, const struct aloop__handle *handle)
{
    return is_in(&loop->closed, handle) || is_in(&loop->handles, handle);
}

/* Visits all handles; only aloop_step() without live objects needs it. */
bool aloop__handles_are_active(const aloop *loop)
{
    const struct aloop__node *node = loop->handles.next;

    for (; node != &loop->handles; node = node->next) {
        const struct aloop__handle *handle =
            CONTAINER_OF(node, const struct aloop__handle, node);

        if (aloop__handle_is_active(handle) && !handle->ops->is_passive)
            return true;
    }
    return false;
}

/* In a forked child: the parent sends what closed streams have queued. */
void aloop__handles_close_lingering(aloop *loop)
{
    struct aloop__node *node = loop->handles.next;

    while (node != &loop->handles) {
        struct aloop__handle *handle =
            CONTAINER_OF(node, struct aloop__handle, node);

        node = node->next;
        if (aloop__handle_is_ended(handle))
            handle->ops->close(handle);
    }
}

void aloop__handles_fork(aloop *loop)
{
    struct aloop__node *node = loop->handles.next;

    for (; node != &loop->handles; node = node->next) {
        struct aloop__handle *handle =
            CONTAINER_OF(node, struct aloop__handle, node);

        if (handle->ops->fork != NULL)
            handle->ops->fork(handle);
    }
}

/* Comes before the last reports, so that errors of these closes are among
 * them. */
void aloop__handles_close_fallible(aloop *loop)
{
    struct aloop__node *node = loop->handles.next;

    while (node != &loop->handles) {
        struct aloop__handle *handle =
            CONTAINER_OF(node, struct aloop__handle, node);

        node = node->next;
        if (handle->ops->is_fallible && !aloop__handle_is_ended(handle))
            handle->ops->close(handle);
    }
}

void aloop__handles_close_all(aloop *loop)
{
    /* A close moves its handle to another list, and may close other handles.
     * Therefore the loop always takes the first one. */
    while (!list_is_empty(&loop->handles)) {
        struct aloop__handle *handle =
            CONTAINER_OF(loop->handles.next, struct aloop__handle, node);

        handle->ops->close(handle);
    }
}
