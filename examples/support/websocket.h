/* The frames of WebSocket (RFC 6455), without input and output.
 *
 * The reader takes bytes in parts of any size and unmasks them in place.  It
 * never waits for a whole frame, so a message may be larger than memory:
 *
 *     struct websocket frames = {.message_max = 1024 * 1024};
 *
 *     while (size > 0) {
 *         used = websocket_read(&frames, data, size, &event);
 *         ... event.kind ...
 *         data += used;
 *         size -= used;
 *     }
 *
 * Extensions are not supported, so none may be offered or accepted. */

#ifndef EXAMPLES_WEBSOCKET_H
#define EXAMPLES_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "utf8.h"

enum {
    WEBSOCKET_HEAD_MAX = 14,    /* Bytes of a frame's head. */
    WEBSOCKET_CONTROL_MAX = 125 /* Bytes of a control frame's payload. */
};

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_OP_CLOSE = 8,
    WEBSOCKET_OP_PING = 9,
    WEBSOCKET_OP_PONG = 10
};

/* Codes of a close (7.4.1).  1005 and 1006 are never sent. */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL = 1002, /* A frame is malformed. */
    WEBSOCKET_NO_CODE = 1005,  /* The close frame was empty. */
    WEBSOCKET_NO_CLOSE = 1006, /* The connection ended without one. */
    WEBSOCKET_NOT_UTF8 = 1007,
    WEBSOCKET_TOO_LARGE = 1009
};

enum websocket_kind {
    WEBSOCKET_NOTHING, /* More bytes are needed. */
    WEBSOCKET_DATA,    /* A part of a message. */
    WEBSOCKET_PING,
    WEBSOCKET_PONG,
    WEBSOCKET_CLOSE, /* Nothing more is read. */
    WEBSOCKET_ERROR  /* The same; `code` is to be sent. */
};

struct websocket_event {
    enum websocket_kind kind;
    bool is_text;     /* Of the message. */
    bool is_first;    /* No part of the message was reported before. */
    bool is_last;     /* The message ends with this part, which may be empty. */
    const void *data; /* Valid until the next read.  Text may end in the middle
                         of a character.  Of a close, it is the reason. */
    size_t size;
    int code; /* Of a close (1005 if it has none), or of an error. */
};

/* What one end reads.  Set the first two fields; the rest is 0 initially. */
struct websocket {
    uint64_t message_max; /* Bytes of a message. */
    bool is_client;       /* The peer is a server, which does not mask. */

    bool has_ended; /* A close or an error was reported. */
    unsigned char head[WEBSOCKET_HEAD_MAX];
    size_t head_size; /* Bytes that have arrived. */
    size_t head_need; /* Of them, 0 if the head is that of the next frame. */
    bool is_in_payload;
    uint64_t left;         /* Bytes of the payload. */
    unsigned char key[4];  /* The next bytes of the mask. */
    unsigned char message; /* The opcode of the present message, or 0. */
    bool has_reported;     /* A part of it. */
    uint64_t message_size; /* Including the present frame. */
    struct utf8 utf8;      /* Of a text message. */
    size_t control_size;   /* Bytes of `control`. */
    unsigned char control[WEBSOCKET_CONTROL_MAX];
};

/* Reads a frame, or a part of it, from `data`, which is changed.
 *
 * Returns how many bytes it has used: at least 1, and all if nothing is
 * reported.  What is wrong is reported as soon as it has arrived.  Everything
 * after a close or an error is dropped. */
size_t websocket_read(struct websocket *frames, void *data, size_t size,
                      struct websocket_event *ret);

/* Writes the head of a frame, with the mask if `key` is not NULL.  Returns its
 * size. */
size_t websocket_head(enum websocket_opcode opcode, bool is_last, uint64_t size,
                      const unsigned char key[4],
                      unsigned char ret[WEBSOCKET_HEAD_MAX]);

/* Masks or unmasks bytes, of which the first is at `offset` in its frame. */
void websocket_mask(void *data, size_t size, const unsigned char key[4],
                    size_t offset);

/* Writes the payload of a close, and returns its size.  The reason is cut if it
 * is too long; with the code 1005 the payload is empty. */
size_t websocket_close_payload(int code, const char *reason,
                               unsigned char ret[WEBSOCKET_CONTROL_MAX]);

enum { WEBSOCKET_KEY_SIZE = 25, WEBSOCKET_ACCEPT_SIZE = 29 };

/* Writes the value of Sec-WebSocket-Key, with a zero byte. */
void websocket_key(const unsigned char random[16],
                   char ret[WEBSOCKET_KEY_SIZE]);

/* Returns whether a text is the value of a Sec-WebSocket-Key: 16 bytes in
 * base64. */
bool websocket_is_key(const char *text);

/* Writes the value of Sec-WebSocket-Accept for a key (4.2.2), with a zero
 * byte. */
void websocket_accept(const char *key, char ret[WEBSOCKET_ACCEPT_SIZE]);

#endif
