/* Dates of HTTP (RFC 9110, section 5.6.7). */

#ifndef EXAMPLES_HTTPD_DATE_H
#define EXAMPLES_HTTPD_DATE_H

#include <stdbool.h>
#include <stdint.h>

enum { HTTPD_DATE_SIZE = 30 };

/* Writes "Sun, 06 Nov 1994 08:49:37 GMT" with its zero to `ret`.  The seconds
 * since 1970 are of the years 1970 to 9999, or are replaced by 0. */
void httpd_date_format(int64_t seconds, char ret[HTTPD_DATE_SIZE]);

/* Parses that form, in which every client since 1997 writes dates.  Returns
 * false for anything else; the field is then ignored. */
bool httpd_date_parse(const char *text, int64_t *ret_seconds);

#endif
