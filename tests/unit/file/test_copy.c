/* Copies of files on the simulated system: file systems that refuse the fast
 * ways, errors, files that change meanwhile, and cancels while a thread works.
 * tests/system/test_dir.c has the rest. */

#include "support/file_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/sys_file.h"

enum { BLOCK = 4096, BLOCKS = 40, SIZE = BLOCKS * BLOCK - 100, MIB = 1 << 20 };

/* The ways to copy. */
enum way { BY_CLONE, BY_KERNEL, BY_HAND, WAYS };

static char text[SIZE], found[SIZE + BLOCK];

static int copy_set_up(void **state)
{
    int error = set_up(state);

    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char) (i % 251 + 1);
    sim_file_put("/a", text, SIZE);
    return error;
}

static void select_way(enum way way)
{
    sim_device("/")->clone_error = way == BY_CLONE ? 0 : -EOPNOTSUPP;
    sim_device("/")->copy_error = way == BY_HAND ? -EXDEV : 0;
}

static ssize_t copy(const char *from, const char *to)
{
    return aloop_await(aloop_fs_copy(t.loop, from, to, NULL));
}

static ssize_t replace(const char *from, const char *to)
{
    aloop_copy_options options = {.size = sizeof options, .is_replacing = true};

    return aloop_await(aloop_fs_copy(t.loop, from, to, &options));
}

static void expect_content(const char *path, const char *bytes, size_t size)
{
    assert_int_equal(sim_file_get(path, found, sizeof found), size);
    assert_memory_equal(found, bytes, size);
}

static void expect_none(const char *path)
{
    assert_int_equal(sim_file_get(path, NULL, 0), -ENOENT);
}

/* Makes calls on threads last, so that a test can act meanwhile. */
static void slow_down_copies(void)
{
    sim_options()->file_delay_max_ns = ALOOP_MS(10);
}

/* Lets time pass until a thread has called this function so often. */
static void pass_until(const char *function, unsigned calls)
{
    turns(2);
    while (sim_calls(function) < calls)
        sim_pass(ALOOP_US(100));
}

/* Begins a slow copy of /a, and lets it make some calls. */
static aloop_future *begin_copy(const aloop_copy_options *options,
                                unsigned calls)
{
    slow_down_copies();
    aloop_future *future = aloop_fs_copy(t.loop, "/a", "/b", options);

    pass_until("aloop__sys_copy_range", calls);
    return future;
}

static void every_way_copies_files_of_every_size(void **state)
{
    static const size_t sizes[] = {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, SIZE};

    (void) state;
    for (int way = 0; way < WAYS; way++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            select_way((enum way) way);
            sim_file_put("/a", text, sizes[i]);
            assert_int_equal(replace("/a", "/b"), sizes[i]);
            expect_content("/b", text, sizes[i]);
        }
}

static void the_fastest_way_is_tried_first(void **state)
{
    (void) state;
    select_way(BY_CLONE);
    assert_int_equal(copy("/a", "/b"), SIZE);
    assert_int_equal(sim_calls("aloop__sys_copy_range"), 0);
    select_way(BY_KERNEL);
    assert_int_equal(copy("/a", "/c"), SIZE);
    assert_int_equal(sim_calls("aloop__sys_pwritev"), 0);
    select_way(BY_HAND);
    assert_int_equal(copy("/a", "/d"), SIZE);
    assert_true(sim_calls("aloop__sys_pwritev") > 0);
}

static void no_error_of_the_kernels_copy_ends_the_copy(void **state)
{
    static const int errors[] = {-EXDEV,      -EINVAL, -EPERM, -ENOSYS,
                                 -EOPNOTSUPP, -EBADF,  -EIO,   -ETXTBSY};

    (void) state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        sim_fail("aloop__sys_copy_range", 2, errors[i]);
        sim_fail("aloop__sys_clone", 1, errors[i]);
        assert_int_equal(replace("/a", "/b"), SIZE);
        expect_content("/b", text, SIZE);
        assert_int_equal(sim_faults_pending(), 0);
    }
}

