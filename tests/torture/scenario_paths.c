/* Operations on names of files and on a small tree. */

#include "torture.h"

#include <string.h>

#include "simulator/sim_file.h"

static aloop_stat stat;
static char text[64];

static ssize_t make_tree(aloop *loop)
{
    ssize_t error = 0;

    torture_keep(&error,
                 torture_await(aloop_fs_mkdir_all(loop, "/tmp/x/y", 0700), 10));
    torture_keep(&error,
                 torture_await(aloop_fs_symlink(loop, "y", "/tmp/x/l"), 10));
    torture_keep(
        &error,
        torture_await(aloop_fs_rename(loop, "/tmp/a", "/tmp/x/y/a"), 10));
    return error;
}

/* Results are written only when an operation succeeds. */
static void look_at_tree(aloop *loop, ssize_t *error)
{
    ssize_t status;

    memset(text, '?', sizeof text);
    stat.size = 77;
    status = torture_await(aloop_fs_stat(loop, "/tmp/x/l/a", &stat), 10);
    torture_expect(stat.size == (status < 0 ? 77u : 3u), "a wrong size");
    torture_keep(error, status);
    status = torture_await(
        aloop_fs_readlink(loop, "/tmp/x/l", text, sizeof text), 10);
    torture_expect(status < 0 ? text[0] == '?' : strcmp(text, "y") == 0,
                   "a wrong link");
    torture_keep(error, status);
    status = torture_await(
        aloop_fs_realpath(loop, "/tmp/x/l", text, sizeof text), 10);
    torture_expect(status < 0 || strcmp(text, "/tmp/x/y") == 0, "a wrong path");
    torture_keep(error, status);
}

/* A tree that is made, looked at, and removed.  What a failed removal leaves is
 * complete: no file is lost that is not inside the tree. */
ssize_t torture_paths(aloop *loop)
{
    ssize_t error, status;

    sim_file_put("/tmp/a", "abc", 3);
    sim_file_put("/tmp/kept", "abc", 3);
    error = make_tree(loop);
    look_at_tree(loop, &error);
    status = torture_await(aloop_fs_remove_all(loop, "/tmp/x"), 10);
    torture_keep(&error, status);
    torture_expect(status < 0 || sim_file_count("/tmp") <= 2,
                   "a tree was removed and is there");
    torture_expect(sim_file_get("/tmp/kept", NULL, 0) == 3,
                   "a file outside the tree was removed");
    torture_keep(&error, torture_await(aloop_fs_unlink(loop, "/tmp/kept"), 10));
    return error;
}
