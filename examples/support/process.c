#define _POSIX_C_SOURCE 200809L

#include "process.h"

#include <aloop.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* POSIX.1-2008 has no name for the number of processors.  Some systems hide
 * theirs from programs that request only POSIX. */
uint64_t process_processors(void)
{
#ifdef _SC_NPROCESSORS_ONLN
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 0 ? (uint64_t) count : 1;
#else
    return 1;
#endif
}

/* rlim_t has a sign on FreeBSD. */
uint64_t process_allow_files(uint64_t needed)
{
    struct rlimit limit;
    uint64_t files;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        limit.rlim_cur == RLIM_INFINITY || (uint64_t) limit.rlim_cur >= needed)
        return 0;
    files = (uint64_t) limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ||
                             (uint64_t) limit.rlim_max >= needed
                         ? (rlim_t) needed
                         : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t) limit.rlim_cur
                                                 : files;
}

void process_hold_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int process_flush(void)
{
    return fflush(stdout) != 0 || ferror(stdout);
}

int process_end(const char *program, ssize_t status)
{
    if (process_flush() != 0) {
        fprintf(stderr, "%s: cannot write the output\n", program);
        return 1;
    }
    if (status == ALOOP_ECANCELED)
        return 130;
    if (status < 0)
        fprintf(stderr, "%s: %s\n", program, aloop_strerror(status));
    return status < 0 ? 1 : (int) status;
}
