/* Threads, locks and signals.  Threads run inside a wait of the main flow, each
 * until it sleeps, waits or ends.  Locks only check that they are used in
 * pairs, because no thread can be interrupted while it holds one.  Signals
 * arrive when a test raises them.
 *
 * Each thread is a real thread, so that it has its own stack.  Only one flow
 * runs at a time: the one that has the turn, which it gives back when it
 * sleeps, waits or ends. */

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

enum { SELF_MAIN = 1, SELF_OUTSIDE = 2, SELF_FIRST = 3, PROCESSORS = 2 };

enum thread_state { FRESH, RUNNING, ASLEEP, WAITING, READY, ENDED };

struct sys_thread {
    struct sys_thread *next; /* In the order of their start. */
    void (*run)(void *arg);
    void *arg;
    uintptr_t self;
    enum thread_state state;
    bool is_detached;
    bool is_forgotten; /* It ends at its next turn and runs no more. */
    /* While it sleeps or waits: */
    uintptr_t wait; /* The number of this wait. */
    const struct sys_condition *condition;
    bool has_timed_out;
    /* The real thread: */
    pthread_t id;
    pthread_cond_t turn_passed;
};

struct sys_mutex {
    struct sys_mutex *next;
    bool is_locked;
};

struct sys_condition {
    struct sys_condition *next;
};

static struct sys_thread *threads;
static struct sys_mutex *mutexes;
static struct sys_condition *conditions;
static uintptr_t self = SELF_MAIN;
static uintptr_t next_self = SELF_FIRST;
static uintptr_t last_wait;
static void (*handlers[SYS_SIGNAL_MAX + 1])(int number);
static bool is_pending[SYS_SIGNAL_MAX + 1];
static unsigned received[SYS_SIGNAL_MAX + 1];
static bool is_signal_locked, is_in_handler;

static pthread_mutex_t turn_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t main_turn_passed = PTHREAD_COND_INITIALIZER;
static struct sys_thread *turn; /* NULL: the main flow. */

void sim_as_thread(sim_fn fn, void *arg)
{
    uintptr_t before = self;

    self = SELF_OUTSIDE;
    fn(arg);
    self = before;
}

uintptr_t aloop__sys_thread_self(void)
{
    sim__note(CALL_sys_thread_self);
    return self;
}

unsigned aloop__sys_processors(void)
{
    sim__note(CALL_sys_processors);
    return PROCESSORS;
}

/* Lets a microsecond pass, in which what is due runs. */
void aloop__sys_thread_yield(void)
{
    sim__note(CALL_sys_thread_yield);
    sim_pass(1000);
}

int aloop__sys_thread_start(void (*run)(void *arg), void *arg,
                            size_t stack_size, struct sys_thread **ret)
{
    int fault = sim__enter(CALL_sys_thread_start);
    struct sys_thread **at = &threads, *thread;

    (void) stack_size;
    if (fault < 0)
        return fault;
    thread = sim__allocate(NULL, sizeof *thread);
    *thread = (struct sys_thread){
        .run = run,
        .arg = arg,
        .self = next_self++,
    };
    pthread_cond_init(&thread->turn_passed, NULL);
    while (*at != NULL)
        at = &(*at)->next;
    *at = thread;
    *ret = thread;
    return 0;
}

static pthread_cond_t *turn_passed_of(struct sys_thread *thread)
{
    return thread != NULL ? &thread->turn_passed : &main_turn_passed;
}

/* It notifies without the lock, which the other flow needs right away.  Only
 * the main flow frees a thread. */
static void give_turn(struct sys_thread *to)
{
    pthread_cond_t *passed = turn_passed_of(to);

    pthread_mutex_lock(&turn_mutex);
    turn = to;
    pthread_mutex_unlock(&turn_mutex);
    pthread_cond_signal(passed);
}

