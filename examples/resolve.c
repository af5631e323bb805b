/* Looks up the addresses of names, or the names of addresses, simultaneously.
 *
 *     usage: resolve [-4 | -6] NAME...
 *            resolve -r ADDRESS...
 *
 *     -4, -6    only addresses of IPv4, or of IPv6
 *     -r        look up the names of addresses
 *
 * Prints "NAME ADDRESS" for each address, in the order of the arguments.  An
 * error is printed on standard error, and the other arguments are still looked
 * up.
 *
 * Exit status: 0; 1 if an argument has failed; 2 for wrong usage; 130 after
 * SIGINT or SIGTERM.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"

enum { NAME_SIZE = 1025, TEXT_SIZE = 96 };

struct look_up {
    const char *text; /* From the command line. */
    aloop_future *future;
    aloop_address *addresses;
    char name[NAME_SIZE];
};

struct resolve {
    aloop_family family;
    bool is_reverse;
    char **texts;
    size_t count;
};

static void start(aloop *loop, const struct resolve *resolve,
                  struct look_up *look_up)
{
    aloop_address address;
    int error;

    if (!resolve->is_reverse) {
        look_up->future = aloop_resolve(loop, look_up->text, NULL,
                                        resolve->family, &look_up->addresses);
        return;
    }
    error = aloop_address_parse(look_up->text, &address);
    if (error < 0)
        look_up->future = aloop_future_new_settled(loop, error);
    else
        look_up->future = aloop_resolve_name(loop, &address, look_up->name,
                                             sizeof look_up->name);
}

static const char *reason(const struct resolve *resolve, ssize_t error)
{
    if (error != ALOOP_EINVAL)
        return aloop_strerror(error);
    return resolve->is_reverse ? "not a numeric address"
                               : "not a name and not a complete address";
}

/* Prints the result of a look-up.  Returns its status. */
static ssize_t finish(const struct resolve *resolve, struct look_up *look_up)
{
    ssize_t status = aloop_await(look_up->future);
    char text[TEXT_SIZE];

    if (status == ALOOP_ECANCELED)
        return status;
    if (status < 0) {
        fflush(stdout);
        fprintf(stderr, "resolve: %s: %s\n", look_up->text,
                reason(resolve, status));
        return status;
    }
    if (resolve->is_reverse)
        printf("%s %s\n", look_up->text, look_up->name);
    for (ssize_t i = 0; !resolve->is_reverse && i < status; i++) {
        aloop_address_format_host(&look_up->addresses[i], text, sizeof text);
        printf("%s %s\n", look_up->text, text);
    }
    aloop_addresses_free(look_up->addresses);
    return 0;
}

/* The look-ups run at the same time, and are awaited in order. */
static ssize_t amain(aloop *loop, void *arg)
{
    const struct resolve *resolve = arg;
    struct look_up *look_ups = calloc(resolve->count, sizeof *look_ups);
    ssize_t status = 0, result = 0;

    if (look_ups == NULL)
        return ALOOP_ENOMEM;
    for (size_t i = 0; i < resolve->count; i++) {
        look_ups[i].text = resolve->texts[i];
        start(loop, resolve, &look_ups[i]);
    }
    for (size_t i = 0; i < resolve->count; i++) {
        if (status == ALOOP_ECANCELED) {
            aloop_future_unref(look_ups[i].future);
            continue;
        }
        status = finish(resolve, &look_ups[i]);
        if (status < 0)
            result = 1;
    }
    free(look_ups);
    return status == ALOOP_ECANCELED ? status : result;
}

static bool parse_options(int argc, char **argv, struct resolve *resolve)
{
    int option;

    while ((option = getopt(argc, argv, "46r")) != -1) {
        if (option == '?')
            return false;
        if (option == 'r')
            resolve->is_reverse = true;
        else if (resolve->family != ALOOP_FAMILY_ANY)
            return false;
        else
            resolve->family = option == '4' ? ALOOP_FAMILY_IPV4
                                            : ALOOP_FAMILY_IPV6;
    }
    resolve->texts = argv + optind;
    resolve->count = (size_t) (argc - optind);
    return resolve->count > 0 &&
           !(resolve->is_reverse && resolve->family != ALOOP_FAMILY_ANY);
}

int main(int argc, char **argv)
{
    static const char usage[] = "usage: resolve [-4 | -6] NAME...\n"
                                "       resolve -r ADDRESS...\n"
                                "  -4, -6  only addresses of IPv4, or of IPv6\n"
                                "  -r      look up the names of addresses\n";
    struct resolve resolve = {.family = ALOOP_FAMILY_ANY};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};

    if (option_help(argc, argv)) {
        fputs(usage, stdout);
        return process_end("resolve", 0);
    }
    if (!parse_options(argc, argv, &resolve)) {
        fputs(usage, stderr);
        return 2;
    }
    return process_end("resolve", aloop_main_with(amain, &resolve, &options));
}
