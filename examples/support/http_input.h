/* The buffered input of a connection: lines and bytes.
 *
 * One read of the stream usually gets a header and its body together. */

#ifndef EXAMPLES_HTTP_INPUT_H
#define EXAMPLES_HTTP_INPUT_H

#include <aloop.h>

enum {
    HTTP_INPUT_SIZE = 16 * 1024,
    HTTP_LINE_MAX = 8 * 1024,
    HTTP_DIRECT_MIN = HTTP_INPUT_SIZE / 4 /* See http_input_read(). */
};

struct http_input {
    aloop_stream *stream;
    aloop_future *reading; /* A read into the buffer, or NULL. */
    size_t start, end;     /* The bytes that nothing has consumed. */
    bool has_bytes;        /* Bytes have arrived since this was cleared. */
    char data[HTTP_INPUT_SIZE];
};

/* Begins a read, unless one has begun, so that the caller can find out whether
 * bytes arrive while it waits for something else.  Returns the future, which
 * stays the input's. */
aloop_future *http_input_watch(struct http_input *input);

/* Waits for more bytes, for at most `limit_ns` unless that is negative.
 * Returns their number, 0 at the end of the stream, or an error, such as
 * ALOOP_ETIMEDOUT. */
ssize_t http_input_fill(struct http_input *input, int64_t limit_ns);

/* Reads a line, which has to end in CR LF, and may contain no other control
 * character than a tab.  *budget is the number of bytes that the rest of the
 * header may have; the size of the line is subtracted.
 *
 * Returns the length of the line without its end, and the line in *ret, with a
 * zero byte, until the next call; or HTTP_EHEAD, HTTP_ECUT (the stream has
 * ended), HTTP_EREPLY (a wrong byte) or the error of the read. */
ssize_t http_input_line(struct http_input *input, size_t *budget, char **ret);

/* Reads what is available, waiting for at least one byte.  If the buffer is
 * empty and `size` is at least HTTP_DIRECT_MIN, it is not used. */
ssize_t http_input_read(struct http_input *input, void *buffer, size_t size);

/* Drops the future that http_input_watch() has made. */
void http_input_close(struct http_input *input);

#endif
