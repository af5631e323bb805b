/* The seam: every contact with the operating system that the library makes.
 *
 * All of src outside this folder calls these functions and nothing else of the
 * system.  They are substituted at link time: sys_posix.c and its neighbours
 * make the real calls, tests/simulator/sys_sim.c makes a world of its own.
 *
 * Each function that can fail returns 0 or more on success and a negated errno
 * on failure; errno itself is nobody's channel.  Calls that a signal may
 * interrupt are repeated here, so that -EINTR is seen nowhere else; close is
 * not repeated (POSIX leaves the descriptor's state open; on Linux it is
 * closed).  Every descriptor made here is non-blocking and close-on-exec. */

#ifndef ALOOP_OS_SYS_H
#define ALOOP_OS_SYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* sys_posix.c: clock, descriptors, sockets. */

/* Nanoseconds on a monotonic clock; its zero means nothing. */
int64_t sys_clock_ns(void);

/* sys_stderr.c. */

/* What standard error was when it was looked at. */
struct sys_stderr {
    bool is_usable; /* Open, and nothing else has got its number. */
    uint64_t device;
    uint64_t inode;
};

/* Call it before anything else is opened. */
void sys_stderr_look(struct sys_stderr *ret);
/* Writes one line, complete with its newline and of at most 512 bytes, to
 * standard error.  Never waits; changes nothing that others share.  -EBADF:
 * standard error is not `file` any more; -EAGAIN: it would have to wait. */
int sys_complain(const struct sys_stderr *file, const char *line,
                 size_t size);

/* sys_posix.c again. */

int sys_close(int fd);

/* The wake-up channel: writing to fds[1] makes fds[0] readable.  An eventfd
 * (then both are the same descriptor) or a pipe.  sys_wake_signal may be
 * called from any thread and from a signal handler, and leaves errno alone;
 * any number of signals before a drain make one readiness. */
int sys_wake_open(int fds[2]);
void sys_wake_signal(int fd);
void sys_wake_drain(int fd);
void sys_wake_close(int fds[2]);

/* A socket's address: a sockaddr of any family, kept as bytes so that the
 * layers above need no system header. */
struct sys_address {
    uint32_t size; /* Bytes used; 0 is "none". */
    _Alignas(8) unsigned char bytes[128];
};

enum sys_family { SYS_FAMILY_NONE, SYS_INET, SYS_INET6, SYS_UNIX };

/* One piece of a gathered send. */
struct sys_piece {
    const void *data;
    size_t size;
};

enum { SYS_PIECES_MAX = 64 }; /* In one sys_sendv; at most IOV_MAX. */

int sys_tcp_socket(enum sys_family family); /* Returns the descriptor. */
/* Addresses that a closed connection still holds may be bound; an IPv6 socket
 * takes IPv4 too. */
int sys_reuse_address(int fd, enum sys_family family);
int sys_no_delay(int fd, bool is_on);
int sys_reset_on_close(int fd); /* close sends RST, drops what is queued. */
int sys_bind(int fd, const struct sys_address *address);
int sys_listen(int fd, int backlog);
/* Returns the accepted descriptor. */
int sys_accept(int fd);
int sys_connect(int fd, const struct sys_address *address);
/* Takes the socket's pending error (SO_ERROR): 0 or a negated errno. */
int sys_socket_error(int fd);
int sys_local_address(int fd, struct sys_address *ret);
int sys_peer_address(int fd, struct sys_address *ret);
/* 0 is the end of the stream. */
ssize_t sys_recv(int fd, void *buffer, size_t size);
/* Never raises SIGPIPE. */
ssize_t sys_send(int fd, const void *data, size_t size);
ssize_t sys_sendv(int fd, const struct sys_piece *pieces, size_t count);
int sys_shutdown_write(int fd);

/* sys_address.c: names and addresses. */

enum sys_family sys_address_family(const struct sys_address *address);
uint16_t sys_address_port(const struct sys_address *address);
/* Whether both name the same end: family, host, interface and port. */
bool sys_address_same(const struct sys_address *a,
                      const struct sys_address *b);
/* "127.0.0.1:80", also for ::ffff:127.0.0.1; "[::1]:80".  Returns the length
 * written, without the zero; -ENOSPC where `size` is too small (96 is enough
 * for IPv4 and IPv6). */
int sys_address_format(const struct sys_address *address, char *text,
                       size_t size);
/* Numeric addresses only; blocks on nothing.  `port` is decimal, 0 to 65535.
 * host NULL is every local address (:: where there is IPv6, else 0.0.0.0).
 * -EINVAL where `host` is no numeric address or `port` no number. */
int sys_address_parse(const char *host, const char *port,
                      struct sys_address *ret);
/* Asks the system's resolver (getaddrinfo, SOCK_STREAM), which may block for
 * long: for a pool thread.  Returns how many addresses there are, at least one,
 * all of them and in the resolver's order, or an error: ALOOP_EHOST...,
 * aloop/error.h.  *ret belongs to the caller, who frees it with
 * sys_resolve_free; it is NULL after an error. */
int sys_resolve(const char *host, const char *port, struct sys_address **ret);
void sys_resolve_free(struct sys_address *addresses); /* NULL is allowed. */
/* Whether the name is longer than any: 253 bytes, and a dot at the end. */
bool sys_host_is_too_long(const char *host);

/* sys_process.c. */

