/* Datagrams: an echo by callback, and a client that asks it until it has an
 * answer, that sends more than the system takes, and that joins a group. */

#include <string.h>

#include "torture.h"

enum { TRIES = 8, PUTS = 40 };

static struct torture_watch echo_watch;
static aloop_udp *echo_udp;

static void on_question(aloop_udp *udp, const void *data, ssize_t size,
                        const aloop_address *from, void *arg)
{
    torture_called(arg);
    if (size >= 0)
        aloop_udp_put(udp, data, (size_t) size, from);
}

static int open_echo(aloop *loop, aloop_address *ret_address)
{
    aloop_udp_options options = {.size = sizeof options,
                                 .reuse_address = true,
                                 .join_received = true,
                                 .receive_buffer = 4096};
    int status = aloop_udp_open_with(loop, NULL, "0", &options, &echo_udp),
        error;

    torture_expect((status == 0) == (echo_udp != NULL),
                   "a failed open writes its result, or a good one does not");
    if (status < 0)
        return status;
    echo_watch = (struct torture_watch){"a closed socket runs", 0, 0, 0};
    status = aloop_udp_start(echo_udp, on_question, &echo_watch);
    error = aloop_udp_local(echo_udp, ret_address);
    return status < 0 ? status : error;
}

/* Sends and receives until an answer arrives. */
static ssize_t ask(aloop_udp *udp)
{
    ssize_t status = ALOOP_ETIMEDOUT;
    char answer[16];

    for (int i = 0; i < TRIES && status < 0; i++) {
        aloop_udp_put(udp, "question", 8, NULL);
        status = aloop_await(
            aloop_timeout(aloop_udp_receive(udp, answer, sizeof answer, NULL),
                          ALOOP_MS(100)));
        torture_expect(status < 0 ||
                           (status == 8 && memcmp(answer, "question", 8) == 0),
                       "the answer is wrong");
    }
    return status;
}

static ssize_t send_many(aloop_udp *udp)
{
    aloop_future *send, *drain;
    ssize_t error = 0;

    for (int i = 0; i < PUTS; i++)
        aloop_udp_put(udp, "more", (size_t) (i % 5), NULL);
    send = aloop_udp_send(udp, "last", 4, NULL);
    drain = aloop_udp_drain(udp);
    torture_keep(&error, torture_await(send, 5));
    torture_keep(&error, torture_await(drain, 5));
    return error;
}

static ssize_t change_groups(aloop_udp *udp)
{
    aloop_address group;
    ssize_t error = 0;

    torture_keep(&error, aloop_address_parse("239.0.0.1:7", &group));
    torture_keep(&error, aloop_udp_join(udp, &group, 0, NULL));
    torture_keep(&error, aloop_udp_set_multicast(udp, 0, 1, true));
    if (error == 0)
        torture_keep(&error, aloop_udp_leave(udp, &group, 0, NULL));
    return error;
}

static ssize_t run_client(aloop *loop, aloop_address *server)
{
    aloop_address local;
    aloop_udp *udp = NULL;
    ssize_t error = aloop_udp_open(loop, "127.0.0.1", "0", &udp);
    int port = aloop_address_port(server);

    if (error < 0)
        return error;
    torture_keep(&error, aloop_address_parse("127.0.0.1", server));
    torture_keep(&error, aloop_address_set_port(server, port));
    torture_keep(&error, aloop_udp_local(udp, &local));
    torture_keep(&error, aloop_udp_connect(udp, server));
    if (error == 0)
        torture_keep(&error, ask(udp));
    if (error == 0)
        torture_keep(&error, send_many(udp));
    torture_keep(&error, change_groups(udp));
    aloop_udp_put(udp, "unsent", 6, NULL);
    aloop_udp_close(udp);
    return error;
}

ssize_t torture_udp(aloop *loop)
{
    aloop_address server;
    ssize_t error = 0;

    torture_keep(&error, open_echo(loop, &server));
    if (error == 0)
        torture_keep(&error, run_client(loop, &server));
    torture_keep(&error, torture_pass(loop, 30 * MS));
    if (echo_udp != NULL)
        aloop_udp_close(echo_udp);
    echo_watch.is_closed = true;
    torture_keep(&error, aloop_run(loop));
    return error;
}
