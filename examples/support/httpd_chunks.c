/* Removes the chunks of a body (RFC 9112, section 7.1).
 *
 * Every line ends in CR LF.  A line feed alone, in a size or in an extension,
 * is what servers and proxies have disagreed about most often. */

#include "httpd_chunks.h"

#include <string.h>

#include "httpd_head.h"

enum { SIZE_LINE, DATA, DATA_END, TRAILER, EXTRA_MAX = 8192 };

/* Collects a line.  Returns 1 when it is complete, without its end; 0: more is
 * needed; -1: it is too long, or does not end in CR LF. */
static int take_line(struct httpd_chunks *chunks, const char *data, size_t size,
                     size_t *used)
{
    while (*used < size) {
        char c = data[(*used)++];

        if (c == '\n') {
            if (chunks->line_size == 0 ||
                chunks->line[--chunks->line_size] != '\r')
                return -1;
            return 1;
        }
        /* A carriage return is the last byte but one. */
        if (chunks->line_size == sizeof chunks->line ||
            (chunks->line_size > 0 &&
             chunks->line[chunks->line_size - 1] == '\r'))
            return -1;
        chunks->line[chunks->line_size++] = c;
    }
    return 0;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = c == '\0' ? NULL : strchr(digits, c);

    if (found == NULL)
        return -1;
    return (int) (found - digits) < 16 ? (int) (found - digits)
                                       : (int) (found - digits) - 6;
}

/* Parses "1f; extension".  Sixteen digits would not fit an offset. */
static int on_size(struct httpd_chunks *chunks)
{
    size_t digits = 0;

    chunks->left = 0;
    for (; digits < chunks->line_size && hex_value(chunks->line[digits]) >= 0;
         digits++) {
        if (digits == 15)
            return -1;
        chunks->left = chunks->left * 16 +
                       (uint64_t) hex_value(chunks->line[digits]);
    }
    if (digits == 0)
        return -1;
    if (digits < chunks->line_size) {
        size_t rest = digits;

        while (rest < chunks->line_size &&
               (chunks->line[rest] == ' ' || chunks->line[rest] == '\t'))
            rest++;
        if (rest == chunks->line_size || chunks->line[rest] != ';')
            return -1;
        for (; rest < chunks->line_size; rest++) {
            unsigned char c = (unsigned char) chunks->line[rest];

            if ((c < ' ' && c != '\t') || c == 0x7f)
                return -1;
        }
    }
    chunks->extra += chunks->line_size - digits;
    chunks->state = chunks->left > 0 ? DATA : TRAILER;
    return 0;
}

static int on_data_end(struct httpd_chunks *chunks)
{
    chunks->state = SIZE_LINE;
    return chunks->line_size == 0 ? 0 : -1;
}

static int on_trailer(struct httpd_chunks *chunks)
{
    if (chunks->line_size == 0)
        return 1;
    chunks->extra += chunks->line_size;
    return httpd_is_field(chunks->line, chunks->line_size) ? 0 : -1;
}

int httpd_chunks_decode(struct httpd_chunks *chunks, const char *data,
                        size_t size, size_t *used, size_t *body)
{
    static int (*const on_line[])(struct httpd_chunks * chunks) = {
        [SIZE_LINE] = on_size,
        [DATA_END] = on_data_end,
        [TRAILER] = on_trailer,
    };

    *used = *body = 0;
    while (*used < size) {
        int result;

        if (chunks->state == DATA) {
            *body = size - *used < chunks->left ? size - *used
                                                : (size_t) chunks->left;
            *used += *body;
            chunks->left -= *body;
            if (chunks->left == 0)
                chunks->state = DATA_END;
            return 0;
        }
        result = take_line(chunks, data, size, used);
        if (result == 0)
            return 0;
        if (result > 0)
            result = on_line[chunks->state](chunks);
        if (result != 0 || chunks->extra > EXTRA_MAX)
            return result > 0 ? 1 : -1;
        chunks->line_size = 0;
    }
    return 0;
}
