/* Data on connections: segments, which arrive in order, and the effects of
 * their arrival.  Each direction has one bounded buffer.  It counts data that
 * is travelling together with data that has arrived and was not received.
 *
 * Ends, errors and readiness are those of Linux.  Data is received before the
 * error of a reset, a reset after an orderly end is -EPIPE, and a closed end
 * answers data with a reset.  Between Unix sockets no data is lost, and only
 * data that was not received resets a connection. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

void sim__passed_free(struct sim_passed *passed)
{
    if (passed == NULL)
        return;
    for (size_t i = 0; i < passed->count; i++)
        sim__file_drop(passed->files[i]);
    free(passed);
}

void sim__drop(struct sim_socket *socket)
{
    while (socket->passed != NULL) {
        struct sim_passed *passed = socket->passed;

        socket->passed = passed->next;
        sim__passed_free(passed);
    }
    free(socket->bytes);
    socket->bytes = NULL;
    socket->start = socket->size = socket->capacity = 0;
}

static void append(struct sim_socket *socket, const void *data, size_t size)
{
    if (socket->start + socket->size + size > socket->capacity) {
        if (socket->size > 0)
            memmove(socket->bytes, socket->bytes + socket->start, socket->size);
        socket->start = 0;
        if (socket->size + size > socket->capacity) {
            socket->capacity = 2 * socket->capacity + size;
            socket->bytes = sim__allocate(socket->bytes, socket->capacity);
        }
    }
    memcpy(socket->bytes + socket->start + socket->size, data, size);
    socket->size += size;
}

static void on_data(struct sim_socket *socket,
                    const struct sim_segment *segment)
{
    socket->flying -= segment->size;
    if (socket->was_closed)
        sim__abort(socket);
    else if (socket->state != SIM_DEAD)
        append(socket, segment->bytes, segment->size);
}

static void on_accepted(struct sim_socket *socket,
                        const struct sim_segment *segment)
{
    (void) segment;
    if (socket->was_closed)
        sim__abort(socket);
    else if (socket->state == SIM_CONNECTING)
        socket->state = SIM_CONNECTED;
}

static void on_fin(struct sim_socket *socket, const struct sim_segment *segment)
{
    (void) segment;
    if (socket->state != SIM_DEAD)
        socket->has_received_fin = true;
}

static void on_rst(struct sim_socket *socket, const struct sim_segment *segment)
{
    (void) segment;
    if (socket->state == SIM_DEAD)
        return;
    if (socket->state == SIM_CONNECTING)
        socket->error = -ECONNREFUSED;
    else
        socket->error = socket->has_received_fin ? -EPIPE : -ECONNRESET;
    socket->state = SIM_DEAD;
}

static void (*const on_segment[])(struct sim_socket *socket,
                                  const struct sim_segment *segment) = {
    [SIM_DATA] = on_data,
    [SIM_ACCEPTED] = on_accepted,
    [SIM_FIN] = on_fin,
    [SIM_RST] = on_rst,
};

/* Delivers all segments that are due.  A reset removes segments but not their
 * events, so that an event may have none or several. */
static void arrive(void *arg)
{
    struct sim_socket *socket = arg;

    while (socket->segments != NULL &&
           socket->segments->due_ns <= sim__world.now_ns) {
        struct sim_segment *segment = socket->segments;

        socket->segments = segment->next;
        sim__trace(segment->kind);
        sim__trace((int64_t) segment->size);
        on_segment[segment->kind](socket, segment);
        free(segment);
    }
}

void sim__segment(struct sim_socket *to, enum sim_segment_kind kind,
                  const void *data, size_t size)
{
    struct sim_segment *segment = sim__allocate(NULL, sizeof *segment + size);
    int64_t due_ns = sim__add_ns(sim__world.now_ns, sim__delay_ns());

    if (due_ns < to->last_due_ns)
        due_ns = to->last_due_ns;
    to->last_due_ns = due_ns;
    *segment = (struct sim_segment){
        .due_ns = due_ns,
        .kind = kind,
        .size = size,
    };
    if (size > 0)
        memcpy(segment->bytes, data, size);
    to->flying += size;
    if (to->segments == NULL)
        to->segments = segment;
    else
        to->last->next = segment;
    to->last = segment;
    sim__schedule(due_ns, arrive, to);
}

void sim__finish(struct sim_socket *socket)
{
    if (!socket->has_sent_fin)
        sim__segment(socket->other, SIM_FIN, NULL, 0);
    socket->has_sent_fin = true;
}

/* Removes the segments that travel to `to`.  The answer to a SYN stays, because
 * the reset ends the connection and not the attempt to connect. */
static void lose_segments(struct sim_socket *to)
{
    struct sim_segment **at = &to->segments;

    while (*at != NULL) {
        struct sim_segment *segment = *at;

        if (segment->kind == SIM_ACCEPTED) {
            to->last = segment;
            at = &segment->next;
            continue;
        }
        to->flying -= segment->size;
        *at = segment->next;
        free(segment);
    }
}

void sim__abort(struct sim_socket *socket)
{
    socket->state = SIM_DEAD;
    if (socket->other == NULL)
        return;
    if (socket->family != SYS_UNIX)
        lose_segments(socket->other);
    sim__segment(socket->other, SIM_RST, NULL, 0);
}

void sim__break(struct sim_socket *socket, int error)
{
    if (socket->state != SIM_CONNECTED || socket->was_closed)
        return;
    sim__abort(socket);
    socket->error = error;
}

