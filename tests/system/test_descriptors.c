/* Descriptors of the kernel: exhaustion, descriptors that are closed or reused
 * outside the loop's control, and leaks. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop.h"
#include "loop/io.h"
#include "support/child.h"
#include "support/patient.h"

enum { CLIENTS = 12, NUMBERS_MAX = 1024 };

static struct {
    aloop *loop;
    aloop_listener *listener;
    char port[8];
    aloop_stream *client, *server;
    aloop_stream *accepted[CLIENTS];
    int count;
    int unhandled, unhandled_error;
    int calls;
    ssize_t last;
    int open; /* Open descriptors before the test. */
} f;

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) loop;
    (void) what;
    (void) arg;
    f.unhandled++;
    f.unhandled_error = error;
}

static int set_up(void **state)
{
    aloop_options options = {.size = sizeof options,
                             .on_unhandled = on_unhandled};

    (void) state;
    memset(&f, 0, sizeof f);
    f.open = open_descriptors(NUMBERS_MAX);
    f.loop = aloop_new(&options);
    return f.loop == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(NUMBERS_MAX), f.open);
    return 0;
}

static void keep(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    f.server = stream;
    f.accepted[f.count++] = stream;
}

static int start_listener(void)
{
    int error =
        aloop_tcp_listen(f.loop, "127.0.0.1", "0", keep, NULL, &f.listener);

    if (error == 0)
        snprintf(f.port, sizeof f.port, "%d", aloop_listener_port(f.listener));
    return error;
}

static aloop_stream *connect_client(void)
{
    int before = f.count;

    f.client = NULL;
    if (aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", f.port, &f.client)) <
        0)
        return NULL;
    while (f.count == before && aloop_step(f.loop, -1) >= 0)
        continue;
    return f.client;
}

static void connect_both(void)
{
    assert_int_equal(start_listener(), 0);
    assert_non_null(connect_client());
    aloop_listener_close(f.listener);
}

static void count_data(aloop_stream *stream, const void *data, ssize_t size,
                       void *arg)
{
    (void) stream;
    (void) data;
    (void) arg;
    f.calls++;
    f.last = size;
}

/* Steps for `ns`.  Returns the number of waits that ended. */
static int turns_in(int64_t ns)
{
    int64_t end = aloop_now(f.loop) + ns;
    int turns = 0;

    /* Keeps the loop alive, because otherwise it would not wait. */
    aloop_hold(f.loop);
    for (int64_t now; (now = aloop_now(f.loop)) < end; turns++)
        aloop_step(f.loop, end - now);
    aloop_release(f.loop);
    return turns;
}

/* Valgrind enforces the limit by closing descriptors that the kernel has
 * accepted. */
static bool has_exact_limits(void)
{
#if WITH_VALGRIND
    return RUNNING_ON_VALGRIND == 0;
#else
    return true;
#endif
}

/* Sets the limit so that `count` more descriptors can be opened. */
static void limit_descriptors(int count)
{
    struct rlimit limit;
    int fd = 0;

    for (int free_count = 0; free_count <= count; fd++)
        free_count += fcntl(fd, F_GETFD) < 0;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t) fd - 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Connects from another process, which has descriptors of its own. */
static pid_t connect_from_a_child(int clients, int *ret_pipe)
{
    int fds[2], streams = 0;
    pid_t child;
    char byte;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child != 0) {
        close(fds[0]);
        *ret_pipe = fds[1];
        return child;
    }
    close(fds[1]);
    CHECK(aloop_after_fork(f.loop) == 0);
    aloop_listener_close(f.listener);
    for (; streams < clients; streams++) {
        aloop_stream *stream;

        CHECK(aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", f.port,
                                            &stream)) == 0);
    }
    CHECK(patient_read(fds[0], &byte, 1) == 0); /* The parent is finished. */
    _exit(0);
}

