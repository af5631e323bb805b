/* The attributes of files, further names, and reads and writes with an offset
 * or several buffers. */

#include "torture.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "simulator/sim_file.h"

enum { TEXT_SIZE = 6000, HALF = TEXT_SIZE / 2 };

static aloop_stat seen;
static char text[TEXT_SIZE], copy[TEXT_SIZE];

/* Changes of one attribute of "/tmp/a". */

static aloop_future *change_mode(aloop *loop)
{
    return aloop_fs_chmod(loop, "/tmp/a", 0751);
}

static aloop_future *change_owner(aloop *loop)
{
    return aloop_fs_chown(loop, "/tmp/a", 7, UINT32_MAX);
}

static aloop_future *change_times(aloop *loop)
{
    return aloop_fs_utimens(loop, "/tmp/a", ALOOP_TIME_KEEP, 5 * MS);
}

static aloop_future *change_size(aloop *loop)
{
    return aloop_fs_truncate(loop, "/tmp/a", 2);
}

static aloop_future *add_name(aloop *loop)
{
    return aloop_fs_link(loop, "/tmp/a", "/tmp/b");
}

static aloop_future *remove_name(aloop *loop)
{
    return aloop_fs_unlink(loop, "/tmp/a");
}

static uint64_t seen_mode(void)
{
    return seen.mode;
}

static uint64_t seen_owner(void)
{
    return seen.user;
}

static uint64_t seen_time(void)
{
    return (uint64_t) seen.modified_ns;
}

static uint64_t seen_size(void)
{
    return seen.size;
}

static uint64_t seen_links(void)
{
    return seen.links;
}

static const struct change {
    const char *what;
    aloop_future *(*start)(aloop *loop);
    uint64_t (*value)(void);
    uint64_t expected;
    const char *path; /* A name of the file after the change. */
} changes[] = {
    {"a wrong mode", change_mode, seen_mode, 0751, "/tmp/a"},
    {"a wrong owner", change_owner, seen_owner, 7, "/tmp/a"},
    {"a wrong time", change_times, seen_time, 5 * MS, "/tmp/a"},
    {"a wrong size", change_size, seen_size, 2, "/tmp/a"},
    {"a wrong number of names", add_name, seen_links, 2, "/tmp/a"},
    {"a name is left", remove_name, seen_links, 1, "/tmp/b"},
};

/* A change that fails changes nothing. */
static void apply(aloop *loop, const struct change *change, ssize_t *error)
{
    ssize_t status = torture_await(aloop_fs_stat(loop, "/tmp/a", &seen), 10);
    uint64_t before = change->value();
    bool is_known = status >= 0;
    ssize_t changed = torture_await(change->start(loop), 10);

    torture_keep(error, status);
    torture_keep(error, changed);
    if (changed < 0 && !is_known)
        return;
    status = torture_await(
        aloop_fs_lstat(loop, changed < 0 ? "/tmp/a" : change->path, &seen), 10);
    torture_keep(error, status);
    torture_expect(status < 0 || change->value() ==
                                     (changed < 0 ? before : change->expected),
                   change->what);
}

/* The questions have the same answers whatever has been changed. */
static void ask(aloop *loop, ssize_t *error)
{
    aloop_statvfs system = {.name_max = 1};
    ssize_t status = torture_await(aloop_fs_access(loop, "/tmp/d", W_OK), 10);

    torture_keep(error, status);
    status = torture_await(aloop_fs_access(loop, "/tmp/no", F_OK), 10);
    torture_expect(status < 0, "access to a file that does not exist");
    torture_keep(error, status == ALOOP_ENOENT ? 0 : status);
    status = torture_await(aloop_fs_statvfs(loop, "/tmp", &system), 10);
    torture_keep(error, status);
    torture_expect((status < 0) == (system.name_max == 1),
                   "a statvfs has no result, or a failed one has one");
}

static bool is_directory(const char *path)
{
    return sim_file_get(path, NULL, 0) == ALOOP_EISDIR;
}

