/* Common parts of the targets on the simulated system: a new world with a loop,
 * an allocator that counts and can fail, a connection whose other end the
 * target controls, and a check that nothing is left. */

#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <string.h>

#include "aloop.h"
#include "fuzz.h"
#include "simulator/sim.h"

/* State of the present execution. */
struct fuzz_world {
    aloop *loop;
    size_t bytes;       /* Allocated by the library. */
    unsigned calls;     /* Allocations so far. */
    unsigned fails_at;  /* Number of the allocation that fails; 0: none. */
    bool has_failed;    /* An allocation has failed. */
    unsigned unhandled; /* Errors that were not handled. */
};

static inline void *fuzz_resize(void *context, void *old, size_t old_size,
                                size_t new_size)
{
    struct fuzz_world *world = context;
    void *memory;

    if (new_size > 0 && ++world->calls == world->fails_at) {
        world->has_failed = true;
        return NULL;
    }
    world->bytes += new_size;
    world->bytes -= old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    memory = realloc(old, new_size);
    if (memory == NULL)
        abort();
    return memory;
}

static inline void fuzz_on_unhandled(aloop *loop, int error, const char *what,
                                     void *arg)
{
    struct fuzz_world *world = arg;

    FUZZ_CHECK(loop == world->loop && error < 0 && what[0] != '\0');
    world->unhandled++;
}

/* Opens the world.  `seed` decides all random behaviour from here on.  With 0
 * there is none, and all sent data arrives in one piece. */
static inline void fuzz_world_open(struct fuzz_world *world, unsigned seed)
{
    aloop_options options = {.size = sizeof options,
                             .resize = fuzz_resize,
                             .resize_context = world,
                             .on_unhandled = fuzz_on_unhandled,
                             .on_unhandled_arg = world,
                             .stack_size = 48 * 1024};

    memset(world, 0, sizeof *world);
    sim_reset(seed);
    if (seed != 0)
        sim_chaos();
    world->loop = aloop_new(&options);
    FUZZ_CHECK(world->loop != NULL);
}

/* Makes the nth allocation from now on fail; 0: none. */
static inline void fuzz_world_starve(struct fuzz_world *world, unsigned nth)
{
    world->fails_at = nth > 0 ? world->calls + nth : 0;
}

static inline void fuzz_world_close(struct fuzz_world *world)
{
    FUZZ_CHECK(aloop_free(world->loop) == 0);
    FUZZ_CHECK(world->bytes == 0);
    if (sim_mess()[0] != '\0')
        fuzz_fail(__FILE__, __LINE__, sim_mess());
    sim_end();
}

/* Returns a stream of the loop.  *ret_peer is its other end. */
static inline aloop_stream *fuzz_connect(struct fuzz_world *world,
                                         int *ret_peer)
{
    aloop_stream *stream = NULL;
    int listener = sim_listen("127.0.0.1", 80, 8);
    ssize_t status =
        aloop_await(aloop_tcp_connect(world->loop, "127.0.0.1", "80", &stream));

    FUZZ_CHECK(status == 0 && stream != NULL);
    *ret_peer = sim_accept(listener);
    FUZZ_CHECK(*ret_peer >= 0);
    sim_peer_close(listener);
    return stream;
}

/* Lets time pass, and runs everything that becomes due. */
static inline void fuzz_run_for(struct fuzz_world *world, int64_t ns)
{
    FUZZ_CHECK(aloop_await(aloop_sleep(world->loop, ns)) == 0 ||
               world->has_failed);
}

#endif
