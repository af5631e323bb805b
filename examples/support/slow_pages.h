/* Three slow pages, for programs that show how pages are fetched. */

#ifndef EXAMPLES_SLOW_PAGES_H
#define EXAMPLES_SLOW_PAGES_H

#include "httpd.h"

enum { SLOW_PAGES = 3 };

/* Returns the path of page `index`, "/one" to "/three". */
const char *slow_pages_path(size_t index);

/* Serves the pages on 127.0.0.1, at a free port, until httpd_stop().  Each page
 * takes one second, in twenty pieces.  Returns 0, or the error of
 * httpd_start(). */
int slow_pages_start(aloop *loop, struct httpd **ret_httpd);

#endif
