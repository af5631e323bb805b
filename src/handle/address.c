/* Addresses as values: the functions of aloop/address.h.
 *
 * Texts and the structures of the system are read and written below the seam.
 * A public address is converted to one of the seam for that.
 *
 * A socket for both families names an IPv4 host by an IPv6 address, which is
 * called mapped.  The application is given the IPv4 address instead, and two
 * addresses of the same host are equal in either form. */

#include "handle/address.h"

#include <string.h>

#include "aloop/error.h"

/* Room for the longest text: brackets, an IPv6 address of at most 45 bytes,
 * "%", the name of an interface, and a port.  A longer text is malformed. */
enum { TEXT_MAX = 96 };

_Static_assert(sizeof(aloop_address) == 32, "part of the interface");

/* Returns whether it is ::ffff:A.B.C.D, which stands for the IPv4 host
 * A.B.C.D. */
static bool is_mapped(const aloop_address *address)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0,    0,
                                       0, 0, 0, 0, 0xff, 0xff};

    return address->family == ALOOP_FAMILY_IPV6 &&
           memcmp(address->host, prefix, sizeof prefix) == 0;
}

aloop_address aloop__address_unmapped(const aloop_address *address)
{
    aloop_address plain = {.port = address->port, .family = ALOOP_FAMILY_IPV4};

    if (!is_mapped(address))
        return *address;
    memcpy(plain.host, address->host + 12, 4);
    return plain;
}

aloop_address aloop__address_mapped(const aloop_address *address)
{
    aloop_address mapped = {.port = address->port, .family = ALOOP_FAMILY_IPV6};

    if (address->family != ALOOP_FAMILY_IPV4)
        return *address;
    memset(mapped.host + 10, 0xff, 2);
    memcpy(mapped.host + 12, address->host, 4);
    return mapped;
}

int aloop__address_of_end(const struct sys_address *end, aloop_address *ret)
{
    aloop_address address;
    int error = aloop__sys_address_export(end, &address);

    if (error == 0)
        *ret = aloop__address_unmapped(&address);
    return error;
}

/* Returns whether the text, which is not numeric, may be the name of a host or
 * a service.  Such a name is no mistake, but resolving it could block. */
static bool is_name(const char *text)
{
    static const char all[] = "-_.0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const size_t letters = 13; /* Index of the first letter. */

    return text[strspn(text, all)] == '\0' &&
           strpbrk(text, &all[letters]) != NULL;
}

int aloop__address_of_host(const char *host, const char *port,
                           struct sys_address *ret)
{
    int error = aloop__sys_address_parse(host, port, ret);

    if (error == 0)
        return 0;
    if (is_name(port) || (host != NULL && is_name(host)))
        return ALOOP_ENOTNUMERIC;
    return error;
}

/* These names mean the loopback interface (RFC 6761, 6.3) and need no
 * resolution. */
bool aloop__address_is_localhost(const char *host)
{
    static const char name[] = "localhost";
    size_t size = strlen(host), wanted = sizeof name - 1;

    if (size > 0 && host[size - 1] == '.')
        size--;
    if (size < wanted || (size > wanted && host[size - wanted - 1] != '.'))
        return false;
    for (size_t i = 0; i < wanted; i++) {
        char c = host[size - wanted + i];

        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != name[i])
            return false;
    }
    return true;
}

/* If the text is an address without what follows its "%", the interface is
 * unknown. */
int aloop__address_error(const char *host)
{
    size_t length = strcspn(host, "%");
    struct sys_address address;
    char numeric[TEXT_MAX];

    if (host[length] == '\0' || length >= sizeof numeric)
        return ALOOP_EINVAL;
    memcpy(numeric, host, length);
    numeric[length] = '\0';
    if (strchr(numeric, ':') == NULL ||
        aloop__sys_address_parse(numeric, "0", &address) < 0)
        return ALOOP_EINVAL;
    return ALOOP_ENODEV;
}

/* Splits a text in place.  Returns the host, and the port in *ret_port; or NULL
 * if the text is malformed.  Only an address in brackets, or one with a single
 * colon, has a port. */
static char *split_text(char *text, const char **ret_port)
{
    char *colon = strchr(text, ':');
    bool is_bracketed = text[0] == '[';

    *ret_port = "0";
    if (is_bracketed) {
        char *end = strchr(text, ']');

        if (end == NULL || colon == NULL || colon > end)
            return NULL;
        *end = '\0';
        colon = end + 1;
        if (*colon == '\0')
            return text + 1;
        if (*colon != ':')
            return NULL;
    } else if (colon == NULL || strchr(colon + 1, ':') != NULL) {
        return text;
    }
    *colon = '\0';
    *ret_port = colon + 1;
    return text + is_bracketed;
}

/* The parts of the text are parsed by the system, which needs a zero after each
 * of them.  Therefore a copy is divided. */
