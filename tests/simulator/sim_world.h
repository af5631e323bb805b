/* Inside the simulated operating system: shared by its files.
 *
 * Files and sockets exist until the world ends, so that an event never refers
 * to freed memory. */

#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "os/reactor.h"
#include "os/sys_stream.h"
#include "sim.h"

/* sys_sim.c: the world, its clock, its random numbers and its events. */

/* The functions of the seam. */
enum sim_call {
#define SURE(name) CALL_##name,
#include "support/sys_calls.def"
    SIM_CALLS
};

/* State that several files use.  State of a single file is static there. */
struct sim_world {
    int64_t now_ns;  /* World time, which never goes back. */
    int64_t jump_ns; /* Difference of the clock to it. */
    uint64_t random;
    uint64_t hash;
    struct sim_options options;
    unsigned bad_uses;
    unsigned bad_closes;
    unsigned bad_locks;
    unsigned wakes;
    bool is_deadlocked;
    bool was_interrupted; /* A handler has run: the wait ends. */
};

extern struct sim_world sim__world;

/* Allocates memory, or aborts: a test cannot continue without it. */
void *sim__allocate(void *old, size_t size);
void sim__trace(int64_t value);
void sim__trace_bytes(const void *data, size_t size);
bool sim__chance(unsigned percent);
int64_t sim__delay_ns(void);                     /* Of one segment. */
int64_t sim__add_ns(int64_t a_ns, int64_t b_ns); /* Saturates; b >= 0. */

/* Counts a call.  Returns 0, or the error of a fault that applies. */
int sim__enter(enum sim_call call);
void sim__note(enum sim_call call); /* The same for calls that cannot fail. */

void sim__schedule(int64_t due_ns, sim_fn fn, void *arg);
/* Runs all events that are due, and threads. */
void sim__happen(void);
/* The time of the next event; INT64_MAX: there is none. */
int64_t sim__next_ns(void);

/* sim_fd.c: descriptors and open descriptions. */

enum sim_kind {
    SIM_SOCKET,
    SIM_WAKE,
    SIM_REACTOR,
    SIM_REGULAR,
    SIM_FILE,  /* Of the simulated file system: any type of file. */
    SIM_NAMED, /* The same, only looked up (O_PATH). */
    SIM_TERMINAL
};

/* An open file description. */
struct sim_file {
    struct sim_file *next; /* In the list of all. */
    enum sim_kind kind;
    unsigned references; /* Numbers and sim_keep_open(); 0: closed. */
    bool is_signalled;   /* Of SIM_WAKE. */
    bool is_parents;     /* Shared with a parent by sim_fork(). */
    struct sim_socket *socket;
    struct aloop__reactor *reactor;
    struct sim_node *node; /* Of SIM_FILE and SIM_NAMED. */
    struct sim_tty *tty;   /* Of SIM_TERMINAL. */
    int flags;             /* O_* of SIM_FILE and SIM_TERMINAL. */
    int64_t position;      /* Of SIM_FILE. */
};

void sim__fd_end(void);
/* Returns NULL and counts a bad use if the number is not open. */
struct sim_file *sim__file(int fd);
struct sim_file *sim__peek(int fd); /* Counts nothing. */
/* Makes a description.  Returns the lowest free number, or -EMFILE. */
int sim__fd_open(enum sim_kind kind, struct sim_file **ret);
/* Opens two sockets that are connected to each other. */
int sim__pair_open(enum sys_family family, int fds[2]);
bool sim__fd_is_free(void); /* Whether a number can be opened. */
/* Gives a description another number. */
int sim__fd_take(struct sim_file *file);
/* Drops a reference.  The last one closes the description. */
void sim__file_drop(struct sim_file *file);
int sim__fd_close(int fd);
/* Moves the description of `from` to a number from 0 to 2, which are never
 * given to others.  -1: closes the number. */
void sim__fd_standard(int fd, int from);
/* Makes another description of the same kind under the same number. */
struct sim_file *sim__fd_replace(int fd);
unsigned sim__ready_bits(const struct sim_file *file); /* REACTOR_*. */
void sim__fd_fork(void); /* Shares all with a parent. */

/* sim_net.c: sockets until they are connected. */

enum sim_state {
    SIM_FRESH,
    SIM_LISTENING,
    SIM_CONNECTING,
    SIM_CONNECTED,
    SIM_DEAD /* Refused, reset or timed out. */
};

