/* What unwinds stacks: C++ exceptions, and the end of a thread. */

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

/* Those of this thread; NULL while there is no C++ in the program. */
static inline struct aloop__exceptions *aloop__exceptions_here(void);

/* Called for a frame that something unwinds which must not leave it: ends the
 * program if that is an exception, as std::terminate() does.  The end of a
 * thread (pthread_exit) goes on. */
void aloop__unwind_stop(void);

/* Until it is restored, pthread_cancel() of this thread waits. */
int aloop__cancel_disable(void);
void aloop__cancel_restore(int before);

#if defined(__APPLE__)

/* A weak reference would have to be allowed by the linker's command line. */
struct aloop__exceptions *aloop__exceptions_find(void);

static inline struct aloop__exceptions *aloop__exceptions_here(void)
{
    return aloop__exceptions_find();
}

#else

extern struct aloop__exceptions *__cxa_get_globals(void)
    __attribute__((weak));

/* Where the list of shared objects ended when the program began: not NULL
 * there is one that was loaded later. */
extern void *const volatile *aloop__objects_end
    __attribute__((visibility("hidden")));
/* Those of a C++ library that was loaded later. */
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
