/* Polls of descriptors of the kernel: pipes, sockets, files, terminals, and
 * what has priority events. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/mount.h>
#endif

#include "aloop.h"
#include "support/child.h"
#include "support/patient.h"
#include "support/sockets.h"

enum {
    READABLE = ALOOP_POLL_READABLE,
    WRITABLE = ALOOP_POLL_WRITABLE,
    PRIORITY = ALOOP_POLL_PRIORITY,
    HANGUP = ALOOP_POLL_HANGUP,
    ERROR = ALOOP_POLL_ERROR,
    NUMBERS_MAX = 1024
};

/* A poll, and what was reported since events_now(). */
struct watched {
    aloop_poll *poll;
    unsigned events;
    int calls;
};

static struct {
    aloop *loop;
    int open; /* Open descriptors before the test. */
    struct watched a, b;
} f;

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.open = open_descriptors(NUMBERS_MAX);
    f.loop = aloop_new(NULL);
    return f.loop == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(NUMBERS_MAX), f.open);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void on_ready(aloop_poll *poll, unsigned events, void *arg)
{
    struct watched *w = arg;

    assert_ptr_equal(poll, w->poll);
    w->calls++;
    w->events |= events;
}

static int start(struct watched *w, int fd, unsigned events)
{
    *w = (struct watched){.poll = NULL};
    return aloop_poll_start(f.loop, fd, events, on_ready, w, &w->poll);
}

/* What one turn without a wait reports. */
static unsigned events_now(struct watched *w)
{
    w->events = 0;
    w->calls = 0;
    assert_true(aloop_step(f.loop, 0) >= 0);
    return w->events;
}

static unsigned events_of(int fd, unsigned events)
{
    unsigned reported;

    assert_int_equal(start(&f.a, fd, events), 0);
    reported = events_now(&f.a);
    aloop_poll_close(f.a.poll);
    return reported;
}

static void put_byte(int fd)
{
    assert_int_equal(patient_write(fd, "x", 1), 1);
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(close(fds[i]), 0);
}

static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return patient_poll(&one, 1, 0) == 1;
}

static bool has_priority(int fd)
{
    int error = start(&f.a, fd, PRIORITY);

    if (error == 0)
        aloop_poll_close(f.a.poll);
    else
        assert_int_equal(error, ALOOP_ENOTSUP);
    if (error < 0)
        print_message("skipped: this system has no priority events\n");
    return error == 0;
}

static void a_pipe_reports_data_and_the_ends_of_both_sides(void **state)
{
    int ends[2];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(events_of(ends[0], READABLE), 0);
    assert_int_equal(events_of(ends[1], WRITABLE), WRITABLE);
    put_byte(ends[1]);
    assert_int_equal(events_of(ends[0], READABLE), READABLE);
    close(ends[1]);
    assert_int_equal(events_of(ends[0], READABLE), READABLE | HANGUP);
    assert_int_equal(patient_read(ends[0], ends + 1, 1), 1);
    assert_int_equal(events_of(ends[0], READABLE), READABLE | HANGUP);
    close(ends[0]);

    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(events_of(ends[1], WRITABLE), WRITABLE | ERROR);
    close(ends[1]);
}

