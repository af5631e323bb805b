/* Addresses and host names when calls of the system fail or return unusual
 * results. */

#define _GNU_SOURCE

#include "support/refusal_fixture.h"

#include <netinet/in.h>
#include <sys/un.h>

static void a_socket_name_that_is_too_long_is_truncated(void **state)
{
    struct sys_address address;
    int pair[2];

    (void) state;
    open_pair(pair);
    f.name_size = sizeof address.bytes + 1;

    assert_int_equal(aloop__sys_local_address(pair[0], &address), 0);

    assert_int_equal(address.size, sizeof address.bytes);
    close_pair(pair);
}

/* Only EAFNOSUPPORT means that the system has no IPv6. */
static void without_ipv6_the_wildcard_address_is_of_ipv4(void **state)
{
    struct sys_address address;

    (void) state;
    refuse("socket", EMFILE, 1);
    assert_int_equal(aloop__sys_address_parse(NULL, "80", &address), 0);
    assert_int_equal(aloop__sys_address_family(&address), SYS_INET6);
    refuse("socket", EAFNOSUPPORT, 1);
    assert_int_equal(aloop__sys_address_parse(NULL, "80", &address), 0);
    assert_int_equal(aloop__sys_address_family(&address), SYS_INET);
    assert_int_equal(aloop__sys_address_port(&address), 80);
    assert_int_equal(f.refused, 1);
}

static void each_failure_of_the_resolver_is_translated(void **state)
{
    static const struct {
        int code, error;
    } rows[] = {
        {EAI_NONAME, ALOOP_EHOSTNOTFOUND},
        {EAI_SERVICE, ALOOP_EHOSTNOTFOUND},
        {EAI_NODATA, ALOOP_EHOSTNOTFOUND},
        {EAI_ADDRFAMILY, ALOOP_EHOSTNOTFOUND},
        {EAI_AGAIN, ALOOP_EAGAINDNS},
        {EAI_MEMORY, ALOOP_ENOMEM},
        {EAI_FAIL, ALOOP_ERESOLVE},
        {EAI_FAMILY, ALOOP_ERESOLVE},
        {EAI_SYSTEM, ALOOP_ERESOLVE},
    };
    struct sys_address *found;

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        refuse("getaddrinfo", rows[i].code, 1);
        assert_int_equal(
            aloop__sys_resolve("host", "80", SYS_FAMILY_NONE, &found),
            rows[i].error);
    }
    refuse("getaddrinfo, by the system", ENFILE, 1);
    assert_int_equal(aloop__sys_resolve("host", "80", SYS_FAMILY_NONE, &found),
                     -ENFILE);
    assert_null(found);
}

static void each_failure_to_find_a_name_is_translated(void **state)
{
    static const struct {
        int code, error;
    } rows[] = {
        {EAI_NONAME, ALOOP_EHOSTNOTFOUND}, {EAI_AGAIN, ALOOP_EAGAINDNS},
        {EAI_MEMORY, ALOOP_ENOMEM},        {EAI_OVERFLOW, ALOOP_ENAMETOOLONG},
        {EAI_FAIL, ALOOP_ERESOLVE},        {EAI_SYSTEM, ALOOP_ERESOLVE},
    };
    struct sys_address address;
    char name[SYS_NAME_SIZE];

    (void) state;
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "80", &address), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        refuse("getnameinfo", rows[i].code, 1);
        assert_int_equal(aloop__sys_resolve_name(&address, name, sizeof name),
                         rows[i].error);
    }
    refuse("getnameinfo, interrupted", EINTR, 2);
    (void) aloop__sys_resolve_name(&address, name, sizeof name);
    assert_int_equal(f.refused, 2);
}

static void a_family_is_passed_to_the_resolver(void **state)
{
    static const int families[] = {
        [SYS_FAMILY_NONE] = AF_UNSPEC,
        [SYS_INET] = AF_INET,
        [SYS_INET6] = AF_INET6,
    };
    struct sys_address *found;

    (void) state;
    for (int i = 0; i < 3; i++) {
        refuse("getaddrinfo", EAI_NONAME, 1);
        (void) aloop__sys_resolve("host", "80", (enum sys_family) i, &found);
        assert_int_equal(f.asked_family, families[i]);
    }
}

static void addresses_keep_the_order_of_the_resolver(void **state)
{
    struct sockaddr_in old = {.sin_family = AF_INET};
    struct sockaddr_in6 new = {.sin6_family = AF_INET6};
    struct sockaddr_un strange = {.sun_family = AF_UNIX};
    struct addrinfo list[3] = {
        {.ai_family = AF_INET6,
         .ai_addr = (struct sockaddr *) &new,
         .ai_addrlen = sizeof new,
         .ai_next = &list[1]},
        {.ai_family = AF_UNIX,
         .ai_addr = (struct sockaddr *) &strange,
         .ai_addrlen = sizeof strange,
         .ai_next = &list[2]},
        {.ai_family = AF_INET,
         .ai_addr = (struct sockaddr *) &old,
         .ai_addrlen = sizeof old},
    };
    struct sys_address *found;

    (void) state;
    f.answer = list;
    refuse("getaddrinfo, interrupted", EINTR, 2);

    assert_int_equal(aloop__sys_resolve("host", "80", SYS_FAMILY_NONE, &found),
                     2);

    assert_int_equal(f.refused, 2);
    assert_true(f.is_answer_freed);
    assert_int_equal(aloop__sys_address_family(&found[0]), SYS_INET6);
    assert_int_equal(aloop__sys_address_family(&found[1]), SYS_INET);
    aloop__sys_resolve_free(found);
    f.is_answer_freed = false;
    refuse("malloc", ENOMEM, 1);
    assert_int_equal(aloop__sys_resolve("host", "80", SYS_FAMILY_NONE, &found),
                     -ENOMEM);
    assert_null(found);
    assert_true(f.is_answer_freed);
    f.is_answer_freed = false;
    f.answer = &list[1];
    list[1].ai_next = NULL;
    assert_int_equal(aloop__sys_resolve("host", "80", SYS_FAMILY_NONE, &found),
                     ALOOP_EHOSTNOTFOUND);
    assert_true(f.is_answer_freed);
}

/* The number of addresses has a limit, although no real answer of a name server
 * reaches it. */
static void a_very_long_list_of_addresses_is_truncated(void **state)
{
    enum { LISTED = 5000, TAKEN = 4096 };
    static struct addrinfo list[LISTED];
    struct sockaddr_in old = {.sin_family = AF_INET};
    struct sys_address *found;

    (void) state;
    for (size_t i = 0; i < LISTED; i++)
        list[i] = (struct addrinfo){
            .ai_family = AF_INET,
            .ai_addr = (struct sockaddr *) &old,
            .ai_addrlen = sizeof old,
            .ai_next = i + 1 < LISTED ? &list[i + 1] : NULL,
        };
    f.answer = list;
    assert_int_equal(aloop__sys_resolve("host", "80", SYS_FAMILY_NONE, &found),
                     TAKEN);
    aloop__sys_resolve_free(found);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_socket_name_that_is_too_long_is_truncated),
        TEST(without_ipv6_the_wildcard_address_is_of_ipv4),
        TEST(each_failure_of_the_resolver_is_translated),
        TEST(each_failure_to_find_a_name_is_translated),
        TEST(a_family_is_passed_to_the_resolver),
        TEST(addresses_keep_the_order_of_the_resolver),
        TEST(a_very_long_list_of_addresses_is_truncated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
