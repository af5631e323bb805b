/* Sockets of the real system, for tests of the functions of os/sys.h. */

#ifndef SOCKETS_H
#define SOCKETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>

#include "os/sys.h"

static inline int open_listener(struct sys_address *ret)
{
    int fd = aloop__sys_tcp_socket(SYS_INET);

    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "0", ret), 0);
    assert_int_equal(aloop__sys_reuse_address(fd, SYS_INET), 0);
    assert_int_equal(aloop__sys_bind(fd, ret), 0);
    assert_int_equal(aloop__sys_listen(fd, 16), 0);
    assert_int_equal(aloop__sys_local_address(fd, ret), 0);
    return fd;
}

static inline void await_bits(int fd, short bits)
{
    struct pollfd one = {.fd = fd, .events = bits};

    assert_int_equal(aloop__sys_poll(&one, 1, -1), 1);
}

static inline int connect_to(const struct sys_address *address)
{
    int fd = aloop__sys_tcp_socket(aloop__sys_address_family(address));
    int error = aloop__sys_connect(fd, address);

    assert_true(fd >= 0);
    assert_true(error == 0 || error == -EINPROGRESS);
    await_bits(fd, POLLOUT);
    assert_int_equal(aloop__sys_socket_error(fd), 0);
    return fd;
}

/* Opens a connection: pair[0] connected, pair[1] accepted. */
static inline void open_tcp(int pair[2])
{
    struct sys_address address;
    int listener = open_listener(&address);

    pair[0] = connect_to(&address);
    await_bits(listener, POLLIN);
    pair[1] = aloop__sys_accept(listener);
    assert_true(pair[1] >= 0);
    assert_int_equal(aloop__sys_close(listener), 0);
}

static inline void close_pair(const int pair[2])
{
    assert_int_equal(aloop__sys_close(pair[0]), 0);
    assert_int_equal(aloop__sys_close(pair[1]), 0);
}

#endif
