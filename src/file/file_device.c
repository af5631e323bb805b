/* Opening on the loop's own thread, of names that the kernel has in its caches.
 *
 * Only regular files are opened so, on devices (file systems) that are known
 * not to wait.  Either a thread of the pool has opened a file there before, and
 * the kernel has accepted a read of it that does not wait.  It refuses such
 * reads for FUSE and for file systems of the network, whose opens wait for a
 * server.  Or the kernel reports without waiting a type of the mount that
 * has a local disk.  Then a program that only reads cached files never starts a
 * thread, beside which each call with a descriptor would take longer.
 *
 * Nothing of that asks a server either: the look-up of the name uses what the
 * kernel has in its caches, and fails at what a server would have to confirm,
 * or where something would be mounted; the look at the attributes takes those
 * that are known (AT_STATX_DONT_SYNC); aloop__sys_mount_is_local() takes the
 * type from the table of mounts.  While no device is known, this is tried for
 * one file of the loop, so that one without such file systems loses no time.
 *
 * It also refuses them for tmpfs, whose names and files are always in memory,
 * except for pages in the swap area.  There the kernel is asked for such pages
 * first, and the read is an ordinary one.
 *
 * A program that has to permit opens and reads (fanotify) makes both of them
 * wait on this thread, too, for as long as it takes, and the kernel gives no
 * sign of it before.  The option must_use_file_threads is against that.
 *
 * When a file system without a disk is unmounted, the next one gets the number
 * of its device, and may be one of FUSE.  Therefore the number of the mount,
 * which is used only once, stands for the device.  Where the system does not
 * have it, no device is noted as one in memory, because an ordinary read of
 * another one would wait.
 *
 * To open a name may have effects: it releases a writer that waits for a reader
 * of a FIFO, and calls the driver of a device.  Therefore the name is looked up
 * before, without opening it.  What was opened is checked again, because
 * another process may have replaced the name in between.  (If it has mounted a
 * file system with a server there, between these two calls, the open may wait
 * for that server.)  To open for writing may have to wait for the quotas of the
 * owner to be read, and is left to the pool.
 *
 * A path that was opened recently needs no look if its file is in the mount of
 * the root directory, or for a relative path in that of the working directory,
 * and that mount is known: the kernel then crosses no other mount, so that it
 * opens nothing of a file system that was mounted in the meantime.  (A thread
 * that calls chdir() between the look at the working directory and the open has
 * the same effect as such a mount: the kernel has no call for both.)  A
 * process that calls chroot() for a root on a file system with a server, and
 * uses the same paths there, may wait for that server. */

#include "file/file_device.h"

#include <errno.h>

#include "file/file.h"
#include "file/file_budget.h"

/* Returns the index of a device, or devices->count. */
static unsigned find_device(const struct aloop__devices *devices, uint64_t id)
{
    unsigned i = 0;

    while (i < devices->count && devices->ids[i] != id)
        i++;
    return i;
}

static bool is_known_device(const struct aloop__devices *devices, uint64_t id)
{
    return find_device(devices, id) < devices->count;
}

/* Returns whether a known device keeps its files in memory. */
static bool keeps_in_memory(const struct aloop__devices *devices, uint64_t id)
{
    return (devices->in_memory >> find_device(devices, id) & 1) != 0;
}

int aloop__device_stat(const struct aloop__devices *devices, int fd,
                       struct aloop__device_file *ret)
{
    uint64_t mount;
    int error = aloop__sys_fstat_cached(fd, &ret->stat, &mount);

    if (error < 0)
        return error;
    ret->id = mount != 0 ? mount : ret->stat.device;
    ret->has_mount = mount != 0;
    ret->is_in_memory = keeps_in_memory(devices, ret->id);
    return 0;
}

bool aloop__device_look(struct aloop__device_look *look, int fd,
                        uint64_t device)
{
    struct aloop__device_file file = {.has_mount = false};
    bool is_found;
    ssize_t count;
    char byte;

    if (look->known.is_off || (device == look->known.refusing && device != 0))
        return false;
    is_found = aloop__device_stat(&look->known, fd, &file) == 0;
    look->is_in_memory = file.is_in_memory;
    if (is_found && is_known_device(&look->known, file.id))
        return true;
    look->is_in_memory = aloop__sys_is_in_memory(fd);
    if (!look->is_in_memory && aloop__sys_pread_cached_is_broken())
        return false;
    count = aloop__file_pread_now(fd, look->is_in_memory, &byte, 1, 0);
    look->id = file.id;
    if (!look->is_in_memory && count == -EOPNOTSUPP)
        look->refusing = device;
    if (count < 0 && count != ALOOP_EAGAIN)
        return false;
    look->is_new = is_found && (file.has_mount || !look->is_in_memory);
    return true;
}

