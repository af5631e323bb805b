/* Parts that the files of the HTTP server share: a server and a connection. */

#ifndef EXAMPLES_HTTPD_CONNECTION_H
#define EXAMPLES_HTTPD_CONNECTION_H

#include <sys/types.h>
#include <time.h>

#include "httpd.h"
#include "httpd_chunks.h"
#include "httpd_date.h"
#include "httpd_head.h"
#include "httpd_kept.h"

enum {
    HTTPD_STALL_SIZE = 64 * 1024, /* The unit of httpd_options.stall_ns. */
    HTTPD_MARK_LOW = 64 * 1024,
    HTTPD_MARK_HIGH = 128 * 1024, /* A head and 64 KiB are put in one go. */
    HTTPD_RECENT_MAX = 256,       /* Pieces of files; see httpd_send.c. */
    HTTPD_FRONT_MAX = 512,  /* Bytes of a head without httpd_add_field(). */
    HTTPD_EXTRA_MAX = 8448, /* Of httpd_add_field(): a target and more. */
    HTTPD_BODY_ROOM = 8192  /* Of the buffer, behind a head. */
};

/* A piece of a file that was found in the page cache. */
struct httpd_recent {
    dev_t device;
    ino_t inode;
    int64_t begin, end;
    int64_t until_ns; /* Then it has to be looked for again. */
};

struct httpd {
    aloop *loop;
    aloop_server *server;
    struct httpd_options options;
    struct httpd_connection *first;
    int port;
    bool is_stopping;
    time_t date_s; /* The second of `date`. */
    char date[HTTPD_DATE_SIZE];
    struct httpd_recent recent[HTTPD_RECENT_MAX];
    struct httpd_kept *kept; /* Or NULL. */
};

struct httpd_connection {
    struct httpd_request request; /* First, so that it leads back to this. */
    struct httpd *httpd;
    struct httpd_connection *next, *previous;
    aloop_stream *stream;
    aloop_deadline *deadline;
    aloop_future *idle; /* The read that waits for a request, or NULL. */
    char peer[96];      /* For the log. */
    int64_t start_ns;   /* When the head had arrived. */
    bool has_begun;     /* A byte of the next request has arrived. */
    unsigned served;    /* Requests. */

    /* What has been received, from `begin` to `end`.  While there is a request,
     * its head is in front of `body_start`, so that this part stays. */
    char *buffer;
    size_t room, begin, end, body_start;

    /* The body of the request. */
    bool has_body_ended;
    bool must_continue; /* The client waits for 100, which was not sent. */
    ssize_t body_error; /* 0, or why it cannot be read. */
    int64_t body_left;  /* With Content-Length. */
    uint64_t body_size; /* Bytes that were read. */
    size_t stall_left;  /* Bytes that have to arrive within stall_ns. */
    int64_t stall_ns;
    struct httpd_chunks chunks;

    /* The answer. */
    int status;   /* 0: it has not begun. */
    bool is_bare; /* Nothing of the body is sent. */
    bool is_chunked;
    bool is_last;  /* The connection is closed after it. */
    int64_t left;  /* Bytes of the body; -1: not known. */
    uint64_t sent; /* Bytes of the body. */
    size_t held;   /* Bytes of `answer` that were not put yet. */
    /* The head.  Before it begins, the fields that were added are behind the
     * place of the others. */
    size_t extra_size; /* Bytes of those fields. */
    char answer[HTTPD_FRONT_MAX + HTTPD_EXTRA_MAX];

    struct httpd_head head;
    char *paths; /* See httpd_head_parse(). */
};

/* The connection of a request. */
static inline struct httpd_connection *httpd_connection_of(
    struct httpd_request *request)
{
    return (struct httpd_connection *) request;
}

/* Begins a time limit for what the client has to do next; 0: there is none. */
void httpd_limit(struct httpd_connection *connection, int64_t ns);

/* Prepares the body, or the answer, of the request in connection->head. */
void httpd_body_init(struct httpd_connection *connection);
void httpd_answer_init(struct httpd_connection *connection);

/* Reads and drops the rest of the body, up to 64 KiB.  Returns 0, or why its
 * end was not found. */
ssize_t httpd_body_skip(struct httpd_connection *connection);

/* Answers with the text of the status.  The connection is closed after it if
 * `is_last`. */
ssize_t httpd_answer_status(struct httpd_connection *connection, int status,
                            bool is_last);

/* Queues bytes, after the head that is held back. */
int httpd_put(struct httpd_connection *connection, const void *data,
              size_t size);

/* Counts a part of the body.  Returns whether its length permits it. */
bool httpd_count(struct httpd_connection *connection, uint64_t size);

/* Completes the answer that a handler has begun. */
ssize_t httpd_answer_end(struct httpd_connection *connection);

/* Waits until no more than `mark` bytes are queued.  The client has stall_ns
 * for each 64 KiB that it receives. */
ssize_t httpd_drain(struct httpd_connection *connection, size_t mark);

#endif
