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
    const struct dirent *entry;
    int count = 0;

    if (tasks == NULL)
        return 0;
    while ((entry = readdir(tasks)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

#endif
