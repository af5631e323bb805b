/* Functions on threads of the pool: composed, cancelled, under deadlines, and
 * left to the end of the loop. */

#include "torture.h"

/* The argument of a function, on the stack of the task that awaits it. */
struct cell {
    bool is_slow;
    int result;
};

static int inside; /* Functions that have begun and not ended. */

static ssize_t use_cell(void *arg)
{
    struct cell *cell = arg;
    struct sys_address *found = NULL;

    inside++;
    if (cell->is_slow) {
        (void) aloop__sys_resolve("slow.test", "1", SYS_FAMILY_NONE, &found);
        aloop__sys_resolve_free(found);
    }
    inside--;
    return cell->result++;
}

static ssize_t fail_on_thread(void *arg)
{
    (void) arg;
    return ALOOP_EPERM;
}

/* Checks that no thread is in a function after an await has returned. */
static void check_await(ssize_t *error, ssize_t status, ssize_t wanted)
{
    torture_expect(inside == 0, "a function still runs after an await");
    if (status != wanted)
        torture_keep(error, status < 0 ? status : ALOOP_ECANCELED);
}

static ssize_t work_on_stack(aloop *loop, void *arg)
{
    struct cell cells[8] = {{0}};
    aloop_future *member;
    ssize_t error = 0;

    (void) arg;
    check_await(&error, aloop_await(aloop_work(loop, use_cell, &cells[0])), 0);
    for (int i = 0; i < 8; i++)
        cells[i] = (struct cell){true, i};
    check_await(
        &error,
        aloop_await(aloop_gather(loop, aloop_work(loop, use_cell, &cells[0]),
                                 aloop_work(loop, use_cell, &cells[1]),
                                 aloop_work(loop, use_cell, &cells[2]))),
        0);
    check_await(
        &error,
        aloop_await(aloop_gather(loop, aloop_work(loop, use_cell, &cells[0]),
                                 aloop_work(loop, fail_on_thread, NULL))),
        ALOOP_EPERM);
    check_await(&error,
                aloop_await(aloop_work_map(loop, use_cell, cells, 8,
                                           sizeof cells[0], 2)),
                0);
    member = aloop_work(loop, use_cell, &cells[7]);
    check_await(&error, aloop_await(aloop_timeout(member, 2 * MS)), 8);
    check_await(&error,
                aloop_await(aloop_timeout(aloop_work_map(loop, use_cell, cells,
                                                         8, sizeof cells[0], 0),
                                          2 * MS)),
                ALOOP_ETIMEDOUT);
    return error;
}

static struct cell left[3];

ssize_t torture_work(aloop *loop)
{
    aloop_pool_info info = {.size = sizeof info};
    ssize_t error = 0;

    inside = 0;
    sim_host_delay("slow.test", 10 * MS);
    torture_keep(&error, aloop_await(aloop_spawn(loop, work_on_stack, NULL)));
    torture_keep(&error, torture_pass(loop, ALOOP_SEC(11)));
    torture_keep(&error, aloop_pool_info_get(loop, ALOOP_LANE_WORK, &info));
    torture_expect((info.threads <= 1 && info.queued + info.running == 0) ||
                       !torture_is_rehearsal(),
                   "threads without work have not ended");
    for (int i = 0; i < 3; i++) {
        left[i] = (struct cell){true, 0};
        aloop_detach(aloop_work(loop, use_cell, &left[i]));
        torture_keep(&error, torture_pass(loop, MS));
    }
    return error;
}
