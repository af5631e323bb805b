/* Addresses: numeric ones as on a real system, the names that a test defines,
 * and the addresses that do not answer. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "aloop/error.h"
#include "sim_world.h"

enum { NAME_SIZE = 256 };

struct host {
    struct host *next;
    char name[NAME_SIZE];
    int64_t delay_ns;
    int error; /* If not 0, there are no addresses. */
    size_t count;
    struct sys_address addresses[];
};

/* An address that does not answer. */
struct silent {
    struct silent *next;
    struct sys_address address;
    bool is_blackhole; /* Otherwise unreachable. */
};

static struct host *hosts;
static struct silent *silents;

static const struct {
    const char *name, *port;
} services[] = {{"http", "80"}, {"https", "443"}, {"domain", "53"}};

static struct sockaddr_in to_inet(const struct sys_address *address)
{
    struct sockaddr_in inet;

    memcpy(&inet, address->bytes, sizeof inet);
    return inet;
}

static struct sockaddr_in6 to_inet6(const struct sys_address *address)
{
    struct sockaddr_in6 inet6;

    memcpy(&inet6, address->bytes, sizeof inet6);
    return inet6;
}

static struct sys_address from_bytes(const void *bytes, size_t size)
{
    struct sys_address address = {.size = (uint32_t) size};

    memcpy(address.bytes, bytes, size);
    return address;
}

static struct sys_address from_inet(struct in_addr host)
{
    struct sockaddr_in inet;

    memset(&inet, 0, sizeof inet);
    inet.sin_family = AF_INET;
    inet.sin_addr = host;
    return from_bytes(&inet, sizeof inet);
}

static struct sys_address from_inet6(struct in6_addr host)
{
    struct sockaddr_in6 inet6;

    memset(&inet6, 0, sizeof inet6);
    inet6.sin6_family = AF_INET6;
    inet6.sin6_addr = host;
    return from_bytes(&inet6, sizeof inet6);
}

enum sys_family aloop__sys_address_family(const struct sys_address *address)
{
    sa_family_t family;

    if (address->size < sizeof family)
        return SYS_FAMILY_NONE;
    memcpy(&family, address->bytes, sizeof family);
    if (family == AF_INET)
        return SYS_INET;
    if (family == AF_INET6)
        return SYS_INET6;
    return family == AF_UNIX ? SYS_UNIX : SYS_FAMILY_NONE;
}

struct sys_address sim__address_unnamed(void)
{
    struct sys_address address = {.size = sizeof(sa_family_t)};
    sa_family_t family = AF_UNIX;

    memcpy(address.bytes, &family, sizeof family);
    return address;
}

uint16_t aloop__sys_address_port(const struct sys_address *address)
{
    enum sys_family family = aloop__sys_address_family(address);

    if (family == SYS_FAMILY_NONE || family == SYS_UNIX)
        return 0;
    return ntohs(family == SYS_INET ? to_inet(address).sin_port
                                    : to_inet6(address).sin6_port);
}

void sim__address_set_port(struct sys_address *address, uint16_t port)
{
    if (aloop__sys_address_family(address) == SYS_INET) {
        struct sockaddr_in inet = to_inet(address);

        inet.sin_port = htons(port);
        memcpy(address->bytes, &inet, sizeof inet);
    } else {
        struct sockaddr_in6 inet6 = to_inet6(address);

        inet6.sin6_port = htons(port);
        memcpy(address->bytes, &inet6, sizeof inet6);
    }
}

bool sim__address_is_same(const struct sys_address *a,
                          const struct sys_address *b)
{
    if (aloop__sys_address_family(a) != aloop__sys_address_family(b))
        return false;
    if (aloop__sys_address_family(a) == SYS_UNIX)
        return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
    if (aloop__sys_address_family(a) == SYS_INET)
        return to_inet(a).sin_addr.s_addr == to_inet(b).sin_addr.s_addr;
    struct in6_addr host_a = to_inet6(a).sin6_addr;
    struct in6_addr host_b = to_inet6(b).sin6_addr;
    return memcmp(&host_a, &host_b, sizeof host_a) == 0;
}

bool aloop__sys_address_is_same(const struct sys_address *a,
                                const struct sys_address *b)
{
    return aloop__sys_address_port(a) == aloop__sys_address_port(b) &&
           sim__address_is_same(a, b);
}

