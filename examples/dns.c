/* Asks a name server over UDP for the addresses of names, simultaneously.
 *
 *     usage: dns [-4 | -6] [-s SERVER] [-p PORT] [-t SECONDS] [-n TRIES]
 *                NAME...
 *
 *     -4, -6      only addresses of IPv4, or of IPv6
 *     -s SERVER   numeric address (default: the first one of /etc/resolv.conf)
 *     -p PORT     its port (default: 53)
 *     -t SECONDS  how long to wait for a reply before asking again (default: 2)
 *     -n TRIES    how often to ask (default: 3)
 *
 * Prints "NAME ADDRESS" for each address, in the order of the arguments.  An
 * error is printed on standard error, and the other names are still asked for.
 *
 * Datagrams get lost, so that a question is repeated.  Any host can send a
 * datagram that looks like a reply.  Therefore the socket is connected, so that
 * it receives only from the address of the server, on a port that the system
 * has chosen.  The identifier of a question is random, and everything that is
 * not the reply to this question is ignored until the time is over.
 *
 * Exit status: 0; 1 if a name has failed; 2 for wrong usage; 130 after SIGINT
 * or SIGTERM.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/dns.h"
#include "support/options.h"
#include "support/process.h"

struct dns {
    aloop_family family;
    aloop_address server;
    int64_t delay_ns;
    uint64_t tries;
    char **names;
    size_t count;
};

/* One name and one type of addresses. */
struct look_up {
    const struct dns *dns;
    const char *name;
    unsigned type;
    struct dns_question question;
    struct dns_answer answer;
};

/* Receives until a datagram is the reply to the question.  The caller limits
 * the time. */
static ssize_t await_reply(struct look_up *look_up, aloop_udp *udp)
{
    unsigned char reply[DNS_REPLY_SIZE];
    ssize_t status;

    do {
        status = aloop_await(aloop_udp_receive(udp, reply, sizeof reply, NULL));
        if (status >= 0)
            status = dns_read(&look_up->question, reply, (size_t) status,
                              &look_up->answer);
    } while (status == DNS_EOTHER || status == ALOOP_EMSGSIZE);
    return status;
}

static ssize_t ask_once(aloop *loop, struct look_up *look_up, aloop_udp *udp)
{
    aloop_deadline *deadline =
        aloop_deadline_begin(loop, look_up->dns->delay_ns);
    ssize_t status = ALOOP_ENOMEM;

    if (deadline == NULL)
        return status;
    status = aloop_await(aloop_udp_send(udp, look_up->question.bytes,
                                        look_up->question.size, NULL));
    if (status >= 0)
        status = await_reply(look_up, udp);
    aloop_deadline_end(deadline);
    return status;
}

/* Returns a number that other hosts cannot guess. */
static int random_id(unsigned *ret)
{
    unsigned char bytes[2];
    FILE *file = fopen("/dev/urandom", "rb");
    size_t count = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;

    if (file != NULL)
        fclose(file);
    *ret = count == sizeof bytes ? (unsigned) bytes[0] << 8 | bytes[1] : 0;
    return count == sizeof bytes ? 0 : ALOOP_EIO;
}

/* A task.  Late replies to the first try are good for the second one, because
 * all have the same identifier. */
static ssize_t look_up_name(aloop *loop, void *arg)
{
    struct look_up *look_up = arg;
    const struct dns *dns = look_up->dns;
    uint64_t left = dns->tries;
    aloop_udp *udp = NULL;
    unsigned id;
    ssize_t status = random_id(&id);

    if (status == 0)
        status = dns_ask(look_up->name, look_up->type, id, &look_up->question);
    if (status == 0)
        status = aloop_udp_open(loop, NULL, "0", &udp);
    if (status == 0)
        status = aloop_udp_connect(udp, &dns->server);
    while (left-- > 0 && (status == 0 || status == ALOOP_ETIMEDOUT ||
                          status == DNS_ESERVER)) {
        status = ask_once(loop, look_up, udp);
        if (status == 0)
            break;
    }
    aloop_udp_close(udp);
    return status;
}

static void print_answer(const struct look_up *look_up)
{
    char text[96];

    for (size_t i = 0; i < look_up->answer.count; i++) {
        aloop_address_format_host(&look_up->answer.addresses[i], text,
                                  sizeof text);
        printf("%s %s\n", look_up->name, text);
    }
}

static void print_error(const struct look_up *look_up, ssize_t error)
{
    fflush(stdout);
    fprintf(stderr, "dns: %s: %s\n", look_up->name,
            error == ALOOP_EINVAL ? "not a name" : dns_strerror(error));
}

/* A name that has addresses of one type only is no error. */
static ssize_t print_name(const struct look_up *look_ups, size_t count,
                          const ssize_t *statuses)
{
    ssize_t error = 0;
    bool is_found = false;

    for (size_t i = 0; i < count; i++) {
        if (statuses[i] == 0)
            print_answer(&look_ups[i]);
        else if (statuses[i] != DNS_EEMPTY || error == 0)
            error = statuses[i];
        is_found |= statuses[i] == 0;
    }
    if (error == 0 || (error == DNS_EEMPTY && is_found))
        return 0;
    print_error(&look_ups[0], error);
    return error;
}