enum sim_segment_kind { SIM_DATA, SIM_ACCEPTED, SIM_FIN, SIM_RST };

struct sim_segment {
    struct sim_segment *next;
    int64_t due_ns;
    enum sim_segment_kind kind;
    size_t size;
    unsigned char bytes[];
};

/* Descriptions that travel with the first byte of a message. */
struct sim_passed {
    struct sim_passed *next;
    uint64_t at; /* The number of the byte, from 0. */
    size_t size; /* Of the message. */
    size_t count;
    struct sim_file *files[];
};

struct sim_node;

/* One end of a connection, or a listener. */
struct sim_socket {
    struct sim_socket *next; /* In the list of all. */
    enum sim_state state;
    enum sys_family family;
    struct sys_address local; /* Size 0: not bound. */
    struct sys_address remote;
    bool has_reuse;
    bool has_reuse_port;
    bool is_v6_only;
    unsigned mode;         /* Unix: of the file that a bind makes. */
    struct sim_node *node; /* Unix: the file that the bind has made. */
    bool is_reset_on_close;
    bool was_closed; /* It was closed; it may still be sending. */
    bool is_outside; /* A peer's, without random behaviour of calls. */
    int error;       /* Pending: 0 or a negated errno. */

    unsigned backlog;            /* Listening: one more may wait. */
    unsigned waiting;            /* Listening: connections that wait. */
    unsigned coming;             /* Listening: connections that soon will. */
    struct sim_socket *accepts;  /* Listening: the first that waits. */
    struct sim_socket *after;    /* The next that waits, or listens. */
    struct sim_socket *listener; /* The listener that accepts it. */
    unsigned attempts;           /* Connecting: SYNs without an answer. */

    struct sim_socket *other;     /* The other end, or NULL. */
    struct sim_segment *segments; /* Travelling to this end, in order. */
    struct sim_segment *last;     /* The last one, if there are any. */
    size_t flying;                /* Bytes in the segments. */
    int64_t last_due_ns;          /* When the latest segment arrives. */
    unsigned char *bytes;         /* Data that has arrived. */
    size_t start, size, capacity; /* `size` bytes from `start` on. */
    uint64_t sent_to;             /* Bytes that were ever sent to this end. */
    uint64_t taken;               /* Bytes that were ever received by it. */
    struct sim_passed *passed;    /* Those that it has not received. */
    bool has_sent_fin;
    bool has_received_fin;
    bool is_urgent; /* See sim_set_urgent(). */

    struct sim_udp *udp; /* Of a socket for datagrams, else NULL. */
};

void sim__net_end(void);
extern struct sim_socket *sim__sockets; /* All. */
struct sim_socket *sim__socket_new(enum sys_family family);
int sim__bind(struct sim_socket *socket, const struct sys_address *address);
int sim__listen(struct sim_socket *socket, int backlog);
/* Makes the end of a client's connection that `listener` accepts, and has it
 * wait there. */
void sim__meet(struct sim_socket *listener, struct sim_socket *client);
bool sim__is_full(const struct sim_socket *listener);
/* Takes the first connection that waits; NULL if there is none. */
struct sim_socket *sim__take(struct sim_socket *listener);
int sim__connect(struct sim_socket *client, const struct sys_address *address);
/* Connects from outside: the SYN is sent, and `client` counts as connected. */
int sim__join(struct sim_socket *client, const struct sys_address *address);
void sim__pair(struct sim_socket *a, struct sim_socket *b);
/* Returns whether what is sent to `address` is for `socket`, if the ports are
 * equal. */
bool sim__covers(const struct sim_socket *socket,
                 const struct sys_address *address);
/* Closes a socket whose last number was closed. */
void sim__socket_gone(struct sim_socket *socket);

/* sim_unix.c: the same for Unix sockets. */

bool sim__is_unix(const struct sim_socket *socket);
int sim__unix_bind(struct sim_socket *socket,
                   const struct sys_address *address);
int sim__unix_connect(struct sim_socket *client,
                      const struct sys_address *address);
int sim__unix_format(const struct sys_address *address, char *text,
                     size_t size);

/* sim_udp.c: datagrams. */

/* Makes a socket for datagrams out of a new one. */
void sim__udp_init(struct sim_socket *socket);
void sim__udp_end(void);
void sim__udp_gone(struct sim_socket *socket);
int sim__udp_connect(struct sim_socket *socket,
                     const struct sys_address *address);
