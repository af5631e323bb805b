/* Descriptors that the loop watches: closed, renewed, reused, shared. */

#include "loop/io.h"
#include "os/reactor.h"
#include "support/stream_fixture.h"

/* The descriptor is closed outside the control of the stream. */
static void a_renewal_detects_a_closed_descriptor(void **state)
{
    aloop_stream *lost = connected(), *kept;
    aloop_future *read, *other;
    char bytes[4];

    (void) state;
    kept = connected();
    read = aloop_stream_read(lost, bytes, sizeof bytes);
    other = aloop_stream_read(kept, bytes, sizeof bytes);
    aloop__sys_close(aloop_stream_fd(lost));

    assert_int_equal(aloop__io_renew(t.loop), 0);

    assert_int_equal(aloop_await(read), ALOOP_EBADF);
    assert_int_equal(aloop_stream_fd(lost), ALOOP_EBADF);
    assert_int_equal(sim_peer_send(c.peer, "here", 4), 4);
    assert_int_equal(aloop_await(other), 4);
    aloop_stream_close(lost);
    aloop_stream_close(kept);
}

/* Its number belongs to a regular file when the set is made again. */
static void a_renewal_detects_a_descriptor_that_became_a_file(void **state)
{
    aloop_stream *lost = connected();
    char bytes[4];
    aloop_future *read = aloop_stream_read(lost, bytes, sizeof bytes);
    int fd = aloop_stream_fd(lost), file;

    (void) state;
    aloop__sys_close(fd);
    file = sim_file();
    assert_int_equal(file, fd);

    assert_int_equal(aloop__io_renew(t.loop), 0);

    assert_int_equal(aloop_await(read), ALOOP_EBADF);
    aloop_stream_close(lost);
    assert_int_equal(aloop__sys_close(file), 0);
}

/* A policy of the system may have refused it, for example. */
static void a_renewal_does_not_lose_a_socket_that_is_refused(void **state)
{
    aloop_stream *kept = connected();
    char bytes[4];
    aloop_future *read = aloop_stream_read(kept, bytes, sizeof bytes);

    (void) state;
    for (unsigned i = 1; i <= 2; i++) {
        sim_fail("aloop__reactor_set", i, ALOOP_EPERM);
        assert_int_equal(aloop__io_renew(t.loop), ALOOP_EPERM);
        assert_true(t.loop->is_renewal_due);
    }

    assert_int_equal(sim_peer_send(c.peer, "here", 4), 4);
    assert_int_equal(aloop_await(read), 4);
    assert_false(t.loop->is_renewal_due);
    aloop_stream_close(kept);
}

static void a_renewal_does_not_lose_a_pipe_that_is_refused(void **state)
{
    aloop_stream *kept, *other;
    aloop_future *read;
    char bytes[4];

    (void) state;
    assert_int_equal(aloop_pipe_open(t.loop, &kept, &other), 0);
    read = aloop_stream_read(kept, bytes, sizeof bytes);
    for (unsigned i = 1; i <= 2; i++) {
        sim_fail("aloop__reactor_set", i, ALOOP_EPERM);
        assert_int_equal(aloop__io_renew(t.loop), ALOOP_EPERM);
    }

    assert_int_equal(aloop_stream_put(other, "here", 4), 0);
    assert_int_equal(aloop_await(read), 4);
    aloop_stream_close(kept);
    aloop_stream_close(other);
}

enum { NEIGHBOURS = 8, NEWCOMERS = 200 };

static struct {
    aloop_stream *streams[NEIGHBOURS];
    aloop_stream *newcomers[NEWCOMERS];
} n;

static aloop_stream *first, *second;
static aloop_listener *newcomer;

static void replace_the_other(aloop_stream *stream, const void *data,
                              ssize_t size, void *arg)
{
    aloop_stream *other = stream == first ? second : first;
    int fd = aloop_stream_fd(other);

    (void) data;
    (void) size;
    (void) arg;
    aloop_stream_close(other);
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "81",
                                      count_and_close, NULL, &newcomer),
                     0);
    assert_int_equal(aloop_listener_fd(newcomer), fd);
    if (stream == first)
        second = NULL;
    else
        first = NULL;
}

/* Failure class 1: a stale event is delivered to the new owner of the number.
 * It may be harmless, but it would cause a system call. */
