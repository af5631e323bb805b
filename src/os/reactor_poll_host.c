/* A thread that polls for a host loop.
 *
 * There are two wake-up channels.  The host watches one; the other interrupts
 * the poll of the thread.  Both sides share the state under a mutex:
 *
 *               publish                   ready or due
 *     IDLE --------------> WATCHING ------------------------> SIGNALLED
 *       ^                   |    ^                             |     |
 *       |     withdraw      |    |           publish           |     |
 *       +-------------------+    +-----------------------------+     |
 *       +------------------------------------------------------------+
 *
 * The host's channel is readable in SIGNALLED and in no other state.  The
 * thread polls only in WATCHING.  In SIGNALLED it sleeps until the next
 * publication, so that readiness which the host has not handled yet costs no
 * CPU time.
 *
 * If the loop changes anything during a poll, it pokes the thread.  The poll
 * then ends, and its result is ignored because it is about an older state.
 *
 * The thread polls the array of the loop without the mutex.  Therefore the
 * loop withdraws a publication before it changes the array. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/reactor_poll_host.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>

#include "os/sys.h"

enum host_state { IDLE, WATCHING, SIGNALLED, ENDING };

#define NEVER INT64_MAX /* The time of an alarm that is not set. */

/* The parts that a forked child replaces. */
struct host_parts {
    struct sys_mutex *mutex;
    struct sys_condition *condition;
    int host_fds[2];    /* What the host watches, and the end to signal. */
    int control_fds[2]; /* Interrupts the poll of the thread. */
};

struct aloop__poll_host {
    const struct aloop__alloc *alloc;
    struct host_parts parts;
    struct sys_thread *thread; /* NULL if it could not be started in a child. */
    unsigned owner;            /* The process that the thread belongs to. */
    /* The fields below are guarded by the mutex. */
    enum host_state state;
    bool is_polling; /* The thread is polling or about to poll. */
    bool is_poked;   /* That poll is outdated and was interrupted. */
    int64_t due_ns;
    struct pollfd *fds; /* The loop's; the first is the control channel. */
    size_t count;
};

/* Makes the host's descriptor readable.  Called with the mutex locked. */
static void signal_host(struct aloop__poll_host *host)
{
    if (host->state != SIGNALLED)
        aloop__sys_wake_signal(host->parts.host_fds[1]);
    host->state = SIGNALLED;
}

/* Leaves SIGNALLED for `state`.  Called with the mutex locked. */
static void calm_host(struct aloop__poll_host *host, enum host_state state)
{
    if (host->state == SIGNALLED)
        aloop__sys_wake_drain(host->parts.host_fds[0]);
    host->state = state;
}

/* Makes the thread notice a change.  Called with the mutex locked. */
static void poke(struct aloop__poll_host *host)
{
    if (!host->is_polling) {
        if (host->state != SIGNALLED) /* In SIGNALLED it has nothing to do. */
            aloop__sys_condition_notify_all(host->parts.condition);
    } else if (!host->is_poked) {
        host->is_poked = true;
        aloop__sys_wake_signal(host->parts.control_fds[1]);
    }
}

/* Returns the timeout of a poll: -1 for none, 0 if due_ns has passed. */
static int64_t time_until(int64_t due_ns)
{
    int64_t now_ns;

    if (due_ns == NEVER)
        return -1;
    now_ns = aloop__sys_clock_ns();
    return due_ns > now_ns ? due_ns - now_ns : 0;
}

/* Polls once.  Called with the mutex locked, and unlocks it during the poll.  A
 * poll that fails also makes the host's descriptor readable: the host's step
 * makes the same call and returns the error. */
static void poll_once(struct aloop__poll_host *host)
{
    int64_t left_ns = time_until(host->due_ns);
    struct pollfd *fds = host->fds;
    size_t size = host->count;
    int count;

    fds[0] =
        (struct pollfd){.fd = host->parts.control_fds[0], .events = POLLIN};
    host->is_polling = true;
    aloop__sys_mutex_unlock(host->parts.mutex);
    count = aloop__sys_poll(fds, size, left_ns);
    aloop__sys_mutex_lock(host->parts.mutex);
    host->is_polling = false;
    if (host->is_poked) {
        host->is_poked = false;
        aloop__sys_wake_drain(host->parts.control_fds[0]);
        aloop__sys_condition_notify_all(host->parts.condition);
    } else if (count != 0 || time_until(host->due_ns) == 0) {
        assert(host->state == WATCHING);
        signal_host(host);
    }
}

static int wait_for_change(struct aloop__poll_host *host)
{
    return aloop__sys_condition_wait(host->parts.condition, host->parts.mutex,
                                     -1);
}

static void poll_host_work(void *arg)
{
    struct aloop__poll_host *host = arg;
    int error = 0;

    aloop__sys_mutex_lock(host->parts.mutex);
    while (host->state != ENDING && error == 0) {
        if (host->state == WATCHING)
            poll_once(host);
        else
            error = wait_for_change(host);
    }
    aloop__sys_mutex_unlock(host->parts.mutex);
}

static void close_parts(struct host_parts *parts)
{
    aloop__sys_wake_close(parts->host_fds);
    aloop__sys_wake_close(parts->control_fds);
    aloop__sys_condition_close(parts->condition);
    aloop__sys_mutex_close(parts->mutex);
}

