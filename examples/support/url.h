/* Parses http:// URLs (RFC 3986, the parts that fetching needs). */

#ifndef EXAMPLES_URL_H
#define EXAMPLES_URL_H

enum { URL_SIZE = 2048 }; /* Of a whole URL, with the zero byte. */

struct url {
    char host[254];        /* A name or an address, without brackets. */
    char port[6];          /* Decimal; "80" if the URL has none. */
    char target[URL_SIZE]; /* Path and query; starts with a slash. */
};

/* Parses `text`.  A URL with blanks or control characters is refused, because
 * they could end a line of the request.
 *
 * Returns 0, HTTP_EURL or HTTP_EHTTPS; *ret is written only on success. */
int url_parse(const char *text, struct url *ret);

/* Resolves `reference`, which the page at `base` contains: a URL, "//host/",
 * "/path", "path" or "?query".  Returns the same values as url_parse(). */
int url_resolve(const struct url *base, const char *reference, struct url *ret);

#endif
