/* Exceptions and other stack unwinding; see unwind.h.
 *
 * A C program may load a C++ library at any time.  A search for it at each
 * switch between tasks would cost more than the switch.  Instead, a pointer
 * shows whether anything was loaded since the program began, and a counter of
 * the loader whether more was loaded since the last search.  Functions of the
 * loader are weak references, because a static program has none and needs
 * none. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/unwind.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

typedef struct aloop__exceptions *globals_fn(void);
typedef void terminate_fn(void);

/* Converts an object pointer to a function pointer, as POSIX allows. */
#define TO_FUNCTION(ret_function, symbol) \
    memcpy((ret_function), &(symbol), sizeof *(ret_function))

#if defined(__APPLE__)

struct aloop__exceptions *aloop__exceptions_find(void)
{
    static _Atomic(void *) found;
    static atomic_bool has_looked;
    globals_fn *function = NULL;
    void *symbol;

    if (!atomic_load_explicit(&has_looked, memory_order_acquire)) {
        atomic_store(&found, dlsym(RTLD_DEFAULT, "__cxa_get_globals"));
        atomic_store_explicit(&has_looked, true, memory_order_release);
    }
    symbol = atomic_load_explicit(&found, memory_order_relaxed);
    TO_FUNCTION(&function, symbol);
    return function != NULL ? function() : NULL;
}

static terminate_fn *find_terminate(void)
{
    terminate_fn *function = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "_ZSt9terminatev");

    TO_FUNCTION(&function, symbol);
    return function;
}

#else

extern void _ZSt9terminatev(void) __attribute__((weak));

static void *const nothing = NULL;
void *const volatile *aloop__objects_end = &nothing;

#if defined(RTLD_NOLOAD) && !defined(__OpenBSD__)

#include <link.h>

#pragma weak dlopen
#pragma weak dlsym
#pragma weak dlclose
#pragma weak dlinfo

/* Finds the end of the list of loaded objects.  The objects that are loaded at
 * this time stay loaded as long as this code. */
__attribute__((constructor)) static void note_objects(void)
{
    struct link_map *last = NULL;
    void *program;

    if (dlopen == NULL || dlsym == NULL || dlclose == NULL || dlinfo == NULL)
        return;
    program = dlopen(NULL, RTLD_LAZY);
    if (program == NULL)
        return;
    if (dlinfo(program, RTLD_DI_LINKMAP, &last) == 0 && last != NULL) {
        while (last->l_next != NULL)
            last = last->l_next;
        aloop__objects_end = (void *const volatile *) &last->l_next;
    }
    (void) dlclose(program);
}

/* One of the loaded objects, by its index. */
struct object {
    unsigned left;
    unsigned long long loads; /* Number of loads since the program began. */
    char name[1024];
};

/* Called by dl_iterate_phdr() for each object until it returns 1. */
static int object_found(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct object *object = arg;
    const char *name = info->dlpi_name == NULL ? "" : info->dlpi_name;
    size_t length = strlen(name);

    (void) size;
    object->loads = info->dlpi_adds;
    if (object->left-- > 0)
        return 0;
    if (length < sizeof object->name)
        memcpy(object->name, name, length);
    object->name[length < sizeof object->name ? length : 0] = '\0';
    return 1;
}

/* Searches all loaded objects, including those whose symbols are visible only
 * to themselves.  Keeps the object loaded in which it finds the symbol, because
 * its state is used from now on. */
static void *find_symbol(const char *symbol_name)
{
    struct object object;
    void *symbol = NULL;

    if (dlopen == NULL || dlsym == NULL || dlclose == NULL)
        return NULL;
    for (unsigned i = 0; symbol == NULL; i++) {
        void *handle;

        object.left = i;
        if (dl_iterate_phdr(object_found, &object) != 1)
            return NULL;
        handle = object.name[0] == '\0'
                     ? NULL
                     : dlopen(object.name, RTLD_LAZY | RTLD_NOLOAD);
        if (handle == NULL)
            continue;
        symbol = dlsym(handle, symbol_name);
        if (symbol == NULL)
            (void) dlclose(handle);
    }
    return symbol;
}

/* The function of the C++ library, once it was found.
 * aloop__exceptions_loaded() searches only if more objects were loaded since
 * the last search.  Threads may do this simultaneously: they find the same. */
static _Atomic(void *) globals;

struct aloop__exceptions *aloop__exceptions_loaded(void)
{
    static atomic_ullong loads_seen;
    struct object first = {.left = 0};
    void *symbol = atomic_load_explicit(&globals, memory_order_acquire);
    globals_fn *function = NULL;

    if (symbol == NULL) {
        (void) dl_iterate_phdr(object_found, &first);
        if (atomic_exchange(&loads_seen, first.loads) == first.loads)
            return NULL;
        symbol = find_symbol("__cxa_get_globals");
        atomic_store_explicit(&globals, symbol, memory_order_release);
    }
    TO_FUNCTION(&function, symbol);
    return function != NULL ? function() : NULL;
}

#else

/* The loader of this system does not report loaded objects. */
struct aloop__exceptions *aloop__exceptions_loaded(void)
{
    return NULL;
}

static void *find_symbol(const char *symbol_name)
{
    (void) symbol_name;
    return NULL;
}

#endif

static terminate_fn *find_terminate(void)
{
    terminate_fn *function = NULL;
    void *symbol;

    if (_ZSt9terminatev != NULL)
        return _ZSt9terminatev;
    symbol = find_symbol("_ZSt9terminatev");
    TO_FUNCTION(&function, symbol);
    return function;
}

#endif

/* Called while the stack is being unwound.  Without an uncaught exception the
 * thread ends, which may continue. */
void aloop__unwind_stop(void)
{
    const struct aloop__exceptions *exceptions = aloop__exceptions_here();
    terminate_fn *terminate;

    if (exceptions == NULL || exceptions->uncaught == 0)
        return;
    terminate = find_terminate();
    if (terminate != NULL)
        terminate();
    __builtin_trap();
}

/* Android has no thread cancellation. */
int aloop__cancel_disable(void)
{
    int before = 0;

#if !defined(__ANDROID__)
    (void) pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
#endif
    return before;
}

void aloop__cancel_restore(int before)
{
#if !defined(__ANDROID__)
    (void) pthread_setcancelstate(before, NULL);
#else
    (void) before;
#endif
}
