/* Starts a program with listening sockets, as systemd does.
 *
 *     usage: activate PORT PATH PROGRAM [ARG...]
 *
 * The program inherits a socket of TCP and a Unix socket. */

#define _GNU_SOURCE

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST = 3, SPARE = 10 };

/* Opens a socket with the number `to` that listens at the address. */
static int listen_at(const struct sockaddr *address, socklen_t size, int to)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0), on = 1, spare = -1;

    if (address->sa_family == AF_INET)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address, size) == 0 && listen(fd, 8) == 0)
        spare = fcntl(fd, F_DUPFD, SPARE);
    close(fd);
    return spare < 0 ? -1 : dup2(spare, to) < 0 ? -1 : close(spare);
}

int main(int argc, char **argv)
{
    struct sockaddr_in inet = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    char pid[24];

    if (argc < 4 || strlen(argv[2]) >= sizeof local.sun_path)
        return 2;
    inet.sin_port = htons((in_port_t) strtol(argv[1], NULL, 10));
    memcpy(local.sun_path, argv[2], strlen(argv[2]));
    if (listen_at((const struct sockaddr *) &inet, sizeof inet, FIRST) < 0)
        return 3;
    if (listen_at((const struct sockaddr *) &local, sizeof local, FIRST + 1) <
        0)
        return 4;
    snprintf(pid, sizeof pid, "%ld", (long) getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "web:local", 1);
    execvp(argv[3], argv + 3);
    return 5;
}
