/* Whole files and temporary ones.  After each failure, the contents of files
 * are checked. */

#include "torture.h"

#include <fcntl.h>
#include <string.h>

#include "simulator/sim_file.h"

enum { OLD_SIZE = 5000, NEW_SIZE = 9000 };

static unsigned char old_bytes[OLD_SIZE], new_bytes[NEW_SIZE];

/* Reads the file, and expects `size` bytes from `first` on. */
static void expect_whole(aloop *loop, const char *path, size_t first,
                         size_t size, ssize_t *error)
{
    void *data = NULL;
    ssize_t status =
        torture_await(aloop_fs_read_file(loop, path, NEW_SIZE, &data), 10);

    torture_keep(error, status);
    torture_expect((status < 0) == (data == NULL),
                   "a failed read has data, or a good one does not");
    torture_expect(status < 0 || ((size_t) status == size &&
                                  torture_matches(data, first, size)),
                   "a read gives other bytes");
    aloop_data_free(loop, data);
}

/* Expects the old content if the operation has failed, and the new one
 * otherwise.  If only the sync of the directory failed, it is the new one. */
static void expect_replaced(ssize_t status)
{
    static unsigned char found[NEW_SIZE];
    ssize_t size = sim_file_get("/tmp/d/a", found, sizeof found);
    bool is_new = size == NEW_SIZE && torture_matches(found, 1, NEW_SIZE);
    bool is_old = size == OLD_SIZE && torture_matches(found, 0, OLD_SIZE);

    torture_expect(is_new || (is_old && status < 0),
                   "a replaced file is neither old nor new");
}

ssize_t torture_whole(aloop *loop)
{
    ssize_t error = 0, status;
    void *data = NULL;

    torture_fill(old_bytes, 0, OLD_SIZE);
    torture_fill(new_bytes, 1, NEW_SIZE);
    sim_file_put("/tmp/d/a", old_bytes, OLD_SIZE);
    sim_device("/tmp")->is_local = true;
    expect_whole(loop, "/tmp/d/a", 0, OLD_SIZE, &error);
    status = torture_await(
        aloop_fs_replace_file(loop, "/tmp/d/a", new_bytes, NEW_SIZE, 0600), 10);
    torture_keep(&error, status);
    expect_replaced(status);
    status = torture_await(
        aloop_fs_write_file(loop, "/tmp/d/b", old_bytes, OLD_SIZE, 0600), 10);
    torture_keep(&error, status);
    if (status >= 0)
        expect_whole(loop, "/tmp/d/b", 0, OLD_SIZE, &error);
    aloop_future_unref(aloop_fs_read_file(loop, "/tmp/d/a", 1, &data));
    aloop_detach(aloop_fs_replace_file(loop, "/tmp/d/b", "x", 1, 0600));
    return error;
}

enum { LATER_OPENS = 34, LATER_READS = 6, LATER_SIZE = 64 << 10 };

/* Begins more opens and whole files than a turn may do, and drops and cancels
 * some that wait for a later turn. */
static void open_later(aloop *loop, aloop_file *files[LATER_OPENS],
                       void *data[LATER_OPENS], ssize_t *error)
{
    aloop_future *futures[LATER_OPENS];

    for (int i = 0; i < LATER_OPENS; i++)
        futures[i] =
            i % 2 == 0
                ? aloop_file_open(loop, "/tmp/big", O_RDONLY, 0, &files[i])
                : aloop_fs_read_file(loop, "/tmp/small", 100, &data[i]);
    if (futures[LATER_OPENS - 1] != NULL)
        aloop_cancel(futures[LATER_OPENS - 1]);
    for (int i = 0; i < LATER_OPENS; i++) {
        ssize_t status = torture_await(futures[i], 10);

        torture_keep(error, i == LATER_OPENS - 1 ? 0 : status);
        torture_expect((status < 0) == (files[i] == NULL && data[i] == NULL),
                       "an open has failed with a result, or has none");
    }
}

/* Reads at the position, some of which wait for a later turn.  A read that has
 * failed does not move the position. */
