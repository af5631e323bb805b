/* Tests of aloop/filter.h: the contract of the table, line by line.
 *
 * The filter of these tests is a script: each of its functions returns what the
 * test has set, and notes its calls as letters. */

#include "support/stream_fixture.h"

/* What the functions of the filter do. */
static struct script {
    char calls[4096]; /* "F", "R", "W", "P", "H", "C"; small letters: size 0. */
    size_t calls_count;
    char in[8192]; /* Bytes that feed has taken and read has not given. */
    size_t in_size;
    char out[8192]; /* Bytes that write has taken and pull has not given. */
    size_t out_size;
    ssize_t feed; /* Results that replace the usual ones, unless 0. */
    ssize_t read;
    ssize_t write;
    ssize_t pull;
    int handshake;   /* Result of the handshake. */
    bool has_shaken; /* The handshake sends and needs a byte. */
    bool in_ended;
    bool out_ended;
    size_t write_max;    /* The largest write. */
    aloop_stream *wakes; /* A stream to wake in the next read. */
} s;

static void note_letter(char letter)
{
    if (s.calls_count + 1 < sizeof s.calls)
        s.calls[s.calls_count++] = letter;
}

static ssize_t script_take(char *bytes, size_t *size, size_t room,
                           const void *data, size_t given)
{
    if (*size == room)
        return ALOOP_EAGAIN;
    if (given > room - *size)
        given = room - *size;
    memcpy(bytes + *size, data, given);
    *size += given;
    return (ssize_t) given;
}

static ssize_t script_give(char *bytes, size_t *size, bool has_ended,
                           void *data, size_t room)
{
    if (*size == 0)
        return has_ended ? 0 : ALOOP_EAGAIN;
    if (room > *size)
        room = *size;
    memcpy(data, bytes, room);
    *size -= room;
    memmove(bytes, bytes + room, *size);
    return (ssize_t) room;
}

static ssize_t script_feed(void *context, const void *data, size_t size)
{
    (void) context;
    note_letter(size == 0 ? 'f' : 'F');
    assert_true((data == NULL) == (size == 0));
    if (s.feed != 0)
        return s.feed;
    s.in_ended = s.in_ended || size == 0;
    return data == NULL
               ? 0
               : script_take(s.in, &s.in_size, sizeof s.in, data, size);
}

static ssize_t script_read(void *context, void *data, size_t size)
{
    (void) context;
    note_letter('R');
    if (s.wakes != NULL)
        assert_int_equal(aloop_stream_filter_wake(s.wakes), 0);
    s.wakes = NULL;
    if (s.read != 0)
        return s.read;
    return script_give(s.in, &s.in_size, s.in_ended, data, size);
}

static ssize_t script_write(void *context, const void *data, size_t size)
{
    (void) context;
    note_letter(size == 0 ? 'w' : 'W');
    assert_true((data == NULL) == (size == 0));
    if (size > s.write_max)
        s.write_max = size;
    if (s.write != 0)
        return s.write;
    s.out_ended = s.out_ended || size == 0;
    return data == NULL
               ? 0
               : script_take(s.out, &s.out_size, sizeof s.out, data, size);
}

static ssize_t script_pull(void *context, void *data, size_t size)
{
    (void) context;
    note_letter('P');
    if (s.pull != 0)
        return s.pull;
    return script_give(s.out, &s.out_size, s.out_ended, data, size);
}

/* A client that sends "h" and expects "h". */
static int script_handshake(void *context)
{
    (void) context;
    note_letter('H');
    if (!s.has_shaken)
        s.out[s.out_size++] = 'h';
    s.has_shaken = true;
    if (s.handshake != 0)
        return s.handshake;
    if (s.in_size == 0)
        return ALOOP_EAGAIN;
    s.in_size--;
    memmove(s.in, s.in + 1, s.in_size);
    return 0;
}

static void script_close(void *context)
{
    assert_ptr_equal(context, &s);
    note_letter('C');
}

static const aloop_filter plain_script = {
    .size = sizeof plain_script,
    .feed = script_feed,
    .read = script_read,
    .write = script_write,
    .pull = script_pull,
    .close = script_close,
};

static const aloop_filter shaking_script = {
    .size = sizeof shaking_script,
    .feed = script_feed,
    .read = script_read,
    .write = script_write,
    .pull = script_pull,
    .handshake = script_handshake,
    .close = script_close,
};

static unsigned calls_of(char letter)
{
    unsigned count = 0;

    for (size_t i = 0; i < s.calls_count; i++)
        count += s.calls[i] == letter;
    return count;
}

static aloop_stream *scripted(void)
{
    aloop_stream *stream = connected();

    s = (struct script){0};
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)), 0);
    return stream;
}

/* Putting a filter on. */

