/* The real system: datagrams that are sent and received.
 *
 * One call sends or receives several datagrams, where the system has such calls
 * (sendmmsg, recvmmsg) and nothing forbids them.  Linux also sends a run of
 * datagrams as one message and divides it later (UDP_SEGMENT), and joins
 * received ones (UDP_GRO).  A run is a row of datagrams to one address, which
 * all have the size of the first; only the last one may be smaller. */

#define _GNU_SOURCE /* For sendmmsg() and recvmmsg(). */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "os/refusal.h"
#include "os/sys_udp.h"

#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__)
#define HAVE_MMSG 1
#else
#define HAVE_MMSG 0
#endif

#ifdef MSG_NOSIGNAL
enum { DATAGRAM_FLAGS = MSG_NOSIGNAL };
#else
enum { DATAGRAM_FLAGS = 0 };
#endif

enum {
    MESSAGES_MAX = 16,     /* Of one system call; more gain nothing. */
    RUN_MAX = 64,          /* Datagrams of a run; older systems refuse more. */
    RUN_SIZE_MAX = 65507,  /* Bytes of a run. */
    MESSAGE_SEGMENT = 103, /* UDP_SEGMENT, which old headers do not have. */
    MESSAGE_GRO = 104      /* UDP_GRO */
};

/* Sending. */

/* Space for the control message with the size of a segment, which is 16 bits to
 * send and an int to receive. */
struct udp_control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
};

/* Without such calls of the system, a batch is a row of single messages. */
#if HAVE_MMSG
typedef struct mmsghdr udp_message;
#else
typedef struct {
    struct msghdr msg_hdr;
    unsigned msg_len;
} udp_message;
#endif

/* Messages to send. */
struct outgoing {
    size_t messages;
    udp_message headers[MESSAGES_MAX];
    size_t datagrams[MESSAGES_MAX]; /* Their number in each message. */
    struct sys_address names[MESSAGES_MAX];
    struct udp_control controls[MESSAGES_MAX];
    struct iovec vectors[SYS_DATAGRAMS_MAX];
};

static bool is_same_peer(const struct sys_datagram *a,
                         const struct sys_datagram *b)
{
    return a->to == b->to || (a->to != NULL && b->to != NULL &&
                              memcmp(a->to, b->to, sizeof *a->to) == 0);
}

/* Returns how many datagrams the run has that begins with the first one. */
static size_t run_length(const struct sys_udp *udp,
                         const struct sys_datagram *datagrams, size_t count)
{
    size_t length = 1, total = datagrams[0].size;

    if (total == 0 || total > udp->run_segment_max)
        return 1;
    while (length < count && length < RUN_MAX &&
           datagrams[length - 1].size == datagrams[0].size &&
           datagrams[length].size > 0 &&
           datagrams[length].size <= datagrams[0].size &&
           total + datagrams[length].size <= RUN_SIZE_MAX &&
           is_same_peer(&datagrams[0], &datagrams[length]))
        total += datagrams[length++].size;
    return length;
}

/* Has the system divide a message into datagrams of `size` bytes. */
static void set_segment(struct msghdr *header, struct udp_control *control,
                        size_t size)
{
    uint16_t segment = (uint16_t) size;
    struct cmsghdr *message;

    memset(control, 0, sizeof *control);
    header->msg_control = control->bytes;
    header->msg_controllen = (socklen_t) CMSG_SPACE(sizeof segment);
    message = CMSG_FIRSTHDR(header);
    message->cmsg_level = IPPROTO_UDP;
    message->cmsg_type = MESSAGE_SEGMENT;
    message->cmsg_len = (socklen_t) CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(message), &segment, sizeof segment);
}

/* Makes one message of a run. */
static void add_message(struct outgoing *out,
                        const struct sys_datagram *datagrams, size_t length,
                        struct iovec *vectors)
{
    size_t i = out->messages++;
    struct msghdr *header = &out->headers[i].msg_hdr;

    memset(header, 0, sizeof *header);
    out->datagrams[i] = length;
    header->msg_iov = vectors;
    for (size_t j = 0; j < length; j++) {
        vectors[j].iov_base = (void *) datagrams[j].data;
        vectors[j].iov_len = datagrams[j].size;
        header->msg_iovlen++; /* Its type differs between systems. */
    }
    if (datagrams[0].to != NULL) {
        aloop__sys_address_import(datagrams[0].to, &out->names[i]);
        header->msg_name = out->names[i].bytes;
        header->msg_namelen = (socklen_t) out->names[i].size;
    }
    if (length > 1)
        set_segment(header, &out->controls[i], datagrams[0].size);
}

static void make_messages(const struct sys_udp *udp, struct outgoing *out,
                          const struct sys_datagram *datagrams, size_t count)
{
    size_t used = 0;

    out->messages = 0;
    while (used < count && out->messages < MESSAGES_MAX) {
        size_t length = run_length(udp, datagrams + used, count - used);

        add_message(out, datagrams + used, length, out->vectors + used);
        used += length;
    }
}

/* Sends the messages one by one.  Returns how many the system has taken, or the
 * error of the first. */
static int send_singly(int fd, const struct outgoing *out)
{
    int sent = 0;

    while ((size_t) sent < out->messages) {
        ssize_t size = sendmsg(fd, &out->headers[sent].msg_hdr, DATAGRAM_FLAGS);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return sent > 0 ? sent : -errno;
        sent++;
    }
    return sent;
}

/* For a single datagram.  The system copies fewer descriptions than of a
 * message. */
