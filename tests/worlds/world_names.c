/* Tasks that use names of files, each in a directory of its own: they rename,
 * link, describe and change one file there.  In between they look up hosts and
 * wait for descriptors.  Calls fail, and tasks are cancelled or time out.
 *
 * Each step that succeeds has exactly the effect that the task expects.  A step
 * that fails ends its task.  In the end each file that was made has one of its
 * two names. */

#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sys.h"
#include "simulator/sim_file.h"

enum { PLOTS = 3, STEPS = 8, PATH_SIZE = 40, SIZE_MAX_HERE = 5000 };

struct plot {
    char dir[PATH_SIZE], inner[PATH_SIZE], link[PATH_SIZE];
    char files[2][PATH_SIZE];
    int now; /* The index of the name that the file has. */
    bool is_made, has_failed;
    aloop_stat known; /* Its mode, size and time. */
    aloop_future *task;
    int fds[2];
};

static struct plot plots[PLOTS];
static struct {
    aloop_timer *heart;
    unsigned running;
} w;

/* Returns 0 if the status is the expected one, and otherwise the error, which
 * has to be one that this run allows. */
static ssize_t check_status(ssize_t status, ssize_t expected)
{
    if (status == expected)
        return 0;
    CHECK(status == ALOOP_ETIMEDOUT || status == ALOOP_EABORTED ||
          is_file_error(status, true));
    return status;
}

static ssize_t expect(aloop_future *future, ssize_t expected)
{
    return check_status(aloop_await(future), expected);
}

static const char *file_of(const struct plot *plot)
{
    return plot->files[plot->now];
}

static const char *other_of(const struct plot *plot)
{
    return plot->files[!plot->now];
}

/* Describes the file, as it is known. */
static ssize_t look(aloop *loop, struct plot *plot, const char *path,
                    uint64_t links)
{
    aloop_stat stat = {.size = 0};
    ssize_t error = expect(aloop_fs_stat(loop, path, &stat), 0);

    if (error < 0)
        return error;
    CHECK(stat.type == ALOOP_FILE_REGULAR && stat.links == links);
    CHECK(stat.size == plot->known.size && stat.mode == plot->known.mode);
    CHECK(stat.user == plot->known.user && stat.group == plot->known.group);
    CHECK(plot->known.modified_ns == 0 ||
          stat.modified_ns == plot->known.modified_ns);
    return 0;
}

/* Steps. */

/* What the file has is in use. */
static ssize_t look_at_system(aloop *loop, const struct plot *plot)
{
    aloop_statvfs system = {.size = 0};
    ssize_t error = expect(aloop_fs_statvfs(loop, plot->dir, &system), 0);

    if (error < 0)
        return error;
    CHECK(system.block_size > 0 && system.name_max >= strlen("file0"));
    CHECK(system.available_size <= system.free_size);
    CHECK(system.free_size + plot->known.size <= system.size);
    CHECK(system.free_files <= system.files && !system.is_read_only);
    return 0;
}

static ssize_t step_rename(aloop *loop, struct plot *plot)
{
    ssize_t error =
        expect(aloop_fs_rename(loop, file_of(plot), other_of(plot)), 0);

    if (error < 0)
        return error;
    plot->now = !plot->now;
    error = look(loop, plot, file_of(plot), 1);
    if (error < 0)
        return error;
    return expect(aloop_fs_access(loop, other_of(plot), F_OK), ALOOP_ENOENT);
}

static ssize_t step_replace(aloop *loop, struct plot *plot)
{
    static const char text[SIZE_MAX_HERE];
    size_t size = between(0, SIZE_MAX_HERE);
    ssize_t error =
        expect(aloop_fs_replace_file(loop, file_of(plot), text, size, 0600),
               (ssize_t) size);

    if (error < 0)
        return error;
    plot->known.size = size;
    plot->known.modified_ns = 0;
    error = look(loop, plot, file_of(plot), 1);
    return error < 0 ? error : look_at_system(loop, plot);
}

