/* Unix sockets: names and connecting.  Paths are files of the simulated file
 * system.
 *
 * A connect is complete when it returns.  Everything else is as with TCP: data
 * travels as segments, and an end that is closed with unread data resets the
 * connection. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sim_files.h"

enum { PEER_PROCESS = 4711, MODE_DEFAULT = 0777 };

static const size_t START = offsetof(struct sockaddr_un, sun_path);

bool sim__is_unix(const struct sim_socket *socket)
{
    return socket->family == SYS_UNIX;
}

/* Writes the path, "@name" for an abstract name, or "" for none. */
static void name_of(const struct sys_address *address, char *ret)
{
    size_t length = address->size - START;

    memcpy(ret, address->bytes + START, length);
    ret[length] = '\0';
    if (length > 0 && ret[0] == '\0')
        ret[0] = '@';
}

int sim__unix_format(const struct sys_address *address, char *text, size_t size)
{
    char name[sizeof address->bytes];
    size_t length;

    name_of(address, name);
    length = strlen(name);
    if (length >= size)
        return -ENOSPC;
    memcpy(text, name, length + 1);
    return (int) length;
}

static struct sim_socket *find_abstract(const struct sys_address *address)
{
    for (struct sim_socket *at = sim__sockets; at != NULL; at = at->next)
        if (!at->was_closed && at->listener == NULL && at->local.size > 0 &&
            sim__address_is_same(&at->local, address))
            return at;
    return NULL;
}

static struct sim_socket *find_bound(const struct sim_node *node)
{
    for (struct sim_socket *at = sim__sockets; at != NULL; at = at->next)
        if (!at->was_closed && at->node == node)
            return at;
    return NULL;
}

static int bind_path(struct sim_socket *socket, const char *path)
{
    struct sim_walk walk;
    int error = sim__walk(SYS_CWD, path, false, &walk);

    if (error < 0)
        return error;
    if (walk.node != NULL)
        return -EADDRINUSE;
    error = sim__may_change(walk.parent);
    if (error < 0)
        return error;
    socket->node = sim__create(&walk, ALOOP_FILE_SOCKET,
                               socket->mode > 0 ? socket->mode : MODE_DEFAULT);
    return 0;
}

int sim__unix_bind(struct sim_socket *socket, const struct sys_address *address)
{
    char name[sizeof address->bytes];
    int error = 0;

    name_of(address, name);
    if (name[0] != '@')
        error = bind_path(socket, name);
    else if (find_abstract(address) != NULL)
        error = -EADDRINUSE;
    if (error == 0)
        socket->local = *address;
    return error;
}

/* Returns an error, or 0 and the socket that is bound there; NULL: none. */
static int find_server(const struct sys_address *address,
                       struct sim_socket **ret)
{
    char name[sizeof address->bytes];
    struct sim_walk walk;
    int error;

    name_of(address, name);
    *ret = NULL;
    if (name[0] == '@') {
        *ret = find_abstract(address);
        return 0;
    }
    error = sim__find(SYS_CWD, name, true, &walk);
    if (error < 0)
        return error;
    if (!sim__node_may(walk.node, W_OK))
        return -EACCES;
    if (walk.node->type == ALOOP_FILE_SOCKET)
        *ret = find_bound(walk.node);
    return 0;
}

int sim__unix_connect(struct sim_socket *client,
                      const struct sys_address *address)
{
    struct sim_socket *server;
    int error = find_server(address, &server);

    if (error < 0)
        return error;
    if (server == NULL || server->state != SIM_LISTENING)
        return -ECONNREFUSED;
    if (sim__is_full(server))
        return -EAGAIN;
    client->remote = server->local;
    sim__meet(server, client);
    return 0;
}

int aloop__sys_unix_peer(int fd, struct sys_unix_peer *ret)
{
    int error = sim__enter(CALL_sys_unix_peer);
    const struct sim_file *file = sim__file(fd);

    if (error == 0 && file == NULL)
        error = -EBADF;
    if (error == 0)
        *ret = (struct sys_unix_peer){.process = PEER_PROCESS};
    return error;
}

/* While another program holds the lock, the lock is not taken. */
int aloop__sys_lock(int fd, int64_t patience_ns)
{
    int error = sim__enter(CALL_sys_lock);
    struct sim_node *node = error == 0 ? sim__node_of(fd, &error) : NULL;

    if (node == NULL)
        return error;
    if (node->is_locked_outside ||
        (node->locker != NULL && node->locker != sim__peek(fd))) {
        sim_advance(patience_ns);
        return -EAGAIN;
    }
    node->locker = sim__peek(fd);
    return 0;
}

void aloop__sys_unlock(int fd)
{
    int error = 0;
    struct sim_node *node;

    sim__note(CALL_sys_unlock);
    node = sim__node_of(fd, &error);
    if (node != NULL && node->locker == sim__peek(fd))
        node->locker = NULL;
}

void sim_file_lock(const char *path, bool is_locked)
{
    struct sim_walk walk;

    if (sim__find(SYS_CWD, path, true, &walk) == 0)
        walk.node->is_locked_outside = is_locked;
}
