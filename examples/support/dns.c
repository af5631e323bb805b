#include "dns.h"

#include <string.h>

/* The header: the identifier, the flags, and four counts. */
enum {
    HEADER_SIZE = 12,
    FLAG_REPLY = 0x8000,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSION = 0x0100, /* The server asks others. */
    MASK_OPCODE = 0x7800,
    MASK_RESULT = 0x000f,
    RESULT_NO_NAME = 3
};
enum { LABEL_MAX = 63, CLASS_INTERNET = 1, TYPE_ALIAS = 5, ALIASES_MAX = 16 };

/* Asking. */

static void put_number(struct dns_question *question, unsigned number)
{
    question->bytes[question->size++] = (unsigned char) (number >> 8);
    question->bytes[question->size++] = (unsigned char) (number & 255);
}

/* A dot at the end has no meaning.  One byte of the room is for the end. */
static int put_name(struct dns_question *question, const char *name)
{
    size_t total = 1;

    do {
        size_t length = strcspn(name, ".");

        total += length + 1;
        if (length == 0 || length > LABEL_MAX || total > DNS_NAME_SIZE)
            return ALOOP_EINVAL;
        question->bytes[question->size++] = (unsigned char) length;
        memcpy(question->bytes + question->size, name, length);
        question->size += length;
        name += length + (name[length] == '.');
    } while (*name != '\0');
    question->bytes[question->size++] = 0;
    return 0;
}

int dns_ask(const char *name, unsigned type, unsigned id,
            struct dns_question *ret)
{
    ret->size = 0;
    put_number(ret, id);
    put_number(ret, FLAG_RECURSION);
    put_number(ret, 1); /* One question, and nothing else. */
    put_number(ret, 0);
    put_number(ret, 0);
    put_number(ret, 0);
    if (put_name(ret, name) < 0)
        return ALOOP_EINVAL;
    put_number(ret, type);
    put_number(ret, CLASS_INTERNET);
    return 0;
}

/* Reading. */

struct reader {
    const unsigned char *bytes;
    size_t size;
    size_t at;
    bool is_wrong; /* Something was malformed.  It stays so. */
};

/* A name in the form of a message: lengths and labels, in lower case, with the
 * empty label at the end. */
struct name {
    unsigned char bytes[DNS_NAME_SIZE];
    size_t size;
};

static unsigned take_byte(struct reader *reader)
{
    if (reader->at < reader->size)
        return reader->bytes[reader->at++];
    reader->is_wrong = true;
    return 0;
}

static unsigned take_number(struct reader *reader)
{
    unsigned high = take_byte(reader);

    return high << 8 | take_byte(reader);
}

static const unsigned char *take_bytes(struct reader *reader, size_t size)
{
    const unsigned char *bytes = reader->bytes + reader->at;

    if (size > reader->size - reader->at) {
        reader->is_wrong = true;
        return NULL;
    }
    reader->at += size;
    return bytes;
}

/* Appends a label.  `length` is at most LABEL_MAX. */
static void take_label(struct reader *reader, size_t length, struct name *name)
{
    const unsigned char *label = take_bytes(reader, length);

    if (label == NULL || length + 1 > sizeof name->bytes - name->size) {
        reader->is_wrong = true;
        return;
    }
    name->bytes[name->size++] = (unsigned char) length;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = label[i];

        if (c >= 'A' && c <= 'Z')
            c = (unsigned char) (c + ('a' - 'A'));
        name->bytes[name->size++] = c;
    }
}

/* Each pointer leads to a place before the previous one, so that they end. */
static void take_name(struct reader *reader, struct name *ret)
{
    size_t first = reader->at, after = 0;
    unsigned length = 1;

    ret->size = 0;
    while (length > 0 && !reader->is_wrong) {
        length = take_byte(reader);
        if (length <= LABEL_MAX) {
            take_label(reader, length, ret);
        } else if (length >> 6 == 3) {
            size_t target = (length & LABEL_MAX) << 8 | take_byte(reader);

            if (after == 0)
                after = reader->at;
            reader->is_wrong |= target >= first;
            first = reader->at = target;
        } else {
            reader->is_wrong = true;
        }
    }
    if (after > 0)
        reader->at = after;
}

