/* The kept connections of an HTTP session: what arrives between two requests.
 * See examples/support/http_pool.h. */

#include "support/http_fixture.h"

#define EVIL "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"

static void send_evil(void)
{
    assert_int_equal(
        sim_peer_send(h.connections[0].peer, EVIL, sizeof EVIL - 1),
        sizeof EVIL - 1);
}

static void end_connection(void)
{
    sim_peer_shutdown(h.connections[0].peer);
}

/* Fetches two pages.  `arg` points to a function, which is called when the
 * first one was read, immediately before the second request. */
static ssize_t reads_two(aloop *loop, void *arg)
{
    void (**between)(void) = arg;
    struct http_request request = {.url = HOME, .method = "POST"};
    struct http_reply reply;
    char buffer[16];

    (void) loop;
    for (int i = 0; i < 2; i++) {
        ssize_t status = http_open(h.session, &request, &reply);

        if (status < 0)
            return status;
        assert_int_equal(reply.status, 200);
        assert_int_equal(http_read(&reply, buffer, sizeof buffer), 5);
        if (i == 0) {
            (*between)();
            sim_advance(MS); /* It arrives before the loop waits again. */
        }
        http_close(&reply);
    }
    return 0;
}

static void a_reply_that_nothing_asked_for_is_not_that_of_the_next(void **state)
{
    void (*between)(void) = send_evil;

    (void) state;
    h.answers = five;
    assert_int_equal(finish(aloop_spawn(t.loop, reads_two, &between)), 0);
    assert_int_equal(h.accepted, 2);
    assert_int_equal(count_open(), 1);
}

/* A POST is not repeated, so that it must not have been sent. */
static void an_end_right_before_a_request_is_seen(void **state)
{
    void (*between)(void) = end_connection;

    (void) state;
    h.answers = five;
    assert_int_equal(finish(aloop_spawn(t.loop, reads_two, &between)), 0);
    assert_int_equal(h.requests, 2);
    assert_int_equal(h.accepted, 2);
}

static void a_reply_while_a_connection_is_idle_closes_it(void **state)
{
    (void) state;
    h.answers = five;
    assert_int_equal(fetch(HOME), 5);
    send_evil();
    run_for(10 * MS);
    assert_int_equal(count_open(), 0);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 2);
}

/* The server sends a redirect and, after it, a second reply. */
static void a_redirect_is_not_followed_on_a_connection_with_more(void **state)
{
    static const struct answer answers[] = {
        {"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /\r\n\r\n" EVIL,
         THEN_KEEP, 0},
        {OK_5, THEN_KEEP, 0}};

    (void) state;
    h.answers = answers;
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.accepted, 2);
}

/* The bytes after the body stay where the check of the next request finds
 * them. */
static ssize_t reads_exactly(aloop *loop, void *arg)
{
    static char buffer[32768];
    struct http_request request = {.url = HOME};
    struct http_reply reply;

    (void) loop;
    (void) arg;
    assert_int_equal(http_open(h.session, &request, &reply), 0);
    assert_int_equal(http_read(&reply, buffer, 16 * 1024),
                     16 * 1024 - 100); /* What came with the header. */
    assert_int_equal(http_read(&reply, buffer, sizeof buffer),
                     sizeof buffer - (16 * 1024 - 100));
    assert_int_equal(http_read(&reply, buffer, sizeof buffer), 0);
    http_close(&reply);
    if (http_open(h.session, &request, &reply) < 0)
        return -1;
    http_close(&reply);
    return reply.status;
}

static void the_last_read_of_a_body_gets_its_rest_and_no_more(void **state)
{
    static const char head[] =
        "HTTP/1.1 200 x\r\nContent-Length: 32768\r\nX: "
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
        "\r\n\r\n";
    static char text[100 + 32768 + sizeof EVIL - 1];
    static const struct answer answers[] = {{text, THEN_KEEP, sizeof text},
                                            {OK_5, THEN_KEEP, 0}};

    (void) state;
    assert_int_equal(sizeof head - 1, 100);
    memset(text, 'b', sizeof text);
    memcpy(text, head, 100);
    memcpy(text + 100 + 32768, EVIL, sizeof EVIL - 1);
    h.answers = answers;
    assert_int_equal(finish(aloop_spawn(t.loop, reads_exactly, NULL)), 200);
    assert_int_equal(h.accepted, 2);
}

/* A task that is cancelled before it has sent anything. */
static void a_cancel_while_a_connection_is_checked_loses_no_place(void **state)
{
    struct http_session_options options = {.connections_max = 1};
    struct http_request request = {.url = HOME};
    struct http_page page;
    aloop_future *second;

    (void) state;
    http_session_free(h.session);
    start_session(&options);
    h.answers = five;
    assert_int_equal(fetch(HOME), 5);
    second = http_fetch(h.session, &request, &page);
    assert_true(aloop_step(t.loop, 0) >= 0);
    aloop_cancel(second);
    assert_int_equal(finish(second), ALOOP_ECANCELED);
    http_page_free(&page);
    assert_int_equal(fetch(HOME), 5);
    assert_int_equal(h.requests, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_reply_that_nothing_asked_for_is_not_that_of_the_next),
        HTTP_TEST(an_end_right_before_a_request_is_seen),
        HTTP_TEST(a_reply_while_a_connection_is_idle_closes_it),
        HTTP_TEST(a_redirect_is_not_followed_on_a_connection_with_more),
        HTTP_TEST(the_last_read_of_a_body_gets_its_rest_and_no_more),
        HTTP_TEST(a_cancel_while_a_connection_is_checked_loses_no_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
