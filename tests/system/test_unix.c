/* Unix sockets of the kernel: paths, races of servers, peers. */

#define _GNU_SOURCE

#include "support/folder_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "support/child.h"
#include "support/patient.h"

enum { STARTERS = 4, ROUNDS = 5 };

static aloop_listener *listener;

static int listen_at(const char *path)
{
    listener = NULL;
    return aloop_unix_listen(d.loop, path, NULL, NULL, &listener);
}

static unsigned mode_of(const char *path)
{
    struct stat status;

    return lstat(path, &status) < 0 ? 0 : status.st_mode & 07777;
}

/* Leaves the path of a process that has ended. */
static void leave_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(
        bind(fd, (const struct sockaddr *) &address, sizeof address), 0);
    close(fd);
}

static void exchange(const char *path)
{
    aloop_stream *client = NULL, *server = NULL;
    int64_t process = -1;
    uint32_t user = 0, group = 0;
    char text[8];

    assert_int_equal(listen_at(path), 0);
    assert_int_equal(aloop_await(aloop_unix_connect(d.loop, path, &client)), 0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &server)), 0);
    assert_int_equal(aloop_stream_put(client, "hello", 5), 0);
    assert_int_equal(aloop_await(aloop_stream_shutdown(client)), 0);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(server, text, 8)), 5);
    assert_int_equal(aloop_await(aloop_stream_write(server, "bye", 3)), 3);
    assert_int_equal(aloop_unix_peer(server, &process, &user, &group), 0);
    assert_true(process == getpid() || process == 0);
    assert_int_equal(user, getuid());
    assert_int_equal(group, getgid());
    aloop_stream_close(server);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(client, text, 8)), 3);
    aloop_stream_close(client);
    aloop_listener_close(listener);
}

static void both_ends_exchange_data_and_half_close(void **state)
{
    char path[600];

    (void) state;
    snprintf(path, sizeof path, "%s", in_folder("socket"));
    exchange(path);
    assert_int_equal(mode_of(path), 0);
#ifdef __linux__
    snprintf(path, sizeof path, "@%s", d.folder);
    exchange(path);
#endif
}

/* Passes a descriptor of an empty file. */
static void pass_descriptor(aloop_stream *from, aloop_stream *to)
{
    int fd = open(in_folder("passed"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int received;
    char text[8];

    assert_true(fd >= 0);
    assert_int_equal(aloop_stream_set_fds_max(to, 1), 0);
    assert_int_equal(aloop_stream_put_fds(from, "fd", 2, &fd, 1), 0);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(to, text, 2)), 2);
    received = aloop_stream_take_fd(to);
    assert_true(received >= 0);
    assert_int_equal(patient_write(received, "data", 4), 4);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 4);
    close(received);
    close(fd);
}

static void both_ends_of_a_connection_pass_descriptors(void **state)
{
    aloop_stream *client = NULL, *server = NULL;
    char path[600];

    (void) state;
    snprintf(path, sizeof path, "%s", in_folder("socket"));
    assert_int_equal(listen_at(path), 0);
    assert_int_equal(aloop_await(aloop_unix_connect(d.loop, path, &client)), 0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &server)), 0);
    pass_descriptor(client, server);
    pass_descriptor(server, client);
    aloop_stream_close(client);
    aloop_stream_close(server);
    aloop_listener_close(listener);
}

static void the_longest_path_works_and_a_longer_one_is_refused(void **state)
{
    size_t max = sizeof((struct sockaddr_un *) NULL)->sun_path;
    char path[600];
    size_t length = (size_t) snprintf(path, sizeof path, "%s/", d.folder);

    (void) state;
    assert_true(length < max);
    memset(path + length, 'x', max + 1 - length);
    path[max + 1] = '\0';
    assert_int_equal(listen_at(path), ALOOP_ENAMETOOLONG);
    path[max] = '\0';
    exchange(path);
}

static void the_path_has_the_mode_whatever_the_umask_is(void **state)
{
    aloop_unix_options options = {.size = sizeof options, .mode = 0666};
    mode_t before = umask(0077);

    (void) state;
    assert_int_equal(aloop_unix_listen_with(d.loop, in_folder("a"), NULL, NULL,
                                            &options, &listener),
                     0);
    assert_int_equal(mode_of(in_folder("a")), 0666);
    aloop_listener_close(listener);
    umask(0);
    options.mode = 0600;
    assert_int_equal(aloop_unix_listen_with(d.loop, in_folder("a"), NULL, NULL,
                                            &options, &listener),
                     0);
    assert_int_equal(mode_of(in_folder("a")), 0600);
    aloop_listener_close(listener);
    umask(before);
}

static void only_a_stale_socket_is_replaced(void **state)
{
    aloop_listener *first;

    (void) state;
    leave_stale(in_folder("stale"));
    assert_int_equal(listen_at(in_folder("stale")), 0);
    first = listener;
    assert_int_equal(listen_at(in_folder("stale")), ALOOP_EADDRINUSE);
    aloop_listener_close(first);
    assert_int_equal(mode_of(in_folder("stale")), 0);
    put_file("file", "data", 4);
    assert_int_equal(listen_at(in_folder("file")), ALOOP_EADDRINUSE);
    expect_file("file", "data", 4);
}

