/* What the real system refuses, and what becomes of that: each call of libc
 * that a test names fails as often as it says.
 *
 * The linker leads the library's calls through here (--wrap); where it cannot
 * do that, all of this is left out. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef WITH_WRAPS

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop/error.h"
#include "os/reactor.h"
#include "os/stack.h"
#include "os/sys.h"
#include "os/tools.h"
#include "support/patient.h"

/* A child of several threads can start none under TSan, and qemu-user 7.2 ends
 * on an assertion of its own there. */
#if defined UNDER_QEMU
enum { HAS_THREADS_AFTER_FORK = 0 };
#else
enum { HAS_THREADS_AFTER_FORK = !WITH_TSAN };
#endif

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { PIECE_MAX = 0x7ffff000, GUARD_INSTALL = 102, FDS_MAX = 256 };

/* What is refused now, and what the calls were given. */
static struct {
    const char *call;
    int error;
    atomic_int times;   /* That it is refused yet; other threads look too. */
    atomic_int refused; /* How often it was. */
    int left; /* Any call that makes something: the one after so many. */
    struct addrinfo *answer; /* getaddrinfo's, where there is no refusal. */
    bool is_answer_freed;
    size_t asked;      /* sendmsg: bytes ... */
    size_t asked_in;   /* ... in so many pieces; no more goes to the kernel. */
    enum { ADVICE_KERNEL, ADVICE_IGNORED, ADVICE_TAKEN } advice;
    socklen_t name_size; /* getsockname: what it says, if not 0. */
    int mutexes, conditions; /* Made and not destroyed. */
} f;

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    sys_pages_light_guards(true);
    return 0;
}

static int tear_down(void **state)
{
    int unrefused = f.times;

    (void) state;
    memset(&f, 0, sizeof f);
    sys_pages_light_guards(true);
    return unrefused; /* Then a test has not refused what it meant to. */
}

static void refuse(const char *call, int error, int times)
{
    f.call = call;
    f.error = error;
    f.times = times;
    f.refused = 0;
}

static bool was_refused(void)
{
    bool was = f.refused > 0;

    f.times = f.refused = 0;
    return was;
}

/* The nth of the calls that take something of the system's, whichever it is. */
static void refuse_nth(int nth, int error)
{
    refuse("any", error, 1);
    f.left = nth - 1;
}

static bool is_refused(const char *call)
{
    static const char *const any[] = {
        "epoll_create1", "epoll_ctl", "timerfd_create", "timerfd_settime",
        "eventfd", "dup2", "dup3", "malloc", "pthread_create",
        "pthread_mutex_init", "pthread_cond_init",
    };
    bool is_one = false;

    for (size_t i = 0; i < COUNT(any); i++)
        is_one = is_one || strcmp(any[i], call) == 0;
    if (f.times == 0)
        return false;
    if (strcmp(f.call, "any") == 0 && (!is_one || f.left-- > 0))
        return false;
    if (strcmp(f.call, "any") != 0 && strcmp(f.call, call) != 0)
        return false;
    f.times--;
    f.refused++;
    errno = f.error;
    return true;
}

/* result __wrap_name(parameters), which fails with -1 and errno. */
#define WRAP(result, name, parameters, arguments) \
    result __real_##name parameters;              \
    result __wrap_##name parameters;              \
    result __wrap_##name parameters               \
    {                                             \
        if (is_refused(#name))                    \
            return -1;                            \
        return __real_##name arguments;           \
    }

/* The same for one that returns its error. */
#define WRAP_DIRECT(name, parameters, arguments) \
    int __real_##name parameters;                \
    int __wrap_##name parameters;                \
    int __wrap_##name parameters                 \
    {                                            \
        if (is_refused(#name))                   \
            return f.error;                      \
        return __real_##name arguments;          \
    }

WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
WRAP(int, socket, (int family, int type, int protocol),
     (family, type, protocol))
WRAP(int, connect, (int fd, const struct sockaddr *address, socklen_t size),
     (fd, address, size))
WRAP(ssize_t, recv, (int fd, void *data, size_t size, int flags),
     (fd, data, size, flags))
WRAP(ssize_t, send, (int fd, const void *data, size_t size, int flags),
     (fd, data, size, flags))
WRAP(int, accept4,
     (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags))
WRAP(int, accept, (int fd, struct sockaddr *address, socklen_t *size),
     (fd, address, size))
WRAP(int, ppoll,
     (struct pollfd *fds, nfds_t count, const struct timespec *timeout,
      const sigset_t *mask),
     (fds, count, timeout, mask))
WRAP(int, eventfd, (unsigned count, int flags), (count, flags))
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, mprotect, (void *pages, size_t size, int access),
     (pages, size, access))
WRAP(int, dup2, (int from, int to), (from, to))
WRAP(int, dup3, (int from, int to, int flags), (from, to, flags))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags))
WRAP(int, timerfd_settime,
     (int fd, int flags, const struct itimerspec *timer,
      struct itimerspec *before),
     (fd, flags, timer, before))
WRAP_DIRECT(pthread_create,
            (pthread_t *thread, const pthread_attr_t *attributes,
             void *(*run)(void *), void *arg),
            (thread, attributes, run, arg))

int __real_epoll_ctl(int epoll, int operation, int fd,
                     struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd,
                     struct epoll_event *event);

/* To take away what is there is refused by no kernel. */
int __wrap_epoll_ctl(int epoll, int operation, int fd,
                     struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && is_refused("epoll_ctl"))
        return -1;
    return __real_epoll_ctl(epoll, operation, fd, event);
}

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
    int result = __real_close(fd); /* Closed all the same. */

    return is_refused("close") ? -1 : result;
}

