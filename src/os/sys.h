/* The seam: all contact of the library with the operating system.
 *
 * Code outside this folder calls these functions and no others of the system.
 * They are substituted at link time: sys_posix.c and its neighbours make the
 * real calls, tests/simulator/sys_sim.c simulates them.  The calls for files
 * are in sys_file.h.  Each call has a row in the table
 * tests/support/sys_calls.def.
 *
 * A function that can fail returns 0 or more on success and a negated errno on
 * failure; errno itself has no meaning.  Calls that were interrupted by a
 * signal are repeated here, so that no other code sees -EINTR.  Only close() is
 * not repeated, because POSIX leaves the state of the descriptor open then; on
 * Linux it is closed.  Every descriptor created here is non-blocking and
 * close-on-exec. */

#ifndef ALOOP_OS_SYS_H
#define ALOOP_OS_SYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aloop/address.h"

/* sys_posix.c: clock, descriptors, sockets. */

/* Returns the nanoseconds of a monotonic clock with an arbitrary zero. */
int64_t aloop__sys_clock_ns(void);

/* sys_stderr.c: standard error. */

/* The identity of standard error. */
struct sys_stderr {
    bool is_usable; /* Open, and plausibly still standard error. */
    uint64_t device;
    uint64_t inode;
};

/* Records the identity of standard error.  Must be called before the library
 * opens anything else. */
void aloop__sys_stderr_look(struct sys_stderr *ret);
/* Writes one line of at most 512 bytes, which includes its newline, to standard
 * error.  Never blocks, and changes nothing that is shared with other
 * processes.  Returns -EBADF if standard error is no longer `file`, and -EAGAIN
 * if the write would block. */
int aloop__sys_stderr_write(const struct sys_stderr *file, const char *line,
                            size_t size);

/* sys_posix.c, continued. */

int aloop__sys_close(int fd);

/* The wake-up channel: aloop__sys_wake_signal(fds[1]) makes fds[0] readable.
 * It is an eventfd, so that both descriptors are the same, or a pipe.
 * aloop__sys_wake_signal() may be called from any thread and from a signal
 * handler, and preserves errno.  pthread_cancel() does not end a thread in it.
 * All signals before a drain count as one. */
int aloop__sys_wake_open(int fds[2]);
void aloop__sys_wake_signal(int fd);
void aloop__sys_wake_drain(int fd);
void aloop__sys_wake_close(int fds[2]);

/* A socket's address: a sockaddr of any family.  It is stored as bytes, so that
 * the layers above need no system header. */
struct sys_address {
    uint32_t size; /* Bytes used; 0 means no address. */
    _Alignas(8) unsigned char bytes[128];
};

enum sys_family { SYS_FAMILY_NONE, SYS_INET, SYS_INET6, SYS_UNIX };

/* One piece of a gathered send. */
struct sys_piece {
    const void *data;
    size_t size;
};

enum { SYS_PIECES_MAX = 64 }; /* Of one aloop__sys_sendv(); at most IOV_MAX. */

/* Returns the descriptor of a stream socket, with SYS_UNIX too. */
int aloop__sys_tcp_socket(enum sys_family family);
/* Allows binding an address that a closed connection still holds, and lets an
 * IPv6 socket accept IPv4 too. */
int aloop__sys_reuse_address(int fd, enum sys_family family);
/* Has an IPv6 socket accept IPv6 only. */
int aloop__sys_ipv6_only(int fd);
/* Lets several sockets listen at one address, between which the kernel
 * distributes connections.  Returns -ENOTSUP where it does not distribute. */
int aloop__sys_reuse_port(int fd);
int aloop__sys_no_delay(int fd, bool is_on);
/* Makes close() send RST and drop queued bytes. */
int aloop__sys_reset_on_close(int fd);
int aloop__sys_bind(int fd, const struct sys_address *address);
int aloop__sys_listen(int fd, int backlog);
/* Returns the accepted descriptor. */
int aloop__sys_accept(int fd);
/* Prepares a socket of the application for accepting: makes it non-blocking and
 * close-on-exec, and clears the options that accepted sockets would inherit and
 * streams do not expect.  Returns -EINVAL if it does not listen, and -ENOTSUP
 * if it is not of a stream. */
