/* Torture: terminals, and the standard output. */

#include <string.h>

#include "simulator/sim_file.h"
#include "simulator/sim_tty.h"
#include "torture.h"

static void tty_resized(aloop_stream *stream, unsigned columns, unsigned rows,
                        void *arg)
{
    (void) stream;
    (void) columns;
    (void) rows;
    (void) arg;
}

/* Reads a line that it cannot read before it is in the foreground, and
 * writes. */
static void use_terminal(aloop *loop, ssize_t *error, struct sim_tty *tty,
                         aloop_stream *stream)
{
    static char buffer[8];
    aloop_future *read;

    sim_tty_background(tty, true, true);
    sim_tty_type(tty, "a\n");
    read = aloop_stream_read(stream, buffer, sizeof buffer);
    torture_keep(error, aloop_stream_put(stream, "b", 1));
    torture_keep(error, torture_pass(loop, 10 * MS));
    sim_tty_background(tty, false, false);
    torture_keep(error, torture_await(read, 2));
    torture_keep(error, torture_await(aloop_stream_drain(stream), 0));
}

ssize_t torture_tty(aloop *loop)
{
    static aloop_stream *stream;
    struct sim_tty *tty;
    ssize_t error = 0;
    int fd;

    stream = NULL;
    tty = sim_tty_open(&fd);
    torture_keep(&error, fd < 0 ? fd : aloop_stream_open(loop, fd, &stream));
    if (stream == NULL) {
        if (fd >= 0)
            aloop__sys_close(fd);
        return error;
    }
    torture_keep(&error, aloop_tty_on_resize(stream, tty_resized, NULL));
    torture_keep(&error, aloop_tty_set_raw(stream, true));
    if (error == 0)
        use_terminal(loop, &error, tty, stream);
    sim_tty_resize(tty, 10, 10);
    torture_keep(&error, torture_pass(loop, 10 * MS));
    aloop_stream_close(stream);
    torture_keep(&error, torture_pass(loop, 10 * MS));
    torture_expect(!sim_tty_is_raw(tty) || !torture_is_rehearsal(),
                   "the terminal stays raw");
    return error;
}

/* Writes to a pipe that other programs share. */
ssize_t torture_stdio(aloop *loop)
{
    static aloop_stream *stream;
    char text[8] = "";
    ssize_t error = 0;

    stream = NULL;
    sim_standard_output(1, NULL);
    torture_keep(&error, aloop_stdio_open(loop, 1, &stream));
    torture_expect((error == 0) == (stream != NULL),
                   "a failed open writes its result, or a good one does not");
    if (stream == NULL)
        return error;
    torture_expect(aloop_stream_fd(stream) > 2, "the standard output is used");
    torture_keep(&error, torture_await(aloop_stream_write(stream, "ab", 2), 5));
    if (error >= 0)
        torture_expect(sim_standard_read(1, text, sizeof text) == 2 &&
                           memcmp(text, "ab", 2) == 0,
                       "the standard output gets other bytes");
    aloop_stream_close(stream);
    return error;
}
