/* libaloop inside a loop of libuv. */

#define _POSIX_C_SOURCE 200809L /* For <uv.h>. */

#include "uv_host.h"

#include <stdlib.h>

struct uv_host {
    uv_poll_t poll;
    aloop *loop;
    uv_host_cb on_idle;
    void *arg;
};

static void host_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void host_ready(uv_poll_t *poll, int status, int events)
{
    uv_host *host = poll->data;

    (void) events;
    if (status == 0)
        status = aloop_step(host->loop, 0);
    if (status > 0 || uv_is_closing((uv_handle_t *) poll))
        return;
    if (status < 0)
        uv_poll_stop(poll); /* It would stay readable. */
    if (host->on_idle != NULL)
        host->on_idle(host->loop, status, host->arg);
}

int uv_host_start(aloop *loop, uv_loop_t *uv, uv_host_cb on_idle, void *arg,
                  uv_host **ret_host)
{
    int status = uv == NULL || ret_host == NULL ? ALOOP_EINVAL : aloop_fd(loop);
    uv_host *host;

    if (status < 0)
        return status;
    host = malloc(sizeof *host);
    if (host == NULL)
        return ALOOP_ENOMEM;
    *host = (uv_host){.loop = loop, .on_idle = on_idle, .arg = arg};
    status = uv_poll_init(uv, &host->poll, status);
    if (status < 0) {
        free(host);
        return status;
    }
    host->poll.data = host;
    status = uv_poll_start(&host->poll, UV_READABLE, host_ready);
    if (status < 0)
        uv_host_stop(host);
    else
        *ret_host = host;
    return status;
}

void uv_host_stop(uv_host *host)
{
    if (host != NULL)
        uv_close((uv_handle_t *) &host->poll, host_closed);
}
