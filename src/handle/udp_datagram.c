/* What receiving and sending share: the events that a UDP socket watches, and
 * datagrams in memory. */

#include "handle/udp.h"

#include <string.h>

#include "loop/buffers.h"
#include "os/reactor.h"

int aloop__udp_want(aloop_udp *udp, unsigned bits)
{
    return aloop__io_arm(udp->handle.loop, &udp->io, udp->io.armed | bits);
}

void aloop__udp_unwant(aloop_udp *udp, unsigned bits)
{
    /* A failure only causes useless events, which lead here again. */
    aloop__io_arm(udp->handle.loop, &udp->io, udp->io.armed & ~bits);
}

/* A child that has not called aloop_after_fork() would change what its parent
 * watches. */
int aloop__udp_use(aloop_udp *udp)
{
    if (aloop__udp_is_lost(udp))
        return ALOOP_EBADF;
    return aloop__io_adopt(udp->handle.loop, &udp->io);
}

bool aloop__udp_has_family(const aloop_udp *udp, const aloop_address *address)
{
    return address->family == ALOOP_FAMILY_IPV6 ? udp->sys.is_inet6
                                                : !udp->sys.is_v6_only;
}

/* One buffer has the object and the bytes.  Its real size, `room`, is needed to
 * return it. */
struct aloop__datagram *aloop__datagram_new(aloop_udp *udp, const void *data,
                                            size_t size,
                                            const aloop_address *address)
{
    struct aloop__datagram *datagram;
    size_t room = sizeof *datagram + size;

    datagram = aloop__buffer_get(udp->handle.loop, &room);
    if (datagram == NULL)
        return NULL;
    *datagram = (struct aloop__datagram){
        .address = *address,
        .data = datagram + 1,
        .size = size,
        .room = room,
    };
    list_init(&datagram->node);
    if (size > 0)
        memcpy(datagram + 1, data, size);
    return datagram;
}

void aloop__datagram_free(aloop_udp *udp, struct aloop__datagram *datagram)
{
    aloop__buffer_put(udp->handle.loop, datagram, datagram->room);
}

void aloop__udp_drop_held(aloop_udp *udp, const aloop_address *kept)
{
    struct aloop__node *node = udp->held.next, *next;

    for (; node != &udp->held; node = next) {
        struct aloop__datagram *datagram =
            CONTAINER_OF(node, struct aloop__datagram, node);

        next = node->next;
        if (aloop_address_equal(&datagram->address, kept))
            continue;
        list_remove(node);
        aloop__datagram_free(udp, datagram);
    }
}
