/* A random walk through the interface.  Callbacks and tasks close their own
 * objects and others, and restart, cancel, spawn, await and release them in any
 * order, on a few slots for each kind of object.
 *
 * The callback of each handle receives a note that records whether its handle
 * is still open.  Each future that is released is either followed until it
 * settles or dropped.  At the end everything is closed, and nothing must be
 * left. */

#include "world.h"

#include <stdio.h>
#include <string.h>

enum {
    SLOTS = 6,
    ACTS_MAX = 600,
    DEPTH_MAX = 4,
    TASKS_MAX = 40,
    SIZE_MAX_PUT = 3000
};

/* One lifetime of a handle.  The note outlives the handle. */
struct note {
    void *handle;
    size_t slot;
    bool is_open;
};

static struct {
    aloop_timer *timers[SLOTS];
    struct note *timer_notes[SLOTS];
    aloop_stream *streams[SLOTS];
    struct note *stream_notes[SLOTS];
    aloop_listener *listeners[2];
    struct note *listener_notes[2];
    aloop_future *futures[SLOTS];
    struct note *reads_from[SLOTS]; /* NULL for futures that are not reads. */
    aloop_future *tasks[TASKS_MAX]; /* All tasks, for the final cancel. */
    size_t tasks_count;
    aloop_channel *channel;
    aloop_mutex *mutex;
    aloop_semaphore *semaphore;
    aloop_event *event;
    aloop_timer *heartbeat; /* Keeps the loop waiting for something. */
    char port[8];
    unsigned acts, acts_max, depth;
    unsigned tasks_running;
} w;

static void act_randomly(void);

static size_t any_slot(void)
{
    return (size_t) sim_random(SLOTS);
}

static struct note *note_for(size_t slot)
{
    struct note *note = keep(sizeof *note);

    *note = (struct note){.slot = slot, .is_open = true};
    return note;
}

static void check_open(const struct note *note)
{
    CHECK(!run.is_over && note->is_open);
}

/* Futures: a new one replaces another one. */

static void on_end(struct follow *follow, ssize_t status)
{
    const struct note *reads_from = follow->arg;

    (void) status;
    CHECK(reads_from == NULL || reads_from->is_open);
    act_randomly();
}

/* `reads_from` is the stream that `future` reads from, or NULL. */
static void put_read(aloop_future *future, struct note *reads_from)
{
    size_t slot = any_slot();
    aloop_future *old = w.futures[slot];
    struct note *old_reads_from = w.reads_from[slot];

    w.futures[slot] = future;
    w.reads_from[slot] = reads_from;
    if (old == NULL)
        return;
    if (chance(40) && (old_reads_from == NULL || old_reads_from->is_open))
        follow(old, on_end, old_reads_from);
    else if (chance(50))
        aloop_detach(old);
    else
        aloop_future_unref(old);
}

static void put(aloop_future *future)
{
    put_read(future, NULL);
}

static aloop_future *get(void)
{
    size_t slot = any_slot();
    aloop_future *future = w.futures[slot];

    if (chance(50))
        return aloop_future_ref(future);
    w.futures[slot] = NULL;
    return future;
}

static void sleep_some(void)
{
    put(aloop_sleep(run.loop, any_delay_ns(ALOOP_SEC(60)) - 1));
}

static void promise(void)
{
    put(aloop_future_new(run.loop));
}

static void resolve(void)
{
    aloop_future *future = w.futures[any_slot()];
    bool was_settled = aloop_future_is_settled(future);
    int result = aloop_future_resolve(future, (ssize_t) sim_random(9));

    CHECK(result != 0 || !was_settled);
    CHECK(result != 0 || aloop_future_is_settled(future));
}

static void cancel(void)
{
    aloop_future *future = w.futures[any_slot()];
    bool was_settled = aloop_future_is_settled(future);

    CHECK(aloop_cancel(future) == 0 || !was_settled);
}

static void release_future(void)
{
    put(NULL);
}

static void compose(void)
{
    aloop_future *members[] = {get(), get(), get()};
    static aloop_future *(*const ways[])(aloop *, size_t, aloop_future **,
                                         size_t *) = {
        aloop_any_array,
        aloop_race_array,
    };

    if (chance(50))
        put(aloop_gather_array(run.loop, 3, members));
    else
        put(ways[sim_random(2)](run.loop, 3, members, NULL));
}

static void limit(void)
{
    put(aloop_timeout(get(), any_delay_ns(ALOOP_SEC(60))));
}

/* Timers. */

static void close_timer(size_t slot)
{
    if (w.timers[slot] == NULL)
        return;
    w.timer_notes[slot]->is_open = false;
    aloop_timer_close(w.timers[slot]);
    w.timers[slot] = NULL;
}

