/* A bridge to another library: transfers that are operations of the
 * application, and a prepare that lets the library work. */

#include "torture.h"

enum { TRANSFERS = 8 };

/* A transfer of the library, which writes one byte to its user's memory. */
static struct transfer {
    aloop_future *operation; /* NULL unless it is under way. */
    char *target;
    int64_t due_ns;
    ssize_t status;
    bool is_slow; /* It writes once more after a cancel. */
    int cancels;
} transfers[TRANSFERS];

static int transfer_count;
static bool is_over; /* The library does not work any more. */
static aloop *bridged;

static void end_transfer(struct transfer *transfer)
{
    aloop_future *operation = transfer->operation;

    *transfer->target = 'x';
    transfer->operation = NULL;
    torture_expect(aloop_operation_settle(operation, transfer->status) == 0,
                   "an operation cannot be settled");
}

static void transfer_cancel(aloop_future *operation, void *arg)
{
    struct transfer *transfer = arg;

    torture_expect(transfer->operation == operation && transfer->cancels == 0,
                   "a maker is asked twice, or too late");
    transfer->cancels++;
    transfer->status = ALOOP_ECANCELED;
    transfer->due_ns = aloop_now(bridged) + 2 * MS;
    if (!transfer->is_slow || is_over)
        end_transfer(transfer);
}

static aloop_future *begin(char *target, int64_t delay_ns)
{
    struct transfer *transfer = &transfers[transfer_count];

    torture_expect(transfer_count < TRANSFERS, "too many transfers");
    transfer->operation =
        aloop_operation_new(bridged, transfer_cancel, transfer);
    if (transfer->operation == NULL)
        return NULL;
    transfer->target = target;
    transfer->due_ns = aloop_now(bridged) + delay_ns;
    transfer->is_slow = transfer_count % 2 == 1;
    transfer_count++;
    return transfer->operation;
}

/* Lets the library work, and returns the time until it has to work again. */
static int64_t library_prepare(aloop_prepare *prepare, void *arg)
{
    int64_t now_ns = aloop_now(bridged), limit_ns = -1;

    (void) prepare;
    (void) arg;
    for (int i = 0; i < transfer_count; i++) {
        struct transfer *transfer = &transfers[i];

        if (transfer->operation == NULL)
            continue;
        if (transfer->due_ns <= now_ns)
            end_transfer(transfer);
        else if (limit_ns < 0 || transfer->due_ns - now_ns < limit_ns)
            limit_ns = transfer->due_ns - now_ns;
    }
    return limit_ns;
}

/* After the reactor has failed, transfers are left. */
static void end_library(void)
{
    is_over = true;
    for (int i = 0; i < transfer_count; i++)
        if (transfers[i].operation != NULL)
            end_transfer(&transfers[i]);
}

/* When an await has returned, no transfer writes to this stack any more. */
static void expect_none(void)
{
    for (int i = 0; i < transfer_count; i++)
        torture_expect(transfers[i].operation == NULL,
                       "a transfer continues after the await");
}

static ssize_t uses_transfers(aloop *loop, void *arg)
{
    aloop_deadline *deadline;
    char bytes[TRANSFERS] = "";
    ssize_t error = 0;

    (void) arg;
    torture_keep(&error,
                 aloop_await(aloop_gather(loop, begin(&bytes[0], 3 * MS),
                                          begin(&bytes[1], 5 * MS))));
    expect_none();
    torture_keep(&error, aloop_await(aloop_any(loop, begin(&bytes[2], MS),
                                               begin(&bytes[3], 5 * MS))));
    expect_none();
    for (int i = 4; i < 6; i++) {
        ssize_t status =
            aloop_await(aloop_timeout(begin(&bytes[i], 9 * MS), MS));

        torture_expect(status < 0, "a cancelled transfer succeeds");
        torture_keep(&error, status == ALOOP_ETIMEDOUT ? 0 : status);
        expect_none();
    }
    deadline = aloop_deadline_begin(loop, 20 * MS);
    torture_keep(&error, aloop_await(begin(&bytes[6], MS)));
    aloop_deadline_end(deadline);
    expect_none();
    return error;
}

static void fail_now(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    torture_fail("a call that was taken back runs");
}

static struct torture_watch moved = {"a closed timer runs", 0, 1, false};

static void on_moved(aloop_timer *timer, void *arg)
{
    (void) timer;
    torture_called(arg);
}

ssize_t torture_bridge(aloop *loop)
{
    aloop_prepare *prepare = NULL;
    aloop_timer *timer = aloop_timer_new(loop, on_moved, &moved);
    ssize_t error = timer == NULL ? ALOOP_ENOMEM : 0;
    int status;

    bridged = loop;
    if (timer != NULL)
        torture_keep(&error, aloop_timer_restart(timer, MS));
    status = aloop_defer(loop, fail_now, NULL);
    torture_keep(&error, status);
    torture_expect(aloop_defer_cancel(loop, fail_now, NULL) == (status == 0),
                   "a deferred call is not taken back");
    status = aloop_prepare_start(loop, library_prepare, NULL, &prepare);
    torture_keep(&error, status);
    if (status == 0) {
        aloop_prepare_ref(prepare);
        aloop_prepare_unref(prepare);
        torture_keep(&error,
                     torture_await(aloop_spawn(loop, uses_transfers, NULL), 9));
    }
    end_library();
    aloop_prepare_close(prepare);
    aloop_timer_close(timer);
    moved.is_closed = true;
    return error;
}
