/* Tests of child processes: checks in the child, and what it can do. */

#ifndef CHILD_H
#define CHILD_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "os/tools.h"

/* In the child, where cmocka must not go on. */
#define CHECK(claim)                                                   \
    do {                                                               \
        if (!(claim)) {                                                \
            fprintf(stderr, "child: line %d: %s\n", __LINE__, #claim); \
            _exit(1);                                                  \
        }                                                              \
    } while (0)

/* A child of several threads can start none under TSan, and qemu-user 7.2 ends
 * on an assertion of its own there. */
#if defined UNDER_QEMU
enum { HAS_THREADS_AFTER_FORK = 0 };
#else
enum { HAS_THREADS_AFTER_FORK = !WITH_TSAN };
#endif

/* How many of the numbers below `max` are descriptors of this process. */
static inline int open_descriptors(int max)
{
    int count = 0;

    for (int fd = 0; fd < max; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

#endif
