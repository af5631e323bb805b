/* Progress lines of the examples, on a terminal: the contents of its screen
 * after each drawing, and after a resize. */

#define _XOPEN_SOURCE 700

/* Included first, because it selects what system headers declare. */
#include "../../examples/support/progress.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "support/patient.h"

enum { ROWS_MAX = 60, WIDTH_MAX = 200 };

static struct {
    int master;
    FILE *out;
    struct progress progress;
    unsigned rows, columns;
    char screen[ROWS_MAX][WIDTH_MAX + 1];
    unsigned row, column;
    bool can_wrap;
} f;

static void clear_row(unsigned row)
{
    memset(f.screen[row], ' ', WIDTH_MAX);
    f.screen[row][WIDTH_MAX] = '\0';
}

static void set_size(unsigned rows, unsigned columns)
{
    struct winsize size = {.ws_row = (unsigned short) rows,
                           .ws_col = (unsigned short) columns};

    f.rows = rows;
    f.columns = columns;
    assert_int_equal(ioctl(f.master, TIOCSWINSZ, &size), 0);
}

static int set_up(void **state)
{
    int slave;

    (void) state;
    memset(&f, 0, sizeof f);
    f.can_wrap = true;
    for (unsigned i = 0; i < ROWS_MAX; i++)
        clear_row(i);
    f.master = posix_openpt(O_RDWR | O_NOCTTY);
    if (f.master < 0 || grantpt(f.master) < 0 || unlockpt(f.master) < 0)
        return -1;
    slave = open(ptsname(f.master), O_RDWR | O_NOCTTY);
    f.out = slave < 0 ? NULL : fdopen(slave, "w");
    if (f.out == NULL || setenv("TERM", "xterm", 1) < 0)
        return -1;
    set_size(24, 80);
    progress_init(&f.progress, f.out);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    fclose(f.out);
    return close(f.master);
}

static void next_row(void)
{
    if (++f.row < f.rows)
        return;
    f.row = f.rows - 1;
    memmove(f.screen[0], f.screen[1], sizeof f.screen[0] * f.row);
    clear_row(f.row);
}

static void put_char(char c)
{
    if (f.column == f.columns) {
        if (f.can_wrap) {
            f.column = 0;
            next_row();
        } else {
            f.column--;
        }
    }
    f.screen[f.row][f.column++] = c;
}

/* Executes the escape sequence at `text`.  Returns its size. */
static size_t escape(const char *text)
{
    unsigned count = 0;
    size_t size = strcspn(text, "AJhl") + 1;

    if (text[size - 1] == 'A') {
        sscanf(text, "\033[%uA", &count);
        f.row -= count < f.row ? count : f.row;
    } else if (text[size - 1] == 'J') {
        memset(f.screen[f.row] + f.column, ' ', WIDTH_MAX - f.column);
        for (unsigned i = f.row + 1; i < ROWS_MAX; i++)
            clear_row(i);
    } else {
        assert_memory_equal(text, "\033[?7", 4);
        f.can_wrap = text[size - 1] == 'h';
    }
    return size;
}

/* Prints to the terminal.  stdio would lose the text if a signal interrupted
 * it. */
static void print(const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t written = patient_write(fileno(f.out), text, size);

        assert_true(written > 0);
        text += written;
        size -= (size_t) written;
    }
}

/* Displays the output so far.  The terminal translates a newline into a
 * carriage return and a newline. */
static void show(void)
{
    static char text[65536];
    ssize_t size;

    print("\a"); /* Marks the end, because a terminal reports none. */
    for (;;) {
        size = patient_read(f.master, text, sizeof text - 1);
        assert_true(size > 0);
        text[size] = '\0';
        for (const char *at = text; *at != '\0'; at++) {
            if (*at == '\a')
                return;
            if (*at == '\033')
                at += escape(at) - 1;
            else if (*at == '\r')
                f.column = 0;
            else if (*at == '\n')
                next_row();
            else
                put_char(*at);
        }
    }
}

static void draw(unsigned lines)
{
    char label[200];

    progress_begin(&f.progress);
    for (unsigned i = 0; i < lines; i++) {
        snprintf(label, sizeof label, "http://host/%u/%0100u/end", i, i);
        progress_line(&f.progress, label, 50 + i, i % 2 == 0 ? 100 : -1);
    }
    progress_end(&f.progress);
    show();
}

static size_t length_of(unsigned row)
{
    size_t length = WIDTH_MAX;

    while (length > 0 && f.screen[row][length - 1] == ' ')
        length--;
    return length;
}

