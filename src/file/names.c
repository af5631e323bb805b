/* The names of a directory, collected on a thread.
 *
 * Names are kept by their offsets, because `bytes` moves when it grows.  The
 * memory comes from the default allocator, because that of the loop may be used
 * on its own thread only. */

#include "file/names.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"

enum { ITEMS_FIRST = 64, BYTES_FIRST = 2048 };

int aloop__names_open(const char *path, struct sys_dir **ret)
{
    int fd = aloop__sys_open_directory(SYS_CWD, path, true);

    return fd < 0 ? fd : aloop__sys_dir_open(fd, ret);
}

/* Returns how many items an array should have room for; 0: too many. */
static size_t enough(size_t capacity, size_t first, size_t needed, size_t size)
{
    size_t more = capacity == 0 ? first : capacity;

    while (more < needed && more <= SIZE_MAX / 2 / size)
        more *= 2;
    return more < needed ? 0 : more;
}

/* realloc() is not used: it may free the old array before the new one has been
 * stored. */
static void *copy_of(const void *old, size_t old_size, size_t size)
{
    void *copy = size == 0 ? NULL
                           : aloop__alloc_new(&aloop__alloc_default, size);

    if (copy != NULL && old_size > 0)
        memcpy(copy, old, old_size);
    return copy;
}

/* These two store the new array before they free the old one, so that a child
 * that is forked at any time can free what is stored. */

static int reserve_items(struct aloop__names *names, size_t needed)
{
    const size_t size = sizeof *names->items;
    size_t capacity = enough(names->capacity, ITEMS_FIRST, needed, size);
    struct aloop__name *old = names->items, *items;

    if (needed <= names->capacity)
        return 0;
    items = copy_of(old, names->capacity * size, capacity * size);
    if (items == NULL)
        return -ENOMEM;
    names->items = items;
    aloop__alloc_free(&aloop__alloc_default, old, names->capacity * size);
    names->capacity = capacity;
    return 0;
}

static int reserve_bytes(struct aloop__names *names, size_t needed)
{
    size_t capacity = enough(names->bytes_capacity, BYTES_FIRST, needed, 1);
    char *old = names->bytes, *bytes;

    if (needed <= names->bytes_capacity)
        return 0;
    bytes = copy_of(old, names->bytes_capacity, capacity);
    if (bytes == NULL)
        return -ENOMEM;
    names->bytes = bytes;
    aloop__alloc_free(&aloop__alloc_default, old, names->bytes_capacity);
    names->bytes_capacity = capacity;
    return 0;
}

/* Returns 1, the result of aloop__names_read() for a name. */
static int add_name(struct aloop__names *names,
                    const struct sys_dir_entry *entry)
{
    size_t size = strlen(entry->name) + 1;
    int error = reserve_items(names, names->count + 1);

    if (error == 0)
        error = reserve_bytes(names, names->size + size);
    if (error < 0)
        return error;
    names->items[names->count++] =
        (struct aloop__name){names->size, entry->inode, entry->type};
    memcpy(names->bytes + names->size, entry->name, size);
    names->size += size;
    return 1;
}

/* A type that the directory does not have is that of the name in the
 * descriptor.  It is found even if the path of the directory leads elsewhere by
 * now. */
int aloop__names_read(struct aloop__names *names, struct sys_dir *dir)
{
    struct sys_dir_entry entry;
    int result = aloop__sys_dir_read(dir, &entry);
    aloop_stat stat;

    if (result <= 0)
        return result;
    if (entry.type == ALOOP_FILE_UNKNOWN &&
        aloop__sys_statat(aloop__sys_dir_fd(dir), entry.name, false, &stat) >=
            0)
        entry.type = stat.type;
    return add_name(names, &entry);
}

void aloop__names_list(const struct aloop__names *names, const char *bytes,
                       aloop_dir_entry *ret_entries)
{
    for (size_t i = 0; i < names->count; i++)
        ret_entries[i] = (aloop_dir_entry){
            .name = bytes + names->items[i].offset,
            .type = names->items[i].type,
            .inode = names->items[i].inode,
        };
}

void aloop__names_clear(struct aloop__names *names)
{
    names->count = 0;
    names->size = 0;
}

void aloop__names_free(struct aloop__names *names)
{
    aloop__alloc_free(&aloop__alloc_default, names->items,
                      names->capacity * sizeof *names->items);
    aloop__alloc_free(&aloop__alloc_default, names->bytes,
                      names->bytes_capacity);
    *names = (struct aloop__names){0};
}
