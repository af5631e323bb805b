/* For check.sh: answers each HTTP request with the path that was asked for,
 * and nothing else.  Plain sockets, so that it shares no code with what it
 * tests.  usage: page_server PORT */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(int fd)
{
    char request[4096] = "";
    char path[1024] = "";
    size_t size = 0;

    while (size < sizeof request - 1 && strstr(request, "\r\n\r\n") == NULL) {
        ssize_t n = read(fd, request + size, sizeof request - 1 - size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size += (size_t) n;
    }
    if (sscanf(request, "GET %1023s", path) == 1 &&
        write(fd, path, strlen(path)) < 0)
        perror("page_server");
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (argc != 2 || listener < 0)
        return 2;
    address.sin_port = htons((in_port_t) atoi(argv[1]));
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *) &address, sizeof address) != 0 ||
        listen(listener, 16) != 0) {
        perror("page_server");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            continue;
        answer(fd);
        close(fd);
    }
}
