/* Conditional requests and ranges (RFC 9110, sections 13 and 14). */

#ifndef EXAMPLES_HTTPD_MATCH_H
#define EXAMPLES_HTTPD_MATCH_H

#include "httpd.h"

/* What is known of the file that a request asks for. */
struct httpd_version {
    const char *etag;   /* With its quotes.  It is strong. */
    int64_t modified_s; /* Seconds since 1970. */
};

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since
 * of a GET or HEAD request, in that order.  Returns 200, 304 or 412. */
int httpd_match(const struct httpd_request *request,
                const struct httpd_version *version);

/* Evaluates Range and If-Range for `size` bytes.
 *
 *     result    meaning
 *     200       all bytes: there is no range, several ranges, another unit, a
 *               malformed range, or If-Range names another version
 *     206       *ret_first and *ret_count are the range
 *     416       no byte is in the range */
int httpd_range(const struct httpd_request *request,
                const struct httpd_version *version, int64_t size,
                int64_t *ret_first, int64_t *ret_count);

/* Returns whether a list of entity tags has this one, or is "*".  The weak
 * comparison ignores "W/"; the strong one refuses tags with it. */
bool httpd_etag_listed(const char *list, const char *etag, bool is_weak);

#endif
