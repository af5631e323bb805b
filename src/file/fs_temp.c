/* Operations that create files and directories with unique names.
 *
 * If the operation was dropped, no caller learns the name.  Then it continues
 * with the removal of what it has created. */

#include "aloop/fs_data.h"

#include <string.h>

#include "file/blocking.h"
#include "file/file.h"

enum { ENDING_SIZE = 6 };

/* The path of the operation is the name, which a thread makes unique. */
struct temp_op {
    struct aloop__opening opening; /* Without a file for a directory. */
    char *name;                    /* The caller's. */
    int fd;                        /* Of a file that is being removed. */
    bool is_removing;
    bool was_removed;
};

static struct temp_op *temp_op_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct temp_op, opening.use.op);
}

/* Errors have no receiver: the name stays then. */
static void remove_again(struct temp_op *temp)
{
    const char *path = temp->opening.use.op.path;

    temp->was_removed = true;
    if (temp->opening.use.file == NULL) {
        (void) aloop__sys_rmdirat(SYS_CWD, path);
        return;
    }
    (void) aloop__sys_unlinkat(SYS_CWD, path);
    (void) aloop__sys_close(temp->fd);
}

/* The path is the operation's own copy, in which the unique letters are stored.
 * For a file the result is its descriptor. */
static ssize_t temp_work(struct aloop__file_op *op)
{
    struct temp_op *temp = temp_op_of(op);
    char *path = (char *) (uintptr_t) op->path;
    int fd;

    if (temp->is_removing) {
        remove_again(temp);
        return ALOOP_ECANCELED;
    }
    if (temp->opening.use.file == NULL)
        return aloop__blocking_make_directory(path);
    fd = aloop__blocking_make_file(path);
    if (fd >= 0)
        aloop__file_look(&temp->opening, fd);
    return fd;
}

/* Removes here what no thread has removed.  In a forked child it belongs to the
 * parent. */
static void finish_removal(struct temp_op *temp)
{
    if (temp->is_removing && !temp->was_removed &&
        !aloop__is_foreign(temp->opening.use.op.future.loop))
        remove_again(temp);
}

/* Returns whether no caller will learn the name: the future was dropped, or the
 * loop has ended the handle of the file. */
static bool is_unseen(const struct temp_op *temp)
{
    const struct aloop__file_use *use = &temp->opening.use;

    return !aloop__file_op_is_wanted(&use->op) ||
           (use->file != NULL && aloop__handle_is_ended(&use->file->handle));
}

/* kind->done.  After a success that is unseen, the operation runs a second
 * time, to remove what it has created.  If no thread can do that, it is done
 * here. */
static bool temp_done(struct aloop__file_op *op)
{
    struct temp_op *temp = temp_op_of(op);

    if (op->status >= 0 && is_unseen(temp)) {
        temp->fd = (int) op->status;
        temp->is_removing = true;
        op->status = ALOOP_ECANCELED;
        if (aloop__file_op_try_submit(op) == 0)
            return false;
    }
    finish_removal(temp);
    if (op->status >= 0)
        memcpy(temp->name, op->path, strlen(op->path));
    return temp->opening.use.file == NULL || aloop__file_open_done(op);
}

/* kind->cancel: no thread will run the operation any more.  A removal that was
 * taken back from the pool is made here. */
static void temp_cancel(struct aloop__file_op *op)
{
    struct temp_op *temp = temp_op_of(op);

    finish_removal(temp);
    if (temp->opening.use.file != NULL)
        aloop__file_open_cancel(op);
    else
        aloop__file_op_end(op, ALOOP_ECANCELED);
}

static const struct aloop__file_op_kind mkdtemp_kind = {
    .ops = FILE_OP_FUTURE("mkdtemp", struct temp_op),
    .paths = 1,
    .work = temp_work,
    .done = temp_done,
    .cancel = temp_cancel,
};

static const struct aloop__file_op_kind mkstemp_kind = {
    .ops = FILE_OP_FUTURE("mkstemp", struct temp_op),
    .paths = 1,
    .work = temp_work,
    .done = temp_done,
    .cancel = temp_cancel,
};

/* Returns the name, or NULL if it has no ending that is to be replaced.  NULL
 * is a path that is refused, with ALOOP_EINVAL. */
static char *check_template(char *name)
{
    size_t size = name == NULL ? 0 : strlen(name);
    bool is_template = size >= ENDING_SIZE &&
                       strcmp(name + size - ENDING_SIZE, "XXXXXX") == 0;

    return is_template ? name : NULL;
}

aloop_future *aloop_fs_mkdtemp(aloop *loop, char *name)
{
    aloop_future *refused;
    struct temp_op *temp = aloop__file_op_new(
        loop, &mkdtemp_kind, __func__, check_template(name), NULL, &refused);

    if (temp == NULL)
        return refused;
    temp->name = name;
    return aloop__file_op_submit(&temp->opening.use.op);
}

aloop_future *aloop_fs_mkstemp(aloop *loop, char *name, aloop_file **ret_file)
{
    aloop_future *refused;
    struct temp_op *temp =
        aloop__file_opening_new(loop, &mkstemp_kind, __func__,
                                check_template(name), ret_file, &refused);

    if (temp == NULL)
        return refused;
    temp->name = name;
    temp->opening.flags = O_RDWR;
    return aloop__file_op_submit(&temp->opening.use.op);
}
