/* Runs jobs of a queue on Redis, by any number of workers on any machines.
 *
 *     usage: redis_workers [-s HOST] [-p PORT] [-k KEY] COMMAND ...
 *
 *     add TYPE ARGUMENT...       adds a job for each ARGUMENT, prints their ids
 *     work [-n COUNT] [-a COUNT] [-c SECONDS] [-g SECONDS] [-i NAME]
 *                                runs jobs, and prints what comes of each
 *     status                     prints how many jobs there are, and workers
 *     results [-f]               prints the results, or those that have failed
 *
 *     -s HOST     the server (default: 127.0.0.1)
 *     -p PORT     its port (default: 6379)
 *     -k KEY      the queue (default: jobs)
 *     -n COUNT    jobs at a time (default: 4)
 *     -a COUNT    attempts, after which a job has failed (default: 3)
 *     -c SECONDS  how long a worker is silent when others take its jobs, and
 *                 how long a job that failed waits (default: 30)
 *     -g SECONDS  how long jobs may run on after SIGINT or SIGTERM; then they
 *                 are given back to the queue (default: 30)
 *     -i NAME     the name of the worker (default: host, process and a number)
 *
 * The password is in the environment variable REDIS_PASSWORD, if there is one.
 * The types of jobs are functions in a table; add yours to it:
 *
 *     echo TEXT      its result is TEXT
 *     sleep SECONDS  waits
 *     sha256 FILE    the hash of a file
 *     fail TEXT      fails
 *
 * Start a worker on each machine, or several, and kill some: their jobs are run
 * by the others.  A job may run more than once then, but has one result.  To
 * try it:
 *
 *     redis-server --appendonly yes
 *     redis_workers add sleep 1 2 3 4 5 6
 *     redis_workers work
 *
 * The exit status is 0; 1 after an error; 2 for wrong usage; 130 after SIGINT
 * or SIGTERM.  A second signal ends it immediately.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridges/redis_worker.h"
#include "support/options.h"
#include "support/plain_text.h"
#include "support/process.h"
#include "support/sha256.h"

enum {
    PIECE = 64 * 1024,
    /* Results are asked for in pages, because their arguments can be long. */
    PAGE = 100,
    PAGES_MAX = 2000 /* The queue keeps about half as many. */
};

/* The types of jobs. */

static ssize_t job_echo(aloop *loop, const char *argument, char *result,
                        size_t size)
{
    (void) loop;
    snprintf(result, size, "%s", argument);
    return 0;
}

static ssize_t job_sleep(aloop *loop, const char *argument, char *result,
                         size_t size)
{
    int64_t time_ns;

    if (!option_seconds("sleep", argument, &time_ns))
        return ALOOP_EINVAL;
    snprintf(result, size, "slept for %s s", argument);
    return aloop_await(aloop_sleep(loop, time_ns));
}

static ssize_t hash_file(aloop_file *file, char *piece, struct sha256 *hash)
{
    ssize_t count;

    sha256_begin(hash);
    while ((count = aloop_await(aloop_file_read(file, piece, PIECE))) > 0)
        sha256_add(hash, piece, (size_t) count);
    return count;
}

static ssize_t job_sha256(aloop *loop, const char *argument, char *result,
                          size_t size)
{
    struct sha256 hash;
    unsigned char bytes[SHA256_SIZE];
    char *piece = malloc(PIECE);
    aloop_file *file = NULL;
    ssize_t status = ALOOP_ENOMEM;

    if (piece != NULL)
        status =
            aloop_await(aloop_file_open(loop, argument, O_RDONLY, 0, &file));
    if (status >= 0)
        status = hash_file(file, piece, &hash);
    aloop_file_close(file);
    free(piece);
    if (status < 0)
        return status;
    sha256_end(&hash, bytes);
    for (size_t i = 0; i < SHA256_SIZE && 2 * i + 3 <= size; i++)
        snprintf(&result[2 * i], 3, "%02x", bytes[i]);
    return 0;
}

