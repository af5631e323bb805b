/* Parses the head of a request (RFC 9112, sections 2 to 6).
 *
 * The parser reads memory only.  It is strict: lines end in CR LF, and what two
 * servers could read differently is refused. */

#ifndef EXAMPLES_HTTPD_HEAD_H
#define EXAMPLES_HTTPD_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTPD_FIELDS_MAX = 128, HTTPD_TARGET_MAX = 8000 };

struct httpd_field {
    const char *name;
    const char *value; /* Without spaces around it. */
};

struct httpd_head {
    const char *method;
    char *target;
    char *host;  /* Of the target, or of the field Host; "" if there is none. */
    char *path;  /* Decoded, or "*". */
    char *query; /* Not decoded; NULL: there is none. */
    size_t fields_count;
    struct httpd_field fields[HTTPD_FIELDS_MAX];
    int64_t length; /* Content-Length; 0: no body; -1: chunked. */
    bool is_old;    /* HTTP/1.0 */
    bool is_head;   /* The method is HEAD. */
    bool is_last;   /* The connection is to be closed after the answer. */
    bool is_asked;  /* The client asked to keep a connection of HTTP/1.0. */
    bool has_expect;
};

/* Returns the size of the head at the beginning of `text`, its empty line
 * included.  *scanned is where the search begins and continues, initially 0.
 *
 * Returns 0: the end has not arrived; -1: a line does not end in CR LF. */
int64_t httpd_head_end(const char *text, size_t size, size_t *scanned);

/* Parses a head of `size` bytes in place.
 *
 * `paths` has room for `size` bytes, for the path and the host.  Returns 0, or
 * the status of the answer (400, 414, 417, 431, 501, 505), after which the
 * connection has to be closed. */
int httpd_head_parse(char *text, size_t size, size_t fields_max, char *paths,
                     struct httpd_head *ret);

/* Returns the value of the first field of that name, or NULL. */
const char *httpd_head_field(const struct httpd_head *head, const char *name);

/* Returns whether a comma-separated list contains the token, in any case. */
bool httpd_list_has(const char *list, const char *token);

/* Returns whether a line without its end is "Name: value". */
bool httpd_is_field(const char *line, size_t size);

/* Decodes %xx, and removes "." and "..", from the path of a target.
 *
 * `text` begins with "/".  Returns the length of the path in `ret`, which has
 * room for size + 1 bytes, or -1 if it is malformed or leads above the root. */
int64_t httpd_path_decode(const char *text, size_t size, char *ret);

#endif
