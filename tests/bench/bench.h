/* What the parts of the benchmark share.
 *
 * Every piece of work is done by up to three peers: by hand, with libaloop and
 * with libuv.  They take turns in short slices (A B C A B C ...), all on one
 * processor, and what is compared is CPU time.  A row of the table is one
 * piece of work; its ratios are taken within each round and the median of
 * them is shown, so that a disturbance hits one round and not one peer. */

#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer { HAND, ALOOP, UV, PEERS };

enum { ROUNDS_MAX = 64 };

/* Each round begins with another one; none has two turns in a row, for it
 * would find its own things in the caches. */
static inline enum peer whose_turn(int round, int turn)
{
    return (enum peer) ((round + turn) % PEERS);
}

/* What a row is measured against; from the project's design. */
enum aim { AIM_NONE, AIM_RATIO, AIM_VALUE };

struct row {
    const char *work;
    enum aim aim;
    double limit; /* Of libaloop's ratio or value. */
    int digits;   /* Behind the point, of values. */
    double values[PEERS][ROUNDS_MAX];
    int count[PEERS];
};

struct bench {
    bool is_quick;
    bool has_uv;
    bool has_counters; /* Whether system calls can be counted. */
    const char *only;  /* NULL, or what a row's name must contain. */
    int rounds;
    int missed; /* Rows above their aim. */
};

/* table.c */

void table_head(void);
/* A value of this round; negative ones are not kept. */
void row_add(struct row *row, enum peer peer, double value);
/* The median; negative when there is none. */
double row_value(const struct row *row, enum peer peer);
/* The median of value / value of the same rounds; negative as above. */
double row_ratio(const struct row *row, enum peer over, enum peer under);
void row_print(struct bench *bench, const struct row *row);
/* Whether a row is asked for. */
bool is_wanted(const struct bench *bench, const char *work);

/* process.c */

int64_t wall_ns(void);
int64_t cpu_ns(void);
/* Says what failed and ends the process. */
_Noreturn void fail(const char *what);
static inline void fail_if(bool failed, const char *what)
{
    if (failed)
        fail(what);
}

/* Puts this process where all the others are. */
void settle_down(void);
/* Runs fn in a process of its own, whose memory is as new each time.  False,
 * and nothing kept, when that failed. */
bool in_child(void (*fn)(const void *arg, double *results), const void *arg,
              double *results, int count);
/* A random number, the same each time. */
uint32_t random_next(uint32_t *state);

enum { RESULTS_MAX = 16 };

/* load.c, churn.c: what goes through sockets. */
void bench_echo(struct bench *bench);
void bench_churn(struct bench *bench);

/* timers.c, tasks.c, turns.c: what stays in the process. */
void bench_timers(struct bench *bench);
void bench_tasks(struct bench *bench);
void bench_turns(struct bench *bench);

#endif
