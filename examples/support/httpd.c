/* The server: its connections, and the way from a request to its handler. */

#define _POSIX_C_SOURCE 200809L

#include "httpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpd_connection.h"

void httpd_limit(struct httpd_connection *connection, int64_t ns)
{
    /* Without memory the previous limit stays, which is stricter. */
    (void) aloop_deadline_restart(connection->deadline,
                                  ns > 0 ? ns : INT64_MAX);
}
