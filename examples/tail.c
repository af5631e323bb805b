/* Prints the last lines of files, and what is appended to them.
 *
 *     usage: tail [-n LINES] [-f] [-s SECONDS] FILE...
 *
 *     -n LINES    number of lines of each file (default: 10)
 *     -f          continue with what is appended, until SIGINT or SIGTERM
 *     -s SECONDS  pause between two looks at the files (default: 1)
 *
 * With -f it follows names, as "tail -F" does.  A file that is replaced (log
 * rotation) is read to its end before the new one is printed from its
 * beginning.  A file that becomes shorter is printed from its beginning, and
 * one that is missing is waited for.  Messages are printed on standard error.
 * The exit status is 1 after an error, and 130 after a signal.
 *
 * There is one task, because the parts of the files are printed one after the
 * other.  The loop has no watch for files, so that it looks at regular times.
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

enum { PIECE = 64 * 1024 };

struct follow {
    const char *path;
    aloop_file *file; /* NULL if it is missing or is no regular file. */
    uint64_t device;  /* These two identify the open file. */
    uint64_t inode;
    int64_t offset; /* Everything before it was printed or left out. */
    ssize_t error;  /* The last one that was printed, or 0. */
};

struct tail {
    struct follow *all;
    char **paths;
    size_t count;
    uint64_t lines;
    int64_t pause_ns;
    bool is_following;
    bool has_failed;
    const struct follow *last; /* The file that was printed last. */
    char buffer[PIECE];
};

static void print_note(const struct follow *follow, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "tail: %s: %s\n", follow->path, what);
}

/* Prints an error once, until another one or a success follows. */
static void print_error(struct tail *tail, struct follow *follow, ssize_t error)
{
    tail->has_failed = true;
    if (error == follow->error || error == ALOOP_ECANCELED)
        return;
    follow->error = error;
    print_note(follow, aloop_strerror(error));
}

static void print(struct tail *tail, const struct follow *follow, size_t size)
{
    if (tail->count > 1 && tail->last != follow)
        printf("%s==> %s <==\n", tail->last == NULL ? "" : "\n", follow->path);
    tail->last = follow;
    fwrite(tail->buffer, 1, size, stdout);
}

/* Prints what is behind the offset. */
static ssize_t print_rest(struct tail *tail, struct follow *follow)
{
    ssize_t count;

    do {
        count = aloop_await(aloop_file_read_at(follow->file, tail->buffer,
                                               PIECE, follow->offset));
        if (count > 0) {
            print(tail, follow, (size_t) count);
            follow->offset += count;
        }
    } while (count == PIECE);
    return count < 0 ? count : 0;
}

/* Moves the offset to the beginning of the last lines, by reading pieces from
 * the end on.  A line break at the very end belongs to the last line. */
static ssize_t skip_to_lines(struct tail *tail, struct follow *follow,
                             int64_t size)
{
    uint64_t found = 0;
    int64_t end = size;

    follow->offset = tail->lines == 0 ? size : 0;
    while (end > 0 && tail->lines > 0) {
        size_t piece = end < PIECE ? (size_t) end : PIECE;
        int64_t begin = end - (int64_t) piece;
        ssize_t count = aloop_await(
            aloop_file_read_at(follow->file, tail->buffer, piece, begin));

        if (count < 0)
            return count;
        while (count-- > 0) {
            if (tail->buffer[count] != '\n' || begin + count == size - 1)
                continue;
            if (++found == tail->lines) {
                follow->offset = begin + count + 1;
                return 0;
            }
        }
        end = begin;
    }
    return 0;
}

/* Opens the file that has the name now.  Returns its size. */
static int64_t open_file(aloop *loop, struct follow *follow)
{
    aloop_stat stat = {0};
    ssize_t status = aloop_await(
        aloop_file_open(loop, follow->path, O_RDONLY, 0, &follow->file));

    if (status == 0)
        status = aloop_await(aloop_file_stat(follow->file, &stat));
    if (status == 0 && stat.type != ALOOP_FILE_REGULAR)
        status = stat.type == ALOOP_FILE_DIRECTORY ? ALOOP_EISDIR
                                                   : ALOOP_ESPIPE;
    if (status < 0) {
        aloop_file_close(follow->file);
        follow->file = NULL;
        return status;
    }
    follow->device = stat.device;
    follow->inode = stat.inode;
    follow->offset = 0;
    follow->error = 0;
    return (int64_t) stat.size;
}

