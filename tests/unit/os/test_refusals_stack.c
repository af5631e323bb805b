/* Stacks and their guards when the system refuses memory. */

#define _GNU_SOURCE

#include "support/refusal_fixture.h"

#include <sys/resource.h>

#include "os/tools.h"

static void a_light_guard_is_used_after_a_successful_trial(void **state)
{
    size_t size = aloop__sys_page_size();
    char *pages = aloop__sys_pages_map(size);

    (void) state;
    assert_non_null(pages);
    f.advice = ADVICE_TAKEN;

    assert_true(aloop__sys_pages_have_light_guards());
    assert_int_equal(aloop__sys_pages_guard(pages, size, true), 0);
    refuse("madvise", ENOMEM, 1);
    assert_int_equal(aloop__sys_pages_guard(pages, size, true), -ENOMEM);
    assert_int_equal(f.refused, 1);

    aloop__sys_pages_unmap(pages, size);
}

/* An emulator returns 0 for advice that it does not know. */
static void a_light_guard_that_has_no_effect_is_not_used(void **state)
{
    size_t size = aloop__sys_page_size();
    char *pages = aloop__sys_pages_map(size);

    (void) state;
    f.advice = ADVICE_IGNORED;

    assert_false(aloop__sys_pages_have_light_guards());

    pages[0] = 1;
    assert_int_equal(aloop__sys_pages_guard(pages + 1, size, false), -EINVAL);
    aloop__sys_pages_unmap(pages, size);
}

static void a_trial_that_cannot_be_made_shows_no_light_guards(void **state)
{
    static const struct {
        const char *call;
        int error;
    } rows[] = {{"mmap", ENOMEM}, {"madvise", EINVAL}, {"pipe2", EMFILE}};

    (void) state;
    f.advice = ADVICE_TAKEN;
    for (size_t i = 0; i < COUNT(rows); i++) {
        refuse(rows[i].call, rows[i].error, 1);
        assert_false(aloop__sys_pages_have_light_guards());
        assert_int_equal(f.refused, 1);
        assert_true(aloop__sys_pages_have_light_guards());
    }
}

static void stacks_use_mprotect_if_light_guards_fail(void **state)
{
    /* The call fails so if all memory is locked, or if a filter forbids it. */
    static const int errors[] = {EINVAL, EPERM, EACCES, ENOSYS, ENOMEM};
    struct aloop__stacks *stacks;
    struct aloop__stack one, two, three;

    (void) state;
    f.advice = ADVICE_TAKEN;
    for (size_t i = 0; i < COUNT(errors); i++) {
        f.protected = 0;
        assert_int_equal(aloop__stacks_open(&aloop__alloc_default, 0, &stacks),
                         0);
        assert_int_equal(aloop__stack_get(stacks, 0, &one), 0);
        assert_int_equal(f.protected, 0);

        refuse("madvise", errors[i], 1);
        assert_int_equal(aloop__stack_get(stacks, 0, &two), 0);
        assert_int_equal(aloop__stack_get(stacks, 0, &three), 0);

        assert_int_equal(f.refused, 1);
        assert_int_equal(f.protected, 2);
        aloop__stacks_close(stacks);
    }
    refuse("mmap", ENOMEM, 2); /* The trial maps one of these pages. */
    assert_int_equal(aloop__stacks_open(&aloop__alloc_default, 0, &stacks), 0);
    assert_int_equal(aloop__stack_get(stacks, 0, &one), 0);
    assert_int_equal(f.protected, 3);
    aloop__stacks_close(stacks);
}

#if defined(SYS_process_madvise)

static bool is_unreadable(const char *byte)
{
    int fds[2];
    bool is_faulting;

    assert_int_equal(pipe(fds), 0);
    is_faulting = write(fds[1], byte, 1) < 0 && errno == EFAULT;
    (void) close(fds[0]);
    (void) close(fds[1]);
    return is_faulting;
}

