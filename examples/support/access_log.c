#define _POSIX_C_SOURCE 200809L

#include "access_log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "httpd_text.h"

enum { LOG_MAX = 1024 * 1024 }; /* Bytes of the log that may wait. */

static struct {
    aloop *loop;          /* Which writes the log. */
    aloop_stream *stream; /* Standard output, or NULL: no log. */
    atomic_size_t posted; /* Bytes of lines on the way to `loop`. */
    atomic_ulong lost;    /* Lines that were dropped. */
} output;

static const int64_t end_ns = ALOOP_SEC(1);

int access_log_open(aloop *loop)
{
    output.loop = loop;
    return aloop_stdio_open(loop, STDOUT_FILENO, &output.stream);
}

/* Writes and frees a line.  It runs in the loop of the output: in a pipe the
 * lines of several loops would be mixed. */
static void put_line(aloop *loop, void *arg)
{
    char *line = arg;
    size_t size = strlen(line);

    (void) loop;
    atomic_fetch_sub(&output.posted, size + 1);
    if (aloop_stream_queued(output.stream) > LOG_MAX ||
        aloop_stream_put(output.stream, line, size) < 0)
        atomic_fetch_add(&output.lost, 1);
    free(line);
}

/* Writes the line of a request, as other servers do ("common log format"), with
 * the duration in milliseconds.  What the client has sent is escaped, so that
 * it cannot end the field or the line.  No request waits for the output. */
void access_log_write(bool is_in_loop, const struct httpd_log *line)
{
    struct httpd_text text = {0};
    char date[32], part[192];
    time_t now = time(NULL);
    struct tm tm;
    size_t size;

    if (output.stream == NULL)
        return;
    if (gmtime_r(&now, &tm) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        date[0] = '\0';
    snprintf(part, sizeof part, "%s - - [%s] \"", line->peer, date);
    httpd_text_string(&text, part);
    httpd_text_log(&text, line->method);
    httpd_text_string(&text, " ");
    httpd_text_log(&text, line->target);
    snprintf(part, sizeof part, "\" %d %llu %.3f\n", line->status,
             (unsigned long long) line->size, (double) line->duration_ns / 1e6);
    httpd_text_add(&text, part, strlen(part) + 1);
    size = text.size;
    atomic_fetch_add(&output.posted, size);
    if (!text.has_failed && is_in_loop) {
        put_line(NULL, text.data);
    } else if (text.has_failed || atomic_load(&output.posted) > LOG_MAX ||
               aloop_post(output.loop, put_line, text.data) < 0) {
        atomic_fetch_sub(&output.posted, size);
        atomic_fetch_add(&output.lost, 1);
        free(text.data);
    }
}

/* The yield lets the posts of the other loops run. */
ssize_t access_log_close(unsigned long *ret_lost)
{
    ssize_t status;

    *ret_lost = 0;
    if (output.stream == NULL)
        return 0;
    (void) aloop_yield(output.loop);
    status = aloop_await(
        aloop_timeout(aloop_stream_shutdown(output.stream), end_ns));
    *ret_lost = atomic_load(&output.lost);
    aloop_stream_abort(output.stream);
    return status;
}
