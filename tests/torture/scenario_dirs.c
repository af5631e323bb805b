/* Directories and copies of files, some of which are cancelled or dropped. */

#include "torture.h"

#include <string.h>

#include "simulator/sim_file.h"

enum { FILES = 5 };

static void put_files(void)
{
    static const char *const paths[FILES] = {"/tmp/d/a", "/tmp/d/b", "/tmp/d/c",
                                             "/tmp/d/d", "/tmp/d/e"};

    for (int i = 0; i < FILES; i++)
        sim_file_put(paths[i], "x", 1);
    sim_device("/tmp/d")->hides_types = true;
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
