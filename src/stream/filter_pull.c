/* Pulling: moves what the layers have for the peer down to the wire.
 *
 * The wire is filled only up to the high-water mark, and a layer is given
 * nothing while it has refused bytes, so that a filter that makes bytes without
 * an end is limited by the peer. */

#include "stream/filters.h"

enum { PULLS_MAX = 8 }; /* Full buffers of one layer in one call. */

/* Returns whether there is room for what the layer gives. */
static bool may_pull(struct aloop__filters *filters,
                     const struct aloop__layer *layer)
{
    size_t high = filters->is_finishing ? SIZE_MAX
                                        : filters->stream->sender->high;

    if (layer->has_pull_end ||
        (filters->is_finishing && layer->pulled >= FILTER_ENDLESS))
        return false;
    if (layer->below != NULL)
        return layer->below->out.held == NULL && !layer->below->has_failed;
    return filters->wire.queued <= high && !filters->is_mute;
}

/* Gives bytes to a layer, and keeps what it refuses.  Nothing may be held. */
static void write_all(struct aloop__filters *filters,
                      struct aloop__layer *layer, const char *data, size_t size)
{
    size_t done = aloop__layer_write(filters, layer, data, size);

    if (done < size)
        aloop__layer_keep_out(filters, layer, data + done, size - done);
}

/* Fills the scratch memory from the layer.  Several pulls are joined, because a
 * layer may give small records, and each one would cost a send. */
static ssize_t fill_scratch(struct aloop__filters *filters,
                            struct aloop__layer *layer, size_t *ret_size)
{
    size_t size = 0;
    ssize_t n = 1;

    aloop__layer_end_loan(filters);
    while (n > 0 && size < filters->scratch_size) {
        n = aloop__layer_pull(filters, layer, filters->scratch + size,
                              filters->scratch_size - size);
        if (n <= 0)
            break;
        size += (size_t) n;
        if (aloop__layer_ask_idle(layer))
            n = 0;
    }
    *ret_size = size;
    return n;
}

/* Moves what the layer gives.  Returns whether more may follow.  The end is
 * passed on as a mark of the layer below, which is offered it behind the
 * bytes.  A layer that lends is asked whether it is idle when its bytes are not
 * needed any more. */
static bool pull_once(struct aloop__filters *filters,
                      struct aloop__layer *layer)
{
    bool has_lent = layer->filter.lend != NULL;
    const char *data = filters->scratch;
    size_t size = 0;
    ssize_t n;

    if (has_lent) {
        n = aloop__layer_lend(filters, layer, &data);
        size = n > 0 ? (size_t) n : 0;
    } else {
        n = fill_scratch(filters, layer, &size);
    }
    if (size > 0 && layer->below == NULL)
        aloop__wire_put(filters, data, size);
    else if (size > 0)
        write_all(filters, layer->below, data, size);
    if (layer->has_given_end && layer->below != NULL)
        layer->below->out.is_ending = true;
    return n > 0 && !(has_lent && aloop__layer_ask_idle(layer));
}

/* If the last layer has nothing left, the writes that were taken are in the
 * wire. */
void aloop__filters_pull(struct aloop__filters *filters,
                         struct aloop__layer *layer)
{
    bool is_dry = layer == filters->top;

    for (; layer != NULL; layer = layer->below) {
        bool has_room = false, has_more = true;

        if (layer->out.held != NULL || layer->out.is_ending)
            aloop__layer_offer_out(filters, layer);
        for (int i = 0; i < PULLS_MAX && has_more; i++) {
            has_room = may_pull(filters, layer);
            has_more = has_room && pull_once(filters, layer);
        }
        is_dry = is_dry && !has_more && layer->out.held == NULL &&
                 (layer->has_pull_end || has_room);
    }
    filters->wire.is_filling = false;
    filters->is_dry = is_dry;
    if (is_dry)
        aloop__wire_mark(filters);
}

/* What the layers have to give is a part of what was queued before the fork,
 * and the parent sends it.  After this they are in the same state as those of
 * the parent when it has sent everything. */
void aloop__filters_leave(struct aloop__filters *filters)
{
    aloop__filters_pull(filters, filters->top);
    filters->has_forked = false;
}
