/* Connecting by TCP: the race of attempts (RFC 8305).
 *
 *     aloop__race_start() --> try_next(): one attempt for the next address
 *         the attempt fails, or 250 ms have passed --> try_next()
 *         it connects --> attempt_ready() --> race->ended()
 *
 * The addresses are tried in the order of the caller, alternating between the
 * families.  The first attempt to succeed ends the others.  The race fails when
 * all addresses have failed, with the error of the last one that did.
 *
 * An attempt owns a descriptor, and only the winner's is given away.  All
 * attempts have ended before the race does, because they point to it. */

#include "stream/tcp_race.h"

#include "loop/clock.h"
#include "loop/host.h"
#include "os/reactor.h"

static const int64_t attempt_delay_ns = ALOOP_MS(250); /* RFC 8305, 5. */

/* One address that is being connected to. */
struct attempt {
    struct aloop__node node;
    struct aloop__io io;
    struct aloop__race *race;
    size_t index;     /* Of its address. */
    unsigned process; /* The process that started it. */
};

/* Closes the attempt's descriptor, if it still has one. */
static void free_attempt(struct attempt *attempt)
{
    aloop *loop = attempt->race->loop;
    int fd = aloop__io_close(loop, &attempt->io);

    if (fd >= 0)
        aloop__sys_close(fd);
    list_remove(&attempt->node);
    aloop__slab_put(&loop->slab, attempt, sizeof *attempt);
}

/* Ends everything that is pending, and frees the addresses.  The application
 * may keep a settled future for a long time. */
void aloop__race_stop(struct aloop__race *race)
{
    aloop *loop = race->loop;

    aloop__timed_stop(&loop->timers, &race->timed);
    while (!list_is_empty(&race->attempts))
        free_attempt(CONTAINER_OF(race->attempts.next, struct attempt, node));
    aloop__alloc_free(&loop->alloc, race->addresses,
                      race->count * sizeof *race->addresses);
    race->addresses = NULL;
}

/* Ends the race.  `result` is the descriptor of the winner, or an error. */
static void end_race(struct aloop__race *race, int result)
{
    aloop__race_stop(race);
    race->ended(race, result);
}

static void attempt_ready(struct aloop__io *io, unsigned bits);

/* Watches an attempt that is not complete yet.  Its socket becomes writable
 * when the connection is made or has failed (connect(2), EINPROGRESS).  After
 * an error the caller closes `fd`. */
static int watch_attempt(struct aloop__race *race, int fd)
{
    aloop *loop = race->loop;
    struct attempt *attempt = aloop__slab_get(&loop->slab, sizeof *attempt);
    int error;

    if (attempt == NULL)
        return ALOOP_ENOMEM;
    list_init(&attempt->node);
    attempt->race = race;
    attempt->index = race->next - 1;
    attempt->io.fd = -1;
    attempt->process = loop->process;
    error = aloop__io_open(loop, &attempt->io, fd, attempt_ready);
    attempt->io.process = IO_ANY_PROCESS; /* A child must start it again. */
    if (error == 0)
        error = aloop__io_arm(loop, &attempt->io, REACTOR_WRITE);
    if (error == 0) {
        list_push(&race->attempts, &attempt->node);
        return 0;
    }
    aloop__io_close(loop, &attempt->io); /* The caller closes `fd`. */
    aloop__slab_put(&loop->slab, attempt, sizeof *attempt);
    return error;
}

/* Returns 0 if `fd`, which has no pending error, is connected to another
 * socket.  The error may have been consumed before, so that its absence proves
 * nothing.  TCP can also connect a socket to itself, if both ends have the same
 * port (RFC 9293, 3.5, simultaneous open).  Such a connection is reset, so that
 * it does not occupy the port. */
static int check_peer(int fd)
{
    struct sys_address peer, local;
    int error = aloop__sys_peer_address(fd, &peer);

    if (error == 0)
        error = aloop__sys_local_address(fd, &local);
    else if (error == ALOOP_ENOTCONN || error == ALOOP_EINVAL)
        error = ALOOP_ECONNREFUSED; /* Nothing reports the real reason. */
    if (error == 0 && aloop__sys_address_is_same(&peer, &local)) {
        aloop__sys_reset_on_close(fd);
        error = ALOOP_ECONNREFUSED;
    }
    return error;
}

/* Binds the socket to the local address, if there is one.  An earlier
 * connection may still occupy a port, which is reused.  If this is not
 * possible, bind() reports it. */
static int bind_local(const struct aloop__race *race, int fd,
                      enum sys_family family)
{
    if (race->local.size == 0)
        return 0;
    if (aloop__sys_address_family(&race->local) != family)
        return ALOOP_EAFNOSUPPORT;
    if (aloop__sys_address_port(&race->local) > 0)
        aloop__sys_reuse_address(fd, family);
    return aloop__sys_bind(fd, &race->local);
}

/* Starts an attempt.  Returns 1 if it has connected, 0 if it is pending, or an
 * error.  *ret_fd is open only after 1 or 0.  A connection of the loopback
 * interface may be complete immediately. */
