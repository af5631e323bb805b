/* Exhausts descriptors repeatedly, while a server accepts, clients connect,
 * names are looked up and loops are opened.
 *
 *     usage: exhaust [ROUNDS]
 *
 * The program opens all free descriptors but a few, keeps them open for a
 * while, and closes them.  Meanwhile operations may fail with an error that
 * reports it; afterwards every client must succeed again without help.  Then a
 * loop is made and freed with each small number of free descriptors, from none
 * on: it works or fails, and leaks no descriptor. */

#define _POSIX_C_SOURCE 200809L

#include "stress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/patient.h"

enum {
    CLIENTS = 10,
    LIMIT = 80,
    LEFT_MAX = 5,
    LIFE_MAX = 16,
    STUCK_S = 50,
    EXIT_SKIPPED = 77
};

static struct {
    aloop *loop;
    aloop_listener *listener;
    char port[8];
    uint64_t random;
    int taken[LIMIT];
    unsigned taken_count;
    /* Round trips that each client has completed. */
    unsigned long done[CLIENTS];
    unsigned long failed, unhandled, loops, loops_failed;
    bool is_over;
} f;

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    (void) arg;
    CHECK(what != NULL);
    CHECK(error == ALOOP_EMFILE || error == ALOOP_ENFILE);
    f.unhandled++;
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size > 0)
        CHECK(aloop_stream_put(stream, data, (size_t) size) == 0);
    else
        aloop_stream_close(stream);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    CHECK(aloop_stream_start(stream, on_data, NULL) == 0);
}

/* Sends data and reads it back.  Nothing may fail once the connection
 * exists. */
static ssize_t visit(aloop *loop, const char *host)
{
    aloop_stream *stream = NULL;
    unsigned char out[200], in[200];
    ssize_t status =
        aloop_await(aloop_tcp_connect(loop, host, f.port, &stream));

    if (status < 0) {
        CHECK(stream == NULL);
        return status;
    }
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = stress_byte(f.random, i);
    CHECK(aloop_stream_put(stream, out, sizeof out) == 0);
    CHECK(aloop_await(aloop_stream_read_exactly(stream, in, sizeof in)) ==
          sizeof in);
    CHECK(memcmp(in, out, sizeof in) == 0);
    aloop_stream_close(stream);
    return 0;
}

/* A resolver that cannot open its files may report that the host does not
 * exist. */
static bool is_expected(ssize_t status, bool is_by_name)
{
    return status == ALOOP_EMFILE ||
           (is_by_name &&
            (status == ALOOP_EHOSTNOTFOUND || status == ALOOP_EAGAINDNS ||
             status == ALOOP_ERESOLVE || status == ALOOP_ECONNREFUSED));
}

static ssize_t run_client(aloop *loop, void *arg)
{
    unsigned long *done = arg;

    while (!f.is_over) {
        bool is_by_name = stress_random(&f.random, 4) == 0;
        ssize_t status = visit(loop, is_by_name ? "localhost" : "127.0.0.1");

        CHECK(status == 0 || is_expected(status, is_by_name));
        *done += status == 0;
        f.failed += status < 0;
        CHECK(aloop_await(aloop_sleep(
                  loop, (int64_t) stress_random(&f.random, ALOOP_MS(2)))) == 0);
    }
    return 0;
}

static ssize_t open_loops(aloop *loop, void *arg)
{
    aloop_options options = {.size = sizeof options, .resize = stress_resize};

    (void) arg;
    while (!f.is_over) {
        aloop *other = aloop_new(&options);

        f.loops += other != NULL;
        f.loops_failed += other == NULL;
        CHECK(aloop_free(other) == 0);
        CHECK(aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0);
    }
    return 0;
}

/* Opens descriptors until at most `left` are free. */
static void take_descriptors(unsigned left)
{
    int fd;

    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        f.taken[f.taken_count++] = fd;
    for (; left > 0 && f.taken_count > 0; left--)
        close(f.taken[--f.taken_count]);
}

static void close_taken(void)
{
    while (f.taken_count > 0)
        close(f.taken[--f.taken_count]);
}

static bool all_have_continued(const unsigned long *before)
{
    for (int i = 0; i < CLIENTS; i++)
        if (f.done[i] == before[i])
            return false;
    return true;
}

