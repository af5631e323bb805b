/* Unix sockets through which descriptors are passed.
 *
 * A parcel is the reading end of a pipe or a pair that has a text.  It is sent
 * through a line, taken there, and then read to its end, sent on through
 * another line, or closed.  Between them there is plain text.  Lines change how
 * many descriptors they accept, are detached and adopted, and may end early.
 *
 * Parcels arrive in order and once, no later than their bytes; only a line that
 * accepts too few of them loses some.  Each has the text of the parcel that was
 * sent.  In the end no descriptor is open. */

#include "world.h"

#include <string.h>

#include "os/sys_stream.h"

enum {
    LINES = 3,
    PARCELS_MAX = 40,
    PER_LINE_MAX = 700,
    PARCEL_MIN = 8, /* Enough to know it by its text. */
    PARCEL_MAX = 500,
    TEXT_MAX = 6000,
    READ_MAX = 2000,
    MANY = 300 /* More than one message takes. */
};

struct parcel {
    unsigned id; /* Of its text. */
    size_t size;
};

/* A descriptor that was taken, and the stream that reads it. */
struct opened {
    struct line *line;
    aloop_stream *stream;
    size_t first, last; /* What it may be: places in line->sent. */
    char bytes[PARCEL_MAX + 1];
};

struct line {
    aloop_stream *in, *out; /* What writes and what reads it, or NULL. */
    unsigned id;
    char *text;
    size_t total, put, got;
    /* What was sent; NULL: an empty one. */
    const struct parcel *sent[PER_LINE_MAX];
    size_t at[PER_LINE_MAX]; /* The byte that it was sent with. */
    size_t sent_count;
    size_t taken;  /* Those before are not expected any more. */
    bool may_drop; /* It may lose some. */
    size_t accepted;
    aloop_future *reading;
    char bytes[READ_MAX];
    bool is_shut, is_harmed, is_over;
};

static struct {
    struct line *lines[LINES];
    struct parcel parcels[PARCELS_MAX];
    size_t parcel_count, parcels_wanted;
    size_t open;     /* Streams that read parcels. */
    unsigned before; /* Descriptors that were open at first. */
    aloop_timer *heart;
} w;

static bool may_fail(const struct line *line)
{
    return may_break() || line->is_harmed;
}

static void close_fd(int fd)
{
    CHECK(aloop__sys_close(fd) == 0 || may_break());
}

static void close_line(struct line *line)
{
    if (line->is_over)
        return;
    line->is_over = true;
    if (chance(50))
        aloop_stream_close(line->in);
    else
        aloop_stream_abort(line->in);
    if (chance(50))
        aloop_stream_close(line->out);
    else
        aloop_stream_abort(line->out);
    line->in = line->out = NULL;
    if (line->reading != NULL) {
        CHECK(aloop_future_is_settled(line->reading));
        unfollow(line);
        aloop_future_unref(line->reading);
        line->reading = NULL;
    }
}

static void fail(struct line *line)
{
    CHECK(may_fail(line));
    line->is_harmed = true;
    close_line(line);
}

/* Sending. */

/* Makes a parcel.  Returns its descriptor, or an error. */
static int new_parcel(const struct parcel **ret)
{
    struct parcel *parcel = &w.parcels[w.parcel_count];
    aloop_stream *reader = NULL, *writer = NULL;
    char text[PARCEL_MAX];
    int result = chance(50) ? aloop_pipe_open(run.loop, &reader, &writer)
                            : aloop_stream_pair(run.loop, &reader, &writer);

    CHECK(result == 0 || may_break());
    if (result < 0)
        return result;
    *parcel = (struct parcel){.id = 100 + (unsigned) w.parcel_count,
                              .size = between(PARCEL_MIN, PARCEL_MAX)};
    text_fill(parcel->id, 0, text, parcel->size);
    result = aloop_stream_put(writer, text, parcel->size);
    CHECK(result >= 0 || may_break());
    aloop_stream_close(writer);
    if (result >= 0)
        result = aloop_stream_detach(reader, NULL, NULL);
    CHECK(result >= 0 || may_break());
    if (result < 0) {
        aloop_stream_close(reader);
        return result;
    }
    w.parcel_count++;
    *ret = parcel;
    return result;
}

