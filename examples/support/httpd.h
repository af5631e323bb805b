/* An HTTP/1.1 server (RFC 9110 and 9112) for programs with a loop.
 *
 * A route leads from a method and a path to a handler.  Each connection has a
 * task, in which the handlers of its requests run, one after the other.  So a
 * handler is an ordinary function that may await:
 *
 *     static ssize_t hello(struct httpd_request *request, void *arg)
 *     {
 *         return httpd_answer(request, 200, "text/plain", "hello\n", 6);
 *     }
 *
 *     static const struct httpd_route routes[] = {
 *         {"GET", "/hello", hello, NULL},
 *         {"GET", "/", httpd_files_serve, &files}, // see httpd_files.h
 *     };
 *     struct httpd_options options = {.routes = routes, .routes_count = 2};
 *
 *     status = httpd_start(loop, "127.0.0.1", "8080", &options, &httpd);
 *     ...
 *     aloop_await(httpd_stop(httpd, ALOOP_SEC(5)));
 *
 * The server answers by itself what is malformed or too large, what no route
 * leads to, OPTIONS and Expect.  It reads requests that a client sends without
 * waiting for answers (pipelining), and answers them in order.  The bytes of a
 * request are not trusted: a request that two servers could read differently is
 * answered with 400, and the connection is closed.
 *
 * Functions return 0 or more, or an error of the library (ALOOP_E...). */

#ifndef EXAMPLES_HTTPD_H
#define EXAMPLES_HTTPD_H

#include <aloop.h>

struct httpd;
struct stat;

/* A request, which is valid until its handler returns.  All texts belong to the
 * request, and none is NULL unless its comment allows that. */
struct httpd_request {
    aloop *loop;
    const char *method;
    /* Decoded, without "." and "..".  It begins with "/". */
    const char *path;
    const char *rest;   /* The part of the path that follows the route's. */
    const char *query;  /* What follows "?", not decoded; NULL: no "?". */
    const char *host;   /* "" if an HTTP/1.0 client has sent none. */
    const char *target; /* As it was received. */
    int64_t length;     /* Of the body, in bytes; -1: chunked. */
};

/* Answers a request.
 *
 *     result         answer begun      effect
 *     0 or more      yes               the answer is completed
 *     0 or more      no                the client receives 500
 *     less than 0    no                the client receives 500, or 408, 413 or
 *                                      400 if the body could not be read
 *     less than 0    yes               the connection is reset, so that the
 *                                      client does not mistake a part for the
 *                                      whole
 *
 * Context: the task of the connection. */
typedef ssize_t (*httpd_handler)(struct httpd_request *request, void *arg);

/* The longest path that matches decides.  If there are routes with this path,
 * but none with the method, the client receives 405. */
struct httpd_route {
    const char *method; /* "GET" includes HEAD. */
    const char *path; /* "/a" is that path; "/a/" is all that begin with it. */
    httpd_handler handler;
    void *arg; /* For the handler. */
};

/* One line of the access log.  The texts are those of the client: escape them
 * before they are printed (httpd_text_log()). */
struct httpd_log {
    const char *peer;   /* "127.0.0.1:4711" */
    const char *method; /* "-" if the request is malformed, as is the target. */
    const char *target;
    int status;
    uint64_t size; /* Bytes of the body that were sent. */
    int64_t duration_ns;
};

/* Zero means the default, which is in brackets. */
struct httpd_options {
    const struct httpd_route *routes;
    size_t routes_count;
    size_t head_max;        /* Bytes of a request without its body [16 KiB]. */
    size_t fields_max;      /* Header fields of a request, up to 128 [100]. */
    uint64_t body_max;      /* Bytes of a body [1 MiB]. */
    int64_t idle_ns;        /* For the next request to begin [60 s]. */
    int64_t head_ns;        /* From the first byte to the end of the head
                               [10 s]. */
    int64_t stall_ns;       /* For each 64 KiB of a body or an answer [30 s]. */
    size_t connections_max; /* More of them wait [no limit]. */
    /* The streams are TCP connections of the system, without filters.  Then
     * larger files are sent by sendfile(), where there is one.  It raises
     * SIGPIPE, which the program has to ignore. */
    bool is_plain_tcp;
    size_t kept_max; /* Files that stay open for the next requests, for at most
                        a second each; see httpd_kept.h [none]. */
    void (*on_log)(const struct httpd_log *line, void *arg); /* [no log] */
    void *log_arg;
    const aloop_tcp_listen_options *listen; /* [those of the library] */
};

