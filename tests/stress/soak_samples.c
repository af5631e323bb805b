/* What the process needed at each rest, and whether it grows. */

#include "soak.h"

enum { SAMPLES_MAX = 4096, PER_LINE = 12 };

/* The bars, over the second half.  What is leaked once in an operation is seen
 * a hundred times over: a second has thousands of operations, and one object
 * has 32 bytes or more.  What does not grow shows less than 1 KiB/s, which is
 * the C library's heap finding its shape. */
static const double rss_kib_max = 8, library_kib_max = 8, fds_max = 0.05;
static const double judged_s = 25; /* A shorter half is warming up still. */

enum figure { RSS_KIB, LIBRARY_KIB, DESCRIPTORS, FIGURES };

static struct sample {
    double at_s;
    double figures[FIGURES];
} samples[SAMPLES_MAX];
static size_t sample_count;

void soak_sample(int64_t now_ns)
{
    struct sample *sample = &samples[sample_count];

    if (sample_count == SAMPLES_MAX)
        return;
    sample_count++;
    sample->at_s = (double) now_ns / 1e9;
    sample->figures[RSS_KIB] = stress_rss_kib();
    sample->figures[LIBRARY_KIB] = (double) atomic_load(&stress_bytes) / 1024;
    sample->figures[DESCRIPTORS] = stress_descriptors();
}

/* Of a straight line through the samples from `first` on, by least squares. */
static double slope(size_t first, enum figure figure)
{
    double n = 0, t = 0, y = 0, tt = 0, ty = 0, below;

    for (size_t i = first; i < sample_count; i++) {
        double at = samples[i].at_s - samples[first].at_s;

        n++;
        t += at;
        y += samples[i].figures[figure];
        tt += at * at;
        ty += at * samples[i].figures[figure];
    }
    below = n * tt - t * t;
    return below > 0 ? (n * ty - t * y) / below : 0;
}

static void print_samples(void)
{
    for (size_t i = 0; i < sample_count; i++)
        printf("%s%.0f/%.0f/%.0f%s", i % PER_LINE == 0 ? "  " : " ",
               samples[i].figures[RSS_KIB], samples[i].figures[LIBRARY_KIB],
               samples[i].figures[DESCRIPTORS],
               i % PER_LINE == PER_LINE - 1 || i + 1 == sample_count ? "\n"
                                                                     : "");
}

bool soak_samples_judge(double seconds, bool is_whole)
{
    size_t half = sample_count / 2;
    double rss = slope(half, RSS_KIB);
    double library = slope(half, LIBRARY_KIB);
    double fds = slope(half, DESCRIPTORS);
    uint64_t operations = 0;
    const struct sample *last;

    for (int i = 0; i < SOAK_KINDS; i++)
        operations += soak.counts[i];
    printf("  at rest, KiB of memory / of the library's / descriptors:\n");
    print_samples();
    if (sample_count == 0)
        return false;
    last = &samples[sample_count - 1];
    printf("soak: %.0f s, %llu operations, RSS %.1f MB, slope %+.1f KiB/s, "
           "the library's %+.1f KiB/s, descriptors %.0f, slope %+.2f/s\n",
           seconds, (unsigned long long) operations,
           last->figures[RSS_KIB] / 1024, rss, library,
           last->figures[DESCRIPTORS], fds);
    if (!is_whole || last->at_s - samples[half].at_s < judged_s)
        return last->figures[DESCRIPTORS] <= samples[0].figures[DESCRIPTORS];
    if (!stress_memory_is_plain())
        rss = 0;
    return rss <= rss_kib_max && library <= library_kib_max && fds <= fds_max;
}
