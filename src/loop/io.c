/* Descriptors that the loop watches.
 *
 *     reactor --> event {descriptor, generation} --> loop->ios[descriptor]
 *                                                      |
 *                              watcher --> watcher --> owner
 *
 * The table loop->ios has the list of the watchers for each number, and nothing
 * else, because each idle connection pays for its place there.  What the
 * reactor watches is the union of the events that the watchers want.  The first
 * watcher of a number gets a new generation, which those that are added later
 * take over, so that events of an earlier descriptor with the same number are
 * recognized.  The reactor's events contain a descriptor and a generation,
 * never a pointer to an object.
 *
 * A descriptor that the library has opened has one watcher, its owner (struct
 * aloop__io).  Any number of other watchers can share a descriptor (struct
 * aloop__io_shared).  They are called in the order in which they were added,
 * and before the owner.  The owner has no link and is therefore the last in the
 * list, which saves memory in each stream.
 *
 * A callback may close and add any watchers; io_walk.h has the walks through a
 * list that allow this.  A walk skips watchers that were added after the wait.
 *
 * An event that no watcher wants can be left over from this batch, if an
 * earlier callback has closed or disarmed a watcher.  If none did, the
 * descriptor was closed by others while a duplicate of it is open.  The kernel
 * cannot remove it from the set and would report it indefinitely.  Therefore
 * the whole set is created again. */

#include "loop/io.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "loop/io_walk.h"
#include "os/reactor.h"
#include "os/sys_stream.h"

/* Makes the table contain `fd`.  It grows by an eighth: each idle connection
 * pays for its share of what is unused.  It never shrinks. */
static int make_room(aloop *loop, size_t fd)
{
    size_t count = loop->io_count == 0 ? 64 : loop->io_count;
    struct aloop__io **ios;

    if (fd < loop->io_count)
        return 0;
    while (count <= fd)
        count += count / 8;
    ios = aloop__alloc_resize(&loop->alloc, loop->ios,
                              loop->io_count * sizeof *ios,
                              count * sizeof *ios);
    if (ios == NULL)
        return ALOOP_ENOMEM;
    memset(ios + loop->io_count, 0, (count - loop->io_count) * sizeof *ios);
    loop->ios = ios;
    loop->io_count = count;
    return 0;
}

/* Returns what the reactor watches for this watcher. */
static unsigned watched_for(const aloop *loop, const struct aloop__io *io)
{
    return io->is_unwatched || !aloop__io_is_ours(loop, io) ? 0 : io->armed;
}

/* Adds `change` to the counts of the bits, if there are counts. */
static void count_bits(const aloop *loop, int fd, unsigned bits, int change)
{
    struct aloop__io_shared *first = aloop__io_shared_of(loop->ios[fd]);

    for (int i = 0; first != NULL && i < IO_BITS; i++)
        if ((bits >> i & 1) != 0)
            first->counts[i] += (uint32_t) change;
}

/* Counts what the watchers of this process want. */
static void count_again(const aloop *loop, int fd)
{
    struct aloop__io_shared *first = aloop__io_shared_of(loop->ios[fd]);
    struct aloop__io *io;

    if (first == NULL)
        return;
    memset(first->counts, 0, sizeof first->counts);
    for (io = loop->ios[fd]; io != NULL; io = aloop__io_after(io))
        count_bits(loop, fd, watched_for(loop, io), 1);
}

/* Returns what the reactor watches for the other watchers of the descriptor.
 * There are counts, because a search through many watchers takes long. */
static unsigned wanted_by_others(const aloop *loop, const struct aloop__io *io)
{
    const struct aloop__io_shared *first =
        aloop__io_shared_of(loop->ios[io->fd]);
    unsigned own = watched_for(loop, io), bits = 0;

    for (int i = 0; first != NULL && i < IO_BITS; i++)
        if (first->counts[i] > (own >> i & 1))
            bits |= 1U << i;
    return bits;
}

/* Returns what the reactor watches of the descriptor: the union of what the
 * watchers of this process want. */
