/* The bridge to nghttp2: servers that end, break the protocol or do not read,
 * and no memory. */

#define _POSIX_C_SOURCE 200809L

#include "http2_fixture.h"

#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Begins a request, and waits until the server has it. */
static aloop_future *begin(struct http2_answer *page)
{
    unsigned count = f.counts[NGHTTP2_HEADERS] + 1;
    aloop_future *request = http2_request(f.http2, &get, page);

    f.is_silent = true;
    until(NGHTTP2_HEADERS, count);
    return request;
}

static void assert_settles(aloop_future *request, struct http2_answer *page,
                           ssize_t status)
{
    assert_int_equal(await(request), status);
    assert_true(http2_error(page, status)[0] != '\0');
    http2_answer_free(page);
}

/* Ends both connections, and makes new ones. */
static void connect_again(void)
{
    http2_close(f.http2);
    f.http2 = NULL;
    if (f.server != NULL)
        aloop_stream_abort(f.server);
    f.server = NULL;
    f.in_size = 0;
    memset(f.counts, 0, sizeof f.counts);
    connect_with(0);
}

/* Resets. */

static void a_reset_stream_is_reported_with_its_code(void **state)
{
    static const struct {
        uint32_t code;
        ssize_t status;
    } cases[] = {{NGHTTP2_INTERNAL_ERROR, HTTP2_ERESET},
                 {NGHTTP2_HTTP_1_1_REQUIRED, HTTP2_ERESET},
                 {NGHTTP2_NO_ERROR, HTTP2_ERESET}, /* Before the end. */
                 {0xabcdef, HTTP2_ERESET},
                 {NGHTTP2_REFUSED_STREAM, HTTP2_EREFUSED}};
    struct http2_answer page;

    (void) state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        aloop_future *request = begin(&page);

        send_head(f.last_id, "\x88", 0);
        send_data(f.last_id, "hel", 3, 0);
        send_number(NGHTTP2_RST_STREAM, f.last_id, cases[i].code);
        assert_settles(request, &page, cases[i].status);
        assert_int_equal(page.reset_code, cases[i].code);
        assert_usable();
    }
}

static void answer_early(struct frame *frame)
{
    if (frame->type != NGHTTP2_HEADERS)
        return;
    send_head(frame->id, "\x88", 0);
    send_data(frame->id, "no", 2, END_STREAM);
}

static void an_answer_before_the_end_of_the_request_counts(void **state)
{
    static char body[1000000];
    struct http2_request post = {.path = "/",
                                 .body = body,
                                 .body_size = sizeof body};
    struct http2_answer page;

    (void) state;
    f.on_frame = answer_early;
    f.is_silent = true;

    assert_int_equal(await(http2_request(f.http2, &post, &page)), 200);

    assert_bytes(&page.body, "no");
    http2_answer_free(&page);
    until(NGHTTP2_RST_STREAM, 1);
    assert_int_equal(f.code, NGHTTP2_NO_ERROR);
    assert_true(f.body < sizeof body);
    f.on_frame = NULL;
    assert_usable();
}

/* The end of the connection. */

static void after_goaway_the_server_answers_what_it_has_begun(void **state)
{
    struct http2_answer pages[4];
    aloop_future *requests[4];

    (void) state;
    f.is_silent = true;
    send_setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 3);
    exchange();
    for (int i = 0; i < 4; i++)
        requests[i] = http2_request(f.http2, &get, &pages[i]);
    until(NGHTTP2_HEADERS, 3);
    send_goaway(3, NGHTTP2_NO_ERROR);

    assert_settles(requests[2], &pages[2], HTTP2_EREFUSED); /* Stream 5. */
    assert_settles(requests[3], &pages[3], HTTP2_EREFUSED);
    assert_int_equal(http2_status(f.http2), HTTP2_EREFUSED);
    assert_ends(HTTP2_EREFUSED);

    answer(1, "hello");
    answer(3, "hello");
    assert_settles(requests[0], &pages[0], 200);
    assert_settles(requests[1], &pages[1], 200);
    assert_int_equal(http2_status(f.http2), HTTP2_EREFUSED);
}

