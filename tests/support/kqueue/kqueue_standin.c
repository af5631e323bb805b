/* A stand-in for kqueue, made of epoll, so that reactor_kqueue.c can be tested
 * on Linux.  It is for tests only, and slow where that is simpler.
 *
 * Imitated: filters for reading, writing, out-of-band data (NOTE_OOB) and
 * one-shot timers; each filter of a descriptor is an event of its own; EV_CLEAR
 * for reading, and EV_ENABLE of what is enabled; errors go into the event list
 * while there is room, and then nothing else does; EV_RECEIPT; EV_EOF; a queue
 * can be polled and watched by another; closing a descriptor removes what
 * watches it, also while a duplicate lives on; a child of fork has no queues.
 * For the last two it takes the place of close, dup2 and dup3, and uses
 * pthread_atfork.  It also takes the place of ppoll, whose POLLHUP is then as
 * on macOS: the end of the input is enough.
 *
 * Not imitated: every other filter and flag (EINVAL, to be noticed); `data`
 * (always 1); which error came with EV_EOF (always ECONNRESET: asking would
 * take it; while the environment has KQUEUE_STANDIN_TAKES_ERRORS it is asked
 * for and taken, as libkqueue does); regular files (EPERM, as with epoll);
 * sockets that were never connected (epoll calls them hung up); the moment at
 * which a wait sees what another thread changes. */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/tools.h"

enum { BATCH = 256, TIMERS_MAX = 4, FILTERS = 3 };

#define TIMER_TAG (UINT64_C(1) << 32)

/* A descriptor under watch; without filters it is not. */
struct note {
    bool has_filter[FILTERS]; /* Reading, writing, out-of-band data. */
    void *udata[FILTERS];
    int first;         /* Which of them is reported first: they take turns. */
    bool is_clear;     /* EV_CLEAR of the filter for reading. */
    unsigned reported; /* What that filter has reported already. */
};

struct timer {
    int fd; /* -1: free. */
    uintptr_t ident;
    void *udata;
};

struct queue {
    struct note *notes; /* By descriptor. */
    size_t note_count;
    struct timer timers[TIMERS_MAX];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct queue **queues; /* By descriptor. */
static size_t queue_count;

#if WITH_TSAN
/* TSan's close(), which forgets which thread has opened the descriptor.  The
 * next thread that gets the same number would be reported otherwise. */
static int (*checked_close)(int fd);

__attribute__((constructor)) static void find_close(void)
{
    *(void **) &checked_close = dlsym(RTLD_NEXT, "close");
}
#endif

static int raw_close(int fd)
{
#if WITH_TSAN
    if (checked_close != NULL)
        return checked_close(fd);
#endif
    return (int) syscall(SYS_close, fd);
}

/* Grows an array of zeroed items so that `index` is inside. */
static void *reach(void *items, size_t *count, size_t index, size_t size)
{
    size_t wanted = *count == 0 ? 64 : *count;
    char *grown;

    if (index < *count)
        return items;
    while (wanted <= index)
        wanted *= 2;
    grown = realloc(items, wanted * size);
    if (grown == NULL)
        abort();
    memset(grown + *count * size, 0, (wanted - *count) * size);
    *count = wanted;
    return grown;
}

static struct queue *queue_of(int fd)
{
    return fd >= 0 && (size_t) fd < queue_count ? queues[fd] : NULL;
}

static void forget_queue(int fd)
{
    struct queue *queue = queue_of(fd);

    if (queue == NULL)
        return;
    for (int i = 0; i < TIMERS_MAX; i++)
        if (queue->timers[i].fd >= 0)
            raw_close(queue->timers[i].fd);
    free(queue->notes);
    free(queue);
    queues[fd] = NULL;
    for (size_t i = 0; i < queue_count; i++)
        if (queues[i] != NULL)
            return;
    free(queues); /* The last: leak checkers find nothing. */
    queues = NULL;
    queue_count = 0;
}

static bool is_watched(const struct note *note)
{
    return note->has_filter[0] || note->has_filter[1] || note->has_filter[2];
}

/* `fd` is about to be closed. */
static void forget(int fd)
{
    struct epoll_event event = {0};

    pthread_mutex_lock(&mutex);
    forget_queue(fd);
    for (size_t i = 0; i < queue_count; i++)
        if (queues[i] != NULL && fd >= 0 &&
            (size_t) fd < queues[i]->note_count) {
            struct note *note = &queues[i]->notes[fd];

            if (is_watched(note))
                epoll_ctl((int) i, EPOLL_CTL_DEL, fd, &event);
            memset(note, 0, sizeof *note);
        }
    pthread_mutex_unlock(&mutex);
}

int close(int fd)
{
    forget(fd);
    return raw_close(fd);
}

int dup3(int from, int to, int flags)
{
    if (from != to && fcntl(from, F_GETFD) >= 0)
        forget(to);
    return (int) syscall(SYS_dup3, from, to, flags);
}

int dup2(int from, int to)
{
    if (from == to)
        return fcntl(from, F_GETFD) < 0 ? -1 : to;
    return dup3(from, to, 0);
}

static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&mutex);
}