static void a_path_that_was_replaced_is_not_removed(void **state)
{
    (void) state;
    assert_int_equal(listen_at(in_folder("a")), 0);
    assert_int_equal(unlink(in_folder("a")), 0);
    leave_stale(in_folder("a"));
    aloop_listener_close(listener);
    assert_true(mode_of(in_folder("a")) != 0);
}

/* Returns a byte, or -1 at the end. */
static int read_byte(int fd)
{
    unsigned char byte = 0;

    return patient_read(fd, &byte, 1) == 1 ? byte : -1;
}

/* Listens if it can, reports the result, and lives until the parent has closed
 * `hold`. */
static void start_server(const char *path, int start, int result, int hold)
{
    aloop *loop = aloop_new(NULL);
    aloop_listener *mine = NULL;
    char byte;

    CHECK(loop != NULL);
    read_byte(start);
    byte = aloop_unix_listen(loop, path, NULL, NULL, &mine) == 0 ? 1 : 0;
    CHECK(patient_write(result, &byte, 1) == 1);
    read_byte(hold);
    _exit(0);
}

static void race(const char *path)
{
    int start[2] = {-1, -1}, result[2] = {-1, -1}, hold[2] = {-1, -1};
    int servers = 0;

    assert_true(pipe(start) == 0 && pipe(result) == 0 && pipe(hold) == 0);
    for (int i = 0; i < STARTERS; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            close(start[1]);
            close(hold[1]);
            start_server(path, start[0], result[1], hold[0]);
        }
    }
    close(start[1]);
    for (int i = 0; i < STARTERS; i++) {
        int is_server = read_byte(result[0]);

        assert_true(is_server >= 0);
        servers += is_server;
    }
    assert_int_equal(servers, 1);
    close(hold[1]);
    for (int i = 0; i < STARTERS; i++) {
        int status = -1;

        assert_true(patient_waitpid(-1, &status, 0) > 0);
        assert_int_equal(status, 0);
    }
    close(start[0]);
    close(result[0]);
    close(result[1]);
    close(hold[0]);
}

static void of_several_servers_that_start_only_one_replaces_a_path(void **state)
{
    (void) state;
    leave_stale(in_folder("a"));
    for (int i = 0; i < ROUNDS; i++)
        race(in_folder("a"));
}

#ifdef __linux__ /* Elsewhere a full backlog refuses. */
static void a_connect_waits_while_the_backlog_is_full(void **state)
{
    aloop_unix_options options = {.size = sizeof options, .backlog = 1};
    aloop_stream *clients[8] = {NULL}, *servers[8] = {NULL};
    aloop_future *connects[8];

    (void) state;
    assert_int_equal(aloop_unix_listen_with(d.loop, in_folder("a"), NULL, NULL,
                                            &options, &listener),
                     0);
    for (int i = 0; i < 8; i++)
        connects[i] = aloop_unix_connect(d.loop, in_folder("a"), &clients[i]);
    for (int i = 0; i < 8; i++)
        assert_int_equal(
            aloop_await(aloop_listener_accept(listener, &servers[i])), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(aloop_await(connects[i]), 0);
        aloop_stream_close(clients[i]);
        aloop_stream_close(servers[i]);
    }
    aloop_listener_close(listener);
}
/* Connects to an abstract name, as another user if that is permitted, and stays
 * until the other end of `hold` is closed. */
static void connect_as(const char *name, uint32_t user, uint32_t group,
                       int hold)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;

    memcpy(address.sun_path + 1, name + 1, length - 1);
    CHECK(user == getuid() || (setgid(group) == 0 && setuid(user) == 0));
    CHECK(patient_connect(fd, (const struct sockaddr *) &address,
                          (socklen_t) (offsetof(struct sockaddr_un, sun_path) +
                                       length)) == 0);
    CHECK(patient_read(hold, &byte, 1) == 0);
    _exit(0);
}

static void a_stream_knows_who_connected_to_it(void **state)
{
    uint32_t user = getuid() == 0 ? 1 : getuid();
    uint32_t group = getuid() == 0 ? 2 : getgid();
    uint32_t found_user = 99, found_group = 99;
    aloop_stream *stream = NULL;
    int64_t process = 0;
    int hold[2], status = 0;
    char name[32];
    pid_t child;

    (void) state;
    snprintf(name, sizeof name, "@aloop-peer-%d", (int) getpid());
    assert_int_equal(listen_at(name), 0);
    assert_int_equal(pipe(hold), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(hold[1]);
        connect_as(name, user, group, hold[0]);
    }
    close(hold[0]);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &stream)), 0);
    assert_int_equal(
        aloop_unix_peer(stream, &process, &found_user, &found_group), 0);
    assert_int_equal(process, child);
    assert_int_equal(found_user, user);
    assert_int_equal(found_group, group);
    close(hold[1]);
    assert_true(patient_waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    aloop_stream_close(stream);
    aloop_listener_close(listener);
}
#endif

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(both_ends_exchange_data_and_half_close),
        TEST(both_ends_of_a_connection_pass_descriptors),
        TEST(the_longest_path_works_and_a_longer_one_is_refused),
        TEST(the_path_has_the_mode_whatever_the_umask_is),
        TEST(only_a_stale_socket_is_replaced),
        TEST(a_path_that_was_replaced_is_not_removed),
        TEST(of_several_servers_that_start_only_one_replaces_a_path),
#ifdef __linux__
        TEST(a_connect_waits_while_the_backlog_is_full),
        TEST(a_stream_knows_who_connected_to_it),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