static void goaway_refuses_what_waits_immediately(void **state)
{
    struct http2_answer page, waiting;
    aloop_future *first, *second;

    (void) state;
    send_setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
    exchange();
    first = begin(&page);
    second = http2_request(f.http2, &get, &waiting);
    send_goaway(1, NGHTTP2_NO_ERROR);

    assert_settles(second, &waiting, HTTP2_EREFUSED);

    assert_false(aloop_future_is_settled(first));
    answer(1, "hello");
    assert_settles(first, &page, 200);
}

static void a_server_may_announce_the_end_twice(void **state)
{
    struct http2_answer pages[2];
    aloop_future *first = begin(&pages[0]), *second = begin(&pages[1]);

    (void) state;
    send_goaway(0x7fffffff, NGHTTP2_NO_ERROR);
    exchange();
    assert_false(aloop_future_is_settled(first));
    send_goaway(1, NGHTTP2_NO_ERROR);

    assert_settles(second, &pages[1], HTTP2_EREFUSED);
    answer(1, "hello");
    assert_settles(first, &pages[0], 200);
}

static void an_end_with_a_reason_reports_it(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin(&page);

    (void) state;
    send_goaway(1, NGHTTP2_ENHANCE_YOUR_CALM);
    exchange();
    aloop_stream_close(f.server);
    f.server = NULL;

    assert_settles(request, &page, HTTP2_ERESET);
    assert_int_equal(page.reset_code, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void the_death_of_the_server_ends_all_requests(void **state)
{
    struct http2_answer page, waiting;

    (void) state;
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        aloop_future *request, *other;

        connect_again();
        send_setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
        exchange();
        request = begin(&page);
        other = http2_request(f.http2, &get, &waiting);
        send_head(1, "\x88", 0);
        exchange();
        if (is_reset)
            aloop_stream_abort(f.server);
        else
            aloop_stream_close(f.server);
        f.server = NULL;
        assert_settles(request, &page, is_reset ? ALOOP_ECONNRESET : ALOOP_EOF);
        assert_settles(other, &waiting, HTTP2_EREFUSED);
        assert_int_equal(http2_status(f.http2),
                         is_reset ? ALOOP_ECONNRESET : ALOOP_EOF);
        assert_ends(HTTP2_EREFUSED);
    }
}

/* Violations of the protocol. */

static void an_answer_of_http_1_is_a_violation(void **state)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct http2_answer page;

    (void) state;
    for (int is_end = 0; is_end < 2; is_end++) {
        aloop_future *request;

        connect_again();
        request = begin(&page);
        send_raw(text, sizeof text - 1);
        if (is_end) {
            aloop_stream_close(f.server);
            f.server = NULL;
        }
        assert_settles(request, &page, ALOOP_EPROTO);
        assert_int_equal(http2_status(f.http2), ALOOP_EPROTO);
    }
}

static void violations_end_the_connection(void **state)
{
    static const struct {
        uint8_t type, flags;
        uint32_t id;
        size_t size;
        const char *payload;
    } cases[] = {
        {NGHTTP2_DATA, 0, 0, 1, "x"},
        {NGHTTP2_HEADERS, END_HEADERS, 99, 1, "\x88"},
        {NGHTTP2_HEADERS, END_HEADERS, 1, 1, "\x80"}, /* There is no index 0. */
        {NGHTTP2_HEADERS, END_HEADERS, 1, 1, "\xff"},
        {NGHTTP2_SETTINGS, 0, 0, 5, "abcde"},
        {NGHTTP2_SETTINGS, 0, 0, 6, "\0\4\377\377\377\377"},
        {NGHTTP2_SETTINGS, ACK, 0, 6, "\0\4\0\0\0\1"},
        {NGHTTP2_PING, 0, 0, 7, "1234567"},
        {NGHTTP2_PING, 0, 1, 8, "12345678"},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, 4, "\x7f\xff\xff\xff"},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, 4, "\0\0\0\0"},
        {NGHTTP2_RST_STREAM, 0, 99, 4, "\0\0\0\0"},
        {NGHTTP2_CONTINUATION, END_HEADERS, 1, 1, "\x88"},
        {NGHTTP2_PUSH_PROMISE, END_HEADERS, 1, 8, "\0\0\0\2\x82\x84\x86\x81"},
    };
    struct http2_answer page;

    (void) state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        aloop_future *request;

        connect_again();
        request = begin(&page);
        send_frame(cases[i].type, cases[i].flags, cases[i].id, cases[i].payload,
                   cases[i].size);
        assert_settles(request, &page, ALOOP_EPROTO);
        assert_int_equal(http2_status(f.http2), ALOOP_EPROTO);
    }
}

