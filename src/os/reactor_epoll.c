/* Readiness from epoll, on Linux.
 *
 * There are two instances.  The second exists only for a host loop:
 *
 *     host's poll --> host_fd --> epoll_fd --> the watched descriptors
 *                           \---> alarm_fd
 *
 * If the system refuses a timerfd, these two do not exist, and a thread polls
 * epoll_fd for the host (reactor_poll_host.h).
 *
 * Only epoll_fd is waited for, so that the alarm is never an event and costs
 * nothing unless it is used.  A renewal replaces epoll_fd but keeps host_fd, so
 * that the host's registration of it stays valid.  A forked child shares all
 * three objects with its parent and must not change them; it replaces all of
 * them.
 *
 * The kernel keeps the descriptor's number, its generation and whether reading
 * and hang-ups were requested; see key_of(). */

#include "os/reactor.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "os/reactor_poll_host.h"
#include "os/refusal.h"
#include "os/sys.h"

static_assert(sizeof(struct aloop__event) == sizeof(struct epoll_event) &&
                  offsetof(struct aloop__event, bits) ==
                      offsetof(struct epoll_event, events) &&
                  offsetof(struct aloop__event, key) ==
                      offsetof(struct epoll_event, data) &&
                  (int) REACTOR_READ == (int) EPOLLIN,
              "the kernel writes events of this layout");

struct aloop__reactor {
    const struct aloop__alloc *alloc;
    int epoll_fd;
    int host_fd; /* -1 until it is requested, together with alarm_fd. */
    int alarm_fd;
    int64_t alarm_ns;                   /* The time that it is set to. */
    unsigned owner;                     /* The process that opened them. */
    struct aloop__poll_host *poll_host; /* Used instead of the two, or NULL. */
    bool is_published;                  /* Whether poll_host is polling. */
    struct pollfd polled[2]; /* By poll_host: its own, and epoll_fd. */
};

const char aloop__reactor_name[] = "epoll";
const bool aloop__reactor_has_edges = true;
const bool aloop__reactor_has_errors = false;

/* The host's objects are opened only if the application asks for aloop_fd(). */
int aloop__reactor_open(const struct aloop__alloc *alloc,
                        struct aloop__reactor **ret)
{
    struct aloop__reactor *reactor = aloop__alloc_zero(alloc, sizeof *reactor);
    int fd;

    if (reactor == NULL)
        return -ENOMEM;
    fd = aloop__sys_epoll_open();
    if (fd < 0) {
        aloop__alloc_free(alloc, reactor, sizeof *reactor);
        return fd;
    }
    reactor->alloc = alloc;
    reactor->epoll_fd = fd;
    reactor->host_fd = reactor->alarm_fd = -1;
    reactor->alarm_ns = INT64_MAX;
    reactor->owner = aloop__sys_process_adopt(0);
    *ret = reactor;
    return 0;
}

/* A forked child closes its descriptors of the parent's objects; those stay
 * open in the parent. */
void aloop__reactor_close(struct aloop__reactor *reactor)
{
    if (reactor == NULL)
        return;
    aloop__poll_host_close(reactor->poll_host);
    if (reactor->host_fd >= 0) {
        aloop__sys_close(reactor->host_fd);
        aloop__sys_close(reactor->alarm_fd);
    }
    aloop__sys_close(reactor->epoll_fd);
    aloop__alloc_free(reactor->alloc, reactor, sizeof *reactor);
}

/* Packs the generation, two bits for REACTOR_HANGUP and REACTOR_READ, and the
 * descriptor.  The two bits are needed because epoll always reports hang-ups.
 * A hang-up counts as an error unless hang-ups were requested, and also as the
 * end of the input if reading was requested. */
static uint64_t key_of(int fd, uint32_t generation, unsigned bits)
{
    uint64_t hangs_up = (bits & REACTOR_HANGUP) != 0;
    uint64_t reads = (bits & REACTOR_READ) != 0;

    return (uint64_t) generation << 34 | hangs_up << 33 | reads << 32 |
           (uint64_t) fd;
}

/* Translates the bits of an event in its place.  It is no part of the loop
 * around it, which would save more registers. */