static void assert_blank_from(unsigned row)
{
    for (; row < ROWS_MAX; row++)
        assert_int_equal(length_of(row), 0);
}

static void a_line_is_as_wide_as_the_terminal(void **state)
{
    static const unsigned widths[] = {200, 132, 80, 60, 40, 30, 18, 10, 2, 1};

    (void) state;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        set_size(24, widths[i]);
        draw(3);
        for (unsigned row = 0; row < 3; row++)
            assert_int_equal(length_of(row), widths[i] - 1);
        assert_blank_from(3);
        assert_true(f.row == 0 && f.column == 0 && f.can_wrap);
    }
}

static void a_bar_fills_the_space_after_the_label(void **state)
{
    (void) state;
    set_size(24, 132);
    draw(1);
    assert_non_null(strstr(f.screen[0], "http://host/0/"));
    assert_non_null(strstr(f.screen[0], "/end [==="));
    assert_non_null(strstr(f.screen[0], ">  "));
    assert_non_null(strstr(f.screen[0], "]  50%        50 B"));
    assert_non_null(strstr(f.screen[0], "..."));
    progress_begin(&f.progress);
    progress_line(&f.progress, "short", 7, 7);
    progress_line(&f.progress, "e\033[Jmpty", 0, 0);
    progress_end(&f.progress);
    show();
    assert_memory_equal(f.screen[0], "short  ", 7);
    assert_non_null(strstr(f.screen[0], "==] 100%         7 B"));
    assert_memory_equal(f.screen[1], "e?[Jmpty  ", 10);
    assert_non_null(strstr(f.screen[1], "==]              0 B"));
}

static void lines_that_do_not_fit_are_counted(void **state)
{
    (void) state;
    draw(100);
    assert_int_equal(length_of(21), 79);
    assert_memory_equal(f.screen[22], "+78 more ", 9);
    assert_blank_from(23);
    draw(22);
    assert_int_equal(length_of(21), 79);
    assert_blank_from(22);
    set_size(2, 80);
    draw(5);
    assert_memory_equal(f.screen[0], "+5 more ", 8);
    progress_clear(&f.progress);
    show();
    assert_blank_from(0);
}

/* Simulates a terminal that rewraps its text on a resize: a row that is too
 * long takes several rows, and the cursor stays with its text. */
static void rewrap(unsigned columns)
{
    char before[ROWS_MAX][WIDTH_MAX + 1];
    unsigned row = 0, cursor = f.row;

    memcpy(before, f.screen, sizeof before);
    for (unsigned i = 0; i < ROWS_MAX; i++)
        clear_row(i);
    for (unsigned i = 0; i < f.rows && row < ROWS_MAX; i++) {
        size_t length = WIDTH_MAX;

        if (i == cursor)
            f.row = row;
        while (length > 0 && before[i][length - 1] == ' ')
            length--;
        for (size_t at = 0; at == 0 || at < length; at += columns) {
            size_t part = length - at < columns ? length - at : columns;

            if (row < ROWS_MAX)
                memcpy(f.screen[row++], before[i] + at, part);
        }
    }
}

static void cut(unsigned columns)
{
    for (unsigned i = 0; i < ROWS_MAX; i++)
        memset(f.screen[i] + columns, ' ', WIDTH_MAX - columns);
}

static void a_resize_leaves_no_remains(void **state)
{
    static void (*const resizes[])(unsigned columns) = {rewrap, cut};
    static const unsigned widths[] = {120, 60, 100, 33, 150};

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        print("before\n");
        for (size_t j = 0; j < sizeof widths / sizeof widths[0]; j++) {
            draw(4);
            resizes[i](widths[j]);
            set_size(24, widths[j]);
        }
        progress_clear(&f.progress);
        print("after\n");
        show();
        assert_memory_equal(f.screen[2 * i], "before ", 7);
        assert_memory_equal(f.screen[2 * i + 1], "after ", 6);
        assert_blank_from((unsigned) (2 * i + 2));
    }
}

static void nothing_is_drawn_without_a_terminal(void **state)
{
    FILE *file = tmpfile();
    struct progress progress;

    (void) state;
    assert_non_null(file);
    progress_init(&progress, file);
    progress_begin(&progress);
    progress_line(&progress, "label", 1, 2);
    progress_end(&progress);
    progress_clear(&progress);
    assert_int_equal(ftell(file), 0);
    fclose(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_as_wide_as_the_terminal),
        TEST(a_bar_fills_the_space_after_the_label),
        TEST(lines_that_do_not_fit_are_counted),
        TEST(a_resize_leaves_no_remains),
        TEST(nothing_is_drawn_without_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
