/* Tests of Unix sockets: listening, connecting, and the path. */

#include "support/stream_fixture.h"

#include <errno.h>

#include "simulator/sim_file.h"

static aloop_listener *listener;

static int listen_at(const char *path)
{
    listener = NULL;
    return aloop_unix_listen(t.loop, path, NULL, NULL, &listener);
}

static int listen_with_mode(const char *path, unsigned mode)
{
    aloop_unix_options options = {.size = sizeof options, .mode = mode};

    listener = NULL;
    return aloop_unix_listen_with(t.loop, path, NULL, NULL, &options,
                                  &listener);
}

static bool exists(const char *path)
{
    aloop_stat status;

    return aloop_await(aloop_fs_stat(t.loop, path, &status)) == 0;
}

/* Leaves the path of a process that has ended. */
static void leave_stale(const char *path)
{
    int peer = sim_listen_unix(path, 1);

    assert_true(peer >= 0);
    sim_peer_close(peer);
}

static void both_ends_of_a_connection_exchange_data(const char *path)
{
    aloop_stream *client = NULL, *server = NULL;
    char text[16], name[128];

    assert_int_equal(listen_at(path), 0);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, path, &client)), 0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &server)), 0);
    assert_int_equal(aloop_stream_put(client, "hello", 5), 0);
    assert_int_equal(aloop_await(aloop_stream_read(server, text, 16)), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(aloop_await(aloop_stream_write(server, "bye", 3)), 3);
    aloop_stream_close(server);
    assert_int_equal(aloop_await(aloop_stream_read_to_end(client, text, 16)),
                     3);
    assert_true(aloop_stream_peer(client, name, sizeof name) > 0);
    assert_string_equal(name, path);
    assert_int_equal(aloop_stream_local(client, name, sizeof name), 0);
    aloop_stream_close(client);
    aloop_listener_close(listener);
}

static void streams_work_over_a_path_and_over_an_abstract_name(void **state)
{
    (void) state;
    both_ends_of_a_connection_exchange_data("/tmp/socket");
    both_ends_of_a_connection_exchange_data("@abstract");
    assert_int_equal(sim_file_count("/tmp"), 0);
}

/* Passes one descriptor in the message "fd". */
static void pass_descriptor(aloop_stream *from, aloop_stream *to)
{
    int fd = sim_file(), received;
    char text[8];

    assert_int_equal(aloop_stream_set_fds_max(to, 1), 0);
    assert_int_equal(aloop_stream_put_fds(from, "fd", 2, &fd, 1), 0);
    aloop__sys_close(fd);
    assert_int_equal(aloop_await(aloop_stream_read_exactly(to, text, 2)), 2);
    received = aloop_stream_take_fd(to);
    assert_true(received >= 0);
    assert_int_equal(aloop__sys_close(received), 0);
}

static void both_ends_of_a_connection_pass_descriptors(void **state)
{
    aloop_stream *client = NULL, *server = NULL;

    (void) state;
    assert_int_equal(listen_at("/tmp/socket"), 0);
    assert_int_equal(
        aloop_await(aloop_unix_connect(t.loop, "/tmp/socket", &client)), 0);
    assert_int_equal(aloop_await(aloop_listener_accept(listener, &server)), 0);
    pass_descriptor(client, server);
    pass_descriptor(server, client);
    aloop_stream_close(client);
    aloop_stream_close(server);
    aloop_listener_close(listener);
}

