/* URLs: the parts that examples/support/url.c finds must be well formed, mean
 * the same when they are joined again, and resolve according to RFC 3986,
 * section 5.2.
 *
 * The input is a URL and, after a line feed, a reference. */

#include "fuzz.h"

#include <string.h>

#include "../../examples/support/http_error.h"
#include "../../examples/support/url.h"

enum { TEXT_SIZE = 4096 };

static void check_host(const char *host)
{
    size_t size = strlen(host);

    FUZZ_CHECK(size > 0 && size < sizeof((struct url *) NULL)->host);
    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK(host[i] > ' ' && host[i] < 0x7f &&
                   strchr("/?#@[]\\\"<>", host[i]) == NULL);
}

static void check_port(const char *port)
{
    unsigned long number = strtoul(port, NULL, 10);
    char text[8];

    FUZZ_CHECK(number >= 1 && number <= 65535);
    snprintf(text, sizeof text, "%lu", number);
    FUZZ_CHECK(strcmp(text, port) == 0);
}

/* A target is copied to a request unchanged. */
static void check_target(const char *target)
{
    size_t size = strlen(target), path = strcspn(target, "?");

    FUZZ_CHECK(target[0] == '/' && size < URL_SIZE);
    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK((unsigned char) target[i] > ' ' && target[i] != 0x7f &&
                   target[i] != '#');
    for (size_t i = 0; i < path; i++) {
        size_t segment = strcspn(target + i + 1, "/?");

        if (target[i] == '/')
            FUZZ_CHECK((segment != 1 || target[i + 1] != '.') &&
                       (segment != 2 || strncmp(target + i + 1, "..", 2) != 0));
    }
}

static void check(const struct url *url)
{
    check_host(url->host);
    check_port(url->port);
    check_target(url->target);
}

static bool are_same(const struct url *a, const struct url *b)
{
    return a->is_secure == b->is_secure && strcmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0 && strcmp(a->target, b->target) == 0;
}

static void check_round_trip(const struct url *url)
{
    bool is_ipv6 = strchr(url->host, ':') != NULL;
    char text[TEXT_SIZE];
    struct url again;

    snprintf(text, sizeof text, "%s://%s%s%s:%s%s",
             url->is_secure ? "https" : "http", is_ipv6 ? "[" : "", url->host,
             is_ipv6 ? "]" : "", url->port, url->target);
    memset(&again, 0x55, sizeof again);
    FUZZ_CHECK(url_parse(text, &again) == 0);
    FUZZ_CHECK(are_same(url, &again));
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Implements remove_dot_segments literally: `in` shrinks while `out` grows. */
static void remove_dots(char *in, char *out)
{
    size_t used = 0;

    while (*in != '\0') {
        if (starts_with(in, "/./")) {
            in += 2;
        } else if (strcmp(in, "/.") == 0) {
            in[1] = '\0';
        } else if (starts_with(in, "/../") || strcmp(in, "/..") == 0) {
            while (used > 0 && out[--used] != '/')
                continue;
            if (in[3] == '\0')
                in[1] = '\0';
            else
                in += 3;
        } else {
            do
                out[used++] = *in++;
            while (*in != '\0' && *in != '/');
        }
    }
    out[used] = '\0';
}

/* Resolves `reference` against the target of `base` (5.2.2), except for
 * references that have a scheme or an authority. */
static void resolve(const char *base, const char *reference, char *ret)
{
    char path[2 * TEXT_SIZE];
    size_t base_path = strcspn(base, "?");
    size_t path_size = strcspn(reference, "?#");
    size_t whole = strcspn(reference, "#");
    size_t kept = 0;

    if (path_size == 0) {
        kept = whole == 0 ? strlen(base) : base_path;
    } else if (reference[0] != '/') {
        for (size_t i = 0; i < base_path; i++)
            if (base[i] == '/')
                kept = i + 1;
    }
    if (path_size == 0) {
        memcpy(ret, base, kept);
        ret[kept] = '\0';
    } else {
        memcpy(path, base, kept);
        memcpy(path + kept, reference, path_size);
        path[kept + path_size] = '\0';
        remove_dots(path, ret);
    }
    strncat(ret, reference + path_size, whole - path_size);
}

static bool has_scheme(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    return size > 0 && text[size] == ':' &&
           strchr("0123456789+-.", text[0]) == NULL;
}

static void check_reference(const struct url *base, const char *reference)
{
    struct url url, same = *base;
    char target[3 * TEXT_SIZE];
    int error;

    memset(&url, 0x55, sizeof url);
    error = url_resolve(base, reference, &url);
    FUZZ_CHECK(url_resolve(&same, reference, &same) == error);
    if (error < 0) {
        FUZZ_CHECK(error == HTTP_EURL);
        FUZZ_CHECK(are_same(base, &same) && url.host[0] == 0x55);
        return;
    }
    FUZZ_CHECK(are_same(&url, &same));
    check(&url);
    if (has_scheme(reference) || starts_with(reference, "//"))
        return;
    FUZZ_CHECK(strcmp(url.host, base->host) == 0);
    FUZZ_CHECK(strcmp(url.port, base->port) == 0);
    resolve(base->target, reference, target);
    FUZZ_CHECK(strcmp(url.target, target) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_SIZE], *reference;
    struct url url;
    int error;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    reference = strchr(text, '\n');
    if (reference != NULL)
        *reference++ = '\0';
    memset(&url, 0x55, sizeof url);
    error = url_parse(text, &url);
    if (error < 0) {
        FUZZ_CHECK(error == HTTP_EURL);
        FUZZ_CHECK(url.host[0] == 0x55 && url.target[0] == 0x55);
        return 0;
    }
    check(&url);
    check_round_trip(&url);
    if (reference != NULL)
        check_reference(&url, reference);
    return 0;
}
