/* Open files: reads, writes and other operations, some of which are cancelled,
 * dropped or ended by the close. */

#include "torture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "os/sys_file.h"
#include "simulator/sim_file.h"

enum { TEXT_SIZE = 6000, QUEUED = 5 };

static char text[TEXT_SIZE], copy[TEXT_SIZE];

static ssize_t open_text(aloop *loop, int flags, aloop_file **ret_file)
{
    ssize_t status = torture_await(
        aloop_file_open(loop, "/tmp/text", flags, 0600, ret_file), 10);

    torture_expect((status == 0) == (*ret_file != NULL),
                   "a failed open gives a file, or a good one does not");
    return status;
}

/* Awaits a read of the file from `offset` on.  The file has the first
 * TEXT_SIZE bytes of the text. */
static void expect_bytes(aloop_future *read, size_t offset, size_t size,
                         ssize_t *error)
{
    size_t left = offset < TEXT_SIZE ? TEXT_SIZE - offset : 0;
    size_t expected = size < left ? size : left;
    ssize_t status = torture_await(read, 10);

    torture_keep(error, status);
    torture_expect(status < 0 || (size_t) status == expected,
                   "a read does not fill its buffer");
    torture_expect(status < 0 || torture_matches(copy, offset, expected),
                   "a read gives other bytes");
}

/* Moves the position.  The system may not have reported that there is one. */
static void seek_to(aloop_file *file, int64_t position)
{
    int64_t result = aloop_file_seek(file, position, SEEK_SET);

    torture_expect(result == position || result == ALOOP_ESPIPE,
                   "a position cannot be set");
}

/* Writes the text in two parts. */
static void write_text(aloop_file *file, ssize_t *error)
{
    struct iovec parts[3] = {{text + 100, 10},
                             {text + 110, 0},
                             {text + 110, TEXT_SIZE - 110}};

    torture_keep(error, torture_await(aloop_file_write(file, text, 100), 10));
    if (aloop_file_position(file) != 100)
        seek_to(file, 100);
    torture_keep(error, torture_await(aloop_file_writev(file, parts, 3), 10));
    torture_expect(*error < 0 || aloop_file_position(file) == TEXT_SIZE ||
                       aloop_file_position(file) == ALOOP_ESPIPE,
                   "a write leaves a wrong position");
}

/* Operations at the position wait for each other.  Some are cancelled. */
static void queue_some(aloop *loop, aloop_file *file, ssize_t *error)
{
    aloop_future *queued[QUEUED];
    ssize_t status;

    seek_to(file, 0);
    for (size_t i = 0; i < QUEUED; i++)
        queued[i] = aloop_file_read(file, copy + i * 1000, 1000);
    aloop_cancel(queued[1]);
    torture_keep(error, torture_pass(loop, MS));
    aloop_cancel(queued[3]);
    for (int i = 0; i < QUEUED; i++) {
        status = torture_await(queued[i], 10);
        torture_keep(error, status == ALOOP_EABORTED ? 0 : status);
    }
}

static void change_some(aloop_file *file, ssize_t *error)
{
    aloop_stat stat = {.size = 0};
    ssize_t status = torture_await(aloop_file_stat(file, &stat), 10);

    torture_keep(error, status);
    torture_expect(status < 0 || stat.type == ALOOP_FILE_REGULAR,
                   "a stat has no result");
    status = torture_await(aloop_file_seek_end(file, -1), 10);
    torture_keep(error, status == ALOOP_ESPIPE ? ALOOP_EIO : status);
    torture_keep(error, torture_await(aloop_file_sync(file), 10));
    torture_keep(error, torture_await(aloop_file_datasync(file), 10));
}

