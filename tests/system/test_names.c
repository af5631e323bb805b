/* Addresses as values, and look-ups by the resolver of the system.  Only names
 * that need no server are looked up. */

#define _GNU_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "aloop.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static aloop_address parsed(const char *text)
{
    aloop_address address;

    assert_int_equal(aloop_address_parse(text, &address), 0);
    return address;
}

static void an_address_is_parsed_and_formatted(void **state)
{
    static const struct {
        const char *text, *whole, *host;
        aloop_family family;
        int port;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1:0", "127.0.0.1", ALOOP_FAMILY_IPV4, 0},
        {"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", ALOOP_FAMILY_IPV4, 80},
        {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255",
         ALOOP_FAMILY_IPV4, 65535},
        {"::", "[::]:0", "::", ALOOP_FAMILY_IPV6, 0},
        {"[::1]", "[::1]:0", "::1", ALOOP_FAMILY_IPV6, 0},
        {"[::1]:080", "[::1]:80", "::1", ALOOP_FAMILY_IPV6, 80},
        {"fd00::1:80", "[fd00::1:80]:0", "fd00::1:80", ALOOP_FAMILY_IPV6, 0},
        {"2001:DB8::1", "[2001:db8::1]:0", "2001:db8::1", ALOOP_FAMILY_IPV6, 0},
        {"::ffff:1.2.3.4", "1.2.3.4:0", "1.2.3.4", ALOOP_FAMILY_IPV6, 0},
        {"[::ffff:1.2.3.4]:5", "1.2.3.4:5", "1.2.3.4", ALOOP_FAMILY_IPV6, 5},
        {"fe80::1%7", "[fe80::1%7]:0", "fe80::1%7", ALOOP_FAMILY_IPV6, 0},
        {"[fe80::1%4294967295]:1", "[fe80::1%4294967295]:1",
         "fe80::1%4294967295", ALOOP_FAMILY_IPV6, 1},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295",
         ALOOP_FAMILY_IPV6, 65535},
    };
    char text[96];

    (void) state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        aloop_address address = parsed(rows[i].text), again;

        assert_int_equal(aloop_address_family(&address), rows[i].family);
        assert_int_equal(aloop_address_port(&address), rows[i].port);
        assert_int_equal(aloop_address_format(&address, text, sizeof text),
                         strlen(rows[i].whole));
        assert_string_equal(text, rows[i].whole);
        again = parsed(text);
        assert_true(aloop_address_equal(&address, &again));
        assert_int_equal(aloop_address_format_host(&address, text, sizeof text),
                         strlen(rows[i].host));
        assert_string_equal(text, rows[i].host);
    }
}

/* clang-format off */
/* None of these is a complete address. */
static const char *const incomplete[] = {
    "", " ", ":", ":80", "[", "[]", "[]:80", "]", "[::1", "::1]", "[::1]80",
    "[::1]:", "[::1]:65536", "[::1]:-1", "[::1]:http", "[::1]]:80",
    "[[::1]]:80", "[127.0.0.1]:80", "[127.0.0.1]", "127.0.0.1:",
    "127.0.0.1:65536", "127.0.0.1: 80", "127.0.0.1:+80", "127.0.0.1:000080",
    "127.0.0.1 ", " 127.0.0.1", "127.0.0.1.", "1", "127.1", "1.2.3",
    "0x7f000001", "0177.0.0.1", "127.0.0.010", "2130706433", "256.0.0.1",
    "1.2.3.4.5", "localhost", "localhost:80", "%1", "1.2.3.4%1",
    "[::1]%1", "12345::", "::g", "1::2::3", "\xff",
};
/* clang-format on */

