/* Static files of the HTTP server: names, links, listings, conditions, dates.
 * The folder is one of the real system. */

#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE /* For mkdtemp(). */

#include "support/httpd_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/inotify.h>
#endif

#include "../examples/support/httpd_date.h"
#include "../examples/support/httpd_files.h"
#include "../examples/support/httpd_match.h"
#include "../examples/support/httpd_text.h"

static char folder[64];
static struct httpd_files *files;

/* Returns the path of a name in the folder. */
static const char *path_of(const char *name)
{
    static char paths[2][160];
    static int turn;

    turn = 1 - turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const char *const names[] = {"root/<a>&\".txt",
                                    "root/in",
                                    "root/inside",
                                    "root/absolute",
                                    "root/out",
                                    "root/up",
                                    "root/loop",
                                    "root/large",
                                    "root/sub/index.html",
                                    "root/sub/a:b",
                                    "root/sub",
                                    "root/none/x",
                                    "root/none",
                                    "root/odd/index.html/x",
                                    "root/odd/index.html",
                                    "root/odd",
                                    "root/out_index/index.html",
                                    "root/out_index",
                                    "root/fifo",
                                    "root/socket",
                                    "root/empty",
                                    "root/closed/index.html",
                                    "root/closed/open",
                                    "root/closed",
                                    "root",
                                    "secret"};

static int make_folder(void **state)
{
    FILE *large;

    (void) state;
    strcpy(folder, "/tmp/aloop-httpd-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    assert_int_equal(mkdir(path_of("root"), 0755), 0);
    assert_int_equal(mkdir(path_of("root/sub"), 0755), 0);
    assert_int_equal(mkdir(path_of("root/none"), 0755), 0);
    assert_int_equal(mkdir(path_of("root/odd"), 0755), 0);
    assert_int_equal(mkdir(path_of("root/odd/index.html"), 0755), 0);
    assert_int_equal(mkdir(path_of("root/out_index"), 0755), 0);
    assert_int_equal(mkdir(path_of("root/closed"), 0755), 0);
    write_file("root/closed/index.html", "closed");
    write_file("root/closed/open", "open");
    write_file("root/odd/index.html/x", "x");
    write_file("secret", "secret");
    write_file("root/<a>&\".txt", "odd");
    write_file("root/inside", "inside");
    write_file("root/sub/index.html", "index");
    write_file("root/sub/a:b", "colon");
    write_file("root/none/x", "x");
    large = fopen(path_of("root/large"), "w");
    for (int i = 0; i < 40000; i++)
        fprintf(large, "%05d", i);
    fclose(large);
    assert_int_equal(symlink("sub/../inside", path_of("root/in")), 0);
    assert_int_equal(symlink(path_of("root/inside"), path_of("root/absolute")),
                     0);
    assert_int_equal(symlink("../secret", path_of("root/out")), 0);
    assert_int_equal(
        symlink("../../secret", path_of("root/out_index/index.html")), 0);
    assert_int_equal(symlink("..", path_of("root/up")), 0);
    assert_int_equal(symlink("loop", path_of("root/loop")), 0);
    return 0;
}

static int remove_folder(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (unlink(path_of(names[i])) != 0)
            rmdir(path_of(names[i]));
    return rmdir(folder);
}

static void serve_folder(unsigned flags)
{
    static struct httpd_route routes[] = {
        {"GET", "/", httpd_files_serve, NULL},
        {"GET", "/files/", httpd_files_serve, NULL},
    };
    struct httpd_options options = {.routes = routes,
                                    .routes_count = 2,
                                    .kept_max = 4};

    assert_int_equal(httpd_files_open(path_of("root"), flags, &files), 0);
    routes[0].arg = routes[1].arg = files;
    start_httpd(&options);
}

static void end_folder(void)
{
    stop_httpd();
    httpd_files_close(files);
}

/* Asks for a path, with more header fields. */
static void get(const char *path, const char *fields)
{
    static char request[1024];

    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n",
             path, fields);
    ask(request);
}

static const char *got_body(void)
{
    const char *body = strstr(got.text, "\r\n\r\n");

    assert_non_null(body);
    return body + 4;
}

static void expect_get(const char *path, const char *expected)
{
    get(path, "");
    if (strcmp(statuses(), expected) != 0)
        fail_msg("%s: %s instead of %s", path, statuses(), expected);
}

static void only_what_is_beneath_the_root_is_served(void **state)
{
    (void) state;
    serve_folder(0);
    expect_get("/inside", "200");
    expect_get("/files/inside", "200");
    expect_get("/in", "200");
    assert_string_equal(got_body(), "inside");
    expect_get("/absolute", "200");
    expect_get("/out", "404");
    expect_get("/up/secret", "404");
    expect_get("/up/root/inside", "200"); /* It is beneath the root. */
    expect_get("/loop", "404");
    expect_get("/loop/x", "404");
    expect_get("/inside/x", "404");
    expect_get("/inside/", "404");
    expect_get("/%3Ca%3E%26%22.txt", "200");
    assert_non_null(strstr(got.text, "text/plain; charset=utf-8"));
    expect_get("/sub", "301");
    expect_get("/sub/", "200");
    expect_get("/none/", "403");
    expect_get("/nowhere/", "404");
    expect_get("/", "403");
    end_folder();
}

static void links_out_of_the_root_are_followed_on_request(void **state)
{
    (void) state;
    serve_folder(HTTPD_FOLLOW);
    expect_get("/out", "200");
    assert_string_equal(got_body(), "secret");
    expect_get("/up/secret", "200");
    expect_get("/loop", "404");
    end_folder();
}

static void a_redirect_keeps_the_query_and_escapes_the_path(void **state)
{
    (void) state;
    serve_folder(0);
    get("//sub?a=%22", "");
    assert_non_null(strstr(got.text, "\r\nLocation: /sub/?a=%22\r\n"));
    end_folder();
}

static void a_redirect_may_have_a_long_query(void **state)
{
    static char query[7900], request[8000], location[8000];

    (void) state;
    memset(query, 'q', sizeof query - 1);
    snprintf(request, sizeof request, "GET /sub?%s HTTP/1.1\r\nHost: x\r\n\r\n",
             query);
    snprintf(location, sizeof location, "\r\nLocation: /sub/?%s\r\n", query);
    serve_folder(0);

    ask(request);

    assert_string_equal(statuses(), "301");
    assert_non_null(strstr(got.text, location));
    end_folder();
}

static void a_listing_escapes_names(void **state)
{
    (void) state;
    serve_folder(HTTPD_LIST);
    expect_get("/", "200");
    assert_non_null(strstr(got_body(), "<a href=\"./%3Ca%3E%26%22.txt\">"
                                       "&lt;a&gt;&amp;&quot;.txt</a>"));
    assert_non_null(strstr(got_body(), "<a href=\"./sub/\">sub/</a>"));
    assert_null(strstr(got_body(), "<a>&"));
    expect_get("/none/", "200");
    expect_get("/nowhere/", "404");
    end_folder();
}

/* A redirect would lead to the same request again. */
static void an_index_that_is_no_file_is_not_used(void **state)
{
    (void) state;
    serve_folder(0);
    expect_get("/odd/", "403");
    expect_get("/odd/index.html", "301");
    expect_get("/odd/index.html/x", "200");
    expect_get("/out_index/", "403");
    end_folder();
    serve_folder(HTTPD_LIST);
    expect_get("/odd/", "200");
    assert_non_null(strstr(got_body(), "<a href=\"./index.html/\">"));
    expect_get("/odd/index.html/", "200");
    expect_get("/out_index/", "200");
    assert_null(strstr(got_body(), "secret"));
    end_folder();
}

/* Asks for a path.  Root may read everything, so that the process is another
 * user meanwhile. */
static void expect_get_by_user(const char *path, const char *expected)
{
    uid_t user = geteuid();

    if (user == 0)
        assert_int_equal(seteuid(65534), 0);
    get(path, "");
    assert_int_equal(seteuid(user), 0);
    if (strcmp(statuses(), expected) != 0)
        fail_msg("%s: %s instead of %s", path, statuses(), expected);
}

/* The directory is not listed instead, because it has an index.  A server that
 * has served the index before opens it in another way. */
static void expect_unreadable(unsigned flags, bool was_served)
{
    assert_int_equal(chmod(path_of("root/closed/index.html"), 0644), 0);
    serve_folder(flags);
    if (was_served)
        expect_get("/closed/", "200");
    assert_int_equal(chmod(path_of("root/closed/index.html"), 0), 0);
    expect_get_by_user("/closed/", "403");
    assert_null(strstr(got_body(), "index.html"));
    expect_get_by_user("/closed/index.html", "403");
    expect_get_by_user("/closed/open", "200");
    end_folder();
}

static void an_index_that_cannot_be_read_is_refused(void **state)
{
    (void) state;
    expect_unreadable(0, false);
    expect_unreadable(0, true);
    expect_unreadable(HTTPD_LIST, false);
    expect_unreadable(HTTPD_LIST, true);
}

/* Opens of the FIFO are counted where the system does that. */
static int watch_opens(const char *path)
{
#ifdef __linux__
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    assert_true(inotify_add_watch(watch, path, IN_OPEN) >= 0);
    return watch;
#else
    (void) path;
    return -1;
#endif
}

/* To open a FIFO releases a process that waits to write to it. */
static void what_is_no_file_is_refused_without_being_opened(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), watch;
    char events[256];

    (void) state;
    assert_int_equal(mkfifo(path_of("root/fifo"), 0644), 0);
    strncpy(address.sun_path, path_of("root/socket"),
            sizeof address.sun_path - 1);
    assert_int_equal(
        bind(fd, (const struct sockaddr *) &address, sizeof address), 0);
    watch = watch_opens(path_of("root/fifo"));
    for (unsigned flags = 0; flags <= HTTPD_FOLLOW; flags++) {
        serve_folder(flags);
        for (int i = 0; i < 2; i++) {
            expect_get("/fifo", "404");
            expect_get("/socket", "404");
        }
        end_folder();
    }
    close(fd);
    if (watch >= 0)
        assert_int_equal(read(watch, events, sizeof events), -1);
    close(watch);
}

