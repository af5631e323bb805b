/* Reads by uv_fs_*(), each of which starts the next one in its callback. */

#define _GNU_SOURCE /* Needed by uv.h. */

#include "files.h"

#include <fcntl.h>
#include <unistd.h>

#include <uv.h>

static struct {
    uv_loop_t loop;
    uv_fs_t request;
    uv_buf_t buffer;
    const struct reads *reads;
    int fd;
    size_t done;
} u;

static void on_read(uv_fs_t *request);

static void read_next(void)
{
    uv_fs_read(&u.loop, &u.request, u.fd, &u.buffer, 1,
               read_offset(u.reads, u.done), on_read);
}

static void on_read(uv_fs_t *request)
{
    fail_if(request->result != READ_SIZE, "uv_fs_read");
    uv_fs_req_cleanup(request);
    if (++u.done < u.reads->count)
        read_next();
}

static void begin(const struct reads *reads)
{
    fail_if(uv_loop_init(&u.loop) < 0, "making a loop");
    u.reads = reads;
    u.buffer = uv_buf_init(reads->buffer, READ_SIZE);
}

void files_uv(const struct reads *reads)
{
    begin(reads);
    u.fd = open(reads->path, O_RDONLY | O_CLOEXEC);
    fail_if(u.fd < 0, "open");
    read_next();
    uv_run(&u.loop, UV_RUN_DEFAULT);
    close(u.fd);
}

static void on_whole_open(uv_fs_t *request);

static void on_whole_close(uv_fs_t *request)
{
    fail_if(request->result < 0, "uv_fs_close");
    uv_fs_req_cleanup(request);
    if (++u.done < u.reads->count)
        uv_fs_open(&u.loop, request, u.reads->path, O_RDONLY, 0, on_whole_open);
}

static void on_whole_read(uv_fs_t *request)
{
    fail_if(request->result != READ_SIZE, "uv_fs_read");
    uv_fs_req_cleanup(request);
    uv_fs_close(&u.loop, request, u.fd, on_whole_close);
}

static void on_whole_stat(uv_fs_t *request)
{
    fail_if(request->result < 0 || request->statbuf.st_size != READ_SIZE,
            "uv_fs_fstat");
    uv_fs_req_cleanup(request);
    uv_fs_read(&u.loop, request, u.fd, &u.buffer, 1, 0, on_whole_read);
}

static void on_whole_open(uv_fs_t *request)
{
    u.fd = (int) request->result;
    fail_if(u.fd < 0, "uv_fs_open");
    uv_fs_req_cleanup(request);
    uv_fs_fstat(&u.loop, request, u.fd, on_whole_stat);
}

void files_uv_whole(const struct reads *reads)
{
    begin(reads);
    uv_fs_open(&u.loop, &u.request, reads->path, O_RDONLY, 0, on_whole_open);
    uv_run(&u.loop, UV_RUN_DEFAULT);
}