static void a_text_that_is_no_complete_address_is_refused(void **state)
{
    char text[2000];
    aloop_address address = parsed("[::1]:7"), before = address;

    (void) state;
    for (size_t i = 0; i < COUNT(incomplete); i++)
        assert_int_equal(aloop_address_parse(incomplete[i], &address),
                         ALOOP_EINVAL);
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(aloop_address_parse(text, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_address_parse(NULL, &address), ALOOP_EINVAL);
    assert_int_equal(aloop_address_parse("::1", NULL), ALOOP_EINVAL);
    assert_memory_equal(&address, &before, sizeof address);
}

static void an_interface_is_given_by_name_or_number(void **state)
{
    static const char *const missing[] = {
        "fe80::1%nosuch",     "[fe80::1%nosuch]:80", "fe80::1%0",
        "fe80::1%4294967296", "fe80::1%1%1",         "fe80::1%-1",
        "fe80::1%",           "fe80::1%1:80",        "[fe80::1%1:80]",
    };
    struct if_nameindex *all = if_nameindex();
    aloop_address address, other;
    char text[96];

    (void) state;
    for (struct if_nameindex *at = all; at != NULL && at->if_index != 0; at++) {
        snprintf(text, sizeof text, "[fe80::1%%%s]:80", at->if_name);
        address = parsed(text);
        snprintf(text, sizeof text, "[fe80::1%%%u]:80", at->if_index);
        other = parsed(text);
        assert_true(aloop_address_equal(&address, &other));
        snprintf(text, sizeof text, "fe80::1%%%s:80", at->if_name);
        assert_int_equal(aloop_address_parse(text, &other), ALOOP_ENODEV);
    }
    if_freenameindex(all);
    for (size_t i = 0; i < COUNT(missing); i++)
        assert_int_equal(aloop_address_parse(missing[i], &address),
                         ALOOP_ENODEV);
}

static void a_buffer_that_is_too_small_stays_unchanged(void **state)
{
    static const char *const texts[] = {"1.2.3.4:56789", "[fe80::1%23]:45678"};
    int (*const formats[])(const aloop_address *, char *, size_t) = {
        aloop_address_format, aloop_address_format_host};
    char text[96], before[96];

    (void) state;
    memset(before, '#', sizeof before);
    for (size_t i = 0; i < 2 * COUNT(texts); i++) {
        aloop_address address = parsed(texts[i / 2]);
        int length = formats[i % 2](&address, text, sizeof text);

        assert_true(length > 0);
        for (size_t size = 0; size <= (size_t) length; size++) {
            memset(text, '#', sizeof text);
            assert_int_equal(formats[i % 2](&address, text, size),
                             ALOOP_ENOSPC);
            assert_memory_equal(text, before, sizeof text);
        }
        assert_int_equal(formats[i % 2](&address, text, (size_t) length + 1),
                         length);
        assert_int_equal(formats[i % 2](&address, NULL, 96), ALOOP_EINVAL);
        assert_int_equal(formats[i % 2](NULL, text, 96), ALOOP_EINVAL);
    }
}

static void addresses_are_equal_if_their_texts_are(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:80",
        "127.0.0.1:81",
        "127.0.0.2:80",
        "[::1]:80",
        "[::1]:81",
        "[::2]:80",
        "[fe80::1%1]:80",
        "[fe80::1%2]:80",
        "[::ffff:127.0.0.1]:80",
        "[::ffff:127.0.0.1]:81",
    };
    aloop_address none = {.family = ALOOP_FAMILY_NONE}, other = none;

    (void) state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        aloop_address a = parsed(texts[i]);
        char text_a[96], text_b[96];

        aloop_address_format(&a, text_a, sizeof text_a);
        for (size_t j = 0; j < COUNT(texts); j++) {
            aloop_address b = parsed(texts[j]);

            aloop_address_format(&b, text_b, sizeof text_b);
            assert_int_equal(aloop_address_equal(&a, &b),
                             strcmp(text_a, text_b) == 0);
        }
        assert_false(aloop_address_equal(&a, &none));
        assert_false(aloop_address_equal(&none, &a));
        assert_false(aloop_address_equal(&a, NULL));
        assert_false(aloop_address_equal(NULL, &a));
    }
    other.family = 77; /* This is no family either. */
    assert_true(aloop_address_equal(&none, &other));
    assert_false(aloop_address_equal(NULL, NULL));
}

