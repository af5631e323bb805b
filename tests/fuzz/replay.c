/* Runs a fuzz target on kept inputs, sorted by their bytes; corpus.h describes
 * their files.  Fails if there are no inputs.  If an input fails, prints its
 * name and ends the process.  The program can also pack inputs into an archive
 * and unpack them, without running any. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "corpus.h"
#include "fuzz.h"

static const char usage[] =
    "usage: replay_" FUZZ_TARGET " [--trace] INPUTS...\n"
    "       replay_" FUZZ_TARGET " --pack ARCHIVE [INPUTS...]\n"
    "       replay_" FUZZ_TARGET " --unpack DIRECTORY INPUTS...\n"
    "\n"
    "INPUTS is an archive (NAME.corpus), one line of it (NAME.corpus:LINE),\n"
    "another file, which is one input, or a directory of such files.\n";

/* Name of the present input, which is printed if a check aborts. */
static const char *present;

static void print_present(int number)
{
    static const char text[] = "replay: the input was ";

    (void) !write(STDERR_FILENO, text, sizeof text - 1);
    (void) !write(STDERR_FILENO, present, strlen(present));
    (void) !write(STDERR_FILENO, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}

static void run(const struct corpus *corpus)
{
    signal(SIGABRT, print_present);
    for (size_t i = 0; i < corpus->count; i++) {
        const struct corpus_input *input = &corpus->inputs[i];

        present = input->name;
        LLVMFuzzerTestOneInput(input->bytes, input->size);
    }
    printf("%s: %zu inputs, 0 failed\n", FUZZ_TARGET, corpus->count);
}

/* Adds inputs to the archive, if it exists. */
static void pack(struct corpus *corpus, const char *archive)
{
    struct stat about;

    if (stat(archive, &about) == 0)
        corpus_load(corpus, archive);
    corpus_sort(corpus);
    corpus_pack(corpus, archive, FUZZ_TARGET);
    printf("%s: %zu inputs in %s\n", FUZZ_TARGET, corpus->count, archive);
}

static int fail_usage(void)
{
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const char *archive = NULL, *directory = NULL;
    struct corpus corpus = {NULL, 0};

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--trace") == 0)
            setenv("FUZZ_TRACE", "1", 1);
        else if (strcmp(argv[i], "--pack") == 0 && i + 1 < argc)
            archive = argv[++i];
        else if (strcmp(argv[i], "--unpack") == 0 && i + 1 < argc)
            directory = argv[++i];
        else if (strncmp(argv[i], "--", 2) == 0)
            return fail_usage();
        else
            corpus_load(&corpus, argv[i]);
    if (archive != NULL) {
        pack(&corpus, archive);
    } else if (corpus.count == 0) {
        return fail_usage();
    } else {
        corpus_sort(&corpus);
        if (directory != NULL)
            corpus_unpack(&corpus, directory);
        else
            run(&corpus);
    }
    corpus_free(&corpus);
    return 0;
}