/* Changes both ids or one of them. */
static ssize_t change_owner(aloop *loop, struct plot *plot)
{
    uint32_t user = chance(30) ? UINT32_MAX : (uint32_t) between(0, 9);
    uint32_t group = chance(30) ? UINT32_MAX : (uint32_t) between(0, 9);
    ssize_t error = expect(aloop_fs_chown(loop, file_of(plot), user, group), 0);

    if (error < 0)
        return error;
    if (user != UINT32_MAX)
        plot->known.user = user;
    if (group != UINT32_MAX)
        plot->known.group = group;
    return look(loop, plot, file_of(plot), 1);
}

static ssize_t step_change(aloop *loop, struct plot *plot)
{
    unsigned mode = (unsigned) between(0600, 0777);
    uint64_t size = between(0, SIZE_MAX_HERE);
    int64_t time_ns = (int64_t) between(1, 1000000);
    ssize_t error = expect(aloop_fs_chmod(loop, file_of(plot), mode), 0);

    if (error < 0)
        return error;
    plot->known.mode = mode;
    error = change_owner(loop, plot);
    if (error < 0)
        return error;
    error = expect(aloop_fs_truncate(loop, file_of(plot), (int64_t) size), 0);
    if (error < 0)
        return error;
    plot->known.size = size;
    error = expect(aloop_fs_utimens(loop, file_of(plot), 1, time_ns), 0);
    if (error < 0)
        return error;
    plot->known.modified_ns = time_ns;
    return look(loop, plot, file_of(plot), 1);
}

static ssize_t step_link(aloop *loop, struct plot *plot)
{
    ssize_t error = expect(aloop_fs_link(loop, file_of(plot), plot->link), 0);

    if (error == 0)
        error = look(loop, plot, plot->link, 2);
    if (error == 0)
        error = expect(aloop_fs_unlink(loop, plot->link), 0);
    return error;
}

static ssize_t step_symlink(aloop *loop, struct plot *plot)
{
    const char *name = strrchr(file_of(plot), '/') + 1;
    size_t length = strlen(file_of(plot));
    char text[PATH_SIZE] = "";
    aloop_stat stat;
    ssize_t error = expect(aloop_fs_symlink(loop, name, plot->link), 0);

    if (error == 0)
        error = look(loop, plot, plot->link, 1);
    if (error == 0)
        error = expect(aloop_fs_lstat(loop, plot->link, &stat), 0);
    CHECK(error != 0 || stat.type == ALOOP_FILE_LINK);
    if (error == 0)
        error = expect(aloop_fs_readlink(loop, plot->link, text, sizeof text),
                       (ssize_t) strlen(name));
    CHECK(error != 0 || strcmp(text, name) == 0);
    if (error == 0)
        error = expect(aloop_fs_realpath(loop, plot->link, text, sizeof text),
                       (ssize_t) length);
    CHECK(error != 0 || strcmp(text, file_of(plot)) == 0);
    if (error == 0)
        error = expect(aloop_fs_unlink(loop, plot->link), 0);
    return error;
}

static ssize_t step_directory(aloop *loop, struct plot *plot)
{
    ssize_t error = expect(aloop_fs_mkdir(loop, plot->inner, 0700), 0);

    if (error == 0)
        error = expect(aloop_fs_mkdir(loop, plot->inner, 0700), ALOOP_EEXIST);
    if (error == 0)
        error = expect(aloop_fs_rmdir(loop, plot->dir), ALOOP_ENOTEMPTY);
    if (error == 0)
        error = expect(aloop_fs_rmdir(loop, plot->inner), 0);
    return error;
}

