/* Operations on names of files: one call of the system each.
 *
 * Each kind of operation is a row: a function that makes the call on a thread,
 * and how many paths and which kind of result it has.  All share one struct.
 *
 * A thread writes its result into the operation, never into memory of the
 * caller: that may be freed if the future was dropped.  The *_done function
 * copies the result on the loop's thread, if the future is still wanted. */

#include "aloop/fs.h"

#include <errno.h>
#include <string.h>

#include "aloop/fs_attributes.h"
#include "file/blocking.h"
#include "file/file_op.h"

/* The operation of all kinds.  Each kind uses those members that it needs. */
struct fs_op {
    struct aloop__file_op op;
    int64_t number; /* A mode, a size, a time or an id: what the call takes. */
    int64_t second;
    void *ret; /* The caller's memory for the result. */
    size_t ret_size;
    union {
        aloop_stat stat;
        aloop_statvfs statvfs;
    } result;
    char *text; /* SYS_PATH_MAX bytes from the default allocator, or NULL. */
};

static struct fs_op *fs_op_of(struct aloop__file_op *op)
{
    return CONTAINER_OF(op, struct fs_op, op);
}

/* The calls, on a thread.
 *
 * They return what the call has returned, except where systems differ: the
 * errors are then those of the contract in aloop/fs.h.  What a call has done is
 * not undone after a cancel. */

static ssize_t path_stat_work(struct aloop__file_op *op)
{
    return aloop__sys_statat(SYS_CWD, op->path, true,
                             &fs_op_of(op)->result.stat);
}

static ssize_t lstat_work(struct aloop__file_op *op)
{
    return aloop__sys_statat(SYS_CWD, op->path, false,
                             &fs_op_of(op)->result.stat);
}

static ssize_t statvfs_work(struct aloop__file_op *op)
{
    return aloop__sys_statvfs(op->path, &fs_op_of(op)->result.statvfs);
}

static ssize_t access_work(struct aloop__file_op *op)
{
    return aloop__sys_accessat(SYS_CWD, op->path, (int) fs_op_of(op)->number);
}

/* POSIX has EPERM for directories. */
static ssize_t unlink_work(struct aloop__file_op *op)
{
    int error = aloop__sys_unlinkat(SYS_CWD, op->path);
    aloop_stat stat;

    if (error == -EPERM &&
        aloop__sys_statat(SYS_CWD, op->path, false, &stat) >= 0 &&
        stat.type == ALOOP_FILE_DIRECTORY)
        error = -EISDIR;
    return error;
}

static ssize_t rename_work(struct aloop__file_op *op)
{
    return aloop__sys_renameat(SYS_CWD, op->path, SYS_CWD, op->target);
}

static ssize_t link_work(struct aloop__file_op *op)
{
    return aloop__sys_linkat(SYS_CWD, op->path, SYS_CWD, op->target);
}

static ssize_t symlink_work(struct aloop__file_op *op)
{
    return aloop__sys_symlinkat(op->path, SYS_CWD, op->target);
}

/* Takes the memory for a text.  It has the size of the longest path, because
 * the length is known only after the call. */
static int text_new(struct fs_op *fs)
{
    fs->text = aloop__alloc_new(&aloop__alloc_default, SYS_PATH_MAX);
    return fs->text == NULL ? -ENOMEM : 0;
}

/* Returns an error if a text of `length` does not fit the caller's memory. */
static ssize_t text_fits(const struct fs_op *fs, ssize_t length)
{
    return length >= 0 && (size_t) length >= fs->ret_size ? -ENOSPC : length;
}

static ssize_t readlink_work(struct aloop__file_op *op)
{
    struct fs_op *fs = fs_op_of(op);
    ssize_t length = text_new(fs);

    if (length >= 0)
        length = aloop__sys_readlinkat(SYS_CWD, op->path, fs->text,
                                       SYS_PATH_MAX - 1);
    if (length >= 0)
        fs->text[length] = '\0';
    return text_fits(fs, length);
}

