/* Processes: the one that the library runs in, and changes by a child to
 * objects that it shares with its parent.  There is one memory, which belongs
 * to the child after a fork.  All that remains of the parent are its references
 * to open descriptions. */

#include "sim_world.h"

static atomic_uint id;
static unsigned last_id;
static unsigned harms;
static bool is_vforked;

void sim_fork(void)
{
    atomic_store(&id, 0);
    sim__fd_fork();
    sim__signals_fork();
}

void sim_vfork(bool is_vforked_now)
{
    is_vforked = is_vforked_now;
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
    is_vforked = false;
}

const atomic_uint *aloop__sys_process_mark(void)
{
    return &id;
}

unsigned aloop__sys_process_id(void)
{
    return is_vforked ? 0 : atomic_load(&id);
}

unsigned aloop__sys_process_adopt(unsigned known)
{
    if (is_vforked && known != 0)
        return 0;
    if (atomic_load(&id) == 0)
        atomic_store(&id, ++last_id);
    return atomic_load(&id);
}