/* The kernel reports the error alone.  A write would not block. */
static void a_full_pipe_without_a_reader_is_writable(void **state)
{
    char bytes[4096] = {0};
    int ends[2];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (patient_write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    assert_int_equal(events_of(ends[1], WRITABLE), 0);
    close(ends[0]);
    assert_int_equal(events_of(ends[1], WRITABLE), WRITABLE | ERROR);
    /* kqueue reports the end of the input and no error. */
    assert_int_equal(events_of(ends[1], READABLE) | ERROR, READABLE | ERROR);
    close(ends[1]);
}

static void a_connection_reports_its_ends_and_its_errors(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    await_bits(pair[0], POLLIN);
    assert_int_equal(events_of(pair[0], READABLE | WRITABLE),
                     READABLE | WRITABLE);
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
    assert_int_equal(events_of(pair[0], READABLE), READABLE | HANGUP);
    close_all(pair, 2);

    open_tcp(pair);
    aloop__sys_reset_on_close(pair[1]);
    close(pair[1]);
    await_bits(pair[0], POLLIN);
    assert_int_equal(events_of(pair[0], READABLE), READABLE | HANGUP | ERROR);
    assert_int_equal(close(pair[0]), 0);
}

/* A library that tests for WRITABLE alone learns the error from its socket. */
static void a_refused_connect_is_writable_with_an_error(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address), fd;
    ssize_t status;

    (void) state;
    assert_int_equal(close(listener), 0);
    fd = aloop__sys_tcp_socket(SYS_INET);
    aloop__sys_connect(fd, &address);
    status = aloop_await(aloop_poll_wait(f.loop, fd, WRITABLE));
    assert_int_equal(status & (WRITABLE | ERROR), WRITABLE | ERROR);
    assert_int_equal(aloop__sys_socket_error(fd), -ECONNREFUSED);
    assert_int_equal(close(fd), 0);
}

static void a_paused_poll_of_a_pipe_that_hung_up_does_not_spin(void **state)
{
    int ends[2], fd = aloop_fd(f.loop);

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(start(&f.a, ends[0], READABLE), 0);
    close(ends[1]);
    assert_int_equal(events_now(&f.a), READABLE | HANGUP);
    assert_int_equal(aloop_poll_set_events(f.a.poll, 0), 0);
    assert_int_equal(events_now(&f.a), 0);
    assert_false(is_readable(fd));
    assert_false(aloop_alive(f.loop));

    assert_int_equal(aloop_poll_set_events(f.a.poll, READABLE), 0);
    assert_int_equal(events_now(&f.a), READABLE | HANGUP);
    aloop_poll_close(f.a.poll);
    close(ends[0]);
}

/* The number is used again each time, for pipes and for sockets. */
static void a_descriptor_may_be_closed_right_after_its_poll(void **state)
{
    int last = -1;

    (void) state;
    for (int i = 0; i < 20; i++) {
        int ends[2];

        if (i % 2 == 0)
            assert_int_equal(pipe(ends), 0);
        else
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_true(last < 0 || last == ends[0]);
        last = ends[0];
        assert_int_equal(start(&f.a, ends[0], READABLE), 0);
        assert_int_equal(events_now(&f.a), 0);
        put_byte(ends[1]);
        assert_int_equal(events_now(&f.a), READABLE);
        aloop_poll_close(f.a.poll);
        close_all(ends, 2);
    }
}

