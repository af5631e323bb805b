/* Guards: inaccessible pages below each stack. */

#ifndef ALOOP_OS_GUARD_H
#define ALOOP_OS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* How a guard is made.  A light one (MADV_GUARD_INSTALL) does not split a
 * mapping. */
enum aloop__guard { GUARD_NONE, GUARD_LIGHT, GUARD_MPROTECT };

/* Makes the best available guard, a light one only if `is_light`, and returns
 * its kind. */
enum aloop__guard aloop__guard_make(void *pages, size_t size, bool is_light);
/* Reports that `count` guards of kind GUARD_MPROTECT were unmapped. */
void aloop__guard_release(unsigned count);

#endif
