/* The real system: what only Unix sockets need. */

#define _GNU_SOURCE /* For struct ucred. */
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#if !defined(SO_PEERCRED) && !defined(LOCAL_PEEREID)
#include <sys/ucred.h>
#endif

/* Each system has its own option and struct.  `process` stays 0 where the
 * system does not know it. */
#if defined(SO_PEERCRED) /* Linux, OpenBSD */

#ifdef __OpenBSD__
typedef struct sockpeercred peer_record;
#else
typedef struct ucred peer_record;
#endif

static int ask_peer(int fd, struct sys_unix_peer *ret)
{
    peer_record record;
    socklen_t size = sizeof record;

    memset(&record, 0, sizeof record);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &record, &size) < 0)
        return -errno;
    ret->process = record.pid;
    ret->user = record.uid;
    ret->group = record.gid;
    return 0;
}

#elif defined(LOCAL_PEEREID) /* NetBSD */

static int ask_peer(int fd, struct sys_unix_peer *ret)
{
    struct unpcbid record;
    socklen_t size = sizeof record;

    memset(&record, 0, sizeof record);
    if (getsockopt(fd, 0, LOCAL_PEEREID, &record, &size) < 0)
        return -errno;
    ret->process = record.unp_pid;
    ret->user = record.unp_euid;
    ret->group = record.unp_egid;
    return 0;
}

#else /* macOS, FreeBSD */

static int ask_peer(int fd, struct sys_unix_peer *ret)
{
    struct xucred record;
    socklen_t size = sizeof record;

    memset(&record, 0, sizeof record);
    if (getsockopt(fd, 0, LOCAL_PEERCRED, &record, &size) < 0)
        return -errno;
    ret->user = record.cr_uid;
    ret->group = record.cr_ngroups > 0 ? record.cr_groups[0] : UINT32_MAX;
#ifdef LOCAL_PEERPID
    pid_t process = 0;

    size = sizeof process;
    if (getsockopt(fd, 0, LOCAL_PEERPID, &process, &size) == 0)
        ret->process = process;
#elif defined(__FreeBSD__) && __FreeBSD__ >= 13
    ret->process = record.cr_pid;
#endif
    return 0;
}

#endif

int aloop__sys_unix_peer(int fd, struct sys_unix_peer *ret)
{
    struct sys_unix_peer peer = {0};
    int error = ask_peer(fd, &peer);

    if (error == 0)
        *ret = peer;
    return error;
}

/* flock() with a limit of time does not exist, so that the call is repeated.
 * Other listeners hold the lock for a few calls only.  A signal handler that
 * interrupts the pause shortens it, which is harmless. */
int aloop__sys_lock(int fd, int64_t patience_ns)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    int64_t start_ns = aloop__sys_clock_ns();

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno;

        if (error == EINTR)
            continue;
        if (error != EWOULDBLOCK ||
            aloop__sys_clock_ns() - start_ns >= patience_ns)
            return -error;
        nanosleep(&pause, NULL);
    }
    return 0;
}

void aloop__sys_unlock(int fd)
{
    while (flock(fd, LOCK_UN) < 0 && errno == EINTR)
        continue;
}
