/* aloop/tty.h: the size of a terminal, and raw mode.
 *
 * Raw mode is a state of the terminal and not of a stream.  All streams of the
 * process that need it are in one list, whatever their loops and threads are:
 *
 *     first stream of a terminal    remembers the mode, makes it raw
 *     further ones                  copy the mode that the first one remembers
 *     the last one leaves           restores the mode
 *     aloop_tty_reset()             restores the modes, keeps the list
 *
 * The list and the modes change only under the signal lock.  All signals of its
 * holder are blocked, so that a handler can take the lock, too.  A stream is in
 * the list before it changes the mode, so that a handler can always restore
 * it. */

#include "aloop/tty.h"

#include <errno.h>

#include "loop/debug.h"
#include "os/sys.h"
#include "stream/terminal.h"

/* All streams that need raw mode.  A list that was never used is zeroed. */
static struct aloop__node raw_terminals;

static struct aloop__terminal *terminal_of(struct aloop__node *node)
{
    return CONTAINER_OF(node, struct aloop__terminal, raw);
}

/* Returns why the functions of this file cannot use the stream, or 0. */
static int check_terminal(const aloop_stream *stream, const char *function)
{
    int error = aloop__check_handle(stream, function);

    if (error < 0)
        return error;
    if (!aloop__is_terminal(stream))
        return ALOOP_ENOTTY;
    return stream->io.fd < 0 ? ALOOP_EBADF : 0;
}

/* The size. */

/* The results are stored only after the last call that may fail. */
int aloop_tty_size(const aloop_stream *stream, unsigned *ret_columns,
                   unsigned *ret_rows)
{
    int error = check_terminal(stream, __func__);
    struct sys_tty_size size = {0};

    if (error == 0 && (ret_columns == NULL || ret_rows == NULL))
        error = ALOOP_EINVAL;
    if (error == 0)
        error = aloop__sys_tty_size(stream->io.fd, &size);
    if (error < 0)
        return error;
    *ret_columns = size.columns;
    *ret_rows = size.rows;
    return 0;
}

/* The signal may have another cause, and several changes may be over.  A closed
 * stream that lingers has its watch until it ends. */
static void size_signalled(aloop_signal *watch, int number, void *arg)
{
    struct aloop__terminal *terminal = arg;
    aloop_stream *stream = terminal->stream;
    struct sys_tty_size size = {0};

    (void) watch;
    (void) number;
    if (aloop__handle_is_ended(&stream->handle) || stream->io.fd < 0 ||
        aloop__sys_tty_size(stream->io.fd, &size) < 0 ||
        (size.columns == terminal->size.columns &&
         size.rows == terminal->size.rows))
        return;
    terminal->size = size;
    terminal->on_resize(stream, size.columns, size.rows, terminal->arg);
}

/* Ends the calls about the size.  aloop_free() closes all watches itself,
 * perhaps before the streams; then the pointer may be that of freed memory. */
static void end_resize(struct aloop__terminal *terminal)
{
    if (terminal->watch != NULL && !terminal->stream->handle.loop->is_dying)
        aloop_signal_close(terminal->watch);
    terminal->watch = NULL;
}

/* Remembers the present size, with which the first signal compares, and watches
 * the signal.  A watch alone should not keep the loop alive. */
static int begin_resize(struct aloop__terminal *terminal)
{
    aloop_stream *stream = terminal->stream;
    int error = aloop__sys_tty_size(stream->io.fd, &terminal->size);

    if (error == 0)
        error = aloop_signal_start(stream->handle.loop,
                                   aloop__sys_tty_size_signal(), size_signalled,
                                   terminal, &terminal->watch);
    if (error == 0)
        aloop_signal_unref(terminal->watch);
    return error;
}

/* To end the calls makes no state for a stream that never had one.  The
 * callback is stored last, so that an error leaves the previous one. */
int aloop_tty_on_resize(aloop_stream *stream, aloop_tty_cb on_resize, void *arg)
{
    int error = check_terminal(stream, __func__);
    struct aloop__terminal *terminal;

    if (error < 0)
        return error;
    terminal = on_resize != NULL ? aloop__terminal_get(stream)
                                 : aloop__terminal_state(stream);
    if (terminal == NULL)
        return on_resize != NULL ? ALOOP_ENOMEM : 0;
    if (on_resize == NULL)
        end_resize(terminal);
    else if (terminal->watch == NULL)
        error = begin_resize(terminal);
    if (error < 0)
        return error;
    terminal->on_resize = on_resize;
    terminal->arg = arg;
    return 0;
}

/* Raw mode: functions that are called inside the lock. */

/* Returns another stream of this process that needs raw mode on the same
 * terminal, or NULL.  A terminal is compared by its device, because several
 * descriptors may be of one.  A forked child has copies of the entries of its
 * parent, which it does not count: the parent is responsible for them. */
static struct aloop__terminal *find_partner(
    const struct aloop__terminal *terminal)
{
    struct aloop__node *node = raw_terminals.next;

    for (; node != &raw_terminals; node = node->next) {
        struct aloop__terminal *other = terminal_of(node);

        if (other != terminal && other->device == terminal->device &&
            other->process == terminal->process)
            return other;
    }
    return NULL;
}

