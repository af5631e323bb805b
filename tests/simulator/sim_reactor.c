/* The simulated reactor.  Waiting for events lets time pass.
 *
 * As with epoll, a description under a number is watched.  A description that
 * remains open after its number was closed still reports events, with the
 * generation that was set, and can no longer be removed. */

#include <errno.h>
#include <string.h>

#include "sim_world.h"

struct watch {
    struct sim_file *file;
    int fd;
    uint32_t generation;
    unsigned bits;
    /* Temporary: element k holds the index of the kth ready watch. */
    size_t ready;
};

struct aloop__reactor {
    const struct aloop__alloc *alloc;
    int fd;                /* Stands for the kernel's object. */
    int host_fd;           /* -1 before aloop__reactor_fd(). */
    int64_t alarm_ns;      /* By the clock; INT64_MAX: not set. */
    struct watch *watches; /* In the order in which they were set. */
    size_t size, capacity;
    size_t first; /* Where the next wait begins, if not all events fit. */
};

const char aloop__reactor_name[] = "sim";
const bool aloop__reactor_has_edges = false;
const bool aloop__reactor_has_errors = true;

static int open_fd(struct aloop__reactor *reactor)
{
    struct sim_file *file;
    int fd = sim__fd_open(SIM_REACTOR, &file);

    if (fd >= 0)
        file->reactor = reactor;
    return fd;
}

static void close_fd(int fd)
{
    struct sim_file *file = sim__peek(fd);

    if (file != NULL)
        file->reactor = NULL;
    sim__fd_close(fd);
}

int aloop__reactor_open(const struct aloop__alloc *alloc,
                        struct aloop__reactor **ret)
{
    int fault = sim__enter(CALL_reactor_open);
    struct aloop__reactor *reactor;
    int fd;

    if (fault < 0)
        return fault;
    reactor = aloop__alloc_zero(alloc, sizeof *reactor);
    if (reactor == NULL)
        return -ENOMEM;
    fd = open_fd(reactor);
    if (fd < 0) {
        aloop__alloc_free(alloc, reactor, sizeof *reactor);
        return fd;
    }
    reactor->alloc = alloc;
    reactor->fd = fd;
    reactor->host_fd = -1;
    reactor->alarm_ns = INT64_MAX;
    *ret = reactor;
    return 0;
}

void aloop__reactor_close(struct aloop__reactor *reactor)
{
    if (reactor == NULL)
        return;
    sim__note(CALL_reactor_close);
    close_fd(reactor->fd);
    if (reactor->host_fd >= 0)
        close_fd(reactor->host_fd);
    aloop__alloc_free(reactor->alloc, reactor->watches,
                      reactor->capacity * sizeof reactor->watches[0]);
    aloop__alloc_free(reactor->alloc, reactor, sizeof *reactor);
}

static struct watch *find_watch(struct aloop__reactor *reactor,
                                const struct sim_file *file, int fd)
{
    for (size_t i = 0; i < reactor->size; i++)
        if (reactor->watches[i].file == file && reactor->watches[i].fd == fd)
            return &reactor->watches[i];
    return NULL;
}

static void remove_watch(struct aloop__reactor *reactor, struct watch *watch)
{
    size_t after = (size_t) (&reactor->watches[reactor->size] - watch) - 1;

    memmove(watch, watch + 1, after * sizeof *watch);
    reactor->size--;
}

/* Removes the watches of closed descriptions. */
static void sweep(struct aloop__reactor *reactor)
{
    size_t kept = 0;

    for (size_t i = 0; i < reactor->size; i++)
        if (reactor->watches[i].file->references > 0)
            reactor->watches[kept++] = reactor->watches[i];
    reactor->size = kept;
}

