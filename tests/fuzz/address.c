/* Addresses as text, on the real src/os/sys_address.c.  Parsed addresses are
 * compared with a strict parser of this file, formatted ones are parsed again,
 * and look-ups are compared with the answer of a replaced resolver.
 *
 * The first byte selects the test.  The resolver and the interfaces of the
 * machine are not used: the libc functions for them are replaced here. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "aloop/error.h"
#include "os/sys.h"

enum { TEXT_SIZE = 512, ANSWERS_MAX = 12 };

/* The answer of the resolver. */
static struct {
    struct fuzz_input bytes;
    unsigned interrupted; /* Number of calls that a signal interrupts. */
    int code;
    struct addrinfo infos[ANSWERS_MAX];
    struct sockaddr_in6 v6[ANSWERS_MAX];
    struct sockaddr_in v4[ANSWERS_MAX];
    size_t count;
    unsigned given, freed;
} answer;

/* A port with a letter is a service name.  Otherwise it must be a number. */
static bool is_port(const char *port)
{
    size_t digits = strspn(port, "0123456789");

    return digits > 0 && digits <= 5 && port[digits] == '\0' &&
           strtoul(port, NULL, 10) <= 65535;
}

static bool has_letter(const char *text)
{
    for (; *text != '\0'; text++)
        if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z'))
            return true;
    return false;
}

static void answer_with(size_t i, unsigned kind)
{
    struct addrinfo *info = &answer.infos[i];

    info->ai_family = kind == 0 ? AF_INET : kind == 1 ? AF_INET6 : AF_UNIX;
    answer.v4[i].sin_family = AF_INET;
    answer.v4[i].sin_port = htons((uint16_t) (i + 1));
    answer.v6[i].sin6_family = AF_INET6;
    answer.v6[i].sin6_port = htons((uint16_t) (i + 1));
    info->ai_addr = kind == 0 ? (struct sockaddr *) &answer.v4[i]
                              : (struct sockaddr *) &answer.v6[i];
    info->ai_addrlen = kind == 0 ? sizeof answer.v4[i] : sizeof answer.v6[i];
    info->ai_next = i + 1 < answer.count ? info + 1 : NULL;
}

int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **ret)
{
    FUZZ_CHECK(host != NULL && strlen(host) <= 254);
    FUZZ_CHECK(port != NULL && (has_letter(port) || is_port(port)));
    FUZZ_CHECK(hints->ai_socktype == SOCK_STREAM);
    if (answer.interrupted > 0) {
        answer.interrupted--;
        errno = EINTR;
        return EAI_SYSTEM;
    }
    errno = ECONNREFUSED;
    if (answer.code != 0)
        return answer.code;
    for (size_t i = 0; i < answer.count; i++)
        answer_with(i, fuzz_below(&answer.bytes, 3));
    answer.given++;
    *ret = answer.count > 0 ? answer.infos : NULL;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    FUZZ_CHECK(list == (answer.count > 0 ? answer.infos : NULL));
    answer.freed++;
}

unsigned if_nametoindex(const char *name)
{
    return strcmp(name, "eth0") == 0 ? 7 : 0;
}

/* Reads "1.2.3.4" to four bytes. */
static bool read_v4(const char *text, size_t size, uint8_t *ret)
{
    size_t at = 0;

    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t start = at;

        if (part > 0 && (at >= size || text[at++] != '.'))
            return false;
        start = at;
        while (at < size && at - start < 4 && text[at] >= '0' &&
               text[at] <= '9')
            value = value * 10 + (unsigned) (text[at++] - '0');
        if (at == start || value > 255 ||
            (text[start] == '0' && at - start > 1))
            return false;
        ret[part] = (uint8_t) value;
    }
    return at == size;
}

/* Reads groups "a:b:c" without a gap; the last may be an IPv4 address.  Returns
 * the number of bytes, or -1. */
static int read_groups(const char *text, size_t size, uint8_t *ret,
                       bool may_end_in_v4)
{
    int used = 0;
    size_t at = 0;

    while (at < size) {
        size_t end = at;
        unsigned value = 0;

        while (end < size && text[end] != ':')
            end++;
        if (end == size && may_end_in_v4 && used <= 12 &&
            read_v4(text + at, size - at, ret + used))
            return used + 4;
        if (used == 16 || end == at || end - at > 4 || end + 1 == size)
            return -1;
        for (; at < end; at++) {
            const char *digits = "00112233445566778899aAbBcCdDeEfF";
            const char *found = text[at] == '\0' ? NULL
                                                 : strchr(digits, text[at]);

            if (found == NULL)
                return -1;
            value = value * 16 + (unsigned) (found - digits) / 2;
        }
        ret[used++] = (uint8_t) (value >> 8);
        ret[used++] = (uint8_t) value;
        at = end + 1;
    }
    return used;
}