static void wrong_arguments_are_refused_and_close_the_context(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;

    (void) state;
    s = (struct script){0};
    assert_int_equal(aloop_await(aloop_stream_filter(NULL, &filter, &s)),
                     ALOOP_EINVAL);
    assert_int_equal(calls_of('C'), 1);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, NULL, &s)),
                     ALOOP_EINVAL);
    filter.pull = NULL;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                     ALOOP_EINVAL);
    filter = plain_script;
    filter.size = 3;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                     ALOOP_EINVAL);
    assert_int_equal(calls_of('C'), 2);
    assert_int_equal(aloop_stream_filter_wake(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_stream_filter_wake(stream), ALOOP_ENOTSUP);
    aloop_stream_close(stream);
}

static void a_stream_in_use_gets_no_filter(void **state)
{
    aloop_stream *stream = connected(), *other = connected();
    aloop_future *pending;
    char byte;

    (void) state;
    s = (struct script){0};
    pending = aloop_stream_read(stream, &byte, 1);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EBUSY);
    aloop_future_unref(pending);
    aloop_stream_start(stream, ignore, NULL);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EBUSY);
    aloop_stream_stop(stream);
    pending = aloop_stream_forward(stream, other);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EBUSY);
    assert_int_equal(aloop_await(aloop_stream_filter(other, &plain_script, &s)),
                     ALOOP_EBUSY);
    aloop_future_unref(pending);
    assert_int_equal(calls_of('C'), 4);
    aloop_detach(aloop_stream_shutdown(other));
    assert_int_equal(aloop_await(aloop_stream_filter(other, &plain_script, &s)),
                     ALOOP_EPIPE);
    aloop_stream_abort(stream);
    aloop_stream_abort(other);
}

static void earlier_bytes_leave_unfiltered_and_unread_bytes_are_fed(
    void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write;
    char text[8];

    (void) state;
    s = (struct script){0};
    write = aloop_stream_write(stream, "before", 6);
    assert_int_equal(aloop_stream_unread(stream, "early", 5), 0);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)), 0);
    assert_int_equal(aloop_stream_put(stream, "after", 5), 0);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 5);
    assert_memory_equal(text, "early", 5);
    assert_int_equal(aloop_await(write), 6);
    assert_received("beforeafter");
    assert_int_equal(calls_of('W'), 1);
    aloop_stream_close(stream);
}

static void with_a_filter_the_descriptor_cannot_be_taken(void **state)
{
    aloop_stream *stream = scripted();
    int fd = 0;

    (void) state;
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), ALOOP_EBUSY);
    assert_int_equal(aloop_stream_put_fds(stream, "x", 1, &fd, 1),
                     ALOOP_ENOTSUP);
    assert_int_equal(aloop_stream_take_fd(stream), ALOOP_ENOTSUP);
    aloop_stream_close(stream);
}

/* Moving bytes. */

static void everything_that_was_put_is_written_before_a_pull(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    for (int i = 0; i < 500; i++)
        assert_int_equal(aloop_stream_put(stream, "0123456789", 10), 0);
    run_for(MS);
    assert_int_equal(calls_of('W'), 1);
    assert_int_equal(s.write_max, 5000);
    receive_all();
    assert_int_equal(c.in_size, 5000);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

static void small_pieces_are_joined_up_to_a_record_of_tls(void **state)
{
    static const char bytes[64 * 1024];
    static const struct {
        size_t sizes[5];
        size_t joined; /* In the first call. */
    } cases[] = {{{4096, 4096, 4096, 4096, 4096}, 16384},
                 {{8192, 12288}, 8192},
                 {{4096, 12288, 1}, 16384},
                 {{65536, 1}, 65536}};

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        aloop_stream *stream = scripted();

        s.write = ALOOP_EAGAIN;
        for (int j = 0; j < 5 && cases[i].sizes[j] > 0; j++)
            aloop_detach(aloop_stream_write(stream, bytes, cases[i].sizes[j]));
        run_for(MS);
        assert_int_equal(s.write_max, cases[i].joined);
        aloop_stream_abort(stream);
        sim_peer_close(c.peer);
    }
}

static void bytes_inside_the_filter_reach_a_reader_that_begins(void **state)
{
    aloop_stream *stream = scripted();
    char byte;

    (void) state;
    send_text("abc");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 1);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(calls_of('F'), 1);
    aloop_stream_close(stream);
}

static void the_end_of_the_peer_is_fed_once_and_read_decides(void **state)
{
    aloop_stream *stream = scripted();
    char text[8];

    (void) state;
    send_text("abc");
    sim_peer_shutdown(c.peer);
    run_for(MS);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 3);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 0);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 0);
    assert_int_equal(calls_of('f'), 1);
    aloop_stream_close(stream);

    stream = scripted();
    s.read = ALOOP_ECONNRESET;
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                     ALOOP_ECONNRESET);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ECONNRESET);
    aloop_stream_close(stream);
}

static void a_shutdown_writes_the_end_once_and_ends_after_the_pull(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    assert_int_equal(aloop_stream_put(stream, "bye", 3), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_received("bye");
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(calls_of('w'), 1);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('w'), 1);
    assert_int_equal(calls_of('C'), 1);
}

static void a_pull_of_zero_ends_the_writing_side(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.out_ended = true;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    run_for(MS);
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPIPE);
    aloop_stream_close(stream);
}

