/* Kept inputs of a fuzz target, and their files.
 *
 * An archive (NAME.corpus) has one input per line: two hexadecimal digits per
 * byte, or "-" for an empty input.  Its lines are sorted and unique, and lines
 * that begin with "#" are comments.  Any other file is one input, byte for
 * byte. */

#ifndef CORPUS_H
#define CORPUS_H

#include <stddef.h>
#include <stdint.h>

struct corpus_input {
    char *name;     /* Its origin: FILE, or ARCHIVE:LINE. */
    uint8_t *bytes; /* A block of exactly `size` bytes, for checkers. */
    size_t size;
};

struct corpus {
    struct corpus_input *inputs;
    size_t count;
};

/* Each of these functions ends the process if it fails. */

/* Adds the inputs of an archive, one line of it (ARCHIVE:LINE), another file,
 * or all files of a directory. */
void corpus_load(struct corpus *corpus, const char *path);

/* Sorts inputs in the order of an archive, and removes duplicates. */
void corpus_sort(struct corpus *corpus);

/* Writes inputs that corpus_sort() has sorted to an archive. */
void corpus_pack(const struct corpus *corpus, const char *path,
                 const char *target);

/* Writes each input to a file in `directory`, which is created if necessary. */
void corpus_unpack(const struct corpus *corpus, const char *directory);

void corpus_free(struct corpus *corpus);

#endif