static void on_timer(aloop_timer *timer, void *arg)
{
    const struct note *note = arg;

    check_open(note);
    CHECK(w.timers[note->slot] == timer);
    if (chance(20))
        close_timer(note->slot);
    act_randomly();
}

static void new_timer(void)
{
    size_t slot = any_slot();
    int64_t period_ns = chance(20) ? 1 + any_delay_ns(ALOOP_SEC(30)) : 0;

    close_timer(slot);
    w.timer_notes[slot] = note_for(slot);
    aloop_timer_start(run.loop, any_delay_ns(ALOOP_SEC(60)), period_ns,
                      on_timer, w.timer_notes[slot], &w.timers[slot]);
}

static void change_timer(void)
{
    aloop_timer *timer = w.timers[any_slot()];

    if (chance(50))
        aloop_timer_restart(timer, any_delay_ns(ALOOP_SEC(60)));
    else
        aloop_timer_stop(timer);
}

static void drop_timer(void)
{
    close_timer(any_slot());
}

/* Streams and listeners. */

static void close_stream(size_t slot)
{
    if (w.streams[slot] == NULL)
        return;
    w.stream_notes[slot]->is_open = false;
    if (chance(50))
        aloop_stream_close(w.streams[slot]);
    else
        aloop_stream_abort(w.streams[slot]);
    unfollow(w.stream_notes[slot]);
    w.streams[slot] = NULL;
}

static void add_stream(aloop_stream *stream)
{
    size_t slot = any_slot();

    close_stream(slot);
    w.streams[slot] = stream;
    w.stream_notes[slot] = note_for(slot);
}

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    const struct note *note = arg;

    check_open(note);
    CHECK(w.streams[note->slot] == stream);
    if (size > 0 && chance(30))
        aloop_stream_put(stream, data, (size_t) size);
    act_randomly();
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    const struct note *note = arg;

    check_open(note);
    CHECK(w.listeners[note->slot] == listener);
    add_stream(stream);
    act_randomly();
}

static void close_listener(size_t slot)
{
    if (w.listeners[slot] == NULL)
        return;
    w.listener_notes[slot]->is_open = false;
    aloop_listener_close(w.listeners[slot]);
    w.listeners[slot] = NULL;
}

static void new_listener(void)
{
    size_t slot = (size_t) sim_random(2);

    close_listener(slot);
    w.listener_notes[slot] = note_for(slot);
    if (aloop_tcp_listen(run.loop, NULL, "0", on_stream, w.listener_notes[slot],
                         &w.listeners[slot]) == 0)
        snprintf(w.port, sizeof w.port, "%d",
                 aloop_listener_port(w.listeners[slot]));
}

static void on_connected(struct follow *follow, ssize_t status)
{
    aloop_stream **stream = follow->arg;

    CHECK(status != 0 || *stream != NULL);
    if (status == 0)
        add_stream(*stream);
    act_randomly();
}

static void connect(void)
{
    aloop_stream **stream = keep(sizeof *stream);

    follow(aloop_tcp_connect(run.loop, chance(50) ? "127.0.0.1" : "::1", w.port,
                             stream),
           on_connected, stream);
}

static void start_stream(void)
{
    size_t slot = any_slot();

    aloop_stream_start(w.streams[slot], on_data, w.stream_notes[slot]);
}

static void stop_stream(void)
{
    aloop_stream_stop(w.streams[any_slot()]);
}

static void put_bytes(void)
{
    static const char bytes[SIZE_MAX_PUT];

    aloop_stream_put(w.streams[any_slot()], bytes, between(0, sizeof bytes));
}

static void write_bytes(void)
{
    size_t size = between(0, SIZE_MAX_PUT);

    put(aloop_stream_write(w.streams[any_slot()], keep(size), size));
}

static void read_bytes(void)
{
    size_t size = between(1, SIZE_MAX_PUT);
    size_t slot = any_slot();
    aloop_stream *stream = w.streams[slot];
    struct note *note = stream == NULL ? NULL : w.stream_notes[slot];

    if (chance(50))
        put_read(aloop_stream_read(stream, keep(size), size), note);
    else
        put_read(aloop_stream_read_exactly(stream, keep(size), size), note);
}

static void wait_stream(void)
{
    aloop_stream *stream = w.streams[any_slot()];

    put(chance(70) ? aloop_stream_drain(stream)
                   : aloop_stream_shutdown(stream));
}

static void forward(void)
{
    put(aloop_stream_forward(w.streams[any_slot()], w.streams[any_slot()]));
}

static void drop_stream(void)
{
    close_stream(any_slot());
}

/* Tasks, and operations that they wait for. */