static void make_directory(aloop *loop, ssize_t *error)
{
    ssize_t status = torture_await(aloop_fs_mkdir(loop, "/tmp/e", 0700), 10);

    torture_keep(error, status);
    torture_expect((status == 0) == is_directory("/tmp/e"),
                   "a failed mkdir makes a directory, or a good one does not");
    if (status < 0)
        return;
    status = torture_await(aloop_fs_rmdir(loop, "/tmp/e"), 10);
    torture_keep(error, status);
    torture_expect((status < 0) == is_directory("/tmp/e"),
                   "a failed rmdir removes, or a good one does not");
    status = torture_await(aloop_fs_rmdir(loop, "/tmp/d"), 10);
    torture_expect(status < 0, "a directory that is not empty was removed");
    torture_keep(error, status == ALOOP_ENOTEMPTY ? 0 : status);
}

ssize_t torture_attributes(aloop *loop)
{
    ssize_t error = 0;

    sim_file_put("/tmp/a", "abc", 3);
    sim_file_put("/tmp/d/kept", "abc", 3);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        apply(loop, &changes[i], &error);
    ask(loop, &error);
    make_directory(loop, &error);
    torture_expect(sim_file_get("/tmp/d/kept", NULL, 0) == 3,
                   "a file that was not named is changed");
    aloop_future_unref(aloop_fs_chmod(loop, "/tmp/d", 0700));
    aloop_detach(aloop_fs_mkdir(loop, "/tmp/f", 0700));
    return error;
}

/* Reads and writes with an offset leave the position. */

static void expect_position(const aloop_file *file, int64_t position)
{
    int64_t found = aloop_file_position(file);

    torture_expect(found == position || found == ALOOP_ESPIPE,
                   "an offset moves the position");
}

/* Writes the second half first. */
static ssize_t write_halves(aloop_file *file)
{
    const struct iovec first[] = {{text, 10}, {text + 10, HALF - 10}};
    ssize_t error =
        torture_await(aloop_file_write_at(file, text + HALF, HALF, HALF), 10);

    torture_expect(error < 0 || error == HALF, "a write has a wrong count");
    if (error >= 0)
        error = torture_await(aloop_file_writev_at(file, first, 2, 0), 10);
    torture_expect(error < 0 || error == HALF, "a write has a wrong count");
    expect_position(file, 0);
    torture_expect(error < 0 ||
                       (sim_file_get("/tmp/a", copy, TEXT_SIZE) == TEXT_SIZE &&
                        torture_matches(copy, 0, TEXT_SIZE)),
                   "writes have left other bytes");
    return error < 0 ? error : 0;
}

static void expect_parts(ssize_t status, size_t first, ssize_t *error)
{
    torture_keep(error, status);
    torture_expect(status < 0 ||
                       (status == HALF && torture_matches(copy, first, HALF)),
                   "a read of several buffers gives other bytes");
    memset(copy, 0, sizeof copy);
}

ssize_t torture_offsets(aloop *loop)
{
    const struct iovec parts[] = {{copy, 7},
                                  {copy + 7, 0},
                                  {copy + 7, HALF - 7}};
    aloop_file *file = NULL;
    ssize_t error = torture_await(
        aloop_file_open(loop, "/tmp/a", O_RDWR | O_CREAT, 0600, &file), 10);

    torture_fill(text, 0, TEXT_SIZE);
    if (error >= 0)
        error = write_halves(file);
    if (error >= 0) {
        expect_parts(
            torture_await(aloop_file_readv_at(file, parts, 3, 100), 10), 100,
            &error);
        expect_position(file, 0);
        sim_file_evict("/tmp/a");
        expect_parts(
            torture_await(aloop_file_readv_at(file, parts, 3, HALF), 10), HALF,
            &error);
        if (aloop_file_position(file) == 0)
            expect_parts(torture_await(aloop_file_readv(file, parts, 3), 10), 0,
                         &error);
        aloop_detach(aloop_file_write_at(file, text, 9, 0));
        aloop_future_unref(aloop_file_readv_at(file, parts, 3, 0));
    }
    aloop_file_close(file);
    return error;
}
