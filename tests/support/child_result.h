/* For tests that wait for a child process. */

#ifndef CHILD_RESULT_H
#define CHILD_RESULT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "support/patient.h"

/* The exit status of a child that cannot test what it should. */
enum { CHILD_SKIPS = 77 };

/* Waits for the child, which has to exit with 0. */
static inline void assert_child_succeeded(pid_t child)
{
    int status;

    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Waits for the child, which has to exit with 0 or CHILD_SKIPS.  Returns false
 * after the latter; the test should end by skip(). */
static inline bool has_child_succeeded(pid_t child)
{
    int status;

    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != CHILD_SKIPS)
        assert_int_equal(WEXITSTATUS(status), 0);
    return WEXITSTATUS(status) == 0;
}

#endif
