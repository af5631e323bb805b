/* Functions shared by the stress programs. */

#define _POSIX_C_SOURCE 200809L

#include "stress.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

_Atomic size_t stress_bytes;

void *stress_resize(void *context, void *old, size_t old_size, size_t size)
{
    void *memory = NULL;

    (void) context;
    if (size == 0)
        free(old);
    else
        memory = realloc(old, size);
    if (size > 0 && memory == NULL)
        return NULL;
    atomic_fetch_add(&stress_bytes, size);
    atomic_fetch_sub(&stress_bytes, old_size);
    return memory;
}

#if WITH_TSAN
/* TSan does not see openat(), and takes a new descriptor for an earlier one of
 * the same number, which another thread has created. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:aloop__sys_fstat\n";
}
#endif

bool stress_memory_is_plain(void)
{
#if WITH_VALGRIND
    if (RUNNING_ON_VALGRIND != 0)
        return false;
#endif
#if defined UNDER_QEMU
    return false;
#else
    return !WITH_ASAN && !WITH_TSAN;
#endif
}

/* Tests each number, on systems that do not list descriptors.  Only small
 * numbers are in use. */
static unsigned probe_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

unsigned stress_descriptors(void)
{
    DIR *list = opendir("/proc/self/fd");
    const struct dirent *entry;
    unsigned count = 0;

    if (list == NULL)
        return probe_descriptors();
    while ((entry = readdir(list)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(list);
    return count - 1; /* The list itself uses one. */
}

/* Reads the exact size from smaps_rollup.  The kernel keeps the figures of
 * statm per processor, and their sum has an error of some hundred KiB. */
static double read_rollup(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    double kib = -1;
    char line[128];

    if (file == NULL)
        return kib;
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Rss:", 4) == 0)
            kib = strtod(line + 4, NULL);
    fclose(file);
    return kib;
}

static double read_statm(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    double kib = -1;
    char line[128], *at;

    if (file == NULL)
        return kib;
    if (fgets(line, sizeof line, file) != NULL) {
        strtoul(line, &at, 10); /* Skip the first number. */
        kib = strtod(at, NULL) * (double) sysconf(_SC_PAGESIZE) / 1024;
    }
    fclose(file);
    return kib;
}

double stress_rss_kib(void)
{
    double kib = read_rollup();
    struct rusage usage;

    if (kib < 0)
        kib = read_statm();
    if (kib < 0 && getrusage(RUSAGE_SELF, &usage) == 0)
#if defined __APPLE__
        kib = (double) usage.ru_maxrss / 1024;
#else
        kib = (double) usage.ru_maxrss;
#endif
    return kib;
}

uint64_t stress_random(uint64_t *state, uint64_t bound)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

void stress_pause_us(long us)
{
    struct timespec pause = {0, us * 1000};

    nanosleep(&pause, NULL);
}
