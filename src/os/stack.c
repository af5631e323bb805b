/* The pool of stacks.
 *
 * Address space is mapped in slabs of up to 64 equal slots; unused parts cost
 * no memory.  Where mappings are locked into memory they do cost memory, so
 * that a slab has only one slot there.  If a large mapping fails, a smaller one
 * is tried.  A slot, from low to high addresses:
 *
 *     | guard | usable, as aloop__stack_get() returns it | colour |
 *
 * Guard.  It has 96 KiB where address space is plentiful.  A frame that is
 * larger than the guard can reach the neighbour without touching the guard.
 * char buffer[65536] is about the largest that is common; the rest is for the
 * calls that such a function makes before it uses its buffer.  Compared with 64
 * KiB this costs 64 bytes of page table per stack, and 0.1 us when a slot is
 * used for the first time.  Elsewhere the guard has 16 KiB, which still catches
 * the 9 KiB frames of C libraries.  It is made when the slot is first used, but
 * together with those of the next slots if the pool has more than 64 slots.
 *
 * Colour.  Frames of different stacks at the same distance from a page boundary
 * would compete for the same few sets of the first-level cache.  Up to 2 KiB at
 * the top of each slot are left unused to spread them.
 *
 * A slot that is not in use is in one of three states:
 *
 *     free    used before; its pages are kept.  In a ring: put and taken
 *             at one end, so that the slot used last, whose pages are in
 *             the cache, is reused first; trimmed from the other end.
 *     bare    used before; its pages were given back, its guard is kept.
 *             A bit in its slab.
 *     fresh   never used; counted, not listed.
 *
 * Nothing is written into such a slot, because a link there would keep one page
 * of it resident.
 *
 * Trimming.  `low` is the smallest number of free slots in the current window
 * of time.  That many slots at the far end of the ring were not used in it.
 * When the window ends, all of them but FREE_MIN become bare, one in each step.
 * A slab that has only bare and fresh slots left is unmapped. */

#include "os/stack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "os/guard.h"
#include "os/sys.h"
#include "os/tools.h"

enum {
    SLAB_SLOTS = 64,
    SLAB_SIZE_MAX = 64 * 1024 * 1024, /* Unless one slot is larger. */
    COLOURS = 32,
    COLOUR_STEP = 64,
    COLOUR_MAX = (COLOURS - 1) * COLOUR_STEP,
    FREE_MIN = 16,        /* This many free slots are never given back. */
    RING_MIN = 256,       /* Entries; a power of two. */
    RING_MOVE_MAX = 4096, /* This many are moved when the ring shrinks. */
    RING_STEP = 64 * 1024 /* Bytes of an old ring, freed in one step. */
};

/* Sizes where address space is plentiful, and where it is scarce. */
static const struct {
    size_t usable; /* By default; includes the colour. */
    size_t guard;
} sizes[2] = {{192 * 1024, 96 * 1024}, {48 * 1024, 16 * 1024}};

struct slab {
    struct aloop__node node; /* In stacks->bare while it has bare slots. */
    char *pages;
    size_t slot_size;
    uint64_t bare;  /* One bit for each slot. */
    uint32_t index; /* In stacks->slabs. */
    uint8_t slots;
    uint8_t fresh;      /* Slots from this one on were never used. */
    uint8_t prepared;   /* Slots before this one have a guard. */
    uint8_t kept;       /* Slots before `fresh` that are not bare. */
    uint8_t mprotected; /* Slots whose guard mprotect() made. */
    bool is_dedicated;  /* Has one larger stack and lives as long as that. */
    struct tools_slab tools;
    /* number[i] is i.  A stack in use points to its own entry.  That gives the
     * slab and the slot without a division, which would dominate the cost of a
     * put. */
    uint8_t number[SLAB_SLOTS];
};