static struct sys_address parsed(const char *host)
{
    struct sys_address address = {0};
    int error = aloop__sys_address_parse(host, "0", &address);

    assert(error == 0);
    (void) error;
    return address;
}

bool sim__address_is_any(const struct sys_address *address)
{
    struct sys_address any = parsed(
        aloop__sys_address_family(address) == SYS_INET ? "0.0.0.0" : "::");

    return sim__address_is_same(address, &any);
}

struct sys_address sim__address_source(const struct sys_address *to)
{
    if (aloop__sys_address_family(to) == SYS_INET) {
        uint32_t host = ntohl(to_inet(to).sin_addr.s_addr);

        return parsed(host >> 24 == 127 ? "127.0.0.1" : "192.0.2.1");
    }
    struct in6_addr host = to_inet6(to).sin6_addr;
    return parsed(IN6_IS_ADDR_LOOPBACK(&host) ? "::1" : "2001:db8::1");
}

struct sys_address sim__address_mapped(const struct sys_address *address)
{
    struct in_addr host = to_inet(address).sin_addr;
    struct in6_addr mapped = {{{0}}};
    struct sys_address result;

    mapped.s6_addr[10] = mapped.s6_addr[11] = 0xff;
    memcpy(&mapped.s6_addr[12], &host, sizeof host);
    result = from_inet6(mapped);
    sim__address_set_port(&result, aloop__sys_address_port(address));
    return result;
}

int aloop__sys_address_export(const struct sys_address *address,
                              aloop_address *ret)
{
    enum sys_family family = aloop__sys_address_family(address);

    if (family == SYS_INET && address->size >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in inet = to_inet(address);

        *ret = (aloop_address){
            .port = ntohs(inet.sin_port),
            .family = ALOOP_FAMILY_IPV4,
        };
        memcpy(ret->host, &inet.sin_addr, 4);
        return 0;
    }
    if (family == SYS_INET6 && address->size >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 inet6 = to_inet6(address);

        *ret = (aloop_address){
            .scope = inet6.sin6_scope_id,
            .flow = ntohl(inet6.sin6_flowinfo),
            .port = ntohs(inet6.sin6_port),
            .family = ALOOP_FAMILY_IPV6,
        };
        memcpy(ret->host, &inet6.sin6_addr, 16);
        return 0;
    }
    return family != SYS_INET && family != SYS_INET6 &&
                   address->size >= sizeof(sa_family_t)
               ? -EAFNOSUPPORT
               : -EINVAL;
}

void aloop__sys_address_import(const aloop_address *address,
                               struct sys_address *ret)
{
    if (address->family == ALOOP_FAMILY_IPV4) {
        struct in_addr host;

        memcpy(&host, address->host, sizeof host);
        *ret = from_inet(host);
    } else {
        struct in6_addr host;
        struct sockaddr_in6 inet6;

        memcpy(&host, address->host, sizeof host);
        *ret = from_inet6(host);
        inet6 = to_inet6(ret);
        inet6.sin6_scope_id = address->scope;
        inet6.sin6_flowinfo = htonl(address->flow);
        memcpy(ret->bytes, &inet6, sizeof inet6);
    }
    sim__address_set_port(ret, address->port);
}

int aloop__sys_address_format(const struct sys_address *address, char *text,
                              size_t size)
{
    enum sys_family family = aloop__sys_address_family(address);
    char host[INET6_ADDRSTRLEN + sizeof "%4294967295"];
    int written;

    if (family == SYS_FAMILY_NONE)
        return -EINVAL;
    if (family == SYS_UNIX)
        return sim__unix_format(address, text, size);
    if (family == SYS_INET) {
        struct sockaddr_in inet = to_inet(address);

        inet_ntop(AF_INET, &inet.sin_addr, host, sizeof host);
    } else {
        struct sockaddr_in6 inet6 = to_inet6(address);

        inet_ntop(AF_INET6, &inet6.sin6_addr, host, sizeof host);
        if (IN6_IS_ADDR_V4MAPPED(&inet6.sin6_addr)) {
            family = SYS_INET;
            inet_ntop(AF_INET, &inet6.sin6_addr.s6_addr[12], host, sizeof host);
        } else if (inet6.sin6_scope_id != 0) {
            snprintf(host + strlen(host), sizeof host - strlen(host), "%%%lu",
                     (unsigned long) inet6.sin6_scope_id);
        }
    }
    written = snprintf(text, size, family == SYS_INET ? "%s:%u" : "[%s]:%u",
                       host, (unsigned) aloop__sys_address_port(address));
    return (size_t) written < size ? written : -ENOSPC;
}

