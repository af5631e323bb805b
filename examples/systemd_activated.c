/* An echo server whose sockets were opened by systemd.
 *
 *     usage: systemd_activated
 *
 * systemd listens itself, and starts the service with the first connection
 * (systemd.socket(5)).  The service inherits the sockets as the descriptors
 * from 3 on (sd_listen_fds(3)):
 *
 *     LISTEN_PID       the process that they are for
 *     LISTEN_FDS       their number
 *     LISTEN_FDNAMES   their names, separated by colons
 *
 * To try it:
 *
 *     systemd-socket-activate -l 7777 -l /tmp/echo build/.../systemd_activated
 *
 * It serves all of them, of TCP and Unix sockets alike, and prints one line for
 * each.  The library reads no environment, so that this is done here.  SIGINT
 * or SIGTERM ends it: open connections have two seconds to end.  No connection
 * is lost by a restart, because those that wait stay with systemd's socket.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum { FIRST_FD = 3, FDS_MAX = 64, CHUNK = 16384 };

struct service {
    aloop_server *servers[FDS_MAX];
    int count;
};

static ssize_t echo(aloop *loop, aloop_stream *stream, void *arg)
{
    char bytes[CHUNK];
    ssize_t n;

    (void) loop;
    (void) arg;
    while ((n = aloop_await(aloop_stream_read(stream, bytes, sizeof bytes))) >
           0)
        if (aloop_stream_put(stream, bytes, (size_t) n) == 1)
            aloop_await(aloop_stream_drain(stream));
    aloop_stream_close(stream);
    return 0; /* A broken connection is no failure of the server. */
}

/* Returns a number of the environment, or 0. */
static long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    long value = text != NULL ? strtol(text, &end, 10) : 0;

    return end != NULL && *end == '\0' && end != text ? value : 0;
}

/* Returns how many descriptors were passed to this process. */
static int passed_count(void)
{
    long count = number_of("LISTEN_FDS");

    if (number_of("LISTEN_PID") != (long) getpid() || count < 0)
        return 0;
    return count < FDS_MAX ? (int) count : FDS_MAX;
}

/* Serves a descriptor.  It is closed with the process if that fails. */
static int serve_fd(aloop *loop, struct service *service, int fd,
                    const char *name)
{
    aloop_listener *listener;
    int error = aloop_listener_adopt(loop, fd, NULL, NULL, &listener);

    if (error == 0) {
        error = aloop_listener_serve(listener, echo, NULL, NULL,
                                     &service->servers[service->count]);
        if (error < 0)
            aloop_listener_close(listener);
    }
    if (error == 0) {
        service->count++;
        printf("serving %s\n", name);
        error = process_flush();
    } else {
        fprintf(stderr, "systemd_activated: %s: %s\n", name,
                aloop_strerror(error));
    }
    return error;
}

/* Serves all descriptors, with their names. */
static int serve_all(aloop *loop, struct service *service)
{
    const char *names = getenv("LISTEN_FDNAMES");
    int count = passed_count();
    int error = 0;

    if (count == 0) {
        fprintf(stderr, "systemd_activated: no sockets were passed\n");
        return ALOOP_ENOENT;
    }
    for (int i = 0; i < count && error == 0; i++) {
        size_t length = names != NULL ? strcspn(names, ":") : 0;
        char name[64];

        if (length > 0)
            snprintf(name, sizeof name, "%.*s", (int) length, names);
        else
            snprintf(name, sizeof name, "descriptor %d", FIRST_FD + i);
        if (names != NULL)
            names += length + (names[length] == ':');
        error = serve_fd(loop, service, FIRST_FD + i, name);
    }
    /* Programs that this one starts must not take them for theirs. */
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return error;
}

static ssize_t amain(aloop *loop, void *arg)
{
    aloop_future *interrupt = aloop_signal_wait(loop, SIGINT);
    aloop_future *termination = aloop_signal_wait(loop, SIGTERM);
    aloop_future *stops[FDS_MAX];
    struct service service = {.count = 0};
    ssize_t status = serve_all(loop, &service);

    (void) arg;
    if (status == 0)
        status = aloop_await(aloop_race(loop, interrupt, termination));
    else {
        aloop_future_unref(interrupt);
        aloop_future_unref(termination);
    }
    for (int i = 0; i < service.count; i++)
        stops[i] = aloop_server_stop(service.servers[i], ALOOP_SEC(2));
    aloop_await(aloop_gather_array(loop, (size_t) service.count, stops));
    return status < 0 ? status : 0;
}

int main(int argc, char **argv)
{
    if (option_help(argc, argv) || argc > 1) {
        fprintf(argc > 1 && !option_help(argc, argv) ? stderr : stdout,
                "usage: systemd_activated\n");
        return process_end("systemd_activated",
                           option_help(argc, argv) ? 0 : 2);
    }
    return process_end("systemd_activated", aloop_main(amain, NULL) < 0);
}
