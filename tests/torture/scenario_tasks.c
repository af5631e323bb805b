/* Tasks that are composed, cancelled, under deadlines, and left behind. */

#include <string.h>

#include "torture.h"

/* Tasks in work() that have begun and not ended. */
static int live;

static ssize_t work(aloop *loop, void *arg)
{
    const int *ms = arg;
    ssize_t status;

    live++;
    status = torture_pass(loop, *ms * MS);
    if (status == 0)
        status = aloop_yield(loop);
    live--;
    return status == 0 ? *ms : status;
}

static ssize_t fails(aloop *loop, void *arg)
{
    (void) arg;
    aloop_yield(loop);
    return ALOOP_EPERM;
}

static int delays[] = {1, 5, 9, 100, 0};

static ssize_t map_one(aloop *loop, void *item)
{
    return work(loop, item);
}

/* Checks that nothing is running after an await has returned. */
static void check(ssize_t *error, ssize_t status, ssize_t wanted)
{
    torture_expect(live == 0, "a task still runs after an await");
    if (status != wanted)
        torture_keep(error, status < 0 ? status : ALOOP_ECANCELED);
}

static ssize_t compose(aloop *loop, void *arg)
{
    ssize_t statuses[3] = {-1, -1, -1};
    ssize_t error = 0;
    size_t winner = 9;
    aloop_future *members[3];

    (void) arg;
    check(&error,
          aloop_await(aloop_gather(loop, aloop_spawn(loop, work, &delays[0]),
                                   aloop_spawn(loop, work, &delays[1]),
                                   aloop_spawn(loop, work, &delays[2]))),
          0);
    check(&error,
          aloop_await(aloop_gather(loop, aloop_spawn(loop, work, &delays[3]),
                                   aloop_spawn(loop, fails, NULL))),
          ALOOP_EPERM);
    check(&error,
          aloop_await(aloop_race(loop, aloop_spawn(loop, work, &delays[3]),
                                 aloop_spawn(loop, work, &delays[1]))),
          5);
    for (int i = 0; i < 3; i++)
        members[i] = aloop_spawn(loop, i == 0 ? fails : work, &delays[i]);
    check(&error, aloop_await(aloop_any_array(loop, 3, members, &winner)), 5);
    for (int i = 0; i < 3; i++)
        members[i] = aloop_spawn(loop, i == 2 ? fails : work, &delays[i]);
    check(&error, aloop_await(aloop_gather_settled(loop, 3, members, statuses)),
          2);
    check(&error,
          aloop_await(aloop_map(loop, map_one, delays, 5, sizeof delays[0], 2)),
          0);
    check(
        &error,
        aloop_await(aloop_timeout(aloop_spawn(loop, work, &delays[3]), 2 * MS)),
        ALOOP_ETIMEDOUT);
    return error;
}

ssize_t torture_tasks(aloop *loop)
{
    ssize_t error = 0;
    aloop_future *stray =
        aloop_spawn_with(loop, work, &delays[0], .name = "stray");

    torture_expect(stray == NULL ||
                       strcmp(aloop_task_name(stray), "stray") == 0,
                   "a task has another name");
    torture_keep(&error, stray == NULL ? ALOOP_ENOMEM : aloop_await(stray));
    torture_keep(&error, aloop_await(aloop_spawn(loop, compose, NULL)));
    torture_keep(&error, aloop_run(loop));
    return error;
}

/* Writes to the stack of the function that composes it, until it ends. */
static ssize_t write_to_stack(aloop *loop, void *arg)
{
    volatile int *cell = arg;
    ssize_t status;

    live++;
    ++*cell;
    status = torture_pass(loop, 20 * MS);
    ++*cell;
    aloop_shield_begin(); /* A cancel does not end it immediately. */
    torture_pass(loop, 2 * MS);
    aloop_shield_end();
    ++*cell;
    live--;
    return status;
}

enum way { GATHER, ANY, RACE, TIMEOUT, MAP, GROUP, WAYS };

static aloop_future *in_a_group(aloop_group *group, int *cells)
{
    for (int i = 0; i < 3; i++)
        aloop_group_spawn(group, write_to_stack, &cells[i]);
    return aloop_group_wait(group);
}

