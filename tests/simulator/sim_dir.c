/* Directories that are listed, and random bytes. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_files.h"

struct sys_dir {
    int fd;
    uint64_t last; /* The order of the last entry that was read. */
};

int aloop__sys_dir_open(int fd, struct sys_dir **ret)
{
    int error = sim__enter_file(CALL_sys_dir_open, SIM_LOOKS);
    const struct sim_node *node = NULL;

    if (fd < 0)
        return error < 0 ? error : -EBADF;
    if (error == 0)
        node = sim__node_of(fd, &error);
    if (node != NULL && node->type != ALOOP_FILE_DIRECTORY)
        error = -ENOTDIR;
    if (error < 0) {
        sim__fd_close(fd);
        return error;
    }
    *ret = sim__allocate(NULL, sizeof **ret);
    **ret = (struct sys_dir){.fd = fd};
    return 0;
}

int aloop__sys_dir_fd(const struct sys_dir *dir)
{
    sim__note(CALL_sys_dir_fd);
    return dir->fd;
}

/* An entry that is removed or added meanwhile affects no other one. */
static const struct sim_entry *next_entry(const struct sim_names *names,
                                          uint64_t last)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->entries[i].order > last)
            return &names->entries[i];
    return NULL;
}

int aloop__sys_dir_read(struct sys_dir *dir, struct sys_dir_entry *ret)
{
    int error = sim__enter_file(CALL_sys_dir_read, SIM_LOOKS);
    const struct sim_node *node = NULL;
    const struct sim_entry *entry;

    if (error == 0)
        node = sim__node_of(dir->fd, &error);
    if (node == NULL)
        return error;
    entry = next_entry(&node->names, dir->last);
    if (entry == NULL)
        return 0;
    dir->last = entry->order;
    ret->type = node->device->has_no_types ? ALOOP_FILE_UNKNOWN
                                           : entry->node->type;
    ret->inode = entry->node->inode;
    memcpy(ret->name, entry->name, strlen(entry->name) + 1);
    sim__trace_bytes(ret->name, strlen(ret->name));
    return 1;
}

void aloop__sys_dir_rewind(struct sys_dir *dir)
{
    sim__note(CALL_sys_dir_rewind);
    dir->last = 0;
}

void aloop__sys_dir_close(struct sys_dir *dir)
{
    sim__note(CALL_sys_dir_close);
    sim__fd_close(dir->fd);
    free(dir);
}

void aloop__sys_dir_forget(struct sys_dir *dir)
{
    sim__note(CALL_sys_dir_forget);
    sim__fd_close(dir->fd);
    free(dir);
}

int aloop__sys_random(void *buffer, size_t size)
{
    int error = sim__enter_file(CALL_sys_random, SIM_CACHED);
    unsigned char *bytes = buffer;

    for (size_t i = 0; i < size && error == 0; i++)
        bytes[i] = (unsigned char) sim_random(256);
    return error;
}
