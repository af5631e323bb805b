/* Bad paths, sizes and buffers on the real system: each function of files gives
 * a clear error. */

#define _GNU_SOURCE /* For mkdtemp() and unshare(). */

#include "support/folder_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

#include "support/child.h"
#include "support/child_result.h"

#if defined __linux__
#include <sys/mount.h>
#endif

enum { MIB = 1 << 20, MEDIUM = 5000, OTHER_USER = 9999, NEW_SIZE = 100 };
enum { BY_NUMBER = 5, FILE_CALLS = 13 }; /* Functions of open files. */

/* A function with a path as its argument. */
struct call {
    const char *name;
    ssize_t (*run)(const char *path);
};

static char good[600]; /* The path of a file that exists. */
static char text[MEDIUM];

static ssize_t close_opened(aloop_future *open, aloop_file **file)
{
    ssize_t status = aloop_await(open);

    aloop_file_close(*file);
    return status;
}

static ssize_t run_open(const char *path)
{
    aloop_file *file = NULL;

    return close_opened(aloop_file_open(d.loop, path, O_RDONLY, 0, &file),
                        &file);
}

static ssize_t run_create(const char *path)
{
    aloop_file *file = NULL;

    return close_opened(
        aloop_file_open(d.loop, path, O_RDWR | O_CREAT, 0600, &file), &file);
}

static ssize_t run_stat(const char *path)
{
    aloop_stat stat;

    return aloop_await(aloop_fs_stat(d.loop, path, &stat));
}

static ssize_t run_lstat(const char *path)
{
    aloop_stat stat;

    return aloop_await(aloop_fs_lstat(d.loop, path, &stat));
}

static ssize_t run_statvfs(const char *path)
{
    aloop_statvfs statvfs;

    return aloop_await(aloop_fs_statvfs(d.loop, path, &statvfs));
}

static ssize_t run_access(const char *path)
{
    return aloop_await(aloop_fs_access(d.loop, path, R_OK));
}

static ssize_t run_unlink(const char *path)
{
    return aloop_await(aloop_fs_unlink(d.loop, path));
}

static ssize_t run_rename(const char *path)
{
    return aloop_await(aloop_fs_rename(d.loop, path, in_folder("new")));
}

static ssize_t run_rename_to(const char *path)
{
    return aloop_await(aloop_fs_rename(d.loop, good, path));
}

static ssize_t run_link(const char *path)
{
    return aloop_await(aloop_fs_link(d.loop, path, in_folder("new")));
}

static ssize_t run_link_to(const char *path)
{
    return aloop_await(aloop_fs_link(d.loop, good, path));
}

static ssize_t run_symlink(const char *path)
{
    return aloop_await(aloop_fs_symlink(d.loop, good, path));
}

static ssize_t run_readlink(const char *path)
{
    return aloop_await(aloop_fs_readlink(d.loop, path, text, sizeof text));
}

static ssize_t run_realpath(const char *path)
{
    return aloop_await(aloop_fs_realpath(d.loop, path, text, sizeof text));
}

static ssize_t run_mkdir(const char *path)
{
    return aloop_await(aloop_fs_mkdir(d.loop, path, 0700));
}

static ssize_t run_mkdir_all(const char *path)
{
    return aloop_await(aloop_fs_mkdir_all(d.loop, path, 0700));
}

static ssize_t run_rmdir(const char *path)
{
    return aloop_await(aloop_fs_rmdir(d.loop, path));
}

static ssize_t run_remove_all(const char *path)
{
    return aloop_await(aloop_fs_remove_all(d.loop, path));
}

static ssize_t run_chmod(const char *path)
{
    return aloop_await(aloop_fs_chmod(d.loop, path, 0600));
}

static ssize_t run_chown(const char *path)
{
    return aloop_await(aloop_fs_chown(d.loop, path, UINT32_MAX, UINT32_MAX));
}

static ssize_t run_utimens(const char *path)
{
    return aloop_await(aloop_fs_utimens(d.loop, path, 0, 0));
}

static ssize_t run_truncate(const char *path)
{
    return aloop_await(aloop_fs_truncate(d.loop, path, 0));
}

