/* Standard error: one line at a time, without ever waiting, and only as long as
 * descriptor 2 still is what it was.
 *
 * The file description is shared with other processes, so that its flags are
 * left alone.  What could wait is a pipe or a terminal: where the system lets
 * us, we write through a description of our own, which does not block. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* A connection that speaks some protocol: what got the number 2 because
 * standard error was closed, or a client of inetd. */
static bool is_internet_socket(void)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;

    return getsockname(STDERR_FILENO, (struct sockaddr *) &address, &size) ==
               0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

/* Standard error was inherited, so that it is not closed by exec, and it can be
 * written to. */
static bool is_plausible(void)
{
    int flags = fcntl(STDERR_FILENO, F_GETFD);
    int mode = fcntl(STDERR_FILENO, F_GETFL);

    return flags >= 0 && mode >= 0 && (flags & FD_CLOEXEC) == 0 &&
           (mode & O_ACCMODE) != O_RDONLY && !is_internet_socket();
}

void sys_stderr_look(struct sys_stderr *ret)
{
    struct stat status;

    *ret = (struct sys_stderr){.is_usable = false};
    if (fstat(STDERR_FILENO, &status) < 0 || !is_plausible())
        return;
    ret->is_usable = true;
    ret->device = (uint64_t) status.st_dev;
    ret->inode = (uint64_t) status.st_ino;
}

static bool is_same(const struct sys_stderr *file, const struct stat *status)
{
    return file->is_usable && file->device == (uint64_t) status->st_dev &&
           file->inode == (uint64_t) status->st_ino;
}

/* Whether a write raises no SIGPIPE, where the file says so: on macOS and
 * NetBSD, which raise it for the whole process, so that blocking it on one
 * thread is not enough.  Returns what was so before. */
static int set_no_sigpipe_in_file(int fd, int is_quiet)
{
#ifdef F_SETNOSIGPIPE
    int before = fcntl(fd, F_GETNOSIGPIPE);

    (void) fcntl(fd, F_SETNOSIGPIPE, is_quiet);
    return before;
#else
    (void) fd;
    return is_quiet;
#endif
}

static ssize_t write_to(int fd, const char *line, size_t size)
{
    int was_quiet = set_no_sigpipe_in_file(fd, 1);
    ssize_t count;

    do {
        count = write(fd, line, size);
    } while (count < 0 && errno == EINTR);
    count = count < 0 ? -errno : count;
    (void) set_no_sigpipe_in_file(fd, was_quiet);
    return count;
}

/* A line fits whole into what poll calls writable; another writer may still be
 * faster, which is why this is the second choice. */
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

static ssize_t write_without_waiting(const struct sys_stderr *file,
                                     const char *line, size_t size)
{
#ifdef __linux__
    /* For a pipe or a terminal, this opens it again. */
    struct stat status;
    int fd;

    do {
        fd = open("/proc/self/fd/2",
                  O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == ENXIO)
        return -EPIPE; /* A pipe that nobody reads any more. */
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

static ssize_t send_line(const char *line, size_t size)
{
    ssize_t count;

    do {
        count = send(STDERR_FILENO, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

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

/* A pipe may have no reader any more, and write has no flag against SIGPIPE; a
 * terminal may stop those that write in the background: so both signals are
 * blocked, and a SIGPIPE that came of this is taken. */
int sys_complain(const struct sys_stderr *file, const char *line, size_t size)
{
    sigset_t blocked, broken_pipe, before, pending;
    struct stat status;
    bool was_pending;
    ssize_t count;
    int number;

    if (fstat(STDERR_FILENO, &status) < 0 || !is_same(file, &status))
        return -EBADF;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    blocked = broken_pipe;
    sigaddset(&blocked, SIGTTOU);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    count = put_line(file, &status, line, size);
    if (count == -EPIPE && !was_pending) {
        sigpending(&pending);
        if (sigismember(&pending, SIGPIPE))
            sigwait(&broken_pipe, &number);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return count < 0 ? (int) count : 0;
}
