/* Errors that no code has handled; see report.h. */

#include "loop/report.h"

#include <stdio.h>
#include <string.h>

#include "loop/callback.h"
#include "loop/clock.h"
#include "loop/future.h"
#include "loop/host.h"

enum {
    REPORT_SIZE = 512,
    LINES_MAX = 10, /* Per second. */
    KEPT_NAMED = 5  /* Of the futures that are kept when the loop ends. */
};
static const int64_t second_ns = ALOOP_SEC(1);

int aloop__reports_open(aloop *loop)
{
    struct aloop__reports *reports =
        aloop__alloc_zero(&loop->alloc, sizeof *reports);

    if (reports == NULL)
        return ALOOP_ENOMEM;
    list_init(&reports->spare);
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        list_init(&reports->store[i].node);
        list_push(&reports->spare, &reports->store[i].node);
    }
    aloop__sys_stderr_look(&reports->file);
    loop->reports = reports;
    return 0;
}

void aloop__reports_close(aloop *loop)
{
    aloop__alloc_free(&loop->alloc, loop->reports, sizeof *loop->reports);
    loop->reports = NULL;
}

/* The default hook, which writes lines to standard error. */

/* Writes one line.  Control characters in the application's names are replaced,
 * so that the line stays one line. */
static int write_line(struct aloop__reports *reports, const char *what,
                      const char *verb, const char *detail)
{
    char line[REPORT_SIZE];
    int length =
        snprintf(line, sizeof line, "aloop: %s%s%s\n", what, verb, detail);

    if (length >= (int) sizeof line)
        length = (int) sizeof line - 1;
    for (int i = 0; i < length; i++)
        if ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[length - 1] = '\n';
    return aloop__sys_stderr_write(&reports->file, line, (size_t) length);
}

/* Reports the number of lines that were withheld, once lines may be written
 * again. */
static void write_withheld(struct aloop__reports *reports)
{
    char what[64];

    if (reports->withheld == 0)
        return;
    snprintf(what, sizeof what, "%zu more error%s", reports->withheld,
             reports->withheld == 1 ? "" : "s");
    if (write_line(reports, what, "", "") != ALOOP_EAGAIN)
        reports->withheld = 0;
    reports->written++;
}

/* Begins a new second, if it is time, with the number of lines that were
 * withheld.  Returns whether a line may be written in this second. */
static bool begin_second(struct aloop__reports *reports)
{
    int64_t now_ns = aloop__sys_clock_ns();

    if (reports->second_ns == 0 ||
        aloop__until(reports->second_ns, now_ns) >= second_ns) {
        reports->second_ns = now_ns;
        reports->written = 0;
        write_withheld(reports);
    }
    return reports->written < LINES_MAX;
}

void aloop__report_by_default(aloop *loop, int error, const char *what,
                              void *arg)
{
    struct aloop__reports *reports = loop->reports;
    bool is_mistake = error == ALOOP_EMISUSE; /* `what` is a sentence. */
    const char *verb = is_mistake             ? ""
                       : error == ALOOP_EHELD ? ": "
                                              : " failed: ";
    const char *detail = is_mistake ? "" : aloop_strerror(error);

    (void) arg;
    if (begin_second(reports) &&
        write_line(reports, what, verb, detail) != ALOOP_EAGAIN)
        reports->written++;
    else
        reports->withheld++;
}

/* The queue. */

/* The only call of the application's hook for errors. */
static void call_hook(aloop *loop, int error, const char *what)
{
    aloop__calling(loop);
    loop->options.on_unhandled(loop, error, what,
                               loop->options.on_unhandled_arg);
}

void aloop__unhandled(aloop *loop, int error, const char *what)
{
    struct aloop__reports *reports = loop->reports;
    struct aloop__node *node = list_pop(&reports->spare);
    struct aloop__report *report;

    if (node == NULL) {
        reports->lost++;
        return;
    }
    report = CONTAINER_OF(node, struct aloop__report, node);
    report->error = error;
    snprintf(report->what, sizeof report->what, "%s", what);
    list_push(&loop->unreported, node);
    if (loop->is_embedded)
        aloop__host_update(loop);
}

/* Returns the report that a node in the queue belongs to, or NULL if the node
 * belongs to a future. */
static struct aloop__report *stored(const struct aloop__reports *reports,
                                    struct aloop__node *node)
{
    uintptr_t place = (uintptr_t) node, store = (uintptr_t) reports->store;

    if (place < store || place >= store + sizeof reports->store)
        return NULL;
    return CONTAINER_OF(node, struct aloop__report, node);
}

/* Delivers one report, and returns its memory.  Its text is copied first,
 * because the hook may end the thread by pthread_exit(). */
