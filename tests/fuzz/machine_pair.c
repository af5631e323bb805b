/* Pairs, pipes, descriptors that are passed, and streams that are made again of
 * their descriptors, in the state machine.
 *
 * The descriptors of one direction arrive in order, each is the one that was
 * passed, and none is left at the end. */

#include "machine_stream.h"

#include <string.h>

#include "simulator/sim_world.h"

enum { PASSED_MAX = 24, PASSED_AT_ONCE = 3 };

/* A descriptor on its way to the peer of `from`. */
static struct passed {
    const struct end *from;
    const struct sim_file *file;
    bool is_gone; /* It arrived, or one after it. */
} passed[PASSED_MAX];

static unsigned passed_count;

void pairs_begin(void)
{
    passed_count = 0;
}

static void act_pair(void)
{
    bool is_pipe = any_bit();
    struct end *ends = &s.ends[s.end_count];
    aloop_stream *streams[2] = {NULL, NULL};
    int result;

    if (!can_connect())
        return;
    m.is_exact = false;
    say(is_pipe ? "a pipe" : "a pair");
    arm();
    result = is_pipe ? aloop_pipe_open(w.loop, &streams[0], &streams[1])
                     : aloop_stream_pair(w.loop, &streams[0], &streams[1]);
    if (disarm() && result < 0) {
        FUZZ_CHECK(result == ALOOP_ENOMEM && streams[0] == NULL);
        return;
    }
    FUZZ_CHECK(result == 0);
    memset(ends, 0, 2 * sizeof *ends);
    for (int i = 0; i < 2; i++) {
        ends[i].stream = streams[i];
        ends[i].has_no_reset = true;
        ends[i].can_pass_fds = !is_pipe;
    }
    ends[0].is_shut = is_pipe;
    s.end_count += 2;
}

/* Passing descriptors. */

static void act_put_fds(void)
{
    struct end *end = any_end();
    size_t count = 1 + any_below(PASSED_AT_ONCE), size = any_size() + count;
    char buffer[SIZE_LARGEST + PASSED_AT_ONCE];
    int fds[PASSED_AT_ONCE], result;

    if (end == NULL || end->piece_count == PIECES_MAX || end->fed_by != NULL ||
        passed_count + count > PASSED_MAX)
        return;
    for (size_t i = 0; i < count; i++) {
        fds[i] = sim_file();
        FUZZ_CHECK(fds[i] >= 0);
    }
    new_piece(end, buffer, size);
    arm();
    result = aloop_stream_put_fds(end->stream, buffer, size, fds, count);
    say("put %zu descriptors at end %d: %d", count, (int) (end - s.ends),
        result);
    if (!disarm())
        FUZZ_CHECK(result == 0 || result == 1 || is_breakage(result) ||
                   (result == ALOOP_ENOTSUP &&
                    (!end->can_pass_fds || end->filter_count > 0)));
    end->has_fds = end->has_fds || result >= 0;
    for (size_t i = 0; i < count; i++) {
        if (result >= 0)
            passed[passed_count++] =
                (struct passed){end, sim__file(fds[i]), false};
        FUZZ_CHECK(aloop__sys_close(fds[i]) == 0);
    }
    if (result < 0)
        end->piece_count--;
}

/* Those before it may have been closed, because there was no room for them. */
static void check_fd(const struct end *writer, int fd)
{
    const struct sim_file *file = sim__file(fd);
    unsigned i = 0;

    while (i < passed_count && (passed[i].from != writer || passed[i].is_gone ||
                                passed[i].file != file))
        i++;
    FUZZ_CHECK(i < passed_count);
    for (unsigned k = 0; k <= i; k++)
        passed[k].is_gone = passed[k].is_gone || passed[k].from == writer;
}

