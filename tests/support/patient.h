/* Waits of tests that do not use the library.  A signal that arrives meanwhile
 * (see eintr.c) does not end them. */

#ifndef PATIENT_H
#define PATIENT_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/tools.h"

/* Returns whether signals interrupt this program all the time.  The waits of
 * the library are then many and short, so that their number has no meaning. */
static inline bool is_interrupted(void)
{
    return getenv("ALOOP_EINTR_COUNTS") != NULL;
}

/* A time limit on this machine.  It is multiplied by a factor if the tests run
 * under a checker or an emulator, which are slow. */
static inline int patient_limit(int limit)
{
    const char *patience = getenv("ALOOP_TEST_PATIENCE");
    int factor = patience == NULL ? 1 : atoi(patience);

    return factor > 1 ? factor * limit : limit;
}

static inline bool patient_runs_on_valgrind(void)
{
#if WITH_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

/* QEMU does not clear pages in forked children. */
static inline bool patient_runs_on_qemu(void)
{
#if defined UNDER_QEMU
    return true;
#else
    return false;
#endif
}

static inline pid_t patient_waitpid(pid_t child, int *ret_status, int flags)
{
    pid_t ended;

    do
        ended = waitpid(child, ret_status, flags);
    while (ended < 0 && errno == EINTR);
    return ended;
}

static inline ssize_t patient_read(int fd, void *buffer, size_t size)
{
    ssize_t count;

    do
        count = read(fd, buffer, size);
    while (count < 0 && errno == EINTR);
    return count;
}

static inline ssize_t patient_write(int fd, const void *data, size_t size)
{
    ssize_t count;

    do
        count = write(fd, data, size);
    while (count < 0 && errno == EINTR);
    return count;
}

static inline int64_t patient_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int patient_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int64_t end_ms = patient_now_ms() + timeout_ms;
    int ready = poll(fds, count, timeout_ms);

    while (ready < 0 && errno == EINTR) {
        int64_t left_ms = end_ms - patient_now_ms();

        if (timeout_ms > 0)
            timeout_ms = left_ms > 0 ? (int) left_ms : 0;
        ready = poll(fds, count, timeout_ms);
    }
    return ready;
}

/* A connect of TCP that a signal interrupts continues, and makes the socket
 * writable. */
static inline int patient_connect(int fd, const struct sockaddr *address,
                                  socklen_t size)
{
    struct pollfd one = {.fd = fd, .events = POLLOUT};

    while (connect(fd, address, size) < 0 && errno != EISCONN)
        if ((errno != EINTR && errno != EALREADY) ||
            patient_poll(&one, 1, patient_limit(10000)) != 1)
            return -1;
    return 0;
}

static inline int patient_accept(int listener)
{
    int fd;

    do
        fd = accept(listener, NULL, NULL);
    while (fd < 0 && errno == EINTR);
    return fd;
}

#endif
