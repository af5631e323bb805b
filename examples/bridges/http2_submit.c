/* Requests of HTTP/2 in the form of nghttp2. */

#include "http2_submit.h"

#include <stdio.h>
#include <string.h>

#include "http2_request.h"

bool http2_is_valid(const struct http2_request *request)
{
    const char *method = request->method, *path = request->path;

    if (path == NULL || request->field_count > HTTP2_FIELDS_MAX ||
        (request->fields == NULL && request->field_count > 0) ||
        (request->body == NULL && request->body_size > 0) ||
        !nghttp2_check_path((const uint8_t *) path, strlen(path)) ||
        (method != NULL &&
         !nghttp2_check_method((const uint8_t *) method, strlen(method))))
        return false;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http2_field *field = &request->fields[i];

        if (field->name == NULL || field->value == NULL ||
            !nghttp2_check_header_name((const uint8_t *) field->name,
                                       strlen(field->name)) ||
            !nghttp2_check_header_value_rfc9113((const uint8_t *) field->value,
                                                strlen(field->value)))
            return false;
    }
    return true;
}

static ssize_t body_read(nghttp2_session *session, int32_t id, uint8_t *buffer,
                         size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct http2_answer *answer =
        nghttp2_session_get_stream_user_data(session, id);
    size_t left, size;

    (void) source;
    (void) arg;
    if (answer == NULL) /* It is being reset. */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    left = answer->request->body_size - answer->sent;
    size = left < room ? left : room;
    memcpy(buffer, (const char *) answer->request->body + answer->sent, size);
    answer->sent += size;
    if (answer->sent == answer->request->body_size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t) size;
}

static nghttp2_nv nv_of(const char *name, const char *value, bool is_secret)
{
    return (nghttp2_nv){
        (uint8_t *) name, (uint8_t *) value, strlen(name), strlen(value),
        is_secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
}

int32_t http2_submit(struct http2_answer *answer)
{
    const http2 *connection = answer->connection;
    const struct http2_request *request = answer->request;
    nghttp2_data_provider body = {.read_callback = body_read};
    bool has_body = request->body_size > 0;
    const char *method = request->method != NULL ? request->method
                         : has_body              ? "POST"
                                                 : "GET";
    nghttp2_nv fields[HTTP2_FIELDS_MAX + 5];
    size_t count = 0;
    char size[24];
    int32_t id;

    fields[count++] = nv_of(":method", method, false);
    fields[count++] =
        nv_of(":scheme", connection->is_secure ? "https" : "http", false);
    fields[count++] = nv_of(":authority", connection->authority, false);
    fields[count++] = nv_of(":path", request->path, false);
    if (has_body) {
        snprintf(size, sizeof size, "%zu", request->body_size);
        fields[count++] = nv_of("content-length", size, false);
    }
    for (size_t i = 0; i < request->field_count; i++)
        fields[count++] = nv_of(request->fields[i].name,
                                request->fields[i].value,
                                request->fields[i].is_secret);
    id = nghttp2_submit_request(connection->session, NULL, fields, count,
                                has_body ? &body : NULL, answer);
    if (id <= 0) /* Otherwise there are no more numbers for streams. */
        return id == NGHTTP2_ERR_NOMEM ? ALOOP_ENOMEM : HTTP2_EREFUSED;
    return id;
}
