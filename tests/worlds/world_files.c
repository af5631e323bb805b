/* Files that several handles and tasks read and write at random, with cancels,
 * drops and closes in between.  Calls fail, devices fill up, threads are slow,
 * and in the end the machine may crash.
 *
 * Each operation settles once, with a status that its fate allows.  What reads
 * deliver is compared with a model (content.h), and so is the whole file when
 * nothing is in flight.  Positions move exactly as far as the operations at
 * them have read and written.  Memory that was lent is overwritten and freed
 * when its future has settled.  In the end no descriptor of a file is open. */

#include "world.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/sys.h"
#include "simulator/sim_file.h"
#include "content.h"

enum {
    CONTENTS = 2,
    OPENED_MAX = 4,
    OPS_MAX = 8, /* In flight. */
    PIECES = 3,
    ACTS_MAX = 120,
    READERS = 2
};

/* An open file.  The slot is free if it has no content. */
struct opened {
    struct content *content;
    aloop_file *file; /* NULL: not open yet. */
    bool is_append;
    bool has_dropped;     /* An operation that may still be in flight. */
    size_t low, high;     /* The position is between these. */
    unsigned at_position; /* Operations at the position. */
    unsigned started;     /* How many of them began at any time. */
    size_t ahead;         /* Bytes by which they may move it. */
};

enum kind { OPEN, READ, WRITE, STAT, TRUNCATE, SYNC, SEEK };

struct op {
    aloop_future *future; /* A reference. */
    enum kind kind;
    bool is_used;
    bool may_end; /* It was cancelled, or the file was closed. */
    bool is_at_position;
    bool was_alone;  /* At the position, when it began. */
    unsigned number; /* Among those at the position. */
    bool is_exclusive;
    struct opened *opened; /* NULL: the file was closed. */
    struct content *content;
    struct change *change;
    unsigned begun;
    size_t low, high; /* Its offset is between these. */
    int64_t target;   /* SEEK: the position that it leads to. */
    size_t size;
    unsigned char *buffer;
    struct iovec pieces[PIECES];
    aloop_stat stat;
};

static struct content contents[CONTENTS];
static struct {
    struct opened opened[OPENED_MAX];
    struct op ops[OPS_MAX];
    unsigned acts;
    bool
        is_ending_all; /* Before it closes files, which ends operations, too. */
    aloop_timer *heart;
    aloop_future *readers[READERS];
    unsigned reading;
} w;

static bool is_allowed(ssize_t error, bool may_end)
{
    return is_file_error(error, may_end) ||
           (may_break() && error == ALOOP_EFBIG);
}

/* Operations. */

static struct op *new_op(enum kind kind, struct opened *opened)
{
    struct content *content = opened->content;

    for (int i = 0; i < OPS_MAX; i++) {
        struct op *op = &w.ops[i];

        if (op->is_used)
            continue;
        *op = (struct op){.is_used = true,
                          .kind = kind,
                          .opened = opened,
                          .content = content,
                          .begun = content_now()};
        content->active++;
        return op;
    }
    return NULL;
}

static void lend(struct op *op, size_t size)
{
    op->size = size;
    op->buffer = malloc(size + 1);
    CHECK(op->buffer != NULL);
}

/* Splits the buffer.  Returns how many pieces there are. */
static int split(struct op *op)
{
    size_t at = 0;

    for (int i = 0; i < PIECES; i++) {
        size_t size = i == PIECES - 1 ? op->size - at
                                      : (size_t) sim_random(op->size - at + 1);

        op->pieces[i] = (struct iovec){op->buffer + at, size};
        at += size;
    }
    return PIECES;
}

static void move(struct op *op, size_t least, size_t most)
{
    struct opened *opened = op->opened;

    if (opened == NULL || !op->is_at_position)
        return;
    opened->at_position--;
    opened->ahead -= op->size;
    opened->low += least;
    opened->high += most;
    if (opened->at_position > 0)
        return;
    if (opened->is_append)
        opened->low = opened->high = (size_t) aloop_file_position(opened->file);
    CHECK(aloop_file_position(opened->file) >= (int64_t) opened->low);
    CHECK(aloop_file_position(opened->file) <= (int64_t) opened->high);
    opened->low = opened->high = (size_t) aloop_file_position(opened->file);
}

