/* Common parts of the benchmark.
 *
 * Every row of the table measures one piece of work, done by up to five peers:
 * by hand, with libaloop, and with libuv, libev and libevent.  The peers run
 * alternately in short slices (A B C A B C ...) on one processor, and CPU time
 * is compared.  Ratios are computed within each round, and their median is
 * printed, so that a disturbance affects a round and not a peer. */

#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer { HAND, ALOOP, UV, EV, EVENT, PEERS };

enum { ROUNDS_MAX = 64 };

/* Returns the peer that runs at a position in a round.  Each round begins with
 * another peer, and no peer runs twice in succession, because its second run
 * would find its data in the caches. */
static inline enum peer peer_at(int round, int turn)
{
    return (enum peer)((round + turn) % PEERS);
}

/* The kind of limit that a row has, from the design of the project. */
enum aim { AIM_NONE, AIM_RATIO, AIM_UV, AIM_VALUE };

struct row {
    const char *work;
    enum aim aim;
    double limit; /* For libaloop's ratio, ratio to libuv, or value. */
    int digits;   /* Digits after the point, for values. */
    double values[PEERS][ROUNDS_MAX];
    int count[PEERS];
};

struct bench {
    bool is_quick;
    bool has_uv;
    bool has_counters; /* System calls can be counted. */
    const char *only;  /* NULL, or a text that a row's name must contain. */
    int rounds;
    int missed; /* Rows above their limit. */
};

/* table.c */

void table_head(void);
/* Prints all rows that have an aim again, and how many missed it. */
void table_end(const struct bench *bench);
/* Adds a value of this round.  Negative values are ignored. */
void row_add(struct row *row, enum peer peer, double value);
/* Returns the median, or a negative value if there is none. */
double row_value(const struct row *row, enum peer peer);
/* Returns the median of value / value of the same rounds, or a negative value
 * if there is none. */
double row_ratio(const struct row *row, enum peer over, enum peer under);
void row_print(struct bench *bench, const struct row *row);
/* Returns whether a row is selected. */
bool is_wanted(const struct bench *bench, const char *work);

/* process.c */

int64_t wall_ns(void);
int64_t cpu_ns(void);
/* Prints what failed, and ends the process. */
_Noreturn void fail(const char *what);
static inline void fail_if(bool has_failed, const char *what)
{
    if (has_failed)
        fail(what);
}

/* Moves this process to the common processor. */
void use_one_processor(void);
/* Lets this process run on all processors that it had at the start. */
void use_all_processors(void);
/* Moves this process to the other processors, if there are any. */
void use_other_processors(void);
/* Runs fn in a new process, whose memory is in the same state each time.
 * Returns false, and discards the results, if this failed. */
bool in_child(void (*fn)(const void *arg, double *results), const void *arg,
              double *results, int count);
/* Returns a random number, from the same sequence in each run. */
uint32_t random_next(uint32_t *state);

enum { RESULTS_MAX = 16 };

/* Work with sockets: load.c, churn.c, datagrams.c, runs.c, beside.c,
 * embedded.c, latency.c. */
void bench_echo(struct bench *bench);
void bench_churn(struct bench *bench);
void bench_datagrams(struct bench *bench);
void bench_runs(struct bench *bench);
void bench_beside(struct bench *bench);
void bench_embedded(struct bench *bench);
void bench_latency(struct bench *bench);
void bench_exchange(struct bench *bench); /* exchange.c */

/* Work within a process: timers.c, tasks.c, turns.c, work.c. */
void bench_timers(struct bench *bench);
void bench_tasks(struct bench *bench);
void bench_turns(struct bench *bench);
void bench_work(struct bench *bench);
void bench_files(struct bench *bench); /* files.c */
void bench_tls(struct bench *bench);   /* tls.c, only with OpenSSL */

#endif
