/* Common parts of the HTTP targets: a parser for replies in memory, which does
 * not use streams.  Results of the examples' parser are compared with it. */

#ifndef FUZZ_HTTP_H
#define FUZZ_HTTP_H

#include <strings.h>

#include "../../examples/support/http_body.h"
#include "../../examples/support/http_error.h"
#include "../../examples/support/http_get.h"
#include "../../examples/support/http_head.h"
#include "fuzz_world.h"

/* Everything that a connection receives before its end. */
struct fuzz_text {
    const uint8_t *next, *end;
};

/* Works like http_read_line(). */
static inline ssize_t fuzz_line(struct fuzz_text *text, char *line, size_t size,
                                size_t *budget)
{
    size_t room = size - 1 < *budget ? size - 1 : *budget, n = 0;
    bool has_zero = false, has_end = false;

    while (n < room && text->next + n < text->end && !has_end) {
        line[n] = (char) text->next[n];
        has_end = line[n++] == '\n';
    }
    if (!has_end)
        return n == room ? HTTP_EHEAD : HTTP_ECUT;
    text->next += n;
    *budget -= n--;
    if (n > 0 && line[n - 1] == '\r')
        n--;
    line[n] = '\0';
    for (size_t i = 0; i < n; i++)
        has_zero = has_zero || line[i] == '\0';
    return has_zero ? HTTP_EREPLY : (ssize_t) n;
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

static inline int fuzz_field(char *line, struct http_head *ret)
{
    char *value = strchr(line, ':'), *end = line + strlen(line);
    size_t name = strcspn(line, ": \t");
    int64_t length;

    if (value == NULL || name == 0 || line + name != value)
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
    } else if (strcasecmp(line, "location") == 0) {
        if (strlen(value) >= sizeof ret->location)
            return HTTP_ELOCATION;
        strcpy(ret->location, value);
        ret->has_location = true;
    }
    return 0;
}

/* Works like http_read_head(). */
static inline ssize_t fuzz_head(struct fuzz_text *text, size_t *budget,
                                struct http_head *ret)
{
    static char line[8192];
    ssize_t n;

    do {
        memset(ret, 0, sizeof *ret);
        ret->length = -1;
        n = fuzz_line(text, line, sizeof line, budget);
        if (n < 0)
            return n;
        if (n < 12 || memcmp(line, "HTTP/1.", 7) != 0 ||
            strspn(line + 7, "0123456789") != 1 || line[8] != ' ' ||
            strspn(line + 9, "0123456789") != 3 || line[9] == '0' ||
            (n > 12 && line[12] != ' '))
            return HTTP_EREPLY;
        ret->status = atoi(line + 9);
        while ((n = fuzz_line(text, line, sizeof line, budget)) > 0) {
            int error = fuzz_field(line, ret);

            if (error < 0)
                return error;
        }
        if (n < 0)
            return n;
    } while (ret->status < 200);
    return 0;
}

/* Takes `size` bytes of a body, or everything if `to_end`. */
static inline ssize_t fuzz_take(struct fuzz_text *text, uint64_t size,
                                bool to_end, uint64_t body_max, uint64_t *sum)
{
    uint64_t left = (uint64_t) (text->end - text->next);
    uint64_t taken = to_end || left < size ? left : size;

    text->next += taken;
    *sum += taken;
    if (*sum > body_max)
        return HTTP_EBODY;
    return to_end || taken == size ? 0 : HTTP_ECUT;
}

static inline ssize_t fuzz_chunks(struct fuzz_text *text, size_t *budget,
                                  uint64_t body_max, uint64_t *sum)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    char line[1024], *rest;
    ssize_t n;

    for (;;) {
        size_t line_budget = 256;
        int64_t size;

        n = fuzz_line(text, line, 256, &line_budget);
        if (n < 0)
            return n == HTTP_EHEAD ? HTTP_ECHUNK : n;
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
        line_budget = 2;
        n = fuzz_line(text, line, 3, &line_budget);
        if (n != 0)
            return n > 0 || n == HTTP_EHEAD ? HTTP_ECHUNK : n;
    }
    do
        n = fuzz_line(text, line, sizeof line, budget);
    while (n > 0);
    return n;
}

/* Works like http_read_body(). */
static inline ssize_t fuzz_body(struct fuzz_text *text,
                                const struct http_head *head, size_t *budget,
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