static void a_write_settles_when_its_bytes_are_sent(void **state)
{
    aloop_stream *stream = scripted();
    aloop_future *write;

    (void) state;
    fill(stream);
    write = aloop_stream_write(stream, "x", 1);
    run_for(MS);
    assert_int_equal(s.out_size, 0);
    assert_int_equal(aloop_stream_queued(stream), 1);
    assert_false(aloop_future_is_settled(write));
    receive_all();
    assert_int_equal(aloop_await(write), 1);
    aloop_stream_close(stream);
}

static void a_write_that_the_filter_has_taken_breaks_when_cancelled(
    void **state)
{
    aloop_stream *stream = scripted();
    aloop_future *write;

    (void) state;
    s.write = ALOOP_EAGAIN;
    write = aloop_stream_write(stream, "x", 1);
    run_for(MS);
    aloop_future_unref(write); /* Before its first byte was taken. */
    s.write = 0;
    assert_int_equal(aloop_stream_put(stream, "y", 1), 0);
    assert_received("y");

    fill(stream);
    write = aloop_stream_write(stream, "x", 1);
    run_for(MS);
    aloop_future_unref(write);
    assert_int_equal(aloop_stream_put(stream, "z", 1), ALOOP_EPIPE);
    aloop_stream_close(stream);
}

static ssize_t drop_write(void *context, const void *data, size_t size)
{
    (void) context;
    (void) data;
    return (ssize_t) size;
}

static void a_write_without_output_settles_when_one_before_it_is_cancelled(
    void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;
    aloop_future *before, *write;

    (void) state;
    s = (struct script){0};
    filter.write = drop_write;
    fill(stream);
    before = aloop_stream_write(stream, "x", 1);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    write = aloop_stream_write(stream, "y", 1);
    run_for(MS);
    assert_false(aloop_future_is_settled(write));
    aloop_future_unref(before);
    receive_all();
    assert_int_equal(aloop_await(write), 1);
    aloop_stream_close(stream);
}

/* Refuses twice, takes a byte, and fails. */
static ssize_t feed_and_fail(void *context, const void *data, size_t size)
{
    unsigned calls = calls_of('F');

    (void) context;
    (void) data;
    (void) size;
    note_letter(calls < 3 ? 'F' : 'E');
    if (calls < 2)
        return ALOOP_EAGAIN;
    return calls == 2 ? 1 : ALOOP_EPROTO;
}

static void a_feed_that_fails_during_a_read_is_followed_by_no_read(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;
    char text[8];
    const char *failure;

    (void) state;
    s = (struct script){0};
    filter.feed = feed_and_fail;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    send_text("abc");
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                     ALOOP_EPROTO);
    aloop_stream_close(stream);
    failure = strchr(s.calls, 'E');
    assert_non_null(failure);
    assert_int_equal(strspn(failure + 1, "P"), strlen(failure) - 2);
}

/* The handshake. */

static void nothing_is_read_or_written_before_the_handshake(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;
    char text[8];

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    assert_int_equal(s.calls_count, 0); /* Not inside the call. */
    assert_int_equal(aloop_stream_put(stream, "data", 4), 0);
    assert_received("h");
    assert_false(aloop_future_is_settled(handshake));
    assert_int_equal(calls_of('R') + calls_of('W'), 0);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EBUSY);
    send_text("hello");
    assert_int_equal(aloop_await(handshake), 0);
    assert_int_equal(calls_of('H'), 2);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 4);
    assert_received("hdata");
    aloop_stream_close(stream);
    assert_int_equal(calls_of('H'), 2);
}

static void put_on_and_unread(aloop_stream *stream, const void *data,
                              ssize_t size, void *arg)
{
    aloop_future **handshake = arg;

    if (size <= 0 || *handshake != NULL)
        return;
    assert_int_equal(aloop_stream_unread(stream, data, (size_t) size), 0);
    *handshake = aloop_stream_filter(stream, &shaking_script, &s);
}

static void a_handshake_begins_without_input(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++) {
        aloop_stream *stream = connected();
        aloop_future *handshake = NULL;

        s = (struct script){0};
        if (i == 0)
            assert_int_equal(aloop_stream_unread(stream, "h", 1), 0);
        else
            sim_peer_send(c.peer, "h", 1);
        if (i == 2) { /* While the driver of another filter runs. */
            assert_int_equal(aloop_await(aloop_stream_filter(
                                 stream, &passing_filter, new_passing(8, 8))),
                             0);
            aloop_stream_start(stream, put_on_and_unread, &handshake);
            run_for(MS);
        } else {
            handshake = aloop_stream_filter(stream, &shaking_script, &s);
        }
        assert_int_equal(aloop_await(handshake), 0);
        assert_int_equal(s.calls[0], 'H');
        assert_int_equal(calls_of('H'), 2);
        aloop_stream_close(stream);
    }
}

