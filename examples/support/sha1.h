/* The hash function SHA-1 (FIPS 180-4).
 *
 * WebSocket handshakes need it, and do not rely on it for security: collisions
 * of SHA-1 are known, so it protects nothing. */

#ifndef EXAMPLES_SHA1_H
#define EXAMPLES_SHA1_H

#include <stddef.h>

enum { SHA1_SIZE = 20 };

/* Writes the hash of `size` bytes. */
void sha1(const void *data, size_t size, unsigned char ret[SHA1_SIZE]);

#endif
