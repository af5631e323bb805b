/* The contract that every reactor fulfils, tested with the one that is linked
 * in. */

#define _GNU_SOURCE

#include "support/reactor_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "support/child.h"
#include "support/storm.h"

static void a_readable_descriptor_is_reported_with_its_generation(void **state)
{
    struct aloop__event event;
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], REACTOR_GENERATION_MAX, 0, REACTOR_READ);
    assert_int_equal(count_now(), 0);

    put_byte(pair[1]);

    assert_int_equal(wait_for(f.reactor, &event), 1);
    assert_int_equal(aloop__event_fd(&event), pair[0]);
    assert_int_equal(aloop__event_generation(&event), REACTOR_GENERATION_MAX);
    assert_int_equal(aloop__event_bits(&event), REACTOR_READ);
}

static void readiness_is_reported_until_the_data_is_read(void **state)
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

static void only_requested_events_are_reported(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);

    set(pair[0], 1, 0, REACTOR_WRITE);

    assert_int_equal(bits_now(pair[0], 1), REACTOR_WRITE);
}

static void a_new_mask_takes_effect_with_its_generation(void **state)
{
    static const unsigned masks[] = {
        REACTOR_READ,
        REACTOR_WRITE,
        REACTOR_READ | REACTOR_WRITE,
        REACTOR_WRITE,
        REACTOR_READ,
        REACTOR_READ,
        REACTOR_READ | REACTOR_WRITE,
        REACTOR_READ,
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

static void adding_a_watched_descriptor_replaces_the_watch(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ | REACTOR_WRITE);

    set(pair[0], 2, 0, REACTOR_READ | REACTOR_WRITE);

    assert_int_equal(bits_now(pair[0], 2), REACTOR_READ | REACTOR_WRITE);
}

static void a_removed_descriptor_is_not_reported(void **state)
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

static void the_end_of_a_stream_is_readable(void **state)
{
    int pair[2], ends[2];

    (void) state;
    open_pair(pair);
    open_pipe(ends);
    set(pair[0], 1, 0, REACTOR_READ);
    set(ends[0], 2, 0, REACTOR_READ);

    close_end(pair[1]);
    close_end(ends[1]);

    assert_true((bits_now(pair[0], 1) & REACTOR_READ) != 0);
    assert_true((bits_now(ends[0], 2) & REACTOR_READ) != 0);
}

static void a_half_closed_stream_has_no_error(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    assert_int_equal(aloop__sys_shutdown_write(pair[1]), 0);

    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
}

static void a_hang_up_is_an_error_if_only_writing_is_watched(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_WRITE);

    close_end(pair[1]);

    assert_int_equal(bits_now(pair[0], 1), REACTOR_WRITE | REACTOR_ERROR);
}

/* Class 15: an error is reported although it was not requested. */
static void a_pipe_without_a_reader_reports_an_error(void **state)
{
    int ends[2];

    (void) state;
    open_pipe(ends);
    set(ends[1], 1, 0, REACTOR_WRITE);

    close_end(ends[0]);

    assert_true((bits_now(ends[1], 1) & REACTOR_ERROR) != 0);
}

static void a_reset_is_readable_and_an_error(void **state)
{
    char byte;
    int pair[2];

    (void) state;
    open_tcp(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    aloop__sys_reset_on_close(pair[1]);
    close_end(pair[1]);

    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ | REACTOR_ERROR);
    assert_int_equal(aloop__sys_recv(pair[0], &byte, 1), -ECONNRESET);
}

