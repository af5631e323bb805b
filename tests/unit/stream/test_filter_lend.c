/* Filters that lend their bytes to the stream, and borrow those of it. */

#include "support/script_fixture.h"

/* The script, with memory that is lent and borrowed. */
static struct {
    char *lent; /* The stream may use it until the next call. */
    size_t lent_size;
    const char *fed; /* The filter may use it until keep. */
    size_t fed_size;
    ssize_t lend; /* Results that replace the usual ones, unless 0. */
    int keep;
    int refusals; /* So many writes are refused. */
} l;

/* Each call of the filter ends the use of what was lent. */
static void called(void)
{
    if (l.lent != NULL)
        memset(l.lent, '#', l.lent_size);
    free(l.lent);
    l.lent = NULL;
}

static ssize_t borrow_feed(void *context, const void *data, size_t size)
{
    (void) context;
    called();
    note_letter(size == 0 ? 'f' : 'F');
    assert_null(l.fed);
    if (s.feed > 0 && size > (size_t) s.feed)
        size = (size_t) s.feed;
    s.has_input_ended = s.has_input_ended || size == 0;
    l.fed = data;
    l.fed_size = size;
    return (ssize_t) size;
}

static int borrow_keep(void *context)
{
    (void) context;
    called();
    note_letter('K');
    assert_non_null(l.fed);
    if (l.keep != 0)
        return l.keep;
    assert_int_equal(
        script_take(s.in, &s.in_size, sizeof s.in, l.fed, l.fed_size),
        l.fed_size);
    l.fed = NULL;
    l.fed_size = 0;
    return 0;
}

static ssize_t borrow_read(void *context, void *data, size_t size)
{
    called();
    if (s.in_size > 0 || l.fed_size == 0)
        return script_read(context, data, size);
    note_letter('R');
    size = size < l.fed_size ? size : l.fed_size;
    memcpy(data, l.fed, size);
    l.fed += size;
    l.fed_size -= size;
    return (ssize_t) size;
}

static ssize_t lending_write(void *context, const void *data, size_t size)
{
    called();
    if (l.refusals > 0 && size > 0) {
        l.refusals--;
        note_letter('W');
        return ALOOP_EAGAIN;
    }
    return script_write(context, data, size);
}

static ssize_t script_lend(void *context, const void **ret_data)
{
    ssize_t size = (ssize_t) s.out_size;

    (void) context;
    called();
    note_letter('L');
    if (l.lend != 0)
        return l.lend;
    if (size == 0)
        return s.has_output_ended ? 0 : ALOOP_EAGAIN;
    l.lent = malloc(s.out_size);
    assert_non_null(l.lent);
    memcpy(l.lent, s.out, s.out_size);
    l.lent_size = s.out_size;
    s.out_size = 0;
    *ret_data = l.lent;
    return size;
}

static bool borrower_is_idle(void *context)
{
    (void) context;
    called();
    return s.in_size == 0 && l.fed_size == 0 && s.out_size == 0 &&
           !s.has_input_ended && !s.has_output_ended && l.lend == 0;
}

static void borrower_close(void *context)
{
    called();
    script_close(context);
}

static const aloop_filter borrower = {
    .size = sizeof borrower,
    .feed = borrow_feed,
    .read = borrow_read,
    .write = lending_write,
    .close = borrower_close,
    .is_idle = borrower_is_idle,
    .lend = script_lend,
    .keep = borrow_keep,
};

static aloop_stream *with_filter(const aloop_filter *filter)
{
    aloop_stream *stream = connected();

    s = (struct script){0};
    memset(&l, 0, sizeof l);
    assert_int_equal(aloop_await(aloop_stream_filter(stream, filter, &s)), 0);
    run_for(MS);
    s.calls_count = 0;
    return stream;
}

static void assert_calls(const char *calls)
{
    s.calls[s.calls_count] = '\0';
    assert_string_equal(s.calls, calls);
}

/* Lending. */

static void lent_bytes_are_sent(void **state)
{
    aloop_stream *stream = with_filter(&borrower);

    (void) state;
    for (int i = 0; i < 3; i++) {
        s.calls_count = 0;
        c.in_size = 0;
        assert_int_equal(aloop_stream_put(stream, "abc", 3), 0);
        assert_received("abc");
        assert_calls("WL");
    }
    aloop_stream_close(stream);
}

