/* Tests of os/sys_file.h that hold on the real system and on the simulated one.
 *
 * A file that includes this one defines the functions that are declared below,
 * and adds FILE_TESTS to its list of tests. */

#ifndef FILE_TESTS_H
#define FILE_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/sys_file.h"

enum { BLOCK = 65536, FAR = 16 * BLOCK, MANY = 200 };

/* The folder of the test, which is empty in the beginning. */
static struct {
    char path[256];
    int folder;
} ft;

/* Creates the folder and writes its absolute path, which has no links. */
static void make_folder(char *ret_path, size_t size);
/* Removes what is left of it. */
static void remove_folder(const char *path);
static void make_fifo(const char *path);
/* Limits the size that files may get (RLIMIT_FSIZE); -1: no limit. */
static void limit_size(int64_t size);
static unsigned open_count(void); /* Of descriptors. */

static unsigned ft_open_before;

static int file_set_up(void **state)
{
    (void) state;
    make_folder(ft.path, sizeof ft.path);
    ft_open_before = open_count();
    ft.folder = aloop__sys_openat(SYS_CWD, ft.path, O_RDONLY | O_DIRECTORY, 0);
    return ft.folder < 0;
}

static int file_tear_down(void **state)
{
    bool is_clean;

    (void) state;
    aloop__sys_close(ft.folder);
    is_clean = open_count() == ft_open_before;
    if (!is_clean)
        print_error("descriptors are still open\n");
    remove_folder(ft.path);
    return !is_clean;
}

/* Helpers.  Names are relative to the folder. */

static int open_at(const char *name, int flags)
{
    return aloop__sys_openat(ft.folder, name, flags, 0600);
}

static int create(const char *name)
{
    int fd = open_at(name, O_RDWR | O_CREAT | O_EXCL);

    assert_true(fd >= 0);
    return fd;
}

static ssize_t put(int fd, const char *text, int64_t offset)
{
    struct sys_piece piece = {text, strlen(text)};

    return aloop__sys_pwritev(fd, &piece, 1, offset);
}

static ssize_t get(int fd, void *buffer, size_t size, int64_t offset)
{
    struct sys_piece piece = {buffer, size};

    return aloop__sys_preadv(fd, &piece, 1, offset);
}

static void expect_text(int fd, const char *text)
{
    char buffer[256] = "";
    size_t size = 0;
    ssize_t count;

    while ((count = get(fd, buffer + size, sizeof buffer - 1 - size,
                        (int64_t) size)) > 0)
        size += (size_t) count;
    assert_int_equal(count, 0);
    assert_string_equal(buffer, text);
}

static void expect_content(const char *name, const char *text)
{
    int fd = open_at(name, O_RDONLY);

    assert_true(fd >= 0);
    expect_text(fd, text);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static void put_all(int fd, const char *text, int64_t offset)
{
    while (*text != '\0') {
        ssize_t count = put(fd, text, offset);

        assert_true(count > 0);
        text += count;
        offset += count;
    }
}

static void create_with(const char *name, const char *text)
{
    int fd = create(name);

    put_all(fd, text, 0);
    assert_int_equal(aloop__sys_close(fd), 0);
}

static aloop_stat stat_of(const char *name)
{
    aloop_stat status;

    assert_int_equal(aloop__sys_statat(ft.folder, name, false, &status), 0);
    return status;
}

static bool exists(const char *name)
{
    aloop_stat status;

    return aloop__sys_statat(ft.folder, name, false, &status) == 0;
}

static void make_directory(const char *name)
{
    assert_int_equal(aloop__sys_mkdirat(ft.folder, name, 0700), 0);
}

static const char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", ft.path, name);
    return path;
}

/* Opening. */