static ssize_t run_read_file(const char *path)
{
    void *data = NULL;
    ssize_t status = aloop_await(aloop_fs_read_file(d.loop, path, 9, &data));

    aloop_data_free(d.loop, data);
    return status;
}

static ssize_t run_write_file(const char *path)
{
    return aloop_await(aloop_fs_write_file(d.loop, path, "a", 1, 0600));
}

static ssize_t run_replace_file(const char *path)
{
    return aloop_await(aloop_fs_replace_file(d.loop, path, "a", 1, 0600));
}

static ssize_t run_dir_open(const char *path)
{
    aloop_dir *dir = NULL;
    ssize_t status = aloop_await(aloop_dir_open(d.loop, path, &dir));

    aloop_dir_close(dir);
    return status;
}

static ssize_t run_scan(const char *path)
{
    aloop_dir_entry *entries = NULL;
    ssize_t status = aloop_await(aloop_fs_scan(d.loop, path, 9, &entries));

    aloop_data_free(d.loop, entries);
    return status;
}

static ssize_t run_copy(const char *path)
{
    return aloop_await(aloop_fs_copy(d.loop, path, in_folder("new"), NULL));
}

static ssize_t run_copy_to(const char *path)
{
    return aloop_await(aloop_fs_copy(d.loop, good, path, NULL));
}

static const struct call calls[] = {
    {"open", run_open},
    {"create", run_create},
    {"stat", run_stat},
    {"lstat", run_lstat},
    {"statvfs", run_statvfs},
    {"access", run_access},
    {"unlink", run_unlink},
    {"rename", run_rename},
    {"rename_to", run_rename_to},
    {"link", run_link},
    {"link_to", run_link_to},
    {"symlink", run_symlink},
    {"readlink", run_readlink},
    {"realpath", run_realpath},
    {"mkdir", run_mkdir},
    {"mkdir_all", run_mkdir_all},
    {"rmdir", run_rmdir},
    {"remove_all", run_remove_all},
    {"chmod", run_chmod},
    {"chown", run_chown},
    {"utimens", run_utimens},
    {"truncate", run_truncate},
    {"read_file", run_read_file},
    {"write_file", run_write_file},
    {"replace_file", run_replace_file},
    {"dir_open", run_dir_open},
    {"scan", run_scan},
    {"copy", run_copy},
    {"copy_to", run_copy_to},
};

/* Fails with the name of the function. */
static void expect(const struct call *call, const char *path, ssize_t expected)
{
    ssize_t status = call->run(path);

    if (status != expected)
        fail_msg("%s: %s, not %s", call->name, aloop_error_name(status),
                 aloop_error_name(expected));
}

/* Expects that all functions refuse a path. */
static void expect_of_all(const char *path, ssize_t expected)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        expect(&calls[i], path, expected);
}

static void put_good(void)
{
    put_file("good", "a", 1);
    snprintf(good, sizeof good, "%s", d.path);
}

