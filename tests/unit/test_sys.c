/* The real system behind the seam: addresses, sockets, signals, threads. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aloop/error.h"
#include "os/sys.h"
#include "support/patient.h"
#include "support/sockets.h"
#include "support/storm.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void an_address_survives_formatting_and_parsing(void **state)
{
    static const struct {
        const char *host, *port, *text;
        enum sys_family family;
    } rows[] = {
        {"127.0.0.1", "80", "127.0.0.1:80", SYS_INET},
        {"255.255.255.255", "65535", "255.255.255.255:65535", SYS_INET},
        {"0.0.0.0", "0", "0.0.0.0:0", SYS_INET},
        {"::1", "80", "[::1]:80", SYS_INET6},
        {"::", "00001", "[::]:1", SYS_INET6},
        {"2001:DB8:0:0::1", "443", "[2001:db8::1]:443", SYS_INET6},
        {"::ffff:1.2.3.4", "1", "1.2.3.4:1", SYS_INET6},
        {"fe80::1%1", "1", "[fe80::1%1]:1", SYS_INET6},
        {"fe80::1%4294967295", "1", "[fe80::1%4294967295]:1", SYS_INET6},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295", "65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
         SYS_INET6},
    };
    struct sys_address address;
    char text[96];

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int length = (int) strlen(rows[i].text);

        assert_int_equal(
            sys_address_parse(rows[i].host, rows[i].port, &address), 0);
        assert_int_equal(sys_address_family(&address), rows[i].family);
        assert_int_equal(sys_address_format(&address, text, sizeof text),
                         length);
        assert_string_equal(text, rows[i].text);
    }
}

static void two_addresses_are_the_same_if_every_part_is(void **state)
{
    static const struct {
        const char *host, *port;
    } rows[] = {
        {"127.0.0.1", "80"}, {"127.0.0.1", "81"}, {"127.0.0.2", "80"},
        {"::1", "80"}, {"::1", "81"}, {"::2", "80"},
        {"fe80::1%1", "80"}, {"fe80::1%2", "80"}, {"::ffff:127.0.0.1", "80"},
    };
    struct sys_address a, b, none = {0};

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(sys_address_parse(rows[i].host, rows[i].port, &a), 0);
        assert_false(sys_address_same(&a, &none));
        for (size_t j = 0; j < COUNT(rows); j++) {
            assert_int_equal(
                sys_address_parse(rows[j].host, rows[j].port, &b), 0);
            assert_int_equal(sys_address_same(&a, &b), i == j);
        }
    }
    assert_true(sys_address_same(&none, &none));
}

static void every_port_is_read_and_written(void **state)
{
    char port[8], text[96], expected[96];
    struct sys_address address;

    (void) state;
    for (unsigned number = 0; number <= 65535; number++) {
        snprintf(port, sizeof port, "%u", number);
        snprintf(expected, sizeof expected, "127.0.0.1:%u", number);
        assert_int_equal(sys_address_parse("127.0.0.1", port, &address), 0);
        assert_int_equal(sys_address_port(&address), number);
        sys_address_format(&address, text, sizeof text);
        assert_string_equal(text, expected);
    }
}

/* Class 48; none has a letter that could make it the name of a service. */
static const char *const odd_ports[] = {
    "", " ", "-1", "+1", " 1", "1 ", "80\n", "65536", "65616", "99999",
    "100000", "000080", "4294967376", "18446744073709551696", "8.0", "8,0",
    "80/", "\xef\xbc\x98\xef\xbc\x90", "1-2",
};

static void an_odd_port_is_refused(void **state)
{
    struct sys_address address, before, *found;

    (void) state;
    assert_int_equal(sys_address_parse("::1", "7", &address), 0);
    before = address;
    for (size_t i = 0; i < COUNT(odd_ports); i++) {
        assert_int_equal(
            sys_address_parse("127.0.0.1", odd_ports[i], &address), -EINVAL);
        assert_int_equal(sys_resolve("127.0.0.1", odd_ports[i], &found),
                         -EINVAL);
    }
    assert_int_equal(sys_address_parse("127.0.0.1", "0x50", &address),
                     -EINVAL);
    assert_int_equal(sys_address_parse("127.0.0.1", "1e1", &address), -EINVAL);
    assert_int_equal(sys_address_parse("127.0.0.1", "http", &address),
                     -EINVAL);
    assert_int_equal(sys_address_parse("127.0.0.1", NULL, &address), -EINVAL);
    assert_memory_equal(&address, &before, sizeof before);
}

