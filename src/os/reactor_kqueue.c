/* Readiness from kqueue, on macOS and the BSDs.
 *
 * There are two queues, as with epoll.  The second exists only for a host loop,
 * so that the alarm (a timer) is never an event and stays due until it is set
 * again:
 *
 *     host's poll --> host_fd --> queue_fd --> the watched descriptors
 *                           \---> the alarm
 *
 * A forked child inherits neither.  Their numbers may already belong to other
 * descriptors there, so that the child closes nothing.
 *
 * Reading and writing are two filters, so that a descriptor has up to two
 * events.  The descriptor is the `ident` of an event, the generation its
 * `udata`. */

#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/reactor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "os/sys.h"

/* With EV_RECEIPT, kevent() returns the results of changes and no events.
 * Where it does not exist, events may be returned as well.  They are ignored
 * here, because a level-triggered event is reported again. */
#ifndef EV_RECEIPT
#define EV_RECEIPT 0
#endif

/* Timers count nanoseconds where possible, else milliseconds. */
#ifdef NOTE_NSECONDS
enum { TIMER_UNIT = NOTE_NSECONDS, TIMER_UNIT_NS = 1 };
#else
enum { TIMER_UNIT = 0, TIMER_UNIT_NS = 1000000 };
#endif

#define ALARM_MAX_NS INT64_C(100000000000000000) /* Three years. */

enum { KQUEUE_BATCH = 256 };

struct aloop__reactor {
    const struct aloop__alloc *alloc;
    int queue_fd;
    int host_fd; /* -1 until it is requested. */
    unsigned owner; /* The process that opened them. */
    struct kevent batch[KQUEUE_BATCH];
};

const char aloop__reactor_name[] = "kqueue";

int aloop__reactor_open(const struct aloop__alloc *alloc,
                        struct aloop__reactor **ret)
{
    struct aloop__reactor *reactor = aloop__alloc_zero(alloc, sizeof *reactor);
    int fd;

    if (reactor == NULL)
        return -ENOMEM;
    fd = aloop__sys_kqueue_open();
    if (fd < 0) {
        aloop__alloc_free(alloc, reactor, sizeof *reactor);
        return fd;
    }
    reactor->alloc = alloc;
    reactor->queue_fd = fd;
    reactor->host_fd = -1;
    reactor->owner = aloop__sys_process_adopt(0);
    *ret = reactor;
    return 0;
}

void aloop__reactor_close(struct aloop__reactor *reactor)
{
    if (reactor == NULL)
        return;
    if (reactor->owner == aloop__sys_process_id()) {
        if (reactor->host_fd >= 0)
            aloop__sys_close(reactor->host_fd);
        aloop__sys_close(reactor->queue_fd);
    }
    aloop__alloc_free(reactor->alloc, reactor, sizeof *reactor);
}

/* These are constants because the type of `filter` differs between systems. */
static const struct kevent read_kind = {.filter = EVFILT_READ};
static const struct kevent write_kind = {.filter = EVFILT_WRITE};
static const struct kevent alarm_kind = {.filter = EVFILT_TIMER};

/* Does the same as EV_SET, whose udata is a pointer on some systems and an
 * integer on others. */
static struct kevent change_of(const struct kevent *kind, int fd,
                               unsigned flags, uint32_t generation)
{
    struct kevent change = *kind;
    uintptr_t udata = generation;

    static_assert(sizeof change.udata == sizeof udata, "udata is a word");
    change.ident = (uintptr_t) fd;
    change.flags = (unsigned short) flags;
    memcpy(&change.udata, &udata, sizeof udata);
    return change;
}

/* Returns -EPERM for kinds of descriptor that are always ready.  kqueue accepts
 * them, but the other reactors do not. */
static int check_kqueue_kind(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? -EPERM : 0;
}

int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now)
{
    static const struct {
        unsigned bit;
        const struct kevent *kind;
    } kinds[] = {
        {REACTOR_READ, &read_kind}, {REACTOR_WRITE, &write_kind},
    };
    struct kevent changes[2], answers[2];
    int count = 0, error = now != 0 && was == 0 ? check_kqueue_kind(fd) : 0;

    if (error < 0)
        return error;
    for (size_t i = 0; i < 2; i++) {
        /* An event that stays is added again: it may have been lost, and its
         * generation may have changed. */
        unsigned flags = (now & kinds[i].bit) != 0 ? EV_ADD : EV_DELETE;

        if (((was | now) & kinds[i].bit) != 0)
            changes[count++] = change_of(kinds[i].kind, fd,
                                         flags | EV_RECEIPT, generation);
    }
    count =
        aloop__sys_kevent(reactor->queue_fd, changes, count, answers, count, 0);
    for (int i = 0; i < count && error == 0; i++) {
        unsigned bit = answers[i].filter == EVFILT_READ ? REACTOR_READ
                                                        : REACTOR_WRITE;

        /* Removing fails only if there is nothing to remove. */
        if ((answers[i].flags & EV_ERROR) != 0 && (now & bit) != 0)
            error = -(int) answers[i].data;
    }
    return count < 0 && now != 0 ? count : error;
}