int __real_getsockname(int fd, struct sockaddr *address, socklen_t *size);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size);

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    int result = __real_getsockname(fd, address, size);

    if (f.name_size > 0)
        *size = f.name_size;
    return result;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

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
                       const struct addrinfo *hints, struct addrinfo **ret);
void __wrap_freeaddrinfo(struct addrinfo *list);

int __wrap_getaddrinfo(const char *host, const char *port,
                       const struct addrinfo *hints, struct addrinfo **ret)
{
    int code = f.error;

    (void) host;
    (void) port;
    (void) hints;
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

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    assert_ptr_equal(list, f.answer);
    assert_false(f.is_answer_freed);
    f.is_answer_freed = true;
}

void *__real_mmap(void *where, size_t size, int access, int flags, int fd,
                  off_t offset);
void *__wrap_mmap(void *where, size_t size, int access, int flags, int fd,
                  off_t offset);

void *__wrap_mmap(void *where, size_t size, int access, int flags, int fd,
                  off_t offset)
{
    if (is_refused("mmap"))
        return MAP_FAILED;
    return __real_mmap(where, size, access, flags, fd, offset);
}

int __real_madvise(void *pages, size_t size, int advice);
int __wrap_madvise(void *pages, size_t size, int advice);

/* The advice to guard: as the kernel has it, as an emulator that returns 0 for
 * what it does not know, or as a kernel that has it. */
int __wrap_madvise(void *pages, size_t size, int advice)
{
    if (advice != GUARD_INSTALL || f.advice == ADVICE_KERNEL)
        return __real_madvise(pages, size, advice);
    if (is_refused("madvise"))
        return -1;
    return f.advice == ADVICE_TAKEN
               ? __real_mprotect(pages, size, PROT_NONE)
               : 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return is_refused("malloc") ? NULL : __real_malloc(size);
}

int __real_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes);
int __real_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
WRAP_DIRECT(pthread_cond_init,
            (pthread_cond_t *condition, const pthread_condattr_t *attributes),
            (condition, attributes))

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes)
{
    if (is_refused("pthread_mutex_init"))
        return f.error;
    f.mutexes++;
    return __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    f.mutexes--;
    return __real_pthread_mutex_destroy(mutex);
}


/* How a child ends. */
enum { CHILD_OK, CHILD_FAILED, CHILD_SKIPPED, CHILD_UNREFUSED };

static int end_of(pid_t child)
{
    int status;

    assert_true(child > 0);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < FDS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static bool is_ready(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return patient_poll(&one, 1, timeout_ms) == 1;
}

static bool is_readable(int fd)
{
    return is_ready(fd, 20000);
}

static void open_pair(int pair[2])
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    assert_int_equal(socketpair(AF_UNIX, type, 0, pair), 0);
}

static void close_pair(const int pair[2])
{
    assert_int_equal(__real_close(pair[0]), 0);
    assert_int_equal(__real_close(pair[1]), 0);
}

static void an_interrupted_transfer_is_repeated(void **state)
{
    static const struct sys_piece piece = {"gathered", 8};
    char text[32] = "";
    int pair[2];

    (void) state;
    open_pair(pair);

    refuse("send", EINTR, 3);
    assert_int_equal(sys_send(pair[0], "sent ", 5), 5);
    assert_int_equal(f.refused, 3);
    refuse("sendmsg", EINTR, 3);
    assert_int_equal(sys_sendv(pair[0], &piece, 1), 8);
    assert_int_equal(f.refused, 3);
    refuse("recv", EINTR, 3);
    assert_int_equal(sys_recv(pair[1], text, sizeof text), 13);
    assert_int_equal(f.refused, 3);

    assert_string_equal(text, "sent gathered");
    close_pair(pair);
}

static void an_interrupted_accept_is_repeated_and_others_are_told(void **state)
{
    struct sys_address address;
    int listener = sys_tcp_socket(SYS_INET), client, accepted;

    (void) state;
    assert_int_equal(sys_address_parse("127.0.0.1", "0", &address), 0);
    assert_int_equal(sys_bind(listener, &address), 0);
    assert_int_equal(sys_listen(listener, 1), 0);
    assert_int_equal(sys_local_address(listener, &address), 0);
    client = sys_tcp_socket(SYS_INET);
    sys_connect(client, &address);
    assert_true(is_readable(listener));

    refuse("accept4", EMFILE, 1);
    assert_int_equal(sys_accept(listener), -EMFILE);
    refuse("accept4", EINTR, 2);
    accepted = sys_accept(listener);

    assert_true(accepted >= 0);
    assert_int_equal(f.refused, 2);
    close_pair((int[2]){client, accepted});
    sys_close(listener);
}