/* Starts the look-ups of a name.  Returns how many there are. */
static size_t start(aloop *loop, const struct dns *dns, const char *name,
                    struct look_up *look_ups, aloop_future **ret_futures)
{
    static const struct {
        aloop_family other;
        unsigned type;
    } types[] = {{ALOOP_FAMILY_IPV6, DNS_A}, {ALOOP_FAMILY_IPV4, DNS_AAAA}};
    size_t count = 0;

    for (size_t i = 0; i < 2; i++) {
        if (dns->family == types[i].other)
            continue;
        look_ups[count] =
            (struct look_up){.dns = dns, .name = name, .type = types[i].type};
        ret_futures[count] = aloop_spawn(loop, look_up_name, &look_ups[count]);
        count++;
    }
    return count;
}

/* All look-ups run at the same time, and are awaited in order. */
static ssize_t amain(aloop *loop, void *arg)
{
    const struct dns *dns = arg;
    struct look_up *look_ups = calloc(2 * dns->count, sizeof *look_ups);
    aloop_future **futures = calloc(2 * dns->count, sizeof *futures);
    size_t each = 0;
    ssize_t result = 0;

    if (look_ups == NULL || futures == NULL)
        result = ALOOP_ENOMEM;
    for (size_t i = 0; i < dns->count && result == 0; i++)
        each =
            start(loop, dns, dns->names[i], &look_ups[2 * i], &futures[2 * i]);
    for (size_t i = 0; i < dns->count && each > 0; i++) {
        ssize_t statuses[2] = {0, 0};

        for (size_t j = 0; j < each; j++)
            statuses[j] = aloop_await(futures[2 * i + j]);
        if (statuses[0] == ALOOP_ECANCELED)
            result = ALOOP_ECANCELED;
        else if (result != ALOOP_ECANCELED &&
                 print_name(&look_ups[2 * i], each, statuses) < 0)
            result = 1;
    }
    free(look_ups);
    free(futures);
    return result;
}

/* Reads the address of the first name server. */
static int read_server(aloop_address *ret)
{
    FILE *file = fopen("/etc/resolv.conf", "r");
    char line[256], text[64];
    int error = ALOOP_ENOENT;

    if (file == NULL)
        return error;
    while (error < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "nameserver %63s", text) == 1)
            error = aloop_address_parse(text, ret);
    fclose(file);
    return error;
}

static bool parse_options(int argc, char **argv, struct dns *dns)
{
    uint64_t port = 53;
    bool is_valid = true;
    int option;

    while (is_valid && (option = getopt(argc, argv, "46s:p:t:n:")) != -1) {
        if (option == '4' || option == '6') {
            is_valid = dns->family == ALOOP_FAMILY_ANY;
            dns->family = option == '4' ? ALOOP_FAMILY_IPV4 : ALOOP_FAMILY_IPV6;
        } else if (option == 's') {
            is_valid = aloop_address_parse(optarg, &dns->server) == 0;
            if (!is_valid)
                fprintf(stderr, "-s: \"%s\" is not a numeric address\n",
                        optarg);
        } else if (option == 'p') {
            is_valid = option_number("-p", optarg, 1, 65535, &port);
        } else if (option == 't') {
            is_valid = option_seconds("-t", optarg, &dns->delay_ns);
        } else {
            is_valid = option == 'n' &&
                       option_number("-n", optarg, 1, 100, &dns->tries);
        }
    }
    dns->names = argv + optind;
    dns->count = (size_t) (argc - optind);
    if (!is_valid || dns->count == 0)
        return false;
    if (aloop_address_family(&dns->server) == ALOOP_FAMILY_NONE &&
        read_server(&dns->server) < 0) {
        fputs("dns: there is no name server; see -s\n", stderr);
        return false;
    }
    aloop_address_set_port(&dns->server, (int) port);
    return true;
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "usage: dns [-4 | -6] [-s SERVER] [-p PORT] [-t SECONDS] [-n TRIES] "
        "NAME...\n"
        "  -4, -6      only addresses of IPv4, or of IPv6\n"
        "  -s SERVER   numeric address (default: the first one of "
        "/etc/resolv.conf)\n"
        "  -p PORT     its port (default: 53)\n"
        "  -t SECONDS  how long to wait before asking again (default: 2)\n"
        "  -n TRIES    how often to ask (default: 3)\n";
    struct dns dns = {.family = ALOOP_FAMILY_ANY,
                      .delay_ns = ALOOP_SEC(2),
                      .tries = 3};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};

    if (option_help(argc, argv)) {
        fputs(usage, stdout);
        return process_end("dns", 0);
    }
    if (!parse_options(argc, argv, &dns)) {
        fputs(usage, stderr);
        return 2;
    }
    return process_end("dns", aloop_main_with(amain, &dns, &options));
}
