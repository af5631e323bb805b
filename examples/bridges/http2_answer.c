/* Answers to requests of HTTP/2: what has arrived, in memory. */

#include "http2_answer.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "http2.h"

enum { ROOM_MIN = 512 }; /* All fields of most answers. */

int http2_bytes_add(struct http2_bytes *bytes, const void *data, size_t size,
                    size_t max)
{
    if (size > max || bytes->size > max - size)
        return HTTP2_ETOOLARGE;
    if (bytes->size + size >= bytes->room) {
        size_t needed = bytes->size + size + 1, twice = 2 * bytes->room;
        size_t room = needed > twice ? needed : twice;
        char *grown;

        if (room < ROOM_MIN)
            room = ROOM_MIN;
        if (room - 1 > max)
            room = max + 1; /* `needed` is not more than that. */
        grown = realloc(bytes->data, room);
        if (grown == NULL)
            return ALOOP_ENOMEM;
        bytes->data = grown;
        bytes->room = room;
    }
    if (size > 0)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->data[bytes->size] = '\0';
    return 0;
}

int http2_answer_add(struct http2_answer *answer, const char *name,
                     size_t name_size, const char *value, size_t value_size)
{
    size_t before = answer->head.size;
    int error;

    answer->head_received += name_size + value_size + 2;
    if (answer->head_received > HTTP2_HEAD_MAX)
        return HTTP2_ETOOLARGE;
    if (name[0] == ':') { /* An answer behind 1xx replaces that. */
        answer->status = (int) strtol(value, NULL, 10);
        answer->head.size = 0;
        return answer->status >= 100 ? 0 : HTTP2_ERESET;
    }
    /* nghttp2 ends both with zero, and no other byte is zero. */
    error = http2_bytes_add(&answer->head, name, name_size + 1, HTTP2_HEAD_MAX);
    if (error == 0)
        error = http2_bytes_add(&answer->head, value, value_size + 1,
                                HTTP2_HEAD_MAX);
    if (error < 0)
        answer->head.size = before; /* No name is without its value. */
    return error;
}

const char *http2_answer_next(const struct http2_answer *answer,
                              const char *name, const char **ret_value)
{
    const struct http2_bytes *head = &answer->head;

    if (name == NULL) {
        name = head->data;
    } else { /* Skips the name and the value. */
        name += strlen(name) + 1;
        name += strlen(name) + 1;
    }
    if (head->size == 0 || name == head->data + head->size)
        return NULL;
    *ret_value = name + strlen(name) + 1;
    return name;
}

const char *http2_answer_field(const struct http2_answer *answer,
                               const char *name)
{
    const char *value, *field = NULL;

    while ((field = http2_answer_next(answer, field, &value)) != NULL)
        if (strcmp(field, name) == 0)
            return value;
    return NULL;
}

void http2_answer_free(struct http2_answer *answer)
{
    free(answer->head.data);
    free(answer->body.data);
    answer->head = answer->body = (struct http2_bytes){0};
}

const char *http2_error(const struct http2_answer *answer, ssize_t status)
{
    if (status == HTTP2_EREFUSED)
        return "the server does not process the request";
    if (status == HTTP2_ERESET)
        return nghttp2_http2_strerror(answer->reset_code);
    if (status == HTTP2_ETOOLARGE)
        return "the answer is larger than the limit";
    if (status == HTTP2_ECLOSED)
        return "the connection was closed";
    return aloop_strerror((int) status);
}
