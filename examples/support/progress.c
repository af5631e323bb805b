/* Progress lines, which are drawn again and again in the same place of a
 * terminal.
 *
 * The escape sequences are plain ANSI.  Between two drawings the cursor is on
 * the first progress line, and there are only progress lines below it.  A
 * resize may move, cut or wrap the lines, but clearing everything from the
 * cursor on still removes them all.  While lines are drawn, the terminal does
 * not wrap them at the last column, because it may have become narrower since
 * it was measured. */

#define _POSIX_C_SOURCE 200809L

#include "progress.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LABEL_MAX = 60, BAR_MIN = 8, COLUMNS_MAX = 1000 };

/* Clears the line of the cursor and those below it. */
static const char erase_text[] = "\r\033[J";

static void measure(struct progress *progress)
{
    progress->columns = 80;
    progress->rows = 24;
#ifdef TIOCGWINSZ
    struct winsize size;

    if (ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 &&
        size.ws_col > 0 && size.ws_row > 0) {
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

    *progress = (struct progress){.out = out};
    progress->is_live = isatty(fileno(out)) && terminal != NULL &&
                        strcmp(terminal, "dumb") != 0;
}

/* Writes all of the text.  stdio is not used, because it loses what it has
 * buffered if a signal interrupts the write to a terminal. */
static void write_text(struct progress *progress, const char *text, size_t size)
{
    int fd = fileno(progress->out);

    fflush(progress->out); /* What was printed before the text. */
    while (size > 0) {
        ssize_t written = write(fd, text, size);

        if (written < 0 && errno == EAGAIN)
            (void) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            text += written;
            size -= (size_t) written;
        }
    }
}

void progress_begin(struct progress *progress)
{
    if (!progress->is_live)
        return;
    progress->drawing = open_memstream(&progress->text, &progress->size);
    if (progress->drawing == NULL)
        return;
    measure(progress);
    if (progress->is_drawn)
        fputs(erase_text, progress->drawing);
    fputs("\033[?7l", progress->drawing);
    progress->lines = 0;
    progress->left_out = 0;
    progress->frame++;
}

/* Writes "[======>       ]", or a moving mark if `total` is unknown. */
static void put_bar(struct progress *progress, unsigned width,
                    uint64_t received, int64_t total)
{
    unsigned start = 0, end = 0;

    if (total < 0) {
        start = progress->frame % (width - 2);
        end = start + 3;
    } else if (total == 0 || received >= (uint64_t) total) {
        end = width;
    } else {
        end = (unsigned) ((double) received / (double) total * width) + 1;
    }
    fputs(" [", progress->drawing);
    for (unsigned i = 0; i < width; i++) {
        int c = i < start || i >= end                         ? ' '
                : total < 0 && i == start                     ? '<'
                : i + 1 == end && received < (uint64_t) total ? '>'
                                                              : '=';

        putc(c, progress->drawing);
    }
    putc(']', progress->drawing);
}

/* Replaces characters that could move the cursor. */
static void put_text(struct progress *progress, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        putc(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?',
             progress->drawing);
}

/* Writes exactly `width` columns. */
static void put_label(struct progress *progress, const char *label,
                      size_t width)
{
    size_t size = strlen(label), tail = width > 7 ? (width - 3) / 2 : 0;

    if (size <= width) {
        put_text(progress, label, size);
        fprintf(progress->drawing, "%*s", (int) (width - size), "");
    } else if (tail == 0) {
        put_text(progress, label, width);
    } else {
        put_text(progress, label, width - 3 - tail);
        fputs("...", progress->drawing);
        put_text(progress, label + size - tail, tail);
    }
}

/* Begins a line if another one fits the screen; returns whether it does. */
static bool begin_line(struct progress *progress, unsigned rows)
{
    if (progress->lines + 1 >= rows)
        return false;
    if (progress->lines++ > 0)
        putc('\n', progress->drawing);
    return true;
}

void progress_line(struct progress *progress, const char *label,
                   uint64_t received, int64_t total)
{
    char tail[40];
    unsigned room, wanted, bar = 0;
    int size;

    if (progress->drawing == NULL)
        return;
    if (!begin_line(progress, progress->rows - 1)) { /* One for "more". */
        progress->left_out++;
        return;
    }
    if (total > 0)
        size = snprintf(tail, sizeof tail, " %3.0f%% %9llu B",
                        (double) received * 100 / (double) total,
                        (unsigned long long) received);
    else
        size = snprintf(tail, sizeof tail, "      %9llu B",
                        (unsigned long long) received);
    room = progress->columns - 1;
    if (size > 0 && (unsigned) size < room)
        room -= (unsigned) size;
    else
        tail[0] = '\0';
    wanted = room / 2 < LABEL_MAX ? room / 2 : LABEL_MAX;
    if (room - wanted >= BAR_MIN + 3)
        bar = room - wanted - 3;
    put_label(progress, label, bar > 0 ? wanted : room);
    if (bar > 0)
        put_bar(progress, bar, received, total);
    fputs(tail, progress->drawing);
}

void progress_end(struct progress *progress)
{
    FILE *drawing = progress->drawing;
    bool is_complete;

    if (drawing == NULL)
        return;
    if (progress->left_out > 0 && begin_line(progress, progress->rows))
        fprintf(drawing, "+%zu more", progress->left_out);
    fputs("\r\033[?7h", drawing);
    if (progress->lines > 1)
        fprintf(drawing, "\033[%uA", progress->lines - 1);
    is_complete = ferror(drawing) == 0;
    progress->drawing = NULL;
    if (fclose(drawing) == 0 && is_complete) {
        write_text(progress, progress->text, progress->size);
        progress->is_drawn = progress->lines > 0;
    }
    free(progress->text);
}

void progress_clear(struct progress *progress)
{
    if (progress->is_drawn)
        write_text(progress, erase_text, sizeof erase_text - 1);
    progress->is_drawn = false;
}
