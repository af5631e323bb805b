/* Threads that end inside a callback of a loop, by pthread_exit(). */

#define _GNU_SOURCE /* For MAP_ANONYMOUS. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aloop.h"
#include "support/patient.h"

enum { STACK_SIZE = 1 << 20 };

static struct {
    aloop *loop;
    aloop_signal *signals[2];
    int pipe[2];
    int reports;
    int expected; /* Those with the right error and text. */
    bool has_exited;
    /* A job that runs until a callback ends the thread of the loop. */
    atomic_bool has_begun;
    atomic_bool may_end;
} f;

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    (void) arg;
    f.reports++;
    f.expected += error == ALOOP_EIO && strstr(what, "fails") != NULL;
    if (!f.has_exited) {
        f.has_exited = true;
        pthread_exit(NULL);
    }
}

static int set_up(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};

    (void) state;
    memset((void *) &f, 0, sizeof f);
    f.loop = aloop_new(&options);
    return f.loop == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    return aloop_free(f.loop);
}

static void *run_loop(void *arg)
{
    aloop_run(arg);
    return NULL;
}

/* Runs the loop on a thread whose stack is unmapped at the end, so that a later
 * access faults. */
static void run_until_the_exit(void)
{
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *result;
    pthread_attr_t attributes;
    pthread_t thread;

    assert_ptr_not_equal(stack, MAP_FAILED);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_SIZE), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run_loop, f.loop), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
    assert_int_equal(munmap(stack, STACK_SIZE), 0);
}

static void free_loop(void)
{
    assert_int_equal(aloop_free(f.loop), 0);
    f.loop = NULL;
}

static ssize_t work_until_the_exit(void *arg)
{
    atomic_store(&f.has_begun, true);
    while (!atomic_load(&f.may_end))
        sched_yield();
    return arg == NULL ? 0 : -1;
}

static void exit_thread(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    f.has_exited = true;
    atomic_store(&f.may_end, true);
    pthread_exit(NULL);
}

static void exit_thread_readable(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    exit_thread(NULL, arg);
}

static void exit_thread_signalled(aloop_signal *signal, int number, void *arg)
{
    (void) signal;
    (void) number;
    exit_thread(NULL, arg);
}

/* The turn finds two events: first the pipe, and then the wake-up. */
static void cause_two_events(aloop *loop, void *arg)
{
    (void) arg;
    assert_int_equal(patient_write(f.pipe[1], "x", 1), 1);
    aloop_wake(loop);
}

static void begin_work(void)
{
    aloop_detach(aloop_work(f.loop, work_until_the_exit, NULL));
    while (!atomic_load(&f.has_begun))
        assert_true(aloop_step(f.loop, 0) >= 0);
}

/* The free waits for the job, whose end is a wake-up. */
static void a_loop_is_freed_after_a_thread_ended_before_its_wake_up(
    void **state)
{
    aloop_poll *poll;

    (void) state;
    begin_work();
    assert_int_equal(pipe(f.pipe), 0);
    assert_int_equal(aloop_poll_start(f.loop, f.pipe[0], ALOOP_POLL_READABLE,
                                      exit_thread_readable, NULL, &poll),
                     0);
    assert_int_equal(aloop_defer(f.loop, cause_two_events, NULL), 0);

    run_until_the_exit();
    free_loop();

    assert_true(f.has_exited);
    close(f.pipe[0]);
    close(f.pipe[1]);
}

static void a_loop_is_freed_after_a_post_ended_its_thread(void **state)
{
    (void) state;
    begin_work();
    assert_int_equal(aloop_post(f.loop, exit_thread, NULL), 0);

    run_until_the_exit();
    free_loop();

    assert_true(f.has_exited);
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return ALOOP_EIO;
}

static void reports_after_one_that_ended_the_thread_are_delivered(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        aloop_detach(aloop_spawn(f.loop, fails, NULL));

    run_until_the_exit();
    assert_int_equal(f.reports, 1);
    free_loop();

    assert_int_equal(f.reports, 3);
    assert_int_equal(f.expected, 3);
}

static void a_loop_is_freed_after_a_signal_ended_its_thread(void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_signal_start(f.loop, SIGUSR1,
                                            exit_thread_signalled, NULL,
                                            &f.signals[i]),
                         0);
    assert_int_equal(raise(SIGUSR1), 0);

    run_until_the_exit();
    free_loop();

    assert_true(f.has_exited);
}

static int listen_locally(struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &size), 0);
    *ret_address = address;
    return fd;
}

/* Makes a stream over TCP, and returns the descriptor of its peer. */
static int connect_stream(aloop_stream **ret_stream)
{
    struct sockaddr_in address;
    int listener = listen_locally(&address);
    int peer = socket(AF_INET, SOCK_STREAM, 0), fd;

    assert_int_equal(
        patient_connect(peer, (struct sockaddr *) &address, sizeof address), 0);
    fd = patient_accept(listener);
    assert_true(fd >= 0);
    close(listener);
    assert_int_equal(aloop_stream_open(f.loop, fd, ret_stream), 0);
    return peer;
}

static void put_and_exit(aloop_stream *stream, const void *data, ssize_t size,
                         void *arg)
{
    const char *other = arg;

    if (other != NULL)
        assert_int_equal(aloop_stream_put(stream, other, 1), 0);
    assert_int_equal(aloop_stream_put(stream, data, (size_t) size), 0);
    exit_thread(NULL, NULL);
}

/* An end would hide from the peer that it has not got all bytes. */
static void expect_a_reset(const char *other)
{
    aloop_stream *stream;
    int peer = connect_stream(&stream);
    char byte;

    assert_int_equal(
        aloop_stream_start(stream, put_and_exit, (void *) (uintptr_t) other),
        0);
    assert_int_equal(patient_write(peer, "x", 1), 1);

    run_until_the_exit();
    free_loop();

    assert_true(f.has_exited);
    assert_int_equal(patient_read(peer, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
}

static void a_peer_is_reset_if_the_thread_ended_before_an_echo_was_sent(
    void **state)
{
    (void) state;
    expect_a_reset(NULL);
}

static void a_peer_is_reset_if_the_thread_ended_before_an_answer_was_sent(
    void **state)
{
    (void) state;
    expect_a_reset("<");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_is_freed_after_a_thread_ended_before_its_wake_up),
        TEST(a_loop_is_freed_after_a_post_ended_its_thread),
        TEST(reports_after_one_that_ended_the_thread_are_delivered),
        TEST(a_loop_is_freed_after_a_signal_ended_its_thread),
        TEST(a_peer_is_reset_if_the_thread_ended_before_an_echo_was_sent),
        TEST(a_peer_is_reset_if_the_thread_ended_before_an_answer_was_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