static void each_function_refuses_each_bad_path(void **state)
{
    static char path[MIB];

    (void) state;
    put_good();
    expect_of_all(NULL, ALOOP_EINVAL);
    expect_of_all("", ALOOP_ENOENT);
    memset(path, 'x', sizeof path - 1);
    expect_of_all(path, ALOOP_ENAMETOOLONG);
    for (size_t i = 0; i < sizeof path - 1; i += 2)
        path[i] = '/';
    expect_of_all(path, ALOOP_ENAMETOOLONG);
    path[MEDIUM] = '\0';
    expect_of_all(path, ALOOP_ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/%0256d", d.folder, 0);
    expect_of_all(path, ALOOP_ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/x", good);
    expect_of_all(path, ALOOP_ENOTDIR);
    assert_return_code(symlink("loop", in_folder("loop")), errno);
    snprintf(path, sizeof path, "%s/x", in_folder("loop"));
    expect_of_all(path, ALOOP_ELOOP);
}

static void each_function_needs_a_loop(void **state)
{
    aloop *loop = d.loop;

    (void) state;
    put_good();
    d.loop = NULL;
    expect_of_all(good, ALOOP_EINVAL);
    d.loop = loop;
    expect_file("good", "a", 1);
}

static void each_result_needs_memory(void **state)
{
    char name[] = "/tmp/XXXXXX", link[600];

    (void) state;
    put_good();
    assert_return_code(symlink("good", in_folder("link")), errno);
    snprintf(link, sizeof link, "%s", d.path);
    const struct {
        const char *name;
        aloop_future *future;
    } rows[] = {
        {"open", aloop_file_open(d.loop, good, O_RDONLY, 0, NULL)},
        {"stat", aloop_fs_stat(d.loop, good, NULL)},
        {"lstat", aloop_fs_lstat(d.loop, good, NULL)},
        {"statvfs", aloop_fs_statvfs(d.loop, good, NULL)},
        {"readlink", aloop_fs_readlink(d.loop, link, NULL, sizeof text)},
        {"realpath", aloop_fs_realpath(d.loop, good, NULL, sizeof text)},
        {"read_file", aloop_fs_read_file(d.loop, good, 9, NULL)},
        {"dir_open", aloop_dir_open(d.loop, d.folder, NULL)},
        {"scan", aloop_fs_scan(d.loop, d.folder, 9, NULL)},
        {"mkdtemp", aloop_fs_mkdtemp(d.loop, NULL)},
        {"mkstemp", aloop_fs_mkstemp(d.loop, name, NULL)},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (aloop_await(rows[i].future) != ALOOP_EINVAL)
            fail_msg("%s", rows[i].name);
    assert_string_equal(name, "/tmp/XXXXXX");
}

/* Each function of an open file, with an offset or a size if it has one. */
static void start_all(aloop_file *file, int64_t number,
                      aloop_future *ret[FILE_CALLS])
{
    static aloop_stat stat;
    static char byte;
    static const struct iovec one = {&byte, 1};
    aloop_future *const started[] = {
        aloop_file_read_at(file, &byte, 1, number),
        aloop_file_write_at(file, &byte, 1, number),
        aloop_file_readv_at(file, &one, 1, number),
        aloop_file_writev_at(file, &one, 1, number),
        aloop_file_truncate(file, number),
        aloop_file_read(file, &byte, 1),
        aloop_file_write(file, &byte, 1),
        aloop_file_readv(file, &one, 1),
        aloop_file_writev(file, &one, 1),
        aloop_file_seek_end(file, 0),
        aloop_file_stat(file, &stat),
        aloop_file_sync(file),
        aloop_file_datasync(file),
    };

    memcpy(ret, started, sizeof started);
}

static void each_function_needs_a_file(void **state)
{
    aloop_future *futures[FILE_CALLS];

    (void) state;
    start_all(NULL, 0, futures);
    for (int i = 0; i < FILE_CALLS; i++)
        assert_int_equal(aloop_await(futures[i]), ALOOP_EINVAL);
    assert_int_equal(aloop_file_seek(NULL, 0, SEEK_SET), ALOOP_EINVAL);
    assert_int_equal(aloop_file_position(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_file_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_file_detach(NULL), ALOOP_EINVAL);
}

static void negative_offsets_and_sizes_are_refused(void **state)
{
    static const int64_t numbers[] = {-1, -2, INT64_MIN};
    aloop_future *futures[FILE_CALLS];
    aloop_file *file = NULL;

    (void) state;
    put_file("a", "abc", 3);
    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, in_folder("a"), O_RDWR, 0, &file)),
        0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            aloop_await(aloop_fs_truncate(d.loop, d.path, numbers[i])),
            ALOOP_EINVAL);
        start_all(file, numbers[i], futures);
        for (int j = 0; j < FILE_CALLS; j++) {
            ssize_t status = aloop_await(futures[j]);

            assert_int_equal(status < 0 ? status : 0,
                             j < BY_NUMBER ? ALOOP_EINVAL : 0);
        }
    }
    assert_int_equal(aloop_file_seek(file, -1, SEEK_SET), ALOOP_EINVAL);
    aloop_file_close(file);
}

static void a_missing_directory_is_enoent(void **state)
{
    char path[600];

    (void) state;
    put_good();
    snprintf(path, sizeof path, "%s", in_folder("none/x"));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i].run != run_mkdir_all)
            expect(&calls[i], path, ALOOP_ENOENT);
}