static struct aloop__event event_of_kevent(const struct kevent *event)
{
    bool is_read = event->filter == EVFILT_READ;
    bool is_at_end = (event->flags & EV_EOF) != 0;
    struct aloop__event ret = {
        .fd = (int) event->ident,
        .bits = is_read ? REACTOR_READ : REACTOR_WRITE,
    };
    uintptr_t udata;

    memcpy(&udata, &event->udata, sizeof udata);
    ret.generation = (uint32_t) udata;
    /* The end of the input is an error only if an errno was reported with it.
     * The end of the output always is one. */
    if ((is_at_end && (!is_read || event->fflags != 0)) ||
        (event->flags & EV_ERROR) != 0)
        ret.bits |= REACTOR_ERROR;
    if ((event->flags & EV_ERROR) != 0)
        ret.error = -(int) event->data;
    else if (is_at_end)
        ret.error = -(int) event->fflags;
    return ret;
}

int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max)
{
    int count =
        aloop__sys_kevent(reactor->queue_fd, NULL, 0, reactor->batch,
                          max < KQUEUE_BATCH ? max : KQUEUE_BATCH, timeout_ns);

    for (int i = 0; i < count; i++)
        events[i] = event_of_kevent(&reactor->batch[i]);
    return count;
}

static int add_to_host_queue(int queue_fd, int fd)
{
    struct kevent change = change_of(&read_kind, fd, EV_ADD, 0);

    return aloop__sys_kevent(queue_fd, &change, 1, NULL, 0, 0);
}

static int open_host_queue(int queue_fd)
{
    int fd = aloop__sys_kqueue_open();
    int error = fd < 0 ? fd : add_to_host_queue(fd, queue_fd);

    if (error < 0 && fd >= 0)
        aloop__sys_close(fd);
    return error < 0 ? error : fd;
}

int aloop__reactor_fd(struct aloop__reactor *reactor)
{
    int fd = reactor->host_fd;

    if (fd < 0) {
        fd = open_host_queue(reactor->queue_fd);
        if (fd >= 0)
            reactor->host_fd = fd;
    }
    return fd;
}

/* The old timer is deleted first, because not every system restarts a timer
 * that is added again.  This is a call of its own, because it fails if there is
 * no timer. */
int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t delay_ns)
{
    int fd = aloop__reactor_fd(reactor);
    struct kevent change = change_of(&alarm_kind, 0, EV_DELETE, 0);

    if (fd < 0)
        return fd;
    aloop__sys_kevent(fd, &change, 1, NULL, 0, 0);
    if (delay_ns < 0)
        return 0;
    if (delay_ns > ALARM_MAX_NS)
        delay_ns = ALARM_MAX_NS;
    change = change_of(&alarm_kind, 0, EV_ADD | EV_ONESHOT, 0);
    change.fflags = TIMER_UNIT;
    change.data = delay_ns / TIMER_UNIT_NS + (delay_ns % TIMER_UNIT_NS != 0);
    if (change.data == 0)
        change.data = 1;
    return aloop__sys_kevent(fd, &change, 1, NULL, 0, 0);
}

/* Replaces the host's queue in a forked child, under its old number if that is
 * still free. */
static int replace_host_queue(struct aloop__reactor *reactor, int queue_fd)
{
    int fd = open_host_queue(queue_fd);

    if (fd < 0)
        return fd;
    if (fd != reactor->host_fd && fcntl(reactor->host_fd, F_GETFD) < 0 &&
        aloop__sys_move(fd, reactor->host_fd) == 0)
        return 0;
    reactor->host_fd = fd;
    return 0;
}

/* Opens a queue whose number is not `taken`. */
static int open_queue(int taken)
{
    int fd = aloop__sys_kqueue_open(), other;

    if (fd < 0 || fd != taken)
        return fd;
    other = aloop__sys_kqueue_open();
    aloop__sys_close(fd);
    return other;
}

int aloop__reactor_renew(struct aloop__reactor *reactor)
{
    bool is_child = reactor->owner != aloop__sys_process_adopt(0);
    int error = 0, fd = open_queue(reactor->host_fd);

    if (fd < 0)
        return fd;
    if (reactor->host_fd >= 0)
        error = is_child ? replace_host_queue(reactor, fd)
                         : add_to_host_queue(reactor->host_fd, fd);
    if (error < 0) {
        aloop__sys_close(fd);
        return error;
    }
    if (!is_child)
        /* This also removes it from the host's queue. */
        aloop__sys_close(reactor->queue_fd);
    reactor->queue_fd = fd;
    reactor->owner = aloop__sys_process_adopt(0);
    return 0;
}
