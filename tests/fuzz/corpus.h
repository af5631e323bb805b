/* Kept inputs of a fuzz target, and the files that hold them.
 *
 * An archive (NAME.corpus) has an input a line: two hexadecimal digits a byte,
 * or "-" for no bytes.  Its lines are sorted, none occurs twice, and those that
 * begin with "#" are comments.  Any other file is one input, byte for byte. */

#ifndef CORPUS_H
#define CORPUS_H

#include <stddef.h>
#include <stdint.h>

struct corpus_input {
    char *name; /* Where it is from: FILE, or ARCHIVE:LINE. */
    uint8_t *bytes; /* A block of just that size, for checkers. */
    size_t size;
};

struct corpus {
    struct corpus_input *inputs;
    size_t count;
};

/* Each of these ends the process where it fails. */

/* Adds an archive, one line of it (ARCHIVE:LINE), another file, or all files of
 * a directory. */
void corpus_load(struct corpus *corpus, const char *path);

/* Sorts as archives are, and drops inputs that occur twice. */
void corpus_sort(struct corpus *corpus);

/* Writes an archive of what corpus_sort() has sorted. */
void corpus_pack(const struct corpus *corpus, const char *path,
                 const char *target);

/* Writes each input into a file of the directory, which is made if need be. */
void corpus_unpack(const struct corpus *corpus, const char *directory);

void corpus_free(struct corpus *corpus);

#endif
