/* Paths that the loop's thread has read before, and what other processes make
 * of them: other kinds of files, mounts, leases. */

#define _GNU_SOURCE /* For unshare() and F_SETLEASE. */

#include "support/folder_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

#if defined __linux__
#include <sys/mount.h>
#include <sys/sysmacros.h>
#endif

enum { SIZE = 10, ROUNDS = 3 };
static const char digits[] = "0123456789", other[] = "abcdefghij";

static ssize_t status_of_read(const char *path, size_t size_max)
{
    void *data = NULL;
    ssize_t status =
        aloop_await(aloop_fs_read_file(d.loop, path, size_max, &data));

    aloop_data_free(d.loop, data);
    return status;
}

static ssize_t status_of_open(const char *path, int flags)
{
    aloop_file *file = NULL;
    ssize_t status =
        aloop_await(aloop_file_open(d.loop, path, flags, 0, &file));

    aloop_file_close(file);
    return status;
}

/* Reads the file as a whole and through an open, as often as needed for the
 * loop to know its path. */
static void expect(const char *path, const char *content)
{
    for (int i = 0; i < ROUNDS; i++) {
        char text[SIZE] = "";
        aloop_file *file = NULL;
        void *data = NULL;

        CHECK(aloop_await(aloop_fs_read_file(d.loop, path, 100, &data)) ==
              SIZE);
        CHECK(strcmp(data, content) == 0);
        aloop_data_free(d.loop, data);
        CHECK(aloop_await(aloop_file_open(d.loop, path, O_RDONLY, 0, &file)) ==
              0);
        CHECK(aloop_await(aloop_file_read(file, text, SIZE)) == SIZE);
        CHECK(memcmp(text, content, SIZE) == 0);
        aloop_file_close(file);
    }
    wait_for_threads();
}

/* Makes a regular file, and has the loop know its path. */
static const char *known_path(const char *name)
{
    static char path[600];

    put_file(name, digits, SIZE);
    snprintf(path, sizeof path, "%s", in_folder(name));
    expect(path, digits);
    return path;
}

static void a_known_path_may_become_a_link_or_a_directory(void **state)
{
    const char *path = known_path("a");

    (void) state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(status_of_read(path, 100), ALOOP_ENOENT);
    assert_int_equal(status_of_open(path, O_RDONLY), ALOOP_ENOENT);
    assert_int_equal(symlink(path, path), 0);
    assert_int_equal(status_of_read(path, 100), ALOOP_ELOOP);
    assert_int_equal(status_of_open(path, O_RDONLY), ALOOP_ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(status_of_read(path, 100), ALOOP_EISDIR);
    assert_int_equal(status_of_open(path, O_RDONLY), 0);
    assert_int_equal(status_of_open(path, O_WRONLY), ALOOP_EISDIR);
    assert_int_equal(rmdir(path), 0);
    put_file("b", other, SIZE);
    assert_int_equal(symlink("b", path), 0);
    expect(path, other);
    assert_int_equal(unlink(path), 0);
    put_file("a", digits, SIZE);
    expect(path, digits);
}

static void a_known_path_may_become_a_socket(void **state)
{
    const char *path = known_path("a");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void) state;
    assert_int_equal(unlink(path), 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    close(fd);
    assert_int_equal(status_of_read(path, 100), ALOOP_ENXIO);
    assert_int_equal(status_of_open(path, O_RDONLY), ALOOP_ENXIO);
}

/* A FIFO without a writer: nothing waits, but the read. */
static void a_known_path_may_become_a_fifo(void **state)
{
    const char *path = known_path("a");
    aloop_future *read;
    void *data = NULL;
    int fd;

    (void) state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    read = aloop_fs_read_file(d.loop, path, 100, &data);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(aloop_await(aloop_sleep(d.loop, ALOOP_MS(1))), 0);
    assert_int_equal(status_of_open(path, O_RDONLY), 0);
    assert_false(aloop_future_is_settled(read));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(patient_write(fd, digits, SIZE), SIZE);
    close(fd);
    assert_int_equal(aloop_await(read), SIZE);
    assert_string_equal(data, digits);
    aloop_data_free(d.loop, data);
}

#if defined __linux__

static void a_known_path_may_become_a_device(void **state)
{
    const char *path = known_path("a");
    int fd;

    (void) state;
    assert_int_equal(unlink(path), 0);
    if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) != 0)
        skip();
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        skip(); /* The folder allows no devices. */
    close(fd);
    assert_int_equal(status_of_read(path, 100), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mknod(path, S_IFCHR | 0600, makedev(1, 5)), 0);
    assert_int_equal(status_of_read(path, 100), ALOOP_EFBIG);
}

