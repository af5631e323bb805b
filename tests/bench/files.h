/* Reads of files, which each peer implements: of 4 KiB, and of whole files. */

#ifndef FILES_H
#define FILES_H

#include <stddef.h>
#include <stdint.h>

#include "bench.h"

enum { READ_SIZE = 4096 };

/* What a peer has to do: `count` reads of READ_SIZE bytes, one at a time.  The
 * buffer is aligned to 64 bytes. */
struct reads {
    const char *path;
    void *buffer;
    size_t count;
    size_t step; /* Between two reads. */
};

/* Returns where a read begins.  Only cached files are read at the start, after
 * which the kernel would read ahead. */
static inline int64_t read_offset(const struct reads *reads, size_t i)
{
    return (int64_t) ((i + 1) * reads->step);
}

/* Whole files are opened, asked for their size, read and closed each time. */
typedef void (*files_peer)(const struct reads *reads);

void files_uv(const struct reads *reads);
void files_uv_whole(const struct reads *reads);

/* files.c: creates a file for mkstemp(), of a multiple of READ_SIZE bytes. */
void make_file(char *path, size_t size);
/* Returns the name of the file system of the working directory. */
const char *file_system(void);

#endif
