/* Replacing the contents of a file, so that they are old or new after a crash.
 *
 * The order of the steps ensures this: the temporary file is on the disk before
 * the rename, and the rename is on the disk when the directory is. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "file/blocking.h"

enum { SHOWN_MAX = 100, TRIES_MAX = 100, PERMISSIONS = 0777 };

struct replacement {
    char path[SYS_PATH_MAX]; /* Of the directory, with a zero after it. */
    const char *name;        /* Of the file in the directory. */
    int dir;                 /* A descriptor. */
    int fd;                  /* The temporary file. */
    bool has_old;
    aloop_stat old;
    char temporary[SHOWN_MAX + 32];
};

/* Writes the path of the file to ret->path, and follows a symbolic link. */
static int find_file(struct replacement *ret, const char *path)
{
    size_t length = strlen(path);
    aloop_stat stat;
    int error = aloop__sys_statat(SYS_CWD, path, false, &stat);

    if (error == 0 && stat.type == ALOOP_FILE_LINK)
        return aloop__sys_realpath(path, ret->path);
    if (error < 0 && (error != -ENOENT || length == 0))
        return error;
    memcpy(ret->path, path, length + 1);
    return length > 0 && path[length - 1] == '/' ? -EISDIR : 0;
}

/* Opens the directory, and splits the path. */
static int open_parent(struct replacement *ret, const char *path)
{
    int error = find_file(ret, path);
    char *slash;

    if (error < 0)
        return error;
    slash = strrchr(ret->path, '/');
    ret->name = slash == NULL ? path : slash + 1;
    if (slash == NULL)
        return aloop__sys_open_directory(SYS_CWD, ".", true);
    if (slash == ret->path)
        return aloop__sys_open_directory(SYS_CWD, "/", true);
    *slash = '\0';
    return aloop__sys_open_directory(SYS_CWD, ret->path, true);
}

/* Looks at the old file, whose owner and permissions the new one gets. */
static int look_at_old(struct replacement *it)
{
    int error = aloop__sys_statat(it->dir, it->name, false, &it->old);

    it->has_old = error == 0;
    if (error == -ENOENT)
        return 0;
    if (error < 0 || it->old.type == ALOOP_FILE_REGULAR)
        return error;
    return it->old.type == ALOOP_FILE_DIRECTORY ? -EISDIR : -EINVAL;
}

/* Returns how many bytes of the name the temporary name shows: whole UTF-8
 * characters, because some file systems refuse parts of them. */
static int shown_length(const char *name)
{
    size_t length = strlen(name);

    if (length <= SHOWN_MAX)
        return (int) length;
    length = SHOWN_MAX;
    while (length > SHOWN_MAX - 4 &&
           ((unsigned char) name[length] & 0xc0) == 0x80)
        length--;
    return (int) length;
}

/* Creates the temporary file.  Returns its descriptor.  Others cannot read it
 * before it has the permissions of the old file. */
static int create_temporary(struct replacement *it, unsigned mode)
{
    int fd = -EEXIST;

    for (int i = 0; i < TRIES_MAX && fd == -EEXIST; i++) {
        unsigned random;

        fd = aloop__sys_random(&random, sizeof random);
        if (fd < 0)
            return fd;
        snprintf(it->temporary, sizeof it->temporary, ".%.*s.%08x.tmp",
                 shown_length(it->name), it->name, random);
        fd = aloop__sys_openat(it->dir, it->temporary,
                               O_WRONLY | O_CREAT | O_EXCL,
                               it->has_old ? 0600 : mode);
    }
    return fd;
}

/* Gives the file the owner and the group of the old one, as far as that is
 * permitted.  Returns the mode that it may have then: a set-id bit for another
 * user, and the rights of another group, would give rights that the old file
 * did not give.  Changing the owner may clear bits of the mode. */
static unsigned copy_owner(const struct replacement *it, const aloop_stat *now)
{
    const aloop_stat *old = &it->old;
    unsigned mode = old->mode, others = mode & 07;

    if ((now->user == old->user && now->group == old->group) ||
        aloop__sys_fchown(it->fd, old->user, old->group) == 0)
        return mode;
    mode &= PERMISSIONS;
    if (now->group == old->group ||
        aloop__sys_fchown(it->fd, UINT32_MAX, old->group) == 0)
        return mode;
    return mode & ~(070u & ~(others << 3));
}

/* Must be called after the data were written, because a write clears the set-id
 * bits.  A file system without permissions refuses any other mode than what a
 * file has anyway. */
static int copy_attributes(const struct replacement *it)
{
    aloop_stat now;
    unsigned mode;
    int error;

    if (!it->has_old)
        return 0;
    error = aloop__sys_fstat(it->fd, &now);
    if (error < 0)
        return error;
    mode = copy_owner(it, &now);
    if (mode == now.mode && (mode & ~(unsigned) PERMISSIONS) == 0)
        return 0;
    return aloop__sys_fchmod(it->fd, mode);
}

/* Writes the temporary file to the disk, and closes it. */
static int write_temporary(const struct replacement *it,
                           struct aloop__blocking_data *data)
{
    int error = aloop__blocking_write_all(data), close_error;

    if (error == 0)
        error = copy_attributes(it);
    if (error == 0)
        error = aloop__sys_fsync(it->fd);
    close_error = aloop__blocking_close(it->fd);
    if (error == 0)
        error = close_error;
    return error == 0 && atomic_load(data->is_cancelled) ? -ECANCELED : error;
}

static int replace_file(struct replacement *it,
                        struct aloop__blocking_data *data)
{
    int error = look_at_old(it);

    if (error < 0)
        return error;
    it->fd = create_temporary(it, data->mode);
    if (it->fd < 0)
        return it->fd;
    data->fd = it->fd;
    data->has_position = true;
    error = write_temporary(it, data);
    data->fd = -1;
    if (error == 0)
        error = aloop__sys_renameat(it->dir, it->temporary, it->dir, it->name);
    if (error == 0)
        return aloop__blocking_sync_directory(it->dir);
    (void) aloop__sys_unlinkat(it->dir, it->temporary);
    return error;
}

int aloop__blocking_replace(struct aloop__blocking_data *data)
{
    struct replacement it;
    int error;

    it.dir = open_parent(&it, data->path);
    if (it.dir < 0)
        return it.dir;
    error = replace_file(&it, data);
    (void) aloop__sys_close(it.dir);
    return error;
}
