/* Guards: pages that no access may touch, below each stack. */

#ifndef ALOOP_OS_GUARD_H
#define ALOOP_OS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum aloop__guard { GUARD_NONE, GUARD_LIGHT, GUARD_MPROTECT };

/* Whether guards that split no mapping can be had. */
bool aloop__guard_is_light(void);
/* Makes the best guard there is, a light one only if `is_light`. */
enum aloop__guard aloop__guard_make(void *pages, size_t size, bool is_light);
/* So many guards that were made with mprotect are unmapped. */
void aloop__guard_release(unsigned count);
/* What the next one will be. */
enum aloop__guard aloop__guard_next(bool is_light);

#endif