/* poll() accepts a regular file, which may be an attribute in sysfs. */
static void a_file_is_refused_or_always_ready(void **state)
{
    char name[] = "/tmp/aloop-reactor-XXXXXX";
    int fd = keep(mkstemp(name)), folder = keep(open("/", O_RDONLY));

    (void) state;
    unlink(name);

    assert_int_equal(aloop__reactor_set(f.reactor, folder, 1, 0, REACTOR_READ),
                     -EPERM);
    if (strcmp(aloop__reactor_name, "poll") == 0) {
        set(fd, 1, 0, REACTOR_READ | REACTOR_WRITE | REACTOR_PRIORITY);
        assert_int_equal(bits_now(fd, 1), REACTOR_READ | REACTOR_WRITE);
        return;
    }
    assert_int_equal(aloop__reactor_set(f.reactor, fd, 1, 0, REACTOR_READ),
                     -EPERM);
    assert_int_equal(count_now(), 0);
}

/* Class 12: a closed descriptor is added or removed. */
static void a_closed_descriptor_is_refused_and_can_be_removed(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    put_byte(pair[1]);

    close_end(pair[0]);

    set(pair[0], 1, REACTOR_READ, 0);
    assert_int_equal(aloop__reactor_set(f.reactor, pair[0], 2, 0, REACTOR_READ),
                     -EBADF);
    assert_int_equal(count_now(), 0);
}

/* A reactor without a kernel object does not notice this here.  It reports the
 * descriptor in the next wait. */
static void changing_the_mask_of_a_closed_descriptor_fails(void **state)
{
    static const unsigned both = REACTOR_READ | REACTOR_WRITE;
    int pair[2];

    (void) state;
    if (!has_kernel_object())
        skip();
    open_pair(pair);
    set(pair[0], 1, 0, both);
    close_end(pair[0]);

    assert_int_equal(
        aloop__reactor_set(f.reactor, pair[0], 1, both, REACTOR_WRITE), -EBADF);
    assert_int_equal(
        aloop__reactor_set(f.reactor, pair[0], 1, REACTOR_READ, both), -EBADF);
    assert_int_equal(aloop__reactor_set(f.reactor, pair[0], 1, both, 0), 0);
    assert_int_equal(count_now(), 0);
}

static void a_descriptor_that_became_a_file_can_be_removed(void **state)
{
    int pair[2], folder = keep(open("/", O_RDONLY));

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    assert_int_equal(dup2(folder, pair[0]), pair[0]);

    set(pair[0], 1, REACTOR_READ, 0);
    assert_int_equal(count_now(), 0);
}

/* Class 13: the descriptor was closed while the reactor watched it. */
static void a_closed_descriptor_is_reported_at_most_once(void **state)
{
    int pair[2], other[2];

    (void) state;
    open_pair(pair);
    open_pair(other);
    set(other[0], 1, 0, REACTOR_READ);
    set(pair[0], 2, 0, REACTOR_READ);

    close_end(pair[0]);

    assert_true((bits_now(pair[0], 2) & ~(unsigned) REACTOR_ERROR) == 0);
    assert_int_equal(count_now(), 0);
    put_byte(other[1]);
    assert_int_equal(bits_now(other[0], 1), REACTOR_READ);
}

/* Class 1: the number now refers to another file. */
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

/* Class 2: epoll continues to report a closed descriptor while a duplicate of
 * it is open.  The generation of the event shows that it is stale, and
 * aloop__reactor_renew() ends it. */
static void events_of_an_open_duplicate_are_stale_until_a_renewal(void **state)
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
        assert_int_equal(aloop__event_generation(&events[i]), 1);
    assert_int_equal(aloop__reactor_renew(f.reactor), 0);
    assert_int_equal(count_now(), 0);
    set(old[0], 3, 0, REACTOR_READ);
    assert_int_equal(count_now(), 0);
    put_byte(other[1]);
    assert_int_equal(bits_now(old[0], 3), REACTOR_READ);
}

static void renewing_removes_all_watches(void **state)
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

static void events_that_do_not_fit_are_reported_by_later_waits(void **state)
{
    enum { PAIRS = 8, MAX = 3 };
    struct aloop__event events[MAX + 1];
    bool was_seen[FDS_MAX] = {false};
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
            int fd = aloop__event_fd(&events[i]);

            seen_count += !was_seen[fd];
            was_seen[fd] = true;
        }
    }

    assert_int_equal(seen_count, PAIRS);
}

