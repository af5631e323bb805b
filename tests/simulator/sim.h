/* A simulated operating system, for tests: the functions that tests call.
 *
 * It is linked instead of src/os/sys_*.c and reactor_*.c, except sys_memory.c.
 * Time passes only while the loop waits, the network is in memory, and threads
 * run inside waits.  Everything that looks random comes from one seed, so that
 * a failure can be reproduced.
 *
 * Call sim_reset() before each test and sim_end() after it.  Addresses are
 * numeric ("127.0.0.1", "::1", "10.0.0.2").  By default every address belongs
 * to a machine that answers.  Errors are negated errnos. */

#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/sys.h"

typedef void (*sim_fn)(void *arg);

/* The world. */

/* The behaviour of the world.  Percentages are probabilities for each call. */
struct sim_options {
    int64_t delay_min_ns; /* One way, from a send to its arrival. */
    int64_t delay_max_ns;
    unsigned split_percent;       /* A send arrives in several pieces. */
    unsigned short_send_percent;  /* A send takes less than it could. */
    unsigned short_recv_percent;  /* A receive returns less than it could. */
    unsigned spurious_percent;    /* Ready sockets fail with EAGAIN. */
    unsigned early_percent;       /* A wait ends early, as by a signal. */
    unsigned connect_now_percent; /* A connect completes immediately. */
    unsigned loss_percent;        /* A datagram does not arrive. */
    unsigned duplicate_percent;   /* It arrives twice. */
    unsigned reorder_percent;     /* It is delayed, and arrives later. */
    bool is_shuffled;             /* Events of a wait are in random order. */
    bool has_no_ipv6;             /* IPv6 sockets fail with EAFNOSUPPORT. */
    /* The reactor reports a socket's error and clears it, as kqueue may. */
    bool is_error_cleared;
    bool has_wake_pair; /* The wake-up channel has two descriptors. */
    size_t buffer_size; /* Of each direction of a connection. */
    /* Files; see also sim_file.h.  Each call on a thread of the pool takes a
     * random time up to this one. */
    int64_t file_delay_max_ns;
    unsigned short_file_percent; /* A read or write does less than it could. */
    unsigned miss_percent;       /* What was in the page cache was evicted. */
    bool has_old_kernel;         /* Cached reads are known to be wrong. */
};

/* Makes a new world with default options: 1 us of delay, and no random
 * behaviour. */
void sim_reset(uint64_t seed);
/* Frees the world.  The loop must have been freed before; see sim_mess(). */
void sim_end(void);
/* Returns the options.  Changes have an effect from then on. */
struct sim_options *sim_options(void);
/* Makes everything random: delays, splits, short counts, false readiness. */
void sim_chaos(void);
void sim_buffer_size(size_t size);
/* Returns a number from 0 to bound - 1, from the seed, for choices of tests. */
uint64_t sim_random(uint64_t bound);
/* Returns a hash of all calls and events.  It is equal for two runs with one
 * seed, unless something is not deterministic. */
uint64_t sim_trace_hash(void);

/* Time. */

/* Moves time forward, as if a callback had run for `ns`. */
void sim_advance(int64_t ns);
/* Changes only the clock, back if `ns` is less than 0.  Waits, delays and the
 * alarm keep their lengths. */
void sim_jump(int64_t ns);
/* Lets `ns` pass, with all events that are due, for tests without a loop. */
void sim_pass(int64_t ns);
/* Calls fn(arg) after `delay_ns`, during a wait, as another thread.  It may
 * call only those functions of the library that other threads may call. */
void sim_at(int64_t delay_ns, sim_fn fn, void *arg);
/* Returns whether a wait failed with -EDEADLK because it would never have
 * ended. */
bool sim_deadlocked(void);
/* Number of waits of the reactor.  It shows whether the loop spins. */
unsigned sim_wakes(void);

/* The network, from outside. */

/* Connects fail with ETIMEDOUT after 127 s. */
void sim_blackhole(const char *host);
void sim_unreachable(const char *host); /* Connects fail with ENETUNREACH. */

/* Peers are the other ends of connections.  They use no descriptors. */

/* Connects to a listener on `port` of the loopback addresses.  Returns a peer
 * that may send immediately, -ECONNREFUSED, or -EAGAIN if the backlog is
 * full. */
int sim_connect(uint16_t port);
int sim_connect_to(const char *host, uint16_t port);
/* Listens on an address.  Returns a peer to accept from, which is also closed
 * as a peer. */
int sim_listen(const char *host, uint16_t port, int backlog);
/* The same for a Unix socket: "/path", or "@name".  Also returns the errors of
 * a connect and a bind. */
int sim_connect_unix(const char *path);
int sim_listen_unix(const char *path, int backlog);
/* Returns a peer, or -EAGAIN if no connection waits. */
int sim_accept(int listener);

/* Sends as a socket does.  Returns the number of bytes taken, -EAGAIN, -EPIPE
 * or -ECONNRESET. */
ssize_t sim_peer_send(int peer, const void *data, size_t size);
/* Receives data that has arrived.  Returns 0 if there is none, or at the end of
 * the stream (see sim_peer_eof()); -ECONNRESET after the data. */
