/* Futures, work and operations of the application in the state machine; see
 * machine_outside.h. */

#include "machine_outside.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

struct outside o;

void outside_begin(void)
{
    memset(&o, 0, sizeof o);
    o.fds[0] = o.fds[1] = -1;
    udp_begin();
    server_begin();
    tty_begin();
}

bool enter(void)
{
    if (m.is_running || m.is_hosted)
        return false;
    m.is_exact = false;
    if (o.fds[0] >= 0)
        return true;
    FUZZ_CHECK(sim_pair(o.fds) == 0);
    files_begin();
    names_begin();
    return true;
}

void act_outside(void)
{
    if (w.acts == 0 || w.is_freeing)
        return;
    w.acts--;
    outside_acts[fuzz_byte(&w.input) % outside_act_count].run();
}

void outside_act_some(void)
{
    bool is_dispatch = !w.is_freeing && sim_wakes() > w.wakes;

    w.is_inside = true;
    if (is_dispatch) {
        FUZZ_CHECK(model_in_dispatch());
        check_time();
    }
    for (unsigned i = fuzz_byte(&w.input) % 4; i > 0; i--) {
        if (is_dispatch)
            act();
        else
            act_outside();
    }
    w.is_inside = false;
}

/* Operations. */

struct out *new_out(enum out_kind kind)
{
    struct out *out = &o.outs[o.out_count];

    if (o.out_count == OUTS_MAX)
        return NULL;
    o.out_count++;
    *out = (struct out){.kind = kind};
    return out;
}

bool is_out_pending(const struct out *out)
{
    return !out->has_ended && out->future != NULL &&
           !aloop_future_is_settled(out->future);
}

static void end_items(const struct out *out, ssize_t status)
{
    unsigned runs = 0;

    for (size_t i = 0; i < out->count; i++) {
        FUZZ_CHECK(out->items[i].runs <= 1);
        runs += out->items[i].runs;
    }
    if (status == ALOOP_ECANCELED)
        FUZZ_CHECK(out->may_end || w.is_freeing);
    else
        FUZZ_CHECK(runs == out->count);
    if (out->kind == WORK)
        FUZZ_CHECK(status ==
                   (runs == 0 ? ALOOP_ECANCELED : out->items[0].status));
}

static void end_other(struct out *out, ssize_t status)
{
    if (out->kind == OPERATION)
        FUZZ_CHECK(out->is_settled);
    else if (out->kind == SIGNAL_WAIT)
        FUZZ_CHECK(status == SIGUSR1
                       ? out->is_settled
                       : status == ALOOP_ECANCELED && out->may_end);
    else if (status < 0)
        FUZZ_CHECK(status == ALOOP_ECANCELED);
    else
        FUZZ_CHECK(status > 0);
}

void end_out(struct out *out)
{
    FUZZ_CHECK(!is_out_pending(out));
    out->has_ended = true;
    if (out->buffer != NULL)
        memset(out->buffer, 0xee, out->size); /* It has no effect any more. */
    free(out->buffer);
    out->buffer = NULL;
    aloop_future_unref(out->future);
    out->future = NULL;
}

static void on_out(aloop_future *future, ssize_t status, void *arg)
{
    struct out *out = arg;

    FUZZ_CHECK(!w.is_over && !out->has_ended && out->future == future);
    say("outside operation %d ends with %zd", (int) (out - o.outs), status);
    out->has_ended = true;
    out->may_end = out->may_end || w.is_freeing;
    if (out->kind == OPEN)
        end_open(out, status);
    else if (out->kind == READ || out->kind == WRITE)
        end_data(out, status);
    else if (out->kind == WORK || out->kind == WORK_MAP || out->kind == MAP)
        end_items(out, status);
    else if (out->kind >= READ_FILE)
        end_fs(out, status);
    else if (out->kind == TTY_READ)
        end_tty(out, status);
    else if (out->kind == SERVER_STOP)
        end_server(out, status);
    else if (out->kind >= UDP_RECEIVE)
        end_udp(out, status);
    else
        end_other(out, status);
    end_out(out);
    outside_act_some();
}

