/* Copies files and directories, several at a time.
 *
 *     usage: copy [-r] [-j LIMIT] FROM... TO
 *
 *     -r        copy directories with all that is in them, and links as links
 *     -j LIMIT  maximum number of files at a time (default: 8)
 *
 * If TO is a directory, the copies get the names that they have, in it.  A file
 * that exists is replaced when its copy is complete; a device or a FIFO is not.
 * On a terminal, each file that is being copied has a line that shows its
 * progress.
 *
 * Exit status: 0; 1 if a file was not copied; 2 for wrong usage; 130 after
 * SIGINT or SIGTERM, which leave no partial file behind.  A second signal ends
 * the program immediately.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/options.h"
#include "support/process.h"
#include "support/progress.h"

enum { LINK_MAX_BYTES = 4096, NAMES_MAX = 100000000 };

/* A file or a directory that is to be copied. */
struct item {
    struct copy *copy;
    char *from;
    char *to;
    unsigned mode;   /* Of a directory. */
    bool is_active;  /* A file is being copied. */
    uint64_t copied; /* Bytes. */
    uint64_t total;
};

struct items {
    struct item *array;
    size_t count;
    size_t room;
};

struct copy {
    aloop *loop;
    bool is_recursive;
    size_t limit;
    char **sources;
    size_t count;
    const char *target;
    bool is_into; /* The target is a directory. */
    struct items files;
    struct items folders;
    aloop_stat top; /* The directory that the present source is copied to. */
    bool has_top;
    bool has_failed;
    struct progress progress;
};

/* Reports an error of one file.  Returns `status` if it ends the program. */
static ssize_t check(struct copy *copy, const char *path, ssize_t status)
{
    if (status >= 0 || status == ALOOP_ECANCELED || status == ALOOP_ENOMEM)
        return status < 0 ? status : 0;
    progress_clear(&copy->progress);
    fprintf(stderr, "copy: %s: %s\n", path, aloop_strerror(status));
    copy->has_failed = true;
    return 0;
}

/* Reports a file that is not copied. */
static ssize_t refuse(struct copy *copy, const char *path, const char *why)
{
    progress_clear(&copy->progress);
    fprintf(stderr, "copy: %s: %s\n", path, why);
    copy->has_failed = true;
    return 0;
}

/* Returns "FOLDER/NAME", or a copy of the name if the folder is NULL.  The name
 * has `length` bytes. */
static char *join(const char *folder, const char *name, size_t length)
{
    size_t size = (folder == NULL ? 0 : strlen(folder) + 1) + length + 1;
    char *path = malloc(size);

    if (path == NULL)
        return NULL;
    if (folder == NULL)
        snprintf(path, size, "%.*s", (int) length, name);
    else
        snprintf(path, size, "%s/%.*s", folder, (int) length, name);
    return path;
}

/* Takes both paths over. */
static ssize_t add_item(struct copy *copy, struct items *items, char *from,
                        char *to, unsigned mode)
{
    if (items->count == items->room) {
        size_t room = items->room == 0 ? 64 : items->room * 2;
        struct item *array = realloc(items->array, room * sizeof *items->array);

        if (array == NULL) {
            free(from);
            free(to);
            return ALOOP_ENOMEM;
        }
        items->array = array;
        items->room = room;
    }
    items->array[items->count++] =
        (struct item){.copy = copy, .from = from, .to = to, .mode = mode};
    return 0;
}

static void free_items(struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->array[i].from);
        free(items->array[i].to);
    }
    free(items->array);
}