static aloop_future *any_wait(aloop *loop, int *item)
{
    switch (sim_random(6)) {
    case 0:
        return aloop_channel_send(w.channel, item);
    case 1:
        return aloop_channel_receive(w.channel, item);
    case 2:
        return aloop_event_wait(w.event);
    case 3:
        return aloop_timeout(aloop_semaphore_acquire(w.semaphore, 1),
                             any_delay_ns(ALOOP_SEC(9)));
    default:
        return aloop_sleep(loop, any_delay_ns(ALOOP_SEC(9)));
    }
}

static ssize_t run_task(aloop *loop, void *arg)
{
    int item = 1;

    (void) arg;
    CHECK(!run.is_over);
    w.tasks_running++;
    for (size_t i = between(1, 5); i > 0; i--) {
        if (chance(20) && aloop_await(aloop_mutex_lock(w.mutex)) == 0) {
            aloop_await(aloop_sleep(loop, any_delay_ns(ALOOP_SEC(1))));
            CHECK(aloop_mutex_unlock(w.mutex) == 0);
        }
        aloop_await(any_wait(loop, &item));
        act_randomly();
    }
    CHECK(w.tasks_running > 0);
    w.tasks_running--;
    return chance(20) ? -5 : 0;
}

static void spawn(void)
{
    aloop_future *task;

    if (w.tasks_count == TASKS_MAX)
        return;
    task = aloop_spawn(run.loop, run_task, NULL);
    if (task == NULL)
        return;
    w.tasks[w.tasks_count++] = aloop_future_ref(task);
    put(task);
}

static void signal_others(void)
{
    int item = 2;

    switch (sim_random(5)) {
    case 0:
        aloop_event_set(w.event);
        break;
    case 1:
        aloop_event_clear(w.event);
        break;
    case 2:
        aloop_semaphore_release(w.semaphore, 1);
        break;
    case 3:
        aloop_channel_try_send(w.channel, &item);
        break;
    default:
        aloop_channel_try_receive(w.channel, &item);
        break;
    }
}

static void misuse(void)
{
    CHECK(aloop_step(run.loop, 0) == ALOOP_EBUSY);
    CHECK(aloop_run(run.loop) == ALOOP_EBUSY);
    CHECK(aloop_free(run.loop) == ALOOP_EBUSY);
}

static void on_fn(aloop *loop, void *arg)
{
    (void) arg;
    CHECK(!run.is_over && loop == run.loop);
    act_randomly();
}

static void defer(void)
{
    aloop_defer(run.loop, on_fn, NULL);
}

static void act_randomly(void)
{
    static void (*const acts[])(void) = {
        sleep_some,   promise,     resolve,     cancel,        release_future,
        compose,      limit,       new_timer,   change_timer,  drop_timer,
        new_listener, connect,     connect,     start_stream,  start_stream,
        stop_stream,  put_bytes,   write_bytes, read_bytes,    wait_stream,
        forward,      drop_stream, spawn,       signal_others, misuse,
        defer,
    };

    if (run.is_quiet || w.depth == DEPTH_MAX)
        return;
    w.depth++;
    for (uint64_t i = sim_random(4); i > 0 && w.acts < w.acts_max; i--) {
        w.acts++;
        acts[sim_random(sizeof acts / sizeof acts[0])]();
    }
    w.depth--;
}

static void on_heartbeat(aloop_timer *timer, void *arg)
{
    (void) timer;
    (void) arg;
    act_randomly();
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.port[0] = '9';
    w.acts_max = (unsigned) between(1, ACTS_MAX);
    w.channel = aloop_channel_new(run.loop, sizeof(int), between(0, 3));
    w.mutex = aloop_mutex_new(run.loop);
    w.semaphore = aloop_semaphore_new(run.loop, between(0, 3));
    w.event = aloop_event_new(run.loop);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_MS(500), on_heartbeat, NULL,
                            &w.heartbeat) == 0);
    new_listener();
}

/* Closes all streams now and then.  Streams that forward into each other would
 * otherwise send indefinitely. */
static bool is_done(void)
{
    for (size_t i = 0; run.turns % 2000 == 1999 && i < SLOTS; i++)
        close_stream(i);
    return w.acts >= w.acts_max;
}

static void close_world(void)
{
    aloop_timer_close(w.heartbeat);
    for (size_t i = 0; i < SLOTS; i++) {
        close_timer(i);
        close_stream(i);
        aloop_future_unref(w.futures[i]);
    }
    for (size_t i = 0; i < 2; i++)
        close_listener(i);
    for (size_t i = 0; i < w.tasks_count; i++) {
        aloop_cancel(w.tasks[i]);
        aloop_future_unref(w.tasks[i]);
    }
}

static void check(void)
{
    CHECK(w.tasks_running == 0);
}

const struct world world_states = {"states",    start, is_done,
                                   close_world, check, NULL};
