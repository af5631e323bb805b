/* The functions of os/sys.h on the real system: sockets, waits, the clock. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sys.h"
#include "support/sockets.h"
#include "support/storm.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_flags(int fd)
{
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void new_descriptors_are_non_blocking_and_close_on_exec(void **state)
{
    int pair[2], fds[2];

    (void) state;
    open_tcp(pair);
    assert_int_equal(aloop__sys_wake_open(fds), 0);

    assert_flags(pair[0]);
    assert_flags(pair[1]);
    assert_flags(fds[0]);
    assert_flags(fds[1]);

    close_pair(pair);
    aloop__sys_wake_close(fds);
    assert_int_equal(fds[0], -1);
    aloop__sys_wake_close(fds); /* A second close is harmless. */
}

static void a_wake_up_does_not_change_errno(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_wake_open(fds), 0);

    for (int i = 0; i < 100000; i++) {
        errno = 4711;
        aloop__sys_wake_signal(fds[1]);
        assert_int_equal(errno, 4711);
    }
    aloop__sys_wake_signal(-1);
    assert_int_equal(errno, 4711);

    aloop__sys_wake_close(fds);
}

static void bytes_arrive_in_order_before_the_end_of_the_stream(void **state)
{
    static const struct sys_piece pieces[] = {
        {"two ", 4},
        {"", 0},
        {"three", 5},
    };
    char text[32];
    int pair[2];

    (void) state;
    open_tcp(pair);
    assert_int_equal(aloop__sys_recv(pair[1], text, sizeof text), -EAGAIN);

    assert_int_equal(aloop__sys_send(pair[0], "one ", 4), 4);
    assert_int_equal(aloop__sys_sendv(pair[0], pieces, COUNT(pieces)), 9);
    assert_int_equal(aloop__sys_shutdown_write(pair[0]), 0);

    for (size_t have = 0; have < 13;) {
        await_bits(pair[1], POLLIN);
        ssize_t count =
            aloop__sys_recv(pair[1], text + have, sizeof text - have);
        assert_true(count > 0);
        have += (size_t) count;
    }
    assert_memory_equal(text, "one two three", 13);
    await_bits(pair[1], POLLIN);
    assert_int_equal(aloop__sys_recv(pair[1], text, sizeof text), 0);
    close_pair(pair);
}

/* Class 21: there are more pieces than the system accepts in one call. */
static void a_gathered_send_takes_as_many_pieces_as_possible(void **state)
{
    struct sys_piece pieces[SYS_PIECES_MAX * 2];
    int pair[2];

    (void) state;
    open_tcp(pair);
    for (size_t i = 0; i < COUNT(pieces); i++)
        pieces[i] = (struct sys_piece){"ab", 2};

    assert_int_equal(aloop__sys_sendv(pair[0], pieces, COUNT(pieces)),
                     SYS_PIECES_MAX * 2);
    assert_int_equal(aloop__sys_sendv(pair[0], pieces, 0), 0);

    close_pair(pair);
}

/* Class 27: SIGPIPE has its default disposition, which would kill the
 * process. */
static void sending_to_a_closed_peer_is_an_error_and_no_signal(void **state)
{
    static const struct sys_piece piece = {"x", 1};
    int pair[2];

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);

    assert_int_equal(aloop__sys_close(pair[1]), 0);

    assert_int_equal(aloop__sys_send(pair[0], "x", 1), -EPIPE);
    assert_int_equal(aloop__sys_sendv(pair[0], &piece, 1), -EPIPE);
    assert_int_equal(aloop__sys_close(pair[0]), 0);
}

static void a_refused_connection_reports_its_error_once(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address), fd, error;

    (void) state;
    assert_int_equal(aloop__sys_close(listener), 0);

    fd = aloop__sys_tcp_socket(SYS_INET);
    error = aloop__sys_connect(fd, &address);
    if (error == -EINPROGRESS) {
        await_bits(fd, POLLOUT);
        error = aloop__sys_socket_error(fd);
    }

    assert_int_equal(error, -ECONNREFUSED);
    assert_int_equal(aloop__sys_socket_error(fd), 0);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void a_reset_is_reported_to_the_peer(void **state)
{
    char byte;
    int pair[2];

    (void) state;
    open_tcp(pair);

    assert_int_equal(aloop__sys_reset_on_close(pair[0]), 0);
    assert_int_equal(aloop__sys_close(pair[0]), 0);

    await_bits(pair[1], POLLIN);
    assert_int_equal(aloop__sys_recv(pair[1], &byte, 1), -ECONNRESET);
    assert_int_equal(aloop__sys_close(pair[1]), 0);
}

static void both_ends_agree_on_their_addresses(void **state)
{
    struct sys_address mine, theirs;
    int pair[2];

    (void) state;
    open_tcp(pair);

    assert_int_equal(aloop__sys_local_address(pair[0], &mine), 0);
    assert_int_equal(aloop__sys_peer_address(pair[1], &theirs), 0);

    assert_int_equal(mine.size, theirs.size);
    assert_memory_equal(mine.bytes, theirs.bytes, mine.size);
    close_pair(pair);
}

static void nodelay_can_be_switched_on_and_off(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    for (int on = 1; on >= 0; on--) {
        int value = -1;
        socklen_t size = sizeof value;

        assert_int_equal(aloop__sys_no_delay(pair[0], on == 1), 0);
        getsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &value, &size);
        assert_int_equal(value != 0, on);
    }
    close_pair(pair);
}

static void an_address_in_use_is_refused(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address),
        fd = aloop__sys_tcp_socket(SYS_INET);

    (void) state;
    assert_int_equal(aloop__sys_accept(listener), -EAGAIN);
    assert_int_equal(aloop__sys_reuse_address(fd, SYS_INET), 0);
    assert_int_equal(aloop__sys_bind(fd, &address), -EADDRINUSE);
    close_pair((int[2]){listener, fd});
}

