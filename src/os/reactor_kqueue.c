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
 * Reading, writing and urgent data are three filters, so that a descriptor has
 * up to three events.  The descriptor is the `ident` of an event.  Its `udata`
 * has the generation and two flags.
 *
 * Errors and hang-ups come with the filters for reading and writing.  If
 * neither is requested, a filter for reading is added that is quiet: it reports
 * each change once (EV_CLEAR), and its data is ignored. */

#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/reactor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

/* FreeBSD and NetBSD have no event for urgent data. */
#if defined(EVFILT_EXCEPT) && defined(NOTE_OOB)
#define HAVE_PRIORITY 1
enum { HAS_PRIORITY = true };
#else
enum { HAS_PRIORITY = false };
#endif

/* The lowest bits of udata. */
enum {
    UDATA_HANGUP = 1, /* REACTOR_HANGUP was requested. */
    UDATA_QUIET = 2   /* It belongs to a quiet filter, or one beside it. */
};

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
    /* The time of the alarm in host_fd.  INT64_MAX: there is none. */
    int64_t alarm_ns;
    unsigned owner; /* The process that opened them. */
    struct kevent batch[KQUEUE_BATCH];
};

const char aloop__reactor_name[] = "kqueue";
const bool aloop__reactor_has_edges = false;
const bool aloop__reactor_has_errors = true;

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
    reactor->alarm_ns = INT64_MAX;
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
static const struct kevent quiet_kind = {
    .filter = EVFILT_READ,
    .flags = EV_CLEAR,
};
static const struct kevent write_kind = {.filter = EVFILT_WRITE};
#ifdef HAVE_PRIORITY
static const struct kevent priority_kind = {
    .filter = EVFILT_EXCEPT,
    .fflags = NOTE_OOB,
};
#endif
static const struct kevent alarm_kind = {.filter = EVFILT_TIMER};

/* The filters of a descriptor, by the REACTOR_* that needs them. */
enum { FILTER_QUIET = 32 };

static const struct {
    unsigned bit;
    const struct kevent *kind;
} filter_kinds[] = {
    {REACTOR_READ, &read_kind},
    {FILTER_QUIET, &quiet_kind},
    {REACTOR_WRITE, &write_kind},
#ifdef HAVE_PRIORITY
    {REACTOR_PRIORITY, &priority_kind},
#endif
};

enum { KIND_COUNT = sizeof filter_kinds / sizeof filter_kinds[0] };

/* Returns which filters the REACTOR_* in `bits` need. */
static unsigned filters_of(unsigned bits)
{
    unsigned filters = bits & (REACTOR_READ | REACTOR_WRITE | REACTOR_PRIORITY);

    if (bits != 0 && (bits & (REACTOR_READ | REACTOR_WRITE)) == 0)
        filters |= FILTER_QUIET;
    return filters;
}

/* Packs the generation and the two flags. */
static uintptr_t udata_of(uint32_t generation, unsigned bits)
{
    uintptr_t udata = (uintptr_t) generation << 2;

    if ((bits & REACTOR_HANGUP) != 0)
        udata |= UDATA_HANGUP;
    if ((filters_of(bits) & FILTER_QUIET) != 0)
        udata |= UDATA_QUIET;
    return udata;
}

/* Does the same as EV_SET, whose udata is a pointer on some systems and an
 * integer on others. */
static struct kevent change_of(const struct kevent *kind, int fd,
                               unsigned flags, uintptr_t udata)
{
    struct kevent change = *kind;

    static_assert(sizeof change.udata == sizeof udata, "udata is a word");
    change.ident = (uintptr_t) fd;
    change.flags = (unsigned short) (change.flags | flags);
    memcpy(&change.udata, &udata, sizeof udata);
    return change;
}

/* Returns -EPERM for kinds of descriptor that are always ready.  kqueue accepts
 * them, but reports a regular file only up to its end.  Returns -EBADF if the
 * number was closed outside the loop's control, and then given to a queue. */
static int check_kqueue_kind(const struct aloop__reactor *reactor, int fd)
{
    struct stat status;

    if (fd == reactor->queue_fd || fd == reactor->host_fd)
        return -EBADF;
    if (fstat(fd, &status) < 0)
        return -errno;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) ? -EPERM : 0;
}

