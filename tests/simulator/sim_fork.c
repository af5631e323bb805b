/* Processes: the one that the library runs in, and changes by a child to
 * objects that it shares with its parent.  There is one memory, which belongs
 * to the child after a fork.  All that remains of the parent are its references
 * to open descriptions. */

#include "sim_world.h"

static atomic_uint id;
static unsigned last_id;
static unsigned harms;
static bool is_vforked;
static bool is_unmarked; /* No mark shows that a process is a child. */
static bool has_parents_id;

void sim_fork(void)
{
    if (is_unmarked)
        has_parents_id = true;
    else
        atomic_store(&id, 0);
    sim__fd_fork();
    sim__signals_fork();
}

void sim_vfork(bool is_vforked_now)
{
    is_vforked = is_vforked_now;
}

void sim_unmark(void)
{
    is_unmarked = true;
}

void sim__change(const struct sim_file *file)
{
    harms += file->is_parents || is_vforked;
}

unsigned sim_harms(void)
{
    return harms;
}

void sim__fork_end(void)
{
    atomic_store(&id, 0);
    last_id = 0;
    harms = 0;
    is_vforked = is_unmarked = has_parents_id = false;
}

const atomic_uint *aloop__sys_process_mark(void)
{
    return &id;
}

bool aloop__sys_process_is_marked(void)
{
    return !is_unmarked;
}

unsigned aloop__sys_process_id(void)
{
    return is_vforked || has_parents_id ? 0 : atomic_load(&id);
}

unsigned aloop__sys_process_adopt(unsigned known)
{
    if (is_vforked && known != 0)
        return 0;
    if (atomic_load(&id) == 0 || has_parents_id)
        atomic_store(&id, ++last_id);
    has_parents_id = false;
    return atomic_load(&id);
}