/* Classes 46 and 48: what an address is the system says, strictly. */
static void an_odd_host_is_taken_where_inet_pton_takes_it(void **state)
{
    static const char *const hosts[] = {
        "", " ", ".", "1", "1.2", "1.2.3", "1.2.3.4", "1.2.3.4.", ".1.2.3.4",
        "1.2.3.4.5", "1..3.4", "256.1.1.1", "1.2.3.256", "1.2.3.4 ",
        " 1.2.3.4", "01.2.3.4", "1.2.3.010", "0x7f.0.0.1", "0x7f000001",
        "2130706433", "127.1", "1.2.3.4/8", "1.2.3.-4", "1.2.3.4:80",
        "1.2.3.4\n", "99999999999.1.1.1", ":", "::", ":::", "::1", "[::1]",
        "[::1", "::1]", "::1::", "1::2::3", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8", "12345::", "g::", "::1.2.3.4", "::1.2.3",
        "::1.2.3.256", "::1.2.3.4:5", "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4", "::ffff:127.0.0.1", "::FFFF:127.0.0.1",
        "fe80::1/64", "localhost", "0000:0000:0000:0000:0000:0000:0000:0001",
        "00000::1", "\xff", "::\xff",
    };
    struct sys_address address;

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct in_addr v4;
        struct in6_addr v6;
        bool is_v4 = inet_pton(AF_INET, hosts[i], &v4) == 1;
        bool is_v6 = inet_pton(AF_INET6, hosts[i], &v6) == 1;
        int error = sys_address_parse(hosts[i], "9", &address);
        struct sockaddr_in got4;
        struct sockaddr_in6 got6;

        assert_int_equal(error, is_v4 || is_v6 ? 0 : -EINVAL);
        memcpy(&got4, address.bytes, sizeof got4);
        memcpy(&got6, address.bytes, sizeof got6);
        if (is_v4)
            assert_memory_equal(&got4.sin_addr, &v4, sizeof v4);
        if (is_v6)
            assert_memory_equal(&got6.sin6_addr, &v6, sizeof v6);
    }
}

static void only_an_interface_stands_behind_the_percent_sign(void **state)
{
    static const char *const hosts[] = {
        "fe80::1%", "fe80::1%0", "fe80::1%no-such-one", "fe80::1%1%1",
        "fe80::1%4294967296", "fe80::1%99999999999", "127.0.0.1%1", "%1",
        "fe80::1%-1", "fe80::1% 1", "fe80::1%a-name-longer-than-any-can-be",
    };
    struct sys_address address;

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++)
        assert_int_equal(sys_address_parse(hosts[i], "9", &address), -EINVAL);
}

/* Class 46: never cut, so that it could become another name.  The dot at the
 * end of a complete name does not count. */
static void a_long_host_is_refused(void **state)
{
    char host[1101];
    struct sys_address address, *found;

    (void) state;
    for (size_t length = 1; length < sizeof host; length++) {
        memset(host, 'a', length);
        host[length] = '\0';
        assert_int_equal(sys_address_parse(host, "9", &address), -EINVAL);
        memset(host, '1', length);
        assert_int_equal(sys_address_parse(host, "9", &address), -EINVAL);
        assert_int_equal(sys_host_is_too_long(host), length > 253);
        if (length > 253)
            assert_int_equal(sys_resolve(host, "9", &found), -ENAMETOOLONG);
        host[length - 1] = '.';
        assert_int_equal(sys_host_is_too_long(host), length > 254);
        if (length > 254)
            assert_int_equal(sys_resolve(host, "9", &found), -ENAMETOOLONG);
    }
    memset(host, '0', 253);
    memcpy(host + 244, "177.0.0.1", 10);
    assert_int_not_equal(sys_resolve(host, "9", &found), -ENAMETOOLONG);
    sys_resolve_free(found);
}

static void a_buffer_too_small_is_refused_and_not_overrun(void **state)
{
    static const char *const hosts[] = {"192.168.100.200", "2001:db8::1234"};
    struct sys_address address;
    char text[96];

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        int length;

        assert_int_equal(sys_address_parse(hosts[i], "54321", &address), 0);
        length = sys_address_format(&address, text, sizeof text);
        assert_true(length > 0);
        for (size_t size = 0; size <= (size_t) length; size++) {
            memset(text, '#', sizeof text);
            assert_int_equal(sys_address_format(&address, text, size),
                             -ENOSPC);
            for (size_t k = size; k < sizeof text; k++)
                assert_int_equal(text[k], '#');
        }
        assert_int_equal(
            sys_address_format(&address, text, (size_t) length + 1), length);
    }
}

static void no_address_has_no_family_and_no_text(void **state)
{
    struct sys_address none = {0};
    char text[96];

    (void) state;
    assert_int_equal(sys_address_family(&none), SYS_FAMILY_NONE);
    assert_int_equal(sys_address_port(&none), 0);
    assert_int_equal(sys_address_format(&none, text, sizeof text), -EINVAL);
}

static void a_path_is_the_text_of_a_unix_address(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sys_address address = {0};
    char text[200];

    (void) state;
    for (size_t length = 0; length <= sizeof local.sun_path; length++) {
        memset(local.sun_path, 'p', length); /* The full one has no zero. */
        address.size = (uint32_t) (offsetof(struct sockaddr_un, sun_path)
                                   + length);
        memcpy(address.bytes, &local, sizeof local);
        assert_int_equal(sys_address_format(&address, text, sizeof text),
                         length);
        assert_int_equal(strlen(text), length);
    }
    assert_int_equal(sys_address_format(&address, text, 96), -ENOSPC);
    assert_int_equal(sys_address_family(&address), SYS_UNIX);
}

