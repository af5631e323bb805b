/* Whole files, copies, listings, temporary files and trees, which are made and
 * removed at random, with cancels, drops and frees in between.  Calls fail,
 * threads cannot be started, devices fill up, and in the end the machine may
 * crash.
 *
 * Each slot is a name in one directory.  At most one operation changes a slot
 * at a time, and others may read it then.  Each change writes a text of its
 * own, so that the bytes of a read show where they come from: from before the
 * change, or from the change.  A replacement never shows a part of its text.
 * A listing is sorted, has each name that was there during all of it, and none
 * that was not.
 *
 * When no operation uses a slot, the file is looked at, and is known again.  In
 * the end no descriptor is open, and the directory has no name that was not
 * reported, unless calls have failed.  After a crash a file that was only
 * replaced has one whole text. */

#include "world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/sim_file.h"

enum {
    SLOTS = 5,
    OPS_MAX = 24,
    TASKS = 2,
    ACTS_MAX = 100,
    TEXT_MAX = 12000,
    PATH_SIZE = 40,
    IDS_MAX = 400,
    BATCH = 3
};

/* What a file contains. */
struct text {
    unsigned id; /* 0: there is no file. */
    size_t size;
};

/* What is known of a file. */
struct state {
    struct text now;     /* Before the change in flight. */
    struct text next;    /* What the change writes; id 0: it removes. */
    bool may_be_next;    /* It is in flight, or has failed. */
    bool may_be_part;    /* The first bytes of `next` are possible, too. */
    bool may_be_missing; /* And so is that there is no file. */
};

struct slot {
    char path[PATH_SIZE];
    struct state state;
    bool is_changing;
    unsigned sources;     /* Copies that read it. */
    unsigned changed;     /* Time when the last change began or ended. */
    struct text synced;   /* What a crash leaves, if ... */
    bool is_synced;       /* ... nothing has changed since then. */
    bool was_overwritten; /* Since then, by other ways than replacements. */
};

enum kind { READ, WRITE, REPLACE, COPY, UNLINK, SCAN, OPEN, LIST, TEMP };

struct op {
    aloop_future *future; /* A reference. */
    enum kind kind;
    bool is_used;
    bool may_end; /* It was cancelled. */
    struct slot *slot, *source;
    struct state seen; /* State of the slot when it began. */
    unsigned begun;
    char *buffer;
    void *data;
    aloop_dir_entry batch[BATCH];
    char name[PATH_SIZE];
    aloop_file *temp;
    bool is_replacing, is_synced; /* A copy. */
    uint64_t copied;
};

static struct slot slots[SLOTS];
static struct {
    struct op ops[OPS_MAX];
    unsigned acts, time;
    size_t sizes[IDS_MAX]; /* Of all texts. */
    unsigned ids;
    unsigned temps; /* Temporary names that were reported. */
    aloop_dir *dir;
    struct op *dir_user; /* Opens it, or reads from it. */
    aloop_timer *heart;
    aloop_future *tasks[TASKS];
    unsigned running;
} w;

static struct text new_text(void)
{
    struct text text = {++w.ids,
                        between(0, chance(50) ? TEXT_MAX : TEXT_MAX / 20)};

    CHECK(w.ids < IDS_MAX);
    w.sizes[w.ids] = text.size;
    return text;
}

/* States. */

static bool is_text(struct text text, const char *data, size_t size)
{
    return text.id != 0 && size == text.size &&
           text_matches(text.id, 0, data, size);
}

static bool is_possible(const struct state *state, const char *data,
                        size_t size)
{
    if (is_text(state->now, data, size))
        return true;
    if (!state->may_be_next || state->next.id == 0)
        return false;
    return is_text(state->next, data, size) ||
           (state->may_be_part && size <= state->next.size &&
            text_matches(state->next.id, 0, data, size));
}

/* A read that a change overtakes may have bytes of both texts. */
static bool is_mixture(const struct state *state, const unsigned char *data,
                       size_t size)
{
    if (!state->may_be_part)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((i >= state->now.size || data[i] != text_byte(state->now.id, i)) &&
            (i >= state->next.size || data[i] != text_byte(state->next.id, i)))
            return false;
    return true;
}

static bool may_be_missing(const struct state *state)
{
    return state->now.id == 0 || state->may_be_missing;
}