ssize_t torture_files(aloop *loop)
{
    aloop_file *file = NULL, *other = NULL;
    ssize_t error = 0;

    torture_fill(text, 0, TEXT_SIZE);
    error = open_text(loop, O_RDWR | O_CREAT, &file);
    if (error < 0)
        return error;
    write_text(file, &error);
    if (error == 0) {
        expect_bytes(aloop_file_read_at(file, copy, TEXT_SIZE, 0), 0, TEXT_SIZE,
                     &error);
        sim_file_evict("/tmp/text");
        expect_bytes(aloop_file_read_at(file, copy, 5000, 3000), 3000, 5000,
                     &error);
    }
    queue_some(loop, file, &error);
    change_some(file, &error);
    torture_keep(&error, open_text(loop, O_WRONLY | O_APPEND, &other));
    torture_keep(&error, torture_await(aloop_file_truncate(file, 100), 10));
    if (other != NULL)
        torture_keep(&error,
                     torture_await(aloop_file_write(other, text, 10), 10));
    aloop_detach(aloop_file_sync(file));
    aloop_future_unref(aloop_file_read(file, copy, 10));
    aloop_file_close(file);
    aloop_file_close(other);
    return error;
}

/* A thread has opened a file of this device before, if no call has failed. */
static void open_again(aloop *loop, ssize_t *error)
{
    aloop_file *file = NULL;

    torture_keep(error, open_text(loop, O_RDONLY, &file));
    if (file != NULL)
        torture_keep(error, torture_await(aloop_file_read(file, copy, 3), 10));
    aloop_file_close(file);
}

/* Opens that are dropped and detached, and files that the application leaves
 * open. */
ssize_t torture_open_files(aloop *loop)
{
    static aloop_file *files[3];
    ssize_t error = 0, status;
    aloop_file *adopted;
    int fd;

    sim_file_put("/tmp/text", "abc", 3);
    aloop_future_unref(
        aloop_file_open(loop, "/tmp/text", O_RDONLY, 0, &files[0]));
    aloop_detach(aloop_file_open(loop, "/tmp/text", O_RDONLY, 0, &files[1]));
    status = torture_await(
        aloop_file_open(loop, "/tmp/no", O_RDONLY, 0, &files[2]), 10);
    torture_expect(status < 0 && files[2] == NULL, "opened without a file");
    torture_keep(&error, status == ALOOP_ENOENT ? 0 : status);
    torture_keep(&error, torture_pass(loop, 100 * MS));
    torture_expect(files[0] == NULL, "a dropped open has a result");
    open_again(loop, &error);
    torture_leave_objects();
    fd = aloop__sys_openat(SYS_CWD, "/tmp/text", O_RDONLY, 0);
    if (fd < 0)
        return fd;
    status = aloop_file_adopt(loop, fd, &adopted);
    if (status < 0) {
        aloop__sys_close(fd);
        return status;
    }
    torture_expect(aloop_file_fd(adopted) == fd,
                   "a file has another descriptor than it was made of");
    torture_expect(aloop_file_detach(adopted) == fd,
                   "an idle file cannot be detached");
    status = aloop_file_adopt(loop, fd, &adopted);
    if (status < 0)
        aloop__sys_close(fd);
    torture_keep(&error, status);
    return error;
}

/* Both ends of a FIFO. */
ssize_t torture_fifo(aloop *loop)
{
    aloop_file *reader = NULL, *writer = NULL;
    aloop_future *read, *write;
    ssize_t error = 0, status;

    sim_file_fifo("/tmp/fifo");
    torture_fill(text, 0, TEXT_SIZE);
    error = torture_await(
        aloop_file_open(loop, "/tmp/fifo", O_RDONLY, 0, &reader), 10);
    torture_keep(&error, torture_await(aloop_file_open(loop, "/tmp/fifo",
                                                       O_WRONLY, 0, &writer),
                                       10));
    if (reader != NULL && writer != NULL) {
        write = aloop_file_write(writer, text, TEXT_SIZE);
        read = aloop_file_read(reader, copy, TEXT_SIZE);
        status = torture_await(read, 10);
        torture_expect(status < 0 || torture_matches(copy, 0, (size_t) status),
                       "a FIFO gives other bytes");
        torture_keep(&error, status);
        aloop_cancel(write);
        status = torture_await(write, 10);
        torture_keep(&error, status == ALOOP_EABORTED ? 0 : status);
        read = aloop_file_read(reader, copy, TEXT_SIZE);
        aloop_file_close(writer);
        writer = NULL;
        torture_keep(&error, torture_await(read, 10));
    }
    aloop_file_close(reader);
    aloop_file_close(writer);
    return error;
}
