/* Sends a line to a Unix socket and prints the answer.
 *
 *     usage: line_client PATH LINE [LATER]
 *
 * `@` names an abstract socket.  With LATER it then waits until the server ends
 * the connection. */

#define _GNU_SOURCE

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Returns the size of the address, or 0 if the path is too long. */
static socklen_t set_path(struct sockaddr_un *address, const char *path)
{
    size_t size = strlen(path), start = offsetof(struct sockaddr_un, sun_path);

    if (size >= sizeof address->sun_path)
        return 0;
    memcpy(address->sun_path, path, size);
    if (path[0] != '@')
        return (socklen_t) (start + size + 1);
    address->sun_path[0] = '\0';
    return (socklen_t) (start + size);
}

/* Sends all.  A signal may interrupt each call. */
static bool send_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            return false;
        if (sent > 0) {
            text += sent;
            size -= (size_t) sent;
        }
    }
    return true;
}

/* Receives one byte.  Returns whether there was one. */
static bool receive_byte(int fd, char *ret)
{
    ssize_t size;

    do {
        size = recv(fd, ret, 1, 0);
    } while (size < 0 && errno == EINTR);
    return size == 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = argc < 3 ? 0 : set_path(&address, argv[1]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), error;
    char byte = 0;

    if (size == 0 || fd < 0)
        return 2;
    do {
        error = connect(fd, (const struct sockaddr *) &address, size);
    } while (error < 0 && errno == EINTR);
    if (error < 0) {
        perror("connect");
        close(fd);
        return 1;
    }
    if (!send_all(fd, argv[2], strlen(argv[2])) || !send_all(fd, "\n", 1)) {
        close(fd);
        return 1;
    }
    while (byte != '\n' && receive_byte(fd, &byte))
        putchar(byte);
    fflush(stdout);
    while (argc > 3 && receive_byte(fd, &byte))
        continue;
    close(fd);
    return byte == '\n' || argc > 3 ? 0 : 1;
}
