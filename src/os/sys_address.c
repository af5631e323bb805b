/* Names and addresses.
 *
 * A sys_address stores bytes, so that a sockaddr is copied in and out and never
 * accessed through a cast.  Numbers are parsed here and by inet_pton(), which
 * is strict: it accepts no octal numbers, short forms or brackets. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "aloop/error.h"

#define SIZE_OF_BYTES sizeof(((struct sys_address *) NULL)->bytes)

static_assert(sizeof(struct sockaddr_in6) <= SIZE_OF_BYTES &&
                  sizeof(struct sockaddr_un) <= SIZE_OF_BYTES,
              "the addresses of every family fit");

/* A DNS response has at most 65,535 bytes, and at least 16 for each address. */
enum { HOST_SIZE_MAX = 253, PORT_DIGITS_MAX = 5, ADDRESSES_MAX = 4096 };

/* Bytes of an address up to its family, which is always present. */
#define FAMILY_END \
    (offsetof(struct sockaddr, sa_family) + \
     sizeof(((struct sockaddr *) NULL)->sa_family))

/* Copies an address of the system.  What is behind it has no meaning. */
static void store(struct sys_address *ret, const void *address, size_t size)
{
    memcpy(ret->bytes, address, size);
    ret->size = (uint32_t) size;
}

/* Copies an address of type-specific `size` from the bytes.  A shorter one is
 * padded with zeros. */
static void load(const struct sys_address *address, void *ret, size_t size)
{
    memset(ret, 0, size);
    memcpy(ret, address->bytes, address->size < size ? address->size : size);
}

/* Returns the AF_* of an address.  One that is too short for a family has
 * none. */
static int system_family(const struct sys_address *address)
{
    sa_family_t family;

    if (address->size < FAMILY_END)
        return AF_UNSPEC;
    memcpy(&family, address->bytes + offsetof(struct sockaddr, sa_family),
           sizeof family);
    return family;
}

enum sys_family aloop__sys_address_family(const struct sys_address *address)
{
    static const struct {
        int system;
        enum sys_family ours;
    } families[] = {
        {AF_INET, SYS_INET},
        {AF_INET6, SYS_INET6},
        {AF_UNIX, SYS_UNIX},
    };
    int family = system_family(address);

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (families[i].system == family)
            return families[i].ours;
    return SYS_FAMILY_NONE;
}

uint16_t aloop__sys_address_port(const struct sys_address *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (system_family(address)) {
    case AF_INET:
        load(address, &v4, sizeof v4);
        return ntohs(v4.sin_port);
    case AF_INET6:
        load(address, &v6, sizeof v6);
        return ntohs(v6.sin6_port);
    default:
        return 0;
    }
}

/* Compares fields, because bytes without a meaning may differ. */
bool aloop__sys_address_is_same(const struct sys_address *a,
                                const struct sys_address *b)
{
    enum sys_family family = aloop__sys_address_family(a);
    struct sockaddr_in6 a6, b6;
    struct sockaddr_in a4, b4;

    if (family != aloop__sys_address_family(b) ||
        aloop__sys_address_port(a) != aloop__sys_address_port(b))
        return false;
    switch (family) {
    case SYS_INET:
        load(a, &a4, sizeof a4);
        load(b, &b4, sizeof b4);
        return a4.sin_addr.s_addr == b4.sin_addr.s_addr;
    case SYS_INET6:
        load(a, &a6, sizeof a6);
        load(b, &b6, sizeof b6);
        return a6.sin6_scope_id == b6.sin6_scope_id &&
               memcmp(&a6.sin6_addr, &b6.sin6_addr, sizeof a6.sin6_addr) == 0;
    default:
        return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
    }
}

/* Converts the result of snprintf(): a text that did not fit is an error. */
static int written(int length, size_t size)
{
    return length < 0 || (size_t) length >= size ? -ENOSPC : length;
}

/* Writes "127.0.0.1:80". */
static int format_v4(const struct in_addr *host, unsigned port, char *text,
                     size_t size)
{
    char digits[INET_ADDRSTRLEN];

    if (inet_ntop(AF_INET, host, digits, sizeof digits) == NULL)
        return -errno;
    return written(snprintf(text, size, "%s:%u", digits, port), size);
}

/* An IPv4-mapped address (::ffff:1.2.3.4), which a socket for both families
 * reports, is written as an IPv4 address. */
static int format_v6(const struct sys_address *address, char *text, size_t size)
{
    struct sockaddr_in6 v6;
    char host[INET6_ADDRSTRLEN], scope[16] = "";

    load(address, &v6, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        struct in_addr v4;

        memcpy(&v4, &v6.sin6_addr.s6_addr[12], sizeof v4);
        return format_v4(&v4, ntohs(v6.sin6_port), text, size);
    }
    if (inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host) == NULL)
        return -errno;
    if (v6.sin6_scope_id != 0)
        snprintf(scope, sizeof scope, "%%%lu",
                 (unsigned long) v6.sin6_scope_id);
    return written(snprintf(text, size, "[%s%s]:%u", host, scope,
                            (unsigned) ntohs(v6.sin6_port)),
                   size);
}

