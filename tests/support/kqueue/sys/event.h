/* What reactor_kqueue.c needs of <sys/event.h>, for a system without kqueue.
 * See kqueue_standin.c for what stands behind it.  The numbers are this file's
 * own; programs do not depend on them. */

#ifndef ALOOP_TESTS_SYS_EVENT_H
#define ALOOP_TESTS_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)
#define EVFILT_EXCEPT (-15)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004  /* Of a filter that exists. */
#define EV_ONESHOT 0x0010 /* Timers only, and there required. */
#define EV_CLEAR 0x0020   /* Reading only, without a filter for writing. */
#define EV_RECEIPT 0x0040
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_OOB 0x0002
#define NOTE_NSECONDS 0x0008

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    int64_t data;
    void *udata;
};

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int change_count,
           struct kevent *events, int event_count,
           const struct timespec *timeout);

#endif