void follow_out(struct out *out, aloop_future *future)
{
    FUZZ_CHECK(future != NULL);
    say("  is outside operation %d", (int) (out - o.outs));
    out->future = aloop_future_ref(future);
    FUZZ_CHECK(aloop_then(future, on_out, out) == 0);
}

static struct out *any_out(void)
{
    struct out *out;

    if (o.out_count == 0)
        return NULL;
    out = &o.outs[o.out_count - 1 - any_below(o.out_count)];
    return is_out_pending(out) ? out : NULL;
}

static void act_cancel_out(void)
{
    struct out *out = any_out();

    if (out == NULL)
        return;
    say("cancel outside operation %d", (int) (out - o.outs));
    out->may_end = true;
    FUZZ_CHECK(aloop_cancel(out->future));
    udp_cancelled(out);
}

/* Opens a file, or starts a function, and drops the future.  The file is
 * delivered if the future has settled by then, and later not. */

static ssize_t run_nothing(void *arg)
{
    (void) arg;
    return 0;
}

static void act_drop(void)
{
    static aloop_file *file;

    if (!enter())
        return;
    say("drop an open and a function");
    FUZZ_CHECK(file == NULL);
    aloop_future_unref(aloop_file_open(w.loop, "/f0", O_RDONLY, 0, &file));
    aloop_file_close(file);
    file = NULL;
    aloop_future_unref(aloop_work(w.loop, run_nothing, NULL));
}

/* Functions on threads, and tasks for items. */

static ssize_t run_item(void *arg)
{
    struct item *item = arg;

    item->runs++;
    return item->status;
}

static ssize_t run_item_in_task(aloop *loop, void *arg)
{
    struct item *item = arg;

    item->runs++;
    (void) aloop_await(aloop_sleep(loop, item->status));
    return 0;
}

static void act_work(void)
{
    struct out *out;

    if (!enter() || (out = new_out(WORK)) == NULL)
        return;
    out->count = 1;
    out->items[0].status = fuzz_byte(&w.input);
    say("work");
    follow_out(out, aloop_work(w.loop, run_item, &out->items[0]));
}

static void act_map(void)
{
    bool is_work = any_bit();
    size_t count = any_below(ITEMS_MAX + 1), limit = any_below(4);
    struct out *out;

    if (!enter() || (out = new_out(is_work ? WORK_MAP : MAP)) == NULL)
        return;
    out->count = count;
    say("%s %zu items", is_work ? "map work over" : "map tasks over", count);
    if (is_work)
        follow_out(out, aloop_work_map(w.loop, run_item, out->items, count,
                                       sizeof out->items[0], limit));
    else
        follow_out(out, aloop_map(w.loop, run_item_in_task, out->items, count,
                                  sizeof out->items[0], limit));
}

/* Operations of the application. */

static void settle_operation(struct out *out, ssize_t status)
{
    say("settle outside operation %d", (int) (out - o.outs));
    out->is_settled = true;
    FUZZ_CHECK(aloop_operation_settle(out->future, status) == 0);
}

static void settle_later(aloop *loop, void *arg)
{
    struct out *out = arg;

    (void) loop;
    if (!out->is_settled)
        settle_operation(out, ALOOP_ECANCELED);
}

static void operation_cancelled(aloop_future *future, void *arg)
{
    struct out *out = arg;

    FUZZ_CHECK(!w.is_over && out->future == future && !out->is_settled);
    FUZZ_CHECK(!out->has_ended && (out->may_end || w.is_freeing));
    if (w.is_freeing || any_bit() || aloop_defer(w.loop, settle_later, out) < 0)
        settle_operation(out, ALOOP_ECANCELED);
}

static void act_operation(void)
{
    struct out *out;

    if (!enter() || (out = new_out(OPERATION)) == NULL)
        return;
    say("an operation");
    follow_out(out, aloop_operation_new(w.loop, operation_cancelled, out));
}

