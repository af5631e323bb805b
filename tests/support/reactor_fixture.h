/* Shared by the tests of the reactors: a reactor, and descriptors that are
 * closed after the test. */

#ifndef REACTOR_FIXTURE_H
#define REACTOR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/reactor.h"
#include "os/sys.h"
#include "os/tools.h"
#include "support/patient.h"

#define MS INT64_C(1000000)

enum { EVENTS_MAX = 64, ENDS_MAX = 512, FDS_MAX = 1024 };

static struct {
    struct aloop__reactor *reactor;
    int ends[ENDS_MAX]; /* Closed by tear_down(); -1: closed already. */
    size_t end_count;
} f;

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    return aloop__reactor_open(&aloop__alloc_default, &f.reactor);
}

static inline int tear_down(void **state)
{
    (void) state;
    aloop__reactor_close(f.reactor);
    for (size_t i = 0; i < f.end_count; i++)
        if (f.ends[i] >= 0)
            close(f.ends[i]);
    return 0;
}

static inline int keep(int fd)
{
    assert_true(fd >= 0 && f.end_count < ENDS_MAX);
    f.ends[f.end_count++] = fd;
    return fd;
}

static inline void close_end(int fd)
{
    for (size_t i = 0; i < f.end_count; i++)
        if (f.ends[i] == fd)
            f.ends[i] = -1;
    assert_int_equal(close(fd), 0);
}

/* Opens two connected sockets. */
static inline void open_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    keep(pair[0]);
    keep(pair[1]);
}

static inline void open_pipe(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
    keep(ends[0]);
    keep(ends[1]);
}

/* Opens a connection over loopback: pair[0] connected, pair[1] accepted. */
static inline void open_tcp(int pair[2])
{
    int listener = keep(aloop__sys_tcp_socket(SYS_INET));
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    struct sys_address address;
    int error;

    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "0", &address), 0);
    assert_int_equal(aloop__sys_bind(listener, &address), 0);
    assert_int_equal(aloop__sys_listen(listener, 1), 0);
    assert_int_equal(aloop__sys_local_address(listener, &address), 0);
    pair[0] = keep(aloop__sys_tcp_socket(SYS_INET));
    error = aloop__sys_connect(pair[0], &address);
    assert_true(error == 0 || error == -EINPROGRESS);
    assert_int_equal(patient_poll(&waiting, 1, -1), 1);
    pair[1] = keep(aloop__sys_accept(listener));
    waiting = (struct pollfd){.fd = pair[0], .events = POLLOUT};
    assert_int_equal(patient_poll(&waiting, 1, -1), 1);
}

static inline void put_byte(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static inline void take_byte(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 1);
}

static inline void set(int fd, uint32_t generation, unsigned was, unsigned now)
{
    assert_int_equal(aloop__reactor_set(f.reactor, fd, generation, was, now),
                     0);
}

/* Waits until an event is reported.  A signal may end a wait without an event,
 * and only then does the wait begin again. */
static inline int wait_for(struct aloop__reactor *reactor,
                           struct aloop__event *event)
{
    int count;

    do
        count = aloop__reactor_wait(reactor, -1, event, 1);
    while (count == 0 && is_interrupted());
    return count;
}

/* All bits that one wait reports for `fd`.  Fails if such an event has another
 * generation. */
static inline unsigned bits_now(int fd, uint32_t generation)
{
    struct aloop__event events[EVENTS_MAX];
    int count = aloop__reactor_wait(f.reactor, 0, events, EVENTS_MAX);
    unsigned bits = 0;

    assert_true(count >= 0);
    for (int i = 0; i < count; i++)
        if (aloop__event_fd(&events[i]) == fd) {
            assert_int_equal(aloop__event_generation(&events[i]), generation);
            bits |= aloop__event_bits(&events[i]);
        }
    return bits;
}

static inline int count_now(void)
{
    struct aloop__event events[EVENTS_MAX];

    return aloop__reactor_wait(f.reactor, 0, events, EVENTS_MAX);
}

static inline bool has_kernel_object(void)
{
    return strcmp(aloop__reactor_name, "poll") != 0;
}

static inline bool is_readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return patient_poll(&one, 1, timeout_ms) == 1;
}

/* The reactor call at the end of a turn, here without a timer. */
static inline void end_turn(void)
{
    assert_int_equal(aloop__reactor_alarm(f.reactor, INT64_MAX), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
