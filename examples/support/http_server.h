/* A small HTTP/1.1 server with three slow pages. */

#ifndef EXAMPLES_HTTP_SERVER_H
#define EXAMPLES_HTTP_SERVER_H

#include <aloop.h>

enum { HTTP_SERVER_PAGES = 3 };

/* Returns the path of page `index`, "/one" to "/three". */
const char *http_server_path(size_t index);

/* Serves the pages on 127.0.0.1, at a free port, until the listener is closed.
 * Each connection has a task.  Each page takes one second, in twenty pieces.
 * Returns 0, or the error of aloop_tcp_listen(). */
int http_server_start(aloop *loop, aloop_listener **ret_listener);

#endif
