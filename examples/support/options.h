/* Options of command lines that several examples share. */

#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Returns whether --help is among the leading options.  getopt() supports only
 * short options. */
bool option_help(int argc, char **argv);

/* Parses a decimal number from `min` to `max` and stores it in *ret.  If `text`
 * is not one, prints a message that begins with `what`, and returns false. */
bool option_number(const char *what, const char *text, uint64_t min,
                   uint64_t max, uint64_t *ret);

/* Does the same for seconds ("30", "0.5"), from 1 ms to a day. */
bool option_seconds(const char *what, const char *text, int64_t *ret_ns);

/* Stores the path of a directory in *ret.  If it is empty or has more than 800
 * bytes, prints a message and returns false. */
bool option_directory(const char *what, const char *text, const char **ret);

#endif