static void a_failed_handshake_breaks_the_stream_and_sends_the_alert(
    void **state)
{
    aloop_stream *stream = connected();
    char text[8];

    (void) state;
    s = (struct script){.handshake = ALOOP_EPROTO};
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &shaking_script, &s)),
        ALOOP_EPROTO);
    assert_received("h");
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                     ALOOP_EPROTO);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EPROTO);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 1);
}

static void a_filter_after_a_failed_handshake_gets_its_error(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    s = (struct script){.handshake = ALOOP_EPROTO};
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &shaking_script, &s)),
        ALOOP_EPROTO);
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)),
        ALOOP_EPROTO);
    assert_int_equal(calls_of('C'), 1);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 2);
}

static void a_cancelled_handshake_breaks_the_stream(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    run_for(MS);
    aloop_future_unref(handshake);
    assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_ECONNABORTED);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 1);
}

static void a_close_during_the_handshake_cancels_it(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    run_for(MS);
    aloop_stream_put(stream, "lost", 4);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('C'), 1);
    assert_int_equal(aloop_future_status(handshake), ALOOP_ECANCELED);
    aloop_future_unref(handshake);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

static void a_wake_continues_a_handshake_without_input(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *handshake;

    (void) state;
    s = (struct script){0};
    handshake = aloop_stream_filter(stream, &shaking_script, &s);
    run_for(MS);
    s.in[s.in_size++] = 'h'; /* The answer of a thread. */
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_int_equal(aloop_await(handshake), 0);
    aloop_stream_close(stream);
}

/* Filters that break their contract. */

static void results_that_are_not_allowed_break_the_stream(void **state)
{
    static const ssize_t wrong[] = {1 << 20, ALOOP_EBADF, ALOOP_PENDING,
                                    -100000};
    char text[8];

    (void) state;
    for (size_t i = 0; i < 4; i++)
        for (int function = 0; function < 4; function++) {
            aloop_stream *stream = scripted();
            ssize_t *results[] = {&s.feed, &s.read, &s.write, &s.pull};

            *results[function] = wrong[i];
            aloop_stream_put(stream, "abc", 3);
            sim_peer_send(c.peer, "def", 3);
            assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                             ALOOP_EINVAL);
            assert_int_equal(aloop_stream_put(stream, "x", 1), ALOOP_EINVAL);
            assert_quiet_for_a_second();
            aloop_stream_close(stream);
            assert_int_equal(calls_of('C'), 1);
        }
}

static ssize_t pull_once_then_fail(void *context, void *data, size_t size)
{
    (void) context;
    (void) size;
    note_letter('P');
    if (calls_of('P') > 1)
        return ALOOP_EPROTO;
    memcpy(data, "half", 4);
    return 4;
}

static void an_error_of_pull_is_no_end(void **state)
{
    aloop_filter filter = plain_script;

    (void) state;
    filter.pull = pull_once_then_fail;
    for (int below = 0; below < 2; below++) {
        aloop_stream *stream = connected();
        aloop_future *shutdown;

        s = (struct script){0};
        if (below > 0)
            assert_int_equal(aloop_await(aloop_stream_filter(
                                 stream, &passing_filter, new_passing(8, 8))),
                             0);
        assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                         0);
        aloop_stream_put(stream, "abc", 3);
        shutdown = aloop_stream_shutdown(stream);
        assert_int_equal(aloop_await(shutdown), ALOOP_EPROTO);
        assert_received("half");
        assert_false(sim_peer_eof(c.peer));
        aloop_stream_close(stream);
        run_for(MS);
        assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
    }
}

static void a_shutdown_fails_if_the_filter_refuses_the_end(void **state)
{
    aloop_stream *stream = scripted();
    aloop_future *shutdown = aloop_stream_shutdown(stream);

    (void) state;
    s.write = ALOOP_EPROTO;
    s.out_ended = true;
    assert_int_equal(aloop_await(shutdown), ALOOP_EPROTO);
    aloop_stream_close(stream);
}

static void an_error_fails_all_that_waits_behind_the_bytes_before_it(
    void **state)
{
    aloop_stream *stream = scripted();
    aloop_future *read, *write, *drain;
    char text[8];

    (void) state;
    s.write = ALOOP_EAGAIN;
    send_text("abc");
    write = aloop_stream_write(stream, text, 8);
    aloop_stream_set_watermarks(stream, 0, 4);
    drain = aloop_stream_drain(stream);
    read = aloop_stream_read_exactly(stream, text, 8);
    run_for(MS);
    s.read = ALOOP_EPROTO;
    send_text("d");
    assert_int_equal(aloop_await(read), ALOOP_EPROTO);
    assert_int_equal(aloop_await(write), ALOOP_EPROTO);
    assert_int_equal(aloop_await(drain), ALOOP_EPROTO);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 3);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)),
                     ALOOP_EPROTO);
    aloop_stream_abort(stream);
    assert_int_equal(calls_of('w'), 0);
    assert_int_equal(calls_of('C'), 1);
}

