/* Structs of options that begin with their own size.
 *
 * A program may have been compiled with an older or a newer version of such a
 * struct than the library: fields are only ever added at the end, and never
 * into padding that an older version ended with. */

#ifndef ALOOP_BASE_OPTIONS_H
#define ALOOP_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* One field: which bytes of the struct are its. */
struct options_field {
    size_t start;
    size_t end;
};

#define OPTIONS_END(type, member) \
    (offsetof(type, member) + sizeof(((type *) 0)->member))

#define OPTIONS_FIELD(type, member) \
    {offsetof(type, member), OPTIONS_END(type, member)}

/* Fails to compile unless `member` is the last field, so that a new one cannot
 * be left out of the table by mistake. */
#define OPTIONS_LAST(type, member)                                        \
    _Static_assert(                                                       \
        OPTIONS_END(type, member) + _Alignof(type) > sizeof(type),        \
        "the table of " #type " ends before its last field")

/* What the library knows of one kind of options. */
struct options_kind {
    size_t size; /* Of the struct. */
    const struct options_field *fields;
    size_t count;
};

/* Writes what the caller gave to `ret`, which has kind->size bytes, with zero
 * for everything that was not given.  NULL gives zero for all.
 *
 * Returns false, with `ret` zeroed, for options that cannot be right: a size
 * that does not even hold the size, one that ends inside a field, or one that
 * is larger than kind->size where the bytes beyond are not all zero. */
bool aloop__options_take(const struct options_kind *kind, const void *given,
                         void *ret);

#endif