/* Linux's, which is in no file system, begins with a zero. */
static void an_abstract_name_is_shown_behind_an_at_sign(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t start = offsetof(struct sockaddr_un, sun_path);
    struct sys_address address = {.size = (uint32_t) start + 5};
    char text[96];

    (void) state;
    memcpy(local.sun_path, "\0name", 5);
    memcpy(address.bytes, &local, sizeof local);

    assert_int_equal(sys_address_format(&address, text, sizeof text), 5);
    assert_string_equal(text, "@name");

    address.size = (uint32_t) start + 1; /* The zero alone is no name. */
    assert_int_equal(sys_address_format(&address, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void no_more_is_shown_than_a_path_has_room_for(void **state)
{
    struct sys_address address = {.size = sizeof address.bytes};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    char text[200];

    (void) state;
    memset(address.bytes, 'x', sizeof address.bytes);
    memset(local.sun_path, 'p', sizeof local.sun_path);
    memcpy(address.bytes, &local, sizeof local);

    assert_int_equal(sys_address_format(&address, text, sizeof text),
                     sizeof local.sun_path);
    assert_null(strchr(text, 'x'));
}

static void without_a_host_every_local_address_is_meant(void **state)
{
    struct sys_address address, target;
    enum sys_family family;
    char port[8];
    int listener, client, accepted;

    (void) state;
    assert_int_equal(sys_address_parse(NULL, "0", &address), 0);
    family = sys_address_family(&address);
    listener = sys_tcp_socket(family);
    assert_int_equal(sys_reuse_address(listener, family), 0);
    assert_int_equal(sys_bind(listener, &address), 0);
    assert_int_equal(sys_listen(listener, 1), 0);
    assert_int_equal(sys_local_address(listener, &address), 0);
    snprintf(port, sizeof port, "%u", (unsigned) sys_address_port(&address));
    assert_int_equal(sys_address_parse("127.0.0.1", port, &target), 0);

    client = connect_to(&target);

    await_bits(listener, POLLIN);
    accepted = sys_accept(listener);
    assert_true(accepted >= 0);
    close_pair((int[2]){client, accepted});
    assert_int_equal(sys_close(listener), 0);
}

static void the_resolver_is_asked_and_its_answers_translated(void **state)
{
    struct sys_address *found;
    char text[96];

    (void) state;
    assert_int_equal(sys_resolve("127.0.0.1", "80", &found), 1);
    sys_address_format(&found[0], text, sizeof text);
    assert_string_equal(text, "127.0.0.1:80");
    sys_resolve_free(found);
    assert_int_equal(sys_resolve("::1", "80", &found), 1);
    assert_int_equal(sys_address_family(&found[0]), SYS_INET6);
    sys_resolve_free(found);
    assert_true(sys_resolve("localhost", "80", &found) >= 1);
    assert_int_equal(sys_address_port(&found[0]), 80);
    sys_resolve_free(found);
    assert_int_equal(sys_resolve("127.0.0.1", "no-such-service", &found),
                     ALOOP_EHOSTNOTFOUND);
    assert_int_equal(sys_resolve(NULL, "80", &found), -EINVAL);
    assert_int_equal(sys_resolve("127.0.0.1", NULL, &found), -EINVAL);
    assert_null(found);
    sys_resolve_free(found);
}

static void is_ready_for_a_loop(int fd)
{
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void what_is_opened_is_non_blocking_and_close_on_exec(void **state)
{
    int pair[2], fds[2];

    (void) state;
    open_tcp(pair);
    assert_int_equal(sys_wake_open(fds), 0);

    is_ready_for_a_loop(pair[0]);
    is_ready_for_a_loop(pair[1]);
    is_ready_for_a_loop(fds[0]);
    is_ready_for_a_loop(fds[1]);

    close_pair(pair);
    sys_wake_close(fds);
    assert_int_equal(fds[0], -1);
    sys_wake_close(fds); /* Harmless. */
}

static void a_wake_up_leaves_errno_alone(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(sys_wake_open(fds), 0);

    for (int i = 0; i < 100000; i++) {
        errno = 4711;
        sys_wake_signal(fds[1]);
        assert_int_equal(errno, 4711);
    }
    sys_wake_signal(-1);
    assert_int_equal(errno, 4711);

    sys_wake_close(fds);
}

static void bytes_arrive_in_order_and_then_the_end(void **state)
{
    static const struct sys_piece pieces[] = {
        {"two ", 4}, {"", 0}, {"three", 5},
    };
    char text[32];
    int pair[2];

    (void) state;
    open_tcp(pair);
    assert_int_equal(sys_recv(pair[1], text, sizeof text), -EAGAIN);

    assert_int_equal(sys_send(pair[0], "one ", 4), 4);
    assert_int_equal(sys_sendv(pair[0], pieces, COUNT(pieces)), 9);
    assert_int_equal(sys_shutdown_write(pair[0]), 0);

    for (size_t have = 0; have < 13;) {
        await_bits(pair[1], POLLIN);
        ssize_t count = sys_recv(pair[1], text + have, sizeof text - have);
        assert_true(count > 0);
        have += (size_t) count;
    }
    assert_memory_equal(text, "one two three", 13);
    await_bits(pair[1], POLLIN);
    assert_int_equal(sys_recv(pair[1], text, sizeof text), 0);
    close_pair(pair);
}

/* Class 21. */
static void a_gathered_send_takes_as_many_pieces_as_it_can(void **state)
{
    struct sys_piece pieces[SYS_PIECES_MAX * 2];
    int pair[2];

    (void) state;
    open_tcp(pair);
    for (size_t i = 0; i < COUNT(pieces); i++)
        pieces[i] = (struct sys_piece){"ab", 2};

    assert_int_equal(sys_sendv(pair[0], pieces, COUNT(pieces)),
                     SYS_PIECES_MAX * 2);
    assert_int_equal(sys_sendv(pair[0], pieces, 0), 0);

    close_pair(pair);
}

/* Class 27: the disposition is the default one, which kills. */
static void sending_to_nobody_is_an_error_and_no_signal(void **state)
{
    static const struct sys_piece piece = {"x", 1};
    int pair[2];

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);

    assert_int_equal(sys_close(pair[1]), 0);

    assert_int_equal(sys_send(pair[0], "x", 1), -EPIPE);
    assert_int_equal(sys_sendv(pair[0], &piece, 1), -EPIPE);
    assert_int_equal(sys_close(pair[0]), 0);
}

static int complain(const char *line, size_t size)
{
    struct sys_stderr file;

    sys_stderr_look(&file);
    return sys_complain(&file, line, size);
}

/* Complains into a pipe that nobody reads any more. */
static void complain_to_nobody(void)
{
    int ends[2], before = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close_pair(ends);
    assert_int_equal(complain("lost\n", 5), -EPIPE);
    dup2(before, STDERR_FILENO);
    close(before);
}

static bool is_pending(int number)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, number) == 1;
}

static void complaining_to_nobody_is_no_signal_either(void **state)
{
    sigset_t broken_pipe, before;
    int number;

    (void) state;
    signal(SIGPIPE, SIG_DFL);
    complain_to_nobody();
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    complain_to_nobody();
    assert_false(is_pending(SIGPIPE));

    raise(SIGPIPE);
    complain_to_nobody();

    assert_true(is_pending(SIGPIPE)); /* That one was somebody else's. */
    sigwait(&broken_pipe, &number);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void a_complaint_is_written_to_standard_error(void **state)
{
    int ends[2], before = dup(STDERR_FILENO);
    char text[16];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);

    assert_int_equal(complain("a line\n", 7), 0);

    dup2(before, STDERR_FILENO);
    assert_int_equal(read(ends[0], text, sizeof text), 7);
    assert_memory_equal(text, "a line\n", 7);
    close(before);
    close_pair(ends);
}

/* Writes until no more fits, and leaves the descriptor blocking again. */
static void fill(int fd)
{
    static const char zeros[4096];
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    while (write(fd, zeros, 1) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

/* Would it wait, the alarm would end the test. */
static int complain_where_no_more_fits(int fd)
{
    int before = dup(STDERR_FILENO), flags = fcntl(fd, F_GETFL);
    int error;

    fill(fd);
    dup2(fd, STDERR_FILENO);
    alarm(20);
    error = complain("a line\n", 7);
    alarm(0);
    dup2(before, STDERR_FILENO);
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    close(before);
    return error;
}

static void a_complaint_never_waits(void **state)
{
    int ends[2], terminal, other, error;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(complain_where_no_more_fits(ends[1]), -EAGAIN);
    close_pair(ends);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(complain_where_no_more_fits(ends[1]), -EAGAIN);
    close_pair(ends);
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
        return; /* None to be had. */
    other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(other >= 0);
    error = complain_where_no_more_fits(other);
    assert_true(error == 0 || error == -EAGAIN); /* It passes bytes on. */
    close(other);
    close(terminal);
}

static void a_complaint_reaches_a_socket_and_a_file(void **state)
{
    int before = dup(STDERR_FILENO), pair[2];
    FILE *file = tmpfile();
    char text[16];

    (void) state;
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    assert_int_equal(complain("a line\n", 7), 0);
    assert_int_equal(pread(fileno(file), text, sizeof text, 0), 7);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[1], STDERR_FILENO);
    assert_int_equal(complain("a line\n", 7), 0);
    assert_int_equal(read(pair[0], text, sizeof text), 7);
    dup2(before, STDERR_FILENO);
    close(before);
    close_pair(pair);
    fclose(file);
}

static bool is_usable(int fd)
{
    struct sys_stderr file;

    dup2(fd, STDERR_FILENO);
    sys_stderr_look(&file);
    return file.is_usable;
}

static void what_only_has_the_number_of_standard_error_is_left_alone(
    void **state)
{
    int before = dup(STDERR_FILENO), ends[2], error;
    int tcp = sys_tcp_socket(SYS_INET);
    struct sys_stderr file;
    bool are_usable;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    are_usable = is_usable(tcp) || is_usable(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    fcntl(STDERR_FILENO, F_SETFD, FD_CLOEXEC); /* Not inherited, then. */
    sys_stderr_look(&file);
    are_usable = are_usable || file.is_usable;
    close(STDERR_FILENO);
    sys_stderr_look(&file);
    error = sys_complain(&file, "a line\n", 7);
    dup2(before, STDERR_FILENO);
    assert_false(are_usable || file.is_usable);
    assert_int_equal(error, -EBADF);
    close(before);
    close_pair(ends);
    sys_close(tcp);
}

static void a_complaint_does_not_go_to_what_replaced_standard_error(
    void **state)
{
    int before = dup(STDERR_FILENO), pair[2], error;
    struct sys_stderr file;
    char text[16];

    (void) state;
    sys_stderr_look(&file);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[1], STDERR_FILENO);
    error = sys_complain(&file, "a line\n", 7);
    dup2(before, STDERR_FILENO);
    assert_int_equal(error, -EBADF);
    assert_true(recv(pair[0], text, sizeof text, MSG_DONTWAIT) < 0);
    close(before);
    close_pair(pair);
}

static void a_refused_connection_says_so_once(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address), fd, error;

    (void) state;
    assert_int_equal(sys_close(listener), 0);

    fd = sys_tcp_socket(SYS_INET);
    error = sys_connect(fd, &address);
    if (error == -EINPROGRESS) {
        await_bits(fd, POLLOUT);
        error = sys_socket_error(fd);
    }

    assert_int_equal(error, -ECONNREFUSED);
    assert_int_equal(sys_socket_error(fd), 0);
    assert_int_equal(sys_close(fd), 0);
}

static void a_reset_is_heard_by_the_peer(void **state)
{
    char byte;
    int pair[2];

    (void) state;
    open_tcp(pair);

    assert_int_equal(sys_reset_on_close(pair[0]), 0);
    assert_int_equal(sys_close(pair[0]), 0);

    await_bits(pair[1], POLLIN);
    assert_int_equal(sys_recv(pair[1], &byte, 1), -ECONNRESET);
    assert_int_equal(sys_close(pair[1]), 0);
}

static void both_ends_agree_on_their_addresses(void **state)
{
    struct sys_address mine, theirs;
    int pair[2];

    (void) state;
    open_tcp(pair);

    assert_int_equal(sys_local_address(pair[0], &mine), 0);
    assert_int_equal(sys_peer_address(pair[1], &theirs), 0);

    assert_int_equal(mine.size, theirs.size);
    assert_memory_equal(mine.bytes, theirs.bytes, mine.size);
    close_pair(pair);
}

static void delay_is_switched(void **state)
{
    int pair[2];

    (void) state;
    open_tcp(pair);
    for (int on = 1; on >= 0; on--) {
        int value = -1;
        socklen_t size = sizeof value;

        assert_int_equal(sys_no_delay(pair[0], on == 1), 0);
        getsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &value, &size);
        assert_int_equal(value != 0, on);
    }
    close_pair(pair);
}

