/* Files that stay open: a table with one place for each hash of a name. */

#define _XOPEN_SOURCE 700 /* POSIX.1-2008, with st_mtim. */
#define _DARWIN_C_SOURCE

#include "httpd_kept.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct httpd_kept {
    aloop *loop;
    aloop_timer *timer; /* Runs while there are files. */
    size_t max;
    struct httpd_kept_file *files[]; /* `max` of them. */
};

static const int64_t kept_ns = ALOOP_SEC(1);

/* Removes the file from the table, and closes it unless it is in use. */
static void drop(struct httpd_kept_file **place)
{
    struct httpd_kept_file *file = *place;

    *place = NULL;
    file->is_dropped = true;
    file->users++;
    httpd_kept_release(file);
}

/* Drops what is too old, so that nothing that was removed keeps its space on
 * the disk. */
static void kept_expire(aloop_timer *timer, void *arg)
{
    struct httpd_kept *kept = arg;
    int64_t now_ns = aloop_now(kept->loop), next_ns = INT64_MAX;

    for (size_t i = 0; i < kept->max; i++) {
        struct httpd_kept_file **place = &kept->files[i];

        if (*place != NULL && (*place)->until_ns <= now_ns)
            drop(place);
        if (*place != NULL && (*place)->until_ns < next_ns)
            next_ns = (*place)->until_ns;
    }
    /* Without memory the files stay until the next one is added. */
    if (next_ns < INT64_MAX)
        (void) aloop_timer_restart_at(timer, next_ns);
}

struct httpd_kept *httpd_kept_new(aloop *loop, size_t max)
{
    struct httpd_kept *kept =
        calloc(1, sizeof *kept + max * sizeof kept->files[0]);

    if (kept == NULL)
        return NULL;
    kept->loop = loop;
    kept->max = max;
    kept->timer = aloop_timer_new(loop, kept_expire, kept);
    if (kept->timer == NULL) {
        free(kept);
        return NULL;
    }
    aloop_timer_unref(kept->timer);
    return kept;
}

/* FNV-1a. */
static struct httpd_kept_file **place_for(struct httpd_kept *kept,
                                          const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char) *name) * 16777619u;
    return &kept->files[hash % kept->max];
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Any change but that of the time of access.  A rename or a removal of the file
 * changes the second time; the number of links shows it, too, on a file system
 * whose clock is coarse. */
static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_nlink == b->st_nlink &&
           a->st_mode == b->st_mode &&
#ifdef __APPLE__ /* They have other names. */
           is_same_time(&a->st_mtimespec, &b->st_mtimespec) &&
           is_same_time(&a->st_ctimespec, &b->st_ctimespec);
#else
           is_same_time(&a->st_mtim, &b->st_mtim) &&
           is_same_time(&a->st_ctim, &b->st_ctim);
#endif
}

struct httpd_kept_file *httpd_kept_find(struct httpd_kept *kept,
                                        const void *root, const char *name)
{
    struct httpd_kept_file **place, *file;
    struct stat stat;

    if (kept == NULL)
        return NULL;
    place = place_for(kept, name);
    file = *place;
    if (file == NULL || file->root != root || strcmp(file->name, name) != 0)
        return NULL;
    if (file->until_ns <= aloop_now(kept->loop) || fstat(file->fd, &stat) < 0 ||
        !is_unchanged(&file->stat, &stat)) {
        drop(place);
        return NULL;
    }
    file->users++;
    return file;
}

struct httpd_kept_file *httpd_kept_add(struct httpd_kept *kept,
                                       const void *root, const char *name,
                                       int fd, const struct stat *stat)
{
    size_t size = strlen(name) + 1;
    struct httpd_kept_file **place, *file;

    if (kept == NULL)
        return NULL;
    place = place_for(kept, name);
    if (*place != NULL && (*place)->users > 0)
        return NULL;
    if (!aloop_timer_is_active(kept->timer) &&
        aloop_timer_restart(kept->timer, kept_ns) < 0)
        return NULL;
    file = malloc(sizeof *file + size);
    if (file == NULL)
        return NULL;
    *file =
        (struct httpd_kept_file){.fd = fd,
                                 .stat = *stat,
                                 .root = root,
                                 .name = (char *) (file + 1),
                                 .until_ns = aloop_now(kept->loop) + kept_ns,
                                 .users = 1};
    memcpy(file->name, name, size);
    if (*place != NULL)
        drop(place);
    *place = file;
    return file;
}

void httpd_kept_release(struct httpd_kept_file *file)
{
    if (--file->users > 0 || !file->is_dropped)
        return;
    close(file->fd);
    free(file);
}

void httpd_kept_clear(struct httpd_kept *kept)
{
    for (size_t i = 0; kept != NULL && i < kept->max; i++)
        if (kept->files[i] != NULL)
            drop(&kept->files[i]);
}

void httpd_kept_free(struct httpd_kept *kept)
{
    if (kept == NULL)
        return;
    httpd_kept_clear(kept);
    aloop_timer_close(kept->timer);
    free(kept);
}