/* When the list is full, files of other devices are opened by the pool. */
static void add_device(struct aloop__devices *devices, uint64_t id,
                       bool is_in_memory)
{
    if (devices->count == DEVICES_MAX || is_known_device(devices, id))
        return;
    devices->in_memory |= (uint8_t) (is_in_memory << devices->count);
    devices->ids[devices->count++] = id;
}

void aloop__device_learn(aloop *loop, const struct aloop__device_look *look)
{
    struct aloop__devices *devices = &loop->devices;

    if (look->refusing != 0)
        devices->refusing = look->refusing;
    if (look->is_new)
        add_device(devices, look->id, look->is_in_memory);
}

/* Returns whether a device is known.  The kernel is asked once for the type of
 * a new mount; any error leaves the device to the pool. */
static bool is_known_local(struct aloop__devices *devices,
                           const struct aloop__device_file *file)
{
    if (file->has_mount && file->id != devices->strange &&
        !is_known_device(devices, file->id)) {
        devices->strange = file->id;
        if (aloop__sys_mount_is_local(file->id) > 0)
            add_device(devices, file->id, false);
    }
    return is_known_device(devices, file->id);
}

static bool is_suited(struct aloop__devices *devices, int fd, uint64_t size_max,
                      struct aloop__device_file *ret)
{
    return aloop__device_stat(devices, fd, ret) == 0 &&
           ret->stat.type == ALOOP_FILE_REGULAR && ret->stat.size <= size_max &&
           is_known_local(devices, ret);
}

/* A kernel without this call returns ENOSYS, and a filter of calls EPERM. */
static int note_refusal(struct aloop__devices *devices, int error)
{
    devices->is_refused = error == ALOOP_ENOSYS || error == ALOOP_EPERM;
    return error;
}

bool aloop__file_is_openable(const aloop *loop, const char *path, int flags)
{
    const struct aloop__devices *devices = &loop->devices;

    return (devices->count > 0 || !devices->has_looked) && !devices->is_off &&
           !devices->is_refused && path != NULL &&
           aloop__sys_file_only_reads(flags) && !loop->is_dying &&
           !aloop__is_foreign_by_pid(loop) && !aloop__file_is_interrupted(loop);
}

int aloop__file_look_known(aloop *loop, const char *path, uint64_t size_max)
{
    struct aloop__devices *devices = &loop->devices;
    int fd = aloop__sys_look_up_cached(path);
    bool is_suited_name;
    struct aloop__device_file file;

    devices->has_looked = true;
    if (fd < 0)
        return note_refusal(devices, fd);
    is_suited_name = is_suited(devices, fd, size_max, &file);
    aloop__sys_close(fd);
    return is_suited_name ? 0 : ALOOP_EAGAIN;
}

/* Takes the result of an open. */
static int check_opened(struct aloop__devices *devices, int fd,
                        uint64_t size_max, struct aloop__device_file *ret_file,
                        int *ret_unsuited)
{
    *ret_unsuited = -1;
    if (fd < 0)
        return note_refusal(devices, fd);
    if (is_suited(devices, fd, size_max, ret_file))
        return fd;
    *ret_unsuited = fd;
    return ALOOP_EAGAIN;
}

int aloop__file_open_known(aloop *loop, const char *path, int flags,
                           uint64_t size_max,
                           struct aloop__device_file *ret_file,
                           int *ret_unsuited)
{
    return check_opened(&loop->devices, aloop__sys_open_cached(path, flags),
                        size_max, ret_file, ret_unsuited);
}

/* Finds the device where a path begins.  That of the root directory is looked
 * for once: it stays mounted while a process uses it. */
static bool find_start(aloop *loop, const char *path, uint64_t *ret_id)
{
    struct aloop__devices *devices = &loop->devices;
    bool is_absolute = path[0] == '/', is_found;
    struct aloop__device_file start = {.id = 0};
    int fd = SYS_CWD;

    *ret_id = devices->root;
    if (is_absolute && devices->root != 0)
        return true;
    if (is_absolute)
        fd = aloop__sys_look_up_cached("/");
    if (is_absolute && fd < 0)
        return false;
    is_found = aloop__device_stat(devices, fd, &start) == 0;
    *ret_id = start.id;
    if (is_absolute)
        aloop__sys_close(fd);
    if (is_absolute && is_found)
        devices->root = start.id;
    return is_found;
}

bool aloop__file_is_near(aloop *loop, const char *path,
                         const struct aloop__device_file *file)
{
    uint64_t id;

    return find_start(loop, path, &id) && id == file->id;
}

int aloop__file_open_near(aloop *loop, const char *path, uint64_t size_max,
                          struct aloop__device_file *ret_file,
                          int *ret_unsuited)
{
    struct aloop__devices *devices = &loop->devices;
    uint64_t id;

    *ret_unsuited = -1;
    /* The working directory may have changed. */
    if (!find_start(loop, path, &id) || !is_known_device(devices, id))
        return ALOOP_EAGAIN;
    return check_opened(devices, aloop__sys_open_near_cached(path, O_RDONLY),
                        size_max, ret_file, ret_unsuited);
}
