/* Answers to requests of HTTP/2; see http2.h, which includes this. */

#ifndef BRIDGES_HTTP2_ANSWER_H
#define BRIDGES_HTTP2_ANSWER_H

#include <aloop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Errors, in addition to those of the library. */
enum {
    /* The server has not processed the request, so that it may be repeated on
     * another connection, whatever its method is. */
    HTTP2_EREFUSED = -6100,
    HTTP2_ERESET = -6101,    /* The server has reset the stream. */
    HTTP2_ETOOLARGE = -6102, /* The answer is larger than its limit. */
    HTTP2_ECLOSED = -6103    /* The connection was closed. */
};

/* Bytes in memory.  A zero byte follows them, which does not count. */
struct http2_bytes {
    char *data; /* NULL: there are none. */
    size_t size;
    size_t room; /* Belongs to the bridge. */
};

/* An answer.  The members after the first four belong to the bridge. */
struct http2_answer {
    int status; /* 200, 404, ...; 0: none has arrived. */
    /* Why the stream was reset (HTTP2_ERESET): a code of RFC 9113, such as
     * NGHTTP2_INTERNAL_ERROR. */
    uint32_t reset_code;
    struct http2_bytes body;
    /* The header fields, and behind them the trailer fields: "name", 0,
     * "value", 0 for each.  http2_answer_next() lists them. */
    struct http2_bytes head;

    struct http2 *connection;
    const struct http2_request *request;
    aloop_future *operation;
    struct http2_answer *next, *previous; /* In a ring of the connection. */
    size_t head_received; /* The size of all fields, also of 1xx. */
    size_t sent;          /* Bytes of the request's body. */
    int32_t stream_id;    /* 0: it waits for a stream. */
};

/**
 * Returns the value of a header field, or NULL if there is none.
 *
 * `name` has lower case.  If there are several fields, this is the first one.
 *
 * Memory:  the value is valid until http2_answer_free().
 */
const char *http2_answer_field(const struct http2_answer *answer,
                               const char *name);

/**
 * Lists the fields.
 *
 *     const char *value, *name = NULL;
 *
 *     while ((name = http2_answer_next(answer, name, &value)) != NULL)
 *         printf("%s: %s\n", name, value);
 *
 * Returns: the name of the field behind that of `name`, or of the first one if
 *          `name` is NULL; NULL at the end.
 */
const char *http2_answer_next(const struct http2_answer *answer,
                              const char *name, const char **ret_value);

/**
 * Frees what an answer contains.
 *
 * An answer that is all zero, and one that was freed, are allowed.
 */
void http2_answer_free(struct http2_answer *answer);

/**
 * Returns the status of a request in words.
 *
 * They are static.
 */
const char *http2_error(const struct http2_answer *answer, ssize_t status);

/* For the bridge: adds bytes, of which there may be `max`.  Returns 0,
 * HTTP2_ETOOLARGE or ALOOP_ENOMEM. */
int http2_bytes_add(struct http2_bytes *bytes, const void *data, size_t size,
                    size_t max);

/* For the bridge: adds a field, or stores the status.  Returns 0,
 * HTTP2_ETOOLARGE, ALOOP_ENOMEM, or HTTP2_ERESET for a status below 100. */
int http2_answer_add(struct http2_answer *answer, const char *name,
                     size_t name_size, const char *value, size_t value_size);

#endif
