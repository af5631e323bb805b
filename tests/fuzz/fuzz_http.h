/* Common parts of the HTTP targets: a parser for replies in memory, which does
 * not use streams.  Results of the examples' parser are compared with it. */

#ifndef FUZZ_HTTP_H
#define FUZZ_HTTP_H

#include <strings.h>

#include "../../examples/support/http_body.h"
#include "../../examples/support/http_error.h"
#include "../../examples/support/url.h"
#include "fuzz_world.h"

/* Everything that a connection receives before its end. */
struct fuzz_text {
    const uint8_t *next, *end;
};

/* A header as this parser reads it. */
struct fuzz_head {
    int status;
    int64_t length;
    bool is_coded, is_chunked, is_kept, has_close, has_location;
    char location[8192]; /* The first one. */
};

/* Works like http_input_line(). */
static inline ssize_t fuzz_line(struct fuzz_text *text, char *line,
                                size_t *budget)
{
    size_t room = *budget < 8192 ? *budget : 8192, n = 0;
    bool has_end = false, is_wrong;

    while (n < room && text->next + n < text->end && !has_end) {
        line[n] = (char) text->next[n];
        has_end = line[n++] == '\n';
    }
    if (!has_end)
        return n == room ? HTTP_EHEAD : HTTP_ECUT;
    text->next += n;
    *budget -= n--;
    is_wrong = n == 0 || line[n - 1] != '\r';
    n -= n > 0;
    line[n] = '\0';
    for (size_t i = 0; i < n; i++)
        is_wrong = is_wrong || line[i] == 0x7f ||
                   ((unsigned char) line[i] < 0x20 && line[i] != '\t');
    return is_wrong ? HTTP_EREPLY : (ssize_t) n;
}

/* Returns the value of `digits` in base `base`, or -1 if it exceeds `max`.
 * `max` has as many digits as the largest value. */
static inline int64_t fuzz_number(const char *digits, int base, const char *max)
{
    size_t size = strlen(digits);

    while (size > 1 && *digits == '0') {
        digits++;
        size--;
    }
    if (size > strlen(max) ||
        (size == strlen(max) && strcasecmp(digits, max) > 0))
        return -1;
    return (int64_t) strtoull(digits, NULL, base);
}

/* Returns whether a list contains a word. */
static inline bool fuzz_has_word(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (list += strspn(list, ", \t"); *list != '\0';
         list += strspn(list, ", \t")) {
        size_t length = strcspn(list, ", \t");

        if (length == size && strncasecmp(list, word, size) == 0)
            return true;
        list += length;
    }
    return false;
}

static inline int fuzz_field(char *line, struct fuzz_head *ret)
{
    char *value = strchr(line, ':'), *end = line + strlen(line);
    int64_t length;

    if (value == NULL || value == line)
        return HTTP_EREPLY;
    for (char *c = line; c < value; c++)
        if ((*c < '0' || *c > '9') && (*c < 'a' || *c > 'z') &&
            (*c < 'A' || *c > 'Z') && strchr("!#$%&'*+-.^_`|~", *c) == NULL)
            return HTTP_EREPLY;
    *value++ = '\0';
    while (*value == ' ' || *value == '\t')
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    if (strcasecmp(line, "content-length") == 0) {
        length = fuzz_number(value, 10, "9223372036854775799");
        if (*value == '\0' || strspn(value, "0123456789") != strlen(value) ||
            length < 0 || (ret->length >= 0 && ret->length != length))
            return HTTP_ELENGTH;
        ret->length = length;
    } else if (strcasecmp(line, "transfer-encoding") == 0) {
        ret->is_chunked = !ret->is_coded && strcasecmp(value, "chunked") == 0;
        ret->is_coded = true;
    } else if (strcasecmp(line, "connection") == 0) {
        ret->is_kept = ret->is_kept || fuzz_has_word(value, "keep-alive");
        ret->has_close = ret->has_close || fuzz_has_word(value, "close");
    } else if (strcasecmp(line, "location") == 0 && !ret->has_location) {
        strcpy(ret->location, value);
        ret->has_location = true;
    }
    return 0;
}

/* Works like http_head_read(). */
static inline ssize_t fuzz_head(struct fuzz_text *text, size_t *budget,
                                struct fuzz_head *ret)
{
    static char line[8193];
    bool is_empty = text->next == text->end, is_old;
    ssize_t n;

