/* The disk of the simulated file system: what was synced, what a crash leaves,
 * devices, and the beginning of each call.
 *
 * Changes of names are kept in a list until their directory is synced. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sim_files.h"

/* Changes that reach the disk together. */
struct operation {
    struct operation *next;
    struct sim_change changes[2];
    int count;
    bool is_kept;
};

struct device {
    struct sim_device options;
    struct device *next;
};

static struct operation *operations, **last_operation = &operations;
static struct device *devices;
static uint64_t devices_made;
static int64_t size_max;
static bool may_stop;
static unsigned left; /* If it may stop: changes until then. */
static unsigned blocking_calls;
static pthread_t main_flow;

/* Calls. */

void sim_file_size_max(int64_t size)
{
    size_max = size < 0 ? INT64_MAX : size;
}

int64_t sim__file_size_max(void)
{
    return size_max;
}

void sim_file_stop_after(unsigned count)
{
    may_stop = true;
    left = count;
}

bool sim_file_has_stopped(void)
{
    return may_stop && left == 0;
}

unsigned sim_file_blocking_calls(void)
{
    return blocking_calls;
}

bool sim__may_sleep(void)
{
    return !pthread_equal(pthread_self(), main_flow);
}

void sim__take_time(void)
{
    int64_t max_ns = sim__world.options.file_delay_max_ns;

    if (!sim__may_sleep())
        blocking_calls++;
    else if (max_ns > 0)
        sim__thread_sleep((int64_t) sim_random((uint64_t) max_ns + 1));
}

int sim__enter_file(enum sim_call call, enum sim_file_call kind)
{
    int fault = sim__enter(call);

    if (kind != SIM_CACHED)
        sim__take_time();
    if (fault < 0 || kind != SIM_CHANGES || !may_stop)
        return fault;
    if (left == 0)
        return -EIO;
    left--;
    return 0;
}

/* Devices. */

static struct sim_device *add_device(void)
{
    struct device *device = sim__allocate(NULL, sizeof *device);

    *device = (struct device){
        .options = {.id = devices_made + 1,
                    .mount = (1u << 31) + devices_made,
                    .clone_error = -EOPNOTSUPP},
        .next = devices,
    };
    devices = device;
    devices_made++;
    return &device->options;
}

bool sim__has_space(const struct sim_device *device)
{
    uint64_t used = 0;

    if (device->size_max == 0)
        return true;
    for (struct sim_node *node = sim__nodes; node != NULL; node = node->next)
        if (node->device == device)
            used += node->data.count * SIM_BLOCK;
    return used + SIM_BLOCK <= device->size_max;
}

int aloop__sys_mount_is_local(uint64_t mount)
{
    int error = sim__enter_file(CALL_sys_mount_is_local, SIM_CACHED);
    const struct device *device = devices;

    if (error < 0 || sim__world.options.has_old_kernel)
        return error < 0 ? error : -ENOSYS;
    while (device != NULL && device->options.mount != mount)
        device = device->next;
    return device == NULL ? -ENOENT : device->options.is_local;
}

/* Names. */

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(sim__allocate(NULL, size), text, size);
}

void sim__change_names(const struct sim_change *changes, int count)
{
    struct operation *operation = sim__allocate(NULL, sizeof *operation);

    *operation = (struct operation){.count = count};
    for (int i = 0; i < count; i++) {
        sim__names_set(&changes[i].dir->names, changes[i].name,
                       changes[i].node);
        sim__node_touch(changes[i].dir, true);
        operation->changes[i] = changes[i];
        operation->changes[i].name = copy_text(changes[i].name);
    }
    *last_operation = operation;
    last_operation = &operation->next;
}

static bool changes_dir(const struct operation *operation,
                        const struct sim_node *dir)
{
    for (int i = 0; i < operation->count; i++)
        if (operation->changes[i].dir == dir)
            return true;
    return false;
}

static bool share_a_dir(const struct operation *a, const struct operation *b)
{
    for (int i = 0; i < a->count; i++)
        if (changes_dir(b, a->changes[i].dir))
            return true;
    return false;
}

/* Keeps what precedes a kept operation in one of its directories. */
static void keep_earlier(void)
{
    bool has_changed = true;

    while (has_changed) {
        has_changed = false;
        for (struct operation *a = operations; a != NULL; a = a->next)
            for (struct operation *b = a->next; b != NULL; b = b->next)
                if (!a->is_kept && b->is_kept && share_a_dir(a, b))
                    a->is_kept = has_changed = true;
    }
}

