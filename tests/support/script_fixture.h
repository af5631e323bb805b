/* A filter that is a script: each of its functions returns what the test has
 * set, and notes its calls as letters. */

#ifndef SCRIPT_FIXTURE_H
#define SCRIPT_FIXTURE_H

#include "support/stream_fixture.h"

/* What the functions of the filter do. */
static struct script {
    char calls[4096]; /* "F", "R", "W", "P", "H", "C"; small letters: size 0. */
    size_t calls_count;
    char in[8192]; /* Bytes that feed has taken and read has not given. */
    size_t in_size;
    char out[8192]; /* Bytes that write has taken and pull has not given. */
    size_t out_size;
    ssize_t feed; /* Results that replace the usual ones, unless 0. */
    ssize_t read;
    ssize_t write;
    ssize_t pull;
    int handshake;   /* Result of the handshake. */
    bool has_shaken; /* The handshake sends and needs a byte. */
    bool has_input_ended;
    bool has_output_ended;
    size_t write_max;    /* The largest write. */
    aloop_stream *wakes; /* A stream to wake in the next read. */
} s;

static inline void note_letter(char letter)
{
    if (s.calls_count + 1 < sizeof s.calls)
        s.calls[s.calls_count++] = letter;
}

static inline ssize_t script_take(char *bytes, size_t *size, size_t room,
                                  const void *data, size_t given)
{
    if (*size == room)
        return ALOOP_EAGAIN;
    if (given > room - *size)
        given = room - *size;
    memcpy(bytes + *size, data, given);
    *size += given;
    return (ssize_t) given;
}

static inline ssize_t script_give(char *bytes, size_t *size, bool has_ended,
                                  void *data, size_t room)
{
    if (*size == 0)
        return has_ended ? 0 : ALOOP_EAGAIN;
    if (room > *size)
        room = *size;
    memcpy(data, bytes, room);
    *size -= room;
    memmove(bytes, bytes + room, *size);
    return (ssize_t) room;
}

static inline ssize_t script_feed(void *context, const void *data, size_t size)
{
    (void) context;
    note_letter(size == 0 ? 'f' : 'F');
    assert_true((data == NULL) == (size == 0));
    if (s.feed != 0)
        return s.feed;
    s.has_input_ended = s.has_input_ended || size == 0;
    return data == NULL
               ? 0
               : script_take(s.in, &s.in_size, sizeof s.in, data, size);
}

static inline ssize_t script_read(void *context, void *data, size_t size)
{
    (void) context;
    note_letter('R');
    if (s.wakes != NULL)
        assert_int_equal(aloop_stream_filter_wake(s.wakes), 0);
    s.wakes = NULL;
    if (s.read != 0)
        return s.read;
    return script_give(s.in, &s.in_size, s.has_input_ended, data, size);
}

static inline ssize_t script_write(void *context, const void *data, size_t size)
{
    (void) context;
    note_letter(size == 0 ? 'w' : 'W');
    assert_true((data == NULL) == (size == 0));
    if (size > s.write_max)
        s.write_max = size;
    if (s.write != 0)
        return s.write;
    s.has_output_ended = s.has_output_ended || size == 0;
    return data == NULL
               ? 0
               : script_take(s.out, &s.out_size, sizeof s.out, data, size);
}

static inline ssize_t script_pull(void *context, void *data, size_t size)
{
    (void) context;
    note_letter('P');
    if (s.pull != 0)
        return s.pull;
    return script_give(s.out, &s.out_size, s.has_output_ended, data, size);
}

/* A client that sends "h" and expects "h". */
static inline int script_handshake(void *context)
{
    (void) context;
    note_letter('H');
    if (!s.has_shaken)
        s.out[s.out_size++] = 'h';
    s.has_shaken = true;
    if (s.handshake != 0)
        return s.handshake;
    if (s.in_size == 0)
        return ALOOP_EAGAIN;
    s.in_size--;
    memmove(s.in, s.in + 1, s.in_size);
    return 0;
}

static inline void script_close(void *context)
{
    assert_ptr_equal(context, &s);
    note_letter('C');
}

static const aloop_filter plain_script = {
    .size = sizeof plain_script,
    .feed = script_feed,
    .read = script_read,
    .write = script_write,
    .pull = script_pull,
    .close = script_close,
};

static const aloop_filter shaking_script = {
    .size = sizeof shaking_script,
    .feed = script_feed,
    .read = script_read,
    .write = script_write,
    .pull = script_pull,
    .handshake = script_handshake,
    .close = script_close,
};

static inline unsigned calls_of(char letter)
{
    unsigned count = 0;

    for (size_t i = 0; i < s.calls_count; i++)
        count += s.calls[i] == letter;
    return count;
}

static inline aloop_stream *scripted(void)
{
    aloop_stream *stream = connected();

    s = (struct script){0};
    assert_int_equal(
        aloop_await(aloop_stream_filter(stream, &plain_script, &s)), 0);
    return stream;
}

static inline ssize_t refuse_write(void *context, const void *data, size_t size)
{
    (void) context;
    (void) data;
    return size == 0 ? 0 : ALOOP_EAGAIN;
}

#endif