int aloop__sys_listen_adopt(int fd);
int aloop__sys_connect(int fd, const struct sys_address *address);
/* Takes the pending error of the socket (SO_ERROR): 0 or a negated errno. */
int aloop__sys_socket_error(int fd);
int aloop__sys_local_address(int fd, struct sys_address *ret);
int aloop__sys_peer_address(int fd, struct sys_address *ret);
/* Returns 0 at the end of the stream. */
ssize_t aloop__sys_recv(int fd, void *buffer, size_t size);
/* Never raises SIGPIPE. */
ssize_t aloop__sys_send(int fd, const void *data, size_t size);
ssize_t aloop__sys_sendv(int fd, const struct sys_piece *pieces, size_t count);
int aloop__sys_shutdown_write(int fd);

/* sys_address.c: names and addresses. */

enum sys_family aloop__sys_address_family(const struct sys_address *address);
uint16_t aloop__sys_address_port(const struct sys_address *address);
/* Returns whether both are the same endpoint: family, host, interface and
 * port. */
bool aloop__sys_address_is_same(const struct sys_address *a,
                                const struct sys_address *b);
/* Writes "127.0.0.1:80", also for ::ffff:127.0.0.1, or "[::1]:80".  Returns the
 * length without the terminating zero, or -ENOSPC if `size` is too small; 96 is
 * enough for IPv4 and IPv6. */
int aloop__sys_address_format(const struct sys_address *address, char *text,
                              size_t size);
/* Parses numeric addresses only and never blocks.  `port` is decimal, 0 to
 * 65535.  A NULL `host` means every local address: :: if the system has IPv6,
 * else 0.0.0.0.  Returns -EINVAL if `host` is not a numeric address or `port`
 * not a number. */
int aloop__sys_address_parse(const char *host, const char *port,
                             struct sys_address *ret);
/* Converts an address to a public one.  Returns -EAFNOSUPPORT if it is neither
 * of IPv4 nor of IPv6, and -EINVAL if it is too short. */
int aloop__sys_address_export(const struct sys_address *address,
                              aloop_address *ret);
/* Converts a public address, which has a family. */
void aloop__sys_address_import(const aloop_address *address,
                               struct sys_address *ret);
/* Asks the resolver of the system (getaddrinfo, SOCK_STREAM) for the addresses
 * of a family, or with SYS_FAMILY_NONE for those of all.  It may block for a
 * long time, so that it must be called on a pool thread.  Returns the number of
 * addresses, which is at least 1; they are in the resolver's order.  Errors are
 * ALOOP_EHOSTNOTFOUND and the like; see aloop/error.h.  The caller frees *ret
 * with aloop__sys_resolve_free(); it is NULL after an error. */
int aloop__sys_resolve(const char *host, const char *port,
                       enum sys_family family, struct sys_address **ret);
void aloop__sys_resolve_free(
    struct sys_address *addresses); /* NULL is allowed. */
enum { SYS_NAME_SIZE = 1025 };      /* Of names, with the terminating zero. */

/* Asks the resolver of the system for the name of an address (getnameinfo),
 * and writes it to `name`.  It may block, too.  Returns the length of the name.
 * Errors are ALOOP_EHOSTNOTFOUND and the like, or -ENAMETOOLONG. */
int aloop__sys_resolve_name(const struct sys_address *address, char *name,
                            size_t size);
/* Returns whether the name is longer than 253 bytes, not counting a final
 * dot. */
bool aloop__sys_host_is_too_long(const char *host);

/* sys_socket.c: options of connected sockets.  -ENOTSUP: the system does not
 * have this one. */

/* Probes of an idle connection.  A number of 0 is left as it is. */
struct sys_keepalive {
    bool is_on;
    int idle_s;
    int interval_s;
    int count;
};

int aloop__sys_keepalive(int fd, const struct sys_keepalive *keepalive);
/* Limits how long sent bytes may wait for their acknowledgement; 0: the
 * system's default.  Some systems count in seconds, which are rounded up. */
int aloop__sys_user_timeout(int fd, int timeout_ms);
int aloop__sys_receive_buffer(int fd, int size);
int aloop__sys_send_buffer(int fd, int size);
/* Sets the type of service of IPv4, or the traffic class of IPv6. */
int aloop__sys_traffic_class(int fd, enum sys_family family, int value);

/* sys_unix_name.c, sys_unix.c: Unix sockets. */

/* Converts a path, or "@name" for an abstract name of Linux.  Returns
 * -ENAMETOOLONG if it does not fit, -EINVAL if it is empty, and -ENOTSUP for an
 * abstract name on another system. */
