/* Torture: servers, options of TCP, and listeners that are adopted. */

#include <stdio.h>

#include "os/sys.h"
#include "torture.h"

enum { SERVE_CLIENTS = 4 };

static int connections_now;

/* Answers one byte. */
static ssize_t answer_byte(aloop *loop, aloop_stream *stream, void *arg)
{
    char byte;
    ssize_t n;

    (void) loop;
    (void) arg;
    torture_expect(++connections_now <= 2, "too many are served");
    n = aloop_await(aloop_stream_read(stream, &byte, 1));
    if (n == 1)
        n = aloop_await(aloop_stream_write(stream, &byte, 1));
    connections_now--;
    aloop_stream_close(stream);
    return n;
}

/* Each client ends before it is closed, so that the next one is served. */
static void ask_all(aloop *loop, const char *port, ssize_t *error)
{
    static aloop_stream *clients[SERVE_CLIENTS];
    static char bytes[SERVE_CLIENTS];

    for (int i = 0; i < SERVE_CLIENTS; i++)
        torture_keep(error, torture_await(aloop_tcp_connect(loop, "127.0.0.1",
                                                            port, &clients[i]),
                                          10));
    for (int i = 0; i < SERVE_CLIENTS; i++) {
        if (clients[i] == NULL)
            continue;
        torture_keep(error, aloop_stream_set_linger(clients[i], ALOOP_SEC(1)));
        torture_keep(error, aloop_stream_put(clients[i], "a", 1));
        torture_keep(
            error,
            torture_await(aloop_stream_read(clients[i], &bytes[i], 1), 10));
        aloop_stream_close(clients[i]);
    }
}

/* Serves more clients than its limit, and one that stays. */
ssize_t torture_serve(aloop *loop)
{
    static aloop_server *server;
    static aloop_stream *stays;
    aloop_tcp_listen_options listen = {.size = sizeof listen,
                                       .reuse_port = true};
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = 2,
                                    .listen = &listen};
    ssize_t error = aloop_tcp_serve(loop, "127.0.0.1", "0", answer_byte, NULL,
                                    &options, &server);
    aloop_future *stopped;
    char port[8];

    if (error < 0)
        return error;
    snprintf(port, sizeof port, "%d",
             aloop_listener_port(aloop_server_listener(server)));
    ask_all(loop, port, &error);
    torture_keep(
        &error,
        torture_await(aloop_tcp_connect(loop, "127.0.0.1", port, &stays), 10));
    torture_keep(&error, torture_pass(loop, 10 * MS));
    stopped = aloop_server_stop(server, ALOOP_SEC(1));
    torture_expect(stopped != NULL, "a stop needs memory");
    torture_keep(&error, aloop_await(stopped));
    torture_expect(connections_now == 0, "a connection is still served");
    aloop_stream_close(stays);
    return error;
}

/* Sets every option of a connection with a local address. */
ssize_t torture_options(aloop *loop)
{
    static aloop_stream *stream;
    aloop_tcp_connect_options options = {.size = sizeof options};
    int listener = sim_listen("127.0.0.1", 80, 1);
    ssize_t error = aloop_address_parse("127.0.0.1:4000", &options.local);

    torture_keep(&error,
                 torture_await(aloop_tcp_connect_with(loop, "127.0.0.1", "80",
                                                      &options, &stream),
                               10));
    sim_peer_close(listener);
    if (stream == NULL)
        return error;
    torture_keep(&error, aloop_tcp_set_keepalive(stream, ALOOP_SEC(9), 0, 3));
    torture_keep(&error, aloop_tcp_set_user_timeout(stream, ALOOP_SEC(9)));
    torture_keep(&error, aloop_tcp_set_buffers(stream, 4096, 4096));
    torture_keep(&error, aloop_tcp_set_tos(stream, 8));
    torture_keep(&error, aloop_tcp_set_nodelay(stream, false));
    torture_keep(&error, aloop_stream_set_linger(stream, 0));
    torture_keep(&error, aloop_stream_put(stream, "bytes", 5));
    aloop_stream_close(stream);
    return error;
}

/* Adopts a Unix socket, and serves one connection. */
ssize_t torture_adopt(aloop *loop)
{
    static aloop_listener *listener;
    static aloop_server *server;
    static aloop_stream *client;
    struct sys_address address;
    int fd = aloop__sys_tcp_socket(SYS_UNIX);
    ssize_t error = fd;
    char byte;

    torture_keep(&error, aloop__sys_unix_address("@adopted", &address));
    if (error >= 0)
        torture_keep(&error, aloop__sys_bind(fd, &address));
    if (error >= 0)
        torture_keep(&error, aloop__sys_listen(fd, 8));
    if (error >= 0)
        torture_keep(&error,
                     aloop_listener_adopt(loop, fd, NULL, NULL, &listener));
    if (listener == NULL) {
        if (fd >= 0)
            aloop__sys_close(fd);
        return error;
    }
    torture_keep(&error, aloop_listener_serve(listener, answer_byte, NULL, NULL,
                                              &server));
    if (server == NULL) {
        aloop_listener_close(listener);
        return error;
    }
    torture_keep(
        &error,
        torture_await(aloop_unix_connect(loop, "@adopted", &client), 10));
    if (client != NULL) {
        torture_keep(&error, aloop_stream_put(client, "a", 1));
        torture_keep(&error,
                     torture_await(aloop_stream_read(client, &byte, 1), 10));
        aloop_stream_close(client);
    }
    torture_keep(&error, aloop_await(aloop_server_stop(server, 0)));
    return error < 0 ? error : 0;
}
