/* stream_input.c: bytes that were received and not consumed. */

#ifndef ALOOP_STREAM_INPUT_H
#define ALOOP_STREAM_INPUT_H

#include "stream/stream.h"

/* Returns an empty buffer for `size` bytes or more, or NULL if out of
 * memory. */
struct aloop__input *aloop__input_new(aloop *loop, size_t size);
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
    return stream->input == NULL ? 0
                                 : stream->input->end - stream->input->start;
}

/* Removes bytes from the front. */
static inline void aloop__input_consume(aloop_stream *stream, size_t size)
{
    stream->input->start += size;
    if (stream->input->start == stream->input->end)
        aloop__input_drop(stream);
}

#endif