/* What an old kernel, a seccomp filter or an emulator refuses a call with. */
static const int refusals[] = {ENOSYS, EPERM, EACCES, EINVAL, EOPNOTSUPP};

static void assert_flags(int fd)
{
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static int open_listener(struct sys_address *ret)
{
    int listener = sys_tcp_socket(SYS_INET);

    assert_int_equal(sys_address_parse("127.0.0.1", "0", ret), 0);
    assert_int_equal(sys_bind(listener, ret), 0);
    assert_int_equal(sys_listen(listener, 8), 0);
    assert_int_equal(sys_local_address(listener, ret), 0);
    return listener;
}

static void without_its_newest_form_accept_works(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address);

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        int client = sys_tcp_socket(SYS_INET), accepted;

        sys_connect(client, &address);
        assert_true(is_readable(listener));
        refuse("accept4", refusals[i], 1);
        accepted = sys_accept(listener);
        assert_flags(accepted);
        close_pair((int[2]){client, accepted});
    }
    refuse("accept4", EPERM, 1);
    assert_int_equal(sys_accept(listener), -EAGAIN);
    sys_close(listener);
}

static void without_flags_a_socket_has_them_all_the_same(void **state)
{
    int before = count_descriptors();

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        int fd;

        refuse("socket", refusals[i], 1);
        fd = sys_tcp_socket(SYS_INET);
        assert_flags(fd);
        sys_close(fd);
        refuse("socket", refusals[i], 2);
        assert_int_equal(sys_tcp_socket(SYS_INET), -refusals[i]);
    }
    assert_int_equal(count_descriptors(), before);
}

static void without_an_eventfd_a_pipe_wakes(void **state)
{
    int before = count_descriptors();

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        int fds[2];

        refuse("eventfd", refusals[i], 1);
        assert_int_equal(sys_wake_open(fds), 0);
        assert_int_not_equal(fds[0], fds[1]);
        assert_flags(fds[0]);
        assert_flags(fds[1]);
        sys_wake_signal(fds[1]);
        assert_true(is_readable(fds[0]));
        sys_wake_drain(fds[0]);
        assert_int_equal(poll(&(struct pollfd){fds[0], POLLIN, 0}, 1, 0), 0);
        sys_wake_close(fds);
    }
    assert_int_equal(count_descriptors(), before);
}

static void without_their_newest_forms_epoll_and_poll_work(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct pollfd none = {.fd = -1};
        int64_t start_ns = sys_clock_ns();
        int fd;

        refuse("epoll_create1", refusals[i], 1);
        fd = sys_epoll_open();
        assert_true(fd >= 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        sys_close(fd);
        refuse("ppoll", refusals[i], 1);
        while (sys_clock_ns() - start_ns < 1500000)
            assert_int_equal(sys_poll(&none, 1, 1500000), 0);
        assert_int_equal(f.refused, 1);
    }
}

/* POSIX: it goes on, and calling again would be another connection. */
static void an_interrupted_connect_is_under_way(void **state)
{
    struct sys_address address;

    (void) state;
    assert_int_equal(sys_address_parse("127.0.0.1", "1", &address), 0);
    refuse("connect", EINTR, 1);
    assert_int_equal(sys_connect(-1, &address), -EINPROGRESS);
    assert_int_equal(sys_connect(-1, &address), -EBADF);
}

/* Closing again could close what another thread has just opened. */
static void an_interrupted_close_has_closed(void **state)
{
    int pair[2];

    (void) state;
    open_pair(pair);

    refuse("close", EINTR, 1);
    assert_int_equal(sys_close(pair[0]), 0);
    refuse("close", EIO, 1);
    assert_int_equal(sys_close(pair[1]), -EIO);

    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    assert_int_equal(fcntl(pair[1], F_GETFD), -1);
}

static void an_interrupted_wake_up_arrives(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(sys_wake_open(fds), 0);

    refuse("write", EINTR, 2);
    errno = 4711;
    sys_wake_signal(fds[1]);
    assert_int_equal(errno, 4711);
    assert_int_equal(f.refused, 2);
    assert_true(is_readable(fds[0]));
    refuse("read", EINTR, 2);
    sys_wake_drain(fds[0]);

    assert_int_equal(f.refused, 2);
    assert_false(is_ready(fds[0], 0));
    sys_wake_close(fds);
}

static int complain(const char *line, size_t size)
{
    struct sys_stderr file;

    sys_stderr_look(&file);
    return sys_complain(&file, line, size);
}

static void an_interrupted_complaint_is_complete(void **state)
{
    int pair[2], before = dup(STDERR_FILENO);
    char text[16] = "";

    (void) state;
    open_pair(pair);
    __real_dup2(pair[1], STDERR_FILENO);

    refuse("send", EINTR, 2);
    complain("a line\n", 7);

    __real_dup2(before, STDERR_FILENO);
    assert_int_equal(sys_recv(pair[0], text, sizeof text), 7);
    assert_string_equal(text, "a line\n");
    assert_int_equal(f.refused, 2);
    sys_close(before);
    close_pair(pair);
}