static bool read_v6(const char *text, size_t size, uint8_t *ret)
{
    const char *gap = NULL;
    uint8_t front[16], back[16];
    int in_front, behind;

    for (size_t i = 0; i + 1 < size && gap == NULL; i++)
        if (text[i] == ':' && text[i + 1] == ':')
            gap = text + i;
    if (gap == NULL)
        return read_groups(text, size, ret, true) == 16;
    in_front = read_groups(text, (size_t) (gap - text), front, false);
    behind = read_groups(gap + 2, size - (size_t) (gap - text) - 2, back, true);
    if (in_front < 0 || behind < 0 || in_front + behind > 14)
        return false;
    memset(ret, 0, 16);
    memcpy(ret, front, (size_t) in_front);
    memcpy(ret + 16 - behind, back, (size_t) behind);
    return true;
}

static bool read_scope(const char *text, uint32_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long long value = 0;

    if (digits > 0 && digits <= 10 && text[digits] == '\0')
        value = strtoull(text, NULL, 10);
    if (strcmp(text, "eth0") == 0)
        value = 7;
    *ret = (uint32_t) value;
    return value > 0 && value <= UINT32_MAX;
}

/* Reads an address and its scope as the parser should. */
static enum sys_family read_host(const char *host, uint8_t *ret,
                                 uint32_t *ret_scope)
{
    size_t size = strcspn(host, "%");

    *ret_scope = 0;
    if (read_v4(host, strlen(host), ret))
        return SYS_INET;
    if (!read_v6(host, size, ret))
        return SYS_FAMILY_NONE;
    if (host[size] == '%' && !read_scope(host + size + 1, ret_scope))
        return SYS_FAMILY_NONE;
    return SYS_INET6;
}

static void check_is(const struct sys_address *address, enum sys_family family,
                     const uint8_t *host, uint32_t scope)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    FUZZ_CHECK(aloop__sys_address_family(address) == family);
    if (family == SYS_INET) {
        FUZZ_CHECK(address->size == sizeof v4);
        memcpy(&v4, address->bytes, sizeof v4);
        FUZZ_CHECK(memcmp(&v4.sin_addr, host, 4) == 0);
    } else {
        FUZZ_CHECK(address->size == sizeof v6);
        memcpy(&v6, address->bytes, sizeof v6);
        FUZZ_CHECK(memcmp(&v6.sin6_addr, host, 16) == 0);
        FUZZ_CHECK(v6.sin6_scope_id == scope);
    }
}

/* Splits a text into the host, without its brackets, and the port. */
static void split(char *text, const char **ret_host, const char **ret_port)
{
    char *colon = strrchr(text, ':');

    FUZZ_CHECK(colon != NULL);
    *colon = '\0';
    *ret_port = colon + 1;
    *ret_host = text;
    if (text[0] == '[') {
        FUZZ_CHECK(colon[-1] == ']');
        colon[-1] = '\0';
        *ret_host = text + 1;
    }
}

/* Checks that the formatted address is parsed to the same address. */
static void check_format(const struct sys_address *address)
{
    char text[96], copy[96];
    struct sys_address again;
    const char *host, *port;
    int size = aloop__sys_address_format(address, text, sizeof text);

    FUZZ_CHECK(size > 0 && strlen(text) == (size_t) size);
    memcpy(copy, text, sizeof text);
    split(copy, &host, &port);
    memset(&again, 0x55, sizeof again);
    FUZZ_CHECK(aloop__sys_address_parse(host, port, &again) == 0);
    FUZZ_CHECK(aloop__sys_address_port(address) ==
               aloop__sys_address_port(&again));
    FUZZ_CHECK(aloop__sys_address_format(&again, copy, sizeof copy) == size);
    FUZZ_CHECK(strcmp(text, copy) == 0);
}

static void check_parse(const char *host, const char *port)
{
    struct sys_address address;
    uint8_t bytes[16];
    uint32_t scope;
    enum sys_family family = read_host(host, bytes, &scope);
    int result;

    memset(&address, 0x55, sizeof address);
    result = aloop__sys_address_parse(host, port, &address);
    if (!is_port(port) || family == SYS_FAMILY_NONE) {
        FUZZ_CHECK(result == -EINVAL && address.size == 0x55555555);
        return;
    }
    FUZZ_CHECK(result == 0);
    check_is(&address, family, bytes, scope);
    FUZZ_CHECK(aloop__sys_address_port(&address) == strtoul(port, NULL, 10));
    check_format(&address);
}

