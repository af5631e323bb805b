/* stream_input.c: bytes that were received and not consumed. */

#ifndef ALOOP_STREAM_INPUT_H
#define ALOOP_STREAM_INPUT_H

#include "stream/stream.h"

/* Returns an empty buffer for `size` bytes or more, or NULL if out of
 * memory. */
struct aloop__input *aloop__input_new(aloop *loop, size_t size);
/* Does the same for the input of a stream, which gets the writing half that
 * will have it. */
struct aloop__input *aloop__input_new_for(aloop_stream *stream, size_t size);
/* Takes the input away from the stream.  Returns NULL if there is none. */
struct aloop__input *aloop__input_take(aloop_stream *stream);
/* Frees an input that no stream has.  NULL is allowed. */
void aloop__input_free(aloop *loop, struct aloop__input *input);
/* Frees the input.  There may be none. */
void aloop__input_drop(aloop_stream *stream);
/* Puts the bytes of an operation that failed back in front of the input.  If
 * out of memory, reading ends with an error, because the stream would have a
 * gap. */
void aloop__input_give_back(aloop_stream *stream, const char *bytes,
                            size_t size);
/* Takes over a buffer of received bytes, which may be none, and puts it behind
 * the input. */
void aloop__input_add(aloop_stream *stream, struct aloop__input *input);
/* Copies received bytes behind the input.  If out of memory, reading ends with
 * an error. */
void aloop__input_append(aloop_stream *stream, const char *bytes, size_t size);

/* Returns the number of bytes. */
static inline size_t aloop__input_size(const aloop_stream *stream)
{
    const struct aloop__sender *sender = stream->sender;

    return stream->has_input ? sender->input->end - sender->input->start : 0;
}

/* Removes bytes from the front. */
static inline void aloop__input_consume(aloop_stream *stream, size_t size)
{
    struct aloop__input *input = stream->sender->input;

    input->start += size;
    if (input->start == input->end)
        aloop__input_drop(stream);
}

#endif
