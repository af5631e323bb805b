/* Tests of aloop_stream_forward(): large transfers, which move through a
 * pipe. */

#include "support/forward_fixture.h"

enum { SPLICED = 3 * 1024 * 1024, PART = 65536 };

static unsigned char pattern(size_t at)
{
    return (unsigned char) (at * 7 + at / 251);
}

/* Sends the next part of the pattern.  Returns the number of bytes. */
static size_t send_pattern(int peer, size_t at, size_t end)
{
    static char part[PART];
    size_t size = end - at < PART ? end - at : PART;
    ssize_t n;

    for (size_t i = 0; i < size; i++)
        part[i] = (char) pattern(at + i);
    n = size > 0 ? sim_peer_send(peer, part, size) : 0;
    return n > 0 ? (size_t) n : 0;
}

static size_t expect_pattern(int peer, size_t at)
{
    static unsigned char part[PART];
    ssize_t n = sim_peer_receive(peer, part, sizeof part);

    for (ssize_t i = 0; i < n; i++)
        if (part[i] != pattern(at + (size_t) i))
            fail_msg("wrong byte at %zu", at + (size_t) i);
    return n > 0 ? (size_t) n : 0;
}

/* Moves bytes from the first peer to the second one, `most` of which are
 * received in each round. */
static size_t move_pattern(const int peers[2], size_t sent, size_t end)
{
    size_t got = sent;

    for (int i = 0; i < 100000 && got < end; i++) {
        sent += send_pattern(peers[0], sent, end);
        aloop_step(t.loop, ALOOP_MS(1));
        sim_pass(ALOOP_MS(1));
        got += expect_pattern(peers[1], got);
    }
    assert_int_equal(got, end);
    return got;
}

static unsigned splices(void)
{
    return sim_calls("aloop__sys_splice_in");
}

/* Lets the forward settle after all bytes have arrived. */
static void finish_pattern(int peers[2], aloop_future *forward, ssize_t size)
{
    sim_peer_shutdown(peers[0]);
    assert_int_equal(aloop_await(forward), size);
    for (int i = 0; i < 1000 && !sim_peer_eof(peers[1]); i++) {
        run_for(ALOOP_MS(1));
        assert_int_equal(expect_pattern(peers[1], (size_t) size), 0);
    }
    assert_true(sim_peer_eof(peers[1]));
    close_all(peers);
}

static void splice_through(int peers[2])
{
    aloop_future *forward = aloop_stream_forward(streams[0], streams[1]);

    move_pattern(peers, 0, SPLICED);
    finish_pattern(peers, forward, SPLICED);
}

static void a_large_transfer_is_spliced(void **state)
{
    int peers[2];
    unsigned received;

    (void) state;
    connect_two(peers);
    received = sim_calls("aloop__sys_recv");
    splice_through(peers);
    assert_true(splices() >= 40); /* Of 48 parts, 4 were copied. */
    assert_true(sim_calls("aloop__sys_recv") - received <= 10);
}

static void a_splice_is_correct_in_a_chaotic_world(void **state)
{
    int peers[2];

    (void) state;
    sim_chaos();
    sim_options()->short_recv_percent = 5;
    sim_options()->split_percent = 5;
    connect_two(peers);
    splice_through(peers);
}

static void a_short_transfer_and_small_parts_are_copied(void **state)
{
    static const char small[1000];
    int peers[2];
    aloop_future *forward;
    unsigned before;

    (void) state;
    connect_two(peers);
    forward = aloop_stream_forward(streams[0], streams[1]);
    move_pattern(peers, 0, 3 * PART);
    assert_int_equal(splices(), 0);
    move_pattern(peers, 3 * PART, 9 * PART);
    before = splices();
    assert_true(before > 0);
    for (int i = 0; i < 20; i++) {
        sim_peer_send(peers[0], small, sizeof small);
        run_for(ALOOP_MS(1));
    }
    assert_int_equal(splices(), before + 1);
    assert_int_equal(aloop_cancel(forward), 1);
    aloop_future_unref(forward);
    close_all(peers);
}

