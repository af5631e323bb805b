/* One run of a scenario: what fails in it, and what is counted. */

#ifndef POINT_H
#define POINT_H

#include "torture.h"

enum { POINT_ERRORS_MAX = 8, POINT_BURST = 8 };

/* What can fail, and with what: errors that can last, and those of one
 * connection or moment, which come back only a few times in a row. */
struct point_call {
    const char *name;
    int lasting[POINT_ERRORS_MAX];
    int passing[POINT_ERRORS_MAX];
};

/* Allocations, and the functions of the seam that can fail. */
enum {
    POINT_MEMORY,
#define FAILS(function, lasting, passing) POINT_##function,
#include "support/sys_calls.def"
    POINT_CALLS
};

extern const struct point_call point_calls[POINT_CALLS];

struct point_scenario {
    const char *name;
    torture_fn run; /* NULL: a whole program. */
    bool makes_loop;
    unsigned every; /* So many points are too many: one of these; 0: all. */
};

enum point_world {
    WORLD_PLAIN,
    WORLD_SHORT, /* Calls do less than they could; connects are done at once. */
    WORLD_TIGHT, /* Little fits into a connection; waits end early. */
    WORLD_CHAOS,
    WORLD_CHAOS_2,
    WORLDS
};
enum point_kind { KIND_ONCE, KIND_BURST, KIND_FROM, KINDS };

struct point {
    const struct point_scenario *scenario;
    enum point_world world;
    enum point_kind kind;
    size_t call; /* In point_calls. */
    unsigned nth; /* 0: nothing fails, this is the rehearsal. */
    int error;
};

/* What a rehearsal found. */
struct point_counts {
    unsigned calls[POINT_CALLS];
    unsigned wakes;
};

/* Counts an allocation, and returns whether it must fail. */
bool point_memory_fails(void);

/* memory.c: what the library gets its memory from; an aloop_options.resize. */
void *point_resize(void *context, void *old, size_t old_size, size_t size);
/* Whether small objects are cut from chunks as usual; else each of them is an
 * allocation, which can fail and can leak. */
void point_use_memory(bool has_slabs);
/* Whether the scenario was meant to leave its loop as it is. */
bool point_leaves_memory(void);
/* Ends the run where some was not given back. */
void point_check_memory(void);

/* Runs it in this process, and ends that where it does not pass.  A rehearsal
 * writes `counts`; the others are measured by them. */
void point_run(const struct point *point, struct point_counts *counts);

#endif