__attribute__((noinline)) static void translate(struct aloop__event *event)
{
    uint32_t events = event->bits;
    bool is_read = (event->key >> 32 & 1) != 0;
    bool is_hangup = (event->key >> 33 & 1) != 0;
    unsigned bits = 0;

    if ((events & EPOLLIN) != 0)
        bits |= REACTOR_READ;
    if ((events & EPOLLOUT) != 0)
        bits |= REACTOR_WRITE;
    if ((events & EPOLLPRI) != 0)
        bits |= REACTOR_PRIORITY;
    if ((events & EPOLLERR) != 0)
        bits |= REACTOR_ERROR;
    if ((events & EPOLLHUP) != 0)
        bits |= is_hangup ? REACTOR_HANGUP : REACTOR_ERROR;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 && is_read)
        bits |= REACTOR_READ;
    event->bits = bits;
}

/* Lets the thread of poll_host poll epoll_fd, until the next wait of the
 * loop. */
static void publish_epoll(struct aloop__reactor *reactor)
{
    if (!reactor->is_published)
        reactor->polled[1] =
            (struct pollfd){.fd = reactor->epoll_fd, .events = POLLIN};
    reactor->is_published = true;
    aloop__poll_host_publish(reactor->poll_host, reactor->polled, 2);
}

static void withdraw_epoll(struct aloop__reactor *reactor)
{
    reactor->is_published = false;
    aloop__poll_host_withdraw(reactor->poll_host);
}

/* Returns whether the number was closed outside the loop's control, and then
 * given to one of the instances.  They cannot be watched, which epoll reports
 * by errors that have other causes, too. */
static bool is_own_fd(const struct aloop__reactor *reactor, int fd)
{
    return fd == reactor->epoll_fd || fd == reactor->host_fd;
}

/* aloop__reactor_set() without the notification of poll_host.  EEXIST and
 * ENOENT mean that the descriptor was closed and its number used again outside
 * the loop's control, so that what the kernel watches differs from `was`
 * (epoll(7)). */
static int change_watch(const struct aloop__reactor *reactor, int fd,
                        uint32_t generation, unsigned was, unsigned now)
{
    struct epoll_event event = {0};
    int error;

    if (now == 0) {
        /* It fails only if there is nothing to remove: the descriptor was
         * closed, and its number may belong to another one. */
        if (was != 0)
            aloop__sys_epoll_ctl(reactor->epoll_fd, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    if (is_own_fd(reactor, fd))
        return -EBADF;
    if ((now & REACTOR_READ) != 0)
        event.events |= EPOLLIN;
    if ((now & REACTOR_WRITE) != 0)
        event.events |= EPOLLOUT;
    if ((now & REACTOR_PRIORITY) != 0)
        event.events |= EPOLLPRI;
    if ((now & REACTOR_EDGE) != 0)
        event.events |= EPOLLET;
    event.data.u64 = key_of(fd, generation, now);
    error = aloop__sys_epoll_ctl(reactor->epoll_fd,
                                 was == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd,
                                 &event);
    if (was == 0 && error == -EEXIST)
        error =
            aloop__sys_epoll_ctl(reactor->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    else if (was != 0 && error == -ENOENT)
        error =
            aloop__sys_epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    return error;
}

int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now)
{
    int error = change_watch(reactor, fd, generation, was, now);

    if (reactor->is_published) /* What was ready may no longer be. */
        publish_epoll(reactor);
    return error;
}

/* Adds it again, because only that has no effect if it is there. */
bool aloop__reactor_is_watching(struct aloop__reactor *reactor, int fd,
                                uint32_t generation, unsigned bits)
{
    struct epoll_event event = {0};
    int error =
        aloop__sys_epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event);

    (void) generation;
    (void) bits;
    if (error == 0)
        aloop__sys_epoll_ctl(reactor->epoll_fd, EPOLL_CTL_DEL, fd, &event);
    return error == -EEXIST;
}

int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max)
{
    int count;

    if (reactor->is_published)
        withdraw_epoll(reactor);
    count = aloop__sys_epoll_wait(
        reactor->epoll_fd, (struct epoll_event *) events, max, timeout_ns);
    for (int i = 0; i < count; i++)
        if (events[i].bits != EPOLLIN) /* Which is REACTOR_READ. */
            translate(&events[i]);
    return count;
}