static void a_channel_of_two_ends_is_drained_and_closed_whole(void **state)
{
    enum { SIGNALS = 1000 };
    int fds[2], before = count_descriptors();

    (void) state;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    for (int i = 0; i < SIGNALS; i++)
        sys_wake_signal(fds[1]);
    assert_true(is_readable(fds[0]));

    sys_wake_drain(fds[0]);

    assert_false(is_ready(fds[0], 0));
    sys_wake_close(fds);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(fds[1], -1);
}

static void no_send_asks_for_more_than_every_system_takes(void **state)
{
    const struct sys_piece pieces[] = {
        {NULL, PIECE_MAX - 5}, {NULL, 3}, {NULL, 10}, {NULL, 1},
    };

    (void) state;
    assert_int_equal(sys_sendv(-1, pieces, COUNT(pieces)), PIECE_MAX);
    assert_int_equal(f.asked, PIECE_MAX);
    assert_int_equal(f.asked_in, 3);
}

static void a_name_longer_than_any_address_is_cut(void **state)
{
    struct sys_address address;
    int pair[2];

    (void) state;
    open_pair(pair);
    f.name_size = sizeof address.bytes + 1;

    assert_int_equal(sys_local_address(pair[0], &address), 0);

    assert_int_equal(address.size, sizeof address.bytes);
    close_pair(pair);
}

/* Only EAFNOSUPPORT says that there is none. */
static void without_ipv6_every_local_address_is_an_old_one(void **state)
{
    struct sys_address address;

    (void) state;
    refuse("socket", EMFILE, 1);
    assert_int_equal(sys_address_parse(NULL, "80", &address), 0);
    assert_int_equal(sys_address_family(&address), SYS_INET6);
    refuse("socket", EAFNOSUPPORT, 1);
    assert_int_equal(sys_address_parse(NULL, "80", &address), 0);
    assert_int_equal(sys_address_family(&address), SYS_INET);
    assert_int_equal(sys_address_port(&address), 80);
    assert_int_equal(f.refused, 1);
}

static void each_failure_of_the_resolver_has_an_error(void **state)
{
    static const struct {
        int code, error;
    } rows[] = {
        {EAI_NONAME, ALOOP_EHOSTNOTFOUND}, {EAI_SERVICE, ALOOP_EHOSTNOTFOUND},
        {EAI_NODATA, ALOOP_EHOSTNOTFOUND},
        {EAI_ADDRFAMILY, ALOOP_EHOSTNOTFOUND}, {EAI_AGAIN, ALOOP_EAGAINDNS},
        {EAI_MEMORY, ALOOP_ENOMEM}, {EAI_FAIL, ALOOP_ERESOLVE},
        {EAI_FAMILY, ALOOP_ERESOLVE}, {EAI_SYSTEM, ALOOP_ERESOLVE},
    };
    struct sys_address *found;

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        refuse("getaddrinfo", rows[i].code, 1);
        assert_int_equal(sys_resolve("host", "80", &found), rows[i].error);
    }
    refuse("getaddrinfo, by the system", ENFILE, 1);
    assert_int_equal(sys_resolve("host", "80", &found), -ENFILE);
    assert_null(found);
}

static void what_the_resolver_lists_is_taken_in_order(void **state)
{
    struct sockaddr_in old = {.sin_family = AF_INET};
    struct sockaddr_in6 new = {.sin6_family = AF_INET6};
    struct sockaddr_un strange = {.sun_family = AF_UNIX};
    struct addrinfo list[3] = {
        {.ai_family = AF_INET6, .ai_addr = (struct sockaddr *) &new,
         .ai_addrlen = sizeof new, .ai_next = &list[1]},
        {.ai_family = AF_UNIX, .ai_addr = (struct sockaddr *) &strange,
         .ai_addrlen = sizeof strange, .ai_next = &list[2]},
        {.ai_family = AF_INET, .ai_addr = (struct sockaddr *) &old,
         .ai_addrlen = sizeof old},
    };
    struct sys_address *found;

    (void) state;
    f.answer = list;
    refuse("getaddrinfo, interrupted", EINTR, 2);

    assert_int_equal(sys_resolve("host", "80", &found), 2);

    assert_int_equal(f.refused, 2);
    assert_true(f.is_answer_freed);
    assert_int_equal(sys_address_family(&found[0]), SYS_INET6);
    assert_int_equal(sys_address_family(&found[1]), SYS_INET);
    sys_resolve_free(found);
    f.is_answer_freed = false;
    refuse("malloc", ENOMEM, 1);
    assert_int_equal(sys_resolve("host", "80", &found), -ENOMEM);
    assert_null(found);
    assert_true(f.is_answer_freed);
    f.is_answer_freed = false;
    f.answer = &list[1];
    list[1].ai_next = NULL;
    assert_int_equal(sys_resolve("host", "80", &found), ALOOP_EHOSTNOTFOUND);
    assert_true(f.is_answer_freed);
}

