/* Samples of the resources in use at each rest, and the check that they do not
 * grow. */

#include "soak.h"

enum { SAMPLES_MAX = 4096, PER_LINE = 12 };

/* Limits for the slopes of the second half.  A leak in an operation exceeds
 * them a hundredfold: there are thousands of operations in a second, and an
 * object has 32 bytes or more.  Without a leak the slope is below 1 KiB/s,
 * which comes from the heap of the C library. */
static const double rss_kib_max = 8, library_kib_max = 8, fds_max = 0.05;
static const double judged_s = 25; /* A shorter half is still warming up. */

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

/* Returns the slope of the line that fits the samples from `first` on best
 * (least squares). */
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

/* A soak that is too short has no slopes, because its memory is still warming
 * up.  It has a limit of its own. */
static bool judge_sample(const struct sample *last)
{
    double most = samples[0].figures[DESCRIPTORS];

    printf(", descriptors %.0f [bar: at most %.0f descriptors, all given "
           "back]\n",
           last->figures[DESCRIPTORS], most);
    return last->figures[DESCRIPTORS] <= most;
}

static bool judge_slopes(size_t half, const struct sample *last)
{
    double rss = slope(half, RSS_KIB);
    double library = slope(half, LIBRARY_KIB);
    double fds = slope(half, DESCRIPTORS);

    if (stress_memory_is_plain())
        printf(", slope %+.1f KiB/s", rss);
    else
        rss = 0; /* It includes the memory of a checker. */
    printf(", the library's %+.1f KiB/s, descriptors %.0f, slope %+.2f/s "
           "[bar: %.0f KiB/s, %.2f descriptors/s, all given back]\n",
           library, last->figures[DESCRIPTORS], fds, rss_kib_max, fds_max);
    return rss <= rss_kib_max && library <= library_kib_max && fds <= fds_max;
}

bool soak_samples_judge(double seconds, bool is_whole)
{
    size_t half = sample_count / 2;
    uint64_t operations = 0;
    const struct sample *last;

    for (int i = 0; i < SOAK_KINDS; i++)
        operations += soak.counts[i];
    printf("  at rest, KiB of memory / of the library's / descriptors:\n");
    print_samples();
    if (sample_count == 0)
        return false;
    last = &samples[sample_count - 1];
    printf("soak: %.0f s, %llu operations, RSS %.1f MB", seconds,
           (unsigned long long) operations, last->figures[RSS_KIB] / 1024);
    if (!is_whole || last->at_s - samples[half].at_s < judged_s)
        return judge_sample(last);
    return judge_slopes(half, last);
}
