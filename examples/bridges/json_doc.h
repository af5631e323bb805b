/* JSON documents, by jansson: a bridge to copy into a program.
 *
 *     json_t *document;
 *     json_error_t error;
 *     ssize_t status = json_doc_parse(loop, text, size, &document, &error);
 *
 *     if (status < 0)
 *         fprintf(stderr, "line %d: %s\n", error.line, error.text);
 *     name = json_string_value(json_doc_field(document, "user.name"));
 *     ...
 *     json_decref(document);
 *
 * The functions of jansson that read, print and free a document call themselves
 * for each level of it, and a task has a small stack.  Therefore a document
 * with more than JSON_DOC_DEPTH_MAX levels is refused here, and all functions
 * of jansson may be called in a task with the default size of the stack.
 *
 * What jansson refuses, beyond what RFC 8259 does: integers of more than 64
 * bits, numbers that a double cannot hold, and "\u0000" in a string. */

#ifndef BRIDGES_JSON_DOC_H
#define BRIDGES_JSON_DOC_H

#include <aloop.h>
#include <jansson.h>

enum { JSON_DOC_DEPTH_MAX = 128 }; /* Arrays and objects inside each other. */

/**
 * Parses a document.
 *
 * A long one is parsed on a thread of the loop, so that it does not block the
 * loop.  The call waits for the thread once that has begun, also after a cancel
 * or a deadline.
 *
 * Returns: 0.
 * Errors:  ALOOP_EPROTO: the text is not JSON, has too many levels, or has
 *          something jansson refuses; *ret_error shows what and where.  Its
 *          text has no control characters, whatever the document contains;
 *          ALOOP_ENOMEM: out of memory;
 *          ALOOP_EAGAIN: a thread is needed, and none could be started;
 *          ALOOP_ECANCELED, ALOOP_ETIMEDOUT: as for aloop_await().
 * Memory:  `text` is borrowed until the call returns.  The caller frees *ret by
 *          json_decref(); it is NULL after an error.
 * Context: a task; for up to 16 KiB anywhere.
 */
ssize_t json_doc_parse(aloop *loop, const char *text, size_t size, json_t **ret,
                       json_error_t *ret_error);

/**
 * Returns the part of a document at a path, or NULL if there is none.
 *
 * A path consists of names that are separated by dots: "user.name".  In an
 * array the name is an index: "items.0.id".  A backslash before a character
 * makes it part of the name: "a\.b".  A name has up to 255 bytes.
 *
 * Memory:  the part belongs to the document.
 */
json_t *json_doc_field(json_t *document, const char *path);

#endif