static void after_fork_in_child(void)
{
    for (size_t i = 0; i < queue_count; i++)
        if (queues[i] != NULL) {
            raw_close((int) i);
            forget_queue((int) i);
        }
    pthread_mutex_unlock(&mutex);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int kqueue(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int fd = epoll_create1(0);
    struct queue *queue;

    pthread_once(&once, watch_forks);
    if (fd < 0)
        return -1;
    queue = calloc(1, sizeof *queue);
    if (queue == NULL) {
        raw_close(fd);
        errno = ENOMEM;
        return -1;
    }
    for (int i = 0; i < TIMERS_MAX; i++)
        queue->timers[i].fd = -1;
    pthread_mutex_lock(&mutex);
    forget_queue(fd);
    queues = reach(queues, &queue_count, (size_t) fd, sizeof *queues);
    queues[fd] = queue;
    pthread_mutex_unlock(&mutex);
    return fd;
}

/* Sets the events that the note's filters need; returns 0 or an errno. */
static int update(int fd, int ident, struct note *note, bool is_known)
{
    struct epoll_event event = {.data = {.u64 = (uint64_t) ident}};
    int operation = is_watched(note) ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (note->has_filter[0])
        event.events |= EPOLLIN | EPOLLRDHUP;
    if (note->has_filter[1])
        event.events |= EPOLLOUT;
    if (note->has_filter[2])
        event.events |= EPOLLPRI;
    if (note->is_clear)
        event.events |= EPOLLET;
    if (!is_known)
        operation = EPOLL_CTL_ADD;
    return epoll_ctl(fd, operation, ident, &event) < 0 ? errno : 0;
}

static int change_note(int fd, struct queue *queue, const struct kevent *change)
{
    int filter = change->filter == EVFILT_READ    ? 0
                 : change->filter == EVFILT_WRITE ? 1
                                                  : 2;
    int ident = (int) change->ident, error;
    struct note *note, old;

    if (fcntl(ident, F_GETFD) < 0)
        return EBADF;
    queue->notes = reach(queue->notes, &queue->note_count, (size_t) ident,
                         sizeof *queue->notes);
    note = &queue->notes[ident];
    /* A library that calls the close() of libc may have closed the number. */
    if (is_watched(note) && update(fd, ident, note, true) == ENOENT)
        memset(note, 0, sizeof *note);
    old = *note;
    if ((change->flags & EV_ADD) == 0 && !note->has_filter[filter])
        return ENOENT;
    /* As in a kernel, adding what is there does not change EV_CLEAR. */
    if (filter == 0 && !note->has_filter[0])
        note->is_clear = (change->flags & EV_CLEAR) != 0;
    note->has_filter[filter] = (change->flags & EV_DELETE) == 0;
    note->is_clear = note->is_clear && note->has_filter[0];
    note->reported = 0;
    note->udata[filter] = change->udata;
    error = note->is_clear && note->has_filter[1]
                ? EINVAL
                : update(fd, ident, note, is_watched(&old));
    if (error != 0)
        *note = old;
    return error;
}

static struct timer *find_timer(struct queue *queue, uintptr_t ident)
{
    for (int i = 0; i < TIMERS_MAX; i++)
        if (queue->timers[i].fd >= 0 && queue->timers[i].ident == ident)
            return &queue->timers[i];
    return NULL;
}

/* The timers of a real queue have no numbers of the program. */
static int open_timer(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int moved = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;

    if (fd >= 0)
        raw_close(fd);
    errno = error;
    return moved;
}

static int start_timer(int fd, struct timer *timer, int index,
                       const struct kevent *change)
{
    int64_t unit_ns = change->fflags == NOTE_NSECONDS ? 1 : 1000000;
    int64_t s = change->data / (1000000000 / unit_ns);
    int64_t rest = change->data % (1000000000 / unit_ns);
    struct itimerspec value = {
        .it_value = {.tv_sec = (time_t) s, .tv_nsec = (long) (rest * unit_ns)},
    };
    struct epoll_event event = {
        .events = EPOLLIN,
        .data = {.u64 = TIMER_TAG | (uint64_t) index},
    };

    timer->fd = open_timer();
    if (timer->fd < 0)
        return errno;
    timer->ident = change->ident;
    timer->udata = change->udata;
    if (timerfd_settime(timer->fd, 0, &value, NULL) < 0 ||
        epoll_ctl(fd, EPOLL_CTL_ADD, timer->fd, &event) < 0) {
        int error = errno;

        raw_close(timer->fd);
        timer->fd = -1;
        return error;
    }
    return 0;
}

static void stop_timer(struct timer *timer)
{
    raw_close(timer->fd); /* No duplicate of it exists, so epoll forgets it. */
    timer->fd = -1;
}

static int change_timer(int fd, struct queue *queue,
                        const struct kevent *change)
{
    struct timer *timer = find_timer(queue, change->ident);

    if ((change->flags & EV_DELETE) != 0 && timer == NULL)
        return ENOENT;
    if (timer != NULL)
        stop_timer(timer);
    if ((change->flags & EV_DELETE) != 0)
        return 0;
    if (change->data <= 0 || (change->flags & EV_ONESHOT) == 0)
        return EINVAL;
    for (int i = 0; i < TIMERS_MAX; i++)
        if (queue->timers[i].fd < 0)
            return start_timer(fd, &queue->timers[i], i, change);
    return ENOMEM;
}

static int apply(int fd, struct queue *queue, const struct kevent *change)
{
    unsigned verb = change->flags & (EV_ADD | EV_DELETE | EV_ENABLE);
    unsigned known = EV_ADD | EV_DELETE | EV_RECEIPT;
    unsigned fflags = change->filter == EVFILT_EXCEPT ? NOTE_OOB : 0;
    bool is_timer = change->filter == EVFILT_TIMER;

    if (is_timer)
        known |= EV_ONESHOT;
    else
        known |= EV_ENABLE;
    if (change->filter == EVFILT_READ)
        known |= EV_CLEAR;
    if ((change->flags & ~known) != 0 || verb == 0 || (verb & (verb - 1)) != 0)
        return EINVAL;
    if (is_timer)
        return change_timer(fd, queue, change);
    if ((change->filter != EVFILT_READ && change->filter != EVFILT_WRITE &&
         change->filter != EVFILT_EXCEPT) ||
        change->fflags != fflags)
        return EINVAL;
    return change_note(fd, queue, change);
}

/* Returns how many answers were written, or -1 and errno. */
static int apply_all(int fd, const struct kevent *changes, int change_count,
                     struct kevent *answers, int answer_count)
{
    int count = 0, error = 0;
    struct queue *queue;

    pthread_mutex_lock(&mutex);
    queue = queue_of(fd);
    if (queue == NULL)
        error = EBADF;
    for (int i = 0; i < change_count && error == 0; i++) {
        struct kevent change = changes[i]; /* May share room with answers. */
        int result = apply(fd, queue, &change);

        if (result == 0 && (change.flags & EV_RECEIPT) == 0)
            continue;
        if (count == answer_count) {
            error = result;
            continue;
        }
        answers[count] = change;
        answers[count].flags |= EV_ERROR;
        answers[count++].data = result;
    }
    pthread_mutex_unlock(&mutex);
    if (error == 0)
        return count;
    errno = error;
    return -1;
}

/* The error that comes with the end of a connection. */
/* Only sockets have errors. */
static unsigned error_of(int fd)
{
    bool is_taken = getenv("KQUEUE_STANDIN_TAKES_ERRORS") != NULL;
    int value = 0;
    socklen_t size = sizeof value;

    if (getsockopt(fd, SOL_SOCKET, is_taken ? SO_ERROR : SO_TYPE, &value,
                   &size) < 0)
        return 0;
    return is_taken ? (unsigned) value : ECONNRESET;
}

/* An error of a socket for datagrams is no end: the filters report only that a
 * call would not wait. */
static bool has_end(int fd)
{
    int type = SOCK_STREAM;
    socklen_t size = sizeof type;

    (void) getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    return type != SOCK_DGRAM;
}

/* One filter's event, if it has one. */
static bool report(const struct note *note, int ident, int filter,
                   unsigned events, struct kevent *ret)
{
    static const struct {
        short filter;
        unsigned wakes, ends;
    } kinds[] = {
        {EVFILT_READ, EPOLLIN | EPOLLRDHUP, EPOLLRDHUP | EPOLLHUP | EPOLLERR},
        {EVFILT_WRITE, EPOLLOUT, EPOLLHUP | EPOLLERR},
        {EVFILT_EXCEPT, EPOLLPRI, 0},
    };
    bool is_at_end = (events & kinds[filter].ends) != 0 && has_end(ident);

    if (!note->has_filter[filter] ||
        (events & (kinds[filter].ends | kinds[filter].wakes)) == 0)
        return false;
    *ret = (struct kevent){
        .ident = (uintptr_t) ident,
        .filter = kinds[filter].filter,
        .flags = is_at_end ? EV_EOF : 0,
        .fflags = filter == 2                             ? NOTE_OOB
                  : is_at_end && (events & EPOLLERR) != 0 ? error_of(ident)
                                                          : 0,
        .data = 1,
        .udata = note->udata[filter],
    };
    return true;
}

/* Returns whether the filter for reading has reported all of this already. */
static bool is_old(const struct note *note, int filter, unsigned events)
{
    return filter == 0 && note->is_clear && (events & ~note->reported) == 0;
}

/* Writes what fits of one descriptor's events; the rest comes next time.  An
 * edge-triggered descriptor is armed again, because only one of its filters has
 * EV_CLEAR. */
static int report_note(int fd, struct note *note, int ident, unsigned events,
                       struct kevent *ret, int room)
{
    int count = 0, first = note->first;

    for (int i = 0; i < FILTERS && count < room; i++) {
        int filter = (first + i) % FILTERS;

        if (!is_old(note, filter, events) &&
            report(note, ident, filter, events, &ret[count])) {
            note->first = (filter + 1) % FILTERS;
            count++;
        }
    }
    if (note->is_clear) {
        note->reported = events;
        if (note->has_filter[2] && (events & EPOLLPRI) != 0)
            (void) update(fd, ident, note, true);
    }
    return count;
}

static int report_timer(struct timer *timer, struct kevent *ret)
{
    if (timer->fd < 0)
        return 0;
    *ret = (struct kevent){
        .ident = timer->ident,
        .filter = EVFILT_TIMER,
        .flags = EV_ONESHOT,
        .data = 1,
        .udata = timer->udata,
    };
    stop_timer(timer);
    return 1;
}

static int report_all(int fd, const struct epoll_event *ready, int ready_count,
                      struct kevent *events, int event_count)
{
    struct queue *queue;
    int count = 0;

    pthread_mutex_lock(&mutex);
    queue = queue_of(fd);
    for (int i = 0; i < ready_count && count < event_count; i++) {
        uint64_t key = ready[i].data.u64;

        if (queue == NULL)
            continue;
        if ((key & TIMER_TAG) != 0)
            count +=
                report_timer(&queue->timers[key & ~TIMER_TAG], &events[count]);
        else if (key < queue->note_count)
            count += report_note(fd, &queue->notes[key], (int) key,
                                 ready[i].events, &events[count],
                                 event_count - count);
    }
    pthread_mutex_unlock(&mutex);
    return count;
}

/* Rounded up. */
static int milliseconds(const struct timespec *timeout)
{
    if (timeout == NULL)
        return -1;
    if (timeout->tv_sec >= INT_MAX / 1000)
        return INT_MAX;
    return (int) (timeout->tv_sec * 1000 +
                  (timeout->tv_nsec + 999999) / 1000000);
}

int kevent(int queue, const struct kevent *changes, int change_count,
           struct kevent *events, int event_count,
           const struct timespec *timeout)
{
    struct epoll_event ready[BATCH];
    int count;

    if (timeout != NULL && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
                            timeout->tv_nsec >= 1000000000)) {
        errno = EINVAL;
        return -1;
    }
    count = apply_all(queue, changes, change_count, events, event_count);
    if (count != 0 || event_count == 0)
        return count;
    count = epoll_wait(queue, ready, event_count < BATCH ? event_count : BATCH,
                       milliseconds(timeout));
    return count < 0 ? -1
                     : report_all(queue, ready, count, events, event_count);
}

/* POLLHUP is the end of each direction whose events are asked for.  The system
 * calls the end of the input POLLRDHUP. */
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
          const sigset_t *mask)
{
    struct timespec left = {0}; /* The system changes it. */
    int result;

    if (timeout != NULL)
        left = *timeout;
    for (nfds_t i = 0; i < count; i++)
        if ((fds[i].events & (POLLIN | POLLHUP)) != 0)
            fds[i].events |= POLLRDHUP;
    result = (int) syscall(SYS_ppoll, fds, count,
                           timeout == NULL ? NULL : &left, mask,
                           (size_t) _NSIG / CHAR_BIT);
    for (nfds_t i = 0; i < count; i++) {
        if (result > 0 && (fds[i].revents & POLLRDHUP) != 0)
            fds[i].revents = (short) ((fds[i].revents & ~POLLRDHUP) | POLLHUP);
        fds[i].events = (short) (fds[i].events & ~POLLRDHUP);
    }
    return result;
}
