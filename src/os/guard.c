/* Guards; see guard.h.
 *
 * A guard made by mprotect() splits a mapping, so that each stack has two more
 * of them.  Once a process has reached its limit on mappings, malloc() fails
 * too.  Therefore the number of these guards is limited, and stacks beyond that
 * have none. */

#include "os/guard.h"

#include <stdatomic.h>

#include "os/sys.h"

/* Their mappings are a quarter of vm.max_map_count, by default 65,530. */
enum { MPROTECT_MAX = 8192 };

/* Counts for the whole process, as the limit on mappings does. */
static atomic_uint mprotected;

void aloop__guard_release(unsigned count)
{
    atomic_fetch_sub_explicit(&mprotected, count, memory_order_relaxed);
}

enum aloop__guard aloop__guard_make(void *pages, size_t size, bool is_light)
{
    if (is_light && aloop__sys_pages_guard(pages, size, true) == 0)
        return GUARD_LIGHT;
    if (atomic_fetch_add_explicit(&mprotected, 1, memory_order_relaxed) <
            MPROTECT_MAX &&
        aloop__sys_pages_guard(pages, size, false) == 0)
        return GUARD_MPROTECT;
    aloop__guard_release(1);
    return GUARD_NONE;
}
