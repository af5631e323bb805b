/* Parses the head of a request (RFC 9112, sections 2 to 6).
 *
 * Each rule that a proxy in front of the server may read in another way is an
 * error: a folded line, a space before a colon, more than one length, a
 * transfer coding other than "chunked". */

#define _POSIX_C_SOURCE 200809L

#include "httpd_head.h"

#include <string.h>
#include <strings.h>

static const char token_marks[] = "!#$%&'*+-.^_`|~";
static const char host_marks[] = "-._~!$&'()*+,;=%:[]";

/* Returns whether two names are the same, in any case.  Most are not, and
 * differ in their first letters. */
static bool is_same_name(const char *a, const char *b)
{
    return ((*a ^ *b) & ~('a' ^ 'A')) == 0 && strcasecmp(a, b) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Returns whether text has only letters, digits and `marks`. */
static bool consists_of(const char *text, size_t size, const char *marks)
{
    for (size_t i = 0; i < size; i++)
        if (!is_alphanumeric(text[i]) &&
            (text[i] == '\0' || strchr(marks, text[i]) == NULL))
            return false;
    return true;
}

static bool is_token(const char *text, size_t size)
{
    return size > 0 && consists_of(text, size, token_marks);
}

/* Returns whether a field may have this value: no control characters but tabs.
 */
static bool is_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char) text[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

int64_t httpd_head_end(const char *text, size_t size, size_t *scanned)
{
    while (*scanned < size) {
        const char *line = text + *scanned;
        const char *end = memchr(line, '\n', size - *scanned);

        if (end == NULL)
            return 0;
        if (end == line || end[-1] != '\r')
            return -1;
        *scanned += (size_t) (end - line) + 1;
        if (end == line + 1)
            return (int64_t) *scanned;
    }
    return 0;
}

bool httpd_is_field(const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);

    return colon != NULL && is_token(line, (size_t) (colon - line)) &&
           is_value(colon, (size_t) (line + size - colon));
}

/* Stores the next part of a list, without spaces around it.  Returns what
 * follows its comma, or NULL after the last part. */
static const char *next_part(const char *list, const char **ret_part,
                             size_t *ret_size)
{
    size_t size = strcspn(list, ",");
    const char *next = list[size] == ',' ? list + size + 1 : NULL;
    size_t skipped = strspn(list, " \t");

    if (skipped > size)
        skipped = size;
    list += skipped;
    size -= skipped;
    while (size > 0 && (list[size - 1] == ' ' || list[size - 1] == '\t'))
        size--;
    *ret_part = list;
    *ret_size = size;
    return next;
}

static bool is_same(const char *part, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(part, word, size) == 0;
}

bool httpd_list_has(const char *list, const char *token)
{
    while (list != NULL) {
        const char *part;
        size_t size;

        list = next_part(list, &part, &size);
        if (is_same(part, size, token))
            return true;
    }
    return false;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes %xx once.  A zero byte would end the name of a file. */
static int64_t decode(const char *text, size_t size, char *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        int high, low;

        ret[n++] = text[i];
        if (text[i] != '%')
            continue;
        if (size - i < 3)
            return -1;
        high = hex_value(text[i + 1]);
        low = hex_value(text[i + 2]);
        if (high < 0 || low < 0 || high + low == 0)
            return -1;
        ret[n - 1] = (char) (high * 16 + low);
        i += 2;
    }
    return (int64_t) n;
}

/* Empty segments are removed, too: "//host" would be the address of a host in a
 * redirect. */
int64_t httpd_path_decode(const char *text, size_t size, char *ret)
{
    int64_t decoded = decode(text, size, ret);
    size_t n = 0, i = 0, end = (size_t) decoded;

    if (decoded < 0)
        return -1;
    while (i < end) {
        const char *segment = ret + ++i; /* Behind the slash. */
        const char *slash = memchr(segment, '/', end - i);
        size_t length = slash == NULL ? end - i : (size_t) (slash - segment);

        i += length;
        if (length == 2 && segment[0] == '.' && segment[1] == '.') {
            if (n == 0)
                return -1;
            while (ret[--n] != '/') {
            }
        } else if (length > 0 && (length > 1 || segment[0] != '.')) {
            ret[n++] = '/';
            memmove(ret + n, segment, length);
            n += length;
            if (slash == NULL)
                break;
        }
        if (slash == NULL || i + 1 == end) {
            ret[n++] = '/';
            break;
        }
    }
    ret[n] = '\0';
    return (int64_t) n;
}

