/* WebSocket connections of the HTTP server. */

#include "websocket_httpd.h"

#include <stdio.h>
#include <string.h>

#include "httpd_upgrade.h"

/* A request that is no browser's has no origin.  It could have any. */
static bool is_allowed(const struct httpd_request *request,
                       const struct websocket_origins *origins)
{
    const char *origin = httpd_field(request, "Origin");

    if (origins->count == 0 || origin == NULL)
        return true;
    for (size_t i = 0; i < origins->count; i++)
        if (strcmp(origins->list[i], origin) == 0)
            return true;
    return false;
}

/* Returns 0, or the status that answers a wrong request. */
static int check(const struct httpd_request *request,
                 const struct websocket_origins *origins)
{
    const char *version = httpd_field(request, "Sec-WebSocket-Version");
    const char *key = httpd_field(request, "Sec-WebSocket-Key");
    int status = httpd_check_upgrade(request, "websocket");

    if (status != 0 || strcmp(request->method, "GET") != 0)
        return status != 0 ? status : 400;
    if (version != NULL && strcmp(version, "13") != 0)
        return 426;
    if (version == NULL || key == NULL || !websocket_is_key(key) ||
        httpd_field_at(request, "Sec-WebSocket-Key", 1) != NULL)
        return 400;
    return is_allowed(request, origins) ? 0 : 403;
}

static ssize_t refuse(struct httpd_request *request, int status)
{
    char text[64];
    int size =
        snprintf(text, sizeof text, "%d %s\n", status, httpd_reason(status));

    if (status == 426) {
        (void) httpd_add_field(request, "Upgrade", "websocket");
        (void) httpd_add_field(request, "Connection", "Upgrade");
        (void) httpd_add_field(request, "Sec-WebSocket-Version", "13");
    }
    return httpd_answer(request, status, "text/plain", text, (size_t) size);
}

ssize_t websocket_upgrade(struct httpd_request *request,
                          const struct websocket_options *options,
                          const struct websocket_origins *origins,
                          struct websocket_stream *ret)
{
    char accept[WEBSOCKET_ACCEPT_SIZE];
    struct httpd_upgrade upgrade;
    int status = check(request, origins);

    if (status != 0)
        return refuse(request, status);
    websocket_accept(httpd_field(request, "Sec-WebSocket-Key"), accept);
    status = httpd_add_field(request, "Sec-WebSocket-Accept", accept);
    if (status == 0)
        status = httpd_upgrade(request, "websocket", &upgrade);
    if (status < 0)
        return status;
    *ret = (struct websocket_stream){.stream = upgrade.stream,
                                     .buffer = upgrade.buffer,
                                     .room = upgrade.room,
                                     .end = upgrade.size,
                                     .reading = upgrade.reading,
                                     .is_stopping = upgrade.is_stopping};
    status = websocket_begin(request->loop, options, ret);
    return status < 0 ? status : 1;
}
