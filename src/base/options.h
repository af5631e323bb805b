/* Option structs that begin with their own size.
 *
 * A program may have been compiled with an older or a newer version of such a
 * struct than the library.  Therefore fields are only added at the end, and
 * never into the padding at the end of an older version. */

#ifndef ALOOP_BASE_OPTIONS_H
#define ALOOP_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* The offsets of the first byte of a field and of the byte behind it. */
struct options_field {
    size_t start;
    size_t end;
};

#define OPTIONS_END(type, member) \
    (offsetof(type, member) + sizeof(((type *) 0)->member))

/* clang-format off */
#define OPTIONS_FIELD(type, member) \
    {offsetof(type, member), OPTIONS_END(type, member)}
/* clang-format on */

/* Fails to compile unless `member` is the last field, so that a new field is
 * not left out of the table by mistake. */
#define OPTIONS_LAST(type, member) \
    _Static_assert(OPTIONS_END(type, member) + _Alignof(type) > sizeof(type), \
                   "the table of " #type " ends before its last field")

/* The fields of one option struct, as this version of the library knows
 * them. */
struct options_kind {
    size_t size; /* sizeof the struct. */
    const struct options_field *fields;
    size_t count;
};

/* Copies the caller's options to `ret`, which has kind->size bytes.  Fields
 * that the caller's version does not have become zero.  If `given` is NULL, all
 * of them do.
 *
 * Returns false, with `ret` zeroed, for options that cannot be valid: the size
 * is too small for its own field, it ends inside a field, or it is larger than
 * kind->size and the bytes beyond are not all zero. */
bool aloop__options_take(const struct options_kind *kind, const void *given,
                         void *ret);

#endif
