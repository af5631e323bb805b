/* What every fuzz target shares: its entry, its input byte by byte, checks.
 *
 * A target is one file or several that define LLVMFuzzerTestOneInput().  It is
 * linked twice: with replay.c into an ordinary program that runs kept inputs,
 * and with libFuzzer.  Each execution starts afresh and frees all. */

#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input.  Past its end there are zeros, so that whatever
 * asks for 0 more of something ends. */
struct fuzz_input {
    const uint8_t *next, *end;
};

static inline unsigned fuzz_byte(struct fuzz_input *input)
{
    return input->next < input->end ? *input->next++ : 0;
}

/* 0 to bound - 1; bound is 1 to 256. */
static inline unsigned fuzz_below(struct fuzz_input *input, unsigned bound)
{
    return fuzz_byte(input) % bound;
}

static inline size_t fuzz_left(const struct fuzz_input *input)
{
    return (size_t) (input->end - input->next);
}

/* Says what does not hold and ends the process; the input is then kept. */
_Noreturn static inline void fuzz_fail(const char *file, int line,
                                       const char *claim)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
    abort();
}

#define FUZZ_CHECK(claim)                           \
    do {                                            \
        if (!(claim))                               \
            fuzz_fail(__FILE__, __LINE__, #claim);  \
    } while (0)

/* Whether a person reads along: FUZZ_TRACE is set, or replay has --trace. */
static inline bool fuzz_traces(void)
{
    static int traces = -1;

    if (traces < 0)
        traces = getenv("FUZZ_TRACE") != NULL;
    return traces > 0;
}

#endif
