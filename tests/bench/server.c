/* Starts servers, measures their cost, and connects to them.
 *
 * The clients block.  All servers and the client share one processor, so the
 * client sends to every connection and waits, and the server then finds all of
 * them ready.  The order of execution is therefore deterministic. */

#define _GNU_SOURCE /* For syscall() and memfd. */

#include "server.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIFE_SECONDS = 300, START_SECONDS = 10 };

static const struct {
    const char *name; /* Of the process, for profilers. */
    void (*serve)(struct server_report *report, bool is_framed);
} kinds[PEERS] = {
    [HAND] = {"echo-hand", echo_epoll},   [ALOOP] = {"echo-aloop", echo_aloop},
#ifdef BENCH_UV
    [UV] = {"echo-uv", echo_uv},
#endif
#ifdef BENCH_EV
    [EV] = {"echo-ev", echo_ev},
#endif
#ifdef BENCH_EVENT
    [EVENT] = {"echo-event", echo_event},
#endif
};

void *counted_resize(struct server_report *report, void *old, size_t size)
{
    size_t old_size = malloc_usable_size(old);
    void *memory = NULL;

    if (size == 0) {
        free(old);
    } else {
        memory = realloc(old, size);
        fail_if(memory == NULL, "realloc");
    }
    atomic_fetch_add(&report->user_bytes,
                     (int64_t) malloc_usable_size(memory) - (int64_t) old_size);
    return memory;
}

bool server_echoes(const struct bench *bench, enum peer peer)
{
    return kinds[peer].serve != NULL && (peer != UV || bench->has_uv);
}

bool server_exists(const struct bench *bench, enum peer peer)
{
    return peer <= UV && server_echoes(bench, peer);
}

static int open_counter(pid_t pid, uint32_t type, uint64_t config)
{
    struct perf_event_attr attr = {
        .size = sizeof attr,
        .type = type,
        .config = config,
        .exclude_kernel = type == PERF_TYPE_HARDWARE,
    };

    return (int) syscall(SYS_perf_event_open, &attr, pid, -1, -1,
                         PERF_FLAG_FD_CLOEXEC);
}

/* Returns the kernel's number of the event "a system call begins", or -1. */
static int system_call_event(void)
{
    static const char *const paths[] = {
        "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
        "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
    };
    int id = -1;

    for (size_t i = 0; i < 2 && id < 0; i++) {
        FILE *file = fopen(paths[i], "re");

        if (file == NULL)
            continue;
        if (fscanf(file, "%d", &id) != 1)
            id = -1;
        fclose(file);
    }
    return id;
}

static void open_counters(struct server *server)
{
    int id = system_call_event();

    server->counters[SYSTEM_CALLS] =
        id < 0 ? -1
               : open_counter(server->pid, PERF_TYPE_TRACEPOINT, (uint64_t) id);
    server->counters[INSTRUCTIONS] = open_counter(
        server->pid, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS);
}

static void wait_for_port(const struct server *server)
{
    for (int i = 0; i < START_SECONDS * 1000; i++) {
        if (atomic_load(&server->report->port) != 0)
            return;
        fail_if(waitpid(server->pid, NULL, WNOHANG) != 0, "a server");
        usleep(1000);
    }
    kill(server->pid, SIGKILL);
    errno = ETIMEDOUT;
    fail("starting a server");
}

static void report_new(struct server *server)
{
    server->report = mmap(NULL, sizeof *server->report, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fail_if(server->report == MAP_FAILED, "mmap");
}

/* Starts the process.  The report has what the server needs to know. */
static void start(struct server *server, enum peer peer, bool is_framed)
{
    server->pid = fork();
    fail_if(server->pid < 0, "fork");
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, kinds[peer].name);
        alarm(LIFE_SECONDS);
        kinds[peer].serve(server->report, is_framed);
        _exit(1);
    }
    wait_for_port(server);
    fail_if(clock_getcpuclockid(server->pid, &server->clock) != 0,
            "finding a server's clock");
    open_counters(server);
}

void server_start(struct server *server, enum peer peer, enum family family,
                  bool is_framed, const char *read_path)
{
    report_new(server);
    server->report->read_path = read_path;
    server->report->has_filter = family == OVER_FILTER;
    if (family == OVER_UNIX)
        snprintf(server->report->path, sizeof server->report->path,
                 "/tmp/aloop-bench-%ld-%s", (long) getpid(), kinds[peer].name);
    start(server, peer, is_framed);
}

void server_start_with_timers(struct server *server, enum peer peer)
{
    report_new(server);
    server->report->has_timers = true;
    start(server, peer, false);
}

void server_stop(struct server *server)
{
    kill(server->pid, SIGTERM);
    waitpid(server->pid, NULL, 0);
    if (server->report->path[0] != '\0')
        unlink(server->report->path);
    for (int i = 0; i < COUNTERS; i++)
        if (server->counters[i] >= 0)
            close(server->counters[i]);
    munmap(server->report, sizeof *server->report);
}

int64_t server_cpu_ns(const struct server *server)
{
    struct timespec now;

    fail_if(clock_gettime(server->clock, &now) < 0, "a server");
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

double server_counted(const struct server *server, enum counter counter)
{
    uint64_t count;
    int fd = server->counters[counter];

    if (fd < 0 || read(fd, &count, sizeof count) != sizeof count)
        return -1;
    return (double) count;
}

static void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = 10};

    fail_if(
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0,
        "setsockopt");
}

static int client_connect_unix(const struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, server->report->path, sizeof server->report->path);
    fail_if(fd < 0 || connect(fd, (void *) &address, sizeof address) < 0,
            "connecting");
    set_patience(fd);
    return fd;
}

int client_connect(const struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int on = 1, fd;

    if (server->report->path[0] != '\0')
        return client_connect_unix(server);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t) atomic_load(&server->report->port));
    fail_if(fd < 0, "socket");
    fail_if(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
                connect(fd, (void *) &address, sizeof address) < 0,
            "connecting");
    set_patience(fd);
    return fd;
}

void client_send(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        fail_if(n < 0, "sending to a server");
        data += n;
        size -= (size_t) n;
    }
}

void client_receive(int fd, char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(fd, buffer, size, MSG_WAITALL);

        if (n == 0)
            errno = ECONNRESET;
        fail_if(n <= 0, "receiving from a server");
        size -= (size_t) n;
    }
}
