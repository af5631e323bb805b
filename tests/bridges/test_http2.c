/* The bridge to nghttp2: requests and their ends. */

#define _POSIX_C_SOURCE 200809L

#include "http2_fixture.h"

/* Answers. */

static void a_request_has_an_answer_with_fields_and_a_body(void **state)
{
    struct http2_answer page;
    aloop_future *request = http2_request(f.http2, &get, &page);
    const char *value, *name = NULL;
    char head[64] = "\x88";

    (void) state;
    f.is_silent = true;
    until(NGHTTP2_HEADERS, 1);
    add_field(head, "server", "test");
    add_field(head, "x-empty", "");
    send_frame(NGHTTP2_HEADERS, END_HEADERS, f.last_id, head, strlen(head) + 1);
    send_data(f.last_id, "hello ", 6, 0);
    send_data(f.last_id, "world", 5, END_STREAM);

    assert_int_equal(await(request), 200);

    assert_int_equal(page.status, 200);
    assert_bytes(&page.body, "hello world");
    assert_string_equal(http2_answer_field(&page, "server"), "test");
    assert_null(http2_answer_field(&page, "none"));
    name = http2_answer_next(&page, NULL, &value);
    name = http2_answer_next(&page, name, &value);
    assert_string_equal(name, "x-empty");
    assert_string_equal(value, "");
    assert_null(http2_answer_next(&page, name, &value));
    http2_answer_free(&page);
    assert_null(http2_answer_next(&page, NULL, &value));
}

static void an_answer_may_have_no_body(void **state)
{
    struct http2_answer page;
    aloop_future *request = http2_request(f.http2, &get, &page);

    (void) state;
    f.is_silent = true;
    until(NGHTTP2_HEADERS, 1);
    send_head(f.last_id, "\x8d", END_STREAM);

    assert_int_equal(await(request), 404);

    assert_null(page.body.data);
    assert_int_equal(page.body.size, 0);
}

static void interim_answers_are_skipped_and_trailers_kept(void **state)
{
    struct http2_answer page;
    aloop_future *request = http2_request(f.http2, &get, &page);
    char interim[64] = "\x08\x03"
                       "103",
         head[64] = "\x88", trailer[64] = "";

    (void) state;
    f.is_silent = true;
    until(NGHTTP2_HEADERS, 1);
    add_field(interim, "link", "style");
    add_field(head, "server", "test");
    add_field(trailer, "sum", "1");
    send_head(f.last_id, interim, 0);
    send_head(f.last_id, head, 0);
    send_data(f.last_id, "x", 1, 0);
    send_head(f.last_id, trailer, END_STREAM);

    assert_int_equal(await(request), 200);

    assert_null(http2_answer_field(&page, "link"));
    assert_string_equal(http2_answer_field(&page, "server"), "test");
    assert_string_equal(http2_answer_field(&page, "sum"), "1");
    http2_answer_free(&page);
}

/* What the server has received of the last request. */
static char block[1024];

static void keep_block(struct frame *frame)
{
    if (frame->type != NGHTTP2_HEADERS)
        return;
    assert_true(frame->size < sizeof block);
    memcpy(block, frame->payload, frame->size);
    block[frame->size] = '\0';
}

static void a_body_is_sent_with_its_length_and_the_fields(void **state)
{
    enum { SIZE = 1000000 };
    static char body[SIZE];
    struct http2_field fields[] = {{"accept", "text/html", false},
                                   {"authorization", "secret", true}};
    struct http2_request post = {.path = "/form",
                                 .fields = fields,
                                 .field_count = 2,
                                 .body = body,
                                 .body_size = SIZE};
    struct http2_answer page;

    (void) state;
    f.on_frame = keep_block;

    assert_int_equal(await(http2_request(f.http2, &post, &page)), 200);

    assert_int_equal(f.body, SIZE);
    assert_int_equal(f.counts[NGHTTP2_RST_STREAM], 0);
    assert_int_equal((uint8_t) block[0], 0x83); /* POST */
    http2_answer_free(&page);
    assert_usable();
}

