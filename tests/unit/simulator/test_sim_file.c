/* The simulated file system: the tests of the real one, and what only a
 * simulation can show. */

#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* For O_NOFOLLOW. */

#include "support/file_tests.h"

#include "os/sys_stdio.h"
#include "os/sys_stream.h"
#include "simulator/sim.h"
#include "simulator/sim_file.h"

static bool is_random; /* The world of the tests that follow. */

static void make_folder(char *ret_path, size_t size)
{
    sim_reset(1);
    if (is_random)
        sim_chaos();
    sim_file_mkdir("/tmp/folder");
    snprintf(ret_path, size, "/tmp/folder");
}

static void remove_folder(const char *path)
{
    (void) path;
    sim_end();
}

static void make_fifo(const char *path)
{
    sim_file_fifo(path);
}

static void limit_size(int64_t size)
{
    sim_file_size_max(size);
}

static unsigned open_count(void)
{
    return sim_descriptors_open();
}

/* Returns the content, of which there are at most 255 bytes. */
static const char *content(const char *name)
{
    static char text[256];
    ssize_t size = sim_file_get(path_of(name), text, sizeof text - 1);

    assert_in_range(size, 0, sizeof text - 1);
    text[size] = '\0';
    return text;
}

static void files_can_be_made_and_read_from_outside(void **state)
{
    static char block[3 * BLOCK / 2];
    char byte;

    (void) state;
    memset(block, 'x', sizeof block);
    sim_file_put(path_of("dir/in/a"), block, sizeof block);
    sim_file_put(path_of("dir/b"), "text", 4);
    expect_content("dir/b", "text");
    assert_string_equal(content("dir/b"), "text");
    assert_int_equal(sim_file_get(path_of("dir/in/a"), &byte, 1),
                     3 * BLOCK / 2);
    assert_int_equal(sim_file_get(path_of("none"), NULL, 0), -ENOENT);
    assert_int_equal(sim_file_get(path_of("dir"), NULL, 0), -EISDIR);
    assert_int_equal(sim_file_count(ft.path), 4);
    sim_file_put(path_of("dir/b"), "s", 1);
    assert_string_equal(content("dir/b"), "s");
}

static void a_fault_has_no_effect(void **state)
{
    (void) state;
    sim_fail("aloop__sys_openat", 1, -EIO);
    assert_int_equal(open_at("a", O_RDWR | O_CREAT), -EIO);
    sim_fail("aloop__sys_mkdirat", 1, -ENOSPC);
    assert_int_equal(aloop__sys_mkdirat(ft.folder, "a", 0700), -ENOSPC);
    assert_false(exists("a"));
}

static void an_open_without_a_number_creates_no_file(void **state)
{
    (void) state;
    sim_descriptors_max(1);
    assert_int_equal(open_at("a", O_RDWR | O_CREAT), -EMFILE);
    sim_descriptors_max(0);
    assert_false(exists("a"));
}

static void a_full_device_takes_a_part_and_then_nothing(void **state)
{
    static const char block[BLOCK] = {0};
    const struct sys_piece piece = {block, BLOCK};
    struct sim_device *device = sim_mount(path_of("small"));
    aloop_statvfs found;
    ssize_t count;
    int fd;

    (void) state;
    device->size_max = 10000;
    fd = create("small/a");
    count = aloop__sys_pwritev(fd, &piece, 1, 0);
    assert_int_equal(count, 8192);
    assert_int_equal(aloop__sys_pwritev(fd, &piece, 1, 8192), -ENOSPC);
    assert_int_equal(put(fd, "fits into a block", 0), 17);
    assert_int_equal(aloop__sys_statvfs(path_of("small"), &found), 0);
    assert_int_equal(found.size, 10000);
    assert_int_equal(found.free_size, 10000 - 8192);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "small/a"), 0);
    assert_int_equal(aloop__sys_pwritev(fd, &piece, 1, 8192), -ENOSPC);
    aloop__sys_close(fd);
    fd = create("small/b");
    assert_int_equal(put(fd, "x", 0), 1);
    aloop__sys_close(fd);
}

