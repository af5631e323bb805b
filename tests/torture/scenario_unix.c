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

/* Passes two descriptors, and puts the bytes that came with them back. */
static void pass_descriptors(ssize_t *error, aloop_stream *from,
                             aloop_stream *to)
{
    int file = sim_file(), fds[2] = {file, file}, fd;
    char text[2];
    ssize_t size;

    torture_keep(error, aloop_stream_set_fds_max(to, 2));
    torture_keep(error, aloop_stream_put_fds(from, "ab", 2, fds, 2));
    aloop__sys_close(file);
    size = torture_await(aloop_stream_read_exactly(to, text, 2), 5);
    torture_keep(error, size);
    while ((fd = aloop_stream_take_fd(to)) >= 0)
        aloop__sys_close(fd);
    torture_keep(error, fd == ALOOP_EAGAIN ? 0 : fd);
    if (size == 2)
        torture_keep(error, aloop_stream_unread(to, text, 2));
}

/* Ends a stream, and makes another one of its descriptor. */
static aloop_stream *open_again(ssize_t *error, aloop *loop,
                                aloop_stream *stream)
{
    aloop_stream *again = NULL;
    void *data = NULL;
    size_t size = 0;
    int fd = aloop_stream_detach(stream, &data, &size);

    torture_keep(error, fd);
    if (fd < 0)
        return stream;
    aloop_data_free(loop, data);
    torture_keep(error, aloop_stream_open(loop, fd, &again));
    if (again == NULL)
        aloop__sys_close(fd);
    return again;
}

ssize_t torture_pairs(aloop *loop)
{
    aloop_stream *pair[2] = {NULL, NULL}, *ends[2] = {NULL, NULL};
    ssize_t error = 0;
    char byte;

    torture_keep(&error, aloop_stream_pair(loop, &pair[0], &pair[1]));
    torture_keep(&error, aloop_pipe_open(loop, &ends[0], &ends[1]));
    if (error == 0)
        pass_descriptors(&error, pair[0], pair[1]);
    if (error == 0)
        pair[1] = open_again(&error, loop, pair[1]);
    if (error == 0)
        exchange(&error, pair[0], pair[1]);
    if (error == 0) {
        torture_keep(&error, aloop_stream_put(ends[1], "a", 1));
        torture_keep(&error,
                     torture_await(aloop_stream_read(ends[0], &byte, 1), 5));
    }
    for (int i = 0; i < 2; i++) {
        aloop_stream_close(pair[i]);
        aloop_stream_close(ends[i]);
    }
    torture_keep(&error, torture_pass(loop, 100 * MS));
    return error;
}
