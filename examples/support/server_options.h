/* What the command line of the example http_server sets. */

#ifndef EXAMPLES_SERVER_OPTIONS_H
#define EXAMPLES_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct http_server_options {
    const char *host;
    char port[8];
    uint64_t loops;
    uint64_t connections_max; /* Of each loop. */
    uint64_t kept_max;        /* For httpd_options. */
    int64_t grace_ns;
    unsigned flags; /* Of httpd_files_open(). */
    bool is_logging;
    const char *directory;
};

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
int http_server_parse(int argc, char **argv,
                      struct http_server_options *options);

/* Raises the limit of open files to what the connections need.  If the system
 * does not permit that, fewer connections are served simultaneously, so that
 * files can be opened for those. */
void http_server_fit(struct http_server_options *options);

#endif
