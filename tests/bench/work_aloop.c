/* aloop_work(), awaited by a task. */

#include "work.h"

#include <aloop.h>

enum { BATCH_MAX = 64 };

struct load {
    size_t count;
    size_t batch;
};

static ssize_t nothing(void *arg)
{
    (void) arg;
    return 0;
}

static ssize_t do_load(aloop *loop, void *arg)
{
    const struct load *load = arg;

    for (size_t done = 0; done < load->count; done += load->batch) {
        aloop_future *futures[BATCH_MAX];

        for (size_t i = 0; i < load->batch; i++)
            futures[i] = aloop_work(loop, nothing, NULL);
        for (size_t i = 0; i < load->batch; i++)
            aloop_await(futures[i]);
    }
    return 0;
}

static void run_all(size_t count, size_t batch)
{
    struct load load = {count, batch};
    aloop_options options = {.size = sizeof options,
                             .work_threads = WORK_THREADS};

    fail_if(aloop_main_with(do_load, &load, &options) < 0, "work");
}

const work_peer work_aloop = run_all;
