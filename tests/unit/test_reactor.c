/* What the reactors promise, to whichever of them is linked in. */

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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/reactor.h"
#include "os/sys.h"
#include "support/patient.h"
#include "support/storm.h"

#define MS INT64_C(1000000)

enum { EVENTS_MAX = 64, ENDS_MAX = 512, FDS_MAX = 1024 };

/* ThreadSanitizer knows no thread in the child of a process that had two. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN true
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN false
#endif

static struct {
    struct aloop__reactor *reactor;
    int ends[ENDS_MAX]; /* What teardown closes; -1 is closed already. */
    size_t end_count;
} f;

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    atomic_store(&signals, 0);
    return aloop__reactor_open(&aloop__alloc_default, &f.reactor);
}

static int tear_down(void **state)
{
    (void) state;
    aloop__reactor_close(f.reactor);
    for (size_t i = 0; i < f.end_count; i++)
        if (f.ends[i] >= 0)
            close(f.ends[i]);
    return 0;
}

static int keep(int fd)
{
    assert_true(fd >= 0 && f.end_count < ENDS_MAX);
    f.ends[f.end_count++] = fd;
    return fd;
}

static void let_go(int fd)
{
    for (size_t i = 0; i < f.end_count; i++)
        if (f.ends[i] == fd)
            f.ends[i] = -1;
    assert_int_equal(close(fd), 0);
}

/* Two connected sockets. */
static void open_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    keep(pair[0]);
    keep(pair[1]);
}

static void open_pipe(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
    keep(ends[0]);
    keep(ends[1]);
}

/* A connection over loopback: [0] connected, [1] accepted. */
static void open_tcp(int pair[2])
{
    int listener = keep(sys_tcp_socket(SYS_INET));
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    struct sys_address address;
    int error;

    assert_int_equal(sys_address_parse("127.0.0.1", "0", &address), 0);
    assert_int_equal(sys_bind(listener, &address), 0);
    assert_int_equal(sys_listen(listener, 1), 0);
    assert_int_equal(sys_local_address(listener, &address), 0);
    pair[0] = keep(sys_tcp_socket(SYS_INET));
    error = sys_connect(pair[0], &address);
    assert_true(error == 0 || error == -EINPROGRESS);
    assert_int_equal(patient_poll(&waiting, 1, -1), 1);
    pair[1] = keep(sys_accept(listener));
    waiting = (struct pollfd){.fd = pair[0], .events = POLLOUT};
    assert_int_equal(patient_poll(&waiting, 1, -1), 1);
}

static void put_byte(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void take_byte(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 1);
}

static void set(int fd, uint32_t generation, unsigned was, unsigned now)
{
    assert_int_equal(
        aloop__reactor_set(f.reactor, fd, generation, was, now), 0);
}

/* Waits until something is reported.  An interruption may end a wait without
 * an event, and only then is another one begun. */
static int wait_for(struct aloop__reactor *reactor, struct aloop__event *event)
{
    int count;

    do
        count = aloop__reactor_wait(reactor, -1, event, 1);
    while (count == 0 && is_interrupted());
    return count;
}

/* Everything reported of `fd` at once; fails where the generation is not as
 * given. */
static unsigned bits_now(int fd, uint32_t generation)
{
    struct aloop__event events[EVENTS_MAX];
    int count = aloop__reactor_wait(f.reactor, 0, events, EVENTS_MAX);
    unsigned bits = 0;

    assert_true(count >= 0);
    for (int i = 0; i < count; i++)
        if (events[i].fd == fd) {
            assert_int_equal(events[i].generation, generation);
            bits |= events[i].bits;
        }
    return bits;
}

static int count_now(void)
{
    struct aloop__event events[EVENTS_MAX];

    return aloop__reactor_wait(f.reactor, 0, events, EVENTS_MAX);
}

static bool has_kernel_object(void)
{
    return strcmp(aloop__reactor_name, "poll") != 0;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return patient_poll(&one, 1, timeout_ms) == 1;
}

/* What the loop does at the end of a turn: here, without a timer. */
static void end_turn(void)
{
    assert_int_equal(aloop__reactor_alarm(f.reactor, -1), 0);
}

