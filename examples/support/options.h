/* What the examples' command lines have in common. */

#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether --help stands among the leading options; getopt() knows short ones
 * only. */
bool option_help(int argc, char **argv);

/* Whether `text` is a decimal number from `min` to `max`; *ret is written only
 * then.  `what` names it in the line that is printed otherwise. */
bool option_number(const char *what, const char *text, uint64_t min,
                   uint64_t max, uint64_t *ret);

/* The same for seconds ("30", "0.5"), from 1 ms to a day. */
bool option_seconds(const char *what, const char *text, int64_t *ret_ns);

#endif
