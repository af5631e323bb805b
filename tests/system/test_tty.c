/* Terminals of the kernel: pseudo-terminals, whose other end is the test, and
 * job control in sessions of child processes. */

#define _GNU_SOURCE /* For posix_openpt() and TIOCSWINSZ. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "aloop.h"
#include "support/child.h"
#include "support/patient.h"

/* A pseudo-terminal: the test writes what is typed to the master. */
static struct {
    int master, slave;
} pty;

/* A failed check ends the process, which may be a child. */
static void open_pty(void)
{
    const char *name;

    pty.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(pty.master >= 0 && grantpt(pty.master) == 0 &&
          unlockpt(pty.master) == 0);
    name = ptsname(pty.master);
    CHECK(name != NULL);
    pty.slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(pty.slave >= 0);
}

static void type(const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t n = patient_write(pty.master, text, size);

        CHECK(n > 0);
        text += n;
        size -= (size_t) n;
    }
}

static bool is_canonical(void)
{
    struct termios mode;

    CHECK(tcgetattr(pty.master, &mode) == 0);
    return (mode.c_lflag & ICANON) != 0;
}

static bool blocks(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static aloop_stream *open_stream(aloop *loop, int fd)
{
    aloop_stream *stream = NULL;

    CHECK(aloop_stream_open(loop, fd, &stream) == 0);
    return stream;
}

static void expect_line(aloop_stream *stream, const char *line)
{
    char buffer[64];
    ssize_t size = (ssize_t) strlen(line);

    CHECK(aloop_await(aloop_stream_read(stream, buffer, sizeof buffer)) ==
          size);
    CHECK(memcmp(buffer, line, strlen(line)) == 0);
}

static void a_stream_of_a_terminal_leaves_the_shared_open_file_blocking(
    void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *stream;
    int shared;

    (void) state;
    open_pty();
    shared = dup(pty.slave);
    stream = open_stream(loop, pty.slave);
    assert_true(blocks(shared));
    assert_false(blocks(pty.slave));
    assert_int_equal(aloop_stream_fd(stream), pty.slave);
    type("one\ntwo");
    expect_line(stream, "one\n");
    type("\n");
    expect_line(stream, "two\n");
    assert_int_equal(aloop_stream_detach(stream, NULL, NULL), pty.slave);
    assert_true(blocks(pty.slave));
    close(shared);
    close(pty.slave);
    close(pty.master);
    aloop_free(loop);
}

static void raw_mode_delivers_each_byte_and_is_restored(void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *stream;
    struct termios raw;

    (void) state;
    open_pty();
    stream = open_stream(loop, pty.slave);
    type("ab"); /* Is kept. */
    assert_int_equal(aloop_tty_set_raw(stream, true), 0);
    assert_false(is_canonical());
    assert_int_equal(tcgetattr(pty.master, &raw), 0);
    assert_true((raw.c_oflag & OPOST) != 0);
    assert_true((raw.c_lflag & (ECHO | ISIG)) == 0);
    expect_line(stream, "ab");
    type("\003");
    expect_line(stream, "\003");
    aloop_stream_close(stream);
    assert_true(is_canonical());

    close(pty.master);
    aloop_free(loop);
}

static void a_master_and_its_slave_are_connected(void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *master, *slave;
    char byte;

    (void) state;
    open_pty();
    master = open_stream(loop, pty.master);
    slave = open_stream(loop, pty.slave);
    assert_int_equal(aloop_tty_set_raw(master, true), ALOOP_ENOTSUP);
    assert_int_equal(aloop_tty_set_raw(slave, true), 0);
    assert_int_equal(aloop_stream_put(master, "in", 2), 0);
    expect_line(slave, "in");
    assert_int_equal(aloop_stream_put(slave, "out", 3), 0);
    expect_line(master, "out");
    assert_int_equal(aloop_await(aloop_stream_write(slave, "last", 4)), 4);
    aloop_stream_close(slave);
    expect_line(master, "last");
    assert_int_equal(aloop_await(aloop_stream_read(master, &byte, 1)), 0);
    aloop_stream_close(master);
    aloop_free(loop);
}

static void a_terminal_whose_master_is_closed_has_ended(void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *slave;
    unsigned columns, rows;
    char byte;

    (void) state;
    open_pty();
    slave = open_stream(loop, pty.slave);
    assert_int_equal(aloop_tty_set_raw(slave, true), 0);
    close(pty.master);
    assert_int_equal(aloop_await(aloop_stream_read(slave, &byte, 1)), 0);
    assert_int_equal(aloop_await(aloop_stream_write(slave, "a", 1)), ALOOP_EIO);
    assert_int_equal(aloop_tty_size(slave, &columns, &rows), ALOOP_EIO);
    aloop_stream_close(slave);
    aloop_free(loop);
}

static volatile sig_atomic_t broken_pipes;

static void count_broken_pipe(int number)
{
    (void) number;
    broken_pipes++;
}

/* The slave is written to by an open file of its own and by the shared one, and
 * so is the master of a slave that is closed. */
static void a_terminal_that_has_hung_up_raises_no_signal(void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *streams[2], *master;
    void (*before)(int) = signal(SIGPIPE, count_broken_pipe);

    (void) state;
    broken_pipes = 0;
    open_pty();
    streams[0] = open_stream(loop, dup(pty.slave));
    streams[1] = open_stream(loop, pty.slave);
    close(pty.master);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_await(aloop_stream_write(streams[i], "a", 1)),
                         ALOOP_EIO);
        assert_int_equal(aloop_stream_put(streams[i], "a", 1), ALOOP_EIO);
        aloop_stream_close(streams[i]);
    }
    open_pty();
    close(pty.slave);
    master = open_stream(loop, pty.master);
    assert_int_equal(aloop_await(aloop_stream_write(master, "a", 1)), 1);
    aloop_stream_close(master);
    aloop_free(loop);
    assert_int_equal(broken_pipes, 0);
    signal(SIGPIPE, before);
}

