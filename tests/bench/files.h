/* Reads of 4 KiB that the page cache has, which each peer implements. */

#ifndef FILES_H
#define FILES_H

#include <stddef.h>

#include "bench.h"

enum { READ_SIZE = 4096 };

/* Reads the first bytes of the file `count` times, one at a time.  The buffer
 * is aligned to 64 bytes. */
typedef void (*files_peer)(const char *path, void *buffer, size_t count);

void files_uv(const char *path, void *buffer, size_t count);

#endif