/* The system may need more room than the caller has given, so that the text is
 * compared with the caller's size only afterwards. */
static ssize_t realpath_work(struct aloop__file_op *op)
{
    struct fs_op *fs = fs_op_of(op);
    int error = text_new(fs);

    if (error >= 0)
        error = aloop__sys_realpath(op->path, fs->text);
    if (error < 0)
        return error;
    return text_fits(fs, (ssize_t) strlen(fs->text));
}

static ssize_t mkdir_work(struct aloop__file_op *op)
{
    return aloop__sys_mkdirat(SYS_CWD, op->path,
                              (unsigned) fs_op_of(op)->number);
}

static ssize_t mkdir_all_work(struct aloop__file_op *op)
{
    return aloop__blocking_mkdir_all(op->path, (unsigned) fs_op_of(op)->number);
}

/* POSIX permits EEXIST for directories that are not empty. */
static ssize_t rmdir_work(struct aloop__file_op *op)
{
    int error = aloop__sys_rmdirat(SYS_CWD, op->path);

    return error == -EEXIST ? -ENOTEMPTY : error;
}

static ssize_t chmod_work(struct aloop__file_op *op)
{
    return aloop__sys_chmodat(SYS_CWD, op->path,
                              (unsigned) fs_op_of(op)->number);
}

static ssize_t chown_work(struct aloop__file_op *op)
{
    const struct fs_op *fs = fs_op_of(op);

    return aloop__sys_chownat(SYS_CWD, op->path, (uint32_t) fs->number,
                              (uint32_t) fs->second, true);
}

static ssize_t utimens_work(struct aloop__file_op *op)
{
    const struct fs_op *fs = fs_op_of(op);

    return aloop__sys_utimensat(SYS_CWD, op->path, fs->number, fs->second,
                                true);
}

/* A FIFO must not wait for its other end.  Without a reader it cannot be
 * opened, and neither can a socket. */
static ssize_t path_truncate_work(struct aloop__file_op *op)
{
    int fd = aloop__blocking_open(op->path, O_WRONLY, 0);
    int error;

    if (fd < 0)
        return fd == -ENXIO ? -EINVAL : fd;
    error = aloop__sys_ftruncate(fd, fs_op_of(op)->number);
    (void) aloop__sys_close(fd);
    return error;
}

/* A large tree takes long, so that the flag of a cancel is read between two
 * names. */
static ssize_t remove_all_work(struct aloop__file_op *op)
{
    return aloop__blocking_remove_all(op->path, &op->is_cancelled);
}

/* The results, on the loop's thread.  Each of these functions returns true: the
 * operation has ended. */

/* Returns whether there is a result, and a caller that receives it. */
static bool is_wanted(const struct aloop__file_op *op)
{
    return op->status >= 0 && aloop__file_op_is_wanted(op);
}

/* kind->done, of three kinds: each copies its result to the caller. */
static bool stat_done(struct aloop__file_op *op)
{
    const struct fs_op *fs = fs_op_of(op);

    if (is_wanted(op))
        memcpy(fs->ret, &fs->result.stat, sizeof fs->result.stat);
    return true;
}

static bool statvfs_done(struct aloop__file_op *op)
{
    const struct fs_op *fs = fs_op_of(op);

    if (is_wanted(op))
        memcpy(fs->ret, &fs->result.statvfs, sizeof fs->result.statvfs);
    return true;
}

static bool text_done(struct aloop__file_op *op)
{
    const struct fs_op *fs = fs_op_of(op);

    if (is_wanted(op))
        memcpy(fs->ret, fs->text, (size_t) op->status + 1);
    return true;
}

/* The text comes from the default allocator, because a thread allocates it. */
static void text_fini(struct aloop__file_op *op)
{
    aloop__alloc_free(&aloop__alloc_default, fs_op_of(op)->text, SYS_PATH_MAX);
}

/* A row of the table: a name for reports, the number of paths, and members of
 * struct aloop__file_op_kind. */