static void a_count_of_0_from_the_kernels_copy_is_not_the_end(void **state)
{
    (void) state;
    sim_device("/")->has_empty_copies = true;
    assert_int_equal(copy("/a", "/b"), SIZE);
    expect_content("/b", text, SIZE);
    assert_int_equal(sim_calls("aloop__sys_copy_range"), 1);
}

static void short_counts_are_continued(void **state)
{
    (void) state;
    sim_options()->short_file_percent = 100;
    select_way(BY_HAND);
    assert_int_equal(copy("/a", "/b"), SIZE);
    expect_content("/b", text, SIZE);
}

static aloop_file *open_file(const char *path, int flags, unsigned mode)
{
    aloop_file *file = NULL;

    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, path, flags, mode, &file)), 0);
    return file;
}

static aloop_stat stat_of(const char *path)
{
    aloop_file *file = open_file(path, O_RDONLY, 0);
    aloop_stat stat;

    assert_int_equal(aloop_await(aloop_file_stat(file, &stat)), 0);
    aloop_file_close(file);
    return stat;
}

/* Replaces /a by a file with one block of data after `before` bytes. */
static void put_sparse(int64_t before, int64_t size)
{
    aloop_file *file = open_file("/a", O_WRONLY | O_TRUNC, 0);

    if (before + BLOCK <= size)
        assert_int_equal(
            aloop_await(aloop_file_write_at(file, text, BLOCK, before)), BLOCK);
    assert_int_equal(aloop_await(aloop_file_truncate(file, size)), 0);
    aloop_file_close(file);
}

static void holes_stay_holes(void **state)
{
    static const int64_t sizes[][2] = {
        {0, 30 * BLOCK},              /* At the end. */
        {20 * BLOCK, 21 * BLOCK},     /* At the beginning. */
        {20 * BLOCK, 30 * BLOCK + 7}, /* Both. */
        {MIB, 10 * BLOCK},            /* Only a hole. */
    };

    (void) state;
    for (int way = 0; way < WAYS; way++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            select_way((enum way) way);
            put_sparse(sizes[i][0], sizes[i][1]);
            assert_int_equal(replace("/a", "/b"), sizes[i][1]);
            assert_int_equal(stat_of("/b").size, sizes[i][1]);
            assert_int_equal(stat_of("/b").allocated_size,
                             stat_of("/a").allocated_size);
            sim_file_get("/a", text, SIZE);
            expect_content("/b", text, (size_t) sizes[i][1]);
        }
}

static void holes_are_copied_as_zeros_where_they_cannot_be_found(void **state)
{
    (void) state;
    put_sparse(20 * BLOCK, 30 * BLOCK);
    sim_device("/")->search_error = -EINVAL;
    assert_int_equal(copy("/a", "/b"), 30 * BLOCK);
    sim_file_get("/a", text, SIZE);
    expect_content("/b", text, 30 * BLOCK);
}

static void an_error_at_the_final_hole_ends_the_copy(void **state)
{
    (void) state;
    put_sparse(0, 30 * BLOCK);
    sim_fail("aloop__sys_ftruncate", 1, -EFBIG);
    assert_int_equal(copy("/a", "/b"), ALOOP_EFBIG);
    expect_none("/b");
    sim_fail("aloop__sys_fstat", 4, -EIO);
    assert_int_equal(copy("/a", "/b"), ALOOP_EIO);
    expect_none("/b");
}

static void a_source_that_shrinks_is_copied_as_far_as_it_goes(void **state)
{
    aloop_future *future = begin_copy(NULL, 3);
    ssize_t size;

    (void) state;
    sim_file_put("/a", text, BLOCK + 10);
    size = aloop_await(future);
    assert_in_range(size, BLOCK + 10, 4 * BLOCK);
    expect_content("/b", text, (size_t) size);
}

