/* The model: the promises of libaloop, as a small state machine.
 *
 * It receives each call in the same order as the library.  It predicts the
 * result of the call and the next callback.  Objects are numbers, memory is a
 * few arrays, and only the names of errors are shared with the library.  It
 * checks these rules:
 *
 *   - Work runs in the order in which it became due.  A turn runs the timers
 *     that have passed when it begins, by deadline and then by start; then the
 *     work that was queued before the turn, first in, first out; then posts,
 *     and after the wait those that arrived meanwhile; then reports of errors
 *     that were not handled.  Work that these queue runs in the next turn.
 *   - A future settles once.  Settling queues its waiters in the order in which
 *     they were added, and runs nothing.  Dropping the last reference cancels.
 *   - An await of a task returns the status of the future, or ends early with
 *     the reason: a cancel or a deadline, unless it is shielded.
 *   - Waiters in a line are served in order, without overtaking.
 *   - The loop is alive while any of this is pending, and waits exactly until
 *     the next deadline.
 *
 * The driver asks model_next() for the next event that the application sees,
 * whenever a callback or a task runs, and at the end of turns, when there must
 * be none.  The model advances its internal state in these calls.
 *
 * After a failure that the driver has caused (no memory), the driver reports to
 * the model what failed; the other rules still apply. */

#ifndef MODEL_H
#define MODEL_H

#include "aloop.h"
#include "fuzz.h"

enum {
    M_FUTURES = 128, /* In total, in one execution. */
    M_ROOM = 16,     /* Of these, at most needed by one call. */
    M_WAITERS = 24,  /* Of one future. */
    M_WORK = 1024,   /* Queued at the same time. */
    M_TIMEDS = 160,  /* Timers, sleeps, limits and deadlines, in total. */
    M_CALLS = 256,   /* Continuations, in total. */
    M_MEMBERS = 4,   /* Of one composite. */
    M_OBJECTS = 24,  /* Channels, locks and others, in total. */
    M_LINE = 128,    /* Futures that wait in one line. */
    M_ITEMS = 4      /* In a channel. */
};

/* Numbers that stand for settled futures: NULL, and the result of a misuse
 * without a loop. */
enum { M_NULL = -1, M_MISUSE = -2 };

enum m_kind {
    M_DONE,
    M_PROMISE,
    M_SLEEP,
    M_TASK,
    M_GATHER, /* The four composites, in this order. */
    M_SETTLED,
    M_ANY,
    M_RACE,
    M_TIMEOUT,
    M_SEND,
    M_RECEIVE,
    M_PERMIT,
    M_PLAIN,  /* Waits in line and receives nothing: event, barrier, ... */
    M_RELOCK, /* The mutex, after the wait for a condition. */
    M_WAIT    /* For a group. */
};

/* A kind of queued work. */
enum m_what {
    M_CALL,   /* A continuation; who: its number. */
    M_RESUME, /* A task. */
    M_MEMBER, /* Composite `who` is notified of its member `place`. */
    M_JOINED, /* Group `who` is notified of its member, the task `place`. */
    M_LIMIT,  /* A timeout is notified of its target. */
    M_DEFER,  /* Who: chosen by the driver. */
    M_OUTSIDE /* The await outside of tasks. */
};

struct m_work {
    enum m_what what;
    int who;
    int place;
};

struct m_queue {
    struct m_work work[M_WORK];
    int first, end;
};

struct m_line {
    int futures[M_LINE];
    int count;
};

/* State of a task. */
struct m_task {
    bool has_started, has_ended;
    bool is_waiting;  /* In an await or a yield. */
    bool is_yielding; /* In a yield. */
    bool was_cancelled;
    bool has_dropped; /* The await ends while its future continues. */
    int shields;
    int passed;        /* Number of deadlines that have passed. */
    int streak;        /* Awaits in succession without waiting. */
    int awaiting;      /* A future, or M_NULL. */
    int awaited;       /* The same, also after the await dropped it. */
    int interrupt;     /* Why the await ends early, or 0. */
    int permit;        /* M_RELOCK of a wait for a condition; M_NULL. */
    bool is_relocking; /* The wait is waiting for the mutex. */
    ssize_t notified;  /* Result of the wait before that. */
};

/* State of a composite or timeout. */
struct m_whole {
    int members[M_MEMBERS];
    bool has_ended[M_MEMBERS];
    ssize_t statuses[M_MEMBERS];
    int count, left;
    bool is_decided, has_lost;
    ssize_t outcome;
    int winner;            /* Its place, or -1. */
    int grants[M_MEMBERS]; /* Members that settled with a grant. */
    int grant_count;       /* Until the composite is gone. */
    ssize_t reason;        /* Why a timeout cancelled its target, or 0. */
};

