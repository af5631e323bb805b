/* The real system: terminals. */

#define _GNU_SOURCE /* For TIOCGWINSZ and ptsname_r(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys_tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#ifdef __APPLE__
#include <sys/ttycom.h>
#endif

#ifdef __linux__
#include "os/sys_stdio.h"
#else
#include "os/sys_file.h"
#endif

_Static_assert(sizeof(struct termios) <= sizeof(struct sys_tty_mode),
               "a mode fits");

enum { TTY_NAME_SIZE = 128 };

/* Returns a new descriptor, or an error.  On Linux a descriptor can be opened
 * by its number, also if the terminal has no name in this file system.
 * Elsewhere that only makes a duplicate. */
static int open_again(int fd)
{
#ifdef __linux__
    return aloop__sys_reopen(fd);
#else
    int access = fcntl(fd, F_GETFL), error;
    char name[TTY_NAME_SIZE];

    if (access < 0)
        return -errno;
    error = ttyname_r(fd, name, TTY_NAME_SIZE);
    if (error != 0)
        return -error;
    return aloop__sys_openat(SYS_CWD, name, (access & O_ACCMODE) | O_NONBLOCK,
                             0);
#endif
}

/* To open a master again would make another terminal.  The new open file gets
 * the number of the old one, and keeps its close-on-exec flag, because a
 * program that is executed may expect its standard input there. */
int aloop__sys_tty_separate(int fd)
{
    bool is_inherited;
    int flags, again, error;

    if (aloop__sys_tty_is_master(fd))
        return -ENOTSUP;
    flags = fcntl(fd, F_GETFD);
    if (flags < 0)
        return -errno;
    is_inherited = (flags & FD_CLOEXEC) == 0;
    again = open_again(fd);
    if (again < 0)
        return again;
    error = aloop__sys_move(again, fd);
    if (error < 0)
        aloop__sys_close(again);
    else if (is_inherited)
        (void) fcntl(fd, F_SETFD, 0);
    return error;
}

bool aloop__sys_tty_is_master(int fd)
{
#if defined(TIOCGPTN) /* Linux. */
    char name[TTY_NAME_SIZE];

    return ptsname_r(fd, name, sizeof name) == 0;
#elif defined(TIOCPTMASTER) /* FreeBSD. */
    return ioctl(fd, TIOCPTMASTER) == 0;
#elif defined(TIOCPTYGNAME) /* macOS. */
    char name[TTY_NAME_SIZE];

    return ioctl(fd, TIOCPTYGNAME, name) == 0;
#elif defined(TIOCPTSNAME)  /* NetBSD. */
    struct ptmget names;

    return ioctl(fd, TIOCPTSNAME, &names) == 0;
#else
    (void) fd;
    return false;
#endif
}

/* Without a controlling terminal there is no foreground, and no call stops the
 * process. */
bool aloop__sys_tty_is_background(int fd)
{
    pid_t group = tcgetpgrp(fd);

    return group >= 0 && group != getpgrp();
}

/* An error or a hang-up is found by the call that follows. */
bool aloop__sys_tty_is_ready(int fd, bool is_writing)
{
    struct pollfd event = {.fd = fd, .events = is_writing ? POLLOUT : POLLIN};

    return aloop__sys_poll(&event, 1, 0) > 0;
}

int aloop__sys_tty_device(int fd, uint64_t *ret)
{
    struct stat file;

    if (fstat(fd, &file) < 0)
        return -errno;
    *ret = (uint64_t) file.st_rdev;
    return 0;
}

int aloop__sys_tty_size(int fd, struct sys_tty_size *ret)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0)
        return -errno;
    *ret = (struct sys_tty_size){size.ws_col, size.ws_row};
    return 0;
}

int aloop__sys_tty_size_signal(void)
{
    return SIGWINCH;
}

int aloop__sys_tty_mode(int fd, struct sys_tty_mode *ret)
{
    struct termios mode;

    if (tcgetattr(fd, &mode) < 0)
        return -errno;
    memcpy(ret->bytes, &mode, sizeof mode);
    return 0;
}

int aloop__sys_tty_set_mode(int fd, const struct sys_tty_mode *mode)
{
    struct termios copy;
    int error = 0;

    memcpy(&copy, mode->bytes, sizeof copy);
    while (error == 0 && tcsetattr(fd, TCSANOW, &copy) < 0)
        error = errno == EINTR ? 0 : -errno;
    return error;
}

/* What cfmakeraw() does, except for output: without OPOST a new line would not
 * begin at the left margin. */
void aloop__sys_tty_make_raw(struct sys_tty_mode *mode)
{
    struct termios raw;

    memcpy(&raw, mode->bytes, sizeof raw);
    raw.c_iflag &= ~(tcflag_t) (IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
                                IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t) (ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag &= ~(tcflag_t) (CSIZE | PARENB);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    memcpy(mode->bytes, &raw, sizeof raw);
}