/* Returns NULL if out of memory. */
static struct watch *add_watch(struct aloop__reactor *reactor,
                               struct sim_file *file, int fd)
{
    if (reactor->size == reactor->capacity) {
        size_t capacity = 2 * reactor->capacity + 16;
        struct watch *watches = aloop__alloc_resize(
            reactor->alloc, reactor->watches,
            reactor->capacity * sizeof *watches, capacity * sizeof *watches);

        if (watches == NULL)
            return NULL;
        reactor->watches = watches;
        reactor->capacity = capacity;
    }
    struct watch *watch = &reactor->watches[reactor->size++];
    *watch = (struct watch){.file = file, .fd = fd};
    return watch;
}

static void change(const struct aloop__reactor *reactor, int fd)
{
    const struct sim_file *file = sim__peek(fd);

    if (file != NULL && file->reactor == reactor)
        sim__change(file);
}

/* Only a call that watches for more can fail, as on real systems. */
int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now)
{
    struct sim_file *file = sim__peek(fd);
    struct watch *watch;
    int fault;

    sim__trace(fd);
    sim__trace(now);
    change(reactor, reactor->fd);
    sweep(reactor);
    watch = find_watch(reactor, file, fd);
    if (now == 0) {
        if (was != 0 && file != NULL && watch != NULL)
            remove_watch(reactor, watch);
        return 0;
    }
    fault = sim__enter(CALL_reactor_set);
    if (fault < 0 && (now & ~was) != 0)
        return fault;
    if (file == NULL)
        return -EBADF;
    if (file->kind == SIM_REGULAR || file->kind == SIM_NAMED ||
        (file->kind == SIM_FILE && !sim__file_is_waitable(file)))
        return -EPERM;
    if (watch == NULL)
        watch = add_watch(reactor, file, fd);
    if (watch == NULL)
        return -ENOMEM;
    watch->generation = generation;
    watch->bits = now;
    return 0;
}

bool aloop__reactor_is_watching(struct aloop__reactor *reactor, int fd,
                                uint32_t generation, unsigned bits)
{
    (void) generation;
    (void) bits;
    sim__note(CALL_reactor_is_watching);
    sweep(reactor);
    return find_watch(reactor, sim__peek(fd), fd) != NULL;
}

/* A hang-up is an error unless hang-ups are watched.  Both also count as
 * readable if the watch is for reading. */
static unsigned bits_of(const struct watch *watch)
{
    unsigned ready = sim__ready_bits(watch->file);
    unsigned bits = ready & (watch->bits | REACTOR_ERROR);

    if ((ready & ~watch->bits & REACTOR_HANGUP) != 0)
        bits |= REACTOR_ERROR;
    if ((bits & (REACTOR_ERROR | REACTOR_HANGUP)) != 0)
        bits |= watch->bits & REACTOR_READ;
    return bits;
}

/* Finds the ready watches.  If not all events fit, the next wait continues with
 * the others. */
static size_t find_ready(struct aloop__reactor *reactor)
{
    size_t count = 0;

    for (size_t i = 0; i < reactor->size; i++) {
        size_t at = (reactor->first + i) % reactor->size;

        if (bits_of(&reactor->watches[at]) != 0)
            reactor->watches[count++].ready = at;
    }
    return count;
}

static void shuffle(struct watch *watches, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t) sim_random(i);
        size_t ready = watches[i - 1].ready;

        watches[i - 1].ready = watches[j].ready;
        watches[j].ready = ready;
    }
}

/* Takes the socket's error if this reactor does so. */
static int take_error(const struct watch *watch)
{
    struct sim_socket *socket = watch->file->socket;
    int error;

    if (!sim__world.options.is_error_cleared || socket == NULL)
        return 0;
    error = socket->error;
    socket->error = 0;
    return error;
}

static int collect(struct aloop__reactor *reactor, struct aloop__event *events,
                   int max)
{
    struct watch *watches = reactor->watches;
    size_t count;

    sweep(reactor);
    count = find_ready(reactor);
    if (sim__world.options.is_shuffled)
        shuffle(watches, count);
    if (count > (size_t) max) {
        count = (size_t) max;
        reactor->first = watches[count - 1].ready + 1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct watch *watch = &watches[watches[i].ready];

        unsigned bits = bits_of(watch);

        events[i] = aloop__event_of(watch->fd, watch->generation, bits,
                                    take_error(watch));
        sim__trace(watch->fd);
        sim__trace(watch->generation);
        sim__trace(bits);
    }
    return (int) count;
}