/* poll() cannot distinguish some descriptors, but a socket and a pipe. */
static void a_replaced_descriptor_gets_no_callback_of_the_old_poll(void **state)
{
    int ends[2], pair[2], duplicate;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    duplicate = dup(ends[0]);
    put_byte(ends[1]);
    assert_int_equal(start(&f.a, ends[0], READABLE), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(dup2(pair[0], ends[0]), ends[0]);
    assert_int_equal(start(&f.b, ends[0], READABLE), 0);

    for (int i = 0; i < 3; i++)
        assert_int_equal(events_now(&f.a) | events_now(&f.b), 0);
    put_byte(pair[1]);
    assert_int_equal(events_now(&f.b), READABLE);
    assert_int_equal(events_now(&f.a), 0);
    aloop_poll_close(f.a.poll);
    assert_int_equal(events_now(&f.b), READABLE);
    aloop_poll_close(f.b.poll);
    close_all(ends, 2);
    close_all(pair, 2);
    close(duplicate);
}

static int open_file(void)
{
    char name[] = "/tmp/aloop_poll.XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    return fd;
}

static void a_change_of_events_finds_that_a_number_became_a_file(void **state)
{
    int ends[2], file = open_file();

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(start(&f.a, ends[0], READABLE), 0);
    assert_int_equal(start(&f.b, ends[0], READABLE), 0);
    assert_int_equal(events_now(&f.a) | f.b.events, 0);
    assert_int_equal(dup2(file, ends[0]), ends[0]);

    assert_int_equal(aloop_poll_set_events(f.a.poll, READABLE | WRITABLE), 0);

    assert_int_equal(events_now(&f.a), READABLE | WRITABLE);
    for (int i = 0; i < 2; i++) {
        f.b.events = 0;
        assert_int_equal(events_now(&f.a), READABLE | WRITABLE);
        assert_int_equal(f.b.events, READABLE);
    }
    aloop_poll_close(f.a.poll);
    aloop_poll_close(f.b.poll);
    close_all(ends, 2);
    close(file);
}

/* A daemon does this with its standard input, for example. */
static void a_child_may_replace_a_watched_descriptor_by_a_file(void **state)
{
    int ends[2], file = open_file(), status;
    pid_t child;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(start(&f.a, ends[0], READABLE), 0);
    assert_int_equal(events_now(&f.a), 0);
    child = fork();
    if (child == 0) {
        CHECK(dup2(file, ends[0]) == ends[0]);
        CHECK(aloop_after_fork(f.loop) == 0);
        for (int i = 0; i < 2; i++) {
            f.a.events = 0;
            CHECK(aloop_step(f.loop, -1) >= 0 && f.a.events == READABLE);
        }
        CHECK(aloop_free(f.loop) == 0);
        _exit(0);
    }
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(events_now(&f.a), 0);
    put_byte(ends[1]);
    assert_int_equal(events_now(&f.a), READABLE);
    aloop_poll_close(f.a.poll);
    close_all(ends, 2);
    close(file);
}

static void polls_of_one_descriptor_have_events_of_their_own(void **state)
{
    aloop_future *wait;
    int pair[2];

    (void) state;
    open_tcp(pair);
    assert_int_equal(start(&f.a, pair[0], READABLE), 0);
    assert_int_equal(start(&f.b, pair[0], WRITABLE), 0);
    wait = aloop_poll_wait(f.loop, pair[0], READABLE);
    assert_int_equal(events_now(&f.b), WRITABLE);
    assert_int_equal(f.a.calls, 0);
    assert_int_equal(aloop_poll_set_events(f.b.poll, 0), 0);
    put_byte(pair[1]);
    assert_int_equal(aloop_await(wait), READABLE);
    assert_int_equal(events_now(&f.a), READABLE);
    assert_int_equal(f.b.calls, 1); /* Of the turn before the pause. */
    aloop_poll_close(f.a.poll);
    assert_int_equal(aloop_poll_set_events(f.b.poll, READABLE), 0);
    assert_int_equal(events_now(&f.b), READABLE);
    aloop_poll_close(f.b.poll);
    close_pair(pair);
}

/* epoll refuses all of these, the other reactors some. */
static void what_cannot_be_watched_is_always_ready(void **state)
{
    const int fds[] = {
        open_file(),
        open("/", O_RDONLY),
        open("/dev/null", O_RDWR),
        open("/dev/zero", O_RDWR),
    };
    int host = aloop_fd(f.loop);

    (void) state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(start(&f.a, fds[i], READABLE | WRITABLE), 0);
        for (int turn = 0; turn < 3; turn++) {
            struct pollfd one = {.fd = host, .events = POLLIN};

            assert_int_equal(patient_poll(&one, 1, -1), 1);
            assert_int_equal(events_now(&f.a), READABLE | WRITABLE);
            /* Once in each turn, and a step of a host has several. */
            assert_in_range(f.a.calls, 1, 16);
        }
        aloop_poll_close(f.a.poll);
        assert_int_equal(aloop_await(aloop_poll_wait(f.loop, fds[i], READABLE)),
                         READABLE);
        assert_int_equal(events_of(fds[i], PRIORITY), 0);
    }
    close_all(fds, 4);
}