static void bytes_without_a_meaning_make_no_difference(void **state)
{
    aloop_address a = parsed("1.2.3.4:5"), b = a;

    (void) state;
    b.host[15] = b.unused[4] = 1;
    b.scope = b.flow = 1;
    assert_true(aloop_address_equal(&a, &b));
    a = b = parsed("[fe80::1%2]:5");
    b.flow = 1;
    assert_true(aloop_address_equal(&a, &b));
}

static void a_port_can_be_changed(void **state)
{
    aloop_address address = parsed("1.2.3.4:5"), none = {.port = 7};

    (void) state;
    assert_int_equal(aloop_address_set_port(&address, 65535), 0);
    assert_int_equal(aloop_address_port(&address), 65535);
    assert_int_equal(aloop_address_set_port(&address, 0), 0);
    assert_int_equal(aloop_address_port(&address), 0);
    assert_int_equal(aloop_address_set_port(&address, 65536), ALOOP_EINVAL);
    assert_int_equal(aloop_address_set_port(&address, -1), ALOOP_EINVAL);
    assert_int_equal(aloop_address_port(&address), 0);
    assert_int_equal(aloop_address_set_port(NULL, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_address_set_port(&none, 1), ALOOP_EINVAL);
    assert_int_equal(aloop_address_port(&none), 0);
    assert_int_equal(aloop_address_port(NULL), 0);
    assert_int_equal(aloop_address_family(NULL), ALOOP_FAMILY_NONE);
}

static void an_address_of_zeros_is_none(void **state)
{
    aloop_address none = {{0}, 0, 0, 0, 0, {0}};
    struct sockaddr_storage storage;
    char text[96];

    (void) state;
    assert_int_equal(sizeof none, 32);
    assert_int_equal(aloop_address_family(&none), ALOOP_FAMILY_NONE);
    assert_int_equal(aloop_address_format(&none, text, sizeof text),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_address_format_host(&none, text, sizeof text),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_address_to_sockaddr(
                         &none, (struct sockaddr *) &storage, sizeof storage),
                     ALOOP_EINVAL);
}

static void an_address_survives_the_structures_of_the_system(void **state)
{
    static const char *const texts[] = {
        "1.2.3.4:5", "[::1]:80", "[fe80::1%7]:65535", "[::ffff:1.2.3.4]:1"};
    struct sockaddr_storage storage;
    struct sockaddr *any = (struct sockaddr *) &storage;

    (void) state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        aloop_address address = parsed(texts[i]), back, before;
        bool is_v4 = aloop_address_family(&address) == ALOOP_FAMILY_IPV4;
        int size;

        address.flow = is_v4 ? 0 : 0x12345;
        size = aloop_address_to_sockaddr(&address, any, sizeof storage);
        assert_int_equal(size, is_v4 ? sizeof(struct sockaddr_in)
                                     : sizeof(struct sockaddr_in6));
        assert_int_equal(any->sa_family, is_v4 ? AF_INET : AF_INET6);
        assert_int_equal(
            aloop_address_from_sockaddr(any, sizeof storage, &back), 0);
        assert_memory_equal(&back, &address, sizeof back);
        before = back;
        for (int cut = 0; cut < size; cut++) {
            assert_int_equal(
                aloop_address_from_sockaddr(any, (size_t) cut, &back),
                ALOOP_EINVAL);
            assert_int_equal(
                aloop_address_to_sockaddr(&address, any, (size_t) cut),
                ALOOP_ENOSPC);
        }
        assert_memory_equal(&back, &before, sizeof back);
        assert_int_equal(aloop_address_from_sockaddr(any, (size_t) size, &back),
                         0);
    }
}

