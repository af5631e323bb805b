/* A name server for the example dns, most of whose replies are wrong.
 *
 *     usage: name_server
 *
 * Prints its port.  The first label of the name that is asked for selects what
 * is sent:
 *
 *     label     replies
 *     late      none to the first question, then a good one
 *     forged    wrong ones only
 *     other     wrong ones, then a good one
 *     cut       one that says that it was truncated
 *     failed    that of a server that could not answer
 *     none      that of a name that does not exist
 *     large     a datagram of 60,000 bytes, then a good reply
 *
 * A good reply has the address 192.0.2.1, or 2001:db8::1. */

#define _GNU_SOURCE

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { SIZE_MAX_REPLY = 60000, HEADER_SIZE = 12 };

static struct {
    int fd;
    struct sockaddr_in client;
    unsigned char question[512];
    size_t size;
    unsigned char reply[SIZE_MAX_REPLY];
    size_t used;
} server;

static void send_reply(void)
{
    sendto(server.fd, server.reply, server.used, 0,
           (struct sockaddr *) &server.client, sizeof server.client);
}

static void add(const void *bytes, size_t size)
{
    memcpy(server.reply + server.used, bytes, size);
    server.used += size;
}

/* Begins a reply with this number of records. */
static void begin(unsigned char records)
{
    server.used = 0;
    add(server.question, server.size);
    server.reply[2] = 0x81;
    server.reply[3] = 0x80;
    server.reply[7] = records;
}

/* A record with the address.  Its name is a pointer to `name`. */
static void add_address(unsigned char name)
{
    static const unsigned char host[] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,
                                         0,    0,    0,    0,    0, 0, 0, 1};
    unsigned char type = server.question[server.size - 3];

    add((unsigned char[]){0xc0, name, 0, type, 0, 1, 0, 0, 0, 9, 0}, 11);
    if (type == 1)
        add((unsigned char[]){4, 192, 0, 2, 1}, 5);
    else
        add((unsigned char[]){16}, 1), add(host, 16);
}

static void send_good(void)
{
    begin(1);
    add_address(HEADER_SIZE);
    send_reply();
}

/* Forged replies have the address 192.0.2.66, or none. */
static void send_wrong(void)
{
    begin(1); /* Another identifier. */
    add_address(HEADER_SIZE);
    server.reply[1] ^= 1;
    send_reply();
    begin(1); /* Another question. */
    add_address(HEADER_SIZE);
    server.reply[HEADER_SIZE + 1] ^= 1;
    send_reply();
    begin(1); /* A question, not a reply. */
    add_address(HEADER_SIZE);
    server.reply[2] = 1;
    send_reply();
    begin(1); /* A name that points to itself. */
    add_address((unsigned char) server.size);
    send_reply();
    begin(9); /* Records are missing. */
    add_address(HEADER_SIZE);
    send_reply();
    for (; server.used > 0; server.used--) /* The end is missing. */
        if (server.used < server.size)
            send_reply();
    send_reply(); /* No bytes. */
}

static int is_label(const char *label)
{
    size_t size = strlen(label);

    return server.question[HEADER_SIZE] == size &&
           memcmp(server.question + HEADER_SIZE + 1, label, size) == 0;
}

static void answer(void)
{
    static int late;

    if (is_label("late") && late++ < 2)
        return;
    if (is_label("forged") || is_label("other"))
        send_wrong();
    if (is_label("forged"))
        return;
    if (is_label("large")) {
        server.used = SIZE_MAX_REPLY;
        send_reply();
    }
    if (!is_label("cut") && !is_label("failed") && !is_label("none")) {
        send_good();
        return;
    }
    begin(0);
    if (is_label("cut"))
        server.reply[2] |= 2;
    else
        server.reply[3] |= is_label("failed") ? 2 : 3;
    send_reply();
}

int main(void)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t size = sizeof local;
    ssize_t got;

    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(server.fd, (struct sockaddr *) &local, sizeof local) < 0 ||
        getsockname(server.fd, (struct sockaddr *) &local, &size) < 0)
        return 1;
    printf("%d\n", ntohs(local.sin_port));
    fflush(stdout);
    for (;;) {
        size = sizeof server.client;
        got = recvfrom(server.fd, server.question, sizeof server.question, 0,
                       (struct sockaddr *) &server.client, &size);
        if (got <= HEADER_SIZE + 4)
            continue;
        server.size = (size_t) got;
        answer();
    }
}
