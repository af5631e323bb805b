/* Files, directories, work, polls, operations of the application, prepares and
 * signals in the state machine, which the model does not cover.
 *
 * As with streams, the model knows only a part of the loop from the first of
 * these on, and times are not checked.  These rules are checked instead: each
 * future settles once, with a status that its fate allows; every byte that is
 * read is right; a position moves by what was read; a function runs once, or
 * never if it was cancelled; no callback runs after a close; and the library
 * does not use borrowed memory after its future has settled. */

#ifndef MACHINE_OUTSIDE_H
#define MACHINE_OUTSIDE_H

#include "machine.h"

enum {
    OUTS_MAX = 64,
    FILES_MAX = 4,
    POLLS_MAX = 3,
    PREPARES_MAX = 2,
    FILE_SIZE = 9000,
    ITEMS_MAX = 6,
    BATCH_MAX = 3
};

enum out_kind {
    OPEN,
    READ,
    WRITE,
    WORK,
    WORK_MAP,
    MAP,
    OPERATION,
    POLL_WAIT,
    SIGNAL_WAIT,
    SERVER_STOP,
    UDP_RECEIVE, /* These three in this order. */
    UDP_SEND,
    UDP_DRAIN,
    TTY_READ,
    READ_FILE,
    WRITE_FILE,
    REPLACE,
    COPY,
    SCAN,
    DIR_OPEN,
    DIR_READ,
    TEMP,
    MAKE_TREE,
    REMOVE_TREE,
    STAT,
    RENAME,
    RESOLVE,
    FS_TRUNCATE,
    FILE_STAT,
    FILE_CHANGE,
    FILE_SEEK,
    NAME
};

struct file {
    aloop_file *file; /* NULL: closed, or not open yet. */
    bool is_opening;
    unsigned number;     /* Of the file system's file. */
    unsigned begun;      /* Operations at the position so far. */
    unsigned unfinished; /* And in flight. */
};

/* An item of a map, or a function. */
struct item {
    unsigned runs;
    ssize_t status;
};

/* An operation that is followed until it ends. */
struct out {
    enum out_kind kind;
    aloop_future *future; /* A reference, or NULL if it was dropped. */
    struct file *file;    /* NULL: it was closed. */
    bool may_end;         /* It was cancelled, or the file was closed. */
    bool has_ended;
    bool is_settled; /* An operation: by its maker; a wait: by a signal. */
    char *buffer;    /* Lent to it, until it has settled. */
    size_t size, offset;
    unsigned number;      /* Of the file system's file, or of a socket. */
    unsigned at_position; /* Its number there, or 0. */
    struct item items[ITEMS_MAX];
    size_t count;
    char path[16];
    void *data;   /* Of a whole file, or the names of a scan. */
    bool is_kept; /* These are left to aloop_free(). */
    aloop_dir_entry batch[BATCH_MAX];
    aloop_file *temp;
    bool is_replacing;
    aloop_stat stat;
    struct iovec parts[2];
    uint64_t copied;  /* As the last call of the progress has reported. */
    const char *text; /* A NAME: what it writes to the buffer, or NULL. */
    ssize_t possible; /* A NAME: an error that it may have, or 0. */
};

struct outside {
    struct file files[FILES_MAX];
    struct out outs[OUTS_MAX];
    unsigned out_count;
    int fds[2]; /* -1: not open. */
    aloop_poll *polls[POLLS_MAX];
    unsigned watched[POLLS_MAX];
    aloop_prepare *prepares[PREPARES_MAX];
    aloop_signal *signal;
    unsigned raised, signalled;
    aloop_dir *dir; /* NULL: closed, or not open yet. */
    bool is_opening_dir;
    struct out *reading; /* From it. */
    unsigned temps;      /* Temporary files and directories that exist. */
};

extern struct outside o;

/* machine_outside.c */

/* The first act of these.  Returns false if it is not allowed now. */
bool enter(void);
/* One that is allowed anywhere. */
void act_outside(void);
/* Handles a callback that the model does not cover; see stream_act_some(). */
void outside_act_some(void);
struct out *new_out(enum out_kind kind); /* NULL: there are enough. */
bool is_out_pending(const struct out *out);
void end_out(struct out *out); /* After it has settled. */
void follow_out(struct out *out, aloop_future *future);

/* machine_file.c */

char file_byte(unsigned number, size_t at);
void file_fill(char *buffer, unsigned number, size_t offset, size_t size);
void files_begin(void);
void end_open(struct out *out, ssize_t status);
void end_data(struct out *out, ssize_t status);
void close_files(void);
void act_open(void);
void act_data(void);
void act_change(void);
void act_close_file(void);
void act_seek_end(void);
void act_adopt(void);
void end_seek(struct out *out, ssize_t status);

/* machine_name.c */

void names_begin(void);
unsigned names_left(void); /* Names of files that exist in the end. */
void end_name(struct out *out, ssize_t status);
void act_name(void);
void act_resolve_name(void);

/* machine_fs.c */

void end_fs(struct out *out, ssize_t status);
void fs_close(void);
void fs_check(void);
void act_read_file(void);
void act_write_file(void);
void act_copy(void);
void act_scan(void);
void act_dir(void);
void act_close_dir(void);
void act_temp(void);
void act_tree(void);
void act_stat(void);
void act_rename(void);
void act_truncate(void);
void act_resolve(void);
void act_drop_fs(void);

/* machine_poll.c */

void close_watches(void);
void act_poll(void);
void act_close_poll(void);
void act_poll_wait(void);
void act_refer(void);
void act_send(void);
void act_prepare(void);
void act_signal(void);
void act_raise(void);
void act_signal_wait(void);

/* machine_udp.c */

void udp_begin(void);
void close_udp(void);
void udp_cancelled(const struct out *out);
void end_udp(struct out *out, ssize_t status);
void act_udp_put(void);
void act_udp_send(void);
void act_udp_receive(void);
void act_udp_start(void);
void act_udp_close(void);

/* machine_server.c */

void server_begin(void);
void server_check(void); /* After everything was freed. */
void close_server(void);
void end_server(const struct out *out, ssize_t status);
void act_serve(void);
void act_client(void);
void act_client_talk(void);
void act_server_stop(void);

/* machine_tty.c */

void tty_begin(void);
void tty_check(void); /* After everything was freed. */
void close_tty(void);
void end_tty(const struct out *out, ssize_t status);
void act_tty_user(void);
void act_tty_mode(void);
void act_tty_put(void);
void act_tty_read(void);
void act_tty_close(void);

#endif
