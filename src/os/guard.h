/* Guards: inaccessible pages below each stack. */

#ifndef ALOOP_OS_GUARD_H
#define ALOOP_OS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The means that work, best first; otherwise mprotect() remains. */
struct aloop__guards {
    bool has_groups; /* Several light guards can be made together. */
    bool has_light;  /* A light guard (MADV_GUARD_INSTALL) splits no mapping. */
};

void aloop__guards_init(struct aloop__guards *guards);

/* Makes the guard of at least the first of `count` slots, of `size` bytes at
 * its beginning.  If several are made together, each of these slots also gets
 * memory for its last page, where a stack begins.  Returns how many slots are
 * done, and adds the guards that mprotect() made to
 * *ret_mprotected. */
uint8_t aloop__guards_make(struct aloop__guards *guards, char *slots,
                           size_t slot_size, unsigned count, size_t size,
                           uint8_t *ret_mprotected);
/* Reports that `count` guards that mprotect() made were unmapped. */
void aloop__guard_release(unsigned count);

#endif