static void what_can_be_read_is_reported_with_its_generation(void **state)
{
    struct aloop__event event;
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 0xfedcba98, 0, REACTOR_READ);
    assert_int_equal(count_now(), 0);

    put_byte(pair[1]);

    assert_int_equal(wait_for(f.reactor, &event), 1);
    assert_int_equal(event.fd, pair[0]);
    assert_int_equal(event.generation, 0xfedcba98);
    assert_int_equal(event.bits, REACTOR_READ);
}

static void readiness_is_reported_until_it_is_used(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    put_byte(pair[1]);

    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
    take_byte(pair[0]);
    assert_int_equal(bits_now(pair[0], 1), 0);
}

static void only_what_was_asked_for_is_reported(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);

    set(pair[0], 1, 0, REACTOR_WRITE);

    assert_int_equal(bits_now(pair[0], 1), REACTOR_WRITE);
}

static void the_mask_can_be_changed_and_brings_its_generation(void **state)
{
    static const unsigned masks[] = {
        REACTOR_READ, REACTOR_WRITE, REACTOR_READ | REACTOR_WRITE,
        REACTOR_WRITE, REACTOR_READ, REACTOR_READ,
        REACTOR_READ | REACTOR_WRITE, REACTOR_READ,
    };
    unsigned was = 0;
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);

    for (uint32_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        set(pair[0], i, was, masks[i]);
        was = masks[i];
        assert_int_equal(bits_now(pair[0], i), was);
    }
}

static void adding_what_is_there_replaces_it(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ | REACTOR_WRITE);

    set(pair[0], 2, 0, REACTOR_READ | REACTOR_WRITE);

    assert_int_equal(bits_now(pair[0], 2), REACTOR_READ | REACTOR_WRITE);
}

static void what_is_not_watched_any_more_is_not_reported(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ | REACTOR_WRITE);

    set(pair[0], 1, REACTOR_READ | REACTOR_WRITE, 0);

    assert_int_equal(count_now(), 0);
    set(pair[0], 1, 0, 0);
    assert_int_equal(count_now(), 0);
}

static void the_end_of_a_stream_can_be_read(void **state)
{
    int pair[2], ends[2];

    (void) state;
    open_pair(pair);
    open_pipe(ends);
    set(pair[0], 1, 0, REACTOR_READ);
    set(ends[0], 2, 0, REACTOR_READ);

    let_go(pair[1]);
    let_go(ends[1]);

    assert_true((bits_now(pair[0], 1) & REACTOR_READ) != 0);
    assert_true((bits_now(ends[0], 2) & REACTOR_READ) != 0);
}

static void a_half_closed_stream_has_no_error(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    assert_int_equal(sys_shutdown_write(pair[1]), 0);

    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
}

static void a_hang_up_is_not_readable_to_one_who_only_writes(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_WRITE);

    let_go(pair[1]);

    assert_int_equal(bits_now(pair[0], 1), REACTOR_WRITE | REACTOR_ERROR);
}

/* Class 15: an error without any of the bits that were asked for. */
static void a_writer_without_a_reader_has_an_error(void **state)
{
    int ends[2];

    (void) state;
    open_pipe(ends);
    set(ends[1], 1, 0, REACTOR_WRITE);

    let_go(ends[0]);

    assert_true((bits_now(ends[1], 1) & REACTOR_ERROR) != 0);
}

static void a_reset_is_an_error_that_can_be_read(void **state)
{
    char byte;
    int pair[2];

    (void) state;
    open_tcp(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    sys_reset_on_close(pair[1]);
    let_go(pair[1]);

    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ | REACTOR_ERROR);
    assert_int_equal(sys_recv(pair[0], &byte, 1), -ECONNRESET);
}

static void a_file_is_refused_for_it_is_always_ready(void **state)
{
    char name[] = "/tmp/aloop-reactor-XXXXXX";
    int fd = keep(mkstemp(name)), folder = keep(open("/", O_RDONLY));

    (void) state;
    unlink(name);

    assert_int_equal(
        aloop__reactor_set(f.reactor, fd, 1, 0, REACTOR_READ), -EPERM);
    assert_int_equal(
        aloop__reactor_set(f.reactor, folder, 1, 0, REACTOR_READ), -EPERM);
    assert_int_equal(count_now(), 0);
}

