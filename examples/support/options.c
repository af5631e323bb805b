/* Options of command lines that several examples share. */

#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool option_help(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0)
            return false;
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

bool option_number(const char *what, const char *text, uint64_t min,
                   uint64_t max, uint64_t *ret)
{
    unsigned long long value = 0;
    char *end = NULL;

    errno = 0;
    if (isdigit((unsigned char) text[0])) /* No sign and no space. */
        value = strtoull(text, &end, 10);
    if (end == NULL || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        fprintf(stderr, "%s: \"%s\" is not a number from %llu to %llu\n", what,
                text, (unsigned long long) min, (unsigned long long) max);
        return false;
    }
    *ret = value;
    return true;
}

bool option_seconds(const char *what, const char *text, int64_t *ret_ns)
{
    double value = 0;
    char *end = NULL;

    if (isdigit((unsigned char) text[0]) || text[0] == '.')
        value = strtod(text, &end);
    if (end == NULL || *end != '\0' || !(value >= 0.001 && value <= 86400)) {
        fprintf(stderr, "%s: \"%s\" is not a number from 0.001 to 86400\n",
                what, text);
        return false;
    }
    *ret_ns = (int64_t) (value * 1e9);
    return true;
}

bool option_directory(const char *what, const char *text, const char **ret)
{
    size_t size = strlen(text);

    if (size == 0 || size > 800) {
        fprintf(stderr, "%s: the path has to have 1 to 800 bytes\n", what);
        return false;
    }
    *ret = text;
    return true;
}