static bool is_same(const struct name *a, const struct name *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Returns whether the header and the question are those of a reply to
 * `question`. */
static bool is_reply(struct reader *reader, const struct dns_question *question,
                     unsigned *ret_flags, unsigned *ret_records,
                     struct name *ret_name)
{
    struct reader asked = {question->bytes, question->size, HEADER_SIZE, false};
    unsigned id = take_number(reader), count;
    struct name name;

    *ret_flags = take_number(reader);
    count = take_number(reader);
    *ret_records = take_number(reader);
    take_bytes(reader, 4);
    take_name(reader, ret_name);
    take_name(&asked, &name);
    return id == ((unsigned) question->bytes[0] << 8 | question->bytes[1]) &&
           (*ret_flags & FLAG_REPLY) != 0 && (*ret_flags & MASK_OPCODE) == 0 &&
           count == 1 && is_same(ret_name, &name) &&
           take_number(reader) == take_number(&asked) &&
           take_number(reader) == take_number(&asked) && !reader->is_wrong;
}

struct record {
    struct name name;
    unsigned type;
    unsigned class;
    struct reader data;
};

/* The data of an alias may point to any place before it in the message. */
static void take_record(struct reader *reader, struct record *ret)
{
    size_t size;

    take_name(reader, &ret->name);
    ret->type = take_number(reader);
    ret->class = take_number(reader);
    take_bytes(reader, 4); /* How long it is valid. */
    size = take_number(reader);
    ret->data = *reader;
    if (take_bytes(reader, size) != NULL)
        ret->data.size = reader->at;
}

static void add_address(struct dns_answer *answer, const struct record *record)
{
    size_t size = record->type == DNS_A ? 4 : 16;
    aloop_address *address = &answer->addresses[answer->count];

    if (answer->count == DNS_ADDRESSES_MAX)
        return;
    *address = (aloop_address){.family = record->type == DNS_A
                                             ? ALOOP_FAMILY_IPV4
                                             : ALOOP_FAMILY_IPV6};
    memcpy(address->host, record->data.bytes + record->data.at, size);
    answer->count++;
}

/* Adds the addresses of `name`.  If it is an alias, writes its target to
 * `name`, and returns true. */
static bool read_records(struct reader reader, unsigned count, unsigned type,
                         struct name *name, struct dns_answer *answer)
{
    struct name target;
    bool is_alias = false;

    for (unsigned i = 0; i < count; i++) {
        struct record record;

        take_record(&reader, &record);
        if (record.class != CLASS_INTERNET || !is_same(&record.name, name))
            continue;
        if (record.type == type)
            add_address(answer, &record);
        if (record.type == TYPE_ALIAS && !is_alias) {
            take_name(&record.data, &target);
            is_alias = true;
        }
    }
    if (is_alias)
        *name = target;
    return is_alias;
}

/* Checks everything before anything is used. */
static bool are_valid(struct reader reader, unsigned count, unsigned type)
{
    for (unsigned i = 0; i < count && !reader.is_wrong; i++) {
        struct record record;
        struct name target;
        size_t size;

        take_record(&reader, &record);
        if (reader.is_wrong)
            return false;
        size = record.data.size - record.data.at;
        if (record.type == type && record.class == CLASS_INTERNET &&
            size != (type == DNS_A ? 4 : 16))
            return false;
        if (record.type == TYPE_ALIAS) {
            take_name(&record.data, &target);
            if (record.data.is_wrong || record.data.at != record.data.size)
                return false;
        }
    }
    return !reader.is_wrong;
}

int dns_read(const struct dns_question *question, const unsigned char *bytes,
             size_t size, struct dns_answer *ret)
{
    struct reader reader = {bytes, size, 0, false};
    const unsigned char *end = question->bytes + question->size;
    unsigned flags, count, type = (unsigned) end[-4] << 8 | end[-3];
    struct dns_answer answer = {.count = 0};
    struct name name;

    if (!is_reply(&reader, question, &flags, &count, &name))
        return DNS_EOTHER;
    if ((flags & FLAG_TRUNCATED) != 0)
        return DNS_ETRUNCATED;
    if (!are_valid(reader, count, type))
        return DNS_EOTHER;
    if ((flags & MASK_RESULT) != 0)
        return (flags & MASK_RESULT) == RESULT_NO_NAME ? DNS_ENAME
                                                       : DNS_ESERVER;
    for (int i = 0; i < ALIASES_MAX && answer.count == 0; i++)
        if (!read_records(reader, count, type, &name, &answer))
            break;
    if (answer.count == 0)
        return DNS_EEMPTY;
    *ret = answer;
    return 0;
}

const char *dns_strerror(ssize_t error)
{
    static const char *const texts[] = {
        "the server sent other replies", "there is no such name",
        "the server could not answer", "the answer is too large for UDP",
        "the name has no such address"};

    if (error <= DNS_EOTHER && error >= DNS_EEMPTY)
        return texts[DNS_EOTHER - error];
    return aloop_strerror(error);
}
