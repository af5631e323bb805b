/* A storm of signals from another process, a thread and a timer of the system,
 * while the loop sleeps and does other work.
 *
 *     usage: signals [COUNT]
 *
 * The storm consists of COUNT (1,000,000) signals.  Afterwards the last signal
 * must have been called back, and each signal that the system queues (sigqueue)
 * exactly once.  Memory and descriptors must be unchanged, and a timer and a
 * connection must have continued.  Then single signals follow, each sent after
 * the call for the one before: none may be lost while the loop is going to
 * sleep. */

#define _XOPEN_SOURCE 700 /* For setitimer() and sigqueue(). */

#include "stress.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "support/patient.h"

enum {
    STUCK_MS = 50000,
    ALARM_US = 200,
    GROWTH_KIB = 1024,
    SINGLES_PART = 200,
    EXIT_SKIPPED = 77
};

/* Message of the child when it has sent its part of the storm. */
struct report {
    int64_t last_ns; /* Time of the last signal of the storm. */
    unsigned long queued;
};

static struct {
    aloop *loop;
    unsigned long count;
    pthread_t main_thread;
    int from_child[2]; /* Pipe from the child, closed by its exit. */
    int to_child[2];   /* Pipe to the child: start, then one byte per call. */
    unsigned long calls, queued_calls, alarm_calls, single_calls;
    int64_t last_call_ns;
    unsigned long ticks, trips;
    struct report report;
    bool has_heard, is_over;
    aloop_stream *server;
} f;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The child: half of the storm, some of it queued. */

#if defined SIGRTMIN
static int queued_number(void)
{
    return SIGRTMIN + 1;
}

static bool send_queued(pid_t target)
{
    while (sigqueue(target, queued_number(), (union sigval){0}) != 0) {
        CHECK(errno == EAGAIN); /* Too many signals are queued. */
        sched_yield();
    }
    return true;
}
#else
static int queued_number(void)
{
    /* A signal that is never sent, on a system that queues none. */
    return SIGXFSZ;
}

static bool send_queued(pid_t target)
{
    (void) target;
    return false;
}
#endif

static void await_byte(void)
{
    char byte;
    ssize_t n;

    do
        n = read(f.to_child[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    CHECK(n == 1);
}

static void run_child(pid_t target)
{
    struct report sent = {0};
    unsigned long singles = f.count / SINGLES_PART;

    close(f.from_child[0]);
    close(f.to_child[1]);
    await_byte();
    for (unsigned long i = 0; i < f.count / 2; i++) {
        if (i % 10 == 0)
            sent.queued += send_queued(target);
        else
            CHECK(kill(target, SIGUSR1) == 0);
    }
    sent.last_ns = now_ns();
    CHECK(kill(target, SIGUSR1) == 0);
    CHECK(write(f.from_child[1], &sent, sizeof sent) == sizeof sent);
    for (unsigned long i = 0; i < singles; i++) {
        CHECK(kill(target, SIGUSR2) == 0);
        await_byte();
    }
    _exit(0);
}

/* The thread: the other half. */
static void *raise_half(void *arg)
{
    for (unsigned long i = 0; i < f.count / 2; i++)
        pthread_kill(f.main_thread, SIGUSR1);
    return arg;
}

static void note_report(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    f.has_heard = true;
}

/* Reads from the child.  Returns 0 when the child has ended.  The wait is
 * limited, so that a lost signal ends the program. */
static ssize_t read_from_child(void *buffer, size_t size)
{
    struct pollfd child = {.fd = f.from_child[0], .events = POLLIN};

    CHECK(patient_poll(&child, 1, patient_limit(STUCK_MS)) == 1);
    return read(f.from_child[0], buffer, size);
}

/* A thread that reads messages of the child. */
static void *listen_to_child(void *arg)
{
    CHECK(read_from_child(&f.report, sizeof f.report) == sizeof f.report);
    CHECK(aloop_post(f.loop, note_report, NULL) == 0);
    CHECK(read_from_child(&f.report, 1) == 0);
    return arg;
}

static void block_all(int how)
{
    sigset_t all;

    sigfillset(&all);
    CHECK(pthread_sigmask(how, &all, NULL) == 0);
}

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    unsigned long *calls = arg;

    (void) watch;
    ++*calls;
    if (number == SIGUSR1)
        f.last_call_ns = now_ns();
    if (number == SIGUSR2)
        CHECK(write(f.to_child[1], "", 1) == 1);
}

static void on_tick(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    f.ticks++;
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    CHECK(size >= 0);
    if (size > 0)
        CHECK(aloop_stream_put(stream, data, (size_t) size) == 0);
    else
        aloop_stream_close(stream);
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) arg;
    f.server = stream;
    CHECK(aloop_stream_start(stream, on_data, NULL) == 0);
    aloop_listener_close(listener);
}