static void free_operation(struct operation **at)
{
    struct operation *operation = *at;

    *at = operation->next;
    if (*at == NULL)
        last_operation = at;
    for (int i = 0; i < operation->count; i++)
        free(operation->changes[i].name);
    free(operation);
}

/* Writes the kept operations to the disk. */
static void write_kept(void)
{
    for (struct operation **at = &operations; *at != NULL;) {
        struct operation *operation = *at;

        if (!operation->is_kept) {
            at = &operation->next;
            continue;
        }
        for (int i = 0; i < operation->count; i++)
            sim__names_set(&operation->changes[i].dir->disk_names,
                           operation->changes[i].name,
                           operation->changes[i].node);
        free_operation(at);
    }
}

/* A sync that has failed leaves the data marked as clean, so that a later one
 * writes nothing.  Such a fault has returned earlier. */
void sim__sync(struct sim_node *node)
{
    if (node->is_dirty)
        sim__data_copy(&node->disk, &node->data);
    node->is_dirty = false;
    if (node->type != ALOOP_FILE_DIRECTORY)
        return;
    for (struct operation *at = operations; at != NULL; at = at->next)
        at->is_kept = changes_dir(at, node);
    keep_earlier();
    write_kept();
}

/* The crash. */

enum fate { OLD, NEW, MIXED };

/* Replaces some blocks of the old content with new ones, or with zeros where
 * the old one had none. */
static void mix(struct sim_node *node)
{
    struct sim_data mixed = {.mode = node->disk.mode};

    sim__data_copy(&mixed, &node->disk);
    if (sim_random(2) == 0)
        mixed.mode = node->data.mode;
    if (sim_random(2) == 0)
        sim__data_cut(&mixed, node->data.size);
    for (size_t i = 0; i < node->data.count; i++) {
        const struct sim_block *block = node->data.blocks[i];

        if (sim_random(2) == 0 && block->index * SIM_BLOCK < mixed.size)
            *sim__block_make(&mixed, block->index) = *block;
    }
    mixed.size++; /* Clears what is behind the size in the last block. */
    sim__data_cut(&mixed, mixed.size - 1);
    sim__data_free(&node->data);
    node->data = mixed;
}

static void crash_data(struct sim_node *node, enum fate fate)
{
    if (fate == MIXED)
        fate = (enum fate) sim_random(3);
    if (!node->is_dirty || fate == OLD)
        sim__data_copy(&node->data, &node->disk);
    else if (fate == MIXED)
        mix(node);
    sim__data_copy(&node->disk, &node->data);
    node->is_dirty = false;
}

static void crash_names(enum fate fate)
{
    struct operation *at;

    for (at = operations; at != NULL; at = at->next)
        at->is_kept = fate == NEW || (fate == MIXED && sim_random(4) > 0);
    /* Nothing is kept after the first change of a directory that is lost. */
    for (at = operations; at != NULL; at = at->next)
        for (struct operation *after = at->next; after != NULL && !at->is_kept;
             after = after->next)
            if (share_a_dir(at, after))
                after->is_kept = false;
    write_kept();
    while (operations != NULL)
        free_operation(&operations);
}

static void restore_names(struct sim_node *dir)
{
    sim__names_free(&dir->names);
    for (size_t i = 0; i < dir->disk_names.count; i++)
        sim__names_set(&dir->names, dir->disk_names.entries[i].name,
                       dir->disk_names.entries[i].node);
}

/* Counts the links to all that can be reached from a directory. */
static void count_links(struct sim_node *dir)
{
    dir->links += 2;
    for (size_t i = 0; i < dir->names.count; i++) {
        struct sim_node *node = dir->names.entries[i].node;

        if (node->type != ALOOP_FILE_DIRECTORY) {
            node->links++;
            continue;
        }
        node->parent = dir;
        dir->links++;
        count_links(node);
    }
}

void sim_file_crash(void)
{
    enum fate fate = (enum fate) sim_random(3);

    sim__trace(fate);
    may_stop = false;
    crash_names(fate);
    for (struct sim_node *node = sim__nodes; node != NULL; node = node->next) {
        crash_data(node, fate);
        restore_names(node);
        node->links = 0;
    }
    count_links(sim__root);
    for (struct sim_node *node = sim__nodes; node != NULL; node = node->next)
        sim__node_release(node);
}

/* Tests. */

/* Finds a node without faults.  Creates it, and the directories that it is in,
 * if a type is given. */
static struct sim_node *node_at(const char *path, aloop_file_type type)
{
    char part[SYS_PATH_MAX];
    struct sim_walk walk = {0};

