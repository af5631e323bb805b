/* Level-triggered readiness of descriptors: the differences between epoll,
 * kqueue and poll, and nothing else.
 *
 * One implementation is linked in.  It keeps no pointers of the caller.  An
 * event has a descriptor and the generation that it was set with; the caller
 * decides whether these are still valid. */

#ifndef ALOOP_OS_REACTOR_H
#define ALOOP_OS_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

enum {
    REACTOR_READ = 1,  /* Readable, or at its end. */
    REACTOR_WRITE = 2, /* Writable. */
    /* Error; always reported.  A hang-up counts as one unless REACTOR_HANGUP
     * was requested.  (With kqueue it may also count only as the end of the
     * input, if that was requested.) */
    REACTOR_ERROR = 4,
    /* Both directions are closed, or the other end of a pipe is.  The end of
     * the input alone is only REACTOR_READ, because the output may continue. */
    REACTOR_HANGUP = 8,
    REACTOR_PRIORITY = 16, /* Urgent data, such as TCP's out-of-band data. */
    /* Each change is reported once, and not until the descriptor is read.  Only
     * for an event descriptor, and only if aloop__reactor_has_edges. */
    REACTOR_EDGE = 32
};

/* Generations are from 1 to this number, which has 30 bits. */
#define REACTOR_GENERATION_MAX UINT32_C(0x3fffffff)

/* An event.  Its layout is that of struct epoll_event, so that most events of
 * epoll need no translation. */
struct aloop__event {
    /* REACTOR_*, and in the upper half the errno that was reported with
     * REACTOR_ERROR, or 0 if there was none.  The socket may not report it
     * again. */
    uint32_t bits;
    uint64_t key; /* The generation, two bits of the reactor, the descriptor. */
#if defined(__linux__) && defined(__x86_64__)
} __attribute__((packed));
#else
};
#endif

/* `error` is a negated errno, or 0. */
static inline struct aloop__event aloop__event_of(int fd, uint32_t generation,
                                                  unsigned bits, int error)
{
    return (struct aloop__event){
        .bits = bits | (uint32_t) -error << 16,
        .key = (uint64_t) generation << 34 | (uint32_t) fd,
    };
}

static inline int aloop__event_fd(const struct aloop__event *event)
{
    return (int) (uint32_t) event->key;
}

static inline uint32_t aloop__event_generation(const struct aloop__event *event)
{
    return (uint32_t) (event->key >> 34);
}

static inline unsigned aloop__event_bits(const struct aloop__event *event)
{
    return (uint16_t) event->bits;
}

static inline int aloop__event_error(const struct aloop__event *event)
{
    return -(int) (event->bits >> 16);
}

struct aloop__reactor;

extern const char aloop__reactor_name[]; /* "epoll", "kqueue" or "poll". */
extern const bool aloop__reactor_has_edges;
extern const bool aloop__reactor_has_errors; /* An event may have an errno. */

/* Creates a reactor.  `alloc` must outlive it. */
int aloop__reactor_open(const struct aloop__alloc *alloc,
                        struct aloop__reactor **ret);
void aloop__reactor_close(struct aloop__reactor *reactor);

/* Changes the events that are watched on `fd` from `was` to `now`, which
 * consist of all REACTOR_* but REACTOR_ERROR; 0 means that it is not watched.
 *
 * Events are reported until they are used.  If neither REACTOR_READ nor
 * REACTOR_WRITE is watched, an error or a hang-up may be reported only once.
 *
 * Works also if the descriptor was closed or replaced outside the loop's
 * control: removing then succeeds, and changing adds it again.
 *
 * Returns -EPERM for a descriptor that is always ready, such as a directory or,
 * except with poll(), a regular file, -EBADF for one that is not open, and
 * -ENOTSUP for REACTOR_PRIORITY if the system has no such event. */
int aloop__reactor_set(struct aloop__reactor *reactor, int fd,
                       uint32_t generation, unsigned was, unsigned now);

/* Returns whether `fd`, for which `bits` are watched, is still the descriptor
 * that was set.  Returns false if it was closed or replaced outside the loop's
 * control; the caller must then set it again or remove it.  poll() compares
 * inodes, and cannot distinguish descriptors without an inode of their own,
 * such as two event descriptors. */
bool aloop__reactor_is_watching(struct aloop__reactor *reactor, int fd,
                                uint32_t generation, unsigned bits);

/* Waits until a descriptor is ready or timeout_ns have passed; a negative value
 * waits indefinitely.  Writes up to `max` events, at most three for
 * each descriptor.  Returns their number, or 0 on timeout and if a signal was
 * caught. */
int aloop__reactor_wait(struct aloop__reactor *reactor, int64_t timeout_ns,
                        struct aloop__event *events, int max);

/* Returns the descriptor for a host loop.  It is readable while an event is
 * pending or the alarm is due.  aloop__reactor_wait() may end this readiness,
 * that of the alarm included, until aloop__reactor_alarm() is called.
 * Conversely, readiness that something else has consumed may stay visible until
 * then. */
int aloop__reactor_fd(struct aloop__reactor *reactor);

/* Makes that descriptor readable from when_ns on, by aloop__sys_clock_ns(), or
 * immediately if that time has passed.  INT64_MAX cancels the alarm.  The alarm
 * itself is never reported as an event.  With epoll and kqueue, the call costs
 * nothing if the alarm is set to that time already. */
int aloop__reactor_alarm(struct aloop__reactor *reactor, int64_t when_ns);

/* Forgets all watched descriptors and replaces the kernel object, while
 * aloop__reactor_fd() stays the same where possible.  Used in a forked child,
 * and when the kernel reports a descriptor that can no longer be removed. */
int aloop__reactor_renew(struct aloop__reactor *reactor);

#endif
