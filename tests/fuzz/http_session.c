/* Requests over a session, with bodies, redirects and kept connections, with
 * examples/support/http_session.c.  The target plays the server.  It computes
 * the result of its replies with a parser in memory, and checks that each
 * request is well formed.
 *
 * The input consists of a byte each for random behaviour, memory and options; a
 * byte for the size of the request's body, if it has one; a URL up to a line
 * feed, and the replies, separated by 0xff.  The byte of options has
 *
 *     bits 0 and 1   the number of redirects to follow
 *     bit 2          the server keeps connections after replies that allow it
 *     bit 3          there are three requests instead of one
 *     bits 4 to 7    the kind of request; see `kinds` */

#include "fuzz_http.h"

#include "../../examples/support/http_session.h"

enum {
    URL_TEXT_MAX = 256,
    HEAD_MAX = 2048,
    BODY_MAX = 4096,
    WAITS_MAX = 400,
    PEERS = 24
};

struct kind {
    const char *method;
    bool has_body, has_source, can_rewind;
    bool is_chunked;      /* The source gives a body of unknown size; one of no
                         * bytes always is. */
    bool is_repeatable;   /* By its method or by the option. */
    bool has_expectation; /* Expect: 100-continue */
};

static const struct kind kinds[16] = {
    {.method = "GET", .is_repeatable = true},
    {.method = "POST", .has_body = true},
    {"PUT", true, true, false, true, true, false},
    {"PUT", true, true, true, false, true, true},
    {.method = "HEAD", .is_repeatable = true},
    {"POST", true, true, true, true, true, false},
};

