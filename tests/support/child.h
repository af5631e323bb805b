/* For tests with child processes: checks that work in the child, and the
 * abilities of a child. */

#ifndef CHILD_H
#define CHILD_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "os/tools.h"

/* A check in the child, where cmocka must not continue. */
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "child: line %d: %s\n", __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

/* Under TSan, a child of a process with threads can start no thread.  Under
 * qemu-user 7.2, it ends on an assertion of QEMU's. */
#if defined UNDER_QEMU
enum { HAS_THREADS_AFTER_FORK = 0 };
#else
enum { HAS_THREADS_AFTER_FORK = !WITH_TSAN };
#endif

/* Returns how many of the numbers below `max` are open descriptors of this
 * process. */
static inline int open_descriptors(int max)
{
    int count = 0;

    for (int fd = 0; fd < max; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

#endif
