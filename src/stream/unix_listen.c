/* Listening on Unix sockets.
 *
 * A path outlives the process that has made it.  A connect shows whether it is
 * stale: it is refused if no process listens there.  Between that and
 * the unlink another process may have put its own socket there, and between the
 * bind and the listen a live socket looks stale.  Therefore all of it is done
 * under a lock (flock) of the directory:
 *
 *     lock; bind
 *         the path exists: lstat, connect, unlink if stale; bind again
 *     set the mode; remember the identity of the file; listen; unlock
 *
 * The close removes the path before it closes the socket.  Until then the
 * socket keeps the file, so that its number is given to no other, and no
 * process finds the path stale. */

#include <string.h>

#include "aloop/unix.h"
#include "base/options.h"
#include "loop/debug.h"
#include "os/sys.h"
#include "os/sys_file.h"
#include "stream/listener.h"
#include "stream/stream.h"

enum { UNIX_BACKLOG = 4096, UNIX_MODE_MAX = 0777 };

/* A listener holds the lock only for a few calls of the system.  A program that
 * locks the directory for its own purposes may hold it for longer, and may not
 * block the loop for all of that time. */
static const int64_t lock_patience_ns = ALOOP_MS(100);

/* The file of a listener, in listener->own. */
struct unix_file {
    size_t room;  /* Bytes of this object. */
    int dir;      /* The open directory, or SYS_CWD if it cannot be opened. */
    bool is_made; /* The close has a path to remove. */
    unsigned process; /* Which has made it. */
    uint64_t device;  /* Its identity. */
    uint64_t inode;
    char *name; /* In `path`, relative to `dir`. */
    char path[];
};

/* Where to listen. */
struct unix_place {
    const char *path;
    aloop_unix_options options;
};

/* Opens the directory of the path, and makes `name` relative to it.  Without
 * the permission to do so there is no lock, and no path is replaced. */
static void open_directory_of(struct unix_file *file)
{
    char *slash = strrchr(file->path, '/');
    const char *dir = slash == NULL ? "." : slash == file->path ? "/" : NULL;
    int fd;

    file->name = file->path;
    file->dir = SYS_CWD;
    if (slash != NULL && slash[1] == '\0')
        return; /* It is no name of a file; bind() reports that. */
    if (dir == NULL) {
        *slash = '\0';
        fd = aloop__sys_open_directory(SYS_CWD, file->path, true);
        *slash = '/';
    } else {
        fd = aloop__sys_open_directory(SYS_CWD, dir, true);
    }
    if (fd < 0)
        return;
    file->dir = fd;
    if (slash != NULL)
        file->name = slash + 1;
}

/* Returns 1 if the directory is locked now, 0 if it cannot be, or
 * ALOOP_EADDRINUSE if another process holds the lock. */
static int lock_directory(const struct unix_file *file)
{
    int error;

    if (file->dir == SYS_CWD)
        return 0;
    error = aloop__sys_lock(file->dir, lock_patience_ns);
    if (error == ALOOP_EAGAIN)
        return ALOOP_EADDRINUSE;
    return error == 0;
}

/* Returns whether no process listens at the address.  The peer of a live
 * listener that has accepted this connection finds that it has ended. */
static bool is_stale(const struct sys_address *address)
{
    int fd = aloop__sys_tcp_socket(SYS_UNIX);
    int error = fd;

    if (fd >= 0) {
        error = aloop__sys_connect(fd, address);
        aloop__sys_close(fd);
    }
    return error == ALOOP_ECONNREFUSED;
}

/* Removes a stale socket.  A connect to a regular file is refused as well, so
 * that the type is checked first. */
static int remove_stale(const struct unix_file *file,
                        const struct sys_address *address)
{
    aloop_stat status;
    int error = aloop__sys_statat(file->dir, file->name, false, &status);

    if (error == ALOOP_ENOENT)
        return 0;
    if (error < 0 || status.type != ALOOP_FILE_SOCKET || !is_stale(address))
        return ALOOP_EADDRINUSE;
    error = aloop__sys_unlinkat(file->dir, file->name);
    return error == ALOOP_ENOENT ? 0 : error;
}

/* The mode that is set on the socket limits the permissions from the beginning,
 * where the system supports that.  It is set on the path too, because the umask
 * may have removed a part of it; nothing can connect before the listen. */
static int name_socket(struct unix_file *file, unsigned mode)
{
    aloop_stat status;
    int error = aloop__sys_statat(file->dir, file->name, false, &status);

    if (error == 0 && mode != 0 && (status.mode & UNIX_MODE_MAX) != mode)
        error = aloop__sys_chmodat(file->dir, file->name, mode);
    if (error < 0)
        return error;
    file->device = status.device;
    file->inode = status.inode;
    return 0;
}

/* Binds the socket and listens.  Called inside the lock, if `is_locked`. */
static int bind_and_listen(struct unix_file *file, int fd,
                           const struct sys_address *address,
                           const aloop_unix_options *options, bool is_locked)
{
    int error;

    if (options->mode != 0)
        aloop__sys_fchmod(fd, options->mode); /* See name_socket(). */
    error = aloop__sys_bind(fd, address);
    if (error == ALOOP_EADDRINUSE && is_locked) {
        error = remove_stale(file, address);
        if (error == 0)
            error = aloop__sys_bind(fd, address);
    }
    if (error < 0)
        return error;
    error = name_socket(file, options->mode);
    if (error == 0)
        error = aloop__sys_listen(fd, options->backlog);
    if (error < 0)
        aloop__sys_unlinkat(file->dir, file->name);
    file->is_made = error == 0;
    return error;
}