static void a_stale_event_makes_no_call_for_the_new_owner(void **state)
{
    unsigned accepts = sim_calls("aloop__sys_accept");

    (void) state;
    first = connected();
    second = connected();
    aloop_stream_start(first, replace_the_other, NULL);
    aloop_stream_start(second, replace_the_other, NULL);
    sim_peer_send(c.peer, "x", 1);
    sim_peer_send(c.other_peer, "x", 1);
    run_for(MS);

    assert_true((first == NULL) != (second == NULL));
    assert_int_equal(sim_calls("aloop__sys_accept"), accepts);
    aloop_stream_close(first);
    aloop_stream_close(second);
    aloop_listener_close(newcomer);
}

static void close_all_and_open_many(aloop_stream *stream, const void *data,
                                    ssize_t size, void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
    t.calls++;
    for (int i = 0; i < NEIGHBOURS; i++)
        aloop_stream_close(n.streams[i]); /* This includes `stream`. */
    for (int i = 0; i < NEWCOMERS; i++)
        aloop_detach(
            aloop_tcp_connect(t.loop, "127.0.0.1", "81", &n.newcomers[i]));
}

/* Failure class 6: streams are closed while their events are dispatched, and
 * the tables grow. */
static void a_callback_may_close_every_neighbour_and_open_many(void **state)
{
    int peers[NEIGHBOURS], listener;

    (void) state;
    listener = sim_listen("127.0.0.1", 81, NEWCOMERS);
    for (int i = 0; i < NEIGHBOURS; i++) {
        n.streams[i] = connected_to(&peers[i]);
        aloop_stream_start(n.streams[i], close_all_and_open_many, NULL);
    }
    for (int i = 0; i < NEIGHBOURS; i++)
        assert_int_equal(sim_peer_send(peers[i], "x", 1), 1);
    run_for(MS);

    assert_int_equal(t.calls, 1);
    for (int i = 0; i < NEWCOMERS; i++) {
        assert_non_null(n.newcomers[i]);
        aloop_stream_close(n.newcomers[i]);
    }
    sim_peer_close(listener);
}

enum { WATCHERS = 4 };

/* A watcher that shares a descriptor, and what it is to do in its callback. */
struct watcher {
    struct aloop__io_shared shared;
    unsigned bits; /* What it got last. */
    int calls;
    struct aloop__io *closes;
    struct watcher *adds;
    unsigned arms; /* For the watcher that it adds. */
};

static struct watcher w[WATCHERS];
static struct aloop__io w_owner;
static int w_pair[2], w_order[16], w_count, w_owner_calls;
static unsigned w_owner_bits;

static void watcher_ready(struct aloop__io *io, unsigned bits);

static void share(struct watcher *watcher, int fd, unsigned bits)
{
    assert_int_equal(
        aloop__io_share(t.loop, &watcher->shared, fd, watcher_ready), 0);
    assert_int_equal(aloop__io_arm(t.loop, &watcher->shared.io, bits), 0);
}

static void watcher_ready(struct aloop__io *io, unsigned bits)
{
    struct watcher *watcher = CONTAINER_OF(
        CONTAINER_OF(io, struct aloop__io_shared, io), struct watcher, shared);

    if (w_count < 16)
        w_order[w_count++] = (int) (watcher - w);
    watcher->bits = bits;
    watcher->calls++;
    if (watcher->closes != NULL)
        aloop__io_close(t.loop, watcher->closes);
    if (watcher->adds != NULL)
        share(watcher->adds, w_pair[0], watcher->arms);
    watcher->adds = NULL;
}

static void owner_ready(struct aloop__io *io, unsigned bits)
{
    (void) io;
    w_owner_calls++;
    w_owner_bits = bits;
}

static int begin_watching(void **state)
{
    int error = set_up(state);

    memset(w, 0, sizeof w);
    w_owner = (struct aloop__io){.fd = -1};
    w_count = w_owner_calls = 0;
    w_owner_bits = 0;
    for (int i = 0; i < WATCHERS; i++)
        w[i].shared.io = w_owner;
    return error == 0 ? sim_pair(w_pair) : error;
}

static void close_all(void)
{
    for (int i = 0; i < WATCHERS; i++)
        aloop__io_close(t.loop, &w[i].shared.io);
    aloop__io_close(t.loop, &w_owner);
}

static int end_watching(void **state)
{
    close_all();
    for (int i = 0; i < 2; i++)
        if (w_pair[i] >= 0)
            aloop__sys_close(w_pair[i]);
    return tear_down(state);
}

#define WATCHER_TEST(name) \
    cmocka_unit_test_setup_teardown(name, begin_watching, end_watching)