static ssize_t job_fail(aloop *loop, const char *argument, char *result,
                        size_t size)
{
    job_echo(loop, argument, result, size);
    return ALOOP_EIO;
}

static const struct redis_job_type types[] = {{"echo", job_echo},
                                              {"fail", job_fail},
                                              {"sha256", job_sha256},
                                              {"sleep", job_sleep},
                                              {NULL, NULL}};

/* Output. */

static void print_text(FILE *file, const char *text)
{
    print_plain(file, text, strlen(text));
}

static void on_event(const struct redis_job *job, ssize_t status,
                     const char *words)
{
    FILE *file = status >= 0 ? stdout : stderr;

    if (status < 0)
        fputs("redis_workers: ", file);
    if (job != NULL) {
        fprintf(file, "%s ", job->id);
        print_text(file, job->type);
        putc(' ', file);
        print_text(file, job->argument);
        fputs(": ", file);
    }
    print_text(file, words);
    putc('\n', file);
    fflush(file);
}

/* The commands. */

static struct redis_worker_options settings = {
    .queue = {.host = "127.0.0.1",
              .port = "6379",
              .key = "jobs",
              .claim_ns = ALOOP_SEC(30)},
    .types = types,
    .jobs_max = 4,
    .attempts_max = 3,
    .drain_ns = ALOOP_SEC(30),
    .on_event = on_event};

static char **arguments; /* Those of the command. */
static int argument_count;

static ssize_t fail(const struct redis_queue *queue, ssize_t status)
{
    if (status < 0 && status != ALOOP_ECANCELED)
        on_event(NULL, status, queue->words);
    return status;
}

/* All of them are sent together. */
static ssize_t add_all(struct redis_queue *queue)
{
    int count = argument_count - 1;
    aloop_future **adds = calloc((size_t) count, sizeof(aloop_future *));
    redisReply **ids = calloc((size_t) count, sizeof *ids);
    ssize_t status = ALOOP_ENOMEM;

    if (adds != NULL && ids != NULL) {
        for (int i = 0; i < count; i++)
            adds[i] =
                redis_queue_add(queue, arguments[0], arguments[i + 1], &ids[i]);
        status = aloop_await(aloop_timeout(
            aloop_gather_array(queue->redis->loop, (size_t) count, adds),
            ALOOP_SEC(10) + count * ALOOP_MS(1)));
        redis_queue_explain(queue, redis_error(queue->redis, NULL, status));
    }
    for (int i = 0; ids != NULL && i < count; i++) {
        if (ids[i] != NULL && ids[i]->type == REDIS_REPLY_STRING)
            puts(ids[i]->str);
        freeReplyObject(ids[i]);
    }
    free(adds);
    free(ids);
    return status;
}

static ssize_t ask(struct redis_queue *queue, redisReply **reply,
                   aloop_future *command)
{
    return redis_queue_finish(queue, queue->redis, command, reply, 0);
}

static ssize_t length_of(struct redis_queue *queue, const char *suffix)
{
    redisReply *reply;
    ssize_t status = ask(
        queue, &reply,
        redis_command(queue->redis, &reply, "XLEN %s%s", queue->key, suffix));

    freeReplyObject(reply);
    return status;
}

static const redisReply none = {.str = NULL};

/* The value of a name in [name, value, ...]. */
static const redisReply *value_of(const redisReply *pairs, const char *name)
{
    for (size_t i = 0; i + 1 < pairs->elements; i += 2)
        if (pairs->element[i]->str != NULL &&
            strcmp(pairs->element[i]->str, name) == 0)
            return pairs->element[i + 1];
    return &none;
}

