/* A loop of libuv inside libaloop.
 *
 * A poll of libuv's own descriptor ends the wait when libuv has something to
 * do, and the prepare lets libuv do it.  libuv also gives its system calls to
 * the kernel only there: what a task has started is not watched before. */

#define _POSIX_C_SOURCE 200809L /* For <uv.h>. */

#include "uv_inside.h"

#include <stdlib.h>

/* The wait without a poll, if it cannot be continued at the moment. */
enum { RETRY_MS = 10 };

struct uv_inside {
    uv_loop_t *uv;
    aloop_prepare *prepare;
    aloop_poll *poll;
    bool is_running; /* uv_run() is being called. */
    bool is_stopped; /* A callback there has called uv_inside_stop(). */
};

static void inside_ready(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
}

static void release(uv_inside *inside)
{
    aloop_prepare_close(inside->prepare);
    aloop_poll_close(inside->poll);
    free(inside);
}

/* Returns the limit of the wait.  uv_run() does nothing for a loop that is not
 * alive, whose descriptor would stay readable. */
static int64_t rest(uv_inside *inside)
{
    bool is_alive = uv_loop_alive(inside->uv) != 0;
    int timeout_ms;

    if (!is_alive) {
        aloop_poll_set_events(inside->poll, 0);
        aloop_prepare_unref(inside->prepare);
        return -1;
    }
    aloop_prepare_ref(inside->prepare);
    uv_update_time(inside->uv);
    timeout_ms = uv_backend_timeout(inside->uv);
    if (aloop_poll_set_events(inside->poll, ALOOP_POLL_READABLE) < 0 &&
        (timeout_ms < 0 || timeout_ms > RETRY_MS))
        timeout_ms = RETRY_MS;
    return timeout_ms < 0 ? -1 : ALOOP_MS(timeout_ms);
}

static int64_t inside_prepare(aloop_prepare *prepare, void *arg)
{
    uv_inside *inside = arg;

    (void) prepare;
    inside->is_running = true;
    uv_run(inside->uv, UV_RUN_NOWAIT);
    inside->is_running = false;
    if (!inside->is_stopped)
        return rest(inside);
    release(inside);
    return -1;
}

int uv_inside_start(aloop *loop, uv_loop_t *uv, uv_inside **ret_inside)
{
    uv_inside *inside;
    int error;

    if (uv == NULL || ret_inside == NULL)
        return ALOOP_EINVAL;
    inside = calloc(1, sizeof *inside);
    if (inside == NULL)
        return ALOOP_ENOMEM;
    inside->uv = uv;
    error = aloop_prepare_start(loop, inside_prepare, inside, &inside->prepare);
    if (error == 0)
        error = aloop_poll_start(loop, uv_backend_fd(uv), ALOOP_POLL_READABLE,
                                 inside_ready, NULL, &inside->poll);
    if (error < 0) {
        release(inside);
        return error;
    }
    aloop_poll_unref(inside->poll);
    aloop_prepare_ref(inside->prepare);
    *ret_inside = inside;
    return 0;
}

void uv_inside_stop(uv_inside *inside)
{
    if (inside != NULL && inside->is_running)
        inside->is_stopped = true;
    else if (inside != NULL)
        release(inside);
}