static void a_filter_that_takes_nothing_costs_no_time(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.feed = ALOOP_EAGAIN;
    s.write = ALOOP_EAGAIN;
    aloop_stream_start(stream, collect, NULL);
    aloop_stream_put(stream, "abc", 3);
    send_text("def");
    assert_quiet_for_a_second();
    assert_int_equal(aloop_stream_queued(stream), 3);
    aloop_stream_close(stream); /* What was refused is lost. */
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

/* Replies of on_data. */

static const void *last_write;

static ssize_t note_write(void *context, const void *data, size_t size)
{
    last_write = data;
    return script_write(context, data, size);
}

static void reply(aloop_stream *stream, const void *data, ssize_t size,
                  void *arg)
{
    const void **ret_data = arg;

    *ret_data = data;
    if (size <= 0)
        return;
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
    assert_true(aloop_stream_queued(stream) >= (size_t) size);
}

static void an_echo_repeats_only_the_calls_that_find_nothing(void **state)
{
    aloop_stream *stream = scripted();
    const void *data;

    (void) state;
    aloop_stream_start(stream, reply, &data);
    run_for(MS);
    s.calls_count = 0;
    send_text("abc");
    s.calls[s.calls_count] = '\0';
    assert_string_equal(s.calls, "FRRWPPRP");
    assert_received("abc");
    aloop_stream_close(stream);
}

static void replies_are_written_out_of_the_receive_buffer(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;
    const void *data;

    (void) state;
    s = (struct script){0};
    filter.write = note_write;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    aloop_stream_start(stream, reply, &data);
    send_text("abc");
    assert_ptr_equal(last_write, data);
    assert_received("abc");
    aloop_stream_close(stream);
}

static void replies_that_the_filter_refuses_are_kept_in_order(void **state)
{
    aloop_stream *stream = scripted();
    const void *data;

    (void) state;
    aloop_stream_start(stream, reply, &data);
    s.write = ALOOP_EAGAIN;
    send_text("abc");
    assert_int_equal(aloop_stream_queued(stream), 3);
    send_text("def");
    assert_int_equal(aloop_stream_queued(stream), 6);
    s.write = 0;
    assert_int_equal(aloop_stream_filter_wake(stream), 0);
    assert_received("abcdef");
    aloop_stream_close(stream);
}

static ssize_t endless_pull(void *context, void *data, size_t size)
{
    (void) context;
    memset(data, 'x', size);
    return (ssize_t) size;
}

static ssize_t refuse_write(void *context, const void *data, size_t size)
{
    (void) context;
    (void) data;
    return size == 0 ? 0 : ALOOP_EAGAIN;
}

static void output_without_an_end_is_limited_by_the_peer(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = plain_script;

    (void) state;
    s = (struct script){0};
    filter.pull = endless_pull;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    run_for(MS);
    assert_in_range(aloop_stream_queued(stream), 1, 256 * 1024);
    assert_quiet_for_a_second();
    aloop_stream_close(stream); /* It returns. */
    assert_int_equal(calls_of('C'), 1);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

/* Endless output of a filter that refuses bytes, of one above another filter,
 * and of one whose stream may queue without a limit. */
static void a_close_with_output_without_an_end_returns(void **state)
{
    aloop_filter endless = passing_filter, refusing = passing_filter;

    (void) state;
    endless.pull = endless_pull;
    refusing.pull = endless_pull;
    refusing.write = refuse_write;
    for (int i = 0; i < 3; i++) {
        aloop_stream *stream = connected();

        if (i == 1)
            aloop_detach(aloop_stream_filter(stream, &passing_filter,
                                             new_passing(8192, 8192)));
        assert_int_equal(
            aloop_await(aloop_stream_filter(
                stream, i == 1 ? &endless : &refusing, new_passing(8, 8))),
            0);
        aloop_stream_put(stream, "abc", 3);
        if (i == 2) {
            aloop_stream_set_watermarks(stream, 0, SIZE_MAX);
            aloop_step(t.loop, 0);
        }
        aloop_stream_close(stream);
        run_for(MS);
        assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
    }
}

static void a_filter_that_waits_for_the_peer_is_fed_without_a_reader(
    void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.write = ALOOP_EAGAIN;
    aloop_stream_put(stream, "abc", 3);
    run_for(MS);
    assert_int_equal(calls_of('F'), 0);
    send_text("go");
    assert_int_equal(calls_of('F'), 1);
    s.write = 0;
    send_text("on");
    assert_received("abc");
    aloop_stream_close(stream);
}

static void a_wake_in_a_function_of_the_filter_is_for_the_next_turn(
    void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    s.wakes = stream;
    aloop_stream_start(stream, collect, NULL);
    send_text("abc");
    assert_int_equal(c.got_size, 3);
    assert_null(s.wakes);
    assert_quiet_for_a_second();
    aloop_stream_close(stream);
}

/* The filter has room for a part of the bytes.  What it gives to make room for
 * the rest cannot be sent, which drops the rest. */
static void sending_may_fail_while_the_filter_takes_bytes(void **state)
{
    static char bytes[100000];

    (void) state;
    for (int i = 0; i < 4; i++) {
        aloop_stream *stream = connected();
        aloop_future *write = NULL;

        assert_int_equal(aloop_await(aloop_stream_filter(
                             stream, &passing_filter, new_passing(1000, 1000))),
                         0);
        if (i % 2 == 0)
            assert_int_equal(aloop_stream_put(stream, bytes, sizeof bytes), 1);
        write = aloop_stream_write(stream, bytes, sizeof bytes);
        sim_peer_break(c.peer, ALOOP_ECONNRESET);
        if (i < 2) {
            assert_true(aloop_await(write) < 0);
            assert_true(aloop_stream_put(stream, "x", 1) < 0);
            assert_int_equal(aloop_stream_queued(stream), 0);
        }
        aloop_stream_close(stream);
        assert_true(aloop_future_status(write) < 0);
        aloop_future_unref(write);
        run_for(MS);
    }
}

static aloop_stream *woken;

static ssize_t wake_always(void *context, void *data, size_t size)
{
    (void) context;
    (void) data;
    (void) size;
    assert_int_equal(aloop_stream_filter_wake(woken), 0);
    return ALOOP_EAGAIN;
}

static void a_filter_that_always_wakes_lets_a_step_return(void **state)
{
    aloop_filter filter = plain_script;

    (void) state;
    s = (struct script){0};
    filter.pull = wake_always;
    woken = connected();
    assert_int_equal(aloop_await(aloop_stream_filter(woken, &filter, &s)), 0);
    assert_true(aloop_step(t.loop, MS) >= 0);
    assert_true(aloop_step(t.loop, -1) >= 0);
    aloop_stream_abort(woken);
}

/* The close. */

static void a_close_runs_the_filter_to_its_end_inside_the_call(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('W'), 1);
    assert_int_equal(calls_of('w'), 1);
    assert_int_equal(calls_of('C'), 1);
    assert_int_equal(s.calls[s.calls_count - 1], 'C');
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
}

static void a_closed_stream_drops_input_until_the_peer_ends(void **state)
{
    aloop_stream *stream = scripted();
    int64_t begin = aloop_now(t.loop);

    (void) state;
    fill(stream);
    aloop_stream_put(stream, "abc", 3);
    aloop_stream_close(stream);
    send_text("a ticket");
    receive_all();
    send_text("another one");
    receive_all();
    assert_int_equal(c.in_size, BUFFER + 3);
    assert_true(sim_peer_eof(c.peer));
    assert_int_equal(sim_peer_error(c.peer), 0);
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) - begin < ALOOP_SEC(1));
}

