/* Addresses of IPv4 and IPv6, with a port.
 *
 * An address is a plain value: copy it by assignment, and keep it anywhere.
 * These functions never block, and none of them looks up a name; see
 * aloop/resolve.h for that. */

#ifndef ALOOP_ADDRESS_H
#define ALOOP_ADDRESS_H

#include "aloop/base.h"

struct sockaddr;

ALOOP_BEGIN

/** Is the family of an address. */
typedef enum aloop_family {
    ALOOP_FAMILY_NONE,                    /* Of an address that was not set. */
    ALOOP_FAMILY_ANY = ALOOP_FAMILY_NONE, /* For look-ups: both. */
    ALOOP_FAMILY_IPV4,
    ALOOP_FAMILY_IPV6
} aloop_family;

/**
 * Holds an address.
 *
 * An address of zeros is no address; its family is ALOOP_FAMILY_NONE.  The
 * fields are for the functions below.  Two addresses are compared by
 * aloop_address_equal(), because not every byte has a meaning.
 */
typedef struct aloop_address {
    uint8_t host[16]; /* In the order of the network; IPv4 uses four bytes. */
    uint32_t scope;   /* Number of the interface, of a link-local address. */
    uint32_t flow;    /* Flow information of IPv6, as in a sockaddr_in6. */
    uint16_t port;    /* In the order of the machine. */
    uint8_t family;   /* An aloop_family. */
    uint8_t unused[5];
} aloop_address;

/**
 * Parses a numeric address, with or without a port.
 *
 *     text                             address
 *     "127.0.0.1", "::1", "[::1]"      with the port 0
 *     "127.0.0.1:80", "[::1]:80"       with a port
 *     "fe80::1%eth0", "[fe80::1%2]:80" of an interface, by name or number
 *     "fd00::1:80"                     IPv6 without a port
 *
 * Only complete addresses are accepted.  The short, octal and hexadecimal forms
 * of inet_aton(), such as "1", "127.1", "0177.0.0.1" and "0x7f000001", are
 * errors: other programs take them for different addresses, or for names.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `text` is not such an address, the port is not a
 *          decimal number up to 65535, or an argument is NULL;
 *          ALOOP_ENODEV: there is no such interface.
 * Context: any thread.
 */
ALOOP_API int aloop_address_parse(const char *text, aloop_address *ret_address);

/**
 * Writes an address with its port to `text`.
 *
 * Examples are "127.0.0.1:80", "[::1]:80" and "[fe80::1%2]:80".  An interface
 * is written as its number.  An IPv4-mapped address of IPv6 (::ffff:127.0.0.1)
 * is written as an IPv4 address.  aloop_address_parse() accepts every text that
 * this function writes.  A `size` of 96 is always enough.
 *
 * Returns: the length of the text, without its terminating 0.
 * Errors:  ALOOP_ENOSPC: `size` is too small, and nothing is written;
 *          ALOOP_EINVAL: an argument is NULL, or `address` has no family.
 * Context: any thread.
 */
ALOOP_API int aloop_address_format(const aloop_address *address, char *text,
                                   size_t size);

/**
 * Writes an address without its port: "127.0.0.1", "::1", "fe80::1%2".
 *
 * Otherwise it is like aloop_address_format().
 *
 * Returns: the length of the text, without its terminating 0.
 * Errors:  ALOOP_ENOSPC: `size` is too small, and nothing is written;
 *          ALOOP_EINVAL: an argument is NULL, or `address` has no family.
 * Context: any thread.
 */
ALOOP_API int aloop_address_format_host(const aloop_address *address,
                                        char *text, size_t size);

/**
 * Returns whether host, interface and port are equal.
 *
 * They are if aloop_address_format() writes the same text for both.  Therefore
 * an IPv4-mapped address equals the IPv4 address.  Two addresses without a
 * family are equal; NULL equals nothing.
 *
 * Context: any thread.
 */
ALOOP_API bool aloop_address_equal(const aloop_address *a,
                                   const aloop_address *b);

/**
 * Returns the family of an address.
 *
 * An IPv4-mapped address is one of IPv6.  The family of NULL is
 * ALOOP_FAMILY_NONE.
 *
 * Context: any thread.
 */
ALOOP_API aloop_family aloop_address_family(const aloop_address *address);

/**
 * Returns the port of an address; 0 if it has none, and for NULL.
 *
 * Context: any thread.
 */
ALOOP_API int aloop_address_port(const aloop_address *address);

/**
 * Sets the port of an address.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: `port` is not between 0 and 65535, or `address` is
 *          NULL or has no family.
 * Context: any thread.
 */
ALOOP_API int aloop_address_set_port(aloop_address *address, int port);

/**
 * Converts an address of the system to a value.
 *
 * `sockaddr` is a sockaddr_in or a sockaddr_in6 of any origin.  `size` is its
 * size as the system reports it, a socklen_t.  More bytes than the family needs
 * are ignored.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is NULL, or `size` is too small for the
 *          family;
 *          ALOOP_EAFNOSUPPORT: the family is neither AF_INET nor AF_INET6.
 * Context: any thread.
 */
ALOOP_API int aloop_address_from_sockaddr(const struct sockaddr *sockaddr,
                                          size_t size,
                                          aloop_address *ret_address);

/**
 * Converts an address to one of the system.
 *
 * The result is for bind(), sendto() and the like.  A `size` of sizeof(struct
 * sockaddr_storage) is always enough.
 *
 * Returns: the number of bytes that were written to `sockaddr`, a socklen_t.
 * Errors:  ALOOP_ENOSPC: `size` is too small, and nothing is written;
 *          ALOOP_EINVAL: an argument is NULL, or `address` has no family.
 * Context: any thread.
 */
ALOOP_API int aloop_address_to_sockaddr(const aloop_address *address,
                                        struct sockaddr *sockaddr, size_t size);

ALOOP_END

#endif