static void a_source_that_shrinks_in_a_hole_has_no_size_that_it_never_had(
    void **state)
{
    aloop_future *future;
    ssize_t size;

    (void) state;
    put_sparse(20 * BLOCK, 21 * BLOCK);
    slow_down_copies();
    future = aloop_fs_copy(t.loop, "/a", "/b", NULL);
    pass_until("aloop__sys_copy_range", 1);
    sim_file_put("/a", "", 0);
    size = aloop_await(future);
    assert_int_equal(size, 0);
    assert_int_equal(sim_file_get("/b", NULL, 0), 0);
}

static void a_source_that_grows_is_copied_to_its_new_end(void **state)
{
    aloop_future *future;

    (void) state;
    sim_file_put("/a", text, 3 * BLOCK);
    future = begin_copy(NULL, 3);
    sim_file_put("/a", text, SIZE);
    assert_int_equal(aloop_await(future), SIZE);
    expect_content("/b", text, SIZE);
}

/* The target. */

static void a_target_that_exists_is_left_alone(void **state)
{
    (void) state;
    sim_file_put("/b", "old", 3);
    assert_int_equal(copy("/a", "/b"), ALOOP_EEXIST);
    expect_content("/b", "old", 3);
    assert_int_equal(copy("/a", "/a"), ALOOP_EEXIST);
    expect_content("/a", text, SIZE);
}

static void a_target_is_replaced_on_request(void **state)
{
    (void) state;
    sim_file_put("/b", text, SIZE);
    sim_file_put("/a", "new", 3);
    assert_int_equal(replace("/a", "/b"), 3);
    expect_content("/b", "new", 3);
    assert_int_equal(stat_of("/b").allocated_size, BLOCK);
}

static void a_replaced_target_stays_after_a_failure(void **state)
{
    (void) state;
    sim_file_put("/b", "old", 3);
    select_way(BY_HAND);
    sim_fail("aloop__sys_preadv", 1, -EIO);
    assert_int_equal(replace("/a", "/b"), ALOOP_EIO);
    assert_int_equal(sim_file_get("/b", NULL, 0), 0);
}

static void a_file_is_not_copied_onto_itself(void **state)
{
    (void) state;
    assert_int_equal(replace("/a", "/a"), ALOOP_EINVAL);
    assert_int_equal(replace("/a", "//tmp/../a"), ALOOP_EINVAL);
    expect_content("/a", text, SIZE);
}

static void a_new_target_gets_the_permissions_of_the_source(void **state)
{
    static const unsigned modes[] = {0400, 0755, 0};

    (void) state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char from[] = "/f0", to[] = "/t0";

        from[2] = to[2] = (char) ('0' + i);
        aloop_file_close(open_file(from, O_WRONLY | O_CREAT, modes[i]));
        assert_int_equal(copy(from, to), 0);
        assert_int_equal(stat_of(to).mode & 07777, modes[i]);
    }
}

static void a_full_disk_is_an_error_and_leaves_no_target(void **state)
{
    (void) state;
    sim_mount("/m")->size_max = 10 * BLOCK;
    assert_int_equal(copy("/a", "/m/b"), ALOOP_ENOSPC);
    expect_none("/m/b");
    sim_device("/")->size_max = (BLOCKS + 10) * BLOCK;
    assert_int_equal(copy("/a", "/b"), ALOOP_ENOSPC);
    expect_none("/b");
}

static void a_target_beyond_the_limit_of_the_process_is_efbig(void **state)
{
    (void) state;
    sim_file_size_max(10 * BLOCK);
    assert_int_equal(copy("/a", "/b"), ALOOP_EFBIG);
    expect_none("/b");
}

