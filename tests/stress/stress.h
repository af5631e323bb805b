/* What the stress programs share: one way to fail, the memory that the library
 * is given, and what the process has of the kernel. */

#ifndef STRESS_H
#define STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "aloop.h"
#include "os/tools.h"

/* Ends the program as failed where `claim` does not hold; in a forked child
 * too, where nothing else of the program must run. */
#define CHECK(claim)                                                        \
    do {                                                                    \
        if (!(claim)) {                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #claim);     \
            _exit(1);                                                       \
        }                                                                   \
    } while (0)

/* Bytes that the library holds of what stress_resize gave it. */
extern _Atomic size_t stress_bytes;

/* An aloop_options.resize that counts. */
void *stress_resize(void *context, void *old, size_t old_size, size_t size);

/* Whether the memory of this process is its own affair: the sanitizers and
 * valgrind keep what was freed, an emulator what it translated. */
bool stress_memory_is_plain(void);

/* Open descriptors of this process; what looking takes is not counted. */
unsigned stress_descriptors(void);

/* KiB of memory that are in use, as exactly as the system tells; where it
 * tells only the most there ever was, that. */
double stress_rss_kib(void);

/* For threads beside the loop.  Shorter after a signal; that is as good. */
void stress_pause_us(long us);

/* A stream of numbers from a seed; each user has a state of his own. */
uint64_t stress_random(uint64_t *state, uint64_t bound);

/* Byte `i` of what is sent on the connection `key`. */
static inline unsigned char stress_byte(uint64_t key, size_t i)
{
    return (unsigned char) (key * 31 + i * 7 + i / 251);
}

#endif