static void violations_on_a_stream_end_its_request_alone(void **state)
{
    static const char *const blocks[] = {"\x10\1a\1b", /* No status. */
                                         "\x88\x10\6Server\1x",
                                         "\x88\x88", /* Upper case; two. */
                                         "\x88\x10\12connection\5close",
                                         "\x10\7:status\3abc",
                                         "\x10\7:status\003099",
                                         "\x10\7:status\003000",
                                         "\x88\x10\1a\2\r\n",
                                         "\x88\x10\16content-length\00299"};
    struct http2_answer page;

    (void) state;
    for (size_t i = 0; i < COUNT(blocks); i++) {
        aloop_future *request = begin(&page);

        send_head(f.last_id, blocks[i], 0);
        send_data(f.last_id, "hello", 5, END_STREAM);
        assert_settles(request, &page, HTTP2_ERESET);
        assert_int_equal(page.reset_code, NGHTTP2_PROTOCOL_ERROR);
        assert_usable();
    }
}

/* A server that acknowledges no settings may not push either. */
static void a_push_before_the_settings_is_a_violation(void **state)
{
    struct http2_answer page;
    aloop_future *request;

    (void) state;
    f.has_no_ack = true;
    connect_with(0);
    request = begin(&page);
    for (char id = 2; id < 100; id = (char) (id + 2)) {
        char payload[] = "\0\0\0\0\x82\x84\x86\x81";

        payload[3] = id;
        send_frame(NGHTTP2_PUSH_PROMISE, END_HEADERS, 1, payload, 8);
    }

    assert_settles(request, &page, ALOOP_EPROTO);
}

/* Limits. */

static void a_head_above_the_limit_ends_its_request(void **state)
{
    char value[100], block[256] = "\x88";
    struct http2_answer page;
    aloop_future *request = begin(&page);

    (void) state;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    add_field(block, "name", value);
    for (int i = 1; i < 2000; i++) { /* A 1xx for each. */
        memcpy(block,
               "\x08\x03"
               "103",
               5);
        block[5] = '\0';
        add_field(block, "name", value);
        send_head(f.last_id, block, 0);
    }

    assert_settles(request, &page, HTTP2_ETOOLARGE);

    until(NGHTTP2_RST_STREAM, 1);
    assert_usable();
}

/* One byte for each repetition of a field of 4,000 bytes. */
static void a_bomb_of_fields_ends_its_request(void **state)
{
    static uint8_t block[16384];
    struct http2_answer page;
    aloop_future *request = begin(&page);
    size_t at = 0;

    (void) state;
    block[at++] = 0x88;
    block[at++] = 0x40; /* With a place in the table. */
    block[at++] = 1;
    block[at++] = 'b';
    block[at++] = 0x7f; /* 127 + 33 + 30 * 128 */
    block[at++] = 0x80 | 33;
    block[at++] = 30;
    memset(block + at, 'v', 4000);
    at += 4000;
    memset(block + at, 0xbe, sizeof block - at);
    send_frame(NGHTTP2_HEADERS, END_HEADERS, 1, block, sizeof block);

    assert_int_equal(await(request), HTTP2_ETOOLARGE);

    assert_true(page.head.room <= 2 * HTTP2_HEAD_MAX);
    assert_true(page.head.size > 0);
    for (const char *value, *name = http2_answer_next(&page, NULL, &value);
         name != NULL; name = http2_answer_next(&page, name, &value))
        assert_int_equal(strlen(value), 4000);
    http2_answer_free(&page);
    assert_usable();
}

static void a_head_without_an_end_is_a_violation(void **state)
{
    struct http2_answer page;
    aloop_future *request = begin(&page);

    (void) state;
    send_frame(NGHTTP2_HEADERS, 0, 1, "\x88", 1);
    for (int i = 0; i < 1000; i++)
        send_frame(NGHTTP2_CONTINUATION, 0, 1, "\x10\1a\1b", 5);

    assert_settles(request, &page, ALOOP_EPROTO);
}

