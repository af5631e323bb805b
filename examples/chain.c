/* A function that waits is called like any other function.
 *
 *     usage: chain
 *
 * Prints, one second apart:
 *     Coroutine started
 *     Coroutine finished
 *     42
 */

#include <aloop.h>

#include <stdio.h>
#include <string.h>

#include "support/process.h"

/* Any function may suspend the task that calls it. */
static ssize_t compute(aloop *loop, int *ret_answer)
{
    ssize_t status;

    puts("Coroutine started");
    status = aloop_await(aloop_sleep(loop, ALOOP_SEC(1)));
    if (status < 0)
        return status;
    puts("Coroutine finished");
    *ret_answer = 42;
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    int answer;
    ssize_t status = compute(loop, &answer);

    (void) arg;
    if (status < 0)
        return status;
    printf("%d\n", answer);
    return 0;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};

    if (argc > 1) {
        bool is_help = strcmp(argv[1], "-h") == 0 ||
                       strcmp(argv[1], "--help") == 0;

        fprintf(is_help ? stdout : stderr, "usage: chain\n");
        return process_end("chain", is_help ? 0 : 2);
    }
    return process_end("chain", aloop_main_with(amain, NULL, &options));
}
