/* Connecting to Redis by TCP.
 *
 * A connect that is cancelled settles when that of the stream has, because only
 * then the stream is known not to have been made. */

#include "redis_connect.h"

#include <stdlib.h>

struct connecting {
    aloop *loop;
    aloop_future *operation, *connect;
    aloop_stream *stream;
    struct redis **ret;
    bool is_cancelled;
};

static void connect_ended(aloop_future *future, ssize_t status, void *arg)
{
    struct connecting *connecting = arg;

    (void) future;
    if (status >= 0 && connecting->is_cancelled) {
        aloop_stream_close(connecting->stream);
        status = ALOOP_ECANCELED;
    } else if (status >= 0) {
        *connecting->ret = redis_start(connecting->loop, connecting->stream);
        status = *connecting->ret != NULL ? 0 : ALOOP_ENOMEM;
    }
    aloop_operation_settle(connecting->operation, status);
    free(connecting);
}

static void connect_cancel(aloop_future *operation, void *arg)
{
    struct connecting *connecting = arg;

    (void) operation;
    connecting->is_cancelled = true;
    aloop_cancel(connecting->connect);
}

aloop_future *redis_connect(aloop *loop, const char *host, const char *port,
                            struct redis **ret)
{
    struct connecting *connecting;
    aloop_future *operation;

    if (ret == NULL)
        return aloop_future_new_settled(loop, ALOOP_EINVAL);
    *ret = NULL;
    connecting = calloc(1, sizeof *connecting);
    operation = connecting != NULL
                    ? aloop_operation_new(loop, connect_cancel, connecting)
                    : NULL;
    if (operation == NULL) {
        free(connecting);
        return NULL;
    }
    connecting->loop = loop;
    connecting->operation = operation;
    connecting->ret = ret;
    connecting->connect =
        aloop_tcp_connect(loop, host, port, &connecting->stream);
    if (aloop_then(connecting->connect, connect_ended, connecting) < 0) {
        /* The drop has cancelled the connect, unless it had settled. */
        aloop_stream_abort(connecting->stream);
        connect_ended(NULL, ALOOP_ENOMEM, connecting);
    }
    return operation;
}
