/* The options of a loop. */

#ifndef ALOOP_LOOP_LOOP_OPTIONS_H
#define ALOOP_LOOP_LOOP_OPTIONS_H

#include "aloop/loop.h"

/* Returns whether aloop_new() would accept these options. */
bool aloop__options_are_valid(const aloop_options *given);
/* Copies the caller's options and fills in the defaults.  Returns false if the
 * size of the options is not one that this library knows. */
bool aloop__loop_options_take(aloop_options *options,
                              const aloop_options *given);
/* Returns whether the clock of these options is aloop__sys_clock_ns(). */
bool aloop__options_use_system_clock(const aloop_options *options);

#endif
