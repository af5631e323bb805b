/* The functions of os/sys_file.h for attributes and names. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim_files.h"

static void describe(const struct sim_node *node, aloop_stat *ret)
{
    uint64_t size = (uint64_t) node->data.size;

    if (node->type == ALOOP_FILE_LINK)
        size = strlen(node->target);
    *ret = (aloop_stat){
        .type = node->type,
        .mode = node->data.mode,
        .size = size,
        .allocated_size = node->data.count * SIM_BLOCK,
        .device = node->device->id,
        .inode = node->inode,
        .links = node->links,
        .user = node->user,
        .group = node->group,
        .accessed_ns = node->accessed_ns,
        .modified_ns = node->modified_ns,
        .changed_ns = node->changed_ns,
    };
}

/* Returns the node of a descriptor that was not only looked up. */
static struct sim_node *node_of_open(int fd, int *ret_error)
{
    const struct sim_file *file = sim__file(fd);

    *ret_error = file == NULL || file->kind == SIM_NAMED ? -EBADF
                 : file->node == NULL                    ? -EINVAL
                                                         : 0;
    return *ret_error == 0 ? file->node : NULL;
}

static int stat_open(int fd, aloop_stat *ret)
{
    const struct sim_file *file = sim__file(fd);

    if (file == NULL)
        return -EBADF;
    if (file->node != NULL)
        describe(file->node, ret);
    else
        *ret = (aloop_stat){.type = file->kind == SIM_SOCKET
                                        ? ALOOP_FILE_SOCKET
                                        : ALOOP_FILE_UNKNOWN,
                            .mode = 0600,
                            .links = 1};
    return 0;
}

int aloop__sys_fstat(int fd, aloop_stat *ret)
{
    int error = sim__enter_file(CALL_sys_fstat, SIM_LOOKS);

    return error < 0 ? error : stat_open(fd, ret);
}

int aloop__sys_fstat_cached(int fd, aloop_stat *ret, uint64_t *ret_mount)
{
    int error = sim__enter_file(CALL_sys_fstat_cached, SIM_CACHED);
    const struct sim_node *node = sim__root; /* The working directory. */

    *ret_mount = 0;
    if (error < 0)
        return error;
    if (fd != SYS_CWD) {
        error = stat_open(fd, ret);
        node = error == 0 ? sim__file(fd)->node : NULL;
    } else {
        describe(node, ret);
    }
    if (node != NULL) {
        ret->size += (uint64_t) node->device->cached_size_error;
        *ret_mount = node->device->mount;
    }
    return error;
}

/* The beginning of most calls with a path. */
static struct sim_node *enter_path(enum sim_call call, enum sim_file_call kind,
                                   int dir, const char *path, bool is_followed,
                                   int *ret_error)
{
    struct sim_walk walk;

    *ret_error = sim__enter_file(call, kind);
    if (*ret_error == 0)
        *ret_error = sim__find(dir, path, is_followed, &walk);
    return *ret_error == 0 ? walk.node : NULL;
}

int aloop__sys_statat(int dir, const char *path, bool is_followed,
                      aloop_stat *ret)
{
    int error;
    const struct sim_node *node =
        enter_path(CALL_sys_statat, SIM_LOOKS, dir, path, is_followed, &error);

    if (node != NULL)
        describe(node, ret);
    return error;
}

int aloop__sys_statvfs(const char *path, aloop_statvfs *ret)
{
    int error;
    const struct sim_node *node =
        enter_path(CALL_sys_statvfs, SIM_LOOKS, SYS_CWD, path, true, &error);
    uint64_t size, used = 0;

    if (node == NULL)
        return error;
    size = node->device->size_max > 0 ? node->device->size_max : 1 << 30;
    for (struct sim_node *at = sim__nodes; at != NULL; at = at->next)
        if (at->device == node->device)
            used += at->data.count * SIM_BLOCK;
    *ret = (aloop_statvfs){
        .size = size,
        .free_size = size > used ? size - used : 0,
        .available_size = size > used ? size - used : 0,
        .files = 1000000,
        .free_files = 1000000,
        .block_size = SIM_BLOCK,
        .name_max = SIM_NAME_SIZE - 1,
        .is_read_only = node->device->is_read_only,
    };
    return 0;
}

int aloop__sys_accessat(int dir, const char *path, int mode)
{
    int error;
    const struct sim_node *node =
        enter_path(CALL_sys_accessat, SIM_LOOKS, dir, path, true, &error);

    if (node == NULL)
        return error;
    if ((mode & W_OK) != 0 && node->device->is_read_only)
        return -EROFS;
    return sim__node_may(node, mode) ? 0 : -EACCES;
}

/* Begins a call that changes the attributes of a descriptor's file. */
static struct sim_node *enter_open(enum sim_call call, int fd, int *ret_error)
{
    *ret_error = sim__enter_file(call, SIM_CHANGES);
    return *ret_error == 0 ? node_of_open(fd, ret_error) : NULL;
}

/* Changes of attributes are allowed to the owner and to root. */
static int may_change_attributes(const struct sim_node *node)
{
    if (node->device->is_read_only)
        return -EROFS;
    return sim__is_owner(node) ? 0 : -EPERM;
}

