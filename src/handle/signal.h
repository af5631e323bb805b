/* Functions of signal watches for the layers above. */

#ifndef ALOOP_HANDLE_SIGNAL_H
#define ALOOP_HANDLE_SIGNAL_H

#include "aloop/signal.h"

/* Pairs two watches: the first signal that either of them receives ends both,
 * inside the handler.  The callback for that signal still runs.  The next
 * signal has the effect that it would have without the watch, even if the loop
 * has not run since.  `other` may be `watch` itself. */
void aloop__signal_pair(aloop_signal *watch, aloop_signal *other);

#endif
