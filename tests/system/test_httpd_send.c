/* The HTTP server of the examples sends large files by sendfile().  The linker
 * redirects that function to this file (--wrap), which looks at each call: on
 * the loop's thread it must find the file in the page cache. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../examples/support/httpd.h"
#include "../examples/support/httpd_files.h"
#include "../examples/support/httpd_open.h"
#include "support/child.h"
#include "support/child_result.h"
#include "support/patient.h"

enum { SIZE = 1500 * 1000, HUGE = 64 * 1024 * 1024 };

static struct {
    pthread_t thread; /* Of the loop. */
    char folder[64];
    char path[80];
    struct httpd_files *files;
    struct httpd *httpd;
    aloop *loop;
    char port[8];
    atomic_int on_loop, on_pool; /* Calls. */
    atomic_int cold_on_loop;
    atomic_bool is_shrinking; /* The file is, before a call. */
    atomic_bool is_held;      /* Calls on the pool wait until this is false. */
    atomic_int logged;
    char file[SIZE], got[SIZE + 4096];
} f;

/* Returns whether the page cache has a part of a file. */
static bool is_resident(int fd, off_t offset, size_t size)
{
    enum { PAGES_MAX = 4096 };
    off_t start = offset - offset % 65536; /* Of a page, whatever its size. */
    size_t length = size + (size_t) (offset - start);
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    unsigned char pages[PAGES_MAX];
    void *map;
    bool is_all = true;

    assert_true(length / page < PAGES_MAX);
    map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, start);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, length, pages), 0);
    munmap(map, length);
    for (size_t i = (size_t) (offset - start) / page;
         i < (length + page - 1) / page; i++)
        is_all = is_all && (pages[i] & 1) != 0;
    return is_all;
}

ssize_t __real_sendfile(int to, int from, off_t *offset, size_t size);
ssize_t __wrap_sendfile(int to, int from, off_t *offset, size_t size);

ssize_t __wrap_sendfile(int to, int from, off_t *offset, size_t size)
{
    if (pthread_equal(pthread_self(), f.thread)) {
        atomic_fetch_add(&f.on_loop, 1);
        if (!is_resident(from, *offset, size))
            atomic_fetch_add(&f.cold_on_loop, 1);
    } else {
        atomic_fetch_add(&f.on_pool, 1);
        while (atomic_load(&f.is_held))
            usleep(100);
    }
    if (atomic_load(&f.is_shrinking) && *offset > SIZE / 4)
        assert_int_equal(truncate(f.path, SIZE / 4), 0);
    return __real_sendfile(to, from, offset, size);
}

/* Returns whether the file system reads without waiting. */
static bool has_cached_reads(int fd)
{
    char byte;
    struct iovec part = {&byte, 1};

    return preadv2(fd, &part, 1, 0, RWF_NOWAIT) == 1;
}

