/* Detection of the application's mistakes; see debug.h.
 *
 * A check may run on any thread: that is one of the mistakes.  Therefore
 * reports are kept under a spin lock of their own, and the thread that runs the
 * loop delivers them at the end of a turn.  Nothing is allocated for a report.
 *
 * Objects that may have been freed are read here.  The quarantine keeps their
 * memory for a while; after that a check may miss a mistake, but reads only
 * memory of the slab.  The functions that read it are marked DEBUG_READS. */

#include "loop/debug.h"

#include <stdio.h>
#include <string.h>

#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/future.h"
#include "loop/handle.h"
#include "loop/quarantine.h"
#include "loop/running.h"

enum {
    MISTAKES_MAX = 32, /* Different ones; the last announces more. */
    TEXT_SIZE = 400,
    SUBJECT_SIZE = 120
};

/* For how long a callback or task may run.  Checkers make everything slower. */
static const int64_t blocked_max_ns = ALOOP_MS(100);
static const int64_t tool_factor = WITH_ASAN || WITH_TSAN ? 5 : 1;

struct report {
    uint64_t key; /* Hash by which equal reports are found. */
    char text[TEXT_SIZE];
};

struct aloop__debug {
    _Atomic(uintptr_t) owner; /* The thread that runs the loop, or 0. */
    int64_t called_ns;        /* When the last callback began. */

    atomic_uint lock;     /* Protects the reports: any thread adds them. */
    atomic_uint has_news; /* Some reports were not delivered yet. */
    unsigned count;
    unsigned delivered;
    struct report reports[MISTAKES_MAX];
};

/* The texts of each mistake: what is wrong, and how to correct it. */
static const struct {
    const char *what;
    const char *advice;
} mistakes[] = {
    [MISTAKE_THREAD] = {"the loop runs on another thread, and only that thread "
                        "may use it",
                        "use aloop_post() to call a function there"},
    [MISTAKE_FUTURE] = {"was used after its last reference was given away",
                        "take another reference with aloop_future_ref() before "
                        "that, and give away each reference once"},
    [MISTAKE_WAITED] = {"is already waited for, and that wait has taken over "
                        "the only reference to it",
                        "take another reference with aloop_future_ref() "
                        "before that wait"},
    [MISTAKE_CLOSED] = {"was used after it was closed or freed",
                        "set the pointer to NULL after the close or free"},
    [MISTAKE_NULL] = {"the argument is NULL",
                      "check the status of the call that should have set the "
                      "pointer; if it fails, the pointer is unchanged"},
    [MISTAKE_INSIDE] = {"was used in a function of its filter",
                        "use aloop_defer() to use it in the next turn; only "
                        "aloop_stream_filter_wake() may be called there"},
    [MISTAKE_CALLBACK] = {"cannot be awaited here, because a callback cannot "
                          "wait",
                          "use aloop_then() instead, or spawn a task that "
                          "awaits it"},
    [MISTAKE_YIELD] = {"the loop cannot continue before the callback returns",
                       "use aloop_defer() instead, to call a function in the "
                       "next turn"},
    [MISTAKE_CIRCLE] = {"waits for the task that awaits it, so that neither "
                        "would end",
                        "remove one of the two waits"},
    [MISTAKE_LOOP] = {"belongs to another loop",
                      "await it in a task of its own loop, and use "
                      "aloop_post() to pass the result on"},
    [MISTAKE_DROPPED] = {"was cancelled because its last reference was dropped",
                         "use aloop_detach() to let it continue, aloop_await() "
                         "to wait for it, or aloop_cancel() before the drop if "
                         "the cancel is intended"},
    [MISTAKE_SETTLED] = {"was settled already",
                         "settle each operation once, and do not use the "
                         "maker's pointer after that"},
    [MISTAKE_BLOCKED] = {"has blocked the loop, so that nothing else could run",
                         "use the library's operations instead of calls that "
                         "block, and a thread for long computations"},
};

/* Reports. */

/* Also taken by threads that must not wait for the loop. */
static void lock_reports(struct aloop__debug *debug)
{
    while (atomic_exchange(&debug->lock, 1) != 0)
        ; /* It is locked only while a text is copied. */
}

static void unlock_reports(struct aloop__debug *debug)
{
    atomic_store(&debug->lock, 0);
}

/* Copies the name, which is valid only until the next call. */
static void name_of(const aloop_future *future, char name[SUBJECT_SIZE])
{
    snprintf(name, SUBJECT_SIZE, "%s", aloop__future_name(future));
}

