/* Lists: the order of their members, and rounds. */

#include "support/fixture.h"

#include "base/list.h"

enum { MEMBERS = 5 };

static struct aloop__node list, members[MEMBERS];

/* Makes a list of the first `count` members. */
static void fill(int count)
{
    list_init(&list);
    for (int i = 0; i < MEMBERS; i++)
        list_init(&members[i]);
    for (int i = 0; i < count; i++)
        list_push(&list, &members[i]);
}

/* Notes the members, and empties the list. */
static void note_members(void)
{
    struct aloop__node *node;

    while ((node = list_pop(&list)) != NULL)
        note((int) (node - members));
}

static void a_list_keeps_the_order_of_its_members(void **state)
{
    struct aloop__node others;

    (void) state;
    fill(3);
    list_remove(&members[1]);
    list_init(&others);
    list_push(&others, &members[3]);
    list_push_new(&others, &members[4]);
    list_append(&list, &others);
    list_append(&list, &others); /* It is empty. */
    list_push(&list, &members[1]);
    note_members();
    assert_noted(0, 2, 3, 4, 1);
}

/* A round of the list, which ends after its first member. */
static void handle_one(void)
{
    __attribute__((cleanup(list_round_end))) struct list_round round;

    list_round_begin(&round, &list);
    assert_ptr_equal(list_pop(&round.rest), &members[0]);
    list_push(&list, &members[4]); /* It belongs to the next round. */
}

static void what_a_round_has_not_handled_comes_first_in_the_next(void **state)
{
    (void) state;
    fill(3);
    handle_one();
    note_members();
    assert_noted(1, 2, 4);
}

static void a_round_of_one_member_leaves_only_what_was_added(void **state)
{
    (void) state;
    fill(1);
    handle_one();
    note_members();
    assert_noted(4);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_list_keeps_the_order_of_its_members),
        TEST(what_a_round_has_not_handled_comes_first_in_the_next),
        TEST(a_round_of_one_member_leaves_only_what_was_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
