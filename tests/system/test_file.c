/* Open files on the real system. */

#define _GNU_SOURCE /* For mkdtemp(). */

#include "support/open_file_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

enum { PIECES = 2000 };

static void what_is_written_can_be_read_back(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT | O_EXCL);
    char text[16] = "";

    (void) state;
    assert_int_equal(write_text(file, "hello"), 5);
    assert_int_equal(aloop_file_position(file), 5);
    assert_int_equal(aloop_file_seek(file, 0, SEEK_SET), 0);
    assert_int_equal(read_file(file, text, sizeof text), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(read_file(file, text, sizeof text), 0);
    aloop_file_close(file);
}

static void descriptors_are_closed_on_exec(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);

    (void) state;
    assert_int_equal(fcntl(aloop_file_fd(file), F_GETFD) & FD_CLOEXEC,
                     FD_CLOEXEC);
    aloop_file_close(file);
}

static void an_open_reports_why_it_failed(void **state)
{
    char text[5001];

    (void) state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    put_file("a", "", 0);
    assert_int_equal(open_status(in_folder("no"), O_RDONLY), ALOOP_ENOENT);
    assert_int_equal(open_status("", O_RDONLY), ALOOP_ENOENT);
    assert_int_equal(open_status(d.folder, O_WRONLY), ALOOP_EISDIR);
    assert_int_equal(open_status(in_folder("a/b"), O_RDONLY), ALOOP_ENOTDIR);
    assert_int_equal(open_status(in_folder("a"), O_WRONLY | O_CREAT | O_EXCL),
                     ALOOP_EEXIST);
    assert_int_equal(open_status(text, O_RDONLY), ALOOP_ENAMETOOLONG);
    assert_int_equal(open_status(NULL, O_RDONLY), ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, "a", O_RDONLY, 0, NULL)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_open(NULL, "a", O_RDONLY, 0, NULL)),
                     ALOOP_EINVAL);
}

