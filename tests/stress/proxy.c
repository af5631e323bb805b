/* Many connections through the example `proxy`, half of which are reset in the
 * middle, by the client or by the target.
 *
 *     usage: proxy COUNT PROXY...
 *
 * PROXY... is the command that starts the example.  This program is the clients
 * and the target.  A connection that is not reset must arrive completely; a
 * reset must arrive as an error and never as an end.  The target of some is
 * silent after the reset, so that nothing else ends the connection.  Afterwards
 * the proxy must have as many descriptors and threads as at the beginning, and
 * as much memory as after the first tenth of the connections. */

#define _POSIX_C_SOURCE 200809L

#include "stress.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/patient.h"

enum {
    AT_ONCE = 100,
    DESCRIPTORS_MAX = 2 * AT_ONCE + 60, /* Of the proxy. */
    HELD_MAX = 400,
    SIZE = 20000,
    MEMORY_KIB = 2048,
    STUCK_S = 60
};

/* How a connection ends; the first byte that the client sends. */
enum kind { WHOLE, CLIENT_RESETS, TARGET_RESETS, TARGET_IS_SILENT };

struct visit {
    unsigned number;
};

struct served {
    int kind; /* -1 until the first byte has arrived. */
    size_t size;
};

struct figures { /* -1 if the system does not report it. */
    long descriptors;
    long threads;
    long kib;
};

static struct {
    pid_t proxy;
    char port[8];
    char proxy_port[8];
    unsigned whole, resets;
    unsigned served;              /* Connections of the target that are open. */
    aloop_stream *held[HELD_MAX]; /* Those of a target that is silent. */
    unsigned held_count;
} f;

static enum kind kind_of(unsigned number)
{
    return number % 2 == 0    ? WHOLE
           : number % 64 == 5 ? TARGET_IS_SILENT
           : number % 4 == 1  ? CLIENT_RESETS
                              : TARGET_RESETS;
}

/* The target: an echo. */

static void end_served(aloop_stream *stream, struct served *served,
                       void (*end)(aloop_stream *))
{
    end(stream);
    free(served);
    f.served--;
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    struct served *served = arg;

    if (size == 0 && served->kind == TARGET_IS_SILENT) {
        CHECK(aloop_stream_put(stream, "!", 1) == 0);
        CHECK(f.held_count < HELD_MAX);
        f.held[f.held_count++] = stream;
        free(served);
        f.served--;
        return;
    }
    if (size <= 0) {
        end_served(stream, served,
                   size == 0 ? aloop_stream_close : aloop_stream_abort);
        return;
    }
    if (served->kind < 0)
        served->kind = *(const unsigned char *) data;
    if (served->kind == TARGET_IS_SILENT)
        return;
    served->size += (size_t) size;
    if ((served->kind == TARGET_RESETS && served->size > SIZE / 2) ||
        aloop_stream_put(stream, data, (size_t) size) < 0)
        end_served(stream, served, aloop_stream_abort);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    struct served *served = calloc(1, sizeof *served);

    (void) listener;
    (void) arg;
    CHECK(served != NULL);
    served->kind = -1;
    f.served++;
    CHECK(aloop_stream_start(stream, on_data, served) == 0);
}

/* The clients. */

static void exchange(aloop *loop, aloop_stream *stream, const char *out,
                     char *in)
{
    CHECK(aloop_await(
              aloop_gather(loop, aloop_stream_write(stream, out, SIZE),
                           aloop_stream_read_exactly(stream, in, SIZE))) == 0);
    CHECK(memcmp(in, out, SIZE) == 0);
    CHECK(aloop_await(aloop_stream_shutdown(stream)) == 0);
    CHECK(aloop_await(aloop_stream_read(stream, in, SIZE)) == 0);
    aloop_stream_close(stream);
    f.whole++;
}

static ssize_t visit(aloop *loop, void *arg)
{
    unsigned number = ((struct visit *) arg)->number;
    enum kind kind = kind_of(number);
    char out[SIZE], in[SIZE];
    aloop_stream *stream;

    for (size_t i = 0; i < SIZE; i++)
        out[i] = (char) stress_byte(number, i);
    out[0] = (char) kind;
    CHECK(aloop_await(aloop_tcp_connect(loop, "127.0.0.1", f.proxy_port,
                                        &stream)) == 0);
    if (kind == WHOLE) {
        exchange(loop, stream, out, in);
        return 0;
    }
    CHECK(aloop_stream_put(stream, out, SIZE) >= 0);
    if (kind == TARGET_IS_SILENT) {
        CHECK(aloop_await(aloop_stream_shutdown(stream)) == 0);
        CHECK(aloop_await(aloop_stream_read_exactly(stream, in, 1)) == 1);
    } else if (kind == CLIENT_RESETS) { /* Each at another place. */
        size_t size = 1 + number % SIZE / 2;

        CHECK(aloop_await(aloop_stream_read_exactly(stream, in, size)) ==
              (ssize_t) size);
    } else {
        CHECK(aloop_await(aloop_stream_read_to_end(stream, in, SIZE)) < 0);
    }
    aloop_stream_abort(stream);
    f.resets++;
    return 0;
}