static void note_sent(struct line *line, const struct parcel *parcel, size_t at)
{
    line->sent[line->sent_count] = parcel;
    line->at[line->sent_count++] = at;
}

static size_t any_size(const struct line *line)
{
    size_t left = line->total - line->put;

    return between(1, left < 900 ? left : 900);
}

/* Sends descriptors with the next bytes, and closes them. */
static void pass(struct line *line, const struct parcel *const *parcels,
                 const int *fds, size_t count)
{
    size_t size = any_size(line);
    int result;

    if (size < 2 && count > SYS_FDS_MAX)
        size = 2;
    result = aloop_stream_put_fds(line->in, line->text + line->put, size, fds,
                                  count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || fds[i] != fds[0])
            close_fd(fds[i]);
        if (result >= 0)
            note_sent(line, parcels != NULL ? parcels[i] : NULL,
                      line->put + i / SYS_FDS_MAX);
    }
    if (result >= 0) {
        line->put += size;
        return;
    }
    CHECK(may_break());
    if (result != ALOOP_ENOMEM && result != ALOOP_EMFILE)
        fail(line);
}

static bool can_pass(const struct line *line)
{
    return line->in != NULL && !line->is_shut && line->put + 1 < line->total &&
           line->sent_count + MANY < PER_LINE_MAX;
}

static void act_pass(struct line *line)
{
    const struct parcel *parcels[3];
    int fds[3];
    size_t count = 0;

    for (size_t i = between(1, 3); i > 0; i--) {
        if (!can_pass(line) || w.parcel_count == w.parcels_wanted)
            break;
        fds[count] = new_parcel(&parcels[count]);
        if (fds[count] < 0)
            break;
        count++;
    }
    if (count > 0)
        pass(line, parcels, fds, count);
}

/* They are the same file, and have no text. */
static void act_pass_many(struct line *line)
{
    int fds[MANY];
    size_t count = chance(10) ? MANY : between(1, 5);

    if (!can_pass(line) || line->may_drop || chance(80))
        return;
    fds[0] = sim_file();
    CHECK(fds[0] >= 0);
    for (size_t i = 1; i < count; i++)
        fds[i] = fds[0];
    pass(line, NULL, fds, count);
}

static void act_put(struct line *line)
{
    size_t size;
    int result;

    if (line->in == NULL || line->is_shut)
        return;
    if (line->put == line->total) {
        line->is_shut = true;
        aloop_detach(aloop_stream_shutdown(line->in));
        return;
    }
    size = any_size(line);
    result = aloop_stream_put(line->in, line->text + line->put, size);
    if (result >= 0)
        line->put += size;
    else if (result != ALOOP_ENOMEM || run.weather != STARVED || chance(30))
        fail(line);
}

/* Parcels that were taken. */

static void end_parcel(struct opened *opened)
{
    aloop_stream_close(opened->stream);
    opened->stream = NULL;
    w.open--;
}

/* Finds out which parcel it is, because those of a line that drops are only
 * known by their texts. */
static void check_parcel(const struct opened *opened, size_t size)
{
    struct line *line = opened->line;

    for (size_t i = opened->first; i < opened->last; i++) {
        const struct parcel *parcel = line->sent[i];

        if (parcel == NULL || size > parcel->size ||
            !text_matches(parcel->id, 0, opened->bytes, size))
            continue;
        CHECK(size == parcel->size || may_break());
        return;
    }
    CHECK(size < PARCEL_MIN && may_break());
}

static void on_parcel_read(struct follow *follow, ssize_t status)
{
    struct opened *opened = follow->arg;

    if (run.is_freeing)
        return;
    CHECK(status >= 0 || may_break());
    if (status >= 0)
        check_parcel(opened, (size_t) status);
    end_parcel(opened);
}