/* Files of /proc whose reads fail, and a device whose records end by EAGAIN. */
static void files_that_are_no_files_have_their_own_results(void **state)
{
    aloop_file *file = NULL;
    aloop_future *read;
    char byte;
    void *data = NULL;
    int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    (void) state;
    assert_int_equal(status_of_read("/proc/self/mem", 100), ALOOP_EIO);
    assert_int_equal(aloop_await(aloop_file_open(d.loop, "/proc/self/mem",
                                                 O_RDONLY, 0, &file)),
                     0);
    assert_int_equal(aloop_await(aloop_file_read_at(file, &byte, 1, 0)),
                     ALOOP_EIO);
    if (!patient_runs_on_qemu()) { /* Its addresses are others. */
        assert_int_equal(aloop_await(aloop_file_read_at(
                             file, &byte, 1, (int64_t) (uintptr_t) digits + 3)),
                         1);
        assert_int_equal(byte, '3');
    }
    aloop_file_close(file);
    if (fd < 0)
        skip();
    close(fd);
    read = aloop_fs_read_file(d.loop, "/dev/kmsg", 1 << 26, &data);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(aloop_await(aloop_sleep(d.loop, ALOOP_MS(1))), 0);
    aloop_cancel(read);
    assert_true(aloop_await(read) < 0);
}

/* The lease ends when the test writes a byte. */
static pid_t start_lease(const char *path, int ready, int release)
{
    pid_t child = fork();
    char byte = 0;
    int fd;

    if (child != 0)
        return child;
    signal(SIGIO, SIG_IGN);
    fd = open(path, O_RDWR);
    byte = fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
    CHECK(patient_write(ready, &byte, 1) == 1);
    CHECK(patient_read(release, &byte, 1) == 1);
    _exit(0);
}

static void a_lease_of_another_process_does_not_block_the_loop(void **state)
{
    const char *path = known_path("a");
    aloop_future *open_it, *read;
    aloop_file *file = NULL;
    void *data = NULL;
    int ready[2], release[2];
    char has_lease = 0;
    pid_t child;

    (void) state;
    assert_int_equal(pipe(ready) + pipe(release), 0);
    child = start_lease(path, ready[1], release[0]);
    assert_int_equal(patient_read(ready[0], &has_lease, 1), 1);
    read = aloop_fs_read_file(d.loop, path, 100, &data);
    open_it = aloop_file_open(d.loop, path, O_RDONLY, 0, &file);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(aloop_await(aloop_sleep(d.loop, ALOOP_MS(1))), 0);
    assert_true(!has_lease || (!aloop_future_is_settled(read) &&
                               !aloop_future_is_settled(open_it)));
    assert_int_equal(patient_write(release[1], "", 1), 1);
    assert_int_equal(aloop_await(read), SIZE);
    assert_int_equal(aloop_await(open_it), 0);
    aloop_data_free(d.loop, data);
    aloop_file_close(file);
    assert_child_succeeded(child);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(release[i]);
    }
    if (!has_lease)
        skip();
}

/* Mounts, which only the child sees. */

static void put(const char *folder, const char *content)
{
    char path[700];
    int fd;

    snprintf(path, sizeof path, "%s/a", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && patient_write(fd, content, SIZE) == SIZE);
    close(fd);
}

static void mount_over(const char *from, const char *to, const char *type,
                       unsigned long flags, const char *options)
{
    if (mount(from, to, type, flags, options) != 0)
        _exit(CHILD_SKIPS);
}

/* `path` is known.  Another folder, another file and a tmpfs take its place,
 * and leave it again. */
static void use_mounts_on_the_way(const char *folder, const char *path,
                                  const char *second)
{
    char file[700];

    snprintf(file, sizeof file, "%s/a", second);
    mount_over(second, folder, "none", MS_BIND, NULL);
    expect(path, other);
    CHECK(umount(folder) == 0);
    expect(path, digits);
    mount_over(file, path, "none", MS_BIND, NULL);
    expect(path, other);
    CHECK(umount(path) == 0);
    expect(path, digits);
    mount_over("none", folder, "tmpfs", 0, "size=64k");
    CHECK(status_of_read(path, 100) == ALOOP_ENOENT);
    put(folder, other);
    expect(path, other);
    CHECK(umount(folder) == 0);
    expect(path, digits);
}

/* The layers are in a tmpfs. */
static void use_overlay(const char *folder, const char *path,
                        const char *second)
{
    char options[2200], made[4][700];
    static const char *const names[] = {"low", "up", "work", "all"};

    mount_over("none", second, "tmpfs", 0, "size=1m");
    for (int i = 0; i < 4; i++) {
        snprintf(made[i], sizeof made[i], "%s/%s", second, names[i]);
        CHECK(mkdir(made[i], 0700) == 0);
    }
    put(made[0], other);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s",
             made[0], made[1], made[2]);
    mount_over("overlay", folder, "overlay", 0, options);
    expect(path, other);
    CHECK(aloop_await(aloop_fs_write_file(d.loop, path, digits, SIZE, 0600)) ==
          SIZE);
    expect(path, digits);
    CHECK(umount(folder) == 0);
    expect(path, digits);
    CHECK(umount(second) == 0);
}

