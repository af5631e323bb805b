/* Static files for the HTTP server: types, ranges, conditional requests and
 * listings of directories.
 *
 * Only regular files beneath the root are served.  A symbolic link is followed
 * if it leads to a file beneath the root; all others do not exist for clients,
 * unless HTTPD_FOLLOW is given.  This holds even while names are changed. */

#ifndef EXAMPLES_HTTPD_FILES_H
#define EXAMPLES_HTTPD_FILES_H

#include "httpd.h"

struct httpd_files;

enum {
    HTTPD_FOLLOW = 1, /* Follow symbolic links out of the root. */
    HTTPD_LIST = 2    /* List directories that have no index.html. */
};

/* Opens the directory `root`.  Returns 0, or the error of open(2).  It blocks,
 * so call it before the loop runs. */
int httpd_files_open(const char *root, unsigned flags,
                     struct httpd_files **ret_files);

void httpd_files_close(struct httpd_files *files);

/* Is the handler of a route "GET" whose path ends in "/".  Its `arg` is a
 * struct httpd_files.  What follows the path of the route is the name of the
 * file.
 *
 * The loop is not blocked: what the system has not cached is read or sent on a
 * thread. */
ssize_t httpd_files_serve(struct httpd_request *request, void *arg);

/* Returns the media type of a name, by its extension. */
const char *httpd_type_of(const char *name);

#endif