static int try_address(struct aloop__race *race,
                       const struct sys_address *address, int *ret_fd)
{
    enum sys_family family = aloop__sys_address_family(address);
    int fd = aloop__sys_tcp_socket(family);
    int error, state = 1;

    if (fd < 0)
        return fd;
    *ret_fd = fd;
    aloop__sys_no_delay(
        fd, true); /* If this fails, the connection is only slower. */
    error = bind_local(race, fd, family);
    if (error == 0)
        error = aloop__sys_connect(fd, address);
    if (error == 0) {
        error = check_peer(fd);
    } else if (error == -EINPROGRESS) {
        error = watch_attempt(race, fd);
        state = 0;
    }
    if (error == 0)
        return state;
    aloop__sys_close(fd);
    return error;
}

/* Tries addresses until one does not fail immediately.  Ends the race if one
 * has connected, or if none is left and no attempt is pending.  That may free
 * the race, so that it is the last call of every caller. */
static void try_next(struct aloop__race *race)
{
    aloop *loop = race->loop;
    int error = -1;
    int fd;

    aloop__timed_clear(loop, &race->timed);
    while (error < 0 && race->next < race->count) {
        error = try_address(race, &race->addresses[race->next++], &fd);
        if (error < 0)
            race->last_error = error;
    }
    if (error == 1) {
        end_race(race, fd);
    } else if (list_is_empty(&race->attempts)) {
        end_race(race, race->last_error);
    } else if (race->next < race->count) {
        /* If out of memory for the timer, the next attempt starts when one
         * fails. */
        aloop__timed_set(loop, &race->timed,
                         aloop__after(aloop__now(loop), attempt_delay_ns));
    }
}

/* timed->fire: the last attempt is slow, and the next one starts beside it. */
static void race_due(struct aloop__timed *timed)
{
    try_next(CONTAINER_OF(timed, struct aloop__race, timed));
}

/* In a forked child, the outcome of the attempt belongs to the parent.  The
 * child tries the same addresses again. */
static void start_over(struct attempt *attempt)
{
    struct aloop__race *race = attempt->race;

    if (attempt->index < race->next)
        race->next = attempt->index;
    free_attempt(attempt);
    try_next(race);
}

/* on_ready of an attempt: it has connected or failed.  `bits` do not show
 * which: the error, and the address of the peer, do. */
static void attempt_ready(struct aloop__io *io, unsigned bits)
{
    struct attempt *attempt = CONTAINER_OF(io, struct attempt, io);
    struct aloop__race *race = attempt->race;
    int error;

    (void) bits;
    if (attempt->process != race->loop->process) {
        start_over(attempt);
        return;
    }
    error = io->fd < 0 ? ALOOP_EBADF : aloop__sys_socket_error(io->fd);
    if (error == 0)
        error = io->error;
    if (error == 0)
        error = check_peer(io->fd);
    if (error == 0) {
        int fd = aloop__io_close(race->loop, io);

        free_attempt(attempt);
        end_race(race, fd);
        return;
    }
    race->last_error = error;
    free_attempt(attempt);
    try_next(race);
}

/* Returns the first index from `i` on whose family is, or is not, `family`;
 * `count` if there is none. */
static size_t find_family(const struct sys_address *addresses, size_t i,
                          size_t count, enum sys_family family, bool is_of_it)
{
    for (; i < count; i++)
        if ((aloop__sys_address_family(&addresses[i]) == family) == is_of_it)
            break;
    return i;
}

/* Sorts the addresses so that families alternate, beginning with the first
 * one's (RFC 8305, 4).  at[0] and at[1] are the next addresses of the two
 * families; one of them is `count` when its family is used up. */
static void interleave(struct sys_address *sorted,
                       const struct sys_address *addresses, size_t count)
{
    enum sys_family family = aloop__sys_address_family(&addresses[0]);
    size_t at[2] = {0, find_family(addresses, 0, count, family, false)};
    unsigned turn = 0;

    for (size_t i = 0; i < count; i++) {
        if (at[turn] == count)
            turn = 1 - turn;
        sorted[i] = addresses[at[turn]];
        at[turn] =
            find_family(addresses, at[turn] + 1, count, family, turn == 0);
        turn = 1 - turn;
    }
}

void aloop__race_init(struct aloop__race *race, aloop *loop,
                      void (*ended)(struct aloop__race *race, int result))
{
    race->loop = loop;
    race->ended = ended;
    list_init(&race->attempts);
    aloop__timed_init(&race->timed, race_due);
}

void aloop__race_start(struct aloop__race *race,
                       const struct sys_address *addresses, size_t count)
{
    race->addresses =
        aloop__alloc_new(&race->loop->alloc, count * sizeof *addresses);
    if (race->addresses == NULL) {
        end_race(race, ALOOP_ENOMEM);
        return;
    }
    race->count = count;
    interleave(race->addresses, addresses, count);
    try_next(race);
}