static void every_error_removes_the_new_target(void **state)
{
    static const struct {
        const char *function;
        unsigned nth;
    } faults[] = {
        {"aloop__sys_fstat", 1},  {"aloop__sys_fstat", 3},
        {"aloop__sys_preadv", 2}, {"aloop__sys_pwritev", 2},
        {"aloop__sys_fsync", 1},  {"aloop__sys_openat", 3},
        {"aloop__sys_fsync", 2},  {"aloop__sys_close", 1},
    };
    aloop_copy_options options = {.size = sizeof options, .is_synced = true};

    (void) state;
    select_way(BY_HAND);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sim_fail(faults[i].function, faults[i].nth, -EIO);
        assert_int_equal(
            aloop_await(aloop_fs_copy(t.loop, "/a", "/b", &options)),
            ALOOP_EIO);
        expect_none("/b");
        assert_int_equal(sim_faults_pending(), 0);
    }
}

static void a_close_that_a_signal_interrupts_has_succeeded(void **state)
{
    static const int errors[] = {-EINTR, -EINPROGRESS};

    (void) state;
    for (int i = 0; i < 2; i++) {
        sim_fail("aloop__sys_close", 1, errors[i]);
        assert_int_equal(replace("/a", "/b"), SIZE);
        assert_int_equal(sim_faults_pending(), 0);
    }
}

static void the_target_is_closed_before_it_is_removed(void **state)
{
    unsigned before = sim_descriptors_open();
    aloop_future *future;

    (void) state;
    sim_fail("aloop__sys_copy_range", 4, -EIO);
    sim_fail("aloop__sys_pwritev", 1, -EIO);
    future = begin_copy(NULL, 4);
    pass_until("aloop__sys_unlinkat", 1);
    assert_int_equal(sim_calls("aloop__sys_close"), 1);
    assert_int_equal(aloop_await(future), ALOOP_EIO);
    turns(2);
    assert_int_equal(sim_descriptors_open(), before);
}

static void another_file_that_took_the_name_is_not_removed(void **state)
{
    aloop_future *future = begin_copy(NULL, 3);

    (void) state;
    assert_int_equal(aloop__sys_unlinkat(SYS_CWD, "/b"), 0);
    sim_file_put("/b", "other", 5);
    aloop_cancel(future);
    assert_int_equal(aloop_await(future), ALOOP_EABORTED);
    expect_content("/b", "other", 5);
}

static void a_synced_copy_survives_a_crash(void **state)
{
    aloop_copy_options options = {.size = sizeof options, .is_synced = true};
    static const char *const paths[] = {"/b", "c", "/tmp/d"};

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            aloop_await(aloop_fs_copy(t.loop, "/a", paths[i], &options)), SIZE);
    assert_int_equal(sim_calls("aloop__sys_fsync"), 6);
    sim_file_crash();
    expect_content("/b", text, SIZE);
    expect_content("/c", text, SIZE);
    expect_content("/tmp/d", text, SIZE);
}

static void a_synced_copy_to_a_name_that_was_not_synced_survives(void **state)
{
    aloop_copy_options options = {.size = sizeof options,
                                  .is_synced = true,
                                  .is_replacing = true};

    (void) state;
    assert_int_equal(
        aloop_await(aloop_fs_write_file(t.loop, "/b", "old", 3, 0644)), 3);
    assert_int_equal(aloop_await(aloop_fs_copy(t.loop, "/a", "/b", &options)),
                     SIZE);
    assert_int_equal(sim_calls("aloop__sys_fsync"), 2);
    sim_file_crash();
    expect_content("/b", text, SIZE);
}

static void a_target_that_is_removed_meanwhile_is_made_again(void **state)
{
    (void) state;
    sim_file_put("/b", "old", 3);
    sim_fail("aloop__sys_openat", 3, -ENOENT);
    assert_int_equal(replace("/a", "/b"), SIZE);
    expect_content("/b", text, SIZE);
}

static void a_target_that_leads_nowhere_is_an_error(void **state)
{
    (void) state;
    assert_int_equal(aloop_await(aloop_fs_symlink(t.loop, "/none", "/b")), 0);
    assert_int_equal(replace("/a", "/b"), ALOOP_ENOENT);
}

static void a_directory_that_cannot_be_synced_is_no_error(void **state)
{
    aloop_copy_options options = {.size = sizeof options, .is_synced = true};

    (void) state;
    sim_fail("aloop__sys_fsync", 2, -EINVAL);
    assert_int_equal(aloop_await(aloop_fs_copy(t.loop, "/a", "/b", &options)),
                     SIZE);
    assert_int_equal(sim_faults_pending(), 0);
}