int aloop__sys_unix_address(const char *path, struct sys_address *ret);

/* The process at the other end, as it was when the ends were connected. */
struct sys_unix_peer {
    int64_t process; /* 0: the system does not know it. */
    uint32_t user;
    uint32_t group;
};

int aloop__sys_unix_peer(int fd, struct sys_unix_peer *ret);
/* Takes the lock (flock) of a file or a directory, which belongs to the open
 * description.  If another program holds it, tries again until patience_ns have
 * passed, and then returns -EAGAIN. */
int aloop__sys_lock(int fd, int64_t patience_ns);
void aloop__sys_unlock(int fd);

/* sys_process.c: process numbers. */

/* Points to the number of the calling process, which is never 0 and differs
 * from the numbers of all processes that it was forked from.  In a forked child
 * it is 0 until aloop__sys_process_adopt() is called.  If the system does not
 * support that, it is the parent's number until then.  Reading it costs no
 * system call. */
const atomic_uint *aloop__sys_process_mark(void);
/* Returns whether the system sets it to 0 in a forked child. */
bool aloop__sys_process_is_marked(void);
/* Returns the same number, with an additional check: 0 also in a vforked child,
 * and in a forked child if the system does not support the above.  May be
 * called by signal handlers. */
unsigned aloop__sys_process_id(void);
/* Gives the process a number if it has none, and returns its number.  `known`,
 * if not 0, is the number of a process that the caller is or descends from.
 * Returns `known` if there was no fork in between.  In a vforked child it
 * returns 0 and changes nothing. */
unsigned aloop__sys_process_adopt(unsigned known);

/* sys_signal.c: signals. */

/* Installs a handler for `number` that counts the signal and then calls
 * `handler`, with SA_RESTART, SA_ONSTACK and all signals blocked.  `handler` is
 * the same for all numbers.  It is not called in a vforked child.  The previous
 * action is restored by aloop__sys_signal_restore(), unless the application has
 * set another one since.  The caller serialises the two functions. */
int aloop__sys_signal_catch(int number, void (*handler)(int number));
void aloop__sys_signal_restore(int number);
/* Returns how often `number` was received while it was caught, modulo 2 to the
 * 32nd.  In a forked child the count is 0 at the latest when
 * aloop__sys_process_adopt() returns. */
unsigned aloop__sys_signal_received(int number);

enum { SYS_INTERRUPTS = 2 };

/* Writes the numbers of the signals that ask a program to end, SIGINT and
 * SIGTERM, and returns how many.  Signals that the process ignores are left
 * out, because a shell ignores interrupts in background processes that way. */
int aloop__sys_signal_interrupts(int ret_numbers[SYS_INTERRUPTS]);
enum { SYS_SIGNAL_MAX = 64 }; /* Signal numbers are 1 to this. */
/* Takes a spin lock that signal handlers take too.  All signals are blocked
 * while it is held, so that no handler can interrupt the holder and wait for
 * it.  In a forked child the lock is free, even if the parent held it. */
void aloop__sys_signal_lock(void);
void aloop__sys_signal_unlock(void);
/* Does the same inside a handler, which runs with all signals blocked. */
void aloop__sys_signal_lock_in_handler(void);
void aloop__sys_signal_unlock_in_handler(void);

/* sys_thread.c: threads. */

struct sys_thread;
struct sys_mutex;
struct sys_condition;

/* Returns a number that is unique among the running threads and not 0. */
uintptr_t aloop__sys_thread_self(void);
/* Starts a thread with all signals blocked.  Its stack has `stack_size` bytes
 * or more besides what the system needs there; 0 selects the system's
 * default. */
int aloop__sys_thread_start(void (*run)(void *arg), void *arg,
                            size_t stack_size, struct sys_thread **ret);
/* Lets other threads run. */
void aloop__sys_thread_yield(void);
/* Waits until the thread has ended, and frees it. */
void aloop__sys_thread_join(struct sys_thread *thread);
/* Frees the thread without waiting for it.  The thread must be inside run(). */
void aloop__sys_thread_detach(struct sys_thread *thread);
/* Returns the number of processors on which this process may run, at least
 * 1. */
unsigned aloop__sys_processors(void);
/* Free the memory and do nothing else.  For a forked child, where the threads
 * do not exist and another thread may have held the mutex. */