/* Puts an operation at the position. */
static void use_position(struct op *op)
{
    struct opened *opened = op->opened;

    op->is_at_position = true;
    op->was_alone = opened->at_position == 0;
    op->number = ++opened->started;
    op->low = opened->low;
    op->high = opened->high + opened->ahead;
    opened->at_position++;
    opened->ahead += op->size;
}

static void end_open(struct op *op, ssize_t status)
{
    if (op->opened == NULL)
        return;
    if (status < 0)
        op->opened->content = NULL;
    else
        CHECK(aloop_file_fd(op->opened->file) >= 0);
}

static void end_read(struct op *op, ssize_t status)
{
    size_t count = status < 0 ? 0 : (size_t) status;

    CHECK(count <= op->size);
    move(op, count, count);
    if (status < 0 || op->low != op->high)
        return;
    content_check(op->content, op->buffer, op->low, count, op->begun);
    if (count < op->size) /* It found the end. */
        CHECK(op->low + count >= content_size_min(op->content, op->begun));
    if (count > 0)
        CHECK(op->low + count <= content_size_max(op->content));
}

/* The position shows how many bytes of a write that has failed were written,
 * if it was exact before, and no other operation was at it meanwhile. */
static bool is_exact(const struct op *op)
{
    return op->opened != NULL && op->is_at_position && op->was_alone &&
           op->opened->at_position == 0 && op->opened->started == op->number &&
           !op->is_exclusive;
}

static void end_write(struct op *op, ssize_t status)
{
    struct change *change = op->change;

    CHECK(status < 0 || (size_t) status == op->size);
    move(op, status < 0 ? 0 : op->size, op->size);
    if (status < 0 && is_exact(op)) {
        change->size = op->opened->low - op->low;
        content_written(change, true);
        return;
    }
    content_written(change, status >= 0);
    if (op->is_exclusive && op->opened != NULL && status >= 0)
        CHECK(op->opened->low == op->low + op->size);
}

static void end_stat(struct op *op, ssize_t status)
{
    if (status < 0)
        return;
    CHECK(op->stat.type == ALOOP_FILE_REGULAR);
    content_check_size(op->content, (size_t) op->stat.size, op->begun);
}

static void end_truncate(struct op *op, ssize_t status)
{
    content_cut(op->content, status < 0 ? op->content->known_size : op->size);
}

static void end_sync(struct op *op, ssize_t status)
{
    if (status == 0 && op->is_exclusive)
        content_synced(op->content);
    op->content->has_failed = op->content->has_failed || status < 0;
}

/* Nothing else was in flight, so that the size was known.  One that has failed
 * leaves the position as it was. */
static void end_seek(struct op *op, ssize_t status)
{
    CHECK(status < 0 || op->target >= 0);
    if (status >= 0 && op->opened != NULL)
        op->opened->low = op->opened->high = (size_t) op->target;
    move(op, 0, 0);
    if (status >= 0 && op->opened != NULL)
        CHECK(op->opened->low == (size_t) op->target);
}

static bool is_refused(const struct op *op, ssize_t status)
{
    return op->kind == SEEK && op->target < 0 && status == ALOOP_EINVAL;
}

/* Handles an operation whose future has settled. */
static void end_op(struct op *op)
{
    static void (*const ends[])(struct op * op, ssize_t status) = {
        end_open,     end_read, end_write, end_stat,
        end_truncate, end_sync, end_seek,
    };
    ssize_t status = aloop_future_status(op->future);

    CHECK(status >= 0 || is_allowed(status, op->may_end) ||
          is_refused(op, status));
    op->content->active--;
    if (op->is_exclusive)
        op->content->is_exclusive = false;
    ends[op->kind](op, status);
    if (op->buffer != NULL)
        memset(op->buffer, 0xee, op->size);
    free(op->buffer);
    aloop_future_unref(op->future);
    op->is_used = false;
    content_settle(op->content);
}

