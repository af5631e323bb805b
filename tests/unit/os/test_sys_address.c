/* Addresses of the real system: parsing, formatting, the resolver. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "aloop/error.h"
#include "os/sys.h"
#include "support/sockets.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void an_address_survives_formatting_and_parsing(void **state)
{
    static const struct {
        const char *host, *port, *text;
        enum sys_family family;
    } rows[] = {
        {"127.0.0.1", "80", "127.0.0.1:80", SYS_INET},
        {"255.255.255.255", "65535", "255.255.255.255:65535", SYS_INET},
        {"0.0.0.0", "0", "0.0.0.0:0", SYS_INET},
        {"::1", "80", "[::1]:80", SYS_INET6},
        {"::", "00001", "[::]:1", SYS_INET6},
        {"2001:DB8:0:0::1", "443", "[2001:db8::1]:443", SYS_INET6},
        {"::ffff:1.2.3.4", "1", "1.2.3.4:1", SYS_INET6},
        {"fe80::1%1", "1", "[fe80::1%1]:1", SYS_INET6},
        {"fe80::1%4294967295", "1", "[fe80::1%4294967295]:1", SYS_INET6},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295", "65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
         SYS_INET6},
    };
    struct sys_address address;
    char text[96];

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int length = (int) strlen(rows[i].text);

        assert_int_equal(
            aloop__sys_address_parse(rows[i].host, rows[i].port, &address), 0);
        assert_int_equal(aloop__sys_address_family(&address), rows[i].family);
        assert_int_equal(aloop__sys_address_format(&address, text, sizeof text),
                         length);
        assert_string_equal(text, rows[i].text);
    }
}

static void two_addresses_are_equal_if_all_their_parts_are(void **state)
{
    static const struct {
        const char *host, *port;
    } rows[] = {
        {"127.0.0.1", "80"}, {"127.0.0.1", "81"}, {"127.0.0.2", "80"},
        {"::1", "80"},       {"::1", "81"},       {"::2", "80"},
        {"fe80::1%1", "80"}, {"fe80::1%2", "80"}, {"::ffff:127.0.0.1", "80"},
    };
    struct sys_address a, b, none = {0};

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(
            aloop__sys_address_parse(rows[i].host, rows[i].port, &a), 0);
        assert_false(aloop__sys_address_is_same(&a, &none));
        for (size_t j = 0; j < COUNT(rows); j++) {
            assert_int_equal(
                aloop__sys_address_parse(rows[j].host, rows[j].port, &b), 0);
            assert_int_equal(aloop__sys_address_is_same(&a, &b), i == j);
        }
    }
    assert_true(aloop__sys_address_is_same(&none, &none));
}

static void every_port_is_parsed_and_formatted(void **state)
{
    char port[8], text[96], expected[96];
    struct sys_address address;

    (void) state;
    for (unsigned number = 0; number <= 65535; number++) {
        snprintf(port, sizeof port, "%u", number);
        snprintf(expected, sizeof expected, "127.0.0.1:%u", number);
        assert_int_equal(aloop__sys_address_parse("127.0.0.1", port, &address),
                         0);
        assert_int_equal(aloop__sys_address_port(&address), number);
        aloop__sys_address_format(&address, text, sizeof text);
        assert_string_equal(text, expected);
    }
}

/* Class 48: ports that are not valid numbers.  None has a letter, which could
 * make it the name of a service. */
static const char *const bad_ports[] = {
    "",           " ",
    "-1",         "+1",
    " 1",         "1 ",
    "80\n",       "65536",
    "65616",      "99999",
    "100000",     "000080",
    "4294967376", "18446744073709551696",
    "8.0",        "8,0",
    "80/",        "\xef\xbc\x98\xef\xbc\x90",
    "1-2",
};

