/* Files, names of files and work: operations that are awaited, cancelled,
 * dropped, timed out, and interrupted by the end of their task, their file or
 * their loop.
 *
 * Every byte of a file has the same value at all times, so that a read can be
 * checked although others write.  Files that tasks leave open are closed by the
 * loop.  Operations at the position are used by one task at a time. */

#define _GNU_SOURCE

#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/threads.h"

enum {
    FILES = 8,
    FILE_SIZE = 16384,
    SIZE_MAX_ = 6000,
    WORKERS = 4, /* In the mixed load. */
    USERS = 32,  /* In the load of files alone. */
    ROUNDS = 10,
    LOOKS_MAX = 1000000,
    RSS_KIB_MAX = 512
};

/* A task and its file. */
struct user {
    aloop_future *task;
    aloop_file *file; /* Or NULL. */
    uint64_t key;     /* Of its contents. */
};

static char folder[32];
static unsigned folders; /* Loads that use it. */

/* The load of files alone. */
static struct {
    aloop *loop;
    uint64_t limit;
    uint64_t cancelled; /* Operations that ended early. */
    bool is_orderly;    /* Everything is closed before the loop is freed. */
    bool is_over;
} load;

static void path_of(uint64_t key, char path[64])
{
    snprintf(path, 64, "%s/%u", folder, (unsigned) key);
}

static void make_files(void)
{
    unsigned char bytes[FILE_SIZE];
    char path[64];

    if (folders++ > 0)
        return;
    strcpy(folder, "/tmp/aloop-soak-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/trees", folder);
    CHECK(mkdir(path, 0700) == 0);
    for (uint64_t key = 0; key < FILES; key++) {
        int fd;

        for (size_t i = 0; i < FILE_SIZE; i++)
            bytes[i] = stress_byte(key, i);
        path_of(key, path);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && write(fd, bytes, FILE_SIZE) == FILE_SIZE);
        CHECK(close(fd) == 0);
    }
}

