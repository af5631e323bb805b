/* uv_queue_work(), whose pool has four threads. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "work.h"

#include <uv.h>

enum { BATCH_MAX = 64 };

static uv_loop_t loop;
static uv_work_t works[BATCH_MAX];
static size_t left;    /* Functions that were not given yet. */
static size_t pending; /* Functions of this batch without a result. */
static size_t batch_size;

static void nothing(uv_work_t *work)
{
    (void) work;
}

static void give_batch(void);

static void on_done(uv_work_t *work, int status)
{
    (void) work;
    fail_if(status < 0, "work");
    if (--pending == 0 && left > 0)
        give_batch();
}

static void give_batch(void)
{
    pending = batch_size;
    left -= left < batch_size ? left : batch_size;
    for (size_t i = 0; i < batch_size; i++)
        uv_queue_work(&loop, &works[i], nothing, on_done);
}

static void run_all(size_t count, size_t batch)
{
    uv_loop_init(&loop);
    left = count;
    batch_size = batch;
    give_batch();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

const work_peer work_uv = run_all;
