/* The hash function SHA-1; the names are those of FIPS 180-4. */

#include "sha1.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 64 };

static uint32_t rotate(uint32_t x, int bits)
{
    return x << bits | x >> (32 - bits);
}

/* Prepares the message schedule of one block (6.1.2, step 1). */
static void schedule(const unsigned char block[BLOCK], uint32_t w[80])
{
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t) block[4 * i] << 24 |
               (uint32_t) block[4 * i + 1] << 16 |
               (uint32_t) block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
}

/* Adds one block to the state (6.1.2, steps 2 to 4). */
static void add_block(uint32_t state[5], const unsigned char block[BLOCK])
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc,
                                          0xca62c1d6};
    uint32_t w[80], v[5];

    schedule(block, w);
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint32_t choice = (v[1] & v[2]) ^ (~v[1] & v[3]);
        uint32_t parity = v[1] ^ v[2] ^ v[3];
        uint32_t majority = (v[1] & v[2]) ^ (v[1] & v[3]) ^ (v[2] & v[3]);
        uint32_t f = i < 20 ? choice : i >= 40 && i < 60 ? majority : parity;
        uint32_t next = rotate(v[0], 5) + f + v[4] + constants[i / 20] + w[i];

        memmove(v + 1, v, 4 * sizeof v[0]);
        v[0] = next;
        v[2] = rotate(v[2], 30);
    }
    for (int i = 0; i < 5; i++)
        state[i] += v[i];
}

void sha1(const void *data, size_t size, unsigned char ret[SHA1_SIZE])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                         0xc3d2e1f0};
    const unsigned char *bytes = data;
    unsigned char last[2 * BLOCK] = {0}; /* The rest, and the padding. */
    uint64_t bits = (uint64_t) size * 8;
    size_t rest = size % BLOCK, last_size = rest < 56 ? BLOCK : 2 * BLOCK;

    for (size_t i = 0; i + BLOCK <= size; i += BLOCK)
        add_block(state, bytes + i);
    if (rest > 0)
        memcpy(last, bytes + size - rest, rest);
    last[rest] = 0x80;
    for (size_t i = 0; i < 8; i++)
        last[last_size - 8 + i] = (unsigned char) (bits >> (56 - 8 * i));
    for (size_t i = 0; i < last_size; i += BLOCK)
        add_block(state, last + i);
    for (int i = 0; i < SHA1_SIZE; i++)
        ret[i] = (unsigned char) (state[i / 4] >> (24 - i % 4 * 8));
}