static aloop_future *compose_by(aloop *loop, enum way way, int *cells,
                                aloop_group *group)
{
    aloop_future *tasks[3];

    if (way == MAP)
        return aloop_map(loop, write_to_stack, cells, 3, sizeof *cells, 2);
    if (way == GROUP)
        return in_a_group(group, cells);
    for (int i = 0; i < 3; i++)
        tasks[i] = aloop_spawn(loop, write_to_stack, &cells[i]);
    aloop_yield(loop); /* The tasks must begin before they are composed. */
    if (way == ANY)
        return aloop_any_array(loop, 3, tasks, NULL);
    if (way == RACE)
        return aloop_race_array(loop, 3, tasks, NULL);
    if (way == GATHER)
        return aloop_gather_array(loop, 3, tasks);
    return aloop_gather(
        loop, aloop_timeout(aloop_gather(loop, tasks[0], tasks[1]), 9 * MS),
        tasks[2]);
}

static ssize_t compose_on_stack(aloop *loop, void *arg)
{
    ssize_t error = 0;

    (void) arg;
    for (enum way way = GATHER; way < WAYS; way++) {
        int cells[3] = {0};
        aloop_group *group = way == GROUP ? aloop_group_new(loop) : NULL;
        aloop_future *whole = compose_by(loop, way, cells, group);
        bool has_failed = whole == NULL;
        ssize_t status = aloop_await(whole);

        torture_expect(live == 0, "a member still runs after an await");
        if (has_failed || (status < 0 && way != TIMEOUT))
            torture_keep(&error, ALOOP_ENOMEM);
        aloop_group_free(group);
    }
    return error;
}

/* Objects used by awaited tasks may be on the stack of the awaiting task, even
 * if memory runs out. */
ssize_t torture_on_stack(aloop *loop)
{
    ssize_t error = 0;

    torture_keep(&error,
                 aloop_await(aloop_spawn(loop, compose_on_stack, NULL)));
    torture_keep(&error, aloop_run(loop));
    return error;
}

static bool has_cleaned_up[4];

/* A task that cleans up after a cancel. */
static ssize_t clean_up_slowly(aloop *loop, void *arg)
{
    bool *is_clean = arg;
    ssize_t status = torture_pass(loop, ALOOP_SEC(1));

    aloop_shield_begin();
    torture_pass(loop, MS);
    aloop_shield_end();
    *is_clean = true;
    return status;
}

static ssize_t parent(aloop *loop, void *arg)
{
    return aloop_await(aloop_gather(loop,
                                    aloop_spawn(loop, clean_up_slowly, arg),
                                    aloop_sleep(loop, ALOOP_SEC(2))));
}

/* Tasks that are cancelled before they begin, while they wait, by a dropped
 * reference, and when the loop is freed. */
ssize_t torture_cancel(aloop *loop)
{
    aloop_future *early =
        aloop_spawn(loop, clean_up_slowly, &has_cleaned_up[0]);
    aloop_future *late = aloop_spawn(loop, parent, &has_cleaned_up[1]);
    aloop_future *dropped =
        aloop_spawn(loop, clean_up_slowly, &has_cleaned_up[2]);
    ssize_t error = 0, status;

    if (early == NULL || late == NULL || dropped == NULL)
        error = ALOOP_ENOMEM;
    aloop_cancel(early);
    torture_keep(&error, torture_pass(loop, 5 * MS));
    aloop_cancel(late);
    aloop_future_unref(dropped);
    status = torture_await(early, 10);
    torture_keep(&error, status == ALOOP_EABORTED ? 0 : status);
    status = torture_await(late, 10);
    torture_keep(&error, status == ALOOP_EABORTED ? 0 : status);
    torture_keep(&error, torture_pass(loop, 10 * MS));
    if (error == 0)
        torture_expect(has_cleaned_up[0] && has_cleaned_up[1] &&
                           has_cleaned_up[2],
                       "a cancelled task did not clean up");
    aloop_detach(aloop_spawn(loop, clean_up_slowly, &has_cleaned_up[3]));
    torture_keep(&error, torture_pass(loop, 5 * MS));
    return error;
}