static void an_invalid_port_is_refused(void **state)
{
    struct sys_address address = {0}, before, *found;

    (void) state;
    assert_int_equal(aloop__sys_address_parse("::1", "7", &address), 0);
    before = address;
    for (size_t i = 0; i < COUNT(bad_ports); i++) {
        assert_int_equal(
            aloop__sys_address_parse("127.0.0.1", bad_ports[i], &address),
            -EINVAL);
        assert_int_equal(aloop__sys_resolve("127.0.0.1", bad_ports[i],
                                            SYS_FAMILY_NONE, &found),
                         -EINVAL);
    }
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "0x50", &address),
                     -EINVAL);
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "1e1", &address),
                     -EINVAL);
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", "http", &address),
                     -EINVAL);
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", NULL, &address),
                     -EINVAL);
    assert_memory_equal(&address, &before, sizeof before);
}

/* Classes 46 and 48: a host is an address if inet_pton() accepts it, and only
 * then. */
static void a_host_is_accepted_if_inet_pton_accepts_it(void **state)
{
    /* clang-format off */
    static const char *const hosts[] = {
        "", " ", ".", "1", "1.2", "1.2.3", "1.2.3.4", "1.2.3.4.", ".1.2.3.4",
        "1.2.3.4.5", "1..3.4", "256.1.1.1", "1.2.3.256", "1.2.3.4 ",
        " 1.2.3.4", "01.2.3.4", "1.2.3.010", "0x7f.0.0.1", "0x7f000001",
        "2130706433", "127.1", "1.2.3.4/8", "1.2.3.-4", "1.2.3.4:80",
        "1.2.3.4\n", "99999999999.1.1.1", ":", "::", ":::", "::1", "[::1]",
        "[::1", "::1]", "::1::", "1::2::3", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8", "12345::", "g::", "::1.2.3.4", "::1.2.3",
        "::1.2.3.256", "::1.2.3.4:5", "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4", "::ffff:127.0.0.1", "::FFFF:127.0.0.1",
        "fe80::1/64", "localhost", "0000:0000:0000:0000:0000:0000:0000:0001",
        "00000::1", "\xff", "::\xff",
    };
    /* clang-format on */
    struct sys_address address;

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct in_addr v4;
        struct in6_addr v6;
        bool is_v4 = inet_pton(AF_INET, hosts[i], &v4) == 1;
        bool is_v6 = inet_pton(AF_INET6, hosts[i], &v6) == 1;
        int error = aloop__sys_address_parse(hosts[i], "9", &address);
        struct sockaddr_in got4;
        struct sockaddr_in6 got6;

        assert_int_equal(error, is_v4 || is_v6 ? 0 : -EINVAL);
        memcpy(&got4, address.bytes, sizeof got4);
        memcpy(&got6, address.bytes, sizeof got6);
        if (is_v4)
            assert_memory_equal(&got4.sin_addr, &v4, sizeof v4);
        if (is_v6)
            assert_memory_equal(&got6.sin6_addr, &v6, sizeof v6);
    }
}

static void only_an_interface_may_follow_the_percent_sign(void **state)
{
    static const char *const hosts[] = {
        "fe80::1%",
        "fe80::1%0",
        "fe80::1%no-such-one",
        "fe80::1%1%1",
        "fe80::1%4294967296",
        "fe80::1%99999999999",
        "127.0.0.1%1",
        "%1",
        "fe80::1%-1",
        "fe80::1% 1",
        "fe80::1%a-name-longer-than-any-can-be",
    };
    struct sys_address address;

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++)
        assert_int_equal(aloop__sys_address_parse(hosts[i], "9", &address),
                         -EINVAL);
}

/* Class 46: a name is never truncated, because it would become another name.
 * The dot at the end of a complete name does not count. */