static void own(int fd, unsigned bits)
{
    assert_int_equal(aloop__io_open(t.loop, &w_owner, fd, owner_ready), 0);
    assert_int_equal(aloop__io_arm(t.loop, &w_owner, bits), 0);
}

/* One turn after something has happened at w_pair[0]. */
static void turn_when_readable(void)
{
    assert_true(sim_poll(w_pair[0], -1));
    assert_true(aloop_step(t.loop, 0) >= 0);
}

/* One turn, with data to read at w_pair[0]. */
static void turn_with_data(void)
{
    if (!sim_fd_readable(w_pair[0]))
        assert_int_equal(aloop__sys_send(w_pair[1], "x", 1), 1);
    turn_when_readable();
}

static void each_watcher_gets_the_events_that_it_wants(void **state)
{
    (void) state;
    own(w_pair[0], REACTOR_READ);
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], REACTOR_WRITE);
    share(&w[2], w_pair[0], 0);
    share(&w[3], w_pair[0], REACTOR_READ | REACTOR_WRITE);

    turn_with_data();

    assert_int_equal(w[0].bits, REACTOR_READ);
    assert_int_equal(w[1].bits, REACTOR_WRITE);
    assert_int_equal(w[2].calls, 0);
    assert_int_equal(w[3].bits, REACTOR_READ | REACTOR_WRITE);
    assert_int_equal(w_owner_bits, REACTOR_READ);
    assert_int_equal(w_order[0], 0);
    assert_int_equal(w_order[1], 1);
    assert_int_equal(w_order[2], 3);
    assert_int_equal(w_count, 3);
}

static void the_reactor_is_called_only_when_the_union_changes(void **state)
{
    unsigned sets;

    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ | REACTOR_WRITE);
    sets = sim_calls("aloop__reactor_set");
    share(&w[1], w_pair[0], REACTOR_READ);
    share(&w[2], w_pair[0], REACTOR_WRITE);
    aloop__io_arm(t.loop, &w[0].shared.io, REACTOR_READ);
    aloop__io_close(t.loop, &w[1].shared.io);
    assert_int_equal(sim_calls("aloop__reactor_set"), sets);

    aloop__io_close(t.loop, &w[2].shared.io);
    assert_int_equal(sim_calls("aloop__reactor_set"), sets + 1);
    assert_true(aloop__reactor_is_watching(t.loop->reactor, w_pair[0], 1,
                                           REACTOR_READ));
    assert_int_equal(aloop__io_close(t.loop, &w[0].shared.io), w_pair[0]);
    assert_false(aloop__reactor_is_watching(t.loop->reactor, w_pair[0], 1,
                                            REACTOR_READ));
}

/* All watchers of a descriptor recognize the events that the first one has
 * requested. */
static void a_watcher_outlives_the_first_one_of_its_descriptor(void **state)
{
    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[1], REACTOR_READ); /* Has the next generation. */
    share(&w[2], w_pair[0], REACTOR_READ);

    aloop__io_close(t.loop, &w[0].shared.io);
    turn_with_data();

    assert_int_equal(w[2].calls, 1);
    assert_int_equal(w[1].calls, 0);
}

static void a_large_number_that_is_not_open_takes_no_memory(void **state)
{
    size_t count = t.loop->io_count;

    (void) state;
    assert_int_equal(
        aloop__io_share(t.loop, &w[0].shared, INT32_MAX, watcher_ready),
        ALOOP_EBADF);
    assert_int_equal(t.loop->io_count, count);
    assert_int_equal(w[0].shared.io.fd, -1);
}

static void hang_ups_differ_from_errors_only_where_requested(void **state)
{
    (void) state;
    own(w_pair[0], REACTOR_READ);
    share(&w[0], w_pair[0], REACTOR_READ | REACTOR_HANGUP);
    share(&w[1], w_pair[0], REACTOR_PRIORITY);
    share(&w[2], w_pair[0], 0);

    aloop__sys_shutdown_write(w_pair[0]);
    aloop__sys_close(w_pair[1]);
    w_pair[1] = -1;
    turn_when_readable();

    assert_int_equal(w[0].bits, REACTOR_READ | REACTOR_HANGUP);
    assert_int_equal(w[1].bits, REACTOR_ERROR);
    assert_int_equal(w[2].calls, 0);
    assert_int_equal(w_owner_bits, REACTOR_READ | REACTOR_ERROR);
}