static void other_structures_of_the_system_are_refused(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr any = {.sa_family = AF_UNSPEC};
    aloop_address address = parsed("::1");

    (void) state;
    assert_int_equal(aloop_address_from_sockaddr((struct sockaddr *) &local,
                                                 sizeof local, &address),
                     ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_address_from_sockaddr(&any, sizeof any, &address),
                     ALOOP_EAFNOSUPPORT);
    assert_int_equal(aloop_address_from_sockaddr(NULL, 16, &address),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_address_from_sockaddr(&any, sizeof any, NULL),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_address_to_sockaddr(&address, NULL, 128),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_address_to_sockaddr(NULL, &any, sizeof any),
                     ALOOP_EINVAL);
}

static aloop_address *addresses;

static ssize_t look_up(aloop *loop, const char *host, const char *service,
                       aloop_family family)
{
    addresses = NULL;
    return aloop_await(aloop_resolve(loop, host, service, family, &addresses));
}

static void localhost_is_found(void **state)
{
    aloop *loop = aloop_new(NULL);
    ssize_t count;
    char text[96];

    (void) state;
    count = look_up(loop, "localhost", "80", ALOOP_FAMILY_ANY);
    assert_true(count >= 1);
    for (ssize_t i = 0; i < count; i++) {
        assert_int_equal(aloop_address_port(&addresses[i]), 80);
        aloop_address_format_host(&addresses[i], text, sizeof text);
        assert_true(strcmp(text, "::1") == 0 || strncmp(text, "127.", 4) == 0);
    }
    aloop_addresses_free(addresses);
    count = look_up(loop, "localhost", "80", ALOOP_FAMILY_IPV4);
    assert_true(count >= 1);
    assert_int_equal(aloop_address_family(&addresses[0]), ALOOP_FAMILY_IPV4);
    /* The rest is left to aloop_free(). */
    assert_int_equal(look_up(loop, "127.0.0.1", NULL, ALOOP_FAMILY_ANY), 1);
    assert_int_equal(look_up(loop, "::1", "no-such-service", ALOOP_FAMILY_ANY),
                     ALOOP_EHOSTNOTFOUND);
    assert_int_equal(aloop_free(loop), 0);
}

/* More than there are threads for them. */
static void look_ups_run_side_by_side(void **state)
{
    enum { LOOK_UPS = 10 };
    static aloop_address *found[LOOK_UPS];
    aloop_future *futures[LOOK_UPS];
    ssize_t statuses[LOOK_UPS];
    aloop *loop = aloop_new(NULL);

    (void) state;
    for (int i = 0; i < LOOK_UPS; i++)
        futures[i] = aloop_resolve(loop, i % 2 == 0 ? "localhost" : "127.0.0.1",
                                   "80", ALOOP_FAMILY_IPV4, &found[i]);
    assert_int_equal(
        aloop_await(aloop_gather_settled(loop, LOOK_UPS, futures, statuses)),
        LOOK_UPS);
    for (int i = 0; i < LOOK_UPS; i++) {
        assert_true(statuses[i] >= 1);
        assert_int_equal(aloop_address_port(&found[i][0]), 80);
        aloop_addresses_free(found[i]);
    }
    assert_int_equal(aloop_free(loop), 0);
}

/* The numbers of inet_aton() are no names, although getaddrinfo() accepts
 * them. */