static void end_ops(void)
{
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && aloop_future_is_settled(w.ops[i].future))
            end_op(&w.ops[i]);
}

/* Acts. */

/* The file is closed, which ends its operations. */
static void forget_opened(struct opened *opened)
{
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && w.ops[i].opened == opened) {
            w.ops[i].opened = NULL;
            w.ops[i].may_end = true;
        }
    opened->file = NULL;
    opened->content = NULL;
}

static void close_opened(struct opened *opened)
{
    aloop_file_close(opened->file);
    forget_opened(opened);
}

static void close_descriptor(void *arg)
{
    (void) aloop__sys_close(*(int *) arg);
}

static struct opened *any_opened(void)
{
    struct opened *opened = &w.opened[sim_random(OPENED_MAX)];

    return opened->content != NULL && opened->file != NULL ? opened : NULL;
}

static void act_open(void)
{
    struct opened *opened = &w.opened[sim_random(OPENED_MAX)];
    struct op *op;

    if (opened->content != NULL)
        return;
    *opened = (struct opened){.content = &contents[sim_random(CONTENTS)],
                              .is_append = chance(20)};
    op = new_op(OPEN, opened);
    if (op == NULL)
        opened->content = NULL;
    else
        op->future = aloop_file_open(
            run.loop, opened->content->path,
            O_RDWR | (opened->is_append ? O_APPEND : 0), 0, &opened->file);
}

static void act_read(void)
{
    struct opened *opened = any_opened();
    struct op *op;
    int64_t offset;

    if (opened == NULL || opened->content->is_exclusive ||
        opened->high + opened->ahead > CONTENT_MAX / 2 ||
        (op = new_op(READ, opened)) == NULL)
        return;
    lend(op, between(1, chance(30) ? CONTENT_MAX / 4 : 600));
    offset = (int64_t) between(0, CONTENT_MAX / 2);
    op->low = op->high = (size_t) offset;
    if (chance(50)) {
        use_position(op);
        op->future =
            chance(50) ? aloop_file_read(opened->file, op->buffer, op->size)
                       : aloop_file_readv(opened->file, op->pieces, split(op));
    } else
        op->future = chance(50) ? aloop_file_read_at(opened->file, op->buffer,
                                                     op->size, offset)
                                : aloop_file_readv_at(opened->file, op->pieces,
                                                      split(op), offset);
}

/* Appends with nothing else in flight, because the end would be unknown. */
static void act_append(struct opened *opened)
{
    struct content *content = opened->content;
    struct op *op;

    if (content->active > 0 || content->known_size > CONTENT_MAX / 2 ||
        opened->at_position > 0 || (op = new_op(WRITE, opened)) == NULL)
        return;
    content->is_exclusive = op->is_exclusive = true;
    lend(op, between(1, 600));
    use_position(op);
    op->low = op->high = content->known_size;
    op->change =
        content_write(content, op->low, op->high, op->buffer, op->size);
    op->future = aloop_file_write(opened->file, op->buffer, op->size);
}

static void write_at_position(struct opened *opened, struct op *op)
{
    use_position(op);
    op->change =
        content_write(op->content, op->low, op->high, op->buffer, op->size);
    op->future = chance(50)
                     ? aloop_file_write(opened->file, op->buffer, op->size)
                     : aloop_file_writev(opened->file, op->pieces, split(op));
}

static void act_write(void)
{
    struct opened *opened = any_opened();
    struct op *op;

    if (opened == NULL || opened->content->is_exclusive ||
        opened->content->change_count == CHANGES_MAX)
        return;
    if (opened->is_append) {
        act_append(opened);
        return;
    }
    if (opened->high + opened->ahead > CONTENT_MAX / 2 ||
        (op = new_op(WRITE, opened)) == NULL)
        return;
    lend(op, between(1, chance(30) ? CONTENT_MAX / 4 : 600));
    if (chance(50)) {
        write_at_position(opened, op);
        return;
    }
    op->low = op->high = between(0, CONTENT_MAX / 2);
    op->change =
        content_write(op->content, op->low, op->high, op->buffer, op->size);
    op->future = chance(50)
                     ? aloop_file_write_at(opened->file, op->buffer, op->size,
                                           (int64_t) op->low)
                     : aloop_file_writev_at(opened->file, op->pieces, split(op),
                                            (int64_t) op->low);
}