static int parse_port(const char *port)
{
    int value = 0;

    if (port == NULL || *port == '\0')
        return -EINVAL;
    for (; *port != '\0'; port++) {
        if (*port < '0' || *port > '9')
            return -EINVAL;
        value = 10 * value + (*port - '0');
        if (value > UINT16_MAX)
            return -EINVAL;
    }
    return value;
}

/* Parses an IPv6 address and its interface.  The machine has only "lo", whose
 * number is 1, but every number is accepted. */
static int parse_inet6(const char *host, struct sys_address *ret)
{
    size_t length = strcspn(host, "%");
    char text[INET6_ADDRSTRLEN];
    unsigned long scope = 0;
    struct in6_addr inet6;
    struct sockaddr_in6 whole;

    if (length >= sizeof text)
        return -EINVAL;
    memcpy(text, host, length);
    text[length] = '\0';
    if (inet_pton(AF_INET6, text, &inet6) != 1)
        return -EINVAL;
    if (host[length] == '%') {
        const char *name = host + length + 1;

        if (strlen(name) < 10 && name[strspn(name, "0123456789")] == '\0')
            scope = strtoul(name, NULL, 10);
        else if (strcmp(name, "lo") == 0)
            scope = 1;
        if (scope == 0)
            return -EINVAL;
    }
    *ret = from_inet6(inet6);
    whole = to_inet6(ret);
    whole.sin6_scope_id = (uint32_t) scope;
    memcpy(ret->bytes, &whole, sizeof whole);
    return 0;
}

int aloop__sys_address_parse(const char *host, const char *port,
                             struct sys_address *ret)
{
    int number = parse_port(port);
    struct in_addr inet;

    if (number < 0)
        return number;
    if (host == NULL)
        host = sim__world.options.has_no_ipv6 ? "0.0.0.0" : "::";
    if (inet_pton(AF_INET, host, &inet) == 1)
        *ret = from_inet(inet);
    else if (parse_inet6(host, ret) < 0)
        return -EINVAL;
    sim__address_set_port(ret, (uint16_t) number);
    return 0;
}

static struct host **find_host(const char *name)
{
    struct host **at = &hosts;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static struct host *add_host(const char *name, size_t count)
{
    struct host **at = find_host(name), *old = *at;
    struct host *host =
        sim__allocate(NULL, sizeof *host + count * sizeof host->addresses[0]);

    if (old != NULL) {
        *at = old->next;
        free(old);
    }
    *host = (struct host){.next = hosts, .count = count};
    snprintf(host->name, sizeof host->name, "%s", name);
    hosts = host;
    return host;
}

void sim_host(const char *name, const char *const *addresses)
{
    size_t count = 0;

    while (addresses[count] != NULL)
        count++;
    struct host *host = add_host(name, count);

    for (size_t i = 0; i < count; i++)
        host->addresses[i] = parsed(addresses[i]);
}

void sim_host_error(const char *name, int error)
{
    add_host(name, 0)->error = error;
}

void sim_host_delay(const char *name, int64_t ns)
{
    struct host **at = find_host(name);
    struct host *host = *at != NULL ? *at : add_host(name, 0);

    host->delay_ns = ns;
}

static const char *service_port(const char *port)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (strcmp(port, services[i].name) == 0)
            return services[i].port;
    return port;
}

static bool is_wanted(const struct sys_address *address, enum sys_family family)
{
    return family == SYS_FAMILY_NONE ||
           family == aloop__sys_address_family(address);
}

