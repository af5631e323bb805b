/* Inside the simulated operating system: what its files share.
 *
 * Every object except descriptions' bytes lives until the world ends, so that
 * events in flight never point at freed memory. */

#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "os/reactor.h"
#include "sim.h"

/* sys_sim.c: the world, its clock, its chance and its events. */

/* What exactly one file of the simulation owns is static there; this is what
 * several use. */
struct sim_world {
    int64_t now_ns;  /* World time; only grows. */
    int64_t jump_ns; /* What the clock is ahead of it. */
    uint64_t random;
    uint64_t hash;
    struct sim_options options;
    unsigned bad_uses;
    unsigned bad_closes;
    unsigned bad_locks;
    unsigned wakes;
    bool deadlocked;
    bool interrupted; /* A handler ran: the present wait ends. */
};

extern struct sim_world sim__world;

/* Memory that must be there: a test cannot go on without it. */
void *sim__allocate(void *old, size_t size);
void sim__trace(int64_t value);
void sim__trace_bytes(const void *data, size_t size);
bool sim__chance(unsigned percent);
int64_t sim__delay_ns(void); /* One way, once. */
int64_t sim__add_ns(int64_t a_ns, int64_t b_ns); /* Saturates; b >= 0. */

/* Counts a call.  Returns 0, or the error that it has been told to fail with.
 * `name` must be a literal. */
int sim__enter(const char *name);
void sim__note(const char *name); /* For calls that cannot fail. */

void sim__schedule(int64_t due_ns, sim_fn fn, void *arg);
/* Runs all that is due, threads included. */
void sim__happen(void);
/* When the next event is due; INT64_MAX: never. */
int64_t sim__next_ns(void);

/* sim_fd.c: descriptors and what is behind them. */

enum sim_kind { SIM_SOCKET, SIM_WAKE, SIM_REACTOR, SIM_REGULAR };

/* An open file description. */
struct sim_file {
    struct sim_file *next; /* In the list of all. */
    enum sim_kind kind;
    unsigned references; /* Numbers, and sim_keep_open; 0: closed. */
    bool signalled;      /* SIM_WAKE. */
    bool is_parents;     /* A parent has it too, since sim_fork. */
    struct sim_socket *socket;
    struct aloop__reactor *reactor;
};

void sim__fd_end(void);
/* NULL, and counted as a bad use, where the number is not open. */
struct sim_file *sim__file(int fd);
struct sim_file *sim__peek(int fd); /* Uncounted. */
/* Returns the lowest free number for a fresh description, or -EMFILE. */
int sim__fd_open(enum sim_kind kind, struct sim_file **ret);
int sim__fd_close(int fd);
/* Another description of the same kind under the same number. */
struct sim_file *sim__fd_replace(int fd);
unsigned sim__ready_bits(const struct sim_file *file); /* REACTOR_*. */
void sim__fd_fork(void); /* Everything that is open is a parent's too. */

/* sim_net.c: sockets, from their making to their connection. */

enum sim_state {
    SIM_FRESH,
    SIM_LISTENING,
    SIM_CONNECTING,
    SIM_CONNECTED,
    SIM_DEAD /* Refused, reset, timed out. */
};

enum sim_segment_kind { SIM_DATA, SIM_ACCEPTED, SIM_FIN, SIM_RST };

struct sim_segment {
    struct sim_segment *next;
    int64_t due_ns;
    enum sim_segment_kind kind;
    size_t size;
    unsigned char bytes[];
};

/* One end of a connection, or a listener. */
struct sim_socket {
    struct sim_socket *next; /* In the list of all. */
    enum sim_state state;
    enum sys_family family;
    struct sys_address local; /* Size 0: not bound. */
    struct sys_address remote;
    bool reuse;
    bool v6_only;
    bool reset_on_close;
    bool gone;    /* Nobody can use it any more; it may still be sending. */
    bool outside; /* A peer's: spared the whims of the system's calls. */
    int error;    /* Pending: 0 or a negated errno. */

