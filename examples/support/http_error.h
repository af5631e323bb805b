/* What can go wrong with a page, beyond what the library says. */

#ifndef EXAMPLES_HTTP_ERROR_H
#define EXAMPLES_HTTP_ERROR_H

#include <sys/types.h>

/* Below every ALOOP_E..., so that one ssize_t carries either. */
enum {
    HTTP_EURL = -5000,       /* No http:// URL that can be fetched. */
    HTTP_EHTTPS = -5001,     /* https:// */
    HTTP_EHEAD = -5002,      /* More header than we take. */
    HTTP_EREPLY = -5003,     /* Not HTTP. */
    HTTP_ELENGTH = -5004,    /* A Content-Length that is none. */
    HTTP_ECODING = -5005,    /* A transfer coding other than chunked. */
    HTTP_ECHUNK = -5006,     /* Chunked, but not so. */
    HTTP_EBODY = -5007,      /* More body than we take. */
    HTTP_ECUT = -5008,       /* The connection ended before the page did. */
    HTTP_EREDIRECTS = -5009, /* Sent on and on. */
    HTTP_ELOCATION = -5010   /* Sent to somewhere we cannot go. */
};

/* A short English sentence for any of these and for any of the library's. */
const char *http_strerror(ssize_t error);

#endif
