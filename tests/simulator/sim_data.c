/* The content of regular files: blocks, of which those that were never written
 * are holes. */

#include <stdlib.h>
#include <string.h>

#include "sim_files.h"

/* Returns the position of the first block with this index or a larger one. */
static size_t position_of(const struct sim_data *data, int64_t index)
{
    size_t low = 0, high = data->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (data->blocks[middle]->index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct sim_block *sim__block_from(const struct sim_data *data, int64_t index)
{
    size_t at = position_of(data, index);

    return at < data->count ? data->blocks[at] : NULL;
}

struct sim_block *sim__block(const struct sim_data *data, int64_t index)
{
    struct sim_block *block = sim__block_from(data, index);

    return block != NULL && block->index == index ? block : NULL;
}

struct sim_block *sim__block_make(struct sim_data *data, int64_t index)
{
    size_t at = position_of(data, index);
    struct sim_block *block;

    if (at < data->count && data->blocks[at]->index == index)
        return data->blocks[at];
    if (data->count == data->capacity) {
        data->capacity = 2 * data->capacity + 4;
        data->blocks = sim__allocate(data->blocks,
                                     data->capacity * sizeof data->blocks[0]);
    }
    memmove(data->blocks + at + 1, data->blocks + at,
            (data->count - at) * sizeof data->blocks[0]);
    block = sim__allocate(NULL, sizeof *block);
    memset(block, 0, sizeof *block);
    block->index = index;
    data->blocks[at] = block;
    data->count++;
    return block;
}

void sim__data_cut(struct sim_data *data, int64_t size)
{
    int64_t last = size / SIM_BLOCK, rest = size % SIM_BLOCK;

    if (size < data->size) {
        size_t kept = position_of(data, rest > 0 ? last + 1 : last);
        struct sim_block *block = sim__block(data, last);

        for (size_t i = kept; i < data->count; i++)
            free(data->blocks[i]);
        data->count = kept;
        if (rest > 0 && block != NULL)
            memset(block->bytes + rest, 0, (size_t) (SIM_BLOCK - rest));
    }
    data->size = size;
}

void sim__data_free(struct sim_data *data)
{
    for (size_t i = 0; i < data->count; i++)
        free(data->blocks[i]);
    free(data->blocks);
    *data = (struct sim_data){.mode = data->mode};
}

void sim__data_copy(struct sim_data *to, const struct sim_data *from)
{
    sim__data_free(to);
    for (size_t i = 0; i < from->count; i++)
        *sim__block_make(to, from->blocks[i]->index) = *from->blocks[i];
    to->size = from->size;
    to->mode = from->mode;
}
