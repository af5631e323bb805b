/* Clocks and processes. */

#define _GNU_SOURCE /* For sched_setaffinity(). */

#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    fail_if(clock_gettime(clock, &now) < 0, "reading a clock");
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

_Noreturn void fail(const char *what)
{
    fprintf(stderr, "aloop_bench: %s failed: %s\n", what, strerror(errno));
    exit(1);
}

static cpu_set_t all_processors; /* As they were at the start. */

/* Runs everything on one processor, where a process that wakes up does not
 * preempt another one.  Each process then completes its work before it waits.
 * Failures are ignored; the figures vary more in this case. */
void use_one_processor(void)
{
    struct sched_param param = {0};
    cpu_set_t one;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all_processors, &all_processors) == 0) {
        for (size_t cpu = CPU_SETSIZE; cpu-- > 0 && CPU_COUNT(&one) == 0;)
            if (CPU_ISSET(cpu, &all_processors))
                CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    sched_setscheduler(0, SCHED_BATCH, &param);
}

void use_all_processors(void)
{
    sched_setaffinity(0, sizeof all_processors, &all_processors);
}

void use_other_processors(void)
{
    cpu_set_t now, others;

    if (sched_getaffinity(0, sizeof now, &now) < 0)
        return;
    CPU_ZERO(&others);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (!CPU_ISSET(cpu, &now))
            CPU_SET(cpu, &others);
    sched_setaffinity(0, sizeof others, &others);
}

bool in_child(void (*fn)(const void *arg, double *results), const void *arg,
              double *results, int count)
{
    size_t size = RESULTS_MAX * sizeof *results;
    double *shared = mmap(NULL, size, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = -1;
    pid_t pid;

    fail_if(shared == MAP_FAILED, "mmap");
    pid = fork();
    fail_if(pid < 0, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fn(arg, shared);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status == 0)
        memcpy(results, shared, (size_t) count * sizeof *results);
    munmap(shared, size);
    return status == 0;
}

uint32_t random_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