/* Class 12. */
static void a_closed_descriptor_is_refused_and_can_be_removed(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    put_byte(pair[1]);

    let_go(pair[0]);

    set(pair[0], 1, REACTOR_READ, 0);
    assert_int_equal(
        aloop__reactor_set(f.reactor, pair[0], 2, 0, REACTOR_READ), -EBADF);
    assert_int_equal(count_now(), 0);
}

/* What watches numbers reports it instead. */
static void a_closed_descriptor_cannot_be_asked_for_more(void **state)
{
    static const unsigned both = REACTOR_READ | REACTOR_WRITE;
    int pair[2];

    (void) state;
    if (!has_kernel_object())
        skip();
    open_pair(pair);
    set(pair[0], 1, 0, both);
    let_go(pair[0]);

    assert_int_equal(
        aloop__reactor_set(f.reactor, pair[0], 1, both, REACTOR_WRITE),
        -EBADF);
    assert_int_equal(
        aloop__reactor_set(f.reactor, pair[0], 1, REACTOR_READ, both),
        -EBADF);
    assert_int_equal(aloop__reactor_set(f.reactor, pair[0], 1, both, 0), 0);
    assert_int_equal(count_now(), 0);
}

static void what_became_a_file_can_be_removed(void **state)
{
    int pair[2], folder = keep(open("/", O_RDONLY));

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    assert_int_equal(dup2(folder, pair[0]), pair[0]);

    set(pair[0], 1, REACTOR_READ, 0);
    assert_int_equal(count_now(), 0);
}

/* Class 13: closed behind the reactor's back. */
static void a_closed_descriptor_is_reported_at_most_once(void **state)
{
    int pair[2], other[2];

    (void) state;
    open_pair(pair);
    open_pair(other);
    set(other[0], 1, 0, REACTOR_READ);
    set(pair[0], 2, 0, REACTOR_READ);

    let_go(pair[0]);

    assert_true((bits_now(pair[0], 2) & ~(unsigned) REACTOR_ERROR) == 0);
    assert_int_equal(count_now(), 0);
    put_byte(other[1]);
    assert_int_equal(bits_now(other[0], 1), REACTOR_READ);
}

/* Class 1: the number has come back as something else. */
static void a_reused_number_is_watched_under_its_new_generation(void **state)
{
    int old[2], other[2];

    (void) state;
    for (unsigned was = 0; was <= REACTOR_READ; was++) {
        open_pair(old);
        open_pair(other);
        set(old[0], 1, 0, REACTOR_READ);
        put_byte(old[1]);

        assert_int_equal(dup2(other[0], old[0]), old[0]);
        set(old[0], 2, was, REACTOR_READ);
        assert_int_equal(bits_now(old[0], 2), 0);

        put_byte(other[1]);
        assert_int_equal(bits_now(old[0], 2), REACTOR_READ);
        set(old[0], 2, REACTOR_READ, 0);
    }
}

/* Class 2: epoll goes on reporting what was closed while a duplicate lives.
 * The event says that it is old, and renewing ends it. */
static void a_duplicate_left_open_is_stale_until_renewed(void **state)
{
    int old[2], other[2];
    struct aloop__event events[EVENTS_MAX];
    int count;

    (void) state;
    open_pair(old);
    open_pair(other);
    set(old[0], 1, 0, REACTOR_READ);
    keep(dup(old[0]));
    put_byte(old[1]);

    assert_int_equal(dup2(other[0], old[0]), old[0]);
    set(old[0], 2, 0, REACTOR_READ);
    count = aloop__reactor_wait(f.reactor, 0, events, EVENTS_MAX);

    assert_in_range(count, 0, 1);
    for (int i = 0; i < count; i++)
        assert_int_equal(events[i].generation, 1);
    assert_int_equal(aloop__reactor_renew(f.reactor), 0);
    assert_int_equal(count_now(), 0);
    set(old[0], 3, 0, REACTOR_READ);
    assert_int_equal(count_now(), 0);
    put_byte(other[1]);
    assert_int_equal(bits_now(old[0], 3), REACTOR_READ);
}