/* As many as no answer of a name server could have are bounded all the same. */
static void an_endless_list_of_addresses_is_cut(void **state)
{
    enum { LISTED = 5000, TAKEN = 4096 };
    static struct addrinfo list[LISTED];
    struct sockaddr_in old = {.sin_family = AF_INET};
    struct sys_address *found;

    (void) state;
    for (size_t i = 0; i < LISTED; i++)
        list[i] = (struct addrinfo){
            .ai_family = AF_INET, .ai_addr = (struct sockaddr *) &old,
            .ai_addrlen = sizeof old,
            .ai_next = i + 1 < LISTED ? &list[i + 1] : NULL};
    f.answer = list;
    assert_int_equal(sys_resolve("host", "80", &found), TAKEN);
    sys_resolve_free(found);
}

static void a_thread_that_cannot_be_had_is_an_error(void **state)
{
    struct sys_thread *thread = NULL;
    struct sys_monitor *monitor = NULL;

    (void) state;
    refuse("malloc", ENOMEM, 1);
    assert_int_equal(sys_thread_start(NULL, NULL, &thread), -ENOMEM);
    refuse("pthread_create", EAGAIN, 1);
    assert_int_equal(sys_thread_start(NULL, NULL, &thread), -EAGAIN);
    assert_null(thread);

    refuse("malloc", ENOMEM, 1);
    assert_int_equal(sys_monitor_open(&monitor), -ENOMEM);
    refuse("pthread_mutex_init", EAGAIN, 1);
    assert_int_equal(sys_monitor_open(&monitor), -EAGAIN);
    refuse("pthread_cond_init", ENOMEM, 1);
    assert_int_equal(sys_monitor_open(&monitor), -ENOMEM);
    assert_null(monitor);
    assert_int_equal(f.mutexes, 0);
}

static void a_light_guard_counts_once_it_was_seen_to_work(void **state)
{
    size_t size = sys_page_size();
    char *pages = sys_pages_map(size);

    (void) state;
    assert_non_null(pages);
    f.advice = ADVICE_TAKEN;

    assert_int_equal(sys_pages_guard(pages, size, true), 0);
    refuse("madvise", ENOMEM, 1);
    assert_int_equal(sys_pages_guard(pages, size, true), -ENOMEM);
    assert_int_equal(f.refused, 1);

    sys_pages_unmap(pages, size);
}

/* An emulator: it returns 0 for advice that it does not know. */
static void a_light_guard_that_lets_through_is_none(void **state)
{
    size_t size = sys_page_size();
    char *pages = sys_pages_map(size);

    (void) state;
    f.advice = ADVICE_IGNORED;

    assert_int_equal(sys_pages_guard(pages, size, true), -ENOTSUP);

    f.advice = ADVICE_TAKEN; /* Not tried again. */
    assert_int_equal(sys_pages_guard(pages, size, true), -ENOTSUP);
    pages[0] = 1;
    assert_int_equal(sys_pages_guard(pages + 1, size, false), -EINVAL);
    sys_pages_unmap(pages, size);
}

static void what_could_not_be_tried_is_tried_again(void **state)
{
    static const struct {
        const char *call;
        int error;
    } rows[] = {{"mmap", ENOMEM}, {"pipe2", EMFILE}};
    size_t size = sys_page_size();

    (void) state;
    f.advice = ADVICE_TAKEN;
    for (size_t i = 0; i < COUNT(rows); i++) {
        void *pages = sys_pages_map(size);

        sys_pages_light_guards(true);
        refuse(rows[i].call, rows[i].error, 1);
        assert_int_equal(sys_pages_guard(pages, size, true), -ENOTSUP);
        assert_int_equal(f.refused, 1);
        assert_int_equal(sys_pages_guard(pages, size, true), 0);
        sys_pages_unmap(pages, size);
    }
}

static void stacks_are_guarded_as_well_as_the_system_can(void **state)
{
    /* All memory was locked, or a filter forbids it. */
    static const int errors[] = {EINVAL, EPERM, EACCES, ENOSYS, ENOMEM};
    struct aloop__stacks *stacks;
    struct aloop__stack one, two;

    (void) state;
    f.advice = ADVICE_TAKEN;
    for (size_t i = 0; i < COUNT(errors); i++) {
        assert_int_equal(
            aloop__stacks_open(&aloop__alloc_default, 0, &stacks), 0);
        assert_int_equal(aloop__stacks_guard(stacks), GUARD_LIGHT);
        assert_int_equal(aloop__stack_get(stacks, 0, &one), 0);
        assert_int_equal(aloop__stacks_guard(stacks), GUARD_LIGHT);

        refuse("madvise", errors[i], 1);
        assert_int_equal(aloop__stack_get(stacks, 0, &two), 0);

        assert_int_equal(f.refused, 1);
        assert_int_equal(aloop__stacks_guard(stacks), GUARD_MPROTECT);
        f.refused = 0;
        aloop__stacks_close(stacks);
    }
    refuse("mmap", ENOMEM, 2); /* For the pages that are tried out. */
    assert_int_equal(
        aloop__stacks_open(&aloop__alloc_default, 0, &stacks), 0);
    assert_int_equal(aloop__stacks_guard(stacks), GUARD_MPROTECT);
    aloop__stacks_close(stacks);
}