int aloop_address_parse(const char *text, aloop_address *ret_address)
{
    struct sys_address address;
    char copy[TEXT_MAX];
    const char *host, *port;
    size_t length;

    if (text == NULL || ret_address == NULL)
        return ALOOP_EINVAL;
    length = strlen(text);
    if (length >= sizeof copy)
        return ALOOP_EINVAL;
    memcpy(copy, text, length + 1);
    host = split_text(copy, &port);
    if (host == NULL)
        return ALOOP_EINVAL;
    if (aloop__sys_address_parse(host, port, &address) < 0) {
        /* A wrong port is the first error. */
        if (aloop__sys_address_parse("::", port, &address) < 0)
            return ALOOP_EINVAL;
        return aloop__address_error(host);
    }
    return aloop__sys_address_export(&address, ret_address);
}

/* An address whose bytes are all zero is valid, and has no family. */
static bool has_family(const aloop_address *address)
{
    return address != NULL && (address->family == ALOOP_FAMILY_IPV4 ||
                               address->family == ALOOP_FAMILY_IPV6);
}

/* Writes the address to a buffer of TEXT_MAX bytes.  Returns its length. */
static int format_whole(const aloop_address *address, char *text)
{
    struct sys_address imported;

    aloop__sys_address_import(address, &imported);
    return aloop__sys_address_format(&imported, text, TEXT_MAX);
}

/* A text that does not fit is not cut, because a part of an address could be
 * the address of another host. */
static int copy_text(const char *from, size_t length, char *text, size_t size)
{
    if (length >= size)
        return ALOOP_ENOSPC;
    memcpy(text, from, length);
    text[length] = '\0';
    return (int) length;
}

int aloop_address_format(const aloop_address *address, char *text, size_t size)
{
    char whole[TEXT_MAX];
    int length;

    if (!has_family(address) || text == NULL)
        return ALOOP_EINVAL;
    length = format_whole(address, whole);
    return length < 0 ? length : copy_text(whole, (size_t) length, text, size);
}

/* The whole text is "HOST:PORT", or "[HOST]:PORT" for IPv6. */
int aloop_address_format_host(const aloop_address *address, char *text,
                              size_t size)
{
    char whole[TEXT_MAX];
    const char *end;
    int length;

    if (!has_family(address) || text == NULL)
        return ALOOP_EINVAL;
    length = format_whole(address, whole);
    if (length < 0)
        return length;
    end = strchr(whole, ']');
    if (end != NULL)
        return copy_text(whole + 1, (size_t) (end - whole) - 1, text, size);
    return copy_text(whole, strcspn(whole, ":"), text, size);
}

/* The scope selects the interface of a link-local address.  IPv4 has none. */
bool aloop_address_equal(const aloop_address *a, const aloop_address *b)
{
    aloop_address plain_a, plain_b;

    if (a == NULL || b == NULL)
        return false;
    if (!has_family(a) || !has_family(b))
        return !has_family(a) && !has_family(b);
    plain_a = aloop__address_unmapped(a);
    plain_b = aloop__address_unmapped(b);
    return plain_a.family == plain_b.family && plain_a.port == plain_b.port &&
           memcmp(plain_a.host, plain_b.host,
                  plain_a.family == ALOOP_FAMILY_IPV4 ? 4 : 16) == 0 &&
           (plain_a.family == ALOOP_FAMILY_IPV4 ||
            plain_a.scope == plain_b.scope);
}

aloop_family aloop_address_family(const aloop_address *address)
{
    return has_family(address) ? (aloop_family) address->family
                               : ALOOP_FAMILY_NONE;
}

int aloop_address_port(const aloop_address *address)
{
    return has_family(address) ? address->port : 0;
}

int aloop_address_set_port(aloop_address *address, int port)
{
    if (!has_family(address) || port < 0 || port > UINT16_MAX)
        return ALOOP_EINVAL;
    address->port = (uint16_t) port;
    return 0;
}

/* `size` may be that of a buffer for addresses of any family.  What exceeds the
 * longest address is not used. */
int aloop_address_from_sockaddr(const struct sockaddr *sockaddr, size_t size,
                                aloop_address *ret_address)
{
    struct sys_address address = {0};

    if (sockaddr == NULL || ret_address == NULL)
        return ALOOP_EINVAL;
    if (size > sizeof address.bytes)
        size = sizeof address.bytes;
    memcpy(address.bytes, sockaddr, size);
    address.size = (uint32_t) size;
    return aloop__sys_address_export(&address, ret_address);
}

int aloop_address_to_sockaddr(const aloop_address *address,
                              struct sockaddr *sockaddr, size_t size)
{
    struct sys_address imported;

    if (!has_family(address) || sockaddr == NULL)
        return ALOOP_EINVAL;
    aloop__sys_address_import(address, &imported);
    if (imported.size > size)
        return ALOOP_ENOSPC;
    memcpy(sockaddr, imported.bytes, imported.size);
    return (int) imported.size;
}