/* A file that is open keeps its file system, and one that is closed does
 * not. */
static void use_unmounts(const char *folder, const char *path)
{
    aloop_file *file = NULL;
    char text[SIZE];

    mount_over("none", folder, "tmpfs", 0, "size=64k");
    put(folder, other);
    expect(path, other);
    CHECK(aloop_await(aloop_file_open(d.loop, path, O_RDONLY, 0, &file)) == 0);
    CHECK(umount(folder) < 0 && errno == EBUSY);
    CHECK(umount2(folder, MNT_DETACH) == 0);
    expect(path, digits);
    CHECK(aloop_await(aloop_file_read(file, text, SIZE)) == SIZE);
    CHECK(memcmp(text, other, SIZE) == 0);
    aloop_file_close(file);
    wait_for_threads();
}

static void use_read_only(const char *folder, const char *path)
{
    char name[700], text[700];
    aloop_file *file = NULL;

    snprintf(name, sizeof name, "%s/b", folder);
    mount_over(folder, folder, "none", MS_BIND, NULL);
    CHECK(aloop_await(aloop_file_open(d.loop, path, O_RDWR, 0, &file)) == 0);
    CHECK(mount("none", folder, "none", MS_BIND | MS_REMOUNT | MS_RDONLY,
                NULL) < 0 &&
          errno == EBUSY);
    aloop_file_close(file);
    wait_for_threads();
    mount_over("none", folder, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
    expect(path, digits);
    CHECK(status_of_open(path, O_RDWR) == ALOOP_EROFS);
    CHECK(status_of_open(path, O_WRONLY) == ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_write_file(d.loop, path, other, SIZE, 0600)) ==
          ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_replace_file(d.loop, path, other, SIZE, 0600)) ==
          ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_copy(d.loop, path, name, NULL)) == ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_unlink(d.loop, path)) == ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_remove_all(d.loop, path)) == ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_truncate(d.loop, path, 0)) == ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_chmod(d.loop, path, 0600)) == ALOOP_EROFS);
    CHECK(aloop_await(aloop_fs_mkdir(d.loop, name, 0700)) == ALOOP_EROFS);
    snprintf(text, sizeof text, "%s/XXXXXX", folder);
    CHECK(aloop_await(aloop_fs_mkdtemp(d.loop, text)) == ALOOP_EROFS);
    expect(path, digits);
    CHECK(umount(folder) == 0);
    CHECK(status_of_open(path, O_RDWR) == 0);
    wait_for_threads();
}

static void run_child(bool is_in_memory)
{
    char folder[600], second[600], path[700];

    CHECK(aloop_free(d.loop) == 0); /* That of the parent. */
    d.loop = aloop_new(NULL);
    alarm((unsigned) patient_limit(60));
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(CHILD_SKIPS);
    if (is_in_memory)
        mount_over("none", d.folder, "tmpfs", 0, "size=4m");
    snprintf(folder, sizeof folder, "%s", in_folder("one"));
    snprintf(second, sizeof second, "%s", in_folder("two"));
    CHECK(mkdir(folder, 0700) == 0 && mkdir(second, 0700) == 0);
    put(folder, digits);
    put(second, other);
    snprintf(path, sizeof path, "%s/a", folder);
    expect(path, digits);
    use_mounts_on_the_way(folder, path, second);
    use_overlay(folder, path, second);
    use_unmounts(folder, path);
    use_read_only(folder, path);
    CHECK(aloop_await(aloop_fs_remove_all(d.loop, folder)) >= 0);
    CHECK(aloop_await(aloop_fs_remove_all(d.loop, second)) >= 0);
    CHECK(aloop_free(d.loop) == 0);
    _exit(0);
}

static void use_mounts(bool is_in_memory)
{
    pid_t child;

    if (!HAS_THREADS_AFTER_FORK)
        skip();
    child = fork();
    if (child == 0)
        run_child(is_in_memory);
    if (!has_child_succeeded(child))
        skip();
}

static void mounts_change_what_a_known_path_is(void **state)
{
    (void) state;
    use_mounts(false);
}

static void mounts_change_what_a_known_path_in_memory_is(void **state)
{
    (void) state;
    use_mounts(true);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_known_path_may_become_a_link_or_a_directory),
        TEST(a_known_path_may_become_a_socket),
        TEST(a_known_path_may_become_a_fifo),
#if defined __linux__
        TEST(a_known_path_may_become_a_device),
        TEST(files_that_are_no_files_have_their_own_results),
        TEST(a_lease_of_another_process_does_not_block_the_loop),
        TEST(mounts_change_what_a_known_path_is),
        TEST(mounts_change_what_a_known_path_in_memory_is),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
