/* Errors that no code has handled, and their delivery to the application's
 * hook.
 *
 * Code that fails queues a report, and the end of the turn delivers it.  The
 * hook never runs inside another call, because it is the application's code and
 * may close and free anything. */

#ifndef ALOOP_LOOP_REPORT_H
#define ALOOP_LOOP_REPORT_H

#include "loop/state.h"

enum { REPORTS_MAX = 16, REPORT_TEXT_SIZE = 320 };

/* One report.  A future that failed needs none, because the future itself is in
 * the queue. */
struct aloop__report {
    struct aloop__node node; /* In loop->unreported, or in reports->spare. */
    int error;
    char what[REPORT_TEXT_SIZE];
};

struct aloop__reports {
    struct aloop__node spare; /* Those in `store` that are not queued. */
    size_t lost;              /* Number of reports that found no spare one. */
    /* For the default hook. */
    struct sys_stderr file;
    int64_t second_ns; /* When the current second began. */
    unsigned written;  /* Number of lines in this second. */
    size_t withheld;   /* Reports not written since the last count. */
    struct aloop__report store[REPORTS_MAX];
};

/* Queues a report for the application's hook.  `what` is copied.  Allocates
 * nothing: if all reports are in use, the error is only counted. */
void aloop__unhandled(aloop *loop, int error, const char *what);

/* Creates loop->reports, and records the identity of standard error.  Returns
 * ALOOP_ENOMEM. */
int aloop__reports_open(aloop *loop);
void aloop__reports_close(aloop *loop);
/* Calls the hook for each queued report.  Called at the end of every turn in
 * which aloop__reports_are_due() returns true. */
void aloop__reports_deliver(aloop *loop);
static inline bool aloop__reports_are_due(const aloop *loop)
{
    return !list_is_empty(&loop->unreported) || loop->reports->withheld > 0;
}

/* Delivers the last reports when the loop is freed.  They include the number of
 * futures that are still kept, and the names of the first few. */
void aloop__reports_finish(aloop *loop);
/* Drops the reports that can be delivered no more, except those of futures. */
void aloop__reports_drop(aloop *loop);
/* The hook of loops whose options set none. */
void aloop__report_by_default(aloop *loop, int error, const char *what,
                              void *arg);

#endif