static void act_settle(void)
{
    struct out *out = any_out();

    if (out != NULL && out->kind == OPERATION)
        settle_operation(out, fuzz_byte(&w.input));
}

/* The lanes of the pool. */
static void act_lanes(void)
{
    static const aloop_lane lanes[] = {ALOOP_LANE_FILE, ALOOP_LANE_RESOLVER,
                                       ALOOP_LANE_WORK};

    for (int i = 0; i < 3; i++) {
        aloop_pool_info info = {.size = sizeof info};

        FUZZ_CHECK(aloop_pool_info_get(w.loop, lanes[i], &info) == 0);
        FUZZ_CHECK(info.idle <= info.threads);
        FUZZ_CHECK(info.oldest_ns == 0 || info.queued + info.running > 0);
    }
}

/* The end. */

void outside_close(void)
{
    close_files();
    close_watches();
    fs_close();
    close_udp();
    close_server();
    close_tty();
    for (unsigned i = 0; i < o.out_count; i++)
        if (o.outs[i].kind >= OPERATION && o.outs[i].kind <= SIGNAL_WAIT &&
            is_out_pending(&o.outs[i])) {
            o.outs[i].may_end = true;
            aloop_cancel(o.outs[i].future);
        }
}

void outside_check(void)
{
    server_check();
    tty_check();
    for (unsigned i = 0; i < o.out_count; i++)
        FUZZ_CHECK(o.outs[i].has_ended);
    for (int i = 0; i < 2; i++)
        if (o.fds[i] >= 0)
            FUZZ_CHECK(aloop__sys_close(o.fds[i]) == 0);
    if (o.fds[0] >= 0)
        fs_check();
}

const struct act outside_acts[] = {
    {"open", act_open},
    {"open", act_open},
    {"data", act_data},
    {"data", act_data},
    {"data", act_data},
    {"close file", act_close_file},
    {"cancel", act_cancel_out},
    {"cancel", act_cancel_out},
    {"drop", act_drop},
    {"work", act_work},
    {"map", act_map},
    {"operation", act_operation},
    {"settle", act_settle},
    {"poll", act_poll},
    {"close poll", act_close_poll},
    {"poll wait", act_poll_wait},
    {"send", act_send},
    {"prepare", act_prepare},
    {"signal", act_signal},
    {"raise", act_raise},
    {"read file", act_read_file},
    {"read file", act_read_file},
    {"write file", act_write_file},
    {"write file", act_write_file},
    {"copy", act_copy},
    {"copy", act_copy},
    {"scan", act_scan},
    {"directory", act_dir},
    {"directory", act_dir},
    {"close directory", act_close_dir},
    {"temporary", act_temp},
    {"tree", act_tree},
    {"drop whole files", act_drop_fs},
    {"signal wait", act_signal_wait},
    {"udp put", act_udp_put},
    {"udp put", act_udp_put},
    {"udp send", act_udp_send},
    {"udp receive", act_udp_receive},
    {"udp receive", act_udp_receive},
    {"udp start", act_udp_start},
    {"udp close", act_udp_close},
    {"serve", act_serve},
    {"client", act_client},
    {"client", act_client},
    {"client talk", act_client_talk},
    {"client talk", act_client_talk},
    {"server stop", act_server_stop},
    {"stat", act_stat},
    {"rename", act_rename},
    {"resolve", act_resolve},
    {"truncate", act_truncate},
    {"change", act_change},
    {"terminal user", act_tty_user},
    {"terminal user", act_tty_user},
    {"terminal user", act_tty_user},
    {"terminal mode", act_tty_mode},
    {"terminal put", act_tty_put},
    {"terminal read", act_tty_read},
    {"terminal read", act_tty_read},
    {"terminal close", act_tty_close},
    {"seek end", act_seek_end},
    {"adopt", act_adopt},
    {"name", act_name},
    {"name", act_name},
    {"name", act_name},
    {"resolve name", act_resolve_name},
    {"refer", act_refer},
    {"lanes", act_lanes},
};

const size_t outside_act_count = sizeof outside_acts / sizeof outside_acts[0];