static bool has_letter(const char *text)
{
    return strpbrk(text, "abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

/* Finds the addresses that getaddrinfo() would return; see
 * aloop__sys_resolve(). */
static int find_addresses(const char *host, const char *port,
                          enum sys_family family, struct sys_address **ret)
{
    struct sys_address numeric;
    struct host *found;
    int number = parse_port(service_port(port));
    size_t count = 0;

    if (number < 0)
        return has_letter(port) ? ALOOP_EHOSTNOTFOUND : -EINVAL;
    if (aloop__sys_address_parse(host, service_port(port), &numeric) == 0) {
        if (!is_wanted(&numeric, family))
            return ALOOP_EHOSTNOTFOUND;
        *ret = sim__allocate(NULL, sizeof **ret);
        **ret = numeric;
        return 1;
    }
    found = *find_host(host);
    if (found != NULL && found->delay_ns > 0)
        sim__thread_sleep(found->delay_ns);
    found = *find_host(host); /* It may have changed meanwhile. */
    if (found == NULL || (found->error == 0 && found->count == 0))
        return ALOOP_EHOSTNOTFOUND;
    if (found->error < 0)
        return found->error;
    for (size_t i = 0; i < found->count; i++)
        count += is_wanted(&found->addresses[i], family);
    if (count == 0)
        return ALOOP_EHOSTNOTFOUND;
    *ret = sim__allocate(NULL, count * sizeof **ret);
    count = 0;
    for (size_t i = 0; i < found->count; i++) {
        if (!is_wanted(&found->addresses[i], family))
            continue;
        (*ret)[count] = found->addresses[i];
        sim__address_set_port(&(*ret)[count++], (uint16_t) number);
    }
    return (int) count;
}

int aloop__sys_resolve(const char *host, const char *port,
                       enum sys_family family, struct sys_address **ret)
{
    int fault = sim__enter(CALL_sys_resolve);

    *ret = NULL;
    if (fault < 0)
        return fault;
    sim__trace_bytes(host, strlen(host));
    return find_addresses(host, port, family, ret);
}

/* Returns the host that a test has defined with this address, or NULL. */
static struct host *find_address(const struct sys_address *address)
{
    for (struct host *host = hosts; host != NULL; host = host->next)
        for (size_t i = 0; i < host->count; i++)
            if (sim__address_is_same(&host->addresses[i], address))
                return host;
    return NULL;
}

int aloop__sys_resolve_name(const struct sys_address *address, char *name,
                            size_t size)
{
    int fault = sim__enter(CALL_sys_resolve_name);
    struct host *found = find_address(address);
    int length;

    if (fault < 0)
        return fault;
    sim__trace_bytes(address->bytes, address->size);
    if (found != NULL && found->delay_ns > 0)
        sim__thread_sleep(found->delay_ns);
    found = find_address(address); /* It may have changed meanwhile. */
    if (found == NULL)
        return ALOOP_EHOSTNOTFOUND;
    length = snprintf(name, size, "%s", found->name);
    return (size_t) length < size ? length : -ENAMETOOLONG;
}

void aloop__sys_resolve_free(struct sys_address *addresses)
{
    free(addresses);
}

/* The limit is 253 bytes, without a dot at the end. */
bool aloop__sys_host_is_too_long(const char *host)
{
    size_t size = strlen(host);

    return size > 254 || (size == 254 && host[253] != '.');
}

static void add_silent(const char *host, bool is_blackhole)
{
    struct silent *silent = sim__allocate(NULL, sizeof *silent);

    *silent = (struct silent){silents, parsed(host), is_blackhole};
    silents = silent;
}

static bool is_silent(const struct sys_address *address, bool is_blackhole)
{
    for (struct silent *silent = silents; silent != NULL; silent = silent->next)
        if (silent->is_blackhole == is_blackhole &&
            sim__address_is_same(&silent->address, address))
            return true;
    return false;
}

void sim_blackhole(const char *host)
{
    add_silent(host, true);
}

void sim_unreachable(const char *host)
{
    add_silent(host, false);
}

bool sim__address_is_blackhole(const struct sys_address *address)
{
    return is_silent(address, true);
}

bool sim__address_is_unreachable(const struct sys_address *address)
{
    return is_silent(address, false);
}

void sim__address_end(void)
{
    while (hosts != NULL) {
        struct host *host = hosts;

        hosts = host->next;
        free(host);
    }
    while (silents != NULL) {
        struct silent *silent = silents;

        silents = silent->next;
        free(silent);
    }
}