static void the_path_may_change_after_the_start(void **state)
{
    aloop_file *file;
    aloop_future *open;

    (void) state;
    put_file("a", "abc", 3);
    open = aloop_file_open(d.loop, in_folder("a"), O_RDONLY, 0, &file);
    memset(d.path, 'x', sizeof d.path);
    assert_int_equal(aloop_await(open), 0);
    aloop_file_close(file);
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    struct iovec none = {NULL, 1};
    struct iovec huge[] = {{&none, SIZE_MAX / 2}, {&none, SIZE_MAX / 2}};
    char byte = 0;

    (void) state;
    assert_int_equal(read_file(file, NULL, 1), ALOOP_EINVAL);
    assert_int_equal(read_file(file, &byte, SIZE_MAX), ALOOP_EINVAL);
    assert_int_equal(read_file(NULL, &byte, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_read_at(file, &byte, 1, -1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_write_at(file, &byte, 1, -2)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_readv(file, &none, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_writev(file, huge, 2)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_writev(file, huge, -1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_writev(file, NULL, 1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_stat(file, NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_truncate(file, -1)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_sync(NULL)), ALOOP_EINVAL);
    assert_int_equal(aloop_file_fd(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_file_position(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_file_detach(NULL), ALOOP_EINVAL);
    aloop_file_close(NULL);
    aloop_file_close(file);
}

static void nothing_is_read_and_written_with_a_size_of_0(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);

    (void) state;
    assert_int_equal(read_file(file, NULL, 0), 0);
    assert_int_equal(aloop_await(aloop_file_write(file, NULL, 0)), 0);
    assert_int_equal(aloop_await(aloop_file_readv(file, NULL, 0)), 0);
    assert_int_equal(aloop_file_position(file), 0);
    aloop_file_close(file);
}

static void a_directory_can_be_opened_but_not_read(void **state)
{
    aloop_file *file;
    char byte;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, d.folder, O_RDONLY, 0, &file)), 0);
    assert_int_equal(read_file(file, &byte, 1), ALOOP_EISDIR);
    aloop_file_close(file);
}

static void the_direction_of_an_open_is_kept(void **state)
{
    aloop_file *reader, *writer = open_here("a", O_WRONLY | O_CREAT);
    char byte;

    (void) state;
    reader = open_here("a", O_RDONLY);
    assert_int_equal(read_file(writer, &byte, 1), ALOOP_EBADF);
    assert_int_equal(write_text(reader, "x"), ALOOP_EBADF);
    aloop_file_close(reader);
    aloop_file_close(writer);
}

static void operations_at_the_position_are_served_in_order(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    aloop_future *ops[6];
    char first[4] = "", second[4] = "";

    (void) state;
    put_file("a", "0123456789", 10);
    jam_files();
    ops[0] = aloop_file_write(file, "ab", 2);
    ops[1] = aloop_file_read(file, first, 3);
    ops[2] = aloop_file_write(file, "c", 1);
    ops[3] = aloop_file_read(file, second, 2);
    ops[4] = aloop_file_write(file, "dd", 2);
    ops[5] = aloop_file_read(file, NULL, 0);
    assert_int_equal(aloop_file_seek(file, 0, SEEK_SET), ALOOP_EBUSY);
    assert_int_equal(aloop_file_detach(file), ALOOP_EBUSY);
    free_files();
    assert_int_equal(aloop_await(aloop_gather_array(d.loop, 6, ops)), 0);
    assert_string_equal(first, "234");
    assert_string_equal(second, "67");
    assert_int_equal(aloop_file_position(file), 10);
    aloop_file_close(file);
    expect_file("a", "ab234c67dd", 10);
}

static void a_queued_operation_that_is_cancelled_moves_nothing(void **state)
{
    aloop_file *file;
    aloop_future *ops[3];
    char first[4] = "", second[4] = "", third[4] = "";

    (void) state;
    put_file("a", "0123456789", 10);
    file = open_here("a", O_RDWR);
    jam_files();
    ops[0] = aloop_file_write(file, "ab", 2);
    ops[1] = aloop_file_read(file, second, 3);
    ops[2] = aloop_file_read(file, third, 3);
    aloop_cancel(ops[1]);
    aloop_cancel(ops[0]);
    assert_int_equal(aloop_future_status(ops[0]), ALOOP_ECANCELED);
    assert_int_equal(aloop_future_status(ops[1]), ALOOP_ECANCELED);
    aloop_future_unref(ops[0]);
    aloop_future_unref(ops[1]);
    free_files();
    assert_int_equal(aloop_await(ops[2]), 3);
    assert_string_equal(third, "012");
    assert_string_equal(second, "");
    assert_int_equal(aloop_file_position(file), 3);
    assert_int_equal(read_file(file, first, 3), 3);
    assert_string_equal(first, "345");
    aloop_file_close(file);
}

static void an_error_does_not_stop_those_behind_it(void **state)
{
    aloop_file *file;
    aloop_future *ops[2];
    char text[4] = "";

    (void) state;
    put_file("a", "0123456789", 10);
    file = open_here("a", O_RDONLY);
    jam_files();
    ops[0] = aloop_file_write(file, "ab", 2);
    ops[1] = aloop_file_read(file, text, 3);
    free_files();
    assert_int_equal(aloop_await(ops[0]), ALOOP_EBADF);
    assert_int_equal(aloop_await(ops[1]), 3);
    assert_string_equal(text, "012");
    aloop_file_close(file);
}

static void operations_with_an_offset_leave_the_position(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    char text[8] = "";

    (void) state;
    assert_int_equal(write_text(file, "0123456789"), 10);
    assert_int_equal(aloop_await(aloop_file_write_at(file, "ab", 2, 3)), 2);
    assert_int_equal(aloop_await(aloop_file_read_at(file, text, 4, 2)), 4);
    assert_string_equal(text, "2ab5");
    assert_int_equal(aloop_await(aloop_file_read_at(file, text, 4, 9)), 1);
    assert_int_equal(aloop_await(aloop_file_read_at(file, text, 4, INT64_MAX)),
                     0);
    assert_int_equal(aloop_await(aloop_file_write_at(file, "ab", 2, INT64_MAX)),
                     ALOOP_EFBIG);
    assert_int_equal(aloop_file_position(file), 10);
    aloop_file_close(file);
    expect_file("a", "012ab56789", 10);
}

/* Each buffer has 0 to 4 bytes. */
static void buffers_may_be_more_than_the_system_accepts(void **state)
{
    static struct iovec out[PIECES], in[PIECES];
    static char sent[PIECES * 4], received[PIECES * 4];
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    size_t size = 0;

    (void) state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i * 7 + i / 256);
    for (size_t i = 0; i < PIECES; i++) {
        out[i] = (struct iovec){sent + size, i % 5};
        in[PIECES - 1 - i] = (struct iovec){NULL, i % 5};
        size += i % 5;
    }
    size = 0;
    for (size_t i = 0; i < PIECES; i++) {
        if (in[i].iov_len > 0)
            in[i].iov_base = received + size;
        size += in[i].iov_len;
    }
    assert_int_equal(aloop_await(aloop_file_writev(file, out, PIECES)), size);
    assert_int_equal(aloop_await(aloop_file_readv_at(file, in, PIECES, 0)),
                     size);
    assert_memory_equal(received, sent, size);
    memset(received, 0, sizeof received);
    assert_int_equal(aloop_await(aloop_file_writev_at(file, out, PIECES, 1)),
                     size);
    assert_int_equal(aloop_file_seek(file, 1, SEEK_SET), 1);
    assert_int_equal(aloop_await(aloop_file_readv(file, in, PIECES)), size);
    assert_memory_equal(received, sent, size);
    aloop_file_close(file);
}

static void appended_bytes_come_at_the_end(void **state)
{
    aloop_file *file, *other;
    char text[16] = "";

    (void) state;
    put_file("a", "one", 3);
    file = open_here("a", O_RDWR | O_APPEND);
    other = open_here("a", O_WRONLY | O_APPEND);
    assert_int_equal(read_file(file, text, 1), 1);
    assert_int_equal(write_text(other, "two"), 3);
    assert_int_equal(write_text(file, "three"), 5);
    assert_int_equal(aloop_file_position(file), 11);
    assert_int_equal(aloop_await(aloop_file_write_at(file, "x", 1, 0)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_read_at(file, text, 16, 0)), 11);
    assert_string_equal(text, "onetwothree");
    aloop_file_close(file);
    aloop_file_close(other);
}

static void the_position_can_be_moved(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);

    (void) state;
    assert_int_equal(aloop_file_seek(file, 10, SEEK_SET), 10);
    assert_int_equal(aloop_file_seek(file, -4, SEEK_CUR), 6);
    assert_int_equal(aloop_file_seek(file, -7, SEEK_CUR), ALOOP_EINVAL);
    assert_int_equal(aloop_file_seek(file, -1, SEEK_SET), ALOOP_EINVAL);
    assert_int_equal(aloop_file_seek(file, 0, SEEK_END), ALOOP_EINVAL);
    assert_int_equal(aloop_file_seek(file, INT64_MAX, SEEK_CUR),
                     ALOOP_EOVERFLOW);
    assert_int_equal(aloop_file_position(file), 6);
    assert_int_equal(write_text(file, "x"), 1);
    aloop_file_close(file);
    expect_file("a", "\0\0\0\0\0\0x", 7);
}

static void the_position_can_be_moved_to_the_end(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);

    (void) state;
    assert_int_equal(write_text(file, "text"), 4);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, -3)), 0);
    assert_int_equal(aloop_file_position(file), 1);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, -5)), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, INT64_MIN)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, INT64_MAX)),
                     ALOOP_EOVERFLOW);
    assert_int_equal(aloop_file_position(file), 1);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, 2)), 0);
    assert_int_equal(write_text(file, "x"), 1);
    assert_int_equal(aloop_file_position(file), 7);
    aloop_file_close(file);
    expect_file("a", "text\0\0x", 7);
    assert_int_equal(aloop_await(aloop_file_seek_end(NULL, 0)), ALOOP_EINVAL);
}