static void open_parcel(struct line *line, int fd, size_t first, size_t last)
{
    struct opened *opened = keep(sizeof *opened);
    int result = aloop_stream_open(run.loop, fd, &opened->stream);

    CHECK(result == 0 || may_break());
    if (result < 0) {
        close_fd(fd);
        return;
    }
    opened->line = line;
    opened->first = first;
    opened->last = last;
    w.open++;
    follow(aloop_stream_read_to_end(opened->stream, opened->bytes,
                                    sizeof opened->bytes),
           on_parcel_read, opened);
}

/* One is passed on if it is known which it is. */
static void use(struct line *line, int fd)
{
    struct line *next = w.lines[sim_random(LINES)];
    const struct parcel *parcel = line->may_drop ? NULL
                                                 : line->sent[line->taken];
    size_t first = line->taken;

    CHECK(first < line->sent_count);
    line->taken += !line->may_drop;
    if (parcel != NULL && can_pass(next) && chance(40))
        pass(next, &parcel, &fd, 1);
    else if ((line->may_drop || parcel != NULL) && chance(80))
        open_parcel(line, fd, first,
                    line->may_drop ? line->sent_count : line->taken);
    else
        close_fd(fd);
}

/* Returns whether there was one. */
static bool take_one(struct line *line)
{
    int fd = aloop_stream_take_fd(line->out);

    if (fd >= 0) {
        use(line, fd);
        return true;
    }
    CHECK(fd == ALOOP_EAGAIN || (fd == ALOOP_EMFILE && may_break()));
    return false;
}

static void act_take(struct line *line)
{
    size_t count = 0;

    if (line->out == NULL)
        return;
    while (line->out != NULL && (count == 0 || chance(80)) && take_one(line))
        count++;
    CHECK(count <= line->accepted);
}

/* Reading. */

/* What was sent with the bytes before `got` must be there. */
static void check_arrived(struct line *line)
{
    while (!line->may_drop && line->out != NULL &&
           line->taken < line->sent_count && line->at[line->taken] < line->got)
        CHECK(take_one(line) || line->out == NULL);
}

static void consume(struct line *line, const void *data, size_t size)
{
    CHECK(line->got + size <= line->put);
    CHECK(text_matches(line->id, line->got, data, size));
    line->got += size;
    if (chance(50))
        check_arrived(line);
}

static void on_read(struct follow *follow, ssize_t status)
{
    struct line *line = follow->arg;
    ssize_t own;

    if (run.is_freeing)
        return;
    CHECK(!line->is_over);
    own = aloop_future_status(line->reading);
    status = own == ALOOP_PENDING ? ALOOP_ECANCELED : own;
    aloop_future_unref(line->reading);
    line->reading = NULL;
    if (status > 0)
        consume(line, line->bytes, (size_t) status);
    else if (status == 0) {
        CHECK(may_fail(line) || (line->is_shut && line->got == line->put));
        check_arrived(line);
        close_line(line);
    } else if (status != ALOOP_ECANCELED)
        fail(line);
}

static void act_read(struct line *line)
{
    if (line->out == NULL || line->reading != NULL)
        return;
    line->reading =
        aloop_stream_read(line->out, line->bytes, between(1, READ_MAX));
    CHECK(line->reading != NULL || run.weather == STARVED);
    if (line->reading != NULL)
        follow(aloop_future_ref(line->reading), on_read, line);
}

static void act_cancel(struct line *line)
{
    if (line->reading != NULL && !aloop_future_is_settled(line->reading))
        aloop_cancel(line->reading);
}

/* Changing. */

static void accept_fds(struct line *line, size_t count_max)
{
    int result = aloop_stream_set_fds_max(line->out, count_max);

    CHECK(result == 0 || (result == ALOOP_ENOMEM && run.weather == STARVED));
    if (result == 0)
        line->accepted = count_max;
}

static void act_accept(struct line *line)
{
    if (line->out != NULL)
        accept_fds(line, line->may_drop ? between(0, 4)
                                        : between(PER_LINE_MAX, 1000));
}

/* The reading end becomes another stream.  It refuses that while descriptors
 * wait there. */
