/* Parses http:// and https:// URLs (the parts of RFC 3986 that fetching
 * needs). */

#ifndef EXAMPLES_URL_H
#define EXAMPLES_URL_H

#include <stdbool.h>

enum { URL_SIZE = 2048 }; /* Of a whole URL, with the zero byte. */

struct url {
    char host[254];        /* A name or an address, without brackets. */
    char port[6];          /* Decimal; "80" or "443" if the URL has none. */
    bool is_secure;        /* https:// */
    char target[URL_SIZE]; /* Path and query; starts with a slash. */
};

/* Parses `text`.  A URL with blanks or control characters is refused, because
 * they could end a line of the request.
 *
 * Returns 0 or HTTP_EURL; *ret is written only on success. */
int url_parse(const char *text, struct url *ret);

/* Resolves `reference`, which the page at `base` contains: a URL, "//host/",
 * "/path", "path" or "?query".  Returns the same values as url_parse(). */
int url_resolve(const struct url *base, const char *reference, struct url *ret);

/* Returns whether both have the same scheme, host and port. */
bool url_is_same_origin(const struct url *a, const struct url *b);

/* Returns whether the port is that of the scheme. */
bool url_has_default_port(const struct url *url);

#endif