static void write_file(void)
{
    int fd = open(f.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    for (size_t i = 0; i < SIZE; i++)
        f.file[i] = (char) ('a' + i / 7 % 26);
    assert_int_equal(patient_write(fd, f.file, SIZE), SIZE);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static ssize_t serve_other(struct httpd_request *request, void *arg)
{
    (void) arg;
    return httpd_answer(request, 200, NULL, "other", 5);
}

static void on_log(const struct httpd_log *line, void *arg)
{
    (void) line;
    (void) arg;
    atomic_fetch_add(&f.logged, 1);
}

static int set_up(void **state)
{
    static struct httpd_route routes[] = {
        {"GET", "/", httpd_files_serve, NULL},
        {"GET", "/other", serve_other, NULL},
    };
    struct httpd_options options = {.routes = routes,
                                    .routes_count = 2,
                                    .stall_ns = ALOOP_SEC(1000),
                                    .is_plain_tcp = true,
                                    .on_log = on_log};

    (void) state;
    signal(SIGPIPE, SIG_IGN);
    memset((void *) &f, 0, sizeof f);
    f.thread = pthread_self();
    strcpy(f.folder, "/tmp/aloop-httpd-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/large", f.folder);
    write_file();
    assert_int_equal(httpd_files_open(f.folder, 0, &f.files), 0);
    routes[0].arg = f.files;
    f.loop = aloop_new(NULL);
    assert_non_null(f.loop);
    if (*state != NULL)
        options.stall_ns = ALOOP_MS(100);
    assert_int_equal(httpd_start(f.loop, "127.0.0.1", "0", &options, &f.httpd),
                     0);
    snprintf(f.port, sizeof f.port, "%d", httpd_port(f.httpd));
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    assert_true(httpd_stop(f.httpd, 0) >= 0);
    aloop_free(f.loop);
    httpd_files_close(f.files);
    unlink(f.path);
    rmdir(f.folder);
    return 0;
}

/* Sends a request.  Returns the stream, or NULL. */
static aloop_stream *ask(aloop *loop, const char *path)
{
    aloop_stream *stream = NULL;
    char request[128];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: x\r\n"
                        "Connection: close\r\n\r\n",
                        path);

    if (aloop_await(aloop_tcp_connect(loop, "127.0.0.1", f.port, &stream)) < 0)
        return NULL;
    if (aloop_await(aloop_stream_write(stream, request, (size_t) size)) < 0) {
        aloop_stream_abort(stream);
        return NULL;
    }
    return stream;
}

/* Gets the file.  Returns the number of bytes after the head, or an error. */
static ssize_t get_file(aloop *loop, void *arg)
{
    aloop_stream *stream = ask(loop, "/large");
    const char *body;
    ssize_t n;

    (void) arg;
    if (stream == NULL)
        return ALOOP_EIO;
    n = aloop_await(aloop_stream_read_to_end(stream, f.got, sizeof f.got - 1));
    aloop_stream_close(stream);
    if (n < 0)
        return n;
    f.got[n] = '\0';
    body = strstr(f.got, "\r\n\r\n");
    if (body == NULL)
        return ALOOP_EPROTO;
    memmove(f.got, body + 4, (size_t) n - (size_t) (body + 4 - f.got));
    return n - (body + 4 - f.got);
}

/* Makes another request while a thread of the pool holds the file back. */
static ssize_t get_other(aloop *loop, void *arg)
{
    aloop_future *file = arg;
    aloop_stream *stream;
    char answer[512];
    ssize_t n = 0;

    while (atomic_load(&f.on_pool) == 0 &&
           aloop_future_status(file) == ALOOP_PENDING)
        aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    stream = ask(loop, "/other");
    if (stream != NULL) {
        n = aloop_await(aloop_stream_read(stream, answer, sizeof answer));
        aloop_stream_close(stream);
    }
    atomic_store(&f.is_held, false);
    return n;
}

static void get_cold_file(void)
{
    int fd = open(f.path, O_RDONLY | O_CLOEXEC);
    aloop_future *file, *other;

    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
    atomic_store(&f.is_held, true);
    file = aloop_spawn(f.loop, get_file, NULL);
    other = aloop_spawn(f.loop, get_other, file);
    assert_true(aloop_await(other) > 0);
    assert_int_equal(aloop_await(file), SIZE);
    assert_memory_equal(f.got, f.file, SIZE);
    assert_int_equal(f.cold_on_loop, 0);
}

/* Looking for a piece makes the system read it ahead.  If a fast disk completes
 * that before the look ends, no thread is needed, so this is repeated. */
static void a_cold_file_does_not_block_the_loop(void **state)
{
    get_cold_file();
    for (int i = 0; i < 20 && f.on_pool == 0; i++) {
        tear_down(state);
        set_up(state);
        get_cold_file();
    }
    assert_true(f.on_pool > 0);
}

static void a_cached_file_needs_no_thread(void **state)
{
    int fd = open(f.path, O_RDONLY | O_CLOEXEC);
    bool is_possible = has_cached_reads(fd);

    (void) state;
    assert_int_equal(pread(fd, f.got, SIZE, 0), SIZE);
    close(fd);
    assert_int_equal(aloop_await(aloop_spawn(f.loop, get_file, NULL)), SIZE);
    assert_memory_equal(f.got, f.file, SIZE);
    assert_int_equal(f.cold_on_loop, 0);
    assert_true(is_possible ? f.on_loop > 0 : f.on_pool > 0);
    assert_true(!is_possible || f.on_pool == 0);
}

/* The client must not take a part for the whole. */
static void a_file_that_shrinks_ends_in_a_reset(void **state)
{
    (void) state;
    atomic_store(&f.is_shrinking, true);
    assert_int_equal(aloop_await(aloop_spawn(f.loop, get_file, NULL)),
                     ALOOP_ECONNRESET);
    assert_int_equal(f.logged, 1);
}

static ssize_t wait_for_log(aloop *loop, void *arg)
{
    (void) arg;
    while (atomic_load(&f.logged) == 0)
        aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
    return 0;
}

static ssize_t leave_early(aloop *loop, void *arg)
{
    aloop_stream *stream = ask(loop, "/large");
    ssize_t n = ALOOP_EIO;

    if (stream != NULL)
        n = aloop_await(aloop_stream_read(stream, f.got, 1000));
    aloop_stream_abort(stream);
    return n < 0 ? n : wait_for_log(loop, arg);
}

static void a_client_that_resets_does_not_end_the_server(void **state)
{
    (void) state;
    assert_int_equal(truncate(f.path, HUGE), 0);
    assert_int_equal(aloop_await(aloop_spawn(f.loop, leave_early, NULL)), 0);
    assert_int_equal(truncate(f.path, SIZE), 0);
    assert_int_equal(aloop_await(aloop_spawn(f.loop, get_file, NULL)), SIZE);
}

static ssize_t read_nothing(aloop *loop, void *arg)
{
    aloop_stream *stream = ask(loop, "/large");
    ssize_t status = stream == NULL ? ALOOP_EIO : wait_for_log(loop, arg);

    aloop_stream_abort(stream);
    return status;
}

static void a_client_that_receives_nothing_is_ended(void **state)
{
    (void) state;
    assert_int_equal(truncate(f.path, HUGE), 0);
    assert_int_equal(aloop_await(aloop_spawn(f.loop, read_nothing, NULL)), 0);
}

/* Returns whether the loop's thread may open the file now.  The system may
 * refuse that now and then. */
static bool opens_now(struct httpd_root *root)
{
    enum { TRIES = 100 };
    int fd = -EAGAIN;

    for (int i = 0; i < TRIES && fd == -EAGAIN; i++)
        fd = httpd_open_cached(root, "other/a");
    CHECK(fd >= 0 || fd == -EAGAIN);
    return fd >= 0 && close(fd) == 0;
}

static void create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && patient_write(fd, "x", 1) == 1 && close(fd) == 0);
}