/* Failure class 18: accepting spins when it fails with EMFILE. */
static void without_descriptors_accepting_backs_off_and_recovers(void **state)
{
    int hold, status;
    pid_t child, clients;

    (void) state;
    if (!has_exact_limits())
        skip();
    child = fork(); /* The limit applies to a whole process. */
    if (child > 0) {
        assert_int_equal(patient_waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        return;
    }
    CHECK(aloop_after_fork(f.loop) == 0);
    CHECK(start_listener() == 0);
    clients = connect_from_a_child(CLIENTS, &hold);
    limit_descriptors(3);
    while (f.unhandled == 0)
        CHECK(aloop_step(f.loop, -1) >= 0);
    CHECK(f.count == 3);
    CHECK(f.unhandled_error == ALOOP_EMFILE);
    CHECK(turns_in(ALOOP_SEC(1)) <= 20 || is_interrupted());
    CHECK(f.count == 3 && f.unhandled == 1);

    while (f.count < CLIENTS) { /* Each close admits one client. */
        aloop_stream_close(f.accepted[f.count - 1]);
        for (int before = f.count; f.count == before;)
            CHECK(aloop_step(f.loop, -1) >= 0);
    }
    close(hold);
    CHECK(patient_waitpid(clients, &status, 0) == clients && status == 0);
    CHECK(aloop_free(f.loop) == 0);
    _exit(0);
}

static void without_descriptors_connect_listen_and_new_loops_fail(void **state)
{
    pid_t child;
    int status;

    (void) state;
    if (!has_exact_limits())
        skip();
    child = fork();
    if (child > 0) {
        assert_int_equal(patient_waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        return;
    }
    CHECK(aloop_after_fork(f.loop) == 0);
    limit_descriptors(0);
    CHECK(aloop_await(aloop_tcp_connect(f.loop, "127.0.0.1", "9", &f.client)) ==
          ALOOP_EMFILE);
    CHECK(start_listener() == ALOOP_EMFILE);
    CHECK(aloop_new(NULL) == NULL);
    CHECK(aloop_free(f.loop) == 0);
    _exit(0);
}

/* Failure class 13: the application closes a descriptor outside the loop's
 * control. */
static void a_descriptor_closed_elsewhere_causes_no_spin(void **state)
{
    (void) state;
    if (is_interrupted())
        skip(); /* Each interruption ends a wait. */
    connect_both();
    aloop_stream_start(f.server, count_data, NULL);
    aloop_step(f.loop, 0);
    close(aloop_stream_fd(f.server));
    aloop_stream_put(f.client, "x", 1);

    assert_true(turns_in(ALOOP_MS(300)) <= 10);
    if (f.calls > 0) /* Some systems report nothing. */
        assert_true(f.calls == 1 && f.last < 0);
    aloop_stream_close(f.client);
}

/* Failure class 2: a duplicate keeps a closed descriptor in the kernel's
 * set. */
static void a_duplicate_of_a_closed_descriptor_causes_no_spin(void **state)
{
    int copy;

    (void) state;
    if (is_interrupted())
        skip(); /* Each interruption ends a wait. */
    connect_both();
    aloop_stream_start(f.server, count_data, NULL);
    aloop_step(f.loop, 0);
    copy = dup(aloop_stream_fd(f.server));
    close(aloop_stream_fd(f.server));
    aloop_stream_put(f.client, "x", 1);

    assert_true(turns_in(ALOOP_MS(300)) <= 10);
    assert_true(f.calls <= 1);
    aloop_stream_close(f.client);
    close(copy);
}

static void a_closed_stream_with_a_duplicate_causes_no_spin(void **state)
{
    int copy;

    (void) state;
    if (is_interrupted())
        skip(); /* Each interruption ends a wait. */
    connect_both();
    aloop_stream_start(f.server, count_data, NULL);
    aloop_step(f.loop, 0);
    copy = dup(aloop_stream_fd(f.server));
    aloop_stream_close(f.server);
    aloop_stream_put(f.client, "x", 1);

    assert_true(turns_in(ALOOP_MS(300)) <= 10);
    assert_int_equal(f.calls, 0);
    aloop_stream_close(f.client);
    close(copy);
}

/* Failure classes 1 and 3: the number is reused before the stream that owned it
 * is closed.  Neither stream may receive events of the other one or close its
 * descriptor. */
static void a_reused_number_belongs_to_its_new_owner(void **state)
{
    aloop_stream *lost;
    char byte;

    (void) state;
    connect_both();
    lost = f.server;
    aloop_stream_start(lost, count_data, NULL);
    aloop_step(f.loop, 0);
    close(aloop_stream_fd(lost));
    aloop_stream_close(f.client);
    connect_both();

    assert_int_equal(aloop_stream_fd(lost), ALOOP_EBADF);
    aloop_stream_close(lost);
    assert_int_equal(aloop_stream_put(f.client, "x", 1), 0);
    assert_int_equal(aloop_await(aloop_stream_read(f.server, &byte, 1)), 1);
    assert_int_equal(aloop_stream_put(f.server, "y", 1), 0);
    assert_int_equal(aloop_await(aloop_stream_read(f.client, &byte, 1)), 1);
    assert_true(f.calls <= 1 && f.last <= 0);
    aloop_stream_close(f.client);
    aloop_stream_close(f.server);
}

static void poll_ready(aloop_poll *poll, unsigned events, void *arg)
{
    (void) poll;
    (void) events;
    (void) arg;
    f.calls++;
}

/* The descriptor was closed, and the reactor of the child takes its number. */
static void a_child_whose_reactor_takes_a_watched_number_continues(void **state)
{
    int ends[2], status = -1;
    aloop_poll *poll;
    pid_t pid;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(aloop_poll_start(f.loop, ends[0], ALOOP_POLL_READABLE,
                                      poll_ready, NULL, &poll),
                     0);
    close(ends[0]);
    pid = fork();
    if (pid == 0) {
        CHECK(aloop_after_fork(f.loop) == 0);
        CHECK(aloop_await(aloop_sleep(f.loop, 1)) == 0);
        aloop_poll_close(poll);
        CHECK(aloop_await(aloop_sleep(f.loop, 1)) == 0);
        CHECK(aloop_free(f.loop) == 0 && f.calls == 0);
        _exit(0);
    }
    assert_int_equal(patient_waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    aloop_poll_close(poll);
    close(ends[1]);
}

/* Watchers of the loop, which believe each event. */
static struct watcher {
    struct aloop__io io;
    int pair[2]; /* The watched descriptor, and its peer. */
    int calls;
} watchers[3];

static void watcher_ready(struct aloop__io *io, unsigned bits);

static void watch(struct watcher *watcher, int fd)
{
    watcher->pair[0] = fd;
    assert_int_equal(aloop__io_open(f.loop, &watcher->io, fd, watcher_ready),
                     0);
    assert_int_equal(aloop__io_arm(f.loop, &watcher->io, REACTOR_READ), 0);
}

/* The first of two that are ready gives the number of the other one to the
 * third, which has nothing to read. */
static void watcher_ready(struct aloop__io *io, unsigned bits)
{
    struct watcher *watcher = CONTAINER_OF(io, struct watcher, io);
    struct watcher *other = &watchers[watcher == &watchers[0]];
    struct watcher *third = &watchers[2];
    int number;

    assert_int_equal(bits, REACTOR_READ);
    watcher->calls++;
    if (watcher == third)
        return;
    number = aloop__io_close(f.loop, &other->io);
    close(aloop__io_close(f.loop, &watcher->io));
    assert_int_equal(dup2(third->pair[0], number), number);
    close(third->pair[0]);
    watch(third, number);
}

/* Failure class 1, with events that the system has reported in one wait. */
static void a_late_event_does_not_reach_the_new_owner_of_a_number(void **state)
{
    (void) state;
    memset(watchers, 0, sizeof watchers);
    for (int i = 0; i < 3; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, watchers[i].pair),
                         0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(patient_write(watchers[i].pair[1], "x", 1), 1);
        watch(&watchers[i], watchers[i].pair[0]);
    }

    assert_int_equal(aloop_step(f.loop, 0), 0);
    assert_int_equal(watchers[0].calls + watchers[1].calls, 1);
    assert_int_equal(watchers[2].calls, 0);

    assert_int_equal(patient_write(watchers[2].pair[1], "x", 1), 1);
    assert_int_equal(aloop_step(f.loop, 0), 0);
    assert_int_equal(watchers[2].calls, 1);
    close(aloop__io_close(f.loop, &watchers[2].io));
    for (int i = 0; i < 3; i++)
        close(watchers[i].pair[1]);
}

static void freeing_the_loop_closes_every_descriptor(void **state)
{
    static char big[8 * 1024 * 1024], buffer[16];
    aloop_stream *stream;

    (void) state;
    aloop_fd(f.loop); /* Open the descriptors for a host, too. */
    assert_int_equal(start_listener(), 0);
    for (int i = 0; i < 5; i++) {
        stream = connect_client();
        assert_non_null(stream);
        aloop_detach(aloop_stream_write(stream, big, sizeof big));
        aloop_detach(aloop_stream_read(stream, buffer, sizeof buffer));
        if (i == 2)
            aloop_stream_close(stream); /* This one lingers. */
    }
    aloop_detach(aloop_tcp_connect(f.loop, "127.0.0.1", f.port, &stream));
    aloop_step(f.loop, 0);
    /* tear_down() checks that all of them are closed. */
    assert_true(open_descriptors(NUMBERS_MAX) > f.open + 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Closes the descriptors of standard input, output and error, and returns
 * duplicates. */
static void close_standard(int copies[3])
{
    fflush(NULL);
    for (int fd = 0; fd < 3; fd++)
        copies[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
}

static void restore_standard(const int copies[3])
{
    for (int fd = 0; fd < 3; fd++) {
        dup2(copies[fd], fd);
        close(copies[fd]);
    }
}

/* Opens each kind of descriptor that the library opens, and counts those that
 * have a number of standard input, output or error.  Returns -1 if it cannot
 * open them. */
static int open_all_kinds(aloop *loop)
{
    aloop_stream *pair[2], *ends[2];
    aloop_udp *udp = NULL;
    aloop_file *file = NULL;
    aloop_dir *dir = NULL;
    int open;

    if (aloop_fd(loop) < 0 || aloop_stream_pair(loop, &pair[0], &pair[1]) < 0 ||
        aloop_pipe_open(loop, &ends[0], &ends[1]) < 0 ||
        aloop_udp_open(loop, "127.0.0.1", "0", &udp) < 0 ||
        aloop_await(aloop_file_open(loop, "/dev/null", 0, 0, &file)) < 0 ||
        aloop_await(aloop_dir_open(loop, "/", &dir)) < 0)
        return -1;
    f.loop = loop; /* For the connection. */
    if (start_listener() < 0 || connect_client() == NULL)
        return -1;
    open = open_descriptors(3);
    aloop_step(loop, 0); /* It may open more for the host. */
    return open + open_descriptors(3);
}

static void no_number_below_3_is_used_even_if_it_is_free(void **state)
{
    aloop *before = f.loop;
    int copies[3], free_count = 0;
    aloop *loop;

    (void) state;
    close_standard(copies);
    for (int fd = 0; fd < 3; fd++)
        free_count += copies[fd] >= 0;
    loop = aloop_new(NULL);
    f.count = loop != NULL ? open_all_kinds(loop) : -1;
    f.loop = before;
    f.last = aloop_free(loop);
    restore_standard(copies);
    assert_int_equal(free_count, 3);
    assert_int_equal(f.count, 0);
    assert_int_equal(f.last, 0);
}

static void a_child_moves_its_descriptors_above_2(void **state)
{
    int status = -1;
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        if (aloop_after_fork(f.loop) < 0 || open_descriptors(3) > 0)
            _exit(1);
        _exit(aloop_free(f.loop) < 0 || open_descriptors(3) > 0 ? 1 : 0);
    }
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_descriptors_accepting_backs_off_and_recovers),
        TEST(without_descriptors_connect_listen_and_new_loops_fail),
        TEST(a_descriptor_closed_elsewhere_causes_no_spin),
        TEST(a_duplicate_of_a_closed_descriptor_causes_no_spin),
        TEST(a_closed_stream_with_a_duplicate_causes_no_spin),
        TEST(a_reused_number_belongs_to_its_new_owner),
        TEST(a_child_whose_reactor_takes_a_watched_number_continues),
        TEST(a_late_event_does_not_reach_the_new_owner_of_a_number),
        TEST(freeing_the_loop_closes_every_descriptor),
        TEST(no_number_below_3_is_used_even_if_it_is_free),
        TEST(a_child_moves_its_descriptors_above_2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
