/* The threads of the test's own process. */

#ifndef THREADS_H
#define THREADS_H

#include <dirent.h>
#include <stddef.h>

/* Returns the number of threads of this process, or 0 if the system does not
 * list them. */
static inline int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    if (tasks == NULL)
        return 0;
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count;
}

#endif