/* Runs `body` as the leader of a session whose terminal is a new one.  Its
 * result is the status of the process. */
static void run_session(int (*body)(void))
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        CHECK(setsid() >= 0);
        open_pty();
        CHECK(ioctl(pty.slave, TIOCSCTTY, 0) == 0);
        (void) alarm((unsigned) patient_limit(20));
        _exit(body());
    }
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The size. */

static int resizes;

static void on_resize(aloop_stream *stream, unsigned columns, unsigned rows,
                      void *arg)
{
    unsigned now_columns, now_rows;

    (void) arg;
    CHECK(aloop_tty_size(stream, &now_columns, &now_rows) == 0);
    CHECK(columns == 132 && rows == 50);
    CHECK(now_columns == columns && now_rows == rows);
    resizes++;
}

static int watch_size(void)
{
    struct winsize size = {.ws_col = 132, .ws_row = 50};
    aloop *loop = aloop_new(NULL);
    aloop_stream *stream = open_stream(loop, pty.slave);

    CHECK(aloop_tty_on_resize(stream, on_resize, NULL) == 0);
    CHECK(ioctl(pty.master, TIOCSWINSZ, &size) == 0);
    while (resizes == 0)
        CHECK(aloop_step(loop, -1) >= 0);
    CHECK(aloop_tty_on_resize(stream, NULL, NULL) == 0);
    aloop_stream_close(stream);
    return aloop_free(loop);
}

static void a_change_of_the_size_is_reported(void **state)
{
    (void) state;
    run_session(watch_size);
}

/* A signal that ends the program. */

static void reset_and_exit(int number)
{
    struct termios mode;

    (void) number;
    aloop_tty_reset();
    _exit(tcgetattr(pty.master, &mode) == 0 && (mode.c_lflag & ICANON) != 0
              ? 0
              : 1);
}

static int end_by_signal(void)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *stream = open_stream(loop, pty.slave);

    CHECK(aloop_tty_set_raw(stream, true) == 0);
    CHECK(!is_canonical());
    signal(SIGTERM, reset_and_exit);
    raise(SIGTERM);
    return 1;
}

static void a_handler_of_a_signal_can_restore_the_mode(void **state)
{
    (void) state;
    if (!patient_runs_on_valgrind()) /* It would report the loop. */
        run_session(end_by_signal);
}

/* Jobs. */

static int job_ready[2]; /* A pipe from the job to the leader of the session. */

/* Runs `body` as a job in the background.  Returns its process. */
static pid_t start_job(int (*body)(void))
{
    pid_t job;

    CHECK(pipe(job_ready) == 0);
    job = fork();
    CHECK(job >= 0);
    if (job == 0) {
        CHECK(setpgid(0, 0) == 0);
        (void) alarm((unsigned) patient_limit(20));
        _exit(body());
    }
    (void) setpgid(job, job); /* Whichever is first. */
    close(job_ready[1]);
    return job;
}