static void the_wait_for_the_end_of_the_peer_is_limited(void **state)
{
    aloop_stream *stream = scripted();
    int64_t begin = aloop_now(t.loop);

    (void) state;
    aloop_stream_close(stream);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(aloop_now(t.loop) - begin, ALOOP_SEC(5));
}

static void close_at_data(aloop_stream *stream, const void *data, ssize_t size,
                          void *arg)
{
    (void) arg;
    note((int) size);
    aloop_stream_put(stream, data, (size_t) size);
    aloop_stream_close(stream);
}

static void a_stream_may_be_closed_in_its_callback(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_start(stream, close_at_data, NULL);
    send_text("abc");
    assert_noted(3);
    assert_int_equal(calls_of('C'), 1);
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
}

static void an_abort_gives_the_filter_no_end(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    aloop_stream_abort(stream);
    assert_int_equal(calls_of('w'), 0);
    assert_int_equal(calls_of('C'), 1);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

/* Puts a write into the middle of two filters. */
static aloop_future *write_between_filters(aloop_stream *stream)
{
    aloop_filter below = passing_filter;
    aloop_future *write;

    below.write = refuse_write;
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &below, new_passing(8, 8))), 0);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &passing_filter,
                                                     new_passing(8, 8))),
                     0);
    write = aloop_stream_write(stream, "x", 1);
    run_for(MS);
    assert_int_equal(aloop_stream_queued(stream), 0);
    assert_false(aloop_future_is_settled(write));
    return write;
}

static void a_write_that_filters_have_taken_ends_with_the_stream(void **state)
{
    aloop_stream *stream = connected();
    aloop_future *write = write_between_filters(stream);

    (void) state;
    aloop_stream_abort(stream);
    assert_int_equal(aloop_future_status(write), ALOOP_ECANCELED);
    aloop_future_unref(write);

    stream = connected();
    aloop_detach(write_between_filters(stream));
    aloop_free(t.loop);
    t.loop = NULL;
    sim_pass(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
}

static void the_end_of_the_loop_closes_the_filter(void **state)
{
    aloop_stream *stream = scripted();

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    aloop_free(t.loop);
    t.loop = NULL;
    assert_int_equal(calls_of('C'), 1);
}

/* Stacks. */

static void filters_stack_and_each_ends_before_the_one_below(void **state)
{
    aloop_stream *stream = scripted();
    char text[8];

    (void) state;
    aloop_stream_put(stream, "below", 5);
    for (int i = 0; i < 3; i++)
        assert_int_equal(aloop_await(aloop_stream_filter(
                             stream, &passing_filter, new_passing(3, 2))),
                         0);
    aloop_stream_put(stream, " through all", 12);
    assert_received("below through all");
    send_text("answer");
    sim_peer_shutdown(c.peer);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, text, 6)),
                     6);
    assert_memory_equal(text, "answer", 6);
    assert_int_equal(aloop_await(aloop_stream_read(stream, text, 8)), 0);
    aloop_stream_put(stream, "!", 1);
    aloop_stream_close(stream);
    assert_int_equal(calls_of('w'), 1);
    assert_received("below through all!");
    assert_true(sim_peer_eof(c.peer));
}

