/* A fixed amount of work, whose instructions and system calls exact.sh counts,
 * and fixed numbers of objects, whose memory it prints.
 *
 *     aloop_exact WORKLOAD COUNT
 *     aloop_exact --list
 *     aloop_exact --bytes COUNT
 *
 * It does one kind of work `COUNT` times, in one process.  The difference
 * between a long and a short run is the cost of the work alone.  The time is
 * simulated and the order of all events is fixed, so that each run counts the
 * same.  The cost of an echo includes its client: a send and a receive for each
 * message. */

#include "bench.h"
#include "identity.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <aloop.h>

enum { CONNECTIONS_MAX = 64, ECHO_MAX = 16 * 1024, GROUP = 100 };

/* An echo: its connections, the size of its messages, and its server.  For
 * posts, `connections` is how many of them a turn takes. */
struct echo {
    int connections;
    size_t size;
    bool has_filter;
    bool is_task;
    bool is_hosted; /* The loop runs inside a loop that waits with epoll. */
};

struct workload {
    const char *name;
    void (*run)(aloop *loop, const struct workload *workload, long count);
    struct echo echo;
    ssize_t (*task)(aloop *loop, void *arg);
};

void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* The echo. */

static size_t answered; /* The bytes of the present exchange. */

static void on_data(aloop_stream *stream, const void *data, ssize_t size,
                    void *arg)
{
    (void) arg;
    if (size > 0) {
        aloop_stream_put(stream, data, (size_t) size);
        answered += (size_t) size;
    } else {
        aloop_stream_close(stream);
    }
}

static ssize_t echo_task(aloop *loop, void *arg)
{
    aloop_stream *stream = arg;
    char buffer[ECHO_MAX];
    ssize_t n;

    (void) loop;
    while ((n = aloop_await(aloop_stream_read(stream, buffer, sizeof buffer))) >
           0) {
        aloop_await(aloop_stream_write(stream, buffer, (size_t) n));
        answered += (size_t) n;
    }
    aloop_stream_close(stream);
    return n;
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    const struct echo *echo = arg;

    if (echo->has_filter)
        identity_put_on(stream);
    if (echo->is_task)
        aloop_detach(aloop_spawn(aloop_current(), echo_task, stream));
    else
        aloop_stream_start(stream, on_data, NULL);
    (void) listener;
}

static int client_open(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t) port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    fail_if(fd < 0 || connect(fd, (void *) &address, sizeof address) < 0,
            "connecting");
    return fd;
}

static int host_fd = -1; /* The epoll instance of the host, which has one. */

static void host_open(aloop *loop)
{
    struct epoll_event event = {.events = EPOLLIN};

    host_fd = epoll_create1(EPOLL_CLOEXEC);
    fail_if(host_fd < 0 ||
                epoll_ctl(host_fd, EPOLL_CTL_ADD, aloop_fd(loop), &event) < 0,
            "a host");
}

/* Waits, and runs what there is to do. */
static void advance(aloop *loop, bool is_hosted)
{
    struct epoll_event event;

    if (is_hosted)
        fail_if(epoll_wait(host_fd, &event, 1, -1) != 1, "epoll_wait");
    aloop_step(loop, is_hosted ? 0 : -1);
}

/* Sends on all connections, and receives when all were answered. */
static void exchange(aloop *loop, const struct echo *echo, const int *fds)
{
    static char bytes[ECHO_MAX];
    ssize_t size = (ssize_t) echo->size;

    answered = 0;
    for (int i = 0; i < echo->connections; i++)
        fail_if(send(fds[i], bytes, echo->size, 0) != size, "sending");
    while (answered < echo->size * (size_t) echo->connections)
        advance(loop, echo->is_hosted);
    for (int i = 0; i < echo->connections; i++)
        fail_if(recv(fds[i], bytes, echo->size, MSG_WAITALL) != size,
                "receiving");
}

static void run_echo(aloop *loop, const struct workload *workload, long count)
{
    const struct echo *echo = &workload->echo;
    aloop_listener *listener;
    int fds[CONNECTIONS_MAX];

    fail_if(aloop_tcp_listen(loop, "127.0.0.1", "0", on_stream,
                             (void *) (uintptr_t) echo, &listener) < 0,
            "listening");
    if (echo->is_hosted)
        host_open(loop);
    for (int i = 0; i < echo->connections; i++)
        fds[i] = client_open(aloop_listener_port(listener));
    exchange(loop, echo, fds);
    for (long i = 0; i < count; i += echo->connections)
        exchange(loop, echo, fds);
}

/* A round trip between two streams of the loop. */

static void on_answer(aloop_stream *stream, const void *data, ssize_t size,
                      void *arg)
{
    (void) arg;
    fail_if(size <= 0, "an answer");
    aloop_stream_put(stream, data, (size_t) size);
    answered++;
}