static void renewing_forgets_everything(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ | REACTOR_WRITE);

    assert_int_equal(aloop__reactor_renew(f.reactor), 0);

    assert_int_equal(count_now(), 0);
    set(pair[0], 2, 0, REACTOR_READ);
    assert_int_equal(bits_now(pair[0], 2), REACTOR_READ);
}

static void more_than_fits_is_reported_in_turn(void **state)
{
    enum { PAIRS = 8, MAX = 3 };
    struct aloop__event events[MAX + 1];
    bool seen[FDS_MAX] = {false};
    int pairs[PAIRS][2], seen_count = 0;

    (void) state;
    for (int i = 0; i < PAIRS; i++) {
        open_pair(pairs[i]);
        put_byte(pairs[i][1]);
        set(pairs[i][0], 1, 0, REACTOR_READ);
    }

    for (int turn = 0; turn < PAIRS && seen_count < PAIRS; turn++) {
        int count = aloop__reactor_wait(f.reactor, -1, events, MAX);

        assert_in_range(count, 1, MAX);
        for (int i = 0; i < count; i++) {
            seen_count += !seen[events[i].fd];
            seen[events[i].fd] = true;
        }
    }

    assert_int_equal(seen_count, PAIRS);
}

static void many_descriptors_come_and_go(void **state)
{
    enum { PAIRS = 100 };
    int pairs[PAIRS][2];

    (void) state;
    for (int i = 0; i < PAIRS; i++) {
        open_pair(pairs[i]);
        put_byte(pairs[i][1]);
        set(pairs[i][0], (uint32_t) i, 0, REACTOR_READ);
    }

    for (int i = 0; i < PAIRS; i++)
        if (i % 10 != 0)
            set(pairs[i * 7 % PAIRS][0], 0, REACTOR_READ, 0);

    for (int i = 0; i < PAIRS; i++) {
        int k = i * 7 % PAIRS;

        assert_int_equal(bits_now(pairs[k][0], (uint32_t) k),
                         i % 10 == 0 ? REACTOR_READ : 0);
    }
}

static void a_wait_never_ends_early(void **state)
{
    static const int64_t waits_ns[] = {
        1, 999, 100 * 1000, 999999, MS, MS + 1, 2 * MS - 1, 3 * MS + 500001,
    };
    struct aloop__event event;
    int pair[2];

    (void) state;
    if (is_interrupted())
        skip(); /* As an interruption may end one. */
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    for (size_t i = 0; i < sizeof waits_ns / sizeof waits_ns[0]; i++) {
        int64_t before = sys_clock_ns();

        assert_int_equal(
            aloop__reactor_wait(f.reactor, waits_ns[i], &event, 1), 0);
        assert_true(sys_clock_ns() - before >= waits_ns[i]);
    }
}

static const int64_t huge_ns[] = {
    -1, INT64_MIN, INT64_MAX, INT64_MAX - 1, ((INT64_C(1) << 31) - 1) * MS,
    (INT64_C(1) << 31) * MS, ((INT64_C(1) << 32) + 1) * MS,
    INT64_C(100000001) * 1000 * MS,
};

/* Class 30: neither an error nor, by overflow, no time at all. */
static void a_huge_time_out_waits_until_something_happens(void **state)
{
    struct aloop__event event;

    (void) state;
    if (is_interrupted())
        skip(); /* As an interruption may end one. */
    for (size_t i = 0; i < sizeof huge_ns / sizeof huge_ns[0]; i++) {
        int before = atomic_load(&signals);

        storm(1000);
        assert_int_equal(
            aloop__reactor_wait(f.reactor, huge_ns[i], &event, 1), 0);
        storm(0);

        assert_true(atomic_load(&signals) > before);
    }
}

static void a_huge_time_out_does_not_hide_an_event(void **state)
{
    struct aloop__event event;
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ);

    for (size_t i = 0; i < sizeof huge_ns / sizeof huge_ns[0]; i++)
        assert_int_equal(
            aloop__reactor_wait(f.reactor, huge_ns[i], &event, 1), 1);
}

