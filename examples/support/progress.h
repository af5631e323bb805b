/* Progress lines, which are drawn again and again in the same place of a
 * terminal.
 *
 * If the output is not a terminal, these functions print nothing. */

#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out;
    FILE *drawing; /* The present drawing in memory, or NULL. */
    char *text;    /* What it contains, when it is closed. */
    size_t size;
    bool is_live;     /* `out` is a terminal that can move the cursor. */
    bool is_drawn;    /* There are progress lines below the cursor. */
    unsigned lines;   /* Number of lines in the present drawing. */
    size_t left_out;  /* Lines of it that did not fit the screen. */
    unsigned columns; /* Of the terminal, when the drawing began. */
    unsigned rows;
    unsigned frame; /* Number of drawings. */
};

void progress_init(struct progress *progress, FILE *out);

/* A drawing consists of progress_begin(), any number of progress_line(), and
 * progress_end(), which writes it in one piece.  If some lines do not fit the
 * screen, the last line shows how many are missing.  Without memory, nothing is
 * drawn. */
void progress_begin(struct progress *progress);
/* A long label is shortened in the middle.  `total` is -1 if it is unknown. */
void progress_line(struct progress *progress, const char *label,
                   uint64_t received, int64_t total);
void progress_end(struct progress *progress);

/* Removes the lines from the screen, so that other text can be printed. */
void progress_clear(struct progress *progress);

#endif
