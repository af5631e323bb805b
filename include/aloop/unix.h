/* Unix sockets: listening and connecting on one machine.
 *
 * A path is that of a file system, or on Linux "@name": an abstract name, which
 * is no file, has no permissions, and ends with its socket.  A path must fit
 * into the address of a socket: 108 bytes on Linux, 104 on macOS and the BSDs.
 * A longer one is an error and is never truncated. */

#ifndef ALOOP_UNIX_H
#define ALOOP_UNIX_H

#include "aloop/base.h"
#include "aloop/listener.h"

ALOOP_BEGIN

/**
 * Holds the options of a listener on a Unix socket.
 *
 * Set `size` to sizeof(aloop_unix_options) and the fields that are needed.  See
 * aloop/options.h.
 */
typedef struct aloop_unix_options {
    size_t size; /* Bytes of this struct. */
    /* Connections that may wait to be accepted; the system has a limit of its
     * own.  Default: 4096. */
    int backlog;
    /* Permissions of the path, such as 0600, whatever the umask is.  A user who
     * may not write to it cannot connect.  Default: 0777, less the umask. */
    unsigned mode;
} aloop_unix_options;

/**
 * Listens for connections on a path.
 *
 *     what is at the path                   effect
 *     nothing                               a socket is made
 *     a socket on which no process          is replaced
 *     listens any more
 *     the same, but the directory may       ALOOP_EADDRINUSE
 *     not be read
 *     a socket on which a process           ALOOP_EADDRINUSE
 *     listens, or any other file
 *
 * This is done under a lock (flock) of the directory, so that of several
 * processes that start simultaneously only one listens.  The call may wait for
 * 100 ms if another process holds the lock, and so may the close.
 *
 * The path is removed when the listener is closed, if it is still that of the
 * listener, which keeps a descriptor of the directory.
 *
 * `on_stream` may be NULL; see aloop_listener_accept().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENAMETOOLONG: the path is too long;
 *          ALOOP_ENOTSUP: the system has no abstract names;
 *          ALOOP_EADDRINUSE: a process listens there, there is another file, or
 *          another process holds the lock of the directory;
 *          ALOOP_ENOENT, ALOOP_EACCES, ...: the directory does not exist, or
 *          no file may be made in it;
 *          ALOOP_EMFILE: no descriptor is left;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  copies `path`.  The library owns the listener, until
 *          aloop_listener_close().
 */
ALOOP_API int aloop_unix_listen(aloop *loop, const char *path,
                                aloop_listener_cb on_stream, void *arg,
                                aloop_listener **ret_listener);

/**
 * Listens for connections on a path, with options.
 *
 * Otherwise it is like aloop_unix_listen().
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: an option is wrong, or an abstract name has a mode;
 *          others: as for aloop_unix_listen().
 * Memory:  copies the options.  Otherwise as for aloop_unix_listen().
 */
ALOOP_API int aloop_unix_listen_with(aloop *loop, const char *path,
                                     aloop_listener_cb on_stream, void *arg,
                                     const aloop_unix_options *options,
                                     aloop_listener **ret_listener);

/**
 * Connects to a path.
 *
 * While the backlog of the listener is full the connect waits, and tries again
 * after 1 to 50 ms.  On macOS and the BSDs a full backlog is
 * ALOOP_ECONNREFUSED.
 *
 * Status:  0.
 * Errors:  ALOOP_EINVAL: an argument is wrong;
 *          ALOOP_ENAMETOOLONG: the path is too long;
 *          ALOOP_ENOTSUP: the system has no abstract names;
 *          ALOOP_ENOENT: there is no such path;
 *          ALOOP_ECONNREFUSED: no process listens there;
 *          ALOOP_EACCES: the permissions do not allow it;
 *          ALOOP_EMFILE: no more descriptors;
 *          ALOOP_ENOMEM: out of memory;
 *          others: what the system reported.
 * Memory:  copies `path`.  Borrows *ret_stream until the future settles.  It is
 *          written before the future settles with 0.  The stream is then the
 *          caller's to close, even if the future was dropped.
 */
ALOOP_MUST_USE
ALOOP_API aloop_future *aloop_unix_connect(aloop *loop, const char *path,
                                           aloop_stream **ret_stream);

/**
 * Stores the process, user and group at the other end of a stream.
 *
 * They are those of the time when the peer connected or began to listen.  The
 * process is 0 where the system does not know it.  A process number may belong
 * to another process when it is used.  Each of the three pointers may be NULL.
 *
 * Returns: 0.
 * Errors:  ALOOP_EINVAL: the stream is no Unix socket, or is NULL;
 *          ALOOP_EBADF: the stream has no descriptor any more;
 *          others: what the system reported.
 */
ALOOP_API int aloop_unix_peer(const aloop_stream *stream, int64_t *ret_process,
                              uint32_t *ret_user, uint32_t *ret_group);

ALOOP_END

#endif