struct aloop__stacks {
    const struct aloop__alloc *alloc;
    size_t size; /* Usable bytes of a stack by default. */
    size_t slot_size;
    size_t guard_size;
    uint8_t slots; /* In each new slab. */
    struct aloop__guards guards;
    bool may_be_locked; /* The next mapping, into memory. */

    struct slab **slabs; /* slab_count entries; NULL is a vacancy. */
    uint32_t slab_count, slab_max;
    uint32_t vacancy;        /* There is no vacancy before this index. */
    uint32_t slot_count;     /* Of all slabs. */
    struct slab *fresh;      /* The slab that has slots never used, or NULL. */
    struct aloop__node bare; /* Slabs with bare slots. */

    /* Free slots, as slab index * SLAB_SLOTS + slot.  They are at ring[head &
     * (ring_max - 1)] and the free_count - 1 places after it.  The ring has
     * room for all slots of all slabs, so that a put cannot fail. */
    uint32_t *ring;
    uint32_t ring_max, head, free_count;
    void *old_ring; /* old_size bytes, to be freed in steps. */
    size_t old_size;
    uint32_t low;   /* Minimum of free_count in this window. */
    uint32_t stale; /* Number of slots still to become bare. */
};

/* Rounds up to a multiple of `unit`. */
static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

/* Returns the size of a slot that holds `usable` bytes and a guard, or 0 if it
 * would overflow. */
static size_t slot_size_for(const struct aloop__stacks *stacks, size_t usable)
{
    if (usable > SIZE_MAX / 8)
        return 0;
    return round_up(usable * TOOLS_STACK_SCALE + stacks->guard_size,
                    aloop__sys_page_size());
}

int aloop__stacks_open(const struct aloop__alloc *alloc, size_t size,
                       struct aloop__stacks **ret)
{
    bool is_scarce = sizeof(void *) < 8 || aloop__sys_pages_are_scarce();
    struct aloop__stacks *stacks = aloop__alloc_zero(alloc, sizeof *stacks);
    size_t slots;

    if (stacks == NULL)
        return -ENOMEM;
    if (size > 0 && size < STACK_SIZE_MIN)
        size = STACK_SIZE_MIN;
    if (size < SIZE_MAX - COLOUR_MAX)
        size = size > 0 ? size + COLOUR_MAX : sizes[is_scarce].usable;

    stacks->alloc = alloc;
    stacks->guard_size =
        round_up(sizes[is_scarce].guard, aloop__sys_page_size());
    stacks->slot_size = slot_size_for(stacks, size);
    if (stacks->slot_size == 0) {
        aloop__alloc_free(alloc, stacks, sizeof *stacks);
        return -ENOMEM;
    }
    stacks->size = stacks->slot_size - stacks->guard_size - COLOUR_MAX;
    slots = SLAB_SIZE_MAX / stacks->slot_size;
    stacks->slots = (uint8_t) (slots < 1            ? 1
                               : slots > SLAB_SLOTS ? SLAB_SLOTS
                                                    : slots);
    aloop__guards_init(&stacks->guards);
    stacks->may_be_locked = true;
    list_init(&stacks->bare);
    *ret = stacks;
    return 0;
}

/* Returns the first byte of a slot, which is that of its guard. */
static char *slot_pages(const struct slab *slab, uint32_t slot)
{
    return slab->pages + slot * slab->slot_size;
}

/* Unmaps a slab and frees its index.  Also when stacks of it are in use, at the
 * end of the loop. */
static void slab_close(struct aloop__stacks *stacks, struct slab *slab)
{
    for (uint32_t slot = 0; slot < slab->fresh; slot++)
        tools_slot_fini(&slab->tools, slot,
                        slot_pages(slab, slot) + stacks->guard_size,
                        slab->slot_size - stacks->guard_size);
    tools_slab_fini(&slab->tools, stacks->alloc, slab->slots);
    aloop__guard_release(slab->mprotected);
    aloop__sys_pages_unmap(slab->pages, slab->slots * slab->slot_size);

    list_remove(&slab->node);
    stacks->slot_count -= slab->slots;
    stacks->slabs[slab->index] = NULL;
    if (slab->index < stacks->vacancy)
        stacks->vacancy = slab->index;
    if (stacks->fresh == slab)
        stacks->fresh = NULL;
    aloop__alloc_free(stacks->alloc, slab, sizeof *slab);
}

