/* Option structs; see options.h. */

#include "base/options.h"

#include <string.h>

/* No version of a struct reaches this size.  A larger size means that the field
 * was never set. */
enum { SIZE_LIMIT = 4096 };

/* Returns whether a struct of `size` bytes would end within a field. */
static bool is_cut_inside_field(const struct options_kind *kind, size_t size)
{
    for (size_t i = 0; i < kind->count; i++)
        if (size > kind->fields[i].start && size < kind->fields[i].end)
            return true;
    return false;
}

/* Returns whether the bytes that a newer caller added to the struct are all
 * zero, so that it asks for nothing that this version does not know. */
static bool is_tail_zero(const unsigned char *given, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (given[i] != 0)
            return false;
    return true;
}

bool aloop__options_take(const struct options_kind *kind, const void *given,
                         void *ret)
{
    size_t size;

    memset(ret, 0, kind->size);
    if (given == NULL)
        return true;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > SIZE_LIMIT ||
        is_cut_inside_field(kind, size) ||
        !is_tail_zero(given, kind->size, size))
        return false;
    memcpy(ret, given, size < kind->size ? size : kind->size);
    return true;
}