/* Writes the path, or "@name" for an abstract socket of Linux, or nothing for a
 * socket without a name. */
static int format_unix(const struct sys_address *address, char *text,
                       size_t size)
{
    struct sockaddr_un local;
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t length = address->size > start ? address->size - start : 0;
    bool is_abstract;

    load(address, &local, sizeof local);
    if (length > sizeof local.sun_path)
        length = sizeof local.sun_path;
    is_abstract = length > 1 && local.sun_path[0] == '\0';
    if (!is_abstract)
        length = strnlen(local.sun_path, length);
    if (length >= size)
        return -ENOSPC;
    memcpy(text, local.sun_path, length);
    if (is_abstract)
        text[0] = '@';
    text[length] = '\0';
    return (int) length;
}

/* The family decides the format. */
int aloop__sys_address_format(const struct sys_address *address, char *text,
                              size_t size)
{
    struct sockaddr_in v4;

    switch (system_family(address)) {
    case AF_INET:
        load(address, &v4, sizeof v4);
        return format_v4(&v4.sin_addr, ntohs(v4.sin_port), text, size);
    case AF_INET6:
        return format_v6(address, text, size);
    case AF_UNIX:
        return format_unix(address, text, size);
    default:
        return -EINVAL;
    }
}

/* Parses decimal digits only.  Returns -EINVAL for anything else and above
 * `max`. */
static int64_t parse_number(const char *text, size_t digits_max, int64_t max)
{
    int64_t number = 0;
    size_t i;

    for (i = 0; text[i] >= '0' && text[i] <= '9' && i < digits_max; i++)
        number = number * 10 + (text[i] - '0');
    return i == 0 || text[i] != '\0' || number > max ? -EINVAL : number;
}

static int parse_port(const char *text)
{
    if (text == NULL)
        return -EINVAL;
    return (int) parse_number(text, PORT_DIGITS_MAX, UINT16_MAX);
}

/* Parses the interface after the '%' of a link-local address, a number or a
 * name.  A system may ignore what follows a colon in a name, such as a port. */
static int parse_scope(const char *text, uint32_t *ret)
{
    int64_t scope = parse_number(text, 10, UINT32_MAX);

    if (scope < 0 && strchr(text, ':') == NULL)
        scope = if_nametoindex(text); /* 0 means no such interface. */
    if (scope <= 0)
        return -EINVAL;
    *ret = (uint32_t) scope;
    return 0;
}

/* Parses an address with an optional interface, "fe80::1%eth0" (RFC 4007,
 * 11). */
static int parse_v6(const char *host, struct sockaddr_in6 *ret)
{
    char numeric[INET6_ADDRSTRLEN];
    size_t length = strcspn(host, "%");

    if (length >= sizeof numeric)
        return -EINVAL;
    memcpy(numeric, host, length);
    numeric[length] = '\0';
    if (inet_pton(AF_INET6, numeric, &ret->sin6_addr) != 1)
        return -EINVAL;
    if (host[length] == '\0')
        return 0;
    return parse_scope(host + length + 1, &ret->sin6_scope_id);
}

/* Returns whether the system supports IPv6.  It is checked each time, because
 * the setting can change. */
static bool has_v6(void)
{
    int fd = aloop__sys_tcp_socket(SYS_INET6);

    if (fd >= 0)
        aloop__sys_close(fd);
    return fd != -EAFNOSUPPORT;
}

/* The port is checked first, because both families need it. */
int aloop__sys_address_parse(const char *host, const char *port,
                             struct sys_address *ret)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int number = parse_port(port);

    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    if (number < 0)
        return number;
    if (host == NULL)
        host = has_v6() ? "::" : "0.0.0.0";
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons((uint16_t) number);
        store(ret, &v4, sizeof v4);
        return 0;
    }
    if (parse_v6(host, &v6) < 0)
        return -EINVAL;
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons((uint16_t) number);
    store(ret, &v6, sizeof v6);
    return 0;
}

static void export_v4(const struct sys_address *address, aloop_address *ret)
{
    struct sockaddr_in v4;

    load(address, &v4, sizeof v4);
    *ret = (aloop_address){
        .port = ntohs(v4.sin_port),
        .family = ALOOP_FAMILY_IPV4,
    };
    memcpy(ret->host, &v4.sin_addr, sizeof v4.sin_addr);
}

static void export_v6(const struct sys_address *address, aloop_address *ret)
{
    struct sockaddr_in6 v6;

    load(address, &v6, sizeof v6);
    *ret = (aloop_address){
        .scope = v6.sin6_scope_id,
        .flow = ntohl(v6.sin6_flowinfo),
        .port = ntohs(v6.sin6_port),
        .family = ALOOP_FAMILY_IPV6,
    };
    memcpy(ret->host, &v6.sin6_addr, sizeof v6.sin6_addr);
}

