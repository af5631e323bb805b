/* The bridge to c-ares, against dnsmasq and a server that does not answer.
 * dnsmasq is that of programs/dnsmasq.sh, which lists its names. */

#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "aloop.h"
#include "bridges/cares.h"
#include "bridges/refusals.h"
#include "support/child.h"
#include "support/patient.h"

enum { FDS_MAX = 200, MANY = 300, ADDRESSES_MAX = 64 };

static struct {
    aloop *loop;
    cares_resolver *resolver;
    int fds;                 /* Open descriptors before the test. */
    int socket;              /* That of the server that does not answer. */
    cares_resolver *unheard; /* Asks that server. */
    aloop_address addresses[ADDRESSES_MAX];
    aloop_address many[MANY];
    int waits; /* Of the loop. */
} f;

static cares_resolver *resolver_of(const char *servers)
{
    cares_options options = {.servers = servers,
                             .timeout_ns = ALOOP_MS(patient_limit(300)),
                             .tries = 8};

    cares_resolver *resolver;

    (void) cares_resolver_new(f.loop, &options, &resolver);
    return resolver;
}

static cares_resolver *dnsmasq(void)
{
    return resolver_of(getenv("DNS_SERVER"));
}

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.fds = open_descriptors(FDS_MAX);
    f.socket = -1;
    f.loop = aloop_new(NULL);
    f.resolver = dnsmasq();
    return f.resolver == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void) state;
    cares_resolver_free(f.resolver);
    cares_resolver_free(f.unheard);
    if (f.socket >= 0)
        close(f.socket);
    assert_int_equal(aloop_free(f.loop), 0);
    assert_int_equal(open_descriptors(FDS_MAX), f.fds);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static aloop_future *begin(const char *name)
{
    return cares_resolve(f.resolver, name, "80", ALOOP_FAMILY_ANY, f.addresses,
                         ADDRESSES_MAX);
}

static bool has(ssize_t count, const char *text)
{
    aloop_address address;
    bool is_found = false;

    assert_int_equal(aloop_address_parse(text, &address), 0);
    for (ssize_t i = 0; i < count; i++)
        is_found = is_found || aloop_address_equal(&f.addresses[i], &address);
    return is_found;
}

/* Opens a server that does not answer, and a resolver that asks it. */
static void open_silent(int64_t timeout_ns, int tries)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    char server[32];
    cares_options options = {.servers = server,
                             .timeout_ns = timeout_ns,
                             .tries = tries};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f.socket = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(f.socket, (struct sockaddr *) &address, size), 0);
    assert_int_equal(getsockname(f.socket, (struct sockaddr *) &address, &size),
                     0);
    snprintf(server, sizeof server, "127.0.0.1:%d", ntohs(address.sin_port));
    (void) cares_resolver_new(f.loop, &options, &f.unheard);
    assert_non_null(f.unheard);
}

static aloop_future *begin_unheard(void)
{
    return cares_resolve(f.unheard, "four.test.", NULL, ALOOP_FAMILY_ANY,
                         f.addresses, ADDRESSES_MAX);
}

/* Expects that nothing is watched or waited for, and that the resolver
 * works. */
static void assert_quiet(void)
{
    assert_false(aloop_alive(f.loop));
    assert_int_equal(aloop_run(f.loop), 0);
    assert_int_equal(aloop_await(begin("four.test")), 1);
    assert_true(has(1, "192.0.2.1:80"));
    assert_false(aloop_alive(f.loop));
}

/* Names that exist. */

static void addresses_of_both_families_are_found(void **state)
{
    ssize_t count;

    (void) state;

    count = aloop_await(begin("both.test"));

    assert_int_equal(count, 2);
    assert_true(has(count, "192.0.2.2:80"));
    assert_true(has(count, "[2001:db8::2]:80"));
    assert_false(aloop_alive(f.loop));
}

static void addresses_of_one_family_are_found(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(cares_resolve(f.resolver, "both.test", NULL,
                                               ALOOP_FAMILY_IPV4, f.addresses,
                                               ADDRESSES_MAX)),
                     1);
    assert_true(has(1, "192.0.2.2"));
    assert_int_equal(aloop_await(cares_resolve(f.resolver, "both.test", "http",
                                               ALOOP_FAMILY_IPV6, f.addresses,
                                               ADDRESSES_MAX)),
                     1);
    assert_true(has(1, "[2001:db8::2]:80"));
}

static void an_alias_is_followed(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin("alias.test")), 2);
}

static void a_long_answer_is_asked_for_by_tcp(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin("many.test")), 59);

    assert_true(has(59, "192.0.2.1:80"));
    assert_true(has(59, "192.0.2.59:80"));
    assert_quiet();
}

static void what_does_not_fit_is_left_out(void **state)
{
    aloop_address untouched = f.addresses[3];

    (void) state;

    assert_int_equal(
        aloop_await(cares_resolve(f.resolver, "many.test", NULL,
                                  ALOOP_FAMILY_ANY, f.addresses, 3)),
        3);

    assert_memory_equal(&f.addresses[3], &untouched, sizeof untouched);
}