/* Work of the loop beside the storm. */
static ssize_t exchange_messages(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    unsigned char out[300], in[300];

    while (!f.is_over) {
        for (size_t i = 0; i < sizeof out; i++)
            out[i] = stress_byte(f.trips, i);
        CHECK(aloop_stream_put(stream, out, sizeof out) == 0);
        CHECK(aloop_await(aloop_stream_read_exactly(stream, in, sizeof in)) ==
              sizeof in);
        CHECK(memcmp(in, out, sizeof in) == 0);
        f.trips++;
        CHECK(aloop_await(aloop_sleep(loop, ALOOP_MS(1))) == 0);
    }
    return 0;
}

static aloop_stream *connect_both(void)
{
    aloop_listener *listener;
    aloop_stream *client;
    char port[8];

    CHECK(aloop_tcp_listen(f.loop, "127.0.0.1", "0", on_stream, NULL,
                           &listener) == 0);
    snprintf(port, sizeof port, "%d", aloop_listener_port(listener));
    CHECK(aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", port, &client)) ==
          0);
    while (f.server == NULL)
        CHECK(aloop_step(f.loop, -1) == 1);
    return client;
}

static void set_alarm(long us)
{
    struct itimerval alarm_every = {{0, us}, {0, us}};

    CHECK(setitimer(ITIMER_REAL, &alarm_every, NULL) == 0);
}

/* Returns whether the loop has done its other work.  A short storm leaves no
 * time for it, so it continues afterwards. */
static bool has_worked(void)
{
    return f.alarm_calls > 0 && f.ticks >= 10 && f.trips >= 10;
}

/* Runs until the last signal of the storm and all single signals were called
 * back. */
static void run_storm(void)
{
    pthread_t threads[2];

    block_all(SIG_BLOCK); /* The threads must receive no signals. */
    CHECK(pthread_create(&threads[0], NULL, raise_half, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, listen_to_child, NULL) == 0);
    block_all(SIG_UNBLOCK);
    set_alarm(ALARM_US);
    CHECK(write(f.to_child[1], "", 1) == 1);
    while (!f.has_heard || f.last_call_ns < f.report.last_ns ||
           f.queued_calls < f.report.queued || !has_worked())
        CHECK(aloop_step(f.loop, -1) == 1);
    set_alarm(0);
    while (f.single_calls < f.count / SINGLES_PART)
        CHECK(aloop_step(f.loop, -1) == 1);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned long before = 0; before != f.calls + f.alarm_calls;) {
        before = f.calls + f.alarm_calls;
        CHECK(aloop_step(f.loop, ALOOP_MS(3)) == 1);
    }
}