static void many_wake_ups_are_one_readiness(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(sys_wake_open(fds), 0);
    set(fds[0], 1, 0, REACTOR_READ);
    assert_int_equal(count_now(), 0);

    for (int i = 0; i < 100000; i++) /* Class 36: more than a pipe holds. */
        sys_wake_signal(fds[1]);

    assert_int_equal(bits_now(fds[0], 1), REACTOR_READ);
    sys_wake_drain(fds[0]);
    assert_int_equal(count_now(), 0);
    sys_wake_signal(fds[1]);
    assert_int_equal(bits_now(fds[0], 1), REACTOR_READ);
    sys_wake_close(fds);
}

static void signal_it(void *arg)
{
    sys_wake_signal(*(const int *) arg);
}

static void a_thread_wakes_a_wait(void **state)
{
    struct sys_thread *thread;
    struct aloop__event event;
    int fds[2];

    (void) state;
    assert_int_equal(sys_wake_open(fds), 0);
    set(fds[0], 7, 0, REACTOR_READ);

    assert_int_equal(sys_thread_start(signal_it, &fds[1], &thread), 0);

    assert_int_equal(wait_for(f.reactor, &event), 1);
    assert_int_equal(event.generation, 7);
    sys_thread_join(thread);
    sys_wake_close(fds);
}

static void the_host_sees_when_an_event_waits(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    assert_false(is_readable(fd, 0));

    put_byte(pair[1]);

    assert_int_equal(aloop__reactor_fd(f.reactor), fd);
    assert_true(is_readable(fd, -1));
    take_byte(pair[0]);
    end_turn();
    assert_false(is_readable(fd, 0));
}

static void the_host_is_told_again_of_what_a_turn_left_over(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    put_byte(pair[1]);

    for (int turn = 0; turn < 100; turn++) {
        assert_true(is_readable(fd, -1));
        assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
        end_turn();
    }

    take_byte(pair[0]);
    assert_int_equal(count_now(), 0);
    end_turn();
    assert_false(is_readable(fd, 0));
}

static void the_host_follows_what_is_watched(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    end_turn();

    for (int i = 0; i < 100; i++) {
        set(pair[0], 1, 0, REACTOR_READ);
        assert_true(is_readable(fd, -1));
        set(pair[0], 1, REACTOR_READ, 0);
        assert_false(is_readable(fd, 0));
    }
    set(pair[1], 2, 0, REACTOR_READ);
    assert_false(is_readable(fd, 0));
    set(pair[1], 2, REACTOR_READ, REACTOR_WRITE);
    assert_true(is_readable(fd, -1));
}

static void what_the_host_waited_for_closes_at_once(void **state)
{
    int fd = aloop__reactor_fd(f.reactor);

    (void) state;
    for (int i = 0; i < 20; i++) {
        int pair[2];

        open_pair(pair);
        set(pair[0], 1, 0, REACTOR_READ);
        assert_false(is_readable(fd, 1)); /* The host does wait. */

        set(pair[0], 1, REACTOR_READ, 0);
        let_go(pair[0]);

        assert_true(is_readable(pair[1], 0)); /* The hang-up. */
        let_go(pair[1]);
    }
}

static void a_turn_that_nobody_asked_for_finds_everything(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    for (int turn = 0; turn < 100; turn++) {
        put_byte(pair[1]);
        assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
        take_byte(pair[0]);
        end_turn();
        assert_false(is_readable(fd, 0));
    }
}

static void an_alarm_wakes_the_host_and_is_no_event(void **state)
{
    int fd = aloop__reactor_fd(f.reactor);
    int64_t before = sys_clock_ns();

    (void) state;

    assert_int_equal(aloop__reactor_alarm(f.reactor, 3 * MS), 0);

    assert_true(is_readable(fd, -1));
    assert_true(sys_clock_ns() - before >= 3 * MS);
    assert_true(is_readable(fd, 0)); /* Due until a turn has seen it. */
    assert_int_equal(count_now(), 0);
    assert_int_equal(aloop__reactor_alarm(f.reactor, 1000 * 1000 * MS), 0);
    assert_false(is_readable(fd, 0));
    assert_int_equal(aloop__reactor_alarm(f.reactor, 0), 0);
    assert_true(is_readable(fd, -1));
}