static void a_listener_with_a_callback_gets_the_streams(void **state)
{
    int peer;

    (void) state;
    assert_int_equal(aloop_unix_listen(t.loop, "/tmp/socket", count_and_close,
                                       NULL, &listener),
                     0);
    peer = sim_connect_unix("/tmp/socket");
    assert_true(peer >= 0);
    run_for(MS);
    assert_int_equal(t.calls, 1);
    assert_true(sim_peer_eof(peer));
    assert_int_equal(aloop_listener_port(listener), 0);
    aloop_listener_close(listener);
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    char path[120] = "/tmp/";
    aloop_stream *stream = NULL;

    (void) state;
    memset(path + 5, 'x', sizeof path - 5);
    path[109] = '\0';
    assert_int_equal(listen_at(path), ALOOP_ENAMETOOLONG);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, path, &stream)),
                     ALOOP_ENAMETOOLONG);
    path[108] = '\0';
    assert_int_equal(listen_at(path), 0);
    assert_true(exists(path));
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, path, &stream)), 0);
    aloop_stream_close(stream);
    aloop_listener_close(listener);
    assert_false(exists(path));
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_unix_options options = {.size = sizeof options, .backlog = -1};
    aloop_stream *stream = NULL;

    (void) state;
    assert_int_equal(listen_at(NULL), ALOOP_EINVAL);
    assert_int_equal(listen_at(""), ALOOP_EINVAL);
    assert_int_equal(listen_at("@"), ALOOP_EINVAL);
    assert_int_equal(aloop_unix_listen(t.loop, "@a", NULL, NULL, NULL),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_unix_listen(NULL, "@a", NULL, NULL, &listener),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_unix_listen_with(t.loop, "@a", NULL, NULL, &options, &listener),
        ALOOP_EINVAL);
    options = (aloop_unix_options){.size = 3};
    assert_int_equal(
        aloop_unix_listen_with(t.loop, "@a", NULL, NULL, &options, &listener),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_unix_listen_with(NULL, "@a", NULL, NULL, NULL, &listener),
        ALOOP_EINVAL);
    assert_int_equal(listen_with_mode("/tmp/a", 01000), ALOOP_EINVAL);
    assert_int_equal(listen_with_mode("@a", 0600), ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, NULL, &stream)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "@a", NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_unix_connect(NULL, "@a", &stream)),
                     ALOOP_EINVAL);
}

static void a_path_in_a_missing_directory_is_refused(void **state)
{
    (void) state;
    assert_int_equal(listen_at("/no/socket"), ALOOP_ENOENT);
    assert_int_equal(listen_at("/tmp/"), ALOOP_EADDRINUSE);
}

static void a_stale_path_is_replaced(void **state)
{
    (void) state;
    leave_stale("/tmp/socket");
    leave_stale("/socket");
    leave_stale("relative");
    assert_int_equal(listen_at("/tmp/socket"), 0);
    assert_true(sim_connect_unix("/tmp/socket") >= 0);
    aloop_listener_close(listener);
    assert_int_equal(listen_at("/socket"), 0);
    aloop_listener_close(listener);
    assert_int_equal(listen_at("relative"), 0);
    aloop_listener_close(listener);
    assert_int_equal(sim_file_count("/"), 1); /* "/tmp" */
}

static void a_live_path_is_in_use(void **state)
{
    aloop_listener *first;

    (void) state;
    assert_int_equal(listen_at("/tmp/socket"), 0);
    first = listener;
    assert_int_equal(listen_at("/tmp/socket"), ALOOP_EADDRINUSE);
    assert_true(sim_connect_unix("/tmp/socket") >= 0);
    aloop_listener_close(first);
    assert_int_equal(listen_at("@name"), 0);
    first = listener;
    assert_int_equal(listen_at("@name"), ALOOP_EADDRINUSE);
    aloop_listener_close(first);
}

static void a_live_path_with_a_full_backlog_is_in_use(void **state)
{
    (void) state;
    assert_true(sim_listen_unix("/tmp/socket", 0) >= 0);
    assert_true(sim_connect_unix("/tmp/socket") >= 0);
    assert_int_equal(sim_connect_unix("/tmp/socket"), ALOOP_EAGAIN);
    assert_int_equal(listen_at("/tmp/socket"), ALOOP_EADDRINUSE);
    assert_true(exists("/tmp/socket"));
}

static void a_file_that_is_no_socket_is_never_removed(void **state)
{
    char text[8];

    (void) state;
    sim_file_put("/tmp/file", "data", 4);
    assert_int_equal(listen_at("/tmp/file"), ALOOP_EADDRINUSE);
    assert_int_equal(sim_file_get("/tmp/file", text, sizeof text), 4);
    leave_stale("/tmp/stale");
    assert_int_equal(
        aloop_await(aloop_fs_symlink(t.loop, "/tmp/stale", "/tmp/link")), 0);
    assert_int_equal(listen_at("/tmp/link"), ALOOP_EADDRINUSE);
    assert_true(exists("/tmp/link"));
}

static void a_path_whose_directory_is_locked_is_in_use(void **state)
{
    (void) state;
    sim_file_lock("/tmp", true);
    assert_int_equal(listen_at("/tmp/socket"), ALOOP_EADDRINUSE);
    assert_false(exists("/tmp/socket"));
    sim_file_lock("/tmp", false);
    assert_int_equal(listen_at("/tmp/socket"), 0);
    sim_file_lock("/tmp", true);
    aloop_listener_close(listener);
    assert_false(exists("/tmp/socket"));
}