static void act_take_fds(void)
{
    struct end *end = any_end();
    bool has_filter;
    int fd;

    if (end == NULL)
        return;
    has_filter = end->filter_count > 0;
    say("take descriptors of end %d", (int) (end - s.ends));
    while ((fd = aloop_stream_take_fd(end->stream)) >= 0) {
        check_fd(peer_of(end), fd);
        FUZZ_CHECK(aloop__sys_close(fd) == 0);
    }
    FUZZ_CHECK(fd == (end->can_pass_fds && !has_filter ? ALOOP_EAGAIN
                                                       : ALOOP_ENOTSUP));
}

static void act_fds_max(void)
{
    struct end *end = any_end();
    unsigned max = any_below(5);
    int result;

    if (end == NULL)
        return;
    arm();
    result = aloop_stream_set_fds_max(end->stream, max);
    say("at most %u descriptors at end %d: %d", max, (int) (end - s.ends),
        result);
    if (!disarm())
        FUZZ_CHECK(
            result ==
            (end->can_pass_fds && end->filter_count == 0 ? 0 : ALOOP_ENOTSUP));
    end->has_fds = true;
}

/* Making a stream again. */

/* Returns whether everything that was written is with the system, and nothing
 * reads, so that the stream may end without a trace. */
static bool is_at_rest(struct end *end)
{
    for (unsigned i = 0; i < s.io_count; i++)
        if (s.ios[i].end == end && !s.ios[i].has_ended)
            return false;
    return !end->is_shut && end->pipe == NULL && end->fed_by == NULL &&
           !end->has_reader && end != s.current &&
           aloop_stream_put(end->stream, NULL, 0) >= 0;
}

/* Gives the bytes that nothing has read to the new stream. */
static void open_again(struct end *end, int fd, void *data, size_t size)
{
    end->stream = NULL;
    end->is_started = end->is_over = end->has_fds = false;
    m.has_closed = true;
    if (aloop_stream_open(w.loop, fd, &end->stream) < 0) {
        say("  it was not connected any more");
        FUZZ_CHECK(end->stream == NULL && aloop__sys_close(fd) == 0);
        end->is_closed = end->is_cut = true;
    } else if (size > 0) {
        FUZZ_CHECK(aloop_stream_unread(end->stream, data, size) == 0);
    }
    aloop_data_free(w.loop, data);
}

static void act_detach(void)
{
    struct end *end = any_end();
    void *data = NULL;
    size_t size = 0;
    int fd;

    if (end == NULL || !is_at_rest(end))
        return;
    fd = aloop_stream_detach(end->stream, &data, &size);
    say("detach end %d: %d, with %zu bytes", (int) (end - s.ends), fd, size);
    if (fd >= 0) {
        FUZZ_CHECK(end->filter_count == 0);
        open_again(end, fd, data, size);
    } else {
        FUZZ_CHECK(data == NULL && fd == ALOOP_EBUSY);
        FUZZ_CHECK(end->filter_count > 0 || end->has_fds ||
                   aloop_stream_queued(end->stream) > 0);
    }
}

void unread_some(struct end *end, const void *data, size_t size)
{
    size_t count = any_below(4) * size / 3;
    int result;

    if (count == 0)
        return;
    result = aloop_stream_unread(end->stream,
                                 (const char *) data + size - count, count);
    say("unread %zu at end %d: %d", count, (int) (end - s.ends), result);
    FUZZ_CHECK(result == 0 || result == ALOOP_EBUSY);
    if (result == 0)
        take_back(end, count);
}

/* Puts back what the present callback was given. */
static void act_unread(void)
{
    struct end *end = s.current;

    if (end == NULL || end->stream == NULL || s.current_size == 0 ||
        end->has_reader)
        return;
    unread_some(end, s.current_data, s.current_size);
    s.current_size = 0;
}

const struct act pair_acts[] = {
    {"pair", act_pair},         {"pair", act_pair},
    {"put fds", act_put_fds},   {"put fds", act_put_fds},
    {"take fds", act_take_fds}, {"fds max", act_fds_max},
    {"detach", act_detach},     {"unread", act_unread},
};

const size_t pair_act_count = sizeof pair_acts / sizeof pair_acts[0];
