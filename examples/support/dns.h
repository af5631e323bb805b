/* Messages of DNS (RFC 1035): a question for addresses, and the reply to it. */

#ifndef EXAMPLES_DNS_H
#define EXAMPLES_DNS_H

#include <aloop.h>

enum {
    DNS_A = 1,     /* The type of IPv4 addresses. */
    DNS_AAAA = 28, /* The type of IPv6 addresses. */
    DNS_NAME_SIZE = 255,
    DNS_QUESTION_SIZE = 12 + DNS_NAME_SIZE + 4,
    DNS_REPLY_SIZE = 4096,
    DNS_ADDRESSES_MAX = 32
};

/* Errors, in addition to those of the library, which are above them. */
enum {
    DNS_EOTHER = -6000,     /* Not the reply to this question. */
    DNS_ENAME = -6001,      /* There is no such name. */
    DNS_ESERVER = -6002,    /* The server could not answer. */
    DNS_ETRUNCATED = -6003, /* The answer is too large for a datagram. */
    DNS_EEMPTY = -6004      /* The name has no address of this type. */
};

struct dns_question {
    unsigned char bytes[DNS_QUESTION_SIZE];
    size_t size;
};

struct dns_answer {
    aloop_address addresses[DNS_ADDRESSES_MAX]; /* Without ports. */
    size_t count;
};

/* Makes the question for addresses of `name`.  Returns 0, or ALOOP_EINVAL if
 * `name` is not a name of labels of 1 to 63 characters. */
int dns_ask(const char *name, unsigned type, unsigned id,
            struct dns_question *ret);

/* Reads what was received.  Returns 0, or an error and leaves *ret unchanged.
 *
 * Anything that is not a well-formed reply to exactly this question is
 * DNS_EOTHER: it may be late or forged, and the true reply may still arrive.
 * Names are compressed with pointers, which may form circles; a pointer is
 * followed only if it points before everything that was read of the name. */
int dns_read(const struct dns_question *question, const unsigned char *bytes,
             size_t size, struct dns_answer *ret);

/* Returns a short English description of any error, those of the library
 * included. */
const char *dns_strerror(ssize_t error);

#endif