/* Reads as the number of the calling process: never 0, and another one than any
 * process has that it was forked from.  In a forked child it reads as 0 until
 * sys_process_adopt; where the system cannot see to that, it reads as the
 * parent's number until then.  Costs no system call. */
const atomic_uint *sys_process_mark(void);
/* The same with a second look: 0 also in a vforked child, and in a forked child
 * of a system as above.  Signal handlers may call it. */
unsigned sys_process_id(void);
/* Gives the process a number if it has none yet, and returns the number.
 * `known` is the number of a process that the caller descends from, if it is
 * not 0.  Returns `known` where no fork lies between, and 0 in a vforked
 * child, where nothing is changed. */
unsigned sys_process_adopt(unsigned known);

/* sys_signal.c. */

/* From now on `handler` runs for `number`, after the signal was counted
 * (SA_RESTART, SA_ONSTACK, all signals blocked meanwhile); it is the same for
 * all numbers.  Nothing runs in a vforked child.  The previous disposition is
 * kept, and put back by sys_signal_restore unless the application has set
 * another one meanwhile.  The caller serialises the two. */
int sys_signal_catch(int number, void (*handler)(int number));
void sys_signal_restore(int number);
/* How often `number` was received while it was caught, modulo 2 to the 32nd; a
 * forked child begins with 0, for good when sys_process_adopt returns. */
unsigned sys_signal_received(int number);

enum { SYS_INTERRUPTS = 2 };

/* Writes the numbers of the signals that ask a program to end, SIGINT and
 * SIGTERM, and returns how many.  A signal that the process ignores is left
 * out: that is how a shell keeps interrupts from what it runs in the
 * background. */
int sys_signal_interrupts(int ret_numbers[SYS_INTERRUPTS]);
enum { SYS_SIGNAL_MAX = 64 }; /* Signal numbers are 1 to this. */
/* A spin lock that signal handlers may take: its holder runs with all signals
 * blocked on its thread, so that no handler can find its own thread in it.  In
 * a forked child it is free, whoever held it in the parent. */
void sys_signal_lock(void);
void sys_signal_unlock(void);
/* The same, from inside a handler (which runs with all signals blocked). */
void sys_signal_lock_in_handler(void);
void sys_signal_unlock_in_handler(void);

/* sys_thread.c. */

struct sys_thread;
struct sys_monitor; /* A mutex with one condition. */

/* A number that differs between the running threads; never 0. */
uintptr_t sys_thread_self(void);
/* All signals are blocked on the new thread. */
int sys_thread_start(void (*run)(void *arg), void *arg,
                     struct sys_thread **ret);
void sys_thread_join(struct sys_thread *thread); /* And frees it. */
/* The same without waiting: for a thread that is inside run(). */
void sys_thread_detach(struct sys_thread *thread);
/* In a forked child, which has neither the threads nor any use for a monitor
 * that one of them may have been inside of: frees the memory, no more.  NULL
 * is allowed. */
void sys_thread_forget(struct sys_thread *thread);
void sys_monitor_forget(struct sys_monitor *monitor);
int sys_monitor_open(struct sys_monitor **ret);
void sys_monitor_close(struct sys_monitor *monitor);
void sys_monitor_enter(struct sys_monitor *monitor);
void sys_monitor_leave(struct sys_monitor *monitor);
/* Leaves, waits for a notify, enters.  Returns 0, or -ECANCELED where waiting
 * can never end (the simulated system): the caller then ends its thread. */
int sys_monitor_wait(struct sys_monitor *monitor);
void sys_monitor_notify(struct sys_monitor *monitor);     /* One waiter. */
void sys_monitor_notify_all(struct sys_monitor *monitor);

/* sys_memory.c: pages, for the stacks of tasks. */

size_t sys_page_size(void);
/* Fresh zeroed pages, not reserved, never huge; NULL when there are none. */
void *sys_pages_map(size_t size);
void sys_pages_unmap(void *pages, size_t size);
/* Makes every access to the range fault.  `is_light` asks for a guard that
 * splits no mapping (MADV_GUARD_INSTALL): -ENOTSUP unless that was seen to
 * work. */
int sys_pages_guard(void *pages, size_t size, bool is_light);
/* Gives the memory back to the system.  The contents are lost (zeros, or what
 * was there); guards inside the range stay. */
void sys_pages_discard(void *pages, size_t size);
/* Whether the process's address space is limited (RLIMIT_AS and the like), or
 * what it maps is locked. */
bool sys_pages_scarce(void);
/* Whether fresh pages are locked into memory (mlockall), so that mapping them
 * costs all of their memory, or counts towards the limit of that. */
bool sys_pages_locked(void);
/* For tests: false makes light guards fail as on a system without them; true
 * forgets what was found out about them. */
void sys_pages_light_guards(bool is_allowed);

/* What the reactors are made of; each is called by one reactor only. */

struct epoll_event;
struct kevent;
struct timespec;
struct pollfd;

int sys_epoll_open(void);
int sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
/* timeout_ns < 0 waits for ever; otherwise never shorter than asked, except
 * that a signal may end it early with 0. */
int sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                   int64_t timeout_ns);
/* A descriptor that is readable once delay_ns have passed; < 0 disarms. */
int sys_alarm_open(void);
int sys_alarm_set(int fd, int64_t delay_ns);

int sys_kqueue_open(void);
int sys_kevent(int queue, const struct kevent *changes, int change_count,
               struct kevent *events, int event_count, int64_t timeout_ns);

int sys_poll(struct pollfd *fds, size_t count, int64_t timeout_ns);

#endif
