/* Asks a PostgreSQL database for several users at the same time.
 *
 *     usage: pg_users [-d CONNINFO] [-n COUNT] [-p SECONDS] [-t SECONDS]
 *                     [ID]...
 *
 *     -d CONNINFO  the database, such as "host=127.0.0.1 dbname=postgres
 *                  user=postgres" or a URI (default: the environment decides)
 *     -n COUNT     connections at most (default: 10)
 *     -p SECONDS   how long the server pauses in each query (default: 1)
 *     -t SECONDS   time limit for all queries together (default: 10)
 *
 * Each ID (default: 1 2 3) is a query of its own over a pool of connections.
 * The queries run at the same time, so that three of one second each take one
 * second, and with -n 1 they take three.  No table is needed: the users are
 * part of the query.  Prints a line for each user, in the order of the IDs, and
 * then the time.  Errors are printed to standard error.  What the limit ends is
 * cancelled in the server, too.
 *
 * A server for a trial, as a user other than root:
 *
 *     initdb -D data -A trust -U postgres
 *     postgres -D data -p 5433 -k "$PWD/data" -c listen_addresses=127.0.0.1
 *     pg_users -d "host=127.0.0.1 port=5433 user=postgres dbname=postgres"
 *
 * The exit status is 0; 1 if a user is missing or a query failed; 2 for wrong
 * usage; 130 after SIGINT or SIGTERM, and then nothing is printed.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridges/pg_pool.h"
#include "support/options.h"
#include "support/process.h"

enum { USERS_MAX = 100 };

struct user {
    const char *id;
    pg_reply reply;
    ssize_t status;
};

static struct user users[USERS_MAX];
static size_t user_count;
static int64_t took_ns;

/* What the command line sets. */
static struct {
    const char *conninfo;
    int64_t pause_ns, limit_ns;
    uint64_t connections_max;
} settings = {.conninfo = "",
              .pause_ns = ALOOP_SEC(1),
              .limit_ns = ALOOP_SEC(10),
              .connections_max = 10};

static pg_pool *pool;

/* Asks for one user.  The task stores a failure and returns 0, because a task
 * that fails would end the others. */
static ssize_t user_ask(aloop *loop, void *arg)
{
    static const char sql[] =
        "select name, pg_sleep($2::float8) from"
        " (values (1, 'Ann'), (2, 'Bob'), (3, 'Carol')) as users (id, name)"
        " where id = $1::int";
    struct user *user = arg;
    char pause[32];
    pg_param params[] = {{.text = user->id}, {.text = pause}};

    (void) loop;
    snprintf(pause, sizeof pause, "%.3f", (double) settings.pause_ns / 1e9);
    user->status = aloop_await(pg_query(pool, sql, 2, params, &user->reply));
    return 0;
}

/* The limit ends what is still in progress, and each user has a status. */
static ssize_t ask_all(aloop *loop)
{
    int64_t start_ns = aloop_now(loop);
    ssize_t status =
        aloop_await(aloop_timeout(aloop_map(loop, user_ask, users, user_count,
                                            sizeof users[0], USERS_MAX),
                                  settings.limit_ns));

    took_ns = aloop_now(loop) - start_ns;
    if (aloop_is_cancelled())
        return ALOOP_ECANCELED;
    return status == ALOOP_ETIMEDOUT ? 0 : status;
}

static ssize_t amain(aloop *loop, void *arg)
{
    pg_pool_options options = {
        .connections_max = (size_t) settings.connections_max};
    ssize_t status;

    (void) arg;
    pool = pg_pool_new(loop, settings.conninfo, &options);
    status = pool == NULL ? ALOOP_ENOMEM : ask_all(loop);
    pg_pool_free(pool);
    return status;
}

/* Prints words of the server, on one line and without control characters. */
static void print_words(FILE *file, const char *words)
{
    size_t size = strlen(words);

    while (size > 0 && isspace((unsigned char) words[size - 1]))
        size--;
    for (size_t i = 0; i < size; i++) {
        int c = (unsigned char) words[i];

        putc(iscntrl(c) ? ' ' : c, file);
    }
    putc('\n', file);
}

/* Prints one user, or why there is none.  Returns whether there is one. */
static bool report(const struct user *user)
{
    /* It is the limit that has cancelled a query; see user_ask(). */
    ssize_t status = user->status == ALOOP_ECANCELED ? ALOOP_ETIMEDOUT
                                                     : user->status;

    if (status > 0) {
        printf("%s: ", user->id);
        print_words(stdout, PQgetvalue(user->reply.result, 0, 0));
        return true;
    }
    fprintf(stderr, "pg_users: %s: ", user->id);
    print_words(stderr, status == 0 ? "there is no such user"
                                    : pg_error(user->reply.result, status));
    return false;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: pg_users [-d CONNINFO] [-n COUNT] [-p SECONDS] [-t SECONDS]"
        " [ID]...\n"
        "  -d CONNINFO  the database, such as \"host=127.0.0.1"
        " dbname=postgres\n"
        "               user=postgres\" or a URI (default: the environment"
        " decides)\n"
        "  -n COUNT     connections at most (default: 10)\n"
        "  -p SECONDS   how long the server pauses in each query"
        " (default: 1)\n"
        "  -t SECONDS   time limit for all queries together (default: 10)\n"
        "The IDs 1, 2 and 3 exist, and are the default.\n";
    static const char *const defaults[] = {"1", "2", "3"};
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "d:n:p:t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'd')
            settings.conninfo = optarg;
        else if (option == 'n')
            is_valid =
                option_number("-n", optarg, 1, 100, &settings.connections_max);
        else if (option == 'p')
            is_valid = option_seconds("-p", optarg, &settings.pause_ns);
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &settings.limit_ns);
    }
    if (is_help || !is_valid || argc - optind > USERS_MAX) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    for (; optind < argc; optind++)
        users[user_count++].id = argv[optind];
    for (size_t i = 0; user_count < 3 && users[i].id == NULL; i++)
        users[user_count++].id = defaults[i];
    return 0;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    bool is_good = true;
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("pg_users", status < 0 ? 0 : status);
    status = aloop_main_with(amain, NULL, &options);
    for (size_t i = 0; i < user_count; i++) {
        if (status >= 0 && !report(&users[i]))
            is_good = false;
        PQclear(users[i].reply.result);
    }
    if (status >= 0)
        printf("%zu queries in %.2f s\n", user_count, (double) took_ns / 1e9);
    return process_end("pg_users", status < 0 ? status : !is_good);
}
