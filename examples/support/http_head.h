/* A reply's header, read and understood. */

#ifndef EXAMPLES_HTTP_HEAD_H
#define EXAMPLES_HTTP_HEAD_H

#include <aloop.h>

#include "url.h"

struct http_head {
    int status;               /* 200 to 999: never an interim reply. */
    int64_t length;           /* Content-Length; -1 where there is none. */
    bool is_coded;            /* There is a transfer coding, and it is ... */
    bool is_chunked;          /* ... chunked and nothing else. */
    bool has_location;
    char location[URL_SIZE];
};

/* Reads one line, ended by LF or CR LF, into `line` without its end.  *budget
 * is how many bytes the whole header may still have, and shrinks.
 *
 * Returns the length, HTTP_EHEAD, HTTP_ECUT, HTTP_EREPLY (a zero byte) or what
 * reading failed with. */
ssize_t http_read_line(aloop_stream *stream, char *line, size_t size,
                       size_t *budget);

/* Reads lines up to and including the empty one.  Interim replies (1xx) are
 * passed over, on the same budget. */
ssize_t http_read_head(aloop_stream *stream, size_t *budget,
                       struct http_head *ret);

#endif