static void devices_are_separate(void **state)
{
    int from, to;

    (void) state;
    sim_mount(path_of("other"));
    create_with("a", "x");
    assert_int_not_equal(stat_of("other").device, stat_of("a").device);
    assert_int_equal(rename_to("a", "other/a"), -EXDEV);
    assert_int_equal(aloop__sys_linkat(ft.folder, "a", ft.folder, "other/a"),
                     -EXDEV);
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "other"), -EBUSY);
    assert_int_equal(rename_to("other", "moved"), -EBUSY);
    from = open_at("a", O_RDONLY);
    to = create("other/b");
    assert_int_equal(aloop__sys_clone(from, to), -EXDEV);
    assert_int_equal(aloop__sys_copy_range(from, 0, to, 0, 1), -EXDEV);
    aloop__sys_close(from);
    aloop__sys_close(to);
}

static void a_read_only_device_refuses_changes(void **state)
{
    int fd;

    (void) state;
    sim_file_put(path_of("other/a"), "x", 1);
    sim_device(path_of("other/a"))->is_read_only = true;
    assert_int_equal(open_at("other/a", O_RDWR), -EROFS);
    assert_int_equal(open_at("other/b", O_RDWR | O_CREAT), -EROFS);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "other/a"), -EROFS);
    assert_int_equal(aloop__sys_chmodat(ft.folder, "other/a", 0), -EROFS);
    fd = open_at("other/a", O_RDONLY);
    expect_text(fd, "x");
    aloop__sys_close(fd);
}

static void another_user_has_no_more_than_the_permissions(void **state)
{
    int fd;

    (void) state;
    sim_file_put(path_of("open/a"), "x", 1);
    sim_file_put(path_of("closed/a"), "x", 1);
    aloop__sys_chmodat(ft.folder, "closed", 0700);
    aloop__sys_chmodat(ft.folder, "open/a", 0604);
    sim_file_user(1000);
    fd = open_at("open/a", O_RDONLY);
    assert_true(fd >= 0);
    aloop__sys_close(fd);
    assert_int_equal(open_at("open/a", O_RDWR), -EACCES);
    assert_int_equal(open_at("closed/a", O_RDONLY), -EACCES);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "open/a"), -EACCES);
    assert_int_equal(aloop__sys_accessat(ft.folder, "open/a", W_OK), -EACCES);
    assert_int_equal(aloop__sys_chmodat(ft.folder, "open/a", 0777), -EPERM);
    assert_int_equal(aloop__sys_chownat(ft.folder, "open/a", 1000, 1000, true),
                     -EPERM);
}

static void clones_and_copies_depend_on_the_device(void **state)
{
    int from, to;

    (void) state;
    create_with("a", "text");
    from = open_at("a", O_RDONLY);
    to = create("b");
    assert_int_equal(aloop__sys_clone(from, to), -EOPNOTSUPP);
    assert_int_equal(aloop__sys_copy_range(from, 0, to, 0, 2), 2);
    expect_text(to, "te");
    sim_device(ft.path)->clone_error = 0;
    sim_device(ft.path)->copy_error = -EINVAL;
    sim_device(ft.path)->search_error = -EINVAL;
    assert_int_equal(aloop__sys_clone(from, to), 0);
    expect_text(to, "text");
    assert_int_equal(aloop__sys_copy_range(from, 0, to, 0, 2), -EINVAL);
    assert_int_equal(aloop__sys_seek(from, 0, SYS_SEEK_DATA), -EINVAL);
    aloop__sys_close(from);
    aloop__sys_close(to);
}

static void types_may_be_missing_from_a_directory(void **state)
{
    struct sys_dir_entry entry;
    struct sys_dir *dir;

    (void) state;
    create_with("a", "");
    sim_device(ft.path)->has_no_types = true;
    dir = open_dir(".");
    assert_int_equal(aloop__sys_dir_read(dir, &entry), 1);
    assert_int_equal(entry.type, ALOOP_FILE_UNKNOWN);
    aloop__sys_dir_close(dir);
}

/* The page cache. */

static void a_read_of_what_was_evicted_misses_until_it_was_read(void **state)
{
    char byte;
    int fd;

    (void) state;
    create_with("a", "x");
    fd = open_at("a", O_RDONLY);
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), 1);
    sim_file_evict(path_of("a"));
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 1), 0);
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), -EAGAIN);
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), -EAGAIN);
    sim_pass(1000000); /* The miss has started to read. */
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), 1);
    sim_file_evict(path_of("a"));
    assert_int_equal(get(fd, &byte, 1, 0), 1);
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), 1);
    aloop__sys_close(fd);
}

