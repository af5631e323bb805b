/* The simulated world: its time, its random numbers, its events, and the faults
 * of calls.
 *
 * Events are a heap, ordered by time and then by their making.  World time
 * never goes back: a clock that jumps is world time with an offset. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

enum { MESS_SIZE = 256, LINE_MAX_SIZE = 512 };

static const int64_t START_NS = 7919000000017; /* Not a round number. */

struct event {
    int64_t due_ns;
    uint64_t order;
    sim_fn fn;
    void *arg;
};

static const char *const call_names[] = {
#define SURE(name) "aloop__" #name,
#include "support/sys_calls.def"
};

struct fault {
    struct fault *next;
    enum sim_call call; /* SIM_CALLS: any call. */
    unsigned left;
    int error;
    bool is_lasting; /* Later calls fail as well. */
};

struct sim_world sim__world;

static struct event *events;
static size_t events_size, events_capacity;
static uint64_t events_made;
static unsigned calls[SIM_CALLS]; /* Their numbers. */
static struct fault *faults;
static char *stderr_text;
static size_t stderr_size;

void *sim__allocate(void *old, size_t size)
{
    void *memory = realloc(old, size);

    if (memory == NULL)
        abort();
    return memory;
}

static bool is_before(const struct event *a, const struct event *b)
{
    if (a->due_ns != b->due_ns)
        return a->due_ns < b->due_ns;
    return a->order < b->order;
}

static void swap(size_t i, size_t j)
{
    struct event event = events[i];

    events[i] = events[j];
    events[j] = event;
}