static void an_open_creates_a_file_only_if_asked(void **state)
{
    int fd;

    (void) state;
    assert_int_equal(open_at("a", O_RDWR), -ENOENT);
    create_with("a", "text");
    assert_int_equal(open_at("a", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    fd = open_at("a", O_RDWR | O_CREAT);
    expect_text(fd, "text");
    aloop__sys_close(fd);
    fd = open_at("a", O_RDWR | O_TRUNC);
    expect_text(fd, "");
    aloop__sys_close(fd);
    assert_int_equal(stat_of("a").mode, 0600);
}

static void a_path_that_cannot_be_opened_is_an_error(void **state)
{
    static char name[257], path[SYS_PATH_MAX + 1];

    (void) state;
    memset(name, 'x', sizeof name - 1);
    memset(path, '/', sizeof path - 1);
    create_with("file", "");
    make_directory("dir");
    assert_int_equal(open_at("", O_RDONLY), -ENOENT);
    assert_int_equal(open_at("file/a", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_at("file/", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_at("file", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    assert_int_equal(open_at("dir", O_RDWR), -EISDIR);
    assert_int_equal(open_at("none/a", O_RDWR | O_CREAT), -ENOENT);
    assert_int_equal(open_at(name, O_RDWR | O_CREAT), -ENAMETOOLONG);
    assert_int_equal(open_at(path, O_RDONLY), -ENAMETOOLONG);
}

static void a_relative_path_begins_at_its_directory(void **state)
{
    int dir, file;

    (void) state;
    make_directory("dir");
    make_directory("dir/in");
    create_with("dir/a", "in dir");
    create_with("a", "outside");
    dir = open_at("dir", O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);

    for (size_t i = 0; i < 4; i++) {
        static const char *const paths[] = {"a", "./a", "in/../a", "../dir//a"};
        int fd = aloop__sys_openat(dir, paths[i], O_RDONLY, 0);

        expect_text(fd, "in dir");
        aloop__sys_close(fd);
    }
    file = aloop__sys_openat(dir, "../a", O_RDONLY, 0);
    expect_text(file, "outside");
    assert_int_equal(aloop__sys_openat(file, "a", O_RDONLY, 0), -ENOTDIR);
    aloop__sys_close(file);
    file = aloop__sys_openat(dir, path_of("a"), O_RDONLY, 0);
    expect_text(file, "outside");
    aloop__sys_close(file);
    aloop__sys_close(dir);
}

static void a_descriptor_knows_its_flags(void **state)
{
    int fd = create("a");

    (void) state;
    assert_int_equal(aloop__sys_file_flags(fd) & O_ACCMODE, O_RDWR);
    assert_int_equal(aloop__sys_file_flags(fd) & (O_APPEND | O_NONBLOCK), 0);
    assert_int_equal(aloop__sys_file_set_blocking(fd, false), 0);
    assert_true((aloop__sys_file_flags(fd) & O_NONBLOCK) != 0);
    assert_int_equal(aloop__sys_file_set_blocking(fd, true), 0);
    assert_true((aloop__sys_file_flags(fd) & O_NONBLOCK) == 0);
    aloop__sys_close(fd);
    fd = open_at("a", O_WRONLY | O_APPEND);
    assert_int_equal(aloop__sys_file_flags(fd) & (O_ACCMODE | O_APPEND),
                     O_WRONLY | O_APPEND);
    aloop__sys_close(fd);
    assert_int_equal(aloop__sys_file_flags(-1), -EBADF);
    assert_int_equal(aloop__sys_file_set_blocking(-1, true), -EBADF);
}

/* Data. */

/* Short counts are allowed, so that this repeats the call. */
static void write_pieces(int fd, struct sys_piece *pieces, size_t count,
                         int64_t offset)
{
    while (count > 0) {
        ssize_t result = aloop__sys_pwritev(fd, pieces, count, offset);

        assert_true(result > 0);
        offset += result;
        while (count > 0 && (size_t) result >= pieces->size) {
            result -= (ssize_t) pieces->size;
            pieces++;
            count--;
        }
        if (count > 0) {
            pieces->data = (const char *) pieces->data + result;
            pieces->size -= (size_t) result;
        }
    }
}

static void pieces_are_written_and_read_in_order(void **state)
{
    struct sys_piece written[] = {{"one ", 4}, {"", 0}, {"two", 3}, {"!", 1}};
    char first[3] = "", second[8] = "";
    struct sys_piece read[] = {{first, 2}, {NULL, 0}, {second, 7}};
    int fd = create("a");
    ssize_t count;

    (void) state;
    write_pieces(fd, written, 4, 0);
    expect_text(fd, "one two!");

    count = aloop__sys_preadv(fd, read, 3, 1);
    assert_true(count > 0 && count <= 7);
    assert_memory_equal(first, "ne", count < 2 ? (size_t) count : 2);
    if (count > 2)
        assert_memory_equal(second, " two!", (size_t) count - 2);
    assert_int_equal(aloop__sys_preadv(fd, read, 0, 0), 0);
    assert_int_equal(aloop__sys_pwritev(fd, written, 0, 100), 0);
    assert_int_equal(stat_of("a").size, 8);
    aloop__sys_close(fd);
}

static void a_read_ends_at_the_end_of_the_file(void **state)
{
    char byte;
    int fd = create("a");

    (void) state;
    put(fd, "x", 0);
    assert_int_equal(get(fd, &byte, 1, 0), 1);
    assert_int_equal(get(fd, &byte, 1, 1), 0);
    assert_int_equal(get(fd, &byte, 1, FAR), 0);
    assert_int_equal(get(fd, &byte, 1, -1), -EINVAL);
    assert_int_equal(put(fd, "x", -1), -EINVAL);
    aloop__sys_close(fd);
}

static void an_access_that_was_not_asked_for_is_an_error(void **state)
{
    char byte;
    int fd;

    (void) state;
    create_with("a", "x");
    fd = open_at("a", O_RDONLY);
    assert_int_equal(put(fd, "x", 0), -EBADF);
    assert_true(aloop__sys_ftruncate(fd, 0) < 0);
    aloop__sys_close(fd);
    fd = open_at("a", O_WRONLY);
    assert_int_equal(get(fd, &byte, 1, 0), -EBADF);
    aloop__sys_close(fd);
    assert_int_equal(get(ft.folder, &byte, 1, 0), -EISDIR);
    assert_int_equal(get(-1, &byte, 1, 0), -EBADF);
    assert_int_equal(put(-1, "x", 0), -EBADF);
}

static void a_write_beyond_the_end_leaves_zeros(void **state)
{
    char buffer[8];
    int fd = create("a");

    (void) state;
    assert_int_equal(put(fd, "a", 0), 1);
    assert_int_equal(put(fd, "b", 4), 1);
    assert_int_equal(stat_of("a").size, 5);
    for (int64_t at = 0; at < 5; at++)
        assert_int_equal(get(fd, buffer + at, 1, at), 1);
    assert_memory_equal(buffer, "a\0\0\0b", 5);
    assert_int_equal(put(fd, "z", INT64_C(5) << 32), 1);
    assert_int_equal(stat_of("a").size, (INT64_C(5) << 32) + 1);
    assert_true(stat_of("a").allocated_size < FAR);
    aloop__sys_close(fd);
}

/* Other systems than Linux write at the offset. */
static void an_appending_write_is_at_the_end(void **state)
{
    int fd;

    (void) state;
    create_with("a", "one");
    fd = open_at("a", O_RDWR | O_APPEND);
#ifdef __linux__
    assert_int_equal(put(fd, "2", 0), 1);
#else
    assert_int_equal(put(fd, "2", 3), 1);
#endif
    expect_text(fd, "one2");
    aloop__sys_close(fd);
}

static void a_truncation_cuts_or_adds_zeros(void **state)
{
    char buffer[6];
    int fd = create("a");

    (void) state;
    put(fd, "x", 0);
    put(fd, "y", 1);
    assert_int_equal(aloop__sys_ftruncate(fd, 1), 0);
    assert_int_equal(stat_of("a").size, 1);
    assert_int_equal(aloop__sys_ftruncate(fd, 3), 0);
    for (int64_t at = 0; at < 3; at++)
        assert_int_equal(get(fd, buffer + at, 1, at), 1);
    assert_memory_equal(buffer, "x\0\0", 3);
    assert_int_equal(aloop__sys_ftruncate(fd, -1), -EINVAL);
    aloop__sys_close(fd);
}

static void fill(int fd, int64_t from, int64_t to)
{
    static const char block[BLOCK] = {1};

    while (from < to) {
        struct sys_piece piece = {
            block, to - from < BLOCK ? (size_t) (to - from) : BLOCK};
        ssize_t count = aloop__sys_pwritev(fd, &piece, 1, from);

        assert_true(count > 0);
        from += count;
    }
}

/* Data from 0 to BLOCK and from FAR to FAR + BLOCK. */
static void a_search_finds_data_and_holes(void **state)
{
    int fd = create("a");
    int64_t hole;

    (void) state;
    fill(fd, 0, BLOCK);
    fill(fd, FAR, FAR + BLOCK);
    assert_int_equal(aloop__sys_seek(fd, 0, SYS_SEEK_END), FAR + BLOCK);
    assert_int_equal(aloop__sys_seek(fd, -1, SYS_SEEK_CURRENT),
                     FAR + BLOCK - 1);
    assert_int_equal(aloop__sys_seek(fd, 0, SYS_SEEK_CURRENT), FAR + BLOCK - 1);

    hole = aloop__sys_seek(fd, 0, SYS_SEEK_HOLE);
    if (hole != -EINVAL) {
        assert_true(hole == BLOCK || hole == FAR + BLOCK);
        assert_int_equal(aloop__sys_seek(fd, 1, SYS_SEEK_DATA), 1);
        assert_int_equal(aloop__sys_seek(fd, FAR, SYS_SEEK_HOLE), FAR + BLOCK);
        assert_int_equal(aloop__sys_seek(fd, FAR + BLOCK, SYS_SEEK_DATA),
                         -ENXIO);
        assert_int_equal(aloop__sys_seek(fd, FAR + BLOCK, SYS_SEEK_HOLE),
                         -ENXIO);
        assert_true(aloop__sys_seek(fd, -1, SYS_SEEK_DATA) < 0);
    }
    if (hole == BLOCK)
        assert_int_equal(aloop__sys_seek(fd, BLOCK, SYS_SEEK_DATA), FAR);
    assert_int_equal(aloop__sys_seek(fd, -2 * FAR, SYS_SEEK_CURRENT), -EINVAL);
    assert_int_equal(aloop__sys_seek(fd, 5, SYS_SEEK_START), 5);
    assert_int_equal(aloop__sys_seek(fd, 1, SYS_SEEK_CURRENT), 6);
    assert_int_equal(aloop__sys_seek(fd, -1, SYS_SEEK_START), -EINVAL);
    assert_int_equal(aloop__sys_seek(-1, 0, SYS_SEEK_END), -EBADF);
    aloop__sys_close(fd);
}

static void files_and_directories_are_synced(void **state)
{
    int fd = create("a");

    (void) state;
    put(fd, "x", 0);
    assert_int_equal(aloop__sys_fdatasync(fd), 0);
    assert_int_equal(aloop__sys_fsync(fd), 0);
    assert_int_equal(aloop__sys_fsync(ft.folder), 0);
    assert_int_equal(aloop__sys_fsync(-1), -EBADF);
    assert_int_equal(aloop__sys_fdatasync(-1), -EBADF);
    aloop__sys_close(fd);
}

static void a_file_does_not_grow_beyond_the_limit(void **state)
{
    int fd = create("a");
    ssize_t count;

    (void) state;
    limit_size(6);
    count = put(fd, "12345678", 0);
    assert_true(count > 0 && count <= 6);
    for (int64_t at = count; at < 6; at++)
        assert_int_equal(put(fd, "x", at), 1);
    assert_int_equal(put(fd, "x", 6), -EFBIG);
    assert_int_equal(put(fd, "x", FAR), -EFBIG);
    assert_int_equal(aloop__sys_ftruncate(fd, 7), -EFBIG);
    assert_int_equal(aloop__sys_ftruncate(fd, 6), 0);
    assert_int_equal(stat_of("a").size, 6);
    limit_size(-1);
    assert_int_equal(put(fd, "x", 6), 1);
    aloop__sys_close(fd);
}

/* What other calls promise only if they succeed. */
static void copies_inside_the_kernel_are_exact_or_refused(void **state)
{
    char buffer[2] = "";
    int from = create("a"), to = create("b");
    ssize_t count;

    (void) state;
    fill(from, 0, BLOCK);
    put_all(from, "xy", BLOCK - 2);
    if (aloop__sys_clone(from, to) == 0)
        assert_int_equal(stat_of("b").size, BLOCK);
    assert_true(aloop__sys_clone(from, -1) < 0);
    count = aloop__sys_copy_range(from, BLOCK - 2, to, 0, 2);
    if (count > 0) {
        assert_true(count <= 2);
        for (int64_t at = 0; at < count; at++)
            assert_int_equal(get(to, buffer + at, 1, at), 1);
        assert_memory_equal(buffer, "xy", (size_t) count);
    }
    assert_true(aloop__sys_copy_range(from, FAR, to, 0, 2) <= 0);
    assert_true(aloop__sys_copy_range(-1, 0, to, 0, 2) < 0);
    aloop__sys_close(from);
    aloop__sys_close(to);
}

/* Attributes. */

static void the_attributes_describe_the_file(void **state)
{
    aloop_stat a, b;
    int fd;

    (void) state;
    create_with("a", "text");
    fd = open_at("a", O_RDONLY);
    assert_int_equal(aloop__sys_fstat(fd, &a), 0);
    assert_int_equal(a.type, ALOOP_FILE_REGULAR);
    assert_int_equal(a.mode, 0600);
    assert_int_equal(a.size, 4);
    assert_int_equal(a.links, 1);
    assert_true(a.modified_ns > 0 && a.changed_ns > 0 && a.accessed_ns > 0);
    b = stat_of("a");
    assert_int_equal(b.inode, a.inode);
    assert_int_equal(b.device, a.device);
    assert_int_equal(stat_of(".").type, ALOOP_FILE_DIRECTORY);
    assert_int_equal(stat_of(".").device, a.device);
    assert_int_not_equal(stat_of(".").inode, a.inode);
    assert_int_equal(aloop__sys_fstat(-1, &a), -EBADF);
    assert_int_equal(aloop__sys_statat(ft.folder, "none", true, &a), -ENOENT);
    assert_int_equal(aloop__sys_statat(ft.folder, "a/b", true, &a), -ENOTDIR);
    aloop__sys_close(fd);
}

static void the_mode_can_be_changed(void **state)
{
    int fd = create("a");

    (void) state;
    assert_int_equal(aloop__sys_fchmod(fd, 0640), 0);
    assert_int_equal(stat_of("a").mode, 0640);
    assert_int_equal(aloop__sys_chmodat(ft.folder, "a", 04711), 0);
    assert_int_equal(stat_of("a").mode, 04711);
    assert_int_equal(stat_of("a").type, ALOOP_FILE_REGULAR);
    assert_int_equal(aloop__sys_chmodat(ft.folder, "none", 0), -ENOENT);
    assert_int_equal(aloop__sys_fchmod(-1, 0), -EBADF);
    aloop__sys_close(fd);
}

static void an_owner_of_all_ones_is_left_as_it_is(void **state)
{
    aloop_stat before, after;
    int fd = create("a");

    (void) state;
    before = stat_of("a");
    assert_int_equal(aloop__sys_fchown(fd, before.user, UINT32_MAX), 0);
    assert_int_equal(aloop__sys_fchown(fd, UINT32_MAX, before.group), 0);
    assert_int_equal(
        aloop__sys_chownat(ft.folder, "a", UINT32_MAX, UINT32_MAX, true), 0);
    after = stat_of("a");
    assert_int_equal(after.user, before.user);
    assert_int_equal(after.group, before.group);
    assert_int_equal(aloop__sys_symlinkat("none", ft.folder, "l"), 0);
    assert_int_equal(
        aloop__sys_chownat(ft.folder, "l", before.user, UINT32_MAX, false), 0);
    assert_int_equal(
        aloop__sys_chownat(ft.folder, "l", before.user, UINT32_MAX, true),
        -ENOENT);
    aloop__sys_close(fd);
}

static void times_are_set_to_the_nanosecond_or_left(void **state)
{
    const int64_t ns = 1234567890987654300;
    int fd = create("a");

    (void) state;
    assert_int_equal(aloop__sys_futimens(fd, ns, -1000000100), 0);
    assert_int_equal(stat_of("a").accessed_ns, ns);
    assert_int_equal(stat_of("a").modified_ns, -1000000100);
    assert_int_equal(aloop__sys_futimens(fd, INT64_MIN, 100), 0);
    assert_int_equal(stat_of("a").accessed_ns, ns);
    assert_int_equal(stat_of("a").modified_ns, 100);
    assert_int_equal(aloop__sys_utimensat(ft.folder, "a", 200, INT64_MIN, true),
                     0);
    assert_int_equal(stat_of("a").accessed_ns, 200);
    assert_int_equal(stat_of("a").modified_ns, 100);
    assert_int_equal(aloop__sys_symlinkat("none", ft.folder, "l"), 0);
    assert_int_equal(aloop__sys_utimensat(ft.folder, "l", 1, 300, false), 0);
    assert_int_equal(stat_of("l").modified_ns, 300);
    assert_int_equal(aloop__sys_utimensat(ft.folder, "l", 1, 300, true),
                     -ENOENT);
    aloop__sys_close(fd);
}

/* Permission to execute is refused to root as well. */
static void an_access_check_opens_nothing(void **state)
{
    (void) state;
    create_with("a", "");
    assert_int_equal(aloop__sys_accessat(ft.folder, "a", F_OK), 0);
    assert_int_equal(aloop__sys_accessat(ft.folder, "a", R_OK | W_OK), 0);
    assert_int_equal(aloop__sys_accessat(ft.folder, "a", X_OK), -EACCES);
    assert_int_equal(aloop__sys_accessat(ft.folder, "none", F_OK), -ENOENT);
}

static void a_file_system_describes_itself(void **state)
{
    aloop_statvfs found;

    (void) state;
    assert_int_equal(aloop__sys_statvfs(ft.path, &found), 0);
    assert_true(found.size >= found.free_size);
    assert_true(found.free_size >= found.available_size);
    assert_true(found.block_size > 0);
    assert_true(found.name_max >= 255);
    assert_false(found.is_read_only);
    assert_int_equal(aloop__sys_statvfs(path_of("none"), &found), -ENOENT);
}

#include "support/file_name_tests.h"

#define FILE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, file_set_up, file_tear_down)

#define FILE_TESTS \
    FILE_TEST(an_open_creates_a_file_only_if_asked), \
        FILE_TEST(a_path_that_cannot_be_opened_is_an_error), \
        FILE_TEST(a_relative_path_begins_at_its_directory), \
        FILE_TEST(a_descriptor_knows_its_flags), \
        FILE_TEST(pieces_are_written_and_read_in_order), \
        FILE_TEST(a_read_ends_at_the_end_of_the_file), \
        FILE_TEST(an_access_that_was_not_asked_for_is_an_error), \
        FILE_TEST(a_write_beyond_the_end_leaves_zeros), \
        FILE_TEST(an_appending_write_is_at_the_end), \
        FILE_TEST(a_truncation_cuts_or_adds_zeros), \
        FILE_TEST(a_search_finds_data_and_holes), \
        FILE_TEST(files_and_directories_are_synced), \
        FILE_TEST(a_file_does_not_grow_beyond_the_limit), \
        FILE_TEST(copies_inside_the_kernel_are_exact_or_refused), \
        FILE_TEST(the_attributes_describe_the_file), \
        FILE_TEST(the_mode_can_be_changed), \
        FILE_TEST(an_owner_of_all_ones_is_left_as_it_is), \
        FILE_TEST(times_are_set_to_the_nanosecond_or_left), \
        FILE_TEST(an_access_check_opens_nothing), \
        FILE_TEST(a_file_system_describes_itself), FILE_NAME_TESTS

#endif
