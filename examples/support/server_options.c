#define _POSIX_C_SOURCE 200809L

#include "server_options.h"

#include <aloop.h>

#include <stdio.h>
#include <unistd.h>

#include "httpd_files.h"
#include "options.h"
#include "process.h"

enum {
    LOOPS_MAX = 256,
    SPARE_DESCRIPTORS = 16,    /* Of each loop, besides its connections. */
    KEPT_MAX = 64,             /* Files of each loop that stay open. */
    FILES_MIN = 1024,          /* Of each loop, so that files stay open. */
    CONNECTION_DESCRIPTORS = 2 /* Its socket, and the file that is sent. */
};

static const char usage[] =
    "usage: http_server [-H HOST] [-p PORT] [-j LOOPS] [-c CONNECTIONS]\n"
    "                   [-g SECONDS] [-dlL] [DIRECTORY]\n"
    "  -H HOST         numeric address to listen on (default: 127.0.0.1)\n"
    "  -p PORT         port to listen on; 0 is any free port (default: "
    "8080)\n"
    "  -j LOOPS        number of loops; 0 is one for each processor "
    "(default: 1)\n"
    "  -c CONNECTIONS  connections that each loop serves (default: 10000)\n"
    "  -g SECONDS      time that requests have to end at the end (default: "
    "10)\n"
    "  -d              list directories that have no index.html\n"
    "  -l              print a line for each request\n"
    "  -L              follow symbolic links that lead out of DIRECTORY\n"
    "Serves the files of DIRECTORY (default: the present one).\n";

int http_server_parse(int argc, char **argv,
                      struct http_server_options *options)
{
    bool is_valid = true, is_help = option_help(argc, argv);
    uint64_t port = 8080;
    int option;

    *options = (struct http_server_options){
        .host = "127.0.0.1",
        .loops = 1,
        .connections_max = 10000,
        .kept_max = KEPT_MAX,
        .grace_ns = ALOOP_SEC(10),
        .directory = ".",
    };
    while (is_valid && !is_help &&
           (option = getopt(argc, argv, "H:p:j:c:g:dhlL")) != -1) {
        if (option == 'h')
            is_help = true;
        else if (option == 'H')
            options->host = optarg;
        else if (option == 'd')
            options->flags |= HTTPD_LIST;
        else if (option == 'l')
            options->is_logging = true;
        else if (option == 'L')
            options->flags |= HTTPD_FOLLOW;
        else
            is_valid =
                option == 'p' ? option_number("-p", optarg, 0, 65535, &port)
                : option == 'j'
                    ? option_number("-j", optarg, 0, LOOPS_MAX, &options->loops)
                : option == 'c' ? option_number("-c", optarg, 1, 1000000,
                                                &options->connections_max)
                : option == 'g'
                    ? option_seconds("-g", optarg, &options->grace_ns)
                    : false;
    }
    if (is_help || !is_valid || argc - optind > 1) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    if (options->loops == 0)
        options->loops = process_processors();
    if (optind < argc)
        options->directory = argv[optind];
    snprintf(options->port, sizeof options->port, "%u", (unsigned) port);
    return 0;
}

void http_server_fit(struct http_server_options *options)
{
    uint64_t each = CONNECTION_DESCRIPTORS * options->loops;
    uint64_t spare = (SPARE_DESCRIPTORS + KEPT_MAX) * options->loops, permitted;
    uint64_t needed = each * options->connections_max + spare;
    uint64_t files = process_allow_files(needed);

    if (files == 0)
        return;
    if (files / options->loops < FILES_MIN) {
        options->kept_max = 0;
        spare = SPARE_DESCRIPTORS * options->loops;
    }
    permitted = files > spare ? (files - spare) / each : 0;
    if (permitted == 0)
        permitted = 1;
    if (permitted >= options->connections_max)
        return;
    options->connections_max = permitted;
    fprintf(stderr,
            "http_server: the limit of %llu open files permits only %llu "
            "connections for each loop\n",
            (unsigned long long) files, (unsigned long long) permitted);
}