static bool must_be_missing(const struct state *state)
{
    return state->now.id == 0 && !state->may_be_next;
}

static bool is_in_use(const struct slot *slot)
{
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && w.ops[i].slot == slot)
            return true;
    return slot->sources > 0;
}

/* Looks at the file after a change. */
static void look_at(struct slot *slot)
{
    struct state *state = &slot->state;
    char data[TEXT_MAX];
    ssize_t size = sim_file_get(slot->path, data, sizeof data);

    CHECK(size <= TEXT_MAX);
    if (size < 0) {
        CHECK(size == ALOOP_ENOENT && may_be_missing(state));
        state->now = (struct text){0, 0};
    } else {
        CHECK(is_possible(state, data, (size_t) size));
        if (!is_text(state->now, data, (size_t) size))
            state->now = (struct text){state->next.id, (size_t) size};
    }
    *state = (struct state){.now = state->now};
}

static void begin_change(struct slot *slot, struct text next, enum kind kind)
{
    slot->state.next = next;
    slot->state.may_be_next = true;
    slot->state.may_be_part = kind == WRITE || kind == COPY;
    slot->state.may_be_missing = slot->state.now.id == 0 || kind == UNLINK;
    slot->is_synced = false;
    slot->was_overwritten = slot->was_overwritten || kind != REPLACE;
    slot->is_changing = true;
    slot->changed = ++w.time;
}

static void end_change(struct slot *slot, bool is_done, bool is_synced)
{
    slot->is_changing = false;
    slot->changed = ++w.time;
    if (!is_done)
        return;
    slot->state = (struct state){.now = slot->state.next};
    if (!is_synced)
        return;
    slot->synced = slot->state.now;
    slot->is_synced = true;
    slot->was_overwritten = false;
}

/* The ends of operations. */

static void end_read(struct op *op, ssize_t status)
{
    const struct state *now = &op->slot->state;

    CHECK((op->data != NULL) == (status >= 0));
    if (status == ALOOP_ENOENT)
        CHECK(may_be_missing(now) || may_be_missing(&op->seen));
    if (status < 0)
        return;
    CHECK(((char *) op->data)[status] == '\0');
    CHECK(is_possible(now, op->data, (size_t) status) ||
          is_possible(&op->seen, op->data, (size_t) status) ||
          is_mixture(&op->seen, op->data, (size_t) status));
    if (chance(80)) /* Else the loop frees it. */
        aloop_data_free(run.loop, op->data);
}

static void end_write(struct op *op, ssize_t status)
{
    CHECK(status != ALOOP_ENOENT);
    CHECK(status < 0 || (size_t) status == op->slot->state.next.size);
    end_change(op->slot, status >= 0, op->kind == REPLACE);
}

static void end_copy(struct op *op, ssize_t status)
{
    op->source->sources--;
    CHECK(status != ALOOP_ENOENT);
    if (status == ALOOP_EEXIST)
        CHECK(!op->is_replacing && op->seen.now.id != 0);
    if (status >= 0) {
        CHECK(op->is_replacing || op->seen.now.id == 0);
        CHECK((uint64_t) status == op->copied);
        CHECK((size_t) status == op->slot->state.next.size);
    }
    end_change(op->slot, status >= 0, op->is_synced);
}

static void end_unlink(struct op *op, ssize_t status)
{
    CHECK(status != ALOOP_ENOENT || op->seen.now.id == 0);
    CHECK(status < 0 || op->seen.now.id != 0);
    end_change(op->slot, status >= 0, false);
}

static struct slot *find_slot(const char *name)
{
    for (int i = 0; i < SLOTS; i++)
        if (strcmp(strrchr(slots[i].path, '/') + 1, name) == 0)
            return &slots[i];
    return NULL;
}

/* Checks a name of a listing that began at `begun`. */
static void check_name(const aloop_dir_entry *entry, unsigned begun)
{
    const struct slot *slot = find_slot(entry->name);

    if (slot == NULL) {
        CHECK(strncmp(entry->name, ".slot", 5) == 0 ||
              strncmp(entry->name, "temp", 4) == 0 ||
              strncmp(entry->name, "tree", 4) == 0);
        return;
    }
    CHECK(entry->type == ALOOP_FILE_REGULAR ||
          entry->type == ALOOP_FILE_UNKNOWN);
    CHECK(!must_be_missing(&slot->state) || slot->changed > begun);
}