static void work_through(aloop_stream *client)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGALRM};
    unsigned long *counts[] = {&f.calls, &f.single_calls, &f.alarm_calls};
    aloop_future *task = aloop_spawn(f.loop, exchange_messages, client);
    aloop_signal *watches[4];
    aloop_timer *timer;
    size_t bytes;
    double rss_kib;

    CHECK(aloop_timer_start(f.loop, 0, ALOOP_MS(1), on_tick, NULL, &timer) ==
          0);
    for (int i = 0; i < 3; i++)
        CHECK(aloop_signal_start(f.loop, numbers[i], on_signal, counts[i],
                                 &watches[i]) == 0);
    CHECK(aloop_signal_start(f.loop, queued_number(), on_signal,
                             &f.queued_calls, &watches[3]) == 0);
    for (int i = 0; i < 20; i++)
        CHECK(aloop_step(f.loop, -1) == 1);
    bytes = atomic_load(&stress_bytes);
    rss_kib = stress_rss_kib();
    run_storm();
    rss_kib = stress_rss_kib() - rss_kib;
    f.is_over = true;
    CHECK(aloop_await(task) == 0);
    for (int i = 0; i < 4; i++)
        aloop_signal_close(watches[i]);
    aloop_timer_close(timer);
    printf("  the library's memory %+ld bytes, RSS %+.0f KiB\n",
           (long) atomic_load(&stress_bytes) - (long) bytes, rss_kib);
    /* A debug loop keeps up to 64 KiB of freed memory. */
    CHECK(atomic_load(&stress_bytes) <= bytes + 4096 + 64 * 1024);
    CHECK(rss_kib <= GROWTH_KIB || !stress_memory_is_plain());
}

static pid_t start_child(void)
{
    pid_t parent = getpid(), child;

    CHECK(pipe(f.from_child) == 0 && pipe(f.to_child) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        run_child(parent);
    close(f.from_child[1]);
    close(f.to_child[0]);
    return child;
}

static void print_counts(double seconds)
{
    unsigned long sent = f.count + 1 + f.count / SINGLES_PART;

    printf("storm: %lu sent in %.1f s; called back %lu, queued %lu of %lu, "
           "timer's %lu, single %lu of %lu; meanwhile %lu ticks and %lu round "
           "trips [bar: %lu sent, none lost]\n",
           sent, seconds, f.calls, f.queued_calls, f.report.queued,
           f.alarm_calls, f.single_calls, f.count / SINGLES_PART, f.ticks,
           f.trips, f.count);
    CHECK(f.calls > 0 && f.calls <= f.count + 1);
    CHECK(f.queued_calls == f.report.queued);
    CHECK(f.single_calls == f.count / SINGLES_PART);
    CHECK(has_worked());
}

static volatile sig_atomic_t is_masked;

static void check_mask(int number)
{
    sigset_t mask;

    (void) number;
    is_masked = pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0 &&
                sigismember(&mask, SIGUSR2) == 1;
}

/* Returns whether a handler's mask is respected.  If it is not, as with
 * qemu-riscv64 7.2, handlers can interrupt each other on one thread. */
static bool are_masks_respected(void)
{
    struct sigaction action = {.sa_handler = check_mask}, before;

    sigfillset(&action.sa_mask);
    CHECK(sigaction(SIGUSR1, &action, &before) == 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
    return is_masked != 0;
}

/* TSan keeps only one signal of each number, and Valgrind does not survive a
 * storm. */
static bool is_possible(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND != 0)
        return false;
#endif
    return !WITH_TSAN && are_masks_respected();
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options, .resize = stress_resize};
    unsigned descriptors = stress_descriptors();
    int64_t start_ns = now_ns();
    aloop_stream *client;
    int status;
    pid_t child;

    if (!is_possible())
        return EXIT_SKIPPED;
    f.count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    CHECK(f.count >= SINGLES_PART);
    f.main_thread = pthread_self();
    child = start_child();
    f.loop = aloop_new(&options);
    CHECK(f.loop != NULL);
    client = connect_both();
    work_through(client);
    aloop_stream_close(client);
    CHECK(patient_waitpid(child, &status, 0) == child && status == 0);
    CHECK(aloop_free(f.loop) == 0);
    close(f.from_child[0]);
    close(f.to_child[1]);
    print_counts((double) (now_ns() - start_ns) / 1e9);
    CHECK(atomic_load(&stress_bytes) == 0);
    CHECK(stress_descriptors() == descriptors);
    return 0;
}
