/* Mutexes: semaphores with one permit (semaphore.c).
 *
 * A task that unlocks a mutex gives it directly to the first waiter, which owns
 * it before its task runs.  No other task can lock it in between, so that the
 * order of the waiters is kept.
 *
 * A lock that was given and not received must not stay locked.  The waiter may
 * be cancelled between the unlock and its own turn; "completed wins", so that
 * its await still returns success and the task unlocks.  If instead the future
 * is dropped unread, aloop__permit_fini() gives the permit back. */

#include "loop/debug.h"
#include "loop/future.h"
#include "sync/semaphore.h"

/* Not live: a wait for a lock is only an entry of a queue.  What will unlock
 * the mutex is what keeps the loop running. */
static const struct aloop__future_ops lock_ops = {
    .name = "mutex lock",
    .size = sizeof(struct aloop__permit),
    .cancel = aloop__permit_cancel,
    .fini = aloop__permit_fini,
};

/* The lock is the only permit, so that the mutex is locked exactly while no
 * permit is free.  It does not record which task has locked it. */
aloop_mutex *aloop_mutex_new(aloop *loop)
{
    aloop_mutex *mutex = aloop__check_loop(loop, __func__) < 0
                             ? NULL
                             : aloop__slab_get(&loop->slab, sizeof *mutex);

    if (mutex != NULL)
        aloop__semaphore_init(&mutex->semaphore, loop, 1);
    return mutex;
}

/* Waiters fail with ALOOP_ECLOSED.  The future of the task that holds the lock
 * may live longer than the mutex, and loses its link to it. */
void aloop_mutex_free(aloop_mutex *mutex)
{
    if (mutex == NULL ||
        aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return;
    aloop__semaphore_fini(&mutex->semaphore);
    aloop__slab_put(&mutex->semaphore.queue.loop->slab, mutex, sizeof *mutex);
}

aloop_future *aloop_mutex_lock(aloop_mutex *mutex)
{
    if (mutex == NULL)
        return aloop__future_failed(NULL, ALOOP_EINVAL);
    if (aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return aloop__future_refused(ALOOP_EPERM);
    return aloop__semaphore_acquire(&mutex->semaphore, 1, &lock_ops);
}

/* Fails also while others wait: it must not overtake them. */
int aloop_mutex_try_lock(aloop_mutex *mutex)
{
    if (mutex == NULL)
        return ALOOP_EINVAL;
    if (aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    return aloop__semaphore_try(&mutex->semaphore, 1);
}

/* Any code of the loop may unlock a mutex that is locked. */
int aloop_mutex_unlock(aloop_mutex *mutex)
{
    if (mutex == NULL)
        return ALOOP_EINVAL;
    if (!aloop_mutex_is_locked(mutex))
        return ALOOP_EPERM;
    if (aloop__check_loop(mutex->semaphore.queue.loop, __func__) < 0)
        return ALOOP_EPERM;
    /* The future of the lock may still be unread.  It must not give the permit
     * back a second time when it is freed. */
    if (mutex->semaphore.last_given != NULL)
        mutex->semaphore.last_given->is_given = false;
    aloop__semaphore_give(&mutex->semaphore, 1);
    return 0;
}

bool aloop_mutex_is_locked(const aloop_mutex *mutex)
{
    return mutex != NULL && mutex->semaphore.free == 0;
}