static void deliver(aloop *loop, struct aloop__node *node)
{
    struct aloop__report *report = stored(loop->reports, node);
    char what[REPORT_TEXT_SIZE];
    int error;

    if (report == NULL) {
        aloop_future *future = CONTAINER_OF(node, aloop_future, node);

        error = (int) future->status;
        snprintf(what, sizeof what, "%s", aloop__future_name(future));
        aloop__future_free(future);
    } else {
        error = report->error;
        memcpy(what, report->what, sizeof what);
        list_push(&loop->reports->spare, node);
    }
    call_hook(loop, error, what);
}

/* Reports how many errors found no memory for a report. */
static void deliver_lost(aloop *loop)
{
    char what[64];

    if (loop->reports->lost == 0)
        return;
    snprintf(what, sizeof what, "reporting %zu more errors",
             loop->reports->lost);
    loop->reports->lost = 0;
    call_hook(loop, ALOOP_ENOBUFS, what);
}

/* One round: reports that the hook causes follow in the next turn, so that a
 * hook that always fails does not keep the turn from ending. */
static void deliver_all(aloop *loop)
{
    __attribute__((cleanup(list_round_end))) struct list_round round;
    struct aloop__node *node;

    list_round_begin(&round, &loop->unreported);
    while (!aloop__is_foreign(loop) && (node = list_pop(&round.rest)) != NULL)
        deliver(loop, node);
    if (!aloop__is_foreign(loop))
        deliver_lost(loop);
}

void aloop__reports_deliver(aloop *loop)
{
    if (!list_is_empty(&loop->unreported))
        deliver_all(loop);
    if (loop->reports->withheld > 0)
        (void) begin_second(loop->reports);
}

/* Futures that are still kept when the loop ends. */

/* Returns whether the application has a reference.  Futures that are in
 * loop->kept have settled with one.  A pending future did not settle within the
 * turns of aloop_free(), and may have waiters or no references. */
static bool is_held(const aloop_future *future)
{
    return !aloop__future_is_pending(future) || future->refs > future->waiting;
}

/* Returns the error of a future that failed before the loop's end cancelled it.
 * For other futures returns ALOOP_EHELD. */
static int error_of(const aloop_future *future)
{
    bool has_failed =
        future->status < 0 && !aloop__future_is_pending(future) &&
        !(future->status == ALOOP_ECANCELED && future->is_cancelling);

    return has_failed ? (int) future->status : ALOOP_EHELD;
}

/* Counts the held futures of a list, and reports the names of the first `most`
 * of them. */
static size_t report_held(aloop *loop, const struct aloop__node *list,
                          size_t most)
{
    const struct aloop__node *node = list->next;
    char what[REPORT_TEXT_SIZE];
    size_t count = 0;

    for (; node != list; node = node->next) {
        const aloop_future *future = CONTAINER_OF(node, aloop_future, node);

        if (!is_held(future) || count++ >= most)
            continue;
        snprintf(what, sizeof what, "future still held: %s",
                 aloop__future_name(future));
        aloop__unhandled(loop, error_of(future), what);
    }
    return count;
}

/* Reports the futures that the application still holds: their number, and the
 * names of the first few.  Pending ones have all been cancelled. */
static void report_kept(aloop *loop)
{
    size_t settled, count;
    char what[REPORT_TEXT_SIZE];

    if (loop->hit != NULL && loop->hit->refs > 0)
        list_push(&loop->kept, &loop->hit->node);
    settled = report_held(loop, &loop->kept, 0);
    count = settled + report_held(loop, &loop->cancelled, 0);
    if (count == 0)
        return;
    snprintf(what, sizeof what, "%zu future%s", count, count == 1 ? "" : "s");
    aloop__unhandled(loop, ALOOP_EHELD, what);
    (void) report_held(loop, &loop->kept, KEPT_NAMED);
    if (settled < KEPT_NAMED)
        (void) report_held(loop, &loop->cancelled, KEPT_NAMED - settled);
}

/* Drops the reports that the hook itself has caused by now; they are not
 * delivered any more. */
static void drop_all(aloop *loop)
{
    struct aloop__node *node;

    while ((node = list_pop(&loop->unreported)) != NULL)
        if (stored(loop->reports, node) == NULL)
            aloop__future_free(CONTAINER_OF(node, aloop_future, node));
}

void aloop__reports_drop(aloop *loop)
{
    struct aloop__node *node = loop->unreported.next;

    while (node != &loop->unreported) {
        struct aloop__node *next = node->next;

        if (stored(loop->reports, node) != NULL)
            list_remove(node);
        node = next;
    }
}

void aloop__reports_finish(aloop *loop)
{
    loop->is_running = true; /* The hook must not run the loop. */
    aloop__reports_deliver(loop);
    loop->reports->written = 0; /* The following lines are always written. */
    report_kept(loop);
    aloop__reports_deliver(loop);
    drop_all(loop);
    write_withheld(loop->reports);
    loop->is_running = false;
}
