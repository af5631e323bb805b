/* Name resolution on the pool.
 *
 * getaddrinfo() cannot be interrupted, so that a job can outlive its caller and
 * even the loop.  Therefore the object comes from the default allocator, and
 * the thread uses nothing else. */

#include "handle/resolve.h"

#include <string.h>

#include "handle/address.h"
#include "loop/pool.h"

enum { LABEL_MAX = 63, SERVICE_MAX = 63 };

struct aloop__resolve {
    struct aloop__job job;
    size_t size; /* Of the whole object. */
    /* Used by the loop and not by the thread: */
    aloop *loop;
    aloop__resolve_cb on_resolved;
    aloop__resolve_name_cb on_name; /* Of a look-up of a name, else NULL. */
    void *arg;
    /* The result: */
    int result;                    /* Count, length, or an error. */
    struct sys_address *addresses; /* NULL if there are none. */
    /* The request: */
    struct sys_address address; /* Whose name is looked up. */
    enum sys_family family;
    const char *port; /* After the host, in `text`. */
    char text[];      /* The host; or room for the name of the address. */
};

static struct aloop__resolve *resolve_of(struct aloop__job *job)
{
    return CONTAINER_OF(job, struct aloop__resolve, job);
}

/* job->work, on a thread: uses only the request and the result. */
static void resolve_work(struct aloop__job *job)
{
    struct aloop__resolve *resolve = resolve_of(job);

    resolve->result = aloop__sys_resolve(resolve->text, resolve->port,
                                         resolve->family, &resolve->addresses);
}

static void resolve_name_work(struct aloop__job *job)
{
    struct aloop__resolve *resolve = resolve_of(job);

    resolve->result = aloop__sys_resolve_name(&resolve->address, resolve->text,
                                              SYS_NAME_SIZE);
}

/* job->done, on the loop's thread.  The addresses are freed by resolve_drop()
 * after the callback has returned, so that the callback copies what it
 * needs. */
static void resolve_done(struct aloop__job *job, int error)
{
    struct aloop__resolve *resolve = resolve_of(job);
    int result = error < 0 ? error : resolve->result;

    if (resolve->on_name != NULL)
        resolve->on_name(resolve->arg, resolve->text, result);
    else
        resolve->on_resolved(resolve->arg, resolve->addresses, result);
}

/* job->drop, on either thread: after resolve_done(), or when a job that was
 * left ends. */
static void resolve_drop(struct aloop__job *job)
{
    struct aloop__resolve *resolve = resolve_of(job);

    aloop__sys_resolve_free(resolve->addresses);
    aloop__alloc_free(&aloop__alloc_default, resolve, resolve->size);
}

/* Returns whether a part of a name is a number, in decimal or hexadecimal
 * digits, as inet_aton() accepts. */
static bool is_number(const char *label, size_t length)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    bool is_hex = length > 1 && label[0] == '0' &&
                  (label[1] == 'x' || label[1] == 'X');

    if (is_hex)
        return strspn(label + 2, digits) >= length - 2;
    return strspn(label, "0123456789") >= length;
}

/* Checks that the host, which is not an address, can be a name.  The resolvers
 * of systems differ in what they do otherwise: they truncate it, ask for
 * another name, or take a number for an address. */
static int check_host(const char *host)
{
    bool is_numeric = true;

    if (strchr(host, ':') != NULL)
        return aloop__address_error(host);
    if (strcmp(host, "*") == 0) /* The local host, to the GNU C library. */
        return ALOOP_EINVAL;
    if (aloop__sys_host_is_too_long(host))
        return ALOOP_ENAMETOOLONG;
    do {
        size_t length = strcspn(host, ".");

        if (length == 0)
            return ALOOP_EINVAL;
        if (length > LABEL_MAX)
            return ALOOP_ENAMETOOLONG;
        is_numeric = is_numeric && is_number(host, length);
        host += length;
        host += *host == '.';
    } while (*host != '\0');
    return is_numeric ? ALOOP_EINVAL : 0;
}

/* Returns a request with `room` bytes of text, or NULL. */
static struct aloop__resolve *resolve_new(aloop *loop, size_t room, void *arg)
{
    size_t size = sizeof(struct aloop__resolve) + room;
    struct aloop__resolve *resolve =
        aloop__alloc_zero(&aloop__alloc_default, size);

    if (resolve == NULL)
        return NULL;
    resolve->size = size;
    resolve->loop = loop;
    resolve->arg = arg;
    resolve->job.done = resolve_done;
    resolve->job.drop = resolve_drop;
    return resolve;
}

static int submit_resolve(struct aloop__resolve *resolve,
                          struct aloop__resolve **ret)
{
    int error = aloop__pool_submit(resolve->loop, LANE_RESOLVER, &resolve->job);

    if (error < 0)
        resolve_drop(&resolve->job);
    else
        *ret = resolve;
    return error;
}

int aloop__resolve_start(aloop *loop, const char *host, const char *port,
                         enum sys_family family, aloop__resolve_cb on_resolved,
                         void *arg, struct aloop__resolve **ret)
{
    struct aloop__resolve *resolve;
    struct sys_address numeric;
    /* An address whose port is the name of a service is no name of a host. */
    int error = aloop__sys_address_parse(host, "0", &numeric);

    if (error < 0)
        error = check_host(host);
    if (error == 0 && strlen(port) > SERVICE_MAX)
        error = ALOOP_ENAMETOOLONG;
    if (error < 0)
        return error;
    resolve = resolve_new(loop, strlen(host) + strlen(port) + 2, arg);
    if (resolve == NULL)
        return ALOOP_ENOMEM;
    resolve->on_resolved = on_resolved;
    resolve->job.work = resolve_work;
    resolve->family = family;
    memcpy(resolve->text, host, strlen(host));
    resolve->port = resolve->text + strlen(host) + 1;
    memcpy(resolve->text + strlen(host) + 1, port, strlen(port) + 1);
    return submit_resolve(resolve, ret);
}

int aloop__resolve_name_start(aloop *loop, const struct sys_address *address,
                              aloop__resolve_name_cb on_resolved, void *arg,
                              struct aloop__resolve **ret)
{
    struct aloop__resolve *resolve = resolve_new(loop, SYS_NAME_SIZE, arg);

    if (resolve == NULL)
        return ALOOP_ENOMEM;
    resolve->on_name = on_resolved;
    resolve->job.work = resolve_name_work;
    resolve->address = *address;
    return submit_resolve(resolve, ret);
}

void aloop__resolve_cancel(struct aloop__resolve *resolve)
{
    aloop__pool_leave(resolve->loop, &resolve->job);
}