static void run_pair(aloop *loop, const struct workload *workload, long count)
{
    static const char message[64];
    bool is_hosted = workload->echo.is_hosted;
    aloop_stream *client, *server;

    fail_if(aloop_stream_pair(loop, &client, &server) < 0, "a pair");
    aloop_stream_start(server, on_data, NULL);
    aloop_stream_start(client, on_answer, NULL);
    if (is_hosted)
        host_open(loop);
    aloop_stream_put(client, message, sizeof message);
    answered = 0;
    while (answered < (size_t) count * (1 + sizeof message))
        advance(loop, is_hosted);
}

/* Timers. */

static void on_expire(aloop_timer *timer, void *arg)
{
    long *left = arg;

    (void) timer;
    --*left;
}

static void make_timers(aloop *loop, aloop_timer **timers, long *left)
{
    for (int i = 0; i < GROUP; i++) {
        timers[i] = aloop_timer_new(loop, on_expire, left);
        fail_if(timers[i] == NULL, "a timer");
    }
}

/* Each is set and expires in the next turn. */
static void run_expiries(aloop *loop, const struct workload *workload,
                         long count)
{
    aloop_timer *timers[GROUP];
    long left = count;

    (void) workload;
    make_timers(loop, timers, &left);
    while (left > 0) {
        for (int i = 0; i < GROUP; i++)
            aloop_timer_restart(timers[i], 1);
        aloop_step(loop, 0);
    }
}

/* Each is set for later, and stopped. */
static void run_stops(aloop *loop, const struct workload *workload, long count)
{
    aloop_timer *timers[GROUP];

    (void) workload;
    make_timers(loop, timers, &count);
    for (; count > 0; count -= GROUP) {
        for (int i = 0; i < GROUP; i++)
            aloop_timer_restart(timers[i], (int64_t) 1000000000 * (i + 1));
        for (int i = 0; i < GROUP; i++)
            aloop_timer_stop(timers[i]);
    }
}

/* Deferred calls. */

static void count_call(aloop *loop, void *arg)
{
    (void) loop;
    ++*(long *) arg;
}

static void run_deferred(aloop *loop, const struct workload *workload,
                         long count)
{
    long calls = 0;

    (void) workload;
    while (calls < count) {
        for (int i = 0; i < GROUP; i++)
            aloop_defer(loop, count_call, &calls);
        aloop_step(loop, 0);
    }
}

/* Posts, of the loop's own thread. */

static void run_posts(aloop *loop, const struct workload *workload, long count)
{
    int group = workload->echo.connections;
    long calls = 0;

    while (calls < count) {
        for (int i = 0; i < group; i++)
            aloop_post(loop, count_call, &calls);
        aloop_step(loop, -1);
    }
}

/* Tasks. */

static void run_task(aloop *loop, const struct workload *workload, long count)
{
    fail_if(aloop_await(aloop_spawn(loop, workload->task, &count)) < 0,
            "a task");
}

static ssize_t nothing(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 0;
}

static ssize_t spawn_each(aloop *loop, void *arg)
{
    for (long left = *(long *) arg; left > 0; left--)
        aloop_await(aloop_spawn(loop, nothing, NULL));
    return 0;
}

static ssize_t spawn_group(aloop *loop, void *arg)
{
    aloop_future *tasks[GROUP];

    for (long left = *(long *) arg; left > 0; left -= GROUP) {
        for (int i = 0; i < GROUP; i++)
            tasks[i] = aloop_spawn(loop, nothing, NULL);
        for (int i = 0; i < GROUP; i++)
            aloop_await(tasks[i]);
    }
    return 0;
}

static ssize_t gather_two(aloop *loop, void *arg)
{
    for (long left = *(long *) arg; left > 0; left--) {
        aloop_future *first = aloop_spawn(loop, nothing, NULL);
        aloop_future *second = aloop_spawn(loop, nothing, NULL);

        aloop_await(aloop_gather(loop, first, second));
    }
    return 0;
}

static ssize_t yield_often(aloop *loop, void *arg)
{
    for (long left = *(long *) arg; left > 0; left--)
        aloop_yield(loop);
    return 0;
}

/* Memory. */

static size_t allocated; /* Bytes that loops have at present. */

static void *resize_counted(void *context, void *old, size_t old_size,
                            size_t new_size)
{
    void *memory = NULL;

    (void) context;
    if (new_size == 0)
        free(old);
    else
        fail_if((memory = realloc(old, new_size)) == NULL, "realloc");
    allocated += new_size - old_size;
    return memory;
}

