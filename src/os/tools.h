/* Notification of the sanitizers and valgrind about stacks.
 *
 * WITH_ASAN and WITH_TSAN are 1 if the compiler instruments for them.  The
 * requests to valgrind cost almost nothing when it is not used. */

#ifndef ALOOP_OS_TOOLS_H
#define ALOOP_OS_TOOLS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define WITH_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#else
#define WITH_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define WITH_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define WITH_TSAN 0
#endif

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define WITH_VALGRIND 1
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#endif
#endif
#if !defined(WITH_VALGRIND)
#define WITH_VALGRIND 0
#endif

/* Frames are larger with ASan. */
enum { TOOLS_STACK_SCALE = WITH_ASAN ? 2 : 1 };

/* Returns whether a stack that is not in use is unreadable. */
static inline bool tools_hide_stacks(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        return true;
#endif
    return WITH_ASAN;
}

/* Returns whether a handler may ask for the alternate stack of a thread, which
 * has no effect if the thread has none.  valgrind 3.19 then takes the thread's
 * own stack for an alternate one, and does not extend it for the handler. */
static inline bool tools_allow_onstack(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND)
        return false;
#endif
    return true;
}

/* The state of a slab of stacks. */
struct tools_slab {
    unsigned *valgrind_ids; /* One for each slot; NULL without valgrind. */
};

static inline int tools_slab_init(struct tools_slab *tools,
                                  const struct aloop__alloc *alloc,
                                  size_t slots)
{
    tools->valgrind_ids = NULL;
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND) {
        size_t size = slots * sizeof *tools->valgrind_ids;

        tools->valgrind_ids = aloop__alloc_zero(alloc, size);
        return tools->valgrind_ids != NULL ? 0 : -ENOMEM;
    }
#endif
    (void) alloc;
    (void) slots;
    return 0;
}

static inline void tools_slab_fini(struct tools_slab *tools,
                                   const struct aloop__alloc *alloc,
                                   size_t slots)
{
    aloop__alloc_free(alloc, tools->valgrind_ids,
                      slots * sizeof *tools->valgrind_ids);
}

/* Called before the first use of a slot.  The range does not include the guard,
 * because leak checkers read all of it. */
static inline void tools_slot_init(struct tools_slab *tools, uint32_t slot,
                                   void *low, size_t size)
{
#if WITH_ASAN
    __lsan_register_root_region(low, size);
#endif
#if WITH_VALGRIND
    if (tools->valgrind_ids != NULL)
        tools->valgrind_ids[slot] =
            (unsigned) VALGRIND_STACK_REGISTER(low, (char *) low + size - 1);
#endif
    (void) tools;
    (void) slot;
    (void) low;
    (void) size;
}

/* Called before the memory is unmapped, because other objects will be mapped
 * there. */
static inline void tools_slot_fini(struct tools_slab *tools, uint32_t slot,
                                   void *low, size_t size)
{
#if WITH_ASAN
    __lsan_unregister_root_region(low, size);
    __asan_unpoison_memory_region(low, size);
#endif
#if WITH_VALGRIND
    if (tools->valgrind_ids != NULL)
        VALGRIND_STACK_DEREGISTER(tools->valgrind_ids[slot]);
#endif
    (void) tools;
    (void) slot;
    (void) low;
    (void) size;
}

/* Called each time a stack is handed out. */
static inline void tools_slot_take(void *low, size_t size)
{
#if WITH_ASAN
    __asan_unpoison_memory_region(low, size);
#endif
#if WITH_VALGRIND
    (void) VALGRIND_MAKE_MEM_UNDEFINED(low, size);
#endif
    (void) low;
    (void) size;
}

/* Called each time a stack is put back.  Later accesses to it are reported. */
static inline void tools_slot_put(void *low, size_t size)
{
#if WITH_ASAN
    __asan_poison_memory_region(low, size);
#endif
#if WITH_VALGRIND
    (void) VALGRIND_MAKE_MEM_NOACCESS(low, size);
#endif
    (void) low;
    (void) size;
}

#endif