static void wrong_requests_are_refused(void **state)
{
    struct http2_field line = {"a", "b\r\nc", false},
                       upper = {"Accept", "a", false};
    struct http2_field many[HTTP2_FIELDS_MAX + 1];
    const struct http2_request wrong[] = {
        {.path = NULL},
        {.path = "/a b"},
        {.path = "/", .method = "G T"},
        {.path = "/", .fields = &line, .field_count = 1},
        {.path = "/", .fields = &upper, .field_count = 1},
        {.path = "/", .fields = many, .field_count = HTTP2_FIELDS_MAX + 1}};
    struct http2_answer page;

    (void) state;
    for (size_t i = 0; i <= HTTP2_FIELDS_MAX; i++)
        many[i] = (struct http2_field){"a", "b", false};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(await(http2_request(f.http2, &wrong[i], &page)),
                         ALOOP_EINVAL);
    assert_usable();
    many[0].name = "z";
    assert_int_equal(await(http2_request(f.http2,
                                         &(struct http2_request){
                                             .path = "/",
                                             .fields = many,
                                             .field_count = HTTP2_FIELDS_MAX},
                                         &page)),
                     200);
    http2_answer_free(&page);
}

static void missing_arguments_are_errors(void **state)
{
    const struct http2_field nameless = {NULL, "x", false},
                             empty = {"x", NULL, false};
    const struct http2_request
        good = {.path = "/"},
        wrong[] = {{.path = "/", .fields = &nameless, .field_count = 1},
                   {.path = "/", .fields = &empty, .field_count = 1},
                   {.path = "/", .field_count = 1},
                   {.path = "/", .body_size = 1}};
    struct http2_answer page;

    (void) state;
    assert_int_equal(await(http2_request(NULL, &good, &page)), ALOOP_ENOMEM);
    http2_answer_free(&page);
    assert_int_equal(await(http2_request(f.http2, NULL, &page)), ALOOP_EINVAL);
    http2_answer_free(&page);
    assert_int_equal(await(http2_request(f.http2, &good, NULL)), ALOOP_EINVAL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(await(http2_request(f.http2, &wrong[i], &page)),
                         ALOOP_EINVAL);
    assert_int_equal(http2_status(NULL), ALOOP_EINVAL);
    assert_int_equal(http2_status(f.http2), 0);
}

static void a_connection_without_what_it_needs_is_refused(void **state)
{
    http2_options good = {.authority = "server.test"}, none = {0},
                  wrong = {.authority = "a\r\nb"};
    const http2_options *options[] = {NULL, &none, &wrong};
    http2 *ret = f.http2;

    (void) state;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        aloop_stream *client, *server;

        assert_int_equal(aloop_stream_pair(f.loop, &client, &server), 0);
        assert_int_equal(http2_start(f.loop, client, options[i], &ret),
                         ALOOP_EINVAL);
        assert_null(ret);
        aloop_stream_close(server);
    }
    assert_int_equal(http2_start(f.loop, NULL, &good, &ret), ALOOP_EINVAL);
    assert_null(ret);
}

/* Many requests. */

enum { MANY = 1000 };

static struct http2_answer pages[MANY];
static aloop_future *requests[MANY];

static void request_many(size_t count)
{
    for (size_t i = 0; i < count; i++)
        requests[i] = http2_request(f.http2, &get, &pages[i]);
}

static void free_many(size_t count)
{
    for (size_t i = 0; i < count; i++)
        http2_answer_free(&pages[i]);
}

static void many_requests_share_the_connection(void **state)
{
    (void) state;
    request_many(MANY);

    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(await(requests[i]), 200);

    assert_int_equal(f.accepted, 1);
    assert_int_equal(f.counts[NGHTTP2_HEADERS], MANY);
    free_many(MANY);
}

static void requests_above_the_limit_wait_in_their_order(void **state)
{
    (void) state;
    connect_with(2);
    f.is_silent = true;
    request_many(4);
    until(NGHTTP2_HEADERS, 2);
    exchange();
    assert_int_equal(f.counts[NGHTTP2_HEADERS], 2);
    answer(3, "b");

    assert_int_equal(await(requests[1]), 200);
    until(NGHTTP2_HEADERS, 3);

    assert_bytes(&pages[1].body, "b");
    assert_false(aloop_future_is_settled(requests[0]));
    answer(1, "a");
    until(NGHTTP2_HEADERS, 4);
    answer(7, "d");
    answer(5, "c");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(i == 1 ? 200 : await(requests[i]), 200);
        assert_int_equal(pages[i].body.data[0], 'a' + (int) i);
    }
    free_many(4);
}