static bool is_listed(const struct slot *slot, const aloop_dir_entry *entries,
                      ssize_t count)
{
    for (ssize_t i = 0; i < count; i++)
        if (find_slot(entries[i].name) == slot)
            return true;
    return false;
}

/* A file that was removed and made again during the scan may be listed twice,
 * as readdir(3) allows. */
static void check_order(const char *first, const char *second, unsigned begun)
{
    const struct slot *slot = find_slot(first);
    int order = strcmp(first, second);

    CHECK(order < 0 || (order == 0 && slot != NULL &&
                        (slot->changed > begun || slot->is_changing)));
}

static void end_scan(struct op *op, ssize_t status)
{
    const aloop_dir_entry *entries = op->data;

    CHECK((entries != NULL) == (status >= 0));
    for (ssize_t i = 0; i < status; i++) {
        check_name(&entries[i], op->begun);
        if (i > 0)
            check_order(entries[i - 1].name, entries[i].name, op->begun);
    }
    for (int i = 0; i < SLOTS && status >= 0; i++)
        CHECK(slots[i].changed > op->begun || slots[i].is_changing ||
              may_be_missing(&slots[i].state) ||
              is_listed(&slots[i], entries, status));
    aloop_data_free(run.loop, op->data);
}

static void end_open(struct op *op, ssize_t status)
{
    (void) op;
    CHECK((w.dir != NULL) == (status >= 0));
    w.dir_user = NULL;
}

static void end_list(struct op *op, ssize_t status)
{
    CHECK(status <= BATCH);
    if (w.dir_user != op) /* The directory was closed. */
        return;
    for (ssize_t i = 0; i < status; i++)
        check_name(&op->batch[i], 0);
    w.dir_user = NULL;
}

static void end_temp(struct op *op, ssize_t status)
{
    CHECK((strstr(op->name, "XXXXXX") == NULL) == (status >= 0));
    w.temps += status >= 0;
    aloop_file_close(op->temp);
}

static bool is_expected(const struct op *op, ssize_t error)
{
    if (error == ALOOP_ENOENT)
        return op->kind == READ || op->kind == UNLINK;
    if (error == ALOOP_EEXIST && op->kind == COPY)
        return true;
    return is_file_error(error, op->may_end);
}

/* Handles an operation whose future has settled. */
static void end_op(struct op *op)
{
    static void (*const ends[])(struct op * op, ssize_t status) = {
        end_read, end_write, end_write, end_copy, end_unlink,
        end_scan, end_open,  end_list,  end_temp,
    };
    ssize_t status = aloop_future_status(op->future);

    CHECK(status >= 0 || is_expected(op, status));
    ends[op->kind](op, status);
    free(op->buffer);
    aloop_future_unref(op->future);
    op->is_used = false;
    if (op->slot != NULL && !is_in_use(op->slot))
        look_at(op->slot);
}

static void end_ops(void)
{
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used && aloop_future_is_settled(w.ops[i].future))
            end_op(&w.ops[i]);
}

/* Acts. */

static struct op *new_op(enum kind kind, struct slot *slot)
{
    for (int i = 0; i < OPS_MAX; i++) {
        struct op *op = &w.ops[i];

        if (op->is_used)
            continue;
        *op = (struct op){.is_used = true,
                          .kind = kind,
                          .slot = slot,
                          .begun = ++w.time};
        if (slot != NULL)
            op->seen = slot->state;
        return op;
    }
    return NULL;
}

static struct slot *any_slot(void)
{
    return &slots[sim_random(SLOTS)];
}

static void act_read(void)
{
    struct op *op = new_op(READ, any_slot());

    if (op != NULL)
        op->future =
            aloop_fs_read_file(run.loop, op->slot->path, TEXT_MAX, &op->data);
}

static void act_write(void)
{
    struct slot *slot = any_slot();
    enum kind kind = chance(60) ? REPLACE : WRITE;
    struct text text;
    struct op *op;

    if (is_in_use(slot) || (op = new_op(kind, slot)) == NULL)
        return;
    text = new_text();
    begin_change(slot, text, kind);
    op->buffer = malloc(text.size + 1);
    CHECK(op->buffer != NULL);
    text_fill(text.id, 0, op->buffer, text.size);
    op->future = (kind == WRITE ? aloop_fs_write_file : aloop_fs_replace_file)(
        run.loop, slot->path, op->buffer, text.size, 0644);
}