/* Standard input is often shared with the processes of a shell. */
static void the_flags_of_a_terminal_do_not_change(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), terminal, flags, own;

    (void) state;
    assert_true(master >= 0);
    assert_int_equal(grantpt(master) | unlockpt(master), 0);
    terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    flags = fcntl(terminal, F_GETFL);
    own = fcntl(terminal, F_GETFD);
    assert_int_equal(start(&f.a, terminal, READABLE), 0);
    assert_int_equal(events_now(&f.a), 0);
    assert_int_equal(patient_write(master, "line\n", 5), 5);
    assert_int_equal(aloop_await(aloop_poll_wait(f.loop, terminal, READABLE)),
                     READABLE);
    assert_int_equal(events_now(&f.a), READABLE);
    assert_int_equal(aloop_poll_set_events(f.a.poll, 0), 0);
    aloop_poll_close(f.a.poll);

    assert_int_equal(fcntl(terminal, F_GETFL), flags);
    assert_int_equal(fcntl(terminal, F_GETFD), own);
    assert_int_equal(flags & O_NONBLOCK, 0);
    assert_int_equal(close(terminal), 0);
    assert_int_equal(close(master), 0);
}

static void expire(aloop_timer *timer, void *arg)
{
    (void) timer;
    ++*(int *) arg;
}

static void a_loop_inside_another_is_a_descriptor(void **state)
{
    aloop *inner = aloop_new(NULL);
    aloop_timer *timer;
    int expired = 0;

    (void) state;
    assert_int_equal(
        aloop_timer_start(inner, ALOOP_MS(1), 0, expire, &expired, &timer), 0);
    assert_int_equal(
        aloop_await(aloop_poll_wait(f.loop, aloop_fd(inner), READABLE)),
        READABLE);
    while (expired == 0)
        assert_true(aloop_step(inner, 0) >= 0);
    assert_int_equal(aloop_free(inner), 0);
}

static void urgent_data_of_a_connection_have_priority(void **state)
{
    int pair[2];
    char byte;

    (void) state;
    open_tcp(pair);
    if (has_priority(pair[0])) {
        assert_int_equal(events_of(pair[0], PRIORITY), 0);
        assert_int_equal(send(pair[1], "!", 1, MSG_OOB), 1);
        await_bits(pair[0], POLLPRI);
        assert_int_equal(events_of(pair[0], PRIORITY), PRIORITY);
        assert_int_equal(
            aloop_await(aloop_poll_wait(f.loop, pair[0], PRIORITY)), PRIORITY);
        assert_int_equal(recv(pair[0], &byte, 1, MSG_OOB), 1);
        assert_int_equal(events_of(pair[0], PRIORITY), 0);
    }
    close_pair(pair);
}

/* Opens a file of Linux.  Skips the test and prints why if there is none. */
static int open_special(const char *path, int flags)
{
    int fd = open(path, flags);

    if (fd < 0) {
        print_message("skipped: %s: %s\n", path, strerror(errno));
        skip();
    }
    return fd;
}

/* Returns whether the reactor reports priority events of files.  kqueue does
 * not: to it, they are files that are always ready. */
static bool reports_files(void)
{
    return strcmp(aloop_reactor(), "kqueue") != 0;
}

static void assert_is_only_ready(int fd)
{
    assert_int_equal(events_of(fd, PRIORITY), 0);
    assert_int_equal(events_of(fd, READABLE | PRIORITY), READABLE);
}

static void an_attribute_has_priority_until_it_is_read(void **state)
{
    int fd = open_special("/sys/devices/system/cpu/online", O_RDONLY);
    unsigned before = reports_files() ? PRIORITY | ERROR : 0;
    char text[64];

    (void) state;
    assert_int_equal(start(&f.a, fd, PRIORITY), 0);
    assert_int_equal(start(&f.b, fd, READABLE | PRIORITY), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(events_now(&f.a), before);
        assert_int_equal(f.b.events, READABLE | before);
    }

    assert_true(pread(fd, text, sizeof text, 0) > 0);

    assert_int_equal(events_now(&f.a), 0);
    assert_int_equal(events_now(&f.b), READABLE);
    aloop_poll_close(f.a.poll);
    aloop_poll_close(f.b.poll);
    assert_int_equal(close(fd), 0);
}

