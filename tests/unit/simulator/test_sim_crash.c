/* Crashes of the simulated machine.  Each test runs with many seeds: what was
 * synced is always kept, and what was not has every state that was seen on real
 * file systems. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "os/sys_file.h"
#include "simulator/sim.h"
#include "simulator/sim_file.h"

enum { SEEDS = 200, BIG = 3 * 4096 };

static char old_bytes[BIG], new_bytes[BIG];

static int set_up(void **state)
{
    (void) state;
    memset(old_bytes, 'o', sizeof old_bytes);
    memset(new_bytes, 'n', sizeof new_bytes);
    return 0;
}

static void begin(uint64_t seed)
{
    sim_reset(seed);
}

static void end(void)
{
    assert_string_equal(sim_mess(), "");
    sim_end();
}

static int open_file(const char *path, int flags)
{
    int fd = aloop__sys_openat(SYS_CWD, path, flags, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* Writes all of a file, and syncs it if asked. */
static void write_file(const char *path, const char *bytes, bool is_synced)
{
    const struct sys_piece piece = {bytes, BIG};
    int fd = open_file(path, O_WRONLY | O_CREAT);

    assert_int_equal(aloop__sys_pwritev(fd, &piece, 1, 0), BIG);
    if (is_synced)
        assert_int_equal(aloop__sys_fsync(fd), 0);
    aloop__sys_close(fd);
}

static void sync_dir(const char *path)
{
    int fd = open_file(path, O_RDONLY | O_DIRECTORY);

    assert_int_equal(aloop__sys_fsync(fd), 0);
    aloop__sys_close(fd);
}

enum found { NOTHING, EMPTY, OLD, NEW, OTHER, FOUNDS };

static enum found look_at(const char *path)
{
    static char bytes[2 * BIG];
    ssize_t size = sim_file_get(path, bytes, sizeof bytes);

    if (size == -ENOENT)
        return NOTHING;
    if (size == 0)
        return EMPTY;
    if (size == BIG && memcmp(bytes, old_bytes, BIG) == 0)
        return OLD;
    if (size == BIG && memcmp(bytes, new_bytes, BIG) == 0)
        return NEW;
    return OTHER;
}

static void what_was_synced_survives(void **state)
{
    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        assert_int_equal(aloop__sys_mkdirat(SYS_CWD, "/d", 0700), 0);
        write_file("/d/a", new_bytes, true);
        sync_dir("/d");
        sync_dir("/");
        sim_file_crash();
        assert_int_equal(look_at("/d/a"), NEW);
        sim_file_crash();
        assert_int_equal(look_at("/d/a"), NEW);
        end();
    }
}

static void a_new_file_without_a_sync_has_any_state(void **state)
{
    bool was_seen[FOUNDS] = {false};

    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        write_file("/a", new_bytes, false);
        sim_file_crash();
        was_seen[look_at("/a")] = true;
        end();
    }
    assert_true(was_seen[NOTHING] && was_seen[EMPTY] && was_seen[NEW] &&
                was_seen[OTHER]);
}

static void an_overwritten_file_may_be_a_mixture(void **state)
{
    bool was_seen[FOUNDS] = {false};

    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        sim_file_put("/a", old_bytes, BIG);
        write_file("/a", new_bytes, false);
        sim_file_crash();
        was_seen[look_at("/a")] = true;
        end();
    }
    assert_true(was_seen[OLD] && was_seen[NEW] && was_seen[OTHER]);
    assert_false(was_seen[NOTHING]);
}

/* Replaces /a by /b, with the syncs that are asked for, crashes, and notes what
 * /a and /b are. */
static void replace(bool is_file_synced, bool is_dir_synced,
                    bool was_seen[FOUNDS], bool was_seen_other[FOUNDS])
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        sim_file_put("/a", old_bytes, BIG);
        write_file("/b", new_bytes, is_file_synced);
        assert_int_equal(aloop__sys_renameat(SYS_CWD, "/b", SYS_CWD, "/a"), 0);
        if (is_dir_synced)
            sync_dir("/");
        sim_file_crash();
        was_seen[look_at("/a")] = true;
        was_seen_other[look_at("/b")] = true;
        end();
    }
}

static void a_replaced_file_is_old_or_new_if_the_new_one_was_synced(
    void **state)
{
    bool was_seen[FOUNDS] = {false}, was_seen_other[FOUNDS] = {false};

    (void) state;
    replace(true, false, was_seen, was_seen_other);
    assert_true(was_seen[OLD] && was_seen[NEW]);
    assert_false(was_seen[NOTHING] || was_seen[EMPTY] || was_seen[OTHER]);
    assert_true(was_seen_other[NOTHING] && was_seen_other[NEW]);
    assert_false(was_seen_other[EMPTY] || was_seen_other[OLD] ||
                 was_seen_other[OTHER]);
}

static void a_replaced_file_is_new_after_a_sync_of_the_directory(void **state)
{
    bool was_seen[FOUNDS] = {false}, was_seen_other[FOUNDS] = {false};

    (void) state;
    replace(true, true, was_seen, was_seen_other);
    assert_false(was_seen[OLD] || was_seen[NOTHING] || was_seen[EMPTY] ||
                 was_seen[OTHER]);
    assert_false(was_seen_other[NEW] || was_seen_other[EMPTY] ||
                 was_seen_other[OLD]);
}

