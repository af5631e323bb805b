/* The buffered input of a connection. */

#include "http_input.h"

#include <string.h>

#include "http_error.h"

/* Moves the bytes to the front of the buffer if little room is left.  Lines are
 * shorter than the buffer, so that there is room afterwards.  A read of few
 * bytes would leave those that follow in a buffer of the stream, where the
 * session does not see that they are too many. */
static void make_room(struct http_input *input)
{
    if (sizeof input->data - input->end < HTTP_DIRECT_MIN ||
        input->start == input->end) {
        memmove(input->data, input->data + input->start,
                input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
}

aloop_future *http_input_watch(struct http_input *input)
{
    if (input->reading == NULL) {
        make_room(input);
        input->reading = aloop_stream_read(input->stream,
                                           input->data + input->end,
                                           sizeof input->data - input->end);
    }
    return input->reading;
}

ssize_t http_input_fill(struct http_input *input, int64_t limit_ns)
{
    aloop_future *reading = http_input_watch(input);
    ssize_t n;

    input->reading = NULL;
    if (limit_ns >= 0)
        reading = aloop_timeout(reading, limit_ns);
    n = aloop_await(reading);
    if (n > 0) {
        input->end += (size_t) n;
        input->has_bytes = true;
    }
    return n;
}

/* Returns whether the line consists of tabs and characters that are not
 * controls. */
static bool is_text(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char) line[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

ssize_t http_input_line(struct http_input *input, size_t *budget, char **ret)
{
    size_t max = *budget < HTTP_LINE_MAX ? *budget : HTTP_LINE_MAX;
    size_t seen = 0, size;
    char *line, *end = NULL;
    ssize_t n;

    for (;;) {
        size_t size_max = input->end - input->start;

        if (size_max > max)
            size_max = max;
        line = input->data + input->start;
        if (size_max > seen)
            end = memchr(line + seen, '\n', size_max - seen);
        if (end != NULL)
            break;
        seen = size_max;
        if (seen == max)
            return HTTP_EHEAD;
        n = http_input_fill(input, -1);
        if (n <= 0)
            return n < 0 ? n : HTTP_ECUT;
    }
    size = (size_t) (end - line);
    input->start += size + 1;
    *budget -= size + 1;
    if (size == 0 || line[size - 1] != '\r' || !is_text(line, size - 1))
        return HTTP_EREPLY;
    line[size - 1] = '\0';
    *ret = line;
    return (ssize_t) size - 1;
}

/* A large read goes directly to the caller's buffer. */
ssize_t http_input_read(struct http_input *input, void *buffer, size_t size)
{
    size_t there = input->end - input->start;

    if (there == 0 && input->reading == NULL && size >= HTTP_DIRECT_MIN)
        return aloop_await(aloop_stream_read(input->stream, buffer, size));
    if (there == 0) {
        ssize_t n = http_input_fill(input, -1);

        if (n <= 0)
            return n;
        there = (size_t) n;
    }
    if (size > there)
        size = there;
    memcpy(buffer, input->data + input->start, size);
    input->start += size;
    return (ssize_t) size;
}

/* The status is read, so that an error of the read is not reported. */
void http_input_close(struct http_input *input)
{
    if (input->reading == NULL)
        return;
    aloop_future_status(input->reading);
    aloop_future_unref(input->reading);
    input->reading = NULL;
}
