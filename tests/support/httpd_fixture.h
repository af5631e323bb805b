/* Shared by the tests of the HTTP server of the examples: a server on the
 * simulated system, and clients that send bytes and read the answers. */

#ifndef HTTPD_FIXTURE_H
#define HTTPD_FIXTURE_H

#include "stream_fixture.h"

#include <stdio.h>
#include <string.h>

#include "../examples/support/httpd.h"

static struct httpd *httpd;

/* What a client has received. */
static struct {
    char text[512 * 1024];
    size_t size;
    bool has_ended; /* The server has closed the connection. */
} got;

static inline ssize_t answer_length(struct httpd_request *request, void *arg)
{
    char bytes[100], text[64];
    ssize_t n, sum = 0;

    (void) arg;
    while ((n = httpd_read(request, bytes, sizeof bytes)) > 0)
        sum += n;
    if (n < 0)
        return n;
    snprintf(text, sizeof text, "%s %zd\n", request->rest, sum);
    return httpd_answer(request, 200, "text/plain", text, strlen(text));
}

static inline void start_httpd(const struct httpd_options *options)
{
    assert_int_equal(httpd_start(t.loop, "127.0.0.1", "0", options, &httpd), 0);
}

static inline int connect_client(void)
{
    int peer = sim_connect((uint16_t) httpd_port(httpd));

    assert_true(peer >= 0);
    return peer;
}

static inline void client_sends(int peer, const char *text, size_t size)
{
    assert_int_equal(sim_peer_send(peer, text, size), size);
}

/* Adds what has arrived to `got`. */
static inline void client_receives(int peer, int64_t ns)
{
    ssize_t n;

    run_for(ns);
    do {
        assert_true(got.size < sizeof got.text - 1);
        n = sim_peer_receive(peer, got.text + got.size,
                             sizeof got.text - 1 - got.size);
        got.size += n > 0 ? (size_t) n : 0;
        if (n > 0)
            run_for(MS);
    } while (n > 0);
    got.text[got.size] = '\0';
    got.has_ended = sim_peer_eof(peer);
}

/* Sends a request and receives the answers to it, on a new connection.  It is
 * closed in the end. */
static inline void ask_bytes(const char *text, size_t size)
{
    int peer = connect_client();

    got.size = 0;
    client_sends(peer, text, size);
    client_receives(peer, MS);
    sim_peer_close(peer);
    run_for(MS);
}

static inline void ask(const char *text)
{
    ask_bytes(text, strlen(text));
}

/* Returns the statuses that were received, as "200 400x"; the last one has an x
 * if the server has closed the connection. */
static inline const char *statuses(void)
{
    static char list[1024];
    const char *next = got.text;
    size_t size = 0;

    while ((next = strstr(next, "HTTP/1.1 ")) != NULL &&
           size < sizeof list - 8) {
        size += (size_t) snprintf(list + size, sizeof list - size, "%s%.3s",
                                  size > 0 ? " " : "", next + 9);
        next += 9;
    }
    snprintf(list + size, sizeof list - size, "%s", got.has_ended ? "x" : "");
    return list;
}

static inline void stop_httpd(void)
{
    assert_int_equal(httpd_stop(httpd, 0), 0);
}

#endif