    memset(ret, 0, sizeof *ret);
    ret->length = -1;
    n = fuzz_line(text, line, budget);
    if (n < 0)
        return n == HTTP_ECUT && is_empty ? HTTP_ENOREPLY : n;
    if (n < 12 || memcmp(line, "HTTP/1.", 7) != 0 ||
        strspn(line + 7, "0123456789") != 1 || line[8] != ' ' ||
        strspn(line + 9, "0123456789") != 3 || line[9] == '0' ||
        (n > 12 && line[12] != ' '))
        return HTTP_EREPLY;
    is_old = line[7] == '0';
    ret->is_kept = !is_old;
    ret->status = atoi(line + 9);
    while ((n = fuzz_line(text, line, budget)) > 0) {
        int error = fuzz_field(line, ret);

        if (error < 0)
            return error;
    }
    if (n < 0)
        return n;
    if (ret->has_close || (is_old && ret->is_coded))
        ret->is_kept = false;
    return ret->is_coded && ret->length >= 0 ? HTTP_EFRAMING : 0;
}

/* Skips interim replies, as a session does. */
static inline ssize_t fuzz_final_head(struct fuzz_text *text, size_t *budget,
                                      struct fuzz_head *ret)
{
    const uint8_t *start = text->next;
    unsigned interim = 0;
    ssize_t status;

    do {
        status = fuzz_head(text, budget, ret);
        if (status == HTTP_ENOREPLY && text->next != start)
            return HTTP_ECUT;
        if (status < 0)
            return status;
        if (ret->status == 101)
            return HTTP_EUPGRADE;
        if (ret->status < 200 && ++interim > 32)
            return HTTP_EINTERIM;
    } while (ret->status < 200);
    return 0;
}

/* Takes `size` bytes of a body, or everything if `is_rest`. */
static inline ssize_t fuzz_take(struct fuzz_text *text, uint64_t size,
                                bool is_rest, uint64_t body_max, uint64_t *sum)
{
    uint64_t left = (uint64_t) (text->end - text->next);
    uint64_t taken = is_rest || left < size ? left : size;

    text->next += taken;
    *sum += taken;
    if (*sum > body_max)
        return HTTP_EBODY;
    return is_rest || taken == size ? 0 : HTTP_ECUT;
}

/* Reads a line of the chunked coding. */
static inline ssize_t fuzz_chunk_line(struct fuzz_text *text, char *line,
                                      size_t max)
{
    ssize_t n = fuzz_line(text, line, &max);

    return n == HTTP_EHEAD || n == HTTP_EREPLY ? HTTP_ECHUNK : n;
}

static inline ssize_t fuzz_chunks(struct fuzz_text *text, size_t *budget,
                                  uint64_t body_max, uint64_t *sum)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    static char line[8193];
    char *rest;
    ssize_t n;

    for (;;) {
        int64_t size;

        n = fuzz_chunk_line(text, line, 256);
        if (n < 0)
            return n;
        rest = line + strspn(line, hex);
        rest += strspn(rest, " \t");
        if (strspn(line, hex) == 0 || (*rest != '\0' && *rest != ';'))
            return HTTP_ECHUNK;
        line[strspn(line, hex)] = '\0';
        size = fuzz_number(line, 16, "7fffffffffffffef");
        if (size < 0)
            return HTTP_ECHUNK;
        if (size == 0)
            break;
        n = fuzz_take(text, (uint64_t) size, false, body_max, sum);
        if (n < 0)
            return n;
        n = fuzz_chunk_line(text, line, 2);
        if (n != 0)
            return n > 0 ? HTTP_ECHUNK : n;
    }
    do
        n = fuzz_line(text, line, budget);
    while (n > 0);
    return n;
}

/* Reads a whole body, as http_body_read() does in several calls. */
static inline ssize_t fuzz_body(struct fuzz_text *text,
                                const struct fuzz_head *head, size_t *budget,
                                uint64_t body_max, uint64_t *sum)
{
    *sum = 0;
    if (head->status == 204 || head->status == 304)
        return 0;
    if (head->is_coded)
        return head->is_chunked ? fuzz_chunks(text, budget, body_max, sum)
                                : HTTP_ECODING;
    if (head->length >= 0 && (uint64_t) head->length > body_max)
        return HTTP_EBODY;
    return fuzz_take(text, (uint64_t) head->length, head->length < 0, body_max,
                     sum);
}

/* Runs fn(loop, arg) as a task to its end.  Returns ALOOP_ENOMEM if there is no
 * memory for a task. */
static inline ssize_t fuzz_run_task(struct fuzz_world *world, aloop_task_fn fn,
                                    void *arg)
{
    return aloop_await(aloop_spawn(world->loop, fn, arg));
}

/* Sends the text and then the end of the stream. */
static inline void fuzz_serve(int peer, struct fuzz_text text)
{
    sim_buffer_size((size_t) (text.end - text.next) + 65536);
    FUZZ_CHECK(
        sim_peer_send(peer, text.next, (size_t) (text.end - text.next)) ==
        text.end - text.next);
    sim_peer_shutdown(peer);
}

#endif