static void the_server_limits_the_streams(void **state)
{
    (void) state;
    f.is_silent = true;
    send_setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
    exchange();
    request_many(5);
    until(NGHTTP2_HEADERS, 2);
    exchange();
    assert_int_equal(f.counts[NGHTTP2_HEADERS], 2);

    send_setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 4);
    until(NGHTTP2_HEADERS, 4);
    exchange();

    assert_int_equal(f.counts[NGHTTP2_HEADERS], 4);
    for (uint32_t id = 1; id <= 7; id += 2)
        answer(id, "hello");
    until(NGHTTP2_HEADERS, 5);
    answer(9, "hello");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(await(requests[i]), 200);
    free_many(5);
}

/* Cancels and limits. */

static void a_cancel_resets_its_stream_alone(void **state)
{
    (void) state;
    f.is_silent = true;
    request_many(2);
    until(NGHTTP2_HEADERS, 2);

    assert_int_equal(aloop_cancel(requests[0]), 1);
    assert_int_equal(await(requests[0]), ALOOP_EABORTED);

    until(NGHTTP2_RST_STREAM, 1);
    assert_int_equal(f.code, NGHTTP2_CANCEL);
    answer(1, "late"); /* It was on its way. */
    answer(3, "hello");
    assert_int_equal(await(requests[1]), 200);
    assert_bytes(&pages[1].body, "hello");
    free_many(2);
    assert_usable();
}

static void a_cancelled_request_that_waits_is_not_sent(void **state)
{
    (void) state;
    connect_with(1);
    f.is_silent = true;
    request_many(3);
    until(NGHTTP2_HEADERS, 1);

    aloop_future_unref(requests[1]);
    answer(1, "hello");
    assert_int_equal(await(requests[0]), 200);
    until(NGHTTP2_HEADERS, 2);
    answer(3, "hello");
    assert_int_equal(await(requests[2]), 200);

    exchange();
    assert_int_equal(f.counts[NGHTTP2_HEADERS], 2);
    assert_int_equal(f.counts[NGHTTP2_RST_STREAM], 0);
    free_many(3);
}

static void the_end_of_a_cancelled_stream_makes_room(void **state)
{
    (void) state;
    connect_with(1);
    f.is_silent = true;
    request_many(2);
    until(NGHTTP2_HEADERS, 1);

    aloop_future_unref(requests[0]);
    until(NGHTTP2_HEADERS, 2);

    answer(3, "hello");
    assert_int_equal(await(requests[1]), 200);
    free_many(2);
}

/* A request, with a body or without, is cancelled after each turn. */
static void a_cancel_at_each_step_leaves_the_connection_usable(void **state)
{
    static char body[400000];
    const struct http2_request kinds[] = {
        get,
        {.path = "/", .body = body, .body_size = sizeof body}};

    (void) state;
    for (size_t kind = 0; kind < 2; kind++) {
        bool has_ended = false;

        for (int steps = 0; !has_ended; steps++) {
            struct http2_answer *page = malloc(sizeof *page);
            aloop_future *request = http2_request(f.http2, &kinds[kind], page);

            for (int i = 0; i < steps; i++)
                assert_true(aloop_step(f.loop, 0) >= 0);
            has_ended = aloop_future_is_settled(request);
            (void) aloop_cancel(request);
            assert_int_equal(await(request), has_ended ? 200 : ALOOP_EABORTED);
            http2_answer_free(page);
            free(page);
            assert_usable();
            assert_true(steps < 10000);
        }
    }
}

static void a_limit_ends_a_request(void **state)
{
    struct http2_answer page;

    (void) state;
    f.is_silent = true;

    assert_int_equal(aloop_await(aloop_timeout(
                         http2_request(f.http2, &get, &page), ALOOP_MS(20))),
                     ALOOP_ETIMEDOUT);

    until(NGHTTP2_RST_STREAM, 1);
    assert_usable();
}

static void the_first_error_of_a_gather_cancels_the_others(void **state)
{
    (void) state;
    f.is_silent = true;
    request_many(3);
    until(NGHTTP2_HEADERS, 3);
    send_number(NGHTTP2_RST_STREAM, 3, NGHTTP2_INTERNAL_ERROR);

    assert_int_equal(
        await(aloop_gather(f.loop, requests[0], requests[1], requests[2])),
        HTTP2_ERESET);

    until(NGHTTP2_RST_STREAM, 2);
    assert_usable();
}

/* Bodies by callback. */

static struct {
    size_t size;
    ssize_t result; /* Less than 0, or what is consumed of each part. */
    bool is_all;    /* Consumes everything. */
    void (*act)(struct http2_answer *answer);
} taker;

