/* Names and sentences for errors.  Our own table rather than strerror(), which
 * depends on the locale and need not be thread-safe. */

#include "aloop/error.h"

struct entry {
    int error;
    const char *name;
    const char *text;
};

static const struct entry entries[] = {
    {-E2BIG, "E2BIG", "argument list too long"},
    {-EACCES, "EACCES", "permission denied"},
    {-EADDRINUSE, "EADDRINUSE", "address already in use"},
    {-EADDRNOTAVAIL, "EADDRNOTAVAIL", "address not available"},
    {-EAFNOSUPPORT, "EAFNOSUPPORT", "address family not supported"},
    {-EAGAIN, "EAGAIN", "resource temporarily unavailable"},
    {-EALREADY, "EALREADY", "already done or under way"},
    {-EBADF, "EBADF", "bad file descriptor"},
    {-EBUSY, "EBUSY", "resource busy"},
    {-ECANCELED, "ECANCELED", "cancelled"},
    {-ECONNABORTED, "ECONNABORTED", "connection aborted"},
    {-ECONNREFUSED, "ECONNREFUSED", "connection refused"},
    {-ECONNRESET, "ECONNRESET", "connection reset by peer"},
    {-EDEADLK, "EDEADLK",
     "waiting would never end; a callback can use aloop_then() instead, or "
     "spawn a task"},
    {-EDOM, "EDOM", "argument out of domain"},
    {-EEXIST, "EEXIST", "file exists"},
    {-EFAULT, "EFAULT", "bad address in a system call"},
    {-EFBIG, "EFBIG", "file too large"},
    {-EHOSTUNREACH, "EHOSTUNREACH", "host is unreachable"},
    {-EINTR, "EINTR", "interrupted by a signal"},
    {-EINVAL, "EINVAL", "invalid argument"},
    {-EIO, "EIO", "input/output error"},
    {-EISCONN, "EISCONN", "socket is already connected"},
    {-EISDIR, "EISDIR", "is a directory"},
    {-ELOOP, "ELOOP", "too many symbolic links"},
    {-EMFILE, "EMFILE", "too many open files in this process"},
    {-EMSGSIZE, "EMSGSIZE", "message or line too long"},
    {-ENAMETOOLONG, "ENAMETOOLONG", "name too long"},
    {-ENETDOWN, "ENETDOWN", "network is down"},
    {-ENETUNREACH, "ENETUNREACH", "network is unreachable"},
    {-ENFILE, "ENFILE", "too many open files in this system"},
    {-ENOBUFS, "ENOBUFS", "no buffer space available"},
    {-ENODEV, "ENODEV", "no such device"},
    {-ENOENT, "ENOENT", "no such file or directory"},
    {-ENOMEM, "ENOMEM", "out of memory"},
    {-ENOPROTOOPT, "ENOPROTOOPT", "protocol option not available"},
    {-ENOSPC, "ENOSPC", "no space left"},
    {-ENOSYS, "ENOSYS", "not implemented by this system"},
    {-ENOTCONN, "ENOTCONN", "socket is not connected"},
    {-ENOTDIR, "ENOTDIR", "not a directory"},
    {-ENOTSOCK, "ENOTSOCK", "not a socket"},
    {-ENOTSUP, "ENOTSUP", "not supported"},
    {-EPERM, "EPERM", "operation not permitted"},
    {-EPIPE, "EPIPE", "broken pipe"},
    {-EPROTO, "EPROTO", "protocol error"},
    {-EPROTONOSUPPORT, "EPROTONOSUPPORT", "protocol not supported"},
    {-ERANGE, "ERANGE", "result out of range"},
    {-EROFS, "EROFS", "read-only file system"},
    {-ESRCH, "ESRCH", "no such process"},
    {-ETIMEDOUT, "ETIMEDOUT", "timed out"},
    {-EXDEV, "EXDEV", "link between file systems"},
    {ALOOP_EOF, "EOF", "end of stream"},
    {ALOOP_EABORTED, "EABORTED", "cancelled by somebody else"},
    {ALOOP_EHOSTNOTFOUND, "EHOSTNOTFOUND", "no such host or service"},
    {ALOOP_EAGAINDNS, "EAGAINDNS", "temporary failure in name resolution"},
    {ALOOP_ERESOLVE, "ERESOLVE", "name resolution failed"},
    {ALOOP_ECLOSED, "ECLOSED", "closed"},
    {ALOOP_ENOTNUMERIC, "ENOTNUMERIC", "not a numeric address or port"},
    {ALOOP_EHELD, "EHELD", "never awaited, detached or unreferenced"},
    {ALOOP_EMISUSE, "EMISUSE", "the library was misused"},
};

static const struct entry *find(int error)
{
    static const struct entry success = {0, "OK", "success"};
    static const struct entry unknown = {0, "EUNKNOWN", "unknown error"};

    if (error >= 0)
        return &success;
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (entries[i].error == error)
            return &entries[i];
    return &unknown;
}

const char *aloop_strerror(int error)
{
    return find(error)->text;
}

const char *aloop_error_name(int error)
{
    return find(error)->name;
}
