/* The simulated file system, for tests: the functions that tests call.
 *
 * A new world has the directories "/" and "/tmp", and one device.  Paths are
 * absolute; the working directory is "/".  The functions of this file do not
 * count as calls, take no time and never fail because of faults.  What they
 * create is on the disk already.
 *
 * Options that concern all files are in struct sim_options (sim.h). */

#ifndef SIM_FILE_H
#define SIM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file system.  By default it supports everything but clones. */
struct sim_device {
    uint64_t id;    /* The number that stat() returns. */
    uint64_t mount; /* The number of its mount, 0: unknown, as before 6.8. */
    /* -EOPNOTSUPP: as tmpfs, and old kernels also for pipes.  0: it supports
     * them. */
    int cached_read_error;
    /* As tmpfs, whose cached_read_error is -EOPNOTSUPP, too. */
    bool is_in_memory;
    bool is_local;         /* aloop__sys_mount_is_local() finds it. */
    int reopen_error;      /* Of aloop__sys_reopen(); 0: it works. */
    int cached_open_error; /* -EPERM: as a filter.  0: it supports them. */
    /* Files get larger or smaller after aloop__sys_fstat_cached(), whose sizes
     * are wrong by this. */
    int cached_size_error;
    int clone_error;       /* Of aloop__sys_clone(); 0: it supports clones. */
    int copy_error;        /* Of aloop__sys_copy_range(). */
    bool has_empty_copies; /* Instead it returns 0, as Linux 5.3 on /proc. */
    int search_error;      /* Of seeks to data and holes. */
    uint64_t size_max;     /* Bytes in blocks; then ENOSPC.  0: no limit. */
    bool is_read_only;     /* Changes fail with EROFS. */
    bool has_no_types;     /* Directories do not have the types. */
};

/* Returns the device of a file, NULL if there is no such file.  Tests change
 * the options. */
struct sim_device *sim_device(const char *path);
/* Creates a directory that is a device of its own. */
struct sim_device *sim_mount(const char *path);

/* Create a file with this content, a FIFO, a device as /dev/null, a device with
 * this content whose calls block, or a directory, and the directories that it
 * is in.  A file with that name is replaced. */
void sim_file_put(const char *path, const void *data, size_t size);
void sim_file_fifo(const char *path);
void sim_file_null(const char *path);
void sim_file_slow(const char *path, const void *data, size_t size);
void sim_file_mkdir(const char *path);
/* Reads the content.  Returns the size of the file, even if it is more than
 * `size`, -ENOENT or -EISDIR. */
ssize_t sim_file_get(const char *path, void *buffer, size_t size);
/* Returns the number of names below the directory, at any depth. */
unsigned sim_file_count(const char *path);

/* The standard descriptors, 0 to 2, are closed in a new world.  They block, as
 * those of a shell do, and count as no descriptors of the library.
 *
 * Makes a standard descriptor for writing: a file that exists already, or for
 * NULL a pipe without a name, which another program reads. */
void sim_standard_output(int fd, const char *path);
/* The other program reads from that pipe.  Returns the number of bytes. */
size_t sim_standard_read(int fd, void *buffer, size_t size);
/* Fills that pipe, so that it accepts nothing before it is read. */
void sim_standard_fill(int fd);
/* The other program closes its end. */
void sim_standard_leave(int fd);

/* Files belong to root, and the caller is root.  Another user has no more than
 * the permissions. */
void sim_file_user(uint32_t user_now);
/* Limits the size of files (RLIMIT_FSIZE); -1: no limit. */
void sim_file_size_max(int64_t size);
/* Drops a file from the page cache, so that cached reads miss. */
void sim_file_evict(const char *path);
/* Has another program hold the lock of a file, or give it back. */
void sim_file_lock(const char *path, bool is_locked);
/* Returns how many descriptors of files are open. */
unsigned sim_file_descriptors(void);
/* Returns how many calls that can block were made by the main flow. */
unsigned sim_file_blocking_calls(void);

/* After `count` more calls that change files or sync them, such calls fail with
 * EIO and have no effect, as if the machine had stopped. */
void sim_file_stop_after(unsigned count);
bool sim_file_has_stopped(void);
/* Restarts the machine: files and directories have what was synced, and of the
 * rest what the seed selects:
 *
 *   - A file that was not synced since its last change has the old content, the
 *     new one, or a mixture of their blocks, and an old or new size, which is 0
 *     if it was never synced.
 *   - The changes of a directory that was not synced are lost from some point
 *     on.  A rename is either complete or lost.
 *
 * Descriptors remain open, and see the same. */
void sim_file_crash(void);

#endif