    unsigned backlog;               /* Listening: at most one more waits. */
    unsigned waiting;               /* Listening: how many wait. */
    unsigned coming;                /* Listening: and will soon. */
    struct sim_socket *accepts;     /* Listening: who waits, by `after`. */
    struct sim_socket *after;       /* The next that waits, or listens. */
    struct sim_socket *listener;    /* Whose queue this one is for. */
    unsigned attempts;              /* Connecting: SYNs without an answer. */

    struct sim_socket *other;       /* The other end; NULL: there is none. */
    struct sim_segment *segments;   /* Under way to here, in order. */
    struct sim_segment *last;       /* Of these, where there are any. */
    size_t flying;                  /* Bytes in them. */
    int64_t last_due_ns;            /* Of the last of them ever. */
    unsigned char *bytes;           /* What has arrived ... */
    size_t start, size, capacity;   /* ... from start, size bytes. */
    bool fin_sent;
    bool fin_arrived;
};

void sim__net_end(void);
struct sim_socket *sim__socket_new(enum sys_family family);
int sim__bind(struct sim_socket *socket, const struct sys_address *address);
int sim__listen(struct sim_socket *socket, int backlog);
/* Takes the first that waits; NULL where nobody does. */
struct sim_socket *sim__take(struct sim_socket *listener);
int sim__connect(struct sim_socket *client, const struct sys_address *address);
/* From outside: the SYN is on its way, `client` counts as connected. */
int sim__join(struct sim_socket *client, const struct sys_address *address);
void sim__pair(struct sim_socket *a, struct sim_socket *b);
/* The last number for it was closed. */
void sim__socket_gone(struct sim_socket *socket);

/* sim_stream.c: what travels on a connection. */

ssize_t sim__send(struct sim_socket *socket, const struct sys_piece *pieces,
                  size_t count);
ssize_t sim__receive(struct sim_socket *socket, void *buffer, size_t size);
size_t sim__room(const struct sim_socket *socket);
/* A segment to `to`, which arrives after all that are under way there. */
void sim__segment(struct sim_socket *to, enum sim_segment_kind kind,
                  const void *data, size_t size);
void sim__finish(struct sim_socket *socket); /* Sends FIN, once. */
/* Sends RST; what is under way from `socket` is lost. */
void sim__abort(struct sim_socket *socket);
/* The same, and here too it ends with `error`. */
void sim__break(struct sim_socket *socket, int error);
void sim__drop(struct sim_socket *socket); /* Frees what is here. */

/* sim_fork.c: which process the library runs in. */

void sim__fork_end(void);
/* The calling process changes what `file` stands for. */
void sim__change(const struct sim_file *file);

/* sim_reactor.c, sim_thread.c, sim_address.c, sim_peer.c. */

/* Whether the descriptor of `reactor` is readable. */
bool sim__reactor_readable(const struct aloop__reactor *reactor);

/* Runs the threads that were started or have slept enough; false: none. */
bool sim__threads_run(void);
/* Threads that begin from now on may call the one below: `ns` pass. */
void sim__threads_may_sleep(void);
void sim__thread_sleep(int64_t ns);
void sim__thread_end(void);
void sim__signals_fork(void); /* None was received by the child. */
unsigned sim__monitors_open(void);
unsigned sim__signals_caught(void);
bool sim__locks_held(void);

void sim__address_end(void);
bool sim__address_is_blackhole(const struct sys_address *address);
bool sim__address_is_unreachable(const struct sys_address *address);
void sim__address_set_port(struct sys_address *address, uint16_t port);
bool sim__address_same(const struct sys_address *a,
                       const struct sys_address *b); /* Port aside. */
bool sim__address_is_any(const struct sys_address *address);
/* Where a machine that connects to `to` connects from, with port 0. */
struct sys_address sim__address_source(const struct sys_address *to);
/* ::ffff:a.b.c.d for IPv4. */
struct sys_address sim__address_mapped(const struct sys_address *address);

void sim__peer_end(void);

#endif