static void open_on_pool(struct httpd_root *root)
{
    int fd = httpd_open_beneath(root, "other/a");

    CHECK(fd >= 0 && close(fd) == 0);
}

static void mount_later(void)
{
    static struct httpd_root root;
    char folder[80], path[96];

    snprintf(folder, sizeof folder, "%s/other", f.folder);
    snprintf(path, sizeof path, "%s/a", folder);
    root.fd = open(f.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(realpath(f.folder, root.path) != NULL && mkdir(folder, 0700) == 0);
    create(path);
    open_on_pool(&root);
    if (!opens_now(&root) || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("aloop", folder, "tmpfs", MS_NOSUID | MS_NODEV, "") < 0)
        _exit(CHILD_SKIPS);
    create(path);
    CHECK(!opens_now(&root));
    open_on_pool(&root);
    CHECK(!opens_now(&root));
    CHECK(umount(folder) == 0);
    open_on_pool(&root);
    CHECK(opens_now(&root));
    _exit(0);
}

static void files_of_a_later_mount_are_opened_by_the_pool(void **state)
{
    char folder[80], path[96];
    pid_t child = fork();
    bool has_succeeded;

    (void) state;
    if (child == 0)
        mount_later();
    has_succeeded = has_child_succeeded(child);
    snprintf(folder, sizeof folder, "%s/other", f.folder);
    snprintf(path, sizeof path, "%s/a", folder);
    unlink(path);
    rmdir(folder);
    if (!has_succeeded)
        skip();
}

#define SEND_TEST(name, data) \
    { \
#name, name, set_up, tear_down, data \
    }

int main(void)
{
    static char is_impatient;
    const struct CMUnitTest tests[] = {
        SEND_TEST(a_cold_file_does_not_block_the_loop, NULL),
        SEND_TEST(a_cached_file_needs_no_thread, NULL),
        SEND_TEST(a_file_that_shrinks_ends_in_a_reset, NULL),
        SEND_TEST(a_client_that_resets_does_not_end_the_server, NULL),
        SEND_TEST(a_client_that_receives_nothing_is_ended, &is_impatient),
        SEND_TEST(files_of_a_later_mount_are_opened_by_the_pool, NULL),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
