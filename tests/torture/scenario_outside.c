/* Events from outside the loop: signals, posts of other threads, a host's loop,
 * and a fork. */

#include "torture.h"

#include <signal.h>

enum { POSTS = 10, HOST_TURNS_MAX = 400 };

static struct torture_watch signal_watches[3];
static aloop_signal *signals[3];

static void on_signal(aloop_signal *watch, int number, void *arg)
{
    size_t i = (size_t) ((struct torture_watch *) arg - signal_watches);

    (void) watch;
    torture_called(arg);
    torture_expect(number == (i == 2 ? SIGTERM : SIGUSR1), "wrong signal");
    if (i != 1)
        return;
    aloop_signal_close(signals[1]);
    signal_watches[1].is_closed = true;
}

static void raise_both(void *arg)
{
    (void) arg;
    sim_raise(SIGUSR1);
    sim_raise(SIGTERM);
}

ssize_t torture_signals(aloop *loop)
{
    bool is_started[3] = {false};
    ssize_t error = 0, passed = 0;

    for (int i = 0; i < 3; i++) {
        int status;

        signal_watches[i] =
            (struct torture_watch){"too many calls for signals", 0, 3, false};
        status = aloop_signal_start(loop, i == 2 ? SIGTERM : SIGUSR1, on_signal,
                                    &signal_watches[i], &signals[i]);
        is_started[i] = status == 0;
        torture_keep(&error, status);
        if (is_started[i]) {
            aloop_signal_unref(signals[i]); /* It is still called. */
            if (i == 2)
                aloop_signal_ref(signals[i]);
        }
    }
    for (int i = 0; i < 3; i++) {
        sim_at(MS, raise_both, NULL);
        torture_keep(&passed, torture_pass(loop, 20 * MS));
    }
    for (int i = 0; i < 3; i++) {
        if (passed == 0 && is_started[i])
            torture_expect(signal_watches[i].calls == (i == 1 ? 1 : 3),
                           "a signal was lost");
        if (is_started[i] && !signal_watches[i].is_closed)
            aloop_signal_close(signals[i]);
        signal_watches[i].is_closed = true;
    }
    torture_expect(!sim_signal_caught(SIGUSR1) && !sim_signal_caught(SIGTERM),
                   "a handler stays installed");
    torture_keep(&error, passed);
    torture_keep(&error, aloop_run(loop));
    return error;
}

static aloop *posted_to;
static int posted[POSTS], posted_count, run_count;

static void on_post(aloop *loop, void *arg)
{
    torture_expect(loop == posted_to, "posted to another loop");
    torture_expect(run_count < posted_count && arg == &posted[run_count],
                   "posts run twice or out of order");
    torture_expect(*(int *) arg < POSTS, "wrong argument");
    run_count++;
}

static void post_some(void *arg)
{
    (void) arg;
    for (int i = 0; i < POSTS / 2; i++)
        if (aloop_post(posted_to, on_post, &posted[posted_count]) == 0)
            posted_count++;
    aloop_wake(posted_to);
}

ssize_t torture_posts(aloop *loop)
{
    ssize_t error = 0, passed = 0;

    posted_to = loop;
    aloop_hold(loop);
    sim_at(MS, post_some, NULL);
    torture_keep(&passed, torture_pass(loop, 2 * MS));
    post_some(NULL);
    aloop_release(loop);
    torture_keep(&passed, aloop_run(loop));
    torture_expect(passed < 0 || run_count == posted_count, "a post is lost");
    torture_keep(&error, posted_count < POSTS ? ALOOP_ENOMEM : 0);
    torture_keep(&error, passed);
    return error;
}

static struct torture_watch tick_watch = {"a timer runs late", 0, 20, false};
static ssize_t echoed;

static void on_tick(aloop_timer *timer, void *arg)
{
    struct torture_watch *watch = arg;

    torture_called(watch);
    if (watch->calls < 20)
        return;
    watch->is_closed = true;
    aloop_timer_close(timer);
}