void aloop__stacks_close(struct aloop__stacks *stacks)
{
    const struct aloop__alloc *alloc = stacks->alloc;

    for (uint32_t i = 0; i < stacks->slab_count; i++)
        if (stacks->slabs[i] != NULL)
            slab_close(stacks, stacks->slabs[i]);
    aloop__alloc_free(alloc, stacks->old_ring, stacks->old_size);
    aloop__alloc_free(alloc, stacks->slabs,
                      stacks->slab_max * sizeof *stacks->slabs);
    aloop__alloc_free(alloc, stacks->ring,
                      stacks->ring_max * sizeof *stacks->ring);
    aloop__alloc_free(alloc, stacks, sizeof *stacks);
}

/* Returns an entry of the ring: entry 0 is the slot that was free for
 * longest. */
static uint32_t *ring_at(const struct aloop__stacks *stacks, uint32_t place)
{
    return &stacks->ring[(stacks->head + place) & (stacks->ring_max - 1)];
}

/* Replaces the ring, in order.  The replaced one becomes the old ring. */
static int ring_resize(struct aloop__stacks *stacks, uint32_t max)
{
    uint32_t *ring = aloop__alloc_new(stacks->alloc, max * sizeof *ring);

    if (ring == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < stacks->free_count; i++)
        ring[i] = *ring_at(stacks, i);
    aloop__alloc_free(stacks->alloc, stacks->old_ring, stacks->old_size);
    stacks->old_ring = stacks->ring;
    stacks->old_size = stacks->ring_max * sizeof *ring;
    stacks->ring = ring;
    stacks->ring_max = max;
    stacks->head = 0;
    return 0;
}

/* Makes room for one more slab and for its slots in the ring. */
static int reserve(struct aloop__stacks *stacks, uint32_t slots)
{
    uint32_t max = stacks->slab_max;
    void *array;

    if (stacks->slab_count == max) {
        max = max > 0 ? max + max / 2 : 4;
        array = aloop__alloc_resize(stacks->alloc, stacks->slabs,
                                    stacks->slab_max * sizeof *stacks->slabs,
                                    max * sizeof *stacks->slabs);
        if (array == NULL)
            return -ENOMEM;
        stacks->slabs = array;
        stacks->slab_max = max;
    }
    if (stacks->slot_count + slots <= stacks->ring_max)
        return 0;
    max = stacks->ring_max > 0 ? 2 * stacks->ring_max : RING_MIN;
    int r = ring_resize(stacks, max);
    aloop__alloc_shrink(stacks->alloc, &stacks->old_ring, &stacks->old_size,
                        SIZE_MAX);
    return r;
}

/* Maps a slab of `slots` slots, or of half as many until the system accepts
 * it. */
static void map_most(struct slab *slab, uint8_t slots)
{
    do {
        slab->slots = slots;
        slab->pages = aloop__sys_pages_map(slots * slab->slot_size);
        slots /= 2;
    } while (slab->pages == NULL && slots > 0);
}

/* Maps up to `slots` slots, as many as possible.  Whether mappings are locked
 * is asked before the first one and then about the slab itself, which costs
 * less.  Only the first slab after a mlockall() is mapped twice. */
