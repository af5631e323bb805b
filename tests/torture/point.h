/* One run of a scenario: which call fails, and the counts of calls. */

#ifndef POINT_H
#define POINT_H

#include "torture.h"

enum { POINT_ERRORS_MAX = 8, POINT_BURST = 8 };

/* A call that can fail, and its errors.  Lasting errors may be returned
 * indefinitely.  Passing errors concern one connection or moment, and are
 * returned only a few times in a row. */
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
    bool has_own_loop;
    unsigned every; /* Runs one in this many points; 0: all. */
};

enum point_world {
    WORLD_PLAIN,
    /* Calls process less than they could; connects finish immediately. */
    WORLD_SHORT,
    WORLD_TIGHT, /* Small buffers; waits end early. */
    WORLD_CHAOS,
    WORLD_CHAOS_2,
    WORLDS
};
enum point_kind { KIND_ONCE, KIND_BURST, KIND_FROM, KINDS };

struct point {
    const struct point_scenario *scenario;
    enum point_world world;
    enum point_kind kind;
    size_t call;  /* Index in point_calls. */
    unsigned nth; /* 0: no fault; this is the rehearsal. */
    int error;
};

/* Counts of a rehearsal. */
struct point_counts {
    unsigned calls[POINT_CALLS];
    unsigned wakes;
};

/* Counts an allocation, and returns whether it must fail. */
bool point_memory_fails(void);

/* The allocator of the library (aloop_options.resize), in memory.c. */
void *point_resize(void *context, void *old, size_t old_size, size_t size);
/* Chooses whether small objects are cut from chunks as usual.  Otherwise each
 * of them is an allocation that can fail and leak. */
void point_use_memory(bool has_slabs);
/* Returns whether the scenario leaves its loop allocated on purpose. */
bool point_leaves_memory(void);
/* Ends the run as failed if memory was not freed. */
void point_check_memory(void);

/* Runs a point in this process, and ends the process if the point fails.  A
 * rehearsal writes `counts`; other points use these counts as limits. */
void point_run(const struct point *point, struct point_counts *counts);

#endif