static void a_cached_read_returns_what_precedes_the_first_miss(void **state)
{
    static char buffer[4 * 4096];
    char byte;
    int fd = create("a");

    (void) state;
    put(fd, "x", 0);
    put(fd, "y", 3 * 4096);
    sim_file_evict(path_of("a"));
    assert_int_equal(get(fd, &byte, 1, 0), 1);
    assert_int_equal(aloop__sys_pread_cached(fd, buffer, sizeof buffer, 0),
                     3 * 4096);
    assert_int_equal(aloop__sys_pread_cached(fd, buffer, 1, 3 * 4096), -EAGAIN);
    aloop__sys_close(fd);
}

static void cached_calls_may_be_refused(void **state)
{
    char byte;
    int fd;

    (void) state;
    create_with("a", "x");
    sim_device(ft.path)->cached_read_error = -EOPNOTSUPP;
    fd = aloop__sys_open_cached(path_of("a"), O_RDONLY);
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), -EOPNOTSUPP);
    assert_int_equal(get(fd, &byte, 1, 0), 1);
    aloop__sys_close(fd);
    sim_device(ft.path)->cached_open_error = -EPERM;
    assert_int_equal(aloop__sys_open_cached(path_of("a"), O_RDONLY), -EPERM);
    assert_int_equal(aloop__sys_look_up_cached(path_of("a")), -EPERM);
    assert_false(aloop__sys_pread_cached_is_broken());
    sim_options()->has_old_kernel = true;
    assert_true(aloop__sys_pread_cached_is_broken());
}

static void cached_calls_miss_at_random(void **state)
{
    enum { TRIES = 200 };
    int hits = 0, fd;
    char byte;

    (void) state;
    create_with("a", "x");
    fd = open_at("a", O_RDONLY);
    sim_options()->miss_percent = 50;
    for (int i = 0; i < TRIES; i++) {
        ssize_t count = aloop__sys_pread_cached(fd, &byte, 1, 0);
        int opened = aloop__sys_open_cached(path_of("a"), O_RDONLY);

        assert_true(count == 1 || count == -EAGAIN);
        assert_true(opened >= 0 || opened == -EAGAIN);
        hits += (count == 1) + (opened >= 0);
        if (opened >= 0)
            aloop__sys_close(opened);
        sim_pass(1000000);
    }
    assert_in_range(hits, TRIES / 2, 2 * TRIES - TRIES / 2);
    aloop__sys_close(fd);
}

/* What concerns the loop. */

static void a_fifo_is_ready_when_it_can_be_read(void **state)
{
    const struct sys_piece piece = {"x", 1};
    int reader, writer;
    char byte;

    (void) state;
    make_fifo(path_of("fifo"));
    reader = open_at("fifo", O_RDONLY | O_NONBLOCK);
    assert_false(sim_fd_readable(reader));
    writer = open_at("fifo", O_WRONLY | O_NONBLOCK);
    assert_false(sim_fd_readable(reader));
    aloop__sys_writev(writer, &piece, 1);
    assert_true(sim_fd_readable(reader));
    assert_int_equal(aloop__sys_read(reader, &byte, 1), 1);
    assert_false(sim_fd_readable(reader));
    aloop__sys_close(writer);
    aloop__sys_close(reader);
}

static void a_call_that_would_block_the_loop_is_a_bad_use(void **state)
{
    char byte;
    int fd;

    (void) state;
    make_fifo(path_of("fifo"));
    assert_int_equal(open_at("fifo", O_RDONLY), -EDEADLK);
    fd = open_at("fifo", O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_read(fd, &byte, 1), -EDEADLK);
    assert_int_equal(sim_bad_uses(), 2);
    aloop__sys_close(fd);
}

static void calls_that_may_block_are_counted_on_the_main_flow(void **state)
{
    unsigned before = sim_file_blocking_calls();
    char byte;
    int fd;

    (void) state;
    create_with("a", "x");
    assert_true(sim_file_blocking_calls() > before);
    before = sim_file_blocking_calls();
    fd = aloop__sys_open_cached(path_of("a"), O_RDONLY);
    assert_int_equal(aloop__sys_pread_cached(fd, &byte, 1, 0), 1);
    aloop__sys_close(fd);
    assert_int_equal(sim_file_blocking_calls(), before);
}

