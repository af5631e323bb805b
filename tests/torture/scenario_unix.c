/* Torture: Unix sockets, pairs and pipes. */

#include "simulator/sim_file.h"
#include "torture.h"

enum { UNIX_CLIENTS = 3 };

static aloop_stream *unix_clients[UNIX_CLIENTS], *unix_servers[UNIX_CLIENTS];

/* Sends a byte each way. */
static void exchange(ssize_t *error, aloop_stream *client, aloop_stream *server)
{
    static char bytes[2];

    torture_keep(error, aloop_stream_put(client, "a", 1));
    torture_keep(error,
                 torture_await(aloop_stream_read(server, &bytes[0], 1), 1));
    torture_keep(error, torture_await(aloop_stream_write(server, "b", 1), 1));
    torture_keep(error,
                 torture_await(aloop_stream_read(client, &bytes[1], 1), 1));
    torture_expect((bytes[0] == 'a' && bytes[1] == 'b') || *error < 0,
                   "wrong bytes arrive");
}

/* Replaces a stale path, and serves more clients than its backlog has room
 * for. */
ssize_t torture_unix(aloop *loop)
{
    static aloop_listener *listener;
    aloop_unix_options options = {.size = sizeof options,
                                  .backlog = 1,
                                  .mode = 0777};
    aloop_future *connects[UNIX_CLIENTS];
    ssize_t error = 0;

    sim_peer_close(sim_listen_unix("/tmp/socket", 1));
    torture_keep(&error, aloop_unix_listen_with(loop, "/tmp/socket", NULL, NULL,
                                                &options, &listener));
    if (listener == NULL)
        return error;
    for (int i = 0; i < UNIX_CLIENTS; i++)
        connects[i] = aloop_unix_connect(loop, "/tmp/socket", &unix_clients[i]);
    for (int i = 0; i < UNIX_CLIENTS; i++)
        torture_keep(&error,
                     torture_await(
                         aloop_listener_accept(listener, &unix_servers[i]), 1));
    for (int i = 0; i < UNIX_CLIENTS; i++)
        torture_keep(&error, torture_await(connects[i], 1));
    if (error == 0)
        for (int i = 0; i < UNIX_CLIENTS; i++)
            torture_keep(&error,
                         aloop_unix_peer(unix_servers[i], NULL, NULL, NULL));
    if (error == 0)
        exchange(&error, unix_clients[0], unix_servers[0]);
    for (int i = 0; i < UNIX_CLIENTS; i++) {
        aloop_stream_close(unix_clients[i]);
        aloop_stream_close(unix_servers[i]);
    }
    aloop_listener_close(listener);
    torture_keep(&error, torture_pass(loop, 100 * MS));
    torture_expect(sim_file_count("/tmp") == 0 || !torture_is_rehearsal(),
                   "the path is left");
    return error;
}
