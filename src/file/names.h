/* The names of a directory, collected on a thread. */

#ifndef ALOOP_FILE_NAMES_H
#define ALOOP_FILE_NAMES_H

#include "aloop/dir.h"
#include "os/sys_file.h"

struct aloop__name {
    size_t offset; /* In `bytes`. */
    uint64_t inode;
    aloop_file_type type;
};

/* Memory from the default allocator. */
struct aloop__names {
    struct aloop__name *items;
    size_t count;
    size_t capacity;
    char *bytes; /* The names, each with a zero. */
    size_t size;
    size_t bytes_capacity;
};

/* Opens a directory.  The caller closes it. */
int aloop__names_open(const char *path, struct sys_dir **ret);
/* Adds the next name of the directory, with its type.  Returns 0 at the end. */
int aloop__names_read(struct aloop__names *names, struct sys_dir *dir);
/* Writes names->count entries.  `bytes` is names->bytes, or a copy of it. */
void aloop__names_list(const struct aloop__names *names, const char *bytes,
                       aloop_dir_entry *ret_entries);
/* Forgets the names and keeps the memory. */
void aloop__names_clear(struct aloop__names *names);
/* Frees the memory. */
void aloop__names_free(struct aloop__names *names);

#endif
