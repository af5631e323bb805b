/* Opening on the loop's own thread; see file_device.c. */

#ifndef ALOOP_FILE_FILE_DEVICE_H
#define ALOOP_FILE_FILE_DEVICE_H

#include "aloop/stat.h"
#include "loop/state.h"
#include "os/sys_file.h"

/* What a thread finds out about the device of a file, for the loop. */
struct aloop__device_look {
    struct aloop__devices known; /* A copy of the loop's, for the thread. */
    uint64_t id;                 /* As in known.ids. */
    uint64_t refusing; /* It becomes known.refusing, unless it is 0. */
    bool is_new;       /* It is to be added to those of the loop. */
    bool is_in_memory; /* It keeps its files there. */
};

/* What a look at a file without waiting has found. */
struct aloop__device_file {
    aloop_stat stat;
    uint64_t id;       /* That of its device, as in aloop__devices. */
    bool has_mount;    /* It is the number of a mount. */
    bool is_in_memory; /* It is known that its device keeps its files there. */
};

/* Looks at a file without waiting.  Returns 0 or an error. */
int aloop__device_stat(const struct aloop__devices *devices, int fd,
                       struct aloop__device_file *ret);
/* Reads a file on the loop's thread, from memory or from the page cache. */
static inline ssize_t aloop__file_pread_now(int fd, bool is_in_memory,
                                            void *buffer, size_t size,
                                            int64_t offset)
{
    return is_in_memory ? aloop__sys_pread_memory(fd, buffer, size, offset)
                        : aloop__sys_pread_cached(fd, buffer, size, offset);
}

/* On a thread: returns whether files of the device can be read without waiting.
 * The file is a regular one that is open for reading.  It is asked if the
 * device, whose number stat() has given, is not known. */
bool aloop__device_look(struct aloop__device_look *look, int fd,
                        uint64_t device);
/* On the loop's thread: adds a device that is new, or notes its refusal. */
void aloop__device_learn(aloop *loop, const struct aloop__device_look *look);

/* Returns whether the loop's thread may try to open a file.  The functions
 * below are called only then, and if the turn may (file_budget.h). */
bool aloop__file_is_openable(const aloop *loop, const char *path, int flags);
/* Looks up whether a name is one of a file that aloop__file_open_known() opens,
 * without opening it.  Returns 0 if so. */
int aloop__file_look_known(aloop *loop, const char *path, uint64_t size_max);
/* Opens a regular file of a known device, with at most `size_max` bytes,
 * without waiting.  Returns its descriptor, and *ret_file.  After an error the
 * pool has to try it, because the error may be that of this way to open.
 * *ret_unsuited is -1, or a descriptor of something else, which is left to the
 * pool. */
int aloop__file_open_known(aloop *loop, const char *path, int flags,
                           uint64_t size_max,
                           struct aloop__device_file *ret_file,
                           int *ret_unsuited);
/* Returns whether a file that was opened is in the mount where its path begins.
 * A later open of the path by aloop__file_open_near() then needs no look. */
bool aloop__file_is_near(aloop *loop, const char *path,
                         const struct aloop__device_file *file);
/* Does the same as aloop__file_open_known() for reading, but fails if there is
 * another mount on the way.  It does not wait for the server of a file system
 * that was mounted there after aloop__file_is_near(). */
int aloop__file_open_near(aloop *loop, const char *path, uint64_t size_max,
                          struct aloop__device_file *ret_file,
                          int *ret_unsuited);

#endif