static int slab_map(struct aloop__stacks *stacks, struct slab *slab,
                    uint8_t slots)
{
    if (slots > 1 && stacks->may_be_locked)
        stacks->may_be_locked = aloop__sys_pages_are_locked(NULL);
    if (stacks->may_be_locked)
        slots = 1;
    map_most(slab, slots);
    if (slab->pages != NULL && slab->slots > 1 &&
        aloop__sys_pages_are_locked(slab->pages)) {
        stacks->may_be_locked = true;
        aloop__sys_pages_unmap(slab->pages, slab->slots * slab->slot_size);
        map_most(slab, 1);
    }
    return slab->pages == NULL ? -ENOMEM : 0;
}

/* Maps a slab and gives it an index.  Everything that can fail comes before
 * that. */
static int slab_open(struct aloop__stacks *stacks, size_t slot_size,
                     uint8_t slots, struct slab **ret)
{
    int r = reserve(stacks, slots);
    struct slab *slab;

    if (r < 0)
        return r;
    slab = aloop__alloc_zero(stacks->alloc, sizeof *slab);
    if (slab == NULL)
        return -ENOMEM;
    slab->slot_size = slot_size;
    if (slab_map(stacks, slab, slots) < 0)
        goto fail;
    if (tools_slab_init(&slab->tools, stacks->alloc, slab->slots) < 0) {
        aloop__sys_pages_unmap(slab->pages, slab->slots * slot_size);
        goto fail;
    }
    list_init(&slab->node);
    stacks->slot_count += slab->slots;
    for (uint8_t i = 0; i < slab->slots; i++)
        slab->number[i] = i;

    while (stacks->vacancy < stacks->slab_count &&
           stacks->slabs[stacks->vacancy] != NULL)
        stacks->vacancy++;
    slab->index = stacks->vacancy;
    if (slab->index == stacks->slab_count)
        stacks->slab_count++;
    stacks->slabs[slab->index] = slab;
    *ret = slab;
    return 0;

fail:
    aloop__alloc_free(stacks->alloc, slab, sizeof *slab);
    return -ENOMEM;
}

/* Takes a slot that was never used.  Makes its guard, and those of the slots
 * that follow it in a pool with more slots than one slab of small stacks. */
static uint32_t slot_fresh(struct aloop__stacks *stacks, struct slab *slab)
{
    uint32_t slot = slab->fresh;
    uint32_t count = stacks->slot_count > SLAB_SLOTS ? slab->slots - slot : 1;

    if (slot == slab->prepared)
        slab->prepared += aloop__guards_make(
            &stacks->guards, slot_pages(slab, slot), slab->slot_size, count,
            stacks->guard_size, &slab->mprotected);
    slab->fresh++;
    slab->kept++;
    tools_slot_init(&slab->tools, slot,
                    slot_pages(slab, slot) + stacks->guard_size,
                    slab->slot_size - stacks->guard_size);
    return slot;
}

/* Describes a slot to its new user.  The colour is taken from the top of the
 * stack, where frames begin. */
static void slot_take(struct aloop__stacks *stacks, struct slab *slab,
                      uint32_t slot, struct aloop__stack *ret)
{
    size_t colour = (size_t) slot % COLOURS * COLOUR_STEP;

    ret->low = slot_pages(slab, slot) + stacks->guard_size;
    ret->size = slab->slot_size - stacks->guard_size - colour;
    ret->slab = &slab->number[slot];
    tools_slot_take(ret->low, ret->size);
}

/* Returns a bare slot of a slab that has one. */
static uint32_t slot_bare(struct slab *slab)
{
    uint32_t slot = (uint32_t) __builtin_ctzll(slab->bare);

    slab->bare &= slab->bare - 1;
    slab->kept++;
    if (slab->bare == 0)
        list_remove(&slab->node);
    return slot;
}

/* Maps a slab for one stack that is larger than the pool's. */
static int dedicated_get(struct aloop__stacks *stacks, size_t size,
                         struct aloop__stack *ret)
{
    size_t slot_size = slot_size_for(stacks, size);
    struct slab *slab;
    int r;

