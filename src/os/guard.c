/* Guards; see guard.h.
 *
 * A guard made by mprotect() splits a mapping, so that each stack has two more
 * of them.  Once a process has reached its limit on mappings, malloc() fails
 * too.  Therefore the number of these guards is limited, and stacks beyond that
 * have none. */

#include "os/guard.h"

#include <stdatomic.h>

#include "os/sys.h"
#include "os/tools.h"

/* Their mappings are a quarter of vm.max_map_count, by default 65,530. */
enum { MPROTECT_MAX = 8192 };

/* Counts for the whole process, as the limit on mappings does. */
static atomic_uint mprotected;

void aloop__guard_release(unsigned count)
{
    atomic_fetch_sub_explicit(&mprotected, count, memory_order_relaxed);
}

/* The tools do not know the call that makes several guards. */
void aloop__guards_init(struct aloop__guards *guards)
{
    guards->has_light = aloop__sys_pages_have_light_guards();
    guards->has_groups = guards->has_light && !tools_hide_stacks();
}

/* Returns whether mprotect() has made the guard. */
static bool make_by_mprotect(void *pages, size_t size)
{
    if (atomic_fetch_add_explicit(&mprotected, 1, memory_order_relaxed) <
            MPROTECT_MAX &&
        aloop__sys_pages_guard(pages, size, false) == 0)
        return true;
    aloop__guard_release(1);
    return false;
}

/* A means that has failed once is not tried again.  No light guard works in
 * locked memory, after mlockall(). */
uint8_t aloop__guards_make(struct aloop__guards *guards, char *slots,
                           size_t slot_size, unsigned count, size_t size,
                           uint8_t *ret_mprotected)
{
    if (count > SYS_PARTS_MAX)
        count = SYS_PARTS_MAX;
    if (count > 1 && guards->has_groups) {
        if (aloop__sys_pages_prepare(slots, slot_size, count, size))
            return (uint8_t) count;
        guards->has_groups = false;
    }
    if (guards->has_light && aloop__sys_pages_guard(slots, size, true) == 0)
        return 1;
    guards->has_light = guards->has_groups = false;
    *ret_mprotected += make_by_mprotect(slots, size);
    return 1;
}
