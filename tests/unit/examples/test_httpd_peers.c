/* The HTTP server of the examples: clients that send and receive at times and
 * in pieces that are not usual. */

#include "support/httpd_fixture.h"

enum { ROOM = 24 * 1024 }; /* Of a connection's buffer, with the defaults. */

static ssize_t answer_nothing(struct httpd_request *request, void *arg)
{
    (void) arg;
    return httpd_answer(request, 200, NULL, "", 0);
}

static const struct httpd_route routes[] = {
    {"GET", "/nothing", answer_nothing, NULL},
    {"POST", "/post", answer_length, NULL},
};

static void start(void)
{
    struct httpd_options options = {.routes = routes,
                                    .routes_count = sizeof routes /
                                                    sizeof routes[0]};

    got.size = 0;
    start_httpd(&options);
}

#define POST "POST /post HTTP/1.1\r\nHost: x\r\n"
#define EXPECT "Expect: 100-continue\r\n"

/* Sends a GET of `size` bytes. */
static size_t add_padded(char *text, size_t size)
{
    static const char start[] = "GET /nothing HTTP/1.1\r\nHost: x\r\nA: ";

    memset(text, 'a', size);
    memcpy(text, start, sizeof start - 1);
    memcpy(text + size - 4, "\r\n\r\n", 4);
    return size;
}

/* The end of the buffer is at each byte of a head and of its chunks. */
static void a_chunk_may_end_with_the_buffer(void **state)
{
    static const char request[] = POST "Transfer-Encoding: chunked\r\n\r\n"
                                       "5;a=b\r\nhello\r\n0\r\nC: d\r\n\r\n";
    static char text[ROOM + sizeof request];

    (void) state;
    start();
    for (size_t k = 1; k < sizeof request; k++) {
        int peer = connect_client();
        size_t size = add_padded(text, 12 * 1024);

        size += add_padded(text + size, ROOM - k - size);
        memcpy(text + size, request, sizeof request - 1);
        size += sizeof request - 1;
        got.size = 0;
        client_sends(peer, text, ROOM);
        run_for(MS);
        client_sends(peer, text + ROOM, size - ROOM);
        client_receives(peer, MS);
        if (strcmp(statuses(), "200 200 200") != 0 ||
            strstr(got.text, "\r\n\r\n 5\n") == NULL)
            fail_msg("with %zu bytes: %s", k, statuses());
        sim_peer_close(peer);
        run_for(MS);
    }
    stop_httpd();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_chunk_may_end_with_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