static void a_file_may_become_a_directory(void **state)
{
    (void) state;
    serve_folder(0);
    write_file("root/empty", "text");
    expect_get("/empty", "200");
    expect_get("/empty", "200");
    assert_int_equal(unlink(path_of("root/empty")), 0);
    expect_get("/empty", "404");
    assert_int_equal(mkdir(path_of("root/empty"), 0755), 0);
    expect_get("/empty", "301");
    assert_int_equal(rmdir(path_of("root/empty")), 0);
    assert_int_equal(mkfifo(path_of("root/empty"), 0644), 0);
    expect_get("/empty", "404");
    assert_int_equal(unlink(path_of("root/empty")), 0);
    end_folder();
}

/* A suffix can be satisfied by no bytes, but no range names them. */
/* Asks often enough for the file to stay open: its name is found, the file is
 * opened, and it is used again. */
static void keep_file(const char *path, const char *body)
{
    for (int i = 0; i < 3; i++) {
        expect_get(path, "200");
        assert_string_equal(got_body(), body);
    }
}

static void a_file_that_stays_open_is_sent_as_it_is_now(void **state)
{
    (void) state;
    serve_folder(0);
    write_file("root/empty", "first");
    keep_file("/empty", "first");
    write_file("root/empty", "longer than before");
    keep_file("/empty", "longer than before");
    write_file("root/none/x", "another file");
    assert_int_equal(rename(path_of("root/none/x"), path_of("root/empty")), 0);
    keep_file("/empty", "another file");
    assert_int_equal(link(path_of("root/empty"), path_of("root/none/x")), 0);
    keep_file("/empty", "another file");
    assert_int_equal(unlink(path_of("root/empty")), 0);
    expect_get("/empty", "404");
    keep_file("/none/x", "another file");
    assert_int_equal(unlink(path_of("root/none/x")), 0);
    end_folder();
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_file_stays_open_for_a_second(void **state)
{
    unsigned before;

    (void) state;
    serve_folder(0);
    before = count_descriptors();
    keep_file("/inside", "inside");
    keep_file("/sub/", "index");
    assert_true(count_descriptors() <= before + 2);
    assert_int_equal(rename(path_of("root/sub"), path_of("root/out_index/sub")),
                     0);
    run_for(ALOOP_SEC(1));
    assert_int_equal(count_descriptors(), before);
    expect_get("/sub/", "404");
    assert_int_equal(rename(path_of("root/out_index/sub"), path_of("root/sub")),
                     0);
    end_folder();
}

static void few_files_stay_open(void **state)
{
    char path[32];
    unsigned before;

    (void) state;
    serve_folder(0);
    before = count_descriptors();
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "root/%d", i);
        write_file(path, path);
        keep_file(path + strlen("root"), path);
    }
    assert_true(count_descriptors() <= before + 4);
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "root/%d", i);
        assert_int_equal(unlink(path_of(path)), 0);
    }
    end_folder();
    assert_true(count_descriptors() < before);
}

