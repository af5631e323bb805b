/* Requests over a session, including redirects, with
 * examples/support/http_session.c.  The target plays the server.  It computes
 * the result of its replies with a parser in memory, and checks that each
 * request is well formed.
 *
 * The input consists of a byte each for random behaviour, memory and redirects,
 * a URL up to a line feed, and the replies, separated by 0xff. */

#include "fuzz_http.h"

#include "../../examples/support/http_session.h"

enum { URL_TEXT_MAX = 256, HEAD_MAX = 2048, BODY_MAX = 4096, WAITS_MAX = 400 };

static struct {
    struct fuzz_world world;
    http_session *session;
    struct http_request request_of_user;
    struct http_page page;
    unsigned redirects_max;
    struct fuzz_text replies;
    int listeners[2]; /* IPv4, IPv6. */
    int peer;         /* Of the present connection; -1: none. */
    struct url asked; /* URL of the present request. */
    char request[8192];
    size_t request_size;
    bool is_answered;
    unsigned connections;
} g;

static const char separator = (char) 0xff;

static struct fuzz_text next_reply(struct fuzz_text *replies)
{
    struct fuzz_text reply = *replies;

    while (replies->next < replies->end &&
           *replies->next != (uint8_t) separator)
        replies->next++;
    reply.end = replies->next;
    if (replies->next < replies->end)
        replies->next++;
    return reply;
}

static void check_request(void)
{
    bool is_ipv6 = strchr(g.asked.host, ':') != NULL;
    bool is_default = strcmp(g.asked.port, "80") == 0;
    char start[4096];
    int size = snprintf(
        start, sizeof start, "GET %s HTTP/1.1\r\nHost: %s%s%s%s%s\r\n",
        g.asked.target, is_ipv6 ? "[" : "", g.asked.host, is_ipv6 ? "]" : "",
        is_default ? "" : ":", is_default ? "" : g.asked.port);

    FUZZ_CHECK(size > 0 && (size_t) size < sizeof start);
    FUZZ_CHECK(g.request_size > (size_t) size &&
               memcmp(g.request, start, (size_t) size) == 0);
    FUZZ_CHECK(memcmp(g.request + g.request_size - 4, "\r\n\r\n", 4) == 0);
}

/* Follows the redirect in `reply`: updates g.asked, so that the next request
 * can be checked. */
static void follow(struct fuzz_text reply)
{
    static struct fuzz_head head;
    size_t budget = HEAD_MAX;

    if (fuzz_final_head(&reply, &budget, &head) == 0 && head.has_location)
        url_resolve(&g.asked, head.location, &g.asked);
}

/* Plays the server: accepts a connection, waits for the whole request, answers
 * and ends. */
static void serve(void)
{
    ssize_t n;
    struct fuzz_text reply;

    for (int i = 0; i < 2 && g.peer < 0; i++) {
        g.peer = sim_accept(g.listeners[i]);
        g.connections += g.peer >= 0;
    }
    if (g.peer < 0)
        return;
    n = sim_peer_receive(g.peer, g.request + g.request_size,
                         sizeof g.request - g.request_size);
    g.request_size += n > 0 ? (size_t) n : 0;
    if (!g.is_answered && g.request_size >= 4 &&
        memcmp(g.request + g.request_size - 4, "\r\n\r\n", 4) == 0) {
        check_request();
        reply = next_reply(&g.replies);
        fuzz_serve(g.peer, reply);
        g.is_answered = true;
        follow(reply);
    }
    if (sim_peer_eof(g.peer) || sim_peer_error(g.peer) < 0) {
        sim_peer_close(g.peer);
        g.peer = -1;
        g.request_size = 0;
        g.is_answered = false;
    }
}

/* Returns whether `url` leads to this server, by name or by an address in any
 * notation. */
static bool is_here(const struct url *url)
{
    static const char *const ours[] = {"127.0.0.1:80", "[::1]:80", "0.0.0.0:80",
                                       "[::]:80"};
    struct sys_address address;
    char text[96];

    if (strcmp(url->host, "h") == 0)
        return strcmp(url->port, "80") == 0;
    if (aloop__sys_address_parse(url->host, url->port, &address) < 0 ||
        aloop__sys_address_format(&address, text, sizeof text) < 0)
        return false;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(text, ours[i]) == 0)
            return true;
    return false;
}