static void urgent_data_is_given_only_to_those_that_ask(void **state)
{
    (void) state;
    own(w_pair[0], REACTOR_READ);
    share(&w[0], w_pair[0], REACTOR_PRIORITY);
    share(&w[1], w_pair[0], REACTOR_READ | REACTOR_HANGUP);

    sim_set_urgent(w_pair[0], true);
    assert_true(aloop_step(t.loop, 0) >= 0);

    assert_int_equal(w[0].bits, REACTOR_PRIORITY);
    assert_int_equal(w[1].calls, 0);
    assert_int_equal(w_owner_calls, 0);
}

/* Watchers that one of them may close; the owner comes last. */
static void a_callback_may_close_any_watcher_of_its_descriptor(void **state)
{
    (void) state;
    for (int closer = 0; closer < 3; closer++)
        for (int closed = 0; closed < 3; closed++) {
            own(w_pair[0], REACTOR_READ);
            for (int i = 0; i < 3; i++) {
                w[i].calls = 0;
                w[i].closes = NULL;
                share(&w[i], w_pair[0], REACTOR_READ);
            }
            w[closer].closes = &w[closed].shared.io;
            w_owner_calls = 0;

            turn_with_data();

            for (int i = 0; i < 3; i++)
                assert_int_equal(w[i].calls, i != closed || closed <= closer);
            assert_int_equal(w_owner_calls, 1);
            close_all();
        }
}

static void a_callback_may_close_the_owner(void **state)
{
    (void) state;
    own(w_pair[0], REACTOR_READ);
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], REACTOR_READ);
    w[0].closes = &w_owner;

    turn_with_data();

    assert_int_equal(w[1].calls, 1);
    assert_int_equal(w_owner_calls, 0);
}

static void a_new_watcher_gets_nothing_of_the_present_dispatch(void **state)
{
    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], REACTOR_READ);
    w[0].adds = &w[2];
    w[0].arms = REACTOR_READ;

    turn_with_data();
    assert_int_equal(w[0].calls, 1);
    assert_int_equal(w[1].calls, 1);
    assert_int_equal(w[2].calls, 0);

    turn_with_data();
    assert_int_equal(w[0].calls, 2);
    assert_int_equal(w[2].calls, 1);
}

/* The bits that each of four watchers wants, and the owner. */
static const unsigned w_wanted[] = {REACTOR_READ, REACTOR_WRITE, REACTOR_READ,
                                    REACTOR_WRITE, REACTOR_READ};

/* Those whose bit is set in `left` are not closed. */
static void check_left(unsigned left)
{
    for (int i = 0; i < 4; i++)
        w[i].bits = 0;
    w_owner_bits = 0;
    turn_with_data();
    for (int i = 0; i < 5; i++)
        assert_int_equal(i < 4 ? w[i].bits : w_owner_bits,
                         (left >> i & 1) != 0 ? w_wanted[i] : 0);
}

/* The owner comes before or behind those that share.  They are closed from each
 * one on, in both directions. */
static void watchers_closed_in_any_order_leave_what_the_others_want(
    void **state)
{
    (void) state;
    for (int variant = 0; variant < 20; variant++) {
        unsigned left = 31;

        own(w_pair[0], w_wanted[4]);
        for (int i = 0; i < 4; i++)
            share(&w[i], w_pair[0], w_wanted[i]);
        check_left(left);
        for (int k = 0; k < 5; k++) {
            int i = (variant + (variant < 10 ? k : 5 - k)) % 5;

            left &= ~(1U << i);
            aloop__io_close(t.loop, i < 4 ? &w[i].shared.io : &w_owner);
            if (left != 0)
                check_left(left);
        }
    }
}

/* It replaces the only watcher, so that the entry begins again. */
static void a_watcher_that_replaces_all_gets_nothing_at_first(void **state)
{
    unsigned renewals = sim_calls("aloop__reactor_renew");

    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ);
    w[0].closes = &w[0].shared.io;
    w[0].adds = &w[1];
    w[0].arms = REACTOR_READ;

    turn_with_data();
    assert_int_equal(w[1].calls, 0);
    turn_with_data();
    assert_int_equal(w[0].calls, 1);
    assert_int_equal(w[1].calls, 1);
    assert_int_equal(sim_calls("aloop__reactor_renew"), renewals);
}

/* Closes w_pair[0] outside the loop's control and gives its number to another
 * socket. */
