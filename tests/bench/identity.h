/* A filter that changes nothing, which shows what filters cost. */

#ifndef IDENTITY_H
#define IDENTITY_H

#include <aloop.h>

/* Puts the filter on a stream. */
void identity_put_on(aloop_stream *stream);

#endif