/* Writes a change for each of `filters`.  Returns their number. */
static int change_filters(struct kevent *changes, unsigned filters, int fd,
                          unsigned flags, uintptr_t udata)
{
    int count = 0;

    for (size_t i = 0; i < KIND_COUNT; i++)
        if ((filters & filter_kinds[i].bit) != 0)
            changes[count++] =
                change_of(filter_kinds[i].kind, fd, flags | EV_RECEIPT, udata);
    return count;
}

/* Removes and adds filters in one call. */
int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now)
{
    struct kevent changes[2 * KIND_COUNT], answers[2 * KIND_COUNT];
    unsigned wanted = filters_of(now);
    int count,
        error = now != 0 && was == 0 ? check_kqueue_kind(reactor, fd) : 0;

    if (!HAS_PRIORITY && (now & REACTOR_PRIORITY) != 0)
        error = -ENOTSUP;
    if (error < 0)
        return error;
    /* A filter that stays is added again: it may have been lost, and its
     * generation may have changed.  EV_ADD does not change EV_CLEAR. */
    count =
        change_filters(changes, filters_of(was) & ~wanted, fd, EV_DELETE, 0);
    count += change_filters(changes + count, wanted, fd, EV_ADD,
                            udata_of(generation, now));
    count =
        aloop__sys_kevent(reactor->queue_fd, changes, count, answers, count, 0);
    if (now == 0) /* Removing fails only if there is nothing to remove. */
        return 0;
    for (int i = 0; i < count && error == 0; i++)
        if ((answers[i].flags & EV_ERROR) != 0 && answers[i].data != ENOENT)
            error = -(int) answers[i].data;
    return count < 0 ? count : error;
}

/* Enables a filter that is enabled, which fails if there is none. */
bool aloop__reactor_is_watching(struct aloop__reactor *reactor, int fd,
                                uint32_t generation, unsigned bits)
{
    struct kevent changes[KIND_COUNT], answer = {0};
    int count = change_filters(changes, filters_of(bits), fd, EV_ENABLE,
                               udata_of(generation, bits));

    assert(count > 0);
    count = aloop__sys_kevent(reactor->queue_fd, changes, 1, &answer, 1, 0);
    return count >= 0 && ((answer.flags & EV_ERROR) == 0 || answer.data == 0);
}

/* Returns POLLHUP if both directions are closed, because kqueue reports the end
 * of each of them, and so does poll() on macOS: POLLHUP of an entry is there
 * the end of the direction that its events belong to, and a direction that the
 * descriptor does not have is POLLNVAL.  Elsewhere both entries have POLLHUP.
 * Returns POLLERR if there is no reader at the other end of a pipe. */
static int ends_of(int fd)
{
    struct pollfd ends[2] = {{.fd = fd, .events = POLLHUP},
                             {.fd = fd, .events = POLLOUT}};
    int ret;

    if (aloop__sys_poll(ends, 2, 0) <= 0)
        return 0;
    ret = (ends[0].revents | ends[1].revents) & POLLERR;
    if ((ends[0].revents & POLLHUP) != 0 &&
        (ends[1].revents & (POLLHUP | POLLNVAL)) != 0)
        ret |= POLLHUP;
    return ret;
}

/* The end of the input is an error only if an errno was reported with it.  The
 * end of the output is one, too, unless it is a hang-up that was requested.  If
 * neither direction was requested, poll() knows which of them has ended. */
static unsigned bits_at_end(const struct kevent *event, uintptr_t udata)
{
    bool is_quiet = (udata & UDATA_QUIET) != 0;
    int ends = is_quiet || (udata & UDATA_HANGUP) != 0
                   ? ends_of((int) event->ident)
                   : 0;
    bool is_hangup = (ends & POLLHUP) != 0;
    unsigned bits = 0;

    if (is_hangup)
        bits |= (udata & UDATA_HANGUP) != 0 ? REACTOR_HANGUP : REACTOR_ERROR;
    else if (event->filter == EVFILT_WRITE ||
             (is_quiet && (ends & POLLERR) != 0))
        bits |= REACTOR_ERROR;
    if (event->fflags != 0)
        bits |= REACTOR_ERROR;
    return bits;
}