/* The proxy. */

static void start_proxy(char **command)
{
    struct rlimit limit = {DESCRIPTORS_MAX, DESCRIPTORS_MAX};
    int ends[2];
    char line[128];
    FILE *file;

    CHECK(pipe(ends) == 0);
    f.proxy = fork();
    CHECK(f.proxy >= 0);
    if (f.proxy == 0) {
        char *arguments[16];
        size_t count = 0;

        while (count < 12 && command[count] != NULL) {
            arguments[count] = command[count];
            count++;
        }
        arguments[count++] = "0";
        arguments[count++] = "127.0.0.1";
        arguments[count++] = f.port;
        arguments[count] = NULL;
        CHECK(dup2(ends[1], STDOUT_FILENO) >= 0);
        close(ends[0]);
        close(ends[1]);
        if (stress_memory_is_plain())
            setrlimit(RLIMIT_NOFILE, &limit);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* If this program fails. */
        alarm((unsigned) patient_limit(STUCK_S));
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(ends[1]);
    file = fdopen(ends[0], "r");
    CHECK(file != NULL);
    do { /* A signal may interrupt the read. */
        clearerr(file);
        line[0] = '\0';
    } while (fgets(line, sizeof line, file) == NULL && ferror(file));
    CHECK(sscanf(line, "listening on 127.0.0.1 port %7[0-9]", f.proxy_port) ==
          1);
    fclose(file);
}

/* Returns the number after `name` in a file of the proxy, or -1. */
static long read_field(const char *file_name, const char *name)
{
    char path[64], line[256];
    long value = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/%s", (long) f.proxy, file_name);
    file = fopen(path, "r");
    if (file == NULL)
        return -1;
    while (value < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name), NULL, 10);
    fclose(file);
    return value;
}

static struct figures measure(void)
{
    struct figures ret = {-1, read_field("status", "Threads:"),
                          read_field("smaps_rollup", "Rss:")};
    const struct dirent *entry;
    char path[64];
    DIR *list;

    snprintf(path, sizeof path, "/proc/%ld/fd", (long) f.proxy);
    list = opendir(path);
    if (list == NULL)
        return ret;
    ret.descriptors = 0;
    while ((entry = readdir(list)) != NULL)
        ret.descriptors += entry->d_name[0] != '.';
    closedir(list);
    return ret;
}

/* Makes connections, and waits until no program has any of them left. */
static struct figures pass_through(aloop *loop, unsigned first, unsigned count,
                                   const struct figures *before)
{
    struct visit *visits = calloc(count, sizeof *visits);
    struct figures after;

    CHECK(visits != NULL);
    for (unsigned i = 0; i < count; i++)
        visits[i].number = first + i;
    alarm((unsigned) patient_limit(STUCK_S));
    CHECK(aloop_await(aloop_map(loop, visit, visits, count, sizeof *visits,
                                AT_ONCE)) == 0);
    free(visits);
    do {
        CHECK(aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0);
        after = measure();
    } while (f.served > 0 || after.descriptors != before->descriptors);
    while (f.held_count > 0)
        aloop_stream_close(f.held[--f.held_count]);
    return after;
}

static void run(aloop *loop, unsigned count)
{
    struct figures start = measure(), early, late;
    unsigned tenth = count / 10;

    early = pass_through(loop, 0, tenth, &start);
    late = pass_through(loop, tenth, count - tenth, &start);
    CHECK(f.whole + f.resets == count && f.resets == count / 2);
    CHECK(late.threads == start.threads);
    printf("proxy: %u connections, %u of them reset, %ld descriptors, %ld "
           "threads, %+ld KiB\n",
           count, f.resets, late.descriptors, late.threads,
           late.kib - early.kib);
    /* Interruptions change how many tasks run simultaneously. */
    CHECK(!stress_memory_is_plain() || is_interrupted() ||
          late.kib < early.kib + MEMORY_KIB);
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options, .resize = stress_resize};
    struct rlimit limit = {DESCRIPTORS_MAX + HELD_MAX,
                           DESCRIPTORS_MAX + HELD_MAX};
    aloop *loop = aloop_new(&options);
    aloop_listener *listener;
    int status = -1;

    CHECK(argc > 2 && loop != NULL);
    if (stress_memory_is_plain())
        setrlimit(RLIMIT_NOFILE, &limit);
    CHECK(aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream, NULL,
                           &listener) == 0);
    snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(listener));
    start_proxy(argv + 2);
    run(loop, (unsigned) atoi(argv[1]) / 4 * 4);
    kill(f.proxy, SIGTERM);
    CHECK(patient_waitpid(f.proxy, &status, 0) == f.proxy && status == 0);
    aloop_listener_close(listener);
    CHECK(aloop_free(loop) == 0 && stress_bytes == 0);
    return 0;
}