/* In a child of another user, because root may do everything. */
static void check_as_other_user(void (*look)(void))
{
    pid_t child = fork();

    if (child == 0) {
        if (geteuid() == 0)
            CHECK(chmod(d.folder, 0777) == 0 && setuid(OTHER_USER) == 0);
        CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
        d.loop = aloop_new(NULL);
        look();
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
}

static void look_into_directory(void)
{
    char path[600];

    snprintf(path, sizeof path, "%s", in_folder("dir/x"));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        CHECK(calls[i].run(path) == ALOOP_EACCES);
}

static void a_directory_without_permission_is_eacces(void **state)
{
    (void) state;
    if (!HAS_THREADS_AFTER_FORK)
        skip();
    put_good();
    assert_return_code(mkdir(in_folder("dir"), 0), errno);
    check_as_other_user(look_into_directory);
    assert_return_code(rmdir(in_folder("dir")), errno);
}

/* Other functions need no permission of the file itself. */
static void use_secret(void)
{
    static ssize_t (*const runs[])(const char *path) = {
        run_open,       run_create, run_truncate, run_read_file,
        run_write_file, run_access, run_copy,
    };
    char path[600];

    snprintf(path, sizeof path, "%s", in_folder("secret"));
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        CHECK(runs[i](path) == ALOOP_EACCES);
    snprintf(path, sizeof path, "%s", in_folder("dir"));
    CHECK(run_dir_open(path) == ALOOP_EACCES);
    CHECK(run_scan(path) == ALOOP_EACCES);
}

static void a_file_without_permission_is_eacces(void **state)
{
    (void) state;
    if (!HAS_THREADS_AFTER_FORK)
        skip();
    put_good();
    put_file("secret", "a", 1);
    assert_return_code(chmod(d.path, 0), errno);
    assert_return_code(mkdir(in_folder("dir"), 0), errno);
    check_as_other_user(use_secret);
    assert_return_code(rmdir(in_folder("dir")), errno);
}

static aloop_file *open_file(const char *name, int flags)
{
    aloop_file *file = NULL;

    assert_int_equal(aloop_await(aloop_file_open(d.loop, in_folder(name), flags,
                                                 0600, &file)),
                     0);
    return file;
}

/* The operations begin after the file has become shorter. */
static void a_file_that_shrinks_is_read_as_far_as_it_goes(void **state)
{
    static char data[MIB];
    aloop_future *read, *whole;
    aloop_file *file;
    void *found = NULL;

    (void) state;
    put_file("a", data, sizeof data);
    file = open_file("a", O_RDONLY);
    jam_files();
    read = aloop_file_read(file, data, sizeof data);
    whole = aloop_fs_read_file(d.loop, in_folder("a"), sizeof data, &found);
    assert_return_code(truncate(in_folder("a"), NEW_SIZE), errno);
    free_files();
    assert_int_equal(aloop_await(read), NEW_SIZE);
    assert_int_equal(aloop_await(whole), NEW_SIZE);
    assert_int_equal(aloop_file_position(file), NEW_SIZE);
    aloop_data_free(d.loop, found);
    aloop_file_close(file);
}

/* A file of this size is left to a thread, also if it is cached. */
static void a_file_that_grows_is_read_to_its_new_end(void **state)
{
    static char data[MIB];
    aloop_future *read, *whole;
    aloop_file *file;
    void *found = NULL;

    (void) state;
    memset(data, 'x', sizeof data);
    put_file("a", data, MIB / 2);
    file = open_file("a", O_RDONLY);
    jam_files();
    whole = aloop_fs_read_file(d.loop, in_folder("a"), sizeof data, &found);
    put_file("a", data, MIB);
    memset(data, 0, sizeof data);
    read = aloop_file_read(file, data, sizeof data);
    free_files();
    assert_int_equal(aloop_await(whole), MIB);
    assert_int_equal(aloop_await(read), MIB);
    assert_memory_equal(found, data, MIB);
    aloop_data_free(d.loop, found);
    aloop_file_close(file);
}

#if defined __linux__
/* Mounts a file system for 16 pages and a few files, if this process may. */
static bool mount_small(const char *path)
{
    return (unshare(CLONE_NEWNS) == 0 ||
            unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=64k,nr_inodes=3") == 0;
}
#else
static bool mount_small(const char *path)
{
    (void) path;
    return false;
}
#endif

/* There is no space for the data, but for two files. */
static void fill_with_data(const char *source)
{
    static char data[MIB];
    char name[600];
    aloop_file *file = open_file("a", O_RDWR | O_CREAT);

    CHECK(aloop_await(aloop_file_write(file, data, MIB)) == ALOOP_ENOSPC);
    CHECK(aloop_file_position(file) == 64 << 10);
    CHECK(aloop_await(aloop_file_write_at(file, data, MIB, 1)) == ALOOP_ENOSPC);
    CHECK(aloop_await(aloop_file_sync(file)) == 0);
    snprintf(name, sizeof name, "%s", in_folder("b"));
    CHECK(aloop_await(aloop_fs_copy(d.loop, source, name, NULL)) ==
          ALOOP_ENOSPC);
    CHECK(access(name, F_OK) < 0);
    aloop_file_close(file);
}

/* There is no space for another file. */
static void fill_with_names(void)
{
    char name[600];
    aloop_file *file = NULL;

    CHECK(run_create(in_folder("b")) == 0);
    CHECK(run_create(in_folder("c")) == ALOOP_ENOSPC);
    CHECK(run_mkdir(in_folder("c")) == ALOOP_ENOSPC);
    CHECK(run_mkdir_all(in_folder("c/d")) == ALOOP_ENOSPC);
    CHECK(run_symlink(in_folder("c")) == ALOOP_ENOSPC);
    CHECK(run_write_file(in_folder("c")) == ALOOP_ENOSPC);
    CHECK(run_replace_file(in_folder("b")) == ALOOP_ENOSPC);
    snprintf(name, sizeof name, "%s", in_folder("XXXXXX"));
    CHECK(aloop_await(aloop_fs_mkdtemp(d.loop, name)) == ALOOP_ENOSPC);
    CHECK(aloop_await(aloop_fs_mkstemp(d.loop, name, &file)) == ALOOP_ENOSPC);
    CHECK(strcmp(name, in_folder("XXXXXX")) == 0);
}

static void a_full_disk_is_enospc(void **state)
{
    static char data[MIB];
    char source[600];
    pid_t child;

    (void) state;
    if (!HAS_THREADS_AFTER_FORK)
        skip();
    put_file("source", data, sizeof data);
    child = fork();
    if (child == 0) {
        int fd = open(in_folder("source"), O_RDONLY); /* It will be hidden. */

        CHECK(fd >= 0);
        snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
        if (!mount_small(d.folder))
            _exit(CHILD_SKIPS);
        CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
        d.loop = aloop_new(NULL);
        fill_with_data(source);
        fill_with_names();
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    if (!has_child_succeeded(child))
        skip();
}

static ssize_t always_fail(void *item)
{
    (void) item;
    return ALOOP_EIO;
}

/* Otherwise the addresses of the items would begin again at 0. */
static void items_larger_than_any_array_are_refused(void **state)
{
    char item;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_work_map(d.loop, always_fail, &item, SIZE_MAX, 2, 1)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_work_map(d.loop, always_fail, &item, 2,
                                                PTRDIFF_MAX, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_work_map(d.loop, always_fail, &item, SIZE_MAX, 0, 1)),
        ALOOP_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_function_refuses_each_bad_path),
        TEST(each_function_needs_a_loop),
        TEST(each_result_needs_memory),
        TEST(each_function_needs_a_file),
        TEST(negative_offsets_and_sizes_are_refused),
        TEST(a_missing_directory_is_enoent),
        TEST(a_directory_without_permission_is_eacces),
        TEST(a_file_without_permission_is_eacces),
        TEST(a_file_that_shrinks_is_read_as_far_as_it_goes),
        TEST(a_file_that_grows_is_read_to_its_new_end),
        TEST(a_full_disk_is_enospc),
        TEST(items_larger_than_any_array_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
