/* One run of a world: it makes the loop, chooses the faults, steps the loop,
 * checks invariants after each turn, and ends the program.
 *
 * Every world also receives posts from other threads.  Each post must run once,
 * in order, and at the virtual time at which it was queued: time advances only
 * in waits, and a post ends the wait. */

#include "loop/debug.h" /* First: world.h has a variable `run`. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/state.h"
#include "os/sys.h"

enum {
    STILL_MAX = 20000,  /* Turns in a row at one point in time. */
    TURNS_MAX = 400000, /* Turns of a run. */
    POSTS_MAX = 12      /* From other threads; each may queue another one. */
};

struct kept {
    struct kept *next;
    max_align_t bytes[];
};

struct run run;

static struct kept *kept;
static struct follow *follows;
static unsigned memory_percent; /* Percentage of allocations that fail. */

/* Posts of simulated threads. */
static struct {
    unsigned planned, came, queued, ran;
    int64_t queued_ns[2 * POSTS_MAX];
} posts;

_Noreturn void world_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: turn %u: does not hold: %s\n", file, line,
            run.turns, condition);
    abort();
}

void *keep(size_t size)
{
    struct kept *block = calloc(1, sizeof *block + size);

    if (block == NULL)
        abort();
    block->next = kept;
    kept = block;
    return block->bytes;
}

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    void *memory;

    (void) context;
    if (new_size == 0) {
        run.bytes -= old_size;
        free(old);
        return NULL;
    }
    if (!run.is_quiet && memory_percent > 0 && chance(memory_percent))
        return NULL;
    memory = realloc(old, new_size);
    if (memory == NULL)
        abort();
    run.bytes += new_size - old_size;
    return memory;
}

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    (void) arg;
    CHECK(loop != NULL && error < 0 && strlen(what) > 0);
    run.unhandled++;
}

int64_t any_delay_ns(int64_t most_ns)
{
    static const int64_t limits_ns[] = {1, 1000, 1000000, 50000000};
    uint64_t kind = sim_random(8);
    int64_t limit_ns = most_ns;

    if (kind < 6 && limits_ns[kind % 4] < most_ns)
        limit_ns = limits_ns[kind % 4];
    return (int64_t) sim_random((uint64_t) limit_ns + 1);
}

unsigned char text_byte(unsigned id, size_t at)
{
    uint64_t x = (uint64_t) at * UINT64_C(0x9e3779b97f4a7c15) +
                 (uint64_t) id * UINT64_C(0xd1342543de82ef95);

    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (unsigned char) (x >> 56);
}

void text_fill(unsigned id, size_t at, void *buffer, size_t size)
{
    unsigned char *bytes = buffer;

    for (size_t i = 0; i < size; i++)
        bytes[i] = text_byte(id, at + i);
}

bool text_matches(unsigned id, size_t at, const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != text_byte(id, at + i))
            return false;
    return true;
}

static void on_settled(aloop_future *future, ssize_t status, void *arg)
{
    struct follow *one = arg;

    CHECK(!run.is_over);
    CHECK(aloop_future_is_settled(future));
    CHECK(status != ALOOP_PENDING);
    CHECK(aloop_future_status(future) == status);
    CHECK(one->is_attached && one->ended == 0);
    one->ended++;
    if (one->on_end != NULL)
        one->on_end(one, status);
}

void follow(aloop_future *future,
            void (*on_end)(struct follow *follow, ssize_t status), void *arg)
{
    struct follow *one = keep(sizeof *one);
    int result;

    *one = (struct follow){.next = follows, .on_end = on_end, .arg = arg};
    follows = one;
    one->is_attached = true;
    result = aloop_then(future, on_settled, one);
    /* EINVAL: the result of a misuse, which belongs to no loop. */
    if (result < 0) {
        CHECK(run.weather == STARVED || result == ALOOP_EINVAL);
        one->is_attached = false;
        if (on_end != NULL)
            on_end(one, result);
    }
}

