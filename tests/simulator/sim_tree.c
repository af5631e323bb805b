/* Nodes, the names of directories, and paths. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim_files.h"

enum { LINKS_MAX = 40, MODE_MASK = 0022 };

static const int64_t EPOCH_NS = 1700000000000000000; /* In the year 2023. */

struct sim_node *sim__root;
struct sim_node *sim__nodes;
static uint64_t last_inode;
static uint64_t last_order;
static uint32_t user;

void sim_file_user(uint32_t user_now)
{
    user = user_now;
}

bool sim__is_root(void)
{
    return user == 0;
}

bool sim__is_owner(const struct sim_node *node)
{
    return user == 0 || user == node->user;
}

void sim__node_touch(struct sim_node *node, bool has_new_data)
{
    node->changed_ns = EPOCH_NS + sim__world.now_ns;
    if (has_new_data)
        node->modified_ns = node->changed_ns;
}

struct sim_node *sim__node_new(const struct sim_node *parent,
                               aloop_file_type type, unsigned mode)
{
    struct sim_node *node = sim__allocate(NULL, sizeof *node);

    *node = (struct sim_node){
        .next = sim__nodes,
        .inode = ++last_inode,
        .device = parent != NULL ? parent->device : NULL,
        .type = type,
        .user = user,
        .group = user,
    };
    node->data.mode = node->disk.mode = mode;
    sim__node_touch(node, true);
    node->accessed_ns = node->modified_ns;
    sim__nodes = node;
    return node;
}

void sim__node_release(struct sim_node *node)
{
    if (node->links > 0 || node->opens > 0)
        return;
    sim__data_free(&node->data);
    node->is_dirty = false;
}

/* `access` is a combination of R_OK, W_OK and X_OK. */
bool sim__node_may(const struct sim_node *node, int access)
{
    unsigned mode = node->data.mode, wanted = (unsigned) access & 7;

    if (user == 0)
        return (access & X_OK) == 0 || node->type == ALOOP_FILE_DIRECTORY ||
               (mode & 0111) != 0;
    if (user == node->user)
        mode >>= 6;
    else if (user == node->group)
        mode >>= 3;
    return (mode & wanted) == wanted;
}

struct sim_entry *sim__names_find(const struct sim_names *names,
                                  const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].name, name) == 0)
            return &names->entries[i];
    return NULL;
}

static void remove_entry(struct sim_names *names, struct sim_entry *entry)
{
    size_t after = (size_t) (names->entries + names->count - entry) - 1;

    free(entry->name);
    memmove(entry, entry + 1, after * sizeof *entry);
    names->count--;
}

/* New names are last, or at random places if the world is random. */
static void add_entry(struct sim_names *names, const char *name,
                      struct sim_node *node)
{
    uint64_t order = ++last_order << 32;
    size_t at, size = strlen(name) + 1;

    if (sim__world.options.is_shuffled)
        order = sim_random(UINT64_MAX - 1) + 1;
    if (names->count == names->capacity) {
        names->capacity = 2 * names->capacity + 4;
        names->entries = sim__allocate(
            names->entries, names->capacity * sizeof names->entries[0]);
    }
    for (at = names->count; at > 0; at--) {
        if (names->entries[at - 1].order < order)
            break;
        names->entries[at] = names->entries[at - 1];
    }
    names->entries[at] =
        (struct sim_entry){order, node, sim__allocate(NULL, size)};
    memcpy(names->entries[at].name, name, size);
    names->count++;
}

void sim__names_set(struct sim_names *names, const char *name,
                    struct sim_node *node)
{
    struct sim_entry *entry = sim__names_find(names, name);

    if (node == NULL && entry != NULL)
        remove_entry(names, entry);
    else if (node != NULL && entry != NULL)
        entry->node = node;
    else if (node != NULL)
        add_entry(names, name, node);
}

void sim__names_free(struct sim_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->entries[i].name);
    free(names->entries);
    *names = (struct sim_names){0};
}

/* A walk in progress. */
struct walker {
    struct sim_node *at;             /* The directory. */
    char rest[2 * SYS_PATH_MAX + 2]; /* What is left of the path. */
    char *next;                      /* In `rest`. */
    unsigned links;                  /* That were followed. */
};

static int begin_walk(struct walker *walker, int dir, const char *path)
{
    size_t length = strlen(path);
    int error = 0;

    if (length == 0)
        return -ENOENT;
    if (length >= SYS_PATH_MAX)
        return -ENAMETOOLONG;
    walker->at = sim__root;
    if (path[0] != '/' && dir != SYS_CWD)
        walker->at = sim__node_of(dir, &error);
    if (error < 0)
        return error;
    if (walker->at->type != ALOOP_FILE_DIRECTORY)
        return -ENOTDIR;
    memcpy(walker->rest, path, length + 1);
    walker->next = walker->rest;
    walker->links = 0;
    return 0;
}