static ssize_t take_body(struct http2_answer *page, const void *data,
                         size_t size, void *arg)
{
    (void) arg;
    assert_non_null(data);
    taker.size += size;
    if (taker.act != NULL)
        taker.act(page);
    return taker.is_all ? (ssize_t) size : taker.result;
}

static const struct http2_request by_callback = {.path = "/large",
                                                 .on_body = take_body};

static aloop_future *begin_taking(struct http2_answer *page)
{
    memset(&taker, 0, sizeof taker);
    f.is_silent = true;
    return http2_request(f.http2, &by_callback, page);
}

/* Sends a part of a large body. */
static void send_part(uint32_t id, size_t size)
{
    static char part[16384];

    for (; size > 0; size -= size < sizeof part ? size : sizeof part)
        send_data(id, part, size < sizeof part ? size : sizeof part, 0);
}

static void a_callback_is_given_the_body(void **state)
{
    enum { PIECE = HTTP2_WINDOW / 2, PIECES = 150 };
    struct http2_answer page;
    aloop_future *request = begin_taking(&page);

    (void) state;
    taker.is_all = true;
    until(NGHTTP2_HEADERS, 1);
    send_head(f.last_id, "\x88", 0);
    for (int i = 0; i < PIECES; i++) { /* The windows are opened in time. */
        send_part(f.last_id, PIECE);
        exchange();
    }
    send_data(f.last_id, "", 0, END_STREAM);

    assert_int_equal(await(request), 200);

    assert_int_equal(taker.size, PIECES * PIECE);
    assert_int_equal(page.body.size, 0);
    assert_true(f.counts[NGHTTP2_WINDOW_UPDATE] > 0);
    http2_answer_free(&page);
}

static void what_is_not_consumed_stops_the_server(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin_taking(&page);
    unsigned updates;

    (void) state;
    until(NGHTTP2_HEADERS, 1);
    send_head(1, "\x88", 0);
    exchange();
    updates = f.counts[NGHTTP2_WINDOW_UPDATE];
    send_part(1, HTTP2_WINDOW);
    exchange();
    assert_int_equal(taker.size, HTTP2_WINDOW);
    assert_int_equal(f.counts[NGHTTP2_WINDOW_UPDATE], updates);
    assert_usable(); /* The others continue. */

    http2_consume(&page, HTTP2_WINDOW);
    until(NGHTTP2_WINDOW_UPDATE, updates + 1);

    send_part(1, HTTP2_WINDOW);
    send_data(1, "", 0, END_STREAM);
    assert_int_equal(await(request), 200);
    assert_int_equal(taker.size, 2 * HTTP2_WINDOW);
    http2_answer_free(&page);
}

static void a_server_that_ignores_the_window_is_reset(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin_taking(&page);

    (void) state;
    until(NGHTTP2_HEADERS, 1);
    send_head(1, "\x88", 0);
    send_part(1, HTTP2_WINDOW + 1);

    assert_int_equal(await(request), HTTP2_ERESET);

    assert_int_equal(page.reset_code, NGHTTP2_FLOW_CONTROL_ERROR);
    assert_true(taker.size <= HTTP2_WINDOW + 1);
    http2_answer_free(&page);
    assert_usable();
}

static void an_error_of_the_callback_ends_the_request(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin_taking(&page);

    (void) state;
    taker.result = ALOOP_ENOSPC;
    until(NGHTTP2_HEADERS, 1);
    answer(1, "hello");

    assert_int_equal(await(request), ALOOP_ENOSPC);

    until(NGHTTP2_RST_STREAM, 1);
    http2_answer_free(&page);
    assert_usable();
}

static aloop_future *taken;

static void cancel_taken(struct http2_answer *page)
{
    assert_int_equal(aloop_cancel(taken), 1);
    http2_answer_free(page);
    free(page); /* The bridge does not use it any more. */
}

static void the_callback_may_cancel_the_request(void **state)
{
    struct http2_answer *page = malloc(sizeof *page);

    (void) state;
    taken = begin_taking(page);
    taker.act = cancel_taken;
    taker.result = ALOOP_ENOSPC; /* This is ignored. */
    until(NGHTTP2_HEADERS, 1);
    answer(1, "hello");

    assert_int_equal(await(taken), ALOOP_EABORTED);

    until(NGHTTP2_RST_STREAM, 1);
    assert_usable();
}

static void free_connection(struct http2_answer *page)
{
    (void) page;
    http2_close(f.http2);
    f.http2 = NULL;
}

