/* Readiness from poll, for systems without epoll and kqueue.  It also keeps the
 * interface independent of those two.
 *
 * The watched descriptors are a dense array, as poll() needs it, with what is
 * known about them in a second one.  The first entry is reserved for a host
 * loop.  POLLHUP among the requested events, which poll() ignores, means that
 * hang-ups were requested.  `places` maps a descriptor to its index.  Unlike
 * the other reactors, poll() watches numbers.  A closed descriptor is detected
 * (POLLNVAL), reported once and dropped.  A number that was reused stays
 * watched.
 *
 * For a host loop, a thread polls the array; see reactor_poll_host.c.
 * aloop__reactor_alarm() publishes it, because it is called when the loop
 * returns to its host.  A wait withdraws it, because the loop then polls
 * itself.  A change in between withdraws it and publishes it again. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/reactor.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "os/reactor_poll_host.h"
#include "os/sys.h"

/* What poll() itself does not keep: an entry of the second array. */
struct poll_mark {
    uint32_t generation;
    dev_t device; /* With `inode`, the object behind the descriptor. */
    ino_t inode;
};

struct aloop__reactor {
    const struct aloop__alloc *alloc;
    struct pollfd *fds;      /* Entries 1 to `count` are used, in no order. */
    struct poll_mark *marks; /* With the same indices. */
    size_t count, room;
    /* Where the last search ended, so that no descriptor is always last. */
    size_t last;
    size_t *places; /* By descriptor: its index, or 0 for none. */
    size_t places_size;
    struct aloop__poll_host *host; /* NULL until it is requested. */
    bool is_published;             /* The thread of `host` polls the array. */
};

const char aloop__reactor_name[] = "poll";
const bool aloop__reactor_has_edges = false;
const bool aloop__reactor_has_errors = false;

/* Makes room for one more entry in both arrays, or in neither. */
static int grow_entries(struct aloop__reactor *reactor)
{
    size_t old = reactor->room, room = old == 0 ? 16 : old * 2;
    struct poll_mark *marks;
    struct pollfd *fds;

    if (reactor->count + 1 < old)
        return 0;
    fds = aloop__alloc_new(reactor->alloc, room * sizeof *fds);
    marks = aloop__alloc_new(reactor->alloc, room * sizeof *marks);
    if (fds == NULL || marks == NULL) {
        aloop__alloc_free(reactor->alloc, fds, room * sizeof *fds);
        aloop__alloc_free(reactor->alloc, marks, room * sizeof *marks);
        return -ENOMEM;
    }
    if (old > 0) {
        memcpy(fds, reactor->fds, old * sizeof *fds);
        memcpy(marks, reactor->marks, old * sizeof *marks);
    }
    aloop__alloc_free(reactor->alloc, reactor->fds, old * sizeof *fds);
    aloop__alloc_free(reactor->alloc, reactor->marks, old * sizeof *marks);
    reactor->fds = fds;
    reactor->marks = marks;
    reactor->room = room;
    return 0;
}

int aloop__reactor_open(const struct aloop__alloc *alloc,
                        struct aloop__reactor **ret)
{
    struct aloop__reactor *reactor = aloop__alloc_zero(alloc, sizeof *reactor);

    if (reactor == NULL)
        return -ENOMEM;
    reactor->alloc = alloc;
    if (grow_entries(reactor) < 0) {
        aloop__alloc_free(alloc, reactor, sizeof *reactor);
        return -ENOMEM;
    }
    *ret = reactor;
    return 0;
}

void aloop__reactor_close(struct aloop__reactor *reactor)
{
    if (reactor == NULL)
        return;
    aloop__poll_host_close(reactor->host);
    aloop__alloc_free(reactor->alloc, reactor->fds,
                      reactor->room * sizeof *reactor->fds);
    aloop__alloc_free(reactor->alloc, reactor->marks,
                      reactor->room * sizeof *reactor->marks);
    aloop__alloc_free(reactor->alloc, reactor->places,
                      reactor->places_size * sizeof *reactor->places);
    aloop__alloc_free(reactor->alloc, reactor, sizeof *reactor);
}

/* Lets the thread of `host` poll the array.  The array must not change until
 * withdraw_watched() has returned. */