static void a_long_host_is_refused(void **state)
{
    char host[1101];
    struct sys_address address, *found;

    (void) state;
    for (size_t length = 1; length < sizeof host; length++) {
        memset(host, 'a', length);
        host[length] = '\0';
        assert_int_equal(aloop__sys_address_parse(host, "9", &address),
                         -EINVAL);
        memset(host, '1', length);
        assert_int_equal(aloop__sys_address_parse(host, "9", &address),
                         -EINVAL);
        assert_int_equal(aloop__sys_host_is_too_long(host), length > 253);
        if (length > 253)
            assert_int_equal(
                aloop__sys_resolve(host, "9", SYS_FAMILY_NONE, &found),
                -ENAMETOOLONG);
        host[length - 1] = '.';
        assert_int_equal(aloop__sys_host_is_too_long(host), length > 254);
        if (length > 254)
            assert_int_equal(
                aloop__sys_resolve(host, "9", SYS_FAMILY_NONE, &found),
                -ENAMETOOLONG);
    }
    memset(host, '0', 253);
    memcpy(host + 244, "177.0.0.1", 10);
    assert_int_not_equal(aloop__sys_resolve(host, "9", SYS_FAMILY_NONE, &found),
                         -ENAMETOOLONG);
    aloop__sys_resolve_free(found);
}

static void a_buffer_that_is_too_small_is_refused_and_not_overrun(void **state)
{
    static const char *const hosts[] = {"192.168.100.200", "2001:db8::1234"};
    struct sys_address address;
    char text[96];

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        int length;

        assert_int_equal(aloop__sys_address_parse(hosts[i], "54321", &address),
                         0);
        length = aloop__sys_address_format(&address, text, sizeof text);
        assert_true(length > 0);
        for (size_t size = 0; size <= (size_t) length; size++) {
            memset(text, '#', sizeof text);
            assert_int_equal(aloop__sys_address_format(&address, text, size),
                             -ENOSPC);
            for (size_t k = size; k < sizeof text; k++)
                assert_int_equal(text[k], '#');
        }
        assert_int_equal(
            aloop__sys_address_format(&address, text, (size_t) length + 1),
            length);
    }
}

static void an_empty_address_has_no_family_and_no_text(void **state)
{
    struct sys_address none = {0};
    char text[96];

    (void) state;
    assert_int_equal(aloop__sys_address_family(&none), SYS_FAMILY_NONE);
    assert_int_equal(aloop__sys_address_port(&none), 0);
    assert_int_equal(aloop__sys_address_format(&none, text, sizeof text),
                     -EINVAL);
}

static void a_path_is_the_text_of_a_unix_address(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sys_address address = {0};
    char text[200];

    (void) state;
    for (size_t length = 0; length <= sizeof local.sun_path; length++) {
        memset(local.sun_path, 'p', length); /* The longest has no zero. */
        address.size =
            (uint32_t) (offsetof(struct sockaddr_un, sun_path) + length);
        memcpy(address.bytes, &local, sizeof local);
        assert_int_equal(aloop__sys_address_format(&address, text, sizeof text),
                         length);
        assert_int_equal(strlen(text), length);
    }
    assert_int_equal(aloop__sys_address_format(&address, text, 96), -ENOSPC);
    assert_int_equal(aloop__sys_address_family(&address), SYS_UNIX);
}

/* An abstract name of Linux, which is not in a file system, begins with a zero
 * byte. */
