/* The context switch: which state belongs to a flow of execution, and that a
 * switch preserves this state. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "os/context.h"
#include "os/stack.h"

struct flow {
    struct aloop__context context;
    struct aloop__stack stack;
    void (*body)(struct flow *flow);
    int number;
    bool is_over;
};

enum { FLOWS_MAX = 50 };

static struct {
    struct aloop__context thread;
    struct aloop__stacks *stacks;
    struct flow flows[FLOWS_MAX];
    char trace[64];
} f;

/* The per-thread state of exceptions being handled, which a C++ runtime would
 * define. */
struct exceptions {
    void *caught;
    unsigned uncaught;
    void *more;
};
static struct exceptions exceptions;

struct exceptions *__cxa_get_globals(void);

struct exceptions *__cxa_get_globals(void)
{
    return &exceptions;
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    memset(&exceptions, 0, sizeof exceptions);
    aloop__context_init_thread(&f.thread);
    return aloop__stacks_open(&aloop__alloc_default, 0, &f.stacks);
}

static int tear_down(void **state)
{
    (void) state;
    aloop__stacks_close(f.stacks);
    aloop__context_fini_thread(&f.thread);
    return 0;
}

static void run(void *arg)
{
    struct flow *flow = arg;

    flow->body(flow);
    flow->is_over = true;
    aloop__context_switch_last(&flow->context, &f.thread);
}

static struct flow *start(int number, void (*body)(struct flow *flow))
{
    struct flow *flow = &f.flows[number];

    flow->number = number;
    flow->body = body;
    assert_int_equal(aloop__stack_get(f.stacks, 0, &flow->stack), 0);
    aloop__context_init(&flow->context, flow->stack.low, flow->stack.size, run,
                        flow);
    return flow;
}

static void resume(struct flow *flow)
{
    aloop__context_switch(&f.thread, &flow->context);
}

static void wait_turn(struct flow *flow)
{
    aloop__context_switch(&flow->context, &f.thread);
}

static void end(struct flow *flow)
{
    aloop__context_fini(&flow->context);
    aloop__stack_put(f.stacks, &flow->stack);
}

static void trace(int number)
{
    f.trace[strlen(f.trace)] = (char) ('a' + number);
}

static void trace_thrice(struct flow *flow)
{
    for (int i = 0; i < 3; i++) {
        trace(flow->number);
        wait_turn(flow);
    }
}

static void flows_take_turns(void **state)
{
    struct flow *one = start(0, trace_thrice), *two = start(1, trace_thrice);

    (void) state;
    while (!one->is_over || !two->is_over) {
        resume(one);
        resume(two);
    }

    assert_string_equal(f.trace, "ababab");
    end(one);
    end(two);
}

static void alternate(struct flow *flow)
{
    struct flow *other = &f.flows[1 - flow->number];

    for (int i = 0; i < 3; i++) {
        trace(flow->number);
        aloop__context_switch(&flow->context, &other->context);
    }
    wait_turn(flow);
}

static void a_flow_switches_directly_to_another(void **state)
{
    struct flow *one = start(0, alternate), *two = start(1, alternate);

    (void) state;
    resume(one);

    assert_string_equal(f.trace, "ababab");
    end(one);
    end(two);
}

/* Switches away at each level, on the way down and on the way up. */
static unsigned descend(struct flow *flow, unsigned depth)
{
    unsigned sum = depth * 3 + (unsigned) flow->number;
    volatile unsigned copy = sum;

    wait_turn(flow);
    if (depth > 0)
        sum += descend(flow, depth - 1);
    wait_turn(flow);
    return copy == depth * 3 + (unsigned) flow->number ? sum : 0;
}

static unsigned descended[2];

static void descend_far(struct flow *flow)
{
    descended[flow->number] = descend(flow, 100);
}