/* Starts a server on an address, as aloop_tcp_serve() does.
 *
 * The routes have to exist until the server has stopped.  Returns 0, or an
 * error of aloop_tcp_serve(). */
int httpd_start(aloop *loop, const char *host, const char *port,
                const struct httpd_options *options, struct httpd **ret_httpd);

/* Returns the port that a server listens on. */
int httpd_port(const struct httpd *httpd);

/* Ends a server and frees it.
 *
 * It accepts no connection any more.  Idle connections are closed.  Requests
 * that have begun are answered within `grace_ns`, the last of each connection
 * with "Connection: close".  Then the rest is cancelled.  Returns the number of
 * connections that were cancelled, or an error of aloop_server_stop().
 *
 * Context: a task, or outside of the loop's run.  No handler may call it. */
ssize_t httpd_stop(struct httpd *httpd, int64_t grace_ns);

/* Returns the value of a header field, or NULL.  The case of the name has no
 * meaning.  If there are several, it is the first one. */
const char *httpd_field(const struct httpd_request *request, const char *name);

/* Reads a part of the body.
 *
 * Returns the number of bytes; 0 at the end.
 * Errors:  ALOOP_EMSGSIZE: the body is larger than the limit;
 *          ALOOP_EPROTO: it is malformed;
 *          ALOOP_EOF: the connection ended before;
 *          ALOOP_ETIMEDOUT: it was too slow;
 *          others: as for aloop_stream_read(). */
ssize_t httpd_read(struct httpd_request *request, void *buffer, size_t size);

/* Adds a header field to the answer, before it begins.
 *
 * Returns 0; ALOOP_EINVAL: the name or the value is not allowed;
 * ALOOP_ENOSPC: there are more than 8 KiB of them. */
int httpd_add_field(struct httpd_request *request, const char *name,
                    const char *value);

/* Answers with a body.
 *
 * `type` is the media type, or NULL.  The body is copied.  Nothing of it is
 * sent to a HEAD request, nor with the status 204 or 304.  Returns 0; errors:
 * ALOOP_EALREADY: there is an answer; others: as for aloop_stream_put(). */
ssize_t httpd_answer(struct httpd_request *request, int status,
                     const char *type, const void *body, size_t size);

/* Begins an answer whose body httpd_write() sends.
 *
 * `length` is the number of its bytes, or -1 if that is not known: then the
 * body is chunked, or ends with the connection for an HTTP/1.0 client. */
ssize_t httpd_begin(struct httpd_request *request, int status, const char *type,
                    int64_t length);

/* Sends a part of the body, and waits while the client is slower.
 *
 * Returns 0; errors: ALOOP_EINVAL: the body has more bytes than its length;
 * ALOOP_ETIMEDOUT: the client does not receive; others: as for
 * aloop_stream_put(). */
ssize_t httpd_write(struct httpd_request *request, const void *data,
                    size_t size);

/* Returns whether httpd_write_file() sends without copying. */
bool httpd_has_sendfile(const struct httpd_request *request);

/* Sends `size` bytes of the file `fd`, from `offset`, as a part of the body.
 * What is not in the page cache is read on a thread of the pool.  `stat` is the
 * result of fstat() for the file.
 *
 * Returns 0; errors: ALOOP_EOF: the file has fewer bytes; others: as for
 * httpd_write(), and those of reading the file. */
ssize_t httpd_write_file(struct httpd_request *request, int fd,
                         const struct stat *stat, int64_t offset, int64_t size);

/* Returns "Not Found" for 404, and "Status" for a status that is not known. */
const char *httpd_reason(int status);

#endif