static void a_move_to_the_end_waits_for_the_operations_before_it(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    aloop_future *calls[] = {
        aloop_file_write(file, "one", 3), aloop_file_seek_end(file, -1),
        aloop_file_write(file, "two", 3), aloop_file_seek_end(file, 1),
        aloop_file_write(file, "!", 1),
    };

    (void) state;
    assert_int_equal(aloop_file_seek(file, 0, SEEK_SET), ALOOP_EBUSY);
    assert_int_equal(aloop_await(aloop_gather_array(d.loop, 5, calls)), 0);
    aloop_file_close(file);
    expect_file("a", "ontwo\0!", 7);
}

static void the_end_of_a_device_is_found_by_a_seek(void **state)
{
    aloop_file *file = NULL;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, "/dev/null", O_RDONLY, 0, &file)),
        0);
    assert_int_equal(aloop_await(aloop_file_seek_end(file, 0)), 0);
    assert_int_equal(aloop_file_position(file), 0);
    aloop_file_close(file);
}

static void attributes_and_the_size_can_be_used(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    aloop_stat stat;

    (void) state;
    assert_int_equal(write_text(file, "hello"), 5);
    assert_int_equal(aloop_await(aloop_file_truncate(file, 3)), 0);
    assert_int_equal(aloop_await(aloop_file_datasync(file)), 0);
    assert_int_equal(aloop_await(aloop_file_sync(file)), 0);
    assert_int_equal(aloop_await(aloop_file_stat(file, &stat)), 0);
    assert_int_equal(stat.type, ALOOP_FILE_REGULAR);
    assert_int_equal(stat.size, 3);
    aloop_file_close(file);
}

