/* Threads for the pool, mutexes and conditions: POSIX threads, and on Linux
 * futexes for the conditions.
 *
 * Memory comes from malloc(), because a thread can outlive its loop by a moment
 * and belongs to no loop's allocator. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "os/tools.h"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

/* Thread-local variables of the program are on the stacks of threads too, and
 * the frames of checkers are larger. */
enum {
    LOCALS_SIZE = 32 * 1024,
    STACK_SCALE = WITH_TSAN ? 4 : TOOLS_STACK_SCALE
};

struct sys_thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
};

struct sys_mutex {
    pthread_mutex_t mutex;
};

uintptr_t aloop__sys_thread_self(void)
{
    return (uintptr_t) pthread_self();
}

void aloop__sys_thread_yield(void)
{
    (void) sched_yield();
}

/* Adapts the type of the function. */
static void *thread_main(void *arg)
{
    const struct sys_thread *thread = arg;

    thread->run(thread->arg);
    return NULL;
}

/* The least size of a stack is known at run time.  If a size is refused, the
 * default holds. */
static void set_stack_size(pthread_attr_t *attributes, size_t size)
{
    long least = sysconf(_SC_THREAD_STACK_MIN);
    long page = sysconf(_SC_PAGESIZE);
    size_t unit = page > 0 ? (size_t) page : 1;

    size = size * STACK_SCALE + LOCALS_SIZE + (least > 0 ? (size_t) least : 0);
    size = (size + unit - 1) / unit * unit;
    (void) pthread_attr_setstacksize(attributes, size);
}

static int create(struct sys_thread *thread, size_t stack_size)
{
    pthread_attr_t attributes;
    int error;

    if (stack_size == 0)
        return pthread_create(&thread->id, NULL, thread_main, thread);
    error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    set_stack_size(&attributes, stack_size);
    error = pthread_create(&thread->id, &attributes, thread_main, thread);
    pthread_attr_destroy(&attributes);
    return error;
}

/* The new thread inherits the mask of its creator (pthread_create(3)).  It must
 * block all signals from its first instruction on, because a handler of the
 * application expects to run on a thread of the application. */
int aloop__sys_thread_start(void (*run)(void *arg), void *arg,
                            size_t stack_size, struct sys_thread **ret)
{
    struct sys_thread *thread = malloc(sizeof *thread);
    sigset_t all, before;
    int error;

    if (thread == NULL)
        return -ENOMEM;
    thread->run = run;
    thread->arg = arg;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* The thread inherits it. */
    error = create(thread, stack_size);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        free(thread);
        return -error;
    }
    *ret = thread;
    return 0;
}

/* Called once for each thread that was neither detached nor forgotten. */
void aloop__sys_thread_join(struct sys_thread *thread)
{
    int error = pthread_join(thread->id, NULL);

    assert(error == 0);
    (void) error;
    free(thread);
}

void aloop__sys_thread_detach(struct sys_thread *thread)
{
    int error = pthread_detach(thread->id);

    assert(error == 0);
    (void) error;
    free(thread);
}

/* In a forked child, which has only the thread that has called fork(). */
void aloop__sys_thread_forget(struct sys_thread *thread)
{
    free(thread);
}

#if defined(__linux__)
unsigned aloop__sys_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                            : 0;

    if (count == 0) /* The system has more processors than the set. */
        count = (int) sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned) count : 1;
}
#else
unsigned aloop__sys_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 0 ? (unsigned) count : 1;
}
#endif

int aloop__sys_mutex_open(struct sys_mutex **ret)
{
    struct sys_mutex *mutex = malloc(sizeof *mutex);
    int error;

    if (mutex == NULL)
        return -ENOMEM;
    error = pthread_mutex_init(&mutex->mutex, NULL);
    if (error != 0) {
        free(mutex);
        return -error;
    }
    *ret = mutex;
    return 0;
}

void aloop__sys_mutex_close(struct sys_mutex *mutex)
{
    int error;

    if (mutex == NULL)
        return;
    error = pthread_mutex_destroy(&mutex->mutex);
    assert(error == 0);
    (void) error;
    free(mutex);
}

/* In a forked child: a thread of the parent may hold the lock, and destroying a
 * locked mutex is undefined. */
void aloop__sys_mutex_forget(struct sys_mutex *mutex)
{
    free(mutex);
}

void aloop__sys_mutex_lock(struct sys_mutex *mutex)
{
    int error = pthread_mutex_lock(&mutex->mutex);

    assert(error == 0);
    (void) error;
}

void aloop__sys_mutex_unlock(struct sys_mutex *mutex)
{
    int error = pthread_mutex_unlock(&mutex->mutex);

    assert(error == 0);
    (void) error;
}

#if defined(__linux__) && defined(SYS_futex) && defined(__LP64__)

/* Conditions made of futexes.  After a wait for a condition of glibc, the mutex
 * counts as one that other threads wait for, so that its unlock is always a
 * system call.  That was 6 % of the time of a short job of the pool.
 *
 * A waiter reads the number of notifications before it unlocks the mutex.  The
 * kernel lets it sleep only if there was none since. */
