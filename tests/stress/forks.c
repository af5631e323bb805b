/* Forks between turns, and inside the callbacks of timers, streams, posts and
 * signals and inside tasks, while connections exchange data, names are looked
 * up, tasks wait and other threads post.
 *
 *     usage: forks [COUNT]
 *
 * A child frees the loop immediately, or closes the shared connections and
 * continues with work of its own, or exits.  In each case it must free all
 * memory.  The parent must not be affected; its connections compare every
 * byte. */

#define _POSIX_C_SOURCE 200809L

#include "stress.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/patient.h"

enum {
    CLIENTS = 6,
    POSTERS = 2,
    RING = 32,
    POST_BLOCK_SIZE_MAX = 640,
    POST_BLOCKS_MAX = 65, /* That the loop keeps for the next posts. */
    MESSAGE_MAX = 30000,
    STUCK_S = 20,
    EXIT_SKIPPED = 77
};

/* The places where a fork can happen. */
enum place {
    OUTSIDE,
    IN_TIMER,
    IN_TASK,
    IN_STREAM,
    IN_POST,
    IN_SIGNAL,
    PLACES
};
enum way { FREES, CONTINUES, EXITS, WAYS };

static struct {
    aloop *loop;
    aloop_listener *listener;
    aloop_timer *tick;
    aloop_signal *watch;
    char port[8];
    uint64_t random;
    /* Forks. */
    enum place wanted; /* PLACES: none. */
    enum way way;
    unsigned forks, ended;
    bool is_child;
    bool has_closed_shared; /* The child has closed all shared streams. */
    /* The load. */
    aloop_stream *streams[4 * CLIENTS]; /* All open streams. */
    unsigned long trips, posts, ticks, signals, look_ups;
    unsigned long life; /* Work done by a child. */
    bool is_over;
    unsigned open_before;
} f = {.wanted = PLACES};

static struct poster {
    pthread_t thread;
    atomic_uint ran;
    struct post {
        struct poster *poster;
        unsigned number;
    } ring[RING];
} posters[POSTERS];

static atomic_bool is_posting_over;

/* A child closes what it shares with its parent before the turn continues.
 * Otherwise it would read data that was sent to the parent. */
static void close_shared(void)
{
    for (size_t i = 0; i < sizeof f.streams / sizeof f.streams[0]; i++) {
        (i % 2 == 0 ? aloop_stream_close : aloop_stream_abort)(f.streams[i]);
        f.streams[i] = NULL;
    }
    aloop_listener_close(f.listener);
    f.has_closed_shared = true;
}

static void fork_here(enum place place)
{
    pid_t child;

    if (f.wanted != place || f.is_child)
        return;
    f.wanted = PLACES;
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    f.forks += child > 0;
    if (child > 0)
        return;
    if (f.way == EXITS)
        _exit(0);
    f.is_child = true;
    alarm((unsigned) patient_limit(STUCK_S));
    CHECK(aloop_after_fork(f.loop) == 0);
    if (place != OUTSIDE || f.way == CONTINUES)
        close_shared();
}

static void add_stream(aloop_stream *stream)
{
    size_t i = 0;

    while (f.streams[i] != NULL)
        CHECK(++i < sizeof f.streams / sizeof f.streams[0]);
    f.streams[i] = stream;
}

/* Closes `stream`, unless the child has done so before. */
static void close_stream(aloop_stream *stream)
{
    for (size_t i = 0; i < sizeof f.streams / sizeof f.streams[0]; i++)
        if (f.streams[i] == stream) {
            f.streams[i] = NULL;
            aloop_stream_close(stream);
        }
}

/* The server. */

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    fork_here(IN_STREAM);
    if (f.has_closed_shared)
        return; /* The stream is closed. */
    if (size > 0)
        CHECK(aloop_stream_put(stream, data, (size_t) size) >= 0);
    else
        close_stream(stream);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    add_stream(stream);
    CHECK(aloop_stream_start(stream, on_data, NULL) == 0);
}

