/* Making and removing whole trees of directories.
 *
 * The removal goes down with openat() and O_NOFOLLOW and never uses a path of
 * more than one name, so that a directory that another process replaces by a
 * link does not lead it out of the tree.  It keeps the deepest LEVELS_OPEN_MAX
 * directories open, and returns to the others through "..".  What it finds
 * there must be the directory that it came from, because the directory that it
 * leaves may have been moved. */

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "file/blocking.h"

enum { LEVELS_OPEN_MAX = 16, PASSES_MAX = 100 };

/* A directory on the way from the root of the tree to the present one. */
struct level {
    struct level *above; /* Nearer to the root; NULL for the root itself. */
    struct sys_dir *dir; /* NULL if it was closed to save a descriptor. */
    uint64_t inode;
    unsigned passes;  /* How often it was read from its beginning. */
    bool was_changed; /* Something was removed since the last beginning. */
    size_t size;      /* Of this struct, with the name. */
    char name[];      /* In the directory above. */
};

struct removal {
    struct level *deepest;
    unsigned open;   /* Levels whose `dir` is open. */
    uint64_t device; /* Of the whole tree. */
    ssize_t removed;
};

/* Opens a directory and identifies it.  Returns its descriptor. */
static int open_directory(int parent, const char *name, aloop_stat *ret)
{
    int fd = aloop__sys_open_directory(parent, name, false);
    int error;

    if (fd < 0)
        return fd;
    error = aloop__sys_fstat(fd, ret);
    if (error < 0)
        aloop__sys_close(fd);
    return error < 0 ? error : fd;
}

/* Closes the open directory that is nearest to the root. */
static void close_highest(struct removal *removal)
{
    struct level *highest = NULL;

    for (struct level *at = removal->deepest; at != NULL; at = at->above)
        if (at->dir != NULL)
            highest = at;
    if (highest == NULL)
        return;
    aloop__sys_dir_close(highest->dir);
    highest->dir = NULL;
    removal->open--;
}

static void leave(struct removal *removal)
{
    struct level *level = removal->deepest;

    removal->deepest = level->above;
    if (level->dir != NULL) {
        aloop__sys_dir_close(level->dir);
        removal->open--;
    }
    aloop__alloc_free(&aloop__alloc_default, level, level->size);
}

/* Goes down into a directory. */
static int enter(struct removal *removal, int parent, const char *name)
{
    size_t size = sizeof(struct level) + strlen(name) + 1;
    struct level *level;
    aloop_stat stat;
    int fd;

    if (removal->open == LEVELS_OPEN_MAX)
        close_highest(removal);
    fd = open_directory(parent, name, &stat);
    if (fd < 0)
        return fd;
    if (removal->deepest == NULL)
        removal->device = stat.device;
    level = aloop__alloc_zero(&aloop__alloc_default, size);
    if (level == NULL || stat.device != removal->device) {
        aloop__alloc_free(&aloop__alloc_default, level, size);
        aloop__sys_close(fd);
        return level == NULL ? -ENOMEM : -EBUSY; /* A mount point. */
    }
    level->above = removal->deepest;
    level->inode = stat.inode;
    level->size = size;
    memcpy(level->name, name, strlen(name) + 1);
    removal->deepest = level;
    fd = aloop__sys_dir_open(fd, &level->dir);
    removal->open += fd >= 0;
    return fd;
}

/* Opens the directory above again, through "..". */
static int reopen_above(struct removal *removal)
{
    struct level *level = removal->deepest, *above = level->above;
    aloop_stat stat;
    int fd = open_directory(aloop__sys_dir_fd(level->dir), "..", &stat);

    if (fd == -ENOENT)
        return -EBUSY; /* Another process has removed both. */
    if (fd < 0)
        return fd;
    if (stat.device != removal->device || stat.inode != above->inode) {
        aloop__sys_close(fd);
        return -EBUSY; /* Another process has moved the directory. */
    }
    fd = aloop__sys_dir_open(fd, &above->dir);
    removal->open += fd >= 0;
    return fd;
}

static bool is_not_empty(int error)
{
    return error == -ENOTEMPTY || error == -EEXIST;
}

/* Returns whether unlink() has failed because it was given a directory. */
static bool is_directory(int error)
{
    return error == -EISDIR || error == -EPERM;
}

/* Goes down into a directory that is not empty.  Returns 1.  Returns 0 if
 * another process has replaced or removed it meanwhile: the next pass removes
 * what has its name then. */
static int enter_next(struct removal *removal, int parent, const char *name)
{
    int error = enter(removal, parent, name);
    bool is_changed = error == -ENOENT || error == -ENOTDIR || error == -ELOOP;

    if (is_changed)
        return 0;
    return error < 0 ? error : 1;
}

/* Removes one name, which may have become another type since it was read.
 * Returns 1 if it is a directory that was entered.  A name that another process
 * has removed, or changes between the calls (-EISDIR), is no error. */
static int remove_name(struct removal *removal, int parent, const char *name,
                       bool is_known_directory)
{
    int error = 0;

    if (!is_known_directory)
        error = aloop__sys_unlinkat(parent, name);
    if (is_known_directory || is_directory(error)) {
        int before = error;

        error = aloop__sys_rmdirat(parent, name);
        if (error == -ENOTDIR)
            error = before < 0 ? before : aloop__sys_unlinkat(parent, name);
    }
    if (is_not_empty(error))
        return enter_next(removal, parent, name);
    removal->removed += error >= 0;
    return error == -ENOENT || error == -EISDIR ? 0 : error;
}