static void an_address_needs_no_server(void **state)
{
    aloop_future *future = begin("2001:db8::7");

    (void) state;
    assert_true(aloop_future_is_settled(future));

    assert_int_equal(aloop_await(future), 1);

    assert_true(has(1, "[2001:db8::7]:80"));
}

static void three_hundred_names_are_found_at_the_same_time(void **state)
{
    aloop_future *futures[MANY];
    char text[32];

    (void) state;
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "n%d.test", i);
        futures[i] = cares_resolve(f.resolver, text, NULL, ALOOP_FAMILY_IPV4,
                                   &f.many[i], 1);
    }

    assert_int_equal(aloop_await(aloop_gather_array(f.loop, MANY, futures)), 0);

    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "198.51.%d.%d", 100 + (i + 1) / 256,
                 (i + 1) % 256);
        f.addresses[0] = f.many[i];
        assert_true(has(1, text));
    }
    assert_quiet();
}

/* Errors. */

static void a_name_that_does_not_exist_is_not_found(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin("no.test.")), ALOOP_EHOSTNOTFOUND);
    assert_int_equal(
        aloop_await(cares_resolve(f.resolver, "four.test.", NULL,
                                  ALOOP_FAMILY_IPV6, f.addresses, 1)),
        ALOOP_EHOSTNOTFOUND);
    assert_quiet();
}

static void what_is_not_a_name_is_an_error(void **state)
{
    (void) state;

    assert_int_equal(aloop_await(begin("a..b")), ALOOP_EINVAL);
    assert_int_equal(aloop_await(begin("")), ALOOP_EINVAL);
    assert_int_equal(aloop_await(begin(NULL)), ALOOP_EINVAL);
    assert_int_equal(
        aloop_await(cares_resolve(f.resolver, "four.test", NULL,
                                  ALOOP_FAMILY_ANY, f.addresses, 0)),
        ALOOP_EINVAL);
}

static void a_resolver_that_is_missing_counts_as_no_memory(void **state)
{
    cares_options options = {.servers = "no address"};
    cares_resolver *resolver = f.resolver;

    (void) state;
    assert_int_equal(aloop_await(cares_resolve(
                         NULL, "x", NULL, ALOOP_FAMILY_ANY, f.addresses, 1)),
                     ALOOP_ENOMEM);
    assert_int_equal(cares_resolver_new(f.loop, &options, &resolver),
                     ALOOP_EINVAL);
    assert_null(resolver);
    cares_resolver_free(NULL);
}

static void a_refused_query_is_a_temporary_failure(void **state)
{
    (void) state;
    cares_resolver_free(f.resolver);
    f.resolver = resolver_of("127.0.0.1:1");

    assert_int_equal(aloop_await(begin("four.test.")), ALOOP_EAGAINDNS);

    assert_false(aloop_alive(f.loop));
}

static int64_t count_wait(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    f.waits++;
    return -1;
}

/* The timer of the loop must not expire before c-ares has something to do. */
static void a_server_that_does_not_answer_costs_few_turns(void **state)
{
    aloop_prepare *prepare;

    (void) state;
    open_silent(ALOOP_MS(30), 3);
    assert_int_equal(aloop_prepare_start(f.loop, count_wait, NULL, &prepare),
                     0);

    assert_int_equal(aloop_await(begin_unheard()), ALOOP_EAGAINDNS);

    assert_true(f.waits < 30 || is_interrupted());
    aloop_prepare_close(prepare);
    assert_false(aloop_alive(f.loop));
}

/* As a number of milliseconds it does not fit into the int of c-ares. */
static void a_try_with_a_limit_of_years_does_not_end_early(void **state)
{
    int64_t years_ns = ALOOP_MS((INT64_C(1) << 32) + 1);

    (void) state;
    open_silent(years_ns, 2);

    assert_int_equal(aloop_await(aloop_timeout(begin_unheard(), ALOOP_MS(100))),
                     ALOOP_ETIMEDOUT);

    assert_quiet();
}

/* Ends that come early. */

static void one_deadline_ends_all(void **state)
{
    aloop_future *futures[MANY];

    (void) state;
    open_silent(ALOOP_SEC(1000), 1);
    for (int i = 0; i < MANY; i++)
        futures[i] = cares_resolve(f.unheard, "four.test.", NULL,
                                   ALOOP_FAMILY_IPV4, &f.many[i], 1);

    assert_int_equal(
        aloop_await(aloop_timeout(aloop_gather_array(f.loop, MANY, futures),
                                  ALOOP_MS(20))),
        ALOOP_ETIMEDOUT);

    assert_quiet();
}

/* c-ares keeps a descriptor open while it has a query. */
static void a_cancel_of_all_closes_the_descriptors(void **state)
{
    aloop_future *futures[3];
    int before;

    (void) state;
    open_silent(ALOOP_SEC(1000), 1);
    before = open_descriptors(FDS_MAX);
    for (int i = 0; i < 3; i++)
        futures[i] = begin_unheard();
    assert_true(open_descriptors(FDS_MAX) > before);

    for (int i = 0; i < 3; i++)
        aloop_future_unref(futures[i]);

    assert_int_equal(open_descriptors(FDS_MAX), before);
    assert_quiet();
}

