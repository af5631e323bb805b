/* The socket functions of os/sys.h.  They handle faults, invalid descriptors
 * and random behaviour; sim_net.c and sim_stream.c do the rest. */

#include <errno.h>

#include "sim_world.h"

static struct sim_socket *find(int fd, int *ret_error)
{
    struct sim_file *file = sim__file(fd);

    if (file == NULL || file->kind != SIM_SOCKET) {
        *ret_error = file == NULL ? -EBADF : -ENOTSOCK;
        return NULL;
    }
    return file->socket;
}

/* The beginning of every function on a socket. */
static struct sim_socket *enter(enum sim_call call, int fd, int *ret_error)
{
    struct sim_socket *socket = NULL;

    *ret_error = sim__enter(call);
    if (*ret_error == 0)
        socket = find(fd, ret_error);
    return socket;
}

/* Does the same for a function whose effect all holders of the socket see. */
static struct sim_socket *enter_to_change(enum sim_call call, int fd,
                                          int *ret_error)
{
    const struct sim_file *file = sim__peek(fd);

    if (file != NULL)
        sim__change(file);
    return enter(call, fd, ret_error);
}

int aloop__sys_tcp_socket(enum sys_family family)
{
    int fault = sim__enter(CALL_sys_tcp_socket);
    struct sim_file *file;
    int fd;

    if (fault < 0)
        return fault;
    if (family == SYS_FAMILY_NONE ||
        (family == SYS_INET6 && sim__world.options.has_no_ipv6))
        return -EAFNOSUPPORT;
    fd = sim__fd_open(SIM_SOCKET, &file);
    if (fd >= 0)
        file->socket = sim__socket_new(family);
    return fd;
}

/* `family` has no effect: a simulated socket on "::" accepts both families. */
int aloop__sys_reuse_address(int fd, enum sys_family family)
{
    int error;
    struct sim_socket *socket = enter(CALL_sys_reuse_address, fd, &error);

    (void) family;
    if (socket != NULL)
        socket->has_reuse = true;
    return error;
}

int aloop__sys_ipv6_only(int fd)
{
    int error;
    struct sim_socket *socket = enter(CALL_sys_ipv6_only, fd, &error);

    if (socket != NULL)
        socket->is_v6_only = true;
    return error;
}

int aloop__sys_reuse_port(int fd)
{
    int error;
    struct sim_socket *socket = enter(CALL_sys_reuse_port, fd, &error);

    if (socket != NULL)
        socket->has_reuse_port = true;
    return error;
}

int aloop__sys_no_delay(int fd, bool is_on)
{
    int error;

    enter_to_change(CALL_sys_no_delay, fd, &error);
    sim__trace(is_on);
    return error;
}

/* The other options have no effect here. */
static int set_option(enum sim_call call, int fd, int value)
{
    int error;

    enter_to_change(call, fd, &error);
    sim__trace(value);
    return error;
}

int aloop__sys_keepalive(int fd, const struct sys_keepalive *keepalive)
{
    return set_option(CALL_sys_keepalive, fd, keepalive->idle_s);
}

int aloop__sys_user_timeout(int fd, int timeout_ms)
{
    return set_option(CALL_sys_user_timeout, fd, timeout_ms);
}

int aloop__sys_receive_buffer(int fd, int size)
{
    return set_option(CALL_sys_receive_buffer, fd, size);
}

int aloop__sys_send_buffer(int fd, int size)
{
    return set_option(CALL_sys_send_buffer, fd, size);
}

int aloop__sys_traffic_class(int fd, enum sys_family family, int value)
{
    (void) family;
    return set_option(CALL_sys_traffic_class, fd, value);
}

int aloop__sys_reset_on_close(int fd)
{
    int error;
    struct sim_socket *socket =
        enter_to_change(CALL_sys_reset_on_close, fd, &error);

    if (socket != NULL)
        socket->is_reset_on_close = true;
    return error;
}

int aloop__sys_bind(int fd, const struct sys_address *address)
{
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_bind, fd, &error);

    return socket != NULL ? sim__bind(socket, address) : error;
}

int aloop__sys_listen(int fd, int backlog)
{
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_listen, fd, &error);

    return socket != NULL ? sim__listen(socket, backlog) : error;
}

int aloop__sys_listen_adopt(int fd)
{
    int error;
    const struct sim_socket *socket =
        enter_to_change(CALL_sys_listen_adopt, fd, &error);

    if (socket == NULL)
        return error;
    return socket->state == SIM_LISTENING ? 0 : -EINVAL;
}