static void an_alarm_can_be_taken_back(void **state)
{
    int fd = aloop__reactor_fd(f.reactor);

    (void) state;
    assert_int_equal(aloop__reactor_alarm(f.reactor, -1), 0);
    assert_int_equal(aloop__reactor_alarm(f.reactor, 0), 0);
    assert_true(is_readable(fd, -1));

    assert_int_equal(aloop__reactor_alarm(f.reactor, -1), 0);

    assert_false(is_readable(fd, 0));
    assert_int_equal(aloop__reactor_alarm(f.reactor, INT64_MAX), 0);
    assert_false(is_readable(fd, 0));
}

/* Even where the host watches with the same kind of reactor, to which another
 * kernel object would be another descriptor. */
static void renewing_keeps_what_the_host_watches(void **state)
{
    struct aloop__reactor *host;
    struct aloop__event event;
    int fd = aloop__reactor_fd(f.reactor), pair[2];

    (void) state;
    open_pair(pair);
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &host), 0);
    assert_int_equal(aloop__reactor_set(host, fd, 9, 0, REACTOR_READ), 0);
    set(pair[0], 1, 0, REACTOR_READ);

    assert_int_equal(aloop__reactor_renew(f.reactor), 0);

    assert_int_equal(aloop__reactor_fd(f.reactor), fd);
    put_byte(pair[1]);
    assert_int_equal(aloop__reactor_wait(host, 0, &event, 1), 0);
    set(pair[0], 1, 0, REACTOR_READ);
    assert_int_equal(wait_for(host, &event), 1);
    assert_int_equal(event.generation, 9);
    take_byte(pair[0]);
    end_turn();
    assert_int_equal(aloop__reactor_wait(host, 0, &event, 1), 0);
    assert_int_equal(aloop__reactor_alarm(f.reactor, 0), 0);
    assert_int_equal(wait_for(host, &event), 1);
    aloop__reactor_close(host);
}

/* What the child of the next test does; its exit status. */
static int live_as_child(int fd, int peer)
{
    struct aloop__event event;
    int host = aloop__reactor_fd(f.reactor);

    if (aloop__reactor_renew(f.reactor) != 0)
        return 1;
    if (aloop__reactor_fd(f.reactor) != host)
        return 2;
    if (aloop__reactor_wait(f.reactor, 0, &event, 1) != 0)
        return 3;
    if (aloop__reactor_set(f.reactor, fd, 5, 0, REACTOR_READ) != 0
        || write(peer, "x", 1) != 1)
        return 4;
    if (wait_for(f.reactor, &event) != 1
        || event.generation != 5)
        return 5;
    if (aloop__reactor_alarm(f.reactor, -1) != 0 || !is_readable(host, -1))
        return 6;
    aloop__reactor_set(f.reactor, fd, 5, REACTOR_READ, 0);
    if (aloop__reactor_alarm(f.reactor, -1) != 0 || is_readable(host, 0))
        return 7;
    if (aloop__reactor_alarm(f.reactor, MS) != 0 || !is_readable(host, -1))
        return 8;
    aloop__reactor_close(f.reactor);
    return fcntl(host, F_GETFD) < 0 ? 0 : 9;
}

/* Success is a kill: at an exit, memory checkers would take what cmocka still
 * has for a leak. */
static void end_child(int result)
{
    if (result == 0)
        raise(SIGKILL);
    _exit(result);
}

