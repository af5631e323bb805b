/* The functions of os/sys_file.h that change names. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_files.h"

static bool is_mounted(const struct sim_node *node)
{
    return node->device != node->parent->device || node == sim__root;
}

/* Begins a call that changes the name at the end of a path.  Returns an error
 * unless the name can be changed; whether it exists is left to the caller. */
static int enter_name(enum sim_call call, int dir, const char *path,
                      struct sim_walk *ret)
{
    int error = sim__enter_file(call, SIM_CHANGES);

    if (error == 0)
        error = sim__walk(dir, path, false, ret);
    return error;
}

static bool is_dots(const struct sim_walk *walk)
{
    return walk->name[0] == '\0' || strcmp(walk->name, ".") == 0 ||
           strcmp(walk->name, "..") == 0;
}

static void remove_name(const struct sim_walk *walk)
{
    struct sim_node *node = walk->node;

    sim__change_names(
        &(struct sim_change){walk->parent, (char *) walk->name, NULL}, 1);
    node->links--;
    if (node->type == ALOOP_FILE_DIRECTORY) {
        node->links = 0;
        walk->parent->links--;
    }
    sim__node_touch(node, false);
    sim__node_release(node);
}

int aloop__sys_unlinkat(int dir, const char *path)
{
    struct sim_walk walk;
    int error = enter_name(CALL_sys_unlinkat, dir, path, &walk);

    if (error == 0 && walk.node == NULL)
        error = -ENOENT;
    if (error == 0 && walk.node->type == ALOOP_FILE_DIRECTORY)
        error = -EISDIR;
    if (error == 0)
        error = sim__may_change(walk.parent);
    if (error == 0)
        remove_name(&walk);
    return error;
}

int aloop__sys_rmdirat(int dir, const char *path)
{
    struct sim_walk walk;
    int error = enter_name(CALL_sys_rmdirat, dir, path, &walk);

    if (error < 0)
        return error;
    if (walk.node == NULL)
        return -ENOENT;
    if (walk.node->type != ALOOP_FILE_DIRECTORY)
        return -ENOTDIR;
    if (strcmp(walk.name, ".") == 0)
        return -EINVAL;
    if (is_mounted(walk.node))
        return -EBUSY;
    if (walk.node->names.count > 0 || strcmp(walk.name, "..") == 0)
        return -ENOTEMPTY;
    error = sim__may_change(walk.parent);
    if (error == 0)
        remove_name(&walk);
    return error;
}

/* Begins a call that creates the name at the end of a path. */
static int enter_new(enum sim_call call, int dir, const char *path,
                     struct sim_walk *ret)
{
    int error = enter_name(call, dir, path, ret);

    if (error == 0 && ret->node != NULL)
        error = -EEXIST;
    return error == 0 ? sim__may_change(ret->parent) : error;
}

int aloop__sys_mkdirat(int dir, const char *path, unsigned mode)
{
    struct sim_walk walk;
    int error = enter_new(CALL_sys_mkdirat, dir, path, &walk);

    if (error == 0)
        sim__create(&walk, ALOOP_FILE_DIRECTORY, mode);
    return error;
}

int aloop__sys_symlinkat(const char *target, int dir, const char *path)
{
    struct sim_walk walk;
    size_t size = strlen(target) + 1;
    int error = enter_new(CALL_sys_symlinkat, dir, path, &walk);
    struct sim_node *node;

    if (error == 0 && (size == 1 || walk.has_slash))
        error = -ENOENT;
    if (error == 0 && size > SYS_PATH_MAX)
        error = -ENAMETOOLONG;
    if (error < 0)
        return error;
    node = sim__create(&walk, ALOOP_FILE_LINK, 0777);
    node->data.mode = node->disk.mode = 0777;
    node->target = memcpy(sim__allocate(NULL, size), target, size);
    return 0;
}

int aloop__sys_linkat(int from_dir, const char *from, int to_dir,
                      const char *to)
{
    struct sim_walk source, target;
    int error = enter_name(CALL_sys_linkat, from_dir, from, &source);

    if (error == 0 && source.node == NULL)
        error = -ENOENT;
    if (error == 0)
        error = sim__walk(to_dir, to, false, &target);
    if (error < 0)
        return error;
    if (target.node != NULL)
        return -EEXIST;
    if (target.has_slash)
        return -ENOENT;
    if (target.parent->device != source.node->device)
        return -EXDEV;
    error = sim__may_change(target.parent);
    if (error == 0 && source.node->type == ALOOP_FILE_DIRECTORY)
        error = -EPERM;
    if (error < 0)
        return error;
    source.node->links++;
    sim__node_touch(source.node, false);
    sim__change_names(
        &(struct sim_change){target.parent, target.name, source.node}, 1);
    return 0;
}

static bool is_inside(const struct sim_node *dir, const struct sim_node *of)
{
    while (dir != of && dir != sim__root)
        dir = dir->parent;
    return dir == of;
}

/* Whether the target may be replaced. */
static int check_target(const struct sim_walk *source,
                        const struct sim_walk *target)
{
    bool is_dir = source->node->type == ALOOP_FILE_DIRECTORY;

    if (is_dir && is_inside(target->parent, source->node))
        return -EINVAL;
    if (target->node == NULL)
        return target->has_slash && !is_dir ? -ENOTDIR : 0;
    if (target->node->type == ALOOP_FILE_DIRECTORY &&
        is_inside(source->parent, target->node))
        return -ENOTEMPTY;
    if (is_dir && target->node->type != ALOOP_FILE_DIRECTORY)
        return -ENOTDIR;
    if (!is_dir && target->node->type == ALOOP_FILE_DIRECTORY)
        return -EISDIR;
    if (is_dir && is_mounted(target->node))
        return -EBUSY;
    return target->node->names.count > 0 ? -ENOTEMPTY : 0;
}

static void move(struct sim_walk *source, struct sim_walk *target)
{
    struct sim_node *node = source->node, *replaced = target->node;
    struct sim_change changes[] = {
        {source->parent, source->name, NULL},
        {target->parent, target->name, node},
    };

    sim__change_names(changes, 2);
    if (replaced != NULL) {
        bool is_dir = replaced->type == ALOOP_FILE_DIRECTORY;

        replaced->links = is_dir ? 0 : replaced->links - 1;
        target->parent->links -= is_dir;
        sim__node_touch(replaced, false);
        sim__node_release(replaced);
    }
    if (node->type == ALOOP_FILE_DIRECTORY) {
        source->parent->links--;
        target->parent->links++;
        node->parent = target->parent;
    }
    sim__node_touch(node, false);
}

int aloop__sys_renameat(int from_dir, const char *from, int to_dir,
                        const char *to)
{
    struct sim_walk source, target;
    int error = enter_name(CALL_sys_renameat, from_dir, from, &source);

    if (error == 0)
        error = sim__walk(to_dir, to, false, &target);
    if (error < 0)
        return error;
    if (source.parent->device != target.parent->device)
        return -EXDEV;
    if (is_dots(&source) || is_dots(&target))
        return -EBUSY;
    if (source.node == NULL)
        return -ENOENT;
    error = sim__may_change(source.parent);
    if (error == 0)
        error = sim__may_change(target.parent);
    if (error == 0)
        error = check_target(&source, &target);
    if (error == 0 && source.node->type == ALOOP_FILE_DIRECTORY &&
        is_mounted(source.node))
        error = -EBUSY;
    if (error == 0 && source.node != target.node)
        move(&source, &target);
    return error;
}