/* An epoll instance is readable while one of its descriptors is ready. */
static int add_to_host(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return aloop__sys_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Opens a host_fd that watches `epoll_fd` and a new alarm. */
static int open_epoll_host(int epoll_fd, int *ret_host_fd, int *ret_alarm_fd)
{
    int host_fd = aloop__sys_epoll_open();
    int alarm_fd = host_fd < 0 ? host_fd : aloop__sys_alarm_open();
    int error = alarm_fd;

    if (error >= 0)
        error = add_to_host(host_fd, alarm_fd);
    if (error >= 0)
        error = add_to_host(host_fd, epoll_fd);
    if (error >= 0) {
        *ret_host_fd = host_fd;
        *ret_alarm_fd = alarm_fd;
        return 0;
    }
    if (alarm_fd >= 0)
        aloop__sys_close(alarm_fd);
    if (host_fd >= 0)
        aloop__sys_close(host_fd);
    return error;
}

int aloop__reactor_fd(struct aloop__reactor *reactor)
{
    int error = 0;

    if (reactor->host_fd < 0 && reactor->poll_host == NULL) {
        error = open_epoll_host(reactor->epoll_fd, &reactor->host_fd,
                                &reactor->alarm_fd);
        if (error < 0 && is_refusal(-error)) {
            error = aloop__poll_host_open(reactor->alloc, &reactor->poll_host);
            if (error == 0)
                publish_epoll(reactor);
        }
    }
    if (error < 0)
        return error;
    return reactor->poll_host != NULL ? aloop__poll_host_fd(reactor->poll_host)
                                      : reactor->host_fd;
}

/* The alarm stays due until it is set again, because nothing reads it. */
int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t when_ns)
{
    int error = aloop__reactor_fd(reactor);

    if (error < 0)
        return error;
    if (reactor->poll_host != NULL) {
        aloop__poll_host_alarm(reactor->poll_host, when_ns);
        publish_epoll(reactor);
        return 0;
    }
    if (when_ns == reactor->alarm_ns)
        return 0;
    error = aloop__sys_alarm_set(reactor->alarm_fd, when_ns);
    if (error == 0)
        reactor->alarm_ns = when_ns;
    return error;
}

/* Replaces host_fd and alarm_fd in a forked child.  The parent's objects must
 * not change, so that the numbers get new objects. */
static int replace_epoll_host(struct aloop__reactor *reactor, int epoll_fd)
{
    int host_fd, alarm_fd;
    int error = open_epoll_host(epoll_fd, &host_fd, &alarm_fd);

    if (error < 0)
        return error;
    error = aloop__sys_move(host_fd, reactor->host_fd);
    if (error < 0)
        aloop__sys_close(host_fd);
    aloop__sys_close(error < 0 ? alarm_fd : reactor->alarm_fd);
    if (error == 0) {
        reactor->alarm_fd = alarm_fd;
        reactor->alarm_ns = INT64_MAX;
    }
    return error;
}

/* Makes host_fd, or its replacement, watch `epoll_fd` instead of the old
 * one. */
static int renew_epoll_host(struct aloop__reactor *reactor, int epoll_fd)
{
    struct epoll_event event = {0};
    int error;

    if (reactor->poll_host != NULL)
        return aloop__poll_host_renew(reactor->poll_host);
    if (reactor->host_fd < 0)
        return 0;
    if (reactor->owner != aloop__sys_process_adopt(0))
        return replace_epoll_host(reactor, epoll_fd);
    error = add_to_host(reactor->host_fd, epoll_fd);
    if (error == 0)
        aloop__sys_epoll_ctl(reactor->host_fd, EPOLL_CTL_DEL, reactor->epoll_fd,
                             &event);
    return error;
}

/* The new set is complete before the old one is closed, so that a failure
 * changes nothing.  It is empty: the caller sets all descriptors again. */
int aloop__reactor_renew(struct aloop__reactor *reactor)
{
    bool was_published = reactor->is_published;
    int error, fd = aloop__sys_epoll_open();

    if (fd < 0)
        return fd;
    if (was_published)
        withdraw_epoll(reactor);
    error = renew_epoll_host(reactor, fd);
    if (error < 0) {
        aloop__sys_close(fd);
        return error;
    }
    aloop__sys_close(reactor->epoll_fd);
    reactor->epoll_fd = fd;
    reactor->owner = aloop__sys_process_adopt(0);
    if (was_published)
        publish_epoll(reactor);
    return 0;
}
