/* Fetches one page over HTTP/1.1: connects, sends the request, reads the reply,
 * and follows redirects. */

#include "http_get.h"

#include <stdio.h>
#include <string.h>

#include "http_body.h"
#include "http_error.h"
#include "http_head.h"
#include "url.h"

static ssize_t send_request(aloop_stream *stream, const struct url *url)
{
    bool is_ipv6 = strchr(url->host, ':') != NULL;
    bool is_default = strcmp(url->port, "80") == 0;
    char text[URL_SIZE + 512];
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\n"
                        "Host: %s%s%s%s%s\r\n"
                        "User-Agent: libaloop-scrape/%s\r\n"
                        "Accept: */*\r\n"
                        "Connection: close\r\n"
                        "\r\n",
                        url->target, is_ipv6 ? "[" : "", url->host,
                        is_ipv6 ? "]" : "", is_default ? "" : ":",
                        is_default ? "" : url->port, aloop_version());

    if (size < 0 || (size_t) size >= sizeof text)
        return HTTP_EURL;
    return aloop_await(aloop_stream_write(stream, text, (size_t) size));
}

static bool is_redirect(const struct http_head *head)
{
    static const int statuses[] = {301, 302, 303, 307, 308};

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (head->status == statuses[i])
            return head->has_location;
    return false;
}

/* Sends the request and reads the reply.  Only the header of a redirect is
 * read. */
static ssize_t exchange(aloop_stream *stream, const struct http_get *get,
                        const struct url *url, struct http_head *head,
                        struct http_reply *reply)
{
    size_t budget = get->head_max;
    ssize_t status = send_request(stream, url);

    if (status < 0)
        return status;
    status = http_read_head(stream, &budget, head);
    if (status < 0 || is_redirect(head))
        return status;
    return http_read_body(stream, head, &budget, get, reply);
}

static ssize_t visit(aloop *loop, const struct http_get *get,
                     const struct url *url, struct http_head *head,
                     struct http_reply *reply)
{
    aloop_stream *stream;
    ssize_t status =
        aloop_await(aloop_tcp_connect(loop, url->host, url->port, &stream));

    if (status < 0)
        return status;
    status = exchange(stream, get, url, head, reply);
    aloop_stream_close(stream);
    return status;
}

ssize_t http_get(aloop *loop, const struct http_get *get,
                 struct http_reply *ret)
{
    struct http_head head;
    struct url url;
    ssize_t status = url_parse(get->url, &url);

    for (unsigned hops = 0; status == 0; hops++) {
        status = visit(loop, get, &url, &head, ret);
        if (status < 0)
            break;
        ret->status = head.status;
        if (!is_redirect(&head))
            break;
        if (hops == get->redirects_max)
            return HTTP_EREDIRECTS;
        status = url_resolve(&url, head.location, &url);
        if (status == HTTP_EURL)
            return HTTP_ELOCATION;
    }
    return status;
}
