/* Shared by the tests of system calls that fail.  A test names a function of
 * libc, and its next calls fail as often as the test requests.
 *
 * The linker redirects the library's calls to the functions of this file
 * (--wrap).  Therefore only programs of one file can use it. */

#ifndef REFUSAL_FIXTURE_H
#define REFUSAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "aloop/error.h"
#include "os/reactor.h"
#include "os/refusal.h"
#include "os/stack.h"
#include "os/sys.h"
#include "os/sys_file.h"
#include "os/sys_stdio.h"
#include "os/sys_stream.h"
#include "os/sys_tty.h"
#include "os/sys_udp.h"
#include "support/child.h"
#include "support/patient.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum {
    PIECE_MAX = 0x7ffff000,
    GUARD_INSTALL = 102,
    FDS_MAX = 256,
    CACHESTAT = 451,
    STATMOUNT = 457
};

/* The present refusal, and records of calls. */
static struct {
    const char *call;
    const char *also; /* A second call that is refused, or NULL. */
    int error;
    atomic_int times;   /* Refusals left; other threads use it too. */
    atomic_int refused; /* Refusals so far. */
    int left;           /* For "any": calls that succeed before the refusal. */
    struct addrinfo *answer; /* Result of getaddrinfo if it is not refused. */
    bool is_answer_freed;
    int asked_family; /* Of the last getaddrinfo(). */
    size_t asked;     /* Bytes of the last sendmsg(). */
    size_t asked_in;  /* Pieces of the last sendmsg(). */
    int protected;    /* Calls of mprotect(). */
    enum { ADVICE_KERNEL, ADVICE_IGNORED, ADVICE_TAKEN } advice;
    socklen_t name_size; /* Size that getsockname() returns, if not 0. */
    const char *release; /* Of the kernel, if not NULL. */
    bool has_evicted;    /* cachestat() finds one page, in the swap area. */
} f;

static inline int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    return 0;
}

static inline int tear_down(void **state)
{
    int unrefused = f.times;

    (void) state;
    memset(&f, 0, sizeof f);
    return unrefused; /* Fails if a requested refusal did not happen. */
}

static inline void refuse(const char *call, int error, int times)
{
    f.call = call;
    f.error = error;
    f.times = times;
    f.refused = 0;
}

static inline bool was_refused(void)
{
    bool was_refused = f.refused > 0;

    f.times = f.refused = 0;
    return was_refused;
}

/* Refuses the nth call of those that allocate something of the system,
 * whichever it is. */
static inline void refuse_nth(int nth, int error)
{
    refuse("any", error, 1);
    f.left = nth - 1;
}

static inline bool is_refused(const char *call)
{
    enum { PLAIN, TAKES };
    static const char *const any[] = {
#define LIBC_OWN(function, takes, ...) takes ? #function : "",
#include "support/sys_calls.def"
    };
    bool is_one = false;

    for (size_t i = 0; i < COUNT(any); i++)
        is_one = is_one || strcmp(any[i], call) == 0;
    if (f.times == 0)
        return false;
    if (strcmp(f.call, "any") == 0 && (!is_one || f.left-- > 0))
        return false;
    if (strcmp(f.call, "any") != 0 && strcmp(f.call, call) != 0 &&
        (f.also == NULL || strcmp(f.also, call) != 0))
        return false;
    f.times--;
    f.refused++;
    errno = f.error;
    return true;
}

/* Declares both functions, and defines the replacement of most. */
#define LIBC_OWN(function, takes, result, parameters) \
    result __real_##function parameters; \
    result __wrap_##function parameters;