static void a_close_ends_what_has_not_begun(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    aloop_future *ops[4];
    aloop_stat stat;
    char byte;

    (void) state;
    jam_files();
    ops[0] = aloop_file_write(file, "ab", 2);
    ops[1] = aloop_file_read(file, &byte, 1);
    ops[2] = aloop_file_write_at(file, "ab", 2, 5);
    ops[3] = aloop_file_stat(file, &stat);
    aloop_file_close(file);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(aloop_future_status(ops[i]), ALOOP_ECANCELED);
        aloop_future_unref(ops[i]);
    }
    free_files();
    assert_int_equal(aloop_run(d.loop), 0);
    expect_file("a", "", 0);
}

static void a_descriptor_is_closed_when_the_run_ends(void **state)
{
    int before = count_descriptors();

    (void) state;
    aloop_file_close(open_here("a", O_RDWR | O_CREAT));
    assert_int_equal(aloop_run(d.loop), 0);
    /* The pool may have opened nothing: its threads have no descriptors. */
    assert_int_equal(count_descriptors(), before);
}

/* The only thread looks for the descriptor after it has closed it, although the
 * look was started before. */
static void a_close_comes_before_other_jobs(void **state)
{
    aloop_options options = {.size = sizeof options, .file_threads = 1};
    aloop_file *file;
    aloop_future *look;
    aloop_stat stat;
    char path[32];
    int fd;

    (void) state;
    reopen_loop(&options);
    file = open_here("a", O_RDWR | O_CREAT);
    fd = aloop_file_fd(file);
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    jam_files();
    look = aloop_fs_lstat(d.loop, path, &stat);
    aloop_file_close(file);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    free_files();
    assert_true(aloop_await(look) < 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void the_end_of_the_loop_closes_descriptors(void **state)
{
    aloop_file *waiting = open_here("a", O_RDWR | O_CREAT);

    (void) state;
    open_here("a", O_RDONLY); /* It stays open. */
    jam_files();
    aloop_file_close(waiting);
    free_files();
    reopen_loop(NULL); /* tear_down() counts the descriptors. */
}

static void an_error_of_the_close_is_reported(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);

    (void) state;
    close(aloop_file_fd(file));
    aloop_file_close(file);
    assert_int_equal(aloop_run(d.loop), 0);
    aloop_step(d.loop, 0);
    assert_int_equal(d.unhandled, ALOOP_EBADF);
}

static void an_open_that_was_dropped_leaves_no_descriptor(void **state)
{
    aloop_file *file;

    (void) state;
    jam_files();
    aloop_future_unref(
        aloop_file_open(d.loop, in_folder("a"), O_CREAT, 0644, &file));
    free_files();
    aloop_future_unref(
        aloop_file_open(d.loop, in_folder("b"), O_CREAT, 0644, &file));
    aloop_step(d.loop, 0);
    aloop_future_unref(
        aloop_file_open(d.loop, in_folder("c"), O_CREAT, 0644, &file));
    assert_int_equal(aloop_run(d.loop), 0);
}

static void a_detached_open_delivers_the_file(void **state)
{
    aloop_file *file = NULL;

    (void) state;
    aloop_detach(aloop_file_open(d.loop, in_folder("a"), O_CREAT, 0644, &file));
    assert_int_equal(aloop_run(d.loop), 0);
    assert_non_null(file);
    aloop_file_close(file);
}

static void a_descriptor_keeps_its_position_when_it_changes_hands(void **state)
{
    aloop_file *file;
    char text[4] = "";
    int fd;

    (void) state;
    put_file("a", "0123456789", 10);
    fd = open(in_folder("a"), O_RDONLY);
    assert_int_equal(patient_read(fd, text, 2), 2);
    assert_int_equal(aloop_file_adopt(d.loop, fd, &file), 0);
    assert_int_equal(aloop_file_fd(file), fd);
    assert_int_equal(aloop_file_position(file), 2);
    assert_int_equal(read_file(file, text, 3), 3);
    assert_string_equal(text, "234");
    assert_int_equal(aloop_file_detach(file), fd);
    assert_int_equal(patient_read(fd, text, 3), 3);
    assert_string_equal(text, "567");
    close(fd);
    assert_int_equal(aloop_file_adopt(d.loop, -1, &file), ALOOP_EINVAL);
    assert_int_equal(aloop_file_adopt(d.loop, fd, &file), ALOOP_EBADF);
    assert_int_equal(aloop_file_adopt(d.loop, 0, NULL), ALOOP_EINVAL);
}

static void a_detached_descriptor_blocks_as_it_was_opened(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    int fd = aloop_file_detach(file);

    (void) state;
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    close(fd);
    fd = aloop_file_detach(open_here("a", O_RDWR | O_NONBLOCK));
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close(fd);
}

static void devices_that_are_always_ready_can_be_used(void **state)
{
    aloop_file *file;
    char text[4] = "abc";

    (void) state;
    assert_int_equal(
        aloop_await(aloop_file_open(d.loop, "/dev/zero", O_RDWR, 0, &file)), 0);
    assert_int_equal(read_file(file, text, 4), 4);
    assert_memory_equal(text, "\0\0\0", 4);
    assert_int_equal(write_text(file, "x"), 1);
    aloop_file_close(file);
}

static void the_limit_of_file_sizes_is_an_error(void **state)
{
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        struct rlimit before, limit;
        aloop *loop = aloop_new(NULL);
        aloop_file *file;

        signal(SIGXFSZ, SIG_DFL);
        CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
        limit = (struct rlimit){5, before.rlim_max};
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHECK(aloop_await(aloop_file_open(
                  loop, in_folder("a"), O_WRONLY | O_CREAT, 0600, &file)) == 0);
        CHECK(write_text(file, "0123456789") == ALOOP_EFBIG);
        CHECK(aloop_file_position(file) == 5);
        CHECK(aloop_await(aloop_file_write_at(file, "34567", 5, 3)) ==
              ALOOP_EFBIG);
        CHECK(aloop_await(aloop_file_write_at(file, "x", 1, 5)) == ALOOP_EFBIG);
        CHECK(aloop_await(aloop_file_truncate(file, 6)) == ALOOP_EFBIG);
        CHECK(aloop_await(aloop_fs_truncate(loop, in_folder("a"), 6)) ==
              ALOOP_EFBIG);
        CHECK(aloop_free(loop) == 0);
        CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0); /* For coverage data. */
        _exit(0);
    }
    assert_child_succeeded(child);
    expect_file("a", "01234", 5);
}

