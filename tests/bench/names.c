/* Looks names up with c-ares, in a loop of this library or in c-ares' own, for
 * bridges.sh.
 *
 *     usage: aloop_names aloop|own COUNT SERVER
 *
 * Fifty look-ups at a time, COUNT together.  The names are those of dnsmasq.sh.
 * Prints the look-ups per second of CPU time. */

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <ares.h>

#include "bridges/cares.h"

enum { WORKERS = 50, NAMES = 300, TIMEOUT_MS = 500, TRIES = 10 };

static long started, wanted, completed;
static cares_resolver *resolver;
static char *servers;

static void next_name(char name[static 16])
{
    snprintf(name, 16, "n%ld.test.", started++ % NAMES);
}

/* In a loop of this library. */

static ssize_t worker(aloop *loop, void *arg)
{
    aloop_address address;
    char name[16];

    (void) loop;
    (void) arg;
    while (started < wanted) {
        ssize_t status;

        next_name(name);
        status = aloop_await(cares_resolve(resolver, name, NULL,
                                           ALOOP_FAMILY_IPV4, &address, 1));
        if (status < 0)
            return status;
        completed++;
    }
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    cares_options options = {.servers = servers,
                             .timeout_ns = ALOOP_MS(TIMEOUT_MS),
                             .tries = TRIES,
                             .is_dns_only = true};
    char items[WORKERS];
    ssize_t status;

    (void) arg;
    status = cares_resolver_new(loop, &options, &resolver);
    if (status < 0)
        return status;
    status = aloop_await(aloop_map(loop, worker, items, WORKERS, 1, WORKERS));
    cares_resolver_free(resolver);
    return status;
}

/* In c-ares' own. */

static void name_done(void *arg, int status, int timeouts,
                      struct ares_addrinfo *info)
{
    aloop_address address;

    (void) arg;
    (void) timeouts;
    if (status != ARES_SUCCESS ||
        aloop_address_from_sockaddr(info->nodes->ai_addr,
                                    (size_t) info->nodes->ai_addrlen,
                                    &address) < 0)
        exit(1);
    ares_freeaddrinfo(info);
    completed++;
}

static void run_own(void)
{
    char lookups[] = "b";
    struct ares_options options = {.timeout = TIMEOUT_MS,
                                   .tries = TRIES,
                                   .lookups = lookups};
    struct ares_addrinfo_hints hints = {.ai_family = AF_INET};
    ares_channel channel;
    char name[16];

    if (ares_init_options(&channel, &options,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                              ARES_OPT_LOOKUPS) != ARES_SUCCESS ||
        ares_set_servers_ports_csv(channel, servers) != ARES_SUCCESS)
        exit(1);
    while (completed < wanted) {
        struct timeval most, *wait;
        fd_set readable, writable;
        int max;

        while (started < wanted && started - completed < WORKERS) {
            next_name(name);
            ares_getaddrinfo(channel, name, NULL, &hints, name_done, NULL);
        }
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        max = ares_fds(channel, &readable, &writable);
        wait = ares_timeout(channel, NULL, &most);
        select(max, &readable, &writable, NULL, wait);
        ares_process(channel, &readable, &writable);
    }
    ares_destroy(channel);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    double seconds;

    wanted = argc == 4 ? atol(argv[2]) : 0;
    if (wanted <= 0)
        return 2;
    servers = argv[3];
    if (strcmp(argv[1], "own") == 0)
        run_own();
    else if (aloop_main(amain, NULL) < 0)
        return 1;
    getrusage(RUSAGE_SELF, &usage);
    seconds = (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
              (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%.0f\n", (double) completed / seconds);
    return completed != wanted;
}
