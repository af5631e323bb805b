/* What the simulated worlds share: one world runs one whole program on the
 * simulated system, from a seed, and checks what must hold whatever happens.
 *
 * All that looks like chance comes from the seed, so that the driver can show
 * that two runs of one seed are the same.  A check that does not hold ends the
 * process, and the driver prints the command that shows it again. */

#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aloop.h"
#include "simulator/sim.h"

/* How hard life is.  Each kind brings what the one before it does. */
enum weather {
    CALM,    /* Nothing is left to chance but delays and buffers. */
    CHAOS,   /* Split, short, spurious, shuffled, early; nothing breaks. */
    BROKEN,  /* Calls fail, peers reset, the clock jumps. */
    STARVED, /* Memory fails too. */
    WEATHERS
};

struct world {
    const char *name;
    void (*start)(void);   /* Starts the program; the loop is there. */
    bool (*is_done)(void); /* Asked after every turn; checks as well. */
    void (*close)(void);   /* Closes what is open, so that the loop ends. */
    void (*check)(void);   /* After an orderly end; NULL: nothing to add. */
    void (*outlive)(void); /* When the loop is gone, however; or NULL. */
};

extern const struct world world_chat, world_echo, world_ends, world_proxy,
    world_states, world_timers, world_tree;

/* The present run; zeroed before each. */
struct run {
    aloop *loop;
    enum weather weather;
    bool jumps;        /* The clock may jump. */
    bool is_quiet;     /* No more faults: the end has begun. */
    bool is_freeing;   /* Inside aloop_free(). */
    bool is_over;      /* No call of the program may come any more. */
    size_t bytes;      /* Of the library's memory that are out. */
    unsigned turns;
    unsigned unhandled; /* Errors that nobody looked at. */
    int64_t jumped_ns;  /* All jumps of the clock together. */
};

extern struct run run;

#define CHECK(claim)                                  \
    do {                                              \
        if (!(claim))                                 \
            world_fail(__FILE__, __LINE__, #claim);   \
    } while (0)

/* Says what does not hold and ends the process. */
_Noreturn void world_fail(const char *file, int line, const char *claim);

/* Runs `world` from `seed`.  Returns the trace hash; adds the virtual time that
 * it took to *ns. */
uint64_t world_run(const struct world *world, uint64_t seed, int64_t *ns);

static inline bool chance(unsigned percent)
{
    return sim_random(100) < percent;
}

/* `least` to `most`, both included. */
static inline size_t between(size_t least, size_t most)
{
    return least + (size_t) sim_random(most - least + 1);
}

/* Mostly short, sometimes long, up to `most_ns`. */
int64_t any_delay_ns(int64_t most_ns);

/* Whether connections may break and calls may fail in this run. */
static inline bool may_break(void)
{
    return run.weather >= BROKEN;
}

/* Sets the watermarks, which needs memory. */
static inline void set_watermarks(aloop_stream *stream, size_t low, size_t high)
{
    int error = aloop_stream_set_watermarks(stream, low, high);

    CHECK(error == 0 || (error == ALOOP_ENOMEM && run.weather == STARVED));
}

/* Zeroed memory that lives until the run has ended. */
void *keep(size_t size);

/* Byte `at` of the endless text `id`.  Both ends know it, so that each can
 * tell whether what came is what was sent. */
unsigned char text_byte(unsigned id, size_t at);
void text_fill(unsigned id, size_t at, void *buffer, size_t size);
bool text_matches(unsigned id, size_t at, const void *data, size_t size);

/* An operation that is followed to its end: it settles once. */
struct follow {
    struct follow *next;
    void (*on_end)(struct follow *follow, ssize_t status); /* NULL: none. */
    void *arg;
    bool is_attached;
    unsigned ended;
};

/* Takes over the caller's reference.  Where there is no memory to follow it,
 * on_end is called at once, and a task that is then cancelled runs all the
 * same. */
void follow(aloop_future *future,
            void (*on_end)(struct follow *follow, ssize_t status), void *arg);
/* How many of them have not ended. */
/* The library has taken back what follows on behalf of `arg`. */
void unfollow(const void *arg);
size_t following(void);

#endif