static void lent_bytes_that_are_not_accepted_are_copied(void **state)
{
    aloop_stream *stream = with_filter(&borrower);
    static char bytes[BUFFER];
    aloop_future *write;

    (void) state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char) (i % 251);
    fill(stream);
    receive(100);
    c.in_size = 0;
    write = aloop_stream_write(stream, bytes, sizeof bytes);
    run_for(MS);
    assert_false(aloop_future_is_settled(write));
    receive(BUFFER - 100);
    c.in_size = 0;
    assert_int_equal(aloop_await(write), sizeof bytes);
    receive_all();
    assert_int_equal(c.in_size, sizeof bytes);
    assert_memory_equal(c.in, bytes, sizeof bytes);
    aloop_stream_close(stream);
}

static void wrong_results_of_lend_break_the_stream(void **state)
{
    /* A number of bytes is wrong here, because no memory is set. */
    static const ssize_t wrong[] = {1, ALOOP_EBADF, ALOOP_PENDING, -100000};

    (void) state;
    for (size_t i = 0; i < 4; i++) {
        aloop_stream *stream = with_filter(&borrower);

        l.lend = wrong[i];
        aloop_stream_put(stream, "abc", 3);
        assert_int_equal(aloop_await(aloop_stream_read(stream, c.got, 8)),
                         ALOOP_EINVAL);
        assert_quiet_for_a_second();
        aloop_stream_close(stream);
        assert_int_equal(calls_of('C'), 1);
    }
}

static void what_is_lent_before_an_end_is_sent(void **state)
{
    aloop_stream *stream = with_filter(&borrower);

    (void) state;
    aloop_stream_put(stream, "abc", 3);
    assert_int_equal(aloop_await(aloop_stream_shutdown(stream)), 0);
    assert_received("abc");
    assert_true(sim_peer_eof(c.peer));
    assert_calls("WwLL");
    aloop_stream_close(stream);
}

static void a_filter_without_pull_and_lend_is_refused(void **state)
{
    aloop_stream *stream = connected();
    aloop_filter filter = borrower;

    (void) state;
    s = (struct script){0};
    filter.lend = NULL;
    assert_int_equal(aloop_await(aloop_stream_filter(stream, &filter, &s)),
                     ALOOP_EINVAL);
    assert_int_equal(calls_of('C'), 1);
    aloop_stream_close(stream);
}

/* Borrowing. */

/* Larger than what a read takes into the buffer of the stream. */
enum { PART = 3000 };

static char text[2 * PART], got[2 * PART];

static void send_parts(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char) (i % 251);
    sim_peer_send(c.peer, text, sizeof text);
}

static void fed_bytes_are_used_until_the_filter_has_kept_the_rest(void **state)
{
    aloop_stream *stream = with_filter(&borrower);

    (void) state;
    send_parts();
    assert_int_equal(aloop_await(aloop_stream_read(stream, got, PART)), PART);
    assert_int_equal(s.in_size, PART);
    assert_null(l.fed);
    assert_int_equal(aloop_await(aloop_stream_read(stream, got + PART, PART)),
                     PART);
    assert_memory_equal(got, text, sizeof text);
    assert_int_equal(calls_of('F'), 1);
    assert_int_equal(calls_of('K'), 1);
    aloop_stream_close(stream);
}

static void bytes_are_kept_before_more_are_fed(void **state)
{
    aloop_stream *stream = with_filter(&borrower);

    (void) state;
    s.feed = 1;
    aloop_stream_start(stream, collect, NULL);
    send_text("abc");
    assert_int_equal(c.got_size, 3);
    assert_memory_equal(c.got, "abc", 3);
    s.calls[s.calls_count] = '\0';
    assert_non_null(strstr(s.calls, "FKFKFR"));
    aloop_stream_close(stream);
}

static void echo(aloop_stream *stream, const void *data, ssize_t size,
                 void *arg)
{
    (void) arg;
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
}

/* The memory of the fed bytes is also that for pulled ones. */
static void bytes_are_kept_before_the_filter_is_pulled(void **state)
{
    aloop_filter filter = borrower;
    aloop_stream *stream;

    (void) state;
    filter.lend = NULL;
    filter.pull = script_pull;
    stream = with_filter(&filter);
    aloop_stream_start(stream, echo, NULL);
    run_for(MS);
    s.calls_count = 0;
    l.refusals = 1;
    send_text("abc");
    assert_received("abc");
    s.calls[s.calls_count] = '\0';
    assert_memory_equal(s.calls, "FRWKP", 5);
    aloop_stream_close(stream);
}