static unsigned wanted_bits(const aloop *loop, int fd)
{
    const struct aloop__io *first = loop->ios[fd];

    if (first == NULL)
        return 0;
    return wanted_by_others(loop, first) | watched_for(loop, first);
}

/* Removes the watchers of a descriptor that was closed outside the loop's
 * control: the number now belongs to a new descriptor, or to none.  The
 * watchers are notified with `bits`, and must not close that number. */
static void evict_watchers(aloop *loop, int fd, unsigned bits)
{
    struct aloop__io *first = loop->ios[fd], *io;
    struct aloop__io_walk walk;

    aloop__reactor_set(loop->reactor, fd, first->generation,
                       wanted_bits(loop, fd), 0);
    for (struct aloop__io_walk *w = loop->io_walks; w != NULL; w = w->outer)
        if (w->next != NULL && w->next->fd == fd)
            w->next = NULL;
    aloop__io_walk_begin(loop, &walk, first);
    walk.is_of_evicted = true;
    for (io = first; io != NULL; io = aloop__io_after(io)) {
        io->armed = 0;
        io->fd = -1;
    }
    loop->ios[fd] = NULL;
    loop->has_closed_io = true;
    while ((io = aloop__io_walk_next(&walk)) != NULL)
        io->on_ready(io, bits);
    aloop__io_walk_end(loop, &walk);
}

/* Returns whether the number belongs to another descriptor than the watchers.
 * This is not known while they watch nothing. */
static bool is_replaced(const aloop *loop, int fd)
{
    unsigned bits = wanted_bits(loop, fd);

    return bits != 0 && !aloop__reactor_is_watching(
                            loop->reactor, fd, loop->ios[fd]->generation, bits);
}

/* Makes `io` a watcher of `fd`, which is in the table.  It is added behind all
 * watchers that share, and before the owner. */
static void attach_watcher(aloop *loop, struct aloop__io *io, int fd,
                           bool is_shared)
{
    const struct aloop__io *first = loop->ios[fd];

    /* It may have been evicted a moment ago. */
    aloop__io_leave_walks(loop, io);
    if (first == NULL)
        loop->generation = loop->generation % REACTOR_GENERATION_MAX + 1;
    io->generation = first == NULL ? loop->generation : first->generation;
    io->fd = fd;
    io->process = loop->process;
    io->armed = 0;
    io->error = 0;
    io->is_shared = is_shared;
    io->is_unwatched = false;
    aloop__io_append(&loop->ios[fd], io);
    if (is_shared && loop->ios[fd] == io)
        count_again(loop, fd);
}

int aloop__io_open(aloop *loop, struct aloop__io *io, int fd,
                   void (*on_ready)(struct aloop__io *io, unsigned bits))
{
    int error = make_room(loop, (size_t) fd);

    if (error < 0)
        return error;
    if (loop->ios[fd] != NULL)
        evict_watchers(loop, fd, REACTOR_ERROR);
    attach_watcher(loop, io, fd, false);
    io->on_ready = on_ready;
    return 0;
}

/* Returns ALOOP_EBADF for a number beyond the table that is not open, before
 * memory is allocated for it.  It has no watchers, so a trial watch is safe. */
static int check_number(aloop *loop, int fd)
{
    int error;

    if ((size_t) fd < loop->io_count)
        return 0;
    error = aloop__reactor_set(loop->reactor, fd, REACTOR_GENERATION_MAX, 0,
                               REACTOR_HANGUP);
    if (error == 0)
        aloop__reactor_set(loop->reactor, fd, REACTOR_GENERATION_MAX,
                           REACTOR_HANGUP, 0);
    return error == ALOOP_EBADF ? error : 0;
}