static void act_move(struct line *line)
{
    size_t size = 0;
    void *data = NULL;
    int fd, result;

    if (line->out == NULL || line->reading != NULL || chance(70))
        return;
    fd = aloop_stream_detach(line->out, &data, &size);
    if (fd == ALOOP_EBUSY) {
        CHECK(take_one(line));
        return;
    }
    CHECK(fd >= 0 || may_break());
    if (fd < 0)
        return;
    line->out = NULL;
    result = aloop_stream_open(run.loop, fd, &line->out);
    if (result == 0) {
        line->accepted = 0;
        accept_fds(line, line->may_drop ? between(0, 4) : PER_LINE_MAX);
        if (line->accepted == 0)
            line->may_drop = true;
        result = aloop_stream_unread(line->out, data, size);
    } else
        close_fd(fd);
    aloop_data_free(run.loop, data);
    if (result < 0)
        fail(line);
}

static void act_harm(struct line *line)
{
    if (!chance(2) || !chance(20))
        return;
    line->is_harmed = true;
    if (chance(50) || line->in == NULL) {
        close_line(line);
        return;
    }
    aloop_stream_abort(line->in);
    line->in = NULL;
}

/* The descriptors that may be open are few for a while. */
static void act_limit(struct line *line)
{
    (void) line;
    if (may_break() && !run.is_quiet)
        sim_descriptors_max(
            chance(70) ? 0 : sim_descriptors_open() + (unsigned) between(0, 3));
}

/* The world. */

static void act(struct line *line)
{
    static void (*const acts[])(struct line * line) = {
        act_put,  act_put,    act_pass,   act_pass, act_pass_many,
        act_read, act_read,   act_read,   act_read, act_take,
        act_move, act_accept, act_cancel, act_harm, act_limit};

    acts[sim_random(sizeof acts / sizeof acts[0])](line);
}

static void on_heart(aloop_timer *timer, void *arg)
{
    static const struct fault faults[] = {
        {"aloop__sys_duplicate", -EMFILE},
        {"aloop__sys_send_fds", -EPIPE},
        {"aloop__sys_send_fds", -ETOOMANYREFS},
        {"aloop__sys_send_fds", -EAGAIN},
        {"aloop__sys_recv_fds", -ECONNRESET},
        {"aloop__sys_recv_fds", -EAGAIN},
        {"aloop__sys_pipe", -EMFILE},
        {"aloop__sys_socket_pair", -ENFILE},
        {"aloop__sys_examine", -EIO},
        {"aloop__sys_pipe_write", -EPIPE},
        {"aloop__sys_read", -EIO},
    };

    (void) timer;
    (void) arg;
    inject(faults, sizeof faults / sizeof faults[0]);
    for (size_t i = 0; i < LINES; i++)
        for (size_t k = between(1, 4); k > 0 && !w.lines[i]->is_over; k--)
            act(w.lines[i]);
}

static void start_line(size_t i)
{
    struct line *line = keep(sizeof *line);

    w.lines[i] = line;
    line->id = (unsigned) i;
    line->total = between(2, TEXT_MAX);
    line->text = keep(line->total);
    line->may_drop = chance(40) || may_break();
    text_fill(line->id, 0, line->text, line->total);
    if (aloop_stream_pair(run.loop, &line->in, &line->out) < 0) {
        CHECK(may_break());
        line->is_over = true;
        return;
    }
    accept_fds(line, line->may_drop ? between(0, 4) : PER_LINE_MAX);
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    w.before = sim_descriptors_open();
    w.parcels_wanted = between(1, PARCELS_MAX);
    for (size_t i = 0; i < LINES; i++)
        start_line(i);
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(10, 2000)), on_heart,
                            NULL, &w.heart) == 0);
}

static bool is_done(void)
{
    for (size_t i = 0; i < LINES; i++)
        if (!w.lines[i]->is_over)
            return false;
    if (w.open > 0)
        return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    sim_descriptors_max(0);
    for (size_t i = 0; i < LINES; i++)
        close_line(w.lines[i]);
}

static void check(void)
{
    CHECK(sim_descriptors_open() == w.before);
}

const struct world world_passing = {"passing",   start, is_done,
                                    close_world, check, NULL};
