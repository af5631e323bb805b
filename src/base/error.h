/* The entries of the tables of errors. */

#ifndef ALOOP_BASE_ERROR_H
#define ALOOP_BASE_ERROR_H

#include "aloop/base.h"

struct error_entry {
    int error; /* A negated errno, or one of the library's own errors. */
    const char *name;
    const char *text; /* Lower case, without a full stop. */
};

/**
 * Returns the entry of an error that only some systems have, or NULL.
 */
const struct error_entry *aloop__error_of_system(ssize_t status);

#endif