static bool is_redirect(const struct fuzz_head *head)
{
    return head->has_location &&
           (head->status == 301 || head->status == 302 || head->status == 303 ||
            head->status == 307 || head->status == 308);
}

/* Returns the expected result; 1 stands for any error of connecting. */
static ssize_t expect(const char *text, struct fuzz_text replies, int *ret_code,
                      uint64_t *ret_size)
{
    static struct fuzz_head head;
    static struct url url;
    ssize_t status = url_parse(text, &url);

    for (unsigned hops = 0; status == 0; hops++) {
        struct fuzz_text reply;
        size_t budget = HEAD_MAX;

        if (url.is_secure)
            return HTTP_EHTTPS;
        if (!is_here(&url))
            return 1;
        reply = next_reply(&replies);
        status = fuzz_final_head(&reply, &budget, &head);
        if (status < 0)
            break;
        *ret_code = head.status;
        if (!is_redirect(&head) || g.redirects_max == 0)
            return fuzz_body(&reply, &head, &budget, BODY_MAX, ret_size);
        if (hops == g.redirects_max)
            return HTTP_EREDIRECTS;
        status = url_resolve(&url, head.location, &url);
        if (status == HTTP_EURL)
            status = HTTP_ELOCATION;
    }
    return status;
}

static void check(const char *text)
{
    struct fuzz_text replies = g.replies;
    aloop_future *fetch;
    ssize_t status, wanted;
    uint64_t size = 0;
    int code = 0;

    url_parse(text, &g.asked);
    fetch = http_fetch(g.session, &g.request_of_user, &g.page);
    for (int i = 0; i < WAITS_MAX && !aloop_future_is_settled(fetch); i++) {
        fuzz_run_for(&g.world, ALOOP_MS(i < 100 ? 1 : 500));
        serve();
    }
    status = aloop_future_status(fetch);
    wanted = expect(text, replies, &code, &size);
    FUZZ_CHECK(status != ALOOP_PENDING);
    aloop_future_unref(fetch);
    if (g.world.has_failed && status < 0)
        return;
    FUZZ_CHECK(wanted == 1 ? status < 0 && status > HTTP_EURL
                           : status == (wanted < 0 ? wanted : (ssize_t) size));
    FUZZ_CHECK(g.connections <= g.redirects_max + 1);
    if (status >= 0)
        FUZZ_CHECK(g.page.reply.status == code && g.page.size == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_session_options options = {.head_max = HEAD_MAX};
    static const char *const addresses[] = {"::1", "127.0.0.1", NULL};
    struct fuzz_input input = {data, data + size};
    unsigned seed = fuzz_byte(&input), starve = fuzz_byte(&input);
    char text[URL_TEXT_MAX];
    size_t length = 0;
    unsigned c;

    memset(&g, 0, sizeof g);
    g.redirects_max = fuzz_below(&input, 4);
    g.request_of_user = (struct http_request){
        .url = text,
        .body_max = BODY_MAX,
        .redirects_max = g.redirects_max > 0 ? (int) g.redirects_max : -1};
    while (length < sizeof text - 1 && (c = fuzz_byte(&input)) != '\n' &&
           c != '\0')
        text[length++] = (char) c;
    text[length] = '\0';
    g.replies = (struct fuzz_text){input.next, input.end};
    fuzz_world_open(&g.world, seed);
    g.peer = -1;
    g.listeners[0] = sim_listen("127.0.0.1", 80, 8);
    g.listeners[1] = sim_listen("::1", 80, 8);
    sim_host("h", addresses);
    g.session = http_session_new(g.world.loop, &options);
    FUZZ_CHECK(g.session != NULL);
    fuzz_world_starve(&g.world, starve < 200 ? 0 : starve - 199);
    check(text);
    http_page_free(&g.page);
    http_session_free(g.session);
    fuzz_world_close(&g.world);
    return 0;
}
