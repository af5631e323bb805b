/* Libuv has no deferred calls.  An idle handle that stops itself is the usual
 * replacement.  Threads use uv_async_send(). */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "turns.h"

#include <stdlib.h>

#include <uv.h>

#include "post_queue.h"

static size_t calls_made;

static void on_idle(uv_idle_t *idle)
{
    uv_idle_stop(idle);
    calls_made++;
}

static void peer_defer(size_t count, size_t batch)
{
    static uv_idle_t *idles; /* Closing them is not part of the work. */
    uv_loop_t loop;

    idles = malloc(batch * sizeof *idles);
    fail_if(idles == NULL, "malloc");
    uv_loop_init(&loop);
    for (size_t i = 0; i < batch; i++)
        uv_idle_init(&loop, &idles[i]);
    for (size_t done = 0; done < count; done += batch) {
        for (size_t i = 0; i < batch; i++)
            uv_idle_start(&idles[i], on_idle);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

struct side {
    uv_loop_t loop;
    uv_async_t async;
    struct side *other;
    size_t left;
};

static void on_ping(uv_async_t *async)
{
    struct side *side = async->data;

    uv_async_send(&side->other->async);
    if (--side->left == 0)
        uv_stop(&side->loop);
}

static void side_open(struct side *side, struct side *other, size_t count)
{
    side->other = other;
    side->left = count;
    fail_if(uv_loop_init(&side->loop) < 0 ||
                uv_async_init(&side->loop, &side->async, on_ping) < 0,
            "making a loop");
    side->async.data = side;
}

static void *run(void *arg)
{
    struct side *side = arg;

    uv_run(&side->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void peer_ping_pong(size_t count)
{
    static struct side sides[2];
    pthread_t thread;

    side_open(&sides[0], &sides[1], count);
    side_open(&sides[1], &sides[0], count);
    fail_if(pthread_create(&thread, NULL, run, &sides[1]) != 0, "a thread");
    uv_async_send(&sides[0].async);
    run(&sides[0]);
    pthread_join(thread, NULL);
}

/* The calls are in a queue of the program. */
static struct post_queue posted;

static void count_call(void *arg)
{
    size_t *calls = arg;

    ++*calls;
}

static void stop(void *arg)
{
    struct side *side = arg;

    uv_stop(&side->loop);
}

static void on_posts(uv_async_t *async)
{
    (void) async;
    post_run(&posted);
}

static void peer_post(size_t count)
{
    static struct side side;
    pthread_t thread;

    fail_if(uv_loop_init(&side.loop) < 0 ||
                uv_async_init(&side.loop, &side.async, on_posts) < 0,
            "making a loop");
    fail_if(pthread_create(&thread, NULL, run, &side) != 0, "a thread");
    for (size_t i = 1; i < count; i++)
        if (post_push(&posted, count_call, &calls_made))
            uv_async_send(&side.async);
    if (post_push(&posted, stop, &side))
        uv_async_send(&side.async);
    pthread_join(thread, NULL);
}

const struct turns_peer turns_uv = {peer_defer, peer_ping_pong, peer_post};