ssize_t sim_peer_receive(int peer, void *buffer, size_t size);
void sim_peer_shutdown(int peer); /* Ends the peer's direction. */
void sim_peer_close(int peer);    /* Resets if there is unread data. */
/* A Unix socket resets as if it had unread data. */
void sim_peer_reset(int peer);
/* Ends the connection at the library's end with `error`, as a system may do
 * that finds no route.  Data that has arrived there is still received, followed
 * by the error, which is reported once. */
void sim_peer_break(int peer, int error);
/* Does the same for one connection, chosen at random. */
void sim_break(int error);
bool sim_peer_eof(int peer);       /* All data and the end were received. */
int sim_peer_error(int peer);      /* 0, or the error of the connection. */
bool sim_peer_connected(int peer); /* And not reset since. */

/* Opens a socket for datagrams outside of the library.  Returns a peer, which
 * is also closed as a peer, or -EADDRINUSE. */
int sim_udp_open(const char *host, uint16_t port);
/* Sends a datagram.  Returns `size` or an error. */
ssize_t sim_udp_send(int peer, const char *host, uint16_t port,
                     const void *data, size_t size);
/* Takes a datagram that has arrived.  Returns its size, or -EAGAIN. */
ssize_t sim_udp_receive(int peer, void *buffer, size_t size);
/* Sends to the sender of the datagram that was taken last. */
ssize_t sim_udp_reply(int peer, const void *data, size_t size);

/* Names. */

/* Defines a name.  `addresses` ends with NULL and replaces an earlier
 * definition. */
void sim_host(const char *name, const char *const *addresses);
void sim_host_error(const char *name, int error); /* ALOOP_EHOSTNOTFOUND... */
/* Lookups of `name` take `ns`.  The thread that resolves it is blocked
 * meanwhile, as if a name server did not answer. */
void sim_host_delay(const char *name, int64_t ns);
/* Ends the sleep of all blocked threads, and runs them. */
void sim_threads_finish(void);

/* Descriptors. */

void sim_descriptors_max(unsigned count); /* Then EMFILE. */
unsigned sim_descriptors_open(void);
unsigned sim_bad_closes(void); /* Closes of numbers that are not open. */
unsigned sim_bad_uses(void);   /* Other uses of such numbers. */
/* Adds a reference to the description of `fd`, as after dup or fork.  Closing
 * `fd` frees the number, but the description remains and still reports events
 * with its old generation, until aloop__reactor_renew(). */
int sim_keep_open(int fd);
/* Opens two connected sockets that do not belong to the library. */
int sim_pair(int fds[2]);
/* Opens a descriptor that the reactor refuses, a regular file. */
int sim_file(void);
/* Makes a socket have urgent data (REACTOR_PRIORITY), or none. */
void sim_set_urgent(int fd, bool is_urgent);
/* Returns whether poll would report `fd` as readable; also for
 * aloop__reactor_fd(). */
bool sim_fd_readable(int fd);
/* Waits as the poll of a host loop: lets time pass until `fd` is readable, and
 * returns true, or until the time is over.  There is no limit if timeout_ns is
 * less than 0. */
bool sim_poll(int fd, int64_t timeout_ns);

/* Processes. */

/* Makes the caller a child process that shares all open descriptions with its
 * parent. */
void sim_fork(void);
/* Makes the system one that cannot mark forked children; only their process
 * numbers differ.  Must be called before aloop_new(). */
void sim_unmark(void);
/* While this is set, calls of the library come from a vforked child. */
void sim_vfork(bool is_vforked_now);
/* How many times a child changed an object that it shares with its parent:
 * received, sent, shut down, watched, woke.  Closing and accepting do not
 * count. */
unsigned sim_harms(void);

/* Faults. */

/* Makes the nth call of `call_name` ("aloop__sys_recv") fail with `error` and
 * without effect; 1 is the next call.  Only close still closes.  NULL stands
 * for any call that can fail.  Several faults may be pending. */
void sim_fail(const char *call_name, unsigned nth, int error);
/* Makes each later call fail as well.  The fault stays pending. */
void sim_fail_from(const char *call_name, unsigned nth, int error);
void sim_forgive(void);                    /* Removes all faults. */
unsigned sim_faults_pending(void);         /* Number of pending faults. */
unsigned sim_calls(const char *call_name); /* Number of its calls. */

/* Signals, threads, lines on standard error. */

/* Raises a signal.  Its handler runs immediately, or when the signal lock is
 * released.  Returns false if the signal has no handler. */
bool sim_raise(int number);
bool sim_signal_caught(int number);
/* Calls fn(arg) as another thread. */
void sim_as_thread(sim_fn fn, void *arg);
unsigned sim_threads_open(void); /* Started and not joined. */
/* Number of mistakes with locks: locked twice, unlocked while not locked,
 * or held in a wait. */
unsigned sim_bad_locks(void);
const char *sim_stderr(void); /* All lines, or "". */

/* Returns "" if the library has left nothing behind and misused nothing.
 * Otherwise returns a description. */
const char *sim_mess(void);

#endif