/* Goes back to the directory above, and removes the present one, which is
 * empty. */
static int go_up(struct removal *removal)
{
    struct level *level = removal->deepest, *above = level->above;
    int parent = SYS_CWD, error = 0;

    if (above != NULL && above->dir == NULL)
        error = reopen_above(removal);
    if (error < 0)
        return error;
    if (above != NULL)
        parent = aloop__sys_dir_fd(above->dir);
    error = aloop__sys_rmdirat(parent, level->name);
    if (above != NULL && (error >= 0 || error == -ENOTDIR))
        above->was_changed = true;
    if (above != NULL && error == -ENOTDIR) /* Its name is that of a file. */
        error = -ENOENT;
    if (is_not_empty(error) && ++level->passes < PASSES_MAX) {
        aloop__sys_dir_rewind(level->dir);
        return 0;
    }
    leave(removal);
    removal->removed += error >= 0;
    return error == -ENOENT ? 0 : error;
}

/* Handles the next name of the deepest directory. */
static int remove_next(struct removal *removal)
{
    struct level *level = removal->deepest;
    struct sys_dir_entry entry;
    int result = aloop__sys_dir_read(level->dir, &entry);

    if (result > 0) {
        result = remove_name(removal, aloop__sys_dir_fd(level->dir), entry.name,
                             entry.type == ALOOP_FILE_DIRECTORY);
        level->was_changed |= result == 0;
        return result;
    }
    if (result < 0)
        return result;
    if (!level->was_changed || ++level->passes >= PASSES_MAX)
        return go_up(removal);
    level->was_changed = false; /* Names may have been passed over. */
    aloop__sys_dir_rewind(level->dir);
    return 0;
}

static ssize_t remove_all(const char *path, const atomic_uint *is_cancelled)
{
    struct removal removal = {0};
    int error = aloop__sys_unlinkat(SYS_CWD, path);
    aloop_stat stat;

    if (error >= 0)
        return 1;
    if (error == -EPERM && /* Or it is a file that may not be removed. */
        aloop__sys_statat(SYS_CWD, path, false, &stat) >= 0 &&
        stat.type != ALOOP_FILE_DIRECTORY)
        return error;
    if (is_directory(error))
        error = enter(&removal, SYS_CWD, path);
    while (error >= 0 && removal.deepest != NULL)
        error = atomic_load(is_cancelled) ? -ECANCELED : remove_next(&removal);
    while (removal.deepest != NULL)
        leave(&removal);
    return error < 0 ? error : removal.removed;
}

/* Slashes at the end would make the system follow a link. */
ssize_t aloop__blocking_remove_all(const char *path,
                                   const atomic_uint *is_cancelled)
{
    char copy[SYS_PATH_MAX];
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        size--;
    if (size >= sizeof copy)
        return -ENAMETOOLONG;
    memcpy(copy, path, size);
    copy[size] = '\0';
    return remove_all(copy, is_cancelled);
}

/* Returns 0 if `path` is a directory, else `error`, which is that of mkdir(2).
 * If mkdir() has found a directory that is removed by now, the result is
 * -ENOENT.  It may be there again.  A link that leads nowhere exists. */
static int accept_directory(const char *path, int error)
{
    aloop_stat stat;
    int found = aloop__sys_statat(SYS_CWD, path, true, &stat);

    if (found >= 0 && stat.type == ALOOP_FILE_DIRECTORY)
        return 0;
    if (error != -EEXIST || found != -ENOENT)
        return error;
    found = aloop__sys_statat(SYS_CWD, path, false, &stat);
    return found < 0 || stat.type == ALOOP_FILE_DIRECTORY ? -ENOENT : error;
}

/* Makes the directories that lead to `path`, beginning at the root.  Returns
 * how many. */
static int make_parents(char *path, unsigned mode)
{
    int made = 0;

    for (char *slash = path + 1; *slash != '\0'; slash++) {
        int error;

        if (*slash != '/' || slash[-1] == '/' || slash[1] == '\0')
            continue;
        *slash = '\0';
        error = aloop__sys_mkdirat(SYS_CWD, path, mode | 0300);
        made += error >= 0;
        if (error < 0)
            error = accept_directory(path, error);
        *slash = '/';
        if (error == -EEXIST)
            return -ENOTDIR;
        if (error < 0)
            return error;
    }
    return made;
}

ssize_t aloop__blocking_mkdir_all(const char *path, unsigned mode)
{
    char copy[SYS_PATH_MAX];
    int made = 0;
    int error = aloop__sys_mkdirat(SYS_CWD, path, mode);

    if (error == -ENOENT && path[0] != '\0' && strlen(path) < sizeof copy) {
        memcpy(copy, path, strlen(path) + 1);
        made = make_parents(copy, mode);
        error = made < 0 ? made : aloop__sys_mkdirat(SYS_CWD, path, mode);
    }
    if (error >= 0)
        return made + 1;
    error = accept_directory(path, error);
    return error < 0 ? error : made;
}
