/* The calls with which the reactors wait and replace descriptors.
 *
 * Only here a signal ends a call early; the result is then 0.  A timeout is
 * limited to what every system accepts: an int of milliseconds, or 100,000,000
 * seconds, beyond which the BSDs refuse a timespec.  A longer wait may return 0
 * early.  The caller checks the clock anyway. */

#define _GNU_SOURCE /* For ppoll() and syscall(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "os/descriptor.h"
#include "os/refusal.h"

#if defined(__linux__) || defined(__FreeBSD__) || defined(__OpenBSD__)
#define HAVE_PPOLL 1
#else
#define HAVE_PPOLL 0
#endif

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define TIMESPEC_MAX_S INT64_C(100000000)

/* Rounds up, because a timer must not fire early. */
static int milliseconds(int64_t ns)
{
    if (ns < 0)
        return -1;
    if (ns / NS_PER_MS >= INT_MAX)
        return INT_MAX;
    return (int) (ns / NS_PER_MS + (ns % NS_PER_MS != 0));
}

/* The argument is not negative. */
static struct timespec timespec_of(int64_t ns)
{
    if (ns / NS_PER_S >= TIMESPEC_MAX_S)
        ns = TIMESPEC_MAX_S * NS_PER_S;
    return (struct timespec){
        .tv_sec = (time_t) (ns / NS_PER_S),
        .tv_nsec = (long) (ns % NS_PER_S),
    };
}

/* A signal ends a wait early and is no error: the caller looks for its
 * cause. */
static int wait_result(int count)
{
    if (count >= 0)
        return count;
    return errno == EINTR ? 0 : -errno;
}

#ifdef __linux__

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

int aloop__sys_epoll_open(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0 && is_refusal(errno)) {
        fd = epoll_create(1); /* The argument only must not be 0. */
        if (fd >= 0)
            (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    fd = aloop__above_standard(fd);
    return fd < 0 ? -errno : fd;
}

int aloop__sys_epoll_ctl(int epoll, int operation, int fd,
                         struct epoll_event *event)
{
    return epoll_ctl(epoll, operation, fd, event) < 0 ? -errno : 0;
}

#ifdef SYS_epoll_pwait2

/* Waits with a resolution of nanoseconds.  The call is made by its number,
 * because many C libraries are older than their kernel, and with the kernel's
 * timespec, which has 64 bits everywhere.  Returns -ENOSYS if the call does not
 * exist, or is forbidden by a filter that is older than the call.  That is
 * detected only once. */
static int wait_exactly(int epoll, struct epoll_event *events, int count,
                        int64_t timeout_ns)
{
    static atomic_bool is_missing;
    struct {
        int64_t s;
        int64_t ns;
    } timeout;
    struct timespec cut = timespec_of(timeout_ns);
    long result;

    if (atomic_load_explicit(&is_missing, memory_order_relaxed))
        return -ENOSYS;
    timeout.s = cut.tv_sec;
    timeout.ns = cut.tv_nsec;
    result = syscall(SYS_epoll_pwait2, epoll, events, count, &timeout, NULL,
                     (size_t) 8);
    if (result < 0 && is_refusal(errno)) {
        atomic_store_explicit(&is_missing, true, memory_order_relaxed);
        return -ENOSYS;
    }
    return wait_result((int) result);
}

#else

static int wait_exactly(int epoll, struct epoll_event *events, int count,
                        int64_t timeout_ns)
{
    (void) epoll;
    (void) events;
    (void) count;
    (void) timeout_ns;
    return -ENOSYS;
}

#endif

/* Prefers the call that waits with a resolution of nanoseconds. */
__attribute__((noinline)) static int wait_until(int epoll,
                                                struct epoll_event *events,
                                                int count, int64_t timeout_ns)
{
    int timeout_ms = milliseconds(timeout_ns);
    int result = -ENOSYS;

    if (timeout_ms < INT_MAX)
        result = wait_exactly(epoll, events, count, timeout_ns);
    return result != -ENOSYS
               ? result
               : wait_result(epoll_wait(epoll, events, count, timeout_ms));
}

/* A wait of 0, and one without an end, need no such call. */
int aloop__sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                          int64_t timeout_ns)
{
    if (timeout_ns > 0)
        return wait_until(epoll, events, count, timeout_ns);
    return wait_result(
        epoll_wait(epoll, events, count, timeout_ns < 0 ? -1 : 0));
}

