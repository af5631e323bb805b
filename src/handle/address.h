/* Conversions between the public addresses and those of the seam. */

#ifndef ALOOP_HANDLE_ADDRESS_H
#define ALOOP_HANDLE_ADDRESS_H

#include "aloop/address.h"
#include "os/sys.h"

/* Converts the address of an end of a connection.  An IPv4-mapped address, as
 * sockets for both families report it, becomes an IPv4 address.  Returns 0 or
 * ALOOP_EAFNOSUPPORT. */
int aloop__address_of_end(const struct sys_address *end, aloop_address *ret);
/* Returns the IPv4 address of an IPv4-mapped one, and any other unchanged. */
aloop_address aloop__address_unmapped(const aloop_address *address);
/* Returns the IPv4-mapped address of IPv6 for an IPv4 address, and any other
 * unchanged. */
aloop_address aloop__address_mapped(const aloop_address *address);
/* Parses a numeric host and port.  Returns ALOOP_ENOTNUMERIC if one of them may
 * be a name, and otherwise as aloop__sys_address_parse(). */
int aloop__address_of_host(const char *host, const char *port,
                           struct sys_address *ret);
/* Returns whether the name is "localhost" or ends with ".localhost". */
bool aloop__address_is_localhost(const char *host);
/* Returns ALOOP_ENODEV if `host` is an IPv6 address whose interface does not
 * exist, and ALOOP_EINVAL for any other text that is not an address. */
int aloop__address_error(const char *host);

#endif
