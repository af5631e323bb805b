/* The numbers and the flags of new descriptors.
 *
 * The system gives the lowest number that is free.  If a program has closed its
 * standard input, output or error, that is one of theirs.  Then printf() would
 * write to a connection, a child process would inherit it as its input, and a
 * stream of standard input would read from it.  No descriptor of the library
 * may have such a number, therefore. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

enum { NUMBER_MIN = 3 }; /* STDERR_FILENO + 1 */

/* Whether a low number was free at some time. */
static atomic_uint has_low_numbers;

int aloop__above_standard(int fd)
{
    int moved, error;

    if (fd < 0 || fd >= NUMBER_MIN)
        return fd;
    atomic_store_explicit(&has_low_numbers, 1, memory_order_relaxed);
    moved = fcntl(fd, F_DUPFD_CLOEXEC, NUMBER_MIN);
    error = errno;
    close(fd);
    errno = error;
    return moved;
}

int aloop__set_both_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int aloop__number_reserve(int fd, int *ret_number)
{
    *ret_number = -1;
    if (atomic_load_explicit(&has_low_numbers, memory_order_relaxed) == 0)
        return 0;
    *ret_number = fcntl(fd, F_DUPFD_CLOEXEC, NUMBER_MIN);
    return *ret_number < 0 ? -1 : 0;
}

void aloop__number_release(int number)
{
    int error = errno;

    if (number >= 0)
        close(number);
    errno = error;
}

/* Closes a descriptor of which the other one is lost. */
static int close_rest(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

int aloop__both_above_standard(int result, int fds[2])
{
    int first, second;

    if (result < 0)
        return result;
    first = aloop__above_standard(fds[0]);
    if (first < 0)
        return close_rest(fds[1]);
    second = aloop__above_standard(fds[1]);
    if (second < 0)
        return close_rest(first);
    fds[0] = first;
    fds[1] = second;
    return 0;
}

int aloop__both_with_flags(int result, int fds[2])
{
    if (aloop__both_above_standard(result, fds) < 0)
        return -1;
    if (aloop__set_both_flags(fds[0]) == 0 &&
        aloop__set_both_flags(fds[1]) == 0)
        return 0;
    (void) close_rest(fds[0]);
    return close_rest(fds[1]);
}
