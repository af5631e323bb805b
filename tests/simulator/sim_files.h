/* Inside the simulated file system: shared by its files. */

#ifndef SIM_FILES_H
#define SIM_FILES_H

#include "os/sys_file.h"
#include "sim_file.h"
#include "sim_world.h"

enum { SIM_BLOCK = 4096, SIM_FIFO_SIZE = 65536, SIM_NAME_SIZE = 256 };

/* sim_data.c: the content of regular files, which may have holes. */

struct sim_block {
    int64_t index;
    int64_t cached_ns; /* From this time on it is in the page cache. */
    unsigned char bytes[SIM_BLOCK];
};

struct sim_data {
    int64_t size;
    unsigned mode;             /* Permissions are synced with the data. */
    struct sim_block **blocks; /* In order. */
    size_t count, capacity;
};

/* Returns NULL for a hole. */
struct sim_block *sim__block(const struct sim_data *data, int64_t index);
struct sim_block *sim__block_make(struct sim_data *data, int64_t index);
/* Returns the first block with this index or a larger one, or NULL. */
struct sim_block *sim__block_from(const struct sim_data *data, int64_t index);
void sim__data_copy(struct sim_data *to, const struct sim_data *from);
void sim__data_cut(struct sim_data *data, int64_t size);
void sim__data_free(struct sim_data *data);

/* sim_tree.c: nodes, names and paths. */

struct sim_node;

struct sim_entry {
    uint64_t order; /* Directories list their entries in this order. */
    struct sim_node *node;
    char *name;
};

struct sim_names {
    struct sim_entry *entries; /* In order. */
    size_t count, capacity;
};

/* A file of any type.  Nodes exist until the world ends. */
struct sim_node {
    struct sim_node *next;
    uint64_t inode;
    struct sim_device *device;
    aloop_file_type type;
    unsigned links, opens;
    uint32_t user, group;
    int64_t accessed_ns, modified_ns, changed_ns;

    struct sim_data data; /* Also the mode of all other types. */
    struct sim_data disk; /* What was synced. */
    bool is_dirty;
    bool is_slow; /* Of a device: it has content, and its calls block. */

    struct sim_node *parent; /* Of a directory. */
    struct sim_names names;
    struct sim_names disk_names;

    char *target; /* Of a link. */

    const struct sim_file *locker; /* Who holds the lock, or NULL. */
    bool is_locked_outside;        /* By another program. */

    /* Of a FIFO: */
    unsigned readers, writers;
    bool had_writer; /* Since the last reader has opened it. */
    unsigned char *bytes;
    size_t used;
};

/* Returns whether the node is a device that is always ready, as /dev/null. */
static inline bool sim__is_null(const struct sim_node *node)
{
    return node->type == ALOOP_FILE_CHARACTER && !node->is_slow;
}

extern struct sim_node *sim__root;
extern struct sim_node *sim__nodes; /* All. */

struct sim_node *sim__node_new(const struct sim_node *parent,
                               aloop_file_type type, unsigned mode);
void sim__node_touch(struct sim_node *node, bool has_new_data);
/* Frees the content of a node without names and descriptors. */
void sim__node_release(struct sim_node *node);
bool sim__node_may(const struct sim_node *node, int access);
bool sim__is_root(void);
bool sim__is_owner(const struct sim_node *node); /* Also root. */
struct sim_entry *sim__names_find(const struct sim_names *names,
                                  const char *name);
/* Adds or replaces a name.  A NULL node removes it. */
void sim__names_set(struct sim_names *names, const char *name,
                    struct sim_node *node);
void sim__names_free(struct sim_names *names);

/* The result of walking along a path. */
struct sim_walk {
    struct sim_node *parent;
    struct sim_node *node;    /* NULL if the last name does not exist. */
    char name[SIM_NAME_SIZE]; /* The last one; "" for "/". */
    bool has_slash;           /* At the end. */
};

/* Returns an error unless all but the last name exist. */
int sim__walk(int dir, const char *path, bool is_followed,
              struct sim_walk *ret);
/* Returns -ENOENT also if the last name does not exist. */
int sim__find(int dir, const char *path, bool is_followed,
              struct sim_walk *ret);
/* Returns whether names may be added to and removed from the directory. */
int sim__may_change(const struct sim_node *dir);
/* Creates a node with the name that the walk has not found. */
struct sim_node *sim__create(const struct sim_walk *walk, aloop_file_type type,
                             unsigned mode);
void sim__tree_end(void);

/* sim_disk.c: changes, what is on the disk, and calls. */

/* A change of one directory. */
struct sim_change {
    struct sim_node *dir;
    char *name;
    struct sim_node *node; /* NULL: removed. */
};

/* Applies changes, which reach the disk together. */
void sim__change_names(const struct sim_change *changes, int count);
void sim__sync(struct sim_node *node);
/* Returns whether a block can be added to the device. */
bool sim__has_space(const struct sim_device *device);

enum sim_file_call { SIM_CACHED, SIM_LOOKS, SIM_CHANGES };

/* Begins each call: counts it, and lets time pass.  Returns 0, or the error of
 * a fault. */
int sim__enter_file(enum sim_call call, enum sim_file_call kind);
/* Lets the time of a call pass that may wait for a disk. */
void sim__take_time(void);
/* Returns whether the caller is a thread, which can sleep. */
bool sim__may_sleep(void);
int64_t sim__file_size_max(void); /* INT64_MAX: no limit. */

/* sim_fifo.c */

int sim__fifo_open(struct sim_node *node, int flags);
void sim__fifo_gone(struct sim_node *node, int flags);
ssize_t sim__fifo_read(const struct sim_file *file, void *buffer, size_t size);
ssize_t sim__fifo_write(const struct sim_file *file,
                        const struct sys_piece *pieces, size_t count);

/* sim_file.c */

/* Opens what the walk has found. */
int sim__open_node(struct sim_node *node, int flags);
size_t sim__size_of(const struct sys_piece *pieces, size_t count);
/* Returns the node of a descriptor, or NULL and an error. */
struct sim_node *sim__node_of(int fd, int *ret_error);
/* Both may return less than `size`; the first one only at the end. */
size_t sim__read_node(struct sim_node *node, void *buffer, size_t size,
                      int64_t offset);
/* Reads what is in the page cache.  -EAGAIN: the first byte is not. */
ssize_t sim__read_cached(const struct sim_file *file, void *buffer, size_t size,
                         int64_t offset);
ssize_t sim__write_node(struct sim_node *node, const void *data, size_t size,
                        int64_t offset);

#endif
