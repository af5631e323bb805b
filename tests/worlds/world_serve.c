/* A server whose connections are tasks, by TCP or at a Unix socket.
 *
 * The clients come at any time.  Each sends a text and compares the answer, or
 * breaks off.  The server has a limit of connections, and is stopped at some
 * time, perhaps while connections are open or wait.  It never serves more than
 * its limit, and none after the stop has settled. */

#include "world.h"

#include <string.h>

enum { GUESTS_MAX = 12, WORDS_MAX = 5, WORD_MAX = 300 };

struct guest {
    unsigned id;
    unsigned words;
    int64_t delay_ns;
    bool is_aborting;
};

static struct {
    aloop_server *server;  /* NULL when it is being stopped. */
    aloop_address address; /* Of TCP. */
    const char *path;      /* At a Unix socket; NULL: by TCP. */
    size_t max;
    size_t now; /* Connections that are served. */
    unsigned left;
    bool has_stopped;
} w;

/* Both ends have an address, unless the other one has reset the connection. */
static void check_addresses(const aloop_stream *stream, bool is_guest)
{
    aloop_address local = {0}, peer = {0};
    int error = aloop_stream_local_address(stream, &local);

    if (error == 0)
        error = aloop_stream_peer_address(stream, &peer);
    if (w.path != NULL) {
        CHECK(error == ALOOP_EAFNOSUPPORT || may_break());
        return;
    }
    CHECK(error == 0 || error == ALOOP_ECONNRESET || may_break());
    if (error < 0)
        return;
    CHECK(aloop_address_equal(is_guest ? &peer : &local, &w.address));
    CHECK(!aloop_address_equal(&local, &peer));
}

static ssize_t host(aloop *loop, aloop_stream *stream, void *arg)
{
    char bytes[WORD_MAX];
    ssize_t n = 1;

    CHECK(loop == run.loop && arg == &w && !w.has_stopped);
    CHECK(++w.now <= w.max);
    check_addresses(stream, false);
    while (n > 0) {
        n = aloop_await(aloop_stream_read(stream, bytes, sizeof bytes));
        if (n > 0)
            n = aloop_await(aloop_stream_write(stream, bytes, (size_t) n));
    }
    w.now--;
    aloop_stream_close(stream);
    return n;
}

/* No guest waits indefinitely, because its connection may never be served. */
static ssize_t wait_for(aloop_future *future)
{
    return aloop_await(aloop_timeout(future, ALOOP_SEC(200)));
}

static ssize_t exchange_word(aloop_stream *stream, unsigned id, size_t *at)
{
    char out[WORD_MAX], in[WORD_MAX];
    size_t size = between(1, sizeof out);
    ssize_t result;

    text_fill(id, *at, out, size);
    result = wait_for(aloop_stream_write(stream, out, size));
    if (result >= 0)
        result = wait_for(aloop_stream_read_exactly(stream, in, size));
    CHECK(result < 0 || text_matches(id, *at, in, size));
    *at += size;
    return result;
}

static ssize_t visit(aloop *loop, void *arg)
{
    const struct guest *guest = arg;
    aloop_stream *stream = NULL;
    ssize_t result = aloop_await(aloop_sleep(loop, guest->delay_ns));
    size_t at = 0;

    if (result == 0 && w.path != NULL)
        result = wait_for(aloop_unix_connect(loop, w.path, &stream));
    else if (result == 0)
        result = wait_for(aloop_tcp_connect_address(loop, &w.address, &stream));
    if (result == 0)
        check_addresses(stream, true);
    for (unsigned i = 0; i < guest->words && result >= 0; i++)
        result = exchange_word(stream, guest->id, &at);
    if (result < 0 || guest->is_aborting)
        aloop_stream_abort(stream);
    else
        aloop_stream_close(stream);
    return 0;
}

static ssize_t stop(aloop *loop, void *arg)
{
    aloop_server *server = w.server;
    ssize_t status;

    aloop_await(aloop_sleep(loop, *(int64_t *) arg));
    w.server = NULL;
    status = aloop_await(aloop_server_stop(server, any_delay_ns(ALOOP_SEC(9))));
    if (status >= 0)
        CHECK(w.now == 0 && (size_t) status <= w.max);
    w.has_stopped = status >= 0;
    return 0;
}

static void on_part_end(struct follow *follow, ssize_t status)
{
    (void) follow;
    CHECK(status == 0 || run.weather == STARVED || run.is_freeing);
    if (--w.left == 0)
        aloop_wake(run.loop); /* The last wait must not block. */
}

static void start_part(aloop_task_fn fn, void *arg)
{
    aloop_future *task = aloop_spawn(run.loop, fn, arg);

    CHECK(task != NULL);
    w.left++;
    follow(task, on_part_end, NULL);
}

static void open_server(void)
{
    aloop_tcp_listen_options listen = {.size = sizeof listen,
                                       .backlog = (int) between(1, 8),
                                       .reuse_port = chance(50)};
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = w.max};
    aloop_listener *listener;

    if (chance(50)) {
        w.path = chance(50) ? "@guests" : "/tmp/guests";
        CHECK(aloop_unix_listen(run.loop, w.path, NULL, NULL, &listener) == 0);
        CHECK(aloop_listener_serve(listener, host, &w, &options, &w.server) ==
              0);
        return;
    }
    if (chance(50)) {
        CHECK(aloop_tcp_listen_with(run.loop, "127.0.0.1", "0", NULL, NULL,
                                    &listen, &listener) == 0);
        CHECK(aloop_listener_serve(listener, host, &w, &options, &w.server) ==
              0);
    } else {
        options.listen = &listen;
        CHECK(aloop_tcp_serve(run.loop, "127.0.0.1", "0", host, &w, &options,
                              &w.server) == 0);
    }
    listener = aloop_server_listener(w.server);
    CHECK(aloop_listener_address(listener, &w.address) == 0);
    CHECK(aloop_address_port(&w.address) == aloop_listener_port(listener));
}

static void start(void)
{
    size_t guests = between(1, GUESTS_MAX);
    int64_t *stop_ns = keep(sizeof *stop_ns);

    memset(&w, 0, sizeof w);
    w.max = between(1, 4);
    open_server();
    for (size_t i = 0; i < guests; i++) {
        struct guest *guest = keep(sizeof *guest);

        guest->id = (unsigned) i + 1;
        guest->words = (unsigned) between(0, WORDS_MAX);
        guest->delay_ns = any_delay_ns(ALOOP_SEC(20));
        guest->is_aborting = chance(20);
        start_part(visit, guest);
    }
    *stop_ns = any_delay_ns(ALOOP_SEC(30));
    start_part(stop, stop_ns);
}

static bool is_done(void)
{
    CHECK(w.now <= w.max);
    return w.left == 0;
}

/* Without memory for its stack, the task that stops has not run. */
static void close_world(void)
{
    if (w.server != NULL)
        aloop_detach(aloop_server_stop(w.server, 0));
    w.server = NULL;
}

static void check(void)
{
    aloop_listener *listener;
    int error;

    CHECK(w.now == 0);
    if (w.path != NULL)
        return;
    error =
        aloop_tcp_listen_address(run.loop, &w.address, NULL, NULL, &listener);
    CHECK(error == 0 || may_break());
    if (error < 0)
        return;
    CHECK(aloop_listener_port(listener) == aloop_address_port(&w.address));
    aloop_listener_close(listener);
}

const struct world world_serve = {"serve",     start, is_done,
                                  close_world, check, NULL};