static void a_limit_on_memory_makes_stacks_smaller(void **state)
{
    static const int limits[] = {RLIMIT_AS, RLIMIT_DATA};
    struct aloop__stacks *stacks;
    struct aloop__stack large, small;

    (void) state;
    if (sys_pages_scarce())
        skip();
    assert_int_equal(
        aloop__stacks_open(&aloop__alloc_default, 0, &stacks), 0);
    assert_int_equal(aloop__stack_get(stacks, 0, &large), 0);
    aloop__stacks_close(stacks);
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct rlimit before, limit;

        assert_int_equal(getrlimit((unsigned) limits[i], &before), 0);
        limit = before;
        limit.rlim_cur = RLIM_INFINITY / 2; /* Beyond what there is. */
        assert_int_equal(setrlimit((unsigned) limits[i], &limit), 0);
        getrlimit((unsigned) limits[i], &limit);
        if (limit.rlim_cur != RLIM_INFINITY / 2)
            skip(); /* An emulator: it takes no note of it. */
        assert_true(sys_pages_scarce());
        assert_int_equal(
            aloop__stacks_open(&aloop__alloc_default, 0, &stacks), 0);
        assert_int_equal(aloop__stack_get(stacks, 0, &small), 0);
        aloop__stacks_close(stacks);
        assert_int_equal(setrlimit((unsigned) limits[i], &before), 0);
        assert_true(small.size < large.size / 2);
    }
    assert_false(sys_pages_scarce());
}

static void an_alarm_that_cannot_be_set_is_an_error(void **state)
{
    (void) state;
    refuse("timerfd_create", EMFILE, 1);
    assert_int_equal(sys_alarm_open(), -EMFILE);
    assert_int_equal(sys_alarm_set(-1, 1), -EBADF);
    refuse("epoll_create1", ENFILE, 1);
    assert_int_equal(sys_epoll_open(), -ENFILE);
    refuse("eventfd", EMFILE, 1);
    assert_int_equal(sys_wake_open((int[2]){-1, -1}), -EMFILE);
}

#ifdef SYS_epoll_pwait2

/* From now on the kernel answers the newest way to wait with `error`. */
static bool forbid_pwait2(int error)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(steps), steps};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
           && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int wait_without_pwait2(int error)
{
    struct epoll_event event = {.events = EPOLLIN}, got;
    int epoll = sys_epoll_open(), fds[2];
    int64_t start_ns;
    sigset_t all;

    sigfillset(&all); /* Only those may end a wait early. */
    sigprocmask(SIG_BLOCK, &all, NULL);
    start_ns = sys_clock_ns();
    if (!forbid_pwait2(error))
        return CHILD_SKIPPED;
    if (sys_wake_open(fds) < 0
        || sys_epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event) < 0)
        return CHILD_FAILED;
    for (int i = 0; i < 3; i++)
        if (sys_epoll_wait(epoll, &got, 1, 1500000) != 0)
            return CHILD_FAILED;
    if (sys_clock_ns() - start_ns < 3 * 1500000)
        return CHILD_FAILED; /* Never shorter than asked. */
    sys_wake_signal(fds[1]);
    return sys_epoll_wait(epoll, &got, 1, 1500000) == 1 ? CHILD_OK
                                                        : CHILD_FAILED;
}

static void a_kernel_without_the_newest_wait_will_do(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        pid_t child = fork();
        int end;

        if (child == 0)
            _exit(wait_without_pwait2(refusals[i]));
        end = end_of(child);
        if (end == CHILD_SKIPPED)
            skip();
        assert_int_equal(end, CHILD_OK);
    }
}

#else

static void a_kernel_without_the_newest_wait_will_do(void **state)
{
    (void) state;
    skip();
}

#endif

static int bits_of(struct aloop__reactor *reactor, int fd)
{
    struct aloop__event event;

    if (aloop__reactor_wait(reactor, 0, &event, 1) != 1 || event.fd != fd)
        return -1;
    return (int) event.bits;
}

/* Everything that takes something of the system's; the first error. */
static int use(struct aloop__reactor *reactor, int fd)
{
    int error = aloop__reactor_set(reactor, fd, 1, 0, REACTOR_READ);

    if (error == 0)
        error = aloop__reactor_fd(reactor);
    if (error >= 0)
        error = aloop__reactor_alarm(reactor, 1000000);
    if (error == 0)
        error = aloop__reactor_renew(reactor);
    if (error == 0)
        error = aloop__reactor_set(reactor, fd, 2, 0, REACTOR_READ);
    return error < 0 ? error : aloop__reactor_alarm(reactor, -1);
}

