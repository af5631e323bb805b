/* Names and sentences for errors.  Our own table rather than strerror(), which
 * depends on the locale and need not be thread-safe.
 *
 * The numbers differ between systems, and some systems use one number for two
 * names.  The table is searched from its beginning, so that the first of them
 * is found.  Errors that only this system has are in error_system.c. */

#include "aloop/error.h"

#include "base/error.h"

/* The errors of POSIX and of the library.  Each name is that of the constant
 * without its prefix ALOOP_. */
static const struct error_entry error_entries[] = {
    {-E2BIG, "E2BIG", "argument list too long"},
    {-EACCES, "EACCES", "permission denied"},
    {-EADDRINUSE, "EADDRINUSE", "address already in use"},
    {-EADDRNOTAVAIL, "EADDRNOTAVAIL", "address not available"},
    {-EAFNOSUPPORT, "EAFNOSUPPORT", "address family not supported"},
    {-EAGAIN, "EAGAIN", "resource temporarily unavailable"},
    {-EALREADY, "EALREADY", "already done or in progress"},
    {-EBADF, "EBADF", "bad file descriptor"},
    {-EBADMSG, "EBADMSG", "bad message"},
    {-EBUSY, "EBUSY", "resource busy"},
    {-ECANCELED, "ECANCELED", "cancelled"},
    {-ECHILD, "ECHILD", "no child process"},
    {-ECONNABORTED, "ECONNABORTED", "connection aborted"},
    {-ECONNREFUSED, "ECONNREFUSED", "connection refused"},
    {-ECONNRESET, "ECONNRESET", "connection reset by peer"},
    {-EDEADLK, "EDEADLK",
     "waiting would never end; a callback can use aloop_then() or spawn a "
     "task, and a promise needs a second reference, of the one that settles "
     "it"},
    {-EDESTADDRREQ, "EDESTADDRREQ", "destination address required"},
    {-EDOM, "EDOM", "argument out of domain"},
    {-EDQUOT, "EDQUOT", "disk quota exceeded"},
    {-EEXIST, "EEXIST", "file exists"},
    {-EFAULT, "EFAULT", "bad address in a system call"},
    {-EFBIG, "EFBIG", "file too large"},
    {-EHOSTUNREACH, "EHOSTUNREACH", "host is unreachable"},
    {-EIDRM, "EIDRM", "identifier removed"},
    {-EILSEQ, "EILSEQ", "invalid byte sequence"},
    {-EINPROGRESS, "EINPROGRESS", "operation in progress"},
    {-EINTR, "EINTR", "interrupted by a signal"},
    {-EINVAL, "EINVAL", "invalid argument"},
    {-EIO, "EIO", "input/output error"},
    {-EISCONN, "EISCONN", "socket is already connected"},
    {-EISDIR, "EISDIR", "is a directory"},
    {-ELOOP, "ELOOP", "too many symbolic links"},
    {-EMFILE, "EMFILE", "too many open files in this process"},
    {-EMLINK, "EMLINK", "too many links"},
    {-EMSGSIZE, "EMSGSIZE", "message or line too long"},
    {-ENAMETOOLONG, "ENAMETOOLONG", "name too long"},
    {-ENETDOWN, "ENETDOWN", "network is down"},
    {-ENETRESET, "ENETRESET", "connection aborted by the network"},
    {-ENETUNREACH, "ENETUNREACH", "network is unreachable"},
    {-ENFILE, "ENFILE", "too many open files in this system"},
    {-ENOBUFS, "ENOBUFS", "no buffer space available"},
    {-ENODEV, "ENODEV", "no such device"},
    {-ENOENT, "ENOENT", "no such file or directory"},
    {-ENOEXEC, "ENOEXEC", "executable file format error"},
    {-ENOLCK, "ENOLCK", "no locks available"},
    {-ENOMEM, "ENOMEM", "out of memory"},
    {-ENOMSG, "ENOMSG", "no message of the desired type"},
    {-ENOPROTOOPT, "ENOPROTOOPT", "protocol option not available"},
    {-ENOSPC, "ENOSPC", "no space left"},
    {-ENOSYS, "ENOSYS", "not implemented by this system"},
    {-ENOTCONN, "ENOTCONN", "socket is not connected"},
    {-ENOTDIR, "ENOTDIR", "not a directory"},
    {-ENOTEMPTY, "ENOTEMPTY", "directory not empty"},
    {-ENOTSOCK, "ENOTSOCK", "not a socket"},
    {-ENOTSUP, "ENOTSUP", "not supported"},
    {-ENOTTY, "ENOTTY", "not a terminal"},
    {-ENXIO, "ENXIO", "no such device or address"},
    {-EOPNOTSUPP, "EOPNOTSUPP", "operation not supported on socket"},
    {-EOVERFLOW, "EOVERFLOW", "value too large for its type"},
    {-EPERM, "EPERM", "operation not permitted"},
    {-EPIPE, "EPIPE", "broken pipe"},
    {-EPROTO, "EPROTO", "protocol error"},
    {-EPROTONOSUPPORT, "EPROTONOSUPPORT", "protocol not supported"},
    {-EPROTOTYPE, "EPROTOTYPE", "wrong protocol type for socket"},
    {-ERANGE, "ERANGE", "result out of range"},
    {-EROFS, "EROFS", "read-only file system"},
    {-ESPIPE, "ESPIPE", "cannot seek in a pipe or socket"},
    {-ESRCH, "ESRCH", "no such process"},
    {-ESTALE, "ESTALE", "stale file handle"},
    {-ETIMEDOUT, "ETIMEDOUT", "timed out"},
    {-ETXTBSY, "ETXTBSY", "executable file is in use"},
    {-EXDEV, "EXDEV", "link between file systems"},
    {ALOOP_EOF, "EOF", "end of stream"},
    {ALOOP_EABORTED, "EABORTED", "cancelled by another task or callback"},
    {ALOOP_EHOSTNOTFOUND, "EHOSTNOTFOUND", "no such host or service"},
    {ALOOP_EAGAINDNS, "EAGAINDNS", "temporary failure in name resolution"},
    {ALOOP_ERESOLVE, "ERESOLVE", "name resolution failed"},
    {ALOOP_ECLOSED, "ECLOSED", "closed"},
    {ALOOP_PENDING, "PENDING", "not settled yet"},
    {ALOOP_ENOTNUMERIC, "ENOTNUMERIC", "not a numeric address or port"},
    {ALOOP_EHELD, "EHELD", "never awaited, detached or unreferenced"},
    {ALOOP_EMISUSE, "EMISUSE", "the library was misused"},
};

/* Both tables are searched from their beginning: an error is a rare event, and
 * a status may be any number.  Never returns NULL. */
static const struct error_entry *error_find(ssize_t status)
{
    static const struct error_entry success = {0, "OK", "success"};
    static const struct error_entry unknown = {0, "EUNKNOWN", "unknown error"};
    const struct error_entry *entry;

    if (status >= 0)
        return &success;
    for (size_t i = 0; i < sizeof error_entries / sizeof error_entries[0]; i++)
        if (error_entries[i].error == status)
            return &error_entries[i];
    entry = aloop__error_of_system(status);
    return entry != NULL ? entry : &unknown;
}

const char *aloop_strerror(ssize_t status)
{
    return error_find(status)->text;
}

const char *aloop_error_name(ssize_t status)
{
    return error_find(status)->name;
}
