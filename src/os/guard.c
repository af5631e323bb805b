/* Guards: see guard.h.
 *
 * A guard that mprotect makes splits a mapping, which makes two more of each
 * stack.  Once the process has used up those it may have, malloc fails as
 * well; so only so many are made in this way, and then no more. */

#include "os/guard.h"

#include <stdatomic.h>

#include "os/sys.h"

/* Of vm.max_map_count's default of 65,530, a quarter. */
enum { MPROTECT_MAX = 8192 };

/* In the whole process, as the limit on mappings is. */
static atomic_uint mprotected;

bool aloop__guard_is_light(void)
{
    size_t size = sys_page_size();
    void *page = sys_pages_map(size);

    if (page == NULL)
        return false;
    int r = sys_pages_guard(page, size, true);
    sys_pages_unmap(page, size);
    return r == 0;
}

void aloop__guard_release(unsigned count)
{
    atomic_fetch_sub_explicit(&mprotected, count, memory_order_relaxed);
}

enum aloop__guard aloop__guard_make(void *pages, size_t size, bool is_light)
{
    if (is_light && sys_pages_guard(pages, size, true) == 0)
        return GUARD_LIGHT;
    if (atomic_fetch_add_explicit(&mprotected, 1, memory_order_relaxed) <
            MPROTECT_MAX &&
        sys_pages_guard(pages, size, false) == 0)
        return GUARD_MPROTECT;
    aloop__guard_release(1);
    return GUARD_NONE;
}

enum aloop__guard aloop__guard_next(bool is_light)
{
    if (is_light)
        return GUARD_LIGHT;
    return atomic_load_explicit(&mprotected, memory_order_relaxed) <
                   MPROTECT_MAX
               ? GUARD_MPROTECT
               : GUARD_NONE;
}
