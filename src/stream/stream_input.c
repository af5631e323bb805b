/* Bytes of a stream that were received and not consumed: sender->input.
 *
 *     read operations ---> what they have not used --+
 *     aloop_stream_unread() -------------------------+--> the next reader
 *
 * It is a buffer of the loop, which exists only while it has bytes.  As long as
 * it exists nothing else is received, so that the order of bytes is kept. */

#include "aloop/stream_open.h"
#include "loop/buffers.h"
#include "loop/debug.h"
#include "stream/input.h"

#include <string.h>

/* Sets the input of a stream, which has had none or has given it away. */
static void set_input(aloop_stream *stream, struct aloop__input *input)
{
    stream->sender->input = input;
    stream->has_input = input != NULL;
}

/* The pool of buffers may return more bytes than were requested.  They are all
 * used, because the buffer must be put back with the size that it has. */
struct aloop__input *aloop__input_new(aloop *loop, size_t size)
{
    size_t whole = sizeof(struct aloop__input) + size;
    struct aloop__input *input = aloop__buffer_get(loop, &whole);

    if (input == NULL)
        return NULL;
    input->room = whole - sizeof *input;
    input->start = 0;
    input->end = 0;
    return input;
}

struct aloop__input *aloop__input_new_for(aloop_stream *stream, size_t size)
{
    return aloop__sender_get(stream) != NULL
               ? aloop__input_new(stream->handle.loop, size)
               : NULL;
}

struct aloop__input *aloop__input_take(aloop_stream *stream)
{
    struct aloop__input *input = NULL;

    if (stream->has_input) {
        input = stream->sender->input;
        set_input(stream, NULL);
    }
    return input;
}

void aloop__input_free(aloop *loop, struct aloop__input *input)
{
    if (input != NULL)
        aloop__buffer_put(loop, input, sizeof *input + input->room);
}

void aloop__input_drop(aloop_stream *stream)
{
    aloop__input_free(stream->handle.loop, aloop__input_take(stream));
}

/* Puts bytes in front of the input.  Returns false if out of memory, and
 * nothing has changed then.
 *
 * Bytes that are given back were usually taken from the same buffer before, so
 * that there is room for them in front of the rest. */
static bool prepend_input(aloop_stream *stream, const char *bytes, size_t size)
{
    size_t rest = aloop__input_size(stream);
    struct aloop__input *older = rest > 0 ? stream->sender->input : NULL;
    struct aloop__input *input;

    if (older != NULL && older->start >= size) {
        older->start -= size;
        memcpy(older->bytes + older->start, bytes, size);
        return true;
    }
    input = aloop__input_new_for(stream, size + rest);
    if (input == NULL)
        return false;
    memcpy(input->bytes, bytes, size);
    if (older != NULL)
        memcpy(input->bytes + size, older->bytes + older->start, rest);
    input->end = size + rest;
    aloop__input_drop(stream);
    set_input(stream, input);
    return true;
}

/* Giving back cannot fail, because the operation ends with another status.
 * Without memory the bytes are lost.  Later bytes must not be taken for them;
 * therefore reading fails from now on. */
void aloop__input_give_back(aloop_stream *stream, const char *bytes,
                            size_t size)
{
    if (size == 0 || prepend_input(stream, bytes, size))
        return;
    stream->read_error = ALOOP_ENOMEM;
    aloop__input_drop(stream); /* These bytes follow the gap. */
}

/* Usually there is no older input: the bytes were received because there was
 * none.  A filter that is asked for them may cancel the operation, which then
 * gives its bytes back. */
void aloop__input_add(aloop_stream *stream, struct aloop__input *input)
{
    aloop *loop = stream->handle.loop;
    struct aloop__input *older;

    if (input->end == 0) {
        aloop__input_free(loop, input);
        return;
    }
    older = aloop__input_take(stream);
    set_input(stream, input);
    if (older == NULL)
        return;
    aloop__input_give_back(stream, older->bytes + older->start,
                           older->end - older->start);
    aloop__input_free(loop, older);
}

/* Without memory the bytes are lost, as in aloop__input_give_back(), but not
 * those in front of them. */
void aloop__input_append(aloop_stream *stream, const char *bytes, size_t size)
{
    struct aloop__input *input;

    if (size == 0)
        return;
    input = aloop__input_new_for(stream, size);
    if (input == NULL) {
        stream->read_error = ALOOP_ENOMEM;
        return;
    }
    memcpy(input->bytes, bytes, size);
    input->end = size;
    aloop__input_add(stream, input);
}

/* on_data gets the bytes in a later turn, because it may be running now. */
int aloop_stream_unread(aloop_stream *stream, const void *data, size_t size)
{
    int error = aloop__check_handle(stream, __func__);

    if (error < 0)
        return error;
    if ((data == NULL && size > 0) || size > PTRDIFF_MAX)
        return ALOOP_EINVAL;
    if (stream->is_reading || stream->is_forwarded)
        return ALOOP_EBUSY;
    if (size == 0)
        return 0;
    if (!prepend_input(stream, data, size))
        return ALOOP_ENOMEM;
    if (aloop__stream_wants_data(stream))
        aloop__stream_deliver_later(stream);
    return 0;
}