void unfollow(const void *arg)
{
    for (struct follow *one = follows; one != NULL; one = one->next)
        if (one->arg == arg && one->ended == 0)
            one->is_attached = false;
}

size_t following(void)
{
    size_t count = 0;

    for (struct follow *one = follows; one != NULL; one = one->next)
        count += one->is_attached && one->ended == 0;
    return count;
}

/* Returns the time that has passed, without the jumps of the clock. */
static int64_t world_ns(void)
{
    return aloop__sys_clock_ns() - run.jumped_ns;
}

static void post_now(void);

/* A post from a callback needs a wake-up of its own: the wake-up that is
 * handled now may have been sent before it. */
static void on_post(aloop *loop, void *arg)
{
    const int64_t *queued_ns = arg;

    CHECK(loop == run.loop);
    CHECK(queued_ns == &posts.queued_ns[posts.ran]);
    CHECK(run.is_freeing || may_break() || world_ns() == *queued_ns);
    if (posts.queued < posts.came + POSTS_MAX && chance(40))
        post_now();
    if (++posts.ran == posts.queued && posts.came == posts.planned)
        aloop_wake(loop); /* The last wait must not block. */
}

static void post_now(void)
{
    if (run.is_freeing)
        return;
    posts.queued_ns[posts.queued] = world_ns();
    if (aloop_post(run.loop, on_post, &posts.queued_ns[posts.queued]) == 0)
        posts.queued++;
    else {
        CHECK(run.weather == STARVED);
        aloop_wake(run.loop);
    }
}

static void post(void *arg)
{
    (void) arg;
    posts.came++;
    post_now();
}

static void plan_posts(void)
{
    posts.planned = (unsigned) sim_random(POSTS_MAX + 1);
    for (unsigned i = 0; i < posts.planned; i++)
        sim_at(any_delay_ns(ALOOP_SEC(20)), post, NULL);
}

/* Calls that fail, and their errors.  Each fault may cost one connection at
 * most. */