void aloop__sys_thread_forget(struct sys_thread *thread);
void aloop__sys_mutex_forget(struct sys_mutex *mutex);
void aloop__sys_condition_forget(struct sys_condition *condition);
int aloop__sys_mutex_open(struct sys_mutex **ret);
void aloop__sys_mutex_close(struct sys_mutex *mutex); /* NULL is allowed. */
void aloop__sys_mutex_lock(struct sys_mutex *mutex);
void aloop__sys_mutex_unlock(struct sys_mutex *mutex);
int aloop__sys_condition_open(struct sys_condition **ret);
void aloop__sys_condition_close(
    struct sys_condition *condition); /* NULL is allowed. */
/* Unlocks the mutex, waits for a notification, and locks it again.  Returns 0,
 * also without a notification; -ETIMEDOUT after timeout_ns, unless that is
 * negative; or -ECANCELED if the wait can never end, which happens only in the
 * simulated system.  The caller then ends its thread. */
int aloop__sys_condition_wait(struct sys_condition *condition,
                              struct sys_mutex *mutex, int64_t timeout_ns);
/* Wakes one waiter, or all.  The caller may hold the mutex or not. */
void aloop__sys_condition_notify(struct sys_condition *condition);
void aloop__sys_condition_notify_all(struct sys_condition *condition);

/* sys_memory.c: pages for the stacks of tasks. */

size_t aloop__sys_page_size(void);
/* Maps zeroed pages, without reserving memory and never huge ones.  Returns
 * NULL on failure. */
void *aloop__sys_pages_map(size_t size);
/* Maps `size` bytes, a power of two, that are aligned to their size.  They are
 * huge pages if the system has some.  Returns NULL on failure. */
void *aloop__sys_pages_map_huge(size_t size);
void aloop__sys_pages_unmap(void *pages, size_t size);
/* Returns whether light guards (MADV_GUARD_INSTALL) work, which a trial
 * shows.  They split no mapping. */
bool aloop__sys_pages_have_light_guards(void);
/* Makes every access to the range fault, by a light guard or by mprotect(). */
int aloop__sys_pages_guard(void *pages, size_t size, bool is_light);
/* Prepares `count` parts of a mapping, up to SYS_PARTS_MAX, in two calls of the
 * system: makes a light guard at the beginning of each, and backs the last page
 * of each with memory.  Returns false if a guard is missing. */
enum { SYS_PARTS_MAX = 16 };
bool aloop__sys_pages_prepare(void *pages, size_t part_size, unsigned count,
                              size_t guard_size);
/* Makes every access to the range fault, or allows it again.  It contains no
 * guard. */
int aloop__sys_pages_protect(void *pages, size_t size, bool is_on);
/* Gives the memory back to the system.  The contents become zeros or stay as
 * they were; guards inside the range stay. */
void aloop__sys_pages_trim(void *pages, size_t size);
/* Returns whether the address space of the process is limited (RLIMIT_AS and
 * the like), or its mappings are locked into memory. */
bool aloop__sys_pages_are_scarce(void);
/* Returns whether the mapping that begins at `pages` is locked into memory
 * (mlockall), so that it uses all of its memory and counts towards that limit.
 * If `pages` is NULL, the answer is about the next mapping. */
bool aloop__sys_pages_are_locked(void *pages);

/* The calls of the reactors.  Each is used by one reactor only. */

struct epoll_event;
struct kevent;
struct timespec;
struct pollfd;

int aloop__sys_epoll_open(void);
int aloop__sys_epoll_ctl(int epoll, int operation, int fd,
                         struct epoll_event *event);
/* A negative timeout_ns waits indefinitely.  Otherwise the wait is never
 * shorter than requested, except that a signal may end it early; 0 is then
 * returned. */
int aloop__sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                          int64_t timeout_ns);
/* The alarm is a descriptor that is readable from when_ns on, by
 * aloop__sys_clock_ns(); INT64_MAX disarms it. */
int aloop__sys_alarm_open(void);
int aloop__sys_alarm_set(int fd, int64_t when_ns);

int aloop__sys_kqueue_open(void);
int aloop__sys_kevent(int queue, const struct kevent *changes, int change_count,
                      struct kevent *events, int event_count,
                      int64_t timeout_ns);

int aloop__sys_poll(struct pollfd *fds, size_t count, int64_t timeout_ns);

/* Gives the descriptor `from` the number `to`, whose old descriptor is closed.
 * For forked children, whose other numbers must stay the same, and for
 * terminals.  After an error nothing has changed. */
int aloop__sys_move(int from, int to);

#endif
