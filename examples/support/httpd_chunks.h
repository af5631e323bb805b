/* Removes the chunks of a body (RFC 9112, section 7.1).
 *
 * The decoder reads memory only, in pieces of any size.  Extensions and
 * trailers are checked, bounded and dropped. */

#ifndef EXAMPLES_HTTPD_CHUNKS_H
#define EXAMPLES_HTTPD_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTPD_LINE_MAX = 1024 };

/* Zeros are the beginning. */
struct httpd_chunks {
    int state;
    uint64_t left;    /* Bytes of the present chunk. */
    size_t extra;     /* Bytes of all lines but sizes; they are bounded. */
    size_t line_size; /* Of the present line, as far as it has arrived. */
    char line[HTTPD_LINE_MAX];
};

/* Decodes what is at the beginning of `data`.
 *
 * *used is the number of bytes of `data` that were consumed.  *body is the
 * number of bytes of the body among them, which are the last ones.
 *
 * Returns 1: the body has ended; 0: it continues; -1: it is malformed. */
int httpd_chunks_decode(struct httpd_chunks *chunks, const char *data,
                        size_t size, size_t *used, size_t *body);

#endif