static void on_progress(aloop *loop, uint64_t copied, uint64_t total, void *arg)
{
    struct op *op = arg;

    CHECK(loop == run.loop && !run.is_over && op->is_used && op->kind == COPY);
    CHECK(copied >= op->copied && total <= TEXT_MAX);
    op->copied = copied;
    if (chance(5) && op->future != NULL) {
        op->may_end = true;
        aloop_cancel(op->future);
    }
}

/* Copies from a slot that does not change meanwhile. */
static void act_copy(void)
{
    struct slot *from = any_slot(), *to = any_slot();
    aloop_copy_options options = {.size = sizeof options,
                                  .is_replacing = chance(50),
                                  .is_synced = chance(30),
                                  .on_progress = on_progress};
    struct op *op;

    if (from == to || from->is_changing || from->state.may_be_next ||
        from->state.now.id == 0 || is_in_use(to) ||
        (op = new_op(COPY, to)) == NULL)
        return;
    op->source = from;
    op->is_replacing = options.is_replacing;
    op->is_synced = options.is_synced;
    from->sources++;
    begin_change(to, from->state.now, COPY);
    options.arg = op;
    op->future = aloop_fs_copy(run.loop, from->path, to->path, &options);
}

static void act_unlink(void)
{
    struct slot *slot = any_slot();
    struct op *op;

    if (is_in_use(slot) || (op = new_op(UNLINK, slot)) == NULL)
        return;
    begin_change(slot, (struct text){0, 0}, UNLINK);
    op->future = aloop_fs_unlink(run.loop, slot->path);
}

static void act_scan(void)
{
    struct op *op = new_op(SCAN, NULL);

    if (op != NULL)
        op->future = aloop_fs_scan(run.loop, "/data", 1000,
                                   (aloop_dir_entry **) &op->data);
}

static void close_dir(void)
{
    if (w.dir_user != NULL && w.dir_user->kind == LIST)
        w.dir_user->may_end = true;
    aloop_dir_close(w.dir);
    w.dir = NULL;
    w.dir_user = NULL;
}

/* Opens the directory, reads from it, or closes it. */
static void act_list(void)
{
    struct op *op;

    if (w.dir != NULL && chance(20)) {
        close_dir();
        return;
    }
    if (w.dir_user != NULL ||
        (op = new_op(w.dir == NULL ? OPEN : LIST, NULL)) == NULL)
        return;
    w.dir_user = op;
    op->future = op->kind == OPEN
                     ? aloop_dir_open(run.loop, "/data", &w.dir)
                     : aloop_dir_read(w.dir, op->batch, between(1, BATCH));
}

static void act_temp(void)
{
    struct op *op = new_op(TEMP, NULL);

    if (op == NULL)
        return;
    snprintf(op->name, sizeof op->name, "/data/tempXXXXXX");
    op->future = chance(50) ? aloop_fs_mkstemp(run.loop, op->name, &op->temp)
                            : aloop_fs_mkdtemp(run.loop, op->name);
}

static void act_cancel(void)
{
    struct op *op = &w.ops[sim_random(OPS_MAX)];

    if (!op->is_used)
        return;
    op->may_end = true;
    aloop_cancel(op->future);
}

/* Drops an operation that changes no slot.  Its memory is used by the next
 * operation then. */
static void act_drop(void)
{
    struct op *op = &w.ops[sim_random(OPS_MAX)];

    if (!op->is_used || aloop_future_is_settled(op->future) ||
        (op->kind != READ && op->kind != SCAN && op->kind != TEMP))
        return;
    aloop_future_unref(op->future);
    op->is_used = false;
    if (op->slot != NULL && !is_in_use(op->slot))
        look_at(op->slot);
}