static void a_name_that_the_resolver_would_misread_is_refused(void **state)
{
    static const char *const hosts[] = {
        "", ".", "1", "127.1", "0x7f000001", "a..b", "[::1]", "127.0.0.1."};
    aloop *loop = aloop_new(NULL);
    char name[256];

    (void) state;
    for (size_t i = 0; i < COUNT(hosts); i++)
        assert_int_equal(look_up(loop, hosts[i], "80", ALOOP_FAMILY_ANY),
                         ALOOP_EINVAL);
    assert_int_equal(look_up(loop, "fe80::1%nosuch", "80", ALOOP_FAMILY_ANY),
                     ALOOP_ENODEV);
    memset(name, 'a', 64);
    memcpy(name + 64, ".test", 6);
    assert_int_equal(look_up(loop, name, "80", ALOOP_FAMILY_ANY),
                     ALOOP_ENAMETOOLONG);
    memset(name, 'a', 254);
    for (size_t i = 50; i < 254; i += 50)
        name[i] = '.';
    name[254] = '\0';
    assert_int_equal(look_up(loop, name, "80", ALOOP_FAMILY_ANY),
                     ALOOP_ENAMETOOLONG);
    assert_int_equal(aloop_free(loop), 0);
}

static void the_name_of_the_loopback_address_is_found_or_missing(void **state)
{
    aloop *loop = aloop_new(NULL);
    aloop_address address = parsed("127.0.0.1");
    char name[1025] = "#";
    ssize_t status =
        aloop_await(aloop_resolve_name(loop, &address, name, sizeof name));

    (void) state;
    if (status >= 0) {
        assert_int_equal(strlen(name), status);
        assert_int_equal(aloop_await(aloop_resolve_name(loop, &address, name,
                                                        (size_t) status)),
                         ALOOP_ENOSPC);
    } else {
        assert_string_equal(name, "#");
    }
    assert_int_equal(aloop_free(loop), 0);
}

static void keep_stream(aloop_listener *listener, aloop_stream *stream,
                        void *arg)
{
    (void) listener;
    *(aloop_stream **) arg = stream;
}

static void both_ends_of_a_connection_have_addresses(void **state)
{
    static const char *const texts[] = {"127.0.0.1", "::1"};
    aloop *loop = aloop_new(NULL);

    (void) state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        aloop_address at = parsed(texts[i]), peer, local;
        aloop_stream *client = NULL, *server = NULL;
        aloop_listener *listener = NULL;
        int error = aloop_tcp_listen_address(loop, &at, keep_stream, &server,
                                             &listener);

        if (error == ALOOP_EAFNOSUPPORT || error == ALOOP_EADDRNOTAVAIL)
            continue; /* This system has no IPv6. */
        assert_int_equal(error, 0);
        assert_int_equal(aloop_listener_address(listener, &at), 0);
        assert_int_equal(
            aloop_await(aloop_tcp_connect_address(loop, &at, &client)), 0);
        while (server == NULL)
            aloop_step(loop, -1);
        assert_int_equal(aloop_stream_peer_address(client, &peer), 0);
        assert_true(aloop_address_equal(&peer, &at));
        assert_int_equal(aloop_stream_local_address(client, &local), 0);
        assert_int_equal(aloop_stream_peer_address(server, &peer), 0);
        assert_true(aloop_address_equal(&peer, &local));
        aloop_listener_close(listener);
    }
    assert_int_equal(aloop_free(loop), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_parsed_and_formatted),
        cmocka_unit_test(a_text_that_is_no_complete_address_is_refused),
        cmocka_unit_test(an_interface_is_given_by_name_or_number),
        cmocka_unit_test(a_buffer_that_is_too_small_stays_unchanged),
        cmocka_unit_test(addresses_are_equal_if_their_texts_are),
        cmocka_unit_test(bytes_without_a_meaning_make_no_difference),
        cmocka_unit_test(a_port_can_be_changed),
        cmocka_unit_test(an_address_of_zeros_is_none),
        cmocka_unit_test(an_address_survives_the_structures_of_the_system),
        cmocka_unit_test(other_structures_of_the_system_are_refused),
        cmocka_unit_test(localhost_is_found),
        cmocka_unit_test(look_ups_run_side_by_side),
        cmocka_unit_test(a_name_that_the_resolver_would_misread_is_refused),
        cmocka_unit_test(the_name_of_the_loopback_address_is_found_or_missing),
        cmocka_unit_test(both_ends_of_a_connection_have_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
