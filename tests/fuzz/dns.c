/* Replies of name servers: what examples/support/dns.c accepts must be a reply
 * to the question that was asked.
 *
 * The first byte selects the type of address, and whether the header and the
 * question come before the rest of the input, which are then right. */

#include "fuzz.h"

#include <string.h>

#include "../../examples/support/dns.h"

enum { SIZE_MAX_INPUT = 4096 };

static void check_answer(const struct dns_answer *answer, unsigned type)
{
    FUZZ_CHECK(answer->count > 0 && answer->count <= DNS_ADDRESSES_MAX);
    for (size_t i = 0; i < answer->count; i++)
        FUZZ_CHECK(aloop_address_family(&answer->addresses[i]) ==
                   (type == DNS_A ? ALOOP_FAMILY_IPV4 : ALOOP_FAMILY_IPV6));
}

/* Whether the identifier and the question are those that were sent. */
static void check_reply(const struct dns_question *question,
                        const unsigned char *reply, size_t size)
{
    FUZZ_CHECK(size >= 12 && memcmp(reply, question->bytes, 2) == 0);
    FUZZ_CHECK((reply[2] & 0x80) != 0 && reply[4] == 0 && reply[5] == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char reply[SIZE_MAX_INPUT + DNS_QUESTION_SIZE];
    struct dns_answer answer, before;
    struct dns_question question;
    size_t used = 0;
    unsigned type;
    int error;

    if (size == 0 || size > SIZE_MAX_INPUT)
        return 0;
    type = (data[0] & 1) != 0 ? DNS_A : DNS_AAAA;
    FUZZ_CHECK(dns_ask("Name.Example", type, 0x1234, &question) == 0);
    if ((data[0] & 2) != 0) {
        memcpy(reply, question.bytes, used = question.size);
        reply[2] = 0x81;
        reply[7] = data[0] >> 2;
    }
    memcpy(reply + used, data + 1, size - 1);
    used += size - 1;
    memset(&answer, 0x55, sizeof answer);
    before = answer;
    error = dns_read(&question, reply, used, &answer);
    if (error != DNS_EOTHER)
        check_reply(&question, reply, used);
    if (error == 0)
        check_answer(&answer, type);
    else
        FUZZ_CHECK(error <= DNS_EOTHER && error >= DNS_EEMPTY &&
                   memcmp(&answer, &before, sizeof answer) == 0);
    return 0;
}
