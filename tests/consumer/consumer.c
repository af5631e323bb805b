/* A program that uses an installed library: one task, one sleep, one loop. */

#include <aloop.h>

#include <stdio.h>
#include <string.h>

static ssize_t amain(aloop *loop, void *arg)
{
    int *answer = arg;

    *answer = 42;
    return aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
}

int main(void)
{
    int answer = 0;
    ssize_t status = aloop_main(amain, &answer);

    printf("libaloop %s: %s\n", aloop_version(), aloop_strerror(status));
    return status == 0 && answer == 42 && strcmp(aloop_version(), "0.1.0") == 0
               ? 0
               : 1;
}
