/* Whole files, copies, directories and temporary files in the state machine;
 * see machine_outside.h.
 *
 * Byte N of a file has the same value at all times, as in machine_file.c.  What
 * is read depends on the family of the file:
 *
 *   "/f0"   is written in place only, and always has the same size;
 *   "/r0"   is replaced only, so that each size is one of those;
 *   "/w0"   is emptied, written and copied to, by several operations at a
 *           time.  It may have zeros where one of them has emptied it.
 *   "/l0"   is another name of "/f0"; see machine_name.c
 *
 * In the end there is no name but those that operations have reported. */

#include "machine_outside.h"

#include <stdio.h>
#include <string.h>

#include "simulator/sim_file.h"

enum { DEPTH_MAX = 3 };

/* Files with even numbers have the same bytes, and so have the others. */
static void choose_path(struct out *out, char family, unsigned number)
{
    out->number = number % 2;
    snprintf(out->path, sizeof out->path, "/%c%u", family,
             family == 'w' ? number : number % 2);
}

static void check_bytes(const struct out *out, const char *data, size_t size)
{
    bool may_be_zero = out->path[1] == 'w';

    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK(data[i] == file_byte(out->number, i) ||
                   (may_be_zero && data[i] == 0));
}

static bool is_known_name(const char *name)
{
    return name[0] != '\0' && strchr(".deflrstw", name[0]) != NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The ends. */

static void end_read(struct out *out, ssize_t status)
{
    char *data = out->data;

    FUZZ_CHECK((data != NULL) == (status >= 0));
    if (status < 0)
        return;
    FUZZ_CHECK((size_t) status <= out->size && (uintptr_t) data % 64 == 0);
    FUZZ_CHECK(data[status] == 0);
    FUZZ_CHECK(out->path[1] != 'f' || status == FILE_SIZE);
    check_bytes(out, data, (size_t) status);
    if (out->is_kept) /* The loop frees it. */
        return;
    memset(data, 0xee, (size_t) status);
    aloop_data_free(w.loop, data);
}

static void end_write(struct out *out, ssize_t status)
{
    FUZZ_CHECK(status < 0 || (size_t) status == out->size);
}

/* A loop that is being freed does not call back. */
static void end_copy(struct out *out, ssize_t status)
{
    FUZZ_CHECK(status < 0 || w.is_freeing || (uint64_t) status == out->copied);
}

static void end_scan(struct out *out, ssize_t status)
{
    FUZZ_CHECK((out->data != NULL) == (status >= 0));
    for (ssize_t i = 0; i < status; i++) {
        const aloop_dir_entry *entry = (aloop_dir_entry *) out->data + i;

        FUZZ_CHECK(is_known_name(entry->name));
        FUZZ_CHECK(entry->type != ALOOP_FILE_UNKNOWN || entry->name[0] != 'f');
        if (i > 0)
            FUZZ_CHECK(strcmp(entry[-1].name, entry->name) < 0);
    }
    if (!out->is_kept)
        aloop_data_free(w.loop, out->data);
}

static void end_dir_open(struct out *out, ssize_t status)
{
    (void) out;
    o.is_opening_dir = false;
    FUZZ_CHECK((o.dir != NULL) == (status >= 0));
}

static void end_dir_read(struct out *out, ssize_t status)
{
    FUZZ_CHECK(status <= BATCH_MAX);
    /* The next read and a close invalidate the names. */
    if (o.reading == out)
        for (ssize_t i = 0; i < status; i++)
            FUZZ_CHECK(is_known_name(out->batch[i].name));
    if (o.reading == out)
        o.reading = NULL;
}

static void end_temp(struct out *out, ssize_t status)
{
    FUZZ_CHECK((strstr(out->path, "XXXXXX") == NULL) == (status >= 0));
    FUZZ_CHECK((out->temp != NULL) == (status >= 0 && out->path[1] == 's'));
    aloop_file_close(out->temp);
    o.temps += status >= 0;
}

/* Directories that are made meanwhile are removed, too. */
static void end_tree(struct out *out, ssize_t status)
{
    FUZZ_CHECK(status <= DEPTH_MAX || out->kind == REMOVE_TREE);
}

static void end_stat(struct out *out, ssize_t status)
{
    FUZZ_CHECK((out->stat.type == ALOOP_FILE_REGULAR) == (status >= 0));
    FUZZ_CHECK(status < 0 || out->path[1] != 'f' ||
               out->stat.size == FILE_SIZE);
}

static void end_resolve(struct out *out, ssize_t status)
{
    FUZZ_CHECK((out->data != NULL) == (status >= 0));
    FUZZ_CHECK(status < 0 || status == 1);
    if (status >= 0)
        aloop_addresses_free(out->data);
}

static void end_nothing(struct out *out, ssize_t status)
{
    (void) out;
    FUZZ_CHECK(status <= 0);
}

static void end_file_stat(struct out *out, ssize_t status)
{
    FUZZ_CHECK((out->stat.type == ALOOP_FILE_REGULAR) == (status >= 0));
    FUZZ_CHECK(status < 0 || (status == 0 && out->stat.size == FILE_SIZE));
}

/* The errors that an operation may have if it is not cancelled. */
static bool is_possible(const struct out *out, ssize_t error)
{
    bool may_be_missing = out->path[1] != 'f';

    switch (out->kind) {
    case READ_FILE:
        return (may_be_missing && error == ALOOP_ENOENT) ||
               (out->size < FILE_SIZE && error == ALOOP_EFBIG);
    case COPY:
        /* EINVAL: a rename meanwhile has made both names those of one file. */
        return (may_be_missing &&
                (error == ALOOP_ENOENT || error == ALOOP_EINVAL)) ||
               (!out->is_replacing && error == ALOOP_EEXIST);
    case STAT:
    case RENAME:
    case FS_TRUNCATE:
        return may_be_missing && error == ALOOP_ENOENT;
    case RESOLVE:
        return error == ALOOP_EHOSTNOTFOUND;
    case SCAN:
        return error == ALOOP_EFBIG;
    case MAKE_TREE:
        return error == ALOOP_ENOENT;
    case REMOVE_TREE:
        return error == ALOOP_ENOENT || error == ALOOP_ENOTEMPTY ||
               error == ALOOP_EBUSY;
    case NAME:
        return error == out->possible;
    default:
        return false;
    }
}

void end_fs(struct out *out, ssize_t status)
{
    static void (*const ends[])(struct out * out, ssize_t status) = {
        [READ_FILE] = end_read,      [WRITE_FILE] = end_write,
        [REPLACE] = end_write,       [COPY] = end_copy,
        [SCAN] = end_scan,           [DIR_OPEN] = end_dir_open,
        [DIR_READ] = end_dir_read,   [TEMP] = end_temp,
        [MAKE_TREE] = end_tree,      [REMOVE_TREE] = end_tree,
        [STAT] = end_stat,           [RENAME] = end_nothing,
        [RESOLVE] = end_resolve,     [FS_TRUNCATE] = end_nothing,
        [FILE_CHANGE] = end_nothing, [FILE_STAT] = end_file_stat,
        [FILE_SEEK] = end_seek,      [NAME] = end_name,
    };

    if (status < 0)
        FUZZ_CHECK(is_possible(out, status) ||
                   (status == ALOOP_ECANCELED && out->may_end));
    ends[out->kind](out, status);
}

/* The acts. */

void act_read_file(void)
{
    unsigned byte = fuzz_byte(&w.input);
    struct out *out;

    if (!enter() || (out = new_out(READ_FILE)) == NULL)
        return;
    choose_path(out, "frww"[byte % 4], byte / 4 % 6);
    out->size = (byte & 64) != 0 ? 16 * (size_t) byte : SIZE_MAX;
    out->is_kept = (byte & 128) != 0;
    say("read all of %s", out->path);
    follow_out(out,
               aloop_fs_read_file(w.loop, out->path, out->size, &out->data));
}

void act_write_file(void)
{
    unsigned byte = fuzz_byte(&w.input);
    bool is_replace = (byte & 1) != 0;
    struct out *out;

    if (!enter() || (out = new_out(is_replace ? REPLACE : WRITE_FILE)) == NULL)
        return;
    choose_path(out, is_replace && byte / 4 % 2 == 0 ? 'r' : 'w', byte / 2 % 4);
    out->size = 32 * (size_t) byte;
    out->buffer = malloc(out->size + 1);
    FUZZ_CHECK(out->buffer != NULL);
    file_fill(out->buffer, out->number, 0, out->size);
    say("%s %s", is_replace ? "replace" : "write all of", out->path);
    follow_out(out, (is_replace ? aloop_fs_replace_file : aloop_fs_write_file)(
                        w.loop, out->path, out->buffer, out->size, 0644));
}

static void on_progress(aloop *loop, uint64_t copied, uint64_t total, void *arg)
{
    struct out *out = arg;

    (void) total;
    FUZZ_CHECK(loop == w.loop && !w.is_over && !out->has_ended);
    FUZZ_CHECK(copied >= out->copied);
    out->copied = copied;
    outside_act_some();
}

void act_copy(void)
{
    unsigned byte = fuzz_byte(&w.input);
    aloop_copy_options options = {.size = sizeof options,
                                  .is_replacing = (byte & 32) != 0,
                                  .is_synced = (byte & 64) != 0,
                                  .on_progress = on_progress};
    char to[8];
    struct out *out;

    if (!enter() || (out = new_out(COPY)) == NULL)
        return;
    choose_path(out, "frww"[byte % 4], byte / 4 % 2);
    snprintf(to, sizeof to, "/w%u", out->number + 2 + 2 * (byte / 8 % 2));
    out->is_replacing = options.is_replacing;
    options.arg = out;
    say("copy %s to %s", out->path, to);
    follow_out(out, aloop_fs_copy(w.loop, out->path, to, &options));
}

void act_scan(void)
{
    unsigned byte = fuzz_byte(&w.input);
    struct out *out;

    if (!enter() || (out = new_out(SCAN)) == NULL)
        return;
    out->is_kept = (byte & 128) != 0;
    say("scan");
    follow_out(out, aloop_fs_scan(w.loop, "/", byte % 128,
                                  (aloop_dir_entry **) &out->data));
}

/* Opens the directory, or reads from it. */
void act_dir(void)
{
    size_t count = 1 + any_below(BATCH_MAX);
    struct out *out;

    if (!enter() || o.is_opening_dir ||
        (out = new_out(o.dir == NULL ? DIR_OPEN : DIR_READ)) == NULL)
        return;
    if (o.dir == NULL) {
        say("open the directory");
        o.is_opening_dir = true;
        follow_out(out, aloop_dir_open(w.loop, "/", &o.dir));
        return;
    }
    say("read %zu names", count);
    if (o.reading != NULL && !aloop_future_is_settled(o.reading->future)) {
        aloop_future *future = aloop_dir_read(o.dir, out->batch, count);

        FUZZ_CHECK(aloop_future_status(future) == ALOOP_EBUSY);
        aloop_future_unref(future);
        out->has_ended = true;
        return;
    }
    o.reading = out;
    follow_out(out, aloop_dir_read(o.dir, out->batch, count));
}

static void close_dir(void)
{
    say("close the directory");
    if (o.reading != NULL)
        o.reading->may_end = true;
    aloop_dir_close(o.dir);
    o.dir = NULL;
    o.reading = NULL;
    m.has_closed = true;
}

void act_close_dir(void)
{
    if (o.dir != NULL && !o.is_opening_dir)
        close_dir();
}

/* A temporary file or directory.  One that is dropped does not stay. */
void act_temp(void)
{
    unsigned byte = fuzz_byte(&w.input);
    bool is_file = (byte & 1) != 0;
    aloop_future *future;
    struct out *out;

    if (!enter() || (out = new_out(TEMP)) == NULL)
        return;
    snprintf(out->path, sizeof out->path, "/%cXXXXXX", is_file ? 's' : 'd');
    future = is_file ? aloop_fs_mkstemp(w.loop, out->path, &out->temp)
                     : aloop_fs_mkdtemp(w.loop, out->path);
    if ((byte & 6) != 0) {
        say("make a temporary %s", is_file ? "file" : "directory");
        follow_out(out, future);
        return;
    }
    say("drop a temporary %s", is_file ? "file" : "directory");
    FUZZ_CHECK(!aloop_future_is_settled(future));
    aloop_future_unref(future);
    out->has_ended = true;
}

void act_tree(void)
{
    bool is_removed = any_bit();
    struct out *out;

    if (!enter() ||
        (out = new_out(is_removed ? REMOVE_TREE : MAKE_TREE)) == NULL)
        return;
    say("%s the tree", is_removed ? "remove" : "make");
    follow_out(out, is_removed ? aloop_fs_remove_all(w.loop, "/tree")
                               : aloop_fs_mkdir_all(w.loop, "/tree/a/b", 0755));
}

/* With a link or the file that it leads to; there is none. */
void act_stat(void)
{
    unsigned byte = fuzz_byte(&w.input);
    struct out *out;

    if (!enter() || (out = new_out(STAT)) == NULL)
        return;
    choose_path(out, "frww"[byte % 4], byte / 4 % 6);
    say("describe %s", out->path);
    follow_out(out, (byte & 128) != 0
                        ? aloop_fs_lstat(w.loop, out->path, &out->stat)
                        : aloop_fs_stat(w.loop, out->path, &out->stat));
}

/* To another name of a file with the same bytes. */
void act_rename(void)
{
    unsigned byte = fuzz_byte(&w.input);
    char to[8];
    struct out *out;

    if (!enter() || (out = new_out(RENAME)) == NULL)
        return;
    choose_path(out, 'w', byte % 4);
    snprintf(to, sizeof to, "/w%u", out->number + 2 * (byte / 4 % 3));
    say("rename %s to %s", out->path, to);
    follow_out(out, aloop_fs_rename(w.loop, out->path, to));
}

/* To any size: what is added are zeros. */
void act_truncate(void)
{
    unsigned byte = fuzz_byte(&w.input);
    struct out *out;

    if (!enter() || (out = new_out(FS_TRUNCATE)) == NULL)
        return;
    choose_path(out, 'w', byte % 6);
    say("set the size of %s", out->path);
    follow_out(out, aloop_fs_truncate(w.loop, out->path, byte / 8 * 500));
}

/* An address, which needs no thread, and a name. */
void act_resolve(void)
{
    unsigned byte = fuzz_byte(&w.input);
    struct out *out;

    if (!enter() || (out = new_out(RESOLVE)) == NULL)
        return;
    say("look up");
    follow_out(out, aloop_resolve(
                        w.loop, (byte & 1) != 0 ? "127.0.0.1" : "nowhere", "80",
                        ALOOP_FAMILY_ANY, (aloop_address **) &out->data));
}

/* Drops operations of whole files, which then deliver nothing. */
void act_drop_fs(void)
{
    static void *data;
    aloop_future *future;

    if (!enter())
        return;
    say("drop a read of a whole file and a copy");
    data = NULL;
    future = aloop_fs_read_file(w.loop, "/f0", SIZE_MAX, &data);
    FUZZ_CHECK((data != NULL) == aloop_future_is_settled(future));
    aloop_future_unref(future);
    aloop_data_free(w.loop, data);
    aloop_future_unref(aloop_fs_copy(w.loop, "/f0", "/w9", NULL));
}

/* The end. */

void fs_close(void)
{
    act_close_dir();
}

void fs_check(void)
{
    char byte;
    /* "/tmp" and the files. */
    unsigned expected = 1 + 2 + o.temps + names_left();

    for (unsigned i = 0; i < 10; i++) {
        char path[8];

        snprintf(path, sizeof path, "/w%u", i);
        expected += sim_file_get(path, &byte, 1) >= 0;
        snprintf(path, sizeof path, "/r%u", i);
        expected += sim_file_get(path, &byte, 1) >= 0;
    }
    if (sim_file_get("/tree", &byte, 1) == ALOOP_EISDIR)
        expected += 1 + sim_file_count("/tree");
    FUZZ_CHECK(sim_file_count("/") == expected);
}