static bool is_same(const aloop_stat *a, const aloop_stat *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Finds what has to be copied. */

static ssize_t copy_link(struct copy *copy, const char *from, const char *to)
{
    char text[LINK_MAX_BYTES];
    ssize_t status =
        aloop_await(aloop_fs_readlink(copy->loop, from, text, sizeof text));

    if (status < 0)
        return check(copy, from, status);
    return check(copy, to, aloop_await(aloop_fs_symlink(copy->loop, text, to)));
}

/* Makes a directory, or uses the one that exists.  Until all is copied, the
 * owner may write into it. */
static ssize_t make_folder(struct copy *copy, const char *to, unsigned mode)
{
    ssize_t status =
        aloop_await(aloop_fs_mkdir(copy->loop, to, (mode & 0777) | 0700));
    aloop_stat stat;

    if (status < 0 && status != ALOOP_EEXIST)
        return status;
    if (status == 0 && copy->has_top)
        return 0;
    status = aloop_await(aloop_fs_stat(copy->loop, to, &stat));
    if (status < 0)
        return status;
    if (stat.type != ALOOP_FILE_DIRECTORY)
        return ALOOP_ENOTDIR;
    if (!copy->has_top)
        copy->top = stat;
    copy->has_top = true;
    return 0;
}

/* Takes both paths over. */
static ssize_t add_folder(struct copy *copy, char *from, char *to)
{
    const char *wrong = from;
    aloop_stat stat;
    ssize_t status = aloop_await(aloop_fs_lstat(copy->loop, from, &stat));
    bool is_inside = false;

    if (status == 0 && copy->has_top)
        is_inside = is_same(&stat, &copy->top);
    if (status == 0 && !is_inside) {
        wrong = to;
        status = make_folder(copy, to, stat.mode);
    }
    if (status == 0 && !is_inside)
        return add_item(copy, &copy->folders, from, to, stat.mode);
    status = is_inside ? refuse(copy, from, "is copied into itself")
                       : check(copy, wrong, status);
    free(from);
    free(to);
    return status;
}

/* Takes both paths over.  NULL: out of memory. */
static ssize_t add_path(struct copy *copy, aloop_file_type type, char *from,
                        char *to)
{
    ssize_t status = ALOOP_ENOMEM;

    if (from != NULL && to != NULL && type == ALOOP_FILE_DIRECTORY)
        return add_folder(copy, from, to);
    if (from != NULL && to != NULL && type == ALOOP_FILE_REGULAR)
        return add_item(copy, &copy->files, from, to, 0);
    if (from != NULL && to != NULL)
        status = type == ALOOP_FILE_LINK
                     ? copy_link(copy, from, to)
                     : refuse(copy, from, "is neither a file nor a directory");
    free(from);
    free(to);
    return status;
}

/* Adds all that is in a directory. */
static ssize_t scan_folder(struct copy *copy, size_t index)
{
    const char *from = copy->folders.array[index].from;
    const char *to = copy->folders.array[index].to;
    aloop_dir_entry *entries;
    ssize_t count =
        aloop_await(aloop_fs_scan(copy->loop, from, NAMES_MAX, &entries));
    ssize_t status = 0;

    if (count < 0)
        return check(copy, from, count);
    for (ssize_t i = 0; i < count && status == 0; i++) {
        const char *name = entries[i].name;
        size_t length = strlen(name);

        status = add_path(copy, entries[i].type, join(from, name, length),
                          join(to, name, length));
    }
    aloop_data_free(copy->loop, entries);
    return status;
}

static bool is_parent(const char *name, size_t length)
{
    return length == 2 && memcmp(name, "..", 2) == 0;
}

/* Adds one source of the command line, with all that is in it.  The name ".."
 * would mean the parent of the target. */
static ssize_t add_source(struct copy *copy, const char *from)
{
    size_t length = strlen(from), first = copy->folders.count, name_length;
    const char *name = from;
    aloop_stat stat;
    ssize_t status = aloop_await(copy->is_recursive
                                     ? aloop_fs_lstat(copy->loop, from, &stat)
                                     : aloop_fs_stat(copy->loop, from, &stat));

    if (status < 0)
        return check(copy, from, status);
    if (stat.type == ALOOP_FILE_DIRECTORY && !copy->is_recursive)
        return refuse(copy, from, "is a directory (-r is not given)");
    while (length > 1 && from[length - 1] == '/')
        length--;
    for (size_t i = 0; i + 1 < length; i++)
        if (from[i] == '/')
            name = from + i + 1;
    copy->has_top = false;
    name_length = length - (size_t) (name - from);
    status = add_path(copy, stat.type, join(NULL, from, length),
                      copy->is_into && !is_parent(name, name_length)
                          ? join(copy->target, name, name_length)
                          : join(NULL, copy->target, strlen(copy->target)));
    for (size_t i = first; i < copy->folders.count && status == 0; i++)
        status = scan_folder(copy, i);
    return status;
}

/* Copies. */

static void on_progress(aloop *loop, uint64_t copied, uint64_t total, void *arg)
{
    struct item *item = arg;

    (void) loop;
    item->copied = copied;
    item->total = total;
}

static ssize_t copy_to(struct item *item, const char *to)
{
    aloop_copy_options options = {.size = sizeof options,
                                  .on_progress = on_progress,
                                  .arg = item};

    return aloop_await(
        aloop_fs_copy(item->copy->loop, item->from, to, &options));
}

/* Renames a complete copy.  A cancel does not prevent that, so that no copy
 * remains under its temporary name. */
static ssize_t put_in_place(aloop *loop, const char *temporary, const char *to)
{
    ssize_t status;

    aloop_shield_begin();
    status = aloop_await(aloop_fs_rename(loop, temporary, to));
    if (status < 0 && aloop_await(aloop_fs_unlink(loop, temporary)) < 0)
        fprintf(stderr, "copy: %s: is left\n", temporary);
    aloop_shield_end();
    return status;
}

/* Replaces a file that exists, by way of a copy beside it. */
static ssize_t replace(struct item *item)
{
    aloop *loop = item->copy->loop;
    size_t size = strlen(item->to) + 32;
    aloop_stat from = {0}, to = {0};
    char *temporary;
    ssize_t status = aloop_await(aloop_fs_stat(loop, item->from, &from));

    if (status == 0)
        status = aloop_await(aloop_fs_stat(loop, item->to, &to));
    if (status < 0)
        return status;
    if (to.type == ALOOP_FILE_DIRECTORY)
        return ALOOP_EISDIR;
    if (to.type != ALOOP_FILE_REGULAR) /* A rename would remove it. */
        return refuse(item->copy, item->to, "is not a regular file");
    if (is_same(&from, &to))
        return refuse(item->copy, item->from, "is the same file as its copy");
    temporary = malloc(size);
    if (temporary == NULL)
        return ALOOP_ENOMEM;
    snprintf(temporary, size, "%s.%ld.part", item->to, (long) getpid());
    status = copy_to(item, temporary);
    if (status >= 0)
        status = put_in_place(loop, temporary, item->to);
    free(temporary);
    return status;
}

/* Reports the error of a copy.  It names both files if the source can be read,
 * because the error may be that of the target. */
static ssize_t check_copy(aloop *loop, struct item *item, ssize_t status)
{
    size_t size = strlen(item->from) + strlen(item->to) + sizeof " to ";
    char *both;

    if (status >= 0 || status == ALOOP_ECANCELED ||
        aloop_await(aloop_fs_access(loop, item->from, R_OK)) < 0)
        return check(item->copy, item->from, status);
    both = malloc(size);
    if (both == NULL)
        return ALOOP_ENOMEM;
    snprintf(both, size, "%s to %s", item->from, item->to);
    status = check(item->copy, both, status);
    free(both);
    return status;
}

/* Copies one file.  Returns only errors that end the others, too. */
static ssize_t copy_file(aloop *loop, void *arg)
{
    struct item *item = arg;
    ssize_t status;

    item->is_active = true;
    status = copy_to(item, item->to);
    if (status == ALOOP_EEXIST)
        status = replace(item);
    item->is_active = false;
    return check_copy(loop, item, status);
}

static void on_redraw(aloop_timer *timer, void *arg)
{
    struct copy *copy = arg;

    (void) timer;
    progress_begin(&copy->progress);
    for (size_t i = 0; i < copy->files.count; i++) {
        const struct item *item = &copy->files.array[i];

        if (item->is_active)
            progress_line(&copy->progress, item->from, item->copied,
                          (int64_t) item->total);
    }
    progress_end(&copy->progress);
}

/* Gives the new directories the permissions of their sources, the innermost
 * first, without what the umask excludes. */
static ssize_t finish_folders(struct copy *copy)
{
    ssize_t status = 0;

    for (size_t i = copy->folders.count; i > 0 && status == 0; i--) {
        const struct item *item = &copy->folders.array[i - 1];
        aloop_stat stat;

        if ((item->mode & 0700) == 0700)
            continue;
        status = aloop_await(aloop_fs_stat(copy->loop, item->to, &stat));
        if (status == 0)
            status = aloop_await(
                aloop_fs_chmod(copy->loop, item->to, stat.mode & item->mode));
        status = check(copy, item->to, status);
    }
    return status;
}

static ssize_t copy_all(struct copy *copy)
{
    aloop_timer *redraw = NULL;
    ssize_t status = 0;

    for (size_t i = 0; i < copy->count && status == 0; i++)
        status = add_source(copy, copy->sources[i]);
    if (status == 0 && copy->progress.is_live)
        status = aloop_timer_start(copy->loop, ALOOP_MS(100), ALOOP_MS(100),
                                   on_redraw, copy, &redraw);
    if (status == 0)
        status = aloop_await(aloop_map(copy->loop, copy_file, copy->files.array,
                                       copy->files.count, sizeof(struct item),
                                       copy->limit));
    aloop_timer_close(redraw);
    progress_clear(&copy->progress);
    return status < 0 ? status : finish_folders(copy);
}

/* Returns the exit status, or an error. */
static ssize_t amain(aloop *loop, void *arg)
{
    struct copy *copy = arg;
    aloop_stat stat;
    ssize_t status;

    copy->loop = loop;
    progress_init(&copy->progress, stdout);
    status = aloop_await(aloop_fs_stat(loop, copy->target, &stat));
    copy->is_into = status == 0 && stat.type == ALOOP_FILE_DIRECTORY;
    if (copy->count > 1 && !copy->is_into)
        status = refuse(copy, copy->target, "is not a directory");
    else if (status != ALOOP_ECANCELED)
        status = copy_all(copy);
    free_items(&copy->files);
    free_items(&copy->folders);
    return status < 0 ? status : copy->has_failed;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv, struct copy *copy)
{
    static const char usage[] =
        "usage: copy [-r] [-j LIMIT] FROM... TO\n"
        "  -r        copy directories with all that is in them, and links as "
        "links\n"
        "  -j LIMIT  maximum number of files at a time (default: 8)\n";
    uint64_t limit = 8;
    bool is_valid = true, is_help = option_help(argc, argv);
    int option;

    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "rj:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'r')
            copy->is_recursive = true;
        else
            is_valid = option == 'j' &&
                       option_number("-j", optarg, 1, 1000, &limit);
    }
    if (is_help || !is_valid || argc - optind < 2) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    copy->limit = (size_t) limit;
    copy->sources = argv + optind;
    copy->count = (size_t) (argc - optind - 1);
    copy->target = argv[argc - 1];
    return 0;
}

int main(int argc, char **argv)
{
    struct copy copy = {.limit = 0};
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv, &copy);

    if (status != 0)
        return process_end("copy", status < 0 ? 0 : status);
    return process_end("copy", aloop_main_with(amain, &copy, &options));
}