static void deep_frames_survive_switches_at_each_level(void **state)
{
    struct flow *one = start(0, descend_far), *two = start(1, descend_far);

    (void) state;
    while (!one->is_over || !two->is_over) {
        resume(one);
        resume(two);
    }

    assert_int_equal(descended[0], 3 * 5050);
    assert_int_equal(descended[1], 3 * 5050 + 101);
    end(one);
    end(two);
}

/* Keeps more values live across the switch than there are callee-saved
 * registers, so that an optimised build uses all of these registers. */
static bool values_survive(void (*step)(struct flow *flow), struct flow *flow,
                           volatile unsigned long *seed)
{
    unsigned long a = *seed, b = a * 3, c = a * 5, d = a * 7, e = a * 11;
    unsigned long g = a * 13, h = a * 17, i = a * 19, j = a * 23, k = a * 29;
    unsigned long l = a * 31, m = a * 37, n = a * 41, o = a * 43;
    double p = (double) a, q = p / 3, r = p / 5, s = p / 7, t = p / 11;
    double u = p / 13, v = p / 17, w = p / 19, x = p / 23, y = p / 29;
    double z = p / 31, before, after;
    unsigned long sum;

    before = p - q * r + s * t - u * v + w * x - y * z;
    for (int turn = 0; turn < 4; turn++) {
        step(flow);
        a ^= b ^ c, d ^= e ^ g, h ^= i ^ j, k ^= l ^ m, n ^= o;
        step(flow);
        n ^= o, k ^= l ^ m, h ^= i ^ j, d ^= e ^ g, a ^= b ^ c;
    }
    after = p - q * r + s * t - u * v + w * x - y * z;
    sum = a + b + c + d + e + g + h + i + j + k + l + m + n + o;
    return sum == *seed * 280 && memcmp(&before, &after, sizeof before) == 0;
}

static bool has_survived[2];
static volatile unsigned long seeds[2] = {123457, 7654321};

static void keep_values(struct flow *flow)
{
    has_survived[flow->number] =
        values_survive(wait_turn, flow, &seeds[flow->number]);
}

static void switch_to_the_other(struct flow *flow)
{
    if (!flow->is_over)
        resume(flow);
}

static void preserved_registers_hold_their_values(void **state)
{
    volatile unsigned long seed = 999331;
    struct flow *one = start(0, keep_values), *two = start(1, keep_values);

    (void) state;
    bool is_kept = values_survive(switch_to_the_other, one, &seed);
    while (!one->is_over || !two->is_over) {
        switch_to_the_other(two);
        switch_to_the_other(one);
    }

    assert_true(is_kept);
    assert_true(has_survived[0]);
    assert_true(has_survived[1]);
    end(one);
    end(two);
}

/* These functions access the rounding mode of the processor directly, because
 * those of fenv.h would need the mathematical library. */
#if defined(__x86_64__)

enum { NEAREST = 0, UPWARD = 2, TOWARDS_ZERO = 3 };

static void set_rounding(unsigned mode)
{
    unsigned mxcsr = 0;
    unsigned short x87 = 0;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    mxcsr = (mxcsr & ~0x6000U) | mode << 13;
    x87 = (unsigned short) ((x87 & ~0xc00U) | mode << 10);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("fldcw %0" : : "m"(x87));
}

static unsigned rounding(void)
{
    unsigned mxcsr = 0;
    unsigned short x87 = 0;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (mxcsr >> 13 & 3) == (x87 >> 10 & 3U) ? mxcsr >> 13 & 3 : 99;
}

#elif defined(__aarch64__)

enum { NEAREST = 0, UPWARD = 1, TOWARDS_ZERO = 3 };

static void set_rounding(unsigned mode)
{
    uint64_t fpcr = (uint64_t) mode << 22;

    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
}

static unsigned rounding(void)
{
    uint64_t fpcr;

    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (unsigned) (fpcr >> 22 & 3);
}

#elif defined(__riscv)