static int change_mode(struct sim_node *node, unsigned mode)
{
    int error = may_change_attributes(node);

    if (error < 0)
        return error;
    node->data.mode = mode & 07777;
    node->is_dirty = true;
    sim__node_touch(node, false);
    return 0;
}

int aloop__sys_fchmod(int fd, unsigned mode)
{
    const struct sim_file *file = sim__peek(fd);
    int error;
    struct sim_node *node;

    if (file != NULL && file->socket != NULL) {
        error = sim__enter(CALL_sys_fchmod);
        if (error == 0)
            file->socket->mode = mode;
        return error;
    }
    node = enter_open(CALL_sys_fchmod, fd, &error);
    return node != NULL ? change_mode(node, mode) : error;
}

int aloop__sys_chmodat(int dir, const char *path, unsigned mode)
{
    int error;
    struct sim_node *node =
        enter_path(CALL_sys_chmodat, SIM_CHANGES, dir, path, true, &error);

    return node != NULL ? change_mode(node, mode) : error;
}

static int change_owner(struct sim_node *node, uint32_t user, uint32_t group)
{
    int error = may_change_attributes(node);
    bool is_same = (user == UINT32_MAX || user == node->user) &&
                   (group == UINT32_MAX || group == node->group);

    if (error == 0 && !is_same && !sim__is_root())
        error = -EPERM;
    if (error < 0)
        return error;
    if (user != UINT32_MAX)
        node->user = user;
    if (group != UINT32_MAX)
        node->group = group;
    sim__node_touch(node, false);
    return 0;
}

int aloop__sys_fchown(int fd, uint32_t user, uint32_t group)
{
    int error;
    struct sim_node *node = enter_open(CALL_sys_fchown, fd, &error);

    return node != NULL ? change_owner(node, user, group) : error;
}

int aloop__sys_chownat(int dir, const char *path, uint32_t user, uint32_t group,
                       bool is_followed)
{
    int error;
    struct sim_node *node = enter_path(CALL_sys_chownat, SIM_CHANGES, dir, path,
                                       is_followed, &error);

    return node != NULL ? change_owner(node, user, group) : error;
}

static int change_times(struct sim_node *node, int64_t accessed_ns,
                        int64_t modified_ns)
{
    int error = may_change_attributes(node);

    if (error < 0)
        return error;
    if (accessed_ns != INT64_MIN)
        node->accessed_ns = accessed_ns;
    if (modified_ns != INT64_MIN)
        node->modified_ns = modified_ns;
    sim__node_touch(node, false);
    return 0;
}

int aloop__sys_futimens(int fd, int64_t accessed_ns, int64_t modified_ns)
{
    int error;
    struct sim_node *node = enter_open(CALL_sys_futimens, fd, &error);

    return node != NULL ? change_times(node, accessed_ns, modified_ns) : error;
}

int aloop__sys_utimensat(int dir, const char *path, int64_t accessed_ns,
                         int64_t modified_ns, bool is_followed)
{
    int error;
    struct sim_node *node = enter_path(CALL_sys_utimensat, SIM_CHANGES, dir,
                                       path, is_followed, &error);

    return node != NULL ? change_times(node, accessed_ns, modified_ns) : error;
}

ssize_t aloop__sys_readlinkat(int dir, const char *path, char *buffer,
                              size_t size)
{
    int error;
    const struct sim_node *node =
        enter_path(CALL_sys_readlinkat, SIM_LOOKS, dir, path, false, &error);
    size_t length;

    if (node == NULL)
        return error;
    if (node->type != ALOOP_FILE_LINK || size == 0)
        return -EINVAL;
    length = strlen(node->target);
    if (length > size)
        length = size;
    memcpy(buffer, node->target, length);
    return (ssize_t) length;
}

/* Writes the path of a directory in front of what begins at `at`. */
static size_t write_path(const struct sim_node *dir, char *path, size_t at)
{
    for (; dir != sim__root; dir = dir->parent) {
        const struct sim_names *names = &dir->parent->names;
        size_t i = 0, length;

        while (i < names->count && names->entries[i].node != dir)
            i++;
        if (i == names->count)
            return SYS_PATH_MAX; /* It was removed. */
        length = strlen(names->entries[i].name);
        if (at < length + 1)
            return SYS_PATH_MAX + 1;
        at -= length;
        memcpy(path + at, names->entries[i].name, length);
        path[--at] = '/';
    }
    return at;
}

int aloop__sys_realpath(const char *path, char ret[SYS_PATH_MAX])
{
    int error = sim__enter_file(CALL_sys_realpath, SIM_LOOKS);
    size_t at = SYS_PATH_MAX - 1, length;
    struct sim_walk walk;

    if (error == 0)
        error = sim__find(SYS_CWD, path, true, &walk);
    if (error < 0)
        return error;
    ret[at] = '\0';
    if (walk.node->type == ALOOP_FILE_DIRECTORY)
        walk.parent = walk.node;
    else {
        length = strlen(walk.name);
        at -= length;
        memcpy(ret + at, walk.name, length);
        ret[--at] = '/';
    }
    at = write_path(walk.parent, ret, at);
    if (at >= SYS_PATH_MAX)
        return at == SYS_PATH_MAX ? -ENOENT : -ENAMETOOLONG;
    if (ret[at] == '\0')
        ret[--at] = '/';
    memmove(ret, ret + at, SYS_PATH_MAX - at);
    return 0;
}
