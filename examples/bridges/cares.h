/* Look-ups of names by c-ares, without threads: a bridge to copy into a
 * program.
 *
 *     cares_resolver *resolver;
 *     aloop_address addresses[8];
 *     ssize_t count = cares_resolver_new(loop, NULL, &resolver);
 *
 *     if (count == 0)
 *         count = aloop_await(cares_resolve(
 *             resolver, "example.org", "443", ALOOP_FAMILY_ANY, addresses, 8));
 *
 *     if (count < 0)
 *         fprintf(stderr, "%s\n", aloop_strerror(count));
 *     ...
 *     cares_resolver_free(resolver);
 *
 * It asks the name servers itself, so that thousands of look-ups need one
 * descriptor for each server, where aloop_resolve() needs a thread for each
 * look-up that waits.  What it knows of the system are /etc/resolv.conf and
 * /etc/hosts; other sources of names, such as mDNS, it does not know.
 *
 * Servers and networks lose datagrams that arrive faster than they are read.  A
 * program with many names should have only some tens of look-ups in progress,
 * by aloop_map() for example; what is lost is asked again after a time-out. */

#ifndef BRIDGES_CARES_H
#define BRIDGES_CARES_H

#include <aloop.h>

typedef struct cares_resolver cares_resolver;

/* Options of a resolver; a member that is zero has the default. */
typedef struct cares_options {
    /* Name servers, such as "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53".
     * Default: those of the system. */
    const char *servers;
    /* How long the first try waits for an answer; later ones wait longer.  It
     * is rounded up to milliseconds, and is at most one hour.  Default: 5 s, or
     * what /etc/resolv.conf sets. */
    int64_t timeout_ns;
    /* How often each server is asked.  Default: 4, or as above. */
    int tries;
    /* Does not look into /etc/hosts. */
    bool is_dns_only;
} cares_options;

/**
 * Makes a resolver.
 *
 * It reads the configuration of the system.  `options` may be NULL.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: options->servers is malformed;
 *          ALOOP_ENOMEM: out of memory.
 * Memory:  the options are copied.  The caller frees *ret, which is NULL after
 *          an error, by cares_resolver_free(), before the loop.
 */
ssize_t cares_resolver_new(aloop *loop, const cares_options *options,
                           cares_resolver **ret);

/**
 * Frees a resolver.
 *
 * Look-ups in progress are cancelled: their tasks get ALOOP_EABORTED.  NULL is
 * allowed.
 */
void cares_resolver_free(cares_resolver *resolver);

/**
 * Looks up the addresses of a host.
 *
 * `host` is a name or an address, and `service` a port number, the name of a
 * service or NULL for the port 0.  With ALOOP_FAMILY_ANY as `family`, addresses
 * of both families are looked up.
 *
 * Status:  the number of addresses that were stored, at least 1.  They have the
 *          order in which they should be tried (RFC 6724); those beyond `max`
 *          are left out.
 * Errors:  ALOOP_EHOSTNOTFOUND: there is no such host or service, or the host
 *          has no address of `family`;
 *          ALOOP_EAGAINDNS: no server has answered, or one could not;
 *          ALOOP_ERESOLVE: the answer is malformed, or another failure;
 *          ALOOP_EINVAL: `host` is not a name, or `max` is 0;
 *          ALOOP_ENOMEM: out of memory, or `resolver` is NULL.  All look-ups in
 *          progress may end with this error;
 *          others: the descriptor of a server cannot be watched; this ends all
 *          look-ups in progress, too.
 * Memory:  copies the texts.  Borrows `addresses` until the future settles.
 */
ALOOP_MUST_USE
aloop_future *cares_resolve(cares_resolver *resolver, const char *host,
                            const char *service, aloop_family family,
                            aloop_address *addresses, size_t max);

#endif