static void publish_watched(struct aloop__reactor *reactor)
{
    reactor->is_published = true;
    aloop__poll_host_publish(reactor->host, reactor->fds, reactor->count + 1);
}

static void withdraw_watched(struct aloop__reactor *reactor)
{
    if (reactor->is_published)
        aloop__poll_host_withdraw(reactor->host);
    reactor->is_published = false;
}

/* Makes `places` large enough for `fd`. */
static int grow_places(struct aloop__reactor *reactor, size_t fd)
{
    size_t old = reactor->places_size, size = old == 0 ? 64 : old;
    size_t *places;

    if (fd < old)
        return 0;
    while (size <= fd)
        size *= 2;
    places = aloop__alloc_resize(reactor->alloc, reactor->places,
                                 old * sizeof *places, size * sizeof *places);
    if (places == NULL)
        return -ENOMEM;
    memset(places + old, 0, (size - old) * sizeof *places);
    reactor->places = places;
    reactor->places_size = size;
    return 0;
}

/* Writes the object behind `fd` to *ret.  Returns -EBADF, or -EPERM for a
 * directory, which is always ready.  So is a regular file, but those of Linux
 * in sysfs and /proc are regular files as well, and have REACTOR_PRIORITY. */
static int identify(int fd, struct poll_mark *ret)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    ret->device = status.st_dev;
    ret->inode = status.st_ino;
    return S_ISDIR(status.st_mode) ? -EPERM : 0;
}

/* Returns the index of the descriptor's entry, or 0 if there is none. */
static size_t place_of_fd(const struct aloop__reactor *reactor, int fd)
{
    return (size_t) fd < reactor->places_size ? reactor->places[fd] : 0;
}

/* Removes an entry.  The last one takes its place. */
static void drop_entry(struct aloop__reactor *reactor, size_t i)
{
    size_t last = reactor->count--;

    reactor->places[reactor->fds[i].fd] = 0;
    if (i == last)
        return;
    reactor->fds[i] = reactor->fds[last];
    reactor->marks[i] = reactor->marks[last];
    reactor->places[reactor->fds[i].fd] = i;
}

/* Adds an entry that watches nothing yet. */
static int add_entry(struct aloop__reactor *reactor, int fd)
{
    struct poll_mark mark = {0};
    int error = identify(fd, &mark);

    if (error == 0)
        error = grow_places(reactor, (size_t) fd);
    if (error == 0)
        error = grow_entries(reactor);
    if (error < 0)
        return error;
    reactor->fds[++reactor->count] = (struct pollfd){.fd = fd};
    reactor->marks[reactor->count] = mark;
    reactor->places[fd] = reactor->count;
    return 0;
}

static short poll_events_of(unsigned bits)
{
    int events = 0;

    if ((bits & REACTOR_READ) != 0)
        events |= POLLIN;
    if ((bits & REACTOR_WRITE) != 0)
        events |= POLLOUT;
    if ((bits & REACTOR_PRIORITY) != 0)
        events |= POLLPRI;
    if ((bits & REACTOR_HANGUP) != 0)
        events |= POLLHUP;
    return (short) events;
}

/* Watches `bits`, which is not 0, and adds an entry if there is none. */
static int set_entry(struct aloop__reactor *reactor, int fd,
                     uint32_t generation, unsigned bits)
{
    size_t place = place_of_fd(reactor, fd);
    int error = 0;

    if (place == 0) {
        error = add_entry(reactor, fd);
        place = reactor->count;
    }
    if (error < 0)
        return error;
    reactor->fds[place].events = poll_events_of(bits);
    reactor->fds[place].revents = 0;
    reactor->marks[place].generation = generation;
    return 0;
}

/* The array may move when it grows, and the thread of `host` must not read it
 * then. */
int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now)
{
    bool was_published = reactor->is_published;
    size_t place = place_of_fd(reactor, fd);
    int error = 0;

    (void) was; /* The entry has this information too. */
    withdraw_watched(reactor);
    if (now != 0)
        error = set_entry(reactor, fd, generation, now);
    else if (place > 0)
        drop_entry(reactor, place);
    if (was_published)
        publish_watched(reactor);
    return error;
}