unsigned sim__udp_bits(const struct sim_socket *socket); /* REACTOR_*. */
/* Returns `size`, -EAGAIN or another error. */
ssize_t sim__udp_send(struct sim_socket *socket, const aloop_address *to,
                      const void *data, size_t size);
/* Takes the first datagram.  Its address is written to *ret_from.  Returns its
 * size, of which at most `size` bytes are copied, or an error. */
ssize_t sim__udp_receive(struct sim_socket *socket, void *buffer, size_t size,
                         aloop_address *ret_from);

/* sim_tty.c: terminals. */

void sim__tty_end(void);
unsigned sim__tty_bits(const struct sim_file *file); /* REACTOR_*. */
ssize_t sim__tty_read(struct sim_file *file, void *buffer, size_t size);
ssize_t sim__tty_write(struct sim_file *file, const struct sys_piece *pieces,
                       size_t count);

/* sim_stream.c: data on connections. */

ssize_t sim__send(struct sim_socket *socket, const struct sys_piece *pieces,
                  size_t count);
ssize_t sim__receive(struct sim_socket *socket, void *buffer, size_t size);
/* Sends descriptions with the first byte, and adds references to them. */
ssize_t sim__send_files(struct sim_socket *socket,
                        const struct sys_piece *piece,
                        struct sim_file *const *files, size_t count);
/* Receives, and returns the descriptions of at most one message, which the
 * caller frees. */
ssize_t sim__receive_files(struct sim_socket *socket, void *buffer, size_t size,
                           struct sim_passed **ret);
/* Drops the references, and frees the memory.  NULL is allowed. */
void sim__passed_free(struct sim_passed *passed);
size_t sim__room(const struct sim_socket *socket);
/* Sends a segment to `to`, which arrives after all earlier ones. */
void sim__segment(struct sim_socket *to, enum sim_segment_kind kind,
                  const void *data, size_t size);
void sim__finish(struct sim_socket *socket); /* Sends FIN, once. */
/* Sends RST.  Segments that travel from `socket` are lost. */
void sim__abort(struct sim_socket *socket);
/* Does the same, and `socket` ends with `error`. */
void sim__break(struct sim_socket *socket, int error);
void sim__drop(struct sim_socket *socket); /* Frees its data. */

/* sim_fork.c: the process that the library runs in. */

void sim__fork_end(void);
/* Called before a change to the object of `file`.  Counts a harm if a parent
 * shares the object, or if the caller is a vforked child. */
void sim__change(const struct sim_file *file);

/* sim_reactor.c, sim_thread.c, sim_address.c, sim_peer.c. */

/* Returns whether the descriptor of `reactor` is readable. */
bool sim__reactor_readable(const struct aloop__reactor *reactor);

/* Runs the threads that have started or have slept long enough.  Returns false
 * if there were none. */
bool sim__threads_run(void);
/* Lets `ns` pass; the caller is a thread. */
void sim__thread_sleep(int64_t ns);
void sim__thread_end(void);
void sim__signals_fork(void);   /* The child has received none. */
unsigned sim__locks_open(void); /* Mutexes and conditions. */
unsigned sim__signals_caught(void);
bool sim__locks_held(void);

void sim__address_end(void);
bool sim__address_is_blackhole(const struct sys_address *address);
bool sim__address_is_unreachable(const struct sys_address *address);
void sim__address_set_port(struct sys_address *address, uint16_t port);
bool sim__address_is_same(const struct sys_address *a,
                          const struct sys_address *b); /* Ignores ports. */
bool sim__address_is_any(const struct sys_address *address);
/* The address, with port 0, from which a machine connects to `to`. */
struct sys_address sim__address_source(const struct sys_address *to);
/* The address of a Unix socket without a name. */
struct sys_address sim__address_unnamed(void);
/* Returns ::ffff:a.b.c.d for an IPv4 address. */
struct sys_address sim__address_mapped(const struct sys_address *address);

void sim__peer_end(void);

/* sim_file.c, sim_fifo.c, sim_disk.c: files; see sim_files.h. */

void sim__file_gone(struct sim_file *file); /* After the last close. */
bool sim__file_is_waitable(const struct sim_file *file);
unsigned sim__fifo_bits(const struct sim_file *file); /* REACTOR_*. */
void sim__disk_begin(void);
void sim__disk_end(void);

#endif