static void replace_number(void)
{
    int number = w_pair[0], other;

    aloop__sys_close(w_pair[0]);
    aloop__sys_close(w_pair[1]);
    assert_int_equal(sim_pair(w_pair), 0);
    if (w_pair[0] != number) {
        other = w_pair[0];
        w_pair[0] = w_pair[1];
        w_pair[1] = other;
    }
    assert_int_equal(w_pair[0], number);
}

static void a_new_watcher_finds_out_that_the_number_was_replaced(void **state)
{
    (void) state;
    own(w_pair[0], REACTOR_READ);
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], REACTOR_READ);
    assert_int_equal(w[0].calls + w_owner_calls, 0);
    w[0].closes = &w[1].shared.io;

    replace_number();
    share(&w[2], w_pair[0], REACTOR_READ);

    assert_int_equal(w[0].bits, REACTOR_ERROR);
    assert_int_equal(w[0].shared.io.fd, -1);
    assert_int_equal(w[1].calls, 0);
    assert_int_equal(w_owner_bits, REACTOR_ERROR);
    assert_int_equal(aloop__io_arm(t.loop, &w[0].shared.io, REACTOR_READ),
                     ALOOP_EBADF);
    turn_with_data();
    assert_int_equal(w[0].calls, 1);
    assert_int_equal(w_owner_calls, 1);
    assert_int_equal(w[2].calls, 1);
}

/* Closes the number and opens it again, with an owner. */
static void replace_in_callback(struct aloop__io *io, unsigned bits)
{
    (void) bits;
    if (io->fd < 0) /* It was evicted. */
        return;
    replace_number();
    own(w_pair[0], REACTOR_READ);
}

static void a_replacement_in_a_callback_ends_the_dispatch(void **state)
{
    (void) state;
    assert_int_equal(
        aloop__io_share(t.loop, &w[0].shared, w_pair[0], replace_in_callback),
        0);
    assert_int_equal(aloop__io_arm(t.loop, &w[0].shared.io, REACTOR_READ), 0);
    share(&w[1], w_pair[0], REACTOR_READ);
    w[1].adds = &w[2]; /* In the eviction: for the new descriptor. */
    w[1].arms = REACTOR_READ;

    turn_with_data();
    assert_int_equal(w[1].calls, 1);
    assert_int_equal(w[1].bits, REACTOR_ERROR);
    assert_int_equal(w[2].calls, 0);
    assert_int_equal(w_owner_calls, 0);

    turn_with_data();
    assert_int_equal(w[1].calls, 1);
    assert_int_equal(w[2].calls, 1);
    assert_int_equal(w_owner_calls, 1);
}

static void an_event_that_no_watcher_wants_renews_the_set(void **state)
{
    unsigned renewals = sim_calls("aloop__reactor_renew");

    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], REACTOR_PRIORITY);
    assert_int_equal(aloop__sys_send(w_pair[1], "x", 1), 1);
    assert_true(sim_poll(w_pair[0], -1));
    sim_keep_open(w_pair[0]);
    aloop__sys_close(w_pair[0]);
    w_pair[0] = -1;
    assert_true(aloop__io_arm(t.loop, &w[0].shared.io, 0) < 0);

    turns(3);

    assert_int_equal(sim_calls("aloop__reactor_renew"), renewals + 1);
    assert_int_equal(w[1].bits, REACTOR_ERROR);
    assert_int_equal(w[1].shared.io.fd, -1);
}

/* A renewal takes as long as there are descriptors. */
static void stale_events_of_one_wait_renew_the_set_once(void **state)
{
    unsigned renewals = sim_calls("aloop__reactor_renew");
    int pairs[WATCHERS][2];

    (void) state;
    for (int i = 0; i < WATCHERS; i++) {
        assert_int_equal(sim_pair(pairs[i]), 0);
        share(&w[i], pairs[i][0], REACTOR_READ);
        assert_int_equal(aloop__sys_send(pairs[i][1], "x", 1), 1);
        assert_true(sim_poll(pairs[i][0], -1));
        sim_keep_open(pairs[i][0]); /* As if there was a duplicate. */
        aloop__sys_close(pairs[i][0]);
        aloop__io_close(t.loop, &w[i].shared.io);
    }

    turns(3);

    assert_int_equal(sim_calls("aloop__reactor_renew"), renewals + 1);
    for (int i = 0; i < WATCHERS; i++)
        aloop__sys_close(pairs[i][1]);
}

