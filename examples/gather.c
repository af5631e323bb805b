/* Two tasks sleep at the same time, and a third one waits for both.
 *
 *     usage: gather
 *
 * Prints, in two seconds rather than three:
 *     Task 1 started
 *     Task 2 started
 *     Task 1 completed
 *     Task 2 completed
 */

#include <aloop.h>

#include <stdio.h>
#include <string.h>

#include "support/process.h"

struct job {
    const char *name;
    int seconds;
};

static ssize_t work(aloop *loop, void *arg)
{
    const struct job *job = arg;
    ssize_t status;

    printf("%s started\n", job->name);
    status = aloop_await(aloop_sleep(loop, ALOOP_SEC(job->seconds)));
    if (status < 0)
        return status;
    printf("%s completed\n", job->name);
    return 0;
}

/* The jobs may be on this stack: both tasks have ended when the await returns,
 * even if it returns an error. */
static ssize_t amain(aloop *loop, void *arg)
{
    struct job jobs[] = {{"Task 1", 1}, {"Task 2", 2}};

    (void) arg;
    return aloop_await(aloop_gather(loop, aloop_spawn(loop, work, &jobs[0]),
                                    aloop_spawn(loop, work, &jobs[1])));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        bool is_help = strcmp(argv[1], "-h") == 0 ||
                       strcmp(argv[1], "--help") == 0;

        fprintf(is_help ? stdout : stderr, "usage: gather\n");
        return process_end("gather", is_help ? 0 : 2);
    }
    return process_end("gather", aloop_main(amain, NULL));
}