static void an_address_in_use_is_refused(void **state)
{
    struct sys_address address;
    int listener = open_listener(&address), fd = sys_tcp_socket(SYS_INET);

    (void) state;
    assert_int_equal(sys_accept(listener), -EAGAIN);
    assert_int_equal(sys_reuse_address(fd, SYS_INET), 0);
    assert_int_equal(sys_bind(fd, &address), -EADDRINUSE);
    close_pair((int[2]){listener, fd});
}

static void a_bad_descriptor_is_an_error_everywhere(void **state)
{
    struct sys_piece piece = {"x", 1};
    struct sys_address address;
    int ends[2];
    char byte;

    (void) state;
    assert_int_equal(sys_address_parse("127.0.0.1", "9", &address), 0);
    assert_int_equal(sys_close(-1), -EBADF);
    assert_int_equal(sys_reuse_address(-1, SYS_INET6), -EBADF);
    assert_int_equal(sys_no_delay(-1, true), -EBADF);
    assert_int_equal(sys_reset_on_close(-1), -EBADF);
    assert_int_equal(sys_bind(-1, &address), -EBADF);
    assert_int_equal(sys_listen(-1, 1), -EBADF);
    assert_int_equal(sys_accept(-1), -EBADF);
    assert_int_equal(sys_connect(-1, &address), -EBADF);
    assert_int_equal(sys_socket_error(-1), -EBADF);
    assert_int_equal(sys_local_address(-1, &address), -EBADF);
    assert_int_equal(sys_peer_address(-1, &address), -EBADF);
    assert_int_equal(sys_recv(-1, &byte, 1), -EBADF);
    assert_int_equal(sys_send(-1, "x", 1), -EBADF);
    assert_int_equal(sys_sendv(-1, &piece, 1), -EBADF);
    assert_int_equal(sys_shutdown_write(-1), -EBADF);
    assert_int_equal(sys_tcp_socket(SYS_FAMILY_NONE), -EAFNOSUPPORT);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(sys_recv(ends[0], &byte, 1), -ENOTSOCK);
    assert_int_equal(sys_send(ends[1], "x", 1), -ENOTSOCK);
    close_pair(ends);
}