struct m_future {
    enum m_kind kind;
    ssize_t status;
    int refs;      /* Of the user and of waiters. */
    int observers; /* Those that only observe. */
    int waiting;   /* Those that only wait. */
    bool is_cancelling, is_detached;
    bool is_seen;  /* The error is handled, or will be. */
    int lead;      /* Settles only after this one; or -1. */
    int followers; /* Number of followers, if memory to compose was missing. */
    bool is_lead, has_ended;
    bool is_common;   /* Each of its owners counts as the only one. */
    bool is_taken;    /* Its status was given to the user. */
    bool is_consumed; /* Or to a composite or group. */
    bool is_gone;
    struct m_work waiters[M_WAITERS];
    int waiter_count;
    int timed;      /* Its deadline, or -1. */
    int line;       /* The object in whose line it waits, or -1. */
    int giver;      /* The semaphore whose permits it holds, or -1. */
    bool is_given;  /* It holds them. */
    bool is_grant;  /* It or its members have received permits. */
    bool is_kept;   /* Among the grants of a composite. */
    size_t permits; /* Number of permits. */
    int item;       /* Item that it sends or has received. */
    struct m_task task;
    struct m_whole whole;
};

enum m_timed_kind { M_TIMER, M_SLEEPING, M_LIMITING, M_DEADLINE };

/* An entry with a deadline. */
struct m_timed {
    enum m_timed_kind kind;
    int who; /* The future; a deadline's task; otherwise unused. */
    int64_t when_ns;
    unsigned order; /* Position among all starts, for equal times. */
    bool is_set;
    bool is_due; /* Due in the present turn. */
    int64_t period_ns;
    bool is_unreferenced, is_closed;
    /* Number of the event in which this deadline was counted in its task's
     * `passed`; otherwise 0. */
    unsigned passed_as;
};

enum m_object_kind {
    M_CHANNEL,
    M_SEMAPHORE, /* Also a mutex, with one permit. */
    M_EVENT,
    M_CONDITION,
    M_BARRIER,
    M_GROUP
};

struct m_object {
    enum m_object_kind kind;
    bool is_freed;
    struct m_line line; /* Waiters; a channel's receivers. */
    struct m_line senders;
    int items[M_ITEMS];     /* Of a channel, oldest first. */
    size_t count, capacity; /* Items; free permits; a barrier's size. */
    bool is_on;             /* Closed; set. */
    int last_given;         /* Of a mutex, or -1. */
    struct m_line members;  /* Of a group, and the following, too. */
    ssize_t error;
    int failed;
    bool is_ending, was_cancelled, has_lost;
};

/* An event that the application sees. */
enum m_sight_kind {
    M_NOTHING,
    M_SEE_TIMER,
    M_SEE_CALL,
    M_SEE_TASK, /* Starts, or its await ends with `status`. */
    M_SEE_DEFER,
    M_SEE_POST,
    M_SEE_REPORT /* Of the error `status`. */
};

struct m_sight {
    enum m_sight_kind kind;
    int who;
    ssize_t status;
};

enum m_phase { M_OUT, M_BATCH, M_POSTS, M_DISPATCH, M_REPORTING };

struct model {
    int64_t now_ns;
    enum m_phase phase;
    bool is_exact;    /* All state of the loop is known to the model. */
    bool is_running;  /* Inside aloop_run() or an await outside. */
    bool is_stepping; /* Inside aloop_step(), which returns after a callback. */
    bool is_hosted;   /* Inside that of a host, which continues. */
    int hosted_turns; /* Those of this step that have begun. */
    int64_t begin_ns; /* When this step began. */
    bool has_called;  /* The step has made a callback. */
    bool is_stopping; /* Stops in this turn. */
    bool is_stopping_next; /* Or before the next run. */
    bool has_left;         /* The await outside was ended by a stop. */
    int interrupt;         /* Result of that await. */
    bool is_stuck;         /* The wait can never end. */
    int64_t max_wait_ns;
    int outside;     /* The future awaited outside, or M_NULL. */
    int holds, live; /* `live` without timers. */
    bool is_woken;
    bool has_closed; /* Handles are freed when the turn ends. */

    struct m_queue ready, batch;
    int posts[M_CALLS], post_first, post_end;
    int posts_taken; /* Earlier ones belong to the turn. */
    struct m_line unread, reporting;

    struct m_future futures[M_FUTURES];
    int future_count;
    struct m_timed timeds[M_TIMEDS];
    int timed_count;
    unsigned passings; /* Deadlines that have passed so far. */
    unsigned starts;
    int calls[M_CALLS]; /* Futures of continuations. */
    int call_count;
    struct m_object objects[M_OBJECTS];
    int object_count;
};

extern struct model m;

/* model.c: futures. */