/* Checks a buffer that is too small: nothing is written to it, or beyond it. */
static void check_room(const struct sys_address *address, size_t room)
{
    char text[256], small[256];
    int size = aloop__sys_address_format(address, text, sizeof text);
    int result;

    memset(small, 0x55, sizeof small);
    result = aloop__sys_address_format(address, small, room);
    if (size < 0) {
        FUZZ_CHECK(result == size);
        return;
    }
    FUZZ_CHECK((size_t) size < sizeof text && text[size] == '\0');
    FUZZ_CHECK(result == ((size_t) size < room ? size : -ENOSPC));
    FUZZ_CHECK(result < 0 || memcmp(text, small, (size_t) size + 1) == 0);
    for (size_t i = room; i < sizeof small; i++)
        FUZZ_CHECK(small[i] == 0x55);
}

/* Checks addresses with arbitrary bytes and of any length, as if from the
 * kernel. */
static void check_bytes(struct fuzz_input *bytes)
{
    static const sa_family_t families[] = {AF_INET, AF_INET6, AF_UNIX,
                                           AF_UNSPEC};
    struct sys_address address;
    struct sockaddr any;
    size_t room = fuzz_byte(bytes);

    memset(&address, 0, sizeof address);
    memset(&any, 0, sizeof any);
    any.sa_family = families[fuzz_below(bytes, 4)];
    address.size = fuzz_byte(bytes) % (sizeof address.bytes + 1);
    for (size_t i = 0; i < sizeof address.bytes; i++)
        address.bytes[i] = (unsigned char) fuzz_byte(bytes);
    memcpy(address.bytes + offsetof(struct sockaddr, sa_family), &any.sa_family,
           sizeof any.sa_family);
    check_room(&address, room);
    if (aloop__sys_address_family(&address) == SYS_INET ||
        aloop__sys_address_family(&address) == SYS_INET6)
        check_format(&address);
}

static int error_of(int code)
{
    return code == EAI_NONAME    ? ALOOP_EHOSTNOTFOUND
           : code == EAI_SERVICE ? ALOOP_EHOSTNOTFOUND
           : code == EAI_AGAIN   ? ALOOP_EAGAINDNS
           : code == EAI_MEMORY  ? ALOOP_ENOMEM
           : code == EAI_SYSTEM  ? ALOOP_ECONNREFUSED
                                 : ALOOP_ERESOLVE;
}

static size_t expect_answers(uint16_t *ports)
{
    size_t count = 0;

    for (size_t i = 0; i < answer.count; i++)
        if (answer.infos[i].ai_family != AF_UNIX)
            ports[count++] = (uint16_t) (i + 1);
    return count;
}

static void check_resolve(struct fuzz_input *bytes, const char *host,
                          const char *port)
{
    static const int codes[] = {0,          0,           0,
                                EAI_NONAME, EAI_SERVICE, EAI_AGAIN,
                                EAI_MEMORY, EAI_SYSTEM,  EAI_FAIL};
    struct sys_address *found;
    uint16_t ports[ANSWERS_MAX];
    size_t count, size = strlen(host);
    int result;

    answer.code = codes[fuzz_byte(bytes) % (sizeof codes / sizeof codes[0])];
    answer.interrupted = fuzz_below(bytes, 3);
    answer.count = fuzz_byte(bytes) % (ANSWERS_MAX + 1);
    answer.bytes = *bytes;
    result = aloop__sys_resolve(host, port, SYS_FAMILY_NONE, &found);
    FUZZ_CHECK((found != NULL) == (result > 0));
    FUZZ_CHECK(answer.given == answer.freed);
    if (!has_letter(port) && !is_port(port)) {
        FUZZ_CHECK(result == -EINVAL);
    } else if (size > 254 || (size == 254 && host[253] != '.')) {
        FUZZ_CHECK(result == -ENAMETOOLONG);
    } else if (answer.code != 0) {
        FUZZ_CHECK(result == error_of(answer.code));
    } else {
        count = expect_answers(ports);
        FUZZ_CHECK(result == (count > 0 ? (int) count : ALOOP_EHOSTNOTFOUND));
        for (size_t i = 0; i < count; i++)
            FUZZ_CHECK(aloop__sys_address_port(&found[i]) == ports[i]);
    }
    aloop__sys_resolve_free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input bytes = {data, data + size};
    char text[TEXT_SIZE], *port = text;
    unsigned kind = fuzz_below(&bytes, 3);

    if (size >= sizeof text)
        return 0;
    memset(&answer, 0, sizeof answer);
    if (kind == 0) {
        check_bytes(&bytes);
        return 0;
    }
    memcpy(text, bytes.next, fuzz_left(&bytes));
    text[fuzz_left(&bytes)] = '\0';
    port = strchr(text, ' ');
    if (port == NULL)
        return 0;
    *port++ = '\0';
    if (kind == 1) {
        check_parse(text, port);
    } else {
        bytes.next += strlen(text);
        check_resolve(&bytes, text, port);
    }
    return 0;
}
