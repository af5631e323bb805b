/* Functions on other threads, which each peer implements. */

#ifndef WORK_H
#define WORK_H

#include <stddef.h>

#include "bench.h"

enum { WORK_THREADS = 4 };

/* Gives `count` empty functions to threads, `batch` at a time: the next ones
 * when the loop has the results of these. */
typedef void (*work_peer)(size_t count, size_t batch);

extern const work_peer work_hand, work_aloop, work_uv;

#endif
