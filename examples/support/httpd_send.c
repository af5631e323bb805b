/* Answers whose body is a file.
 *
 * sendfile() waits for the disk if the file is not in the page cache.
 * Therefore the loop's thread calls it only for a piece that reads without
 * waiting have found there, at most RECENT_NS before.  Any other piece is sent
 * by a thread of the pool: the socket does not block, so that the thread waits
 * for the disk only.
 *
 * Looking takes a system call for every second page, so what was found is
 * noted.  The kernel does not drop pages that have just been used unless memory
 * is very scarce. */

#ifdef __linux__
#define _GNU_SOURCE
#endif
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "httpd_connection.h"
#include "httpd_open.h"

#ifdef __linux__
#include <sys/sendfile.h>
#endif

/* A read of a file on a thread of the pool. */
struct piece {
    int fd;
    size_t size;
    int64_t offset;
    char *data;
};

static ssize_t piece_read(void *arg)
{
    struct piece *piece = arg;
    size_t done = 0;

    while (done < piece->size) {
        ssize_t n = pread(piece->fd, piece->data + done, piece->size - done,
                          (off_t) (piece->offset + (int64_t) done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : ALOOP_EOF;
        done += (size_t) n;
    }
    return (ssize_t) done;
}

/* Reads and sends a file in pieces. */
static ssize_t copy_file(struct httpd_request *request, int fd, int64_t offset,
                         int64_t size)
{
    struct piece piece = {.fd = fd, .data = malloc(HTTPD_STALL_SIZE)};
    ssize_t status = piece.data == NULL ? ALOOP_ENOMEM : 0;

    while (size > 0 && status >= 0) {
        piece.size = size < HTTPD_STALL_SIZE ? (size_t) size : HTTPD_STALL_SIZE;
        piece.offset = offset;
        status = aloop_await(aloop_work(request->loop, piece_read, &piece));
        if (status >= 0)
            status = httpd_write(request, piece.data, piece.size);
        offset += (int64_t) piece.size;
        size -= (int64_t) piece.size;
    }
    free(piece.data);
    return status;
}

#ifdef __linux__

enum {
    CACHED_MAX = 128 * 1024, /* Bytes of one call on the loop's thread. */
    TURN_MAX = 256 * 1024,   /* Bytes in one turn of the loop. */
    WORK_MAX = 1024 * 1024,  /* Bytes of one call on a thread of the pool. */
    BACKOFF_MAX = 16
};

#define RECENT_NS ALOOP_SEC(1)

/* A file that is being sent. */
struct transfer {
    int fd, socket;
    int64_t offset, left;
    ssize_t sent; /* Result of the last call: bytes, or a negated errno. */
    /* Looking for what is not cached is not free, so the next 1, 3, 7, ...
     * pieces are left to the pool then. */
    unsigned skips, backoff;
    struct httpd_recent cached; /* The piece found last. */
    size_t turn; /* Bytes that the loop's thread has sent in this turn. */
    /* The client has stall_ns more to receive stall_left bytes. */
    size_t stall_left;
    int64_t stall_ns;
};

/* Sends the head that is held back, in front of the file if possible. */
static ssize_t send_head(struct httpd_connection *connection)
{
    ssize_t sent = 0, status = httpd_drain(connection, 0);

    if (status == 0 && connection->held > 0)
        sent = send(aloop_stream_fd(connection->stream), connection->answer,
                    connection->held, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (status < 0 || sent == (ssize_t) connection->held)
        connection->held = 0;
    if (status < 0 || connection->held == 0)
        return status;
    if (sent > 0) {
        connection->held -= (size_t) sent;
        memmove(connection->answer, connection->answer + sent,
                connection->held);
    }
    status = httpd_put(connection, NULL, 0); /* It reports errors, too. */
    return status < 0 ? status : httpd_drain(connection, 0);
}

/* Waits until the socket accepts more bytes. */
static ssize_t wait_writable(struct httpd_connection *connection,
                             struct transfer *transfer)
{
    aloop *loop = connection->httpd->loop;
    int64_t start_ns = aloop_now(loop);
    ssize_t status;

    if (transfer->stall_left == 0) {
        transfer->stall_left = HTTPD_STALL_SIZE;
        transfer->stall_ns = connection->httpd->options.stall_ns;
    }
    httpd_limit(connection, transfer->stall_ns);
    status = aloop_await(
        aloop_poll_wait(loop, transfer->socket, ALOOP_POLL_WRITABLE));
    httpd_limit(connection, 0);
    transfer->stall_ns -= aloop_now(loop) - start_ns;
    if (transfer->stall_ns <= 0)
        transfer->stall_ns = 1;
    transfer->turn = 0;
    return status < 0 ? status : 0;
}

static void send_now(struct transfer *transfer, int64_t max)
{
    off_t position = (off_t) transfer->offset;

    do
        transfer->sent =
            sendfile(transfer->socket, transfer->fd, &position,
                     (size_t) (transfer->left < max ? transfer->left : max));
    while (transfer->sent < 0 && errno == EINTR);
    if (transfer->sent < 0)
        transfer->sent = -errno;
}

/* Is what a thread of the pool does. */
static ssize_t transfer_work(void *arg)
{
    send_now(arg, WORK_MAX);
    return 0;
}

/* Returns whether a piece that was found contains the next byte of the file. */
static bool is_recent(const struct httpd_recent *piece,
                      const struct transfer *transfer, int64_t now_ns)
{
    return piece->device == transfer->cached.device &&
           piece->inode == transfer->cached.inode &&
           piece->begin <= transfer->offset && transfer->offset < piece->end &&
           now_ns < piece->until_ns;
}

/* Returns whether the next piece may be sent by the loop's thread, and sets
 * transfer->cached to it. */
static bool is_next_cached(struct httpd *httpd, struct transfer *transfer)
{
    int64_t now_ns = aloop_now(httpd->loop), begin = transfer->offset;
    struct httpd_recent *cached = &transfer->cached;
    struct httpd_recent *known =
        &httpd->recent[((uint64_t) cached->inode +
                        (uint64_t) (begin / CACHED_MAX)) %
                       HTTPD_RECENT_MAX];

    if (is_recent(cached, transfer, now_ns))
        return true;
    if (is_recent(known, transfer, now_ns)) {
        *cached = *known;
        return true;
    }
    if (transfer->skips > 0) {
        transfer->skips--;
        return false;
    }
    cached->begin = begin;
    cached->end = begin +
                  (transfer->left < CACHED_MAX ? transfer->left : CACHED_MAX);
    if (httpd_is_cached(transfer->fd, begin, cached->end - begin)) {
        cached->until_ns = now_ns + RECENT_NS;
        *known = *cached;
        transfer->backoff = 0;
        return true;
    }
    cached->until_ns = 0;
    if (transfer->backoff < BACKOFF_MAX)
        transfer->backoff = 2 * transfer->backoff + 1;
    transfer->skips = transfer->backoff;
    return false;
}

/* Sends a piece, wherever that is possible without blocking the loop. */
static ssize_t send_piece(struct httpd_connection *connection,
                          struct transfer *transfer)
{
    aloop *loop = connection->httpd->loop;
    ssize_t status = 0;

    if (is_next_cached(connection->httpd, transfer)) {
        if (transfer->turn >= TURN_MAX) {
            transfer->turn = 0;
            status = aloop_yield(loop);
        }
        if (status == 0)
            send_now(transfer, transfer->cached.end - transfer->offset);
        transfer->turn += transfer->sent > 0 ? (size_t) transfer->sent : 0;
        return status;
    }
    transfer->turn = 0;
    return aloop_await(aloop_work(loop, transfer_work, transfer));
}

/* Sends a part of a file without copying it. */
static ssize_t send_file(struct httpd_connection *connection, int fd,
                         const struct stat *stat, int64_t offset, int64_t size)
{
    struct transfer transfer = {
        .fd = fd,
        .socket = aloop_stream_fd(connection->stream),
        .offset = offset,
        .left = size,
        .cached = {.device = stat->st_dev, .inode = stat->st_ino}};
    ssize_t status = send_head(connection);

    while (transfer.left > 0 && status == 0) {
        status = send_piece(connection, &transfer);
        if (status < 0)
            break;
        if (transfer.sent > 0) {
            size_t n = (size_t) transfer.sent;

            transfer.offset += transfer.sent;
            transfer.left -= transfer.sent;
            transfer.stall_left -=
                n < transfer.stall_left ? n : transfer.stall_left;
        } else if (transfer.sent == -EAGAIN) {
            status = wait_writable(connection, &transfer);
        } else {
            status = transfer.sent == 0 ? ALOOP_EOF : transfer.sent;
        }
    }
    return status;
}

#endif

bool httpd_has_sendfile(const struct httpd_request *request)
{
#ifdef __linux__
    const struct httpd_connection *connection =
        (const struct httpd_connection *) request;

    return connection->httpd->options.is_plain_tcp;
#else
    (void) request;
    return false;
#endif
}

ssize_t httpd_write_file(struct httpd_request *request, int fd,
                         const struct stat *stat, int64_t offset, int64_t size)
{
    struct httpd_connection *connection = httpd_connection_of(request);

    if (connection->is_bare)
        return httpd_count(connection, (uint64_t) size) ? 0 : ALOOP_EINVAL;
#ifdef __linux__
    if (connection->httpd->options.is_plain_tcp && !connection->is_chunked) {
        if (connection->status == 0 ||
            !httpd_count(connection, (uint64_t) size))
            return ALOOP_EINVAL;
        return send_file(connection, fd, stat, offset, size);
    }
#endif
    (void) stat;
    return copy_file(request, fd, offset, size);
}
