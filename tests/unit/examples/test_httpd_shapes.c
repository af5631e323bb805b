/* The HTTP server of the examples: requests of each shape, right and wrong, and
 * what is answered to them.  The numbers are RFC 9112 unless named. */

#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE /* For mkdtemp(). */

#include "support/httpd_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "../examples/support/httpd_files.h"

enum { FILE_SIZE = 1024 };

static char folder[64], file_path[80];
static struct httpd_files *files;

static int make_file(void **state)
{
    char bytes[FILE_SIZE];
    FILE *file;

    (void) state;
    strcpy(folder, "/tmp/aloop-httpd-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(file_path, sizeof file_path, "%s/f", folder);
    file = fopen(file_path, "w");
    if (file == NULL)
        return -1;
    memset(bytes, 'f', sizeof bytes);
    fwrite(bytes, 1, sizeof bytes, file);
    fclose(file);
    return httpd_files_open(folder, 0, &files);
}

static int remove_file(void **state)
{
    (void) state;
    httpd_files_close(files);
    unlink(file_path);
    rmdir(folder);
    return 0;
}

static void start_with_file(void)
{
    static struct httpd_route routes[] = {
        {"GET", "/", httpd_files_serve, NULL},
        {"POST", "/post", answer_length, NULL},
        {"GET", "/get", answer_length, NULL},
    };
    struct httpd_options options = {.routes = routes, .routes_count = 3};

    routes[0].arg = files;
    start_httpd(&options);
}

#define GET "GET /f HTTP/1.1\r\n"
#define POST "POST /post HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define HOST "Host: x\r\n"
#define NEXT GET HOST "\r\n"

/* The expectation is as statuses() writes it. */
static const struct shape {
    int number;
    const char *request;
    const char *expected;
} shapes[] = {
    {1, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400x"},
    {2, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400x"},
    {3, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400x"},
    {4, POST "Content-Length: 5, 5\r\n\r\nhello", "400x"},
    {5, POST "Content-Length: +5\r\n\r\nhello", "400x"},
    {6, POST "Content-Length: 18446744073709551621\r\n\r\nhello", "400x"},
    {7, POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400x"},
    {8, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501x"},
    {9, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400x"},
    {9, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400x"},
    {9, POST "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", "400x"},
    {9, POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "400x"},
    {9, POST "Transfer-Encoding: \r\n\r\n0\r\n\r\n", "400x"},
    {9, POST "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", "400x"},
    {9, POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "200"},
    {10,
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
          "\r\n0\r\n\r\n",
     "400x"},
    {11,
     "POST /post HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     "400x"},
    {12, GET "Host : x\r\n\r\n", "400x"},
    {13, GET HOST "A: b\r\n c\r\n\r\n", "400x"},
    {14, GET " A: b\r\n" HOST "\r\n", "400x"},
    {15, "GET /f HTTP/1.1\nHost: x\n\n", "400x"},
    {15, GET "Host: x\n\r\n", "400x"},
    {15, GET HOST "A: b\nC: d\r\n\r\n", "400x"},
    {16, GET HOST "A: b\rc\r\n\r\n", "400x"},
    {16, "GET /f\r HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {18, GET HOST ": b\r\n\r\n", "400x"},
    {19, GET HOST "colonless\r\n\r\n", "400x"},
    {20, GET "\r\n", "400x"},
    {21, GET HOST HOST "\r\n", "400x"},
    {22, GET "Host: a/b\r\n\r\n", "400x"},
    {23, "GET /f HTTP/1.0\r\n\r\n", "200x"},
    {24, "GET http://other/f HTTP/1.1\r\n" HOST "\r\n", "200"},
    {24, "GET http://a/b@c:x HTTP/1.1\r\n" HOST "\r\n", "404"},
    {24, "GET http:///f HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {24, "GET ftp://x/f HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {25, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "204"},
    {25, "GET * HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {26, "CONNECT x:80 HTTP/1.1\r\n" HOST "\r\n", "501x"},
    {27, "GET /f HTTP/1.2\r\n" HOST "\r\n", "200"},
    {28, "GET /f HTTP/2.0\r\n" HOST "\r\n", "505x"},
    {29, "GET /f\r\n" HOST "\r\n", "400x"},
    {29, "GET /f HTTP/1.10\r\n" HOST "\r\n", "400x"},
    {29, "GET /f http/1.1\r\n" HOST "\r\n", "400x"},
    {30, "GET  /f HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {30, "GET /f  HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {31, "\r\n" NEXT, "200"},
    {31, "\r\n\r\n\r\n\r\n\r\n" NEXT, "400x"},
    {32, CHUNKED "5;a=b\r\nhello\r\n0\r\n\r\n", "200"},
    {33, CHUNKED "5;a=\nb\r\nhello\r\n0\r\n\r\n", "400x"},
    {33, CHUNKED "5;a=\rb\r\nhello\r\n0\r\n\r\n", "400x"},
    {34, CHUNKED "5\nhello\r\n0\r\n\r\n", "400x"},
    {34, CHUNKED "5\r\nhello\n0\r\n\r\n", "400x"},
    {34, CHUNKED "5\r\nhello\r\n0\n\n", "400x"},
    {34, CHUNKED "5\r\nhello\r\n0\r\n\n", "400x"},
    {35, CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", "400x"},
    {35, CHUNKED "5 5\r\nhello\r\n0\r\n\r\n", "400x"},
    {35, CHUNKED "-5\r\nhello\r\n0\r\n\r\n", "400x"},
    {35, CHUNKED "\r\nhello\r\n0\r\n\r\n", "400x"},
    {36, CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n", "400x"},
    {37, CHUNKED "5\r\nhello!\r\n0\r\n\r\n", "400x"},
    {38, CHUNKED "5\r\nhello\r\n0\r\nA: b\r\n\r\n" NEXT, "200 200"},
    {38, CHUNKED "0\r\nbad\r\n\r\n" NEXT, "400x"},
    {39, NEXT NEXT GET HOST "Connection: close\r\n\r\n" NEXT, "200 200 200x"},
    {40, GET HOST "Connection: close\r\n\r\n", "200x"},
    {41, "GET /f HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200"},
    {42, GET HOST "Connection: x, CLOSE\r\n\r\n", "200x"},
    {43, POST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", "100"},
    {43, GET HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", "200x"},
    {44, GET HOST "Expect: tea\r\n\r\n", "417x"},
    {45, GET HOST "Content-Length: 5\r\n\r\nhello" NEXT, "200 200"},
    {46, "get /f HTTP/1.1\r\n" HOST "\r\n", "501x"},
    {51, "GET /../../etc/passwd HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {52, "GET /%2e%2e/etc/passwd HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {53, "GET /f%2f..%2F..%2fg HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {54, "GET /f%00 HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {55, "GET /%zz HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {55, "GET /%4 HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {56, "GET /\x80 HTTP/1.1\r\n" HOST "\r\n", "400x"},
    {57, "HEAD /f HTTP/1.1\r\n" HOST "\r\n" NEXT, "200 200"},
    {58, GET HOST "Range: bytes=0-9\r\n\r\n", "206"},
    {59, GET HOST "Range: bytes=-10\r\n\r\n", "206"},
    {60, GET HOST "Range: bytes=1000-\r\n\r\n", "206"},
    {61, GET HOST "Range: bytes=5000-\r\n\r\n", "416"},
    {62, GET HOST "Range: bytes=-0\r\n\r\n", "416"},
    {63, GET HOST "Range: bytes=5-2\r\n\r\n", "200"},
    {64, GET HOST "Range: bytes=0-1,4-5\r\n\r\n", "200"},
    {65, GET HOST "Range: pages=0-1\r\n\r\n", "200"},
    {66, GET HOST "Range: bytes=0-9\r\nIf-Range: \"stale\"\r\n\r\n", "200"},
    {67, GET HOST "If-None-Match: *\r\n\r\n", "304"},
    {68, GET HOST "If-Match: \"other\"\r\n\r\n", "412"},
    {69, GET HOST "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n\r\n",
     "304"},
    {70,
     GET HOST "If-None-Match: \"other\"\r\n"
              "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n\r\n",
     "200"},
    {71, "DELETE /f HTTP/1.1\r\n" HOST "\r\n", "405"},
    {72, "BREW /f HTTP/1.1\r\n" HOST "\r\n", "501x"},
};

static void each_shape_has_its_outcome(void **state)
{
    (void) state;
    start_with_file();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        ask(shapes[i].request);
        if (strcmp(statuses(), shapes[i].expected) != 0)
            fail_msg("shape %d: %s instead of %s: %s", shapes[i].number,
                     statuses(), shapes[i].expected, shapes[i].request);
    }
    stop_httpd();
    assert_int_equal(t.unhandled, 0);
}

/* The same in single bytes.  They arrive one after the other. */
static void each_shape_has_the_same_outcome_byte_by_byte(void **state)
{
    (void) state;
    start_with_file();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const char *request = shapes[i].request;
        int peer = connect_client();

        got.size = 0;
        for (size_t k = 0; request[k] != '\0'; k++) {
            client_sends(peer, request + k, 1);
            run_for(MS / 100);
        }
        client_receives(peer, MS);
        sim_peer_close(peer);
        run_for(MS);
        if (strcmp(statuses(), shapes[i].expected) != 0)
            fail_msg("shape %d: %s instead of %s: %s", shapes[i].number,
                     statuses(), shapes[i].expected, request);
    }
    stop_httpd();
}

static void a_zero_byte_in_a_head_is_refused(void **state)
{
    static const char value[] = GET HOST "A: b\0c\r\n\r\n"; /* Shape 17. */
    static const char line[] = "GET\0/f HTTP/1.1\r\n" HOST "\r\n";
    static const char target[] = "GET /f\0HTTP/1.1\r\n" HOST "\r\n";

    (void) state;
    start_with_file();
    ask_bytes(value, sizeof value - 1);
    assert_string_equal(statuses(), "400x");
    ask_bytes(line, sizeof line - 1);
    assert_string_equal(statuses(), "400x");
    ask_bytes(target, sizeof target - 1);
    assert_string_equal(statuses(), "400x");
    stop_httpd();
}

/* Shapes 47 to 49, and a head without an end. */
static void large_heads_are_refused(void **state)
{
    static char text[64 * 1024];
    size_t size;

    (void) state;
    start_with_file();
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    memcpy(text + 9000, " HTTP/1.1\r\nHost: x\r\n\r\n", 23);
    ask(text);
    assert_string_equal(statuses(), "414x");
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    ask_bytes(text, sizeof text);
    assert_string_equal(statuses(), "414x");
    memcpy(text, GET HOST "A: ", sizeof GET HOST "A: " - 1);
    memcpy(text + 40000, "\r\n\r\n", 5);
    ask(text);
    assert_string_equal(statuses(), "431x");
    memcpy(text, GET HOST, sizeof GET HOST);
    size = strlen(text);
    for (int i = 0; i < 1000; i++)
        size += (size_t) snprintf(text + size, 16, "A: b\r\n");
    memcpy(text + size, "\r\n", 3);
    ask(text);
    assert_string_equal(statuses(), "431x");
    stop_httpd();
}

static void a_half_closed_client_is_answered(void **state)
{
    int peer;

    (void) state;
    start_with_file(); /* Shape 50. */
    peer = connect_client();
    got.size = 0;
    client_sends(peer, NEXT, sizeof NEXT - 1);
    sim_peer_shutdown(peer);
    client_receives(peer, MS);
    assert_string_equal(statuses(), "200x");
    sim_peer_close(peer);
    stop_httpd();
}

static void ranges_and_refusals_name_the_size(void **state)
{
    (void) state;
    start_with_file();
    ask(GET HOST "Range: bytes=-10\r\n\r\n");
    assert_non_null(strstr(got.text, "Content-Range: bytes 1014-1023/1024"));
    assert_non_null(strstr(got.text, "Content-Length: 10\r\n"));
    ask(GET HOST "Range: bytes=5000-\r\n\r\n");
    assert_non_null(strstr(got.text, "Content-Range: bytes */1024"));
    ask("DELETE /f HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(got.text, "Allow: GET, HEAD\r\n"));
    stop_httpd();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(each_shape_has_its_outcome),
        TEST(each_shape_has_the_same_outcome_byte_by_byte),
        TEST(a_zero_byte_in_a_head_is_refused),
        TEST(large_heads_are_refused),
        TEST(a_half_closed_client_is_answered),
        TEST(ranges_and_refusals_name_the_size),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
