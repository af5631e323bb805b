/* Echo beside reads of a cached file: the time that a client waits for its
 * answer while the server reads 64 KiB at a time.
 *
 * All servers share one processor.  The client has another one, because it
 * would otherwise wait until the server has used up its time slice. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "files.h"
#include "server.h"

enum { SAMPLES = 100, WARM_UP = 20, CACHED_SIZE = 64 << 20 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

/* Returns the median time from a message to its answer, in ns. */
static double latency(int fd)
{
    static double samples[SAMPLES];
    char message[MESSAGE_SIZE] = "";

    for (int i = -WARM_UP; i < SAMPLES; i++) {
        int64_t begin_ns = wall_ns();

        client_send(fd, message, sizeof message);
        client_receive(fd, message, sizeof message);
        if (i >= 0)
            samples[i] = (double) (wall_ns() - begin_ns);
    }
    qsort(samples, SAMPLES, sizeof *samples, by_size);
    return samples[SAMPLES / 2];
}

static void run_client(const void *arg, double *results)
{
    use_other_processors();
    results[0] = latency(*(const int *) arg);
}

/* Returns the latency of a server that runs alone.  `path` is NULL, or what it
 * reads.  Returns a negative number after a failure. */
static double measure(enum peer peer, const char *path)
{
    struct server server;
    double result = -1;
    int fd;

    server_start(&server, peer, OVER_TCP, false, path);
    fd = client_connect(&server);
    if (!in_child(run_client, &fd, &result, 1))
        result = -1;
    close(fd);
    server_stop(&server);
    return result;
}

static void measure_all(struct bench *bench, const char *path, struct row *row,
                        struct row *ratio)
{
    for (int round = 0; round < bench->rounds; round++) {
        for (int turn = 0; turn < PEERS; turn++) {
            enum peer peer = peer_at(round, turn);
            double idle, reading;

            if (!server_exists(bench, peer))
                continue;
            idle = measure(peer, NULL);
            reading = measure(peer, path);
            row_add(row, peer, reading);
            if (idle > 0 && reading > 0)
                row_add(ratio, peer, reading / idle);
        }
    }
}

void bench_beside(struct bench *bench)
{
    char path[] = "aloop_bench.XXXXXX", name[64];
    struct row row = {.work = name};
    struct row ratio = {.work = "  compared with an idle server",
                        .aim = AIM_VALUE,
                        .limit = 2,
                        .digits = 2};

    snprintf(name, sizeof name, "latency beside reads, %s, ns", file_system());
    if (!is_wanted(bench, name))
        return;
    make_file(path, CACHED_SIZE);
    measure_all(bench, path, &row, &ratio);
    row_print(bench, &row);
    row_print(bench, &ratio);
    unlink(path);
}