static void small_filters_move_large_amounts(void **state)
{
    static char bytes[60000], got[60000];
    aloop_stream *stream = connected();
    aloop_future *read;

    (void) state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char) (i * 31 >> 3);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &passing_filter,
                                                     new_passing(256, 100))),
                     0);
    assert_int_equal(aloop_stream_put(stream, bytes, sizeof bytes), 0);
    read = aloop_stream_read_exactly(stream, got, sizeof got);
    send_bytes(bytes, sizeof bytes);
    assert_int_equal(aloop_await(read), sizeof got);
    assert_memory_equal(got, bytes, sizeof got);
    receive_all();
    assert_int_equal(c.in_size, sizeof bytes);
    assert_memory_equal(c.in, bytes, sizeof bytes);
    aloop_stream_close(stream);
}

static void put_on_filter(aloop_stream *stream, const void *data, ssize_t size,
                          void *arg)
{
    const char *text = data;

    (void) arg;
    if (size <= 0)
        return;
    assert_true(size >= 2);
    assert_memory_equal(text, "S\n", 2);
    aloop_stream_put(stream, "ok\n", 3);
    aloop_stream_unread(stream, text + 2, (size_t) size - 2);
    aloop_detach(aloop_stream_filter(stream, &shaking_script, &s));
    aloop_stream_start(stream, collect, NULL);
    aloop_stream_put(stream, "secret", 6);
}

static void a_callback_can_put_a_filter_on_with_bytes_left_over(void **state)
{
    aloop_stream *stream = connected();

    (void) state;
    s = (struct script){0};
    aloop_stream_start(stream, put_on_filter, NULL);
    send_text("S\nhello");
    assert_received("ok\nhsecret");
    assert_int_equal(c.got_size, 4);
    assert_memory_equal(c.got, "ello", 4);
    aloop_stream_close(stream);
}

/* Makes futures until the next one needs memory of the system. */
static size_t use_up_futures(aloop_future **futures, size_t room)
{
    size_t count = 0;

    memory.is_out = true;
    while (count < room && (futures[count] = aloop_future_new(t.loop)) != NULL)
        count++;
    memory.is_out = false;
    assert_true(count < room);
    return count;
}

static void a_filter_that_fails_immediately_is_closed_in_the_call(void **state)
{
    const aloop_filter *filters[] = {&plain_script, &shaking_script};
    static aloop_future *used[1000];

    (void) state;
    for (unsigned n = 1; n < 10; n++)
        for (int i = 0; i < 2; i++) {
            aloop_stream *stream;
            aloop_future *future;
            size_t count;

            assert_true(renew(1));
            stream = connected();
            s = (struct script){0};
            count = use_up_futures(used, 1000);
            memory.fails_from = memory.calls + n;
            future = aloop_stream_filter(stream, filters[i], &s);
            memory.fails_from = 0;
            if (future == NULL || (aloop_future_is_settled(future) &&
                                   aloop_future_status(future) < 0)) {
                assert_int_equal(calls_of('C'), 1);
                assert_int_equal(aloop_stream_filter_wake(stream),
                                 ALOOP_ENOTSUP);
            }
            aloop_stream_close(stream);
            assert_int_equal(calls_of('C'), 1);
            aloop_future_unref(future);
            while (count > 0)
                aloop_future_unref(used[--count]);
            leave();
        }
}

/* Echoes, and puts a filter on after the first bytes, with little memory. */
static void echo_through_filter(aloop_stream *stream, const void *data,
                                ssize_t size, void *arg)
{
    const unsigned *n = arg;

    assert_true(size > 0);
    aloop_stream_put(stream, data, (size_t) size);
    if (t.calls++ > 0)
        return;
    memory.fails_at = memory.calls + *n;
    aloop_detach(aloop_stream_filter(stream, &plain_script, &s));
    memory.fails_at = 0;
}

/* What on_data has put is copied when it returns, if not before. */
static void a_filter_without_memory_leaves_no_bytes_in_the_receive_buffer(
    void **state)
{
    static char first[3000], second[3000];

    (void) state;
    memset(first, '1', sizeof first);
    memset(second, '2', sizeof second);
    for (unsigned n = 1; n < 10; n++) {
        aloop_stream *stream;

        assert_true(renew(1));
        stream = connected();
        s = (struct script){0};
        t.calls = 0;
        fill(stream);
        aloop_stream_start(stream, echo_through_filter, &n);
        send_bytes(first, sizeof first);
        send_bytes(second, sizeof second);
        while (c.in_size < BUFFER + sizeof first + sizeof second)
            receive_all();
        assert_memory_equal(c.in + BUFFER, first, sizeof first);
        assert_memory_equal(c.in + BUFFER + sizeof first, second,
                            sizeof second);
        aloop_stream_close(stream);
        leave();
    }
}