static void many_descriptors_can_be_added_and_removed(void **state)
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
        skip(); /* An interruption may end a wait early. */
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);

    for (size_t i = 0; i < sizeof waits_ns / sizeof waits_ns[0]; i++) {
        int64_t before = aloop__sys_clock_ns();

        assert_int_equal(aloop__reactor_wait(f.reactor, waits_ns[i], &event, 1),
                         0);
        assert_true(aloop__sys_clock_ns() - before >= waits_ns[i]);
    }
}

static const int64_t huge_ns[] = {
    -1,
    INT64_MIN,
    INT64_MAX,
    INT64_MAX - 1,
    ((INT64_C(1) << 31) - 1) * MS,
    (INT64_C(1) << 31) * MS,
    ((INT64_C(1) << 32) + 1) * MS,
    INT64_C(100000001) * 1000 * MS,
};

/* Class 30: a huge timeout is no error, and does not overflow to a short
 * one. */
static void a_huge_timeout_waits_until_a_signal_arrives(void **state)
{
    struct aloop__event event;

    (void) state;
    if (is_interrupted())
        skip(); /* An interruption may end a wait early. */
    for (size_t i = 0; i < sizeof huge_ns / sizeof huge_ns[0]; i++) {
        int before = atomic_load(&signals);

        storm(1000);
        assert_int_equal(aloop__reactor_wait(f.reactor, huge_ns[i], &event, 1),
                         0);
        storm(0);

        assert_true(atomic_load(&signals) > before);
    }
}

static void a_huge_timeout_does_not_hide_an_event(void **state)
{
    struct aloop__event event;
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ);

    for (size_t i = 0; i < sizeof huge_ns / sizeof huge_ns[0]; i++)
        assert_int_equal(aloop__reactor_wait(f.reactor, huge_ns[i], &event, 1),
                         1);
}

static void many_wake_ups_make_the_descriptor_readable_once(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_wake_open(fds), 0);
    set(fds[0], 1, 0, REACTOR_READ);
    assert_int_equal(count_now(), 0);

    for (int i = 0; i < 100000; i++) /* Class 36: more than a pipe can hold. */
        aloop__sys_wake_signal(fds[1]);

    assert_int_equal(bits_now(fds[0], 1), REACTOR_READ);
    aloop__sys_wake_drain(fds[0]);
    assert_int_equal(count_now(), 0);
    aloop__sys_wake_signal(fds[1]);
    assert_int_equal(bits_now(fds[0], 1), REACTOR_READ);
    aloop__sys_wake_close(fds);
}

/* Elsewhere each wake-up is drained, as in the test before. */
static void an_edge_is_reported_once_and_needs_no_drain(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_wake_open(fds), 0);
    if (aloop__reactor_has_edges && fds[0] == fds[1]) {
        set(fds[0], 1, 0, REACTOR_READ | REACTOR_EDGE);
        for (int i = 0; i < 3; i++) {
            aloop__sys_wake_signal(fds[1]);
            aloop__sys_wake_signal(fds[1]);
            assert_int_equal(bits_now(fds[0], 1), REACTOR_READ);
            assert_int_equal(count_now(), 0);
        }
    }
    aloop__sys_wake_close(fds);
}

static void signal_wake(void *arg)
{
    aloop__sys_wake_signal(*(const int *) arg);
}

static void a_thread_wakes_a_wait(void **state)
{
    struct sys_thread *thread;
    struct aloop__event event;
    int fds[2];

    (void) state;
    assert_int_equal(aloop__sys_wake_open(fds), 0);
    set(fds[0], 7, 0, REACTOR_READ);

    assert_int_equal(aloop__sys_thread_start(signal_wake, &fds[1], 0, &thread),
                     0);

    assert_int_equal(wait_for(f.reactor, &event), 1);
    assert_int_equal(aloop__event_generation(&event), 7);
    aloop__sys_thread_join(thread);
    aloop__sys_wake_close(fds);
}

