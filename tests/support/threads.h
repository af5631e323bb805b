/* The threads of the test's own process. */

#ifndef THREADS_H
#define THREADS_H

#include <dirent.h>
#include <pthread.h>
#include <stddef.h>

/* Returns the number of threads of this process, or 0 if the system does not
 * list them. */
static inline int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    int count = 0;

    if (tasks == NULL)
        return 0;
    while ((entry = readdir(tasks)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static inline void *return_from_thread(void *arg)
{
    return arg;
}

/* The set-up of a group of tests that count threads: a checker may add a thread
 * of its own when the first one starts. */
static inline int start_first_thread(void **state)
{
    pthread_t first;

    (void) state;
    if (pthread_create(&first, NULL, return_from_thread, NULL) != 0)
        return -1;
    return pthread_join(first, NULL);
}

#endif