int aloop__sys_accept(int fd)
{
    int error;
    struct sim_socket *socket = enter(CALL_sys_accept, fd, &error);
    struct sim_file *file;

    if (socket == NULL)
        return error;
    if (socket->state != SIM_LISTENING)
        return -EINVAL;
    if (socket->waiting == 0 ||
        sim__chance(sim__world.options.spurious_percent))
        return -EAGAIN;
    fd = sim__fd_open(SIM_SOCKET, &file);
    if (fd >= 0)
        file->socket = sim__take(socket);
    return fd;
}

int aloop__sys_connect(int fd, const struct sys_address *address)
{
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_connect, fd, &error);

    if (socket != NULL && socket->udp != NULL)
        return sim__udp_connect(socket, address);
    return socket != NULL ? sim__connect(socket, address) : error;
}

int aloop__sys_socket_error(int fd)
{
    int error;
    struct sim_socket *socket =
        enter_to_change(CALL_sys_socket_error, fd, &error);

    if (socket == NULL)
        return error;
    error = socket->error;
    socket->error = 0;
    sim__trace(error);
    return error;
}

int aloop__sys_local_address(int fd, struct sys_address *ret)
{
    int error;
    struct sim_socket *socket = enter(CALL_sys_local_address, fd, &error);

    if (socket == NULL)
        return error;
    *ret = socket->local;
    if (ret->size == 0 && socket->family == SYS_UNIX)
        *ret = sim__address_unnamed();
    else if (ret->size == 0)
        aloop__sys_address_parse(
            socket->family == SYS_INET ? "0.0.0.0" : "::", "0", ret);
    return 0;
}

int aloop__sys_peer_address(int fd, struct sys_address *ret)
{
    int error;
    struct sim_socket *socket = enter(CALL_sys_peer_address, fd, &error);

    if (socket == NULL)
        return error;
    if (socket->state != SIM_CONNECTED)
        return -ENOTCONN;
    *ret = socket->remote;
    if (ret->size == 0 && socket->family == SYS_UNIX)
        *ret = sim__address_unnamed();
    return 0;
}

ssize_t aloop__sys_recv(int fd, void *buffer, size_t size)
{
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_recv, fd, &error);
    struct sim_passed *passed;
    ssize_t count;

    if (socket == NULL)
        return error;
    count = sim__receive_files(socket, buffer, size, &passed);
    sim__passed_free(passed);
    sim__trace(count);
    if (count > 0)
        sim__trace_bytes(buffer, (size_t) count);
    return count;
}

ssize_t aloop__sys_send_fds(int fd, const void *data, size_t size,
                            const int *fds, size_t count)
{
    struct sys_piece piece = {data, size};
    struct sim_file *files[SYS_FDS_MAX];
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_send_fds, fd, &error);

    if (socket == NULL)
        return error;
    if (count > SYS_FDS_MAX || size == 0 || socket->family != SYS_UNIX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        files[i] = sim__file(fds[i]);
        if (files[i] == NULL)
            return -EBADF;
    }
    return sim__send_files(socket, &piece, files, count);
}

ssize_t aloop__sys_recv_fds(int fd, void *buffer, size_t size,
                            struct sys_fds *ret)
{
    struct sim_passed *passed;
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_recv_fds, fd, &error);
    ssize_t count;

    ret->count = 0;
    ret->error = 0;
    if (socket == NULL)
        return error;
    count = sim__receive_files(socket, buffer, size, &passed);
    for (size_t i = 0; passed != NULL && i < passed->count; i++) {
        int number = sim__fd_take(passed->files[i]);

        if (number < 0)
            ret->error = number;
        else
            ret->fds[ret->count++] = number;
    }
    sim__passed_free(passed);
    sim__trace(count);
    if (count > 0)
        sim__trace_bytes(buffer, (size_t) count);
    return count;
}

ssize_t aloop__sys_send(int fd, const void *data, size_t size)
{
    struct sys_piece piece = {data, size};
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_send, fd, &error);

    return socket != NULL ? sim__send(socket, &piece, 1) : error;
}

ssize_t aloop__sys_sendv(int fd, const struct sys_piece *pieces, size_t count)
{
    int error;
    struct sim_socket *socket = enter_to_change(CALL_sys_sendv, fd, &error);

    if (socket == NULL)
        return error;
    if (count > SYS_PIECES_MAX)
        return -EMSGSIZE;
    return sim__send(socket, pieces, count);
}

int aloop__sys_shutdown_write(int fd)
{
    int error;
    struct sim_socket *socket =
        enter_to_change(CALL_sys_shutdown_write, fd, &error);

    if (socket == NULL)
        return error;
    if (socket->state != SIM_CONNECTED)
        return -ENOTCONN;
    sim__finish(socket);
    return 0;
}
