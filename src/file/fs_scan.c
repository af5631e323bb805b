/* Reading all names of a directory, sorted.
 *
 * One job opens the directory, reads it, closes it and sorts.  The result is
 * one block, with the entries first and the names behind them, so that the
 * application frees it with one call. */

#include "aloop/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file/file_op.h"
#include "file/names.h"
#include "loop/data.h"

struct scan_op {
    struct aloop__file_op op;
    size_t count_max;
    struct sys_dir *dir; /* NULL while it is not open. */
    struct aloop__names names;
    struct aloop__data *block; /* The result: entries, then names. */
    aloop_dir_entry **ret_entries;
};

static struct scan_op *scan_op_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct scan_op, op);
}

static int compare_names(const void *a, const void *b)
{
    const aloop_dir_entry *left = a, *right = b;

    return strcmp(left->name, right->name);
}

/* Makes the result of the names.  The entries refer to the copies of the names
 * in the block. */
static ssize_t make_result(struct scan_op *scan)
{
    const struct aloop__names *names = &scan->names;
    size_t entries_size = names->count * sizeof(aloop_dir_entry);
    char *copy;

    scan->block = aloop__data_new(entries_size + names->size);
    if (scan->block == NULL)
        return -ENOMEM;
    copy = (char *) aloop__data_bytes(scan->block) + entries_size;
    if (names->size > 0)
        memcpy(copy, names->bytes, names->size);
    aloop__names_list(names, copy, aloop__data_bytes(scan->block));
    qsort(aloop__data_bytes(scan->block), names->count, sizeof(aloop_dir_entry),
          compare_names);
    return (ssize_t) names->count;
}

/* The limit and a cancel are checked for each name, so that a directory of any
 * size takes a limited amount of memory and time. */
static ssize_t scan_directory(struct scan_op *scan)
{
    int result = 1;

    while (result > 0) {
        if (aloop__file_op_is_cancelled(&scan->op))
            return -ECANCELED;
        result = aloop__names_read(&scan->names, scan->dir);
        if (scan->names.count > scan->count_max)
            return -EFBIG;
    }
    return result < 0 ? result : make_result(scan);
}

/* kind->work */
static ssize_t scan_work(struct aloop__file_op *op)
{
    struct scan_op *scan = scan_op_of(op);
    struct sys_dir *dir;
    ssize_t result = aloop__names_open(op->path, &scan->dir);

    if (result < 0)
        return result;
    result = scan_directory(scan);
    dir = scan->dir;
    scan->dir = NULL; /* First, for a child that is forked meanwhile. */
    aloop__sys_dir_close(dir);
    return result;
}

/* kind->done.  If the operation was dropped, scan_fini() frees the block. */
static bool scan_done(struct aloop__file_op *op)
{
    struct scan_op *scan = scan_op_of(op);

    if (op->status >= 0 && aloop__file_op_is_wanted(op)) {
        *scan->ret_entries = aloop__data_give(op->future.loop, scan->block);
        scan->block = NULL;
    }
    return true;
}

/* kind->fini.  After a fork, a thread that exists only in the parent may have
 * left any of the three. */
static void scan_fini(struct aloop__file_op *op)
{
    struct scan_op *scan = scan_op_of(op);

    if (scan->dir != NULL) /* The process was forked meanwhile. */
        aloop__sys_dir_forget(scan->dir);
    aloop__names_free(&scan->names);
    aloop__data_drop(scan->block);
}

static const struct aloop__file_op_kind scan_kind = {
    .ops = FILE_OP_FUTURE("scan", struct scan_op),
    .paths = 1,
    .work = scan_work,
    .done = scan_done,
    .fini = scan_fini,
};

aloop_future *aloop_fs_scan(aloop *loop, const char *path, size_t count_max,
                            aloop_dir_entry **ret_entries)
{
    aloop_future *refused;
    struct scan_op *scan;

    if (loop != NULL && ret_entries == NULL)
        path = NULL; /* Another argument that is refused. */
    scan = aloop__file_op_new(loop, &scan_kind, __func__, path, NULL, &refused);
    if (scan == NULL)
        return refused;
    scan->count_max = count_max;
    scan->ret_entries = ret_entries;
    return aloop__file_op_submit(&scan->op);
}
