/* Load from other threads: posts, signals, and loops of their own. */

#define _POSIX_C_SOURCE 200809L

#include "soak.h"

#include <pthread.h>
#include <signal.h>

enum { POSTERS = 2, RING = 256, BURST_MAX = 40 };

/* A thread, which rests when it detects that the load rests. */
struct thread {
    pthread_t id;
    atomic_bool has_rest;
};

static atomic_bool is_resting, is_over;

static struct poster {
    struct thread thread;
    atomic_uint posted;
    atomic_uint ran;
    struct post {
        struct poster *poster;
        unsigned number;
    } ring[RING];
} posters[POSTERS];

static struct thread signaller, looper;
static atomic_uint signals_sent;
static aloop_signal *watch;
static unsigned signals_seen;
static atomic_ullong loops_run;

/* Waits during a rest.  Returns false if the thread must end. */
static bool continues(struct thread *thread)
{
    while (atomic_load(&is_resting) && !atomic_load(&is_over)) {
        atomic_store(&thread->has_rest, true);
        stress_pause_us(500);
    }
    return !atomic_load(&is_over);
}

static void on_post(aloop *loop, void *arg)
{
    const struct post *post = arg;

    CHECK(loop == soak.loop);
    CHECK(post->number == atomic_load(&post->poster->ran));
    atomic_fetch_add(&post->poster->ran, 1);
    soak.counts[SOAK_POSTS]++;
}

static void *post_bursts(void *arg)
{
    struct poster *poster = arg;
    uint64_t random = (uint64_t) (poster - posters);
    unsigned number = 0;

    while (continues(&poster->thread)) {
        for (uint64_t i = stress_random(&random, BURST_MAX);
             i > 0 && number - atomic_load(&poster->ran) < RING; i--) {
            struct post *post = &poster->ring[number % RING];

            *post = (struct post){poster, number++};
            atomic_store(&poster->posted, number);
            CHECK(aloop_post(soak.loop, on_post, post) == 0);
        }
        stress_pause_us(1000);
    }
    return NULL;
}

static void on_signal(aloop_signal *watch_, int number, void *arg)
{
    (void) arg;
    CHECK(watch_ == watch && number == SIGUSR1);
    CHECK(++signals_seen <= atomic_load(&signals_sent));
    soak.counts[SOAK_SIGNALS]++;
}

static void *send_signals(void *arg)
{
    struct thread *thread = arg;

    while (continues(thread)) {
        atomic_fetch_add(&signals_sent, 1);
        CHECK(kill(getpid(), SIGUSR1) == 0);
        stress_pause_us(700);
    }
    return NULL;
}

static ssize_t sleep_on(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, ALOOP_SEC(1000)));
}

static void on_tick(aloop_timer *timer, void *arg)
{
    (void) timer;
    ++*(int *) arg;
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    CHECK(aloop_stream_put(stream, "hello", 5) == 0);
    /* Left open until the loop is freed. */
}

/* Runs a loop with objects of each kind, most of which are open when it is
 * freed. */
static void run_loop(void)
{
    aloop_options options = {.size = sizeof options, .resize = stress_resize};
    aloop *loop = aloop_new(&options);
    aloop_listener *listener;
    aloop_stream *stream;
    aloop_timer *timer;
    char port[8], bytes[5];
    int ticks = 0;

    CHECK(loop != NULL);
    CHECK(aloop_timer_start(loop, 0, ALOOP_US(100), on_tick, &ticks, &timer) ==
          0);
    CHECK(aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream, NULL,
                           &listener) == 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    aloop_detach(aloop_spawn(loop, sleep_on, NULL));
    if (aloop_await(aloop_tcp_connect(loop, "127.0.0.1", port, &stream)) == 0)
        CHECK(aloop_await(aloop_stream_read_exactly(stream, bytes, 5)) == 5);
    while (ticks < 3)
        CHECK(aloop_step(loop, -1) == 1);
    CHECK(aloop_free(loop) == 0);
}

static void *run_loops(void *arg)
{
    struct thread *thread = arg;

    while (continues(thread)) {
        run_loop();
        atomic_fetch_add(&loops_run, 1);
        stress_pause_us(20000);
    }
    return NULL;
}

static void start(struct thread *thread, void *(*run)(void *), void *arg)
{
    CHECK(pthread_create(&thread->id, NULL, run, arg) == 0);
}

void soak_threads_start(void)
{
    atomic_store(&is_resting, true);
    CHECK(aloop_signal_start(soak.loop, SIGUSR1, on_signal, NULL, &watch) == 0);
    for (int i = 0; i < POSTERS; i++)
        start(&posters[i].thread, post_bursts, &posters[i]);
    start(&signaller, send_signals, &signaller);
    start(&looper, run_loops, &looper);
}

/* Signals may be merged, so the number of calls is not known.  A rest therefore
 * takes some turns after the last signal was sent. */
bool soak_threads_rest(void)
{
    bool has_rest = atomic_load(&signaller.has_rest) &&
                    atomic_load(&looper.has_rest);

    atomic_store(&is_resting, true);
    for (int i = 0; i < POSTERS; i++)
        has_rest = has_rest && atomic_load(&posters[i].thread.has_rest) &&
                   atomic_load(&posters[i].ran) ==
                       atomic_load(&posters[i].posted);
    soak.counts[SOAK_LOOPS] = atomic_load(&loops_run);
    return has_rest;
}

void soak_threads_resume(void)
{
    atomic_store(&signaller.has_rest, false);
    atomic_store(&looper.has_rest, false);
    for (int i = 0; i < POSTERS; i++)
        atomic_store(&posters[i].thread.has_rest, false);
    atomic_store(&is_resting, false);
}

void soak_threads_end(void)
{
    atomic_store(&is_over, true);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread.id, NULL);
    pthread_join(signaller.id, NULL);
    pthread_join(looper.id, NULL);
    aloop_signal_close(watch);
}