static void act_fail(void)
{
    static const struct {
        const char *name;
        int error;
    } faults[] = {{"aloop__sys_pwritev", -ENOSPC},
                  {"aloop__sys_pwritev", -EIO},
                  {"aloop__sys_preadv", -EIO},
                  {"aloop__sys_pread_cached", -EAGAIN},
                  {"aloop__sys_openat", -EMFILE},
                  {"aloop__sys_fsync", -EIO},
                  {"aloop__sys_renameat", -EIO},
                  {"aloop__sys_unlinkat", -EIO},
                  {"aloop__sys_mkdirat", -ENOSPC},
                  {"aloop__sys_dir_read", -EIO},
                  {"aloop__sys_copy_range", -EIO},
                  {"aloop__sys_close", -EIO},
                  {"aloop__sys_thread_start", -EAGAIN}};
    size_t i = (size_t) sim_random(sizeof faults / sizeof faults[0]);

    if (may_break() && sim_faults_pending() < 4)
        sim_fail(faults[i].name, 1 + (unsigned) sim_random(3), faults[i].error);
}

/* More operations than the pool has threads. */
static void act_burst(void)
{
    static void (*const acts[])(void) = {act_read, act_temp, act_scan};

    for (size_t i = between(4, 12); i > 0; i--)
        acts[sim_random(sizeof acts / sizeof acts[0])]();
}

static void on_heart(aloop_timer *timer, void *arg)
{
    static void (*const acts[])(void) = {
        act_read, act_read,   act_read,   act_write, act_write, act_write,
        act_copy, act_copy,   act_unlink, act_scan,  act_list,  act_list,
        act_temp, act_cancel, act_cancel, act_drop,  act_fail,  act_burst,
    };

    (void) timer;
    (void) arg;
    end_ops();
    for (size_t i = between(1, 6); i > 0 && w.acts > 0; i--, w.acts--)
        acts[sim_random(sizeof acts / sizeof acts[0])]();
}

/* Tasks, whose trees are their own. */

struct tree {
    char root[PATH_SIZE], deep[PATH_SIZE], from[PATH_SIZE], to[PATH_SIZE];
    aloop_dir_entry *entries;
    void *data;
};

static ssize_t check_result(ssize_t status, ssize_t expected)
{
    CHECK(status == expected || status == ALOOP_ETIMEDOUT ||
          status == ALOOP_EABORTED || is_file_error(status, true));
    return status;
}

/* Makes a tree.  Each step depends on those before it. */
static ssize_t fill_tree(aloop *loop, struct tree *tree)
{
    static const char text[] = "text";
    ssize_t status;

    status = check_result(
        aloop_await(aloop_fs_mkdir_all(loop, tree->deep, 0755)), 3);
    if (status >= 0)
        status = check_result(
            aloop_await(aloop_fs_write_file(loop, tree->from, text, 4, 0644)),
            4);
    if (status >= 0)
        status = check_result(
            aloop_await(aloop_fs_copy(loop, tree->from, tree->to, NULL)), 4);
    if (status >= 0)
        status = check_result(
            aloop_await(aloop_fs_read_file(loop, tree->to, 4, &tree->data)), 4);
    if (status < 0)
        return status;
    CHECK(memcmp(tree->data, text, 5) == 0);
    aloop_data_free(loop, tree->data);
    status = check_result(
        aloop_await(aloop_fs_scan(loop, tree->deep, 9, &tree->entries)), 2);
    if (status < 0)
        return status;
    CHECK(strcmp(tree->entries[0].name, "from") == 0);
    CHECK(strcmp(tree->entries[1].name, "to") == 0);
    aloop_data_free(loop, tree->entries);
    return status;
}

static ssize_t plant(aloop *loop, void *arg)
{
    int number = (int) ((aloop_future **) arg - w.tasks);
    struct tree tree;
    ssize_t status = 0;

    w.running++;
    snprintf(tree.root, sizeof tree.root, "/data/tree%d", number);
    snprintf(tree.deep, sizeof tree.deep, "/data/tree%d/a/b", number);
    snprintf(tree.from, sizeof tree.from, "/data/tree%d/a/b/from", number);
    snprintf(tree.to, sizeof tree.to, "/data/tree%d/a/b/to", number);
    for (size_t i = between(1, 4); i > 0 && status >= 0; i--) {
        aloop_deadline *deadline =
            aloop_deadline_begin(loop, any_delay_ns(ALOOP_SEC(1)));

        status = fill_tree(loop, &tree);
        if (aloop_deadline_end(deadline) != 0)
            status = ALOOP_ETIMEDOUT;
        if (status >= 0)
            status = check_result(
                aloop_await(aloop_fs_remove_all(loop, tree.root)), 5);
    }
    w.running--;
    return 0;
}

/* The world. */

