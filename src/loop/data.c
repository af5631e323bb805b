/* Blocks of data that operations return to the application.
 *
 * The bytes are aligned to 64 bytes because some processors copy from the
 * system three to seven times slower into memory that begins 1 to 31 bytes
 * behind a page, which is where malloc() places large blocks. */

#include "loop/data.h"

#include <string.h>

#include "aloop/fs_data.h"
#include "loop/debug.h"

enum { ALIGNMENT = 64 };

struct aloop__data {
    struct aloop__node node; /* In loop->datas once it was given. */
    size_t size;             /* Of the allocation. */
    void *allocation;
};

static_assert(sizeof(struct aloop__data) <= ALIGNMENT,
              "the bytes begin one alignment after the struct");

/* Returns the size of an allocation for `size` bytes, or 0 if there is none. */
static size_t allocation_size(size_t size)
{
    size_t extra = 2 * ALIGNMENT - 1;

    return size < SIZE_MAX - extra ? size + extra : 0;
}

/* Returns the first aligned place of an allocation. */
static char *aligned_place(char *allocation)
{
    return allocation + (ALIGNMENT - 1) -
           ((uintptr_t) allocation + ALIGNMENT - 1) % ALIGNMENT;
}

/* Writes the struct at the aligned place. */
static struct aloop__data *set_up_data(char *allocation, size_t size)
{
    struct aloop__data *data = (void *) aligned_place(allocation);

    list_init(&data->node);
    data->size = size;
    data->allocation = allocation;
    return data;
}

struct aloop__data *aloop__data_new(size_t size)
{
    size_t whole = allocation_size(size);
    char *allocation = NULL;

    if (whole > 0)
        allocation = aloop__alloc_new(&aloop__alloc_default, whole);
    return allocation != NULL ? set_up_data(allocation, whole) : NULL;
}

/* realloc() may move pages instead of copying their bytes, but does not keep
 * the alignment.  Then `kept` bytes are moved to the new aligned place.  After
 * a failure the old block is unchanged. */
struct aloop__data *aloop__data_resize(struct aloop__data *data, size_t kept,
                                       size_t size)
{
    char *allocation = data->allocation;
    ptrdiff_t place = (char *) data - allocation;
    size_t whole = allocation_size(size);

    if (whole > 0)
        allocation = aloop__alloc_resize(&aloop__alloc_default, allocation,
                                         data->size, whole);
    if (whole == 0 || allocation == NULL)
        return NULL;
    if (aligned_place(allocation) != allocation + place)
        memmove(aligned_place(allocation) + ALIGNMENT,
                allocation + place + ALIGNMENT, kept);
    return set_up_data(allocation, whole);
}

void aloop__data_drop(struct aloop__data *data)
{
    if (data != NULL)
        aloop__alloc_free(&aloop__alloc_default, data->allocation, data->size);
}

void *aloop__data_bytes(struct aloop__data *data)
{
    return (char *) data + ALIGNMENT;
}

/* From here on the application may free the block, and aloop_free() frees it
 * otherwise.  Before, it belongs to an operation, whose thread may be using it,
 * so that it is not in the list. */
void *aloop__data_give(aloop *loop, struct aloop__data *data)
{
    list_push(&loop->datas, &data->node);
    return aloop__data_bytes(data);
}

void aloop_data_free(aloop *loop, void *data)
{
    struct aloop__data *block;

    if (data == NULL || aloop__check_loop(loop, __func__) < 0)
        return;
    block = (void *) ((char *) data - ALIGNMENT);
    list_remove(&block->node);
    aloop__data_drop(block);
}

void aloop__datas_free(aloop *loop)
{
    struct aloop__node *node;

    while ((node = list_pop(&loop->datas)) != NULL)
        aloop__data_drop(CONTAINER_OF(node, struct aloop__data, node));
}
