/* Deferred calls of libev are watchers that are made pending by hand.  Threads
 * use ev_async_send(), and a queue of the program for posts. */

#define _GNU_SOURCE /* For threads. */

#include "turns.h"

#include <stdlib.h>

#include <ev.h>

#include "post_queue.h"

static size_t calls_made;

static void on_call(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void) loop;
    (void) watcher;
    (void) events;
    calls_made++;
}

static void peer_defer(size_t count, size_t batch)
{
    ev_prepare *watchers = malloc(batch * sizeof *watchers);
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);

    fail_if(watchers == NULL || loop == NULL, "making a loop");
    for (size_t i = 0; i < batch; i++)
        ev_prepare_init(&watchers[i], on_call);
    for (size_t done = 0; done < count; done += batch) {
        for (size_t i = 0; i < batch; i++)
            ev_feed_event(loop, &watchers[i], EV_CUSTOM);
        ev_run(loop, EVRUN_NOWAIT);
    }
    ev_loop_destroy(loop);
    free(watchers);
}

struct side {
    struct ev_loop *loop;
    ev_async async;
    struct side *other;
    size_t left;
};

static void side_open(struct side *side, struct side *other, size_t count,
                      void (*fn)(struct ev_loop *loop, ev_async *async,
                                 int events))
{
    side->other = other;
    side->left = count;
    side->loop = ev_loop_new(EVBACKEND_EPOLL);
    fail_if(side->loop == NULL, "ev_loop_new");
    ev_async_init(&side->async, fn);
    side->async.data = side;
    ev_async_start(side->loop, &side->async);
}

static void on_ping(struct ev_loop *loop, ev_async *async, int events)
{
    struct side *side = async->data;

    (void) events;
    ev_async_send(side->other->loop, &side->other->async);
    if (--side->left == 0)
        ev_break(loop, EVBREAK_ALL);
}

static void *run(void *arg)
{
    struct side *side = arg;

    ev_run(side->loop, 0);
    return NULL;
}

static void peer_ping_pong(size_t count)
{
    static struct side sides[2];
    pthread_t thread;

    side_open(&sides[0], &sides[1], count, on_ping);
    side_open(&sides[1], &sides[0], count, on_ping);
    fail_if(pthread_create(&thread, NULL, run, &sides[1]) != 0, "a thread");
    ev_async_send(sides[0].loop, &sides[0].async);
    run(&sides[0]);
    pthread_join(thread, NULL);
}

static struct post_queue posted;

static void count_call(void *arg)
{
    size_t *calls = arg;

    ++*calls;
}

static void stop(void *arg)
{
    struct side *side = arg;

    ev_break(side->loop, EVBREAK_ALL);
}

static void on_posts(struct ev_loop *loop, ev_async *async, int events)
{
    (void) loop;
    (void) async;
    (void) events;
    post_run(&posted);
}

static void peer_post(size_t count)
{
    static struct side side;
    pthread_t thread;

    side_open(&side, NULL, 0, on_posts);
    fail_if(pthread_create(&thread, NULL, run, &side) != 0, "a thread");
    for (size_t i = 1; i < count; i++)
        if (post_push(&posted, count_call, &calls_made))
            ev_async_send(side.loop, &side.async);
    if (post_push(&posted, stop, &side))
        ev_async_send(side.loop, &side.async);
    pthread_join(thread, NULL);
}

const struct turns_peer turns_ev = {peer_defer, peer_ping_pong, peer_post};
