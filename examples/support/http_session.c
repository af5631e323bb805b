/* An HTTP/1.1 client session: redirects, repeated requests, and whole pages. */

#define _POSIX_C_SOURCE 200809L

#include "http_session.h"

#include <stdlib.h>
#include <string.h>

#include "http_exchange.h"
#include "http_pool.h"

enum {
    DRAIN_MAX = 16 * 1024,      /* Bytes of a redirect's body that are read. */
    REDIRECTS_MAX = 10,         /* Default of http_request.redirects_max. */
    PAGE_MAX = 16 * 1024 * 1024 /* Default of http_request.body_max. */
};

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words != NULL && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

/* Gives the connection back, so that the reply has none. */
static void give_back(struct http_reply *reply, bool is_whole)
{
    struct http_connection *connection = reply->connection;

    reply->connection = NULL;
    if (connection != NULL)
        http_pool_put(connection, is_whole && !reply->is_body_unsent);
}

/* Prepares the body for being sent again. */
static ssize_t rewind_body(struct http_reply *reply)
{
    const struct http_request *request = reply->request;

    if (!reply->has_body || !reply->was_read)
        return 0;
    if (request->rewind == NULL)
        return HTTP_EREWIND;
    reply->was_read = false;
    return request->rewind(request->source_arg);
}

/* Returns whether the request may be sent again after `error`: the connection
 * was kept and has ended without a byte of a reply, so that the server has most
 * likely closed it before the request. */
static bool can_repeat(const struct http_reply *reply, ssize_t error)
{
    static const char *const idempotent[] = {
        "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", NULL};
    const struct http_connection *connection = reply->connection;

    return connection->was_kept && !connection->input.has_bytes &&
           !reply->has_failed &&
           (error == HTTP_ENOREPLY || error == ALOOP_ECONNRESET ||
            error == ALOOP_EPIPE) &&
           (reply->request->is_repeatable ||
            is_one_of(reply->method, idempotent)) &&
           (!reply->has_body || !reply->was_read ||
            reply->request->rewind != NULL);
}

/* Returns the status of a step, and keeps the words for an error. */
static ssize_t explain(struct http_reply *reply, ssize_t status)
{
    if (status < 0 && reply->connection != NULL)
        reply->words =
            http_pool_words(reply->session, reply->connection->tls, status);
    return status;
}

/* Sends the request to reply->url, and reads the header of the reply. */
static ssize_t visit(struct http_reply *reply)
{
    bool is_again = false;

    if (reply->url.is_secure && reply->session->options.secure == NULL)
        return HTTP_EHTTPS;
    for (;;) {
        ssize_t status = http_pool_get(reply, is_again);

        if (status < 0)
            return status;
        status = http_exchange(reply);
        if (status >= 0 || is_again || !can_repeat(reply, status))
            return explain(reply, status);
        give_back(reply, false);
        status = rewind_body(reply);
        if (status < 0)
            return status;
        is_again = true;
    }
}

static bool is_redirect(const struct http_reply *reply)
{
    static const int statuses[] = {301, 302, 303, 307, 308};

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (reply->status == statuses[i])
            return reply->request->redirects_max >= 0 &&
                   http_reply_field(reply, "Location") != NULL;
    return false;
}

/* Reads a short body, so that the connection can be kept.  An error only means
 * that it is not. */
static void end_redirect(struct http_reply *reply)
{
    char buffer[1024];
    ssize_t n = reply->length > DRAIN_MAX ? -1 : 1;

    while (n > 0 && reply->body.received < DRAIN_MAX)
        n = http_body_read(&reply->body, buffer, sizeof buffer);
    give_back(reply, n == 0);
}

static void choose_method(struct http_reply *reply)
{
    bool is_post = strcmp(reply->method, "POST") == 0;
    bool is_head = strcmp(reply->method, "HEAD") == 0;

    if ((reply->status == 303 && !is_head) ||
        ((reply->status == 301 || reply->status == 302) && is_post)) {
        reply->method = "GET";
        reply->has_body = false;
    }
}