    if (slot_size == 0)
        return -ENOMEM;
    r = slab_open(stacks, slot_size, 1, &slab);
    if (r < 0)
        return r;
    slab->is_dedicated = true;
    slot_take(stacks, slab, slot_fresh(stacks, slab), ret);
    return 0;
}

int aloop__stack_get(struct aloop__stacks *stacks, size_t size,
                     struct aloop__stack *ret)
{
    if (size > stacks->size)
        return dedicated_get(stacks, size, ret);

    if (stacks->free_count > 0) {
        uint32_t id = *ring_at(stacks, --stacks->free_count);

        if (stacks->free_count < stacks->low)
            stacks->low = stacks->free_count;
        slot_take(stacks, stacks->slabs[id / SLAB_SLOTS], id % SLAB_SLOTS, ret);
        return 0;
    }
    if (!list_is_empty(&stacks->bare)) {
        struct slab *some = CONTAINER_OF(stacks->bare.next, struct slab, node);

        slot_take(stacks, some, slot_bare(some), ret);
        return 0;
    }
    if (stacks->fresh == NULL) {
        int r =
            slab_open(stacks, stacks->slot_size, stacks->slots, &stacks->fresh);
        if (r < 0)
            return r;
    }
    struct slab *slab = stacks->fresh;
    slot_take(stacks, slab, slot_fresh(stacks, slab), ret);
    if (slab->fresh == slab->slots)
        stacks->fresh = NULL;
    return 0;
}

void aloop__stack_put(struct aloop__stacks *stacks, struct aloop__stack *stack)
{
    uint8_t *number = stack->slab;
    uint32_t slot = *number;
    void *base = number - slot - offsetof(struct slab, number);
    struct slab *slab = base;

    if (slab->is_dedicated) {
        slab_close(stacks, slab);
        return;
    }
    tools_slot_put(stack->low, stack->size);
    *ring_at(stacks, stacks->free_count++) = slab->index * SLAB_SLOTS + slot;
}

bool aloop__stacks_have_spare(const struct aloop__stacks *stacks)
{
    return stacks->free_count > FREE_MIN;
}

void aloop__stacks_end_window(struct aloop__stacks *stacks)
{
    stacks->stale = stacks->low > FREE_MIN ? stacks->low - FREE_MIN : 0;
    stacks->low = stacks->free_count;
}

/* Shrinks the ring after slabs were unmapped.  That of a million slots has 4
 * MiB, too much to free in one step.  Returns whether there is more to do. */
static bool ring_trim(struct aloop__stacks *stacks)
{
    uint32_t max = stacks->ring_max;

    while (max > RING_MIN && stacks->slot_count <= max / 4)
        max /= 2;
    if (stacks->old_size == 0 && max < stacks->ring_max &&
        stacks->free_count <= RING_MOVE_MAX)
        (void) ring_resize(stacks, max);
    aloop__alloc_shrink(stacks->alloc, &stacks->old_ring, &stacks->old_size,
                        RING_STEP);
    return stacks->old_size > 0;
}

bool aloop__stacks_trim(struct aloop__stacks *stacks)
{
    struct slab *slab;
    uint32_t id, slot;

    if (stacks->stale > stacks->low)
        stacks->stale = stacks->low; /* The others are in use again. */
    if (stacks->stale == 0)
        return ring_trim(stacks);
    id = *ring_at(stacks, 0);
    stacks->head++;
    stacks->stale--;
    stacks->low--;
    stacks->free_count--;

    slab = stacks->slabs[id / SLAB_SLOTS];
    slot = id % SLAB_SLOTS;
    if (--slab->kept == 0) {
        slab_close(stacks, slab);
        return true;
    }
    aloop__sys_pages_trim(slot_pages(slab, slot) + stacks->guard_size,
                          slab->slot_size - stacks->guard_size);
    if (slab->bare == 0)
        list_push(&stacks->bare, &slab->node);
    slab->bare |= UINT64_C(1) << slot;
    return true;
}
