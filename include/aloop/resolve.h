/* Look-ups of names, by the resolver of the system.
 *
 * That is getaddrinfo() and getnameinfo(), which consult /etc/hosts, name
 * servers, or what else the system is configured for.  They block, so that they
 * run on threads of a lane of their own (see aloop_options.resolver_threads).
 *
 * A look-up that is cancelled, dropped or timed out settles immediately.  Its
 * thread continues until the resolver returns, without the loop: neither other
 * look-ups nor aloop_free() wait for it. */

#ifndef ALOOP_RESOLVE_H
#define ALOOP_RESOLVE_H

#include "aloop/address.h"
#include "aloop/base.h"

ALOOP_BEGIN

/**
 * Looks up all addresses of a host.
 *
 *     `host`                     meaning
 *     "example.org"              a name; the system may append its search
 *                                domains
 *     "example.org."             the same name, which is complete
 *     "192.0.2.1", "fe80::1%lo"  an address
 *     "", ".org", "a..b"         an error: a part is empty
 *     "1", "127.1",              an error: a number that is not a complete IPv4
 *     "0x7f000001", "1.2.3.4."   address; getaddrinfo() would take most of them
 *                                for one
 *     "[::1]", "host:80", "*"    an error: neither an address nor a name
 *
 * `service` is a decimal port number, the name of a TCP service, or NULL for
 * the port 0.  If `host` is an address and `service` a number, no thread is
 * used, and the future has settled when this returns.
 *
 * With ALOOP_FAMILY_IPV4 or ALOOP_FAMILY_IPV6 as `family` only such addresses
 * are looked up, with ALOOP_FAMILY_ANY both.
 *
 * Limit the time with aloop_timeout() or a deadline.
 *
 * Status:  the number of addresses, at least 1.  They have the order in which
 *          the system recommends to try them (RFC 6724), and may be repeated.
 *          An answer of more than 4096 is truncated.
 * Errors:  ALOOP_EHOSTNOTFOUND: there is no such host or service, or the host
 *          has no address of `family`;
 *          ALOOP_EAGAINDNS: the look-up failed temporarily;
 *          ALOOP_ERESOLVE: the look-up failed;
 *          ALOOP_ENAMETOOLONG: `host` has more than 253 bytes, where a dot at
 *          its end does not count, or a part of `host` between dots, or
 *          `service`, has more than 63;
 *          ALOOP_ENODEV: the interface of a link-local address does not exist;
 *          ALOOP_EINVAL: `host` is an error of the table, `service` is empty or
 *          a number above 65535, or an argument is wrong;
 *          ALOOP_EAGAIN: no thread is available;
 *          ALOOP_ENOMEM: out of memory;
 *          ALOOP_EPERM: the loop belongs to another process;
 *          others: what the system reported.
 * Memory:  copies the texts.  Borrows *ret_addresses until the future settles.
 *          The caller frees the array with aloop_addresses_free(), and
 *          aloop_free() frees what is left.
 * Example: count = aloop_await(aloop_resolve(loop, "localhost", "80",
 *          ALOOP_FAMILY_ANY, &addresses));
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_resolve(aloop *loop, const char *host,
                                      const char *service, aloop_family family,
                                      aloop_address **ret_addresses);

/**
 * Frees the addresses that aloop_resolve() has returned.
 *
 * NULL is allowed.
 *
 * Memory:  `addresses` is no longer valid.
 */
ALOOP_API void aloop_addresses_free(aloop_address *addresses);

/**
 * Looks up the name of an address.
 *
 * The result is never an address in text form, which
 * aloop_address_format_host() writes.  The port is ignored, and an IPv4-mapped
 * address counts as IPv4.  The name is what the owner of the address claims:
 * before you trust it, look it up with aloop_resolve() and compare.
 *
 * `size` includes the terminating 0.  A name of the DNS needs at most 254.
 *
 * Status:  the length of the name.
 * Errors:  ALOOP_EHOSTNOTFOUND: the address has no name;
 *          ALOOP_ENOSPC: `size` is too small, and nothing is written;
 *          ALOOP_ENAMETOOLONG: the name has more than 1024 bytes;
 *          ALOOP_EINVAL: `address` is NULL or has no family, or `name` is NULL;
 *          ALOOP_EAGAINDNS, ALOOP_ERESOLVE, ALOOP_EAGAIN, ALOOP_ENOMEM,
 *          ALOOP_EPERM: as for aloop_resolve().
 * Memory:  copies `address`.  Borrows `name` until the future settles; it is
 *          written only on success.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_resolve_name(aloop *loop,
                                           const aloop_address *address,
                                           char *name, size_t size);

ALOOP_END

#endif
