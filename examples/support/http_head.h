/* Reads and parses the header of a reply. */

#ifndef EXAMPLES_HTTP_HEAD_H
#define EXAMPLES_HTTP_HEAD_H

#include <aloop.h>

#include "url.h"

struct http_head {
    int status;      /* 200 to 999: never an interim reply. */
    int64_t length;  /* Content-Length, or -1 if there is none. */
    bool is_coded;   /* There is a transfer coding. */
    bool is_chunked; /* It is "chunked" and no other. */
    bool has_location;
    char location[URL_SIZE];
};

/* Reads one line, which ends in LF or CR LF, into `line` without its end.
 * *budget is the number of bytes that the rest of the header may have; the size
 * of the line is subtracted.
 *
 * Returns the length, HTTP_EHEAD, HTTP_ECUT, HTTP_EREPLY (the line has a zero
 * byte) or the error of the read. */
ssize_t http_read_line(aloop_stream *stream, char *line, size_t size,
                       size_t *budget);

/* Reads a header up to its empty line.  Interim replies (1xx) are skipped and
 * use the same budget. */
ssize_t http_read_head(aloop_stream *stream, size_t *budget,
                       struct http_head *ret);

#endif
