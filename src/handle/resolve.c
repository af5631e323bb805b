/* Name resolution on the pool.
 *
 * getaddrinfo() cannot be interrupted, so that a job can outlive its caller and
 * even the loop.  Therefore the object comes from the default allocator, and
 * the thread uses nothing else. */

#include "handle/resolve.h"

#include <string.h>

#include "loop/pool.h"

enum { HOST_MAX = 254, PORT_MAX = 63 };

struct aloop__resolve {
    struct aloop__job job;
    /* Used by the loop and not by the thread: */
    aloop *loop;
    aloop__resolve_cb on_resolved;
    void *arg;
    /* The result and the request: */
    int result;                    /* Number of addresses, or an error. */
    struct sys_address *addresses; /* NULL if there are none. */
    char host[HOST_MAX + 1];
    char port[PORT_MAX + 1];
};

static void resolve_work(struct aloop__job *job)
{
    struct aloop__resolve *resolve =
        CONTAINER_OF(job, struct aloop__resolve, job);

    resolve->result =
        aloop__sys_resolve(resolve->host, resolve->port, SYS_FAMILY_NONE,
                           &resolve->addresses);
}

static void resolve_done(struct aloop__job *job, int error)
{
    struct aloop__resolve *resolve =
        CONTAINER_OF(job, struct aloop__resolve, job);

    if (error < 0)
        resolve->on_resolved(resolve->arg, NULL, error);
    else
        resolve->on_resolved(resolve->arg, resolve->addresses, resolve->result);
}

static void resolve_drop(struct aloop__job *job)
{
    struct aloop__resolve *resolve =
        CONTAINER_OF(job, struct aloop__resolve, job);

    aloop__sys_resolve_free(resolve->addresses);
    aloop__alloc_free(&aloop__alloc_default, resolve, sizeof *resolve);
}

int aloop__resolve_start(aloop *loop, const char *host, const char *port,
                         aloop__resolve_cb on_resolved, void *arg,
                         struct aloop__resolve **ret)
{
    struct aloop__resolve *resolve;
    int error;

    if (aloop__sys_host_is_too_long(host) || strlen(port) > PORT_MAX)
        return ALOOP_ENAMETOOLONG;
    resolve = aloop__alloc_zero(&aloop__alloc_default, sizeof *resolve);
    if (resolve == NULL)
        return ALOOP_ENOMEM;
    resolve->loop = loop;
    resolve->on_resolved = on_resolved;
    resolve->arg = arg;
    resolve->job.work = resolve_work;
    resolve->job.done = resolve_done;
    resolve->job.drop = resolve_drop;
    memcpy(resolve->host, host, strlen(host));
    memcpy(resolve->port, port, strlen(port));
    error = aloop__pool_submit(loop, LANE_RESOLVER, &resolve->job);
    if (error < 0)
        resolve_drop(&resolve->job);
    else
        *ret = resolve;
    return error;
}

void aloop__resolve_cancel(struct aloop__resolve *resolve)
{
    aloop__pool_leave(resolve->loop, &resolve->job);
}