static void a_cancel_ends_one_query_alone(void **state)
{
    aloop_address untouched = {.port = 77}, cancelled = untouched;
    aloop_future *first = begin("four.test");
    aloop_future *second = cares_resolve(f.resolver, "n7.test", NULL,
                                         ALOOP_FAMILY_IPV4, &cancelled, 1);
    aloop_future *third = cares_resolve(f.resolver, "n8.test", NULL,
                                        ALOOP_FAMILY_IPV4, &f.many[0], 1);

    (void) state;

    aloop_cancel(second);

    assert_int_equal(aloop_await(second), ALOOP_EABORTED);
    assert_int_equal(aloop_await(first), 1);
    assert_int_equal(aloop_await(third), 1);
    assert_true(has(1, "192.0.2.1:80"));
    assert_memory_equal(&cancelled, &untouched, sizeof untouched);
    assert_quiet();
}

static void a_query_can_be_cancelled_at_each_step(void **state)
{
    ssize_t status = ALOOP_EABORTED;
    int steps = 0;

    (void) state;
    for (; status < 0; steps++) {
        aloop_future *future = begin("many.test");

        for (int i = 0; i < steps; i++)
            aloop_step(f.loop, ALOOP_MS(10));
        aloop_cancel(future);
        status = aloop_await(future);
        assert_true(status == 59 || status == ALOOP_EABORTED);
        assert_quiet();
    }
    assert_true(steps > 2);
}

static void queries_end_with_their_resolver(void **state)
{
    aloop_future *first, *second;

    (void) state;
    open_silent(ALOOP_SEC(1000), 1);
    first = begin_unheard();
    second = begin_unheard();
    aloop_cancel(second);

    cares_resolver_free(f.unheard);
    f.unheard = NULL;

    assert_int_equal(aloop_await(first), ALOOP_EABORTED);
    assert_int_equal(aloop_await(second), ALOOP_EABORTED);
    assert_false(aloop_alive(f.loop));
}

static ssize_t query_run(aloop *loop, void *arg)
{
    (void) loop;
    *(ssize_t *) arg = aloop_await(begin_unheard());
    cares_resolver_free(f.unheard);
    f.unheard = NULL;
    return 0;
}

static void a_loop_can_be_freed_in_the_middle(void **state)
{
    ssize_t status = 0;

    (void) state;
    open_silent(ALOOP_SEC(1000), 1);
    aloop_detach(aloop_spawn(f.loop, query_run, &status));
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    cares_resolver_free(f.resolver); /* It may not be freed later. */
    f.resolver = NULL;

    assert_int_equal(aloop_free(f.loop), 0);

    assert_int_equal(status, ALOOP_ECANCELED);
    f.loop = aloop_new(NULL);
}

/* Looks up while one request for memory fails, the one of this number.  Returns
 * whether there are so many. */
static bool survives(unsigned fails_at)
{
    cares_resolver *resolver = f.resolver;
    aloop_future *futures[2];
    bool is_over;

    refuse_call(fails_at);
    f.resolver = dnsmasq();
    futures[0] = begin("many.test"); /* By TCP, too. */
    futures[1] = cares_resolve(f.resolver, "n8.test", NULL, ALOOP_FAMILY_IPV4,
                               &f.many[0], 1);
    for (int i = 0; i < 2; i++) {
        ssize_t status = aloop_await(futures[i]);

        assert_true(status == ALOOP_ENOMEM || status == (i == 0 ? 59 : 1));
    }
    is_over = refusals_are_over();
    refuse_call(0);
    if (f.resolver != NULL)
        assert_quiet();
    cares_resolver_free(f.resolver);
    f.resolver = resolver;
    return !is_over;
}

static void out_of_memory_ends_queries(void **state)
{
    unsigned fails_at = 1;

    (void) state;
#ifdef WITH_WRAP
    while (survives(fails_at))
        fails_at++;
    assert_true(fails_at > 5);
#else
    (void) survives(fails_at);
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_of_both_families_are_found),
        TEST(addresses_of_one_family_are_found),
        TEST(an_alias_is_followed),
        TEST(a_long_answer_is_asked_for_by_tcp),
        TEST(what_does_not_fit_is_left_out),
        TEST(an_address_needs_no_server),
        TEST(three_hundred_names_are_found_at_the_same_time),
        TEST(a_name_that_does_not_exist_is_not_found),
        TEST(what_is_not_a_name_is_an_error),
        TEST(a_resolver_that_is_missing_counts_as_no_memory),
        TEST(a_refused_query_is_a_temporary_failure),
        TEST(a_server_that_does_not_answer_costs_few_turns),
        TEST(a_try_with_a_limit_of_years_does_not_end_early),
        TEST(one_deadline_ends_all),
        TEST(a_cancel_of_all_closes_the_descriptors),
        TEST(a_cancel_ends_one_query_alone),
        TEST(a_query_can_be_cancelled_at_each_step),
        TEST(queries_end_with_their_resolver),
        TEST(a_loop_can_be_freed_in_the_middle),
        TEST(out_of_memory_ends_queries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
