/* The hash function SHA-256 (FIPS 180-4).
 *
 * It is here so that an example needs no library; a program that protects
 * something should use a library that is maintained for that. */

#ifndef EXAMPLES_SHA256_H
#define EXAMPLES_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64 };

struct sha256 {
    uint32_t state[8];
    uint64_t size; /* Bytes so far. */
    unsigned char block[SHA256_BLOCK];
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
/* Writes the hash.  Begin again before other data are added. */
void sha256_end(struct sha256 *hash, unsigned char ret[SHA256_SIZE]);

#endif