#define KIND(text, count, ...) \
    { \
        .ops = FILE_OP_FUTURE(text, struct fs_op), .paths = (count), \
        __VA_ARGS__ \
    }

enum fs_kind {
    FS_STAT,
    FS_LSTAT,
    FS_STATVFS,
    FS_ACCESS,
    FS_UNLINK,
    FS_RENAME,
    FS_LINK,
    FS_SYMLINK,
    FS_READLINK,
    FS_REALPATH,
    FS_MKDIR,
    FS_MKDIR_ALL,
    FS_RMDIR,
    FS_CHMOD,
    FS_CHOWN,
    FS_UTIMENS,
    FS_TRUNCATE,
    FS_REMOVE_ALL
};

static const struct aloop__file_op_kind kinds[] = {
    [FS_STAT] = KIND("stat", 1, .work = path_stat_work, .done = stat_done),
    [FS_LSTAT] = KIND("lstat", 1, .work = lstat_work, .done = stat_done),
    [FS_STATVFS] =
        KIND("statvfs", 1, .work = statvfs_work, .done = statvfs_done),
    [FS_ACCESS] = KIND("access", 1, .work = access_work),
    [FS_UNLINK] = KIND("unlink", 1, .work = unlink_work),
    [FS_RENAME] = KIND("rename", 2, .work = rename_work),
    [FS_LINK] = KIND("link", 2, .work = link_work),
    [FS_SYMLINK] = KIND("symlink", 2, .work = symlink_work),
    [FS_READLINK] = KIND("readlink", 1, .work = readlink_work,
                         .done = text_done, .fini = text_fini),
    [FS_REALPATH] = KIND("realpath", 1, .work = realpath_work,
                         .done = text_done, .fini = text_fini),
    [FS_MKDIR] = KIND("mkdir", 1, .work = mkdir_work),
    [FS_MKDIR_ALL] = KIND("mkdir_all", 1, .work = mkdir_all_work),
    [FS_RMDIR] = KIND("rmdir", 1, .work = rmdir_work),
    [FS_CHMOD] = KIND("chmod", 1, .work = chmod_work),
    [FS_CHOWN] = KIND("chown", 1, .work = chown_work),
    [FS_UTIMENS] = KIND("utimens", 1, .work = utimens_work),
    [FS_TRUNCATE] = KIND("truncate", 1, .work = path_truncate_work),
    [FS_REMOVE_ALL] = KIND("remove_all", 1, .work = remove_all_work),
};

/* What a call takes, beside its paths.  `ret` is written only when the future
 * settles with a success. */
struct takes {
    int64_t number;
    int64_t second;
    void *ret;
    size_t ret_size;
};

/* Starts an operation.  `is_valid` is whether the arguments that have no path
 * are in their range.  A wrong one is treated like a missing path, so that one
 * place decides which of several errors a call reports: that of the loop comes
 * first. */
static aloop_future *start(aloop *loop, enum fs_kind kind, const char *function,
                           const char *path, const char *target, bool is_valid,
                           struct takes takes)
{
    aloop_future *refused;
    struct fs_op *fs;

    if (!is_valid)
        path = NULL; /* Another argument that is refused. */
    fs = aloop__file_op_new(loop, &kinds[kind], function, path, target,
                            &refused);
    if (fs == NULL)
        return refused;
    fs->number = takes.number;
    fs->second = takes.second;
    fs->ret = takes.ret;
    fs->ret_size = takes.ret_size;
    return aloop__file_op_submit(&fs->op);
}

#define START(kind, path, target, is_valid, ...) \
    start(loop, (kind), __func__, (path), (target), (is_valid), \
          (struct takes){__VA_ARGS__})

aloop_future *aloop_fs_stat(aloop *loop, const char *path, aloop_stat *ret_stat)
{
    return START(FS_STAT, path, NULL, ret_stat != NULL, .ret = ret_stat);
}

aloop_future *aloop_fs_lstat(aloop *loop, const char *path,
                             aloop_stat *ret_stat)
{
    return START(FS_LSTAT, path, NULL, ret_stat != NULL, .ret = ret_stat);
}

