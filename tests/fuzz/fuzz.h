/* Common parts of the fuzz targets: the entry point, reading the input, and
 * checks.
 *
 * A target consists of one or more files that define LLVMFuzzerTestOneInput().
 * It is linked twice: with replay.c to a program that runs kept inputs, and
 * with libFuzzer.  Each execution starts with fresh state and frees
 * everything. */

#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of an input.  Zeros follow its end, so that a loop that reads a 0 as
 * its end terminates. */
struct fuzz_input {
    const uint8_t *next, *end;
};

static inline unsigned fuzz_byte(struct fuzz_input *input)
{
    return input->next < input->end ? *input->next++ : 0;
}

/* Returns 0 to bound - 1.  `bound` is 1 to 256. */
static inline unsigned fuzz_below(struct fuzz_input *input, unsigned bound)
{
    return fuzz_byte(input) % bound;
}

static inline size_t fuzz_left(const struct fuzz_input *input)
{
    return (size_t) (input->end - input->next);
}

/* Prints the condition that does not hold, and aborts.  The fuzzer then keeps
 * the input. */
_Noreturn static inline void fuzz_fail(const char *file, int line,
                                       const char *condition)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

#define FUZZ_CHECK(condition) \
    do { \
        if (!(condition)) \
            fuzz_fail(__FILE__, __LINE__, #condition); \
    } while (0)

/* Returns whether steps are printed: FUZZ_TRACE is set, or replay has
 * --trace. */
static inline bool fuzz_traces(void)
{
    static int traces = -1;

    if (traces < 0)
        traces = getenv("FUZZ_TRACE") != NULL;
    return traces > 0;
}

#endif
