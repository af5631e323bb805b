/* Files when system calls fail; see also the rows in test_refusals_sys.c. */

#define _GNU_SOURCE

#include "support/refusal_fixture.h"

/* An emulator checks the memory before the descriptor. */
static char two_bytes[2];
static const struct sys_piece two_pieces[] = {{two_bytes, 1},
                                              {two_bytes + 1, 1}};

static void calls_with_several_pieces_are_repeated_and_return_errors(
    void **state)
{
    (void) state;
    refuse("preadv", EINTR, 3);
    assert_int_equal(aloop__sys_preadv(-1, two_pieces, 2, 0), -EBADF);
    assert_int_equal(f.refused, 3);
    refuse("preadv", EIO, 1);
    assert_int_equal(aloop__sys_preadv(-1, two_pieces, 2, 0), -EIO);
    refuse("pwritev", EINTR, 3);
    assert_int_equal(aloop__sys_pwritev(-1, two_pieces, 2, 0), -EBADF);
    assert_int_equal(f.refused, 3);
    refuse("pwritev", ENOSPC, 1);
    assert_int_equal(aloop__sys_pwritev(-1, two_pieces, 2, 0), -ENOSPC);
}

static void random_bytes_come_from_the_device_if_the_call_is_refused(
    void **state)
{
    int before = open_descriptors(FDS_MAX);
    unsigned char bytes[64], zeros[64] = {0};

    (void) state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        memset(bytes, 0, sizeof bytes);
        refuse("getrandom", refusals[i], 1);
        assert_int_equal(aloop__sys_random(bytes, sizeof bytes), 0);
        assert_memory_not_equal(bytes, zeros, sizeof bytes);
    }
    refuse("getrandom", EINTR, 2);
    assert_int_equal(aloop__sys_random(bytes, sizeof bytes), 0);
    assert_int_equal(f.refused, 2);
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

static void reads_of_the_cache_are_known_to_be_wrong_on_some_kernels(
    void **state)
{
    static const struct {
        const char *release;
        bool is_broken;
    } kernels[] = {
        {"5.8.18-arch", false},
        {"5.9.0", true},
        {"5.10.209-2", true},
        {"5.11.0", false},
        {"5.100.1", false},
        {"6.1.0-49-amd64", false},
        {"15.10.1", false},
        {"unknown", true},
        {"", true},
        {"5", true},
        {"5.999999.1", true},
        {"5.9", true},
    };

    (void) state;
    for (size_t i = 0; i < COUNT(kernels); i++) {
        f.release = kernels[i].release;
        if (aloop__sys_pread_cached_is_broken() != kernels[i].is_broken)
            fail_msg("%s", f.release);
    }
    refuse("uname", EPERM, 1);
    assert_true(aloop__sys_pread_cached_is_broken());
}

static void a_page_in_the_swap_area_is_not_read(void **state)
{
    (void) state;
    f.has_evicted = true;
    assert_int_equal(aloop__sys_pread_memory(-1, two_bytes, 1, 0), -EAGAIN);
}

static void an_old_kernel_is_not_asked_to_copy(void **state)
{
    (void) state;
    f.release = "5.2.21";
    assert_int_equal(aloop__sys_copy_range(-1, 0, -1, 0, 1), -ENOSYS);
    f.release = "5.3.0";
    assert_int_equal(aloop__sys_copy_range(-1, 0, -1, 0, 1), -EBADF);
}

static void an_error_is_not_the_end_of_a_directory(void **state)
{
    struct sys_dir_entry entry;
    struct sys_dir *dir;
    int fd = aloop__sys_openat(SYS_CWD, "/", O_RDONLY | O_DIRECTORY, 0);

    (void) state;
    assert_int_equal(aloop__sys_dir_open(fd, &dir), 0);
    refuse("readdir", EIO, 1);
    assert_int_equal(aloop__sys_dir_read(dir, &entry), -EIO);
    refuse("readdir", EINTR, 2);
    assert_int_equal(aloop__sys_dir_read(dir, &entry), 1);
    assert_int_equal(f.refused, 2);
    aloop__sys_dir_close(dir);
}

static void a_descriptor_that_cannot_be_listed_is_closed(void **state)
{
    struct sys_dir *dir = NULL;
    int before = open_descriptors(FDS_MAX);
    int fd = aloop__sys_openat(SYS_CWD, "/", O_RDONLY | O_DIRECTORY, 0);

    (void) state;
    refuse("fdopendir", ENOMEM, 1);
    assert_int_equal(aloop__sys_dir_open(fd, &dir), -ENOMEM);
    assert_null(dir);
    assert_int_equal(open_descriptors(FDS_MAX), before);
}

static void an_error_of_a_search_for_holes_has_one_code(void **state)
{
    (void) state;
    refuse("lseek", ENOTTY, 1);
    assert_int_equal(aloop__sys_seek(-1, 0, SYS_SEEK_DATA), -EINVAL);
    refuse("lseek", EOPNOTSUPP, 1);
    assert_int_equal(aloop__sys_seek(-1, 0, SYS_SEEK_HOLE), -EINVAL);
    refuse("lseek", ENOTTY, 1);
    assert_int_equal(aloop__sys_seek(-1, 0, SYS_SEEK_END), -ENOTTY);
}

static void a_status_flag_that_cannot_be_set_is_an_error(void **state)
{
    int fd = aloop__sys_openat(SYS_CWD, "/", O_RDONLY, 0);

    (void) state;
    refuse("fcntl", EIO, 1);
    assert_int_equal(aloop__sys_file_set_blocking(fd, false), -EIO);
    assert_int_equal(aloop__sys_file_set_blocking(fd, true), 0);
    aloop__sys_close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(calls_with_several_pieces_are_repeated_and_return_errors),
        TEST(random_bytes_come_from_the_device_if_the_call_is_refused),
        TEST(reads_of_the_cache_are_known_to_be_wrong_on_some_kernels),
        TEST(a_page_in_the_swap_area_is_not_read),
        TEST(an_old_kernel_is_not_asked_to_copy),
        TEST(an_error_is_not_the_end_of_a_directory),
        TEST(a_descriptor_that_cannot_be_listed_is_closed),
        TEST(an_error_of_a_search_for_holes_has_one_code),
        TEST(a_status_flag_that_cannot_be_set_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
