/* Threads, locks and signals.  Threads run inside a wait, usually until they
 * end.  Locks only check that they are used in pairs.  Signals arrive when a
 * test raises them.
 *
 * A thread that may sleep is a real thread, so that it has its own stack.  Only
 * one flow runs at a time: the one that has the turn, which it gives back when
 * it sleeps or ends. */

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

enum { SELF_MAIN = 1, SELF_OUTSIDE = 2, SELF_FIRST = 3 };

enum thread_state { FRESH, RUNNING, ASLEEP, READY, ENDED };

struct sys_thread {
    struct sys_thread *next; /* In the order of their start. */
    void (*run)(void *arg);
    void *arg;
    uintptr_t self;
    enum thread_state state;
    bool is_detached;
    bool is_forgotten; /* It ends at its next turn and runs no more. */
    bool is_real;      /* A real thread, with this `id`: */
    pthread_t id;
};

struct sys_monitor {
    struct sys_monitor *next;
    bool entered;
};

static struct sys_thread *threads;
static struct sys_monitor *monitors;
static uintptr_t self = SELF_MAIN;
static uintptr_t next_self = SELF_FIRST;
static void (*handlers[SYS_SIGNAL_MAX + 1])(int number);
static bool is_pending[SYS_SIGNAL_MAX + 1];
static unsigned received[SYS_SIGNAL_MAX + 1];
static bool signal_locked, in_handler;

static bool may_sleep; /* For threads that start later. */
static pthread_mutex_t turn_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_passed = PTHREAD_COND_INITIALIZER;
static struct sys_thread *turn; /* NULL: the main flow. */

static void run_as(uintptr_t who, void (*run)(void *arg), void *arg)
{
    uintptr_t before = self;

    self = who;
    run(arg);
    self = before;
}

void sim_as_thread(sim_fn fn, void *arg)
{
    run_as(SELF_OUTSIDE, fn, arg);
}

uintptr_t aloop__sys_thread_self(void)
{
    sim__note(CALL_sys_thread_self);
    return self;
}

/* Lets a microsecond pass, in which what is due runs. */
void aloop__sys_thread_yield(void)
{
    sim__note(CALL_sys_thread_yield);
    sim_pass(1000);
}

int aloop__sys_thread_start(void (*run)(void *arg), void *arg,
                            struct sys_thread **ret)
{
    int fault = sim__enter(CALL_sys_thread_start);
    struct sys_thread **at = &threads, *thread;

    if (fault < 0)
        return fault;
    thread = sim__allocate(NULL, sizeof *thread);
    *thread = (struct sys_thread){
        .run = run,
        .arg = arg,
        .self = next_self++,
        .is_real = may_sleep,
    };
    while (*at != NULL)
        at = &(*at)->next;
    *at = thread;
    *ret = thread;
    return 0;
}

static void give_turn(struct sys_thread *to)
{
    pthread_mutex_lock(&turn_mutex);
    turn = to;
    pthread_cond_broadcast(&turn_passed);
    pthread_mutex_unlock(&turn_mutex);
}

static void await_turn(struct sys_thread *self_or_main)
{
    pthread_mutex_lock(&turn_mutex);
    while (turn != self_or_main)
        pthread_cond_wait(&turn_passed, &turn_mutex);
    pthread_mutex_unlock(&turn_mutex);
}

static void *flow(void *arg)
{
    struct sys_thread *thread = arg;

    await_turn(thread);
    thread->run(thread->arg);
    thread->state = ENDED;
    give_turn(NULL);
    return NULL;
}

static struct sys_thread *running(void)
{
    struct sys_thread *thread = threads;

    while (thread != NULL && thread->state != RUNNING)
        thread = thread->next;
    return thread;
}

static void wake(void *arg)
{
    struct sys_thread *thread = arg;

    if (thread->state == ASLEEP)
        thread->state = READY;
}

void sim__thread_sleep(int64_t ns)
{
    struct sys_thread *thread = running();

    assert(thread != NULL && thread->is_real);
    thread->state = ASLEEP;
    sim__schedule(sim__add_ns(sim__world.now_ns, ns), wake, thread);
    give_turn(NULL);
    await_turn(thread);
    if (thread->is_forgotten) {
        thread->state = ENDED;
        give_turn(NULL);
        pthread_exit(NULL);
    }
}

void sim__threads_may_sleep(void)
{
    may_sleep = true;
}

static void resume_flow(void *arg)
{
    give_turn(arg);
    await_turn(NULL);
}

