/* The table: medians, ratios, and comparisons with the aims. */

#define _GNU_SOURCE /* For open_memstream(). */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spread {
    double low; /* First quartile. */
    double median;
    double high;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static struct spread spread_of(double *values, int count)
{
    struct spread ret = {-1, -1, -1};

    if (count == 0)
        return ret;
    qsort(values, (size_t) count, sizeof *values, by_size);
    ret.low = values[count / 4];
    ret.median = count % 2 == 1
                     ? values[count / 2]
                     : (values[count / 2 - 1] + values[count / 2]) / 2;
    ret.high = values[count - 1 - count / 4];
    return ret;
}

static struct spread value_spread(const struct row *row, enum peer peer)
{
    double values[ROUNDS_MAX];

    memcpy(values, row->values[peer], sizeof values);
    return spread_of(values, row->count[peer]);
}

static struct spread ratio_spread(const struct row *row, enum peer over,
                                  enum peer under)
{
    double ratios[ROUNDS_MAX];
    int count = row->count[over] < row->count[under] ? row->count[over]
                                                     : row->count[under];

    for (int i = 0; i < count; i++) {
        if (row->values[under][i] <= 0)
            return spread_of(ratios, 0);
        ratios[i] = row->values[over][i] / row->values[under][i];
    }
    return spread_of(ratios, count);
}

/* The rows with aims, which are printed again at the end. */
static struct {
    char *text;
    size_t size;
} aimed;

static void print_titles(void)
{
    printf("%-38s %9s %9s  %-19s %9s %6s %9s %6s %9s %6s  %s\n", "", "by hand",
           "libaloop", "ratio", "libuv", "ratio", "libev", "ratio", "libevent",
           "ratio", "aim");
}

void table_head(void)
{
    printf("CPU time; by hand, libaloop, libuv, libev and libevent run "
           "alternately on one\nprocessor.  Medians; the middle half of the "
           "rounds is in brackets.  Ratios are\nto the work by hand.\n\n");
    print_titles();
}

void row_add(struct row *row, enum peer peer, double value)
{
    if (value >= 0 && row->count[peer] < ROUNDS_MAX)
        row->values[peer][row->count[peer]++] = value;
}

double row_value(const struct row *row, enum peer peer)
{
    return value_spread(row, peer).median;
}

double row_ratio(const struct row *row, enum peer over, enum peer under)
{
    return ratio_spread(row, over, under).median;
}

static void print_value(FILE *file, const struct row *row, enum peer peer)
{
    double value = row_value(row, peer);

    if (value < 0)
        fprintf(file, " %9s", "-");
    else
        fprintf(file, " %9.*f", row->digits, value);
}

static void print_ratio(FILE *file, const struct row *row)
{
    struct spread ratio = ratio_spread(row, ALOOP, HAND);
    struct spread value = value_spread(row, ALOOP);
    char text[48] = "";

    if (ratio.median >= 0)
        snprintf(text, sizeof text, "%.3f (%.2f-%.2f)", ratio.median, ratio.low,
                 ratio.high);
    else if (value.median >= 0 && row->count[ALOOP] > 1)
        snprintf(text, sizeof text, "      (%.*f-%.*f)", row->digits, value.low,
                 row->digits, value.high);
    fprintf(file, "  %-19s", text);
}

/* Returns what is compared with the limit. */
static double aimed_value(const struct row *row)
{
    if (row->aim == AIM_RATIO)
        return row_ratio(row, ALOOP, HAND);
    if (row->aim == AIM_UV)
        return row_ratio(row, ALOOP, UV);
    return row_value(row, ALOOP);
}

static void print_row(FILE *file, const struct row *row)
{
    double got = aimed_value(row);

    fprintf(file, "%-38s", row->work);
    print_value(file, row, HAND);
    print_value(file, row, ALOOP);
    print_ratio(file, row);
    for (enum peer peer = UV; peer < PEERS; peer++) {
        double ratio = row_ratio(row, peer, HAND);

        print_value(file, row, peer);
        if (ratio < 0)
            fprintf(file, " %6s", "");
        else
            fprintf(file, " %6.2f", ratio);
    }
    if (row->aim != AIM_NONE && got >= 0)
        fprintf(file, "  <= %.*f%s%s", row->aim == AIM_RATIO ? 2 : 0,
                row->limit, row->aim == AIM_UV ? " libuv" : "",
                got <= row->limit ? "" : "  missed");
    fprintf(file, "\n");
}

/* Adds a row to the last table. */
static void keep(const struct row *row)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&line, &size);

    fail_if(file == NULL, "open_memstream");
    print_row(file, row);
    fclose(file);
    aimed.text = realloc(aimed.text, aimed.size + size + 1);
    fail_if(aimed.text == NULL, "realloc");
    memcpy(aimed.text + aimed.size, line, size + 1);
    aimed.size += size;
    free(line);
}

void row_print(struct bench *bench, const struct row *row)
{
    double got = aimed_value(row);

    print_row(stdout, row);
    fflush(stdout);
    if (row->aim == AIM_NONE || got < 0)
        return;
    bench->missed += got > row->limit;
    keep(row);
}

void table_end(const struct bench *bench)
{
    if (aimed.text != NULL) {
        printf("\nThe rows with aims:\n");
        print_titles();
        fputs(aimed.text, stdout);
    }
    printf("\n%d aims missed\n", bench->missed);
    free(aimed.text);
    aimed.text = NULL;
}

bool is_wanted(const struct bench *bench, const char *work)
{
    return bench->only == NULL || strstr(work, bench->only) != NULL;
}