/* Exchanges data.  A stream that returns an error was closed by the child. */
static ssize_t talk(aloop_stream *stream, uint64_t key)
{
    static unsigned char out[CLIENTS][MESSAGE_MAX], in[CLIENTS][MESSAGE_MAX];
    unsigned char *sent = out[key], *received = in[key];

    for (int i = 0; i < 30; i++) {
        size_t size = 1 + (size_t) stress_random(&f.random, MESSAGE_MAX);
        ssize_t status;

        for (size_t at = 0; at < size; at++)
            sent[at] = stress_byte(key + (unsigned) i, at);
        status = aloop_await(
            aloop_gather(f.loop, aloop_stream_write(stream, sent, size),
                         aloop_stream_read_exactly(stream, received, size)));
        if (status < 0 || f.is_child)
            return status; /* The child may have closed the stream. */
        CHECK(memcmp(sent, received, size) == 0);
        f.trips++;
    }
    return 0;
}

static ssize_t run_client(aloop *loop, void *arg)
{
    const unsigned *key = arg;

    while (!f.is_over && !f.is_child) {
        aloop_stream *stream;
        ssize_t status =
            aloop_await(aloop_tcp_connect(loop, "127.0.0.1", f.port, &stream));

        if (status == 0 && f.is_child) {
            aloop_stream_close(stream);
        } else if (status == 0) {
            add_stream(stream);
            status = talk(stream, *key);
            close_stream(stream);
        }
        CHECK(status == 0 || f.is_child);
    }
    return 0;
}

static ssize_t look_up(aloop *loop, void *arg)
{
    (void) arg;
    while (!f.is_over && !f.is_child) {
        aloop_stream *stream;
        ssize_t status =
            aloop_await(aloop_tcp_connect(loop, "localhost", "1", &stream));

        CHECK(status == ALOOP_ECONNREFUSED || f.is_child);
        f.look_ups++;
        aloop_await(aloop_sleep(loop, ALOOP_US(300)));
    }
    return 0;
}

static ssize_t fork_in_task(aloop *loop, void *arg)
{
    (void) arg;
    while (!f.is_over && aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0)
        fork_here(IN_TASK);
    return 0;
}

static void on_tick(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    f.ticks++;
    fork_here(IN_TIMER);
}

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    (void) watch;
    (void) number;
    (void) arg;
    f.signals++;
    fork_here(IN_SIGNAL);
}

static void on_post(aloop *loop, void *arg)
{
    const struct post *post = arg;

    (void) loop;
    CHECK(post->number == atomic_load(&post->poster->ran));
    atomic_fetch_add(&post->poster->ran, 1);
    f.posts++;
    fork_here(IN_POST);
}

static void *post_all_the_time(void *arg)
{
    struct poster *poster = arg;
    unsigned number = 0;

    while (!atomic_load(&is_posting_over)) {
        while (number - atomic_load(&poster->ran) < RING) {
            struct post *post = &poster->ring[number % RING];

            *post = (struct post){poster, number++};
            CHECK(aloop_post(f.loop, on_post, post) == 0);
        }
        CHECK(kill(getpid(), SIGUSR1) == 0);
        stress_pause_us(500);
    }
    return NULL;
}

/* Work of a child. */

static void on_own_post(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    f.life++;
}

static void on_own_stream(aloop_listener *listener, aloop_stream *stream,
                          void *arg)
{
    (void) arg;
    CHECK(aloop_stream_start(stream, on_data, NULL) == 0);
    aloop_listener_close(listener);
    add_stream(stream);
}

/* Uses numeric addresses: a thread of the parent may have been inside the
 * resolver of the C library, whose locks then remain locked in the child. */
static void connect_to_itself(void)
{
    aloop_listener *listener;
    aloop_stream *stream;
    char bytes[5], port[8];

    /* Streams are those of the child from here on. */
    f.has_closed_shared = false;
    CHECK(aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_own_stream, NULL,
                           &listener) == 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    CHECK(aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &stream)) ==
          0);
    CHECK(aloop_stream_put(stream, "hello", 5) == 0);
    CHECK(aloop_await(aloop_stream_read_exactly(stream, bytes, 5)) == 5);
    CHECK(memcmp(bytes, "hello", 5) == 0);
    aloop_stream_close(stream);
}

