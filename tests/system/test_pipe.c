/* Pipes and pairs of the kernel as streams. */

#define _GNU_SOURCE

#include "support/folder_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "support/patient.h"

enum { WHOLE = 1 << 20 }; /* Many times what a pipe holds. */

static aloop_stream *ends[2]; /* To read from, to write to. */

static void open_pipe(void)
{
    assert_int_equal(aloop_pipe_open(d.loop, &ends[0], &ends[1]), 0);
}

static ssize_t write_all(aloop *loop, void *arg)
{
    static char bytes[WHOLE];

    (void) loop;
    (void) arg;
    for (size_t i = 0; i < WHOLE; i++)
        bytes[i] = (char) (i % 251);
    for (size_t at = 0; at < WHOLE; at += WHOLE / 4) {
        ssize_t size =
            aloop_await(aloop_stream_write(ends[1], bytes + at, WHOLE / 4));

        if (size < 0)
            return size;
    }
    return aloop_await(aloop_stream_shutdown(ends[1]));
}

static ssize_t read_all(aloop *loop, void *arg)
{
    static char bytes[WHOLE + 1];
    ssize_t size =
        aloop_await(aloop_stream_read_to_end(ends[0], bytes, sizeof bytes));

    (void) loop;
    (void) arg;
    for (size_t i = 0; size > 0 && i < (size_t) size; i++)
        if (bytes[i] != (char) (i % 251))
            return ALOOP_EINVAL;
    return size == WHOLE ? 0 : ALOOP_EMSGSIZE;
}

static void move_all(void)
{
    assert_int_equal(
        aloop_await(aloop_gather(d.loop, aloop_spawn(d.loop, write_all, NULL),
                                 aloop_spawn(d.loop, read_all, NULL))),
        0);
    aloop_stream_close(ends[0]);
    aloop_stream_close(ends[1]);
}

static void a_full_pipe_and_a_full_pair_wait_for_the_reader(void **state)
{
    (void) state;
    open_pipe();
    move_all();
    assert_int_equal(aloop_stream_pair(d.loop, &ends[0], &ends[1]), 0);
    move_all();
}

/* Class 27: SIGPIPE has its default disposition. */
static void a_pipe_without_a_reader_is_an_error_and_no_signal(void **state)
{
    static const char more[WHOLE];
    aloop_future *write;

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    open_pipe();
    write = aloop_stream_write(ends[1], more, WHOLE); /* It has to wait. */
    assert_int_equal(aloop_await(aloop_sleep(d.loop, 0)), 0);
    aloop_stream_close(ends[0]);
    assert_int_equal(aloop_await(write), ALOOP_EPIPE);
    assert_int_equal(aloop_stream_put(ends[1], "a", 1), ALOOP_EPIPE);
    aloop_stream_close(ends[1]);
}

static void an_adopted_pipe_is_returned_as_it_was(void **state)
{
    aloop_stream *stream = NULL;
    int fds[2];
    char byte;

    (void) state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(patient_write(fds[1], "a", 1), 1);
    assert_int_equal(aloop_stream_open(d.loop, fds[0], &stream), 0);
    assert_true((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(aloop_await(aloop_stream_read(stream, &byte, 1)), 1);
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), fds[0]);
    assert_true((fcntl(fds[0], F_GETFL) & O_NONBLOCK) == 0);
    close(fds[0]);
    close(fds[1]);
}

static void sockets_that_carry_no_stream_are_refused_and_unchanged(void **state)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    aloop_stream *stream = NULL;
    int fds[2];

    (void) state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (socketpair(AF_UNIX, types[i], 0, fds) < 0)
            continue; /* macOS has no SOCK_SEQPACKET. */
        assert_int_equal(aloop_stream_open(d.loop, fds[0], &stream),
                         ALOOP_ENOTSUP);
        assert_null(stream);
        assert_true((fcntl(fds[0], F_GETFL) & O_NONBLOCK) == 0);
        close(fds[0]);
        close(fds[1]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_full_pipe_and_a_full_pair_wait_for_the_reader),
        TEST(a_pipe_without_a_reader_is_an_error_and_no_signal),
        TEST(an_adopted_pipe_is_returned_as_it_was),
        TEST(sockets_that_carry_no_stream_are_refused_and_unchanged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