aloop_future *aloop_fs_statvfs(aloop *loop, const char *path,
                               aloop_statvfs *ret_statvfs)
{
    return START(FS_STATVFS, path, NULL, ret_statvfs != NULL,
                 .ret = ret_statvfs);
}

aloop_future *aloop_fs_access(aloop *loop, const char *path, int mode)
{
    bool is_valid = mode == F_OK || (mode & ~(R_OK | W_OK | X_OK)) == 0;

    return START(FS_ACCESS, path, NULL, is_valid, .number = mode);
}

aloop_future *aloop_fs_unlink(aloop *loop, const char *path)
{
    return START(FS_UNLINK, path, NULL, true, .number = 0);
}

aloop_future *aloop_fs_rename(aloop *loop, const char *from, const char *to)
{
    return START(FS_RENAME, from, to, true, .number = 0);
}

aloop_future *aloop_fs_link(aloop *loop, const char *target, const char *path)
{
    return START(FS_LINK, target, path, true, .number = 0);
}

aloop_future *aloop_fs_symlink(aloop *loop, const char *target,
                               const char *path)
{
    return START(FS_SYMLINK, target, path, true, .number = 0);
}

aloop_future *aloop_fs_readlink(aloop *loop, const char *path, char *ret_text,
                                size_t size)
{
    return START(FS_READLINK, path, NULL, ret_text != NULL && size > 0,
                 .ret = ret_text, .ret_size = size);
}

aloop_future *aloop_fs_realpath(aloop *loop, const char *path, char *ret_path,
                                size_t size)
{
    return START(FS_REALPATH, path, NULL, ret_path != NULL && size > 0,
                 .ret = ret_path, .ret_size = size);
}

/* Returns whether the number has no bits besides the permissions and the three
 * bits before them. */
static bool is_mode(unsigned mode)
{
    return (mode & ~07777u) == 0;
}

aloop_future *aloop_fs_mkdir(aloop *loop, const char *path, unsigned mode)
{
    return START(FS_MKDIR, path, NULL, is_mode(mode), .number = mode);
}

aloop_future *aloop_fs_mkdir_all(aloop *loop, const char *path, unsigned mode)
{
    return START(FS_MKDIR_ALL, path, NULL, is_mode(mode), .number = mode);
}

aloop_future *aloop_fs_rmdir(aloop *loop, const char *path)
{
    return START(FS_RMDIR, path, NULL, true, .number = 0);
}

aloop_future *aloop_fs_chmod(aloop *loop, const char *path, unsigned mode)
{
    return START(FS_CHMOD, path, NULL, is_mode(mode), .number = mode);
}

aloop_future *aloop_fs_chown(aloop *loop, const char *path, uint32_t user,
                             uint32_t group)
{
    return START(FS_CHOWN, path, NULL, true, .number = user, .second = group);
}

aloop_future *aloop_fs_utimens(aloop *loop, const char *path,
                               int64_t accessed_ns, int64_t modified_ns)
{
    return START(FS_UTIMENS, path, NULL, true, .number = accessed_ns,
                 .second = modified_ns);
}

aloop_future *aloop_fs_truncate(aloop *loop, const char *path, int64_t size)
{
    return START(FS_TRUNCATE, path, NULL, size >= 0, .number = size);
}

/* Returns whether a path ends in "." or "..", or is "/", so that removing its
 * tree would be a mistake. */
static bool is_dangerous(const char *path)
{
    size_t end = path == NULL ? 0 : strlen(path);
    size_t begin;

    if (end == 0)
        return false;
    while (end > 0 && path[end - 1] == '/')
        end--;
    begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    return end == 0 || (end - begin == 1 && path[begin] == '.') ||
           (end - begin == 2 && memcmp(path + begin, "..", 2) == 0);
}

aloop_future *aloop_fs_remove_all(aloop *loop, const char *path)
{
    return START(FS_REMOVE_ALL, path, NULL, !is_dangerous(path), .number = 0);
}