static void continue_in_child(void)
{
    unsigned long ticks = f.ticks, signals = f.signals;

    CHECK(aloop_post(f.loop, on_own_post, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    while (f.life == 0 || f.ticks < ticks + 2 || f.signals == signals)
        CHECK(aloop_step(f.loop, -1) == 1);
    connect_to_itself();
}

static void run_child(void)
{
    if (f.way == CONTINUES)
        continue_in_child();
    CHECK(aloop_free(f.loop) == 0);
    /* A post that was in progress in another thread is leaked here, with its
     * block.  If the thread was taking it, the unused blocks are, too. */
    CHECK(atomic_load(&stress_bytes) <=
          (POSTERS + POST_BLOCKS_MAX) * POST_BLOCK_SIZE_MAX);
    /* A look-up in progress may have had a file open. */
    CHECK(stress_descriptors() <= f.open_before + 1);
    _exit(0);
}

static void collect_children(bool is_blocking)
{
    int status;
    pid_t child;

    while ((child = waitpid(-1, &status, is_blocking ? 0 : WNOHANG)) > 0 ||
           (child < 0 && errno == EINTR)) {
        if (child < 0)
            continue;
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        f.ended++;
    }
}

static void fork_often(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned forks = f.forks;
        unsigned long trips = f.trips;

        alarm((unsigned) patient_limit(STUCK_S));
        f.way = (enum way)(i / PLACES % WAYS);
        f.wanted = (enum place)(i % PLACES);
        while (f.forks == forks) {
            fork_here(OUTSIDE);
            if (f.is_child)
                run_child();
            CHECK(aloop_step(f.loop, -1) == 1);
            if (f.is_child)
                run_child();
        }
        while (f.trips < trips + 10 || f.forks > f.ended + 3) {
            CHECK(aloop_step(f.loop, -1) == 1);
            collect_children(false);
        }
    }
    collect_children(true);
}

static void start(aloop_group *group)
{
    static unsigned keys[CLIENTS];

    CHECK(aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_stream, NULL,
                           &f.listener) == 0);
    snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(f.listener));
    CHECK(aloop_timer_start(f.loop, 0, ALOOP_MS(1), on_tick, NULL, &f.tick) ==
          0);
    CHECK(aloop_signal_start(f.loop, SIGUSR1, on_signal, NULL, &f.watch) == 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        keys[i] = i;
        CHECK(aloop_group_spawn(group, run_client, &keys[i]) == 0);
    }
    CHECK(aloop_group_spawn(group, fork_in_task, NULL) == 0);
    CHECK(aloop_group_spawn(group, look_up, NULL) == 0);
    for (int i = 0; i < POSTERS; i++)
        CHECK(pthread_create(&posters[i].thread, NULL, post_all_the_time,
                             &posters[i]) == 0);
}

/* TSan loses track of tasks in a child.  Valgrind searches the child for state
 * of threads that do not exist there.  ASan of gcc 12 has locks that may be
 * locked in a child. */
static bool is_possible(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND != 0)
        return false;
#endif
    return !WITH_TSAN && !WITH_ASAN;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options, .resize = stress_resize};
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 90;
    aloop_group *group;

    if (!is_possible())
        return EXIT_SKIPPED;
    f.open_before = stress_descriptors();
    f.loop = aloop_new(&options);
    group = aloop_group_new(f.loop);
    CHECK(f.loop != NULL && group != NULL);
    start(group);
    fork_often((unsigned) count);
    f.is_over = true;
    CHECK(aloop_await(aloop_group_wait(group)) == 0);
    atomic_store(&is_posting_over, true);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    CHECK(aloop_free(f.loop) == 0);
    printf("forks: %u, meanwhile %lu round trips, %lu posts, %lu look-ups, "
           "%lu signals, %lu ticks\n",
           f.forks, f.trips, f.posts, f.look_ups, f.signals, f.ticks);
    CHECK(f.forks == count && f.ended == count);
    CHECK(atomic_load(&stress_bytes) == 0);
    CHECK(stress_descriptors() == f.open_before);
    printf("forks: passed\n");
    return 0;
}
