/* Hang-ups, urgent data and replaced descriptors, in the reactor that is linked
 * in. */

#define _GNU_SOURCE

#include "support/reactor_fixture.h"

/* To callers that did not request it, a hang-up is an error. */
static void a_hang_up_differs_from_an_error_only_where_requested(void **state)
{
    int asking[2], other[2], ends[2];

    (void) state;
    open_pair(asking);
    open_pair(other);
    open_pipe(ends);
    set(asking[0], 1, 0, REACTOR_READ | REACTOR_HANGUP);
    set(other[0], 2, 0, REACTOR_READ | REACTOR_WRITE);
    set(ends[0], 3, 0, REACTOR_READ | REACTOR_HANGUP);

    close_end(asking[1]);
    close_end(other[1]);
    close_end(ends[1]);

    assert_int_equal(bits_now(asking[0], 1), REACTOR_READ | REACTOR_HANGUP);
    assert_int_equal(bits_now(other[0], 2),
                     REACTOR_READ | REACTOR_WRITE | REACTOR_ERROR);
    assert_int_equal(bits_now(ends[0], 3), REACTOR_READ | REACTOR_HANGUP);
    set(asking[0], 1, REACTOR_READ | REACTOR_HANGUP,
        REACTOR_WRITE | REACTOR_HANGUP);
    assert_int_equal(bits_now(asking[0], 1), REACTOR_WRITE | REACTOR_HANGUP);
}

static void the_end_of_the_input_alone_is_no_hang_up(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    set(pair[0], 1, 0, REACTOR_READ | REACTOR_HANGUP);

    assert_int_equal(aloop__sys_shutdown_write(pair[1]), 0);

    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
    assert_int_equal(aloop__sys_shutdown_write(pair[0]), 0);
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ | REACTOR_HANGUP);
}

static void a_reset_is_an_error_and_a_hang_up(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    set(pair[0], 1, 0, REACTOR_READ | REACTOR_HANGUP);

    aloop__sys_reset_on_close(pair[1]);
    close_end(pair[1]);

    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1),
                     REACTOR_READ | REACTOR_ERROR | REACTOR_HANGUP);
}

static void a_hang_up_can_be_watched_without_reading_and_writing(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);
    put_byte(pair[1]);
    set(pair[0], 1, 0, REACTOR_READ);
    set(pair[0], 2, REACTOR_READ, REACTOR_HANGUP);
    assert_int_equal(bits_now(pair[0], 2), 0);

    close_end(pair[1]);

    assert_int_equal(bits_now(pair[0], 2), REACTOR_HANGUP);
    set(pair[0], 3, REACTOR_HANGUP, REACTOR_READ);
    assert_int_equal(bits_now(pair[0], 3) & ~(unsigned) REACTOR_ERROR,
                     REACTOR_READ);
    set(pair[0], 3, REACTOR_READ, REACTOR_READ | REACTOR_HANGUP);
    assert_int_equal(bits_now(pair[0], 3), REACTOR_READ | REACTOR_HANGUP);
}

/* It is an error, or a hang-up. */
static void a_pipe_without_readers_is_reported_to_one_who_does_not_write(
    void **state)
{
    int ends[2];

    (void) state;
    open_pipe(ends);
    set(ends[1], 1, 0, REACTOR_HANGUP);
    assert_int_equal(bits_now(ends[1], 1), 0);

    close_end(ends[0]);

    assert_true((bits_now(ends[1], 1) & (REACTOR_ERROR | REACTOR_HANGUP)) != 0);
}

static void urgent_data_is_reported_only_where_it_was_requested(void **state)
{
    static const unsigned masks[] = {
        REACTOR_READ,
        REACTOR_PRIORITY,
        REACTOR_PRIORITY | REACTOR_HANGUP,
        REACTOR_WRITE | REACTOR_PRIORITY,
        REACTOR_WRITE,
        REACTOR_READ | REACTOR_WRITE | REACTOR_PRIORITY | REACTOR_HANGUP,
    };
    struct pollfd waiting = {.events = POLLPRI};
    unsigned was = 0;
    char byte;
    int pair[2];

    (void) state;
    open_tcp(pair);
    if (aloop__reactor_set(f.reactor, pair[0], 1, 0, REACTOR_PRIORITY) ==
        -ENOTSUP)
        skip();
    set(pair[0], 1, REACTOR_PRIORITY, 0);
    assert_int_equal(send(pair[1], "!", 1, MSG_OOB), 1);
    waiting.fd = pair[0];
    assert_int_equal(patient_poll(&waiting, 1, -1), 1);

    for (uint32_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        unsigned now = masks[i];

        set(pair[0], i, was, now);
        was = now;
        for (int again = 0; again < 2; again++)
            assert_int_equal(bits_now(pair[0], i) & ~(unsigned) REACTOR_READ,
                             now & (REACTOR_WRITE | REACTOR_PRIORITY));
    }
    assert_int_equal(recv(pair[0], &byte, 1, MSG_OOB), 1);
    assert_int_equal(byte, '!');
    assert_int_equal(bits_now(pair[0], 5) & REACTOR_PRIORITY, 0);
}

/* To one who requested urgent data alone, a hang-up is an error. */
static void a_hang_up_is_an_error_beside_urgent_data_alone(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    if (aloop__reactor_set(f.reactor, pair[0], 1, 0, REACTOR_PRIORITY) ==
        -ENOTSUP)
        skip();
    put_byte(pair[1]);
    assert_true(is_readable(pair[0], -1));
    assert_int_equal(bits_now(pair[0], 1), 0);

    assert_int_equal(aloop__sys_shutdown_write(pair[1]), 0);
    assert_int_equal(bits_now(pair[0], 1), 0);
    assert_int_equal(aloop__sys_shutdown_write(pair[0]), 0);
    close_end(pair[1]);

    assert_int_equal(bits_now(pair[0], 1), REACTOR_ERROR);
}

static bool is_watching(int fd, unsigned bits)
{
    return aloop__reactor_is_watching(f.reactor, fd, 1, bits);
}

static void a_replaced_descriptor_differs_from_the_watched_one(void **state)
{
    static const unsigned masks[] = {REACTOR_READ, REACTOR_WRITE,
                                     REACTOR_HANGUP};

    (void) state;
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        int pair[2], other[2];

        open_pair(pair);
        open_pair(other);
        put_byte(pair[1]);
        assert_false(is_watching(pair[0], masks[i]));
        set(pair[0], 1, 0, masks[i]);
        assert_true(is_watching(pair[0], masks[i]));
        assert_int_equal(bits_now(pair[0], 1),
                         masks[i] & (REACTOR_READ | REACTOR_WRITE));

        assert_int_equal(dup2(other[0], pair[0]), pair[0]);
        assert_false(is_watching(pair[0], masks[i]));
        close_end(pair[0]);
        assert_false(is_watching(pair[0], masks[i]));
        set(pair[0], 1, masks[i], 0);
        assert_int_equal(count_now(), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_hang_up_differs_from_an_error_only_where_requested),
        TEST(the_end_of_the_input_alone_is_no_hang_up),
        TEST(a_reset_is_an_error_and_a_hang_up),
        TEST(a_hang_up_can_be_watched_without_reading_and_writing),
        TEST(a_pipe_without_readers_is_reported_to_one_who_does_not_write),
        TEST(urgent_data_is_reported_only_where_it_was_requested),
        TEST(a_hang_up_is_an_error_beside_urgent_data_alone),
        TEST(a_replaced_descriptor_differs_from_the_watched_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