static void read_later(aloop_file *file, ssize_t *error)
{
    static unsigned char bytes[LATER_READS][LATER_SIZE];
    aloop_future *reads[LATER_READS];
    size_t position = 0;

    for (int i = 0; i < LATER_READS; i++)
        reads[i] = aloop_file_read(file, bytes[i], LATER_SIZE);
    if (reads[LATER_READS - 2] != NULL)
        aloop_cancel(reads[LATER_READS - 2]);
    for (int i = 0; i < LATER_READS; i++) {
        ssize_t status = torture_await(reads[i], 10);

        torture_keep(error, i == LATER_READS - 2 ? 0 : status);
        torture_expect(status < 0 ||
                           torture_matches(bytes[i], position, (size_t) status),
                       "a read of a later turn gives other bytes");
        position += status < 0 ? 0 : (size_t) status;
    }
    aloop_future_unref(aloop_file_read_at(file, bytes[0], LATER_SIZE, 0));
}

/* What one turn has no room for. */
ssize_t torture_later(aloop *loop)
{
    static unsigned char big[LATER_READS * LATER_SIZE];
    static aloop_file *files[LATER_OPENS];
    static void *data[LATER_OPENS];
    ssize_t error = 0;

    torture_fill(big, 0, sizeof big);
    sim_file_put("/tmp/big", big, sizeof big);
    sim_file_put("/tmp/small", big, 10);
    sim_device("/tmp")->is_local = true;
    open_later(loop, files, data, &error);
    if (files[0] != NULL)
        read_later(files[0], &error);
    for (int i = 0; i < LATER_OPENS; i++) {
        aloop_file_close(files[i]);
        aloop_data_free(loop, data[i]);
    }
    return error;
}

/* A FIFO between a write and a read. */
ssize_t torture_whole_fifo(aloop *loop)
{
    void *data = NULL, *other = NULL;
    aloop_future *read, *dropped;
    ssize_t error = 0, status;
    bool is_early;

    torture_fill(new_bytes, 1, NEW_SIZE);
    sim_file_fifo("/tmp/f");
    sim_file_fifo("/tmp/g");
    read = aloop_fs_read_file(loop, "/tmp/f", NEW_SIZE, &data);
    dropped = aloop_fs_read_file(loop, "/tmp/g", NEW_SIZE, &other);
    torture_keep(&error, torture_pass(loop, 10 * MS));
    status = torture_await(
        aloop_fs_write_file(loop, "/tmp/f", new_bytes, NEW_SIZE, 0), 10);
    torture_keep(&error, status);
    is_early = aloop_future_is_settled(dropped); /* Without the reactor. */
    aloop_future_unref(dropped);
    if (status < 0)
        aloop_cancel(read);
    status = torture_await(read, 10);
    torture_keep(&error, status == ALOOP_EABORTED ? 0 : status);
    torture_expect(other == NULL || is_early, "a dropped read has a result");
    torture_expect((status < 0) == (data == NULL),
                   "a failed read has data, or a good one does not");
    torture_expect(status < 0 || torture_matches(data, 1, (size_t) status),
                   "a FIFO gives other bytes");
    aloop_data_free(loop, data);
    aloop_data_free(loop, other);
    return error;
}

/* Names are written only if the operation succeeds. */
ssize_t torture_temporary(aloop *loop)
{
    static char names[2][16], dropped[2][16];
    static aloop_file *file, *unseen;
    ssize_t error = 0, status;

    for (int i = 0; i < 2; i++)
        strcpy(names[i], "/tmp/t.XXXXXX");
    for (int i = 0; i < 2; i++)
        strcpy(dropped[i], "/tmp/u.XXXXXX");
    file = unseen = NULL;
    status = torture_await(aloop_fs_mkstemp(loop, names[0], &file), 10);
    torture_keep(&error, status);
    torture_expect((status == 0) == (file != NULL),
                   "a failed mkstemp gives a file, or a good one does not");
    torture_expect((status < 0) == (strcmp(names[0], "/tmp/t.XXXXXX") == 0),
                   "a name is only written after a success");
    aloop_file_close(file);
    status = torture_await(aloop_fs_mkdtemp(loop, names[1]), 10);
    torture_keep(&error, status);
    torture_expect((status < 0) == (strcmp(names[1], "/tmp/t.XXXXXX") == 0),
                   "a name is only written after a success");
    aloop_future_unref(aloop_fs_mkstemp(loop, dropped[0], &unseen));
    aloop_future_unref(aloop_fs_mkdtemp(loop, dropped[1]));
    torture_keep(&error, torture_pass(loop, 10 * MS));
    torture_expect(unseen == NULL && strcmp(dropped[0], "/tmp/u.XXXXXX") == 0 &&
                       strcmp(dropped[1], "/tmp/u.XXXXXX") == 0,
                   "a dropped operation has a result");
    return error;
}