enum { NEAREST = 0, UPWARD = 3, TOWARDS_ZERO = 1 };

static void set_rounding(unsigned mode)
{
    __asm__ volatile("fsrm %0" : : "r"((unsigned long) mode));
}

static unsigned rounding(void)
{
    unsigned long mode;

    __asm__ volatile("frrm %0" : "=r"(mode));
    return (unsigned) mode;
}

#else

enum { NEAREST, UPWARD, TOWARDS_ZERO };

static void set_rounding(unsigned mode)
{
    (void) mode;
    skip();
}

static unsigned rounding(void)
{
    return NEAREST;
}

#endif

static unsigned roundings[3];

static void change_rounding(struct flow *flow)
{
    roundings[0] = rounding();
    set_rounding(TOWARDS_ZERO);
    wait_turn(flow);
    roundings[1] = rounding();
    wait_turn(flow);
    roundings[2] = rounding();
}

static void the_rounding_mode_belongs_to_the_flow(void **state)
{
    struct flow *flow = start(0, change_rounding);

    (void) state;
    resume(flow);
    unsigned first = rounding();
    set_rounding(UPWARD);
    resume(flow);
    unsigned second = rounding();
    set_rounding(NEAREST);
    resume(flow);
    unsigned third = rounding();

    assert_int_equal(first, NEAREST);
    assert_int_equal(second, UPWARD);
    assert_int_equal(third, NEAREST);
    assert_int_equal(roundings[1], TOWARDS_ZERO);
    assert_int_equal(roundings[2], TOWARDS_ZERO);
    end(flow);
}

static void a_new_flow_inherits_the_rounding_mode(void **state)
{
    (void) state;
    set_rounding(UPWARD);
    struct flow *flow = start(0, change_rounding);
    set_rounding(NEAREST);
    while (!flow->is_over)
        resume(flow);

    assert_int_equal(roundings[0], UPWARD);
    end(flow);
}

static int errors[2];

static void change_errno(struct flow *flow)
{
    errors[0] = errno;
    errno = ENOTTY;
    wait_turn(flow);
    errors[1] = errno;
    errno = EBADF;
}

static void errno_belongs_to_the_flow(void **state)
{
    struct flow *flow = start(0, change_errno);

    (void) state;
    errno = EPERM;
    resume(flow);
    int first = errno;
    errno = ERANGE;
    resume(flow);
    int second = errno;

    assert_int_equal(first, EPERM);
    assert_int_equal(second, ERANGE);
    assert_int_equal(errors[0], 0);
    assert_int_equal(errors[1], ENOTTY);
    end(flow);
}

static void *caught[2];

static void handle_exception(struct flow *flow)
{
    caught[0] = exceptions.caught;
    exceptions = (struct exceptions){flow, 1, NULL};
    wait_turn(flow);
    caught[1] = exceptions.caught;
}

static void exceptions_being_handled_belong_to_the_flow(void **state)
{
    struct flow *flow = start(0, handle_exception);

    (void) state;
    exceptions.caught = &f;
    resume(flow);
    void *mine = exceptions.caught;
    unsigned uncaught = exceptions.uncaught;
    exceptions.caught = NULL;
    resume(flow);

    assert_ptr_equal(mine, &f);
    assert_int_equal(uncaught, 0);
    assert_null(caught[0]);
    assert_ptr_equal(caught[1], flow);
    assert_null(exceptions.caught);
    end(flow);
}

static volatile uintptr_t misaligned;
static char text[32];

static void use_aligned_locals(struct flow *flow)
{
    _Alignas(16) volatile char local[16];
    volatile uintptr_t address = (uintptr_t) local;
    volatile double third = 1.0 / 3;

    (void) flow;
    local[0] = 0;
    misaligned = address % 16;
    (void) snprintf(text, sizeof text, "%.3f %Lg", third, (long double) 2.5);
}