/* Prints the last lines of a file. */
static ssize_t print_lines(aloop *loop, struct tail *tail,
                           struct follow *follow)
{
    int64_t size = open_file(loop, follow);
    ssize_t status;

    if (size < 0)
        return (ssize_t) size;
    if (tail->lines > 0)
        print(tail, follow, 0); /* The name, also of an empty file. */
    status = skip_to_lines(tail, follow, size);
    return status < 0 ? status : print_rest(tail, follow);
}

/* Prints what is left of the file that has lost its name, and opens the one
 * that has it now. */
static ssize_t change_file(aloop *loop, struct tail *tail,
                           struct follow *follow)
{
    bool is_replaced = follow->file != NULL;
    ssize_t status = is_replaced ? print_rest(tail, follow) : 0;

    aloop_file_close(follow->file);
    follow->file = NULL;
    if (status == 0)
        status = (ssize_t) open_file(loop, follow);
    if (status < 0)
        return status;
    print_note(follow, is_replaced ? "was replaced; following the new file"
                                   : "has appeared; following the new file");
    return print_rest(tail, follow);
}

/* Looks once at a file that is followed. */
static ssize_t look(aloop *loop, struct tail *tail, struct follow *follow)
{
    aloop_stat stat;
    ssize_t status = aloop_await(aloop_fs_stat(loop, follow->path, &stat));

    if (status < 0) { /* Its last bytes may not have been printed. */
        if (follow->file != NULL)
            (void) print_rest(tail, follow);
        return status;
    }
    if (follow->file == NULL || stat.device != follow->device ||
        stat.inode != follow->inode)
        return change_file(loop, tail, follow);
    follow->error = 0;
    if ((int64_t) stat.size < follow->offset) {
        print_note(follow,
                   "has become shorter; printing it from its beginning");
        follow->offset = 0;
    }
    return print_rest(tail, follow);
}

/* Calls `fn` for each file.  Returns an error only if the task is cancelled. */
static ssize_t for_each(aloop *loop, struct tail *tail,
                        ssize_t (*fn)(aloop *loop, struct tail *tail,
                                      struct follow *follow))
{
    for (size_t i = 0; i < tail->count; i++) {
        ssize_t status = fn(loop, tail, &tail->all[i]);

        if (aloop_is_cancelled())
            return ALOOP_ECANCELED;
        if (status < 0)
            print_error(tail, &tail->all[i], status);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : ALOOP_EIO;
}

static ssize_t amain(aloop *loop, void *arg)
{
    struct tail *tail = arg;
    ssize_t status = for_each(loop, tail, print_lines);

    while (status == 0 && tail->is_following) {
        status = aloop_await(aloop_sleep(loop, tail->pause_ns));
        if (status == 0)
            status = for_each(loop, tail, look);
    }
    for (size_t i = 0; i < tail->count; i++)
        aloop_file_close(tail->all[i].file);
    return status < 0 ? status : tail->has_failed;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv, struct tail *tail)
{
    static const char usage[] =
        "usage: tail [-n LINES] [-f] [-s SECONDS] FILE...\n"
        "  -n LINES    number of lines of each file (default: 10)\n"
        "  -f          continue with what is appended, until interrupted\n"
        "  -s SECONDS  pause between two looks at the files (default: 1)\n";
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "n:fs:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'f')
            tail->is_following = true;
        else
            is_valid =
                option == 'n'
                    ? option_number("-n", optarg, 0, UINT64_MAX, &tail->lines)
                : option == 's' ? option_seconds("-s", optarg, &tail->pause_ns)
                                : false;
    }
    if (is_help || !is_valid || optind == argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    tail->paths = argv + optind;
    tail->count = (size_t) (argc - optind);
    return 0;
}

int main(int argc, char **argv)
{
    static struct tail tail = {.lines = 10, .pause_ns = ALOOP_SEC(1)};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv, &tail);

    if (status != 0 || tail.count == 0)
        return process_end("tail", status < 0 ? 0 : status);
    tail.all = calloc(tail.count, sizeof *tail.all);
    status = ALOOP_ENOMEM;
    if (tail.all != NULL) {
        for (size_t i = 0; i < tail.count; i++)
            tail.all[i].path = tail.paths[i];
        status = aloop_main_with(amain, &tail, &options);
        free(tail.all);
    }
    return process_end("tail", status);
}