void sim__schedule(int64_t due_ns, sim_fn fn, void *arg)
{
    if (events_size == events_capacity) {
        events_capacity = 2 * events_capacity + 16;
        events = sim__allocate(events, events_capacity * sizeof *events);
    }
    size_t i = events_size++;
    events[i] = (struct event){due_ns, events_made++, fn, arg};
    while (i > 0 && is_before(&events[i], &events[(i - 1) / 2])) {
        swap(i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static struct event pop(void)
{
    struct event first = events[0];

    events[0] = events[--events_size];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;

        if (left < events_size && is_before(&events[left], &events[least]))
            least = left;
        if (right < events_size && is_before(&events[right], &events[least]))
            least = right;
        if (least == i)
            return first;
        swap(i, least);
        i = least;
    }
}

int64_t sim__next_ns(void)
{
    return events_size > 0 ? events[0].due_ns : INT64_MAX;
}

void sim__happen(void)
{
    for (;;) {
        if (sim__threads_run())
            continue;
        if (events_size == 0 || sim__next_ns() > sim__world.now_ns)
            return;
        struct event event = pop();

        event.fn(event.arg);
    }
}

int64_t sim__add_ns(int64_t a_ns, int64_t b_ns)
{
    return a_ns > INT64_MAX - b_ns ? INT64_MAX : a_ns + b_ns;
}

void sim_advance(int64_t ns)
{
    sim__world.now_ns = sim__add_ns(sim__world.now_ns, ns);
    sim__trace(ns);
}

void sim_jump(int64_t ns)
{
    sim__world.jump_ns += ns;
    sim__trace(ns);
}

void sim_pass(int64_t ns)
{
    int64_t end_ns = sim__add_ns(sim__world.now_ns, ns);

    for (sim__happen(); sim__next_ns() <= end_ns; sim__happen())
        sim__world.now_ns = sim__next_ns();
    sim__world.now_ns = end_ns;
    sim__trace(ns);
}

/* An action of a test from outside, which runs as another thread. */
struct outside {
    struct outside *next;
    sim_fn fn;
    void *arg;
};

static struct outside *outsides;

static void run_outside(void *arg)
{
    struct outside *outside = arg;

    sim_as_thread(outside->fn, outside->arg);
}

void sim_at(int64_t delay_ns, sim_fn fn, void *arg)
{
    struct outside *outside = sim__allocate(NULL, sizeof *outside);

    *outside = (struct outside){outsides, fn, arg};
    outsides = outside;
    sim__schedule(sim__add_ns(sim__world.now_ns, delay_ns), run_outside,
                  outside);
}

static void free_outsides(void)
{
    while (outsides != NULL) {
        struct outside *outside = outsides;

        outsides = outside->next;
        free(outside);
    }
}

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t x = sim__world.random += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t sim_random(uint64_t bound)
{
    return bound > 0 ? next_random() % bound : 0;
}

/* Draws no number if the probability is 0, so that a world without random
 * behaviour does not depend on its seed. */
bool sim__chance(unsigned percent)
{
    return percent > 0 && sim_random(100) < percent;
}

int64_t sim__delay_ns(void)
{
    const struct sim_options *options = &sim__world.options;
    int64_t range_ns = options->delay_max_ns - options->delay_min_ns;

    if (range_ns <= 0)
        return options->delay_min_ns;
    return options->delay_min_ns +
           (int64_t) sim_random((uint64_t) range_ns + 1);
}

/* As FNV-1a, but over words of eight bytes: one multiplication for each byte
 * took a third of the time of tests that send much. */
void sim__trace(int64_t value)
{
    sim__world.hash ^= (uint64_t) value;
    sim__world.hash *= UINT64_C(0x100000001b3);
    sim__world.hash ^= sim__world.hash >> 29;
}

/* The byte order of the machine has an effect on it. */
void sim__trace_bytes(const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t done = 0; done < size; done += sizeof(int64_t)) {
        size_t left = size - done;
        int64_t word = 0;

        memcpy(&word, bytes + done, left < sizeof word ? left : sizeof word);
        sim__trace(word);
    }
}

uint64_t sim_trace_hash(void)
{
    return sim__world.hash;
}

static enum sim_call find_call(const char *name)
{
    size_t i = 0;

    while (i < SIM_CALLS && strcmp(call_names[i], name) != 0)
        i++;
    if (i == SIM_CALLS)
        abort(); /* The table does not have it. */
    return (enum sim_call) i;
}

void sim__note(enum sim_call call)
{
    calls[call]++;
    sim__trace(call);
}

int sim__enter(enum sim_call call)
{
    int error = 0;

    sim__note(call);
    for (struct fault **at = &faults; *at != NULL;) {
        struct fault *fault = *at;
        bool is_matching = fault->call == SIM_CALLS || fault->call == call;

        if (!is_matching || --fault->left > 0) {
            at = &fault->next;
            continue;
        }
        error = fault->error;
        if (fault->is_lasting) {
            fault->left = 1;
            at = &fault->next;
        } else {
            *at = fault->next;
            free(fault);
        }
    }
    sim__trace(error);
    return error;
}

static void add_fault(const char *name, unsigned nth, int error,
                      bool is_lasting)
{
    struct fault *fault = sim__allocate(NULL, sizeof *fault);
    enum sim_call call = name != NULL ? find_call(name) : SIM_CALLS;

    assert(nth > 0 && error < 0);
    *fault = (struct fault){faults, call, nth, error, is_lasting};
    faults = fault;
}

void sim_fail(const char *call_name, unsigned nth, int error)
{
    add_fault(call_name, nth, error, false);
}

void sim_fail_from(const char *call_name, unsigned nth, int error)
{
    add_fault(call_name, nth, error, true);
}

void sim_forgive(void)
{
    while (faults != NULL) {
        struct fault *fault = faults;

        faults = fault->next;
        free(fault);
    }
}

unsigned sim_faults_pending(void)
{
    unsigned pending = 0;

    for (struct fault *fault = faults; fault != NULL; fault = fault->next)
        pending++;
    return pending;
}

unsigned sim_calls(const char *call_name)
{
    return calls[find_call(call_name)];
}

int64_t aloop__sys_clock_ns(void)
{
    sim__note(CALL_sys_clock_ns);
    return sim__world.now_ns + sim__world.jump_ns;
}

void aloop__sys_stderr_look(struct sys_stderr *ret)
{
    sim__note(CALL_sys_stderr_look);
    *ret = (struct sys_stderr){.is_usable = true};
}

int aloop__sys_stderr_write(const struct sys_stderr *file, const char *line,
                            size_t size)
{
    int error = sim__enter(CALL_sys_stderr_write);

    (void) file;
    assert(file->is_usable && size <= LINE_MAX_SIZE);
    if (error < 0)
        return error;
    sim__trace_bytes(line, size);
    stderr_text = sim__allocate(stderr_text, stderr_size + size + 1);
    memcpy(stderr_text + stderr_size, line, size);
    stderr_size += size;
    stderr_text[stderr_size] = '\0';
    return 0;
}

const char *sim_stderr(void)
{
    return stderr_text != NULL ? stderr_text : "";
}

struct sim_options *sim_options(void)
{
    return &sim__world.options;
}

void sim_buffer_size(size_t size)
{
    sim__world.options.buffer_size = size;
}

void sim_chaos(void)
{
    struct sim_options *options = &sim__world.options;

    options->delay_min_ns = 0;
    options->delay_max_ns = 5000000;
    options->split_percent = 30;
    options->short_send_percent = 20;
    options->short_recv_percent = 20;
    options->spurious_percent = 10;
    options->early_percent = 5;
    options->connect_now_percent = 10;
    options->loss_percent = 10;
    options->duplicate_percent = 10;
    options->reorder_percent = 10;
    options->file_delay_max_ns = 5000000;
    options->short_file_percent = 20;
    options->miss_percent = 10;
    options->is_shuffled = true;
}

bool sim_deadlocked(void)
{
    return sim__world.is_deadlocked;
}

unsigned sim_wakes(void)
{
    return sim__world.wakes;
}

unsigned sim_bad_uses(void)
{
    return sim__world.bad_uses;
}

unsigned sim_bad_closes(void)
{
    return sim__world.bad_closes;
}

unsigned sim_bad_locks(void)
{
    return sim__world.bad_locks;
}

const char *sim_mess(void)
{
    const struct {
        const char *name;
        unsigned count;
    } counts[] = {
        {"open descriptors", sim_descriptors_open()},
        {"bad closes", sim_bad_closes()},
        {"bad uses of descriptors", sim_bad_uses()},
        {"bad locks", sim_bad_locks()},
        {"locks held", sim__locks_held()},
        {"threads not joined", sim_threads_open()},
        {"open locks", sim__locks_open()},
        {"caught signals", sim__signals_caught()},
        {"deadlocks", sim_deadlocked()},
    };
    static char text[MESS_SIZE];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].count > 0 && used < sizeof text)
            used += (size_t) snprintf(text + used, sizeof text - used,
                                      "%s%u %s", used > 0 ? ", " : "",
                                      counts[i].count, counts[i].name);
    return text;
}

void sim_end(void)
{
    sim_threads_finish();
    sim__fork_end();
    sim__peer_end();
    sim__fd_end();
    sim__udp_end();
    sim__tty_end();
    sim__net_end();
    sim__thread_end();
    sim__address_end();
    sim__disk_end();
    free_outsides();
    sim_forgive();
    free(stderr_text);
    stderr_text = NULL;
    stderr_size = 0;
    free(events);
    events = NULL;
    events_size = events_capacity = 0;
    events_made = 0;
    memset(calls, 0, sizeof calls);
}

void sim_reset(uint64_t seed)
{
    sim_end();
    sim__world = (struct sim_world){
        .now_ns = START_NS,
        .random = seed,
        .hash = UINT64_C(0xcbf29ce484222325),
        .options = {.delay_min_ns = 1000,
                    .delay_max_ns = 1000,
                    .buffer_size = 65536},
    };
    sim__disk_begin();
}
