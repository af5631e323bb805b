/* Common parts of the simulated worlds.  A world is a whole program on the
 * simulated system.  It runs from a seed and checks its own invariants.
 *
 * All random choices come from the seed, so the driver can check that two runs
 * of one seed are identical.  A check that fails ends the process, and the
 * driver prints the command that repeats the run. */

#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aloop.h"
#include "simulator/sim.h"

/* Fault levels.  Each level includes those before it. */
enum weather {
    CALM,    /* Only delays and buffer sizes are random. */
    CHAOS,   /* Split, short, spurious, shuffled, early; no failures. */
    BROKEN,  /* Calls fail, peers reset, the clock jumps. */
    STARVED, /* Allocations fail, too. */
    WEATHERS
};

struct world {
    const char *name;
    void (*start)(void);   /* Starts the program; the loop exists. */
    bool (*is_done)(void); /* Called after each turn; may check, too. */
    void (*close)(void);   /* Closes open objects, so that the loop ends. */
    void (*check)(void);   /* After an orderly end; or NULL. */
    void (*outlive)(void); /* After the loop was freed in any way; or NULL. */
};

extern const struct world world_channels, world_chat, world_datagrams,
    world_echo, world_ends, world_files, world_filters, world_names,
    world_passing, world_paths, world_proxy, world_serve, world_signals,
    world_states, world_sync, world_terminals, world_timers, world_tree,
    world_work;

/* The present run.  It is zeroed before each run. */
struct run {
    aloop *loop;
    int host_fd; /* Of the loop that it runs inside, or -1. */
    enum weather weather;
    bool has_jumps;  /* The clock may jump. */
    bool is_quiet;   /* No more faults: the end has begun. */
    bool is_freeing; /* Inside aloop_free(). */
    bool is_over;    /* The library must not call the program any more. */
    size_t bytes;    /* Allocated by the library. */
    unsigned turns;
    unsigned unhandled; /* Errors that were not handled. */
    int64_t jumped_ns;  /* Sum of all jumps of the clock. */
};

extern struct run run;

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            world_fail(__FILE__, __LINE__, #condition); \
    } while (0)

/* Prints the condition that does not hold, and ends the process. */
_Noreturn void world_fail(const char *file, int line, const char *condition);

/* Runs `world` from `seed`.  Returns the hash of its trace, and adds the
 * virtual time of the run to *ns. */
uint64_t world_run(const struct world *world, uint64_t seed, int64_t *ns);

static inline bool chance(unsigned percent)
{
    return sim_random(100) < percent;
}

/* Returns a number from `least` to `most`, both included. */
static inline size_t between(size_t least, size_t most)
{
    return least + (size_t) sim_random(most - least + 1);
}

/* Returns a delay up to `most_ns`, mostly short and sometimes long. */
int64_t any_delay_ns(int64_t most_ns);

/* Returns whether connections may break and calls may fail in this run. */
static inline bool may_break(void)
{
    return run.weather >= BROKEN;
}

/* Returns whether an operation on files may fail with `error`.  `may_end`:
 * something in the world cancels it, or closes what it uses. */
static inline bool is_file_error(ssize_t error, bool may_end)
{
    if (error == ALOOP_ECANCELED)
        return may_end;
    if (error == ALOOP_ENOMEM)
        return run.weather == STARVED;
    return may_break() && (error == ALOOP_EIO || error == ALOOP_ENOSPC ||
                           error == ALOOP_EMFILE || error == ALOOP_EAGAIN);
}

/* Sets the watermarks, which needs memory. */
static inline void set_watermarks(aloop_stream *stream, size_t low, size_t high)
{
    int error = aloop_stream_set_watermarks(stream, low, high);

    CHECK(error == 0 || (error == ALOOP_ENOMEM && run.weather == STARVED));
}

/* Checks that nothing but `object` keeps the loop alive, and only while it is
 * referenced. */
#define CHECK_REFERENCES(object, ref, unref) \
    do { \
        CHECK(aloop_alive(run.loop)); \
        (unref)(object); \
        (unref)(object); \
        CHECK(!aloop_alive(run.loop)); \
        (ref)(object); \
        CHECK(aloop_alive(run.loop)); \
    } while (0)

/* A call that fails only in some worlds, and its error. */
struct fault {
    const char *call_name;
    int error;
};

/* Makes one of the calls fail now and then, if the weather allows it. */
void inject(const struct fault *faults, size_t count);

/* Returns zeroed memory that is freed when the run has ended. */
void *keep(size_t size);

/* Returns byte `at` of the endless text `id`.  Both ends can compute it, so
 * that each can check what it receives. */
unsigned char text_byte(unsigned id, size_t at);
void text_fill(unsigned id, size_t at, void *buffer, size_t size);
bool text_matches(unsigned id, size_t at, const void *data, size_t size);

/* An operation that is expected to settle exactly once. */
struct follow {
    struct follow *next;
    void (*on_end)(struct follow *follow, ssize_t status); /* Or NULL. */
    void *arg;
    bool is_attached;
    unsigned ended;
};

/* Follows `future` until it settles, and takes over the caller's reference.  If
 * memory for this is missing, it calls on_end immediately.  A task that is
 * cancelled by then still runs. */
void follow(aloop_future *future,
            void (*on_end)(struct follow *follow, ssize_t status), void *arg);
/* Stops following the operations of `arg`, because the library has dropped
 * them. */
void unfollow(const void *arg);
/* Returns the number of followed operations that have not settled. */
size_t following(void);

#endif
