/* An HTTP/1.1 server for the files of a directory, and two JSON endpoints.
 *
 *     usage: http_server [-H HOST] [-p PORT] [-j LOOPS] [-c CONNECTIONS]
 *                        [-g SECONDS] [-dlL] [DIRECTORY]
 *
 *     -H HOST         numeric address to listen on (default: 127.0.0.1)
 *     -p PORT         port to listen on; 0 is any free port (default: 8080)
 *     -j LOOPS        number of loops, each with a thread (default: 1); 0 is
 *                     one for each processor
 *     -c CONNECTIONS  connections that each loop serves simultaneously; more of
 *                     them wait (default: 10000, or fewer if the system
 *                     permits fewer open files)
 *     -g SECONDS      time that requests have to end at the end (default: 10)
 *     -d              list directories that have no index.html
 *     -l              print a line for each request; lines are dropped if too
 *                     many wait for the output
 *     -L              follow symbolic links that lead out of DIRECTORY
 *
 * DIRECTORY is the present one by default.  Files are sent with ranges,
 * conditional requests and types.  Up to 64 of them stay open, for at most a
 * second each: a change of a file has an effect immediately, that of a
 * directory above it after a second.  The endpoints are
 *
 *     GET /api/status     {"requests":3,"seconds":12.5}
 *     POST /api/count     the bytes and lines of the body:
 *                         {"bytes":6,"lines":1}
 *
 * Try it: echo hello | curl --data-binary @- http://127.0.0.1:8080/api/count
 *
 * SIGINT or SIGTERM ends it: it stops accepting, closes idle connections, and
 * answers the requests that have begun.  A second signal ends it immediately.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/access_log.h"
#include "support/httpd_files.h"
#include "support/process.h"
#include "support/server_options.h"

/* What all loops share. */
static struct {
    struct http_server_options options;
    struct httpd_files *files; /* It does not change, so that no lock is
                                  needed. */
    atomic_ulong requests;
    int64_t start_ns;
    int ready[2]; /* A pipe: each other loop writes whether it serves. */
    int end[2];   /* A pipe: the other loops end when it is readable. */
} server;

/* A loop with its thread. */
struct worker {
    pthread_t thread;
    bool is_first;     /* Its thread is that of main(). */
    bool is_running;   /* The thread has to be joined. */
    bool has_reported; /* The thread has written to server.ready. */
    ssize_t status;
};

static ssize_t answer_json(struct httpd_request *request, const char *text)
{
    return httpd_answer(request, 200, "application/json", text, strlen(text));
}

static ssize_t serve_status(struct httpd_request *request, void *arg)
{
    char text[96];

    (void) arg;
    snprintf(text, sizeof text, "{\"requests\":%lu,\"seconds\":%.1f}\n",
             atomic_load(&server.requests),
             (double) (aloop_now(request->loop) - server.start_ns) / 1e9);
    return answer_json(request, text);
}

static ssize_t serve_count(struct httpd_request *request, void *arg)
{
    unsigned long long bytes = 0, lines = 0;
    char buffer[4096], text[96];
    ssize_t n;

    (void) arg;
    while ((n = httpd_read(request, buffer, sizeof buffer)) > 0) {
        bytes += (unsigned long long) n;
        for (ssize_t i = 0; i < n; i++)
            lines += buffer[i] == '\n';
    }
    if (n < 0)
        return n; /* The server answers. */
    snprintf(text, sizeof text, "{\"bytes\":%llu,\"lines\":%llu}\n", bytes,
             lines);
    return answer_json(request, text);
}

static ssize_t serve_file(struct httpd_request *request, void *arg)
{
    (void) arg;
    return httpd_files_serve(request, server.files);
}

static const struct httpd_route routes[] = {
    {"GET", "/api/status", serve_status, NULL},
    {"POST", "/api/count", serve_count, NULL},
    {"GET", "/", serve_file, NULL},
};

static void on_log(const struct httpd_log *line, void *arg)
{
    const struct worker *worker = arg;

    atomic_fetch_add_explicit(&server.requests, 1, memory_order_relaxed);
    access_log_write(worker->is_first, line);
}

/* Waits for the threads of the other loops, which end_others() ends. */
static void join_others(struct worker *workers)
{
    for (uint64_t i = 1; i < server.options.loops; i++) {
        if (workers[i].is_running)
            pthread_join(workers[i].thread, NULL);
        workers[i].is_running = false;
    }
}

static void end_log(void)
{
    unsigned long lost;
    ssize_t status = access_log_close(&lost);

    if (status < 0)
        fprintf(stderr, "http_server: cannot write the log: %s\n",
                aloop_strerror(status));
    if (lost > 0)
        fprintf(stderr, "http_server: %lu lines of the log were dropped\n",
                lost);
}

static void *run_worker(void *arg);

/* Reports to the first loop whether this one serves, once. */
static void report_ready(struct worker *worker, bool is_serving)
{
    ssize_t n = 0;

    if (!worker->has_reported)
        n = write(server.ready[1], is_serving ? "y" : "n", 1);
    (void) n; /* A pipe has room for a byte of each loop. */
    worker->has_reported = true;
}

/* Starts another loop at the port of the first one, and waits until it serves.
 * Returns whether it does; otherwise there was or will be a message. */
