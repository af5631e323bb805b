/* Promises of the headers that no other test is about. */

#include "support/stream_fixture.h"

static ssize_t sleeps(aloop *loop, void *arg)
{
    ssize_t *status = arg;

    *status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    return *status;
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return ALOOP_EPIPE;
}

typedef aloop_future *(*grouping)(aloop *loop, size_t count,
                                  aloop_future **futures);

static aloop_future *as_gather(aloop *loop, size_t count,
                               aloop_future **futures)
{
    return aloop_gather_array(loop, count, futures);
}

static aloop_future *as_settled(aloop *loop, size_t count,
                                aloop_future **futures)
{
    return aloop_gather_settled(loop, count, futures, NULL);
}

static aloop_future *as_any(aloop *loop, size_t count, aloop_future **futures)
{
    return aloop_any_array(loop, count, futures, NULL);
}

static aloop_future *as_race(aloop *loop, size_t count,
                             aloop_future **futures)
{
    return aloop_race_array(loop, count, futures, NULL);
}

static const grouping groupings[] = {as_gather, as_settled, as_any, as_race};
enum { GROUPINGS = sizeof groupings / sizeof groupings[0] };

static void every_kind_of_group_passes_a_cancel_on(void **state)
{
    (void) state;
    for (int i = 0; i < GROUPINGS; i++) {
        ssize_t statuses[2] = {0, 0};
        aloop_future *members[2], *group;

        members[0] = aloop_spawn(t.loop, sleeps, &statuses[0]);
        members[1] = aloop_spawn(t.loop, sleeps, &statuses[1]);
        group = groupings[i](t.loop, 2, members);
        aloop_step(t.loop, 0);
        assert_int_equal(aloop_cancel(group), 1);
        assert_int_equal(aloop_await(group), ALOOP_EABORTED);
        assert_int_equal(statuses[0], ALOOP_ECANCELED);
        assert_int_equal(statuses[1], ALOOP_ECANCELED);
    }
}

static void every_kind_of_group_takes_the_references_over(void **state)
{
    (void) state;
    for (int i = 0; i < GROUPINGS; i++) {
        ssize_t status = 0;
        aloop_future *member = aloop_spawn(t.loop, sleeps, &status);
        aloop_future *group = groupings[i](t.loop, 1, &member);

        aloop_step(t.loop, 0);
        aloop_future_unref(group); /* The last reference to both. */
        aloop_run(t.loop);
        assert_int_equal(status, ALOOP_ECANCELED);
    }
}

static void race_tells_whose_status_it_is(void **state)
{
    aloop_future *futures[2];
    size_t index = 99;

    (void) state;
    futures[0] = aloop_sleep(t.loop, 2 * MS);
    futures[1] = aloop_sleep(t.loop, MS);
    assert_int_equal(
        aloop_await(aloop_race_array(t.loop, 2, futures, &index)), 0);
    assert_int_equal(index, 1);
}

static void any_that_fails_leaves_the_index_untouched(void **state)
{
    aloop_future *futures[2];
    size_t index = 99;

    (void) state;
    futures[0] = aloop_spawn(t.loop, fails, NULL);
    futures[1] = aloop_spawn(t.loop, fails, NULL);
    assert_int_equal(aloop_await(aloop_any_array(t.loop, 2, futures, &index)),
                     ALOOP_EPIPE);
    assert_int_equal(index, 99);
}

static void race_cancels_and_awaits_the_losers(void **state)
{
    ssize_t status = 0;
    aloop_future *slow = aloop_spawn(t.loop, sleeps, &status);

    (void) state;
    assert_int_equal(
        aloop_await(aloop_race(t.loop, slow, aloop_sleep(t.loop, MS))), 0);
    assert_int_equal(status, ALOOP_ECANCELED);
}

static void refuse_in_callback(aloop *loop, void *arg)
{
    (void) loop;
    assert_int_equal(aloop_await(arg), ALOOP_EDEADLK);
}

static void a_refused_await_takes_the_reference_over_all_the_same(void **state)
{
    ssize_t status = 0;
    aloop_future *task = aloop_spawn(t.loop, sleeps, &status);

    (void) state;
    aloop_step(t.loop, 0);
    aloop_defer(t.loop, refuse_in_callback, task);
    aloop_run(t.loop);
    assert_int_equal(status, ALOOP_ECANCELED);
}

static void a_channel_that_closes_leaves_the_item_untouched(void **state)
{
    aloop_channel *channel = aloop_channel_new(t.loop, sizeof(int), 1);
    int item = 99;
    aloop_future *receive = aloop_channel_receive(channel, &item);

    (void) state;
    aloop_channel_close(channel);
    assert_int_equal(aloop_await(receive), ALOOP_ECLOSED);
    assert_int_equal(item, 99);
    aloop_channel_free(channel);
}

/* Streams and listeners. */

static aloop_stream *accepted[200];
static int accepted_count;

static void on_stream(aloop_listener *listener, aloop_stream *stream,
                      void *arg)
{
    (void) listener;
    (void) arg;
    if (accepted_count < 200)
        accepted[accepted_count++] = stream;
}

static void on_nothing(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    (void) arg;
}