static int send_datagram(int fd, const struct sys_datagram *datagram)
{
    struct sys_address name;
    ssize_t size;

    name.size = 0;
    if (datagram->to != NULL)
        aloop__sys_address_import(datagram->to, &name);
    do {
        size = sendto(fd, datagram->data, datagram->size, DATAGRAM_FLAGS,
                      name.size > 0 ? (struct sockaddr *) name.bytes : NULL,
                      (socklen_t) name.size);
    } while (size < 0 && errno == EINTR);
    return size < 0 ? -errno : 1;
}

/* Sends all messages with one call, if the system allows that. */
static int send_messages(int fd, struct outgoing *out)
{
#if HAVE_MMSG
    int sent;

    do {
        sent = (int) sendmmsg(fd, out->headers, (unsigned) out->messages,
                              DATAGRAM_FLAGS);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0 || !is_refusal(errno))
        return sent < 0 ? -errno : sent;
#endif
    return send_singly(fd, out);
}

/* After an error, limits the size of the datagrams of later runs.  Returns
 * whether the system may have refused a run of datagrams of `size` bytes, and
 * would send them one by one.  EIO is the error of a way on which
 * no run can be divided, such as one with encryption.  The other errors concern
 * the size. */
static bool limit_runs(struct sys_udp *udp, int error, size_t size)
{
    if (error == -EIO)
        udp->run_segment_max = 0;
    else if (error == -EMSGSIZE || is_refusal(-error))
        udp->run_segment_max = size - 1;
    else
        return false;
    return true;
}

int aloop__sys_udp_send(struct sys_udp *udp,
                        const struct sys_datagram *datagrams, size_t count)
{
    struct outgoing out;
    int sent, total = 0;

    if (count == 1)
        return send_datagram(udp->fd, datagrams);
    make_messages(udp, &out, datagrams, count);
    sent = send_messages(udp->fd, &out);
    if (sent < 0 && out.datagrams[0] > 1 &&
        limit_runs(udp, sent, datagrams[0].size)) {
        make_messages(udp, &out, datagrams, count);
        sent = send_messages(udp->fd, &out);
    }
    for (int i = 0; i < sent; i++)
        total += (int) out.datagrams[i];
    return sent < 0 ? sent : total;
}

/* Receiving. */

/* Messages to receive. */
struct incoming {
    udp_message headers[SYS_RECEIVES_MAX];
    struct sys_address names[SYS_RECEIVES_MAX];
    struct udp_control controls[SYS_RECEIVES_MAX];
    struct iovec vectors[SYS_RECEIVES_MAX];
};

static void prepare_receives(struct incoming *in,
                             const struct sys_receive *receives, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct msghdr *header = &in->headers[i].msg_hdr;

        in->vectors[i].iov_base = receives[i].buffer;
        in->vectors[i].iov_len = receives[i].room;
        memset(header, 0, sizeof *header);
        header->msg_iov = &in->vectors[i];
        header->msg_iovlen = 1;
        header->msg_name = in->names[i].bytes;
        header->msg_namelen = sizeof in->names[i].bytes;
        header->msg_control = in->controls[i].bytes;
        header->msg_controllen = sizeof in->controls[i].bytes;
    }
}

static int receive_singly(int fd, struct incoming *in)
{
    ssize_t size;

    do {
        size = recvmsg(fd, &in->headers[0].msg_hdr, 0);
    } while (size < 0 && errno == EINTR);
    if (size < 0)
        return -errno;
    in->headers[0].msg_len = (unsigned) size;
    return 1;
}

static int receive_messages(int fd, struct incoming *in, size_t count)
{
#if HAVE_MMSG
    int received;

    if (count == 1) /* A batch costs more. */
        return receive_singly(fd, in);
    do {
        received = (int) recvmmsg(fd, in->headers, (unsigned) count, 0, NULL);
    } while (received < 0 && errno == EINTR);
    if (received >= 0 || !is_refusal(errno))
        return received < 0 ? -errno : received;
#else
    (void) count;
#endif
    return receive_singly(fd, in);
}

/* Returns the size of the datagrams in a message, or 0 if there is only one. */
static size_t segment_of(struct msghdr *header)
{
    struct cmsghdr *message = CMSG_FIRSTHDR(header);
    int segment = 0;

    if (message != NULL && message->cmsg_level == IPPROTO_UDP &&
        message->cmsg_type == MESSAGE_GRO &&
        message->cmsg_len >= CMSG_LEN(sizeof segment))
        memcpy(&segment, CMSG_DATA(message), sizeof segment);
    return segment > 0 ? (size_t) segment : 0;
}

static void take_message(udp_message *header, struct sys_address *name,
                         struct sys_receive *ret)
{
    ret->size = (size_t) header->msg_len; /* Its type differs. */
    ret->is_truncated = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    ret->segment = segment_of(&header->msg_hdr);
    name->size = (uint32_t) header->msg_hdr.msg_namelen;
    if (aloop__sys_address_export(name, &ret->from) < 0)
        memset(&ret->from, 0, sizeof ret->from);
}

int aloop__sys_udp_receive(const struct sys_udp *udp,
                           struct sys_receive *receives, size_t count)
{
    struct incoming in;
    int received;

    prepare_receives(&in, receives, count);
    received = receive_messages(udp->fd, &in, count);
    for (int i = 0; i < received; i++)
        take_message(&in.headers[i], &in.names[i], &receives[i]);
    return received;
}