static void files_with_a_lease_are_opened_by_waiting_for_it(void **state)
{
    (void) state;
    sim_file_put("/b", "old", 3);
    sim_fail("aloop__sys_openat", 1, -EAGAIN);
    sim_fail("aloop__sys_openat", 4, -EAGAIN);
    assert_int_equal(replace("/a", "/b"), SIZE);
    assert_int_equal(sim_calls("aloop__sys_openat"), 5);
}

/* Cancels and ends. */

static void a_copy_that_has_not_begun_is_taken_back(void **state)
{
    aloop_future *future = aloop_fs_copy(t.loop, "/a", "/b", NULL);

    (void) state;
    aloop_cancel(future);
    assert_int_equal(aloop_future_status(future), ALOOP_ECANCELED);
    aloop_future_unref(future);
    aloop_run(t.loop);
    expect_none("/b");
}

static void a_cancel_removes_the_target(void **state)
{
    (void) state;
    for (int way = BY_KERNEL; way <= BY_HAND; way++) {
        aloop_future *future;

        select_way((enum way) way);
        future = begin_copy(NULL, sim_calls("aloop__sys_copy_range") + 1);
        aloop_cancel(future);
        assert_false(aloop_future_is_settled(future));
        assert_int_equal(sim_file_get("/b", NULL, 0) >= 0, 1);
        assert_int_equal(aloop_await(future), ALOOP_EABORTED);
        expect_none("/b");
    }
}

static void a_cancel_of_a_complete_copy_has_no_effect(void **state)
{
    aloop_future *future;

    (void) state;
    slow_down_copies();
    future = aloop_fs_copy(t.loop, "/a", "/b", NULL);
    pass_until("aloop__sys_close", 1);
    aloop_cancel(future);
    assert_int_equal(aloop_await(future), SIZE);
    expect_content("/b", text, SIZE);
}

static void the_end_of_the_loop_removes_an_incomplete_target(void **state)
{
    aloop_options options = {.size = sizeof options};

    (void) state;
    aloop_detach(begin_copy(NULL, 2));
    aloop_free(t.loop);
    expect_none("/b");
    t.loop = aloop_new(&options);
}

static void a_forked_child_leaves_the_copy_to_its_parent(void **state)
{
    aloop_future *future = begin_copy(NULL, 2);

    (void) state;
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    assert_int_equal(aloop_await(future), ALOOP_EABORTED);
    assert_true(sim_file_get("/b", NULL, 0) >= 0);
    assert_int_equal(sim_calls("aloop__sys_unlinkat"), 0);
}

/* Progress. */

static struct {
    unsigned calls;
    uint64_t copied, total;
    aloop_future *cancelled; /* By the next call; or NULL. */
    aloop_future *dropped;   /* By the last call; or NULL. */
} p;

static void on_progress(aloop *loop, uint64_t copied, uint64_t total, void *arg)
{
    assert_ptr_equal(loop, t.loop);
    assert_ptr_equal(arg, &p);
    assert_true(copied >= p.copied);
    p.calls++;
    p.copied = copied;
    p.total = total;
    if (p.cancelled != NULL)
        aloop_cancel(p.cancelled);
    if (p.dropped != NULL && copied == total)
        aloop_future_unref(p.dropped);
}

static const aloop_copy_options noted = {
    .size = sizeof noted, .on_progress = on_progress, .arg = &p};

static void put_large(void)
{
    static char large[4 * MIB + 100];

    memset(&p, 0, sizeof p);
    sim_file_put("/a", large, sizeof large);
}

static void progress_is_reported_for_each_mib_and_at_the_end(void **state)
{
    (void) state;
    put_large();
    slow_down_copies();
    assert_int_equal(aloop_await(aloop_fs_copy(t.loop, "/a", "/b", &noted)),
                     4 * MIB + 100);
    assert_int_equal(p.calls, 5);
    assert_int_equal(p.copied, 4 * MIB + 100);
    assert_int_equal(p.total, 4 * MIB + 100);
}

