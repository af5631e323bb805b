/* Tests of streams that have given their writing half back. */

#include "support/stream_fixture.h"

#include "loop/buffers.h"

#include <string.h>

static char text[4 * BUFFER]; /* A pattern with a long period. */

static int set_up_text(void **state)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char) (i * 7 + i / 251);
    return set_up_memory(state);
}

#define SENDER(name) \
    cmocka_unit_test_setup_teardown(name, set_up_text, tear_down_memory)

/* The memory in which a filter got the replies is free for what is not sent. */
#ifdef FILTER_STEP
#define PLAIN_SENDER(name) PLAIN_TEST(name)
#else
#define PLAIN_SENDER(name) SENDER(name)
#endif

/* The stream is still watched for writability. */

/* Replies so that the received bytes are lent behind a reply that is too large
 * for the cork, and uses up the memory. */
static void reply_and_use_up_memory(aloop_stream *stream, const void *data,
                                    ssize_t size, void *arg)
{
    (void) arg;
    note((int) size);
    if (size <= 0)
        return;
    assert_int_equal(aloop_stream_put(stream, text, CORK_SIZE + 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
    memory.is_out = true;
}

static void a_stream_whose_replies_were_lost_survives_becoming_writable(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, reply_and_use_up_memory, NULL),
                     0);
    sim_fail("aloop__sys_sendv", 1, ALOOP_EAGAIN);
    assert_int_equal(sim_peer_send(c.peer, text, 4000), 4000);
    for (int i = 0; i < 10; i++)
        aloop_step(t.loop, MS);
    memory.is_out = false;

    assert_noted(4000, ALOOP_ENOMEM);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ENOMEM);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
    run_for(MS);
    sim_peer_receive(c.peer, c.in, sizeof c.in);
    assert_reset(c.peer);
}

/* The parts of a small answer. */
static void answer_and_use_up_memory(aloop_stream *stream, const void *data,
                                     ssize_t size, void *arg)
{
    const bool *is_closing = arg;

    note((int) size);
    if (size <= 0)
        return;
    assert_int_equal(aloop_stream_put(stream, "<", 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
    memory.is_out = true;
    if (*is_closing)
        aloop_stream_close(stream);
}

/* Has the system accept nothing of an answer, and no memory be left for it. */
static aloop_stream *answered_without_memory(const bool *is_closing)
{
    aloop_stream *stream = connected();

    assert_int_equal(aloop_stream_start(stream, answer_and_use_up_memory,
                                        (void *) (uintptr_t) is_closing),
                     0);
    sim_fail("aloop__sys_send", 1, ALOOP_EAGAIN);
    assert_int_equal(sim_peer_send(c.peer, "answer", 6), 6);
    for (int i = 0; i < 10; i++)
        aloop_step(t.loop, MS);
    memory.is_out = false;
    return stream;
}

/* The puts have returned 0. */
static void an_answer_that_cannot_be_kept_is_reported_by_the_callback(
    void **state)
{
    static const bool is_closing = false;
    aloop_stream *stream = answered_without_memory(&is_closing);

    (void) state;
    assert_noted(6, ALOOP_ENOMEM);
    assert_int_equal(sim_faults_pending(), 0);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ENOMEM);
    aloop_stream_close(stream);
    run_for(MS);
    assert_reset(c.peer);
}

static void a_close_that_cannot_keep_an_answer_resets(void **state)
{
    static const bool is_closing = true;
    char byte;

    (void) state;
    answered_without_memory(&is_closing);
    assert_noted(6);
    assert_int_equal(sim_faults_pending(), 1);
    assert_true(sim_peer_receive(c.peer, &byte, 1) <= 0);
    assert_reset(c.peer);
}

static void reply_and_fork(aloop_stream *stream, const void *data, ssize_t size,
                           void *arg)
{
    (void) arg;
    if (size <= 0 || t.calls++ > 0)
        return;
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 1);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
}

static void a_child_of_a_callback_can_use_a_stream_that_was_blocked(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, reply_and_fork, NULL), 0);
    fill(stream);
    overfill(stream);
    send_text("question");
    assert_int_equal(t.calls, 1);
    receive_all();
    assert_int_equal(c.in_size, BUFFER);

    assert_int_equal(aloop_stream_start(stream, reply_and_fork, NULL), 0);
    run_for(MS);
    assert_int_equal(aloop_stream_put(stream, "child", 5), 0);
    receive_all();

    assert_int_equal(c.in_size, BUFFER + 5);
    assert_memory_equal(c.in + BUFFER, "child", 5);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN_SENDER(
            a_stream_whose_replies_were_lost_survives_becoming_writable),
        PLAIN_SENDER(an_answer_that_cannot_be_kept_is_reported_by_the_callback),
        PLAIN_SENDER(a_close_that_cannot_keep_an_answer_resets),
        SENDER(a_child_of_a_callback_can_use_a_stream_that_was_blocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
