/* An echo server with one loop for each processor.
 *
 *     usage: multicore [-p PORT] [-n LOOPS] [-c CONNECTIONS]
 *
 *     -p PORT         port of 127.0.0.1 to listen on (default: any free port)
 *     -n LOOPS        number of loops (default: one for each processor,
 *                     or one if the system does not report how many)
 *     -c CONNECTIONS  connections that each loop serves simultaneously
 *                     (default: no limit)
 *
 * Each loop has a thread and a listener of its own.  All listeners have the
 * same port (reuse_port), and the system gives each connection to one of them.
 * Nothing is shared, so that no lock is needed.  A connection stays with its
 * loop: this suits many short connections better than a few busy ones.
 *
 * SIGINT or SIGTERM ends it: open connections have two seconds to end.  At the
 * end it prints how many connections each loop has served.  A second signal
 * ends it immediately.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum { LOOPS_MAX = 256, CHUNK = 16384 };

/* How many loops besides the first one have begun to wait for signals, or have
 * failed. */
struct start {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned count;
};

/* One loop with its thread. */
struct worker {
    pthread_t thread;
    char port[8];
    size_t connections_max;
    bool is_shared; /* There are other loops. */
    bool has_started;
    struct start *start;
    unsigned served;
    ssize_t status;
    struct worker *others; /* The first worker starts them. */
    unsigned others_count;
};

static ssize_t echo(aloop *loop, aloop_stream *stream, void *arg)
{
    struct worker *worker = arg;
    char bytes[CHUNK];
    ssize_t n;

    (void) loop;
    worker->served++;
    while ((n = aloop_await(aloop_stream_read(stream, bytes, sizeof bytes))) >
           0)
        if (aloop_stream_put(stream, bytes, (size_t) n) == 1)
            aloop_await(aloop_stream_drain(stream));
    aloop_stream_close(stream);
    return 0; /* A broken connection is no failure of the server. */
}

static void *run_worker(void *arg);

static void report_start(struct worker *worker)
{
    struct start *start = worker->start;

    if (worker->has_started)
        return;
    worker->has_started = true;
    pthread_mutex_lock(&start->lock);
    start->count++;
    pthread_cond_signal(&start->changed);
    pthread_mutex_unlock(&start->lock);
}

/* Waits until all loops watch the signals: a loop that begins later would not
 * learn of an earlier one, and would not end.  This blocks the first loop,
 * which serves no connection yet. */
static void await_others(struct worker *first)
{
    struct start *start = first->start;

    pthread_mutex_lock(&start->lock);
    while (start->count < first->others_count)
        pthread_cond_wait(&start->changed, &start->lock);
    pthread_mutex_unlock(&start->lock);
}

/* Starts the other loops at the port that the first one has. */
static int start_others(struct worker *first)
{
    for (unsigned i = 0; i < first->others_count; i++) {
        struct worker *worker = &first->others[i];
        int error;

        snprintf(worker->port, sizeof worker->port, "%s", first->port);
        error = pthread_create(&worker->thread, NULL, run_worker, worker);
        if (error != 0) {
            first->others_count = i;
            return -error;
        }
    }
    await_others(first);
    return 0;
}

/* Returns after SIGINT or SIGTERM. */
static ssize_t serve(aloop *loop, void *arg)
{
    struct worker *worker = arg;
    aloop_tcp_listen_options listen = {.size = sizeof listen,
                                       .reuse_port = worker->is_shared};
    aloop_server_options options = {.size = sizeof options,
                                    .connections_max = worker->connections_max,
                                    .listen = &listen};
    aloop_future *interrupt = aloop_signal_wait(loop, SIGINT);
    aloop_future *termination = aloop_signal_wait(loop, SIGTERM);
    aloop_server *server;
    ssize_t status = aloop_tcp_serve(loop, "127.0.0.1", worker->port, echo,
                                     worker, &options, &server);

    if (status == 0) {
        snprintf(worker->port, sizeof worker->port, "%d",
                 aloop_listener_port(aloop_server_listener(server)));
        if (worker->others == NULL)
            report_start(worker);
        else
            status = start_others(worker);
        if (status == 0 && worker->others != NULL) {
            printf("listening on 127.0.0.1 port %s\n", worker->port);
            status = process_flush();
        }
    }
    if (status != 0) {
        aloop_future_unref(interrupt);
        aloop_future_unref(termination);
        return status;
    }
    status = aloop_await(aloop_race(loop, interrupt, termination));
    aloop_await(aloop_server_stop(server, ALOOP_SEC(2)));
    return status < 0 ? status : 0;
}

static void *run_worker(void *arg)
{
    struct worker *worker = arg;

    worker->status = aloop_main(serve, worker);
    report_start(worker); /* It may have failed. */
    return NULL;
}

/* Runs the first loop on this thread.  If it fails, so do the others, because
 * the process ends. */
static int run(struct worker *workers, unsigned count)
{
    struct start start = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER};
    int result = 0;

    for (unsigned i = 0; i < count; i++)
        workers[i].start = &start;
    workers[0].others = &workers[1];
    workers[0].others_count = count - 1;
    run_worker(&workers[0]);
    if (workers[0].status < 0)
        fprintf(stderr, "multicore: %s\n", aloop_strerror(workers[0].status));
    if (workers[0].status != 0) /* The other loops still use their workers. */
        exit(process_end("multicore", 1));
    for (unsigned i = 1; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < count; i++) {
        printf("loop %u: %u connections\n", i, workers[i].served);
        if (workers[i].status < 0) {
            fprintf(stderr, "multicore: loop %u: %s\n", i,
                    aloop_strerror(workers[i].status));
            result = 1;
        }
    }
    return result;
}

static void usage(FILE *file)
{
    fputs(
        "usage: multicore [-p PORT] [-n LOOPS] [-c CONNECTIONS]\n"
        "  -p PORT         port of 127.0.0.1 to listen on (default: any free "
        "port)\n"
        "  -n LOOPS        number of loops (default: one for each processor)\n"
        "  -c CONNECTIONS  connections that each loop serves (default: no "
        "limit)\n",
        file);
}

int main(int argc, char **argv)
{
    uint64_t port = 0, loops = process_processors(), connections = 0;
    struct worker *workers;
    int option, result;

    if (option_help(argc, argv)) {
        usage(stdout);
        return process_end("multicore", 0);
    }
    while ((option = getopt(argc, argv, "p:n:c:")) != -1) {
        bool is_valid =
            option == 'p'
                ? option_number("multicore: port", optarg, 0, 65535, &port)
            : option == 'n' ? option_number("multicore: loops", optarg, 1,
                                            LOOPS_MAX, &loops)
            : option == 'c' ? option_number("multicore: connections", optarg, 1,
                                            1000000, &connections)
                            : false;

        if (!is_valid) {
            usage(stderr);
            return 2;
        }
    }
    workers = calloc((size_t) loops, sizeof *workers);
    if (workers == NULL) {
        fprintf(stderr, "multicore: %s\n", aloop_strerror(ALOOP_ENOMEM));
        return 1;
    }
    for (uint64_t i = 0; i < loops; i++) {
        workers[i].connections_max = (size_t) connections;
        workers[i].is_shared = loops > 1;
    }
    snprintf(workers[0].port, sizeof workers[0].port, "%u", (unsigned) port);
    result = run(workers, (unsigned) loops);
    free(workers);
    return process_end("multicore", result);
}
