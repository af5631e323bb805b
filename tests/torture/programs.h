/* Replacements for the system in whole programs that are compiled for the
 * torture.  Compile definitions redirect main, malloc and poll to these
 * functions. */

#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <poll.h>
#include <stddef.h>

#include "mains.h"

/* Memory of programs fails and is counted like that of the library. */
void *torture_malloc(size_t size);
void *torture_calloc(size_t count, size_t size);
void *torture_realloc(void *old, size_t size);
void torture_free(void *old);

/* Polls the one descriptor of a host, in virtual time. */
int torture_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

/* Peers of the programs, in scenario_peers.c.  Each of them runs while virtual
 * time passes, and gives up after a limit. */

/* Answers each HTTP request on port 8080 with its path.  "/away" redirects to
 * "/there", and "/gone" does not exist. */
void torture_serve_pages(void);
/* Echoes data sent to port 7777. */
void torture_serve_echo(void);
/* Runs three clients of port 7777, one after the other.  The first exchanges
 * data, the second disconnects in the middle, and the third stays connected.
 * Then sends SIGTERM repeatedly. */
void torture_run_clients(void);
/* Does the same, but data may be lost in a run with a fault: the server ignores
 * the results of aloop_stream_put(). */
void torture_run_clients_of_lossy_server(void);
/* Does the same for a proxy whose target is an echo on port 7. */
void torture_run_clients_of_proxy(void);
/* Runs three clients of a chat room on port 7777, in the same way. */
void torture_run_talkers(void);
/* Runs three clients of an HTTP server on port 7777, in the same way. */
void torture_run_browsers(void);

#endif
