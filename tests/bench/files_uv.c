/* uv_fs_read(), which starts the next read in its callback. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "files.h"

#include <fcntl.h>
#include <unistd.h>

#include <uv.h>

static struct {
    uv_loop_t loop;
    uv_fs_t request;
    uv_buf_t buffer;
    int fd;
    size_t left;
} u;

static void on_read(uv_fs_t *request)
{
    fail_if(request->result != READ_SIZE, "uv_fs_read");
    uv_fs_req_cleanup(request);
    if (--u.left > 0)
        uv_fs_read(&u.loop, request, u.fd, &u.buffer, 1, 0, on_read);
}

void files_uv(const char *path, void *buffer, size_t count)
{
    u.fd = open(path, O_RDONLY | O_CLOEXEC);
    fail_if(u.fd < 0 || uv_loop_init(&u.loop) < 0, "making a loop");
    u.buffer = uv_buf_init(buffer, READ_SIZE);
    u.left = count;
    uv_fs_read(&u.loop, &u.request, u.fd, &u.buffer, 1, 0, on_read);
    uv_run(&u.loop, UV_RUN_DEFAULT);
    close(u.fd);
}