static void a_bad_descriptor_is_an_error_everywhere(void **state)
{
    struct sys_piece piece = {"x", 1};
    struct sys_address address;
    int ends[2];
    char byte;

    (void) state;
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "9", &address), 0);
    assert_int_equal(aloop__sys_close(-1), -EBADF);
    assert_int_equal(aloop__sys_reuse_address(-1, SYS_INET6), -EBADF);
    assert_int_equal(aloop__sys_no_delay(-1, true), -EBADF);
    assert_int_equal(aloop__sys_reset_on_close(-1), -EBADF);
    assert_int_equal(aloop__sys_bind(-1, &address), -EBADF);
    assert_int_equal(aloop__sys_listen(-1, 1), -EBADF);
    assert_int_equal(aloop__sys_accept(-1), -EBADF);
    assert_int_equal(aloop__sys_connect(-1, &address), -EBADF);
    assert_int_equal(aloop__sys_socket_error(-1), -EBADF);
    assert_int_equal(aloop__sys_local_address(-1, &address), -EBADF);
    assert_int_equal(aloop__sys_peer_address(-1, &address), -EBADF);
    assert_int_equal(aloop__sys_recv(-1, &byte, 1), -EBADF);
    assert_int_equal(aloop__sys_send(-1, "x", 1), -EBADF);
    assert_int_equal(aloop__sys_sendv(-1, &piece, 1), -EBADF);
    assert_int_equal(aloop__sys_shutdown_write(-1), -EBADF);
    assert_int_equal(aloop__sys_tcp_socket(SYS_FAMILY_NONE), -EAFNOSUPPORT);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(aloop__sys_recv(ends[0], &byte, 1), -ENOTSOCK);
    assert_int_equal(aloop__sys_send(ends[1], "x", 1), -ENOTSOCK);
    close_pair(ends);
}

static void set_blocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* The argument of the functions below.  Another thread runs them after a signal
 * has interrupted the call of the main thread. */
struct later {
    int fd;
    const struct sys_address *address;
};

static void connect_later(void *arg)
{
    const struct later *later = arg;

    await_signals();
    (void) aloop__sys_connect(later->fd, later->address);
}

/* Class 28: an interrupted call fails.  The sockets are blocking, so that the
 * calls wait and can be interrupted. */
static void an_interrupted_call_is_continued(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address), accepted;
    struct later later = {aloop__sys_tcp_socket(SYS_INET), &address};
    struct sys_thread *thread;

    (void) state;
    set_blocking(listener);
    set_blocking(later.fd);
    storm(5000);

    assert_int_equal(aloop__sys_thread_start(connect_later, &later, 0, &thread),
                     0);
    accepted = aloop__sys_accept(listener);
    aloop__sys_thread_join(thread);
    assert_true(accepted >= 0);

    storm(0);
    close_pair((int[2]){later.fd, accepted});
    assert_int_equal(aloop__sys_close(listener), 0);
}

/* Standard input may be a socket that other programs share, so that it must
 * stay blocking. */
static void a_blocking_socket_does_not_block_the_caller(void **state)
{
    static char block[1 << 16];
    int pair[2];
    ssize_t count;

    (void) state;
    open_tcp(pair);
    set_blocking(pair[0]);
    assert_int_equal(aloop__sys_recv(pair[0], block, sizeof block), -EAGAIN);
    do {
        count = aloop__sys_send(pair[0], block, sizeof block);
    } while (count > 0);
    assert_int_equal(count, -EAGAIN);
    count = aloop__sys_sendv(pair[0], &(struct sys_piece){block, 1}, 1);
    assert_int_equal(count, -EAGAIN);
    close_pair(pair);
}

static void a_wait_that_a_signal_interrupts_returns_0(void **state)
{
    struct pollfd one;
    int pair[2];

    (void) state;
    open_tcp(pair);
    one = (struct pollfd){.fd = pair[0], .events = POLLIN};
    storm(5000);

    for (int i = 0; i < 20; i++)
        assert_int_equal(aloop__sys_poll(&one, 1, -1), 0);

    storm(0);
    close_pair(pair);
}

static void the_clock_never_runs_backwards(void **state)
{
    int64_t before = aloop__sys_clock_ns();

    (void) state;
    for (int i = 0; i < 100000; i++) {
        int64_t now = aloop__sys_clock_ns();

        assert_true(now >= before);
        before = now;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_descriptors_are_non_blocking_and_close_on_exec),
        cmocka_unit_test(a_wake_up_does_not_change_errno),
        cmocka_unit_test(bytes_arrive_in_order_before_the_end_of_the_stream),
        cmocka_unit_test(a_gathered_send_takes_as_many_pieces_as_possible),
        cmocka_unit_test(sending_to_a_closed_peer_is_an_error_and_no_signal),
        cmocka_unit_test(a_refused_connection_reports_its_error_once),
        cmocka_unit_test(a_reset_is_reported_to_the_peer),
        cmocka_unit_test(both_ends_agree_on_their_addresses),
        cmocka_unit_test(nodelay_can_be_switched_on_and_off),
        cmocka_unit_test(an_address_in_use_is_refused),
        cmocka_unit_test(a_bad_descriptor_is_an_error_everywhere),
        cmocka_unit_test(an_interrupted_call_is_continued),
        cmocka_unit_test(a_blocking_socket_does_not_block_the_caller),
        cmocka_unit_test(a_wait_that_a_signal_interrupts_returns_0),
        cmocka_unit_test(the_clock_never_runs_backwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
