/* A server in a process of its own, and connections to it. */

#ifndef SERVER_H
#define SERVER_H

#include <sys/types.h>
#include <time.h>

#include "bench.h"
#include "echo.h"

/* OVER_FILTER is TCP, with the filter identity on the server's streams. */
enum family { OVER_TCP, OVER_UNIX, OVER_FILTER };

enum counter { SYSTEM_CALLS, INSTRUCTIONS, COUNTERS };

struct server {
    pid_t pid;
    clockid_t clock; /* CPU time of the process. */
    struct server_report *report;
    int counters[COUNTERS]; /* -1: cannot be counted here. */
};

/* Returns whether the peer has a server that echoes over TCP. */
bool server_echoes(const struct bench *bench, enum peer peer);
/* Returns whether it has one for everything that a report can ask for. */
bool server_exists(const struct bench *bench, enum peer peer);
/* `read_path` is NULL, or a file that the server reads all the time. */
void server_start(struct server *server, enum peer peer, enum family family,
                  bool is_framed, const char *read_path);
/* Starts a plain server over TCP whose timers expire 100,000 times a second. */
void server_start_with_timers(struct server *server, enum peer peer);
void server_stop(struct server *server);
int64_t server_cpu_ns(const struct server *server);
/* Returns the count since the start, or a negative value. */
double server_counted(const struct server *server, enum counter counter);

int client_connect(const struct server *server);
void client_send(int fd, const char *data, size_t size);
/* Receives exactly `size` bytes, and waits for them. */
void client_receive(int fd, char *buffer, size_t size);

#endif
