/* Errors of HTTP, in addition to those of the library. */

#ifndef EXAMPLES_HTTP_ERROR_H
#define EXAMPLES_HTTP_ERROR_H

#include <sys/types.h>

/* All are below the ALOOP_E... codes, so that one ssize_t holds either kind. */
enum {
    HTTP_EURL = -5000,       /* The URL is not a valid http:// URL. */
    HTTP_EHTTPS = -5001,     /* https:// in a session without TLS. */
    HTTP_EHEAD = -5002,      /* The header is larger than the limit. */
    HTTP_EREPLY = -5003,     /* The reply is not HTTP/1. */
    HTTP_ELENGTH = -5004,    /* Content-Length is not valid. */
    HTTP_ECODING = -5005,    /* The transfer coding is not "chunked". */
    HTTP_ECHUNK = -5006,     /* A chunk is malformed. */
    HTTP_EBODY = -5007,      /* The body is larger than the limit. */
    HTTP_ECUT = -5008,       /* The connection ended before the reply. */
    HTTP_EREDIRECTS = -5009, /* There are too many redirects. */
    HTTP_ELOCATION = -5010,  /* Location is not a valid URL. */
    HTTP_ENOREPLY = -5011,   /* The connection ended without a reply. */
    HTTP_EFRAMING = -5012,   /* Content-Length and a transfer coding. */
    HTTP_EUPGRADE = -5013,   /* 101, which was not requested. */
    HTTP_EINTERIM = -5014,   /* There are too many interim replies. */
    HTTP_EREQUEST = -5015,   /* The method, a field or the body is wrong. */
    HTTP_ESOURCE = -5016,    /* The source gave fewer bytes than promised. */
    HTTP_EREWIND = -5017,    /* The body cannot be sent a second time. */
    HTTP_ECLOSED = -5018     /* The session was freed. */
};

/* The steps of a request. */
enum http_step {
    HTTP_STEP_REQUEST,  /* Checking the request. */
    HTTP_STEP_WAIT,     /* Waiting for a connection to be free. */
    HTTP_STEP_CONNECT,  /* Name look-up and connecting. */
    HTTP_STEP_SECURE,   /* The handshake of TLS. */
    HTTP_STEP_SEND,     /* Sending the request. */
    HTTP_STEP_HEAD,     /* Waiting for the header of the reply, reading it. */
    HTTP_STEP_REDIRECT, /* Following a redirect. */
    HTTP_STEP_BODY      /* Reading the body of the reply. */
};

/* Returns a short English description of any error, those of the library
 * included. */
const char *http_strerror(ssize_t error);

/* Returns words such as "connecting" or "reading the body". */
const char *http_step_name(enum http_step step);

#endif