static void a_pressure_file_without_a_trigger_always_has_priority(void **state)
{
    int fd = open_special("/proc/pressure/cpu", O_RDONLY);
    char text[256];

    (void) state;
    if (!reports_files()) {
        assert_is_only_ready(fd);
        close(fd);
        return;
    }
    assert_int_equal(events_of(fd, PRIORITY), PRIORITY | ERROR);
    assert_true(pread(fd, text, sizeof text, 0) > 0);
    assert_int_equal(events_of(fd, PRIORITY), PRIORITY | ERROR);
    assert_int_equal(close(fd), 0);
}

#if defined(__linux__)
enum { CHILDREN = 2 };

/* Starts processes that compete for one processor. */
static void start_competition(pid_t *children)
{
    cpu_set_t all, one;
    size_t cpu = 0;

    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            sched_setaffinity(0, sizeof one, &one);
            for (volatile unsigned turns = 0;;)
                turns++;
        }
        assert_true(children[i] > 0);
    }
}

static void end_competition(const pid_t *children)
{
    int status;

    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        assert_int_equal(patient_waitpid(children[i], &status, 0), children[i]);
    }
}

/* The shortest window that the process may ask for: others need privileges. */
static bool set_trigger(int fd)
{
    static const char *const triggers[] = {
        "some 1000 500000",
        "some 1000 2000000",
    };

    for (int i = 0; i < 2; i++)
        if (patient_write(fd, triggers[i], strlen(triggers[i]) + 1) > 0)
            return true;
    print_message("skipped: a trigger: %s\n", strerror(errno));
    return false;
}

static void a_trigger_of_a_pressure_file_has_priority_once(void **state)
{
    int fd = open_special("/proc/pressure/cpu", O_RDWR | O_NONBLOCK);
    pid_t children[CHILDREN];

    (void) state;
    if (!reports_files()) {
        assert_is_only_ready(fd);
        close(fd);
        return;
    }
    if (!set_trigger(fd)) {
        close(fd);
        skip();
    }
    start_competition(children);

    assert_int_equal(aloop_await(aloop_poll_wait(f.loop, fd, PRIORITY)),
                     PRIORITY);

    assert_int_equal(events_of(fd, PRIORITY), 0);
    end_competition(children);
    assert_int_equal(close(fd), 0);
}

/* In a child with mounts of its own.  Exits with 77 if it cannot have them. */
static void mount_in_child(const char *path)
{
    int fd;

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(77);
    fd = open(path, O_RDONLY);
    CHECK(aloop_free(f.loop) == 0); /* The copy of the parent's. */
    f.loop = aloop_new(NULL);
    CHECK(fd >= 0 && f.loop != NULL);
    CHECK(start(&f.a, fd, PRIORITY) == 0);
    CHECK(aloop_step(f.loop, 0) >= 0 && f.a.calls == 0);
    if (mount("none", "/sys", "tmpfs", 0, NULL) < 0)
        _exit(77);
    CHECK(aloop_step(f.loop, -1) >= 0);
    CHECK(f.a.calls == 1 && f.a.events == (PRIORITY | ERROR));
    CHECK(aloop_step(f.loop, 0) >= 0 && f.a.calls == 1);
    aloop_free(f.loop);
    _exit(0);
}

static void a_change_of_the_mounts_has_priority_once(void **state)
{
    static const char *const paths[] = {
        "/proc/self/mounts",
        "/proc/self/mountinfo",
    };

    (void) state;
    for (int i = 0; i < 2; i++) {
        int fd = open_special(paths[i], O_RDONLY), status;
        pid_t child;

        if (!reports_files())
            assert_is_only_ready(fd);
        assert_int_equal(close(fd), 0);
        if (!reports_files())
            continue;
        child = fork();
        if (child == 0)
            mount_in_child(paths[i]);
        assert_int_equal(patient_waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            print_message("skipped: no permission to mount\n");
            skip();
        }
        assert_int_equal(status, 0);
    }
}
#endif

