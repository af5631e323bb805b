/* Watches of signals, for the layers above. */

#ifndef ALOOP_HANDLE_SIGNAL_H
#define ALOOP_HANDLE_SIGNAL_H

#include "aloop/signal.h"

/* Has the first signal that either of the two watches receives end both, inside
 * the handler: the watch is still called back for that signal, and the next one
 * has the effect that it had before, whether the loop runs by then or not.
 * `other` may be `watch` itself. */
void aloop__signal_pair(aloop_signal *watch, aloop_signal *other);

#endif