static bool start_worker(struct worker *worker)
{
    int error = pthread_create(&worker->thread, NULL, run_worker, worker);
    char report = 'n';

    if (error != 0) {
        fprintf(stderr, "http_server: cannot start a thread: %s\n",
                strerror(error));
        return false;
    }
    worker->is_running = true;
    while (read(server.ready[0], &report, 1) < 0 && errno == EINTR) {
    }
    return report == 'y';
}

/* Ends the other loops, those that have not begun yet, too. */
static void end_others(void)
{
    ssize_t n = write(server.end[1], "", 1);

    (void) n; /* The pipe is empty, or readable already. */
}

/* Starts the other loops, and serves until SIGINT or SIGTERM. */
static ssize_t serve_first(aloop *loop, struct httpd *httpd,
                           struct worker *workers)
{
    aloop_future *interrupt = aloop_signal_wait(loop, SIGINT);
    aloop_future *termination = aloop_signal_wait(loop, SIGTERM);
    aloop_future *ended = aloop_race(loop, interrupt, termination);
    bool is_started = true;
    ssize_t status = 1;

    server.start_ns = aloop_now(loop);
    snprintf(server.options.port, sizeof server.options.port, "%d",
             httpd_port(httpd));
    for (uint64_t i = 1; i < server.options.loops && is_started; i++)
        is_started = start_worker(&workers[i]);
    if (is_started) {
        printf("listening on %s port %s\n", server.options.host,
               server.options.port);
        is_started = process_flush() == 0;
    }
    if (is_started)
        status = aloop_await(ended);
    else
        aloop_future_unref(ended);
    end_others();
    return is_started && status > 0 ? 0 : status;
}

/* Serves until the program ends.  Returns 0, 1 after a message, or an error. */
static ssize_t serve(aloop *loop, void *arg)
{
    struct worker *worker = arg;
    aloop_tcp_listen_options listen = {.size = sizeof listen,
                                       .reuse_port = server.options.loops > 1};
    struct httpd_options options = {
        .routes = routes,
        .routes_count = sizeof routes / sizeof routes[0],
        .connections_max = (size_t) server.options.connections_max,
        .is_plain_tcp = true,
        .kept_max = (size_t) server.options.kept_max,
        .on_log = on_log,
        .log_arg = worker,
        .listen = &listen,
    };
    struct httpd *httpd;
    ssize_t status = httpd_start(loop, server.options.host, server.options.port,
                                 &options, &httpd);

    if (status == 0 && server.options.is_logging && worker->is_first) {
        status = access_log_open(loop);
        if (status < 0) {
            (void) httpd_stop(httpd, 0);
            fprintf(stderr, "http_server: -l: %s\n", aloop_strerror(status));
            return 1;
        }
    }
    if (status < 0) {
        fprintf(stderr, "http_server: cannot listen on %s port %s: %s\n",
                server.options.host, server.options.port,
                aloop_strerror(status));
        return 1;
    }
    if (worker->is_first) {
        status = serve_first(loop, httpd, worker);
    } else {
        report_ready(worker, true);
        status = aloop_await(
            aloop_poll_wait(loop, server.end[0], ALOOP_POLL_READABLE));
    }
    (void) httpd_stop(httpd, server.options.grace_ns);
    if (worker->is_first) {
        join_others(worker);
        end_log();
    }
    return worker->is_first || status < 0 ? status : 0;
}

/* Runs a loop that is not the first one. */
static void *run_worker(void *arg)
{
    struct worker *worker = arg;

    worker->status = aloop_main(serve, worker);
    report_ready(worker, false);
    return NULL;
}

/* Runs all loops.  A thread exists until it was joined here, whatever the
 * others do, because it uses its worker and `server`. */
static int run_workers(struct worker *workers)
{
    int result = 0;

    workers[0].is_first = true;
    workers[0].status = aloop_main(serve, workers);
    end_others();
    join_others(workers);
    for (uint64_t i = 0; i < server.options.loops; i++) {
        if (workers[i].status < 0)
            fprintf(stderr, "http_server: %s\n",
                    aloop_strerror(workers[i].status));
        if (workers[i].status != 0)
            result = 1;
    }
    return result;
}

static int run(void)
{
    struct worker *workers =
        calloc((size_t) server.options.loops, sizeof *workers);
    int result = 1;

    if (workers == NULL)
        fprintf(stderr, "http_server: %s\n", aloop_strerror(ALOOP_ENOMEM));
    else if (pipe(server.ready) < 0 || pipe(server.end) < 0)
        fprintf(stderr, "http_server: %s\n", strerror(errno));
    else
        result = run_workers(workers);
    free(workers);
    return result;
}

int main(int argc, char **argv)
{
    int result = http_server_parse(argc, argv, &server.options);

    if (result != 0)
        return process_end("http_server", result < 0 ? 0 : result);
    process_hold_standard();
    result = httpd_files_open(server.options.directory, server.options.flags,
                              &server.files);
    if (result < 0) {
        fprintf(stderr, "http_server: %s: %s\n", server.options.directory,
                aloop_strerror(result));
        return 1;
    }
    http_server_fit(&server.options);
    /* sendfile() to a client that has left raises it. */
    (void) signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    result = run();
    httpd_files_close(server.files);
    return process_end("http_server", result);
}
