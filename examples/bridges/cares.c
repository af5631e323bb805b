/* Look-ups of names by c-ares.
 *
 * A query of c-ares cannot be cancelled alone.  When its operation is, it
 * continues without one, and ends with its answer or when no other query has an
 * operation any more. */

#include <stdlib.h>
#include <sys/socket.h>

#include "cares_channel.h"

struct query {
    cares_resolver *resolver;
    aloop_future *operation; /* NULL: it was cancelled. */
    aloop_address *addresses;
    size_t max;
};

static ssize_t error_of(int code)
{
    static const int errors[][2] = {{ARES_ENODATA, ALOOP_EHOSTNOTFOUND},
                                    {ARES_ENOTFOUND, ALOOP_EHOSTNOTFOUND},
                                    {ARES_ENONAME, ALOOP_EHOSTNOTFOUND},
                                    {ARES_ESERVICE, ALOOP_EHOSTNOTFOUND},
                                    {ARES_ESERVFAIL, ALOOP_EAGAINDNS},
                                    {ARES_EREFUSED, ALOOP_EAGAINDNS},
                                    {ARES_ECONNREFUSED, ALOOP_EAGAINDNS},
                                    {ARES_ETIMEOUT, ALOOP_EAGAINDNS},
                                    {ARES_EBADNAME, ALOOP_EINVAL},
                                    {ARES_ENOMEM, ALOOP_ENOMEM},
                                    {ARES_ECANCELLED, ALOOP_ECANCELED},
                                    {ARES_EDESTRUCTION, ALOOP_ECANCELED}};

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i][0] == code)
            return errors[i][1];
    }
    return ALOOP_ERESOLVE;
}

/* Stores the addresses.  Returns how many there are, or an error. */
static ssize_t take(const struct query *query, const struct ares_addrinfo *info)
{
    const struct ares_addrinfo_node *node = info->nodes;
    size_t count = 0;

    for (; node != NULL && count < query->max; node = node->ai_next) {
        count += aloop_address_from_sockaddr(node->ai_addr,
                                             (size_t) node->ai_addrlen,
                                             &query->addresses[count]) == 0;
    }
    return count > 0 ? (ssize_t) count : ALOOP_EHOSTNOTFOUND;
}

static void query_settle(struct query *query, ssize_t status)
{
    query->resolver->pending--;
    aloop_operation_settle(query->operation, status);
    query->operation = NULL;
}

/* Is called inside of c-ares, also inside of ares_getaddrinfo(). */
static void query_done(void *arg, int code, int timeouts,
                       struct ares_addrinfo *info)
{
    struct query *query = arg;
    ssize_t error = query->resolver->error;

    (void) timeouts;
    if (query->operation != NULL)
        query_settle(query, code == ARES_SUCCESS ? take(query, info)
                            : error != 0         ? error
                                                 : error_of(code));
    if (code == ARES_SUCCESS)
        ares_freeaddrinfo(info);
    free(query);
}

static void query_cancel(aloop_future *operation, void *arg)
{
    struct query *query = arg;
    cares_resolver *resolver = query->resolver;

    (void) operation;
    query_settle(query, ALOOP_ECANCELED);
    if (resolver->pending == 0) {
        ares_cancel(resolver->channel);
        cares_update(resolver);
    }
}

aloop_future *cares_resolve(cares_resolver *resolver, const char *host,
                            const char *service, aloop_family family,
                            aloop_address *addresses, size_t max)
{
    struct ares_addrinfo_hints hints = {
        .ai_family = family == ALOOP_FAMILY_IPV4   ? AF_INET
                     : family == ALOOP_FAMILY_IPV6 ? AF_INET6
                                                   : AF_UNSPEC};
    struct query *query;
    aloop_future *operation;

    if (resolver == NULL)
        return NULL;
    if (host == NULL || host[0] == '\0' || max == 0)
        return aloop_future_new_settled(resolver->loop, ALOOP_EINVAL);
    query = calloc(1, sizeof *query);
    if (query == NULL)
        return NULL;
    operation = aloop_operation_new(resolver->loop, query_cancel, query);
    if (operation == NULL) {
        free(query);
        return NULL;
    }
    *query = (struct query){resolver, operation, addresses, max};
    resolver->pending++;
    ares_getaddrinfo(resolver->channel, host, service, &hints, query_done,
                     query);
    cares_update(resolver);
    return operation;
}
