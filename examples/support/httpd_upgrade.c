/* Connections that change to another protocol. */

#define _POSIX_C_SOURCE 200809L

#include "httpd_upgrade.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "httpd_connection.h"

static const struct httpd_connection *connection_of(
    const struct httpd_request *request)
{
    return (const struct httpd_connection *) request;
}

const char *httpd_field_at(const struct httpd_request *request,
                           const char *name, size_t index)
{
    const struct httpd_head *head = &connection_of(request)->head;

    for (size_t i = 0; i < head->fields_count; i++)
        if (strcasecmp(head->fields[i].name, name) == 0 && index-- == 0)
            return head->fields[i].value;
    return NULL;
}

/* Returns whether one of the lists with that name contains the token. */
static bool has_token(const struct httpd_request *request, const char *name,
                      const char *token)
{
    const char *list;

    for (size_t i = 0; (list = httpd_field_at(request, name, i)) != NULL; i++)
        if (httpd_list_has(list, token))
            return true;
    return false;
}

int httpd_check_upgrade(const struct httpd_request *request,
                        const char *protocol)
{
    const struct httpd_head *head = &connection_of(request)->head;

    if (head->is_old || head->length != 0)
        return 400;
    if (!has_token(request, "Upgrade", protocol))
        return 426;
    return has_token(request, "Connection", "upgrade") ? 0 : 400;
}

int httpd_upgrade(struct httpd_request *request, const char *protocol,
                  struct httpd_upgrade *ret)
{
    struct httpd_connection *connection = httpd_connection_of(request);
    char *extra = connection->answer + HTTPD_FRONT_MAX, *end;

    if (connection->status != 0)
        return ALOOP_EALREADY;
    end = connection->answer + snprintf(connection->answer, HTTPD_FRONT_MAX,
                                        "HTTP/1.1 101 %s\r\nUpgrade: %.100s\r\n"
                                        "Connection: Upgrade\r\n",
                                        httpd_reason(101), protocol);
    memmove(end, extra, connection->extra_size);
    end += connection->extra_size;
    *end++ = '\r';
    *end++ = '\n';
    connection->status = 101;
    connection->held = (size_t) (end - connection->answer);
    connection->is_bare = connection->is_last = true;
    *ret = (struct httpd_upgrade){
        .stream = connection->stream,
        .buffer = connection->buffer + connection->begin,
        .room = connection->room - connection->begin,
        .size = connection->end - connection->begin,
        .reading = &connection->idle,
        .is_stopping = &connection->httpd->is_stopping,
    };
    connection->begin = connection->end = 0; /* They are the handler's. */
    return httpd_put(connection, NULL, 0);
}
