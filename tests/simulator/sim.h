/* A simulated operating system, for tests: what a test says to it.
 *
 * Linked instead of src/os/sys_*.c and reactor_*.c (sys_memory.c stays real).
 * Time moves only while the loop waits, the network is in memory, threads run
 * inside waits, and everything that looks like chance comes from one seed, so
 * that a failure can be run again.
 *
 * Call sim_reset() before each test and sim_end() after it.  Addresses are
 * numeric ("127.0.0.1", "::1", "10.0.0.2"); every address that is not said to
 * be otherwise is a machine that answers.  Errors are negated errnos. */

#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/sys.h"

typedef void (*sim_fn)(void *arg);

/* The world. */

/* How the world behaves.  Percentages are chances, drawn for each call. */
struct sim_options {
    int64_t delay_min_ns; /* From a send to its arrival, one way. */
    int64_t delay_max_ns;
    unsigned split_percent;      /* A send arrives in several pieces. */
    unsigned short_send_percent; /* A send takes less than it could. */
    unsigned short_recv_percent; /* A receive gives less than there is. */
    unsigned spurious_percent;   /* Ready was said; the call says EAGAIN. */
    unsigned early_percent;      /* A wait ends early, as by a signal. */
    unsigned connect_now_percent; /* Connect is done when it returns. */
    bool shuffle;                /* The order of a wait's events is chance. */
    bool no_ipv6;                /* IPv6 sockets: EAFNOSUPPORT. */
    bool takes_errors;           /* The reactor reports a socket's error and
                                  * takes it, as kqueue may. */
    bool wake_pair;              /* The wake-up channel has two numbers. */
    size_t buffer_size;          /* Of each direction of a connection. */
};

/* A fresh world with plain options: 1 us of delay, nothing left to chance. */
void sim_reset(uint64_t seed);
/* Frees all.  The loop must have been freed before; see sim_mess(). */
void sim_end(void);
/* For reading and changing; holds for what happens from then on. */
struct sim_options *sim_options(void);
/* Everything at once: delays, splits, short counts, false readiness. */
void sim_chaos(void);
void sim_buffer_size(size_t size);
/* 0 to bound - 1, from the seed: for tests that make choices of their own. */
uint64_t sim_random(uint64_t bound);
/* Equal for two runs of one seed, unless something is not deterministic. */
uint64_t sim_trace_hash(void);

/* Time. */

/* As if a callback had been busy for `ns`. */
void sim_advance(int64_t ns);
/* The clock alone jumps (back where `ns` is less than 0); waits, delays and
 * the alarm keep their lengths. */
void sim_jump(int64_t ns);
/* Lets `ns` pass and happen all that is due, for tests without a loop. */
void sim_pass(int64_t ns);
/* The outside world does something in `delay_ns`: runs during a wait, as
 * another thread would, so that of the library it may call only what is
 * allowed to other threads. */
void sim_at(int64_t delay_ns, sim_fn fn, void *arg);
/* A wait could never have ended; it was given -EDEADLK. */
bool sim_deadlocked(void);
/* How many waits of the reactor there were: is there a spin? */
unsigned sim_wakes(void);

/* The network, seen from outside. */

void sim_blackhole(const char *host);   /* Swallows; ETIMEDOUT after 127 s. */
void sim_unreachable(const char *host); /* Connect: ENETUNREACH. */

/* Peers are the other ends of connections; they use up no descriptors. */

/* Connects to whoever listens on `port` of the loopback addresses, and returns
 * a peer: it may send at once.  -ECONNREFUSED; -EAGAIN: the backlog is full. */
int sim_connect(uint16_t port);
int sim_connect_to(const char *host, uint16_t port);
/* Listens on an address; returns a peer to accept from (and to close). */
int sim_listen(const char *host, uint16_t port, int backlog);
/* Returns a peer, or -EAGAIN where nobody has connected. */
int sim_accept(int listener);

