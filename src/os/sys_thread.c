/* Threads for the pool, and monitors: POSIX threads.
 *
 * Memory comes from malloc(), because a thread can outlive its loop by a moment
 * and belongs to no loop's allocator. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct sys_thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
};

struct sys_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

uintptr_t aloop__sys_thread_self(void)
{
    return (uintptr_t) pthread_self();
}

void aloop__sys_thread_yield(void)
{
    (void) sched_yield();
}

static void *thread_main(void *arg)
{
    const struct sys_thread *thread = arg;

    thread->run(thread->arg);
    return NULL;
}

int aloop__sys_thread_start(void (*run)(void *arg), void *arg,
                            struct sys_thread **ret)
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
    error = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        free(thread);
        return -error;
    }
    *ret = thread;
    return 0;
}

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

void aloop__sys_thread_forget(struct sys_thread *thread)
{
    free(thread);
}

int aloop__sys_monitor_open(struct sys_monitor **ret)
{
    struct sys_monitor *monitor = malloc(sizeof *monitor);
    int error;

    if (monitor == NULL)
        return -ENOMEM;
    error = pthread_mutex_init(&monitor->mutex, NULL);
    if (error != 0)
        goto fail;
    error = pthread_cond_init(&monitor->condition, NULL);
    if (error != 0) {
        pthread_mutex_destroy(&monitor->mutex);
        goto fail;
    }
    *ret = monitor;
    return 0;

fail:
    free(monitor);
    return -error;
}

void aloop__sys_monitor_close(struct sys_monitor *monitor)
{
    if (monitor == NULL)
        return;
    pthread_cond_destroy(&monitor->condition);
    pthread_mutex_destroy(&monitor->mutex);
    free(monitor);
}

/* The condition is not destroyed, because that may wait for threads of the
 * parent that it counts as waiters. */
void aloop__sys_monitor_forget(struct sys_monitor *monitor)
{
    free(monitor);
}

void aloop__sys_monitor_enter(struct sys_monitor *monitor)
{
    int error = pthread_mutex_lock(&monitor->mutex);

    assert(error == 0);
    (void) error;
}

void aloop__sys_monitor_leave(struct sys_monitor *monitor)
{
    int error = pthread_mutex_unlock(&monitor->mutex);

    assert(error == 0);
    (void) error;
}

int aloop__sys_monitor_wait(struct sys_monitor *monitor)
{
    int error = pthread_cond_wait(&monitor->condition, &monitor->mutex);

    assert(error == 0);
    (void) error;
    return 0;
}

void aloop__sys_monitor_notify(struct sys_monitor *monitor)
{
    pthread_cond_signal(&monitor->condition);
}

void aloop__sys_monitor_notify_all(struct sys_monitor *monitor)
{
    pthread_cond_broadcast(&monitor->condition);
}
