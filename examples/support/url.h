/* http:// URLs, taken apart (RFC 3986, as far as fetching needs it). */

#ifndef EXAMPLES_URL_H
#define EXAMPLES_URL_H

enum { URL_SIZE = 2048 }; /* Of a whole URL, with its zero. */

struct url {
    char host[254];        /* A name or an address, without brackets. */
    char port[6];          /* Decimal; "80" where the URL has none. */
    char target[URL_SIZE]; /* Path and query; starts with a slash. */
};

/* Takes `text` apart.  Nothing that could end a line of a request gets through:
 * no blanks, no control characters.
 *
 * Returns 0, HTTP_EURL or HTTP_EHTTPS; *ret is written only on success. */
int url_parse(const char *text, struct url *ret);

/* Where `reference`, found in the page at `base`, points to: a URL, "//host/",
 * "/path", "path", "?query".  Returns as url_parse(). */
int url_resolve(const struct url *base, const char *reference,
                struct url *ret);

#endif