/* The result has no bits if nothing that was requested has happened. */
static struct aloop__event event_of_kevent(const struct kevent *event)
{
    unsigned bits;
    uintptr_t udata;
    int error = 0;

    memcpy(&udata, &event->udata, sizeof udata);
    if (event->filter == EVFILT_WRITE)
        bits = REACTOR_WRITE;
    else if (event->filter == EVFILT_READ)
        bits = (udata & UDATA_QUIET) != 0 ? 0 : REACTOR_READ;
    else
        bits = REACTOR_PRIORITY;
    if ((event->flags & EV_ERROR) != 0) {
        bits |= REACTOR_ERROR;
        error = -(int) event->data;
    } else if ((event->flags & EV_EOF) != 0 && bits != REACTOR_PRIORITY) {
        bits |= bits_at_end(event, udata);
        error = -(int) event->fflags;
    }
    return aloop__event_of((int) event->ident, (uint32_t) (udata >> 2), bits,
                           error);
}

/* Events without bits are left out: the quiet filter reports changes of the
 * input, which nothing has requested. */
int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max)
{
    int count = aloop__sys_kevent(reactor->queue_fd, NULL, 0, reactor->batch,
                                  max < KQUEUE_BATCH ? max : KQUEUE_BATCH,
                                  timeout_ns);

    int used = 0;

    for (int i = 0; i < count; i++) {
        events[used] = event_of_kevent(&reactor->batch[i]);
        used += events[used].bits != 0;
    }
    return count < 0 ? count : used;
}

/* A queue is readable while it has an event. */
static int add_to_host_queue(int queue_fd, int fd)
{
    struct kevent change = change_of(&read_kind, fd, EV_ADD, 0);

    return aloop__sys_kevent(queue_fd, &change, 1, NULL, 0, 0);
}

/* Opens a queue that watches `queue_fd`. */
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

/* Returns the time from now until the alarm, which is not 0 for a kernel that
 * refuses that. */
static int64_t alarm_delay(int64_t when_ns)
{
    int64_t now_ns = aloop__sys_clock_ns();

    if (when_ns <= now_ns)
        return 1;
    return when_ns - now_ns < ALARM_MAX_NS ? when_ns - now_ns : ALARM_MAX_NS;
}

/* The old timer is deleted first, because not every system restarts a timer
 * that is added again.  This is a call of its own, because it fails if there is
 * no timer.
 *
 * A timer that has expired stays due, because nothing takes its event. */
int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t when_ns)
{
    int fd = aloop__reactor_fd(reactor), error;
    struct kevent change = change_of(&alarm_kind, 0, EV_DELETE, 0);
    int64_t delay_ns;

    if (fd < 0 || when_ns == reactor->alarm_ns)
        return fd < 0 ? fd : 0;
    aloop__sys_kevent(fd, &change, 1, NULL, 0, 0);
    reactor->alarm_ns = INT64_MAX;
    if (when_ns == INT64_MAX)
        return 0;
    delay_ns = alarm_delay(when_ns);
    change = change_of(&alarm_kind, 0, EV_ADD | EV_ONESHOT, 0);
    change.fflags = TIMER_UNIT;
    change.data = delay_ns / TIMER_UNIT_NS + (delay_ns % TIMER_UNIT_NS != 0);
    error = aloop__sys_kevent(fd, &change, 1, NULL, 0, 0);
    if (error == 0)
        reactor->alarm_ns = when_ns;
    return error;
}

/* Replaces the host's queue in a forked child, under its old number if that is
 * still free. */
static int replace_host_queue(struct aloop__reactor *reactor, int queue_fd)
{
    int fd = open_host_queue(queue_fd);

    if (fd < 0)
        return fd;
    reactor->alarm_ns = INT64_MAX;
    if (fd != reactor->host_fd && fcntl(reactor->host_fd, F_GETFD) < 0 &&
        aloop__sys_move(fd, reactor->host_fd) == 0)
        return 0;
    reactor->host_fd = fd;
    return 0;
}

/* Opens a queue whose number is not `avoided`. */
static int open_queue(int avoided)
{
    int fd = aloop__sys_kqueue_open(), other;

    if (fd < 0 || fd != avoided)
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