int aloop__sys_alarm_open(void)
{
    int fd = aloop__above_standard(
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));

    return fd < 0 ? -errno : fd;
}

/* The time is absolute, and so not limited as a timeout is: the limit would
 * have passed on a machine that has run for years. */
int aloop__sys_alarm_set(int fd, int64_t when_ns)
{
    struct itimerspec timer = {0};
    int64_t s = when_ns / NS_PER_S;

    if (when_ns <= 0) { /* For the kernel, 0 means never. */
        timer.it_value.tv_nsec = 1;
    } else if (when_ns != INT64_MAX) {
        timer.it_value.tv_sec = (time_t) (s < INT32_MAX ? s : INT32_MAX);
        timer.it_value.tv_nsec = (long) (when_ns % NS_PER_S);
    }
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0 ? -errno
                                                                    : 0;
}

#endif /* __linux__ */

#if !defined(__linux__)
#define HAVE_KQUEUE 1
#elif defined(__has_include)
#if __has_include(<sys/event.h>)
#define HAVE_KQUEUE 1 /* The stand-in of the tests. */
#endif
#endif

#ifdef HAVE_KQUEUE

#include <sys/event.h>

/* Not all systems can duplicate a queue.  Therefore queues keep the numbers up
 * to that of standard error in use while another one is opened. */
int aloop__sys_kqueue_open(void)
{
    int low[STDERR_FILENO + 1], count = 0;
    int fd = kqueue(), error;

    while (fd >= 0 && fd <= STDERR_FILENO && count <= STDERR_FILENO) {
        low[count++] = fd;
        fd = kqueue();
    }
    error = -errno;
    while (count > 0)
        close(low[--count]);
    if (fd >= 0)
        /* This cannot fail on an open descriptor. */
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd < 0 ? error : fd;
}

int aloop__sys_kevent(int queue, const struct kevent *changes, int change_count,
                      struct kevent *events, int event_count,
                      int64_t timeout_ns)
{
    struct timespec timeout = timespec_of(timeout_ns < 0 ? 0 : timeout_ns);

    /* NetBSD counts in size_t, other systems in int. */
#ifdef __NetBSD__
    return wait_result(kevent(queue, changes, (size_t) change_count, events,
                              (size_t) event_count,
                              timeout_ns < 0 ? NULL : &timeout));
#else
    return wait_result(kevent(queue, changes, change_count, events, event_count,
                              timeout_ns < 0 ? NULL : &timeout));
#endif
}

#endif /* HAVE_KQUEUE */

int aloop__sys_poll(struct pollfd *fds, size_t count, int64_t timeout_ns)
{
#if HAVE_PPOLL
    struct timespec timeout = timespec_of(timeout_ns < 0 ? 0 : timeout_ns);
    int result =
        ppoll(fds, (nfds_t) count, timeout_ns < 0 ? NULL : &timeout, NULL);

    if (result >= 0 || !is_refusal(errno))
        return wait_result(result);
#endif
    return wait_result(poll(fds, (nfds_t) count, milliseconds(timeout_ns)));
}

/* dup2() closes the old descriptor of that number in the same step, so that no
 * other thread can take the number. */
int aloop__sys_move(int from, int to)
{
    int result;

    do {
        result = dup2(from, to);
    } while (result < 0 && (errno == EINTR || errno == EBUSY));
    if (result < 0)
        return -errno;
    /* This cannot fail on an open descriptor. */
    (void) fcntl(to, F_SETFD, FD_CLOEXEC);
    aloop__sys_close(from);
    return 0;
}