static uint64_t hash_of_a_run(uint64_t seed)
{
    struct sys_dir_entry entry;
    struct sys_dir *dir;
    uint64_t hash;

    sim_reset(seed);
    sim_chaos();
    ft.folder = aloop__sys_openat(SYS_CWD, "/tmp", O_RDONLY, 0);
    create_with("a", "some text that is written in parts");
    create_with("b", "");
    expect_content("a", "some text that is written in parts");
    dir = open_dir(".");
    while (aloop__sys_dir_read(dir, &entry) == 1)
        continue;
    aloop__sys_dir_close(dir);
    aloop__sys_close(ft.folder);
    hash = sim_trace_hash();
    sim_end();
    return hash;
}

static void equal_seeds_give_equal_runs(void **state)
{
    (void) state;
    assert_true(hash_of_a_run(1) == hash_of_a_run(1));
    assert_true(hash_of_a_run(1) != hash_of_a_run(2));
}

/* The number 1 is that of another program, too: a call on it may not block. */
static void a_standard_output_is_a_pipe_of_another_program(void **state)
{
    struct sys_piece piece = {"text", 4};
    struct sys_descriptor what;
    unsigned opened = sim_descriptors_open();
    char bytes[8];

    (void) state;
    assert_int_equal(aloop__sys_examine(1, &what), -EBADF);
    sim_standard_output(1, NULL);
    assert_int_equal(sim_descriptors_open(), opened);
    assert_int_equal(aloop__sys_examine(1, &what), 0);
    assert_int_equal(what.kind, SYS_KIND_PIPE);
    assert_true(what.is_blocking && what.can_write && !what.can_read);
    assert_int_equal(aloop__sys_write_now(1, &piece, 1), 4);
    assert_int_equal(sim_standard_read(1, bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "text", 4);
    sim_standard_fill(1);
    assert_int_equal(aloop__sys_write_now(1, &piece, 1), -EAGAIN);
    assert_int_equal(sim_standard_read(1, bytes, sizeof bytes), sizeof bytes);
    sim_standard_leave(1);
    assert_int_equal(aloop__sys_write_now(1, &piece, 1), -EPIPE);
    assert_int_equal(aloop__sys_close(1), 0);
    assert_int_equal(aloop__sys_examine(1, &what), -EBADF);
}

int main(void)
{
    static const struct CMUnitTest same_tests[] = {FILE_TESTS};
    static const struct CMUnitTest tests[] = {
        FILE_TEST(files_can_be_made_and_read_from_outside),
        FILE_TEST(a_fault_has_no_effect),
        FILE_TEST(an_open_without_a_number_creates_no_file),
        FILE_TEST(a_full_device_takes_a_part_and_then_nothing),
        FILE_TEST(devices_are_separate),
        FILE_TEST(a_read_only_device_refuses_changes),
        FILE_TEST(another_user_has_no_more_than_the_permissions),
        FILE_TEST(clones_and_copies_depend_on_the_device),
        FILE_TEST(types_may_be_missing_from_a_directory),
        FILE_TEST(a_read_of_what_was_evicted_misses_until_it_was_read),
        FILE_TEST(a_cached_read_returns_what_precedes_the_first_miss),
        FILE_TEST(cached_calls_may_be_refused),
        FILE_TEST(cached_calls_miss_at_random),
        FILE_TEST(a_fifo_is_ready_when_it_can_be_read),
        FILE_TEST(a_call_that_would_block_the_loop_is_a_bad_use),
        FILE_TEST(a_standard_output_is_a_pipe_of_another_program),
        FILE_TEST(calls_that_may_block_are_counted_on_the_main_flow),
        cmocka_unit_test(equal_seeds_give_equal_runs),
    };
    int failed = cmocka_run_group_tests(same_tests, NULL, NULL);

    failed += cmocka_run_group_tests(tests, NULL, NULL);
    is_random = true;
    return failed + cmocka_run_group_tests(same_tests, NULL, NULL);
}