static void an_answer_has_no_more_memory_than_its_limit(void **state)
{
    char part[300] = {0};
    struct http2_bytes bytes = {0};

    (void) state;

    for (int i = 0; i < 10; i++)
        assert_int_equal(http2_bytes_add(&bytes, part, sizeof part, 3000), 0);

    assert_int_equal(bytes.size, 3000);
    assert_int_equal(bytes.room, 3001);
    assert_int_equal(http2_bytes_add(&bytes, part, 1, 3000), HTTP2_ETOOLARGE);
    free(bytes.data);
}

static void a_body_above_the_limit_ends_its_request(void **state)
{
    struct http2_request small = {.path = "/", .body_max = 8};
    struct http2_answer page;
    aloop_future *request = http2_request(f.http2, &small, &page);

    (void) state;
    f.is_silent = true;
    until(NGHTTP2_HEADERS, 1);
    answer(1, "12345678");
    assert_settles(request, &page, 200);
    request = http2_request(f.http2, &small, &page);
    until(NGHTTP2_HEADERS, 2);
    answer(3, "123456789");

    assert_settles(request, &page, HTTP2_ETOOLARGE);

    until(NGHTTP2_RST_STREAM, 1);
    assert_int_equal(f.code, NGHTTP2_CANCEL);
    assert_usable();
}

/* Floods, and servers that do not read. */

/* The server reads no more, and the system holds little. */
static void stop_reading(void)
{
    int size = 4096;

    assert_int_equal(aloop_stream_stop(f.server), 0);
    assert_int_equal(setsockopt(aloop_stream_fd(f.server), SOL_SOCKET,
                                SO_RCVBUF, &size, sizeof size),
                     0);
    assert_int_equal(setsockopt(aloop_stream_fd(f.client), SOL_SOCKET,
                                SO_SNDBUF, &size, sizeof size),
                     0);
}

static void assert_flood(int type, const void *payload, size_t size)
{
    struct http2_answer page;
    aloop_future *request;

    connect_again();
    request = begin(&page);
    stop_reading();
    for (int i = 0; i < 1000 && !aloop_future_is_settled(request); i++) {
        for (int j = 0; j < 1000; j++)
            send_frame(type, 0, 0, payload, size);
        assert_int_equal(await(aloop_stream_drain(f.server)), 0);
        assert_true(aloop_stream_queued(f.client) <= 2 * 65536);
    }
    assert_settles(request, &page, ALOOP_EPROTO);
}

static void a_flood_by_a_server_that_does_not_read_is_ended(void **state)
{
    (void) state;
    assert_flood(NGHTTP2_PING, "12345678", 8);
    assert_flood(NGHTTP2_SETTINGS, NULL, 0);
}

static void a_server_that_reads_may_send_many_pings(void **state)
{
    (void) state;
    for (unsigned i = 1; i <= 100; i++) {
        for (int j = 0; j < 500; j++)
            send_frame(NGHTTP2_PING, 0, 0, "12345678", 8);
        until(NGHTTP2_PING, 500 * i);
    }

    assert_usable();
}

enum { LARGE = 32 << 20 };

/* Begins a request whose body fills the output. */
static aloop_future *fill_output(struct http2_request *post, char *body,
                                 struct http2_answer *page)
{
    aloop_future *request;

    *post =
        (struct http2_request){.path = "/", .body = body, .body_size = LARGE};
    send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff);
    send_number(NGHTTP2_WINDOW_UPDATE, 0, 0x7fffffff - 65535);
    exchange();
    stop_reading();
    request = http2_request(f.http2, post, page);
    for (int i = 0; i < 100; i++) {
        send_frame(NGHTTP2_PING, 0, 0, "12345678", 8);
        assert_true(aloop_step(f.loop, 0) >= 0);
        assert_true(aloop_stream_queued(f.client) <= 2 * 65536);
    }
    return request;
}

static void a_server_that_does_not_read_limits_the_output(void **state)
{
    char *body = calloc(1, LARGE);
    struct http2_request post;
    struct http2_answer page;
    aloop_future *request = fill_output(&post, body, &page);

    (void) state;
    assert_int_equal(aloop_cancel(request), 1);
    assert_int_equal(await(request), ALOOP_EABORTED);
    free(body); /* No frame refers to it. */

    assert_int_equal(aloop_stream_start(f.server, server_data, NULL), 0);
    until(NGHTTP2_RST_STREAM, 1);

    assert_usable();
}