/* Describes the code on this thread that has made the mistake. */
static void name_caller(const aloop *loop, char caller[SUBJECT_SIZE + 8])
{
    const aloop *current = aloop__running();
    char name[SUBJECT_SIZE];

    if (current == NULL) {
        bool is_run = atomic_load(&loop->debug->owner) != 0;

        snprintf(caller, SUBJECT_SIZE + 8, "%s",
                 is_run ? "on another thread" : "outside the loop");
        return;
    }
    if (current->current == NULL) {
        snprintf(caller, SUBJECT_SIZE + 8, "in a callback");
        return;
    }
    /* A future is the first member of a task. */
    name_of((const aloop_future *) (const void *) current->current, name);
    snprintf(caller, SUBJECT_SIZE + 8, "in %s", name);
}

/* FNV-1a, beginning with `key`.  The last step separates the texts. */
static uint64_t hash(uint64_t key, const char *text)
{
    for (; *text != '\0'; text++)
        key = (key ^ (unsigned char) *text) * UINT64_C(0x100000001b3);
    return key * 31 + 1;
}

/* Returns whether an equal report was made.  Called with the lock. */
static bool is_known(const struct aloop__debug *debug, uint64_t key)
{
    for (unsigned i = 0; i < debug->count; i++)
        if (debug->reports[i].key == key)
            return true;
    return false;
}

/* Adds a report unless it is known.  The last place announces that there are
 * more, because a program may make any number of different mistakes. */
static void add_report(struct aloop__debug *debug, uint64_t key,
                       const char *text)
{
    lock_reports(debug);
    if (debug->count < MISTAKES_MAX && !is_known(debug, key)) {
        struct report *added = &debug->reports[debug->count++];

        added->key = key;
        snprintf(added->text, sizeof added->text, "%s",
                 debug->count < MISTAKES_MAX ? text
                                             : "there are more mistakes, which "
                                               "are not reported");
        atomic_store(&debug->has_news, true);
    }
    unlock_reports(debug);
}

/* Composes the text and adds it.  A loop that runs on another thread is woken,
 * so that it delivers the report in the turn that follows. */
static void report_mistake(aloop *loop, enum aloop__mistake mistake,
                           const char *function, const char *caller,
                           const char *subject)
{
    uint64_t key = (uint64_t) mistake + 1;
    char text[TEXT_SIZE];

    key = hash(hash(hash(key, function), caller), subject);
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s; %s", function,
             *function != '\0' ? "() " : "", caller,
             *caller != '\0' ? ": " : "", subject, *subject != '\0' ? " " : "",
             mistakes[mistake].what, mistakes[mistake].advice);
    add_report(loop->debug, key, text);
    if (atomic_load(&loop->debug->owner) != aloop__sys_thread_self())
        aloop_wake(loop);
}

void aloop__debug_report(aloop *loop, enum aloop__mistake mistake,
                         const char *function, const char *subject)
{
    char caller[SUBJECT_SIZE + 8];

    name_caller(loop, caller);
    report_mistake(loop, mistake, function, caller, subject);
}

void aloop__debug_report_future(enum aloop__mistake mistake,
                                const char *function,
                                const aloop_future *future)
{
    char name[SUBJECT_SIZE];

    if (future->loop->debug == NULL)
        return;
    name_of(future, name);
    aloop__debug_report(future->loop, mistake, function, name);
}

/* Called at the end of a turn.  Each text is copied, because the hook runs
 * without the lock, and may make mistakes itself. */
void aloop__debug_deliver(aloop *loop)
{
    struct aloop__debug *debug = loop->debug;
    char text[TEXT_SIZE];

    while (atomic_load(&debug->has_news) && !aloop__is_foreign(loop)) {
        lock_reports(debug);
        memcpy(text, debug->reports[debug->delivered++].text, TEXT_SIZE);
        atomic_store(&debug->has_news, debug->delivered < debug->count);
        unlock_reports(debug);
        /* This does not use call_hook(), because a report is not what a step
         * waits for. */
        loop->options.on_unhandled(loop, ALOOP_EMISUSE, text,
                                   loop->options.on_unhandled_arg);
    }
}

void aloop__debug_enter(aloop *loop)
{
    atomic_store(&loop->debug->owner, aloop__sys_thread_self());
}

void aloop__debug_leave(aloop *loop)
{
    atomic_store(&loop->debug->owner, 0);
}

/* Without an owner no thread runs the loop, and any thread may use it. */
int aloop__debug_check_loop(aloop *loop, const char *function)
{
    uintptr_t owner = atomic_load(&loop->debug->owner);

    if (owner == 0 || owner == aloop__sys_thread_self() ||
        aloop__is_foreign(loop))
        return 0;
    report_mistake(loop, MISTAKE_THREAD, function, "on another thread", "");
    return ALOOP_EPERM;
}

/* Reads of objects that may have been freed. */

struct state {
    const char *kind;
    uint32_t refs;
    bool is_gone;   /* It has settled and has no references. */
    bool is_waited; /* It is pending and has only waiters. */
    bool is_lent;
};

