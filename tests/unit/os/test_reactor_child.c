/* The contract of a reactor in a child process. */

#define _GNU_SOURCE

#include "support/reactor_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* Runs in the child of the tests below, and returns its exit status. */
static int run_child(int fd, int peer)
{
    struct aloop__event event;
    int host = aloop__reactor_fd(f.reactor);

    if (aloop__reactor_renew(f.reactor) != 0)
        return 1;
    if (aloop__reactor_fd(f.reactor) != host)
        return 2;
    if (aloop__reactor_wait(f.reactor, 0, &event, 1) != 0)
        return 3;
    if (aloop__reactor_set(f.reactor, fd, 5, 0, REACTOR_READ) != 0 ||
        write(peer, "x", 1) != 1)
        return 4;
    if (wait_for(f.reactor, &event) != 1 ||
        aloop__event_generation(&event) != 5)
        return 5;
    if (aloop__reactor_alarm(f.reactor, INT64_MAX) != 0 ||
        !is_readable(host, -1))
        return 6;
    aloop__reactor_set(f.reactor, fd, 5, REACTOR_READ, 0);
    if (aloop__reactor_alarm(f.reactor, INT64_MAX) != 0 || is_readable(host, 0))
        return 7;
    if (aloop__reactor_alarm(f.reactor, aloop__sys_clock_ns() + MS) != 0 ||
        !is_readable(host, -1))
        return 8;
    aloop__reactor_close(f.reactor);
    return fcntl(host, F_GETFD) < 0 ? 0 : 9;
}

/* Ends a successful child with SIGKILL: at a normal exit, memory checkers would
 * report the memory that cmocka still uses as a leak. */
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

/* Runs one turn, after which the thread that polls for the host has started.
 * If the process forked while this thread starts, the child could hang in a
 * lock of a sanitizer. */
static void show_host_an_event(int fd, const int pair[2])
{
    put_byte(pair[1]);
    assert_true(is_readable(fd, -1));
    take_byte(pair[0]);
    end_turn();
    assert_false(is_readable(fd, 0));
}

/* Class 38: parent and child share kernel objects. */
static void a_renewed_child_does_not_affect_its_parent(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];
    pid_t child;

    (void) state;
    if (!has_kernel_object() && WITH_TSAN)
        skip();
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    show_host_an_event(fd, pair);

    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_child(run_child(pair[0], pair[1]));

    assert_int_equal(result_of(child), 0);
    assert_true(is_readable(fd, -1));
    assert_int_equal(bits_now(pair[0], 1), REACTOR_READ);
    take_byte(pair[0]);
    end_turn();
    /* The child's alarm does not affect the parent. */
    assert_false(is_readable(fd, 0));
    assert_int_equal(count_now(), 0);
}

/* The emulation of kqueue in support/kqueue does not support duplicates of a
 * queue. */
static bool has_duplicates(void)
{
#ifdef __linux__
    return strcmp(aloop__reactor_name, "kqueue") != 0;
#else
    return true;
#endif
}

/* The number stays the same even if lower numbers are free in the child. */
static void a_child_keeps_the_number_of_the_host_s_descriptor(void **state)
{
    int below[3], fd, pair[2];

    (void) state;
    if (!has_duplicates() || (!has_kernel_object() && WITH_TSAN))
        skip();
    for (int i = 0; i < 3; i++)
        below[i] = keep(dup(STDERR_FILENO));
    fd = aloop__reactor_fd(f.reactor);
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    show_host_an_event(fd, pair);

    for (int closed = 1; closed <= 3; closed++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            for (int i = 0; i < closed; i++)
                close(below[i]);
            end_child(run_child(pair[0], pair[1]));
        }
        assert_int_equal(result_of(child), 0);
        assert_true(is_readable(fd, -1));
        take_byte(pair[0]);
        end_turn();
    }
}

static void the_host_s_descriptor_may_have_the_lowest_number(void **state)
{
    int low = keep(dup(STDERR_FILENO)), pair[2];
    pid_t child;

    (void) state;
    if (!has_kernel_object() && WITH_TSAN)
        skip();
    aloop__reactor_close(f.reactor);
    keep(dup(STDERR_FILENO)); /* Takes the old number. */
    assert_int_equal(aloop__reactor_open(&aloop__alloc_default, &f.reactor), 0);
    close_end(low);
    assert_int_equal(aloop__reactor_fd(f.reactor), low);
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    show_host_an_event(low, pair);

    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_child(run_child(pair[0], pair[1]));

    assert_int_equal(result_of(child), 0);
    assert_true(is_readable(low, -1));
}

/* A child does this if it is out of descriptors or memory. */
static void a_child_can_close_a_reactor_that_it_never_renewed(void **state)
{
    int fd = aloop__reactor_fd(f.reactor), pair[2];
    pid_t child;

    (void) state;
    open_pair(pair);
    set(pair[0], 1, 0, REACTOR_READ);
    show_host_an_event(fd, pair);

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_renewed_child_does_not_affect_its_parent),
        TEST(a_child_keeps_the_number_of_the_host_s_descriptor),
        TEST(the_host_s_descriptor_may_have_the_lowest_number),
        TEST(a_child_can_close_a_reactor_that_it_never_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