static int result_of(pid_t child)
{
    int status;

    assert_int_equal(patient_waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One turn; a thread that looks on the host's behalf has then begun.  If a
 * fork came while it begins, the child could hang in a sanitizer's locks. */
static void let_host_see(int fd, const int pair[2])
{
    put_byte(pair[1]);
    assert_true(is_readable(fd, -1));
    take_byte(pair[0]);
    end_turn();
    assert_false(is_readable(fd, 0));
}

/* Class 38. */
static void a_child_has_its_own_and_leaves_its_parent_alone(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];
    pid_t child;

    (void) state;
    if (!has_kernel_object() && UNDER_TSAN)
        skip();
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    let_host_see(fd, pair);

    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_child(live_as_child(pair[0], pair[1]));

    assert_int_equal(result_of(child), 0);
    assert_true(is_readable(fd, -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
    take_byte(pair[0]);
    end_turn();
    assert_false(is_readable(fd, 0)); /* The child's alarm is its own. */
    assert_int_equal(count_now(), 0);
}

/* The tests' stand-in for kqueue has none under two numbers. */
static bool has_duplicates(void)
{
#ifdef __linux__
    return strcmp(aloop__reactor_name, "kqueue") != 0;
#else
    return true;
#endif
}

/* The number is the same, whatever the child finds free below it. */
static void a_child_keeps_the_number_that_its_host_knows(void **state)
{
    int below[3], fd, pair[2];

    (void) state;
    if (!has_duplicates() || (!has_kernel_object() && UNDER_TSAN))
        skip();
    for (int i = 0; i < 3; i++)
        below[i] = keep(dup(STDERR_FILENO));
    fd = aloop__reactor_fd(f.reactor);
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    let_host_see(fd, pair);

    for (int closed = 1; closed <= 3; closed++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            for (int i = 0; i < closed; i++)
                close(below[i]);
            end_child(live_as_child(pair[0], pair[1]));
        }
        assert_int_equal(result_of(child), 0);
        assert_true(is_readable(fd, -1));
        take_byte(pair[0]);
        end_turn();
    }
}

static void a_host_s_number_may_be_the_lowest(void **state)
{
    int low = keep(dup(STDERR_FILENO)), pair[2];
    pid_t child;

    (void) state;
    if (!has_kernel_object() && UNDER_TSAN)
        skip();
    aloop__reactor_close(f.reactor);
    keep(dup(STDERR_FILENO)); /* Where that was. */
    assert_int_equal(
        aloop__reactor_open(&aloop__alloc_default, &f.reactor), 0);
    let_go(low);
    assert_int_equal(aloop__reactor_fd(f.reactor), low);
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    let_host_see(low, pair);

    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_child(live_as_child(pair[0], pair[1]));

    assert_int_equal(result_of(child), 0);
    assert_true(is_readable(low, -1));
}

/* As a child does that has no room for anything of its own. */
static void a_child_can_close_what_it_never_renewed(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];
    pid_t child;

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    let_host_see(fd, pair);

    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        aloop__reactor_close(f.reactor);
        end_child(0);
    }

    assert_int_equal(result_of(child), 0);
    assert_false(is_readable(fd, 0));
    put_byte(pair[1]);
    assert_true(is_readable(fd, -1));
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < FDS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void closing_leaves_no_descriptor(void **state)
{
    int before = count_descriptors();
    struct aloop__reactor *reactor;

    (void) state;
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
    aloop__reactor_fd(reactor);
    aloop__reactor_alarm(reactor, 1000 * MS);
    assert_int_equal(aloop__reactor_renew(reactor), 0);

    aloop__reactor_close(reactor);

    assert_int_equal(count_descriptors(), before);
    aloop__reactor_close(NULL);
}

static int lowest_free(void)
{
    int fd = dup(f.ends[0]);

    close(fd);
    return fd;
}

static void running_out_of_descriptors_leaves_all_as_it_was(void **state)
{
    struct rlimit limit, none;
    struct aloop__reactor *reactor;
    int pair[2], lowest;

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ);
    lowest = lowest_free();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;

    for (rlim_t room = 0; room < 3; room++) {
        int error;

        none.rlim_cur = (rlim_t) lowest + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        error = aloop__reactor_fd(f.reactor);
        if (room == 0)
            assert_int_equal(error, -EMFILE);
        if (room == 0 && has_kernel_object()) {
            assert_int_equal(aloop__reactor_renew(f.reactor), -EMFILE);
            assert_int_equal(
                aloop__reactor_open(&aloop__alloc_default, &reactor),
                -EMFILE);
        }
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
        assert_true(error >= 0 || lowest_free() == lowest);
    }
    end_turn();
    assert_true(is_readable(aloop__reactor_fd(f.reactor), -1));
}

/* Fails once `context`, an int, has counted down to 0. */
static void *meagre(void *context, void *old, size_t old_size, size_t size)
{
    int *left = context;

    if (size > 0 && (*left)-- <= 0)
        return NULL;
    return aloop__alloc_default.resize(NULL, old, old_size, size);
}

