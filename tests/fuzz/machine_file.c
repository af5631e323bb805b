/* Files in the state machine; see machine_outside.h.
 *
 * Every byte of a file has the same value at all times, so that reads can be
 * checked although writes are in flight. */

#include "machine_outside.h"

#include <fcntl.h>
#include <stdio.h>

#include "simulator/sim_file.h"

char file_byte(unsigned number, size_t at)
{
    return (char) (at * 7 + at / 256 + number);
}

void file_fill(char *buffer, unsigned number, size_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = file_byte(number, offset + i);
}

static void path_of(unsigned number, char path[8])
{
    snprintf(path, 8, "/f%u", number);
}

void files_begin(void)
{
    char path[8], bytes[FILE_SIZE];

    for (unsigned number = 0; number < 2; number++) {
        file_fill(bytes, number, 0, FILE_SIZE);
        path_of(number, path);
        sim_file_put(path, bytes, FILE_SIZE);
    }
}

void end_open(struct out *out, ssize_t status)
{
    struct file *file = out->file;

    FUZZ_CHECK(status == 0 || (status == ALOOP_ECANCELED && out->may_end));
    file->is_opening = false;
    FUZZ_CHECK((file->file != NULL) == (status == 0));
    if (status == 0)
        FUZZ_CHECK(aloop_file_position(file->file) >= 0);
}

/* Checks the position after an operation that was alone at it, and succeeded if
 * `expected` is not negative. */
static void check_position(const struct out *out, int64_t expected)
{
    struct file *file = out->file;

    if (file == NULL || out->at_position == 0)
        return;
    file->unfinished--;
    if (file->unfinished == 0 && file->begun == out->at_position &&
        out->count == 0 && expected >= 0)
        FUZZ_CHECK(aloop_file_position(file->file) == expected);
}

void end_data(struct out *out, ssize_t status)
{
    size_t right = FILE_SIZE - out->offset;

    check_position(out, status < 0 ? -1 : (int64_t) out->offset + status);
    if (status < 0) {
        FUZZ_CHECK(status == ALOOP_ECANCELED && out->may_end);
        return;
    }
    FUZZ_CHECK((size_t) status <= out->size);
    if (out->count > 0) /* Its offset is not known. */
        return;
    FUZZ_CHECK((size_t) status == (out->size < right ? out->size : right));
    if (out->kind == READ)
        for (size_t i = 0; i < (size_t) status; i++)
            FUZZ_CHECK(out->buffer[i] ==
                       file_byte(out->number, out->offset + i));
}

void act_open(void)
{
    struct file *file = &o.files[any_below(FILES_MAX)];
    struct out *out;
    char path[8];

    if (!enter() || file->file != NULL || file->is_opening ||
        (out = new_out(OPEN)) == NULL)
        return;
    *file = (struct file){.is_opening = true, .number = any_below(2)};
    path_of(file->number, path);
    out->file = file;
    say("open %s", path);
    follow_out(out, aloop_file_open(w.loop, path, O_RDWR, 0, &file->file));
}

static struct file *any_file(void)
{
    struct file *file = &o.files[any_below(FILES_MAX)];

    return file->file == NULL || file->is_opening ? NULL : file;
}

/* Starts a read, of two buffers if `is_split`. */
static aloop_future *start_read(struct out *out, bool is_split)
{
    aloop_file *file = out->file->file;
    int64_t offset = (int64_t) out->offset;

    if (out->at_position > 0)
        return is_split ? aloop_file_readv(file, out->parts, 2)
                        : aloop_file_read(file, out->buffer, out->size);
    return is_split ? aloop_file_readv_at(file, out->parts, 2, offset)
                    : aloop_file_read_at(file, out->buffer, out->size, offset);
}

static aloop_future *start_write(struct out *out, bool is_split)
{
    aloop_file *file = out->file->file;
    int64_t offset = (int64_t) out->offset;

    if (out->at_position > 0)
        return is_split ? aloop_file_writev(file, out->parts, 2)
                        : aloop_file_write(file, out->buffer, out->size);
    return is_split ? aloop_file_writev_at(file, out->parts, 2, offset)
                    : aloop_file_write_at(file, out->buffer, out->size, offset);
}

