/* What the reactors promise to a host loop: a descriptor that is readable while
 * a turn has something to do, and an alarm. */

#define _GNU_SOURCE

#include "support/reactor_fixture.h"

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
    int64_t before = aloop__sys_clock_ns();

    (void) state;

    assert_int_equal(aloop__reactor_alarm(f.reactor, 3 * MS), 0);

    assert_true(is_readable(fd, -1));
    assert_true(aloop__sys_clock_ns() - before >= 3 * MS);
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

/* Fails once `context`, an int, has counted down to 0. */
static void *meagre(void *context, void *old, size_t old_size, size_t size)
{
    int *left = context;

    if (size > 0 && (*left)-- <= 0)
        return NULL;
    return aloop__alloc_default.resize(NULL, old, old_size, size);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_host_sees_when_an_event_waits),
        TEST(the_host_is_told_again_of_what_a_turn_left_over),
        TEST(the_host_follows_what_is_watched),
        TEST(what_the_host_waited_for_closes_at_once),
        TEST(a_turn_that_nobody_asked_for_finds_everything),
        TEST(an_alarm_wakes_the_host_and_is_no_event),
        TEST(an_alarm_can_be_taken_back),
        TEST(renewing_keeps_what_the_host_watches),
        TEST(a_host_is_not_deaf_for_want_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