/* Compares the object behind the descriptor with that of the time when it was
 * set. */
bool aloop__reactor_is_watching(struct aloop__reactor *reactor, int fd,
                                uint32_t generation, unsigned bits)
{
    size_t place = place_of_fd(reactor, fd);
    struct poll_mark mark = {0};

    (void) generation;
    (void) bits;
    return place > 0 && identify(fd, &mark) == 0 &&
           mark.device == reactor->marks[place].device &&
           mark.inode == reactor->marks[place].inode;
}

/* A hang-up is the end of the input, if reading was requested, and an error
 * unless hang-ups were requested. */
static unsigned bits_of(const struct pollfd *fd)
{
    unsigned bits = 0;

    if ((fd->revents & POLLIN) != 0)
        bits |= REACTOR_READ;
    if ((fd->revents & POLLOUT) != 0)
        bits |= REACTOR_WRITE;
    if ((fd->revents & POLLPRI) != 0)
        bits |= REACTOR_PRIORITY;
    if ((fd->revents & (POLLERR | POLLNVAL)) != 0)
        bits |= REACTOR_ERROR;
    if ((fd->revents & POLLHUP) != 0)
        bits |= (fd->events & POLLHUP) != 0 ? REACTOR_HANGUP : REACTOR_ERROR;
    if ((fd->revents & (POLLERR | POLLHUP)) != 0 && (fd->events & POLLIN) != 0)
        bits |= REACTOR_READ;
    return bits;
}

/* Writes an event for each ready entry, beginning after the last search. */
static int collect(struct aloop__reactor *reactor, struct aloop__event *events,
                   int max)
{
    size_t i = reactor->last;
    int count = 0;

    for (size_t n = reactor->count; n > 0 && count < max; n--) {
        struct pollfd *fd;

        if (++i > reactor->count)
            i = 1;
        fd = &reactor->fds[i];
        if (fd->revents != 0)
            events[count++] = aloop__event_of(
                fd->fd, reactor->marks[i].generation, bits_of(fd), 0);
    }
    reactor->last = i;
    return count;
}

/* Drops closed descriptors, so that each is reported only once. */
static void drop_closed(struct aloop__reactor *reactor,
                        const struct aloop__event *events, int count)
{
    for (int k = 0; k < count; k++) {
        size_t place = place_of_fd(reactor, aloop__event_fd(&events[k]));

        if ((reactor->fds[place].revents & POLLNVAL) != 0)
            drop_entry(reactor, place);
    }
}

/* poll() returns as many ready descriptors as there are, and `events` may have
 * room for fewer.  The others are reported by the next call, which begins
 * behind them. */
int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max)
{
    int count;

    withdraw_watched(reactor);
    count = aloop__sys_poll(reactor->fds + 1, reactor->count, timeout_ns);
    if (count <= 0)
        return count;
    count = collect(reactor, events, max);
    drop_closed(reactor, events, count);
    return count;
}

int aloop__reactor_fd(struct aloop__reactor *reactor)
{
    int error;

    if (reactor->host == NULL) {
        error = aloop__poll_host_open(reactor->alloc, &reactor->host);
        if (error < 0)
            return error;
        publish_watched(reactor);
    }
    return aloop__poll_host_fd(reactor->host);
}

int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t when_ns)
{
    int fd = aloop__reactor_fd(reactor);

    if (fd < 0)
        return fd;
    aloop__poll_host_alarm(reactor->host, when_ns);
    publish_watched(reactor);
    return 0;
}

/* There is no kernel object, and a forked child has its own copy of the array.
 * Only `host` has something to replace. */
int aloop__reactor_renew(struct aloop__reactor *reactor)
{
    bool was_published = reactor->is_published;
    int error = 0;

    withdraw_watched(reactor);
    if (reactor->host != NULL)
        error = aloop__poll_host_renew(reactor->host);
    if (error < 0)
        return error;
    for (size_t i = 1; i <= reactor->count; i++)
        reactor->places[reactor->fds[i].fd] = 0;
    reactor->count = 0;
    if (was_published)
        publish_watched(reactor);
    return 0;
}