static ssize_t follow(struct http_reply *reply)
{
    int max = reply->request->redirects_max;
    struct url url;
    int error;

    reply->step = HTTP_STEP_REDIRECT;
    if (reply->redirects == (unsigned) (max > 0 ? max : REDIRECTS_MAX))
        return HTTP_EREDIRECTS;
    error = url_resolve(&reply->url, http_reply_field(reply, "Location"), &url);
    if (error < 0)
        return HTTP_ELOCATION;
    end_redirect(reply);
    choose_method(reply);
    if (!url_is_same_origin(&reply->url, &url))
        reply->is_foreign = true;
    reply->url = url;
    reply->redirects++;
    return rewind_body(reply);
}

static ssize_t open_reply(http_session *session,
                          const struct http_request *request, uint64_t page_max,
                          struct http_reply *reply)
{
    ssize_t status;

    *reply = (struct http_reply){.session = session, .request = request};
    reply->method = request->method != NULL ? request->method : "GET";
    reply->has_body = request->source != NULL || request->body_size > 0;
    reply->body_max = request->body_max > 0 ? request->body_max : page_max;
    session->users++;
    status = http_check_request(session, request);
    if (status == 0)
        status = url_parse(request->url, &reply->url);
    if (status == 0)
        status = visit(reply);
    while (status == 0 && is_redirect(reply)) {
        status = follow(reply);
        if (status == 0)
            status = visit(reply);
    }
    if (status < 0)
        http_close(reply);
    return status;
}

ssize_t http_open(http_session *session, const struct http_request *request,
                  struct http_reply *ret)
{
    return open_reply(session, request, UINT64_MAX, ret);
}

ssize_t http_read(struct http_reply *reply, void *buffer, size_t size)
{
    if (size == 0 || reply->session == NULL)
        return ALOOP_EINVAL;
    reply->step = HTTP_STEP_BODY;
    return explain(reply, http_body_read(&reply->body, buffer, size));
}

const char *http_error(const struct http_reply *reply, ssize_t error)
{
    return reply->words != NULL ? reply->words : http_strerror(error);
}

const char *http_reply_field(const struct http_reply *reply, const char *name)
{
    return reply->connection == NULL
               ? NULL
               : http_head_field(&reply->connection->head, name);
}

void http_close(struct http_reply *reply)
{
    http_session *session = reply->session;

    if (session == NULL)
        return;
    give_back(reply, reply->body.is_done && reply->body.error == 0);
    reply->session = NULL;
    session->users--;
    http_pool_leave(session);
}

/* Whole pages. */

/* Makes room for at least one byte and the zero byte.  The memory grows with
 * what arrives, and not with what the server promises. */
static int make_room(struct http_page *page, size_t *room)
{
    int64_t length = page->reply.length;
    size_t least = (size_t) 16 * 1024;
    size_t more = page->size < least ? least : page->size * 2;
    char *data;

    if (*room - page->size > 1)
        return 0;
    if (page->size > SIZE_MAX / 4)
        return ALOOP_ENOMEM;
    if (length >= 0 && (uint64_t) length < more)
        more = (size_t) length + 2; /* Room also for the last, empty read. */
    if (more < page->size + 2)
        more = page->size + 2;
    data = realloc(page->data, more);
    if (data == NULL)
        return ALOOP_ENOMEM;
    page->data = data;
    *room = more;
    return 0;
}

static ssize_t read_page(struct http_page *page)
{
    size_t room = 0;
    ssize_t n;

    do {
        n = make_room(page, &room);
        if (n == 0)
            n = http_read(&page->reply, page->data + page->size,
                          room - page->size - 1);
        page->size += n > 0 ? (size_t) n : 0;
    } while (n > 0);
    if (n < 0)
        return n;
    page->data[page->size] = '\0';
    return (ssize_t) page->size;
}

/* `arg` is the page, in which http_fetch() has stored its arguments. */
static ssize_t fetch_task(aloop *loop, void *arg)
{
    struct http_page *page = arg;
    struct http_reply *reply = &page->reply;
    ssize_t status =
        open_reply(reply->session, reply->request, PAGE_MAX, reply);

    (void) loop;
    if (status < 0)
        return status;
    status = read_page(page);
    http_close(reply);
    return status;
}

aloop_future *http_fetch(http_session *session,
                         const struct http_request *request,
                         struct http_page *ret)
{
    *ret =
        (struct http_page){.reply = {.session = session, .request = request}};
    return aloop_spawn(session->loop, fetch_task, ret);
}

void http_page_free(struct http_page *page)
{
    free(page->data);
    page->data = NULL;
    page->size = 0;
}