static void an_abstract_name_is_shown_after_an_at_sign(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t start = offsetof(struct sockaddr_un, sun_path);
    struct sys_address address = {.size = (uint32_t) start + 5};
    char text[96];

    (void) state;
    memcpy(local.sun_path, "\0name", 5);
    memcpy(address.bytes, &local, sizeof local);

    assert_int_equal(aloop__sys_address_format(&address, text, sizeof text), 5);
    assert_string_equal(text, "@name");

    address.size = (uint32_t) start + 1; /* A zero alone is no name. */
    assert_int_equal(aloop__sys_address_format(&address, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void no_more_is_shown_than_the_longest_path(void **state)
{
    struct sys_address address = {.size = sizeof address.bytes};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    char text[200];

    (void) state;
    memset(address.bytes, 'x', sizeof address.bytes);
    memset(local.sun_path, 'p', sizeof local.sun_path);
    memcpy(address.bytes, &local, sizeof local);

    assert_int_equal(aloop__sys_address_format(&address, text, sizeof text),
                     sizeof local.sun_path);
    assert_null(strchr(text, 'x'));
}

static void without_a_host_the_address_is_the_wildcard(void **state)
{
    struct sys_address address, target;
    enum sys_family family;
    char port[8];
    int listener, client, accepted;

    (void) state;
    assert_int_equal(aloop__sys_address_parse(NULL, "0", &address), 0);
    family = aloop__sys_address_family(&address);
    listener = aloop__sys_tcp_socket(family);
    assert_int_equal(aloop__sys_reuse_address(listener, family), 0);
    assert_int_equal(aloop__sys_bind(listener, &address), 0);
    assert_int_equal(aloop__sys_listen(listener, 1), 0);
    assert_int_equal(aloop__sys_local_address(listener, &address), 0);
    snprintf(port, sizeof port, "%u",
             (unsigned) aloop__sys_address_port(&address));
    assert_int_equal(aloop__sys_address_parse("127.0.0.1", port, &target), 0);

    client = connect_to(&target);

    await_bits(listener, POLLIN);
    accepted = aloop__sys_accept(listener);
    assert_true(accepted >= 0);
    close_pair((int[2]){client, accepted});
    assert_int_equal(aloop__sys_close(listener), 0);
}

static void answers_of_the_resolver_are_translated(void **state)
{
    struct sys_address *found;
    char text[96];

    (void) state;
    assert_int_equal(
        aloop__sys_resolve("127.0.0.1", "80", SYS_FAMILY_NONE, &found), 1);
    aloop__sys_address_format(&found[0], text, sizeof text);
    assert_string_equal(text, "127.0.0.1:80");
    aloop__sys_resolve_free(found);
    assert_int_equal(aloop__sys_resolve("::1", "80", SYS_FAMILY_NONE, &found),
                     1);
    assert_int_equal(aloop__sys_address_family(&found[0]), SYS_INET6);
    aloop__sys_resolve_free(found);
    assert_true(
        aloop__sys_resolve("localhost", "80", SYS_FAMILY_NONE, &found) >= 1);
    assert_int_equal(aloop__sys_address_port(&found[0]), 80);
    aloop__sys_resolve_free(found);
    assert_int_equal(aloop__sys_resolve("127.0.0.1", "no-such-service",
                                        SYS_FAMILY_NONE, &found),
                     ALOOP_EHOSTNOTFOUND);
    assert_int_equal(aloop__sys_resolve(NULL, "80", SYS_FAMILY_NONE, &found),
                     -EINVAL);
    assert_int_equal(
        aloop__sys_resolve("127.0.0.1", NULL, SYS_FAMILY_NONE, &found),
        -EINVAL);
    assert_null(found);
    aloop__sys_resolve_free(found);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_survives_formatting_and_parsing),
        cmocka_unit_test(two_addresses_are_equal_if_all_their_parts_are),
        cmocka_unit_test(every_port_is_parsed_and_formatted),
        cmocka_unit_test(an_invalid_port_is_refused),
        cmocka_unit_test(a_host_is_accepted_if_inet_pton_accepts_it),
        cmocka_unit_test(only_an_interface_may_follow_the_percent_sign),
        cmocka_unit_test(a_long_host_is_refused),
        cmocka_unit_test(a_buffer_that_is_too_small_is_refused_and_not_overrun),
        cmocka_unit_test(an_empty_address_has_no_family_and_no_text),
        cmocka_unit_test(a_path_is_the_text_of_a_unix_address),
        cmocka_unit_test(an_abstract_name_is_shown_after_an_at_sign),
        cmocka_unit_test(no_more_is_shown_than_the_longest_path),
        cmocka_unit_test(without_a_host_the_address_is_the_wildcard),
        cmocka_unit_test(answers_of_the_resolver_are_translated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
