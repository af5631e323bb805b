/* Checks text that arrives in parts to be UTF-8 (RFC 3629). */

#ifndef EXAMPLES_UTF8_H
#define EXAMPLES_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Zeros are the beginning of a text. */
struct utf8 {
    unsigned char left;      /* Bytes that the present character needs. */
    unsigned char low, high; /* What the next one of them may be. */
};

/* Adds a part, which may end inside a character.  Returns false if the text has
 * a byte that cannot follow those before it; then it may not be continued. */
bool utf8_add(struct utf8 *text, const void *data, size_t size);

/* Returns whether the text could end here: not inside a character. */
bool utf8_is_whole(const struct utf8 *text);

#endif
