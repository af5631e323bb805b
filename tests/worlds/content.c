/* The contents of files; see content.h. */

#include "content.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "simulator/sim_file.h"

static unsigned now, last_id;

unsigned content_now(void)
{
    return ++now;
}

void content_begin(struct content *content, unsigned number)
{
    memset(content, 0, sizeof *content);
    if (number == 0)
        now = last_id = 0;
    snprintf(content->path, sizeof content->path, "/data/%u", number);
    content->known_size = between(0, CONTENT_MAX / 2);
    text_fill(++last_id, 0, content->known, content->known_size);
    sim_file_put(content->path, content->known, content->known_size);
    content_synced(content);
}

struct change *content_write(struct content *content, size_t low, size_t high,
                             void *buffer, size_t size)
{
    struct change *change = &content->changes[content->change_count++];

    CHECK(content->change_count <= CHANGES_MAX && high + size <= CONTENT_MAX);
    *change = (struct change){++last_id,     low,      high, size,
                              content_now(), UINT_MAX, false};
    text_fill(change->id, 0, buffer, size);
    for (size_t i = low / CONTENT_BLOCK;
         size > 0 && i <= (high + size - 1) / CONTENT_BLOCK; i++)
        content->has_changed[i] = true;
    return change;
}

void content_written(struct change *change, bool is_whole)
{
    change->is_whole = is_whole;
    change->ended = content_now();
}

/* Returns whether the change has certainly written the byte. */
static bool covers(const struct change *change, size_t at)
{
    return change->is_whole && change->low == change->high &&
           at >= change->low && at - change->low < change->size;
}

/* Returns whether a byte that was there at `ended` is certainly replaced for a
 * read that began at `begun`. */
static bool is_replaced(const struct content *content, size_t at,
                        unsigned ended, unsigned begun)
{
    for (unsigned i = 0; i < content->change_count; i++) {
        const struct change *change = &content->changes[i];

        if (covers(change, at) && change->begun > ended &&
            change->ended < begun)
            return true;
    }
    return false;
}

/* Returns whether `byte` may be read at this offset. */
static bool may_be(const struct content *content, size_t at, unsigned char byte,
                   unsigned begun)
{
    if (byte == content->known[at] && !is_replaced(content, at, 0, begun))
        return true;
    for (unsigned i = 0; i < content->change_count; i++) {
        const struct change *change = &content->changes[i];

        if (at < change->low || at >= change->high + change->size ||
            (change->low == change->high &&
             byte != text_byte(change->id, at - change->low)))
            continue;
        if (!is_replaced(content, at, change->ended, begun))
            return true;
    }
    return false;
}

void content_check(const struct content *content, const void *data,
                   size_t offset, size_t size, unsigned begun)
{
    const unsigned char *bytes = data;

    CHECK(offset + size <= CONTENT_MAX || size == 0);
    if (content->change_count == 0) {
        CHECK(memcmp(bytes, content->known + offset, size) == 0 || size == 0);
        return;
    }
    for (size_t i = 0; i < size; i++)
        CHECK(may_be(content, offset + i, bytes[i], begun));
}

size_t content_size_min(const struct content *content, unsigned begun)
{
    size_t size = content->known_size;

    for (unsigned i = 0; i < content->change_count; i++) {
        const struct change *change = &content->changes[i];

        if (change->is_whole && change->size > 0 && change->ended < begun &&
            change->low + change->size > size)
            size = change->low + change->size;
    }
    return size;
}

size_t content_size_max(const struct content *content)
{
    size_t size = content->known_size;

    for (unsigned i = 0; i < content->change_count; i++) {
        const struct change *change = &content->changes[i];

        if (change->high + change->size > size)
            size = change->high + change->size;
    }
    return size;
}

void content_check_size(const struct content *content, size_t size,
                        unsigned begun)
{
    CHECK(size >= content_size_min(content, begun));
    CHECK(size <= content_size_max(content));
}

/* Reads the file as it is. */
static size_t look(const struct content *content,
                   unsigned char bytes[CONTENT_MAX])
{
    ssize_t size = sim_file_get(content->path, bytes, CONTENT_MAX);

    CHECK(size >= 0 && size <= CONTENT_MAX);
    memset(bytes + size, 0, CONTENT_MAX - (size_t) size);
    return (size_t) size;
}

void content_settle(struct content *content)
{
    unsigned char bytes[CONTENT_MAX];
    unsigned begun = content_now();
    size_t size;

    if (content->active > 0 || content->change_count == 0)
        return;
    size = look(content, bytes);
    content_check_size(content, size, begun);
    content_check(content, bytes, 0, size, begun);
    memcpy(content->known, bytes, CONTENT_MAX);
    content->known_size = size;
    content->change_count = 0;
}

void content_cut(struct content *content, size_t size)
{
    unsigned char bytes[CONTENT_MAX];

    if (size < content->known_size)
        memset(content->known + size, 0, content->known_size - size);
    content->known_size = size;
    CHECK(look(content, bytes) == size);
    content_check(content, bytes, 0, size, content_now());
}

void content_synced(struct content *content)
{
    memcpy(content->synced, content->known, CONTENT_MAX);
    content->synced_size = content->known_size;
    memset(content->has_changed, 0, sizeof content->has_changed);
    content->may_be_cut = false;
}

void content_check_crash(const struct content *content)
{
    unsigned char bytes[CONTENT_MAX];
    size_t size = look(content, bytes);

    if (content->has_failed || content->may_be_cut)
        return;
    CHECK(size >= content->synced_size);
    for (size_t at = 0; at < content->synced_size; at++)
        CHECK(content->has_changed[at / CONTENT_BLOCK] ||
              bytes[at] == content->synced[at]);
}
