/* Descriptors of the application: polls of a socket and of a regular file, and
 * waits. */

#include "torture.h"

enum { POLLS = 3, BYTES = 3 };

/* A poll, which closes itself after watch.calls_max calls. */
struct polled {
    struct torture_watch watch;
    aloop_poll *poll;
    bool is_started;
};

static struct polled polls[POLLS];
static int poll_fds[2], bytes_left;

static void on_ready(aloop_poll *poll, unsigned events, void *arg)
{
    struct polled *polled = arg;
    char byte;

    torture_expect(events != 0, "a poll reports nothing");
    torture_called(&polled->watch);
    if (polled == &polls[0] && (events & ALOOP_POLL_READABLE) != 0)
        aloop__sys_recv(aloop_poll_fd(poll), &byte, 1);
    if (polled->watch.calls < polled->watch.calls_max)
        return;
    polled->watch.is_closed = true;
    aloop_poll_close(poll);
}

/* Sends the next byte.  In some worlds only one byte fits into the buffer. */
static void send_byte(void *arg)
{
    ssize_t status = aloop__sys_send(poll_fds[1], "x", 1);

    if (status == 1)
        bytes_left--;
    else if (status != ALOOP_EAGAIN)
        torture_keep(arg, status);
    if (bytes_left > 0 && (status == 1 || status == ALOOP_EAGAIN))
        sim_at(MS, send_byte, arg);
}

static int start(aloop *loop, struct polled *polled, int fd, unsigned events)
{
    int status;

    polled->poll = NULL;
    status =
        aloop_poll_start(loop, fd, events, on_ready, polled, &polled->poll);
    polled->watch = (struct torture_watch){"a closed poll runs", 0, BYTES, 0};
    polled->is_started = status == 0;
    torture_expect((status == 0) == (polled->poll != NULL),
                   "a failed start writes its result, or a good one does not");
    return status;
}

/* The polls that have not closed themselves, because of a failure. */
static void close_polls(void)
{
    for (int i = 0; i < POLLS; i++) {
        if (polls[i].is_started && !polls[i].watch.is_closed)
            aloop_poll_close(polls[i].poll);
        polls[i].watch.is_closed = true;
    }
}

/* A poll that is not referenced is called like any other. */
static void unreference(int i)
{
    if (!polls[i].is_started)
        return;
    aloop_poll_unref(polls[i].poll);
    aloop_poll_unref(polls[i].poll);
}

/* A poll alone keeps the loop alive while it is referenced. */
static ssize_t refer(aloop *loop)
{
    bool was_alive = aloop_alive(loop);
    int status = start(loop, &polls[0], poll_fds[0], ALOOP_POLL_WRITABLE);
    aloop_poll *poll = polls[0].poll;

    if (status < 0)
        return status;
    torture_expect(aloop_alive(loop), "a poll does not keep the loop alive");
    aloop_poll_unref(poll);
    torture_expect(aloop_alive(loop) == was_alive,
                   "a poll without a reference keeps the loop alive");
    aloop_poll_ref(poll);
    torture_expect(aloop_alive(loop), "a reference has no effect");
    return 0;
}

ssize_t torture_polls(aloop *loop)
{
    int file = sim_file(), status;
    ssize_t error = 0;

    torture_keep(&error, sim_pair(poll_fds));
    torture_keep(&error,
                 start(loop, &polls[0], poll_fds[0], ALOOP_POLL_READABLE));
    torture_keep(&error, start(loop, &polls[1], poll_fds[0], 0));
    torture_keep(&error, start(loop, &polls[2], file, ALOOP_POLL_WRITABLE));
    if (polls[1].is_started)
        torture_keep(&error,
                     aloop_poll_set_events(polls[1].poll, ALOOP_POLL_WRITABLE));
    unreference(0);
    unreference(2);
    bytes_left = BYTES;
    sim_at(MS, send_byte, &error);
    status = (int) torture_await(
        aloop_poll_wait(loop, poll_fds[0], ALOOP_POLL_READABLE), 5);
    torture_expect(status < 0 || (status & ALOOP_POLL_READABLE) != 0,
                   "a wait ends without its event");
    torture_keep(&error, status);
    torture_keep(&error, torture_pass(loop, 30 * MS));
    if (error == 0)
        for (int i = 0; i < POLLS; i++)
            torture_expect(polls[i].watch.calls == BYTES, "a poll is silent");
    close_polls();
    torture_keep(&error, aloop_run(loop));
    torture_keep(&error, refer(loop));
    close_polls();
    aloop__sys_close(poll_fds[0]);
    aloop__sys_close(poll_fds[1]);
    aloop__sys_close(file);
    return error;
}