/* Derives the raw mode from the mode before it, and not from the present one,
 * which a shell may have changed while the process was stopped. */
static int set_raw_mode(const struct aloop__terminal *terminal)
{
    struct sys_tty_mode mode = terminal->before;

    aloop__sys_tty_make_raw(&mode);
    return aloop__sys_tty_set_mode(terminal->raw_fd, &mode);
}

/* Removes a stream from the list, and restores the mode if it was the last one
 * of its terminal.  A failure is ignored: a terminal that has hung up has no
 * mode to restore. */
static void unlist_terminal(struct aloop__terminal *terminal)
{
    list_remove(&terminal->raw);
    if (terminal->process == aloop__sys_process_id() &&
        find_partner(terminal) == NULL)
        (void) aloop__sys_tty_set_mode(terminal->raw_fd, &terminal->before);
}

/* Adds a stream to the list and sets the mode.  After an error it is not in the
 * list.  The present mode of a terminal that is raw already is not the one to
 * restore, so that the first stream's is copied. */
static int enlist_terminal(struct aloop__terminal *terminal)
{
    const struct aloop__terminal *partner;
    int error = 0;

    if (raw_terminals.next == NULL)
        list_init(&raw_terminals);
    terminal->process = aloop__sys_process_id();
    partner = find_partner(terminal);
    if (partner != NULL)
        terminal->before = partner->before;
    else
        error = aloop__sys_tty_mode(terminal->raw_fd, &terminal->before);
    if (error < 0)
        return error;
    list_push(&raw_terminals, &terminal->raw);
    error = set_raw_mode(terminal);
    if (error < 0)
        list_remove(&terminal->raw);
    return error;
}

/* Raw mode: functions that take the lock. */

/* The descriptor is closed after the stream has left the list, because a
 * handler restores modes by the descriptors of the list. */
static void end_raw(struct aloop__terminal *terminal)
{
    if (terminal->raw_fd < 0)
        return;
    aloop__sys_signal_lock();
    unlist_terminal(terminal);
    aloop__sys_signal_unlock();
    aloop__sys_close(terminal->raw_fd);
    terminal->raw_fd = -1;
}

/* The duplicate outlives a descriptor that other code closes or detaches, so
 * that the mode can still be restored.  The master of a pseudo-terminal is
 * refused, because its mode is that of the other end, which other programs
 * use. */
static int begin_raw(struct aloop__terminal *terminal)
{
    int fd = terminal->stream->io.fd;
    int error = aloop__sys_tty_is_master(fd)
                    ? ALOOP_ENOTSUP
                    : aloop__sys_tty_device(fd, &terminal->device);

    if (error < 0)
        return error;
    fd = aloop__sys_duplicate(fd);
    if (fd < 0)
        return fd;
    terminal->raw_fd = fd;
    aloop__sys_signal_lock();
    error = enlist_terminal(terminal);
    aloop__sys_signal_unlock();
    if (error == 0)
        return 0;
    terminal->raw_fd = -1;
    aloop__sys_close(fd);
    return error;
}

/* For a stream that is in the list: sets the mode again, after the process was
 * stopped and continued. */
static int renew_raw(struct aloop__terminal *terminal)
{
    int error;

    aloop__sys_signal_lock();
    error = set_raw_mode(terminal);
    aloop__sys_signal_unlock();
    return error;
}

/* A forked child that uses a stream of its parent begins with what the parent
 * has remembered, which is dropped without a change of the terminal.  end_raw()
 * does this, and has no effect on a stream that is not in the list. */
int aloop_tty_set_raw(aloop_stream *stream, bool is_raw)
{
    int error = check_terminal(stream, __func__);
    struct aloop__terminal *terminal;

    if (error < 0)
        return error;
    terminal = is_raw ? aloop__terminal_get(stream)
                      : aloop__terminal_state(stream);
    if (terminal == NULL)
        return is_raw ? ALOOP_ENOMEM : 0;
    if (is_raw && terminal->raw_fd >= 0 &&
        terminal->process == aloop__sys_process_id())
        return renew_raw(terminal);
    end_raw(terminal);
    return is_raw ? begin_raw(terminal) : 0;
}

/* Called when the stream ends or is detached, before its descriptor is given
 * away or closed. */
void aloop__terminal_leave(struct aloop__terminal *terminal)
{
    end_resize(terminal);
    end_raw(terminal);
}

/* Called in handlers, too, which must not change errno.  The streams stay in
 * the list, because the program may continue, and a second call is harmless. */
void aloop_tty_reset(void)
{
    int error = errno;
    struct aloop__node *node;

    aloop__sys_signal_lock();
    if (raw_terminals.next == NULL)
        list_init(&raw_terminals);
    for (node = raw_terminals.next; node != &raw_terminals; node = node->next)
        if (terminal_of(node)->process == aloop__sys_process_id())
            (void) aloop__sys_tty_set_mode(terminal_of(node)->raw_fd,
                                           &terminal_of(node)->before);
    aloop__sys_signal_unlock();
    errno = error;
}
