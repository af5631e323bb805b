/* Common parts of the stress programs: checks, the allocator for the library,
 * and the resources of the process. */

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

/* Ends the program as failed if `condition` does not hold.  It uses _exit(),
 * because no other code may run in a forked child. */
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

/* Bytes that the library has allocated with stress_resize(). */
extern _Atomic size_t stress_bytes;

/* An aloop_options.resize function that counts. */
void *stress_resize(void *context, void *old, size_t old_size, size_t size);

/* Returns whether the process's memory is used by the program alone.
 * Sanitizers and Valgrind keep freed memory, and an emulator keeps translated
 * code. */
bool stress_memory_is_plain(void);

/* Returns the number of open descriptors of this process. */
unsigned stress_descriptors(void);

/* Returns the memory in use in KiB, as exactly as the system reports it.  This
 * is the peak if the system reports nothing else. */
double stress_rss_kib(void);

/* Pauses a thread other than the loop's.  A signal may end the pause early. */
void stress_pause_us(long us);

/* Returns a number below `bound`.  The sequence depends on the seed in `state`,
 * which each user has for itself. */
uint64_t stress_random(uint64_t *state, uint64_t bound);

/* Returns byte `i` of the data sent on connection `key`. */
static inline unsigned char stress_byte(uint64_t key, size_t i)
{
    return (unsigned char) (key * 31 + i * 7 + i / 251);
}

#endif