/* What is known about the framing from the fields. */
struct framing {
    struct httpd_head *head;
    unsigned lengths;
    unsigned codings;
    unsigned hosts;
    bool is_closing;
};

static int on_length(struct framing *framing, const char *value)
{
    int64_t length = 0;

    if (*value == '\0' || framing->lengths++ > 0)
        return 400;
    for (; *value != '\0'; value++) {
        if (!is_digit(*value) || length > INT64_MAX / 10 - 1)
            return 400;
        length = length * 10 + (*value - '0');
    }
    framing->head->length = length;
    return 0;
}

/* A coding in front of a final "chunked" is one that this server does not
 * have.  Anything else leaves the end of the body unknown. */
static int on_coding(struct framing *framing, const char *value)
{
    const char *part, *list = value;
    bool is_last_chunked = false;
    size_t size;

    if (framing->codings++ > 0)
        return 400;
    framing->head->length = -1;
    if (strcasecmp(value, "chunked") == 0)
        return 0;
    while (list != NULL) {
        if (is_last_chunked)
            return 400;
        list = next_part(list, &part, &size);
        if (!is_token(part, size))
            return 400;
        is_last_chunked = is_same(part, size, "chunked");
    }
    return is_last_chunked && strchr(value, ',') != NULL ? 501 : 400;
}

static int on_host(struct framing *framing, const char *value)
{
    if (framing->hosts++ > 0 || !consists_of(value, strlen(value), host_marks))
        return 400;
    if (framing->head->host == NULL)
        framing->head->host = (char *) value;
    return 0;
}

static int on_connection(struct framing *framing, const char *value)
{
    if (httpd_list_has(value, "close"))
        framing->is_closing = true;
    if (httpd_list_has(value, "keep-alive"))
        framing->head->is_asked = true;
    return 0;
}

static int on_expect(struct framing *framing, const char *value)
{
    framing->head->has_expect = true;
    return strcasecmp(value, "100-continue") == 0 ? 0 : 417;
}

/* Parses one line, which ends in a zero, and keeps the field. */
static int parse_field(struct framing *framing, char *line, size_t size,
                       size_t fields_max)
{
    static const struct {
        const char *name;
        int (*parse)(struct framing *framing, const char *value);
    } fields[] = {
        {"Content-Length", on_length},
        {"Transfer-Encoding", on_coding},
        {"Host", on_host},
        {"Connection", on_connection},
        {"Expect", on_expect},
    };
    struct httpd_head *head = framing->head;
    char *value = line + strcspn(line, ":") + 1, *end = line + size;

    if (!httpd_is_field(line, size))
        return 400;
    if (head->fields_count == fields_max)
        return 431;
    value[-1] = '\0';
    value += strspn(value, " \t");
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    head->fields[head->fields_count++] = (struct httpd_field){line, value};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (is_same_name(line, fields[i].name))
            return fields[i].parse(framing, value);
    return 0;
}

/* Parses "HTTP/1.1".  Later versions 1.x are answered as 1.1. */
static int parse_version(const char *text, size_t size, struct httpd_head *ret)
{
    if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || !is_digit(text[5]) ||
        text[6] != '.' || !is_digit(text[7]))
        return 400;
    ret->is_old = text[7] == '0';
    return text[5] == '1' ? 0 : 505;
}

/* Stores the authority of "http://host/path" and returns the path, or NULL. */
static char *parse_authority(char *target, char **paths, struct httpd_head *ret)
{
    char *host = strstr(target, "://");
    size_t size;

    if (host == NULL || (strncasecmp(target, "http://", 7) != 0 &&
                         strncasecmp(target, "https://", 8) != 0))
        return NULL;
    host += 3;
    size = strcspn(host, "/?");
    if (size == 0 || !consists_of(host, size, host_marks))
        return NULL;
    memcpy(*paths, host, size);
    (*paths)[size] = '\0';
    ret->host = *paths;
    *paths += size + 1;
    return host + size;
}

