/* Lines on a terminal that are drawn again and again in the same place.
 *
 * Where the output is no terminal, nothing here prints anything. */

#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out;
    bool is_live;     /* `out` is a terminal that knows how to move up. */
    bool is_drawn;    /* There are lines of ours below the cursor. */
    unsigned lines;   /* Of the present drawing. */
    size_t left_out;  /* Lines of it that did not fit the screen. */
    unsigned columns; /* Of the terminal, when this drawing began. */
    unsigned rows;
    unsigned frame; /* Counts drawings. */
};

/* Also makes a terminal's output leave in one piece for each drawing. */
void progress_init(struct progress *progress, FILE *out);

/* A drawing is a begin, any number of lines, and an end.  Where not all lines
 * fit the screen, the last one tells how many more there are. */
void progress_begin(struct progress *progress);
/* A label that is too long is shortened in the middle.  `total` is -1 where it
 * is unknown. */
void progress_line(struct progress *progress, const char *label,
                   uint64_t received, int64_t total);
void progress_end(struct progress *progress);

/* Takes the lines off the screen: something else is about to be printed. */
void progress_clear(struct progress *progress);

#endif