static void a_forked_child_uses_files_after_it_has_adopted_the_loop(
    void **state)
{
    aloop_file *file;
    char text[8] = "";
    pid_t child;

    (void) state;
    put_file("a", "0123456789", 10);
    file = open_here("a", O_RDWR);
    assert_int_equal(read_file(file, text, 2), 2);
    child = fork();
    if (child == 0) {
        CHECK(read_file(file, text, 2) == ALOOP_EPERM);
        CHECK(open_status(in_folder("a"), O_RDONLY) == ALOOP_EPERM);
        CHECK(aloop_file_detach(file) == ALOOP_EPERM);
        if (HAS_THREADS_AFTER_FORK) {
            CHECK(aloop_after_fork(d.loop) == 0);
            CHECK(aloop_file_position(file) == 2);
            CHECK(aloop_await(aloop_file_write(file, "xy", 2)) == 2);
        }
        aloop_file_close(file);
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
    assert_int_equal(read_file(file, text, 4), 4);
    assert_string_equal(text, HAS_THREADS_AFTER_FORK ? "xy45" : "2345");
    aloop_file_close(file);
}

static void operations_in_flight_end_in_a_forked_child(void **state)
{
    aloop_file *file = open_here("a", O_RDWR | O_CREAT);
    aloop_future *ops[3];
    pid_t child;

    (void) state;
    jam_files();
    ops[0] = aloop_file_write(file, "ab", 2);
    ops[1] = aloop_file_write(file, "cd", 2);
    ops[2] = aloop_file_write_at(file, "z", 1, 9);
    child = fork();
    if (child == 0) {
        CHECK(aloop_after_fork(d.loop) == 0);
        for (int i = 0; i < 3; i++)
            CHECK(aloop_future_status(ops[i]) == ALOOP_ECANCELED);
        CHECK(aloop_file_position(file) == 0);
        for (int i = 0; i < 3; i++)
            aloop_future_unref(ops[i]);
        CHECK(aloop_free(d.loop) == 0);
        _exit(0);
    }
    assert_child_succeeded(child);
    free_files();
    assert_int_equal(aloop_await(aloop_gather_array(d.loop, 3, ops)), 0);
    aloop_file_close(file);
}

static void a_debug_loop_reports_the_use_of_a_closed_file(void **state)
{
    aloop_options options = {.size = sizeof options, .debug = true};
    aloop_file *file;
    char byte;

    (void) state;
    reopen_loop(&options);
    file = open_here("a", O_RDWR | O_CREAT);
    aloop_file_close(file);
    assert_int_equal(read_file(file, &byte, 1), ALOOP_EINVAL);
    aloop_step(d.loop, 0);
    assert_int_equal(d.unhandled, ALOOP_EMISUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_can_be_read_back),
        TEST(descriptors_are_closed_on_exec),
        TEST(an_open_reports_why_it_failed),
        TEST(the_path_may_change_after_the_start),
        TEST(invalid_arguments_are_refused),
        TEST(nothing_is_read_and_written_with_a_size_of_0),
        TEST(a_directory_can_be_opened_but_not_read),
        TEST(the_direction_of_an_open_is_kept),
        TEST(operations_at_the_position_are_served_in_order),
        TEST(a_queued_operation_that_is_cancelled_moves_nothing),
        TEST(an_error_does_not_stop_those_behind_it),
        TEST(operations_with_an_offset_leave_the_position),
        TEST(buffers_may_be_more_than_the_system_accepts),
        TEST(appended_bytes_come_at_the_end),
        TEST(the_position_can_be_moved),
        TEST(the_position_can_be_moved_to_the_end),
        TEST(a_move_to_the_end_waits_for_the_operations_before_it),
        TEST(the_end_of_a_device_is_found_by_a_seek),
        TEST(attributes_and_the_size_can_be_used),
        TEST(a_close_ends_what_has_not_begun),
        TEST(a_descriptor_is_closed_when_the_run_ends),
        TEST(a_close_comes_before_other_jobs),
        TEST(the_end_of_the_loop_closes_descriptors),
        TEST(an_error_of_the_close_is_reported),
        TEST(an_open_that_was_dropped_leaves_no_descriptor),
        TEST(a_detached_open_delivers_the_file),
        TEST(a_descriptor_keeps_its_position_when_it_changes_hands),
        TEST(a_detached_descriptor_blocks_as_it_was_opened),
        TEST(devices_that_are_always_ready_can_be_used),
        TEST(the_limit_of_file_sizes_is_an_error),
        TEST(a_forked_child_uses_files_after_it_has_adopted_the_loop),
        TEST(operations_in_flight_end_in_a_forked_child),
        TEST(a_debug_loop_reports_the_use_of_a_closed_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
