#define _GNU_SOURCE
#define _DARWIN_C_SOURCE

#include "corpus.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

static const char extension[] = ".corpus";

_Noreturn static void fail(const char *path, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", path, why);
    exit(2);
}

static void *check_memory(void *memory)
{
    if (memory == NULL)
        fail("memory", strerror(ENOMEM));
    return memory;
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);

    if (file == NULL)
        fail(path, strerror(errno));
    return file;
}

static void close_file(FILE *file, const char *path)
{
    bool has_failed = ferror(file) != 0;

    if (fclose(file) != 0 || has_failed)
        fail(path, "cannot be read or written");
}

/* Takes ownership of `bytes`. */
static void add(struct corpus *corpus, const char *name, uint8_t *bytes,
                size_t size)
{
    size_t new_size = (corpus->count + 1) * sizeof *corpus->inputs;

    corpus->inputs = check_memory(realloc(corpus->inputs, new_size));
    corpus->inputs[corpus->count++] = (struct corpus_input){
        .name = check_memory(strdup(name)),
        .bytes = bytes,
        .size = size,
    };
}

static void load_file(struct corpus *corpus, const char *path)
{
    FILE *file = open_file(path, "rb");
    uint8_t *bytes = check_memory(malloc(1));
    size_t size = 0, n;
    uint8_t some[PATH_SIZE];

    while ((n = fread(some, 1, sizeof some, file)) > 0) {
        bytes = check_memory(realloc(bytes, size + n));
        memcpy(bytes + size, some, n);
        size += n;
    }
    close_file(file, path);
    add(corpus, path, bytes, size);
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int) (at - digits);
}

static void add_line(struct corpus *corpus, const char *name, const char *line)
{
    size_t size = strcmp(line, "-") == 0 ? 0 : strlen(line) / 2;
    uint8_t *bytes = check_memory(malloc(size > 0 ? size : 1));

    if (size > 0 ? strlen(line) % 2 != 0 : strcmp(line, "-") != 0)
        fail(name, "is not an input in hexadecimal digits");
    for (size_t i = 0; i < size; i++) {
        int high = digit_of(line[2 * i]), low = digit_of(line[2 * i + 1]);

        if (high < 0 || low < 0)
            fail(name, "is not an input in hexadecimal digits");
        bytes[i] = (uint8_t) (high << 4 | low);
    }
    add(corpus, name, bytes, size);
}

/* `only` is the number of a line; 0: all. */
static void load_archive(struct corpus *corpus, const char *path, size_t only)
{
    FILE *file = open_file(path, "r");
    size_t capacity = 0, number = 0, before = corpus->count;
    char *line = NULL;
    ssize_t length;

    while ((length = getline(&line, &capacity, file)) >= 0) {
        char name[PATH_SIZE];

        number++;
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (line[0] == '#' || (only > 0 && number != only))
            continue;
        snprintf(name, sizeof name, "%s:%zu", path, number);
        add_line(corpus, name, line);
    }
    free(line);
    close_file(file, path);
    if (only > 0 && corpus->count == before)
        fail(path, "has no input in this line");
}

static bool is_archive(const char *path)
{
    size_t length = strlen(path), end = sizeof extension - 1;

    return length >= end && strcmp(path + length - end, extension) == 0;
}

static void load_directory(struct corpus *corpus, const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (directory == NULL)
        fail(path, strerror(errno));
    while ((entry = readdir(directory)) != NULL) {
        char file[PATH_SIZE];
        struct stat about;

        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (stat(file, &about) == 0 && S_ISREG(about.st_mode))
            load_file(corpus, file);
    }
    closedir(directory);
}

/* Loads `path` if it is ARCHIVE:LINE.  Returns whether it is. */
static bool load_one_line(struct corpus *corpus, const char *path)
{
    const char *colon = strrchr(path, ':');
    char archive[PATH_SIZE];
    long number;

    if (colon == NULL || !isdigit((unsigned char) colon[1]))
        return false;
    snprintf(archive, sizeof archive, "%.*s", (int) (colon - path), path);
    number = strtol(colon + 1, NULL, 10);
    if (!is_archive(archive) || number <= 0)
        return false;
    load_archive(corpus, archive, (size_t) number);
    return true;
}

void corpus_load(struct corpus *corpus, const char *path)
{
    struct stat about;

    if (stat(path, &about) != 0) {
        int error = errno;

        if (!load_one_line(corpus, path))
            fail(path, strerror(error));
    } else if (S_ISDIR(about.st_mode)) {
        load_directory(corpus, path);
    } else if (is_archive(path)) {
        load_archive(corpus, path, 0);
    } else {
        load_file(corpus, path);
    }
}

/* Compares inputs in the order of their lines. */
static int compare_inputs(const void *a, const void *b)
{
    const struct corpus_input *first = a, *second = b;
    size_t size = first->size < second->size ? first->size : second->size;
    int order = memcmp(first->bytes, second->bytes, size);

    if (order != 0)
        return order;
    return (first->size > second->size) - (first->size < second->size);
}

static void free_input(struct corpus_input *input)
{
    free(input->name);
    free(input->bytes);
}

void corpus_sort(struct corpus *corpus)
{
    size_t kept = 0;

    if (corpus->count == 0)
        return;
    qsort(corpus->inputs, corpus->count, sizeof *corpus->inputs,
          compare_inputs);
    for (size_t i = 1; i < corpus->count; i++)
        if (compare_inputs(&corpus->inputs[kept], &corpus->inputs[i]) == 0)
            free_input(&corpus->inputs[i]);
        else
            corpus->inputs[++kept] = corpus->inputs[i];
    corpus->count = kept + 1;
}

void corpus_pack(const struct corpus *corpus, const char *path,
                 const char *target)
{
    FILE *file = open_file(path, "w");

    fprintf(file,
            "# Kept inputs of the fuzz target %s, one a line; to add some:\n"
            "# replay_%s --pack THIS_FILE FILE|DIRECTORY...\n",
            target, target);
    for (size_t i = 0; i < corpus->count; i++) {
        const struct corpus_input *input = &corpus->inputs[i];

        for (size_t k = 0; k < input->size; k++)
            fprintf(file, "%02x", input->bytes[k]);
        fputs(input->size > 0 ? "\n" : "-\n", file);
    }
    close_file(file, path);
}

void corpus_unpack(const struct corpus *corpus, const char *directory)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        fail(directory, strerror(errno));
    for (size_t i = 0; i < corpus->count; i++) {
        const struct corpus_input *input = &corpus->inputs[i];
        char path[PATH_SIZE];
        FILE *file;

        snprintf(path, sizeof path, "%s/kept-%04zu", directory, i + 1);
        file = open_file(path, "wb");
        fwrite(input->bytes, 1, input->size, file);
        close_file(file, path);
    }
}

void corpus_free(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->count; i++)
        free_input(&corpus->inputs[i]);
    free(corpus->inputs);
}