static void make_stream(aloop *loop)
{
    static aloop_stream *other;
    aloop_stream *stream;

    if (other != NULL) { /* Each call makes one, and every other one a pair. */
        aloop_stream_start(other, on_data, NULL);
        other = NULL;
        return;
    }
    fail_if(aloop_stream_pair(loop, &stream, &other) < 0, "a pair");
    aloop_stream_start(stream, on_data, NULL);
}

static void make_timer(aloop *loop)
{
    aloop_timer *timer;

    fail_if(aloop_timer_start(loop, INT64_C(1000000000), 0, on_expire, NULL,
                              &timer) < 0,
            "a timer");
}

static void make_sleep(aloop *loop)
{
    aloop_detach(aloop_sleep(loop, INT64_C(1000000000)));
}

static ssize_t sleep_once(aloop *loop, void *arg)
{
    (void) arg;
    return aloop_await(aloop_sleep(loop, INT64_C(1000000000)));
}

/* Its stack, which is not counted, is no memory of the allocator. */
static void make_task(aloop *loop)
{
    aloop_detach(aloop_spawn(loop, sleep_once, NULL));
}

static const struct {
    const char *name;
    void (*make)(aloop *loop);
} objects[] = {
    {"bytes-sleep", make_sleep},
    {"bytes-stream", make_stream},
    {"bytes-task", make_task},
    {"bytes-timer", make_timer},
};

/* Prints the bytes of each kind of object, of which COUNT exist. */
static int print_bytes(long count)
{
    aloop_options options = {.size = sizeof options, .resize = resize_counted};

    struct rlimit limit;

    fail_if(getrlimit(RLIMIT_NOFILE, &limit) < 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        aloop *loop = aloop_new(&options);
        size_t before = allocated;

        fail_if(loop == NULL || count < 1, "a loop and objects");
        for (long j = 0; j < count; j++)
            objects[i].make(loop);
        aloop_step(loop, 0); /* Starts the tasks. */
        printf("%s %.1f\n", objects[i].name,
               (double) (allocated - before) / (double) count);
        aloop_free(loop);
    }
    return 0;
}

static const struct workload workloads[] = {
    {.name = "echo", .run = run_echo, .echo = {64, 64, false, false, false}},
    {.name = "echo-one", .run = run_echo, .echo = {1, 64, false, false, false}},
    {.name = "echo-task",
     .run = run_echo,
     .echo = {64, 64, false, true, false}},
    {.name = "echo-filter",
     .run = run_echo,
     .echo = {64, 64, true, false, false}},
    {.name = "echo-filter-one",
     .run = run_echo,
     .echo = {1, 64, true, false, false}},
    {.name = "echo-hosted",
     .run = run_echo,
     .echo = {64, 64, .is_hosted = true}},
    {.name = "echo-hosted-one",
     .run = run_echo,
     .echo = {1, 64, .is_hosted = true}},
    {.name = "echo-hosted-task",
     .run = run_echo,
     .echo = {64, 64, .is_task = true, .is_hosted = true}},
    {.name = "pair", .run = run_pair},
    {.name = "pair-hosted", .run = run_pair, .echo = {.is_hosted = true}},
    {.name = "timer-expire", .run = run_expiries},
    {.name = "timer-stop", .run = run_stops},
    {.name = "defer", .run = run_deferred},
    {.name = "post", .run = run_posts, .echo = {.connections = GROUP}},
    {.name = "post-one", .run = run_posts, .echo = {.connections = 1}},
    {.name = "spawn-await", .run = run_task, .task = spawn_each},
    {.name = "spawn-group", .run = run_task, .task = spawn_group},
    {.name = "gather-2", .run = run_task, .task = gather_two},
    {.name = "yield", .run = run_task, .task = yield_often},
};

/* A loop may leave out calls of the reactor for a limited time, whose number
 * must not depend on the speed of the machine. */
static int64_t simulated_clock(void *context)
{
    static int64_t now_ns;

    (void) context;
    return now_ns += 100;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .clock_ns = simulated_clock};
    bool is_list = argc == 2 && strcmp(argv[1], "--list") == 0;
    aloop *loop;

    if (argc == 3 && strcmp(argv[1], "--bytes") == 0)
        return print_bytes(strtol(argv[2], NULL, 10));
    loop = aloop_new(&options);
    fail_if(loop == NULL, "a loop");
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (is_list)
            printf("%s\n", workloads[i].name);
        if (argc != 3 || strcmp(workloads[i].name, argv[1]) != 0)
            continue;
        workloads[i].run(loop, &workloads[i], strtol(argv[2], NULL, 10));
        aloop_free(loop);
        return 0;
    }
    if (is_list)
        return 0;
    fprintf(stderr, "usage: aloop_exact WORKLOAD COUNT\n");
    return 2;
}