static ssize_t in_scopes(aloop *loop, void *arg)
{
    aloop_deadline *outer = aloop_deadline_begin(loop, 20 * MS);
    aloop_deadline *inner = aloop_deadline_begin(loop, 5 * MS);
    ssize_t error = 0, status;

    (void) arg;
    if (outer == NULL || inner == NULL)
        error = ALOOP_ENOMEM;
    status = torture_pass(loop, 10 * MS);
    torture_keep(&error, status == ALOOP_ETIMEDOUT ? 0 : status);
    if (aloop_deadline_end(inner) == 0 && status == ALOOP_ETIMEDOUT)
        torture_expect(outer == NULL, "a deadline exists without memory");
    aloop_shield_begin();
    status = torture_pass(loop, 30 * MS);
    aloop_shield_end();
    torture_keep(&error, status);
    status = torture_pass(loop, MS);
    torture_keep(&error, status == ALOOP_ETIMEDOUT ? 0 : status);
    torture_keep(&error,
                 outer == NULL ? 0 : aloop_deadline_restart(outer, 50 * MS));
    status = torture_pass(loop, MS);
    torture_keep(&error, status);
    (void) aloop_deadline_begin(loop, MS); /* Ended by the end of the task. */
    return error;
}

ssize_t torture_scopes(aloop *loop)
{
    ssize_t error = 0;

    torture_keep(&error, aloop_await(aloop_gather(
                             loop, aloop_spawn(loop, in_scopes, NULL),
                             aloop_spawn(loop, work, &delays[2]))));
    torture_keep(&error, aloop_await(aloop_spawn(loop, in_scopes, NULL)));
    return error;
}

static struct torture_watch tick_watch = {"a timer runs late", 0, 0, false};
static aloop_timer *timer;
static aloop_stream *stream;
static aloop_listener *listener;
static int accepts;

static void on_tick(aloop_timer *at, void *arg)
{
    (void) at;
    torture_called(arg);
}

static void on_stream(aloop_listener *at, aloop_stream *accepted, void *arg)
{
    (void) at;
    (void) arg;
    aloop_stream_close(accepted);
}

/* Leaves all kinds of objects to the end of the loop. */
static ssize_t leave_all(aloop *loop, void *arg)
{
    static char bytes[100000];
    ssize_t error = 0;

    (void) arg;
    torture_fill(bytes, 0, sizeof bytes);
    torture_keep(&error,
                 aloop_timer_start(loop, MS, MS, on_tick, &tick_watch, &timer));
    torture_keep(&error, aloop_tcp_listen(loop, "127.0.0.1", "90", on_stream,
                                          NULL, &listener));
    aloop_detach(aloop_spawn(loop, clean_up_slowly, &has_cleaned_up[0]));
    aloop_detach(aloop_spawn(loop, parent, &has_cleaned_up[1]));
    torture_keep(
        &error,
        torture_await(aloop_tcp_connect(loop, "localhost", "80", &stream), 10));
    if (stream != NULL)
        torture_keep(&error, aloop_stream_put(stream, bytes, sizeof bytes));
    aloop_stream_close(stream);
    torture_keep(&error, torture_pass(loop, 2 * MS));
    return error;
}

/* Receives and checks data from now on. */
static void receive(void *arg)
{
    static char bytes[8192];
    static int peer = -1;
    static size_t received;
    ssize_t n;

    if (peer < 0)
        peer = sim_accept(*(int *) arg);
    if (peer >= 0) {
        n = sim_peer_receive(peer, bytes, sizeof bytes);
        torture_expect(n <= 0 || torture_matches(bytes, received, (size_t) n),
                       "wrong bytes arrive");
        received += n > 0 ? (size_t) n : 0;
    }
    if (accepts++ < 200)
        sim_at(MS, receive, arg);
}

ssize_t torture_main(aloop *loop)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    static int peer;

    (void) loop;
    peer = sim_listen("127.0.0.1", 80, 4);
    sim_at(MS, receive, &peer);
    return aloop_main_with(leave_all, NULL, &options);
}