static ssize_t exchange(aloop *loop, void *arg)
{
    static aloop_stream *stream;
    char bytes[8];
    ssize_t status =
        torture_await(aloop_tcp_connect(loop, "localhost", "80", &stream), 5);

    (void) arg;
    if (status == 0)
        status = torture_await(aloop_stream_write(stream, "hello", 5), 5);
    if (status > 0)
        status = torture_await(aloop_stream_read(stream, bytes, 8), 1);
    aloop_stream_close(stream);
    echoed = status == ALOOP_ETIMEDOUT ? 0 : status;
    return echoed;
}

/* Runs the loop inside another loop, which watches its descriptor. */
ssize_t torture_embed(aloop *loop)
{
    static aloop_timer *timer;
    int listener = sim_listen("127.0.0.1", 80, 4);
    int fd = aloop_fd(loop), turns = 0, status = 0;
    ssize_t error = 0;

    torture_keep(&error, fd);
    torture_keep(&error,
                 aloop_timer_start(loop, MS, MS, on_tick, &tick_watch, &timer));
    aloop_detach(aloop_spawn(loop, exchange, NULL));
    posted_to = loop;
    sim_at(5 * MS, post_some, NULL);
    while (status >= 0 && aloop_alive(loop) && turns++ < HOST_TURNS_MAX) {
        bool is_ready = sim_poll(fd, ALOOP_SEC(2));

        torture_expect(is_ready || !torture_is_rehearsal() ||
                           !aloop_alive(loop),
                       "the loop's descriptor is not readable");
        status = aloop_step(loop, 0);
        torture_keep(&error, status);
    }
    torture_expect(turns < HOST_TURNS_MAX, "wakes its host too often");
    torture_keep(&error, echoed);
    sim_peer_close(listener);
    return error;
}

/* Closed objects whose descriptors are still open elsewhere.  The kernel must
 * no longer report them. */
static struct torture_watch kept_watches[3] = {
    {"reads when closed", 0, 0, false},
    {"accepts when closed", 0, 0, false},
    {"reads when aborted", 0, 0, false},
};

static void on_kept_data(aloop_stream *stream, const void *data, ssize_t size,
                         void *arg)
{
    (void) stream;
    (void) data;
    (void) size;
    torture_called(arg);
}

static void on_kept_stream(aloop_listener *listener, aloop_stream *stream,
                           void *arg)
{
    (void) listener;
    torture_called(arg);
    aloop_stream_close(stream);
}

static void end_kept(aloop_stream *stream, struct torture_watch *watch,
                     void (*end)(aloop_stream *))
{
    if (stream == NULL)
        return;
    sim_keep_open(aloop_stream_fd(stream));
    end(stream);
    watch->is_closed = true;
}

ssize_t torture_kept(aloop *loop)
{
    static aloop_listener *listener;
    int peers[2] = {-1, -1};
    aloop_stream *closed = torture_stream(loop, &peers[0]);
    aloop_stream *aborted = torture_stream(loop, &peers[1]);
    ssize_t error = peers[0] < 0 ? peers[0] : 0;

    torture_keep(&error, peers[1] < 0 ? peers[1] : 0);
    if (closed != NULL)
        torture_keep(
            &error, aloop_stream_start(closed, on_kept_data, &kept_watches[0]));
    if (aborted != NULL)
        torture_keep(&error, aloop_stream_start(aborted, on_kept_data,
                                                &kept_watches[2]));
    torture_keep(&error,
                 aloop_tcp_listen(loop, "127.0.0.1", "81", on_kept_stream,
                                  &kept_watches[1], &listener));
    torture_keep(&error, torture_pass(loop, MS));
    end_kept(closed, &kept_watches[0], aloop_stream_close);
    end_kept(aborted, &kept_watches[2], aloop_stream_abort);
    if (listener != NULL)
        sim_keep_open(aloop_listener_fd(listener));
    aloop_listener_close(listener);
    kept_watches[1].is_closed = true;
    for (int i = 0; i < 2; i++)
        if (peers[i] >= 0)
            sim_peer_send(peers[i], "x", 1);
    sim_connect(81);
    torture_keep(&error, torture_pass(loop, 100 * MS));
    torture_expect(!torture_is_rehearsal() ||
                       sim_calls("aloop__reactor_renew") == 0,
                   "a closed descriptor is watched");
    return error;
}