static void an_allocation_that_fails_breaks_or_refuses_and_leaks_nothing(
    void **state)
{
    unsigned failures = 0;
    bool has_failed = true;

    (void) state;
    for (unsigned n = 1; has_failed && n < 1000; n++) {
        aloop_stream *stream;
        char text[8];

        assert_true(renew(1));
        stream = connected();
        fill(stream);
        s = (struct script){0};
        memory.fails_at = memory.calls + n;
        aloop_stream_put(stream, "before", 6);
        if (aloop_await(aloop_stream_filter(stream, &plain_script, &s)) < 0)
            failures++;
        if (aloop_await(aloop_stream_filter(stream, &passing_filter,
                                            new_passing(3, 3))) < 0)
            failures++;
        sim_peer_send(c.peer, "abc", 3);
        aloop_stream_put(stream, "after", 5);
        aloop_await(aloop_timeout(aloop_stream_read(stream, text, 8), MS));
        has_failed = memory.calls >= memory.fails_at;
        memory.fails_at = 0;
        aloop_stream_close(stream);
        assert_int_equal(calls_of('C'), 1);
        leave();
    }
    assert_true(failures > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_arguments_are_refused_and_close_the_context),
        TEST(a_stream_in_use_gets_no_filter),
        TEST(earlier_bytes_leave_unfiltered_and_unread_bytes_are_fed),
        TEST(with_a_filter_the_descriptor_cannot_be_taken),
        TEST(everything_that_was_put_is_written_before_a_pull),
        TEST(small_pieces_are_joined_up_to_a_record_of_tls),
        TEST(bytes_inside_the_filter_reach_a_reader_that_begins),
        TEST(the_end_of_the_peer_is_fed_once_and_read_decides),
        TEST(a_shutdown_writes_the_end_once_and_ends_after_the_pull),
        TEST(a_pull_of_zero_ends_the_writing_side),
        TEST(a_write_settles_when_its_bytes_are_sent),
        TEST(a_write_that_the_filter_has_taken_breaks_when_cancelled),
        TEST(a_write_without_output_settles_when_one_before_it_is_cancelled),
        TEST(a_feed_that_fails_during_a_read_is_followed_by_no_read),
        TEST(nothing_is_read_or_written_before_the_handshake),
        TEST(a_handshake_begins_without_input),
        TEST(a_failed_handshake_breaks_the_stream_and_sends_the_alert),
        TEST(a_filter_after_a_failed_handshake_gets_its_error),
        TEST(a_cancelled_handshake_breaks_the_stream),
        TEST(a_close_during_the_handshake_cancels_it),
        TEST(a_wake_continues_a_handshake_without_input),
        TEST(results_that_are_not_allowed_break_the_stream),
        TEST(an_error_fails_all_that_waits_behind_the_bytes_before_it),
        TEST(an_error_of_pull_is_no_end),
        TEST(a_shutdown_fails_if_the_filter_refuses_the_end),
        TEST(a_filter_that_takes_nothing_costs_no_time),
        TEST(an_echo_repeats_only_the_calls_that_find_nothing),
        TEST(replies_are_written_out_of_the_receive_buffer),
        TEST(replies_that_the_filter_refuses_are_kept_in_order),
        TEST(output_without_an_end_is_limited_by_the_peer),
        TEST(a_close_with_output_without_an_end_returns),
        TEST(a_filter_that_waits_for_the_peer_is_fed_without_a_reader),
        TEST(a_wake_in_a_function_of_the_filter_is_for_the_next_turn),
        TEST(a_filter_that_always_wakes_lets_a_step_return),
        TEST(sending_may_fail_while_the_filter_takes_bytes),
        TEST(a_close_runs_the_filter_to_its_end_inside_the_call),
        TEST(a_closed_stream_drops_input_until_the_peer_ends),
        TEST(the_wait_for_the_end_of_the_peer_is_limited),
        TEST(a_stream_may_be_closed_in_its_callback),
        TEST(an_abort_gives_the_filter_no_end),
        TEST(a_write_that_filters_have_taken_ends_with_the_stream),
        TEST(the_end_of_the_loop_closes_the_filter),
        TEST(filters_stack_and_each_ends_before_the_one_below),
        TEST(small_filters_move_large_amounts),
        TEST(a_callback_can_put_a_filter_on_with_bytes_left_over),
        TEST(a_filter_that_fails_immediately_is_closed_in_the_call),
        TEST(a_filter_without_memory_leaves_no_bytes_in_the_receive_buffer),
        TEST(an_allocation_that_fails_breaks_or_refuses_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