static void pass(int64_t delay_ns)
{
    CHECK(aloop_await(aloop_sleep(f.loop, delay_ns)) == 0);
}

static void exhaust_and_recover(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        unsigned long before[CLIENTS];

        alarm((unsigned) patient_limit(STUCK_S));
        take_descriptors((unsigned) stress_random(&f.random, LEFT_MAX));
        /* Descriptors that are closed meanwhile are opened again. */
        for (int j = 0; j < 10; j++) {
            pass(ALOOP_MS(1));
            if (i % 2 == 0)
                take_descriptors(0);
        }
        close_taken();
        memcpy(before, f.done, sizeof before);
        while (!all_have_continued(before))
            pass(ALOOP_MS(1));
    }
}

/* Uses all parts of a loop once.  Returns whether everything worked. */
static bool use_loop_once(aloop *loop)
{
    aloop_listener *listener = NULL;
    aloop_stream *stream = NULL;
    char byte;
    bool is_whole = false;

    if (aloop_fd(loop) >= 0 &&
        aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream, NULL, &listener) ==
            0) {
        snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(listener));
        if (aloop_await(
                aloop_tcp_connect(loop, "127.0.0.1", f.port, &stream)) == 0) {
            CHECK(aloop_stream_put(stream, "x", 1) == 0);
            /* If accepting needs a descriptor and there is none, there is no
             * answer. */
            is_whole =
                aloop_await(aloop_timeout(aloop_stream_read(stream, &byte, 1),
                                          ALOOP_MS(20))) == 1;
        }
    }
    return aloop_after_fork(loop) == 0 && is_whole;
}

static void use_few_descriptors(void)
{
    aloop_options options = {.size = sizeof options,
                             .resize = stress_resize,
                             .on_unhandled = on_unhandled};
    unsigned open_before = stress_descriptors();
    bool is_whole = false;

    for (unsigned left = 0; left <= LIFE_MAX; left++) {
        aloop *loop;

        alarm((unsigned) patient_limit(STUCK_S));
        take_descriptors(left);
        loop = aloop_new(&options);
        is_whole = loop != NULL && use_loop_once(loop);
        CHECK(!is_whole || left > 3);
        CHECK(aloop_free(loop) == 0);
        close_taken();
        CHECK(atomic_load(&stress_bytes) == 0);
        CHECK(stress_descriptors() == open_before);
    }
    CHECK(is_whole);
}

static void run_all(unsigned rounds)
{
    aloop_options options = {.size = sizeof options,
                             .resize = stress_resize,
                             .on_unhandled = on_unhandled};
    aloop_group *group;

    f.loop = aloop_new(&options);
    group = aloop_group_new(f.loop);
    CHECK(f.loop != NULL && group != NULL);
    CHECK(aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_stream, NULL,
                           &f.listener) == 0);
    snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(f.listener));
    for (int i = 0; i < CLIENTS; i++)
        CHECK(aloop_group_spawn(group, run_client, &f.done[i]) == 0);
    CHECK(aloop_group_spawn(group, open_loops, NULL) == 0);
    exhaust_and_recover(rounds);
    f.is_over = true;
    CHECK(aloop_await(aloop_group_wait(group)) == 0);
    CHECK(aloop_free(f.loop) == 0);
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    struct rlimit limit;
    unsigned open_before = stress_descriptors();
    unsigned long done = 0;

#if WITH_VALGRIND
    /* Valgrind closes descriptors that the kernel has accepted. */
    if (RUNNING_ON_VALGRIND)
        return EXIT_SKIPPED;
#endif
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = LIMIT;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    run_all((unsigned) rounds);
    CHECK(atomic_load(&stress_bytes) == 0);
    CHECK(stress_descriptors() == open_before);
    use_few_descriptors();
    for (int i = 0; i < CLIENTS; i++)
        done += f.done[i];
    printf("exhaust: %lu rounds, %lu visits done and %lu failed, %lu loops "
           "opened and %lu not, %lu reports\n",
           rounds, done, f.failed, f.loops, f.loops_failed, f.unhandled);
    CHECK(f.failed > 0 && f.loops > 0 && f.loops_failed > 0);
    CHECK(f.unhandled > 0 && f.unhandled <= 10 * rounds + LIFE_MAX);
    printf("exhaust: passed\n");
    return 0;
}