size_t sim__room(const struct sim_socket *socket)
{
    size_t used = socket->other->flying + socket->other->size;
    size_t limit = sim__world.options.buffer_size;

    return used < limit ? limit - used : 0;
}

/* Sends `size` bytes as one or more segments. */
static void transmit(struct sim_socket *socket, const unsigned char *data,
                     size_t size)
{
    while (size > 0) {
        size_t part = size;

        if (sim__chance(sim__world.options.split_percent))
            part = 1 + (size_t) sim_random(size);
        sim__segment(socket->other, SIM_DATA, data, part);
        socket->other->sent_to += part;
        data += part;
        size -= part;
    }
}

/* Returns the error of a send that the socket's state refuses, or 0. */
static int send_refusal(struct sim_socket *socket)
{
    int error = socket->error;

    if (socket->state == SIM_CONNECTING)
        return -EAGAIN;
    if (error < 0) {
        if (!socket->is_outside)
            socket->error = 0;
        return error;
    }
    if (socket->state != SIM_CONNECTED || socket->has_sent_fin)
        return -EPIPE;
    return 0;
}

/* Returns how many of `size` bytes this call transfers, or -EAGAIN. */
static ssize_t share(const struct sim_socket *socket, size_t size,
                     unsigned short_percent)
{
    if (socket->is_outside)
        return (ssize_t) size;
    if (sim__chance(sim__world.options.spurious_percent))
        return -EAGAIN;
    if (sim__chance(short_percent))
        size = 1 + (size_t) sim_random(size);
    return (ssize_t) size;
}

ssize_t sim__send(struct sim_socket *socket, const struct sys_piece *pieces,
                  size_t count)
{
    int error = send_refusal(socket);
    size_t total = 0, used = 0, room;
    unsigned char *data;
    ssize_t sent;

    if (error < 0)
        return error;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].size;
    if (total == 0)
        return 0;
    room = sim__room(socket);
    if (room == 0)
        return -EAGAIN;
    sent = share(socket, total < room ? total : room,
                 sim__world.options.short_send_percent);
    sim__trace(sent);
    if (sent < 0)
        return sent;
    data = sim__allocate(NULL, (size_t) sent);
    for (size_t i = 0; i < count && used < (size_t) sent; i++) {
        size_t part = (size_t) sent - used;

        if (part > pieces[i].size)
            part = pieces[i].size;
        if (part > 0)
            memcpy(data + used, pieces[i].data, part);
        used += part;
    }
    sim__trace_bytes(data, used);
    transmit(socket, data, used);
    free(data);
    return sent;
}

/* The result of a receive without data: 0 at the end, an error, or -EAGAIN. */
static ssize_t nothing(struct sim_socket *socket)
{
    int error = socket->error;

    if (socket->has_received_fin)
        return 0;
    if (error < 0) {
        if (!socket->is_outside)
            socket->error = 0;
        return error;
    }
    if (socket->state == SIM_FRESH || socket->state == SIM_LISTENING)
        return -ENOTCONN;
    return socket->state == SIM_DEAD ? 0 : -EAGAIN;
}

ssize_t sim__send_files(struct sim_socket *socket,
                        const struct sys_piece *piece,
                        struct sim_file *const *files, size_t count)
{
    ssize_t sent = sim__send(socket, piece, 1);
    struct sim_passed *passed, **last;
    uint64_t at;

    if (sent <= 0 || socket->other->was_closed)
        return sent;
    at = socket->other->sent_to - (uint64_t) sent;
    passed = sim__allocate(NULL, sizeof *passed + count * sizeof *files);
    *passed = (struct sim_passed){.at = at, .size = (size_t) sent};
    for (; passed->count < count; passed->count++) {
        passed->files[passed->count] = files[passed->count];
        files[passed->count]->references++;
    }
    last = &socket->other->passed;
    while (*last != NULL)
        last = &(*last)->next;
    *last = passed;
    return sent;
}

/* A receive never continues behind a message with descriptions. */
static size_t limit_to_message(const struct sim_socket *socket, size_t size)
{
    const struct sim_passed *first = socket->passed;

    if (first == NULL || first->at >= socket->taken + size ||
        first->at + first->size >= socket->taken + size)
        return size;
    return (size_t) (first->at + first->size - socket->taken);
}

ssize_t sim__receive_files(struct sim_socket *socket, void *buffer, size_t size,
                           struct sim_passed **ret)
{
    struct sim_passed *first = socket->passed;
    ssize_t count =
        sim__receive(socket, buffer, limit_to_message(socket, size));

    *ret = NULL;
    if (first == NULL || first->at >= socket->taken)
        return count;
    socket->passed = first->next;
    *ret = first;
    return count;
}

ssize_t sim__receive(struct sim_socket *socket, void *buffer, size_t size)
{
    ssize_t count;

    if (size == 0)
        return 0;
    if (socket->size == 0)
        return nothing(socket);
    count = share(socket, size < socket->size ? size : socket->size,
                  sim__world.options.short_recv_percent);
    if (count <= 0)
        return count;
    memcpy(buffer, socket->bytes + socket->start, (size_t) count);
    socket->start += (size_t) count;
    socket->size -= (size_t) count;
    socket->taken += (uint64_t) count;
    if (socket->size == 0)
        socket->start = 0;
    return count;
}