#define LIBC(function, takes, result, failure, parameters, arguments) \
    LIBC_OWN(function, takes, result, parameters) \
    result __wrap_##function parameters \
    { \
        if (is_refused(#function)) \
            return failure; \
        return __real_##function arguments; \
    }
#include "support/sys_calls.def"

/* Calls that are made by number. */
static inline const char *name_of_call(long number)
{
    static const struct {
        long number;
        const char *name;
    } calls[] = {
        {SYS_write, "write"},         {437, "openat2"},
        {SYS_preadv2, "preadv2"},     {SYS_pwritev2, "pwritev2"},
        {SYS_statx, "statx"},         {SYS_copy_file_range, "copy_file_range"},
        {SYS_getrandom, "getrandom"}, {440, "process_madvise"},
        {CACHESTAT, "cachestat"},     {STATMOUNT, "statmount"},
    };

    for (size_t i = 0; i < COUNT(calls); i++)
        if (calls[i].number == number)
            return calls[i].name;
    return "another call";
}

/* Passes on as many arguments as the kernel takes, as syscall() does.  Those
 * that the caller has not passed are read nevertheless, and ignored. */
__attribute__((no_sanitize_address)) long __wrap_syscall(long number, ...)
{
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (size_t i = 0; i < COUNT(arguments); i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (is_refused(name_of_call(number)))
        return -1;
    if (number == CACHESTAT && f.has_evicted) {
        uint64_t pages[5] = {[3] = 1};

        memcpy((void *) arguments[2], pages, sizeof pages);
        return 0;
    }
    return __real_syscall(number, arguments[0], arguments[1], arguments[2],
                          arguments[3], arguments[4], arguments[5]);
}

/* The kernel does not refuse to remove a descriptor. */
int __wrap_epoll_ctl(int epoll, int operation, int fd,
                     struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && is_refused("epoll_ctl"))
        return -1;
    return __real_epoll_ctl(epoll, operation, fd, event);
}

int __wrap_close(int fd)
{
    int result = __real_close(fd); /* It is closed even if this is refused. */

    return is_refused("close") ? -1 : result;
}

int __wrap_mprotect(void *pages, size_t size, int access)
{
    f.protected ++;
    return is_refused("mprotect") ? -1 : __real_mprotect(pages, size, access);
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    int result =
        is_refused("getsockname") ? -1 : __real_getsockname(fd, address, size);

    if (f.name_size > 0)
        *size = f.name_size;
    return result;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (is_refused("sendmsg"))
        return -1;
    f.asked_in = message->msg_iovlen;
    f.asked = 0;
    for (size_t i = 0; i < f.asked_in; i++)
        f.asked += message->msg_iov[i].iov_len;
    if (fd < 0)
        return (ssize_t) f.asked;
    return __real_sendmsg(fd, message, flags);
}

int __wrap_getaddrinfo(const char *host, const char *port,
                       const struct addrinfo *hints, struct addrinfo **ret)
{
    int code = f.error;

    (void) host;
    (void) port;
    f.asked_family = hints->ai_family;
    if (is_refused("getaddrinfo, interrupted")) {
        errno = EINTR;
        return EAI_SYSTEM;
    }
    if (is_refused("getaddrinfo")) {
        errno = 0;
        return code;
    }
    if (is_refused("getaddrinfo, by the system"))
        return EAI_SYSTEM;
    *ret = f.answer;
    return 0;
}

int __wrap_getnameinfo(const struct sockaddr *address, socklen_t size,
                       char *host, socklen_t host_size, char *service,
                       socklen_t service_size, int flags)
{
    int code = f.error;

    if (is_refused("getnameinfo, interrupted")) {
        errno = EINTR;
        return EAI_SYSTEM;
    }
    if (is_refused("getnameinfo")) {
        errno = 0;
        return code;
    }
    return __real_getnameinfo(address, size, host, host_size, service,
                              service_size, flags);
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    assert_ptr_equal(list, f.answer);
    assert_false(f.is_answer_freed);
    f.is_answer_freed = true;
}

/* Handles the advice to install a guard in one of three ways: as the real
 * kernel does, as an emulator that ignores unknown advice and returns 0, or as
 * a kernel that supports it. */
int __wrap_madvise(void *pages, size_t size, int advice)
{
    if (advice == MADV_HUGEPAGE && is_refused("madvise for huge pages"))
        return -1;
    if (advice != GUARD_INSTALL || f.advice == ADVICE_KERNEL)
        return __real_madvise(pages, size, advice);
    if (is_refused("madvise"))
        return -1;
    return f.advice == ADVICE_TAKEN ? __real_mprotect(pages, size, PROT_NONE)
                                    : 0;
}

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    mode_t mode;
    va_list more;

    va_start(more, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (is_refused("openat"))
        return -1;
    return __real_openat(dir, path, flags, mode);
}

int __wrap_fcntl(int fd, int command, ...)
{
    void *value;
    va_list more;

    va_start(more, command);
    value = va_arg(more, void *);
    va_end(more);
    return is_refused("fcntl") ? -1 : __real_fcntl(fd, command, value);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    void *value;
    va_list more;

    va_start(more, request);
    value = va_arg(more, void *);
    va_end(more);
    return is_refused("ioctl") ? -1 : __real_ioctl(fd, request, value);
}

int __wrap_uname(struct utsname *name)
{
    if (is_refused("uname"))
        return -1;
    if (f.release == NULL)
        return __real_uname(name);
    memcpy(name->release, f.release, strlen(f.release) + 1);
    return 0;
}

/* The exit status of a child. */
enum { CHILD_OK, CHILD_FAILED, CHILD_SKIPPED, CHILD_UNREFUSED };

static inline int end_of(pid_t child)
{
    int status;

    assert_true(child > 0);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static inline bool is_ready(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return patient_poll(&one, 1, timeout_ms) == 1;
}

static inline bool is_readable(int fd)
{
    return is_ready(fd, 20000);
}

static inline void open_pair(int pair[2])
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    assert_int_equal(socketpair(AF_UNIX, type, 0, pair), 0);
}

static inline void close_pair(const int pair[2])
{
    assert_int_equal(__real_close(pair[0]), 0);
    assert_int_equal(__real_close(pair[1]), 0);
}

static inline int open_listener(struct sys_address *ret)
{
    int listener = aloop__sys_tcp_socket(SYS_INET);

    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "0", ret), 0);
    assert_int_equal(aloop__sys_bind(listener, ret), 0);
    assert_int_equal(aloop__sys_listen(listener, 8), 0);
    assert_int_equal(aloop__sys_local_address(listener, ret), 0);
    return listener;
}

/* The errors with which an old kernel, a seccomp filter or an emulator refuses
 * a call. */
static const int refusals[] = {ENOSYS, EPERM, EACCES, EINVAL, EOPNOTSUPP};

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