/* Reads and writes, at the position or at an offset. */
void act_data(void)
{
    unsigned how = fuzz_byte(&w.input);
    size_t size = 1 + 16 * (size_t) fuzz_byte(&w.input);
    size_t offset = 16 * (size_t) fuzz_byte(&w.input);
    struct file *file = any_file();
    struct out *out;

    if (file == NULL || (out = new_out((how & 1) != 0 ? WRITE : READ)) == NULL)
        return;
    out->file = file;
    out->number = file->number;
    out->size = size;
    out->offset = offset;
    out->buffer = malloc(size);
    FUZZ_CHECK(out->buffer != NULL);
    if ((how & 2) != 0 && file->unfinished == 0)
        FUZZ_CHECK(aloop_file_seek(file->file, (int64_t) offset, SEEK_SET) ==
                   (int64_t) offset);
    /* A write needs a known offset for its bytes. */
    if ((how & 2) != 0 && (file->unfinished == 0 || out->kind == READ)) {
        out->count = file->unfinished; /* Its offset depends on others. */
        file->unfinished++;
        out->at_position = ++file->begun;
    }
    out->parts[0] = (struct iovec){out->buffer, size / 2};
    out->parts[1] = (struct iovec){out->buffer + size / 2, size - size / 2};
    file_fill(out->buffer, file->number, offset, size);
    say("%s %zu at %zu%s", out->kind == READ ? "read" : "write", size, offset,
        out->at_position > 0 ? ", the position" : "");
    if (out->kind == READ)
        follow_out(out, start_read(out, (how & 4) != 0));
    else
        follow_out(out, start_write(out, (how & 4) != 0));
}

/* What needs no position: attributes, the size, which stays the same, and
 * synchronization. */
void act_change(void)
{
    unsigned how = fuzz_byte(&w.input) % 4;
    struct file *file = any_file();
    struct out *out;

    if (file == NULL ||
        (out = new_out(how == 0 ? FILE_STAT : FILE_CHANGE)) == NULL)
        return;
    out->file = file;
    out->number = file->number;
    say("change %u of file %d", how, (int) (file - o.files));
    if (how == 0)
        follow_out(out, aloop_file_stat(file->file, &out->stat));
    else if (how == 1)
        follow_out(out, aloop_file_truncate(file->file, FILE_SIZE));
    else
        follow_out(out, how == 2 ? aloop_file_sync(file->file)
                                 : aloop_file_datasync(file->file));
}

/* Moves the position to a place before the end. */
void act_seek_end(void)
{
    size_t distance = 16 * (size_t) fuzz_byte(&w.input);
    struct file *file = any_file();
    struct out *out;

    if (file == NULL || (out = new_out(FILE_SEEK)) == NULL)
        return;
    out->file = file;
    out->offset = distance;
    out->count = file->unfinished;
    file->unfinished++;
    out->at_position = ++file->begun;
    say("move to %zu before the end", distance);
    follow_out(out, aloop_file_seek_end(file->file, -(int64_t) distance));
}

void end_seek(struct out *out, ssize_t status)
{
    FUZZ_CHECK(status <= 0);
    check_position(out, status < 0 ? -1 : FILE_SIZE - (int64_t) out->offset);
}

static bool is_busy(const struct file *file)
{
    for (unsigned i = 0; i < o.out_count; i++)
        if (o.outs[i].file == file && is_out_pending(&o.outs[i]))
            return true;
    return false;
}

/* Takes the descriptor of a file, and makes a file of it again. */
void act_adopt(void)
{
    struct file *file = any_file();
    int64_t position;
    int fd;

    if (file == NULL)
        return;
    say("detach and adopt file %d", (int) (file - o.files));
    position = aloop_file_position(file->file);
    fd = aloop_file_detach(file->file);
    FUZZ_CHECK(is_busy(file) ? fd == ALOOP_EBUSY : fd >= 0);
    if (fd < 0)
        return;
    FUZZ_CHECK(aloop_file_adopt(w.loop, fd, &file->file) == 0);
    FUZZ_CHECK(aloop_file_fd(file->file) == fd);
    FUZZ_CHECK(aloop_file_position(file->file) == position);
    m.has_closed = true;
}

static void close_file(struct file *file)
{
    for (unsigned i = 0; i < o.out_count; i++)
        if (o.outs[i].file == file && !o.outs[i].has_ended) {
            o.outs[i].file = NULL;
            o.outs[i].may_end = true;
        }
    aloop_file_close(file->file);
    file->file = NULL;
    m.has_closed = true;
}

void act_close_file(void)
{
    struct file *file = any_file();

    if (file == NULL)
        return;
    say("close file %d", (int) (file - o.files));
    close_file(file);
}

void close_files(void)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (o.files[i].file != NULL && !o.files[i].is_opening)
            close_file(&o.files[i]);
}