/* As on a socket: how many were taken; -EAGAIN, -EPIPE, -ECONNRESET. */
ssize_t sim_peer_send(int peer, const void *data, size_t size);
/* What has arrived: 0 where nothing has (or at the end, see sim_peer_eof);
 * -ECONNRESET, after the data. */
ssize_t sim_peer_receive(int peer, void *buffer, size_t size);
void sim_peer_shutdown(int peer); /* No more will be sent. */
void sim_peer_close(int peer);    /* A reset where there was data unread. */
void sim_peer_reset(int peer);
/* The system ends the connection at the other end, the library's, with `error`,
 * as if it had been told to or had found no way: what has arrived there can be
 * received, and then the error, once. */
void sim_peer_break(int peer, int error);
/* The same for one of all connections, by chance. */
void sim_break(int error);
bool sim_peer_eof(int peer); /* All was received, and the end too. */
int sim_peer_error(int peer); /* 0, or what became of the connection. */
bool sim_peer_connected(int peer); /* And not reset since. */

/* Names. */

/* `addresses` ends with NULL; said again, replaces what was said before. */
void sim_host(const char *name, const char *const *addresses);
void sim_host_error(const char *name, int error); /* ALOOP_EHOSTNOTFOUND... */
/* What was said of the name before is found after `ns`: for so long a name
 * server gives no answer, and the thread that asks is blocked. */
void sim_host_delay(const char *name, int64_t ns);
/* Threads that are blocked get their answers now, and run to their ends. */
void sim_threads_finish(void);

/* Descriptors. */

void sim_descriptors_max(unsigned count); /* Open at once; then EMFILE. */
unsigned sim_descriptors_open(void);
unsigned sim_bad_closes(void); /* Closes of numbers that were not open. */
unsigned sim_bad_uses(void);   /* Other uses of them. */
/* From now on somebody else holds `fd` too, as after dup or fork: closing the
 * number frees it, but the description lives on and still reports events with
 * its old generation, until aloop__reactor_renew. */
int sim_keep_open(int fd);
/* Two connected sockets, for descriptors that are not the library's own. */
int sim_pair(int fds[2]);
/* A descriptor that a reactor refuses (a regular file). */
int sim_file(void);
/* What poll would say now; for aloop__reactor_fd too. */
bool sim_fd_readable(int fd);
/* A host's poll: lets time pass until `fd` is readable (then true) or the time
 * is over.  timeout_ns < 0: for ever. */
bool sim_poll(int fd, int64_t timeout_ns);

/* Processes. */

/* From now on the caller is a child, and what is open is its parent's too. */
void sim_fork(void);
/* The next call of the library comes from a vforked child, until
 * sim_vfork(false). */
void sim_vfork(bool is_vforked);
/* How often a child changed what it shares with its parent: received, sent,
 * shut down, watched, woke.  Closing and accepting change nothing. */
unsigned sim_harms(void);

/* Faults. */

/* The nth call (1 is the next) of `call_name` ("aloop__sys_recv") from now on
 * fails with `error`, without any effect; close closes all the same.  NULL is
 * any call that can fail.  Several may be pending. */
void sim_fail(const char *call_name, unsigned nth, int error);
/* The same, and each such call after it fails too; stays pending. */
void sim_fail_from(const char *call_name, unsigned nth, int error);
void sim_forgive(void); /* None of them from now on. */
unsigned sim_faults_pending(void); /* How many of them did not come yet. */
unsigned sim_calls(const char *call_name); /* NULL: all that can fail. */

/* Signals, threads, complaints. */

/* The signal arrives: its handler runs at once, or when the signal lock is
 * let go.  False where nobody catches it. */
bool sim_raise(int number);
bool sim_signal_caught(int number);
/* Calls fn(arg) now, as another thread. */
void sim_as_thread(sim_fn fn, void *arg);
unsigned sim_threads_open(void); /* Started and not joined. */
unsigned sim_bad_locks(void); /* Locked twice, let go unheld, held in a wait. */
const char *sim_complaints(void); /* All that was complained, or "". */

/* "" where the library left nothing behind and misused nothing; else what. */
const char *sim_mess(void);

#endif