static void the_callback_may_free_the_connection(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin_taking(&page);

    (void) state;
    taker.act = free_connection;
    until(NGHTTP2_HEADERS, 1);
    send_head(1, "\x88", 0);
    send_data(1, "hello", 5, 0);
    send_data(1, "hello", 5, END_STREAM);

    assert_int_equal(await(request), HTTP2_ECLOSED);

    assert_int_equal(taker.size, 5);
    http2_answer_free(&page);
}

static void request_more(struct http2_answer *page)
{
    (void) page;
    taker.act = NULL;
    f.is_silent = false;
    requests[0] = http2_request(f.http2, &get, &pages[0]);
}

static void the_callback_may_make_requests(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin_taking(&page);

    (void) state;
    taker.act = request_more;
    taker.is_all = true;
    until(NGHTTP2_HEADERS, 1);
    answer(1, "hello");

    assert_int_equal(await(request), 200);
    assert_int_equal(await(requests[0]), 200);

    http2_answer_free(&page);
    free_many(1);
}

/* The end. */

static void a_free_settles_the_requests(void **state)
{
    (void) state;
    connect_with(2);
    f.is_silent = true;
    request_many(4);
    until(NGHTTP2_HEADERS, 2);

    http2_close(f.http2);
    f.http2 = NULL;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(await(requests[i]), HTTP2_ECLOSED);
    until(NGHTTP2_GOAWAY, 1);
    assert_int_equal(f.code, NGHTTP2_NO_ERROR);
    free_many(4);
    http2_close(NULL);
}

static ssize_t fetch_task(aloop *loop, void *arg)
{
    http2_options options = {.authority = "server.test"};
    struct http2_answer page;
    http2 *own;
    aloop_stream *stream;
    ssize_t status;
    char port[8];

    snprintf(port, sizeof port, "%d", aloop_listener_port(f.listener));
    status = aloop_await(aloop_tcp_connect(loop, "127.0.0.1", port, &stream));
    assert_int_equal(status, 0);
    assert_int_equal(http2_start(loop, stream, &options, &own), 0);
    status = aloop_await(http2_request(own, &get, &page));
    http2_answer_free(&page);
    http2_close(own);
    *(ssize_t *) arg = status;
    return status;
}

static void the_end_of_the_loop_ends_the_requests_of_tasks(void **state)
{
    ssize_t status = 0;

    (void) state;
    f.is_silent = true;
    aloop_detach(aloop_spawn(f.loop, fetch_task, &status));
    until(NGHTTP2_HEADERS, 1);

    assert_int_equal(aloop_free(f.loop), 0);

    f.loop = NULL;
    assert_int_equal(status, ALOOP_ECANCELED);
}

static void an_idle_connection_does_not_keep_the_loop_alive(void **state)
{
    (void) state;
    assert_usable();
    aloop_stream_unref(f.server);
    aloop_listener_unref(f.listener);

    assert_int_equal(aloop_run(f.loop), 0);

    aloop_stream_ref(f.server);
    assert_usable();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_arguments_are_errors),
        TEST(a_request_has_an_answer_with_fields_and_a_body),
        TEST(an_answer_may_have_no_body),
        TEST(interim_answers_are_skipped_and_trailers_kept),
        TEST(a_body_is_sent_with_its_length_and_the_fields),
        TEST(wrong_requests_are_refused),
        TEST(a_connection_without_what_it_needs_is_refused),
        TEST(many_requests_share_the_connection),
        TEST_ALONE(requests_above_the_limit_wait_in_their_order),
        TEST(the_server_limits_the_streams),
        TEST(a_cancel_resets_its_stream_alone),
        TEST_ALONE(a_cancelled_request_that_waits_is_not_sent),
        TEST_ALONE(the_end_of_a_cancelled_stream_makes_room),
        TEST(a_cancel_at_each_step_leaves_the_connection_usable),
        TEST(a_limit_ends_a_request),
        TEST(the_first_error_of_a_gather_cancels_the_others),
        TEST(a_callback_is_given_the_body),
        TEST(what_is_not_consumed_stops_the_server),
        TEST(a_server_that_ignores_the_window_is_reset),
        TEST(an_error_of_the_callback_ends_the_request),
        TEST(the_callback_may_cancel_the_request),
        TEST(the_callback_may_free_the_connection),
        TEST(the_callback_may_make_requests),
        TEST_ALONE(a_free_settles_the_requests),
        TEST_ALONE(the_end_of_the_loop_ends_the_requests_of_tasks),
        TEST(an_idle_connection_does_not_keep_the_loop_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
