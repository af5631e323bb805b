/* A loop after fork().  A child reports success in its exit status. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.h"
#include "support/fork_fixture.h"
#include "support/child_result.h"
#include "support/patient.h"

static void on_timer(aloop_timer *timer, void *arg)
{
    (void) arg;
    f.timers++;
    aloop_timer_close(timer);
}

/* Lets another thread post while this thread waits in the loop. */
static bool a_post_arrives(void)
{
    int before = f.posts;
    pthread_t thread;

    if (pthread_create(&thread, NULL, post, NULL) != 0)
        return false;
    aloop_hold(f.loop);
    while (f.posts == before)
        if (aloop_step(f.loop, -1) < 0)
            return false;
    aloop_release(f.loop);
    pthread_join(thread, NULL);
    return f.posts == before + 1;
}

static bool a_text_arrives(void)
{
    aloop_future *read = aloop_stream_read(f.server, f.text, sizeof f.text);

    if (aloop_stream_put(f.client, "hello", 5) < 0 || aloop_await(read) != 5)
        return false;
    return memcmp(f.text, "hello", 5) == 0;
}

static void timers_and_posts_work_in_the_child(void **state)
{
    aloop_timer *timer;
    pid_t child;

    (void) state;
    aloop_timer_start(f.loop, ALOOP_MS(5), 0, on_timer, NULL, &timer);
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(aloop_run(f.loop) == 0);
        CHECK(f.timers == 1);
        CHECK(a_post_arrives());
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);

    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(f.timers, 1);
}

/* Failure class 38: parent and child share kernel objects after fork().
 * Operations of the child on them must not remove the parent's events. */
static void the_parent_still_receives_its_events(void **state)
{
    pid_t child;

    (void) state;
    connect_both();
    assert_true(a_post_arrives());
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        aloop_stream_close(f.client);
        aloop_stream_close(f.server);
        CHECK(a_post_arrives());
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);

    assert_true(a_text_arrives());
    assert_true(a_post_arrives());
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
}

static void a_child_that_frees_the_loop_leaves_the_parents_alone(void **state)
{
    pid_t child;

    (void) state;
    connect_both();
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);

    assert_true(a_text_arrives());
    assert_true(a_post_arrives());
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
}

static void streams_work_in_the_child_after_the_parent_closes_them(void **state)
{
    int closed[2];
    char byte;
    pid_t child;

    (void) state;
    assert_int_equal(pipe(closed), 0);
    connect_both();
    /* The descriptor is registered now. */
    aloop_future_unref(aloop_stream_read(f.server, f.text, 1));
    child = fork();
    if (child == 0) {
        close(closed[1]);
        CHECK(patient_read(closed[0], &byte, 1) == 0);
        close(closed[0]);
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(a_text_arrives());
        aloop_stream_close(f.client);
        CHECK(aloop_await(aloop_stream_read(f.server, f.text, 1)) == 0);
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    /* The child has duplicates, so this does not end the connection for the
     * child.  Data that has arrived by now is dropped, so the child sends
     * later. */
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
    aloop_run(f.loop);
    close(closed[0]);
    close(closed[1]);

    assert_child_succeeded(child);
    assert_true(a_post_arrives());
}

static void new_connections_work_in_parent_and_child(void **state)
{
    pid_t child = fork();

    (void) state;
    if (child == 0)
        CHECK(aloop_after_fork(f.loop) == 0);
    connect_both();
    if (child == 0) {
        CHECK(a_text_arrives());
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_true(a_text_arrives());
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
    assert_child_succeeded(child);
}

static void a_signal_to_the_child_does_not_reach_the_parent(void **state)
{
    aloop_signal *watch;
    pid_t child;

    (void) state;
    assert_int_equal(
        aloop_signal_start(f.loop, SIGUSR1, on_signal, NULL, &watch), 0);
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(raise(SIGUSR1) == 0);
        while (f.signals == 0)
            CHECK(aloop_step(f.loop, -1) == 1);
        aloop_signal_close(watch);
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);

    aloop_step(f.loop, 0);
    assert_int_equal(f.signals, 0);
    raise(SIGUSR1);
    while (f.signals == 0)
        assert_int_equal(aloop_step(f.loop, -1), 1);
    assert_int_equal(f.signals, 1);
    aloop_signal_close(watch);
}

static void the_embedding_descriptor_works_in_parent_and_child(void **state)
{
    struct pollfd host = {.fd = aloop_fd(f.loop), .events = POLLIN};
    aloop_timer *timer;
    pid_t child;

    (void) state;
    if (!HAS_THREADS_AFTER_FORK && strcmp(aloop_reactor(), "poll") == 0)
        skip(); /* The poll reactor runs a thread for that descriptor. */
    aloop_timer_start(f.loop, ALOOP_MS(20), 0, on_timer, NULL, &timer);
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(aloop_fd(f.loop) == host.fd);
        while (f.timers == 0) {
            CHECK(patient_poll(&host, 1, 20000) == 1);
            CHECK(aloop_step(f.loop, 0) >= 0);
        }
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    while (f.timers == 0) {
        assert_int_equal(patient_poll(&host, 1, 20000), 1);
        assert_true(aloop_step(f.loop, 0) >= 0);
    }
    assert_child_succeeded(child);
}

static void a_grandchild_works_too(void **state)
{
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        pid_t grandchild;
        int status;

        CHECK(aloop_after_fork(f.loop) == 0);
        grandchild = fork();
        if (grandchild == 0) {
            CHECK(aloop_after_fork(f.loop) == 0);
            CHECK(a_post_arrives());
            CHECK(aloop_free(f.loop) == 0);
            _exit(0);
        }
        CHECK(patient_waitpid(grandchild, &status, 0) == grandchild &&
              status == 0);
        CHECK(a_post_arrives());
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
    assert_true(a_post_arrives());
}

static void a_look_up_in_progress_fails_in_the_child(void **state)
{
    aloop_stream *stream = NULL;
    aloop_future *connect =
        aloop_tcp_connect(f.loop, "localhost", "1", &stream);
    pid_t child;

    (void) state;
    if (!HAS_THREADS_AFTER_FORK) {
        aloop_future_unref(connect);
        skip();
    }
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(aloop_future_status(connect) == ALOOP_ECANCELED);
        aloop_future_unref(connect);
        /* New look-ups start threads of the child. */
        CHECK(aloop_await(aloop_tcp_connect(f.loop, "localhost", "1",
                                            &stream)) == ALOOP_ECONNREFUSED);
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
    assert_int_equal(aloop_await(connect), ALOOP_ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_and_posts_work_in_the_child),
        TEST(the_parent_still_receives_its_events),
        TEST(a_child_that_frees_the_loop_leaves_the_parents_alone),
        TEST(streams_work_in_the_child_after_the_parent_closes_them),
        TEST(new_connections_work_in_parent_and_child),
        TEST(a_signal_to_the_child_does_not_reach_the_parent),
        TEST(the_embedding_descriptor_works_in_parent_and_child),
        TEST(a_grandchild_works_too),
        TEST(a_look_up_in_progress_fails_in_the_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
