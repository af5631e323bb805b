/* Runs a fuzz target on kept inputs: all files of the directories and all files
 * that are named, in order of their names.  Fails where there are none; an
 * input that fails ends the process, after its name. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { PATH_SIZE = 4096 };

static char **paths;
static size_t count;

_Noreturn static void give_up(const char *path, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", path, why);
    exit(2);
}

static void *must(void *memory)
{
    if (memory == NULL)
        give_up("memory", strerror(ENOMEM));
    return memory;
}

static void add(const char *path)
{
    paths = must(realloc(paths, (count + 1) * sizeof *paths));
    paths[count++] = must(strdup(path));
}

static void add_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (directory == NULL)
        give_up(path, strerror(errno));
    while ((entry = readdir(directory)) != NULL) {
        char file[PATH_SIZE];
        struct stat about;

        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (stat(file, &about) == 0 && S_ISREG(about.st_mode))
            add(file);
    }
    closedir(directory);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* In a block of just that size, so that a checker sees a read past its end. */
static uint8_t *load(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = must(malloc(1));
    size_t size = 0, n;
    uint8_t some[PATH_SIZE];

    if (file == NULL)
        give_up(path, strerror(errno));
    while ((n = fread(some, 1, sizeof some, file)) > 0) {
        bytes = must(realloc(bytes, size + n));
        memcpy(bytes + size, some, n);
        size += n;
    }
    if (ferror(file))
        give_up(path, "cannot be read");
    fclose(file);
    *ret_size = size;
    return bytes;
}

static void run(const char *path)
{
    size_t size;
    uint8_t *bytes = load(path, &size);

    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
}

/* A check that does not hold aborts: a person then needs the input's name. */
static const char *present;

static void tell(int number)
{
    static const char text[] = "replay: the input was ";

    (void) !write(STDERR_FILENO, text, sizeof text - 1);
    (void) !write(STDERR_FILENO, present, strlen(present));
    (void) !write(STDERR_FILENO, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat about;

        if (strcmp(argv[i], "--trace") == 0)
            setenv("FUZZ_TRACE", "1", 1);
        else if (stat(argv[i], &about) != 0)
            give_up(argv[i], strerror(errno));
        else if (S_ISDIR(about.st_mode))
            add_directory(argv[i]);
        else
            add(argv[i]);
    }
    if (count == 0)
        give_up("usage", "replay [--trace] FILE|DIRECTORY...: no inputs");
    signal(SIGABRT, tell);
    qsort(paths, count, sizeof *paths, by_name);
    for (size_t i = 0; i < count; i++) {
        present = paths[i];
        run(present);
        free(paths[i]);
    }
    free(paths);
    printf("%s: %zu inputs, 0 failed\n", FUZZ_TARGET, count);
    return 0;
}