int aloop__sys_address_export(const struct sys_address *address,
                              aloop_address *ret)
{
    int family = system_family(address);
    bool is_v4 = family == AF_INET;

    if (address->size < FAMILY_END)
        return -EINVAL;
    if (!is_v4 && family != AF_INET6)
        return -EAFNOSUPPORT;
    if (address->size <
        (is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)))
        return -EINVAL;
    (is_v4 ? export_v4 : export_v6)(address, ret);
    return 0;
}

void aloop__sys_address_import(const aloop_address *address,
                               struct sys_address *ret)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
#ifdef SIN6_LEN /* The structures begin with their size. */
    v4.sin_len = sizeof v4;
    v6.sin6_len = sizeof v6;
#endif
    if (address->family == ALOOP_FAMILY_IPV4) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address->port);
        memcpy(&v4.sin_addr, address->host, sizeof v4.sin_addr);
        store(ret, &v4, sizeof v4);
    } else {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(address->port);
        v6.sin6_flowinfo = htonl(address->flow);
        v6.sin6_scope_id = address->scope;
        memcpy(&v6.sin6_addr, address->host, sizeof v6.sin6_addr);
        store(ret, &v6, sizeof v6);
    }
}

/* Translates the result of getaddrinfo().  EAI_NODATA and EAI_ADDRFAMILY, which
 * not all systems have, mean the same to a program as EAI_NONAME. */
static int resolver_error(int code, int system_error)
{
    static const struct {
        int code;
        int error;
    } errors[] = {
        {EAI_NONAME, ALOOP_EHOSTNOTFOUND},
        {EAI_SERVICE, ALOOP_EHOSTNOTFOUND},
#ifdef EAI_NODATA
        {EAI_NODATA, ALOOP_EHOSTNOTFOUND},
#endif
#ifdef EAI_ADDRFAMILY
        {EAI_ADDRFAMILY, ALOOP_EHOSTNOTFOUND},
#endif
#ifdef EAI_OVERFLOW
        {EAI_OVERFLOW, ALOOP_ENAMETOOLONG},
#endif
        {EAI_AGAIN, ALOOP_EAGAINDNS},
        {EAI_MEMORY, ALOOP_ENOMEM},
    };

    if (code == EAI_SYSTEM)
        return system_error != 0 ? -system_error : ALOOP_ERESOLVE;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == code)
            return errors[i].error;
    return ALOOP_ERESOLVE;
}

/* Rejects port numbers that the parsers of resolvers misread: some take 65616
 * for 80, or accept "+80".  The name of a service contains a letter; anything
 * else must be a port number. */
static bool is_sane_port(const char *port)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return strpbrk(port, letters) != NULL || parse_port(port) >= 0;
}

/* Other families cannot be connected to by TCP. */
static bool is_usable(const struct addrinfo *info)
{
    return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

/* Copies the usable addresses.  Returns their number or an error. */
static int copy_addresses(const struct addrinfo *list, struct sys_address **ret)
{
    size_t count = 0;

    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        count += is_usable(at);
    if (count == 0)
        return ALOOP_EHOSTNOTFOUND;
    if (count > ADDRESSES_MAX)
        count = ADDRESSES_MAX;
    *ret = malloc(count * sizeof **ret);
    if (*ret == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; list = list->ai_next)
        if (is_usable(list))
            store(&(*ret)[i++], list->ai_addr, list->ai_addrlen);
    return (int) count;
}

/* A name has at most 253 bytes (RFC 1035, 2.3.4, counts 255 with the lengths of
 * its labels). */
bool aloop__sys_host_is_too_long(const char *host)
{
    size_t size = strnlen(host, HOST_SIZE_MAX + 2);

    return size > HOST_SIZE_MAX &&
           (size > HOST_SIZE_MAX + 1 || host[HOST_SIZE_MAX] != '.');
}

/* Called on a thread of the pool, and only with arguments of the job. */
int aloop__sys_resolve(const char *host, const char *port,
                       enum sys_family family, struct sys_address **ret)
{
    struct addrinfo hints, *list = NULL;
    int code;

    *ret = NULL;
    if (host == NULL || port == NULL || !is_sane_port(port))
        return -EINVAL;
    if (aloop__sys_host_is_too_long(host))
        return -ENAMETOOLONG;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = family == SYS_INET    ? AF_INET
                      : family == SYS_INET6 ? AF_INET6
                                            : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    do {
        errno = 0;
        code = getaddrinfo(host, port, &hints, &list);
    } while (code == EAI_SYSTEM && errno == EINTR);
    if (code != 0)
        return resolver_error(code, errno);
    code = copy_addresses(list, ret);
    freeaddrinfo(list);
    return code;
}

int aloop__sys_resolve_name(const struct sys_address *address, char *name,
                            size_t size)
{
    struct sockaddr_storage any;
    int code;

    load(address, &any, sizeof any);
    do {
        errno = 0;
        code = getnameinfo((const struct sockaddr *) &any,
                           (socklen_t) address->size, name, (socklen_t) size,
                           NULL, 0, NI_NAMEREQD);
    } while (code == EAI_SYSTEM && errno == EINTR);
    return code == 0 ? (int) strlen(name) : resolver_error(code, errno);
}

void aloop__sys_resolve_free(struct sys_address *addresses)
{
    free(addresses);
}