static void whatever_a_reactor_is_refused_it_works_later(void **state)
{
    int pair[2], before, error = -ENOMEM;

    (void) state;
    open_pair(pair);
    assert_int_equal(sys_send(pair[1], "x", 1), 1);
    before = count_descriptors();
    for (int n = 1; error < 0; n++) {
        struct aloop__reactor *reactor = NULL;

        refuse_nth(n, ENOMEM);
        error = aloop__reactor_open(&aloop__alloc_default, &reactor);
        if (error == 0)
            error = use(reactor, pair[0]);
        assert_int_equal(error, was_refused() ? -ENOMEM : 0);

        if (reactor != NULL) {
            assert_int_equal(aloop__reactor_renew(reactor), 0);
            assert_int_equal(use(reactor, pair[0]), 0);
            assert_true(is_readable(aloop__reactor_fd(reactor)));
            assert_int_equal(bits_of(reactor, pair[0]), REACTOR_READ);
        }
        aloop__reactor_close(reactor);
        assert_int_equal(count_descriptors(), before);
    }
    close_pair(pair);
}

/* In a child whose nth call is refused: the reactor is its own all the same,
 * once it is renewed again. */
static int renew_refused(struct aloop__reactor *reactor, int n, int fd)
{
    int host_fd = aloop__reactor_fd(reactor), error;
    bool was;

    refuse_nth(n, ENOMEM);
    error = aloop__reactor_renew(reactor);
    was = was_refused();
    if (error != (was ? -ENOMEM : 0) || aloop__reactor_renew(reactor) < 0 ||
        aloop__reactor_set(reactor, fd, 2, 0, REACTOR_READ) < 0 ||
        aloop__reactor_alarm(reactor, -1) < 0 ||
        aloop__reactor_fd(reactor) != host_fd || !is_readable(host_fd) ||
        bits_of(reactor, fd) != REACTOR_READ)
        return CHILD_FAILED;
    aloop__reactor_close(reactor);
    return was ? CHILD_OK : CHILD_UNREFUSED;
}

/* Where it is a thread's work, a child may have none; see above. */
static bool has_host_in_child(void)
{
    return HAS_THREADS_AFTER_FORK || strcmp(aloop__reactor_name, "poll") != 0;
}

/* With something to read, as its host's descriptor has said. */
static struct aloop__reactor *open_watching(int pair[2])
{
    struct aloop__reactor *reactor;

