/* aloop_defer() and aloop_post(). */

#define _GNU_SOURCE /* For barriers. */

#include "turns.h"

#include <aloop.h>

static size_t calls_made;

static void count_call(aloop *loop, void *arg)
{
    size_t *calls = arg;

    (void) loop;
    ++*calls;
}

static void peer_defer(size_t count, size_t batch)
{
    aloop *loop = aloop_new(NULL);

    for (size_t done = 0; done < count; done += batch) {
        for (size_t i = 0; i < batch; i++)
            aloop_defer(loop, count_call, &calls_made);
        aloop_step(loop, 0);
    }
    aloop_free(loop);
}

struct side {
    aloop *loop;
    struct side *other;
    size_t left;
};

static void on_ping(aloop *loop, void *arg)
{
    struct side *side = arg;

    if (side->left == 0) /* The last call of the other side. */
        return;
    aloop_post(side->other->loop, on_ping, side->other);
    if (--side->left == 0)
        aloop_release(loop);
}

static void *run(void *arg)
{
    struct side *side = arg;

    aloop_run(side->loop);
    return NULL;
}

/* Two loops, each of which belongs to the thread that makes it. */
struct meeting {
    struct side sides[2];
    pthread_barrier_t barrier;
};

static void *run_side(void *arg)
{
    struct meeting *meeting = arg;
    struct side *side = &meeting->sides[1];

    side->loop = aloop_new(NULL);
    aloop_hold(side->loop);
    pthread_barrier_wait(&meeting->barrier);
    run(side);
    pthread_barrier_wait(&meeting->barrier);
    aloop_free(side->loop);
    return NULL;
}

static void peer_ping_pong(size_t count)
{
    struct meeting meeting = {{{NULL, NULL, count}, {NULL, NULL, count}},
                              {{0}}};
    struct side *side = &meeting.sides[0];
    pthread_t thread;

    side->other = &meeting.sides[1];
    side->other->other = side;
    side->loop = aloop_new(NULL);
    aloop_hold(side->loop);
    pthread_barrier_init(&meeting.barrier, NULL, 2);
    fail_if(pthread_create(&thread, NULL, run_side, &meeting) != 0, "a thread");
    pthread_barrier_wait(&meeting.barrier);
    aloop_post(side->loop, on_ping, side);
    run(side);
    pthread_barrier_wait(&meeting.barrier);
    pthread_join(thread, NULL);
    aloop_free(side->loop);
}

static void count_last(aloop *loop, void *arg)
{
    (void) arg;
    aloop_release(loop);
}

static void peer_post(size_t count)
{
    struct meeting meeting = {.sides = {{0}}};
    aloop *loop;
    pthread_t thread;

    pthread_barrier_init(&meeting.barrier, NULL, 2);
    fail_if(pthread_create(&thread, NULL, run_side, &meeting) != 0, "a thread");
    pthread_barrier_wait(&meeting.barrier);
    loop = meeting.sides[1].loop;
    for (size_t i = 1; i < count; i++)
        aloop_post(loop, count_call, &calls_made);
    aloop_post(loop, count_last, NULL);
    pthread_barrier_wait(&meeting.barrier);
    pthread_join(thread, NULL);
}

const struct turns_peer turns_aloop = {peer_defer, peer_ping_pong, peer_post};
