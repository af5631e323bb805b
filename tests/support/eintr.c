/* A shared object that is loaded before a program (LD_PRELOAD).  It interrupts
 * the program with a signal ten thousand times a second.  The handler is
 * installed without SA_RESTART.
 *
 * Child processes are interrupted as well, after fork and after exec.  The file
 * that ALOOP_EINTR_COUNTS names holds three 64-bit counts, which all processes
 * share: signals, calls that ended with EINTR, and processes.  See eintr.sh. */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { PERIOD_NS = 100000 };
enum { SIGNALS, CALLS, PROCESSES, COUNTS };

static _Atomic uint64_t *counts;

/* Whether the signal ended a system call: the result is -EINTR, and the handler
 * returns to the instruction after the call. */
static int has_ended_a_call(const ucontext_t *context)
{
#if defined __x86_64__
    const unsigned char *at =
        (const unsigned char *) context->uc_mcontext.gregs[REG_RIP];

    return context->uc_mcontext.gregs[REG_RAX] == -EINTR && at[-2] == 0x0f &&
           at[-1] == 0x05;
#elif defined __aarch64__
    const uint32_t *at = (const uint32_t *) context->uc_mcontext.pc;

    return (int64_t) context->uc_mcontext.regs[0] == -EINTR &&
           at[-1] == 0xd4000001;
#else
    (void) context;
    return 0;
#endif
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void) number;
    (void) info;
    atomic_fetch_add_explicit(&counts[SIGNALS], 1, memory_order_relaxed);
    if (has_ended_a_call(context))
        atomic_fetch_add_explicit(&counts[CALLS], 1, memory_order_relaxed);
}

/* Called in each process, because a child does not inherit timers. */
static void start(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGRTMAX - 1};
    struct itimerspec every = {{0, PERIOD_NS}, {0, PERIOD_NS}};
    timer_t timer;

    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &every, NULL) != 0)
        abort();
    atomic_fetch_add(&counts[PROCESSES], 1);
}

/* Closes the descriptor, because tests count those that are open. */
static void *map_counts(void)
{
    const char *path = getenv("ALOOP_EINTR_COUNTS");
    size_t size = COUNTS * sizeof *counts;
    void *memory = MAP_FAILED;
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT, 0600);

    if (fd >= 0 && ftruncate(fd, (off_t) size) == 0)
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return memory;
}

__attribute__((constructor)) static void begin(void)
{
    /* SA_ONSTACK is usual: the handler uses the alternate stack if the thread
     * has one. */
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};

    counts = map_counts();
    if (counts == MAP_FAILED)
        return; /* The variable is not set. */
    sigfillset(&action.sa_mask);
    if (sigaction(SIGRTMAX - 1, &action, NULL) != 0 ||
        pthread_atfork(NULL, NULL, start) != 0)
        abort();
    start();
}
