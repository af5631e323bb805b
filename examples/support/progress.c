/* Lines on a terminal that are drawn again and again in the same place.
 *
 * Plain ANSI: the cursor rests below our lines; a drawing goes up by as many as
 * there are, overwrites each and clears what is left.  No line reaches the last
 * column, so none wraps. */

#define _POSIX_C_SOURCE 200809L

#include "progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_MAX = 30, LABEL_MIN = 24, COLUMNS_MAX = 250 };

static void measure(struct progress *progress)
{
    progress->columns = 80;
    progress->rows = 24;
#ifdef TIOCGWINSZ
    struct winsize size;

    if (ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0
        && size.ws_col > 0 && size.ws_row > 0) {
        progress->columns = size.ws_col;
        progress->rows = size.ws_row;
    }
#endif
    if (progress->columns > COLUMNS_MAX)
        progress->columns = COLUMNS_MAX;
}

void progress_init(struct progress *progress, FILE *out)
{
    const char *terminal = getenv("TERM");

    *progress = (struct progress) {.out = out};
    progress->is_live = isatty(fileno(out)) && terminal != NULL
                     && strcmp(terminal, "dumb") != 0;
    if (progress->is_live)
        setvbuf(out, NULL, _IOFBF, BUFSIZ);
}

void progress_begin(struct progress *progress)
{
    if (!progress->is_live)
        return;
    measure(progress);
    if (progress->drawn > 0)
        fprintf(progress->out, "\033[%uA\r", progress->drawn);
    progress->drawn = 0;
    progress->frame++;
}

/* "[======>       ]", or something that moves where the end is unknown. */
static void put_bar(struct progress *progress, unsigned width,
                    uint64_t received, int64_t total)
{
    char bar[BAR_MAX + 1];
    unsigned full;

    memset(bar, ' ', width);
    bar[width] = '\0';
    if (total >= 0) {
        full = total == 0 ? width
                          : (unsigned) ((double) received / (double) total
                                        * (double) width);
        full = full < width ? full : width;
        memset(bar, '=', full);
        if (full < width)
            bar[full] = '>';
    } else {
        memcpy(bar + progress->frame % (width - 2), "<=>", 3);
    }
    fprintf(progress->out, " [%s]", bar);
}

/* Exactly `width` columns; what could move the cursor is left out. */
static void put_label(struct progress *progress, const char *label,
                      unsigned width)
{
    size_t size = strlen(label);

    for (unsigned i = 0; i < width; i++) {
        int c = i < size ? label[i] : ' ';

        putc(c >= ' ' && c <= '~' ? c : '?', progress->out);
    }
}

void progress_line(struct progress *progress, const char *label,
                   uint64_t received, int64_t total)
{
    char tail[40] = "";
    unsigned room, bar = 0;
    int size;

    if (!progress->is_live || progress->drawn + 1 >= progress->rows)
        return;
    if (total > 0)
        size = snprintf(tail, sizeof tail, " %3.0f%% %9llu B",
                        (double) received * 100 / (double) total,
                        (unsigned long long) received);
    else
        size = snprintf(tail, sizeof tail, "      %9llu B",
                        (unsigned long long) received);
    room = progress->columns - 1;
    if (size > 0 && (unsigned) size <= room) {
        room -= (unsigned) size;
        if (room > LABEL_MIN + 3 + 5)
            bar = room - LABEL_MIN - 3 < BAR_MAX ? room - LABEL_MIN - 3
                                                 : BAR_MAX;
    } else {
        tail[0] = '\0';
    }
    put_label(progress, label, bar > 0 ? room - bar - 3 : room);
    if (bar > 0)
        put_bar(progress, bar, received, total);
    fprintf(progress->out, "%s\033[K\n", tail);
    progress->drawn++;
}

void progress_end(struct progress *progress)
{
    if (!progress->is_live)
        return;
    fputs("\033[J", progress->out);
    fflush(progress->out);
}

void progress_clear(struct progress *progress)
{
    if (progress->drawn == 0)
        return;
    progress_begin(progress);
    progress_end(progress);
}