static void the_last_progress_is_reported_for_every_size(void **state)
{
    (void) state;
    memset(&p, 0, sizeof p);
    sim_file_put("/a", "", 0);
    assert_int_equal(aloop_await(aloop_fs_copy(t.loop, "/a", "/b", &noted)), 0);
    assert_int_equal(p.calls, 1);
    sim_file_put("/a", "x", 1);
    assert_int_equal(aloop_await(aloop_fs_copy(t.loop, "/a", "/c", &noted)), 1);
    assert_int_equal(p.calls, 2);
    assert_int_equal(p.copied, 1);
}

static void a_callback_may_cancel_the_copy(void **state)
{
    aloop_future *future;

    (void) state;
    put_large();
    slow_down_copies();
    future = aloop_fs_copy(t.loop, "/a", "/b", &noted);
    p.cancelled = future;
    assert_int_equal(aloop_await(future), ALOOP_EABORTED);
    assert_int_equal(p.calls, 1);
    expect_none("/b");
}

static void the_last_callback_may_cancel_or_drop_the_copy(void **state)
{
    (void) state;
    memset(&p, 0, sizeof p);
    p.cancelled = aloop_fs_copy(t.loop, "/a", "/b", &noted);
    assert_int_equal(aloop_await(p.cancelled), SIZE);
    memset(&p, 0, sizeof p);
    p.dropped = aloop_fs_copy(t.loop, "/a", "/c", &noted);
    aloop_run(t.loop);
    assert_int_equal(p.calls, 1);
    expect_content("/b", text, SIZE);
    expect_content("/c", text, SIZE);
}

static void a_dropped_copy_reports_no_progress(void **state)
{
    aloop_future *future;

    (void) state;
    put_large();
    slow_down_copies();
    future = aloop_fs_copy(t.loop, "/a", "/b", &noted);
    pass_until("aloop__sys_copy_range", 300);
    aloop_future_unref(future);
    aloop_run(t.loop);
    assert_int_equal(p.calls, 0);
    expect_none("/b");
}

static void a_detached_copy_reports_its_progress(void **state)
{
    (void) state;
    memset(&p, 0, sizeof p);
    aloop_detach(aloop_fs_copy(t.loop, "/a", "/b", &noted));
    aloop_run(t.loop);
    assert_int_equal(p.copied, SIZE);
}

static void no_progress_is_reported_while_the_loop_ends(void **state)
{
    aloop_options options = {.size = sizeof options};

    (void) state;
    put_large();
    slow_down_copies();
    aloop_detach(aloop_fs_copy(t.loop, "/a", "/b", &noted));
    pass_until("aloop__sys_copy_range", 300);
    aloop_free(t.loop);
    assert_int_equal(p.calls, 0);
    t.loop = aloop_new(&options);
}

/* Arguments. */

static void only_regular_files_are_copied(void **state)
{
    (void) state;
    sim_file_fifo("/fifo");
    sim_file_mkdir("/d");
    assert_int_equal(copy("/fifo", "/b"), ALOOP_EINVAL);
    assert_int_equal(copy("/d", "/b"), ALOOP_EISDIR);
    assert_int_equal(copy("/no", "/b"), ALOOP_ENOENT);
    assert_int_equal(copy("/a/x", "/b"), ALOOP_ENOTDIR);
    expect_none("/b");
    assert_int_equal(copy("/a", "/d"), ALOOP_EEXIST);
    assert_int_equal(replace("/a", "/d"), ALOOP_EISDIR);
    assert_int_equal(replace("/a", "/fifo"), ALOOP_ENXIO);
    aloop_file *reader = open_file("/fifo", O_RDONLY, 0);
    assert_int_equal(replace("/a", "/fifo"), ALOOP_EINVAL);
    aloop_file_close(reader);
}