static void running_out_of_memory_is_an_error(void **state)
{
    enum { PAIRS = 40 };
    int pairs[PAIRS][2], left, error = -ENOMEM;
    struct aloop__alloc alloc = {meagre, &left};

    (void) state;
    for (int i = 0; i < PAIRS; i++)
        open_pair(pairs[i]);

    for (int n = 0; error == -ENOMEM; n++) {
        struct aloop__reactor *reactor = NULL;

        left = n;
        error = aloop__reactor_open(&alloc, &reactor);
        for (int i = 0; i < PAIRS && error == 0; i++)
            error = aloop__reactor_set(reactor, pairs[i][0], 1, 0,
                                       REACTOR_READ);
        aloop__reactor_close(reactor);
        assert_true(n > 0 || error == -ENOMEM);
    }

    assert_int_equal(error, 0);
}

/* What cannot be told exactly is told too often. */
static void a_host_is_not_deaf_for_want_of_memory(void **state)
{
    enum { PAIRS = 16 }; /* The last one needs room in the copy only. */
    int pairs[PAIRS][2], left = -1;
    struct aloop__alloc alloc = {meagre, &left};

    (void) state;
    for (int i = 0; i < PAIRS; i++)
        open_pair(pairs[i]);
    put_byte(pairs[PAIRS - 1][1]);

    for (int n = 0; left < 0; n++) {
        struct aloop__reactor *reactor = NULL;
        int error, fd = -1;

        left = n;
        error = aloop__reactor_open(&alloc, &reactor);
        if (error == 0)
            error = fd = aloop__reactor_fd(reactor);
        for (int i = 0; i < PAIRS && error >= 0; i++)
            error = aloop__reactor_set(reactor, pairs[i][0], 1, 0,
                                       REACTOR_READ);
        assert_true(error == -ENOMEM || (fd >= 0 && is_readable(fd, -1)));
        aloop__reactor_close(reactor);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_can_be_read_is_reported_with_its_generation),
        TEST(readiness_is_reported_until_it_is_used),
        TEST(only_what_was_asked_for_is_reported),
        TEST(the_mask_can_be_changed_and_brings_its_generation),
        TEST(adding_what_is_there_replaces_it),
        TEST(what_is_not_watched_any_more_is_not_reported),
        TEST(the_end_of_a_stream_can_be_read),
        TEST(a_half_closed_stream_has_no_error),
        TEST(a_hang_up_is_not_readable_to_one_who_only_writes),
        TEST(a_writer_without_a_reader_has_an_error),
        TEST(a_reset_is_an_error_that_can_be_read),
        TEST(a_file_is_refused_for_it_is_always_ready),
        TEST(a_closed_descriptor_is_refused_and_can_be_removed),
        TEST(a_closed_descriptor_cannot_be_asked_for_more),
        TEST(what_became_a_file_can_be_removed),
        TEST(a_closed_descriptor_is_reported_at_most_once),
        TEST(a_reused_number_is_watched_under_its_new_generation),
        TEST(a_duplicate_left_open_is_stale_until_renewed),
        TEST(renewing_forgets_everything),
        TEST(more_than_fits_is_reported_in_turn),
        TEST(many_descriptors_come_and_go),
        TEST(a_wait_never_ends_early),
        TEST(a_huge_time_out_waits_until_something_happens),
        TEST(a_huge_time_out_does_not_hide_an_event),
        TEST(many_wake_ups_are_one_readiness),
        TEST(a_thread_wakes_a_wait),
        TEST(the_host_sees_when_an_event_waits),
        TEST(the_host_is_told_again_of_what_a_turn_left_over),
        TEST(the_host_follows_what_is_watched),
        TEST(what_the_host_waited_for_closes_at_once),
        TEST(a_turn_that_nobody_asked_for_finds_everything),
        TEST(an_alarm_wakes_the_host_and_is_no_event),
        TEST(an_alarm_can_be_taken_back),
        TEST(renewing_keeps_what_the_host_watches),
        TEST(a_child_has_its_own_and_leaves_its_parent_alone),
        TEST(a_child_keeps_the_number_that_its_host_knows),
        TEST(a_host_s_number_may_be_the_lowest),
        TEST(a_child_can_close_what_it_never_renewed),
        TEST(closing_leaves_no_descriptor),
        TEST(running_out_of_descriptors_leaves_all_as_it_was),
        TEST(running_out_of_memory_is_an_error),
        TEST(a_host_is_not_deaf_for_want_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
