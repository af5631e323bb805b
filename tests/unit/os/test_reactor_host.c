/* The contract of a reactor towards a host loop: a descriptor that is readable
 * while a turn has something to do, and an alarm. */

#define _GNU_SOURCE

#include "support/reactor_fixture.h"

static void the_host_is_notified_of_a_pending_event(void **state)
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

static void the_host_is_notified_again_of_what_a_turn_left(void **state)
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

static void the_host_s_descriptor_follows_changes_of_the_watches(void **state)
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

static void a_descriptor_that_the_host_watched_closes_immediately(void **state)
{
    int fd = aloop__reactor_fd(f.reactor);

    (void) state;
    for (int i = 0; i < 20; i++) {
        int pair[2];

        open_pair(pair);
        set(pair[0], 1, 0, REACTOR_READ);
        assert_false(is_readable(fd, 1)); /* The host waits. */

        set(pair[0], 1, REACTOR_READ, 0);
        close_end(pair[0]);

        assert_true(is_readable(pair[1], 0)); /* The hang-up has arrived. */
        close_end(pair[1]);
    }
}

static void a_turn_without_a_notification_finds_all_events(void **state)
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

static void an_alarm_wakes_the_host_and_is_not_an_event(void **state)
{
    int fd = aloop__reactor_fd(f.reactor);
    int64_t before = aloop__sys_clock_ns();

    (void) state;

    assert_int_equal(
        aloop__reactor_alarm(f.reactor, aloop__sys_clock_ns() + 3 * MS), 0);

    assert_true(is_readable(fd, -1));
    assert_true(aloop__sys_clock_ns() - before >= 3 * MS);
    assert_true(is_readable(fd, 0)); /* It stays due until a turn runs. */
    assert_int_equal(count_now(), 0);
    assert_int_equal(aloop__reactor_alarm(f.reactor, aloop__sys_clock_ns() +
                                                         1000 * 1000 * MS),
                     0);
    assert_false(is_readable(fd, 0));
    assert_int_equal(aloop__reactor_alarm(f.reactor, 0), 0);
    assert_true(is_readable(fd, -1));
}

static void an_alarm_can_be_cancelled(void **state)
{
    int fd = aloop__reactor_fd(f.reactor);

    (void) state;
    assert_int_equal(aloop__reactor_alarm(f.reactor, INT64_MAX), 0);
    assert_int_equal(aloop__reactor_alarm(f.reactor, 0), 0);
    assert_true(is_readable(fd, -1));

    assert_int_equal(aloop__reactor_alarm(f.reactor, INT64_MAX), 0);

    assert_false(is_readable(fd, 0));
    assert_int_equal(aloop__reactor_alarm(f.reactor, INT64_MAX), 0);
    assert_false(is_readable(fd, 0));
}

/* This also holds if the host uses the same kind of reactor, for which a new
 * kernel object would be a different descriptor. */
static void renewing_keeps_the_descriptor_that_the_host_watches(void **state)
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
    assert_int_equal(aloop__event_generation(&event), 9);
    take_byte(pair[0]);
    end_turn();
    assert_int_equal(aloop__reactor_wait(host, 0, &event, 1), 0);
    assert_int_equal(aloop__reactor_alarm(f.reactor, 0), 0);
    assert_int_equal(wait_for(host, &event), 1);
    aloop__reactor_close(host);
}

/* Fails once the counter that `context` points to has reached 0. */
static void *limited(void *context, void *old, size_t old_size, size_t size)
{
    int *left = context;

    if (size > 0 && (*left)-- <= 0)
        return NULL;
    return aloop__alloc_default.resize(NULL, old, old_size, size);
}

/* Without memory for an exact answer, the descriptor is readable too often
 * rather than too rarely. */
static void out_of_memory_the_host_still_misses_no_event(void **state)
{
    /* With the last one, the arrays of the poll reactor have to grow. */
    enum { PAIRS = 16 };
    int pairs[PAIRS][2], left = -1;
    struct aloop__alloc alloc = {limited, &left};

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
            error =
                aloop__reactor_set(reactor, pairs[i][0], 1, 0, REACTOR_READ);
        assert_true(error == -ENOMEM || (fd >= 0 && is_readable(fd, -1)));
        aloop__reactor_close(reactor);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_host_is_notified_of_a_pending_event),
        TEST(the_host_is_notified_again_of_what_a_turn_left),
        TEST(the_host_s_descriptor_follows_changes_of_the_watches),
        TEST(a_descriptor_that_the_host_watched_closes_immediately),
        TEST(a_turn_without_a_notification_finds_all_events),
        TEST(an_alarm_wakes_the_host_and_is_not_an_event),
        TEST(an_alarm_can_be_cancelled),
        TEST(renewing_keeps_the_descriptor_that_the_host_watches),
        TEST(out_of_memory_the_host_still_misses_no_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
