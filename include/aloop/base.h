/* What every header needs: linkage, units, the opaque types. */

#ifndef ALOOP_BASE_H
#define ALOOP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> /* ssize_t */

#ifdef __cplusplus
#define ALOOP_BEGIN extern "C" {
#define ALOOP_END }
#else
#define ALOOP_BEGIN
#define ALOOP_END
#endif

/* What instrumentation keeps once for each thread, and a switch between tasks
 * cannot move.  GCC's -fsplit-stack is the same, but leaves no trace here. */
#if defined(__has_feature)
#if __has_feature(safe_stack) || __has_feature(shadow_call_stack)
#error "tasks do not work with -fsanitize=safe-stack or =shadow-call-stack"
#endif
#endif

#if defined(__GNUC__)
#define ALOOP_API __attribute__((visibility("default")))
#else
#define ALOOP_API
#endif

/* Of functions that return a future: the compiler warns where it is discarded,
 * which would leave its error unseen and its memory in use until aloop_free().
 * Await it, aloop_detach() it, or give it back with aloop_future_unref(). */
#if defined(__GNUC__)
#define ALOOP_MUST_USE __attribute__((warn_unused_result))
#else
#define ALOOP_MUST_USE
#endif

/* This header's version; aloop_version() tells the linked library's. */
#define ALOOP_VERSION_MAJOR 0
#define ALOOP_VERSION_MINOR 1
#define ALOOP_VERSION_PATCH 0

/* Durations as nanoseconds: ALOOP_MS(20), ALOOP_SEC(0.5). */
#define ALOOP_NS(count) ((int64_t) (count))
#define ALOOP_US(count) ((int64_t) ((count) * INT64_C(1000)))
#define ALOOP_MS(count) ((int64_t) ((count) * INT64_C(1000000)))
#define ALOOP_SEC(count) ((int64_t) ((count) * INT64_C(1000000000)))

/* "file.c:12", the place of the call, for names in reports. */
#define ALOOP_TEXT_(x) #x
#define ALOOP_TEXT(x) ALOOP_TEXT_(x)
#define ALOOP_HERE __FILE__ ":" ALOOP_TEXT(__LINE__)

typedef struct aloop aloop;
typedef struct aloop_future aloop_future;
typedef struct aloop_timer aloop_timer;
typedef struct aloop_signal aloop_signal;
typedef struct aloop_stream aloop_stream;
typedef struct aloop_listener aloop_listener;
typedef struct aloop_deadline aloop_deadline;
typedef struct aloop_group aloop_group;
typedef struct aloop_channel aloop_channel;

ALOOP_BEGIN

/**
 * The linked library's version, "0.1.0".
 *
 * Context: any thread.
 */
ALOOP_API const char *aloop_version(void);

ALOOP_END

#endif
