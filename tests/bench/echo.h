/* The echo servers, and their messages.
 *
 * A plain server sends back all data that it receives.  A framed server splits
 * the data into messages, as a protocol does, and answers each with a separate
 * write call; this shows how a peer combines such calls. */

#ifndef ECHO_H
#define ECHO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MESSAGE_SIZE = 64, FRAME_MAX = 1024, CHUNK_SIZE = 64 * 1024 };

/* 100,000 expiries a second. */
enum { TIMERS = 1000, TIMER_PERIOD_MS = 10 };

/* Shared with the measuring process. */
struct server_report {
    char path[64];               /* Of a Unix socket; empty: TCP. */
    atomic_int port;             /* 0 until it listens; 1: the path. */
    _Atomic(int64_t) user_bytes; /* Allocated now. */
    /* NULL, or a file that the server reads again and again, CHUNK_SIZE bytes
     * at a time. */
    const char *read_path;
    bool has_timers; /* TIMERS timers, each of which expires every 10 ms. */
    bool has_filter; /* Libaloop only: streams get the filter identity. */
};

/* Each of these serves on 127.0.0.1, or on the path of the report, until it is
 * killed.  None of them returns.  Those of libev and libevent have nothing of
 * the report but the port. */
void echo_epoll(struct server_report *report, bool is_framed);
void echo_aloop(struct server_report *report, bool is_framed);
void echo_uv(struct server_report *report, bool is_framed);
void echo_ev(struct server_report *report, bool is_framed);
void echo_event(struct server_report *report, bool is_framed);

/* Works like realloc(), and counts bytes in report->user_bytes. */
void *counted_resize(struct server_report *report, void *old, size_t size);

/* The received beginning of an incomplete message. */
struct partial {
    size_t size;
    char bytes[FRAME_MAX];
};

typedef void (*frame_fn)(void *arg, const char *frame, size_t size);

/* Returns the size of a message.  Its first two bytes hold it, and are
 * included. */
static inline size_t frame_size(const char *bytes)
{
    size_t size = (size_t) (unsigned char) bytes[0] << 8 |
                  (unsigned char) bytes[1];

    return size < 2 || size > FRAME_MAX ? FRAME_MAX : size;
}

/* Calls on_frame for each complete message in the data so far. */
static inline void split(struct partial *partial, const char *data, size_t size,
                         frame_fn on_frame, void *arg)
{
    while (size > 0) {
        size_t need, take;

        if (partial->size == 0 && size >= 2 && size >= frame_size(data)) {
            take = frame_size(data);
            on_frame(arg, data, take);
            data += take;
            size -= take;
            continue;
        }
        need = partial->size < 2 ? 2 : frame_size(partial->bytes);
        take = need - partial->size < size ? need - partial->size : size;
        memcpy(partial->bytes + partial->size, data, take);
        partial->size += take;
        data += take;
        size -= take;
        if (partial->size >= 2 && partial->size == frame_size(partial->bytes)) {
            on_frame(arg, partial->bytes, partial->size);
            partial->size = 0;
        }
    }
}

#endif