static void on_other(int number)
{
    (void) number;
}

static void a_caught_signal_is_as_before_when_it_is_put_back(void **state)
{
    struct sigaction mine = {
        .sa_handler = on_other,
        .sa_flags = SA_NODEFER,
    };
    struct sigaction now;
    int before = atomic_load(&signals);

    (void) state;
    sigemptyset(&mine.sa_mask);
    sigaddset(&mine.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &mine, NULL);

    assert_int_equal(sys_signal_catch(SIGUSR1, on_signal), 0);
    assert_int_equal(sys_signal_catch(SIGUSR1, on_signal), 0);
    raise(SIGUSR1);
    assert_int_equal(atomic_load(&signals), before + 1);
    sigaction(SIGUSR1, NULL, &now);
    assert_int_equal(now.sa_flags & (SA_RESTART | SA_ONSTACK),
                     SA_RESTART | SA_ONSTACK);
    assert_true(sigismember(&now.sa_mask, SIGTERM));

    sys_signal_restore(SIGUSR1);
    sys_signal_restore(SIGUSR1);

    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == on_other);
    assert_true((now.sa_flags & SA_NODEFER) != 0);
    assert_true((now.sa_flags & (SA_RESTART | SA_ONSTACK)) == 0);
    assert_true(sigismember(&now.sa_mask, SIGUSR2));
    assert_false(sigismember(&now.sa_mask, SIGTERM));
    signal(SIGUSR1, SIG_DFL);
}

