/* An array as a queue, with one epoll call per turn; two eventfds for
 * threads. */

#include "turns.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "post_queue.h"

struct call {
    void (*fn)(void *arg);
    void *arg;
};

static size_t calls_made;

static void count_call(void *arg)
{
    size_t *calls = arg;

    ++*calls;
}

static void hand_defer(size_t count, size_t batch)
{
    struct call *queue = malloc(batch * sizeof *queue);
    struct epoll_event event;
    int epoll_fd = epoll_create1(0);

    fail_if(queue == NULL, "malloc");
    for (size_t done = 0; done < count; done += batch) {
        for (size_t i = 0; i < batch; i++) {
            queue[i] = (struct call){count_call, &calls_made};
            __asm__ volatile("" : : "r"(&queue[i]) : "memory");
        }
        for (size_t i = 0; i < batch; i++)
            queue[i].fn(queue[i].arg);
        epoll_wait(epoll_fd, &event, 1, 0);
    }
    close(epoll_fd);
    free(queue);
}

struct side {
    int epoll_fd;
    int own_fd;
    int other_fd;
    size_t count;
};

static void side_open(struct side *side, size_t count)
{
    struct epoll_event event = {.events = EPOLLIN};

    side->epoll_fd = epoll_create1(0);
    side->own_fd = eventfd(0, EFD_NONBLOCK);
    side->count = count;
    fail_if(epoll_ctl(side->epoll_fd, EPOLL_CTL_ADD, side->own_fd, &event) < 0,
            "epoll_ctl");
}

static void wake(int fd)
{
    uint64_t one = 1;

    fail_if(write(fd, &one, sizeof one) < 0, "waking up");
}

static void *run(void *arg)
{
    struct side *side = arg;
    struct epoll_event event;
    uint64_t value;

    for (size_t i = 0; i < side->count; i++) {
        while (epoll_wait(side->epoll_fd, &event, 1, -1) != 1 ||
               read(side->own_fd, &value, sizeof value) < 0)
            continue;
        wake(side->other_fd);
    }
    return NULL;
}

static void hand_ping_pong(size_t count)
{
    struct side sides[2];
    pthread_t thread;

    side_open(&sides[0], count);
    side_open(&sides[1], count);
    sides[0].other_fd = sides[1].own_fd;
    sides[1].other_fd = sides[0].own_fd;
    fail_if(pthread_create(&thread, NULL, run, &sides[1]) != 0, "a thread");
    wake(sides[0].own_fd);
    run(&sides[0]);
    pthread_join(thread, NULL);
}

static struct post_queue posted;
static bool is_over;

static void set_over(void *arg)
{
    bool *is_set = arg;

    *is_set = true;
}

static void *run_posts(void *arg)
{
    struct side *side = arg;
    struct epoll_event event;
    uint64_t value;

    while (!is_over) {
        while (epoll_wait(side->epoll_fd, &event, 1, -1) != 1 ||
               read(side->own_fd, &value, sizeof value) < 0)
            continue;
        post_run(&posted);
    }
    return NULL;
}

static void hand_post(size_t count)
{
    struct side side;
    pthread_t thread;

    side_open(&side, 0);
    fail_if(pthread_create(&thread, NULL, run_posts, &side) != 0, "a thread");
    for (size_t i = 1; i < count; i++)
        if (post_push(&posted, count_call, &calls_made))
            wake(side.own_fd);
    if (post_push(&posted, set_over, &is_over))
        wake(side.own_fd);
    pthread_join(thread, NULL);
}

const struct turns_peer turns_hand = {hand_defer, hand_ping_pong, hand_post};
