/* Stack unwinding by C++ exceptions and by the end of a thread. */

#ifndef ALOOP_OS_UNWIND_H
#define ALOOP_OS_UNWIND_H

#include <stdbool.h>
#include <stddef.h>

/* __cxa_eh_globals of the Itanium C++ ABI: the exceptions being handled. */
struct aloop__exceptions {
    void *caught;
    unsigned uncaught;
#if defined(__ARM_EABI_UNWINDER__) || defined(__ARM_EABI__)
    void *propagating;
#endif
};

/* Returns the state of the calling thread, or NULL while the program has no C++
 * library. */
static inline struct aloop__exceptions *aloop__exceptions_here(void);

/* Called when a frame is unwound that an exception must not leave.  If an
 * exception does so, it ends the program as std::terminate() does.  The end of
 * a thread (pthread_exit) continues. */
void aloop__unwind_stop(void);

/* Defers pthread_cancel() of the calling thread until aloop__cancel_restore()
 * is called with the value that this returns. */
int aloop__cancel_disable(void);
void aloop__cancel_restore(int before);

#if defined(__APPLE__)

/* A weak reference would require an option for the linker. */
struct aloop__exceptions *aloop__exceptions_find(void);

static inline struct aloop__exceptions *aloop__exceptions_here(void)
{
    return aloop__exceptions_find();
}

#else

extern struct aloop__exceptions *__cxa_get_globals(void) __attribute__((weak));

/* Points to the end of the list of shared objects at the start of the program.
 * If *aloop__objects_end is not NULL, an object was loaded later. */
extern void *const volatile *aloop__objects_end
    __attribute__((visibility("hidden")));
/* Returns the state of a C++ library that was loaded later, or NULL. */
struct aloop__exceptions *aloop__exceptions_loaded(void);

static inline struct aloop__exceptions *aloop__exceptions_here(void)
{
    if (__cxa_get_globals != NULL)
        return __cxa_get_globals();
    if (__builtin_expect(*aloop__objects_end == NULL, true))
        return NULL;
    return aloop__exceptions_loaded();
}

#endif

#endif
