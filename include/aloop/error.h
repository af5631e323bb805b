/* Errors: the negated errno of this system, plus a few of ours. */

#ifndef ALOOP_ERROR_H
#define ALOOP_ERROR_H

#include <errno.h>

#include "aloop/base.h"

ALOOP_BEGIN

/* Any other negated errno may be returned as well.  These are the ones that the
 * library itself returns or that users commonly compare with. */
enum {
    ALOOP_EACCES = -EACCES,
    ALOOP_EADDRINUSE = -EADDRINUSE,
    ALOOP_EADDRNOTAVAIL = -EADDRNOTAVAIL,
    ALOOP_EAFNOSUPPORT = -EAFNOSUPPORT,
    ALOOP_EAGAIN = -EAGAIN,
    ALOOP_EALREADY = -EALREADY,
    ALOOP_EBADF = -EBADF,
    ALOOP_EBUSY = -EBUSY,
    ALOOP_ECANCELED = -ECANCELED, /* From an await: the caller is cancelled. */
    ALOOP_ECONNABORTED = -ECONNABORTED,
    ALOOP_ECONNREFUSED = -ECONNREFUSED,
    ALOOP_ECONNRESET = -ECONNRESET,
    ALOOP_EDEADLK = -EDEADLK, /* This await could never end. */
    ALOOP_EDESTADDRREQ = -EDESTADDRREQ,
    ALOOP_EDQUOT = -EDQUOT, /* The quota of the user is used up. */
    ALOOP_EEXIST = -EEXIST,
    ALOOP_EFAULT = -EFAULT,
    ALOOP_EFBIG = -EFBIG, /* A file or data larger than a limit. */
    ALOOP_EHOSTUNREACH = -EHOSTUNREACH,
    ALOOP_EINTR = -EINTR,
    ALOOP_EINVAL = -EINVAL, /* An argument is NULL or out of range. */
    ALOOP_EIO = -EIO,
    ALOOP_EISCONN = -EISCONN,
    ALOOP_EISDIR = -EISDIR,
    ALOOP_ELOOP = -ELOOP,
    ALOOP_EMFILE = -EMFILE,
    ALOOP_EMLINK = -EMLINK,
    ALOOP_EMSGSIZE = -EMSGSIZE, /* A datagram or line is too long. */
    ALOOP_ENAMETOOLONG = -ENAMETOOLONG,
    ALOOP_ENETUNREACH = -ENETUNREACH,
    ALOOP_ENFILE = -ENFILE,
    ALOOP_ENOBUFS = -ENOBUFS,
    ALOOP_ENODEV = -ENODEV,
    ALOOP_ENOENT = -ENOENT,
    ALOOP_ENOMEM = -ENOMEM, /* Out of memory; also the status of NULL. */
    ALOOP_ENOSPC = -ENOSPC, /* The disk is full, or a buffer too small. */
    ALOOP_ENOSYS = -ENOSYS,
    ALOOP_ENOTCONN = -ENOTCONN,
    ALOOP_ENOTDIR = -ENOTDIR,
    ALOOP_ENOTEMPTY = -ENOTEMPTY,
    ALOOP_ENOTSUP = -ENOTSUP,
    ALOOP_ENOTTY = -ENOTTY,
    ALOOP_ENXIO = -ENXIO, /* A FIFO without a reader was opened to write. */
    ALOOP_EOPNOTSUPP = -EOPNOTSUPP,
    ALOOP_EOVERFLOW = -EOVERFLOW,
    ALOOP_EPERM = -EPERM,
    ALOOP_EPIPE = -EPIPE,   /* Written after the writing side was closed. */
    ALOOP_EPROTO = -EPROTO, /* The peer has broken the protocol. */
    ALOOP_EROFS = -EROFS,
    ALOOP_ESPIPE = -ESPIPE, /* The file has no position. */
    ALOOP_ESTALE = -ESTALE,
    ALOOP_ETIMEDOUT = -ETIMEDOUT,
    ALOOP_ETXTBSY = -ETXTBSY, /* The program is being executed or written. */
    ALOOP_EXDEV = -EXDEV,     /* The paths are on different file systems. */

    /* The library's own errors, outside the range of any errno. */
    ALOOP_EOF = -4095,           /* The stream ended too early. */
    ALOOP_EABORTED = -4094,      /* The awaited future was cancelled, but not
                                  * because the caller was. */
    ALOOP_EHOSTNOTFOUND = -4093, /* No such host or service. */
    ALOOP_EAGAINDNS = -4092,     /* Name look-up: temporary failure. */
    ALOOP_ERESOLVE = -4091,      /* Name look-up: any other failure. */
    ALOOP_ECLOSED = -4090,       /* The channel, lock, ... was closed. */
    ALOOP_PENDING = -4089,       /* Not settled yet: not an error, and never the
                                  * status of a settled future. */
    ALOOP_ENOTNUMERIC = -4088,   /* A name where only numbers are accepted. */
    ALOOP_EHELD = -4087,         /* In a report: futures that were never
                                  * awaited, detached or unreferenced. */
    ALOOP_EMISUSE = -4086        /* In a report of a debug loop: the library was
                                  * used in a wrong way. */
};

/**
 * Describes a status in a few words of English ("connection refused").
 *
 * The text has no full stop.  It does not depend on the locale, and errno is
 * left unchanged.
 *
 * Returns: "success" for 0 and more, "unknown error" for a number that neither
 *          this system nor the library uses.
 * Memory:  static text, never freed, never changed.
 * Context: any thread, signal handlers included.
 */
ALOOP_API const char *aloop_strerror(ssize_t status);

/**
 * Returns the name of a status, for example "ECONNREFUSED".
 *
 * For 0 and more it is "OK".  For a number that neither this system nor the
 * library uses it is "EUNKNOWN".
 *
 * Memory:  static text, never freed, never changed.
 * Context: any thread, signal handlers included.
 */
ALOOP_API const char *aloop_error_name(ssize_t status);

ALOOP_END

#endif