/* At the limit, the descriptors of kept files are free for others.  Without
 * openat2(2), as under valgrind, no file is kept. */
static void files_that_stay_open_leave_descriptors_to_others(void **state)
{
    struct rlimit before, limit;
    unsigned opened;
    int next;

    (void) state;
    serve_folder(0);
    opened = count_descriptors();
    keep_file("/inside", "inside");
    if (count_descriptors() == opened) {
        end_folder();
        skip();
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    next = dup(STDOUT_FILENO);
    assert_int_equal(close(next), 0);
    limit = before;
    limit.rlim_cur = (rlim_t) next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    get("/large", "");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(statuses(), "200");
    end_folder();
}

/* The first client has received only a part when the file is replaced. */
static void a_file_that_is_replaced_is_sent_to_its_end(void **state)
{
    static const char request[] = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
    int peer;

    (void) state;
    serve_folder(0);
    for (int i = 0; i < 3; i++)
        expect_get("/large", "200");
    sim_buffer_size(4096);
    peer = connect_client();
    client_sends(peer, request, sizeof request - 1);
    run_for(MS);
    assert_int_equal(rename(path_of("root/large"), path_of("root/none/x")), 0);
    write_file("root/large", "small");
    keep_file("/large", "small");
    got.size = 0;
    client_receives(peer, MS);
    assert_int_equal(strlen(got_body()), 200000);
    assert_string_equal(got_body() + 200000 - 5, "39999");
    sim_peer_close(peer);
    run_for(MS);
    assert_int_equal(rename(path_of("root/none/x"), path_of("root/large")), 0);
    end_folder();
}

static void an_empty_file_has_no_ranges(void **state)
{
    (void) state;
    write_file("root/empty", "");
    serve_folder(0);
    expect_get("/empty", "200");
    assert_non_null(strstr(got.text, "Content-Length: 0\r\n"));
    get("/empty", "Range: bytes=0-\r\n");
    assert_string_equal(statuses(), "416");
    assert_non_null(strstr(got.text, "Content-Range: bytes */0\r\n"));
    get("/empty", "Range: bytes=-0\r\n");
    assert_string_equal(statuses(), "416");
    get("/empty", "Range: bytes=-5\r\n");
    assert_string_equal(statuses(), "200");
    assert_non_null(strstr(got.text, "Content-Length: 0\r\n"));
    end_folder();
    unlink(path_of("root/empty"));
}

static void ranges_are_combined_with_conditions(void **state)
{
    static const struct {
        const char *fields;
        const char *expected;
        const char *body;
    } cases[] = {
        {"Range: bytes=-1000\r\n", "206", "inside"},
        {"Range: bytes=2-99999999999999999999\r\n", "206", "side"},
        {"Range: bytes=5-5\r\n", "206", "e"},
        {"Range: bytes=6-\r\n", "416", "416 Range Not Satisfiable\n"},
        {"Range: bytes=99999999999999999999-\r\n", "416",
         "416 Range Not Satisfiable\n"},
        {"Range: bytes=0-0, 2-3\r\n", "200", "inside"},
        {"Range: bytes=0-0,\r\n", "200", "inside"},
        {"Range: bytes=\r\n", "200", "inside"},
        {"Range: bytes=--1\r\n", "200", "inside"},
        {"Range: bytes=0-1\r\nIf-Range: *\r\n", "200", "inside"},
        {"Range: bytes=6-\r\nIf-Range: \"other\"\r\n", "200", "inside"},
        {"Range: bytes=0-1\r\nIf-None-Match: *\r\n", "304", ""},
        {"Range: bytes=6-\r\nIf-None-Match: *\r\n", "304", ""},
        {"Range: bytes=0-1\r\nIf-Match: \"other\"\r\n", "412",
         "412 Precondition Failed\n"},
    };

    (void) state;
    serve_folder(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        get("/inside", cases[i].fields);
        if (strcmp(statuses(), cases[i].expected) != 0 ||
            strcmp(got_body(), cases[i].body) != 0)
            fail_msg("%s: %s, %s", cases[i].fields, statuses(), got_body());
    }
    ask("HEAD /inside HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n");
    assert_string_equal(statuses(), "200");
    assert_non_null(strstr(got.text, "Content-Length: 6\r\n"));
    assert_string_equal(got_body(), "");
    end_folder();
}

/* The client must not take a part for the whole. */
static void a_file_that_shrinks_ends_in_a_reset(void **state)
{
    int peer;

    (void) state;
    write_file("root/empty", "");
    assert_int_equal(truncate(path_of("root/empty"), 400000), 0);
    serve_folder(0);
    sim_buffer_size(10000);
    peer = connect_client();
    got.size = 0;
    client_sends(peer, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    run_for(MS);
    assert_int_equal(truncate(path_of("root/empty"), 300000), 0);
    for (int i = 0; i < 100 && sim_peer_connected(peer); i++)
        client_receives(peer, MS);
    assert_false(got.has_ended);
    assert_int_equal(sim_peer_error(peer), -ECONNRESET);
    sim_peer_close(peer);
    run_for(MS);
    end_folder();
    unlink(path_of("root/empty"));
}

static void a_large_file_is_sent_in_pieces(void **state)
{
    char end[16];

    (void) state;
    serve_folder(0);
    expect_get("/large", "200");
    assert_int_equal(strlen(got_body()), 200000);
    assert_string_equal(got_body() + 200000 - 5, "39999");
    get("/large", "Range: bytes=100000-100004\r\n");
    assert_string_equal(statuses(), "206");
    snprintf(end, sizeof end, "%05d", 20000);
    assert_string_equal(got_body(), end);
    ask("HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(got.text, "Content-Length: 200000\r\n"));
    assert_string_equal(got_body(), "");
    end_folder();
}

static void conditions_compare_tags_and_dates(void **state)
{
    char etag[80], fields[200], date[32];
    const char *start;

    (void) state;
    serve_folder(0);
    expect_get("/inside", "200");
    start = strstr(got.text, "ETag: ") + 6;
    snprintf(etag, sizeof etag, "%.*s", (int) strcspn(start, "\r"), start);
    start = strstr(got.text, "Last-Modified: ") + 15;
    snprintf(date, sizeof date, "%.29s", start);
    snprintf(fields, sizeof fields, "If-None-Match: \"x,\", W/%s\r\n", etag);
    get("/inside", fields);
    assert_string_equal(statuses(), "304");
    assert_non_null(strstr(got.text, etag));
    assert_null(strstr(got.text, "Content-Length"));
    snprintf(fields, sizeof fields, "If-Match: W/%s\r\n", etag);
    get("/inside", fields);
    assert_string_equal(statuses(), "412"); /* It must be strong. */
    snprintf(fields, sizeof fields, "If-Match: %s\r\n", etag);
    get("/inside", fields);
    assert_string_equal(statuses(), "200");
    snprintf(fields, sizeof fields, "If-Modified-Since: %s\r\n", date);
    get("/inside", fields);
    assert_string_equal(statuses(), "304");
    snprintf(fields, sizeof fields, "If-Unmodified-Since: %s\r\n", date);
    get("/inside", fields);
    assert_string_equal(statuses(), "200");
    get("/inside", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    assert_string_equal(statuses(), "412");
    snprintf(fields, sizeof fields, "Range: bytes=0-1\r\nIf-Range: %s\r\n",
             etag);
    get("/inside", fields);
    assert_string_equal(statuses(), "206");
    snprintf(fields, sizeof fields, "Range: bytes=0-1\r\nIf-Range: W/%s\r\n",
             etag);
    get("/inside", fields);
    assert_string_equal(statuses(), "200");
    end_folder();
}

static void malformed_tags_match_nothing(void **state)
{
    (void) state;
    assert_true(httpd_etag_listed("*", "\"a\"", false));
    assert_true(httpd_etag_listed("\"b\" , \"a\"", "\"a\"", false));
    assert_true(httpd_etag_listed("W/\"a\"", "\"a\"", true));
    assert_false(httpd_etag_listed("W/\"a\"", "\"a\"", false));
    assert_false(httpd_etag_listed("a", "\"a\"", true));
    assert_false(httpd_etag_listed("\"a", "\"a\"", true));
    assert_false(httpd_etag_listed("", "\"a\"", true));
    assert_false(httpd_etag_listed("\"ab\"", "\"a\"", true));
}

static void a_date_is_read_as_it_was_written(void **state)
{
    char text[HTTPD_DATE_SIZE];
    int64_t seconds = 0;

    (void) state;
    httpd_date_format(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    for (int64_t s = 0; s < 253402300800; s += 123456789) {
        httpd_date_format(s, text);
        assert_true(httpd_date_parse(text, &seconds));
        assert_int_equal(seconds, s);
    }
    httpd_date_format(951782400, text);
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
    httpd_date_format(-1, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_false(httpd_date_parse("", &seconds));
    assert_false(httpd_date_parse("Sun Nov  6 08:49:37 1994", &seconds));
    assert_false(httpd_date_parse("Sun, 06 Nux 1994 08:49:37 GMT", &seconds));
    assert_false(httpd_date_parse("Sun, 06 Nov 1994 24:49:37 GMT", &seconds));
    assert_false(httpd_date_parse("Sun, 06 Nov 1994 08:49:37 GMT ", &seconds));
}

static void control_characters_are_replaced_in_html(void **state)
{
    struct httpd_text text = {0};

    (void) state;
    httpd_text_html(&text, "a\n\x7f'");
    httpd_text_url(&text, "\n\xff/~");
    httpd_text_add(&text, "", 1);
    assert_string_equal(text.data, "a&#xfffd;&#xfffd;&#39;%0A%FF/~");
    free(text.data);
}

static void what_a_client_sent_is_escaped_in_a_log(void **state)
{
    struct httpd_text text = {0};

    (void) state;
    httpd_text_log(&text, "/a b\" 200\\\r\n\x7f\xff\xc3\xbc~");
    httpd_text_add(&text, "", 1);
    assert_string_equal(text.data,
                        "/a b\\x22 200\\x5c\\x0d\\x0a\\x7f\\xff\\xc3\\xbc~");
    free(text.data);
}

static void a_root_that_cannot_be_opened_is_reported(void **state)
{
    (void) state;
    assert_int_equal(httpd_files_open(path_of("nowhere"), 0, &files),
                     ALOOP_ENOENT);
    assert_int_equal(httpd_files_open(path_of("secret"), 0, &files),
                     ALOOP_ENOTDIR);
    httpd_files_close(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(only_what_is_beneath_the_root_is_served),
        TEST(links_out_of_the_root_are_followed_on_request),
        TEST(a_redirect_keeps_the_query_and_escapes_the_path),
        TEST(a_redirect_may_have_a_long_query),
        TEST(a_listing_escapes_names),
        TEST(an_index_that_is_no_file_is_not_used),
        TEST(an_index_that_cannot_be_read_is_refused),
        TEST(what_is_no_file_is_refused_without_being_opened),
        TEST(a_file_may_become_a_directory),
        TEST(a_file_that_stays_open_is_sent_as_it_is_now),
        TEST(a_file_stays_open_for_a_second),
        TEST(few_files_stay_open),
        TEST(files_that_stay_open_leave_descriptors_to_others),
        TEST(a_file_that_is_replaced_is_sent_to_its_end),
        TEST(an_empty_file_has_no_ranges),
        TEST(ranges_are_combined_with_conditions),
        TEST(a_file_that_shrinks_ends_in_a_reset),
        TEST(a_large_file_is_sent_in_pieces),
        TEST(conditions_compare_tags_and_dates),
        TEST(malformed_tags_match_nothing),
        TEST(a_date_is_read_as_it_was_written),
        TEST(control_characters_are_replaced_in_html),
        TEST(what_a_client_sent_is_escaped_in_a_log),
        TEST(a_root_that_cannot_be_opened_is_reported),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