static struct {
    struct fuzz_world world;
    http_session *session;
    struct http_request request_of_user;
    struct http_page page;
    const struct kind *kind;
    unsigned redirects_max, seed;
    bool may_keep;
    struct fuzz_text replies;
    int listeners[2]; /* IPv4, IPv6. */
    struct peer {
        int number; /* -1: none. */
        size_t size;
        bool is_ended;
        char request[8192];
    } peers[PEERS];
    struct url first, asked; /* URLs of the first and the present request. */
    const char *method;      /* Of the present request. */
    bool has_body;
    char body[256];
    size_t body_size, given;
    unsigned connections, requests;
    struct url kept[PEERS]; /* Origins with a kept connection, by the model. */
    unsigned kept_count;
    bool is_unsure; /* The session may use a connection that has ended. */
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

/* Decodes or copies the body of a request.  Returns its size, or -1 if more has
 * to arrive. */
static ssize_t request_body(struct fuzz_text text, char *ret)
{
    size_t left = (size_t) (text.end - text.next), n = 0, size;
    struct fuzz_text copy = text;
    size_t budget = 64;
    uint64_t sum = 0;
    char line[8193];

    if (!g.has_body)
        return left == 0 ? 0 : -1;
    if (g.body_size > 0 && !g.kind->is_chunked) {
        FUZZ_CHECK(left <= g.body_size);
        memcpy(ret, text.next, left);
        return left == g.body_size ? (ssize_t) left : -1;
    }
    if (fuzz_chunks(&copy, &budget, UINT64_MAX, &sum) < 0)
        return -1;
    FUZZ_CHECK(copy.next == copy.end && sum <= sizeof g.body);
    while (fuzz_chunk_line(&text, line, 256) > 0 &&
           (size = strtoul(line, NULL, 16)) > 0) {
        memcpy(ret + n, text.next, size);
        n += size;
        text.next += size + 2;
    }
    return (ssize_t) n;
}

/* Checks the request that has arrived.  Returns false if it is not complete. */
static bool is_request(const struct peer *peer)
{
    bool is_ipv6 = strchr(g.asked.host, ':') != NULL;
    bool is_default = strcmp(g.asked.port, "80") == 0;
    char start[4096], body[sizeof peer->request];
    const char *end = NULL, *secret;
    ssize_t n;
    int size = snprintf(
        start, sizeof start, "%s %s HTTP/1.1\r\nHost: %s%s%s%s%s\r\n", g.method,
        g.asked.target, is_ipv6 ? "[" : "", g.asked.host, is_ipv6 ? "]" : "",
        is_default ? "" : ":", is_default ? "" : g.asked.port);

    FUZZ_CHECK(size > 0 && (size_t) size < sizeof start);
    for (size_t i = 0; i + 4 <= peer->size && end == NULL; i++)
        if (memcmp(peer->request + i, "\r\n\r\n", 4) == 0)
            end = peer->request + i + 4;
    if (end == NULL)
        return false;
    FUZZ_CHECK(end - peer->request > size &&
               memcmp(peer->request, start, (size_t) size) == 0);
    secret = strstr(peer->request, "\r\nCookie: secret\r\n");
    if (!url_is_same_origin(&g.first, &g.asked))
        FUZZ_CHECK(secret == NULL || secret > end);
    n = request_body(
        (struct fuzz_text){(const uint8_t *) end,
                           (const uint8_t *) peer->request + peer->size},
        body);
    if (n < 0)
        return false;
    FUZZ_CHECK((size_t) n == (g.has_body ? g.given : 0) &&
               memcmp(body, g.body, (size_t) n) == 0);
    return true;
}

static bool is_redirect(const struct fuzz_head *head)
{
    return head->has_location &&
           (head->status == 301 || head->status == 302 || head->status == 303 ||
            head->status == 307 || head->status == 308);
}

/* What becomes of the method after a redirect. */
static void redirect(int status, const char **method, bool *has_body)
{
    bool is_post = strcmp(*method, "POST") == 0;

    if ((status == 303 && strcmp(*method, "HEAD") != 0) ||
        ((status == 301 || status == 302) && is_post)) {
        *method = "GET";
        *has_body = false;
    }
}

/* Follows the redirect in `reply`: updates g.asked, so that the next request
 * can be checked. */
static void follow(struct fuzz_text reply)
{
    static struct fuzz_head head;
    size_t budget = HEAD_MAX;

    if (fuzz_final_head(&reply, &budget, &head) == 0 && is_redirect(&head) &&
        url_resolve(&g.asked, head.location, &g.asked) == 0)
        redirect(head.status, &g.method, &g.has_body);
}

/* Returns whether a connection can be kept after this reply.  *ret_is_more is
 * whether something follows it. */
static bool is_exact(struct fuzz_text reply, const char *method,
                     bool *ret_is_more)
{
    static struct fuzz_head head;
    size_t budget = HEAD_MAX;
    uint64_t size;
    bool has_end;

    *ret_is_more = false;
    if (fuzz_final_head(&reply, &budget, &head) < 0)
        return false;
    has_end = head.is_coded || head.length >= 0 || head.status == 204 ||
              head.status == 304 || strcmp(method, "HEAD") == 0;
    if (!has_end || (strcmp(method, "HEAD") != 0 &&
                     fuzz_body(&reply, &head, &budget, BODY_MAX, &size) < 0))
        return false;
    *ret_is_more = reply.next != reply.end;
    return reply.next == reply.end && head.is_kept;
}

/* Answers a request, and ends the connection unless it is kept. */
static void give_reply(struct peer *peer)
{
    struct fuzz_text reply = next_reply(&g.replies);
    bool is_more, can_keep = is_exact(reply, g.method, &is_more);
    size_t size = (size_t) (reply.end - reply.next);

    g.requests++;
    peer->size = 0;
    if (g.may_keep && can_keep) {
        sim_buffer_size(size + 65536);
        FUZZ_CHECK(sim_peer_send(peer->number, reply.next, size) ==
                   (ssize_t) size);
    } else {
        fuzz_serve(peer->number, reply);
        peer->is_ended = true;
        g.is_unsure = g.is_unsure || can_keep || is_more;
    }
    if (size > 0)
        follow(reply);
}

static void accept_peers(void)
{
    for (int i = 0; i < PEERS; i++)
        for (int j = 0; j < 2 && g.peers[i].number < 0; j++) {
            g.peers[i] = (struct peer){.number = sim_accept(g.listeners[j])};
            g.connections += g.peers[i].number >= 0;
        }
}

/* Plays the server: accepts connections, waits for whole requests, and
 * answers. */
static void serve(void)
{
    accept_peers();
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &g.peers[i];
        ssize_t n;

        if (peer->number < 0)
            continue;
        n = sim_peer_receive(peer->number, peer->request + peer->size,
                             sizeof peer->request - 1 - peer->size);
        peer->size += n > 0 ? (size_t) n : 0;
        peer->request[peer->size] = '\0';
        if (!peer->is_ended && peer->size > 0 && is_request(peer))
            give_reply(peer);
        if (sim_peer_eof(peer->number) || sim_peer_error(peer->number) < 0) {
            sim_peer_close(peer->number);
            peer->number = -1;
        }
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

/* The model of the kept connections. */

static bool take_kept(const struct url *url)
{
    for (unsigned i = 0; i < g.kept_count; i++)
        if (url_is_same_origin(&g.kept[i], url)) {
            g.kept[i] = g.kept[--g.kept_count];
            return true;
        }
    return false;
}

static void add_kept(const struct url *url, struct fuzz_text reply,
                     const char *method)
{
    bool is_more;

    if (g.may_keep && is_exact(reply, method, &is_more) && g.kept_count < PEERS)
        g.kept[g.kept_count++] = *url;
}

/* Returns whether the session reads nothing more of the body. */
static bool is_empty(const struct fuzz_head *head, const char *method)
{
    return strcmp(method, "HEAD") == 0 || head->status == 204 ||
           head->status == 304 || (!head->is_coded && head->length == 0);
}

/* Returns the reply to a request, whose connection may be a kept one. */
static struct fuzz_text get_reply(struct fuzz_text *replies,
                                  const struct url *url, const char *method,
                                  bool has_body)
{
    bool was_kept = take_kept(url);
    struct fuzz_text reply = next_reply(replies);
    bool can_repeat = (g.kind->is_repeatable || strcmp(method, "GET") == 0) &&
                      (!has_body || !g.kind->has_source || g.kind->can_rewind);

    if (reply.next == reply.end && was_kept && can_repeat)
        reply = next_reply(replies);
    return reply;
}

/* Returns the expected result; 1 stands for any error of connecting. */
static ssize_t expect(const char *text, struct fuzz_text *replies,
                      int *ret_code, uint64_t *ret_size)
{
    static struct fuzz_head head;
    static struct url url, next;
    const char *method = g.kind->method;
    bool has_body = g.kind->has_body && (g.kind->has_source || g.body_size > 0);
    ssize_t status = url_parse(text, &url);

    for (unsigned hops = 0; status == 0; hops++) {
        struct fuzz_text reply, whole;
        size_t budget = HEAD_MAX;

        if (url.is_secure)
            return HTTP_EHTTPS;
        if (!is_here(&url))
            return 1;
        whole = reply = get_reply(replies, &url, method, has_body);
        status = fuzz_final_head(&reply, &budget, &head);
        if (status < 0)
            break;
        *ret_code = head.status;
        if (!is_redirect(&head) || g.redirects_max == 0) {
            add_kept(&url, whole, method);
            if (strcmp(method, "HEAD") == 0)
                return 0;
            return fuzz_body(&reply, &head, &budget, BODY_MAX, ret_size);
        }
        if (hops == g.redirects_max)
            status = HTTP_EREDIRECTS;
        else if (url_resolve(&url, head.location, &next) < 0)
            status = HTTP_ELOCATION;
        if (status == 0 || is_empty(&head, method))
            add_kept(&url, whole, method);
        if (status < 0)
            break;
        redirect(head.status, &method, &has_body);
        if (has_body && g.kind->has_source && !g.kind->can_rewind)
            status = HTTP_EREWIND;
        url = next;
    }
    return status;
}

static ssize_t give_body(void *buffer, size_t size, void *arg)
{
    size_t left = g.body_size - g.given;
    size_t n = left < size ? left : size;

    (void) arg;
    n = n > 7 && g.kind->is_chunked ? 7 : n; /* In several chunks. */
    memcpy(buffer, g.body + g.given, n);
    g.given += n;
    return (ssize_t) n;
}

static int rewind_body(void *arg)
{
    (void) arg;
    g.given = 0;
    return 0;
}

/* Fetches once.  Returns false if nothing more can be expected. */
static bool check(const char *text)
{
    struct fuzz_text replies = g.replies;
    aloop_future *fetch;
    ssize_t status, wanted;
    uint64_t size = 0;
    int code = 0;

    url_parse(text, &g.asked);
    g.first = g.asked;
    g.method = g.kind->method;
    g.has_body = g.kind->has_body && (g.kind->has_source || g.body_size > 0);
    g.given = g.kind->has_source ? 0 : g.body_size;
    fetch = http_fetch(g.session, &g.request_of_user, &g.page);
    for (int i = 0; i < WAITS_MAX && !aloop_future_is_settled(fetch); i++) {
        fuzz_run_for(&g.world, ALOOP_MS(i < 100 ? 1 : 500));
        serve();
    }
    status = aloop_future_status(fetch);
    wanted = expect(text, &replies, &code, &size);
    FUZZ_CHECK(status != ALOOP_PENDING);
    aloop_future_unref(fetch);
    if (g.world.has_failed && status < 0)
        return false;
    /* What follows a reply, or its end, may arrive after the next request. */
    if (g.is_unsure && g.seed != 0 && g.requests > 1)
        return false;
    FUZZ_CHECK(wanted == 1 ? status < 0 && status > HTTP_EURL
                           : status == (wanted < 0 ? wanted : (ssize_t) size));
    FUZZ_CHECK(g.replies.next == replies.next);
    FUZZ_CHECK(g.connections <= g.requests + 1);
    if (status >= 0)
        FUZZ_CHECK(g.page.reply.status == code && g.page.size == size);
    return true;
}

/* Fetches up to three times.  Between the requests everything that the server
 * has sent arrives. */
static void check_all(const char *text, int count)
{
    bool is_valid = true;

    for (int i = 0; i < count && is_valid; i++) {
        is_valid = check(text);
        http_page_free(&g.page);
        for (int j = 0; j < 20; j++) {
            fuzz_run_for(&g.world, ALOOP_MS(10));
            serve();
        }
    }
}

static void set_request(struct fuzz_input *input, const char *url)
{
    static const struct http_field secret = {"Cookie", "secret"};
    struct http_request *request = &g.request_of_user;

    *request = (struct http_request){
        .method = g.kind->method,
        .url = url,
        .fields = &secret,
        .field_count = 1,
        .has_expectation = g.kind->has_expectation,
        .is_repeatable = g.kind->is_repeatable,
        .body_max = BODY_MAX,
        .redirects_max = g.redirects_max > 0 ? (int) g.redirects_max : -1};
    if (!g.kind->has_body)
        return;
    g.body_size = fuzz_byte(input);
    for (size_t i = 0; i < sizeof g.body; i++)
        g.body[i] = (char) (i * 7);
    request->body_size = g.kind->is_chunked ? 0 : g.body_size;
    if (g.kind->has_source) {
        request->source = give_body;
        request->rewind = g.kind->can_rewind ? rewind_body : NULL;
        request->source_arg = g.body;
    } else {
        request->body = g.body;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_session_options session = {
        .head_max = HEAD_MAX,
        .idle_ns = ALOOP_SEC(100000)};
    static const char *const addresses[] = {"::1", "127.0.0.1", NULL};
    struct fuzz_input input = {data, data + size};
    unsigned seed = fuzz_byte(&input), starve = fuzz_byte(&input);
    unsigned options = fuzz_byte(&input), c;
    char text[URL_TEXT_MAX];
    size_t length = 0;

    memset(&g, 0, sizeof g);
    g.seed = seed;
    g.redirects_max = options & 3;
    g.may_keep = (options & 4) != 0;
    g.kind = &kinds[options >> 4];
    if (g.kind->method == NULL)
        g.kind = &kinds[0];
    set_request(&input, text);
    while (length < sizeof text - 1 && (c = fuzz_byte(&input)) != '\n' &&
           c != '\0')
        text[length++] = (char) c;
    text[length] = '\0';
    g.replies = (struct fuzz_text){input.next, input.end};
    fuzz_world_open(&g.world, seed);
    for (int i = 0; i < PEERS; i++)
        g.peers[i].number = -1;
    g.listeners[0] = sim_listen("127.0.0.1", 80, 8);
    g.listeners[1] = sim_listen("::1", 80, 8);
    sim_host("h", addresses);
    g.session = http_session_new(g.world.loop, &session);
    FUZZ_CHECK(g.session != NULL);
    fuzz_world_starve(&g.world, starve < 200 ? 0 : starve - 199);
    check_all(text, (options & 8) != 0 ? 3 : 1);
    http_session_free(g.session);
    fuzz_world_close(&g.world);
    return 0;
}