    for (size_t i = 1; type != ALOOP_FILE_UNKNOWN; i++) {
        bool is_last = path[i] == '\0';

        if (!is_last && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (sim__walk(SYS_CWD, part, true, &walk) < 0)
            abort(); /* The test is wrong. */
        if (walk.node == NULL)
            walk.node =
                sim__create(&walk, is_last ? type : ALOOP_FILE_DIRECTORY, 0755);
        sim__sync(walk.parent);
        if (is_last)
            return walk.node;
    }
    return sim__find(SYS_CWD, path, true, &walk) < 0 ? NULL : walk.node;
}

struct sim_device *sim_device(const char *path)
{
    const struct sim_node *node = node_at(path, ALOOP_FILE_UNKNOWN);

    return node != NULL ? node->device : NULL;
}

struct sim_device *sim_mount(const char *path)
{
    struct sim_node *node = node_at(path, ALOOP_FILE_DIRECTORY);

    node->device = add_device();
    return node->device;
}

static void put_content(struct sim_node *node, const void *data, size_t size)
{
    const unsigned char *bytes = data;

    sim__data_cut(&node->data, 0);
    for (size_t at = 0; at < size; at += SIM_BLOCK)
        memcpy(sim__block_make(&node->data, (int64_t) (at / SIM_BLOCK))->bytes,
               bytes + at, size - at < SIM_BLOCK ? size - at : SIM_BLOCK);
    node->data.size = (int64_t) size;
    node->is_dirty = true;
    sim__sync(node);
}

void sim_file_put(const char *path, const void *data, size_t size)
{
    put_content(node_at(path, ALOOP_FILE_REGULAR), data, size);
}

void sim_file_slow(const char *path, const void *data, size_t size)
{
    struct sim_node *node = node_at(path, ALOOP_FILE_CHARACTER);

    node->is_slow = true;
    put_content(node, data, size);
}

void sim_file_fifo(const char *path)
{
    node_at(path, ALOOP_FILE_FIFO);
}

void sim_file_null(const char *path)
{
    node_at(path, ALOOP_FILE_CHARACTER);
}

void sim_file_mkdir(const char *path)
{
    node_at(path, ALOOP_FILE_DIRECTORY);
}

ssize_t sim_file_get(const char *path, void *buffer, size_t size)
{
    const struct sim_node *node = node_at(path, ALOOP_FILE_UNKNOWN);
    unsigned char *bytes = buffer;

    if (node == NULL)
        return -ENOENT;
    if (node->type == ALOOP_FILE_DIRECTORY)
        return -EISDIR;
    for (size_t at = 0; at < size && (int64_t) at < node->data.size; at++) {
        const struct sim_block *block =
            sim__block(&node->data, (int64_t) (at / SIM_BLOCK));

        bytes[at] = block != NULL ? block->bytes[at % SIM_BLOCK] : 0;
    }
    return (ssize_t) node->data.size;
}

static unsigned count_names(const struct sim_node *dir)
{
    unsigned count = 0;

    for (size_t i = 0; i < dir->names.count; i++)
        count += 1 + count_names(dir->names.entries[i].node);
    return count;
}

unsigned sim_file_count(const char *path)
{
    const struct sim_node *node = node_at(path, ALOOP_FILE_UNKNOWN);

    return node != NULL ? count_names(node) : 0;
}

unsigned sim_file_descriptors(void)
{
    unsigned count = 0;

    for (struct sim_node *node = sim__nodes; node != NULL; node = node->next)
        count += node->opens;
    return count;
}

void sim_file_evict(const char *path)
{
    struct sim_node *node = node_at(path, ALOOP_FILE_UNKNOWN);

    for (size_t i = 0; node != NULL && i < node->data.count; i++)
        node->data.blocks[i]->cached_ns = INT64_MAX;
}

void sim__disk_begin(void)
{
    size_max = INT64_MAX;
    main_flow = pthread_self();
    sim__root = sim__node_new(NULL, ALOOP_FILE_DIRECTORY, 0755);
    sim__root->device = add_device();
    sim__root->parent = sim__root;
    sim__root->links = 2;
    sim_file_mkdir("/tmp");
}

void sim__disk_end(void)
{
    while (operations != NULL)
        free_operation(&operations);
    last_operation = &operations;
    sim__tree_end();
    while (devices != NULL) {
        struct device *device = devices;

        devices = device->next;
        free(device);
    }
    devices_made = 0;
    may_stop = false;
    left = blocking_calls = 0;
}
