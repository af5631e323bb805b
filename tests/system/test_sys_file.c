/* Files of the real system, in a temporary folder. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "support/file_tests.h"

#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "support/child.h"

enum { NUMBERS_MAX = 256 };

static void make_folder(char *ret_path, size_t size)
{
    const char *where = getenv("TMPDIR");
    char path[SYS_PATH_MAX], real[SYS_PATH_MAX];

    snprintf(path, sizeof path, "%s/aloop.XXXXXX",
             where != NULL ? where : "/tmp");
    assert_non_null(mkdtemp(path));
    assert_non_null(realpath(path, real));
    assert_true(strlen(real) < size);
    memcpy(ret_path, real, strlen(real) + 1);
}

static int remove_one(const char *path, const struct stat *status, int type,
                      struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove(path);
}

static void remove_folder(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_fifo(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

/* Blocks SIGXFSZ as the threads of the pool do. */
static void limit_size(int64_t size)
{
    struct rlimit limit;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < 0 ? limit.rlim_max : (rlim_t) size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static unsigned open_count(void)
{
    return (unsigned) open_descriptors(NUMBERS_MAX);
}

static void a_descriptor_is_close_on_exec(void **state)
{
    int fd = create("a");

    (void) state;
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    aloop__sys_close(fd);
    fd = aloop__sys_open_cached(path_of("a"), O_RDONLY);
    if (fd >= 0) {
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        aloop__sys_close(fd);
    }
    fd = aloop__sys_open_near_cached(path_of("a"), O_RDONLY);
    if (fd >= 0) {
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        aloop__sys_close(fd);
    }
    fd = aloop__sys_look_up_cached(path_of("a"));
    if (fd >= 0) {
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        aloop__sys_close(fd);
    }
}

static void devices_have_types(void **state)
{
    aloop_stat status;

    (void) state;
    assert_int_equal(aloop__sys_statat(SYS_CWD, "/dev/null", true, &status), 0);
    assert_int_equal(status.type, ALOOP_FILE_CHARACTER);
}

/* A look-up releases no writer that waits for a reader. */
static void a_cached_look_up_does_not_open(void **state)
{
    int fd;

    (void) state;
    make_fifo(path_of("fifo"));
    fd = aloop__sys_look_up_cached(path_of("fifo"));
    assert_int_equal(open_at("fifo", O_WRONLY | O_NONBLOCK), -ENXIO);
    if (fd >= 0)
        aloop__sys_close(fd);
}

static void more_pieces_than_a_call_takes_are_a_short_count(void **state)
{
    enum { PIECES = 2 * SYS_PIECES_MAX };
    struct sys_piece pieces[PIECES];
    char bytes[PIECES];
    int fd = create("a");

    (void) state;
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = (struct sys_piece){bytes + i, 1};
    assert_int_equal(aloop__sys_pwritev(fd, pieces, PIECES, 0), SYS_PIECES_MAX);
    assert_int_equal(aloop__sys_preadv(fd, pieces, PIECES, 0), SYS_PIECES_MAX);
    aloop__sys_close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FILE_TESTS,
        FILE_TEST(a_descriptor_is_close_on_exec),
        FILE_TEST(devices_have_types),
        FILE_TEST(a_cached_look_up_does_not_open),
        FILE_TEST(more_pieces_than_a_call_takes_are_a_short_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