/* Both ends of a connection toggle their events at random and write at most one
 * byte in each callback, until all bytes have arrived. */
enum { DUPLEX_BYTES = 2000 };

struct duplex {
    aloop_poll *poll;
    int sent, received;
    bool is_at_end;
};

static unsigned duplex_seed;

static unsigned next_random(void)
{
    duplex_seed = duplex_seed * 1103515245u + 12345u;
    return duplex_seed >> 16;
}

static unsigned wanted_by(const struct duplex *end)
{
    unsigned events = end->is_at_end ? 0 : READABLE;

    return end->sent < DUPLEX_BYTES ? events | WRITABLE : events;
}

static void duplex_ready(aloop_poll *poll, unsigned events, void *arg)
{
    struct duplex *end = arg;
    int fd = aloop_poll_fd(poll);
    char bytes[16];

    if ((events & READABLE) != 0 && !end->is_at_end) {
        ssize_t size = recv(fd, bytes, 1 + next_random() % 16, MSG_DONTWAIT);
        assert_true(size >= 0 || errno == EAGAIN);
        end->received += size > 0 ? (int) size : 0;
        end->is_at_end = size == 0;
    }
    if ((events & WRITABLE) != 0 && end->sent < DUPLEX_BYTES) {
        end->sent += (int) send(fd, "x", 1, MSG_NOSIGNAL);
        if (end->sent == DUPLEX_BYTES)
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
    }
    assert_int_equal(
        aloop_poll_set_events(poll, wanted_by(end) & (next_random() % 4)), 0);
}

static void no_byte_is_lost_when_events_change_at_random(void **state)
{
    struct duplex ends[2] = {{0}};
    int pair[2];

    (void) state;
    duplex_seed = 1;
    open_tcp(pair);
    for (int i = 0; i < 2; i++)
        assert_int_equal(aloop_poll_start(f.loop, pair[i], READABLE | WRITABLE,
                                          duplex_ready, &ends[i],
                                          &ends[i].poll),
                         0);
    while (wanted_by(&ends[0]) != 0 || wanted_by(&ends[1]) != 0) {
        for (int i = 0; i < 2; i++)
            if (next_random() % 2 == 0)
                aloop_poll_set_events(ends[i].poll, wanted_by(&ends[i]));
        assert_true(aloop_step(f.loop, 0) >= 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ends[i].received, DUPLEX_BYTES);
        aloop_poll_close(ends[i].poll);
    }
    close_pair(pair);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_pipe_reports_data_and_the_ends_of_both_sides),
        TEST(a_full_pipe_without_a_reader_is_writable),
        TEST(a_connection_reports_its_ends_and_its_errors),
        TEST(a_refused_connect_is_writable_with_an_error),
        TEST(a_paused_poll_of_a_pipe_that_hung_up_does_not_spin),
        TEST(a_descriptor_may_be_closed_right_after_its_poll),
        TEST(a_replaced_descriptor_gets_no_callback_of_the_old_poll),
        TEST(a_change_of_events_finds_that_a_number_became_a_file),
        TEST(a_child_may_replace_a_watched_descriptor_by_a_file),
        TEST(polls_of_one_descriptor_have_events_of_their_own),
        TEST(what_cannot_be_watched_is_always_ready),
        TEST(the_flags_of_a_terminal_do_not_change),
        TEST(a_loop_inside_another_is_a_descriptor),
        TEST(urgent_data_of_a_connection_have_priority),
        TEST(an_attribute_has_priority_until_it_is_read),
        TEST(a_pressure_file_without_a_trigger_always_has_priority),
#if defined(__linux__)
        TEST(a_trigger_of_a_pressure_file_has_priority_once),
        TEST(a_change_of_the_mounts_has_priority_once),
#endif
        TEST(no_byte_is_lost_when_events_change_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
