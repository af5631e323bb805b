/* Tests of look-ups of names, in virtual time. */

#include "support/fixture.h"

#include <string.h>

static aloop_address *addresses; /* Of the last look-up. */

static aloop_future *start(const char *host, const char *service,
                           aloop_family family)
{
    addresses = NULL;
    return aloop_resolve(t.loop, host, service, family, &addresses);
}

static ssize_t look_up(const char *host)
{
    return aloop_await(start(host, "80", ALOOP_FAMILY_ANY));
}

/* Asserts that address `i` has this text. */
static void assert_address(ssize_t i, const char *expected)
{
    char text[96];

    assert_true(aloop_address_format(&addresses[i], text, sizeof text) > 0);
    assert_string_equal(text, expected);
}

/* Defines "host" with addresses of both families. */
static void define_host(void)
{
    static const char *const both[] = {"fd00::1", "10.0.0.1", "fd00::2",
                                       "10.0.0.2", NULL};

    sim_host("host", both);
}

static void all_addresses_are_found_in_order(void **state)
{
    (void) state;
    define_host();

    assert_int_equal(look_up("host"), 4);

    assert_address(0, "[fd00::1]:80");
    assert_address(1, "10.0.0.1:80");
    assert_address(2, "[fd00::2]:80");
    assert_address(3, "10.0.0.2:80");
    assert_int_equal(sim_calls("aloop__sys_thread_start"), 1);
    aloop_addresses_free(addresses);
}

static void a_family_is_selected(void **state)
{
    (void) state;
    define_host();
    assert_int_equal(aloop_await(start("host", "80", ALOOP_FAMILY_IPV4)), 2);
    assert_address(0, "10.0.0.1:80");
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(start("host", "80", ALOOP_FAMILY_IPV6)), 2);
    assert_address(1, "[fd00::2]:80");
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(start("::1", "80", ALOOP_FAMILY_IPV6)), 1);
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(start("::1", "80", ALOOP_FAMILY_IPV4)),
                     ALOOP_EHOSTNOTFOUND);
    assert_null(addresses);
    assert_int_equal(aloop_await(start("::1", "http", ALOOP_FAMILY_IPV4)),
                     ALOOP_EHOSTNOTFOUND);
}