static aloop_listener *listen_on_seven(void)
{
    aloop_listener *listener = NULL;

    accepted_count = 0;
    assert_int_equal(aloop_tcp_listen(t.loop, "127.0.0.1", "7", on_stream,
                                      NULL, &listener),
                     0);
    return listener;
}

static void referencing_a_stream_is_idempotent(void **state)
{
    aloop_listener *listener = listen_on_seven();
    int peer = sim_connect(7);

    (void) state;
    aloop_step(t.loop, MS);
    aloop_step(t.loop, MS);
    assert_int_equal(accepted_count, 1);
    aloop_listener_close(listener);
    aloop_stream_start(accepted[0], on_nothing, NULL);
    assert_true(aloop_alive(t.loop));
    aloop_stream_unref(accepted[0]);
    aloop_stream_unref(accepted[0]);
    assert_false(aloop_alive(t.loop));
    aloop_stream_ref(accepted[0]);
    aloop_stream_ref(accepted[0]);
    aloop_stream_unref(accepted[0]);
    assert_false(aloop_alive(t.loop));
    aloop_stream_close(accepted[0]);
    sim_peer_close(peer);
}

/* A reset could destroy the reply on its way to the peer. */
static void closing_with_unread_input_resets_nobody(void **state)
{
    aloop_listener *listener = listen_on_seven();
    int peer = sim_connect(7);
    char reply[8];

    (void) state;
    assert_int_equal(sim_peer_send(peer, "a long question", 15), 15);
    aloop_step(t.loop, MS);
    aloop_step(t.loop, MS);
    sim_pass(MS);
    aloop_stream_put(accepted[0], "reply", 5);
    aloop_stream_close(accepted[0]);
    aloop_step(t.loop, MS);
    sim_pass(MS);
    assert_int_equal(sim_peer_receive(peer, reply, sizeof reply), 5);
    assert_int_equal(sim_peer_error(peer), 0);
    assert_true(sim_peer_eof(peer));
    aloop_listener_close(listener);
    sim_peer_close(peer);
}

static void what_was_put_and_could_not_be_sent_is_told_and_reset(void **state)
{
    aloop_listener *listener = listen_on_seven();
    int peer = sim_connect(7);

    (void) state;
    aloop_step(t.loop, MS);
    aloop_step(t.loop, MS);
    aloop_stream_start(accepted[0], note_size, NULL);
    sim_fail("sys_send", 1, -ENOBUFS);
    assert_int_equal(aloop_stream_put(accepted[0], "reply", 5), 0);
    aloop_step(t.loop, 0);
    aloop_step(t.loop, 0);
    assert_noted(-ENOBUFS);
    aloop_stream_close(accepted[0]);
    sim_pass(MS);
    assert_int_equal(sim_peer_error(peer), ALOOP_ECONNRESET);
    aloop_listener_close(listener);
    sim_peer_close(peer);
}

static void note_how_many(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    note(accepted_count);
}

static void a_flood_of_connections_leaves_room_for_a_timer(void **state)
{
    aloop_listener *listener = listen_on_seven();
    aloop_timer *timer;
    int peers[200];

    (void) state;
    for (int i = 0; i < 200; i++)
        peers[i] = sim_connect(7);
    sim_pass(MS);
    aloop_timer_start(t.loop, 0, 0, note_how_many, NULL, &timer);
    for (int i = 0; i < 20 && accepted_count < 200; i++) {
        aloop_timer_restart(timer, 0);
        aloop_step(t.loop, 0);
    }
    assert_int_equal(accepted_count, 200);
    for (int i = 1; i < t.noted; i++) /* Never more than a burst a turn. */
        assert_true(t.order[i] - t.order[i - 1] <= 64);
    assert_true(t.noted >= 4);
    aloop_listener_close(listener);
    for (int i = 0; i < 200; i++) {
        aloop_stream_close(accepted[i]);
        sim_peer_close(peers[i]);
    }
}

static void a_closed_handle_is_freed_as_the_turn_ends(void **state)
{
    aloop_timer *timer;
    char *first, *second;

    (void) state;
    aloop_timer_start(t.loop, MS, 0, note_how_many, NULL, &timer);
    first = (char *) timer;
    aloop_timer_close(timer);
    aloop_timer_start(t.loop, MS, 0, note_how_many, NULL, &timer);
    second = (char *) timer;
    assert_ptr_not_equal(first, second); /* Not before. */
    aloop_timer_close(timer);
    aloop_step(t.loop, 0);
    assert_int_equal(t.noted, 0);
    assert_false(aloop_alive(t.loop));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_group_passes_a_cancel_on),
        TEST(every_kind_of_group_takes_the_references_over),
        TEST(race_tells_whose_status_it_is),
        TEST(any_that_fails_leaves_the_index_untouched),
        TEST(race_cancels_and_awaits_the_losers),
        TEST(a_refused_await_takes_the_reference_over_all_the_same),
        TEST(a_channel_that_closes_leaves_the_item_untouched),
        TEST(referencing_a_stream_is_idempotent),
        TEST(closing_with_unread_input_resets_nobody),
        TEST(what_was_put_and_could_not_be_sent_is_told_and_reset),
        TEST(a_flood_of_connections_leaves_room_for_a_timer),
        TEST(a_closed_handle_is_freed_as_the_turn_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
