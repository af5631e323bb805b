/* What every header needs: linkage, units, the opaque types. */

#ifndef ALOOP_BASE_H
#define ALOOP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> /* ssize_t */

/* Instrumentation that keeps a stack for each thread cannot follow a switch
 * between tasks.  GCC's -fsplit-stack is such a kind, too, but defines no macro
 * that could be tested here. */
#if defined(__has_feature)
#if __has_feature(safe_stack) || __has_feature(shadow_call_stack)
#error "tasks do not work with -fsanitize=safe-stack or =shadow-call-stack"
#endif
#endif

/** Begins the declarations of a header, with C linkage in C++. */
#ifdef __cplusplus
#define ALOOP_BEGIN extern "C" {
#else
#define ALOOP_BEGIN
#endif

/** Ends the declarations that ALOOP_BEGIN began. */
#ifdef __cplusplus
#define ALOOP_END }
#else
#define ALOOP_END
#endif

/** Exports a function from a shared library. */
#if defined(__GNUC__)
#define ALOOP_API __attribute__((visibility("default")))
#else
#define ALOOP_API
#endif

/**
 * Makes the compiler warn where a returned future is ignored.
 *
 * An ignored future leaves its error unhandled and its memory in use until
 * aloop_free().
 *
 * See:     aloop_await(), aloop_detach(), aloop_future_unref().
 */
#if defined(__GNUC__)
#define ALOOP_MUST_USE __attribute__((warn_unused_result))
#else
#define ALOOP_MUST_USE
#endif

/** Is the first number of this header's version. */
#define ALOOP_VERSION_MAJOR 0

/** Is the second number of this header's version. */
#define ALOOP_VERSION_MINOR 1

/** Is the third number of this header's version. */
#define ALOOP_VERSION_PATCH 0

/* Durations are int64_t nanoseconds, of up to 292 years.  The `count` of these
 * macros may be a fraction.  A result that does not fit is undefined. */

/** Converts a number of nanoseconds to a duration. */
#define ALOOP_NS(count) ((int64_t) (count))

/** Converts a number of microseconds to a duration in nanoseconds. */
#define ALOOP_US(count) ((int64_t) ((count) *INT64_C(1000)))

/** Converts a number of milliseconds to a duration in nanoseconds. */
#define ALOOP_MS(count) ((int64_t) ((count) *INT64_C(1000000)))

/**
 * Converts a number of seconds to a duration in nanoseconds.
 *
 * Example: ALOOP_SEC(0.5) is half a second.
 */
#define ALOOP_SEC(count) ((int64_t) ((count) *INT64_C(1000000000)))

/* Macros whose names end in an underscore are not part of the interface. */
#define ALOOP_TEXT_(x) #x

/** Makes a string literal of the value of a macro. */
#define ALOOP_TEXT(x) ALOOP_TEXT_(x)

/** Expands to the place in the source, "file.c:12", for use in reports. */
#define ALOOP_HERE __FILE__ ":" ALOOP_TEXT(__LINE__)

/* The objects of the interface.  Each is described in the header of its name;
 * `aloop` is the loop, see aloop/loop.h. */
typedef struct aloop aloop;
typedef struct aloop_future aloop_future;
typedef struct aloop_timer aloop_timer;
typedef struct aloop_signal aloop_signal;
typedef struct aloop_poll aloop_poll;
typedef struct aloop_prepare aloop_prepare;
typedef struct aloop_udp aloop_udp;
typedef struct aloop_stream aloop_stream;
typedef struct aloop_listener aloop_listener;
typedef struct aloop_server aloop_server;
typedef struct aloop_file aloop_file;
typedef struct aloop_dir aloop_dir;
typedef struct aloop_deadline aloop_deadline;
typedef struct aloop_group aloop_group;
typedef struct aloop_channel aloop_channel;
typedef struct aloop_mutex aloop_mutex;
typedef struct aloop_semaphore aloop_semaphore;
typedef struct aloop_event aloop_event;
typedef struct aloop_condition aloop_condition;
typedef struct aloop_barrier aloop_barrier;

ALOOP_BEGIN

/**
 * Returns the version of the linked library, for example "0.1.0".
 *
 * Memory:  static text.
 * Context: any thread.
 */
ALOOP_API const char *aloop_version(void);

ALOOP_END

#endif