/* The leader ignores SIGTTOU, because it is in the background afterwards. */
static int move_to_foreground(pid_t job)
{
    int status = 1;

    signal(SIGTTOU, SIG_IGN);
    CHECK(tcsetpgrp(pty.slave, job) == 0);
    kill(job, SIGCONT);
    CHECK(patient_waitpid(job, &status, 0) == job);
    close(job_ready[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The mode is that of the whole terminal, and is set and restored in the
 * background.  The line is there, but a read fails. */
static int read_in_background(void)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *stream = open_stream(loop, pty.slave);
    char buffer[16];
    aloop_future *future;

    signal(SIGTTIN, SIG_IGN);
    CHECK(aloop_tty_set_raw(stream, true) == 0);
    CHECK(!is_canonical());
    CHECK(aloop_tty_set_raw(stream, false) == 0);
    CHECK(is_canonical());
    future = aloop_stream_read(stream, buffer, sizeof buffer);
    for (int i = 0; i < 5; i++)
        CHECK(aloop_step(loop, 0) >= 0);
    CHECK(!aloop_future_is_settled(future));
    CHECK(patient_write(job_ready[1], "r", 1) == 1);
    CHECK(aloop_await(future) == 5);
    CHECK(memcmp(buffer, "line\n", 5) == 0);
    aloop_stream_close(stream);
    return aloop_free(loop);
}

static int lead_ignoring_job(void)
{
    pid_t job;
    char byte;

    type("line\n");
    job = start_job(read_in_background);
    CHECK(patient_read(job_ready[0], &byte, 1) == 1);
    return move_to_foreground(job);
}

static void a_read_in_the_background_is_retried_until_the_foreground(
    void **state)
{
    (void) state;
    run_session(lead_ignoring_job);
}

static int read_and_stop(void)
{
    aloop *loop = aloop_new(NULL);
    aloop_stream *stream = open_stream(loop, pty.slave);

    expect_line(stream, "line\n");
    aloop_stream_close(stream);
    return aloop_free(loop);
}

static int lead_stopping_job(void)
{
    pid_t job;
    int status = 0;

    type("line\n");
    job = start_job(read_and_stop);
    CHECK(patient_waitpid(job, &status, WUNTRACED) == job);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
    return move_to_foreground(job);
}

static void a_job_that_reads_in_the_background_stops_and_continues(void **state)
{
    (void) state;
    if (patient_runs_on_valgrind()) /* It repeats the read without a stop. */
        skip();
    run_session(lead_stopping_job);
}

static aloop_stream *raw_stream;

static void continued(aloop_signal *watch, int number, void *arg)
{
    (void) number;
    (void) arg;
    CHECK(is_canonical()); /* The shell has set its own mode. */
    CHECK(aloop_tty_set_raw(raw_stream, true) == 0);
    CHECK(!is_canonical());
    aloop_signal_close(watch);
}

static int stop_in_raw_mode(void)
{
    aloop *loop = aloop_new(NULL);
    aloop_signal *watch = NULL;

    raw_stream = open_stream(loop, pty.slave);
    CHECK(aloop_tty_set_raw(raw_stream, true) == 0);
    CHECK(aloop_signal_start(loop, SIGCONT, continued, NULL, &watch) == 0);
    raise(SIGSTOP);
    CHECK(aloop_run(loop) == 0);
    aloop_stream_close(raw_stream);
    CHECK(is_canonical());
    return aloop_free(loop);
}

static int lead_raw_job(void)
{
    struct termios mode;
    pid_t job;
    int status = 0;

    CHECK(tcgetattr(pty.slave, &mode) == 0);
    job = start_job(stop_in_raw_mode);
    CHECK(patient_waitpid(job, &status, WUNTRACED) == job);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK(!is_canonical());
    CHECK(tcsetattr(pty.slave, TCSANOW, &mode) == 0);
    return move_to_foreground(job);
}

static void a_program_that_continues_can_set_raw_mode_again(void **state)
{
    (void) state;
    run_session(lead_raw_job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_stream_of_a_terminal_leaves_the_shared_open_file_blocking),
        cmocka_unit_test(raw_mode_delivers_each_byte_and_is_restored),
        cmocka_unit_test(a_master_and_its_slave_are_connected),
        cmocka_unit_test(a_terminal_whose_master_is_closed_has_ended),
        cmocka_unit_test(a_terminal_that_has_hung_up_raises_no_signal),
        cmocka_unit_test(a_change_of_the_size_is_reported),
        cmocka_unit_test(a_handler_of_a_signal_can_restore_the_mode),
        cmocka_unit_test(
            a_read_in_the_background_is_retried_until_the_foreground),
        cmocka_unit_test(
            a_job_that_reads_in_the_background_stops_and_continues),
        cmocka_unit_test(a_program_that_continues_can_set_raw_mode_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
