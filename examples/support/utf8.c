/* Checks text that arrives in parts to be UTF-8 (RFC 3629, section 4).
 *
 * A wrong byte is found as soon as it is added: the second byte of a character
 * has a narrower range after some first bytes, which excludes overlong forms,
 * surrogates, and what is above U+10FFFF. */

#include "utf8.h"

#include <stdint.h>
#include <string.h>

static bool begin(struct utf8 *text, unsigned char c)
{
    if (c < 0xc2 || c > 0xf4)
        return false;
    text->left = (unsigned char) (1 + (c >= 0xe0) + (c >= 0xf0));
    text->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    text->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return true;
}

bool utf8_add(struct utf8 *text, const void *data, size_t size)
{
    const unsigned char *next = data, *end = next + size;

    while (next < end) {
        uint64_t word;

        if (text->left > 0) {
            if (*next < text->low || *next > text->high)
                return false;
            text->left--;
            text->low = 0x80;
            text->high = 0xbf;
            next++;
            continue;
        }
        while (end - next >= (ptrdiff_t) sizeof word) { /* ASCII */
            memcpy(&word, next, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) != 0)
                break;
            next += sizeof word;
        }
        while (next < end && *next < 0x80)
            next++;
        if (next < end && !begin(text, *next++))
            return false;
    }
    return true;
}

bool utf8_is_whole(const struct utf8 *text)
{
    return text->left == 0;
}
