/* Doubly linked lists, intrusive and circular.
 *
 * A list head is a node without an object around it: `next` is the first
 * member, `prev` the last.  A node that is in no list points at itself, so that
 * it can be removed again without effect.  A list whose members run application
 * code is not iterated, because that code may remove any member.  Its first
 * member is popped instead, until the list is empty. */

#ifndef ALOOP_BASE_LIST_H
#define ALOOP_BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct aloop__node {
    struct aloop__node *prev;
    struct aloop__node *next;
};

/* clang-format off */
#define CONTAINER_OF(pointer, type, member) \
    ((type *) (void *) ((char *) (pointer) - offsetof(type, member)))
/* clang-format on */

static inline void list_init(struct aloop__node *node)
{
    node->prev = node;
    node->next = node;
}

/* Returns whether a list has no members, or a node is in no list. */
static inline bool list_is_empty(const struct aloop__node *node)
{
    return node->next == node;
}

/* Adds `node`, which is in no list, behind the last member. */
static inline void list_push(struct aloop__node *list, struct aloop__node *node)
{
    assert(list_is_empty(node));
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Does the same for a node that has no value yet. */
static inline void list_push_new(struct aloop__node *list,
                                 struct aloop__node *node)
{
    *node = (struct aloop__node){list->prev, list};
    list->prev->next = node;
    list->prev = node;
}

static inline void list_remove(struct aloop__node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Removes and returns the first member, or returns NULL if there is none. */
static inline struct aloop__node *list_pop(struct aloop__node *list)
{
    struct aloop__node *node = list->next;

    if (node == list)
        return NULL;
    list_remove(node);
    return node;
}

/* Moves all members of `from` behind the members of `list`. */
static inline void list_append(struct aloop__node *list,
                               struct aloop__node *from)
{
    if (list_is_empty(from))
        return;
    list->prev->next = from->next;
    from->next->prev = list->prev;
    from->prev->next = list;
    list->prev = from->prev;
    list_init(from);
}

/* The members of a list that are still to be handled.  Those that are added
 * meanwhile belong to the next round, so that each round ends.  The head is on
 * the stack of a thread, which a member's code may end by pthread_exit().
 * Therefore a round is declared with the attribute cleanup(list_round_end):
 *
 *     __attribute__((cleanup(list_round_end))) struct list_round round;
 *
 *     list_round_begin(&round, list);
 *     while ((node = list_pop(&round.rest)) != NULL)
 *         ... */
struct list_round {
    struct aloop__node *list;
    struct aloop__node rest;
};

static inline void list_round_begin(struct list_round *round,
                                    struct aloop__node *list)
{
    round->list = list;
    list_init(&round->rest);
    list_append(&round->rest, list);
}

/* Puts the members that were not handled back, before those that were added.
 * Nearly always there are none. */
static inline void list_round_end(struct list_round *round)
{
    if (list_is_empty(&round->rest))
        return;
    list_append(&round->rest, round->list);
    list_append(round->list, &round->rest);
}

#endif