static void a_free_does_not_wait_for_a_server_that_does_not_read(void **state)
{
    char *body = calloc(1, LARGE);
    struct http2_request post;
    struct http2_answer page;
    aloop_future *request = fill_output(&post, body, &page);

    (void) state;
    http2_close(f.http2);
    f.http2 = NULL;
    free(body);

    assert_int_equal(await(request), HTTP2_ECLOSED);

    assert_int_equal(aloop_stream_start(f.server, server_data, NULL), 0);
    while (f.server != NULL) /* It is reset. */
        assert_true(aloop_step(f.loop, -1) >= 0);
}

/* Everything that random frames cause is an error. */
static void random_frames_do_no_harm(void **state)
{
    static uint8_t payload[300];
    unsigned seed = 1;

    (void) state;
    for (int i = 0; i < 300; i++) {
        struct http2_answer page;
        aloop_future *request;

        connect_again();
        request = begin(&page);
        send_head(1, "\x88", 0);
        for (int j = 0; j < 20; j++) {
            size_t size;

            for (size_t k = 0; k < sizeof payload; k++) {
                seed = seed * 1103515245 + 12345;
                payload[k] = (uint8_t) (seed >> 16);
            }
            size = payload[0] < 128 ? payload[1] % 10 : payload[1];
            if (payload[2] < 128) /* Mostly beginnings of fields. */
                memset(payload + 10, 0x88, 4);
            send_frame(payload[3] % 11, payload[4] & payload[5],
                       payload[6] < 128 ? 1 : payload[6] % 4, payload + 10,
                       size);
        }
        aloop_stream_close(f.server);
        f.server = NULL;
        assert_true(await(request) != ALOOP_ETIMEDOUT);
        http2_answer_free(&page);
    }
}

/* No memory.  One request for memory fails: of the bridge, of nghttp2, or of
 * the loop inside of a function of the bridge. */

static struct {
    unsigned calls, fails_at; /* 0: none fails. */
    bool is_inside;           /* The test is in a function of the bridge. */
} memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_nghttp2_session_client_new2(nghttp2_session **ret,
                                       const nghttp2_session_callbacks *cbs,
                                       void *arg, const nghttp2_option *option);

static bool is_refused(void)
{
    return ++memory.calls == memory.fails_at;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __real_realloc(old, size);
}

static void *session_malloc(size_t size, void *arg)
{
    (void) arg;
    return is_refused() ? NULL : malloc(size);
}

static void session_free(void *data, void *arg)
{
    (void) arg;
    free(data);
}

static void *session_calloc(size_t count, size_t size, void *arg)
{
    (void) arg;
    return __wrap_calloc(count, size);
}

static void *session_realloc(void *old, size_t size, void *arg)
{
    (void) arg;
    return __wrap_realloc(old, size);
}

int __wrap_nghttp2_session_client_new2(nghttp2_session **ret,
                                       const nghttp2_session_callbacks *cbs,
                                       void *arg, const nghttp2_option *option)
{
    nghttp2_mem mem = {NULL, session_malloc, session_free, session_calloc,
                       session_realloc};

    return nghttp2_session_client_new3(ret, cbs, arg, option, &mem);
}

static void *loop_resize(void *context, void *old, size_t old_size,
                         size_t new_size)
{
    (void) context;
    (void) old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return memory.is_inside && is_refused() ? NULL
                                            : __real_realloc(old, new_size);
}

static int set_up_memory(void **state)
{
    aloop_options options = {.size = sizeof options, .resize = loop_resize};

    (void) state;
    memset(&memory, 0, sizeof memory);
    return set_up_with(&options);
}

static aloop_future *request_inside(const struct http2_request *request,
                                    struct http2_answer *page)
{
    aloop_future *future;

    memory.is_inside = true;
    future = http2_request(f.http2, request, page);
    memory.is_inside = false;
    return future;
}

/* The fields need memory again and again. */
static void answer_with_fields(struct frame *frame)
{
    char block[256] = "\x88";

    if (frame->type != NGHTTP2_HEADERS && frame->type != NGHTTP2_DATA)
        return;
    if ((frame->flags & END_STREAM) == 0)
        return;
    for (int i = 0; i < 4; i++)
        add_field(block, "name-of-a-field", "value-of-that-field");
    send_head(frame->id, block, 0);
    send_data(frame->id, "hello", 5, END_STREAM);
}

