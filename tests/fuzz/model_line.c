/* The lines of the model: the waiter that came first is served first,
 * immediately if possible, and no waiter is overtaken. */

#include "model.h"

#include <string.h>

void model_line_push(struct m_line *line, int id)
{
    FUZZ_CHECK(line->count < M_LINE);
    line->futures[line->count++] = id;
}

bool model_line_remove(struct m_line *line, int id)
{
    int i = 0;

    while (i < line->count && line->futures[i] != id)
        i++;
    if (i == line->count)
        return false;
    memmove(&line->futures[i], &line->futures[i + 1],
            (size_t) (line->count - i - 1) * sizeof line->futures[0]);
    line->count--;
    return true;
}

/* Settles the first waiter in line, which may be served or not. */
static void settle_first(struct m_line *line, ssize_t status)
{
    int id = line->futures[0];

    model_line_remove(line, id);
    model_at(id)->line = -1;
    model_settle(id, status);
}

void model_line_settle(struct m_line *line, ssize_t status)
{
    while (line->count > 0)
        settle_first(line, status);
}

void model_leave(int id)
{
    struct m_future *future = model_at(id);
    int object = future->line;

    future->line = -1;
    if (object >= 0 && !model_line_remove(&m.objects[object].line, id))
        model_line_remove(&m.objects[object].senders, id);
    model_settle(id, ALOOP_ECANCELED);
    if (object >= 0 && m.objects[object].kind == M_SEMAPHORE)
        model_serve(object); /* Waiters behind it may need fewer permits. */
}

static int wait_in_line(enum m_kind kind, int object, struct m_line *line)
{
    int id = model_new(kind);

    model_at(id)->line = object;
    model_line_push(line, id);
    return id;
}

int model_object(enum m_object_kind kind, size_t count)
{
    struct m_object *object = &m.objects[m.object_count];

    FUZZ_CHECK(m.object_count < M_OBJECTS);
    memset(object, 0, sizeof *object);
    object->kind = kind;
    object->last_given = -1;
    object->failed = M_NULL;
    if (kind == M_CHANNEL || kind == M_BARRIER)
        object->capacity = count;
    else
        object->count = count;
    return m.object_count++;
}

void model_object_free(int object_id)
{
    struct m_object *object = &m.objects[object_id];

    if (object->kind == M_GROUP) {
        model_group_free(object_id);
        return;
    }
    object->is_freed = true;
    m.has_closed = m.has_closed || object->kind == M_CHANNEL;
    for (int i = 0; i < m.future_count; i++)
        if (!m.futures[i].is_gone && m.futures[i].giver == object_id)
            model_unlink(i);
    model_line_settle(&object->senders, ALOOP_ECLOSED);
    model_line_settle(&object->line, ALOOP_ECLOSED);
}

/* Channels. */

int model_try_send(int channel_id, int item)
{
    struct m_object *channel = &m.objects[channel_id];

    if (channel->is_on)
        return ALOOP_ECLOSED;
    if (channel->line.count > 0) {
        model_at(channel->line.futures[0])->item = item;
        settle_first(&channel->line, 0);
        return 0;
    }
    if (channel->count == channel->capacity)
        return ALOOP_EAGAIN;
    channel->items[channel->count++] = item;
    return 0;
}

int model_try_receive(int channel_id, int *ret_item)
{
    struct m_object *channel = &m.objects[channel_id];
    bool is_sent = channel->senders.count > 0;
    int sent = is_sent ? model_at(channel->senders.futures[0])->item : 0;

    if (channel->count > 0) {
        *ret_item = channel->items[0];
        channel->count--;
        memmove(channel->items, channel->items + 1,
                channel->count * sizeof channel->items[0]);
        if (is_sent)
            channel->items[channel->count++] = sent;
    } else if (is_sent) {
        *ret_item = sent;
    } else {
        return channel->is_on ? ALOOP_ECLOSED : ALOOP_EAGAIN;
    }
    if (is_sent)
        settle_first(&channel->senders, 0);
    return 0;
}

int model_send(int channel_id, int item)
{
    int result = model_try_send(channel_id, item);
    int future;

    if (result == ALOOP_EAGAIN) {
        future =
            wait_in_line(M_SEND, channel_id, &m.objects[channel_id].senders);
    } else {
        future = model_new(M_SEND);
        model_settle(future, result);
    }
    model_at(future)->item = item;
    return future;
}