static void an_address_needs_no_thread(void **state)
{
    static const struct {
        const char *host, *service, *text;
    } rows[] = {
        {"127.0.0.1", "80", "127.0.0.1:80"},
        {"::1", "65535", "[::1]:65535"},
        {"::1", NULL, "[::1]:0"},
        {"fe80::1%lo", "1", "[fe80::1%1]:1"},
        {"fe80::1%1", "1", "[fe80::1%1]:1"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        aloop_future *future =
            start(rows[i].host, rows[i].service, ALOOP_FAMILY_ANY);

        assert_true(aloop_future_is_settled(future));
        assert_int_equal(aloop_await(future), 1);
        assert_address(0, rows[i].text);
        aloop_addresses_free(addresses);
    }
    assert_int_equal(sim_calls("aloop__sys_thread_start"), 0);
}

static void a_service_has_a_name_or_a_number(void **state)
{
    char service[65];

    (void) state;
    define_host();
    assert_int_equal(aloop_await(start("host", "http", ALOOP_FAMILY_ANY)), 4);
    assert_address(1, "10.0.0.1:80");
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(start("::1", "https", ALOOP_FAMILY_ANY)), 1);
    assert_address(0, "[::1]:443");
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(start("host", NULL, ALOOP_FAMILY_ANY)), 4);
    assert_address(1, "10.0.0.1:0");
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_await(start("host", "gone", ALOOP_FAMILY_ANY)),
                     ALOOP_EHOSTNOTFOUND);
    assert_int_equal(aloop_await(start("host", "", ALOOP_FAMILY_ANY)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(start("host", "65536", ALOOP_FAMILY_ANY)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(start("::1", "65536", ALOOP_FAMILY_ANY)),
                     ALOOP_EINVAL);
    memset(service, 's', sizeof service - 1);
    service[64] = '\0';
    assert_int_equal(aloop_await(start("host", service, ALOOP_FAMILY_ANY)),
                     ALOOP_ENAMETOOLONG);
    service[63] = '\0';
    assert_int_equal(aloop_await(start("host", service, ALOOP_FAMILY_ANY)),
                     ALOOP_EHOSTNOTFOUND);
}

static void a_dot_at_the_end_is_part_of_the_name(void **state)
{
    static const char *const other[] = {"10.0.0.9", NULL};

    (void) state;
    define_host();
    sim_host("host.", other);

    assert_int_equal(look_up("host."), 1);

    assert_address(0, "10.0.0.9:80");
    aloop_addresses_free(addresses);
}

/* No other part of the program takes what follows for a part of the name. */
static void a_name_ends_at_its_first_zero(void **state)
{
    static const char host[] = "host\0.example.org";
    static const char address[] = "127.0.0.1\0.example.org";

    (void) state;
    define_host();
    assert_int_equal(look_up(host), 4);
    aloop_addresses_free(addresses);
    assert_int_equal(look_up(address), 1);
    assert_address(0, "127.0.0.1:80");
    aloop_addresses_free(addresses);
    assert_int_equal(look_up("\0host"), ALOOP_EINVAL);
}

/* Failure class 46. */
static void a_name_and_its_parts_have_a_longest_length(void **state)
{
    char name[300];

    (void) state;
    for (size_t length = 60; length < 70; length++) {
        for (size_t first = 0; first < 2; first++) {
            memcpy(name, "a.", 2);
            memset(name + 2 * first, 'b', length);
            memcpy(name + 2 * first + length, first ? "" : ".c", 3 - 2 * first);
            assert_int_equal(look_up(name), length > 63 ? ALOOP_ENAMETOOLONG
                                                        : ALOOP_EHOSTNOTFOUND);
        }
    }
    for (size_t length = 250; length < 260; length++) {
        for (size_t i = 0; i < length; i++)
            name[i] = i % 50 == 49 ? '.' : 'a';
        name[length - 1] = 'a';
        name[length] = '\0';
        assert_int_equal(look_up(name), length > 253 ? ALOOP_ENAMETOOLONG
                                                     : ALOOP_EHOSTNOTFOUND);
        memcpy(name + length, ".", 2);
        assert_int_equal(look_up(name), length > 253 ? ALOOP_ENAMETOOLONG
                                                     : ALOOP_EHOSTNOTFOUND);
    }
}

static void what_cannot_be_a_name_is_refused_without_a_look_up(void **state)
{
    static const char *const hosts[] = {
        "",          ".",        "..",         ".a",       "a..b",
        "a..",       "1",        "127.1",      "1.2.3",    "0x7f000001",
        "0X7F.1",    "0x",       "0177.0.0.1", "1.2.3.4.", "1.2.3.4.5",
        "256.1.1.1", "99999999", "[::1]",      "host:80",  "1.2.3.4:80",
        "::1::",     ":",        "%lo:",       "*",
    };

    (void) state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_int_equal(look_up(hosts[i]), ALOOP_EINVAL);
    assert_int_equal(look_up("fe80::1%nosuch"), ALOOP_ENODEV);
    assert_int_equal(look_up("fe80::1%"), ALOOP_ENODEV);
    assert_int_equal(sim_calls("aloop__sys_resolve"), 0);
    assert_null(addresses);
}

static void a_name_may_contain_numbers(void **state)
{
    static const char *const hosts[] = {
        "1a", "0xg", "1.a", "0x1.example", "3com.com.", "1e1", "-1", "_1._tcp"};
    static const char *const here[] = {"10.0.0.1", NULL};

    (void) state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        sim_host(hosts[i], here);
        assert_int_equal(look_up(hosts[i]), 1);
        aloop_addresses_free(addresses);
    }
}

static void the_error_of_the_resolver_is_the_status(void **state)
{
    static const int errors[] = {ALOOP_EHOSTNOTFOUND, ALOOP_EAGAINDNS,
                                 ALOOP_ERESOLVE};

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        sim_host_error("host", errors[i]);
        assert_int_equal(look_up("host"), errors[i]);
        assert_null(addresses);
    }
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_address address, none = {.family = ALOOP_FAMILY_NONE};
    char name[8];

    (void) state;
    assert_int_equal(aloop_address_parse("::1", &address), 0);
    assert_int_equal(look_up(NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_await(start("host", "80", (aloop_family) 3)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(start("host", "80", (aloop_family) -1)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_resolve(t.loop, "host", "80",
                                               ALOOP_FAMILY_ANY, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_resolve(NULL, "host", "80",
                                               ALOOP_FAMILY_ANY, &addresses)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_resolve_name(t.loop, NULL, name, sizeof name)),
        ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_resolve_name(t.loop, &none, name, sizeof name)),
        ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_resolve_name(t.loop, &address, NULL, 9)),
                     ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(aloop_resolve_name(NULL, &address, name, sizeof name)),
        ALOOP_EINVAL);
    aloop_addresses_free(NULL);
}

static void addresses_that_were_not_freed_are_freed_with_the_loop(void **state)
{
    (void) state;
    define_host();
    assert_int_equal(look_up("host"), 4);
    assert_int_equal(look_up("::1"), 1);
    assert_int_equal(aloop_run(t.loop), 0); /* They keep nothing alive. */
}

/* A name server that does not answer. */

static void a_look_up_that_hangs_delays_nothing(void **state)
{
    int64_t begin_ns = aloop_now(t.loop);

    (void) state;
    define_host();
    sim_host_delay("slow", ALOOP_SEC(30));
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            aloop_await(aloop_timeout(start("slow", "80", ALOOP_FAMILY_ANY),
                                      ALOOP_MS(1))),
            ALOOP_ETIMEDOUT);
    assert_int_equal(look_up("host"), 4);
    aloop_addresses_free(addresses);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_true(aloop_now(t.loop) - begin_ns < ALOOP_MS(20));
    sim_pass(ALOOP_SEC(31));
}

