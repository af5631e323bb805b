/* Timers by hand: a heap with four children per node.  Its entries point to
 * their timers, and each timer stores its place. */

#define _GNU_SOURCE /* For epoll_pwait2(). */

#include "timers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

enum { ARITY = 4 };

struct timer {
    size_t place;
    void (*fire)(struct timer *timer);
};

struct entry {
    int64_t when_ns;
    struct timer *timer;
};

static struct timer *timers;
static struct entry *heap;
static size_t timer_count, heap_count, fired;
static int64_t start_ns, early_ns;
static const int64_t *wanted_ns;

static void on_fire(struct timer *timer)
{
    note_early(++fired, wanted_ns[timer - timers], start_ns, &early_ns);
}

static void hand_open(size_t count)
{
    timers = calloc(count, sizeof *timers);
    heap = calloc(count + 1, sizeof *heap);
    fail_if(timers == NULL || heap == NULL, "calloc");
    for (size_t i = 0; i < count; i++)
        timers[i].fire = on_fire;
    timer_count = count;
    start_ns = wall_ns();
}

static void put(size_t i, struct entry entry)
{
    heap[i] = entry;
    entry.timer->place = i;
}

static void up(size_t i, struct entry entry)
{
    while (i > 0 && entry.when_ns < heap[(i - 1) / ARITY].when_ns) {
        put(i, heap[(i - 1) / ARITY]);
        i = (i - 1) / ARITY;
    }
    put(i, entry);
}

static void down(size_t i, struct entry entry)
{
    for (;;) {
        size_t least = i * ARITY + 1, end = least + ARITY;

        if (least >= heap_count)
            break;
        if (end > heap_count)
            end = heap_count;
        for (size_t child = least + 1; child < end; child++)
            if (heap[child].when_ns < heap[least].when_ns)
                least = child;
        if (heap[least].when_ns >= entry.when_ns)
            break;
        put(i, heap[least]);
        i = least;
    }
    put(i, entry);
}

static void settle(size_t i, struct entry entry)
{
    if (i > 0 && entry.when_ns < heap[(i - 1) / ARITY].when_ns)
        up(i, entry);
    else
        down(i, entry);
}

static void start(struct timer *timer, int64_t when_ns)
{
    up(heap_count++, (struct entry){when_ns, timer});
}

static void stop(struct timer *timer)
{
    struct entry last = heap[--heap_count];

    if (timer->place < heap_count)
        settle(timer->place, last);
}

static void hand_start(const int64_t *when_ns)
{
    for (size_t i = 0; i < timer_count; i++)
        start(&timers[i], start_ns + when_ns[i]);
}

static void hand_stop(const uint32_t *order)
{
    for (size_t i = 0; i < timer_count; i++)
        stop(&timers[order[i]]);
}

static void hand_move(const int64_t *when_ns, const uint32_t *order,
                      int64_t push_ns)
{
    for (size_t i = 0; i < timer_count; i++) {
        struct timer *timer = &timers[order[i]];

        settle(timer->place, (struct entry){
                                 start_ns + when_ns[order[i]] + push_ns,
                                 timer,
                             });
    }
}

static void wait_until(int epoll_fd, int64_t when_ns)
{
    int64_t left_ns = when_ns - wall_ns();
    struct timespec left;
    struct epoll_event event;

    if (left_ns < 0)
        left_ns = 0;
    left.tv_sec = left_ns / 1000000000;
    left.tv_nsec = left_ns % 1000000000;
    if (epoll_pwait2(epoll_fd, &event, 1, &left, NULL) < 0 && errno == ENOSYS)
        epoll_wait(epoll_fd, &event, 1, (int) (left_ns / 1000000) + 1);
}

static int64_t hand_fire(const int64_t *when_ns)
{
    int epoll_fd = epoll_create1(0);

    wanted_ns = when_ns;
    early_ns = INT64_MIN;
    while (heap_count > 0) {
        int64_t now_ns;

        wait_until(epoll_fd, heap[0].when_ns);
        now_ns = wall_ns();
        while (heap_count > 0 && heap[0].when_ns <= now_ns) {
            struct timer *timer = heap[0].timer;

            stop(timer);
            timer->fire(timer);
        }
    }
    return early_ns;
}

static void hand_make(size_t times)
{
    for (size_t i = 0; i < times; i++) {
        struct timer *timer = malloc(sizeof *timer);

        fail_if(timer == NULL, "malloc");
        timer->fire = on_fire;
        start(timer, wall_ns() + 3600000000000);
        stop(timer);
        free(timer);
    }
}

const struct timers_peer timers_hand = {hand_open, hand_start, hand_stop,
                                        hand_move, hand_fire,  hand_make};