static int open_parts(struct host_parts *ret)
{
    struct host_parts parts = {NULL, NULL, {-1, -1}, {-1, -1}};
    int error = aloop__sys_mutex_open(&parts.mutex);

    if (error == 0)
        error = aloop__sys_condition_open(&parts.condition);
    if (error == 0)
        error = aloop__sys_wake_open(parts.host_fds);
    if (error == 0)
        error = aloop__sys_wake_open(parts.control_fds);
    if (error < 0)
        close_parts(&parts);
    else
        *ret = parts;
    return error;
}

static int run_thread(struct aloop__poll_host *host)
{
    return aloop__sys_thread_start(poll_host_work, host, 0, &host->thread);
}

static int start_thread(struct aloop__poll_host *host)
{
    host->thread = NULL;
    host->owner = aloop__sys_process_adopt(0);
    host->state = IDLE;
    host->is_polling = host->is_poked = false;
    return run_thread(host);
}

int aloop__poll_host_open(const struct aloop__alloc *alloc,
                          struct aloop__poll_host **ret)
{
    struct aloop__poll_host *host = aloop__alloc_zero(alloc, sizeof *host);
    int error;

    if (host == NULL)
        return -ENOMEM;
    host->alloc = alloc;
    host->due_ns = NEVER;
    error = open_parts(&host->parts);
    if (error == 0) {
        error = start_thread(host);
        if (error == 0) {
            *ret = host;
            return 0;
        }
        close_parts(&host->parts);
    }
    aloop__alloc_free(alloc, host, sizeof *host);
    return error;
}

static bool is_ours(const struct aloop__poll_host *host)
{
    return host->owner == atomic_load(aloop__sys_process_mark());
}

static void end_thread(struct aloop__poll_host *host)
{
    aloop__sys_mutex_lock(host->parts.mutex);
    host->state = ENDING;
    poke(host);
    aloop__sys_mutex_unlock(host->parts.mutex);
    if (host->thread != NULL)
        aloop__sys_thread_join(host->thread);
}

/* Frees the parts of the parent in a forked child.  The thread does not exist
 * there, and the mutex may never be unlocked again. */
static void forget_parent(struct aloop__poll_host *host)
{
    aloop__sys_thread_forget(host->thread);
    aloop__sys_condition_forget(host->parts.condition);
    aloop__sys_mutex_forget(host->parts.mutex);
    host->thread = NULL;
    host->parts.condition = NULL;
    host->parts.mutex = NULL;
}

void aloop__poll_host_close(struct aloop__poll_host *host)
{
    if (host == NULL)
        return;
    if (is_ours(host))
        end_thread(host);
    else
        forget_parent(host);
    close_parts(&host->parts);
    aloop__alloc_free(host->alloc, host, sizeof *host);
}

int aloop__poll_host_fd(const struct aloop__poll_host *host)
{
    return host->parts.host_fds[0];
}

void aloop__poll_host_alarm(struct aloop__poll_host *host, int64_t when_ns)
{
    if (!is_ours(host))
        return;
    aloop__sys_mutex_lock(host->parts.mutex);
    host->due_ns = when_ns;
    aloop__sys_mutex_unlock(host->parts.mutex);
}

void aloop__poll_host_publish(struct aloop__poll_host *host, struct pollfd *fds,
                              size_t count)
{
    if (!is_ours(host))
        return;
    aloop__sys_mutex_lock(host->parts.mutex);
    host->fds = fds;
    host->count = count;
    if (time_until(host->due_ns) == 0)
        signal_host(host);
    else
        calm_host(host, WATCHING);
    poke(host);
    aloop__sys_mutex_unlock(host->parts.mutex);
}

void aloop__poll_host_withdraw(struct aloop__poll_host *host)
{
    int error = 0;

    if (!is_ours(host))
        return;
    aloop__sys_mutex_lock(host->parts.mutex);
    calm_host(host, IDLE);
    if (host->is_polling)
        poke(host);
    while (host->is_polling && error == 0)
        error = wait_for_change(host);
    aloop__sys_mutex_unlock(host->parts.mutex);
}

/* Moves the reading end of a new channel to the number of an old one. */
static int replace_channel(int fds[2], int fresh[2])
{
    bool is_one = fresh[1] == fresh[0];
    int error = aloop__sys_move(fresh[0], fds[0]);

    if (error < 0)
        return error;
    if (fds[1] != fds[0])
        aloop__sys_close(fds[1]);
    fresh[0] = fds[0];
    fresh[1] = is_one ? fds[0] : fresh[1];
    return 0;
}

int aloop__poll_host_renew(struct aloop__poll_host *host)
{
    struct host_parts parts;
    int error;

    if (is_ours(host)) /* In a child, starting the thread may have failed. */
        return host->thread != NULL ? 0 : run_thread(host);
    error = open_parts(&parts);
    if (error < 0)
        return error;
    error = replace_channel(host->parts.host_fds, parts.host_fds);
    if (error < 0) {
        close_parts(&parts);
        return error;
    }
    forget_parent(host);
    aloop__sys_wake_close(host->parts.control_fds);
    host->parts = parts;
    return start_thread(host);
}
