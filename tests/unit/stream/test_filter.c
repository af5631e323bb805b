/* Tests of aloop/filter.h: the contract of the table, line by line.
 *
 * The filter of these tests is a script: each of its functions returns what the
 * test has set, and notes its calls as letters. */

#include "support/script_fixture.h"

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
    s.has_output_ended = true;
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

/* A read that the filter drops, when it is asked for the bytes. */
static aloop_future *victim;

static ssize_t dropping_read(void *context, void *data, size_t size)
{
    aloop_future *read = victim;

    victim = NULL;
    aloop_future_unref(read);
    return passing_read(context, data, size);
}

/* Sends bytes to a read of `size` bytes and has the filter drop it when the
 * others arrive.  A read of exactly so many has received the first ones. */
static void drop_a_read(bool is_exact, size_t size)
{
    aloop_filter filter = passing_filter;
    aloop_stream *stream = connected();
    char *buffer = malloc(size), got[8];
    aloop_future *read;

    filter.read = dropping_read;
    assert_int_equal(aloop_await(aloop_stream_filter(
                         stream, &filter, new_passing(PASSING_ROOM, 100))),
                     0);
    read = is_exact ? aloop_stream_read_exactly(stream, buffer, size)
                    : aloop_stream_read(stream, buffer, size);
    if (is_exact)
        send_text("abcd");
    assert_false(aloop_future_is_settled(read));
    victim = read;
    send_text(is_exact ? "efgh" : "abcdefgh");
    assert_null(victim);
    free(buffer);

    assert_int_equal(aloop_await(aloop_stream_read_exactly(stream, got, 8)), 8);
    assert_memory_equal(got, "abcdefgh", 8);
    aloop_stream_close(stream);
}

static void a_read_that_its_filter_drops_leaves_all_bytes_to_the_next(
    void **state)
{
    (void) state;
    drop_a_read(false, 64);
    drop_a_read(false, 4096);
    drop_a_read(true, 64);
    drop_a_read(true, 4096);
}

/* Takes one byte of a write, which it drops. */
static ssize_t dropping_write(void *context, const void *data, size_t size)
{
    aloop_future *write = victim;

    assert_true(size > 0);
    assert_memory_equal(data, "abcd", 4);
    victim = NULL;
    free((void *) (uintptr_t) data);
    aloop_future_unref(write);
    return passing_write(context, "a", 1);
}

static void a_write_that_its_filter_drops_breaks_the_writing_side(void **state)
{
    aloop_filter filter = passing_filter;
    aloop_stream *stream = connected();
    static const char record[16384]; /* Not joined to the first write. */
    char *bytes = malloc(4);
    aloop_future *next;

    (void) state;
    filter.write = dropping_write;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter,
                                                     new_passing(100, 100))),
                     0);
    memcpy(bytes, "abcd", 4);
    victim = aloop_stream_write(stream, bytes, 4);
    next = aloop_stream_write(stream, record, sizeof record);
    assert_int_equal(aloop_await(next), ALOOP_EPIPE);
    assert_null(victim);
    assert_int_equal(aloop_stream_put(stream, "z", 1), ALOOP_EPIPE);
    aloop_stream_close(stream);
    run_for(MS);
    assert_int_equal(sim_peer_error(c.peer), ALOOP_ECONNRESET);
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

static size_t whole_writes; /* Of 16 KiB. */

static ssize_t count_whole(void *context, const void *data, size_t size)
{
    (void) context;
    (void) data;
    note_letter('W');
    whole_writes += size == 16384;
    return (ssize_t) size;
}

static void puts_of_the_size_of_a_record_are_not_divided(void **state)
{
    static const char record[16384];
    aloop_filter filter = plain_script;
    aloop_stream *stream = connected();

    (void) state;
    s = (struct script){0};
    whole_writes = 0;
    filter.write = count_whole;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)), 0);
    for (int i = 0; i < 5; i++)
        assert_true(aloop_stream_put(stream, record, sizeof record) >= 0);
    run_for(MS);
    assert_int_equal(whole_writes, 5);
    assert_int_equal(calls_of('W'), 5);
    aloop_stream_abort(stream);
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
        TEST(a_read_that_its_filter_drops_leaves_all_bytes_to_the_next),
        TEST(a_write_that_its_filter_drops_breaks_the_writing_side),
        TEST(a_write_without_output_settles_when_one_before_it_is_cancelled),
        TEST(a_feed_that_fails_during_a_read_is_followed_by_no_read),
        TEST(filters_stack_and_each_ends_before_the_one_below),
        TEST(small_filters_move_large_amounts),
        TEST(a_callback_can_put_a_filter_on_with_bytes_left_over),
        TEST(a_filter_that_fails_immediately_is_closed_in_the_call),
        TEST(a_filter_without_memory_leaves_no_bytes_in_the_receive_buffer),
        TEST(an_allocation_that_fails_breaks_or_refuses_and_leaks_nothing),
        TEST(puts_of_the_size_of_a_record_are_not_divided),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