static void await_turn(struct sys_thread *self_or_main)
{
    pthread_mutex_lock(&turn_mutex);
    while (turn != self_or_main)
        pthread_cond_wait(turn_passed_of(self_or_main), &turn_mutex);
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

/* Ends the wait or the sleep with the number `arg`, unless it is over. */
static void wait_over(void *arg)
{
    for (struct sys_thread *at = threads; at != NULL; at = at->next)
        if (at->wait == (uintptr_t) arg &&
            (at->state == ASLEEP || at->state == WAITING)) {
            at->has_timed_out = true;
            at->state = READY;
        }
}

/* Gives the turn to the main flow until the state has become READY. */
static void suspend(struct sys_thread *thread, enum thread_state state,
                    int64_t timeout_ns)
{
    thread->state = state;
    thread->wait = ++last_wait;
    thread->has_timed_out = false;
    if (timeout_ns >= 0)
        sim__schedule(sim__add_ns(sim__world.now_ns, timeout_ns), wait_over,
                      (void *) thread->wait);
    give_turn(NULL);
    await_turn(thread);
    if (thread->is_forgotten) {
        thread->state = ENDED;
        give_turn(NULL);
        pthread_exit(NULL);
    }
}

void sim__thread_sleep(int64_t ns)
{
    struct sys_thread *thread = running();

    assert(thread != NULL);
    suspend(thread, ASLEEP, ns);
}

static void free_thread(struct sys_thread *thread)
{
    struct sys_thread **at = &threads;

    while (*at != thread)
        at = &(*at)->next;
    *at = thread->next;
    pthread_cond_destroy(&thread->turn_passed);
    free(thread);
}

/* Gives the thread the turn until it gives it back. */
static void resume(struct sys_thread *thread)
{
    bool is_fresh = thread->state == FRESH;
    int error = 0;

    thread->state = RUNNING;
    if (is_fresh)
        error = pthread_create(&thread->id, NULL, flow, thread);
    assert(error == 0);
    (void) error;
    give_turn(thread);
    await_turn(NULL);
}

/* Returns false if the thread has nothing to run.  It is not inlined, because
 * the compiler would assume that callers use a thread that was freed. */
__attribute__((noinline)) static bool run_thread(struct sys_thread *thread)
{
    uintptr_t before = self;

    if (thread->state != FRESH && thread->state != READY)
        return false;
    sim__trace((int64_t) thread->self);
    self = thread->self;
    resume(thread);
    self = before;
    if (thread->state != ENDED)
        return true;
    pthread_join(thread->id, NULL);
    if (thread->is_detached)
        free_thread(thread);
    return true;
}

/* Begins again after each thread, because it may have started or joined
 * others. */
bool sim__threads_run(void)
{
    bool has_run = false;
    struct sys_thread *thread = threads;

    if (running() != NULL) /* The caller is a thread itself. */
        return false;
    while (thread != NULL)
        if (run_thread(thread)) {
            has_run = true;
            thread = threads;
        } else
            thread = thread->next;
    return has_run;
}

/* Lets time pass until the thread has ended.  If it never ends, it is ended
 * here, so that a test can report the deadlock. */
static void await_end(struct sys_thread *thread)
{
    while (thread->state != ENDED) {
        if (run_thread(thread) || sim__threads_run())
            continue;
        if (sim__next_ns() == INT64_MAX) {
            sim__world.is_deadlocked = true;
            thread->is_forgotten = true;
            thread->state = READY;
            continue;
        }
        if (sim__world.now_ns < sim__next_ns())
            sim__world.now_ns = sim__next_ns();
        sim__happen();
    }
}

void aloop__sys_thread_join(struct sys_thread *thread)
{
    sim__note(CALL_sys_thread_join);
    if (sim__locks_held()) /* The thread may need such a lock. */
        sim__world.bad_locks++;
    await_end(thread);
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
    else
        thread->state = READY;
}

unsigned sim_threads_open(void)
{
    unsigned count = 0;

    for (struct sys_thread *at = threads; at != NULL; at = at->next)
        count += !at->is_detached;
    return count;
}

int aloop__sys_mutex_open(struct sys_mutex **ret)
{
    int fault = sim__enter(CALL_sys_mutex_open);

    if (fault < 0)
        return fault;
    *ret = sim__allocate(NULL, sizeof **ret);
    **ret = (struct sys_mutex){mutexes, false};
    mutexes = *ret;
    return 0;
}

/* Sets the lock, and counts a mistake if it is already in that state. */
static void set_lock(bool *is_locked, bool is_taken)
{
    if (*is_locked == is_taken)
        sim__world.bad_locks++;
    *is_locked = is_taken;
}

static void free_mutex(struct sys_mutex *mutex)
{
    struct sys_mutex **at = &mutexes;

    while (*at != mutex)
        at = &(*at)->next;
    *at = mutex->next;
    free(mutex);
}

void aloop__sys_mutex_close(struct sys_mutex *mutex)
{
    sim__note(CALL_sys_mutex_close);
    if (mutex->is_locked)
        sim__world.bad_locks++;
    free_mutex(mutex);
}

void aloop__sys_mutex_forget(struct sys_mutex *mutex)
{
    sim__note(CALL_sys_mutex_forget);
    free_mutex(mutex);
}

void aloop__sys_mutex_lock(struct sys_mutex *mutex)
{
    sim__note(CALL_sys_mutex_lock);
    set_lock(&mutex->is_locked, true);
}

void aloop__sys_mutex_unlock(struct sys_mutex *mutex)
{
    sim__note(CALL_sys_mutex_unlock);
    set_lock(&mutex->is_locked, false);
}

int aloop__sys_condition_open(struct sys_condition **ret)
{
    int fault = sim__enter(CALL_sys_condition_open);

    if (fault < 0)
        return fault;
    *ret = sim__allocate(NULL, sizeof **ret);
    (*ret)->next = conditions;
    conditions = *ret;
    return 0;
}

static struct sys_thread *find_waiter(const struct sys_condition *condition)
{
    struct sys_thread *thread = threads;

    while (thread != NULL &&
           (thread->state != WAITING || thread->condition != condition))
        thread = thread->next;
    return thread;
}

static void free_condition(struct sys_condition *condition)
{
    struct sys_condition **at = &conditions;

    while (*at != condition)
        at = &(*at)->next;
    *at = condition->next;
    free(condition);
}

void aloop__sys_condition_close(struct sys_condition *condition)
{
    sim__note(CALL_sys_condition_close);
    if (find_waiter(condition) != NULL)
        sim__world.bad_locks++;
    free_condition(condition);
}

void aloop__sys_condition_forget(struct sys_condition *condition)
{
    sim__note(CALL_sys_condition_forget);
    free_condition(condition);
}

/* The main flow lets the threads run, and is never notified. */
int aloop__sys_condition_wait(struct sys_condition *condition,
                              struct sys_mutex *mutex, int64_t timeout_ns)
{
    struct sys_thread *thread = running();
    int result = 0;

    sim__note(CALL_sys_condition_wait);
    set_lock(&mutex->is_locked, false);
    if (thread == NULL)
        result = sim__threads_run() ? 0 : -ECANCELED;
    else {
        thread->condition = condition;
        suspend(thread, WAITING, timeout_ns);
        if (thread->has_timed_out)
            result = -ETIMEDOUT;
    }
    set_lock(&mutex->is_locked, true);
    return result;
}

void aloop__sys_condition_notify(struct sys_condition *condition)
{
    struct sys_thread *thread = find_waiter(condition);

    sim__note(CALL_sys_condition_notify);
    if (thread != NULL)
        thread->state = READY;
}

void aloop__sys_condition_notify_all(struct sys_condition *condition)
{
    struct sys_thread *thread;

    sim__note(CALL_sys_condition_notify_all);
    while ((thread = find_waiter(condition)) != NULL)
        thread->state = READY;
}

unsigned sim__locks_open(void)
{
    unsigned count = 0;

    for (struct sys_mutex *at = mutexes; at != NULL; at = at->next)
        count++;
    for (struct sys_condition *at = conditions; at != NULL; at = at->next)
        count++;
    return count;
}

bool sim__locks_held(void)
{
    bool is_held = is_signal_locked;

    for (struct sys_mutex *at = mutexes; at != NULL; at = at->next)
        is_held |= at->is_locked;
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
        if (!is_pending[number] || is_signal_locked || is_in_handler)
            continue;
        is_pending[number] = false;
        if (handlers[number] == NULL)
            continue;
        is_in_handler = true;
        received[number]++;
        handlers[number](number);
        is_in_handler = false;
        sim__world.was_interrupted = true;
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
    if (is_in_handler)
        sim__world.bad_locks++;
    set_lock(&is_signal_locked, true);
}

void aloop__sys_signal_unlock(void)
{
    sim__note(CALL_sys_signal_unlock);
    set_lock(&is_signal_locked, false);
    deliver();
}

void aloop__sys_signal_lock_in_handler(void)
{
    sim__note(CALL_sys_signal_lock_in_handler);
    if (!is_in_handler)
        sim__world.bad_locks++;
    set_lock(&is_signal_locked, true);
}

void aloop__sys_signal_unlock_in_handler(void)
{
    sim__note(CALL_sys_signal_unlock_in_handler);
    set_lock(&is_signal_locked, false);
}

/* Begins again after each thread, which may free others. */
void sim_threads_finish(void)
{
    for (struct sys_thread *at = threads; at != NULL; at = at->next)
        if (at->state == ASLEEP)
            at->state = READY;
    sim__threads_run();
}

/* Ends the threads that still exist, without running them. */
static void end_threads(void)
{
    while (threads != NULL) {
        struct sys_thread *thread = threads;

        thread->is_detached = thread->is_forgotten = true;
        if (thread->state == FRESH || thread->state == ENDED) {
            free_thread(thread);
            continue;
        }
        thread->state = READY;
        run_thread(thread);
    }
}

void sim__thread_end(void)
{
    end_threads();
    while (mutexes != NULL)
        free_mutex(mutexes);
    while (conditions != NULL)
        free_condition(conditions);
    for (int number = 0; number <= SYS_SIGNAL_MAX; number++) {
        handlers[number] = NULL;
        is_pending[number] = false;
        received[number] = 0;
    }
    is_signal_locked = is_in_handler = false;
    self = SELF_MAIN;
    next_self = SELF_FIRST;
}