void model_reset(int64_t now_ns);
/* Returns whether arrays and time suffice for another call. */
bool model_has_room(void);
struct m_future *model_at(int id);
bool model_pending(int id);
ssize_t model_peek(int id); /* Returns the status, without handling it. */
int model_new(enum m_kind kind);
int model_done(ssize_t status);
void model_settle(int id, ssize_t status);
int model_resolve(int id, ssize_t status);
int model_cancel(int id);
void model_ref(int id);
void model_unref(int id);
void model_detach(int id);
ssize_t model_status(int id);
/* Queues `work` once `id` has settled. */
void model_wait(int id, struct m_work work);
void model_unwait(int id, struct m_work work);
/* Drops a waiter's reference, and returns the status. */
ssize_t model_take(int id);
int model_then(int id, int *ret_call);
void model_called(int call); /* Called when the continuation has returned. */
void model_unthen(int call); /* Called when the continuation is removed. */
/* Returns whether the owner of a reference is the only owner. */
bool model_is_ours(int id);

/* model_turn.c: time, queues, turns. */

void model_queue(struct m_work work);
void model_unqueue(struct m_work work);
bool model_is_queued(struct m_work work); /* `work` must be queued. */
/* Returns whether a call for a settled future is queued. */
bool model_has_call(int id);
void model_consume(int id); /* Its status has become a part of another one. */
int model_timed(enum m_timed_kind kind, int who);
void model_set(int timed, int64_t when_ns);
void model_clear(int timed);
int64_t model_after(int64_t delay_ns);
int64_t model_due_ns(int timed); /* Works like aloop_timer_due_ns(). */
int model_sleep(int64_t when_ns);
void model_post(int who);
/* Receives a post.  If streams act in the same dispatch, the post may be one of
 * theirs, and need not wait for the next turn. */
void model_late_post(void);
bool model_has_work(void);
bool model_alive(void);
/* Returns the next deadline, or INT64_MAX if there is none. */
int64_t model_next_ns(void);

/* A turn by aloop_step() consists of a begin, callbacks, and a last
 * model_next(). */
void model_turn_begin(int64_t max_wait_ns);
/* Returns whether all work before the events of the reactor has run. */
bool model_in_dispatch(void);
/* Turns by aloop_run(), or by an await of `outside`, consist of a begin,
 * callbacks, a last model_next(), and an end, which gives the result. */
void model_run_begin(int outside);
ssize_t model_run_end(void);
struct m_sight model_next(void);

/* model_task.c: tasks, deadlines, await. */

int model_spawn(void);
void model_end(int task_id, ssize_t status); /* Called when the body returns. */
void model_interrupt(int task_id);
/* Returns whether the await ends immediately, with its status.  Otherwise
 * model_next() will report it. */
bool model_await(int task_id, int future, ssize_t *ret_status);
/* Lets the task yield. */
void model_yield(int task_id);
/* Handles the task's queued work.  Returns false if the task continues to
 * wait. */
bool model_resume(int task_id, ssize_t *ret_status);
int model_deadline(int task, int64_t when_ns);
void model_deadline_set(int deadline, int64_t when_ns);
int model_deadline_end(int deadline);
void model_deadline_passes(int deadline);
ssize_t model_outcome(int id, int interrupt);
ssize_t model_refuse(int id, ssize_t error);
bool model_condition_wait(int task_id, int condition, int mutex,
                          ssize_t *ret_status);

/* model_whole.c: futures that wait for several others. */

int model_compose(enum m_kind kind, int count, const int *members);
void model_member(int whole_id, int place);
void model_members_cancel(int whole_id);
int model_timeout(int target, int64_t when_ns);
void model_limit(int timeout_id);
void model_end_limited(int timeout_id, ssize_t reason);
/* Returns the task, or M_NULL if the group refuses it. */
int model_group_spawn(int group_id);
int model_group_wait(int group_id);
int model_group_share(int group_id); /* Adds a user to the first wait. */
void model_group_cancel(int group_id);
void model_group_free(int group_id);
void model_joined(int group_id, int task);

/* model_line.c: futures that wait in line. */

int model_object(enum m_object_kind kind, size_t count);
void model_object_free(int object_id);
int model_try_send(int channel_id, int item);
int model_try_receive(int channel_id, int *ret_item);
int model_send(int channel_id, int item);
int model_receive(int channel_id);
void model_channel_close(int channel_id);
int model_try_acquire(int semaphore_id, size_t count);
int model_acquire(int semaphore_id, size_t count);
void model_release(int semaphore_id, size_t count);
int model_unlock(int mutex_id);
int model_event_wait(int event_id);
void model_event_set(int event_id);
int model_barrier_wait(int barrier_id);
int model_notify(int condition_id);
void model_notify_all(int condition_id);
void model_line_push(struct m_line *line, int id);
bool model_line_remove(struct m_line *line, int id);
void model_line_settle(struct m_line *line, ssize_t status);
void model_leave(int id);       /* Called for a cancel in line. */
void model_permit_gone(int id); /* Called when its future is freed. */
/* Composes without memory.  Returns the future that represents all. */
int model_tie(int count, const int *members);
void model_grants_drop(int id, bool is_taken); /* Defined in model_whole.c. */
void model_whole_gone(int id);
void model_link(int id, int semaphore);
void model_unlink(int id);
void model_serve(int semaphore_id);
void model_give(int semaphore_id, size_t count);

#endif
