/* A C program that loads C++ while its tasks run.  Exceptions that a task
 * handles must still belong to this task.
 *
 *     usage: plugin PLUGIN [first | thread]
 *
 * The plugin is loaded by the first task, before there are tasks (first), or
 * after the loop was moved to another thread (thread). */

#include <aloop.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef int rethrow_fn(void (*pause)(void *arg), void *arg, int number);

static rethrow_fn *rethrow;
static const char *plugin;
static void *handle;  /* Stays open. */
static bool is_moved; /* Moves the loop to another thread. */

static int load(void)
{
    void *symbol = NULL;

    handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    if (handle != NULL)
        symbol = dlsym(handle, "rethrow");
    if (symbol == NULL) {
        puts(dlerror());
        return -1;
    }
    memcpy(&rethrow, &symbol, sizeof rethrow);
    return 0;
}

enum { COUNT = 4 };

static struct job {
    aloop *loop;
    aloop_future *task;
    int number;
} jobs[COUNT];

/* Overwrites the stack area in which later calls have their variables. */
static __attribute__((noinline)) void fill_stack(void)
{
    volatile char bytes[4096];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0x5a;
}

static void pause_task(void *arg)
{
    struct job *job = arg;

    (void) aloop_await(aloop_sleep(job->loop, ALOOP_MS(5 * job->number)));
}

/* All tasks have begun and waited before the C++ code is loaded. */
static ssize_t task(aloop *loop, void *arg)
{
    struct job *job = arg;

    fill_stack();
    if (rethrow == NULL && (is_moved || job->number > 1))
        (void) aloop_yield(loop);
    if (rethrow == NULL && load() < 0)
        return ALOOP_EINVAL;
    return rethrow(pause_task, job, job->number);
}

static void *await_all(void *arg)
{
    int *failed = arg;

    for (int i = 0; i < COUNT; i++)
        if (aloop_await(jobs[i].task) != i + 1) {
            printf("task %d got the exception of another one\n", i + 1);
            *failed = 1;
        }
    return NULL;
}

int main(int argc, char **argv)
{
    aloop *loop = aloop_new(NULL);
    const char *when = argc > 2 ? argv[2] : "";
    pthread_t thread;
    int failed = 0;

    if (argc < 2)
        return 2;
    plugin = argv[1];
    is_moved = strcmp(when, "thread") == 0;
    if (strcmp(when, "first") == 0 && load() < 0)
        return 1;
    for (int i = 0; i < COUNT; i++) {
        jobs[i].loop = loop;
        jobs[i].number = i + 1;
        jobs[i].task = aloop_spawn(loop, task, &jobs[i]);
    }
    if (!is_moved)
        (void) await_all(&failed);
    else if (aloop_step(loop, 0) < 0 || rethrow != NULL ||
             pthread_create(&thread, NULL, await_all, &failed) != 0 ||
             pthread_join(thread, NULL) != 0)
        return 1;
    return failed | aloop_free(loop);
}
