/* Command lines of the examples: numbers and seconds are compared with a parser
 * of this file, and the parsers of the examples, which are compiled into this
 * file, are called.
 *
 * The first byte selects the test.  The rest is a text, or a sequence of
 * arguments, each ended by a zero byte. */

#define _POSIX_C_SOURCE 200809L

#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "aloop.h"

/* Output is discarded, and the server gets no loop. */
static FILE *sink;

static aloop *no_loop(void)
{
    return NULL;
}

#undef stdout
#undef stderr
#define stdout sink
#define stderr sink
#define aloop_new(options) no_loop()

int client_main(int argc, char **argv);
int scrape_main(int argc, char **argv);
int server_main(int argc, char **argv);

#include "../../examples/support/options.c"

#define amain client_amain
#define main client_main
#define parse_options client_options
#define run client_run
#include "../../examples/echo_client.c"
#undef amain
#undef main
#undef parse_options
#undef run

#define main server_main
#include "../../examples/echo_server.c"
#undef main

#define amain scrape_amain
#define main scrape_main
#define parse_options scrape_options
#define run scrape_run
#include "../../examples/scrape.c"

enum { TEXT_SIZE = 512, ARGUMENTS_MAX = 16 };

/* Returns whether the text consists of digits and its value does not exceed
 * `max`. */
static bool is_number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t) (*text - '0');

        if (*text < '0' || *text > '9' || value > max / 10 ||
            value * 10 > max - digit)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

static void check_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t expected = 0, value = 12345;
    bool is_good = is_number(text, max, &expected) && expected >= min;

    FUZZ_CHECK(option_number("x", text, min, max, &value) == is_good);
    FUZZ_CHECK(value == (is_good ? expected : 12345));
}

/* Returns whether the text is a plain number such as "30" or "0.5".  *ret_ns is
 * exact if there are at most nine places. */
static bool is_plain(const char *text, int64_t *ret_ns)
{
    size_t whole = strspn(text, "0123456789"), places = 0;
    int64_t ns = 0;

    if (whole == 0 || whole > 6)
        return false;
    if (text[whole] == '.')
        places = strspn(text + whole + 1, "0123456789");
    if (text[whole + (text[whole] == '.') + places] != '\0' || places > 9)
        return false;
    for (size_t i = 0; i < whole; i++)
        ns = ns * 10 + (text[i] - '0');
    for (size_t i = 0; i < 9; i++)
        ns = ns * 10 + (i < places ? text[whole + 1 + i] - '0' : 0);
    *ret_ns = ns;
    return true;
}

static void check_seconds(const char *text)
{
    static const int64_t min_ns = 1000000, max_ns = 86400 * 1000000000LL;
    int64_t ns = -1, expected_ns;
    bool is_good = option_seconds("x", text, &ns);

    FUZZ_CHECK(is_good ? ns >= min_ns && ns <= max_ns : ns == -1);
    if (!is_plain(text, &expected_ns))
        return;
    FUZZ_CHECK(is_good == (expected_ns >= min_ns && expected_ns <= max_ns));
    FUZZ_CHECK(!is_good || (ns - expected_ns <= 1 && expected_ns - ns <= 1));
}

static void check_client(int argc, char **argv)
{
    struct client client = {.count = 1000, .deadline_ns = ALOOP_SEC(5)};
    int status = client_options(argc, argv, &client);
    bool is_named = client.words != NULL;

    FUZZ_CHECK(status == 0 || status == 2 || status == -1);
    if (status != 0)
        return;
    FUZZ_CHECK(argc - optind >= 2);
    FUZZ_CHECK(client.host == argv[optind]);
    FUZZ_CHECK(client.port == argv[optind + 1]);
    FUZZ_CHECK(client.count >= 1 && client.count <= 1000000000);
    FUZZ_CHECK(client.size >= 1 && client.size <= 64 * 1024 * 1024);
    FUZZ_CHECK(client.deadline_ns >= 1000000);
    FUZZ_CHECK(is_named == (argc - optind > 2));
    for (uint64_t i = 0; is_named && i < client.count; i++)
        FUZZ_CHECK(strlen(client.words[i]) < client.size);
}

static void check_scrape(int argc, char **argv)
{
    struct scrape scrape = {.deadline_ns = ALOOP_SEC(30)};
    int status = scrape_options(argc, argv, &scrape);

    FUZZ_CHECK(status == 0 || status == 2 || status == -1);
    if (status != 0)
        return;
    FUZZ_CHECK(scrape.limit <= 10000 && scrape.deadline_ns >= 1000000);
    FUZZ_CHECK(scrape.body_max >= UINT64_C(1) << 20 &&
               scrape.body_max <= UINT64_C(1) << 36);
}

/* Without a loop the server fails with 1 at the latest. */
static void check_server(int argc, char **argv)
{
    int status = server_main(argc, argv);

    FUZZ_CHECK(status >= 0 && status <= 2);
    FUZZ_CHECK(status == 1 ? optind == argc : true);
}

/* Resets getopt(), in the way of the system. */
static void reset_getopt(void)
{
#if defined __linux__
    optind = 0;
#else
    extern int optreset; /* Hidden in POSIX-only headers. */

    optreset = 1;
    optind = 1;
#endif
}

/* Splits the arguments in `text`, of `size` bytes including the zero at its
 * end. */
static void check_arguments(void (*check)(int argc, char **argv), char *text,
                            size_t size)
{
    static char name[] = "x";
    char *argv[ARGUMENTS_MAX + 1] = {name};
    int argc = 1;

    for (size_t at = 0; at < size && argc < ARGUMENTS_MAX; argc++) {
        argv[argc] = text + at;
        at += strlen(text + at) + 1;
    }
    opterr = 0;
    reset_getopt();
    check(argc, argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_SIZE];

    if (sink == NULL)
        sink = fopen("/dev/null", "w");
    if (sink == NULL || size == 0 || size >= sizeof text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 7) {
    case 0:
        check_number(text, 0, UINT64_MAX);
        break;
    case 1:
        check_number(text, 1, 10000);
        break;
    case 2:
        check_number(text, 0, 65535);
        break;
    case 3:
        check_seconds(text);
        break;
    case 4:
        check_arguments(check_client, text, size);
        break;
    case 5:
        check_arguments(check_scrape, text, size);
        break;
    default:
        check_arguments(check_server, text, size);
        break;
    }
    return 0;
}