static void act_stat(void)
{
    struct opened *opened = any_opened();
    struct op *op;

    if (opened == NULL || opened->content->is_exclusive ||
        (op = new_op(STAT, opened)) == NULL)
        return;
    op->future = aloop_file_stat(opened->file, &op->stat);
}

static void act_truncate(void)
{
    struct opened *opened = any_opened();
    struct op *op;

    if (opened == NULL || opened->content->active > 0 ||
        (op = new_op(TRUNCATE, opened)) == NULL)
        return;
    op->content->is_exclusive = op->is_exclusive = true;
    op->content->may_be_cut = true;
    op->size = between(0, CONTENT_MAX / 2);
    op->future = aloop_file_truncate(opened->file, (int64_t) op->size);
}

static void act_sync(void)
{
    struct opened *opened = any_opened();
    struct op *op;

    if (opened == NULL || opened->content->is_exclusive ||
        (op = new_op(SYNC, opened)) == NULL)
        return;
    if (op->content->active == 1)
        op->content->is_exclusive = op->is_exclusive = true;
    op->future = chance(50) ? aloop_file_sync(opened->file)
                            : aloop_file_datasync(opened->file);
}

static void act_seek(void)
{
    struct opened *opened = any_opened();
    int64_t offset = (int64_t) between(0, CONTENT_MAX / 2);

    if (opened == NULL)
        return;
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && w.ops[i].opened == opened &&
            w.ops[i].is_at_position) {
            if (!aloop_future_is_settled(w.ops[i].future))
                CHECK(aloop_file_seek(opened->file, offset, SEEK_SET) ==
                      ALOOP_EBUSY);
            return;
        }
    CHECK(aloop_file_seek(opened->file, offset, SEEK_SET) == offset);
    opened->low = opened->high = (size_t) offset;
}

/* Moves the position to somewhere before the end, or in front of the file, with
 * nothing else in flight. */
static void act_seek_end(void)
{
    struct opened *opened = any_opened();
    size_t distance;
    struct op *op;

    if (opened == NULL || opened->content->active > 0 ||
        opened->at_position > 0 || (op = new_op(SEEK, opened)) == NULL)
        return;
    op->content->is_exclusive = op->is_exclusive = true;
    distance = between(0, op->content->known_size + chance(20));
    op->target = (int64_t) op->content->known_size - (int64_t) distance;
    use_position(op);
    op->future = aloop_file_seek_end(opened->file, -(int64_t) distance);
}

static bool has_pending(const struct opened *opened)
{
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && w.ops[i].opened == opened &&
            !aloop_future_is_settled(w.ops[i].future))
            return true;
    return false;
}

/* Takes the descriptor out of the file, and makes another file of it at the
 * same position, if nothing uses the first one. */
static void act_hand_over(void)
{
    struct opened *opened = any_opened();
    int64_t position;
    int fd, expected, error;

    if (opened == NULL)
        return;
    position = aloop_file_position(opened->file);
    expected = aloop_file_fd(opened->file);
    fd = aloop_file_detach(opened->file);
    if (fd == ALOOP_EBUSY) {
        CHECK(opened->content->active > 0 || opened->has_dropped);
        CHECK(aloop_file_fd(opened->file) == expected);
        return;
    }
    CHECK(fd == expected && !has_pending(opened));
    error = aloop_file_adopt(run.loop, fd, &opened->file);
    if (error < 0) {
        CHECK(error == ALOOP_ENOMEM && run.weather == STARVED);
        sim_as_thread(close_descriptor, &fd);
        forget_opened(opened);
        return;
    }
    opened->has_dropped = false;
    CHECK(aloop_file_fd(opened->file) == fd);
    CHECK(aloop_file_position(opened->file) == position);
}