/* The time at which a wait without events ends. */
static int64_t end_of(int64_t timeout_ns)
{
    bool is_early = timeout_ns != 0 &&
                    sim__chance(sim__world.options.early_percent);

    if (is_early)
        timeout_ns =
            timeout_ns < 0 ? 0 : (int64_t) sim_random((uint64_t) timeout_ns);
    if (timeout_ns < 0)
        return INT64_MAX;
    return sim__add_ns(sim__world.now_ns, timeout_ns);
}

int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max)
{
    int fault = sim__enter(CALL_reactor_wait);
    int64_t end_ns = end_of(timeout_ns);

    sim__world.wakes++;
    sim__world.was_interrupted = false;
    if (sim__locks_held())
        sim__world.bad_locks++;
    if (fault < 0)
        return fault;
    for (;;) {
        int count;
        int64_t next_ns;

        sim__happen();
        sim__trace(sim__world.now_ns);
        /* As in a kernel, it ends without events. */
        if (sim__world.was_interrupted)
            return 0;
        count = collect(reactor, events, max);
        if (count > 0 || sim__world.now_ns >= end_ns)
            return count;
        next_ns = sim__next_ns();
        if (next_ns == INT64_MAX && timeout_ns < 0) {
            sim__world.is_deadlocked = true;
            return -EDEADLK;
        }
        sim__world.now_ns = next_ns < end_ns ? next_ns : end_ns;
    }
}

int aloop__reactor_fd(struct aloop__reactor *reactor)
{
    int fault = sim__enter(CALL_reactor_fd);

    if (fault < 0)
        return fault;
    if (reactor->host_fd < 0) {
        int fd = open_fd(reactor);

        if (fd < 0)
            return fd;
        reactor->host_fd = fd;
    }
    return reactor->host_fd;
}

/* Does nothing.  The event makes waits stop at its time. */
static void tick(void *arg)
{
    (void) arg;
}

/* An alarm that is set already is not a call of the system. */
int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t when_ns)
{
    int64_t due_ns;
    int fault;

    sim__trace(when_ns);
    if (when_ns == reactor->alarm_ns)
        return 0;
    fault = sim__enter(CALL_reactor_alarm);
    if (fault < 0)
        return fault;
    change(reactor, reactor->host_fd);
    due_ns = sim__world.now_ns;
    if (when_ns != INT64_MAX && when_ns > due_ns + sim__world.jump_ns)
        due_ns = when_ns - sim__world.jump_ns;
    if (when_ns != INT64_MAX)
        sim__schedule(due_ns, tick, NULL);
    reactor->alarm_ns = when_ns;
    return 0;
}

/* In a child, replaces a description that it shares with its parent, under the
 * same number.  Returns whether it has done so. */
static bool replace(struct aloop__reactor *reactor, int fd)
{
    if (fd < 0 || !sim__peek(fd)->is_parents)
        return false;
    sim__fd_replace(fd)->reactor = reactor;
    return true;
}

int aloop__reactor_renew(struct aloop__reactor *reactor)
{
    int fault = sim__enter(CALL_reactor_renew);

    if (fault < 0)
        return fault;
    replace(reactor, reactor->fd);
    if (replace(reactor, reactor->host_fd))
        reactor->alarm_ns = INT64_MAX;
    reactor->size = 0;
    reactor->first = 0;
    return 0;
}

bool sim__reactor_readable(const struct aloop__reactor *reactor)
{
    if (reactor == NULL)
        return false;
    if (reactor->alarm_ns <= sim__world.now_ns + sim__world.jump_ns)
        return true;
    for (size_t i = 0; i < reactor->size; i++)
        if (reactor->watches[i].file->references > 0 &&
            bits_of(&reactor->watches[i]) != 0)
            return true;
    return false;
}
