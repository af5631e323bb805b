/* The identity of the calling process.
 *
 * The pid alone is not enough.  It can be the same in a child that begins a PID
 * namespace, and it differs in a vforked child, which runs in the memory of its
 * parent.  Therefore each process has a number.  It is stored in a page that
 * the kernel clears in each forked child, together with the pid that it was
 * given to:
 *
 *     number  pid           the caller is
 *     set     its own       the process that has the number
 *     0       0             a forked child, or has no number yet
 *     set     another one   a vforked child
 *
 * Some kernels cannot clear a page (Linux before 4.14, macOS, some emulators).
 * There the last row stands for a forked child as well, and a child with the
 * pid of its parent is recognised only by aloop_after_fork(). */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/process.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_MAX = 64 * 1024, CHANGING = -1 };

/* Contains one whole page for any page size up to PAGE_MAX.  The rest is never
 * used and takes no memory. */
static _Alignas(64) unsigned char process_room[2 * PAGE_MAX];

/* Inside `process_room`. */
static struct sys_process *_Atomic opened_process;
/* Whether the kernel clears the page in a child. */
static atomic_bool is_cleared;
/* Not in the page, so that a child inherits it. */
static atomic_uint last_id;

#if defined(__linux__)

enum { WIPE_ON_FORK = 18, NO_ADVICE = 9999 };

/* Lets the kernel clear the page in a child.  Returns false if it cannot.  The
 * second call must fail: an emulator may accept any advice and ignore it. */
static bool clear_on_fork(void *page, size_t size)
{
    return madvise(page, size, WIPE_ON_FORK) == 0 &&
           madvise(page, size, NO_ADVICE) != 0;
}

#elif defined(INHERIT_ZERO)

static bool clear_on_fork(void *page, size_t size)
{
    return minherit(page, size, INHERIT_ZERO) == 0;
}

#elif defined(MAP_INHERIT_ZERO)

static bool clear_on_fork(void *page, size_t size)
{
    return minherit(page, size, MAP_INHERIT_ZERO) == 0;
}

#else

static bool clear_on_fork(void *page, size_t size)
{
    (void) page;
    (void) size;
    return false;
}

#endif

/* Several threads that do this simultaneously get the same result. */
static struct sys_process *open_process(void)
{
    size_t page_size = aloop__sys_page_size();
    size_t used = (uintptr_t) process_room % page_size;
    unsigned char *page = used == 0 ? process_room
                                    : process_room + page_size - used;

    if (page_size <= PAGE_MAX)
        atomic_store(&is_cleared, clear_on_fork(page, page_size));
    else
        page = process_room;
    atomic_store(&opened_process, (struct sys_process *) (void *) page);
    return (struct sys_process *) (void *) page;
}

struct sys_process *aloop__sys_process(void)
{
    struct sys_process *process = atomic_load(&opened_process);

    return process != NULL ? process : open_process();
}

bool aloop__sys_process_is_borrowed(const struct sys_process *process)
{
    int pid = atomic_load(&process->pid);

    return pid > 0 && pid != (int) getpid();
}

const atomic_uint *aloop__sys_process_mark(void)
{
    return &aloop__sys_process()->id;
}

bool aloop__sys_process_is_marked(void)
{
    (void) aloop__sys_process();
    return atomic_load(&is_cleared);
}

unsigned aloop__sys_process_id(void)
{
    const struct sys_process *process = aloop__sys_process();

    return aloop__sys_process_is_borrowed(process) ? 0
                                                   : atomic_load(&process->id);
}

/* Gives the process a new number.  `pid` is the one recorded so far.  Returns
 * false if another thread does this at the moment. */
static bool take_id(struct sys_process *process, int pid)
{
    if (!atomic_compare_exchange_strong(&process->pid, &pid, CHANGING))
        return false;
    for (int i = 0; i <= SYS_SIGNAL_MAX && pid != 0; i++)
        atomic_store(&process->received[i], 0); /* Drops the parent's count. */
    atomic_store(&process->id, atomic_fetch_add(&last_id, 1) + 1);
    atomic_store(&process->pid, (int) getpid());
    return true;
}

unsigned aloop__sys_process_adopt(unsigned known)
{
    struct sys_process *process = aloop__sys_process();
    bool is_sure = atomic_load(&is_cleared);

    for (;;) {
        int pid = atomic_load(&process->pid);
        unsigned id = atomic_load(&process->id);

        if (pid == CHANGING) {
            sched_yield();
            continue;
        }
        if (pid == (int) getpid() && (known == 0 || known != id || is_sure))
            return id;
        if (pid != 0 && pid != (int) getpid() && is_sure)
            return known == 0 ? id : 0; /* The caller is a vforked child. */
        take_id(process, pid);
        known = 0;
    }
}