int aloop__io_share(aloop *loop, struct aloop__io_shared *shared, int fd,
                    void (*on_ready)(struct aloop__io *io, unsigned bits))
{
    int error = check_number(loop, fd);

    if (error == 0)
        error = make_room(loop, (size_t) fd);
    if (error < 0)
        return error;
    if (is_replaced(loop, fd))
        evict_watchers(loop, fd, REACTOR_ERROR);
    attach_watcher(loop, &shared->io, fd, true);
    if (!loop->has_new_io)
        loop->io_joins++;
    loop->has_new_io = true;
    shared->joined = loop->io_joins;
    shared->io.on_ready = on_ready;
    return 0;
}

/* Asks the reactor only if the union of all watchers changes.  Disarming always
 * succeeds for the watcher, also if the reactor has failed.
 *
 * The bits of a descriptor of another process are only recorded, for
 * aloop__io_adopt().  The kernel object may be shared with that process. */
int aloop__io_arm(aloop *loop, struct aloop__io *io, unsigned bits)
{
    unsigned others, own;
    int error = 0;

    if (io->armed == bits)
        return 0;
    if (io->fd < 0)
        return ALOOP_EBADF;
    if (!aloop__io_is_ours(loop, io)) {
        io->armed = (uint8_t) bits;
        return 0;
    }
    others = wanted_by_others(loop, io);
    own = watched_for(loop, io);
    if ((others | own) != (others | bits))
        error = aloop__reactor_set(loop->reactor, io->fd, io->generation,
                                   others | own, others | bits);
    if (error == 0 || bits == 0) {
        count_bits(loop, io->fd, own, -1);
        count_bits(loop, io->fd, bits, 1);
        io->armed = (uint8_t) bits;
    }
    if (bits == 0)
        loop->has_closed_io = true;
    if (error == ALOOP_EPERM && others != 0)
        loop->is_renewal_due = true; /* It evicts the others. */
    return error;
}

/* A watcher that was evicted has no descriptor any more, but may be in a
 * walk. */
int aloop__io_close(aloop *loop, struct aloop__io *io)
{
    int fd = io->fd;

    aloop__io_leave_walks(loop, io);
    if (fd < 0)
        return -1;
    aloop__io_arm(loop, io, 0); /* A failure has no consequences here. */
    aloop__io_unlink(&loop->ios[fd], io);
    loop->has_closed_io = true;
    io->fd = -1;
    io->armed = 0;
    return fd;
}

/* Returns whether the error concerns only the call, not the connection. */
static bool is_passing(int error)
{
    return error == ALOOP_EAGAIN || error == ALOOP_ENOMEM ||
           error == ALOOP_ENOBUFS || error == ALOOP_EBADF;
}

/* EPIPE is not recorded.  Its cause may be the peer's error or end of stream,
 * which is still to be read. */
int aloop__io_failed(struct aloop__io *io, int error)
{
    if (is_passing(error))
        return error;
    if (io->error == 0 && error != ALOOP_EPIPE)
        io->error =
            (short) (error == ALOOP_ENOTCONN ? ALOOP_ECONNRESET : error);
    return io->error != 0 ? io->error : error;
}

void aloop__io_keep_errors(aloop *loop, const struct aloop__event *events,
                           int count)
{
    for (int i = 0; i < count; i++) {
        int error = aloop__event_error(&events[i]);
        struct aloop__io *io = NULL;

        if (error != 0)
            io = aloop__io_of(loop, &events[i]);
        for (; io != NULL; io = aloop__io_after(io))
            aloop__io_failed(io, error);
    }
}

/* The part of an event that a watcher wants.  A hang-up is an error to those
 * that did not ask for hang-ups. */
static unsigned wanted_part(const struct aloop__io *io, unsigned bits)
{
    if (io->armed == 0)
        return 0;
    if ((bits & ~(unsigned) io->armed & REACTOR_HANGUP) != 0)
        bits |= REACTOR_ERROR;
    return bits & (io->armed | REACTOR_ERROR);
}

/* Returns whether the watcher was added after the last wait. */
static bool is_new_watcher(const aloop *loop, struct aloop__io *io)
{
    return loop->has_new_io && io->is_shared &&
           CONTAINER_OF(io, struct aloop__io_shared, io)->joined ==
               loop->io_joins;
}

