/* The operations that are in flight on an open file, and its end after the last
 * one of them. */

#include "file/file.h"

#include "loop/debug.h"

/* The watch ends before the descriptor is closed, because its number may belong
 * to another file afterwards.  file_close.c decides which thread closes it. */
void aloop__file_end(aloop_file *file)
{
    aloop__io_close(file->handle.loop, &file->watch.io);
    if (file->fd >= 0 && file->is_known)
        aloop__file_close_known(file->handle.loop, file->fd);
    else if (file->fd >= 0)
        aloop__file_close_later(file->handle.loop, file->fd);
    file->fd = -1;
    aloop__handle_closed(&file->handle);
}

/* The operation is in file->operations from here on, so that a close waits for
 * it. */
void *aloop__file_use_new(aloop_file *file,
                          const struct aloop__file_op_kind *kind,
                          const char *function, aloop_future **ret_refused)
{
    int error = aloop__check_handle(file, function);
    struct aloop__file_use *use;

    if (error < 0) {
        *ret_refused = aloop__future_refused(error);
        return NULL;
    }
    use = aloop__file_op_new(file->handle.loop, kind, function, NULL, NULL,
                             ret_refused);
    if (use == NULL)
        return NULL;
    use->file = file;
    list_init(&use->node);
    list_push(&file->operations, &use->node);
    return use;
}

/* The last operation of a file that was closed meanwhile ends the file, so that
 * no thread ever uses a descriptor that is closed. */
void aloop__file_use_left(struct aloop__file_use *use)
{
    aloop_file *file = use->file;

    list_remove(&use->node);
    if (file->handle.state == HANDLE_CLOSING &&
        list_is_empty(&file->operations))
        aloop__file_end(file);
}