static ssize_t look_up(aloop *loop, void *arg)
{
    static aloop_stream *stream;
    ssize_t status =
        torture_await(aloop_tcp_connect(loop, "localhost", "80", &stream), 5);

    (void) arg;
    aloop_stream_close(stream);
    return status == ALOOP_ECANCELED ? 0 : status;
}

static void on_stream(aloop_listener *listener, aloop_stream *stream, void *arg)
{
    (void) listener;
    (void) arg;
    aloop_stream_close(stream);
}

/* Makes objects of a parent, which a child must not change.  Returns the
 * error. */
static ssize_t set_up_parent(aloop *loop, aloop_stream **ret_stream)
{
    static struct torture_watch data_watch = {
        "a child received data of its parent",
        0,
        1,
        true,
    };
    int peer = -1;
    aloop_stream *stream = torture_stream(loop, &peer);
    ssize_t error = peer < 0 ? peer : 0;

    *ret_stream = stream;
    if (stream == NULL)
        return error;
    torture_keep(&error, aloop_stream_start(stream, on_kept_data, &data_watch));
    sim_peer_send(peer, "x", 1);
    torture_keep(&error, aloop_stream_put(stream, "y", 1));
    aloop_detach(aloop_stream_shutdown(stream));
    return error;
}

static void fork_and_raise(aloop *loop, struct torture_watch *watch,
                           bool is_watched)
{
    if (is_watched)
        sim_raise(SIGUSR1);
    sim_fork();
    if (is_watched)
        sim_raise(SIGUSR1);
    aloop_wake(loop);
    *watch = (struct torture_watch){"a child received a signal of its parent",
                                    0, 1, false};
}

/* The child of a fork during a look-up. */
ssize_t torture_fork(aloop *loop)
{
    static aloop_listener *listener;
    static aloop_stream *stream;
    static aloop_signal *watch;
    static aloop_timer *timer;
    aloop_future *task = aloop_spawn(loop, look_up, NULL);
    ssize_t error = 0, status;
    bool is_watched;

    torture_keep(&error, aloop_tcp_listen(loop, "127.0.0.1", "80", on_stream,
                                          NULL, &listener));
    torture_keep(&error,
                 aloop_timer_start(loop, MS, MS, on_tick, &tick_watch, &timer));
    status = aloop_signal_start(loop, SIGUSR1, on_signal, &signal_watches[0],
                                &watch);
    is_watched = status == 0;
    torture_keep(&error, status);
    torture_keep(&error, aloop_step(loop, 0));
    torture_keep(&error, set_up_parent(loop, &stream));
    fork_and_raise(loop, &signal_watches[0], is_watched);
    status = aloop_after_fork(loop);
    if (status < 0) {
        torture_expect(aloop_step(loop, 0) == ALOOP_EPERM,
                       "a loop runs without aloop_after_fork()");
        torture_leave_objects(); /* Nothing will run that could drop them. */
        aloop_future_unref(task);
        return status;
    }
    sim_connect(80);
    torture_keep(&error, aloop_step(loop, 0));
    torture_keep(&error, torture_await(task, 10));
    torture_expect(!is_watched || error < 0 || signal_watches[0].calls == 1,
                   "a signal of the child is lost");
    if (is_watched)
        aloop_signal_close(watch);
    aloop_stream_close(stream);
    aloop_listener_close(listener);
    torture_keep(&error, aloop_run(loop));
    return error;
}
