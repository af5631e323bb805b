/* What a file may contain while operations on it are in flight.
 *
 * Writes that overlap in time reach the file in any order.  Each write has a
 * text of its own, so that a read shows which write each byte comes from.  A
 * byte may come from any write that began before the read ended, unless another
 * one that covers it began later and ended before the read began.
 *
 * Calls and ends are numbered in the order in which the program sees them.  A
 * write ends for the program later than in the system, which only makes the
 * checks weaker.  When nothing is in flight, the content is read and known. */

#ifndef CONTENT_H
#define CONTENT_H

#include "world.h"

enum { CONTENT_MAX = 16384, CHANGES_MAX = 32, CONTENT_BLOCK = 4096 };

/* A write. */
struct change {
    unsigned id;      /* Of its text. */
    size_t low, high; /* It begins at or between these offsets. */
    size_t size;
    unsigned begun, ended; /* UINT_MAX: not ended. */
    bool is_whole;         /* All was written. */
};

struct content {
    char path[16];
    unsigned char known[CONTENT_MAX]; /* Before the changes. */
    size_t known_size;
    struct change changes[CHANGES_MAX];
    unsigned change_count;
    unsigned active;   /* Operations in flight, also reads. */
    bool is_exclusive; /* One of them bears no other one. */
    /* What a crash must leave: blocks that were not changed after a sync. */
    unsigned char synced[CONTENT_MAX];
    size_t synced_size;
    bool has_changed[CONTENT_MAX / CONTENT_BLOCK];
    bool may_be_cut, has_failed; /* A sync may have failed. */
};

/* Creates the file. */
void content_begin(struct content *content, unsigned number);
/* Returns a number for a call or an end. */
unsigned content_now(void);
/* Adds a write that begins, and fills its buffer. */
struct change *content_write(struct content *content, size_t low, size_t high,
                             void *buffer, size_t size);
void content_written(struct change *change, bool is_whole);
/* Checks what a read that began at `begun` has read. */
void content_check(const struct content *content, const void *data,
                   size_t offset, size_t size, unsigned begun);
/* Checks the end of the file that the read found or did not find. */
void content_check_size(const struct content *content, size_t size,
                        unsigned begun);
/* The size is between these for a read that began at `begun`. */
size_t content_size_min(const struct content *content, unsigned begun);
size_t content_size_max(const struct content *content);
/* If nothing is in flight, checks the whole file. */
void content_settle(struct content *content);
/* The file was cut, or all of it was synced, while nothing else was in
 * flight. */
void content_cut(struct content *content, size_t size);
void content_synced(struct content *content);
/* Checks what a crash has left. */
void content_check_crash(const struct content *content);

#endif