/* Nothing is left of operations that were cancelled or dropped, but trees. */
static void remove_files(void)
{
    aloop *loop;
    char path[64];

    if (--folders > 0)
        return;
    loop = aloop_new(NULL);
    snprintf(path, sizeof path, "%s/trees", folder);
    CHECK(aloop_await(aloop_fs_remove_all(loop, path)) > 0);
    CHECK(aloop_free(loop) == 0);
    for (uint64_t key = 0; key < FILES; key++) {
        path_of(key, path);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
}

/* Awaits an operation, or ends it in one of several ways.  The memory that it
 * uses is the caller's again when this returns. */
static ssize_t end_somehow(aloop *loop, aloop_future *future)
{
    ssize_t status;

    soak.counts[SOAK_FILES]++;
    switch (soak_random(6)) {
    case 0:
        aloop_cancel(future);
        break;
    case 1: /* A thread may have begun it by then. */
        aloop_yield(loop);
        aloop_cancel(future);
        break;
    case 2:
        future = aloop_timeout(future, (int64_t) soak_random(ALOOP_US(60)));
        break;
    default:
        break;
    }
    status = aloop_await(future);
    load.cancelled += status == ALOOP_ECANCELED || status == ALOOP_EABORTED ||
                      status == ALOOP_ETIMEDOUT;
    return status;
}

static bool is_early(ssize_t status)
{
    return status == ALOOP_ECANCELED || status == ALOOP_EABORTED ||
           status == ALOOP_ETIMEDOUT;
}

static void open_file(aloop *loop, struct user *user)
{
    char path[64];
    ssize_t status;

    user->key = soak_random(FILES);
    path_of(user->key, path);
    status =
        end_somehow(loop, aloop_file_open(loop, path, O_RDWR, 0, &user->file));
    CHECK(status == 0 || is_early(status));
}

static void close_file(struct user *user)
{
    aloop_file_close(user->file);
    user->file = NULL;
}

/* Opens a file, and drops the future.  The file is delivered if the future has
 * settled by then, and later not. */
static void drop_open(aloop *loop)
{
    aloop_file *file = NULL;
    char path[64];
    aloop_future *open;

    path_of(0, path);
    open = aloop_file_open(loop, path, O_RDONLY, 0, &file);
    soak.counts[SOAK_FILES]++;
    load.cancelled++;
    if (soak_random(2) == 0)
        aloop_yield(loop);
    aloop_future_unref(open);
    aloop_file_close(file);
}

static void check_bytes(const struct user *user, const unsigned char *bytes,
                        size_t size, size_t offset)
{
    for (size_t i = 0; i < size; i += 1 + size / 64)
        CHECK(bytes[i] == stress_byte(user->key, offset + i));
}

static void read_file(aloop *loop, struct user *user)
{
    unsigned char bytes[SIZE_MAX_];
    size_t size = 1 + (size_t) soak_random(SIZE_MAX_ - 1);
    size_t offset = (size_t) soak_random(FILE_SIZE - SIZE_MAX_);
    ssize_t status;

    if (soak_random(2) == 0) {
        status = end_somehow(loop, aloop_file_read_at(user->file, bytes, size,
                                                      (int64_t) offset));
    } else {
        CHECK(aloop_file_seek(user->file, (int64_t) offset, SEEK_SET) >= 0);
        status = end_somehow(loop, aloop_file_read(user->file, bytes, size));
        CHECK(status < 0 ||
              aloop_file_position(user->file) == (int64_t) offset + status);
    }
    CHECK(status == (ssize_t) size || is_early(status));
    if (status > 0)
        check_bytes(user, bytes, size, offset);
    memset(bytes, 0xee, size); /* The memory is the task's again. */
}

static void write_file(aloop *loop, struct user *user)
{
    unsigned char bytes[SIZE_MAX_];
    size_t size = 1 + (size_t) soak_random(SIZE_MAX_ - 1);
    size_t offset = (size_t) soak_random(FILE_SIZE - SIZE_MAX_);
    ssize_t status;

    for (size_t i = 0; i < size; i++)
        bytes[i] = stress_byte(user->key, offset + i);
    if (soak_random(2) == 0) {
        status = end_somehow(loop, aloop_file_write_at(user->file, bytes, size,
                                                       (int64_t) offset));
    } else {
        CHECK(aloop_file_seek(user->file, (int64_t) offset, SEEK_SET) >= 0);
        status = end_somehow(loop, aloop_file_write(user->file, bytes, size));
        CHECK(status < 0 ||
              aloop_file_position(user->file) == (int64_t) (offset + size));
    }
    CHECK(status == (ssize_t) size || is_early(status));
    memset(bytes, 0xee, size);
}

static void stat_file(aloop *loop, struct user *user)
{
    aloop_stat stat;
    ssize_t status = end_somehow(loop, aloop_file_stat(user->file, &stat));

    CHECK(is_early(status) || (status == 0 && stat.size == FILE_SIZE));
}

static void cut_file(aloop *loop, struct user *user)
{
    ssize_t status =
        end_somehow(loop, aloop_file_truncate(user->file, FILE_SIZE));

    CHECK(status == 0 || is_early(status));
}

/* The operations of a file that is being closed end early. */
static void close_busy_file(aloop *loop, struct user *user)
{
    unsigned char bytes[3][64];
    aloop_future *reads[3];
    ssize_t statuses[3];

    CHECK(aloop_file_seek(user->file, 0, SEEK_SET) == 0);
    for (int i = 0; i < 3; i++)
        reads[i] = aloop_file_read(user->file, bytes[i], sizeof bytes[i]);
    close_file(user);
    CHECK(aloop_shield_begin() == 0); /* The buffers are on the stack. */
    aloop_await(aloop_gather_settled(loop, 3, reads, statuses));
    CHECK(aloop_shield_end() == 0);
    for (int i = 0; i < 3; i++)
        CHECK(statuses[i] == (ssize_t) sizeof bytes[i] ||
              statuses[i] == ALOOP_ECANCELED);
    soak.counts[SOAK_FILES] += 3;
}

static void adopt_again(aloop *loop, struct user *user)
{
    int fd = aloop_file_detach(user->file);

    CHECK(fd >= 0);
    CHECK(aloop_file_adopt(loop, fd, &user->file) == 0);
    soak.counts[SOAK_FILES]++;
}

static ssize_t add_one(void *arg)
{
    return ++*(int *) arg;
}

static void run_work(aloop *loop)
{
    int numbers[5] = {0, 1, 2, 3, 4}, number = 6;
    ssize_t status = end_somehow(loop, aloop_work(loop, add_one, &number));

    CHECK(status == number || (is_early(status) && number <= 7));
    status = end_somehow(loop, aloop_work_map(loop, add_one, numbers, 5,
                                              sizeof numbers[0],
                                              (size_t) soak_random(4)));
    CHECK(is_early(status) || status == 0);
    for (int i = 0; i < 5; i++)
        CHECK(numbers[i] == i + 1 || (numbers[i] == i && status < 0));
}

/* Whole files, and names of files. */

static void read_whole(aloop *loop)
{
    struct user user = {.key = soak_random(FILES)};
    void *data = NULL;
    char path[64];
    ssize_t status;

    path_of(user.key, path);
    status =
        end_somehow(loop, aloop_fs_read_file(loop, path, FILE_SIZE, &data));
    CHECK(status == FILE_SIZE || is_early(status));
    if (status > 0)
        check_bytes(&user, data, FILE_SIZE, 0);
    aloop_data_free(loop, data);
}

/* A temporary file or directory is there exactly if its name was written. */
static void make_temporary(aloop *loop)
{
    bool is_file = soak_random(2) == 0;
    aloop_file *file = NULL;
    char name[64];
    ssize_t status;

    snprintf(name, sizeof name, "%s/XXXXXX", folder);
    status = end_somehow(loop, is_file ? aloop_fs_mkstemp(loop, name, &file)
                                       : aloop_fs_mkdtemp(loop, name));
    CHECK(status == 0 || is_early(status));
    aloop_file_close(file);
    if (strstr(name, "XXXXXX") != NULL)
        return;
    CHECK(is_file ? unlink(name) == 0 : rmdir(name) == 0);
}

/* Returns the path of a name in a tree.  Each call has a buffer of its own. */
static const char *in_tree(const char *tree, const char *name, char path[96])
{
    snprintf(path, 96, "%s/%s", tree, name);
    return path;
}

/* Makes files in a tree, each of another one, and lists them. */
static ssize_t fill_tree(aloop *loop, const char *tree)
{
    static const char bytes[SIZE_MAX_];
    aloop_dir_entry *entries = NULL;
    char a[96], b[96];
    ssize_t status = end_somehow(
        loop, aloop_fs_write_file(loop, in_tree(tree, "a", a), bytes,
                                  (size_t) soak_random(SIZE_MAX_), 0600));

    if (status >= 0)
        status = end_somehow(
            loop, aloop_fs_copy(loop, a, in_tree(tree, "b", b), NULL));
    if (status >= 0)
        status =
            end_somehow(loop, aloop_fs_replace_file(loop, b, bytes, 9, 0600));
    if (status >= 0)
        status = end_somehow(
            loop, aloop_fs_rename(loop, b, in_tree(tree, "x/y/c", a)));
    if (status >= 0)
        status = end_somehow(
            loop, aloop_fs_symlink(loop, folder, in_tree(tree, "link", b)));
    if (status >= 0)
        status = end_somehow(loop, aloop_fs_scan(loop, tree, 9, &entries));
    CHECK(status == 3 || is_early(status));
    aloop_data_free(loop, entries);
    return status;
}

/* The removal must not follow the link, which leads to all files.  A loop that
 * is being freed does not remove the tree. */
static void make_tree(aloop *loop)
{
    static unsigned trees;
    char tree[64], path[96];
    ssize_t status;

    snprintf(tree, sizeof tree, "%s/trees/%u", folder, trees++);
    status = end_somehow(
        loop, aloop_fs_mkdir_all(loop, in_tree(tree, "x/y", path), 0700));
    CHECK(status == 3 || is_early(status));
    if (status == 3)
        (void) fill_tree(loop, tree);
    CHECK(aloop_shield_begin() == 0);
    status = aloop_await(aloop_fs_remove_all(loop, tree));
    CHECK(status > 0 || status == ALOOP_ENOENT || status == ALOOP_ECANCELED);
    CHECK(aloop_shield_end() == 0);
}

/* Executes one operation, or a few. */
static void use_file(aloop *loop, struct user *user)
{
    uint64_t kind = soak_random(28);

    if (user->file == NULL)
        open_file(loop, user);
    else if (kind < 10)
        read_file(loop, user);
    else if (kind < 15)
        write_file(loop, user);
    else if (kind < 17)
        stat_file(loop, user);
    else if (kind == 17)
        cut_file(loop, user);
    else if (kind == 18)
        close_busy_file(loop, user);
    else if (kind == 19)
        adopt_again(loop, user);
    else if (kind == 20)
        drop_open(loop);
    else if (kind == 21)
        run_work(loop);
    else if (kind < 24)
        read_whole(loop);
    else if (kind == 24)
        make_temporary(loop);
    else if (kind == 25)
        make_tree(loop);
    else
        close_file(user);
}

/* Files in the mixed load. */

static ssize_t use_files(aloop *loop, void *arg)
{
    struct user user = {0};

    (void) arg;
    while (soak_continues()) {
        for (int i = 0; i < 8; i++)
            use_file(loop, &user);
        close_file(&user);
    }
    return 0;
}

void soak_files_start(aloop_group *group)
{
    make_files();
    for (int i = 0; i < WORKERS; i++)
        soak_spawn(group, use_files, NULL);
}

void soak_files_end(void)
{
    remove_files();
}

/* Files alone. */

static ssize_t use_until_over(aloop *loop, void *arg)
{
    struct user *user = arg;

    while (!load.is_over && !aloop_is_cancelled())
        use_file(loop, user);
    if (load.is_orderly || soak_random(2) == 0) /* Or the loop closes it. */
        close_file(user);
    user->file = NULL;
    return 0;
}

/* Cancels tasks in the middle of their operations, and starts others. */
static void run_users(struct user users[USERS])
{
    for (int i = 0; i < USERS; i++)
        users[i].task = aloop_spawn(load.loop, use_until_over, &users[i]);
    while (soak.counts[SOAK_FILES] < load.limit) {
        struct user *user = &users[soak_random(USERS)];

        CHECK(aloop_step(load.loop, -1) >= 0);
        if (soak_random(8) > 0)
            continue;
        aloop_cancel(user->task);
        while (!aloop_future_is_settled(user->task))
            CHECK(aloop_step(load.loop, -1) >= 0);
        CHECK(aloop_future_status(user->task) == 0);
        aloop_future_unref(user->task);
        user->task = aloop_spawn(load.loop, use_until_over, user);
    }
}

/* All descriptors must be closed when the loop has nothing left to do. */
static void end_orderly(struct user users[USERS], unsigned descriptors)
{
    load.is_over = true;
    for (int i = 0; i < USERS; i++)
        CHECK(aloop_await(users[i].task) == 0);
    CHECK(aloop_run(load.loop) == 0);
    CHECK(stress_descriptors() == descriptors);
}

/* Frees every second loop in the middle of the load. */
static void run_round(unsigned round)
{
    aloop_options options = {.size = sizeof options, .resize = stress_resize};
    struct user users[USERS] = {0};
    unsigned descriptors;
    int number = 0;

    load.loop = aloop_new(&options);
    CHECK(load.loop != NULL);
    /* Opens the descriptors of the loop. */
    CHECK(aloop_await(aloop_work(load.loop, add_one, &number)) == 1);
    descriptors = stress_descriptors();
    load.is_orderly = round % 2 == 0;
    load.is_over = false;
    run_users(users);
    if (load.is_orderly)
        end_orderly(users, descriptors);
    else
        for (int i = 0; i < USERS; i++)
            aloop_detach(users[i].task);
    CHECK(aloop_free(load.loop) == 0);
}

/* What a process needs. */
struct figures {
    unsigned descriptors;
    int threads;
    size_t bytes;
    double rss_kib;
};

static struct figures measure(void)
{
    return (struct figures){stress_descriptors(), count_threads(),
                            atomic_load(&stress_bytes), stress_rss_kib()};
}

/* An emulator may list a thread for a moment after it was joined.  The number
 * of looks is limited, so that a thread that stays is found. */
static void wait_for_threads(int expected)
{
    for (int i = 0; i < LOOKS_MAX && count_threads() != expected; i++)
        sched_yield();
}

bool soak_files_alone(uint64_t count)
{
    struct figures before, warm = {0}, after;

    make_files();
    before = measure();
    soak.counts[SOAK_FILES] = load.cancelled = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        load.limit = count * (round + 1) / ROUNDS;
        run_round(round);
        wait_for_threads(before.threads);
        after = measure();
        CHECK(after.descriptors == before.descriptors);
        CHECK(after.threads == before.threads);
        CHECK(after.bytes == before.bytes);
        if (round == 1)
            warm = after;
    }
    remove_files();
    printf("files: %llu operations, %llu ended early; descriptors %u -> %u, "
           "threads %d -> %d, the library's bytes %zu -> %zu, RSS %.0f -> %.0f "
           "-> %.0f KiB (before, after a fifth, at the end)\n",
           (unsigned long long) soak.counts[SOAK_FILES],
           (unsigned long long) load.cancelled, before.descriptors,
           after.descriptors, before.threads, after.threads, before.bytes,
           after.bytes, before.rss_kib, warm.rss_kib, after.rss_kib);
    return !stress_memory_is_plain() ||
           after.rss_kib <= warm.rss_kib + RSS_KIB_MAX;
}