/* Renews the set if no watcher wants the event and none was closed. */
void aloop__io_dispatch_all(aloop *loop, struct aloop__io *first, unsigned bits)
{
    bool is_expected = loop->has_closed_io;
    struct aloop__io_walk walk;
    struct aloop__io *io;

    aloop__io_walk_begin(loop, &walk, first);
    while ((io = aloop__io_walk_next(&walk)) != NULL) {
        /* A callback may have forked since the wait. */
        bool is_excluded = is_new_watcher(loop, io) ||
                           !aloop__io_is_ours(loop, io);
        unsigned part = is_excluded ? 0 : wanted_part(io, bits);

        is_expected = is_expected || is_excluded || part != 0;
        if (part != 0)
            io->on_ready(io, part);
    }
    aloop__io_walk_end(loop, &walk);
    if (!is_expected && !aloop__is_foreign(loop))
        aloop__io_renew(loop);
}

/* The set of the child does not contain the descriptor yet; `armed` is what the
 * watcher wanted in the parent. */
int aloop__io_adopt(aloop *loop, struct aloop__io *io)
{
    unsigned bits = io->armed;

    if (aloop__io_is_ours(loop, io))
        return 0;
    if (aloop__is_foreign(loop) || loop->is_dying)
        return ALOOP_EPERM;
    io->process = loop->process;
    io->armed = 0;
    return io->is_unwatched ? 0 : aloop__io_arm(loop, io, bits);
}

/* Sockets, pipes and terminals are never always ready. */
static bool is_waitable(int fd)
{
    struct sys_address address;
    struct sys_descriptor what;

    return aloop__sys_local_address(fd, &address) != -ENOTSOCK ||
           aloop__sys_examine(fd, &what) < 0 || what.kind == SYS_KIND_PIPE ||
           what.kind == SYS_KIND_TERMINAL;
}

/* Returns whether a number that the reactor has refused with ALOOP_EPERM
 * belongs to no descriptor that the library owns.  Those are sockets, pipes and
 * the wake-up channel, which the reactor accepts.  A refusal of one of these
 * has another cause, and its descriptor must not be lost. */
static bool is_not_owned(const aloop *loop, int fd)
{
    struct aloop__io *io = loop->ios[fd];

    while (io != NULL && io->is_shared)
        io = aloop__io_after(io);
    return io == NULL || (io != &loop->wake_io && !is_waitable(io->fd));
}

/* Watches a descriptor again in a set that is new.  If it is always ready, it
 * belongs to the application, or its number was used again. */
static int rearm_number(aloop *loop, int fd)
{
    unsigned bits;
    int error;

    count_again(loop, fd);
    bits = wanted_bits(loop, fd);
    if (bits == 0)
        return 0;
    error = aloop__reactor_set(loop->reactor, fd, loop->ios[fd]->generation, 0,
                               bits);
    if (error == ALOOP_EBADF) { /* It was closed outside the loop's control. */
        evict_watchers(loop, fd, REACTOR_ERROR);
        error = 0;
    } else if (error == ALOOP_EPERM && is_not_owned(loop, fd)) {
        evict_watchers(loop, fd, REACTOR_READ | REACTOR_WRITE);
        error = 0;
    }
    return error;
}

/* Continues after an error, so that as many descriptors as possible are
 * watched. */
int aloop__io_renew(aloop *loop)
{
    int first_error = aloop__reactor_renew(loop->reactor);
    bool is_renewed = first_error == 0; /* Otherwise the set may be a
                                         * parent's. */

    for (size_t fd = 0; is_renewed && fd < loop->io_count; fd++) {
        int error = rearm_number(loop, (int) fd);

        if (first_error == 0)
            first_error = error;
    }
    loop->is_renewal_due = first_error < 0; /* The next turn tries again. */
    /* The rest of this wait's events may be of the old set. */
    loop->has_closed_io = true;
    return first_error;
}