static void an_interrupt_that_is_ignored_is_left_out(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    int numbers[SYS_INTERRUPTS] = {0};

    (void) state;
    assert_int_equal(sys_signal_interrupts(numbers), 2);
    assert_int_equal(numbers[0], SIGINT);
    assert_int_equal(numbers[1], SIGTERM);
    sigaction(SIGINT, &ignore, &before);
    assert_int_equal(sys_signal_interrupts(numbers), 1);
    assert_int_equal(numbers[0], SIGTERM);
    sigaction(SIGINT, &before, NULL);
}

static void a_disposition_that_was_set_after_ours_is_kept(void **state)
{
    struct sigaction now;
    unsigned before = sys_signal_received(SIGUSR1);

    (void) state;
    signal(SIGUSR1, SIG_DFL);
    assert_int_equal(sys_signal_catch(SIGUSR1, on_signal), 0);
    signal(SIGUSR1, on_other);
    sys_signal_restore(SIGUSR1);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == on_other);

    assert_int_equal(sys_signal_catch(SIGUSR1, on_signal), 0);
    signal(SIGUSR1, SIG_IGN);
    assert_int_equal(sys_signal_catch(SIGUSR1, on_signal), 0);
    raise(SIGUSR1);
    assert_int_equal(sys_signal_received(SIGUSR1), before + 1);
    sys_signal_restore(SIGUSR1);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
}

static void a_signal_that_cannot_be_caught_is_refused(void **state)
{
    static const int numbers[] = {
        INT32_MIN, -1, 0, SIGKILL, SIGSTOP, SYS_SIGNAL_MAX + 1, INT32_MAX,
    };

    (void) state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        assert_int_equal(sys_signal_catch(numbers[i], on_signal), -EINVAL);
        sys_signal_restore(numbers[i]);
    }
}

/* Changed under the lock only, by two threads and the handlers on one. */
static struct {
    long total;
    atomic_long from_handlers;
} guarded;

enum { ROUNDS = 20000 };

static void count_in_handler(int number)
{
    (void) number;
    sys_signal_lock_in_handler();
    guarded.total++;
    sys_signal_unlock_in_handler();
    atomic_fetch_add(&guarded.from_handlers, 1);
}

static void count_in_thread(void *arg)
{
    (void) arg;
    for (int i = 0; i < ROUNDS; i++) {
        sys_signal_lock();
        guarded.total++;
        sys_signal_unlock();
    }
}

static void the_lock_is_shared_with_handlers(void **state)
{
    struct itimerval timer = {
        .it_interval = {.tv_usec = 1000},
        .it_value = {.tv_usec = 1000},
    };
    struct sys_thread *thread;
    sigset_t before, after;

    (void) state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    signal(SIGALRM, SIG_IGN); /* One may come late, after the restore. */
    assert_int_equal(sys_signal_catch(SIGALRM, count_in_handler), 0);
    assert_int_equal(sys_thread_start(count_in_thread, NULL, &thread), 0);
    setitimer(ITIMER_REAL, &timer, NULL);

    while (atomic_load(&guarded.from_handlers) == 0)
        poll(NULL, 0, 1);
    count_in_thread(NULL);
    sys_thread_join(thread);

    timer = (struct itimerval){.it_value = {0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGALRM),
                     sigismember(&before, SIGALRM));
    sys_signal_lock();
    assert_int_equal(guarded.total,
                     2 * ROUNDS + atomic_load(&guarded.from_handlers));
    sys_signal_unlock();
    sys_signal_restore(SIGALRM);
}

static bool is_blocked(int number)
{
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, number) == 1;
}

/* Or its handler would wait for the very thread that it interrupted. */
static void the_holder_of_the_lock_hears_no_signals(void **state)
{
    (void) state;
    assert_false(is_blocked(SIGUSR1));

    sys_signal_lock();

    assert_true(is_blocked(SIGUSR1) && is_blocked(SIGALRM));
    sys_signal_unlock();
    assert_false(is_blocked(SIGUSR1));
}

static void a_forked_child_finds_the_lock_free(void **state)
{
    int status = -1;
    pid_t child;

    (void) state;
    sys_signal_lock();
    child = fork();
    if (child == 0) {
        struct rlimit second = {1, 1}; /* Rather than wait for ever. */

        setrlimit(RLIMIT_CPU, &second);
        sys_signal_lock();
        sys_signal_unlock();
        sys_signal_lock_in_handler();
        sys_signal_unlock_in_handler();
        _exit(0);
    }
    sys_signal_unlock();

    assert_true(child > 0);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* In a child: whether all of its numbers are as they should be. */
static bool has_a_number_of_its_own(unsigned parents)
{
    unsigned known = atomic_load(sys_process_mark()), own;

    if (known != 0 && known != parents)
        return false;
    if (sys_process_id() != 0)
        return false;
    own = sys_process_adopt(parents);
    return own != 0 && own != parents && sys_process_id() == own &&
           sys_process_adopt(0) == own && sys_process_adopt(parents) == own;
}

static void a_forked_child_has_a_number_of_its_own(void **state)
{
    unsigned id = sys_process_adopt(0);
    int status = -1;
    pid_t child;

    (void) state;
    if (patient_runs_on_qemu()) /* Known by its pid alone. */
        skip();
    assert_true(id != 0);
    assert_int_equal(sys_process_id(), id);
    assert_int_equal(atomic_load(sys_process_mark()), id);
    child = fork();
    if (child == 0) {
        bool is_right = has_a_number_of_its_own(id);
        unsigned own = sys_process_id();
        pid_t grandchild = fork();

        if (grandchild == 0)
            _exit(has_a_number_of_its_own(own) && sys_process_id() != id ? 0
                                                                         : 1);
        while (waitpid(grandchild, &status, 0) < 0 && errno == EINTR)
            continue;
        _exit(is_right && status == 0 ? 0 : 1);
    }

    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sys_process_adopt(id), id);
}