static const struct {
    const char *call_name;
    int errors[16];
} call_faults[] = {
#define BOTH(...) __VA_ARGS__
#define PEER(function, libc, on_eintr, arguments, lasting, passing) \
    {"aloop__" #function, {BOTH lasting, BOTH passing}},
#include "support/sys_calls.def"
};

/* Errors that end connections. */
static const int breaks[] = {-ECONNABORTED, -EHOSTUNREACH, -ETIMEDOUT,
                             -ENETDOWN, -ECONNRESET};

static void make_weather(void)
{
    enum { FAULTS = sizeof call_faults / sizeof call_faults[0] };

    if (!may_break() || run.is_quiet)
        return;
    if (chance(2) && sim_faults_pending() < 4) {
        size_t i = (size_t) sim_random(FAULTS), count = 0;

        while (call_faults[i].errors[count] != 0)
            count++;
        sim_fail(call_faults[i].call_name, 1 + (unsigned) sim_random(4),
                 call_faults[i].errors[sim_random(count)]);
    }
    if (chance(1))
        sim_break(breaks[sim_random(sizeof breaks / sizeof breaks[0])]);
    if (run.has_jumps && chance(1)) {
        int64_t ns = chance(70) ? any_delay_ns(ALOOP_SEC(3))
                                : -any_delay_ns(ALOOP_US(50));

        run.jumped_ns += ns;
        sim_jump(ns);
    }
}

void inject(const struct fault *faults, size_t count)
{
    const struct fault *fault = &faults[sim_random(count)];

    if (may_break() && !run.is_quiet && chance(2) && sim_faults_pending() < 6)
        sim_fail(fault->call_name, 1 + (unsigned) sim_random(4), fault->error);
}

static void choose_weather(void)
{
    struct sim_options *options = sim_options();

    run.weather = (enum weather) sim_random(WEATHERS);
    if (run.weather >= CHAOS)
        sim_chaos();
    if (chance(30))
        options->delay_max_ns = ALOOP_MS(1 + sim_random(300));
    if (options->delay_max_ns < options->delay_min_ns)
        options->delay_max_ns = options->delay_min_ns;
    sim_buffer_size(chance(50) ? between(600, 6000) : between(6000, 200000));
    run.has_jumps = may_break() && chance(50);
    options->is_error_cleared = may_break() && chance(50);
    options->has_wake_pair = chance(50);
}

/* The step of a host, which waits without a limit until it is needed.  A jump
 * of the clock does not move the end of that wait. */
static int host_step(void)
{
    bool is_readable =
        sim_poll(run.host_fd, run.has_jumps ? ALOOP_SEC(1) : INT64_C(-1));

    CHECK(is_readable || run.has_jumps);
    return aloop_step(run.loop, 0);
}

/* Runs one turn.  Time may stand still for a limited number of turns only. */
static void turn(void)
{
    static int64_t last_ns;
    static unsigned still;
    int64_t now_ns = world_ns();
    int result;

    still = now_ns == last_ns && run.turns > 0 ? still + 1 : 0;
    last_ns = now_ns;
    CHECK(still < STILL_MAX);
    CHECK(++run.turns < TURNS_MAX);
    make_weather();
    if (run.host_fd >= 0)
        result = host_step();
    else
        result = aloop_step(run.loop, chance(10) ? 0 : -1);
    CHECK(!sim_deadlocked());
    CHECK(result == 0 || result == 1);
    CHECK(run.loop->live >= run.loop->holds);
}

static bool all_done(const struct world *world)
{
    bool is_done = world->is_done();

    return is_done && posts.came == posts.planned && posts.ran == posts.queued;
}

/* Closes the program.  Remaining operations must end by themselves, and the
 * loop with them. */
static void end_orderly(const struct world *world)
{
    aloop *loop = run.loop;

    run.is_quiet = true;
    aloop_release(loop);
    world->close();
    while (aloop_alive(loop))
        turn();
    CHECK(loop->live == 0);
    CHECK(loop->lingering == 0);
    CHECK(following() == 0);
    if (world->check != NULL)
        world->check();
}

static void forget(void)
{
    while (kept != NULL) {
        struct kept *block = kept;

        kept = block->next;
        free(block);
    }
    follows = NULL;
}

static aloop *new_loop(void)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .on_unhandled = on_unhandled,
                             .stack_size = 48 * 1024};

    return aloop_new(&options);
}

uint64_t world_run(const struct world *world, uint64_t seed, int64_t *ns)
{
    int64_t start_ns;
    unsigned turns_max;
    uint64_t hash;
    aloop *loop;

    memset(&run, 0, sizeof run);
    memset(&posts, 0, sizeof posts);
    memory_percent = 0;
    sim_reset(seed);
    start_ns = aloop__sys_clock_ns();
    choose_weather();
    loop = run.loop = new_loop();
    CHECK(loop != NULL);
    if (seed / 4 % 2 == 1) /* A release build has no debug loops. */
        aloop__debug_close(loop);
    run.host_fd = seed % 4 == 3 ? aloop_fd(loop) : -1;
    aloop_hold(loop);
    plan_posts();
    world->start();
    if (run.weather == STARVED)
        memory_percent = 1 + (unsigned) sim_random(8);
    /* Some runs end in the middle of the program. */
    turns_max = chance(15) ? (unsigned) sim_random(300) : UINT32_MAX;
    while (run.turns < turns_max && !all_done(world))
        turn();
    if (run.turns < turns_max)
        end_orderly(world);
    run.is_quiet = true;
    run.is_freeing = true;
    CHECK(aloop_free(loop) == 0);
    run.is_over = true;
    CHECK(run.bytes == 0);
    if (world->outlive != NULL)
        world->outlive();
    *ns += world_ns() - start_ns;
    hash = sim_trace_hash();
    if (sim_mess()[0] != '\0')
        world_fail(__FILE__, __LINE__, sim_mess());
    sim_end();
    forget();
    return hash;
}
