/* Errors that nobody handled; see report.h. */

#include "loop/report.h"

#include <stdio.h>
#include <string.h>

#include "loop/future.h"

enum {
    LINE_SIZE = 512,
    LINES_MAX = 10 /* In a second. */
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
    sys_stderr_look(&reports->file);
    loop->reports = reports;
    return 0;
}

void aloop__reports_close(aloop *loop)
{
    aloop__alloc_free(&loop->alloc, loop->reports, sizeof *loop->reports);
    loop->reports = NULL;
}

/* The default hook: lines on standard error. */

/* One line of its own, whatever names the application has chosen. */
static int write_line(struct aloop__reports *reports, const char *what,
                      const char *verb, const char *detail)
{
    char line[LINE_SIZE];
    int length = snprintf(line, sizeof line, "aloop: %s%s%s\n", what, verb,
                          detail);

    if (length >= (int) sizeof line)
        length = (int) sizeof line - 1;
    for (int i = 0; i < length; i++)
        if ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[length - 1] = '\n';
    return sys_complain(&reports->file, line, (size_t) length);
}

/* Tells how many were not written, once there may be lines again. */
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

/* Whether the second has room for a line; a new one begins with the count. */
static bool may_write(struct aloop__reports *reports)
{
    int64_t now_ns = sys_clock_ns();

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

    (void) arg;
    if (may_write(reports) && write_line(reports, what, " failed: ",
                                         aloop_strerror(error)) != ALOOP_EAGAIN)
        reports->written++;
    else
        reports->withheld++;
}

/* The queue. */

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
    list_push(&loop->unread, node);
    if (loop->embedded)
        aloop__touch(loop);
}

/* The report of a node in the queue; NULL: it is a future's. */
static struct aloop__report *stored(const struct aloop__reports *reports,
                                    struct aloop__node *node)
{
    uintptr_t place = (uintptr_t) node, store = (uintptr_t) reports->store;

    if (place < store || place >= store + sizeof reports->store)
        return NULL;
    return CONTAINER_OF(node, struct aloop__report, node);
}

static void deliver(aloop *loop, struct aloop__node *node)
{
    struct aloop__report *report = stored(loop->reports, node);

    if (report == NULL) {
        aloop_future *future = CONTAINER_OF(node, aloop_future, pending);

        call_hook(loop, (int) future->status, aloop__future_name(future));
        aloop__future_free(future);
    } else {
        call_hook(loop, report->error, report->what);
        list_push(&loop->reports->spare, node);
    }
}

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

void aloop__reports_deliver(aloop *loop)
{
    struct aloop__node list, *node;

    if (!list_empty(&loop->unread)) {
        list_init(&list);
        list_append(&list, &loop->unread); /* The hook may add to it. */
        while ((node = list_pop(&list)) != NULL)
            deliver(loop, node);
        deliver_lost(loop);
    }
    if (loop->reports->withheld > 0)
        (void) may_write(loop->reports);
}

void aloop__reports_finish(aloop *loop)
{
    loop->running = true; /* Nothing that the hook calls may run it. */
    aloop__reports_deliver(loop);
    write_withheld(loop->reports);
    loop->running = false;
}