    open_pair(pair);
    assert_int_equal(
        aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
    assert_int_equal(aloop__reactor_set(reactor, pair[0], 1, 0, REACTOR_READ),
                     0);
    assert_int_equal(sys_send(pair[1], "x", 1), 1);
    assert_true(is_readable(aloop__reactor_fd(reactor)));
    return reactor;
}

static void whatever_a_child_is_refused_it_works_later(void **state)
{
    struct aloop__reactor *reactor;
    int pair[2], end = CHILD_OK, host_fd;

    (void) state;
    if (!has_host_in_child())
        skip();
    reactor = open_watching(pair);
    host_fd = aloop__reactor_fd(reactor);
    for (int n = 1; end == CHILD_OK; n++) {
        pid_t child = fork();

        if (child == 0)
            _exit(renew_refused(reactor, n, pair[0]));
        end = end_of(child);
    }

    assert_int_equal(end, CHILD_UNREFUSED);
    assert_true(is_readable(host_fd));
    assert_int_equal(bits_of(reactor, pair[0]), REACTOR_READ);
    aloop__reactor_close(reactor);
    close_pair(pair);
}

static int renew_interrupted(struct aloop__reactor *reactor, const char *call,
                             int error, int fd)
{
    int host_fd = aloop__reactor_fd(reactor), result;

    refuse(call, error, 3);
    result = aloop__reactor_renew(reactor);
    was_refused();
    if (result < 0 || aloop__reactor_fd(reactor) != host_fd ||
        aloop__reactor_set(reactor, fd, 2, 0, REACTOR_READ) < 0 ||
        aloop__reactor_alarm(reactor, -1) < 0 || !is_readable(host_fd))
        return CHILD_FAILED;
    aloop__reactor_close(reactor);
    return CHILD_OK;
}

static void a_child_insists_on_the_number_that_its_host_knows(void **state)
{
    static const struct {
        const char *call;
        int error;
    } rows[] = {
        {"dup2", EINTR}, {"dup2", EBUSY}, {"dup3", EINTR}, {"dup3", EBUSY},
        {"dup3", ENOSYS}, {"dup3", EPERM}, {"dup3", EACCES}, {"dup3", EINVAL},
    };
    struct aloop__reactor *reactor;
    int pair[2];

    (void) state;
    if (!has_host_in_child())
        skip();
    reactor = open_watching(pair);
    for (size_t i = 0; i < COUNT(rows); i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(renew_interrupted(reactor, rows[i].call, rows[i].error,
                                    pair[0]));
        assert_int_equal(end_of(child), CHILD_OK);
    }
    aloop__reactor_close(reactor);
    close_pair(pair);
}

/* A host's descriptor and what makes it ready; 0 where all is well. */
static int host_trouble(struct aloop__reactor *reactor, const int pair[2])
{
    int fd = aloop__reactor_fd(reactor);
    struct pollfd host = {.fd = fd, .events = POLLIN};
    char byte;

    if (fd < 0 || patient_poll(&host, 1, 0) != 0)
        return 1;
    if (aloop__reactor_alarm(reactor, 0) < 0 || !is_readable(fd))
        return 2;
    if (aloop__reactor_alarm(reactor, -1) < 0 ||
        patient_poll(&host, 1, 0) != 0)
        return 3;
    if (aloop__reactor_alarm(reactor, 1000000) < 0 || !is_readable(fd) ||
        bits_of(reactor, pair[0]) != -1)
        return 4;
    aloop__reactor_alarm(reactor, -1);
    if (sys_send(pair[1], "x", 1) != 1 || !is_readable(fd) ||
        aloop__reactor_set(reactor, pair[0], 9, REACTOR_READ, 0) < 0 ||
        patient_poll(&host, 1, 0) != 0 ||
        aloop__reactor_set(reactor, pair[0], 9, 0, REACTOR_READ) < 0 ||
        !is_readable(fd) || bits_of(reactor, pair[0]) != REACTOR_READ ||
        sys_recv(pair[0], &byte, 1) != 1)
        return 5;
    return aloop__reactor_alarm(reactor, -1) < 0 ? 6 : 0;
}

static int renew_without_timerfd(struct aloop__reactor *reactor,
                                 const int pair[2])
{
    int fd = aloop__reactor_fd(reactor);

    if (aloop__reactor_renew(reactor) < 0 ||
        aloop__reactor_fd(reactor) != fd ||
        aloop__reactor_set(reactor, pair[0], 2, 0, REACTOR_READ) < 0 ||
        host_trouble(reactor, pair) != 0)
        return CHILD_FAILED;
    aloop__reactor_close(reactor);
    return CHILD_OK;
}

static void without_a_timerfd_a_thread_serves_the_host(void **state)
{
    struct aloop__reactor *reactor;
    int pair[2], before;

    (void) state;
    if (strcmp(aloop__reactor_name, "epoll") != 0)
        skip();
    open_pair(pair);
    before = count_descriptors();
    for (size_t i = 0; i < COUNT(refusals); i++) {
        assert_int_equal(
            aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
        aloop__reactor_set(reactor, pair[0], 1, 0, REACTOR_READ);
        refuse("timerfd_create", refusals[i], 1);
        assert_int_equal(host_trouble(reactor, pair), 0);
        assert_int_equal(f.refused, 1);
        assert_int_equal(aloop__reactor_renew(reactor), 0);
        aloop__reactor_set(reactor, pair[0], 2, 0, REACTOR_READ);
        assert_int_equal(host_trouble(reactor, pair), 0);
        if (HAS_THREADS_AFTER_FORK) {
            pid_t child = fork();

            if (child == 0)
                _exit(renew_without_timerfd(reactor, pair));
            assert_int_equal(end_of(child), CHILD_OK);
        }
        aloop__reactor_close(reactor);
        assert_int_equal(count_descriptors(), before);
    }
    refuse("timerfd_create", EMFILE, 1);
    assert_int_equal(
        aloop__reactor_open(&aloop__alloc_default, &reactor), 0);
    assert_int_equal(aloop__reactor_fd(reactor), -EMFILE);
    aloop__reactor_close(reactor);
    close_pair(pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_interrupted_transfer_is_repeated),
        TEST(an_interrupted_accept_is_repeated_and_others_are_told),
        TEST(without_its_newest_form_accept_works),
        TEST(without_flags_a_socket_has_them_all_the_same),
        TEST(without_an_eventfd_a_pipe_wakes),
        TEST(without_their_newest_forms_epoll_and_poll_work),
        TEST(an_interrupted_connect_is_under_way),
        TEST(an_interrupted_close_has_closed),
        TEST(an_interrupted_wake_up_arrives),
        TEST(an_interrupted_complaint_is_complete),
        TEST(a_channel_of_two_ends_is_drained_and_closed_whole),
        TEST(no_send_asks_for_more_than_every_system_takes),
        TEST(a_name_longer_than_any_address_is_cut),
        TEST(without_ipv6_every_local_address_is_an_old_one),
        TEST(each_failure_of_the_resolver_has_an_error),
        TEST(what_the_resolver_lists_is_taken_in_order),
        TEST(an_endless_list_of_addresses_is_cut),
        TEST(a_thread_that_cannot_be_had_is_an_error),
        TEST(a_light_guard_counts_once_it_was_seen_to_work),
        TEST(a_light_guard_that_lets_through_is_none),
        TEST(what_could_not_be_tried_is_tried_again),
        TEST(stacks_are_guarded_as_well_as_the_system_can),
        TEST(a_limit_on_memory_makes_stacks_smaller),
        TEST(an_alarm_that_cannot_be_set_is_an_error),
        TEST(a_kernel_without_the_newest_wait_will_do),
        TEST(without_a_timerfd_a_thread_serves_the_host),
        TEST(whatever_a_reactor_is_refused_it_works_later),
        TEST(whatever_a_child_is_refused_it_works_later),
        TEST(a_child_insists_on_the_number_that_its_host_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void what_the_system_refuses_is_not_tried_here(void **state)
{
    (void) state;
    skip(); /* No linker that leads calls elsewhere. */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_system_refuses_is_not_tried_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