static void act_cancel(void)
{
    size_t first = (size_t) sim_random(OPS_MAX);

    for (size_t i = 0; i < OPS_MAX; i++) {
        struct op *op = &w.ops[(first + i) % OPS_MAX];

        if (!op->is_used)
            continue;
        op->may_end = true;
        aloop_cancel(op->future);
        return;
    }
}

static void act_close(void)
{
    struct opened *opened = any_opened();

    if (opened != NULL)
        close_opened(opened);
}

/* Drops an operation that needs no memory of the program. */
static void act_drop(void)
{
    struct op *op = &w.ops[sim_random(OPS_MAX)];

    if (!op->is_used || (op->kind != OPEN && op->kind != STAT) ||
        aloop_future_is_settled(op->future))
        return;
    aloop_future_unref(op->future);
    op->content->active--;
    if (op->kind == OPEN)
        op->opened->content = NULL;
    else if (op->opened != NULL)
        op->opened->has_dropped = true;
    op->is_used = false;
    content_settle(op->content);
}

static void act_fail(void)
{
    static const struct {
        const char *name;
        int error;
    } faults[] = {{"aloop__sys_pwritev", -ENOSPC},
                  {"aloop__sys_pwritev", -EIO},
                  {"aloop__sys_writev", -ENOSPC},
                  {"aloop__sys_preadv", -EIO},
                  {"aloop__sys_pread_cached", -EAGAIN},
                  {"aloop__sys_pread_cached", -EOPNOTSUPP},
                  {"aloop__sys_openat", -EMFILE},
                  {"aloop__sys_fsync", -EIO},
                  {"aloop__sys_ftruncate", -EIO},
                  {"aloop__sys_close", -EIO},
                  {"aloop__sys_thread_start", -EAGAIN}};
    size_t i = (size_t) sim_random(sizeof faults / sizeof faults[0]);

    if (may_break() && sim_faults_pending() < 4)
        sim_fail(faults[i].name, 1 + (unsigned) sim_random(3), faults[i].error);
}

static void on_heart(aloop_timer *timer, void *arg)
{
    static void (*const acts[])(void) = {
        act_open,     act_open,     act_open,  act_read,  act_read,
        act_read,     act_read,     act_write, act_write, act_write,
        act_stat,     act_truncate, act_sync,  act_seek,  act_cancel,
        act_cancel,   act_close,    act_drop,  act_fail,  act_hand_over,
        act_seek_end,
    };

    (void) timer;
    (void) arg;
    end_ops();
    for (size_t i = between(1, 6); i > 0 && w.acts > 0; i--, w.acts--)
        acts[sim_random(sizeof acts / sizeof acts[0])]();
}

/* A task, whose buffers are its own again when the await returns. */

static void read_in_task(struct opened *opened)
{
    struct content *content = opened->content;
    size_t offset = between(0, CONTENT_MAX / 2), size = between(1, 600);
    unsigned char *buffer = malloc(size);
    unsigned begun = content_now();
    ssize_t status;

    CHECK(buffer != NULL);
    content->active++;
    status = aloop_await(aloop_timeout(
        aloop_file_read_at(opened->file, buffer, size, (int64_t) offset),
        any_delay_ns(ALOOP_MS(10))));
    content->active--;
    if (status > 0)
        content_check(content, buffer, offset, (size_t) status, begun);
    else
        CHECK(status == 0 || status == ALOOP_ETIMEDOUT ||
              status == ALOOP_EABORTED || is_allowed(status, true));
    memset(buffer, 0xee, size);
    free(buffer);
    content_settle(content);
}

