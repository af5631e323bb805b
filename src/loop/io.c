/* Descriptors that the loop watches.
 *
 *     reactor --> event {descriptor, generation} --> loop->ios[descriptor]
 *
 * The table loop->ios has an entry for each number.  The entry has the watcher
 * of the descriptor, which is its owner, the events that the reactor watches,
 * and a generation.  An entry gets a new generation when its watcher is added,
 * so that events of an earlier descriptor with the same number are recognized.
 * The reactor's events contain a descriptor and a generation, never a pointer
 * to an object.
 *
 * An event without a watcher can be left over from this batch, if an earlier
 * callback has closed or disarmed the watcher.  If no callback did so,
 * the descriptor was closed outside the loop's control while a duplicate of it
 * is still open.  The kernel cannot remove such a descriptor from the set, and
 * would report it indefinitely.  Therefore the whole set is created again. */

#include "loop/io.h"

#include <string.h>

#include "os/reactor.h"

static int make_room(aloop *loop, size_t fd)
{
    size_t count = loop->io_count == 0 ? 64 : loop->io_count;
    struct aloop__io_entry *ios;

    if (fd < loop->io_count)
        return 0;
    while (count <= fd)
        count *= 2;
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

/* What the watcher wants, if it belongs to this process. */
static unsigned wanted_bits(const aloop *loop,
                            const struct aloop__io_entry *entry)
{
    const struct aloop__io *io = entry->first;

    return io != NULL && aloop__io_is_ours(loop, io) ? io->armed : 0;
}

/* Has the reactor watch `bits`. */
static int arm_entry(aloop *loop, int fd, unsigned bits)
{
    struct aloop__io_entry *entry = &loop->ios[fd];
    int error = 0;

    if (bits != entry->armed)
        error = aloop__reactor_set(loop->reactor, fd, entry->generation,
                                   entry->armed, bits);
    if (error == 0)
        entry->armed = (uint16_t) bits;
    return error;
}

/* Removes the watcher of a descriptor that was closed outside the loop's
 * control: the number now belongs to a new descriptor, or to none.  The
 * watcher is notified, and must not close that number. */
static void evict_watchers(aloop *loop, int fd)
{
    struct aloop__io_entry *entry = &loop->ios[fd];
    struct aloop__io *io = entry->first;

    aloop__reactor_set(loop->reactor, fd, entry->generation, entry->armed, 0);
    *entry = (struct aloop__io_entry){0};
    loop->has_closed_io = true;
    io->armed = 0;
    io->fd = -1;
    io->on_ready(io, REACTOR_ERROR);
}

int aloop__io_open(aloop *loop, struct aloop__io *io, int fd,
                   void (*on_ready)(struct aloop__io *io, unsigned bits))
{
    int error = make_room(loop, (size_t) fd);

    if (error < 0)
        return error;
    if (loop->ios[fd].first != NULL)
        evict_watchers(loop, fd);
    loop->generation = loop->generation % REACTOR_GENERATION_MAX + 1;
    loop->ios[fd] = (struct aloop__io_entry){
        .first = io,
        .generation = loop->generation,
    };
    io->fd = fd;
    io->armed = 0;
    io->process = loop->process;
    io->error = 0;
    io->on_ready = on_ready;
    return 0;
}

/* The bits of a descriptor of another process are only recorded, for
 * aloop__io_claim().  The kernel object may be shared with that process. */
int aloop__io_arm(aloop *loop, struct aloop__io *io, unsigned bits)
{
    int error;

    if (io->armed == bits)
        return 0;
    if (io->fd < 0)
        return ALOOP_EBADF;
    if (!aloop__io_is_ours(loop, io)) {
        io->armed = (uint16_t) bits;
        return 0;
    }
    error = arm_entry(loop, io->fd, bits);
    if (error == 0)
        io->armed = (uint16_t) bits;
    if (bits == 0)
        loop->has_closed_io = true;
    return error;
}

int aloop__io_close(aloop *loop, struct aloop__io *io)
{
    int fd = io->fd;

    if (fd < 0)
        return -1;
    aloop__io_arm(loop, io, 0); /* A failure has no consequences here. */
    loop->ios[fd] = (struct aloop__io_entry){0};
    loop->has_closed_io = true;
    io->fd = -1;
    io->armed = 0;
    return fd;
}

/* Returns NULL if the event is about an earlier descriptor of its number. */
static const struct aloop__io_entry *
entry_of_event(const aloop *loop, const struct aloop__event *event)
{
    const struct aloop__io_entry *entry;

    if ((size_t) event->fd >= loop->io_count) /* Also if it is negative. */
        return NULL;
    entry = &loop->ios[event->fd];
    return entry->generation == event->generation ? entry : NULL;
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
        const struct aloop__io_entry *entry = NULL;

        if (events[i].error != 0)
            entry = entry_of_event(loop, &events[i]);
        if (entry != NULL)
            aloop__io_failed(entry->first, events[i].error);
    }
}

/* An entry without a watcher has a generation that no event has. */
void aloop__io_dispatch(aloop *loop, const struct aloop__event *event)
{
    const struct aloop__io_entry *entry = entry_of_event(loop, event);
    struct aloop__io *io = entry != NULL ? entry->first : NULL;

    if (io != NULL && !aloop__io_is_ours(loop, io))
        return; /* A callback has forked since the wait. */
    if (io != NULL && io->armed != 0)
        io->on_ready(io, event->bits);
    else if (!loop->has_closed_io && !aloop__is_foreign(loop))
        aloop__io_renew(loop);
}

int aloop__io_claim(aloop *loop, struct aloop__io *io)
{
    unsigned bits = io->armed;

    if (aloop__io_is_ours(loop, io))
        return 0;
    if (aloop__is_foreign(loop) || loop->is_dying)
        return ALOOP_EPERM;
    io->process = loop->process;
    io->armed = 0;
    return aloop__io_arm(loop, io, bits);
}

/* Watches a descriptor again in a set that is new. */
static int rearm_entry(aloop *loop, int fd)
{
    struct aloop__io_entry *entry = &loop->ios[fd];
    int error;

    entry->armed = (uint16_t) wanted_bits(loop, entry);
    if (entry->armed == 0)
        return 0;
    error = aloop__reactor_set(loop->reactor, fd, entry->generation, 0,
                               entry->armed);
    if (error == ALOOP_EBADF) { /* It was closed outside the loop's control. */
        evict_watchers(loop, fd);
        error = 0;
    }
    return error;
}

int aloop__io_renew(aloop *loop)
{
    int first_error = aloop__reactor_renew(loop->reactor);
    bool is_renewed = first_error == 0; /* Otherwise the set may be a
                                         * parent's. */

    for (size_t fd = 0; is_renewed && fd < loop->io_count; fd++) {
        int error = rearm_entry(loop, (int) fd);

        if (first_error == 0)
            first_error = error;
    }
    loop->is_renewal_due = first_error < 0; /* The next turn tries again. */
    return first_error;
}