static void begin_slot(struct slot *slot, int number)
{
    char data[TEXT_MAX];

    *slot = (struct slot){.is_synced = true};
    snprintf(slot->path, sizeof slot->path, "/data/slot%d", number);
    if (chance(50)) {
        slot->state.now = slot->synced = new_text();
        text_fill(slot->synced.id, 0, data, slot->synced.size);
        sim_file_put(slot->path, data, slot->synced.size);
    }
}

static void start(void)
{
    struct sim_device *device;

    memset(&w, 0, sizeof w);
    sim_file_mkdir("/data");
    for (int i = 0; i < SLOTS; i++)
        begin_slot(&slots[i], i);
    device = sim_device("/data");
    device->is_local = chance(50);
    if (chance(30))
        device->cached_read_error = -EOPNOTSUPP;
    if (chance(50))
        device->clone_error = -EOPNOTSUPP;
    if (chance(50))
        device->copy_error = -EXDEV;
    device->has_no_types = chance(30);
    if (may_break() && chance(30))
        device->size_max = between(8, 30) * 4096;
    if (may_break() && chance(20))
        sim_file_stop_after((unsigned) between(1, 100));
    w.acts = chance(25) ? ACTS_MAX : ACTS_MAX / 4;
    CHECK(aloop_timer_start(run.loop, 0, ALOOP_US(between(1, 3000)), on_heart,
                            NULL, &w.heart) == 0);
    for (int i = 0; i < TASKS; i++)
        w.tasks[i] = aloop_spawn(run.loop, plant, &w.tasks[i]);
}

static bool is_done(void)
{
    end_ops();
    if (w.acts > 0)
        return false;
    aloop_timer_close(w.heart);
    w.heart = NULL;
    return true;
}

static void close_world(void)
{
    aloop_timer_close(w.heart);
    for (int i = 0; i < TASKS; i++) {
        if (chance(50))
            aloop_cancel(w.tasks[i]);
        aloop_detach(w.tasks[i]);
    }
    if (w.dir != NULL && chance(50))
        close_dir();
}

/* Every name is known, if no call has failed. */
static void check_names(void)
{
    unsigned expected = w.temps;
    char byte;

    for (int i = 0; i < SLOTS; i++)
        expected += slots[i].state.now.id != 0;
    for (int i = 0; i < TASKS; i++) {
        char root[PATH_SIZE];

        snprintf(root, sizeof root, "/data/tree%d", i);
        if (sim_file_get(root, &byte, 1) == ALOOP_EISDIR)
            expected += 1 + sim_file_count(root);
    }
    CHECK(sim_file_count("/data") == expected);
}

static void check(void)
{
    end_ops();
    for (int i = 0; i < OPS_MAX; i++)
        CHECK(!w.ops[i].is_used);
    close_dir();
    while (aloop_alive(run.loop))
        CHECK(aloop_step(run.loop, -1) >= 0);
    CHECK(w.running == 0);
    CHECK(sim_file_descriptors() == 0);
    if (!may_break())
        check_names();
}

static bool is_some_text(const char *data, size_t size)
{
    for (unsigned id = 1; id <= w.ids; id++)
        if (is_text((struct text){id, w.sizes[id]}, data, size))
            return true;
    return false;
}

static void check_crash(const struct slot *slot)
{
    char data[TEXT_MAX];
    ssize_t size = sim_file_get(slot->path, data, sizeof data);

    CHECK(size <= TEXT_MAX);
    if (slot->is_synced && slot->synced.id == 0)
        CHECK(size == ALOOP_ENOENT);
    else if (slot->is_synced)
        CHECK(size >= 0 && is_text(slot->synced, data, (size_t) size));
    else if (!slot->was_overwritten && size >= 0)
        CHECK(is_some_text(data, (size_t) size));
    else if (!slot->was_overwritten)
        CHECK(size == ALOOP_ENOENT && slot->synced.id == 0);
}

static void outlive(void)
{
    CHECK(sim_file_descriptors() == 0);
    for (int i = 0; i < OPS_MAX; i++)
        if (w.ops[i].is_used)
            free(w.ops[i].buffer);
    sim_file_crash();
    for (int i = 0; i < SLOTS; i++)
        check_crash(&slots[i]);
}

const struct world world_paths = {"paths",     start, is_done,
                                  close_world, check, outlive};
