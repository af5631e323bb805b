/* Directories and copies of files, some of which are cancelled or dropped. */

#include "torture.h"

#include <string.h>

#include "simulator/sim_file.h"

enum { FILES = 5, TEXT_SIZE = 6000 };

static char text[TEXT_SIZE], copy[TEXT_SIZE];

static void put_files(void)
{
    static const char *const paths[FILES] = {"/tmp/d/a", "/tmp/d/b", "/tmp/d/c",
                                             "/tmp/d/d", "/tmp/d/e"};

    for (int i = 0; i < FILES; i++)
        sim_file_put(paths[i], "x", 1);
    sim_device("/tmp/d")->has_no_types = true;
}

/* Reads all names, in batches.  One read is cancelled. */
static ssize_t read_names(aloop *loop, aloop_dir *dir)
{
    aloop_dir_entry entries[2];
    aloop_future *cancelled = aloop_dir_read(dir, entries, 2);
    ssize_t names = 0, error = 0, count;

    torture_keep(&error, torture_pass(loop, MS));
    aloop_cancel(cancelled);
    count = torture_await(cancelled, 10);
    if (count != ALOOP_EABORTED)
        torture_keep(&error, count);
    while (count > 0 || count == ALOOP_EABORTED) {
        if (count > 0)
            names += count;
        count = torture_await(aloop_dir_read(dir, entries, 2), 10);
        torture_keep(&error, count);
    }
    torture_expect(error < 0 || names == FILES, "names are left out");
    return error;
}

static void scan_names(aloop *loop, ssize_t *error)
{
    aloop_dir_entry *entries = NULL;
    ssize_t count =
        torture_await(aloop_fs_scan(loop, "/tmp/d", FILES, &entries), 10);

    torture_keep(error, count);
    torture_expect(count < 0 || count == FILES, "a scan leaves names out");
    torture_expect((count < 0) == (entries == NULL),
                   "a failed scan has a result, or a good one has none");
    for (ssize_t i = 1; i < count; i++)
        torture_expect(strcmp(entries[i - 1].name, entries[i].name) < 0,
                       "a scan is not sorted");
    aloop_data_free(loop, entries);
    count = torture_await(aloop_fs_scan(loop, "/tmp/d", 1, &entries), 10);
    torture_expect(count < 0, "a scan exceeds its limit");
    torture_keep(error, count == ALOOP_EFBIG ? 0 : count);
}

ssize_t torture_dirs(aloop *loop)
{
    static aloop_dir *dirs[3];
    static aloop_dir_entry entry, *entries;
    ssize_t error, status;

    put_files();
    error = torture_await(aloop_dir_open(loop, "/tmp/d", &dirs[0]), 10);
    torture_expect((error == 0) == (dirs[0] != NULL),
                   "a failed open gives a directory, or a good one does not");
    if (dirs[0] != NULL)
        torture_keep(&error, read_names(loop, dirs[0]));
    status = torture_await(aloop_dir_open(loop, "/tmp/d/a", &dirs[1]), 10);
    torture_expect(status < 0 && dirs[1] == NULL, "opens a file");
    torture_keep(&error, status == ALOOP_ENOTDIR ? 0 : status);
    scan_names(loop, &error);
    aloop_future_unref(aloop_dir_open(loop, "/tmp/d", &dirs[1]));
    aloop_future_unref(aloop_fs_scan(loop, "/tmp/d", FILES, &entries));
    aloop_detach(aloop_dir_open(loop, "/tmp/d", &dirs[2]));
    torture_keep(&error, torture_pass(loop, 100 * MS));
    torture_expect(dirs[1] == NULL, "a dropped open has a result");
    if (dirs[2] != NULL)
        aloop_detach(aloop_dir_read(dirs[2], &entry, 1));
    aloop_dir_close(dirs[0]);
    torture_leave_objects();
    return error;
}

/* Copies. */

static uint64_t progress;

static void note_progress(aloop *loop, uint64_t copied, uint64_t total,
                          void *arg)
{
    (void) loop;
    (void) arg;
    torture_expect(copied >= progress && total == TEXT_SIZE,
                   "the progress is wrong");
    progress = copied;
}

/* A target that is left after a failure could not be removed. */
static void expect_target(ssize_t status, const char *path)
{
    ssize_t size = sim_file_get(path, copy, TEXT_SIZE);

    if (status >= 0)
        torture_expect(size == TEXT_SIZE && torture_matches(copy, 0, TEXT_SIZE),
                       "a copy has other bytes");
    else
        torture_expect(size < 0 || sim_calls("aloop__sys_unlinkat") > 0,
                       "a failed copy leaves its target");
}

/* A copy by each of the three ways. */
static ssize_t copy_by(aloop *loop, int clone_error, int copy_error,
                       const char *path)
{
    aloop_copy_options options = {.size = sizeof options,
                                  .is_synced = true,
                                  .on_progress = note_progress};
    ssize_t status;

    progress = 0;
    sim_device("/tmp")->clone_error = clone_error;
    sim_device("/tmp")->copy_error = copy_error;
    status =
        torture_await(aloop_fs_copy(loop, "/tmp/text", path, &options), 10);
    expect_target(status, path);
    torture_expect(status < 0 || progress == TEXT_SIZE,
                   "the last progress is missing");
    return status;
}

ssize_t torture_copies(aloop *loop)
{
    aloop_copy_options replacing = {.size = sizeof replacing,
                                    .is_replacing = true};
    ssize_t error, status;
    aloop_future *cancelled;

    torture_fill(text, 0, TEXT_SIZE);
    sim_file_put("/tmp/text", text, TEXT_SIZE);
    error = copy_by(loop, 0, 0, "/tmp/clone");
    torture_keep(&error, copy_by(loop, ALOOP_EOPNOTSUPP, 0, "/tmp/kernel"));
    torture_keep(&error,
                 copy_by(loop, ALOOP_EOPNOTSUPP, ALOOP_EXDEV, "/tmp/hand"));
    sim_file_put("/tmp/old", "old", 3);
    status = torture_await(
        aloop_fs_copy(loop, "/tmp/text", "/tmp/old", &replacing), 10);
    torture_expect(sim_file_get("/tmp/old", NULL, 0) >= 0,
                   "a target that existed was removed");
    torture_keep(&error, status);
    cancelled = aloop_fs_copy(loop, "/tmp/text", "/tmp/cancelled", NULL);
    torture_keep(&error, torture_pass(loop, MS));
    aloop_cancel(cancelled);
    status = torture_await(cancelled, 10);
    expect_target(status, "/tmp/cancelled");
    torture_keep(&error, status == ALOOP_EABORTED ? 0 : status);
    aloop_future_unref(aloop_fs_copy(loop, "/tmp/text", "/tmp/x", NULL));
    aloop_detach(aloop_fs_copy(loop, "/tmp/text", "/tmp/y", &replacing));
    return error;
}