static ssize_t print_status(struct redis_queue *queue)
{
    static const char *const suffixes[] = {"", ":done", ":failed"};
    ssize_t lengths[3], status = 0;
    long long running = 0;
    redisReply *workers = NULL;

    for (int i = 0; i < 3 && status >= 0; i++)
        status = lengths[i] = length_of(queue, suffixes[i]);
    if (status >= 0)
        status =
            ask(queue, &workers,
                redis_command(queue->redis, &workers,
                              "XINFO CONSUMERS %s " REDIS_GROUP, queue->key));
    for (size_t i = 0; status > 0 && i < workers->elements; i++)
        running += value_of(workers->element[i], "pending")->integer;
    if (status >= 0)
        printf("%lld waiting, %lld running, %zd done, %zd failed\n",
               (long long) lengths[0] - running, running, lengths[1],
               lengths[2]);
    for (size_t i = 0; status > 0 && i < workers->elements; i++) {
        const redisReply *worker = workers->element[i];
        const redisReply *name = value_of(worker, "name");

        print_text(stdout, name->str != NULL ? name->str : "?");
        printf(": %lld running, seen %.1f s ago\n",
               value_of(worker, "pending")->integer,
               (double) value_of(worker, "idle")->integer / 1e3);
    }
    freeReplyObject(workers);
    return status;
}

/* Prints "ID TYPE ARGUMENT: RESULT" for an entry [id, [name, value, ...]].
 * Returns its id, or NULL. */
static const char *print_result(const redisReply *entry)
{
    static const char *const names[] = {"id",       " ",  "type",   " ",
                                        "argument", ": ", "result", "\n"};
    bool is_entry = entry->elements == 2;

    for (size_t i = 0; is_entry && i < sizeof names / sizeof names[0]; i += 2) {
        const redisReply *value = value_of(entry->element[1], names[i]);

        print_text(stdout, value->str != NULL ? value->str : "");
        fputs(names[i + 1], stdout);
    }
    return is_entry ? entry->element[0]->str : NULL;
}

static ssize_t print_results(struct redis_queue *queue)
{
    bool is_failed = argument_count > 0;
    char from[64] = "-";
    ssize_t status = PAGE;

    for (int pages = 0; status == PAGE && pages < PAGES_MAX; pages++) {
        redisReply *entries;

        status =
            ask(queue, &entries,
                redis_command(queue->redis, &entries,
                              "XRANGE %s%s %s + COUNT %d", queue->key,
                              is_failed ? ":failed" : ":done", from, PAGE));
        for (size_t i = 0; status > 0 && i < entries->elements; i++) {
            const char *id = print_result(entries->element[i]);

            snprintf(from, sizeof from, "(%s", id != NULL ? id : "+");
        }
        freeReplyObject(entries);
    }
    return status;
}

static ssize_t work(aloop *loop, void *arg)
{
    (void) arg;
    return redis_worker_run(loop, &settings);
}

struct command {
    const char *name;
    ssize_t (*run)(struct redis_queue *queue); /* NULL: a worker. */
    int arguments_min, arguments_max;
};

/* The commands that are one visit to the server. */
static ssize_t visit(aloop *loop, void *arg)
{
    const struct command *command = arg;
    struct redis_queue *queue = &settings.queue;
    ssize_t status = redis_queue_open(loop, queue, false);

    if (status >= 0)
        status = command->run(queue);
    redis_queue_close(queue);
    return fail(queue, status);
}

/* The command line. */

static const struct command commands[] = {{"add", add_all, 2, 1 << 20},
                                          {"results", print_results, 0, 1},
                                          {"status", print_status, 0, 0},
                                          {"work", NULL, 0, 0}};

