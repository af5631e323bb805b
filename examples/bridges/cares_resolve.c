/* Looks up many names at the same time with c-ares, without threads.
 *
 *     usage: cares_resolve [-46] [-n COUNT] [-s SERVER] [-t SECONDS] NAME...
 *
 *     -4          only addresses of IPv4
 *     -6          only addresses of IPv6
 *     -n COUNT    look-ups in progress at most (default: 50)
 *     -s SERVER   the name server, such as 127.0.0.1:5353, or several with
 *                 commas (default: those of the system)
 *     -t SECONDS  time limit for all names together (default: 30)
 *
 * Prints a line for each address, in the order of the names.  Errors are
 * printed to standard error.
 *
 * The exit status is 0; 1 if a look-up has failed; 2 for wrong usage; 130 after
 * SIGINT or SIGTERM, and then nothing is printed.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridges/cares.h"
#include "support/options.h"
#include "support/process.h"

enum { ADDRESSES_MAX = 64 };

struct name {
    const char *text;
    aloop_address addresses[ADDRESSES_MAX];
    ssize_t status;
};

static struct name *names;
static size_t name_count;
static cares_resolver *resolver;

/* What the command line sets. */
static struct {
    const char *servers;
    uint64_t running_max;
    int64_t limit_ns;
    aloop_family family;
} settings = {.running_max = 50, .limit_ns = ALOOP_SEC(30)};

/* Looks up one name.  The task stores a failure and returns 0, because a task
 * that fails would end the others. */
static ssize_t name_resolve(aloop *loop, void *arg)
{
    struct name *name = arg;

    (void) loop;
    name->status =
        aloop_await(cares_resolve(resolver, name->text, NULL, settings.family,
                                  name->addresses, ADDRESSES_MAX));
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    cares_options options = {.servers = settings.servers};
    ssize_t status;

    (void) arg;
    status = cares_resolver_new(loop, &options, &resolver);
    if (status < 0)
        return status;
    for (size_t i = 0; i < name_count; i++)
        names[i].status = ALOOP_ECANCELED; /* The limit may be shorter. */
    status = aloop_await(
        aloop_timeout(aloop_map(loop, name_resolve, names, name_count,
                                sizeof names[0], (size_t) settings.running_max),
                      settings.limit_ns));
    cares_resolver_free(resolver);
    if (aloop_is_cancelled())
        return ALOOP_ECANCELED;
    return status == ALOOP_ETIMEDOUT ? 0 : status;
}

/* Prints the addresses of one name, or why there is none.  Returns whether
 * there is one. */
static bool report(const struct name *name)
{
    /* It is the limit that has cancelled a look-up; see name_resolve(). */
    ssize_t status = name->status == ALOOP_ECANCELED ? ALOOP_ETIMEDOUT
                                                     : name->status;

    for (ssize_t i = 0; i < status; i++) {
        char text[96];

        aloop_address_format_host(&name->addresses[i], text, sizeof text);
        printf("%s %s\n", name->text, text);
    }
    if (status < 0)
        fprintf(stderr, "cares_resolve: %s: %s\n", name->text,
                aloop_strerror(status));
    return status > 0;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: cares_resolve [-46] [-n COUNT] [-s SERVER] [-t SECONDS]"
        " NAME...\n"
        "  -4          only addresses of IPv4\n"
        "  -6          only addresses of IPv6\n"
        "  -n COUNT    look-ups in progress at most (default: 50)\n"
        "  -s SERVER   the name server, such as 127.0.0.1:5353, or several with"
        " commas\n"
        "              (default: those of the system)\n"
        "  -t SECONDS  time limit for all names together (default: 30)\n";
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "46n:s:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == '4')
            settings.family = ALOOP_FAMILY_IPV4;
        else if (option == '6')
            settings.family = ALOOP_FAMILY_IPV6;
        else if (option == 'n')
            is_valid =
                option_number("-n", optarg, 1, 10000, &settings.running_max);
        else if (option == 's')
            settings.servers = optarg;
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &settings.limit_ns);
    }
    if (is_help || !is_valid || optind == argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    name_count = (size_t) (argc - optind);
    names = calloc(name_count, sizeof *names);
    for (size_t i = 0; names != NULL && i < name_count; i++)
        names[i].text = argv[(size_t) optind + i];
    return 0;
}

/* Returns the exit status. */
static int report_all(void)
{
    bool is_good = true;

    for (size_t i = 0; i < name_count; i++)
        is_good = report(&names[i]) && is_good;
    return !is_good;
}

/* Returns the exit status. */
static int complain_of_servers(void)
{
    fprintf(stderr,
            "-s: \"%s\" is not the address of a name server, such as"
            " 127.0.0.1:5353, or several with commas\n",
            settings.servers);
    return 2;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("cares_resolve", status < 0 ? 0 : status);
    status = names == NULL ? ALOOP_ENOMEM
                           : aloop_main_with(amain, NULL, &options);
    if (status == ALOOP_EINVAL)
        status = complain_of_servers();
    else if (status >= 0)
        status = report_all();
    free(names);
    return process_end("cares_resolve", status);
}
