/* A line on standard output for each request of a server, which may have
 * several loops.  No request waits for the output. */

#ifndef EXAMPLES_ACCESS_LOG_H
#define EXAMPLES_ACCESS_LOG_H

#include <aloop.h>

#include <stdbool.h>

#include "httpd.h"

/* Opens the log of the process in a loop, which is the one that writes it.
 * Returns 0 or an error. */
int access_log_open(aloop *loop);

/* Writes the line of a request, or drops it if too many wait for the output.
 * Does nothing if there is no log.  Called on any thread; `is_in_loop` is true
 * on that of the loop that writes. */
void access_log_write(bool is_in_loop, const struct httpd_log *line);

/* Writes the rest of the log, unless the output does not accept it.  Called by
 * a task, after the last line.  Returns 0 or an error, and in *ret_lost how
 * many lines were dropped. */
ssize_t access_log_close(unsigned long *ret_lost);

#endif
