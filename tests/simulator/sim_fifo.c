/* FIFOs: a buffer between all readers and all writers.  A blocking call waits
 * in steps, and fails on the main flow, which it would block indefinitely. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sim_files.h"

enum { STEP_NS = 1000000, ATOMIC_SIZE = 4096 };

/* Returns whether the caller may look again.  `*ret_error` is the result if
 * not. */
static bool wait_step(int flags, int nonblocking_error, int *ret_error)
{
    *ret_error = nonblocking_error;
    if ((flags & O_NONBLOCK) != 0)
        return false;
    if (!sim__may_sleep()) {
        sim__world.bad_uses++;
        *ret_error = -EDEADLK;
        return false;
    }
    sim__thread_sleep(STEP_NS);
    return true;
}

static bool is_reader(int flags)
{
    return (flags & O_ACCMODE) != O_WRONLY;
}

static bool is_writer(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

int sim__fifo_open(struct sim_node *node, int flags)
{
    bool can_read = is_reader(flags), can_write = is_writer(flags);
    int error = 0;

    if (can_write && !can_read && node->readers == 0 &&
        (flags & O_NONBLOCK) != 0)
        return -ENXIO;
    if (node->bytes == NULL)
        node->bytes = sim__allocate(NULL, SIM_FIFO_SIZE);
    if (can_read && node->readers++ == 0)
        node->had_writer = node->writers > 0;
    if (can_write) {
        node->writers++;
        node->had_writer = true;
    }
    /* A reader without O_NONBLOCK waits for a writer, and the reverse. */
    while (error == 0 && (flags & O_NONBLOCK) == 0 &&
           ((can_read && !can_write && !node->had_writer) ||
            (can_write && node->readers == 0)))
        if (!wait_step(flags, 0, &error))
            sim__fifo_gone(node, flags);
    return error;
}

void sim__fifo_gone(struct sim_node *node, int flags)
{
    node->readers -= is_reader(flags);
    node->writers -= is_writer(flags);
    if (node->readers == 0 && node->writers == 0)
        node->used = 0;
}

ssize_t sim__fifo_read(const struct sim_file *file, void *buffer, size_t size)
{
    struct sim_node *node = file->node;
    int error;

    while (node->used == 0) {
        if (node->writers == 0)
            return 0;
        if (!wait_step(file->flags, -EAGAIN, &error))
            return error;
    }
    if (size > node->used)
        size = node->used;
    if (size > 1 && sim__chance(sim__world.options.short_file_percent))
        size = 1 + (size_t) sim_random(size - 1);
    memcpy(buffer, node->bytes, size);
    node->used -= size;
    memmove(node->bytes, node->bytes + size, node->used);
    return (ssize_t) size;
}

/* A write of at most ATOMIC_SIZE bytes is complete or has no effect. */
ssize_t sim__fifo_write(const struct sim_file *file,
                        const struct sys_piece *pieces, size_t count)
{
    struct sim_node *node = file->node;
    size_t total = 0, written = 0, needed;
    int error;

    for (size_t i = 0; i < count; i++)
        total += pieces[i].size;
    needed = total < ATOMIC_SIZE ? total : ATOMIC_SIZE;
    while (SIM_FIFO_SIZE - node->used < needed || node->readers == 0) {
        if (node->readers == 0)
            return -EPIPE;
        if (!wait_step(file->flags, -EAGAIN, &error))
            return error;
    }
    for (size_t i = 0; i < count; i++) {
        size_t room = SIM_FIFO_SIZE - node->used;
        size_t size = pieces[i].size < room ? pieces[i].size : room;

        if (size > 0)
            memcpy(node->bytes + node->used, pieces[i].data, size);
        node->used += size;
        written += size;
    }
    return (ssize_t) written;
}

/* Before the first writer, nothing is reported although a read returns 0. */
unsigned sim__fifo_bits(const struct sim_file *file)
{
    const struct sim_node *node = file->node;
    unsigned bits = 0;

    if (is_reader(file->flags)) {
        bits |= node->used > 0 ? REACTOR_READ : 0;
        bits |= node->writers == 0 && node->had_writer ? REACTOR_HANGUP : 0;
    }
    if (is_writer(file->flags)) {
        bits |= SIM_FIFO_SIZE - node->used >= ATOMIC_SIZE ? REACTOR_WRITE : 0;
        bits |= node->readers == 0 ? REACTOR_ERROR : 0;
    }
    return bits;
}

bool sim__file_is_waitable(const struct sim_file *file)
{
    return file->node->type == ALOOP_FILE_FIFO;
}