static void a_vforked_child_has_no_number(void **state)
{
    unsigned id = sys_process_adopt(0);
    int status = -1;
    pid_t child = vfork();

    (void) state;
    if (child == 0)
        _exit(sys_process_id() == 0 ? 0 : 1);
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sys_process_id(), id);
}

static void take_a_number(void *arg)
{
    *(unsigned *) arg = sys_process_adopt(0);
}

static void all_threads_of_a_process_get_the_same_number(void **state)
{
    int status = -1;
    pid_t child = fork();

    (void) state;
    if (child == 0) {
        struct sys_thread *thread;
        unsigned here, there = 0;

        if (sys_thread_start(take_a_number, &there, &thread) < 0)
            _exit(0); /* Some checkers allow no threads here. */
        here = sys_process_adopt(0);
        sys_thread_join(thread);
        _exit(here != 0 && here == there ? 0 : 1);
    }
    assert_int_equal(patient_waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void look_around(void *arg)
{
    if (is_blocked(SIGTERM) && is_blocked(SIGALRM) && is_blocked(SIGUSR1))
        *(uintptr_t *) arg = sys_thread_self();
}

static void a_thread_is_another_one_and_hears_no_signals(void **state)
{
    struct sys_thread *thread;
    uintptr_t other = 0;
    sigset_t before, after;

    (void) state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(sys_thread_start(look_around, &other, &thread), 0);
    sys_thread_join(thread);
    pthread_sigmask(SIG_SETMASK, NULL, &after);

    assert_true(other != 0);
    assert_true(sys_thread_self() != 0);
    assert_true(other != sys_thread_self());
    assert_int_equal(sigismember(&after, SIGTERM),
                     sigismember(&before, SIGTERM));
}

/* A slot that one thread fills and others empty. */
struct slot {
    struct sys_monitor *monitor;
    int items, taken, waiting, errors;
    bool is_closed;
};

static void take_items(void *arg)
{
    struct slot *slot = arg;

    sys_monitor_enter(slot->monitor);
    slot->waiting++;
    for (;;) {
        while (slot->items == 0 && !slot->is_closed)
            slot->errors += sys_monitor_wait(slot->monitor) != 0;
        if (slot->items == 0)
            break;
        slot->items--;
        slot->taken++;
    }
    sys_monitor_leave(slot->monitor);
}

static void a_monitor_wakes_one_or_all(void **state)
{
    enum { THREADS = 3, ITEMS = 1000 };
    struct sys_thread *threads[THREADS];
    struct slot slot = {0};

    (void) state;
    assert_int_equal(sys_monitor_open(&slot.monitor), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(sys_thread_start(take_items, &slot, &threads[i]), 0);

    storm(5000); /* Which no waiting may end. */
    for (int i = 0; i < ITEMS; i++) {
        sys_monitor_enter(slot.monitor);
        slot.items++;
        sys_monitor_notify(slot.monitor);
        sys_monitor_leave(slot.monitor);
    }
    sys_monitor_enter(slot.monitor);
    slot.is_closed = true;
    sys_monitor_notify_all(slot.monitor);
    sys_monitor_leave(slot.monitor);
    for (int i = 0; i < THREADS; i++)
        sys_thread_join(threads[i]);
    storm(0);

    assert_int_equal(slot.taken, ITEMS);
    assert_int_equal(slot.waiting, THREADS);
    assert_int_equal(slot.errors, 0);
    sys_monitor_close(slot.monitor);
    sys_monitor_close(NULL);
}

static void set_blocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* What the other thread does once the call of the main one was interrupted. */
struct later {
    int fd;
    const struct sys_address *address;
};

static void send_later(void *arg)
{
    await_signals();
    (void) sys_send(((struct later *) arg)->fd, "x", 1);
}

static void receive_later(void *arg)
{
    static char buffer[1 << 16];
    const struct later *later = arg;

    await_signals();
    while (sys_recv(later->fd, buffer, sizeof buffer) > 0)
        continue;
}

static void connect_later(void *arg)
{
    const struct later *later = arg;

    await_signals();
    (void) sys_connect(later->fd, later->address);
}

/* Class 28.  The sockets block, so that there is something to interrupt. */
static void an_interrupted_call_goes_on(void **state)
{
    static char block[1 << 16];
    struct sys_address address;
    int listener = open_listener(&address), pair[2], sum = 0, accepted;
    struct later later = {sys_tcp_socket(SYS_INET), &address};
    struct sys_thread *thread;
    char byte = 0;

    (void) state;
    open_tcp(pair);
    set_blocking(listener);
    set_blocking(later.fd);
    set_blocking(pair[0]);
    set_blocking(pair[1]);
    storm(5000);

    assert_int_equal(sys_thread_start(connect_later, &later, &thread), 0);
    accepted = sys_accept(listener);
    sys_thread_join(thread);
    assert_true(accepted >= 0);
    close_pair((int[2]){later.fd, accepted});

    later.fd = pair[1];
    assert_int_equal(sys_thread_start(send_later, &later, &thread), 0);
    assert_int_equal(sys_recv(pair[0], &byte, 1), 1);
    sys_thread_join(thread);
    assert_int_equal(byte, 'x');

    assert_int_equal(sys_thread_start(receive_later, &later, &thread), 0);
    while (sum < 1 << 23) { /* More than the socket holds. */
        ssize_t count = sys_send(pair[0], block, sizeof block);

        assert_true(count > 0); /* A signal may cut it, no more. */
        sum += (int) count;
    }
    assert_int_equal(sys_shutdown_write(pair[0]), 0);
    sys_thread_join(thread);

    storm(0);
    close_pair(pair);
    assert_int_equal(sys_close(listener), 0);
}

static void a_signal_ends_a_wait_with_0(void **state)
{
    struct pollfd one;
    int pair[2];

    (void) state;
    open_tcp(pair);
    one = (struct pollfd){.fd = pair[0], .events = POLLIN};
    storm(5000);

    for (int i = 0; i < 20; i++)
        assert_int_equal(sys_poll(&one, 1, -1), 0);

    storm(0);
    close_pair(pair);
}

static void the_clock_never_runs_backwards(void **state)
{
    int64_t before = sys_clock_ns();

    (void) state;
    for (int i = 0; i < 100000; i++) {
        int64_t now = sys_clock_ns();

        assert_true(now >= before);
        before = now;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_survives_formatting_and_parsing),
        cmocka_unit_test(two_addresses_are_the_same_if_every_part_is),
        cmocka_unit_test(every_port_is_read_and_written),
        cmocka_unit_test(an_odd_port_is_refused),
        cmocka_unit_test(an_odd_host_is_taken_where_inet_pton_takes_it),
        cmocka_unit_test(only_an_interface_stands_behind_the_percent_sign),
        cmocka_unit_test(a_long_host_is_refused),
        cmocka_unit_test(a_buffer_too_small_is_refused_and_not_overrun),
        cmocka_unit_test(no_address_has_no_family_and_no_text),
        cmocka_unit_test(a_path_is_the_text_of_a_unix_address),
        cmocka_unit_test(an_abstract_name_is_shown_behind_an_at_sign),
        cmocka_unit_test(no_more_is_shown_than_a_path_has_room_for),
        cmocka_unit_test(without_a_host_every_local_address_is_meant),
        cmocka_unit_test(the_resolver_is_asked_and_its_answers_translated),
        cmocka_unit_test(what_is_opened_is_non_blocking_and_close_on_exec),
        cmocka_unit_test(a_wake_up_leaves_errno_alone),
        cmocka_unit_test(bytes_arrive_in_order_and_then_the_end),
        cmocka_unit_test(a_gathered_send_takes_as_many_pieces_as_it_can),
        cmocka_unit_test(sending_to_nobody_is_an_error_and_no_signal),
        cmocka_unit_test(complaining_to_nobody_is_no_signal_either),
        cmocka_unit_test(a_complaint_is_written_to_standard_error),
        cmocka_unit_test(a_complaint_never_waits),
        cmocka_unit_test(a_complaint_reaches_a_socket_and_a_file),
        cmocka_unit_test(
            what_only_has_the_number_of_standard_error_is_left_alone),
        cmocka_unit_test(
            a_complaint_does_not_go_to_what_replaced_standard_error),
        cmocka_unit_test(a_refused_connection_says_so_once),
        cmocka_unit_test(a_reset_is_heard_by_the_peer),
        cmocka_unit_test(both_ends_agree_on_their_addresses),
        cmocka_unit_test(delay_is_switched),
        cmocka_unit_test(an_address_in_use_is_refused),
        cmocka_unit_test(a_bad_descriptor_is_an_error_everywhere),
        cmocka_unit_test(a_caught_signal_is_as_before_when_it_is_put_back),
        cmocka_unit_test(an_interrupt_that_is_ignored_is_left_out),
        cmocka_unit_test(a_disposition_that_was_set_after_ours_is_kept),
        cmocka_unit_test(a_signal_that_cannot_be_caught_is_refused),
        cmocka_unit_test(the_lock_is_shared_with_handlers),
        cmocka_unit_test(the_holder_of_the_lock_hears_no_signals),
        cmocka_unit_test(a_forked_child_finds_the_lock_free),
        cmocka_unit_test(a_forked_child_has_a_number_of_its_own),
        cmocka_unit_test(a_vforked_child_has_no_number),
        cmocka_unit_test(all_threads_of_a_process_get_the_same_number),
        cmocka_unit_test(a_thread_is_another_one_and_hears_no_signals),
        cmocka_unit_test(a_monitor_wakes_one_or_all),
        cmocka_unit_test(an_interrupted_call_goes_on),
        cmocka_unit_test(a_signal_ends_a_wait_with_0),
        cmocka_unit_test(the_clock_never_runs_backwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
