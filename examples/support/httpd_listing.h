/* Listings of directories for the HTTP server, as pages. */

#ifndef EXAMPLES_HTTPD_LISTING_H
#define EXAMPLES_HTTPD_LISTING_H

#include <stdbool.h>
#include <sys/types.h>

#include "httpd_text.h"

/* Appends the page of a directory to `page`, and closes `fd`.  May wait for the
 * disk.  Returns 0, or a negated errno: -ENOTDIR for another file, and then
 * -EACCES if listings are not allowed. */
ssize_t httpd_listing_write(int fd, const char *title, bool is_allowed,
                            struct httpd_text *page);

#endif
