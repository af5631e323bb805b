/* Errors that nobody handled, on their way to the application's hook.
 *
 * Whatever fails queues a report, and the turn delivers it as it ends: the hook
 * is the application's code, which may close and free anything, so that it
 * never runs inside another call. */

#ifndef ALOOP_LOOP_REPORT_H
#define ALOOP_LOOP_REPORT_H

#include "loop/state.h"

enum { REPORTS_MAX = 16, REPORT_TEXT_SIZE = 320 };

/* One report.  A future that failed needs none: it waits in the queue itself,
 * by its `pending`. */
struct aloop__report {
    struct aloop__node node; /* In loop->unread, or in reports->spare. */
    int error;
    char what[REPORT_TEXT_SIZE];
};

struct aloop__reports {
    struct aloop__node spare; /* Of `store`, those that are not queued. */
    size_t lost;              /* Reports that found no spare one. */
    /* The default hook's. */
    struct sys_stderr file;
    int64_t second_ns; /* When the present second began. */
    unsigned written;  /* Lines in it. */
    size_t withheld;   /* Reports not written since the last count. */
    struct aloop__report store[REPORTS_MAX];
};

/* Queues a report for the application's hook.  `what` is copied.  Needs no
 * memory: what does not fit is counted. */
void aloop__unhandled(aloop *loop, int error, const char *what);

/* Makes loop->reports, which starts with standard error as it is now. */
int aloop__reports_open(aloop *loop);
void aloop__reports_close(aloop *loop);
/* Calls the hook for what is queued; the end of every turn in which there is
 * something for it to do. */
void aloop__reports_deliver(aloop *loop);
static inline bool aloop__reports_are_due(const aloop *loop)
{
    return !list_empty(&loop->unread) || loop->reports->withheld > 0;
}

/* The same as the loop is freed, and then for the futures that are still held:
 * how many there are, and what the first few of them are. */
void aloop__reports_finish(aloop *loop);
/* The hook of loops that have none of their own. */
void aloop__report_by_default(aloop *loop, int error, const char *what,
                              void *arg);

#endif
