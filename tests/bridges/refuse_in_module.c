/* A library to preload into a server: an allocation of one of its modules
 * fails.  The allocations of the server itself are left alone.
 *
 * REFUSE_MODULE is a part of the module's file name.  REFUSE_COUNT is a file of
 * four bytes, a number in the byte order of the machine: the calls until the
 * one that fails.  A test writes it while the server runs; 0 means that none
 * will fail. */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static volatile uint32_t *left;
static char module[64];

__attribute__((constructor)) static void refuse_open(void)
{
    const char *path = getenv("REFUSE_COUNT");
    const char *name = getenv("REFUSE_MODULE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (name == NULL || strlen(name) >= sizeof module || map == MAP_FAILED)
        return;
    strcpy(module, name); /* The server may overwrite its environment. */
    left = map;
}

/* Sets a variable to the function that is replaced here. */
static void find(const char *name, void *ret_function)
{
    void *address = dlsym(RTLD_NEXT, name);

    memcpy(ret_function, &address, sizeof address);
}

static bool is_refused(const void *caller)
{
    Dl_info info;

    if (left == NULL || *left == 0 || dladdr(caller, &info) == 0 ||
        strstr(info.dli_fname, module) == NULL || --*left > 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    static void *(*function)(size_t);

    if (function == NULL)
        find("malloc", &function);
    return is_refused(__builtin_return_address(0)) ? NULL : function(size);
}

void *calloc(size_t count, size_t size)
{
    static void *(*function)(size_t, size_t);

    if (function == NULL)
        find("calloc", &function);
    return is_refused(__builtin_return_address(0)) ? NULL
                                                   : function(count, size);
}

void *realloc(void *old, size_t size)
{
    static void *(*function)(void *, size_t);

    if (function == NULL)
        find("realloc", &function);
    return is_refused(__builtin_return_address(0)) ? NULL : function(old, size);
}