/* Returns a forward that has opened its pipe. */
static aloop_future *begin_splicing(int peers[2], size_t *ret_moved)
{
    aloop_future *forward;

    connect_two(peers);
    forward = aloop_stream_forward(streams[0], streams[1]);
    *ret_moved = move_pattern(peers, 0, 8 * PART);
    assert_true(splices() > 0);
    return forward;
}

static void bytes_that_were_put_keep_their_place_among_spliced_ones(
    void **state)
{
    int peers[2];
    size_t moved;
    aloop_future *forward = begin_splicing(peers, &moved);

    (void) state;
    for (int i = 0; i < 2; i++) { /* They are put while bytes wait. */
        assert_int_equal(send_pattern(peers[0], moved, moved + PART), PART);
        run_for(ALOOP_MS(1));
        moved += PART;
    }
    {
        static unsigned char more[1000];
        size_t at = moved;

        for (size_t i = 0; i < sizeof more; i++)
            more[i] = pattern(at + i);
        assert_true(aloop_stream_put(streams[1], more, sizeof more) >= 0);
        moved += sizeof more;
        run_for(ALOOP_MS(1));
    }
    for (size_t got = 8 * PART; got < moved;) {
        got += expect_pattern(peers[1], got);
        run_for(ALOOP_MS(1));
    }
    finish_pattern(peers, forward, (ssize_t) (moved - 1000));
}

static void a_target_that_takes_nothing_stops_a_splice(void **state)
{
    int peers[2];
    size_t moved, sent;
    aloop_future *forward = begin_splicing(peers, &moved);
    const void *cursor = NULL;

    (void) state;
    sent = moved;
    for (int i = 0; i < 50; i++) {
        sent += send_pattern(peers[0], sent, sent + PART);
        run_for(ALOOP_MS(1));
    }
    assert_true(aloop_stream_queued(streams[1]) <= 3 * PART);
    assert_true(sent - moved <= 6 * PART);
    assert_non_null(aloop__future_next(forward, &cursor)); /* A drain. */
    for (int i = 0; i < 1000 && moved < sent; i++) {
        moved += expect_pattern(peers[1], moved);
        run_for(ALOOP_MS(1));
    }
    finish_pattern(peers, forward, (ssize_t) sent);
}

static void a_close_of_the_target_sends_what_is_in_the_pipe(void **state)
{
    int peers[2];
    size_t moved, sent;
    aloop_future *forward = begin_splicing(peers, &moved);

    (void) state;
    sent = moved;
    for (int i = 0; i < 3; i++) {
        sent += send_pattern(peers[0], sent, sent + PART);
        run_for(ALOOP_MS(1));
    }
    assert_true(aloop_stream_queued(streams[1]) > 0);
    aloop_stream_close(streams[1]);
    assert_int_equal(aloop_await(forward), ALOOP_EABORTED);
    for (int i = 0; i < 1000 && moved < sent; i++) {
        moved += expect_pattern(peers[1], moved);
        run_for(ALOOP_MS(1));
    }
    assert_int_equal(moved, sent);
    assert_true(sim_peer_eof(peers[1]));
    aloop_stream_close(streams[0]);
    sim_peer_close(peers[0]);
    sim_peer_close(peers[1]);
}

static void an_abort_of_the_target_drops_what_is_in_the_pipe(void **state)
{
    int peers[2];
    size_t moved;
    aloop_future *forward = begin_splicing(peers, &moved);

    (void) state;
    for (int i = 0; i < 3; i++) {
        moved += send_pattern(peers[0], moved, moved + PART);
        run_for(ALOOP_MS(1));
    }
    aloop_stream_abort(streams[1]);
    assert_int_equal(aloop_await(forward), ALOOP_EABORTED);
    aloop_stream_close(streams[0]);
    sim_peer_close(peers[0]);
    sim_peer_close(peers[1]);
}

static void a_reset_ends_a_splice_with_its_error(void **state)
{
    (void) state;
    for (int which = 0; which < 2; which++) {
        int peers[2];
        size_t moved;
        aloop_future *forward = begin_splicing(peers, &moved);
        ssize_t status;

        sim_peer_reset(peers[which]);
        for (int i = 0; i < 10 && !aloop_future_is_settled(forward); i++) {
            send_pattern(peers[0], moved, moved + PART);
            aloop_step(t.loop, ALOOP_MS(1));
        }
        status = aloop_await(forward);
        assert_true(status == ALOOP_ECONNRESET || status == ALOOP_EPIPE);
        close_all(peers);
    }
}

