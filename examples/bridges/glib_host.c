/* libaloop inside the main loop of GLib. */

#include "glib_host.h"

#include <glib-unix.h>
#include <stdlib.h>

/* Belongs to the source, which frees it when its callback has returned. */
struct host {
    aloop *loop;
    glib_host_cb on_idle;
    void *arg;
};

/* ALOOP_EBUSY is temporary: a callback of the loop iterates the context. */
static gboolean host_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct host *host = data;
    GSource *source = g_main_current_source();
    int status = ALOOP_EBADF;

    (void) fd;
    if ((condition & G_IO_NVAL) == 0)
        status = aloop_step(host->loop, 0);
    if (status > 0 || status == ALOOP_EBUSY)
        return G_SOURCE_CONTINUE;
    if (host->on_idle != NULL && !g_source_is_destroyed(source))
        host->on_idle(host->loop, status, host->arg);
    return status < 0 ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

int glib_host_start(aloop *loop, GMainContext *context, glib_host_cb on_idle,
                    void *arg, GSource **ret_source)
{
    int fd = ret_source == NULL ? ALOOP_EINVAL : aloop_fd(loop);
    struct host *host;

    if (fd < 0)
        return fd;
    host = malloc(sizeof *host);
    if (host == NULL)
        return ALOOP_ENOMEM;
    *host = (struct host){loop, on_idle, arg};
    *ret_source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(*ret_source, G_SOURCE_FUNC(host_ready), host, free);
    g_source_attach(*ret_source, context);
    return 0;
}

void glib_host_stop(GSource *source)
{
    if (source == NULL)
        return;
    g_source_destroy(source);
    g_source_unref(source);
}