static void a_refusal_leaves_the_other_watchers_as_they_are(void **state)
{
    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], 0);

    sim_fail("aloop__reactor_set", 1, -ENOMEM);
    assert_int_equal(aloop__io_arm(t.loop, &w[1].shared.io, REACTOR_WRITE),
                     ALOOP_ENOMEM);
    assert_int_equal(w[1].shared.io.armed, 0);

    turn_with_data();
    assert_int_equal(w[0].bits, REACTOR_READ);
    assert_int_equal(w[1].calls, 0);
    assert_int_equal(aloop__io_arm(t.loop, &w[1].shared.io, REACTOR_WRITE), 0);
    turn_with_data();
    assert_int_equal(w[1].bits, REACTOR_WRITE);
}

/* The reactor may have consumed it. */
static void every_watcher_keeps_the_error_of_an_event(void **state)
{
    struct aloop__event events[2];

    (void) state;
    own(w_pair[0], REACTOR_READ);
    share(&w[0], w_pair[0], 0);
    events[0] = aloop__event_of(w_pair[0],
                                t.loop->generation - 1, /* An earlier one. */
                                REACTOR_ERROR, ALOOP_ETIMEDOUT);
    events[1] = aloop__event_of(w_pair[0], t.loop->generation, REACTOR_ERROR,
                                ALOOP_ECONNRESET);
    aloop__io_keep_errors(t.loop, events, 2);

    assert_int_equal(w[0].shared.io.error, ALOOP_ECONNRESET);
    assert_int_equal(w_owner.error, ALOOP_ECONNRESET);
}

static void a_child_watches_only_what_its_watchers_have_claimed(void **state)
{
    (void) state;
    share(&w[0], w_pair[0], REACTOR_READ);
    share(&w[1], w_pair[0], REACTOR_WRITE);
    w[1].shared.io.process = IO_ANY_PROCESS;
    sim_fork();
    aloop__io_arm(t.loop, &w[0].shared.io, REACTOR_READ | REACTOR_WRITE);
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(sim_harms(), 0);

    turn_with_data();
    assert_int_equal(w[0].calls, 0);
    assert_int_equal(w[1].bits, REACTOR_WRITE);

    assert_int_equal(aloop__io_adopt(t.loop, &w[0].shared.io), 0);
    turn_with_data();
    assert_int_equal(w[0].bits, REACTOR_READ | REACTOR_WRITE);
    aloop__io_close(t.loop, &w[1].shared.io);
    turn_with_data();
    assert_int_equal(w[0].calls, 2);
    assert_int_equal(w[1].calls, 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_renewal_detects_a_closed_descriptor),
        TEST(a_renewal_detects_a_descriptor_that_became_a_file),
        TEST(a_renewal_does_not_lose_a_socket_that_is_refused),
        TEST(a_renewal_does_not_lose_a_pipe_that_is_refused),
        TEST(a_stale_event_makes_no_call_for_the_new_owner),
        TEST(a_callback_may_close_every_neighbour_and_open_many),
        WATCHER_TEST(each_watcher_gets_the_events_that_it_wants),
        WATCHER_TEST(the_reactor_is_called_only_when_the_union_changes),
        WATCHER_TEST(a_watcher_outlives_the_first_one_of_its_descriptor),
        WATCHER_TEST(a_large_number_that_is_not_open_takes_no_memory),
        WATCHER_TEST(hang_ups_differ_from_errors_only_where_requested),
        WATCHER_TEST(urgent_data_is_given_only_to_those_that_ask),
        WATCHER_TEST(a_callback_may_close_any_watcher_of_its_descriptor),
        WATCHER_TEST(a_callback_may_close_the_owner),
        WATCHER_TEST(a_new_watcher_gets_nothing_of_the_present_dispatch),
        WATCHER_TEST(watchers_closed_in_any_order_leave_what_the_others_want),
        WATCHER_TEST(a_watcher_that_replaces_all_gets_nothing_at_first),
        WATCHER_TEST(a_new_watcher_finds_out_that_the_number_was_replaced),
        WATCHER_TEST(a_replacement_in_a_callback_ends_the_dispatch),
        WATCHER_TEST(an_event_that_no_watcher_wants_renews_the_set),
        WATCHER_TEST(stale_events_of_one_wait_renew_the_set_once),
        WATCHER_TEST(a_refusal_leaves_the_other_watchers_as_they_are),
        WATCHER_TEST(every_watcher_keeps_the_error_of_an_event),
        WATCHER_TEST(a_child_watches_only_what_its_watchers_have_claimed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
