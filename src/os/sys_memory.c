/* Pages for the stacks of tasks, and for small objects.
 *
 * Mappings for stacks reserve no memory, so that the address space of a million
 * stacks costs nothing until it is used.  They have no huge pages, because a
 * huge page would make the first page of each stack cost 2 MiB. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/uio.h>
#endif

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0
#endif

/* OpenBSD requires MAP_STACK.  On FreeBSD and DragonFly it has another meaning:
 * a mapping that grows downwards, with a guard of the kernel. */
#if defined(MAP_STACK) && !defined(__FreeBSD__) && !defined(__DragonFly__)
enum { STACK_FLAG = MAP_STACK };
#else
enum { STACK_FLAG = 0 };
#endif

size_t aloop__sys_page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}

/* The memory is zeroed, and takes nothing before it is first used. */
void *aloop__sys_pages_map(size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | STACK_FLAG;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (pages == MAP_FAILED)
        return NULL;
#if defined(MADV_NOHUGEPAGE)
    /* This fails if the kernel has no huge pages. */
    (void) madvise(pages, size, MADV_NOHUGEPAGE);
#endif
    return pages;
}

/* A mapping of twice the size contains an aligned part.  The rest is
 * unmapped. */
void *aloop__sys_pages_map_huge(size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *pages = mmap(NULL, size * 2, PROT_READ | PROT_WRITE, flags, -1, 0);
    char *aligned;
    size_t before;

    if (pages == MAP_FAILED)
        return NULL;
    before = -(uintptr_t) pages & (size - 1);
    aligned = pages + before;
    if (before > 0)
        (void) munmap(pages, before);
    if (before < size)
        (void) munmap(aligned + size, size - before);
#if defined(MADV_HUGEPAGE)
    (void) madvise(aligned, size, MADV_HUGEPAGE);
#endif
    return aligned;
}

void aloop__sys_pages_unmap(void *pages, size_t size)
{
    (void) munmap(pages, size);
}

#if defined(__linux__)

/* MADV_POPULATE_WRITE since Linux 5.14, MADV_GUARD_INSTALL since 6.13. */
enum { POPULATE_WRITE = 23, GUARD_INSTALL = 102 };

/* Guards pages by a mark in the page table.  The mapping is not split, so that
 * the number of mappings of the process, which the kernel limits, does not
 * grow. */
static int guard_light(void *pages, size_t size)
{
    return madvise(pages, size, GUARD_INSTALL) == 0 ? 0 : -errno;
}

#if defined(SYS_process_madvise)

/* Gives the same advice about `size` bytes at the beginning of each part.
 * Returns false if any of them was refused. */
static bool advise_parts(void *pages, size_t part_size, unsigned count,
                         size_t size, int advice)
{
    enum { PIDFD_SELF = -10000 }; /* Since Linux 6.14: this process. */
    struct iovec parts[SYS_PARTS_MAX];

    for (unsigned i = 0; i < count; i++)
        parts[i] = (struct iovec){(char *) pages + i * part_size, size};
    return syscall(SYS_process_madvise, PIDFD_SELF, parts,
                   (unsigned long) count, advice, 0U) == (long) (count * size);
}

/* The pages that are backed by memory are not faulted in one by one later. */
bool aloop__sys_pages_prepare(void *pages, size_t part_size, unsigned count,
                              size_t guard_size)
{
    size_t size = aloop__sys_page_size();
    char *last = (char *) pages + part_size - size;

    if (!advise_parts(pages, part_size, count, guard_size, GUARD_INSTALL))
        return false;
    (void) advise_parts(last, part_size, count, size, POPULATE_WRITE);
    return true;
}

#endif

/* Returns whether the kernel fails to read from `page`.  If no descriptor is
 * left for this test, it returns false. */
static bool is_unreadable(void *page)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    bool is_faulting = write(fds[1], page, 1) < 0 && errno == EFAULT;
    (void) close(fds[0]);
    (void) close(fds[1]);
    return is_faulting;
}

/* The success of madvise() alone proves nothing.  Emulators return 0 for advice
 * that they do not know, and a stack would then have no guard. */
bool aloop__sys_pages_have_light_guards(void)
{
    size_t size = aloop__sys_page_size();
    void *page = aloop__sys_pages_map(size);
    bool is_working;

    if (page == NULL)
        return false;
    is_working = guard_light(page, size) == 0 && is_unreadable(page);
    aloop__sys_pages_unmap(page, size);
    return is_working;
}

#else

static int guard_light(void *pages, size_t size)
{
    (void) pages;
    (void) size;
    return -ENOTSUP;
}

bool aloop__sys_pages_have_light_guards(void)
{
    return false;
}

#endif

#if !defined(__linux__) || !defined(SYS_process_madvise)

bool aloop__sys_pages_prepare(void *pages, size_t part_size, unsigned count,
                              size_t guard_size)
{
    (void) pages;
    (void) part_size;
    (void) count;
    (void) guard_size;
    return false;
}

#endif

/* mprotect() splits the mapping in two. */
int aloop__sys_pages_guard(void *pages, size_t size, bool is_light)
{
    if (is_light)
        return guard_light(pages, size);
    return mprotect(pages, size, PROT_NONE) == 0 ? 0 : -errno;
}

int aloop__sys_pages_protect(void *pages, size_t size, bool is_on)
{
    int access = is_on ? PROT_NONE : PROT_READ | PROT_WRITE;

    return mprotect(pages, size, access) == 0 ? 0 : -errno;
}

/* The mapping stays; the pages are zero, or as before, when they are used
 * again. */
void aloop__sys_pages_trim(void *pages, size_t size)
{
    /* Only Linux drops the pages immediately for DONTNEED.  Other systems treat
     * it as a paging hint and have FREE for this purpose. */
#if defined(__linux__)
    (void) madvise(pages, size, MADV_DONTNEED);
#elif defined(MADV_FREE)
    (void) madvise(pages, size, MADV_FREE);
#else
    (void) pages;
    (void) size;
#endif
}

#if defined(__linux__)

/* Locked pages cannot be trimmed, which is how this detects them. */
bool aloop__sys_pages_are_locked(void *pages)
{
    size_t size = aloop__sys_page_size();
    void *page = pages != NULL ? pages : aloop__sys_pages_map(size);
    bool is_locked;

    if (page == NULL)
        return false;
    is_locked = madvise(page, size, MADV_DONTNEED) != 0 && errno == EINVAL;
    if (pages == NULL)
        aloop__sys_pages_unmap(page, size);
    return is_locked;
}

#else

/* There is no way to detect it.  At a limit, mapping fails. */
bool aloop__sys_pages_are_locked(void *pages)
{
    (void) pages;
    return false;
}

#endif

static bool is_limited(const struct rlimit *limit)
{
    return limit->rlim_cur != RLIM_INFINITY;
}

/* Large mappings cost nothing unless a limit counts them. */
bool aloop__sys_pages_are_scarce(void)
{
    struct rlimit limit;

#if defined(RLIMIT_AS)
    if (getrlimit(RLIMIT_AS, &limit) == 0 && is_limited(&limit))
        return true;
#endif
#if defined(__linux__) || defined(__OpenBSD__)
    /* These systems count private mappings as data. */
    if (getrlimit(RLIMIT_DATA, &limit) == 0 && is_limited(&limit))
        return true;
#endif
    return aloop__sys_pages_are_locked(NULL);
}
