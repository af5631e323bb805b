/* Copying a file, with progress.
 *
 * The thread counts and wakes the loop, and the hook of the wake-up calls the
 * application.  This allocates nothing, so that no progress can get lost. */

#include "aloop/copy.h"

#include <limits.h>

#include "base/options.h"
#include "file/blocking.h"
#include "file/file_op.h"
#include "loop/callback.h"
#include "loop/debug.h"
#include "loop/wake.h"

struct copy_op {
    struct aloop__file_op op;
    struct aloop__blocking_copy copy;
    struct aloop__wake_hook hook; /* Only with on_progress. */
    atomic_uint has_progress;     /* That on_progress has not got yet. */
    bool is_ending; /* Nothing but its last progress is left to do. */
    aloop_copy_cb on_progress;
    void *arg;
};

static struct copy_op *copy_op_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct copy_op, op);
}

/* copy->on_piece, on the thread.  The loop exists at least until the job has
 * ended.  Several pieces may become one report: the flag does not count. */
static void copy_piece_done(struct aloop__blocking_copy *copy)
{
    struct copy_op *copy_op = CONTAINER_OF(copy, struct copy_op, copy);

    atomic_store(&copy_op->has_progress, 1);
    aloop_wake(copy_op->op.future.loop);
}

/* The memory of `arg` may be freed if the future was dropped. */
static void report_progress(struct copy_op *copy_op)
{
    aloop *loop = copy_op->op.future.loop;

    if (atomic_exchange(&copy_op->has_progress, 0) == 0)
        return;
    if (!aloop__file_op_is_wanted(&copy_op->op) || !aloop__may_call(loop))
        return;
    copy_op->on_progress(loop, atomic_load(&copy_op->copy.copied),
                         atomic_load(&copy_op->copy.total), copy_op->arg);
    aloop__called(loop, "the progress callback of aloop_fs_copy()");
}

/* hook->run */
static void copy_woken(struct aloop__wake_hook *hook)
{
    report_progress(CONTAINER_OF(hook, struct copy_op, hook));
}

/* kind->work.  The status is a ssize_t, which is too small for the largest file
 * of a system of 32 bits. */
static ssize_t copy_work(struct aloop__file_op *op)
{
    struct copy_op *copy_op = copy_op_of(op);
    int error = aloop__blocking_copy(&copy_op->copy);
    uint64_t copied = atomic_load(&copy_op->copy.copied);

    if (error < 0)
        return error;
    return copied < PTRDIFF_MAX ? (ssize_t) copied : PTRDIFF_MAX;
}

/* kind->done.  The callback may cancel the operation, or drop it.  `is_ending`
 * and the additional reference keep it until it ends after this function. */
static bool copy_done(struct aloop__file_op *op)
{
    struct copy_op *copy_op = copy_op_of(op);

    if (copy_op->on_progress == NULL)
        return true;
    aloop__wake_hook_remove(&copy_op->hook);
    if (op->status < 0)
        return true;
    copy_op->is_ending = true;
    op->future.refs++;
    report_progress(copy_op);
    op->future.refs--;
    return true;
}

/* While its last progress is reported, the copy has succeeded already. */
static void copy_cancel(struct aloop__file_op *op)
{
    if (!copy_op_of(op)->is_ending)
        aloop__file_op_end(op, ALOOP_ECANCELED);
}

/* In a forked child, the descriptors of a copy that a thread of the parent was
 * making are closed here. */
static void copy_fini(struct aloop__file_op *op)
{
    if (copy_op_of(op)->on_progress != NULL)
        aloop__wake_hook_remove(&copy_op_of(op)->hook);
    if (aloop__file_op_is_lost(op))
        aloop__blocking_copy_forget(&copy_op_of(op)->copy);
}

static const struct aloop__file_op_kind copy_kind = {
    .ops = FILE_OP_FUTURE("copy", struct copy_op),
    .paths = 2,
    .work = copy_work,
    .done = copy_done,
    .cancel = copy_cancel,
    .fini = copy_fini,
};

static const struct options_field copy_fields[] = {
    OPTIONS_FIELD(aloop_copy_options, size),
    OPTIONS_FIELD(aloop_copy_options, is_replacing),
    OPTIONS_FIELD(aloop_copy_options, is_synced),
    OPTIONS_FIELD(aloop_copy_options, on_progress),
    OPTIONS_FIELD(aloop_copy_options, arg),
};

OPTIONS_LAST(aloop_copy_options, arg);

static const struct options_kind copy_options_kind = {
    sizeof(aloop_copy_options),
    copy_fields,
    sizeof copy_fields / sizeof copy_fields[0],
};

/* Without on_progress there is no hook, and the thread does not wake the loop
 * for each piece. */
aloop_future *aloop_fs_copy(aloop *loop, const char *from, const char *to,
                            const aloop_copy_options *options)
{
    aloop_copy_options all;
    aloop_future *refused;
    struct copy_op *copy_op;

    if (!aloop__options_take(&copy_options_kind, options, &all))
        from = NULL; /* Another argument that is refused. */
    copy_op =
        aloop__file_op_new(loop, &copy_kind, __func__, from, to, &refused);
    if (copy_op == NULL)
        return refused;
    copy_op->copy.from = copy_op->op.path;
    copy_op->copy.to = copy_op->op.target;
    copy_op->copy.from_fd = copy_op->copy.to_fd = -1;
    copy_op->copy.is_cancelled = &copy_op->op.is_cancelled;
    copy_op->copy.is_replacing = all.is_replacing;
    copy_op->copy.is_synced = all.is_synced;
    copy_op->arg = all.arg;
    if (all.on_progress != NULL) {
        copy_op->on_progress = all.on_progress;
        copy_op->copy.on_piece = copy_piece_done;
        list_init(&copy_op->hook.node);
        copy_op->hook.run = copy_woken;
        aloop__wake_hook_add(loop, &copy_op->hook);
    }
    return aloop__file_op_submit(&copy_op->op);
}