static void a_transfer_is_copied_where_splicing_fails(void **state)
{
    static const struct {
        const char *call;
        int error;
    } faults[] = {
        {"aloop__sys_pipe", ALOOP_EMFILE},
        {"aloop__sys_splice_in", ALOOP_EINVAL},
        {"aloop__sys_splice_in", ALOOP_EAGAIN},
        {"aloop__sys_splice_in", ALOOP_ENOMEM},
    };

    (void) state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        int peers[2];

        connect_two(peers);
        sim_fail_from(faults[i].call, 1, faults[i].error);
        splice_through(peers);
        sim_forgive();
    }
}

static void an_error_of_a_splice_is_not_taken_for_the_end(void **state)
{
    int peers[2];
    size_t moved;
    aloop_future *forward = begin_splicing(peers, &moved);

    (void) state;
    send_pattern(peers[0], moved, moved + PART);
    sim_fail("aloop__sys_splice_in", 1, ALOOP_ECONNRESET);
    run_for(ALOOP_MS(1));
    sim_peer_shutdown(peers[0]);
    assert_int_equal(aloop_await(forward), ALOOP_ECONNRESET);
    close_all(peers);
}

static void a_pipe_is_spliced_to_a_pair(void **state)
{
    aloop_stream *pipe_ends[2], *pair[2];
    aloop_future *forward, *writes;
    static char bytes[SPLICED], got[SPLICED];

    (void) state;
    for (size_t i = 0; i < SPLICED; i++)
        bytes[i] = (char) pattern(i);
    assert_int_equal(aloop_pipe_open(t.loop, &pipe_ends[0], &pipe_ends[1]), 0);
    assert_int_equal(aloop_stream_pair(t.loop, &pair[0], &pair[1]), 0);
    forward = aloop_stream_forward(pipe_ends[0], pair[0]);
    writes = aloop_stream_write(pipe_ends[1], bytes, SPLICED);
    assert_int_equal(
        aloop_await(aloop_stream_read_exactly(pair[1], got, SPLICED)), SPLICED);
    assert_memory_equal(got, bytes, SPLICED);
    assert_true(splices() > 0);
    assert_int_equal(aloop_await(writes), SPLICED);
    aloop_stream_close(pipe_ends[1]);
    assert_int_equal(aloop_await(forward), SPLICED);
    aloop_stream_close(pipe_ends[0]);
    aloop_stream_close(pair[0]);
    aloop_stream_close(pair[1]);
}

static void a_forked_child_leaves_the_pipe_to_its_parent(void **state)
{
    int peers[2];
    size_t moved;
    aloop_future *forward = begin_splicing(peers, &moved);
    unsigned before;

    (void) state;
    before = splices();
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    send_pattern(peers[0], moved, moved + PART);
    run_for(ALOOP_MS(1));
    assert_int_equal(splices(), before);
    assert_int_equal(aloop_cancel(forward), 1);
    aloop_future_unref(forward);
    close_all(peers);
    assert_int_equal(sim_harms(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_large_transfer_is_spliced),
        TEST(a_splice_is_correct_in_a_chaotic_world),
        TEST(a_short_transfer_and_small_parts_are_copied),
        TEST(bytes_that_were_put_keep_their_place_among_spliced_ones),
        TEST(a_target_that_takes_nothing_stops_a_splice),
        TEST(a_close_of_the_target_sends_what_is_in_the_pipe),
        TEST(an_abort_of_the_target_drops_what_is_in_the_pipe),
        TEST(a_reset_ends_a_splice_with_its_error),
        TEST(a_transfer_is_copied_where_splicing_fails),
        TEST(an_error_of_a_splice_is_not_taken_for_the_end),
        TEST(a_pipe_is_spliced_to_a_pair),
        TEST(a_forked_child_leaves_the_pipe_to_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
