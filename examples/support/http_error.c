/* Messages for the errors of fetching a page. */

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
        [HTTP_EURL - HTTP_ELOCATION] = "redirected to an invalid http:// URL",
    };
    ssize_t index = HTTP_EURL - error;

    if (index >= 0 && (size_t) index < sizeof texts / sizeof texts[0])
        return texts[index];
    return aloop_strerror(error);
}