static void assert_fields(const struct http2_answer *page)
{
    const char *value, *name = NULL;

    while ((name = http2_answer_next(page, name, &value)) != NULL) {
        assert_string_equal(name, "name-of-a-field");
        assert_string_equal(value, "value-of-that-field");
    }
}

/* Requests of each kind, of which one is cancelled.  If the compression of
 * fields has no memory, nghttp2 reports a violation of the protocol. */
static void use_connection(void)
{
    static char body[200000];
    struct http2_field fields[] = {{"accept", "text/html", false}};
    struct http2_request post = {.path = "/form",
                                 .fields = fields,
                                 .field_count = 1,
                                 .body = body,
                                 .body_size = sizeof body};
    struct http2_answer pages[3] = {{0}};
    aloop_future *requests[3] = {request_inside(&get, &pages[0]),
                                 request_inside(&post, &pages[1]),
                                 request_inside(&get, &pages[2])};

    assert_true(aloop_step(f.loop, 0) >= 0);
    memory.is_inside = true;
    aloop_cancel(requests[2]);
    memory.is_inside = false;
    for (int i = 0; i < 3; i++) {
        ssize_t status = await(requests[i]);

        assert_true(status == 200 || status == ALOOP_ENOMEM ||
                    status == ALOOP_EABORTED || status == HTTP2_EREFUSED ||
                    status == HTTP2_ERESET || status == ALOOP_EPROTO);
        assert_true(status != 200 || pages[i].body.size == 5);
        assert_fields(&pages[i]);
        http2_answer_free(&pages[i]);
    }
}

static void an_allocation_that_fails_is_an_error(void **state)
{
    http2_options options = {.authority = "server.test"};
    bool has_failed = true;
    char port[8];

    (void) state;
    f.is_silent = true;
    f.on_frame = answer_with_fields;
    snprintf(port, sizeof port, "%d", aloop_listener_port(f.listener));
    for (unsigned at = 1; has_failed; at++) {
        memory.fails_at = 0;
        assert_int_equal(
            await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &f.client)), 0);
        while (f.server == NULL)
            assert_true(aloop_step(f.loop, -1) >= 0);
        memory.calls = 0;
        memory.fails_at = at;
        memory.is_inside = true;
        if (http2_start(f.loop, f.client, &options, &f.http2) == 0)
            use_connection();
        memory.is_inside = true;
        http2_close(f.http2);
        memory.is_inside = false;
        f.http2 = NULL;
        has_failed = memory.calls >= at;
        if (f.server != NULL)
            aloop_stream_abort(f.server);
        f.server = NULL;
        f.in_size = 0;
        memset(f.counts, 0, sizeof f.counts);
    }
    memory.fails_at = 0;
}

#define TEST_MEMORY(name) \
    cmocka_unit_test_setup_teardown(name, set_up_memory, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reset_stream_is_reported_with_its_code),
        TEST(an_answer_before_the_end_of_the_request_counts),
        TEST(after_goaway_the_server_answers_what_it_has_begun),
        TEST(goaway_refuses_what_waits_immediately),
        TEST(a_server_may_announce_the_end_twice),
        TEST(an_end_with_a_reason_reports_it),
        TEST(the_death_of_the_server_ends_all_requests),
        TEST(an_answer_of_http_1_is_a_violation),
        TEST(violations_end_the_connection),
        TEST(violations_on_a_stream_end_its_request_alone),
        TEST_ALONE(a_push_before_the_settings_is_a_violation),
        TEST(a_head_above_the_limit_ends_its_request),
        TEST(a_bomb_of_fields_ends_its_request),
        TEST(a_head_without_an_end_is_a_violation),
        TEST(an_answer_has_no_more_memory_than_its_limit),
        TEST(a_body_above_the_limit_ends_its_request),
        TEST(a_flood_by_a_server_that_does_not_read_is_ended),
        TEST(a_server_that_reads_may_send_many_pings),
        TEST(a_server_that_does_not_read_limits_the_output),
        TEST(a_free_does_not_wait_for_a_server_that_does_not_read),
        TEST(random_frames_do_no_harm),
        TEST_MEMORY(an_allocation_that_fails_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
