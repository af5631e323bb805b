/* The process number, which distinguishes a process from its children. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sys.h"
#include "support/patient.h"

/* vfork() is deprecated on macOS, but programs call it. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Returns whether all numbers are correct in a child. */
static bool has_a_number_of_its_own(unsigned parents)
{
    unsigned known = atomic_load(aloop__sys_process_mark()), own;

    if (known != (aloop__sys_process_is_marked() ? 0 : parents))
        return false;
    if (aloop__sys_process_id() != 0)
        return false;
    own = aloop__sys_process_adopt(parents);
    return own != 0 && own != parents && aloop__sys_process_id() == own &&
           aloop__sys_process_adopt(0) == own &&
           aloop__sys_process_adopt(parents) == own;
}

static void a_forked_child_has_a_number_of_its_own(void **state)
{
    unsigned id = aloop__sys_process_adopt(0);
    int status = -1;
    pid_t child;

    (void) state;
    if (patient_runs_on_qemu()) /* Only its pid identifies it. */
        skip();
    assert_true(id != 0);
    assert_int_equal(aloop__sys_process_id(), id);
    assert_int_equal(atomic_load(aloop__sys_process_mark()), id);
    child = fork();
    if (child == 0) {
        bool is_right = has_a_number_of_its_own(id);
        unsigned own = aloop__sys_process_id();
        pid_t grandchild = fork();

        if (grandchild == 0)
            _exit(has_a_number_of_its_own(own) && aloop__sys_process_id() != id
                      ? 0
                      : 1);
        while (waitpid(grandchild, &status, 0) < 0 && errno == EINTR)
            continue;
        _exit(is_right && status == 0 ? 0 : 1);
    }

    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(aloop__sys_process_adopt(id), id);
}

static void a_vforked_child_has_no_number(void **state)
{
    unsigned id = aloop__sys_process_adopt(0);
    int status = -1;
    pid_t child = vfork();

    (void) state;
    if (child == 0)
        _exit(aloop__sys_process_id() == 0 ? 0 : 1);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(aloop__sys_process_id(), id);
}

static void take_a_number(void *arg)
{
    *(unsigned *) arg = aloop__sys_process_adopt(0);
}

static void all_threads_of_a_process_get_the_same_number(void **state)
{
    int status = -1;
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        struct sys_thread *thread;
        unsigned here, there = 0;

        if (aloop__sys_thread_start(take_a_number, &there, 0, &thread) < 0)
            _exit(0); /* Some checkers allow no threads in a child. */
        here = aloop__sys_process_adopt(0);
        aloop__sys_thread_join(thread);
        _exit(here != 0 && here == there ? 0 : 1);
    }
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_child_has_a_number_of_its_own),
        cmocka_unit_test(a_vforked_child_has_no_number),
        cmocka_unit_test(all_threads_of_a_process_get_the_same_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
