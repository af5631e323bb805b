/* What whole programs see instead of the system, compiled for the torture:
 * main, malloc and poll are led here by their compile definitions. */

#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <poll.h>
#include <stddef.h>

#include "mains.h"

/* Their memory fails and is counted like the library's. */
void *torture_malloc(size_t size);
void *torture_calloc(size_t count, size_t size);
void *torture_realloc(void *old, size_t size);
void torture_free(void *old);

/* A host's poll of one descriptor, in the world's time. */
int torture_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

/* scenario_peers.c: what lives on the other side.  Each of these goes on by
 * itself while the world's time passes, and gives up after some of it. */

/* Answers each HTTP request on port 8080 with its path; "/away" leads to
 * "/there", "/gone" is not to be had. */
void torture_serve_pages(void);
/* Sends back what comes to port 7777. */
void torture_serve_echo(void);
/* Three clients of port 7777, one after the other: bytes there and back, one
 * that goes away in the middle, one that stays until it is told to go.  Then
 * SIGTERM, again and again. */
void torture_be_clients(void);
/* The same, but where something fails, bytes may be lost in between: of a
 * server that does not look at what aloop_stream_put() returns. */
void torture_be_patient_clients(void);

#endif
