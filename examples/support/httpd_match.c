/* Conditional requests and ranges (RFC 9110, sections 13 and 14). */

#define _POSIX_C_SOURCE 200809L

#include "httpd_match.h"

#include <string.h>
#include <strings.h>

#include "httpd_date.h"

bool httpd_etag_listed(const char *list, const char *etag, bool is_weak)
{
    size_t size = strlen(etag);

    if (strcmp(list, "*") == 0)
        return true;
    while (*list != '\0') {
        bool has_mark;
        const char *end;

        list += strspn(list, " \t,");
        has_mark = strncmp(list, "W/", 2) == 0;
        if (has_mark)
            list += 2;
        if (*list != '"')
            return false; /* Empty or malformed. */
        end = strchr(list + 1, '"');
        if (end == NULL)
            return false;
        end++;
        if ((is_weak || !has_mark) && (size_t) (end - list) == size &&
            memcmp(list, etag, size) == 0)
            return true;
        list = end;
    }
    return false;
}

/* Returns whether the field has a date that is valid, and is before `seconds`.
 */
static bool is_before(const char *date, int64_t seconds, bool *ret_is_valid)
{
    int64_t value = 0;

    *ret_is_valid = date != NULL && httpd_date_parse(date, &value);
    return *ret_is_valid && value < seconds;
}

int httpd_match(const struct httpd_request *request,
                const struct httpd_version *version)
{
    const char *match = httpd_field(request, "If-Match");
    const char *none = httpd_field(request, "If-None-Match");
    bool is_valid;

    if (match != NULL) {
        if (!httpd_etag_listed(match, version->etag, false))
            return 412;
    } else if (is_before(httpd_field(request, "If-Unmodified-Since"),
                         version->modified_s, &is_valid)) {
        return 412;
    }
    if (none != NULL)
        return httpd_etag_listed(none, version->etag, true) ? 304 : 200;
    if (!is_before(httpd_field(request, "If-Modified-Since"),
                   version->modified_s, &is_valid) &&
        is_valid)
        return 304;
    return 200;
}

/* A tag must be equal and strong, a date must be the same. */
static bool is_same_version(const char *value,
                            const struct httpd_version *version)
{
    int64_t seconds;

    if (*value == '"')
        return strcmp(value, version->etag) == 0;
    return httpd_date_parse(value, &seconds) && seconds == version->modified_s;
}

/* Parses digits.  Returns what follows them, or NULL.  Without a digit it
 * stores -1.  Numbers that are larger than any file are equal. */
static const char *parse_offset(const char *text, int64_t *ret)
{
    *ret = -1;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (*ret < 0)
            *ret = 0;
        if (*ret < INT64_MAX / 10 - 1)
            *ret = *ret * 10 + (*text - '0');
    }
    return text;
}

int httpd_range(const struct httpd_request *request,
                const struct httpd_version *version, int64_t size,
                int64_t *ret_first, int64_t *ret_count)
{
    const char *value = httpd_field(request, "Range");
    const char *condition = httpd_field(request, "If-Range");
    int64_t first, last;

    if (value == NULL || strncasecmp(value, "bytes=", 6) != 0 ||
        strcmp(request->method, "GET") != 0 ||
        (condition != NULL && !is_same_version(condition, version)))
        return 200;
    value = parse_offset(value + 6, &first);
    if (*value++ != '-')
        return 200;
    value = parse_offset(value, &last);
    if (*value != '\0' || (first < 0 && last < 0) ||
        (last >= 0 && last < first))
        return 200;
    if (first < 0 && last > 0 && size == 0)
        return 200;  /* No range has no bytes. */
    if (first < 0) { /* "-N" is the last N bytes. */
        first = last < size ? size - last : 0;
        last = size - 1;
    } else if (last < 0 || last >= size) {
        last = size - 1;
    }
    if (first >= size)
        return 416;
    *ret_first = first;
    *ret_count = last - first + 1;
    return 206;
}
