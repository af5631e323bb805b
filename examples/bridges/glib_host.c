/* libaloop inside the main loop of GLib.
 *
 * The source may recurse, because GLib would otherwise remove and add its
 * descriptor around each dispatch, which are two writes and a read of the
 * eventfd of the context.  If a callback of the loop iterates the context, the
 * descriptor is not watched meanwhile: it would stay readable. */

#include "glib_host.h"

struct host {
    GSource source; /* The first member. */
    aloop *loop;
    glib_host_cb on_idle;
    void *arg;
    gpointer watch; /* Of the descriptor. */
    bool is_stepping, is_muted;
};

static gboolean host_prepare(GSource *source, gint *limit_ms)
{
    struct host *host = (struct host *) source;

    *limit_ms = -1;
    if (host->is_stepping && !host->is_muted) {
        host->is_muted = true;
        g_source_modify_unix_fd(source, host->watch, 0);
    }
    return FALSE;
}

static gboolean host_check(GSource *source)
{
    struct host *host = (struct host *) source;

    return !host->is_stepping &&
           g_source_query_unix_fd(source, host->watch) != 0;
}

/* ALOOP_EBUSY is temporary: a callback of the loop, which this source does not
 * run, iterates the context. */
static gboolean host_dispatch(GSource *source, GSourceFunc callback,
                              gpointer data)
{
    struct host *host = (struct host *) source;
    int status = ALOOP_EBADF;

    (void) callback;
    (void) data;
    if ((g_source_query_unix_fd(source, host->watch) & G_IO_NVAL) == 0) {
        host->is_stepping = true;
        status = aloop_step(host->loop, 0);
        host->is_stepping = false;
    }
    if (g_source_is_destroyed(source))
        return G_SOURCE_REMOVE;
    if (host->is_muted) {
        host->is_muted = false;
        g_source_modify_unix_fd(source, host->watch, G_IO_IN);
    }
    if (status > 0 || status == ALOOP_EBUSY)
        return G_SOURCE_CONTINUE;
    if (host->on_idle != NULL)
        host->on_idle(host->loop, status, host->arg);
    return status < 0 ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

int glib_host_start(aloop *loop, GMainContext *context, glib_host_cb on_idle,
                    void *arg, GSource **ret_source)
{
    static GSourceFuncs functions = {.prepare = host_prepare,
                                     .check = host_check,
                                     .dispatch = host_dispatch};
    int fd = ret_source == NULL ? ALOOP_EINVAL : aloop_fd(loop);
    struct host *host;

    if (fd < 0)
        return fd;
    *ret_source = g_source_new(&functions, sizeof *host);
    host = (struct host *) *ret_source;
    host->loop = loop;
    host->on_idle = on_idle;
    host->arg = arg;
    host->watch = g_source_add_unix_fd(*ret_source, fd, G_IO_IN);
    g_source_set_can_recurse(*ret_source, TRUE);
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
