/* A C program that loads C++ while its tasks run: the exceptions that they
 * handle belong to the tasks all the same. */

#include <aloop.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef int rethrow_fn(void (*pause)(void *arg), void *arg, int number);

static rethrow_fn *rethrow;
static const char *plugin;

static int load(void)
{
    void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    void *symbol = handle == NULL ? NULL : dlsym(handle, "rethrow");

    if (symbol == NULL) {
        puts(dlerror());
        return -1;
    }
    memcpy(&rethrow, &symbol, sizeof rethrow);
    return 0;
}

struct job {
    aloop *loop;
    int number;
};

static void pause_task(void *arg)
{
    struct job *job = arg;

    (void) aloop_await(aloop_sleep(job->loop, ALOOP_MS(5 * job->number)));
}

/* All tasks have begun, and waited, before there is any C++. */
static ssize_t task(aloop *loop, void *arg)
{
    struct job *job = arg;

    if (rethrow == NULL && job->number > 1)
        (void) aloop_yield(loop);
    if (rethrow == NULL && load() < 0)
        return ALOOP_EINVAL;
    return rethrow(pause_task, job, job->number);
}

int main(int argc, char **argv)
{
    enum { COUNT = 4 };
    aloop *loop = aloop_new(NULL);
    struct job jobs[COUNT];
    aloop_future *tasks[COUNT];
    int failed = 0;

    if (argc < 2)
        return 2;
    plugin = argv[1];
    if (argc > 2 && load() < 0)
        return 1;
    for (int i = 0; i < COUNT; i++) {
        jobs[i].loop = loop;
        jobs[i].number = i + 1;
        tasks[i] = aloop_spawn(loop, task, &jobs[i]);
    }
    for (int i = 0; i < COUNT; i++)
        if (aloop_await(tasks[i]) != i + 1) {
            printf("task %d got the exception of another one\n", i + 1);
            failed = 1;
        }
    return failed | aloop_free(loop);
}