static void the_stack_of_a_flow_is_aligned(void **state)
{
    struct flow *flow = start(0, use_aligned_locals);

    (void) state;
    misaligned = 1;
    resume(flow);

    assert_int_equal(misaligned, 0);
    assert_string_equal(text, "0.333 2.5");
    end(flow);
}

static int jumps;

static void jump_out(jmp_buf *target, struct flow *flow)
{
    wait_turn(flow);
    longjmp(*target, 7);
}

static void jump_thrice(struct flow *flow)
{
    jmp_buf target;
    volatile int turn = 0;

    while (turn < 3) {
        turn = turn + 1;
        if (setjmp(target) == 0)
            jump_out(&target, flow);
        else
            jumps += turn;
    }
}

static void longjmp_works_within_a_flow(void **state)
{
    struct flow *one = start(0, jump_thrice), *two = start(1, jump_thrice);

    (void) state;
    jumps = 0;
    while (!one->is_over || !two->is_over) {
        switch_to_the_other(one);
        switch_to_the_other(two);
    }

    assert_int_equal(jumps, 12);
    end(one);
    end(two);
}

static void a_flow_can_be_freed_at_any_time(void **state)
{
    struct flow *never_ran = start(0, trace_thrice);
    struct flow *waits = start(1, trace_thrice);

    (void) state;
    resume(waits);
    end(never_ran);
    end(waits);

    struct flow *again = start(2, trace_thrice);
    while (!again->is_over)
        resume(again);
    end(again);
    assert_string_equal(f.trace, "bccc");
}

static unsigned next_random(unsigned *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 16;
}

static unsigned wrong;

/* Descends and returns at random, and checks the values in its stack frames. */
static void wander(struct flow *flow, unsigned *random, int depth)
{
    unsigned mine[8];

    for (unsigned i = 0; i < 8; i++)
        mine[i] = (unsigned) flow->number * 1000 + (unsigned) depth * 8 + i;
    do {
        errno = flow->number;
        wait_turn(flow);
        wrong += errno != flow->number;
        for (unsigned i = 0; i < 8; i++)
            wrong += mine[i] !=
                     (unsigned) flow->number * 1000 + (unsigned) depth * 8 + i;
        if (depth < 40 && next_random(random) % 2 == 0)
            wander(flow, random, depth + 1);
    } while (depth == 0 || next_random(random) % 4 > 0);
}

static void wander_without_end(struct flow *flow)
{
    unsigned random = (unsigned) flow->number;

    wander(flow, &random, 0);
}

static void many_flows_in_random_order_keep_their_values(void **state)
{
    unsigned random = 42;

    (void) state;
    wrong = 0;
    for (int i = 0; i < FLOWS_MAX; i++)
        (void) start(i, wander_without_end);
    for (int i = 0; i < 50000; i++)
        resume(&f.flows[next_random(&random) % FLOWS_MAX]);

    assert_int_equal(wrong, 0);
    for (int i = 0; i < FLOWS_MAX; i++)
        end(&f.flows[i]);
}

/* Contexts that are called. */

static struct aloop__context *run_called(void *arg)
{
    struct flow *flow = arg;

    aloop__context_renew();
    flow->body(flow);
    flow->is_over = true;
    return &f.thread;
}

/* Calls the body of a flow on a stack of its own, until it first waits. */
static struct flow *call(int number, void (*body)(struct flow *flow))
{
    struct flow *flow = &f.flows[number];

    if (!aloop__context_can_call())
        skip();
    flow->number = number;
    flow->body = body;
    assert_int_equal(aloop__stack_get(f.stacks, 0, &flow->stack), 0);
    aloop__context_call(&f.thread, flow->stack.low, flow->stack.size,
                        run_called, flow);
    return flow;
}

static void a_called_flow_returns_to_its_caller(void **state)
{
    (void) state;
    misaligned = 1;
    struct flow *flow = call(0, use_aligned_locals);

    assert_true(flow->is_over);
    assert_int_equal(misaligned, 0);
    assert_string_equal(text, "0.333 2.5");
    end(flow);
}