static void start_flow(void *arg)
{
    struct sys_thread *thread = arg;
    int error;

    if (!thread->is_real) {
        thread->run(thread->arg);
        thread->state = ENDED;
        return;
    }
    error = pthread_create(&thread->id, NULL, flow, thread);
    assert(error == 0);
    (void) error;
    resume_flow(thread);
}

static void free_thread(struct sys_thread *thread)
{
    struct sys_thread **at = &threads;

    while (*at != thread)
        at = &(*at)->next;
    *at = thread->next;
    free(thread);
}

/* Returns false if the thread has nothing to run. */
static bool run_thread(struct sys_thread *thread)
{
    bool is_fresh = thread->state == FRESH;

    if (!is_fresh && thread->state != READY)
        return false;
    thread->state = RUNNING;
    sim__trace((int64_t) thread->self);
    run_as(thread->self, is_fresh ? start_flow : resume_flow, thread);
    if (thread->state == ENDED && thread->is_real)
        pthread_join(thread->id, NULL);
    if (thread->state == ENDED && thread->is_detached)
        free_thread(thread);
    return true;
}

/* Begins again after each thread, because it may have started or joined
 * others. */
bool sim__threads_run(void)
{
    bool any_ran = false;
    struct sys_thread *thread = threads;

    while (thread != NULL)
        if (run_thread(thread)) {
            any_ran = true;
            thread = threads;
        } else
            thread = thread->next;
    return any_ran;
}

/* Time passes while the thread sleeps. */
void aloop__sys_thread_join(struct sys_thread *thread)
{
    sim__note(CALL_sys_thread_join);
    if (sim__locks_held()) /* The thread may need such a lock. */
        sim__world.bad_locks++;
    run_thread(thread);
    while (thread->state != ENDED) {
        sim__world.now_ns = sim__next_ns();
        sim__happen();
    }
    free_thread(thread);
}

void aloop__sys_thread_detach(struct sys_thread *thread)
{
    sim__note(CALL_sys_thread_detach);
    thread->is_detached = true;
    if (thread->state == ENDED)
        free_thread(thread);
}

/* The thread does not exist in this process, whether it has run or not. */
void aloop__sys_thread_forget(struct sys_thread *thread)
{
    sim__note(CALL_sys_thread_forget);
    thread->is_detached = thread->is_forgotten = true;
    if (thread->state == FRESH || thread->state == ENDED)
        free_thread(thread);
}

unsigned sim_threads_open(void)
{
    unsigned count = 0;

    for (struct sys_thread *at = threads; at != NULL; at = at->next)
        count += !at->is_detached;
    return count;
}

int aloop__sys_monitor_open(struct sys_monitor **ret)
{
    int fault = sim__enter(CALL_sys_monitor_open);

    if (fault < 0)
        return fault;
    *ret = sim__allocate(NULL, sizeof **ret);
    **ret = (struct sys_monitor){monitors, false};
    monitors = *ret;
    return 0;
}

/* Sets the lock, and counts a mistake if it is already in that state. */
static void set_lock(bool *lock, bool locked)
{
    if (*lock == locked)
        sim__world.bad_locks++;
    *lock = locked;
}

static void free_monitor(struct sys_monitor *monitor)
{
    struct sys_monitor **at = &monitors;

    while (*at != monitor)
        at = &(*at)->next;
    *at = monitor->next;
    free(monitor);
}

void aloop__sys_monitor_close(struct sys_monitor *monitor)
{
    sim__note(CALL_sys_monitor_close);
    if (monitor->entered)
        sim__world.bad_locks++;
    free_monitor(monitor);
}

void aloop__sys_monitor_forget(struct sys_monitor *monitor)
{
    sim__note(CALL_sys_monitor_forget);
    free_monitor(monitor);
}

void aloop__sys_monitor_enter(struct sys_monitor *monitor)
{
    sim__note(CALL_sys_monitor_enter);
    set_lock(&monitor->entered, true);
}

void aloop__sys_monitor_leave(struct sys_monitor *monitor)
{
    sim__note(CALL_sys_monitor_leave);
    set_lock(&monitor->entered, false);
}

/* Runs the threads if the main flow waits.  A thread that waits is never
 * notified, because no other flow runs until it ends. */
int aloop__sys_monitor_wait(struct sys_monitor *monitor)
{
    bool any_ran;

    sim__note(CALL_sys_monitor_wait);
    set_lock(&monitor->entered, false);
    any_ran = self == SELF_MAIN && sim__threads_run();
    set_lock(&monitor->entered, true);
    return any_ran ? 0 : -ECANCELED;
}