static void without_a_lock_nothing_is_replaced(void **state)
{
    static const char *const calls[] = {"aloop__sys_openat", "aloop__sys_lock"};

    (void) state;
    leave_stale("/tmp/socket");
    for (size_t i = 0; i < 2; i++) {
        sim_fail(calls[i], 1, i == 0 ? ALOOP_EACCES : -ENOLCK);
        assert_int_equal(listen_at("/tmp/socket"), ALOOP_EADDRINUSE);
        sim_fail(calls[i], 1, i == 0 ? ALOOP_EACCES : -ENOLCK);
        assert_int_equal(listen_at("/tmp/other"), 0);
        aloop_listener_close(listener);
        assert_false(exists("/tmp/other"));
    }
}

static void the_path_of_another_listener_is_not_removed(void **state)
{
    aloop_listener *first;

    (void) state;
    assert_int_equal(listen_at("/tmp/socket"), 0);
    first = listener;
    assert_int_equal(aloop_await(aloop_fs_unlink(t.loop, "/tmp/socket")), 0);
    assert_int_equal(listen_at("/tmp/socket"), 0);
    aloop_listener_close(first);
    assert_true(exists("/tmp/socket"));
    assert_true(sim_connect_unix("/tmp/socket") >= 0);
    aloop_listener_close(listener);
    assert_false(exists("/tmp/socket"));
}

static void a_forked_child_leaves_the_path_to_its_parent(void **state)
{
    (void) state;
    assert_int_equal(listen_at("/tmp/socket"), 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    aloop_listener_close(listener);
    assert_true(exists("/tmp/socket"));
}

static void the_path_has_the_mode_whatever_the_umask_is(void **state)
{
    static const unsigned modes[] = {0600, 0666, 0777};
    aloop_stat status;

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(listen_with_mode("/tmp/socket", modes[i]), 0);
        assert_int_equal(
            aloop_await(aloop_fs_stat(t.loop, "/tmp/socket", &status)), 0);
        assert_int_equal(status.mode, modes[i]);
        aloop_listener_close(listener);
    }
    sim_fail("aloop__sys_fchmod", 1, ALOOP_EINVAL); /* As on macOS. */
    assert_int_equal(listen_with_mode("/tmp/socket", 0600), 0);
    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, "/tmp/socket", &status)),
                     0);
    assert_int_equal(status.mode, 0600);
    aloop_listener_close(listener);
}

static void listening_fails_at_every_step_without_a_leak(void **state)
{
    static const char *const calls[] = {
        "aloop__sys_tcp_socket", "aloop__sys_bind",    "aloop__sys_statat",
        "aloop__sys_listen",     "aloop__sys_chmodat", "aloop__reactor_set"};

    (void) state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        aloop_unix_options options = {.size = sizeof options, .mode = 0777};

        sim_fail(calls[i], 1, ALOOP_ENOMEM);
        assert_int_equal(aloop_unix_listen_with(t.loop, "/tmp/socket",
                                                close_accepted, NULL, &options,
                                                &listener),
                         ALOOP_ENOMEM);
        assert_int_equal(sim_faults_pending(), 0);
        assert_int_equal(sim_file_count("/tmp"), 0);
    }
}

static void a_connect_waits_while_the_backlog_is_full(void **state)
{
    aloop_stream *first = NULL, *second = NULL;
    aloop_future *connect;
    int outside = sim_listen_unix("/tmp/socket", 0);
    unsigned calls;

    (void) state;
    assert_int_equal(
        aloop_await(aloop_unix_connect(t.loop, "/tmp/socket", &first)), 0);
    connect = aloop_unix_connect(t.loop, "/tmp/socket", &second);
    run_for(ALOOP_SEC(1));
    assert_false(aloop_future_is_settled(connect));
    calls = sim_calls("aloop__sys_connect");
    assert_in_range(calls, 20, 30); /* After 1, 2, 4 ... 50, 50 ms. */
    assert_true(sim_accept(outside) >= 0);
    assert_int_equal(aloop_await(connect), 0);
    aloop_stream_close(first);
    aloop_stream_close(second);
    sim_peer_close(outside);
}

static void a_connect_that_waits_can_be_cancelled(void **state)
{
    aloop_stream *stream = NULL;
    int outside = sim_listen_unix("@name", 0);

    (void) state;
    assert_true(sim_connect_unix("@name") >= 0);
    assert_int_equal(
        aloop_await(aloop_timeout(aloop_unix_connect(t.loop, "@name", &stream),
                                  ALOOP_SEC(1))),
        ALOOP_ETIMEDOUT);
    assert_null(stream);
    sim_peer_close(outside);
    run_for(ALOOP_SEC(1));
}