/* The first slab has 64 stacks, each of which is prepared alone. */
static void stacks_are_prepared_alone_if_groups_are_refused(void **state)
{
    enum { MANY = 64 + 64 + 1 };
    static const int errors[] = {ENOSYS, EPERM, EINVAL, EBADF, ENOMEM};
    struct aloop__stacks *stacks;
    struct aloop__stack stack;

    (void) state;
    if (tools_hide_stacks())
        skip(); /* They are not prepared in groups. */
    f.advice = ADVICE_TAKEN;
    for (size_t i = 0; i < COUNT(errors); i++) {
        refuse("process_madvise", errors[i], 1);
        f.protected = 0;
        assert_int_equal(aloop__stacks_open(&aloop__alloc_default, 0, &stacks),
                         0);
        for (int taken = 0; taken < MANY; taken++) {
            assert_int_equal(aloop__stack_get(stacks, 0, &stack), 0);
            assert_int_equal(f.refused, taken >= 64);
            assert_true(is_unreadable((char *) stack.low - 1));
        }
        aloop__stacks_close(stacks);
    }
}

#endif

static void a_limit_on_memory_makes_stacks_smaller(void **state)
{
    static const int limits[] = {RLIMIT_AS, RLIMIT_DATA};
    struct aloop__stacks *stacks;
    struct aloop__stack large, small;

    (void) state;
    if (aloop__sys_pages_are_scarce())
        skip();
    assert_int_equal(aloop__stacks_open(&aloop__alloc_default, 0, &stacks), 0);
    assert_int_equal(aloop__stack_get(stacks, 0, &large), 0);
    aloop__stacks_close(stacks);
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct rlimit before, limit;

        assert_int_equal(getrlimit((unsigned) limits[i], &before), 0);
        limit = before;
        limit.rlim_cur = RLIM_INFINITY / 2; /* No machine has that much. */
        assert_int_equal(setrlimit((unsigned) limits[i], &limit), 0);
        getrlimit((unsigned) limits[i], &limit);
        if (limit.rlim_cur != RLIM_INFINITY / 2)
            skip(); /* An emulator ignores the limit. */
        assert_true(aloop__sys_pages_are_scarce());
        assert_int_equal(aloop__stacks_open(&aloop__alloc_default, 0, &stacks),
                         0);
        assert_int_equal(aloop__stack_get(stacks, 0, &small), 0);
        aloop__stacks_close(stacks);
        assert_int_equal(setrlimit((unsigned) limits[i], &before), 0);
        assert_true(small.size < large.size / 2);
    }
    assert_false(aloop__sys_pages_are_scarce());
}

static void huge_pages_are_aligned_also_if_the_advice_is_refused(void **state)
{
    enum { SIZE = 2 << 20 };
    char *pages;

    (void) state;
    refuse("mmap", ENOMEM, 1);
    assert_null(aloop__sys_pages_map_huge(SIZE));
    assert_int_equal(f.refused, 1);

    refuse("madvise for huge pages", EINVAL, 1);
    pages = aloop__sys_pages_map_huge(SIZE);
    assert_non_null(pages);
    assert_int_equal(f.refused, 1);
    assert_int_equal((uintptr_t) pages % SIZE, 0);
    pages[0] = pages[SIZE - 1] = 1;
    aloop__sys_pages_unmap(pages, SIZE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_light_guard_is_used_after_a_successful_trial),
        TEST(a_light_guard_that_has_no_effect_is_not_used),
        TEST(a_trial_that_cannot_be_made_shows_no_light_guards),
        TEST(stacks_use_mprotect_if_light_guards_fail),
#if defined(SYS_process_madvise)
        TEST(stacks_are_prepared_alone_if_groups_are_refused),
#endif
        TEST(a_limit_on_memory_makes_stacks_smaller),
        TEST(huge_pages_are_aligned_also_if_the_advice_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
