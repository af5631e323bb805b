/* libaloop inside an event base of libevent. */

#include "event_host.h"

#include <errno.h>
#include <stdlib.h>

struct event_host {
    struct event *event;
    bool *is_stopped; /* Of the step that runs, or NULL. */
    aloop *loop;
    event_host_cb on_idle;
    void *arg;
};

static void host_ready(evutil_socket_t fd, short events, void *arg)
{
    event_host *host = arg;
    bool is_stopped = false;
    int status;

    (void) fd;
    (void) events;
    host->is_stopped = &is_stopped;
    status = aloop_step(host->loop, 0);
    if (is_stopped)
        return;
    host->is_stopped = NULL;
    if (status < 0)
        event_del(host->event); /* It would stay readable. */
    if (status <= 0 && host->on_idle != NULL)
        host->on_idle(host->loop, status, host->arg);
}

int event_host_start(aloop *loop, struct event_base *base,
                     event_host_cb on_idle, void *arg, event_host **ret_host)
{
    int fd = base == NULL || ret_host == NULL ? ALOOP_EINVAL : aloop_fd(loop);
    event_host *host;

    if (fd < 0)
        return fd;
    host = malloc(sizeof *host);
    if (host == NULL)
        return ALOOP_ENOMEM;
    *host = (event_host){.loop = loop, .on_idle = on_idle, .arg = arg};
    errno = ENOMEM;
    host->event = event_new(base, fd, EV_READ | EV_PERSIST, host_ready, host);
    if (host->event == NULL || event_add(host->event, NULL) != 0) {
        int error = -errno;

        event_host_stop(host);
        return error;
    }
    *ret_host = host;
    return 0;
}

void event_host_stop(event_host *host)
{
    if (host == NULL)
        return;
    if (host->is_stopped != NULL)
        *host->is_stopped = true;
    if (host->event != NULL)
        event_free(host->event);
    free(host);
}