/* Continues with the target of a link, followed by the rest of the path. */
static int follow(struct walker *walker, const struct sim_node *link)
{
    size_t length = strlen(link->target), left = strlen(walker->next);

    if (++walker->links > LINKS_MAX)
        return -ELOOP;
    if (length + left >= sizeof walker->rest)
        return -ENAMETOOLONG;
    memmove(walker->rest + length, walker->next, left + 1);
    memcpy(walker->rest, link->target, length);
    walker->next = walker->rest;
    if (link->target[0] == '/')
        walker->at = sim__root;
    return 0;
}

/* Takes the next name of the path.  Returns its length; 0: the path is over. */
static int take_name(struct walker *walker, struct sim_walk *walk)
{
    size_t length;

    walker->next += strspn(walker->next, "/");
    length = strcspn(walker->next, "/");
    if (length >= SIM_NAME_SIZE)
        return -ENAMETOOLONG;
    memcpy(walk->name, walker->next, length);
    walk->name[length] = '\0';
    walker->next += length;
    walk->has_slash = *walker->next == '/';
    return (int) length;
}

static struct sim_node *look_up(const struct sim_node *dir, const char *name)
{
    const struct sim_entry *entry;

    if (strcmp(name, ".") == 0)
        return (struct sim_node *) dir;
    if (strcmp(name, "..") == 0)
        return dir->parent;
    entry = sim__names_find(&dir->names, name);
    return entry != NULL ? entry->node : NULL;
}

/* Returns 1 at the end of the walk, and 0 if it continues. */
static int step(struct walker *walker, bool is_followed, struct sim_walk *walk)
{
    int length = take_name(walker, walk);
    bool is_last = walker->next[strspn(walker->next, "/")] == '\0';
    struct sim_node *node;

    if (length < 0)
        return length;
    if (walker->at->type != ALOOP_FILE_DIRECTORY)
        return -ENOTDIR;
    if (length == 0) { /* "/", or a link to it. */
        walk->parent = walk->node = walker->at;
        return 1;
    }
    if (!sim__node_may(walker->at, X_OK))
        return -EACCES;
    node = look_up(walker->at, walk->name);
    if (node != NULL && node->type == ALOOP_FILE_LINK &&
        (!is_last || is_followed || walk->has_slash))
        return follow(walker, node);
    if (node == NULL && !is_last)
        return -ENOENT;
    if (node != NULL && node->type != ALOOP_FILE_DIRECTORY && walk->has_slash)
        return -ENOTDIR;
    walk->parent = walker->at;
    walk->node = node;
    if (node != NULL)
        walker->at = node;
    return is_last;
}

int sim__walk(int dir, const char *path, bool is_followed, struct sim_walk *ret)
{
    struct walker walker;
    int result = begin_walk(&walker, dir, path);

    *ret = (struct sim_walk){0};
    while (result == 0)
        result = step(&walker, is_followed, ret);
    sim__trace(result);
    return result < 0 ? result : 0;
}

int sim__find(int dir, const char *path, bool is_followed, struct sim_walk *ret)
{
    int error = sim__walk(dir, path, is_followed, ret);

    return error == 0 && ret->node == NULL ? -ENOENT : error;
}

int sim__may_change(const struct sim_node *dir)
{
    if (dir->links == 0)
        return -ENOENT; /* It was removed. */
    if (dir->device->is_read_only)
        return -EROFS;
    return sim__node_may(dir, W_OK | X_OK) ? 0 : -EACCES;
}

struct sim_node *sim__create(const struct sim_walk *walk, aloop_file_type type,
                             unsigned mode)
{
    struct sim_node *node =
        sim__node_new(walk->parent, type, mode & 07777 & ~(unsigned) MODE_MASK);

    node->links = 1;
    if (type == ALOOP_FILE_DIRECTORY) {
        node->links = 2;
        node->parent = walk->parent;
        walk->parent->links++;
    }
    sim__change_names(
        &(struct sim_change){walk->parent, (char *) walk->name, node}, 1);
    return node;
}

void sim__tree_end(void)
{
    while (sim__nodes != NULL) {
        struct sim_node *node = sim__nodes;

        sim__nodes = node->next;
        sim__data_free(&node->data);
        sim__data_free(&node->disk);
        sim__names_free(&node->names);
        sim__names_free(&node->disk_names);
        free(node->target);
        free(node->bytes);
        free(node);
    }
    sim__root = NULL;
    last_inode = last_order = 0;
    user = 0;
}
