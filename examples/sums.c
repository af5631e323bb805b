/* SHA-256 of many files at the same time, as sha256sum prints it.
 *
 *     usage: sums [-j N] FILE...
 *
 *     -j N  number of files at a time (default: 8)
 *
 * Prints "HASH  FILE" for each file in the order of the command line, as soon
 * as those before it are ready.  An error is printed on standard error, and the
 * exit status is then 1.  SIGINT or SIGTERM ends the program with 130.
 *
 * Each file is a task.  While a thread of the pool computes the hash of one
 * piece, the next one is read, so that neither blocks the loop, which draws the
 * progress.  The pool has a thread for each processor.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"
#include "support/progress.h"
#include "support/sha256.h"

enum { PIECE = 256 * 1024 };

struct sums;

enum sum_state { SUM_WAITING, SUM_ACTIVE, SUM_ENDED };

struct sum {
    struct sums *sums;
    const char *path;
    enum sum_state state;
    ssize_t status;
    uint64_t received;
    int64_t total; /* -1 if it is unknown. */
    struct sha256 hash;
    const char *bytes; /* The piece that a thread adds to the hash. */
    size_t size;
};

struct sums {
    char **paths;
    struct sum *all; /* One for each path. */
    size_t count;
    size_t limit;
    size_t first; /* The first file that has not been reported. */
    size_t failed;
    struct progress progress;
};

/* Runs on a thread. */
static ssize_t add_piece(void *arg)
{
    struct sum *sum = arg;

    sha256_add(&sum->hash, sum->bytes, sum->size);
    return 0;
}

/* Reads the file into the two halves of a buffer in turn.  Both operations have
 * always ended when it returns, because they use the buffer. */
static ssize_t hash_pieces(aloop *loop, struct sum *sum, aloop_file *file,
                           char *halves)
{
    ssize_t count = aloop_await(aloop_file_read(file, halves, PIECE));

    for (size_t half = 0; count > 0; half = !half) {
        aloop_future *work;
        ssize_t status;

        sum->bytes = halves + half * PIECE;
        sum->size = (size_t) count;
        work = aloop_work(loop, add_piece, sum);
        count = aloop_await(
            aloop_file_read(file, halves + (size_t) !half * PIECE, PIECE));
        status = aloop_await(work);
        if (status < 0)
            return status;
        sum->received += sum->size;
    }
    return count;
}

static ssize_t hash_file(aloop *loop, struct sum *sum)
{
    char *halves = malloc((size_t) 2 * PIECE);
    aloop_file *file = NULL;
    aloop_stat stat;
    ssize_t status = ALOOP_ENOMEM;

    if (halves != NULL)
        status =
            aloop_await(aloop_file_open(loop, sum->path, O_RDONLY, 0, &file));
    if (status == 0)
        status = aloop_await(aloop_file_stat(file, &stat));
    if (status == 0) {
        if (stat.type == ALOOP_FILE_REGULAR)
            sum->total = (int64_t) stat.size;
        sha256_begin(&sum->hash);
        status = hash_pieces(loop, sum, file, halves);
    }
    aloop_file_close(file);
    free(halves);
    return status;
}

/* As sha256sum does, marks a line with a backslash if the name has one, or a
 * line break, and escapes these. */
static void print_hash(struct sum *sum)
{
    unsigned char bytes[SHA256_SIZE];

    if (sum->path[strcspn(sum->path, "\\\n\r")] != '\0')
        putchar('\\');
    sha256_end(&sum->hash, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        printf("%02x", bytes[i]);
    fputs("  ", stdout);
    for (const char *at = sum->path; *at != '\0'; at++) {
        if (*at == '\\' || *at == '\n' || *at == '\r')
            printf("\\%c", *at == '\n' ? 'n' : *at == '\r' ? 'r' : '\\');
        else
            putchar(*at);
    }
    putchar('\n');
}

static void draw(struct sums *sums)
{
    progress_begin(&sums->progress);
    for (size_t i = sums->first; i < sums->count; i++) {
        const struct sum *sum = &sums->all[i];

        if (sum->state == SUM_ACTIVE)
            progress_line(&sums->progress, sum->path, sum->received,
                          sum->total);
    }
    progress_end(&sums->progress);
}

/* Reports each file that has ended, if all files before it have. */
static void report(struct sums *sums)
{
    for (; sums->first < sums->count; sums->first++) {
        struct sum *sum = &sums->all[sums->first];

        if (sum->state != SUM_ENDED || sum->status == ALOOP_ECANCELED)
            break;
        progress_clear(&sums->progress);
        if (sum->status == 0) {
            print_hash(sum);
            continue;
        }
        sums->failed++;
        fflush(stdout);
        fprintf(stderr, "sums: %s: %s\n", sum->path,
                aloop_strerror(sum->status));
    }
    fflush(stdout);
}

/* The task of one file.  It stores its status in the sum and returns 0, because
 * a failed task would end the others. */
static ssize_t run_sum(aloop *loop, void *arg)
{
    struct sum *sum = arg;

    sum->state = SUM_ACTIVE;
    sum->total = -1;
    sum->status = hash_file(loop, sum);
    sum->state = SUM_ENDED;
    report(sum->sums);
    return 0;
}

static void on_redraw(aloop_timer *timer, void *arg)
{
    (void) timer;
    draw(arg);
}

/* Returns the exit status, or an error. */
static ssize_t amain(aloop *loop, void *arg)
{
    struct sums *sums = arg;
    aloop_timer *redraw = NULL;
    ssize_t status = 0;

    progress_init(&sums->progress, stdout);
    if (sums->progress.is_live)
        status = aloop_timer_start(loop, ALOOP_MS(100), ALOOP_MS(100),
                                   on_redraw, sums, &redraw);
    if (status == 0)
        status = aloop_await(aloop_map(loop, run_sum, sums->all, sums->count,
                                       sizeof *sums->all, sums->limit));
    aloop_timer_close(redraw);
    progress_clear(&sums->progress);
    if (status == 0 && aloop_is_cancelled())
        return ALOOP_ECANCELED;
    return status < 0 ? status : sums->failed > 0;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv, struct sums *sums)
{
    static const char usage[] =
        "usage: sums [-j N] FILE...\n"
        "  -j N  number of files at a time (default: 8)\n"
        "Prints the SHA-256 of each file, as sha256sum does.\n";
    uint64_t limit = 8;
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help && (option = getopt(argc, argv, "j:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else
            is_valid = option == 'j' &&
                       option_number("-j", optarg, 1, 1000, &limit);
    }
    if (is_help || !is_valid || optind == argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    sums->limit = (size_t) limit;
    sums->paths = argv + optind;
    sums->count = (size_t) (argc - optind);
    return 0;
}

int main(int argc, char **argv)
{
    struct sums sums = {0};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv, &sums);

    if (status != 0)
        return process_end("sums", status < 0 ? 0 : status);
    sums.all = calloc(sums.count, sizeof *sums.all);
    status = ALOOP_ENOMEM;
    if (sums.all != NULL) {
        for (size_t i = 0; i < sums.count; i++)
            sums.all[i] = (struct sum){.sums = &sums, .path = sums.paths[i]};
        status = aloop_main_with(amain, &sums, &options);
        free(sums.all);
    }
    return process_end("sums", status);
}