/* Parses a target whose characters are visible. */
static int parse_target(char *target, char *paths, struct httpd_head *ret)
{
    char *path = target;

    ret->target = target;
    if (strcmp(target, "*") == 0) {
        ret->path = target;
        return strcmp(ret->method, "OPTIONS") == 0 ? 0 : 400;
    }
    if (strcmp(ret->method, "CONNECT") == 0)
        return 501;
    if (*path != '/')
        path = parse_authority(target, &paths, ret);
    if (path == NULL || strchr(path, '#') != NULL)
        return 400;
    ret->query = strchr(path, '?');
    ret->path = paths;
    if (*path != '/')
        memcpy(paths, "/", 2);
    else if (httpd_path_decode(path, strcspn(path, "?"), paths) < 0)
        return 400;
    if (ret->query != NULL)
        ret->query++;
    return 0;
}

/* Parses "GET /path HTTP/1.1", which ends in a zero. */
static int parse_request_line(char *line, size_t size, char *paths,
                              struct httpd_head *ret)
{
    static const char *const methods[] = {"GET",   "HEAD",    "POST",
                                          "PUT",   "DELETE",  "OPTIONS",
                                          "PATCH", "CONNECT", "TRACE"};
    char *target, *version;
    size_t target_size;
    int status;

    target = memchr(line, ' ', size);
    if (target == NULL || !is_token(line, (size_t) (target - line)))
        return 400;
    *target++ = '\0';
    size -= (size_t) (target - line);
    version = memchr(target, ' ', size);
    if (version == NULL || version == target)
        return 400;
    target_size = (size_t) (version++ - target);
    for (size_t i = 0; i < target_size; i++)
        if (target[i] < '!' || target[i] > '~')
            return 400;
    if (target_size > HTTPD_TARGET_MAX)
        return 414;
    status = parse_version(version, size - target_size - 1, ret);
    if (status != 0)
        return status;
    version[-1] = '\0';
    ret->method = line;
    ret->is_head = strcmp(line, "HEAD") == 0;
    status = parse_target(target, paths, ret);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(line, methods[i]) == 0)
            return status;
    return status == 0 ? 501 : status;
}

/* The rules that need all fields. */
static int judge(const struct framing *framing)
{
    struct httpd_head *head = framing->head;

    head->is_last = framing->is_closing || (head->is_old && !head->is_asked);
    if (framing->codings > 0 && (framing->lengths > 0 || head->is_old))
        return 400;
    if (framing->hosts == 0 && !head->is_old)
        return 400;
    if (head->is_old)
        head->has_expect = false;
    if (head->host == NULL)
        head->host = head->target + strlen(head->target);
    return 0;
}

int httpd_head_parse(char *text, size_t size, size_t fields_max, char *paths,
                     struct httpd_head *ret)
{
    struct framing framing = {.head = ret};
    int first = 0;

    if (fields_max > HTTPD_FIELDS_MAX)
        fields_max = HTTPD_FIELDS_MAX;
    ret->method = "-";
    paths[0] = '\0';
    ret->target = ret->path = paths;
    ret->host = ret->query = NULL;
    ret->fields_count = 0;
    ret->length = 0;
    ret->is_old = ret->is_head = ret->is_last = false;
    ret->is_asked = ret->has_expect = false;
    for (char *line = text; size > 2;) {
        char *end = memchr(line, '\n', size);
        size_t line_size = (size_t) (end - line) - 1;
        int status;

        end[-1] = '\0';
        status = line == text
                     ? parse_request_line(line, line_size, paths, ret)
                     : parse_field(&framing, line, line_size, fields_max);
        if (status == 400)
            return 400;
        if (first == 0)
            first = status; /* What is malformed is more important. */
        size -= line_size + 2;
        line = end + 1;
    }
    if (judge(&framing) != 0)
        return 400;
    return first;
}

const char *httpd_head_field(const struct httpd_head *head, const char *name)
{
    for (size_t i = 0; i < head->fields_count; i++)
        if (is_same_name(head->fields[i].name, name))
            return head->fields[i].value;
    return NULL;
}