static void invalid_arguments_give_a_failed_future(void **state)
{
    aloop_copy_options wrong = {.size = 1};

    (void) state;
    assert_int_equal(aloop_await(aloop_fs_copy(NULL, "/a", "/b", NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(copy(NULL, "/b"), ALOOP_EINVAL);
    assert_int_equal(copy("/a", NULL), ALOOP_EINVAL);
    assert_int_equal(copy("/a", ""), ALOOP_ENOENT);
    assert_int_equal(copy("", "/b"), ALOOP_ENOENT);
    assert_int_equal(aloop_await(aloop_fs_copy(t.loop, "/a", "/b", &wrong)),
                     ALOOP_EINVAL);
    expect_none("/b");
}

#define COPY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, copy_set_up, file_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COPY_TEST(every_way_copies_files_of_every_size),
        COPY_TEST(the_fastest_way_is_tried_first),
        COPY_TEST(no_error_of_the_kernels_copy_ends_the_copy),
        COPY_TEST(a_count_of_0_from_the_kernels_copy_is_not_the_end),
        COPY_TEST(short_counts_are_continued),
        COPY_TEST(holes_stay_holes),
        COPY_TEST(holes_are_copied_as_zeros_where_they_cannot_be_found),
        COPY_TEST(an_error_at_the_final_hole_ends_the_copy),
        COPY_TEST(a_source_that_shrinks_is_copied_as_far_as_it_goes),
        COPY_TEST(
            a_source_that_shrinks_in_a_hole_has_no_size_that_it_never_had),
        COPY_TEST(a_source_that_grows_is_copied_to_its_new_end),
        COPY_TEST(a_target_that_exists_is_left_alone),
        COPY_TEST(a_target_is_replaced_on_request),
        COPY_TEST(a_replaced_target_stays_after_a_failure),
        COPY_TEST(a_file_is_not_copied_onto_itself),
        COPY_TEST(a_new_target_gets_the_permissions_of_the_source),
        COPY_TEST(a_full_disk_is_an_error_and_leaves_no_target),
        COPY_TEST(a_target_beyond_the_limit_of_the_process_is_efbig),
        COPY_TEST(every_error_removes_the_new_target),
        COPY_TEST(a_close_that_a_signal_interrupts_has_succeeded),
        COPY_TEST(the_target_is_closed_before_it_is_removed),
        cmocka_unit_test_setup_teardown(
            another_file_that_took_the_name_is_not_removed, copy_set_up,
            tear_down),
        COPY_TEST(a_synced_copy_survives_a_crash),
        COPY_TEST(a_synced_copy_to_a_name_that_was_not_synced_survives),
        COPY_TEST(a_directory_that_cannot_be_synced_is_no_error),
        COPY_TEST(a_target_that_is_removed_meanwhile_is_made_again),
        COPY_TEST(a_target_that_leads_nowhere_is_an_error),
        COPY_TEST(files_with_a_lease_are_opened_by_waiting_for_it),
        COPY_TEST(a_copy_that_has_not_begun_is_taken_back),
        COPY_TEST(a_cancel_removes_the_target),
        COPY_TEST(a_cancel_of_a_complete_copy_has_no_effect),
        COPY_TEST(the_end_of_the_loop_removes_an_incomplete_target),
        COPY_TEST(a_forked_child_leaves_the_copy_to_its_parent),
        COPY_TEST(progress_is_reported_for_each_mib_and_at_the_end),
        COPY_TEST(the_last_progress_is_reported_for_every_size),
        COPY_TEST(a_callback_may_cancel_the_copy),
        COPY_TEST(the_last_callback_may_cancel_or_drop_the_copy),
        COPY_TEST(a_dropped_copy_reports_no_progress),
        COPY_TEST(a_detached_copy_reports_its_progress),
        COPY_TEST(no_progress_is_reported_while_the_loop_ends),
        COPY_TEST(only_regular_files_are_copied),
        COPY_TEST(invalid_arguments_give_a_failed_future),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