void aloop__sys_monitor_notify(struct sys_monitor *monitor)
{
    (void) monitor;
    sim__note(CALL_sys_monitor_notify);
}

void aloop__sys_monitor_notify_all(struct sys_monitor *monitor)
{
    (void) monitor;
    sim__note(CALL_sys_monitor_notify_all);
}

unsigned sim__monitors_open(void)
{
    unsigned count = 0;

    for (struct sys_monitor *at = monitors; at != NULL; at = at->next)
        count++;
    return count;
}

bool sim__locks_held(void)
{
    bool is_held = signal_locked;

    for (struct sys_monitor *at = monitors; at != NULL; at = at->next)
        is_held |= at->entered;
    return is_held;
}

static bool is_signal(int number)
{
    return number > 0 && number <= SYS_SIGNAL_MAX;
}

int aloop__sys_signal_catch(int number, void (*handler)(int number))
{
    int fault = sim__enter(CALL_sys_signal_catch);

    if (fault < 0)
        return fault;
    if (!is_signal(number) || number == SIGKILL || number == SIGSTOP)
        return -EINVAL;
    handlers[number] = handler;
    return 0;
}

void aloop__sys_signal_restore(int number)
{
    sim__note(CALL_sys_signal_restore);
    if (is_signal(number))
        handlers[number] = NULL;
}

int aloop__sys_signal_interrupts(int ret_numbers[SYS_INTERRUPTS])
{
    sim__note(CALL_sys_signal_interrupts);
    ret_numbers[0] = SIGINT;
    ret_numbers[1] = SIGTERM;
    return 2;
}

unsigned aloop__sys_signal_received(int number)
{
    sim__note(CALL_sys_signal_received);
    return received[number];
}

void sim__signals_fork(void)
{
    memset(received, 0, sizeof received);
    memset(is_pending, 0, sizeof is_pending);
}

static void deliver(void)
{
    for (int number = 1; number <= SYS_SIGNAL_MAX; number++) {
        if (!is_pending[number] || signal_locked || in_handler)
            continue;
        is_pending[number] = false;
        if (handlers[number] == NULL)
            continue;
        in_handler = true;
        received[number]++;
        handlers[number](number);
        in_handler = false;
        sim__world.interrupted = true;
    }
}

bool sim_raise(int number)
{
    if (!sim_signal_caught(number))
        return false;
    sim__trace(number);
    is_pending[number] = true;
    deliver();
    return true;
}

bool sim_signal_caught(int number)
{
    return is_signal(number) && handlers[number] != NULL;
}

unsigned sim__signals_caught(void)
{
    unsigned count = 0;

    for (int number = 1; number <= SYS_SIGNAL_MAX; number++)
        count += handlers[number] != NULL;
    return count;
}

void aloop__sys_signal_lock(void)
{
    sim__note(CALL_sys_signal_lock);
    if (in_handler)
        sim__world.bad_locks++;
    set_lock(&signal_locked, true);
}

void aloop__sys_signal_unlock(void)
{
    sim__note(CALL_sys_signal_unlock);
    set_lock(&signal_locked, false);
    deliver();
}

void aloop__sys_signal_lock_in_handler(void)
{
    sim__note(CALL_sys_signal_lock_in_handler);
    if (!in_handler)
        sim__world.bad_locks++;
    set_lock(&signal_locked, true);
}

void aloop__sys_signal_unlock_in_handler(void)
{
    sim__note(CALL_sys_signal_unlock_in_handler);
    set_lock(&signal_locked, false);
}

/* Ends all sleeps, and runs the threads that slept. */
void sim_threads_finish(void)
{
    for (struct sys_thread *at = threads; at != NULL; at = at->next)
        wake(at);
    for (struct sys_thread *at = threads, *next; at != NULL; at = next) {
        next = at->next;
        if (at->state == READY)
            run_thread(at);
    }
}

void sim__thread_end(void)
{
    while (threads != NULL) {
        struct sys_thread *thread = threads;

        threads = thread->next;
        free(thread);
    }
    may_sleep = false;
    while (monitors != NULL) {
        struct sys_monitor *monitor = monitors;

        monitors = monitor->next;
        free(monitor);
    }
    for (int number = 0; number <= SYS_SIGNAL_MAX; number++) {
        handlers[number] = NULL;
        is_pending[number] = false;
        received[number] = 0;
    }
    signal_locked = in_handler = false;
    self = SELF_MAIN;
    next_self = SELF_FIRST;
}