static void a_connect_without_a_listener_fails_with_its_reason(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    leave_stale("/tmp/stale");
    sim_file_put("/tmp/file", "", 0);
    assert_int_equal(
        aloop_await(aloop_unix_connect(t.loop, "/tmp/stale", &stream)),
        ALOOP_ECONNREFUSED);
    assert_int_equal(
        aloop_await(aloop_unix_connect(t.loop, "/tmp/file", &stream)),
        ALOOP_ECONNREFUSED);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "/no", &stream)),
                     ALOOP_ENOENT);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "@no", &stream)),
                     ALOOP_ECONNREFUSED);
    sim_fail("aloop__sys_tcp_socket", 1, ALOOP_EMFILE);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "@no", &stream)),
                     ALOOP_EMFILE);
    assert_null(stream);
}

static void an_unhandled_connect_is_reported_with_its_path(void **state)
{
    aloop_stream *stream = NULL;

    (void) state;
    aloop_detach(aloop_unix_connect(t.loop, "/no", &stream));
    run_for(MS);
    assert_int_equal(t.unhandled, 1);
    assert_string_equal(t.unhandled_what, "connect to /no");
}

static void a_stream_knows_who_its_peer_is(void **state)
{
    aloop_stream *stream = NULL;
    int64_t process = 0;
    uint32_t user = 1, group = 1;

    (void) state;
    assert_true(sim_listen_unix("@name", 1) >= 0);
    assert_int_equal(aloop_await(aloop_unix_connect(t.loop, "@name", &stream)),
                     0);
    assert_int_equal(aloop_unix_peer(stream, &process, &user, &group), 0);
    assert_true(process > 0);
    assert_int_equal(user, 0);
    assert_int_equal(group, 0);
    assert_int_equal(aloop_unix_peer(stream, NULL, NULL, NULL), 0);
    sim_fail("aloop__sys_unix_peer", 1, ALOOP_ENOBUFS);
    assert_int_equal(aloop_unix_peer(stream, &process, NULL, NULL),
                     ALOOP_ENOBUFS);
    aloop_stream_close(stream);
    stream = connected();
    assert_int_equal(aloop_unix_peer(stream, &process, &user, &group),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_unix_peer(NULL, &process, &user, &group),
                     ALOOP_EINVAL);
    aloop_stream_close(stream);
}

static void a_listener_that_lost_its_descriptor_leaves_the_path(void **state)
{
    aloop_stream *stream = NULL, *other = NULL;
    aloop_future *accept;

    (void) state;
    assert_true(sim_listen("10.0.0.1", 80, 1) >= 0);
    assert_int_equal(listen_at("/tmp/socket"), 0);
    accept = aloop_listener_accept(listener, &stream);
    aloop__sys_close(aloop_listener_fd(listener));
    assert_int_equal(
        aloop_await(aloop_tcp_connect(t.loop, "10.0.0.1", "80", &other)), 0);
    assert_int_equal(aloop_await(accept), ALOOP_EBADF);
    aloop_listener_close(listener);
    assert_true(exists("/tmp/socket"));
    aloop_stream_close(other);
    assert_int_equal(listen_at("/tmp/socket"), 0); /* It is stale. */
    aloop_listener_close(listener);
    assert_false(exists("/tmp/socket"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(streams_work_over_a_path_and_over_an_abstract_name),
        TEST(a_listener_that_lost_its_descriptor_leaves_the_path),
        TEST(both_ends_of_a_connection_pass_descriptors),
        TEST(a_listener_with_a_callback_gets_the_streams),
        TEST(a_path_that_does_not_fit_is_refused),
        TEST(invalid_arguments_are_refused),
        TEST(a_path_in_a_missing_directory_is_refused),
        TEST(a_stale_path_is_replaced),
        TEST(a_live_path_is_in_use),
        TEST(a_live_path_with_a_full_backlog_is_in_use),
        TEST(a_file_that_is_no_socket_is_never_removed),
        TEST(a_path_whose_directory_is_locked_is_in_use),
        TEST(without_a_lock_nothing_is_replaced),
        TEST(the_path_of_another_listener_is_not_removed),
        TEST(a_forked_child_leaves_the_path_to_its_parent),
        TEST(the_path_has_the_mode_whatever_the_umask_is),
        TEST(listening_fails_at_every_step_without_a_leak),
        TEST(a_connect_waits_while_the_backlog_is_full),
        TEST(a_connect_that_waits_can_be_cancelled),
        TEST(a_connect_without_a_listener_fails_with_its_reason),
        TEST(an_unhandled_connect_is_reported_with_its_path),
        TEST(a_stream_knows_who_its_peer_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
