/* A session of examples/support, and a server for it on the simulated system,
 * which gives prepared answers, one for each request. */

#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include "support/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "../../examples/support/http_session.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define HOME "http://127.0.0.1/"
#define TO(status, location) \
    "HTTP/1.1 " status " x\r\nContent-Length: 2\r\nLocation: " location \
    "\r\n\r\nno"

enum { CONNECTIONS = 8, REQUEST_ROOM = 64 * 1024 };

/* What the server does after an answer. */
enum then { THEN_KEEP, THEN_END, THEN_RESET };

struct answer {
    const char *text; /* NULL: none, so that the client waits. */
    enum then then;
    size_t size; /* 0: that of the text. */
};

static const struct answer five[] = {
    {OK_5, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0},
    {OK_5, THEN_KEEP, 0}, {OK_5, THEN_KEEP, 0},
};

static struct {
    http_session *session;
    int listener;
    unsigned accepted;
    unsigned requests;
    const struct answer *answers;
    struct connection {
        int peer; /* < 0: none. */
        size_t size;
        bool is_continued; /* The head has had an answer of its own. */
        char in[REQUEST_ROOM];
    } connections[CONNECTIONS];
    char log[2 * REQUEST_ROOM]; /* All requests, in their order. */
    size_t logged;
    bool is_deaf; /* Receives nothing. */
} h;

static inline void start_session(const struct http_session_options *options)
{
    h.session = http_session_new(t.loop, options);
    assert_non_null(h.session);
}

static inline int set_up_http(void **state)
{
    if (set_up(state) < 0)
        return -1;
    memset(&h, 0, sizeof h);
    for (int i = 0; i < CONNECTIONS; i++)
        h.connections[i].peer = -1;
    h.listener = sim_listen("127.0.0.1", 80, 16);
    start_session(NULL);
    return 0;
}

static inline int tear_down_http(void **state)
{
    http_session_free(h.session);
    return tear_down(state);
}

#define HTTP_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_http, tear_down_http)

/* Returns the size of the first request, or 0 if it is not complete. */
static inline size_t request_size(struct connection *connection)
{
    char *end, *field;
    size_t head;

    connection->in[connection->size] = '\0';
    end = strstr(connection->in, "\r\n\r\n");
    if (end == NULL)
        return 0;
    head = (size_t) (end - connection->in) + 4;
    if (strstr(connection->in, "Expect: ") != NULL && !connection->is_continued)
        return head;
    field = strstr(connection->in, "Content-Length: ");
    if (field != NULL && field < end)
        head += strtoul(field + 16, NULL, 10);
    field = strstr(connection->in, "Transfer-Encoding: chunked");
    if (field != NULL && field < end) {
        end = strstr(end, "\r\n0\r\n\r\n");
        if (end == NULL)
            return 0;
        head = (size_t) (end - connection->in) + 7;
    }
    return head <= connection->size ? head : 0;
}

static inline void answer(struct connection *connection)
{
    const struct answer *next = &h.answers[h.requests++];
    size_t size = next->size;

    if (next->text == NULL)
        return;
    if (size == 0)
        size = strlen(next->text);
    sim_buffer_size(size + 65536);
    assert_int_equal(sim_peer_send(connection->peer, next->text, size), size);
    if (next->then == THEN_END)
        sim_peer_shutdown(connection->peer);
    if (next->then != THEN_RESET)
        return;
    sim_peer_reset(connection->peer);
    connection->peer = -1;
}

static inline void serve_connection(struct connection *connection)
{
    ssize_t n = sim_peer_receive(connection->peer,
                                 connection->in + connection->size,
                                 REQUEST_ROOM - 1 - connection->size);
    size_t size;

    connection->size += n > 0 ? (size_t) n : 0;
    while (connection->peer >= 0 && sim_peer_error(connection->peer) == 0 &&
           (size = request_size(connection)) > 0) {
        bool has_expectation = strstr(connection->in, "Expect: ") != NULL &&
                               !connection->is_continued;

        connection->is_continued = has_expectation;
        answer(connection);
        if (has_expectation)
            return;
        memcpy(h.log + h.logged, connection->in, size);
        h.logged += size;
        connection->size -= size;
        memmove(connection->in, connection->in + size, connection->size);
    }
    if (connection->peer < 0)
        connection->size = 0;
    else if (sim_peer_eof(connection->peer) ||
             sim_peer_error(connection->peer) < 0) {
        sim_peer_close(connection->peer);
        connection->peer = -1;
        connection->size = 0;
    }
}

static inline void serve(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &h.connections[i];

        if (connection->peer < 0) {
            connection->peer = sim_accept(h.listener);
            connection->is_continued = false;
            h.accepted += connection->peer >= 0;
        }
        if (connection->peer >= 0 && !h.is_deaf)
            serve_connection(connection);
    }
}

/* Runs the loop and the server. */
static inline void run_for(int64_t ns)
{
    for (; ns > 0; ns -= MS) {
        assert_int_equal(aloop_await(aloop_sleep(t.loop, MS)), 0);
        serve();
    }
}

/* Runs until the future has settled, for at most a minute. */
static inline ssize_t finish(aloop_future *future)
{
    ssize_t status;

    for (int i = 0; i < 60000 && !aloop_future_is_settled(future); i++)
        run_for(MS);
    status = aloop_future_status(future);
    aloop_future_unref(future);
    assert_int_not_equal(status, ALOOP_PENDING);
    return status;
}

static inline unsigned count_open(void)
{
    unsigned count = 0;

    for (int i = 0; i < CONNECTIONS; i++)
        count += h.connections[i].peer >= 0;
    return count;
}

/* Fetches a page; *ret, which may be NULL, is freed by the caller. */
static inline ssize_t fetch_with(const struct http_request *request,
                                 struct http_page *ret)
{
    struct http_page page;
    ssize_t status =
        finish(http_fetch(h.session, request, ret != NULL ? ret : &page));

    if (ret == NULL)
        http_page_free(&page);
    return status;
}

static inline ssize_t fetch(const char *url)
{
    struct http_request request = {.url = url};

    return fetch_with(&request, NULL);
}

static inline void assert_logged(const char *text)
{
    h.log[h.logged] = '\0';
    if (strstr(h.log, text) == NULL)
        fail_msg("not sent: %s; but: %s", text, h.log);
}

static inline void clear_log(void)
{
    h.logged = 0;
    h.requests = 0;
}

/* Ends the session and what the server knows of it. */
static inline void restart(const struct http_session_options *options)
{
    http_session_free(h.session);
    run_for(10 * MS);
    h.accepted = 0;
    clear_log();
    start_session(options);
}

#endif
