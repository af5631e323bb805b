/* Errors of fetching a page, in addition to those of the library. */

#ifndef EXAMPLES_HTTP_ERROR_H
#define EXAMPLES_HTTP_ERROR_H

#include <sys/types.h>

/* All are below the ALOOP_E... codes, so that one ssize_t holds either kind. */
enum {
    HTTP_EURL = -5000,       /* The URL is not a valid http:// URL. */
    HTTP_EHTTPS = -5001,     /* The URL begins with https:. */
    HTTP_EHEAD = -5002,      /* The header is larger than the limit. */
    HTTP_EREPLY = -5003,     /* The reply is not HTTP. */
    HTTP_ELENGTH = -5004,    /* Content-Length is not valid. */
    HTTP_ECODING = -5005,    /* The transfer coding is not "chunked". */
    HTTP_ECHUNK = -5006,     /* A chunk is malformed. */
    HTTP_EBODY = -5007,      /* The body is larger than the limit. */
    HTTP_ECUT = -5008,       /* The connection ended before the page. */
    HTTP_EREDIRECTS = -5009, /* There are too many redirects. */
    HTTP_ELOCATION = -5010   /* Location is not a valid http:// URL. */
};

/* Returns a short English description of any error, those of the library
 * included. */
const char *http_strerror(ssize_t error);

#endif
