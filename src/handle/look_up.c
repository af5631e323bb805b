/* The look-ups of aloop/resolve.h: futures for what resolve.c does.
 *
 * An array of addresses that was given to the application has a handle, so that
 * aloop_free() finds and frees it. */

#include "aloop/resolve.h"

#include <string.h>

#include "handle/address.h"
#include "handle/resolve.h"
#include "loop/debug.h"
#include "loop/future.h"
#include "loop/handle.h"

struct look_up {
    aloop_future future;
    struct aloop__resolve *resolve; /* NULL unless it is pending. */
    aloop_address **ret_addresses;
    char *ret_name;
    size_t name_size;
};

/* An array of addresses.  It has no callbacks and never becomes active. */
struct found {
    struct aloop__handle handle;
    struct found_array *array;
    size_t size; /* Of *array. */
};

/* The application has a pointer to `addresses`.  aloop_addresses_free() finds
 * the handle through the pointer that precedes them. */
struct found_array {
    struct found *owner;
    aloop_address addresses[];
};

/* handle->close, also called by aloop_addresses_free(). */
static void found_close(struct aloop__handle *handle)
{
    struct found *found = CONTAINER_OF(handle, struct found, handle);

    aloop__alloc_free(&handle->loop->alloc, found->array, found->size);
    found->array = NULL;
    aloop__handle_closed(handle);
}

static const struct aloop__handle_ops found_ops = {
    .name = "addresses",
    .size = sizeof(struct found),
    .close = found_close,
};

/* Gives the application a copy of the addresses, because those of the resolver
 * end with its callback.  Returns their number, or ALOOP_ENOMEM. */
static ssize_t give_addresses(aloop *loop, const struct sys_address *addresses,
                              size_t count, aloop_address **ret)
{
    size_t size = sizeof(struct found_array) + count * sizeof(aloop_address);
    struct found_array *array = aloop__alloc_new(&loop->alloc, size);
    struct found *found = NULL;

    if (array != NULL)
        found = aloop__handle_new(loop, &found_ops);
    if (found == NULL) {
        aloop__alloc_free(&loop->alloc, array, size);
        return ALOOP_ENOMEM;
    }
    found->array = array;
    found->size = size;
    array->owner = found;
    for (size_t i = 0; i < count; i++)
        aloop__sys_address_export(&addresses[i], &array->addresses[i]);
    *ret = array->addresses;
    return (ssize_t) count;
}

void aloop_addresses_free(aloop_address *addresses)
{
    struct found_array *array;

    if (addresses == NULL)
        return;
    array =
        (void *) ((char *) addresses - offsetof(struct found_array, addresses));
    if (aloop__check_handle(array->owner, __func__) == 0)
        found_close(&array->owner->handle);
}

/* A thread that is inside getaddrinfo() cannot be interrupted.  It uses memory
 * of its own, so that the future settles now and the thread is left. */
static void look_up_cancel(aloop_future *future)
{
    struct look_up *look_up = CONTAINER_OF(future, struct look_up, future);

    aloop__resolve_cancel(look_up->resolve);
    aloop__future_settle(future, ALOOP_ECANCELED);
}

/* A job keeps the loop alive, so that these futures need not. */
static const struct aloop__future_ops look_up_ops = {
    .name = "resolve",
    .size = sizeof(struct look_up),
    .cancel = look_up_cancel,
};

static const struct aloop__future_ops look_up_name_ops = {
    .name = "resolve_name",
    .size = sizeof(struct look_up),
    .cancel = look_up_cancel,
};

/* Called by resolve.c, on the loop's thread.  `count` is an error if it is less
 * than 0.  An answer without addresses is an error, too. */
static void look_up_resolved(void *arg, const struct sys_address *addresses,
                             int count)
{
    struct look_up *look_up = arg;
    ssize_t status = count;

    if (count > 0)
        status = give_addresses(look_up->future.loop, addresses, (size_t) count,
                                look_up->ret_addresses);
    aloop__future_settle(&look_up->future, status);
}

/* The families of the seam.  SYS_FAMILY_NONE stands for both. */
static const enum sys_family look_up_families[] = {
    [ALOOP_FAMILY_ANY] = SYS_FAMILY_NONE,
    [ALOOP_FAMILY_IPV4] = SYS_INET,
    [ALOOP_FAMILY_IPV6] = SYS_INET6,
};

/* Returns the status of a look-up whose answer is known, because the host is an
 * address.  One of another family than the caller wants is no answer. */
static ssize_t look_up_address(struct look_up *look_up,
                               const struct sys_address *address,
                               enum sys_family family)
{
    if (family != SYS_FAMILY_NONE &&
        family != aloop__sys_address_family(address))
        return ALOOP_EHOSTNOTFOUND;
    return give_addresses(look_up->future.loop, address, 1,
                          look_up->ret_addresses);
}

/* An answer that needs no thread settles the future before it is returned.
 * `resolve` is set only if the look-up is pending. */
aloop_future *aloop_resolve(aloop *loop, const char *host, const char *service,
                            aloop_family family, aloop_address **ret_addresses)
{
    ssize_t status = aloop__check_loop(loop, __func__);
    struct sys_address address;
    struct look_up *look_up;

    if (status < 0)
        return aloop__future_refused((int) status);
    if (host == NULL || ret_addresses == NULL || (int) family < 0 ||
        (size_t) family >= sizeof look_up_families / sizeof look_up_families[0])
        return aloop__future_failed(loop, ALOOP_EINVAL);
    look_up = aloop__future_new(loop, &look_up_ops);
    if (look_up == NULL)
        return NULL;
    look_up->ret_addresses = ret_addresses;
    if (service == NULL)
        service = "0";
    if (aloop__sys_address_parse(host, service, &address) == 0)
        status = look_up_address(look_up, &address, look_up_families[family]);
    else
        status =
            aloop__resolve_start(loop, host, service, look_up_families[family],
                                 look_up_resolved, look_up, &look_up->resolve);
    if (look_up->resolve == NULL)
        aloop__future_settle(&look_up->future, status);
    return &look_up->future;
}

/* Called by resolve.c.  `length` is an error if it is less than 0.  A name that
 * does not fit is not cut, because it would be the name of another host. */
static void look_up_named(void *arg, const char *name, int length)
{
    struct look_up *look_up = arg;

    if (length >= 0 && (size_t) length >= look_up->name_size)
        length = ALOOP_ENOSPC;
    if (length >= 0)
        memcpy(look_up->ret_name, name, (size_t) length + 1);
    aloop__future_settle(&look_up->future, length);
}

/* The names of IPv4 hosts are in a zone of their own, in which a mapped address
 * would not be found. */
aloop_future *aloop_resolve_name(aloop *loop, const aloop_address *address,
                                 char *name, size_t size)
{
    int error = aloop__check_loop(loop, __func__);
    struct sys_address imported;
    struct look_up *look_up;
    aloop_address plain;

    if (error < 0)
        return aloop__future_refused(error);
    if (aloop_address_family(address) == ALOOP_FAMILY_NONE || name == NULL)
        return aloop__future_failed(loop, ALOOP_EINVAL);
    look_up = aloop__future_new(loop, &look_up_name_ops);
    if (look_up == NULL)
        return NULL;
    look_up->ret_name = name;
    look_up->name_size = size;
    plain = aloop__address_unmapped(address);
    aloop__sys_address_import(&plain, &imported);
    error = aloop__resolve_name_start(loop, &imported, look_up_named, look_up,
                                      &look_up->resolve);
    if (error < 0)
        aloop__future_settle(&look_up->future, error);
    return &look_up->future;
}