static void freeing_the_loop_waits_for_no_look_up(void **state)
{
    aloop_future *future;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(30));
    future = start("slow", "80", ALOOP_FAMILY_ANY);
    aloop_detach(start("slow", "80", ALOOP_FAMILY_ANY));
    aloop_step(t.loop, 0);

    assert_int_equal(aloop_free(t.loop), 0);

    t.loop = NULL;
    assert_null(addresses);
    (void) future;
    sim_pass(ALOOP_SEC(31));
}

static void a_cancelled_look_up_settles_immediately(void **state)
{
    aloop_future *future;

    (void) state;
    sim_host_delay("slow", ALOOP_SEC(30));
    for (int turns_before = 0; turns_before < 3; turns_before++) {
        future = start("slow", "80", ALOOP_FAMILY_ANY);
        turns(turns_before);
        assert_int_equal(aloop_cancel(future), 1);
        assert_int_equal(aloop_future_status(future), ALOOP_ECANCELED);
        aloop_future_unref(future);
    }
    assert_null(addresses);
    sim_pass(ALOOP_SEC(31));
}

static void a_forked_child_has_no_look_ups(void **state)
{
    aloop_future *future;

    (void) state;
    define_host();
    sim_host_delay("slow", ALOOP_SEC(30));
    future = start("slow", "80", ALOOP_FAMILY_ANY);
    aloop_step(t.loop, 0);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);

    assert_int_equal(aloop_await(future), ALOOP_EABORTED);

    assert_int_equal(look_up("host"), 4);
    aloop_addresses_free(addresses);
}

/* The reverse. */

static ssize_t name_of(const char *text, char *name, size_t size)
{
    aloop_address address;

    assert_int_equal(aloop_address_parse(text, &address), 0);
    return aloop_await(aloop_resolve_name(t.loop, &address, name, size));
}

static void the_name_of_an_address_is_found(void **state)
{
    char name[8] = "#######";

    (void) state;
    define_host();
    assert_int_equal(name_of("10.0.0.2:80", name, sizeof name), 4);
    assert_string_equal(name, "host");
    assert_int_equal(name_of("fd00::1", name, 5), 4);
    assert_int_equal(name_of("::ffff:10.0.0.1", name, 5), 4);
    assert_string_equal(name, "host");
}

static void a_name_is_never_truncated(void **state)
{
    char name[8] = "#######";

    (void) state;
    define_host();
    for (size_t size = 0; size < 5; size++)
        assert_int_equal(name_of("10.0.0.2", name, size), ALOOP_ENOSPC);
    assert_string_equal(name, "#######");
}

static void an_address_without_a_name_is_an_error(void **state)
{
    char name[96] = "#";

    (void) state;
    assert_int_equal(name_of("10.0.0.77", name, sizeof name),
                     ALOOP_EHOSTNOTFOUND);
    sim_fail("aloop__sys_resolve_name", 1, ALOOP_EAGAINDNS);
    assert_int_equal(name_of("10.0.0.77", name, sizeof name), ALOOP_EAGAINDNS);
    assert_string_equal(name, "#");
}

static void a_look_up_of_a_name_can_be_left(void **state)
{
    static const char *const here[] = {"10.0.0.1", NULL};
    aloop_address address;
    aloop_future *future;
    char name[96] = "#";

    (void) state;
    sim_host("slow", here);
    sim_host_delay("slow", ALOOP_SEC(30));
    assert_int_equal(aloop_address_parse("10.0.0.1", &address), 0);
    future = aloop_resolve_name(t.loop, &address, name, sizeof name);
    assert_int_equal(aloop_await(aloop_timeout(future, ALOOP_MS(1))),
                     ALOOP_ETIMEDOUT);
    aloop_future_unref(aloop_resolve_name(t.loop, &address, name, sizeof name));
    sim_pass(ALOOP_SEC(31));
    assert_string_equal(name, "#");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(all_addresses_are_found_in_order),
        TEST(a_family_is_selected),
        TEST(an_address_needs_no_thread),
        TEST(a_service_has_a_name_or_a_number),
        TEST(a_dot_at_the_end_is_part_of_the_name),
        TEST(a_name_ends_at_its_first_zero),
        TEST(a_name_and_its_parts_have_a_longest_length),
        TEST(what_cannot_be_a_name_is_refused_without_a_look_up),
        TEST(a_name_may_contain_numbers),
        TEST(the_error_of_the_resolver_is_the_status),
        TEST(invalid_arguments_are_refused),
        TEST(addresses_that_were_not_freed_are_freed_with_the_loop),
        TEST(a_look_up_that_hangs_delays_nothing),
        TEST(freeing_the_loop_waits_for_no_look_up),
        TEST(a_cancelled_look_up_settles_immediately),
        TEST(a_forked_child_has_no_look_ups),
        TEST(the_name_of_an_address_is_found),
        TEST(a_name_is_never_truncated),
        TEST(an_address_without_a_name_is_an_error),
        TEST(a_look_up_of_a_name_can_be_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
