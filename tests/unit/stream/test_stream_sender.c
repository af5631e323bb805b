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
        SENDER(a_child_of_a_callback_can_use_a_stream_that_was_blocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