static void write_in_task(struct opened *opened)
{
    struct content *content = opened->content;
    size_t offset = between(0, CONTENT_MAX / 2), size = between(1, 600);
    unsigned char *buffer = malloc(size);
    struct change *change;
    ssize_t status;

    CHECK(buffer != NULL);
    change = content_write(content, offset, offset, buffer, size);
    content->active++;
    status = aloop_await(aloop_timeout(
        aloop_file_write_at(opened->file, buffer, size, (int64_t) offset),
        any_delay_ns(ALOOP_MS(10))));
    content->active--;
    content_written(change, status >= 0);
    CHECK(status == (ssize_t) size || status == ALOOP_ETIMEDOUT ||
          status == ALOOP_EABORTED || is_allowed(status, true));
    memset(buffer, 0xee, size);
    free(buffer);
    content_settle(content);
}

static ssize_t use(aloop *loop, void *arg)
{
    ssize_t status = 0;

    (void) arg;
    w.reading++;
    for (size_t i = between(1, 6); i > 0 && status >= 0; i--) {
        struct opened *opened = any_opened();

        if (opened == NULL || opened->content->is_exclusive)
            status = aloop_await(aloop_sleep(loop, any_delay_ns(ALOOP_MS(1))));
        else if (opened->is_append || chance(70) ||
                 opened->content->change_count == CHANGES_MAX)
            read_in_task(opened);
        else
            write_in_task(opened);
    }
    w.reading--;
    return 0;
}

/* The world. */

static void start(void)
{
    struct sim_device *device;

    memset(&w, 0, sizeof w);
    for (unsigned i = 0; i < CONTENTS; i++)
        content_begin(&contents[i], i);
    device = sim_device("/data");
    device->is_local = chance(50);
    if (chance(20))
        device->cached_read_error = -EOPNOTSUPP;
    if (may_break() && chance(30))
        device->size_max = between(8, 12) * CONTENT_BLOCK;
    if (may_break() && chance(20))
        sim_file_size_max((int64_t) between(1, CONTENT_MAX / 2));
    if (may_break() && chance(20))
        sim_file_stop_after((unsigned) between(1, 30));
    w.is_ending_all = chance(75);
    w.acts = chance(25) ? ACTS_MAX : ACTS_MAX / 4;
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(1, 3000)), on_heart,
                            NULL, &w.heart) == 0);
    for (int i = 0; i < OPENED_MAX; i++)
        act_open();
    for (int i = 0; i < READERS; i++)
        w.readers[i] = aloop_spawn(run.loop, use, NULL);
}

static bool is_done(void)
{
    end_ops();
    if (w.acts > 0)
        return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && w.is_ending_all)
            return false;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    for (int i = 0; i < READERS; i++) {
        if (chance(50))
            aloop_cancel(w.readers[i]);
        aloop_detach(w.readers[i]);
    }
    for (int i = 0; i < OPENED_MAX; i++)
        if (w.opened[i].content != NULL && w.opened[i].file != NULL)
            close_opened(&w.opened[i]);
}

/* Files that were being opened are still open. */
static void check(void)
{
    end_ops();
    for (int i = 0; i < OPS_MAX; i++)
        CHECK(!w.ops[i].is_used);
    for (int i = 0; i < OPENED_MAX; i++)
        if (w.opened[i].content != NULL)
            close_opened(&w.opened[i]);
    while (aloop_alive(run.loop))
        CHECK(aloop_step(run.loop, -1) >= 0);
    CHECK(w.reading == 0);
    CHECK(sim_file_descriptors() == 0);
    for (unsigned i = 0; i < CONTENTS; i++)
        CHECK(contents[i].active == 0 && contents[i].change_count == 0);
}

static void outlive(void)
{
    CHECK(sim_file_descriptors() == 0);
    CHECK(sim_file_blocking_calls() == 0 || may_break());
    for (int i = 0; i < OPS_MAX; i++) {
        if (w.ops[i].is_used && w.ops[i].kind == SYNC)
            w.ops[i].content->has_failed = true; /* Perhaps. */
        if (w.ops[i].is_used)
            free(w.ops[i].buffer);
    }
    sim_file_crash();
    for (unsigned i = 0; i < CONTENTS; i++)
        content_check_crash(&contents[i]);
}

const struct world world_files = {"files",     start, is_done,
                                  close_world, check, outlive};
