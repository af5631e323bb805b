/* Tests of streams that are idle, and of what they therefore have to get
 * again. */

#include "support/stream_fixture.h"

#include "stream/stream.h"

/* The memory of a server with many connections that wait. */
static void an_idle_stream_consists_of_at_most_12_words(void **state)
{
    (void) state;
    assert_true(sizeof(struct aloop_stream) <= 12 * sizeof(int64_t));
}

static void a_stream_that_has_answered_is_idle_again(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    assert_int_equal(aloop_stream_put(stream, "1", 1), 0);
    run_for(MS);
    assert_null(stream->sender);

    send_text("abcd\nefgh");
    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, buffer, 4)),
                     4);
    assert_non_null(stream->sender->input);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, buffer, 4)),
                     4);
    assert_int_equal(aloop_await(aloop_stream_read(stream, buffer, 4)), 1);
    assert_int_equal(aloop_stream_put(stream, "2", 1), 0);
    run_for(MS);

    assert_null(stream->sender);
    assert_received("12");
    aloop_stream_close(stream);
}

/* Leaves no memory, and no writing half that was freed. */
static void use_up_memory(void)
{
    memory.is_out = true;
    while (aloop__slab_take(&t.loop->slab, sizeof(struct aloop__sender)) !=
           NULL)
        continue;
}

static void ends_are_reported_although_there_is_no_memory(void **state)
{
    aloop_stream *streams[3];
    int peers[3];

    (void) state;
    for (int i = 0; i < 3; i++) {
        streams[i] = connected_to(&peers[i]);
        assert_int_equal(aloop_stream_start(streams[i], note_size, NULL), 0);
    }
    sim_peer_shutdown(peers[0]);
    sim_peer_shutdown(peers[2]);
    run_for(MS);
    assert_noted(0, 0);

    use_up_memory();
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_stream_start(streams[i], note_size, NULL), 0);
    for (int i = 0; i < 5; i++)
        aloop_step(t.loop, 0);
    memory.is_out = false;

    assert_noted(0, 0, 0, 0);
    assert_quiet_for_a_second();
    for (int i = 0; i < 3; i++)
        aloop_stream_close(streams[i]);
}

/* Each read settles before its continuation has run. */
static void reads_that_have_settled(aloop_stream *stream)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            aloop_then(aloop_stream_read(stream, NULL, 4), note_status, NULL),
            0);
}

/* Starts on_data behind settled reads, and asks for a read that is refused. */
static void read_beside_on_data(aloop_stream *stream, char *buffer)
{
    reads_that_have_settled(stream);
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    assert_int_equal(
        aloop_then(aloop_stream_read(stream, buffer, 4), note_status, NULL), 0);
}

static void reads_that_have_settled_are_reported_while_on_data_reads(
    void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    read_beside_on_data(stream, buffer);
    send_text("abc");

    assert_noted(ALOOP_EINVAL, ALOOP_EINVAL, ALOOP_EBUSY);
    assert_int_equal(c.got_size, 3);
    aloop_stream_close(stream);
}

static void no_continuation_of_a_read_runs_after_a_close_while_on_data_reads(
    void **state)
{
    aloop_stream *stream = connected();
    char buffer[4];

    (void) state;
    read_beside_on_data(stream, buffer);
    aloop_stream_close(stream);
    run_for(MS);

    assert_int_equal(t.noted, 0);
}

static void no_continuation_of_a_read_runs_after_a_close_during_a_forward(
    void **state)
{
    aloop_stream *from = connected(), *to = connected();

    (void) state;
    reads_that_have_settled(from);
    aloop_future *forward = aloop_stream_forward(from, to);
    reads_that_have_settled(from);
    aloop_stream_close(from);
    run_for(MS);

    assert_int_equal(t.noted, 0);
    assert_int_equal(aloop_future_status(forward), ALOOP_ECANCELED);
    aloop_future_unref(forward);
    aloop_stream_close(to);
}

/* What is not sent needs the memory of a stream as well. */
static void what_has_to_be_kept_is_kept_when_everything_is_sent(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *read = aloop_stream_read(stream, NULL, 4);

    (void) state;
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    assert_int_equal(aloop_stream_put(stream, "1", 1), 0);
    run_for(MS);
    assert_ptr_equal(stream->sender->reads, read);
    assert_int_equal(aloop_await(read), ALOOP_EINVAL);

    assert_int_equal(aloop_stream_stop(stream), 0);
    assert_int_equal(aloop_stream_unread(stream, "abc", 3), 0);
    assert_int_equal(aloop_stream_put(stream, "2", 1), 0);
    run_for(MS);
    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    run_for(MS);
    assert_int_equal(c.got_size, 3);
    assert_received("12");
    aloop_stream_close(stream);
}

static void start_again(aloop *loop, void *stream)
{
    (void) loop;
    assert_int_equal(aloop_stream_start(stream, note_size, NULL), 0);
    assert_int_equal(aloop_stream_put(stream, "1", 1), 0);
}

/* The flush of the turn is between the start and the call. */
static void an_end_is_reported_when_everything_is_sent_before(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    assert_int_equal(aloop_stream_start(stream, note_size, NULL), 0);
    sim_peer_shutdown(c.peer);
    run_for(MS);
    assert_noted(0);

    aloop_defer(t.loop, start_again, stream);
    run_for(MS);
    assert_noted(0, 0);
    assert_received("1");
    aloop_stream_close(stream);
}

/* The one that is refused is newer than the one that is pending, and exists
 * when that one ends. */
static void a_read_stays_pending_when_another_is_refused(void **state)
{
    aloop_stream *stream = connected();
    char buffer[4], other[4];
    aloop_future *read = aloop_stream_read(stream, buffer, 4);
    aloop_future *refused = aloop_stream_read(stream, other, 4);

    (void) state;
    send_text("abc");
    assert_int_equal(aloop_await(read), 3);
    assert_int_equal(aloop_await(refused), ALOOP_EBUSY);

    read = aloop_stream_read(stream, buffer, 4);
    refused = aloop_stream_read(stream, other, 4);
    aloop_stream_close(stream);
    assert_int_equal(aloop_future_status(read), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(refused), ALOOP_EBUSY);
    aloop_future_unref(read);
    aloop_future_unref(refused);
}

static void on_data_does_not_begin_without_memory_for_reads_that_have_settled(
    void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    reads_that_have_settled(stream);
    use_up_memory();
    assert_int_equal(aloop_stream_start(stream, collect, NULL), ALOOP_ENOMEM);
    memory.is_out = false;
    run_for(MS);
    assert_noted(ALOOP_EINVAL, ALOOP_EINVAL);

    assert_int_equal(aloop_stream_start(stream, collect, NULL), 0);
    send_text("abc");
    assert_int_equal(c.got_size, 3);
    aloop_stream_close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_stream_consists_of_at_most_12_words),
        MEMORY_TEST(a_stream_that_has_answered_is_idle_again),
        MEMORY_TEST(ends_are_reported_although_there_is_no_memory),
        TEST(reads_that_have_settled_are_reported_while_on_data_reads),
        TEST(no_continuation_of_a_read_runs_after_a_close_while_on_data_reads),
        TEST(no_continuation_of_a_read_runs_after_a_close_during_a_forward),
        TEST(what_has_to_be_kept_is_kept_when_everything_is_sent),
        TEST(an_end_is_reported_when_everything_is_sent_before),
        TEST(a_read_stays_pending_when_another_is_refused),
        MEMORY_TEST(
            on_data_does_not_begin_without_memory_for_reads_that_have_settled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
