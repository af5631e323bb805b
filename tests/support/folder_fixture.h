/* A loop on the real system, and an empty folder for each test. */

#ifndef FOLDER_FIXTURE_H
#define FOLDER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aloop.h"
#include "loop/pool.h"

enum { DESCRIPTORS_MAX = 256, JAMS_MAX = 4 };

/* A job that occupies a thread until a test lets it end. */
struct jam {
    struct aloop__job job;
    bool is_done;
};

static struct {
    aloop *loop;
    char folder[256];
    char path[600]; /* The last result of in_folder(). */
    int descriptors;
    int unhandled; /* The last error that the hook got. */
    struct jam jams[JAMS_MAX];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int jammed; /* Threads that a jam occupies. */
    bool is_jammed;
} d = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Returns the path of a name in the folder, until the next call. */
static inline const char *in_folder(const char *name)
{
    snprintf(d.path, sizeof d.path, "%s/%s", d.folder, name);
    return d.path;
}

static inline void folder_unhandled(aloop *loop, int error, const char *what,
                                    void *arg)
{
    (void) loop;
    (void) what;
    (void) arg;
    d.unhandled = error;
}

static inline void open_loop(const aloop_options *options)
{
    aloop_options chosen = {.size = sizeof chosen};

    if (options != NULL)
        chosen = *options;
    chosen.on_unhandled = folder_unhandled;
    d.loop = aloop_new(&chosen);
    assert_non_null(d.loop);
}

static inline int set_up(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void) state;
    d.descriptors = count_descriptors();
    d.unhandled = 0;
    snprintf(d.folder, sizeof d.folder, "%s/aloop.XXXXXX",
             parent == NULL ? "/tmp" : parent);
    if (mkdtemp(d.folder) == NULL)
        return -1;
    open_loop(NULL);
    return 0;
}

/* Frees the loop and makes another one, with these options. */
static inline void reopen_loop(const aloop_options *options)
{
    assert_int_equal(aloop_free(d.loop), 0);
    open_loop(options);
}

/* Runs the loop until the threads have nothing to do. */
static inline void wait_for_threads(void)
{
    struct aloop__pool_figures figures;

    do {
        assert_true(aloop_step(d.loop, ALOOP_MS(1)) >= 0);
        aloop__pool_look(d.loop, LANE_FILE, &figures);
    } while (figures.queued + figures.running > 0);
}

/* Creates a file in the folder. */
static inline void put_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Compares the whole contents of a file in the folder. */
static inline void expect_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "r");
    char *found = malloc(size + 1);

    assert_non_null(file);
    assert_non_null(found);
    assert_int_equal(fread(found, 1, size + 1, file), size);
    assert_memory_equal(found, data, size);
    free(found);
    fclose(file);
}

static inline void jam_work(struct aloop__job *job)
{
    (void) job;
    pthread_mutex_lock(&d.mutex);
    d.jammed++;
    pthread_cond_broadcast(&d.changed);
    while (d.is_jammed)
        pthread_cond_wait(&d.changed, &d.mutex);
    d.jammed--;
    pthread_mutex_unlock(&d.mutex);
}

static inline void jam_done(struct aloop__job *job, int error)
{
    (void) error;
    ((struct jam *) (void *) job)->is_done = true;
}

/* Occupies all threads for files, so that operations are not begun.  The loop
 * must not have more than the default number of them. */
static inline void jam_files(void)
{
    int count = (int) aloop__pool_threads_max(d.loop, LANE_FILE);

    assert_in_range(count, 1, JAMS_MAX);
    d.is_jammed = true;
    for (int i = 0; i < count; i++) {
        d.jams[i] = (struct jam){.job.work = jam_work, .job.done = jam_done};
        assert_int_equal(aloop__pool_submit(d.loop, LANE_FILE, &d.jams[i].job),
                         0);
    }
    assert_true(aloop_step(d.loop, 0) >= 0);
    pthread_mutex_lock(&d.mutex);
    while (d.jammed < count)
        pthread_cond_wait(&d.changed, &d.mutex);
    pthread_mutex_unlock(&d.mutex);
}

static inline void free_files(void)
{
    pthread_mutex_lock(&d.mutex);
    d.is_jammed = false;
    pthread_cond_broadcast(&d.changed);
    pthread_mutex_unlock(&d.mutex);
}

static inline int tear_down(void **state)
{
    DIR *dir = opendir(d.folder);
    struct dirent *entry;

    (void) state;
    free_files(); /* A failed test may not have done it. */
    if (aloop_free(d.loop) < 0 || dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL)
        unlink(in_folder(entry->d_name));
    closedir(dir);
    if (rmdir(d.folder) < 0)
        return -1;
    return count_descriptors() == d.descriptors ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
