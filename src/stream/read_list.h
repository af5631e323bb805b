/* A read operation of a stream, and the list of those that exist. */

#ifndef ALOOP_STREAM_READ_LIST_H
#define ALOOP_STREAM_READ_LIST_H

#include "stream/stream.h"

enum { DELIMITER_MAX = 256 };

/* What completes an operation: any bytes, a full buffer, a delimiter, or the
 * end. */
enum aloop__read_kind { SOME, EXACTLY, UNTIL, TO_END };

/* The future of a read. */
struct aloop__read {
    aloop_future future;
    /* In stream->reads or sender->reads, or in no list if `at` is NULL. */
    struct aloop__read *next;
    struct aloop__read **at; /* The pointer that points to this read. */
    aloop_stream *stream;
    enum aloop__read_kind kind;
    /* The caller's, of `size` bytes.  `filled` bytes were received so far. */
    char *buffer;
    size_t size;
    size_t filled;
    /* UNTIL only; other kinds are allocated without these fields. */
    size_t searched; /* No delimiter begins before this offset. */
    size_t delimiter_size;
    char delimiter[DELIMITER_MAX];
};

/* Adds the operation to a list, in which a close finds the continuations of all
 * reads that exist, settled ones included. */
static inline void aloop__read_add(struct aloop__read **list,
                                   struct aloop__read *op)
{
    op->next = *list;
    if (op->next != NULL)
        op->next->at = &op->next;
    op->at = list;
    *list = op;
}

/* Called when the operation is freed, or before that by a close. */
static inline void aloop__read_remove(struct aloop__read *op)
{
    if (op->at == NULL)
        return;
    *op->at = op->next;
    if (op->next != NULL)
        op->next->at = op->at;
    op->at = NULL;
}

#endif