static void if_bytes_cannot_be_kept_the_stream_fails_behind_those_read(
    void **state)
{
    static const int results[][2] = {{ALOOP_ENOMEM, ALOOP_ENOMEM},
                                     {ALOOP_EAGAIN, ALOOP_EINVAL},
                                     {1, ALOOP_EINVAL}};

    (void) state;
    for (int i = 0; i < 3; i++) {
        aloop_stream *stream = with_filter(&borrower);

        l.keep = results[i][0];
        send_parts();
        assert_int_equal(aloop_await(aloop_stream_read(stream, got, PART)),
                         PART);
        assert_memory_equal(got, text, PART);
        assert_int_equal(aloop_await(aloop_stream_read(stream, got, PART)),
                         results[i][1]);
        assert_int_equal(calls_of('K'), 1);
        aloop_stream_close(stream);
    }
}

static void close_it(aloop_stream *stream, const void *data, ssize_t size,
                     void *arg)
{
    (void) data;
    (void) arg;
    assert_int_equal(size, 3);
    aloop_stream_close(stream);
    note_letter('.');
}

static void a_stream_may_be_closed_while_its_bytes_are_borrowed(void **state)
{
    aloop_stream *stream = with_filter(&borrower);

    (void) state;
    aloop_stream_start(stream, close_it, NULL);
    send_text("abc");
    s.calls[s.calls_count] = '\0';
    assert_string_equal(s.calls + s.calls_count - 2, "C.");
    assert_true(sim_peer_eof(c.peer));
}

/* Both. */

static void filters_that_lend_and_borrow_may_be_stacked(void **state)
{
    (void) state;
    for (int below = 0; below < 2; below++) {
        aloop_stream *stream = connected();

        s = (struct script){0};
        memset(&l, 0, sizeof l);
        for (int i = 0; i < 2; i++)
            assert_int_equal(
                aloop_await(
                    i == below
                        ? aloop_stream_filter(stream, &borrower, &s)
                        : aloop_stream_filter(stream, &passing_filter,
                                              new_passing(PASSING_ROOM, 7))),
                0);
        aloop_stream_start(stream, collect, NULL);
        for (int i = 0; i < 3; i++) {
            aloop_stream_put(stream, "abcdefghij", 10);
            send_text("0123456789");
        }
        assert_received("abcdefghijabcdefghijabcdefghij");
        assert_int_equal(c.got_size, 30);
        assert_memory_equal(c.got, "012345678901234567890123456789", 30);
        assert_int_equal(calls_of('P'), 0);
        aloop_stream_close(stream);
    }
}

/* What it gives needs more room than what it has borrowed. */
static ssize_t read_twice(void *context, void *data, size_t size)
{
    char *bytes = data;
    ssize_t n = borrow_read(context, bytes, 1);

    assert_true(size >= 2);
    if (n <= 0)
        return n;
    bytes[1] = bytes[0];
    return 2;
}

static void borrowed_bytes_are_not_where_a_reader_gets_its_own(void **state)
{
    aloop_filter filter = borrower;
    aloop_stream *stream;

    (void) state;
    filter.read = read_twice;
    filter.pull = script_pull;
    filter.lend = NULL;
    stream = with_filter(&filter);
    aloop_stream_start(stream, echo, NULL);
    send_text("abc");
    send_text("def");
    assert_received("aabbccddeeff");
    aloop_stream_close(stream);
}

static void messages_are_answered_through_what_is_lent_or_borrowed(void **state)
{
    aloop_filter filters[] = {borrower, borrower, borrower};

    (void) state;
    filters[1].feed = script_feed;
    filters[1].read = script_read;
    filters[1].keep = NULL;
    filters[2].pull = script_pull;
    filters[2].lend = NULL;
    for (size_t i = 0; i < 3; i++) {
        aloop_stream *stream = with_filter(&filters[i]);

        aloop_stream_start(stream, echo, NULL);
        send_text("abc");
        send_text("def");
        send_text("ghi");
        assert_received("abcdefghi");
        aloop_stream_close(stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lent_bytes_are_sent),
        TEST(lent_bytes_that_are_not_accepted_are_copied),
        TEST(wrong_results_of_lend_break_the_stream),
        TEST(what_is_lent_before_an_end_is_sent),
        TEST(a_filter_without_pull_and_lend_is_refused),
        TEST(fed_bytes_are_used_until_the_filter_has_kept_the_rest),
        TEST(bytes_are_kept_before_more_are_fed),
        TEST(bytes_are_kept_before_the_filter_is_pulled),
        TEST(if_bytes_cannot_be_kept_the_stream_fails_behind_those_read),
        TEST(a_stream_may_be_closed_while_its_bytes_are_borrowed),
        TEST(filters_that_lend_and_borrow_may_be_stacked),
        TEST(borrowed_bytes_are_not_where_a_reader_gets_its_own),
        TEST(messages_are_answered_through_what_is_lent_or_borrowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