static void closing_leaves_no_descriptor(void **state)
{
    int before = open_descriptors(FDS_MAX);
    struct aloop__reactor *reactor;

    (void) state;
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
    aloop__reactor_fd(reactor);
    aloop__reactor_alarm(reactor, aloop__sys_clock_ns() + 1000 * MS);
    assert_int_equal(aloop__reactor_renew(reactor), 0);

    aloop__reactor_close(reactor);

    assert_int_equal(open_descriptors(FDS_MAX), before);
    aloop__reactor_close(NULL);
}

static int lowest_free(void)
{
    int fd = dup(f.ends[0]);

    close(fd);
    return fd;
}

static void running_out_of_descriptors_changes_nothing(void **state)
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
                aloop__reactor_open(&aloop__alloc_default, &reactor), -EMFILE);
        }
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
        assert_true(error >= 0 || lowest_free() == lowest);
    }
    end_turn();
    assert_true(is_readable(aloop__reactor_fd(f.reactor), -1));
}

/* Fails once the counter that `context` points to has reached 0. */
static void *limited(void *context, void *old, size_t old_size, size_t size)
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
    struct aloop__alloc alloc = {limited, &left};

    (void) state;
    for (int i = 0; i < PAIRS; i++)
        open_pair(pairs[i]);

    for (int n = 0; error == -ENOMEM; n++) {
        struct aloop__reactor *reactor = NULL;

        left = n;
        error = aloop__reactor_open(&alloc, &reactor);
        for (int i = 0; i < PAIRS && error == 0; i++)
            error =
                aloop__reactor_set(reactor, pairs[i][0], 1, 0, REACTOR_READ);
        aloop__reactor_close(reactor);
        assert_true(n > 0 || error == -ENOMEM);
    }

    assert_int_equal(error, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_readable_descriptor_is_reported_with_its_generation),
        TEST(readiness_is_reported_until_the_data_is_read),
        TEST(only_requested_events_are_reported),
        TEST(a_new_mask_takes_effect_with_its_generation),
        TEST(adding_a_watched_descriptor_replaces_the_watch),
        TEST(a_removed_descriptor_is_not_reported),
        TEST(the_end_of_a_stream_is_readable),
        TEST(a_half_closed_stream_has_no_error),
        TEST(a_hang_up_is_an_error_if_only_writing_is_watched),
        TEST(a_pipe_without_a_reader_reports_an_error),
        TEST(a_reset_is_readable_and_an_error),
        TEST(a_file_is_refused_or_always_ready),
        TEST(a_closed_descriptor_is_refused_and_can_be_removed),
        TEST(changing_the_mask_of_a_closed_descriptor_fails),
        TEST(a_descriptor_that_became_a_file_can_be_removed),
        TEST(a_closed_descriptor_is_reported_at_most_once),
        TEST(a_reused_number_is_watched_under_its_new_generation),
        TEST(events_of_an_open_duplicate_are_stale_until_a_renewal),
        TEST(renewing_removes_all_watches),
        TEST(events_that_do_not_fit_are_reported_by_later_waits),
        TEST(many_descriptors_can_be_added_and_removed),
        TEST(a_wait_never_ends_early),
        TEST(a_huge_timeout_waits_until_a_signal_arrives),
        TEST(a_huge_timeout_does_not_hide_an_event),
        TEST(many_wake_ups_make_the_descriptor_readable_once),
        TEST(an_edge_is_reported_once_and_needs_no_drain),
        TEST(a_thread_wakes_a_wait),
        TEST(closing_leaves_no_descriptor),
        TEST(running_out_of_descriptors_changes_nothing),
        TEST(running_out_of_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