static void a_called_flow_can_wait_and_continue(void **state)
{
    (void) state;
    struct flow *one = call(0, trace_thrice), *two = call(1, trace_thrice);

    while (!one->is_over || !two->is_over) {
        switch_to_the_other(one);
        switch_to_the_other(two);
    }

    assert_string_equal(f.trace, "ababab");
    end(one);
    end(two);
}

static void call_the_second(struct flow *flow)
{
    struct flow *second = &f.flows[1];

    (void) flow;
    second->number = 1;
    second->body = trace_thrice;
    assert_int_equal(aloop__stack_get(f.stacks, 0, &second->stack), 0);
    trace(0);
    aloop__context_call(&flow->context, second->stack.low, second->stack.size,
                        run_called, second);
    trace(0);
}

/* The second one waits and ends in the thread, not in the flow that has called
 * it. */
static void a_called_flow_can_return_to_another_than_its_caller(void **state)
{
    struct flow *two = &f.flows[1];

    (void) state;
    struct flow *one = call(0, call_the_second);
    while (!two->is_over)
        resume(two);
    resume(one);

    assert_string_equal(f.trace, "abbba");
    assert_true(one->is_over);
    end(one);
    end(two);
}

static void leave_another_state(struct flow *flow)
{
    roundings[flow->number] = rounding();
    errors[flow->number] = errno;
    caught[flow->number] = exceptions.caught;
    set_rounding(TOWARDS_ZERO);
    errno = ENOTTY;
    exceptions.caught = flow;
}

static void a_called_flow_inherits_the_rounding_mode_and_nothing_else(
    void **state)
{
    (void) state;
    set_rounding(UPWARD);
    errno = EPERM;
    exceptions.caught = &f;
    struct flow *flow = call(0, leave_another_state);
    unsigned mine = rounding();
    int error = errno;
    void *kept = exceptions.caught;

    set_rounding(NEAREST);
    exceptions.caught = NULL;
    assert_int_equal(roundings[0], UPWARD);
    assert_int_equal(errors[0], 0);
    assert_null(caught[0]);
    assert_int_equal(mine, UPWARD);
    assert_int_equal(error, EPERM);
    assert_ptr_equal(kept, &f);
    end(flow);
}

static struct flow *called;

static void call_at_first(struct flow *flow)
{
    (void) flow;
    if (called == NULL)
        called = call(0, keep_values);
    else
        switch_to_the_other(called);
}

static void preserved_registers_hold_their_values_in_a_call(void **state)
{
    volatile unsigned long seed = 999331;

    (void) state;
    called = NULL;
    bool is_kept = values_survive(call_at_first, NULL, &seed);
    while (!called->is_over)
        resume(called);

    assert_true(is_kept);
    assert_true(has_survived[0]);
    end(called);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flows_take_turns),
        TEST(a_flow_switches_directly_to_another),
        TEST(deep_frames_survive_switches_at_each_level),
        TEST(preserved_registers_hold_their_values),
        TEST(the_rounding_mode_belongs_to_the_flow),
        TEST(a_new_flow_inherits_the_rounding_mode),
        TEST(errno_belongs_to_the_flow),
        TEST(exceptions_being_handled_belong_to_the_flow),
        TEST(the_stack_of_a_flow_is_aligned),
        TEST(longjmp_works_within_a_flow),
        TEST(a_flow_can_be_freed_at_any_time),
        TEST(many_flows_in_random_order_keep_their_values),
        TEST(a_called_flow_returns_to_its_caller),
        TEST(a_called_flow_can_wait_and_continue),
        TEST(a_called_flow_can_return_to_another_than_its_caller),
        TEST(a_called_flow_inherits_the_rounding_mode_and_nothing_else),
        TEST(preserved_registers_hold_their_values_in_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
