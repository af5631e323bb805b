/* JSON documents, by jansson. */

#include "json_doc.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A longer text is parsed on a thread: jansson reads about 20 bytes in a
 * microsecond. */
enum { DIRECT_MAX = 16 * 1024, NAME_SIZE = 256 };

struct parsing {
    const char *text;
    size_t size;
    json_t *document;
    json_error_t *error;
};

/* Returns whether a document has too many levels.  The text may be malformed;
 * before the first fault the count is exact, and jansson stops there. */
static bool is_too_deep(const char *text, size_t size)
{
    bool is_in_string = false;
    int depth = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            is_in_string = !is_in_string;
        else if (is_in_string)
            i += text[i] == '\\'; /* The next character is part of it. */
        else if (text[i] == '[' || text[i] == '{')
            depth++;
        else if ((text[i] == ']' || text[i] == '}') && depth > 0)
            depth--;
        if (depth > JSON_DOC_DEPTH_MAX)
            return true;
    }
    return false;
}

/* jansson's message quotes the document, which a server may have written for
 * the terminal. */
static void replace_controls(char *text)
{
    for (; *text != '\0'; text++) {
        if (iscntrl((unsigned char) *text))
            *text = '?';
    }
}

/* Runs on the loop's thread, or on another one. */
static ssize_t parsing_run(void *arg)
{
    struct parsing *parsing = arg;
    json_error_t *error = parsing->error;
    const char *fault = NULL;

    /* jansson takes a zero byte after the document for its end. */
    if (memchr(parsing->text, '\0', parsing->size) != NULL)
        fault = "it has a zero byte";
    else if (is_too_deep(parsing->text, parsing->size))
        fault = "it has too many levels";
    if (fault != NULL) {
        snprintf(error->text, sizeof error->text, "%s", fault);
        return ALOOP_EPROTO;
    }
    parsing->document =
        json_loadb(parsing->text, parsing->size, JSON_DECODE_ANY, error);
    if (parsing->document != NULL)
        return 0;
    replace_controls(error->text);
    return json_error_code(error) == json_error_out_of_memory ? ALOOP_ENOMEM
                                                              : ALOOP_EPROTO;
}

ssize_t json_doc_parse(aloop *loop, const char *text, size_t size, json_t **ret,
                       json_error_t *ret_error)
{
    struct parsing parsing = {.text = text, .size = size, .error = ret_error};
    ssize_t status;

    *ret_error = (json_error_t){.line = -1, .column = -1};
    status = size <= DIRECT_MAX
                 ? parsing_run(&parsing)
                 : aloop_await(aloop_work(loop, parsing_run, &parsing));
    *ret = parsing.document;
    return status;
}

/* Copies the first name of a path.  Returns what follows it, or NULL if the
 * name is too long. */
static const char *next_name(const char *path, char name[static NAME_SIZE])
{
    size_t size = 0;

    for (; *path != '\0' && *path != '.'; path++) {
        if (*path == '\\' && path[1] != '\0')
            path++;
        if (size == NAME_SIZE - 1)
            return NULL;
        name[size++] = *path;
    }
    name[size] = '\0';
    return path;
}

static json_t *member_of(json_t *value, const char *name)
{
    char *end;
    unsigned long long index;

    if (json_is_object(value))
        return json_object_get(value, name);
    if (!json_is_array(value) || !isdigit((unsigned char) name[0]))
        return NULL;
    index = strtoull(name, &end, 10); /* ULLONG_MAX if it is too large. */
    return *end != '\0' || index >= json_array_size(value)
               ? NULL
               : json_array_get(value, (size_t) index);
}

json_t *json_doc_field(json_t *document, const char *path)
{
    char name[NAME_SIZE];

    for (;; path++) {
        path = next_name(path, name);
        document = path == NULL ? NULL : member_of(document, name);
        if (document == NULL || *path == '\0')
            return document;
    }
}
