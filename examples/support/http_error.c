/* Messages for the errors and steps of HTTP. */

#include "http_error.h"

#include <aloop.h>

const char *http_strerror(ssize_t error)
{
    static const char *const texts[] = {
        [HTTP_EURL - HTTP_EURL] = "not a valid http:// URL",
        [HTTP_EURL - HTTP_EHTTPS] = "https is not supported",
        [HTTP_EURL - HTTP_EHEAD] = "the reply's header is too long",
        [HTTP_EURL - HTTP_EREPLY] = "malformed reply",
        [HTTP_EURL - HTTP_ELENGTH] = "malformed Content-Length in the reply",
        [HTTP_EURL - HTTP_ECODING] = "unknown transfer coding in the reply",
        [HTTP_EURL - HTTP_ECHUNK] = "malformed chunk in the reply",
        [HTTP_EURL - HTTP_EBODY] = "the page is larger than the limit",
        [HTTP_EURL - HTTP_ECUT] = "the connection ended before the page did",
        [HTTP_EURL - HTTP_EREDIRECTS] = "too many redirects",
        [HTTP_EURL - HTTP_ELOCATION] = "redirected to an invalid URL",
        [HTTP_EURL - HTTP_ENOREPLY] = "the connection ended without a reply",
        [HTTP_EURL - HTTP_EFRAMING] = "two lengths of the body in the reply",
        [HTTP_EURL - HTTP_EUPGRADE] = "the server changed the protocol",
        [HTTP_EURL - HTTP_EINTERIM] = "too many interim replies",
        [HTTP_EURL - HTTP_EREQUEST] =
            "the method, a field or the body is not valid",
        [HTTP_EURL - HTTP_ESOURCE] = "the request's body was too short",
        [HTTP_EURL - HTTP_EREWIND] = "the body cannot be sent again",
        [HTTP_EURL - HTTP_ECLOSED] = "the session was closed",
    };
    ssize_t index = HTTP_EURL - error;

    if (index >= 0 && (size_t) index < sizeof texts / sizeof texts[0])
        return texts[index];
    return aloop_strerror(error);
}

const char *http_step_name(enum http_step step)
{
    static const char *const names[] = {
        [HTTP_STEP_REQUEST] = "checking the request",
        [HTTP_STEP_WAIT] = "waiting for a connection",
        [HTTP_STEP_CONNECT] = "connecting",
        [HTTP_STEP_SECURE] = "starting TLS",
        [HTTP_STEP_SEND] = "sending the request",
        [HTTP_STEP_HEAD] = "reading the header",
        [HTTP_STEP_REDIRECT] = "following a redirect",
        [HTTP_STEP_BODY] = "reading the body",
    };

    return (size_t) step < sizeof names / sizeof names[0] ? names[step] : "";
}
