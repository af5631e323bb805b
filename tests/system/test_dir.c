/* Directories and copies of files on the real system. */

#define _GNU_SOURCE /* For mkdtemp(). */

#include "support/folder_fixture.h"

#include <sys/resource.h>

enum {
    NAMES = 10000,
    BATCH = 64,
    NAME_MAX_BYTES = 255,
    BLOCK = 64 * 1024,
    LARGE = 9 * 1024 * 1024
};

static char from[600];

/* Returns the path of a name in the folder.  in_folder() gives a second one. */
static const char *source(const char *name)
{
    snprintf(from, sizeof from, "%s/%s", d.folder, name);
    return from;
}

static ssize_t copy(const char *source_path, const char *target)
{
    return aloop_await(aloop_fs_copy(d.loop, source_path, target, NULL));
}

static ssize_t replace(const char *source_path, const char *target)
{
    aloop_copy_options options = {.size = sizeof options, .is_replacing = true};

    return aloop_await(aloop_fs_copy(d.loop, source_path, target, &options));
}

static aloop_dir *open_folder(void)
{
    aloop_dir *dir = NULL;

    assert_int_equal(aloop_await(aloop_dir_open(d.loop, d.folder, &dir)), 0);
    return dir;
}

/* Makes empty files with the names "0", "1", ... */
static void put_names(int count)
{
    int folder = open(d.folder, O_RDONLY);
    char name[16];

    for (int i = 0; i < count; i++) {
        int fd;

        snprintf(name, sizeof name, "%d", i);
        fd = openat(folder, name, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    close(folder);
}

static void ten_thousand_names_are_read_in_batches(void **state)
{
    static bool is_seen[NAMES];
    aloop_dir_entry entries[BATCH];
    aloop_dir *dir;
    ssize_t count;
    int seen = 0;

    (void) state;
    put_names(NAMES);
    dir = open_folder();
    while ((count = aloop_await(aloop_dir_read(dir, entries, BATCH))) > 0)
        for (ssize_t i = 0; i < count; i++) {
            long number = strtol(entries[i].name, NULL, 10);

            assert_in_range(number, 0, NAMES - 1);
            assert_false(is_seen[number]);
            assert_int_equal(entries[i].type, ALOOP_FILE_REGULAR);
            is_seen[number] = true;
            seen++;
        }
    assert_int_equal(count, 0);
    assert_int_equal(seen, NAMES);
    aloop_dir_close(dir);
}

static void a_scan_has_the_types_and_inodes_that_lstat_has(void **state)
{
    static const aloop_file_type types[] = {ALOOP_FILE_DIRECTORY,
                                            ALOOP_FILE_FIFO, ALOOP_FILE_LINK,
                                            ALOOP_FILE_REGULAR};
    static const char *const names[] = {"dir", "fifo", "link", "regular"};
    aloop_dir_entry *entries = NULL;

    (void) state;
    put_file("regular", "x", 1);
    assert_int_equal(mkdir(in_folder("dir"), 0700), 0);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(symlink("nowhere", in_folder("link")), 0);
    assert_int_equal(aloop_await(aloop_fs_scan(d.loop, d.folder, 4, &entries)),
                     4);
    for (int i = 0; i < 4; i++) {
        struct stat stat;

        assert_string_equal(entries[i].name, names[i]);
        assert_int_equal(entries[i].type, types[i]);
        assert_int_equal(lstat(in_folder(names[i]), &stat), 0);
        assert_int_equal(entries[i].inode, stat.st_ino);
    }
    aloop_data_free(d.loop, entries);
    assert_int_equal(rmdir(in_folder("dir")), 0);
}

static void names_of_255_bytes_are_complete(void **state)
{
    char name[NAME_MAX_BYTES + 1];
    aloop_dir_entry entry;
    aloop_dir *dir;

    (void) state;
    for (int i = 0; i < NAME_MAX_BYTES; i++)
        name[i] = (char) ('a' + i % 26);
    name[NAME_MAX_BYTES] = '\0';
    put_file(name, "x", 1);
    dir = open_folder();
    assert_int_equal(aloop_await(aloop_dir_read(dir, &entry, 1)), 1);
    assert_string_equal(entry.name, name);
    aloop_dir_close(dir);
    assert_int_equal(copy(source(name), in_folder("copy")), 1);
}

static void directories_that_cannot_be_read_are_errors(void **state)
{
    aloop_dir_entry *entries = NULL;
    aloop_dir *dir = NULL;

    (void) state;
    put_file("a", "x", 1);
    assert_int_equal(aloop_await(aloop_dir_open(d.loop, in_folder("a"), &dir)),
                     ALOOP_ENOTDIR);
    assert_int_equal(aloop_await(aloop_dir_open(d.loop, in_folder("b"), &dir)),
                     ALOOP_ENOENT);
    assert_int_equal(
        aloop_await(aloop_fs_scan(d.loop, "/dev/null", 1, &entries)),
        ALOOP_ENOTDIR);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(
        aloop_await(aloop_dir_open(d.loop, in_folder("fifo"), &dir)),
        ALOOP_ENOTDIR);
    assert_null(dir);
    assert_null(entries);
}

/* root has every permission. */
static void files_without_permission_are_eacces(void **state)
{
    aloop_dir *dir = NULL;

    (void) state;
    if (geteuid() == 0)
        skip();
    put_file("a", "x", 1);
    put_file("b", "x", 1);
    assert_int_equal(mkdir(in_folder("dir"), 0), 0);
    assert_int_equal(
        aloop_await(aloop_dir_open(d.loop, in_folder("dir"), &dir)),
        ALOOP_EACCES);
    assert_int_equal(copy(source("a"), in_folder("dir/c")), ALOOP_EACCES);
    assert_int_equal(chmod(in_folder("b"), 0), 0);
    assert_int_equal(copy(source("b"), in_folder("c")), ALOOP_EACCES);
    assert_int_equal(replace(source("a"), in_folder("b")), ALOOP_EACCES);
    assert_int_equal(rmdir(in_folder("dir")), 0);
}

/* Copies. */

/* Returns random bytes, which compress badly and are not zeros. */
static char *large_data(size_t size)
{
    char *data = malloc(size);
    unsigned value = 1;

    assert_non_null(data);
    for (size_t i = 0; i < size; i++) {
        value = value * 1103515245u + 12345u;
        data[i] = (char) (value >> 16 | 1);
    }
    return data;
}

static struct {
    unsigned calls;
    uint64_t copied, total;
} progress;

static void on_progress(aloop *loop, uint64_t copied, uint64_t total, void *arg)
{
    (void) loop;
    (void) arg;
    assert_true(copied >= progress.copied);
    progress.calls++;
    progress.copied = copied;
    progress.total = total;
}

static void a_file_of_several_pieces_is_copied_with_progress(void **state)
{
    aloop_copy_options options = {.size = sizeof options,
                                  .is_synced = true,
                                  .on_progress = on_progress};
    char *data = large_data(LARGE);

    (void) state;
    memset(&progress, 0, sizeof progress);
    put_file("a", data, LARGE);
    assert_int_equal(aloop_await(aloop_fs_copy(d.loop, source("a"),
                                               in_folder("b"), &options)),
                     LARGE);
    expect_file("b", data, LARGE);
    assert_true(progress.calls >= 1);
    assert_int_equal(progress.copied, LARGE);
    assert_int_equal(progress.total, LARGE);
    free(data);
}

static void holes_stay_holes(void **state)
{
    struct stat source_stat, target_stat;
    char *data = large_data(BLOCK);
    int fd;

    (void) state;
    fd = open(in_folder("a"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, data, BLOCK, LARGE), BLOCK);
    assert_int_equal(ftruncate(fd, 3 * LARGE), 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    assert_int_equal(copy(source("a"), in_folder("b")), 3 * LARGE);
    assert_int_equal(stat(source("a"), &source_stat), 0);
    assert_int_equal(stat(in_folder("b"), &target_stat), 0);
    assert_int_equal(target_stat.st_size, 3 * LARGE);
    if (source_stat.st_blocks * 512 < LARGE) /* The file system has holes. */
        assert_true(target_stat.st_blocks * 512 < LARGE);
    fd = open(in_folder("b"), O_RDONLY);
    assert_int_equal(pread(fd, data, BLOCK, LARGE - 1), BLOCK);
    assert_int_equal(data[0], 0);
    assert_int_not_equal(data[1], 0);
    close(fd);
    free(data);
}

static void a_cancel_in_the_middle_removes_the_target(void **state)
{
    char *data = large_data(LARGE);

    (void) state;
    put_file("a", data, LARGE);
    for (int turns = 0; turns < 4; turns++) {
        aloop_future *future =
            aloop_fs_copy(d.loop, source("a"), in_folder("b"), NULL);
        ssize_t status;

        for (int i = 0; i < turns; i++)
            assert_true(aloop_step(d.loop, 0) >= 0);
        aloop_cancel(future);
        status = aloop_await(future);
        /* The copy may have been faster. */
        assert_true(status == ALOOP_EABORTED || status == LARGE);
        assert_int_equal(access(in_folder("b"), F_OK), status < 0 ? -1 : 0);
        unlink(in_folder("b"));
    }
    free(data);
}

/* Reads a whole file in one piece. */
static size_t read_whole(const char *path, char *buffer, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t count;

    assert_non_null(file);
    count = fread(buffer, 1, size, file);
    fclose(file);
    return count;
}

/* Files of /proc and /sys claim a size of 0 or of one page. */
static void files_of_the_kernel_are_copied_to_their_end(void **state)
{
    static const char *const paths[] = {
        "/proc/version",
        "/proc/filesystems",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    };
    static char expected[8192];

    (void) state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        size_t size;

        if (access(paths[i], R_OK) < 0)
            continue;
        size = read_whole(paths[i], expected, sizeof expected);
        assert_int_equal(copy(paths[i], in_folder("copy")), size);
        expect_file("copy", expected, size);
        assert_int_equal(unlink(in_folder("copy")), 0);
    }
}

static void a_new_target_has_the_permissions_of_the_source(void **state)
{
    mode_t before = umask(022);
    struct stat stat_of;

    (void) state;
    put_file("a", "x", 1);
    assert_int_equal(chmod(in_folder("a"), 04777), 0);
    assert_int_equal(copy(source("a"), in_folder("b")), 1);
    assert_int_equal(stat(in_folder("b"), &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 07777, 0755);
    assert_int_equal(chmod(in_folder("a"), 0400), 0);
    assert_int_equal(copy(source("a"), in_folder("c")), 1);
    assert_int_equal(stat(in_folder("c"), &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 07777, 0400);
    expect_file("c", "x", 1);
    umask(before);
}

static void two_names_of_a_file_are_not_copied_onto_each_other(void **state)
{
    (void) state;
    put_file("a", "abc", 3);
    assert_int_equal(link(source("a"), in_folder("b")), 0);
    assert_int_equal(symlink("a", in_folder("l")), 0);
    assert_int_equal(replace(source("a"), in_folder("b")), ALOOP_EINVAL);
    assert_int_equal(replace(source("a"), in_folder("l")), ALOOP_EINVAL);
    assert_int_equal(replace(source("l"), in_folder("a")), ALOOP_EINVAL);
    expect_file("a", "abc", 3);
}

static void only_regular_files_are_copied(void **state)
{
    char path[5001];

    (void) state;
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    put_file("a", "x", 1);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(copy(source("fifo"), in_folder("b")), ALOOP_EINVAL);
    assert_int_equal(copy(d.folder, in_folder("b")), ALOOP_EISDIR);
    assert_int_equal(copy("/dev/zero", in_folder("b")), ALOOP_EINVAL);
    assert_int_equal(copy(source("a"), d.folder), ALOOP_EEXIST);
    assert_int_equal(replace(source("a"), d.folder), ALOOP_EISDIR);
    assert_int_equal(replace(source("a"), "/dev/null"), ALOOP_EINVAL);
    assert_int_equal(replace(source("a"), in_folder("fifo")), ALOOP_ENXIO);
    assert_int_equal(copy(source("a"), in_folder("b/c")), ALOOP_ENOENT);
    assert_int_equal(copy(source("a"), in_folder("a/c")), ALOOP_ENOTDIR);
    assert_int_equal(copy(source("a"), path), ALOOP_ENAMETOOLONG);
    assert_int_equal(copy(path, in_folder("b")), ALOOP_ENAMETOOLONG);
    assert_int_equal(access(in_folder("b"), F_OK), -1);
}

static void a_target_that_is_too_large_is_removed(void **state)
{
    struct rlimit before, limit;
    char *data = large_data(BLOCK);

    (void) state;
    put_file("a", data, BLOCK);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = BLOCK / 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(copy(source("a"), in_folder("b")), ALOOP_EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(access(in_folder("b"), F_OK), -1);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ten_thousand_names_are_read_in_batches),
        TEST(a_scan_has_the_types_and_inodes_that_lstat_has),
        TEST(names_of_255_bytes_are_complete),
        TEST(directories_that_cannot_be_read_are_errors),
        TEST(files_without_permission_are_eacces),
        TEST(a_file_of_several_pieces_is_copied_with_progress),
        TEST(holes_stay_holes),
        TEST(a_cancel_in_the_middle_removes_the_target),
        TEST(files_of_the_kernel_are_copied_to_their_end),
        TEST(a_new_target_has_the_permissions_of_the_source),
        TEST(two_names_of_a_file_are_not_copied_onto_each_other),
        TEST(only_regular_files_are_copied),
        TEST(a_target_that_is_too_large_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
