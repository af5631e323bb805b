/* Texts that grow, and the escaping of names in them. */

#ifndef EXAMPLES_HTTPD_TEXT_H
#define EXAMPLES_HTTPD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Zeros are an empty text.  After a failure nothing is added any more. */
struct httpd_text {
    char *data; /* The owner frees it with free(). */
    size_t size, room;
    bool has_failed; /* Out of memory. */
};

void httpd_text_add(struct httpd_text *text, const char *data, size_t size);
void httpd_text_string(struct httpd_text *text, const char *string);

/* Adds a name for HTML, with &lt; and the like.  Control characters become
 * U+FFFD. */
void httpd_text_html(struct httpd_text *text, const char *name);

/* Adds a path for a URL, with %xx for all but letters, digits and -._~/. */
void httpd_text_url(struct httpd_text *text, const char *path);

/* Adds a string for a quoted field of a log, with \xhh for quotes, backslashes
 * and all bytes that are not printable ASCII. */
void httpd_text_log(struct httpd_text *text, const char *string);

#endif
