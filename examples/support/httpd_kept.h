/* Files that stay open for the next requests, for the HTTP server.
 *
 * Opening and closing a file costs about as much as reading a small one.  A
 * file is kept for one second after its name was looked up.  In this time it is
 * asked at each request whether it has changed: a file that was written,
 * renamed, removed, replaced or given other permissions is opened again by its
 * name.  What happens to the directories above it has an effect after at most a
 * second. */

#ifndef EXAMPLES_HTTPD_KEPT_H
#define EXAMPLES_HTTPD_KEPT_H

#include <aloop.h>

#include <sys/stat.h>

struct httpd_kept;

struct httpd_kept_file {
    int fd; /* Shared: only calls with an offset may use it. */
    struct stat stat;
    /* The rest belongs to httpd_kept.c. */
    const void *root;
    char *name;
    int64_t until_ns;
    unsigned users;
    bool is_dropped; /* It is closed after its last use. */
};

/* Returns a table for at most `max` files, or NULL if out of memory. */
struct httpd_kept *httpd_kept_new(aloop *loop, size_t max);

/* Returns a file that httpd_kept_add() was called for with this root and name,
 * or NULL if there is none, or if it has changed.  `kept` may be NULL.  The
 * caller gives the file back to httpd_kept_release(). */
struct httpd_kept_file *httpd_kept_find(struct httpd_kept *kept,
                                        const void *root, const char *name);

/* Keeps a file, and returns it as httpd_kept_find() does.  Returns NULL if it
 * is not kept: out of memory, or in place of another one that is in use.  Then
 * `fd` stays the caller's.  `kept` may be NULL. */
struct httpd_kept_file *httpd_kept_add(struct httpd_kept *kept,
                                       const void *root, const char *name,
                                       int fd, const struct stat *stat);

void httpd_kept_release(struct httpd_kept_file *file);

/* Keeps no file any longer, so that other descriptors can be opened.  Those in
 * use are closed after their last use.  `kept` may be NULL. */
void httpd_kept_clear(struct httpd_kept *kept);

/* Closes all files.  None may be in use.  NULL is allowed. */
void httpd_kept_free(struct httpd_kept *kept);

#endif