/* Checks the text of address `i` of "here", and looks up its name. */
static ssize_t look_up_name(aloop *loop, const aloop_address *address, int i)
{
    static const char *const texts[] = {"10.0.0.1", "10.0.0.2"};
    char text[96], name[16] = "";
    struct sockaddr_storage storage;
    aloop_address parsed, converted;
    ssize_t error;
    int size;

    CHECK(aloop_address_family(address) == ALOOP_FAMILY_IPV4);
    CHECK(aloop_address_format_host(address, text, sizeof text) == 8);
    CHECK(strcmp(text, texts[i]) == 0);
    CHECK(aloop_address_format(address, text, sizeof text) == 11);
    CHECK(aloop_address_parse(text, &parsed) == 0);
    CHECK(aloop_address_equal(&parsed, address));
    size = aloop_address_to_sockaddr(address, (struct sockaddr *) &storage,
                                     sizeof storage);
    CHECK(size > 0 &&
          aloop_address_from_sockaddr((struct sockaddr *) &storage,
                                      (size_t) size, &converted) == 0);
    CHECK(aloop_address_equal(&converted, address));
    error = expect(aloop_resolve_name(loop, address, name, sizeof name), 4);
    CHECK(strcmp(name, error == 0 ? "here" : "") == 0);
    return error;
}

static ssize_t step_resolve(aloop *loop, struct plot *plot)
{
    aloop_address one;
    aloop_address *addresses = NULL;
    ssize_t error = expect(
        aloop_resolve(loop, "here", "80", ALOOP_FAMILY_ANY, &addresses), 2);

    (void) plot;
    CHECK((error == 0) == (addresses != NULL));
    if (error < 0)
        return error;
    for (int i = 0; i < 2; i++)
        CHECK(aloop_address_port(&addresses[i]) == 80);
    one = addresses[chance(50)];
    error = look_up_name(loop, &one, aloop_address_equal(&one, &addresses[1]));
    aloop_addresses_free(addresses);
    if (error < 0)
        return error;
    return expect(
        aloop_resolve(loop, "nowhere", "80", ALOOP_FAMILY_ANY, &addresses),
        ALOOP_EHOSTNOTFOUND);
}

static void send_byte(void *arg)
{
    const struct plot *plot = arg;

    if (plot->fds[1] >= 0)
        (void) aloop__sys_send(plot->fds[1], "x", 1);
}

/* The connection may break, and the system may report what is not there. */
static ssize_t step_wait(aloop *loop, struct plot *plot)
{
    ssize_t status;
    char byte;

    sim_at(any_delay_ns(ALOOP_MS(10)), send_byte, plot);
    status =
        aloop_await(aloop_poll_wait(loop, plot->fds[0], ALOOP_POLL_READABLE));
    if (status == ALOOP_POLL_READABLE &&
        aloop__sys_recv(plot->fds[0], &byte, 1) == 1) {
        CHECK(byte == 'x');
        return 0;
    }
    CHECK(status != 0);
    if (status < 0)
        return check_status(status, ALOOP_POLL_READABLE);
    CHECK(run.weather >= CHAOS);
    return ALOOP_ECONNRESET;
}

static ssize_t make_file(aloop *loop, struct plot *plot)
{
    ssize_t error = expect(aloop_fs_mkdir(loop, plot->dir, 0700), 0);

    if (error == 0)
        error =
            expect(aloop_fs_write_file(loop, file_of(plot), "ab", 2, 0600), 2);
    plot->is_made = error == 0;
    plot->known = (aloop_stat){.size = 2, .mode = 0600};
    return error;
}

static ssize_t use(aloop *loop, void *arg)
{
    static ssize_t (*const steps[])(aloop * loop, struct plot * plot) = {
        step_rename,  step_replace,   step_change,  step_link,
        step_symlink, step_directory, step_resolve, step_wait,
    };
    struct plot *plot = arg;
    ssize_t error;

    w.running++;
    error = make_file(loop, plot);
    for (size_t i = between(1, STEPS); i > 0 && error == 0; i--) {
        aloop_deadline *deadline =
            aloop_deadline_begin(loop, any_delay_ns(ALOOP_SEC(1)));

        error = steps[sim_random(sizeof steps / sizeof steps[0])](loop, plot);
        if (aloop_deadline_end(deadline) != 0)
            error = ALOOP_ETIMEDOUT;
    }
    plot->has_failed = error < 0;
    w.running--;
    return 0;
}

