/* The state machine: its input, memory, references and acts. */

#include "machine.h"

#include <stdarg.h>
#include <string.h>

#include "loop/debug.h"
#include "loop/quarantine.h"

struct machine w;

/* The input. */

unsigned any_below(unsigned bound)
{
    return fuzz_below(&w.input, bound);
}

bool any_bit(void)
{
    return (fuzz_byte(&w.input) & 1) != 0;
}

/* Few values, so that equal deadlines are frequent. */
int64_t any_delay_ns(void)
{
    static const int64_t delays_ns[] = {
        0,
        1,
        2,
        5,
        10,
        10,
        10,
        5,
        -1,
        20,
        1000,
        25000,
        ALOOP_MS(1),
        ALOOP_SEC(1),
        ALOOP_SEC(3600),
        INT64_MAX,
    };

    return delays_ns[any_below(sizeof delays_ns / sizeof delays_ns[0])];
}

void say(const char *format, ...)
{
    va_list arguments;

    if (!fuzz_traces())
        return;
    if (w.task >= 0)
        printf("    task #%d: ", w.task);
    else
        fputs(w.is_inside ? "    " : "", stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* Memory. */

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    void *memory;

    (void) context;
    if (new_size == 0) {
        FUZZ_CHECK(w.bytes >= old_size);
        w.bytes -= old_size;
        free(old);
        return NULL;
    }
    if (w.fail_in > 0 && --w.fail_in == 0) {
        w.has_failed = true;
        return NULL;
    }
    memory = realloc(old, new_size);
    if (memory == NULL)
        abort();
    w.bytes += new_size - old_size;
    return memory;
}

void arm(void)
{
    /* Kept memory would be used instead of the failing allocation. */
    if (w.starve > 0 && w.loop->debug != NULL)
        aloop__quarantine_drain(w.loop);
    w.fail_in = w.starve;
    w.starve = 0;
}

bool disarm(void)
{
    bool has_failed = w.has_failed;

    w.fail_in = 0;
    w.has_failed = false;
    if (has_failed)
        say("  (no memory)");
    return has_failed;
}

static void starve(void)
{
    w.starve = 1 + any_below(3);
    say("the next call's allocation %u fails", w.starve);
}

/* References. */

struct ref null_ref(void)
{
    return (struct ref){NULL, M_NULL};
}

void give_back(struct ref ref)
{
    aloop_future_unref(ref.future);
    model_unref(ref.id);
    if (!w.is_inside && w.task < 0 && atomic_load(&w.loop->is_waking))
        m.is_woken = true;
}

static void drop(struct ref ref)
{
    say("  drops #%d", ref.id);
    give_back(ref);
}

void keep(aloop_future *future, int id)
{
    say("  is #%d", id);
    if (w.ref_count == REFS_MAX) {
        unsigned i = any_below(REFS_MAX);
        struct ref old = w.refs[i];

        w.refs[i] = (struct ref){future, id};
        drop(old);
        return;
    }
    w.refs[w.ref_count++] = (struct ref){future, id};
}

struct ref borrow(void)
{
    unsigned i = any_below(w.ref_count + 1);

    /* Usually the latest one: 0 is read after the end of the input. */
    return i == w.ref_count ? null_ref() : w.refs[w.ref_count - 1 - i];
}

struct ref give(void)
{
    unsigned byte = fuzz_byte(&w.input);
    unsigned i = (byte & 127) % (w.ref_count + 1);
    struct ref ref;

    if (i == w.ref_count)
        return null_ref();
    i = w.ref_count - 1 - i;
    ref = w.refs[i];
    if (ref.id >= 0 && model_at(ref.id)->waiter_count > M_WAITERS - M_ROOM)
        return null_ref(); /* This future has enough waiters. */
    if ((byte & 128) != 0) {
        FUZZ_CHECK(aloop_future_ref(ref.future) == ref.future);
        model_ref(ref.id);
    } else {
        w.refs[i] = w.refs[--w.ref_count];
    }
    return ref;
}

bool is_made(const aloop_future *future, bool has_failed)
{
    FUZZ_CHECK(future != NULL || has_failed);
    return future != NULL;
}

/* Acts. */

static const struct act own_acts[] = {{"starve", starve}};

static void run(const struct act *acts, size_t count, size_t i)
{
    FUZZ_CHECK(i < count);
    acts[i].run();
}

/* Runs act `i` of all tables in sequence. */
static void run_act(size_t i)
{
    const struct {
        const struct act *acts;
        size_t count;
    } tables[] = {
        {turn_acts, turn_act_count},
        {future_acts, future_act_count},
        {timer_acts, timer_act_count},
        {task_acts, task_act_count},
        {line_acts, line_act_count},
        {stream_acts, stream_act_count},
        {own_acts, 1},
        {scope_acts, scope_act_count},
        {pipe_acts, pipe_act_count},
        {pair_acts, pair_act_count},
        {outside_acts, outside_act_count},
        {late_acts, late_act_count},
    };
    size_t total = 0;

    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        total += tables[t].count;
    i %= total;
    for (size_t t = 0;; t++) {
        if (i < tables[t].count) {
            run(tables[t].acts, tables[t].count, i);
            return;
        }
        i -= tables[t].count;
    }
}

void check_alive(void)
{
    bool is_alive = aloop_alive(w.loop);

    FUZZ_CHECK(m.is_exact ? is_alive == model_alive()
                          : is_alive || !model_alive());
}

void act(void)
{
    if (w.is_freeing || w.acts == 0 || !model_has_room())
        return;
    w.acts--;
    run_act(fuzz_byte(&w.input));
    check_alive();
}

void act_some(void)
{
    for (unsigned i = fuzz_byte(&w.input) % 5; i > 0; i--)
        act();
}

/* A wait that cannot end lasts until the end of the simulated world. */
void check_time(void)
{
    int64_t now_ns = aloop_now(w.loop);

    FUZZ_CHECK(m.is_stuck || now_ns <= m.now_ns);
    FUZZ_CHECK(m.is_stuck || !m.is_exact || now_ns == m.now_ns);
    m.now_ns = now_ns;
}

static const char *const sight_names[] = {
    "nothing",         "a timer", "a continuation", "a task",
    "a deferred call", "a post",  "a report",
};

struct m_sight see(enum m_sight_kind kind, int who)
{
    struct m_sight sight = {kind, who, 0};

    FUZZ_CHECK(!w.is_over);
    if (w.is_freeing)
        return sight;
    sight = model_next();
    w.sights++;
    if (kind == M_SEE_REPORT)
        who = sight.who;
    if (sight.kind != kind || sight.who != who)
        fprintf(stderr, "received %s, %d; expected %s, %d\n", sight_names[kind],
                who, sight_names[sight.kind], sight.who);
    FUZZ_CHECK(sight.kind == kind && sight.who == who);
    check_time();
    return sight;
}

/* One execution. */

static void on_unhandled(aloop *loop, int error, const char *what, void *arg)
{
    bool was_inside = w.is_inside;
    struct m_sight sight;

    (void) arg;
    if (error == ALOOP_EMISUSE)
        /* Mistakes that the model makes on purpose are reported, but not to
         * it. */
        return;
    sight = see(M_SEE_REPORT, M_NULL);
    FUZZ_CHECK(loop == w.loop && what != NULL);
    FUZZ_CHECK(w.is_freeing || error == sight.status);
    w.is_inside = true;
    say("report of #%d: %s, %s", sight.who, what, aloop_error_name(error));
    act_some();
    w.is_inside = was_inside;
}

/* Bits of the first byte of the input. */
enum {
    IS_EMBEDDED = 1,
    IS_FREED_AS_IT_IS = 2,
    IS_IN_CHAOS = 4,
    HAS_SMALL_BUFFERS = 8,
    IS_DEBUG = 16 /* The model is the same: a debug loop only reports more. */
};

/* Returns the bits. */
static unsigned begin(const uint8_t *data, size_t size)
{
    aloop_options options = {.size = sizeof options,
                             .resize = resize,
                             .stack_size = 32 * 1024,
                             .on_unhandled = on_unhandled};
    unsigned bits;

    sim_reset(1);
    w.input = (struct fuzz_input){data, data + size};
    bits = fuzz_byte(&w.input);
    w.task = M_NULL;
    w.is_inside = w.is_freeing = w.is_over = false;
    w.acts = ACTS_MAX;
    w.sights = w.bodies = 0;
    w.starve = 0;
    w.ref_count = w.number_count = 0;
    memset(w.timers, 0, sizeof w.timers);
    for (size_t i = 0; i < OBJECTS; i++)
        w.objects[i] = (struct object){NULL, -1};
    w.item = 0;
    streams_begin();
    outside_begin();
    options.debug = (bits & IS_DEBUG) != 0;
    w.loop = aloop_new(&options);
    FUZZ_CHECK(w.loop != NULL);
    if (!options.debug) /* In a Debug build of the library each loop is one. */
        aloop__debug_close(w.loop);
    model_reset(aloop_now(w.loop));
    return bits;
}

/* Every task's function has run and returned, and every continuation has
 * run. */
static void check_ends(void)
{
    FUZZ_CHECK(w.bodies == 0);
    for (int i = 0; i < m.future_count; i++)
        FUZZ_CHECK(m.futures[i].kind != M_TASK || w.has_body_run[i]);
    for (int i = 0; i < m.call_count; i++)
        FUZZ_CHECK(w.calls[i].has_run);
}

static void check_system(void)
{
    FUZZ_CHECK(w.bytes == 0);
    FUZZ_CHECK(sim_descriptors_open() == 0);
    FUZZ_CHECK(sim_bad_closes() == 0 && sim_bad_uses() == 0);
    FUZZ_CHECK(sim_bad_locks() == 0 && sim_threads_open() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned bits = begin(data, size);

    w.host_fd = (bits & IS_EMBEDDED) != 0 ? aloop_fd(w.loop) : -1;
    if ((bits & IS_IN_CHAOS) != 0)
        sim_chaos(); /* Waits end early, too. */
    m.is_exact = (bits & IS_IN_CHAOS) == 0;
    if ((bits & HAS_SMALL_BUFFERS) != 0)
        sim_buffer_size(1 + bits * 8);
    say("%s%s%s%s", (bits & IS_DEBUG) != 0 ? "with options.debug, " : "",
        w.host_fd >= 0 ? "embedded, " : "",
        (bits & IS_IN_CHAOS) != 0 ? "in chaos, " : "",
        (bits & IS_FREED_AS_IT_IS) != 0 ? "freed as it is" : "ended in order");
    while (fuzz_left(&w.input) > 0 && w.acts > 0 && model_has_room())
        act();
    if ((bits & IS_FREED_AS_IT_IS) == 0)
        end_orderly();
    w.is_freeing = true;
    say("free");
    FUZZ_CHECK(aloop_free(w.loop) == 0);
    w.is_over = true;
    check_ends();
    streams_check();
    outside_check();
    check_system();
    return 0;
}
