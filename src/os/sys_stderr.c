/* Standard error: writes one line at a time, never blocks, and only writes
 * while descriptor 2 is still the same file.
 *
 * The file description is shared with other processes, so that its flags must
 * not change.  A write to a pipe or a terminal could block.  Where the system
 * allows it, such a file is opened again, which gives a non-blocking
 * description of our own. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/sigpipe.h"

#ifdef MSG_NOSIGNAL
enum { STDERR_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };
#else
enum { STDERR_FLAGS = MSG_DONTWAIT };
#endif

/* Returns whether descriptor 2 is an Internet socket.  It is then a connection
 * that got the number because standard error was closed, or the client of an
 * inetd service; text must not be written to it. */
static bool is_internet_socket(void)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;

    return getsockname(STDERR_FILENO, (struct sockaddr *) &address, &size) ==
               0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

/* Returns whether standard error was inherited (it has no close-on-exec flag)
 * and can be written to. */
static bool is_plausible(void)
{
    int flags = fcntl(STDERR_FILENO, F_GETFD);
    int mode = fcntl(STDERR_FILENO, F_GETFL);

    return flags >= 0 && mode >= 0 && (flags & FD_CLOEXEC) == 0 &&
           (mode & O_ACCMODE) != O_RDONLY && !is_internet_socket();
}

void aloop__sys_stderr_look(struct sys_stderr *ret)
{
    struct stat status;

    *ret = (struct sys_stderr){.is_usable = false};
    if (fstat(STDERR_FILENO, &status) < 0 || !is_plausible())
        return;
    ret->is_usable = true;
    ret->device = (uint64_t) status.st_dev;
    ret->inode = (uint64_t) status.st_ino;
}

/* Returns whether this is still the file that was standard error when the loop
 * was made. */
static bool is_same(const struct sys_stderr *file, const struct stat *status)
{
    return file->is_usable && file->device == (uint64_t) status->st_dev &&
           file->inode == (uint64_t) status->st_ino;
}

/* Writes once.  The caller has blocked SIGPIPE. */
static ssize_t write_to(int fd, const char *line, size_t size)
{
    int was_quiet = aloop__sigpipe_set_in_file(fd, 1);
    ssize_t count;

    do {
        count = write(fd, line, size);
    } while (count < 0 && errno == EINTR);
    count = count < 0 ? -errno : count;
    (void) aloop__sigpipe_set_in_file(fd, was_quiet);
    return count;
}

/* Writes if poll() reports that the file is writable, which means that a whole
 * line fits.  Another writer may use the space first, so that this is only the
 * second choice. */
static ssize_t write_if_ready(const char *line, size_t size)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    int count;

    do {
        count = poll(&ready, 1, 0);
    } while (count < 0 && errno == EINTR);
    if (count != 1)
        return -EAGAIN;
    return write_to(STDERR_FILENO, line, size);
}

/* Writes to a pipe or a terminal, which could block.  If it cannot be opened
 * again, for example because another user owns it, poll() decides. */
static ssize_t write_without_waiting(const struct sys_stderr *file,
                                     const char *line, size_t size)
{
#ifdef __linux__
    /* This opens a pipe or a terminal again. */
    struct stat status;
    int fd;

    do {
        fd = open("/proc/self/fd/2",
                  O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == ENXIO)
        return -EPIPE; /* The pipe has no reader. */
    if (fd >= 0) {
        ssize_t count = -EBADF;

        if (fstat(fd, &status) == 0 && is_same(file, &status))
            count = write_to(fd, line, size);
        close(fd);
        return count;
    }
#endif
    (void) file;
    return write_if_ready(line, size);
}

/* A socket needs no second description: send() has flags for one call. */
static ssize_t send_line(const char *line, size_t size)
{
    ssize_t count;

    do {
        count = send(STDERR_FILENO, line, size, STDERR_FLAGS);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

/* Chooses a way of writing that does not block, by the type of the file. */
static ssize_t put_line(const struct sys_stderr *file,
                        const struct stat *status, const char *line,
                        size_t size)
{
    if (S_ISSOCK(status->st_mode))
        return send_line(line, size);
    if (S_ISREG(status->st_mode))
        return write_to(STDERR_FILENO, line, size);
    if (S_ISFIFO(status->st_mode) || isatty(STDERR_FILENO))
        return write_without_waiting(file, line, size);
    return write_if_ready(line, size);
}

/* Blocks two signals while it writes.  A pipe may have no reader, and write()
 * has no flag against SIGPIPE.  A terminal may stop background processes that
 * write, with SIGTTOU. */
int aloop__sys_stderr_write(const struct sys_stderr *file, const char *line,
                            size_t size)
{
    struct sigpipe sigpipe;
    struct stat status;
    ssize_t count;

    if (fstat(STDERR_FILENO, &status) < 0 || !is_same(file, &status))
        return -EBADF;
    aloop__sigpipe_block(&sigpipe, SIGTTOU);
    count = put_line(file, &status, line, size);
    aloop__sigpipe_unblock(&sigpipe, count);
    return count < 0 ? (int) count : 0;
}
