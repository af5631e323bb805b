/* Parses http:// and https:// URLs. */

#define _POSIX_C_SOURCE 200809L

#include "url.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http_error.h"

/* Removes "." and ".." segments from a path that starts with a slash, in place.
 * The query, which begins with a question mark, is not changed. */
static void remove_dots(char *path)
{
    size_t end = strcspn(path, "?");
    size_t out = 0;

    for (size_t in = 0; in < end;) {
        size_t size = 1 + strcspn(path + in + 1, "/?"); /* "/segment" */
        bool is_dot = size == 2 && path[in + 1] == '.';
        bool is_up = size == 3 && memcmp(path + in, "/..", 3) == 0;

        if (is_up)
            while (out > 0 && path[--out] != '/')
                continue;
        if (!is_dot && !is_up) {
            memmove(path + out, path + in, size);
            out += size;
        } else if (in + size == end) {
            path[out++] = '/';
        }
        in += size;
    }
    memmove(path + out, path + end, strlen(path + end) + 1);
}

/* Sets the target to the first `directory` bytes of `base` and then `text`, up
 * to its fragment. */
static int set_target(struct url *url, const char *base, size_t directory,
                      const char *text)
{
    size_t size = strcspn(text, "#");

    if (directory + size >= sizeof url->target)
        return HTTP_EURL;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char) text[i] <= ' ' || text[i] == 0x7f)
            return HTTP_EURL;
    memcpy(url->target, base, directory);
    memcpy(url->target + directory, text, size);
    url->target[directory + size] = '\0';
    remove_dots(url->target);
    return 0;
}

/* Copies a host of `size` bytes.  Each byte has to be alphanumeric or in
 * `allowed`. */
static int set_host(struct url *url, const char *text, size_t size,
                    const char *allowed)
{
    if (size == 0 || size >= sizeof url->host)
        return HTTP_EURL;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char) text[i]) &&
            (text[i] == '\0' || strchr(allowed, text[i]) == NULL))
            return HTTP_EURL;
    memcpy(url->host, text, size);
    url->host[size] = '\0';
    return 0;
}

/* Sets the port from `text`, which is "" or ":port", of `size` bytes. */
static int set_port(struct url *url, const char *text, size_t size)
{
    unsigned long port = url->is_secure ? 443 : 80;

    if (size > 0 && text[0] != ':')
        return HTTP_EURL;
    if (size > 1) {
        port = 0;
        for (size_t i = 1; i < size; i++) {
            if (!isdigit((unsigned char) text[i]))
                return HTTP_EURL;
            port = port * 10 + (unsigned long) (text[i] - '0');
            if (port > 65535)
                return HTTP_EURL;
        }
    }
    if (port == 0)
        return HTTP_EURL;
    snprintf(url->port, sizeof url->port, "%" PRIu16, (uint16_t) port);
    return 0;
}

/* Sets the host and the port from `text`, which is "host:port", of `size`
 * bytes.  A user name is not accepted. */
static int set_authority(struct url *url, const char *text, size_t size)
{
    const char *colon = memchr(text, ':', size);
    size_t host_size = colon == NULL ? size : (size_t) (colon - text);
    int error;

    if (size > 0 && text[0] == '[') { /* An IPv6 address. */
        const char *bracket = memchr(text, ']', size);

        if (bracket == NULL || colon == NULL || colon > bracket)
            return HTTP_EURL;
        host_size = (size_t) (bracket - text) + 1;
        error = set_host(url, text + 1, host_size - 2, ":.%");
    } else {
        error = set_host(url, text, host_size, "-._");
    }
    if (error < 0)
        return error;
    return set_port(url, text + host_size, size - host_size);
}

int url_parse(const char *text, struct url *ret)
{
    struct url url;
    size_t size;
    int error;

    url.is_secure = strncasecmp(text, "https://", 8) == 0;
    if (!url.is_secure && strncasecmp(text, "http://", 7) != 0)
        return HTTP_EURL;
    text += url.is_secure ? 8 : 7;
    size = strcspn(text, "/?#");
    error = set_authority(&url, text, size);
    if (error == 0)
        error = set_target(&url, "/", text[size] != '/', text + size);
    if (error == 0)
        *ret = url;
    return error;
}

static bool has_scheme(const char *text)
{
    size_t size = 0;

    while (isalnum((unsigned char) text[size]) ||
           (text[size] != '\0' && strchr("+-.", text[size]) != NULL))
        size++;
    return size > 0 && text[size] == ':' && isalpha((unsigned char) text[0]);
}

int url_resolve(const struct url *base, const char *reference, struct url *ret)
{
    size_t path = strcspn(base->target, "?");
    size_t kept = path; /* Bytes of the base's target that stay. */
    struct url url = *base;
    int error;

    if (has_scheme(reference))
        return url_parse(reference, ret);
    if (strncmp(reference, "//", 2) == 0) {
        char text[URL_SIZE + 512];
        int size = snprintf(text, sizeof text, "%s:%s",
                            base->is_secure ? "https" : "http", reference);

        return (size_t) size < sizeof text ? url_parse(text, ret) : HTTP_EURL;
    }
    if (reference[0] == '/')
        kept = 0;
    else if (reference[0] == '\0' || reference[0] == '#')
        kept = strlen(base->target);
    else if (reference[0] != '?')
        while (kept > 0 && base->target[kept - 1] != '/')
            kept--;
    error = set_target(&url, base->target, kept, reference);
    if (error == 0)
        *ret = url;
    return error;
}

bool url_is_same_origin(const struct url *a, const struct url *b)
{
    return a->is_secure == b->is_secure && strcmp(a->port, b->port) == 0 &&
           strcasecmp(a->host, b->host) == 0;
}

bool url_has_default_port(const struct url *url)
{
    return strcmp(url->port, url->is_secure ? "443" : "80") == 0;
}