/* Returns NULL if out of memory.  The directory stays open until the close, so
 * that the path can be removed after a chdir() or a rename of a directory. */
static struct unix_file *new_file(aloop *loop, const char *path)
{
    size_t size = strlen(path) + 1;
    size_t room = sizeof(struct unix_file) + size;
    struct unix_file *file = aloop__slab_take(&loop->slab, room);

    if (file == NULL)
        return NULL;
    *file = (struct unix_file){.room = room, .process = loop->process};
    memcpy(file->path, path, size);
    open_directory_of(file);
    return file;
}

/* Listens on a path.  After a failure unix_close() frees the file, because the
 * start of the listener calls it then, too. */
static int listen_on_path(aloop_listener *listener, int fd,
                          const struct sys_address *address,
                          const struct unix_place *place)
{
    struct unix_file *file = new_file(listener->handle.loop, place->path);
    int error, lock;

    if (file == NULL)
        return ALOOP_ENOMEM;
    listener->own = file;
    lock = lock_directory(file);
    if (lock < 0)
        return lock;
    error = bind_and_listen(file, fd, address, &place->options, lock == 1);
    if (lock == 1)
        aloop__sys_unlock(file->dir);
    return error;
}

/* kind->open.  A name that begins with "@" is not in the file system: nothing
 * is left of it when its socket is closed, so that it needs neither lock nor
 * file. */
static int unix_open(aloop_listener *listener, const void *arg)
{
    const struct unix_place *place = arg;
    struct sys_address address;
    int error = aloop__sys_unix_address(place->path, &address);
    int fd = error < 0 ? error : aloop__sys_tcp_socket(SYS_UNIX);

    if (fd < 0)
        return fd;
    if (place->path[0] != '@') {
        error = listen_on_path(listener, fd, &address, place);
    } else {
        error = aloop__sys_bind(fd, &address);
        if (error == 0)
            error = aloop__sys_listen(fd, place->options.backlog);
    }
    if (error == 0)
        return fd;
    aloop__sys_close(fd);
    return error;
}

/* Removes the path, if it is still that of the listener.  The lock is for
 * programs that replace any path; without it this is done as well, because the
 * others do not replace one that is live. */
static void remove_path(const struct unix_file *file)
{
    aloop_stat status;
    int lock = lock_directory(file);

    if (aloop__sys_statat(file->dir, file->name, false, &status) == 0 &&
        status.device == file->device && status.inode == file->inode)
        aloop__sys_unlinkat(file->dir, file->name);
    if (lock == 1)
        aloop__sys_unlock(file->dir);
}

/* kind->close.  A forked child leaves the path to its parent, which listens
 * too. */
static void unix_close(aloop_listener *listener, int fd)
{
    aloop *loop = listener->handle.loop;
    struct unix_file *file = listener->own;

    if (file == NULL)
        return;
    if (fd >= 0 && file->is_made && file->process == loop->process &&
        !aloop__is_foreign(loop))
        remove_path(file);
    if (file->dir != SYS_CWD)
        aloop__sys_close(file->dir);
    aloop__slab_put(&loop->slab, file, file->room);
    listener->own = NULL;
}

static const struct aloop__listener_kind unix_kind = {
    .open = unix_open,
    .close = unix_close,
    .carrier = &aloop__carrier_unix,
};

/* In the order of the struct; see base/options.h. */
static const struct options_field unix_option_fields[] = {
    OPTIONS_FIELD(aloop_unix_options, size),
    OPTIONS_FIELD(aloop_unix_options, backlog),
    OPTIONS_FIELD(aloop_unix_options, mode),
};
OPTIONS_LAST(aloop_unix_options, mode);

static const struct options_kind unix_option_kind = {
    sizeof(aloop_unix_options),
    unix_option_fields,
    sizeof unix_option_fields / sizeof unix_option_fields[0],
};

/* A mode of an abstract name is refused, because there is no file that could
 * have it, and the application would rely on a protection that does not
 * exist. */
static int listen_with(aloop *loop, const char *path,
                       aloop_listener_cb on_stream, void *arg,
                       const aloop_unix_options *options,
                       aloop_listener **ret_listener)
{
    struct unix_place place = {.path = path};

    if (path == NULL || ret_listener == NULL ||
        !aloop__options_take(&unix_option_kind, options, &place.options) ||
        place.options.backlog < 0 || place.options.mode > UNIX_MODE_MAX ||
        (place.options.mode != 0 && path[0] == '@'))
        return ALOOP_EINVAL;
    if (place.options.backlog == 0)
        place.options.backlog = UNIX_BACKLOG;
    return aloop__listener_start(loop, &unix_kind, &place, on_stream, arg,
                                 ret_listener);
}

int aloop_unix_listen(aloop *loop, const char *path,
                      aloop_listener_cb on_stream, void *arg,
                      aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);

    return error < 0
               ? error
               : listen_with(loop, path, on_stream, arg, NULL, ret_listener);
}

int aloop_unix_listen_with(aloop *loop, const char *path,
                           aloop_listener_cb on_stream, void *arg,
                           const aloop_unix_options *options,
                           aloop_listener **ret_listener)
{
    int error = aloop__check_loop(loop, __func__);

    return error < 0
               ? error
               : listen_with(loop, path, on_stream, arg, options, ret_listener);
}