int model_receive(int channel_id)
{
    int item = 0;
    int result = model_try_receive(channel_id, &item);
    int future;

    if (result == ALOOP_EAGAIN)
        return wait_in_line(M_RECEIVE, channel_id, &m.objects[channel_id].line);
    future = model_new(M_RECEIVE);
    model_settle(future, result);
    model_at(future)->item = item;
    return future;
}

void model_channel_close(int channel_id)
{
    m.objects[channel_id].is_on = true;
    model_line_settle(&m.objects[channel_id].senders, ALOOP_ECLOSED);
    model_line_settle(&m.objects[channel_id].line, ALOOP_ECLOSED);
}

/* Semaphores, and mutexes, which are semaphores with one permit. */

void model_link(int id, int semaphore)
{
    model_at(id)->giver = semaphore;
}

void model_unlink(int id)
{
    struct m_future *permit = model_at(id);

    if (m.objects[permit->giver].last_given == id)
        m.objects[permit->giver].last_given = -1;
    permit->giver = -1;
}

void model_serve(int semaphore_id)
{
    struct m_object *semaphore = &m.objects[semaphore_id];

    while (semaphore->line.count > 0) {
        int first = semaphore->line.futures[0];
        struct m_future *permit = model_at(first);

        if (permit->refs > 0) {
            if (permit->permits > semaphore->count)
                return;
            semaphore->count -= permit->permits;
            permit->is_given = permit->is_grant = true;
            model_link(first, semaphore_id);
            semaphore->last_given = first;
        }
        settle_first(&semaphore->line, 0);
    }
}

void model_give(int semaphore_id, size_t count)
{
    m.objects[semaphore_id].count += count;
    model_serve(semaphore_id);
}

/* Returns permits that were given and not received. */
void model_permit_gone(int id)
{
    struct m_future *permit = model_at(id);
    int semaphore = permit->giver;

    if (semaphore < 0)
        return;
    model_unlink(id);
    if (permit->is_given && !permit->is_taken)
        model_give(semaphore, permit->permits);
}

int model_try_acquire(int semaphore_id, size_t count)
{
    struct m_object *semaphore = &m.objects[semaphore_id];

    if (semaphore->line.count > 0 || semaphore->count < count)
        return ALOOP_EAGAIN;
    semaphore->count -= count;
    return 0;
}

int model_acquire(int semaphore_id, size_t count)
{
    int permit =
        wait_in_line(M_PERMIT, semaphore_id, &m.objects[semaphore_id].line);

    model_at(permit)->permits = count;
    model_serve(semaphore_id);
    return permit;
}

void model_release(int semaphore_id, size_t count)
{
    model_give(semaphore_id, count);
}

int model_unlock(int mutex_id)
{
    struct m_object *mutex = &m.objects[mutex_id];

    if (mutex->count > 0)
        return ALOOP_EPERM;
    if (mutex->last_given >= 0)
        model_at(mutex->last_given)->is_given = false;
    model_give(mutex_id, 1);
    return 0;
}

/* Events, barriers, conditions. */

int model_event_wait(int event_id)
{
    return m.objects[event_id].is_on
               ? model_done(0)
               : wait_in_line(M_PLAIN, event_id, &m.objects[event_id].line);
}

void model_event_set(int event_id)
{
    m.objects[event_id].is_on = true;
    model_line_settle(&m.objects[event_id].line, 0);
}

int model_barrier_wait(int barrier_id)
{
    struct m_line *line = &m.objects[barrier_id].line;
    int future = wait_in_line(M_PLAIN, barrier_id, line);
    ssize_t place = 0;

    if ((size_t) line->count == m.objects[barrier_id].capacity)
        while (line->count > 0)
            settle_first(line, place++);
    return future;
}

int model_notify(int condition_id)
{
    if (m.objects[condition_id].line.count == 0)
        return 0;
    settle_first(&m.objects[condition_id].line, 0);
    return 1;
}

void model_notify_all(int condition_id)
{
    model_line_settle(&m.objects[condition_id].line, 0);
}