static const char usage[] =
    "usage: redis_workers [-s HOST] [-p PORT] [-k KEY] COMMAND ...\n"
    "  add TYPE ARGUMENT...  adds a job for each ARGUMENT, of one of the "
    "types\n"
    "                        echo TEXT, sleep SECONDS, sha256 FILE, fail TEXT\n"
    "  work [-n COUNT] [-a COUNT] [-c SECONDS] [-g SECONDS] [-i NAME]\n"
    "                        runs jobs, and prints what comes of each\n"
    "  status                prints how many jobs there are, and workers\n"
    "  results [-f]          prints the results, or those that have failed\n"
    "  -s HOST     the server (default: 127.0.0.1)\n"
    "  -p PORT     its port (default: 6379)\n"
    "  -k KEY      the queue (default: jobs)\n"
    "  -n COUNT    jobs at a time (default: 4)\n"
    "  -a COUNT    attempts, after which a job has failed (default: 3)\n"
    "  -c SECONDS  how long a worker is silent when others take its jobs\n"
    "              (default: 30)\n"
    "  -g SECONDS  how long jobs may run on at the end (default: 30)\n"
    "  -i NAME     the name of the worker\n"
    "The environment variable REDIS_PASSWORD may have a password.\n";

static bool take_option(int option)
{
    struct redis_queue *queue = &settings.queue;
    uint64_t number = 0;
    bool is_valid = true;

    if (option == 's')
        queue->host = optarg;
    else if (option == 'p')
        queue->port = optarg;
    else if (option == 'k')
        queue->key = optarg;
    else if (option == 'i')
        queue->worker = optarg;
    else if (option == 'c')
        return option_seconds("-c", optarg, &queue->claim_ns);
    else if (option == 'g')
        return option_seconds("-g", optarg, &settings.drain_ns);
    else if (option == 'n')
        is_valid = option_number("-n", optarg, 1, REDIS_KEEP_MAX, &number);
    else if (option == 'a')
        is_valid = option_number("-a", optarg, 1, 1000000, &number);
    else
        return false;
    if (option == 'n')
        settings.jobs_max = (size_t) number;
    if (option == 'a')
        settings.attempts_max = (int64_t) number;
    return is_valid;
}

/* Takes the options up to the next word. */
static bool take_options(int argc, char **argv, const char *letters)
{
    int option;
    bool is_valid = true;

    while (is_valid && optind < argc && argv[optind][0] == '-' &&
           (option = getopt(argc, argv, letters)) != -1)
        is_valid = take_option(option);
    return is_valid;
}

/* Returns the command, or NULL for wrong usage. */
static const struct command *parse(int argc, char **argv)
{
    const struct command *command = commands;
    const struct command *end = command + sizeof commands / sizeof commands[0];

    if (!take_options(argc, argv, "s:p:k:") || optind >= argc)
        return NULL;
    while (command < end && strcmp(command->name, argv[optind]) != 0)
        command++;
    if (command == end)
        return NULL;
    optind++;
    if (command->run == NULL && !take_options(argc, argv, "n:a:c:g:i:"))
        return NULL;
    arguments = &argv[optind];
    argument_count = argc - optind;
    if (command->run == print_results && argument_count == 1 &&
        strcmp(arguments[0], "-f") != 0)
        return NULL;
    return argument_count >= command->arguments_min &&
                   argument_count <= command->arguments_max
               ? command
               : NULL;
}

/* A name that no other worker has, also if its host has the same name. */
static void name_worker(void)
{
    static char name[128];
    char host[64] = "";
    unsigned number = 0;
    int fd;

    if (settings.queue.worker != NULL)
        return;
    fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, &number, sizeof number) < 0)
        number = 0;
    if (fd >= 0)
        close(fd);
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%s:%ld:%08x", host, (long) getpid(), number);
    settings.queue.worker = name;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    const struct command *command;
    ssize_t status;

    if (option_help(argc, argv)) {
        fputs(usage, stdout);
        return process_end("redis_workers", 0);
    }
    command = parse(argc, argv);
    if (command == NULL) {
        fputs(usage, stderr);
        return 2;
    }
    settings.queue.password = getenv("REDIS_PASSWORD");
    name_worker();
    status = command->run == NULL
                 ? aloop_main_with(work, NULL, &options)
                 : aloop_main_with(visit, (void *) command, &options);
    /* Other errors have been printed. */
    return process_end("redis_workers",
                       status == ALOOP_ECANCELED ? status : status < 0);
}