static void a_replaced_file_may_be_empty_if_the_new_one_was_not_synced(
    void **state)
{
    bool was_seen[FOUNDS] = {false}, was_seen_other[FOUNDS] = {false};

    (void) state;
    replace(false, false, was_seen, was_seen_other);
    assert_true(was_seen[OLD] && was_seen[NEW] && was_seen[EMPTY] &&
                was_seen[OTHER]);
    memset(was_seen, 0, sizeof was_seen);
    replace(false, true, was_seen, was_seen_other);
    assert_true(was_seen[EMPTY] && was_seen[NEW] && was_seen[OTHER]);
    assert_false(was_seen[OLD]);
}

static void a_removed_file_may_come_back_with_its_content(void **state)
{
    bool was_seen[FOUNDS] = {false};

    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        sim_file_put("/a", old_bytes, BIG);
        assert_int_equal(aloop__sys_unlinkat(SYS_CWD, "/a"), 0);
        sim_file_crash();
        was_seen[look_at("/a")] = true;
        end();
    }
    assert_true(was_seen[OLD] && was_seen[NOTHING]);
    assert_false(was_seen[EMPTY] || was_seen[OTHER]);
}

/* A sync of one directory makes a move from another one durable, together with
 * what preceded the move there. */
static void a_move_is_in_one_of_both_directories(void **state)
{
    bool was_seen[2] = {false};

    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool is_synced = seed % 2 == 0, is_old, is_new;

        begin(seed);
        sim_file_mkdir("/from");
        sim_file_mkdir("/to");
        write_file("/from/a", new_bytes, true);
        sync_dir("/from");
        assert_int_equal(
            aloop__sys_renameat(SYS_CWD, "/from/a", SYS_CWD, "/to/b"), 0);
        if (is_synced)
            sync_dir("/to");
        sim_file_crash();
        is_old = look_at("/from/a") == NEW;
        is_new = look_at("/to/b") == NEW;
        assert_true(is_old != is_new);
        assert_true(is_new || !is_synced);
        was_seen[is_new] = true;
        end();
    }
    assert_true(was_seen[0] && was_seen[1]);
}

static void a_sync_after_one_that_failed_proves_nothing(void **state)
{
    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int fd;

        begin(seed);
        sim_file_put("/a", old_bytes, BIG);
        write_file("/a", new_bytes, false);
        fd = open_file("/a", O_RDWR);
        sim_fail("aloop__sys_fsync", 1, -EIO);
        assert_int_equal(aloop__sys_fsync(fd), -EIO);
        assert_int_equal(aloop__sys_fsync(fd), 0);
        aloop__sys_close(fd);
        assert_int_equal(look_at("/a"), NEW);
        sim_file_crash();
        assert_int_equal(look_at("/a"), OLD);
        end();
    }
}

static void links_are_counted_again_after_a_crash(void **state)
{
    (void) state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        aloop_stat a, root;
        bool has_b, has_dir;

        begin(seed);
        sim_file_put("/a", old_bytes, BIG);
        assert_int_equal(aloop__sys_linkat(SYS_CWD, "/a", SYS_CWD, "/b"), 0);
        assert_int_equal(aloop__sys_mkdirat(SYS_CWD, "/dir", 0700), 0);
        sim_file_crash();
        has_b = look_at("/b") == OLD;
        has_dir = sim_device("/dir") != NULL;
        assert_int_equal(aloop__sys_statat(SYS_CWD, "/a", false, &a), 0);
        assert_int_equal(aloop__sys_statat(SYS_CWD, "/", false, &root), 0);
        assert_int_equal(a.links, 1 + has_b);
        assert_int_equal(root.links, 3 + has_dir); /* With "/tmp". */
        end();
    }
}

static void a_stopped_machine_changes_nothing(void **state)
{
    const struct sys_piece piece = {"x", 1};
    char byte;
    int fd;

    (void) state;
    begin(1);
    sim_file_put("/a", old_bytes, BIG);
    sim_file_stop_after(1);
    assert_false(sim_file_has_stopped());
    fd = open_file("/b", O_RDWR | O_CREAT);
    assert_true(sim_file_has_stopped());
    assert_int_equal(aloop__sys_pwritev(fd, &piece, 1, 0), -EIO);
    assert_int_equal(aloop__sys_fsync(fd), -EIO);
    assert_int_equal(aloop__sys_preadv(fd, &(struct sys_piece){&byte, 1}, 1, 0),
                     0);
    assert_int_equal(aloop__sys_renameat(SYS_CWD, "/b", SYS_CWD, "/a"), -EIO);
    assert_int_equal(aloop__sys_close(fd), 0);
    assert_int_equal(look_at("/a"), OLD);
    sim_file_crash();
    assert_false(sim_file_has_stopped());
    assert_int_equal(look_at("/a"), OLD);
    write_file("/c", new_bytes, true);
    end();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_was_synced_survives),
        TEST(a_new_file_without_a_sync_has_any_state),
        TEST(an_overwritten_file_may_be_a_mixture),
        TEST(a_replaced_file_is_old_or_new_if_the_new_one_was_synced),
        TEST(a_replaced_file_is_new_after_a_sync_of_the_directory),
        TEST(a_replaced_file_may_be_empty_if_the_new_one_was_not_synced),
        TEST(a_removed_file_may_come_back_with_its_content),
        TEST(a_move_is_in_one_of_both_directories),
        TEST(a_sync_after_one_that_failed_proves_nothing),
        TEST(links_are_counted_again_after_a_crash),
        TEST(a_stopped_machine_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
