/* Addresses of Unix sockets.  This file makes no system calls. */

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE

#include "os/sys.h"

#include <errno.h>
#include <netinet/in.h> /* For SIN6_LEN. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Abstract names exist only on Linux.  Their length counts, so that they have
 * no terminating zero. */
#ifdef __linux__
enum { ABSTRACT_ERROR = 0 };
#else
enum { ABSTRACT_ERROR = -ENOTSUP };
#endif

/* A path may use the whole field, without a terminating zero. */
int aloop__sys_unix_address(const char *path, struct sys_address *ret)
{
    struct sockaddr_un local;
    bool is_abstract = path[0] == '@';
    size_t length = strlen(path),
           start = offsetof(struct sockaddr_un, sun_path);
    size_t size = length;

    if (is_abstract && ABSTRACT_ERROR < 0)
        return ABSTRACT_ERROR;
    if (length == 0 || (is_abstract && length == 1))
        return -EINVAL;
    if (length > sizeof local.sun_path)
        return -ENAMETOOLONG;
    memset(&local, 0, sizeof local);
    local.sun_family = AF_UNIX;
    memcpy(local.sun_path, path, length);
    if (is_abstract)
        local.sun_path[0] = '\0';
    else if (length < sizeof local.sun_path)
        size++;
#ifdef SIN6_LEN /* The structures begin with their size. */
    local.sun_len = (unsigned char) (start + size);
#endif
    memset(ret, 0, sizeof *ret);
    memcpy(ret->bytes, &local, start + size);
    ret->size = (uint32_t) (start + size);
    return 0;
}
