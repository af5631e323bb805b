/* Option structs: which values of `size` are accepted, and which fields each of
 * them covers. */

#include "base/options.h"
#include "support/fixture.h"

#include <string.h>

/* Two versions of a struct that the library knows, and one that is newer than
 * the library. */
struct first {
    size_t size;
    void *name;
    unsigned count; /* Followed by padding. */
};

struct second {
    size_t size;
    void *name;
    unsigned count;
    void *hook;
    void *hook_arg;
};

struct third {
    struct second known;
    void *more;
    char flag;
};

static const struct options_field fields[] = {
    OPTIONS_FIELD(struct second, size),     OPTIONS_FIELD(struct second, name),
    OPTIONS_FIELD(struct second, count),    OPTIONS_FIELD(struct second, hook),
    OPTIONS_FIELD(struct second, hook_arg),
};
OPTIONS_LAST(struct second, hook_arg);

static const struct options_kind kind = {sizeof(struct second), fields,
                                         sizeof fields / sizeof fields[0]};

static void null_options_set_all_defaults(void **state)
{
    static const struct second zero;
    struct second taken = {1, &taken, 1, &taken, &taken};

    (void) state;
    assert_true(aloop__options_take(&kind, NULL, &taken));
    assert_memory_equal(&taken, &zero, sizeof taken);
}

static void an_older_struct_leaves_new_fields_at_their_defaults(void **state)
{
    struct first given = {sizeof given, &given, 7};
    struct second taken = {1, &taken, 1, &taken, &taken};

    (void) state;
    assert_true(aloop__options_take(&kind, &given, &taken));
    assert_ptr_equal(taken.name, &given);
    assert_int_equal(taken.count, 7);
    assert_null(taken.hook);
    assert_null(taken.hook_arg);
}

static void a_newer_struct_is_accepted_if_unknown_fields_are_zero(void **state)
{
    struct third given;
    struct second taken;

    (void) state;
    memset(&given, 0, sizeof given);
    given.known.size = sizeof given;
    given.known.hook_arg = &given;
    assert_true(aloop__options_take(&kind, &given, &taken));
    assert_ptr_equal(taken.hook_arg, &given);
    given.flag = 1;
    assert_false(aloop__options_take(&kind, &given, &taken));
    assert_null(taken.hook_arg);
    given.flag = 0;
    given.more = &given;
    assert_false(aloop__options_take(&kind, &given, &taken));
}

static void an_impossible_size_is_refused(void **state)
{
    static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
    struct second given, taken;

    (void) state;
    memset(&given, 0, sizeof given);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        given.size = sizes[i];
        assert_false(aloop__options_take(&kind, &given, &taken));
    }
}

/* Returns whether a struct of `size` bytes ends with a field of `table`, or in
 * the padding after it. */
static bool ends_a_field(const struct options_field *table, size_t count,
                         size_t size)
{
    for (size_t i = 0; i < count; i++) {
        size_t next = i + 1 < count ? table[i + 1].start : SIZE_MAX;

        if (size >= table[i].end && size <= next)
            return true;
    }
    return false;
}

static void a_loop_refuses_sizes_that_end_inside_a_field(void **state)
{
    static const struct options_field table[] = {
        OPTIONS_FIELD(aloop_options, size),
        OPTIONS_FIELD(aloop_options, resize),
        OPTIONS_FIELD(aloop_options, resize_context),
        OPTIONS_FIELD(aloop_options, clock_ns),
    };
    aloop_options options = {.size = 0};

    (void) state;
    while (++options.size < table[3].start) {
        aloop *loop = aloop_new(&options);

        assert_int_equal(loop != NULL, ends_a_field(table, 3, options.size));
        aloop_free(loop);
    }
}

static void a_loop_accepts_options_of_a_newer_header(void **state)
{
    struct {
        aloop_options known;
        void *more[4];
    } options;
    aloop *loop;

    (void) state;
    memset(&options, 0, sizeof options);
    options.known.size = sizeof options;
    loop = aloop_new(&options.known);
    assert_non_null(loop);
    aloop_free(loop);
    options.more[3] = &options;
    assert_null(aloop_new(&options.known));
}

static ssize_t returns_one(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return 1;
}

static ssize_t spawn_with_size(aloop_task_options *options, size_t size)
{
    options->size = size;
    return aloop_await(aloop_spawn_at(t.loop, returns_one, NULL, options,
                                      "returns_one", ALOOP_HERE));
}

static void a_task_accepts_sizes_by_the_same_rule(void **state)
{
    struct {
        aloop_task_options known;
        void *more;
    } newer = {.known = {.name = "named"}};
    aloop_task_options *options = &newer.known;

    (void) state;
    assert_int_equal(spawn_with_size(options, sizeof *options), 1);
    assert_int_equal(spawn_with_size(options, sizeof newer), 1);
    assert_int_equal(spawn_with_size(options, sizeof(size_t)), 1);
    assert_int_equal(
        spawn_with_size(options, offsetof(aloop_task_options, stack_size)), 1);
    assert_int_equal(spawn_with_size(options, sizeof *options - 1),
                     ALOOP_EINVAL);
    assert_int_equal(spawn_with_size(options, 0), ALOOP_EINVAL);
    newer.more = &newer;
    assert_int_equal(spawn_with_size(options, sizeof newer), ALOOP_EINVAL);
}

static void spawn_with_sets_the_size(void **state)
{
    aloop_group *group = aloop_group_new(t.loop);
    aloop_future *task = aloop_spawn_with(
        t.loop, returns_one, NULL, .name = "sized", .stack_size = 64 * 1024);

    (void) state;
    assert_string_equal(aloop_task_name(task), "sized");
    assert_int_equal(aloop_await(task), 1);
    assert_int_equal(aloop_group_spawn_with(group, returns_one, NULL,
                                            .stack_size = 64 * 1024),
                     0);
    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);
    aloop_group_free(group);
}

static void spawn_with_also_accepts_a_pointer_to_options(void **state)
{
    aloop_task_options options = {.size = sizeof options, .name = "default"};
    aloop_future *task = aloop_spawn_with(t.loop, returns_one, NULL, &options);

    (void) state;
    assert_string_equal(aloop_task_name(task), "default");
    assert_int_equal(aloop_await(task), 1);
    task = aloop_spawn_with(t.loop, returns_one, NULL, &options, .name = "own");
    assert_string_equal(aloop_task_name(task), "own");
    assert_int_equal(aloop_await(task), 1);
    options.size = 0;
    task = aloop_spawn_with(t.loop, returns_one, NULL, &options);
    assert_int_equal(aloop_await(task), ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_spawn_with(t.loop, returns_one, NULL, NULL)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(null_options_set_all_defaults),
        TEST(an_older_struct_leaves_new_fields_at_their_defaults),
        TEST(a_newer_struct_is_accepted_if_unknown_fields_are_zero),
        TEST(an_impossible_size_is_refused),
        TEST(a_loop_refuses_sizes_that_end_inside_a_field),
        TEST(a_loop_accepts_options_of_a_newer_header),
        TEST(a_task_accepts_sizes_by_the_same_rule),
        TEST(spawn_with_sets_the_size),
        TEST(spawn_with_also_accepts_a_pointer_to_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