/* The world. */

static void on_heart(aloop_timer *timer, void *arg)
{
    static const struct fault faults[] = {
        {"aloop__sys_renameat", -EIO},       {"aloop__sys_statat", -EIO},
        {"aloop__sys_linkat", -ENOSPC},      {"aloop__sys_symlinkat", -ENOSPC},
        {"aloop__sys_readlinkat", -EIO},     {"aloop__sys_realpath", -EIO},
        {"aloop__sys_mkdirat", -ENOSPC},     {"aloop__sys_rmdirat", -EIO},
        {"aloop__sys_chmodat", -EIO},        {"aloop__sys_utimensat", -EIO},
        {"aloop__sys_chownat", -EIO},        {"aloop__sys_statvfs", -EIO},
        {"aloop__sys_ftruncate", -EIO},      {"aloop__sys_openat", -EMFILE},
        {"aloop__sys_thread_start", -EAGAIN}};

    (void) timer;
    (void) arg;
    inject(faults, sizeof faults / sizeof faults[0]);
    if (chance(3))
        aloop_cancel(plots[sim_random(PLOTS)].task);
}

static void begin_plot(struct plot *plot, int number)
{
    *plot = (struct plot){.fds = {-1, -1}};
    snprintf(plot->dir, PATH_SIZE, "/data/%d", number);
    snprintf(plot->inner, PATH_SIZE, "/data/%d/inner", number);
    snprintf(plot->link, PATH_SIZE, "/data/%d/link", number);
    for (int i = 0; i < 2; i++)
        snprintf(plot->files[i], PATH_SIZE, "/data/%d/file%d", number, i);
    CHECK(sim_pair(plot->fds) == 0);
    plot->task = aloop_spawn(run.loop, use, plot);
}

static void start(void)
{
    static const char *const here[] = {"10.0.0.1", "10.0.0.2", NULL};

    memset(&w, 0, sizeof w);
    sim_file_mkdir("/data");
    sim_host("here", here);
    if (chance(50))
        sim_host_delay("here", any_delay_ns(ALOOP_SEC(1)));
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(500, 3000)), on_heart,
                            NULL, &w.heart) == 0);
    for (int i = 0; i < PLOTS; i++)
        begin_plot(&plots[i], i);
}

static bool is_done(void)
{
    for (int i = 0; i < PLOTS; i++)
        if (!aloop_future_is_settled(plots[i].task))
            return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    for (int i = 0; i < PLOTS; i++)
        aloop_detach(plots[i].task);
}

static void check_plot(const struct plot *plot)
{
    ssize_t now = sim_file_get(file_of(plot), NULL, 0);
    ssize_t other = sim_file_get(other_of(plot), NULL, 0);

    CHECK(now >= 0 || (plot->has_failed && other >= 0));
    CHECK(now < 0 || plot->has_failed || now == (ssize_t) plot->known.size);
    CHECK(other < 0 || (plot->has_failed && now < 0));
}

static void check(void)
{
    CHECK(w.running == 0);
    CHECK(sim_file_descriptors() == 0);
    for (int i = 0; i < PLOTS; i++)
        if (plots[i].is_made)
            check_plot(&plots[i]);
}

static void outlive(void)
{
    sim_threads_finish(); /* Look-ups for which the loop did not wait. */
    CHECK(sim_file_descriptors() == 0);
    for (int i = 0; i < PLOTS; i++)
        for (int j = 0; j < 2; j++)
            CHECK(aloop__sys_close(plots[i].fds[j]) == 0);
}

const struct world world_names = {"names",     start, is_done,
                                  close_world, check, outlive};