struct sys_condition {
    atomic_uint notifications;
};

/* <linux/futex.h>, which some compilers for musl do not find. */
enum {
    FUTEX_OF_PROCESS = 128, /* FUTEX_PRIVATE_FLAG */
    WAKE_FUTEX = 1 | FUTEX_OF_PROCESS,
    /* FUTEX_WAIT_BITSET, whose time is one of the monotonic clock. */
    WAIT_FUTEX = 9 | FUTEX_OF_PROCESS
};

int aloop__sys_condition_open(struct sys_condition **ret)
{
    struct sys_condition *condition = malloc(sizeof *condition);

    if (condition == NULL)
        return -ENOMEM;
    atomic_init(&condition->notifications, 0);
    *ret = condition;
    return 0;
}

void aloop__sys_condition_close(struct sys_condition *condition)
{
    free(condition);
}

void aloop__sys_condition_forget(struct sys_condition *condition)
{
    free(condition);
}

/* Returns the time at which a wait ends. */
static struct timespec end_of_wait(int64_t timeout_ns)
{
    int64_t now_ns = aloop__sys_clock_ns(), end_ns = INT64_MAX;

    if (timeout_ns < INT64_MAX - now_ns)
        end_ns = now_ns + timeout_ns;
    return (struct timespec){
        .tv_sec = (time_t) (end_ns / 1000000000),
        .tv_nsec = (long) (end_ns % 1000000000),
    };
}

/* A signal does not end the wait: its caller would wait for the whole time
 * again. */
int aloop__sys_condition_wait(struct sys_condition *condition,
                              struct sys_mutex *mutex, int64_t timeout_ns)
{
    struct timespec end, *limit = NULL;
    unsigned count = atomic_load(&condition->notifications);
    int error;

    if (timeout_ns >= 0) {
        end = end_of_wait(timeout_ns);
        limit = &end;
    }
    aloop__sys_mutex_unlock(mutex);
    do
        error = syscall(SYS_futex, &condition->notifications, WAIT_FUTEX, count,
                        limit, NULL, ~0U) < 0
                    ? errno
                    : 0;
    while (error == EINTR);
    aloop__sys_mutex_lock(mutex);
    return error == ETIMEDOUT ? -ETIMEDOUT : 0;
}

static void wake_waiters(struct sys_condition *condition, int most)
{
    atomic_fetch_add(&condition->notifications, 1);
    (void) syscall(SYS_futex, &condition->notifications, WAKE_FUTEX, most);
}

void aloop__sys_condition_notify(struct sys_condition *condition)
{
    wake_waiters(condition, 1);
}

void aloop__sys_condition_notify_all(struct sys_condition *condition)
{
    wake_waiters(condition, INT_MAX);
}

#else

struct sys_condition {
    pthread_cond_t condition;
};

/* macOS cannot choose the clock of a condition, but has relative waits. */
#if defined(__APPLE__)
static int init_condition(pthread_cond_t *condition)
{
    return pthread_cond_init(condition, NULL);
}

static int wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex,
                    int64_t timeout_ns)
{
    struct timespec span = {
        .tv_sec = (time_t) (timeout_ns / 1000000000),
        .tv_nsec = (long) (timeout_ns % 1000000000),
    };

    return pthread_cond_timedwait_relative_np(condition, mutex, &span);
}
#else
static int init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);

    if (error != 0)
        return error;
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0)
        error = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return error;
}

static int wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex,
                    int64_t timeout_ns)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t) (timeout_ns / 1000000000);
    end.tv_nsec += (long) (timeout_ns % 1000000000);
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(condition, mutex, &end);
}
#endif

int aloop__sys_condition_open(struct sys_condition **ret)
{
    struct sys_condition *condition = malloc(sizeof *condition);
    int error;

    if (condition == NULL)
        return -ENOMEM;
    error = init_condition(&condition->condition);
    if (error != 0) {
        free(condition);
        return -error;
    }
    *ret = condition;
    return 0;
}

void aloop__sys_condition_close(struct sys_condition *condition)
{
    if (condition == NULL)
        return;
    pthread_cond_destroy(&condition->condition);
    free(condition);
}

/* The condition is not destroyed, because that may wait for threads of the
 * parent that it counts as waiters. */
void aloop__sys_condition_forget(struct sys_condition *condition)
{
    free(condition);
}

/* Returns -ETIMEDOUT after timeout_ns.  It may return 0 without a notification,
 * so that the caller checks its condition again. */
int aloop__sys_condition_wait(struct sys_condition *condition,
                              struct sys_mutex *mutex, int64_t timeout_ns)
{
    int error;

    if (timeout_ns < 0)
        error = pthread_cond_wait(&condition->condition, &mutex->mutex);
    else
        error = wait_for(&condition->condition, &mutex->mutex, timeout_ns);
    assert(error == 0 || error == ETIMEDOUT);
    return -error;
}

void aloop__sys_condition_notify(struct sys_condition *condition)
{
    pthread_cond_signal(&condition->condition);
}

void aloop__sys_condition_notify_all(struct sys_condition *condition)
{
    pthread_cond_broadcast(&condition->condition);
}

#endif