DEBUG_READS aloop *loop_of(const aloop_future *future)
{
    return future->loop;
}

DEBUG_READS struct state look(const aloop_future *future)
{
    bool is_pending = future->status == ALOOP_PENDING;

    return (struct state){
        .kind = future->ops->name,
        .refs = future->refs,
        .is_gone = !is_pending && future->refs == 0,
        .is_waited = is_pending && future->refs == future->waiting &&
                     !future->is_common,
        .is_lent = future->is_lent,
    };
}

int aloop__debug_check_future(const aloop_future *future, const char *function,
                              enum aloop__use use)
{
    aloop *loop = loop_of(future);
    int error = aloop__debug_check_loop(loop, function);
    char buffer[SUBJECT_SIZE];
    struct state state;
    bool is_missing;
    const char *name;

    if (error < 0)
        return error;
    state = look(future);
    is_missing = (use == USE_UP && state.is_waited) ||
                 (use == USE_MORE && state.refs == 0);
    if (!state.is_gone && (!is_missing || state.is_lent))
        return 0;
    name = aloop__quarantine_name(loop, future);
    if (name == NULL && !state.is_gone) {
        name_of(future, buffer);
        name = buffer;
    }
    aloop__debug_report(loop, state.refs == 0 ? MISTAKE_FUTURE : MISTAKE_WAITED,
                        function, name != NULL ? name : state.kind);
    return ALOOP_EINVAL;
}

DEBUG_READS aloop *loop_of_handle(const struct aloop__handle *handle)
{
    return handle->loop;
}

/* Returns the kind of a closed handle, or NULL if the handle is open. */
DEBUG_READS const char *closed_kind(const struct aloop__handle *handle)
{
    return handle->state >= HANDLE_CLOSING ? handle->ops->name : NULL;
}

static bool is_inside(const struct aloop__handle *handle)
{
    return handle->ops->is_inside != NULL && handle->ops->is_inside(handle);
}

/* Reports that the handle, which is open, must not be used now. */
static int refuse_inside(const struct aloop__handle *handle,
                         const char *function)
{
    aloop__debug_report(handle->loop, MISTAKE_INSIDE, function,
                        aloop__handle_name(handle));
    return ALOOP_EINVAL;
}

int aloop__debug_check_handle(const void *handle, const char *function,
                              bool may_be_inside)
{
    aloop *loop = aloop__running();
    const char *kind, *name;
    int error;

    if (handle == NULL) {
        if (loop != NULL && loop->debug != NULL)
            aloop__debug_report(loop, MISTAKE_NULL, function, "");
        return ALOOP_EINVAL;
    }
    loop = loop_of_handle(handle);
    error = aloop__debug_check_loop(loop, function);
    if (error < 0)
        return error;
    kind = closed_kind(handle);
    if (kind == NULL)
        return may_be_inside || !is_inside(handle)
                   ? 0
                   : refuse_inside(handle, function);
    /* ops->describe reads more than the quarantine leaves readable. */
    name = aloop__quarantine_name(loop, handle);
    if (name == NULL && aloop__handles_have(loop, handle))
        name = aloop__handle_name(handle);
    aloop__debug_report(loop, MISTAKE_CLOSED, function,
                        name != NULL ? name : kind);
    return ALOOP_EINVAL;
}

/* How long callbacks run. */

void aloop__debug_calling(aloop *loop)
{
    loop->debug->called_ns = aloop__sys_clock_ns();
}

/* Returns whether the callback that runs now, or has returned, has run for too
 * long. */
static bool has_blocked(const aloop *loop)
{
    return aloop__until(loop->debug->called_ns, aloop__sys_clock_ns()) >=
           blocked_max_ns * tool_factor;
}

void aloop__debug_called(aloop *loop, const char *subject)
{
    if (has_blocked(loop))
        report_mistake(loop, MISTAKE_BLOCKED, "", "", subject);
}

void aloop__debug_called_task(const aloop_future *task)
{
    if (has_blocked(task->loop))
        report_mistake(task->loop, MISTAKE_BLOCKED, "", "",
                       aloop__future_name(task));
}

int aloop__debug_open(aloop *loop)
{
    int error = aloop__quarantine_open(loop);

    if (error < 0)
        return error;
    loop->debug = aloop__alloc_zero(&loop->alloc, sizeof *loop->debug);
    if (loop->debug == NULL)
        return ALOOP_ENOMEM;
    atomic_init(&loop->debug->lock, 0);
    return 0;
}

void aloop__debug_close(aloop *loop)
{
    aloop__quarantine_close(loop);
    if (loop->debug == NULL)
        return;
    aloop__alloc_free(&loop->alloc, loop->debug, sizeof *loop->debug);
    loop->debug = NULL;
}
